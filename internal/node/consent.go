package node

import (
	"context"
	"log/slog"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
)

// Consent is where people's wishes are handed in. Without a signer no certificate is signed.
func (s *Stores) Consent(ctx context.Context, sign *audit.Signer, log *slog.Logger) (*consentflow.Desk, error) {
	r, err := consent.OpenRecord(ctx, s.DB)
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
	return consentflow.New(consentflow.Parts{DB: s.DB, Ring: s.Ring, Gate: s.Gate, Audit: s.Audit, Signer: sign, Jobs: s.Queue, Collections: s.Collections, Subjects: s.Subjects, Catalogue: s.Catalogue,
		Clinical: facts, Consent: r, Entries: entries, Log: log}), nil
}

// ConsentDesk is [Stores.Consent] with the signer that the master key gives.
func (s *Stores) ConsentDesk(ctx context.Context, log *slog.Logger) (*consentflow.Desk, error) {
	sign, err := signer(s.Ring.Root())
	if err != nil {
		return nil, err
	}
	d, err := s.Consent(ctx, sign, log)
	if err != nil {
		return nil, err
	}
	// Who withdraws is out of every release too, whichever desk is asked.
	r, err := release.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	calls, err := s.hooks(ctx, r)
	if err != nil {
		return nil, err
	}
	withdrawing(d, &releaseflow.Desk{Parts: releaseflow.Parts{Releases: r, Audit: s.Audit, Jobs: s.Queue}}, calls)
	return d, nil
}
