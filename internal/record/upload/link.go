package upload

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Digest is the keyed digest of a link's secret.
type Digest [sha256.Size]byte

// Link lets somebody outside send into one collection, until it ends or its quota is used. docs/formats/link.md says what each column means.
type Link struct {
	ID         string // what the audit log calls whoever holds it
	Collection collection.ID
	Maker      string // what the audit log calls who made it
	Sealed     []byte // label and address; empty: forgotten
	Created    time.Time
	Expires    time.Time
	Revoked    time.Time // zero: it was not
	Quota      Quota     // of everything that is ever sent by it
	Used       Quota     // of that, what was, or is announced and waited for
	LastUsed   time.Time // when a file was last announced; zero: never
	Mail       MailState
	MailWhy    string    // why the server has not taken it, without the address
	Mailed     time.Time // when Mail was last written; zero: never
}

// MailState is how the mail with a link stands.
type MailState string

// The states of a mail.
const (
	MailNone    MailState = ""        // nobody was to be written to
	MailQueued  MailState = "queued"  // it waits for its turn
	MailRetried MailState = "retried" // the server could not take it, and is asked again
	MailSent    MailState = "sent"    // the server has taken it
	MailFailed  MailState = "failed"  // it is given up
)

// InForce reports whether the link opens anything at a moment.
func (l Link) InForce(now time.Time) bool { return l.Revoked.IsZero() && now.Before(l.Expires) }

// Full reports whether nothing more can be sent by the link.
func (l Link) Full() bool { return l.Used.Uploads >= l.Quota.Uploads || l.Used.Bytes >= l.Quota.Bytes }

// AddLink registers a link whose secret has this digest.
func (r *Record) AddLink(tx *db.Tx, hash Digest, l Link) error {
	_, err := tx.Exec(`INSERT INTO upload_link (id, hash, collection, maker, sealed, created, expires, revoked, quota_bytes, quota_files, used_bytes, used_files, used, batches, mail, mail_why, mailed)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0, 0, 0, ?, '', 0)`, l.ID, hash[:], string(l.Collection), l.Maker, l.Sealed, db.Micros(l.Created), db.Micros(l.Expires), l.Quota.Bytes, l.Quota.Uploads, string(l.Mail))
	return err
}

const linkColumns = `SELECT id, collection, maker, sealed, created, expires, revoked, quota_bytes, quota_files, used_bytes, used_files, used, mail, mail_why, mailed FROM upload_link`

func scanLink(row interface{ Scan(...any) error }) (Link, error) {
	var l Link
	var created, expires, revoked, used, mailed int64
	err := row.Scan(&l.ID, &l.Collection, &l.Maker, &l.Sealed, &created, &expires, &revoked, &l.Quota.Bytes, &l.Quota.Uploads, &l.Used.Bytes, &l.Used.Uploads, &used, &l.Mail, &l.MailWhy, &mailed)
	if err != nil {
		return Link{}, err
	}
	l.Created, l.Expires = db.Time(created), db.Time(expires)
	for _, t := range []struct {
		micros int64
		to     *time.Time
	}{{revoked, &l.Revoked}, {used, &l.LastUsed}, {mailed, &l.Mailed}} {
		if t.micros != 0 {
			*t.to = db.Time(t.micros)
		}
	}
	return l, nil
}

func noLink() error {
	return fault.New(fault.NotFound, "find link", "", "there is no such link")
}

// LinkByDigest is the link of a secret, whether or not it is in force; a fault.NotFound if there is none.
func (r *Record) LinkByDigest(ctx context.Context, hash Digest) (Link, error) {
	l, err := scanLink(r.d.QueryRow(ctx, linkColumns+` WHERE hash = ?`, hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return l, noLink()
	}
	return l, err
}

// Link is one link; a fault.NotFound if there is none.
func (r *Record) Link(ctx context.Context, id string) (Link, error) {
	l, err := scanLink(r.d.QueryRow(ctx, linkColumns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return l, noLink()
	}
	return l, err
}

// Links lists those of a collection, the latest first.
func (r *Record) Links(ctx context.Context, c collection.ID, limit int) ([]Link, error) {
	rows, err := r.d.Query(ctx, linkColumns+` WHERE collection = ? ORDER BY created DESC, id LIMIT ?`, string(c), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Link
	for rows.Next() {
		l, err := scanLink(rows)
		if err != nil {
			return nil, db.Fault("list links", err)
		}
		all = append(all, l)
	}
	return all, db.Fault("list links", rows.Err())
}

// RevokeLink ends a link of a collection for good.
func (r *Record) RevokeLink(tx *db.Tx, c collection.ID, id string) error {
	res, err := tx.Exec(`UPDATE upload_link SET revoked = ? WHERE id = ? AND collection = ? AND revoked = 0`, db.Micros(time.Now()), id, string(c))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.NotFound, "end link", "", "there is no such link, or it was ended already")
}

// NoteMail writes how the mail with a link stands.
func (r *Record) NoteMail(tx *db.Tx, id string, s MailState, why string) error {
	_, err := tx.Exec(`UPDATE upload_link SET mail = ?, mail_why = ?, mailed = ? WHERE id = ?`, string(s), why, db.Micros(time.Now()), id)
	return err
}

// ForgetHolders erases label and address of links that ended before a moment.
func (r *Record) ForgetHolders(tx *db.Tx, before time.Time) error {
	_, err := tx.Exec(`UPDATE upload_link SET sealed = ? WHERE LENGTH(sealed) > 0 AND (expires < ? OR (revoked > 0 AND revoked < ?))`, []byte{}, db.Micros(before), db.Micros(before))
	return err
}

// ReserveBatch lets one more batch begin by a link that is in force and has room for a file. There are no more batches than files: an empty one is no use to anybody.
func (r *Record) ReserveBatch(tx *db.Tx, id string) error {
	now := db.Micros(time.Now())
	res, err := tx.Exec(`UPDATE upload_link SET batches = batches + 1 WHERE id = ? AND revoked = 0 AND expires > ? AND batches < quota_files AND used_files < quota_files AND used_bytes < quota_bytes`, id, now)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return r.shut(tx, id)
}

// shut says why a link does not take more.
func (r *Record) shut(tx *db.Tx, id string) error {
	l, err := scanLink(tx.QueryRow(linkColumns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return noLink()
	}
	if err != nil {
		return err
	}
	if !l.InForce(time.Now()) {
		return fault.Wrap(fault.Denied, "begin upload", "", ErrEnded)
	}
	return fault.Wrap(fault.TooLarge, "begin upload", "", ErrOver)
}

// Why a link does not take more.
var (
	ErrEnded = errors.New("the link has ended")
	ErrOver  = errors.New("it would be more than may be sent by the link")
)

// reserve takes a file's place out of a link's quota, if the link is in force and has room for it. One statement decides: of senders who race, none goes over.
func (r *Record) reserve(tx *db.Tx, id string, size int64) error {
	now := db.Micros(time.Now())
	res, err := tx.Exec(`UPDATE upload_link SET used_bytes = used_bytes + ?, used_files = used_files + 1, used = ?
		WHERE id = ? AND revoked = 0 AND expires > ? AND used_files < quota_files AND used_bytes <= quota_bytes - ?`, size, now, id, now, size)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return r.shut(tx, id)
}

// giveBack returns the place of a file that was announced and will not come.
func (r *Record) giveBack(tx *db.Tx, id string, size int64) error {
	if id == "" {
		return nil
	}
	_, err := tx.Exec(`UPDATE upload_link SET used_bytes = used_bytes - ?, used_files = used_files - 1 WHERE id = ?`, size, id)
	return err
}
