package custody

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// spine is custody over stores of its own, which a test can let die at any moment: what was not catalogued then is in the packs alone.
type spine struct {
	*Custody
	t      *testing.T
	dir    string
	master *keys.Master
	stop   func()
}

func eachSpine(t *testing.T, test func(t *testing.T, s *spine)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		m, err := keys.CreateMaster(filepath.Join(t.TempDir(), "master.key"))
		must(t, err)
		s := &spine{Custody: &Custody{db: d}, t: t, dir: t.TempDir(), master: m}
		s.born(true)
		must(t, d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := s.collections.EnsureDefault(tx, "1")
			return err
		}))
		t.Cleanup(func() { s.die() })
		test(t, s)
	}, db.Durable, db.SecureDelete)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// born opens the stores as a node does when it starts. Without catalogue, what becomes durable goes no further: the process is about to die.
func (s *spine) born(catalogued bool) {
	s.t.Helper()
	ctx, d := context.Background(), s.Custody.db
	log, err := audit.Open(ctx, d)
	must(s.t, err)
	queue, err := jobs.Open(ctx, d)
	must(s.t, err)
	cols, err := collection.OpenRecord(ctx, d)
	must(s.t, err)
	subjects, err := subject.OpenRecord(ctx, d)
	must(s.t, err)
	work, err := proof.OpenRecord(ctx, d)
	must(s.t, err)
	cat, err := catalogue.OpenRecord(ctx, d)
	must(s.t, err)
	decided, err := ruling.OpenRecord(ctx, d)
	must(s.t, err)
	ring, err := keys.OpenRing(ctx, d, s.master)
	must(s.t, err)
	var c *Custody
	packs, err := pack.OpenStore(ctx, s.dir, pack.Options{PackSize: 8 << 10, Committed: func(done []pack.Committed) { c.Committed(done) }}) // many packs: their names, and so their order, are random
	must(s.t, err)
	c = New(Parts{DB: d, Ring: ring, Packs: packs, Audit: log, Jobs: queue, Collections: cols, Subjects: subjects, Gate: subjects.NewGate(), Catalogue: cat, Proof: work, Rulings: decided, Log: slog.New(slog.DiscardHandler), Quiet: time.Hour})
	must(s.t, c.Replay(ctx))
	s.Custody = c
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	if catalogued {
		go func() { ended <- c.Run(run) }()
	} else {
		ended <- nil
	}
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
		if err := packs.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *spine) die() { s.stop(); s.stop = func() {} }

// again dies and is born.
func (s *spine) again(catalogued bool) { s.t.Helper(); s.die(); s.born(catalogued) }

// forget loses the catalogue, all but collections and subjects: those have migrations of their own and nothing to do with this.
func (s *spine) forget() {
	s.t.Helper()
	must(s.t, s.db.Write(s.t.Context(), func(tx *db.Tx) error {
		for _, table := range []string{"instance", "series", "series_request", "study", "study_part", "study_open", "deposit", "refusal", "intake", "publication", "checkpoint", "unused",
			"proof_work", "proof_subject"} {
			if _, err := tx.Exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		return nil
	}))
}

const testCT = "1.2.840.10008.5.1.4.1.1.2"

// image is a small CT of a made-up patient.
func image(t *testing.T, sop string, more func(b *dicom.Builder)) Incoming {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: testCT, dicom.TagSOPInstanceUID: sop, dicom.TagStudyInstanceUID: "1.2.3", dicom.TagSeriesInstanceUID: "1.2.3.1",
		dicom.TagModality: "CT", dicom.TagPatientID: "H-4471 882", dicom.TagPatientName: "Winterbourne^Ada", dicom.TagStudyDate: "20240105"} {
		b.String(tag, v)
	}
	b.Ints(dicom.TagRows, 2)
	b.Ints(dicom.TagColumns, 2)
	b.Ints(dicom.TagBitsAllocated, 16)
	b.Raw(dicom.TagPixelData, dicom.VROW, []byte("pixels78"))
	if more != nil {
		more(b)
	}
	d, err := b.Dataset()
	must(t, err)
	return Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: FromReader(bytes.NewReader(d.Bytes()))}
}

