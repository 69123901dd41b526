// Package view makes pictures of 8-bit greys of a frame, such that whatever a person could see in it at any window can be seen in one of them.
package view

import (
	"encoding/binary"
	"image"
	"math"

	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// small is the number of pixels up to which a frame gets more than one view of its greys.
const small = 600_000

// Of are the views of a frame. Errors are [*codec.Broken] and [*codec.Unsupported].
func Of(a *render.Attributes, f codec.Frame) ([]find.Grey, error) {
	w, h := f.Columns, f.Rows
	if w < 1 || h < 1 || w*h > codec.MaxPixels {
		return nil, &codec.Unsupported{Reason: "a frame of this size"}
	}
	n := w * h
	need := n * f.Samples * f.Allocated / 8
	if f.Allocated == 1 {
		need = (n + 7) / 8
	}
	if len(f.Pixels) < need || need == 0 {
		return nil, &codec.Broken{Reason: "its pixels are fewer than its rows and columns say"}
	}
	switch {
	case f.Samples == 3:
		return colours(f)
	case f.Samples != 1:
		return nil, &codec.Unsupported{Reason: "pixels of other than one or three samples"}
	case f.Photometric == "PALETTE COLOR":
		return palette(a, f)
	case f.Allocated == 1:
		g := find.Grey{W: w, H: h, Pix: make([]uint8, n)}
		for i := range n {
			g.Pix[i] = 255 * (f.Pixels[i/8] >> (i % 8) & 1)
		}
		return []find.Grey{g}, nil
	case a != nil && a.Float, f.Allocated > 16:
		return deep(a, f)
	}
	return greys(a, f, Words(f))
}

// Words are the stored values, moved so that the least that the bits can say is 0.
func Words(f codec.Frame) []uint16 {
	n := f.Rows * f.Columns
	v := make([]uint16, n)
	shift, mask, flip := f.HighBit+1-f.Stored, uint16(1<<f.Stored-1), uint16(0)
	if f.Signed {
		flip = 1 << (f.Stored - 1)
	}
	if f.Allocated == 8 {
		for i := range v {
			v[i] = uint16(f.Pixels[i])>>shift&mask ^ flip
		}
		return v
	}
	for i := range v {
		v[i] = binary.LittleEndian.Uint16(f.Pixels[2*i:])>>shift&mask ^ flip
	}
	return v
}

// greys are the views of stored values: all of the range with the crowded part of it spread; for small frames the two apart, and the windows that it declares.
func greys(a *render.Attributes, f codec.Frame, v []uint16) ([]find.Grey, error) {
	count := make([]int, 1<<16)
	for _, x := range v {
		count[x]++
	}
	lo, hi := 0, len(count)-1
	for lo < hi && count[lo] == 0 {
		lo++
	}
	for hi > lo && count[hi] == 0 {
		hi--
	}
	at := func(q float64) int { // the value below which a part of the pixels lies
		n, upTo := 0, int(q*float64(len(v)))
		for x := lo; x <= hi; x++ {
			if n += count[x]; n > upTo {
				return x
			}
		}
		return hi
	}
	p1, p99 := at(0.005), at(0.995)
	linear := func(x float64) float64 { // 5 % of the greys for each of the ends
		l, r, p, q := float64(lo), float64(hi), float64(p1), float64(p99)
		switch {
		case r == l:
			return 0
		case x < p:
			return 0.06 * (x - l) / (p - l)
		case x > q:
			return 0.9 + 0.1*(x-q)/(r-q)
		case q == p:
			return 0.06
		}
		return 0.06 + 0.84*(x-p)/(q-p)
	}
	// along makes shades of steps: how far a value's grey is from that of the value before.
	along := func(step func(x int) float64) func(x float64) float64 {
		shade := make([]float64, hi-lo+1)
		var sum float64
		for i := range shade {
			c := step(lo + i)
			shade[i] = sum + c/2
			sum += c
		}
		return func(x float64) float64 { return shade[int(x)-lo] / math.Max(sum, 1e-9) }
	}
	table := make([]uint8, 1<<16)
	draw := func(shade func(x float64) float64) find.Grey {
		for x := lo; x <= hi; x++ {
			table[x] = uint8(255*math.Min(1, math.Max(0, shade(float64(x)))) + 0.5)
		}
		g := find.Grey{W: f.Columns, H: f.Rows, Pix: make([]uint8, len(v))}
		for i, x := range v {
			g.Pix[i] = table[x]
		}
		return g
	}
	full := float64(uint32(1)<<f.Stored - 1)
	if f.Stored <= 8 {
		if float64(hi-lo) > full*0.6 && float64(p99-p1) > full*0.25 || hi-lo < 24 && hi == lo {
			return []find.Grey{draw(func(x float64) float64 { return x / full })}, nil
		}
		if float64(p99-p1) <= full*0.25 && float64(hi-lo) > full*0.25 { // most of it dark: as it is, and its shadows
			return []find.Grey{draw(func(x float64) float64 { return x / full }), draw(linear)}, nil
		}
		return []find.Grey{draw(func(x float64) float64 { return (x - float64(lo)) / math.Max(24, float64(hi-lo)) })}, nil
	}
	// The crowded part of the range spread. Plateau: a value counts for no more than a share, or noise of one value would take all.
	crowded := along(func(x int) float64 { return math.Min(float64(count[x]), float64(len(v))/40) })
	// All of the range, but for what few pixels or none have: between what lies at the ends and what lies narrowly in the middle, that is most of it. Of each such gap, a third of the width of all the rest is
	// left, for letters of one value beside ground of one value.
	few := math.Max(1, float64(len(v))/50_000)
	has := func(x int) float64 { return math.Min(1, float64(count[x])/few) }
	var most, gap float64
	for x := lo; x <= hi; x++ {
		most += has(x) / 3
	}
	occupied := along(func(x int) float64 {
		if has(x) >= 0.5 {
			gap = 0
			return has(x)
		}
		if gap++; gap <= math.Max(8, most) {
			return 1
		}
		return has(x)
	})
	if len(v) > small {
		return []find.Grey{draw(func(x float64) float64 { return 0.6*occupied(x) + 0.4*crowded(x) })}, nil
	}
	views := []find.Grey{draw(occupied), draw(crowded)}
	if a != nil {
		offset := 0.0
		if f.Signed {
			offset = float64(uint32(1) << (f.Stored - 1))
		}
		for i, w := range a.Windows {
			if i == 2 || w.Width <= 0 {
				break
			}
			views = append(views, draw(func(x float64) float64 { return ((x-offset)*a.Slope+a.Intercept-w.Center)/w.Width + 0.5 }))
		}
	}
	return views, nil
}

// deep are views of values of more than 16 bits, or of floating point: cut to 65536 steps between the least and the greatest.
func deep(a *render.Attributes, f codec.Frame) ([]find.Grey, error) {
	n := f.Rows * f.Columns
	x := make([]float64, n)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range x {
		switch {
		case a != nil && a.Float && f.Allocated == 64:
			x[i] = math.Float64frombits(binary.LittleEndian.Uint64(f.Pixels[8*i:]))
		case a != nil && a.Float:
			x[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(f.Pixels[4*i:])))
		case f.Allocated != 32:
			return nil, &codec.Unsupported{Reason: "pixels of other than 1, 8, 16 or 32 bits"}
		default:
			w := binary.LittleEndian.Uint32(f.Pixels[4*i:]) << (31 - f.HighBit)
			if f.Signed {
				x[i] = float64(int32(w) >> (32 - f.Stored))
			} else {
				x[i] = float64(w >> (32 - f.Stored))
			}
		}
		if !math.IsNaN(x[i]) && !math.IsInf(x[i], 0) {
			lo, hi = math.Min(lo, x[i]), math.Max(hi, x[i])
		}
	}
	v := make([]uint16, n)
	for i, y := range x {
		switch {
		case math.IsInf(y, 1):
			v[i] = 65535
		case hi > lo && y > lo:
			v[i] = uint16((y/2 - lo/2) / (hi/2 - lo/2) * 65535)
		}
	}
	f.Stored, f.Signed = 16, false
	return greys(nil, f, v)
}

