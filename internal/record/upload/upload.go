// Package upload is the record of what people send from a browser: batches, each of which is a deposit, and the uploads of a batch, each of which is a file
// that comes in pieces. docs/formats/spool.md says what each table means.
//
// It promises: an upload is named by its ordinal in the batch alone, never by what its sender calls it; what opens its pieces is in its row, sealed by the caller, and
// goes when its fate is written; a person's quota is counted in the transaction that makes the next upload.
//
// It does not keep the pieces (package spool does), and does not decide who may send.
package upload

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

//go:embed migrations
var migrations embed.FS

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "upload", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Batch is what somebody sends in one go. Its number is its deposit's.
type Batch struct {
	ID         catalogue.DepositID
	Collection collection.ID
	Actor      string
	Began      time.Time
	Touched    time.Time // when a byte of it last came
	Ended      time.Time // zero: more may come
}

// Upload is one file of a batch.
type Upload struct {
	ID      string // of its pieces in the spool
	Batch   catalogue.DepositID
	Ordinal int64
	Actor   string // whose it is
	Link    string // by which it comes; empty: by none
	Size    int64
	Sealed  []byte // what opens its pieces; empty when it has a fate
	Fate    string // empty: it is arriving
	Reasons []catalogue.Reason
	Created time.Time
	Expires time.Time
}

// Quota bounds what one person may have arriving, or what may come by one link at all.
type Quota struct {
	Uploads int64
	Bytes   int64
}

// Begin notes a batch, whose deposit was begun.
func (r *Record) Begin(tx *db.Tx, b Batch) error {
	now := db.Micros(time.Now())
	_, err := tx.Exec(`INSERT INTO upload_batch (id, collection, actor, began, touched, ended) VALUES (?, ?, ?, ?, ?, 0)`, int64(b.ID), string(b.Collection), b.Actor, now, now)
	return err
}

// Batch is one batch; a fault.NotFound if there is none.
func (r *Record) Batch(ctx context.Context, id catalogue.DepositID) (Batch, error) {
	var b Batch
	var began, touched, ended int64
	err := r.d.QueryRow(ctx, `SELECT id, collection, actor, began, touched, ended FROM upload_batch WHERE id = ?`, int64(id)).Scan(&b.ID, &b.Collection, &b.Actor, &began, &touched, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return b, fault.New(fault.NotFound, "find batch of uploads", "", "there is no such batch")
	}
	if err != nil {
		return b, err
	}
	b.Began, b.Touched = db.Time(began), db.Time(touched)
	if ended != 0 {
		b.Ended = db.Time(ended)
	}
	return b, nil
}

// Touch notes that something of a batch came, and so that more may.
func (r *Record) Touch(tx *db.Tx, id catalogue.DepositID) error {
	_, err := tx.Exec(`UPDATE upload_batch SET touched = ?, ended = 0 WHERE id = ?`, db.Micros(time.Now()), int64(id))
	return err
}

// End notes that no more of a batch is awaited.
func (r *Record) End(tx *db.Tx, id catalogue.DepositID) error {
	_, err := tx.Exec(`UPDATE upload_batch SET ended = ? WHERE id = ? AND ended = 0`, db.Micros(time.Now()), int64(id))
	return err
}

// Quiet lists batches of which nothing came since a moment, and that have not ended.
func (r *Record) Quiet(ctx context.Context, since time.Time, limit int) ([]catalogue.DepositID, error) {
	rows, err := r.d.Query(ctx, `SELECT id FROM upload_batch WHERE ended = 0 AND touched < ? ORDER BY touched LIMIT ?`, db.Micros(since), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []catalogue.DepositID
	for rows.Next() {
		var id catalogue.DepositID
		if err := rows.Scan(&id); err != nil {
			return nil, db.Fault("list batches", err)
		}
		all = append(all, id)
	}
	return all, db.Fault("list batches", rows.Err())
}

// Add notes an upload that begins. An earlier one of the same ordinal that is still arriving gives way, and its identifier is returned for its pieces to be removed; one
// that has a fate does not: the error is a fault.Conflict. What is over the quota is a fault.TooLarge.
func (r *Record) Add(tx *db.Tx, u Upload, q Quota) (replaced string, err error) {
	const attempt = "begin upload"
	if err := tx.Lock("uploads of " + u.Actor); err != nil {
		return "", err
	}
	var fate string
	err = tx.QueryRow(`SELECT id, fate FROM upload WHERE batch = ? AND ordinal = ?`, int64(u.Batch), u.Ordinal).Scan(&replaced, &fate)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return "", err
	case fate != "":
		return "", fault.New(fault.Conflict, attempt, "", "the file of this number has come already; ask the batch what became of it")
	default:
		if err := r.Remove(tx, replaced); err != nil {
			return "", err
		}
	}
	if u.Link != "" {
		err = r.reserve(tx, u.Link, u.Size)
	} else {
		err = within(tx, u, q)
	}
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(`INSERT INTO upload (id, batch, ordinal, actor, link, size, sealed, fate, reasons, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, '', '', ?, ?)`,
		u.ID, int64(u.Batch), u.Ordinal, u.Actor, u.Link, u.Size, u.Sealed, db.Micros(time.Now()), db.Micros(u.Expires))
	return replaced, err
}

