// Package pull is the record of what is collected from other archives: pulls, the requests of each and the studies that they come to, with the fate of each.
// docs/formats/pull.md says what each column means.
//
// It promises: nothing that identifies is in it in clear. What is asked for comes sealed, and is forgotten when its fate is known; a study is known by a keyed hash. It opens
// no association and decides nothing.
package pull

import (
	"context"
	"database/sql"
	"embed"
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

// ID numbers a pull.
type ID int64

const idPrefix = "pull-"

func (id ID) String() string { return idPrefix + strconv.FormatInt(int64(id), 36) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	rest, ok := strings.CutPrefix(s, idPrefix)
	n, err := strconv.ParseInt(rest, 36, 64)
	if !ok || err != nil || n <= 0 || ID(n).String() != s {
		return 0, fault.New(fault.NotFound, "find pull", "", "there is no such pull")
	}
	return ID(n), nil
}

// Way is how images are fetched. The texts are stored.
type Way string

// The ways.
const (
	Move Way = "move" // the archive sends them to the collection's AE title (C-MOVE)
	Get  Way = "get"  // they come on the association that asks (C-GET)
)

// Kind is what is asked for. The texts are stored.
type Kind string

// The kinds.
const (
	List     Kind = "list"     // of accession numbers, patients or studies; it ends when each has its fate
	Standing Kind = "standing" // whatever an archive has that is like this, day after day
)

// State is how a pull stands. The texts are stored.
type State string

// The states.
const (
	Active State = "active"
	Paused State = "paused"
	Ended  State = "ended" // each request of a list has its fate; or it was ended by a person
)

// Pull is a wish, and how it stands.
type Pull struct {
	ID         ID
	Collection collection.ID
	Peer       collection.AETitle
	Way        Way
	Kind       Kind
	Sealed     []byte // its label, and what a standing one asks for
	Rate       int64  // studies an hour; 0: as fast as they come
	Hours      string // when it may run; empty: always
	State      State
	Actor      string
	Created    time.Time
	Ran        time.Time // when it last did something
	Seen       string    // of a standing one: the day, YYYYMMDD, up to which it was asked; empty: never
	Why        string    // code of what keeps it from running; empty: nothing
	Requests   int64     // of a list
}

// ItemKind tells requests from the studies that they come to. The texts are stored.
type ItemKind string

// The kinds of item.
const (
	Request ItemKind = "request"
	Study   ItemKind = "study"
	Prior   ItemKind = "prior" // the patient of a study: earlier ones are looked for
)

// ItemState is the fate of an item. The texts are stored.
type ItemState string

// The fates.
const (
	Waiting ItemState = "waiting" // to be looked for, or to be fetched
	Running ItemState = "running"
	Found   ItemState = "found"   // of a request: it came to studies
	Nothing ItemState = "nothing" // of a request: the archive has nothing of the kind
	Done    ItemState = "done"    // of a study: all of it came
	Partial ItemState = "partial" // some of it did not come, however often it was asked for
	Failed  ItemState = "failed"
)

// Item is a request, or a study.
type Item struct {
	ID       int64
	Pull     ID
	Kind     ItemKind
	Ordinal  int64  // of the request in its list, from 1; of a study, of the request that first came to it; 0: it came by a standing query
	Mark     []byte // keyed hash of what it is
	Sealed   []byte // what it is; empty when nothing is to be done with it any more
	State    ItemState
	Expected int64 // of a study: instances that the archive says it has; of a request: studies. -1: unknown
	Came     int64
	Failed   int64
	Tries    int64
	Why      string // code
	Due      time.Time
	Changed  time.Time
}

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "pull", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Make notes a pull, and gives it its number.
func (r *Record) Make(tx *db.Tx, p *Pull) error {
	n, err := ident.New()
	if err != nil {
		return err
	}
	p.ID, p.State, p.Created = ID(n), Active, db.Time(db.Micros(time.Now()))
	_, err = tx.Exec(`INSERT INTO pull (id, collection, peer, way, kind, sealed, rate, hours, state, actor, created, ran, seen, why, requests) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, '', ?)`,
		int64(p.ID), string(p.Collection), string(p.Peer), string(p.Way), string(p.Kind), p.Sealed, p.Rate, p.Hours, string(p.State), p.Actor, db.Micros(p.Created), p.Seen, p.Requests)
	return err
}

const columns = `SELECT id, collection, peer, way, kind, sealed, rate, hours, state, actor, created, ran, seen, why, requests FROM pull`

func scan(row interface{ Scan(...any) error }) (Pull, error) {
	var p Pull
	var created, ran int64
	if err := row.Scan(&p.ID, &p.Collection, &p.Peer, &p.Way, &p.Kind, &p.Sealed, &p.Rate, &p.Hours, &p.State, &p.Actor, &created, &ran, &p.Seen, &p.Why, &p.Requests); err != nil {
		return p, err
	}
	p.Created = db.Time(created)
	if ran != 0 {
		p.Ran = db.Time(ran)
	}
	return p, nil
}

// Get is one pull; a fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Pull, error) {
	p, err := scan(r.d.QueryRow(ctx, columns+` WHERE id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return p, fault.New(fault.NotFound, "find pull", "", "there is no such pull")
	}
	return p, err
}

// Of lists the pulls of a collection, the latest first.
func (r *Record) Of(ctx context.Context, c collection.ID) ([]Pull, error) {
	return r.list(ctx, columns+` WHERE collection = ? ORDER BY id DESC LIMIT 1000`, string(c))
}

// Active lists the pulls that may have something to do.
func (r *Record) Active(ctx context.Context) ([]Pull, error) {
	return r.list(ctx, columns+` WHERE state = ? ORDER BY id`, string(Active))
}

func (r *Record) list(ctx context.Context, query string, args ...any) ([]Pull, error) {
	rows, err := r.d.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Pull
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list pulls", err)
		}
		all = append(all, p)
	}
	return all, db.Fault("list pulls", rows.Err())
}

// Stand says how a pull stands. One that has ended stays so: false.
func (r *Record) Stand(tx *db.Tx, id ID, s State) (changed bool, err error) {
	res, err := tx.Exec(`UPDATE pull SET state = ?, why = '' WHERE id = ? AND state <> ? AND state <> ?`, string(s), int64(id), string(Ended), string(s))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, db.Fault("change pull", err)
}

// Reopen makes a list that has ended go on.
func (r *Record) Reopen(tx *db.Tx, id ID) error {
	_, err := tx.Exec(`UPDATE pull SET state = ?, why = '' WHERE id = ? AND kind = ?`, string(Active), int64(id), string(List))
	return err
}

// Ran notes that a pull did something, up to which day it was asked, and what keeps it.
func (r *Record) Ran(tx *db.Tx, id ID, seen, why string) error {
	_, err := tx.Exec(`UPDATE pull SET ran = ?, seen = ?, why = ? WHERE id = ?`, db.Micros(time.Now()), seen, why, int64(id))
	return err
}

// Add notes an item, unless the pull has it: then a study of which more is there now than came before waits again. It says whether there is something to do.
func (r *Record) Add(tx *db.Tx, it Item) (fresh bool, err error) {
	n, err := ident.New()
	if err != nil {
		return false, err
	}
	now := db.Micros(time.Now())
	res, err := tx.Exec(`INSERT INTO pull_item (id, pull, kind, ordinal, mark, sealed, state, expected, came, failed, tries, why, due, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, '', 0, ?)
		ON CONFLICT (pull, kind, mark) DO UPDATE SET sealed = excluded.sealed, state = excluded.state, expected = excluded.expected, tries = 0, why = '', due = 0, changed = excluded.changed
		WHERE pull_item.kind = ? AND pull_item.state IN (?, ?, ?) AND excluded.expected > pull_item.expected`,
		n, int64(it.Pull), string(it.Kind), it.Ordinal, it.Mark, it.Sealed, string(Waiting), it.Expected, now, string(Study), string(Done), string(Partial), string(Failed))
	if err != nil {
		return false, err
	}
	k, err := res.RowsAffected()
	return k > 0, db.Fault("add to pull", err)
}

const itemColumns = `SELECT id, pull, kind, ordinal, mark, sealed, state, expected, came, failed, tries, why, due, changed FROM pull_item`

func (r *Record) items(ctx context.Context, query string, args ...any) ([]Item, error) {
	rows, err := r.d.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Item
	for rows.Next() {
		var it Item
		var due, changed int64
		if err := rows.Scan(&it.ID, &it.Pull, &it.Kind, &it.Ordinal, &it.Mark, &it.Sealed, &it.State, &it.Expected, &it.Came, &it.Failed, &it.Tries, &it.Why, &due, &changed); err != nil {
			return nil, db.Fault("list what is pulled", err)
		}
		it.Due, it.Changed = db.Time(due), db.Time(changed)
		all = append(all, it)
	}
	return all, db.Fault("list what is pulled", rows.Err())
}

// Next lists items of a kind that wait and whose time has come, the first first.
func (r *Record) Next(ctx context.Context, id ID, kind ItemKind, limit int) ([]Item, error) {
	return r.items(ctx, itemColumns+` WHERE pull = ? AND kind = ? AND state = ? AND due <= ? ORDER BY id LIMIT ?`, int64(id), string(kind), string(Waiting), db.Micros(time.Now()), int64(limit))
}

// Items lists the requests of a list by ordinal, or the studies of a standing pull, the latest first; after an ordinal, or before a number of a row.
func (r *Record) Items(ctx context.Context, id ID, kind ItemKind, after int64, limit int) ([]Item, error) {
	if kind == Request {
		return r.items(ctx, itemColumns+` WHERE pull = ? AND kind = ? AND ordinal > ? ORDER BY ordinal LIMIT ?`, int64(id), string(kind), after, int64(limit))
	}
	if after <= 0 {
		after = 1<<63 - 1
	}
	return r.items(ctx, itemColumns+` WHERE pull = ? AND kind = ? AND id < ? ORDER BY id DESC LIMIT ?`, int64(id), string(kind), after, int64(limit))
}

// StudiesOf lists the studies that requests of a list came to, by their ordinals, from the first to the last of them.
func (r *Record) StudiesOf(ctx context.Context, id ID, first, last int64) ([]Item, error) {
	return r.items(ctx, itemColumns+` WHERE pull = ? AND ordinal >= ? AND ordinal <= ? AND kind = ? ORDER BY ordinal, id LIMIT 10000`, int64(id), first, last, string(Study))
}

// Settle writes how an item stands now.
func (r *Record) Settle(tx *db.Tx, it Item) error {
	due := int64(0)
	if !it.Due.IsZero() {
		due = db.Micros(it.Due)
	}
	if it.Sealed == nil {
		it.Sealed = []byte{}
	}
	_, err := tx.Exec(`UPDATE pull_item SET sealed = ?, state = ?, expected = ?, came = ?, failed = ?, tries = ?, why = ?, due = ?, changed = ? WHERE id = ?`,
		it.Sealed, string(it.State), it.Expected, it.Came, it.Failed, it.Tries, it.Why, due, db.Micros(time.Now()), it.ID)
	return err
}

// Resume makes what was under way when a process ended wait again.
func (r *Record) Resume(tx *db.Tx, id ID) error {
	_, err := tx.Exec(`UPDATE pull_item SET state = ? WHERE pull = ? AND state = ?`, string(Waiting), int64(id), string(Running))
	return err
}

// Again makes what failed, or came in part, wait again, and says how many there are. What was forgotten cannot be asked for again.
func (r *Record) Again(tx *db.Tx, id ID) (int64, error) {
	res, err := tx.Exec(`UPDATE pull_item SET state = ?, tries = 0, why = '', due = 0, changed = ? WHERE pull = ? AND state IN (?, ?) AND LENGTH(sealed) > 0`,
		string(Waiting), db.Micros(time.Now()), int64(id), string(Failed), string(Partial))
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return n, db.Fault("ask again", err)
}

// Forget forgets what is asked for: the fates stay.
func (r *Record) Forget(tx *db.Tx, id ID) error {
	if _, err := tx.Exec(`UPDATE pull_item SET sealed = ? WHERE pull = ?`, []byte{}, int64(id)); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE pull_item SET state = ?, why = ? WHERE pull = ? AND state IN (?, ?)`, string(Failed), "ended", int64(id), string(Waiting), string(Running))
	return err
}

// Sum is how many items of a kind there are in a state, and what came of them.
type Sum struct {
	Kind         ItemKind
	State        ItemState
	Items        int64
	Came, Failed int64
	Due          time.Time // when the first of those that wait may be tried
}

// Sums says how a pull stands.
func (r *Record) Sums(ctx context.Context, id ID) ([]Sum, error) {
	rows, err := r.d.Query(ctx, `SELECT kind, state, COUNT(*), CAST(COALESCE(SUM(came), 0) AS BIGINT), CAST(COALESCE(SUM(failed), 0) AS BIGINT), CAST(COALESCE(MIN(due), 0) AS BIGINT) FROM pull_item WHERE pull = ? GROUP BY kind, state ORDER BY kind, state`, int64(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Sum
	for rows.Next() {
		var s Sum
		var due int64
		if err := rows.Scan(&s.Kind, &s.State, &s.Items, &s.Came, &s.Failed, &due); err != nil {
			return nil, db.Fault("count what is pulled", err)
		}
		s.Due = db.Time(due)
		all = append(all, s)
	}
	return all, db.Fault("count what is pulled", rows.Err())
}
