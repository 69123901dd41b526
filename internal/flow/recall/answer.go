package recall

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
)

// The answers on copies; a derived model was Retrained without them, or is Excluded from use, or neither is feasible.
const (
	Deleted     = "deleted"
	Excluded    = "excluded"
	Stopped     = "stopped"
	NotFeasible = "not-feasible"
	Retrained   = "retrained"
)

// Answers are those on copies, with the words that are agreed to. An attestation keeps the words.
var Answers = [][2]string{
	{Deleted, "All copies of the objects of this recall that the project or anybody it passed them to had, with what was made of single ones, have been deleted, backups by their own period included."},
	{Excluded, "The objects of this recall are kept apart and excluded from all further work, and are deleted with the rest at the end of the project at the latest."},
	{Stopped, "All work with the data of these releases has stopped, and nothing that was made with the objects of this recall is used any more."},
	{NotFeasible, "Deleting, excluding or stopping is not feasible, for the reason that is given."},
}

// ModelAnswers are those on derived models.
var ModelAnswers = [][2]string{{Retrained, "was trained anew without the objects"}, {Excluded, "is not used any more"}, {NotFeasible, "can be neither, for the reason that is given"}}

func words(answers [][2]string, answer string) string {
	for _, a := range answers {
		if a[0] == answer {
			return a[1]
		}
	}
	return ""
}

// MaxText is how long a reason is at most, in characters.
const MaxText = 2000

const mostModels = 50

// Model is a model that was derived from what is called back.
type Model struct {
	Name   string `json:"name"`
	Answer string `json:"answer"` // retrained, excluded, not-feasible
	Reason string `json:"reason,omitempty"`
}

// Act is what is done to a recall.
type Act struct {
	Do     string  `json:"do"`               // acknowledge, attest; waive, resume
	Answer string  `json:"answer,omitempty"` // to attest: deleted, excluded, stopped, not-feasible
	Text   string  `json:"text,omitempty"`   // the reason, of what is not feasible, waived or permitted again
	Models []Model `json:"models,omitempty"`
	Agree  bool    `json:"agree,omitempty"` // to attest: the words are agreed to
}

// AttestationFormat names the form of an attestation, and is what its signature says first.
const AttestationFormat = "vitrine-recall-attestation 1"

// Attestation is what a recipient says was done. docs/formats/recall.md.
type Attestation struct {
	Format      string    `json:"format"`
	Recall      string    `json:"recall"`
	Project     string    `json:"project"`
	Request     string    `json:"request"`
	Collection  string    `json:"collection"`
	Releases    []string  `json:"releases"`
	Objects     int       `json:"objects"`
	Fingerprint string    `json:"fingerprint"`
	Told        time.Time `json:"told"`
	Due         time.Time `json:"due"`
	Moment      time.Time `json:"moment"`
	By          string    `json:"by"`
	Account     string    `json:"account"`
	Answer      string    `json:"answer"`
	Reason      string    `json:"reason,omitempty"`
	Models      []Model   `json:"models"`
	Words       []string  `json:"words"`
}

func about(id recall.ID, seq int64) string { return fmt.Sprintf("recall %v %d", id, seq) }

func bad(why string) error { return fault.New(fault.Invalid, "answer recall", "", why) }

// written tidies and checks what somebody wrote.
func written(what, s string, most int) (string, error) {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		return "", bad(what + " holds characters that are no text")
	case utf8.RuneCountInString(s) > most:
		return "", bad(fmt.Sprintf("%s is longer than %d characters", what, most))
	case deid.HasNHSNumber(s):
		return "", bad(what + " holds what looks like an NHS number; take it out")
	}
	return s, nil
}

