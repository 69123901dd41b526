package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// picture says what JPEG code stream to make.
type picture struct {
	process, precision int
	rows, columns      int
	sampling           [][2]int
	restart            int
	apart              bool // a scan for each component
	adobe              int  // its marker's transformation; -1: none
}

func (c picture) String() string {
	return fmt.Sprintf("process %x, %d bits, %dx%d, sampling %v, restart %d, apart %v", c.process, c.precision, c.columns, c.rows, c.sampling, c.restart, c.apart)
}

// image describes it.
func (c picture) image() Image {
	of := Image{Rows: c.rows, Columns: c.columns, Samples: len(c.sampling), Allocated: 8, Stored: c.precision, HighBit: c.precision - 1, Photometric: "MONOCHROME2"}
	if c.precision > 8 {
		of.Allocated = 16
	}
	if of.Samples == 3 {
		of.Photometric = "YBR_FULL_422"
	}
	return of
}

// draw makes a code stream of random coefficients, whose tables have no code that is not used.
func (c picture) draw(r *rand.Rand) []byte {
	f := &dctFrame{precision: c.precision, rows: c.rows, columns: c.columns}
	out := []byte{0xff, markerSOI, 0xff, markerCOM, 0, 12}
	out = append(out, "DOE, JANE."...)
	if c.adobe >= 0 {
		out = append(out, 0xff, markerAPP14, 0, 14)
		out = append(out, "Adobe\x00\x64\x00\x00\x00\x00"...)
		out = append(out, byte(c.adobe))
	}
	header := []byte{byte(c.precision)}
	header = binary.BigEndian.AppendUint16(header, uint16(c.rows))
	header = binary.BigEndian.AppendUint16(header, uint16(c.columns))
	header = append(header, byte(len(c.sampling)))
	for i, s := range c.sampling {
		f.hmax, f.vmax = max(f.hmax, s[0]), max(f.vmax, s[1])
		header = append(header, byte(i+1), byte(s[0]<<4|s[1]), byte(min(i, 1)))
	}
	for i, s := range c.sampling {
		f.components = append(f.components, dctComponent{id: byte(i + 1), h: s[0], v: s[1], wide: ceil(ceil(c.columns*s[0], f.hmax), 8), high: ceil(ceil(c.rows*s[1], f.vmax), 8)})
	}
	for t := range byte(2) {
		q := []byte{t}
		for range 64 {
			q = append(q, byte(1+r.IntN(20)))
		}
		out = (&segment{marker: markerDQT, data: q}).append(out)
	}
	out = (&segment{marker: byte(c.process), data: header}).append(out)
	if c.restart > 0 {
		out = append(out, 0xff, markerDRI, 0, 4, 0, byte(c.restart))
	}
	var groups [][]int
	switch {
	case c.apart || len(c.sampling) == 1:
		for i := range c.sampling {
			groups = append(groups, []int{i})
		}
	default:
		groups = [][]int{{0, 1, 2}}
	}
	coefficients := map[[3]int][64]int{}
	block := func(i, x, y int) [64]int {
		b, ok := coefficients[[3]int{i, x, y}]
		if !ok {
			b[0] = r.IntN(100) - 50
			for range r.IntN(6) {
				b[r.IntN(64)] = r.IntN(21) - 10
			}
			if r.IntN(10) == 0 {
				b[63] = 1
			}
			coefficients[[3]int{i, x, y}] = b
		}
		return b
	}
	for _, g := range groups {
		s := &dctScan{restart: c.restart}
		head := []byte{byte(len(g))}
		for _, i := range g {
			slot := byte(min(i, 1))
			s.components = append(s.components, dctPart{dctComponent: &f.components[i], index: i, td: slot, ta: slot})
			head = append(head, byte(i+1), slot<<4|slot)
		}
		head = append(head, 0, 63, 0)
		var often [2][4][256]int
		var tables [2][4]*huffman
		var w *bitWriter
		emit := func(class, slot byte, symbol, value, n int) {
			if w == nil {
				often[class][slot][symbol]++
				return
			}
			w.put(uint32(tables[class][slot].code[symbol]), int(tables[class][slot].length[symbol]))
			w.value(value, n)
		}
		write := func() {
			var before [3]int
			_ = f.each(s, func(k int) error {
				before = [3]int{}
				if k > 0 && w != nil {
					w.end()
					w.b = append(w.b, 0xff, markerRST0+byte((k-1)%8))
				}
				return nil
			}, func(k, x, y int) error {
				p := s.components[k]
				b := block(p.index, x, y)
				d := b[0] - before[k]
				before[k] = b[0]
				emit(0, p.td, category(d), d, category(d))
				run := 0
				for _, v := range b[1:] {
					if v == 0 {
						run++
						continue
					}
					for ; run > 15; run -= 16 {
						emit(1, p.ta, 0xf0, 0, 0)
					}
					emit(1, p.ta, run<<4|category(v), v, category(v))
					run = 0
				}
				if run > 0 {
					emit(1, p.ta, 0, 0, 0)
				}
				return nil
			})
		}
		write()
		var dht []byte
		for class := range tables {
			for slot := range tables[class] {
				if often[class][slot] != [256]int{} {
					tables[class][slot] = optimal(&often[class][slot])
					dht = tables[class][slot].append(dht, byte(class), byte(slot))
				}
			}
		}
		out = (&segment{marker: markerDHT, data: dht}).append(out)
		out = (&segment{marker: markerSOS, data: head}).append(out)
		w = &bitWriter{b: out}
		write()
		w.end()
		out = w.b
	}
	return append(out, 0xff, markerEOI)
}

