// Package vocabulary holds the words that the directory of collections is written and searched in: diseases with their hierarchy, body sites,
// modalities, sexes, age bands, samples, stains, stages, and the short lists of the UK's register of samples (TDCC).
//
// It promises: a code is well formed or refused (ParseCode); a lay or general word finds the concepts it means (Expand); each known concept has its
// broader and narrower ones (Parents, Descendants), a clinical label and, where people say it otherwise, a lay label.
//
// Concepts are facts: an identifier, what it is an identifier of, what it is a kind of. The words are our own. ICD-10 and ICD-O-3 are classifications of
// the World Health Organization; SNOMED CT is a terminology of SNOMED International; DICOM codes are of PS3.16; none of their releases is redistributed
// here. A code that is not known here is still accepted where its syntax is right: it is shown as it is, and finds only itself.
package vocabulary

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// System is a scheme of codes.
type System string

// The systems that a disease may be coded in. The texts are stored. A term of a short list is a concept of the system that has the list's name.
const (
	ICD10      System = "ICD-10"    // WHO ICD-10: C50, C50.4
	Topography System = "ICD-O-3-T" // ICD-O-3 topography: C50.4
	Morphology System = "ICD-O-3-M" // ICD-O-3 morphology with behaviour: 8500/3
	SNOMED     System = "SNOMED-CT" // a concept identifier: 254837009
	DICOM      System = "DCM"       // a defined term of DICOM, as the modalities of PS3.16 CID 29: CT
	Group      System = "group"     // our own groupings where no scheme has one: "blood-cancer"
)

// Systems are those that a disease can be coded in.
var Systems = []System{ICD10, Topography, Morphology, SNOMED}

// Code is a concept of a system.
type Code struct {
	System System `json:"system"`
	Value  string `json:"code"`
}

// String is the system and the code, as "ICD-10 C50.4".
func (c Code) String() string { return string(c.System) + " " + c.Value }

// ParseCode checks the syntax of a code and brings it into its usual form: "c504" is ICD-10 C50.4, "M8500/3" is morphology 8500/3. It does not ask
// whether the concept exists.
func ParseCode(system System, value string) (Code, error) {
	v := strings.ToUpper(strings.TrimSpace(value))
	ok := false
	switch system {
	case ICD10, Topography:
		if low, high, block := strings.Cut(v, "-"); block && system == ICD10 {
			ok = len(low) == 3 && len(high) == 3 && low <= high && category(low) && category(high)
			break
		}
		v, ok = parseICD(strings.TrimRight(v, "*†"))
		ok = ok && (system == ICD10 || v[0] == 'C' && v[1] <= '8')
	case Morphology:
		v = strings.TrimPrefix(strings.TrimPrefix(v, "M-"), "M")
		if low, high, block := strings.Cut(v, "-"); block || len(v) == 3 {
			ok = histology(low) && (!block || histology(high) && low < high)
			break
		}
		ok = len(v) == 6 && digits(v[:4]) && v[0] >= '8' && v[4] == '/' && strings.IndexByte("012369", v[5]) >= 0
	case SNOMED:
		ok = len(v) >= 6 && len(v) <= 18 && digits(v) && v[0] != '0' && verhoeff(v)
	case Group:
		v = strings.ToLower(v)
		_, ok = diseases[Code{Group, v}]
	}
	if !ok {
		return Code{}, fault.New(fault.Invalid, "read code", string(system), syntax[system])
	}
	return Code{system, v}, nil
}

var syntax = map[System]string{
	ICD10:      "an ICD-10 code is a letter and two digits, with up to two more after a point, or a block: C50, C50.4, C15-C26",
	Topography: "an ICD-O-3 topography is C, two digits and one after a point: C50.4; C50 for the whole organ",
	Morphology: "an ICD-O-3 morphology is four digits, a slash and the behaviour, or a range of the first three digits: 8500/3, 850-854",
	SNOMED:     "a SNOMED CT identifier is 6 to 18 digits, of which the last checks the others: 254837009",
	Group:      "there is no such group of diseases",
	"":         "the system of the code is needed: ICD-10, ICD-O-3-T, ICD-O-3-M or SNOMED-CT",
}

// parseICD takes C50, C504, C50.4 and C50.41, and the X that fills a code without subdivisions (C61.X).
func parseICD(v string) (string, bool) {
	head, tail, _ := strings.Cut(v, ".")
	if len(head) > 3 && tail == "" {
		head, tail = head[:3], head[3:]
	}
	if tail == "X" {
		tail = ""
	}
	if !category(head) || len(tail) > 2 || tail != "" && !digits(tail) {
		return "", false
	}
	if tail == "" {
		return head, true
	}
	return head + "." + tail, true
}

// category is a letter and two digits.
func category(s string) bool { return len(s) == 3 && s[0] >= 'A' && s[0] <= 'Z' && digits(s[1:]) }

// histology is the first three digits of a morphology, which ranges are given in.
func histology(s string) bool { return len(s) == 3 && s[0] >= '8' && digits(s) }

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// verhoeff checks the last digit, as SNOMED CT identifiers carry it (Verhoeff 1969; SNOMED CT Release File Specification 5.5).
func verhoeff(s string) bool {
	c := byte(0)
	for i := range len(s) {
		c = dihedral[c][permuted[i%8][s[len(s)-1-i]-'0']]
	}
	return c == 0
}

var dihedral = [10][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4, 0, 6, 7, 8, 9, 5}, {2, 3, 4, 0, 1, 7, 8, 9, 5, 6}, {3, 4, 0, 1, 2, 8, 9, 5, 6, 7}, {4, 0, 1, 2, 3, 9,
		5, 6, 7, 8},
	{5, 9, 8, 7, 6, 0, 4, 3, 2, 1}, {6, 5, 9, 8, 7, 1, 0, 4, 3, 2}, {7, 6, 5, 9, 8, 2, 1, 0, 4, 3}, {8, 7, 6, 5, 9, 3, 2, 1, 0, 4}, {9, 8, 7, 6, 5, 4,
		3, 2, 1, 0},
}

var permuted = [8][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 5, 7, 6, 2, 8, 3, 0, 9, 4}, {5, 8, 0, 3, 7, 9, 6, 1, 4, 2}, {8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
	{9, 4, 5, 3, 1, 2, 6, 8, 7, 0}, {4, 2, 8, 6, 5, 7, 3, 9, 0, 1}, {2, 7, 9, 3, 8, 0, 6, 4, 1, 5}, {7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
}

// Syntax says in words how a code of the system is written; of no system: which systems there are.
func Syntax(system System) string { return syntax[system] }
