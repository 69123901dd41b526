package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

const (
	jpegBaselineUID = "1.2.840.10008.1.2.4.50"
	jpeg2000UID     = "1.2.840.10008.1.2.4.90"
	rleUID          = "1.2.840.10008.1.2.5"
	mpeg2UID        = "1.2.840.10008.1.2.4.100"
)

// framesOf opens the frames of a data set that was built in memory.
func framesOf(t testing.TB, d *Dataset) (*Frames, error) {
	t.Helper()
	v := d.Value(d.PixelData())
	return NewFrames(d, bytes.NewReader(v), int64(len(v)))
}

func readFrame(t testing.TB, f *Frames, k int) []byte {
	t.Helper()
	r, err := f.Open(k)
	if err != nil {
		t.Fatalf("frame %d: %v", k, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("frame %d: %v", k, err)
	}
	if int64(len(b)) != r.Size {
		t.Fatalf("frame %d: %d bytes, announced %d", k, len(b), r.Size)
	}
	return b
}

func stream(n int, mark ...byte) []byte {
	return append(mark, bytes.Repeat([]byte{byte(n + 1)}, 2*(n+3))...)
}

func soi(n int) []byte { return stream(n, 0xFF, 0xD8) }

// encapsulate builds an image of n frames of a transfer syntax.
func encapsulate(t testing.TB, uid string, n int, offsets []uint32, more func(*Builder), fragments ...[]byte) *Dataset {
	t.Helper()
	ts, ok := LookupTransferSyntax(uid)
	if !ok {
		t.Fatal("no such transfer syntax")
	}
	b := NewBuilder(ts)
	b.Ints(TagNumberOfFrames, n)
	b.Fragments(TagPixelData, offsets, fragments...)
	if more != nil {
		more(b)
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEncapsulatedFrames(t *testing.T) {
	more := func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)+1) }
	a, b, c := soi(0), soi(1), soi(2)
	off := func(frags ...[]byte) (o []uint32) {
		at := uint32(0)
		for _, f := range frags {
			o = append(o, at)
			at += 8 + uint32(len(f))
		}
		return o
	}
	table := func(tag Tag, values ...uint64) func(*Builder) {
		return func(b *Builder) {
			var raw []byte
			for _, v := range values {
				raw = binary.LittleEndian.AppendUint64(raw, v)
			}
			b.Raw(tag, VROV, raw)
		}
	}
	both := func(offsets []uint64, lengths ...uint64) func(*Builder) {
		return func(b *Builder) {
			table(TagExtendedOffsetTable, offsets...)(b)
			table(TagExtendedOffsetTableLengths, lengths...)(b)
		}
	}
	j2k := stream(0, 0xFF, 0x4F, 0xFF, 0x51)
	for _, c := range []struct {
		name      string
		uid       string
		frames    int
		offsets   []uint32
		more      func(*Builder)
		fragments [][]byte
		want      [][]byte // nil: refused
	}{
		{"one fragment a frame", jpegBaselineUID, 3, nil, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table", jpegBaselineUID, 3, off(a, b, c), nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table, frames of several fragments", jpegBaselineUID, 2, []uint32{0, uint32(16 + len(a) + len(more(a)) + len(more(a))%2)}, nil,
			[][]byte{a, more(a), b}, [][]byte{slicesJoin(a, pad(more(a))), b}},
		{"no table, frames of several fragments", jpegBaselineUID, 2, nil, nil, [][]byte{a, more(a), b, more(b)}, [][]byte{slicesJoin(a, pad(more(a))), slicesJoin(b, pad(more(b)))}},
		{"no table, codestreams of several fragments", jpeg2000UID, 2, nil, nil, [][]byte{j2k, more(j2k), j2k}, [][]byte{slicesJoin(j2k, pad(more(j2k))), j2k}},
		{"single frame of several fragments", jpegBaselineUID, 1, nil, nil, [][]byte{a, b, c}, [][]byte{slicesJoin(a, b, c)}},
		{"table of wrong offsets", jpegBaselineUID, 3, []uint32{0, 2, 4}, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table that begins elsewhere", jpegBaselineUID, 3, []uint32{8, 20, 40}, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table that goes back", jpegBaselineUID, 3, []uint32{0, uint32(16 + len(a) + len(b)), uint32(8 + len(a))}, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table into the middle of a frame", jpegBaselineUID, 2, []uint32{0, uint32(8 + len(a))}, nil, [][]byte{a, more(a), b}, [][]byte{slicesJoin(a, pad(more(a))), b}},
		{"table with an entry missing", jpegBaselineUID, 3, []uint32{0, 20}, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"table beyond the end", jpegBaselineUID, 3, []uint32{0, 20, 0xFFFFFFF0}, nil, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"extended table", jpegBaselineUID, 2, nil, both([]uint64{0, uint64(8 + len(a))}, uint64(len(a)), uint64(len(b))), [][]byte{a, b}, [][]byte{a, b}},
		{"extended table with wrong lengths", jpegBaselineUID, 2, nil, both([]uint64{0, uint64(8 + len(a))}, 1, 1<<63), [][]byte{a, b}, [][]byte{a, b}},
		{"extended table beyond the end", jpegBaselineUID, 2, nil, both([]uint64{0, 1 << 63}, 8, 8), [][]byte{a, b}, [][]byte{a, b}},
		{"empty fragments", jpegBaselineUID, 2, nil, nil, [][]byte{{}, a, {}, b}, [][]byte{a, b}},
		{"RLE", rleUID, 2, nil, nil, [][]byte{{1, 2}, {3, 4}}, [][]byte{{1, 2}, {3, 4}}},
		{"RLE with a fragment too many", rleUID, 2, nil, nil, [][]byte{{1, 2}, {3, 4}, {5, 6}}, nil},
		{"a frame too few", jpegBaselineUID, 3, nil, nil, [][]byte{a, b}, nil},
		{"fragments without marks", jpegBaselineUID, 2, nil, nil, [][]byte{{1, 2}, {3, 4}, {5, 6}}, nil},
		{"video", mpeg2UID, 240, nil, nil, [][]byte{{1, 2}, {3, 4}, {5, 6}}, [][]byte{{1, 2, 3, 4, 5, 6}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := framesOf(t, encapsulate(t, c.uid, c.frames, c.offsets, c.more, c.fragments...))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if _, err := f.Open(1); !errors.Is(err, ErrMalformed) {
					t.Fatalf("got %v, want malformed", err)
				}
				return
			}
			if f.Count() != len(c.want) {
				t.Fatalf("%d frames, want %d", f.Count(), len(c.want))
			}
			for k := len(c.want) - 1; k >= 0; k-- { // last first: no frame depends on another having been read
				if got := readFrame(t, f, k); !bytes.Equal(got, c.want[k]) {
					t.Errorf("frame %d: got % x, want % x", k, got, c.want[k])
				}
			}
			if _, err := f.Open(len(c.want)); err == nil {
				t.Error("a frame after the last")
			}
		})
	}
}

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pad(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(b, 0)
	}
	return b
}

