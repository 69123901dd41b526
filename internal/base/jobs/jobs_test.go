package jobs

import (
	"context"
	"errors"
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
			_, err := tx.Exec(`UPDATE job SET owner = 'another', lease = ?`, db.Micros(time.Now().Add(time.Hour)))
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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
