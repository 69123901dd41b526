// Package release is the record of datasets and their releases: which objects a version holds, to the byte, and how that is proven.
//
// It promises: what is in a release is never changed after it was frozen; when a person withdraws, what their entries say is erased and the hash of each stays, so that the root of the release goes on to be
// proven ([describe.Tree]); who is in which part of a dataset (train, validation, test) is decided once. Whoever changes something passes the transaction in which the audit entry is written too.
// docs/formats/release.md says what each column means.
//
// It does not decide who may have a release, and does not read objects.
package release

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations
var migrations embed.FS

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "release", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// State is where a release stands. The numbers are stored.
type State int64

// The states.
const (
	Draft      State = 1 // frozen, and nobody's yet
	Published  State = 2
	Amended    State = 3 // somebody of it has withdrawn since; what is left of it is served
	Superseded State = 4 // a later version has taken its place
	Tombstoned State = 5 // taken back as a whole: a page says why
)

var stateNames = [...]string{"-", "draft", "published", "amended", "superseded", "tombstoned"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "unknown"
	}
	return stateNames[s]
}

// Served reports the states in which objects are given to those who may have them.
func (s State) Served() bool { return s == Published || s == Amended }

// Dataset is what is released, version by version.
type Dataset struct {
	ID         string // as a collection's: lower-case letters, digits, hyphens
	Collection collection.ID
	About      []byte // JSON of whoever keeps it: title, cohort, splits
	Actor      string
	Created    time.Time
}

// Release is a version of a dataset.
type Release struct {
	ID         int64
	Dataset    string
	Version    string // Semantic Versioning
	Collection collection.ID
	State      State
	Root       string // RFC 6962 tree hash of the lines of its manifest, hexadecimal
	Entries    int64
	Bytes      int64
	Withdrawn  int64  // of the entries
	Facts      []byte // JSON of whoever froze it: never changed
	DOI        string
	Registered bool   // the DOI resolves
	Previous   string // version that it takes the place of
	Next       string
	Tombstone  []byte // JSON, of one that is taken back
	Actor      string
	Cutoff     time.Time // consent was asked as it stood then
	Frozen     time.Time
	Published  time.Time
	Embargo    time.Time // until when nobody is given anything of it; zero: none
	Changed    time.Time
}

// Name is the release as people write it.
func (r *Release) Name() string { return r.Dataset + "@" + r.Version }

// Entry is an object of a release.
type Entry struct {
	Release   int64
	N         int64 // its place, from 0
	Subject   subject.ID
	Instance  catalogue.InstanceID
	Ref       catalogue.Ref // the record that was frozen
	Withdrawn time.Time
	describe.Entry
}

