package sample

import "math"

// An Anatomy is a generated part of a body, or a phantom, as a scanner would find it: tissue at places in mm, x to the left hand, y to the back, z to the head. It is coarse, and no
// likeness of anybody: what there is of a face is a nose, orbits, lips, a chin and ears, of sizes that a seed varies.
type Anatomy struct {
	Name string
	Face bool // there is one
	Head bool // there is one, with a face or without

	// Middle is where a scan of it is centred, Extent its size, in mm.
	Middle, Extent [3]float64

	hu func(x, y, z float64) float64
}

// HU is the tissue at a place in Hounsfield units.
func (a *Anatomy) HU(x, y, z float64) float64 { return a.hu(x, y, z) }

// Weighting is what an MR image shows bright.
type Weighting uint8

// The weightings.
const (
	T1 Weighting = iota
	T2
	FatSaturated
)

// MR is the signal at a place without a coil's sensitivity and without noise, from 0 to 1000: by the tissue that its Hounsfield units stand for.
func (a *Anatomy) MR(x, y, z float64, w Weighting) float64 {
	hu := a.hu(x, y, z)
	switch {
	case hu < -300: // air and lung
		return 0
	case hu < -30: // fat and skin
		return [...]float64{900, 600, 120}[w]
	case hu < 20: // cerebrospinal fluid
		return [...]float64{130, 950, 150}[w]
	case hu < 45: // brain
		return [...]float64{520, 420, 480}[w]
	case hu < 120: // muscle, organs
		return [...]float64{380, 260, 420}[w]
	case hu < 300: // marrow
		return [...]float64{700, 450, 160}[w]
	}
	return 30 // cortical bone, enamel
}

// Uptake is what a PET with FDG shows at a place, as a standardised uptake value.
func (a *Anatomy) Uptake(x, y, z float64) float64 {
	hu := a.hu(x, y, z)
	switch {
	case hu < -950:
		return 0
	case hu < -300:
		return 0.35
	case hu < -30:
		return 0.35
	case hu < 20:
		return 0.6
	case hu < 45 && a.Head && inHead(a, x, y, z):
		return 7
	case hu < 120:
		return 1.1
	}
	return 0.7
}

// inHead tells brain from other tissue that is as dense: nothing below a whole body's neck is brain.
func inHead(a *Anatomy, _, _, z float64) bool { return a.Name != "whole body" || z > -75 }

// draw is a number between low and high that the seed decides.
func draw(seed uint64, k int, low, high float64) float64 {
	return low + (high-low)*float64(mix(seed+uint64(k)*0x9E3779B97F4A7C15)>>11)/(1<<53)
}

// A skull is the shape of a head. Lengths are of an adult before scale.
type skull struct {
	scale                 float64
	wide, long, high      float64 // semi-axes of the cranium with its skin
	face                  float64 // length of the face, of an adult's
	nose, jaw, chin, lips float64 // how far they stand out or how wide they are
	neck                  float64 // semi-axis
	tissue                uint64
}

func newSkull(seed uint64, child bool) *skull {
	s := &skull{scale: draw(seed, 1, 0.94, 1.06), wide: draw(seed, 2, 70, 80), long: draw(seed, 3, 90, 101), high: draw(seed, 4, 78, 88), face: draw(seed, 5, 0.92, 1.08),
		nose: draw(seed, 6, 16, 29), jaw: draw(seed, 7, 44, 56), chin: draw(seed, 8, -4, 6), lips: draw(seed, 9, 2, 6), neck: draw(seed, 10, 54, 66), tissue: mix(seed ^ 0xFACE)}
	if child { // of about three years: a large cranium, a short face, a small nose
		s.scale, s.face, s.nose, s.neck = draw(seed, 1, 0.80, 0.88), 0.75, draw(seed, 6, 10, 14), 42
	}
	return s
}

