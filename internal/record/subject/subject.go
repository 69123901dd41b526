// Package subject is the record of the people that images are of, as far as a node may know them: a pseudonym in each collection, a keyed hash that
// links their deposits, the name of the key their images are encrypted with, and an encrypted lexicon of the identifiers seen so far.
//
// It promises: one subject for each link in a collection, whoever asks first; one pseudonym for each subject in a collection; a lexicon is only
// replaced by who has read its latest version, so no identifier that was learned is lost. A Pseudonym, a Link and a patient's own identifier are
// different types and cannot be taken for one another.
//
// It does not compute links or pseudonyms, cannot read a lexicon, and holds no key.
package subject

import (
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

//go:embed migrations
var migrations embed.FS

// ID is the number of a subject on this node. It says nothing of the person.
type ID int64

// Link is the keyed hash of whatever identified the person in a deposit; equal links are the same person in the same collection.
type Link [32]byte

// ParseLink reads 64 hexadecimal digits.
func ParseLink(s string) (Link, error) {
	var l Link
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(l) {
		return l, fault.New(fault.Invalid, "read link", "", "a link is 64 hexadecimal digits")
	}
	copy(l[:], b)
	return l, nil
}

func (l Link) String() string { return hex.EncodeToString(l[:]) }

// Pseudonym is what a subject is called in a collection, and the Patient ID of its cleaned images.
type Pseudonym string

// ParsePseudonym accepts 1 to 64 printable ASCII characters, none of which means something in a DICOM value, a query or a path.
func ParsePseudonym(s string) (Pseudonym, error) {
	ok := len(s) >= 1 && len(s) <= 64 && s[0] != ' ' && s[len(s)-1] != ' '
	for i := 0; ok && i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~', c == '\\', c == '*', c == '?', c == '^', c == '=', c == '/', c == '"':
			ok = false
		}
	}
	if !ok {
		return "", fault.New(fault.Invalid, "read pseudonym", "", `a pseudonym is 1 to 64 printable ASCII characters without \ * ? ^ = / "`)
	}
	return Pseudonym(s), nil
}

// KeyID names the key of a subject.
type KeyID [16]byte

// Subject is one row.
type Subject struct {
	ID             ID
	Collection     collection.ID
	Link           Link
	Pseudonym      Pseudonym
	Key            KeyID
	Lexicon        []byte // encrypted; nil: none yet
	LexiconVersion int64  // 0: none yet
	Withdrawn      time.Time
	Closed         time.Time // since when nothing more of them is taken, by their own wish; what is there stays
	Created        time.Time
}

// IsWithdrawn reports whether nothing of the subject may be seen any more.
func (s *Subject) IsWithdrawn() bool { return !s.Withdrawn.IsZero() }

// IsClosed reports whether nothing more of the subject may be taken.
func (s *Subject) IsClosed() bool { return s.IsWithdrawn() || !s.Closed.IsZero() }

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "subject", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Ensure gives the subject of the link, made from pseudonym and key if there is none. Where made is false, the key offered is not used, and whoever
// made it destroys it. A pseudonym that is another subject's is a fault.Conflict: pseudonyms are not shared and not guessed anew here.
func (r *Record) Ensure(tx *db.Tx, c collection.ID, link Link, pseudonym Pseudonym, key KeyID) (s Subject, made bool, err error) {
	s, err = scan(tx.QueryRow(columns+` WHERE collection = ? AND link = ?`, string(c), link[:]))
	if !errors.Is(err, sql.ErrNoRows) {
		return s, false, err
	}
	if _, err := ParsePseudonym(string(pseudonym)); err != nil {
		return s, false, err
	}
	id, err := ident.New()
	if err != nil {
		return s, false, err
	}
	res, err := tx.Exec(`INSERT INTO subject (id, collection, link, pseudonym, key_id, lexicon, lexicon_version, withdrawn, closed, created) VALUES (?, ?, ?, ?, ?, NULL, 0, 0, 0, ?)
		ON CONFLICT DO NOTHING`, id, string(c), link[:], string(pseudonym), key[:], db.Micros(time.Now()))
	if err != nil {
		return s, false, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return s, false, err
	}
	// A statement after the wait sees what the other transaction committed.
	s, err = scan(tx.QueryRow(columns+` WHERE collection = ? AND link = ?`, string(c), link[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, fault.New(fault.Conflict, "add subject", "collection "+string(c), "the pseudonym belongs to another subject")
	}
	return s, n == 1, err
}

// Find is the subject of the link; fault.NotFound if there is none.
func (r *Record) Find(ctx context.Context, c collection.ID, link Link) (Subject, error) {
	return found(scan(r.d.QueryRow(ctx, columns+` WHERE collection = ? AND link = ?`, string(c), link[:])))
}

// ByPseudonym is the subject so called; fault.NotFound if there is none.
func (r *Record) ByPseudonym(ctx context.Context, c collection.ID, p Pseudonym) (Subject, error) {
	return found(scan(r.d.QueryRow(ctx, columns+` WHERE collection = ? AND pseudonym = ?`, string(c), string(p))))
}

// Get is the subject of that number; fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Subject, error) {
	return found(scan(r.d.QueryRow(ctx, columns+` WHERE id = ?`, int64(id))))
}

// Latest lists the subjects of a collection that are not withdrawn, the newest first; at most limit.
func (r *Record) Latest(ctx context.Context, c collection.ID, limit int) ([]Subject, error) {
	rows, err := r.d.Query(ctx, columns+` WHERE collection = ? AND withdrawn = 0 ORDER BY id DESC LIMIT ?`, string(c), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Subject
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list subjects", err)
		}
		all = append(all, s)
	}
	return all, db.Fault("list subjects", rows.Err())
}

