package signin

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// allowed asks policy whether the caller manages people.
func (f *Flow) allowed(ctx context.Context, who admin.Caller) error {
	d := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ManageUsers})
	if d.Allow {
		return nil
	}
	denied := fault.New(fault.Denied, policy.ManageUsers.String(), "", strings.Join(d.Reasons, "; "))
	if who.Actor == "" {
		return denied
	}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := f.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ManageUsers.String(), Object: "people", Outcome: "denied"})
		return err
	})
	return errors.Join(denied, err)
}

// Person is an account as who manages people sees it in a list.
type Person struct {
	identity.Account
	Ways identity.Ways
}

// People lists every account.
func (f *Flow) People(ctx context.Context, who admin.Caller) ([]Person, error) {
	if err := f.allowed(ctx, who); err != nil {
		return nil, err
	}
	all, err := f.Identity.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	ways, err := f.Identity.Ways(ctx)
	people := make([]Person, len(all))
	for i, a := range all {
		people[i] = Person{a, ways[a.ID]}
	}
	return people, err
}

// Person is one account, whole.
func (f *Flow) Person(ctx context.Context, who admin.Caller, account string) (Own, error) {
	if err := f.allowed(ctx, who); err != nil {
		return Own{}, err
	}
	return f.own(ctx, account)
}

func (f *Flow) checked(ctx context.Context, grants []policy.Grant) error {
	for _, g := range grants {
		if g.Collection == policy.AllCollections || f.Exists == nil {
			continue
		}
		if err := f.Exists(ctx, g.Collection); err != nil {
			return err
		}
	}
	return nil
}

// Invite makes an account and a link by which its owner signs in for the first time, to add a passkey.
func (f *Flow) Invite(ctx context.Context, who admin.Caller, name string, grants []policy.Grant, lasts time.Duration) (a identity.Account, link identity.Secret, err error) {
	if link, err = identity.NewSecret(); err != nil {
		return a, link, err
	}
	a, err = f.invite(ctx, who, name, grants, func(tx *db.Tx, id string) error { return f.Identity.AddLink(tx, link, id, time.Now().Add(lasts)) })
	return a, link, err
}

// InviteByCode makes an account and a code to be read out to its owner.
func (f *Flow) InviteByCode(ctx context.Context, who admin.Caller, name string, grants []policy.Grant) (a identity.Account, code identity.Code, err error) {
	if code, err = identity.NewCode(); err != nil {
		return a, code, err
	}
	a, err = f.invite(ctx, who, name, grants, func(tx *db.Tx, id string) error { return f.Identity.AddCode(tx, code, id, time.Now().Add(CodeFor)) })
	return a, code, err
}

func (f *Flow) invite(ctx context.Context, who admin.Caller, name string, grants []policy.Grant, give func(tx *db.Tx, id string) error) (a identity.Account, err error) {
	if err := f.allowed(ctx, who); err != nil {
		return a, err
	}
	if err := f.checked(ctx, grants); err != nil {
		return a, err
	}
	err = f.write(ctx, func(tx *db.Tx) (err error) {
		if a, err = f.Identity.CreateAccount(tx, identity.Account{Name: strings.TrimSpace(name), Grants: grants}); err != nil {
			return err
		}
		if err = give(tx, a.ID); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "invite", Object: "account " + a.ID + ", " + grantsText(grants), Outcome: "done"})
	})
	return a, err
}

// Link makes another sign-in link for somebody who has lost their passkey.
func (f *Flow) Link(ctx context.Context, who admin.Caller, account string, lasts time.Duration) (link identity.Secret, err error) {
	if err := f.allowed(ctx, who); err != nil {
		return link, err
	}
	if err := f.reachable(ctx, account); err != nil {
		return link, err
	}
	if link, err = identity.NewSecret(); err != nil {
		return link, err
	}
	return link, f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.AddLink(tx, link, account, time.Now().Add(lasts)); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make sign-in link", Object: "account " + account, Outcome: "done"})
	})
}

// keepOne makes a change that leaves somebody to administer the node. Whoever runs a command on the node itself needs nobody.
func (f *Flow) keepOne(tx *db.Tx, who admin.Caller, change func() error) error {
	if err := tx.Lock("people"); err != nil {
		return err
	}
	before, err := f.Identity.Holders(tx, policy.Admin)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after, err := f.Identity.Holders(tx, policy.Admin)
	if err != nil {
		return err
	}
	for _, g := range who.Grants {
		if g.Role == policy.Operator {
			return nil
		}
	}
	if before > 0 && after == 0 {
		return fault.New(fault.Conflict, "change account", "", "nobody would administer this node any more: make somebody else an administrator of all collections first")
	}
	return nil
}

