package deid

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"
)

// spelling is one way in which a term can be written.
type spelling struct {
	text   string
	digits bool // digits and separators alone
	kind   TermKind
}

const minSearched = 5 // characters from which on a spelling is searched for in all bytes; shorter ones are compared with whole values

// spellings are the ways in which a lexicon's terms can be written, as text. Those that are words of the vocabulary are left out: descriptors have
// lost them already by echo, and where else they stand, in enumerated values, they are the standard's.
func (l *Lexicon) spellings() (searched, whole []spelling) {
	seen := map[spelling]bool{}
	add := func(s string, kind TermKind) {
		s = strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		n := utf8.RuneCountInString(s)
		sp := spelling{s, digitsAndSigns(s), kind}
		if n < 2 || seen[sp] {
			return
		}
		seen[sp] = true
		switch {
		case sp.digits && (n < 4 || sameDigit(s)):
			return // numbers of a study, counters
		case kind != TermSaid && ordinaryWords(s):
			return
		case n >= minSearched:
			searched = append(searched, sp)
		default:
			whole = append(whole, sp)
		}
	}
	for _, t := range l.Terms() {
		switch t.Kind {
		case TermName, TermPerson:
			for group := range strings.SplitSeq(t.Text, "=") {
				addName(group, t.Kind, add)
			}
		case TermIdentifier, TermDevice:
			addIdentifier(t.Text, t.Kind, add)
		case TermBirthDate:
			addDate(t.Text, add, true)
		case TermDate:
			addDate(t.Text, add, false)
		case TermContact:
			add(t.Text, t.Kind)
			if i := strings.IndexByte(t.Text, '+'); i >= 0 && len(t.Text) > i+3 {
				add(t.Text[i+3:], t.Kind) // without the country
				if d := digitsOf(t.Text[i+3:]); len(d) >= 6 {
					add(d, t.Kind)
				}
			}
			if d := digitsOf(t.Text); len(d) >= 6 {
				add(d, t.Kind)
				if d[0] == '0' {
					add(d[1:], t.Kind)
				}
			}
			addDistinctive(t.Text, t.Kind, add)
		case TermSaid:
			add(t.Text, t.Kind)
			if q := withoutMarks(t.Text); q != t.Text {
				add(q, t.Kind)
			}
			if d := digitsOf(t.Text); len(d) >= 6 {
				add(d, t.Kind)
			}
		case TermPlace:
			add(t.Text, t.Kind)
			addDistinctive(t.Text, t.Kind, add)
		}
	}
	return searched, whole
}

func addName(group string, kind TermKind, add func(string, TermKind)) {
	parts := strings.FieldsFunc(group, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\'' && r != '’'
	})
	for _, p := range parts {
		add(p, kind)
		if q := strings.Map(dropApostrophe, p); q != p {
			add(q, kind)
		}
		for _, q := range transliterations(p) {
			add(q, kind)
		}
	}
	if len(parts) < 2 {
		return
	}
	// A short family name stands with an initial, and short parts with one another.
	for i, p := range parts[:min(len(parts), 3)] {
		if utf8.RuneCountInString(p) >= minSearched || generic[strings.ToLower(p)] {
			continue
		}
		for j, q := range parts[:min(len(parts), 3)] {
			if i == j {
				continue
			}
			if initial, size := utf8.DecodeRuneInString(q); i == 0 && size > 0 {
				k := string(initial)
				add(p+" "+k, kind)
				add(k+" "+p, kind)
				add(k+"  "+p, kind) // J. GRAY
				add(p+k, kind)
				add(k+p, kind)
			}
			if utf8.RuneCountInString(q) < minSearched && i+j > 1 {
				add(p+" "+q, kind)
				add(p+q, kind)
			}
		}
	}
	// Names whose parts are too short to search for stand together, in either order.
	add(strings.Join(parts, " "), kind)
	add(parts[0]+" "+parts[1], kind)
	add(parts[1]+" "+parts[0], kind)
	add(parts[0]+"  "+parts[1], kind) // FAMILY, GIVEN
	add(parts[1]+"  "+parts[0], kind)
	add(parts[0]+parts[1], kind)
	add(parts[1]+parts[0], kind)
}

func addIdentifier(s string, kind TermKind, add func(string, TermKind)) {
	add(s, kind)
	compact := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
	add(compact, kind)
	add(strings.TrimLeft(compact, "0"), kind)
	if d := digitsOf(s); len(d) >= 6 {
		add(d, kind)
		if len(d) == 10 { // an NHS number is written in groups of three, three and four
			add(d[:3]+" "+d[3:6]+" "+d[6:], kind)
		}
	}
}