func burned(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }

// deposit gives instances in one deposit, and catalogues them.
func (s *spine) deposit(all ...Incoming) []Receipt {
	s.t.Helper()
	dep, err := s.Begin(s.t.Context(), collection.Default, DoorSTOW, "token-1")
	must(s.t, err)
	var out []Receipt
	for _, in := range all {
		r, err := dep.Receive(s.t.Context(), in)
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			r = Receipt{Reasons: []Reason{refusal.Reason}}
		} else {
			must(s.t, err)
		}
		out = append(out, r)
	}
	dep.End()
	must(s.t, s.Barrier(s.t.Context()))
	return out
}

func (s *spine) rows() []catalogue.Located {
	s.t.Helper()
	all, err := s.catalogue.All(s.t.Context(), 0, 1000)
	must(s.t, err)
	return all
}

func (s *spine) waits() []catalogue.Located {
	s.t.Helper()
	all, err := s.catalogue.Waiting(s.t.Context(), collection.Default, 0, 0, 1000)
	must(s.t, err)
	return all
}

// content is what is kept of an instance, and its data set.
func (s *spine) content(l catalogue.Located) ([]byte, *dicom.Dataset) {
	s.t.Helper()
	sub, err := s.subjects.Get(s.t.Context(), l.Subject)
	must(s.t, err)
	key, err := s.ring.Get(s.t.Context(), keys.ID(sub.Key))
	must(s.t, err)
	x, err := object.Open(s.t.Context(), s.packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
	must(s.t, err)
	defer x.Close()
	var b bytes.Buffer
	must(s.t, x.WriteDataset(&b))
	d, err := x.Dataset()
	must(s.t, err)
	return b.Bytes(), d
}

// decisions are the outcomes of decisions in the audit log.
func (s *spine) decisions() []string {
	s.t.Helper()
	all, err := s.audit.Entries(s.t.Context(), audit.Filter{Limit: 10000})
	must(s.t, err)
	var out []string
	for _, e := range all {
		if e.Action == policy.DecideHeld.String() {
			out = append(out, e.Actor+" "+e.Outcome)
		}
	}
	return out
}

var ada = Reviewer{Actor: "person-ada", Note: "a ruler and nothing else"}

// clean fails the test unless an instance is received or admitted, cleaned, and its pixels are those that came.
func (s *spine) clean(l catalogue.Located, state policy.State) {
	s.t.Helper()
	b, d := s.content(l)
	if l.State != state || len(l.Reasons) > 0 || l.Variant != 0 {
		s.t.Errorf("it is %s for %v, variant %d", l.State, l.Reasons, l.Variant)
	}
	if bytes.Contains(b, []byte("Winterbourne")) || bytes.Contains(b, []byte("H-4471")) || d.String(dicom.TagPatientIdentityRemoved) != "YES" {
		s.t.Error("it was not cleaned")
	}
	if !bytes.HasSuffix(b, []byte("pixels78")) || d.UID(dicom.TagSOPInstanceUID) != string(l.SOP) {
		s.t.Error("it is another object than the catalogue says")
	}
	if v := d.String(dicom.TagBurnedInAnnotation); v != "" && v != "NO" {
		s.t.Errorf("burned in annotation: %s", v)
	}
}

func TestAcceptedIsCleanedAndAdmitted(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		if r := s.deposit(image(t, "1.2.3.4", burned)); r[0].Outcome != Held {
			t.Fatal(r)
		}
		l := s.waits()[0]
		if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) > 0 {
			t.Fatal(why, err)
		}
		s.clean(s.rows()[0], policy.Received)
		must(t, s.admitDue(t.Context()))
		s.clean(s.rows()[0], policy.Admitted)
		if got := s.decisions(); len(got) != 1 || got[0] != "person-ada accepted: a ruler and nothing else" {
			t.Errorf("%q", got)
		}
		if r := s.deposit(image(t, "1.2.3.4", burned)); r[0].Outcome != Duplicate {
			t.Errorf("the same bytes again are %v", r)
		}
		c, err := s.catalogue.Intake(t.Context(), collection.Default)
		must(t, err)
		if c.Held != 0 || c.Catalogued != 1 || c.Received != 1 {
			t.Errorf("%+v", c)
		}
		if _, err := s.Accept(t.Context(), l, ada); !fault.Is(err, fault.Conflict) {
			t.Errorf("accepted again: %v", err)
		}
		if _, err := s.Accept(t.Context(), s.rows()[0], ada); !fault.Is(err, fault.Conflict) {
			t.Errorf("accepted what is not held: %v", err)
		}
		if n := len(s.decisions()); n != 1 || len(s.rows()) != 1 {
			t.Errorf("%d decisions, %d rows", n, len(s.rows()))
		}
	})
}

