package find

import (
	"image"
	"slices"
)

// What a forest of its own says of a cell once a region is known near it: a line goes on in the same ink, height and direction, so that far weaker evidence tells where it ends, and
// where what adjoins it is no part of it.

// ConditionalFeatures is how many features a cell beside or within a region has.
const ConditionalFeatures = Features + 2*perWindow + 8 + 6 + 12 + width

// A Zone is where a region may go on.
type Zone struct {
	level   *Level
	region  *Region
	Box     image.Rectangle // in cells
	along   bool            // the line runs by rows
	typical [4]float32      // gradients, second differences, bright and dark strokes of the region's cells, per pixel
	stroke  float32         // the response of a typical stroke
	dark    bool            // ink is darker than its ground
	strokes []int8          // by cell of the zone: pixels of strokes of the region's kind; -1: not counted yet
	other   []int8          // of strokes of the opposite kind
	odds    []float32       // by cell of the zone, once asked
	asked   []bool
}

// reach is how far from a region its line is followed, in cells.
func reach(short int) int { return min(60, max(14, 8*short+6)) }

// Zone is what lies around a region along the line that it is a part of.
func (r *Region) Zone() *Zone {
	if r.zone == nil {
		r.zone = r.newZone()
	}
	return r.zone
}

func (r *Region) newZone() *Zone {
	l, c := r.level, r.level.Cells
	w, h := r.Box.Dx(), r.Box.Dy()
	z := &Zone{level: l, region: r, along: w >= h}
	dx, dy := 2, 2
	if w*4 >= h*3 {
		dx = reach(min(h, 8))
	}
	if h*4 >= w*3 {
		dy = reach(min(w, 8))
	}
	b := r.Box
	z.Box = image.Rect(b.Min.X-dx, b.Min.Y-dy, b.Max.X+dx, b.Max.Y+dy).Intersect(image.Rect(0, 0, c.W, c.H))
	n := z.Box.Dx() * z.Box.Dy()
	z.strokes, z.other, z.odds, z.asked = make([]int8, n), make([]int8, n), make([]float32, n), make([]bool, n)
	for i := range z.strokes {
		z.strokes[i] = -1
	}
	var sums [channels]float64
	var bright, dark [2]float64 // sum of responses, and of their squares
	step := 1 + len(r.Cells)/400
	n = 0
	for i := 0; i < len(r.Cells); i += step {
		p := r.Cells[i]
		for k, v := range c.at[(p.Y*c.W+p.X)*channels:][:channels] {
			sums[k] += float64(v)
		}
		n++
		z.respond(p, func(b, d int) {
			bright[0], bright[1] = bright[0]+float64(b), bright[1]+float64(b*b)
			dark[0], dark[1] = dark[0]+float64(d), dark[1]+float64(d*d)
		})
	}
	per := 1 / float64(n*Cell*Cell)
	z.typical = [4]float32{float32((sums[edgeX] + sums[edgeY] + sums[edgeD] + sums[edgeU]) * per), float32(sums[curved] * per), float32((sums[brightX] + sums[brightY]) * per),
		float32((sums[darkX] + sums[darkY]) * per)}
	switch r.feature[Features+22+4] {
	case 1:
		z.dark = true
	case 0:
		z.dark = dark[1] > bright[1]
	}
	of := bright
	if z.dark {
		of = dark
	}
	z.stroke = float32(of[1] / (of[0] + 1))
	return z
}

// respond calls fn with how far each pixel of a cell stands out, as bright strokes do and as dark ones do.
func (z *Zone) respond(p image.Point, fn func(bright, dark int)) {
	g := z.level.Grey
	for y := p.Y * Cell; y < (p.Y+1)*Cell; y++ {
		row, up, down := g.Pix[y*g.W:], g.Pix[max(0, y-3)*g.W:], g.Pix[min(g.H-1, y+3)*g.W:]
		for x := p.X * Cell; x < (p.X+1)*Cell; x++ {
			v, l, r, u, d := int(row[x]), int(row[max(0, x-3)]), int(row[min(g.W-1, x+3)]), int(up[x]), int(down[x])
			fn(max(0, v-max(l, r), v-max(u, d)), max(0, min(l, r)-v, min(u, d)-v))
		}
	}
}

// count is how many pixels of a cell are of strokes half as strong as those of the region, of its kind and of the other.
func (z *Zone) count(p image.Point) (same, other int8) {
	k := (p.Y-z.Box.Min.Y)*z.Box.Dx() + p.X - z.Box.Min.X
	if z.strokes[k] >= 0 {
		return z.strokes[k], z.other[k]
	}
	least := max(2, int(z.stroke/2))
	z.respond(p, func(b, d int) {
		if z.dark {
			b, d = d, b
		}
		if b >= least {
			same++
		}
		if d >= least {
			other++
		}
	})
	z.strokes[k], z.other[k] = same, other
	return same, other
}

