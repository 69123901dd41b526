package sample

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Whatever the seed chooses, values keep to the lengths of their VR (PS3.5 6.2).
func TestLengths(t *testing.T) {
	most := map[dicom.VR]int{dicom.VRLO: 64, dicom.VRSH: 16, dicom.VRCS: 16, dicom.VRST: 1024, dicom.VRUI: 64, dicom.VRDS: 16, dicom.VRIS: 12}
	for seed := range uint64(300) {
		for s := range Studies(seed) {
			if s.Timepoint > 0 && s.Kind != "DOC" {
				continue
			}
			// The last instance of PET/CT and the letter are quickly made; of the others the common part is.
			var d *dicom.Dataset
			if s.Kind == "DOC" || s.Kind == "PET/CT" && seed < 20 {
				in, err := s.Instance(s.Len() - 1)
				if err != nil {
					t.Fatal(err)
				}
				f, err := dicom.Parse(in.File(), dicom.DefaultLimits)
				if err != nil {
					t.Fatal(err)
				}
				d = f.Data
			} else {
				var err error
				if d, err = s.exam.begin(dicom.ExplicitVRLittleEndian).Dataset(); err != nil {
					t.Fatal(err)
				}
			}
			for i := range d.Len() {
				for _, v := range d.Strings(i) {
					if n, ok := most[d.VR(i)]; ok && len([]rune(v)) > n {
						t.Errorf("seed %d, %s: %s has %d characters", seed, s.Kind, d.Path(i), len([]rune(v)))
					}
				}
			}
		}
	}
}