// addDistinctive adds the words of an address or a name of a place that tell it apart.
func addDistinctive(s string, kind TermKind, add func(string, TermKind)) {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) }) {
		if utf8.RuneCountInString(w) >= minSearched {
			add(w, kind)
			for _, q := range transliterations(w) {
				if !ascii(w) {
					add(q, kind)
				}
			}
		}
	}
}

var months = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}

func addDate(s string, add func(string, TermKind), birth bool) {
	if len(s) != 8 || !allDigits([]byte(s)) || s[4:6] < "01" || s[4:6] > "12" {
		add(s, TermIdentifier) // whatever stands there
		return
	}
	kind := TermDate
	if birth {
		kind = TermBirthDate
	}
	y, m, d := s[:4], s[4:6], s[6:]
	add(s, kind)
	add(y+"-"+m+"-"+d, kind)
	add(d+"-"+m+"-"+y, kind)
	add(m+"-"+d+"-"+y, kind)
	if !birth {
		return
	}
	add(d+m+y, kind)
	add(m+d+y, kind)
	d1, m1 := strings.TrimLeft(d, "0"), strings.TrimLeft(m, "0")
	add(d1+"-"+m1+"-"+y, kind)
	add(m1+"-"+d1+"-"+y, kind)
	add(d+"-"+m+"-"+y[2:], kind)
	add(m+"-"+d+"-"+y[2:], kind)
	name := months[(m[0]-'0')*10+m[1]-'0'-1]
	for _, n := range []string{name, name[:3]} {
		for _, d := range []string{d, d1} {
			add(d+" "+n+" "+y, kind)
			add(n+" "+d+" "+y, kind)
			add(n+" "+d+"  "+y, kind)
			add(d+n+y, kind)
		}
	}
}

func dropApostrophe(r rune) rune {
	if r == '\'' || r == '’' {
		return -1
	}
	return r
}

// bare are the letters that no mark makes, in the ways in which they are written without.
var bare = map[rune]string{
	'ß': "ss", 'ẞ': "ss", 'ø': "o", 'Ø': "o", 'ł': "l", 'Ł': "l", 'æ': "ae", 'Æ': "ae", 'œ': "oe", 'Œ': "oe", 'đ': "d", 'Đ': "d", 'ð': "d", 'Ð': "d", 'þ': "th", 'Þ': "th",
	'ı': "i",
}

