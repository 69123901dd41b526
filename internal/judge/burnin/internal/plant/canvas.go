package plant

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math"
)

// A Canvas is a picture of one or three planes, row by row, with values from 0 to 1.
type Canvas struct {
	W, H   int
	Planes [][]float32
	Lines  []Line
}

// A Line is a line of text on a canvas.
type Line struct {
	Box     image.Rectangle
	Capital float64 // height of its capitals in pixels
	Face    string
	Style   string
	Turned  bool // by a quarter
	ink     *Mask
	seen    []bool // of each pixel of ink, whether it differs from what was there
}

// visible is how much ink has to differ from what is beneath, to be seen: half of what faint text does.
const visible = 20. / 255

// Covered is how much of the line's ink that can be seen, from 0 to 1, lies within what is masked. Where dark letters run into a dark ground there is nothing to see, nor to cover.
func (l *Line) Covered(masked func(x, y int) bool) float64 {
	var in, all float64
	for y := range l.ink.H {
		for x := range l.ink.W {
			if !l.seen[y*l.ink.W+x] {
				continue
			}
			all++
			if masked(l.Box.Min.X+x, l.Box.Min.Y+y) {
				in++
			}
		}
	}
	if all == 0 {
		return 1
	}
	return in / all
}

// Inked tells whether any of the line's ink that can be seen lies in a rectangle.
func (l *Line) Inked(b image.Rectangle) bool {
	b = b.Sub(l.Box.Min).Intersect(image.Rect(0, 0, l.ink.W, l.ink.H))
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if l.seen[y*l.ink.W+x] {
				return true
			}
		}
	}
	return false
}

// Contrast is how far the line's ink stands out from what is beside it, in a picture as wide as the canvas, row by row; 0 to 255.
func (l *Line) Contrast(w int, pix []uint8) float64 {
	var n, sum [2]float64
	for y := range l.ink.H {
		for x := range l.ink.W {
			v, k := l.ink.Ink[y*l.ink.W+x], 0
			switch {
			case v >= 0.6:
				k = 1
			case v > 0.05:
				continue
			}
			n[k], sum[k] = n[k]+1, sum[k]+float64(pix[(l.Box.Min.Y+y)*w+l.Box.Min.X+x])
		}
	}
	if n[0] == 0 || n[1] == 0 {
		return 255
	}
	return math.Abs(sum[1]/n[1] - sum[0]/n[0])
}

// NewCanvas is black.
func NewCanvas(w, h, planes int) *Canvas {
	c := &Canvas{W: w, H: h}
	for range planes {
		c.Planes = append(c.Planes, make([]float32, w*h))
	}
	return c
}

// Colour makes it of three planes.
func (c *Canvas) Colour() {
	for len(c.Planes) < 3 {
		c.Planes = append(c.Planes, append([]float32(nil), c.Planes[0]...))
	}
}

func clamp(v float64) float64 { return min(1, max(0, v)) }

// fill sets every pixel of a canvas of one plane.
func (c *Canvas) fill(at func(x, y int) float64) *Canvas {
	for y := range c.H {
		for x := range c.W {
			c.Planes[0][y*c.W+x] = float32(clamp(at(x, y)))
		}
	}
	return c
}

// grain is noise of a standard deviation, over a few pixels if coarse.
func (c *Canvas) grain(r *Rand, sigma float64, coarse bool) {
	n := make([]float32, c.W*c.H)
	for i := range n {
		n[i] = float32(r.Norm() * sigma)
	}
	for i := range n {
		v := n[i]
		if coarse && i+c.W+1 < len(n) {
			v = (n[i] + n[i+1] + n[i+c.W] + n[i+c.W+1]) * 0.5
		}
		for _, p := range c.Planes {
			p[i] = min(1, max(0, p[i]+v))
		}
	}
}

// rect fills a rectangle with a value, or mixes it in.
func (c *Canvas) rect(b image.Rectangle, v [3]float32, alpha float32) {
	b = b.Intersect(image.Rect(0, 0, c.W, c.H))
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			for k, p := range c.Planes {
				i := y*c.W + x
				p[i] += (v[k] - p[i]) * alpha
			}
		}
	}
}

// put lays ink on the canvas, and tells of each pixel of the mask whether it made a difference that can be seen.
func (c *Canvas) put(m *Mask, x0, y0 int, v [3]float32, add bool) (seen []bool) {
	seen = make([]bool, m.W*m.H)
	for y := range m.H {
		for x := range m.W {
			a := m.Ink[y*m.W+x]
			if a == 0 || x+x0 < 0 || y+y0 < 0 || x+x0 >= c.W || y+y0 >= c.H {
				continue
			}
			for k, p := range c.Planes {
				i := (y+y0)*c.W + x + x0
				before := p[i]
				if add {
					p[i] = min(1, max(0, p[i]+a*v[k]))
				} else {
					p[i] += (v[k] - p[i]) * a
				}
				if a >= 0.4 && max(p[i]-before, before-p[i]) >= visible {
					seen[y*m.W+x] = true
				}
			}
		}
	}
	return seen
}