// AddDataset adds a dataset; a fault.Conflict if there is one of this name.
func (r *Record) AddDataset(tx *db.Tx, d Dataset) error {
	res, err := tx.Exec(`INSERT INTO dataset (id, collection, about, actor, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, d.ID, string(d.Collection), string(d.About), d.Actor, db.Micros(time.Now()))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, "add dataset", "dataset "+d.ID, "there is a dataset of this name already")
}

// ChangeDataset writes what is said of a dataset anew. Releases that were frozen keep what was said then.
func (r *Record) ChangeDataset(tx *db.Tx, id string, about []byte) error {
	res, err := tx.Exec(`UPDATE dataset SET about = ? WHERE id = ?`, string(about), id)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return noDataset()
}

func noDataset() error {
	return fault.New(fault.NotFound, "find dataset", "", "there is no such dataset that you may see")
}

// NoRelease is the failure where there is no such release, or none that the caller may know of.
func NoRelease() error {
	return fault.New(fault.NotFound, "find release", "", "there is no such release that you may see")
}

const datasetColumns = `SELECT id, collection, about, actor, created FROM dataset`

func scanDataset(row interface{ Scan(...any) error }) (d Dataset, err error) {
	var about string
	var created int64
	err = row.Scan(&d.ID, &d.Collection, &about, &d.Actor, &created)
	d.About, d.Created = []byte(about), db.Time(created)
	if errors.Is(err, sql.ErrNoRows) {
		err = noDataset()
	}
	return d, err
}

// Dataset is one; fault.NotFound if there is none.
func (r *Record) Dataset(ctx context.Context, id string) (Dataset, error) {
	return scanDataset(r.d.QueryRow(ctx, datasetColumns+` WHERE id = ?`, id))
}

// list reads rows.
func list[T any](rows *sql.Rows, err error, scan func(interface{ Scan(...any) error }) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, db.Fault("read releases", err)
		}
		all = append(all, x)
	}
	return all, db.Fault("read releases", rows.Err())
}

// Datasets lists those of a collection, or all where it is empty.
func (r *Record) Datasets(ctx context.Context, c collection.ID) ([]Dataset, error) {
	rows, err := r.d.Query(ctx, datasetColumns+` WHERE collection = ? OR ? = '' ORDER BY id`, string(c), string(c))
	return list(rows, err, scanDataset)
}

const releaseColumns = `SELECT id, dataset, version, collection, state, root, entries, bytes, withdrawn, facts, doi, registered, previous, next, tombstone, actor, cutoff, frozen, published, embargo, changed FROM dataset_release`

func scanRelease(row interface{ Scan(...any) error }) (x Release, err error) {
	var facts, tomb string
	var registered, cutoff, frozen, published, embargo, changed int64
	err = row.Scan(&x.ID, &x.Dataset, &x.Version, &x.Collection, &x.State, &x.Root, &x.Entries, &x.Bytes, &x.Withdrawn, &facts, &x.DOI, &registered, &x.Previous, &x.Next, &tomb, &x.Actor,
		&cutoff, &frozen, &published, &embargo, &changed)
	if errors.Is(err, sql.ErrNoRows) {
		return x, NoRelease()
	}
	x.Facts, x.Registered, x.Tombstone = []byte(facts), registered != 0, []byte(tomb)
	x.Cutoff, x.Frozen, x.Published, x.Embargo, x.Changed = moment(cutoff), moment(frozen), moment(published), moment(embargo), moment(changed)
	return x, err
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return db.Time(n)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// Get is a version of a dataset; fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, dataset, version string) (Release, error) {
	return scanRelease(r.d.QueryRow(ctx, releaseColumns+` WHERE dataset = ? AND version = ?`, dataset, version))
}

// ByID is the release of that number.
func (r *Record) ByID(ctx context.Context, id int64) (Release, error) {
	return scanRelease(r.d.QueryRow(ctx, releaseColumns+` WHERE id = ?`, id))
}

// Releases lists the versions of a dataset, the latest frozen first.
func (r *Record) Releases(ctx context.Context, dataset string) ([]Release, error) {
	rows, err := r.d.Query(ctx, releaseColumns+` WHERE dataset = ? ORDER BY frozen DESC, id DESC`, dataset)
	return list(rows, err, scanRelease)
}

// Before is the number of the version that a release takes the place of; fault.NotFound if there is none.
func (r *Record) Before(tx *db.Tx, x *Release) (id int64, err error) {
	err = tx.QueryRow(`SELECT id FROM dataset_release WHERE dataset = ? AND version = ?`, x.Dataset, x.Previous).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, NoRelease()
	}
	return id, err
}

// Latest is the last version of a dataset that is served; fault.NotFound if there is none.
func (r *Record) Latest(ctx context.Context, dataset string) (Release, error) {
	return scanRelease(r.d.QueryRow(ctx, releaseColumns+` WHERE dataset = ? AND state IN (2, 3) ORDER BY published DESC, id DESC LIMIT 1`, dataset))
}

// Freezing is a release that is being written, entry by entry, in transactions of its own: reading what it holds takes long, and nobody else waits. Until [Freezing.End] it is nothing that anybody sees.
type Freezing struct {
	r    *Record
	id   int64
	n    int64
	size int64
	tree describe.Tree
	args []any
	rows int
}

// Freeze begins a release. Its entries are added in their order; [Freezing.End] makes it, [Freezing.Abandon] forgets it.
func (r *Record) Freeze() (*Freezing, error) {
	id, err := ident.New()
	return &Freezing{r: r, id: id}, err
}

// rowsAtOnce is how many rows go in one statement: SQLite takes 32,766 parameters.
const rowsAtOnce = 500

// Add adds an entry.
func (f *Freezing) Add(ctx context.Context, e Entry) error {
	leaf, err := describe.LeafHash(e.Entry)
	if err != nil {
		return err
	}
	if err := f.tree.Add(e.Entry); err != nil {
		return err
	}
	sum, err := hex.DecodeString(leaf)
	if err != nil {
		return err
	}
	body, err := encode(&e.Entry)
	if err != nil {
		return err
	}
	f.args = append(f.args, f.id, f.n, e.DRS, int64(e.Subject), int64(e.Instance), bytes.Clone(e.Ref.Pack[:]), e.Ref.Offset, sum, e.Size, int64(0), body)
	f.n++
	f.size += e.Size
	if f.rows++; f.rows == rowsAtOnce {
		return f.flush(ctx)
	}
	return nil
}

func (f *Freezing) flush(ctx context.Context) error {
	if f.rows == 0 {
		return nil
	}
	const one = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	err := f.r.d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO release_entry (release_id, n, drs, subject, instance, pack, pack_offset, leaf, size, withdrawn, body) VALUES `+one+strings.Repeat(`, `+one, f.rows-1), f.args...)
		return err
	})
	f.args, f.rows = f.args[:0], 0
	return err
}

