package access

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// Known is what is known of a person (rule R0).
type Known struct {
	judge.Person        // but Organisation, which follows from the two below
	Name, ROR    string // of their organisation; the second may be empty
}

// ReleaseFacts are what whoever keeps a release knows of it.
type ReleaseFacts struct {
	Collection       collection.ID
	Dataset, Version string
	State            judge.State
	Successor        string           // the version that takes its place, if one does
	Embargo          time.Time        // zero: none
	Policies         []datause.Policy // the dataset's own, which can only narrow the collection's: as Parts.Policies has them
}

// most is how many grants are looked at where none is in force: each says why.
const most = 8

// Facts are what is known at this moment of an account that wants something of a release: all of access.Facts, read anew each time, so that what was revoked a moment ago is not among them any more.
// The second result names the entitlement of each grant, in the same order. Where grants are in force for that much of that version they are these alone; else the others come, so that an answer can say why they do not do.
//
// It asks no policy of whose facts somebody may see: it is for who gives data to that account.
func (d *Desk) Facts(ctx context.Context, account string, want judge.Capability, at ReleaseFacts) (judge.Facts, []record.ID, error) {
	now := d.now()
	f := judge.Facts{Now: now, Read: now, Want: want, Release: judge.Release{Collection: string(at.Collection), Dataset: at.Dataset, Version: at.Version, State: at.State, Successor: at.Successor, Embargo: at.Embargo, Vocabulary: directory.Diseases{}}}
	who, err := d.known(ctx, account)
	if err != nil {
		return f, nil, err
	}
	f.Person = who.Person
	f.Person.Organisation = organisation(who.Name, who.ROR)
	if err := d.ofEntry(ctx, &f.Release, at); err != nil {
		return f, nil, err
	}
	if want.Level() != judge.Entitled {
		return f, nil, nil
	}
	all, err := d.Access.EntitlementsOf(ctx, account)
	if err != nil {
		return f, nil, err
	}
	all = slices.DeleteFunc(all, func(e record.Entitlement) bool {
		return e.Collection != at.Collection || e.Dataset != "" && e.Dataset != at.Dataset
	})
	good := func(e record.Entitlement) bool {
		return e.At(now) == "active" && e.Capability >= want && judge.Covers(e.Versions, at.Version)
	}
	if slices.ContainsFunc(all, good) {
		all = slices.DeleteFunc(all, func(e record.Entitlement) bool { return !good(e) })
	} else if len(all) > most {
		all = all[:most]
	}
	var of []record.ID
	read := map[record.ID]opening{}
	for _, e := range all {
		g, err := d.grantFacts(ctx, read, e, account, who)
		if err != nil {
			return f, nil, err
		}
		f.Grants, of = append(f.Grants, g), append(of, e.ID)
	}
	return f, of, nil
}

// known is what is known of whoever has an account.
func (d *Desk) known(ctx context.Context, account string) (Known, error) {
	a, err := d.Identity.Account(ctx, account)
	if fault.Is(err, fault.NotFound) {
		return Known{}, nil
	}
	if err != nil {
		return Known{}, err
	}
	var k Known
	if d.People != nil {
		if k, err = d.People(ctx, account); err != nil {
			return Known{}, err
		}
	}
	k.Active = a.Disabled.IsZero()
	return k, nil
}

// organisation is what an organisation is called in facts: its ROR identifier, else its name.
func organisation(name, ror string) string {
	if ror != "" {
		return ror
	}
	if name = strings.ToLower(line(name)); name != "" {
		return "name " + name
	}
	return ""
}

// services are the ways of access as the directory tells them.
var services = map[string]judge.Service{
	"tre": judge.Secure, "download": judge.Downloaded, "federated": judge.Federated, "open": judge.Open,
	"varies": judge.Downloaded, // by project: how far each goes, its entitlement says (R5)
}

