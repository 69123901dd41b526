package custody

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const letterText = "%PDF-1.4 Mrs Winterbourne, H-4471 882, was seen by Dr Obermayer "

// paper is a letter about the patient of image.
func paper(t *testing.T, sop string, size int) Incoming {
	t.Helper()
	return image(t, sop, func(b *dicom.Builder) {
		b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.104.1")
		b.String(dicom.TagModality, "DOC")
		b.String(dicom.TagDocumentTitle, "Letter about Winterbourne")
		b.String(dicom.TagMIMETypeOfEncapsulatedDocument, "application/pdf")
		b.String(dicom.TagPatientIdentityRemoved, "YES") // as somebody said before
		doc := []byte(letterText)
		doc = append(doc, bytes.Repeat([]byte{' '}, max(size-len(doc), len(doc)%2))...)
		b.Raw(dicom.TagEncapsulatedDocument, dicom.VROB, doc)
	})
}

// kept fails the test unless an instance is kept restricted: its header cleaned, and its document as it came.
func (s *spine) kept(l catalogue.Located) {
	s.t.Helper()
	b, d := s.content(l)
	if l.State != policy.Restricted || len(l.Reasons) == 0 {
		s.t.Errorf("it is %s for %v", l.State, l.Reasons)
	}
	if d.String(dicom.TagPatientName) == "Winterbourne^Ada" || d.String(dicom.TagPatientID) == "H-4471 882" || strings.Contains(d.String(dicom.TagDocumentTitle), "Winterbourne") {
		s.t.Error("its header was not cleaned")
	}
	if v := d.String(dicom.TagPatientIdentityRemoved); v != "NO" {
		s.t.Errorf("patient identity removed: %q", v)
	}
	if !bytes.Contains(b, []byte(letterText)) || bytes.Count(b, []byte("Winterbourne")) != 1 {
		s.t.Error("its document is not what came, or its header names the patient")
	}
	if d.UID(dicom.TagSOPInstanceUID) != string(l.SOP) {
		s.t.Error("it is another object than the catalogue says")
	}
}

func TestKeptRestricted(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		for _, size := range []int{0, 2 << 20, 40 << 20} { // in the header, beside it, and larger than memory should hold
			func() {
				sop := fmt.Sprintf("1.2.3.4.%d", size+1)
				if r := s.deposit(paper(t, sop, size)); r[0].Outcome != Held {
					t.Fatal(r)
				}
				l := s.waits()[0]
				if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) == 0 {
					t.Fatal("a document was accepted", why, err)
				}
				if why, err := s.Restrict(t.Context(), l, ada); err != nil || len(why) > 0 {
					t.Fatal(why, err)
				}
				now, err := s.catalogue.Instance(t.Context(), l.ID)
				must(t, err)
				s.kept(now)
				must(t, s.admitDue(t.Context()))
				if now, err = s.catalogue.Instance(t.Context(), l.ID); err != nil || now.State != policy.Restricted {
					t.Error(now.State, err)
				}
				if r := s.deposit(paper(t, sop, size)); r[0].Outcome != Held {
					t.Errorf("the same bytes again are %v", r)
				}
				if _, err := s.Restrict(t.Context(), now, ada); !fault.Is(err, fault.Conflict) {
					t.Errorf("restricted again: %v", err)
				}
				if why, err := s.Accept(t.Context(), now, ada); err != nil || len(why) == 0 {
					t.Errorf("a document that was kept was accepted: %v %v", why, err)
				}
			}()
		}
		c, err := s.catalogue.Intake(t.Context(), collection.Default)
		must(t, err)
		if c.Held != 0 || c.Catalogued != 0 || c.Pending != 0 || c.Restricted != 3 || c.Received != 3 {
			t.Errorf("%+v", c)
		}
		if got := s.decisions(); len(got) != 3 || got[0] != "person-ada kept restricted: a ruler and nothing else" {
			t.Errorf("%q", got)
		}
		// Nobody finds it, not even a steward who searches; and what is published is not it.
		who := []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}, {Role: policy.Researcher, Collection: policy.AllCollections}}
		q := catalogue.Query{Scopes: policy.Scopes(who, policy.Search, policy.Link{})}
		for st, err := range s.catalogue.Locate(t.Context(), catalogue.Where{Scopes: q.Scopes, Study: s.rows()[0].Study}) {
			t.Error("a search finds", st.State, err)
		}
		must(t, s.db.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := s.catalogue.Release(tx, collection.Default, s.rows()[0].Study, "ada"); !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
				t.Error("it was released:", err)
			}
			return nil
		}))
	})
}

// restrictedAndDead restricts, and dies when the record is durable and before the catalogue knows.
func (s *spine) restrictedAndDead(l catalogue.Located) {
	s.t.Helper()
	s.again(false)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Restrict(ctx, l, ada)
		done <- err
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.waiting() == 0 {
		select {
		case <-tick.C:
		case err := <-done:
			s.t.Fatal("it ended before its record was durable:", err)
		}
	}
	cancel()
	<-done
}

func TestRestrictionSurvives(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(paper(t, "1.2.3.4", 0), image(t, "1.2.3.5", nil))
		before := s.waits()[0]
		s.restrictedAndDead(before)
		for range 2 {
			s.again(true) // it is replayed, once
			if len(s.waits()) != 0 || len(s.rows()) != 2 || len(s.decisions()) != 1 {
				t.Fatalf("%d wait of %d, %d decisions", len(s.waits()), len(s.rows()), len(s.decisions()))
			}
			now, err := s.catalogue.Instance(t.Context(), before.ID)
			must(t, err)
			s.kept(now)
		}
		// From the packs alone.
		s.die()
		s.forget()
		s.born(true)
		var kept int
		for _, l := range s.rows() {
			switch l.State {
			case policy.Restricted:
				kept++
				s.kept(l)
			case policy.Held:
				t.Error("it is held again")
			}
		}
		if kept != 1 {
			t.Errorf("%d are kept", kept)
		}
	})
}

