// Package consent is the record of what people have agreed to and refused, of the legal bases that collections have, and of withdrawals.
//
// It promises: events are only ever added, in the order in which they were recorded, and the same one again changes nothing; a form's version never changes; a basis ends, and is
// never rewritten. Whose an event is, it knows by the keyed hash that images are filed by ([subject.Link]): no identifier of a person is in it, whether there are images or not.
// docs/formats/consent.md says what each column means.
//
// It does not judge: what events and bases come to is judge/consent's to say.
package consent

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
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
	if err := d.Migrate(ctx, "consent", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Way is how an event came.
type Way string

// The ways. The texts are stored.
const (
	Person Way = "person" // somebody has written it into the portal, or given a command
	Table  Way = "csv"
	FHIR   Way = "fhir"
)

// Event is what a person said once, as it was recorded.
type Event struct {
	ID            int64
	Collection    collection.ID
	Link          subject.Link
	Form, Version string // of the form that was signed; empty: none
	Answers       map[string]bool
	judge.Event
	Way      Way
	Actor    string // who recorded it
	Recorded time.Time
}

// digest tells one event from another: all of it but how, when and by whom it was recorded.
func (e *Event) digest() []byte {
	b, err := json.Marshal([]any{e.Link.String(), e.Form, e.Version, db.Micros(e.At), text(e.Grants), text(e.Denies), string(e.Withdrawal), micros(e.Expires)})
	if err != nil {
		panic(err) // texts and numbers can be written
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

func text(uses []judge.Use) string {
	all := make([]string, len(uses))
	for i, u := range uses {
		all[i] = string(u)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

func usesOf(s string) (all []judge.Use) {
	for w := range strings.FieldsSeq(s) {
		all = append(all, judge.Use(w))
	}
	return all
}

// micros is a moment as it is stored; 0: none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return db.Time(n)
}

// Add adds an event, and gives its number. It reports whether this call did it: one that is there already is not added again.
func (r *Record) Add(tx *db.Tx, e Event) (id int64, added bool, err error) {
	if err := tx.Lock("consent " + string(e.Collection)); err != nil {
		return 0, false, err
	}
	if id, err = ident.New(); err != nil {
		return 0, false, err
	}
	answers, err := json.Marshal(e.Answers)
	if err != nil {
		return 0, false, fault.Wrap(fault.Internal, "record consent", "", err)
	}
	var seq int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM consent_event WHERE collection = ? AND link = ?`, string(e.Collection), e.Link[:]).Scan(&seq); err != nil {
		return 0, false, err
	}
	if e.Withdrawal == "" {
		e.Withdrawal = judge.NoWithdrawal
	}
	res, err := tx.Exec(`INSERT INTO consent_event (id, collection, link, said, form, version, answers, grants, denies, withdrawal, expires, way, actor, digest, recorded, seq)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		id, string(e.Collection), e.Link[:], micros(e.At), e.Form, e.Version, string(answers), text(e.Grants), text(e.Denies), string(e.Withdrawal), micros(e.Expires), string(e.Way), e.Actor,
		e.digest(), db.Micros(time.Now()), seq)
	if err != nil {
		return 0, false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return id, n == 1, err
	}
	err = tx.QueryRow(`SELECT id FROM consent_event WHERE collection = ? AND digest = ?`, string(e.Collection), e.digest()).Scan(&id)
	return id, false, err
}

const eventColumns = `SELECT id, collection, link, said, form, version, answers, grants, denies, withdrawal, expires, way, actor, recorded FROM consent_event`

func scanEvent(row interface{ Scan(...any) error }) (Event, error) {
	var e Event
	var link []byte
	var said, expires, recorded int64
	var answers, grants, denies string
	err := row.Scan(&e.ID, &e.Collection, &link, &said, &e.Form, &e.Version, &answers, &grants, &denies, &e.Withdrawal, &expires, &e.Way, &e.Actor, &recorded)
	if err != nil {
		return e, err
	}
	if copy(e.Link[:], link) != len(e.Link) || json.Unmarshal([]byte(answers), &e.Answers) != nil {
		return e, fault.New(fault.Corrupt, "read consent", "", "an event has another form than it should")
	}
	e.At, e.Expires, e.Recorded = moment(said), moment(expires), db.Time(recorded)
	e.Grants, e.Denies = usesOf(grants), usesOf(denies)
	return e, nil
}

func events(rows *sql.Rows, err error) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, db.Fault("read consent", err)
		}
		all = append(all, e)
	}
	return all, db.Fault("read consent", rows.Err())
}

