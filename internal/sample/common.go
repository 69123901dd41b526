package sample

import (
	"fmt"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// An exam is what every instance of a study has in common.
type exam struct {
	p         *Person
	tp        int
	kind      string
	at        time.Time // begin of the study
	desc      string
	accession string
	studyID   string
	study     string // UID
	frame     string // frame of reference UID
	site      *site
	set       charset
}

// A site is where an image was made. Neither hospital exists.
type site struct {
	name, address, department, station string
	maker, model, serial, software     string
	operator, reader                   string
}

var (
	calderCT = &site{"Calder Vale Infirmary NHS Trust", "Infirmary Road, Hebden Magna, West Yorkshire ZZ99 1ZZ", "Radiology", "CVICT02",
		"SIEMENS", "Sample Definition 64", "66127", "VA48A", "Entwistle^Joan", "Kirkbride^Alison^^Dr"}
	calderMG = &site{"Calder Vale Infirmary NHS Trust", "Infirmary Road, Hebden Magna, West Yorkshire ZZ99 1ZZ", "Breast Screening", "CVIMG01",
		"SIEMENS", "Sample Inspiration", "2204", "VB60D", "Braithwaite^Shona", "Osei-Tutu^Abena^^Dr"}
	calderUS = &site{"Calder Vale Infirmary NHS Trust", "Infirmary Road, Hebden Magna, West Yorkshire ZZ99 1ZZ", "Breast Screening", "CVIUS03",
		"GE Healthcare", "Sample S8", "301877", "R2.0.5", "Braithwaite^Shona", "Osei-Tutu^Abena^^Dr"}
	wharfePT = &site{"Wharfe Valley Cancer Centre", "Chevin View, Nether Wharfe, West Yorkshire ZZ99 2ZZ", "Nuclear Medicine", "WVCCPET1",
		"Philips Medical Systems", "Sample TF 64", "7523", "3.7.5", "Aldcroft^Martin", "Varga^Ilona^^Dr"}
)

var timepoints = [3]string{"baseline", "3 months", "6 months"}

func newExam(p *Person, tp int, kind string, hour, minute int, at *site) *exam {
	x := &exam{p: p, tp: tp, kind: kind, site: at, set: p.set}
	// Three months are thirteen weeks: people come on the same day of the week.
	x.at = p.First.AddDate(0, 0, 91*tp).Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
	x.study = uid(p.seed, "study/%d/%d/%s", p.Number, tp, kind)
	x.frame = uid(p.seed, "frame/%d/%d/%s", p.Number, tp, kind)
	h := mix(p.seed ^ uint64(p.Number)<<32 ^ uint64(tp)<<16 ^ uint64(len(kind))<<8 ^ uint64(kind[0]))
	x.accession = fmt.Sprintf("%s%07d", at.station[:3], h%10_000_000)
	x.studyID = fmt.Sprintf("%d", 10_000+h>>32%80_000)
	return x
}

func da(t time.Time) string { return t.Format("20060102") }
func tm(t time.Time) string { return t.Format("150405.000000") }
func dt(t time.Time) string { return t.Format("20060102150405.000000") }

// An object is a data set, or an item of it, in the character set of its examination.
type object struct {
	*dicom.Builder
	set charset
}

// text adds an element that may hold more than ASCII.
func (o object) text(tag dicom.Tag, s string) {
	e, ok := dicom.LookupTag(tag)
	if !ok {
		o.Text(tag, dicom.VRLO, s) // the builder tells that the tag is unknown
		return
	}
	o.Raw(tag, e.VR, o.set.encode(s))
}

// private adds a private text element that may hold more than ASCII.
func (o object) private(tag dicom.Tag, vr dicom.VR, s string) { o.Raw(tag, vr, o.set.encode(s)) }

// items adds a sequence.
func (o object) items(tag dicom.Tag, fill ...func(object)) {
	fs := make([]func(*dicom.Builder), len(fill))
	for i, f := range fill {
		fs[i] = func(b *dicom.Builder) { f(object{b, o.set}) }
	}
	o.Sequence(tag, fs...)
}

// A code is a coded concept: value, scheme, meaning (PS3.3 8).
type code [3]string

func (c code) item(o object) {
	o.String(dicom.TagCodeValue, c[0])
	o.String(dicom.TagCodingSchemeDesignator, c[1])
	o.String(dicom.TagCodeMeaning, c[2])
}

func (o object) code(tag dicom.Tag, codes ...code) {
	fs := make([]func(object), len(codes))
	for i, c := range codes {
		fs[i] = c.item
	}
	o.items(tag, fs...)
}

// reference adds a sequence that refers to SOP instances of a class.
func (o object) reference(tag dicom.Tag, class string, more func(object), instances ...string) {
	fs := make([]func(object), len(instances))
	for i, in := range instances {
		fs[i] = func(o object) {
			o.String(dicom.TagReferencedSOPClassUID, class)
			o.String(dicom.TagReferencedSOPInstanceUID, in)
			if more != nil {
				more(o)
			}
		}
	}
	o.items(tag, fs...)
}

// begin starts a data set with the patient, the study and the equipment, and all that identifies them.
func (x *exam) begin(ts *dicom.TransferSyntax) object {
	o := object{dicom.NewBuilder(ts), x.set}
	p := x.p
	o.String(dicom.TagSpecificCharacterSet, x.set.terms...)

	// Patient (PS3.3 C.7.1.1)
	o.text(dicom.TagPatientName, p.Name)
	o.String(dicom.TagPatientID, p.MRN)
	o.String(dicom.TagIssuerOfPatientID, "CVI PAS")
	o.String(dicom.TagPatientBirthDate, da(p.Born))
	o.String(dicom.TagPatientSex, p.Sex)
	o.items(dicom.TagOtherPatientIDsSequence, func(o object) {
		o.String(dicom.TagPatientID, p.NHS)
		o.String(dicom.TagIssuerOfPatientID, "NHS")
		o.String(dicom.TagTypeOfPatientID, "TEXT")
	})
	o.text(dicom.TagPatientAddress, p.Address)
	o.String(dicom.TagPatientTelephoneNumbers, p.Phone, p.Mobile)
	o.text(dicom.TagPatientComments, fmt.Sprintf("Next of kin %s %s, %s. NHS %s %s %s.", p.Kin, p.Family, p.Mobile, p.NHS[:3], p.NHS[3:6], p.NHS[6:]))

	// Patient study (C.7.2.2)
	o.String(dicom.TagPatientAge, fmt.Sprintf("%03dY", p.Age(x.at)))
	o.Floats(dicom.TagPatientSize, p.HeightM)
	o.Floats(dicom.TagPatientWeight, p.WeightKg[x.tp])
	o.text(dicom.TagAdditionalPatientHistory, fmt.Sprintf("%s lives at %s. Referred by %s, seen %s.", p.written(), p.Address, physicianWritten(p.Physician), x.at.Format("2/1/2006")))

	// General study (C.7.2.1)
	o.String(dicom.TagStudyInstanceUID, x.study)
	o.String(dicom.TagStudyDate, da(x.at))
	o.String(dicom.TagStudyTime, tm(x.at))
	o.String(dicom.TagStudyID, x.studyID)
	o.String(dicom.TagAccessionNumber, x.accession)
	o.text(dicom.TagStudyDescription, x.desc)
	o.String(dicom.TagReferringPhysicianName, p.Physician)
	o.String(dicom.TagNameOfPhysiciansReadingStudy, x.site.reader)
	o.String(dicom.TagPerformingPhysicianName, x.site.reader)
	o.String(dicom.TagOperatorsName, x.site.operator)

	// Equipment (C.7.5.1)
	o.String(dicom.TagManufacturer, x.site.maker)
	o.String(dicom.TagManufacturerModelName, x.site.model)
	o.String(dicom.TagDeviceSerialNumber, x.site.serial)
	o.String(dicom.TagSoftwareVersions, x.site.software)
	o.String(dicom.TagStationName, x.site.station)
	o.String(dicom.TagInstitutionName, x.site.name)
	o.String(dicom.TagInstitutionAddress, x.site.address)
	o.String(dicom.TagInstitutionalDepartmentName, x.site.department)
	o.String(dicom.TagDateOfLastCalibration, da(x.at.AddDate(0, 0, -3)))
	o.String(dicom.TagTimeOfLastCalibration, "071500")

	// The request, with what a clerk typed (C.7.3.1, Table 10-9)
	o.items(dicom.TagRequestAttributesSequence, func(o object) {
		o.String(dicom.TagScheduledProcedureStepID, "SPS"+x.studyID)
		o.text(dicom.TagScheduledProcedureStepDescription, fmt.Sprintf("%s %s, %s", x.kind, timepoints[x.tp], p.written()))
		o.String(dicom.TagRequestedProcedureID, "RP"+x.studyID)
		o.text(dicom.TagRequestedProcedureDescription, x.desc)
		o.text(dicom.TagReasonForTheRequestedProcedure, fmt.Sprintf("Follow-up of %s, call %s on %s", p.Family, p.Kin, p.Mobile))
	})
	o.String(dicom.TagPerformedProcedureStepStartDate, da(x.at))
	o.String(dicom.TagPerformedProcedureStepStartTime, tm(x.at))
	o.String(dicom.TagPerformedProcedureStepID, "PPS"+x.studyID)
	return o
}

// physicianWritten is a person name as it stands in a letter.
func physicianWritten(pn string) string {
	var c [5]string
	n := 0
	for _, r := range pn {
		if r == '^' {
			n++
			continue
		}
		c[n] += string(r)
	}
	return c[3] + " " + c[1] + " " + c[0]
}

// series adds what the instances of a series share (C.7.3.1).
func (x *exam) series(o object, number int, modality, desc string, at time.Time) string {
	u := uid(x.p.seed, "series/%s/%d", x.study, number)
	o.String(dicom.TagSeriesInstanceUID, u)
	o.Ints(dicom.TagSeriesNumber, number)
	o.String(dicom.TagModality, modality)
	o.text(dicom.TagSeriesDescription, desc)
	o.String(dicom.TagSeriesDate, da(at))
	o.String(dicom.TagSeriesTime, tm(at))
	return u
}

func (x *exam) instanceUID(series, number int) string {
	return uid(x.p.seed, "instance/%s/%d/%d", x.study, series, number)
}

// finish names the instance and encodes it.
func (x *exam) finish(o object, ts *dicom.TransferSyntax, class, modality, seriesUID string, series, number int, at time.Time) (*Instance, error) {
	o.Ints(dicom.TagInstanceNumber, number)
	o.String(dicom.TagInstanceCreationDate, da(at))
	o.String(dicom.TagInstanceCreationTime, tm(at.Add(40*time.Second)))
	o.String(dicom.TagContentDate, da(at))
	o.String(dicom.TagContentTime, tm(at))
	in := Instance{SOPClassUID: class, SOPInstanceUID: x.instanceUID(series, number), StudyUID: x.study, SeriesUID: seriesUID, Modality: modality, Series: series, Number: number}
	in.Name = fmt.Sprintf("%s_%s_%s/%s_%s/%s%d/IM%05d.dcm", ascii(x.p.Family), ascii(x.p.Given), x.p.MRN, da(x.at), ascii(x.kind), modality, series, number)
	return encode(o.Builder, ts, in)
}

// ascii makes part of a file name.
func ascii(s string) string {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		switch {
		case r < 0x80 && (r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'):
			out = append(out, byte(r))
		case r < 0x80:
			out = append(out, '-')
		default:
			if base, ok := plain[r]; ok {
				out = append(out, base)
			}
		}
	}
	return string(out)
}

var plain = map[rune]byte{'ë': 'e', 'é': 'e', 'â': 'a', 'ü': 'u', 'ñ': 'n', 'ø': 'o', 'ä': 'a', 'ö': 'o'}

// slice adds the geometry of an axial image of a patient who lies supine, head first (C.7.6.2): in mm.
func (x *exam) slice(o object, px, half, z, thickness float64) {
	o.String(dicom.TagFrameOfReferenceUID, x.frame)
	o.String(dicom.TagPositionReferenceIndicator, "")
	o.Floats(dicom.TagImagePositionPatient, -half+px/2, -half+px/2, z)
	o.Floats(dicom.TagImageOrientationPatient, 1, 0, 0, 0, 1, 0)
	o.Floats(dicom.TagPixelSpacing, px, px)
	o.Floats(dicom.TagSliceThickness, thickness)
	o.Floats(dicom.TagSliceLocation, z)
}

// pixels adds a monochrome image of 16 bits allocated (C.7.6.3).
func pixels(o object, rows, cols, stored int, signed bool, values []uint16) {
	describe(o, rows, cols, stored, signed)
	raw := make([]byte, 2*len(values))
	for i, v := range values {
		raw[2*i], raw[2*i+1] = byte(v), byte(v>>8)
	}
	o.Raw(dicom.TagPixelData, dicom.VROW, raw)
}

func describe(o object, rows, cols, stored int, signed bool) {
	o.Ints(dicom.TagSamplesPerPixel, 1)
	o.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	o.Ints(dicom.TagRows, rows)
	o.Ints(dicom.TagColumns, cols)
	o.Ints(dicom.TagBitsAllocated, 16)
	o.Ints(dicom.TagBitsStored, stored)
	o.Ints(dicom.TagHighBit, stored-1)
	rep := 0
	if signed {
		rep = 1
	}
	o.Ints(dicom.TagPixelRepresentation, rep)
}
