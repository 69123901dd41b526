// Package ask carries questions from a page to those who answer for it, and the answers back.
//
// It promises: what somebody wrote, about which page, and how a visitor wants to be answered are encrypted under a key of the thread's own and are in no log,
// error or audit entry; erasing a thread destroys that key. A visitor who has not signed in reads their thread by a private link, which ends when a steward or the
// visitor says so. What holds an NHS number, a date of birth, or an identifier that the collection knows of its subjects is refused before it is kept. Policy
// decides inside every call, and the audit log has every act.
//
//	a, err := desk.Ask(ctx, who, address, ask.Draft{About: "/directory/breast", Subject: "Follow-up", Text: "Is there any?"})
//	t, err := desk.Thread(ctx, who, a.ID)
//
// It sends no mail: who asks has to come back and look.
package ask

import (
	"context"
	"encoding/json"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// The bounds of what is written, in characters.
const (
	MaxSubject = 120
	MaxText    = 4000
	maxAbout   = 500
	maxContact = 254
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Collections *collection.Record
	Catalogue   *catalogue.Record
	Subjects    *subject.Record
	Identity    *identity.Record
	Entries     *directory.Record
	Questions   *question.Record
}

// Desk is where questions come and go. It is safe for use by many goroutines.
type Desk struct {
	Parts
	limits limits
}

// New makes the desk.
func New(p Parts) *Desk { return &Desk{Parts: p} }

// Ward is who answers for a page: the stewards of a collection, or, where Collection is empty, the node's administrators.
type Ward struct {
	Collection collection.ID
	Title      string
	// Orphan reports a collection that nobody is steward of: its questions go to the node's administrators.
	Orphan bool
}

// key is the ward as it is stored.
func (w Ward) key() string {
	if w.Orphan {
		return question.Node
	}
	return string(w.Collection)
}

// Where says who answers for a page, by its address. An address of nothing that is known belongs to the node.
func (d *Desk) Where(ctx context.Context, who admin.Caller, about string) (Ward, error) {
	if err := d.mayAsk(who, ""); err != nil {
		return Ward{}, err
	}
	path, query, _ := strings.Cut(about, "?")
	part := strings.Split(strings.Trim(path, "/"), "/")
	if name, id, ok := strings.Cut(query, "="); ok && name == "collection" {
		part = []string{"collections", id}
	}
	if len(part) < 2 {
		return Ward{}, nil
	}
	var id collection.ID
	switch part[0] {
	case "collections":
		c, err := collection.ParseID(part[1])
		if err != nil {
			return Ward{}, nil //nolint:nilerr // the page of nothing is the node's
		}
		id = c
	case "directory":
		entry, err := directory.ParseID(part[1])
		if err != nil {
			return Ward{}, nil //nolint:nilerr // as above
		}
		e, err := d.Entries.Seen(ctx, entry)
		if fault.Is(err, fault.NotFound) {
			return Ward{}, nil
		}
		if err != nil {
			return Ward{}, err
		}
		if e.Entry.Holding != directory.Here {
			return Ward{}, nil
		}
		id = collection.ID(e.Entry.Collection)
	case "deposits":
		n, err := catalogue.ParseDepositID(part[1])
		if err != nil {
			return Ward{}, nil //nolint:nilerr // as above
		}
		x, err := d.Catalogue.Deposit(ctx, n)
		if fault.Is(err, fault.NotFound) || err == nil && !knows(who, x.Collection) {
			return Ward{}, nil
		}
		if err != nil {
			return Ward{}, err
		}
		id = x.Collection
	default:
		return Ward{}, nil
	}
	c, err := d.Collections.Get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Ward{}, nil
	}
	if err != nil {
		return Ward{}, err
	}
	w := Ward{Collection: c.ID, Title: c.Title}
	if w.Title == "" {
		w.Title = string(c.ID)
	}
	stewards, err := d.hasSteward(ctx, c.ID)
	w.Orphan = !stewards
	return w, err
}

func knows(who admin.Caller, c collection.ID) bool {
	for _, g := range who.Grants {
		if g.Collection == policy.AllCollections || g.Collection == string(c) {
			return true
		}
	}
	return false
}

// hasSteward reports an account that can sign in and answer for the collection.
func (d *Desk) hasSteward(ctx context.Context, c collection.ID) (bool, error) {
	all, err := d.Identity.Accounts(ctx)
	if err != nil {
		return false, err
	}
	for _, a := range all {
		if a.Disabled.IsZero() && policy.Decide(policy.Facts{Grants: a.Grants, Action: policy.AnswerQuestions, Collection: string(c)}).Allow {
			return true, nil
		}
	}
	return false, nil
}

func (d *Desk) mayAsk(who admin.Caller, ward string) error {
	if r := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.Ask, Collection: ward}); !r.Allow {
		return fault.New(fault.Denied, policy.Ask.String(), "", strings.Join(r.Reasons, "; "))
	}
	return nil
}

// answers reports whether the caller answers for a ward.
func answers(who admin.Caller, ward string) bool {
	a := policy.AnswerQuestions
	if ward == question.Node {
		a = policy.AnswerForNode
	}
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: a, Collection: ward}).Allow
}

