package access

import (
	"context"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
)

// AcceptanceView says who has accepted an agreement by name.
type AcceptanceView struct {
	Name string    `json:"name"`
	Own  bool      `json:"own,omitempty"`
	At   time.Time `json:"at"`
}

// bound reports whether an agreement is one under which somebody asks, or is permitted something: they may read it, and have to accept it.
func (d *Desk) bound(ctx context.Context, account string, a record.Agreement, q record.Request) (bool, error) {
	if account == "" {
		return false, nil
	}
	if q.Applicant == account {
		return true, nil
	}
	all, err := d.Access.EntitlementsUnder(ctx, a.ID)
	return slices.ContainsFunc(all, func(e record.Entitlement) bool { return e.Account == account }), err
}

// Accept notes that the caller accepts an agreement by name: who asks, or is permitted something under it. Without that nothing is given to them (rule R6). It is done in person, once; to accept again changes nothing.
func (d *Desk) Accept(ctx context.Context, who admin.Caller, id record.ID) (AgreementView, error) {
	a, q, _, err := d.agreement(ctx, who, id)
	if err != nil {
		return AgreementView{}, err
	}
	bound, err := d.bound(ctx, who.Actor, a, q)
	if err != nil {
		return AgreementView{}, err
	}
	if !bound {
		return AgreementView{}, fault.New(fault.Denied, "accept an agreement", agreementObject(id), "it is for those whom it binds")
	}
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", true, agreementObject(id)); err != nil {
		return AgreementView{}, err
	}
	err = d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: "accept an agreement", Object: agreementObject(id), Collection: string(a.Collection)}}, func(tx *db.Tx) error {
		return d.Access.Accept(tx, id, who.Actor, d.now())
	})
	if err != nil {
		return AgreementView{}, err
	}
	return d.Agreement(ctx, who, id)
}

// acceptances fills in who has accepted an agreement, and whether its reader still has to.
func (d *Desk) acceptances(ctx context.Context, v *AgreementView, who admin.Caller, a record.Agreement, q record.Request) error {
	all, err := d.Access.Acceptances(ctx, a.ID)
	if err != nil {
		return err
	}
	own := false
	for _, x := range all {
		name, err := d.nameOf(ctx, x.Account)
		if err != nil {
			return err
		}
		own = own || x.Account == who.Actor
		v.Accepted = append(v.Accepted, AcceptanceView{Name: name, Own: x.Account == who.Actor, At: x.At})
	}
	if own || a.At(d.now()) != record.Executed {
		return nil
	}
	v.MayAccept, err = d.bound(ctx, who.Actor, a, q)
	return err
}
