package access

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
)

// ItemView is an item as it is shown.
type ItemView struct {
	Item          int64           `json:"item"`
	Collection    string          `json:"collection"`
	Title         string          `json:"title"`
	Dataset       string          `json:"dataset,omitempty"`
	Versions      string          `json:"versions"`
	State         string          `json:"state"`
	Turn          string          `json:"turn,omitempty"` // custodian, applicant; empty: nobody's
	Next          string          `json:"next"`           // what happens next, for who reads it
	Since         time.Time       `json:"since"`
	Submitted     *time.Time      `json:"submitted,omitempty"`
	Decided       *time.Time      `json:"decided,omitempty"`
	CustodianDays float64         `json:"custodian_days"`
	ApplicantDays float64         `json:"applicant_days"`
	Match         *datause.Answer `json:"match,omitempty"` // when it was handed in; of a draft, as it is now
	Now           *datause.Answer `json:"now,omitempty"`   // by the terms of now, for who decides: what they refuse cannot be approved
	Terms         *Terms          `json:"terms,omitempty"`
	MayDecide     bool            `json:"may_decide,omitempty"` // the reader, about this item
	Orphan        bool            `json:"orphan,omitempty"`     // the collection has no custodian
}

// EventView is one of what happened.
type EventView struct {
	Seq  int64     `json:"seq"`
	Item int64     `json:"item,omitempty"`
	What string    `json:"what"`
	By   string    `json:"by"`
	Mine bool      `json:"mine,omitempty"`
	At   time.Time `json:"at"`
	Text string    `json:"text,omitempty"`
}

// View is a request as far as its reader may see it.
type View struct {
	ID           string            `json:"id"`
	Applicant    string            `json:"applicant"`
	Own          bool              `json:"own"`
	Form         Form              `json:"form"`
	Unsent       bool              `json:"unsent,omitempty"` // the form is as it is being written, and not as it was handed in
	Created      time.Time         `json:"created"`
	Changed      time.Time         `json:"changed"`
	Seq          int64             `json:"seq"` // of the last event
	Items        []ItemView        `json:"items"`
	Events       []EventView       `json:"events"`
	Agreements   []AgreementView   `json:"agreements"`
	Entitlements []EntitlementView `json:"entitlements"`
}

