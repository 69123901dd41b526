package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Located is an instance with where it lies and what a decision on it needs.
type Located struct {
	ID         InstanceID
	Collection collection.ID
	Study      StudyUID
	Series     SeriesUID
	SOP        SOPUID
	StudyID    StudyID
	SeriesID   SeriesID
	Variant    int64
	State      State
	Subject    subject.ID
	InstanceAttributes
	Ref      Ref
	HeadSize int64
	BulkSize int64
	Digest   [32]byte
	Reasons  []Reason
	Deposit  DepositID
	Ordinal  int64
	Lexicon  int64
	Created  time.Time
}

// Where names what to locate: the instances of a study, a series, or one. Collection empty: in every one that the scopes reach.
type Where struct {
	// Scopes is what the caller may have: policy.Scopes(grants, policy.ReadPixels, ...). Other than searches, this finds held objects where a scope
	// says so, conflicts too: a review reads them.
	Scopes     []policy.Scope
	Collection collection.ID
	Study      StudyUID
	Series     SeriesUID // empty: all of the study
	SOP        SOPUID    // empty: all of the series
}

const locatedColumns = `i.id, i.collection, s.uid, e.uid, i.uid, s.id, e.id, i.variant, i.state, i.subject, i.sop_class, i.transfer_syntax, i.number, i.row_count, i.column_count,
	i.bits, i.frames, i.pack, i.pack_offset, i.head_size, i.bulk_size, i.digest, i.reasons, i.deposit, i.ordinal, i.lexicon, i.created`

func scanLocated(row interface{ Scan(...any) error }) (Located, error) {
	var l Located
	var pack, digest []byte
	var reasons string
	var created int64
	err := row.Scan(&l.ID, &l.Collection, &l.Study, &l.Series, &l.SOP, &l.StudyID, &l.SeriesID, &l.Variant, &l.State, &l.Subject, &l.SOPClass, &l.TransferSyntax, &l.Number,
		&l.Rows, &l.Columns, &l.BitsAllocated, &l.Frames, &pack, &l.Ref.Offset, &l.HeadSize, &l.BulkSize, &digest, &reasons, &l.Deposit, &l.Ordinal, &l.Lexicon, &created)
	if err != nil {
		return l, err
	}
	if copy(l.Ref.Pack[:], pack) != len(l.Ref.Pack) || copy(l.Digest[:], digest) != len(l.Digest) {
		return l, fault.New(fault.Corrupt, "read catalogue", "instance "+l.ID.String(), "its pack or digest has another length")
	}
	l.Created = db.Time(created)
	l.Reasons, err = parseReasons(reasons)
	return l, err
}

// allMasks is masks without the limit to what searches find.
func allMasks(scopes []policy.Scope) map[string]stateMask {
	m := map[string]stateMask{}
	for _, s := range scopes {
		for _, st := range s.States {
			if st >= received && st < withdrawn { // what is withdrawn is given to nobody, whatever a scope says
				m[s.Collection] |= 1 << st
			}
		}
	}
	if all := m[policy.AllCollections]; all != 0 {
		for c := range m {
			m[c] |= all
		}
	}
	return m
}

// pageSize is how many instances Locate reads at a time: the connection to the database is free again while they are delivered.
const pageSize = 500

// Locate gives the instances, series by series as they are numbered, in each by instance number. It holds a bounded number of them and no connection,
// however long the caller takes. What changes meanwhile may or may not be seen. Nothing found is an empty sequence. Where a UID is in several collections, that of the first by id
// comes first; of a single instance, what is held comes behind what is not.
func (r *Record) Locate(ctx context.Context, w Where) iter.Seq2[Located, error] {
	return func(yield func(Located, error) bool) {
		m := allMasks(w.Scopes)
		if len(m) == 0 || w.Study == "" && w.SOP == "" {
			return
		}
		if w.SOP != "" {
			found, err := r.locateOne(ctx, w, m)
			for _, l := range found {
				if !yield(l, nil) {
					return
				}
			}
			if err != nil {
				yield(Located{}, err)
			}
			return
		}
		series, err := r.seriesOf(ctx, w)
		if err != nil {
			yield(Located{}, err)
			return
		}
		for _, e := range series {
			mask := maskOf(m, e.collection)
			if mask == 0 {
				continue
			}
			number, id := int64(-1)<<62, int64(0)
			for {
				page, err := r.instancesOf(ctx, e.id, mask, number, id)
				for _, l := range page {
					if !yield(l, nil) {
						return
					}
				}
				if err != nil {
					yield(Located{}, err)
					return
				}
				if len(page) < pageSize {
					break
				}
				last := page[len(page)-1]
				number, id = last.Number, int64(last.ID)
			}
		}
	}
}

