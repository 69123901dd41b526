package identity

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Foreign is what an OpenID Connect provider calls a person: issuer and subject together, and nothing else (OpenID Connect Core 2). No address is kept.
type Foreign struct {
	Issuer, Subject string
	Account         string
	Created         time.Time
	Used            time.Time // zero: never
}

// AddForeign lets an account be signed in to by what an issuer calls its owner.
func (r *Record) AddForeign(tx *db.Tx, f Foreign) error {
	const attempt = "link identity"
	if f.Issuer == "" || f.Subject == "" || len(f.Subject) > 255 || len(f.Issuer) > 255 {
		return fault.New(fault.Invalid, attempt, "", "an issuer, and what it calls the person, are 1 to 255 bytes long")
	}
	res, err := tx.Exec(`INSERT INTO account_identity (issuer, subject, account, created, used) VALUES (?, ?, ?, ?, 0) ON CONFLICT (issuer, subject) DO NOTHING`,
		f.Issuer, f.Subject, f.Account, db.Micros(time.Now()))
	return added(res, err, attempt, "it belongs to an account already")
}

// AccountOfForeign is whom an issuer calls so; a fault.NotFound if nobody is known by that.
func (r *Record) AccountOfForeign(ctx context.Context, issuer, subject string) (Account, error) {
	var id string
	err := r.d.QueryRow(ctx, `SELECT account FROM account_identity WHERE issuer = ? AND subject = ?`, issuer, subject).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return Account{}, fault.New(fault.NotFound, "find account", "", "there is no such account")
	}
	if err != nil {
		return Account{}, db.Fault("find account", err)
	}
	return r.Account(ctx, id)
}

// UseForeign notes that an identity was used.
func (r *Record) UseForeign(tx *db.Tx, issuer, subject string) error {
	_, err := tx.Exec(`UPDATE account_identity SET used = ? WHERE issuer = ? AND subject = ?`, db.Micros(time.Now()), issuer, subject)
	return err
}

// RemoveForeign takes an identity from an account.
func (r *Record) RemoveForeign(tx *db.Tx, account, issuer, subject string) error {
	res, err := tx.Exec(`DELETE FROM account_identity WHERE account = ? AND issuer = ? AND subject = ?`, account, issuer, subject)
	return changed(res, err, "unlink identity", "there is no such identity")
}

// ForeignOf lists what issuers call the owner of an account.
func (r *Record) ForeignOf(ctx context.Context, account string) ([]Foreign, error) {
	rows, err := r.d.Query(ctx, `SELECT issuer, subject, account, created, used FROM account_identity WHERE account = ? ORDER BY created, subject`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Foreign
	for rows.Next() {
		var f Foreign
		var created, used int64
		if err := rows.Scan(&f.Issuer, &f.Subject, &f.Account, &created, &used); err != nil {
			return nil, db.Fault("list identities", err)
		}
		f.Created, f.Used = instant(created), instant(used)
		all = append(all, f)
	}
	return all, db.Fault("list identities", rows.Err())
}

// Ways counts how an account can be signed in to.
type Ways struct {
	Passkeys, Apps, Foreign int
	Sessions                int       // that have not ended
	Invited                 time.Time // until when a link that nobody used yet works; zero: there is none
}

// Any reports whether somebody can come back once signed out, without an administrator.
func (w Ways) Any() bool { return w.Passkeys+w.Apps+w.Foreign > 0 }

// Ways counts for every account at once.
func (r *Record) Ways(ctx context.Context) (map[string]Ways, error) {
	now := db.Micros(time.Now())
	all := map[string]Ways{}
	for _, q := range []struct {
		text string
		args []any
		set  func(w *Ways, n int64)
	}{
		{`SELECT account, COUNT(*) FROM passkey GROUP BY account`, nil, func(w *Ways, n int64) { w.Passkeys = int(n) }},
		{`SELECT account, COUNT(*) FROM authenticator GROUP BY account`, nil, func(w *Ways, n int64) { w.Apps = int(n) }},
		{`SELECT account, COUNT(*) FROM account_identity GROUP BY account`, nil, func(w *Ways, n int64) { w.Foreign = int(n) }},
		{`SELECT account, COUNT(*) FROM session WHERE ends > ? AND used > ? GROUP BY account`, []any{now, now - IdleFor.Microseconds()}, func(w *Ways, n int64) { w.Sessions = int(n) }},
		{`SELECT account, MAX(ends) FROM sign_in_link WHERE ends > ? GROUP BY account`, []any{now}, func(w *Ways, n int64) { w.Invited = instant(n) }},
	} {
		rows, err := r.d.Query(ctx, q.text, q.args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id string
			var n int64
			if err := rows.Scan(&id, &n); err != nil {
				rows.Close()
				return nil, db.Fault("count ways to sign in", err)
			}
			w := all[id]
			q.set(&w, n)
			all[id] = w
		}
		err = rows.Err()
		rows.Close()
		if err != nil {
			return nil, db.Fault("count ways to sign in", err)
		}
	}
	return all, nil
}
