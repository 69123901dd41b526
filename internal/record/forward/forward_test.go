package forward

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record, write func(func(tx *db.Tx) error))) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r, func(fn func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestLine(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *Record, write func(func(tx *db.Tx) error)) {
		if _, err := r.Line(t.Context(), "node"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		l := Line{Name: "node", Collection: "breast", Target: "https://a.example", Secret: "site"}
		write(func(tx *db.Tx) error { return r.Begin(tx, l) })
		l.Target, l.Secret, l.Collection = "https://b.example", "node", "lung" // secret and collection never change
		write(func(tx *db.Tx) error { return r.Begin(tx, l) })
		write(func(tx *db.Tx) error { return r.Refreshed(tx, "node") })
		got, err := r.Line(t.Context(), "node")
		if err != nil || got.Target != "https://b.example" || got.Secret != "site" || got.Collection != "breast" || got.Refreshed.IsZero() || !got.Succeeded.IsZero() || got.Began.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// Studies wait in the order in which they were asked for, each once; what is asked for while it is sent waits again, in its place.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *Record, write func(func(tx *db.Tx) error)) {
		ask := func(id catalogue.StudyID) {
			write(func(tx *db.Tx) error {
				return r.Ask(tx, "node", Study{Study: id, Collection: "breast", UID: "2.25.1", Subject: 7})
			})
		}
		more := r.Signalled()
		for _, id := range []catalogue.StudyID{3, 1, 2, 3} {
			ask(id)
		}
		select {
		case <-more:
		default:
			t.Error("nobody is told")
		}
		write(func(tx *db.Tx) error { return r.Ask(tx, "other", Study{Study: 9}) })
		waiting := func() (ids []catalogue.StudyID, all []Study) {
			all, err := r.Waiting(t.Context(), "node", 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				ids = append(ids, s.Study)
			}
			return ids, all
		}
		ids, all := waiting()
		if diff := cmp.Diff([]catalogue.StudyID{3, 1, 2}, ids); diff != "" || all[0].Subject != 7 || all[0].UID != "2.25.1" || all[0].Collection != "breast" {
			t.Fatal(diff, all)
		}
		done := func(s Study) (ok bool) {
			write(func(tx *db.Tx) (err error) { ok, err = r.Done(tx, "node", s); return err })
			return ok
		}
		ask(1) // while it is sent
		if done(all[1]) {
			t.Error("what was asked for meanwhile is taken for sent")
		}
		if !done(all[0]) {
			t.Error("what was sent waits")
		}
		ids, all = waiting()
		if diff := cmp.Diff([]catalogue.StudyID{1, 2}, ids); diff != "" {
			t.Error(diff)
		}
		if !done(all[0]) {
			t.Error("what was sent again waits")
		}
	})
}

