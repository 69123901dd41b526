package custody

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// A head that is larger than what is worked on in memory is taken by a node that has nothing else to do; one beyond the limit is refused for good, not until later.
func TestLargeHead(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		for size, want := range map[int]bool{headBytes - 2<<20: true, headBytes + 1<<20: false} {
			in := image(t, fmt.Sprintf("1.2.3.%d", size), func(b *dicom.Builder) {
				for i := range size / (63 << 10) { // texts, none of which is bulk
					b.String(dicom.Tag(0x00090010), "SOMEBODY 1.0")
					b.Raw(0x00091000+dicom.Tag(i%0x1000), dicom.VRLT, bytes.Repeat([]byte("x"), 63<<10))
				}
			})
			dep, err := s.Begin(t.Context(), collection.Default, DoorSTOW, "token-1")
			must(t, err)
			_, err = dep.Receive(t.Context(), in)
			if want && err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
			if !want && !fault.Is(err, fault.TooLarge) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	})
}

// A large value may stand before the patient: the object is filed with its patient all the same, whole, and searched for what is known of them.
func TestLargeValueBeforeThePatient(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		large := bytes.Repeat([]byte{1, 2, 3, 5, 7, 11, 13, 17}, (inlineBytes+5<<20)/8)
		named := bytes.Clone(large)
		copy(named[40<<10:], "WINTERBOURNE ADA")
		private := func(tag dicom.Tag, v []byte) func(b *dicom.Builder) {
			return func(b *dicom.Builder) {
				b.String(dicom.Tag(0x00090010), "SOMEBODY 1.0")
				b.Raw(tag, dicom.VROB, v)
			}
		}
		before := dicom.Tag(0x00091001)
		r := s.deposit(image(t, "1.2.3.4", nil), image(t, "1.2.3.5", private(before, large)), image(t, "1.2.3.6", func(b *dicom.Builder) {
			private(before, named)(b)
			b.String(dicom.Tag(0x00290010), "SOMEBODY 1.0")
			b.Raw(dicom.Tag(0x00291001), dicom.VROB, large[:3<<20])
		}), image(t, "1.2.3.5", private(before, large)))
		if r[0].Outcome != Kept || r[1].Outcome != Held || r[2].Outcome != Held || r[3].Outcome != Held {
			t.Fatalf("%+v", r)
		}
		all := s.rows()
		if len(all) != 3 {
			t.Fatalf("%d rows", len(all))
		}
		for _, l := range all {
			if l.Subject != all[0].Subject {
				t.Error("it is filed with another subject")
			}
		}
		for _, l := range s.waits() {
			b, d := s.content(l)
			want := large
			if d.UID(dicom.TagSOPInstanceUID) == "1.2.3.6" {
				want = named
			}
			if !bytes.Contains(b, want) || !bytes.HasSuffix(b, []byte("pixels78")) {
				t.Error("what is kept is not what came")
			}
			why, err := s.Accept(t.Context(), l, ada)
			if err != nil || len(why) > 0 {
				t.Error(why, err)
			}
		}
		for _, l := range s.rows() {
			s.clean(l, policy.Received)
		}
	})
}

// Of different bytes under one UID, those that are durable first have it, whoever came first: what each sender is told is what the catalogue says.
func TestSendersOfAConflictAreToldWhatIs(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		const rounds, senders = 20, 6
		dep, err := s.Begin(t.Context(), collection.Default, DoorSTOW, "token-1")
		must(t, err)
		kept := map[string]string{}
		for round := range rounds {
			sop := fmt.Sprint("1.2.3.4.", round)
			var group sync.WaitGroup
			var mu sync.Mutex
			n := 0
			for k := range senders {
				pixels := fmt.Sprintf("pixels%d%d", k, k)
				in := image(t, sop, func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROW, []byte(pixels)) })
				group.Go(func() {
					r, err := dep.Receive(t.Context(), in)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err != nil:
						t.Error(err)
					case r.Outcome == Kept:
						kept[pixels+sop] = sop
						n++
					case r.Outcome != Conflict:
						t.Errorf("%v", r.Outcome)
					}
				})
			}
			group.Wait()
			if n != 1 {
				t.Errorf("%d senders were told that theirs is kept", n)
			}
		}
		dep.End()
		must(t, s.Barrier(t.Context()))
		ours := map[string]string{}
		for k := range rounds {
			sop := fmt.Sprint("1.2.3.4.", k)
			w, err := s.ward(t.Context(), collection.Default)
			must(t, err)
			ours[w.keys.UID(sop)] = sop
		}
		for _, l := range s.rows() {
			if l.Variant != 0 {
				continue
			}
			b, _ := s.content(l)
			if sop := ours[string(l.SOP)]; kept[string(b[len(b)-8:])+sop] != sop {
				t.Errorf("%s is kept, and somebody else was told so", b[len(b)-8:])
			}
		}
		if n := len(s.claims.by); n != 0 {
			t.Errorf("%d claims are left", n)
		}
	})
}

