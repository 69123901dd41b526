package plant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// readKey takes from a data set what has to stay of it.
func (f *File) readKey(ds *dicom.Dataset) {
	var walk func(parent int)
	walk = func(parent int) {
		for i := range ds.Children(parent) {
			el := ds.At(i)
			if el.IsItem() {
				walk(i)
				continue
			}
			if el.Tag.Group()%2 == 1 || el.Tag.IsGroupLength() || slices.Contains(goes, el.Tag) || el.Tag.Group()&0xFF00 == 0x6000 {
				continue
			}
			if el.IsSequence() {
				walk(i)
				continue
			}
			path := ds.Path(i)
			switch vr := ds.VR(i); {
			case slices.Contains(datesKept, el.Tag):
				if v := ds.Text(i); len(v) >= 8 {
					f.Dates = append(f.Dates, Value{Path: path, Want: v})
				}
			case slices.Contains(graph, el.Tag):
				if v := join(ds.Strings(i)); v != "" && !strings.HasPrefix(v, "1.2.840.10008.") {
					f.UIDs = append(f.UIDs, Value{Path: path, Want: v})
				}
			case numeric(vr), slices.Contains(termsKept, el.Tag):
				if v, ok := shown(ds, i); ok && (el.Tag != dicom.TagPatientAge || v < "090") {
					f.Kept = append(f.Kept, Value{Path: path, Want: v})
				}
			}
		}
	}
	walk(dicom.Root)
}

func numeric(vr dicom.VR) bool {
	switch vr {
	case dicom.VRUS, dicom.VRSS, dicom.VRUL, dicom.VRSL, dicom.VRFL, dicom.VRFD, dicom.VRDS, dicom.VRIS:
		return true
	}
	return false
}

// shown is a value as the key writes it: numbers as numbers, so that another spelling of one is the same.
func shown(ds *dicom.Dataset, i int) (string, bool) {
	var out []string
	switch vr := ds.VR(i); {
	case vr == dicom.VRDS || vr == dicom.VRIS:
		for _, s := range ds.Strings(i) {
			v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil {
				return "", false
			}
			out = append(out, strconv.FormatFloat(v, 'g', 9, 64))
		}
	case numeric(vr):
		for _, v := range ds.Floats(i) {
			out = append(out, strconv.FormatFloat(v, 'g', 9, 64))
		}
	case vr.IsText():
		out = ds.Strings(i)
	default:
		return "", false
	}
	if len(out) == 0 || len(out) == 1 && out[0] == "" {
		return "", false
	}
	return join(out), true
}

// number writes a number of the key in the same way.
func number(s string) string {
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(v, 'g', 9, 64)
	}
	return s
}

// goes are elements of which nothing has to stay, with all within.
var goes = []dicom.Tag{
	dicom.TagIconImageSequence, dicom.TagOriginalAttributesSequence, dicom.TagDigitalSignaturesSequence, dicom.TagEncryptedAttributesSequence,
	dicom.TagRequestAttributesSequence, dicom.TagOtherPatientIDsSequence, dicom.TagContributingEquipmentSequence, dicom.TagDirectoryRecordSequence,
	dicom.TagReferencedPatientSequence, dicom.TagCodingSchemeIdentificationSequence, dicom.TagIssuerOfPatientIDQualifiersSequence,
}

// datesKept are dates whose intervals mean something to research.
var datesKept = []dicom.Tag{
	dicom.TagStudyDate, dicom.TagSeriesDate, dicom.TagAcquisitionDate, dicom.TagContentDate, dicom.TagAcquisitionDateTime, dicom.TagRadiopharmaceuticalStartDateTime,
	dicom.TagFrameAcquisitionDateTime, dicom.TagStructureSetDate, dicom.TagPresentationCreationDate, dicom.TagDate, dicom.TagDateTime, dicom.TagVerificationDateTime,
}

// graph are the UIDs that hold a collection together.
var graph = []dicom.Tag{
	dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID, dicom.TagFrameOfReferenceUID, dicom.TagReferencedSOPInstanceUID,
	dicom.TagReferencedFrameOfReferenceUID, dicom.TagSynchronizationFrameOfReferenceUID, dicom.TagConcatenationUID, dicom.TagDimensionOrganizationUID,
	dicom.TagIrradiationEventUID, dicom.TagTrackingUID, dicom.TagSpecimenUID, dicom.TagUID,
}

// termsKept are coded strings, times and UIDs that say nothing of whom.
var termsKept = []dicom.Tag{
	dicom.TagSOPClassUID, dicom.TagModality, dicom.TagPatientSex, dicom.TagPatientAge, dicom.TagBodyPartExamined, dicom.TagPhotometricInterpretation, dicom.TagUnits,
	dicom.TagDecayCorrection, dicom.TagCorrectedImage, dicom.TagPatientPosition, dicom.TagImageLaterality, dicom.TagViewPosition, dicom.TagRescaleType,
	dicom.TagStudyTime, dicom.TagSeriesTime, dicom.TagContentTime, dicom.TagAcquisitionTime, dicom.TagRadiopharmaceuticalStartTime, dicom.TagContourGeometricType,
	dicom.TagDoseUnits, dicom.TagDoseType, dicom.TagRadiationType, dicom.TagSegmentationType, dicom.TagGraphicType, dicom.TagRTROIInterpretedType,
	dicom.TagReferencedSOPClassUID, dicom.TagManufacturer, dicom.TagRadiopharmaceutical,
	dicom.TagMRAcquisitionType, dicom.TagScanningSequence,
}

// settle tidies a key when all sites have been planted.
func (f *File) settle() {
	for i := range f.Kept {
		if v := &f.Kept[i]; !v.Words && v.Path != csaPath && strings.HasPrefix(v.Path, "(") {
			parts := strings.Split(v.Want, `\`)
			for k := range parts {
				parts[k] = number(parts[k])
			}
			v.Want = join(parts)
		}
	}
	slices.SortStableFunc(f.Kept, func(a, b Value) int { return strings.Compare(a.Path, b.Path) })
}

func (f *File) String() string { return fmt.Sprintf("%s of subject %d", f.Kind, f.Subject) }
