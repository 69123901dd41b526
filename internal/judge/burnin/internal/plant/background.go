// Package plant makes pictures like those of scanners, with and without text on them, for training the detector and for measuring it. Nobody in them exists.
package plant

import (
	"image"
	"math"
)

// A Scene is a kind of picture without text.
type Scene struct {
	Name string
	Draw func(r *Rand, w, h int) *Canvas
}

// Scenes are those that the detector is trained on.
var Scenes = []Scene{
	{"sector", sector}, {"slice", slice}, {"head", head}, {"breast", breast}, {"chest", chest}, {"hot spots", spots}, {"vessels", vessels}, {"photograph", photograph}, {"screen", screen},
	{"plot", plot}, {"film", film}, {"tissue", tissue}, {"bone", trabecula}, {"noise", noisy}, {"flat", flat}, {"tiles", tiles}, {"report", report}, {"masks", masks}, {"glitter", glitter}, {"map", chart}, {"flow", flow},
	{"probe", probe}, {"probe", probe}, {"probe", probe}, {"thin", thin}, {"thin", thin}, {"strips", strips}, {"levels", levels},
}

// sector is an ultrasound image: speckle within a sector or a strip, black around it, a bar of greys, ticks.
func sector(r *Rand, w, h int) *Canvas {
	key, c := r.Uint64(), NewCanvas(w, h, 1)
	cx, top, reach := float64(w)*r.Between(0.4, 0.6), float64(h)*r.Between(-0.1, 0.15), float64(h)*r.Between(0.6, 0.95)
	half, linear, coarse := r.Between(0.4, 0.9), r.Chance(0.35), r.Between(1, 3)
	gain, decay := r.Between(0.3, 0.9), r.Between(0.3, 1.5)
	speckle := make([]float32, w*h)
	for i := range speckle {
		speckle[i] = float32(math.Abs(r.Norm()))
	}
	sw := 1 + int(coarse)
	c.fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		dx, dy := fx-cx, fy-top
		d := math.Hypot(dx, dy)
		if linear {
			if math.Abs(dx) > half*float64(w)*0.5 || dy < float64(h)*0.1 || dy > reach {
				return 0
			}
			d = dy
		} else if dy <= 0 || math.Abs(math.Atan2(dx, dy)) > half || d > reach || d < reach*0.08 {
			return 0
		}
		var s float64
		for k := range sw {
			if i := y*w + x - k; i >= 0 {
				s += float64(speckle[i])
			}
		}
		s /= float64(sw)
		return gain * math.Exp(-decay*d/reach) * (0.25 + 1.3*Fractal(key, fx/60, fy/30, 3)*Fractal(key+5, fx/17, fy/9, 2)*2) * (0.4 + 0.7*s)
	})
	if r.Chance(0.4) {
		c.bar(r)
	}
	if r.Chance(0.4) {
		c.ticks(r)
	}
	if r.Chance(0.2) {
		c.Colour()
		box := image.Rect(int(cx)-w/8, h/3, int(cx)+w/8, h/2+h/8)
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				if f := Fractal(key+9, float64(x)/25, float64(y)/20, 2); x >= 0 && x < w && f > 0.55 {
					i := y*w + x
					c.Planes[0][i], c.Planes[1][i], c.Planes[2][i] = float32(clamp((f-0.4)*3)), float32(clamp((f-0.6)*2)), float32(clamp(0.3-f/4))
					if Fractal(key+10, float64(x)/50, float64(y)/50, 1) > 0.5 {
						c.Planes[0][i], c.Planes[2][i] = c.Planes[2][i], c.Planes[0][i]
					}
				}
			}
		}
	}
	return c
}

func (c *Canvas) bar(r *Rand) {
	w, h := 6+r.Intn(14), c.H/4+r.Intn(c.H/3)
	x0, y0 := Pick(r, []int{4, c.W - w - 6, c.W / 12}), r.Intn(max(1, c.H-h-2))
	for y := range h {
		v := float32(1 - float64(y)/float64(h))
		c.rect(image.Rect(x0, y0+y, x0+w, y0+y+1), [3]float32{v, v, v}, 1)
	}
}

