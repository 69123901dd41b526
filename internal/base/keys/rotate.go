package keys

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/durable"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// check is the value that tells a master key from another.
func (m *Master) check() Key { return m.derive("key ring check") }

// current makes sure, in a transaction that writes a wrapped key, that the ring's master key is still the one that wraps: what another process has
// changed must not be written past. Until the transaction ends nobody changes it.
func (r *Ring) current(tx *db.Tx) error {
	query := `SELECT value FROM key_check WHERE id = 1`
	if tx.Engine() == db.PostgreSQL {
		query += ` FOR SHARE`
	}
	var stored []byte
	if err := tx.QueryRow(query).Scan(&stored); err != nil {
		return err
	}
	if check := r.master.check(); subtle.ConstantTimeCompare(stored, check[:]) != 1 {
		return rotated()
	}
	return nil
}

func rotated() error {
	return fault.New(fault.Unavailable, "use key ring", "", "the master key was changed while this process ran: start it again with the new one")
}

// strange is why a key could not be unwrapped: because the master key was changed meanwhile, or else as it is given.
func (r *Ring) strange(ctx context.Context, err error) error {
	var stored []byte
	if r.d.QueryRow(ctx, `SELECT value FROM key_check WHERE id = 1`).Scan(&stored) != nil {
		return err
	}
	if check := r.master.check(); subtle.ConstantTimeCompare(stored, check[:]) != 1 {
		return rotated()
	}
	return err
}

// Unlock opens the ring with the master key of a place. Where a change of the key was interrupted after it had taken effect, it is brought to its end.
func Unlock(ctx context.Context, d *db.DB, p Place) (*Ring, error) {
	r, _, err := unlock(ctx, d, p)
	return r, err
}

// unlock reports too whether the key was found beside its place: a change was interrupted there.
func unlock(ctx context.Context, d *db.DB, p Place) (_ *Ring, resumed bool, err error) {
	old, err := p.Load(ctx)
	if err == nil {
		var r *Ring
		if r, err = OpenRing(ctx, d, old); err == nil {
			return r, false, nil
		}
		if !fault.Is(err, fault.Denied) {
			return nil, false, err
		}
	}
	if _, serr := os.Stat(p.next().File); serr != nil {
		return nil, false, err
	}
	next, nerr := p.next().Load(ctx)
	if nerr != nil {
		return nil, false, errors.Join(err, nerr)
	}
	r, nerr := OpenRing(ctx, d, next)
	if nerr != nil {
		return nil, false, err
	}
	// Where the folder of the key cannot be written, as by a node that may not, the key is used where it is.
	_ = p.settle(old)
	return r, true, nil
}

// settle puts the key that lies beside a place into it. What lies there now is kept under another name: backups of the key database are wrapped by it.
func (p Place) settle(old *Master) error {
	if _, err := os.Lstat(p.File); err == nil {
		if err := p.retire(old); err != nil {
			return err
		}
	}
	if err := os.Rename(p.next().File, p.File); err != nil {
		return fault.New(fault.Unavailable, "change master key", "", "the new key cannot be put into its place")
	}
	return fault.Wrap(fault.Unavailable, "change master key", "", durable.Folder(filepath.Dir(p.File)))
}

// Retired is the file that a key is kept in after it was changed.
func (p Place) Retired(fingerprint string) string { return p.File + ".old-" + fingerprint }

func (p Place) retire(old *Master) error {
	name := "unknown"
	if old != nil {
		name = old.Fingerprint()
	}
	// A link first: at no moment is there no file of that name.
	err := os.Link(p.File, p.Retired(name))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		err = os.Rename(p.File, p.Retired(name))
	}
	if err != nil {
		return fault.New(fault.Unavailable, "change master key", "", "the old key cannot be put aside")
	}
	return fault.Wrap(fault.Unavailable, "change master key", "", durable.Folder(filepath.Dir(p.File)))
}

