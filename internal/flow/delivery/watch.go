package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const (
	// lookAgain is how often a deposit is looked at though nothing was signalled: another process may have changed it.
	lookAgain = time.Second
	// breath is how long changes gather before they are told.
	breath = 250 * time.Millisecond
)

// StudyFate is a study that a deposit brought something of.
type StudyFate struct {
	catalogue.DepositStudy
	Study *catalogue.Study // nil: the caller may not see it, or nothing of it is in sight
}

// studiesOfDeposit bounds a page.
const studiesOfDeposit = 50

// DepositStudies lists the studies that a deposit brought something of, with what the caller may see of each.
func (d *Delivery) DepositStudies(ctx context.Context, caller Caller, dep catalogue.Deposit) ([]StudyFate, error) {
	if !fateOf(caller, dep.Collection, dep.Actor == caller.Actor && caller.Actor != "").Allow {
		return nil, fault.New(fault.NotFound, "see the fate of a deposit", "", "there is no such deposit of yours")
	}
	all, err := d.Catalogue.DepositStudies(ctx, dep, studiesOfDeposit)
	if err != nil {
		return nil, err
	}
	out := make([]StudyFate, len(all))
	for i, x := range all {
		out[i].DepositStudy = x
		q := catalogue.NewQuery(catalogue.Studies)
		q.Collection, q.Study, q.Limit = x.Collection, x.UID, 1
		found, _, err := d.SearchStudies(ctx, caller, q)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 {
			out[i].Study = found[0]
		}
	}
	return out, nil
}

// Watch tells of a deposit as it is, and then each time that it has changed, until ctx ends or tell gives an error. Policy decides each time anew, for who the caller is by
// then.
func (d *Delivery) Watch(ctx context.Context, who func() (Caller, error), id catalogue.DepositID, tell func(Fate) error) error {
	var last Fate
	return d.watch(ctx, func() error {
		caller, err := who()
		if err != nil {
			return err
		}
		f, err := d.Deposit(ctx, caller, id)
		if err != nil {
			return err
		}
		if last.ID != 0 && f.Deposit == last.Deposit && slices.EqualFunc(f.Items, last.Items, sameItem) {
			return nil
		}
		last = f
		return tell(f)
	})
}

func sameItem(a, b Item) bool {
	return a.ID == b.ID && a.Ordinal == b.Ordinal && a.State == b.State && slices.Equal(a.Reasons, b.Reasons)
}

// WatchAll tells of the latest deposits into some collections, those that changed alone after the first time.
func (d *Delivery) WatchAll(ctx context.Context, who func() (Caller, error), of []collection.ID, limit int, tell func([]catalogue.Deposit) error) error {
	last := map[catalogue.DepositID]catalogue.Deposit{}
	first := true
	return d.watch(ctx, func() error {
		caller, err := who()
		if err != nil {
			return err
		}
		var changed []catalogue.Deposit
		now := map[catalogue.DepositID]catalogue.Deposit{}
		for _, c := range of {
			all, err := d.Deposits(ctx, caller, c, 0, limit)
			if fault.Is(err, fault.Denied) || fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			for _, x := range all {
				now[x.ID] = x
				if last[x.ID] != x {
					changed = append(changed, x)
				}
			}
		}
		last = now
		if len(changed) == 0 && !first {
			return nil
		}
		first = false
		return tell(changed)
	})
}

// watch looks when a deposit changes in this process, and otherwise once in a while.
func (d *Delivery) watch(ctx context.Context, look func() error) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		changed := d.DB.Signalled(catalogue.DepositsChanged) // before looking, so that nothing falls between
		if err := look(); err != nil {
			return err
		}
		select {
		case <-changed:
			select {
			case <-time.After(breath):
			case <-ctx.Done():
				return ctx.Err()
			}
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
