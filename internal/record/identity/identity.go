// Package identity is the record of who may knock: people with their passkeys and sessions, tokens of people and machines, SSH keys of depositors, and DICOM
// peers.
//
// It promises: of a token, only the SHA-256 of a secret of 256 random bits is kept, so the record betrays none; what is revoked or past its time opens
// nothing, in every process of the node within a second; a token, key or peer that is not known is always asked for anew, so what was just registered
// works at once. Whoever changes something passes the transaction in which the audit entry is written too.
//
// It does not decide what a grant permits (package policy does), and keeps no address of a person.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/recent"
)

//go:embed migrations
var migrations embed.FS

// Digest is the SHA-256 of a secret, a public key or a certificate.
type Digest [sha256.Size]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Record is the open record.
type Record struct {
	d        *db.DB
	tokens   recent.Cache[Digest, Token]
	keys     recent.Cache[keyAt, SSHKey]
	peers    recent.Cache[collection.AETitle, Peer]
	sessions recent.Cache[Digest, visitor]
}

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "identity", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Secret is what the bearer of a token shows. It prints as nothing, so that it reaches no log by accident; Reveal gives it once to who made it.
type Secret struct{ text string }

func (Secret) String() string   { return "(secret)" }
func (Secret) GoString() string { return "(secret)" }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return s.text }

func (s Secret) digest() Digest { return sha256.Sum256([]byte(s.text)) }

// secretPrefix lets scanners of published code recognise a token that should not be there.
const secretPrefix = "vitrine_"

// NewSecret draws 256 bits.
func NewSecret() (Secret, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Secret{}, fault.Wrap(fault.Unavailable, "make a token", "", err)
	}
	return Secret{secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])}, nil
}

// ParseSecret reads a secret that a script brings, or that a request presents: 16 to 512 printable ASCII characters without spaces (RFC 6750 2.1), and
// nothing but the end of a line after them.
func ParseSecret(s string) (Secret, error) {
	s = strings.TrimRight(s, "\r\n")
	ok := len(s) >= 16 && len(s) <= 512
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] > ' ' && s[i] <= '~'
	}
	if !ok {
		return Secret{}, fault.New(fault.Invalid, "read a token", "", "a token is 16 to 512 printable ASCII characters without spaces")
	}
	return Secret{s}, nil
}

// Token is a role in a collection for whoever shows its secret.
type Token struct {
	ID         string // what the audit log calls the bearer
	Name       string // what people call it
	Role       policy.Role
	Collection string // policy.AllCollections or a collection's id
	Created    time.Time
	Expires    time.Time // zero: never
	Revoked    time.Time // zero: it was not
}

// Grant is what the token gives.
func (t Token) Grant() policy.Grant { return policy.Grant{Role: t.Role, Collection: t.Collection} }

// valid reports whether the token opens anything at that moment.
func (t Token) valid(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}

// CreateToken registers a token and returns it with its id. Role, name and collection are needed; expires may be zero. That the collection exists is
// for the caller to see to.
func (r *Record) CreateToken(tx *db.Tx, secret Secret, t Token) (Token, error) {
	const attempt = "create token"
	if secret.text == "" {
		return t, fault.New(fault.Invalid, attempt, "", "it has no secret")
	}
	if err := checkName(attempt, t.Name); err != nil {
		return t, err
	}
	if _, ok := policy.ParseTokenRole(t.Role.String()); !ok {
		return t, fault.New(fault.Invalid, attempt, "", "a token's role is one of depositor, researcher, physicist, custodian, committee, funder, steward, admin, gateway, site-gateway")
	}
	if err := checkCollection(t.Collection); err != nil {
		return t, err
	}
	if t.Role.ForOneCollection() && t.Collection == policy.AllCollections {
		return t, fault.New(fault.Invalid, attempt, "", "a gateway's token is for one collection: name it")
	}
	now := time.Now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return t, fault.New(fault.Invalid, attempt, "", "it would have expired already")
	}
	var err error
	if t.ID, err = newID("token-"); err != nil {
		return t, err
	}
	t.Created, t.Revoked = db.Time(db.Micros(now)), time.Time{}
	sum := secret.digest()
	res, err := tx.Exec(`INSERT INTO token (id, hash, name, role, collection, created, expires, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (hash) DO NOTHING`,
		t.ID, sum[:], t.Name, t.Role.String(), t.Collection, db.Micros(t.Created), micros(t.Expires))
	return t, added(res, err, attempt, "the secret is in use already")
}