func (r *Record) locateOne(ctx context.Context, w Where, m map[string]stateMask) ([]Located, error) {
	query := `SELECT ` + locatedColumns + ` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.uid = ?`
	args := []any{string(w.SOP)}
	for _, c := range []struct{ column, value string }{{"i.collection", string(w.Collection)}, {"s.uid || ''", string(w.Study)}, {"e.uid || ''", string(w.Series)}} {
		if c.value != "" {
			query += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	var found []Located
	err := forRows(r.reader(ctx), query+` ORDER BY CASE WHEN i.state IN (3, 4, 7) THEN 1 ELSE 0 END, i.collection, i.variant LIMIT ?`, append(args, MaxLimit), func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		if err == nil && maskOf(m, string(l.Collection)).has(l.State) {
			found = append(found, l)
		}
		return err
	})
	return found, err
}

type seriesKeyRow struct {
	id         SeriesID
	collection string
}

func (r *Record) seriesOf(ctx context.Context, w Where) ([]seriesKeyRow, error) {
	query := `SELECT e.id, s.collection FROM study s JOIN series e ON e.study = s.id WHERE s.uid = ?`
	args := []any{string(w.Study)}
	if w.Collection != "" {
		query, args = query+` AND s.collection = ?`, append(args, string(w.Collection))
	}
	if w.Series != "" {
		query, args = query+` AND e.uid = ?`, append(args, string(w.Series))
	}
	var all []seriesKeyRow
	err := forRows(r.reader(ctx), query+` ORDER BY s.collection, s.id, e.number, e.id`, args, func(rows *sql.Rows) error {
		var e seriesKeyRow
		err := rows.Scan(&e.id, &e.collection)
		all = append(all, e)
		return err
	})
	return all, err
}

func (r *Record) instancesOf(ctx context.Context, id SeriesID, mask stateMask, number, after int64) ([]Located, error) {
	var states []string
	for s := received; s < withdrawn; s++ {
		if mask.has(s) {
			states = append(states, string('0'+byte(s)))
		}
	}
	query := `SELECT ` + locatedColumns + ` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.series = ? AND i.number >= ? AND (i.number > ? OR i.id > ?) AND i.state IN (` + strings.Join(states, ", ") + `) ORDER BY i.number, i.id LIMIT ?`
	page := make([]Located, 0, 64)
	err := forRows(r.reader(ctx), query, []any{int64(id), number, number, after, pageSize}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		page = append(page, l)
		return err
	})
	return slices.Clip(page), err
}

