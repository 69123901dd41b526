package deid

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"
)

func matcherOf(t testing.TB, terms ...Term) *Matcher {
	t.Helper()
	l, err := (*Lexicon)(nil).With(terms...)
	if err != nil {
		t.Fatal(err)
	}
	return NewMatcher(l)
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func utf16be(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u>>8), byte(u))
	}
	return b
}

func TestSpellingsAreFound(t *testing.T) {
	sjis, _ := japanese.ShiftJIS.NewEncoder().String("山田太郎一二")
	greek, _ := charmap.ISO8859_7.NewEncoder().String("Παπαδόπουλος")
	m := matcherOf(t,
		Term{TermName, "HOLLOWAY^MARGARET^ANN"}, Term{TermName, "LI^WEI"}, Term{TermName, "O'BRIEN^SEAN"}, Term{TermName, "Müller^Jörg"},
		Term{TermName, "山田太郎一二"}, Term{TermName, "Παπαδόπουλος^Νίκος"},
		Term{TermIdentifier, "0048213977"}, Term{TermIdentifier, "943 476 5919"}, Term{TermBirthDate, "19570322"}, Term{TermDate, "20190312"},
		Term{TermContact, "+44 1722 555 0173"}, Term{TermPlace, "St Brennan General Hospital"})
	for _, s := range []string{
		"HOLLOWAY", "holloway", "Holloway", "xxHOLLOWAYxx", "MARGARET", "LI^WEI", "Li Wei", "WEI, LI", "li_wei", "LIWEI", "O'BRIEN", "OBRIEN",
		"Müller", "MÜLLER", "Muller", "MULLER", "48213977", "0048213977", "00048213977", "9434765919", "943-476-5919", "943 476 5919",
		"19570322", "1957-03-22", "22.03.1957", "22/3/1957", "03/22/1957", "22 March 1957", "22 MAR 1957", "March 22, 1957", "22MAR1957", "22/03/57",
		"20190312", "2019-03-12", "12.03.2019", "01722 555 0173", "01722555017" + "3", "441722555017" + "3", "+44 1722 555 0173", "Brennan", "ST BRENNAN",
		string(utf16le("Holloway")), string(utf16be("Holloway")), string(utf16le("Müller")), string(utf16be("MÜLLER")), string(utf16le("山田太郎一二")),
		"M\xfcller", "M\xdcLLER", sjis, greek, "Παπαδόπουλος", "ΠΑΠΑΔΌΠΟΥΛΟΣ",
	} {
		b := []byte("\x08\x00\x30\x10LO\x20\x00 before " + s + " after\x00")
		if _, p, _ := m.find(b, 0, 0); p < 0 {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"HOLLO WAY", "HOLLOWA", "CT CHEST", "1957", "General Hospital", "LIWE", "20190311", "Hospital", "9434765"} {
		if _, p, _ := m.find([]byte(s), 0, 0); p >= 0 {
			t.Errorf("%q is found, as %q", s, m.pattern[p].text)
		}
	}
	for _, s := range []string{"Li", "WEI", "wei "} {
		if _, ok := m.wholeValue([]byte(s)); !ok {
			t.Errorf("%q is not known as a whole value", s)
		}
	}
}

// Words of the vocabulary are no terms, nor are words that tell nobody apart, nor counters.
func TestOrdinaryTerms(t *testing.T) {
	m := matcherOf(t, Term{TermName, "CHEST^HEAD"}, Term{TermIdentifier, "1"}, Term{TermIdentifier, "00000000"}, Term{TermPlace, "General Hospital"},
		Term{TermName, "ANONYMOUS"}, Term{TermDevice, "CT1"})
	for _, s := range []string{"CHEST", "CT CHEST HEAD", "General Hospital", "00000000", "anonymous"} {
		if _, p, _ := m.find([]byte(s), 0, 0); p >= 0 {
			t.Errorf("%q is a term", s)
		}
	}
}

// The automaton finds what a plain search finds, wherever it lies and whatever is around it.
func TestFindAgreesWithPlainSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-c]{5,9}`), 1, 6).Draw(t, "words")
		var terms []Term
		for _, w := range words {
			terms = append(terms, Term{TermIdentifier, w})
		}
		l, err := (*Lexicon)(nil).With(terms...)
		if err != nil {
			t.Fatal(err)
		}
		m := NewMatcher(l)
		text := rapid.StringMatching(`[a-dA-D]{0,60}`).Draw(t, "text")
		b := []byte(text)
		if rapid.Bool().Draw(t, "wide") {
			b = utf16be(text)
		}
		want := false
		for _, w := range words {
			want = want || strings.Contains(strings.ToLower(text), w)
		}
		_, p, _ := m.find(b, 0, 0)
		if (p >= 0) != want {
			t.Fatalf("found %v, plain search %v", p >= 0, want)
		}
		// The same in pieces, as a stream.
		s := m.NewBulkScanner()
		for len(b) > 0 {
			k := rapid.IntRange(1, len(b)).Draw(t, "piece")
			s.Write(b[:k])
			b = b[k:]
		}
		if s.Hit() != want {
			t.Fatalf("streamed %v, plain search %v", s.Hit(), want)
		}
	})
}

func TestFindDoesNotAllocate(t *testing.T) {
	m := NewMatcher(benchLexicon())
	b := bytes.Repeat([]byte("CT CHEST 1.2.840\x00\x01 hollowa"), 100)
	if n := testing.AllocsPerRun(10, func() { m.find(b, 0, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBulkScanner(t *testing.T) {
	noise := make([]byte, 100_000)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = byte(x>>24) &^ 0x80 // no FF: no markers
	}
	jpeg := func(segment byte, text string) []byte {
		b := []byte{0xFE, 0xFF, 0, 0xE0, 0, 0, 0, 0, 0xFF, 0xD8, 0xFF, segment, 0, byte(len(text) + 2)}
		b = append(b, text...)
		b = append(b, 0xFF, 0xDA, 0, 8)
		return append(append(b, noise...), 0xFF, 0xD9)
	}
	m := matcherOf(t, Term{TermName, "SMITH^JANE"}, Term{TermName, "HOLLOWAY^ANN"}, Term{TermDate, "20190312"})
	for _, c := range []struct {
		name string
		b    []byte
		hit  bool
	}{
		{"noise", noise, false},
		{"a comment", jpeg(0xFE, "Smith"), true},
		{"an application segment", jpeg(0xE1, "Exif HOLLOWAY"), true},
		{"a clean comment", jpeg(0xFE, "Lavc58.134"), false},
		{"a date of the study", jpeg(0xFE, "20190312"), false},
		{"a UID in a comment", jpeg(0xFE, "1.2.826.0.1.3680043.8.498.1"), true},
		{"five letters among noise", append(append(jpeg(0xFE, "x"), "smith"...), noise...), false},
		{"a sentence among noise", append(append(jpeg(0xFE, "x"), "this is of Mrs Smith "...), noise...), true},
		{"a long name among noise", append(append(jpeg(0xFE, "x"), "Holloway"...), noise...), true},
		{"the next image's comment", append(jpeg(0xFE, "x"), jpeg(0xFE, "Smith")...), true},
		{"JPEG 2000", append([]byte{0xFF, 0x4F, 0xFF, 0x51, 0, 0, 0xFF, 0x64, 0, 9, 0, 1, 'S', 'm', 'i', 't', 'h', 0xFF, 0x93}, noise...), true},
		{"UTF-16", jpeg(0xE1, string(utf16le("Smith, J"))), true},
	} {
		for _, piece := range []int{1, 7, 4096, 1 << 20} {
			t.Run(fmt.Sprint(c.name, " in pieces of ", piece), func(t *testing.T) {
				s := m.NewBulkScanner()
				for b := c.b; len(b) > 0; {
					k := min(piece, len(b))
					s.Write(b[:k])
					b = b[k:]
				}
				if s.Hit() != c.hit {
					t.Errorf("hit is %v", s.Hit())
				}
			})
		}
	}
}

func TestLexicon(t *testing.T) {
	l := benchLexicon()
	back, err := DecodeLexicon(l.Encode())
	if err != nil || !back.ContainsAll(l) || !l.ContainsAll(back) || back.Version() != l.Version() {
		t.Fatal("a lexicon does not come back", err)
	}
	more, err := l.With(Term{TermName, "OTHER^NAME"})
	if err != nil || more.Version() == l.Version() || l.ContainsAll(more) || !more.ContainsAll(l) || l.Has(Term{TermName, "OTHER^NAME"}) {
		t.Fatal("a lexicon has changed, or has not grown")
	}
	merged, err := l.Merge(more)
	if err != nil || merged.Version() != more.Version() {
		t.Fatal("a union is not its parts")
	}
	if s := fmt.Sprintf("%v %+v %#v %v", l, l, l, Identity{id: family}); strings.Contains(s, family) || strings.Contains(s, "19570322") {
		t.Error("a lexicon prints itself")
	}
	var many []Term
	for i := range maxTerms + 1 {
		many = append(many, Term{TermIdentifier, fmt.Sprint("ID", i)})
	}
	if _, err := l.With(many...); err == nil {
		t.Error("a lexicon grows without bound")
	}
	for _, b := range [][]byte{nil, {0}, {1}, {1, 1}, {1, 1, 1, 200}, {1, 1, 99, 1, 'a'}, append(l.Encode(), 0), {1, 2, 1, 1, 'b', 1, 1, 'a'}} {
		if _, err := DecodeLexicon(b); err == nil {
			t.Errorf("%v is read as a lexicon", b)
		}
	}
}

func FuzzDecodeLexicon(f *testing.F) {
	f.Add(benchLexicon().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := DecodeLexicon(b)
		if err == nil && !bytes.Equal(l.Encode(), b) && len(b) < 100 && l.Len() < 10 {
			again, err := DecodeLexicon(l.Encode())
			if err != nil || again.Version() != l.Version() {
				t.Error("a lexicon changes by being read")
			}
		}
	})
}
