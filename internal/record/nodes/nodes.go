// Package nodes is the record of the nodes that share one database and one bucket: who is there, who does what, and which pack somebody waits for.
// docs/formats/nodes.md says what each column means.
//
// It promises: no two nodes that lack a common place for packs are let in at the same time; what one has claimed is no other's until the claim runs out. It knows nothing of
// what is claimed, and moves no pack.
package nodes

import (
	"context"
	"embed"
	"io/fs"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

//go:embed migrations
var migrations embed.FS

// Gone is how long a node has not been seen when the others take it to have ended. Clocks of nodes have to agree by much less.
const Gone = 45 * time.Second

// forgotten is how long a request is kept that nobody meets: who has the pack has ended.
const forgotten = time.Hour

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "nodes", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// ID names a node: one data folder.
type ID string

// Pack names a pack, as in package catalogue.
type Pack [16]byte

// Enter notes that a node is there. Place names where its packs are shared, empty for nowhere; it has to be that of every other node that is there, else the error is a fault.Invalid.
func (r *Record) Enter(ctx context.Context, id ID, place string) error {
	const attempt = "open node"
	now := time.Now()
	return r.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("nodes"); err != nil {
			return err
		}
		var others, apart int64
		if err := tx.QueryRow(`SELECT COUNT(*), COUNT(CASE WHEN place <> ? THEN 1 END) FROM node WHERE id <> ? AND seen > ?`, place, string(id), db.Micros(now.Add(-Gone))).Scan(&others, &apart); err != nil {
			return err
		}
		switch {
		case others > 0 && place == "":
			return fault.New(fault.Invalid, attempt, "the database", "another node serves from it, or has ended within the last minute: nodes that share a database share a bucket too (--store), or none could read what another keeps")
		case apart > 0:
			return fault.New(fault.Invalid, attempt, "the bucket", "another node that serves from this database has another one: give all of them the same --store")
		}
		if _, err := tx.Exec(`DELETE FROM node WHERE seen <= ?`, db.Micros(now.Add(-24*time.Hour))); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO node (id, place, seen) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET place = excluded.place, seen = excluded.seen`, string(id), place, db.Micros(now))
		return err
	})
}

// Seen notes that a node is there still, and forgets what has run out.
func (r *Record) Seen(ctx context.Context, id ID) error {
	now := time.Now()
	return r.d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE node SET seen = ? WHERE id = ?`, db.Micros(now), string(id)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM node_claim WHERE until <= ?`, db.Micros(now)); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM node_wanted WHERE asked <= ?`, db.Micros(now.Add(-forgotten)))
		return err
	})
}

// Leave notes that a node ends. What it has claimed is free.
func (r *Record) Leave(ctx context.Context, id ID) error {
	return r.d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM node_claim WHERE node = ?`, string(id)); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM node WHERE id = ?`, string(id))
		return err
	})
}

// Claim takes a piece of work for a while, or longer if it is the node's already; false: it is another's.
func (r *Record) Claim(ctx context.Context, id ID, work string, long time.Duration) (mine bool, err error) {
	now := time.Now()
	err = r.d.Write(ctx, func(tx *db.Tx) error {
		res, err := tx.Exec(`INSERT INTO node_claim (work, node, until) VALUES (?, ?, ?)
			ON CONFLICT (work) DO UPDATE SET node = excluded.node, until = excluded.until WHERE node_claim.node = excluded.node OR node_claim.until <= ?`,
			work, string(id), db.Micros(now.Add(long)), db.Micros(now))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		mine = n == 1
		return db.Fault("claim work", err)
	})
	return mine, err
}

// Want asks that a pack be sealed by who is writing it, and copied to where all can read it.
func (r *Record) Want(ctx context.Context, p Pack) error {
	return r.d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO node_wanted (pack, asked) VALUES (?, ?) ON CONFLICT (pack) DO UPDATE SET asked = excluded.asked`, p[:], db.Micros(time.Now()))
		return err
	})
}

// Wanted lists the packs that somebody waits for.
func (r *Record) Wanted(ctx context.Context) ([]Pack, error) {
	rows, err := r.d.Query(ctx, `SELECT pack FROM node_wanted ORDER BY asked LIMIT 1000`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Pack
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, db.Fault("list packs that are wanted", err)
		}
		if len(b) == len(Pack{}) {
			all = append(all, Pack(b))
		}
	}
	return all, db.Fault("list packs that are wanted", rows.Err())
}

// Met forgets that a pack is wanted.
func (r *Record) Met(ctx context.Context, p Pack) error {
	return r.d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM node_wanted WHERE pack = ?`, p[:])
		return err
	})
}
