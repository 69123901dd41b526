package consent

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// EventView is an event as it is shown. It does not say whose it is.
type EventView struct {
	ID         string          `json:"id"`
	At         *time.Time      `json:"at"`
	Form       string          `json:"form,omitempty"`
	Version    string          `json:"version,omitempty"`
	Answers    map[string]bool `json:"answers,omitempty"`
	Grants     []judge.Use     `json:"grants"`
	Denies     []judge.Use     `json:"denies"`
	Withdrawal judge.Scope     `json:"withdrawal"`
	Expires    *time.Time      `json:"expires,omitempty"`
	Way        consent.Way     `json:"way"`
	By         string          `json:"by"`
	Recorded   time.Time       `json:"recorded"`
}

func viewEvent(e consent.Event) EventView {
	v := EventView{ID: strconv.FormatInt(e.ID, 10), At: admin.When(e.At), Form: e.Form, Version: e.Version, Answers: e.Answers, Grants: e.Grants, Denies: e.Denies, Withdrawal: e.Withdrawal,
		Expires: admin.When(e.Expires), Way: e.Way, By: e.Actor, Recorded: e.Recorded}
	if v.Grants == nil {
		v.Grants = []judge.Use{}
	}
	if v.Denies == nil {
		v.Denies = []judge.Use{}
	}
	return v
}

// PersonView is what holds of one person.
type PersonView struct {
	Pseudonym string      `json:"pseudonym,omitempty"`
	Withdrawn judge.Scope `json:"withdrawn"`
	Words     []string    `json:"words"` // what may be done with their images
	Share     string      `json:"share"` // permit, review or deny: whether they may be in a release
	OptedOut  bool        `json:"opted_out"`
	Events    []EventView `json:"events"`
	// Withdrawal is that from use, where there is one.
	Withdrawal *WithdrawalView `json:"withdrawal,omitempty"`
}

// Person says what holds of one person: to who may see consent in the collection, or may record it and names them as the site does.
func (d *Desk) Person(ctx context.Context, who admin.Caller, id collection.ID, w Whom) (*PersonView, error) {
	a := policy.SeeConsent
	if w.Patient != "" && !policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(id)}).Allow {
		a = policy.RecordConsent
	}
	if err := d.allowed(ctx, who, a, id); err != nil {
		return nil, err
	}
	f, err := d.find(ctx, id, w)
	if err != nil {
		return nil, err
	}
	events, err := d.Consent.Of(ctx, id, f.link)
	if err != nil {
		return nil, err
	}
	if f.subject.ID == 0 && len(events) == 0 {
		return nil, fault.New(fault.NotFound, "find a person", "collection "+string(id), "nothing is known of them: no image, and nothing that they said")
	}
	c, err := d.common(ctx, id)
	if err != nil {
		return nil, err
	}
	st := c.stand(events, f.subject.Created, f.link, d.Now())
	v := &PersonView{Pseudonym: string(f.subject.Pseudonym), Withdrawn: st.Withdrawn(), Words: st.Words(), Share: st.Share().Verdict.String(), OptedOut: c.opted[f.link], Events: []EventView{}}
	for _, e := range events {
		v.Events = append(v.Events, viewEvent(e))
	}
	if f.subject.IsWithdrawn() {
		switch w, err := d.Consent.WithdrawalOf(ctx, f.subject.ID); {
		case err == nil:
			v.Withdrawal = &WithdrawalView{ID: strconv.FormatInt(w.ID, 10), Pseudonym: v.Pseudonym, Scope: w.Scope, By: w.Actor, At: w.Created, EraseAfter: w.EraseAfter, Erased: admin.When(w.Erased), Studies: w.Studies, Instances: w.Instances}
		case !fault.Is(err, fault.NotFound):
			return nil, err
		}
	}
	return v, nil
}

// Standings are what holds of every subject of a collection who is not withdrawn, by their number: for releases. It decides nothing.
func (d *Desk) Standings(ctx context.Context, id collection.ID, now time.Time) (map[subject.ID]*judge.Standing, error) {
	return d.standings(ctx, id, now, false)
}

func (d *Desk) standings(ctx context.Context, id collection.ID, now time.Time, withdrawn bool) (map[subject.ID]*judge.Standing, error) {
	c, err := d.common(ctx, id)
	if err != nil {
		return nil, err
	}
	said := map[subject.Link][]consent.Event{}
	if err := d.Consent.Each(ctx, id, func(l subject.Link, all []consent.Event) error { said[l] = all; return nil }); err != nil {
		return nil, err
	}
	out := map[subject.ID]*judge.Standing{}
	err = d.Subjects.Each(ctx, func(s subject.Subject) error {
		if s.Collection != id || s.IsWithdrawn() && !withdrawn {
			return nil
		}
		st := c.stand(said[s.Link], s.Created, s.Link, now)
		out[s.ID] = &st
		return nil
	})
	return out, err
}

