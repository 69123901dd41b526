package plant

import (
	"image"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/gofont/gosmallcaps"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// A Mask is how much ink lies on each pixel, from 0 to 1.
type Mask struct {
	W, H int
	Ink  []float32
}

func newMask(w, h int) *Mask { return &Mask{w, h, make([]float32, w*h)} }

// A Face draws lines of text.
type Face struct {
	Name   string
	Script string // of the text that it is for; empty: Latin
	draw   func(r *Rand, s string, capital float64) *Mask
	has    func(rune) bool
}

// Draw is the line with capitals of the given height in pixels, trimmed to its ink; nil if nothing of it can be drawn.
func (f *Face) Draw(r *Rand, s string, capital float64) *Mask {
	m := f.draw(r, s, capital)
	if m == nil {
		return nil
	}
	return m.trim()
}

// Has tells whether the face draws a character.
func (f *Face) Has(c rune) bool { return f.has == nil || f.has(c) }

func (m *Mask) trim() *Mask {
	b := image.Rectangle{image.Pt(m.W, m.H), image.Pt(0, 0)}
	for y := range m.H {
		for x := range m.W {
			if m.Ink[y*m.W+x] > 0.1 {
				b.Min.X, b.Max.X, b.Min.Y, b.Max.Y = min(b.Min.X, x), max(b.Max.X, x+1), min(b.Min.Y, y), max(b.Max.Y, y+1)
			}
		}
	}
	if b.Empty() {
		return nil
	}
	o := newMask(b.Dx(), b.Dy())
	for y := range o.H {
		copy(o.Ink[y*o.W:(y+1)*o.W], m.Ink[(y+b.Min.Y)*m.W+b.Min.X:])
	}
	return o
}

// Turned is the mask by quarter turns, mirrored first if so asked.
func (m *Mask) Turned(quarters int, mirrored bool) *Mask {
	o := m
	if mirrored {
		o = newMask(m.W, m.H)
		for y := range m.H {
			for x := range m.W {
				o.Ink[y*m.W+x] = m.Ink[y*m.W+m.W-1-x]
			}
		}
	}
	for range quarters & 3 {
		t := newMask(o.H, o.W)
		for y := range o.H {
			for x := range o.W {
				t.Ink[x*t.W+t.W-1-y] = o.Ink[y*o.W+x]
			}
		}
		o = t
	}
	return o
}

// Slanted is the mask turned by a small angle, in radians.
func (m *Mask) Slanted(angle float64) *Mask {
	sin, cos := math.Sincos(angle)
	w, h := int(math.Ceil(float64(m.W)*math.Abs(cos)+float64(m.H)*math.Abs(sin))), int(math.Ceil(float64(m.H)*math.Abs(cos)+float64(m.W)*math.Abs(sin)))
	o := newMask(w, h)
	for y := range h {
		for x := range w {
			dx, dy := float64(x)-float64(w)/2, float64(y)-float64(h)/2
			o.Ink[y*w+x] = m.at(dx*cos+dy*sin+float64(m.W)/2, -dx*sin+dy*cos+float64(m.H)/2)
		}
	}
	return o
}

// at is the ink between pixels.
func (m *Mask) at(x, y float64) float32 {
	x0, y0 := int(math.Floor(x)), int(math.Floor(y))
	fx, fy := float32(x-float64(x0)), float32(y-float64(y0))
	get := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= m.W || y >= m.H {
			return 0
		}
		return m.Ink[y*m.W+x]
	}
	a := get(x0, y0)*(1-fx) + get(x0+1, y0)*fx
	b := get(x0, y0+1)*(1-fx) + get(x0+1, y0+1)*fx
	return a*(1-fy) + b*fy
}

// Crisp is the mask without half tones. Strokes thinner than a pixel stay whole, as rasterisers draw them.
func (m *Mask) Crisp() *Mask {
	o := newMask(m.W, m.H)
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= m.W || y >= m.H {
			return 0
		}
		return m.Ink[y*m.W+x]
	}
	for y := range m.H {
		for x := range m.W {
			v := at(x, y)
			// The middle of a thin stroke is darker than what lies to both sides of it.
			thin := v >= 0.2 && (v > at(x-1, y) && v >= at(x+1, y) && at(x-1, y)+v+at(x+1, y) <= 1.2 || v > at(x, y-1) && v >= at(x, y+1) && at(x, y-1)+v+at(x, y+1) <= 1.2)
			if v >= 0.5 || thin {
				o.Ink[y*m.W+x] = 1
			}
		}
	}
	return o
}

// Soft is the mask blurred by a box of 2n+1 pixels, grown by as much.
func (m *Mask) Soft(n int) *Mask {
	o := newMask(m.W+2*n, m.H+2*n)
	k := float32(1) / float32((2*n+1)*(2*n+1))
	for y := range o.H {
		for x := range o.W {
			var s float32
			for dy := -n; dy <= n; dy++ {
				for dx := -n; dx <= n; dx++ {
					if sx, sy := x-n+dx, y-n+dy; sx >= 0 && sy >= 0 && sx < m.W && sy < m.H {
						s += m.Ink[sy*m.W+sx]
					}
				}
			}
			o.Ink[y*o.W+x] = s * k
		}
	}
	return o
}

// Grown is the mask spread by n pixels in every direction.
func (m *Mask) Grown(n int) *Mask {
	o := newMask(m.W+2*n, m.H+2*n)
	for y := range m.H {
		for x := range m.W {
			v := m.Ink[y*m.W+x]
			if v == 0 {
				continue
			}
			for dy := range 2*n + 1 {
				for dx := range 2*n + 1 {
					i := (y+dy)*o.W + x + dx
					o.Ink[i] = max(o.Ink[i], v)
				}
			}
		}
	}
	return o
}

