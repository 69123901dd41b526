package catalogue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// A reading of pixels looks for text in them. What is to be read is noted with the instance when it comes, so that nothing is forgotten: a study with an instance
// whose pixels are unread is not admitted.

// The values of instance.reading.
const (
	unread int64 = 1
	read   int64 = 2
)

// Found is what a reading of an instance's pixels found.
type Found struct {
	Reader string     `json:"reader"`          // what read, and its version
	Frames int        `json:"frames"`          // that were read
	Boxes  []FoundBox `json:"boxes,omitempty"` // where text is, or may be
}

// FoundBox is a box in frames First to Last, counted from 1.
type FoundBox struct {
	First int    `json:"first"`
	Last  int    `json:"last"`
	Box   [4]int `json:"box"` // first column, first row, and the column and row after the last, from 0
}

// UnreadSeries lists series with instances whose pixels are to be read: those of studies that are complete, because every deposit that brought something of them
// has ended, or nothing was added since quiet. The first come first, of those behind the one given.
func (r *Record) UnreadSeries(ctx context.Context, quiet time.Time, after SeriesID, limit int) ([]SeriesID, error) {
	var all []SeriesID
	err := forRows(r.reader(ctx), `SELECT e.id FROM series e JOIN study s ON s.id = e.study WHERE e.id IN (SELECT series FROM instance WHERE reading = 1) AND e.id > ?
		AND (s.touched <= ? OR s.touched > ? OR NOT EXISTS (SELECT 1 FROM study_open o WHERE o.study = s.id)) ORDER BY e.id LIMIT ?`, []any{int64(after), db.Micros(quiet), db.Micros(time.Now().Add(ahead)), bounded(limit)}, func(rows *sql.Rows) error {
		var id SeriesID
		err := rows.Scan(&id)
		all = append(all, id)
		return err
	})
	return all, err
}

// ToRead counts the instances whose pixels are to be read, those that are held apart, and says when the first of them came.
func (r *Record) ToRead(ctx context.Context) (open, waiting int64, since time.Time, err error) {
	var first sql.NullInt64
	err = r.d.QueryRow(ctx, `SELECT COUNT(CASE WHEN state IN (3, 4) THEN NULL ELSE 1 END), COUNT(CASE WHEN state IN (3, 4) THEN 1 END), MIN(created) FROM instance WHERE reading = 1 AND state <> 6`).
		Scan(&open, &waiting, &first)
	if first.Valid {
		since = db.Time(first.Int64)
	}
	return open, waiting, since, err
}

// UnreadInSight lists instances whose pixels are to be read and that are not held, after the one given: what a node that reads no pixels has to take out of sight.
func (r *Record) UnreadInSight(ctx context.Context, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.reading = 1 AND i.state IN (1, 2, 5) AND i.id > ? ORDER BY i.id LIMIT ?`, []any{int64(after), bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}

// UnreadOf lists the instances of a series whose pixels are to be read, in their order of arrival, after the instance given.
func (r *Record) UnreadOf(ctx context.Context, series SeriesID, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.reading = 1 AND i.series = ? AND i.id > ? ORDER BY i.id LIMIT ?`, []any{int64(series), int64(after), bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}

// MarkRead notes that the pixels of an instance have been read. Of one that is received, reasons take it out of sight; of one that is held, they are added to those
// it is held for. Found may be nil.
func (r *Record) MarkRead(tx *db.Tx, id InstanceID, found *Found, why ...Reason) (Changed, error) {
	const attempt = "note a reading of pixels"
	row, err := r.locked(tx, attempt, id)
	if err != nil {
		return Changed{}, err
	}
	tx.Signal(SignalHeld)
	text := ""
	if found != nil {
		b, err := json.Marshal(found)
		if err != nil {
			return Changed{}, fault.Wrap(fault.Internal, attempt, "", err)
		}
		text = string(b)
	}
	if _, err := tx.Exec(`UPDATE instance SET reading = ?, found = ?, kind = '', layout = '' WHERE id = ?`, read, text, int64(id)); err != nil || len(why) == 0 {
		return Changed{Study: row.study}, err
	}
	if visible(row.state) {
		return r.Hold(tx, id, why...)
	}
	reasons, err := reasonsText(append(row.reasons, why...))
	if err != nil {
		return Changed{}, err
	}
	_, err = tx.Exec(`UPDATE instance SET reasons = ? WHERE id = ?`, reasons, int64(id))
	return Changed{Study: row.study}, err
}

// Found is what the reading of an instance that is held found; nil if nothing has been read, or nothing was found.
func (r *Record) Found(ctx context.Context, id InstanceID) (*Found, error) {
	var text string
	err := r.d.QueryRow(ctx, `SELECT found FROM instance WHERE id = ?`, int64(id)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "read what was found", "instance "+id.String(), "there is no such instance")
	}
	if err != nil || text == "" {
		return nil, err
	}
	var f Found
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, fault.New(fault.Corrupt, "read what was found", "instance "+id.String(), "it is not JSON")
	}
	return &f, nil
}