// SummaryView is what may be done with the images of a collection.
type SummaryView struct {
	judge.Summary
	Words []string    `json:"words"`
	Bases []BasisView `json:"bases"`
}

// Summary answers "what may I do with these?" for a collection, in rounded numbers of people: to who may see consent there, or record it. It is of this moment: whoever watched a rounded number change would
// learn of one person (docs/decisions/0003-small-numbers.md), so it is not for everybody.
func (d *Desk) Summary(ctx context.Context, who admin.Caller, id collection.ID) (*SummaryView, error) {
	a := policy.SeeConsent
	if !policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(id)}).Allow {
		a = policy.RecordConsent
	}
	if err := d.allowed(ctx, who, a, id); err != nil {
		return nil, err
	}
	all, err := d.standings(ctx, id, d.Now(), true)
	if err != nil {
		return nil, err
	}
	var t judge.Tally
	for _, s := range all {
		t.Add(s)
	}
	v := &SummaryView{Summary: t.Summary()}
	v.Words = v.Summary.Words()
	v.Bases, err = d.bases(ctx, id)
	return v, err
}

// BasisView is a legal basis as it is shown.
type BasisView struct {
	ID         string       `json:"id"`
	Kind       judge.Kind   `json:"kind"`
	Reference  string       `json:"reference,omitempty"`
	From       *time.Time   `json:"from,omitempty"`
	Until      *time.Time   `json:"until,omitempty"`
	CameBefore *time.Time   `json:"came_before,omitempty"`
	OptOut     judge.OptOut `json:"opt_out,omitempty"`
	Checked    *time.Time   `json:"opt_out_checked,omitempty"`
	Attested   bool         `json:"attested,omitempty"`
	By         string       `json:"by"`
	Created    time.Time    `json:"created"`
	Ended      *time.Time   `json:"ended,omitempty"`
}

func (d *Desk) bases(ctx context.Context, id collection.ID) ([]BasisView, error) {
	all, err := d.Consent.Bases(ctx, id)
	out := []BasisView{}
	for _, b := range all {
		v := BasisView{ID: strconv.FormatInt(b.ID, 10), Kind: b.Kind, Reference: b.Reference, From: admin.When(b.From), Until: admin.When(b.Until), CameBefore: admin.When(b.CameBefore), OptOut: b.OptOut,
			Attested: b.Attested, By: b.Actor, Created: b.Created, Ended: admin.When(b.Ended)}
		if b.Kind == judge.Section251 {
			v.Checked = admin.When(b.OptOutChecked)
		}
		out = append(out, v)
	}
	return out, err
}

// Bases lists the legal bases of a collection: to who may see consent there.
func (d *Desk) Bases(ctx context.Context, who admin.Caller, id collection.ID) ([]BasisView, error) {
	if err := d.allowed(ctx, who, policy.SeeConsent, id); err != nil {
		return nil, err
	}
	return d.bases(ctx, id)
}

// AddBasis records a legal basis. That images are anonymised, or public, is the caller's attestation, which the audit log keeps.
func (d *Desk) AddBasis(ctx context.Context, who admin.Caller, id collection.ID, b consent.Basis) (string, error) {
	const attempt = "record a legal basis"
	if err := d.allowed(ctx, who, policy.ManageBases, id); err != nil {
		return "", err
	}
	bad := func(why string) error { return fault.New(fault.Invalid, attempt, "collection "+string(id), why) }
	b.Reference = strings.TrimSpace(b.Reference)
	switch {
	case len(b.Reference) > 200 || strings.ContainsFunc(b.Reference, func(r rune) bool { return r < ' ' }):
		return "", bad("its reference has at most 200 characters, on one line")
	case !b.Until.IsZero() && !b.From.Before(b.Until):
		return "", bad("it ends before it begins")
	}
	switch b.Kind {
	case judge.ByConsent, judge.Public:
	case judge.Anonymised:
		b.Attested = true
	case judge.Section251:
		switch {
		case b.Reference == "":
			return "", bad("support under section 251 has a reference of the Confidentiality Advisory Group, as 20/CAG/0001")
		case b.Until.IsZero():
			return "", bad("support under section 251 has an end: say until when")
		}
		switch b.OptOut {
		case "":
			b.OptOut = judge.OptOutApplies
		case judge.OptOutApplies, judge.OptOutWaived, judge.OptOutElsewhere:
		default:
			return "", bad("the national data opt-out applies, is waived, or is elsewhere (the data come from no provider in England)")
		}
	default:
		return "", bad("a basis is consent, s251, anonymised or public")
	}
	if b.Kind != judge.Section251 && b.OptOut != "" {
		return "", bad("the national data opt-out concerns section 251 alone")
	}
	b.Collection, b.Actor = id, who.Actor
	var n int64
	err := d.change(ctx, who, policy.ManageBases.String(), id, "added "+string(b.Kind), func(tx *db.Tx) (err error) {
		n, err = d.Consent.AddBasis(tx, b)
		return err
	})
	return strconv.FormatInt(n, 10), err
}

