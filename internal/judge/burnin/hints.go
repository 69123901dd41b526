package burnin

import (
	"image"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Hints are what a data set says about where text may be in its frames.
type Hints struct {
	Regions []image.Rectangle // of calibrated ultrasound, (0018,6011): what lies in them is image
	Masks   []image.Rectangle // where the scanner is known to write
	Often   bool              // of a kind of image that often has text: ultrasound, captures, what declares text
	Likely  bool              // it says that text is in its pixels, or that it was taken of a screen, a film or paper
}

// maxRegions bounds what is read of one data set.
const maxRegions = 64

// HintsOf reads the hints of a data set (PS3.3 C.8.5.5), and what is known of the scanner that it names.
func HintsOf(d *dicom.Dataset) Hints {
	var h Hints
	rows, _ := d.Int(dicom.TagRows)
	columns, _ := d.Int(dicom.TagColumns)
	frame := image.Rect(0, 0, int(columns), int(rows))
	if i := d.Find(dicom.TagSequenceOfUltrasoundRegions); i >= 0 {
		for item := range d.Children(i) {
			var v [4]int
			whole := true
			for k, t := range []dicom.Tag{dicom.TagRegionLocationMinX0, dicom.TagRegionLocationMinY0, dicom.TagRegionLocationMaxX1, dicom.TagRegionLocationMaxY1} {
				e := d.FindIn(item, t)
				if e < 0 {
					whole = false
					break
				}
				n := d.Ints(e)
				if len(n) == 0 || n[0] < 0 || n[0] > 1<<16 {
					whole = false
					break
				}
				v[k] = int(n[0])
			}
			if r := image.Rect(v[0], v[1], v[2]+1, v[3]+1).Intersect(frame); whole && !r.Empty() && len(h.Regions) < maxRegions {
				h.Regions = append(h.Regions, r)
			}
		}
	}
	h.Likely = likely(d)
	s := scannerOf(d)
	h.Often = h.Likely || s.modality == "US" || s.modality == "IVUS"
	for _, l := range layouts {
		if l.fits(s) {
			for _, m := range l.masks {
				r := image.Rect(m[0], m[1], m[0]+m[2], m[1]+m[3])
				if r = r.Intersect(frame); !r.Empty() {
					h.Masks = append(h.Masks, r)
				}
			}
		}
	}
	return h
}

// likely tells what a data set says of text in its pixels: Burned In Annotation (PS3.3 C.7.6.1.1), a class or a type of secondary capture (C.8.6), a screen among the values of Image Type.
func likely(d *dicom.Dataset) bool {
	text := func(t dicom.Tag) string {
		if i := d.Find(t); i >= 0 {
			return strings.ToUpper(strings.Join(d.Strings(i), `\`))
		}
		return ""
	}
	if v := text(dicom.TagBurnedInAnnotation); v != "" && v != "NO" || text(dicom.TagConversionType) != "" {
		return true
	}
	const capture = "1.2.840.10008.5.1.4.1.1.7"
	if c := d.UID(dicom.TagSOPClassUID); c == capture || strings.HasPrefix(c, capture+".") {
		return true
	}
	said := text(dicom.TagImageType) + `\` + text(dicom.TagSeriesDescription)
	for _, word := range []string{"SCREEN", "DOSE", "PROTOCOL", "CAPTURE"} {
		if strings.Contains(said, word) {
			return true
		}
	}
	return strings.Contains(said+`\`, `\PROT\`) || strings.Contains(said, ` PROT\`)
}

// scanner is what a layout is known by.
type scanner struct {
	modality, manufacturer, model, imageType, series string
	rows, columns                                    int64
	declared, dose                                   bool
}

func scannerOf(d *dicom.Dataset) scanner {
	text := func(t dicom.Tag) string {
		if i := d.Find(t); i >= 0 {
			return strings.ToUpper(strings.Join(d.Strings(i), `\`))
		}
		return ""
	}
	s := scanner{modality: text(dicom.TagModality), manufacturer: text(dicom.TagManufacturer), model: text(dicom.TagManufacturerModelName), imageType: text(dicom.TagImageType),
		series: text(dicom.TagSeriesDescription)}
	s.rows, _ = d.Int(dicom.TagRows)
	s.columns, _ = d.Int(dicom.TagColumns)
	s.declared = strings.HasPrefix(text(dicom.TagBurnedInAnnotation), "YES")
	s.dose = strings.Contains(text(dicom.TagCommentsOnRadiationDose), "DLP")
	return s
}

// A layout is where a scanner writes: every condition that is given holds. Words are contained, in capitals.
type layout struct {
	modality, manufacturer, model, imageType, series string
	rows, columns                                    int64
	declared, dose                                   bool
	masks                                            [][4]int // left, top, width, height
}

func (l *layout) fits(s scanner) bool {
	in := func(word, text string) bool { return word == "" || strings.Contains(text, word) }
	return (l.modality == "" || l.modality == s.modality) && in(l.manufacturer, s.manufacturer) && in(l.model, s.model) && in(l.imageType, s.imageType) && in(l.series, s.series) &&
		(l.rows == 0 || l.rows == s.rows) && (l.columns == 0 || l.columns == s.columns) && (!l.declared || s.declared) && (!l.dose || s.dose)
}
