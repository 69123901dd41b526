package node

import (
	"context"

	accessflow "github.com/vitrine-imaging/vitrine/internal/flow/access"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// openAccess opens where data are asked for and permitted, after the queue of mails.
func (n *Node) openAccess(ctx context.Context) error {
	s := n.Stores
	rows, err := record.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	entries, err := directory.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	n.Access, err = accessflow.New(accessflow.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Jobs: n.queue, Collections: s.Collections, Identity: s.Identity, Entries: entries, Access: rows, Mail: n.Mail, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	return n.Access.Schedule(ctx)
}
