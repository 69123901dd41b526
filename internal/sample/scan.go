package sample

import (
	"fmt"
	"math"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	mrImageStorage    = "1.2.840.10008.5.1.4.1.1.4"
	enhancedCTStorage = "1.2.840.10008.5.1.4.1.1.2.1"
	enhancedMRStorage = "1.2.840.10008.5.1.4.1.1.4.1"
)

// Scan says how an [Anatomy] is scanned. Instances are those of one series.
type Scan struct {
	Seed      uint64
	Of        *Anatomy
	Modality  string // "CT", "MR" or "PT"
	Weighting Weighting
	Plane     string  // "axial", "sagittal" or "coronal"
	Pixel     float64 // mm
	Between   float64 // mm between slices
	Noise     float64 // of CT in Hounsfield units, of MR and PET as a share of what is bright
	Uneven    float64 // how much less of the signal of MR comes from far away: 0 to 1
	Tilt      float64 // degrees about the axis from left to right
	BodyPart  string  // (0018,0015)
	Age       string  // (0010,1010)
	// First and Last are the part of the slices that is made, of 0 to 1; both 0: all.
	First, Last float64
	// Enhanced makes one multi-frame instance of it.
	Enhanced bool
}

// aim is the geometry of a scan.
type aim struct {
	across, down, normal [3]float64
	columns, rows, count int
	at                   func(i int) [3]float64 // centre of the first pixel of slice i
}

func (s *Scan) aim() aim {
	var v aim
	e := s.Of.Extent
	sin, cos := math.Sincos(s.Tilt * math.Pi / 180)
	x, y, z := [3]float64{1, 0, 0}, [3]float64{0, cos, sin}, [3]float64{0, -sin, cos}
	down := func(a [3]float64) [3]float64 { return [3]float64{-a[0], -a[1], -a[2]} }
	var w, h, d float64
	switch s.Plane {
	case "sagittal":
		v.across, v.down, v.normal, w, h, d = y, down(z), x, e[1], e[2], e[0]
	case "coronal":
		v.across, v.down, v.normal, w, h, d = x, down(z), y, e[0], e[2], e[1]
	default:
		v.across, v.down, v.normal, w, h, d = x, y, z, e[0], e[1], e[2]
	}
	v.columns, v.rows = int(w/s.Pixel), int(h/s.Pixel)
	all := int(d / s.Between)
	from, to := 0, all
	if s.Last > 0 {
		from, to = int(s.First*float64(all)), int(s.Last*float64(all))
	}
	v.count = max(1, to-from)
	v.at = func(i int) [3]float64 {
		var p [3]float64
		for k := range p {
			p[k] = s.Of.Middle[k] - v.across[k]*float64(v.columns-1)/2*s.Pixel - v.down[k]*float64(v.rows-1)/2*s.Pixel + v.normal[k]*(float64(from+i)-float64(all-1)/2)*s.Between
		}
		return p
	}
	return v
}

// values are the stored values of slice i, of 12 bits for CT and 16 for others.
func (s *Scan) values(v *aim, i int) []uint16 {
	out := make([]uint16, v.rows*v.columns)
	p := v.at(i)
	key := mix(s.Seed ^ uint64(i)<<32)
	for r := range v.rows {
		for c := range v.columns {
			a, b := float64(c)*s.Pixel, float64(r)*s.Pixel
			x, y, z := p[0]+v.across[0]*a+v.down[0]*b, p[1]+v.across[1]*a+v.down[1]*b, p[2]+v.across[2]*a+v.down[2]*b
			k := r*v.columns + c
			switch n := gauss(key + uint64(k)); s.Modality {
			case "CT":
				out[k] = uint16(clamp(math.Round(s.Of.HU(x, y, z)+s.Noise*n)+1024, 0, 4095))
			case "MR":
				near := 1 - s.Uneven*clamp(math.Hypot(x-s.Of.Middle[0]-60, y-s.Of.Middle[1]+60)/260, 0, 1)
				m := s.Of.MR(x, y, z, s.Weighting) * near
				// Magnitude images have noise of Rice's distribution.
				out[k] = uint16(clamp(math.Hypot(m+1000*s.Noise*n, 1000*s.Noise*gauss(key+uint64(k)<<20)), 0, 4095))
			default:
				// A point is as wide as the scanner's resolution.
				u := 0.0
				for _, o := range [...][3]float64{{0, 0, 0}, {0, 0, 0}, {3, 0, 0}, {-3, 0, 0}, {0, 3, 0}, {0, -3, 0}, {0, 0, 3}, {0, 0, -3}} {
					u += s.Of.Uptake(x+o[0], y+o[1], z+o[2]) / 8
				}
				out[k] = uint16(clamp(1000*(u+s.Noise*(0.05+u)*n), 0, 32767))
			}
		}
	}
	return out
}

