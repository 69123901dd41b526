package node

import (
	"context"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/internal/base/spool"
	uploadflow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// openUploads opens what takes files that come in pieces. The pieces lie in the data folder, apart from the packs.
func (n *Node) openUploads(ctx context.Context) error {
	s := n.Stores
	pieces, err := spool.Open(filepath.Join(n.cfg.Data, "spool"))
	if err != nil {
		return err
	}
	rows, err := upload.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Uploads, err = uploadflow.New(uploadflow.Parts{DB: s.DB, Audit: s.Audit, Jobs: n.queue, Root: s.Ring.Root(), Spool: pieces, Uploads: rows, Catalogue: s.Catalogue, Custody: n.Custody,
		Log: n.cfg.Log, Limits: n.cfg.Uploads})
	if err != nil {
		return err
	}
	return n.Uploads.Schedule(ctx)
}
