package sample

import "math"

// Noise is a hash of where it stands and not the next number of a generator: slices can be made in any order, at the same time, and come out the same.

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// gauss is about normal, with mean 0 and variance 1: a sum of four uniform numbers.
func gauss(key uint64) float64 {
	h := mix(key)
	s := float64(h&0xFFFF) + float64(h>>16&0xFFFF) + float64(h>>32&0xFFFF) + float64(h>>48)
	return (s - 2*65535) / (65535 / math.Sqrt(3))
}

// lattice is uniform in 0 to 1 at whole coordinates.
func lattice(key uint64, x, y, z int) float64 {
	return float64(mix(key+uint64(x)*0x8CB92BA72F3D8DD7+uint64(y)*0xD6E8FEB86659FD93+uint64(z)*0xA0761D6478BD642F)>>40) / (1 << 24)
}

// smooth is value noise: lattice values joined smoothly, 0 to 1.
func smooth(key uint64, x, y, z float64) float64 {
	fx, fy, fz := math.Floor(x), math.Floor(y), math.Floor(z)
	ix, iy, iz := int(fx), int(fy), int(fz)
	u, v, w := ease(x-fx), ease(y-fy), ease(z-fz)
	p := plane(key, ix, iy, iz, u, v)
	if w == 0 {
		return p // in a plane of the lattice, as all that is flat is asked for
	}
	return p + (plane(key, ix, iy, iz+1, u, v)-p)*w
}

func plane(key uint64, x, y, z int, u, v float64) float64 {
	a, b := lattice(key, x, y, z), lattice(key, x+1, y, z)
	c, d := lattice(key, x, y+1, z), lattice(key, x+1, y+1, z)
	a += (b - a) * u
	c += (d - c) * u
	return a + (c-a)*v
}

func ease(t float64) float64 { return t * t * (3 - 2*t) }

// fractal is octaves of value noise, 0 to 1.
func fractal(key uint64, x, y, z float64, octaves int) float64 {
	sum, weight, total := 0.0, 1.0, 0.0
	for o := range octaves {
		sum += weight * smooth(key+uint64(o), x, y, z)
		total += weight
		weight /= 2
		x, y, z = 2*x, 2*y, 2*z
	}
	return sum / total
}

func clamp(x, lo, hi float64) float64 { return math.Min(math.Max(x, lo), hi) }
