package node

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

// archivePatience is how long an archive may say nothing: many tell no progress of a C-MOVE before its end.
const archivePatience = 30 * time.Minute

// pullers is how many pulls are worked on at a time.
const pullers = 2

// openPulls opens what collects images from other archives. Its work takes long, so it does not share the runner of the other jobs, and is
// broken off when the node ends: it goes on where it was.
func (n *Node) openPulls(ctx context.Context) error {
	s := n.Stores
	rows, err := pull.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Pulls, err = pullflow.New(pullflow.Parts{DB: s.DB, Audit: s.Audit, Jobs: n.queue, Root: s.Ring.Root(), Pulls: rows, Collections: s.Collections, Identity: s.Identity, Custody: n.Custody,
		Dial: (&transfer.Sender{TLS: n.secure, Patience: archivePatience}).Dial, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.pulling = jobs.NewRunner(n.queue, n.tracedJobs(n.Pulls.Handlers()), jobs.Options{Workers: pullers, Drain: time.Millisecond, Log: n.cfg.Log})
	return n.Pulls.Schedule(ctx)
}

// Pulls opens the desk of what is collected from other archives, beside a node that does the work.
func (r *Records) Pulls(ctx context.Context, cfg Config, use func(*pullflow.Desk) error) error {
	rows, err := pull.OpenRecord(ctx, r.DB)
	if err != nil {
		return err
	}
	queue, err := jobs.Open(ctx, r.DB)
	if err != nil {
		return err
	}
	return r.withKeys(ctx, cfg, func(ring *keys.Ring, _ *db.DB) error {
		d, err := pullflow.New(pullflow.Parts{DB: r.DB, Audit: r.Audit, Jobs: queue, Root: ring.Root(), Pulls: rows, Collections: r.Collections, Identity: r.Identity})
		if err != nil {
			return err
		}
		return use(d)
	})
}
