package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
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

const (
	// MaxDocument bounds a signed document, in bytes.
	MaxDocument = 8 << 20
	maxPapers   = 20 // of one request
	maxParties  = 20
)

// Paper is what is said of a signed document.
type Paper struct {
	Collection   string    `json:"collection,omitempty"` // empty: the only one of the request
	Scope        string    `json:"scope,omitempty"`      // project, organisation; empty: project
	Template     string    `json:"template,omitempty"`   // with its version
	Organisation string    `json:"organisation"`         // that it binds
	ROR          string    `json:"ror,omitempty"`
	Parties      []string  `json:"parties"` // who signed, and for whom
	Deviations   string    `json:"deviations,omitempty"`
	Commercial   bool      `json:"commercial,omitempty"` // it covers use for profit
	Effective    time.Time `json:"effective"`
	Expires      time.Time `json:"expires"` // not at this moment any more
}

// NewAgreement is a document with what is said of it.
type NewAgreement struct {
	Paper
	Document []byte `json:"document"` // a PDF; base64 in JSON
}

// paperTerms is what lies sealed of it.
type paperTerms struct {
	Organisation string   `json:"organisation"`
	ROR          string   `json:"ror,omitempty"`
	Parties      []string `json:"parties"`
	Deviations   string   `json:"deviations,omitempty"`
	Note         string   `json:"note,omitempty"` // the custodian's last word
}

// Check is one thing that a program can tell of an agreement.
type Check struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// AgreementView is an agreement as it is shown.
type AgreementView struct {
	ID         string     `json:"id"`
	Request    string     `json:"request"`
	Collection string     `json:"collection"`
	Title      string     `json:"title"`
	Scope      string     `json:"scope"`
	Template   string     `json:"template,omitempty"`
	Commercial bool       `json:"commercial"`
	Effective  time.Time  `json:"effective"`
	Expires    time.Time  `json:"expires"`
	State      string     `json:"state"` // draft (sent back), awaiting_sign, executed, expired, terminated
	SHA256     string     `json:"sha256"`
	Size       int64      `json:"size"`
	UploadedBy string     `json:"uploaded_by"`
	Uploaded   time.Time  `json:"uploaded"`
	CheckedBy  string     `json:"checked_by,omitempty"`
	Checked    *time.Time `json:"checked,omitempty"`
	paperTerms
	Checks    []Check          `json:"checks,omitempty"`
	MayCheck  bool             `json:"may_check,omitempty"`
	Accepted  []AcceptanceView `json:"accepted,omitempty"`   // by whom, by name
	MayAccept bool             `json:"may_accept,omitempty"` // the reader, who has not yet
}

// AgreementAct is what a custodian does to an agreement.
type AgreementAct struct {
	Do string `json:"do"` // execute, return, terminate
	// Of execute: that a person has looked at who signed, and at the dates.
	Parties bool   `json:"parties,omitempty"`
	Dates   bool   `json:"dates,omitempty"`
	Text    string `json:"text,omitempty"` // of the others: why
}

func agreementObject(id record.ID) string { return "agreement " + id.String() }