// SetLexicon replaces the lexicon of which the caller has read the version given, and returns the new version. If another was faster, the error is a
// fault.Conflict: read again, add again.
func (r *Record) SetLexicon(tx *db.Tx, id ID, read int64, lexicon []byte) (int64, error) {
	res, err := tx.Exec(`UPDATE subject SET lexicon = ?, lexicon_version = lexicon_version + 1 WHERE id = ? AND lexicon_version = ? AND withdrawn = 0`, lexicon, int64(id), read)
	if err != nil {
		return 0, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return read + 1, err
	}
	s, err := found(scan(tx.QueryRow(columns+` WHERE id = ?`, int64(id))))
	switch {
	case err != nil:
		return 0, err
	case s.IsWithdrawn():
		return 0, fault.New(fault.Denied, "extend lexicon", on(id), "the subject is withdrawn")
	}
	return 0, fault.New(fault.Conflict, "extend lexicon", on(id), "another deposit has extended it meanwhile")
}

// Each shows every subject, of all collections; it keeps no lexicon.
func (r *Record) Each(ctx context.Context, show func(Subject) error) error {
	rows, err := r.d.Query(ctx, `SELECT id, collection, link, pseudonym, key_id, NULL, lexicon_version, withdrawn, closed, created FROM subject ORDER BY id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return db.Fault("list subjects", err)
		}
		if err := show(s); err != nil {
			return err
		}
	}
	return db.Fault("list subjects", rows.Err())
}

// LexiconVersion is the version of the lexicon as the transaction sees it.
func (r *Record) LexiconVersion(tx *db.Tx, id ID) (int64, error) {
	s, err := found(scan(tx.QueryRow(columns+` WHERE id = ?`, int64(id))))
	return s.LexiconVersion, err
}

// Withdraw marks the subject and drops its lexicon; the marking happens once and is never taken back. It reports whether this call did it.
func (r *Record) Withdraw(tx *db.Tx, id ID) (bool, error) {
	res, err := tx.Exec(`UPDATE subject SET withdrawn = ?, lexicon = NULL WHERE id = ? AND withdrawn = 0`, db.Micros(time.Now()), int64(id))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	_, err = found(scan(tx.QueryRow(columns+` WHERE id = ?`, int64(id))))
	return false, err
}

// Close has nothing more of the subject taken; what is there stays. It reports whether this call did it.
func (r *Record) Close(tx *db.Tx, id ID) (bool, error) {
	res, err := tx.Exec(`UPDATE subject SET closed = ? WHERE id = ? AND closed = 0`, db.Micros(time.Now()), int64(id))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Reopen has images of the subject taken again: they have consented anew.
func (r *Record) Reopen(tx *db.Tx, id ID) error {
	_, err := tx.Exec(`UPDATE subject SET closed = 0 WHERE id = ?`, int64(id))
	return err
}

// In is the subject as the transaction sees it; fault.NotFound if there is none.
func (r *Record) In(tx *db.Tx, id ID) (Subject, error) {
	return found(scan(tx.QueryRow(columns+` WHERE id = ?`, int64(id))))
}

// FindIn is the subject of the link as the transaction sees it; fault.NotFound if there is none.
func (r *Record) FindIn(tx *db.Tx, c collection.ID, link Link) (Subject, error) {
	return found(scan(tx.QueryRow(columns+` WHERE collection = ? AND link = ?`, string(c), link[:])))
}

// withdrawnOf are those of some subjects that are withdrawn, without their lexicons.
func (r *Record) withdrawnOf(ctx context.Context, ids []ID) ([]Subject, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = int64(id)
	}
	rows, err := r.d.Query(ctx, columns+` WHERE withdrawn <> 0 AND id IN (?`+strings.Repeat(`, ?`, len(ids)-1)+`)`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Subject
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list subjects", err)
		}
		all = append(all, s)
	}
	return all, db.Fault("list subjects", rows.Err())
}

func on(id ID) string { return "subject " + strconv.FormatInt(int64(id), 10) }

const columns = `SELECT id, collection, link, pseudonym, key_id, lexicon, lexicon_version, withdrawn, closed, created FROM subject`

func scan(row interface{ Scan(...any) error }) (Subject, error) {
	var s Subject
	var link, key []byte
	var withdrawn, closed, created int64
	if err := row.Scan(&s.ID, &s.Collection, &link, &s.Pseudonym, &key, &s.Lexicon, &s.LexiconVersion, &withdrawn, &closed, &created); err != nil {
		return Subject{}, err
	}
	if copy(s.Link[:], link) != len(s.Link) || copy(s.Key[:], key) != len(s.Key) {
		return Subject{}, fault.New(fault.Corrupt, "read subject", on(s.ID), "its link or key reference has another length")
	}
	if withdrawn != 0 {
		s.Withdrawn = db.Time(withdrawn)
	}
	if closed != 0 {
		s.Closed = db.Time(closed)
	}
	s.Created = db.Time(created)
	return s, nil
}

func found(s Subject, err error) (Subject, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return s, fault.New(fault.NotFound, "find subject", "", "there is no such subject")
	}
	return s, err
}