// EndBasis ends a legal basis: from that moment it permits nothing.
func (d *Desk) EndBasis(ctx context.Context, who admin.Caller, id collection.ID, basis int64) error {
	if err := d.allowed(ctx, who, policy.ManageBases, id); err != nil {
		return err
	}
	return d.change(ctx, who, policy.ManageBases.String(), id, "ended one", func(tx *db.Tx) error { return d.Consent.EndBasis(tx, id, basis, who.Actor) })
}

// change makes a change and its audit entry in one transaction; it is on stable storage when it returns.
func (d *Desk) change(ctx context.Context, who admin.Caller, action string, id collection.ID, outcome string, do func(*db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: "collection " + string(id), Collection: string(id), Outcome: outcome})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// AddForm records a version of a form of consent. It reports whether it is new.
func (d *Desk) AddForm(ctx context.Context, who admin.Caller, id collection.ID, f consent.Form) (added bool, err error) {
	if err := d.allowed(ctx, who, policy.ManageBases, id); err != nil {
		return false, err
	}
	f.Collection, f.Actor = id, who.Actor
	err = d.change(ctx, who, policy.ManageBases.String(), id, "form of consent", func(tx *db.Tx) (err error) {
		added, err = d.Consent.AddForm(tx, f)
		return err
	})
	return added, err
}

// Forms lists the forms of a collection. What people are asked is no secret.
func (d *Desk) Forms(ctx context.Context, who admin.Caller, id collection.ID) ([]consent.Form, error) {
	if err := d.allowed(ctx, who, policy.SeeDirectory, id); err != nil {
		return nil, err
	}
	return d.Consent.Forms(ctx, id)
}

// maxOptOuts bounds the list of a check.
const maxOptOuts = 5_000_000

// OptOuts records a check of the national data opt-out: who of a collection has opted out, one identifier a line as the site knows them, and when the list came back. People of whom there is nothing are
// kept too, as keyed hashes. end says, after the last line, whether it was the last. It says how many people the list names.
func (d *Desk) OptOuts(ctx context.Context, who admin.Caller, id collection.ID, checked time.Time, issuer string, patients iter.Seq[string], end func() error) (int64, error) {
	const attempt = "record a check of the national data opt-out"
	if err := d.allowed(ctx, who, policy.ManageBases, id); err != nil {
		return 0, err
	}
	now := d.Now()
	if checked.IsZero() {
		checked = now
	}
	if checked.After(now.Add(time.Minute)) {
		return 0, fault.New(fault.Invalid, attempt, "", "it is dated later than now")
	}
	root, err := d.Ring.Collection(ctx, string(id))
	if err != nil {
		return 0, err
	}
	k := deid.NewKeys(root)
	seen := map[subject.Link]bool{}
	for p := range patients {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		one, ok := deid.IdentityOf(p, issuer)
		if !ok || len(seen) >= maxOptOuts {
			return 0, fault.New(fault.Invalid, attempt, "", "a line names nobody, or the list is longer than 5,000,000; nothing was changed")
		}
		seen[subject.Link(one.Link(k))] = true
	}
	if err := end(); err != nil { // half a list would let the other half through
		return 0, fault.New(fault.Invalid, attempt, "", "the list could not be read to its end; nothing was changed")
	}
	links := make([]subject.Link, 0, len(seen))
	for l := range seen {
		links = append(links, l)
	}
	n := int64(len(links))
	err = d.change(ctx, who, policy.ManageBases.String(), id, "national data opt-out checked", func(tx *db.Tx) error {
		return d.Consent.RecordCheck(tx, consent.Check{Collection: id, Checked: checked, People: n, Actor: who.Actor}, links)
	})
	return n, err
}

// StandingOf is what holds of one subject at a moment. It decides nothing.
func (d *Desk) StandingOf(ctx context.Context, s subject.Subject, now time.Time) (judge.Standing, error) {
	events, err := d.Consent.Of(ctx, s.Collection, s.Link)
	if err != nil {
		return judge.Standing{}, err
	}
	opted, err := d.Consent.HasOptedOut(ctx, s.Collection, s.Link)
	if err != nil {
		return judge.Standing{}, err
	}
	c := &common{opted: map[subject.Link]bool{s.Link: opted}}
	if c.bases, err = d.Consent.Bases(ctx, s.Collection); err != nil {
		return judge.Standing{}, err
	}
	if c.country, err = d.country(ctx, s.Collection); err != nil {
		return judge.Standing{}, err
	}
	return c.stand(events, s.Created, s.Link, now), nil
}
