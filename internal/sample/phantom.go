package sample

import "math"

// Positions are those of the patient in mm (PS3.3 C.7.6.2.1.1): x to the left hand, y to the back, z to the head. Values are Hounsfield units.

// A ball is a sphere with an edge that is as soft as a voxel.
type ball struct {
	x, y, z float64
	radius  float64
	hu      float64
}

// cover is how much of a voxel of the given size at the place lies in the ball, 0 to 1.
func (b ball) cover(x, y, z, voxel float64) float64 {
	d := math.Sqrt((x-b.x)*(x-b.x) + (y-b.y)*(y-b.y) + (z-b.z)*(z-b.z))
	return clamp((b.radius-d)/voxel+0.5, 0, 1)
}

// inside is below 1 in an elliptic cylinder along z.
func inside(x, y, cx, cy, ax, ay float64) float64 {
	u, v := (x-cx)/ax, (y-cy)/ay
	return u*u + v*v
}

const (
	huAir    = -1000
	huFat    = -100
	huMuscle = 50
	huLung   = -860
	huHeart  = 42
	huVessel = 170 // with contrast
	huCortex = 420
	huMarrow = 180
	huCord   = 30
	huTable  = -220
)

// A chest is the phantom of a thorax: body, lungs with vessels, heart, aorta, spine, ribs, sternum, trachea, and nodules.
type chest struct {
	key     uint64
	nodules []ball
}

// at is the tissue at a place, without the scanner's noise.
func (c *chest) at(x, y, z, voxel float64) float64 {
	body := inside(x, y, 0, 0, 182, 118)
	if body > 1 {
		// The arms are raised; beneath the patient lies the table.
		if y > 122 && y < 127 && math.Abs(x) < 205 {
			return huTable
		}
		return huAir
	}
	if body > 0.985 {
		return -20 // skin
	}
	wall := inside(x, y, 0, 0, 164, 102)
	if wall > 1 {
		return huFat
	}

	// Spine: body, canal, arch and spinous process; vertebrae 26 mm apart with discs between them.
	if y > 30 {
		disc := math.Abs(math.Mod(z+1300, 26)-13) < 2.5
		switch {
		case inside(x, y, 0, 78, 8.5, 7) < 1:
			return huCord
		case inside(x, y, 0, 56, 18, 15) < 1:
			switch {
			case disc:
				return 75
			case inside(x, y, 0, 56, 16, 13) < 1:
				return huMarrow + 60*(fractal(c.key^1, x/4, y/4, z/4, 2)-0.5)
			}
			return huCortex
		case !disc && inside(x, y, 0, 79, 15, 12) < 1, !disc && math.Abs(x) < 4 && y > 86 && y < 99:
			return huCortex
		}
	}
	// Ribs slope down to the front; the sternum closes them.
	if wall > 0.86 && wall < 0.955 && y < 75 {
		slope := math.Mod(z+0.55*y+2600, 26)
		if slope < 8 {
			return huCortex - 140*clamp(math.Abs(slope-4)/4, 0, 1)
		}
	}
	if math.Abs(x) < 17 && y < -87 && y > -97 {
		return 230
	}
	if wall > 0.86 {
		return huMuscle
	}

	// Mediastinum.
	switch {
	case z > 20 && inside(x, y, 0, 8, 9, 8) < 1:
		return huAir // trachea
	case inside(x, y, 20, 40, 12.5, 12.5) < 1:
		return huVessel // descending aorta
	case z > 30 && inside(x, y, -14, -32, 15, 15) < 1, z > 30 && inside(x, y, 12, -24, 12, 14) < 1:
		return huVessel - 20 // ascending aorta, pulmonary trunk
	}
	if hx, hy, hz := (x-24)/58, (y+28)/46, (z+20)/58; hx*hx+hy*hy+hz*hz < 1 {
		return huHeart + 90*clamp(2-3*math.Sqrt(hx*hx+hy*hy+hz*hz), 0, 1) // chambers hold contrast
	}

	for _, n := range c.nodules {
		if f := n.cover(x, y, z, voxel); f > 0 {
			return huLung + f*(n.hu-huLung)
		}
	}
	left, right := c.lung(x-78, y, z), c.lung(x+80, y, z)
	if left < 1 || right < 1 {
		// Vessels are where two slow noises cross their middle: tubes, thicker near the hilum.
		reach := 0.035 + 0.06*clamp(1-math.Abs(x)/120, 0, 1)
		if v := math.Abs(smooth(c.key^2, x/17, y/17, z/24) - 0.5); v < reach {
			if v = math.Hypot(v, smooth(c.key^5, x/15, y/15, z/24)-0.5); v < reach {
				return huLung + (huMuscle-huLung)*clamp(2-2*v/reach, 0, 1)
			}
		}
		// Gravity: denser at the back.
		return huLung + 0.35*(y+60)
	}
	return huMuscle - 12*clamp(fractal(c.key^3, x/9, y/9, z/9, 2), 0, 1)
}

