package catalogue

import (
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// The studies of a deposit are those that it brought something of, with what became of that, and of no other deposit; and whoever waits is told when that changes.
func TestStudiesOfADeposit(t *testing.T) {
	each(t, func(f *fixture) {
		one, two := f.deposit("breast"), f.deposit("breast")
		f.add(f.entry(one, 1, 1, 1, "a"), f.entry(one, 1, 1, 2, "b"), heldEntry(f.entry(one, 2, 1, 1, "c")), f.entry(two, 2, 1, 2, "d"), f.entry(two, 3, 1, 1, "e"))
		studies := func(id DepositID) []DepositStudy {
			f.Helper()
			d, err := f.r.Deposit(f.Context(), id)
			if err != nil {
				f.Fatal(err)
			}
			all, err := f.r.DepositStudies(f.Context(), d, 10)
			if err != nil {
				f.Fatal(err)
			}
			return all
		}
		all := studies(one)
		if len(all) != 2 || all[0].Counts.Received != 2 || all[0].Counts.Pending != 2 || all[1].Counts.Held != 1 || all[1].Counts.Received != 1 {
			f.Errorf("%+v", all)
		}
		if all := studies(two); len(all) != 2 || all[0].Counts.Received != 1 || all[0].Counts.Held != 0 {
			f.Errorf("%+v", all)
		}
		if all, err := f.r.DepositStudies(f.Context(), Deposit{ID: one, Started: time.Now().Add(-time.Hour)}, 1); err != nil || len(all) != 1 {
			f.Errorf("%d of at most one, %v", len(all), err)
		}
		changed := f.r.d.Signalled(DepositsChanged)
		f.write(func(tx *db.Tx) error { return f.r.EndDeposit(tx, one) })
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			f.Error("nobody was told that a deposit ended")
		}
		f.write(func(tx *db.Tx) error { return f.r.ReopenDeposit(tx, one) })
		if d, err := f.r.Deposit(f.Context(), one); err != nil || !d.Ended.IsZero() {
			f.Errorf("%+v, %v", d, err)
		}
	})
}
