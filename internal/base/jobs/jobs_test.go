package jobs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
)

func add(t *testing.T, d *db.DB, q *Queue, kind, key string) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return q.Add(tx, kind, key, []byte("p"), time.Now()) }); err != nil {
		t.Fatal(err)
	}
}

// run starts a runner and gives what stops it.
func run(t *testing.T, q *Queue, h map[string]Handler, o Options) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := NewRunner(q, h, o).Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func open(t *testing.T, d *db.DB) *Queue {
	t.Helper()
	q, err := Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestDoneOnceAndAgainAfterFailure(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		done := make(chan string, 10)
		var tries atomic.Int64
		h := map[string]Handler{
			"good": func(_ context.Context, key string, p []byte) error { done <- key + string(p); return nil },
			"late": func(context.Context, string, []byte) error {
				if tries.Add(1) < 3 {
					return errors.New("not yet")
				}
				done <- "late"
				return nil
			},
			"panics": func(context.Context, string, []byte) error { panic("x") },
		}
		add(t, d, q, "good", "1")
		add(t, d, q, "good", "1") // while it waits: once
		add(t, d, q, "late", "2")
		add(t, d, q, "panics", "3")
		stop := run(t, q, h, Options{Backoff: time.Millisecond, Attempts: 3, Poll: 20 * time.Millisecond})
		got := map[string]int{}
		for range 2 {
			got[<-done]++
		}
		for {
			f, err := q.Failed(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(f) == 1 && f[0].Kind == "panics" {
				break
			}
		}
		stop()
		if got["1p"] != 1 || got["late"] != 1 || tries.Load() != 3 {
			t.Errorf("done %v, %d tries", got, tries.Load())
		}
		var left int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(*) FROM job WHERE failed = 0`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d jobs are left: %v", left, err)
		}
	})
}

// Asked for while it runs, it runs again; a lease that has run out is another's; many runners never do one job at a time twice.
func TestAgainAndLeases(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		started, release := make(chan struct{}, 10), make(chan struct{})
		var at, most atomic.Int64
		h := map[string]Handler{"slow": func(context.Context, string, []byte) error {
			most.Store(max(most.Load(), at.Add(1)))
			started <- struct{}{}
			<-release
			at.Add(-1)
			return nil
		}}
		stop1 := run(t, q, h, Options{Poll: 10 * time.Millisecond, Lease: 300 * time.Millisecond})
		stop2 := run(t, q, h, Options{Poll: 10 * time.Millisecond, Lease: 300 * time.Millisecond})
		add(t, d, q, "slow", "x")
		<-started
		add(t, d, q, "slow", "x")
		release <- struct{}{}
		<-started // again
		release <- struct{}{}
		stop1()
		stop2()
		if most.Load() != 1 {
			t.Errorf("%d at a time", most.Load())
		}
		// A process that died.
		add(t, d, q, "slow", "y")
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE job SET lease = ?, owner = 'dead' WHERE key = 'y'`, db.Micros(time.Now().Add(50*time.Millisecond)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		stop := run(t, q, h, Options{Poll: 10 * time.Millisecond})
		<-started
		release <- struct{}{}
		stop()
	})
}

// What is asked for is done at once, not at the next look; what is due later, then; what this process cannot do is left to others.
func TestWokenByTheCommit(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		done := make(chan time.Time, 1)
		stop := run(t, q, map[string]Handler{"good": func(context.Context, string, []byte) error { done <- time.Now(); return nil }}, Options{Poll: time.Hour})
		defer stop()
		add(t, d, q, "foreign", "1")
		add(t, d, q, "good", "1")
		<-done
		due := time.Now().Add(100 * time.Millisecond)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return q.Add(tx, "good", "2", nil, due) }); err != nil {
			t.Fatal(err)
		}
		if at := <-done; at.Before(due) {
			t.Error("done before it was due")
		}
		var attempts int64
		if err := d.QueryRow(t.Context(), `SELECT attempts FROM job WHERE kind = 'foreign'`).Scan(&attempts); err != nil || attempts != 0 {
			t.Errorf("another's job was tried %d times: %v", attempts, err)
		}
	})
}

