package keys

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

//go:embed migrations/*.sql
var files embed.FS

// Room is the name of the ring's migrations, and Tables are what they make: what a backup keeps apart.
const Room = "keys"

// Tables are the ring's tables.
func Tables() []string {
	return []string{"collection_key", "destroyed_key", "key_check", "master_key", "root_key", "subject_key", "suspended_key"}
}

// Remembered is how long a ring may hand out a key from memory without asking its database: the time within which a destruction in one process
// reaches the others.
const Remembered = 10 * time.Second

// maxRemembered bounds the memory of a ring.
const maxRemembered = 4096

// Ring is the keys of one archive, in a database of its own (SQLite, apart from the catalogue so that it is backed up apart) or in the shared
// PostgreSQL. It is safe for use by many goroutines and processes.
type Ring struct {
	d      *db.DB
	master *Master
	root   *Root
	now    func() time.Time

	mu     sync.Mutex
	memory map[string]remembered
	epoch  uint64 // counts destructions, so that a key read before one is not remembered after it
}

type remembered struct {
	key   Key
	until time.Time
}

// OpenRing opens the ring, creates its tables, and checks that this is the master key its keys are wrapped by. An SQLite database must have been
// opened with db.Durable and db.SecureDelete.
func OpenRing(ctx context.Context, d *db.DB, m *Master) (*Ring, error) {
	const attempt = "open key ring"
	r := &Ring{d: d, master: m, now: time.Now, memory: map[string]remembered{}}
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, attempt, "", err)
	}
	if err := d.Migrate(ctx, Room, sub); err != nil {
		return nil, err
	}
	err = r.write(ctx, func(tx *db.Tx) error {
		if tx.Engine() == db.SQLite {
			var synchronous, secure int64
			if err := tx.QueryRow(`PRAGMA synchronous`).Scan(&synchronous); err != nil {
				return err
			}
			if err := tx.QueryRow(`PRAGMA secure_delete`).Scan(&secure); err != nil {
				return err
			}
			if synchronous < 2 || secure != 1 {
				return fault.New(fault.Invalid, attempt, "", "its database is not open for durable writes and secure deletion")
			}
		}
		if err := tx.Lock("keys check"); err != nil {
			return err
		}
		check := m.check()
		var stored []byte
		err := tx.QueryRow(`SELECT value FROM key_check WHERE id = 1`).Scan(&stored)
		fresh := errors.Is(err, sql.ErrNoRows)
		if fresh {
			var n int64
			if err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM subject_key) + (SELECT COUNT(*) FROM collection_key) + (SELECT COUNT(*) FROM root_key)`).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				return fault.New(fault.Corrupt, attempt, "", "it holds keys, but the value that tells their master key is gone")
			}
			if _, err = tx.Exec(`INSERT INTO key_check (id, value) VALUES (1, ?)`, check[:]); err != nil {
				return err
			}
		} else if err != nil {
			return err
		} else if subtle.ConstantTimeCompare(stored, check[:]) != 1 {
			return fault.New(fault.Denied, attempt, "", "this is not the master key that the data was written with")
		}
		r.root, err = openRoot(tx, m, fresh)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// write is a durable transaction.
func (r *Ring) write(ctx context.Context, fn func(*db.Tx) error) error {
	return r.d.Write(ctx, func(tx *db.Tx) error {
		if tx.Engine() == db.PostgreSQL {
			// Whatever the server's default: a key handed out and lost would lose what is encrypted under it.
			if _, err := tx.Exec(`SET LOCAL synchronous_commit = on`); err != nil {
				return err
			}
		}
		return fn(tx)
	})
}

func aboutSubject(id ID) string        { return "subject " + id.String() }
func aboutCollection(id string) string { return "collection " + id }

func (r *Ring) forget(about string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memory, about)
	r.epoch++
}

func (r *Ring) recall(about string) (Key, uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.memory[about]
	if ok && r.now().After(m.until) {
		delete(r.memory, about)
		ok = false
	}
	return m.key, r.epoch, ok
}

func (r *Ring) remember(about string, key Key, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if epoch != r.epoch {
		return
	}
	if len(r.memory) >= maxRemembered {
		for old := range r.memory { // any: it comes back at the cost of one query
			delete(r.memory, old)
			break
		}
	}
	r.memory[about] = remembered{key, r.now().Add(Remembered)}
}

// New makes the key of a new subject.
func (r *Ring) New(ctx context.Context) (ID, Key, error) {
	var id ID
	var key Key
	rand.Read(id[:])
	rand.Read(key[:])
	about := aboutSubject(id)
	wrapped := r.master.wrap(key, about)
	err := r.write(ctx, func(tx *db.Tx) error {
		if err := r.current(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO subject_key (id, wrapped, created) VALUES (?, ?, ?)`, id.String(), wrapped, db.Micros(r.now()))
		return err
	})
	if err != nil {
		return ID{}, Key{}, err
	}
	_, epoch, _ := r.recall(about) // nobody else knows the key yet, so nobody destroyed it meanwhile
	r.remember(about, key, epoch)
	return id, key, nil
}

