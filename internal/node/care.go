package node

import (
	"context"

	askflow "github.com/vitrine-imaging/vitrine/internal/flow/ask"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

// Questions is where questions about pages come and go.
func (s *Stores) Questions(ctx context.Context) (*askflow.Desk, error) {
	r, err := question.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	entries, err := directory.OpenRecord(ctx, s.DB)
	if err != nil {
		return nil, err
	}
	return askflow.New(askflow.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Collections: s.Collections, Catalogue: s.Catalogue, Subjects: s.Subjects, Identity: s.Identity,
		Entries: entries, Questions: r}), nil
}
