package vocabulary

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Phrase is a part of a text and what it means.
type Phrase struct {
	Text     string // as it was written
	Concepts []Code // what it means, the most particular first; empty: no word of the vocabulary
	Meant    string // where a misspelt word was taken for another: that one
}

// phrases are by their folded form; an abbreviation that is also a word (ALL, US) stands behind "=" as it is written, and means something in capitals
// only. written is how a folded phrase is written. longest is how many words a phrase has at most.
var phrases, byLength, written, longest = index()

// Bounds of Expand. What is longer is cut: a search box is not a place for a book.
const (
	maxText  = 1000 // bytes
	maxWords = 64
	maxSpelt = 16 // unknown words that are looked at for a misspelling
)

// Expand finds what a text means: "breast cancer in young women, PET scan" is a disease, an age band, a sex and a modality. The longest phrase wins;
// words between that mean nothing here come back as phrases without concepts, so that a full-text search can look for them. A code means
// itself (C50, 8500/3, 254837009). A word that is misspelt by a letter or two is taken for the one it is nearest to, and Meant says so.
func Expand(text string) []Phrase {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`,;:!?()[]{}"“”`, r) })
	words = words[:min(len(words), maxWords)]
	var out []Phrase
	spell := maxSpelt
	for i := 0; i < len(words); {
		n, p := match(words[i:], &spell)
		out = append(out, p)
		i += n
	}
	return out
}

// Exact is what a text means as a whole, spelt rightly: a phrase of the vocabulary and nothing besides. Nil: it means nothing here.
func Exact(text string) []Code {
	c := slices.Clone(phrases[fold(text)])
	for _, also := range phrases["="+strings.TrimSpace(text)] {
		if !slices.Contains(c, also) {
			c = append(c, also)
		}
	}
	return c
}

// match takes the longest phrase from the start of the words; one word where there is none.
func match(words []string, spell *int) (int, Phrase) {
	for n := min(longest, len(words)); n > 0; n-- {
		text := strings.Join(words[:n], " ")
		if little(words[0]) || little(words[n-1]) {
			continue // they are left between the phrases
		}
		c := phrases[fold(text)]
		if n == 1 {
			for _, also := range phrases["="+text] {
				if !slices.Contains(c, also) {
					c = append(slices.Clone(c), also)
				}
			}
		}
		if len(c) > 0 {
			return n, Phrase{Text: text, Concepts: slices.Clone(c)}
		}
		if n == 1 {
			if c, ok := codeOf(words[0]); ok {
				return 1, Phrase{Text: words[0], Concepts: []Code{c}}
			}
		}
	}
	// Misspelt: first the longer phrases, so that "brest cancer" is breast cancer.
	if *spell--; *spell < 0 {
		return 1, Phrase{Text: words[0]}
	}
	for n := min(3, len(words)); n > 0; n-- {
		text := strings.Join(words[:n], " ")
		if little(words[0]) || little(words[n-1]) {
			continue
		}
		if near, ok := nearest(fold(text)); ok {
			return n, Phrase{Text: text, Concepts: slices.Clone(phrases[near]), Meant: written[near]}
		}
	}
	return 1, Phrase{Text: words[0]}
}

// codeOf takes a word for a code where its form allows it: C50.4 is of both ICD-10 and ICD-O-3; ICD-10 is meant.
func codeOf(word string) (Code, bool) {
	for _, s := range []System{ICD10, Morphology, SNOMED} {
		if c, err := ParseCode(s, word); err == nil && (s == SNOMED || Known(c)) {
			return c, true
		}
	}
	return Code{}, false
}

// index is every phrase of the vocabulary with its concepts, and the phrases by length.
func index() (map[string][]Code, map[int][]sketch, map[string]string, int) {
	all, as, most := map[string][]Code{}, map[string]string{}, 0
	put := func(text string, c Code) {
		k := fold(text)
		if k == "" {
			return
		}
		if abbreviation(text) {
			k = "=" + text
		} else if as[k] == "" {
			as[k] = text
		}
		most = max(most, strings.Count(k, " ")+1, len(strings.Fields(text)))
		if !slices.Contains(all[k], c) {
			all[k] = append(all[k], c)
		}
	}
	for _, c := range diseaseOrder {
		d := diseases[c]
		if c.System != Topography {
			put(d.label, c) // a topography alone is a place: the body sites have its words
		}
		if c.System == Group {
			put(d.lay, c)
		}
		for _, w := range d.words {
			put(w, c)
		}
	}
	for _, l := range searched {
		for _, t := range l.Terms {
			put(t.Label, t.Concept())
			if l == Modality {
				put(t.ID, t.Concept())
			}
			for _, w := range t.Words {
				put(w, t.Concept())
			}
		}
	}
	lengths := map[int][]sketch{}
	for k, codes := range all {
		// A word that names a group and codes within it means the group: the codes are found as its descendants.
		all[k] = slices.DeleteFunc(codes, func(c Code) bool {
			return slices.ContainsFunc(codes, func(p Code) bool { return p != c && Is(c, p) })
		})
		if len(k) >= 5 && k[0] != '=' {
			lengths[len(k)] = append(lengths[len(k)], sketch{k, letters(k)})
		}
	}
	for _, ks := range lengths {
		slices.SortFunc(ks, func(a, b sketch) int { return strings.Compare(a.phrase, b.phrase) })
	}
	return all, lengths, as, most
}

