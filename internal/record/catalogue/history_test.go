package catalogue

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// A study's history: which deposits brought how much of it, what of that is held, and its releases. Other studies and what is withdrawn are no part of it.
func TestHistory(t *testing.T) {
	each(t, func(f *fixture) {
		one, two := f.deposit("breast"), f.deposit("breast")
		f.add(f.entry(one, 1, 1, 1, "a"), f.entry(one, 1, 2, 2, "b"), heldEntry(f.entry(one, 1, 2, 3, "c")), f.entry(one, 2, 1, 1, "d"))
		f.add(f.entry(two, 1, 1, 4, "e"))
		f.admitAll()
		study := f.studies(everything, "StudyInstanceUID", "1.2.1")[0].ID
		f.write(func(tx *db.Tx) error { _, err := f.r.Release(tx, "breast", "1.2.1", "token-1"); return err })
		got, err := f.r.Arrivals(f.Context(), study)
		if err != nil || len(got) != 2 {
			f.Fatalf("%v %+v", err, got)
		}
		a, b := got[0], got[1]
		if a.Deposit != one || a.Instances != 3 || a.Held != 1 || a.Bytes != 18000 || a.Door != "dicomweb" || a.Actor != "token-1" || b.Deposit != two || b.Instances != 1 || b.Held != 0 {
			f.Errorf("%+v", got)
		}
		if a.Started.IsZero() || a.First.Before(a.Started) || a.Last.Before(a.First) {
			f.Errorf("times %v %v %v", a.Started, a.First, a.Last)
		}
		published, err := f.r.Publications(f.Context(), study)
		if err != nil || len(published) != 1 || published[0].Instances != 3 || published[0].Actor != "token-1" || published[0].Published.Before(b.Last) {
			f.Errorf("%v %+v", err, published)
		}
		series, instances, err := f.r.Members(f.Context(), study, 10)
		if err != nil || len(series) != 2 || len(instances) != 4 {
			f.Errorf("%v: %d series, %d instances", err, len(series), len(instances))
		}
		if _, some, err := f.r.Members(f.Context(), study, 2); err != nil || len(some) != 2 {
			f.Errorf("%v: %d of at most 2", err, len(some))
		}
		f.write(func(tx *db.Tx) error { _, err := f.r.Withdraw(tx, "breast", 7); return err })
		if got, err := f.r.Arrivals(f.Context(), study); err != nil || len(got) != 0 {
			f.Errorf("of a withdrawn subject: %v %+v", err, got)
		}
	})
}
