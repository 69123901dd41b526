package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// EntitlementView is an entitlement as it is shown.
type EntitlementView struct {
	ID         string       `json:"id"`
	Request    string       `json:"request"`
	Item       int64        `json:"item"`
	Agreement  string       `json:"agreement"`
	Grantee    string       `json:"grantee"` // a name
	Own        bool         `json:"own,omitempty"`
	Collection string       `json:"collection"`
	Title      string       `json:"title"`
	Dataset    string       `json:"dataset,omitempty"`
	Versions   string       `json:"versions"`
	Capability string       `json:"capability"`
	NotBefore  time.Time    `json:"nbf"`
	Expires    time.Time    `json:"exp"`
	State      string       `json:"state"` // active, waiting, suspended, revoked, expired
	Conditions string       `json:"conditions,omitempty"`
	History    []ChangeView `json:"history,omitempty"`
	MayEnd     bool         `json:"may_end,omitempty"`
	MayResume  bool         `json:"may_resume,omitempty"`
}

// ChangeView is one change of an entitlement.
type ChangeView struct {
	What string    `json:"what"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
	Text string    `json:"text,omitempty"`
}

// EntitlementAct is what is done to an entitlement.
type EntitlementAct struct {
	Do   string `json:"do"` // suspend, resume, revoke
	Text string `json:"text,omitempty"`
}

func entitlementObject(id record.ID) string { return "entitlement " + id.String() }

// Effective are the entitlements by which an account may use a dataset of a collection at a moment, those that permit most first. An empty dataset asks for the collection as a whole. Which
// versions each is for, it says itself.
func (d *Desk) Effective(ctx context.Context, account string, c collection.ID, dataset string, now time.Time) ([]record.Entitlement, error) {
	all, err := d.Access.Effective(ctx, account, c, now)
	return slices.DeleteFunc(all, func(e record.Entitlement) bool {
		return e.At(now) != "active" || e.Dataset != "" && e.Dataset != dataset
	}), err
}

// settle grants what is approved and has an agreement. Who approves and who executes an agreement at the same moment both call it when they have done so: the later one sees both.
func (d *Desk) settle(ctx context.Context, by string, items ...record.Item) error {
	for _, i := range items {
		err := d.grant(ctx, by, i)
		if err != nil && !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return nil
}

// grant makes the entitlement of an approved item, where an agreement covers it and there is none yet.
func (d *Desk) grant(ctx context.Context, by string, i record.Item) error {
	q, err := d.Access.Get(ctx, i.Request)
	if err != nil {
		return err
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return err
	}
	f, events, err := d.handedIn(ctx, q, s)
	if err != nil {
		return err
	}
	terms := termsOf(events, i.N)
	if terms == nil || terms.From == nil || terms.Until == nil {
		return nil
	}
	now := d.now()
	from := *terms.From
	if now.After(from) {
		from = now
	}
	before, err := d.Access.EntitlementsBy(ctx, i.Request)
	if err != nil {
		return err
	}
	for _, e := range before {
		if e.Item != i.N {
			continue
		}
		if e.Standing == record.Revoked || e.AgreementState != record.Executed {
			return nil // what was ended is asked for anew
		}
		if e.Expires.After(from) {
			from = e.Expires // a later agreement carries on
		}
	}
	if !from.Before(*terms.Until) {
		return nil // all that was approved is permitted already, or over
	}
	a, ok, err := d.covering(ctx, i, f, from)
	if err != nil || !ok {
		return err
	}
	if a.Effective.After(from) {
		from = a.Effective
	}
	until := *terms.Until
	if a.Expires.Before(until) {
		until = a.Expires
	}
	if !from.Before(until) {
		return nil
	}
	may, err := record.ParseCapability(terms.Capability)
	if err != nil {
		return err
	}
	e := record.Entitlement{Account: q.Applicant, Collection: i.Collection, Dataset: i.Dataset, Versions: i.Versions, Capability: may, Request: i.Request, Item: i.N, Agreement: a.ID, NotBefore: from, Expires: until,
		Public: record.Public{Organisation: f.Organisation.Name, ROR: f.Organisation.ROR, Title: f.Title, Summary: f.Summary}}
	if f.Named {
		if e.Public.Name, err = d.nameOf(ctx, q.Applicant); err != nil {
			return err
		}
	}
	if e.ID, err = record.NewID(); err != nil {
		return err
	}
	if terms.Conditions != "" {
		e.Conditions = s.Seal("conditions "+e.ID.String(), []byte(terms.Conditions))
	}
	return d.change(ctx, []audit.Entry{{Actor: by, Action: "grant an entitlement", Object: entitlementObject(e.ID) + " of " + object(i.Request, i.N), Collection: string(i.Collection)}}, func(tx *db.Tx) error {
		return d.Access.Grant(tx, e, by, now)
	})
}

// covering finds the executed agreement that covers an item for longest: of the request, or of its organisation.
func (d *Desk) covering(ctx context.Context, i record.Item, f Form, from time.Time) (best record.Agreement, ok bool, err error) {
	own, err := d.Access.AgreementsOf(ctx, i.Request)
	if err != nil {
		return best, false, err
	}
	wide, err := d.Access.WideIn(ctx, i.Collection)
	if err != nil {
		return best, false, err
	}
	now := d.now()
	for _, a := range append(own, wide...) {
		if a.Collection != i.Collection || a.At(now) != record.Executed || !a.Expires.After(from) || ok && !a.Expires.After(best.Expires) {
			continue
		}
		q, err := d.Access.Get(ctx, a.Request)
		if err != nil {
			return best, false, err
		}
		s, err := d.sealingOf(ctx, q)
		if err != nil {
			return best, false, err
		}
		var t paperTerms
		if err := s.OpenJSON("agreement "+a.ID.String(), a.Terms, &t); err != nil {
			return best, false, err
		}
		if covers(checks(a, t, f, now)) {
			best, ok = a, true
		}
	}
	return best, ok, nil
}

// alter prepares a change of an entitlement.
func (d *Desk) alter(ctx context.Context, by string, e record.Entitlement, k record.Change, why string) (func(tx *db.Tx) error, audit.Entry, error) {
	q, err := d.Access.Get(ctx, e.Request)
	if err != nil {
		return nil, audit.Entry{}, err
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return nil, audit.Entry{}, err
	}
	h := record.History{Kind: k, Actor: by, At: d.now()}
	if h.Seq, err = d.Access.NextChange(ctx, e.ID); err != nil {
		return nil, audit.Entry{}, err
	}
	if why != "" {
		h.Body = s.Seal(fmt.Sprintf("entitlement %v %d", e.ID, h.Seq), []byte(why))
	}
	said := map[record.Change]string{record.Suspend: "suspend an entitlement", record.Resume: "resume an entitlement", record.Revoke: "revoke an entitlement"}[k]
	return func(tx *db.Tx) error { return d.Access.Alter(tx, e.ID, h) }, audit.Entry{Actor: by, Action: said, Object: entitlementObject(e.ID), Collection: string(e.Collection)}, nil
}

// endItem prepares that the entitlements of an item that is closed end.
func (d *Desk) endItem(ctx context.Context, w *act1, i record.Item) error {
	all, err := d.Access.EntitlementsBy(ctx, i.Request)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.Item != i.N || e.Standing == record.Revoked || !w.now.Before(e.Expires) {
			continue
		}
		do, entry, err := d.alter(ctx, w.by, e, record.Revoke, "The work is over.")
		if err != nil {
			return err
		}
		w.more, w.entries = append(w.more, do), append(w.entries, entry)
	}
	return nil
}

// entitlement is one that the caller may see.
func (d *Desk) entitlement(ctx context.Context, who admin.Caller, id record.ID) (record.Entitlement, error) {
	e, err := d.Access.Entitlement(ctx, id)
	if err != nil {
		return e, err
	}
	sees := e.Account == who.Actor && who.Actor != ""
	if !sees {
		sees, err = d.may(ctx, who, policy.SeeRequests, e.Collection, false)
	}
	if err == nil && !sees {
		err = fault.New(fault.NotFound, "find entitlement", "", "there is no such entitlement, or it is not yours to see")
	}
	return e, err
}

func (d *Desk) entitlementView(ctx context.Context, who admin.Caller, e record.Entitlement, s keys.Parts) (v EntitlementView, err error) {
	v = EntitlementView{ID: e.ID.String(), Request: e.Request.String(), Item: e.Item, Agreement: e.Agreement.String(), Own: e.Account == who.Actor, Collection: string(e.Collection), Dataset: e.Dataset, Versions: e.Versions, Capability: e.Capability.String(),
		NotBefore: e.NotBefore, Expires: e.Expires, State: e.At(d.now())}
	if v.Grantee, err = d.nameOf(ctx, e.Account); err != nil {
		return v, err
	}
	if v.Title, err = d.titleOf(ctx, e.Collection); err != nil {
		return v, err
	}
	if e.Conditions != nil {
		b, err := s.Open("conditions "+e.ID.String(), e.Conditions)
		if err != nil {
			return v, err
		}
		v.Conditions = string(b)
	}
	history, err := d.Access.History(ctx, e.ID)
	if err != nil {
		return v, err
	}
	for _, h := range history {
		x := ChangeView{What: h.Kind.String(), At: h.At}
		if x.By, err = d.nameOf(ctx, h.Actor); err != nil {
			return v, err
		}
		if h.Body != nil {
			b, err := s.Open(fmt.Sprintf("entitlement %v %d", e.ID, h.Seq), h.Body)
			if err != nil {
				return v, err
			}
			x.Text = string(b)
		}
		v.History = append(v.History, x)
	}
	if v.State != "revoked" && v.State != "expired" {
		if v.MayEnd, err = d.may(ctx, who, policy.EndEntitlement, e.Collection, false); err != nil {
			return v, err
		}
		if e.Standing == record.Suspended {
			v.MayResume, err = d.may(ctx, who, policy.DecideRequest, e.Collection, e.Account == who.Actor)
		}
	}
	return v, err
}

// papers adds the agreements and the entitlements of a request to its view.
func (d *Desk) papers(ctx context.Context, v *View, who admin.Caller, q record.Request, s keys.Parts, f Form, wards map[string]bool) error {
	all, err := d.Access.AgreementsOf(ctx, q.ID)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !wards[string(a.Collection)] {
			continue
		}
		x, err := d.agreementView(ctx, who, a, q, s, f)
		if err != nil {
			return err
		}
		v.Agreements = append(v.Agreements, x)
	}
	granted, err := d.Access.EntitlementsBy(ctx, q.ID)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(granted) { // the latest first
		if !wards[string(e.Collection)] {
			continue
		}
		x, err := d.entitlementView(ctx, who, e, s)
		if err != nil {
			return err
		}
		v.Entitlements = append(v.Entitlements, x)
		if slices.ContainsFunc(v.Agreements, func(a AgreementView) bool { return a.ID == x.Agreement }) {
			continue
		}
		// It stands on an agreement of the organisation, which came under another request.
		wide, err := d.Agreement(ctx, who, e.Agreement)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			wide.Checks, wide.MayCheck = nil, false // that is done where it came
			v.Agreements = append(v.Agreements, wide)
		}
	}
	return nil
}

// Entitlement is one, for its owner and for who sees the collection's requests.
func (d *Desk) Entitlement(ctx context.Context, who admin.Caller, id record.ID) (EntitlementView, error) {
	e, err := d.entitlement(ctx, who, id)
	if err != nil {
		return EntitlementView{}, err
	}
	q, err := d.Access.Get(ctx, e.Request)
	if err != nil {
		return EntitlementView{}, err
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return EntitlementView{}, err
	}
	return d.entitlementView(ctx, who, e, s)
}

// Entitlements lists the caller's own, and those of the collections whose requests they see.
func (d *Desk) Entitlements(ctx context.Context, who admin.Caller, limit, offset int) ([]EntitlementView, error) {
	w, err := d.wards(ctx, who, policy.SeeRequests)
	if err != nil {
		return nil, err
	}
	all, err := d.Access.EntitlementsIn(ctx, w, limit, offset)
	if err != nil {
		return nil, err
	}
	if who.Actor != "" && offset == 0 {
		mine, err := d.Access.EntitlementsOf(ctx, who.Actor)
		if err != nil {
			return nil, err
		}
		for _, e := range mine {
			if !w.Has(string(e.Collection)) {
				all = append(all, e)
			}
		}
	}
	return d.views(ctx, who, all)
}

// MyEntitlements lists the caller's own, the latest first.
func (d *Desk) MyEntitlements(ctx context.Context, who admin.Caller) ([]EntitlementView, error) {
	if who.Actor == "" {
		return nil, nil
	}
	all, err := d.Access.EntitlementsOf(ctx, who.Actor)
	if err != nil {
		return nil, err
	}
	return d.views(ctx, who, all)
}

func (d *Desk) views(ctx context.Context, who admin.Caller, all []record.Entitlement) ([]EntitlementView, error) {
	out := []EntitlementView{}
	for _, e := range all {
		v, err := d.Entitlement(ctx, who, e.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// ActOnEntitlement suspends, resumes or revokes. To resume is to permit again, which takes the custodian, and another than its owner.
func (d *Desk) ActOnEntitlement(ctx context.Context, who admin.Caller, id record.ID, act EntitlementAct) (EntitlementView, error) {
	e, err := d.entitlement(ctx, who, id)
	if err != nil {
		return EntitlementView{}, err
	}
	k, ok := map[string]record.Change{"suspend": record.Suspend, "resume": record.Resume, "revoke": record.Revoke}[act.Do]
	if !ok {
		return EntitlementView{}, fault.New(fault.Invalid, "change entitlement", "", "what can be done is suspend, resume or revoke")
	}
	if k == record.Resume {
		err = d.allowed(ctx, who, policy.DecideRequest, e.Collection, e.Account == who.Actor, entitlementObject(id))
	} else {
		err = d.allowed(ctx, who, policy.EndEntitlement, e.Collection, false, entitlementObject(id))
	}
	if err != nil {
		return EntitlementView{}, err
	}
	why := text(act.Text)
	if err := written("the reason", why, MaxText); err != nil {
		return EntitlementView{}, err
	}
	if why == "" && k != record.Resume {
		return EntitlementView{}, fault.New(fault.Invalid, "change entitlement", entitlementObject(id), "say why")
	}
	do, entry, err := d.alter(ctx, who.Actor, e, k, why)
	if err != nil {
		return EntitlementView{}, err
	}
	if err := d.change(ctx, []audit.Entry{entry}, do); err != nil {
		return EntitlementView{}, err
	}
	return d.Entitlement(ctx, who, id)
}

// SuspendProject suspends every use that a request is permitted, for the node, with a reason: in one transaction with whatever else has to be noted. It gives how many there were.
func (d *Desk) SuspendProject(ctx context.Context, request record.ID, why string, also func(tx *db.Tx) error) (int, error) {
	all, err := d.Access.EntitlementsBy(ctx, request)
	if err != nil {
		return 0, err
	}
	var entries []audit.Entry
	todo := []func(tx *db.Tx) error{also}
	for _, e := range all {
		if e.Standing != record.Active || !d.now().Before(e.Expires) {
			continue
		}
		do, entry, err := d.alter(ctx, "node", e, record.Suspend, why)
		if err != nil {
			return 0, err
		}
		todo, entries = append(todo, do), append(entries, entry)
	}
	return len(entries), d.change(ctx, entries, func(tx *db.Tx) error {
		for _, do := range todo {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// ResumeProject permits again what the node has suspended of a request in a collection: for its custodian, who is not the one that is permitted it. What a person has suspended stays so.
func (d *Desk) ResumeProject(ctx context.Context, who admin.Caller, request record.ID, c collection.ID, why string, also func(tx *db.Tx) error) error {
	all, err := d.Access.EntitlementsBy(ctx, request)
	if err != nil {
		return err
	}
	if why, err = whyOf(why); err != nil {
		return err
	}
	var entries []audit.Entry
	todo := []func(tx *db.Tx) error{also}
	for _, e := range all {
		if e.Collection != c || e.Standing != record.Suspended {
			continue
		}
		history, err := d.Access.History(ctx, e.ID)
		if err != nil {
			return err
		}
		if n := len(history); n == 0 || history[n-1].Kind != record.Suspend || history[n-1].Actor != "node" {
			continue
		}
		if err := d.allowed(ctx, who, policy.DecideRequest, e.Collection, e.Account == who.Actor, entitlementObject(e.ID)); err != nil {
			return err
		}
		do, entry, err := d.alter(ctx, who.Actor, e, record.Resume, why)
		if err != nil {
			return err
		}
		todo, entries = append(todo, do), append(entries, entry)
	}
	return d.change(ctx, entries, func(tx *db.Tx) error {
		for _, do := range todo {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func whyOf(s string) (string, error) {
	s = text(s)
	return s, written("the reason", s, MaxText)
}
