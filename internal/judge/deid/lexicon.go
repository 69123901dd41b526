package deid

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// TermKind says what a term of a lexicon is, and so how it may be spelt.
type TermKind uint8

// The kinds of terms.
const (
	TermName       TermKind = iota + 1 // of the patient or a relative: family^given^middle, component groups parted by =
	TermPerson                         // of somebody else: a physician, an operator
	TermIdentifier                     // of the patient, an admission, an order, a specimen
	TermBirthDate                      // YYYYMMDD
	TermDate                           // of an event, YYYYMMDD
	TermContact                        // a telephone number, an address
	TermPlace                          // an institution, a department, a room
	TermDevice                         // a serial number or station that the profile takes out
	TermSaid                           // what somebody says identifies: this very text, ordinary words or not
	termKinds
)

// Term is one identifier, decoded to UTF-8.
type Term struct {
	Kind TermKind
	Text string
}

// maxTerms bounds a lexicon; what does not fit makes the object that brought it held.
const (
	maxTerms    = 4096
	maxTermSize = 1024
)

// Lexicon is every identifier seen for a subject. It does not change: [Lexicon.With] makes another. nil is the empty one. It identifies a person: it
// does not print itself, and is to be stored encrypted.
type Lexicon struct {
	terms   []Term // sorted, each once
	version uint64
}

// String says nothing.
func (*Lexicon) String() string { return "lexicon" }

// GoString says nothing.
func (*Lexicon) GoString() string { return "deid.Lexicon{}" }

func compareTerms(a, b Term) int {
	if a.Kind != b.Kind {
		return int(a.Kind) - int(b.Kind)
	}
	return strings.Compare(a.Text, b.Text)
}

// Len is the number of terms.
func (l *Lexicon) Len() int {
	if l == nil {
		return 0
	}
	return len(l.terms)
}

// Version names the set of terms: equal sets have equal versions.
func (l *Lexicon) Version() uint64 {
	if l == nil {
		return 0
	}
	return l.version
}

// Terms are the terms in order. They must not be changed.
func (l *Lexicon) Terms() []Term {
	if l == nil {
		return nil
	}
	return l.terms
}

// Has reports whether the lexicon has a term.
func (l *Lexicon) Has(t Term) bool {
	_, ok := slices.BinarySearchFunc(l.Terms(), t, compareTerms)
	return ok
}

// ContainsAll reports whether l has every term of other.
func (l *Lexicon) ContainsAll(other *Lexicon) bool {
	for _, t := range other.Terms() {
		if !l.Has(t) {
			return false
		}
	}
	return true
}

// With is the lexicon with more terms; l itself if it has them all. An error says that it would be too large.
func (l *Lexicon) With(terms ...Term) (*Lexicon, error) {
	var add []Term
	for _, t := range terms {
		if t.Text == "" || t.Kind == 0 || t.Kind >= termKinds || l.Has(t) {
			continue
		}
		if len(t.Text) > maxTermSize || !utf8.ValidString(t.Text) {
			return l, fault.New(fault.TooLarge, "extend a lexicon", "", "an identifier is longer than 1,024 bytes or no text")
		}
		add = append(add, t)
	}
	if len(add) == 0 {
		if l == nil {
			return &Lexicon{}, nil
		}
		return l, nil
	}
	all := slices.Concat(l.Terms(), add)
	slices.SortFunc(all, compareTerms)
	all = slices.Compact(all)
	if len(all) > maxTerms {
		return l, fault.New(fault.TooLarge, "extend a lexicon", "", "more than 4,096 identifiers of one subject")
	}
	return &Lexicon{terms: all, version: versionOf(all)}, nil
}

// Merge is the lexicon with every term of both.
func (l *Lexicon) Merge(other *Lexicon) (*Lexicon, error) { return l.With(other.Terms()...) }

func versionOf(terms []Term) uint64 {
	h := fnv.New64a()
	for _, t := range terms {
		h.Write([]byte{byte(t.Kind)})
		h.Write([]byte(t.Text))
		h.Write([]byte{0})
	}
	return h.Sum64()
}

// lexiconFormat is the first byte of an encoded lexicon.
const lexiconFormat = 1

// Encode writes the lexicon for storage: a format byte, the number of terms, and each term's kind, length and text. The same terms give the same
// bytes.
func (l *Lexicon) Encode() []byte {
	b := binary.AppendUvarint([]byte{lexiconFormat}, uint64(l.Len()))
	for _, t := range l.Terms() {
		b = append(b, byte(t.Kind))
		b = binary.AppendUvarint(b, uint64(len(t.Text)))
		b = append(b, t.Text...)
	}
	return b
}

// DecodeLexicon reads what [Lexicon.Encode] wrote.
func DecodeLexicon(b []byte) (*Lexicon, error) {
	bad := func(why string) (*Lexicon, error) { return nil, fault.New(fault.Corrupt, "read a lexicon", "", why) }
	if len(b) == 0 || b[0] != lexiconFormat {
		return bad("its format is not known")
	}
	b = b[1:]
	n, k := binary.Uvarint(b)
	if k <= 0 || n > maxTerms {
		return bad("the number of terms")
	}
	b = b[k:]
	terms := make([]Term, 0, n)
	for range n {
		if len(b) < 2 {
			return bad("it ends too early")
		}
		kind := TermKind(b[0])
		size, k := binary.Uvarint(b[1:])
		if k <= 0 || size > maxTermSize || uint64(len(b)-1-k) < size {
			return bad("a term's length")
		}
		b = b[1+k:]
		t := Term{kind, string(b[:size])}
		if kind == 0 || kind >= termKinds || !utf8.ValidString(t.Text) || len(terms) > 0 && compareTerms(terms[len(terms)-1], t) >= 0 {
			return bad("a term")
		}
		terms = append(terms, t)
		b = b[size:]
	}
	if len(b) > 0 {
		return bad("bytes after its end")
	}
	if len(terms) == 0 {
		return &Lexicon{}, nil
	}
	return &Lexicon{terms: terms, version: versionOf(terms)}, nil
}
