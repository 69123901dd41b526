package identity

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Local is the issuer of accounts that the node itself keeps.
const Local = "local"

// Account is a person who may sign in: known by who vouches for them and what that one calls them, never by an e-mail address, which changes hands.
type Account struct {
	ID       string // what the audit log calls them
	Issuer   string // Local, or the issuer of OpenID Connect
	Subject  string // what the issuer calls them; of a local account its id
	Name     string // what people call them
	Grants   []policy.Grant
	Created  time.Time
	Disabled time.Time // zero: it is not
	Seen     time.Time // when a session last began; zero: never
	Locked   time.Time // since when no one-time code is taken; zero: they are
}

// Pending reports somebody who may sign in, and nothing more: nobody has given them a role yet.
func (a Account) Pending() bool { return len(a.Grants) == 0 && a.Disabled.IsZero() }

// CreateAccount registers a person. An empty issuer makes a local account. That the collections of its grants exist is for the caller to see to.
func (r *Record) CreateAccount(tx *db.Tx, a Account) (Account, error) {
	const attempt = "create account"
	if err := checkName(attempt, a.Name); err != nil {
		return a, err
	}
	var err error
	if a.ID, err = newID("person-"); err != nil {
		return a, err
	}
	if a.Issuer == "" || a.Issuer == Local {
		a.Issuer, a.Subject = Local, a.ID
	}
	if a.Subject == "" || len(a.Subject) > 255 || len(a.Issuer) > 255 {
		return a, fault.New(fault.Invalid, attempt, "", "an issuer, and what it calls the person, are 1 to 255 bytes long")
	}
	a.Created, a.Disabled = db.Time(db.Micros(time.Now())), time.Time{}
	res, err := tx.Exec(`INSERT INTO account (id, issuer, subject, name, created, disabled) VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (issuer, subject) DO NOTHING`,
		a.ID, a.Issuer, a.Subject, a.Name, db.Micros(a.Created))
	if err := added(res, err, attempt, "there is an account for that person already"); err != nil {
		return a, err
	}
	return a, r.SetGrants(tx, a.ID, a.Grants)
}

// SetGrants gives an account these grants and no others.
func (r *Record) SetGrants(tx *db.Tx, id string, grants []policy.Grant) error {
	const attempt = "give grants"
	if _, err := tx.Exec(`DELETE FROM account_grant WHERE account = ?`, id); err != nil {
		return err
	}
	for _, g := range grants {
		if _, ok := policy.ParseRole(g.Role.String()); !ok {
			return fault.New(fault.Invalid, attempt, "", "a person's role is one of depositor, researcher, physicist, custodian, committee, funder, steward, admin")
		}
		if err := checkCollection(g.Collection); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO account_grant (account, role, collection) VALUES (?, ?, ?) ON CONFLICT (account, role, collection) DO NOTHING`,
			id, g.Role.String(), g.Collection); err != nil {
			return err
		}
	}
	return nil
}

// Holders is how many accounts that may sign in have a role in all collections.
func (r *Record) Holders(tx *db.Tx, role policy.Role) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM account_grant g JOIN account a ON a.id = g.account WHERE g.role = ? AND g.collection = ? AND a.disabled = 0`,
		role.String(), policy.AllCollections).Scan(&n)
	return n, err
}

// SetDisabled lets an account sign in no more, and ends its sessions; or lets it sign in again.
func (r *Record) SetDisabled(tx *db.Tx, id string, disabled bool) error {
	at := int64(0)
	if disabled {
		at = db.Micros(time.Now())
	}
	res, err := tx.Exec(`UPDATE account SET disabled = ? WHERE id = ?`, at, id)
	if err := changed(res, err, "change account", "there is no such account"); err != nil || !disabled {
		return err
	}
	for _, q := range []string{`DELETE FROM session WHERE account = ?`, `DELETE FROM sign_in_link WHERE account = ?`, `DELETE FROM sign_in_code WHERE account = ?`,
		`DELETE FROM ceremony WHERE account = ?`, `DELETE FROM known_browser WHERE account = ?`} {
		if _, err := tx.Exec(q, id); err != nil {
			return err
		}
	}
	return nil
}

const accountColumns = `SELECT id, issuer, subject, name, created, disabled, seen, locked FROM account`

