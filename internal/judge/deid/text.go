package deid

import (
	"strconv"
	"strings"
)

// Text leaves by allow-list (PS3.15 E.3.8): words of the vocabulary, numbers and units stay; every other word goes, whatever it is. What the
// subject's lexicon holds goes even if the vocabulary has it. Numbers that could be a date, a telephone number or an identifier go too.

// words decides on the words of one subject's text.
type words struct {
	echo  map[string]struct{} // lower-case words of the subject's identifiers
	names *nameIndex          // for what no vocabulary can list; nil if nobody's names are known
	extra map[string]struct{} // further words of the element at hand
	own   map[string]struct{} // further words of the profile

	// enumerated says that the value at hand is one of a list: a word of the vocabulary is that word, whatever the subject is called.
	enumerated bool
	// equipped says that words of makers and products are known, too.
	equipped bool
	// ages says that ages go from text, too, as the profile has them in bands.
	ages bool
}

func (w *words) known(s string) bool {
	ok := listed(s)
	if !ok && w.equipped {
		_, ok = equipmentWords()[s]
	}
	if !ok {
		_, ok = w.extra[s]
	}
	if !ok {
		_, ok = w.own[s]
	}
	return ok
}

func (w *words) echoes(s string) bool {
	_, ok := w.echo[s]
	if ok && w.enumerated {
		_, ordinary := vocabulary()[s]
		return !ordinary
	}
	return ok
}

type tokenKind uint8

const (
	tokenOther  tokenKind = iota // has a character that no word of the vocabulary has
	tokenWord                    // letters, or letters and digits
	tokenNumber                  // digits, one decimal point perhaps
)

type token struct {
	start, end int
	kind       tokenKind
	keep       bool
}

// clean is the part of s that may stay, and whether anything of it went. If nothing did, it is s itself. What is left may stay by itself too: words
// that have come together are judged together once more.
func (w *words) clean(s string) (string, bool) {
	left, lost := w.once(s)
	for again := lost; again && left != ""; {
		left, again = w.once(left)
	}
	return left, lost
}

// once is one round of clean: what it loses makes s shorter.
func (w *words) once(s string) (string, bool) {
	if i := strings.IndexByte(s, 0x1B); i >= 0 {
		// What no declared character set explains is not read (PS3.5 6.1.2.5).
		clean, _ := w.once(s[:i])
		return strings.TrimSpace(clean), true
	}
	var space [32]token
	tokens := tokenize(space[:0], s)
	all := true
	for i := range tokens {
		t := &tokens[i]
		switch t.kind {
		case tokenWord:
			t.keep = w.word(s[t.start:t.end])
		case tokenNumber:
			t.keep = w.number(s[t.start:t.end]) || i > 0 && s[t.start:t.end] == "2000" && strings.EqualFold(s[tokens[i-1].start:tokens[i-1].end], "jpeg")
		}
	}
	w.grammars(s, tokens)
	dropNumberRuns(s, tokens)
	dropNumbersNear(s, tokens)
	dropInitials(s, tokens)
	for i := range tokens {
		all = all && tokens[i].keep
	}
	if all && plainBetween(s) {
		return s, false
	}
	// Words that only join others do not stand at an end where something went.
	first, last := 0, len(tokens)
	for first < last && (!tokens[first].keep || first > 0 && joins(s[tokens[first].start:tokens[first].end])) {
		first++
	}
	for last > first && (!tokens[last-1].keep || last < len(tokens) && (joins(s[tokens[last-1].start:tokens[last-1].end]) || strings.EqualFold(s[tokens[last-1].start:tokens[last-1].end], "pt"))) {
		last--
	}
	if first == last {
		return "", true
	}
	var b strings.Builder
	if first == 0 {
		b.WriteString(plain(s[:tokens[0].start]))
	}
	for i := first; i < last; i++ {
		if !tokens[i].keep {
			continue
		}
		if i > first {
			between := " "
			if tokens[i-1].keep {
				between = plain(s[tokens[i-1].end:tokens[i].start])
			}
			b.WriteString(between)
		}
		b.WriteString(s[tokens[i].start:tokens[i].end])
	}
	if last == len(tokens) {
		b.WriteString(plain(s[tokens[last-1].end:]))
	}
	return strings.TrimSpace(b.String()), true
}

