package ask

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

// Heading is a thread in a list.
type Heading struct {
	ID      question.ID
	Ward    Ward
	Subject string
	About   string // the path of the page
	From    string // who asked; empty: a visitor
	Turn    question.Turn
	Changed time.Time
	Unseen  bool // by the asker: there is an answer
}

// Said is a message as it is shown.
type Said struct {
	Answer bool
	Mine   bool
	By     string // a name; empty where it is not told
	Text   string
	At     time.Time
}

// Thread is a question with its messages, as far as the reader may see it.
type Thread struct {
	Heading
	Messages []Said
	Contact  string    // of a visitor; for those who answer
	Own      bool      // the reader asked
	Answers  bool      // the reader answers for the ward
	LinkEnds time.Time // zero: there is no private link
}

// Longest is how many messages a thread takes: whoever has more to say asks anew.
const Longest = 200

// heading opens the head of a thread.
func (d *Desk) heading(ctx context.Context, q question.Question) (Heading, keys.Parts, error) {
	h := Heading{ID: q.ID, Turn: q.Turn, Changed: q.Changed, Unseen: q.Turn == question.Answered && q.Changed.After(q.Seen)}
	key, err := d.Ring.Get(ctx, keys.ID(q.Key))
	if err != nil {
		return h, keys.Parts{}, err
	}
	s := sealing(key, q.ID)
	b, err := s.Open("head", q.Head)
	if err != nil {
		return h, s, err
	}
	var head headOf
	if err := json.Unmarshal(b, &head); err != nil {
		return h, s, fault.New(fault.Corrupt, "read question", "question "+q.ID.String(), "its head has another form")
	}
	h.Subject, h.About = head.Subject, head.About
	if q.Ward != question.Node {
		h.Ward = Ward{Collection: collection.ID(q.Ward), Title: q.Ward}
		if c, err := d.Collections.Get(ctx, h.Ward.Collection); err == nil && c.Title != "" {
			h.Ward.Title = c.Title
		}
	}
	h.From, err = d.nameOf(ctx, q.Asker)
	return h, s, err
}

// nameOf is what people call an actor.
func (d *Desk) nameOf(ctx context.Context, actor string) (string, error) {
	if !strings.HasPrefix(actor, "person-") {
		return actor, nil
	}
	a, err := d.Identity.Account(ctx, actor)
	if fault.Is(err, fault.NotFound) {
		return actor, nil
	}
	return a.Name, err
}