// Account is one account; a fault.NotFound if there is none.
func (r *Record) Account(ctx context.Context, id string) (Account, error) {
	return r.oneAccount(ctx, accountColumns+` WHERE id = ?`, id)
}

// AccountOf is the account of whom an issuer calls so.
func (r *Record) AccountOf(ctx context.Context, issuer, subject string) (Account, error) {
	return r.oneAccount(ctx, accountColumns+` WHERE issuer = ? AND subject = ?`, issuer, subject)
}

func (r *Record) oneAccount(ctx context.Context, q string, args ...any) (Account, error) {
	a, err := scanAccount(r.d.QueryRow(ctx, q, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return a, fault.New(fault.NotFound, "find account", "", "there is no such account")
	}
	if err != nil {
		return a, db.Fault("find account", err)
	}
	all := []Account{a}
	err = r.grants(ctx, all, `WHERE account = ?`, a.ID)
	return all[0], err
}

// Accounts lists every account, in the order in which they were made.
func (r *Record) Accounts(ctx context.Context) ([]Account, error) {
	rows, err := r.d.Query(ctx, accountColumns+` ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Account
	for rows.Next() {
		a, err := scanAccount(rows)
		if err != nil {
			return nil, db.Fault("list accounts", err)
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, db.Fault("list accounts", err)
	}
	return all, r.grants(ctx, all, ``)
}

// grants fills in what accounts may do.
func (r *Record) grants(ctx context.Context, all []Account, where string, args ...any) error {
	rows, err := r.d.Query(ctx, `SELECT account, role, collection FROM account_grant `+where+` ORDER BY account, collection, role`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	at := map[string]*Account{}
	for i := range all {
		at[all[i].ID] = &all[i]
	}
	for rows.Next() {
		var id, role string
		var g policy.Grant
		if err := rows.Scan(&id, &role, &g.Collection); err != nil {
			return db.Fault("read grants", err)
		}
		var ok bool
		if g.Role, ok = policy.ParseRole(role); !ok {
			return fault.New(fault.Corrupt, "read grants", id, "a role is unknown")
		}
		if a := at[id]; a != nil {
			a.Grants = append(a.Grants, g)
		}
	}
	return db.Fault("read grants", rows.Err())
}

func scanAccount(row interface{ Scan(...any) error }) (a Account, err error) {
	var created, disabled, seen, locked int64
	if err := row.Scan(&a.ID, &a.Issuer, &a.Subject, &a.Name, &created, &disabled, &seen, &locked); err != nil {
		return a, err
	}
	a.Created, a.Disabled, a.Seen, a.Locked = instant(created), instant(disabled), instant(seen), instant(locked)
	return a, nil
}

// Passkey is a key pair of which a person's device keeps the private half (W3C Web Authentication).
type Passkey struct {
	ID         []byte // of the credential
	Account    string
	Name       string // what its owner calls it
	Credential string // as the flow writes it
	Created    time.Time
	Used       time.Time // zero: never
}

// AddPasskey registers a passkey.
func (r *Record) AddPasskey(tx *db.Tx, p Passkey) error {
	const attempt = "add passkey"
	if err := checkName(attempt, p.Name); err != nil {
		return err
	}
	if len(p.ID) == 0 || len(p.ID) > 1023 {
		return fault.New(fault.Invalid, attempt, "", "its id is 1 to 1,023 bytes long")
	}
	res, err := tx.Exec(`INSERT INTO passkey (id, account, name, credential, created, used) VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (id) DO NOTHING`,
		p.ID, p.Account, p.Name, p.Credential, db.Micros(time.Now()))
	return added(res, err, attempt, "it is registered already")
}

// UsePasskey notes that a passkey was used; its credential counts its uses.
func (r *Record) UsePasskey(tx *db.Tx, id []byte, credential string) error {
	res, err := tx.Exec(`UPDATE passkey SET credential = ?, used = ? WHERE id = ?`, credential, db.Micros(time.Now()), id)
	return changed(res, err, "use passkey", "there is no such passkey")
}

// RemovePasskey takes a passkey from its owner.
func (r *Record) RemovePasskey(tx *db.Tx, account string, id []byte) error {
	res, err := tx.Exec(`DELETE FROM passkey WHERE account = ? AND id = ?`, account, id)
	return changed(res, err, "remove passkey", "there is no such passkey")
}

// Passkeys lists a person's.
func (r *Record) Passkeys(ctx context.Context, account string) ([]Passkey, error) {
	rows, err := r.d.Query(ctx, `SELECT id, account, name, credential, created, used FROM passkey WHERE account = ? ORDER BY created, id`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Passkey
	for rows.Next() {
		var p Passkey
		var created, used int64
		if err := rows.Scan(&p.ID, &p.Account, &p.Name, &p.Credential, &created, &used); err != nil {
			return nil, db.Fault("list passkeys", err)
		}
		p.Created, p.Used = instant(created), instant(used)
		all = append(all, p)
	}
	return all, db.Fault("list passkeys", rows.Err())
}

// Session is the time between signing in and out.
type Session struct {
	Hash    Digest // of its secret
	Account string
	Way     string // how it began: passkey, link, ...
	Created time.Time
	Used    time.Time // to a few minutes
	Ends    time.Time
}

// IdleFor is how long a session may go unused.
const IdleFor = 2 * time.Hour

// seldom is how exactly the last use of a session is known.
const seldom = 5 * time.Minute

// valid reports whether the session is in force at that moment. One that was used later than now is not: the clock has been set back since, and how long it has been idle
// cannot be told.
func (s Session) valid(now time.Time) bool {
	return now.Before(s.Ends) && now.Before(s.Used.Add(IdleFor)) && now.After(s.Used.Add(-seldom))
}

// StartSession begins a session of an account; the secret is new for each.
func (r *Record) StartSession(tx *db.Tx, secret Secret, s Session) error {
	now := db.Micros(time.Now())
	sum := secret.digest()
	if _, err := tx.Exec(`DELETE FROM session WHERE ends <= ? OR used <= ?`, now, now-IdleFor.Microseconds()); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE account SET seen = ? WHERE id = ?`, now, s.Account); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO session (hash, account, way, created, used, ends) VALUES (?, ?, ?, ?, ?, ?)`, sum[:], s.Account, s.Way, now, now, db.Micros(s.Ends))
	return err
}

// visitor is a session with whose it is.
type visitor struct {
	session Session
	account Account
}

// SessionBySecret is the session of the secret presented and whose it is, if it is in force and its account is not disabled. Every failure is the same
// fault.Denied. Grants that were changed are felt within a second.
func (r *Record) SessionBySecret(ctx context.Context, presented string) (Session, Account, error) {
	denied := fault.New(fault.Denied, "recognise session", "", "the session is not known, or has ended")
	secret, err := ParseSecret(presented)
	if err != nil {
		return Session{}, Account{}, denied
	}
	sum := secret.digest()
	v, err := r.sessions.Get(sum, func() (visitor, error) {
		var v visitor
		s, err := scanSession(r.d.QueryRow(ctx, sessionColumns+` WHERE hash = ?`, sum[:]))
		if errors.Is(err, sql.ErrNoRows) {
			return v, denied
		}
		if err != nil {
			return v, db.Fault("recognise session", err)
		}
		v.session = s
		v.account, err = r.Account(ctx, s.Account)
		if fault.Is(err, fault.NotFound) || err == nil && !v.account.Disabled.IsZero() {
			return v, denied
		}
		return v, err
	})
	if err != nil {
		return Session{}, Account{}, err
	}
	now := time.Now()
	if !v.session.valid(now) {
		return Session{}, Account{}, denied
	}
	if now.Sub(v.session.Used) > seldom {
		err := r.d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE session SET used = ? WHERE hash = ?`, db.Micros(now), sum[:])
			return err
		})
		if err != nil {
			return Session{}, Account{}, err
		}
		r.sessions.Forget(sum)
	}
	return v.session, v.account, nil
}

