package codec

import (
	"bytes"
	"errors"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// progress makes a progressive code stream of the coefficients of a sequential one. Successive tells whether bits come by and by.
func progress(t testing.TB, frame []byte, restart int, successive bool) []byte {
	t.Helper()
	all, err := segmentsOf(methodJPEG, frame)
	if err != nil {
		t.Fatal(err)
	}
	var st dctState
	var p *progressive
	out := newRewriter(nil)
	for i := range all {
		s := all[i]
		if s.marker == markerSOS {
			scan, err := st.scan(&s)
			if err != nil {
				t.Fatal(err)
			}
			if p == nil {
				p, err = newProgressive(st.frame)
				if err != nil {
					t.Fatal(err)
				}
			}
			intervals, _ := scan.intervals()
			var r bitReader
			var before [4]int
			_ = p.each(scan, func(k int) error { r, before = bitReader{b: intervals[k]}, [4]int{}; return nil }, func(k, x, y int) error {
				c, ok := scan.components[k].block(&r, &before[k])
				if !ok {
					t.Fatal("it cannot be read")
				}
				for i, v := range c {
					p.block(&scan.components[k], x, y)[i] = int16(v)
				}
				return nil
			})
			continue
		}
		if err := st.read(&s); err != nil {
			t.Fatal(err)
		}
		if s.marker == markerSOF0 || s.marker == markerSOF1 {
			s.marker = markerSOF2
		}
		if s.marker != markerDHT {
			out.b = s.append(out.b)
		}
	}
	st.restart = restart
	out.b = append(out.b, 0xff, markerDRI, 0, 4, 0, byte(restart))
	type part struct {
		components     []byte
		ss, se, ah, al byte
	}
	names := []byte{1, 2, 3}[:len(p.components)]
	script := []part{{names, 0, 0, 0, 0}}
	if successive {
		script = []part{{names, 0, 0, 0, 1}}
	}
	for _, name := range names {
		if successive {
			script = append(script, part{[]byte{name}, 1, 5, 0, 2}, part{[]byte{name}, 6, 63, 0, 2}, part{[]byte{name}, 1, 63, 2, 1})
		} else {
			script = append(script, part{[]byte{name}, 1, 20, 0, 0}, part{[]byte{name}, 21, 63, 0, 0})
		}
	}
	if successive {
		script = append(script, part{names, 0, 0, 1, 0})
		for _, name := range slices.Backward(names) {
			script = append(script, part{[]byte{name}, 1, 63, 1, 0})
		}
	}
	for _, c := range script {
		head := []byte{byte(len(c.components))}
		for _, name := range c.components {
			head = append(head, name, 0)
		}
		header := &segment{marker: markerSOS, data: append(head, c.ss, c.se, c.ah<<4|c.al)}
		scan, err := st.scan(header)
		if err != nil {
			t.Fatal(err)
		}
		var often [2][4][256]int
		if err := p.write(scan, &often, nil); err != nil {
			t.Fatal(err)
		}
		out.tables = [2][4]*huffman{}
		for class := range often {
			if often[class][0] != [256]int{} {
				out.tables[class][0] = optimal(&often[class][0])
			}
		}
		out.begin(header, scan, &often)
		if err := p.write(scan, nil, &out.bitWriter); err != nil {
			t.Fatal(err)
		}
	}
	return append(out.b, 0xff, markerEOI)
}

// A progressive code stream shows what the sequential one does that it was made of, and the same when both are masked.
func TestMaskProgressive(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(27, 28))
	syntax, _ := dicom.LookupTransferSyntax(jpegSyntaxes[0xc2])
	decode := func(c picture, b []byte) *Frame {
		f, err := pool.Decode(t.Context(), syntax, c.image(), bytes.Clone(b))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			return nil
		}
		return &f
	}
	for i, c := range pictures() {
		sequential, of := c.draw(r), c.image()
		frame := progress(t, sequential, i%4*3, i%3 > 0)
		a, b := decode(c, sequential), decode(c, frame)
		if a == nil || b == nil || worst(a, b) != 0 {
			t.Errorf("%v: progressive it is another picture", c)
			continue
		}
		box := randomBox(r, of)
		got, err := pool.Mask(t.Context(), syntax, of, frame, []image.Rectangle{box}, Black(of))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		other, err := pool.Mask(t.Context(), syntax, of, sequential, []image.Rectangle{box}, Black(of))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		if !slices.Equal(got.Boxes, other.Boxes) || worst(decode(c, got.Bytes), decode(c, other.Bytes)) != 0 {
			t.Errorf("%v: progressive it is masked otherwise", c)
		}
		if c.restart = i % 4 * 3; c.restart > 0 {
			c.apart = true // scans of one component
		}
		if !c.apart && !slices.Equal(goPixels(t, c, frame, nil), goPixels(t, c, sequential, nil)) || !slices.Equal(goPixels(t, c, got.Bytes, got.Boxes), goPixels(t, c, frame, got.Boxes)) {
			t.Errorf("%v: Go's decoder sees another picture", c)
		}
		all, err := segmentsOf(methodJPEG, got.Bytes)
		if err != nil || !isProgressive(all) {
			t.Errorf("%v: it is progressive no more: %v", c, err)
		}
	}
}

// Nobody waits for ever, and scans that contradict each other are not masked.
func TestRecodeRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	sequential := pictures()[0].draw(r)
	frame := progress(t, sequential, 0, true)
	box := []image.Rectangle{image.Rect(0, 0, 5, 5)}
	late := make(chan struct{})
	close(late)
	for _, b := range [][]byte{sequential, frame} {
		if _, _, _, err := recode(late, b, box, [4]uint32{}); !errors.Is(err, errLate) {
			t.Errorf("late: %v", err)
		}
	}
	all, err := segmentsOf(methodJPEG, frame)
	if err != nil {
		t.Fatal(err)
	}
	var scans []int
	for i := range all {
		if all[i].marker == markerSOS {
			scans = append(scans, i)
		}
	}
	for _, i := range scans {
		for name, change := range map[string][]segment{
			"without a scan": slices.Delete(slices.Clone(all), i, i+1), "with a scan twice": slices.Insert(slices.Clone(all), i, all[i]),
		} {
			b := []byte{0xff, markerSOI}
			for _, s := range change {
				b = s.append(b)
			}
			b = append(b, 0xff, markerEOI)
			code, _, _, err := recode(nil, b, box, [4]uint32{})
			if name == "without a scan" && i == scans[len(scans)-1] { // the last bit of some: it is a picture without
				if err != nil || !painted(nil, b, code, box, [4]uint32{}) {
					t.Errorf("%s at the end: %v", name, err)
				}
			} else if err == nil {
				t.Errorf("%s, number %d, it is masked", name, i)
			}
		}
	}
}
