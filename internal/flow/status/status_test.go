package status_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

func caller(role policy.Role, in string) admin.Caller {
	return admin.Caller{Actor: "person-test", Grants: []policy.Grant{{Role: role, Collection: in}}}
}

var administrator = caller(policy.Admin, policy.AllCollections)

// parts are those of a fresh node whose jobs nobody does.
func parts(t *testing.T, address string) (status.Parts, *node.Stores) {
	t.Helper()
	cfg := node.Config{Data: t.TempDir(), Demo: true}
	if strings.HasPrefix(address, "postgres") {
		cfg.Database = address
	}
	s, err := node.OpenStores(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	queue, err := jobs.Open(t.Context(), s.DB)
	if err != nil {
		t.Fatal(err)
	}
	sign, err := audit.NewSigner(s.Ring.Root().Derive("audit checkpoints"))
	if err != nil {
		t.Fatal(err)
	}
	return status.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Signer: sign, Jobs: queue, Catalogue: s.Catalogue, Collections: s.Collections,
		Questions: func(context.Context) (int64, time.Time, error) { return 0, time.Time{}, nil },
		Room:      func() (int64, int64, error) { return 500e9, 1000e9, nil },
		Facts: func() status.Facts {
			return status.Facts{Version: "1.2.3", Since: time.Now(), HTTP: "http://127.0.0.1:1", DICOM: "127.0.0.1:2", SFTP: "127.0.0.1:3"}
		}}, s
}

func line(t *testing.T, r *status.Report, part string) status.Line {
	t.Helper()
	for _, l := range r.Lines {
		if l.Part == part {
			return l
		}
	}
	t.Fatalf("there is no line for %s", part)
	return status.Line{}
}