func nativeImage(t testing.TB, rows, columns, samples, allocated, frames int, photometric string, pixels []byte) *Dataset {
	t.Helper()
	b := NewBuilder(ExplicitVRLittleEndian)
	b.Ints(TagSamplesPerPixel, samples)
	b.String(TagPhotometricInterpretation, photometric)
	b.Ints(TagRows, rows)
	b.Ints(TagColumns, columns)
	b.Ints(TagBitsAllocated, allocated)
	b.Ints(TagNumberOfFrames, frames)
	b.Raw(TagPixelData, VROW, pixels)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Bits are packed without gaps between frames; each frame given back begins at a byte.
func TestNativeFrames(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows, columns := rapid.IntRange(1, 40).Draw(rt, "rows"), rapid.IntRange(1, 40).Draw(rt, "columns")
		samples := rapid.SampledFrom([]int{1, 3}).Draw(rt, "samples")
		allocated := rapid.SampledFrom([]int{1, 8, 12, 16, 32, 64}).Draw(rt, "allocated")
		frames := rapid.IntRange(1, 9).Draw(rt, "frames")
		n := rows * columns * samples * allocated
		pixels := make([]byte, (n*frames+7)/8)
		for i := range pixels {
			pixels[i] = byte(i*131 + i>>8*17 + 5)
		}
		bit := func(b []byte, i int) byte { return b[i/8] >> (i % 8) & 1 }
		f, err := framesOf(t, nativeImage(t, rows, columns, samples, allocated, frames, "RGB", pixels))
		if err != nil {
			rt.Fatal(err)
		}
		for k := range frames {
			got := readFrame(t, f, k)
			if len(got) != (n+7)/8 {
				rt.Fatalf("%d bytes, want %d", len(got), (n+7)/8)
			}
			for i := range len(got) * 8 {
				want := byte(0)
				if i < n {
					want = bit(pixels, k*n+i)
				}
				if bit(got, i) != want {
					rt.Fatalf("frame %d: bit %d is wrong", k, i)
				}
			}
		}
	})
}

