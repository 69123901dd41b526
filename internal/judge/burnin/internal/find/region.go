package find

import (
	"image"
	"math"
	"slices"
)

// A Region is connected cells of a level that look like text.
type Region struct {
	Level   int
	View    int             // which picture of a frame it is in
	Box     image.Rectangle // in cells of its level
	Cells   []image.Point
	Odds    float32 // that it is text, once judged
	level   *Level
	zone    *Zone
	feature [RegionFeatures]float32
}

// A Level is one size of a picture: what the net says of each cell, and the cells' measures once something is there that may be text.
type Level struct {
	Grey    Grey
	W, H    int
	Odds    []float32
	numbers []uint8 // the net's, width of each cell
	Cells   *Cells
	level   int // how often it was halved
}

// Likely is the least of a cell's odds by which it counts into a region, and seed what one cell of a region has to have.
const (
	Likely = -1.4
	seed   = -0.4
)

// judge asks the net of each cell; nil if there are too few.
func judge(g Grey, n *Net) *Level {
	l := &Level{Grey: g, W: g.W / Cell, H: g.H / Cell}
	if l.W < 3 || l.H < 3 {
		return nil
	}
	l.Odds, l.numbers = n.Logits(g)
	return l
}

// RegionFeatures is how many features a region has.
const RegionFeatures = Features + 22 + inkFeatures + width

// Regions are the groups of Likely cells, those within two cells of each other together.
func (l *Level) Regions() []Region {
	if !slices.ContainsFunc(l.Odds, func(o float32) bool { return o >= seed }) {
		return nil
	}
	if l.Cells == nil {
		l.Cells = Measure(l.Grey)
	}
	c := l.Cells
	seen := make([]bool, c.W*c.H)
	var regions []Region
	var stack []image.Point
	for j := range c.H {
		for i := range c.W {
			if k := j*c.W + i; seen[k] || l.Odds[k] < seed {
				continue
			}
			r := Region{level: l, Level: l.level, Box: image.Rect(i, j, i+1, j+1)}
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
			regions = append(regions, r)
		}
	}
	return regions
}

// describe writes the features of a region.
func (l *Level) describe(r *Region) {
	var weight, total, peak float32 = 0, 0, -30
	var over [4]float32
	var mean [Features]float32
	var own [Features]float32
	var numbers [width]float32
	step := 1 + len(r.Cells)/2000 // of a large region, some
	var sx, sy, sxx, syy, sxy float64
	var described float32
	for i, p := range r.Cells {
		k := p.Y*l.W + p.X
		o := l.Odds[k]
		peak, total = max(peak, o), total+o
		for q, t := range []float32{0, 1, 2, 4} {
			if o > t {
				over[q]++
			}
		}
		w := sigmoid(o)
		weight += w
		if i%step == 0 {
			described += w
			l.Cells.Describe(p.X, p.Y, &own)
			for q, v := range own {
				mean[q] += w * v
			}
			for q, v := range l.numbers[k*width:][:width] {
				numbers[q] += w * float32(v)
			}
		}
		x, y := float64(p.X), float64(p.Y)
		sx, sy, sxx, syy, sxy = sx+x, sy+y, sxx+x*x, syy+y*y, sxy+x*y
	}
	for q := range mean {
		mean[q] /= described
	}
	for q, v := range numbers {
		r.feature[Features+22+inkFeatures+q] = v / described
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
	l.ink(r, f[22:22+inkFeatures])
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

// A Model is the net and the two forests.
type Model struct {
	Net                  *Net
	Regions, Conditional *Forest
}

// ReadModel reads what the trainer wrote.
func ReadModel(b []byte) (*Model, error) {
	m := &Model{}
	var err error
	if m.Net, b, err = ReadNet(b); err != nil {
		return nil, err
	}
	if m.Regions, b, err = ReadForest(b); err != nil {
		return nil, err
	}
	m.Conditional, _, err = ReadForest(b)
	return m, err
}

// Pyramid judges every level of a picture.
func Pyramid(g Grey, n *Net) []*Level {
	var levels []*Level
	for k := range Levels {
		if k >= 3 && min(g.W, g.H) < 150 {
			break
		}
		if k > 0 || !g.Coarse {
			l := judge(g, n)
			if l == nil {
				break
			}
			l.level = k
			levels = append(levels, l)
		}
		g = g.Half()
	}
	return levels
}

// Find is the regions of a picture, judged; view is told of each.
func (m *Model) Find(g Grey, view int) []Region {
	var all []Region
	for _, l := range Pyramid(g, m.Net) {
		for _, r := range l.Regions() {
			r.View = view
			r.Odds = m.Regions.Odds(r.feature[:])
			all = append(all, r)
		}
	}
	return all
}