// Change is what Rotate did.
type Change struct {
	Old, New string // fingerprints; Old is empty where the key was not at hand any more
	Resumed  bool   // an interrupted change was brought to its end, and no other key was made
	Kept     string // where the old key lies now: copies of the key database made until now need it. Empty: nowhere
}

// after is called between the steps of a change: tests end the process there.
var after = func(string) {}

// Rotate makes a new master key in the place to, wraps every key of the ring by it instead of the one in the place from, and adds a generation of the
// node's secret. Both places may be the same. Whenever it is interrupted, all keys are wrapped by one of the two, which lies in its place or beside
// it; doing it again goes on from there. A file that is there is never overwritten.
//
// Nobody else may have the ring open: who has cannot write to it any more, and has to open it again.
func Rotate(ctx context.Context, d *db.DB, from, to Place) (c Change, err error) {
	const attempt = "change master key"
	same := from.File == to.File
	r, resumed, err := unlock(ctx, d, from)
	if err == nil && resumed && from == to {
		return Change{New: r.master.Fingerprint(), Resumed: true}, nil
	}
	if err != nil {
		// It may have taken effect before it was interrupted.
		old, _ := from.Load(ctx)
		done, _, derr := unlock(ctx, d, to)
		if derr != nil {
			return c, err
		}
		c = Change{New: done.master.Fingerprint(), Resumed: true}
		if old != nil && !same {
			c.Old = old.Fingerprint()
			c.Kept, err = from.leave(old)
		}
		return c, err
	}
	old := r.master
	c.Old = old.Fingerprint()
	if !same {
		if _, err := os.Lstat(to.File); err == nil {
			return c, fault.New(fault.Conflict, attempt, "", "the file that the new key is to lie in exists; what it holds may be the only copy of a key")
		}
	}
	after("begin")
	next, err := to.next().Load(ctx) // of a change that was interrupted before it took effect
	if fault.Is(err, fault.NotFound) {
		next, err = to.next().Create(ctx)
	}
	if err != nil {
		return c, err
	}
	asOwned(to.next().File, from.File)
	c.New = next.Fingerprint()
	if c.New == c.Old {
		return c, fault.New(fault.Conflict, attempt, "", "the new key is the old one")
	}
	after("made")
	if err := r.rewrap(ctx, next); err != nil {
		return c, err
	}
	after("wrapped")
	if same {
		c.Kept = from.Retired(c.Old)
		return c, to.settle(old)
	}
	if err := to.settle(nil); err != nil {
		return c, err
	}
	after("settled")
	c.Kept, err = from.leave(old)
	return c, err
}

// asOwned gives a file the owner and the permissions of another, as far as this process may: a key that root has changed is for the node to read.
func asOwned(file, as string) {
	fi, err := os.Stat(as)
	if err != nil {
		return
	}
	if s, ok := fi.Sys().(*syscall.Stat_t); ok && os.Chown(file, int(s.Uid), int(s.Gid)) == nil {
		_ = os.Chmod(file, fi.Mode().Perm())
	}
}

// leave puts the key of a place that is given up aside.
func (p Place) leave(old *Master) (string, error) {
	if err := p.retire(old); err != nil {
		return "", err
	}
	if err := os.Remove(p.File); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fault.New(fault.Unavailable, "change master key", "", "the old key cannot be put aside")
	}
	return p.Retired(old.Fingerprint()), fault.Wrap(fault.Unavailable, "change master key", "", durable.Folder(filepath.Dir(p.File)))
}

