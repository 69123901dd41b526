package dicom

import (
	"bytes"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// corpus yields the real files beside the repository by an ordinal, so that no test is named after a file. Readable ones are those that dcmdump
// reads.
func corpus(t *testing.T, each func(t *testing.T, path string, readable bool)) {
	dir := filepath.Join(testdata.Shared(t), "data")
	f, err := os.Open(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Skip("the folder of real files has no manifest")
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, row := range rows[1:] {
		if row[3] != "dicom" {
			continue
		}
		n++
		t.Run("line"+strconv.Itoa(i+2), func(t *testing.T) {
			each(t, filepath.Join(dir, row[0]), row[9] == "0" || row[9] == "")
		})
	}
	if n < 150 {
		t.Errorf("only %d DICOM files in the manifest", n)
	}
}

func TestCorpusUnchanged(t *testing.T) {
	corpus(t, func(t *testing.T, path string, readable bool) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(b, Limits{})
		if err != nil {
			if readable {
				t.Fatal(err)
			}
			t.Logf("refused: %v", err)
			return
		}
		// Rendered from the index, not copied from the file.
		var out bytes.Buffer
		r := f.Data.Render()
		if _, err := r.WriteTo(&out, func(b BulkRef) (io.Reader, error) { return f.Bulk(b.Elem), nil }); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), f.inside) {
			t.Fatal("the data set is not what it was")
		}
		out.Reset()
		if _, err := f.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatal("the file is not what it was", err)
		}
		// The streamed reading agrees with the one in memory.
		g, err := Open(path, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		out.Reset()
		if _, err := g.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), b) {
			t.Fatal("the opened file is not what it was", err)
		}
		if g.Data.Len() != f.Data.Len() || len(g.Data.Bulks()) != len(f.Data.Bulks()) {
			t.Fatalf("%d entries in memory, %d streamed", f.Data.Len(), g.Data.Len())
		}
		out.Reset()
		gr := g.Data.Render()
		if _, err := gr.WriteTo(&out, func(b BulkRef) (io.Reader, error) { return g.Bulk(b.Elem), nil }); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), f.inside) {
			t.Fatal("the streamed data set is not what it was")
		}
		if !bytes.Equal(gr.Head, r.Head) {
			t.Fatal("the heads differ")
		}
		// The head alone gives the index again.
		h, err := r.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		if h.Len() != f.Data.Len() || len(h.Bulks()) != len(f.Data.Bulks()) {
			t.Fatal("the head's index differs")
		}
		for i := range h.Len() {
			x, y := h.At(i), f.Data.At(i)
			if x.Tag != y.Tag || x.VR != y.VR || x.Length != y.Length || x.Depth != y.Depth || h.Path(i) != f.Data.Path(i) {
				t.Fatalf("entry %d differs", i)
			}
		}
	})
}

// Every element of every file is edited in turn (those of large files, some): the element alone and what encloses it may change.
func TestCorpusOneEdit(t *testing.T) {
	corpus(t, func(t *testing.T, path string, readable bool) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(b, Limits{})
		if err != nil {
			return
		}
		d := f.Data
		step := max(1, d.Len()/40)
		for i := 0; i < d.Len(); i += step {
			el := d.At(i)
			if el.IsItem() || el.IsSequence() || el.IsEncapsulated() || d.IsBulk(i) || el.Tag.IsGroupLength() || el.Tag == TagSpecificCharacterSet || el.Tag.IsPrivateCreator() || el.VR == VRUN {
				continue
			}
			if el.Depth == 0 && el.Tag.Group() == 0x7FE0 {
				continue
			}
			value := append(bytes.Clone(d.Value(i)), "XYZ "...)
			if len(value) > 60000 {
				continue
			}
			e := d.Edit()
			e.SetValue(i, value)
			r, err := e.Render()
			if err != nil {
				t.Fatalf("%s: %v", d.Path(i), err)
			}
			got, err := r.Dataset()
			if err != nil {
				t.Fatalf("%s: %v", d.Path(i), err)
			}
			if got.Len() != d.Len() {
				t.Fatalf("%s: %d entries became %d", d.Path(i), d.Len(), got.Len())
			}
			for j := range d.Len() {
				x, y := d.At(j), got.At(j)
				if x.Tag != y.Tag || x.VR != y.VR || x.flags&^(flagElided) != y.flags&^(flagElided) {
					t.Fatalf("edit of %s changed %s", d.Path(i), d.Path(j))
				}
				if x.IsItem() || x.IsSequence() || x.Tag.IsGroupLength() || x.flags&flagBulk != 0 {
					if x.Length == UndefinedLength != (y.Length == UndefinedLength) {
						t.Fatalf("edit of %s changed how %s is delimited", d.Path(i), d.Path(j))
					}
					continue
				}
				want := d.Value(j)
				if j == i {
					want = padded(value, x.VR)
				}
				if !bytes.Equal(want, got.Value(j)) {
					t.Fatalf("edit of %s changed %s", d.Path(i), d.Path(j))
				}
			}
			// Taking the edit back gives the former bytes.
			e = got.Edit()
			e.SetValue(i, d.Value(i))
			back, err := e.Render()
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Value(i))%2 == 0 && !bytes.Equal(back.Head, d.Render().Head) {
				t.Fatalf("edit of %s cannot be taken back", d.Path(i))
			}
		}
	})
}