func (c *Canvas) ticks(r *Rand) {
	step, x0 := 6+r.Intn(30), Pick(r, []int{2, c.W - 16, c.W - 40})
	v := float32(r.Between(0.5, 1))
	long := 3 + r.Intn(5)
	for i, y := 0, 10+r.Intn(20); y < c.H-10; i, y = i+1, y+step {
		l := long
		if i%5 == 0 {
			l *= 2
		}
		c.rect(image.Rect(x0, y, x0+l, y+1+r.Intn(2)/1), [3]float32{v, v, v}, 1)
	}
	if r.Chance(0.5) {
		c.rect(image.Rect(x0, 10, x0+1, c.H-10), [3]float32{v, v, v}, 1)
	}
}

type blob struct{ x, y, a, b, turn, v float64 }

func (e blob) at(x, y float64) float64 {
	s, c := math.Sincos(e.turn)
	dx, dy := x-e.x, y-e.y
	return math.Hypot((dx*c+dy*s)/e.a, (dy*c-dx*s)/e.b)
}

// slice is a CT of the trunk: body, organs, ribs, spine, lungs, a table, noise and streaks.
func slice(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	body := blob{W / 2, H * r.Between(0.45, 0.55), W * r.Between(0.33, 0.46), H * r.Between(0.24, 0.38), r.Norm() * 0.03, 0.5}
	var parts []blob
	for range 2 + r.Intn(8) {
		parts = append(parts, blob{body.x + r.Norm()*body.a*0.4, body.y + r.Norm()*body.b*0.4, body.a * r.Between(0.05, 0.35), body.b * r.Between(0.05, 0.4), r.Between(0, 3), r.Norm() * 0.05})
	}
	if r.Chance(0.6) {
		parts = append(parts, blob{body.x - body.a*0.45, body.y, body.a * 0.32, body.b * 0.6, 0, -0.38}, blob{body.x + body.a*0.45, body.y, body.a * 0.32, body.b * 0.6, 0, -0.38})
	}
	for i := range 10 + r.Intn(14) {
		t := float64(i) * 0.35
		parts = append(parts, blob{body.x + math.Cos(t)*body.a*0.88, body.y + math.Sin(t)*body.b*0.85, r.Between(3, 12), r.Between(2, 5), t + 1.57, 0.4})
	}
	parts = append(parts, blob{body.x, body.y + body.b*0.6, W * 0.05, H * 0.04, 0, 0.35})
	table, streak := body.y+body.b+r.Between(2, 20), r.Between(0, 0.03)
	circle := r.Chance(0.5)
	air := 0.02 * float64(r.Intn(2))
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		v := air
		if e := body.at(fx, fy); e < 1 {
			v = body.v
			if e > 0.93 {
				v = 0.42
			}
			for _, p := range parts {
				if d := p.at(fx, fy); d < 1 {
					v += p.v * min(1, (1-d)*8)
				}
			}
			v += 0.04 * (Fractal(key, fx/18, fy/18, 3) - 0.5)
			v += streak * math.Sin(fy*0.8+fx*0.02)
			if v < 0.2 { // the lung has vessels
				if f := Fractal(key+3, fx/9, fy/9, 2); f > 0.66 {
					v += (f - 0.66) * 1.8
				}
			}
		} else if fy > table && fy < table+14 && math.Abs(fx-W/2) < W*0.4 {
			if v = 0.1; fy < table+2 || fy > table+12 {
				v = 0.3
			}
		}
		if circle && math.Hypot(fx-W/2, fy-H/2) > W/2 {
			return 0
		}
		return v
	})
	c.grain(r, r.Between(0, 0.04), r.Chance(0.7))
	return c
}

