// Package mailing queues mails and gives them to a server.
//
// It promises: a mail is asked for in the transaction of what it tells of, or neither is; address and text are encrypted in the queue, by a key that comes from the master
// key, and leave it when the server has taken the mail or it is given up; a server that does not answer is asked again for two days; how each mail stands is told to what
// it is about, which may also say that it is not wanted any more. A mail may go out twice if the node dies in the moment between; it is never lost without a word.
//
// What the queue holds is written in docs/formats/mail.md.
package mailing

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

const jobMail = "send mail"

// Patience is how long a server that does not take a mail is asked again.
const Patience = 48 * time.Hour

// About says what a mail is about: a kind that an [Owner] was named for, and which one. Neither identifies a person.
type About struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// State is how a mail stands.
type State string

// The states.
const (
	Retried State = "retried" // the server could not take it, and is asked again
	Sent    State = "sent"    // the server has taken it
	Failed  State = "failed"  // it is given up
)

// Owner keeps what mails of a kind are about.
type Owner interface {
	// Wanted reports whether a mail is still to be sent: what it tells of may have ended.
	Wanted(ctx context.Context, id string) (bool, error)
	// Noted is told how a mail stands, and why it was not taken.
	Noted(tx *db.Tx, id string, s State, why string) error
}

// Sender gives one mail to a server; a *[mail.Refused] says what the server answered.
type Sender interface {
	Send(ctx context.Context, m mail.Message) error
}

// Parts are what the queue works with.
type Parts struct {
	DB     *db.DB
	Jobs   *jobs.Queue
	Root   *keys.Root
	Sender Sender
	Log    *slog.Logger
	// Base is the address of the node, without a slash at the end: mails lead there.
	Base string
}

// Queue is safe for use by many goroutines, once its owners are named.
type Queue struct {
	Parts
	seal   *keys.Sealer
	owners map[string]Owner
	now    func() time.Time
}

// New makes the queue.
func New(p Parts) (*Queue, error) {
	s, err := keys.NewSealer(p.Root, "mail queue")
	return &Queue{Parts: p, seal: s, owners: map[string]Owner{}, now: time.Now}, err
}

// Own names who keeps what mails of a kind are about, before the queue is used.
func (q *Queue) Own(kind string, o Owner) { q.owners[kind] = o }

// queued is what lies sealed in the queue.
type queued struct {
	About   About        `json:"about"`
	Since   time.Time    `json:"since"`
	Attempt int          `json:"attempt"`
	Mail    mail.Message `json:"mail"`
}

func (a About) key() string { return a.Kind + " " + a.ID }

func (q *Queue) add(tx *db.Tx, m queued, due time.Time) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fault.Wrap(fault.Internal, "queue mail", "", err)
	}
	return q.Jobs.Add(tx, jobMail, m.About.key(), q.seal.Seal(text, "mail about "+m.About.key()), due)
}

// Add queues a mail in the transaction of what it tells of. One that waits already about the same gives way.
func (q *Queue) Add(tx *db.Tx, about About, m mail.Message) error {
	if _, err := mail.ParseAddress(m.To); err != nil {
		return err
	}
	return q.add(tx, queued{About: about, Since: q.now(), Mail: m}, q.now())
}

// Handlers are the jobs that are done here.
func (q *Queue) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobMail: q.send}
}

// pauses are how long the queue waits after each failure; the last holds for all that follow.
var pauses = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

func (q *Queue) send(ctx context.Context, key string, payload []byte) error {
	text, err := q.seal.Open(payload, "mail about "+key)
	var m queued
	if err != nil || json.Unmarshal(text, &m) != nil {
		return fault.New(fault.Corrupt, "send mail", key, "what is queued cannot be opened")
	}
	owner := q.owners[m.About.Kind]
	if owner == nil {
		return fault.New(fault.Internal, "send mail", key, "nobody keeps what it is about")
	}
	switch wanted, err := owner.Wanted(ctx, m.About.ID); {
	case err != nil:
		return err
	case !wanted:
		return q.DB.Write(ctx, func(tx *db.Tx) error { return owner.Noted(tx, m.About.ID, Failed, "it was not wanted any more") })
	}
	err = q.Sender.Send(ctx, m.Mail)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the node ends: the mail stays as it is
	}
	state, again, why := Sent, time.Duration(0), ""
	if err != nil {
		state = Failed
		refused, ok := errors.AsType[*mail.Refused](err)
		if again = pauses[min(m.Attempt, len(pauses)-1)]; ok && !refused.Permanent && q.now().Add(again).Before(m.Since.Add(Patience)) {
			state = Retried
		}
		why = "the mail cannot be written"
		if ok {
			why = refused.Reason()
		}
		if state == Failed {
			q.Log.Error("a mail is given up", "about", m.About.Kind, "attempts", m.Attempt+1, "why", why)
		} else {
			q.Log.Warn("a mail was not taken; it is tried again", "about", m.About.Kind, "attempts", m.Attempt+1, "why", why)
		}
	}
	m.Attempt++
	return q.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := owner.Noted(tx, m.About.ID, state, why); err != nil || state != Retried {
			return err
		}
		return q.add(tx, m, q.now().Add(again))
	})
}