// AddAgreement keeps a signed document, which the custodian then checks. The applicant gives it, or the custodian.
func (d *Desk) AddAgreement(ctx context.Context, who admin.Caller, request record.ID, p Paper, document []byte) (AgreementView, error) {
	const attempt = "add agreement"
	q, err := d.Access.Get(ctx, request)
	if err != nil {
		return AgreementView{}, err
	}
	items, err := d.Access.Items(ctx, request)
	if err != nil {
		return AgreementView{}, err
	}
	if sees, err := d.sees(ctx, who, q, items); err != nil || !sees {
		return AgreementView{}, first(err, hidden())
	}
	own := q.Applicant == who.Actor
	c := collection.ID(p.Collection)
	if c == "" {
		c = items[0].Collection
		if slices.ContainsFunc(items, func(i record.Item) bool { return i.Collection != c }) {
			return AgreementView{}, fault.New(fault.Invalid, attempt, object(request, 0), "the request is for several collections: say whose agreement it is")
		}
	}
	at := slices.IndexFunc(items, func(i record.Item) bool { return i.Collection == c && !i.Submitted.IsZero() })
	if at < 0 {
		return AgreementView{}, fault.New(fault.Invalid, attempt, object(request, 0), "nothing of that collection was handed in")
	}
	if own {
		err = d.allowed(ctx, who, policy.ApplyForAccess, "", true, object(request, 0))
	} else {
		err = d.allowed(ctx, who, policy.CheckAgreement, c, false, object(request, 0))
	}
	if err != nil {
		return AgreementView{}, err
	}
	switch items[at].At(d.now()) {
	case record.Submitted, record.InReview, record.Clarify, record.Approved:
	default:
		return AgreementView{}, fault.New(fault.Conflict, attempt, object(request, 0), "it is "+items[at].At(d.now()).String()+": an agreement would be for nothing")
	}
	a := record.Agreement{Request: request, Collection: c, Scope: record.ForProject, Template: line(p.Template), Commercial: p.Commercial, Effective: p.Effective.UTC().Truncate(time.Microsecond), Expires: p.Expires.UTC().Truncate(time.Microsecond),
		Size: int64(len(document)), Digest: sha256.Sum256(document), UploadedBy: who.Actor, Uploaded: d.now()}
	switch p.Scope {
	case "", "project":
	case "organisation":
		a.Scope = record.ForOrganisation
	default:
		return AgreementView{}, fault.New(fault.Invalid, attempt, "", "an agreement is for a project or for an organisation")
	}
	t := paperTerms{Organisation: line(p.Organisation), ROR: p.ROR, Deviations: text(p.Deviations)}
	for _, x := range p.Parties {
		if x = line(x); x != "" {
			t.Parties = append(t.Parties, x)
		}
	}
	if err := checkPaper(attempt, a, t, document); err != nil {
		return AgreementView{}, err
	}
	if t.ROR != "" {
		t.ROR, _ = parseROR(t.ROR)
	}
	before, err := d.Access.AgreementsOf(ctx, request)
	if err != nil {
		return AgreementView{}, err
	}
	if len(before) >= maxPapers {
		return AgreementView{}, fault.New(fault.TooLarge, attempt, object(request, 0), "twenty documents were given for it already: speak to the custodian")
	}
	if slices.ContainsFunc(before, func(b record.Agreement) bool {
		return b.Digest == a.Digest && b.Collection == c && b.State == record.AwaitingSign
	}) {
		return AgreementView{}, fault.New(fault.Conflict, attempt, object(request, 0), "the same document waits to be checked already")
	}
	if a.ID, err = record.NewID(); err != nil {
		return AgreementView{}, err
	}
	s, err := d.sealingOf(ctx, q)
	if err != nil {
		return AgreementView{}, err
	}
	if a.Terms, err = s.SealJSON("agreement "+a.ID.String(), t); err != nil {
		return AgreementView{}, err
	}
	err = d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: "add an agreement", Object: agreementObject(a.ID) + " of " + object(request, 0), Collection: string(c)}}, func(tx *db.Tx) error {
		return d.Access.AddAgreement(tx, a, s.Seal("document "+a.ID.String(), document))
	})
	if err != nil {
		return AgreementView{}, err
	}
	return d.Agreement(ctx, who, a.ID)
}

// checkPaper says what is wrong with a document and what is said of it.
func checkPaper(attempt string, a record.Agreement, t paperTerms, document []byte) error {
	refuse := func(why string) error { return fault.New(fault.Invalid, attempt, "", why) }
	end := document[max(0, len(document)-2048):]
	switch {
	case len(document) == 0:
		return refuse("the document is empty")
	case len(document) > MaxDocument:
		return fault.New(fault.TooLarge, attempt, "", fmt.Sprintf("the document is larger than %d MB", MaxDocument>>20))
	case !bytes.HasPrefix(document, []byte("%PDF-1.")) && !bytes.HasPrefix(document, []byte("%PDF-2.")), !bytes.Contains(end, []byte("%%EOF")):
		return refuse("the document is no PDF, or it breaks off")
	case t.Organisation == "":
		return refuse("say which organisation it binds")
	case len(t.Parties) == 0 || len(t.Parties) > maxParties:
		return refuse("say who signed it, one to a line: twenty at most")
	case a.Effective.IsZero() || a.Expires.IsZero():
		return refuse("say from when to when it is in force")
	case !a.Effective.Before(a.Expires):
		return refuse("it ends before it begins")
	case !a.Uploaded.Before(a.Expires):
		return refuse("it is not in force any more")
	case a.Effective.Year() < 1990 || a.Expires.Year() > 2200:
		return refuse("its dates are out of bounds")
	}
	if t.ROR != "" {
		if _, ok := parseROR(t.ROR); !ok {
			return refuse("that is no ROR identifier: look the organisation up on ror.org, or leave it empty")
		}
	}
	for _, c := range []struct {
		what, text string
		most       int
	}{{"the organisation", t.Organisation, maxName}, {"the template", a.Template, maxName}, {"where it differs", t.Deviations, MaxText}} {
		if err := written(c.what, c.text, c.most); err != nil {
			return err
		}
	}
	for _, x := range t.Parties {
		if err := written("who signed", x, maxName); err != nil {
			return err
		}
	}
	return nil
}

