// Package consent takes in what people agree to, refuse and withdraw, and carries it out: what it records holds from the moment that the call returns.
//
// It promises: policy decides on every call, inside the call; what is recorded and what follows from it are one transaction with its audit entry; a patient's own identifier is turned into
// the keyed hash that images are filed by at once, by the collection's keys, and is in no table, log or answer. A withdrawal from use takes everything of the subject out of sight in that
// transaction and ends what is being read of it; when the hold is over, the subject's key is destroyed, and what is left of it in packs, mirrors and backups can be read by nobody.
//
// It does not judge what events come to (judge/consent does), and does not tell those who were given copies (flow/recall).
package consent

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Hold is how long a subject's key is kept after they have withdrawn from use, unless a collection asks for it sooner: time for those who answer for it to see that all was done.
const Hold = 30 * 24 * time.Hour

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Gate        *subject.Gate
	Audit       *audit.Log
	Signer      *audit.Signer // nil: no certificate is signed
	Jobs        *jobs.Queue
	Collections *collection.Record
	Subjects    *subject.Record
	Catalogue   *catalogue.Record
	Clinical    *clinical.Record
	Consent     *consent.Record
	Entries     *directory.Record // says in which country people were asked
	Log         *slog.Logger
	Now         func() time.Time // nil: the clock
	// Withdrawn is told of each subject that has withdrawn from use, in the transaction; may be nil.
	Withdrawn func(tx *db.Tx, s subject.Subject) error
	// Copies counts the recipients of what was given of a subject; nil: nobody knows.
	Copies func(ctx context.Context, id subject.ID) (recall.Copies, error)
}

// Desk is where people's wishes are handed in. It is safe for use by many goroutines.
type Desk struct{ Parts }

// New makes the desk.
func New(p Parts) *Desk {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	return &Desk{p}
}

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, a policy.Action, id collection.ID) error {
	decision := policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(id)})
	object, in := "collection "+string(id), string(id)
	_, err := d.Collections.Get(ctx, id)
	switch {
	case err == nil && decision.Allow:
		return nil
	case decision.Allow:
		return err
	case fault.Is(err, fault.NotFound):
		object, in = "a collection that is not there", ""
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: a.String(), Object: object, Collection: in, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, a.String(), object, strings.Join(decision.Reasons, "; "))
}

// Whom names a person: by the collection's pseudonym, or by the identifier that the site knows them by. It does not print itself.
type Whom struct {
	Pseudonym string
	Patient   string
	Issuer    string // of Patient; may be empty
}

func (Whom) String() string   { return "person" }
func (Whom) GoString() string { return "consent.Whom{}" }

// found is a person of a collection, as far as the node knows them.
type found struct {
	link    subject.Link
	subject subject.Subject // of number 0: there is nothing of them yet
}

// find looks for a person. One of whom there is nothing yet is found by their own identifier alone.
func (d *Desk) find(ctx context.Context, id collection.ID, w Whom) (f found, err error) {
	const attempt = "find a person"
	switch {
	case (w.Pseudonym == "") == (w.Patient == ""):
		return f, fault.New(fault.Invalid, attempt, "", "name them by the collection's pseudonym, or by the identifier that the site knows them by")
	case w.Pseudonym != "":
		p, err := subject.ParsePseudonym(w.Pseudonym)
		if err != nil {
			return f, err
		}
		f.subject, err = d.Subjects.ByPseudonym(ctx, id, p)
		if err == nil || !fault.Is(err, fault.NotFound) {
			f.link = f.subject.Link
			return f, err
		}
		// Images that are kept as they came have the depositor's own pseudonym for a Patient ID.
		asCame, err := d.keepsAsDeposited(ctx, id)
		if err != nil {
			return f, err
		}
		var called []subject.ID
		if asCame {
			if called, err = d.Catalogue.SubjectsCalled(ctx, id, w.Pseudonym); err != nil {
				return f, err
			}
		}
		switch len(called) {
		case 0:
			return f, fault.New(fault.NotFound, attempt, "collection "+string(id), "it has nobody of this pseudonym")
		case 1:
			f.subject, err = d.Subjects.Get(ctx, called[0])
			f.link = f.subject.Link
			return f, err
		}
		return f, fault.New(fault.Conflict, attempt, "collection "+string(id), "images of more than one person have this Patient ID: name them by the identifier that the site knows them by, with its issuer")
	}
	who, ok := deid.IdentityOf(w.Patient, w.Issuer)
	if !ok {
		return f, fault.New(fault.Invalid, attempt, "", "the identifier names nobody")
	}
	root, err := d.Ring.Collection(ctx, string(id))
	if err != nil {
		return f, err
	}
	f.link = subject.Link(who.Link(deid.NewKeys(root)))
	f.subject, err = d.Subjects.Find(ctx, id, f.link)
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return f, err
}

