// Package people is where people say who they are beside their account, where others confirm that they belong to their organisation, and where the course is taken that whoever uses data has to have passed.
//
// It promises: nobody confirms themselves; who changes their organisation is confirmed anew; what rule R0 asks of a person comes from here in one call ([Desk.Known]), read anew each time. Policy decides inside every call that
// concerns others, and the audit log has every decision, without what was written.
//
// It does not sign anybody in (package signin), and does not know whether what was stated is true.
package people

import (
	"context"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
)

// Parts are what the desk works with.
type Parts struct {
	DB       *db.DB
	Audit    *audit.Log
	Identity *identity.Record
	Persons  *person.Record
	Now      func() time.Time // nil: the clock
}

// Desk is safe for use by many goroutines.
type Desk struct{ Parts }

// New makes the desk.
func New(p Parts) *Desk {
	d := &Desk{p}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}

func (d *Desk) now() time.Time { return d.Now().UTC().Truncate(time.Microsecond) }

// A year is how long a confirmation holds; from soon before its end on it is due.
const (
	soon = 30 * 24 * time.Hour
)

// Stated is what somebody says of themselves.
type Stated struct {
	ORCID        string `json:"orcid,omitempty"`
	Organisation string `json:"organisation,omitempty"`
	ROR          string `json:"ror,omitempty"`
	Kind         string `json:"kind,omitempty"`    // academic, nhs, charity, funder, commercial, cro, government, other
	Country      string `json:"country,omitempty"` // ISO 3166-1 alpha-2
}

func (s Stated) organisation() person.Organisation {
	return person.Organisation{Name: s.Organisation, ROR: s.ROR, Kind: s.Kind, Country: s.Country}
}

// TrainingView is a training as it is shown.
type TrainingView struct {
	Name      string    `json:"name"`
	Completed time.Time `json:"completed"`
	Expires   time.Time `json:"expires"`
	Evidence  string    `json:"evidence"` // course, certificate seen
	SeenBy    string    `json:"seen_by,omitempty"`
	Current   bool      `json:"current"`
}

// View is what is known of somebody.
type View struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Stated
	ORCIDBy     string         `json:"orcid_by,omitempty"`  // stated, provider
	Confirmed   *time.Time     `json:"confirmed,omitempty"` // when it was last confirmed that they belong to their organisation
	ConfirmedBy string         `json:"confirmed_by,omitempty"`
	Until       *time.Time     `json:"confirmed_until,omitempty"`
	Assurance   string         `json:"assurance"` // low, med, high
	Trained     *time.Time     `json:"trained_until,omitempty"`
	Trainings   []TrainingView `json:"trainings"`
	Missing     []string       `json:"missing,omitempty"` // what rule R0 lacks, in sentences
}

// Seen is what somebody confirms: that a person belongs to an organisation, as they have looked at it; and a training whose certificate they have seen.
type Seen struct {
	Organisation string `json:"organisation,omitempty"` // its name; empty: nothing is confirmed of it
	Training     string `json:"training,omitempty"`     // its name; empty: none
	Completed    string `json:"completed,omitempty"`    // a day, 2026-11-28
	Expires      string `json:"expires,omitempty"`      // the last day; empty: a year after it was completed
}

// Known is what rule R0 asks of the owner of an account.
func (d *Desk) Known(ctx context.Context, account string) (access.Known, error) {
	p, err := d.Persons.Get(ctx, account)
	if err != nil {
		return access.Known{}, err
	}
	k := access.Known{Person: judge.Person{Affiliated: p.Confirmed, Kind: kindOf(p.Kind)}, Name: p.Organisation.Name, ROR: p.ROR}
	if p.Country != "" {
		k.Countries = []string{p.Country}
	}
	if k.Assurance, err = d.assurance(ctx, p); err != nil {
		return k, err
	}
	all, err := d.Persons.Trainings(ctx, account)
	for _, t := range all {
		if t.Expires.After(k.Trained) && !t.Completed.After(d.now()) {
			k.Trained = t.Expires
		}
	}
	return k, err
}

// kindOf is the kind of organisation as data use knows it; what nobody can say of a kind is not said.
func kindOf(kind string) datause.Organisation {
	switch kind {
	case "commercial", "cro":
		return datause.ForProfit
	case "academic", "nhs", "charity", "funder", "government":
		return datause.NonProfit
	}
	return ""
}