// Heading is a request in a list: one row an item.
type Heading struct {
	ID        string    `json:"id"`
	Project   string    `json:"project"`
	Applicant string    `json:"applicant"`
	Own       bool      `json:"own"`
	Changed   time.Time `json:"changed"`
	ItemView
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func days(d time.Duration) float64 { return math.Round(d.Hours()/24*10) / 10 }

// sees reports whether the caller may see a request: it is theirs, or something of it was handed in for a collection of theirs.
func (d *Desk) sees(ctx context.Context, who admin.Caller, q record.Request, items []record.Item) (bool, error) {
	if q.Applicant == who.Actor && who.Actor != "" {
		return d.may(ctx, who, policy.ApplyForAccess, "", true)
	}
	for _, i := range items {
		if i.Submitted.IsZero() {
			continue
		}
		if sees, err := d.may(ctx, who, policy.SeeRequests, i.Collection, false); err != nil || sees {
			return sees, err
		}
	}
	return false, nil
}

// form is the form of a request: what is being written, else as it was handed in last. The events come along.
func (d *Desk) form(ctx context.Context, q record.Request, s keys.Parts) (f Form, events []opened, err error) {
	all, err := d.Access.Events(ctx, q.ID)
	if err != nil {
		return f, nil, err
	}
	var handed *Form
	for _, e := range all {
		o := opened{Event: e}
		if e.Body != nil {
			b, err := s.Open(fmt.Sprintf("event %d", e.Seq), e.Body)
			if err != nil {
				return f, nil, err
			}
			var into any = &o.body
			switch e.Kind {
			case record.HandedIn:
				handed = &Form{}
				o.form, into = handed, handed
			case record.Approve:
				o.terms = &Terms{}
				into = o.terms
			}
			if json.Unmarshal(b, into) != nil {
				return f, nil, fault.New(fault.Corrupt, "read request", object(q.ID, 0), "an event has another form")
			}
		}
		events = append(events, o)
	}
	if handed != nil {
		f = *handed
	}
	if q.Draft != nil {
		f = Form{}
		err = s.OpenJSON("draft", q.Draft, &f)
	}
	return f, events, err
}

// handedIn is the form as it was handed in last; to others than the applicant no other is shown.
func (d *Desk) handedIn(ctx context.Context, q record.Request, s keys.Parts) (Form, []opened, error) {
	q.Draft = nil
	return d.form(ctx, q, s)
}

// opened is an event with what its body says.
type opened struct {
	record.Event
	body  body
	form  *Form // of one that was handed in
	terms *Terms
}

// matchOf is what the match said when an item was handed in last.
func matchOf(events []opened, item int64) *datause.Answer {
	for _, e := range slices.Backward(events) {
		if e.Item == item && e.body.Match != nil {
			return e.body.Match
		}
	}
	return nil
}

// termsOf is what was approved of an item.
func termsOf(events []opened, item int64) *Terms {
	for _, e := range slices.Backward(events) {
		if e.Item == item && e.terms != nil {
			return e.terms
		}
	}
	return nil
}

// Request is one request, for who asks and for who sees the collection's requests.
func (d *Desk) Request(ctx context.Context, who admin.Caller, id record.ID) (View, error) {
	q, err := d.Access.Get(ctx, id)
	if err != nil {
		return View{}, err
	}
	items, err := d.Access.Items(ctx, id)
	if err != nil {
		return View{}, err
	}
	if sees, err := d.sees(ctx, who, q, items); err != nil || !sees {
		return View{}, first(err, hidden())
	}
	own := q.Applicant == who.Actor
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return View{}, err
	}
	v := View{ID: id.String(), Own: own, Created: q.Created, Changed: q.Changed, Unsent: own && q.Draft != nil, Items: []ItemView{}, Events: []EventView{}, Agreements: []AgreementView{}, Entitlements: []EntitlementView{}}
	read := d.handedIn
	if own {
		read = d.form
	}
	f, events, err := read(ctx, q, s)
	if err != nil {
		return v, err
	}
	v.Form, v.Seq = f, int64(len(events))
	if v.Applicant, err = d.nameOf(ctx, q.Applicant); err != nil {
		return v, err
	}
	shown := map[int64]bool{0: true}
	wards := map[string]bool{}
	for _, i := range items {
		if !own {
			sees, err := d.may(ctx, who, policy.SeeRequests, i.Collection, false)
			if err != nil {
				return v, err
			}
			if !sees || i.Submitted.IsZero() {
				continue
			}
		}
		shown[i.N], wards[string(i.Collection)] = true, true
	}
	if err := d.papers(ctx, &v, who, q, s, f, wards); err != nil {
		return v, err
	}
	for _, i := range items {
		if !shown[i.N] {
			continue
		}
		w, err := d.itemView(ctx, who, own, i)
		if err != nil {
			return v, err
		}
		w.Match, w.Terms = matchOf(events, i.N), termsOf(events, i.N)
		if i.State == record.Draft || own && q.Draft != nil {
			if m, err := d.match(ctx, i.Collection, f); err == nil && f.Purpose["for"] != "" {
				w.Match = &m
			}
		}
		if w.MayDecide && w.Turn == "custodian" {
			p, err := f.purpose()
			if err != nil {
				return v, err
			}
			policies, err := d.policiesOf(ctx, i)
			if err != nil {
				return v, err
			}
			now := weighed(p, policies)
			w.Now = &now
		}
		if i.At(d.now()) == record.Approved {
			w.Next = nextOfApproved(v, i, own)
		}
		v.Items = append(v.Items, w)
	}
	for _, e := range events {
		if !shown[e.Item] {
			continue
		}
		x := EventView{Seq: e.Seq, Item: e.Item, What: e.Kind.String(), At: e.At, Text: e.body.Text, Mine: e.Actor == who.Actor}
		if e.terms != nil {
			x.Text = e.terms.Text
		}
		if x.By, err = d.nameOf(ctx, e.Actor); err != nil {
			return v, err
		}
		v.Events = append(v.Events, x)
	}
	if own {
		return v, nil
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		for c := range wards {
			if _, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: "read a request", Object: object(id, 0), Collection: c, Outcome: "done"}); err != nil {
				return err
			}
		}
		return nil
	})
	return v, err
}

