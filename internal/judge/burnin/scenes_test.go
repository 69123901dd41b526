package burnin

import (
	"math"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// Scenes that nothing was trained on, drawn by other means than those of package plant: speckle by interference, textures by sums of waves and by cells.
var unseen = []plant.Scene{{Name: "curved array", Draw: curved}, {Name: "Doppler", Draw: doppler}, {Name: "knee", Draw: knee}, {Name: "pelvis", Draw: pelvis}, {Name: "dense breast", Draw: dense},
	{Name: "whole body", Draw: body}, {Name: "coronary", Draw: coronary}, {Name: "endoscopy", Draw: endoscopy}, {Name: "dose page", Draw: page}, {Name: "worklist", Draw: worklist}}

// waves is a smooth texture from 0 to 1: a sum of waves in all directions.
type waves struct{ kx, ky, phase []float64 }

func newWaves(r *plant.Rand, n int, least, most float64) waves {
	var w waves
	for range n {
		dir, k := r.Between(0, 2*math.Pi), 2*math.Pi/math.Exp(r.Between(math.Log(least), math.Log(most)))
		w.kx, w.ky, w.phase = append(w.kx, k*math.Cos(dir)), append(w.ky, k*math.Sin(dir)), append(w.phase, r.Between(0, 6.3))
	}
	return w
}

func (w waves) at(x, y float64) float64 {
	var s float64
	for i := range w.kx {
		s += math.Sin(w.kx[i]*x + w.ky[i]*y + w.phase[i])
	}
	return 0.5 + 0.5*s/math.Sqrt(float64(len(w.kx)))/1.6
}

// cells is how far the two nearest of scattered points are.
func cellular(key uint64, x, y float64) (near, next float64) {
	near, next = 9, 9
	ix, iy := math.Floor(x), math.Floor(y)
	for j := iy - 1; j <= iy+1; j++ {
		for i := ix - 1; i <= ix+1; i++ {
			r := plant.NewRand(key ^ uint64(int64(i))*73856093 ^ uint64(int64(j))*19349663)
			d := math.Hypot(i+r.Float()-x, j+r.Float()-y)
			if d < near {
				near, next = d, near
			} else if d < next {
				next = d
			}
		}
	}
	return near, next
}

func paint(c *plant.Canvas, at func(x, y float64) float64) *plant.Canvas {
	for y := range c.H {
		for x := range c.W {
			v := float32(min(1, max(0, at(float64(x), float64(y)))))
			for _, p := range c.Planes {
				p[y*c.W+x] = v
			}
		}
	}
	return c
}

// speckle is the magnitude of scattered waves, smooth over a few pixels, about 1.
func speckle(r *plant.Rand, w, h, grain int) []float64 {
	re, im := make([]float64, w*h), make([]float64, w*h)
	for i := range re {
		re[i], im[i] = r.Norm(), r.Norm()
	}
	o := make([]float64, w*h)
	for y := range h {
		for x := range w {
			var a, b float64
			n := 0.0
			for dy := range 2 {
				for dx := range grain {
					if x+dx < w && y+dy < h {
						a, b, n = a+re[(y+dy)*w+x+dx], b+im[(y+dy)*w+x+dx], n+1
					}
				}
			}
			o[y*w+x] = math.Hypot(a, b) / math.Sqrt(n) / 1.25
		}
	}
	return o
}

func curved(r *plant.Rand, w, h int) *plant.Canvas {
	sp, tex := speckle(r, w, h, 2+r.Intn(4)), newWaves(r, 12, 20, 200)
	W, H := float64(w), float64(h)
	r0, cx, span, gamma := H*r.Between(0.1, 0.3), W*r.Between(0.45, 0.55), r.Between(0.5, 0.75), r.Between(0.25, 0.6)
	cyst := [3]float64{W * r.Between(0.4, 0.6), H * r.Between(0.4, 0.7), H * r.Between(0.04, 0.12)}
	c := paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 {
		dx, dy := x-cx, y-H*0.1+r0
		d := math.Hypot(dx, dy)
		if d < r0*1.05 || d > H*0.85+r0*0.5 || math.Abs(math.Atan2(dx, dy)) > span {
			return 0
		}
		v := math.Pow(sp[int(y)*w+int(x)], 0.8) * (0.15 + 0.75*tex.at(x, y))
		if math.Hypot(x-cyst[0], y-cyst[1]) < cyst[2] {
			v *= 0.1
		}
		return math.Pow(v, 1/(1+gamma)) * 0.7
	})
	if r.Chance(0.5) { // the wedge of greys
		for y := range h / 3 {
			for x := range 10 {
				c.Planes[0][(y+h/3)*w+w-20+x] = float32(y) / float32(h/3)
			}
		}
	}
	return c
}

