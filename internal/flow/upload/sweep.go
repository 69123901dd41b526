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
		gone, err := f.Uploads.Expired(ctx, time.Now(), sweepPage)
		if err != nil {
			return err
		}
		abandoned := int64(0)
		for _, u := range gone {
			if u.Fate == "" {
				abandoned++
			}
		}
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			for _, u := range gone {
				if err := f.Uploads.Remove(tx, u.ID); err != nil {
					return err
				}
			}
			if abandoned == 0 {
				return nil
			}
			return f.Audit.Append(tx, audit.Entry{Actor: "node", Action: "remove uploads", Object: "uploads that nobody went on with", Outcome: fmt.Sprintf("removed %d", abandoned)})
		})
		if err != nil {
			return err
		}
		for _, u := range gone {
			f.forget(u.ID)
			f.clear(u.ID)
		}
		if len(gone) < sweepPage {
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
	return f.DB.Write(ctx, func(tx *db.Tx) error { return f.Uploads.RemoveEmpty(tx, time.Now().Add(-f.Limits.Told)) })
}