// Each part has a line; what is not well says so and what to do.
func TestLines(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		p, s := parts(t, address)
		if _, err := s.Audit.Checkpoint(t.Context(), p.Signer); err != nil {
			t.Fatal(err)
		}
		write := func(text string, args ...any) {
			t.Helper()
			if err := s.DB.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(text, args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		logged := func(outcome string) {
			t.Helper()
			if err := s.DB.Write(t.Context(), func(tx *db.Tx) error {
				return s.Audit.Append(tx, audit.Entry{Actor: "operator root", Action: "verify", Object: "the node", Outcome: outcome})
			}); err != nil {
				t.Fatal(err)
			}
		}
		acted := func(action, outcome string) {
			t.Helper()
			if err := s.DB.Write(t.Context(), func(tx *db.Tx) error {
				return s.Audit.Append(tx, audit.Entry{Actor: "operator root", Action: action, Object: "backup x", Outcome: outcome})
			}); err != nil {
				t.Fatal(err)
			}
		}
		facts := func(change func(*status.Facts)) func(*status.Parts) {
			return func(p *status.Parts) {
				f := p.Facts()
				change(&f)
				p.Facts = func() status.Facts { return f }
			}
		}
		room := func(free, total int64, err error) func(*status.Parts) {
			return func(p *status.Parts) { p.Room = func() (int64, int64, error) { return free, total, err } }
		}
		asked := func(n int64, since time.Duration, err error) func(*status.Parts) {
			return func(p *status.Parts) {
				p.Questions = func(context.Context) (int64, time.Time, error) { return n, time.Now().Add(-since), err }
			}
		}
		for _, c := range []struct {
			part   string
			state  status.State
			says   string
			change func(*status.Parts)
			before func()
		}{
			{"database", status.Well, "answers in", nil, nil},
			{"packs", status.Well, "Nothing is kept yet", nil, nil},
			{"keys", status.Well, "apart from the data", nil, nil},
			{"keys", status.Watch, "inside the data folder", facts(func(f *status.Facts) { f.KeyInside = true }), nil},
			{"mirror", status.Watch, "There is none", nil, nil},
			{"disk", status.Well, "500 GB of 1.0 TB", nil, nil},
			{"disk", status.Watch, "free", room(60e9, 1000e9, nil), nil},
			{"disk", status.Bad, "free", room(900e6, 1000e9, nil), nil},
			{"disk", status.Watch, "not known", room(0, 0, errors.New("x")), nil},
			{"jobs", status.Well, "none given up", nil, nil},
			{"jobs", status.Watch, "could have been done since", nil, func() {
				write(`INSERT INTO job (kind, key, payload, due, lease, owner, asked, attempts, failed, error) VALUES ('late', 'k', NULL, ?, 0, '', 1, 0, 0, '')`, db.Micros(time.Now().Add(-time.Hour)))
			}},
			{"jobs", status.Bad, `1 of "worse", the first on `, nil, func() {
				write(`INSERT INTO job (kind, key, payload, due, lease, owner, asked, attempts, failed, error) VALUES ('worse', 'secret-key', NULL, ?, 0, '', 1, 12, 1, 'secret')`, db.Micros(time.Now()))
			}},
			{"intake", status.Well, "0 received in all", nil, nil},
			{"intake", status.Watch, "1 is held and waits for a steward", nil, func() {
				write(`INSERT INTO intake (collection, received, admitted, held, conflict, released, withdrawn, refused, duplicate) VALUES ('default', 0, 41, 1, 0, 0, 0, 0, 0)`)
			}},
			{"audit", status.Well, "signed on", nil, nil},
			{"audit", status.Watch, "signed on", nil, func() { write(`UPDATE audit_checkpoint SET at = at - 8000000000`); logged("x") }},
			{"audit", status.Watch, "none of them signed", nil, func() { write(`DELETE FROM audit_checkpoint`) }},
			{"verify", status.Bad, "3 differences", nil, func() { logged("3 differences") }},
			{"verify", status.Well, "as it was stored", nil, func() { logged("done") }},
			{"verify", status.Watch, "The last one was on", nil, func() { write(`UPDATE audit SET at = at - 3456000000000`) }},
			{"backups", status.Watch, "No backup is in the latest entries", nil, nil},
			{"backups", status.Well, "The last one was made on", nil, func() { acted("back up", "done") }},
			{"backups", status.Bad, "1 packs were missing", nil, func() { acted("back up", "done, but 1 packs were missing and 0 damaged") }},
			{"backups", status.Watch, "The last one was made on", nil, func() {
				acted("back up", "done")
				write(`UPDATE audit SET at = at - 400000000000 WHERE action = 'back up'`)
			}},
			{"drill", status.Watch, "has not been proven", nil, nil},
			{"drill", status.Well, "a backup was restored", nil, func() { acted("restore a backup to prove it", "done") }},
			{"drill", status.Bad, "found 2 differences", nil, func() { acted("restore a backup to prove it", "2 differences") }},
			{"drill", status.Watch, "The last one was on", nil, func() {
				acted("restore a backup to prove it", "done")
				write(`UPDATE audit SET at = at - 9000000000000 WHERE action = 'restore a backup to prove it'`)
			}},
			{"second", status.Watch, "It has not answered yet", facts(func(f *status.Facts) { f.Mirror = true }), nil},
			{"certificate", status.Well, "from this machine alone", nil, nil},
			{"certificate", status.Bad, "without TLS", facts(func(f *status.Facts) { f.Exposed = true }), nil},
			{"certificate", status.Well, "good until", facts(func(f *status.Facts) { f.Certificate = time.Now().AddDate(0, 2, 0) }), nil},
			{"certificate", status.Watch, "It ends on", facts(func(f *status.Facts) { f.Certificate = time.Now().AddDate(0, 0, 3) }), nil},
			{"certificate", status.Bad, "It ended on", facts(func(f *status.Facts) { f.Certificate = time.Now().AddDate(0, 0, -3) }), nil},
			{"listeners", status.Well, "HTTP at http://127.0.0.1:1; DICOM at 127.0.0.1:2; SFTP at 127.0.0.1:3.", nil, nil},
			{"listeners", status.Well, "HTTP is off", facts(func(f *status.Facts) { f.HTTP = "" }), nil},
			{"questions", status.Well, "None waits", nil, nil},
			{"questions", status.Well, "2 wait for an answer", asked(2, time.Hour, nil), nil},
			{"questions", status.Watch, "1 waits for an answer", asked(1, 100*time.Hour, nil), nil},
			{"questions", status.Bad, "cannot", asked(0, 0, errors.New("x")), nil},
		} {
			if c.before != nil {
				c.before()
			}
			q := p
			if c.change != nil {
				c.change(&q)
			}
			r, err := status.New(q).Report(t.Context(), administrator)
			if err != nil {
				t.Fatal(err)
			}
			l := line(t, r, c.part)
			if l.State != c.state || !strings.Contains(l.Says, c.says) || l.Name == "" {
				t.Errorf("%s: %+v, want %s %q", c.part, l, c.state, c.says)
			}
			if l.State != status.Well && l.Do == "" && c.part != "questions" && c.part != "audit" {
				t.Errorf("%s: it does not say what to do", c.part)
			}
			if l.State == status.Bad && r.State != status.Bad || len(r.Hours) != 24 {
				t.Errorf("%s: the whole is %s, %d hours", c.part, r.State, len(r.Hours))
			}
			if b, err := json.Marshal(r); err != nil || strings.Contains(string(b), "secret") {
				t.Errorf("%v: %s", err, b)
			}
		}
	})
}

