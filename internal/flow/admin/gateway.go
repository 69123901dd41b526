package admin

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Equipment is what a gateway has to know of the collection that it cleans for: the JSON of the management API.
type Equipment struct {
	Collection string `json:"collection"`
	Title      string `json:"title"`
	State      string `json:"state"`
	Profile    string `json:"profile"`
	Version    string `json:"version"`
	Digest     string `json:"digest,omitempty"` // SHA-256 of the file of the collection's own rules; empty: a named profile
	File       string `json:"file,omitempty"`
	Rules      string `json:"rules"` // version of what cleans here: [deid.Version]
	// NoReidentification: who subjects are is kept nowhere, at the gateway neither. NoAutomaticAcceptance: what is held for its pixels waits for a person.
	NoReidentification    bool `json:"no_reidentification"`
	NoAutomaticAcceptance bool `json:"no_automatic_acceptance"`
}

// Equip tells a gateway by what to clean.
func (d *Desk) Equip(ctx context.Context, who Caller, id collection.ID) (Equipment, error) {
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.EquipGateway, Collection: string(id)}, "collection "+string(id)); err != nil {
		return Equipment{}, err
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return Equipment{}, err
	}
	e := Equipment{Collection: string(c.ID), Title: c.Title, State: c.State.String(), Profile: c.Profile, Version: c.ProfileVersion, Digest: c.ProfileDigest, Rules: deid.Version,
		NoReidentification: c.NoReidentification, NoAutomaticAcceptance: c.NoAutomaticAcceptance}
	if c.ProfileDigest == "" {
		return e, nil
	}
	all, err := d.Collections.ProfileVersions(ctx, id)
	if err != nil {
		return e, err
	}
	e.File = all[len(all)-1].Text
	return e, nil
}

// TakeSecret gives a gateway the secret that names a collection's subjects. Each time is in the audit log before it is given.
func (d *Desk) TakeSecret(ctx context.Context, who Caller, id collection.ID, ring *keys.Ring) (keys.Key, error) {
	object := "collection " + string(id)
	if err := d.allowed(ctx, who, policy.Facts{Action: policy.TakeSecret, Collection: string(id)}, object); err != nil {
		return keys.Key{}, err
	}
	if _, err := d.Collections.Get(ctx, id); err != nil {
		return keys.Key{}, err
	}
	key, err := ring.Collection(ctx, string(id))
	if err != nil {
		return keys.Key{}, err
	}
	return key, d.change(ctx, who, policy.TakeSecret.String(), object, string(id), func(*db.Tx) error { return nil })
}
