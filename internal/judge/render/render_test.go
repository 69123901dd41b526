package render

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func grey(bits int, signed bool) Attributes {
	return Attributes{Rows: 2, Columns: 2, Samples: 1, Allocated: bits, Stored: bits, HighBit: bits - 1, Signed: signed, Photometric: "MONOCHROME2", Slope: 1, Aspect: 1}
}

func pix(t *testing.T, m image.Image, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
			if _, ok := m.(*image.Gray); ok {
				out = append(out, c.R)
			} else {
				out = append(out, c.R, c.G, c.B)
			}
		}
	}
	return out
}

func words(v ...int16) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, uint16(x))
	}
	return b
}

// The shades of PS3.3 C.11.2.1.2: a window of 100 around 50 begins at 0 and ends at 99.
func TestShades(t *testing.T) {
	ts := dicom.ExplicitVRLittleEndian
	for _, c := range []struct {
		name   string
		change func(*Attributes)
		win    Window
		frame  []byte
		want   []byte
	}{
		{"linear", nil, Window{50, 100, Linear}, words(-1, 0, 99, 200), []byte{0, 0, 255, 255}},
		{"rescaled", func(a *Attributes) { a.Slope, a.Intercept = 2, -100 }, Window{0, 201, Linear}, words(0, 50, 100, 25), []byte{1, 128, 255, 64}},
		{"inverted", func(a *Attributes) { a.Photometric = "MONOCHROME1" }, Window{50, 100, Linear}, words(-1, 0, 99, 200), []byte{255, 255, 0, 0}},
		{"sigmoid", nil, Window{0, 100, Sigmoid}, words(0, -10000, 10000, 0), []byte{128, 0, 255, 128}},
		{"exact", nil, Window{0, 200, LinearExact}, words(0, -100, 100, 50), []byte{128, 0, 255, 191}},
		{"a step", nil, Window{10, 1, Linear}, words(9, 10, 11, 0), []byte{0, 255, 255, 0}},
	} {
		a := grey(16, true)
		if c.change != nil {
			c.change(&a)
		}
		m, err := Draw(a, ts, c.frame, Options{Window: &c.win})
		if got := pix(t, m, err); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	a := grey(16, false)
	a.Stored, a.HighBit, a.Signed = 12, 11, true
	m, err := Draw(a, ts, words(0x0800, 0x0fff, 0x07ff, 0), Options{Window: &Window{0, 4096, LinearExact}})
	if got := pix(t, m, err); got[0] != 0 || got[2] < 254 || got[1] != 127 && got[1] != 128 {
		t.Errorf("twelve signed bits: %v", got)
	}
	a = grey(16, true)
	a.Padding = &[2]float64{-2000, -2000}
	m, err = Draw(a, ts, words(-2000, 0, 50, 100), Options{})
	if got := pix(t, m, err); got[0] != 0 || got[1] != 0 || got[3] != 255 {
		t.Errorf("a window made around padding: %v", got)
	}
}

func TestColours(t *testing.T) {
	ts := dicom.ExplicitVRLittleEndian
	a := grey(8, false)
	a.Samples, a.Photometric, a.Rows, a.Columns = 3, "RGB", 1, 2
	want := []byte{255, 0, 0, 0, 128, 255}
	m, err := Draw(a, ts, want, Options{})
	if got := pix(t, m, err); !bytes.Equal(got, want) {
		t.Errorf("RGB: %v", got)
	}
	a.Planar = true
	m, err = Draw(a, ts, []byte{255, 0, 0, 128, 0, 255}, Options{})
	if got := pix(t, m, err); !bytes.Equal(got, want) {
		t.Errorf("RGB by plane: %v", got)
	}
	a.Planar, a.Photometric = false, "YBR_FULL"
	m, err = Draw(a, ts, []byte{76, 85, 255, 128, 128, 128}, Options{})
	if got := pix(t, m, err); got[0] < 253 || got[1] > 2 || got[2] > 2 || got[3] != 128 || got[5] != 128 {
		t.Errorf("YBR_FULL: %v", got)
	}
	a.Photometric = "YBR_FULL_422"
	m, err = Draw(a, ts, []byte{76, 76, 85, 255}, Options{})
	if got := pix(t, m, err); got[0] < 253 || got[3] < 253 || got[4] > 2 {
		t.Errorf("YBR_FULL_422: %v", got)
	}
	a = grey(8, false)
	a.Photometric = "PALETTE COLOR"
	a.palette = &[3]table{{values: []uint16{1, 2}, top: 255}, {values: []uint16{3, 4}, top: 255}, {first: 1, values: []uint16{5, 6}, top: 255}}
	m, err = Draw(a, ts, []byte{0, 1, 2, 9}, Options{})
	if got := pix(t, m, err); !bytes.Equal(got, []byte{1, 3, 5, 2, 4, 5, 2, 4, 6, 2, 4, 6}) {
		t.Errorf("palette: %v", got)
	}
}

// A picture is never larger than asked for, nor than its pixels, and keeps its shape.
func TestSizes(t *testing.T) {
	a := grey(8, false)
	a.Rows, a.Columns = 300, 400
	for _, c := range []struct {
		o      Options
		aspect float64
		w, h   int
	}{
		{Options{}, 1, 400, 300}, {Options{Width: 100, Height: 100}, 1, 100, 75}, {Options{Width: 4000, Height: 4000}, 1, 400, 300}, {Options{Width: 1, Height: 1}, 1, 1, 1},
		{Options{Crop: image.Rect(0, 0, 100, 100)}, 1, 100, 100}, {Options{}, 2, 400, 600}, {Options{}, 0.5, 800, 300},
	} {
		a.Aspect = c.aspect
		m, err := Draw(a, dicom.ExplicitVRLittleEndian, make([]byte, 120000), c.o)
		if err != nil || m.Bounds().Dx() != c.w || m.Bounds().Dy() != c.h {
			t.Errorf("%+v: %v, %v", c, err, m.Bounds())
		}
	}
	if _, err := Draw(a, dicom.ExplicitVRLittleEndian, make([]byte, 119999), Options{}); err == nil {
		t.Error("pixels are missing and it is drawn")
	}
	if _, err := Draw(a, dicom.ExplicitVRLittleEndian, make([]byte, 120000), Options{Crop: image.Rect(500, 0, 600, 10)}); err == nil {
		t.Error("a region outside is drawn")
	}
}

// Every real file is drawn, or says why not; where DCMTK draws the same window, the shades are the same within one.
func TestRealFiles(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	tool, _ := exec.LookPath("dcmj2pnm")
	outcomes := map[string]int{}
	compared, equal := 0, 0
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := dicom.Open(path, dicom.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no data set
		}
		defer f.Close()
		i := f.Data.PixelData()
		if i < 0 {
			return nil
		}
		rel, _ := filepath.Rel(root, path)
		m, a, err := first(f, i)
		var un *Unsupported
		var br *Broken
		switch {
		case err == nil:
			outcomes["drawn"]++
		case errors.As(err, &un):
			outcomes["not drawn: "+un.Reason]++
			return nil
		case errors.As(err, &br):
			outcomes["broken: "+br.Reason]++
			t.Logf("%s: %v", rel, err)
			return nil
		default:
			outcomes["frames"]++
			return nil
		}
		g, ok := m.(*image.Gray)
		if tool == "" || !ok || a.Window == nil || a.Window.Function != Linear || f.Data.Has(dicom.TagVOILUTSequence) || f.Data.Has(dicom.TagModalityLUTSequence) || a.Aspect != 1 || a.Allocated == 1 {
			return nil
		}
		out := filepath.Join(t.TempDir(), "x.pgm")
		win := []string{"+Ww", strconv.FormatFloat(a.Window.Center, 'f', -1, 64), strconv.FormatFloat(a.Window.Width, 'f', -1, 64)}
		if exec.Command(tool, append(append([]string{"+op"}, win...), path, out)...).Run() != nil {
			return nil
		}
		b, err := os.ReadFile(out)
		if err != nil || len(b) < len(g.Pix) {
			return nil //nolint:nilerr // it wrote something else
		}
		theirs := b[len(b)-len(g.Pix):]
		compared++
		worst := 0
		for k := range g.Pix {
			worst = max(worst, int(math.Abs(float64(g.Pix[k])-float64(theirs[k]))))
		}
		if worst <= 1 {
			equal++
		} else {
			t.Logf("%s: differs from DCMTK by up to %d", rel, worst)
			if f.Syntax().UID != "1.2.840.10008.1.2.4.50" { // of lossy code streams decoders differ, and windows widen the difference
				t.Errorf("%s: drawn otherwise than by DCMTK", rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v; %d of %d windowed pictures as DCMTK draws them", outcomes, equal, compared)
	if outcomes["drawn"] < 60 {
		t.Error("too few are drawn")
	}
}

func first(f *dicom.File, i int) (image.Image, Attributes, error) {
	a, err := AttributesOf(f.Data)
	if err != nil {
		return nil, a, err
	}
	var value io.ReaderAt = bytes.NewReader(f.Data.Value(i))
	size := int64(len(f.Data.Value(i)))
	if b := f.Bulk(i); b != nil {
		value, size = b, b.Size()
	}
	frames, err := dicom.NewFrames(f.Data, value, size)
	if err != nil {
		return nil, a, err
	}
	x, err := frames.Open(0)
	if err != nil {
		return nil, a, err
	}
	b, err := io.ReadAll(x)
	if err != nil {
		return nil, a, err
	}
	if f.Syntax().BigEndian && a.Allocated == 16 {
		for k := 0; k+1 < len(b); k += 2 {
			b[k], b[k+1] = b[k+1], b[k]
		}
	}
	m, err := Draw(a, f.Syntax(), b, Options{})
	return m, a, err
}

func BenchmarkCT(b *testing.B) {
	a := Attributes{Rows: 512, Columns: 512, Samples: 1, Allocated: 16, Stored: 16, HighBit: 15, Signed: true, Photometric: "MONOCHROME2", Slope: 1, Intercept: -1024, Aspect: 1, Window: &Window{40, 400, Linear}}
	frame := make([]byte, 512*512*2)
	for i := range 512 * 512 {
		binary.LittleEndian.PutUint16(frame[2*i:], uint16(1024+(i*7)%300))
	}
	for b.Loop() {
		m, err := Draw(a, dicom.ExplicitVRLittleEndian, frame, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := jpeg.Encode(io.Discard, m, &jpeg.Options{Quality: 85}); err != nil {
			b.Fatal(err)
		}
	}
}
