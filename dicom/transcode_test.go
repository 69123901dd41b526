package dicom

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
)

// transcode is a data set in another syntax, bulk and all.
func transcode(t testing.TB, d *Dataset, ts *TransferSyntax) *Dataset {
	t.Helper()
	r, err := d.Transcode(ts)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(&out, func(b BulkRef) (io.Reader, error) { return d.BulkIn(ts, b.Elem, bytes.NewReader(d.Value(b.Elem))), nil }); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != r.Size() {
		t.Fatalf("%d bytes, said to be %d", out.Len(), r.Size())
	}
	x, err := ParseDataset(out.Bytes(), ts, Limits{Depth: 120})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// sameValues compares two data sets by tags, and by values as they read.
func sameValues(t testing.TB, name string, a, b *Dataset) {
	t.Helper()
	var x, y []int
	list := func(d *Dataset) (all []int) {
		for i := range d.Len() {
			if d.At(i).Tag.Element() != 0 || d.At(i).IsItem() {
				all = append(all, i)
			}
		}
		return all
	}
	if x, y = list(a), list(b); len(x) != len(y) {
		t.Errorf("%s: %d entries became %d", name, len(x), len(y))
		return
	}
	for k := range x {
		e, f := a.At(x[k]), b.At(y[k])
		if e.Tag != f.Tag || e.IsSequence() != f.IsSequence() {
			t.Errorf("%s: %s became %s", name, a.Path(x[k]), b.Path(y[k]))
			return
		}
		if e.IsItem() || e.IsSequence() {
			continue
		}
		v, w := bytes.Clone(a.Value(x[k])), bytes.Clone(b.Value(y[k]))
		vr := e.VR
		if !vr.Known() || vr == VRUN && e.Implicit() {
			vr = a.VR(x[k])
		}
		if word := vr.WordSize(); e.BigEndian() != f.BigEndian() && word > 1 {
			swap(w, word)
		}
		if !bytes.Equal(bytes.TrimRight(v, " \x00"), bytes.TrimRight(w, " \x00")) {
			t.Errorf("%s: the value of %s changed", name, a.Path(x[k]))
		}
	}
}

// What is native comes into every native syntax, and back as it was.
func TestTranscode(t *testing.T) {
	b := NewBuilder(ExplicitVRLittleEndian)
	b.String(TagModality, "CT")
	b.Ints(TagRows, 0x0102)
	b.Floats(TagTableSpeed, 1.25)
	b.Raw(NewTag(0x0009, 0x0010), VRLO, []byte("Somebody"))
	b.Raw(NewTag(0x0009, 0x1001), VRUN, []byte{1, 2, 3, 4})
	b.Raw(TagLUTData, VROW, bytes.Repeat([]byte{1, 2}, 40_000))
	b.Raw(TagPixelData, VROW, bytes.Repeat([]byte{3, 4, 5, 6}, 1<<19))
	b.Sequence(TagViewCodeSequence, func(item *Builder) {
		item.String(TagCodeValue, "1")
		item.Ints(TagRegionFlags, 0x01020304)
		item.Sequence(TagViewCodeSequence)
	})
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	natives := []*TransferSyntax{ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian}
	for _, ts := range natives {
		x := transcode(t, d, ts)
		sameValues(t, ts.Name, d, x)
		if n, ok := x.Int(TagRows); !ok || n != 0x0102 {
			t.Errorf("%s: rows %x", ts.Name, n)
		}
		sameValues(t, ts.Name+" and back", d, transcode(t, x, ExplicitVRLittleEndian))
	}
	// Pixels are really turned around.
	if x := transcode(t, d, ExplicitVRBigEndian); x.Value(x.PixelData())[0] != 4 {
		t.Error("words in the wrong order")
	}
	if _, err := d.Transcode(&TransferSyntax{Explicit: true, Encapsulated: true}); !errors.Is(err, ErrEncapsulated) {
		t.Errorf("into an encapsulated syntax: %v", err)
	}
	// A value too long for its VR.
	i := NewBuilder(ImplicitVRLittleEndian)
	i.String(TagImageComments, string(bytes.Repeat([]byte{'x'}, 70_000)))
	i.Raw(TagPatientComments, VRLT, []byte("short"))
	i.Raw(NewTag(0x0008, 0x0008), VRCS, bytes.Repeat([]byte("AB\\"), 30_000))
	long, err := i.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	x := transcode(t, long, ExplicitVRLittleEndian)
	if e := x.At(x.Find(NewTag(0x0008, 0x0008))); e.VR != VRUN || e.ValueEnd-e.ValueStart != 90_000 {
		t.Errorf("a long value: %s of %d bytes", e.VR, e.ValueEnd-e.ValueStart)
	}
}

// Every native file of the corpus comes into every native syntax, and back as it was.
func TestTranscodeCorpus(t *testing.T) {
	corpus(t, func(t *testing.T, path string, readable bool) {
		f, err := Open(path, Limits{})
		if err != nil || f.Syntax().Encapsulated {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if f, err = Parse(b, Limits{}); err != nil {
			return
		}
		for _, ts := range []*TransferSyntax{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian} {
			if r, err := f.Data.Transcode(ts); err != nil {
				continue // an odd bulk value, or fragments where none belong
			} else if r.Syntax != ts {
				t.Error("another syntax")
			}
			sameValues(t, ts.Name, f.Data, transcode(t, f.Data, ts))
		}
	})
}
