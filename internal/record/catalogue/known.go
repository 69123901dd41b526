package catalogue

import (
	"context"
	"database/sql"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Known says whether an instance of this UID is in the catalogue: with the same bytes (again), or with others alone (conflict). It is a hint for who is about
// to store: [Record.AddBatch] has the last word.
func (r *Record) Known(ctx context.Context, c collection.ID, uid SOPUID, digest [32]byte) (conflict, again bool, err error) {
	err = forRows(r.reader(ctx), `SELECT digest FROM instance WHERE uid = ? AND collection = ?`, []any{string(uid), string(c)}, func(rows *sql.Rows) error {
		var d sql.RawBytes
		if err := rows.Scan(&d); err != nil {
			return err
		}
		conflict = true
		again = again || string(d) == string(digest[:])
		return nil
	})
	return conflict && !again, again, err
}

// CountDuplicates notes instances that were not stored because the same bytes were known.
func (r *Record) CountDuplicates(tx *db.Tx, c collection.ID, id DepositID, n int64) error {
	if err := countDeposit(tx, id, tally{}, 0, n); err != nil {
		return err
	}
	return countIntake(tx, c, tally{}, 0, n)
}