// Len is the number of entries so far.
func (f *Freezing) Len() int64 { return f.n }

// Flush writes what was added.
func (f *Freezing) Flush(ctx context.Context) error { return f.flush(ctx) }

// Abandon forgets what was written.
func (f *Freezing) Abandon(ctx context.Context) error {
	return f.r.d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM release_entry WHERE release_id = ? AND NOT EXISTS (SELECT 1 FROM dataset_release x WHERE x.id = release_entry.release_id)`, f.id)
		return err
	})
}

// End makes the release a draft, once [Freezing.Flush] has written every entry. It fills in number, root, entries, bytes and moments. That somebody of it has withdrawn meanwhile is a fault.Conflict.
func (f *Freezing) End(tx *db.Tx, x *Release) error {
	const attempt = "freeze release"
	// Behind the lock that a withdrawal takes: it has been seen here, or it will see this release.
	if err := catalogue.Lock(tx, x.Collection); err != nil {
		return err
	}
	var gone int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM release_entry e WHERE e.release_id = ? AND (e.withdrawn <> 0 OR EXISTS (SELECT 1 FROM subject s WHERE s.id = e.subject AND s.withdrawn <> 0))`, f.id).Scan(&gone); err != nil {
		return err
	}
	if gone > 0 {
		return fault.New(fault.Conflict, attempt, "release "+x.Name(), "somebody of it has withdrawn while it was frozen: freeze it anew")
	}
	now := time.Now()
	x.ID, x.Root, x.Entries, x.Bytes, x.State, x.Frozen, x.Changed = f.id, f.tree.Root(), f.n, f.size, Draft, now, now
	res, err := tx.Exec(`INSERT INTO dataset_release (id, dataset, version, collection, state, root, entries, bytes, withdrawn, facts, doi, registered, previous, next, tombstone, actor, cutoff, frozen, published, embargo, changed)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', 0, ?, '', '', ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING`,
		x.ID, x.Dataset, x.Version, string(x.Collection), int64(x.State), x.Root, x.Entries, x.Bytes, string(x.Facts), x.Previous, x.Actor, micros(x.Cutoff), db.Micros(now), micros(x.Embargo), db.Micros(now))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, attempt, "release "+x.Name(), "there is this version already, and a version is never changed")
}

// Sweep forgets what freezings wrote that began before a moment and were never ended: nobody is at work on them any more.
func (r *Record) Sweep(tx *db.Tx, before time.Time) error {
	_, err := tx.Exec(`DELETE FROM release_entry WHERE release_id < ? AND NOT EXISTS (SELECT 1 FROM dataset_release x WHERE x.id = release_entry.release_id)`, ident.At(before))
	return err
}

// Splits are who of a dataset is in which part: 1 train, 2 validation, 3 test.
func (r *Record) Splits(tx *db.Tx, dataset string) (map[subject.ID]int64, error) {
	rows, err := tx.Query(`SELECT subject, split FROM dataset_split WHERE dataset = ?`, dataset)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[subject.ID]int64{}
	for rows.Next() {
		var id subject.ID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, db.Fault("read splits", err)
		}
		all[id] = n
	}
	return all, db.Fault("read splits", rows.Err())
}

