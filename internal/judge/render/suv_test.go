package render

import (
	"math"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// The factor is the one that the scanner wrote down, and nothing where the image leaves something out that it depends on.
func TestSUVScale(t *testing.T) {
	seen := 0
	for s := range sample.Studies(1) {
		for i := 0; i < s.Len(); i += 16 {
			in, err := s.Instance(i)
			if err != nil {
				t.Fatal(err)
			}
			f, err := dicom.Parse(in.File(), dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			d := f.Data
			scale, ok := SUVScale(d)
			if d.String(dicom.TagModality) != "PT" {
				if ok {
					t.Errorf("%s: an uptake of what is no PET", d.String(dicom.TagModality))
				}
				continue
			}
			seen++
			want := d.Floats(d.Find(0x70531000))[0] // Philips' own
			if !ok || math.Abs(scale/want-1) > 0.001 {
				t.Errorf("%v %v, the scanner says %v", scale, ok, want)
			}
			if seen > 1 {
				continue
			}
			for _, tag := range []dicom.Tag{dicom.TagPatientWeight, dicom.TagUnits, dicom.TagDecayCorrection, dicom.TagCorrectedImage, dicom.TagSeriesTime, dicom.TagRadiopharmaceuticalInformationSequence} {
				e := d.Edit()
				e.Remove(d.Find(tag))
				r, err := e.Render()
				if err != nil {
					t.Fatal(err)
				}
				less, err := r.Dataset()
				if err != nil {
					t.Fatal(err)
				}
				if _, ok := SUVScale(less); ok {
					t.Errorf("without %v it is told all the same", tag)
				}
			}
		}
	}
	if seen == 0 {
		t.Fatal("no PET among the samples")
	}
}
