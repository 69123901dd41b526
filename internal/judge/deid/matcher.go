package deid

import (
	"strings"
	"unicode/utf8"
)

// Matcher finds a lexicon's terms in bytes, in whatever encoding they stand: an Aho-Corasick automaton over classes of bytes. A and a are one class,
// and so are the signs that part names, dates and numbers; a zero byte counts for nothing, so that UTF-16 of either order reads as its letters do. It
// does not change, searches without allocating, and may be used by many goroutines.
type Matcher struct {
	version uint64
	class   [256]uint8
	classes uint32
	trans   []uint32 // by state and class; the state is multiplied already, the upper bit marks one where a pattern ends
	final   []int32  // by state: the longest pattern that ends there, or -1
	grams   [8192]uint8
	pattern []pattern
	longest int
	whole   map[string]spelling // by folded text

	// keepsUIDs says that UIDs stay as they are: they may stand in the output, and what their digits say counts.
	keepsUIDs bool
	// keepsDates says the same of dates.
	keepsDates bool
}

// Matcher builds the automaton of a lexicon for objects that the profile has cleaned.
func (p *Profile) Matcher(l *Lexicon) *Matcher {
	m := NewMatcher(l)
	m.keepsUIDs = p.has(RetainUIDs)
	m.keepsDates = !p.shifts()
	return m
}

type pattern struct {
	spelling
	size int // bytes, zeros not counted
}

const accept = 1 << 31

// separators are one class: a name's parts, a date's and a telephone number's are written with any of them.
const separators = "^= _-,./\\|"

var folded = func() (f [256]byte) {
	for c := range f {
		f[c] = byte(c)
		if c >= 'A' && c <= 'Z' {
			f[c] = byte(c) | 0x20
		}
	}
	for _, c := range []byte(separators) {
		f[c] = ' '
	}
	return f
}()

// NewMatcher builds the automaton of a lexicon.
func NewMatcher(l *Lexicon) *Matcher {
	m := &Matcher{version: l.Version(), whole: map[string]spelling{}}
	searched, whole := l.spellings()
	for _, s := range whole {
		m.whole[foldText(s.text)] = s
	}
	var keys []string
	index := map[string]int{}
	for _, s := range searched {
		encoded(s.text, func(b []byte) {
			k := b[:0]
			for _, c := range b {
				if c != 0 {
					k = append(k, folded[c])
				}
			}
			if len(k) < minSearched {
				return
			}
			if i, ok := index[string(k)]; ok {
				// Text that is an identifier as well as a date is searched as the stricter.
				if !s.digits || m.pattern[i].kind == TermDate {
					m.pattern[i].spelling = s
				}
				return
			}
			index[string(k)] = len(keys)
			keys = append(keys, string(k))
			m.pattern = append(m.pattern, pattern{s, len(k)})
			m.longest = max(m.longest, len(k))
		})
	}
	m.build(keys)
	return m
}

func foldText(s string) string {
	b := []byte(strings.ToLower(s))
	for i := range b {
		b[i] = folded[b[i]]
	}
	return strings.TrimSpace(string(b))
}

