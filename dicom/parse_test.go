package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func mustDataset(t testing.TB, b *Builder) *Dataset {
	t.Helper()
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// readAll streams a data set to its end.
func readAll(r io.Reader, ts *TransferSyntax, lim Limits) (*Dataset, error) {
	rd := NewReader(r, ts, lim)
	for {
		if _, err := rd.Next(); err == io.EOF {
			return rd.Dataset(), nil
		} else if err != nil {
			return nil, err
		}
	}
}

func nested(depth int, undefined bool) []byte {
	var b []byte
	if undefined {
		for range depth {
			b = append(b, 0x40, 0, 0x75, 0x02, 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF)
		}
		for range depth {
			b = append(b, 0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
		}
		return b
	}
	for range depth {
		item := binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0, 0xE0}, uint32(len(b)))
		item = append(item, b...)
		b = append(binary.LittleEndian.AppendUint32([]byte{0x40, 0, 0x75, 0x02, 'S', 'Q', 0, 0}, uint32(len(item))), item...)
	}
	return b
}

func TestHostileBytesAreRefused(t *testing.T) {
	deflated := func(n int) []byte {
		var z bytes.Buffer
		w, _ := flate.NewWriter(&z, 9)
		w.Write([]byte{0x10, 0, 0x10, 0x40, 'U', 'T', 0, 0, 0xF0, 0xFF, 0xFF, 0x3F})
		w.Write(make([]byte, n))
		w.Close()
		return z.Bytes()
	}
	bomb := deflated(64 << 20)
	cases := []struct {
		name string
		ts   *TransferSyntax
		b    []byte
		lim  Limits
		want error
	}{
		{"2,000 deep, undefined", ExplicitVRLittleEndian, nested(2000, true), Limits{}, ErrDepth},
		{"2,000 deep, defined", ExplicitVRLittleEndian, nested(2000, false), Limits{}, ErrDepth},
		{"text of 4 GiB", ExplicitVRLittleEndian, []byte{0x10, 0, 0x10, 0x40, 'U', 'T', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 'x'}, Limits{}, nil},
		{"sequence of 4 GiB", ExplicitVRLittleEndian, []byte{0x40, 0, 0x75, 0x02, 'S', 'Q', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0}, Limits{}, nil},
		{"pixels of 4 GiB", ExplicitVRLittleEndian, []byte{0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 'x', 'y'}, Limits{}, ErrTruncated},
		{"cut in a header", ExplicitVRLittleEndian, []byte{0x10, 0, 0x20, 0, 'L'}, Limits{}, ErrTruncated},
		{"cut in a value", ExplicitVRLittleEndian, []byte{0x10, 0, 0x20, 0, 'L', 'O', 4, 0, 'a'}, Limits{}, ErrTruncated},
		{"no VR", ExplicitVRLittleEndian, []byte{0x10, 0, 0x20, 0, 0x01, 0x02, 4, 0, 'a', 'b', 'c', 'd'}, Limits{}, ErrMalformed},
		{"item outside a sequence", ExplicitVRLittleEndian, []byte{0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0}, Limits{}, ErrMalformed},
		{"undefined length of text", ExplicitVRLittleEndian, []byte{0x10, 0, 0x10, 0x40, 'U', 'T', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, Limits{}, ErrMalformed},
		{"fragments without end", ExplicitVRLittleEndian, []byte{0xE0, 0x7F, 0x10, 0, 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0}, Limits{}, ErrTruncated},
		{"child beyond its item", ExplicitVRLittleEndian, []byte{0x40, 0, 0x75, 0x02, 'S', 'Q', 0, 0, 16, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 8, 0, 0, 0, 0x10, 0, 0x20, 0, 'L', 'O', 4, 0, 'a', 'b', 'c', 'd'}, Limits{}, ErrMalformed},
		{"too many elements", ImplicitVRLittleEndian, bytes.Repeat([]byte{0x10, 0, 0x20, 0, 0, 0, 0, 0}, 1000), Limits{Elements: 999}, ErrTooLarge},
		{"deflate bomb", DeflatedExplicitVRLittleEndian, bomb, Limits{HeadBytes: 1 << 30, Inflated: 1 << 20}, ErrTooLarge},
		{"broken deflate", DeflatedExplicitVRLittleEndian, []byte{0xFF, 0xFF, 0xFF}, Limits{}, ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := readAll(iotest.OneByteReader(bytes.NewReader(c.b)), c.ts, c.lim)
			if c.name == "deflate bomb" {
				_, err = readAll(bytes.NewReader(c.b), c.ts, c.lim)
			}
			runtime.ReadMemStats(&after)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("streamed: %v, want %v", err, c.want)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
				t.Errorf("it took %d MiB to find out", grown>>20)
			}
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind == nil {
				t.Errorf("not an error of this package: %T", err)
			}
			if !c.ts.Deflated {
				if _, err := ParseDataset(c.b, c.ts, c.lim); err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("in memory: %v, want %v", err, c.want)
				}
			}
		})
	}
}