// Of lists what a person said, in the order of recording.
func (r *Record) Of(ctx context.Context, c collection.ID, link subject.Link) ([]Event, error) {
	return events(r.d.Query(ctx, eventColumns+` WHERE collection = ? AND link = ? ORDER BY seq`, string(c), link[:]))
}

// OfIn is [Record.Of] as a transaction sees it.
func (r *Record) OfIn(tx *db.Tx, c collection.ID, link subject.Link) ([]Event, error) {
	return events(tx.Query(eventColumns+` WHERE collection = ? AND link = ? ORDER BY seq`, string(c), link[:]))
}

// Event is one event of a collection; fault.NotFound if there is none.
func (r *Record) Event(ctx context.Context, c collection.ID, id int64) (Event, error) {
	e, err := scanEvent(r.d.QueryRow(ctx, eventColumns+` WHERE collection = ? AND id = ?`, string(c), id))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "find consent", "", "there is no such event")
	}
	return e, err
}

// Each shows what each person of a collection said.
func (r *Record) Each(ctx context.Context, c collection.ID, show func(subject.Link, []Event) error) error {
	rows, err := r.d.Query(ctx, eventColumns+` WHERE collection = ? ORDER BY link, seq`, string(c))
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return db.Fault("read consent", err)
		}
		if len(all) > 0 && all[0].Link != e.Link {
			if err := show(all[0].Link, all); err != nil {
				return err
			}
			all = nil
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return db.Fault("read consent", err)
	}
	if len(all) > 0 {
		return show(all[0].Link, all)
	}
	return nil
}

// Judged are events as judge/consent takes them.
func Judged(all []Event) []judge.Event {
	out := make([]judge.Event, len(all))
	for i := range all {
		out[i] = all[i].Event
	}
	return out
}

// Check is one check of the national data opt-out.
type Check struct {
	ID         int64
	Collection collection.ID
	Checked    time.Time
	People     int64 // who have opted out
	Actor      string
}

// RecordCheck replaces who has opted out by what a check has found.
func (r *Record) RecordCheck(tx *db.Tx, c Check, optedOut []subject.Link) error {
	if err := tx.Lock("consent " + string(c.Collection)); err != nil {
		return err
	}
	id, err := ident.New()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM consent_opt_out WHERE collection = ?`, string(c.Collection)); err != nil {
		return err
	}
	for _, l := range optedOut {
		if _, err := tx.Exec(`INSERT INTO consent_opt_out (collection, link) VALUES (?, ?) ON CONFLICT DO NOTHING`, string(c.Collection), l[:]); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`INSERT INTO consent_check (id, collection, checked, people, actor, created) VALUES (?, ?, ?, ?, ?, ?)`,
		id, string(c.Collection), db.Micros(c.Checked), c.People, c.Actor, db.Micros(time.Now()))
	return err
}

// LastCheck is the latest check of a collection; the zero value: there was none.
func (r *Record) LastCheck(ctx context.Context, c collection.ID) (Check, error) {
	k := Check{Collection: c}
	var at int64
	err := r.d.QueryRow(ctx, `SELECT id, checked, people, actor FROM consent_check WHERE collection = ? ORDER BY checked DESC, id DESC LIMIT 1`, string(c)).Scan(&k.ID, &at, &k.People, &k.Actor)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	k.Checked = moment(at)
	return k, err
}

// OptedOut are those of a collection who had opted out when it was checked last.
func (r *Record) OptedOut(ctx context.Context, c collection.ID) (map[subject.Link]bool, error) {
	rows, err := r.d.Query(ctx, `SELECT link FROM consent_opt_out WHERE collection = ?`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[subject.Link]bool{}
	for rows.Next() {
		var b []byte
		var l subject.Link
		if err := rows.Scan(&b); err != nil {
			return nil, db.Fault("read opt-outs", err)
		}
		if copy(l[:], b) != len(l) {
			return nil, fault.New(fault.Corrupt, "read opt-outs", "", "a link has another length")
		}
		all[l] = true
	}
	return all, db.Fault("read opt-outs", rows.Err())
}

// HasOptedOut reports whether a person had when it was checked last.
func (r *Record) HasOptedOut(ctx context.Context, c collection.ID, link subject.Link) (bool, error) {
	var n int64
	err := r.d.QueryRow(ctx, `SELECT COUNT(*) FROM consent_opt_out WHERE collection = ? AND link = ?`, string(c), link[:]).Scan(&n)
	return n > 0, err
}
