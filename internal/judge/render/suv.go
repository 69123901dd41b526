package render

import (
	"math"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// SUVScale is what the rescaled values of a PET image are multiplied by to be standardized uptake values by body weight, in g/mL (QIBA, FDG-PET/CT profile, appendix
// on SUV from DICOM). It is told only where the image says all that it depends on: it is for choosing a window, not for measuring.
func SUVScale(d *dicom.Dataset) (scale float64, ok bool) {
	if strings.TrimSpace(d.String(dicom.TagModality)) != "PT" {
		return 0, false
	}
	switch strings.TrimSpace(d.String(dicom.TagUnits)) {
	case "GML":
		kind := strings.TrimSpace(d.String(dicom.TagSUVType))
		return 1, kind == "" || kind == "BW"
	case "BQML":
	default:
		return 0, false
	}
	done := d.String(dicom.TagCorrectedImage)
	if i := d.Find(dicom.TagCorrectedImage); i >= 0 {
		done = strings.Join(d.Strings(i), " ")
	}
	weight, okWeight := float(d, dicom.Root, dicom.TagPatientWeight)
	s := d.Find(dicom.TagRadiopharmaceuticalInformationSequence)
	if s < 0 || !okWeight || !(weight > 0) || !strings.Contains(done, "ATTN") || !strings.Contains(done, "DECY") {
		return 0, false
	}
	item := nth(d, s, 0)
	if item < 0 {
		return 0, false
	}
	dose, okDose := float(d, item, dicom.TagRadionuclideTotalDose)
	half, okHalf := float(d, item, dicom.TagRadionuclideHalfLife)
	if !okDose || !okHalf || !(dose > 0) || !(half > 0) {
		return 0, false
	}
	switch strings.TrimSpace(d.String(dicom.TagDecayCorrection)) {
	case "ADMIN": // the values are those of the time of injection
	case "START":
		given, okGiven := moment(d.StringIn(item, dicom.TagRadiopharmaceuticalStartDateTime))
		from, okFrom := moment(d.String(dicom.TagSeriesDate) + d.String(dicom.TagSeriesTime))
		if acquired, ok := moment(d.String(dicom.TagAcquisitionDate) + d.String(dicom.TagAcquisitionTime)); ok && okFrom && from.After(acquired) {
			return 0, false // the series was made later, of other images: its time is not what they are corrected to
		}
		if !okGiven && okFrom {
			day := d.String(dicom.TagSeriesDate)
			if given, okGiven = moment(day + d.StringIn(item, dicom.TagRadiopharmaceuticalStartTime)); okGiven && given.After(from) {
				given = given.AddDate(0, 0, -1) // injected before midnight
			}
		}
		past := from.Sub(given).Seconds()
		if !okGiven || !okFrom || past < 0 || past > 10*half {
			return 0, false
		}
		dose *= math.Exp2(-past / half)
	default:
		return 0, false
	}
	return weight * 1000 / dose, true
}

// moment reads a date with its time (PS3.5 6.2, DT); the part of a second is left out, and so is the offset, which both that are compared have alike.
func moment(s string) (time.Time, bool) {
	s, _, _ = strings.Cut(strings.ReplaceAll(s, " ", ""), ".")
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		s = s[:i]
	}
	if len(s) < 12 {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102150405", (s + "00")[:14])
	return t, err == nil
}