// A sequence that hides in UN is found, and one that only looks like it is left alone.
func TestSequenceInUN(t *testing.T) {
	inner := []byte{0xFE, 0xFF, 0, 0xE0, 12, 0, 0, 0, 0x10, 0, 0x10, 0, 4, 0, 0, 0, 'A', '^', 'B', ' '}
	un := append([]byte{0x09, 0, 0x10, 0x10, 'U', 'N', 0, 0, byte(len(inner)), 0, 0, 0}, inner...)
	d, err := ParseDataset(un, ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 3 || !d.At(0).IsSequence() || d.At(2).Tag != TagPatientName || d.StringIn(1, TagPatientName) != "A^B" {
		t.Errorf("the sequence was not found: %d entries", d.Len())
	}
	un[len(un)-6] = 0xFF // the inner element's length breaks
	d, err = ParseDataset(un, ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Len() != 1 || d.At(0).IsSequence() {
		t.Error("broken items were taken for a sequence")
	}
}

func TestDuplicate(t *testing.T) {
	el := func(tag Tag, v string) []byte {
		b, _ := appendElement(nil, encoding{explicit: true}, tag, VRLO, []byte(v))
		return b
	}
	cases := []struct {
		tags []Tag
		want int
	}{
		{[]Tag{TagPatientID, TagPatientName}, -1},
		{[]Tag{TagPatientID, TagPatientID}, 1},
		{[]Tag{TagPatientID, TagModality, TagPatientID}, 2},
		{[]Tag{TagModality, TagPatientID, TagPatientName, TagPatientComments, TagModality}, 4},
	}
	for _, c := range cases {
		var b []byte
		for _, tag := range c.tags {
			b = append(b, el(tag, "ab")...)
		}
		d, err := ParseDataset(b, ExplicitVRLittleEndian, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Duplicate(); got != c.want {
			t.Errorf("%v: duplicate at %d, want %d", c.tags, got, c.want)
		}
	}
	// Within an item.
	inner := append(el(TagPatientID, "ab"), el(TagPatientID, "cd")...)
	item := append([]byte{0xFE, 0xFF, 0, 0xE0, byte(len(inner)), 0, 0, 0}, inner...)
	seq := append([]byte{0x40, 0, 0x75, 0x02, 'S', 'Q', 0, 0, byte(len(item)), 0, 0, 0}, item...)
	d, err := ParseDataset(append(el(TagModality, "CT"), seq...), ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if i := d.Duplicate(); i < 0 || d.Path(i) != "(0040,0275)[0].(0010,0020)" {
		t.Errorf("duplicate within an item: %d", i)
	}
}

// drawBuilder makes a random data set.
func drawBuilder(t *rapid.T, b *Builder, depth int) {
	n := rapid.IntRange(0, 8).Draw(t, "elements")
	for range n {
		group := rapid.SampledFrom([]uint16{0x0008, 0x0010, 0x0018, 0x0029, 0x0040}).Draw(t, "group")
		tag := NewTag(group, rapid.Uint16Range(0x7000, 0x7040).Draw(t, "element"))
		if tag.IsPrivate() {
			tag = NewTag(group, rapid.Uint16Range(0x1000, 0x1010).Draw(t, "private"))
		}
		switch {
		case depth > 0 && rapid.IntRange(0, 3).Draw(t, "kind") == 0:
			items := make([]func(*Builder), rapid.IntRange(0, 3).Draw(t, "items"))
			for k := range items {
				items[k] = func(x *Builder) { drawBuilder(t, x, depth-1) }
			}
			b.Sequence(tag, items...)
		default:
			vr := rapid.SampledFrom([]VR{VRLO, VRUN, VROB, VRUT, VRCS}).Draw(t, "vr")
			raw := rapid.SliceOfN(rapid.ByteRange('a', 'z'), 0, 40).Draw(t, "value")
			b.Raw(tag, vr, raw)
		}
	}
}

// Any edits of any data set give what the same edits on a tree of elements give.
func TestEditsKeepTheRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := rapid.SampledFrom([]*TransferSyntax{ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian}).Draw(t, "syntax")
		b := NewBuilder(ts)
		drawBuilder(t, b, 3)
		b.Raw(TagPixelData, VROW, []byte(strings.Repeat("p", rapid.IntRange(1, 50).Draw(t, "pixels")*2)))
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		type key struct {
			path  string
			value string
		}
		values := func(d *Dataset, skip func(i int) bool) (out []key) {
			for i := range d.Len() {
				el := d.At(i)
				if !el.IsItem() && !el.IsSequence() && !d.IsBulk(i) && !skip(i) {
					// Items are named by their ordinal, which removals move: the tags alone are compared.
					var tags []string
					for p := int32(i); p != Root; p = d.At(int(p)).Parent {
						tags = append(tags, d.At(int(p)).Tag.String())
					}
					out = append(out, key{strings.Join(tags, "<"), string(d.Value(i))})
				}
			}
			return out
		}
		e := d.Edit()
		touched := map[int]bool{}
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			i := rapid.IntRange(0, d.Len()-1).Draw(t, "at")
			if d.IsBulk(i) {
				continue
			}
			if rapid.Bool().Draw(t, "remove") || d.At(i).IsItem() || d.At(i).IsSequence() {
				e.Remove(i)
			} else {
				e.SetValue(i, []byte(strings.Repeat("Z", rapid.IntRange(0, 30).Draw(t, "size")*2)))
			}
			touched[i] = true
		}
		within := func(i int) bool {
			for p := int32(i); p != Root; p = d.At(int(p)).Parent {
				if touched[int(p)] {
					return true
				}
			}
			return false
		}
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Dataset()
		if err != nil {
			t.Fatalf("what was rendered cannot be read: %v", err)
		}
		want := values(d, within)
		have := values(got, func(i int) bool { v := got.Value(i); return len(v) == 0 || v[0] == 'Z' })
		k := 0
		for _, w := range want {
			if w.value == "" {
				continue
			}
			if k >= len(have) || have[k] != w {
				t.Fatalf("an untouched element changed: %q", w.path)
			}
			k++
		}
		if k != len(have) {
			t.Fatalf("%d elements too many", len(have)-k)
		}
		if len(r.Bulk) != 1 || r.Bulk[0].Len != d.Bulks()[0].Len {
			t.Fatal("the pixels were lost")
		}
	})
}

