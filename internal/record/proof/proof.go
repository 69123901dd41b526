// Package proof is the record of what was done to what came: for each deposit how many objects of which kind, why they were held, what was done to which elements of
// them, what was searched and painted. docs/formats/report.md says what each column means.
//
// It promises: the counts change in the transaction that changes the catalogue, and are made of what the records in the packs say, so that a crash and the replay
// after it end in the same counts; no value, UID or name of a deposited object is in any table.
//
// It cannot count what happens later to an object that is there already: that is the catalogue's, which knows where objects stand.
package proof

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
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
	if err := d.Migrate(ctx, "proof", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Way is how an object came to be what it is. The numbers are stored.
type Way int64

// The ways.
const (
	Arrived  Way = 1 // judged when it came
	ByNode   Way = 2 // held, and accepted in the name of the node, whose reading of its pixels answered for it
	ByPerson Way = 3 // held, and accepted by a person
	ByRuling Way = 4 // held, and accepted by a standing decision of a person
)

// Kind is the SOP class that counts are made by: any that the standard does not list, whose UID may be anything, is none.
func Kind(sopClass string) string {
	if _, ok := dicom.UIDName(sopClass); ok {
		return sopClass
	}
	return ""
}

// Object is what one record says was done.
type Object struct {
	Deposit    catalogue.DepositID
	Collection collection.ID
	Subject    subject.ID
	Way        Way
	Kind       string // as [Kind] makes it
	Judged     string // by what, as [deid.Profile.Judged] has it
	At         time.Time
	Bytes      int64    // that are kept of it
	Held       bool     // it is held as it came, or for what else is known
	Codes      []string // of the reasons it is held for, or of findings
	Done       string   // to its elements, as [deid.Done.Encode] has it; empty: nothing was cleaned
	Searched   int64    // bytes that the gate has searched
	Readable   bool     // its pixels are to be read for text
	Frames     int64    // that are to be read; of one that was painted, that were
	Reader     string   // what read them, of one that was painted
	Painted    bool
	Boxes      int64 // that were painted over, each once for each frame
	Area       int64 // samples of them, in all frames
	Stripped   int64 // frames whose code streams lost comments or application data
}

// Work is a sum of objects that went one way, are of one kind, and were judged alike.
type Work struct {
	Deposit  catalogue.DepositID
	Way      Way
	Kind     string
	Judged   string
	Reader   string
	Objects  int64
	Bytes    int64
	Cleaned  int64
	Held     int64
	Searched int64
	Readable int64
	Frames   int64
	Painted  int64
	Boxes    int64
	Area     int64
	Stripped int64
	First    time.Time // acceptances: the first decision, and the last
	Last     time.Time
	Reasons  map[string]int64 // objects by code
	Done     *deid.Done
}

type key struct {
	deposit catalogue.DepositID
	way     Way
	kind    string
	judged  string
	reader  string
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Add counts objects, within the transaction that catalogues them.
func (r *Record) Add(tx *db.Tx, objects ...Object) error {
	type sum struct {
		Work
		collection collection.ID
		done       map[string]int64
	}
	sums := map[key]*sum{}
	people := map[[2]int64]bool{}
	for i := range objects {
		o := &objects[i]
		k := key{o.Deposit, o.Way, o.Kind, o.Judged, o.Reader}
		s := sums[k]
		if s == nil {
			s = &sum{Work: Work{Deposit: o.Deposit, Way: o.Way, Kind: o.Kind, Judged: o.Judged, Reader: o.Reader, Reasons: map[string]int64{}, Done: &deid.Done{}}, collection: o.Collection, done: map[string]int64{}}
			sums[k] = s
		}
		people[[2]int64{int64(o.Deposit), int64(o.Subject)}] = true
		s.Objects++
		s.Bytes += o.Bytes
		s.Held += flag(o.Held)
		s.Cleaned += flag(o.Done != "")
		s.Searched += o.Searched
		s.Readable += flag(o.Readable)
		s.Frames += o.Frames
		s.Painted += flag(o.Painted)
		s.Boxes += o.Boxes
		s.Area += o.Area
		s.Stripped += o.Stripped
		if !o.At.IsZero() {
			if s.First.IsZero() || o.At.Before(s.First) {
				s.First = o.At
			}
			if o.At.After(s.Last) {
				s.Last = o.At
			}
		}
		slices.Sort(o.Codes)
		for _, code := range slices.Compact(o.Codes) {
			s.Reasons[code]++
		}
		if o.Done != "" {
			s.done[o.Done]++
		}
	}
	order := slices.SortedFunc(maps.Keys(sums), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.deposit, b.deposit), cmp.Compare(a.way, b.way), cmp.Compare(a.kind, b.kind), cmp.Compare(a.judged, b.judged), cmp.Compare(a.reader, b.reader))
	})
	before, err := known(tx, order)
	if err != nil {
		return err
	}
	var rows []any
	for _, k := range order {
		s := sums[k]
		// Objects of a series have the same done to them, mostly: each is read once.
		for text, n := range s.done {
			d, err := deid.DecodeDone(text)
			if err != nil {
				return err
			}
			s.Done.Add(d, n)
		}
		if w := before[k]; w != nil {
			s.merge(w)
		}
		if rows, err = s.append(rows, s.collection); err != nil {
			return err
		}
	}
	if err := insert(tx, `INSERT INTO proof_work (collection, `+columns+`)`, ` ON CONFLICT (deposit, way, kind, judged, reader) DO UPDATE SET objects = excluded.objects, bytes = excluded.bytes,
		cleaned = excluded.cleaned, held = excluded.held, searched = excluded.searched, readable = excluded.readable, frames = excluded.frames, painted = excluded.painted, boxes = excluded.boxes,
		area = excluded.area, stripped = excluded.stripped, first = excluded.first, last = excluded.last, reasons = excluded.reasons, done = excluded.done`, 21, rows); err != nil {
		return err
	}
	var pairs []any
	for _, p := range slices.SortedFunc(maps.Keys(people), func(a, b [2]int64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		pairs = append(pairs, p[0], p[1])
	}
	return insert(tx, `INSERT INTO proof_subject (deposit, subject)`, ` ON CONFLICT DO NOTHING`, 2, pairs)
}

