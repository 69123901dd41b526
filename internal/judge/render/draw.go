package render

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"math"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Draw draws a frame: its bytes as they are stored in the transfer syntax, words in little endian.
func Draw(a Attributes, syntax *dicom.TransferSyntax, frame []byte, o Options) (image.Image, error) {
	region, w, h, err := a.size(o)
	if err != nil {
		return nil, err
	}
	switch {
	case !syntax.Encapsulated:
	case syntax.UID == rleLosslessUID:
		if frame, err = unpackRLE(frame, a); err != nil {
			return nil, err
		}
		a.Planar = true
	case syntax.UID == jpegBaselineUID:
		return drawJPEG(a, frame, region, w, h, o)
	default:
		return nil, &Unsupported{"pixels stored as " + syntax.Name}
	}
	if a.Samples == 3 {
		return drawColour(a, frame, region, w, h)
	}
	return drawGrey(a, frame, region, w, h, o)
}

// Transfer syntaxes (PS3.5 A.4.1, A.4.2).
const (
	jpegBaselineUID = "1.2.840.10008.1.2.4.50"
	rleLosslessUID  = "1.2.840.10008.1.2.5"
)

// drawGrey draws images of one sample a pixel, palettes among them.
func drawGrey(a Attributes, frame []byte, region image.Rectangle, w, h int, o Options) (image.Image, error) {
	n := a.Rows * a.Columns
	short := &Broken{"its pixels are fewer than its rows and columns say"}
	switch a.Allocated {
	case 1:
		if len(frame) < (n+7)/8 {
			return nil, short
		}
		lut := [2]byte{0, 255}
		if a.Photometric == "MONOCHROME1" {
			lut = [2]byte{255, 0}
		}
		return shrink(region, w, h, func(x, y int) byte { i := y*a.Columns + x; return lut[frame[i>>3]>>(i&7)&1] }), nil
	case 8, 16:
		if len(frame) < n*a.Allocated/8 {
			return nil, short
		}
	case 32:
		if len(frame) < 4*n {
			return nil, short
		}
		return a.drawWide(frame, region, w, h, o), nil
	default:
		return nil, &Unsupported{"pixels of other than 1, 8, 16 or 32 bits"}
	}
	raw := func(i int) int { return int(frame[i]) }
	if a.Allocated == 16 {
		raw = func(i int) int { return int(binary.LittleEndian.Uint16(frame[2*i:])) }
	}
	if a.Palette != nil {
		img := image.NewRGBA(image.Rect(0, 0, w, h))
		var lut [3][]byte
		for k := range lut {
			lut[k] = make([]byte, 1<<a.Allocated)
			for v := range lut[k] {
				lut[k][v] = a.Palette[k].at(a.value(uint32(v)))
			}
			p := shrink(region, w, h, func(x, y int) byte { return lut[k][raw(y*a.Columns+x)] })
			for i, v := range p.Pix {
				img.Pix[4*i+k] = v
			}
		}
		for i := 3; i < len(img.Pix); i += 4 {
			img.Pix[i] = 255
		}
		return img, nil
	}
	win := o.Window
	if win == nil {
		win = a.Window
	}
	if win == nil {
		count := make([]int, 1<<a.Allocated)
		for i := range n {
			count[raw(i)]++
		}
		win = a.suggest(count)
	}
	lut := make([]byte, 1<<a.Allocated)
	for v := range lut {
		lut[v] = a.shade(float64(a.value(uint32(v))), win)
	}
	if a.Allocated == 8 {
		return shrink(region, w, h, func(x, y int) byte { return lut[frame[y*a.Columns+x]] }), nil
	}
	return shrink(region, w, h, func(x, y int) byte { return lut[binary.LittleEndian.Uint16(frame[2*(y*a.Columns+x):])] }), nil
}

// drawWide draws pixels of 32 bits, which have too many values for a table.
func (a *Attributes) drawWide(frame []byte, region image.Rectangle, w, h int, o Options) image.Image {
	at := func(i int) float64 { return float64(a.value(binary.LittleEndian.Uint32(frame[4*i:]))) }
	win := o.Window
	if win == nil {
		win = a.Window
	}
	if win == nil {
		low, high := math.Inf(1), math.Inf(-1)
		for i := range a.Rows * a.Columns {
			v := at(i)*a.Slope + a.Intercept
			low, high = min(low, v), max(high, v)
		}
		win = &Window{(low + high) / 2, max(high-low, 1), LinearExact}
	}
	return shrink(region, w, h, func(x, y int) byte { return a.shade(at(y*a.Columns+x), win) })
}

