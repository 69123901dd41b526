package deid

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// What Vitrine calls itself in the objects that it writes: nothing of the site that runs it.
const (
	equipment      = "Vitrine"
	purposeCode    = "109104"
	purposeMeaning = "De-identifying Equipment" // PS3.16 CID 7005
)

// slots is the number of ways in which a data set is encoded.
const slots = 3

// markers are the encoded sequences that say what was done, for one encoding.
type markers struct {
	codes     []byte // value of (0012,0064)
	equipment []byte // an item of (0018,A001)
}

// editionText is what (0012,0063) says of the table.
const editionText = "PS3.15 " + baseEdition + " with " + laterEdition

// method is what (0012,0063) says: the profile, its version, what was changed of it, and the table's edition (PS3.15 E.1.1).
func (p *Profile) method() string {
	name := p.Name
	if p.base != nil {
		name = p.base.Name
	}
	values := []string{"Vitrine " + name + " " + Version}
	if p.own != nil {
		values = []string{"Vitrine " + p.Name + " " + p.Version, p.own.digestText(), "on " + name + " " + Version}
	}
	values = append(values, p.changed...)
	return strings.Join(append(values, editionText), `\`)
}

// methodValue reports a value of (0012,0063) that is written here.
func methodValue(v string) bool {
	if v == editionText {
		return true
	}
	// A profile's name and version are the same for a whole collection: they say nothing of a subject.
	for _, begin := range []string{"Vitrine ", "on "} {
		if rest, ok := strings.CutPrefix(v, begin); ok {
			name, version, ok := strings.Cut(rest, " ")
			return ok && plainID(name) && profileVersion(version)
		}
	}
	if digest, ok := strings.CutPrefix(v, "rules sha256:"); ok {
		return len(digest) == 32 && strings.Trim(digest, "0123456789abcdef") == ""
	}
	if rest, ok := strings.CutPrefix(v, "with"); ok {
		_, ok = ParseOption(strings.TrimPrefix(strings.TrimPrefix(rest, "out"), " "))
		return ok
	}
	return false
}

// claims reports that the code of an option says what was done. No face is taken out, and pixels are not cleaned by rules for elements: the codes of these
// options are not the profile's to give.
func (p *Profile) claims(o Option) bool {
	return o == 0 || p.has(o) && o&(CleanPixelData|CleanVisualFeatures) == 0
}

// markerValue reports a text that markers hold.
func markerValue(s string) bool {
	switch s {
	case "", equipment, purposeCode, purposeMeaning, "DCM", Version:
		return true
	}
	for _, c := range methodCodes {
		if s == c.code || s == c.meaning {
			return true
		}
	}
	return false
}

// temporal is what (0028,0303) says.
func (p *Profile) temporal() string {
	switch {
	case p.shifts(), p.own != nil && p.own.coarse:
		return "MODIFIED"
	case p.has(RetainFullDates):
		return "UNMODIFIED"
	}
	return "REMOVED"
}

// markersFor are the markers in the encoding of a transfer syntax; painted, of an object whose pixels have been cleaned.
func (p *Profile) markersFor(ts *dicom.TransferSyntax, painted bool) (*markers, error) {
	slot, plain := 0, dicom.ExplicitVRLittleEndian
	switch {
	case !ts.Explicit:
		slot, plain = 1, dicom.ImplicitVRLittleEndian
	case ts.BigEndian:
		slot, plain = 2, dicom.ExplicitVRBigEndian
	}
	if painted {
		slot += slots
	}
	if m := p.markers[slot].Load(); m != nil {
		return m, nil
	}
	code := func(value, meaning string) func(*dicom.Builder) {
		return func(b *dicom.Builder) {
			b.String(dicom.TagCodeValue, value)
			b.String(dicom.TagCodingSchemeDesignator, "DCM")
			b.String(dicom.TagCodeMeaning, meaning)
		}
	}
	var items []func(*dicom.Builder)
	for _, c := range methodCodes {
		if p.claims(c.option) || painted && c.option == CleanPixelData {
			items = append(items, code(c.code, c.meaning))
		}
	}
	var m markers
	var err error
	if m.codes, err = dicom.NewBuilder(plain).Items(items...); err != nil {
		return nil, err
	}
	m.equipment, err = dicom.NewBuilder(plain).Items(func(b *dicom.Builder) {
		b.String(dicom.TagManufacturer, equipment)
		b.String(dicom.TagManufacturerModelName, equipment)
		b.String(dicom.TagSoftwareVersions, Version)
		b.Sequence(dicom.TagPurposeOfReferenceCodeSequence, code(purposeCode, purposeMeaning))
	})
	if err != nil {
		return nil, err
	}
	p.markers[slot].Store(&m)
	return &m, nil
}

// Meta is fresh file meta information (PS3.10 7.1) for a cleaned object: no title of an application entity, no implementation but Vitrine's. With
// [dicom.WriteFile], which zeroes the preamble, nothing of the original file's head remains (PS3.15 E.1.1).
func Meta(sopClass, sopInstance string, ts *dicom.TransferSyntax) (*dicom.Dataset, error) {
	return dicom.NewMeta(dicom.MetaInfo{
		SOPClassUID:               strings.TrimRight(sopClass, " \x00"),
		SOPInstanceUID:            sopInstance,
		TransferSyntaxUID:         ts.UID,
		ImplementationClassUID:    dicom.ImplementationClassUID,
		ImplementationVersionName: dicom.ImplementationVersion,
	})
}
