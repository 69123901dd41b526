package sample

import (
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A Set is many CT instances of one size for benchmarks: studies of 100 instances in two series, 124 top-level elements each, several studies for
// each patient. Instances are made from a few images that are worked out once, so making one costs little more than copying it.
type Set struct {
	seed   uint64
	matrix int
	images [][]uint16
}

// PerStudy is how many instances of a [Set] make a study.
const PerStudy = 100

// SmallSet has instances of about 8 kB: a matrix of 56x48 pixels.
func SmallSet(seed uint64) *Set { return newSet(seed, 56, 48) }

// FullSet has instances of about 527 kB: a matrix of 512x512 pixels.
func FullSet(seed uint64) *Set { return newSet(seed, 512, 512) }

func newSet(seed uint64, cols, rows int) *Set {
	s := &Set{seed: seed, matrix: cols}
	c := &chest{key: mix(seed ^ 0xBE)}
	for i := range 8 {
		img := axial(mix(c.key+uint64(i)), cols, thoraxField/float64(cols), float64(20*i-80), 14, c.at)
		s.images = append(s.images, img[:rows*cols])
	}
	return s
}

// Instance is the i-th instance: number i%100 of study i/100.
func (s *Set) Instance(i int) (*Instance, error) {
	study, n := i/PerStudy, i%PerStudy
	series, number := 1+n/(PerStudy/2), 1+n%(PerStudy/2)
	key := mix(s.seed ^ uint64(study/2)) // two studies for each patient
	at := day(2016+study%9, time.Month(1+study%12), 1+study*7%28).Add(time.Duration(7+study%11)*time.Hour + time.Duration(n)*time.Second)
	name := fmt.Sprintf("Bench%s^%s", familiesMen[key%6][:4], britishMen[(key>>8)%6])

	ts := dicom.ExplicitVRLittleEndian
	o := object{dicom.NewBuilder(ts), westEuropean}
	in := Instance{
		SOPClassUID: ctImageStorage, Modality: "CT", Series: series, Number: number,
		SOPInstanceUID: uid(s.seed, "bench/%d/%d", s.matrix, i),
		StudyUID:       uid(s.seed, "bench/%d/study/%d", s.matrix, study),
		SeriesUID:      uid(s.seed, "bench/%d/study/%d/%d", s.matrix, study, series),
	}
	in.Name = fmt.Sprintf("p%d/s%05d/%d_%04d.dcm", study%4, study, series, number)
	frame := uid(s.seed, "bench/%d/frame/%d", s.matrix, study)
	o.String(dicom.TagSpecificCharacterSet, "ISO_IR 100")
	o.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	for _, t := range []dicom.Tag{dicom.TagInstanceCreationDate, dicom.TagStudyDate, dicom.TagSeriesDate, dicom.TagAcquisitionDate, dicom.TagContentDate, dicom.TagPerformedProcedureStepStartDate} {
		o.String(t, da(at))
	}
	for _, t := range []dicom.Tag{dicom.TagInstanceCreationTime, dicom.TagStudyTime, dicom.TagSeriesTime, dicom.TagAcquisitionTime, dicom.TagContentTime, dicom.TagPerformedProcedureStepStartTime} {
		o.String(t, tm(at))
	}
	for _, e := range [...]struct {
		tag dicom.Tag
		val string
	}{
		{dicom.TagAccessionNumber, fmt.Sprintf("BEN%08d", study)},
		{dicom.TagModality, "CT"},
		{dicom.TagManufacturer, "SIEMENS"},
		{dicom.TagInstitutionName, fmt.Sprintf("Bench Infirmary %d", study%5)},
		{dicom.TagInstitutionAddress, "1 Bench Road, Calderthwaite ZZ99 4ZZ"},
		{dicom.TagReferringPhysicianName, "Referrer^Rosalind^^Dr"},
		{dicom.TagReferringPhysicianTelephoneNumbers, "0113 496 0011"},
		{dicom.TagStationName, fmt.Sprintf("BENCT%02d", study%8)},
		{dicom.TagStudyDescription, "CT thorax with contrast"},
		{dicom.TagSeriesDescription, fmt.Sprintf("Thorax 1.0 B%d0f", 3+series)},
		{dicom.TagInstitutionalDepartmentName, "Radiology"},
		{dicom.TagPhysiciansOfRecord, "Record^Rowan^^Dr"},
		{dicom.TagPerformingPhysicianName, "Perform^Priya^^Dr"},
		{dicom.TagNameOfPhysiciansReadingStudy, "Reader^Rhys^^Dr"},
		{dicom.TagOperatorsName, "Operator^Orla"},
		{dicom.TagAdmittingDiagnosesDescription, "Follow-up"},
		{dicom.TagManufacturerModelName, "Sample Definition 64"},
		{dicom.TagPatientName, name},
		{dicom.TagPatientID, fmt.Sprintf("BEN%07d", study/2)},
		{dicom.TagIssuerOfPatientID, "BENCH"},
		{dicom.TagPatientBirthDate, da(day(1940+int((key>>16)%50), time.Month(1+(key>>24)%12), 1+int((key>>32)%28)))},
		{dicom.TagPatientSex, [2]string{"F", "M"}[(key>>40)%2]},
		{dicom.TagOtherPatientNames, "Alias^" + name[:8]},
		{dicom.TagPatientAge, "062Y"},
		{dicom.TagPatientSize, "1.72"},
		{dicom.TagPatientWeight, "74.5"},
		{dicom.TagPatientAddress, "12 Weavers Row, Calderthwaite ZZ99 4ZZ"},
		{dicom.TagAllergies, "penicillin"},
		{dicom.TagPatientTelephoneNumbers, "07700 900123"},
		{dicom.TagOccupation, "teacher"},
		{dicom.TagAdditionalPatientHistory, "Cough for some weeks; call 07700 900123"},
		{dicom.TagPatientComments, "Comment that names " + name},
		{dicom.TagContrastBolusAgent, "Iohexol 300"},
		{dicom.TagBodyPartExamined, "CHEST"},
		{dicom.TagScanOptions, "HELICAL MODE"},
		{dicom.TagDeviceSerialNumber, fmt.Sprintf("%06d", 41000+study%8)},
		{dicom.TagSoftwareVersions, "VA48A"},
		{dicom.TagProtocolName, "Thorax routine"},
		{dicom.TagRotationDirection, "CW"},
		{dicom.TagFilterType, "WEDGE"},
		{dicom.TagConvolutionKernel, "B40f"},
		{dicom.TagPatientPosition, "HFS"},
		{dicom.TagStudyInstanceUID, in.StudyUID},
		{dicom.TagSeriesInstanceUID, in.SeriesUID},
		{dicom.TagStudyID, fmt.Sprint(study)},
		{dicom.TagFrameOfReferenceUID, frame},
		{dicom.TagPositionReferenceIndicator, ""},
		{dicom.TagImageComments, "Image comment " + name},
		{dicom.TagRescaleType, "HU"},
		{dicom.TagLossyImageCompression, "00"},
		{dicom.TagRequestingPhysician, "Request^Rhona^^Dr"},
		{dicom.TagRequestingService, "Oncology"},
		{dicom.TagRequestedProcedureDescription, "CT thorax"},
		{dicom.TagCurrentPatientLocation, "Ward 7"},
		{dicom.TagPerformedProcedureStepID, fmt.Sprintf("PPS%07d", study)},
		{dicom.TagPerformedProcedureStepDescription, "CT thorax"},
		{dicom.TagRequestedProcedureID, fmt.Sprintf("RP%07d", study)},
		{dicom.TagWindowCenterWidthExplanation, "MEDIASTINUM"},
		{dicom.TagIrradiationEventUID, uid(s.seed, "bench/%d/event/%d", s.matrix, study)},
	} {
		if e.val == "" {
			o.Empty(e.tag)
		} else {
			o.text(e.tag, e.val)
		}
	}
	px := thoraxField / float64(s.matrix)
	z := float64(number)
	for _, e := range [...]struct {
		tag dicom.Tag
		val []float64
	}{
		{dicom.TagSliceThickness, []float64{1}}, {dicom.TagKVP, []float64{120}}, {dicom.TagDataCollectionDiameter, []float64{500}},
		{dicom.TagReconstructionDiameter, []float64{thoraxField}}, {dicom.TagDistanceSourceToDetector, []float64{1085.6}},
		{dicom.TagDistanceSourceToPatient, []float64{595}}, {dicom.TagGantryDetectorTilt, []float64{0}}, {dicom.TagTableHeight, []float64{142}},
		{dicom.TagExposureTime, []float64{500}}, {dicom.TagXRayTubeCurrent, []float64{180}}, {dicom.TagExposure, []float64{90}},
		{dicom.TagGeneratorPower, []float64{22}}, {dicom.TagFocalSpots, []float64{1.2}}, {dicom.TagSingleCollimationWidth, []float64{0.6}},
		{dicom.TagTotalCollimationWidth, []float64{38.4}}, {dicom.TagTableSpeed, []float64{46}}, {dicom.TagTableFeedPerRotation, []float64{23}},
		{dicom.TagSpiralPitchFactor, []float64{0.6}}, {dicom.TagCTDIvol, []float64{6.08}}, {dicom.TagImagePositionPatient, []float64{-200, -200, z}},
		{dicom.TagImageOrientationPatient, []float64{1, 0, 0, 0, 1, 0}}, {dicom.TagSliceLocation, []float64{z}}, {dicom.TagPixelSpacing, []float64{px, px}},
		{dicom.TagWindowCenter, []float64{40}}, {dicom.TagWindowWidth, []float64{400}}, {dicom.TagRescaleIntercept, []float64{-1024}},
		{dicom.TagRescaleSlope, []float64{1}}, {dicom.TagContrastBolusVolume, []float64{75}}, {dicom.TagRevolutionTime, []float64{0.5}},
	} {
		if entry, ok := dicom.LookupTag(e.tag); ok && entry.VR == dicom.VRIS {
			o.Ints(e.tag, int(math.Round(e.val[0])))
		} else {
			o.Floats(e.tag, e.val...)
		}
	}
	o.Ints(dicom.TagSeriesNumber, series)
	o.Ints(dicom.TagAcquisitionNumber, 1)
	o.Ints(dicom.TagInstanceNumber, number)
	o.reference(dicom.TagReferencedStudySequence, "1.2.840.10008.3.1.2.3.1", nil, uid(s.seed, "bench/ref/%d", study))
	o.reference(dicom.TagReferencedImageSequence, ctImageStorage, nil, uid(s.seed, "bench/%d/%d", s.matrix, study*PerStudy))
	o.code(dicom.TagProcedureCodeSequence, code{"169069000", "SCT", "CT of chest"})
	o.items(dicom.TagRequestAttributesSequence, func(o object) {
		o.String(dicom.TagRequestedProcedureID, fmt.Sprintf("RP%07d", study))
		o.String(dicom.TagScheduledProcedureStepDescription, "CT thorax for "+name)
	})
	o.Text(0x00090010, dicom.VRLO, "CVI PACS GATEWAY 1.0")
	o.Text(0x00091001, dicom.VRLO, "private text "+name)
	o.Text(0x00190010, dicom.VRLO, "SIEMENS CT VA0  COAD")
	o.Integers(0x00191010, dicom.VRIS, 595)
	img := s.images[n%len(s.images)]
	pixels(o, len(img)/s.matrix, s.matrix, 12, false, img)
	return encode(o.Builder, ts, in)
}

// Instances makes the instances of the first studies.
func (s *Set) Instances(studies int) iter.Seq2[*Instance, error] {
	return func(yield func(*Instance, error) bool) {
		for i := range studies * PerStudy {
			if !yield(s.Instance(i)) {
				return
			}
		}
	}
}

// Write writes the first studies below dir, in four folders of equal shares (p0 to p3) for four senders.
func (s *Set) Write(dir string, studies int) error {
	for in, err := range s.Instances(studies) {
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(in.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, in.file, 0o644); err != nil {
			return err
		}
	}
	return nil
}
