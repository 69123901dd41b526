package plant

import (
	"image"
	"math"
)

// treat does to a picture what scanners and workstations do: a narrow window that saturates, a curve, a posterised range, sharpening, enlargement of a small picture.
func (c *Canvas) treat(r *Rand) {
	switch r.Intn(10) {
	case 0, 1:
		lo := r.Between(0, 0.4)
		hi := lo + r.Between(0.15, 0.6)
		c.curveBy(func(v float64) float64 { return clamp((v - lo) / (hi - lo)) })
	case 2:
		g := math.Exp(r.Norm() * 0.6)
		c.curveBy(func(v float64) float64 { return math.Pow(v, g) })
	case 3:
		steps := float64(3 + r.Intn(30))
		c.curveBy(func(v float64) float64 { return math.Round(v*steps) / steps })
	case 4, 5:
		c.sharpen(r.Between(0.5, 3), 1+r.Intn(3))
	case 6:
		c.enlarge(2+r.Intn(3), r.Chance(0.5))
	}
}

func (c *Canvas) curveBy(f func(float64) float64) {
	for _, p := range c.Planes {
		for i, v := range p {
			p[i] = float32(f(float64(v)))
		}
	}
}

// sharpen adds what a box blur of radius n takes away.
func (c *Canvas) sharpen(k float64, n int) {
	for q, p := range c.Planes {
		o := make([]float32, len(p))
		sums := make([]float64, (c.W+1)*(c.H+1))
		for y := range c.H {
			var run float64
			for x := range c.W {
				run += float64(p[y*c.W+x])
				sums[(y+1)*(c.W+1)+x+1] = sums[y*(c.W+1)+x+1] + run
			}
		}
		for y := range c.H {
			for x := range c.W {
				x0, y0, x1, y1 := max(0, x-n), max(0, y-n), min(c.W, x+n+1), min(c.H, y+n+1)
				mean := (sums[y1*(c.W+1)+x1] - sums[y0*(c.W+1)+x1] - sums[y1*(c.W+1)+x0] + sums[y0*(c.W+1)+x0]) / float64((x1-x0)*(y1-y0))
				v := float64(p[y*c.W+x])
				o[y*c.W+x] = float32(clamp(v + k*(v-mean)))
			}
		}
		c.Planes[q] = o
	}
}

// enlarge shows the upper left part of the picture k times as large.
func (c *Canvas) enlarge(k int, smooth bool) {
	for q, p := range c.Planes {
		o := make([]float32, len(p))
		m := &Mask{c.W, c.H, p}
		for y := range c.H {
			for x := range c.W {
				if smooth {
					o[y*c.W+x] = m.at(float64(x)/float64(k), float64(y)/float64(k))
				} else {
					o[y*c.W+x] = p[y/k*c.W+x/k]
				}
			}
		}
		c.Planes[q] = o
	}
}

// litter strews what is drawn sharply and is no text: short strokes, clips, crosses, circles, arrows, dots in a row, gleams.
func (c *Canvas) litter(r *Rand) {
	kind, n := r.Intn(7), 1+r.Intn(40)
	same := r.Chance(0.5)
	v, pen, size := r.Float(), r.Between(1, 5), r.Between(3, 16)
	for range n {
		if !same {
			v, pen, size = r.Float(), r.Between(1, 5), r.Between(3, 16)
		}
		m := newMask(int(2*size)+12, int(2*size)+12)
		x, y, dir := size+6, size+6, r.Between(0, 6.28)
		s, k := math.Sincos(dir)
		switch kind {
		case 0: // a bent stroke, as a vessel is cut
			m.line(x-k*size, y-s*size, x, y+r.Norm(), pen)
			m.line(x, y, x+k*size+r.Norm(), y+s*size+r.Norm()*2, pen*0.8)
		case 1: // a gleam
			m.line(x, y, x+r.Norm()*2, y+r.Norm()*2, size*0.7)
			m.line(x, y, x+r.Norm()*4, y+r.Norm()*4, size*0.4)
		case 2: // a cross
			m.line(x-size*0.7, y, x+size*0.7, y, min(pen, 2))
			m.line(x, y-size*0.7, x, y+size*0.7, min(pen, 2))
		case 3: // a circle
			for t := range 24 {
				a, b := float64(t)*math.Pi/12, float64(t+1)*math.Pi/12
				m.line(x+math.Cos(a)*size*0.8, y+math.Sin(a)*size*0.8, x+math.Cos(b)*size*0.8, y+math.Sin(b)*size*0.8, min(pen, 2))
			}
		case 4: // an arrow
			m.line(x-k*size, y-s*size, x+k*size*0.6, y+s*size*0.6, min(pen, 3))
			m.line(x+k*size*0.6, y+s*size*0.6, x+k*size*0.2-s*size*0.3, y+s*size*0.2+k*size*0.3, min(pen, 3))
			m.line(x+k*size*0.6, y+s*size*0.6, x+k*size*0.2+s*size*0.3, y+s*size*0.2-k*size*0.3, min(pen, 3))
		}
		grey := [3]float32{float32(v), float32(v), float32(v)}
		px, py := r.Intn(c.W), r.Intn(c.H)
		switch kind {
		case 5: // dots in a row
			for q := range 4 + r.Intn(30) {
				d := image.Pt(px+int(float64(q)*size*k), py+int(float64(q)*size*s))
				c.rect(image.Rectangle{d, d.Add(image.Pt(1+int(pen/2), 1+int(pen/2)))}, grey, 1)
			}
		case 6: // blocks, as of a colour scale
			c.rect(image.Rect(px, py, px+int(size), py+int(size*r.Between(0.5, 2))), grey, 1)
		default:
			c.put(m, px-m.W/2, py-m.H/2, grey, false)
		}
	}
}
