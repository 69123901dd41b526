package plant

import (
	"image"
	"math"
)

// Grainy are kinds of pictures full of grain or of texture as strong as text: it is there that text is missed most, so more of what is trained on is of them.
var Grainy = []Scene{{"gravel", gravel}, {"gravel", gravel}, {"gravel", gravel}, {"weave", weave}, {"sector", sector}, {"probe", probe}, {"noise", noisy}, {"flow", flow}}

// gravel is grain of full contrast on a ground that changes, within a fan, a strip or all of the picture: of one of several distributions, fine or coarse along each side, with holes, bands and patches of colour in it
// that end sharply.
func gravel(r *Rand, w, h int) *Canvas {
	key, W, H := r.Uint64(), float64(w), float64(h)
	kind, gx, gy := r.Intn(5), 1+r.Intn(4), 1+r.Intn(3)
	depth, curve := r.Between(0.35, 1), r.Between(0.5, 1.2)
	base, swing, s := r.Between(0.2, 0.8), r.Between(0, 0.8), r.Between(8, 90)
	shape, middle, angle := r.Intn(5), r.Between(0.3, 0.7)*W, r.Between(0.4, 0.9)
	ground := 0.04 * float64(r.Intn(2))
	var holes []blob
	for range r.Intn(5) {
		holes = append(holes, blob{r.Between(0, W), r.Between(0, H), r.Between(8, W/4), r.Between(8, H/4), r.Between(0, 3), Pick(r, []float64{0, 0.1, 0.4, 1.8})})
	}
	raw := make([]float64, (w+8)*(h+8))
	for i := range raw {
		switch kind {
		case 0: // waves that interfere
			raw[i] = math.Hypot(r.Norm(), r.Norm()) / 1.25
		case 1:
			raw[i] = 1 + 0.6*r.Norm()
		case 2:
			raw[i] = 2 * r.Float()
		case 3: // few and strong
			raw[i] = -math.Log(r.Float() + 1e-6)
		case 4: // black or white
			raw[i] = 2 * float64(r.Intn(2))
		}
	}
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		switch shape {
		case 0:
			if d := math.Hypot(fx-middle, fy+H*0.1); d < H*0.2 || d > H*0.95 || math.Abs(math.Atan2(fx-middle, fy+H*0.1)) > angle {
				return ground
			}
		case 1:
			if math.Abs(fx-middle) > W*angle*0.4 {
				return ground
			}
		}
		var n float64
		for dy := range gy {
			for dx := range gx {
				n += raw[(y+dy)*(w+8)+x+dx]
			}
		}
		many := float64(gx * gy)
		n = 1 + (n/many-1)*math.Sqrt(many)*0.8
		v := base + swing*(Fractal(key, fx/s, fy/s, 3)-0.5)
		for _, o := range holes {
			if o.at(fx, fy) < 1 {
				v *= o.v
			}
		}
		return math.Pow(clamp(v*(1-depth+depth*max(0, n))), curve)
	})
	if r.Chance(0.25) {
		c.Colour()
		t := r.Between(15, 70)
		box := image.Rect(r.Intn(w/2), r.Intn(h/2), w/2+r.Intn(w/2), h/2+r.Intn(h/2))
		warm, cold := [3]float64{1, r.Between(0, 0.9), r.Between(0, 0.3)}, [3]float64{r.Between(0, 0.3), r.Between(0, 0.9), 1}
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				f, hue := Fractal(key+7, float64(x)/t, float64(y)/t, 2), warm
				if f < 0.5 {
					hue = cold
				}
				if math.Abs(f-0.5) > 0.1 {
					for k := range 3 {
						c.Planes[k][y*w+x] = float32(clamp(hue[k] * (0.4 + 2*math.Abs(f-0.5))))
					}
				}
			}
		}
	}
	if r.Chance(0.3) {
		c.bar(r)
	}
	return c
}

// weave is a texture of ridges: waves of a few directions, or the borders of patches, sharp or soft, beside areas that are even.
func weave(r *Rand, w, h int) *Canvas {
	key := r.Uint64()
	type wave struct{ x, y, phase float64 }
	var waves []wave
	for range 1 + r.Intn(4) {
		dir, k := r.Between(0, 6.28), 6.28/r.Between(4, 40)
		waves = append(waves, wave{k * math.Cos(dir), k * math.Sin(dir), r.Between(0, 6.28)})
	}
	base, swing, hard, s, ridges := r.Between(0.2, 0.8), r.Between(0.1, 0.7), math.Exp(r.Between(-1, 2.5)), r.Between(6, 40), r.Chance(0.5)
	edge, even := r.Between(0.35, 0.75), r.Between(0, 1)
	c := NewCanvas(w, h, 1).fill(func(x, y int) float64 {
		fx, fy := float64(x), float64(y)
		if Fractal(key+3, fx/120, fy/120, 2) > edge {
			return even
		}
		var v float64
		if ridges {
			v = 1 - 8*math.Abs(Fractal(key, fx/s, fy/s, 2)-0.5)
		} else {
			for _, q := range waves {
				v += math.Sin(q.x*fx + q.y*fy + q.phase)
			}
			v /= math.Sqrt(float64(len(waves)))
		}
		return base + swing/2*math.Tanh(v*hard)
	})
	c.grain(r, r.Between(0, 0.06), r.Chance(0.5))
	return c
}