// What was kept can be refused, as what is held can.
func TestKeptIsRefused(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(paper(t, "1.2.3.4", 0))
		if why, err := s.Restrict(t.Context(), s.waits()[0], ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		must(t, s.Refuse(t.Context(), s.rows()[0], ada))
		if len(s.rows()) != 0 {
			t.Error("it is there")
		}
		if r := s.deposit(paper(t, "1.2.3.4", 0)); len(r[0].Reasons) != 1 || r[0].Reasons[0].Code != CodeRefused {
			t.Errorf("the same bytes again: %v", r)
		}
		c, err := s.catalogue.Intake(t.Context(), collection.Default)
		must(t, err)
		if c.Restricted != 0 || c.Refused != 2 || c.Received != 2 {
			t.Errorf("%+v", c)
		}
	})
}

// What was kept and could have been accepted is accepted by the same checks; after a crash too, and from the packs alone.
func TestKeptIsAccepted(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned), image(t, "1.2.3.5", burned))
		for _, l := range s.waits() {
			if why, err := s.Restrict(t.Context(), l, ada); err != nil || len(why) > 0 {
				t.Fatal(why, err)
			}
		}
		for _, l := range s.rows() {
			if _, d := s.content(l); d.String(dicom.TagBurnedInAnnotation) != "YES" || d.String(dicom.TagPatientIdentityRemoved) != "NO" {
				t.Error("it says that it was cleaned")
			}
		}
		if why, err := s.Accept(t.Context(), s.rows()[0], ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		s.appended(s.rows()[1])
		s.again(true)
		for range 2 {
			for _, l := range s.rows() {
				s.clean(l, policy.Received)
				if _, d := s.content(l); d.String(dicom.TagDeidentificationMethod) == "" {
					t.Error("it does not say how it was cleaned")
				}
			}
			if len(s.rows()) != 2 {
				t.Fatal(s.rows())
			}
			s.die()
			s.forget()
			s.born(true)
		}
	})
}

// What a later image says of the patient is taken out of what was restricted and is accepted.
func TestKeptIsSearchedWhenItIsAccepted(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", func(b *dicom.Builder) {
			burned(b)
			b.String(dicom.TagDeviceSerialNumber, "QX778120")
		}))
		if why, err := s.Restrict(t.Context(), s.waits()[0], ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		s.deposit(image(t, "1.2.3.5", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
		for _, l := range s.rows() {
			if l.State != policy.Restricted {
				continue
			}
			if b, _ := s.content(l); !bytes.Contains(b, []byte("QX778120")) {
				t.Fatal("it has nothing to be taken out")
			}
			if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) > 0 {
				t.Fatal(why, err)
			}
			now, err := s.catalogue.Instance(t.Context(), l.ID)
			must(t, err)
			s.clean(now, policy.Received)
			if b, _ := s.content(now); bytes.Contains(b, []byte("QX778120")) {
				t.Error("it is in what was accepted")
			}
		}
	})
}

// A conflict is kept under the UID that it came with, beside the object that has it.
func TestConflictIsKept(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", nil), image(t, "1.2.3.4", burned))
		l := s.waits()[0]
		if l.State != policy.Conflict {
			t.Fatal(l.State)
		}
		if why, err := s.Restrict(t.Context(), l, ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		now, err := s.catalogue.Instance(t.Context(), l.ID)
		if err != nil || now.State != policy.Restricted || now.SOP != l.SOP || now.Variant != l.Variant {
			t.Error(now.State, now.Variant, err)
		}
		if why, err := s.Accept(t.Context(), now, ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		if now, err = s.catalogue.Instance(t.Context(), l.ID); err != nil || now.SOP == l.SOP {
			t.Error("it took the UID of what is known", err)
		}
		s.clean(now, policy.Received)
	})
}

// Of several who decide at once, one has decided; and what is withdrawn is nobody's.
func TestRestrictedOnce(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned), image(t, "1.2.3.5", burned), image(t, "1.2.3.6", burned))
		for _, l := range s.waits() {
			var wg sync.WaitGroup
			var mu sync.Mutex
			done := 0
			for k := range 3 {
				wg.Go(func() {
					var err error
					switch k {
					case 0:
						_, err = s.Restrict(t.Context(), l, ada)
					case 1:
						_, err = s.Accept(t.Context(), l, ada)
					default:
						err = s.Refuse(t.Context(), l, ada)
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						done++
					} else if !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			// A refusal may come to what was restricted a moment before; nothing else comes second.
			if done != 1 && done != 2 {
				t.Errorf("%d were done", done)
			}
		}
		rows := s.rows()
		s.deposit(paper(t, "1.2.3.9", 0))
		for _, l := range s.waits() {
			if _, err := s.Restrict(t.Context(), l, ada); err != nil {
				t.Fatal(err)
			}
		}
		all := s.rows()
		if len(all) != len(rows)+1 {
			t.Fatal(len(all), len(rows))
		}
		must(t, s.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := s.catalogue.Withdraw(tx, collection.Default, all[0].Subject)
			return err
		}))
		for _, l := range s.rows() {
			if l.State != policy.Withdrawn {
				t.Error(l.State)
			}
		}
	})
}
