package sample

import (
	"fmt"
	"math"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

const (
	petImageStorage = "1.2.840.10008.5.1.4.1.1.128"

	bedDuration = 150 * time.Second

	halfLife18F = 6586.2 // s, fluorine-18
)

// A field is the part of a body that a PET/CT takes, and how finely; two bed positions make it.
type field struct {
	slices    int
	thickness float64 // mm
	pet, ct   int     // rows and columns
	petPixel  float64 // mm
	ctPixel   float64 // mm
	region    string  // (0018,0015)
}

var trunkField = field{slices: 48, thickness: 4, pet: 128, ct: 256, petPixel: 4, ctPixel: 1.6, region: "ABDOMEN"}

func (f field) z(i int) float64 { return (float64(i) - float64(f.slices)/2) * f.thickness }

// A body is what a PET/CT is taken of.
type body interface {
	at(x, y, z, voxel float64) float64       // Hounsfield units
	activity(x, y, z, voxel float64) float64 // concentration, in units of the tracer's background
}

// A Tracer is what the PET of a timepoint was made with, and what its images must show.
type Tracer struct {
	DoseBq     float64
	Injected   time.Time
	Scan       time.Time // begin of the PET series, to which its values are decay corrected
	WeightKg   float64
	Background float64 // SUV (body weight) of the background
	Ratio      float64 // of the spheres' activity concentration to the background's
}

// PETTracer is what the third person was given at a timepoint. The ratio falls as treatment works.
func PETTracer(p *Person, tp int) Tracer {
	start := newExam(p, tp, "PET/CT", 13, 5, wharfePT).at
	return Tracer{
		DoseBq:     [3]float64{248.6e6, 236.1e6, 241.9e6}[tp],
		Injected:   start.Add(-62 * time.Minute),
		Scan:       start.Add(3 * time.Minute),
		WeightKg:   p.WeightKg[tp],
		Background: 1,
		Ratio:      [3]float64{8, 4, 2.5}[tp],
	}
}

// Concentration is the activity concentration in Bq/ml at the begin of the series of a place with the given SUV; 1 ml is taken as 1 g.
func (t Tracer) Concentration(suv float64) float64 {
	left := t.DoseBq * math.Exp2(-t.Scan.Sub(t.Injected).Seconds()/halfLife18F)
	return suv * left / (t.WeightKg * 1000)
}

// petct is the third person's PET/CT: a CT for attenuation correction and a PET of two bed positions in one frame of reference.
func petct(p *Person, tp int) *Study {
	x := newExam(p, tp, "PET/CT", 13, 5, wharfePT)
	x.desc = fmt.Sprintf("FDG PET/CT lymphoma %s %s", timepoints[tp], p.Family)
	tracer := PETTracer(p, tp)
	key := mix(p.seed ^ 0x9E7)
	return x.petct(trunkField, newTrunk(key, tracer.Ratio), key, tracer, japaneseJIS)
}

// petct is the study of a PET/CT whose CT console writes names in another character set than the PET's: one patient in two encodings.
func (x *exam) petct(f field, b body, key uint64, tracer Tracer, console charset) *Study {
	s := x.newStudy()
	for i := range f.slices {
		s.make = append(s.make, func() (*Instance, error) { return x.attenuation(f, b, key, console, i) })
	}
	for i := range f.slices {
		s.make = append(s.make, func() (*Instance, error) { return x.emission(f, b, key, tracer, i) })
	}
	return s
}

// attenuation is a slice of the CT.
func (x *exam) attenuation(f field, b body, key uint64, console charset, i int) (*Instance, error) {
	y := *x
	y.set = console
	ts := dicom.ExplicitVRLittleEndian
	o := y.begin(ts)
	start := x.at
	at := start.Add(time.Duration(i) * 200 * time.Millisecond)
	series := y.series(o, 2, "CT", "CT WB 4.0 AC", start)
	y.ctImage(o, i+1, at, f.z(i), f.thickness, f.ctPixel, f.ct)
	o.String(dicom.TagProtocolName, "PET-CT vertex to thigh")
	o.String(dicom.TagBodyPartExamined, f.region)
	pixels(o, f.ct, f.ct, 12, false, axial(mix(key^uint64(i)<<20^uint64(x.tp)<<40), f.ct, f.ctPixel, f.z(i), 18, b.at))
	return y.finish(o, ts, ctImageStorage, "CT", series, 2, i+1, at)
}

func (x *exam) emission(f field, b body, key uint64, tr Tracer, i int) (*Instance, error) {
	ts := dicom.ImplicitVRLittleEndian
	o := x.begin(ts)
	bed := i / ((f.slices + 1) / 2)
	at := tr.Scan.Add(time.Duration(bed) * bedDuration)
	series := x.series(o, 3, "PT", "PET WB AC", tr.Scan)
	half := float64(f.pet) * f.petPixel / 2
	x.slice(o, f.petPixel, half, f.z(i), f.thickness)
	o.Floats(dicom.TagSpacingBetweenSlices, f.thickness)
	o.String(dicom.TagProtocolName, "PET-CT vertex to thigh")
	o.String(dicom.TagBodyPartExamined, f.region)
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY")
	o.String(dicom.TagAcquisitionDate, da(at))
	o.String(dicom.TagAcquisitionTime, tm(at))

	// PET series (C.8.9.1)
	o.String(dicom.TagUnits, "BQML")
	o.String(dicom.TagCountsSource, "EMISSION")
	o.String(dicom.TagSeriesType, "WHOLE BODY", "IMAGE")
	o.Ints(dicom.TagNumberOfSlices, f.slices)
	o.String(dicom.TagCorrectedImage, "NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN")
	o.String(dicom.TagRandomsCorrectionMethod, "DLYD")
	o.String(dicom.TagAttenuationCorrectionMethod, "CT-derived mu-map")
	o.String(dicom.TagScatterCorrectionMethod, "Single scatter simulation")
	o.String(dicom.TagDecayCorrection, "START")
	o.String(dicom.TagReconstructionMethod, "3D OSEM 3i21s TOF")
	o.Floats(dicom.TagReconstructionDiameter, 2*half)
	o.String(dicom.TagConvolutionKernel, "Gaussian 4 mm")
	o.String(dicom.TagCollimatorType, "NONE")
	o.String(dicom.TagTypeOfDetectorMotion, "STEP AND SHOOT")

	// PET isotope (C.8.9.2)
	start := tr.Injected
	o.items(dicom.TagRadiopharmaceuticalInformationSequence, func(o object) {
		o.String(dicom.TagRadiopharmaceutical, "Fluorodeoxyglucose")
		o.String(dicom.TagRadiopharmaceuticalRoute, "Intravenous route")
		o.Floats(dicom.TagRadiopharmaceuticalVolume, 6.5)
		o.String(dicom.TagRadiopharmaceuticalStartTime, tm(start))
		o.String(dicom.TagRadiopharmaceuticalStartDateTime, dt(start))
		o.String(dicom.TagRadiopharmaceuticalStopTime, tm(start.Add(40*time.Second)))
		o.Floats(dicom.TagRadionuclideTotalDose, tr.DoseBq)
		o.Floats(dicom.TagRadionuclideHalfLife, halfLife18F)
		o.Floats(dicom.TagRadionuclidePositronFraction, 0.9673)
		o.code(dicom.TagRadionuclideCodeSequence, code{"77004003", "SCT", "^18^Fluorine"})
		o.code(dicom.TagRadiopharmaceuticalCodeSequence, code{"35321007", "SCT", "Fluorodeoxyglucose F^18^"})
		o.code(dicom.TagAdministrationRouteCodeSequence, code{"47625008", "SCT", "Intravenous route"})
	})
	// These stand for Patient Position, which may not be there beside them (C.7.6.30).
	o.items(dicom.TagPatientOrientationCodeSequence, func(o object) {
		code{"102538003", "SCT", "recumbent"}.item(o)
		o.code(dicom.TagPatientOrientationModifierCodeSequence, code{"40199007", "SCT", "supine"})
	})
	o.code(dicom.TagPatientGantryRelationshipCodeSequence, code{"102540008", "SCT", "headfirst"})

	// PET image (C.8.9.4). Every slice has its own slope.
	begin := at.Sub(tr.Scan).Seconds()
	lambda, dur := math.Ln2/halfLife18F, bedDuration.Seconds()
	// The average of a decaying activity over the frame stands at this time after the frame's begin (C.8.9.4.1.5).
	mean := math.Log(lambda*dur/(1-math.Exp(-lambda*dur))) / lambda
	o.Floats(dicom.TagFrameReferenceTime, 1000*(begin+mean))
	o.Ints(dicom.TagActualFrameDuration, int(bedDuration.Milliseconds()))
	o.Floats(dicom.TagDecayFactor, math.Round(1e6*math.Exp(lambda*(begin+mean)))/1e6)
	o.Floats(dicom.TagScatterFractionFactor, 0.38)
	o.Floats(dicom.TagDoseCalibrationFactor, 1)
	o.Ints(dicom.TagImageIndex, i+1)
	o.String(dicom.TagLossyImageCompression, "00")

	unit := tr.Concentration(tr.Background)
	conc := make([]float64, f.pet*f.pet)
	most := unit
	key = mix(key ^ uint64(i)<<24 ^ uint64(x.tp)<<44)
	for r := range f.pet {
		for c := range f.pet {
			px, py := -half+(float64(c)+0.5)*f.petPixel, -half+(float64(r)+0.5)*f.petPixel
			a := b.activity(px, py, f.z(i), f.petPixel)
			a *= 1 + 0.03*gauss(key+uint64(r*f.pet+c))
			conc[r*f.pet+c] = math.Max(0, a*unit)
			most = math.Max(most, a*unit)
		}
	}
	slope := math.Ceil(most/32767*1e6) / 1e6
	stored := make([]uint16, len(conc))
	for k, v := range conc {
		stored[k] = uint16(math.Round(v / slope))
	}
	o.Floats(dicom.TagRescaleIntercept, 0)
	o.Floats(dicom.TagRescaleSlope, slope)
	o.String(dicom.TagRescaleType, "BQML")
	o.Floats(dicom.TagWindowCenter, math.Round(most/2))
	o.Floats(dicom.TagWindowWidth, math.Round(most))
	pixels(o, f.pet, f.pet, 16, true, stored)

	// The vendor's own factors, which are safe to keep (PS3.15 E.3.10), between others that are not.
	o.Text(0x70530010, dicom.VRLO, "Philips PET Private Group")
	o.Numbers(0x70531000, dicom.VRDS, 1/tr.Concentration(1))
	o.private(0x70531003, dicom.VRST, fmt.Sprintf("D:\\export\\%s_%s\\%s.img", ascii(x.p.Family), ascii(x.p.Given), x.p.MRN))
	o.Numbers(0x70531009, dicom.VRDS, 1)
	return x.finish(o, ts, petImageStorage, "PT", series, 3, i+1, at)
}