// A part that fails has a line, and the others are told all the same.
func TestWithoutADatabase(t *testing.T) {
	p, s := parts(t, "")
	desk := status.New(p)
	if !desk.Up(t.Context()) {
		t.Error("a fresh node is not up")
	}
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
	if desk.Up(t.Context()) {
		t.Error("without a database it is up")
	}
	r, err := desk.Report(t.Context(), administrator)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"database", "jobs", "intake", "audit", "verify"} {
		if l := line(t, r, part); l.State != status.Bad {
			t.Errorf("%+v", l)
		}
	}
	if l := line(t, r, "disk"); l.State != status.Well || r.State != status.Bad {
		t.Errorf("%+v, %s", l, r.State)
	}
}

func TestWhoSees(t *testing.T) {
	p, s := parts(t, "")
	desk := status.New(p)
	for _, c := range []struct {
		who         admin.Caller
		sees, check bool
	}{
		{administrator, true, true},
		{caller(policy.Steward, "default"), true, false},
		{caller(policy.Steward, policy.AllCollections), true, false},
		{caller(policy.Admin, "default"), true, false},
		{caller(policy.Depositor, policy.AllCollections), false, false},
		{caller(policy.Researcher, "default"), false, false},
		{admin.Caller{}, false, false},
	} {
		if _, err := desk.Report(t.Context(), c.who); (err == nil) != c.sees || err != nil && !fault.Is(err, fault.Denied) || status.May(c.who) != c.sees {
			t.Errorf("%+v: %v", c.who, err)
		}
		if err := desk.CheckLog(t.Context(), c.who); (err == nil) != c.check || status.MayCheck(c.who) != c.check {
			t.Errorf("%+v checks: %v", c.who, err)
		}
	}
	if e, ok, err := s.Audit.Latest(t.Context(), policy.SeeStatus.String(), 100); err != nil || !ok || e.Outcome != "denied" {
		t.Error("a denial is not in the log", e, ok, err)
	}
}

// The log is recomputed by a job; what comes of it is in the log.
func TestCheckLog(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		p, s := parts(t, address)
		desk := status.New(p)
		do := func() status.Check {
			t.Helper()
			if err := desk.CheckLog(t.Context(), administrator); err != nil {
				t.Fatal(err)
			}
			if c, err := desk.Checked(t.Context(), administrator); err != nil || !c.Running {
				t.Errorf("%+v, %v", c, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- jobs.NewRunner(p.Jobs, desk.Handlers(), jobs.Options{Poll: 10 * time.Millisecond}).Run(ctx)
			}()
			defer func() { cancel(); <-done }()
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.After(10 * time.Second); ; {
				c, err := desk.Checked(t.Context(), administrator)
				if err != nil {
					t.Fatal(err)
				}
				if !c.Running {
					return c
				}
				select {
				case <-tick.C:
				case <-deadline:
					t.Fatal("not done within 10 seconds")
				}
			}
		}
		if c := do(); !c.Good || c.By != "person-test" || c.Signed.Note == "" || !strings.Contains(c.Says, "are as they were logged") || !strings.HasPrefix(c.Public, "vitrine-audit+") {
			t.Errorf("%+v", c)
		}
		if err := s.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE audit SET outcome = 'nothing' WHERE seq = 0`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if c := do(); c.Good || !strings.Contains(c.Says, "a difference was found at entry 0") {
			t.Errorf("%+v", c)
		}
		if _, err := desk.Checked(t.Context(), caller(policy.Researcher, policy.AllCollections)); !fault.Is(err, fault.Denied) {
			t.Error(err)
		}
	})
}
