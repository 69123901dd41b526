// Package find finds text in a picture of 8-bit greys. The picture is halved several times; on each level a small net judges cells of 4x4 pixels, a forest of small trees the regions that such cells make, by
// measures that tell strokes of synthetic sharpness from anatomy (how the gradients point, how many strokes cross, how much is one of two shades), and a second forest where their lines end.
package find

import (
	"math"
	"math/bits"
	"slices"
)

// Grey is a picture, row by row.
type Grey struct {
	W, H   int
	Pix    []uint8
	Coarse bool // what is in it can be seen elsewhere too: it is looked at from half its size on
}

// Half is the picture at half the size.
func (g Grey) Half() Grey {
	w, h := g.W/2, g.H/2
	o := Grey{W: w, H: h, Pix: make([]uint8, w*h)}
	for y := range h {
		a, b, to := g.Pix[2*y*g.W:], g.Pix[(2*y+1)*g.W:], o.Pix[y*w:(y+1)*w]
		a, b = a[:2*w], b[:2*w]
		for x := range to {
			to[x] = uint8((int(a[2*x]) + int(a[2*x+1]) + int(b[2*x]) + int(b[2*x+1]) + 2) / 4)
		}
	}
	return o
}

// Cell is the side of a cell in pixels of its level.
const Cell = 4

const (
	edgeX = iota // gradients across: of upright strokes
	edgeY
	edgeD // of diagonals
	edgeU
	curved // second differences
	brightX
	brightY
	darkX
	darkY
	flat
	sum
	high // pixels near the brightest of the neighbourhood
	low
	crossX // how often the middle is crossed
	crossY
	sharp // steps of half the neighbourhood's range within a pixel
	nearX // how often the middle of 3x3 cells is crossed
	nearY
	between // pixels in the middle half of the range of 3x3 cells
	channels
)

// Cells are the measures of a level's cells.
type Cells struct {
	W, H   int
	at     []uint32 // channels of each cell
	total  []uint32 // sums over all cells above and left of each, (W+1)x(H+1); they wrap, and their differences do not
	lo, hi []uint8  // darkest and brightest of 7x7 cells
	noise  float32  // median of the second differences of a pixel
}

const margin = 4

// Measure measures a level.
func Measure(g Grey) *Cells {
	c := &Cells{W: g.W / Cell, H: g.H / Cell}
	if c.W < 3 || c.H < 3 {
		return nil
	}
	// The picture with a margin, so that no pixel asks for what is not there.
	stride := g.W + 2*margin
	pad := make([]uint8, stride*(g.H+2*margin))
	for y := range g.H + 2*margin {
		row, from := pad[y*stride:(y+1)*stride], g.Pix[min(max(y-margin, 0), g.H-1)*g.W:]
		copy(row[margin:], from[:g.W])
		for i := range margin {
			row[i], row[stride-1-i] = from[0], from[g.W-1]
		}
	}
	c.at = make([]uint32, c.W*c.H*channels)
	lo, hi := make([]uint8, c.W*c.H), make([]uint8, c.W*c.H)
	c.shades(pad, stride, lo, hi)
	for j := range c.H {
		for i := range c.W {
			if j > 0 && i > 0 && j < c.H-1 && i < c.W-1 && c.even(lo, hi, j*c.W+i) {
				t := c.at[(j*c.W+i)*channels:][:channels]
				t[flat], t[sum] = Cell*Cell, Cell*Cell*uint32(lo[j*c.W+i])
				continue
			}
			c.measure(pad, stride, i, j)
		}
	}
	c.lo, c.hi = spread(lo, c.W, c.H, 3, false), spread(hi, c.W, c.H, 3, true)
	c.cross(pad, stride)
	c.crossNear(pad, stride, spread(lo, c.W, c.H, 1, false), spread(hi, c.W, c.H, 1, true))
	c.integrate()
	return c
}

// shades are the darkest and the brightest pixel of each cell.
func (c *Cells) shades(pad []uint8, stride int, lo, hi []uint8) {
	for j := range c.H {
		for i := range c.W {
			l, h := uint8(255), uint8(0)
			for y := range Cell {
				row := (*[Cell]uint8)(pad[(j*Cell+y+margin)*stride+i*Cell+margin:])
				l, h = min(l, row[0], row[1], row[2], row[3]), max(h, row[0], row[1], row[2], row[3])
			}
			lo[j*c.W+i], hi[j*c.W+i] = l, h
		}
	}
}

// even tells whether a cell and those around it are of one shade, so that there is nothing to measure.
func (c *Cells) even(lo, hi []uint8, k int) bool {
	v := lo[k]
	if hi[k] != v {
		return false
	}
	for _, n := range [...]int{k - 1, k + 1, k - c.W, k + c.W, k - c.W - 1, k - c.W + 1, k + c.W - 1, k + c.W + 1} {
		if lo[n] != v || hi[n] != v {
			return false
		}
	}
	return true
}