func (d *Desk) keepsAsDeposited(ctx context.Context, id collection.ID) (bool, error) {
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return false, err
	}
	p, err := d.Collections.Cleaning(ctx, c)
	if err != nil {
		return false, err
	}
	return p.AsDeposited, nil
}

// Said is what is recorded of a person: answers to a version of a form, uses by name, a withdrawal, or several of these.
type Said struct {
	At             time.Time // when; zero: now
	Form, Version  string
	Answers        map[string]bool // by clause
	Grants, Denies []judge.Use     // beside the answers
	Withdrawal     judge.Scope
	Expires        time.Time
}

// Outcome is what came of it.
type Outcome struct {
	Event     int64       `json:"-"`                   // its number
	Recorded  bool        `json:"recorded"`            // false: it was known already
	Pseudonym string      `json:"pseudonym,omitempty"` // empty: there are no images of them yet
	Withdrawn judge.Scope `json:"withdrawn"`           // how far they have withdrawn by now
	Out       bool        `json:"out_of_sight"`        // this call has taken everything of theirs out of sight
	Studies   int64       `json:"studies,omitempty"`   // by this call
	Instances int64       `json:"instances,omitempty"`
	// Withdrawal is the number of the withdrawal from use that this call carried out.
	Withdrawal string     `json:"withdrawal,omitempty"`
	EraseAfter *time.Time `json:"erase_after,omitempty"`
	Words      []string   `json:"words"` // what may be done with their images
}

// event is what is said as it is recorded.
func (d *Desk) event(ctx context.Context, id collection.ID, said Said, way consent.Way, actor string) (e consent.Event, err error) {
	const attempt = "record consent"
	now := d.Now()
	e = consent.Event{Collection: id, Form: said.Form, Version: said.Version, Answers: said.Answers, Way: way, Actor: actor}
	e.At, e.Withdrawal, e.Expires = said.At, said.Withdrawal, said.Expires
	if e.At.IsZero() {
		e.At = now
	}
	switch {
	case e.At.After(now.Add(time.Minute)):
		return e, fault.New(fault.Invalid, attempt, "", "it is dated later than now")
	case e.At.Year() < 1900:
		return e, fault.New(fault.Invalid, attempt, "", "it is dated before 1900")
	case !e.Expires.IsZero() && !e.Expires.After(e.At):
		return e, fault.New(fault.Invalid, attempt, "", "it ends before it begins")
	}
	switch e.Withdrawal {
	case "", judge.NoWithdrawal, judge.FromContact, judge.FromCollection, judge.FromUse:
	default:
		return e, fault.New(fault.Invalid, attempt, "", "a withdrawal is from contact, collection or use")
	}
	for _, u := range append(append([]judge.Use{}, said.Grants...), said.Denies...) {
		if _, ok := judge.ParseUse(string(u)); !ok {
			return e, fault.New(fault.Invalid, attempt, "", "it speaks of a use that is none of those that are known")
		}
	}
	e.Grants, e.Denies = said.Grants, said.Denies
	if (said.Form == "") != (said.Version == "") || said.Form == "" && len(said.Answers) > 0 {
		return e, fault.New(fault.Invalid, attempt, "", "name the form that was signed and its version")
	}
	if said.Form != "" {
		f, err := d.Consent.Form(ctx, id, said.Form, said.Version)
		if err != nil {
			return e, err
		}
		grants, denies, err := f.Resolve(said.Answers)
		if err != nil {
			return e, err
		}
		e.Grants, e.Denies = append(grants, said.Grants...), append(denies, said.Denies...)
	}
	if len(e.Grants)+len(e.Denies) == 0 && (e.Withdrawal == "" || e.Withdrawal == judge.NoWithdrawal) {
		return e, fault.New(fault.Invalid, attempt, "", "nothing is granted, denied or withdrawn")
	}
	return e, nil
}