// tokenize splits s into runs of letters and digits. A point or comma between digits belongs to the number.
func tokenize(tokens []token, s string) []token {
	for i := 0; i < len(s); {
		c := s[i]
		if !alnum(c) && c < 0x80 {
			i++
			continue
		}
		start, kind := i, tokenNumber
		point := i >= 2 && (s[i-1] == '.' || s[i-1] == ',') && digit(s[i-2]) // 22.3.57 is no decimal number either
		for i < len(s) {
			c = s[i]
			switch {
			case c >= '0' && c <= '9':
			case letter(c):
				if kind == tokenNumber {
					kind = tokenWord
				}
			case c >= 0x80:
				kind = tokenOther
			case (c == '.' || c == ',') && !point && kind == tokenNumber && i > start && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9' && !dotted(s[i+1:]):
				point = true
			default:
				goto end
			}
			i++
		}
	end:
		tokens = append(tokens, token{start: start, end: i, kind: kind})
	}
	return tokens
}

// dotted reports digits that a further point and digit follow: 12.03.2019 is no decimal number.
func dotted(s string) bool {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i+1 < len(s) && (s[i] == '.' || s[i] == ',') && s[i+1] >= '0' && s[i+1] <= '9'
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func alnum(c byte) bool  { return letter(c) || c >= '0' && c <= '9' }

// word decides on a run of letters and digits.
func (w *words) word(s string) bool {
	var space [40]byte
	if len(s) > len(space) {
		return false
	}
	low := space[:len(s)]
	digits, letters := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case letter(c):
			c |= 0x20
			letters++
		case c >= '0' && c <= '9':
			digits++
		}
		low[i] = c
	}
	if w.echoes(string(low)) {
		return false
	}
	if w.known(string(low)) {
		return true
	}
	if digits == 0 {
		return len(s) == 1 || w.camel(s)
	}
	if digits > 4 {
		return onlyTimes(low)
	}
	// Letters and digits take turns: CHEST2, 120kV, T2, D30f, 1x1. Each run of letters has to be known; single letters are, beside few digits.
	runs, single := 0, 0
	for i := 0; i < len(s); {
		j := i
		if letter(s[i]) {
			for j < len(s) && letter(s[j]) {
				j++
			}
			switch {
			case j-i == 1:
				single++
			case w.echoes(string(low[i:j])) || !w.known(string(low[i:j])) && !w.camel(s[i:j]):
				return false
			}
		} else {
			for j < len(s) && !letter(s[j]) {
				j++
			}
		}
		runs++
		i = j
	}
	if runs > 3 && (runs > 5 || digits > 3 || single > 1) || single > 0 && runs > 1 && digits > 2 { // epfid2d1 is a sequence
		return onlyTimes(low)
	}
	return true
}

// onlyTimes reports numbers of at most four digits parted by the letter x: 512x512x3.
func onlyTimes(low []byte) bool {
	run, times := 0, 0
	for _, c := range low {
		switch {
		case digit(c):
			if run++; run > 4 {
				return false
			}
			continue
		case c == 'x' && run > 0:
			times++
		case c != '.':
			return false
		}
		run = 0
	}
	return times > 0 && times <= 3 && run > 0 && !HasNHSNumber(strings.ReplaceAll(string(low), "x", " "))
}

// camel decides on words run together, each known: ThorAbd, HeadNeck.
func (w *words) camel(s string) bool {
	start, n := 0, 0
	for i := 1; i <= len(s); i++ {
		if i < len(s) && !(s[i] >= 'A' && s[i] <= 'Z' && s[i-1] >= 'a' && s[i-1] <= 'z') {
			continue
		}
		part := strings.ToLower(s[start:i])
		if len(part) < 2 || w.echoes(part) || !w.known(part) {
			return false
		}
		start = i
		n++
	}
	return n > 1
}

// number decides on a number by itself. Four digits that could be a year go, five and more could be an identifier.
func (w *words) number(s string) bool {
	if w.echoes(s) {
		return false
	}
	if i := strings.IndexAny(s, ".,"); i >= 0 {
		return i <= 4 && len(s)-i-1 <= 6 && len(s) <= 8 // 943.4765919 is no measurement
	}
	return len(s) < 4 || len(s) == 4 && (s < "1880" || s > "2100")
}

// dropNumberRuns takes out numbers that belong together as a date, a telephone number or an identifier: three and more with nothing but a sign
// between, or two and more of six digits altogether.
func dropNumberRuns(s string, tokens []token) {
	for i := 0; i < len(tokens); {
		j, digits, whole := i, 0, true
		for j < len(tokens) && tokens[j].kind == tokenNumber && (j == i || joined(s[tokens[j-1].end:tokens[j].start])) {
			text := s[tokens[j].start:tokens[j].end]
			digits += len(text)
			whole = whole && len(text) <= 4 && !strings.ContainsAny(text, ".,")
			j++
		}
		if bValues(s, tokens, i, j) {
			i = j
			continue
		}
		if n := j - i; whole && (n >= 3 || n == 2 && digits >= 6) || n >= 2 && digits >= 9 {
			for k := i; k < j; k++ {
				tokens[k].keep = false
			}
		}
		i = max(j, i+1)
	}
}