// checks are what a program can tell of an agreement beside a request.
func checks(a record.Agreement, t paperTerms, f Form, now time.Time) []Check {
	p, err := f.purpose()
	var out []Check
	say := func(ok bool, yes, no string) {
		text := yes
		if !ok {
			text = no
		}
		out = append(out, Check{ok, text})
	}
	say(a.Effective.Before(a.Expires), "Its dates are in order.", "It ends before it begins.")
	say(now.Before(a.Expires), "It is not over.", "It is over.")
	say(f.Organisation.same(t.Organisation, t.ROR), "It binds the organisation that asks.", "It binds another organisation than the one that asks.")
	if err == nil && commercial(p) {
		say(a.Commercial, "It covers use for profit.", "The use is for profit, or by a company, and the agreement does not cover that.")
	}
	return out
}

// covers reports whether every check holds.
func covers(all []Check) bool { return !slices.ContainsFunc(all, func(c Check) bool { return !c.OK }) }

// opened agreement with the request that it came under, for who may see it.
func (d *Desk) agreement(ctx context.Context, who admin.Caller, id record.ID) (a record.Agreement, q record.Request, s keys.Parts, err error) {
	if a, err = d.Access.Agreement(ctx, id); err != nil {
		return a, q, s, err
	}
	if q, err = d.Access.Get(ctx, a.Request); err != nil {
		return a, q, s, err
	}
	var sees bool
	if q.Applicant == who.Actor && who.Actor != "" {
		sees, err = d.may(ctx, who, policy.ApplyForAccess, "", true)
	} else {
		sees, err = d.may(ctx, who, policy.SeeRequests, a.Collection, false)
		if err == nil && !sees { // whom an organisation's agreement binds, under another request, reads it before they accept it
			if sees, err = d.bound(ctx, who.Actor, a, q); err == nil && sees {
				sees, err = d.may(ctx, who, policy.ApplyForAccess, "", true)
			}
		}
	}
	if err == nil && !sees {
		err = fault.New(fault.NotFound, "find agreement", "", "there is no such agreement, or it is not yours to see")
	}
	if err != nil {
		return a, q, s, err
	}
	s, err = d.sealingOf(ctx, q)
	return a, q, s, err
}

func (d *Desk) agreementView(ctx context.Context, who admin.Caller, a record.Agreement, q record.Request, s keys.Parts, f Form) (v AgreementView, err error) {
	now := d.now()
	v = AgreementView{ID: a.ID.String(), Request: a.Request.String(), Collection: string(a.Collection), Scope: a.Scope.String(), Template: a.Template, Commercial: a.Commercial, Effective: a.Effective, Expires: a.Expires, State: a.At(now).String(),
		SHA256: hex.EncodeToString(a.Digest[:]), Size: a.Size, Uploaded: a.Uploaded, Checked: when(a.Checked)}
	if err := s.OpenJSON("agreement "+a.ID.String(), a.Terms, &v.paperTerms); err != nil {
		return v, err
	}
	if v.Title, err = d.titleOf(ctx, a.Collection); err != nil {
		return v, err
	}
	if v.UploadedBy, err = d.nameOf(ctx, a.UploadedBy); err != nil {
		return v, err
	}
	if a.CheckedBy != "" {
		if v.CheckedBy, err = d.nameOf(ctx, a.CheckedBy); err != nil {
			return v, err
		}
	}
	if a.State == record.AwaitingSign {
		v.Checks = checks(a, v.paperTerms, f, now)
	}
	if v.MayCheck, err = d.may(ctx, who, policy.CheckAgreement, a.Collection, q.Applicant == who.Actor); err != nil {
		return v, err
	}
	return v, d.acceptances(ctx, &v, who, a, q)
}

// Agreement is one, for who asks and for who sees the collection's requests.
func (d *Desk) Agreement(ctx context.Context, who admin.Caller, id record.ID) (AgreementView, error) {
	a, q, s, err := d.agreement(ctx, who, id)
	if err != nil {
		return AgreementView{}, err
	}
	f, _, err := d.handedIn(ctx, q, s)
	if err != nil {
		return AgreementView{}, err
	}
	return d.agreementView(ctx, who, a, q, s, f)
}

// Document is the signed document as it came. Each reading by another than its applicant is in the audit log.
func (d *Desk) Document(ctx context.Context, who admin.Caller, id record.ID) ([]byte, error) {
	a, q, s, err := d.agreement(ctx, who, id)
	if err != nil {
		return nil, err
	}
	sealed, err := d.Access.Document(ctx, id)
	if err != nil {
		return nil, err
	}
	b, err := s.Open("document "+id.String(), sealed)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(b) != a.Digest {
		return nil, fault.New(fault.Corrupt, "read agreement", agreementObject(id), "the document is not the one that was given")
	}
	if q.Applicant != who.Actor {
		err = d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: "read an agreement", Object: agreementObject(id), Collection: string(a.Collection), Outcome: "done"})
			return err
		})
	}
	return b, err
}

