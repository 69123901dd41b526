package custody

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// StoredBy are the SOP classes, by the UIDs that a depositor knows, of what it deposited in a collection and is on stable storage, held or not. What others deposited is not told:
// who knows a UID would learn that it is here.
func (c *Custody) StoredBy(ctx context.Context, id collection.ID, actor string, originals []string) (map[string]string, error) {
	if err := c.Barrier(ctx); err != nil {
		return nil, err
	}
	w, err := c.ward(ctx, id)
	if err != nil {
		return nil, err
	}
	var uids []catalogue.SOPUID
	for _, o := range originals {
		uids = append(uids, c.keptUID(w, o))
	}
	found, err := c.catalogue.Committed(ctx, id, actor, uids)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i, o := range originals {
		if class, ok := found[uids[i]]; ok {
			out[o] = class
		}
	}
	return out, nil
}

// keptUID is the UID that an instance is kept under.
func (c *Custody) keptUID(w *ward, original string) catalogue.SOPUID {
	if w.profile.AsDeposited || w.profile.Options&deid.RetainUIDs != 0 {
		return catalogue.SOPUID(original)
	}
	return catalogue.SOPUID(w.keys.UID(original))
}