// rewrap wraps everything by another master key, in one transaction.
func (r *Ring) rewrap(ctx context.Context, next *Master) error {
	err := r.write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("keys check"); err != nil {
			return err
		}
		old, check := r.master.check(), next.check()
		res, err := tx.Exec(`UPDATE key_check SET value = ? WHERE id = 1 AND value = ?`, check[:], old[:]) // waits for who writes keys now
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, rotated())
		}
		if err := r.rewrapTable(tx, next, "subject_key", func(id string) string { return "subject " + id }); err != nil {
			return err
		}
		if err := r.rewrapTable(tx, next, "collection_key", aboutCollection); err != nil {
			return err
		}
		all, err := roots(tx)
		if err != nil {
			return err
		}
		for _, w := range all {
			again, err := r.again(next, w.wrapped, aboutRoot(w.generation))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE root_key SET wrapped = ? WHERE generation = ?`, again, w.generation); err != nil {
				return err
			}
		}
		after("in the middle")
		var secret Key
		rand.Read(secret[:])
		newest := all[0].generation + 1
		now := db.Micros(r.now())
		if _, err := tx.Exec(`INSERT INTO root_key (generation, wrapped, created) VALUES (?, ?, ?)`, newest, next.wrap(secret, aboutRoot(newest)), now); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE master_key SET until = ? WHERE fingerprint = ?`, now, r.master.Fingerprint()); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO master_key (fingerprint, since, until) VALUES (?, ?, 0)`, next.Fingerprint(), now)
		return err
	})
	if err != nil {
		return err
	}
	after("committed")
	return r.scrub(ctx)
}

func (r *Ring) again(next *Master, wrapped []byte, about string) ([]byte, error) {
	key, err := r.master.unwrap(wrapped, about)
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, "change master key", about, err)
	}
	return next.wrap(key, about), nil
}

// rewrapTable goes through a table in the order of its identifiers, a thousand rows at a time.
func (r *Ring) rewrapTable(tx *db.Tx, next *Master, table string, about func(id string) string) error {
	type row struct {
		id      string
		wrapped []byte
	}
	for last := ""; ; {
		rows, err := tx.Query(`SELECT id, wrapped FROM `+table+` WHERE id > ? ORDER BY id LIMIT 1000`, last)
		if err != nil {
			return err
		}
		var page []row
		for rows.Next() {
			var w row
			if err := rows.Scan(&w.id, &w.wrapped); err != nil {
				rows.Close()
				return db.Fault("change master key", err)
			}
			page = append(page, w)
		}
		rows.Close()
		if err := rows.Err(); err != nil || len(page) == 0 {
			return db.Fault("change master key", err)
		}
		for _, w := range page {
			again, err := r.again(next, w.wrapped, about(w.id))
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE `+table+` SET wrapped = ? WHERE id = ?`, again, w.id); err != nil {
				return err
			}
		}
		last = page[len(page)-1].id
	}
}

// Known is what is written down of a master key.
type Known struct {
	Fingerprint string
	Since       time.Time // zero: before such things were written down
	Until       time.Time // zero: it is the one in use
}

// State is what a ring may tell of itself.
type State struct {
	Masters     []Known // the one in use first
	Generations int64   // of the node's secret
	Subjects    int64   // keys of subjects and of threads of questions
	Collections int64
	Destroyed   int64
}

// State says which master keys there were and how many keys there are.
func (r *Ring) State(ctx context.Context) (s State, err error) {
	err = r.d.Snapshot(ctx, func(tx *db.Tx) error {
		s = State{}
		err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM root_key), (SELECT COUNT(*) FROM subject_key), (SELECT COUNT(*) FROM collection_key), (SELECT COUNT(*) FROM destroyed_key)`).
			Scan(&s.Generations, &s.Subjects, &s.Collections, &s.Destroyed)
		if err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT fingerprint, since, until FROM master_key ORDER BY until <> 0, until DESC`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k Known
			var since, until int64
			if err := rows.Scan(&k.Fingerprint, &since, &until); err != nil {
				return db.Fault("read master keys", err)
			}
			if since != 0 {
				k.Since = db.Time(since)
			}
			if until != 0 {
				k.Until = db.Time(until)
			}
			s.Masters = append(s.Masters, k)
		}
		return db.Fault("read master keys", rows.Err())
	})
	return s, err
}