// bValues reports numbers i to j that follow a first one of a diffusion series: b50_400_800.
func bValues(s string, tokens []token, i, j int) bool {
	if i == 0 || j-i < 1 || !tokens[i-1].keep {
		return false
	}
	first := strings.ToLower(s[tokens[i-1].start:tokens[i-1].end])
	if len(first) == 0 || first[0] != 'b' || !onlyDigits(strings.TrimPrefix(strings.TrimPrefix(first, "bvals"), "b")) {
		return false
	}
	last := -1
	for k := i; k < j; k++ {
		v := s[tokens[k].start:tokens[k].end]
		n, err := strconv.Atoi(v)
		if err != nil || n%50 != 0 || n > 5000 || n <= last {
			return false
		}
		last = n
	}
	return true
}

// dropNumbersNear takes out whole numbers close to a word that goes, unless a unit follows: they may be a house's, a ward's or a bed's.
func dropNumbersNear(s string, tokens []token) {
	for i := range tokens {
		t := &tokens[i]
		if t.kind != tokenNumber || !t.keep || strings.ContainsAny(s[t.start:t.end], ".,") {
			continue
		}
		if i+1 < len(tokens) && tokens[i+1].keep && isUnit(s[tokens[i+1].start:tokens[i+1].end]) {
			continue
		}
		for j := max(0, i-2); j < min(len(tokens), i+4); j++ {
			if tokens[j].kind == tokenWord && !tokens[j].keep {
				t.keep = false
				break
			}
		}
	}
}

func isUnit(word string) bool {
	switch strings.ToLower(word) {
	case "mm", "cm", "um", "ms", "s", "sec", "min", "kv", "kvp", "ma", "mas", "mg", "g", "kg", "ml", "cc", "t", "hz", "deg", "bpm", "fps", "gy", "cgy", "mgy", "mbq", "mci", "hu":
		return true
	}
	return false
}

// dropInitials takes out single letters beside a word that goes: they may be a name's.
func dropInitials(s string, tokens []token) {
	single := func(i int) bool { return tokens[i].end-tokens[i].start == 1 && letter(s[tokens[i].start]) }
	for i := range tokens {
		if i > 0 && tokens[i].keep && single(i) && !tokens[i-1].keep {
			tokens[i].keep = false
		}
	}
	for i := len(tokens) - 2; i >= 0; i-- {
		if tokens[i].keep && single(i) && !tokens[i+1].keep && (tokens[i+1].kind != tokenNumber || single(i+1)) {
			tokens[i].keep = false
		}
	}
}

func joined(between string) bool {
	if len(between) > 3 {
		return false
	}
	for i := range len(between) {
		if !strings.ContainsRune(" -/.,:()+_", rune(between[i])) {
			return false
		}
	}
	return true
}

func joins(word string) bool {
	switch strings.ToLower(word) {
	case "and", "or", "of", "the", "to", "from", "at", "on", "in", "for", "by", "with", "id", "no", "name", "number", "patient", "list", "per", "via", "was", "were",
		"says", "said", "call", "called", "ring", "rang", "see", "seen", "known", "dob", "born", "if", "that", "this", "his", "her", "their", "he", "she", "they":
		return true
	}
	return len(word) == 1 && letter(word[0])
}

// plain are the printable ASCII characters of s.
func plain(s string) string {
	if plainBetween(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\r' && r != '\n' && r != '\t' || r >= 0x7F {
			return -1
		}
		return r
	}, s)
}

func plainBetween(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= 0x7F || c < 0x20 && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// technical decides on a text that names equipment or software, whose words no vocabulary can list: false if it has a word of the subject's
// lexicon, a date, a character beyond ASCII, or, but for a serial number, digits enough for a telephone number.
func (w *words) technical(s string, serial bool) bool {
	if !plainBetween(s) {
		return false
	}
	var space [32]token
	for _, t := range tokenize(space[:0], s) {
		text := s[t.start:t.end]
		if low := strings.ToLower(text); !w.known(low) && (w.echoes(low) || w.names.like(low)) {
			return false
		}
		run := 0
		for i := 0; i <= len(text); i++ {
			if i < len(text) && digit(text[i]) {
				run++
				continue
			}
			if run >= 8 && !serial {
				return false
			}
			if run == 8 && text[i-8:i] >= "1900" && text[i-8:i] < "2100" {
				if _, isDate := day([8]byte([]byte(text[i-8 : i]))); isDate {
					return false
				}
			}
			run = 0
		}
	}
	return true
}