// Sessions lists a person's sessions that have not ended.
func (r *Record) Sessions(ctx context.Context, account string) ([]Session, error) {
	rows, err := r.d.Query(ctx, sessionColumns+` WHERE account = ? ORDER BY created DESC`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Session
	for rows.Next() {
		s, err := scanSession(rows)
		if err != nil {
			return nil, db.Fault("list sessions", err)
		}
		if s.valid(time.Now()) {
			all = append(all, s)
		}
	}
	return all, db.Fault("list sessions", rows.Err())
}

// EndSession ends the session of a secret.
func (r *Record) EndSession(tx *db.Tx, presented string) error {
	secret, err := ParseSecret(presented)
	if err != nil {
		return nil //nolint:nilerr // what is no secret is no session either
	}
	sum := secret.digest()
	_, err = tx.Exec(`DELETE FROM session WHERE hash = ?`, sum[:])
	r.sessions.Forget(sum)
	return err
}

// EndSessions ends all of an account, or all but the one that is kept.
func (r *Record) EndSessions(tx *db.Tx, account string, but Digest) error {
	_, err := tx.Exec(`DELETE FROM session WHERE account = ? AND hash <> ?`, account, but[:])
	return err
}

const sessionColumns = `SELECT hash, account, way, created, used, ends FROM session`

func scanSession(row interface{ Scan(...any) error }) (s Session, err error) {
	var hash []byte
	var created, used, ends int64
	if err := row.Scan(&hash, &s.Account, &s.Way, &created, &used, &ends); err != nil {
		return s, err
	}
	copy(s.Hash[:], hash)
	s.Created, s.Used, s.Ends = instant(created), instant(used), instant(ends)
	return s, nil
}

// AddLink registers a link that signs in once, until a moment.
func (r *Record) AddLink(tx *db.Tx, secret Secret, account string, ends time.Time) error {
	if _, err := tx.Exec(`DELETE FROM sign_in_link WHERE ends <= ?`, db.Micros(time.Now())); err != nil {
		return err
	}
	sum := secret.digest()
	_, err := tx.Exec(`INSERT INTO sign_in_link (hash, account, ends) VALUES (?, ?, ?)`, sum[:], account, db.Micros(ends))
	return err
}

// TakeLink uses a link up and says whose it is. Every failure is the same fault.Denied.
func (r *Record) TakeLink(tx *db.Tx, presented string) (account string, err error) {
	return take(tx, presented, fault.New(fault.Denied, "sign in by link", "", "the link is not known, was used already, or has expired"),
		`SELECT account, '', ends FROM sign_in_link WHERE hash = ?`, `DELETE FROM sign_in_link WHERE hash = ?`, nil)
}

// AddCeremony keeps what a ceremony needs between its two halves.
func (r *Record) AddCeremony(tx *db.Tx, secret Secret, account, state string, ends time.Time) error {
	sum := secret.digest()
	if _, err := tx.Exec(`DELETE FROM ceremony WHERE ends <= ?`, db.Micros(time.Now())); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO ceremony (hash, account, state, ends) VALUES (?, ?, ?, ?)`, sum[:], account, state, db.Micros(ends))
	return err
}

// TakeCeremony uses a ceremony up.
func (r *Record) TakeCeremony(tx *db.Tx, presented string) (account, state string, err error) {
	account, err = take(tx, presented, fault.New(fault.Denied, "sign in", "", "it took too long, or was done already: begin again"),
		`SELECT account, state, ends FROM ceremony WHERE hash = ?`, `DELETE FROM ceremony WHERE hash = ?`, &state)
	return account, state, err
}

func take(tx *db.Tx, presented string, denied error, find, remove string, state *string) (account string, err error) {
	secret, err := ParseSecret(presented)
	if err != nil {
		return "", denied
	}
	return takeOnce(tx, secret.digest(), denied, find, remove, state)
}

// takeOnce finds a row by the digest of its secret and removes it. state may be nil.
func takeOnce(tx *db.Tx, sum Digest, denied error, find, remove string, state *string) (account string, err error) {
	var ends int64
	var other string
	if state == nil {
		state = &other
	}
	err = tx.QueryRow(find, sum[:]).Scan(&account, state, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return "", denied
	}
	if err != nil {
		return "", db.Fault("sign in", err)
	}
	res, err := tx.Exec(remove, sum[:])
	if err != nil {
		return "", err
	}
	// Two who come at once: one of them took it.
	if n, err := res.RowsAffected(); err != nil || n != 1 || !time.Now().Before(instant(ends)) {
		return "", errors.Join(err, denied)
	}
	return account, nil
}
