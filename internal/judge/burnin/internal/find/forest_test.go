package find

import (
	"math/rand/v2"
	"testing"
)

// Every gradient counts once, by the way it points, as the plain rule has it.
func TestGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	g := Grey{W: 32, H: 32, Pix: make([]uint8, 32*32)}
	for i := range g.Pix {
		g.Pix[i] = uint8(r.IntN(12) * r.IntN(20))
	}
	c := Measure(g)
	var got, want [channels]int
	at := func(x, y int) int { return int(g.Pix[min(max(y, 0), g.H-1)*g.W+min(max(x, 0), g.W-1)]) }
	for y := range g.H {
		for x := range g.W {
			gx, gy := at(x+1, y)-at(x-1, y), at(x, y+1)-at(x, y-1)
			ax, ay := max(gx, -gx), max(gy, -gy)
			switch m := ax + ay; {
			case m <= 3:
				want[flat]++
			case ax > 2*ay:
				want[edgeX] += m
			case ay > 2*ax:
				want[edgeY] += m
			case (gx < 0) == (gy < 0):
				want[edgeD] += m
			default:
				want[edgeU] += m
			}
		}
	}
	for i := range c.W * c.H {
		for k, v := range c.at[i*channels:][:channels] {
			got[k] += int(v)
		}
	}
	for _, k := range []int{edgeX, edgeY, edgeD, edgeU, flat} {
		if got[k] != want[k] || want[k] == 0 {
			t.Errorf("channel %d: %d, want %d", k, got[k], want[k])
		}
	}
}