func withoutMarks(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		if unicode.IsMark(r) {
			continue
		}
		if t, ok := bare[r]; ok {
			b.WriteString(t)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// umlauts are written with a letter more where there is no mark.
var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa", "ø", "oe", "Ä", "Ae", "Ö", "Oe", "Ü", "Ue", "Å", "Aa", "Ø", "Oe", "ß", "ss")
var withoutUmlauts = strings.NewReplacer("ae", "a", "oe", "o", "ue", "u", "aa", "a")

// transliterations are the other ways in which a name is written where marks are lost: Müller is Muller, Mueller; Mueller may be Muller.
func transliterations(s string) []string {
	var out []string
	if ascii(s) {
		low := strings.ToLower(s)
		if q := withoutUmlauts.Replace(low); q != low {
			out = append(out, q)
		}
		return out
	}
	composed := norm.NFC.String(s)
	for _, q := range []string{withoutMarks(s), withoutMarks(umlauts.Replace(composed))} {
		if q != s && (len(out) == 0 || out[0] != q) {
			out = append(out, q)
		}
	}
	return out
}

// ordinaryWords reports text of nothing but words of the vocabulary and words that tell nobody apart.
func ordinaryWords(s string) bool {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	for _, w := range words {
		if _, ok := vocabulary()[w]; !ok && !generic[w] {
			return false
		}
	}
	return len(words) > 0
}

func digitsAndSigns(s string) bool {
	for _, r := range s {
		if unicode.IsLetter(r) {
			return false
		}
	}
	return true
}

func sameDigit(s string) bool {
	d := digitsOf(s)
	return strings.Count(d, d[:1]) == len(d)
}

// echoWords are the words that descriptors lose whatever the vocabulary says, in lower case: all names and identifiers of two and more characters.
func (l *Lexicon) echoWords() map[string]struct{} {
	m := map[string]struct{}{}
	for _, t := range l.Terms() {
		if t.Kind == TermDate || t.Kind == TermSaid && strings.ContainsFunc(strings.TrimSpace(t.Text), unicode.IsSpace) {
			continue // of a text of several words none identifies by itself
		}
		for _, w := range strings.FieldsFunc(strings.ToLower(t.Text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
			if len(w) < 2 || generic[w] || len(w) < 4 && allDigits([]byte(w)) {
				continue
			}
			_, ordinary := vocabulary()[w]
			if ordinary && t.Kind != TermName && t.Kind != TermPerson && t.Kind != TermSaid {
				continue // "CT" of a department, "Breast" of a clinic
			}
			m[w] = struct{}{}
			if name := t.Kind == TermName || t.Kind == TermPerson; name {
				for _, q := range transliterations(w) {
					if _, ordinary := vocabulary()[q]; !ordinary && len(q) > 3 {
						m[q] = struct{}{}
					}
				}
			}
		}
	}
	return m
}

// nameParts are the parts of names of five and more letters, of places and addresses what tells them apart, in lower case and without marks; and what two of
// a name's parts make when they are run together, as logins and titles of files do.
func (l *Lexicon) nameParts() []string {
	seen := map[string]bool{}
	var out []string
	add := func(s string) {
		if len(s) >= minSearched && !seen[s] && !generic[s] {
			if _, ordinary := vocabulary()[s]; !ordinary {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	for _, t := range l.Terms() {
		switch t.Kind {
		case TermName, TermPerson:
		case TermPlace, TermContact:
			addDistinctive(strings.ToLower(t.Text), t.Kind, func(w string, _ TermKind) { add(withoutMarks(w)) })
			continue
		default:
			continue
		}
		for group := range strings.SplitSeq(strings.ToLower(t.Text), "=") {
			parts := strings.FieldsFunc(group, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) && r != '\'' && r != '’' })
			for i, p := range parts {
				p = strings.Map(dropApostrophe, p)
				parts[i] = withoutMarks(p)
				add(parts[i])
				for _, q := range transliterations(p) {
					add(q)
				}
			}
			for i, p := range parts {
				for j, q := range parts {
					if i != j && i < 3 && j < 3 && len(p) > 1 {
						add(p + q)
						add(p + q[:1])
						add(q[:1] + p)
					}
				}
			}
		}
	}
	return out
}

// The encodings in which a name beyond ASCII could stand.
var encodings = []encoding.Encoding{
	charmap.ISO8859_1, charmap.ISO8859_2, charmap.ISO8859_3, charmap.ISO8859_4, charmap.ISO8859_5, charmap.ISO8859_6, charmap.ISO8859_7,
	charmap.ISO8859_8, charmap.ISO8859_9, charmap.ISO8859_15, charmap.Windows874, charmap.Windows1251, charmap.Windows1252,
	japanese.EUCJP, japanese.ISO2022JP, japanese.ShiftJIS, korean.EUCKR, simplifiedchinese.GB18030, simplifiedchinese.HZGB2312,
}

// encoded are the bytes in which a spelling could stand: UTF-8, beyond ASCII UTF-16 of both orders and every character set that has its
// characters, in the cases in which names are written. Case within ASCII, and UTF-16 of it, are the matcher's affair.
func encoded(s string, yield func([]byte)) {
	variants := []string{s}
	if !ascii(s) {
		variants = append(variants, strings.ToUpper(s), strings.ToLower(s), titleCase(s), norm.NFD.String(s), norm.NFC.String(s))
	}
	seen := map[string]bool{}
	out := func(b []byte) {
		if len(b) >= 4 && !seen[string(b)] {
			seen[string(b)] = true
			yield(b)
		}
	}
	for _, v := range variants {
		out([]byte(v))
		if ascii(v) {
			continue // of UTF-16, the zeros do not count
		}
		units := utf16.Encode([]rune(v))
		le, be := make([]byte, 0, 2*len(units)), make([]byte, 0, 2*len(units))
		for _, u := range units {
			le = append(le, byte(u), byte(u>>8))
			be = append(be, byte(u>>8), byte(u))
		}
		out(le)
		out(be)
		for _, enc := range encodings {
			if b, err := enc.NewEncoder().Bytes([]byte(v)); err == nil {
				// What designates a set stands before and after; the set may be in force already.
				out(trimEscapes(b))
			}
		}
	}
}

// trimEscapes is the longest part of b without an escape sequence.
func trimEscapes(b []byte) []byte {
	best, start := []byte(nil), 0
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == 0x1B {
			if i-start > len(best) {
				best = b[start:i]
			}
			start = i + 3
			if i+1 < len(b) && b[i+1] == '$' && i+2 < len(b) && (b[i+2] == '(' || b[i+2] == ')') {
				start = i + 4
			}
			i = max(i, start-1)
		}
	}
	return best
}

func titleCase(s string) string {
	first := true
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			first = true
			return r
		}
		if first {
			first = false
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
