package codec

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// made encodes an image without loss as a stream of the given method says of itself.
func made(t testing.TB, pool *Pool, m method, head stream, of Image, pixels []byte) ([]byte, error) {
	t.Helper()
	f := &Frame{of, pixels}
	q := requestOf(m, &head, f)
	samples := f.words(int(q.word))
	wide := m == methodHTJ2K && (q.precision != 8 || q.signed)
	if wide {
		samples = level(f.words(2), &head)
		q.word, q.precision, q.signed = 2, 16, true
	}
	code, err := pool.encode(t.Context(), q, samples)
	if err == nil && wide {
		setPrecision(code, &head)
	}
	return code, err
}

// What is encoded in a worker without loss is what it was but for the boxes, at every depth, signed and not.
func TestMaskReversible(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(21, 22))
	j2k, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.90")
	for _, c := range []struct {
		m          method
		uid        string
		precisions []int
		samples    int
		signed     bool
	}{
		{methodJPEGLS, "1.2.840.10008.1.2.4.80", []int{2, 7, 8, 9, 12, 15, 16}, 1, false},
		{methodJPEGLS, "1.2.840.10008.1.2.4.81", []int{8, 12, 16}, 3, false},
		{methodJPEG2000, "1.2.840.10008.1.2.4.90", []int{1, 2, 7, 8, 9, 12, 15, 16}, 1, false},
		{methodJPEG2000, "1.2.840.10008.1.2.4.91", []int{9, 12, 16}, 1, true},
		{methodJPEG2000, "1.2.840.10008.1.2.4.90", []int{8}, 3, false},
		{methodJPEG2000, "1.2.840.10008.1.2.4.90", []int{7}, 3, false}, // not transformed
		{methodHTJ2K, "1.2.840.10008.1.2.4.201", []int{2, 7, 8, 9, 12, 15, 16}, 1, false},
		{methodHTJ2K, "1.2.840.10008.1.2.4.202", []int{9, 12, 16}, 1, true},
		{methodHTJ2K, "1.2.840.10008.1.2.4.203", []int{8}, 3, false},
	} {
		syntax, _ := dicom.LookupTransferSyntax(c.uid)
		for _, precision := range c.precisions {
			of, pixels := losslessImage(r, precision, c.samples, image.Pt(33+r.IntN(90), 17+r.IntN(90)))
			of.Signed = c.signed
			if c.signed { // words repeat their sign
				for i := 0; i < len(pixels); i += 2 {
					v := of.word(uint32(pixels[i]) | uint32(pixels[i+1])<<8)
					pixels[i], pixels[i+1] = byte(v), byte(v>>8)
				}
			}
			name := fmt.Sprintf("%s, %d bits, %d samples, signed %v", syntax.Name, precision, c.samples, c.signed)
			head := stream{rows: of.Rows, columns: of.Columns, samples: c.samples, precision: precision, signed: c.signed, transformed: c.samples == 3 && c.m != methodJPEGLS && precision == 8}
			frame, err := made(t, pool, c.m, head, of, pixels)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got, ok := headerOf(c.m, frame); !ok || got.precision != precision || got.signed != c.signed {
				t.Errorf("%s: its header says %+v", name, got)
			}
			before, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(frame))
			if err != nil || worst(&before, &Frame{of, pixels}) != 0 {
				t.Errorf("%s: it is read otherwise: %v", name, err)
				continue
			}
			box := randomBox(r, of)
			fill := Black(of)
			if c.samples == 3 {
				fill = [4]uint32{1, 2, 3}
			}
			got, err := pool.Mask(t.Context(), syntax, of, frame, []image.Rectangle{box}, fill)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			after, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(got.Bytes))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for i := range of.Rows * of.Columns {
				for k := range c.samples {
					want := before.value(i, k)
					if within(got.Boxes, i%of.Columns, i/of.Columns) {
						want = int64(fill[k])
						if c.signed && want >= 1<<(precision-1) {
							want -= 1 << precision
						}
					}
					if v := after.value(i, k); v != want {
						t.Fatalf("%s: sample %d of pixel %d is %d instead of %d", name, k, i, v, want)
					}
				}
			}
			if c.m == methodHTJ2K { // OpenJPEG reads it too
				b, err := pool.Decode(t.Context(), j2k, of, bytes.Clone(got.Bytes))
				if err != nil || worst(&after, &b) != 0 {
					t.Errorf("%s: OpenJPEG reads it otherwise: %v", name, err)
				}
			}
			theirs := others(t, syntax, of, got.Bytes)
			for tool, b := range theirs {
				if d := differs(&after, b, nil); d != "" {
					t.Errorf("%s: as %s reads it, %s", name, tool, d)
				}
			}
			if len(theirs) == 0 && c.m != methodHTJ2K && precision >= 8 {
				t.Errorf("%s: nobody else reads it", name)
			}
			if bytes.Contains(got.Bytes, []byte("Open")) {
				t.Errorf("%s: the encoder's comment is left", name)
			}
		}
	}
}

