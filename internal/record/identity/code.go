package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Code is a secret short enough to be read out over the telephone: 60 random bits in twelve characters. Like [Secret] it prints as nothing.
type Code struct{ text string }

func (Code) String() string   { return "(code)" }
func (Code) GoString() string { return "(code)" }

// Reveal is the code as people write it, in groups of four.
func (c Code) Reveal() string { return c.text[:4] + "-" + c.text[4:8] + "-" + c.text[8:] }

// crockford is an alphabet without letters that look like digits (Douglas Crockford, Base 32).
const (
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLen   = 12
)

// NewCode draws 60 bits.
func NewCode() (Code, error) {
	var b [codeLen]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Code{}, fault.Wrap(fault.Unavailable, "make a code", "", err)
	}
	for i := range b {
		b[i] = crockford[b[i]%32] // 256 is a multiple of 32: no character is likelier than another
	}
	return Code{string(b[:])}, nil
}

// ParseCode reads a code as people write it: in either case, grouped as they like, with O for 0 and I or L for 1.
func ParseCode(s string) (Code, error) {
	var b strings.Builder
	for _, c := range strings.ToUpper(s) {
		switch c {
		case ' ', '-', '\t', '\r', '\n', '\u00a0', '\u2010', '\u2011', '\u2013':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if b.Len() == codeLen || !strings.ContainsRune(crockford, c) {
			return Code{}, fault.New(fault.Invalid, "read a code", "", "a code is twelve letters and digits")
		}
		b.WriteRune(c)
	}
	if b.Len() != codeLen {
		return Code{}, fault.New(fault.Invalid, "read a code", "", "a code is twelve letters and digits")
	}
	return Code{b.String()}, nil
}

// digest is what is kept of a code. What it is for is hashed along: a code opens nothing but that.
func (c Code) digest(purpose string) Digest {
	return sha256.Sum256([]byte("vitrine code 1\n" + purpose + "\n" + c.text))
}

// AddCode registers a code that signs in once, until a moment. It takes the place of one made before: what was read out last counts.
func (r *Record) AddCode(tx *db.Tx, code Code, account string, ends time.Time) error {
	if _, err := tx.Exec(`DELETE FROM sign_in_code WHERE account = ? OR ends <= ?`, account, db.Micros(time.Now())); err != nil {
		return err
	}
	sum := code.digest("sign in")
	_, err := tx.Exec(`INSERT INTO sign_in_code (hash, account, ends) VALUES (?, ?, ?)`, sum[:], account, db.Micros(ends))
	return err
}

// TakeCode uses a code up and says whose it is. Every failure is the same fault.Denied.
func (r *Record) TakeCode(tx *db.Tx, presented string) (account string, err error) {
	denied := fault.New(fault.Denied, "sign in by code", "", "the code is not known, was used already, or has expired")
	code, err := ParseCode(presented)
	if err != nil {
		return "", denied
	}
	return takeOnce(tx, code.digest("sign in"), denied, `SELECT account, '', ends FROM sign_in_code WHERE hash = ?`, `DELETE FROM sign_in_code WHERE hash = ?`, nil)
}

// UseOnce notes that something sealed was used, until the moment at which it ends anyway; a fault.Denied if it was used before.
func (r *Record) UseOnce(tx *db.Tx, sealed string, ends time.Time) error {
	if _, err := tx.Exec(`DELETE FROM ceremony WHERE ends <= ?`, db.Micros(time.Now())); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte("vitrine used 1\n" + sealed))
	res, err := tx.Exec(`INSERT INTO ceremony (hash, account, state, ends) VALUES (?, '', 'used', ?) ON CONFLICT (hash) DO NOTHING`, sum[:], db.Micros(ends))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Denied, "sign in", "", "it took too long, or was done already: begin again")
}