// at is the tissue of a head whose largest cross section is at z 30 and whose vertex is at 30 plus high.
func (s *skull) at(x, y, z float64) float64 {
	x, y, z = x/s.scale, y/s.scale, z/s.scale
	ax := math.Abs(x)
	front := s.front(x, z)
	c := ellipsoid(x, y-6, z-30, s.wide, s.long, s.high)
	inFace := z < 34 && y > front && y < 20 && ax < s.halfWidth(z) && z > s.bottom()
	inNeck := z < 0 && inside(x, y, 0, 22, s.neck, s.neck*1.02) < 1
	ear := ellipsoid(ax-s.wide-3, y-14, z+2, 7, 17, 30) < 1
	if c >= 1 && !inFace && !inNeck && !ear {
		return huAir
	}
	if c < 1 {
		switch r := math.Sqrt(c); {
		case r > 0.975:
			return -20 // skin
		case r > 0.93:
			return huFat
		case r > 0.86 && !(inFace && z < 8 && y < -40):
			if z > -22 || y > 10 {
				return 900
			}
		case z > -18 || y > 18 && z > -45:
			if r > 0.82 {
				return 8 // fluid
			}
			if ellipsoid(ax-13, y-4, z-34, 8, 30, 12) < 1 {
				return 6 // ventricles
			}
			return 34
		}
	}
	// The base of the skull, and what lies below.
	switch {
	case z < 12 && z > -34 && ellipsoid(ax-32, y+62, z-6, 19, 20, 18) < 1: // orbits
		if ellipsoid(ax-32, y+68, z-6, 12.5, 12.5, 12.5) < 1 {
			return 15
		}
		return -80
	case ax < 13 && y < -18 && y > front+9 && z < 4 && z > -44: // nasal cavity
		if ax < 1.5 {
			return 60
		}
		return huAir
	case ellipsoid(ax-29, y+48, z+26, 14, 16, 16) < 1: // maxillary sinuses
		return huAir
	case ax < 9 && y > -22 && y < -4 && z < -10: // pharynx, trachea
		return huAir
	case ellipsoid(ax-50, y-16, z+16, 9, 12, 12) < 1: // mastoid cells
		return -500
	case inside(x, y, 0, 44, 17, 14) < 1 && z < -30: // spine
		if inside(x, y, 0, 50, 7, 6) < 1 {
			return huCord
		}
		return huMarrow + 60
	case z < -58 && z > s.bottom()+8 && s.arch(x, y, front): // mandible
		return 700
	case z < -46 && z > -70 && s.arch(x, y, front) && ax < 26: // teeth
		return 1600
	case inFace && y-front < 4:
		return -20
	case inFace && y-front < 9:
		return huFat
	case inFace && z > -46 && y-front < 14 && ax < 60 && ax > 14:
		return 600 // cheek bones
	case inNeck && inside(x, y, 0, 22, s.neck, s.neck*1.02) > 0.88:
		return huFat
	}
	return 55
}

// bottom is how deep the chin is.
func (s *skull) bottom() float64 { return 10 - 120*s.face }

// halfWidth is that of the face.
func (s *skull) halfWidth(z float64) float64 {
	t := clamp((30-z)/(30-s.bottom()), 0, 1) // from the brow to the chin
	return s.wide - 8 + (s.jaw-22-s.wide+8)*t*t
}

// front is the y of the face's surface.
func (s *skull) front(x, z float64) float64 {
	ax := math.Abs(x)
	t := clamp((30-z)/(30-s.bottom()), 0, 1)
	half := s.halfWidth(z)
	u := clamp(ax/half, 0, 1)
	y := 6 - s.long + 8 + 60*u*u*u + 10*t*(1-u)
	// Orbits lie back, the nose forward.
	y += 8 * math.Exp(-((ax-32)*(ax-32)/200 + (z-6)*(z-6)/150))
	if top, tip := 8.0, 8-52*s.face; z < top && z > tip-8 {
		f := clamp((top-z)/(top-tip), 0, 1) * clamp((z-tip+8)/8, 0, 1)
		w := 7 + 10*clamp((top-z)/(top-tip), 0, 1)
		y -= s.nose * f * math.Exp(-ax*ax/(w*w*0.9))
	}
	y -= s.lips * math.Exp(-(ax*ax/500 + (z-s.bottom()-38)*(z-s.bottom()-38)/60))
	y -= (8 + s.chin) * math.Exp(-(ax*ax/400 + (z-s.bottom()-12)*(z-s.bottom()-12)/120))
	return y
}

