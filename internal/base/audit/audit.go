// Package audit is the log of what was done and decided: a Merkle tree (RFC 6962, golang.org/x/mod/sumdb/tlog) whose leaves are entries.
//
// It promises: an entry is written in the transaction of what it tells, or neither is; nothing that was logged can be changed or taken out without
// [Log.Verify] saying so, against the tree and against every signed checkpoint; that an entry is in the log can be proven without showing the others
// ([Log.Prove]). Writing needs no key: a command logs beside a running node; checkpoints are signed by who holds the master key.
//
// An entry's clear fields never identify a person. What belongs to a person goes into Sealed, encrypted by the caller under the subject's key or keyed
// by it, so that erasing the subject makes it unreadable while the log stays provable. docs/formats/audit.md says how a leaf is hashed.
package audit

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

//go:embed migrations
var migrations embed.FS

// Entry is one thing that was done or decided.
type Entry struct {
	Actor      string // who, without identifying a person: "token 7f3a", "peer CT1", "node"
	Action     string // "deposit", "read pixels", "release"
	Object     string // on what, by a pseudonymous or internal name
	Collection string // empty: the node as a whole
	Outcome    string // "done", "denied: ..."
	Sealed     []byte // nil: nothing
}

// Logged is an entry with its place.
type Logged struct {
	Seq int64
	At  time.Time
	Entry
	salt []byte
}

// leaf is what is hashed: a version, then each field with its length.
func (l *Logged) leaf() []byte {
	b := []byte("vitrine audit 1\n")
	b = binary.BigEndian.AppendUint64(b, uint64(l.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(db.Micros(l.At)))
	for _, f := range [][]byte{[]byte(l.Actor), []byte(l.Action), []byte(l.Object), []byte(l.Collection), []byte(l.Outcome), l.Sealed, l.salt} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// Log is the open log.
type Log struct{ d *db.DB }

// Open brings the tables up to date.
func Open(ctx context.Context, d *db.DB) (*Log, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "audit", files); err != nil {
		return nil, err
	}
	return &Log{d: d}, nil
}

// hashes reads stored hashes in a transaction, with those that the transaction adds.
type hashes struct {
	query func(string, ...any) rowScanner
	added map[int64]tlog.Hash
}

type rowScanner interface{ Scan(...any) error }

func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if v, ok := h.added[x]; ok {
			out[i] = v
			continue
		}
		var b []byte
		if err := h.query(`SELECT hash FROM audit_hash WHERE idx = ?`, x).Scan(&b); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return nil, fault.New(fault.Corrupt, "read audit log", "hash "+strconv.FormatInt(x, 10), "it is missing")
			}
			return nil, err
		}
		if copy(out[i][:], b) != tlog.HashSize || len(b) != tlog.HashSize {
			return nil, fault.New(fault.Corrupt, "read audit log", "hash "+strconv.FormatInt(x, 10), "it has another length")
		}
	}
	return out, nil
}

