// Package reidentify tells two people together who a subject is: one asks and gives a reason, another consents, and the first sees the answer once.
//
// It promises: policy decides on every call, inside the call; only people with an account take part, never a token or a command, and never one person twice;
// what waits for consent waits for seven days, and what was consented to can be seen for 24 hours, once; each request, consent, refusal and sight is in the audit log
// before anything is answered, without the reason and without who the subject is; both are encrypted under a key that goes with the subject's.
//
// It does not keep identities (custody does, as they arrive) and does not prevent two accounts of one person: who makes accounts does.
package reidentify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// A reason has at least so many words, and at most so many bytes.
const (
	MinWords = 10
	MaxText  = 2000
)

// Desk is where it is asked, consented to and seen.
type Desk struct {
	DB          *db.DB
	Audit       *audit.Log
	Collections *collection.Record
	Subjects    *subject.Record
	Identity    *identity.Record
	Vault       *reidentification.Vault
	Requests    *reidentification.Requests
	Now         func() time.Time // nil: the clock
}

// Clock is the time that requests end by.
func (d *Desk) Clock() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

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

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, f policy.Facts, object string) error {
	decision, err := d.decide(ctx, who, f)
	if err != nil || decision.Allow {
		return err
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: f.Action.String(), Object: object, Collection: f.Collection, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, f.Action.String(), object, strings.Join(decision.Reasons, "; "))
}

// change makes a change and its audit entry in one transaction, on stable storage before it returns.
func (d *Desk) change(ctx context.Context, who admin.Caller, a policy.Action, r reidentification.Request, outcome string, do func(tx *db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: a.String(), Object: object(r), Collection: string(r.Collection), Outcome: outcome})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

func object(r reidentification.Request) string {
	return fmt.Sprintf("request %d about subject %d", r.ID, int64(r.Subject))
}

// Item is a request as it is shown.
type Item struct {
	reidentification.Request
	Title     string            // of the collection
	Pseudonym subject.Pseudonym // of the subject
	Reason    string            // empty: not to be read any more
	AskedBy   string            // names of people
	DecidedBy string
	Own       bool // the caller's own
	MayDecide bool
	MaySee    bool
}

// MayAsk reports whether the caller may ask who a subject of the collection is, so that pages offer it.
func (d *Desk) MayAsk(ctx context.Context, who admin.Caller, id collection.ID) (bool, error) {
	decision, err := d.decide(ctx, who, policy.Facts{Action: policy.AskIdentity, Collection: string(id)})
	if err != nil || !decision.Allow {
		return false, err
	}
	c, err := d.Collections.Get(ctx, id)
	return err == nil && !c.NoReidentification, err
}

// find is the subject, of whom something must be kept.
func (d *Desk) find(ctx context.Context, id collection.ID, pseudonym string) (subject.Subject, error) {
	const attempt = "ask who a subject is"
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return subject.Subject{}, err
	}
	if c.NoReidentification {
		return subject.Subject{}, fault.New(fault.Conflict, attempt, "", "this collection was made without re-identification: who its subjects are is not kept")
	}
	p, err := subject.ParsePseudonym(pseudonym)
	if err != nil {
		return subject.Subject{}, fault.New(fault.NotFound, attempt, "", "there is no such subject")
	}
	s, err := d.Subjects.ByPseudonym(ctx, id, p)
	if err != nil {
		return s, err
	}
	if s.IsWithdrawn() {
		return s, fault.New(fault.NotFound, attempt, "", "there is no such subject")
	}
	has, err := d.Vault.Has(ctx, s.ID)
	if err == nil && !has {
		err = fault.New(fault.Conflict, attempt, "", "nothing is kept of who this subject is: its images came without identifiers, or before such were kept")
	}
	return s, err
}

