// Package recall calls back what was given: who has copies of a person who withdrew, or of a release that was taken back, is told, says what became of them, is reminded, and uses nothing any more when they do not.
//
// It promises: what is called back is noted in the transaction of the withdrawal; whoever the ledger has is told, and nobody else; withdrawals of a week are told together, so that no notice falls on the day of one; a notice has
// identifiers of objects and nothing that names or describes a person, a mail says that something waits and where; only the person who was permitted the data attests, and what they attest is signed by the node; what the calendar
// asks for is done once, whatever breaks off. Policy decides inside every call, and the audit log has every act.
package recall

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	accessflow "github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Parts are what the desk works with. For its hooks alone, Recalls and Releases do.
type Parts struct {
	DB       *db.DB
	Root     *keys.Root
	Audit    *audit.Log
	Signer   *audit.Signer // nil: nothing is attested
	Jobs     *jobs.Queue
	Recalls  *recall.Record
	Releases *release.Record
	Access   *accessflow.Desk
	Identity *identity.Record
	Mail     *mailing.Queue // nil: people are told in the portal alone
	Log      *slog.Logger
	Now      func() time.Time // nil: the clock
}

// Desk is safe for use by many goroutines.
type Desk struct {
	Parts
	texts *keys.Sealer
}

// New makes the desk.
func New(p Parts) (*Desk, error) {
	s, err := keys.NewSealer(p.Root, "recalls")
	if err != nil {
		return nil, err
	}
	d := &Desk{Parts: p, texts: s}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if p.Mail != nil {
		p.Mail.Own(mailKind, d)
	}
	return d, nil
}

// now is the clock, as exactly as it is stored.
func (d *Desk) now() time.Time {
	if d.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return d.Now().UTC().Truncate(time.Microsecond)
}

// Withdrawn calls back what was given of a subject, in the transaction in which they withdraw.
func (d *Desk) Withdrawn(tx *db.Tx, s subject.Subject) error {
	return d.call(tx, recall.Cause{Subject: s.ID, Collection: s.Collection, Code: recall.Withdrawal, At: d.now()})
}

// Buried calls back what was given of a release, in the transaction in which it is taken back as a whole. An error in it calls nothing back.
func (d *Desk) Buried(tx *db.Tx, x release.Release, code string) error {
	if !slices.Contains([]string{recall.Withdrawal, recall.Defect, recall.Legal, recall.Policy}, code) {
		return nil
	}
	return d.call(tx, recall.Cause{Release: x.ID, Collection: x.Collection, Code: code, At: d.now()})
}

func (d *Desk) call(tx *db.Tx, c recall.Cause) error {
	if err := d.Recalls.AddCause(tx, c); err != nil {
		return err
	}
	given, err := d.Releases.GivenIn(tx, c.Subject, c.Release)
	if err != nil {
		return err
	}
	for _, g := range given {
		_, err := d.Recalls.AddItem(tx, recall.Item{Entitlement: g.Entitlement, Release: g.Release, Subject: g.Subject, Account: g.Account, Collection: c.Collection, Code: c.Code, Since: c.At})
		if err != nil {
			return err
		}
	}
	return nil
}

// Overdue is when the oldest answer of a request was due that has not come; zero: none is overdue.
func (d *Desk) Overdue(ctx context.Context, request access.ID) (time.Time, error) {
	return d.Recalls.Owed(ctx, int64(request), d.now())
}

// Copies counts the recipients of what was given of a subject, without naming any.
func (d *Desk) Copies(ctx context.Context, id subject.ID) (recall.Copies, error) {
	return d.Recalls.CopiesOf(ctx, id, d.now())
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

// may asks policy where a refusal is no event.
func (d *Desk) may(ctx context.Context, who admin.Caller, a policy.Action, b recall.Batch) (policy.Decision, error) {
	person, err := d.person(ctx, who)
	if err != nil {
		return policy.Decision{}, err
	}
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: string(b.Collection), Person: person, Own: b.Account == who.Actor}), nil
}

// allowed asks policy. A denial is logged, once an hour.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, a policy.Action, b recall.Batch) error {
	decision, err := d.may(ctx, who, a, b)
	if err != nil || decision.Allow {
		return err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: a.String(), Object: object(b), Collection: string(b.Collection), Outcome: "denied"})
		return err
	})
	if err != nil {
		return err
	}
	return fault.New(fault.Denied, a.String(), object(b), strings.Join(decision.Reasons, "; "))
}