// SetSplit puts a subject of a dataset into a part, once.
func (r *Record) SetSplit(tx *db.Tx, dataset string, id subject.ID, split int64) error {
	_, err := tx.Exec(`INSERT INTO dataset_split (dataset, subject, split) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, dataset, int64(id), split)
	return err
}

// Discard forgets a draft; a fault.Conflict for anything else.
func (r *Record) Discard(tx *db.Tx, x Release) error {
	res, err := tx.Exec(`DELETE FROM dataset_release WHERE id = ? AND state = 1`, x.ID)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n != 1 {
		return fault.New(fault.Conflict, "discard draft", "release "+x.Name(), "it is no draft: what was published stays")
	}
	_, err = tx.Exec(`DELETE FROM release_entry WHERE release_id = ?`, x.ID)
	return err
}

// Publish makes a draft the version that is in force, and has the one before it superseded. A person who withdrew since it was frozen makes that a fault.Conflict: freeze it anew.
func (r *Record) Publish(tx *db.Tx, x *Release) error {
	const attempt = "publish release"
	now := time.Now()
	if err := tx.Lock("dataset " + x.Dataset); err != nil {
		return err
	}
	res, err := tx.Exec(`UPDATE dataset_release SET state = 2, published = ?, changed = ? WHERE id = ? AND state = 1 AND withdrawn = 0`, db.Micros(now), db.Micros(now), x.ID)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n != 1 {
		return fault.New(fault.Conflict, attempt, "release "+x.Name(), "it is no draft, or somebody of it has withdrawn since it was frozen: freeze it anew")
	}
	x.State, x.Published, x.Changed = Published, now, now
	_, err = tx.Exec(`UPDATE dataset_release SET state = 4, next = ?, changed = ? WHERE dataset = ? AND id <> ? AND state IN (2, 3)`, x.Version, db.Micros(now), x.Dataset, x.ID)
	return err
}

// Bury takes a release back as a whole: what its entries say is erased, their hashes stay. A fault.Conflict for a draft, and for what was taken back already.
func (r *Record) Bury(tx *db.Tx, x Release, tombstone []byte) error {
	now := db.Micros(time.Now())
	res, err := tx.Exec(`UPDATE dataset_release SET state = 5, tombstone = ?, changed = ?, withdrawn = entries WHERE id = ? AND state IN (2, 3, 4)`, string(tombstone), now, x.ID)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n != 1 {
		return fault.New(fault.Conflict, "take back release", "release "+x.Name(), "it is a draft, or was taken back already")
	}
	_, err = tx.Exec(`UPDATE release_entry SET withdrawn = ?, body = '' WHERE release_id = ? AND withdrawn = 0`, now, x.ID)
	return err
}

// SetDOI writes the DOI of a release, and whether it resolves.
func (r *Record) SetDOI(tx *db.Tx, x Release, doi string, registered bool) error {
	n := int64(0)
	if registered {
		n = 1
	}
	_, err := tx.Exec(`UPDATE dataset_release SET doi = ?, registered = ? WHERE id = ?`, doi, n, x.ID)
	return err
}

// Withdraw erases what the entries of a subject say, in every release; what was published of it is amended. It gives the releases that had an entry of theirs.
func (r *Record) Withdraw(tx *db.Tx, id subject.ID) ([]Release, error) {
	now := db.Micros(time.Now())
	rows, err := tx.Query(releaseColumns+` WHERE id IN (SELECT DISTINCT release_id FROM release_entry WHERE subject = ? AND withdrawn = 0) ORDER BY id`, int64(id))
	all, err := list(rows, err, scanRelease)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if _, err := tx.Exec(`UPDATE release_entry SET withdrawn = ?, body = '' WHERE subject = ? AND withdrawn = 0`, now, int64(id)); err != nil {
		return nil, err
	}
	for i := range all {
		x := &all[i]
		if x.State == Published {
			x.State = Amended
		}
		if _, err := tx.Exec(`UPDATE dataset_release SET state = ?, changed = ?, withdrawn = (SELECT COUNT(*) FROM release_entry WHERE release_id = ? AND withdrawn <> 0) WHERE id = ?`, int64(x.State), now, x.ID, x.ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

const entryColumns = `SELECT release_id, n, drs, subject, instance, pack, pack_offset, leaf, withdrawn, body FROM release_entry`

func scanEntry(row interface{ Scan(...any) error }) (e Entry, err error) {
	var pack, leaf []byte
	var withdrawn int64
	var drs, body string
	if err = row.Scan(&e.Release, &e.N, &drs, &e.Subject, &e.Instance, &pack, &e.Ref.Offset, &leaf, &withdrawn, &body); err != nil {
		return e, err
	}
	bad := fault.New(fault.Corrupt, "read release", "", "an entry has another form than it should")
	if copy(e.Ref.Pack[:], pack) != len(e.Ref.Pack) || len(leaf) != 32 {
		return e, bad
	}
	if withdrawn != 0 || body == "" {
		e.Withdrawn = moment(withdrawn)
		e.Entry = describe.Entry{DRS: drs, Withdrawn: true, Leaf: hex.EncodeToString(leaf)}
		return e, nil
	}
	if decode(body, &e.Entry) != nil || e.DRS != drs {
		return e, bad
	}
	return e, nil
}

// page is how many entries are read at a time: the connection is free again while they are taken.
const page = 1000

// Entries are those of a release in their order, withdrawn ones as [describe.Entry.Withdrawn] says.
func (r *Record) Entries(ctx context.Context, id int64) func(yield func(Entry, error) bool) {
	return func(yield func(Entry, error) bool) {
		for from := int64(0); ; {
			rows, err := r.d.Query(ctx, entryColumns+` WHERE release_id = ? AND n >= ? ORDER BY n LIMIT ?`, id, from, int64(page))
			all, err := list(rows, err, scanEntry)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range all {
				if !yield(e, nil) {
					return
				}
				from = e.N + 1
			}
			if len(all) < page {
				return
			}
		}
	}
}

// Describe are the entries of a release as its descriptions take them.
func (r *Record) Describe(ctx context.Context, id int64) describe.Entries {
	return func(yield func(describe.Entry, error) bool) {
		for e, err := range r.Entries(ctx, id) {
			if !yield(e.Entry, err) {
				return
			}
		}
	}
}

// ByDRS are the entries of every release that have an identifier, the latest release first.
func (r *Record) ByDRS(ctx context.Context, drs string) ([]Entry, error) {
	rows, err := r.d.Query(ctx, entryColumns+` WHERE drs = ? ORDER BY release_id DESC`, drs)
	return list(rows, err, scanEntry)
}

// Receipt is what was given of a subject's to whoever has an entitlement: the ledger by which copies are called back.
type Receipt struct {
	Entitlement int64
	Release     int64
	Subject     subject.ID
	Account     string
	Objects     int64
	Bytes       int64
	First       time.Time
	Latest      time.Time
}

// Give adds to the ledger, before anything leaves.
func (r *Record) Give(tx *db.Tx, g Receipt) error {
	now := db.Micros(time.Now())
	_, err := tx.Exec(`INSERT INTO receipt (entitlement, release_id, subject, account, objects, bytes, first, latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (entitlement, release_id, subject) DO UPDATE SET objects = receipt.objects + excluded.objects, bytes = receipt.bytes + excluded.bytes, latest = excluded.latest`,
		g.Entitlement, g.Release, int64(g.Subject), g.Account, g.Objects, g.Bytes, now, now)
	return err
}

const receiptColumns = `SELECT entitlement, release_id, subject, account, objects, bytes, first, latest FROM receipt`

func scanReceipt(row interface{ Scan(...any) error }) (g Receipt, err error) {
	var first, latest int64
	err = row.Scan(&g.Entitlement, &g.Release, &g.Subject, &g.Account, &g.Objects, &g.Bytes, &first, &latest)
	g.First, g.Latest = db.Time(first), db.Time(latest)
	return g, err
}

// Given are the receipts of a subject.
func (r *Record) Given(ctx context.Context, id subject.ID) ([]Receipt, error) {
	rows, err := r.d.Query(ctx, receiptColumns+` WHERE subject = ? ORDER BY entitlement, release_id`, int64(id))
	return list(rows, err, scanReceipt)
}

// GivenIn are the receipts of a subject as a transaction sees them, or, where there is none, those of a release.
func (r *Record) GivenIn(tx *db.Tx, id subject.ID, release int64) ([]Receipt, error) {
	where, of := ` WHERE subject = ?`, int64(id)
	if of == 0 {
		where, of = ` WHERE release_id = ?`, release
	}
	rows, err := tx.Query(receiptColumns+where+` ORDER BY entitlement, release_id, subject`, of)
	return list(rows, err, scanReceipt)
}

// Mark is by what a recipient finds an object whose entry was erased.
type Mark struct {
	DRS  string
	Leaf string // hash of its line of the manifest, hexadecimal
}

// Marks are those of a subject's entries in a release.
func (r *Record) Marks(ctx context.Context, release int64, id subject.ID) ([]Mark, error) {
	rows, err := r.d.Query(ctx, `SELECT drs, leaf FROM release_entry WHERE release_id = ? AND subject = ? ORDER BY drs, n`, release, int64(id))
	return list(rows, err, func(row interface{ Scan(...any) error }) (m Mark, err error) {
		var leaf []byte
		err = row.Scan(&m.DRS, &leaf)
		m.Leaf = hex.EncodeToString(leaf)
		return m, err
	})
}
