package dicom

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"
)

const unreadable = "\uFFFD"

// Decode is the text of an encoded value in UTF-8. b may hold several values with their delimiters; what delimits, and so brings back the first
// set, depends on the VR (PS3.5 6.1.2.5.3). Bytes that mean nothing become U+FFFD; padding stays. The result is valid UTF-8 and at most three
// times as long as b.
//
// Escape sequences are followed even if their set is not declared; upper bytes for which none was designated are read in the only declared set
// that has them.
func (cs *CharacterSets) Decode(b []byte, vr VR) string {
	if cs == nil || !vr.Charset() {
		cs = defaultCharacterSets
	}
	if cs.plain(b) {
		return string(b)
	}
	switch {
	case cs.utf8:
		if utf8.Valid(b) {
			return string(b)
		}
		return string(bytes.ToValidUTF8(b, []byte(unreadable)))
	case cs.whole != nil:
		s, err := cs.whole.NewDecoder().Bytes(b)
		if err != nil { // decoders replace what they cannot read, so none is expected
			return string(bytes.ToValidUTF8(b, []byte(unreadable)))
		}
		return string(s)
	}
	return string(cs.decode2022(make([]byte, 0, len(b)+len(b)/2+8), b, vr))
}

// plain reports bytes that are the same in UTF-8.
func (cs *CharacterSets) plain(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 || c == 0x1B {
			return false
		}
	}
	return cs.g0 != setRoman || bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '~') < 0
}

func (cs *CharacterSets) decode2022(out, b []byte, vr VR) []byte {
	g0, g1 := cs.g0, cs.g1
	whole, name := vr.SingleValued(), vr == VRPN
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == 0x1B:
			set, n := findEscape(b[i:])
			if set == nil {
				out = append(out, unreadable...)
				i++
				continue
			}
			if set.upper {
				g1 = set
			} else {
				g0 = set
			}
			i += n
		case c <= ' ' || c == 0x7F:
			if c == '\t' || c == '\n' || c == '\f' || c == '\r' {
				g0, g1 = cs.g0, cs.g1
			}
			out = append(out, c)
			i++
		case c < 0x80 && g0.wide != nil:
			if i+1 == len(b) || b[i+1] <= ' ' || b[i+1] >= 0x7F {
				out = append(out, unreadable...)
				i++
				continue
			}
			out = utf8.AppendRune(out, g0.rune2(c, b[i+1]))
			i += 2
		case c < 0x80:
			if c == '\\' && !whole || name && (c == '^' || c == '=') {
				g0, g1 = cs.g0, cs.g1
				out = append(out, c)
			} else {
				out = utf8.AppendRune(out, g0.rune1(c))
			}
			i++
		default:
			g := g1
			if g == nil {
				g = cs.fallback
			}
			var n int
			out, n = decodeUpper(out, b[i:], g)
			i += n
		}
	}
	return out
}

// decodeUpper decodes the character at the beginning of b, which is an upper byte.
func decodeUpper(out, b []byte, g *codeSet) ([]byte, int) {
	switch {
	case g == nil:
	case g.wide == nil:
		return utf8.AppendRune(out, g.rune1(b[0])), 1
	case len(b) < 2:
	case b[0] >= 0xA1 && b[0] <= 0xFE && b[1] >= 0xA1 && b[1] <= 0xFE:
		return utf8.AppendRune(out, g.rune2(b[0], b[1])), 2
	case g == setHangul && b[1] > 0x40 && b[1] != 0x7F:
		// Korean Windows adds syllables to KS X 1001 in code points whose second byte is no delimiter; files hold them.
		if s, err := korean.EUCKR.NewDecoder().Bytes(b[:2]); err == nil && utf8.RuneCount(s) == 1 && !bytes.Equal(s, []byte(unreadable)) {
			return append(out, s...), 2
		}
	}
	return append(out, unreadable...), 1
}

func findEscape(b []byte) (*codeSet, int) {
	for _, e := range escapes {
		if len(b) >= len(e.bytes) && string(b[:len(e.bytes)]) == e.bytes {
			return e.set, len(e.bytes)
		}
	}
	return nil, 0
}
