package directory

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations_counts
var countMigrations embed.FS

// CountRecord keeps the published numbers of each collection, day by day.
type CountRecord struct{ d *db.DB }

// OpenCounts brings the tables of published numbers up to date.
func OpenCounts(ctx context.Context, d *db.DB) (*CountRecord, error) {
	files, err := fs.Sub(countMigrations, "migrations_counts")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "directory_counts", files); err != nil {
		return nil, err
	}
	return &CountRecord{d: d}, nil
}

// Snapshot is one counting of every collection.
type Snapshot struct {
	Taken       time.Time
	Day         string // YYYY-MM-DD
	Actor       string
	Collections int64
	Renewed     int64 // collections whose numbers are other than before, or could be
}

// Renew publishes the numbers of a collection, if ten people or more have come, gone or changed since they were published last, or if they never were. It reports
// whether it did.
func (r *CountRecord) Renew(tx *db.Tx, c collection.ID, t *Tally, at time.Time) (bool, error) {
	if err := tx.Lock("directory counts " + string(c)); err != nil {
		return false, err
	}
	var taken int64
	err := tx.QueryRow(`SELECT taken FROM directory_published WHERE collection = ? AND latest = 1`, string(c)).Scan(&taken)
	first := errors.Is(err, sql.ErrNoRows)
	if err != nil && !first {
		return false, err
	}
	gone, changed, err := r.compare(tx, c, t)
	if err != nil {
		return false, err
	}
	if !first && len(gone)+len(changed) < Few {
		return false, nil
	}
	text, err := json.Marshal(publish(t, at.UTC().Format(time.DateOnly)))
	if err != nil {
		return false, err
	}
	if _, err := tx.Exec(`UPDATE directory_published SET latest = 0 WHERE collection = ? AND latest = 1`, string(c)); err != nil {
		return false, err
	}
	if _, err := tx.Exec(`INSERT INTO directory_published (collection, taken, latest, document) VALUES (?, ?, 1, ?)`, string(c), max(db.Micros(at), taken+1), string(text)); err != nil {
		return false, err
	}
	for _, id := range gone {
		if _, err := tx.Exec(`DELETE FROM directory_counted WHERE collection = ? AND subject = ?`, string(c), int64(id)); err != nil {
			return false, err
		}
	}
	return true, r.remember(tx, c, t, changed)
}

// compare says who was counted and is no more, and who is counted otherwise than before, or for the first time.
func (r *CountRecord) compare(tx *db.Tx, c collection.ID, t *Tally) (gone, changed []subject.ID, err error) {
	rows, err := tx.Query(`SELECT subject, digest FROM directory_counted WHERE collection = ? ORDER BY subject`, string(c))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	same := 0
	was := map[subject.ID]bool{}
	for rows.Next() {
		var id subject.ID
		var digest int64
		if err := rows.Scan(&id, &digest); err != nil {
			return nil, nil, db.Fault("read counts", err)
		}
		now, here := t.persons[id]
		switch {
		case !here:
			gone = append(gone, id)
		case now == digest:
			was[id] = true
			same++
		}
	}
	if err := rows.Err(); err != nil {
		return nil, nil, db.Fault("read counts", err)
	}
	if same < len(t.persons) {
		for id := range t.persons {
			if !was[id] {
				changed = append(changed, id)
			}
		}
	}
	return gone, changed, nil
}

// remember notes as what people are counted now.
func (r *CountRecord) remember(tx *db.Tx, c collection.ID, t *Tally, ids []subject.ID) error {
	const most = 64 // rows of one statement
	for len(ids) > 0 {
		n := most
		for n > len(ids) {
			n /= 2 // few texts, each used often
		}
		args := make([]any, 0, 3*n)
		for _, id := range ids[:n] {
			args = append(args, string(c), int64(id), t.persons[id])
		}
		_, err := tx.Exec(`INSERT INTO directory_counted (collection, subject, digest) VALUES (?, ?, ?)`+strings.Repeat(`, (?, ?, ?)`, n-1)+
			` ON CONFLICT (collection, subject) DO UPDATE SET digest = excluded.digest`, args...)
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// Note writes that a snapshot was taken, and wakes who waits for the directory to change.
func (r *CountRecord) Note(tx *db.Tx, s Snapshot) error {
	_, err := tx.Exec(`INSERT INTO directory_snapshot (taken, day, actor, collections, renewed) VALUES (?, ?, ?, ?, ?)`, db.Micros(s.Taken), s.Day, s.Actor, s.Collections, s.Renewed)
	if err == nil {
		tx.Signal(Changed)
	}
	return err
}

// Last is the latest snapshot; fault.NotFound before the first.
func (r *CountRecord) Last(ctx context.Context) (Snapshot, error) {
	var s Snapshot
	var taken int64
	err := r.d.QueryRow(ctx, `SELECT taken, day, actor, collections, renewed FROM directory_snapshot ORDER BY taken DESC LIMIT 1`).Scan(&taken, &s.Day, &s.Actor, &s.Collections, &s.Renewed)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fault.New(fault.NotFound, "find snapshot", "", "people have not been counted yet")
	}
	s.Taken = db.Time(taken)
	return s, err
}

// Of are the numbers of a collection; fault.NotFound where none were published yet.
func (r *CountRecord) Of(ctx context.Context, c collection.ID) (*Numbers, error) {
	var text string
	err := r.d.QueryRow(ctx, `SELECT document FROM directory_published WHERE collection = ? AND latest = 1`, string(c)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "find published numbers", "collection "+string(c), "its people have not been counted yet")
	}
	if err != nil {
		return nil, err
	}
	return readNumbers(text)
}

// All are the numbers of every collection.
func (r *CountRecord) All(ctx context.Context) (map[collection.ID]*Numbers, error) {
	rows, err := r.d.Query(ctx, `SELECT collection, document FROM directory_published WHERE latest = 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[collection.ID]*Numbers{}
	for rows.Next() {
		var c collection.ID
		var text string
		if err := rows.Scan(&c, &text); err != nil {
			return nil, db.Fault("read published numbers", err)
		}
		if all[c], err = readNumbers(text); err != nil {
			return nil, err
		}
	}
	return all, db.Fault("read published numbers", rows.Err())
}

func readNumbers(text string) (*Numbers, error) {
	n := &Numbers{}
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, fault.New(fault.Corrupt, "read published numbers", "", "the stored document is not readable")
	}
	return n, nil
}

// Forget erases that a subject was counted. What was published stays: it tells of nobody.
func (r *CountRecord) Forget(tx *db.Tx, c collection.ID, id subject.ID) error {
	_, err := tx.Exec(`DELETE FROM directory_counted WHERE collection = ? AND subject = ?`, string(c), int64(id))
	return err
}
