package node

import (
	"context"
	"log/slog"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
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
	people.Withdrawn = d.Withdrawn
	return d, nil
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