// assurance is how sure it is who somebody is. What their institution says of it at a sign-in holds for a year. Who has a passkey or an app proves to be the one who was invited; who has come by links and codes alone proves that they
// could read them.
func (d *Desk) assurance(ctx context.Context, p person.Person) (judge.Assurance, error) {
	held := !p.VouchedAt.IsZero() && d.now().Before(p.VouchedAt.AddDate(1, 0, 0))
	if held && p.Vouched == person.High {
		return judge.High, nil
	}
	if held && p.Vouched == person.Medium {
		return judge.Medium, nil
	}
	keys, err := d.Identity.Passkeys(ctx, p.Account)
	if err != nil {
		return "", err
	}
	if len(keys) > 0 {
		return judge.Medium, nil
	}
	switch _, err := d.Identity.Authenticator(ctx, p.Account); {
	case err == nil:
		return judge.Medium, nil
	case !fault.Is(err, fault.NotFound):
		return "", err
	}
	return judge.Low, nil
}

// view is what is known of somebody, with what they lack.
func (d *Desk) view(ctx context.Context, account string) (View, error) {
	a, err := d.Identity.Account(ctx, account)
	if err != nil {
		return View{}, err
	}
	p, err := d.Persons.Get(ctx, account)
	if err != nil {
		return View{}, err
	}
	v := View{ID: a.ID, Name: a.Name, Stated: Stated{ORCID: p.ORCID, Organisation: p.Organisation.Name, ROR: p.ROR, Kind: p.Kind, Country: p.Country}, ORCIDBy: p.ORCIDBy.String(), Trainings: []TrainingView{}}
	k, err := d.Known(ctx, account)
	if err != nil {
		return v, err
	}
	now := d.now()
	v.Assurance, v.Trained = string(k.Assurance), when(k.Trained)
	if !p.Confirmed.IsZero() {
		until := p.Confirmed.AddDate(1, 0, 0)
		v.Confirmed, v.Until = when(p.Confirmed), &until
		if v.ConfirmedBy, err = d.nameOf(ctx, p.ConfirmedBy); err != nil {
			return v, err
		}
	}
	all, err := d.Persons.Trainings(ctx, account)
	if err != nil {
		return v, err
	}
	for _, t := range all {
		x := TrainingView{Name: t.Name, Completed: t.Completed, Expires: t.Expires, Evidence: t.Evidence.String(), Current: now.Before(t.Expires)}
		if x.SeenBy, err = d.nameOf(ctx, t.SeenBy); err != nil {
			return v, err
		}
		v.Trainings = append(v.Trainings, x)
	}
	switch {
	case v.Organisation == "":
		v.Missing = append(v.Missing, "Say where you work.")
	case v.Until == nil:
		v.Missing = append(v.Missing, "That you belong to your organisation was not confirmed yet: ask the data's custodian or this node's administrator, or sign in by your institution's account.")
	case !now.Before(*v.Until):
		v.Missing = append(v.Missing, "That you belong to your organisation was confirmed more than 12 months ago: have it confirmed anew.")
	}
	if k.Assurance == judge.Low {
		v.Missing = append(v.Missing, "Add a passkey or an authenticator app: a link alone does not prove who you are.")
	}
	switch {
	case v.Trained == nil:
		v.Missing = append(v.Missing, "Take the course.")
	case !now.Before(*v.Trained):
		v.Missing = append(v.Missing, "Your training has run out: take the course again.")
	}
	return v, nil
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// nameOf is what people call who confirmed something.
func (d *Desk) nameOf(ctx context.Context, by string) (string, error) {
	switch {
	case by == person.ByProvider:
		return "the sign-in at their institution", nil
	case !strings.HasPrefix(by, "person-"):
		return by, nil
	}
	a, err := d.Identity.Account(ctx, by)
	if fault.Is(err, fault.NotFound) {
		return by, nil
	}
	return a.Name, err
}

// own is the caller's account, which is in force.
func (d *Desk) own(ctx context.Context, who admin.Caller) error {
	if who.Actor != "" {
		a, err := d.Identity.Account(ctx, who.Actor)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil && a.Disabled.IsZero() {
			return nil
		}
	}
	return fault.New(fault.Denied, "describe person", "", "it is for people who have an account, and have signed in")
}

// Own is what is known of the caller.
func (d *Desk) Own(ctx context.Context, who admin.Caller) (View, error) {
	if err := d.own(ctx, who); err != nil {
		return View{}, err
	}
	return d.view(ctx, who.Actor)
}

// State keeps what the caller says of themselves.
func (d *Desk) State(ctx context.Context, who admin.Caller, s Stated) (View, error) {
	if err := d.own(ctx, who); err != nil {
		return View{}, err
	}
	err := d.change(ctx, audit.Entry{Actor: who.Actor, Action: "say who one is", Object: "account " + who.Actor}, func(tx *db.Tx) error {
		return d.Persons.State(tx, who.Actor, s.ORCID, s.organisation(), d.now())
	})
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, who.Actor)
}