// What was sent is known with the place that it was read from, counted by what became of it, and taken back once something is found in it.
func TestSent(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record, write func(func(tx *db.Tx) error)) {
		cat, err := catalogue.OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := subject.OpenRecord(t.Context(), d); err != nil { // who has withdrawn is asked there
			t.Fatal(err)
		}
		cols, err := collection.OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		var added []catalogue.Outcome
		write(func(tx *db.Tx) error {
			if err := cols.Create(tx, collection.Collection{ID: "breast", Profile: "research", ProfileVersion: "1"}); err != nil {
				return err
			}
			dep, err := cat.StartDeposit(tx, "breast", "dimse", "test")
			if err != nil {
				return err
			}
			var entries []catalogue.Entry
			for i, sop := range []catalogue.SOPUID{"2.25.11", "2.25.12", "2.25.13"} {
				entries = append(entries, catalogue.Entry{Collection: "breast", Subject: 7, Study: "2.25.1", Series: "2.25.2", SOP: sop, Ref: catalogue.Ref{Offset: int64(4096 * (i + 1))}, HeadSize: 10, Digest: [32]byte{byte(i)}, State: policy.Received, Deposit: dep, Ordinal: int64(i) + 1})
			}
			if added, err = cat.AddBatch(tx, entries); err != nil {
				return err
			}
			_, err = tx.Exec(`UPDATE instance SET state = 2`)
			return err
		})
		l, err := cat.Instance(t.Context(), added[0].Instance)
		if err != nil {
			t.Fatal(err)
		}
		write(func(tx *db.Tx) error {
			if err := r.Begin(tx, Line{Name: "node", Collection: "breast", Secret: "node"}); err != nil {
				return err
			}
			return r.Ask(tx, "node", Study{Study: l.StudyID, Collection: "breast", UID: l.Study, Subject: 7})
		})
		tally := func() Tally {
			t.Helper()
			n, err := r.Tally(t.Context(), "node")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := tally(); n.Studies != 1 || n.Waiting != 3 || n.Oldest.IsZero() || n.Recalls != 0 {
			t.Errorf("%+v", n)
		}
		note := func(k int, outcome string, reasons ...catalogue.Reason) {
			t.Helper()
			l, err := cat.Instance(t.Context(), added[k].Instance)
			if err != nil {
				t.Fatal(err)
			}
			write(func(tx *db.Tx) error {
				return r.Note(tx, "node", Sent{Instance: l.ID, Study: l.StudyID, Subject: l.Subject, Ref: l.Ref, UID: l.SOP, Outcome: outcome, Reasons: reasons})
			})
		}
		write(func(tx *db.Tx) error { return r.Piece(tx, "node", l.ID, l.Ref, "1 1 abc") })
		if place, err := r.PieceOf(t.Context(), "node", l.ID, l.Ref); err != nil || place != "1 1 abc" {
			t.Error(place, err)
		}
		if place, err := r.PieceOf(t.Context(), "node", l.ID, catalogue.Ref{Offset: 1}); err != nil || place != "" {
			t.Error("pieces of another record are gone on with", place, err)
		}
		note(0, "kept")
		if place, err := r.PieceOf(t.Context(), "node", l.ID, l.Ref); err != nil || place != "" {
			t.Error(place, err)
		}
		note(1, "held", catalogue.Reason{Code: "not-proven", Where: "(0010,1010)", Text: "..."})
		sent, err := r.SentOf(t.Context(), "node", l.StudyID)
		if err != nil || len(sent) != 2 || sent[l.ID] != l.Ref {
			t.Error(sent, err)
		}
		if n := tally(); n.Waiting != 1 || n.Outcomes["kept"] != 1 || n.Outcomes["held"] != 1 {
			t.Errorf("%+v", n)
		}
		if line, err := r.Line(t.Context(), "node"); err != nil || line.Succeeded.IsZero() {
			t.Error(line, err)
		}
		// Something is found in all of them: what is in sight there is taken back, once.
		write(func(tx *db.Tx) error {
			for _, o := range added {
				if _, err := cat.Hold(tx, o.Instance, catalogue.Reason{Code: "echo", Text: "..."}); err != nil {
					return err
				}
			}
			return nil
		})
		all, err := r.Recalls(t.Context(), "node", 10)
		if err != nil || len(all) != 1 || all[0].UID != "2.25.11" || tally().Recalls != 1 {
			t.Fatal(all, err)
		}
		write(func(tx *db.Tx) error { return r.Recalled(tx, "node", all) })
		if all, err := r.Recalls(t.Context(), "node", 10); err != nil || len(all) != 0 || tally().Recalls != 0 {
			t.Error(all, err)
		}
		// Cleaned anew, it lies elsewhere and is sent anew.
		write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE instance SET state = 2, pack_offset = 77 WHERE id = ?`, int64(l.ID))
			return err
		})
		if n := tally(); n.Waiting != 1 {
			t.Errorf("%+v", n)
		}
		// What was refused is sent once more when that is asked for; what is held there is not.
		note(2, "refused", catalogue.Reason{Code: "http-413", Text: "..."})
		waiting, err := r.Waiting(t.Context(), "node", 1)
		if err != nil || len(waiting) != 1 {
			t.Fatal(waiting, err)
		}
		write(func(tx *db.Tx) error { _, err := r.Done(tx, "node", waiting[0]); return err })
		write(func(tx *db.Tx) error { return r.Again(tx, "node") })
		if again, err := r.Waiting(t.Context(), "node", 9); err != nil || len(again) != 1 || again[0].Study != l.StudyID || again[0].UID != l.Study || again[0].Collection != "breast" || again[0].Subject != 7 {
			t.Error(again, err)
		}
		if n := tally(); n.Outcomes["refused"] != 0 || n.Outcomes["held"] != 1 {
			t.Errorf("%+v", n)
		}
		note(0, "conflict")
		if n := tally(); n.Waiting != 0 || n.Outcomes["conflict"] != 1 || n.Outcomes["kept"] != 0 {
			t.Errorf("%+v", n)
		}
	})
}
