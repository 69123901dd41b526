package catalogue

import (
	"context"
	"database/sql"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// What reports of de-identification count, beside what package proof does.

// RefusedCode counts refused items by the code of their reason.
type RefusedCode struct {
	Code    string
	Decided bool // a person refused what had been kept; else it was refused when it came
	Items   int64
}

// RefusedOf counts what was refused of a deposit.
func (r *Record) RefusedOf(ctx context.Context, id DepositID) ([]RefusedCode, error) {
	return r.refusedCodes(ctx, `f.deposit = ?`, int64(id))
}

// RefusedIn counts what was refused in a collection.
func (r *Record) RefusedIn(ctx context.Context, c collection.ID) ([]RefusedCode, error) {
	return r.refusedCodes(ctx, `f.deposit IN (SELECT id FROM deposit WHERE collection = ?)`, string(c))
}

func (r *Record) refusedCodes(ctx context.Context, where string, arg any) ([]RefusedCode, error) {
	var all []RefusedCode
	err := forRows(r.reader(ctx), `SELECT f.code, CASE WHEN f.digest IS NULL THEN 0 ELSE 1 END, COUNT(*) FROM refusal f WHERE `+where+` GROUP BY 1, 2 ORDER BY 1, 2`, []any{arg}, func(rows *sql.Rows) error {
		var c RefusedCode
		var decided int64
		err := rows.Scan(&c.Code, &decided, &c.Items)
		c.Decided = decided == 1
		all = append(all, c)
		return err
	})
	return all, err
}

// WaitingOf counts what is held now of a deposit, or, with none, in the collection, and of how many people it is.
func (r *Record) WaitingOf(ctx context.Context, c collection.ID, id DepositID) (by map[string]int64, objects, people int64, err error) {
	query, args := `SELECT subject, reasons FROM instance WHERE collection = ? AND state IN (3, 4)`, []any{string(c)}
	if id != 0 {
		query, args = query+` AND deposit = ?`, append(args, int64(id))
	}
	by = map[string]int64{}
	who := map[int64]bool{}
	err = forRows(r.reader(ctx), query, args, func(rows *sql.Rows) error {
		var subject int64
		var text string
		if err := rows.Scan(&subject, &text); err != nil {
			return err
		}
		reasons, err := parseReasons(text)
		if err != nil {
			return err
		}
		who[subject], objects = true, objects+1
		seen := map[string]bool{}
		for _, x := range reasons {
			if !seen[x.Code] {
				by[x.Code]++
			}
			seen[x.Code] = true
		}
		return nil
	})
	return by, objects, int64(len(who)), err
}

// Unread counts the instances whose pixels are still to be read, of a deposit, or, with none, of the collection; and their frames.
func (r *Record) Unread(ctx context.Context, c collection.ID, id DepositID) (objects, frames int64, err error) {
	query, args := `SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN frames < 1 THEN 1 ELSE frames END), 0) AS BIGINT) FROM instance WHERE reading = 1 AND collection = ?`, []any{string(c)}
	if id != 0 {
		query, args = query+` AND deposit = ?`, append(args, int64(id))
	}
	err = db.Fault("count unread pixels", r.d.QueryRow(ctx, query, args...).Scan(&objects, &frames))
	return objects, frames, err
}

// Standing says of how many objects and people a collection consists in each state.
type Standing struct {
	Received, Admitted, Released, Withdrawn People
}

// People counts objects, and of how many people they are.
type People struct{ Objects, Subjects int64 }

// Standing counts a collection's objects and people by state, but for those that are held.
func (r *Record) Standing(ctx context.Context, c collection.ID) (Standing, error) {
	var s Standing
	err := r.d.QueryRow(ctx, `SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT), COUNT(DISTINCT CASE WHEN received > 0 THEN subject END),
		CAST(COALESCE(SUM(admitted), 0) AS BIGINT), COUNT(DISTINCT CASE WHEN admitted > 0 THEN subject END),
		CAST(COALESCE(SUM(released), 0) AS BIGINT), COUNT(DISTINCT CASE WHEN released > 0 THEN subject END),
		CAST(COALESCE(SUM(withdrawn), 0) AS BIGINT), COUNT(DISTINCT CASE WHEN withdrawn > 0 THEN subject END) FROM study WHERE collection = ?`, string(c)).
		Scan(&s.Received.Objects, &s.Received.Subjects, &s.Admitted.Objects, &s.Admitted.Subjects, &s.Released.Objects, &s.Released.Subjects, &s.Withdrawn.Objects, &s.Withdrawn.Subjects)
	return s, db.Fault("count a collection", err)
}
