package directory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

// SavedID is the number of a saved search.
type SavedID int64

func (id SavedID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseSavedID reads what SavedID.String wrote.
func ParseSavedID(s string) (SavedID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Invalid, "read saved search", "", "it is not the number of a saved search")
	}
	return SavedID(n), nil
}

// Saved is a search that somebody keeps, to be told of what is new.
type Saved struct {
	ID      SavedID
	Owner   string // an actor's id
	Name    string
	Query   Query
	Alert   bool // tell of what is new
	Fresh   []ID // what matches now and did not when the owner looked last
	Found   int  // how many matched at the last check
	Created time.Time
	Checked time.Time
}

// Bounds of what one person keeps.
const (
	maxSaved     = 200
	maxKept      = 5000 // matches of a saved search that are compared; of a broader one only how many
	maxShortlist = 500
)

// SaveSearch keeps a search of an owner, who has seen what it finds now.
func (f *Finder) SaveSearch(ctx context.Context, owner, name string, q Query, alert bool) (Saved, error) {
	const attempt = "save search"
	name = strings.TrimSpace(name)
	if owner == "" {
		return Saved{}, fault.New(fault.Denied, attempt, "", "it is kept for somebody who is signed in")
	}
	if name == "" || len(name) > 150 || strings.ContainsFunc(name, unprintable) || strings.ToValidUTF8(name, "") != name {
		return Saved{}, fault.New(fault.Invalid, attempt, "", "a name is 1 to 150 bytes of printable text")
	}
	q.Page, q.Size = 0, 0
	ids, err := f.Matching(ctx, q)
	if err != nil {
		return Saved{}, err
	}
	id, err := ident.New()
	if err != nil {
		return Saved{}, err
	}
	s := Saved{ID: SavedID(id), Owner: owner, Name: name, Query: q, Alert: alert, Found: len(ids), Created: db.Time(db.Micros(time.Now()))}
	s.Checked = s.Created
	err = f.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("saved searches of " + owner); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM directory_saved WHERE owner = ?`, owner).Scan(&n); err != nil {
			return err
		}
		if n >= maxSaved {
			return fault.New(fault.TooLarge, attempt, "", "one person keeps at most 200 searches")
		}
		_, err := tx.Exec(`INSERT INTO directory_saved (id, owner, name, query, alert, digest, found, fresh, created, checked) VALUES (?, ?, ?, ?, ?, ?, ?, '[]', ?, ?)`,
			id, owner, name, q.Values().Encode(), truth(alert), digestOf(ids), listText(ids), db.Micros(s.Created), db.Micros(s.Checked))
		return err
	})
	return s, err
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func digestOf(ids []ID) []byte {
	h := sha256.New()
	for _, id := range ids {
		h.Write([]byte(id))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}

// listText keeps what was found; of more than can be compared, nothing: then there is nothing to be told of until it finds fewer.
func listText(ids []ID) string {
	if len(ids) > maxKept {
		return ""
	}
	b, err := json.Marshal(ids)
	if err != nil || ids == nil {
		return "[]"
	}
	return string(b)
}

const savedColumns = `SELECT id, owner, name, query, alert, found, fresh, created, checked FROM directory_saved`

func scanSaved(row interface{ Scan(...any) error }) (s Saved, found []ID, whole bool, err error) {
	var query, list, fresh string
	var alert, created, checked int64
	if err := row.Scan(&s.ID, &s.Owner, &s.Name, &query, &alert, &list, &fresh, &created, &checked); err != nil {
		return s, nil, false, err
	}
	s.Alert, s.Created, s.Checked = alert != 0, db.Time(created), db.Time(checked)
	values, err := url.ParseQuery(query)
	if err == nil {
		s.Query, err = ParseQuery(values)
	}
	if err == nil && list != "" {
		err = json.Unmarshal([]byte(list), &found)
	}
	if err == nil {
		err = json.Unmarshal([]byte(fresh), &s.Fresh)
	}
	if err != nil {
		s.Query, s.Fresh = Query{}, nil
		return s, nil, false, fault.New(fault.Corrupt, "read saved search", "search "+s.ID.String(), "what is stored is not readable")
	}
	s.Found = len(found)
	return s, found, list != "", nil
}

// SavedSearches are those of an owner, the newest first.
func (f *Finder) SavedSearches(ctx context.Context, owner string) ([]Saved, error) {
	rows, err := f.d.Query(ctx, savedColumns+` WHERE owner = ? ORDER BY id DESC`, owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Saved
	for rows.Next() {
		s, _, _, err := scanSaved(rows)
		if err != nil && !fault.Is(err, fault.Corrupt) { // one that cannot be read any more can be deleted
			return nil, db.Fault("list saved searches", err)
		}
		all = append(all, s)
	}
	return all, db.Fault("list saved searches", rows.Err())
}

// News is how many saved searches of an owner have found something that the owner has not looked at.
func (f *Finder) News(ctx context.Context, owner string) (int64, error) {
	var n int64
	err := f.d.QueryRow(ctx, `SELECT COUNT(*) FROM directory_saved WHERE owner = ? AND fresh <> '[]'`, owner).Scan(&n)
	return n, err
}

// Looked says that the owner has seen what is new of a saved search.
func (f *Finder) Looked(ctx context.Context, owner string, id SavedID) error {
	return f.changeSaved(ctx, `UPDATE directory_saved SET fresh = '[]' WHERE id = ? AND owner = ?`, owner, id)
}

// DeleteSearch forgets a saved search.
func (f *Finder) DeleteSearch(ctx context.Context, owner string, id SavedID) error {
	return f.changeSaved(ctx, `DELETE FROM directory_saved WHERE id = ? AND owner = ?`, owner, id)
}

func (f *Finder) changeSaved(ctx context.Context, statement, owner string, id SavedID) error {
	return f.d.Write(ctx, func(tx *db.Tx) error {
		res, err := tx.Exec(statement, int64(id), owner)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.NotFound, "find saved search", "", "there is none of this number that is yours"))
		}
		return nil
	})
}

// Alert is a saved search that finds something new.
type Alert struct {
	Search Saved
	New    []ID // of this check
}

// CheckSaved looks what every saved search with an alert finds now, and gives those that find something new. What an owner has not looked at stays fresh.
func (f *Finder) CheckSaved(ctx context.Context) ([]Alert, error) {
	var alerts []Alert
	for after := int64(0); ; {
		ids, err := f.savedAfter(ctx, after)
		if err != nil || len(ids) == 0 {
			return alerts, err
		}
		for _, id := range ids {
			after = int64(id)
			a, err := f.check(ctx, id)
			if fault.Is(err, fault.Corrupt) {
				continue // one that cannot be read any more keeps nobody else from being told
			}
			if err != nil {
				return alerts, err
			}
			if len(a.New) > 0 {
				alerts = append(alerts, a)
			}
		}
	}
}

func (f *Finder) savedAfter(ctx context.Context, after int64) ([]SavedID, error) {
	rows, err := f.d.Query(ctx, `SELECT id FROM directory_saved WHERE id > ? AND alert = 1 ORDER BY id LIMIT 200`, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []SavedID
	for rows.Next() {
		var id SavedID
		if err := rows.Scan(&id); err != nil {
			return nil, db.Fault("list saved searches", err)
		}
		ids = append(ids, id)
	}
	return ids, db.Fault("list saved searches", rows.Err())
}

func (f *Finder) check(ctx context.Context, id SavedID) (Alert, error) {
	s, before, comparable, err := scanSaved(f.d.QueryRow(ctx, savedColumns+` WHERE id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return Alert{}, nil
	}
	if err != nil {
		return Alert{}, err
	}
	now, err := f.Matching(ctx, s.Query)
	if err != nil {
		return Alert{}, err
	}
	var fresh []ID
	if comparable && len(now) <= maxKept {
		for _, found := range now {
			if _, old := slices.BinarySearch(before, found); !old {
				fresh = append(fresh, found)
			}
		}
	}
	all := slices.Clone(s.Fresh)
	for _, x := range fresh {
		if !slices.Contains(all, x) {
			all = append(all, x)
		}
	}
	all = slices.DeleteFunc(all, func(x ID) bool { _, still := slices.BinarySearch(now, x); return !still })
	s.Fresh, s.Found, s.Checked = all, len(now), db.Time(db.Micros(time.Now()))
	err = f.d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE directory_saved SET digest = ?, found = ?, fresh = ?, checked = ? WHERE id = ?`, digestOf(now), listText(now), listText(all), db.Micros(s.Checked), int64(id))
		return err
	})
	return Alert{Search: s, New: fresh}, err
}

// Shortlist are the entries that an owner has put aside, the latest first. Those that are not published any more are left out.
func (f *Finder) Shortlist(ctx context.Context, owner string) ([]Stored, error) {
	rows, err := f.d.Query(ctx, `SELECT entry FROM directory_shortlist WHERE owner = ? ORDER BY added DESC, entry`, owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []ID
	for rows.Next() {
		var id ID
		if err := rows.Scan(&id); err != nil {
			return nil, db.Fault("list shortlist", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, db.Fault("list shortlist", err)
	}
	var all []Stored
	for _, id := range ids {
		s, err := f.entries.Seen(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// SetShortlisted puts a published entry on an owner's shortlist, or takes it off.
func (f *Finder) SetShortlisted(ctx context.Context, owner string, id ID, on bool) error {
	const attempt = "change shortlist"
	if owner == "" {
		return fault.New(fault.Denied, attempt, "", "it is kept for somebody who is signed in")
	}
	if !on {
		return f.d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`DELETE FROM directory_shortlist WHERE owner = ? AND entry = ?`, owner, string(id))
			return err
		})
	}
	if _, err := f.entries.Seen(ctx, id); err != nil {
		return err
	}
	return f.d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock("shortlist of " + owner); err != nil {
			return err
		}
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM directory_shortlist WHERE owner = ?`, owner).Scan(&n); err != nil {
			return err
		}
		if n >= maxShortlist {
			return fault.New(fault.TooLarge, attempt, "", "a shortlist has at most 500 collections")
		}
		_, err := tx.Exec(`INSERT INTO directory_shortlist (owner, entry, added) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, owner, string(id), db.Micros(time.Now()))
		return err
	})
}