func (c *Cells) measure(pad []uint8, stride, i, j int) {
	var ex, ey, ed, eu, cu, bx, by, dx, dy, fl, su int
	for y := range Cell {
		o := (j*Cell+y+margin)*stride + i*Cell + margin
		mid, up, down := pad[o-3:o+7:o+7], pad[o-stride:o-stride+4:o-stride+4], pad[o+stride:o+stride+4:o+stride+4]
		up3, down3 := pad[o-3*stride:o-3*stride+4:o-3*stride+4], pad[o+3*stride:o+3*stride+4:o+3*stride+4]
		for x := range Cell {
			v := mid[x+3]
			p, l, r, u, d := int(v), int(mid[x+2]), int(mid[x+4]), int(up[x]), int(down[x])
			su += p
			gx, gy := r-l, d-u
			ax, ay := max(gx, -gx), max(gy, -gy)
			// Which way a gradient points is not foretold in noise, so masks choose where it counts.
			m := ax + ay
			some := bit(m > 3)
			fl += 1 - some
			m &= -some
			across, along, falls := -bit(ax > 2*ay), -bit(ay > 2*ax), (gx^gy)>>(bits.UintSize-1)
			ex += m & across
			ey += m & along
			m &^= across | along
			ed += m &^ falls
			eu += m & falls
			a, b := l+r-2*p, u+d-2*p
			cu += max(a, -a) + max(b, -b)
			l3, r3, u3, d3 := int(mid[x]), int(mid[x+6]), int(up3[x]), int(down3[x])
			bx += max(0, p-max(l3, r3))
			dx += max(0, min(l3, r3)-p)
			by += max(0, p-max(u3, d3))
			dy += max(0, min(u3, d3)-p)
		}
	}
	k := (j*c.W + i) * channels
	t := c.at[k : k+channels : k+channels]
	t[edgeX], t[edgeY], t[edgeD], t[edgeU], t[curved], t[brightX], t[brightY], t[darkX], t[darkY], t[flat], t[sum] = uint32(ex), uint32(ey), uint32(ed), uint32(eu), uint32(cu), uint32(bx),
		uint32(by), uint32(dx), uint32(dy), uint32(fl), uint32(su)
}

// bit is 1 for true, without a branch.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// spread is the least or the greatest of (2n+1)x(2n+1) cells.
func spread(v []uint8, w, h, n int, greatest bool) []uint8 {
	t, o := make([]uint8, w*h), make([]uint8, w*h)
	var turned uint8 // the greatest is the least of what is turned round
	if greatest {
		turned = 255
	}
	flipped := make([]uint8, w)
	for y := range h {
		for x, b := range v[y*w : (y+1)*w] {
			flipped[x] = b ^ turned
		}
		to := t[y*w : (y+1)*w]
		for x := range to {
			m := flipped[x]
			for _, b := range flipped[max(0, x-n):min(w, x+n+1)] {
				m = min(m, b)
			}
			to[x] = m
		}
	}
	for y := range h {
		to := o[y*w : (y+1)*w]
		copy(to, t[y*w:])
		for k := max(0, y-n); k < min(h, y+n+1); k++ {
			from := t[k*w : (k+1)*w]
			for x, b := range from[:len(to)] {
				to[x] = min(to[x], b)
			}
		}
		for x := range to {
			to[x] ^= turned
		}
	}
	return o
}

// least is the range of greys below which a neighbourhood holds nothing.
const least = 10

func (c *Cells) cross(pad []uint8, stride int) {
	for j := range c.H {
		for i := range c.W {
			lo, hi := int(c.lo[j*c.W+i]), int(c.hi[j*c.W+i])
			if hi-lo < least {
				continue
			}
			q := (hi - lo) / 4
			top, bottom, mid := uint8(hi-q), uint8(lo+q), uint8((lo+hi)/2)
			half := (hi - lo) / 2
			var nh, nl, cx, cy, sh int
			for y := range Cell {
				o := (j*Cell+y+margin)*stride + i*Cell + margin
				row, up := pad[o-1:o+4:o+4], pad[o-stride:o-stride+4:o-stride+4]
				was := bit(row[0] > mid)
				for x := range Cell {
					p := row[x+1]
					nh += bit(p > top)
					nl += bit(p < bottom)
					is := bit(p > mid)
					cx += is ^ was
					cy += is ^ bit(up[x] > mid)
					a, b := int(p)-int(row[x]), int(p)-int(up[x])
					sh += bit(max(a, -a) > half) + bit(max(b, -b) > half)
					was = is
				}
			}
			t := c.at[(j*c.W+i)*channels:][:channels]
			t[high], t[low], t[crossX], t[crossY], t[sharp] = uint32(nh), uint32(nl), uint32(cx), uint32(cy), uint32(sh)
		}
	}
}