func doppler(r *plant.Rand, w, h int) *plant.Canvas {
	c := curved(r, w, h)
	c.Colour()
	flow := newWaves(r, 6, 60, 160)
	for y := h / 3; y < h*2/3; y++ {
		for x := w / 3; x < w*2/3; x++ {
			if v := flow.at(float64(x), float64(y)); v > 0.6 {
				i := y*w + x
				c.Planes[0][i], c.Planes[1][i], c.Planes[2][i] = float32(min(1, v)), float32(v-0.6)*2, 0
			} else if v < 0.35 {
				i := y*w + x
				c.Planes[0][i], c.Planes[1][i], c.Planes[2][i] = 0, float32(0.35-v), float32(1-v)
			}
		}
	}
	return c
}

func noise(r *plant.Rand, c *plant.Canvas, sigma float64) *plant.Canvas {
	for _, p := range c.Planes {
		for i := range p {
			p[i] = float32(min(1, max(0, float64(p[i])+sigma*r.Norm())))
		}
	}
	return c
}

func knee(r *plant.Rand, w, h int) *plant.Canvas {
	tex, fine := newWaves(r, 10, 30, 150), newWaves(r, 16, 5, 14)
	W, H := float64(w), float64(h)
	joint, bow := H*r.Between(0.45, 0.55), r.Between(0.02, 0.06)
	return noise(r, paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 {
		u := x/W - 0.5
		leg := 0.36 + 0.05*math.Cos(y/H*6)
		if math.Abs(u) > leg {
			return 0.015
		}
		if math.Abs(u) > leg-0.02 {
			return 0.75
		}
		line := joint + bow*H*math.Cos(u*14)
		if math.Abs(u) < 0.26+0.05*math.Cos((y-joint)/H*5) {
			if d := math.Abs(y - line); d < 6 {
				return 0.1
			} else if d < 13 {
				return 0.9
			}
			return 0.45 + 0.15*tex.at(x, y) + 0.1*fine.at(x, y)
		}
		return 0.25 + 0.25*tex.at(x, y)
	}), r.Between(0.01, 0.04))
}

func pelvis(r *plant.Rand, w, h int) *plant.Canvas {
	tex, fine := newWaves(r, 10, 40, 200), newWaves(r, 20, 6, 20)
	W, H := float64(w), float64(h)
	streak := r.Between(0, 0.05)
	return noise(r, paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 {
		u, v := (x-W/2)/(W*0.42), (y-H/2)/(H*0.3)
		switch d := math.Hypot(u, v); {
		case d > 1:
			if y > H*0.84 && y < H*0.855 || y > H*0.9 && y < H*0.91 {
				return 0.25
			}
			return 0.01
		case d > 0.85:
			return 0.38 + 0.02*fine.at(x, y)
		}
		for _, s := range []float64{-1, 1} {
			d := math.Hypot((u-s*0.55)*1.1, (v-0.1)*1.2)
			if d < 0.18 {
				return 0.62 + 0.15*fine.at(x, y)
			}
			if d < 0.22 {
				return 0.95
			}
		}
		return 0.48 + 0.06*tex.at(x, y) + streak*math.Sin(y*0.5)*math.Exp(-v*v*8)
	}), r.Between(0.005, 0.04))
}

func dense(r *plant.Rand, w, h int) *plant.Canvas {
	key, tex := r.Uint64(), newWaves(r, 30, 8, 200)
	W, H := float64(w), float64(h)
	s := r.Between(18, 50)
	return noise(r, paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 {
		d := math.Hypot(x/(W*0.7), (y-H/2)/(H*0.42))
		if d > 1 {
			return 0
		}
		near, next := cellular(key, x/s, y/s/1.6)
		return (0.2 + 0.4*tex.at(x, y) + 0.3*math.Exp(-(next-near)*9)) * math.Min(1, (1-d)*4)
	}), r.Between(0.002, 0.02))
}

