package custody

import (
	"context"
	"encoding/json"
	"math"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// catalogued is the checkpoint of a sealed pack of which every record is in the catalogue.
const catalogued = math.MaxInt64

// Replay brings the catalogue up to what the packs hold: whatever was acknowledged and not yet catalogued when the process ended. It runs before anything
// is received, and changes nothing where there is nothing to do. The records of a subject whose key is destroyed are passed over.
func (c *Custody) Replay(ctx context.Context) error {
	list, err := c.packs.Packs(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, p := range list {
		from, err := c.catalogue.Checkpoint(ctx, catalogue.PackID(p.ID))
		if err != nil {
			return err
		}
		if from == catalogued {
			continue
		}
		var batch []event
		err = c.packs.Scan(ctx, p.ID, from, func(h pack.Header) (bool, error) {
			key, err := c.ring.Get(ctx, h.KeyID)
			if fault.Is(err, fault.NotFound) {
				_, erased, derr := c.ring.Destroyed(ctx, h.KeyID)
				if derr == nil && !erased {
					derr = fault.New(fault.Corrupt, "replay record", h.Ref.String(), "its key was never in this key ring: restore the keys from a newer backup first")
				}
				return true, derr
			}
			if err != nil {
				return false, err
			}
			e, err := c.recall(ctx, h, key)
			if err != nil {
				return false, err
			}
			batch = append(batch, event{kind: eventEntry, deposit: e.deposit, entry: e, where: pack.Committed{Ref: h.Ref, Header: h}})
			if len(batch) < maxBatch {
				return true, nil
			}
			n += len(batch)
			_, err = c.settle(ctx, batch)
			batch = batch[:0]
			return true, err
		})
		if err != nil {
			return err
		}
		if len(batch) > 0 {
			n += len(batch)
			if _, err := c.settle(ctx, batch); err != nil {
				return err
			}
		}
		if p.Sealed {
			err := c.db.Write(ctx, func(tx *db.Tx) error { return c.catalogue.SetCheckpoint(tx, catalogue.PackID(p.ID), catalogued) })
			if err != nil {
				return err
			}
		}
	}
	if n > 0 {
		c.log.Info("replayed from the packs", "instances", n)
	}
	return nil
}

// recall makes an entry of a record again.
func (c *Custody) recall(ctx context.Context, h pack.Header, key keys.Key) (*entry, error) {
	rec, err := c.packs.Open(ctx, h.Ref, key)
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	raw, err := rec.Meta()
	if err != nil {
		return nil, err
	}
	_, rest, err := object.DecodeMeta(raw)
	if err != nil {
		return nil, err
	}
	var m sealedMeta
	if err := json.Unmarshal(rest, &m); err != nil || m.Version != metaVersion {
		return nil, fault.New(fault.Corrupt, "replay record", h.Ref.String(), "its description cannot be read")
	}
	w, err := c.ward(ctx, m.Row.Collection)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Corrupt, "replay record", h.Ref.String(), "its collection is not in the catalogue: restore the catalogue from a backup first")
	}
	if err != nil {
		return nil, err
	}
	p := &person{keyID: h.KeyID, key: key, pseud: m.Pseudonym, link: m.Link, lexKey: key.Derive("lexicon")}
	// The subject's row may be among what was lost.
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		row, _, err := c.subjects.Ensure(tx, m.Row.Collection, m.Link, m.Pseudonym, subject.KeyID(h.KeyID))
		p.id = row.ID
		return err
	})
	if err != nil {
		return nil, err
	}
	m.Row.Subject = p.id
	e := &entry{deposit: &Deposit{ID: m.Row.Deposit, c: c, ward: w, actor: "replay"}, person: p, digest: m.Row.Digest, row: m.Row, durable: func() {}, settled: func() {}}
	if len(m.Terms) > 0 {
		if e.terms, err = deid.DecodeLexicon(m.Terms); err != nil {
			return nil, err
		}
	}
	return e, nil
}