// arch is the curve of the jaws behind the lips.
func (s *skull) arch(x, y, front float64) bool {
	depth := y - s.front(0, s.bottom()+30)
	want := 14 + x*x/42
	return math.Abs(depth-want) < 6 && depth < 85
}

func ellipsoid(x, y, z, a, b, c float64) float64 { return x*x/(a*a) + y*y/(b*b) + z*z/(c*c) }

// abdomen and thighs, for what is no head.
func belly(key uint64, x, y, z float64, wide, deep float64) float64 {
	b := inside(x, y, 0, 0, wide, deep)
	switch {
	case b > 1:
		return huAir
	case b > 0.97:
		return -20
	case b > 0.72:
		return huFat
	case inside(x, y, 0, deep*0.55, 9, 8) < 1:
		return huCord
	case inside(x, y, 0, deep*0.45, 22, 19) < 1 && math.Abs(math.Mod(z+1300, 30)-15) > 3:
		return huMarrow + 80
	case inside(x, y, -wide*0.45, -10, wide*0.33, deep*0.45) < 1:
		return 62 // liver
	case ellipsoid(x-wide*0.4, y-deep*0.2, math.Mod(z+1500, 150)-75, 28, 25, 50) < 1:
		return 30 // kidney, as dense as brain
	case smooth(key, x/22, y/22, z/22) > 0.72:
		return -700 // gas
	}
	return 45 + 10*(fractal(key^7, x/12, y/12, z/12, 2)-0.5)
}

// limb is a round cross section with a bone in its middle.
func limb(x, y, wide, deep, bone float64) float64 {
	r := inside(x, y, 0, 0, wide, deep)
	b := inside(x, y, 0, 0, bone, bone)
	switch {
	case r > 1:
		return huAir
	case b < 0.5:
		return huMarrow
	case b < 1:
		return 900
	case r > 0.8:
		return huFat
	}
	return 55
}

