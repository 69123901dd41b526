package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const (
	maxItems  = 20
	maxDrafts = 20
	maxEvents = 500
	longest   = 10 * 366 * 24 * time.Hour // of what is permitted at once
)

// Wanted is what a request is for: every dataset of a collection, or one of them.
type Wanted struct {
	Collection string `json:"collection"`
	Dataset    string `json:"dataset,omitempty"`
	Versions   string `json:"versions,omitempty"` // "*", "1.x", "1.2.0"; empty: every one
}

// NewRequest is a request as it is begun.
type NewRequest struct {
	For    []Wanted `json:"for"`
	Form   Form     `json:"form"`
	Submit bool     `json:"submit,omitempty"`
}

// body is what the body of an event holds.
type body struct {
	Text  string          `json:"text,omitempty"`
	Match *datause.Answer `json:"match,omitempty"`
}

// Terms are what a custodian approves.
type Terms struct {
	Capability string     `json:"capability"`
	From       *time.Time `json:"from,omitempty"` // none: from now on
	Until      *time.Time `json:"until"`          // not at this moment any more
	Conditions string     `json:"conditions,omitempty"`
	Override   string     `json:"override,omitempty"` // why, where the match denied when it was handed in and the policy was changed since
	Text       string     `json:"text,omitempty"`

	// What the match left open at the approval, whatever who approves sends: see access.Settled.
	Settled  []string `json:"settled,omitempty"`  // judged by who approved
	Open     []string `json:"open,omitempty"`     // no approval settles it
	Policies string   `json:"policies,omitempty"` // access.Fingerprint of what they saw
}

// Act is what somebody does to a request.
type Act struct {
	Do    string `json:"do"`             // submit, take, ask, answer, approve, reject, withdraw, close
	Item  int64  `json:"item,omitempty"` // 0: the only one, or every one that it can be done to
	Seen  int64  `json:"seen,omitempty"` // the number of the last event that was looked at; 0: whatever there is
	Text  string `json:"text,omitempty"`
	Terms *Terms `json:"terms,omitempty"` // of approve
}

func object(id record.ID, item int64) string {
	if item == 0 {
		return "request " + id.String()
	}
	return fmt.Sprintf("request %v item %d", id, item)
}

// Draft begins a request, and hands it in where it says so.
func (d *Desk) Draft(ctx context.Context, who admin.Caller, n NewRequest) (View, error) {
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", false, "a request"); err != nil {
		return View{}, err
	}
	f, err := n.Form.tidy()
	if err != nil {
		return View{}, err
	}
	if n.Submit {
		if err := f.complete(); err != nil {
			return View{}, err
		}
	}
	items, err := d.wanted(ctx, n.For)
	if err != nil {
		return View{}, err
	}
	mine, err := d.Access.Of(ctx, who.Actor, 1000, 0)
	if err != nil {
		return View{}, err
	}
	drafts := 0
	for _, q := range mine {
		all, err := d.Access.Items(ctx, q.ID)
		if err != nil {
			return View{}, err
		}
		if slices.ContainsFunc(all, func(i record.Item) bool { return i.State == record.Draft }) {
			drafts++
		}
		if drafts >= maxDrafts {
			return View{}, fault.New(fault.TooLarge, "begin request", "", "you have twenty requests that were not handed in: finish or discard one")
		}
	}
	q := record.Request{Applicant: who.Actor, Created: d.now()}
	if q.ID, err = record.NewID(); err != nil {
		return View{}, err
	}
	kid, key, err := d.Ring.New(ctx)
	if err != nil {
		return View{}, err
	}
	q.Key = kid
	if q.Draft, err = sealing(key, q.ID).SealJSON("draft", f); err != nil {
		return View{}, err
	}
	err = d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: "begin a request", Object: object(q.ID, 0), Collection: string(items[0].Collection)}}, func(tx *db.Tx) error { return d.Access.Add(tx, q, items) })
	if err != nil {
		return View{}, err
	}
	if n.Submit {
		return d.Act(ctx, who, q.ID, Act{Do: "submit"})
	}
	return d.Request(ctx, who, q.ID)
}

