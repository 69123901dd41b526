package upload

import (
	"context"
	"fmt"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// jobSweep removes what nobody goes on with.
const jobSweep = "sweep uploads"

// keepHolders is how long after a link's end it is known whom it was made for.
const keepHolders = 90 * 24 * time.Hour

// pages of what is swept in one transaction
const sweepPage = 500

// Schedule asks for the sweep.
func (f *Flow) Schedule(ctx context.Context) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error { return f.Jobs.Add(tx, jobSweep, "all", nil, time.Now()) })
}

// Handlers are the jobs that are done here.
func (f *Flow) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobSweep: func(ctx context.Context, _ string, _ []byte) error {
		if err := f.Sweep(ctx); err != nil {
			return err
		}
		return f.DB.Write(ctx, func(tx *db.Tx) error {
			return f.Jobs.Add(tx, jobSweep, "all", nil, time.Now().Add(max(f.Limits.Quiet/3, time.Second)))
		})
	}}
}

// Sweep removes uploads whose time has come and pieces that belong to none, and ends batches that have fallen quiet.
func (f *Flow) Sweep(ctx context.Context) error {
	for {
		now := time.Now()
		due, err := f.Uploads.Expired(ctx, now, sweepPage)
		if err != nil {
			return err
		}
		// What somebody works on at this moment goes on.
		var gone []string
		var turns []func()
		for _, u := range due {
			if release, idle := f.idle(u.ID); idle {
				gone, turns = append(gone, u.ID), append(turns, release)
			}
		}
		gone, err = f.expire(ctx, gone, now)
		for _, id := range gone {
			f.forget(id)
			f.clear(id)
		}
		for _, release := range turns {
			release()
		}
		if err != nil {
			return err
		}
		if len(due) < sweepPage || len(gone) == 0 {
			break
		}
	}
	there, err := f.Spool.List()
	if err != nil {
		return err
	}
	for _, id := range there {
		f.mu.Lock()
		busy := f.arriving[id.String()] != nil
		f.mu.Unlock()
		if busy {
			continue
		}
		row, err := f.Uploads.Upload(ctx, id.String())
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err != nil || row.Fate != "" {
			f.clear(id.String())
		}
	}
	quiet, err := f.Uploads.Quiet(ctx, time.Now().Add(-f.Limits.Quiet), sweepPage)
	if err != nil {
		return err
	}
	for _, id := range quiet {
		if err := f.end(ctx, id); err != nil {
			return err
		}
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.Uploads.ForgetHolders(tx, time.Now().Add(-keepHolders)); err != nil {
			return err
		}
		return f.Uploads.RemoveEmpty(tx, time.Now().Add(-f.Limits.Told))
	})
}

// expire forgets those of these uploads whose time has come, and says which those are.
func (f *Flow) expire(ctx context.Context, ids []string, now time.Time) (gone []string, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		gone = gone[:0]
		abandoned := 0
		for _, id := range ids {
			there, arriving, err := f.Uploads.Expire(tx, id, now)
			if err != nil {
				return err
			}
			if there {
				gone = append(gone, id)
			}
			if arriving {
				abandoned++
			}
		}
		if abandoned == 0 {
			return nil
		}
		return f.Audit.Append(tx, audit.Entry{Actor: "node", Action: "remove uploads", Object: "uploads that nobody went on with", Outcome: fmt.Sprintf("removed %d", abandoned)})
	})
	if err != nil {
		gone = nil
	}
	return gone, err
}

// idle takes the turn to work on an upload if nobody has it.
func (f *Flow) idle(id string) (release func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.arriving[id]
	if p == nil {
		p = &piece{turn: make(chan struct{}, 1)}
		f.arriving[id] = p
	}
	select {
	case p.turn <- struct{}{}:
	default:
		return nil, false
	}
	return func() {
		f.mu.Lock()
		if f.arriving[id] == p && !p.known {
			delete(f.arriving, id) // made for the turn alone
		}
		f.mu.Unlock()
		<-p.turn
	}, true
}
