package node

import (
	"context"
	"log/slog"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	recallflow "github.com/vitrine-imaging/vitrine/internal/flow/recall"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Releases is where releases are made and given. Who withdraws at the desk of consent is out of every release.
func (s *Stores) Releases(ctx context.Context, version string, sign *audit.Signer, people *consentflow.Desk, count *directoryflow.Desk, give *delivery.Delivery, log *slog.Logger) (*releaseflow.Desk, error) {
	r, err := release.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	facts, err := clinical.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	entries, err := directory.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	d := releaseflow.New(releaseflow.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Jobs: s.Queue, Collections: s.Collections, Subjects: s.Subjects, Catalogue: s.Catalogue, Clinical: facts, Entries: entries, Releases: r,
		Delivery: give, Log: log, Software: version, Standings: people.Standings, Standing: people.StandingOf, Risk: count.Risk, Statement: s.Proofs(version, sign, count.Risk).Sign})
	calls, err := s.hooks(ctx, r)
	if err != nil {
		return nil, err
	}
	d.Buried = calls.Buried
	withdrawing(people, d, calls)
	return d, nil
}

// hooks is what calls copies back as part of what others do.
func (s *Stores) hooks(ctx context.Context, r *release.Record) (*recallflow.Desk, error) {
	rows, err := recall.OpenRecord(ctx, s.DB)
	return &recallflow.Desk{Parts: recallflow.Parts{Recalls: rows, Releases: r}}, err
}

// withdrawing has whoever withdraws at a desk out of every release, and copies called back, in that transaction.
func withdrawing(people *consentflow.Desk, releases *releaseflow.Desk, calls *recallflow.Desk) {
	people.Withdrawn = func(tx *db.Tx, s subject.Subject) error {
		if err := releases.Withdrawn(tx, s); err != nil {
			return err
		}
		return calls.Withdrawn(tx, s)
	}
	people.Copies = calls.Copies
}

// openRecalls opens where copies are called back, after access and releases.
func (n *Node) openRecalls(ctx context.Context, sign *audit.Signer) error {
	s := n.Stores
	rows, err := recall.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Recalls, err = recallflow.New(recallflow.Parts{DB: s.DB, Root: s.Ring.Root(), Audit: s.Audit, Signer: sign, Jobs: n.queue, Recalls: rows, Releases: n.Releases.Releases, Access: n.Access, Identity: s.Identity, Mail: n.Mail, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	n.Access.Overdue = n.Recalls.Overdue
	return n.Recalls.Schedule(ctx)
}

// ReleaseDesk is [Stores.Releases] for a command beside a node: with desks of its own, and nobody entitled to anything.
func (s *Stores) ReleaseDesk(ctx context.Context, version string) (*releaseflow.Desk, error) {
	sign, err := signer(s.Ring.Root())
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	people, err := s.Consent(ctx, sign, log)
	if err != nil {
		return nil, err
	}
	count, err := s.Directory(ctx, s.Queue)
	if err != nil {
		return nil, err
	}
	give := delivery.New(delivery.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Collections: s.Collections, Gate: s.Gate, Catalogue: s.Catalogue})
	return s.Releases(ctx, version, sign, people, count, give, log)
}
