package render

import (
	"encoding/binary"
	"image/color"
	"math"
	"slices"
)

// source gives the rows of a frame in shades of 8 bits: one channel of grey, or red, green and blue.
type source struct {
	channels int
	row      func(y, from, to int, dst []byte) // dst has room for channels times to-from bytes
}

// value is the stored value of a word: the bits that are stored, with their sign.
func (a *Attributes) value(word uint64) int64 {
	v := int64(word >> (a.HighBit + 1 - a.Stored) & (1<<a.Stored - 1))
	if a.Signed && v >= 1<<(a.Stored-1) {
		v -= 1 << a.Stored
	}
	return v
}

// rescaled is what the modality makes of a stored value (PS3.3 C.11.1).
func (a *Attributes) rescaled(v float64) float64 {
	if a.modality != nil {
		return float64(a.modality.at(int64(v)))
	}
	return v*a.Slope + a.Intercept
}

// greys are images of one sample a pixel that is a shade of grey.
func (a *Attributes) greys(samples []byte, win *Window) (source, error) {
	n := a.Rows * a.Columns
	columns := a.Columns
	if (len(samples)*8)/a.Allocated < n {
		return source{}, short
	}
	switch a.Allocated {
	case 1:
		shades := [2]byte{0, 255}
		if a.Photometric == "MONOCHROME1" {
			shades = [2]byte{255, 0}
		}
		return source{1, func(y, from, to int, dst []byte) {
			for i := range to - from {
				k := y*columns + from + i
				dst[i] = shades[samples[k>>3]>>(k&7)&1]
			}
		}}, nil
	case 8:
		lut := a.shades(win, func(count []int) {
			for _, v := range samples[:n] {
				count[a.index(uint16(v))]++
			}
		})
		var whole [256]byte // of every byte, whichever of its bits are stored
		for v := range whole {
			whole[v] = lut[a.index(uint16(v))]
		}
		return source{1, func(y, from, to int, dst []byte) {
			for i, v := range samples[y*columns+from : y*columns+to] {
				dst[i] = whole[v]
			}
		}}, nil
	case 16:
		lut := a.shades(win, func(count []int) {
			for i := range n {
				count[a.index(binary.LittleEndian.Uint16(samples[2*i:]))]++
			}
		})
		shift, mask := a.HighBit+1-a.Stored, uint16(1<<a.Stored-1)
		return source{1, func(y, from, to int, dst []byte) {
			row := samples[2*(y*columns+from) : 2*(y*columns+to)]
			dst = dst[:len(row)/2]
			for i := range dst {
				dst[i] = lut[binary.LittleEndian.Uint16(row[2*i:])>>shift&mask]
			}
		}}, nil
	case 32, 64:
		if a.Allocated == 64 && !a.Float {
			break
		}
		return a.wide(samples, win), nil
	}
	return source{}, &Unsupported{Reason: "pixels of other than 1, 8, 16 or 32 bits"}
}

// index is the place of a word in tables of all stored values.
func (a *Attributes) index(word uint16) int {
	return int(word>>(a.HighBit+1-a.Stored)) & (1<<a.Stored - 1)
}

// shades is the grey of each stored value, by the bits that are stored. Where nothing tells the window, count has to tell how often each value is there.
func (a *Attributes) shades(win *Window, count func([]int)) []byte {
	lut := make([]byte, 1<<a.Stored)
	stored := func(k int) float64 { return float64(a.value(uint64(k) << (a.HighBit + 1 - a.Stored))) }
	invert := byte(0)
	if a.Photometric == "MONOCHROME1" {
		invert = 255
	}
	if win == nil {
		win = a.Window
	}
	if win == nil && a.voi != nil {
		top := float64(a.voi.top)
		for k := range lut {
			x := math.Floor(a.rescaled(stored(k)) + 0.5)
			lut[k] = shade(float64(a.voi.at(int64(min(max(x, math.MinInt32), math.MaxInt32))))/top) ^ invert
		}
		return lut
	}
	if win == nil {
		counts := make([]int, len(lut))
		count(counts)
		win = a.suggest(counts, stored)
	}
	// Straight lines, which most windows are, need no call for each value.
	if a.modality == nil && (win.Function == LinearExact || win.Function == Linear && win.Width > 1) {
		zero := win.at(a.Intercept) * 255
		step := (win.at(a.Intercept+a.Slope) - win.at(a.Intercept)) * 255
		for k := range lut {
			v := k
			if a.Signed && v >= len(lut)/2 {
				v -= len(lut)
			}
			lut[k] = byte(min(max(zero+step*float64(v), 0), 255)+0.5) ^ invert
		}
		return lut
	}
	for k := range lut {
		lut[k] = shade(win.at(a.rescaled(stored(k)))) ^ invert
	}
	return lut
}

