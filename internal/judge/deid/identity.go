package deid

import (
	"encoding/binary"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Identity is who an object is of, as its header says it. It identifies a person: it does not print itself.
type Identity struct {
	id, issuer  string // normalised
	name, birth string // where there is no identifier
	study       string // where there is neither
}

// String says nothing.
func (Identity) String() string { return "identity" }

// GoString says nothing.
func (Identity) GoString() string { return "deid.Identity{}" }

// Kind says what the identity rests on: "id", "name" (with birth date) or "study".
func (id Identity) Kind() string {
	switch {
	case id.id != "":
		return "id"
	case id.name != "":
		return "name"
	}
	return "study"
}

// Identify reads who an object is of: the patient's identifier with its issuer, else name and birth date, else the study. An identifier is the
// same however it is spelt: case, separators, leading zeros and padding do not count.
func Identify(ds *dicom.Dataset) Identity {
	if id := foldIdentifier(ds.String(dicom.TagPatientID)); id != "" && !placeholders[id] {
		return Identity{id: id, issuer: foldIdentifier(ds.String(dicom.TagIssuerOfPatientID))}
	}
	name, birth := foldName(ds.String(dicom.TagPatientName)), digitsOf(ds.String(dicom.TagPatientBirthDate))
	if name != "" && len(birth) == 8 && !placeholders[strings.ReplaceAll(name, " ", "")] {
		return Identity{name: name, birth: birth}
	}
	return Identity{study: ds.UID(dicom.TagStudyInstanceUID)}
}

// Link is what the subject is filed by: a keyed digest of the identity.
func (id Identity) Link(k *Keys) [32]byte {
	var b []byte
	for _, s := range []string{id.Kind(), id.id, id.issuer, id.name, id.birth, id.study} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return k.link.sum(b)
}

// placeholders stand where an identifier should: they join people who have nothing in common.
var placeholders = map[string]bool{
	"ANONYMOUS": true, "ANONYMIZED": true, "ANONYMISED": true, "ANON": true, "UNKNOWN": true, "NONE": true, "NA": true, "NOID": true, "REMOVED": true,
	"UNDEFINED": true, "UNIDENTIFIED": true, "TEST": true, "PATIENT": true, "NOTAVAILABLE": true, "NULL": true, "DEIDENTIFIED": true,
}

// foldIdentifier is an identifier without case, separators and leading zeros; empty if nothing but zeros remains.
func foldIdentifier(s string) string {
	s = norm.NFKC.String(s)
	var b strings.Builder
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToUpper(r))
		}
	}
	return strings.TrimLeft(b.String(), "0")
}

// foldName is a name in capitals, its components parted by single spaces, its component groups by an equals sign.
func foldName(s string) string {
	group, _, _ := strings.Cut(norm.NFKC.String(s), "=")
	return strings.ToUpper(strings.Join(strings.FieldsFunc(group, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " "))
}

func digitsOf(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
	}
	return b.String()
}
