// Package clinical is the record of what is known of subjects beside their images: sex, age, diagnoses, stage and dates, as tables of a trial or a registry
// give them.
//
// It promises: what is stored is codes, numbers, dates and terms of short lists alone, never a text as somebody wrote it; facts are versioned by subject, and
// the same facts again make no version; erasing a subject takes every version. docs/formats/clinical.md says what each column means.
//
// A [Reader] takes a table apart and judges the form of every cell. It does not join rows to subjects, does not shift dates and knows no key: package
// flow/clinical does, and searches what is left for identifiers before it is saved here.
package clinical

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations
var migrations embed.FS

// Facts are what is known of a subject. Dates are YYYY-MM-DD, shifted as those of the subject's images. The zero value of a field means: not known.
type Facts struct {
	Sex       string            `json:"sex,omitempty"`       // vocabulary.Sex
	Age       *int              `json:"age,omitempty"`       // in whole years, 90 standing for 90 and more
	AgeAt     string            `json:"ageAt,omitempty"`     // the date that the age is of, where it is known
	Diagnoses []vocabulary.Code `json:"diagnoses,omitempty"` // sorted, each once
	Stage     string            `json:"stage,omitempty"`     // vocabulary.Stage
	TNM       string            `json:"tnm,omitempty"`       // as "cT2 N0 M0"
	Diagnosed string            `json:"diagnosed,omitempty"` // date of diagnosis
	Visits    []Visit           `json:"visits,omitempty"`    // sorted by date, then name
}

// Visit is a timepoint: a name of the short grammar of [Timepoint], a date, or both.
type Visit struct {
	Name string `json:"name,omitempty"`
	Date string `json:"date,omitempty"`
}

// MaxAge stands for itself and every greater age: such ages are rare enough to tell people apart.
const MaxAge = 90

// Columns says of which fields a table speaks: the others stay as they were.
type Columns struct{ Sex, Age, Diagnoses, Stage, TNM, Diagnosed, Visits bool }

// Over is facts that the table does not speak of from before, and the others from now.
func (f Facts) Over(before Facts, has Columns) Facts {
	out := before
	if has.Sex {
		out.Sex = f.Sex
	}
	if has.Age {
		out.Age, out.AgeAt = f.Age, f.AgeAt
	}
	if has.Diagnoses {
		out.Diagnoses = f.Diagnoses
	}
	if has.Stage {
		out.Stage = f.Stage
	}
	if has.TNM {
		out.TNM = f.TNM
	}
	if has.Diagnosed {
		out.Diagnosed = f.Diagnosed
	}
	if has.Visits {
		out.Visits = f.Visits
	}
	return out
}

func (f *Facts) sort() {
	f.Diagnoses, f.Visits = slices.Clone(f.Diagnoses), slices.Clone(f.Visits) // they may be the caller's
	slices.SortFunc(f.Diagnoses, func(a, b vocabulary.Code) int { return strings.Compare(a.String(), b.String()) })
	f.Diagnoses = slices.Compact(f.Diagnoses)
	slices.SortFunc(f.Visits, func(a, b Visit) int { return cmp.Or(strings.Compare(a.Date, b.Date), strings.Compare(a.Name, b.Name)) })
	f.Visits = slices.Compact(f.Visits)
}

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "clinical", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// ImportID is the number of an import.
type ImportID int64

// Import is one table that came.
type Import struct {
	ID         ImportID
	Collection collection.ID
	Actor      string
	Rows       int64 // of the table, its headings not counted
	Refused    int64 // rows of which nothing was kept
	Subjects   int64 // whom the others are of
	Changed    int64 // of these, who has a new version by it
	Created    time.Time
}