// Agreements lists those of the caller's requests and of the collections whose requests they see.
func (d *Desk) Agreements(ctx context.Context, who admin.Caller, limit, offset int) ([]AgreementView, error) {
	w, err := d.wards(ctx, who, policy.SeeRequests)
	if err != nil {
		return nil, err
	}
	all, err := d.Access.AgreementsIn(ctx, w, limit, offset)
	if err != nil {
		return nil, err
	}
	mine, err := d.Access.Of(ctx, who.Actor, limit, 0)
	if err != nil {
		return nil, err
	}
	for _, q := range mine {
		some, err := d.Access.AgreementsOf(ctx, q.ID)
		if err != nil {
			return nil, err
		}
		for _, a := range some {
			if !w.Has(string(a.Collection)) {
				all = append(all, a)
			}
		}
	}
	out := []AgreementView{}
	for _, a := range all {
		v, err := d.Agreement(ctx, who, a.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// ActOnAgreement executes an agreement, sends it back or terminates it.
func (d *Desk) ActOnAgreement(ctx context.Context, who admin.Caller, id record.ID, act AgreementAct) (AgreementView, error) {
	const attempt = "check agreement"
	a, q, s, err := d.agreement(ctx, who, id)
	if err != nil {
		return AgreementView{}, err
	}
	if err := d.allowed(ctx, who, policy.CheckAgreement, a.Collection, q.Applicant == who.Actor, agreementObject(id)); err != nil {
		return AgreementView{}, err
	}
	f, _, err := d.handedIn(ctx, q, s)
	if err != nil {
		return AgreementView{}, err
	}
	var t paperTerms
	if err := s.OpenJSON("agreement "+id.String(), a.Terms, &t); err != nil {
		return AgreementView{}, err
	}
	said, now := text(act.Text), d.now()
	if err := written("the text", said, MaxText); err != nil {
		return AgreementView{}, err
	}
	t.Note = said
	var to record.AgreementState
	var action string
	var end []record.Entitlement
	switch act.Do {
	case "execute":
		to, action = record.Executed, "execute an agreement"
		if !act.Parties || !act.Dates {
			return AgreementView{}, fault.New(fault.Invalid, attempt, agreementObject(id), "say that you have looked at who signed, and at the dates")
		}
		for _, c := range checks(a, t, f, now) {
			if !c.OK && a.State == record.AwaitingSign { // of what stands elsewhere that is said first
				return AgreementView{}, fault.New(fault.Invalid, attempt, agreementObject(id), strings.TrimSuffix(c.Text, ".")+": send it back")
			}
		}
	case "return":
		to, action = record.AgreementDraft, "send an agreement back"
	case "terminate":
		to, action = record.AgreementTerminated, "terminate an agreement"
		if end, err = d.Access.EntitlementsUnder(ctx, id); err != nil {
			return AgreementView{}, err
		}
	default:
		return AgreementView{}, fault.New(fault.Invalid, attempt, "", "what can be done is execute, return or terminate")
	}
	if to != record.Executed && said == "" {
		return AgreementView{}, fault.New(fault.Invalid, attempt, agreementObject(id), "say why")
	}
	terms, err := s.SealJSON("agreement "+id.String(), t)
	if err != nil {
		return AgreementView{}, err
	}
	entries := []audit.Entry{{Actor: who.Actor, Action: action, Object: agreementObject(id), Collection: string(a.Collection)}}
	var more []func(tx *db.Tx) error
	for _, e := range end {
		if e.Standing == record.Revoked {
			continue
		}
		do, entry, err := d.alter(ctx, who.Actor, e, record.Revoke, "The agreement was terminated.")
		if err != nil {
			return AgreementView{}, err
		}
		more, entries = append(more, do), append(entries, entry)
	}
	err = d.change(ctx, entries, func(tx *db.Tx) error {
		if err := d.Access.MoveAgreement(tx, id, to, who.Actor, now, terms); err != nil {
			return err
		}
		for _, do := range more {
			if err := do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return AgreementView{}, err
	}
	if to == record.Executed {
		items, err := d.Access.ApprovedIn(ctx, a.Collection)
		if err == nil {
			err = d.settle(ctx, who.Actor, items...)
		}
		if err != nil {
			return AgreementView{}, err
		}
	}
	return d.Agreement(ctx, who, id)
}