func TestTickets(t *testing.T) {
	c := &Custody{}
	c.claims.init()
	w := &ward{}
	first, second, third := c.claim(w, "1.2", [32]byte{1}), c.claim(w, "1.2", [32]byte{2}), c.claim(w, "1.2", [32]byte{2})
	second.answer = Receipt{Outcome: Held}
	second.durable()
	first.durable()
	if !first.conflicts() || second.conflicts() {
		t.Error("the one that was durable first is not the one")
	}
	b, err := c.known(t.Context(), w, nil, "1.2", third)
	if err != nil || !b.again || b.outcome != Held {
		t.Errorf("%+v %v", b, err)
	}
	second.settled()
	second.settled()
	if len(c.claims.by) != 1 {
		t.Error("it is forgotten while others are on their way")
	}
	first.settled()
	third.settled()
	if len(c.claims.by) != 0 {
		t.Error("it is remembered for ever")
	}
}

// What hides a name in a value that came before the name is known when it is searched.
func TestEarlyValuesAreSearched(t *testing.T) {
	lex, err := (*deid.Lexicon)(nil).With(deid.Term{Kind: deid.TermName, Text: "WINTERBOURNE ADA"})
	must(t, err)
	for _, c := range []struct {
		values []string
		found  []string
	}{
		{[]string{"nothing", "at all"}, nil},
		{[]string{"xx Winterbourne Ada xx", "nothing"}, []string{"0"}},
		{[]string{"nothing", "", "xx Winterbourne Ada xx"}, []string{"2"}},
		{[]string{"xx Winterb", "ourne Ada xx"}, nil},
		{[]string{"xx Winterbourne Ada xx", "Ada Winterbourne"}, []string{"0", "1"}},
	} {
		for _, cut := range []int{1, 5, 1000} {
			var found []deid.Reason
			e := earlyValues{found: &found, matcher: deid.NewMatcher(lex)}
			var all []byte
			for i, v := range c.values {
				e.add(string(rune('0'+i)), int64(len(v)))
				all = append(all, v...)
			}
			for len(all) > 0 {
				n := min(cut, len(all))
				if _, err := e.Write(all[:n]); err != nil {
					t.Fatal(err)
				}
				all = all[n:]
			}
			for len(e.values) > 0 {
				e.end()
			}
			var got []string
			for _, r := range found {
				got = append(got, r.Where)
			}
			if len(got) != len(c.found) || len(got) > 0 && got[0] != c.found[0] {
				t.Errorf("%q in pieces of %d: %q", c.values, cut, got)
			}
		}
	}
}

// A sender who breaks off exactly behind a value of a large object leaves nothing: what came is not the whole, although it reads like one.
func TestBreaksOffBehindAValue(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		padding := []byte("padding!")
		whole, _, err := image(t, "1.2.3.4", func(b *dicom.Builder) {
			b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, inlineBytes+4<<20))
			b.Raw(dicom.TagDataSetTrailingPadding, dicom.VROB, padding)
		}).Data.ReadAll(nil, 1<<30)
		must(t, err)
		cut := whole[:len(whole)-12-len(padding)]
		for _, broken := range []error{io.ErrUnexpectedEOF, fmt.Errorf("read: %w", io.ErrUnexpectedEOF), errors.New("connection reset")} {
			dep, err := s.Begin(t.Context(), collection.Default, DoorSTOW, "token-1")
			must(t, err)
			r, err := dep.Receive(t.Context(), Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: FromReader(io.MultiReader(bytes.NewReader(cut), iotest.ErrReader(broken)))})
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%v: %+v, %v", broken, r, err)
			}
			must(t, s.Barrier(t.Context()))
			if all := s.rows(); len(all) != 0 {
				t.Fatalf("%v: %d rows", broken, len(all))
			}
		}
	})
}
