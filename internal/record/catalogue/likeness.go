package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// What is held is decided on together with what is like it. What an instance has in common with others is noted as two keyed hashes, which say nothing by themselves:
// they are made of its header, which is shown to nobody. Whatever changes the reasons that it is held for, or takes it out of what is held, forgets them.

// Likeness is what an instance that is held has in common with others of its collection.
type Likeness struct {
	Kind   string // held for the same, of one class and one make of device
	Layout string // and with pictures of the same size and form
}

// SignalHeld is signalled, within the process, when something comes to be held, or is held for something else.
const SignalHeld = "held"

// maxLikeness bounds a hash, in bytes.
const maxLikeness = 64

// Unlikened lists instances that are held and were not looked at, first come first; those whose pixels are to be read yet are not among them.
func (r *Record) Unlikened(ctx context.Context, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.state IN (3, 4) AND i.kind = '' AND i.reading <> 1 ORDER BY i.id LIMIT ?`, []any{bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}

// Liken notes what an instance that is held has in common with others. It is not noted of one that has been decided on meanwhile, or is held for more by now than the
// reasons given: that is not an error.
func (r *Record) Liken(tx *db.Tx, id InstanceID, reasons []Reason, as Likeness) error {
	const attempt = "note what is alike"
	if as.Kind == "" || as.Layout == "" || len(as.Kind) > maxLikeness || len(as.Layout) > maxLikeness {
		return fault.New(fault.Invalid, attempt, "instance "+id.String(), "a likeness is two hashes")
	}
	text, err := reasonsText(reasons)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE instance SET kind = ?, layout = ? WHERE id = ? AND state IN (3, 4) AND reading <> 1 AND reasons = ?`, as.Kind, as.Layout, int64(id), text)
	return err
}

// LikenessOf is what is noted of an instance.
func (r *Record) LikenessOf(ctx context.Context, id InstanceID) (as Likeness, err error) {
	err = r.d.QueryRow(ctx, `SELECT kind, layout FROM instance WHERE id = ?`, int64(id)).Scan(&as.Kind, &as.Layout)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "read what is alike", "instance "+id.String(), "there is no such instance")
	}
	return as, err
}

// Pool is what is held in a collection and alike.
type Pool struct {
	Likeness
	Items    int64
	Subjects int64
	Oldest   time.Time
	First    InstanceID
	Last     InstanceID // of those counted
}

// Pools counts what is held in a collection by its layout, most first; one of a single item too. What was not looked at yet is in none.
func (r *Record) Pools(ctx context.Context, c collection.ID, limit int) ([]Pool, error) {
	var all []Pool
	err := forRows(r.reader(ctx), `SELECT MIN(i.kind), i.layout, COUNT(*), COUNT(DISTINCT i.subject), MIN(i.created), MIN(i.id), MAX(i.id) FROM instance i
		WHERE i.collection = ? AND i.state IN (3, 4) AND i.layout <> '' GROUP BY i.layout ORDER BY COUNT(*) DESC, MIN(i.id) LIMIT ?`, []any{string(c), bounded(limit)}, func(rows *sql.Rows) error {
		var p Pool
		var oldest int64
		err := rows.Scan(&p.Kind, &p.Layout, &p.Items, &p.Subjects, &oldest, &p.First, &p.Last)
		p.Oldest = db.Time(oldest)
		all = append(all, p)
		return err
	})
	return all, err
}

// AcceptedBy lists what a standing decision of a collection has accepted and is neither held again nor withdrawn, after the instance given.
func (r *Record) AcceptedBy(ctx context.Context, c collection.ID, ruling int64, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.collection = ? AND i.ruling = ? AND i.ruling > 0 AND i.state IN (1, 2, 5) AND i.id > ? ORDER BY i.id LIMIT ?`,
		[]any{string(c), ruling, int64(after), bounded(limit)}, func(rows *sql.Rows) error {
			l, err := scanLocated(rows)
			all = append(all, l)
			return err
		})
	return all, err
}

// AcceptedCounts is how many instances that can be seen each standing decision of a collection has accepted, by its number.
func (r *Record) AcceptedCounts(ctx context.Context, c collection.ID) (map[int64]int64, error) {
	all := map[int64]int64{}
	err := forRows(r.reader(ctx), `SELECT i.ruling, COUNT(*) FROM instance i WHERE i.collection = ? AND i.ruling > 0 AND i.state IN (1, 2, 5) GROUP BY i.ruling`, []any{string(c)}, func(rows *sql.Rows) error {
		var n, items int64
		err := rows.Scan(&n, &items)
		all[n] = items
		return err
	})
	return all, err
}

// RulingsOf lists the standing decisions by which something of a study was accepted that can be seen.
func (r *Record) RulingsOf(ctx context.Context, s StudyID) (all []int64, err error) {
	err = forRows(r.reader(ctx), `SELECT DISTINCT i.ruling FROM instance i JOIN series e ON e.id = i.series WHERE e.study = ? AND i.ruling > 0 AND i.state IN (1, 2, 5) ORDER BY i.ruling`, []any{int64(s)},
		func(rows *sql.Rows) error {
			var n int64
			err := rows.Scan(&n)
			all = append(all, n)
			return err
		})
	return all, err
}

// SetRuling notes which standing decision accepted an instance: one whose row was made anew from its record alone.
func (r *Record) SetRuling(tx *db.Tx, id InstanceID, ruling int64) error {
	_, err := tx.Exec(`UPDATE instance SET ruling = ? WHERE id = ?`, ruling, int64(id))
	return err
}