// wardsOf are the wards that the caller answers for.
func wardsOf(who admin.Caller) question.Wards {
	w := question.Wards{Node: answers(who, question.Node)}
	for _, g := range who.Grants {
		if g.Collection == policy.AllCollections {
			w.Every = w.Every || g.Role == policy.Steward
		} else if answers(admin.Caller{Grants: []policy.Grant{g}}, g.Collection) {
			w.Some = append(w.Some, g.Collection)
		}
	}
	return w
}

// Draft is what somebody asks.
type Draft struct {
	About   string // the path of the page
	Subject string
	Text    string
	Contact string // of a visitor: an e-mail address; may be empty
}

// Asked is a question that was taken.
type Asked struct {
	ID   question.ID
	Ward Ward
	Link string // of a visitor: opens the thread; told this once
}

// Ask takes a question. from is the network address that it came from, to slow down who floods; it is kept nowhere.
func (d *Desk) Ask(ctx context.Context, who admin.Caller, from string, n Draft) (Asked, error) {
	const attempt = "ask"
	var out Asked
	n.Subject, n.Text, n.Contact = line(n.Subject), strings.TrimSpace(strings.ReplaceAll(n.Text, "\r\n", "\n")), line(n.Contact)
	if who.Actor != "" {
		n.Contact = "" // who has signed in is answered here
	}
	about := n.About
	if len(about) > maxAbout || !strings.HasPrefix(about, "/") || !utf8.ValidString(about) {
		about = "/"
	}
	var err error
	if out.Ward, err = d.Where(ctx, who, about); err != nil {
		return out, err
	}
	ward := out.Ward.key()
	if err := d.mayAsk(who, ward); err != nil {
		return out, err
	}
	if err := written(attempt, "the subject", n.Subject, 1, MaxSubject); err != nil {
		return out, err
	}
	if err := written(attempt, "the message", n.Text, 1, MaxText); err != nil {
		return out, err
	}
	if n.Contact != "" {
		a, err := mail.ParseAddress(n.Contact)
		if err != nil || len(n.Contact) > maxContact || a.Address != n.Contact {
			return out, fault.New(fault.Invalid, attempt, "", "that is not an e-mail address; leave it empty if you will come back by the private link")
		}
	}
	if err := d.limits.take(who, from, asks); err != nil {
		return out, err
	}
	if err := d.refuseIdentifiers(ctx, who, collection.ID(ward), n.Subject+"\n"+n.Text); err != nil {
		return out, err
	}
	q := question.Question{Ward: ward, Asker: who.Actor}
	if q.ID, err = question.NewID(); err != nil {
		return out, err
	}
	kid, key, err := d.Ring.New(ctx)
	if err != nil {
		return out, err
	}
	q.Key = kid
	s := sealing(key, q.ID)
	head, err := json.Marshal(headOf{About: about, Subject: n.Subject})
	if err != nil {
		return out, err
	}
	q.Head = s.Seal("head", head)
	if n.Contact != "" {
		q.Contact = s.Seal("contact", []byte(n.Contact))
	}
	var link *question.Link
	if who.Actor == "" {
		l := question.NewLink()
		link, out.Link = &l, l.Reveal()
	}
	err = d.change(ctx, who, policy.Ask.String(), q, func(tx *db.Tx) error {
		return d.Questions.Add(tx, q, question.Message{Seq: 1, Actor: who.Actor, Text: s.Seal(message(1), []byte(n.Text))}, link)
	})
	out.ID = q.ID
	return out, err
}

// visitor is what the audit log calls who asks without having signed in.
const visitor = "a visitor"

func actor(who admin.Caller) string {
	if who.Actor == "" {
		return visitor
	}
	return who.Actor
}

// change makes a change and its audit entry in one transaction, on stable storage.
func (d *Desk) change(ctx context.Context, who admin.Caller, action string, q question.Question, do func(tx *db.Tx) error) error {
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: actor(who), Action: action, Object: "question " + q.ID.String(), Collection: q.Ward, Outcome: "done"})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// line is a text of one line.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

// written checks what somebody wrote.
func written(attempt, what, s string, least, most int) error {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' }):
		return fault.New(fault.Invalid, attempt, "", what+" holds characters that are no text")
	case n < least:
		return fault.New(fault.Invalid, attempt, "", what+" is empty")
	case n > most:
		return fault.New(fault.TooLarge, attempt, "", what+" is longer than "+number(most)+" characters; say the most important, and the rest in reply")
	}
	return nil
}

// Waiting counts what waits for the caller: threads to answer, and answers not yet seen.
func (d *Desk) Waiting(ctx context.Context, who admin.Caller) (int64, error) {
	n, _, err := d.Questions.Waiting(ctx, wardsOf(who))
	if err != nil {
		return 0, err
	}
	mine, err := d.Questions.Unseen(ctx, who.Actor)
	return n + mine, err
}

// Overdue counts what waits for an answer in every collection and for the node, and since when the oldest does: for the status, which tells no text.
func (d *Desk) Overdue(ctx context.Context) (int64, time.Time, error) {
	return d.Questions.Waiting(ctx, question.Wards{Every: true, Node: true})
}
