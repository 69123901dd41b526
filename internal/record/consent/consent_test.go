package consent

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

func said(link byte, day int, grants ...judge.Use) Event {
	return Event{Collection: "breast", Link: subject.Link{link}, Event: judge.Event{At: time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC), Grants: grants}, Way: Person, Actor: "user-1"}
}

func add(t *testing.T, d *db.DB, r *Record, e Event) bool {
	t.Helper()
	var did bool
	if err := d.Write(context.Background(), func(tx *db.Tx) (err error) { _, did, err = r.Add(tx, e); return err }); err != nil {
		t.Fatal(err)
	}
	return did
}

// Events stand in the order of their recording, whatever day they are of, and the same is there once, whoever records it and however.
func TestEventsAreAddedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		first, early := said(1, 9, judge.Research, judge.Sharing), said(1, 2, judge.Research)
		early.Withdrawal, early.Denies, early.Expires = judge.FromContact, []judge.Use{judge.Genetic}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		early.Form, early.Version, early.Answers = "main", "1.0", map[string]bool{"a": true, "b": false}
		for _, e := range []Event{first, early, said(2, 5, judge.Research)} {
			if !add(t, d, r, e) {
				t.Error("it is known before it was said")
			}
		}
		again := first
		again.Way, again.Actor, again.Grants = Table, "user-2", []judge.Use{judge.Sharing, judge.Research, judge.Sharing}
		if add(t, d, r, again) {
			t.Error("the same is added twice")
		}
		// Anything of it that differs makes another.
		for name, change := range map[string]func(*Event){
			"moment": func(e *Event) { e.At = e.At.Add(time.Microsecond) }, "grants": func(e *Event) { e.Grants = e.Grants[:1] }, "denies": func(e *Event) { e.Denies = []judge.Use{judge.Genetic} },
			"withdrawal": func(e *Event) { e.Withdrawal = judge.FromUse }, "end": func(e *Event) { e.Expires = e.At.AddDate(1, 0, 0) }, "form": func(e *Event) { e.Form, e.Version = "main", "2" },
			"person": func(e *Event) { e.Link = subject.Link{3} }, "collection": func(e *Event) { e.Collection = "lung" }} {
			e := first
			change(&e)
			if !add(t, d, r, e) {
				t.Errorf("another %s is taken for the same", name)
			}
		}
		all, err := r.Of(t.Context(), "breast", subject.Link{1})
		if err != nil || len(all) != 8 || all[0].At != first.At || all[1].At != early.At {
			t.Fatalf("%d events, %v: %+v", len(all), err, all)
		}
		e := all[1]
		if e.Withdrawal != judge.FromContact || len(e.Denies) != 1 || !e.Expires.Equal(early.Expires) || e.Form != "main" || e.Version != "1.0" || len(e.Answers) != 2 || !e.Answers["a"] || e.Answers["b"] || e.Way != Person || e.Actor != "user-1" ||
			time.Since(e.Recorded) > time.Minute {
			t.Errorf("%+v", e)
		}
		if one, err := r.Event(t.Context(), "breast", e.ID); err != nil || one.At != e.At {
			t.Errorf("%+v, %v", one, err)
		}
		if _, err := r.Event(t.Context(), "lung", e.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("an event of another collection: %v", err)
		}
		people := map[subject.Link]int{}
		if err := r.Each(t.Context(), "breast", func(l subject.Link, all []Event) error {
			if _, twice := people[l]; twice {
				t.Error("a person is shown twice")
			}
			people[l] = len(all)
			return nil
		}); err != nil || len(people) != 3 || people[subject.Link{1}] != 8 || people[subject.Link{2}] != 1 {
			t.Errorf("%v, %v", people, err)
		}
	})
}

// Many who record of one person at once each get a place of their own.
func TestEventsAreRecordedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				errs[i] = d.Write(context.Background(), func(tx *db.Tx) error { _, _, err := r.Add(tx, said(1, i/2+1, judge.Research)); return err })
			})
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				t.Error(err)
			}
		}
		if all, err := r.Of(t.Context(), "breast", subject.Link{1}); err != nil || len(all) != 4 {
			t.Errorf("%d events, %v", len(all), err)
		}
	})
}

