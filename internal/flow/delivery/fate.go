package delivery

import (
	"context"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Item is one instance of a deposit that is held or was refused, by its place in the deposit. It holds no UID: the sender knows what they sent n-th.
type Item struct {
	ID      catalogue.InstanceID // of one that is held; 0: refused
	Deposit catalogue.DepositID
	Ordinal int64
	State   policy.State // policy.NoState: refused
	Reasons []catalogue.Reason
}

// Fate is what became of a deposit.
type Fate struct {
	catalogue.Deposit
	Items []Item // what is held and what was refused; at most catalogue.MaxLimit of each
}

// Deposits lists deposits into a collection, latest first, before the one given (0: from the latest on): all of them for who may see that, else the
// caller's own.
func (d *Delivery) Deposits(ctx context.Context, caller Caller, id collection.ID, before catalogue.DepositID, limit int) ([]catalogue.Deposit, error) {
	actor := ""
	if !fateOf(caller, id, false).Allow {
		own := fateOf(caller, id, true)
		if !own.Allow {
			return nil, refused(caller, id, policy.SeeFate, own)
		}
		actor = caller.Actor
	}
	return d.Catalogue.Deposits(ctx, id, actor, before, limit)
}

func fateOf(caller Caller, id collection.ID, own bool) policy.Decision {
	return policy.Decide(policy.Facts{Grants: caller.Grants, Action: policy.SeeFate, Collection: string(id), State: policy.Received, Own: own})
}

// refused is how a denial is told: to who has no role in a collection, it is not there.
func refused(caller Caller, id collection.ID, action policy.Action, dec policy.Decision) error {
	if !caller.knows(id) {
		return fault.New(fault.NotFound, action.String(), "", "there is no such collection")
	}
	return fault.New(fault.Denied, action.String(), "collection "+string(id), strings.Join(dec.Reasons, "; "))
}

// Deposit says what became of one deposit.
func (d *Delivery) Deposit(ctx context.Context, caller Caller, id catalogue.DepositID) (Fate, error) {
	missing := fault.New(fault.NotFound, policy.SeeFate.String(), "", "there is no such deposit of yours")
	found, err := d.Catalogue.Deposit(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Fate{}, missing
	}
	if err != nil {
		return Fate{}, err
	}
	if !fateOf(caller, found.Collection, found.Actor == caller.Actor && caller.Actor != "").Allow {
		return Fate{}, missing
	}
	f := Fate{Deposit: found}
	waiting, err := d.Catalogue.Waiting(ctx, found.Collection, id, 0, catalogue.MaxLimit)
	if err != nil {
		return f, err
	}
	for _, l := range waiting {
		f.Items = append(f.Items, item(&l))
	}
	kept, err := d.Catalogue.WaitingFor(ctx, found.Collection, catalogue.Wait{Deposit: id, Kept: true}, 0, catalogue.MaxLimit)
	if err != nil {
		return f, err
	}
	for _, l := range kept {
		f.Items = append(f.Items, item(&l))
	}
	gone, err := d.Catalogue.Refusals(ctx, id, 0, catalogue.MaxLimit)
	for _, r := range gone {
		f.Items = append(f.Items, Item{Deposit: id, Ordinal: r.Ordinal, Reasons: []catalogue.Reason{r.Reason}})
	}
	return f, err
}

func item(l *catalogue.Located) Item {
	return Item{ID: l.ID, Deposit: l.Deposit, Ordinal: l.Ordinal, State: l.State, Reasons: l.Reasons}
}

// Held lists what is held in a collection and why, in the order of arrival, after the instance given. Who may see only their own sees that of their
// deposits through [Delivery.Deposit].
func (d *Delivery) Held(ctx context.Context, caller Caller, id collection.ID, after catalogue.InstanceID, limit int) ([]Item, error) {
	dec := policy.Decide(policy.Facts{Grants: caller.Grants, Action: policy.SeeHeld, Collection: string(id), State: policy.Held})
	if !dec.Allow {
		return nil, refused(caller, id, policy.SeeHeld, dec)
	}
	all, err := d.Catalogue.Waiting(ctx, id, 0, after, limit)
	items := make([]Item, len(all))
	for i := range all {
		items[i] = item(&all[i])
	}
	return items, err
}

// OpenHeld opens one instance that is held or kept restricted, by its number, to who reviews it: as it came, or, of a conflict that was cleaned, as it is kept. Every reading is in the
// audit log. Conflicts share their UID with another instance, so that this is the only way to them.
func (d *Delivery) OpenHeld(ctx context.Context, caller Caller, id catalogue.InstanceID) (*Object, error) {
	l, err := d.Catalogue.Instance(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && l.State != policy.Held && l.State != policy.Conflict && l.State != policy.Restricted {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	return d.open(ctx, caller, policy.Link{}, l, policy.ReadPixels)
}