// Anatomies are generated parts of bodies and phantoms, with shapes that the seed varies.
func Anatomies(seed uint64) []*Anatomy {
	adult, child := newSkull(seed, false), newSkull(seed^0xC41D, true)
	key := mix(seed ^ 0xB0D1)
	v := func(k int, low, high float64) float64 { return draw(seed^0xA2A7, k, low, high) }
	thorax := &chest{key: key}
	wide, deep := v(1, 150, 185), v(2, 100, 125)
	leg, calf := v(3, 68, 88), v(4, 52, 64)
	trunkAt := func(x, y, z float64) float64 { // z from the shoulders down
		switch {
		case z > -340:
			return thorax.at(x, y, z+170, 4)
		case z > -640:
			return belly(key, x, y, z, wide, deep)
		}
		return limb(math.Abs(x)-leg-6, y, leg, leg, 16)
	}
	scaled := func(s *skull, f func(x, y, z float64) bool) func(x, y, z float64) float64 {
		return func(x, y, z float64) float64 {
			if f(x, y, z) {
				return huAir
			}
			return s.at(x, y, z)
		}
	}
	never := func(_, _, _ float64) bool { return false }
	return []*Anatomy{
		{Name: "head", Face: true, Head: true, Middle: [3]float64{0, 0, 0}, Extent: [3]float64{200, 240, 250}, hu: scaled(adult, never)},
		{Name: "head of a child", Face: true, Head: true, Middle: [3]float64{0, 0, 10}, Extent: [3]float64{170, 210, 190}, hu: scaled(child, never)},
		{Name: "lower face and neck", Face: true, Head: true, Middle: [3]float64{0, 0, -75}, Extent: [3]float64{200, 240, 130}, hu: scaled(adult, never)},
		{Name: "face without vertex", Face: true, Head: true, Middle: [3]float64{0, 0, -20}, Extent: [3]float64{200, 240, 120}, hu: scaled(adult, never)},
		{Name: "brain slab", Head: true, Middle: [3]float64{0, 0, 68 * adult.scale}, Extent: [3]float64{200, 240, 70 * adult.scale}, hu: scaled(adult, never)},
		{Name: "brain with vertex", Head: true, Middle: [3]float64{0, 0, 80 * adult.scale}, Extent: [3]float64{200, 240, 95 * adult.scale}, hu: scaled(adult, never)},
		{Name: "thorax", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{400, 290, 260}, hu: func(x, y, z float64) float64 { return thorax.at(x, y, z, 3) }},
		{Name: "abdomen", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{400, 300, 240}, hu: func(x, y, z float64) float64 { return belly(key, x, y, z, wide, deep) }},
		{Name: "abdomen of a child", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{260, 220, 180}, hu: func(x, y, z float64) float64 { return belly(key, x, y, z, wide*0.58, deep*0.62) }},
		{Name: "knee", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{170, 170, 170}, hu: func(x, y, z float64) float64 {
			w := calf + 8*math.Exp(-z*z/1800) + max(0, z)*0.06
			if math.Abs(z) < 28 && inside(x, y, 0, 4, 40, 34) < 1 {
				if math.Abs(z) < 3 {
					return 60
				}
				return huMarrow + 40
			}
			if ellipsoid(x, y+w-14, z-12, 20, 10, 20) < 1 {
				return 350 // patella
			}
			return limb(x, y, w, w*1.03, 15)
		}},
		{Name: "thigh", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{240, 240, 220}, hu: func(x, y, z float64) float64 { return limb(x, y, leg+z*0.04, leg+z*0.05, 16) }},
		{Name: "legs", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{440, 260, 300}, hu: func(x, y, z float64) float64 {
			return limb(math.Abs(x)-leg-8, y, leg+z*0.05, leg+z*0.05, 16)
		}},
		{Name: "foot", Middle: [3]float64{0, -60, 0}, Extent: [3]float64{180, 330, 170}, hu: func(x, y, z float64) float64 {
			if z > -40 && inside(x, y, 0, 10, 38, 42) < 1 {
				return limb(x, y-10, 38, 42, 13)
			}
			if z <= 0 && z > -70-0.1*(y+60) && ellipsoid(x, y+60, 0, 46, 135, 1e9) < 1 && -z > (y+60)*-0.3-30 {
				return 60
			}
			return huAir
		}},
		{Name: "hand", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{150, 100, 210}, hu: func(x, y, z float64) float64 {
			if z < 10 {
				return limb(x, y, 42-max(0, -z-40)*0.1, 16+max(0, -z-40)*0.1, 9)
			}
			for k := range 4 {
				if cx := float64(k)*21 - 31; inside(x, y, cx, 0, 9, 9) < 1 && z < 85+10*math.Sin(float64(k)) {
					return limb(x-cx, y, 9, 9, 4)
				}
			}
			return huAir
		}},
		{Name: "breasts", Middle: [3]float64{0, -40, 0}, Extent: [3]float64{360, 240, 180}, hu: func(x, y, z float64) float64 {
			if ellipsoid(math.Abs(x)-85, y+95, z, 62, 85, 68) < 1 {
				if smooth(key, x/14, y/14, z/14) > 0.55 {
					return 40
				}
				return huFat
			}
			return thorax.at(x, y, z, 3)
		}},
		{Name: "whole body", Face: true, Head: true, Middle: [3]float64{0, 0, -420}, Extent: [3]float64{440, 300, 1100}, hu: func(x, y, z float64) float64 {
			if z > -150 {
				if h := adult.at(x, y-10, z); h > huAir || z > -130 {
					return h
				}
			}
			return trunkAt(x, y, z+130)
		}},
		{Name: "body without head", Middle: [3]float64{0, 0, -500}, Extent: [3]float64{440, 300, 660}, hu: func(x, y, z float64) float64 { return trunkAt(x, y, z+130) }},
		{Name: "cylinder", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{260, 260, 200}, hu: func(x, y, _ float64) float64 {
			switch r := math.Hypot(x, y); {
			case r > v(5, 80, 105):
				return huAir
			case r > v(5, 80, 105)-5:
				return 120
			}
			return 5
		}},
		{Name: "sphere", Middle: [3]float64{0, 0, 0}, Extent: [3]float64{240, 240, 200}, hu: func(x, y, z float64) float64 {
			if math.Sqrt(x*x+y*y+z*z) > v(6, 75, 90) {
				return huAir
			}
			return 5
		}},
	}
}
