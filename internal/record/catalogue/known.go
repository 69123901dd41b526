package catalogue

import (
	"context"
	"database/sql"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Known is what the catalogue has under a UID already.
type Known struct {
	Conflict bool // other bytes alone
	Again    bool // the same bytes
	// State and Reasons are of the instance with the same bytes.
	State   policy.State
	Reasons []Reason
}

// Known says what of this UID is in the catalogue. It is a hint for who is about to store: [Record.AddBatch] has the last word.
func (r *Record) Known(ctx context.Context, c collection.ID, uid SOPUID, digest [32]byte) (k Known, err error) {
	err = forRows(r.reader(ctx), `SELECT digest, state, reasons FROM instance WHERE uid = ? AND collection = ?`, []any{string(uid), string(c)}, func(rows *sql.Rows) error {
		var d []byte
		var state policy.State
		var reasons string
		if err := rows.Scan(&d, &state, &reasons); err != nil {
			return err
		}
		if string(d) != string(digest[:]) {
			k.Conflict = true
			return nil
		}
		k.Again, k.State = true, state
		var err error
		k.Reasons, err = parseReasons(reasons)
		return err
	})
	k.Conflict = k.Conflict && !k.Again
	return k, err
}

// Unused reports whether a record was noted as no instance's any more: a duplicate, replaced, or refused. What is replayed must not bring it back.
func (r *Record) Unused(ctx context.Context, ref Ref) (bool, error) {
	var n int64
	err := r.d.QueryRow(ctx, `SELECT COUNT(*) FROM unused WHERE pack = ? AND pack_offset = ?`, ref.Pack[:], ref.Offset).Scan(&n)
	return n > 0, err
}

// CountDuplicates notes instances that were not stored because the same bytes were known.
func (r *Record) CountDuplicates(tx *db.Tx, c collection.ID, id DepositID, n int64) error {
	if err := countDeposit(tx, id, tally{}, 0, n); err != nil {
		return err
	}
	return countIntake(tx, c, tally{}, 0, n)
}
