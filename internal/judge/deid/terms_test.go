package deid

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Terms that the standard defines stay, of type 1 elements too (PS3.3 C.8.11.7: Positioner Type of a mammogram); a name in their place goes.
func TestDefinedTermsStay(t *testing.T) {
	for _, c := range []struct{ term, want string }{
		{"MAMMOGRAPHIC", "MAMMOGRAPHIC"}, {"CEPHALOSTAT", "CEPHALOSTAT"}, {"PANORAMIC", "PANORAMIC"}, {"ZELAZNY", ""}, {"HENSCHKE", ""},
	} {
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) { b.String(dicom.TagPositionerType, c.term) })
		_, out := mustClean(t, ds, "research", "NOWHERE^IN^IT")
		if got := value(out, dicom.TagPositionerType); got != c.want {
			t.Errorf("%s became %q, want %q", c.term, got, c.want)
		}
	}
}
