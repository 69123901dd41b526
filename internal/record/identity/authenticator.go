package identity

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Authenticator is an app that shows one-time codes by the clock (RFC 6238), one for an account at most.
type Authenticator struct {
	Wrapped []byte // its secret, sealed by the flow: never in clear here
	Step    int64  // of the clock, of the last code that was taken: none is taken twice
	Created time.Time
	Used    time.Time // zero: never
}

// SetAuthenticator gives an account its app and its recovery codes, in place of those that it had.
func (r *Record) SetAuthenticator(tx *db.Tx, account string, a Authenticator, recovery []Code) error {
	if err := r.RemoveAuthenticator(tx, account); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO authenticator (account, wrapped, step, created, used) VALUES (?, ?, ?, ?, 0)`, account, a.Wrapped, a.Step, db.Micros(time.Now()))
	if err != nil {
		return err
	}
	return r.SetRecoveryCodes(tx, account, recovery)
}

// RemoveAuthenticator takes an account's app, its recovery codes and its known browsers away.
func (r *Record) RemoveAuthenticator(tx *db.Tx, account string) error {
	for _, q := range []string{`DELETE FROM authenticator WHERE account = ?`, `DELETE FROM recovery_code WHERE account = ?`, `DELETE FROM known_browser WHERE account = ?`} {
		if _, err := tx.Exec(q, account); err != nil {
			return err
		}
	}
	return nil
}

// Authenticator is the app of an account; a fault.NotFound if there is none.
func (r *Record) Authenticator(ctx context.Context, account string) (a Authenticator, err error) {
	var created, used int64
	err = r.d.QueryRow(ctx, `SELECT wrapped, step, created, used FROM authenticator WHERE account = ?`, account).Scan(&a.Wrapped, &a.Step, &created, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return a, fault.New(fault.NotFound, "find authenticator", "", "the account has none")
	}
	a.Created, a.Used = instant(created), instant(used)
	return a, db.Fault("find authenticator", err)
}

// UseAuthenticator notes the step of a code that was taken; taken is false where a later one, or the same, was taken before.
func (r *Record) UseAuthenticator(tx *db.Tx, account string, step int64) (taken bool, err error) {
	res, err := tx.Exec(`UPDATE authenticator SET step = ?, used = ? WHERE account = ? AND step < ?`, step, db.Micros(time.Now()), account, step)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// SetRecoveryCodes gives an account these recovery codes and no others.
func (r *Record) SetRecoveryCodes(tx *db.Tx, account string, codes []Code) error {
	if _, err := tx.Exec(`DELETE FROM recovery_code WHERE account = ?`, account); err != nil {
		return err
	}
	for _, c := range codes {
		sum := c.digest("recovery of " + account)
		if _, err := tx.Exec(`INSERT INTO recovery_code (hash, account) VALUES (?, ?)`, sum[:], account); err != nil {
			return err
		}
	}
	return nil
}

// TakeRecoveryCode uses a recovery code up, if it is one of the account's.
func (r *Record) TakeRecoveryCode(tx *db.Tx, account string, code Code) (taken bool, err error) {
	sum := code.digest("recovery of " + account)
	res, err := tx.Exec(`DELETE FROM recovery_code WHERE hash = ? AND account = ?`, sum[:], account)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// RecoveryCodes is how many recovery codes an account has left.
func (r *Record) RecoveryCodes(ctx context.Context, account string) (n int, err error) {
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM recovery_code WHERE account = ?`, account).Scan(&n)
	return n, db.Fault("count recovery codes", err)
}

// CountTry counts a try to prove an account by a code that could be guessed, before the code is looked at: whoever tries at the same time is counted too. It is
// a fault.Denied once the account is locked.
func (r *Record) CountTry(tx *db.Tx, account string) (tries int, err error) {
	res, err := tx.Exec(`UPDATE account SET failures = failures + 1 WHERE id = ? AND locked = 0`, account)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return 0, errors.Join(err, fault.New(fault.Denied, "sign in by one-time code", "",
			"one-time codes of this account are locked after too many wrong ones; a passkey still works, and an administrator can lift the lock"))
	}
	err = tx.QueryRow(`SELECT failures FROM account WHERE id = ?`, account).Scan(&tries)
	return tries, err
}

// Lock takes no more one-time codes of an account until the lock is lifted.
func (r *Record) Lock(tx *db.Tx, account string) error {
	_, err := tx.Exec(`UPDATE account SET locked = ? WHERE id = ?`, db.Micros(time.Now()), account)
	return err
}

// Unlock forgets the failures of an account.
func (r *Record) Unlock(tx *db.Tx, account string) error {
	res, err := tx.Exec(`UPDATE account SET failures = 0, locked = 0 WHERE id = ?`, account)
	return changed(res, err, "lift lock-out", "there is no such account")
}

// AddBrowser makes a browser known: with its secret, the account's app alone signs in.
func (r *Record) AddBrowser(tx *db.Tx, secret Secret, account string, ends time.Time) error {
	now := db.Micros(time.Now())
	if _, err := tx.Exec(`DELETE FROM known_browser WHERE ends <= ?`, now); err != nil {
		return err
	}
	sum := secret.digest()
	_, err := tx.Exec(`INSERT INTO known_browser (hash, account, created, ends) VALUES (?, ?, ?, ?)`, sum[:], account, now, db.Micros(ends))
	return err
}

// AccountOfBrowser is whose browser it is; a fault.Denied if it is not known, or not any more.
func (r *Record) AccountOfBrowser(ctx context.Context, presented string) (account string, err error) {
	denied := fault.New(fault.Denied, "sign in by one-time code", "", "this browser is not known, or has not been used for too long")
	secret, err := ParseSecret(presented)
	if err != nil {
		return "", denied
	}
	sum := secret.digest()
	var ends int64
	err = r.d.QueryRow(ctx, `SELECT account, ends FROM known_browser WHERE hash = ?`, sum[:]).Scan(&account, &ends)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !time.Now().Before(instant(ends)) {
		return "", denied
	}
	return account, db.Fault("recognise browser", err)
}

// KeepBrowser lets a browser be known for longer.
func (r *Record) KeepBrowser(tx *db.Tx, presented string, ends time.Time) error {
	secret, err := ParseSecret(presented)
	if err != nil {
		return nil //nolint:nilerr // what is no secret is no browser's either
	}
	sum := secret.digest()
	_, err = tx.Exec(`UPDATE known_browser SET ends = ? WHERE hash = ?`, db.Micros(ends), sum[:])
	return err
}

// ForgetBrowsers lets none of an account's browsers be known any more.
func (r *Record) ForgetBrowsers(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM known_browser WHERE account = ?`, account)
	return err
}

// Browsers is how many browsers of an account are known.
func (r *Record) Browsers(ctx context.Context, account string) (n int, err error) {
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM known_browser WHERE account = ? AND ends > ?`, account, db.Micros(time.Now())).Scan(&n)
	return n, db.Fault("count browsers", err)
}
