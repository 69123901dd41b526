package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
)

// Reidentify is where two people together are told who a subject is.
func (s *Stores) Reidentify(ctx context.Context) (*reidentify.Desk, error) {
	q, err := reidentification.OpenRequests(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	return &reidentify.Desk{DB: s.DB, Audit: s.Audit, Collections: s.Collections, Subjects: s.Subjects, Identity: s.Identity, Vault: s.Identities, Requests: q}, nil
}
