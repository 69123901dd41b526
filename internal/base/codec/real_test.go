package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// imageOf reads what a data set says of its pixels.
func imageOf(d *dicom.Dataset) Image {
	num := func(t dicom.Tag, otherwise int) int {
		if n, ok := d.Int(t); ok {
			return int(n)
		}
		return otherwise
	}
	m := Image{Rows: num(dicom.TagRows, 0), Columns: num(dicom.TagColumns, 0), Samples: num(dicom.TagSamplesPerPixel, 1), Allocated: num(dicom.TagBitsAllocated, 0),
		Signed: num(dicom.TagPixelRepresentation, 0) == 1, Planar: num(dicom.TagPlanarConfiguration, 0) == 1, Photometric: strings.TrimSpace(d.String(dicom.TagPhotometricInterpretation))}
	m.Stored = num(dicom.TagBitsStored, m.Allocated)
	m.HighBit = num(dicom.TagHighBit, m.Stored-1)
	return m
}

// framesOf reads the stored bytes of each frame of a file.
func framesOf(f *dicom.File) ([][]byte, error) {
	i := f.Data.Find(dicom.TagPixelData)
	if i < 0 {
		return nil, errors.New("no pixels")
	}
	var value io.ReaderAt = bytes.NewReader(f.Data.Value(i))
	size := int64(len(f.Data.Value(i)))
	if b := f.Bulk(i); b != nil {
		value, size = b, b.Size()
	}
	frames, err := dicom.NewFrames(f.Data, value, size)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for k := range frames.Count() {
		x, err := frames.Open(k)
		if err != nil {
			return all, err
		}
		b, err := io.ReadAll(x)
		if err != nil {
			return all, err
		}
		all = append(all, b)
	}
	return all, nil
}

// decodedBy has another tool write the file with native pixels, and reads them.
func decodedBy(t *testing.T, tool string, args ...string) (*dicom.File, [][]byte) {
	out := filepath.Join(t.TempDir(), "x.dcm")
	if exec.Command(tool, append(args, out)...).Run() != nil {
		return nil, nil
	}
	f, err := dicom.Open(out, dicom.Limits{})
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	frames, err := framesOf(f)
	if err != nil {
		return nil, nil
	}
	if f.Syntax().Encapsulated {
		return nil, nil
	}
	return f, frames
}

// value is sample c of pixel i, the bits that are stored.
func (f *Frame) value(i, c int) int64 {
	n := f.Rows * f.Columns
	at := i*f.Samples + c
	if f.Planar {
		at = c*n + i
	}
	var w uint32
	switch f.Allocated {
	case 1:
		return int64(f.Pixels[i/8] >> (i % 8) & 1)
	case 8:
		w = uint32(f.Pixels[at])
	case 16:
		w = uint32(binary.LittleEndian.Uint16(f.Pixels[2*at:]))
	default:
		w = binary.LittleEndian.Uint32(f.Pixels[4*at:])
	}
	v := int64(w>>(f.HighBit+1-f.Stored)) & (1<<f.Stored - 1)
	if f.Signed && v >= 1<<(f.Stored-1) {
		v -= 1 << f.Stored
	}
	return v
}

// worst is the greatest difference of two frames; -1: they cannot be compared.
func worst(a, b *Frame) int64 {
	if a.Rows != b.Rows || a.Columns != b.Columns || a.Samples != b.Samples {
		return -1
	}
	var most int64
	for i := range a.Rows * a.Columns {
		for c := range a.Samples {
			most = max(most, int64(math.Abs(float64(a.value(i, c)-b.value(i, c)))))
		}
	}
	return most
}

