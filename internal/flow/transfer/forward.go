package transfer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// ForwardKind is the kind of the jobs that forward.
const ForwardKind = "forward"

// Noter notes what has to be forwarded, in the transactions of others. Its zero value notes nothing.
type Noter struct {
	Rules *forwarding.Record
	Jobs  *jobs.Queue
}

// Moved says that something of a study has come into a state: policy.Admitted or policy.Released.
func (n Noter) Moved(tx *db.Tx, c collection.ID, study catalogue.StudyUID, now policy.State) error {
	if n.Rules == nil {
		return nil
	}
	keys, err := n.Rules.Note(tx, c, study, now)
	for _, k := range keys {
		if err == nil {
			err = n.Jobs.Add(tx, ForwardKind, k.String(), nil, time.Now())
		}
	}
	return err
}

// Begin has a new rule done, in the transaction that makes it: for what the collection has already, too.
func (n Noter) Begin(tx *db.Tx, k forwarding.Key) error {
	return n.Jobs.Add(tx, ForwardKind, k.String(), []byte(all), time.Now())
}

const all = "all"

// Forwarder does what forwarding rules say: a copy of what a collection releases, or admits, goes to another archive, until it has it.
type Forwarder struct {
	Sender      *Sender
	DB          *db.DB
	Jobs        *jobs.Queue
	Rules       *forwarding.Record
	Identity    *identity.Record
	Collections *collection.Record
	Catalogue   *catalogue.Record
	Log         *slog.Logger
	Pause       time.Duration // after the first pass that leaves something, doubling to an hour; default a minute
}

// Handlers do the jobs.
func (f *Forwarder) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{ForwardKind: f.pass}
}

// Codes of why something is left, beside those of [Unreached].
const (
	reasonPeerUnknown  = "peer-unknown"
	reasonNotTaken     = "not-taken"
	reasonStorageFault = "not-readable"
)

// pass sends what is noted for a rule. What is left is tried again later, for as long as the rule stands: a job that is given up would be a copy that nobody misses.
func (f *Forwarder) pass(ctx context.Context, key string, payload []byte) error {
	k, err := forwarding.ParseKey(key)
	if err != nil {
		return err
	}
	rule, err := f.Rules.Rule(ctx, k)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && string(payload) == all {
		err = f.wantAll(ctx, rule)
	}
	if err != nil {
		return err
	}
	reason, err := f.studies(ctx, rule)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		f.Log.Error("a forwarding rule could not be done", "error", err)
		reason = reasonStorageFault
	}
	return f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := f.Rules.Tried(tx, k, reason); err != nil || reason == "" {
			return err
		}
		return f.Jobs.Add(tx, ForwardKind, key, nil, time.Now().Add(f.pause(rule.Failures)))
	})
}

func (f *Forwarder) pause(failures int64) time.Duration {
	p := f.Pause
	if p <= 0 {
		p = time.Minute
	}
	for range min(failures, 10) {
		p = min(2*p, time.Hour)
	}
	return p
}

// peer is whom a rule sends to, as policy and the audit log see it.
func (f *Forwarder) peer(rule forwarding.Rule) delivery.Peer {
	role := policy.PeerSentReleased
	if rule.Stage == policy.Admitted {
		role = policy.PeerSentAdmitted
	}
	return delivery.Peer{Caller: delivery.Caller{Actor: "forwarding to " + string(rule.Peer), Grants: []policy.Grant{{Role: role, Collection: string(rule.Collection)}}}, Collection: rule.Collection}
}

