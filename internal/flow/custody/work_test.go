package custody

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
)

// done is what is counted of every deposit, in the order of ways and kinds, and of how many people.
func (s *spine) done() (all []*proof.Work, people int64) {
	s.t.Helper()
	deposits, err := s.catalogue.Deposits(s.t.Context(), collection.Default, "", 0, 100)
	must(s.t, err)
	for _, d := range deposits {
		w, err := s.proof.OfDeposit(s.t.Context(), d.ID)
		must(s.t, err)
		n, err := s.proof.Subjects(s.t.Context(), d.ID)
		must(s.t, err)
		all, people = append(all, w...), people+n
	}
	return all, people
}

// What is counted of a deposit is the same when the process ends before the catalogue knows of it, and when the catalogue is made anew from the packs.
func TestCountsSurvive(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		other := func(b *dicom.Builder) {
			b.String(dicom.TagPatientID, "H-5512 001")
			b.String(dicom.TagStudyInstanceUID, "1.2.9")
		}
		ward := func(b *dicom.Builder) { b.String(dicom.TagProtocolName, "Winterbourne chest") }
		odd := func(b *dicom.Builder) { b.String(dicom.TagSOPClassUID, "1.2.3.19560312") }
		in := func() []Incoming {
			return []Incoming{image(t, "1.2.3.4.1", nil), image(t, "1.2.3.4.2", nil), image(t, "1.2.3.4.3", ward), image(t, "1.2.3.4.4", burned), image(t, "1.2.3.4.5", other),
				image(t, "1.2.3.4.1", nil), image(t, "1.2.3.4.6", odd)}
		}
		s.again(false)
		dep, err := s.Begin(t.Context(), collection.Default, DoorSTOW, "token-1")
		must(t, err)
		for _, x := range in() {
			_, err := dep.Receive(t.Context(), x)
			must(t, err)
		}
		if all, _ := s.done(); len(all) != 0 {
			t.Fatal("it is counted before it is catalogued")
		}
		s.again(true) // it is replayed
		for _, l := range s.waits() {
			if l.SOPClass == testCT {
				why, err := s.Accept(t.Context(), l, ada)
				if err != nil || len(why) > 0 {
					t.Fatal(why, err)
				}
			}
		}
		want, people := s.done()
		if people != 2 {
			t.Errorf("%d people", people)
		}
		type row struct {
			Way                             proof.Way
			Kind                            string
			Objects, Cleaned, Held, Lines   int64
			Reasons                         map[string]int64
			Judged, Searched, First, Little bool
		}
		var got []row
		for _, w := range want {
			if w.Done.Objects != w.Cleaned {
				t.Errorf("%d cleaned, and what was done is of %d", w.Cleaned, w.Done.Objects)
			}
			got = append(got, row{w.Way, w.Kind, w.Objects, w.Cleaned, w.Held, min(1, int64(len(w.Done.Lines))), w.Reasons, strings.HasPrefix(w.Judged, "research "), w.Searched > 0, !w.First.IsZero(), w.Bytes < 5000})
			if strings.Contains(w.Done.Encode()+w.Judged, "Winterbourne") || strings.Contains(w.Kind, "1956") {
				t.Error("it tells of the patient")
			}
		}
		d := cmp.Diff([]row{
			{proof.Arrived, "", 1, 0, 1, 0, map[string]int64{deid.CodeSOPClass: 1}, true, false, false, true},
			{proof.Arrived, testCT, 5, 4, 1, 1, map[string]int64{deid.CodeDeclared: 1}, true, true, false, true},
			{proof.ByPerson, testCT, 1, 1, 0, 1, map[string]int64{}, true, true, true, true},
		}, got)
		if d != "" {
			t.Fatal(d)
		}
		shifted, name := int64(0), int64(0)
		for _, l := range want[1].Done.Lines {
			switch {
			case l.Tag == dicom.TagStudyDate && l.Deed == deid.Shifted && l.By == deid.ByTable:
				shifted = l.Objects
			case l.Tag == dicom.TagPatientName && l.Deed == deid.Replaced:
				name = l.Objects
			}
		}
		if shifted != 4 || name != 4 {
			t.Errorf("%d dates shifted, %d names replaced: %s", shifted, name, want[1].Done.Encode())
		}
		again := func(when string) {
			t.Helper()
			if got, n := s.done(); n != people || cmp.Diff(want, got) != "" {
				t.Errorf("%s: %d people; %s", when, n, cmp.Diff(want, got))
			}
		}
		s.again(true)
		again("after another start")
		s.deposit(in()[0])
		all, _ := s.done()
		if len(all) != len(want) {
			t.Error("the same bytes again are counted again")
		}
		s.die()
		s.forget()
		s.born(true)
		again("from the packs alone")
	})
}

// An acceptance whose record is durable when the process ends is counted once, by the next start.
func TestAcceptanceIsCountedOnce(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned))
		s.appended(s.waits()[0])
		for range 2 {
			s.again(true)
			all, _ := s.done()
			if len(all) != 2 || all[1].Way != proof.ByPerson || all[1].Objects != 1 || all[1].Cleaned != 1 || all[1].Searched == 0 {
				t.Errorf("%+v", all)
			}
		}
	})
}

// What a deposit's record counts stays when a steward refuses: it came.
func TestCountsOfWhatIsRefused(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned))
		before, _ := s.done()
		must(t, s.Refuse(t.Context(), s.waits()[0], ada))
		after, _ := s.done()
		if cmp.Diff(before, after) != "" || len(after) != 1 {
			t.Error(cmp.Diff(before, after))
		}
		refused, err := s.catalogue.RefusedOf(t.Context(), after[0].Deposit)
		must(t, err)
		if cmp.Diff([]catalogue.RefusedCode{{Code: CodeRefused, Decided: true, Items: 1}}, refused) != "" {
			t.Error(refused)
		}
	})
}
