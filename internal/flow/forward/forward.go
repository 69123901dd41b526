// Package forward sends what is admitted here on to somewhere else, until it is there.
//
// It promises: a study that is admitted is sent, in the order of admission, its instances in theirs; what fails is tried again, later and later, for as long as it takes, across restarts; what
// the other side has said to have taken is noted, and not sent again unless it was cleaned anew; what the other side refuses is noted with its reason, and keeps nothing behind it waiting.
// What is held, or was taken out of sight since, is not sent; of what was sent before, the other side is told.
//
// How it is sent is a [Transport]'s affair. A gateway's sends over HTTPS to its node (package gateway).
//
// The queue is a table of its own, not the table of jobs: docs/decisions/0011-gateway.md says why.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/forward"
)

// Transport sends instances somewhere.
type Transport interface {
	// Begin is asked before the instances of a study are sent.
	Begin(ctx context.Context, s forward.Study) (Session, error)
	// Recall has the other side hold instances in which something was found after they were sent.
	Recall(ctx context.Context, uids []catalogue.SOPUID) error
}

// Session sends the instances of one study. Several are sent at a time.
type Session interface {
	// Send gives one instance over, and says what became of it once the other side has it on stable storage. ordinal is its place in the session, from 1. An error says that it is to
	// be sent again: with [Failure], why.
	Send(ctx context.Context, o *custody.Outgoing, ordinal int64) (Fate, error)
	// End says that no more of the study comes now.
	End(ctx context.Context) error
}

// Fate is what became of an instance at the other side.
type Fate struct {
	Outcome string // kept, held, duplicate, conflict, refused
	Reasons []catalogue.Reason
}

// Failure says why nothing can be sent now, in a word for the status and metrics.
type Failure struct {
	Code string // unreachable, certificate, token, denied, closed, full, busy, protocol
	Err  error
}

func (f *Failure) Error() string { return f.Code + ": " + f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Parts are what the flow works with.
type Parts struct {
	DB        *db.DB
	Custody   *custody.Custody
	Catalogue *catalogue.Record
	Record    *forward.Record
	Log       *slog.Logger

	Line      string // its name
	Transport Transport
	Bytes     int64         // that are sent in a second at most; 0: as many as can be
	First     time.Duration // the wait after the first failure; default a second
	Longest   time.Duration // the longest; default two minutes
}

// Flow is one line. It is safe for use by many goroutines.
type Flow struct {
	Parts
	limit *rate.Limiter // nil: none
	again chan struct{}

	mu      sync.Mutex
	failing time.Time // zero: it is not
	failure string
	bytes   int64 // sent by this process
}

// atOnce is how many instances of a study are on their way at a time: the other side makes them stable together.
const atOnce = 4

// burst is what may go at once where a limit is set.
const burst = 64 << 10

// New makes the flow.
func New(p Parts) *Flow {
	if p.First <= 0 {
		p.First = time.Second
	}
	if p.Longest <= 0 {
		p.Longest = 2 * time.Minute
	}
	f := &Flow{Parts: p, again: make(chan struct{}, 1)}
	if p.Bytes > 0 {
		f.limit = rate.NewLimiter(rate.Limit(p.Bytes), burst)
	}
	return f
}

// Ask has a study that is admitted sent on, in the transaction that admits it.
func (f *Flow) Ask(tx *db.Tx, d catalogue.Due) error {
	return f.Record.Ask(tx, f.Line, forward.Study{Study: d.Study, Collection: d.Collection, UID: d.UID, Subject: d.Subject})
}

// Again has what waits tried at once.
func (f *Flow) Again() {
	select {
	case f.again <- struct{}{}:
	default:
	}
}

// poll is how often to look for what no signal told of.
const poll = 30 * time.Second

// Run sends until ctx ends. What the other side has refused is tried once more first: whoever has mended something starts the gateway again.
func (f *Flow) Run(ctx context.Context) error {
	if err := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Record.Again(tx, f.Line) }); err != nil && ctx.Err() == nil {
		f.Log.Error("what was refused cannot be tried again", "error", err)
	}
	wait := f.First
	for {
		more := f.Record.Signalled()
		err := f.all(ctx)
		if ctx.Err() != nil {
			return nil
		}
		pause := poll
		if err != nil {
			f.failed(err)
			pause = wait/2 + rand.N(wait/2+1)
			wait = min(2*wait, f.Longest)
			more = nil // more of it would fail too
		} else {
			wait = f.First
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-more:
		case <-f.again:
		case <-t.C:
		}
		t.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// recalls are told at a time.
const recalls = 500

// recall tells of what was sent and is held here by now. It goes before anything else.
func (f *Flow) recall(ctx context.Context) error {
	for {
		all, err := f.Record.Recalls(ctx, f.Line, recalls)
		if err != nil || len(all) == 0 {
			return err
		}
		uids := make([]catalogue.SOPUID, len(all))
		for i, s := range all {
			uids[i] = s.UID
		}
		if err := f.Transport.Recall(ctx, uids); err != nil {
			return err
		}
		f.Log.Warn("something was found in what was sent on: the other side holds it now", "line", f.Line, "instances", len(all))
		if err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return f.Record.Recalled(tx, f.Line, all) }); err != nil {
			return err
		}
	}
}

// all sends what waits, until nothing does or it fails.
func (f *Flow) all(ctx context.Context) error {
	if err := f.recall(ctx); err != nil {
		return err
	}
	for {
		waiting, err := f.Record.Waiting(ctx, f.Line, 1)
		if err != nil || len(waiting) == 0 {
			return err
		}
		if err := f.study(ctx, waiting[0]); err != nil {
			return err
		}
	}
}

