package deid

import (
	"strings"
	"unicode/utf8"
)

// What is said of a patient beside the images (rows of clinical data) joins them by the same identity, shifts by the same weeks, and is searched for the
// same identifiers.

// IdentityOf is the identity of an image whose Patient ID and Issuer of Patient ID these are; false where the identifier is empty or stands for none.
func IdentityOf(id, issuer string) (Identity, bool) {
	folded := foldIdentifier(id)
	if folded == "" || placeholders[folded] {
		return Identity{}, false
	}
	return Identity{id: folded, issuer: foldIdentifier(issuer)}, true
}

// ShiftDate is a day, YYYYMMDD, as the subject's images have it; false if it is no day.
func (k *Keys) ShiftDate(link [32]byte, date string) (string, bool) {
	if len(date) != 8 {
		return "", false
	}
	b, ok := shiftDA(nil, []byte(date), k.Weeks(link))
	return string(b), ok
}

// InText reports that a text holds an identifier of the lexicon, as the gate finds it in an element of text.
func (m *Matcher) InText(s string) bool {
	b := []byte(s)
	for i, state := 0, uint32(0); ; {
		var p int32
		if i, p, state = m.find(b, i, state); p < 0 {
			break
		}
		hit := m.pattern[p]
		if hit.digits && len(digitsOf(hit.text)) < 7 && (i < len(b) && digit(b[i]) || !zerosBefore(b[:hit.begin(b, i)])) {
			continue // digits within a longer number
		}
		return true
	}
	_, hit := m.wholeValue([]byte(strings.TrimSpace(s)))
	return hit
}

// PlainText reports that every word of a text is of the vocabulary that descriptors may keep: no name, no identifier, no date.
func PlainText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	_, lost := (&words{}).clean(s)
	return !lost
}

// HasNHSNumber reports ten digits whose last checks the others as an NHS number's does (modulus 11), written together or in groups, with neither letter
// nor digit beside them.
func HasNHSNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if !digit(s[i]) || i > 0 && alnum(s[i-1]) {
			continue
		}
		var d [10]int
		n, j := 0, i
		for ; j < len(s); j++ {
			if digit(s[j]) {
				if n == len(d) {
					n++
					break
				}
				d[n] = int(s[j] - '0')
				n++
			} else if n >= len(d) || s[j] != ' ' && s[j] != '-' && s[j] != '.' {
				break
			}
		}
		if n != len(d) || j < len(s) && alnum(s[j]) {
			continue
		}
		sum := 0
		for k := range 9 {
			sum += (10 - k) * d[k]
		}
		if check := (11 - sum%11) % 11; check != 10 && check == d[9] {
			return true
		}
	}
	return false
}