// value is the stored value of a word: the bits that are stored, with their sign.
func (a *Attributes) value(word uint32) int64 {
	v := int64(word) >> (a.HighBit + 1 - a.Stored) & (1<<a.Stored - 1)
	if a.Signed && v >= 1<<(a.Stored-1) {
		v -= 1 << a.Stored
	}
	return v
}

// shade is the grey of a stored value (PS3.3 C.11.2.1.2, C.11.2.1.3).
func (a *Attributes) shade(v float64, win *Window) byte {
	x := v*a.Slope + a.Intercept
	var y float64
	switch win.Function {
	case Sigmoid:
		y = 1 / (1 + math.Exp(-4*(x-win.Center)/win.Width))
	case LinearExact:
		y = (x-win.Center)/win.Width + 0.5
	default:
		if win.Width <= 1 {
			if x > win.Center-0.5 {
				y = 1
			}
			break
		}
		y = (x-(win.Center-0.5))/(win.Width-1) + 0.5
	}
	y = min(max(y, 0), 1)
	if a.Photometric == "MONOCHROME1" {
		y = 1 - y
	}
	return byte(y*255 + 0.5)
}

// suggest finds a window where the image has none: from one in a hundred to ninety-nine in a hundred of its values, without the padding.
func (a *Attributes) suggest(count []int) *Window {
	type bin struct {
		v int64
		n int
	}
	total := 0
	var bins []bin
	add := func(word int) {
		v := a.value(uint32(word))
		if count[word] == 0 || a.Padding != nil && v >= a.Padding[0] && v <= a.Padding[1] {
			return
		}
		bins = append(bins, bin{v, count[word]})
		total += count[word]
	}
	// In the order of the values: of signed words the upper half comes first.
	half := len(count) / 2
	if a.Signed && a.HighBit == a.Allocated-1 {
		for w := half; w < len(count); w++ {
			add(w)
		}
		for w := range half {
			add(w)
		}
	} else {
		mask := 1<<a.Stored - 1
		if a.Signed {
			for w := range count {
				if w&mask>>(a.Stored-1) == 1 {
					add(w)
				}
			}
			for w := range count {
				if w&mask>>(a.Stored-1) == 0 {
					add(w)
				}
			}
		} else {
			for w := range count {
				add(w)
			}
		}
	}
	if total == 0 {
		return &Window{0, 1, LinearExact}
	}
	low, high := bins[0].v, bins[len(bins)-1].v
	sum, lowest := 0, total/100
	for _, b := range bins {
		if sum += b.n; sum > lowest {
			low = b.v
			break
		}
	}
	sum = 0
	for i := len(bins) - 1; i >= 0; i-- {
		if sum += bins[i].n; sum > lowest {
			high = bins[i].v
			break
		}
	}
	x, y := float64(low)*a.Slope+a.Intercept, float64(high)*a.Slope+a.Intercept
	return &Window{(x + y) / 2, max(math.Abs(y-x), 1), LinearExact}
}