// Grant gives an account these roles and no others.
func (f *Flow) Grant(ctx context.Context, who admin.Caller, account string, grants []policy.Grant) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	if err := f.checked(ctx, grants); err != nil {
		return err
	}
	if _, err := f.Identity.Account(ctx, account); err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.keepOne(tx, who, func() error { return f.Identity.SetGrants(tx, account, grants) }); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "give grants", Object: "account " + account + ", " + grantsText(grants), Outcome: "done"})
	})
}

// Disable keeps an account out, or lets it in again. Nobody shuts themselves out.
func (f *Flow) Disable(ctx context.Context, who admin.Caller, account string, disabled bool) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	if account == who.Actor {
		return fault.New(fault.Invalid, "change account", "", "you cannot disable yourself: ask another administrator")
	}
	action := "enable account"
	if disabled {
		action = "disable account"
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.keepOne(tx, who, func() error { return f.Identity.SetDisabled(tx, account, disabled) }); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: "account " + account, Outcome: "done"})
	})
}

// EndSessionsOf ends every session of somebody, and lets none of their browsers be known any more.
func (f *Flow) EndSessionsOf(ctx context.Context, who admin.Caller, account string) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	if _, err := f.Identity.Account(ctx, account); err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.EndSessions(tx, account, identity.Digest{}); err != nil {
			return err
		}
		if err := f.Identity.ForgetBrowsers(tx, account); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "end sessions", Object: "account " + account, Outcome: "done"})
	})
}

// Unlock lets one-time codes of an account be taken again.
func (f *Flow) Unlock(ctx context.Context, who admin.Caller, account string) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.Unlock(tx, account); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "lift lock-out", Object: "account " + account, Outcome: "done"})
	})
}

// RemovePasskeyOf takes a passkey from somebody who has lost the device.
func (f *Flow) RemovePasskeyOf(ctx context.Context, who admin.Caller, account string, id []byte) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.RemovePasskey(tx, account, id); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "remove passkey", Object: "account " + account, Outcome: "done"})
	})
}

func grantsText(grants []policy.Grant) string {
	if len(grants) == 0 {
		return "no role"
	}
	var parts []string
	for _, g := range grants {
		in := g.Collection
		if in == policy.AllCollections {
			in = "all collections"
		}
		parts = append(parts, g.Role.String()+" in "+in)
	}
	return strings.Join(parts, ", ")
}

// FirstAdministrator makes a link for a node that nobody administers yet: while no administrator can come back once signed out, by passkey, app or provider. made
// is false where one can.
func (f *Flow) FirstAdministrator(ctx context.Context, who admin.Caller, lasts time.Duration) (link identity.Secret, made bool, err error) {
	all, err := f.Identity.Accounts(ctx)
	if err != nil {
		return link, false, err
	}
	ways, err := f.Identity.Ways(ctx)
	if err != nil {
		return link, false, err
	}
	first := ""
	for _, a := range all {
		if !a.Disabled.IsZero() || !policy.Decide(policy.Facts{Grants: a.Grants, Action: policy.ManageUsers}).Allow {
			continue
		}
		if ways[a.ID].Any() {
			return link, false, nil
		}
		if first == "" {
			first = a.ID
		}
	}
	link, err = f.entry(ctx, who, identity.Account{ID: first}, "First administrator", []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}, lasts)
	return link, err == nil, err
}

// Demo makes a link that signs in as the steward of a demonstration.
func (f *Flow) Demo(ctx context.Context, who admin.Caller, lasts time.Duration) (identity.Secret, error) {
	const issuer, subject = "demonstration", "steward"
	a, err := f.Identity.AccountOf(ctx, issuer, subject)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return identity.Secret{}, err
	}
	if err != nil {
		a = identity.Account{Issuer: issuer, Subject: subject}
	}
	var grants []policy.Grant
	for _, r := range []policy.Role{policy.Steward, policy.Custodian, policy.Admin, policy.Depositor, policy.Researcher} {
		grants = append(grants, policy.Grant{Role: r, Collection: policy.AllCollections})
	}
	return f.entry(ctx, who, a, "Demo Steward", grants, lasts)
}

// entry makes a link for an account, and the account where it has no id yet.
func (f *Flow) entry(ctx context.Context, who admin.Caller, a identity.Account, name string, grants []policy.Grant, lasts time.Duration) (identity.Secret, error) {
	link, err := identity.NewSecret()
	if err != nil {
		return link, err
	}
	return link, f.write(ctx, func(tx *db.Tx) error {
		if a.ID == "" {
			a.Name, a.Grants = name, grants
			made, err := f.Identity.CreateAccount(tx, a)
			if err != nil {
				return err
			}
			a = made
		}
		if err := f.Identity.AddLink(tx, link, a.ID, time.Now().Add(lasts)); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make sign-in link", Object: "account " + a.ID, Outcome: "done"})
	})
}