// Of several who decide at once, one has decided.
func TestDecidedOnce(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		var all []Incoming
		for k := range 6 {
			all = append(all, image(t, fmt.Sprintf("1.2.3.4.%d", k+1), burned))
		}
		s.deposit(all...)
		for _, l := range s.waits() {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var done []string
			for k := range 4 {
				wg.Go(func() {
					var err error
					what := "refused"
					if k%2 == 0 {
						what = "accepted"
						var why []Reason
						if why, err = s.Accept(t.Context(), l, Reviewer{Actor: "a"}); len(why) > 0 {
							t.Error(why)
						}
					} else {
						err = s.Refuse(t.Context(), l, Reviewer{Actor: "a"})
					}
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						done = append(done, what)
					} else if !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			now, err := s.catalogue.Instance(t.Context(), l.ID)
			if len(done) != 1 || done[0] == "accepted" && (err != nil || now.State != policy.Received) || done[0] == "refused" && !fault.Is(err, fault.NotFound) {
				t.Errorf("%v were done, and it is %s (%v)", done, now.State, err)
			}
		}
		if n := len(s.decisions()); n != 6 || len(s.waits()) != 0 {
			t.Errorf("%d decisions, %d wait", n, len(s.waits()))
		}
	})
}

// appended accepts and dies when the record is durable and before the catalogue knows.
func (s *spine) appended(l catalogue.Located) {
	s.t.Helper()
	s.again(false)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() {
		why, err := s.Accept(ctx, l, ada)
		if len(why) > 0 {
			err = fmt.Errorf("%v", why)
		}
		done <- err
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.waiting() == 0 {
		select {
		case <-tick.C:
		case err := <-done:
			s.t.Fatalf("accepting ended early: %v", err)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		s.t.Fatal(err)
	}
}

// An acceptance whose record is durable is done at the next start, once; one whose record is not has not happened.
func TestAcceptanceIsWholeAfterACrash(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned), image(t, "1.2.3.5", burned))
		one := s.waits()[0]
		s.appended(one)
		if w := s.waits(); len(w) != 2 || w[0].Ref != one.Ref {
			t.Fatal("the catalogue knows already")
		}
		for range 3 { // and is not done again
			s.again(true)
			rows := s.rows()
			if len(rows) != 2 || rows[1].State != policy.Held || rows[0].Ref == one.Ref {
				t.Fatalf("%+v", rows)
			}
			s.clean(rows[0], policy.Received)
			if got := s.decisions(); len(got) != 1 || got[0] != "person-ada accepted: a ruler and nothing else" {
				t.Fatalf("%q", got)
			}
		}
		c, err := s.catalogue.Intake(t.Context(), collection.Default)
		must(t, err)
		if c.Held != 1 || c.Pending != 1 || c.Received != 2 {
			t.Errorf("%+v", c)
		}
		// Before the record: nothing.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Accept(ctx, s.waits()[0], ada); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		s.again(true)
		if len(s.waits()) != 1 || len(s.decisions()) != 1 {
			t.Error("what was given up before it was durable has left something")
		}
		must(t, s.admitDue(t.Context()))
		s.clean(s.rows()[0], policy.Admitted)
	})
}