// Get is the key of a subject; the fault is NotFound when it was destroyed or suspended, or never was.
func (r *Ring) Get(ctx context.Context, id ID) (Key, error) {
	about := aboutSubject(id)
	key, epoch, ok := r.recall(about)
	if ok {
		return key, nil
	}
	var wrapped []byte
	var suspended int64
	err := r.d.QueryRow(ctx, `SELECT wrapped, COALESCE((SELECT suspended FROM suspended_key AS s WHERE s.id = k.id), 0) FROM subject_key AS k WHERE k.id = ?`, id.String()).Scan(&wrapped, &suspended)
	if err == nil && suspended != 0 {
		return Key{}, fault.New(fault.NotFound, "get key", id.String(), "it has been suspended since "+db.Time(suspended).Format(time.RFC3339))
	}
	if errors.Is(err, sql.ErrNoRows) {
		at, gone, err := r.Destroyed(ctx, id)
		if err != nil {
			return Key{}, err
		}
		why := "there is no such key"
		if gone {
			why = "it was destroyed at " + at.Format(time.RFC3339)
		}
		return Key{}, fault.New(fault.NotFound, "get key", id.String(), why)
	}
	if err != nil {
		return Key{}, err
	}
	if key, err = r.master.unwrap(wrapped, about); err != nil {
		return Key{}, r.strange(ctx, fault.Wrap(fault.Corrupt, "get key", id.String(), err))
	}
	r.remember(about, key, epoch)
	return key, nil
}

// Mark is what a ring knows of a subject's key beside the key itself. The zero value: it is there and in use.
type Mark struct {
	Suspended time.Time // since when it is given to nobody
	Destroyed time.Time
}

// Gone reports that nothing under the key is to be read any more.
func (m Mark) Gone() bool { return !m.Suspended.IsZero() || !m.Destroyed.IsZero() }

// Known are the keys of subjects that there are or were.
func (r *Ring) Known(ctx context.Context) (map[ID]Mark, error) {
	all := map[ID]Mark{}
	err := r.d.Snapshot(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT k.id, COALESCE(s.suspended, 0), 0 FROM subject_key AS k LEFT JOIN suspended_key AS s ON s.id = k.id UNION ALL SELECT id, 0, destroyed FROM destroyed_key`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			var suspended, destroyed int64
			if err := rows.Scan(&text, &suspended, &destroyed); err != nil {
				return db.Fault("list keys", err)
			}
			id, err := ParseID(text)
			if err != nil {
				return fault.Wrap(fault.Corrupt, "list keys", "", err)
			}
			var m Mark
			if suspended != 0 {
				m.Suspended = db.Time(suspended)
			}
			if destroyed != 0 {
				m.Destroyed = db.Time(destroyed)
			}
			all[id] = m
		}
		return db.Fault("list keys", rows.Err())
	})
	return all, err
}

// Suspend has a key given to nobody any more until it is destroyed: in this process at once, in others within [Remembered]. It is not taken back. Suspending it again, or one that was destroyed,
// changes nothing.
func (r *Ring) Suspend(ctx context.Context, id ID) error {
	err := r.write(ctx, func(tx *db.Tx) error {
		res, err := tx.Exec(`INSERT INTO suspended_key (id, suspended) SELECT id, ? FROM subject_key WHERE id = ? ON CONFLICT (id) DO NOTHING`, db.Micros(r.now()), id.String())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var known int64
		if err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM suspended_key WHERE id = ?) + (SELECT COUNT(*) FROM destroyed_key WHERE id = ?)`, id.String(), id.String()).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return fault.New(fault.NotFound, "suspend key", id.String(), "there is no such key")
		}
		return nil
	})
	r.forget(aboutSubject(id))
	return err
}