// head is an MR of the head: skull, folded cortex, ventricles.
func head(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	o := blob{W / 2, H / 2, W * r.Between(0.3, 0.42), H * r.Between(0.36, 0.47), r.Norm() * 0.1, 0}
	fold := r.Between(12, 30)
	invert := r.Float()
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		switch e := o.at(fx, fy); {
		case e > 1:
			return 0.01
		case e > 0.93:
			return 0.8 + 0.2*Fractal(key+1, fx/10, fy/10, 2)
		case e > 0.86:
			return 0.05
		default:
			f := Fractal(key, fx/fold+3*Fractal(key+2, fx/60, fy/60, 2), fy/fold, 3)
			v := 0.35 + 0.35*invert
			if math.Abs(f-0.5) < 0.06 {
				v = 0.15 + 0.7*(1-invert)
			} else if e > 0.6 {
				v += 0.3 * (f - 0.5)
			}
			if math.Abs(fx-W/2) < W*0.06 && math.Abs(fy-H*0.48) < H*0.12 && f > 0.4 {
				v = 0.1 + 0.8*(1-invert)
			}
			return v * (0.7 + 0.5*Fractal(key+7, fx/200, fy/200, 1))
		}
	})
	c.grain(r, r.Between(0.005, 0.05), r.Chance(0.5))
	return c
}

// breast is a mammogram.
func breast(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	left := r.Chance(0.5)
	o := blob{0, H * r.Between(0.4, 0.6), W * r.Between(0.4, 0.8), H * r.Between(0.3, 0.45), 0, 0}
	back, dense := 0.05*r.Float()*float64(r.Intn(2)), r.Between(0.2, 0.7)
	type speck struct{ x, y, s float64 }
	var specks []speck
	for range r.Intn(20) {
		specks = append(specks, speck{r.Between(0, o.a*0.7), o.y + r.Norm()*o.b*0.3, r.Between(0.8, 2.5)})
	}
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		if !left {
			fx = W - fx
		}
		e := o.at(fx, fy)
		if e > 1 {
			return back
		}
		v := 0.25 + dense*Fractal(key, fx/W*6, fy/W*6, 6)*min(1, (1-e)*3)
		ridge := math.Abs(Fractal(key+1, fx/40, fy/70, 4) - 0.5)
		v += 0.25 * math.Exp(-ridge*30)
		for _, s := range specks {
			if d := math.Hypot(fx-s.x, fy-s.y); d < s.s*2 {
				v += 0.5 * math.Exp(-d*d/s.s/s.s)
			}
		}
		return v
	})
	c.grain(r, r.Between(0.003, 0.02), r.Chance(0.5))
	return c
}

// chest is a radiograph: ribs, spine, heart, wires.
func chest(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	gap, bend := H*r.Between(0.06, 0.11), r.Between(0.5, 1.5)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		u := math.Abs(fx/W-0.5) * 2
		v := 0.35 + 0.3*math.Exp(-u*u*60) + 0.25*u*u
		rib := math.Mod(fy+bend*gap*u*2+20*Fractal(key, fx/200, fy/200, 1), gap) / gap
		if u > 0.08 && u < 0.85 {
			v += 0.08 * math.Exp(-(rib-0.5)*(rib-0.5)*49)
			if math.Abs(rib-0.3) < 0.02 {
				v += 0.06
			}
		}
		if math.Hypot((fx/W-0.56)*3, (fy/H-0.6)*2.5) < 0.6 {
			v += 0.15
		}
		return v*(0.8+0.3*Fractal(key+2, fx/150, fy/150, 3)) + 0.05*Fractal(key+4, fx/12, fy/12, 3)
	})
	for range r.Intn(3) {
		c.curve(r, r.Between(0.05, 0.4), r.Between(1, 4))
	}
	if r.Chance(0.3) { // collimation
		v := float32(Pick(r, []float64{0, 1, 0.02}))
		k := r.Intn(w / 8)
		c.rect(image.Rect(0, 0, k, h), [3]float32{v}, 1)
		c.rect(image.Rect(w-k, 0, w, h), [3]float32{v}, 1)
	}
	c.grain(r, r.Between(0.003, 0.03), r.Chance(0.5))
	return c
}

