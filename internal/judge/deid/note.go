package deid

import (
	"strings"
	"unicode"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Mentions reports whether a text that a person has written, such as a note on a decision, has anything of the subject in it: a word of any identifier, or what
// the gate would not let pass.
func (l *Lexicon) Mentions(text string) bool {
	echo := l.echoWords()
	for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		if _, ok := echo[w]; ok {
			return true
		}
	}
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
	b.Raw(dicom.TagImageComments, dicom.VRLT, []byte(text+strings.Repeat(" ", len(text)%2)))
	ds, err := b.Dataset()
	return err != nil || len(Recheck(ds, l)) > 0
}