// Marked is what is known of one key; the fault is NotFound if there never was such a key.
func (r *Ring) Marked(ctx context.Context, id ID) (Mark, error) {
	var there, suspended, destroyed int64
	err := r.d.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM subject_key WHERE id = ?), COALESCE((SELECT suspended FROM suspended_key WHERE id = ?), 0), COALESCE((SELECT destroyed FROM destroyed_key WHERE id = ?), 0)`,
		id.String(), id.String(), id.String()).Scan(&there, &suspended, &destroyed)
	var m Mark
	switch {
	case err != nil:
		return m, err
	case destroyed != 0:
		m.Destroyed = db.Time(destroyed)
	case there == 0:
		return m, fault.New(fault.NotFound, "find key", id.String(), "there is no such key")
	case suspended != 0:
		m.Suspended = db.Time(suspended)
	}
	return m, nil
}

// Destroy removes a key for ever; its identifier and the time stay. Destroying it again changes nothing.
func (r *Ring) Destroy(ctx context.Context, id ID) error {
	about := aboutSubject(id)
	err := r.write(ctx, func(tx *db.Tx) error {
		res, err := tx.Exec(`DELETE FROM subject_key WHERE id = ?`, id.String())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return db.Fault("destroy key", err)
		}
		if n == 0 {
			var at int64
			err := tx.QueryRow(`SELECT destroyed FROM destroyed_key WHERE id = ?`, id.String()).Scan(&at)
			if errors.Is(err, sql.ErrNoRows) {
				return fault.New(fault.NotFound, "destroy key", id.String(), "there is no such key")
			}
			return err
		}
		if _, err := tx.Exec(`DELETE FROM suspended_key WHERE id = ?`, id.String()); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO destroyed_key (id, destroyed) VALUES (?, ?)`, id.String(), db.Micros(r.now()))
		return err
	})
	r.forget(about)
	if err != nil {
		return err
	}
	return r.scrub(ctx)
}

// scrub takes the deleted row out of what the engine keeps beside its tables: SQLite's write-ahead log, PostgreSQL's dead rows.
func (r *Ring) scrub(ctx context.Context) error {
	if r.d.Engine() == db.SQLite {
		return r.d.Checkpoint(ctx)
	}
	rows, err := r.d.Query(ctx, `VACUUM subject_key`)
	if err != nil {
		return err
	}
	return db.Fault("destroy key", rows.Close())
}

// Destroyed says whether and when a key was destroyed.
func (r *Ring) Destroyed(ctx context.Context, id ID) (time.Time, bool, error) {
	var at int64
	err := r.d.QueryRow(ctx, `SELECT destroyed FROM destroyed_key WHERE id = ?`, id.String()).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, err
	}
	return db.Time(at), true, nil
}

// Collection is the key of a collection, made when it is first asked for. All who ask get the same.
func (r *Ring) Collection(ctx context.Context, id string) (Key, error) {
	about := aboutCollection(id)
	key, epoch, ok := r.recall(about)
	if ok {
		return key, nil
	}
	var wrapped []byte
	err := r.d.QueryRow(ctx, `SELECT wrapped FROM collection_key WHERE id = ?`, id).Scan(&wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		var fresh Key
		rand.Read(fresh[:])
		candidate := r.master.wrap(fresh, about)
		err = r.write(ctx, func(tx *db.Tx) error {
			if err := r.current(tx); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO collection_key (id, wrapped, created) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`, id, candidate, db.Micros(r.now()))
			if err != nil {
				return err
			}
			return tx.QueryRow(`SELECT wrapped FROM collection_key WHERE id = ?`, id).Scan(&wrapped)
		})
	}
	if err != nil {
		return Key{}, err
	}
	if key, err = r.master.unwrap(wrapped, about); err != nil {
		return Key{}, r.strange(ctx, fault.Wrap(fault.Corrupt, "get key of collection", "", err))
	}
	r.remember(about, key, epoch)
	return key, nil
}
