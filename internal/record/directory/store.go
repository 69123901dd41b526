package directory

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

//go:embed migrations
var migrations embed.FS

// MaxDocument bounds an entry as a document, in bytes.
const MaxDocument = 512 << 10

// Changed is the signal that a transaction sends when what the public sees has changed (db.DB.Signalled).
const Changed = "directory"

// ID names an entry in addresses: /directory/{id}.
type ID string

// ParseID accepts what a collection's ID may be: 1 to 63 lower-case letters, digits and hyphens that begin and end with a letter or digit.
func ParseID(s string) (ID, error) {
	if _, err := collection.ParseID(s); err != nil {
		return "", fault.New(fault.Invalid, "read directory id", "",
			"an id is 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit")
	}
	return ID(s), nil
}

// State is whether an entry is shown. The numbers are stored.
type State int64

// The states. A published entry may have later revisions that are not: the public sees the published one until the next publication.
const (
	Draft     State = 1 // seen by those who write it
	Published State = 2
	Retired   State = 3 // taken from the lists; its page says so
)

func (s State) String() string {
	switch s {
	case Draft:
		return "draft"
	case Published:
		return "published"
	case Retired:
		return "retired"
	}
	return "unknown"
}

// Stored is an entry as one of its revisions.
type Stored struct {
	ID    ID
	Entry Entry

	Revision int64 // of Entry; the first is 1
	By       string
	At       time.Time // when it was saved, and By whom: an actor's id
	Note     string    // why, in the words of who saved it

	State     State
	StateBy   string    // who brought it into its state
	StateAt   time.Time // and when
	Latest    int64     // the newest revision
	Published int64     // the revision that the public sees or, where retired, saw last; 0: none yet
	Issued    time.Time // when it was first published; zero: never
	Change    int64     // counts with every change of what the public sees, over all entries
}

// Revision is one saving of an entry.
type Revision struct {
	Revision int64
	By       string
	At       time.Time
	Note     string
}

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "directory", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Decode reads an entry from JSON, as the API and exports of our own write it. A field that does not exist is refused: it would be lost silently.
func Decode(r io.Reader) (Entry, error) {
	const attempt = "read directory entry"
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return Entry{}, err
	}
	if len(raw) > MaxDocument {
		return Entry{}, fault.New(fault.TooLarge, attempt, "", fmt.Sprintf("an entry is at most %d bytes", MaxDocument))
	}
	var e Entry
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Entry{}, fault.New(fault.Invalid, attempt, "", jsonReason(err))
	}
	if d.More() {
		return Entry{}, fault.New(fault.Invalid, attempt, "", "there is something after the document")
	}
	return e, nil
}

// jsonReason says what is wrong with JSON without repeating its values.
func jsonReason(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("this is not JSON: it breaks off or goes wrong at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("%q cannot be a %s", kind.Field, kind.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return "there is no such field: " + strings.TrimPrefix(err.Error(), "json: unknown field ")
	}
	return "this is not the JSON of an entry"
}

// Save stores a revision of an entry as a draft beside what is published, and returns its number. base is the revision that it was made from: 0 makes a
// new entry. Somebody else's revision in between is a fault.Conflict, and a new entry's id that is taken, or a local collection that has an entry already.
// What Problems names is fault.Invalid; its text is of the first.
func (r *Record) Save(tx *db.Tx, id ID, e Entry, base int64, by, note string) (int64, error) {
	const attempt = "save directory entry"
	on := "entry " + string(id)
	if _, err := ParseID(string(id)); err != nil {
		return 0, err
	}
	if ps := e.Problems(); len(ps) > 0 {
		return 0, fault.New(fault.Invalid, attempt, on, ps[0].String())
	}
	if len(note) > 500 || strings.ContainsFunc(note, unprintable) || strings.ToValidUTF8(note, "") != note {
		return 0, fault.New(fault.Invalid, attempt, on, "a note is one line of at most 500 bytes")
	}
	doc, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	if len(doc) > MaxDocument {
		return 0, fault.New(fault.TooLarge, attempt, on, fmt.Sprintf("an entry is at most %d bytes", MaxDocument))
	}
	if err := r.free(tx, attempt, id, e); err != nil {
		return 0, err
	}
	now := db.Micros(time.Now())
	var latest int64
	switch err := tx.QueryRow(`SELECT latest FROM directory_entry WHERE id = ?`, string(id)).Scan(&latest); {
	case errors.Is(err, sql.ErrNoRows) && base == 0:
		if _, err := tx.Exec(`INSERT INTO directory_entry (id, collection, holding, state, latest, published, state_by, state_at, first_published, change)
			VALUES (?, ?, ?, ?, 1, 0, ?, ?, 0, 0)`, string(id), nullable(e.Collection), string(e.Holding), int64(Draft), by, now); err != nil {
			return 0, err
		}
	case errors.Is(err, sql.ErrNoRows):
		return 0, fault.New(fault.NotFound, attempt, on, "there is no such entry")
	case err != nil:
		return 0, err
	case base == 0:
		return 0, fault.New(fault.Conflict, attempt, on, "the id is taken")
	case base != latest:
		return 0, fault.New(fault.Conflict, attempt, on, fmt.Sprintf("revision %d was saved since revision %d: look at it and save again", latest, base))
	default:
		res, err := tx.Exec(`UPDATE directory_entry SET latest = ?, collection = ?, holding = ? WHERE id = ? AND latest = ?`, latest+1,
			nullable(e.Collection), string(e.Holding),
			string(id), latest)
		if err != nil {
			return 0, err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return 0, errors.Join(err, fault.New(fault.Conflict, attempt, on, "somebody saved it at the same moment"))
		}
	}
	_, err = tx.Exec(`INSERT INTO directory_revision (entry, revision, document, saved_by, saved_at, note) VALUES (?, ?, ?, ?, ?, ?)`, string(id),
		latest+1, string(doc), by, now, note)
	return latest + 1, err
}