func pictures() []picture {
	var all []picture
	colour := [][][2]int{{{1, 1}, {1, 1}, {1, 1}}, {{2, 1}, {1, 1}, {1, 1}}, {{2, 2}, {1, 1}, {1, 1}}, {{1, 2}, {1, 1}, {1, 1}}, {{4, 1}, {1, 1}, {1, 1}}, {{2, 2}, {2, 1}, {1, 2}}, {{4, 2}, {1, 1}, {1, 1}}}
	for _, size := range []image.Point{{97, 61}, {16, 16}, {1, 1}, {40, 7}, {130, 75}} {
		all = append(all, picture{0xc0, 8, size.Y, size.X, [][2]int{{1, 1}}, 0, false, -1}, picture{0xc0, 8, size.Y, size.X, [][2]int{{2, 2}}, 3, false, -1}, picture{0xc1, 12, size.Y, size.X, [][2]int{{1, 1}}, 2, false, -1})
		for i, s := range colour {
			all = append(all, picture{0xc0, 8, size.Y, size.X, s, i % 3, i%2 == 0, -1}, picture{0xc1, 8, size.Y, size.X, s, 1, i%2 == 1, -1})
		}
	}
	return all
}

var jpegSyntaxes = map[int]string{0xc0: "1.2.840.10008.1.2.4.50", 0xc1: "1.2.840.10008.1.2.4.51", 0xc2: "1.2.840.10008.1.2.4.55", 0xc3: "1.2.840.10008.1.2.4.57"}

// Of JPEG with loss all is as it was outside the boxes, as libjpeg and Go's decoder read it, and within them nothing is left.
func TestMaskJPEG(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(9, 10))
	for _, c := range pictures() {
		syntax, _ := dicom.LookupTransferSyntax(jpegSyntaxes[c.process])
		frame, of := c.draw(r), c.image()
		before, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(frame))
		if err != nil {
			t.Errorf("%v cannot be decoded: %v", c, err)
			continue
		}
		box := randomBox(r, of)
		got, err := pool.Mask(t.Context(), syntax, of, frame, []image.Rectangle{box}, Black(of))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		if bytes.Contains(got.Bytes, []byte("JANE")) {
			t.Errorf("%v: its comment is left", c)
		}
		if len(got.Boxes) != 1 || !box.Intersect(image.Rect(0, 0, of.Columns, of.Rows)).In(got.Boxes[0]) || got.Boxes[0].Dx() > box.Dx()+4*8*2 || got.Boxes[0].Dy() > box.Dy()+4*8*2 {
			t.Errorf("%v: %v becomes %v", c, box, got.Boxes)
		}
		after, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(got.Bytes))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		for i := range of.Rows * of.Columns {
			for k := range of.Samples {
				p := image.Pt(i%of.Columns, i/of.Columns)
				a, b := before.value(i, k), after.value(i, k)
				switch {
				case !within(got.Boxes, p.X, p.Y) && a != b:
					t.Fatalf("%v: %v of %d is %d instead of %d, outside %v", c, p, k, b, a, got.Boxes)
				case p.In(box) && k == 0 && b > 14:
					t.Fatalf("%v: %v is %d within %v", c, p, b, box)
				}
			}
		}
		if !slices.Equal(goPixels(t, c, frame, got.Boxes), goPixels(t, c, got.Bytes, got.Boxes)) {
			t.Errorf("%v: Go's decoder sees a difference outside the boxes", c)
		}
	}
}

// goPixels are the samples of a picture outside boxes, as Go's image/jpeg decodes them, if it does.
func goPixels(t *testing.T, c picture, code []byte, boxes []image.Rectangle) (all []byte) {
	if c.apart && c.restart > 0 { // where it counts restart intervals in units of another kind
		return nil
	}
	m, err := jpeg.Decode(bytes.NewReader(code))
	if err != nil {
		if !errors.As(err, new(jpeg.UnsupportedError)) {
			t.Errorf("%v: %v", c, err)
		}
		return nil
	}
	for y := range c.rows {
		for x := range c.columns {
			if within(boxes, x, y) {
				continue
			}
			switch m := m.(type) {
			case *image.Gray:
				all = append(all, m.GrayAt(x, y).Y)
			case *image.YCbCr:
				v := m.YCbCrAt(x, y)
				all = append(all, v.Y, v.Cb, v.Cr)
			}
		}
	}
	return all
}