// Describe writes the features of a cell of the zone.
func (z *Zone) Describe(m *Model, p image.Point, f *[ConditionalFeatures]float32) {
	c, r := z.level.Cells, z.region
	own := (*[Features]float32)(f[:Features])
	c.Describe(p.X, p.Y, own)
	axis := 2
	if !z.along {
		axis = 3
	}
	o := f[:Features:ConditionalFeatures]
	for _, q := range [...]int{0, axis} {
		for k := range perWindow {
			o = append(o, own[q*perWindow+k]-r.feature[q*perWindow+k])
		}
	}
	var t [channels]float32
	for _, q := range [...]int{0, axis} {
		by := 1 / c.window(p.X, p.Y, windows[q][0], windows[q][1], &t)
		o = append(o, (t[edgeX]+t[edgeY]+t[edgeD]+t[edgeU])*by/(z.typical[0]+0.2), t[curved]*by/(z.typical[1]+0.2), (t[brightX]+t[brightY])*by/(z.typical[2]+0.2),
			(t[darkX]+t[darkY])*by/(z.typical[3]+0.2))
	}
	at := func(rx, ry int) (same, other float32) {
		n := float32(0)
		for y := max(z.Box.Min.Y, p.Y-ry); y < min(z.Box.Max.Y, p.Y+ry+1); y++ {
			for x := max(z.Box.Min.X, p.X-rx); x < min(z.Box.Max.X, p.X+rx+1); x++ {
				s, t := z.count(image.Pt(x, y))
				same, other, n = same+float32(s), other+float32(t), n+1
			}
		}
		return same / n, other / n
	}
	s, t0 := at(0, 0)
	o = append(o, s, t0)
	s, t0 = at(1, 1)
	o = append(o, s, t0)
	if z.along {
		s, t0 = at(4, 1)
	} else {
		s, t0 = at(1, 4)
	}
	o = append(o, s, t0)
	beyond := func(v, lo, hi int) float32 { return float32(max(0, lo-v, v-hi+1)) }
	dx, dy := beyond(p.X, r.Box.Min.X, r.Box.Max.X), beyond(p.Y, r.Box.Min.Y, r.Box.Max.Y)
	long, short := float32(r.Box.Dx()), float32(r.Box.Dy())
	if !z.along {
		dx, dy, long, short = dy, dx, short, long
	}
	// What the net says of it, and the most that it says along the line on either side.
	first, before, after := max(-12, z.level.Odds[p.Y*c.W+p.X]), float32(-12), float32(-12)
	for n := 1; n <= 4; n++ {
		q, s := p.Add(image.Pt(n, 0)), p.Sub(image.Pt(n, 0))
		if !z.along {
			q, s = p.Add(image.Pt(0, n)), p.Sub(image.Pt(0, n))
		}
		if q.X < c.W && q.Y < c.H {
			after = max(after, z.level.Odds[q.Y*c.W+q.X])
		}
		if s.X >= 0 && s.Y >= 0 {
			before = max(before, z.level.Odds[s.Y*c.W+s.X])
		}
	}
	typical := z.stroke
	if z.dark {
		typical = -typical
	}
	o = append(o, dx, dy, dx/short, long, short, r.Odds, float32(r.Level), first, typical, float32(len(r.Cells))/(long*short), min(before, after), max(before, after))
	for _, v := range z.level.numbers[(p.Y*c.W+p.X)*width:][:width] {
		o = append(o, float32(v))
	}
	_ = o
}

// Odds are those of a cell of the zone being of the region's text.
func (z *Zone) Odds(m *Model, p image.Point) float32 {
	k := (p.Y-z.Box.Min.Y)*z.Box.Dx() + p.X - z.Box.Min.X
	if !z.asked[k] {
		var f [ConditionalFeatures]float32
		z.Describe(m, p, &f)
		z.odds[k], z.asked[k] = m.Conditional.Odds(f[:]), true
	}
	return z.odds[k]
}

// Complete is the cells of the region's text: of its own cells those with odds above keep, and what is reached from them along the line by cells with odds above grow, over gaps as
// they are between words; across the line, where there is seldom more of it, by neighbours with odds above side.
func (r *Region) Complete(m *Model, keep, grow, side float32) []image.Point {
	z := r.Zone()
	in := make([]bool, z.Box.Dx()*z.Box.Dy())
	at := func(p image.Point) *bool { return &in[(p.Y-z.Box.Min.Y)*z.Box.Dx()+p.X-z.Box.Min.X] }
	var cells, edge []image.Point
	add := func(p image.Point) {
		if t := at(p); !*t {
			*t = true
			cells = append(cells, p)
		}
	}
	for _, p := range r.Cells {
		if z.Odds(m, p) > keep {
			add(p)
		}
	}
	edge = slices.Clone(cells)
	short := min(r.Box.Dx(), r.Box.Dy())
	gap := min(6, 2+short/2)
	for len(edge) > 0 {
		p := edge[len(edge)-1]
		edge = edge[:len(edge)-1]
		try := func(step image.Point, most int, least float32) {
			for n := 1; n <= most; n++ {
				q := p.Add(step.Mul(n))
				if !q.In(z.Box) || *at(q) {
					return
				}
				if z.Odds(m, q) > least {
					for k := 1; k <= n; k++ {
						add(p.Add(step.Mul(k)))
					}
					edge = append(edge, q)
					return
				}
			}
		}
		w, h := r.Box.Dx(), r.Box.Dy()
		for _, s := range [...]struct {
			step image.Point
			line bool // it may run this way
		}{{image.Pt(1, 0), w*4 >= h*3}, {image.Pt(0, 1), h*4 >= w*3}} {
			most, least := 1, side
			if s.line {
				most, least = gap, grow
			}
			try(s.step, most, least)
			try(s.step.Mul(-1), most, least)
		}
	}
	return cells
}
