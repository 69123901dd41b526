package directory_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *directory.Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := directory.OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

func TestDraftPublishReviseRetire(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *directory.Record) {
		ctx := t.Context()
		write := func(fn func(tx *db.Tx) error) error { return d.Write(ctx, fn) }
		save := func(id directory.ID, e directory.Entry, base int64, by string) (n int64, err error) {
			err = write(func(tx *db.Tx) error { n, err = r.Save(tx, id, e, base, by, "why "+by); return err })
			return n, err
		}
		publish := func(id directory.ID, n int64) error {
			return write(func(tx *db.Tx) error { return r.Publish(tx, id, n, "steward") })
		}
		began := time.Now().Add(-time.Second)
		full := directorytest.Full().Entry

		if _, err := r.Get(ctx, "lungs"); !fault.Is(err, fault.NotFound) {
			t.Errorf("before it exists: %v", err)
		}
		if n, err := save("lungs", full, 0, "ada"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		s, err := r.Get(ctx, "lungs")
		if err != nil || s.State != directory.Draft || s.Revision != 1 || s.By != "ada" || s.Note != "why ada" || s.At.Before(began) || s.Published != 0 || !s.Issued.IsZero() {
			t.Errorf("%+v, %v", s, err)
		}
		if diff := cmp.Diff(full, s.Entry); diff != "" {
			t.Error(diff)
		}
		if _, err := r.Seen(ctx, "lungs"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a draft is seen: %v", err)
		}

		seen := d.Signalled(directory.Changed)
		if err := publish("lungs", 1); err != nil {
			t.Fatal(err)
		}
		select {
		case <-seen:
		default:
			t.Error("no signal of the publication")
		}
		first, err := r.Seen(ctx, "lungs")
		if err != nil || first.State != directory.Published || first.Published != 1 || first.StateBy != "steward" || first.Issued.Before(began) || first.Change != 1 {
			t.Errorf("%+v, %v", first, err)
		}

		// A later draft changes nothing for the public.
		next := full
		next.Title = "A better title"
		if n, err := save("lungs", next, 1, "ben"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if s, err := r.Seen(ctx, "lungs"); err != nil || s.Entry.Title != full.Title || s.Latest != 2 || s.Revision != 1 {
			t.Errorf("%q, %+v, %v", s.Entry.Title, s.Latest, err)
		}
		if s, err := r.Get(ctx, "lungs"); err != nil || s.Entry.Title != next.Title || s.By != "ben" || s.State != directory.Published {
			t.Errorf("%+v, %v", s, err)
		}
		if n, err := r.Change(ctx); n != 1 || err != nil {
			t.Errorf("change %d, %v", n, err)
		}
		// Who has not seen that revision cannot save over it.
		if _, err := save("lungs", full, 1, "cal"); !fault.Is(err, fault.Conflict) {
			t.Errorf("saved over: %v", err)
		}
		if _, err := save("lungs", full, 0, "cal"); !fault.Is(err, fault.Conflict) {
			t.Errorf("made twice: %v", err)
		}
		if _, err := save("hearts", full, 3, "cal"); !fault.Is(err, fault.NotFound) {
			t.Errorf("saved what is not there: %v", err)
		}

		if err := publish("lungs", 2); err != nil {
			t.Fatal(err)
		}
		if s, err := r.Seen(ctx, "lungs"); err != nil || s.Entry.Title != next.Title || !s.Issued.Equal(first.Issued) {
			t.Errorf("%+v, %v", s, err)
		}
		revisions, err := r.Revisions(ctx, "lungs")
		if err != nil || len(revisions) != 2 || revisions[0].Revision != 2 || revisions[0].By != "ben" || revisions[1].By != "ada" {
			t.Errorf("%+v, %v", revisions, err)
		}
		if s, err := r.At(ctx, "lungs", 1); err != nil || s.Entry.Title != full.Title {
			t.Errorf("revision 1: %q, %v", s.Entry.Title, err)
		}
		if err := publish("lungs", 9); !fault.Is(err, fault.NotFound) {
			t.Errorf("published a revision that is not there: %v", err)
		}

		// Retired and brought back.
		retire := func(id directory.ID) error { return write(func(tx *db.Tx) error { return r.Retire(tx, id, "ben") }) }
		if err := retire("lungs"); err != nil {
			t.Fatal(err)
		}
		if err := retire("lungs"); err != nil {
			t.Errorf("retired twice: %v", err)
		}
		if err := retire("hearts"); !fault.Is(err, fault.NotFound) {
			t.Errorf("retired what is not there: %v", err)
		}
		if _, err := r.Seen(ctx, "lungs"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a retired entry is seen: %v", err)
		}
		changes, err := r.Changes(ctx, 0, 10)
		if err != nil || len(changes) != 1 || changes[0].State != directory.Retired || changes[0].Change != 3 {
			t.Errorf("%+v, %v", changes, err)
		}
		if err := publish("lungs", 1); err != nil {
			t.Fatal(err)
		}
		if s, err := r.Seen(ctx, "lungs"); err != nil || s.Revision != 1 || s.Change != 4 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestWhatMayNotBeStored(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *directory.Record) {
		ctx := t.Context()
		save := func(id directory.ID, edit func(e *directory.Entry), note string) error {
			e := directorytest.Minimal()
			edit(&e)
			return d.Write(ctx, func(tx *db.Tx) error { _, err := r.Save(tx, id, e, 0, "ada", note); return err })
		}
		nothing := func(*directory.Entry) {}
		for name, c := range map[string]struct {
			id   directory.ID
			edit func(e *directory.Entry)
			note string
		}{
			"id":      {"A B", nothing, ""},
			"problem": {"a", func(e *directory.Entry) { e.DOI = "x" }, ""},
			"note":    {"a", nothing, "two\nlines"},
			"long":    {"a", nothing, strings.Repeat("a", 501)},
		} {
			if err := save(c.id, c.edit, c.note); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := save("a", func(e *directory.Entry) { e.Title = "" }, ""); err != nil {
			t.Errorf("a draft may lack things: %v", err)
		}
		err := d.Write(ctx, func(tx *db.Tx) error { return r.Publish(tx, "a", 1, "ada") })
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "title") {
			t.Errorf("published without a title: %v", err)
		}

		// A local collection has one entry.
		held := func(e *directory.Entry) { e.Holding, e.Collection = directory.Here, "trial-1" }
		if err := save("trial-1", held, ""); err != nil {
			t.Fatal(err)
		}
		if err := save("trial-one", held, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second entry of a collection: %v", err)
		}
		if s, err := r.OfCollection(ctx, "trial-1"); err != nil || s.ID != "trial-1" {
			t.Errorf("%+v, %v", s, err)
		}
		if _, err := r.OfCollection(ctx, "trial-2"); !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
	})
}

// Of many who save the same revision at once one wins, and the others hear of it.
func TestOneOfManyWritersWins(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *directory.Record) {
		e := directorytest.Minimal()
		for base := range int64(3) {
			var wg sync.WaitGroup
			won := make([]bool, 6)
			for i := range won {
				wg.Go(func() {
					err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := r.Save(tx, "one", e, base, "ada", ""); return err })
					if won[i] = err == nil; err != nil && !fault.Is(err, fault.Conflict) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			n := 0
			for _, w := range won {
				if w {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d of them won", n)
			}
		}
		if v, err := r.Revisions(t.Context(), "one"); err != nil || len(v) != 3 {
			t.Errorf("%d revisions, %v", len(v), err)
		}
	})
}

// Lists and changes come in pages that together are everything, once.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *directory.Record) {
		ctx := t.Context()
		made := directorytest.Make(3, 23)
		for i, m := range made {
			if err := d.Write(ctx, func(tx *db.Tx) error {
				if _, err := r.Save(tx, m.ID, m.Entry, 0, "ada", ""); err != nil || i%3 == 2 {
					return err
				}
				return r.Publish(tx, m.ID, 1, "ada")
			}); err != nil {
				t.Fatal(err)
			}
		}
		counts := map[directory.State]int{}
		for _, state := range []directory.State{0, directory.Draft, directory.Published, directory.Retired} {
			var after directory.ID
			for {
				page, err := r.List(ctx, state, after, 5)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				for _, s := range page {
					if s.ID <= after || state != 0 && s.State != state {
						t.Errorf("%s after %s in state %s", s.ID, after, s.State)
					}
					after = s.ID
					counts[state]++
				}
			}
		}
		if counts[0] != 23 || counts[directory.Draft] != 7 || counts[directory.Published] != 16 || counts[directory.Retired] != 0 {
			t.Errorf("%v", counts)
		}
		var last int64
		n := 0
		for {
			page, err := r.Changes(ctx, last, 4)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				if s.Change <= last {
					t.Errorf("change %d after %d", s.Change, last)
				}
				last = s.Change
				n++
			}
		}
		if now, err := r.Change(ctx); n != 16 || last != now || err != nil {
			t.Errorf("%d changes, the last is %d of %d, %v", n, last, now, err)
		}
	})
}
