// Package access is how people ask to use data and are permitted to: a request with its form, the custodian's decision, the signed agreement, the entitlement that comes of the two, and the
// public register of what data are used for.
//
// It promises: there is no entitlement without a custodian's approval and an executed agreement that covers its time; nobody decides on their own request; what a purpose says is compared with
// what the data may be used for when it is handed in and again when it is decided, and nothing is approved that the policy refuses; who gives data gets all facts of a moment in one call ([Desk.Facts]); an entitlement ends at its second
// without anything having to run. What people write is encrypted under a key of the request's own and is in no log, error, mail or audit entry; what the register shows is published on purpose.
// Policy decides inside every call, and the audit log has every decision.
//
// One custodian decides one item. Committees that vote, clauses that are negotiated and electronic signatures have their place in the record and are not built.
package access

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Collections *collection.Record
	Identity    *identity.Record
	Entries     *directory.Record
	Access      *record.Record
	Mail        *mailing.Queue // nil: nobody is reminded
	Log         *slog.Logger
	Now         func() time.Time // nil: the clock

	// People is what is known of who has an account; nil: nothing but whether it is in force.
	People func(ctx context.Context, account string) (Known, error)
	// Policies are a dataset's own; nil: none has any.
	Policies func(ctx context.Context, c collection.ID, dataset string) ([]datause.Policy, error)
	// Overdue is the day on which the oldest report, or answer to a recall, of a request was due that has not come; zero: none is. nil: nothing is ever owed.
	Overdue func(ctx context.Context, request record.ID) (time.Time, error)
}

// Desk is safe for use by many goroutines.
type Desk struct {
	Parts
	addresses *keys.Sealer
}

// New makes the desk.
func New(p Parts) (*Desk, error) {
	s, err := keys.NewSealer(p.Ring.Root(), "reminders of requests")
	if err != nil {
		return nil, err
	}
	d := &Desk{Parts: p, addresses: s}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if p.Mail != nil {
		p.Mail.Own(mailKind, d)
	}
	return d, nil
}

// now is the clock, as exactly as it is stored.
func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }

// person reports somebody who has an account that is in force.
func (d *Desk) person(ctx context.Context, who admin.Caller) (bool, error) {
	if who.Actor == "" {
		return false, nil
	}
	a, err := d.Identity.Account(ctx, who.Actor)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && a.Disabled.IsZero(), err
}

// decide asks policy.
func (d *Desk) decide(ctx context.Context, who admin.Caller, f policy.Facts) (policy.Decision, error) {
	var err error
	f.Grants = who.Grants
	if f.Person, err = d.person(ctx, who); err != nil {
		return policy.Decision{}, err
	}
	return policy.Decide(f), nil
}

// may is decide where a refusal is no event.
func (d *Desk) may(ctx context.Context, who admin.Caller, a policy.Action, c collection.ID, own bool) (bool, error) {
	decision, err := d.decide(ctx, who, policy.Facts{Action: a, Collection: string(c), Own: own})
	return decision.Allow, err
}

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, a policy.Action, c collection.ID, own bool, object string) error {
	decision, err := d.decide(ctx, who, policy.Facts{Action: a, Collection: string(c), Own: own})
	if err != nil || decision.Allow {
		return err
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: a.String(), Object: object, Collection: string(c), Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, a.String(), object, strings.Join(decision.Reasons, "; "))
}

// change makes a change and its audit entries in one transaction, on stable storage before it returns.
func (d *Desk) change(ctx context.Context, entries []audit.Entry, do func(tx *db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		for _, e := range entries {
			e.Outcome = "done"
			if err := d.Audit.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// wards are the collections on which the caller may do something.
func (d *Desk) wards(ctx context.Context, who admin.Caller, a policy.Action) (w record.Wards, err error) {
	person, err := d.person(ctx, who)
	if err != nil {
		return w, err
	}
	for _, g := range who.Grants {
		in := g.Collection
		if in == policy.AllCollections {
			in = "any" // a grant for all covers each
		}
		if !policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: a, Collection: in, Person: person}).Allow {
			continue
		}
		if g.Collection == policy.AllCollections {
			w.Every = true
		} else {
			w.Some = append(w.Some, g.Collection)
		}
	}
	return w, nil
}

// nameOf is what people call an actor.
func (d *Desk) nameOf(ctx context.Context, actor string) (string, error) {
	if !strings.HasPrefix(actor, "person-") {
		return actor, nil
	}
	a, err := d.Identity.Account(ctx, actor)
	if fault.Is(err, fault.NotFound) {
		return actor, nil
	}
	return a.Name, err
}

// titleOf is what people call a collection: as the directory has it, else as the node does.
func (d *Desk) titleOf(ctx context.Context, c collection.ID) (string, error) {
	if e, err := d.Entries.OfCollection(ctx, c); err == nil {
		if e, err = d.Entries.Seen(ctx, e.ID); err == nil {
			return e.Entry.Title, nil
		}
	}
	x, err := d.Collections.Get(ctx, c)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	if x.Title != "" {
		return x.Title, nil
	}
	return string(c), nil
}

// sealing is how the parts of a request are encrypted (docs/formats/access.md).
func sealing(own keys.Key, id record.ID) keys.Parts { return keys.NewParts(own, "access", id.String()) }

// sealingOf is that of a request that is there.
func (d *Desk) sealingOf(ctx context.Context, q record.Request) (keys.Parts, error) {
	key, err := d.Ring.Get(ctx, keys.ID(q.Key))
	if err != nil {
		return keys.Parts{}, err
	}
	return sealing(key, q.ID), nil
}