// insert writes rows of so many columns, several at a time.
func insert(tx *db.Tx, head, tail string, width int, args []any) error {
	for len(args) > 0 {
		n := 8 // few statements differ, and so are prepared once
		for n*width > len(args) {
			n /= 2
		}
		row := ", (?" + strings.Repeat(", ?", width-1) + ")"
		if _, err := tx.Exec(head+` VALUES `+strings.Repeat(row, n)[2:]+tail, args[:n*width]...); err != nil {
			return err
		}
		args = args[n*width:]
	}
	return nil
}

// merge adds what was counted before.
func (w *Work) merge(o *Work) {
	w.Objects, w.Bytes, w.Cleaned, w.Held, w.Searched = w.Objects+o.Objects, w.Bytes+o.Bytes, w.Cleaned+o.Cleaned, w.Held+o.Held, w.Searched+o.Searched
	w.Readable, w.Frames, w.Painted = w.Readable+o.Readable, w.Frames+o.Frames, w.Painted+o.Painted
	w.Boxes, w.Area, w.Stripped = w.Boxes+o.Boxes, w.Area+o.Area, w.Stripped+o.Stripped
	if w.First.IsZero() || !o.First.IsZero() && o.First.Before(w.First) {
		w.First = o.First
	}
	if o.Last.After(w.Last) {
		w.Last = o.Last
	}
	for code, n := range o.Reasons {
		w.Reasons[code] += n
	}
	w.Done.Add(o.Done, 1)
}

const columns = `deposit, way, kind, judged, reader, objects, bytes, cleaned, held, searched, readable, frames, painted, boxes, area, stripped, first, last, reasons, done`