func shade(y float64) byte { return byte(min(max(y, 0), 1)*255 + 0.5) }

// suggest finds a window where the image has none: from one in a hundred to ninety-nine in a hundred of its values, without the padding.
func (a *Attributes) suggest(counts []int, stored func(int) float64) *Window {
	type bin struct {
		x float64
		n int
	}
	var bins []bin
	for k, n := range counts {
		if v := stored(k); n > 0 && !a.padding(v) {
			bins = append(bins, bin{a.rescaled(v), n})
		}
	}
	slices.SortFunc(bins, func(p, q bin) int {
		switch {
		case p.x < q.x:
			return -1
		case p.x > q.x:
			return 1
		}
		return 0
	})
	total := 0
	for _, b := range bins {
		total += b.n
	}
	if total == 0 {
		return &Window{0, 1, LinearExact}
	}
	edge := func(k int) float64 { // the value that k others lie below
		for _, b := range bins {
			if k -= b.n; k < 0 {
				return b.x
			}
		}
		return bins[len(bins)-1].x
	}
	low, high := edge(total/100), edge(total-1-total/100)
	width := high - low
	if width <= 0 { // all values are the same
		width = 1
	}
	return &Window{(low + high) / 2, width, LinearExact}
}

func (a *Attributes) padding(v float64) bool {
	return a.Padding != nil && v >= a.Padding[0] && v <= a.Padding[1]
}

// wide are pixels of 32 bits, and floating-point ones, which have too many values for a table.
func (a *Attributes) wide(samples []byte, win *Window) source {
	columns := a.Columns
	var at func(i int) float64
	switch {
	case a.Float && a.Allocated == 64:
		at = func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(samples[8*i:])) }
	case a.Float:
		at = func(i int) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(samples[4*i:]))) }
	default:
		at = func(i int) float64 { return float64(a.value(uint64(binary.LittleEndian.Uint32(samples[4*i:])))) }
	}
	if win == nil {
		win = a.Window
	}
	if win == nil {
		win = a.suggestWide(at)
	}
	invert := byte(0)
	if a.Photometric == "MONOCHROME1" {
		invert = 255
	}
	return source{1, func(y, from, to int, dst []byte) {
		for i := range to - from {
			x := a.rescaled(at(y*columns + from + i))
			if math.IsNaN(x) {
				dst[i] = 0
				continue
			}
			dst[i] = shade(win.at(x)) ^ invert
		}
	}}
}

// suggestWide is suggest for values that cannot be counted one by one: they are counted in steps.
func (a *Attributes) suggestWide(at func(int) float64) *Window {
	low, high := math.Inf(1), math.Inf(-1)
	n := a.Rows * a.Columns
	value := func(i int) (float64, bool) {
		v := at(i)
		return v, !math.IsNaN(v) && !math.IsInf(v, 0) && !a.padding(v)
	}
	for i := range n {
		if v, ok := value(i); ok {
			low, high = min(low, v), max(high, v)
		}
	}
	const steps = 1 << 14
	if !(high > low) {
		if high < low {
			low = 0
		}
		return &Window{a.rescaled(low), 1, LinearExact}
	}
	counts := make([]int, steps)
	width := high/steps - low/steps // each divided: their difference may be no number
	for i := range n {
		if v, ok := value(i); ok {
			counts[min(int((v-low)/width), steps-1)]++
		}
	}
	unpadded := *a
	unpadded.Padding = nil
	return unpadded.suggest(counts, func(k int) float64 { return low + width*float64(k) })
}

