package catalogue

import (
	"context"
	"database/sql"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Known is what the catalogue has under a UID already, or has had of the same bytes.
type Known struct {
	Conflict bool // other bytes alone
	Again    bool // the same bytes
	Main     bool // some have the UID for themselves: others are conflicts with them
	Refused  bool // the same bytes, and a steward has refused them
	// State is of the instance with the same bytes; Reasons are its own, or of the refusal.
	State   policy.State
	Reasons []Reason
}

// refusedRow stands for a state in Known's answer of what is an instance no more.
const refusedRow = policy.State(100)

// Known says what of this UID, and of these bytes, is in the catalogue. It is a hint for who is about to store: [Record.AddBatch] has the last word.
func (r *Record) Known(ctx context.Context, c collection.ID, uid SOPUID, digest [32]byte) (k Known, err error) {
	// The digest is keyed by the subject, who is of one collection.
	const query = `SELECT digest, state, variant, reasons, '', '' FROM instance WHERE uid = ? AND collection = ? UNION ALL SELECT digest, 100, 0, code, place, reason FROM refusal WHERE digest = ?`
	var refusal []Reason
	err = forRows(r.reader(ctx), query, []any{string(uid), string(c), digest[:]}, func(rows *sql.Rows) error {
		var d []byte
		var state policy.State
		var variant int64
		var first, place, text string
		if err := rows.Scan(&d, &state, &variant, &first, &place, &text); err != nil {
			return err
		}
		if state == refusedRow {
			k.Refused, refusal = true, []Reason{{Code: first, Where: place, Text: text}}
			return nil
		}
		k.Main = k.Main || variant == 0
		if string(d) != string(digest[:]) {
			k.Conflict = true
			return nil
		}
		k.Again, k.State = true, state
		var err error
		k.Reasons, err = parseReasons(first)
		return err
	})
	k.Conflict = k.Conflict && !k.Again
	if k.Refused = k.Refused && !k.Again; k.Refused {
		k.Reasons = refusal
	}
	return k, err
}

// Unused reports whether a record was noted as no instance's any more: a duplicate, replaced, or refused. What is replayed must not bring it back.
func (r *Record) Unused(ctx context.Context, ref Ref) (bool, error) {
	var n int64
	err := r.d.QueryRow(ctx, `SELECT COUNT(*) FROM unused WHERE pack = ? AND pack_offset = ?`, ref.Pack[:], ref.Offset).Scan(&n)
	return n > 0, err
}

// UnusedNow is Unused within a transaction.
func (r *Record) UnusedNow(tx *db.Tx, ref Ref) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM unused WHERE pack = ? AND pack_offset = ?`, ref.Pack[:], ref.Offset).Scan(&n)
	return n > 0, err
}

// CountDuplicates notes instances that were not stored because the same bytes were known.
func (r *Record) CountDuplicates(tx *db.Tx, c collection.ID, id DepositID, n int64) error {
	if err := countDeposit(tx, id, tally{}, 0, n); err != nil {
		return err
	}
	return countIntake(tx, c, tally{}, 0, n)
}
