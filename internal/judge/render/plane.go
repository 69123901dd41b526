package render

import (
	"math"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Plane is where a frame lies in the patient: x to the left hand, y to the back, z to the head (PS3.3 C.7.6.2.1.1). Lengths are in mm.
type Plane struct {
	Position     [3]float64 // of the centre of the first pixel
	Across, Down [3]float64 // directions in which columns and rows count up, of length 1
	Spacing      [2]float64 // between rows, and between columns
	Thickness    float64    // of the slice, or between slices; 0: not told
}

// Normal is at right angles to the frame.
func (p *Plane) Normal() [3]float64 {
	a, b := p.Across, p.Down
	return [3]float64{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
}

// PlaneOfFrame is where frame k, counted from 0, lies; ok is false where the data set does not say. It reads the Image Plane module, the functional groups of enhanced images
// (PS3.3 C.7.6.16.2), and of nuclear medicine the detector's place with the spacing between slices (PS3.3 C.8.4.15).
func PlaneOfFrame(d *dicom.Dataset, k int) (p Plane, ok bool) {
	g := groups{d, k}
	measures, place, turn := g.of(dicom.TagPixelMeasuresSequence), g.of(dicom.TagPlanePositionSequence), g.of(dicom.TagPlaneOrientationSequence)
	step := 0.0
	if place == dicom.Root && !d.Has(dicom.TagImagePositionPatient) {
		i := d.Find(dicom.TagDetectorInformationSequence)
		if i < 0 {
			return p, false
		}
		if place = nth(d, i, 0); place < 0 {
			return p, false
		}
		turn = place
		between, told := float(d, dicom.Root, dicom.TagSpacingBetweenSlices)
		if !told {
			between, _ = float(d, dicom.Root, dicom.TagSliceThickness)
		}
		step = float64(k) * between
	}
	at, o, spacing := all(d, place, dicom.TagImagePositionPatient), all(d, turn, dicom.TagImageOrientationPatient), all(d, measures, dicom.TagPixelSpacing)
	if len(at) != 3 || len(o) != 6 || len(spacing) != 2 || !(spacing[0] > 0.001) || !(spacing[1] > 0.001) || spacing[0] > 100 || spacing[1] > 100 {
		return p, false
	}
	copy(p.Position[:], at)
	copy(p.Spacing[:], spacing)
	if p.Across, ok = unit(o[:3]); !ok {
		return p, false
	}
	if p.Down, ok = unit(o[3:]); !ok {
		return p, false
	}
	dot := 0.0
	for i := range 3 {
		if math.IsNaN(p.Position[i]) || math.Abs(p.Position[i]) > 1e5 {
			return p, false
		}
		dot += p.Across[i] * p.Down[i]
	}
	if math.Abs(dot) > 0.05 {
		return p, false
	}
	p.Thickness, _ = float(d, measures, dicom.TagSliceThickness)
	n := p.Normal()
	for i := range 3 {
		p.Position[i] += step * n[i]
	}
	return p, true
}

func unit(v []float64) (u [3]float64, ok bool) {
	l := math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2])
	if !(l > 0.9 && l < 1.1) {
		return u, false
	}
	return [3]float64{v[0] / l, v[1] / l, v[2] / l}, true
}