// colours are the luminance, and how much colour there is if there is any.
func colours(f codec.Frame) ([]find.Grey, error) {
	n := f.Rows * f.Columns
	at, step, plane := 0, 3, 1
	if f.Planar {
		step, plane = 1, n
	}
	size := f.Allocated / 8
	shift := 0
	switch f.Allocated {
	case 8:
	case 16, 32:
		if f.Stored > 8 {
			shift = f.HighBit + 1 - 8
		} else {
			shift = f.HighBit + 1 - f.Stored
		}
	default:
		return nil, &codec.Unsupported{Reason: "pixels of other than 1, 8, 16 or 32 bits"}
	}
	get := func(i int) int {
		switch size {
		case 1:
			return int(f.Pixels[i])
		case 2:
			return int(uint8(binary.LittleEndian.Uint16(f.Pixels[2*i:]) >> shift))
		}
		return int(uint8(binary.LittleEndian.Uint32(f.Pixels[4*i:]) >> shift))
	}
	light, chroma := find.Grey{W: f.Columns, H: f.Rows, Pix: make([]uint8, n)}, find.Grey{W: f.Columns, H: f.Rows, Pix: make([]uint8, n), Coarse: true}
	ybr := len(f.Photometric) > 3 && f.Photometric[:3] == "YBR"
	coloured := 0
	for i := range n {
		x, y, z := get(at), get(at+plane), get(at+2*plane)
		at += step
		var c int
		if ybr {
			light.Pix[i] = uint8(x)
			y, z = y-128, z-128
			c = min(255, max(max(y, -y), max(z, -z))*2)
		} else {
			light.Pix[i] = uint8((x + 2*y + z + 2) / 4)
			c = max(x, max(y, z)) - min(x, min(y, z))
		}
		chroma.Pix[i] = uint8(c)
		if c > 40 {
			coloured++
		}
	}
	if coloured < 20 {
		return []find.Grey{light}, nil
	}
	return []find.Grey{light, chroma}, nil
}

