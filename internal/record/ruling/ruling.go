// Package ruling is the record of standing decisions: what a steward has decided once for all that is alike in a collection, and what is known to identify wherever it
// stands in it.
//
// It promises: a decision is numbered within its collection and never changed but to end it, so that what was in force at any time can be told; two about the same thing
// are not in force at once; whoever changes something passes the transaction in which the audit entry is written too. docs/formats/ruling.md says what each column means.
//
// It cannot read what identifies: it comes and goes sealed. It applies nothing.
package ruling

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

//go:embed migrations
var migrations embed.FS

// Subject is what a decision is about. The texts are stored.
type Subject string

// The subjects.
const (
	Kind       Subject = "kind"       // what is held for the same, of one class and make of device
	Layout     Subject = "layout"     // and with pictures of one form
	Identifier Subject = "identifier" // what identifies wherever it stands
)

// Action is what is done with what is alike. The texts are stored.
type Action string

// The actions.
const (
	Accept   Action = "accept"   // as it is, by the profile and the gate
	Paint    Action = "paint"    // with what looks like text painted over, and the boxes of the decision
	Restrict Action = "restrict" // kept for stewards alone
	Refuse   Action = "refuse"
)

// Number is a decision's number in its collection, from 1.
type Number int64

func (n Number) String() string { return strconv.FormatInt(int64(n), 10) }

// ParseNumber reads a number.
func ParseNumber(s string) (Number, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "find standing decision", "", "there is no decision of this number")
	}
	return Number(n), nil
}

// About is what people read of what is alike.
type About struct {
	Class   string   `json:"class,omitempty"` // name of the SOP class
	Codes   []string `json:"codes,omitempty"` // of the reasons
	Rows    int64    `json:"rows,omitempty"`
	Columns int64    `json:"columns,omitempty"`
	Device  string   `json:"device,omitempty"` // make and model, as the collection's profile leaves them
}

// Ruling is a standing decision.
type Ruling struct {
	Collection collection.ID
	Number     Number
	Subject    Subject
	Likeness   string // of Kind and Layout
	About      About
	Action     Action
	Boxes      []catalogue.FoundBox // of Paint, to be painted beside what is found; of Accept, where what looks like text is nobody's
	Sealed     []byte               // of Identifier
	Note       string
	Actor      string
	Made       time.Time
	EndedBy    string
	Ended      time.Time // zero: it is in force
	EndNote    string
}

// InForce reports a decision that was not ended.
func (r *Ruling) InForce() bool { return r.Ended.IsZero() }

const (
	maxBoxes = 256
	// MaxInForce bounds the decisions of a collection that are in force.
	MaxInForce = 500
)

// Record is the open record. It keeps what is in force in memory: it is asked for with every object that is held.
type Record struct {
	d  *db.DB
	mu sync.Mutex
	by map[collection.ID][]Ruling // in force, by number
}

// OpenRecord brings the table up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "ruling", files); err != nil {
		return nil, err
	}
	return &Record{d: d, by: map[collection.ID][]Ruling{}}, nil
}

func check(r *Ruling) error {
	wrong := func(text string) error {
		return fault.New(fault.Invalid, "make standing decision", "collection "+string(r.Collection), text)
	}
	switch r.Subject {
	case Kind, Layout:
		if r.Likeness == "" || r.Sealed != nil {
			return wrong("it does not say what it is about")
		}
		if !slices.Contains([]Action{Accept, Paint, Restrict, Refuse}, r.Action) {
			return wrong("it says neither accept, paint, restrict nor refuse")
		}
		if len(r.Boxes) > 0 && (r.Action != Paint && r.Action != Accept || r.Subject != Layout) {
			return wrong("boxes are for pictures of one form, to be painted over or let pass")
		}
	case Identifier:
		if r.Likeness != "" || r.Action != "" || len(r.Boxes) > 0 || len(r.Sealed) == 0 {
			return wrong("an identifier is a text and nothing else")
		}
	default:
		return wrong("there is no such subject of a decision")
	}
	if len(r.Boxes) > maxBoxes {
		return wrong("it has more than 256 boxes")
	}
	return nil
}

// Next is the number that the next decision of a collection has: what is sealed is sealed to it. The collection's decisions wait for the transaction's end.
func (r *Record) Next(tx *db.Tx, c collection.ID) (Number, error) {
	if err := tx.Lock("ruling " + string(c)); err != nil {
		return 0, err
	}
	var n int64
	err := tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM ruling WHERE collection = ?`, string(c)).Scan(&n)
	return Number(n + 1), err
}

// Add makes a decision; its number is the one that Next gave in the same transaction. One about what another in force is about is a fault.Conflict.
func (r *Record) Add(tx *db.Tx, x *Ruling) error {
	const attempt = "make standing decision"
	if err := check(x); err != nil {
		return err
	}
	var same, all int64
	if err := tx.QueryRow(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN likeness = ? AND likeness <> '' THEN 1 ELSE 0 END), 0) FROM ruling WHERE collection = ? AND ended = 0`,
		x.Likeness, string(x.Collection)).Scan(&all, &same); err != nil {
		return err
	}
	if same > 0 {
		return fault.New(fault.Conflict, attempt, "collection "+string(x.Collection), "another standing decision is about the same; end it first")
	}
	if all >= MaxInForce {
		return fault.New(fault.Invalid, attempt, "collection "+string(x.Collection), "it has 500 decisions in force; end some, or write a rule of the collection's profile")
	}
	id, err := ident.New()
	if err != nil {
		return err
	}
	about, err := json.Marshal(x.About)
	if err != nil {
		return fault.Wrap(fault.Internal, attempt, "", err)
	}
	boxes := ""
	if len(x.Boxes) > 0 {
		b, err := json.Marshal(x.Boxes)
		if err != nil {
			return fault.Wrap(fault.Internal, attempt, "", err)
		}
		boxes = string(b)
	}
	var sealed any
	if x.Sealed != nil {
		sealed = x.Sealed
	}
	x.Made = time.Now().UTC().Truncate(time.Microsecond)
	_, err = tx.Exec(`INSERT INTO ruling (id, collection, number, subject, likeness, about, action, boxes, sealed, note, actor, made, ended_by, ended, end_note) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, '')`,
		id, string(x.Collection), int64(x.Number), string(x.Subject), x.Likeness, string(about), string(x.Action), boxes, sealed, x.Note, x.Actor, db.Micros(x.Made))
	return err
}