// crossNear counts within the range of 3x3 cells, so that what is faint is seen beside what is not.
func (c *Cells) crossNear(pad []uint8, stride int, least3, most3 []uint8) {
	for j := range c.H {
		for i := range c.W {
			lo, hi := int(least3[j*c.W+i]), int(most3[j*c.W+i])
			if hi-lo < least {
				continue
			}
			q := (hi - lo) / 4
			top, bottom, mid := uint8(hi-q), uint8(lo+q), uint8((lo+hi)/2)
			var cx, cy, n int
			for y := range Cell {
				o := (j*Cell+y+margin)*stride + i*Cell + margin
				row, up := pad[o-1:o+4:o+4], pad[o-stride:o-stride+4:o-stride+4]
				was := bit(row[0] > mid)
				for x := range Cell {
					p := row[x+1]
					n += bit(p <= top) & bit(p >= bottom)
					is := bit(p > mid)
					cx += is ^ was
					cy += is ^ bit(up[x] > mid)
					was = is
				}
			}
			t := c.at[(j*c.W+i)*channels:][:channels]
			t[nearX], t[nearY], t[between] = uint32(cx), uint32(cy), uint32(n)
		}
	}
}

func (c *Cells) integrate() {
	w := (c.W + 1) * channels
	c.total = make([]uint32, w*(c.H+1))
	var bins [512]int
	n := 0
	for j := range c.H {
		var run [channels]uint32
		above, row := c.total[j*w:(j+1)*w], c.total[(j+1)*w:(j+2)*w]
		for i := range c.W {
			from, o := c.at[(j*c.W+i)*channels:][:channels], (i+1)*channels
			to, up := row[o:o+channels], above[o:o+channels]
			for k, v := range from {
				run[k] += v
				to[k] = up[k] + run[k]
			}
			if v := from[curved]; v > 0 {
				bins[min(v/4, 511)]++
				n++
			}
		}
	}
	seen := 0
	for v, k := range bins {
		if seen += k; seen*2 >= n && n > 0 {
			c.noise = float32(v) * 4 / 16
			break
		}
	}
}

// window adds up a channel's cells from (x0,y0) to before (x1,y1).
func (c *Cells) window(i, j, rx, ry int, t *[channels]float32) (area float32) {
	x0, y0, x1, y1 := max(0, i-rx), max(0, j-ry), min(c.W, i+rx+1), min(c.H, j+ry+1)
	w := (c.W + 1) * channels
	a, b := c.total[y0*w+x0*channels:][:channels], c.total[y0*w+x1*channels:][:channels]
	d, e := c.total[y1*w+x0*channels:][:channels], c.total[y1*w+x1*channels:][:channels]
	for k := range t {
		t[k] = float32(e[k] - d[k] - b[k] + a[k])
	}
	return float32((x1 - x0) * (y1 - y0) * Cell * Cell)
}

var windows = [5][2]int{{1, 1}, {3, 3}, {6, 1}, {1, 6}, {6, 6}}

const perWindow = 18

// Features is how many features a cell has.
const Features = len(windows)*perWindow + 8 + 9

// Describe writes the features of a cell.
func (c *Cells) Describe(i, j int, f *[Features]float32) {
	k := j*c.W + i
	r := float32(c.hi[k]) - float32(c.lo[k])
	var t [channels]float32
	var energy, curve, bright, dark [len(windows)]float32
	o := f[:0:Features]
	for q, w := range windows {
		n := c.window(i, j, w[0], w[1], &t)
		e := t[edgeX] + t[edgeY] + t[edgeD] + t[edgeU]
		inv, by := 1/(e+n), 1/n
		energy[q], curve[q], bright[q], dark[q] = e*by, t[curved]*by, (t[brightX]+t[brightY])*by, (t[darkX]+t[darkY])*by
		o = append(o, e*by/r, t[curved]*inv, t[brightX]*inv, t[brightY]*inv, t[darkX]*inv, t[darkY]*inv, t[flat]*by, t[high]*by, t[low]*by, t[crossX]*by, t[crossY]*by,
			t[edgeX]*inv, t[edgeY]*inv, t[edgeD]*inv, t[sharp]/(t[crossX]+t[crossY]+1), t[nearX]*by, t[nearY]*by, t[between]*by)
		if q == 1 {
			f[Features-1] = (t[sum]*by - float32(c.lo[k])) / r
		}
	}
	a := len(windows) * perWindow
	f[a], f[a+1], f[a+2] = r, c.noise, r/(c.noise+1)
	f[a+3], f[a+4], f[a+5], f[a+6] = energy[0]/(energy[4]+1), energy[1]/(energy[4]+1), energy[2]/(energy[3]+1), energy[2]/(energy[4]+1)
	// How it stands out from what lies around it, in grain and in strokes: what is faint is as strong as noise, and still not everywhere.
	for q, v := range [...]*[len(windows)]float32{&curve, &bright, &dark} {
		all := 1 / (v[4] + 0.25)
		f[a+7+3*q], f[a+8+3*q], f[a+9+3*q] = v[0]*all, v[2]*all, v[3]*all
	}
}

func median(v []float32) float32 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
