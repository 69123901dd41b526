package reading

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// A slice is asked a quick question first; one that says that text is in its pixels, or that it is a capture, is not.
func TestQuickOnlyOfSlices(t *testing.T) {
	var data []byte
	for s := range sample.Studies(7) {
		if s.Kind == "CT" {
			in, err := s.Instance(0)
			if err != nil {
				t.Fatal(err)
			}
			data = in.Data()
			break
		}
	}
	for name, x := range map[string]struct {
		change func(*dicom.Edit)
		sliced bool
	}{
		"a slice":          {func(*dicom.Edit) {}, true},
		"it declares text": {func(e *dicom.Edit) { e.Insert(dicom.Root, dicom.TagBurnedInAnnotation, dicom.VRCS, []byte("YES ")) }, false},
		"a capture":        {func(e *dicom.Edit) { e.Insert(dicom.Root, dicom.TagConversionType, dicom.VRCS, []byte("WSD ")) }, false},
	} {
		ds, err := dicom.ParseDataset(data, dicom.ExplicitVRLittleEndian, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		value := ds.Value(ds.PixelData())
		edit := ds.Edit()
		x.change(edit)
		r, err := edit.Render()
		if err != nil {
			t.Fatal(err)
		}
		if ds, err = r.Dataset(); err != nil {
			t.Fatal(err)
		}
		f, err := newFilm(custody.Pixels{Data: ds, Value: bytes.NewReader(value), Size: int64(len(value))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.sliced != x.sliced {
			t.Errorf("%s: asked the quick question: %t", name, f.sliced)
		}
	}
}