// wanted reads what a request is for.
func (d *Desk) wanted(ctx context.Context, all []Wanted) ([]record.Item, error) {
	if len(all) == 0 || len(all) > maxItems {
		return nil, bad("a request is for one collection at least, and twenty at most")
	}
	var items []record.Item
	for _, w := range all {
		c, err := collection.ParseID(w.Collection)
		if err != nil {
			return nil, err
		}
		t, err := d.Target(ctx, c)
		if err != nil {
			return nil, err
		}
		if t.Closed != "" {
			return nil, bad(t.Closed + ": " + string(c))
		}
		i := record.Item{Collection: c, Dataset: w.Dataset}
		if i.Versions, err = record.ParseVersions(w.Versions); err != nil {
			return nil, err
		}
		if i.Dataset != "" {
			if _, err := collection.ParseID(i.Dataset); err != nil {
				return nil, bad("a dataset's id is like a collection's: lower-case letters, digits and hyphens")
			}
		} else if i.Versions != record.AnyVersion {
			return nil, bad("versions are of a dataset: name it")
		}
		if slices.ContainsFunc(items, func(o record.Item) bool { return o.Collection == i.Collection && o.Dataset == i.Dataset }) {
			return nil, bad("it names the same twice")
		}
		items = append(items, i)
	}
	return items, nil
}

// own is a request of the caller's; to others it is not there.
func (d *Desk) own(ctx context.Context, who admin.Caller, id record.ID) (record.Request, keys.Parts, error) {
	q, err := d.Access.Get(ctx, id)
	if err != nil {
		return q, keys.Parts{}, err
	}
	if q.Applicant != who.Actor || who.Actor == "" {
		return q, keys.Parts{}, hidden()
	}
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", true, object(id, 0)); err != nil {
		return q, keys.Parts{}, err
	}
	s, err := d.sealingOf(ctx, q)
	return q, s, err
}

func hidden() error {
	return fault.New(fault.NotFound, "find request", "", "there is no such request, or it is not yours to see")
}

// Write keeps what the applicant writes, while an item is a draft or they were asked something.
func (d *Desk) Write(ctx context.Context, who admin.Caller, id record.ID, f Form) (View, error) {
	q, s, err := d.own(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	if f, err = f.tidy(); err != nil {
		return View{}, err
	}
	items, err := d.Access.Items(ctx, id)
	if err != nil {
		return View{}, err
	}
	now := d.now()
	if !slices.ContainsFunc(items, func(i record.Item) bool { return i.At(now).Turn() == record.Applicant }) {
		return View{}, fault.New(fault.Conflict, "write request", object(id, 0), "it was handed in: it can be changed when you are asked something, or withdrawn")
	}
	sealed, err := s.SealJSON("draft", f)
	if err != nil {
		return View{}, err
	}
	err = d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: "write a request", Object: object(q.ID, 0)}}, func(tx *db.Tx) error { return d.Access.Write(tx, id, sealed, now) })
	if err != nil {
		return View{}, err
	}
	return d.Request(ctx, who, id)
}

// Discard deletes a request that was not handed in, with its key.
func (d *Desk) Discard(ctx context.Context, who admin.Caller, id record.ID) error {
	q, _, err := d.own(ctx, who, id)
	if err != nil {
		return err
	}
	// The rows first: a key that is left without rows opens nothing.
	err = d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: "discard a request", Object: object(id, 0)}}, func(tx *db.Tx) error { return d.Access.Discard(tx, id) })
	if err != nil {
		return err
	}
	return d.Ring.Destroy(ctx, keys.ID(q.Key))
}

// acts are what can be done to an item, and by whom.
var acts = map[string]struct {
	kind      record.Kind
	custodian bool
	applicant bool
	states    []record.State // where no item is named: those to which it is done
	said      string         // in the audit log
}{
	"submit":   {record.Submit, false, true, []record.State{record.Draft}, "hand in a request"},
	"answer":   {record.Answer, false, true, []record.State{record.Clarify}, "answer about a request"},
	"withdraw": {record.Withdraw, false, true, []record.State{record.Draft, record.Submitted, record.Clarify, record.InReview, record.Expired}, "withdraw a request"},
	"take":     {record.Take, true, false, []record.State{record.Submitted}, "take a request into review"},
	"ask":      {record.AskBack, true, false, []record.State{record.Submitted, record.InReview}, "ask back about a request"},
	"approve":  {record.Approve, true, false, []record.State{record.Submitted, record.InReview}, "approve a request"},
	"reject":   {record.Reject, true, false, []record.State{record.Submitted, record.InReview, record.Clarify, record.Expired}, "reject a request"},
	"close":    {record.Close, true, true, []record.State{record.Approved}, "close a request"},
}