func TestGroupLengthFollows(t *testing.T) {
	b := NewBuilder(ExplicitVRLittleEndian)
	b.Integers(0x00100000, VRUL, 16)
	b.Text(TagPatientID, VRLO, "ABCDEFGH")
	d := mustDataset(t, b)
	e := d.Edit()
	e.SetValue(d.Find(TagPatientID), []byte("AB"))
	e.Insert(Root, TagPatientSex, VRCS, []byte("F"))
	r, err := e.Render()
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := got.Int(0x00100000); n != 8+2+8+2 {
		t.Errorf("group length %d, want 20", n)
	}
}

func FuzzParse(f *testing.F) {
	b := NewBuilder(ExplicitVRLittleEndian)
	b.String(TagPatientID, "X")
	b.Sequence(TagReferencedStudySequence, func(i *Builder) { i.String(TagReferencedSOPInstanceUID, "1.2.3") })
	b.Fragments(TagPixelData, nil, []byte("abcd"))
	f.Add(b.bytes(), byte(0))
	f.Add(nested(5, true), byte(0))
	f.Add([]byte{0x10, 0, 0x20, 0, 4, 0, 0, 0, 'a', 'b', 'c', 'd'}, byte(1))
	syntaxes := []*TransferSyntax{ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
	lim := Limits{HeadBytes: 1 << 20, Elements: 10000, Inflated: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte, s byte) {
		ts := syntaxes[int(s)%len(syntaxes)]
		streamed, err := readAll(bytes.NewReader(b), ts, lim)
		if ts.Deflated {
			return
		}
		d, merr := ParseDataset(b, ts, lim)
		if (err == nil) != (merr == nil) {
			t.Fatalf("streamed %v, in memory %v", err, merr)
		}
		if err != nil {
			return
		}
		if streamed.Len() != d.Len() {
			t.Fatal("the two readings differ")
		}
		var out bytes.Buffer
		r := d.Render()
		k := 0
		if _, err := r.WriteTo(&out, func(ref BulkRef) (io.Reader, error) {
			v := d.Value(ref.Elem)
			k++
			return bytes.NewReader(v), nil
		}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), b) {
			t.Fatal("not what was read")
		}
		for i := range d.Len() {
			d.Strings(i)
			d.Floats(i)
			d.Path(i)
		}
		d.Duplicate()
		e := d.Edit()
		for i := 0; i < d.Len(); i += 3 {
			e.Remove(i)
		}
		if x, err := e.Render(); err != nil {
			t.Fatal(err)
		} else if _, err := x.Dataset(); err != nil {
			t.Fatalf("what was rendered cannot be read: %v", err)
		}
	})
}

