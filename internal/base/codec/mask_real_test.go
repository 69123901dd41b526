package codec

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// fileOf writes a file of one frame for other tools to read.
func fileOf(t *testing.T, syntax *dicom.TransferSyntax, of Image, frame []byte) string {
	t.Helper()
	const class, instance = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
	b := dicom.NewBuilder(syntax)
	b.String(dicom.TagSOPClassUID, class)
	b.String(dicom.TagSOPInstanceUID, instance)
	b.String(dicom.TagStudyInstanceUID, "2.25.2")
	b.String(dicom.TagSeriesInstanceUID, "2.25.3")
	b.String(dicom.TagModality, "OT")
	b.Ints(dicom.TagRows, of.Rows)
	b.Ints(dicom.TagColumns, of.Columns)
	b.Ints(dicom.TagSamplesPerPixel, of.Samples)
	b.Ints(dicom.TagBitsAllocated, of.Allocated)
	b.Ints(dicom.TagBitsStored, of.Stored)
	b.Ints(dicom.TagHighBit, of.HighBit)
	b.String(dicom.TagPhotometricInterpretation, of.Photometric)
	b.Ints(dicom.TagPixelRepresentation, map[bool]int{true: 1}[of.Signed])
	if of.Samples > 1 {
		b.Ints(dicom.TagPlanarConfiguration, map[bool]int{true: 1}[of.Planar])
	}
	if syntax.Encapsulated {
		b.Fragments(dicom.TagPixelData, nil, frame)
	} else {
		vr := dicom.VROW
		if of.Allocated == 8 {
			vr = dicom.VROB
		}
		b.Raw(dicom.TagPixelData, vr, frame)
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: class, SOPInstanceUID: instance, TransferSyntaxUID: syntax.UID, ImplementationClassUID: dicom.ImplementationClassUID})
	if err != nil {
		t.Fatal(err)
	}
	h, err := os.Create(filepath.Join(t.TempDir(), "frame.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := dicom.WriteFile(h, meta, d.Render(), func(b dicom.BulkRef) (io.Reader, error) { return bytes.NewReader(d.Value(b.Elem)), nil }); err != nil {
		t.Fatal(err)
	}
	return h.Name()
}

// others decodes a frame with other tools; nil where one cannot.
func others(t *testing.T, syntax *dicom.TransferSyntax, of Image, frame []byte) map[string]*Frame {
	path := fileOf(t, syntax, of, frame)
	by := [][]string{{"gdcmconv", "--raw", path}}
	switch m := methodOf(syntax.UID); {
	case m == methodJPEG:
		by = append(by, []string{"dcmdjpeg", "+cn", path})
	case m == methodJPEGLS:
		by = append(by, []string{"dcmdjpls", path})
	case syntax.UID == rleUID:
		by = append(by, []string{"dcmdrle", path})
	case !syntax.Encapsulated:
		by = [][]string{{"dcmconv", "+te", path}}
	}
	out := map[string]*Frame{}
	for _, args := range by {
		g, frames := decodedBy(t, testdata.Program(t, args[0]), args[1:]...)
		if g == nil || len(frames) == 0 {
			continue
		}
		if f, err := Decode(g.Syntax(), imageOf(g.Data), frames[0]); err == nil {
			out[args[0]] = &f
		}
	}
	return out
}

// differs finds a pixel outside boxes that two frames have otherwise.
func differs(a, b *Frame, boxes []image.Rectangle) string {
	if a.Rows != b.Rows || a.Columns != b.Columns || a.Samples != b.Samples {
		return "another size"
	}
	for i := range a.Rows * a.Columns {
		if within(boxes, i%a.Columns, i/a.Columns) {
			continue
		}
		for c := range a.Samples {
			if x, y := a.value(i, c), b.value(i, c); x != y {
				return fmt.Sprintf("sample %d of column %d, row %d is %d, and was %d", c, i%a.Columns, i/a.Columns, y, x)
			}
		}
	}
	return ""
}