// nearest is the phrase at the smallest distance: one letter from five on, two from eight on. Two different ones that are equally near mean neither,
// unless they mean the same.
func nearest(word string) (string, bool) {
	if len(word) < 5 || digits(strings.Trim(word, "abcdefghijklmnopqrstuvwxyz ")) {
		return "", false
	}
	most := 1
	if len(word) >= 8 {
		most = 2
	}
	best, at, tie := "", most+1, false
	mine := letters(word)
	for n := len(word) - most; n <= len(word)+most; n++ {
		for _, s := range byLength[n] {
			if bits.OnesCount32(s.letters^mine) > 2*most {
				continue
			}
			k := s.phrase
			d := Distance(word, k, most)
			switch {
			case d < at:
				best, at, tie = k, d, false
			case d == at && d <= most && !slices.Equal(phrases[k], phrases[best]):
				tie = true
			}
		}
	}
	return best, at <= most && !tie
}

// sketch is a phrase with the set of its letters: two phrases whose sets differ by much need not be compared.
type sketch struct {
	phrase  string
	letters uint32
}

func letters(s string) uint32 {
	var set uint32
	for i := range len(s) {
		set |= 1 << (s[i] & 31)
	}
	return set
}

// Distance is how many letters have to be changed, added, taken out or swapped with their neighbour to make one word of the other; most+1 if it is more
// than most, or a word is longer than 64 bytes.
func Distance(a, b string, most int) int {
	var space [3][72]int
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := space[0][:], space[1][:], space[2][:]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		low := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			low = min(low, row[j])
		}
		if low > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// fold brings a phrase into the form in which phrases are compared: small letters without accents, British and American spellings the same, plural as
// singular, hyphens and slashes as spaces, no little words.
func fold(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		switch {
		case unicode.Is(unicode.Mn, r) || r == '\'' || r == '’':
		case r == '&' || r == '+':
			b.WriteString(string(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	words := strings.Fields(b.String())
	words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(littleWords, w) })
	for i, w := range words {
		words[i] = stem(w)
	}
	return strings.Join(words, " ")
}

// abbreviation is a text of two to six capitals.
func abbreviation(s string) bool {
	for _, r := range s {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 6
}

func little(w string) bool { return slices.Contains(littleWords, strings.ToLower(w)) }

var littleWords = []string{"the", "of", "a", "an", "with", "for", "and"}

var spellings = strings.NewReplacer("ph", "f", "tumour", "tumor", "aem", "em", "oes", "es", "oed", "ed", "paed", "ped", "gynaec", "gynec", "naev",
	"nev", "colour", "color",
	"oestr", "estr", "foet", "fet", "isation", "ization", "ised", "ized", "grey", "gray")

func stem(w string) string {
	w = spellings.Replace(w)
	switch {
	case len(w) > 4 && strings.HasSuffix(w, "ies"):
		return w[:len(w)-3] + "y"
	case len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") && !strings.HasSuffix(w, "us") && !strings.HasSuffix(w, "is"):
		return w[:len(w)-1]
	}
	return w
}

// Words are the phrases of the vocabulary that begin with what was typed, as people write them, the shortest first: to offer while somebody types.
func Words(prefix string, most int) []string {
	want := fold(prefix)
	if want == "" || most <= 0 {
		return nil
	}
	var out []string
	for _, w := range offered {
		if strings.HasPrefix(fold(w), want) {
			out = append(out, w)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	return out[:min(len(out), most)]
}

// offered are labels and plain words, each once.
var offered = func() []string {
	var all []string
	for _, c := range diseaseOrder {
		if d := diseases[c]; c.System == Group {
			all = append(all, d.label)
			all = append(all, d.words...)
		}
	}
	for _, l := range searched {
		for _, t := range l.Terms {
			all = append(all, t.Label)
			all = append(all, t.Words...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}()