// inSight is what is sent.
var inSight = []policy.State{policy.Admitted, policy.Released}

// study sends what of a study is not there yet.
func (f *Flow) study(ctx context.Context, s forward.Study) (failed error) {
	sent, err := f.Record.SentOf(ctx, f.Line, s.Study)
	if err != nil {
		return err
	}
	var rows []catalogue.Located
	for l, err := range f.Catalogue.Locate(ctx, catalogue.Where{Scopes: []policy.Scope{{Collection: string(s.Collection), States: inSight}}, Collection: s.Collection, Study: s.UID}) {
		if err != nil {
			return err
		}
		if ref, ok := sent[l.ID]; !ok || ref != l.Ref {
			rows = append(rows, l)
		}
	}
	if len(rows) > 0 {
		session, err := f.Transport.Begin(ctx, s)
		if err != nil {
			return err
		}
		err = f.instances(ctx, session, rows)
		// What came of a study may be looked at there, also if not all did.
		if eerr := session.End(context.WithoutCancel(ctx)); err == nil {
			err = eerr
		}
		if err != nil {
			return err
		}
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error { _, err := f.Record.Done(tx, f.Line, s); return err })
}

// instances sends them, a few at a time.
func (f *Flow) instances(ctx context.Context, session Session, rows []catalogue.Located) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type item struct {
		row     catalogue.Located
		ordinal int64
	}
	work := make(chan item)
	var wg sync.WaitGroup
	for range min(atOnce, len(rows)) {
		wg.Go(func() {
			for it := range work {
				if err := f.instance(ctx, session, it.row, it.ordinal); err != nil {
					cancel(err)
				}
			}
		})
	}
send:
	for i, row := range rows {
		select {
		case work <- item{row, int64(i) + 1}:
		case <-ctx.Done():
			break send
		}
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// instance sends one, and notes what became of it.
func (f *Flow) instance(ctx context.Context, session Session, l catalogue.Located, ordinal int64) error {
	o, err := f.Custody.Outgoing(ctx, l)
	switch {
	case fault.Is(err, fault.Denied), fault.Is(err, fault.Conflict):
		return nil // withdrawn, or taken out of sight: nothing of it leaves
	case fault.Is(err, fault.Corrupt), fault.Is(err, fault.NotFound):
		f.Log.Error("an instance cannot be read, and is not sent on", "instance", l.ID, "error", err)
		return f.note(ctx, l, Fate{Outcome: "unreadable"})
	case err != nil:
		return err
	}
	defer o.Close()
	fate, err := session.Send(ctx, o, ordinal)
	if err != nil {
		return err
	}
	f.recovered(l.HeadSize + l.BulkSize)
	return f.note(ctx, l, fate)
}

func (f *Flow) note(ctx context.Context, l catalogue.Located, fate Fate) error {
	switch fate.Outcome {
	case "kept", "duplicate":
	default:
		f.Log.Warn("an instance that was sent on is not kept in sight there", "instance", l.ID, "outcome", fate.Outcome, "reasons", codes(fate.Reasons))
	}
	return f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		return f.Record.Note(tx, f.Line, forward.Sent{Instance: l.ID, Study: l.StudyID, Subject: l.Subject, Ref: l.Ref, UID: l.SOP, Outcome: fate.Outcome, Reasons: fate.Reasons})
	})
}

func codes(reasons []catalogue.Reason) []string {
	all := make([]string, len(reasons))
	for i, r := range reasons {
		all[i] = r.Code
	}
	return all
}

// recovered notes that something got through.
func (f *Flow) recovered(bytes int64) {
	f.mu.Lock()
	was := f.failing
	f.failing, f.failure, f.bytes = time.Time{}, "", f.bytes+bytes
	f.mu.Unlock()
	if !was.IsZero() {
		f.Log.Info("what waits is sent on again", "line", f.Line, "after", time.Since(was).Round(time.Second))
	}
}

func (f *Flow) failed(err error) {
	code := "local"
	if x, ok := errors.AsType[*Failure](err); ok {
		code = x.Code
	}
	f.mu.Lock()
	told := f.failure == code
	if f.failing.IsZero() {
		f.failing = time.Now()
	}
	f.failure = code
	f.mu.Unlock()
	level := slog.LevelWarn
	if told { // once for each kind of failure
		level = slog.LevelDebug
	}
	f.Log.Log(context.Background(), level, "what waits cannot be sent on now; it is tried again", "line", f.Line, "why", code, "error", err)
}

// Standing is how a line stands.
type Standing struct {
	forward.Line
	forward.Tally
	Failing time.Time // since when nothing gets through; zero: it does, or nothing was tried
	Failure string    // why
	Bytes   int64     // sent since the process began
}

// Standing says how the line stands.
func (f *Flow) Standing(ctx context.Context) (s Standing, err error) {
	if s.Line, err = f.Record.Line(ctx, f.Parts.Line); err != nil {
		return s, err
	}
	if s.Tally, err = f.Record.Tally(ctx, f.Parts.Line); err != nil {
		return s, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Failing, s.Failure, s.Bytes = f.failing, f.failure, f.bytes
	return s, nil
}

// Limited is a reader of what is sent that goes no faster than the line may.
func (f *Flow) Limited(ctx context.Context, r io.Reader) io.Reader {
	if f.limit == nil {
		return r
	}
	return &limited{ctx, f.limit, r}
}

type limited struct {
	ctx   context.Context
	limit *rate.Limiter
	r     io.Reader
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), burst)])
	if n > 0 {
		if werr := l.limit.WaitN(l.ctx, n); werr != nil {
			return n, fmt.Errorf("wait to send: %w", werr)
		}
	}
	return n, err
}