// Act does something to a request, and says how it is then. It is a fault.Conflict where somebody else was faster.
func (d *Desk) Act(ctx context.Context, who admin.Caller, id record.ID, a Act) (View, error) {
	act, ok := acts[a.Do]
	if !ok {
		return View{}, fault.New(fault.Invalid, "change request", "", "what can be done is submit, take, ask, answer, approve, reject, withdraw or close")
	}
	q, err := d.Access.Get(ctx, id)
	if err != nil {
		return View{}, err
	}
	own := q.Applicant == who.Actor && who.Actor != ""
	items, err := d.Access.Items(ctx, id)
	if err != nil {
		return View{}, err
	}
	now := d.now()
	var on []record.Item
	for _, i := range items {
		if a.Item != 0 && i.N != a.Item || a.Item == 0 && !slices.Contains(act.states, i.At(now)) {
			continue
		}
		if !own {
			sees, err := d.may(ctx, who, policy.SeeRequests, i.Collection, false)
			if err != nil {
				return View{}, err
			}
			if !sees || i.Submitted.IsZero() {
				continue
			}
		}
		on = append(on, i)
	}
	if len(on) == 0 {
		if sees, err := d.sees(ctx, who, q, items); err != nil || !sees {
			return View{}, first(err, hidden())
		}
		return View{}, fault.New(fault.Conflict, "change request", object(id, a.Item), "nothing of it is where that can be done; look at it again")
	}
	if act.custodian && !act.applicant && a.Item == 0 && len(on) > 1 {
		return View{}, fault.New(fault.Invalid, "change request", object(id, 0), "it is for several collections: say about which you decide")
	}
	for _, i := range on {
		switch {
		case own && act.applicant:
			err = d.allowed(ctx, who, policy.ApplyForAccess, "", true, object(id, i.N))
		case act.custodian:
			err = d.allowed(ctx, who, policy.DecideRequest, i.Collection, own, object(id, i.N))
		default:
			err = fault.New(fault.Denied, act.said, object(id, i.N), "it is for who asks")
		}
		if err != nil {
			return View{}, err
		}
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return View{}, err
	}
	next, err := d.Access.Next(ctx, id)
	if err != nil {
		return View{}, err
	}
	if a.Seen != 0 && a.Seen != next-1 {
		return View{}, record.Moved(id)
	}
	if next > maxEvents {
		return View{}, fault.New(fault.TooLarge, "change request", object(id, 0), "too much has happened to it: withdraw it and ask anew")
	}
	w := act1{Act: a, kind: act.kind, q: q, s: s, now: now, by: who.Actor, next: next}
	if err := d.events(ctx, &w, on); err != nil {
		return View{}, err
	}
	var entries []audit.Entry
	for _, i := range on {
		entries = append(entries, audit.Entry{Actor: who.Actor, Action: act.said, Object: object(id, i.N), Collection: string(i.Collection)})
	}
	err = d.change(ctx, append(entries, w.entries...), func(tx *db.Tx) error {
		if err := d.Access.Append(tx, id, w.all...); err != nil {
			return err
		}
		if w.handed {
			if err := d.Access.Write(tx, id, nil, now); err != nil {
				return err
			}
		}
		for _, do := range w.more {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return View{}, err
	}
	if act.kind == record.Approve {
		if err := d.settle(ctx, who.Actor, on...); err != nil {
			return View{}, err
		}
	}
	return d.Request(ctx, who, id)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// act1 is an act as it is being prepared.
type act1 struct {
	Act
	kind    record.Kind
	q       record.Request
	s       keys.Parts
	now     time.Time
	by      string
	next    int64
	all     []record.Event
	handed  bool                    // the form goes from the draft into an event
	more    []func(tx *db.Tx) error // in the same transaction
	entries []audit.Entry
}

func (w *act1) add(item int64, kind record.Kind, verdict datause.Verdict, v any) error {
	seq := w.next + int64(len(w.all))
	e := record.Event{Seq: seq, Item: item, Kind: kind, Actor: w.by, At: w.now, Verdict: verdict}
	if v != nil {
		var err error
		if e.Body, err = w.s.SealJSON(fmt.Sprintf("event %d", seq), v); err != nil {
			return err
		}
	}
	w.all = append(w.all, e)
	return nil
}

// events prepares what is added to the record.
func (d *Desk) events(ctx context.Context, w *act1, on []record.Item) error {
	said := text(w.Text)
	if err := written("the text", said, MaxText); err != nil {
		return err
	}
	need := func(what string) error {
		if said == "" {
			return bad("say " + what)
		}
		return nil
	}
	var f Form
	switch w.kind {
	case record.Submit, record.Answer:
		var err error
		if f, _, err = d.form(ctx, w.q, w.s); err != nil {
			return err
		}
		if err := f.complete(); err != nil {
			return err
		}
		if w.kind == record.Answer {
			if err := need("something in answer"); err != nil {
				return err
			}
		}
		if w.q.Draft != nil {
			w.handed = true
			if err := w.add(0, record.HandedIn, 0, f); err != nil {
				return err
			}
		}
	case record.AskBack:
		if err := need("what you want to know"); err != nil {
			return err
		}
	case record.Reject:
		if err := need("why"); err != nil {
			return err
		}
	}
	for _, i := range on {
		switch w.kind {
		case record.Submit, record.Answer:
			t, err := d.Target(ctx, i.Collection)
			if err != nil {
				return err
			}
			if t.Closed != "" {
				return bad(t.Closed + ": " + string(i.Collection))
			}
			m, err := d.match(ctx, i.Collection, f)
			if err != nil {
				return err
			}
			if err := w.add(i.N, w.kind, m.Verdict, body{said, &m}); err != nil {
				return err
			}
		case record.Approve:
			terms, err := d.approved(ctx, w, i)
			if err != nil {
				return err
			}
			if err := w.add(i.N, w.kind, 0, terms); err != nil {
				return err
			}
		default:
			var v any
			if said != "" {
				v = body{Text: said}
			}
			if err := w.add(i.N, w.kind, 0, v); err != nil {
				return err
			}
			if w.kind == record.Close {
				if err := d.endItem(ctx, w, i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// approved checks what a custodian approves.
func (d *Desk) approved(ctx context.Context, w *act1, i record.Item) (Terms, error) {
	if w.Terms == nil || w.Terms.Until == nil {
		return Terms{}, bad("say how far the use goes, and until when")
	}
	t := *w.Terms
	t.Conditions, t.Override, t.Text = text(t.Conditions), text(t.Override), text(t.Text)
	if t.Text == "" {
		t.Text = text(w.Text)
	}
	for _, c := range [][2]string{{"the conditions", t.Conditions}, {"the reason", t.Override}, {"the text", t.Text}} {
		if err := written(c[0], c[1], MaxText); err != nil {
			return t, err
		}
	}
	may, err := record.ParseCapability(t.Capability)
	if err != nil {
		return t, err
	}
	from := w.now
	if t.From != nil && t.From.After(from) {
		from = t.From.UTC().Truncate(time.Microsecond)
	}
	until := t.Until.UTC().Truncate(time.Microsecond)
	t.From, t.Until = &from, &until
	if !from.Before(until) || until.Sub(from) > longest {
		return t, bad("it has to end after it begins, and within ten years")
	}
	f, events, err := d.handedIn(ctx, w.q, w.s)
	if err != nil {
		return t, err
	}
	p, err := f.purpose()
	if err != nil {
		return t, err
	}
	if may == record.Download && !p.Download {
		return t, bad("who asks does not want to take a copy away: approve what they ask for")
	}
	policies, err := d.policiesOf(ctx, i)
	if err != nil {
		return t, err
	}
	m := weighed(p, policies)
	if m.Months > 0 && until.After(from.AddDate(0, m.Months, 0)) {
		return t, bad(fmt.Sprintf("the data may be used for %d months at most", m.Months))
	}
	if m.Verdict == datause.Deny {
		return t, bad("the data may not be used for that, and nothing would be given: the policy of data use has to be changed first, or the request")
	}
	t.Settled, t.Open = judgedBy(m)
	t.Policies = judge.Fingerprint(policies)
	// Refused when it was handed in, and permitted by now: the policy was changed, and why this use follows from that is to be written down.
	stored := matchOf(events, i.N)
	if stored == nil || stored.Verdict != datause.Deny {
		t.Override = ""
		return t, nil
	}
	if len(strings.Fields(t.Override)) < fewestWords {
		return t, bad("the data could not be used for that when it was handed in, and the policy was changed since: give your reason, in five words at least")
	}
	w.entries = append(w.entries, audit.Entry{Actor: w.by, Action: "approve against the match", Object: object(w.q.ID, i.N), Collection: string(i.Collection)})
	return t, nil
}

// fewestWords are those of a reason against the match.
const fewestWords = 5
