package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// within reports whether a pixel lies in one of the boxes.
func within(boxes []image.Rectangle, x, y int) bool {
	return slices.ContainsFunc(boxes, func(b image.Rectangle) bool { return image.Pt(x, y).In(b) })
}

// noise is a frame of a description whose samples are anything, unused bits included.
func noise(r *rand.Rand, of Image) []byte {
	b := make([]byte, of.size())
	for i := range b {
		b[i] = byte(r.Uint32())
		if i > 0 && r.IntN(3) > 0 { // with runs
			b[i] = b[i-1]
		}
	}
	return b
}

// descriptions are of every shape that is not compressed by a code stream.
func descriptions() []Image {
	var all []Image
	for _, m := range []Image{
		{Samples: 1, Allocated: 1, Stored: 1, Photometric: "MONOCHROME2"},
		{Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME1"},
		{Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "PALETTE COLOR"},
		{Samples: 1, Allocated: 16, Stored: 12, HighBit: 11, Photometric: "MONOCHROME2"},
		{Samples: 1, Allocated: 16, Stored: 12, HighBit: 13, Signed: true, Photometric: "MONOCHROME2"},
		{Samples: 1, Allocated: 16, Stored: 16, HighBit: 15, Signed: true, Photometric: "MONOCHROME1"},
		{Samples: 1, Allocated: 32, Stored: 32, HighBit: 31, Photometric: "MONOCHROME2"},
		{Samples: 3, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "RGB"},
		{Samples: 3, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "YBR_FULL", Planar: true},
		{Samples: 3, Allocated: 16, Stored: 16, HighBit: 15, Photometric: "RGB", Planar: true},
		{Samples: 3, Allocated: 16, Stored: 10, HighBit: 9, Photometric: "RGB"},
	} {
		for _, size := range []image.Point{{1, 1}, {7, 5}, {64, 33}, {3, 200}} {
			m.Columns, m.Rows = size.X, size.Y
			all = append(all, m)
		}
	}
	return all
}

func randomBox(r *rand.Rand, of Image) image.Rectangle {
	x, y := r.IntN(of.Columns), r.IntN(of.Rows)
	return image.Rect(x-r.IntN(3), y-r.IntN(3), x+1+r.IntN(of.Columns), y+1+r.IntN(of.Rows))
}

// Of a masked frame every sample within the boxes is the fill, and every other what it was.
func TestMaskPlain(t *testing.T) {
	rle, _ := dicom.LookupTransferSyntax(rleUID)
	deflated, _ := dicom.LookupTransferSyntax(deflatedUID)
	r := rand.New(rand.NewPCG(3, 4))
	pool := NewPool(Options{})
	for _, of := range descriptions() {
		for _, syntax := range []*dicom.TransferSyntax{dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian, rle, deflated} {
			name := fmt.Sprintf("%s of %+v", syntax.Name, of)
			if syntax == rle && of.Samples > 1 {
				of.Planar = true
			}
			frame := noise(r, of)
			switch syntax {
			case rle:
				frame, _ = packRLE(of, frame)
			case deflated:
				frame = deflate(t, frame)
			default:
				frame = append(frame, 0x5a) // padding
			}
			stored := bytes.Clone(frame)
			before, err := Decode(syntax, of, bytes.Clone(frame))
			if err != nil {
				t.Fatal(name, err)
			}
			boxes := []image.Rectangle{randomBox(r, of), randomBox(r, of)}
			fill := Black(of)
			got, err := pool.Mask(t.Context(), syntax, of, frame, boxes, fill)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !bytes.Equal(frame, stored) {
				t.Errorf("%s: the frame that was given is changed", name)
			}
			if syntax.Encapsulated && len(got.Bytes)%2 != 0 || !syntax.Encapsulated && len(got.Bytes) != len(stored) {
				t.Errorf("%s: %d bytes from %d", name, len(got.Bytes), len(stored))
			}
			after, err := Decode(syntax, of, bytes.Clone(got.Bytes))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for i := range of.Rows * of.Columns {
				for c := range of.Samples {
					want := before.value(i, c)
					if within(boxes, i%of.Columns, i/of.Columns) {
						want = int64(fill[c])
						if of.Signed && want >= 1<<(of.Stored-1) {
							want -= 1 << of.Stored
						}
					}
					if v := after.value(i, c); v != want {
						t.Fatalf("%s: sample %d of pixel %d is %d instead of %d", name, c, i, v, want)
					}
				}
			}
			if !syntax.Encapsulated && of.Allocated > 1 { // every other byte is the same, unused bits too, and within the boxes there are none
				n := of.Allocated / 8
				for i := range stored {
					p := i / n / of.Samples
					if of.Planar {
						p = i / n % (of.Rows * of.Columns)
					}
					inside := i < of.size() && within(got.Boxes, p%of.Columns, p/of.Columns)
					if !inside && got.Bytes[i] != stored[i] {
						t.Fatalf("%s: byte %d is changed", name, i)
					}
				}
			}
		}
	}
}

func deflate(t *testing.T, b []byte) []byte {
	t.Helper()
	of := Image{Rows: 1, Columns: len(b), Samples: 1, Allocated: 8, Stored: 8, HighBit: 7}
	m, err := maskDeflated(of, stored(b), nil, [4]uint32{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Bytes
}

// stored is a deflate stream of blocks that are not compressed (RFC 1951 3.2.4).
func stored(b []byte) []byte {
	var out []byte
	for {
		n := min(len(b), 1<<16-1)
		last := byte(0)
		if n == len(b) {
			last = 1
		}
		out = append(out, last)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out = append(out, b[:n]...)
		if b = b[n:]; last == 1 {
			return out
		}
	}
}

// Two pixels that share their colour are painted together.
func TestMaskHalved(t *testing.T) {
	of := Image{Rows: 2, Columns: 4, Samples: 3, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "YBR_FULL_422"}
	frame := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	got, err := NewPool(Options{}).Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, frame, []image.Rectangle{image.Rect(3, 1, 4, 2)}, Black(of))
	if err != nil || !bytes.Equal(got.Bytes, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 128, 128}) || len(got.Boxes) != 1 || got.Boxes[0] != image.Rect(2, 1, 4, 2) {
		t.Errorf("%v %+v", err, got)
	}
}

func TestMaskRefuses(t *testing.T) {
	pool := NewPool(Options{})
	box := []image.Rectangle{image.Rect(0, 0, 1, 1)}
	for name, of := range map[string]Image{"12 bits allocated": {Rows: 2, Columns: 2, Samples: 1, Allocated: 12, Stored: 12, HighBit: 11}, "four samples": {Rows: 2, Columns: 2, Samples: 4, Allocated: 8, Stored: 8, HighBit: 7}} {
		if _, err := pool.Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, make([]byte, 64), box, [4]uint32{}); !errors.As(err, new(*Unsupported)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	of := grey(8)
	for name, fn := range map[string]func() (Masked, error){
		"outside": func() (Masked, error) {
			return pool.Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, make([]byte, 4), []image.Rectangle{image.Rect(2, 0, 4, 2)}, [4]uint32{})
		},
		"nothing": func() (Masked, error) {
			return pool.Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, make([]byte, 4), []image.Rectangle{image.Rect(1, 1, 1, 1)}, [4]uint32{})
		},
		"too bright": func() (Masked, error) {
			return pool.Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, make([]byte, 4), box, [4]uint32{256})
		},
		"cut": func() (Masked, error) {
			return pool.Mask(t.Context(), dicom.ExplicitVRLittleEndian, of, make([]byte, 3), box, [4]uint32{})
		},
	} {
		if got, err := fn(); err == nil || got.Bytes != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBlack(t *testing.T) {
	for _, c := range []struct {
		of   Image
		want [4]uint32
	}{
		{Image{Samples: 1, Stored: 12, Photometric: "MONOCHROME2"}, [4]uint32{}},
		{Image{Samples: 1, Stored: 12, Photometric: "MONOCHROME1"}, [4]uint32{4095}},
		{Image{Samples: 1, Stored: 12, Signed: true, Photometric: "MONOCHROME2"}, [4]uint32{2048}},
		{Image{Samples: 1, Stored: 12, Signed: true, Photometric: "MONOCHROME1"}, [4]uint32{2047}},
		{Image{Samples: 1, Stored: 32, Photometric: "MONOCHROME1"}, [4]uint32{1<<32 - 1}},
		{Image{Samples: 1, Stored: 1, Photometric: "MONOCHROME1"}, [4]uint32{1}},
		{Image{Samples: 3, Stored: 8, Photometric: "RGB"}, [4]uint32{}},
		{Image{Samples: 3, Stored: 8, Photometric: "YBR_RCT"}, [4]uint32{}},
		{Image{Samples: 3, Stored: 8, Photometric: "YBR_FULL_422"}, [4]uint32{0, 128, 128}},
	} {
		if got := Black(c.of); got != c.want {
			t.Errorf("%+v: %v instead of %v", c.of, got, c.want)
		}
	}
}

// What is packed unpacks to the same, and rows do not run into each other.
func TestPackRLE(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, of := range descriptions() {
		of.Planar = of.Samples > 1
		for range 3 {
			pixels := noise(r, of)
			code, ok := packRLE(of, pixels)
			got, err := unpackRLE(code, of)
			if !ok || err != nil || !bytes.Equal(got, pixels) {
				t.Fatalf("%+v: %v", of, err)
			}
			for s := range binary.LittleEndian.Uint32(code) {
				if binary.LittleEndian.Uint32(code[4+4*s:])%2 != 0 {
					t.Fatal("a segment begins at an odd byte")
				}
			}
		}
	}
	of := Image{Rows: 3, Columns: 200, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7}
	code, _ := packRLE(of, make([]byte, of.size()))
	if want := segments(bytes.Repeat([]byte{0x81, 0, 0xb9, 0}, 3)); !bytes.Equal(code, want) {
		t.Errorf("% x instead of % x", code[64:], want[64:])
	}
}

func TestClearUnused(t *testing.T) {
	words := func(v ...uint16) (b []byte) {
		for _, w := range v {
			b = binary.LittleEndian.AppendUint16(b, w)
		}
		return b
	}
	of := func(stored, high int, signed bool) Image {
		return Image{Rows: 2, Columns: 2, Samples: 1, Allocated: 16, Stored: stored, HighBit: high, Signed: signed}
	}
	for name, c := range map[string]struct {
		of       Image
		in, want []byte
		changed  int
	}{
		"overlay above":         {of(12, 11, false), words(0x8123, 0x0123, 0xffff, 0), words(0x0123, 0x0123, 0x0fff, 0), 2},
		"overlay below":         {of(12, 15, false), words(0x1231, 0x1230, 0xffff, 0), words(0x1230, 0x1230, 0xfff0, 0), 2},
		"both":                  {of(8, 11, false), words(0xf123, 0x0120, 0xffff, 0), words(0x0120, 0x0120, 0x0ff0, 0), 2},
		"nothing unused":        {of(16, 15, true), words(0x8123, 0xffff, 1, 2), words(0x8123, 0xffff, 1, 2), 0},
		"signs":                 {of(12, 11, true), words(0xf800, 0xffff, 0x07ff, 0), words(0xf800, 0xffff, 0x07ff, 0), 0},
		"no signs":              {of(12, 11, true), words(0x0800, 0x0fff, 0x07ff, 0), words(0x0800, 0x0fff, 0x07ff, 0), 0},
		"overlay and signs":     {of(12, 11, true), words(0xf800, 0x8fff, 0x87ff, 0), words(0xf800, 0xffff, 0x07ff, 0), 2},
		"overlay over negative": {of(15, 14, true), words(0xc000, 0x4000, 0x3fff, 0), words(0xc000, 0xc000, 0x3fff, 0), 1},
	} {
		got := slices.Clone(c.in)
		if n := ClearUnused(c.of, got, false); n != c.changed || !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d, % x instead of % x", name, n, got, c.want)
		}
		for i := 0; i < len(c.in); i += 2 {
			c.in[i], c.in[i+1], c.want[i], c.want[i+1] = c.in[i+1], c.in[i], c.want[i+1], c.want[i]
		}
		if n := ClearUnused(c.of, c.in, true); n != c.changed || !bytes.Equal(c.in, c.want) {
			t.Errorf("%s in big endian: %d, % x instead of % x", name, n, c.in, c.want)
		}
	}
	bytes8 := []byte{0xff, 0x3f}
	if n := ClearUnused(Image{Rows: 1, Columns: 2, Samples: 1, Allocated: 8, Stored: 6, HighBit: 5}, bytes8, false); n != 1 || bytes8[0] != 0x3f {
		t.Errorf("bytes: %d % x", n, bytes8)
	}
	long := []byte{0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 9}
	if n := ClearUnused(Image{Rows: 1, Columns: 2, Samples: 1, Allocated: 32, Stored: 24, HighBit: 23}, long, false); n != 1 || !bytes.Equal(long, []byte{0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 9}) {
		t.Errorf("32 bits: %d % x", n, long)
	}
	// Whatever is in unused bits, the sample stays.
	r := rand.New(rand.NewPCG(7, 8))
	for _, m := range descriptions() {
		b := noise(r, m)
		before := Frame{m, slices.Clone(b)}
		ClearUnused(m, b, false)
		if after := (Frame{m, b}); worst(&before, &after) != 0 {
			t.Errorf("%+v: a sample is changed", m)
		}
	}
}