// Ask asks who a subject is. The reason is for whoever consents, and for nobody else.
func (d *Desk) Ask(ctx context.Context, who admin.Caller, id collection.ID, pseudonym, reason string) (Item, error) {
	attempt := policy.AskIdentity.String()
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.AskIdentity, Collection: string(id)}, "a subject"); err != nil {
		return Item{}, err
	}
	s, err := d.find(ctx, id, pseudonym)
	if err != nil {
		return Item{}, err
	}
	reason = strings.TrimSpace(reason)
	switch {
	case len(strings.Fields(reason)) < MinWords:
		return Item{}, fault.New(fault.Invalid, attempt, "", fmt.Sprintf("say why in at least %d words: who is asked to consent has to judge it", MinWords))
	case len(reason) > MaxText || !utf8.ValidString(reason):
		return Item{}, fault.New(fault.Invalid, attempt, "", fmt.Sprintf("a reason has at most %d bytes", MaxText))
	}
	r := reidentification.Request{Collection: id, Subject: s.ID, Asker: who.Actor, Asked: d.Clock(), State: reidentification.Asked}
	if r.ID, err = reidentification.NewRequest(); err != nil {
		return Item{}, err
	}
	if r.Sealed, err = d.Vault.SealReason(ctx, id, s.Key, r.ID, reason); err != nil {
		return Item{}, err
	}
	if err := d.change(ctx, who, policy.AskIdentity, r, "done", func(tx *db.Tx) error { return d.Requests.Ask(tx, r) }); err != nil {
		return Item{}, err
	}
	return d.item(ctx, who, r)
}

// facts are what policy looks at of a request, for a caller.
func facts(who admin.Caller, r reidentification.Request, a policy.Action) policy.Facts {
	return policy.Facts{Action: a, Collection: string(r.Collection), Own: r.Asker == who.Actor,
		Consented: r.State == reidentification.Consented && r.Decider != "" && r.Decider != r.Asker}
}

// item shows a request to who may take part in it.
func (d *Desk) item(ctx context.Context, who admin.Caller, r reidentification.Request) (i Item, err error) {
	i = Item{Request: r, Own: r.Asker == who.Actor}
	now := d.Clock()
	decision, err := d.decide(ctx, who, facts(who, r, policy.DecideIdentity))
	if err != nil {
		return i, err
	}
	if !decision.Allow && !i.Own {
		return i, fault.New(fault.NotFound, "find request", "", "there is no such request")
	}
	i.MayDecide = decision.Allow && r.State == reidentification.Asked && r.Open(now)
	if decision, err = d.decide(ctx, who, facts(who, r, policy.SeeIdentity)); err != nil {
		return i, err
	}
	i.MaySee = decision.Allow && r.Open(now)
	c, err := d.Collections.Get(ctx, r.Collection)
	if err != nil {
		return i, err
	}
	s, err := d.Subjects.Get(ctx, r.Subject)
	if err != nil {
		return i, err
	}
	i.Title, i.Pseudonym = c.Title, s.Pseudonym
	if i.Title == "" {
		i.Title = string(c.ID)
	}
	i.Reason, err = d.Vault.Reason(ctx, r.Collection, s.Key, r)
	if fault.Is(err, fault.NotFound) { // the subject was erased
		i.Reason, i.MayDecide, i.MaySee, err = "", false, false, nil
	}
	if err != nil {
		return i, err
	}
	if i.AskedBy, err = d.name(ctx, r.Asker); err == nil {
		i.DecidedBy, err = d.name(ctx, r.Decider)
	}
	return i, err
}

func (d *Desk) name(ctx context.Context, account string) (string, error) {
	if account == "" {
		return "", nil
	}
	a, err := d.Identity.Account(ctx, account)
	if fault.Is(err, fault.NotFound) {
		return "somebody who has left", nil
	}
	return a.Name, err
}

// Request is one request, for who asked and who may decide.
func (d *Desk) Request(ctx context.Context, who admin.Caller, id int64) (Item, error) {
	r, err := d.Requests.Get(ctx, id)
	if err != nil {
		return Item{}, err
	}
	return d.item(ctx, who, r)
}

// kept is how long requests are listed, and maxListed how many of a collection.
const (
	kept      = 90 * 24 * time.Hour
	maxListed = 200
)