// curve adds a smooth line across the picture.
func (c *Canvas) curve(r *Rand, v, pen float64) {
	key := r.Uint64()
	x, y, dir := r.Between(0, float64(c.W)), r.Between(0, float64(c.H)), r.Between(0, 6.28)
	m := newMask(c.W, c.H)
	for i := range 40 + r.Intn(160) {
		dir += (Fractal(key, float64(i)/12, 0.5, 2) - 0.5) * 0.8
		nx, ny := x+math.Cos(dir)*6, y+math.Sin(dir)*6
		m.line(x, y, nx, ny, pen)
		if x, y = nx, ny; x < -20 || y < -20 || x > float64(c.W)+20 || y > float64(c.H)+20 {
			break
		}
	}
	f := float32(v)
	c.put(m, 0, 0, [3]float32{f, f, f}, true)
}

// spots is a PET image, as it is or inverted.
func spots(r *Rand, w, h int) *Canvas {
	key := r.Uint64()
	var at []blob
	for range 3 + r.Intn(12) {
		at = append(at, blob{r.Between(0.2, 0.8) * float64(w), r.Between(0.1, 0.9) * float64(h), r.Between(4, 40), r.Between(4, 40), r.Between(0, 3), r.Between(0.2, 1)})
	}
	block := 1 + r.Intn(4)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x/block*block), float64(y/block*block)
		v := 0.0
		for _, b := range at {
			d := b.at(fx, fy)
			v += b.v * math.Exp(-d*d)
		}
		if math.Abs(fx/float64(w)-0.5) < 0.3 {
			v += 0.08 * Fractal(key, fx/14, fy/14, 3)
		}
		return v
	})
	if r.Chance(0.5) {
		c.Inverted()
	}
	return c
}

// vessels is an angiogram.
func vessels(r *Rand, w, h int) *Canvas {
	key := r.Uint64()
	ground := r.Between(0.4, 0.8)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 { return ground + 0.3*(Fractal(key, float64(x)/120, float64(y)/120, 4)-0.5) })
	m := newMask(w, h)
	var grow func(x, y, dir, pen float64, depth int)
	grow = func(x, y, dir, pen float64, depth int) {
		for range 10 + r.Intn(40) {
			dir += r.Norm() * 0.18
			nx, ny := x+math.Cos(dir)*5, y+math.Sin(dir)*5
			m.line(x, y, nx, ny, pen)
			x, y = nx, ny
			pen *= 0.99
			if depth > 0 && r.Chance(0.08) {
				grow(x, y, dir+Pick(r, []float64{-0.7, 0.7}), pen*0.75, depth-1)
			}
		}
	}
	for range 1 + r.Intn(3) {
		grow(r.Between(0, float64(w)), 0, 1.57+r.Norm()*0.4, r.Between(3, 12), 4)
	}
	f := float32(-r.Between(0.15, 0.5))
	c.put(m.Soft(1), -1, -1, [3]float32{f, f, f}, true)
	c.grain(r, r.Between(0.01, 0.04), r.Chance(0.5))
	if r.Chance(0.3) {
		c.Inverted()
	}
	if r.Chance(0.5) {
		c.rim()
	}
	return c
}

// rim makes all outside a circle black, as image intensifiers do.
func (c *Canvas) rim() {
	for y := range c.H {
		for x := range c.W {
			if math.Hypot(float64(x)-float64(c.W)/2, float64(y)-float64(c.H)/2) > float64(min(c.W, c.H))*0.5 {
				for _, p := range c.Planes {
					p[y*c.W+x] = 0
				}
			}
		}
	}
}