func body(r *plant.Rand, w, h int) *plant.Canvas {
	tex := newWaves(r, 12, 10, 60)
	W, H := float64(w), float64(h)
	type spot struct{ x, y, s, v float64 }
	spots := []spot{{0.5, 0.1, 14, 0.9}, {0.5, 0.85, 12, 1}, {0.42, 0.5, 10, 0.5}, {0.58, 0.5, 10, 0.5}}
	for range 5 + r.Intn(8) {
		spots = append(spots, spot{r.Between(0.35, 0.65), r.Between(0.15, 0.8), r.Between(2, 7), r.Between(0.2, 1)})
	}
	invert := r.Chance(0.6)
	return noise(r, paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 {
		v := 0.0
		if math.Abs(x/W-0.5) < 0.16+0.04*math.Sin(y/H*9) {
			v = 0.05 + 0.1*tex.at(x, y)
		}
		for _, s := range spots {
			v += s.v * math.Exp(-((x-s.x*W)*(x-s.x*W)+(y-s.y*H)*(y-s.y*H))/s.s/s.s/2)
		}
		if invert {
			return 1 - v
		}
		return v
	}), r.Between(0, 0.015))
}

func coronary(r *plant.Rand, w, h int) *plant.Canvas {
	tex := newWaves(r, 14, 40, 300)
	c := paint(plant.NewCanvas(w, h, 1), func(x, y float64) float64 { return 0.45 + 0.4*tex.at(x, y) - 0.15 })
	for range 3 + r.Intn(5) {
		x, y, a, b := r.Between(0, float64(w)), r.Between(0, float64(h)/2), r.Between(-3, 3), r.Between(0.5, 4)
		bend, thick := newWaves(r, 3, 60, 200), r.Between(1, 5)
		for t := range 200 {
			x, y = x+a+4*(bend.at(float64(t), 0)-0.5), y+b+3*(bend.at(0, float64(t))-0.5)
			for dy := -7; dy <= 7; dy++ {
				for dx := -7; dx <= 7; dx++ {
					px, py := int(x)+dx, int(y)+dy
					if d := math.Hypot(float64(px)-x, float64(py)-y); px >= 0 && py >= 0 && px < w && py < h && d < thick+1 {
						i := py*w + px
						c.Planes[0][i] = min(c.Planes[0][i], 0.22+float32(max(0, d-thick))*0.3)
					}
				}
			}
			thick *= 0.995
		}
	}
	return noise(r, c, r.Between(0.01, 0.03))
}

func endoscopy(r *plant.Rand, w, h int) *plant.Canvas {
	tex, fold := newWaves(r, 16, 15, 200), newWaves(r, 5, 80, 200)
	c := paint(plant.NewCanvas(w, h, 3), func(x, y float64) float64 {
		if math.Hypot(x-float64(w)*0.6, y-float64(h)/2) > float64(h)*0.46 {
			return 0.02
		}
		v := 0.4 + 0.4*tex.at(x, y)
		if math.Abs(fold.at(x, y)-0.5) < 0.02 {
			v -= 0.2
		}
		if tex.at(x*1.3+90, y*1.3) > 0.93 {
			return 1 // a gleam
		}
		return v
	})
	for i := range c.Planes[0] {
		c.Planes[1][i] *= 0.55
		c.Planes[2][i] *= 0.45
	}
	return c
}

// page is a page with a picture and ruled lines.
func page(r *plant.Rand, w, h int) *plant.Canvas {
	dark := r.Chance(0.5)
	tint := [3]float32{float32(r.Between(0.8, 1)), float32(r.Between(0.8, 1)), float32(r.Between(0.8, 1))}
	c := plant.NewCanvas(w, h, 3)
	for k, p := range c.Planes {
		for i := range p {
			if p[i] = tint[k]; dark {
				p[i] = 1 - tint[k]
			}
		}
	}
	step := 24 + r.Intn(30)
	for y := h / 5; y < h-20; y += step {
		for x := w / 12; x < w-w/12; x++ {
			for _, p := range c.Planes {
				p[y*w+x] = 0.5
			}
		}
	}
	return c
}

// worklist is a window of a workstation: panels, a picture, shades.
func worklist(r *plant.Rand, w, h int) *plant.Canvas {
	c, sub := plant.NewCanvas(w, h, 3), knee(r, w/2, h/2)
	for y := range h {
		for x := range w {
			v := 0.15 + 0.1*float32(y)/float32(h)
			switch {
			case y < h/12:
				v = 0.8 - 0.3*float32(y)/float32(h/12)
			case x < w/8:
				v = 0.35
				if (y/20)%2 == 0 && x > 4 && x < w/8-4 {
					v = 0.45
				}
			case x > w/4 && x < w/4+w/2 && y > h/4 && y < h/4+h/2:
				v = sub.Planes[0][min(y-h/4, h/2-1)*(w/2)+min(x-w/4, w/2-1)]
			}
			for k, p := range c.Planes {
				p[y*w+x] = min(1, v*(1+0.05*float32(k)))
			}
		}
	}
	return c
}