// Append adds entries in the caller's transaction. Appending transactions follow one another.
func (l *Log) Append(tx *db.Tx, entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := tx.Lock("audit"); err != nil {
		return err
	}
	var size int64
	if err := tx.QueryRow(`SELECT size FROM audit_head WHERE one = 1`).Scan(&size); err != nil {
		return err
	}
	h := &hashes{query: func(q string, a ...any) rowScanner { return tx.QueryRow(q, a...) }, added: map[int64]tlog.Hash{}}
	now := db.Time(db.Micros(time.Now()))
	for _, e := range entries {
		g := Logged{Seq: size, At: now, Entry: e, salt: make([]byte, 16)}
		if _, err := rand.Read(g.salt); err != nil {
			return err
		}
		stored, err := tlog.StoredHashes(size, g.leaf(), h)
		if err != nil {
			return err
		}
		first := tlog.StoredHashIndex(0, size)
		for i, v := range stored {
			h.added[first+int64(i)] = v
			if _, err := tx.Exec(`INSERT INTO audit_hash (idx, hash) VALUES (?, ?)`, first+int64(i), v[:]); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`INSERT INTO audit (seq, at, actor, action, object, collection, outcome, sealed, salt) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			g.Seq, db.Micros(g.At), g.Actor, g.Action, g.Object, g.Collection, g.Outcome, g.Sealed, g.salt); err != nil {
			return err
		}
		size++
	}
	_, err := tx.Exec(`UPDATE audit_head SET size = ? WHERE one = 1`, size)
	return err
}

// Once appends an entry unless the same (actor, action, object, collection, outcome) was logged in this hour: repeated decisions are one record per person,
// object and hour. It reports whether it was new.
func (l *Log) Once(tx *db.Tx, e Entry) (bool, error) {
	sum := sha256.New()
	for _, f := range []string{e.Actor, e.Action, e.Object, e.Collection, e.Outcome} {
		sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f))))
		sum.Write([]byte(f))
	}
	hour := time.Now().Unix() / 3600
	res, err := tx.Exec(`INSERT INTO audit_once (what, hour) VALUES (?, ?) ON CONFLICT DO NOTHING`, sum.Sum(nil), hour)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.Exec(`DELETE FROM audit_once WHERE hour < ?`, hour-48); err != nil {
		return false, err
	}
	return true, l.Append(tx, e)
}

// Size is the number of entries.
func (l *Log) Size(ctx context.Context) (int64, error) {
	var n int64
	err := l.d.QueryRow(ctx, `SELECT size FROM audit_head WHERE one = 1`).Scan(&n)
	return n, err
}

// Filter chooses entries. Empty fields choose all.
type Filter struct {
	Collection string
	Objects    []string // what was acted on: any of these
	From       int64    // sequence number of the first
	Limit      int      // 0: 1000
	Last       bool     // the last of them, not the first; in order all the same
}

// maxObjects is how many objects one query names.
const maxObjects = 400

const columns = `SELECT seq, at, actor, action, object, collection, outcome, sealed, salt FROM audit`

func missing(seq int64) error {
	return fault.New(fault.Corrupt, "read audit log", "entry "+strconv.FormatInt(seq, 10), "it is missing")
}

// Entries lists entries in order.
func (l *Log) Entries(ctx context.Context, f Filter) ([]Logged, error) {
	if f.Limit <= 0 {
		f.Limit = 1000
	}
	if len(f.Objects) <= maxObjects {
		return l.entries(ctx, f)
	}
	var all []Logged
	for some := range slices.Chunk(f.Objects, maxObjects) {
		part := f
		part.Objects = some
		found, err := l.entries(ctx, part)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b Logged) int { return cmp.Compare(a.Seq, b.Seq) })
	if len(all) > f.Limit && f.Last {
		return all[len(all)-f.Limit:], nil
	}
	return all[:min(len(all), f.Limit)], nil
}

func (l *Log) entries(ctx context.Context, f Filter) ([]Logged, error) {
	query := columns + ` WHERE seq >= ?`
	args := []any{f.From}
	switch {
	case f.Collection == "":
	case len(f.Objects) > 0: // the index of objects leaves far less than that of collections: as an expression the column has none
		query, args = query+` AND (collection || '') = ?`, append(args, f.Collection)
	default:
		query, args = query+` AND collection = ?`, append(args, f.Collection)
	}
	if len(f.Objects) > 0 {
		query += ` AND object IN (?` + strings.Repeat(`, ?`, len(f.Objects)-1) + `)`
		for _, o := range f.Objects {
			args = append(args, o)
		}
	}
	order := ` ORDER BY seq LIMIT ?`
	if f.Last {
		order = ` ORDER BY seq DESC LIMIT ?`
	}
	rows, err := l.d.Query(ctx, query+order, append(args, int64(f.Limit))...)
	if err != nil {
		return nil, err
	}
	all, err := scanAll(rows)
	if f.Last {
		slices.Reverse(all)
	}
	return all, err
}

func scanAll(rows *sql.Rows) ([]Logged, error) {
	defer rows.Close()
	var all []Logged
	for rows.Next() {
		var g Logged
		var at int64
		if err := rows.Scan(&g.Seq, &at, &g.Actor, &g.Action, &g.Object, &g.Collection, &g.Outcome, &g.Sealed, &g.salt); err != nil {
			return nil, db.Fault("read audit log", err)
		}
		g.At = db.Time(at)
		all = append(all, g)
	}
	return all, db.Fault("read audit log", rows.Err())
}
