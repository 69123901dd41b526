package keys

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Root is the secret of a node that the keys of its other rooms come from. It lies in the ring, wrapped, so that it outlives a change of the master
// key; each change adds a generation. What was made with an earlier generation can be read for ever, nothing new is made with it.
//
// The first generation of a ring that is older than its tables of generations is its master key of then: what was derived from that stays as it is.
type Root struct {
	generations []*Master // the newest first
}

// NewRoot makes a root of secrets, the newest first: at least one.
func NewRoot(newest Key, earlier ...Key) (*Root, error) {
	r := &Root{}
	for _, k := range append([]Key{newest}, earlier...) {
		m, err := newMaster(k)
		if err != nil {
			return nil, err
		}
		r.generations = append(r.generations, m)
	}
	return r, nil
}

// Derive makes a key for one purpose, the same until the master key is changed.
func (r *Root) Derive(purpose string) Key { return r.generations[0].derive(purpose) }

// Earlier are the keys that Derive gave for the purpose before the master key was changed, the latest first.
func (r *Root) Earlier(purpose string) []Key {
	var all []Key
	for _, m := range r.generations[1:] {
		all = append(all, m.derive(purpose))
	}
	return all
}

// Wrap encrypts a key; about says what it is the key of and must be the same at Unwrap.
func (r *Root) Wrap(key Key, about string) []byte { return r.generations[0].wrap(key, about) }

// Unwrap decrypts what Wrap gave, under this generation or an earlier one.
func (r *Root) Unwrap(wrapped []byte, about string) (key Key, err error) {
	for _, m := range r.generations {
		if key, err = m.unwrap(wrapped, about); err == nil {
			return key, nil
		}
	}
	return Key{}, err
}

// Root is the node's secret.
func (r *Ring) Root() *Root { return r.root }

func aboutRoot(generation int64) string { return fmt.Sprintf("root %d", generation) }

// openRoot reads every generation, and makes the first.
func openRoot(tx *db.Tx, m *Master, fresh bool) (*Root, error) {
	all, err := roots(tx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		secret, since := m.key, int64(0)
		if fresh {
			rand.Read(secret[:])
			since = db.Micros(time.Now())
		} else if err := tx.QueryRow(`SELECT COALESCE(MIN(created), 0) FROM (SELECT created FROM subject_key UNION ALL SELECT created FROM collection_key) AS k`).Scan(&since); err != nil {
			return nil, err
		}
		all = []wrappedRoot{{1, m.wrap(secret, aboutRoot(1))}}
		if _, err := tx.Exec(`INSERT INTO root_key (generation, wrapped, created) VALUES (1, ?, ?)`, all[0].wrapped, db.Micros(time.Now())); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(`INSERT INTO master_key (fingerprint, since, until) VALUES (?, ?, 0)`, m.Fingerprint(), since); err != nil {
			return nil, err
		}
	}
	var secrets []Key
	for _, w := range all {
		k, err := m.unwrap(w.wrapped, aboutRoot(w.generation))
		if err != nil {
			return nil, fault.Wrap(fault.Corrupt, "open key ring", aboutRoot(w.generation), err)
		}
		secrets = append(secrets, k)
	}
	return NewRoot(secrets[0], secrets[1:]...)
}

type wrappedRoot struct {
	generation int64
	wrapped    []byte
}

// roots are the wrapped generations, the newest first.
func roots(tx *db.Tx) ([]wrappedRoot, error) {
	rows, err := tx.Query(`SELECT generation, wrapped FROM root_key ORDER BY generation DESC`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []wrappedRoot
	for rows.Next() {
		var w wrappedRoot
		if err := rows.Scan(&w.generation, &w.wrapped); err != nil {
			return nil, db.Fault("read root keys", err)
		}
		all = append(all, w)
	}
	return all, db.Fault("read root keys", rows.Err())
}