// change makes a change and its audit entry in one transaction, on stable storage before it returns.
func (d *Desk) change(ctx context.Context, e audit.Entry, do func(tx *db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		e.Outcome = "done"
		return d.Audit.Append(tx, e)
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// may asks policy whether the caller confirms who people are: by a grant for any collection, since people belong to none.
func (d *Desk) may(who admin.Caller, own bool) bool {
	for _, g := range who.Grants {
		in := g.Collection
		if in == policy.AllCollections {
			in = "any" // a grant for all covers each
		}
		if policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: policy.ConfirmPerson, Collection: in, Own: own}).Allow {
			return true
		}
	}
	return false
}

// Confirms reports whether the caller confirms who people are.
func (d *Desk) Confirms(who admin.Caller) bool { return d.may(who, false) }

func (d *Desk) allowed(ctx context.Context, who admin.Caller, account string) error {
	if d.may(who, account != "" && account == who.Actor) {
		return nil
	}
	object := "people"
	if account != "" {
		object = "account " + account
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ConfirmPerson.String(), Object: object, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, policy.ConfirmPerson.String(), object, "it is for stewards, custodians and administrators, and about others than oneself")
}

// Person is what is known of somebody, for who confirms it.
func (d *Desk) Person(ctx context.Context, who admin.Caller, account string) (View, error) {
	if account == who.Actor && who.Actor != "" {
		return d.Own(ctx, who)
	}
	if err := d.allowed(ctx, who, account); err != nil {
		return View{}, err
	}
	return d.view(ctx, account)
}

// Due are the people whose affiliation was not confirmed yet, or will not hold for another month: the longest ago first. Who is shut out is not among them.
func (d *Desk) Due(ctx context.Context, who admin.Caller) ([]View, error) {
	if err := d.allowed(ctx, who, ""); err != nil {
		return nil, err
	}
	all, err := d.Persons.Due(ctx, d.now().Add(soon).AddDate(-1, 0, 0))
	if err != nil {
		return nil, err
	}
	out := []View{}
	for _, p := range all {
		a, err := d.Identity.Account(ctx, p.Account)
		if fault.Is(err, fault.NotFound) || err == nil && !a.Disabled.IsZero() {
			continue
		}
		if err != nil {
			return nil, err
		}
		v, err := d.view(ctx, p.Account)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Confirm notes that somebody belongs to their organisation, or that they have a training whose certificate the caller has seen.
func (d *Desk) Confirm(ctx context.Context, who admin.Caller, account string, s Seen) (View, error) {
	const attempt = "confirm affiliation"
	if err := d.allowed(ctx, who, account); err != nil {
		return View{}, err
	}
	if _, err := d.Identity.Account(ctx, account); err != nil {
		return View{}, err
	}
	if s.Organisation == "" && s.Training == "" {
		return View{}, fault.New(fault.Invalid, attempt, "", "say what you have looked at: the organisation, or a training")
	}
	now := d.now()
	var trained *person.Training
	if s.Training != "" {
		completed, err := time.Parse(time.DateOnly, s.Completed)
		if err != nil || completed.After(now) {
			return View{}, fault.New(fault.Invalid, "note training", "", "say on which day it was completed, as 2026-11-28; not later than today")
		}
		until := completed.AddDate(1, 0, 0)
		if s.Expires != "" {
			if until, err = time.Parse(time.DateOnly, s.Expires); err != nil {
				return View{}, fault.New(fault.Invalid, "note training", "", "say until which day it holds, as 2027-11-28")
			}
			until = until.AddDate(0, 0, 1)
		}
		if until.After(completed.AddDate(3, 0, 1)) {
			return View{}, fault.New(fault.Invalid, "note training", "", "no training holds for more than three years")
		}
		trained = &person.Training{Account: account, Name: s.Training, Completed: completed, Expires: until, Evidence: person.BySight, SeenBy: who.Actor}
	}
	p, err := d.Persons.Get(ctx, account)
	if err != nil {
		return View{}, err
	}
	if s.Organisation != "" && !strings.EqualFold(strings.Join(strings.Fields(s.Organisation), " "), p.Organisation.Name) {
		return View{}, fault.New(fault.Conflict, attempt, "account "+account, "they name another organisation, or none; look at it again")
	}
	action := "confirm an affiliation"
	if s.Organisation == "" {
		action = "confirm a training"
	}
	err = d.change(ctx, audit.Entry{Actor: who.Actor, Action: action, Object: "account " + account}, func(tx *db.Tx) error {
		if s.Organisation != "" {
			if err := d.Persons.Confirm(tx, account, p.Organisation, who.Actor, now); err != nil {
				return err
			}
		}
		if trained == nil {
			return nil
		}
		return d.Persons.AddTraining(tx, *trained)
	})
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, account)
}