func outline(name string, data []byte) *Face {
	f, err := opentype.Parse(data)
	if err != nil {
		c, err := opentype.ParseCollection(data)
		if err != nil {
			return nil
		}
		if f, err = c.Font(0); err != nil {
			return nil
		}
	}
	faces := map[int]font.Face{}
	at := func(size int) font.Face { // in sixteenths of a pixel
		if faces[size] == nil {
			faces[size], err = opentype.NewFace(f, &opentype.FaceOptions{Size: float64(size) / 16, DPI: 72, Hinting: font.HintingFull})
			if err != nil {
				return nil
			}
		}
		return faces[size]
	}
	big := at(64 * 16)
	if big == nil {
		return nil
	}
	tall := func(c rune) float64 {
		b, _, ok := big.GlyphBounds(c)
		if !ok {
			return 0
		}
		return float64(b.Max.Y-b.Min.Y) / 64
	}
	capital := tall('H')
	if capital == 0 {
		capital = tall('國') * 0.9
	}
	if capital == 0 {
		return nil
	}
	return &Face{Name: name, draw: func(r *Rand, s string, height float64) *Mask {
		face := at(int(64 * 16 * height / capital))
		if face == nil {
			return nil
		}
		return typeset(face, s, r.Between(0, 0.08)*height*float64(r.Intn(2)))
	}, has: func(c rune) bool {
		i, err := f.GlyphIndex(nil, c)
		return err == nil && i != 0
	}}
}

// typeset draws a line with a face of the font package; spacing is between characters.
func typeset(face font.Face, s string, spacing float64) *Mask {
	m := face.Metrics()
	up, down := m.Ascent.Ceil()+8, m.Descent.Ceil()+8
	w := font.MeasureString(face, s).Ceil() + int(spacing*float64(len([]rune(s)))) + 16
	if w > 6000 || up+down > 1000 {
		return nil
	}
	img := image.NewAlpha(image.Rect(0, 0, w, up+down))
	d := font.Drawer{Dst: img, Src: image.Opaque, Face: face, Dot: fixed.P(6, up)}
	for _, c := range s {
		d.DrawString(string(c))
		d.Dot.X += fixed.I(int(math.Round(spacing)))
	}
	o := newMask(w, up+down)
	for i, v := range img.Pix {
		o.Ink[i] = float32(v) / 255
	}
	return o
}

// dots is a face of the font package that has one size; it is enlarged by whole numbers, or smoothly.
func dots(name string, f font.Face, capital float64) *Face {
	return &Face{Name: name, draw: func(r *Rand, s string, height float64) *Mask {
		return typeset(f, s, 0).enlarged(height/capital, r.Chance(0.5))
	}, has: func(c rune) bool { return c < 0x7f }}
}

// enlarged is the mask of another size: in steps, or smoothly.
func (m *Mask) enlarged(k float64, smooth bool) *Mask {
	if k <= 1.01 {
		return m
	}
	if !smooth {
		k = math.Max(1, math.Ceil(k-0.01))
	}
	w, h := int(float64(m.W)*k), int(float64(m.H)*k)
	o := newMask(w, h)
	for y := range h {
		for x := range w {
			if smooth {
				o.Ink[y*w+x] = m.at((float64(x)+0.5)/k-0.5, (float64(y)+0.5)/k-0.5)
			} else {
				o.Ink[y*w+x] = m.Ink[int(float64(y)/k)*m.W+int(float64(x)/k)]
			}
		}
	}
	return o
}

// Faces are those that need no file. Those of Held are told apart, for what is measured and not trained on.
func Faces() []*Face {
	return compact([]*Face{
		outline("Go Regular", goregular.TTF), outline("Go Bold", gobold.TTF), outline("Go Italic", goitalic.TTF), outline("Go Mono", gomono.TTF),
		outline("Go Small Caps", gosmallcaps.TTF),
		Grid5x7("5x7", false), strokes("strokes", 0), strokes("hand", 1), segments(),
	})
}

// Held are faces that need no file and that nothing is trained on.
func Held() []*Face {
	return compact([]*Face{
		outline("Go Bold Italic", gobolditalic.TTF), outline("Go Medium", gomedium.TTF), outline("Go Mono Bold", gomonobold.TTF),
		dots("7x13", basicfont.Face7x13, 9), dots("Inconsolata 8x16", inconsolata.Regular8x16, 10), dots("Inconsolata bold 8x16", inconsolata.Bold8x16, 10),
		Grid5x7("dot matrix", true), strokes("scrawl", 2),
	})
}

// Files are the outline fonts in a folder and below it, in the order of their paths.
func Files(dir string) []*Face {
	var paths []string
	filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error { //nolint:errcheck // a folder that is absent has no fonts
		if err == nil && (strings.HasSuffix(p, ".ttf") || strings.HasSuffix(p, ".otf") || strings.HasSuffix(p, ".ttc")) {
			paths = append(paths, p)
		}
		return nil
	})
	sort.Strings(paths)
	var faces []*Face
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		faces = append(faces, outline(filepath.Base(p), b))
	}
	return compact(faces)
}

func compact(faces []*Face) []*Face {
	var o []*Face
	for _, f := range faces {
		if f != nil {
			o = append(o, f)
		}
	}
	return o
}