// List is every request of the last 90 days in which the caller may take part: what waits for them first, then the newest.
func (d *Desk) List(ctx context.Context, who admin.Caller) (waiting, others []Item, err error) {
	person, err := d.person(ctx, who)
	if err != nil || !person {
		return nil, nil, err
	}
	all, err := d.Collections.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range all {
		if !d.concerned(who, c.ID) {
			continue
		}
		requests, err := d.Requests.Since(ctx, c.ID, d.Clock().Add(-kept), maxListed)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range requests {
			i, err := d.item(ctx, who, r)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			if i.MayDecide || i.MaySee {
				waiting = append(waiting, i)
			} else {
				others = append(others, i)
			}
		}
	}
	return waiting, others, nil
}

func (d *Desk) concerned(who admin.Caller, id collection.ID) bool {
	for _, a := range []policy.Action{policy.AskIdentity, policy.DecideIdentity} {
		if policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(id), Person: true}).Allow {
			return true
		}
	}
	return false
}

// Waiting counts the requests that wait for the caller: for a decision, or to be seen.
func (d *Desk) Waiting(ctx context.Context, who admin.Caller) (n int64, err error) {
	takes := func(g policy.Grant) bool { return g.Role == policy.Steward || g.Role == policy.Admin }
	if !slices.ContainsFunc(who.Grants, takes) {
		return 0, nil // most callers are not asked for more
	}
	person, err := d.person(ctx, who)
	if err != nil || !person {
		return 0, err
	}
	now := d.Clock()
	all, err := d.Requests.Since(ctx, "", now.Add(-reidentification.AskedFor-reidentification.ConsentedFor), maxListed)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		f := facts(who, r, policy.DecideIdentity)
		f.Grants, f.Person = who.Grants, true
		decides := r.State == reidentification.Asked && policy.Decide(f).Allow
		f.Action = policy.SeeIdentity
		if r.Open(now) && (decides || policy.Decide(f).Allow) {
			n++
		}
	}
	return n, nil
}

// Decide consents to a request of another person's, or declines it.
func (d *Desk) Decide(ctx context.Context, who admin.Caller, id int64, consent bool) error {
	r, err := d.Requests.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := d.allowed(ctx, who, facts(who, r, policy.DecideIdentity), object(r)); err != nil {
		return err
	}
	to, outcome := reidentification.Declined, "declined"
	if consent {
		to, outcome = reidentification.Consented, "consented"
	}
	return d.change(ctx, who, policy.DecideIdentity, r, outcome, func(tx *db.Tx) error { return d.Requests.Decide(tx, id, who.Actor, to, d.Clock()) })
}

// See is who the subject is. It is told once: the consent is used up, and the audit log knows, before it returns.
func (d *Desk) See(ctx context.Context, who admin.Caller, id int64) (Item, []reidentification.Identity, error) {
	r, err := d.Requests.Get(ctx, id)
	if err != nil {
		return Item{}, nil, err
	}
	if err := d.allowed(ctx, who, facts(who, r, policy.SeeIdentity), object(r)); err != nil {
		return Item{}, nil, err
	}
	s, err := d.Subjects.Get(ctx, r.Subject)
	if err != nil {
		return Item{}, nil, err
	}
	if s.IsWithdrawn() {
		return Item{}, nil, fault.New(fault.NotFound, policy.SeeIdentity.String(), object(r), "the subject has been withdrawn")
	}
	// First the answer: one that cannot be read uses nothing up.
	all, err := d.Vault.Of(ctx, r.Collection, s.ID, s.Key)
	if err != nil {
		return Item{}, nil, err
	}
	if err := d.change(ctx, who, policy.SeeIdentity, r, "done", func(tx *db.Tx) error { return d.Requests.See(tx, id, who.Actor, d.Clock()) }); err != nil {
		return Item{}, nil, err
	}
	i, err := d.Request(ctx, who, id)
	return i, all, err
}