// free says so, where another entry describes the local collection. Two that come at the same moment are told apart by the unique column.
func (r *Record) free(tx *db.Tx, attempt string, id ID, e Entry) error {
	if e.Collection == "" {
		return nil
	}
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM directory_entry WHERE collection = ? AND id <> ?`, e.Collection, string(id)).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, attempt, "collection "+e.Collection, "another entry describes it")
	}
	return nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Publish shows a revision to the public, in place of the one it saw before. What Missing names is fault.Invalid; its text is of the first.
func (r *Record) Publish(tx *db.Tx, id ID, revision int64, by string) error {
	const attempt = "publish directory entry"
	on := "entry " + string(id)
	s, err := r.read(tx.QueryRow(columns+` WHERE e.id = ? AND v.revision = ?`, string(id), revision))
	if err != nil {
		return err
	}
	if ps := s.Entry.Missing(); len(ps) > 0 {
		return fault.New(fault.Invalid, attempt, on, ps[0].String())
	}
	first := db.Micros(time.Now())
	if !s.Issued.IsZero() {
		first = db.Micros(s.Issued)
	}
	return r.turn(tx, `UPDATE directory_entry SET state = ?, published = ?, first_published = ?, state_by = ?, state_at = ?, change = ? WHERE id = ?`,
		func(change int64) []any {
			return []any{int64(Published), revision, first, by, db.Micros(time.Now()), change, string(id)}
		})
}

// Retire takes an entry from the lists. Its revisions stay, and it can be published again.
func (r *Record) Retire(tx *db.Tx, id ID, by string) error {
	var state int64
	switch err := tx.QueryRow(`SELECT state FROM directory_entry WHERE id = ?`, string(id)).Scan(&state); {
	case errors.Is(err, sql.ErrNoRows):
		return fault.New(fault.NotFound, "retire directory entry", "entry "+string(id), "there is no such entry")
	case err != nil:
		return err
	}
	if State(state) == Retired {
		return nil
	}
	return r.turn(tx, `UPDATE directory_entry SET state = ?, state_by = ?, state_at = ?, change = ? WHERE id = ?`, func(change int64) []any {
		return []any{int64(Retired), by, db.Micros(time.Now()), change, string(id)}
	})
}

// turn changes what the public sees, under the next number. The row of numbers is locked by its update, so that the numbers are committed in order.
func (r *Record) turn(tx *db.Tx, update string, args func(change int64) []any) error {
	if _, err := tx.Exec(`UPDATE directory_change SET change = change + 1 WHERE one = 1`); err != nil {
		return err
	}
	var change int64
	if err := tx.QueryRow(`SELECT change FROM directory_change WHERE one = 1`).Scan(&change); err != nil {
		return err
	}
	if _, err := tx.Exec(update, args(change)...); err != nil {
		return err
	}
	tx.Signal(Changed)
	return nil
}

const columns = `SELECT e.id, e.state, e.state_by, e.state_at, e.latest, e.published, e.first_published, e.change, v.revision, v.document, v.saved_by, v.saved_at, v.note
	FROM directory_entry e JOIN directory_revision v ON v.entry = e.id`

func (r *Record) read(row interface{ Scan(...any) error }) (Stored, error) {
	var s Stored
	var doc string
	var stateAt, first, at int64
	err := row.Scan(&s.ID, &s.State, &s.StateBy, &stateAt, &s.Latest, &s.Published, &first, &s.Change, &s.Revision, &doc, &s.By, &at, &s.Note)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fault.New(fault.NotFound, "find directory entry", "", "there is no such entry")
	}
	if err != nil {
		return s, err
	}
	s.StateAt, s.At = db.Time(stateAt), db.Time(at)
	if first != 0 {
		s.Issued = db.Time(first)
	}
	if err := json.Unmarshal([]byte(doc), &s.Entry); err != nil {
		return s, fault.New(fault.Corrupt, "read directory entry", "entry "+string(s.ID), "the stored document is not readable")
	}
	return s, nil
}

// Get is the newest revision of an entry, published or not: for those who write it. fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Stored, error) {
	return r.read(r.d.QueryRow(ctx, columns+` AND v.revision = e.latest WHERE e.id = ?`, string(id)))
}

// Seen is what the public sees of an entry; fault.NotFound where it was never published or is retired.
func (r *Record) Seen(ctx context.Context, id ID) (Stored, error) {
	return r.read(r.d.QueryRow(ctx, columns+` AND v.revision = e.published WHERE e.id = ? AND e.state = ?`, string(id), int64(Published)))
}

// OfCollection is the newest revision of the entry that describes a local collection; fault.NotFound if there is none.
func (r *Record) OfCollection(ctx context.Context, id collection.ID) (Stored, error) {
	return r.read(r.d.QueryRow(ctx, columns+` AND v.revision = e.latest WHERE e.collection = ?`, string(id)))
}

// At is one revision of an entry.
func (r *Record) At(ctx context.Context, id ID, revision int64) (Stored, error) {
	return r.read(r.d.QueryRow(ctx, columns+` WHERE e.id = ? AND v.revision = ?`, string(id), revision))
}

// Revisions are all savings of an entry, the newest first, without their documents.
func (r *Record) Revisions(ctx context.Context, id ID) ([]Revision, error) {
	rows, err := r.d.Query(ctx, `SELECT revision, saved_by, saved_at, note FROM directory_revision WHERE entry = ? ORDER BY revision DESC`, string(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Revision
	for rows.Next() {
		var v Revision
		var at int64
		if err := rows.Scan(&v.Revision, &v.By, &at, &v.Note); err != nil {
			return nil, db.Fault("list revisions", err)
		}
		v.At = db.Time(at)
		all = append(all, v)
	}
	return all, db.Fault("list revisions", rows.Err())
}

// List are entries by id, those after the given one, as their newest revision: a page of at most limit (500 at most). A state of 0 is any.
func (r *Record) List(ctx context.Context, state State, after ID, limit int) ([]Stored, error) {
	where, args := ` AND v.revision = e.latest WHERE e.id > ?`, []any{string(after)}
	if state != 0 {
		where, args = where+` AND e.state = ?`, append(args, int64(state))
	}
	return r.page(ctx, where+` ORDER BY e.id LIMIT ?`, append(args, page(limit))...)
}

// Changes are entries whose public face changed after the given number, as the revision that was published last, in the order of their changes: a page
// of at most limit (500 at most). One whose State is Retired is to be forgotten. From 0 on these are all that were ever published.
func (r *Record) Changes(ctx context.Context, after int64, limit int) ([]Stored, error) {
	return r.page(ctx, ` AND v.revision = e.published WHERE e.change > ? ORDER BY e.change LIMIT ?`, after, page(limit))
}

// Change is the number of the last change of what the public sees; 0: nothing was published yet.
func (r *Record) Change(ctx context.Context) (int64, error) {
	var n int64
	err := r.d.QueryRow(ctx, `SELECT change FROM directory_change WHERE one = 1`).Scan(&n)
	return n, err
}

func page(limit int) int64 { return int64(max(1, min(limit, 500))) }

func (r *Record) page(ctx context.Context, where string, args ...any) ([]Stored, error) {
	rows, err := r.d.Query(ctx, columns+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Stored
	for rows.Next() {
		s, err := r.read(rows)
		if err != nil {
			return nil, db.Fault("list directory entries", err)
		}
		all = append(all, s)
	}
	return all, db.Fault("list directory entries", rows.Err())
}
