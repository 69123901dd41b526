package dicom

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	textenc "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// CharacterSets are the repertoires that a Specific Character Set (0008,0005) names (PS3.3 C.12.1.1.2), ready to decode and encode. nil is the
// default repertoire, ISO_IR 6. It does not change and may be used by many goroutines.
type CharacterSets struct {
	terms    []string
	whole    textenc.Encoding // a set without code extensions that is no single byte: UTF-8, GB18030, GBK
	utf8     bool
	g0, g1   *codeSet   // in force at the beginning and after each delimiter (PS3.5 6.1.2.5.3); g1 may be nil
	fallback *codeSet   // for upper bytes that no G1 set was designated for: the only one that is declared
	declared []*codeSet // what encoding may use, in the order of the terms
}

// codeSet is one coded character set of ISO 2022, in G0 (lower bytes) or G1 (upper bytes).
type codeSet struct {
	ir     int
	escape string // designates it
	upper  bool   // G1
	wide   func() *wideTable
	cm     *charmap.Charmap // the upper half is this set, if it is a single-byte one
}

// wideTable is a set of 94 by 94 characters.
type wideTable struct {
	runes [94 * 94]rune
	codes map[rune]uint16
}

// The sets of PS3.3 Tables C.12-3 and C.12-4. Each single-byte term of Table C.12-2 is one in G1 with ASCII in G0, but for ISO_IR 13, whose G0 is
// the Roman half of JIS X 0201.
var (
	setASCII    = &codeSet{ir: 6, escape: "\x1b(B"}
	setRoman    = &codeSet{ir: 14, escape: "\x1b(J"}
	setKatakana = &codeSet{ir: 13, escape: "\x1b)I", upper: true}
	setKanji    = &codeSet{ir: 87, escape: "\x1b$B", wide: sync.OnceValue(func() *wideTable { return newWideTable(japanese.EUCJP, "") })}
	setKanji2   = &codeSet{ir: 159, escape: "\x1b$(D", wide: sync.OnceValue(func() *wideTable { return newWideTable(japanese.EUCJP, "\x8f") })}
	setHangul   = &codeSet{ir: 149, escape: "\x1b$)C", upper: true, wide: sync.OnceValue(func() *wideTable { return newWideTable(korean.EUCKR, "") })}
	setHanzi    = &codeSet{ir: 58, escape: "\x1b$)A", upper: true, wide: sync.OnceValue(func() *wideTable { return newWideTable(simplifiedchinese.GBK, "") })}

	codeSets = []*codeSet{
		setASCII, setRoman, setKatakana, setKanji, setKanji2, setHangul, setHanzi,
		{ir: 100, escape: "\x1b-A", upper: true, cm: charmap.ISO8859_1},
		{ir: 101, escape: "\x1b-B", upper: true, cm: charmap.ISO8859_2},
		{ir: 109, escape: "\x1b-C", upper: true, cm: charmap.ISO8859_3},
		{ir: 110, escape: "\x1b-D", upper: true, cm: charmap.ISO8859_4},
		{ir: 144, escape: "\x1b-L", upper: true, cm: charmap.ISO8859_5},
		{ir: 127, escape: "\x1b-G", upper: true, cm: charmap.ISO8859_6},
		{ir: 126, escape: "\x1b-F", upper: true, cm: charmap.ISO8859_7},
		{ir: 138, escape: "\x1b-H", upper: true, cm: charmap.ISO8859_8},
		{ir: 148, escape: "\x1b-M", upper: true, cm: charmap.ISO8859_9},
		{ir: 203, escape: "\x1b-b", upper: true, cm: charmap.ISO8859_15},
		{ir: 166, escape: "\x1b-T", upper: true, cm: charmap.Windows874}, // TIS 620 in A1-FF
	}

	// Escapes that the standard does not list but files hold: JIS C 6226-1978, and Katakana in G0.
	setKatakanaLower = &codeSet{ir: 13, escape: "\x1b(I"}
	escapes          = func() []escapeSequence {
		all := []escapeSequence{{"\x1b$@", setKanji}, {setKatakanaLower.escape, setKatakanaLower}}
		for _, s := range codeSets {
			all = append(all, escapeSequence{s.escape, s})
		}
		return all
	}()
	defaultCharacterSets = &CharacterSets{g0: setASCII, declared: []*codeSet{setASCII}}
)