// within refuses what would be more than one person may have arriving.
func within(tx *db.Tx, u Upload, q Quota) error {
	var n, bytes int64
	if err := tx.QueryRow(`SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM upload WHERE actor = ? AND fate = ''`, u.Actor).Scan(&n, &bytes); err != nil {
		return err
	}
	if n >= q.Uploads || bytes+u.Size > q.Bytes {
		return fault.New(fault.TooLarge, "begin upload", "", "too much of yours is half uploaded already; let that end, or take it back, and go on")
	}
	return nil
}

const columns = `SELECT id, batch, ordinal, actor, link, size, sealed, fate, reasons, created, expires FROM upload`

func scan(row interface{ Scan(...any) error }) (Upload, error) {
	var u Upload
	var reasons string
	var created, expires int64
	if err := row.Scan(&u.ID, &u.Batch, &u.Ordinal, &u.Actor, &u.Link, &u.Size, &u.Sealed, &u.Fate, &reasons, &created, &expires); err != nil {
		return u, err
	}
	u.Created, u.Expires = db.Time(created), db.Time(expires)
	if reasons != "" {
		if err := json.Unmarshal([]byte(reasons), &u.Reasons); err != nil {
			return u, fault.Wrap(fault.Corrupt, "read upload", "", err)
		}
	}
	return u, nil
}

// Upload is one upload; a fault.NotFound if there is none.
func (r *Record) Upload(ctx context.Context, id string) (Upload, error) {
	u, err := scan(r.d.QueryRow(ctx, columns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return u, fault.New(fault.NotFound, "find upload", "", "there is no such upload")
	}
	return u, err
}

// Uploads lists those of a batch, by ordinal, after the one given.
func (r *Record) Uploads(ctx context.Context, batch catalogue.DepositID, after int64, limit int) ([]Upload, error) {
	return r.list(ctx, columns+` WHERE batch = ? AND ordinal > ? ORDER BY ordinal LIMIT ?`, int64(batch), after, int64(limit))
}

// Expired lists uploads whose time has come, oldest first.
func (r *Record) Expired(ctx context.Context, now time.Time, limit int) ([]Upload, error) {
	return r.list(ctx, columns+` WHERE expires < ? ORDER BY expires LIMIT ?`, db.Micros(now), int64(limit))
}

func (r *Record) list(ctx context.Context, query string, args ...any) ([]Upload, error) {
	rows, err := r.d.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Upload
	for rows.Next() {
		u, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list uploads", err)
		}
		all = append(all, u)
	}
	return all, db.Fault("list uploads", rows.Err())
}

// Extend notes until when an upload is waited for.
func (r *Record) Extend(tx *db.Tx, id string, until time.Time) error {
	_, err := tx.Exec(`UPDATE upload SET expires = ? WHERE id = ? AND fate = ''`, db.Micros(until), id)
	return err
}

// Arriving lists what somebody has arriving, oldest first.
func (r *Record) Arriving(ctx context.Context, actor string, limit int64) ([]Upload, error) {
	return r.list(ctx, columns+` WHERE actor = ? AND fate = '' ORDER BY created, id LIMIT ?`, actor, limit)
}

// Grow notes how much has come of an upload whose size was not known, if the quota allows for it: a fault.TooLarge if it does not.
func (r *Record) Grow(tx *db.Tx, u Upload, q Quota) error {
	var others int64
	if err := tx.QueryRow(`SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM upload WHERE actor = ? AND fate = '' AND id <> ?`, u.Actor, u.ID).Scan(&others); err != nil {
		return err
	}
	if others+u.Size > q.Bytes {
		return fault.New(fault.TooLarge, "upload", "", "too much of yours is half uploaded already; let that end, or take it back, and go on")
	}
	_, err := tx.Exec(`UPDATE upload SET size = ? WHERE id = ? AND fate = ''`, u.Size, u.ID)
	return err
}

// Settle writes what became of an upload, until when that is told, and forgets what opens its pieces.
func (r *Record) Settle(tx *db.Tx, id, fate string, reasons []catalogue.Reason, until time.Time) error {
	text := ""
	if len(reasons) > 0 {
		b, err := json.Marshal(reasons)
		if err != nil {
			return fault.Wrap(fault.Internal, "note what became of an upload", "", err)
		}
		text = string(b)
	}
	_, err := tx.Exec(`UPDATE upload SET fate = ?, reasons = ?, sealed = ?, expires = ? WHERE id = ?`, fate, text, []byte{}, db.Micros(until), id)
	return err
}

// Remove forgets an upload. One that is not there is none the less forgotten. What had no fate yet is given back to its link's quota.
func (r *Record) Remove(tx *db.Tx, id string) error {
	var link string
	var size int64
	err := tx.QueryRow(`DELETE FROM upload WHERE id = ? RETURNING CASE WHEN fate = '' THEN link ELSE '' END, size`, id).Scan(&link, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.giveBack(tx, link, size)
}

// Expire forgets an upload if its time has come: there says that it had, arriving, that it had no fate yet.
func (r *Record) Expire(tx *db.Tx, id string, now time.Time) (there, arriving bool, err error) {
	var fate string
	err = tx.QueryRow(`SELECT fate FROM upload WHERE id = ? AND expires < ?`, id, db.Micros(now)).Scan(&fate)
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	return true, fate == "", r.Remove(tx, id)
}

// RemoveEmpty forgets batches that ended before a moment and have no uploads any more.
func (r *Record) RemoveEmpty(tx *db.Tx, endedBefore time.Time) error {
	_, err := tx.Exec(`DELETE FROM upload_batch WHERE ended > 0 AND ended < ? AND NOT EXISTS (SELECT 1 FROM upload u WHERE u.batch = upload_batch.id)`, db.Micros(endedBefore))
	return err
}