// Instance is one row by number, in whatever state; fault.NotFound if there is none. The caller asks policy.
func (r *Record) Instance(ctx context.Context, id InstanceID) (Located, error) {
	l, err := scanLocated(r.d.QueryRow(ctx, `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return l, fault.New(fault.NotFound, "find instance", "", "there is no such instance")
	}
	return l, err
}

// Owner is the subject whose study it is; no answer while nothing of it has passed the gate, and so nobody's claim is proven.
func (r *Record) Owner(ctx context.Context, id StudyID) (who subject.ID, proven bool, err error) {
	err = r.d.QueryRow(ctx, `SELECT subject, described FROM study WHERE id = ?`, int64(id)).Scan(&who, &proven)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "find study", "", "there is no such study")
	}
	return who, proven, err
}

// Waiting lists what is held in a collection, conflicts too, in the order of arrival, after the instance given; of one deposit alone, where it is not 0.
func (r *Record) Waiting(ctx context.Context, c collection.ID, deposit DepositID, after InstanceID, limit int) ([]Located, error) {
	return r.WaitingFor(ctx, c, Wait{Deposit: deposit}, after, limit)
}

// Wait narrows what is held: to a deposit, a subject, the code of one of its reasons, what it is alike with. What is empty does not narrow.
type Wait struct {
	Deposit DepositID
	Subject subject.ID
	Reason  string
	Kind    string // as [Likeness] has it
	Layout  string
	UpTo    InstanceID // the last that is meant; 0: all
	Kept    bool       // what is kept restricted instead
}

// where is the condition for what is narrowed so; ok is false where nothing can meet it.
func (w Wait) where(c collection.ID) (text string, args []any, ok bool) {
	text, args = ` WHERE i.collection = ? AND i.state IN (3, 4)`, []any{string(c)}
	if w.Kept {
		text = ` WHERE i.collection = ? AND i.state = 7`
	}
	if w.Deposit != 0 {
		text, args = text+` AND i.deposit = ?`, append(args, int64(w.Deposit))
	}
	if w.Subject != 0 {
		text, args = text+` AND i.subject = ?`, append(args, int64(w.Subject))
	}
	if w.Kind != "" {
		text, args = text+` AND i.kind = ? AND i.kind <> ''`, append(args, w.Kind)
	}
	if w.Layout != "" {
		text, args = text+` AND i.layout = ? AND i.layout <> ''`, append(args, w.Layout)
	}
	if w.UpTo != 0 {
		text, args = text+` AND i.id <= ?`, append(args, int64(w.UpTo))
	}
	if w.Reason != "" {
		// Codes are of letters and hyphens: what else is asked for is the code of nothing, and no pattern.
		if strings.Trim(w.Reason, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return "", nil, false
		}
		text, args = text+` AND i.reasons LIKE ?`, append(args, `%"code":"`+w.Reason+`"%`)
	}
	return text, args, true
}

// Waiters are how many wait for the very same reasons.
type Waiters struct {
	Reasons []Reason
	Items   int64
	Oldest  time.Time
	Last    InstanceID
}

// WaitingBy counts what is held by its reasons.
func (r *Record) WaitingBy(ctx context.Context, c collection.ID, w Wait) ([]Waiters, error) {
	where, args, ok := w.where(c)
	if !ok {
		return nil, nil
	}
	var all []Waiters
	err := forRows(r.reader(ctx), `SELECT i.reasons, COUNT(*), MIN(i.created), MAX(i.id) FROM instance i`+where+` GROUP BY i.reasons ORDER BY i.reasons`, args, func(rows *sql.Rows) error {
		var n Waiters
		var reasons string
		var oldest int64
		if err := rows.Scan(&reasons, &n.Items, &oldest, &n.Last); err != nil {
			return err
		}
		n.Oldest = db.Time(oldest)
		var err error
		n.Reasons, err = parseReasons(reasons)
		all = append(all, n)
		return err
	})
	return all, err
}

// Held is how many instances of a collection are in the states that wait for a steward.
type Held struct{ Held, Conflict int64 }

// WaitingCounts are the collections in which something waits. It reads counters and no objects: 4 ms where something waits in 1,000 of 10,000 collections.
func (r *Record) WaitingCounts(ctx context.Context) (map[collection.ID]Held, error) {
	all := map[collection.ID]Held{}
	err := forRows(r.reader(ctx), `SELECT collection, held, conflict FROM intake WHERE held + conflict > 0`, nil, func(rows *sql.Rows) error {
		var c collection.ID
		var h Held
		err := rows.Scan(&c, &h.Held, &h.Conflict)
		all[c] = h
		return err
	})
	return all, err
}

// WaitingFor is Waiting for what is narrowed so.
func (r *Record) WaitingFor(ctx context.Context, c collection.ID, w Wait, after InstanceID, limit int) ([]Located, error) {
	where, args, ok := w.where(c)
	if !ok {
		return nil, nil
	}
	query := `SELECT ` + locatedColumns + ` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study` + where + ` AND i.id > ?`
	args = append(args, int64(after))
	var all []Located
	err := forRows(r.reader(ctx), query+` ORDER BY i.id LIMIT ?`, append(args, bounded(limit)), func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}

// OfSubject gives the instances of a subject that are in sight or held, in the order of arrival, after the instance given: what a whole-patient echo looks at
// again.
func (r *Record) OfSubject(ctx context.Context, who subject.ID, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.subject = ? AND i.state NOT IN (6, 7) AND i.id > ? ORDER BY i.id LIMIT ?`, []any{int64(who), int64(after), bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}

// Shown reports whether something of a subject is admitted or released.
func (r *Record) Shown(tx *db.Tx, who subject.ID) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM (SELECT 1 FROM instance WHERE subject = ? AND state IN (2, 5) LIMIT 1) AS shown`, int64(who)).Scan(&n)
	return n > 0, err
}

// All gives every instance in the order of arrival after the one given, whatever its state: what verification re-hashes.
func (r *Record) All(ctx context.Context, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study WHERE i.id > ? ORDER BY i.id LIMIT ?`,
		[]any{int64(after), bounded(limit)}, func(rows *sql.Rows) error {
			l, err := scanLocated(rows)
			all = append(all, l)
			return err
		})
	return all, err
}

// InSight gives the instances of a collection that are admitted or released, in the order of arrival, after the instance given.
func (r *Record) InSight(ctx context.Context, c collection.ID, after InstanceID, limit int) ([]Located, error) {
	var all []Located
	err := forRows(r.reader(ctx), `SELECT `+locatedColumns+` FROM instance i JOIN series e ON e.id = i.series JOIN study s ON s.id = e.study
		WHERE i.id > ? AND i.collection = ? AND i.state IN (2, 5) ORDER BY i.id LIMIT ?`, []any{int64(after), string(c), bounded(limit)}, func(rows *sql.Rows) error {
		l, err := scanLocated(rows)
		all = append(all, l)
		return err
	})
	return all, err
}
