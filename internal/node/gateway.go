package node

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	forwardflow "github.com/vitrine-imaging/vitrine/internal/flow/forward"
	"github.com/vitrine-imaging/vitrine/internal/flow/gateway"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/forward"
)

// openGateway makes the node a gateway, where it is to be one: before anything is received.
func (n *Node) openGateway(ctx context.Context) error {
	s := n.Stores
	rows, err := forward.OpenRecord(ctx, s.DB)
	if err != nil {
		return err
	}
	if n.cfg.Gateway == nil {
		if _, err := rows.Line(ctx, gateway.Line); !fault.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.New(fault.Conflict, "open node", "the data folder", "it is a gateway's: start it with vitrine gateway, or what it receives goes nowhere")
			}
			return err
		}
		return nil
	}
	n.Gateway, err = gateway.New(*n.cfg.Gateway, gateway.Parts{DB: s.DB, Ring: s.Ring, Audit: s.Audit, Collections: s.Collections, Record: rows, Log: n.cfg.Log})
	if err != nil {
		return err
	}
	return n.Gateway.Settle(ctx)
}

// openForward makes what sends on, behind the spine.
func (n *Node) openForward() {
	n.Forward = forwardflow.New(forwardflow.Parts{DB: n.Stores.DB, Custody: n.Custody, Catalogue: n.Stores.Catalogue, Record: n.Gateway.Record, Log: n.cfg.Log, Line: gateway.Line, Bytes: n.cfg.Gateway.Bytes})
	n.Forward.Transport = n.Gateway.Transport(n.Forward.Limited)
}

// admitted has what is admitted sent on: to other archives by forwarding rules, and from a gateway to its node.
func (n *Node) admitted() func(*db.Tx, catalogue.Due) error {
	note := n.Stores.noter()
	return func(tx *db.Tx, d catalogue.Due) error {
		if err := note.Moved(tx, d.Collection, d.UID, policy.Admitted); err != nil {
			return err
		}
		if n.Gateway == nil || d.Collection != n.cfg.Gateway.Collection {
			return nil
		}
		return n.Forward.Ask(tx, d)
	}
}

// standing says how what is sent to the node stands; nil: this is no gateway.
func (n *Node) standing() func(ctx context.Context) (*status.Gateway, error) {
	if n.Gateway == nil {
		return nil
	}
	return func(ctx context.Context) (*status.Gateway, error) {
		s, err := n.Forward.Standing(ctx)
		if err != nil {
			return nil, err
		}
		c, err := n.Stores.Collections.Get(ctx, s.Collection)
		if err != nil {
			return nil, err
		}
		p, err := n.Stores.Collections.Cleaning(ctx, c)
		if err != nil {
			return nil, err
		}
		held, err := n.Stores.Catalogue.WaitingCounts(ctx)
		if err != nil {
			return nil, err
		}
		waits := held[s.Collection]
		return &status.Gateway{Collection: string(s.Collection), Node: s.Target, Secret: s.Secret, Profile: p.Describe(), Refreshed: admin.When(s.Refreshed), Studies: s.Studies, Instances: s.Waiting,
			Oldest: admin.When(s.Oldest), Succeeded: admin.When(s.Succeeded), Failing: admin.When(s.Failing), Failure: s.Failure, Held: waits.Held + waits.Conflict, Sent: s.Outcomes, Recalls: s.Recalls}, nil
	}
}