func TestNativeFramesRefused(t *testing.T) {
	pixels := make([]byte, 64)
	for _, c := range []struct {
		name                                      string
		rows, columns, samples, allocated, frames int
		photometric                               string
		want                                      error
		size                                      int64
	}{
		{"exact", 8, 8, 1, 8, 1, "MONOCHROME2", nil, 64},
		{"short", 8, 8, 1, 16, 1, "MONOCHROME2", ErrTruncated, 0},
		{"more frames than bytes", 8, 8, 1, 8, 1 << 30, "MONOCHROME2", ErrTruncated, 0},
		{"no rows", 0, 8, 1, 8, 1, "MONOCHROME2", ErrMalformed, 0},
		{"no bits", 8, 8, 1, 0, 1, "MONOCHROME2", ErrMalformed, 0},
		{"no frames", 8, 8, 1, 8, 0, "MONOCHROME2", ErrMalformed, 0},
		{"a product beyond 64 bits", 65535, 65535, 255, 64, 1<<31 - 1, "MONOCHROME2", ErrTruncated, 0},
		{"subsampled", 4, 8, 3, 8, 1, "YBR_FULL_422", nil, 64},
		{"subsampled, said to be but whole", 3, 7, 3, 8, 1, "YBR_FULL_422", nil, 63},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := framesOf(t, nativeImage(t, c.rows, c.columns, c.samples, c.allocated, c.frames, c.photometric, pixels))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil {
				if n := len(readFrame(t, f, 0)); int64(n) != c.size {
					t.Errorf("%d bytes, want %d", n, c.size)
				}
			}
		})
	}
}