// photograph is something coloured, with soft and hard edges.
func photograph(r *Rand, w, h int) *Canvas {
	key, c := r.Uint64(), NewCanvas(w, h, 3)
	scale, hard := r.Between(20, 150), r.Between(0, 10)
	for k := range 3 {
		lo, hi := r.Between(0, 0.4), r.Between(0.5, 1)
		for y := range h {
			for x := range w {
				f := Fractal(key+uint64(k/2), float64(x)/scale, float64(y)/scale, 6)
				g := Fractal(key+50, float64(x)/scale/2, float64(y)/scale/2, 2)
				if hard > 1 {
					g = 1 / (1 + math.Exp(-(g-0.5)*hard*10))
				}
				c.Planes[k][y*w+x] = float32(clamp(lo + (hi-lo)*(0.6*f+0.4*g)))
			}
		}
	}
	for range r.Intn(6) {
		c.curve(r, r.Norm()*0.4, r.Between(1, 6))
	}
	c.grain(r, r.Between(0, 0.03), false)
	return c
}

// screen is a capture: frames, panels, buttons, small pictures.
func screen(r *Rand, w, h int) *Canvas {
	c := NewCanvas(w, h, 3)
	grey := func(v float64) [3]float32 { return [3]float32{float32(v), float32(v), float32(v)} }
	c.rect(image.Rect(0, 0, w, h), grey(r.Float()), 1)
	for range 4 + r.Intn(20) {
		x, y, a, b := r.Intn(w), r.Intn(h), 8+r.Intn(w/3), 8+r.Intn(h/3)
		v := [3]float32{float32(r.Float()), float32(r.Float()), float32(r.Float())}
		if r.Chance(0.7) {
			v = grey(r.Float())
		}
		box := image.Rect(x, y, x+a, y+b)
		c.rect(box, v, 1)
		if r.Chance(0.5) {
			c.rect(box.Inset(1+r.Intn(3)), grey(r.Float()), 1)
		}
	}
	if r.Chance(0.6) {
		sub := Pick(r, []func(*Rand, int, int) *Canvas{slice, head, spots})(r, w/2, h/2)
		sub.Colour()
		x0, y0 := r.Intn(w/2), r.Intn(h/2)
		for k := range 3 {
			for y := range sub.H {
				copy(c.Planes[k][(y+y0)*w+x0:][:sub.W], sub.Planes[k][y*sub.W:][:sub.W])
			}
		}
	}
	for range r.Intn(4) {
		c.ticks(r)
	}
	return c
}

// plot is curves over a grid: an ECG, a dose, a flow.
func plot(r *Rand, w, h int) *Canvas {
	c := NewCanvas(w, h, 1)
	ground, ink := r.Between(0, 0.2), r.Between(0.5, 1)
	if r.Chance(0.4) {
		ground, ink = 1-ground, 1-ink
	}
	c.fill(func(int, int) float64 { return ground })
	grey := func(v float64) [3]float32 { return [3]float32{float32(v), float32(v), float32(v)} }
	if step := 8 + r.Intn(50); r.Chance(0.7) {
		v := grey(ground + (ink-ground)*r.Between(0.1, 0.5))
		for x := r.Intn(step); x < w; x += step {
			c.rect(image.Rect(x, 0, x+1, h), v, 1)
		}
		for y := r.Intn(step); y < h; y += step {
			c.rect(image.Rect(0, y, w, y+1), v, 1)
		}
	}
	for range 1 + r.Intn(3) {
		m, y0, beat, tall, pen := newMask(w, h), r.Between(0.2, 0.8)*float64(h), r.Between(40, 200), r.Between(10, 80), r.Between(1, 2.5)
		kind, key := r.Intn(3), r.Uint64()
		py := y0
		for x := 1; x < w; x += 2 {
			t := math.Mod(float64(x), beat) / beat
			y := y0
			switch kind {
			case 0: // an ECG
				switch {
				case t > 0.4 && t < 0.44:
					y -= tall * (t - 0.4) / 0.04
				case t >= 0.44 && t < 0.48:
					y -= tall * (0.48 - t) / 0.04 * 1.2
				case t > 0.6 && t < 0.8:
					y -= tall * 0.2 * math.Sin((t-0.6)/0.2*math.Pi)
				}
			case 1:
				y -= tall * Fractal(key, float64(x)/30, 0, 4)
			case 2:
				y -= tall * math.Abs(math.Sin(t*math.Pi))
			}
			m.line(float64(x-2), py, float64(x), y, pen)
			py = y
		}
		c.put(m, 0, 0, grey(ink), false)
	}
	for range r.Intn(12) { // marks
		m := newMask(16, 16)
		a := r.Intn(2)
		m.line(3, 3+float64(a)*5, 13, 13-float64(a)*5, 1.5)
		m.line(3+float64(a)*5, 13, 13-float64(a)*5, 3, 1.5)
		c.put(m, r.Intn(w), r.Intn(h), grey(ink), false)
	}
	c.ticks(r)
	if r.Chance(0.3) {
		c.bar(r)
	}
	return c
}

