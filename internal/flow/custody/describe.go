package custody

import (
	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// The other attributes of a patient, study or series that the catalogue keeps for includefield (PS3.18 10.6.1.2), beside those that have a column.
var (
	studyTags = tags(dicom.TagPatientAge, dicom.TagPatientSize, dicom.TagPatientWeight, dicom.TagEthnicGroup, dicom.TagPatientComments, dicom.TagPatientSpeciesDescription,
		dicom.TagPregnancyStatus, dicom.TagSmokingStatus, dicom.TagPatientIdentityRemoved, dicom.TagDeidentificationMethod, dicom.TagDeidentificationMethodCodeSequence,
		dicom.TagLongitudinalTemporalInformationModified, dicom.TagClinicalTrialSponsorName, dicom.TagClinicalTrialProtocolID, dicom.TagClinicalTrialProtocolName,
		dicom.TagClinicalTrialSiteID, dicom.TagClinicalTrialSubjectID, dicom.TagClinicalTrialTimePointID, dicom.TagClinicalTrialTimePointDescription,
		dicom.TagProcedureCodeSequence, dicom.TagReasonForStudy, dicom.TagIssuerOfPatientID)
	seriesTags = tags(dicom.TagManufacturer, dicom.TagManufacturerModelName, dicom.TagStationName, dicom.TagInstitutionName, dicom.TagSoftwareVersions, dicom.TagProtocolName,
		dicom.TagSeriesDate, dicom.TagSeriesTime, dicom.TagFrameOfReferenceUID, dicom.TagLaterality, dicom.TagPatientPosition, dicom.TagAnatomicRegionSequence,
		dicom.TagSliceThickness, dicom.TagKVP, dicom.TagMagneticFieldStrength, dicom.TagConvolutionKernel, dicom.TagScanningSequence, dicom.TagSequenceVariant,
		dicom.TagPerformedProcedureStepID, dicom.TagPerformedProcedureStepDescription, dicom.TagContrastBolusAgent, dicom.TagPresentationIntentType, dicom.TagUnits,
		dicom.TagRadiopharmaceuticalInformationSequence, dicom.TagDeviceSerialNumber)
)

// Describes reports whether an attribute is among those that the catalogue keeps of a patient or study, or of a series, beside those that have a column.
func Describes(t dicom.Tag) (study, series bool) { return studyTags[t], seriesTags[t] }

func tags(list ...dicom.Tag) map[dicom.Tag]bool {
	m := make(map[dicom.Tag]bool, len(list))
	for _, t := range list {
		m[t] = true
	}
	return m
}

// describeInstance reads the columns of an instance.
func describeInstance(d *dicom.Dataset) catalogue.InstanceAttributes {
	return catalogue.InstanceAttributes{
		SOPClass:       d.UID(dicom.TagSOPClassUID),
		TransferSyntax: d.Syntax().UID,
		Number:         number(d, dicom.TagInstanceNumber, catalogue.Absent),
		Rows:           number(d, dicom.TagRows, 0),
		Columns:        number(d, dicom.TagColumns, 0),
		BitsAllocated:  number(d, dicom.TagBitsAllocated, 0),
		Frames:         number(d, dicom.TagNumberOfFrames, 0),
	}
}

func number(d *dicom.Dataset, t dicom.Tag, otherwise int64) int64 {
	n, ok := d.Int(t)
	if !ok || n < -catalogue.Absent || n > catalogue.Absent {
		return otherwise
	}
	return n
}

// describeStudy reads the columns of patient and study from a cleaned data set.
func describeStudy(d *dicom.Dataset) catalogue.StudyAttributes {
	return catalogue.StudyAttributes{
		PatientName: d.String(dicom.TagPatientName), PatientID: d.String(dicom.TagPatientID), BirthDate: d.String(dicom.TagPatientBirthDate), Sex: d.String(dicom.TagPatientSex),
		StudyDate: d.String(dicom.TagStudyDate), StudyTime: d.String(dicom.TagStudyTime), AccessionNumber: d.String(dicom.TagAccessionNumber), StudyID: d.String(dicom.TagStudyID),
		Description: d.String(dicom.TagStudyDescription), ReferringPhysicianName: d.String(dicom.TagReferringPhysicianName), Timezone: d.String(dicom.TagTimezoneOffsetFromUTC),
	}
}

// describeSeries reads the columns of a series from a cleaned data set.
func describeSeries(d *dicom.Dataset) catalogue.SeriesAttributes {
	a := catalogue.SeriesAttributes{
		Modality: d.String(dicom.TagModality), Description: d.String(dicom.TagSeriesDescription), BodyPart: d.String(dicom.TagBodyPartExamined),
		StepDate: d.String(dicom.TagPerformedProcedureStepStartDate), StepTime: d.String(dicom.TagPerformedProcedureStepStartTime),
		Number: number(d, dicom.TagSeriesNumber, catalogue.Absent),
	}
	if i := d.Find(dicom.TagRequestAttributesSequence); i >= 0 {
		for item := range d.Children(i) {
			r := catalogue.Request{ScheduledStepID: d.StringIn(item, dicom.TagScheduledProcedureStepID), RequestedProcedureID: d.StringIn(item, dicom.TagRequestedProcedureID)}
			if r != (catalogue.Request{}) && len(a.Requests) < 16 {
				a.Requests = append(a.Requests, r)
			}
		}
	}
	return a
}

// others writes the attributes in tags as a DICOM JSON object; empty if it would be large, since it is for tables of results.
func others(d *dicom.Dataset, tags map[dicom.Tag]bool) string {
	b, err := dicom.AppendJSON(nil, d, dicom.JSONOptions{Only: func(t dicom.Tag) bool { return tags[t] }})
	if err != nil || len(b) > 16<<10 {
		return ""
	}
	return string(b)
}