func object(b recall.Batch) string { return "recall " + b.ID.String() }

// get is a recall that the caller may see: their own, or one of a collection whose recalls they see.
func (d *Desk) get(ctx context.Context, who admin.Caller, id recall.ID) (recall.Batch, error) {
	b, err := d.Recalls.Get(ctx, id)
	if err != nil {
		return b, err
	}
	if who.Actor == "" {
		return b, recall.None()
	}
	if b.Account == who.Actor {
		return b, nil
	}
	decision, err := d.may(ctx, who, policy.SeeRecalls, b)
	if err != nil {
		return b, err
	}
	if !decision.Allow {
		return b, recall.None()
	}
	return b, d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.SeeRecalls.String(), Object: object(b), Collection: string(b.Collection), Outcome: "done"})
		return err
	})
}

// View is a recall as it is shown.
type View struct {
	ID           string      `json:"id"`
	Request      string      `json:"request,omitempty"`
	Project      string      `json:"project"`
	Recipient    string      `json:"recipient"`
	Own          bool        `json:"own,omitempty"`
	Collection   string      `json:"collection"`
	Code         string      `json:"code"` // why: withdrawal, deidentification-defect, legal, policy
	Why          string      `json:"why"`
	State        string      `json:"state"` // told, acknowledged, overdue, attested, not_feasible, waived
	Outcome      string      `json:"outcome,omitempty"`
	Releases     []string    `json:"releases"`
	Objects      int         `json:"objects"`
	Told         time.Time   `json:"told"`
	Due          time.Time   `json:"due"`
	Closed       *time.Time  `json:"closed,omitempty"`
	Suspended    bool        `json:"suspended,omitempty"` // and not permitted again yet
	Mail         string      `json:"mail,omitempty"`      // how the last mail to the recipient stands; empty: none was asked for
	MayAnswer    bool        `json:"may_answer,omitempty"`
	MayWaive     bool        `json:"may_waive,omitempty"`
	MayResume    bool        `json:"may_resume,omitempty"`
	Attestations int         `json:"attestations,omitempty"`
	Events       []EventView `json:"events,omitempty"`
}