// film is a digitised film: soft, scratched, with borders and plates.
func film(r *Rand, w, h int) *Canvas {
	c := Pick(r, []func(*Rand, int, int) *Canvas{chest, breast, head})(r, w, h)
	for range 1 + r.Intn(4) {
		c.curve(r, r.Norm()*0.2, 1)
	}
	grey := func(v float64) [3]float32 { return [3]float32{float32(v), float32(v), float32(v)} }
	if r.Chance(0.5) {
		k := 4 + r.Intn(20)
		v := grey(r.Between(0.8, 1))
		c.rect(image.Rect(0, 0, w, k), v, 1)
		c.rect(image.Rect(0, 0, k, h), v, 1)
	}
	if r.Chance(0.5) { // a plate for the name, empty
		x, y := r.Intn(w*2/3), r.Intn(h*2/3)
		c.rect(image.Rect(x, y, x+w/4, y+h/8), grey(r.Between(0, 1)), 0.9)
	}
	c.grain(r, r.Between(0.01, 0.03), true)
	return c
}

// tissue is stained histology: nuclei and fibres.
func tissue(r *Rand, w, h int) *Canvas {
	key, c := r.Uint64(), NewCanvas(w, h, 3)
	size := r.Between(8, 30)
	for y := range h {
		for x := range w {
			fx, fy := float64(x), float64(y)
			f := Fractal(key, fx/50, fy/50, 4)
			v := [3]float64{0.9 - 0.2*f, 0.6 - 0.3*f, 0.8 - 0.2*f}
			i, j := int(fx/size), int(fy/size)
			if hash(key+1, i, j) > 0.4 {
				dx, dy := fx-(float64(i)+0.3+0.4*hash(key+2, i, j))*size, fy-(float64(j)+0.3+0.4*hash(key+3, i, j))*size
				if math.Hypot(dx, dy*1.3) < size*(0.15+0.2*hash(key+4, i, j)) {
					v = [3]float64{0.35 + 0.2*f, 0.2 + 0.2*f, 0.5}
				}
			}
			for k := range 3 {
				c.Planes[k][y*w+x] = float32(clamp(v[k]))
			}
		}
	}
	c.grain(r, 0.02, true)
	return c
}

// trabecula is bone or hair: many crossing thin lines.
func trabecula(r *Rand, w, h int) *Canvas {
	key := r.Uint64()
	s, k, thin := r.Between(6, 30), r.Between(0.5, 3), r.Between(10, 60)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		f := math.Abs(Fractal(key, float64(x)/s, float64(y)/s/k, 3) - 0.5)
		return 0.2 + 0.5*Fractal(key+1, float64(x)/90, float64(y)/90, 2) + 0.35*math.Exp(-f*thin) - 0.1
	})
	c.grain(r, r.Between(0, 0.03), r.Chance(0.5))
	if r.Chance(0.3) {
		c.Inverted()
	}
	return c
}