func (d *Desk) itemView(ctx context.Context, who admin.Caller, own bool, i record.Item) (w ItemView, err error) {
	now := d.now()
	state := i.At(now)
	w = ItemView{Item: i.N, Collection: string(i.Collection), Dataset: i.Dataset, Versions: i.Versions, State: state.String(), Since: i.Since, Submitted: when(i.Submitted), Decided: when(i.Decided)}
	custodian, applicant := i.Waited(now)
	w.CustodianDays, w.ApplicantDays = days(custodian), days(applicant)
	switch state.Turn() {
	case record.Custodian:
		w.Turn = "custodian"
	case record.Applicant:
		w.Turn = "applicant"
	}
	if w.Title, err = d.titleOf(ctx, i.Collection); err != nil {
		return w, err
	}
	if w.MayDecide, err = d.may(ctx, who, policy.DecideRequest, i.Collection, own); err != nil {
		return w, err
	}
	if state.Turn() == record.Custodian || state == record.Draft {
		t, err := d.Target(ctx, i.Collection)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return w, err
		}
		w.Orphan = t.Orphan
	}
	w.Next = nextStep(state, own, w)
	return w, nil
}

// nextStep says in a sentence what happens next.
func nextStep(s record.State, own bool, w ItemView) string {
	theirs := map[record.State]string{
		record.Draft:     "The applicant is still writing it.",
		record.Submitted: "It waits for the custodian.",
		record.InReview:  "It waits for the custodian.",
		record.Clarify:   "The applicant was asked something, and has to answer.",
		record.Expired:   "The applicant was asked something and has not answered for half a year.",
		record.Rejected:  "It was rejected.",
		record.Withdrawn: "The applicant has withdrawn it.",
		record.Closed:    "The work is over.",
	}
	mine := map[record.State]string{
		record.Draft:     "Finish it and hand it in.",
		record.Submitted: "The custodian has it and has not begun to look.",
		record.InReview:  "The custodian is looking at it.",
		record.Clarify:   "The custodian asks you something: answer, and change the form if need be.",
		record.Expired:   "You were asked something and have not answered for half a year: ask anew.",
		record.Rejected:  "It was rejected; the reason is below. You can ask anew.",
		record.Withdrawn: "You have withdrawn it.",
		record.Closed:    "The work is over.",
	}
	out := theirs[s]
	if own {
		out = mine[s]
	} else if w.MayDecide && s.Turn() == record.Custodian {
		out = "It waits for you."
	}
	if w.Orphan && s.Turn() == record.Custodian {
		out += " The collection has no custodian yet: an administrator has to name one."
	}
	return out
}

// nextOfApproved says what happens next once an item is approved.
func nextOfApproved(v View, i record.Item, own bool) string {
	for _, e := range v.Entitlements {
		if e.Item != i.N {
			continue
		}
		switch e.State {
		case "active":
			if own && slices.ContainsFunc(v.Agreements, func(a AgreementView) bool { return a.ID == e.Agreement && a.MayAccept }) {
				return "Read the agreement below and accept it by name: then you may use the data."
			}
			if own {
				return "You may use the data."
			}
			return "The data may be used."
		case "waiting":
			return "The data may be used from the day on that was approved."
		case "suspended":
			return "The use is suspended."
		case "expired":
			return "The use is over."
		case "revoked":
			return "The use was ended by the custodian."
		}
	}
	for _, a := range v.Agreements {
		if a.Collection == string(i.Collection) && a.State == record.AwaitingSign.String() {
			if own {
				return "Approved. The custodian checks the signed agreement."
			}
			return "Approved. The signed agreement waits to be checked."
		}
	}
	if own {
		return "Approved. Upload the signed agreement: the use begins when the custodian has checked it."
	}
	return "Approved. The signed agreement has not come yet."
}

