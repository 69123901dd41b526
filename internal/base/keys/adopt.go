package keys

import (
	"context"
	"crypto/subtle"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Adopt takes a collection's key that was made elsewhere. It is on stable storage when Adopt returns. A collection that has another key already keeps it: a fault Conflict.
func (r *Ring) Adopt(ctx context.Context, id string, key Key) error {
	about := aboutCollection(id)
	candidate := r.master.wrap(key, about)
	err := r.write(ctx, func(tx *db.Tx) error {
		if err := r.current(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO collection_key (id, wrapped, created) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`, id, candidate, db.Micros(r.now()))
		return err
	})
	if err != nil {
		return err
	}
	have, err := r.Collection(ctx, id)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(have[:], key[:]) != 1 {
		return fault.New(fault.Conflict, "take a collection's key", "collection "+id, "it has another key here")
	}
	return nil
}