// Begin notes an import, whose counts follow with End.
func (r *Record) Begin(tx *db.Tx, c collection.ID, actor string) (ImportID, error) {
	id, err := ident.New()
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO clinical_import (id, collection, actor, row_count, refused, subjects, changed, created) VALUES (?, ?, ?, 0, 0, 0, 0, ?)`, id, string(c), actor,
		db.Micros(time.Now()))
	return ImportID(id), err
}

// End writes the counts of an import.
func (r *Record) End(tx *db.Tx, i Import) error {
	_, err := tx.Exec(`UPDATE clinical_import SET row_count = ?, refused = ?, subjects = ?, changed = ? WHERE id = ?`, i.Rows, i.Refused, i.Subjects, i.Changed, int64(i.ID))
	return err
}

// Imports lists the imports into a collection, the newest first; at most limit.
func (r *Record) Imports(ctx context.Context, c collection.ID, limit int) ([]Import, error) {
	rows, err := r.d.Query(ctx, `SELECT id, actor, row_count, refused, subjects, changed, created FROM clinical_import WHERE collection = ? ORDER BY id DESC LIMIT ?`, string(c), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Import
	for rows.Next() {
		i := Import{Collection: c}
		var created int64
		if err := rows.Scan(&i.ID, &i.Actor, &i.Rows, &i.Refused, &i.Subjects, &i.Changed, &created); err != nil {
			return nil, db.Fault("list imports", err)
		}
		i.Created = db.Time(created)
		all = append(all, i)
	}
	return all, db.Fault("list imports", rows.Err())
}

// Save makes a version of what is known of a subject: the fields that the table speaks of are replaced, the others stay. It reports whether anything changed;
// where nothing did, there is no new version.
func (r *Record) Save(tx *db.Tx, c collection.ID, id subject.ID, f Facts, has Columns, from ImportID) (bool, error) {
	const attempt = "save clinical facts"
	if err := tx.Lock("clinical " + string(c)); err != nil {
		return false, err
	}
	before, version, err := read(tx.QueryRow(latest+` WHERE subject = ? AND latest = 1`, int64(id)))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	f = f.Over(before, has)
	f.sort()
	text, err := json.Marshal(f)
	if err != nil {
		return false, err
	}
	if len(text) > maxFacts {
		return false, fault.New(fault.TooLarge, attempt, about(id), "more is said of one subject than 64 KiB hold")
	}
	if version > 0 {
		was, err := json.Marshal(before)
		if err != nil || string(was) == string(text) {
			return false, err
		}
		if _, err := tx.Exec(`UPDATE clinical SET latest = 0 WHERE subject = ? AND version = ?`, int64(id), version); err != nil {
			return false, err
		}
	}
	_, err = tx.Exec(`INSERT INTO clinical (subject, version, collection, latest, facts, import, created) VALUES (?, ?, ?, 1, ?, ?, ?)`, int64(id), version+1, string(c), string(text),
		int64(from), db.Micros(time.Now()))
	return err == nil, err
}

const (
	maxFacts = 64 << 10
	latest   = `SELECT facts, version FROM clinical`
)

func read(row interface{ Scan(...any) error }) (f Facts, version int64, err error) {
	var text string
	if err := row.Scan(&text, &version); err != nil {
		return f, 0, err
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return f, 0, fault.New(fault.Corrupt, "read clinical facts", "", "a row holds no facts")
	}
	return f, version, nil
}

// Get is what is known of a subject, and in which version; fault.NotFound where nothing is.
func (r *Record) Get(ctx context.Context, id subject.ID) (Facts, int64, error) {
	f, version, err := read(r.d.QueryRow(ctx, latest+` WHERE subject = ? AND latest = 1`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return f, 0, fault.New(fault.NotFound, "find clinical facts", about(id), "nothing is known of the subject")
	}
	return f, version, err
}

// Version is what was known of a subject in a version.
func (r *Record) Version(ctx context.Context, id subject.ID, version int64) (Facts, error) {
	f, _, err := read(r.d.QueryRow(ctx, latest+` WHERE subject = ? AND version = ?`, int64(id), version))
	if errors.Is(err, sql.ErrNoRows) {
		return f, fault.New(fault.NotFound, "find clinical facts", about(id), "there is no such version")
	}
	return f, err
}

// Each gives what is known of the subjects of a collection, in the order of their numbers.
func (r *Record) Each(ctx context.Context, c collection.ID, do func(subject.ID, Facts) error) error {
	rows, err := r.d.Query(ctx, `SELECT subject, facts FROM clinical WHERE collection = ? AND latest = 1 ORDER BY subject`, string(c))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id subject.ID
		var text string
		var f Facts
		if err := rows.Scan(&id, &text); err != nil {
			return db.Fault("read clinical facts", err)
		}
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return fault.New(fault.Corrupt, "read clinical facts", about(id), "the row holds no facts")
		}
		if err := do(id, f); err != nil {
			return err
		}
	}
	return db.Fault("read clinical facts", rows.Err())
}

// Erase takes every version of what is known of a subject. It reports how many there were.
func (r *Record) Erase(tx *db.Tx, id subject.ID) (int64, error) {
	res, err := tx.Exec(`DELETE FROM clinical WHERE subject = ?`, int64(id))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func about(id subject.ID) string { return "subject " + strconv.FormatInt(int64(id), 10) }