func scan(row interface{ Scan(...any) error }) (*Work, error) {
	var w Work
	var first, last int64
	var reasons, done string
	if err := row.Scan(&w.Deposit, &w.Way, &w.Kind, &w.Judged, &w.Reader, &w.Objects, &w.Bytes, &w.Cleaned, &w.Held, &w.Searched, &w.Readable, &w.Frames, &w.Painted,
		&w.Boxes, &w.Area, &w.Stripped, &first, &last, &reasons, &done); err != nil {
		return nil, err
	}
	if first != 0 {
		w.First, w.Last = db.Time(first), db.Time(last)
	}
	if err := json.Unmarshal([]byte(reasons), &w.Reasons); err != nil {
		return nil, fault.New(fault.Corrupt, "read what was done", "deposit "+w.Deposit.String(), "its reasons are not JSON")
	}
	if w.Reasons == nil {
		w.Reasons = map[string]int64{}
	}
	var err error
	w.Done, err = deid.DecodeDone(done)
	return &w, err
}

// known are the rows of the deposits that have keys, as far as they are there.
func known(tx *db.Tx, keys []key) (map[key]*Work, error) {
	found := map[key]*Work{}
	for i, k := range keys {
		if i > 0 && keys[i-1].deposit == k.deposit {
			continue
		}
		rows, err := tx.Query(`SELECT `+columns+` FROM proof_work WHERE deposit = ?`, int64(k.deposit))
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			w, err := scan(rows)
			if err != nil {
				rows.Close()
				return nil, db.Fault("read what was done", err)
			}
			found[key{w.Deposit, w.Way, w.Kind, w.Judged, w.Reader}] = w
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, db.Fault("read what was done", err)
		}
	}
	return found, nil
}

// append adds the row to arguments.
func (w *Work) append(rows []any, c collection.ID) ([]any, error) {
	reasons, err := json.Marshal(w.Reasons) // keys in order
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "count what was done", "", err)
	}
	var first, last int64
	if !w.First.IsZero() {
		first, last = db.Micros(w.First), db.Micros(w.Last)
	}
	return append(rows, string(c), int64(w.Deposit), int64(w.Way), w.Kind, w.Judged, w.Reader, w.Objects, w.Bytes, w.Cleaned, w.Held, w.Searched, w.Readable, w.Frames, w.Painted, w.Boxes, w.Area,
		w.Stripped, first, last, string(reasons), w.Done.Encode()), nil
}

// OfDeposit is what was done to what a deposit brought.
func (r *Record) OfDeposit(ctx context.Context, id catalogue.DepositID) ([]*Work, error) {
	rows, err := r.d.Query(ctx, `SELECT `+columns+` FROM proof_work WHERE deposit = ? ORDER BY way, kind, judged, reader`, int64(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*Work
	for rows.Next() {
		w, err := scan(rows)
		if err != nil {
			return nil, db.Fault("read what was done", err)
		}
		all = append(all, w)
	}
	return all, db.Fault("read what was done", rows.Err())
}

// Subjects is of how many people a deposit brought something.
func (r *Record) Subjects(ctx context.Context, id catalogue.DepositID) (n int64, err error) {
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM proof_subject WHERE deposit = ?`, int64(id)).Scan(&n)
	return n, err
}

// OfCollection is what was done to everything that came into a collection, by way, profile and reader: without kinds, reasons and elements.
func (r *Record) OfCollection(ctx context.Context, c collection.ID) ([]*Work, error) {
	rows, err := r.d.Query(ctx, `SELECT way, judged, reader, CAST(SUM(objects) AS BIGINT), CAST(SUM(bytes) AS BIGINT), CAST(SUM(cleaned) AS BIGINT), CAST(SUM(held) AS BIGINT), CAST(SUM(searched) AS BIGINT), CAST(SUM(readable) AS BIGINT), CAST(SUM(frames) AS BIGINT), CAST(SUM(painted) AS BIGINT), CAST(SUM(boxes) AS BIGINT),
		CAST(SUM(area) AS BIGINT), CAST(SUM(stripped) AS BIGINT) FROM proof_work WHERE collection = ? GROUP BY way, judged, reader ORDER BY way, judged, reader`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*Work
	for rows.Next() {
		w := &Work{}
		if err := rows.Scan(&w.Way, &w.Judged, &w.Reader, &w.Objects, &w.Bytes, &w.Cleaned, &w.Held, &w.Searched, &w.Readable, &w.Frames, &w.Painted, &w.Boxes, &w.Area, &w.Stripped); err != nil {
			return nil, db.Fault("read what was done", err)
		}
		all = append(all, w)
	}
	return all, db.Fault("read what was done", rows.Err())
}