// ofEntry fills in what the collection's published entry of the directory says. Where none is published there are neither policies nor a way of access, and both rules ask for a person.
func (d *Desk) ofEntry(ctx context.Context, r *judge.Release, at ReleaseFacts) error {
	r.Assurance = judge.Medium
	e, err := d.Entries.OfCollection(ctx, at.Collection)
	if err == nil {
		e, err = d.Entries.Seen(ctx, e.ID)
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r.Policies = append([]datause.Policy{e.Entry.DataUse.Policy()}, at.Policies...)
	r.Custodian = organisation(e.Entry.Custodian.Name, e.Entry.Custodian.ROR)
	r.Service = services[e.Entry.Access.Service]
	if r.Service == judge.Open {
		r.Assurance = judge.Low
	}
	return nil
}

// opening is a request that was opened.
type opening struct {
	events []opened
	s      keys.Parts
}

func (d *Desk) opening(ctx context.Context, read map[record.ID]opening, id record.ID) (opening, error) {
	if o, ok := read[id]; ok {
		return o, nil
	}
	q, err := d.Access.Get(ctx, id)
	if err != nil {
		return opening{}, err
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return opening{}, err
	}
	_, events, err := d.handedIn(ctx, q, s)
	read[id] = opening{events, s}
	return read[id], err
}

var standings = map[record.Standing]judge.EntitlementState{record.Active: judge.Active, record.Suspended: judge.Suspended, record.Revoked: judge.Revoked}

// grantFacts is an entitlement with all that it stands on.
func (d *Desk) grantFacts(ctx context.Context, read map[record.ID]opening, e record.Entitlement, account string, who Known) (judge.Grant, error) {
	g := judge.Grant{Project: e.Request.String(), Entitlement: judge.Entitlement{State: standings[e.Standing], Collection: string(e.Collection), Dataset: e.Dataset, Versions: e.Versions, Capability: e.Capability, NotBefore: e.NotBefore, Expires: e.Expires}}
	o, err := d.opening(ctx, read, e.Request)
	if err != nil {
		return g, err
	}
	form, terms := approvedOf(o.events, e.Item)
	if form == nil || terms == nil {
		return g, fault.New(fault.Corrupt, "read entitlement", entitlementObject(e.ID), "what was approved is not there")
	}
	if g.Purpose, err = form.purpose(); err != nil {
		return g, err
	}
	g.Settled = judge.Settled{Rules: terms.Settled, Policies: terms.Policies}
	if e.Conditions != nil {
		b, err := o.s.Open("conditions "+e.ID.String(), e.Conditions)
		if err != nil {
			return g, err
		}
		g.Entitlement.Duties = []string{string(b)}
	}
	a, err := d.Access.Agreement(ctx, e.Agreement)
	if err != nil {
		return g, err
	}
	under, err := d.opening(ctx, read, a.Request)
	if err != nil {
		return g, err
	}
	var t paperTerms
	if err := under.s.OpenJSON("agreement "+a.ID.String(), a.Terms, &t); err != nil {
		return g, err
	}
	accepted, err := d.Access.Accepted(ctx, a.ID, account)
	if err != nil {
		return g, err
	}
	g.Agreement = judge.Agreement{State: judge.AgreementState(a.State.String()), Organisations: []string{organisation(t.Organisation, t.ROR), organisation(t.Organisation, "")}, Commercial: a.Commercial, Effective: a.Effective, Expires: a.Expires, Accepted: !accepted.IsZero()}
	if mine := (Organisation{Name: who.Name, ROR: who.ROR}); mine.same(t.Organisation, t.ROR) {
		g.Agreement.Organisations = append(g.Agreement.Organisations, organisation(who.Name, who.ROR))
	}
	if a.Scope != record.ForOrganisation {
		g.Agreement.Project = a.Request.String()
	}
	g.Duties.Checked = true
	if d.Overdue != nil {
		g.Duties.Overdue, err = d.Overdue(ctx, e.Request)
	}
	return g, err
}

// approvedOf is the form as it was when an item was approved, and what was approved: what is written of the request for another item since changes neither.
func approvedOf(events []opened, item int64) (form *Form, terms *Terms) {
	var last *Form
	for _, e := range events {
		if e.form != nil {
			last = e.form
		}
		if e.Item == item && e.terms != nil {
			form, terms = last, e.terms
		}
	}
	return form, terms
}

// weighed compares a purpose with each policy of an item. The reasons of all come together; the strictest verdict and the shortest time count.
func weighed(p datause.Purpose, policies []datause.Policy) datause.Answer {
	if len(policies) == 0 {
		policies = []datause.Policy{{}} // nobody has written it down yet
	}
	out := datause.Answer{Verdict: datause.Permit}
	for _, policy := range policies {
		m := datause.Match(p, policy, directory.Diseases{})
		out.Verdict = min(out.Verdict, m.Verdict)
		out.Reasons = append(out.Reasons, m.Reasons...)
		for _, duty := range m.Duties {
			if !slices.Contains(out.Duties, duty) {
				out.Duties = append(out.Duties, duty)
			}
		}
		if m.Months > 0 && (out.Months == 0 || m.Months < out.Months) {
			out.Months = m.Months
		}
	}
	return out
}

// policiesOf are what an item's data may be used for: the collection's policy and the dataset's own.
func (d *Desk) policiesOf(ctx context.Context, i record.Item) (all []datause.Policy, err error) {
	t, err := d.Target(ctx, i.Collection)
	if err != nil {
		return nil, err
	}
	if t.Entry != "" {
		all = append(all, t.DataUse.Policy())
	}
	if d.Policies != nil && i.Dataset != "" {
		own, err := d.Policies(ctx, i.Collection, i.Dataset)
		if err != nil {
			return nil, err
		}
		all = append(all, own...)
	}
	return all, nil
}

// judgedBy are the open conditions of a match that a custodian settles who approves it, and those that no person can settle: of these the policy or the form has to be changed.
func judgedBy(m datause.Answer) (settled, open []string) {
	for _, r := range m.Reasons {
		if r.Verdict != datause.Review {
			continue
		}
		into := &open
		if slices.Contains(judge.Judged(), r.Rule) {
			into = &settled
		}
		if !slices.Contains(*into, r.Rule) {
			*into = append(*into, r.Rule)
		}
	}
	return settled, open
}
