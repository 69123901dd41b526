package deid

import (
	"bytes"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Subject cleans the objects of one subject under one profile. It remembers what they have in common: pseudonym, shift, the words and UIDs met so
// far, and the gate's automaton, which is built anew only when an object brings identifiers not seen before. It may be used by many goroutines,
// one of which works at a time.
type Subject struct {
	profile   *Profile
	keys      *Keys
	identity  Identity
	link      [32]byte
	pseudonym string
	weeks     int
	given     bool // its objects were cleaned elsewhere: what was made there stays

	mu      sync.Mutex
	lexicon *Lexicon // the subject's own
	common  *Lexicon // what identifies whoever the subject is
	whole   *Lexicon // both; nil: together they are more than one holds
	matcher *Matcher // of whole; nil if it has to be built
	words   words
	memo    map[string]memoized // what became of a value, by tag and bytes
	uids    map[string]string   // by original
	seen    map[string]struct{} // values whose terms are in the lexicon, by tag and bytes
	work    work                // buffers of one Clean
	doings  [maxDoings]doings   // what was done to objects before
	oldest  int                 // of them
}

const maxMemo = 8192

type memoized struct {
	verdict verdict
	raw     []byte
}

// NewSubject begins with what is known of a subject; lex may be nil.
func NewSubject(p *Profile, keys *Keys, id Identity, lex *Lexicon) *Subject {
	link := id.Link(keys)
	if lex == nil {
		lex = &Lexicon{}
	}
	s := &Subject{
		profile: p, keys: keys, identity: id, link: link, pseudonym: keys.Pseudonym(link), weeks: keys.Weeks(link), lexicon: lex,
		seen: map[string]struct{}{}, uids: map[string]string{},
	}
	s.forget()
	return s
}

// Also has identifiers looked for that are not the subject's own: what is known of a whole collection. They are never learnt of the subject.
func (s *Subject) Also(common *Lexicon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.common.Len()+common.Len() > 0
	if s.common = common; changed {
		s.forget()
	}
}

// forget makes ready for a lexicon that has changed.
func (s *Subject) forget() {
	s.matcher = nil
	s.memo = map[string]memoized{}
	var err error
	if s.whole, err = s.lexicon.Merge(s.common); err != nil {
		s.whole = nil
		return
	}
	s.words = s.profile.wordsOf(s.whole)
}

// Rest lets go of what can be worked out anew: what was remembered of values and UIDs, buffers, and the automaton, which together may take a megabyte or two. For a subject
// of whom nothing has come for a while. While an object of its is being cleaned it does nothing.
func (s *Subject) Rest() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.matcher = nil
	s.memo, s.uids, s.seen = map[string]memoized{}, map[string]string{}, map[string]struct{}{}
	s.work, s.doings, s.oldest = work{}, [maxDoings]doings{}, 0
}

// wordsOf decide on text in which the words of a lexicon do not stay.
func (p *Profile) wordsOf(l *Lexicon) words {
	w := words{echo: l.echoWords(), names: newNameIndex(l.nameParts()), ages: p.Generalise}
	if p.own != nil {
		w.own = p.own.words
	}
	return w
}

// uid is the UID that stands for an original one.
func (s *Subject) uid(original []byte) string {
	if u, ok := s.uids[string(original)]; ok {
		return u
	}
	if s.given {
		if u := givenUID(original); u != "" {
			return u
		}
	}
	v := original
	if bytes.HasPrefix(v, []byte(standardRoot)) && !standardUID(v) { // begins like the standard's, and is not
		v = append([]byte("x"), v...)
	}
	u := string(s.keys.appendUID(nil, v))
	if len(s.uids) >= maxMemo {
		clear(s.uids)
	}
	s.uids[string(original)] = u
	return u
}

// Link is what the subject is filed by.
func (s *Subject) Link() [32]byte { return s.link }

// Pseudonym is the subject's name in the collection.
func (s *Subject) Pseudonym() string { return s.pseudonym }

// Lexicon is every identifier of the subject's own that is known by now.
func (s *Subject) Lexicon() *Lexicon {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lexicon
}

// Learn adds what is known of the subject from elsewhere.
func (s *Subject) Learn(lex *Lexicon) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.learn(lex.Terms())
}

func (s *Subject) learn(terms []Term) error {
	l, err := s.lexicon.With(terms...)
	if err != nil {
		clear(s.seen) // what has not been learnt is not known: the next object brings it again
		return err
	}
	if l.Version() != s.lexicon.Version() {
		s.lexicon = l
		s.forget()
	}
	return nil
}

// Matcher is the gate's automaton for what is known now, to scan bulk values with.
func (s *Subject) Matcher() *Matcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.matcherNow()
}

func (s *Subject) matcherNow() *Matcher {
	if s.matcher == nil {
		l := s.whole
		if l == nil {
			l = s.lexicon // what is cleaned now is held
		}
		s.matcher = s.profile.Matcher(l)
	}
	return s.matcher
}

// Collect reads the identifiers of an object without cleaning it: the first of two passes, after which every object of the subject is cleaned with
// what all of them reveal, in whatever order they come.
func (s *Subject) Collect(ds *dicom.Dataset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(ds); err != nil {
		return err
	}
	s.prepare(ds)
	return s.learn(s.newTerms(ds))
}

// check refuses an object of somebody else: it would get this subject's pseudonym.
func (s *Subject) check(ds *dicom.Dataset) error {
	if s.given {
		return nil // [Subject.Prove] compares its pseudonym
	}
	if id := Identify(ds); id != s.identity && id.Link(s.keys) != s.link {
		return fault.New(fault.Invalid, "clean an object", "", "it is of another subject")
	}
	return nil
}

// Clean is [Subject.Clean] for an object by itself.
func Clean(ds *dicom.Dataset, p *Profile, keys *Keys, lex *Lexicon) (*Result, error) {
	return NewSubject(p, keys, Identify(ds), lex).Clean(ds)
}

// newTerms are the identifiers of an object that the lexicon does not have.
func (s *Subject) newTerms(ds *dicom.Dataset) []Term {
	if s.given {
		return nil // it has none, or is held
	}
	var terms []Term
	for i, r := range s.work.rules {
		if r.term == 0 {
			continue
		}
		v := ds.Value(i)
		if len(v) == 0 || len(v) > 64*maxTermSize {
			continue
		}
		key := s.work.key(ds.At(i).Tag, v)
		if _, ok := s.seen[string(key)]; ok {
			continue
		}
		if r.term != TermDate || len(s.seen) < maxMemo {
			s.seen[string(key)] = struct{}{}
		}
		for _, text := range ds.Strings(i) {
			if len(text) > maxTermSize {
				text = text[:maxTermSize]
			}
			t := Term{r.term, validText(text)}
			if t.Text != "" && !s.lexicon.Has(t) {
				terms = append(terms, t)
			}
		}
	}
	return terms
}