func FuzzFile(f *testing.F) {
	f.Add(append(make([]byte, 128), "DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00\x10\x00\x20\x00LO\x02\x00AB"...))
	f.Add([]byte("\x08\x00\x60\x00CS\x02\x00CT"))
	lim := Limits{HeadBytes: 1 << 20, Elements: 10000, Inflated: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Parse(b, lim)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if _, err := x.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatal("not what was read")
		}
	})
}

func benchmarkSet(b *testing.B) []byte {
	x := NewBuilder(ExplicitVRLittleEndian)
	for i := range 100 {
		x.Text(NewTag(0x0018, uint16(0x1000+i)), VRLO, "value of some length")
	}
	for i := range 10 {
		x.Sequence(NewTag(0x0040, uint16(0x1000+i)), func(y *Builder) { y.String(TagCodeValue, "121"); y.String(TagCodeMeaning, "Meaning") })
	}
	x.Raw(TagPixelData, VROW, make([]byte, 512*1024))
	d := mustDataset(b, x)
	return d.Bytes()
}

func BenchmarkIndex(b *testing.B) {
	raw := benchmarkSet(b)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := ParseDataset(raw, ExplicitVRLittleEndian, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEdit(b *testing.B) {
	raw := benchmarkSet(b)
	d, err := ParseDataset(raw, ExplicitVRLittleEndian, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e := d.Edit()
		for i := 0; i < d.Len(); i += 4 {
			e.Remove(i)
		}
		if _, err := e.Render(); err != nil {
			b.Fatal(err)
		}
	}
}