// End ends a decision; one that has ended, or was never made, is a fault.NotFound.
func (r *Record) End(tx *db.Tx, c collection.ID, n Number, by, note string) error {
	if err := tx.Lock("ruling " + string(c)); err != nil {
		return err
	}
	res, err := tx.Exec(`UPDATE ruling SET ended_by = ?, ended = ?, end_note = ? WHERE collection = ? AND number = ? AND ended = 0`, by, db.Micros(time.Now()), note, string(c), int64(n))
	if err != nil {
		return err
	}
	if k, err := res.RowsAffected(); err != nil || k == 0 {
		if err != nil {
			return err
		}
		return fault.New(fault.NotFound, "end standing decision", "collection "+string(c), "no decision of this number is in force")
	}
	return nil
}

// HasEnded reports that a decision was ended: what is carried out by it in this transaction would outlast it. It cannot end before the transaction does.
func (r *Record) HasEnded(tx *db.Tx, c collection.ID, n Number) (bool, error) {
	if err := tx.Lock("ruling " + string(c)); err != nil {
		return false, err
	}
	var count int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM ruling WHERE collection = ? AND number = ? AND ended <> 0`, string(c), int64(n)).Scan(&count)
	return count > 0, err
}

// Forget makes the next reader read what is in force anew. Whoever has committed a change calls it.
func (r *Record) Forget(c collection.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.by, c)
}

const columns = `collection, number, subject, likeness, about, action, boxes, sealed, note, actor, made, ended_by, ended, end_note`

func scan(rows interface{ Scan(...any) error }) (x Ruling, err error) {
	var about, boxes string
	var made, ended int64
	if err := rows.Scan(&x.Collection, &x.Number, &x.Subject, &x.Likeness, &about, &x.Action, &boxes, &x.Sealed, &x.Note, &x.Actor, &made, &x.EndedBy, &ended, &x.EndNote); err != nil {
		return x, err
	}
	x.Made = db.Time(made)
	if ended != 0 {
		x.Ended = db.Time(ended)
	}
	if err := json.Unmarshal([]byte(about), &x.About); err != nil {
		return x, fault.New(fault.Corrupt, "read standing decision", "collection "+string(x.Collection), "what it is about is not JSON")
	}
	if boxes != "" {
		if err := json.Unmarshal([]byte(boxes), &x.Boxes); err != nil {
			return x, fault.New(fault.Corrupt, "read standing decision", "collection "+string(x.Collection), "its boxes are not JSON")
		}
	}
	return x, nil
}

func all(rows *sql.Rows, err error) ([]Ruling, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Ruling
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// InForce lists the decisions of a collection that are in force, in their order. Nobody changes the list.
func (r *Record) InForce(ctx context.Context, c collection.ID) ([]Ruling, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.by[c]; ok {
		return known, nil
	}
	list, err := all(r.d.Query(ctx, `SELECT `+columns+` FROM ruling WHERE collection = ? AND ended = 0 ORDER BY number`, string(c)))
	if err == nil {
		r.by[c] = list
	}
	return list, err
}

// LastSaid is the number of the last identifier of a collection that is in force, 0 if there is none: what was searched with another is to be searched again.
func (r *Record) LastSaid(tx *db.Tx, c collection.ID) (n Number, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MAX(number), 0) FROM ruling WHERE collection = ? AND subject = ? AND ended = 0`, string(c), string(Identifier)).Scan(&n)
	return n, err
}

// List lists every decision of a collection, the last first.
func (r *Record) List(ctx context.Context, c collection.ID) ([]Ruling, error) {
	return all(r.d.Query(ctx, `SELECT `+columns+` FROM ruling WHERE collection = ? ORDER BY number DESC`, string(c)))
}

// Get reads one.
func (r *Record) Get(ctx context.Context, c collection.ID, n Number) (Ruling, error) {
	list, err := all(r.d.Query(ctx, `SELECT `+columns+` FROM ruling WHERE collection = ? AND number = ?`, string(c), int64(n)))
	if err != nil {
		return Ruling{}, err
	}
	if len(list) == 0 {
		return Ruling{}, fault.New(fault.NotFound, "find standing decision", "collection "+string(c), "there is no decision of this number")
	}
	return list[0], nil
}
