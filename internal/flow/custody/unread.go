package custody

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
)

// Completed is signalled when a deposit has ended: its studies may be looked at. It is for one receiver.
func (c *Custody) Completed() <-chan struct{} { return c.completed }

// Receiving reports that something was received a moment ago: who works behind leaves the machine to senders then.
func (c *Custody) Receiving() bool { return time.Since(time.Unix(0, c.received.Load())) < moment }

const moment = time.Second

// unread reports an instance whose pixels have to be read: before it is admitted, or for who decides on it.
func (c *Custody) unread(w *ward, d *dicom.Dataset) bool {
	return c.readPixels && !w.profile.AsDeposited && deid.Readable(d)
}

// Header reads what an instance that is held says of itself, for the node: nobody is shown it, and read keeps nothing of it.
func (c *Custody) Header(ctx context.Context, l catalogue.Located, read func(*dicom.Dataset) error) error {
	need := min(headCopies*l.HeadSize, reviewBudget)
	if err := c.review.Acquire(ctx, need); err != nil {
		return err
	}
	defer c.review.Release(need)
	x, err := c.open(ctx, l)
	if err != nil {
		return err
	}
	defer x.Close()
	ds, err := x.Dataset()
	if err != nil {
		return err
	}
	return read(ds)
}

// open opens the record of an instance, whatever its state.
func (c *Custody) open(ctx context.Context, l catalogue.Located) (*object.Instance, error) {
	sub, err := c.subjects.Get(ctx, l.Subject)
	if err != nil {
		return nil, err
	}
	if sub.IsWithdrawn() {
		return nil, fault.New(fault.Denied, "read record", "instance "+l.ID.String(), "its subject has been withdrawn")
	}
	key, err := c.ring.Get(ctx, keys.ID(sub.Key))
	if err != nil {
		return nil, err
	}
	return object.Open(ctx, c.packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
}

// HoldUnread holds what came to a node that reads pixels and is unread, for one that reads none: nobody has looked at it, so it is not admitted, and a person decides. It is for
// after Replay, and says how many it has held. A node that reads pixels again reads them, and answers for them.
func (c *Custody) HoldUnread(ctx context.Context) (held int64, err error) {
	if c.readPixels {
		return 0, nil
	}
	why := catalogue.Reason{Code: deid.CodeUnread, Where: dicom.TagPixelData.String(), Text: "its pixels were to be read, and this node reads none"}
	var after catalogue.InstanceID
	for {
		page, err := c.catalogue.UnreadInSight(ctx, after, 500)
		if err != nil || len(page) == 0 {
			return held, err
		}
		after = page[len(page)-1].ID
		count := map[collection.ID]int{}
		err = c.db.Write(ctx, func(tx *db.Tx) error {
			clear(count)
			for _, l := range page {
				if _, err := c.catalogue.Hold(tx, l.ID, why); err != nil {
					return err
				}
				count[l.Collection]++
			}
			for _, id := range slices.Sorted(maps.Keys(count)) {
				err := c.audit.Append(tx, audit.Entry{Actor: "node", Action: "hold", Object: "collection " + string(id), Collection: string(id), Outcome: fmt.Sprintf("held %d whose pixels are unread", count[id])})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return held, err
		}
		held += int64(len(page))
	}
}

// HoldsFaces reports a collection whose profile, as it is now, holds volumes in which a face could be seen.
func (c *Custody) HoldsFaces(ctx context.Context, id collection.ID) (bool, error) {
	w, err := c.ward(ctx, id)
	if err != nil {
		return false, err
	}
	return w.profile.HoldFaces, nil
}

// Pixels opens the pixel data of an instance that is received or held, for the node itself: nobody is shown them. What is returned last lets go of them.
func (c *Custody) Pixels(ctx context.Context, l catalogue.Located) (Pixels, func(), error) {
	var p Pixels
	need := min(headCopies*l.HeadSize+paintCopies*l.Rows*l.Columns*max(l.BitsAllocated/8, 1), reviewBudget)
	if err := c.review.Acquire(ctx, need); err != nil {
		return p, nil, err
	}
	release := func() { c.review.Release(need) }
	fail := func(err error) (Pixels, func(), error) {
		release()
		return Pixels{}, nil, err
	}
	x, err := c.open(ctx, l)
	if err != nil {
		return fail(err)
	}
	done := func() { x.Close(); release() }
	if p.Data, err = x.Dataset(); err == nil {
		elem := p.Data.PixelData()
		for k, b := range p.Data.Bulks() {
			if b.Elem != elem {
				continue
			}
			r, err := x.Bulk(k)
			if err != nil {
				done()
				return Pixels{}, nil, err
			}
			p.Value, p.Size = r, r.Size()
		}
	}
	if err != nil {
		done()
		return Pixels{}, nil, err
	}
	return p, done, nil
}
