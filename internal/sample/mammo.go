package sample

import (
	"fmt"
	"math"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	mammoForPresentation = "1.2.840.10008.5.1.4.1.1.1.2"
	mammoForProcessing   = "1.2.840.10008.5.1.4.1.1.1.2.1"

	mammoWidth  = 204.8 // mm, from the chest wall
	mammoHeight = 256.0
)

// A view is one of the four of a screening examination.
type view struct {
	side        string // L or R
	name        string
	code        code
	orientation [2]string // (0020,0020): rows, columns
	angle       float64   // degrees
	oblique     bool
}

// CID 4014; orientations after PS3.3 C.8.11.7 and what stations display: the chest wall of a right breast lies at the right edge.
var views = [4]view{
	{"R", "CC", code{"399162004", "SCT", "cranio-caudal"}, [2]string{"P", "L"}, 0, false},
	{"L", "CC", code{"399162004", "SCT", "cranio-caudal"}, [2]string{"A", "R"}, 0, false},
	{"R", "MLO", code{"399368009", "SCT", "medio-lateral oblique"}, [2]string{"P", "FL"}, -45, true},
	{"L", "MLO", code{"399368009", "SCT", "medio-lateral oblique"}, [2]string{"A", "FR"}, 45, true},
}

// mammogram is the second person's screening: four views, each unprocessed and processed; 1024x1280 at baseline and 512x640 later. A mass in the right
// breast shrinks.
func mammogram(p *Person, tp int) *Study {
	x := newExam(p, tp, "MG", 10, 12+9*tp, calderMG)
	x.desc = fmt.Sprintf("Mammogram both breasts %s, %s", timepoints[tp], p.written())
	s := x.newStudy()
	scale := [3]int{1, 2, 2}[tp]
	for i, v := range views {
		b := &breast{view: v, key: mix(p.seed ^ 0x36 ^ uint64(v.side[0])<<8), thickness: 54 + 3*float64(i%2), mass: [3]float64{14, 10, 7}[tp], size: 1, dense: 1}
		s.make = append(s.make,
			func() (*Instance, error) { return x.mammo(b, i, scale, false) },
			func() (*Instance, error) { return x.mammo(b, i, scale, true) })
	}
	return s
}

// A breast is compressed between plates: how thick it is at a place of the detector, and how much of that is glandular.
type breast struct {
	view
	key       uint64
	thickness float64 // mm
	mass      float64 // mm, diameter of the mass in the right breast; 0: none, and no microcalcifications
	size      float64 // of the breast to an average one's
	dense     float64 // of the glandular tissue to an average breast's
}

// at takes mm from the chest wall and from the middle of the detector, down.
func (b *breast) at(u, v float64) (thickness, glandular float64) {
	u, v = u/b.size, v/b.size
	if b.oblique {
		v += 12
	}
	reach := 112 - 0.0045*v*v // the outline, a little pear-shaped
	if b.oblique {
		reach = 116 - 0.0036*(v-18)*(v-18)
	}
	d := reach - u // mm inside of the skin
	if math.Abs(v) < 5 && d > -4 && d <= 0 {
		d = 1.5 // nipple
	}
	if d <= 0 {
		return 0, 0
	}
	thickness = b.thickness * math.Sqrt(clamp(d/26, 0, 1)*(2-clamp(d/26, 0, 1)))
	// Glandular tissue fans out behind the nipple.
	fan := clamp(1-math.Hypot((u-62)/58, v/62), 0, 1)
	g := 0.06 + 1.1*b.dense*fan*clamp(fractal(b.key, u/17, v/17, 0, 5)-0.22, 0, 1)
	// Strands (Cooper's ligaments).
	for k := range 3 {
		if r := math.Abs(fractal(b.key^7+uint64(k)<<8, u/40, v/15, 3, 3) - 0.5); r < 0.02 {
			g += 0.06 * (1 - r/0.02)
		}
	}
	if d < 1.6 {
		g += 0.5 // skin
	}
	if b.oblique {
		if m := 62 - 0.42*(v+140) - u; m > 0 { // pectoral muscle
			g = math.Max(g, 0.85*clamp(m/4, 0, 1))
		}
	}
	if b.side == "R" && b.mass > 0 {
		mu, mv := 52.0, -24.0
		edge := 1 + 0.22*(fractal(b.key^9, u/3, v/3, 9, 2)-0.5)
		if r := math.Hypot(u-mu, v-mv) / (b.mass / 2 * edge); r < 1.15 {
			g += 0.55 * clamp((1.15-r)/0.7, 0, 1)
		}
		for k := range 9 { // a cluster of microcalcifications
			cu, cv := mu+9*(lattice(b.key, k, 1, 0)-0.5), mv+9*(lattice(b.key, k, 2, 0)-0.5)
			if math.Hypot(u-cu, v-cv) < 0.34 {
				g += 1.1
			}
		}
	}
	return thickness, g
}