// A code stream that is anything makes an error, or one that is changed where it is to be and nowhere else.
func FuzzRecode(f *testing.F) {
	r := rand.New(rand.NewPCG(15, 16))
	for i, c := range pictures() {
		if c.rows*c.columns < 1000 {
			frame := c.draw(r)
			f.Add(frame, uint16(r.IntN(c.columns)), uint16(r.IntN(c.rows)), uint16(3))
			f.Add(progress(f, frame, i%3, i%2 == 0), uint16(r.IntN(c.columns)), uint16(r.IntN(c.rows)), uint16(3))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, x, y, size uint16) {
		s, ok := headerOf(methodJPEG, b)
		if !ok || s.rows*s.columns > 1<<18 {
			return
		}
		box := image.Rect(int(x), int(y), int(x)+int(size), int(y)+int(size)).Intersect(image.Rect(0, 0, s.columns, s.rows))
		if box.Empty() {
			return
		}
		code, _, grown, err := recode(nil, b, []image.Rectangle{box}, [4]uint32{0, 128, 128})
		if err != nil {
			return
		}
		if len(grown) != 1 || !box.In(grown[0]) || !painted(nil, b, code, []image.Rectangle{box}, [4]uint32{0, 128, 128}) {
			t.Error("it is not what it should be")
		}
		if len(code) > 4*len(b)+4096 {
			t.Errorf("%d bytes become %d", len(b), len(code))
		}
	})
}

// The value to paint with is in the image's colours, and what is painted in those of the code stream.
func TestMaskColours(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(35, 36))
	syntax, _ := dicom.LookupTransferSyntax(jpegSyntaxes[0xc0])
	for _, c := range []struct {
		said       string
		adobe      int
		fill, want [4]uint32
	}{
		{"RGB", 1, [4]uint32{}, [4]uint32{0, 128, 128}},
		{"RGB", 1, [4]uint32{255, 0, 0}, [4]uint32{76, 85, 255}},
		{"RGB", 0, [4]uint32{255, 0, 0}, [4]uint32{255, 0, 0}},
		{"YBR_FULL_422", 0, [4]uint32{0, 128, 128}, [4]uint32{}},
		{"YBR_FULL_422", 0, [4]uint32{76, 85, 255}, [4]uint32{254, 0, 0}},
		{"YBR_FULL_422", 1, [4]uint32{0, 128, 128}, [4]uint32{0, 128, 128}},
	} {
		p := picture{0xc0, 8, 32, 32, [][2]int{{1, 1}, {1, 1}, {1, 1}}, 0, false, c.adobe}
		of := p.image()
		of.Photometric = c.said
		got, err := pool.Mask(t.Context(), syntax, of, p.draw(r), []image.Rectangle{image.Rect(9, 9, 14, 14)}, c.fill)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		f, err := pool.Decode(t.Context(), syntax, of, got.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for k := range 3 { // as near as quantisation allows: steps of no more than 20/8
			if d := f.value(10*32+10, k) - int64(c.want[k]); d < -2 || d > 2 {
				t.Errorf("%+v: component %d is %d", c, k, f.value(10*32+10, k))
			}
		}
	}
}

// The checks themselves notice one coefficient, or one sample.
func TestChecksNotice(t *testing.T) {
	r := rand.New(rand.NewPCG(39, 40))
	black := [4]uint32{0, 128, 128}
	for i, c := range pictures() {
		if c.columns < 40 {
			continue
		}
		frame := c.draw(r)
		if i%2 == 0 {
			frame = progress(t, frame, 0, true)
		}
		box, beside := []image.Rectangle{image.Rect(0, 0, 5, 5)}, []image.Rectangle{image.Rect(c.columns-5, 0, c.columns, 5)}
		code, _, _, err := recode(nil, frame, box, black)
		if err != nil {
			t.Fatal(err)
		}
		if !painted(nil, frame, code, box, black) {
			t.Errorf("%v: what is painted is not noticed", c)
		}
		if painted(nil, frame, code, beside, black) || painted(nil, frame, code, append(beside, box...), black) || painted(nil, frame, frame, box, black) || painted(nil, frame, code, box, [4]uint32{255, 128, 128}) {
			t.Errorf("%v: it is taken for another", c)
		}
	}
	of := Image{Rows: 9, Columns: 9, Samples: 1, Allocated: 16, Stored: 12, HighBit: 11, Photometric: "MONOCHROME2"}
	box := image.Rect(2, 3, 5, 6)
	for i := range 81 {
		a, b := Frame{of, make([]byte, of.size())}, Frame{of, make([]byte, of.size())}
		b.Pixels[2*i+1] = 1
		inside := image.Pt(i%9, i/9).In(box)
		if b.shows(box, 0, 0) == inside {
			t.Errorf("sample %d: whether it is shown is not noticed", i)
		}
		if sameOutside(&a, &b, []image.Rectangle{box}) != inside {
			t.Errorf("sample %d: whether it is the same is not noticed", i)
		}
	}
}
