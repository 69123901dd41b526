package dicom

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrNotRepresentable is text that the character sets in force have no bytes for.
var ErrNotRepresentable = errors.New("dicom: the character set lacks a character of the text")

// Encode is text in these character sets, with escape sequences where they allow code extensions and need them: the first set is in force again
// before each delimiter and at the end (PS3.5 6.1.2.5.3). It fails with [ErrNotRepresentable], or if the text is not valid UTF-8 or holds an escape
// character.
func (cs *CharacterSets) Encode(s string) ([]byte, error) {
	if cs == nil {
		cs = defaultCharacterSets
	}
	if !utf8.ValidString(s) {
		return nil, errors.New("dicom: the text to encode is not valid UTF-8")
	}
	if cs.utf8 {
		return []byte(s), nil
	}
	if cs.whole != nil {
		b, err := cs.whole.NewEncoder().Bytes([]byte(s))
		if err != nil {
			return nil, ErrNotRepresentable
		}
		return b, nil
	}
	out := make([]byte, 0, len(s)+8)
	g0, g1 := cs.g0, cs.g1
	at := 0
	for _, r := range s {
		at++
		switch r {
		case 0x1B:
			return nil, fmt.Errorf("dicom: character %d of the text to encode is an escape", at)
		case '\t', '\n', '\f', '\r', '\\', '^', '=':
			if g0 != cs.g0 {
				out = append(out, cs.g0.escape...)
				g0 = cs.g0
			}
			if g1 != cs.g1 && cs.g1 != nil {
				out = append(out, cs.g1.escape...)
			}
			g1 = cs.g1
			out = append(out, byte(r))
			continue
		}
		if r < 0x20 || r == 0x7F {
			out = append(out, byte(r))
			continue
		}
		set, b, n := cs.choose(r, g0, g1)
		if set == nil {
			return nil, fmt.Errorf("%w: character %d", ErrNotRepresentable, at)
		}
		if set.upper && set != g1 {
			out = append(out, set.escape...)
			g1 = set
		} else if !set.upper && set != g0 {
			out = append(out, set.escape...)
			g0 = set
		}
		out = append(out, b[:n]...)
	}
	if g0 != cs.g0 {
		out = append(out, cs.g0.escape...)
	}
	return out, nil
}

// choose prefers the sets that are in force already, then the order of the terms.
func (cs *CharacterSets) choose(r rune, g0, g1 *codeSet) (*codeSet, [2]byte, int) {
	if b, n := g0.code(r); n > 0 {
		return g0, b, n
	}
	if g1 != nil {
		if b, n := g1.code(r); n > 0 {
			return g1, b, n
		}
	}
	for _, s := range cs.declared {
		if b, n := s.code(r); n > 0 {
			return s, b, n
		}
	}
	return nil, [2]byte{}, 0
}