// indexed are images whose values are places in a palette (PS3.3 C.7.6.3.1.5).
func (a *Attributes) indexed(samples []byte) (source, error) {
	if a.Allocated != 8 && a.Allocated != 16 {
		return source{}, &Unsupported{Reason: "palettes of other than 8 or 16 bits"}
	}
	word, columns := a.Allocated/8, a.Columns
	if len(samples) < a.Rows*columns*word {
		return source{}, short
	}
	lut := make([][3]byte, 1<<a.Stored)
	for k := range lut {
		v := a.value(uint64(k) << (a.HighBit + 1 - a.Stored))
		for c := range 3 {
			t := &a.palette[c]
			lut[k][c] = eight(uint32(t.at(v)), uint32(t.top))
		}
	}
	return source{3, func(y, from, to int, dst []byte) {
		for i := range to - from {
			k := (y*columns + from + i) * word
			w := uint16(samples[k])
			if word == 2 {
				w |= uint16(samples[k+1]) << 8
			}
			copy(dst[3*i:3*i+3], lut[a.index(w)][:])
		}
	}}, nil
}

// eight makes eight bits of a value up to top: the upper eight of more, as everybody does; all of fewer.
func eight(v, top uint32) byte {
	for top > 255 && top&(top+1) == 0 {
		v, top = v>>1, top>>1
	}
	return byte(min(v, top) * 255 / max(top, 1))
}

// colours are images of three samples.
func (a *Attributes) colours(samples []byte) (source, error) {
	n, columns := a.Rows*a.Columns, a.Columns
	if a.Allocated != 8 && a.Allocated != 16 {
		return source{}, &Unsupported{Reason: "colours of other than 8 or 16 bits"}
	}
	word := a.Allocated / 8
	var model func(dst []byte)
	switch a.Photometric {
	case "RGB", "YBR_ICT", "YBR_RCT": // the latter two are undone by their codec
	case "YBR_FULL", "YBR_FULL_422":
		model = RGB
	case "YBR_PARTIAL_422":
		model = partialRange
	default:
		return source{}, &Unsupported{Reason: "the colour model that it names"}
	}
	if word == 1 && !a.Planar && len(samples) < 3*n && (a.Photometric == "YBR_FULL_422" || a.Photometric == "YBR_PARTIAL_422") {
		if len(samples) < 2*n || columns%2 != 0 {
			return source{}, short
		}
		return source{3, func(y, from, to int, dst []byte) { // two luminances, then the colour of both (PS3.3 C.7.6.3.1.2)
			row := samples[2*y*columns:][:2*columns]
			for x := from; x < to; x++ {
				pair, to := row[2*(x&^1):], dst[3*(x-from):]
				to[0], to[1], to[2] = pair[x&1], pair[2], pair[3]
			}
			model(dst[:3*(to-from)])
		}}, nil
	}
	if len(samples) < 3*n*word {
		return source{}, short
	}
	step, plane := 3, 1
	if a.Planar {
		step, plane = 1, n
	}
	plain := word == 1 && a.Stored == 8
	top := uint32(1<<a.Stored - 1)
	return source{3, func(y, from, to int, dst []byte) {
		dst = dst[:3*(to-from)]
		first := (y*columns + from) * step
		switch {
		case plain && !a.Planar:
			copy(dst, samples[first:])
		case plain:
			for i := range to - from {
				dst[3*i], dst[3*i+1], dst[3*i+2] = samples[first+i], samples[first+i+n], samples[first+i+2*n]
			}
		default:
			for i := range to - from {
				for c := range 3 {
					k := (first + i*step + c*plane) * word
					w := uint64(samples[k])
					if word == 2 {
						w |= uint64(samples[k+1]) << 8
					}
					dst[3*i+c] = eight(uint32(w>>(a.HighBit+1-a.Stored))&top, top)
				}
			}
		}
		if model != nil {
			model(dst)
		}
	}}, nil
}

// RGB makes red, green and blue of samples of YBR_FULL, pixel by pixel, a byte each (PS3.3 C.7.6.3.1.2).
func RGB(p []byte) {
	for i := 0; i+2 < len(p); i += 3 {
		p[i], p[i+1], p[i+2] = color.YCbCrToRGB(p[i], p[i+1], p[i+2])
	}
}

// partialRange makes red, green and blue of YBR_PARTIAL_422, whose black is 16 and whose white is 235 (PS3.3 C.7.6.3.1.2).
func partialRange(p []byte) {
	for i := 0; i+2 < len(p); i += 3 {
		y, cb, cr := 1.1644*(float64(p[i])-16), float64(p[i+1])-128, float64(p[i+2])-128
		p[i], p[i+1], p[i+2] = clamp(y+1.5960*cr), clamp(y-0.3917*cb-0.8130*cr), clamp(y+2.0173*cb)
	}
}

func clamp(v float64) byte { return byte(min(max(v+0.5, 0), 255)) }