type escapeSequence struct {
	bytes string
	set   *codeSet
}

// newWideTable asks an EUC form of the set for each of its characters. It is built when the first text of the set is met.
func newWideTable(enc textenc.Encoding, prefix string) *wideTable {
	t := &wideTable{codes: make(map[rune]uint16, 94*94)}
	dec := enc.NewDecoder()
	for i := range t.runes {
		hi, lo := byte(i/94), byte(i%94)
		s, err := dec.String(prefix + string([]byte{hi + 0xA1, lo + 0xA1}))
		r := []rune(s)
		if err != nil || len(r) != 1 {
			t.runes[i] = '\uFFFD'
			continue
		}
		t.runes[i] = r[0]
		if _, ok := t.codes[r[0]]; !ok && r[0] != '\uFFFD' && r[0] >= 0x80 {
			t.codes[r[0]] = uint16(hi+0x21)<<8 | uint16(lo+0x21)
		}
	}
	return t
}

// rune2 is the character of two bytes, each of 94 in either half.
func (s *codeSet) rune2(a, b byte) rune {
	return s.wide().runes[int(a&0x7F-0x21)*94+int(b&0x7F-0x21)]
}

// rune1 is the character of a byte in a set of single bytes.
func (s *codeSet) rune1(c byte) rune {
	switch {
	case s == setASCII:
		return rune(c)
	case s == setRoman: // JIS X 0201 differs from ASCII in two places
		switch c {
		case '\\':
			return '¥'
		case '~':
			return '‾'
		}
		return rune(c)
	case s.cm != nil:
		if c >= 0xA0 {
			return s.cm.DecodeByte(c)
		}
	case s.ir == 13:
		if c &= 0x7F; c >= 0x21 && c <= 0x5F {
			return 0xFF61 + rune(c-0x21)
		}
	}
	return '\uFFFD'
}

// code is the bytes of a character in the set, without the upper bit for wide ones in G0; n is 0 if the set lacks it.
func (s *codeSet) code(r rune) (b [2]byte, n int) {
	switch {
	case s == setASCII && r < 0x80:
		return [2]byte{byte(r)}, 1
	case s == setRoman && r < 0x80 && r != '~':
		return [2]byte{byte(r)}, 1 // a backslash is the delimiter whatever it is shown as (PS3.5 6.1.2.5.3)
	case s == setRoman && r == '‾':
		return [2]byte{'~'}, 1
	case s.cm != nil && r >= 0x80:
		if c, ok := s.cm.EncodeRune(r); ok && c >= 0xA0 {
			return [2]byte{c}, 1
		}
	case s == setKatakana && r >= 0xFF61 && r <= 0xFF9F:
		return [2]byte{byte(r-0xFF61) + 0xA1}, 1
	case s.wide != nil && r >= 0x80:
		if c, ok := s.wide().codes[r]; ok {
			if s.upper {
				c |= 0x8080
			}
			return [2]byte{byte(c >> 8), byte(c)}, 2
		}
	}
	return b, 0
}