// tidy checks an attestation.
func (a *Act) tidy() (err error) {
	if words(Answers, a.Answer) == "" {
		return bad("the answer is deleted, excluded, stopped or not-feasible")
	}
	if a.Text, err = written("the reason", a.Text, MaxText); err != nil {
		return err
	}
	if a.Answer == NotFeasible && a.Text == "" {
		return bad("say why it is not feasible")
	}
	if len(a.Models) > mostModels {
		return bad(fmt.Sprintf("at most %d models are listed", mostModels))
	}
	a.Models = slices.Clone(a.Models)
	for i := range a.Models {
		m := &a.Models[i]
		if m.Name, err = written("the name of a model", m.Name, 200); err != nil {
			return err
		}
		if m.Reason, err = written("the reason", m.Reason, MaxText); err != nil {
			return err
		}
		switch {
		case m.Name == "":
			return bad("a model has a name")
		case words(ModelAnswers, m.Answer) == "":
			return bad("of a model the answer is retrained, excluded or not-feasible")
		case m.Answer == NotFeasible && m.Reason == "":
			return bad("say of each model why it is not feasible")
		}
	}
	if !a.Agree {
		return bad("agree to the words of the attestation")
	}
	return nil
}

// Act acknowledges or attests, for the recipient; waives, or permits use again after an answer, for who answers for the collection.
func (d *Desk) Act(ctx context.Context, who admin.Caller, id recall.ID, a Act) (View, error) {
	b, err := d.get(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	switch a.Do {
	case "acknowledge":
		err = d.acknowledge(ctx, who, b)
	case "attest":
		err = d.attest(ctx, who, b, a)
	case "waive":
		err = d.waive(ctx, who, b, a.Text)
	case "resume":
		err = d.resume(ctx, who, b, a.Text)
	default:
		err = bad("what can be done is acknowledge, attest, waive or resume")
	}
	if err != nil {
		return View{}, err
	}
	return d.Recall(ctx, who, id)
}

// change makes a change with its audit entry, on stable storage before it returns.
func (d *Desk) change(ctx context.Context, e audit.Entry, do func(tx *db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, e)
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

func (d *Desk) acknowledge(ctx context.Context, who admin.Caller, b recall.Batch) error {
	if err := d.allowed(ctx, who, policy.AnswerRecall, b); err != nil || !b.Acknowledged.IsZero() || !b.Open() {
		return err
	}
	return d.change(ctx, audit.Entry{Actor: who.Actor, Action: policy.AnswerRecall.String(), Object: object(b), Collection: string(b.Collection), Outcome: "acknowledged"}, func(tx *db.Tx) error {
		_, err := d.Recalls.Note(tx, b.ID, recall.Event{Kind: recall.Acknowledged, Actor: who.Actor, At: d.now()}, nil)
		return err
	})
}

func (d *Desk) attest(ctx context.Context, who admin.Caller, b recall.Batch, act Act) error {
	if err := d.allowed(ctx, who, policy.AnswerRecall, b); err != nil {
		return err
	}
	if err := act.tidy(); err != nil {
		return err
	}
	v, err := d.view(ctx, who, b)
	if err != nil {
		return err
	}
	all, releases, err := d.objects(ctx, b.ID)
	if err != nil {
		return err
	}
	now := d.now()
	doc := Attestation{Format: AttestationFormat, Recall: v.ID, Project: v.Project, Request: v.Request, Collection: v.Collection, Releases: releases, Objects: len(all), Fingerprint: fingerprint(all), Told: b.Told, Due: b.Due,
		Moment: now.Truncate(time.Second), By: v.Recipient, Account: who.Actor, Answer: act.Answer, Reason: act.Text, Models: act.Models, Words: []string{words(Answers, act.Answer)}}
	if doc.Models == nil {
		doc.Models = []Model{}
		doc.Words = append(doc.Words, "No model was derived from the objects of this recall.")
	}
	for _, m := range doc.Models {
		doc.Words = append(doc.Words, "The model "+m.Name+" "+words(ModelAnswers, m.Answer)+".")
	}
	signed, err := d.sign(AttestationFormat, doc)
	if err != nil {
		return err
	}
	body, err := json.Marshal(signed)
	if err != nil {
		return fault.Wrap(fault.Internal, "attest", "", err)
	}
	sum := sha256.Sum256([]byte(signed.Document))
	return d.change(ctx, audit.Entry{Actor: who.Actor, Action: policy.AnswerRecall.String(), Object: object(b), Collection: string(b.Collection), Outcome: "attested: " + act.Answer, Sealed: sum[:]}, func(tx *db.Tx) error {
		return d.Recalls.Answer(tx, b.ID, recall.Event{Kind: recall.Attested, Actor: who.Actor, At: now}, act.Answer, func(seq int64) []byte { return d.texts.Seal(body, about(b.ID, seq)) })
	})
}

// attestation opens one.
func (d *Desk) attestation(id recall.ID, e recall.Event) (a Attestation, s Signed, err error) {
	b, err := d.texts.Open(e.Body, about(id, e.Seq))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err == nil {
		err = json.Unmarshal([]byte(s.Document), &a)
	}
	if err != nil {
		err = fault.New(fault.Corrupt, "read attestation", "recall "+id.String(), "it cannot be opened")
	}
	return a, s, err
}

// Attested is the last attestation as it was signed: for both sides.
func (d *Desk) Attested(ctx context.Context, who admin.Caller, id recall.ID) (Signed, error) {
	b, err := d.get(ctx, who, id)
	if err != nil {
		return Signed{}, err
	}
	events, err := d.Recalls.Events(ctx, b.ID)
	if err != nil {
		return Signed{}, err
	}
	for _, e := range slices.Backward(events) {
		if e.Kind == recall.Attested {
			_, s, err := d.attestation(id, e)
			return s, err
		}
	}
	return Signed{}, fault.New(fault.NotFound, "read attestation", object(b), "nothing was attested yet")
}

func (d *Desk) waive(ctx context.Context, who admin.Caller, b recall.Batch, why string) error {
	if err := d.allowed(ctx, who, policy.WaiveRecall, b); err != nil {
		return err
	}
	why, err := written("the reason", why, MaxText)
	if err != nil {
		return err
	}
	if why == "" {
		return bad("say why no answer is needed")
	}
	return d.change(ctx, audit.Entry{Actor: who.Actor, Action: policy.WaiveRecall.String(), Object: object(b), Collection: string(b.Collection), Outcome: "waived"}, func(tx *db.Tx) error {
		return d.Recalls.Answer(tx, b.ID, recall.Event{Kind: recall.Waived, Actor: who.Actor, At: d.now()}, "waived", func(seq int64) []byte { return d.texts.Seal([]byte(why), about(b.ID, seq)) })
	})
}

// resume permits again what was suspended for a recall, once it is answered. Another recall of the project that is as much overdue keeps it suspended.
func (d *Desk) resume(ctx context.Context, who admin.Caller, b recall.Batch, why string) error {
	if err := d.allowed(ctx, who, policy.DecideRequest, b); err != nil {
		return err
	}
	conflict := func(why string) error { return fault.New(fault.Conflict, "permit use again", object(b), why) }
	switch {
	case b.Suspended.IsZero() || !b.Resumed.IsZero():
		return conflict("nothing is suspended for it")
	case b.Open():
		return conflict("it is not answered yet")
	}
	due, err := d.Recalls.Owed(ctx, b.Request, d.now())
	if err != nil {
		return err
	}
	if !due.IsZero() && !d.now().Before(due.Add(suspendAfter)) {
		return conflict("another recall to the project is overdue for as long")
	}
	if why, err = written("the reason", why, MaxText); err != nil {
		return err
	}
	return d.Access.ResumeProject(ctx, who, access.ID(b.Request), b.Collection, why, func(tx *db.Tx) error {
		var seal func(int64) []byte
		if why != "" {
			seal = func(seq int64) []byte { return d.texts.Seal([]byte(why), about(b.ID, seq)) }
		}
		noted, err := d.Recalls.Note(tx, b.ID, recall.Event{Kind: recall.Resumed, Actor: who.Actor, At: d.now()}, seal)
		if err == nil && !noted {
			err = conflict("it was permitted again meanwhile")
		}
		if err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: policy.WaiveRecall.String(), Object: object(b), Collection: string(b.Collection), Outcome: "use is permitted again"})
	})
}
