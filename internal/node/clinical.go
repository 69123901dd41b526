package node

import (
	"context"

	clinicalflow "github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
)

// Clinical is where tables of clinical data are handed in.
func (s *Stores) Clinical(ctx context.Context) (*clinicalflow.Desk, error) {
	r, err := clinical.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	return &clinicalflow.Desk{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Collections: s.Collections, Subjects: s.Subjects, Catalogue: s.Catalogue, Clinical: r}, nil
}
