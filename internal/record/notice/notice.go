// Package notice is the record of who wants to be told by mail, and how that stands. docs/formats/notice.md says what each column means.
//
// It promises: an address comes and goes sealed, and goes when its owner wants no notices any more. It does not decide whom of what to tell.
package notice

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
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
	if err := d.Migrate(ctx, "notice", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Notice is somebody's wish to be told that something is held.
type Notice struct {
	Account string
	Sealed  []byte    // the address
	Asked   time.Time // since when
	Told    time.Time // when a mail was last queued; zero: never
	Held    int64     // how many images were held when somebody was last told, or fewer if it became fewer since
	Mail    string    // how the last mail stands: empty, queued, retried, sent, failed
	MailWhy string
	Mailed  time.Time // since when; zero: never
}

const columns = `SELECT account, sealed, asked, told, held, mail, mail_why, mailed FROM held_notice`

func scan(row interface{ Scan(...any) error }) (Notice, error) {
	var n Notice
	var asked, told, mailed int64
	if err := row.Scan(&n.Account, &n.Sealed, &asked, &told, &n.Held, &n.Mail, &n.MailWhy, &mailed); err != nil {
		return Notice{}, err
	}
	n.Asked = db.Time(asked)
	if told != 0 {
		n.Told = db.Time(told)
	}
	if mailed != 0 {
		n.Mailed = db.Time(mailed)
	}
	return n, nil
}

// Put notes that an account wants to be told, from now on and at this address.
func (r *Record) Put(tx *db.Tx, account string, sealed []byte) error {
	_, err := tx.Exec(`INSERT INTO held_notice (account, sealed, asked, told, held, mail, mail_why, mailed) VALUES (?, ?, ?, 0, 0, '', '', 0)
		ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed, asked = excluded.asked, mail = '', mail_why = '', mailed = 0`, account, sealed, db.Micros(time.Now()))
	return err
}

// Remove forgets the wish and the address.
func (r *Record) Remove(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM held_notice WHERE account = ?`, account)
	return err
}

// Of is the wish of an account; a fault.NotFound if there is none.
func (r *Record) Of(ctx context.Context, account string) (Notice, error) {
	n, err := scan(r.d.QueryRow(ctx, columns+` WHERE account = ?`, account))
	if errors.Is(err, sql.ErrNoRows) {
		return n, fault.New(fault.NotFound, "find notice", "", "no notices are wanted")
	}
	return n, err
}

// All lists every wish.
func (r *Record) All(ctx context.Context) ([]Notice, error) {
	rows, err := r.d.Query(ctx, columns+` ORDER BY account`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Notice
	for rows.Next() {
		n, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list notices", err)
		}
		all = append(all, n)
	}
	return all, db.Fault("list notices", rows.Err())
}

// Seen notes how many images are held, where they have become fewer.
func (r *Record) Seen(tx *db.Tx, account string, held int64) error {
	_, err := tx.Exec(`UPDATE held_notice SET held = ? WHERE account = ? AND held > ?`, held, account, held)
	return err
}

// Tell notes that somebody is told now. told is false where another process was faster, or the wish is gone.
func (r *Record) Tell(tx *db.Tx, n Notice, held int64, now time.Time) (told bool, err error) {
	before := int64(0)
	if !n.Told.IsZero() {
		before = db.Micros(n.Told)
	}
	res, err := tx.Exec(`UPDATE held_notice SET told = ?, held = ?, mail = 'queued', mail_why = '', mailed = ? WHERE account = ? AND told = ?`, db.Micros(now), held, db.Micros(now), n.Account, before)
	if err != nil {
		return false, err
	}
	k, err := res.RowsAffected()
	return k == 1, err
}

// NoteMail writes how the last mail stands.
func (r *Record) NoteMail(tx *db.Tx, account, state, why string) error {
	_, err := tx.Exec(`UPDATE held_notice SET mail = ?, mail_why = ?, mailed = ? WHERE account = ?`, state, why, db.Micros(time.Now()), account)
	return err
}
