package deid

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A word that no lexicon has, planted in every text of every real object, survives nowhere.
func TestUnknownWordEverywhere(t *testing.T) {
	const word = "ZQWXMARKER"
	p := profileNamed(t, "research")
	corpus(t, func(t *testing.T, _ string, file *dicom.File) {
		ds := file.Data
		if r, err := Clean(ds, p, testKeys, nil); err != nil || r.Outcome != Cleaned {
			return
		}
		e := ds.Edit()
		for i := range ds.Len() {
			el := ds.At(i)
			switch vr := ds.VR(i); {
			case el.IsItem() || el.IsSequence() || el.Tag.IsGroupLength() || ds.IsBulk(i):
			case el.Tag == dicom.TagSOPClassUID || el.Tag == dicom.TagModality || el.Tag == dicom.TagPatientID || el.Tag == dicom.TagSpecificCharacterSet ||
				el.Tag == dicom.TagBurnedInAnnotation || el.Tag == dicom.TagConversionType || el.Tag == dicom.TagPatientName:
			case p.ruleOf(ds, i, nil).term != 0: // the lexicon's
			case vr.IsText(), vr == dicom.VRUN, vr == dicom.VROB:
				e.SetValue(i, []byte(word))
			}
		}
		r, err := e.Render()
		if err != nil {
			t.Fatal(err)
		}
		planted, err := r.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		res, err := Clean(planted, p, testKeys, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Outcome != Cleaned {
			return
		}
		out, err := res.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		for i := range out.Len() {
			if el := out.At(i); !el.IsItem() && !el.IsSequence() && bytes.Contains(bytes.ToUpper(out.Value(i)), []byte(word)) {
				t.Errorf("%s %s is left", out.VR(i), out.Path(i))
			}
		}
	})
}