func TestFormsNeverChange(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		f := Form{Collection: "breast", Name: "main", Version: "1.0", Title: "Consent", Actor: "user-1", Clauses: []Clause{{ID: "a", Text: "I agree.", Grants: []judge.Use{judge.Research}, Always: true},
			{ID: "b", Text: "Companies may.", Grants: []judge.Use{judge.Commercial}, Denies: []judge.Use{judge.Abroad}}}}
		try := func(f Form) (added bool, err error) {
			err = d.Write(context.Background(), func(tx *db.Tx) (err error) { added, err = r.AddForm(tx, f); return err })
			return added, err
		}
		if added, err := try(f); err != nil || !added {
			t.Fatal(added, err)
		}
		if added, err := try(f); err != nil || added {
			t.Errorf("the same again: %v, %v", added, err)
		}
		other := f
		other.Clauses = []Clause{f.Clauses[0]}
		if _, err := try(other); !fault.Is(err, fault.Conflict) {
			t.Errorf("another text under the same version: %v", err)
		}
		got, err := r.Form(t.Context(), "breast", "main", "1.0")
		if err != nil || len(got.Clauses) != 2 || !got.Clauses[0].Always || got.URI() != "urn:vitrine:consent-form:breast:main:1.0" {
			t.Errorf("%+v, %v", got, err)
		}
		for _, c := range []struct {
			answers        map[string]bool
			grants, denies string
			refused        bool
		}{{nil, "research", "", false}, {map[string]bool{"b": true}, "commercial research", "abroad", false}, {map[string]bool{"b": false}, "research", "commercial", false},
			{map[string]bool{"a": false}, "", "", true}, {map[string]bool{"z": true}, "", "", true}} {
			grants, denies, err := got.Resolve(c.answers)
			if (err != nil) != c.refused || text(grants) != c.grants && !c.refused || text(denies) != c.denies && !c.refused {
				t.Errorf("%v: %q, %q, %v", c.answers, text(grants), text(denies), err)
			}
		}
		for name, change := range map[string]func(*Form){"name": func(f *Form) { f.Name = "a b" }, "version": func(f *Form) { f.Version = "" }, "title": func(f *Form) { f.Title = " " }, "policy": func(f *Form) { f.Policy = "a b" },
			"no clause": func(f *Form) { f.Clauses = nil }, "twice": func(f *Form) { f.Clauses = append(f.Clauses, f.Clauses[0]) }, "empty": func(f *Form) { f.Clauses = []Clause{{ID: "a", Text: "x"}} },
			"use": func(f *Form) { f.Clauses = []Clause{{ID: "a", Text: "x", Grants: []judge.Use{"<Obermayer>"}}} }, "long": func(f *Form) { f.Clauses[0].Text = strings.Repeat("x", maxText+1) }} {
			bad := f
			bad.Version = "9"
			bad.Clauses = append([]Clause{}, f.Clauses...)
			change(&bad)
			if _, err := try(bad); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "Obermayer") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestBasesEndAndAreNotRewritten(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		var id int64
		write := func(do func(tx *db.Tx) error) error { return d.Write(context.Background(), do) }
		b := Basis{Collection: "breast", Actor: "user-1", CameBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Basis: judge.Basis{Kind: judge.Section251, Reference: "20/CAG/0001", Until: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), OptOut: judge.OptOutApplies}}
		if err := write(func(tx *db.Tx) (err error) { id, err = r.AddBasis(tx, b); return err }); err != nil {
			t.Fatal(err)
		}
		checked := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		if err := write(func(tx *db.Tx) error {
			return r.RecordCheck(tx, Check{Collection: "breast", Checked: checked, People: 2, Actor: "user-1"}, []subject.Link{{1}, {2}})
		}); err != nil {
			t.Fatal(err)
		}
		all, err := r.Bases(t.Context(), "breast")
		if err != nil || len(all) != 1 || !all[0].OptOutChecked.Equal(checked) || all[0].Covers(b.CameBefore) || !all[0].Covers(b.CameBefore.Add(-1)) || all[0].Covers(time.Time{}) {
			t.Errorf("%+v, %v", all, err)
		}
		if err := write(func(tx *db.Tx) error { return r.EndBasis(tx, "lung", id, "user-2") }); !fault.Is(err, fault.NotFound) {
			t.Errorf("another collection's basis is ended: %v", err)
		}
		if err := write(func(tx *db.Tx) error { return r.EndBasis(tx, "breast", id, "user-2") }); err != nil {
			t.Error(err)
		}
		if err := write(func(tx *db.Tx) error { return r.EndBasis(tx, "breast", id, "user-3") }); !fault.Is(err, fault.NotFound) {
			t.Errorf("it is ended twice: %v", err)
		}
		if all, err := r.Bases(t.Context(), "breast"); err != nil || len(all) != 1 || all[0].EndedBy != "user-2" || all[0].Covers(b.CameBefore.Add(-1)) || all[0].Reference != b.Reference {
			t.Errorf("%+v, %v", all, err)
		}
		// A check takes the place of the one before.
		if err := write(func(tx *db.Tx) error {
			return r.RecordCheck(tx, Check{Collection: "breast", Checked: checked.Add(time.Hour), People: 1, Actor: "user-1"}, []subject.Link{{2}})
		}); err != nil {
			t.Fatal(err)
		}
		opted, err := r.OptedOut(t.Context(), "breast")
		if err != nil || len(opted) != 1 || !opted[subject.Link{2}] {
			t.Errorf("%v, %v", opted, err)
		}
		for l, want := range map[subject.Link]bool{{1}: false, {2}: true} {
			if got, err := r.HasOptedOut(t.Context(), "breast", l); err != nil || got != want {
				t.Errorf("%v: %v, %v", l, got, err)
			}
		}
		if last, err := r.LastCheck(t.Context(), "breast"); err != nil || last.People != 1 {
			t.Errorf("%+v, %v", last, err)
		}
	})
}

func TestWithdrawalsAreErasedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		var id int64
		write := func(do func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(context.Background(), do); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *db.Tx) (err error) {
			id, err = r.AddWithdrawal(tx, Withdrawal{Collection: "breast", Subject: 7, Scope: judge.FromUse, Actor: "user-1", Created: now, EraseAfter: now.AddDate(0, 0, 30), Studies: 2, Instances: 9})
			return err
		})
		write(func(tx *db.Tx) error { return r.Hasten(tx, id, now.AddDate(0, 0, 40)) }) // later: not
		if w, err := r.WithdrawalOf(t.Context(), 7); err != nil || w.ID != id || !w.EraseAfter.Equal(now.AddDate(0, 0, 30)) || !w.Erased.IsZero() || w.Instances != 9 {
			t.Errorf("%+v, %v", w, err)
		}
		write(func(tx *db.Tx) error { return r.Hasten(tx, id, now.AddDate(0, 0, 1)) })
		write(func(tx *db.Tx) error { return r.SetErased(tx, id, now.AddDate(0, 0, 2)) })
		write(func(tx *db.Tx) error { return r.SetErased(tx, id, now.AddDate(0, 0, 3)) })
		if w, err := r.Withdrawal(t.Context(), id); err != nil || !w.EraseAfter.Equal(now.AddDate(0, 0, 1)) || !w.Erased.Equal(now.AddDate(0, 0, 2)) {
			t.Errorf("%+v, %v", w, err)
		}
		if all, err := r.Withdrawals(t.Context(), "lung", 10); err != nil || len(all) != 0 {
			t.Errorf("another collection's: %v, %v", all, err)
		}
		if _, err := r.Withdrawal(t.Context(), id+1); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