// Every real file decodes, frame by frame, to what DCMTK or GDCM makes of it, or says why not.
func TestRealFiles(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data")
	pool := testPool(t)
	tools := map[string]string{}
	for _, name := range []string{"gdcmconv", "dcmdjpeg", "dcmdjpls", "dcmdrle", "dcmconv"} {
		tools[name] = testdata.Program(t, name)
	}
	seen, equal, plain := 0, 0, 0
	var table []string
	outcomes := map[string]int{}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err != nil || info.Size() > 40<<20 {
			return nil //nolint:nilerr // slides are not read here
		}
		f, err := dicom.Open(path, dicom.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no data set
		}
		defer f.Close()
		frames, _ := framesOf(f)
		if len(frames) == 0 {
			return nil // no pixels that can be read
		}
		uid := f.Syntax().UID
		rel, _ := filepath.Rel(root, path)
		frames = frames[:min(len(frames), 20)]
		var theirs []struct {
			name   string
			of     Image
			syntax *dicom.TransferSyntax
			frames [][]byte
		}
		by := [][]string{{"gdcmconv", "--raw", path}}
		if !f.Syntax().Encapsulated {
			by = [][]string{{"dcmconv", "+te", path}} // in explicit VR little endian
		}
		switch methodOf(uid) {
		case methodJPEG:
			by = append(by, []string{"dcmdjpeg", "+cn", path}) // without conversion of colours
		case methodJPEGLS:
			by = append(by, []string{"dcmdjpls", "+pd", path})
		}
		if uid == rleUID {
			by = append(by, []string{"dcmdrle", path})
		}
		for _, args := range by {
			if g, b := decodedBy(t, tools[args[0]], args[1:]...); g != nil {
				theirs = append(theirs, struct {
					name   string
					of     Image
					syntax *dicom.TransferSyntax
					frames [][]byte
				}{args[0], imageOf(g.Data), g.Syntax(), b})
			}
		}
		worsts := map[string]int64{}
		var failed error
		var spent time.Duration
		last := ""
		for k, b := range frames {
			begin := time.Now()
			got, err := pool.Decode(t.Context(), f.Syntax(), imageOf(f.Data), slices.Clone(b))
			spent += time.Since(begin)
			if err != nil {
				failed = err
				break
			}
			last = got.Photometric
			for _, other := range theirs {
				if k >= len(other.frames) {
					worsts[other.name] = -2
					continue
				}
				o, err := Decode(other.syntax, other.of, other.frames[k])
				if err != nil {
					worsts[other.name] = -3
					continue
				}
				d := worst(&got, &o)
				if w, ok := worsts[other.name]; !ok || w >= 0 && (d > w || d < 0) {
					worsts[other.name] = d
				}
			}
		}
		switch {
		case failed != nil:
			outcomes["fails: "+failed.Error()]++
			if m := imageOf(f.Data); len(theirs) > 0 && m.Check() == nil {
				t.Errorf("%s: %v, and %s decodes it", rel, failed, theirs[0].name)
			}
			if !f.Syntax().Encapsulated {
				return nil
			}
		case !f.Syntax().Encapsulated:
			outcomes["native"]++
			if w, ok := worsts["dcmconv"]; ok && w == 0 {
				plain++
			} else if ok && !(f.Syntax().BigEndian && imageOf(f.Data).Allocated == 32) { // its writer swapped 32 bits, DCMTK swaps the words of OW: see TestBigEndianWords
				t.Errorf("%s: native pixels differ from DCMTK's by %d", rel, w)
			}
			return nil
		default:
			outcomes["decoded"]++
		}
		seen++
		same := false
		for name, w := range worsts {
			same = same || w == 0 || w == 1
			if w > 1 && (name != "gdcmconv" || len(worsts) == 1) { // where two tools are there, DCMTK counts: GDCM reads 32-bit RLE otherwise
				t.Errorf("%s: differs from %s by up to %d", rel, name, w)
			}
		}
		if same {
			equal++
		}
		table = append(table, fmt.Sprintf("%-60s %-45.45s %4dx%-4d %2d bits %v->%v frames %d, differs %v, %v a frame, %v", rel, f.Syntax().Name, imageOf(f.Data).Columns, imageOf(f.Data).Rows, imageOf(f.Data).Stored,
			imageOf(f.Data).Photometric, last, len(frames), worsts, (spent/time.Duration(len(frames))).Round(time.Millisecond), failed))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(table)
	if plain < 90 {
		t.Errorf("only %d files of native pixels were compared", plain)
	}
	if seen < 45 || outcomes["decoded"] < 45 || equal < 43 {
		t.Error("fewer files are decoded, or as others decode them, than before")
	}
	t.Logf("of %d compressed files %d are as DCMTK or GDCM decode them, and %d of native pixels as DCMTK writes them; %v\n%s", seen, equal, plain, outcomes, strings.Join(table, "\n"))
}

// Pixels of 32 bits in big endian are words of 16 bits in OW (PS3.5 8.1.1), but writers swap all four bytes: a dose read so is the dose that its twin in RLE has.
func TestBigEndianWords(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data", "dicom", "RTDOSE")
	read := func(name string) []Frame {
		f, err := dicom.Open(filepath.Join(root, name), dicom.Limits{})
		if err != nil {
			t.Skip(err)
		}
		defer f.Close()
		stored, err := framesOf(f)
		if err != nil {
			t.Fatal(err)
		}
		var all []Frame
		for _, b := range stored {
			x, err := Decode(f.Syntax(), imageOf(f.Data), b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, x)
		}
		return all
	}
	big, little := read("pydicom__rtdose_expb.dcm"), read("pydicom__rtdose_rle.dcm")
	if len(big) != len(little) || len(big) == 0 {
		t.Fatalf("%d and %d frames", len(big), len(little))
	}
	for i := range big {
		if d := worst(&big[i], &little[i]); d != 0 {
			t.Errorf("frame %d differs by %d", i+1, d)
		}
	}
}
