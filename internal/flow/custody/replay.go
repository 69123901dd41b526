package custody

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
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
//
// Damage does not keep the node from starting: what can be read is catalogued, the damage goes to the log and the audit log, and the pack's checkpoint stays before it, so
// that a copy that is put in its place is replayed at the next start. What a person has to mend first, because going on would lose or misfile what can be read, is an
// error: keys that are older than the packs, a collection that is not in the catalogue, records of a later version.
func (c *Custody) Replay(ctx context.Context) error {
	list, err := c.packs.Packs(ctx)
	if err != nil {
		return err
	}
	n := 0
	var after acceptances
	for _, p := range list {
		from, err := c.catalogue.Checkpoint(ctx, catalogue.PackID(p.ID))
		if err != nil {
			return err
		}
		if from == catalogued {
			continue
		}
		r := replay{c: c, pack: p.ID}
		if err := r.run(ctx, from); err != nil {
			return err
		}
		n += r.records + len(r.later)
		after.add(r.later, p, r.end, r.damages > 0)
		if r.damages > 0 {
			err := c.db.Write(ctx, func(tx *db.Tx) error {
				return c.audit.Append(tx, audit.Entry{Actor: "node", Action: "replay", Object: "pack " + p.ID.String(),
					Outcome: fmt.Sprintf("damaged in %d places; %d records could be read", r.damages, r.records)})
			})
			if err != nil {
				return err
			}
			continue
		}
		if p.Sealed && len(r.later) == 0 {
			err := c.db.Write(ctx, func(tx *db.Tx) error { return c.catalogue.SetCheckpoint(tx, catalogue.PackID(p.ID), catalogued) })
			if err != nil {
				return err
			}
		}
	}
	if err := c.replayAcceptances(ctx, &after); err != nil {
		return err
	}
	if n > 0 {
		c.log.Info("replayed from the packs", "instances", n)
	}
	return nil
}

// replay is one pack on its way to the catalogue again.
type replay struct {
	c       *Custody
	pack    pack.ID
	batch   []event
	later   []event // acceptances: what they take the place of may lie in a pack that comes later
	end     int64   // of what was read
	records int
	damages int
}

// acceptances are what is replayed when every other record is in the catalogue, and how far the packs that they lie in are read then.
type acceptances struct {
	events []event
	upTo   map[pack.ID]int64
}

func (a *acceptances) add(found []event, p pack.PackInfo, end int64, damaged bool) {
	a.events = append(a.events, found...)
	if len(found) == 0 || damaged {
		return
	}
	if a.upTo == nil {
		a.upTo = map[pack.ID]int64{}
	}
	if a.upTo[p.ID] = end; p.Sealed {
		a.upTo[p.ID] = catalogued
	}
}

// inOrder puts an acceptance behind the one whose record it takes the place of, and those that were given a UID of their own first: packs are in no order of time, so
// that what they conflicted with may have become the conflict, and has its UID back when they have left it.
func (a *acceptances) inOrder() []event {
	slices.SortStableFunc(a.events, func(x, y event) int { return cmp.Compare(x.entry.stays(), y.entry.stays()) })
	at := map[pack.Ref]int{}
	for i, ev := range a.events {
		at[ev.where.Ref] = i
	}
	placed := make([]bool, len(a.events))
	out := make([]event, 0, len(a.events))
	var place func(i int)
	place = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true
		if before, ok := at[a.events[i].entry.accepts.Record.Ref]; ok {
			place(before)
		}
		out = append(out, a.events[i])
	}
	for i := range a.events {
		place(i)
	}
	return out
}

// replayAcceptances catalogues acceptances, and only then notes their packs as read.
func (c *Custody) replayAcceptances(ctx context.Context, a *acceptances) error {
	for all := a.inOrder(); len(all) > 0; {
		n := min(len(all), maxBatch)
		if _, err := c.settle(ctx, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	if len(a.upTo) == 0 {
		return nil
	}
	return c.db.Write(ctx, func(tx *db.Tx) error {
		for id, upTo := range a.upTo {
			if err := c.catalogue.SetCheckpoint(tx, catalogue.PackID(id), upTo); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *replay) damaged(err error) {
	r.damages++
	r.c.log.Error("a pack is damaged: what cannot be read there was acknowledged; put a good copy in its place and start again", "pack", r.pack.String(), "error", err)
}

func (r *replay) run(ctx context.Context, from int64) error {
	c := r.c
	err := c.packs.Salvage(ctx, r.pack, from, r.damaged, func(h pack.Header) (bool, error) {
		r.end = h.Ref.Offset + h.Size()
		unused, err := c.catalogue.Unused(ctx, catalogue.Ref{Pack: catalogue.PackID(h.Ref.Pack), Offset: h.Ref.Offset})
		if err != nil || unused {
			return true, err
		}
		key, err := c.ring.Get(ctx, h.KeyID)
		if fault.Is(err, fault.NotFound) {
			// Destroyed or suspended: whatever it was, nothing of it is to be seen.
			_, derr := c.ring.Marked(ctx, h.KeyID)
			if fault.Is(derr, fault.NotFound) {
				derr = fault.New(fault.Corrupt, "replay record", h.Ref.String(), "its key was never in this key ring: restore the keys from a newer backup first")
			}
			return true, derr
		}
		if err != nil {
			return false, err
		}
		meta, err := c.describedIn(ctx, h, key)
		if fault.Is(err, fault.Corrupt) {
			r.damaged(err)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		e, err := c.recall(ctx, h, key, meta)
		if err != nil {
			return false, err
		}
		ev := event{kind: eventEntry, deposit: e.deposit, entry: e, where: pack.Committed{Ref: h.Ref, Header: h}, unmarked: r.damages > 0 || len(r.later) > 0 || e.accepts != nil}
		if e.accepts != nil {
			r.later = append(r.later, ev)
			return true, nil
		}
		r.batch = append(r.batch, ev)
		if len(r.batch) < maxBatch {
			return true, nil
		}
		return true, r.settle(ctx)
	})
	if err != nil {
		return err
	}
	return r.settle(ctx)
}

func (r *replay) settle(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	r.records += len(r.batch)
	_, err := r.c.settle(ctx, r.batch)
	r.batch = nil
	return err
}

// describedIn reads the meta section of a record. A fault.Corrupt is damage of that record.
func (c *Custody) describedIn(ctx context.Context, h pack.Header, key keys.Key) ([]byte, error) {
	rec, err := c.packs.Open(ctx, h.Ref, key)
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	return rec.Meta()
}

// recall makes an entry of a record again, by its meta section. That was authentic when it was read: what it says and cannot be followed is no damage.
func (c *Custody) recall(ctx context.Context, h pack.Header, key keys.Key, meta []byte) (*entry, error) {
	_, rest, err := object.DecodeMeta(meta)
	if err != nil {
		return nil, err
	}
	m, err := decodeMeta(rest)
	if err != nil {
		return nil, fault.New(fault.Corrupt, "replay record", h.Ref.String(), "its description cannot be read: it may be of a later version of Vitrine than this one; start that one")
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
	e := &entry{deposit: &Deposit{ID: m.Row.Deposit, c: c, ward: w, actor: "replay"}, person: p, digest: m.Row.Digest, row: m.Row, durable: func() {}, settled: func() {}, accepts: m.Accepts, work: m.work}
	if len(m.Terms) > 0 {
		if e.terms, err = deid.DecodeLexicon(m.Terms); err != nil {
			return nil, err
		}
	}
	return e, nil
}
