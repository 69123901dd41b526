package find

import (
	"image"
	"math"
)

// A Region is connected cells of a level that look like text.
type Region struct {
	Level   int
	View    int             // which picture of a frame it is in
	Box     image.Rectangle // in cells of its level
	Wide    image.Rectangle // Box with what continues it, in cells
	Cells   []image.Point
	Odds    float32 // that it is text, once judged
	level   *Level
	zone    *Zone
	feature [RegionFeatures]float32
}

// A Level is one size of a picture: its cells, and what the first forest says of each.
type Level struct {
	Grey   Grey
	Cells  *Cells
	Odds   []float32
	values [][Features]float32 // of those that are Likely
	index  []int32
}

// Likely is the least of a cell's odds by which it counts into a region, and seed what one cell of a region has to have.
const (
	Likely = -0.6
	seed   = 0.5
)

// Judge asks the forest of each cell.
func Judge(c *Cells, f *Forest) *Level {
	l := &Level{Cells: c, Odds: make([]float32, c.W*c.H), index: make([]int32, c.W*c.H)}
	at, row, odds, open := make([]int32, c.W), make([][Features]float32, c.W), make([]float32, c.W), make([]int32, c.W)
	for j := range c.H {
		n := 0
		for i := range c.W {
			k := j*c.W + i
			l.Odds[k], l.index[k] = -30, -1
			if c.Worth(i, j) {
				c.Describe(i, j, &row[n])
				at[n] = int32(k)
				n++
			}
		}
		f.oddsOf(row[:n], odds, open)
		for q, k := range at[:n] {
			if l.Odds[k] = odds[q]; odds[q] > Likely {
				l.index[k] = int32(len(l.values))
				l.values = append(l.values, row[q])
			}
		}
	}
	return l
}

// RegionFeatures is how many features a region has.
const RegionFeatures = Features + 22 + inkFeatures

// Regions are the groups of Likely cells, those within two cells of each other together.
func (l *Level) Regions(level int) []Region {
	c := l.Cells
	seen := make([]bool, c.W*c.H)
	var regions []Region
	var stack []image.Point
	for j := range c.H {
		for i := range c.W {
			if k := j*c.W + i; seen[k] || l.Odds[k] < seed {
				continue
			}
			r := Region{level: l, Level: level, Box: image.Rect(i, j, i+1, j+1)}
			stack = append(stack[:0], image.Pt(i, j))
			seen[j*c.W+i] = true
			for len(stack) > 0 {
				p := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				r.Cells = append(r.Cells, p)
				r.Box = r.Box.Union(image.Rect(p.X, p.Y, p.X+1, p.Y+1))
				for y := max(0, p.Y-2); y < min(c.H, p.Y+3); y++ {
					for x := max(0, p.X-2); x < min(c.W, p.X+3); x++ {
						if k := y*c.W + x; !seen[k] && l.Odds[k] > Likely {
							seen[k] = true
							stack = append(stack, image.Pt(x, y))
						}
					}
				}
			}
			l.describe(&r)
			r.Wide = l.continued(r.Box)
			regions = append(regions, r)
		}
	}
	return regions
}

// faint is the least of a cell's odds by which it continues a line.
const faint = -2.5

// continued is a region's box, longer by the cells at its ends that are less Likely: the last letters of a line lie over something else.
func (l *Level) continued(b image.Rectangle) image.Rectangle {
	c := l.Cells
	some := func(r image.Rectangle) bool {
		r = r.Intersect(image.Rect(0, 0, c.W, c.H))
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if l.Odds[y*c.W+x] > faint {
					return true
				}
			}
		}
		return false
	}
	// reach is how far the box goes on, if step says which cells are n away from its end.
	reach := func(long int, step func(n int) image.Rectangle) int {
		far := 0
		for n := 1; n <= 10+long/2 && n-far <= 4; n++ {
			if some(step(n)) {
				far = n
			}
		}
		return far
	}
	o := b
	if b.Dx()*4 >= b.Dy()*3 {
		o.Min.X -= reach(b.Dx(), func(n int) image.Rectangle { return image.Rect(b.Min.X-n, b.Min.Y, b.Min.X-n+1, b.Max.Y) })
		o.Max.X += reach(b.Dx(), func(n int) image.Rectangle { return image.Rect(b.Max.X+n-1, b.Min.Y, b.Max.X+n, b.Max.Y) })
	}
	if b.Dy()*4 >= b.Dx()*3 {
		o.Min.Y -= reach(b.Dy(), func(n int) image.Rectangle { return image.Rect(b.Min.X, b.Min.Y-n, b.Max.X, b.Min.Y-n+1) })
		o.Max.Y += reach(b.Dy(), func(n int) image.Rectangle { return image.Rect(b.Min.X, b.Max.Y+n-1, b.Max.X, b.Max.Y+n) })
	}
	return o.Intersect(image.Rect(0, 0, c.W, c.H))
}