// What was decided first stands, whatever record the one who came second has left.
func TestAcceptanceThatCameSecond(t *testing.T) {
	for name, first := range map[string]func(s *spine, l catalogue.Located){
		"refused": func(s *spine, l catalogue.Located) { must(s.t, s.Refuse(s.t.Context(), l, ada)) },
		"withdrawn": func(s *spine, l catalogue.Located) {
			must(s.t, s.db.Write(s.t.Context(), func(tx *db.Tx) error {
				_, err := s.catalogue.Withdraw(tx, l.Collection, l.Subject)
				return err
			}))
		},
		"withdrawn and erased": func(s *spine, l catalogue.Located) {
			sub, err := s.subjects.Get(s.t.Context(), l.Subject)
			must(s.t, err)
			must(s.t, s.db.Write(s.t.Context(), func(tx *db.Tx) error {
				if _, err := s.catalogue.Withdraw(tx, l.Collection, l.Subject); err != nil {
					return err
				}
				_, err := s.subjects.Withdraw(tx, l.Subject)
				return err
			}))
			must(s.t, s.ring.Destroy(s.t.Context(), keys.ID(sub.Key)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachSpine(t, func(t *testing.T, s *spine) {
				s.deposit(image(t, "1.2.3.4", burned))
				l := s.waits()[0]
				s.appended(l)
				first(s, l)
				before := len(s.decisions())
				for range 2 {
					s.again(true)
					for _, r := range s.rows() {
						if r.State != policy.Withdrawn || name == "refused" {
							t.Errorf("it is %s", r.State)
						}
					}
					if n := len(s.decisions()); n != before {
						t.Errorf("%d decisions after the start, %d before", n, before)
					}
				}
				if _, err := s.Accept(t.Context(), l, ada); !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// The packs alone make accepted objects again as accepted: in whatever order they are read, and also where the record of what was held is lost.
func TestPacksRememberAcceptances(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		large := make([]byte, inlineBytes+1<<20)
		copy(large[len(large)-8:], "pixels78")
		r := s.deposit(image(t, "1.2.3.4", burned),
			image(t, "1.2.3.5", func(b *dicom.Builder) { // larger than memory should hold, and a part of it has to go
				b.String(dicom.Tag(0x00290010), "SOMEBODY 1.0")
				b.Raw(dicom.Tag(0x00291001), dicom.VROB, large)
			}),
			image(t, "1.2.3.4", func(b *dicom.Builder) { burned(b); b.String(dicom.TagImageComments, "another") }))
		w := s.waits()
		if len(w) != 3 {
			t.Fatalf("%+v", r)
		}
		for _, l := range w {
			if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) > 0 {
				t.Fatal(why, err)
			}
		}
		was := map[catalogue.SOPUID]catalogue.Located{}
		for _, l := range s.rows() {
			s.clean(l, policy.Received)
			was[l.SOP] = l
		}
		if len(was) != 3 || len(s.decisions()) != 3 {
			t.Fatalf("%d rows, %d decisions", len(was), len(s.decisions()))
		}
		s.die()
		s.forget()
		for range 2 {
			s.born(true)
			rows := s.rows()
			if len(rows) != 3 {
				t.Errorf("%d rows", len(rows))
			}
			for _, l := range rows {
				s.clean(l, policy.Received)
				if m := was[l.SOP]; m.Ref != l.Ref || m.Digest != l.Digest || m.Study != l.Study || m.InstanceAttributes != l.InstanceAttributes {
					t.Errorf("an instance became another: %+v, %+v", m, l)
				}
			}
			s.die()
		}
		// The record of what was held first is damaged, and the catalogue lost: what was accepted stands by itself.
		s.forget()
		must(t, s.db.Write(t.Context(), func(tx *db.Tx) error { // as if nothing up to there could be read
			return s.catalogue.SetCheckpoint(tx, w[0].Ref.Pack, catalogued)
		}))
		s.born(true)
		if rows := s.rows(); len(rows) != 3 {
			t.Errorf("%d rows", len(rows))
		}
		for _, l := range s.rows() {
			s.clean(l, policy.Received)
		}
		if r := s.deposit(image(t, "1.2.3.4", burned)); r[0].Outcome != Duplicate {
			t.Errorf("the same bytes again are %v", r)
		}
	})
}

// A conflict is accepted beside what is known, under a UID of its own that its bytes lead to again.
func TestConflictIsAcceptedBeside(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		other := func() Incoming {
			return image(t, "1.2.3.4", func(b *dicom.Builder) { b.Ints(dicom.TagSmallestImagePixelValue, 3) })
		}
		worse := func() Incoming { return image(t, "1.2.3.4", burned) }
		if r := s.deposit(image(t, "1.2.3.4", nil), other(), worse()); r[0].Outcome != Kept || r[1].Outcome != Conflict || r[2].Outcome != Conflict {
			t.Fatal(r)
		}
		main := s.rows()[0]
		for _, l := range s.waits() {
			if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) > 0 {
				t.Fatal(why, err)
			}
		}
		sops := map[catalogue.SOPUID]bool{}
		for _, l := range s.rows() {
			s.clean(l, policy.Received)
			sops[l.SOP] = true
			if l.ID == main.ID && (l.Ref != main.Ref || l.SOP != main.SOP) {
				t.Error("what was known has changed")
			}
		}
		if len(sops) != 3 {
			t.Errorf("%d UIDs", len(sops))
		}
		for _, r := range s.deposit(image(t, "1.2.3.4", nil), other(), worse()) {
			if r.Outcome != Duplicate {
				t.Errorf("the same bytes again are %s", r.Outcome)
			}
		}
		if n := len(s.rows()); n != 3 {
			t.Errorf("%d rows", n)
		}
	})
}

// What was refused leaves nothing that leads to it, and whoever sends it again is told.
func TestRefusedIsToldAgain(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned))
		l := s.waits()[0]
		must(t, s.Refuse(t.Context(), l, Reviewer{Actor: "person-ada", Note: "no consent for ward films"}))
		if len(s.rows()) != 0 {
			t.Error("its row is there")
		}
		reasonOf := func(id catalogue.DepositID) string {
			all, err := s.catalogue.Refusals(t.Context(), id, 0, 10)
			must(t, err)
			if len(all) != 1 || all[0].Reason.Code != CodeRefused {
				t.Fatalf("%+v", all)
			}
			return all[0].Reason.Text
		}
		const text = "a steward refused it: no consent for ward films"
		if got := reasonOf(l.Deposit); got != text {
			t.Errorf("its depositor reads %q", got)
		}
		for range 2 {
			r := s.deposit(image(t, "1.2.3.4", burned))
			if r[0].Outcome != 0 || len(r[0].Reasons) != 1 || r[0].Reasons[0].Code != CodeRefused || r[0].Reasons[0].Text != text {
				t.Errorf("sent again: %+v", r)
			}
			s.again(true)
		}
		last, err := s.catalogue.Deposits(t.Context(), collection.Default, "", 0, 1)
		must(t, err)
		if got := reasonOf(last[0].ID); got != text || last[0].Counts.Refused != 1 {
			t.Errorf("%q, %+v", got, last[0].Counts)
		}
		if r := s.deposit(image(t, "1.2.3.4", func(b *dicom.Builder) { b.String(dicom.TagImageComments, "mended") })); r[0].Outcome != Kept {
			t.Errorf("other bytes are %+v", r)
		}
		if n := len(s.rows()); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