func (m *Matcher) build(keys []string) {
	// Class 0 is of bytes that no pattern has, class 1 of zero.
	m.classes = 2
	var of [256]uint8
	of[0] = 1
	size := 1
	for _, k := range keys {
		size += len(k)
		for i := range len(k) {
			if c := k[i]; of[c] == 0 {
				of[c] = uint8(m.classes)
				m.classes++
			}
		}
	}
	for c := range 256 {
		m.class[c] = of[folded[c]]
	}
	// The trie, then failure links breadth first, folded into the transitions.
	n := m.classes
	next := make([]uint32, n, uint32(size)*n)
	m.final = append(make([]int32, 0, size), -1)
	for p, k := range keys {
		s := uint32(0)
		for i := range len(k) {
			at := s*n + uint32(of[k[i]])
			if next[at] == 0 {
				next[at] = uint32(len(m.final))
				m.final = append(m.final, -1)
				next = next[:len(next)+int(n)]
			}
			s = next[at]
		}
		m.final[s] = int32(p)
		c := [4]uint8{of[k[0]], of[k[1]], of[k[2]], of[k[3]]}
		m.mark(c[0], c[1], c[2])
		m.mark(c[1], c[2], c[3])
		m.mark(c[2], c[3], of[k[4]])
		m.mark(c[0], 1, c[1]) // in UTF-16
		m.mark(1, c[1], 1)
		m.mark(c[1], 1, c[2])
	}
	fail := make([]uint32, len(m.final))
	queue := make([]uint32, 0, len(m.final))
	for c := range n {
		if s := next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for head := 0; head < len(queue); head++ {
		s := queue[head]
		if m.final[s] < 0 {
			m.final[s] = m.final[fail[s]]
		}
		row, back := next[s*n:s*n+n], next[fail[s]*n:fail[s]*n+n]
		for c, t := range back {
			if row[c] == 0 {
				row[c] = t
				continue
			}
			fail[row[c]] = t
			queue = append(queue, row[c])
		}
	}
	for i, s := range next {
		if i%int(n) == 1 {
			next[i] = uint32(i) - 1 // a zero changes nothing
			continue
		}
		next[i] = s * n
		if m.final[s] >= 0 {
			next[i] |= accept
		}
	}
	m.trans = next
}

// mark notes three classes that stand among the first five bytes of a pattern.
func (m *Matcher) mark(a, b, c uint8) {
	h := gram(a, b, c)
	m.grams[h>>3] |= 1 << (h & 7)
}

func gram(a, b, c uint8) uint32 {
	return (uint32(a)<<10 ^ uint32(b)<<5 ^ uint32(c)) & 0xFFFF
}

// find searches b from i on for the end of a pattern. It returns the position after it, the pattern (-1 if b ends first) and the state to go on in:
// 0 at the beginning.
//
// With nothing under way, every third position is looked at: of three bytes in a row among a pattern's first five, one lot begins there.
func (m *Matcher) find(b []byte, i int, s uint32) (int, int32, uint32) {
	if len(m.pattern) == 0 {
		return len(b), -1, 0
	}
	trans, class := m.trans, &m.class
	low := i
	for i < len(b) {
		if s == 0 {
			k := i
			for ; k+2 < len(b); k += 3 {
				h := gram(class[b[k]], class[b[k+1]], class[b[k+2]])
				if m.grams[h>>3]&(1<<(h&7)) != 0 {
					break
				}
			}
			i = max(low, k-2)
			low = min(k+1, len(b)) // go on at least beyond k, or the same bytes would be looked at again
			for i < low {
				s = trans[s+uint32(class[b[i]])]
				i++
				if s&accept != 0 {
					s &^= accept
					return i, m.final[s/m.classes], s
				}
			}
			continue
		}
		s = trans[s+uint32(class[b[i]])]
		i++
		low = i
		if s&accept != 0 {
			s &^= accept
			return i, m.final[s/m.classes], s
		}
	}
	return i, -1, s
}

// begin is where the match of pattern p begins that ends before end.
func (p *pattern) begin(b []byte, end int) int {
	for n := 0; end > 0; {
		end--
		if b[end] != 0 {
			if n++; n == p.size {
				break
			}
		}
	}
	return end
}

// Version is the version of the lexicon that the matcher was built of.
func (m *Matcher) Version() uint64 { return m.version }

// wholeValue is the short term that a value is, as a whole, whatever its case and separators.
func (m *Matcher) wholeValue(v []byte) (spelling, bool) {
	if len(m.whole) == 0 || len(v) < 2 || len(v) > 4*utf8.UTFMax {
		return spelling{}, false
	}
	var space [4 * utf8.UTFMax]byte
	low := space[:0]
	plain := true
	for _, c := range v {
		if c >= 0x80 {
			plain = false
		}
		low = append(low, folded[c])
	}
	if !plain {
		s, ok := m.whole[foldText(string(v))]
		return s, ok
	}
	for len(low) > 0 && low[0] == ' ' {
		low = low[1:]
	}
	for len(low) > 0 && low[len(low)-1] == ' ' {
		low = low[:len(low)-1]
	}
	s, ok := m.whole[string(low)]
	return s, ok
}
