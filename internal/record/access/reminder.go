package access

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
)

// Reminder is somebody's wish to be reminded by mail.
type Reminder struct {
	Account string
	Sealed  []byte // the address
	Asked   time.Time
	Mail    string // how the last mail stands: empty, queued, retried, sent, failed
	MailWhy string
	Mailed  time.Time // since when; zero: never
}

// PutReminder notes that an account wants to be reminded at this address.
func (r *Record) PutReminder(tx *db.Tx, account string, sealed []byte, at time.Time) error {
	_, err := tx.Exec(`INSERT INTO access_reminder (account, sealed, asked, mail, mail_why, mailed) VALUES (?, ?, ?, '', '', 0)
		ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed, asked = excluded.asked, mail = '', mail_why = '', mailed = 0`, account, sealed, db.Micros(at))
	return err
}

// RemoveReminder forgets the wish and the address.
func (r *Record) RemoveReminder(tx *db.Tx, account string) error {
	if _, err := tx.Exec(`DELETE FROM access_reminder WHERE account = ?`, account); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM access_reminded WHERE account = ?`, account)
	return err
}

const reminderColumns = `SELECT account, sealed, asked, mail, mail_why, mailed FROM access_reminder`

func scanReminder(row interface{ Scan(...any) error }) (n Reminder, err error) {
	var asked, mailed int64
	err = row.Scan(&n.Account, &n.Sealed, &asked, &n.Mail, &n.MailWhy, &mailed)
	n.Asked, n.Mailed = db.Time(asked), moment(mailed)
	return n, err
}

// Reminder is the wish of an account; a fault.NotFound if there is none.
func (r *Record) Reminder(ctx context.Context, account string) (Reminder, error) {
	n, err := scanReminder(r.d.QueryRow(ctx, reminderColumns+` WHERE account = ?`, account))
	return n, gone(err, "reminder")
}

// Reminders lists every wish.
func (r *Record) Reminders(ctx context.Context) ([]Reminder, error) {
	return rows(ctx, r, "list reminders", scanReminder, reminderColumns+` ORDER BY account`)
}

// Remind notes that somebody is reminded of something now. told is false where they were before, or want none any more.
func (r *Record) Remind(tx *db.Tx, account, about string, at time.Time) (told bool, err error) {
	if err := tx.Lock("access reminder " + account); err != nil {
		return false, err
	}
	var wants, before int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_reminder WHERE account = ?`, account).Scan(&wants); err != nil {
		return false, err
	}
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_reminded WHERE account = ? AND about = ?`, account, about).Scan(&before); err != nil || wants == 0 || before > 0 {
		return false, err
	}
	if _, err := tx.Exec(`INSERT INTO access_reminded (account, about, told) VALUES (?, ?, ?)`, account, about, db.Micros(at)); err != nil {
		return false, err
	}
	_, err = tx.Exec(`UPDATE access_reminder SET mail = 'queued', mail_why = '', mailed = ? WHERE account = ?`, db.Micros(at), account)
	return err == nil, err
}

// NoteMail notes how the mail to an account stands.
func (r *Record) NoteMail(tx *db.Tx, account, state, why string, at time.Time) error {
	_, err := tx.Exec(`UPDATE access_reminder SET mail = ?, mail_why = ?, mailed = ? WHERE account = ?`, state, why, db.Micros(at), account)
	return err
}