// Linear attenuation per mm at about 20 keV.
const (
	muAdipose   = 0.0456
	muGlandular = 0.0802
)

// image is either the detector's answer (linear, bright where nothing is in the way) or what is made of it for reading.
func (b *breast) image(scale int, presentation bool, seed uint64) (rows, cols int, px float64, out []uint16) {
	cols, rows = 1024/scale, 1280/scale
	px = mammoWidth / float64(cols)
	out = make([]uint16, rows*cols)
	for r := range rows {
		v := (float64(r)+0.5)*px - mammoHeight/2
		for c := range cols {
			u := (float64(c) + 0.5) * px
			if b.side == "R" {
				u = mammoWidth - u
			}
			t, g := b.at(u, v)
			n := gauss(seed + uint64(r*cols+c))
			var p float64
			switch {
			case !presentation:
				// 40 above zero is the detector's own; the open field saturates; quantum noise grows with the root of the signal.
				i := 23000 * math.Exp(-t*(muAdipose*(1-g)+muGlandular*g))
				p = 40 + i + 0.9*math.Sqrt(i)*n
			case t == 0:
				p = 0
			default:
				// Thickness is equalised, contrast stays.
				p = 700 + 2700*g*math.Sqrt(t/b.thickness) + 18*n
				p *= clamp(t/b.thickness*3, 0.25, 1)
			}
			out[r*cols+c] = uint16(clamp(math.Round(p), 0, 4095))
		}
	}
	return rows, cols, px, out
}

