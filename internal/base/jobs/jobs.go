// Package jobs does work later: what a transaction asks for is stored with it and done after it, by whichever process is free.
//
// It promises: a job is asked for in the transaction of the fact that needs it, or neither is; it is done at least once, by one process at a time, again
// after a failure, later and later; a process that dies loses its lease and another goes on. What fails too often, or whose process dies too often, is given up:
// it stays in the table, [Queue.Failed] lists it, and asking for it again starts it anew. Work that is asked for again while it waits is done once; while it runs, once
// more afterwards. Handlers are idempotent.
//
// Jobs are for a study, a subject, a pack, a peer; never for an instance. docs/decisions says why this is a lease table and not a queue library.
package jobs

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

//go:embed migrations
var migrations embed.FS

// Queue holds what is to be done.
type Queue struct{ d *db.DB }

// added is signalled, within the process, by the commit of a transaction that asked for work.
const added = "jobs"

// Open brings the table up to date.
func Open(ctx context.Context, d *db.DB) (*Queue, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "jobs", files); err != nil {
		return nil, err
	}
	return &Queue{d: d}, nil
}

// Add asks for work in the caller's transaction: kind chooses the handler, key names what it is done to. Neither identifies a person. If it waits already,
// payload and moment are replaced.
func (q *Queue) Add(tx *db.Tx, kind, key string, payload []byte, due time.Time) error {
	_, err := tx.Exec(`INSERT INTO job (kind, key, payload, due, lease, owner, asked, attempts, failed, error) VALUES (?, ?, ?, ?, 0, '', 1, 0, 0, '')
		ON CONFLICT (kind, key) DO UPDATE SET payload = excluded.payload, due = excluded.due, asked = job.asked + 1, attempts = 0, failed = 0, error = ''`,
		kind, key, payload, db.Micros(due))
	if err != nil {
		return err
	}
	tx.Signal(added)
	return nil
}

// Failed is a job that was given up.
type Failed struct {
	Kind, Key, Error string
}