// JPEG is what is left of the picture after compression of a quality from 1 to 100.
func (c *Canvas) JPEG(quality int) {
	img := image.NewRGBA(image.Rect(0, 0, c.W, c.H))
	for i := range c.W * c.H {
		for k := range 3 {
			img.Pix[4*i+k] = uint8(c.Planes[k%len(c.Planes)][i]*255 + 0.5)
		}
		img.Pix[4*i+3] = 255
	}
	var src image.Image = img
	if len(c.Planes) == 1 {
		g := image.NewGray(img.Rect)
		for i := range g.Pix {
			g.Pix[i] = img.Pix[4*i]
		}
		src = g
	}
	var b bytes.Buffer
	if jpeg.Encode(&b, src, &jpeg.Options{Quality: quality}) != nil {
		return
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		return
	}
	for y := range c.H {
		for x := range c.W {
			p := color.RGBAModel.Convert(out.At(x, y)).(color.RGBA)
			for k, v := range []uint8{p.R, p.G, p.B}[:len(c.Planes)] {
				c.Planes[k][y*c.W+x] = float32(v) / 255
			}
		}
	}
}

// Inverted is MONOCHROME1's way.
func (c *Canvas) Inverted() {
	for _, p := range c.Planes {
		for i := range p {
			p[i] = 1 - p[i]
		}
	}
}

// A Style is how ink is laid.
type Style string

// The styles.
const (
	Bright   Style = "bright"    // white or light
	Dark     Style = "dark"      // on what is light
	Faint    Style = "faint"     // 40 of 255 grey levels above what is beneath
	FaintOff Style = "faint off" // 40 below
	Boxed    Style = "boxed"     // on a plate of its own
	Outlined Style = "outlined"  // light, with a dark rim
	Tinted   Style = "tinted"    // of a colour
	Label    Style = "label"     // written on a film, soft
)

// Styles are all of them.
var Styles = []Style{Bright, Dark, Faint, FaintOff, Boxed, Outlined, Tinted, Label}

// mean is the mean and the spread of the luminance under a box.
func (c *Canvas) mean(b image.Rectangle) (mean, spread float64) {
	b = b.Intersect(image.Rect(0, 0, c.W, c.H))
	var n, s, q float64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			var v float64
			for _, p := range c.Planes {
				v += float64(p[y*c.W+x])
			}
			v /= float64(len(c.Planes))
			n, s, q = n+1, s+v, q+v*v
		}
	}
	if n == 0 {
		return 0, 0
	}
	return s / n, math.Sqrt(max(0, q/n-s/n*s/n))
}

// Write lays a line of text with its upper left corner at a place, in a style that can be seen there, and notes it. It tells whether it did: text that lies over
// other text, or that does not stand out, is not written.
func (c *Canvas) Write(r *Rand, m *Mask, at image.Point, capital float64, face string, style Style, turned bool) bool {
	box := image.Rect(at.X, at.Y, at.X+m.W, at.Y+m.H)
	if !box.In(image.Rect(0, 0, c.W, c.H)) {
		return false
	}
	for _, l := range c.Lines {
		if l.Box.Inset(-2).Overlaps(box) {
			return false
		}
	}
	mean, spread := c.mean(box)
	var seen []bool
	grey := func(v float64) [3]float32 { return [3]float32{float32(v), float32(v), float32(v)} }
	switch style {
	case Bright:
		v := r.Between(0.75, 1)
		if r.Chance(0.5) {
			v = 1
		}
		if v-mean < 0.17+0.8*spread {
			return false
		}
		seen = c.put(m, at.X, at.Y, grey(v), false)
	case Dark:
		v := r.Between(0, 0.2)
		if mean-v < 0.17+0.8*spread {
			return false
		}
		seen = c.put(m, at.X, at.Y, grey(v), false)
	case Faint:
		if mean > 0.8 || spread > 0.1 {
			return false
		}
		seen = c.put(m, at.X, at.Y, grey(r.Between(0.157, 0.25)), true)
	case FaintOff:
		if mean < 0.25 || spread > 0.1 {
			return false
		}
		seen = c.put(m, at.X, at.Y, grey(-r.Between(0.157, 0.25)), true)
	case Boxed:
		plate, ink := r.Between(0, 0.3), r.Between(0.65, 1)
		if r.Chance(0.5) {
			plate, ink = ink, plate
		}
		pad := 2 + r.Intn(int(capital/2)+1)
		c.rect(box.Inset(-pad), grey(plate), 1)
		seen = c.put(m, at.X, at.Y, grey(ink), false)
	case Outlined:
		n := 1 + int(capital/24)
		rim := m.Grown(n)
		c.put(rim, at.X-n, at.Y-n, grey(r.Between(0, 0.1)), false)
		seen = c.put(m, at.X, at.Y, grey(r.Between(0.8, 1)), false)
	case Tinted:
		c.Colour()
		v := [3]float32{float32(r.Float()), float32(r.Float()), float32(r.Float())}
		v[r.Intn(3)] = 1
		if r.Chance(0.7) {
			v[r.Intn(3)] = 0
		}
		if mean > 0.75 || spread > 0.2 || math.Abs(float64(v[0]+v[1]+v[2])/3-mean) < 0.2 {
			return false
		}
		seen = c.put(m, at.X, at.Y, v, false)
	case Label:
		v := r.Between(0.6, 1)
		if mean > 0.5 {
			v = r.Between(0, 0.25)
		}
		if math.Abs(v-mean) < 0.25+spread {
			return false
		}
		n := r.Intn(1 + int(capital/20))
		if n > 0 {
			m = m.Soft(n)
			at = at.Sub(image.Pt(n, n))
			box = box.Inset(-n)
			if !box.In(image.Rect(0, 0, c.W, c.H)) {
				return false
			}
		}
		seen = c.put(m, at.X, at.Y, grey(v), false)
	}
	c.Lines = append(c.Lines, Line{box, capital, face, string(style), turned, m, seen})
	return true
}
