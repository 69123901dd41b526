package find

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Cells that are asked together get the odds that each gets alone, to the last bit, wherever they leave the forest.
func TestTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f := &Forest{Depth: 4, Base: -0.3}
	for k := range 50 {
		for range 1<<f.Depth - 1 {
			f.Feature, f.Split = append(f.Feature, uint8(r.IntN(Features))), append(f.Split, float32(r.IntN(10)))
		}
		for range 1 << f.Depth {
			f.Leaf = append(f.Leaf, r.Float32()-0.5)
		}
		stop := float32(math.Inf(-1))
		if k >= 4 {
			stop = -0.8
		}
		f.Stop = append(f.Stop, stop)
	}
	cells := make([][Features]float32, 200)
	for i := range cells {
		for k := range cells[i] {
			cells[i][k] = float32(r.IntN(11)) // often the very value of a split
		}
	}
	odds, left := make([]float32, len(cells)), 0
	for n := range len(cells) + 1 {
		f.oddsOf(cells[:n], odds, make([]int32, len(cells)))
	}
	for i := range cells {
		want := f.Odds(cells[i][:])
		if odds[i] != want {
			t.Fatalf("cell %d: %v together, %v alone", i, odds[i], want)
		}
		if want < -gone/2 {
			left++
		}
	}
	if left == 0 || left == len(cells) {
		t.Errorf("%d of %d cells leave early: the test tells nothing", left, len(cells))
	}
}

// Every gradient counts once, by the way it points, as the plain rule has it.
func TestGradients(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	g := Grey{32, 32, make([]uint8, 32*32)}
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