// ParseCharacterSets understands the values of (0008,0005), also as they are misspelt: ISO-IR 100, ISO_IR_100, ISO2022IR87, UTF-8, ISO 2022 GBK.
// What it returns is never nil and decodes as well as the values allow; the error says which of them, counted from 1, were left out and why.
func ParseCharacterSets(values []string) (*CharacterSets, error) {
	cs := &CharacterSets{g0: setASCII}
	var errs []error
	if len(values) > maxCharsets {
		values = values[:maxCharsets]
		errs = append(errs, fmt.Errorf("dicom: Specific Character Set has more than %d values", maxCharsets))
	}
	for i, v := range values {
		t := parseTerm(v)
		switch {
		case t.name == "":
			errs = append(errs, fmt.Errorf("dicom: value %d of Specific Character Set is not a defined term", i+1))
		case cs.whole != nil || cs.utf8:
			errs = append(errs, fmt.Errorf("dicom: value %d of Specific Character Set follows one that allows no code extensions", i+1))
		case t.whole != nil || t.utf8:
			for _, s := range cs.declared {
				if s != setASCII { // a first value of ASCII takes nothing away
					errs = append(errs, fmt.Errorf("dicom: value %d of Specific Character Set allows no code extensions", i+1))
					t.name = ""
					break
				}
			}
			if t.name != "" {
				cs.whole, cs.utf8, cs.terms = t.whole, t.utf8, []string{t.name}
			}
		default:
			cs.addSet(t, i == 0)
			name := t.name
			if len(values) > 1 && t.set.ir != 0 {
				name = "ISO 2022 IR " + strconv.Itoa(t.set.ir)
			}
			if i == 0 && v == "" {
				name = ""
			}
			cs.terms = append(cs.terms, name)
		}
	}
	if len(cs.declared) == 0 {
		cs.declared = []*codeSet{setASCII}
	}
	if cs.g1 == nil {
		n := 0
		for _, s := range cs.declared {
			if s.upper {
				cs.fallback, n = s, n+1
			}
		}
		if n > 1 {
			cs.fallback = nil
		}
	}
	return cs, errors.Join(errs...)
}

func (cs *CharacterSets) addSet(t term, first bool) {
	s := t.set
	if first {
		switch {
		case s == setKatakana:
			cs.g0, cs.g1 = setRoman, setKatakana
		case s == setRoman:
			cs.g0 = setRoman
		case s.upper && s.wide == nil:
			cs.g1 = s
		}
	}
	cs.declare(cs.g0)
	if s == setKatakana { // ISO 2022 IR 13 brings both halves of JIS X 0201
		cs.declare(setRoman)
	}
	cs.declare(s)
}

func (cs *CharacterSets) declare(s *codeSet) {
	if !slices.Contains(cs.declared, s) {
		cs.declared = append(cs.declared, s)
	}
}

// maxCharsets is more than there are sets to name.
const maxCharsets = 32

type term struct {
	name  string // as the standard spells it; empty if it knows none such
	set   *codeSet
	whole textenc.Encoding
	utf8  bool
}

func parseTerm(v string) term {
	if strings.Trim(v, " \x00") == "" {
		return term{name: "ISO_IR 6", set: setASCII}
	}
	if len(v) > 64 {
		return term{}
	}
	k := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, v)
	k = strings.TrimPrefix(k, "ISO")
	if n, ok := strings.CutPrefix(k, "8859"); ok {
		if ir, ok := latin[n]; ok {
			k = "IR" + ir
		}
	}
	extended := strings.HasPrefix(k, "2022")
	k = strings.TrimPrefix(k, "2022")
	switch k {
	case "IR192", "192", "UTF8", "10646", "10646UTF8":
		return term{name: "ISO_IR 192", utf8: true}
	case "GB18030":
		return term{name: "GB18030", whole: simplifiedchinese.GB18030}
	case "GBK":
		return term{name: "GBK", whole: simplifiedchinese.GBK}
	case "ASCII", "USASCII":
		k = "IR6"
	case "GB2312":
		k = "IR58"
	}
	n, err := strconv.Atoi(strings.TrimPrefix(k, "IR"))
	if err != nil {
		return term{}
	}
	for _, s := range codeSets {
		if s.ir == n {
			if extended || s.wide != nil {
				return term{name: "ISO 2022 IR " + strconv.Itoa(n), set: s}
			}
			return term{name: "ISO_IR " + strconv.Itoa(n), set: s}
		}
	}
	return term{}
}

// latin gives the registration of a part of ISO 8859.
var latin = map[string]string{
	"1": "100", "2": "101", "3": "109", "4": "110", "5": "144", "6": "127", "7": "126", "8": "138", "9": "148", "11": "166", "15": "203",
}

// Terms are the values of (0008,0005) that were understood, spelt as the standard does.
func (cs *CharacterSets) Terms() []string {
	if cs == nil {
		return nil
	}
	return cs.terms
}

// IsUTF8 reports ISO_IR 192.
func (cs *CharacterSets) IsUTF8() bool { return cs != nil && cs.utf8 }
