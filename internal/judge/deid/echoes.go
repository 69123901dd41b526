package deid

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is a part of a text, in bytes.
type Span struct{ From, To int }

// Echoes are where a text for a person's eyes, such as a page of a document that is held, has something of the subject in it: words of any identifier, and every
// spelling that the gate searches for. They are in order and do not overlap. What the text says of somebody whom no header names is not among them.
func (l *Lexicon) Echoes(text string) []Span {
	if l.Len() == 0 {
		return nil
	}
	var out []Span
	echo := l.echoWords()
	of := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if !of(r) {
			i += n
			continue
		}
		end := i
		for end < len(text) {
			r, n := utf8.DecodeRuneInString(text[end:])
			if !of(r) {
				break
			}
			end += n
		}
		if _, ok := echo[strings.ToLower(text[i:end])]; ok {
			out = append(out, Span{i, end})
		}
		i = end
	}
	m, b := NewMatcher(l), []byte(text)
	for i, s := 0, uint32(0); ; {
		var p int32
		if i, p, s = m.find(b, i, s); p < 0 {
			break
		}
		out = append(out, Span{m.pattern[p].begin(b, i), i})
	}
	slices.SortFunc(out, func(a, b Span) int { return a.From - b.From })
	joined := out[:0]
	for _, s := range out {
		if k := len(joined) - 1; k >= 0 && s.From <= joined[k].To {
			joined[k].To = max(joined[k].To, s.To)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}