// A deposit that comes while something is accepted may teach what the acceptance did not know: the echo looks again.
func TestAcceptedIsEchoed(t *testing.T) {
	serial := func(b *dicom.Builder) { burned(b); b.String(dicom.TagDeviceSerialNumber, "QX778120") }
	teach := func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }
	for _, when := range []string{"before it is catalogued", "before it is admitted", "afterwards"} {
		t.Run(when, func(t *testing.T) {
			eachSpine(t, func(t *testing.T, s *spine) {
				s.deposit(image(t, "1.2.3.4", serial))
				l := s.waits()[0]
				if when == "before it is catalogued" {
					s.appended(l)
					dep, err := s.Begin(t.Context(), collection.Default, DoorSTOW, "token-1")
					must(t, err)
					_, err = dep.Receive(t.Context(), image(t, "1.2.3.5", teach))
					must(t, err)
					s.again(true)
					must(t, s.db.Write(t.Context(), func(tx *db.Tx) error { return s.catalogue.EndDeposit(tx, dep.ID) }))
				} else {
					if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) > 0 {
						t.Fatal(why, err)
					}
					if when == "afterwards" {
						must(t, s.admitDue(t.Context()))
					}
					s.deposit(image(t, "1.2.3.5", teach))
				}
				must(t, s.admitDue(t.Context()))
				must(t, s.Echo(t.Context(), fmt.Sprint(int64(l.Subject)), nil)) // the job that was added where something was shown
				now, err := s.catalogue.Instance(t.Context(), l.ID)
				must(t, err)
				if now.State != policy.Held || len(now.Reasons) == 0 || now.Reasons[0].Code != "echo" {
					t.Fatalf("it is %s for %v", now.State, now.Reasons)
				}
				// A person's word does not answer that: what is accepted loses it.
				has := func() (yes bool) {
					now, err := s.catalogue.Instance(t.Context(), l.ID)
					must(t, err)
					must(t, s.Header(t.Context(), now, func(ds *dicom.Dataset) error {
						yes = bytes.Contains(ds.Bytes(), []byte("QX778120"))
						return nil
					}))
					return yes
				}
				if !has() {
					t.Error("there was nothing to take out")
				}
				if why, err := s.Accept(t.Context(), now, ada); err != nil || len(why) > 0 {
					t.Errorf("%v %v", why, err)
				}
				must(t, s.admitDue(t.Context()))
				if now, err = s.catalogue.Instance(t.Context(), l.ID); err != nil || now.State != policy.Admitted || has() {
					t.Errorf("it is %s, %v", now.State, err)
				}
			})
		})
	}
}