// noisy is noise of one grain, smooth or hard.
func noisy(r *Rand, w, h int) *Canvas {
	key, s := r.Uint64(), r.Between(1.5, 12)
	m, oct := r.Between(0.2, 0.7), 1+r.Intn(3)
	hard := r.Chance(0.4)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		f := Fractal(key, float64(x)/s, float64(y)/s, oct)
		if hard {
			f = 1 / (1 + math.Exp(-(f-0.55)*25))
		}
		return m*0.5 + f*(1-m)
	})
	c.grain(r, r.Between(0, 0.1), r.Chance(0.3))
	return c
}

// flat is nothing, or nearly.
func flat(r *Rand, w, h int) *Canvas {
	v, key := Pick(r, []float64{0, 0, 0, 1, 0.5, r.Float()}), r.Uint64()
	k := r.Between(0, 0.3) * float64(r.Intn(2))
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 { return v + k*(Fractal(key, float64(x)/200, float64(y)/200, 2)-0.5) })
	if r.Chance(0.5) {
		c.grain(r, r.Between(0, 0.08), false)
	}
	return c
}

// tiles is a montage of small slices, or a mosaic.
func tiles(r *Rand, w, h int) *Canvas {
	c := NewCanvas(w, h, 1)
	n := 2 + r.Intn(5)
	draw := Pick(r, []func(*Rand, int, int) *Canvas{slice, head, spots, trabecula, noisy})
	for j := range n {
		for i := range n {
			t := draw(r, w/n, h/n)
			for y := range t.H {
				copy(c.Planes[0][(j*t.H+y)*w+i*t.W:][:t.W], t.Planes[0][y*t.W:])
			}
		}
	}
	return c
}

// report is a page of rules, boxes and tables that nothing is written in.
func report(r *Rand, w, h int) *Canvas {
	c := NewCanvas(w, h, 1)
	paper, ink := 1-r.Between(0, 0.1), r.Between(0, 0.4)
	if r.Chance(0.3) {
		paper, ink = ink*0.3, paper
	}
	c.fill(func(int, int) float64 { return paper })
	v := float32(ink)
	x0, y0, dx, dy := r.Intn(w/4), r.Intn(h/4), 20+r.Intn(120), 14+r.Intn(40)
	for x := x0; x < w-10; x += dx {
		c.rect(image.Rect(x, y0, x+1, h-10), [3]float32{v, v, v}, 1)
	}
	for y := y0; y < h-10; y += dy {
		c.rect(image.Rect(x0, y, w-10, y+1), [3]float32{v, v, v}, 1)
	}
	for range r.Intn(5) {
		x, y, b := r.Intn(w), r.Intn(h), 6+r.Intn(14)
		c.rect(image.Rect(x, y, x+b, y+b), [3]float32{v, v, v}, 1)
		p := float32(paper)
		c.rect(image.Rect(x+1, y+1, x+b-1, y+b-1), [3]float32{p, p, p}, 1)
	}
	return c
}

// masks are the two or three values of a segmentation, or of a slice at a window that saturates.
func masks(r *Rand, w, h int) *Canvas {
	key, s, cut := r.Uint64(), r.Between(12, 90), r.Between(0.5, 0.68)
	oct := 1 + r.Intn(4)
	ring := r.Chance(0.5)
	lo, hi := float64(r.Intn(2)), 0.0
	hi = 1 - lo
	return NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		if Fractal(key, fx/s, fy/s, oct) > cut {
			return hi
		}
		if d := math.Hypot((fx-float64(w)/2)/float64(w), (fy-float64(h)/2)/float64(h)); ring && d > 0.42 && d < 0.44 {
			return hi
		}
		return lo
	})
}

