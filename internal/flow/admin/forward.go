package admin

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
)

// ForwardView is a forwarding rule, and how it stands.
type ForwardView struct {
	Peer       string     `json:"aet"`
	Collection string     `json:"collection"`
	What       string     `json:"what"` // "released", or "admitted": then both
	Created    *time.Time `json:"created,omitempty"`
	Sent       int64      `json:"sent"`             // instances delivered
	Waiting    int64      `json:"waiting"`          // studies of which something may have to go
	Tried      *time.Time `json:"tried,omitempty"`  // when last
	Failures   int64      `json:"failures"`         // passes in a row that left something
	Reason     string     `json:"reason,omitempty"` // why: peer-does-not-answer and others of transfer.Unreached, not-taken, peer-unknown, not-readable
}

// ViewForward shows a rule.
func ViewForward(r forwarding.Rule) ForwardView {
	return ForwardView{Peer: string(r.Peer), Collection: string(r.Collection), What: r.Stage.String(), Created: When(r.Created), Sent: r.Sent, Waiting: r.Waiting, Tried: When(r.Tried),
		Failures: r.Failures, Reason: r.Reason}
}

// Rule reads what a view asks for.
func (v *ForwardView) Rule() (k forwarding.Key, stage policy.State, err error) {
	if k.Peer, err = collection.ParseAETitle(v.Peer); err != nil {
		return k, stage, err
	}
	if k.Collection, err = collection.ParseID(v.Collection); err != nil {
		return k, stage, err
	}
	switch v.What {
	case "", policy.Released.String():
		return k, policy.Released, nil
	case policy.Admitted.String():
		return k, policy.Admitted, nil
	}
	return k, stage, fault.New(fault.Invalid, "forward collection", "", "what is released or what is admitted can be forwarded")
}

// Forward has a copy of what a collection releases, or admits, sent to a registered peer, beginning with what it has already.
func (d *Desk) Forward(ctx context.Context, who Caller, k forwarding.Key, stage policy.State) (rule forwarding.Rule, err error) {
	const attempt = "forward collection"
	object := "peer " + string(k.Peer)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return rule, err
	}
	p, err := d.Identity.Peer(ctx, k.Peer)
	if err != nil {
		return rule, err
	}
	if _, err := d.Collections.Get(ctx, k.Collection); err != nil {
		return rule, err
	}
	if p.Collection != policy.AllCollections && p.Collection != string(k.Collection) {
		return rule, fault.New(fault.Invalid, attempt, object, "the peer is registered for another collection")
	}
	err = d.change(ctx, who, attempt, object+" is sent what is "+stage.String(), string(k.Collection), func(tx *db.Tx) (err error) {
		if rule, err = d.Forwarding.Add(tx, k, stage); err != nil {
			return err
		}
		return d.Begin(tx, k)
	})
	return rule, err
}

// Forwards lists the forwarding rules and how they stand.
func (d *Desk) Forwards(ctx context.Context, who Caller) ([]forwarding.Rule, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, "peers"); err != nil {
		return nil, err
	}
	return d.Forwarding.Rules(ctx)
}

// maxGone is how many instances are listed, and noted, at a time.
const maxGone = 10_000

// GoneView is what a peer has of a study and is out of sight here.
type GoneView struct {
	Peer       string   `json:"peer"`
	Collection string   `json:"collection"`
	Study      string   `json:"study"`
	Instances  []string `json:"instances"` // SOP Instance UIDs
}

// Gone lists what registered peers were sent by rules and is out of sight here by now, and of which nobody has said that they were told.
func (d *Desk) Gone(ctx context.Context, who Caller) ([]GoneView, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, "peers"); err != nil {
		return nil, err
	}
	all, _, err := d.Forwarding.Gone(ctx, maxGone)
	return viewGone(all), err
}

func viewGone(all []forwarding.Gone) []GoneView {
	views := make([]GoneView, len(all))
	for i, g := range all {
		views[i] = GoneView{Peer: string(g.Peer), Collection: string(g.Collection), Study: string(g.Study)}
		for _, u := range g.Instances {
			views[i].Instances = append(views[i].Instances, string(u))
		}
	}
	return views
}

// ToldPeer notes that the caller has told whoever keeps a peer of what is out of sight, and says of what: something may have come to be out of sight since it was listed.
func (d *Desk) ToldPeer(ctx context.Context, who Caller, k forwarding.Key) (noted []GoneView, err error) {
	object := "peer " + string(k.Peer)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return nil, err
	}
	if _, err := d.Forwarding.Rule(ctx, k); err != nil {
		return nil, err
	}
	err = d.change(ctx, who, "tell peer what is out of sight", object, string(k.Collection), func(tx *db.Tx) error {
		all, _, err := d.Forwarding.Told(tx, k, maxGone)
		noted = viewGone(all)
		return err
	})
	return noted, err
}

// EndForward ends a rule. What the peer has it keeps.
func (d *Desk) EndForward(ctx context.Context, who Caller, k forwarding.Key) error {
	object := "peer " + string(k.Peer)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManagePeers}, object); err != nil {
		return err
	}
	return d.change(ctx, who, "end forwarding", object, string(k.Collection), func(tx *db.Tx) error { return d.Forwarding.Remove(tx, k) })
}