// describe writes the features of a region.
func (l *Level) describe(r *Region) {
	var weight, total, peak float32 = 0, 0, -30
	var over [4]float32
	var mean [Features]float32
	var sx, sy, sxx, syy, sxy float64
	for _, p := range r.Cells {
		k := p.Y*l.Cells.W + p.X
		o := l.Odds[k]
		peak, total = max(peak, o), total+o
		for q, t := range []float32{0, 1, 2, 4} {
			if o > t {
				over[q]++
			}
		}
		w := sigmoid(o)
		weight += w
		for q, v := range l.values[l.index[k]] {
			mean[q] += w * v
		}
		x, y := float64(p.X), float64(p.Y)
		sx, sy, sxx, syy, sxy = sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
	}
	for q := range mean {
		mean[q] /= weight
	}
	n := float32(len(r.Cells))
	w, h := float32(r.Box.Dx()), float32(r.Box.Dy())
	copy(r.feature[:], mean[:])
	N := float64(n)
	vx, vy, vxy := sxx/N-sx/N*sx/N, syy/N-sy/N*sy/N, sxy/N-sx/N*sy/N
	root := math.Sqrt((vx-vy)*(vx-vy)/4 + vxy*vxy)
	major, minor := (vx+vy)/2+root, max(0, (vx+vy)/2-root)
	f := r.feature[Features:]
	f[0], f[1], f[2], f[3] = n, w, h, n/(w*h)
	f[4], f[5], f[6] = peak, total/n, weight
	f[7], f[8], f[9], f[10] = over[0]/n, over[1]/n, over[2]/n, over[3]/n
	f[11], f[12], f[13] = over[1], over[2], over[3]
	f[14], f[15] = max(w, h)/min(w, h), min(w, h)
	f[16], f[17] = float32(math.Sqrt(major)), float32(math.Sqrt(minor))
	f[18] = float32(math.Sqrt((minor + 0.5) / (major + 0.5)))
	f[19] = float32(r.Level)
	// What lies around the region: text stands on quieter ground.
	b := r.Box.Inset(-3).Intersect(image.Rect(0, 0, l.Cells.W, l.Cells.H))
	var in, out [channels]float32
	c := l.Cells
	ai := c.box(r.Box, &in)
	ao := c.box(b, &out) - ai
	e := func(t *[channels]float32) float32 { return t[edgeX] + t[edgeY] + t[edgeD] + t[edgeU] }
	if ao > 0 {
		f[20] = (e(&out) - e(&in)) / ao / (e(&in)/ai + 0.5)
		f[21] = (out[flat] - in[flat]) / ao
	} else {
		f[20], f[21] = 1, 0
	}
	l.ink(r, f[22:])
}

func (c *Cells) box(b image.Rectangle, t *[channels]float32) (area float32) {
	w := (c.W + 1) * channels
	for k := range t {
		t[k] = float32(c.total[b.Max.Y*w+b.Max.X*channels+k] - c.total[b.Max.Y*w+b.Min.X*channels+k] - c.total[b.Min.Y*w+b.Max.X*channels+k] + c.total[b.Min.Y*w+b.Min.X*channels+k])
	}
	return float32(b.Dx() * b.Dy() * Cell * Cell)
}

// Features are the region's.
func (r *Region) Features() []float32 { return r.feature[:] }

// Piece is the size of a typical connected piece of its ink, in pixels of its level.
func (r *Region) Piece() float32 { return max(r.feature[Features+36], r.feature[Features+37]) }

// Bounds is the region in pixels of the picture.
func (r *Region) Bounds() image.Rectangle {
	k := Cell << r.Level
	return image.Rect(r.Box.Min.X*k, r.Box.Min.Y*k, r.Box.Max.X*k, r.Box.Max.Y*k)
}

// Levels is how often a picture is halved at most, and one; the last is for large pictures.
const Levels = 4

// A Model is the three forests.
type Model struct{ Cells, Regions, Conditional *Forest }

// Pyramid judges every level of a picture.
func Pyramid(g Grey, f *Forest) []*Level {
	var levels []*Level
	for k := range Levels {
		c := Measure(g)
		if c == nil || k >= 3 && min(g.W, g.H) < 150 {
			break
		}
		l := Judge(c, f)
		l.Grey = g
		levels = append(levels, l)
		g = g.Half()
	}
	return levels
}

// Find is the regions of a picture, judged; view is told of each.
func (m *Model) Find(g Grey, view int) []Region {
	var all []Region
	for k, l := range Pyramid(g, m.Cells) {
		for _, r := range l.Regions(k) {
			r.View = view
			r.Odds = m.Regions.Odds(r.feature[:])
			all = append(all, r)
		}
	}
	return all
}