// Len is the number of instances.
func (s *Scan) Len() int {
	if s.Enhanced {
		return 1
	}
	v := s.aim()
	return v.count
}

// Instance is the i-th instance.
func (s *Scan) Instance(i int) (*Instance, error) {
	v := s.aim()
	ts := dicom.ExplicitVRLittleEndian
	o := object{dicom.NewBuilder(ts), westEuropean}
	name := fmt.Sprintf("scan/%s/%s/%s/%d", s.Of.Name, s.Modality, s.Plane, s.Seed)
	class := map[string]string{"CT": ctImageStorage, "MR": mrImageStorage, "PT": petImageStorage}[s.Modality]
	if s.Enhanced {
		class = map[string]string{"CT": enhancedCTStorage, "MR": enhancedMRStorage}[s.Modality]
	}
	in := Instance{SOPClassUID: class, Modality: s.Modality, Series: 1, Number: i + 1, SOPInstanceUID: uid(s.Seed, "%s/%d", name, i), StudyUID: uid(s.Seed, "%s", name),
		SeriesUID: uid(s.Seed, "%s/series", name)}
	in.Name = fmt.Sprintf("scan/%05d.dcm", i+1)
	at := day(2024, time.May, 6)
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	o.String(dicom.TagStudyDate, da(at))
	o.String(dicom.TagStudyTime, tm(at))
	o.String(dicom.TagAccessionNumber, "SCAN0001")
	o.String(dicom.TagModality, s.Modality)
	o.String(dicom.TagManufacturer, "SIEMENS")
	o.String(dicom.TagPatientName, "Scan^Stella")
	o.String(dicom.TagPatientID, "SCN0000001")
	o.String(dicom.TagPatientBirthDate, "19600101")
	o.String(dicom.TagPatientSex, "F")
	if s.Age != "" {
		o.String(dicom.TagPatientAge, s.Age)
	}
	if s.BodyPart != "" {
		o.String(dicom.TagBodyPartExamined, s.BodyPart)
	}
	o.String(dicom.TagStudyInstanceUID, in.StudyUID)
	o.String(dicom.TagSeriesInstanceUID, in.SeriesUID)
	o.String(dicom.TagStudyID, "1")
	o.Ints(dicom.TagSeriesNumber, 1)
	o.Ints(dicom.TagInstanceNumber, i+1)
	o.String(dicom.TagFrameOfReferenceUID, uid(s.Seed, "%s/frame", name))
	slope, intercept := 1.0, 0.0
	switch s.Modality {
	case "CT":
		intercept = -1024
	case "PT":
		slope = 0.001
		o.String(dicom.TagUnits, "GML")
		o.String(dicom.TagCorrectedImage, "ATTN", "DECY")
	}
	rescale := func(o object) {
		o.Floats(dicom.TagRescaleIntercept, intercept)
		o.Floats(dicom.TagRescaleSlope, slope)
		o.String(dicom.TagRescaleType, map[string]string{"CT": "HU", "MR": "US", "PT": "SUV"}[s.Modality])
	}
	measures := func(o object) {
		o.Floats(dicom.TagPixelSpacing, s.Pixel, s.Pixel)
		o.Floats(dicom.TagSliceThickness, s.Between)
	}
	turned := func(o object) {
		o.Floats(dicom.TagImageOrientationPatient, round6(v.across[:], v.down[:])...)
	}
	var all []uint16
	if !s.Enhanced {
		p := v.at(i)
		measures(o)
		o.Floats(dicom.TagImagePositionPatient, round6(p[:])...)
		turned(o)
		rescale(o)
		all = s.values(&v, i)
	} else {
		o.Ints(dicom.TagNumberOfFrames, v.count)
		o.items(dicom.TagSharedFunctionalGroupsSequence, func(o object) {
			o.items(dicom.TagPixelMeasuresSequence, measures)
			o.items(dicom.TagPlaneOrientationSequence, turned)
			o.items(dicom.TagPixelValueTransformationSequence, rescale)
		})
		frames := make([]func(object), v.count)
		for k := range frames {
			frames[k] = func(o object) {
				o.items(dicom.TagPlanePositionSequence, func(o object) { p := v.at(k); o.Floats(dicom.TagImagePositionPatient, round6(p[:])...) })
			}
			all = append(all, s.values(&v, k)...)
		}
		o.items(dicom.TagPerFrameFunctionalGroupsSequence, frames...)
	}
	pixels(o, v.rows, v.columns, map[string]int{"CT": 12, "MR": 16, "PT": 16}[s.Modality], false, all)
	return encode(o.Builder, ts, in)
}

func round6(parts ...[]float64) []float64 {
	var out []float64
	for _, p := range parts {
		for _, f := range p {
			out = append(out, math.Round(f*1e6)/1e6)
		}
	}
	return out
}