// Mine lists what the caller asks for, the latest first.
func (d *Desk) Mine(ctx context.Context, who admin.Caller, limit, offset int) ([]Heading, error) {
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", true, "requests"); err != nil {
		return nil, err
	}
	all, err := d.Access.Of(ctx, who.Actor, limit, offset)
	if err != nil {
		return nil, err
	}
	out := []Heading{}
	for _, q := range all {
		v, err := d.Request(ctx, who, q.ID)
		if fault.Is(err, fault.NotFound) {
			continue // it is being discarded
		}
		if err != nil {
			return nil, err
		}
		for _, i := range v.Items {
			out = append(out, Heading{v.ID, v.Form.Title, v.Applicant, true, v.Changed, i})
		}
	}
	return out, nil
}

// List is what the caller asks for themselves, and what others ask for in the collections whose requests they see.
func (d *Desk) List(ctx context.Context, who admin.Caller, limit, offset int) ([]Heading, error) {
	out := []Heading{}
	if person, err := d.person(ctx, who); err != nil {
		return nil, err
	} else if person {
		if out, err = d.Mine(ctx, who, limit, offset); err != nil {
			return nil, err
		}
	}
	others, err := d.ToDecide(ctx, who, limit, offset)
	return append(out, others...), err
}

// Sees reports whether the caller sees what others ask for, anywhere.
func (d *Desk) Sees(ctx context.Context, who admin.Caller) (bool, error) {
	w, err := d.wards(ctx, who, policy.SeeRequests)
	return !w.None(), err
}

// ToDecide lists what others ask for in the caller's collections: what waits for a custodian first, the longest waiting at the top.
func (d *Desk) ToDecide(ctx context.Context, who admin.Caller, limit, offset int) ([]Heading, error) {
	w, err := d.wards(ctx, who, policy.SeeRequests)
	if err != nil || w.None() {
		return []Heading{}, err
	}
	all, err := d.Access.In(ctx, w, limit, offset)
	if err != nil {
		return nil, err
	}
	out := []Heading{}
	views := map[record.ID]View{}
	for _, i := range all {
		q, err := d.Access.Get(ctx, i.Request)
		if err != nil {
			return nil, err
		}
		if q.Applicant == who.Actor {
			continue // it is in their own list
		}
		v, ok := views[i.Request]
		if !ok {
			s, err := d.sealingOf(ctx, q)
			if err != nil {
				return nil, err
			}
			f, events, err := d.handedIn(ctx, q, s)
			if err != nil {
				return nil, err
			}
			v = View{ID: q.ID.String(), Form: f, Changed: q.Changed}
			if v.Applicant, err = d.nameOf(ctx, q.Applicant); err != nil {
				return nil, err
			}
			if err := d.papers(ctx, &v, who, q, s, f, map[string]bool{string(i.Collection): true}); err != nil {
				return nil, err
			}
			for _, e := range events {
				if e.body.Match != nil {
					v.Items = append(v.Items, ItemView{Item: e.Item, Match: e.body.Match})
				}
			}
			views[i.Request] = v
		}
		h := Heading{ID: v.ID, Project: v.Form.Title, Applicant: v.Applicant, Changed: v.Changed}
		if h.ItemView, err = d.itemView(ctx, who, false, i); err != nil {
			return nil, err
		}
		for _, m := range v.Items {
			if m.Item == i.N {
				h.Match = m.Match
			}
		}
		if i.At(d.now()) == record.Approved {
			h.Next = nextOfApproved(v, i, false)
		}
		out = append(out, h)
	}
	return out, nil
}

// Waiting counts what waits for the caller: requests to decide on, agreements to check, questions to answer.
func (d *Desk) Waiting(ctx context.Context, who admin.Caller) (int64, error) {
	if who.Actor == "" {
		return 0, nil
	}
	w, err := d.wards(ctx, who, policy.DecideRequest)
	if err != nil {
		return 0, err
	}
	n, err := d.Access.CountWaiting(ctx, w, who.Actor)
	if err != nil {
		return 0, err
	}
	papers, err := d.Access.AwaitingIn(ctx, w)
	if err != nil {
		return 0, err
	}
	asked, err := d.Access.CountAsked(ctx, who.Actor, d.now())
	return n + papers + asked, err
}