func (x *exam) mammo(b *breast, i, scale int, presentation bool) (*Instance, error) {
	ts := dicom.ExplicitVRLittleEndian
	o := x.begin(ts)
	at := x.at.Add(time.Duration(3*i) * time.Minute)
	class, series, intent, label := mammoForProcessing, 2, "FOR PROCESSING", "raw"
	if presentation {
		class, series, intent, label = mammoForPresentation, 1, "FOR PRESENTATION", "processed"
		at = at.Add(20 * time.Second)
	}
	number := i + 1
	seriesUID := x.series(o, series, "MG", "Screening "+label, x.at)
	o.String(dicom.TagPresentationIntentType, intent)
	o.String(dicom.TagProtocolName, "Screening 4 view")
	o.String(dicom.TagAcquisitionDate, da(at))
	o.String(dicom.TagAcquisitionTime, tm(at))
	o.Ints(dicom.TagAcquisitionNumber, number)

	rows, cols, px, values := b.image(scale, presentation, mix(b.key^uint64(i)<<28^uint64(x.tp)<<48))
	pixels(o, rows, cols, 12, false, values)

	// DX image (C.8.11.3)
	o.String(dicom.TagPatientOrientation, b.orientation[0], b.orientation[1])
	o.Floats(dicom.TagRescaleIntercept, 0)
	o.Floats(dicom.TagRescaleSlope, 1)
	o.String(dicom.TagRescaleType, "US")
	o.String(dicom.TagLossyImageCompression, "00")
	o.String(dicom.TagBurnedInAnnotation, "NO")
	if presentation {
		o.String(dicom.TagImageType, "DERIVED", "PRIMARY", "")
		o.Ints(dicom.TagPixelIntensityRelationshipSign, 1)
		o.String(dicom.TagPixelIntensityRelationship, "LOG")
		o.String(dicom.TagPresentationLUTShape, "IDENTITY")
		o.Floats(dicom.TagWindowCenter, 2000)
		o.Floats(dicom.TagWindowWidth, 2400)
		o.String(dicom.TagVOILUTFunction, "SIGMOID")
		o.String(dicom.TagDerivationDescription, "Thickness equalised")
		o.code(dicom.TagDerivationCodeSequence, code{"113072", "DCM", "Multiresolution processing"})
		o.reference(dicom.TagSourceImageSequence, mammoForProcessing, func(o object) {
			o.String(dicom.TagSpatialLocationsPreserved, "YES")
			o.code(dicom.TagPurposeOfReferenceCodeSequence, code{"121322", "DCM", "Source image for image processing operation"})
		}, x.instanceUID(2, number))
	} else {
		o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "")
		o.String(dicom.TagPixelIntensityRelationship, "LIN")
		o.Ints(dicom.TagPixelIntensityRelationshipSign, -1)
		o.String(dicom.TagPresentationLUTShape, "INVERSE")
		o.String(dicom.TagPhotometricInterpretation, "MONOCHROME1")
	}

	// DX anatomy (C.8.11.2), detector (C.8.11.4), positioning (C.8.11.5)
	o.String(dicom.TagImageLaterality, b.side)
	o.String(dicom.TagBodyPartExamined, "BREAST")
	o.code(dicom.TagAnatomicRegionSequence, code{"76752008", "SCT", "Breast"})
	o.String(dicom.TagDetectorType, "DIRECT")
	o.String(dicom.TagDetectorConfiguration, "AREA")
	o.String(dicom.TagDetectorID, "D-"+x.site.serial)
	o.String(dicom.TagDateOfLastDetectorCalibration, da(x.at.AddDate(0, 0, -11)))
	o.Floats(dicom.TagImagerPixelSpacing, px, px)
	o.String(dicom.TagFieldOfViewShape, "RECTANGLE")
	o.Ints(dicom.TagFieldOfViewDimensions, int(mammoHeight), int(math.Floor(mammoWidth)))
	o.Floats(dicom.TagFieldOfViewOrigin, 0, 0)
	o.Floats(dicom.TagFieldOfViewRotation, 0)
	o.String(dicom.TagFieldOfViewHorizontalFlip, "NO")
	o.String(dicom.TagPositionerType, "MAMMOGRAPHIC")
	o.Floats(dicom.TagPositionerPrimaryAngle, b.angle)
	o.Floats(dicom.TagDistanceSourceToDetector, 655)
	o.Floats(dicom.TagDistanceSourceToPatient, 633)
	o.Floats(dicom.TagEstimatedRadiographicMagnificationFactor, math.Round(655./633*1000)/1000)

	// Mammography image (C.8.11.7)
	o.String(dicom.TagOrganExposed, "BREAST")
	o.String(dicom.TagBreastImplantPresent, "NO")
	o.String(dicom.TagPartialView, "NO")
	o.items(dicom.TagViewCodeSequence, func(o object) {
		b.code.item(o)
		o.Sequence(dicom.TagViewModifierCodeSequence)
	})
	o.Sequence(dicom.TagAcquisitionContextSequence)

	// Dose (C.8.7.2, C.8.11.6)
	o.Floats(dicom.TagKVP, 29)
	o.Ints(dicom.TagExposureTime, 920+40*i)
	o.Ints(dicom.TagXRayTubeCurrent, 110)
	o.Ints(dicom.TagExposure, 101+4*i)
	o.Ints(dicom.TagExposureInuAs, 1000*(101+4*i))
	o.Floats(dicom.TagFocalSpots, 0.3)
	o.String(dicom.TagAnodeTargetMaterial, "TUNGSTEN")
	o.String(dicom.TagFilterType, "STRIP")
	o.String(dicom.TagFilterMaterial, "RHODIUM")
	o.Floats(dicom.TagBodyPartThickness, b.thickness)
	o.Floats(dicom.TagCompressionForce, 92+3*float64(i))
	o.String(dicom.TagGrid, "RECIPROCATING", "FOCUSED")
	o.Floats(dicom.TagEntranceDoseInmGy, 4.6)
	o.Floats(dicom.TagOrganDose, 0.0131)
	o.Floats(dicom.TagHalfValueLayer, 0.54)
	o.String(dicom.TagExposureControlMode, "AUTOMATIC")
	o.String(dicom.TagIrradiationEventUID, uid(x.p.seed, "event/%s/%d", x.study, i))
	o.text(dicom.TagImageComments, fmt.Sprintf("%s%s %s DOB %s", b.side, b.name, x.p.written(), x.p.Born.Format("2/1/2006")))
	return x.finish(o, ts, class, "MG", seriesUID, series, number, at)
}
