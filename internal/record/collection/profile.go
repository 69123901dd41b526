package collection

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

// ProfileVersion is a profile that a collection has or had: versions are added, never changed. The one with the greatest number is in force.
type ProfileVersion struct {
	Number  int64 // from 1
	Profile string
	Version string
	Digest  string // SHA-256 of Text in hexadecimal digits; empty: a named profile
	Text    string // the file
	Actor   string // who put it in force; empty: it was there before versions were kept
	Created time.Time
}

// Cleaning is the profile that the collection is cleaned by. A stored file that can be read no more is a fault: nothing comes in by another one.
func (r *Record) Cleaning(ctx context.Context, c Collection) (*deid.Profile, error) {
	if c.ProfileDigest == "" {
		return deid.Lookup(c.Profile)
	}
	key := string(c.ID) + " " + c.ProfileDigest
	if p, ok := r.profiles.Load(key); ok {
		return p.(*deid.Profile), nil
	}
	const attempt = "read profile"
	var text string
	err := r.d.QueryRow(ctx, `SELECT file FROM collection_profile WHERE collection = ? AND digest = ? ORDER BY number LIMIT 1`, string(c.ID), c.ProfileDigest).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.Corrupt, attempt, "collection "+string(c.ID), "the file of its profile is not there")
	}
	if err != nil {
		return nil, err
	}
	p, err := deid.ParseProfile([]byte(text))
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, attempt, "collection "+string(c.ID), err)
	}
	if p.Digest() != c.ProfileDigest {
		return nil, fault.New(fault.Corrupt, attempt, "collection "+string(c.ID), "the file of its profile has another digest than it was put with")
	}
	got, _ := r.profiles.LoadOrStore(key, p) // one profile for all, so that what it has learnt is shared
	return got.(*deid.Profile), nil
}

// PutProfile puts a profile in force for what comes from now on: text is its file, or empty for a named one. A name and version that were in force with
// another file are a fault Conflict. What the profile may be beside those before, the caller decides.
func (r *Record) PutProfile(tx *db.Tx, id ID, p *deid.Profile, text, actor string) (ProfileVersion, error) {
	const attempt = "put profile"
	on := "collection " + string(id)
	v := ProfileVersion{Profile: p.Name, Version: p.Version, Digest: p.Digest(), Text: text, Actor: actor, Created: time.Now()}
	if err := tx.Lock("collection profile " + string(id)); err != nil {
		return v, err
	}
	c, err := found(scan(tx.QueryRow(columns+` WHERE id = ?`, string(id))))
	if err != nil {
		return v, err
	}
	before, err := versions(tx.Query(`SELECT number, profile, version, digest, '', actor, created FROM collection_profile WHERE collection = ? ORDER BY number`, string(id)))
	if err != nil {
		return v, err
	}
	if len(before) == 0 { // what it was made with is the first
		first := ProfileVersion{Number: 1, Profile: c.Profile, Version: c.ProfileVersion, Digest: c.ProfileDigest, Created: c.Created}
		if err := r.addVersion(tx, id, first); err != nil {
			return v, err
		}
		before = append(before, first)
	}
	for _, b := range before {
		if b.Profile == v.Profile && b.Version == v.Version && b.Digest != v.Digest {
			return v, fault.New(fault.Conflict, attempt, on, v.Profile+" "+v.Version+" was in force with another content: raise the version in the file")
		}
	}
	last := before[len(before)-1]
	if last.Profile == v.Profile && last.Version == v.Version && last.Digest == v.Digest {
		return v, fault.New(fault.Conflict, attempt, on, "it is in force already")
	}
	v.Number = last.Number + 1
	if err := r.addVersion(tx, id, v); err != nil {
		return v, err
	}
	_, err = tx.Exec(`UPDATE collection SET profile = ?, profile_version = ?, profile_digest = ? WHERE id = ?`, v.Profile, v.Version, v.Digest, string(id))
	return v, err
}

// InForce is the collection as the transaction sees it.
func (r *Record) InForce(tx *db.Tx, id ID) (Collection, error) {
	return found(scan(tx.QueryRow(columns+` WHERE id = ?`, string(id))))
}

func (r *Record) addVersion(tx *db.Tx, id ID, v ProfileVersion) error {
	_, err := tx.Exec(`INSERT INTO collection_profile (collection, number, profile, version, digest, file, actor, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		string(id), v.Number, v.Profile, v.Version, v.Digest, v.Text, v.Actor, db.Micros(v.Created))
	return err
}

// ProfileVersions are the profiles that the collection has had, the first first, with their files. One that has always had the same has one.
func (r *Record) ProfileVersions(ctx context.Context, id ID) ([]ProfileVersion, error) {
	c, err := r.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := versions(r.d.Query(ctx, `SELECT number, profile, version, digest, file, actor, created FROM collection_profile WHERE collection = ? ORDER BY number`, string(id)))
	if err == nil && len(all) == 0 {
		all = []ProfileVersion{{Number: 1, Profile: c.Profile, Version: c.ProfileVersion, Digest: c.ProfileDigest, Created: c.Created}}
	}
	return all, err
}

func versions(rows *sql.Rows, err error) ([]ProfileVersion, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []ProfileVersion
	for rows.Next() {
		var v ProfileVersion
		var created int64
		if err := rows.Scan(&v.Number, &v.Profile, &v.Version, &v.Digest, &v.Text, &v.Actor, &created); err != nil {
			return nil, db.Fault("list profiles of a collection", err)
		}
		v.Created = db.Time(created)
		all = append(all, v)
	}
	return all, db.Fault("list profiles of a collection", rows.Err())
}