// TokenBySecret is the token of the secret presented, if it is in force. Every failure is the same fault.Denied.
func (r *Record) TokenBySecret(ctx context.Context, presented string) (Token, error) {
	denied := fault.New(fault.Denied, "recognise token", "", "the token is not known, was revoked or has expired")
	secret, err := ParseSecret(presented)
	if err != nil {
		return Token{}, denied
	}
	sum := secret.digest()
	// The secret is looked up by its digest: whoever times the search learns about digests of what they send, which they know.
	t, err := r.tokens.Get(sum, func() (Token, error) {
		t, hash, err := scanToken(r.d.QueryRow(ctx, tokenColumns+` WHERE hash = ?`, sum[:]))
		if err != nil {
			return t, err
		}
		if subtle.ConstantTimeCompare(hash, sum[:]) != 1 || !t.valid(time.Now()) {
			return t, denied
		}
		return t, nil
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, denied
	}
	if err != nil {
		return Token{}, err
	}
	if !t.valid(time.Now()) {
		return Token{}, denied
	}
	return t, nil
}

// Tokens lists all tokens that are not revoked, oldest first.
func (r *Record) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := r.d.Query(ctx, tokenColumns+` WHERE revoked = 0 ORDER BY created, id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Token
	for rows.Next() {
		t, _, err := scanToken(rows)
		if err != nil {
			return nil, db.Fault("list tokens", err)
		}
		all = append(all, t)
	}
	return all, db.Fault("list tokens", rows.Err())
}

// RevokeToken ends the token of that id for good.
func (r *Record) RevokeToken(tx *db.Tx, id string) error {
	res, err := tx.Exec(`UPDATE token SET revoked = ? WHERE id = ? AND revoked = 0`, db.Micros(time.Now()), id)
	return changed(res, err, "revoke token", "there is no such token, or it is revoked already")
}

const tokenColumns = `SELECT id, hash, name, role, collection, created, expires, revoked FROM token`

func scanToken(row interface{ Scan(...any) error }) (t Token, hash []byte, err error) {
	var role string
	var created, expires, revoked int64
	if err := row.Scan(&t.ID, &hash, &t.Name, &role, &t.Collection, &created, &expires, &revoked); err != nil {
		return Token{}, nil, err
	}
	var ok bool
	if t.Role, ok = policy.ParseTokenRole(role); !ok {
		return Token{}, nil, fault.New(fault.Corrupt, "read token", t.ID, "its role is unknown")
	}
	t.Created, t.Expires, t.Revoked = instant(created), instant(expires), instant(revoked)
	return t, hash, nil
}

func newID(prefix string) (string, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fault.Wrap(fault.Unavailable, "make an id", "", err)
	}
	return prefix + hex.EncodeToString(b[:]), nil
}

func checkName(attempt, name string) error {
	if name == "" || len(name) > 100 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fault.New(fault.Invalid, attempt, "", "a name is 1 to 100 bytes of printable text")
	}
	return nil
}

func checkCollection(c string) error {
	if c == policy.AllCollections {
		return nil
	}
	_, err := collection.ParseID(c)
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

func added(res sql.Result, err error, attempt, otherwise string) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, attempt, "", otherwise)
}

func changed(res sql.Result, err error, attempt, otherwise string) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.NotFound, attempt, "", otherwise)
}