// A box of every real image can be painted over or the image is to be held; nothing else changes, as these decoders and other tools see it.
func TestMaskRealFiles(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data")
	pool := testPool(t)
	r := rand.New(rand.NewPCG(11, 12))
	masked, read := map[string]int{}, map[string]int{}
	var table []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := dicom.Open(path, dicom.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no data set
		}
		defer f.Close()
		frames, _ := framesOf(f)
		rel, _ := filepath.Rel(root, path)
		syntax, of := f.Syntax(), imageOf(f.Data)
		for n, k := range slices.Compact([]int{0, len(frames) / 2, len(frames) - 1}) {
			if len(frames) == 0 {
				break
			}
			before, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(frames[k]))
			if err != nil {
				table = append(table, fmt.Sprintf("%s: cannot be decoded: %v", rel, err))
				break
			}
			w, h := 1+r.IntN(of.Columns), 1+r.IntN(of.Rows)
			x, y := r.IntN(of.Columns-w+1), r.IntN(of.Rows-h+1)
			box := image.Rect(x, y, x+w, y+h)
			begin := time.Now()
			got, err := pool.Mask(t.Context(), syntax, of, frames[k], []image.Rectangle{box}, Black(of))
			if err != nil {
				table = append(table, fmt.Sprintf("%s: %s: %v", rel, syntax.Name, err))
				break
			}
			took := time.Since(begin)
			if len(got.Boxes) != 1 || !box.In(got.Boxes[0]) {
				t.Errorf("%s: %v becomes %v", rel, box, got.Boxes)
			}
			after, err := pool.Decode(t.Context(), syntax, of, bytes.Clone(got.Bytes))
			if err != nil {
				t.Errorf("%s: the masked frame: %v", rel, err)
				break
			}
			if d := differs(&before, &after, got.Boxes); d != "" {
				t.Errorf("%s: %s", rel, d)
			}
			masked[syntax.UID]++
			if n > 0 {
				continue
			}
			was, is := others(t, syntax, of, frames[k]), others(t, syntax, of, got.Bytes)
			for tool, a := range was {
				if b := is[tool]; b == nil {
					t.Errorf("%s: %s reads the frame and not the masked one", rel, tool)
				} else if d := differs(a, b, got.Boxes); d != "" {
					t.Errorf("%s: as %s reads it, %s", rel, tool, d)
				} else {
					read[syntax.UID+" "+tool]++
				}
			}
			table = append(table, fmt.Sprintf("%-60s %-45.45s %4dx%-4d %v becomes %v, %d bytes %d, %v", rel, syntax.Name, of.Columns, of.Rows, box, got.Boxes[0], len(frames[k]), len(got.Bytes), took.Round(time.Millisecond)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(table)
	frames, tools := 0, 0
	for _, n := range masked {
		frames += n
	}
	for _, n := range read {
		tools += n
	}
	if frames < 195 || len(masked) < 16 || tools < 150 {
		t.Errorf("%d frames of %d transfer syntaxes are masked, and %d read by other tools: fewer than before", frames, len(masked), tools)
	}
	t.Logf("masked %v\nread by others %v\n%s", masked, read, strings.Join(table, "\n"))
}

// Real code streams that were changed or cut are masked where they can still be read, and are the same outside, or are an error.
func TestMaskMutants(t *testing.T) {
	pool := poolOf(t, Options{Command: command(t, "codec-worker"), Frame: 5 * time.Second})
	r := rand.New(rand.NewPCG(37, 38))
	refused, masked := 0, 0
	for _, s := range streams(t) {
		n := 12
		if testdata.Soak() {
			n = 400
		}
		for k := range n {
			b := bytes.Clone(s.frame)
			switch k % 4 {
			case 0:
				b = b[:r.IntN(len(b))]
			case 1: // in the header
				b[r.IntN(min(len(b), 200))] = byte(r.Uint32())
			case 2:
				for range 1 + r.IntN(8) {
					b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				}
			case 3:
				from := r.IntN(len(b))
				copy(b[from:], b[r.IntN(len(b)):])
			}
			box := randomBox(r, s.of)
			got, err := pool.Mask(t.Context(), s.syntax, s.of, b, []image.Rectangle{box}, Black(s.of))
			if err != nil {
				if got.Bytes != nil {
					t.Errorf("%s: an error and a frame", s.syntax.Name)
				}
				refused++
				continue
			}
			masked++
			before, err := pool.Decode(t.Context(), s.syntax, s.of, bytes.Clone(b))
			if err != nil {
				continue // a busy machine
			}
			after, err := pool.Decode(t.Context(), s.syntax, s.of, bytes.Clone(got.Bytes))
			if err != nil {
				continue
			}
			if d := differs(&before, &after, got.Boxes); d != "" {
				t.Errorf("%s: %s", s.syntax.Name, d)
			}
		}
	}
	t.Logf("%d mutants refused, %d masked", refused, masked)
}
