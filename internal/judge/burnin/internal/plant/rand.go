package plant

import "math"

// Rand is a stream of numbers that depends on its seed alone (splitmix64), the same on every machine. It is for pictures, never for secrets.
type Rand struct{ state uint64 }

// NewRand starts a stream.
func NewRand(seed uint64) *Rand { return &Rand{seed*0x9e3779b97f4a7c15 + 0x1234567} }

// Uint64 is the next number.
func (r *Rand) Uint64() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Intn is from 0 to n-1.
func (r *Rand) Intn(n int) int { return int(r.Uint64() >> 11 % uint64(n)) }

// Float is from 0 to below 1.
func (r *Rand) Float() float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// Between is from a to below b.
func (r *Rand) Between(a, b float64) float64 { return a + (b-a)*r.Float() }

// Chance is true with probability p.
func (r *Rand) Chance(p float64) bool { return r.Float() < p }

// Norm is from the normal distribution, nearly: the sum of four uniform numbers.
func (r *Rand) Norm() float64 {
	z := r.Uint64()
	s := float64(z&0xffff) + float64(z>>16&0xffff) + float64(z>>32&0xffff) + float64(z>>48)
	return (s/65536 - 2) * math.Sqrt(3)
}

// Pick is one of the choices.
func Pick[T any](r *Rand, choices []T) T { return choices[r.Intn(len(choices))] }

// hash is a number from 0 to 1 for a point of a lattice.
func hash(key uint64, x, y int) float64 {
	return float64(mix(key^uint64(uint32(x))<<32^uint64(uint32(y)))>>11) / (1 << 53)
}

// value is smooth noise from 0 to 1, of a cell a unit wide.
func value(key uint64, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := x-x0, y-y0
	fx, fy = fx*fx*(3-2*fx), fy*fy*(3-2*fy)
	i, j := int(x0), int(y0)
	a := hash(key, i, j) + (hash(key, i+1, j)-hash(key, i, j))*fx
	b := hash(key, i, j+1) + (hash(key, i+1, j+1)-hash(key, i, j+1))*fx
	return a + (b-a)*fy
}

// Fractal is noise of several octaves from 0 to 1.
func Fractal(key uint64, x, y float64, octaves int) float64 {
	sum, amp, all := 0.0, 1.0, 0.0
	for i := range octaves {
		sum += amp * value(key+uint64(i)*977, x, y)
		all += amp
		amp *= 0.5
		x, y = x*2.03, y*2.03
	}
	return sum / all
}