// drawColour draws images of three samples.
func drawColour(a Attributes, frame []byte, region image.Rectangle, w, h int) (image.Image, error) {
	n := a.Rows * a.Columns
	if a.Allocated != 8 {
		return nil, &Unsupported{"colours of other than 8 bits"}
	}
	if a.Photometric == "YBR_FULL_422" && !a.Planar {
		return drawHalved(a, frame, region, w, h)
	}
	if len(frame) < 3*n {
		return nil, &Broken{"its pixels are fewer than its rows and columns say"}
	}
	step, plane := 3, 1
	if a.Planar {
		step, plane = 1, n
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for k := range 3 {
		p := shrink(region, w, h, func(x, y int) byte { return frame[(y*a.Columns+x)*step+k*plane] })
		for i, v := range p.Pix {
			img.Pix[4*i+k] = v
		}
	}
	return opaque(img, a.Photometric)
}

// drawHalved draws YBR_FULL_422 (PS3.3 C.7.6.3.1.2): two luminances, then the colour of both.
func drawHalved(a Attributes, frame []byte, region image.Rectangle, w, h int) (image.Image, error) {
	if len(frame) < 2*a.Rows*a.Columns || a.Columns%2 != 0 {
		return nil, &Broken{"its pixels are fewer than its rows and columns say"}
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for k := range 3 {
		p := shrink(region, w, h, func(x, y int) byte {
			pair := frame[2*(y*a.Columns+x&^1):]
			if k == 0 {
				return pair[x&1]
			}
			return pair[1+k]
		})
		for i, v := range p.Pix {
			img.Pix[4*i+k] = v
		}
	}
	return opaque(img, "YBR_FULL")
}

// opaque turns the three samples of each pixel into red, green and blue (PS3.3 C.7.6.3.1.2).
func opaque(img *image.RGBA, photometric string) (image.Image, error) {
	p := img.Pix
	switch photometric {
	case "RGB", "YBR_ICT", "YBR_RCT": // the latter two are undone by their codec
		for i := 3; i < len(p); i += 4 {
			p[i] = 255
		}
	case "YBR_FULL", "YBR_FULL_422":
		for i := 0; i+3 < len(p); i += 4 {
			y, cb, cr := float64(p[i]), float64(p[i+1])-128, float64(p[i+2])-128
			p[i], p[i+1], p[i+2], p[i+3] = clamp(y+1.402*cr), clamp(y-0.344136*cb-0.714136*cr), clamp(y+1.772*cb), 255
		}
	default:
		return nil, &Unsupported{"the colour model that it names"}
	}
	return img, nil
}

func clamp(v float64) byte { return byte(min(max(v+0.5, 0), 255)) }

// drawJPEG draws 8-bit baseline JPEG. Whether three components are colours or luminance and colour, the image's attributes say, and not what a decoder guesses.
func drawJPEG(a Attributes, frame []byte, region image.Rectangle, w, h int, o Options) (image.Image, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(frame))
	if err != nil {
		return nil, &Broken{"its code stream cannot be read"}
	}
	if c.Width != a.Columns || c.Height != a.Rows {
		return nil, &Broken{"its code stream is of another size than the image says"}
	}
	m, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		return nil, &Broken{"its code stream cannot be read"}
	}
	switch m := m.(type) {
	case *image.Gray:
		a.Allocated, a.Stored, a.HighBit, a.Signed = 8, 8, 7, false
		if a.Samples != 1 {
			return nil, &Broken{"its code stream has another number of components than the image says"}
		}
		return drawGrey(a, tight(m), region, w, h, o)
	case *image.YCbCr:
		if a.Samples != 3 {
			return nil, &Broken{"its code stream has another number of components than the image says"}
		}
		photometric := "YBR_FULL"
		if a.Photometric == "RGB" {
			photometric = "RGB"
		}
		img := image.NewRGBA(image.Rect(0, 0, w, h))
		for k := range 3 {
			p := shrink(region, w, h, func(x, y int) byte {
				switch k {
				case 0:
					return m.Y[m.YOffset(x, y)]
				case 1:
					return m.Cb[m.COffset(x, y)]
				}
				return m.Cr[m.COffset(x, y)]
			})
			for i, v := range p.Pix {
				img.Pix[4*i+k] = v
			}
		}
		return opaque(img, photometric)
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for k := range 3 {
		p := shrink(region, w, h, func(x, y int) byte {
			r, g, b, _ := m.At(x, y).RGBA()
			return byte([3]uint32{r, g, b}[k] >> 8)
		})
		for i, v := range p.Pix {
			img.Pix[4*i+k] = v
		}
	}
	return opaque(img, "RGB")
}

// tight are the rows of a picture without what lies between them.
func tight(m *image.Gray) []byte {
	b := m.Bounds()
	if m.Stride == b.Dx() {
		return m.Pix
	}
	out := make([]byte, 0, b.Dx()*b.Dy())
	for y := range b.Dy() {
		out = append(out, m.Pix[y*m.Stride:][:b.Dx()]...)
	}
	return out
}

// shrink averages the shades of a region over the pixels of the picture; where the picture has more of them, it repeats.
func shrink(region image.Rectangle, w, h int, at func(x, y int) byte) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	dx, dy := region.Dx(), region.Dy()
	if w == dx && h == dy {
		for y := range h {
			row := img.Pix[y*img.Stride:][:w]
			for x := range row {
				row[x] = at(region.Min.X+x, region.Min.Y+y)
			}
		}
		return img
	}
	edges := make([]int, w+1)
	for x := range edges {
		edges[x] = x * dx / w
	}
	sums, counts := make([]uint32, w), make([]uint32, w)
	for y := range h {
		y0, y1 := y*dy/h, (y+1)*dy/h
		clear(sums)
		clear(counts)
		for sy := y0; sy < max(y1, y0+1); sy++ {
			for x := range w {
				for sx := edges[x]; sx < max(edges[x+1], edges[x]+1); sx++ {
					sums[x] += uint32(at(region.Min.X+sx, region.Min.Y+sy))
					counts[x]++
				}
			}
		}
		row := img.Pix[y*img.Stride:][:w]
		for x := range row {
			row[x] = byte((sums[x] + counts[x]/2) / counts[x])
		}
	}
	return img
}
