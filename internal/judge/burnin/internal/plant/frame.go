package plant

import (
	"encoding/binary"
	"image/color"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// Frame is the picture as a decoded frame: of 8 bits; or, grey and deep, of 12 bits of 16, its middle tones within a narrow part of the range as radiographs and CT
// have them, with the darkest and the brightest ink at the ends.
func (c *Canvas) Frame(r *Rand, deep bool) (*render.Attributes, codec.Frame) {
	a := &render.Attributes{Rows: c.H, Columns: c.W, Samples: len(c.Planes), Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2", Slope: 1, Aspect: 1}
	n := c.W * c.H
	switch {
	case a.Samples == 3 && r.Chance(0.3):
		a.Photometric = "YBR_FULL"
		b := make([]byte, 0, 3*n)
		for i := range n {
			y, cb, cr := color.RGBToYCbCr(byte8(c.Planes[0][i]), byte8(c.Planes[1][i]), byte8(c.Planes[2][i]))
			b = append(b, y, cb, cr)
		}
		return a, codec.Frame{Image: a.Image(), Pixels: b}
	case a.Samples == 3:
		a.Photometric = "RGB"
		b := make([]byte, 0, 3*n)
		for i := range n {
			b = append(b, byte8(c.Planes[0][i]), byte8(c.Planes[1][i]), byte8(c.Planes[2][i]))
		}
		return a, codec.Frame{Image: a.Image(), Pixels: b}
	case deep:
		a.Allocated, a.Stored, a.HighBit = 16, 12, 11
		base, gain := r.Between(0, 800), r.Between(200, 3200)
		gain = min(gain, 4090-base)
		ends := r.Chance(0.5)
		b := make([]byte, 2*n)
		for i, v := range c.Planes[0] {
			x := base + gain*float64(v)
			if ends && v >= 0.995 {
				x = 4095
			} else if ends && v <= 0.005 {
				x = 0
			}
			binary.LittleEndian.PutUint16(b[2*i:], uint16(x))
		}
		return a, codec.Frame{Image: a.Image(), Pixels: b}
	}
	b := make([]byte, n)
	for i, v := range c.Planes[0] {
		b[i] = byte8(v)
	}
	return a, codec.Frame{Image: a.Image(), Pixels: b}
}

func byte8(v float32) uint8 { return uint8(v*255 + 0.5) }
