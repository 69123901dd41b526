package plant

import (
	"image"
	"math"
)

// probe is an ultrasound image as the beam makes it: echoes that interfere, blurred along and across the beam, which fans out or not, their logarithm taken; layers, vessels, shadows.
func probe(r *Rand, w, h int) *Canvas {
	key := r.Uint64()
	W, H := float64(w), float64(h)
	fan := r.Between(0, 1.3) * float64(min(1, r.Intn(4))) // its angle; 0: side by side
	depth := 220 + r.Intn(400)
	lines := 90 + r.Intn(260)
	wide, long := r.Between(0.6, 3), r.Between(0.5, 2.5)
	re, im := smear(r, lines, depth, wide, long), smear(r, lines, depth, wide, long)
	layer, bend := r.Between(15, 120), r.Between(0, 40)
	span, tilt, loss, lift := r.Between(1.2, 3.5), r.Between(-1, 1), r.Between(-0.6, 1.6), r.Between(-0.2, 0.3)
	var holes []blob
	for range r.Intn(6) {
		holes = append(holes, blob{r.Between(0, 1), r.Between(0, 1), r.Between(0.02, 0.2), r.Between(0.02, 0.15), r.Between(0, 3), Pick(r, []float64{-4, -2, -0.7, 0.6, 1.2})})
	}
	beam := func(u, v float64) float64 { // 0..1 across and along
		if u < 0 || u >= 1 || v < 0 || v >= 1 {
			return 0
		}
		a, b := u*float64(lines-1), v*float64(depth-1)
		i, j := int(a), int(b)
		fa, fb := a-float64(i), b-float64(j)
		mix4 := func(m []float64) float64 {
			at := func(i, j int) float64 { return m[min(j, depth-1)*lines+min(i, lines-1)] }
			return (at(i, j)*(1-fa)+at(i+1, j)*fa)*(1-fb) + (at(i, j+1)*(1-fa)+at(i+1, j+1)*fa)*fb
		}
		s := math.Log(0.02 + math.Hypot(mix4(re), mix4(im)))
		s += 1.6 * (Fractal(key, u*6, (v*600+bend*math.Sin(u*5))/layer, 3) - 0.5)
		for _, o := range holes {
			if d := o.at(u, v); d < 1 {
				s += o.v * min(1, (1-d)*6)
			}
		}
		s -= loss * v
		return 0.55 + lift + s/span/2
	}
	left, top, reach := W*r.Between(-0.1, 0.25), H*r.Between(-0.05, 0.15), H*r.Between(0.75, 1.1)
	near := reach * r.Between(0.05, 0.5)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		if fan == 0 {
			return beam((fx-left)/(W-2*left)+tilt*0.1*(fy-top)/reach, (fy-top)/reach)
		}
		dx, dy := fx-W/2, fy-top+near
		d := math.Hypot(dx, dy)
		return beam(math.Atan2(dx, dy)/fan+0.5, (d-near)/reach)
	})
	if r.Chance(0.3) {
		c.bar(r)
	}
	if r.Chance(0.3) {
		c.ticks(r)
	}
	return c
}

// smear is normal noise, blurred by exponentials of a width along each side, of deviation 1.
func smear(r *Rand, w, h int, wide, long float64) []float64 {
	m := make([]float64, w*h)
	for i := range m {
		m[i] = r.Norm()
	}
	pass := func(start, step, n int, width float64) {
		k := math.Exp(-1 / width)
		for i, last := 0, 0.0; i < n; i++ {
			last = k*last + (1-k)*m[start+i*step]
			m[start+i*step] = last
		}
		for i, last := n-1, 0.0; i >= 0; i-- {
			last = k*last + (1-k)*m[start+i*step]
			m[start+i*step] = last
		}
	}
	for y := range h {
		pass(y*w, 1, w, wide)
	}
	for x := range w {
		pass(x, w, h, long)
	}
	var q float64
	for _, v := range m {
		q += v * v
	}
	for i := range m {
		m[i] /= math.Sqrt(q/float64(len(m))) + 1e-9
	}
	return m
}

// thin is what lets few rays through: an outline whose noise grows as it gets thinner, with strands and a rim, on nothing; as a mammogram whose thickness was evened out, or a radiograph of little dose.
func thin(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	o := blob{W * Pick(r, []float64{0, 1, 0.5}), H * r.Between(0.4, 0.6), W * r.Between(0.35, 0.8), H * r.Between(0.35, 0.6), r.Norm() * 0.1, 0}
	dose, strands, fine := r.Between(0.003, 0.05), r.Between(0, 0.25), r.Between(10, 60)
	dense, s, rim, ground := r.Between(0.1, 0.7), r.Between(14, 70), r.Between(0, 0.5), 0.03*float64(r.Intn(2))
	plain, power := r.Chance(0.6), r.Between(0.5, 3)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		e := o.at(fx, fy)
		if e > 1 {
			if plain {
				return ground
			}
			return ground + dose*r.Norm()*0.5
		}
		thick := math.Pow(min(1, (1-e)*4), 1/power)
		v := 0.18 + dense*max(0, Fractal(key, fx/s, fy/s, 5)-0.3)
		for k := range 2 {
			if d := math.Abs(Fractal(key+uint64(k)+1, fx/fine/3, fy/fine, 3) - 0.5); d < 0.03 {
				v += strands * (1 - d/0.03)
			}
		}
		if e > 0.97 {
			v += rim
		}
		return (v + dose*r.Norm()/(0.3+thick)) * (0.25 + 0.75*thick)
	})
	if r.Chance(0.25) {
		c.Inverted()
	}
	return c
}

// strips are parts of one picture side by side at windows of their own, and stripes, chess boards, wedges of greys as of test patterns.
func strips(r *Rand, w, h int) *Canvas {
	c := Pick(r, []func(*Rand, int, int) *Canvas{slice, chest, flat, noisy})(r, w, h)
	grey := func(v float64) [3]float32 { return [3]float32{float32(v), float32(v), float32(v)} }
	for range 1 + r.Intn(6) {
		x, y, a, b := r.Intn(w), r.Intn(h), 20+r.Intn(w/2), 20+r.Intn(h/2)
		box := image.Rect(x, y, x+a, y+b).Intersect(image.Rect(0, 0, w, h))
		step, kind, lo, hi := 2+r.Intn(24), r.Intn(5), r.Float(), r.Float()
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				i, j, v := (x-box.Min.X)/step, (y-box.Min.Y)/step, lo
				switch kind {
				case 0:
					if i%2 == 0 {
						v = hi
					}
				case 1:
					if j%2 == 0 {
						v = hi
					}
				case 2:
					if (i+j)%2 == 0 {
						v = hi
					}
				case 3:
					v = math.Mod(lo+float64(i)*0.07, 1)
				case 4: // squares apart
					if i%2 == 0 && j%2 == 0 {
						v = hash(uint64(step), i, j)
					}
				}
				for _, p := range c.Planes {
					p[y*w+x] = float32(v)
				}
			}
		}
		if r.Chance(0.3) {
			c.rect(box.Inset(step), grey(r.Float()), 0.5)
		}
	}
	return c
}

// levels is an organ in few values, as a map of classes is, edges of pixels enlarged or not.
func levels(r *Rand, w, h int) *Canvas {
	c := Pick(r, []func(*Rand, int, int) *Canvas{head, slice, breast, spots, chart})(r, w, h)
	n := float64(2 + r.Intn(7))
	c.curveBy(func(v float64) float64 { return math.Round(v*n) / n })
	if r.Chance(0.5) {
		c.enlarge(2+r.Intn(3), false)
	}
	return c
}