// What looking does not answer stays held, whoever says what.
func TestWhatAWordDoesNotAnswer(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", func(b *dicom.Builder) {
			burned(b)
			b.String(dicom.TagPixelDataProviderURL, "http://elsewhere.example/1")
		}))
		l := s.waits()[0]
		if why, err := s.Accept(t.Context(), l, ada); err != nil || len(why) != 1 || why[0].Code != "video" {
			t.Errorf("%v %v", why, err)
		}
		if w := s.waits(); len(w) != 1 || w[0].Ref != l.Ref || len(s.decisions()) != 0 {
			t.Error("something has changed")
		}
		named, err := s.Mentions(t.Context(), "Winterbourne is on the ruler", []subject.ID{l.Subject})
		if err != nil || !named {
			t.Errorf("a note that names the patient: %v %v", named, err)
		}
		if named, err := s.Mentions(t.Context(), ada.Note, []subject.ID{l.Subject}); err != nil || named {
			t.Errorf("a note that names nobody: %v %v", named, err)
		}
	})
}

// An acceptance that the catalogue does not take stops nothing else, and leaves the instance held.
func TestUnfitAcceptance(t *testing.T) {
	eachSpine(t, func(t *testing.T, s *spine) {
		s.deposit(image(t, "1.2.3.4", burned), image(t, "1.2.3.5", burned))
		w := s.waits()
		s.appended(w[0])
		ev := s.queue.peek()[0]
		ev.entry.row.SeriesAttributes.JSON = "no object " + strings.Repeat(" ", 3)
		ev.entry.accepts.done = nil
		ev.entry.settled = func() {}
		if n, err := s.settle(t.Context(), []event{ev}); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if ev.entry.accepts.left == nil || len(s.waits()) != 2 || len(s.decisions()) != 0 {
			t.Errorf("%v, %d wait", ev.entry.accepts.left, len(s.waits()))
		}
		s.again(true) // nobody's record stays nobody's
		if len(s.waits()) != 2 {
			t.Errorf("%d wait", len(s.waits()))
		}
		if why, err := s.Accept(t.Context(), w[0], ada); err != nil || len(why) > 0 {
			t.Error(why, err)
		}
	})
}