func (c *chest) lung(x, y, z float64) float64 {
	u, v, w := x/54, (y+2)/80, (z-10)/150
	return u*u + v*v + w*w
}

// spheres of the NEMA NU 2 image quality phantom: inner diameters in mm on a circle around its axis.
var sphereDiameters = [6]float64{37, 28, 22, 17, 13, 10}

const sphereCircle = 57.2 // mm, radius of the circle

// A trunk is a body with six spheres and a cylinder without activity in its middle, after the NEMA NU 2 image quality phantom, and a spine.
type trunk struct {
	key     uint64
	spheres [6]ball
	ratio   float64 // activity concentration of the spheres to that of the background
}

func newTrunk(key uint64, ratio float64) *trunk {
	t := &trunk{key: key, ratio: ratio}
	for i, d := range sphereDiameters {
		a := float64(i) * math.Pi / 3
		t.spheres[i] = ball{sphereCircle * math.Cos(a), sphereCircle*math.Sin(a) - 10, 0, d / 2, 62}
	}
	return t
}

func (t *trunk) body(x, y float64) float64 { return inside(x, y, 0, 0, 152, 112) }

// at is the tissue in Hounsfield units.
func (t *trunk) at(x, y, z, voxel float64) float64 {
	b := t.body(x, y)
	switch {
	case b > 1:
		if y > 116 && y < 121 && math.Abs(x) < 205 {
			return huTable
		}
		return huAir
	case b > 0.86:
		return huFat
	case inside(x, y, 0, 76, 9, 8) < 1:
		return huCord
	case inside(x, y, 0, 76, 22, 20) < 1 && math.Abs(math.Mod(z+1300, 26)-13) > 2.5:
		return huMarrow + 80
	case inside(x, y, 0, -10, 25, 25) < 1:
		return -780
	}
	hu := 36 + 10*(fractal(t.key^4, x/12, y/12, z/12, 2)-0.5)
	for _, s := range t.spheres {
		if f := s.cover(x, y, z, voxel); f > 0 {
			hu += f * (s.hu - hu)
		}
	}
	return hu
}

// activity is the concentration in units of the background's.
func (t *trunk) activity(x, y, z, voxel float64) float64 {
	switch {
	case t.body(x, y) > 1:
		return 0
	case inside(x, y, 0, -10, 25, 25) < 1:
		return 0.03
	}
	a := 1.0
	for _, s := range t.spheres {
		if f := s.cover(x, y, z, voxel); f > 0 {
			a += f * (t.ratio - a)
		}
	}
	return a
}

// axial samples Hounsfield units on a square matrix, adds the noise of a reconstruction (sigma in HU) and stores them with an offset of 1024 in 12 bits.
func axial(key uint64, n int, px, z, sigma float64, at func(x, y, z, voxel float64) float64) []uint16 {
	out := make([]uint16, n*n)
	half := float64(n) * px / 2
	for r := range n {
		y := -half + (float64(r)+0.5)*px
		for c := range n {
			x := -half + (float64(c)+0.5)*px
			hu := at(x, y, z, px) + sigma*gauss(key+uint64(r*n+c))
			out[r*n+c] = uint16(clamp(math.Round(hu)+1024, 0, 4095))
		}
	}
	return out
}
