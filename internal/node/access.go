package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	accessflow "github.com/vitrine-imaging/vitrine/internal/flow/access"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
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
	n.Access, err = accessflow.New(accessflow.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Jobs: n.queue, Collections: s.Collections, Identity: s.Identity, Entries: entries, Access: rows, Mail: n.Mail, Log: n.cfg.Log, People: s.Who().Known})
	if err != nil {
		return err
	}
	return n.Access.Schedule(ctx)
}

// entitled tells the desk of releases what is known of an account, and by which entitlement each of its grants is.
func (n *Node) entitled(ctx context.Context, account string, want access.Capability, of releaseflow.ReleaseFacts) (access.Facts, []int64, error) {
	f, by, err := n.Access.Facts(ctx, account, want, accessflow.ReleaseFacts(of))
	ids := make([]int64, len(by))
	for i, id := range by {
		ids[i] = int64(id)
	}
	return f, ids, err
}

// person reports somebody with an account that is in force.
func (n *Node) person(ctx context.Context, account string) (bool, error) {
	a, err := n.Stores.Identity.Account(ctx, account)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && a.Disabled.IsZero(), err
}