// glitter is light on water, on grass, on wet tissue: short bright streaks that saturate, one way longer than the other.
func glitter(r *Rand, w, h int) *Canvas {
	key, c := r.Uint64(), NewCanvas(w, h, 1+2*r.Intn(2))
	sx, sy, gain, mid := r.Between(3, 25), r.Between(2, 8), r.Between(2, 8), r.Between(0.4, 0.6)
	top := r.Intn(h)
	tint := [3]float64{1, r.Between(0.5, 1), r.Between(0.2, 1)}
	turn := r.Chance(0.3)
	for y := range h {
		for x := range w {
			fx, fy := float64(x), float64(y)
			if turn {
				fx, fy = fy, fx
			}
			v := 0.5 + gain*(Fractal(key, fx/sx, fy/sy, 3)-mid)
			if y < top/2 {
				v = 0.6 + 0.1*Fractal(key, fx/80, fy/80, 1)
			}
			for k := range c.Planes {
				c.Planes[k][y*w+x] = float32(clamp(v * tint[k]))
			}
		}
	}
	return c
}

// chart is a map of a measure over an organ: few pixels enlarged, holes of nothing in it.
func chart(r *Rand, w, h int) *Canvas {
	key, block, hole := r.Uint64(), 2+r.Intn(6), r.Between(0.25, 0.5)
	s := r.Between(1.2, 5)
	o := blob{float64(w) / 2, float64(h) / 2, float64(w) * r.Between(0.25, 0.45), float64(h) * r.Between(0.3, 0.45), 0, 0}
	return NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		bx, by := x/block, y/block
		if o.at(float64(bx*block), float64(by*block)) > 1 {
			return 0
		}
		f := Fractal(key, float64(bx)/s, float64(by)/s, 3)
		if f < hole {
			return 0
		}
		return clamp(f*1.5 - 0.3 + 0.1*hash(key+1, bx, by))
	})
}

// flow is an ultrasound image with flow in colours: in branches or in patches, with its scale of colours.
func flow(r *Rand, w, h int) *Canvas {
	c := sector(r, w, h)
	c.Colour()
	key := r.Uint64()
	hue := func(f float64) [3]float32 {
		switch key % 3 {
		case 0: // power: black, red, yellow
			return [3]float32{float32(clamp(f * 2)), float32(clamp(f*2 - 0.9)), float32(clamp(f*4 - 3.2))}
		case 1: // velocity: blue to red
			if f < 0.5 {
				return [3]float32{0, float32(clamp(0.6 - f)), float32(clamp(1.2 - f*1.5))}
			}
			return [3]float32{float32(clamp(f * 1.2)), float32(clamp(f*2 - 1.2)), 0}
		}
		return [3]float32{float32(clamp(f)), float32(clamp(1.3 - f)), float32(clamp(0.4 - f/3))} // stiffness
	}
	box := image.Rect(w/6, h/5, w*5/6, h*3/4)
	m := newMask(w, h)
	branches := r.Chance(0.5)
	if branches {
		for range 10 + r.Intn(60) {
			x, y, dir, pen := r.Between(float64(box.Min.X), float64(box.Max.X)), r.Between(float64(box.Min.Y), float64(box.Max.Y)), r.Between(0, 6.28), r.Between(2, 9)
			for range 3 + r.Intn(14) {
				dir += r.Norm() * 0.5
				nx, ny := x+math.Cos(dir)*5, y+math.Sin(dir)*5
				m.line(x, y, nx, ny, pen)
				x, y, pen = nx, ny, pen*0.93
			}
		}
	}
	s, cut := r.Between(6, 50), r.Between(0.4, 0.6)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			i := y*w + x
			f := Fractal(key, float64(x)/s, float64(y)/s, 3)
			if branches && m.Ink[i] < 0.5 || !branches && f < cut {
				continue
			}
			v := hue(f)
			for k := range 3 {
				c.Planes[k][i] = v[k]
			}
		}
	}
	if r.Chance(0.6) {
		x0, n := Pick(r, []int{8, w - 30}), h/6+r.Intn(h/6)
		for y := range n {
			c.rect(image.Rect(x0, h/5+y, x0+14, h/5+y+1), hue(1-float64(y)/float64(n)), 1)
		}
	}
	return c
}