// Failed lists what was given up; asking for it again starts it anew.
func (q *Queue) Failed(ctx context.Context) ([]Failed, error) {
	rows, err := q.d.Query(ctx, `SELECT kind, key, error FROM job WHERE failed = 1 ORDER BY kind, key`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Failed
	for rows.Next() {
		var f Failed
		if err := rows.Scan(&f.Kind, &f.Key, &f.Error); err != nil {
			return nil, db.Fault("list jobs", err)
		}
		all = append(all, f)
	}
	return all, db.Fault("list jobs", rows.Err())
}

// Counts says how many jobs wait or run, and how many were given up, by kind.
func (q *Queue) Counts(ctx context.Context) (waiting, failed map[string]int64, err error) {
	rows, err := q.d.Query(ctx, `SELECT kind, failed, COUNT(*) FROM job GROUP BY kind, failed`)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	waiting, failed = map[string]int64{}, map[string]int64{}
	for rows.Next() {
		var kind string
		var up, n int64
		if err := rows.Scan(&kind, &up, &n); err != nil {
			return nil, nil, db.Fault("count jobs", err)
		}
		if up == 0 {
			waiting[kind] = n
		} else {
			failed[kind] = n
		}
	}
	return waiting, failed, db.Fault("count jobs", rows.Err())
}

// Kind says how the jobs of a kind stand.
type Kind struct {
	Name    string
	Waiting int64     // their moment has come, or will
	Running int64     // some process has the lease
	Failed  int64     // given up
	Due     time.Time // since when the one that waits longest could have been done; zero: none
	GaveUp  time.Time // when the first was given up; zero: none
}

// Overview says how the jobs stand, by kind.
func (q *Queue) Overview(ctx context.Context) ([]Kind, error) {
	now := db.Micros(time.Now())
	rows, err := q.d.Query(ctx, `SELECT kind, SUM(CASE WHEN failed = 0 AND lease <= ? THEN 1 ELSE 0 END), SUM(CASE WHEN failed = 0 AND lease > ? THEN 1 ELSE 0 END), SUM(failed),
		MIN(CASE WHEN failed = 0 AND lease <= ? AND due <= ? THEN due ELSE NULL END), MIN(CASE WHEN failed = 1 THEN due ELSE NULL END) FROM job GROUP BY kind ORDER BY kind`, now, now, now, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Kind
	for rows.Next() {
		var k Kind
		var due, gave sql.NullInt64
		if err := rows.Scan(&k.Name, &k.Waiting, &k.Running, &k.Failed, &due, &gave); err != nil {
			return nil, db.Fault("count jobs", err)
		}
		if due.Valid {
			k.Due = db.Time(due.Int64)
		}
		if gave.Valid {
			k.GaveUp = db.Time(gave.Int64)
		}
		all = append(all, k)
	}
	return all, db.Fault("count jobs", rows.Err())
}

// Handler does the work of one kind. An error means: again later.
type Handler func(ctx context.Context, key string, payload []byte) error

// Options of a runner. Zero values are the defaults.
type Options struct {
	Workers  int           // at a time; default 2
	Lease    time.Duration // how long a process that died keeps its work; default a minute
	Poll     time.Duration // how often to look for what other processes asked for; default 5 s
	Attempts int           // before a job is given up; default 12
	Backoff  time.Duration // after the first failure, doubling to an hour; default a second
	Drain    time.Duration // how long a running job may go on after Run's context has ended; default 30 s
	Log      *slog.Logger
}

// Runner does jobs.
type Runner struct {
	q        *Queue
	handlers map[string]Handler
	kinds    []any  // those that have a handler
	marks    string // a placeholder for each
	opts     Options
	owner    string

	mu      sync.Mutex
	busy    map[[2]string]bool // kind and key of what runs here
	started time.Time
	stepped time.Duration // how far the clock has been set since, forwards
}

// What lies further ahead was put there by a clock that has been set back since: leases are of minutes, and nothing is put off for more than a week.
const (
	farLease = 15 * time.Minute
	farDue   = 8 * 24 * time.Hour
)

// NewRunner makes a runner for the kinds that have a handler.
func NewRunner(q *Queue, handlers map[string]Handler, o Options) *Runner {
	if o.Workers <= 0 {
		o.Workers = 2
	}
	if o.Lease <= 0 {
		o.Lease = time.Minute
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 12
	}
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails (crypto/rand)
	r := &Runner{q: q, handlers: handlers, opts: o, owner: hex.EncodeToString(id[:]), busy: map[[2]string]bool{}, started: time.Now()}
	for _, kind := range slices.Sorted(maps.Keys(handlers)) {
		r.kinds = append(r.kinds, kind)
	}
	r.marks = strings.TrimSuffix(strings.Repeat("?,", len(r.kinds)), ",")
	return r
}

// Run does jobs until ctx ends, then lets those that run end, for at most Drain; then their context ends. Kinds without a handler are left to other
// processes.
func (r *Runner) Run(ctx context.Context) error {
	if len(r.kinds) == 0 {
		<-ctx.Done()
		return nil
	}
	if _, failed, err := r.q.Counts(ctx); err == nil {
		for _, kind := range slices.Sorted(maps.Keys(failed)) {
			r.opts.Log.Error("jobs were given up and wait for a person", "kind", kind, "jobs", failed[kind])
		}
	}
	var workers sync.WaitGroup
	for range r.opts.Workers {
		workers.Go(func() { r.work(ctx) })
	}
	workers.Wait()
	return nil
}

func (r *Runner) work(ctx context.Context) {
	for ctx.Err() == nil {
		wake := r.q.d.Signalled(added) // before looking, so that nothing falls between
		j, err := r.claim(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.opts.Log.Error("jobs cannot be looked for", "error", err)
			}
		} else if j != nil {
			r.do(ctx, j)
			continue
		}
		t := time.NewTimer(r.pause(ctx))
		select {
		case <-ctx.Done():
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// pause is how long to wait when nothing is due: until the next job is, and no longer than Poll.
func (r *Runner) pause(ctx context.Context) time.Duration {
	var due int64
	err := r.q.d.QueryRow(ctx, `SELECT due FROM job WHERE failed = 0 AND lease = 0 AND kind IN (`+r.marks+`) ORDER BY due LIMIT 1`, r.kinds...).Scan(&due)
	if err != nil {
		return r.opts.Poll
	}
	return max(time.Millisecond, min(r.opts.Poll, time.Until(db.Time(due))))
}

type job struct {
	kind, key string
	payload   []byte
	asked     int64
	attempts  int64
}

// claim takes the lease of a job that is due.
func (r *Runner) claim(ctx context.Context) (*job, error) {
	now := time.Now()
	if err := r.follow(ctx, now); err != nil {
		return nil, err
	}
	args := append([]any{db.Micros(now), db.Micros(now.Add(farDue)), db.Micros(now), db.Micros(now.Add(max(farLease, 10*r.opts.Lease)))}, r.kinds...)
	due := ` FROM job WHERE failed = 0 AND (due <= ? OR due > ?) AND (lease <= ? OR lease > ?) AND kind IN (` + r.marks + `) ORDER BY due LIMIT 1`
	var at int64
	err := r.q.d.QueryRow(ctx, `SELECT due`+due, args...).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // without a write, which would have to wait its turn
	}
	if err != nil {
		return nil, err
	}
	var j *job
	var dead []job // whose processes died each time: nobody was left to count a failure, so it is counted where the next one would begin
	err = r.q.d.Write(ctx, func(tx *db.Tx) error {
		j, dead = nil, nil
		if err := tx.Lock("jobs"); err != nil {
			return err
		}
		for {
			var x job
			err := tx.QueryRow(`SELECT kind, key, payload, asked, attempts`+due, args...).Scan(&x.kind, &x.key, &x.payload, &x.asked, &x.attempts)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			if r.runs(x.kind, x.key) { // its lease ran out because the clock was set: it is held on to, and not done twice
				if _, err := tx.Exec(`UPDATE job SET lease = ?, due = ? WHERE kind = ? AND key = ?`, db.Micros(now.Add(r.opts.Lease)), db.Micros(now), x.kind, x.key); err != nil {
					return err
				}
				continue
			}
			if x.attempts >= int64(r.opts.Attempts) {
				if _, err := tx.Exec(`UPDATE job SET lease = 0, owner = '', due = ?, failed = 1, error = ? WHERE kind = ? AND key = ?`,
					db.Micros(now), fmt.Sprintf("attempt %d: its process ended", x.attempts), x.kind, x.key); err != nil {
					return err
				}
				dead = append(dead, x)
				continue
			}
			x.attempts++
			_, err = tx.Exec(`UPDATE job SET lease = ?, owner = ?, attempts = ? WHERE kind = ? AND key = ?`, db.Micros(now.Add(r.opts.Lease)), r.owner, x.attempts, x.kind, x.key)
			j = &x
			return err
		}
	})
	if err == nil {
		for _, x := range dead {
			r.opts.Log.Error("a job is given up: the process that did it ended each time", "kind", x.kind, "attempts", x.attempts)
		}
	}
	return j, err
}

// note says that a job runs here, or no longer does.
func (r *Runner) note(j *job, runs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if runs {
		r.busy[[2]string{j.kind, j.key}] = true
	} else {
		delete(r.busy, [2]string{j.kind, j.key})
	}
}

func (r *Runner) runs(kind, key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busy[[2]string{kind, key}]
}

// follow puts what waits where it was, seen from now, when the clock of this machine has been set back: or it would wait for as long as that again.
func (r *Runner) follow(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	stepped := now.Round(0).Sub(r.started.Round(0)) - now.Sub(r.started) // by the clock on the wall, less what has really passed
	back := r.stepped - stepped
	r.stepped = stepped
	r.mu.Unlock()
	if back < r.opts.Lease {
		return nil
	}
	r.opts.Log.Warn("the clock was set back; what waits is done as soon as before", "by", back.Round(time.Second).String())
	return r.put(ctx, now, back)
}

func (r *Runner) put(ctx context.Context, now time.Time, back time.Duration) error {
	return r.q.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("jobs"); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE job SET due = due - ? WHERE failed = 0 AND due > ? AND kind IN (`+r.marks+`)`, append([]any{back.Microseconds(), db.Micros(now)}, r.kinds...)...)
		return err
	})
}

// do runs a job and settles it.
func (r *Runner) do(ctx context.Context, j *job) {
	r.note(j, true)
	defer r.note(j, false)
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var keep sync.WaitGroup
	keep.Go(func() { r.keep(ctx, inner, cancel, j) })
	err := r.run(inner, j)
	cancel()
	keep.Wait()
	if serr := r.settle(context.WithoutCancel(ctx), j, err); serr != nil {
		r.opts.Log.Error("a job could not be settled; it will be done again", "kind", j.kind, "error", serr)
	}
}

func (r *Runner) run(ctx context.Context, j *job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fault.New(fault.Internal, "do job", j.kind, "it panicked")
		}
	}()
	return r.handlers[j.kind](ctx, j.key, j.payload)
}

// keep extends the lease while the job runs. It ends the job's context when the lease is another's or the process has waited for it long enough.
func (r *Runner) keep(run, ctx context.Context, cancel context.CancelFunc, j *job) {
	t := time.NewTicker(r.opts.Lease / 3)
	defer t.Stop()
	stopping, late := run.Done(), (<-chan time.Time)(nil)
	for {
		select {
		case <-ctx.Done():
			return
		case <-stopping:
			stopping = nil
			drain := time.NewTimer(r.opts.Drain)
			defer drain.Stop()
			late = drain.C
			continue
		case <-late:
			cancel()
			return
		case <-t.C:
		}
		held := true
		err := r.q.d.Write(ctx, func(tx *db.Tx) error {
			res, err := tx.Exec(`UPDATE job SET lease = ? WHERE kind = ? AND key = ? AND owner = ?`, db.Micros(time.Now().Add(r.opts.Lease)), j.kind, j.key, r.owner)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			held = n == 1
			return db.Fault("extend lease", err)
		})
		if err != nil && ctx.Err() == nil {
			r.opts.Log.Warn("a lease could not be extended", "kind", j.kind, "error", err)
		}
		if err == nil && !held {
			r.opts.Log.Warn("a lease ran out; the job is another process's", "kind", j.kind)
			cancel()
			return
		}
	}
}

// settle takes a finished job out, or puts it back.
func (r *Runner) settle(ctx context.Context, j *job, failed error) error {
	return r.q.d.Write(ctx, func(tx *db.Tx) error {
		if failed == nil {
			res, err := tx.Exec(`DELETE FROM job WHERE kind = ? AND key = ? AND owner = ? AND asked = ?`, j.kind, j.key, r.owner, j.asked)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n == 1 {
				return err
			}
			// Asked for again meanwhile, or no longer ours.
			_, err = tx.Exec(`UPDATE job SET lease = 0, owner = '' WHERE kind = ? AND key = ? AND owner = ?`, j.kind, j.key, r.owner)
			return err
		}
		given := int64(0)
		if j.attempts >= int64(r.opts.Attempts) {
			given = 1
		}
		pause := r.opts.Backoff
		for range min(j.attempts-1, 20) {
			pause = min(2*pause, time.Hour)
		}
		if given == 1 {
			pause = 0 // from then on, due says when it was given up
		}
		// The kind of the fault alone: a cause may quote what it was about.
		why := fmt.Sprintf("attempt %d: %s", j.attempts, fault.KindOf(failed))
		level, what := slog.LevelWarn, "a job failed"
		if given == 1 {
			level, what = slog.LevelError, "a job is given up: it failed each time"
		}
		r.opts.Log.Log(ctx, level, what, "kind", j.kind, "attempts", j.attempts, "error", failed)
		_, err := tx.Exec(`UPDATE job SET lease = 0, owner = '', due = ?, failed = ?, error = ? WHERE kind = ? AND key = ? AND owner = ? AND asked = ?`,
			db.Micros(time.Now().Add(pause)), given, why, j.kind, j.key, r.owner, j.asked)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE job SET lease = 0, owner = '' WHERE kind = ? AND key = ? AND owner = ?`, j.kind, j.key, r.owner)
		return err
	})
}