func (d *Desk) headings(ctx context.Context, all []question.Question, err error) ([]Heading, error) {
	if err != nil {
		return nil, err
	}
	out := make([]Heading, 0, len(all))
	for _, q := range all {
		h, _, err := d.heading(ctx, q)
		if fault.Is(err, fault.NotFound) {
			continue // it is being erased
		}
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// Mine lists what the caller has asked, the latest first.
func (d *Desk) Mine(ctx context.Context, who admin.Caller, limit, offset int) ([]Heading, error) {
	if err := d.mayAsk(who, ""); err != nil {
		return nil, err
	}
	all, err := d.Questions.Of(ctx, who.Actor, limit, offset)
	return d.headings(ctx, all, err)
}

// Answers reports whether the caller answers for anything.
func (d *Desk) Answers(who admin.Caller) bool { return !wardsOf(who).None() }

// ToAnswer lists what the caller answers for: what waits first, the longest waiting at the top; then the others, the latest first.
func (d *Desk) ToAnswer(ctx context.Context, who admin.Caller, limit, offset int) ([]Heading, error) {
	w := wardsOf(who)
	if w.None() {
		return nil, nil
	}
	all, err := d.Questions.In(ctx, w, limit, offset)
	return d.headings(ctx, all, err)
}

// reader is by what right a thread is read.
type reader struct {
	admin.Caller
	link bool // by its private link
}

// allowed asks policy about a thread; to who may not see it, it is not there.
func (d *Desk) allowed(r reader, q question.Question) (own, answer bool, err error) {
	own = r.link || q.Asker != "" && q.Asker == r.Actor
	answer = !r.link && answers(r.Caller, q.Ward)
	if own && d.mayAsk(r.Caller, q.Ward) != nil {
		own = false
	}
	if !own && !answer {
		return false, false, fault.New(fault.NotFound, "find question", "", "there is no such question of yours")
	}
	return own, answer, nil
}

// Thread is a question with its messages, for who asked and for those who answer.
func (d *Desk) Thread(ctx context.Context, who admin.Caller, id question.ID) (Thread, error) {
	q, err := d.Questions.Get(ctx, id)
	if err != nil {
		return Thread{}, err
	}
	return d.thread(ctx, reader{Caller: who}, q)
}

// ByLink is the question that a private link opens.
func (d *Desk) ByLink(ctx context.Context, link string) (Thread, error) {
	q, err := d.Questions.ByLink(ctx, link)
	if err != nil {
		return Thread{}, err
	}
	return d.thread(ctx, reader{link: true}, q)
}

func (d *Desk) thread(ctx context.Context, r reader, q question.Question) (Thread, error) {
	own, answer, err := d.allowed(r, q)
	if err != nil {
		return Thread{}, err
	}
	h, s, err := d.heading(ctx, q)
	if err != nil {
		return Thread{}, err
	}
	t := Thread{Heading: h, Own: own, Answers: answer, LinkEnds: q.LinkEnds}
	all, err := d.Questions.Messages(ctx, q.ID)
	if err != nil {
		return t, err
	}
	for _, m := range all {
		b, err := s.Open(message(m.Seq), m.Text)
		if err != nil {
			return t, err
		}
		said := Said{Answer: m.Answer, Text: string(b), At: m.At, Mine: m.Actor == r.Actor && (!m.Answer || r.Actor != "")}
		// A visitor is not told who of the stewards answered.
		if m.Actor != "" && !r.link {
			if said.By, err = d.nameOf(ctx, m.Actor); err != nil {
				return t, err
			}
		}
		t.Messages = append(t.Messages, said)
	}
	if answer && q.Contact != nil {
		b, err := s.Open("contact", q.Contact)
		if err != nil {
			return t, err
		}
		t.Contact = string(b)
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if own {
			if err := d.Questions.See(tx, q.ID); err != nil {
				return err
			}
		}
		if own || !answer {
			return nil
		}
		_, err := d.Audit.Once(tx, audit.Entry{Actor: actor(r.Caller), Action: "read a question", Object: "question " + q.ID.String(), Collection: q.Ward, Outcome: "done"})
		return err
	})
	return t, err
}

// Reply adds a message to a thread. Of who both asked and answers, it is an answer only where another asked.
func (d *Desk) Reply(ctx context.Context, who admin.Caller, from string, id question.ID, text string) error {
	q, err := d.Questions.Get(ctx, id)
	if err != nil {
		return err
	}
	return d.reply(ctx, reader{Caller: who}, from, q, text)
}

// ReplyByLink adds a visitor's message.
func (d *Desk) ReplyByLink(ctx context.Context, link, from, text string) error {
	q, err := d.Questions.ByLink(ctx, link)
	if err != nil {
		return err
	}
	return d.reply(ctx, reader{link: true}, from, q, text)
}

func (d *Desk) reply(ctx context.Context, r reader, from string, q question.Question, text string) error {
	const attempt = "reply to question"
	own, _, err := d.allowed(r, q)
	if err != nil {
		return err
	}
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if err := written(attempt, "the message", text, 1, MaxText); err != nil {
		return err
	}
	if err := d.limits.take(r.Caller, from, replies); err != nil {
		return err
	}
	if err := d.refuseIdentifiers(ctx, r.Caller, collection.ID(q.Ward), text); err != nil {
		return err
	}
	key, err := d.Ring.Get(ctx, keys.ID(q.Key))
	if err != nil {
		return err
	}
	s, action := sealing(key, q.ID), "reply to an answer"
	if !own {
		action = "answer a question"
	}
	for {
		next, err := d.Questions.Next(ctx, q.ID)
		if err != nil {
			return err
		}
		if next > Longest {
			return fault.New(fault.TooLarge, attempt, "", "this thread is full; ask a new question")
		}
		err = d.change(ctx, r.Caller, action, q, func(tx *db.Tx) error {
			return d.Questions.Reply(tx, q.ID, question.Message{Seq: next, Answer: !own, Actor: r.Actor, Text: s.Seal(message(next), []byte(text))})
		})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
}

// Close closes a thread, or opens it again; for who asked and for those who answer.
func (d *Desk) Close(ctx context.Context, who admin.Caller, id question.ID, closed bool) error {
	q, err := d.Questions.Get(ctx, id)
	if err != nil {
		return err
	}
	return d.close(ctx, reader{Caller: who}, q, closed)
}

// CloseByLink is Close for a visitor.
func (d *Desk) CloseByLink(ctx context.Context, link string, closed bool) error {
	q, err := d.Questions.ByLink(ctx, link)
	if err != nil {
		return err
	}
	return d.close(ctx, reader{link: true}, q, closed)
}

func (d *Desk) close(ctx context.Context, r reader, q question.Question, closed bool) error {
	if _, _, err := d.allowed(r, q); err != nil {
		return err
	}
	action := "reopen a question"
	if closed {
		action = "close a question"
	}
	return d.change(ctx, r.Caller, action, q, func(tx *db.Tx) error { return d.Questions.SetClosed(tx, q.ID, closed) })
}

// EndLink ends a visitor's private link for good; for those who answer.
func (d *Desk) EndLink(ctx context.Context, who admin.Caller, id question.ID) error {
	q, err := d.Questions.Get(ctx, id)
	if err != nil {
		return err
	}
	if _, answer, err := d.allowed(reader{Caller: who}, q); err != nil || !answer {
		return refused(err)
	}
	return d.change(ctx, who, "end a private link", q, func(tx *db.Tx) error { return d.Questions.EndLink(tx, q.ID) })
}

// EndByLink is EndLink for the visitor who has the link.
func (d *Desk) EndByLink(ctx context.Context, link string) error {
	q, err := d.Questions.ByLink(ctx, link)
	if err != nil {
		return err
	}
	return d.change(ctx, admin.Caller{}, "end a private link", q, func(tx *db.Tx) error { return d.Questions.EndLink(tx, q.ID) })
}

// Erase takes a thread away, with the key that it is encrypted under: for those who answer, when somebody wrote what should not have been written.
func (d *Desk) Erase(ctx context.Context, who admin.Caller, id question.ID) error {
	q, err := d.Questions.Get(ctx, id)
	if err != nil {
		return err
	}
	if _, answer, err := d.allowed(reader{Caller: who}, q); err != nil || !answer {
		return refused(err)
	}
	// The rows first: a key that is left without rows opens nothing, rows without a key would be listed as damaged.
	if err := d.change(ctx, who, "erase a question", q, func(tx *db.Tx) error { return d.Questions.Erase(tx, q.ID) }); err != nil {
		return err
	}
	return d.Ring.Destroy(ctx, keys.ID(q.Key))
}

func refused(err error) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Denied, policy.AnswerQuestions.String(), "", "it is for those who answer")
}