// palette are the views of indices by the colours that they stand for.
func palette(a *render.Attributes, f codec.Frame) ([]find.Grey, error) {
	if a == nil {
		return greys(nil, f, Words(f))
	}
	b := *a
	b.Aspect = 1
	img, err := render.DrawSamples(b, f.Pixels, render.Options{})
	if err != nil {
		return greys(nil, f, Words(f)) // the indices themselves show where text is
	}
	n := f.Rows * f.Columns
	rgb := codec.Frame{Image: f.Image, Pixels: make([]byte, 3*n)}
	rgb.Samples, rgb.Allocated, rgb.Stored, rgb.HighBit, rgb.Planar, rgb.Photometric, rgb.Signed = 3, 8, 8, 7, false, "RGB", false
	if r := img.Bounds(); r.Dx() != f.Columns || r.Dy() != f.Rows {
		return greys(nil, f, Words(f))
	}
	if m, ok := img.(*image.RGBA); ok {
		for y := range f.Rows {
			row := m.Pix[y*m.Stride:]
			for x := range f.Columns {
				copy(rgb.Pixels[3*(y*f.Columns+x):][:3], row[4*x:])
			}
		}
		return colours(rgb)
	}
	for y := range f.Rows {
		for x := range f.Columns {
			r, g, b, _ := img.At(img.Bounds().Min.X+x, img.Bounds().Min.Y+y).RGBA()
			o := 3 * (y*f.Columns + x)
			rgb.Pixels[o], rgb.Pixels[o+1], rgb.Pixels[o+2] = byte(r>>8), byte(g>>8), byte(b>>8)
		}
	}
	return colours(rgb)
}

// Light is the luminance of a frame in 256 steps that do not depend on what else is in the frame, so that frames can be compared.
func Light(f codec.Frame) (find.Grey, error) {
	n := f.Rows * f.Columns
	if f.Samples == 3 {
		views, err := colours(f)
		if err != nil {
			return find.Grey{}, err
		}
		return views[0], nil
	}
	if f.Samples != 1 || f.Allocated != 8 && f.Allocated != 16 {
		return find.Grey{}, &codec.Unsupported{Reason: "frames that are not compared"}
	}
	g := find.Grey{W: f.Columns, H: f.Rows, Pix: make([]uint8, n)}
	shift := max(0, f.Stored-8)
	for i, x := range Words(f) {
		g.Pix[i] = uint8(x >> shift)
	}
	return g, nil
}
