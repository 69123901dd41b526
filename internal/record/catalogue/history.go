package catalogue

import (
	"context"
	"database/sql"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// Arrival is what one deposit brought of a study, and where that stands now.
type Arrival struct {
	Deposit     DepositID
	Door, Actor string
	Started     time.Time // of the deposit
	First, Last time.Time // when the first and the last of it was catalogued
	Instances   int64     // but for what is withdrawn or restricted
	Held        int64     // of them, conflicts among them
	Bytes       int64
}

// Arrivals are the deposits that brought something of a study, in the order in which they came. What was refused belongs to no study and is in none of them.
func (r *Record) Arrivals(ctx context.Context, study StudyID) ([]Arrival, error) {
	var all []Arrival
	err := forRows(r.reader(ctx), `SELECT d.id, d.door, d.actor, d.started, MIN(i.created), MAX(i.created), COUNT(*), SUM(CASE WHEN i.state IN (?, ?) THEN 1 ELSE 0 END), SUM(i.head_size + i.bulk_size)
		FROM series e JOIN instance i ON i.series = e.id JOIN deposit d ON d.id = i.deposit WHERE e.study = ? AND i.state NOT IN (?, ?)
		GROUP BY d.id, d.door, d.actor, d.started ORDER BY d.id`, []any{int64(held), int64(conflict), int64(study), int64(withdrawn), int64(restricted)}, func(rows *sql.Rows) error {
		var a Arrival
		var started, first, last int64
		err := rows.Scan(&a.Deposit, &a.Door, &a.Actor, &started, &first, &last, &a.Instances, &a.Held, &a.Bytes)
		a.Started, a.First, a.Last = db.Time(started), db.Time(first), db.Time(last)
		all = append(all, a)
		return err
	})
	return all, err
}

// Publication is one release of what was admitted of a study.
type Publication struct {
	Actor     string
	Instances int64
	Published time.Time
}

// Publications are the releases of a study, in the order in which they were made.
func (r *Record) Publications(ctx context.Context, study StudyID) ([]Publication, error) {
	var all []Publication
	err := forRows(r.reader(ctx), `SELECT actor, instances, published FROM publication WHERE study = ? ORDER BY id`, []any{int64(study)}, func(rows *sql.Rows) error {
		var p Publication
		var at int64
		err := rows.Scan(&p.Actor, &p.Instances, &at)
		p.Published = db.Time(at)
		all = append(all, p)
		return err
	})
	return all, err
}

// Members are the series and the instances of a study, whatever state they are in; at most limit of the instances.
func (r *Record) Members(ctx context.Context, study StudyID, limit int) (series []SeriesID, instances []InstanceID, err error) {
	err = forRows(r.reader(ctx), `SELECT id FROM series WHERE study = ? ORDER BY id`, []any{int64(study)}, func(rows *sql.Rows) error {
		var id SeriesID
		err := rows.Scan(&id)
		series = append(series, id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = forRows(r.reader(ctx), `SELECT i.id FROM series e JOIN instance i ON i.series = e.id WHERE e.study = ? ORDER BY i.id LIMIT ?`, []any{int64(study), int64(limit)}, func(rows *sql.Rows) error {
		var id InstanceID
		err := rows.Scan(&id)
		instances = append(instances, id)
		return err
	})
	return series, instances, err
}
