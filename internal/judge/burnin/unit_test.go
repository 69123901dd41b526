package burnin

import (
	"encoding/binary"
	"image"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/view"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// written is a picture with a line of text on a background.
func written(t testing.TB, seed uint64, scene func(*plant.Rand, int, int) *plant.Canvas, style plant.Style, capital float64) *plant.Canvas {
	t.Helper()
	r := plant.NewRand(seed)
	c := scene(r, 400, 320)
	face := plant.Held()[0]
	for range 50 {
		m := face.Draw(r, "THORNTON, MARY 1951", capital)
		if c.Write(r, m, image.Pt(2+r.Intn(300), 2+r.Intn(280)), capital, face.Name, style, false) {
			return c
		}
	}
	t.Fatal("the line found no place")
	return nil
}

func covered(c *plant.Canvas, boxes []Box) float64 {
	least := 1.0
	for i := range c.Lines {
		least = min(least, c.Lines[i].Covered(func(x, y int) bool {
			for _, b := range boxes {
				if image.Pt(x, y).In(b.Rectangle) {
					return true
				}
			}
			return false
		}))
	}
	return least
}

func look(t testing.TB, a *render.Attributes, f codec.Frame) Found {
	t.Helper()
	found, err := Look(a, f, Hints{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range found.Boxes {
		if b.Empty() || !b.In(image.Rect(0, 0, f.Columns, f.Rows)) || b.Strength <= 0 || b.Strength > 1 {
			t.Fatalf("a box that cannot be: %v", b)
		}
	}
	return found
}

// The same picture in every way that an image may store it.
func TestEncodings(t *testing.T) {
	c := written(t, 3, knee, plant.Bright, 14)
	n := c.W * c.H
	grey := make([]byte, n)
	for i, v := range c.Planes[0] {
		grey[i] = uint8(v*255 + 0.5)
	}
	base := render.Attributes{Rows: c.H, Columns: c.W, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2", Slope: 1, Aspect: 1}
	deep := func(shift, high int, signed bool, stored int, value func(v int) int) func(*render.Attributes) []byte {
		return func(a *render.Attributes) []byte {
			a.Allocated, a.Stored, a.HighBit, a.Signed = 16, stored, high, signed
			b := make([]byte, 2*n)
			for i, v := range grey {
				binary.LittleEndian.PutUint16(b[2*i:], uint16(value(int(v)))&(1<<stored-1)<<shift)
			}
			return b
		}
	}
	colour := func(photometric string, planar bool) func(*render.Attributes) []byte {
		return func(a *render.Attributes) []byte {
			a.Samples, a.Photometric, a.Planar = 3, photometric, planar
			b := make([]byte, 3*n)
			for i, v := range grey {
				p := [3]byte{v, v, v}
				if photometric == "YBR_FULL" {
					p = [3]byte{v, 128, 128}
				}
				for k, s := range p {
					if planar {
						b[k*n+i] = s
					} else {
						b[3*i+k] = s
					}
				}
			}
			return b
		}
	}
	for name, encode := range map[string]func(*render.Attributes) []byte{
		"8 bit":               func(*render.Attributes) []byte { return grey },
		"MONOCHROME1":         func(a *render.Attributes) []byte { a.Photometric = "MONOCHROME1"; return inverted(grey) },
		"narrow 8 bit":        func(*render.Attributes) []byte { return scaled(grey, 0.15, 40) },
		"12 of 16 bit":        deep(0, 11, false, 12, func(v int) int { return 200 + v*12 }),
		"12 of 16 bit, high":  deep(4, 15, false, 12, func(v int) int { return v * 16 }),
		"16 bit signed":       deep(0, 15, true, 16, func(v int) int { return -1000 + v*10 }),
		"a corner of 16 bit":  deep(0, 15, false, 16, func(v int) int { return 30000 + v }),
		"RGB":                 colour("RGB", false),
		"RGB by plane":        colour("RGB", true),
		"YBR_FULL":            colour("YBR_FULL", false),
		"32 bit":              func(a *render.Attributes) []byte { return wide(a, grey) },
		"palette that is not": func(a *render.Attributes) []byte { a.Photometric = "PALETTE COLOR"; return grey },
	} {
		t.Run(name, func(t *testing.T) {
			a := base
			b := encode(&a)
			found := look(t, &a, codec.Frame{Image: a.Image(), Pixels: b})
			if got := covered(c, found.Boxes); got < covers && found.Unsure == "" {
				t.Errorf("%.2f of the ink is covered", got)
			}
		})
	}
}

func inverted(b []byte) []byte {
	o := make([]byte, len(b))
	for i, v := range b {
		o[i] = 255 - v
	}
	return o
}

func scaled(b []byte, k float64, base byte) []byte {
	o := make([]byte, len(b))
	for i, v := range b {
		o[i] = base + byte(float64(v)*k)
	}
	return o
}

func wide(a *render.Attributes, grey []byte) []byte {
	a.Allocated, a.Stored, a.HighBit = 32, 32, 31
	b := make([]byte, 4*len(grey))
	for i, v := range grey {
		binary.LittleEndian.PutUint32(b[4*i:], 1<<30+uint32(v)*1000)
	}
	return b
}

// A window that shows nothing of the text does not hide it: text of 40 values above tissue, in a range of 4096.
func TestAnyWindow(t *testing.T) {
	c := written(t, 8, pelvis, plant.Bright, 16)
	box := c.Lines[0].Box
	bg := pelvis(plant.NewRand(8), c.W, c.H)
	a := render.Attributes{Rows: c.H, Columns: c.W, Samples: 1, Allocated: 16, Stored: 12, HighBit: 11, Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, Aspect: 1,
		Windows: []render.Window{{Center: 2500, Width: 100}}}
	b := make([]byte, 2*c.W*c.H)
	for i := range bg.Planes[0] {
		v := 400 + 60*float64(bg.Planes[0][i])
		if image.Pt(i%c.W, i/c.W).In(box) && c.Planes[0][i] > bg.Planes[0][i]+0.1 {
			v += 60
		}
		if i < 40 {
			v = 4000 // something bright that takes the range
		}
		binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
	}
	found := look(t, &a, codec.Frame{Image: a.Image(), Pixels: b})
	if got := covered(c, found.Boxes); got < covers && found.Unsure == "" {
		t.Errorf("%.2f of the ink is covered", got)
	}
}

// Letters on a plate whose values lie close together, in a radiograph of which the rest lies at both ends of the range: the picture that is looked at has to tell them apart.
func TestPlateBetweenTheEnds(t *testing.T) {
	const w, h, plate, ink = 640, 560, 40, 95
	r := plant.NewRand(9)
	b := make([]byte, 2*w*h)
	at := func(x, y int) []byte { return b[2*(y*w+x):] }
	text := func(x, y int) bool { return x >= 450 && x < 520 && y >= 300 && y < 312 && x%4 == 0 }
	for y := range h {
		for x := range w {
			v := 4095 * r.Intn(2)
			switch {
			case x < 300:
				v = 120 + r.Intn(90)
			case text(x, y):
				v = ink
			case x >= 440 && x < 530 && y >= 295 && y < 317:
				v = plate
			}
			binary.LittleEndian.PutUint16(at(x, y), uint16(v))
		}
	}
	a := &render.Attributes{Rows: h, Columns: w, Samples: 1, Allocated: 16, Stored: 12, HighBit: 11, Photometric: "MONOCHROME2", Slope: 1, Aspect: 1}
	views, err := view.Of(a, codec.Frame{Image: a.Image(), Pixels: b})
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, g := range views {
		most = max(most, int(g.Pix[305*w+452])-int(g.Pix[305*w+453]))
	}
	if most < 30 {
		t.Errorf("ink stands out by %d of 255 greys in the clearest picture", most)
	}
}

// Ink that is laid on its own shade is not there to be covered.
func TestInkThatNobodySees(t *testing.T) {
	c := plant.NewCanvas(200, 60, 1)
	for i := range c.Planes[0] {
		if i%200 < 130 { // the rest is black
			c.Planes[0][i] = 0.9
		}
	}
	r := plant.NewRand(2)
	face := plant.Held()[0]
	for tries := 0; len(c.Lines) == 0; tries++ {
		if tries == 50 {
			t.Fatal("the line found no place")
		}
		if m := face.Draw(r, "DARK ON DARK", 14); !c.Write(r, m, image.Pt(40, 20), 14, face.Name, plant.Dark, false) {
			continue
		}
	}
	if in := c.Lines[0].Covered(func(x, y int) bool { return x < 130 }); in < 0.999 {
		t.Errorf("the half that can be seen is covered, and counts for %.2f", in)
	}
	if in := c.Lines[0].Covered(func(x, y int) bool { return x >= 130 }); in > 0.001 {
		t.Errorf("the half that nobody sees counts as %.2f", in)
	}
}

// Strokes thinner than a pixel are drawn whole without half tones too.
func TestHairlines(t *testing.T) {
	m := &plant.Mask{W: 40, H: 12, Ink: make([]float32, 40*12)}
	for x := range 40 { // a stroke of a third of a pixel that falls by a tenth of a pixel a column
		y := 2 + float64(x)/10
		k := int(y)
		m.Ink[k*40+x] = 0.35 * float32(1-(y-float64(k)))
		m.Ink[(k+1)*40+x] = 0.35 * float32(y-float64(k))
	}
	c, gaps := m.Crisp(), 0
	for x := range 40 {
		n := 0
		for y := range 12 {
			if c.Ink[y*40+x] > 0 {
				n++
			}
		}
		if n == 0 {
			gaps++
		}
	}
	if gaps > 4 {
		t.Errorf("%d of 40 columns of a stroke are not drawn", gaps)
	}
}

func TestBrokenFrames(t *testing.T) {
	for name, m := range map[string]codec.Image{
		"no size":       {Samples: 1, Allocated: 8, Stored: 8, HighBit: 7},
		"too few":       {Rows: 100, Columns: 100, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7},
		"two samples":   {Rows: 4, Columns: 4, Samples: 2, Allocated: 8, Stored: 8, HighBit: 7},
		"odd bits":      {Rows: 2, Columns: 2, Samples: 3, Allocated: 24, Stored: 8, HighBit: 7},
		"vast":          {Rows: 65535, Columns: 65535, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7},
		"bits too many": {Rows: 2, Columns: 2, Samples: 1, Allocated: 48, Stored: 8, HighBit: 7},
	} {
		if _, err := Look(&render.Attributes{}, codec.Frame{Image: m, Pixels: make([]byte, 64)}, Hints{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// The smallest frames are looked at without harm.
	for _, s := range [][2]int{{1, 1}, {1, 300}, {300, 1}, {3, 3}, {12, 12}, {13, 15}} {
		a := render.Attributes{Rows: s[0], Columns: s[1], Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2"}
		b := make([]byte, s[0]*s[1])
		for i := range b {
			b[i] = byte(i * 37)
		}
		look(t, &a, codec.Frame{Image: a.Image(), Pixels: b})
	}
}

func FuzzLook(f *testing.F) {
	f.Add(uint16(20), uint16(30), uint8(1), uint8(8), uint8(8), uint8(7), false, false, []byte{1, 200, 3})
	f.Add(uint16(16), uint16(16), uint8(3), uint8(16), uint8(12), uint8(11), true, true, []byte{9})
	f.Add(uint16(40), uint16(40), uint8(1), uint8(1), uint8(1), uint8(0), false, false, []byte{0x55})
	f.Fuzz(func(t *testing.T, rows, columns uint16, samples, allocated, stored, high uint8, signed, planar bool, some []byte) {
		m := codec.Image{Rows: int(rows % 64), Columns: int(columns % 64), Samples: int(samples), Allocated: int(allocated), Stored: int(stored), HighBit: int(high), Signed: signed, Planar: planar,
			Photometric: []string{"MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL"}[samples%4]}
		if m.Check() != nil || len(some) == 0 {
			return
		}
		b := make([]byte, m.Rows*m.Columns*m.Samples*max(1, m.Allocated/8)+8)
		for i := range b {
			b[i] = some[i%len(some)]
		}
		a := render.Attributes{Rows: m.Rows, Columns: m.Columns, Samples: m.Samples, Allocated: m.Allocated, Stored: m.Stored, HighBit: m.HighBit, Signed: signed, Planar: planar,
			Photometric: m.Photometric, Slope: 1}
		look(t, &a, codec.Frame{Image: m, Pixels: b})
		Quick(&a, codec.Frame{Image: m, Pixels: b})
	})
}

func dataset(t testing.TB, json string) *dicom.Dataset {
	t.Helper()
	d, err := dicom.FromJSON(strings.NewReader(json), dicom.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestHints(t *testing.T) {
	h := HintsOf(dataset(t, `{"00080060":{"vr":"CS","Value":["US"]},"00080070":{"vr":"LO","Value":["Philips Ultrasound"]},"00081090":{"vr":"LO","Value":["iU22 G"]},
		"00280010":{"vr":"US","Value":[600]},"00280011":{"vr":"US","Value":[800]},
		"00186011":{"vr":"SQ","Value":[{"00186018":{"vr":"UL","Value":[100]},"0018601A":{"vr":"UL","Value":[60]},"0018601C":{"vr":"UL","Value":[700]},"0018601E":{"vr":"UL","Value":[9000]}},
		{"00186018":{"vr":"UL","Value":[5]}}]}}`))
	if !h.Often || h.Likely {
		t.Errorf("an ultrasound image often has text: %t; it does not say so: %t", h.Often, !h.Likely)
	}
	if len(h.Regions) != 1 || h.Regions[0] != image.Rect(100, 60, 701, 600) {
		t.Errorf("regions %v", h.Regions)
	}
	if len(h.Masks) != 1 || h.Masks[0] != image.Rect(0, 0, 800, 59) {
		t.Errorf("masks %v", h.Masks)
	}
	h = HintsOf(dataset(t, `{"00080070":{"vr":"LO","Value":["Philips Ultrasound"]},"00081090":{"vr":"LO","Value":["iU22 G"]},"00280010":{"vr":"US","Value":[601]},"00280011":{"vr":"US","Value":[800]}}`))
	if len(h.Regions)+len(h.Masks) != 0 {
		t.Errorf("of another size: %v", h)
	}
	found, err := Look(&render.Attributes{}, codec.Frame{Image: codec.Image{Rows: 100, Columns: 100, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7}, Pixels: make([]byte, 10000)},
		Hints{Masks: []image.Rectangle{image.Rect(0, 0, 500, 20)}})
	if err != nil || len(found.Boxes) != 1 || found.Boxes[0].Rectangle != image.Rect(0, 0, 100, 20) || found.Boxes[0].Source != Rule {
		t.Errorf("%v %v", found, err)
	}
}

// What says that text is in its pixels is looked at in earnest, whatever its modality.
func TestLikely(t *testing.T) {
	for json, want := range map[string]bool{
		`{"00080060":{"vr":"CS","Value":["CT"]}}`:                                                                                 false,
		`{"00280301":{"vr":"CS","Value":["NO"]},"00080008":{"vr":"CS","Value":["DERIVED","SECONDARY","MPR"]}}`:                    false,
		`{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},"0008103E":{"vr":"LO","Value":["Thorax 1.0"]}}`:            false,
		`{"00280301":{"vr":"CS","Value":["YES"]}}`:                                                                                true,
		`{"00280301":{"vr":"CS","Value":["yes "]}}`:                                                                               true,
		`{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7"]},"00080060":{"vr":"CS","Value":["CT"]}}`:                    true,
		`{"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.7.4"]}}`:                                                        true,
		`{"00080064":{"vr":"CS","Value":["WSD"]}}`:                                                                                true,
		`{"00080008":{"vr":"CS","Value":["DERIVED","SECONDARY","SCREEN SAVE"]}}`:                                                  true,
		`{"00080008":{"vr":"CS","Value":["DERIVED","SECONDARY","OTHER","CT_SOM5 PROT"]},"00080060":{"vr":"CS","Value":["CT"]}}`:   true,
		`{"0008103E":{"vr":"LO","Value":["Patient Protocol"]},"00080008":{"vr":"CS","Value":["ORIGINAL","PRIMARY","LOCALIZER"]}}`: true,
	} {
		if h := HintsOf(dataset(t, json)); h.Likely != want || h.Often != want {
			t.Errorf("%s: %t, often %t", json, h.Likely, h.Often)
		}
	}
}

func TestLayouts(t *testing.T) {
	for i, l := range layouts {
		if len(l.masks) == 0 || l.manufacturer == "" && l.model == "" && l.series == "" && l.imageType == "" {
			t.Errorf("layout %d says nothing, or of anything", i)
		}
		for _, s := range []string{l.manufacturer, l.model, l.series, l.imageType} {
			if s != strings.ToUpper(s) {
				t.Errorf("layout %d: %q is compared in capitals", i, s)
			}
		}
	}
}

// A name that stands still over a cine loop is found, though each frame alone hides it in speckle; identical frames are looked at once.
func TestSeries(t *testing.T) {
	r := plant.NewRand(77)
	face := plant.Held()[1]
	m := face.Draw(r, "OKAFOR ZOFIA", 13)
	var s Series
	var line plant.Line
	for k := range 5 {
		c := plant.NewCanvas(300, 240, 1)
		sp := speckle(r, c.W, c.H, 3)
		for i := range c.Planes[0] {
			c.Planes[0][i] = float32(min(1, 0.3*sp[i]))
		}
		if !c.Write(plant.NewRand(1), m, image.Pt(60, 100), 13, face.Name, plant.Bright, false) {
			t.Fatal("not written")
		}
		line = c.Lines[0]
		a, f := c.Frame(plant.NewRand(uint64(k)), false)
		for range 2 {
			if _, err := s.Look(a, f, Hints{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.frames != 5 {
		t.Errorf("%d frames were noted, want 5", s.frames)
	}
	boxes := s.Constant()
	c := plant.NewCanvas(300, 240, 1)
	c.Lines = append(c.Lines, line)
	if got := covered(c, boxes); got < covers {
		t.Errorf("%.2f of the ink is covered by %v", got, boxes)
	}
	area := 0
	for _, b := range boxes {
		area += b.Dx() * b.Dy()
		if b.Source != Constant {
			t.Errorf("source %v", b.Source)
		}
	}
	if area > 300*240/5 {
		t.Errorf("%d pixels are masked", area)
	}
	if one := (&Series{}); one.Constant() != nil {
		t.Error("constant without frames")
	}
}

// Quick says true of every slice that has plain text; docs/burned-in-text.md has the rates that are logged here.
func TestQuick(t *testing.T) {
	type rate struct{ yes, all int }
	rates := map[string]*rate{}
	count := func(what string, yes bool) {
		if rates[what] == nil {
			rates[what] = &rate{}
		}
		rates[what].all++
		if yes {
			rates[what].yes++
		}
	}
	faces := plant.Held()
	for i := range 120 {
		r := plant.NewRand(uint64(4000 + i))
		scene := plant.Pick(r, unseen[2:6])
		c := scene.Draw(r, 256, 256)
		a, f := c.Frame(r, true)
		count("no text, "+scene.Name, Quick(a, f))
		face := plant.Pick(r, faces)
		m := face.Draw(r, plant.Pick(r, []string{"JONES 12.03.1949", "MARY", "7731904"}), 10+12*r.Float())
		if m == nil {
			continue
		}
		crisp := r.Chance(0.5)
		if crisp {
			m = m.Crisp()
		}
		if !c.Write(r, m, image.Pt(4, 4+r.Intn(200)), 12, face.Name, plant.Bright, false) {
			continue
		}
		a, f = c.Frame(r, true)
		what := "plain text, soft edges"
		if crisp {
			what = "plain text, hard edges"
		}
		count(what, Quick(a, f))
	}
	for what, r := range rates {
		t.Logf("%s: true of %d of %d", what, r.yes, r.all)
	}
	if r := rates["plain text, hard edges"]; r.yes < r.all*98/100 {
		t.Errorf("hard edges: only %d of %d", r.yes, r.all)
	}
}