// EventView is one thing that happened.
type EventView struct {
	Seq      int64     `json:"seq"`
	What     string    `json:"what"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Text     string    `json:"text,omitempty"`
	Answer   string    `json:"answer,omitempty"`
	Models   []Model   `json:"models,omitempty"`
	Document bool      `json:"document,omitempty"` // its signed document can be had
}

var whys = map[string]string{
	recall.Withdrawal: "People whose images are in these releases have withdrawn from the use of their data.",
	recall.Defect:     "The release was taken back: its images were not de-identified as they should have been.",
	recall.Legal:      "The release was taken back for a legal reason.",
	recall.Policy:     "The release was taken back: what its data may be used for was found to be otherwise.",
}

func (d *Desk) nameOf(ctx context.Context, actor string) (string, error) {
	a, err := d.Identity.Account(ctx, actor)
	if fault.Is(err, fault.NotFound) {
		return actor, nil
	}
	return a.Name, err
}

// Object is an object that is called back.
type Object struct {
	DRS     string `json:"drs"`
	Leaf    string `json:"leaf"` // hash of its line of the release's manifest
	Release string `json:"release"`
}

// objects are those of a recall, by release and identifier, and the releases.
func (d *Desk) objects(ctx context.Context, id recall.ID) (all []Object, releases []string, err error) {
	items, err := d.Recalls.Items(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	names := map[int64]string{}
	seen := map[[2]int64]bool{}
	for _, i := range items {
		if k := [2]int64{i.Release, int64(i.Subject)}; seen[k] {
			continue // by another entitlement of the project
		}
		seen[[2]int64{i.Release, int64(i.Subject)}] = true
		if names[i.Release] == "" {
			x, err := d.Releases.ByID(ctx, i.Release)
			if err != nil {
				return nil, nil, err
			}
			names[i.Release] = x.Name()
			releases = append(releases, x.Name())
		}
		marks, err := d.Releases.Marks(ctx, i.Release, i.Subject)
		if err != nil {
			return nil, nil, err
		}
		for _, m := range marks {
			all = append(all, Object{m.DRS, m.Leaf, names[i.Release]})
		}
	}
	// Not in the order of people: which objects are of one person is not said.
	slices.SortFunc(all, func(a, b Object) int {
		return cmp.Or(strings.Compare(a.Release, b.Release), strings.Compare(a.DRS, b.DRS))
	})
	slices.Sort(releases)
	return all, releases, nil
}

func state(b recall.Batch, now time.Time) string {
	switch {
	case b.Outcome == "waived":
		return "waived"
	case b.Outcome == NotFeasible:
		return "not_feasible"
	case !b.Open():
		return "attested"
	case !now.Before(b.Due):
		return "overdue"
	case !b.Acknowledged.IsZero():
		return "acknowledged"
	}
	return "told"
}

func (d *Desk) view(ctx context.Context, who admin.Caller, b recall.Batch) (View, error) {
	now := d.now()
	v := View{ID: b.ID.String(), Own: b.Account == who.Actor, Collection: string(b.Collection), Code: b.Code, Why: whys[b.Code], State: state(b, now), Outcome: b.Outcome, Told: b.Told, Due: b.Due, Closed: admin.When(b.Closed),
		Suspended: !b.Suspended.IsZero() && b.Resumed.IsZero(), Mail: b.Mail, Project: "A use that is known no more"}
	var err error
	if v.Recipient, err = d.nameOf(ctx, b.Account); err != nil {
		return v, err
	}
	if b.Request != 0 {
		v.Request = access.ID(b.Request).String()
		all, err := d.Access.Access.EntitlementsBy(ctx, access.ID(b.Request))
		if err != nil {
			return v, err
		}
		if len(all) > 0 {
			v.Project = all[0].Public.Title
		}
	}
	all, releases, err := d.objects(ctx, b.ID)
	if err != nil {
		return v, err
	}
	v.Objects, v.Releases = len(all), releases
	for _, m := range []struct {
		to    *bool
		a     policy.Action
		where bool
	}{{&v.MayAnswer, policy.AnswerRecall, b.Outcome != "waived"}, {&v.MayWaive, policy.WaiveRecall, b.Open()}, {&v.MayResume, policy.DecideRequest, v.Suspended && !b.Open()}} {
		if !m.where {
			continue
		}
		decision, err := d.may(ctx, who, m.a, b)
		if err != nil {
			return v, err
		}
		*m.to = decision.Allow
	}
	return v, nil
}

// Recall is one with what happened to it: for who was given the copies and who sees the collection's recalls.
func (d *Desk) Recall(ctx context.Context, who admin.Caller, id recall.ID) (View, error) {
	b, err := d.get(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	v, err := d.view(ctx, who, b)
	if err != nil {
		return v, err
	}
	events, err := d.Recalls.Events(ctx, id)
	if err != nil {
		return v, err
	}
	for _, e := range events {
		x := EventView{Seq: e.Seq, What: e.Kind.String(), At: e.At}
		if x.By, err = d.nameOf(ctx, e.Actor); err != nil {
			return v, err
		}
		switch {
		case e.Kind == recall.Attested:
			a, _, err := d.attestation(id, e)
			if err != nil {
				return v, err
			}
			x.Answer, x.Text, x.Models, x.Document = a.Answer, a.Reason, a.Models, true
			v.Attestations++
		case e.Body != nil:
			b, err := d.texts.Open(e.Body, about(id, e.Seq))
			if err != nil {
				return v, err
			}
			x.Text = string(b)
		}
		v.Events = append(v.Events, x)
	}
	return v, nil
}

// Objects are what a recall is of: for the recipient alone. Others have no use for it.
func (d *Desk) Objects(ctx context.Context, who admin.Caller, id recall.ID) ([]Object, error) {
	b, err := d.get(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if b.Account != who.Actor {
		return nil, fault.New(fault.Denied, "list what is called back", object(b), "the objects are for who was given them")
	}
	all, _, err := d.objects(ctx, id)
	return all, err
}

func (d *Desk) views(ctx context.Context, who admin.Caller, all []recall.Batch) ([]View, error) {
	out := []View{}
	for _, b := range all {
		v, err := d.view(ctx, who, b)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Mine are the recalls to the caller, the latest first.
func (d *Desk) Mine(ctx context.Context, who admin.Caller) ([]View, error) {
	if who.Actor == "" {
		return []View{}, nil
	}
	all, err := d.Recalls.Of(ctx, who.Actor)
	if err != nil {
		return nil, err
	}
	return d.views(ctx, who, all)
}

// Sees reports whether the caller sees recalls of others, in a collection or more.
func (d *Desk) Sees(ctx context.Context, who admin.Caller) bool {
	every, some := wards(who)
	return every || len(some) > 0
}

func wards(who admin.Caller) (every bool, some []string) {
	for _, g := range who.Grants {
		in := g.Collection
		if in == policy.AllCollections {
			in = "any" // a grant for all covers each
		}
		if !policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: policy.SeeRecalls, Collection: in}).Allow {
			continue
		}
		if g.Collection == policy.AllCollections {
			every = true
		} else {
			some = append(some, g.Collection)
		}
	}
	return every, some
}

// List are the recalls of the collections whose recalls the caller sees: what is owed first.
func (d *Desk) List(ctx context.Context, who admin.Caller, limit, offset int) ([]View, error) {
	every, some := wards(who)
	all, err := d.Recalls.In(ctx, every, some, limit, offset)
	if err != nil {
		return nil, err
	}
	return d.views(ctx, who, all)
}

// Owed is how many answers the caller owes.
func (d *Desk) Owed(ctx context.Context, who admin.Caller) (n int, err error) {
	if who.Actor == "" {
		return 0, nil
	}
	all, err := d.Recalls.Of(ctx, who.Actor)
	for _, b := range all {
		if b.Open() {
			n++
		}
	}
	return n, err
}

// Signed is a document as it is given away: canonical JSON (RFC 8785), and the note that the node signed for it.
type Signed struct {
	Document  string `json:"document"`
	Signature string `json:"signature"`
	PublicKey string `json:"public_key"`
}

// sign makes a document of a format.
func (d *Desk) sign(format string, v any) (Signed, error) {
	const attempt = "sign document"
	if d.Signer == nil {
		return Signed{}, fault.New(fault.Unavailable, attempt, "", "the key that signs is not at hand")
	}
	text, err := json.Marshal(v)
	if err == nil {
		text, err = jcs.Transform(text)
	}
	if err != nil {
		return Signed{}, fault.Wrap(fault.Internal, attempt, "", err)
	}
	note, err := d.Signer.Attest(format, text)
	return Signed{string(text), note, d.Signer.Public()}, err
}

// TombstonesFormat names the list for programs, and is what its signature says first.
const TombstonesFormat = "vitrine-tombstones 1"

type tombstones struct {
	Format  string      `json:"format"`
	Account string      `json:"account"`
	Moment  time.Time   `json:"moment"`
	Recalls []tombstone `json:"recalls"`
}

type tombstone struct {
	Recall  string    `json:"recall"`
	Code    string    `json:"code"`
	Told    time.Time `json:"told"`
	Due     time.Time `json:"due"`
	State   string    `json:"state"`
	Objects []Object  `json:"objects"`
}

// Tombstones are all objects that were called back from the caller, for their programs, signed.
func (d *Desk) Tombstones(ctx context.Context, who admin.Caller) (Signed, error) {
	now := d.now()
	t := tombstones{TombstonesFormat, who.Actor, now.Truncate(time.Second), []tombstone{}}
	var all []recall.Batch
	var err error
	if who.Actor != "" {
		if all, err = d.Recalls.Of(ctx, who.Actor); err != nil {
			return Signed{}, err
		}
	}
	for _, b := range all {
		if b.Outcome == "waived" {
			continue
		}
		objects, _, err := d.objects(ctx, b.ID)
		if err != nil {
			return Signed{}, err
		}
		t.Recalls = append(t.Recalls, tombstone{b.ID.String(), b.Code, b.Told, b.Due, state(b, now), objects})
	}
	return d.sign(TombstonesFormat, t)
}

// fingerprint is SHA-256 over the lines of objects in the order of their bytes.
func fingerprint(all []Object) string {
	lines := make([]string, len(all))
	for i, o := range all {
		lines[i] = o.DRS + " " + o.Leaf + "\n"
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		h.Write([]byte(l))
	}
	return hex.EncodeToString(h.Sum(nil))
}