func TestStoppingAndLosingALeaseEndTheJob(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		started, ended := make(chan struct{}, 2), make(chan struct{}, 2)
		h := map[string]Handler{"long": func(ctx context.Context, _ string, _ []byte) error {
			started <- struct{}{}
			<-ctx.Done()
			ended <- struct{}{}
			return ctx.Err()
		}}
		add(t, d, q, "long", "1")
		stop := run(t, q, h, Options{Lease: 60 * time.Millisecond, Drain: time.Millisecond, Poll: time.Hour})
		<-started
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE job SET owner = 'another', lease = ?`, db.Micros(time.Now().Add(5*time.Minute)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		<-ended
		add(t, d, q, "long", "2")
		<-started
		stop() // its context ends after Drain
		<-ended
		var owner string
		if err := d.QueryRow(t.Context(), `SELECT owner FROM job WHERE key = '1'`).Scan(&owner); err != nil || owner != "another" {
			t.Errorf("the other's lease is %q (%v)", owner, err)
		}
	})
}

// A job whose process dies each time is given up like one that fails each time; asking for it again starts it anew, and another job is not kept waiting.
func TestDeadlyJobIsGivenUp(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		var log bytes.Buffer
		h := map[string]Handler{"deadly": func(context.Context, string, []byte) error { return nil }, "good": func(context.Context, string, []byte) error { return nil }}
		// A runner that claims and dies: it neither settles nor keeps its lease.
		r := NewRunner(q, h, Options{Attempts: 3, Lease: time.Microsecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
		claims := func() (n int, last *job) {
			t.Helper()
			for range 10 {
				j, err := r.claim(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if j == nil || j.kind != "deadly" {
					return n, j
				}
				n++
			}
			return n, nil
		}
		add(t, d, q, "deadly", "the key is not for a log")
		if n, _ := claims(); n != 3 {
			t.Errorf("claimed %d times, want 3", n)
		}
		failed, err := q.Failed(t.Context())
		if err != nil || len(failed) != 1 || failed[0].Kind != "deadly" || failed[0].Error == "" {
			t.Errorf("given up: %v %v", failed, err)
		}
		if l := log.String(); strings.Count(l, "level=ERROR") != 1 || !strings.Contains(l, "kind=deadly") || strings.Contains(l, "the key") {
			t.Errorf("the log says %q", l)
		}
		add(t, d, q, "deadly", "the key is not for a log")
		add(t, d, q, "good", "1")
		if waiting, given, err := q.Counts(t.Context()); err != nil || waiting["deadly"] != 1 || waiting["good"] != 1 || len(given) != 0 {
			t.Errorf("counts %v %v %v", waiting, given, err)
		}
		if n, last := claims(); n != 3 || last == nil || last.kind != "good" {
			t.Errorf("asked for again, it is claimed %d times, then %v", n, last)
		}
		if waiting, given, err := q.Counts(t.Context()); err != nil || waiting["good"] != 1 || given["deadly"] != 1 {
			t.Errorf("counts %v %v %v", waiting, given, err)
		}
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOverview(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		past := time.Now().Add(-time.Hour)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i, due := range []time.Time{past, time.Now().Add(-time.Minute), time.Now().Add(time.Hour)} {
				if err := q.Add(tx, "count", string(rune('a'+i)), nil, due); err != nil {
					return err
				}
			}
			return q.Add(tx, "copy", "a", nil, time.Now().Add(time.Hour))
		})
		if err != nil {
			t.Fatal(err)
		}
		add(t, d, q, "bad", "1")
		begun, held := make(chan struct{}), make(chan struct{})
		stop := run(t, q, map[string]Handler{
			"bad":  func(context.Context, string, []byte) error { return errors.New("never") },
			"slow": func(context.Context, string, []byte) error { close(begun); <-held; return nil },
		}, Options{Attempts: 1, Poll: 20 * time.Millisecond})
		add(t, d, q, "slow", "1")
		<-begun
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(10 * time.Second); ; {
			all, err := q.Overview(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			by := map[string]Kind{}
			for _, k := range all {
				by[k.Name] = k
			}
			if b := by["bad"]; b.Failed == 1 {
				if b.Waiting != 0 || b.Running != 0 || time.Since(b.GaveUp) > time.Minute || !b.Due.IsZero() {
					t.Errorf("%+v", b)
				}
				if c := by["count"]; c.Waiting != 3 || c.Running != 0 || c.Failed != 0 || !c.Due.Equal(db.Time(db.Micros(past))) || !c.GaveUp.IsZero() {
					t.Errorf("%+v", c)
				}
				if c := by["copy"]; c.Waiting != 1 || !c.Due.IsZero() {
					t.Errorf("what is not due yet is late: %+v", c)
				}
				if s := by["slow"]; s.Running != 1 || s.Waiting != 0 {
					t.Errorf("%+v", s)
				}
				break
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("not given up within 10 seconds: %+v", by)
			}
		}
		close(held)
		stop()
	})
}

// What a clock that was ahead has leased or put off is not left until it is that late again; and what runs is not done twice because the clock was set forward.
func TestClockIsSet(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		q := open(t, d)
		set := func(column string, to time.Time, key string) {
			t.Helper()
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE job SET `+column+` = ? WHERE key = ?`, db.Micros(to), key)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		now := time.Now()
		for _, key := range []string{"leased", "put off", "later"} {
			add(t, d, q, "k", key)
		}
		set("lease", now.Add(72*time.Hour), "leased")
		set("due", now.Add(30*24*time.Hour), "put off")
		set("due", now.Add(time.Hour), "later")
		r := NewRunner(q, map[string]Handler{"k": nil}, Options{})
		claimed := func() string {
			t.Helper()
			j, err := r.claim(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if j == nil {
				return ""
			}
			return j.key
		}
		got := map[string]bool{claimed(): true, claimed(): true}
		if !got["leased"] || !got["put off"] {
			t.Errorf("done are %v", got)
		}
		if k := claimed(); k != "" {
			t.Errorf("%q is done, which is for later", k)
		}
		r.note(&job{kind: "k", key: "leased"}, true)
		set("lease", now.Add(-time.Minute), "leased") // as the clock has it that was set forward
		if k := claimed(); k != "" {
			t.Errorf("%q runs, and was taken again", k)
		}
		if err := r.put(t.Context(), now, 2*time.Hour); err != nil {
			t.Fatal(err)
		}
		if k := claimed(); k != "later" {
			t.Errorf("after the clock was set back by more than it had to wait, %q is done", k)
		}
	})
}
