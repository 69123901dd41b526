package access

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Use is one line of the public register: who uses which data, for what, from when to when.
type Use struct {
	Organisation string    `json:"organisation"`
	ROR          string    `json:"ror,omitempty"`
	Project      string    `json:"project"`
	Summary      string    `json:"summary"`        // in lay words
	Name         string    `json:"name,omitempty"` // of the applicant, who wanted it there
	Collection   string    `json:"collection"`
	Title        string    `json:"title"`           // of the collection
	Entry        string    `json:"entry,omitempty"` // of the directory
	Dataset      string    `json:"dataset,omitempty"`
	Versions     string    `json:"versions"`
	Capability   string    `json:"capability"`
	From         time.Time `json:"from"`
	Until        time.Time `json:"until"` // or when it was ended
	Current      bool      `json:"current"`
}

// Register lists what data are and were used for, the latest first: of a collection, or with an empty one of every. It is public, and names nobody who did not want it.
func (d *Desk) Register(ctx context.Context, who admin.Caller, c collection.ID, limit, offset int) ([]Use, error) {
	if err := d.allowed(ctx, who, policy.SeeDirectory, "", false, "the register"); err != nil {
		return nil, err
	}
	now := d.now()
	all, err := d.Access.BegunBy(ctx, c, now, limit, offset)
	if err != nil {
		return nil, err
	}
	out := []Use{}
	targets := map[collection.ID]Target{}
	for _, e := range all {
		t, ok := targets[e.Collection]
		if !ok {
			if t, err = d.shown(ctx, e.Collection); err != nil {
				return nil, err
			}
			targets[e.Collection] = t
		}
		state := e.At(now)
		u := Use{Organisation: e.Public.Organisation, ROR: e.Public.ROR, Project: e.Public.Title, Summary: e.Public.Summary, Name: e.Public.Name, Collection: string(e.Collection), Title: t.Title, Entry: string(t.Entry),
			Dataset: e.Dataset, Versions: e.Versions, Capability: e.Capability.String(), From: e.NotBefore, Until: e.Expires, Current: state == "active" || state == "suspended"}
		if e.Standing == record.Revoked && e.Changed.Before(u.Until) {
			u.Until = e.Changed
		}
		out = append(out, u)
	}
	return out, nil
}

// shown is what the register calls a collection.
func (d *Desk) shown(ctx context.Context, c collection.ID) (t Target, err error) {
	t.Collection = c
	if t.Title, err = d.titleOf(ctx, c); err != nil {
		return t, err
	}
	if e, err := d.Entries.OfCollection(ctx, c); err == nil {
		if e, err = d.Entries.Seen(ctx, e.ID); err == nil {
			t.Entry = e.ID
		}
	}
	return t, nil
}

// measured is how far back decisions count for the lead time.
const measured = 2 * 366 * 24 * time.Hour

// LeadTime is how long the custodian's decisions on a collection took over the last two years. Of fewer than five it says how many, and nothing else.
func (d *Desk) LeadTime(ctx context.Context, who admin.Caller, c collection.ID) (record.LeadTime, error) {
	if err := d.allowed(ctx, who, policy.SeeDirectory, c, false, "the directory"); err != nil {
		return record.LeadTime{}, err
	}
	all, err := d.Access.Decided(ctx, c, d.now().Add(-measured))
	return record.Measure(all), err
}