// Record records what a person said, and carries it out.
func (d *Desk) Record(ctx context.Context, who admin.Caller, id collection.ID, w Whom, said Said) (Outcome, error) {
	if err := d.allowed(ctx, who, actionOf(said), id); err != nil {
		return Outcome{}, err
	}
	f, err := d.find(ctx, id, w)
	if err != nil {
		return Outcome{}, err
	}
	e, err := d.event(ctx, id, said, consent.Person, who.Actor)
	if err != nil {
		return Outcome{}, err
	}
	all, err := d.take(ctx, who, []one{{found: f, event: e}})
	if err != nil {
		return Outcome{}, err
	}
	return all[0], nil
}

// one is a person with what they said.
type one struct {
	found
	event consent.Event
}

// taking is one batch of events of one collection on its way into the record.
type taking struct {
	*Desk
	who    admin.Caller
	id     collection.ID
	common *common
	names  *deid.Keys
	spare  map[subject.Link]subject.KeyID // of people who withdraw and of whom there is nothing yet: their subjects are made so that nothing is taken later
	used   map[subject.KeyID]bool
	gone   []subject.Subject
}

// take records events of one collection in one transaction, carries out what follows, and ends what is being read of those who have withdrawn.
func (d *Desk) take(ctx context.Context, who admin.Caller, all []one) (out []Outcome, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	t := &taking{Desk: d, who: who, id: all[0].event.Collection, spare: map[subject.Link]subject.KeyID{}, used: map[subject.KeyID]bool{}}
	if t.common, err = d.common(ctx, t.id); err != nil {
		return nil, err
	}
	root, err := d.Ring.Collection(ctx, string(t.id))
	if err != nil {
		return nil, err
	}
	t.names = deid.NewKeys(root)
	for i := range all {
		x := &all[i]
		if w := x.event.Withdrawal; x.subject.ID != 0 || w != judge.FromUse && w != judge.FromCollection {
			continue
		}
		if _, ok := t.spare[x.link]; ok {
			continue
		}
		k, _, err := d.Ring.New(ctx)
		if err != nil {
			return nil, err
		}
		t.spare[x.link] = subject.KeyID(k)
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		out, t.gone = make([]Outcome, len(all)), nil
		clear(t.used)
		for i := range all {
			var err error
			x := all[i] // the transaction may be tried again
			if out[i], err = t.one(tx, &x); err != nil {
				return err
			}
			if x.subject.ID != 0 {
				all[i].subject = x.subject
			}
		}
		return nil
	})
	if err != nil {
		return nil, err // nobody can say whether a row is there: keys that were made stay
	}
	for _, k := range t.spare {
		if t.used[k] {
			continue
		}
		if err := d.Ring.Destroy(ctx, keys.ID(k)); err != nil {
			d.Log.Warn("a key that was never used could not be destroyed", "error", err)
		}
	}
	for _, s := range t.gone {
		d.Gate.Shut(s)
		if err := d.Ring.Suspend(ctx, keys.ID(s.Key)); err != nil {
			d.Log.Warn("the key of a subject who has withdrawn was not suspended; the job does it", "subject", int64(s.ID), "error", err)
		}
	}
	for i := range all {
		if all[i].subject.ID != 0 {
			d.Gate.Changed(all[i].subject.ID)
		}
	}
	return out, d.DB.Sync()
}

// one records an event and carries out what the person's events come to by now.
func (t *taking) one(tx *db.Tx, x *one) (o Outcome, err error) {
	x.event.Link = x.link
	if o.Event, o.Recorded, err = t.Consent.Add(tx, x.event); err != nil {
		return o, err
	}
	if err := t.follow(tx, x, &o); err != nil || !o.Recorded {
		return o, err
	}
	on := "a person of whom there is nothing yet"
	if x.subject.ID != 0 {
		on = fmt.Sprintf("subject %d", int64(x.subject.ID))
	}
	action, outcome := policy.RecordConsent, "recorded"
	if withdraws(x.event.Withdrawal) {
		action, outcome = policy.Withdraw, "withdrawn from "+string(x.event.Withdrawal)
	}
	return o, t.Audit.Append(tx, audit.Entry{Actor: t.who.Actor, Action: action.String(), Object: on, Collection: string(t.id), Outcome: outcome})
}

