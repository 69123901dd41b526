package mailing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// owner remembers what it was told, and wants everything but one.
type owner struct {
	mu     sync.Mutex
	states []State
	why    []string
}

func (o *owner) Wanted(_ context.Context, id string) (bool, error) { return id != "ended", nil }

func (o *owner) Noted(_ *db.Tx, _ string, s State, why string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.states, o.why = append(o.states, s), append(o.why, why)
	return nil
}

// server takes mails, or says no.
type server struct {
	mails []mail.Message
	say   error
}

func (s *server) Send(_ context.Context, m mail.Message) error {
	if s.say == nil {
		s.mails = append(s.mails, m)
	}
	return s.say
}

type rig struct {
	*Queue
	t   *testing.T
	d   *db.DB
	own *owner
	srv *server
	log bytes.Buffer
	at  time.Time
}

func open(t *testing.T, d *db.DB) *rig {
	t.Helper()
	q, err := jobs.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	root, err := keys.NewRoot(keys.Key{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	x := &rig{t: t, d: d, own: &owner{}, srv: &server{}, at: time.Now()}
	if x.Queue, err = New(Parts{DB: d, Jobs: q, Root: root, Sender: x.srv, Log: slog.New(slog.NewTextHandler(&x.log, nil)), Base: "https://images.example.org"}); err != nil {
		t.Fatal(err)
	}
	x.now = func() time.Time { return x.at }
	x.Own("link", x.own)
	return x
}

// next does the job that waits, as the runner would when its moment has come; false: none waits.
func (x *rig) next() bool {
	x.t.Helper()
	var key string
	var payload []byte
	var due, asked int64
	err := x.d.QueryRow(x.t.Context(), `SELECT key, payload, due, asked FROM job WHERE kind = ?`, jobMail).Scan(&key, &payload, &due, &asked)
	if err != nil {
		return false
	}
	if at := db.Time(due); at.After(x.at) {
		x.at = at
	}
	if err := x.send(x.t.Context(), key, payload); err != nil {
		x.t.Fatal(err)
	}
	if err := x.d.Write(x.t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM job WHERE kind = ? AND asked = ?`, jobMail, asked)
		return err
	}); err != nil {
		x.t.Fatal(err)
	}
	return true
}

func (x *rig) add(id, to string) error {
	return x.d.Write(x.t.Context(), func(tx *db.Tx) error {
		return x.Add(tx, About{"link", id}, mail.Message{To: to, Subject: "Send", Text: "the secret"})
	})
}

func TestMails(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		x := open(t, d)
		for _, to := range []string{"", "nobody", "a@b.org\r\nBcc: c@d.org"} {
			if err := x.add("1", to); !fault.Is(err, fault.Invalid) {
				t.Errorf("to %q: %v", to, err)
			}
		}
		if err := x.add("1", "imogen@example.org"); err != nil {
			t.Fatal(err)
		}
		var payload []byte
		var key string
		if err := d.QueryRow(t.Context(), `SELECT key, payload FROM job`).Scan(&key, &payload); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(payload, []byte("imogen")) || bytes.Contains(payload, []byte("secret")) || key != "link 1" {
			t.Errorf("the queue holds %q under %q", payload, key)
		}
		if err := x.send(t.Context(), "link 2", payload); !fault.Is(err, fault.Corrupt) {
			t.Errorf("under another's key: %v", err)
		}
		// A server that cannot now is asked again, later and later.
		x.srv.say = &mail.Refused{Code: 451}
		began := x.at
		x.next()
		x.next()
		if x.at.Sub(began).Round(time.Second) != pauses[0] || len(x.own.states) != 2 || x.own.states[1] != Retried || !strings.Contains(x.own.why[1], "451") {
			t.Errorf("after %v: %v %v", x.at.Sub(began), x.own.states, x.own.why)
		}
		x.srv.say = nil
		x.next()
		if len(x.srv.mails) != 1 || x.srv.mails[0].To != "imogen@example.org" || x.srv.mails[0].Text != "the secret" || x.own.states[2] != Sent || x.next() {
			t.Errorf("%v %v", x.srv.mails, x.own.states)
		}
		// What will never be taken is given up at once, what is never taken after two days.
		x.own.states = nil
		x.srv.say = &mail.Refused{Code: 550, Permanent: true}
		if err := x.add("3", "imogen@example.org"); err != nil {
			t.Fatal(err)
		}
		if x.next(); len(x.own.states) != 1 || x.own.states[0] != Failed || x.next() {
			t.Errorf("%v", x.own.states)
		}
		x.own.states = nil
		x.srv.say = &mail.Refused{}
		if err := x.add("4", "imogen@example.org"); err != nil {
			t.Fatal(err)
		}
		began = x.at
		tries := 0
		for x.next() {
			tries++
		}
		if last := x.own.states[len(x.own.states)-1]; last != Failed || x.at.Sub(began) > Patience || x.at.Sub(began) < Patience-2*time.Hour || tries < 40 {
			t.Errorf("given up after %d tries in %v: %v", tries, x.at.Sub(began), last)
		}
		// What has ended meanwhile is not sent.
		x.srv.say = nil
		if err := x.add("ended", "imogen@example.org"); err != nil {
			t.Fatal(err)
		}
		if x.next(); len(x.srv.mails) != 1 || x.own.states[len(x.own.states)-1] != Failed {
			t.Errorf("%v", x.own.states)
		}
		x.srv.say = errors.New("cannot write to imogen@example.org")
		if err := x.add("5", "imogen@example.org"); err != nil {
			t.Fatal(err)
		}
		x.next()
		if l := x.log.String(); strings.Contains(l, "imogen") || strings.Contains(l, "secret") || !strings.Contains(l, "given up") {
			t.Errorf("the log says %s", l)
		}
	})
}
