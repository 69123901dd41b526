package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Text is a text that a cleaned object shows, for a person to look at.
type Text struct {
	Entry int
	Value string // one of the element's values, without padding
	Plain bool   // every word is of the vocabulary, or one that makers and products are called
}

// Texts gives every text of a cleaned object that somebody can read in it: what was written here (pseudonyms, markers), UIDs, dates and numbers are left out, and so are
// private elements of bytes. They are what a person looks through who wants to be sure of what a collection shows.
func Texts(ds *dicom.Dataset, yield func(Text) bool) {
	var m Matcher
	w := words{equipped: true}
	for i := range ds.Len() {
		el := ds.At(i)
		if el.IsItem() || el.IsSequence() || ds.IsBulk(i) || el.ValueEnd == el.ValueStart {
			continue
		}
		switch ds.VR(i) {
		case dicom.VRLO, dicom.VRSH, dicom.VRST, dicom.VRLT, dicom.VRUT, dicom.VRUC, dicom.VRPN, dicom.VRAE, dicom.VRUR, dicom.VRCS, dicom.VRAS:
		default:
			continue
		}
		if el.Tag == dicom.TagSpecificCharacterSet || m.written(ds, i) {
			continue
		}
		for _, v := range ds.Strings(i) {
			if v = strings.Trim(v, " \x00"); v == "" {
				continue
			}
			plain := false
			if ds.VR(i) == dicom.VRCS || ds.VR(i) == dicom.VRAS {
				plain = isTerm(v)
			}
			if !plain {
				plain = coded(ds, i)
			}
			if !plain {
				_, lost := w.clean(v)
				plain = !lost
			}
			if !yield(Text{i, v, plain}) {
				return
			}
		}
	}
}

// isTerm reports a coded string of words that the standard or the vocabulary has.
func isTerm(v string) bool {
	for w := range strings.FieldsFuncSeq(strings.ToLower(v), func(r rune) bool { return r < 'a' || r > 'z' }) {
		_, ordinary := vocabulary()[w]
		if _, ok := defined()[w]; !ok && !ordinary {
			return false
		}
	}
	return true
}

// coded reports a code of a scheme that means the same everywhere, or the scheme's name.
func coded(ds *dicom.Dataset, i int) bool {
	switch ds.At(i).Tag {
	case dicom.TagCodeValue, dicom.TagCodingSchemeDesignator:
		k := ds.FindIn(int(ds.At(i).Parent), dicom.TagCodingSchemeDesignator)
		return k >= 0 && schemes[strings.TrimSpace(ds.Text(k))]
	}
	return false
}