func (t *taking) follow(tx *db.Tx, x *one, o *Outcome) error {
	events, err := t.Consent.OfIn(tx, t.id, x.link)
	if err != nil {
		return err
	}
	st := t.common.stand(events, x.subject.Created, x.link, t.Now())
	o.Withdrawn, o.Words = st.Withdrawn(), st.Words()
	stopped := o.Withdrawn == judge.FromUse || o.Withdrawn == judge.FromCollection
	if stopped && x.subject.ID == 0 {
		if err := t.ensure(tx, x); err != nil {
			return err
		}
	}
	if x.subject.ID == 0 {
		return nil
	}
	o.Pseudonym = string(x.subject.Pseudonym)
	s, err := t.Subjects.In(tx, x.subject.ID)
	if err != nil {
		return err
	}
	switch {
	case o.Withdrawn == judge.FromUse && !s.IsWithdrawn():
		w, err := t.hide(tx, t.who.Actor, s, t.Now())
		if err != nil {
			return err
		}
		t.gone = append(t.gone, s)
		o.Out, o.Studies, o.Instances, o.Withdrawal, o.EraseAfter = true, w.Studies, w.Instances, strconv.FormatInt(w.ID, 10), &w.EraseAfter
	case s.IsWithdrawn():
		if o.Withdrawn != judge.FromUse {
			o.Words = append([]string{"This person has withdrawn from use before, and that is never taken back here: what was kept of them is not served again."}, o.Words...)
		}
	case stopped && s.Closed.IsZero():
		_, err = t.Subjects.Close(tx, s.ID)
	case !stopped && !s.Closed.IsZero():
		err = t.Subjects.Reopen(tx, s.ID)
	}
	return err
}

// ensure makes the subject of a person who wants nothing to be taken, before anything came.
func (t *taking) ensure(tx *db.Tx, x *one) error {
	s, err := t.Subjects.FindIn(tx, t.id, x.link)
	if fault.Is(err, fault.NotFound) {
		k, ok := t.spare[x.link]
		if !ok {
			return fault.New(fault.Internal, "record consent", "collection "+string(t.id), "somebody has withdrawn, and no subject was made of them")
		}
		var made bool
		if s, made, err = t.Subjects.Ensure(tx, t.id, x.link, subject.Pseudonym(t.names.Pseudonym(x.link)), k); err == nil {
			t.used[k] = made
		}
	}
	if err == nil {
		x.subject = s
	}
	return err
}

func withdraws(w judge.Scope) bool { return w != "" && w != judge.NoWithdrawal }

// actionOf is what policy is asked for something that was said.
func actionOf(said Said) policy.Action {
	if withdraws(said.Withdrawal) {
		return policy.Withdraw
	}
	return policy.RecordConsent
}

// common is what holds of everybody in a collection.
type common struct {
	bases   []consent.Basis
	opted   map[subject.Link]bool
	country string // where people were asked; empty: nobody has said so
}

func (d *Desk) common(ctx context.Context, id collection.ID) (c *common, err error) {
	c = &common{}
	if c.bases, err = d.Consent.Bases(ctx, id); err != nil {
		return nil, err
	}
	if c.opted, err = d.Consent.OptedOut(ctx, id); err != nil {
		return nil, err
	}
	c.country, err = d.country(ctx, id)
	return c, err
}

// country is where people of a collection were asked: its custodian's, as its entry in the directory says it.
func (d *Desk) country(ctx context.Context, id collection.ID) (string, error) {
	e, err := d.Entries.OfCollection(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return e.Entry.Custodian.Country, err
}

// stand works out what holds of a person who first came at a time; zero: nothing of them has.
func (c *common) stand(events []consent.Event, came time.Time, link subject.Link, now time.Time) judge.Standing {
	f := judge.Facts{Events: consent.Judged(events), OptedOut: c.opted[link], Country: c.country, Now: now}
	for i := range c.bases {
		if c.bases[i].Covers(came) {
			f.Bases = append(f.Bases, c.bases[i].Basis)
		}
	}
	return judge.Stand(f)
}
