package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// MayManage reports whether the caller manages a collection.
func MayManage(who Caller, id collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ManageCollection, Collection: string(id)}).Allow
}

// Settings are what may be changed of a collection with a word. Its id stays what it is; its profile is changed by [Desk.PutProfile].
// What is nil stays as it is.
type Settings struct {
	Title   *string
	AETitle *collection.AETitle // empty: it is not reached by DICOM
	Open    *bool               // whether it takes deposits

	NoAutomaticAcceptance *bool // whether images wait for a person although what was found in their pixels could be painted over
}

// ChangeCollection changes what is given of a collection's settings.
func (d *Desk) ChangeCollection(ctx context.Context, who Caller, id collection.ID, s Settings) error {
	object := "collection " + string(id)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageCollection, Collection: string(id)}, object); err != nil {
		return err
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return err
	}
	before := c
	if s.Title != nil {
		c.Title = strings.Join(strings.Fields(*s.Title), " ")
	}
	if s.AETitle != nil {
		c.AETitle = *s.AETitle
	}
	if s.Open != nil {
		c.State = collection.Closed
		if *s.Open {
			c.State = collection.Open
		}
	}
	if s.NoAutomaticAcceptance != nil {
		c.NoAutomaticAcceptance = *s.NoAutomaticAcceptance
	}
	err = d.change(ctx, who, "change collection", object, string(id), func(tx *db.Tx) error {
		if err := d.Collections.Update(tx, c); err != nil || c.NoAutomaticAcceptance == before.NoAutomaticAcceptance {
			return err
		}
		what := "have images accepted automatically"
		if c.NoAutomaticAcceptance {
			what = "have no image accepted automatically"
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: what, Object: object, Collection: string(id), Outcome: "done"})
	})
	d.Collections.Forget(id, before.AETitle, c.AETitle)
	return err
}

// Member is somebody with a role that covers a collection.
type Member struct {
	Name     string
	ID       string
	Role     policy.Role
	Every    bool // in all collections
	Disabled bool
}

// Members lists who has which role in a collection, for who manages it.
func (d *Desk) Members(ctx context.Context, who Caller, id collection.ID) ([]Member, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.ManageCollection, Collection: string(id)}, "collection "+string(id)); err != nil {
		return nil, err
	}
	if _, err := d.Collections.Get(ctx, id); err != nil {
		return nil, err
	}
	all, err := d.Identity.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, a := range all {
		for _, g := range a.Grants {
			if g.Collection == string(id) || g.Collection == policy.AllCollections {
				out = append(out, Member{a.Name, a.ID, g.Role, g.Collection == policy.AllCollections, !a.Disabled.IsZero()})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Member) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Role.String(), b.Role.String())
	})
	return out, nil
}

// Ways are the tokens, SSH keys and DICOM applications that reach a collection.
type Ways struct {
	Tokens []TokenView
	Peers  []PeerView
}

// WaysInto lists what reaches a collection. It is for who manages tokens and peers; to others a fault.Denied.
func (d *Desk) WaysInto(ctx context.Context, who Caller, id collection.ID) (Ways, error) {
	var w Ways
	for _, a := range []policy.Action{policy.ManageTokens, policy.ManagePeers} {
		if r := policy.Decide(policy.Facts{Grants: who.Grants, Action: a}); !r.Allow {
			return w, fault.New(fault.Denied, a.String(), "", strings.Join(r.Reasons, "; "))
		}
	}
	covers := func(c string) bool { return c == string(id) || c == policy.AllCollections }
	tokens, keys, err := d.Tokens(ctx, who)
	if err != nil {
		return w, err
	}
	for _, t := range tokens {
		if covers(t.Collection) {
			w.Tokens = append(w.Tokens, ViewToken(t))
		}
	}
	for _, k := range keys {
		if covers(string(k.Collection)) {
			w.Tokens = append(w.Tokens, ViewSSHKey(k))
		}
	}
	peers, err := d.Peers(ctx, who)
	if err != nil {
		return w, err
	}
	for _, p := range peers {
		if covers(p.Collection) {
			w.Peers = append(w.Peers, ViewPeer(p))
		}
	}
	return w, nil
}