// Where something is lost there is no writing it again.
func TestMaskHoldsLoss(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(23, 24))
	of, pixels := losslessImage(r, 8, 1, image.Pt(64, 64))
	head := stream{rows: 64, columns: 64, samples: 1, precision: 8}
	box := []image.Rectangle{image.Rect(3, 3, 9, 9)}
	// Colours of HTJ2K are not known to be written as they were if they are not transformed.
	rgb, colours := losslessImage(r, 8, 3, image.Pt(64, 64))
	ht, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.201")
	frame, err := made(t, pool, methodHTJ2K, stream{rows: 64, columns: 64, samples: 3, precision: 8, transformed: true}, rgb, colours)
	if err != nil {
		t.Fatal(err)
	}
	frame[bytes.Index(frame, []byte{0xff, 0x52})+8] = 0
	if got, err := pool.Mask(t.Context(), ht, rgb, frame, box, [4]uint32{}); !errors.As(err, new(*Unsupported)) || got.Bytes != nil {
		t.Errorf("HTJ2K without a transformation of colours: %v", err)
	}
	for m, uid := range map[method]string{methodJPEGLS: "1.2.840.10008.1.2.4.81", methodJPEG2000: "1.2.840.10008.1.2.4.91", methodHTJ2K: "1.2.840.10008.1.2.4.203"} {
		syntax, _ := dicom.LookupTransferSyntax(uid)
		frame, err := made(t, pool, m, head, of, pixels)
		if err != nil {
			t.Fatal(err)
		}
		if m == methodJPEGLS {
			frame[bytes.Index(frame, []byte{0xff, markerSOS})+7] = 2 // NEAR
			if err := exactLS(frame); !errors.As(err, new(*Unsupported)) {
				t.Errorf("%v: %v", m, err)
			}
		} else {
			frame[bytes.Index(frame, []byte{0xff, 0x52})+13] = 0 // the transformation of real numbers
			if _, err := reversible(m, frame); !errors.As(err, new(*Unsupported)) {
				t.Errorf("%v: %v", m, err)
			}
		}
		if got, err := pool.Mask(t.Context(), syntax, of, frame, box, [4]uint32{}); err == nil || got.Bytes != nil {
			t.Errorf("%v with loss is masked", m)
		}
	}
}

// A worker that cannot encode in time, or answers what it should not, makes no frame.
func TestEncodersFail(t *testing.T) {
	ls, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.80")
	good := testPool(t)
	r := rand.New(rand.NewPCG(25, 26))
	of, pixels := losslessImage(r, 8, 1, image.Pt(64, 64))
	head := stream{rows: 64, columns: 64, samples: 1, precision: 8}
	frame, err := made(t, good, methodJPEGLS, head, of, pixels)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"codec-sleeper", "codec-crasher", "codec-copier"} {
		p := poolOf(t, Options{Command: command(t, verb), Frame: 100 * time.Millisecond})
		q := requestOf(methodJPEGLS, &head, &Frame{of, pixels})
		if code, err := p.encode(t.Context(), q, pixels); verb != "codec-copier" && (err == nil || code != nil || !errors.As(err, new(*Unsupported))) {
			t.Errorf("%s: %v", verb, err)
		}
		if got, err := p.Mask(t.Context(), ls, of, frame, []image.Rectangle{image.Rect(0, 0, 5, 5)}, [4]uint32{7}); err == nil || got.Bytes != nil {
			t.Errorf("%s: it is masked", verb)
		} else if verb == "codec-copier" && err.Error() != unequal("JPEG-LS").Error() {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// A JPEG-LS code stream with a scan for each component is masked too: its planes are those of the image.
func TestMaskScansOfJPEGLS(t *testing.T) {
	pool := testPool(t)
	r := rand.New(rand.NewPCG(33, 34))
	syntax, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.80")
	of, pixels := losslessImage(r, 8, 3, image.Pt(50, 40))
	frame := []byte{0xff, markerSOI, 0xff, markerSOF55, 0, 17, 8, 0, 40, 0, 50, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0}
	grey := Image{Rows: 40, Columns: 50, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7, Photometric: "MONOCHROME2"}
	for c := range 3 {
		plane := make([]byte, 2000)
		for i := range plane {
			plane[i] = pixels[3*i+c]
		}
		one, err := made(t, pool, methodJPEGLS, stream{rows: 40, columns: 50, samples: 1, precision: 8}, grey, plane)
		if err != nil {
			t.Fatal(err)
		}
		all, err := segmentsOf(methodJPEGLS, one)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.marker == markerSOS {
				s.data = bytes.Clone(s.data)
				s.data[1] = byte(c + 1)
				frame = s.append(frame)
			}
		}
	}
	frame = append(frame, 0xff, markerEOI)
	before, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(frame))
	if err != nil || !before.Planar || worst(&before, &Frame{of, pixels}) != 0 {
		t.Fatalf("it is read otherwise: %v", err)
	}
	got, err := pool.Mask(t.Context(), syntax, of, frame, []image.Rectangle{image.Rect(10, 10, 20, 15)}, [4]uint32{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	after, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(got.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	if d := differs(&before, &after, got.Boxes); d != "" || after.value(10*50+10, 2) != 3 || after.value(14*50+19, 0) != 1 {
		t.Errorf("it is masked otherwise: %s", d)
	}
}