// wantAll notes every study that the collection has something of already.
func (f *Forwarder) wantAll(ctx context.Context, rule forwarding.Rule) error {
	const page = 1000
	for offset := 0; ; offset += page {
		q := catalogue.NewQuery(catalogue.Studies)
		q.Scopes = policy.Scopes(f.peer(rule).Grants, policy.Forward, policy.Link{})
		q.Collection, q.Limit, q.Offset = rule.Collection, page, offset
		found, more, err := f.Catalogue.SearchStudies(ctx, q)
		if err != nil {
			return err
		}
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			for _, s := range found {
				if err := f.Rules.Want(tx, rule.Key, s.UID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || !more {
			return err
		}
	}
}

// studies goes through what is noted once, and says why something is left.
func (f *Forwarder) studies(ctx context.Context, rule forwarding.Rule) (reason string, err error) {
	to, err := f.Identity.Peer(ctx, rule.Peer)
	if fault.Is(err, fault.NotFound) || err == nil && to.Collection != policy.AllCollections && to.Collection != string(rule.Collection) {
		return reasonPeerUnknown, nil
	}
	if err != nil {
		return "", err
	}
	c, err := f.Collections.Get(ctx, rule.Collection)
	if err != nil {
		return "", err
	}
	calling := string(c.AETitle)
	if calling == "" {
		calling = string(collection.DefaultAETitle)
	}
	after := catalogue.StudyUID("")
	for {
		next, err := f.Rules.Next(ctx, rule.Key, after, 50)
		if err != nil || len(next) == 0 {
			return reason, err
		}
		for _, w := range next {
			left, err := f.study(ctx, rule, to, calling, w)
			if fault.Is(err, fault.Unavailable) { // the others would not get through either
				return Unreached(err), nil
			}
			if err != nil {
				return "", err
			}
			if left > 0 {
				reason = reasonNotTaken
			}
			after = w.Study
		}
	}
}

// study sends what a study has for the rule and was not delivered yet, and says how many instances are left.
func (f *Forwarder) study(ctx context.Context, rule forwarding.Rule, to identity.Peer, calling string, w forwarding.Wanted) (left int64, err error) {
	as := f.peer(rule)
	items, err := f.Sender.Delivery.List(ctx, as, []delivery.Place{{Study: w.Study}}, policy.Forward, maxStudy)
	if err != nil {
		return 0, err
	}
	ids := make([]catalogue.InstanceID, len(items))
	for i, l := range items {
		ids[i] = l.ID
	}
	have, err := f.Rules.Delivered(ctx, rule.Key, ids)
	if err != nil {
		return 0, err
	}
	todo := items[:0]
	for _, l := range items {
		if !have[l.ID] {
			todo = append(todo, l)
		}
	}
	if len(todo) > 0 {
		var taken []catalogue.InstanceID
		note := func() error {
			if len(taken) == 0 {
				return nil
			}
			err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return f.Rules.Deliver(tx, rule.Key, taken) })
			if err == nil {
				taken = taken[:0]
			}
			return err
		}
		gone := int64(0) // out of sight since they were listed
		delivered := int64(0)
		var noted error
		err = f.Sender.Move(ctx, Batch{To: to, Calling: calling, For: as, Want: policy.Forward, Items: todo, Before: func() bool {
			_, err := f.Rules.Rule(ctx, rule.Key) // whoever ends a rule ends what is under way
			return err == nil
		}, Sent: func(l catalogue.Located, st network.Status, err error) bool {
			switch {
			case err == nil && st.Done():
				delivered++
				if taken = append(taken, l.ID); len(taken) >= noteEach {
					noted = note()
				}
			case fault.Is(err, fault.NotFound):
				gone++
			}
			return noted == nil
		}})
		if noted = errors.Join(noted, note()); noted != nil {
			return 0, noted
		}
		left = int64(len(todo)) - delivered - gone
	}
	if ctx.Err() != nil {
		return left, ctx.Err()
	}
	settled := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Rules.Settle(tx, rule.Key, w, left) })
	if left == 0 {
		err = nil // what broke off had nothing left to say
	}
	return left, errors.Join(settled, err)
}

const (
	maxStudy = 1_000_000 // instances of one study
	noteEach = 100       // deliveries that are noted together: so many may go twice after a crash
)
