package catalogue

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxText bounds a text attribute; the longest that searches know is a name of three groups of 64 characters.
const maxText = 1024

// clean makes text fit for both databases: valid UTF-8 without NUL (which PostgreSQL refuses), bounded, without the padding that DICOM ignores.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	return strings.Trim(s, " ")
}

// fold takes case and accents out, so that "Müller" is found as "MULLER" (PS3.4 C.2.2.2.1: both may be ignored for names).
func fold(s string) string {
	plain := true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return strings.ToLower(s)
	}
	s = norm.NFKD.String(cases.Fold().String(norm.NFKC.String(s)))
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, s)
}

// foldName splits a person name into what is compared: the alphabetic group, and the ideographic and phonetic ones, each between signs of equality
// (PS3.5 6.2.1). Empty components at a group's end mean nothing.
func foldName(s string) (key, other string) {
	for i, g := range strings.Split(s, "=") {
		g = strings.TrimRight(fold(strings.Trim(g, " ")), "^ ")
		switch {
		case i == 0:
			key = g
		case g != "":
			other += "=" + g + "="
		}
	}
	return key, other
}

// nameWords are the words of a folded name: what stands between carets, signs of equality, spaces, commas, dots, apostrophes and hyphens.
func nameWords(folded string) []string {
	return strings.FieldsFunc(folded, func(r rune) bool { return strings.ContainsRune("^= ,.'-’", r) })
}

// noMoment stands for a time of day that is absent or cannot be read.
const noMoment = -1

// moment is the time of day in microseconds of a TM value (PS3.5 6.2), with end set the last microsecond that the value can mean: "10" ends at
// 10:59:59.999999. Colons, which older versions of the standard wrote, are passed over.
func moment(s string, end bool) (int64, bool) {
	s = strings.ReplaceAll(strings.TrimRight(s, " "), ":", "")
	whole, fraction, dotted := strings.Cut(s, ".")
	if len(whole)%2 != 0 || len(whole) < 2 || len(whole) > 6 || dotted && (len(whole) != 6 || len(fraction) < 1 || len(fraction) > 6) {
		return noMoment, false
	}
	units := [...]int64{3600e6, 60e6, 1e6}
	bounds := [...]int64{23, 59, 60} // a leap second is written 60
	var t int64
	last := int64(24 * 3600e6)
	for i := 0; i*2 < len(whole); i++ {
		n, ok := digits(whole[i*2 : i*2+2])
		if !ok || n > bounds[i] {
			return noMoment, false
		}
		t += n * units[i]
		last = units[i]
	}
	if dotted {
		n, ok := digits(fraction)
		if !ok {
			return noMoment, false
		}
		scale := int64(math.Pow10(6 - len(fraction)))
		t += n * scale
		last = scale
	}
	if end {
		t += last - 1
	}
	return t, true
}

func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, len(s) > 0
}

// day reads a DA value: YYYYMMDD, or YYYY.MM.DD of ACR-NEMA (PS3.5 6.2).
func day(s string) (string, bool) {
	s = strings.TrimRight(s, " ")
	if len(s) == 10 && s[4] == '.' && s[7] == '.' {
		s = s[:4] + s[5:7] + s[8:]
	}
	if len(s) != 8 {
		return "", false
	}
	n, ok := digits(s)
	if m, d := n/100%100, n%100; !ok || m < 1 || m > 12 || d < 1 || d > 31 {
		return "", false
	}
	return s, true
}