// countingAt counts what is read of the pixel data.
type countingAt struct {
	r io.ReaderAt
	n int64
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// One frame of many is read without reading the others.
func TestFramesReadWhatTheyMust(t *testing.T) {
	var fragments [][]byte
	var offsets []uint32
	at := uint32(0)
	for k := range 100 {
		f := append(soi(k), make([]byte, 10_000)...)
		fragments = append(fragments, f)
		offsets = append(offsets, at)
		at += 8 + uint32(len(f))
	}
	for _, withTable := range []bool{true, false} {
		table, bound := offsets, int64(12_000)
		if !withTable {
			table, bound = nil, 13_000
		}
		d := encapsulate(t, jpegBaselineUID, 100, table, nil, fragments...)
		v := d.Value(d.PixelData())
		src := &countingAt{r: bytes.NewReader(v)}
		f, err := NewFrames(d, src, int64(len(v)))
		if err != nil {
			t.Fatal(err)
		}
		if got := readFrame(t, f, 70); !bytes.Equal(got, fragments[70]) {
			t.Fatal("another frame")
		}
		if src.n > bound {
			t.Errorf("table %v: %d of %d bytes were read for a frame of %d", withTable, src.n, len(v), len(fragments[70]))
		}
	}
}

// Every image of the shared data that says how many frames it has gives them all.
func TestFramesOfRealFiles(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	images, frames, refused := 0, 0, 0
	err := filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		if err != nil || fi.IsDir() {
			return err
		}
		file, err := Open(path, Limits{})
		if err != nil {
			return nil // another test's matter
		}
		defer file.Close()
		i := file.Data.PixelData()
		if i < 0 {
			return nil
		}
		images++
		rel, _ := filepath.Rel(root, path)
		v := file.Bulk(i)
		f, err := NewFrames(file.Data, v, v.Size())
		if err != nil {
			refused++
			t.Logf("%s: %v", rel, err)
			return nil
		}
		for k := range f.Count() {
			b := readFrame(t, f, k)
			if len(b) == 0 {
				t.Errorf("%s: frame %d is empty", rel, k)
			}
			if f.marked != nil && !f.marked(b) && !strings.Contains(rel, "libdicom__generated") { // whose streams are made up
				t.Errorf("%s: frame %d is no code stream", rel, k)
			}
			frames++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d images, %d frames, %d refused", images, frames, refused)
	if images < 100 || refused > 3 {
		t.Errorf("%d images, %d refused", images, refused)
	}
}

// Whatever the fragments are, frames are found or refused; nothing panics and no more is given than there is.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 2, 0, 0, 0, 0xFF, 0xD8}, uint16(1), true)
	f.Add([]byte{0xFE, 0xFF, 0, 0xE0, 8, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 2, 0, 0, 0, 0xFF, 0xD8}, uint16(2), true)
	f.Add([]byte{1, 2, 3, 4}, uint16(2), false)
	ts, _ := LookupTransferSyntax(jpegBaselineUID)
	f.Fuzz(func(t *testing.T, value []byte, n uint16, compressed bool) {
		b := NewBuilder(ts)
		b.Ints(TagNumberOfFrames, int(n))
		b.Ints(TagRows, 2)
		b.Ints(TagColumns, 3)
		b.Ints(TagBitsAllocated, 1)
		if compressed {
			b.Fragments(TagPixelData, nil)
		} else {
			b.Raw(TagPixelData, VROB, nil)
		}
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		frames, err := NewFrames(d, bytes.NewReader(value), int64(len(value)))
		if err != nil {
			return
		}
		var total int64
		for k := range min(frames.Count(), 50) {
			r, err := frames.Open(k)
			if err != nil {
				continue
			}
			m, err := io.Copy(io.Discard, r)
			if err != nil || m != r.Size {
				t.Fatalf("frame %d: %d of %d bytes: %v", k, m, r.Size, err)
			}
			total += m
		}
		if compressed && total > int64(len(value)) {
			t.Fatal(fmt.Sprint("more bytes than there are: ", total))
		}
	})
}

// A frame can be read from any place of it, over the borders of its fragments.
func TestSeekInFrames(t *testing.T) {
	syntax, _ := LookupTransferSyntax("1.2.840.10008.1.2.4.50")
	b := NewBuilder(syntax)
	b.Ints(TagRows, 1)
	b.Ints(TagColumns, 1)
	b.Ints(TagBitsAllocated, 8)
	b.Fragments(TagPixelData, nil, []byte("\xff\xd8ab"), []byte("cd"), nil, []byte("efghij"))
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	i := d.PixelData()
	f, err := NewFrames(d, bytes.NewReader(d.Value(i)), int64(len(d.Value(i))))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := f.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	const want = "\xff\xd8abcdefghij"
	for _, from := range []int64{0, 12, 3, 4, 5, 6, 7, 11, 0, 13} {
		if at, err := frame.Seek(from, io.SeekStart); err != nil || at != from {
			t.Fatal(at, err)
		}
		got, err := io.ReadAll(frame)
		if err != nil || string(got) != want[min(from, 12):] {
			t.Errorf("from %d: %q, %v", from, got, err)
		}
	}
	if n, err := frame.Seek(0, io.SeekEnd); n != int64(len(want)) || err != nil {
		t.Error(n, err)
	}
	if _, err := frame.Seek(-1, io.SeekStart); err == nil {
		t.Error("a place before the beginning")
	}
}
