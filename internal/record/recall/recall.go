// Package recall is the record of copies that are called back: why, from whom, when they were told and what they answered.
//
// It promises: a copy is called back once, however often it is asked for; what is told to a project at once is gathered in one transaction; what happened to a recall is an append-only list, and of what
// the node does by the calendar each thing happens once. Whoever changes something passes the transaction in which the audit entry is written too. docs/formats/recall.md says what each column means.
//
// It names nobody whom copies are of, and cannot read what recipients wrote: texts come and go sealed. It does not decide who may see or change what.
package recall

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
	if err := d.Migrate(ctx, "recall", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// ID is the number of a recall.
type ID int64

func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseID reads one.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, None()
	}
	return ID(n), nil
}

// None is the failure where there is no such recall, or none that the caller may know of.
func None() error {
	return fault.New(fault.NotFound, "find recall", "", "there is no such recall, or it is not yours to see")
}

// The codes of causes. Withdrawal is of a person; the others are of a release as a whole.
const (
	Withdrawal = "withdrawal"
	Defect     = "deidentification-defect"
	Legal      = "legal"
	Policy     = "policy"
)

// Cause is why copies are called back.
type Cause struct {
	Subject    subject.ID // zero: a release
	Release    int64      // zero: a subject, in every release
	Collection collection.ID
	Code       string
	At         time.Time
}

// Item is what was given of a subject in a release by an entitlement.
type Item struct {
	Entitlement int64
	Release     int64
	Subject     subject.ID
	Account     string
	Collection  collection.ID
	Code        string
	Since       time.Time
	Batch       ID // zero: it waits
}

// Batch is a recall: what one project is told at once.
type Batch struct {
	ID           ID
	Request      int64
	Account      string
	Collection   collection.ID
	Code         string
	Told         time.Time
	Due          time.Time
	Acknowledged time.Time
	Closed       time.Time
	Outcome      string
	Suspended    time.Time
	Resumed      time.Time
	Mail         string
	MailWhy      string
}

// Open reports that an answer is still owed.
func (b Batch) Open() bool { return b.Closed.IsZero() }

// Kind is what happened. The numbers are stored.
type Kind int64

// The kinds of events.
const (
	Told          Kind = 1
	Reminded7     Kind = 2
	Reminded1     Kind = 3
	Overdue       Kind = 4
	CustodianTold Kind = 5
	Suspended     Kind = 6
	Acknowledged  Kind = 7
	Attested      Kind = 8
	Waived        Kind = 9
	Resumed       Kind = 10
)

var kindNames = map[Kind]string{Told: "told", Reminded7: "reminded, 7 days before it was due", Reminded1: "reminded, a day before it was due", Overdue: "reminded, overdue", CustodianTold: "custodians told, 30 days overdue",
	Suspended: "use suspended, 90 days overdue", Acknowledged: "acknowledged", Attested: "attested", Waived: "waived", Resumed: "use permitted again"}

func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return "unknown"
}

// Event is something that happened to a recall.
type Event struct {
	Seq   int64
	Kind  Kind
	Actor string
	At    time.Time
	Body  []byte // sealed; nil: nothing
}

// AddCause notes why copies are called back, once.
func (r *Record) AddCause(tx *db.Tx, c Cause) error {
	_, err := tx.Exec(`INSERT INTO recall_cause (subject, release_id, collection, code, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, int64(c.Subject), c.Release, string(c.Collection), c.Code, db.Micros(c.At))
	return err
}

// Causes are those since a moment.
func (r *Record) Causes(ctx context.Context, since time.Time) ([]Cause, error) {
	rows, err := r.d.Query(ctx, `SELECT subject, release_id, collection, code, at FROM recall_cause WHERE at >= ? ORDER BY at, subject, release_id`, db.Micros(since))
	return list(rows, err, func(row scanner) (c Cause, err error) {
		var at int64
		err = row.Scan(&c.Subject, &c.Release, &c.Collection, &c.Code, &at)
		c.At = db.Time(at)
		return c, err
	})
}

// AddItem calls something back; added is false where it was already.
func (r *Record) AddItem(tx *db.Tx, i Item) (added bool, err error) {
	res, err := tx.Exec(`INSERT INTO recall_item (entitlement, release_id, subject, account, collection, code, since, batch) VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
		i.Entitlement, i.Release, int64(i.Subject), i.Account, string(i.Collection), i.Code, db.Micros(i.Since))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

const itemColumns = `SELECT entitlement, release_id, subject, account, collection, code, since, batch FROM recall_item`

func scanItem(row scanner) (i Item, err error) {
	var since int64
	err = row.Scan(&i.Entitlement, &i.Release, &i.Subject, &i.Account, &i.Collection, &i.Code, &since, &i.Batch)
	i.Since = db.Time(since)
	return i, err
}

// Waiting are the items that nobody was told of.
func (r *Record) Waiting(ctx context.Context) ([]Item, error) {
	rows, err := r.d.Query(ctx, itemColumns+` WHERE batch = 0 ORDER BY entitlement, release_id, subject`)
	return list(rows, err, scanItem)
}

// Items are those of a recall.
func (r *Record) Items(ctx context.Context, id ID) ([]Item, error) {
	rows, err := r.d.Query(ctx, itemColumns+` WHERE batch = ? ORDER BY entitlement, release_id, subject`, int64(id))
	return list(rows, err, scanItem)
}

// Gather makes a recall of items that wait, and fills in its number. A fault.Conflict where one of them waits no more: nothing is to be kept then.
func (r *Record) Gather(tx *db.Tx, b *Batch, items []Item) error {
	n, err := ident.New()
	if err != nil {
		return err
	}
	b.ID = ID(n)
	_, err = tx.Exec(`INSERT INTO recall_batch (id, request, account, collection, code, told, due, acknowledged, closed, outcome, suspended, resumed, mail, mail_why) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, 0, '', '')`,
		n, b.Request, b.Account, string(b.Collection), b.Code, db.Micros(b.Told), db.Micros(b.Due))
	if err != nil {
		return err
	}
	for _, i := range items {
		res, err := tx.Exec(`UPDATE recall_item SET batch = ? WHERE entitlement = ? AND release_id = ? AND subject = ? AND batch = 0`, n, i.Entitlement, i.Release, int64(i.Subject))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n != 1 {
			return fault.New(fault.Conflict, "gather recall", "", "another process has gathered it")
		}
	}
	_, err = r.Note(tx, b.ID, Event{Kind: Told, Actor: "node", At: b.Told}, nil)
	return err
}

// Note adds an event, and what follows of it for the recall. Its body is sealed to the number that it gets. What happens once and has happened is not noted again: noted is false. So is an answer that is owed no more, but for a later attestation,
// which takes the place of an earlier one.
func (r *Record) Note(tx *db.Tx, id ID, e Event, seal func(seq int64) []byte) (noted bool, err error) {
	if err := tx.Lock("recall " + id.String()); err != nil {
		return false, err
	}
	b, err := scanBatch(tx.QueryRow(batchColumns+` WHERE id = ?`, int64(id)))
	if err != nil {
		return false, err
	}
	var before int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1, COUNT(CASE WHEN kind = ? THEN 1 END) FROM recall_event WHERE batch = ?`, int64(e.Kind), int64(id)).Scan(&e.Seq, &before); err != nil {
		return false, err
	}
	set, args := "", []any{}
	at := db.Micros(e.At)
	switch e.Kind {
	case Told, Reminded7, Reminded1, Overdue, CustodianTold:
	case Suspended:
		set, args = `suspended = ?`, []any{at}
	case Acknowledged:
		set, args = `acknowledged = ?`, []any{at}
	case Resumed:
		if b.Suspended.IsZero() || !b.Resumed.IsZero() || b.Open() {
			return false, nil
		}
		set, args = `resumed = ?`, []any{at}
	default:
		return false, fault.New(fault.Internal, "note recall", "recall "+id.String(), "an answer has an outcome: Answer notes it")
	}
	if e.Kind != Resumed && (before > 0 || !b.Open()) {
		return false, nil
	}
	if seal != nil {
		e.Body = seal(e.Seq)
	}
	return true, r.write(tx, id, e, set, args)
}

// Answer notes an attestation or a waiver with its outcome; a fault.Conflict where a recall was waived, or is to be waived after it was answered.
func (r *Record) Answer(tx *db.Tx, id ID, e Event, outcome string, seal func(seq int64) []byte) error {
	if err := tx.Lock("recall " + id.String()); err != nil {
		return err
	}
	b, err := scanBatch(tx.QueryRow(batchColumns+` WHERE id = ?`, int64(id)))
	if err != nil {
		return err
	}
	if b.Outcome == "waived" || e.Kind == Waived && !b.Open() {
		return fault.New(fault.Conflict, "answer recall", "recall "+id.String(), "it is closed already")
	}
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM recall_event WHERE batch = ?`, int64(id)).Scan(&e.Seq); err != nil {
		return err
	}
	e.Body = seal(e.Seq)
	return r.write(tx, id, e, `closed = ?, outcome = ?`, []any{db.Micros(e.At), outcome})
}

func (r *Record) write(tx *db.Tx, id ID, e Event, set string, args []any) error {
	var body any
	if e.Body != nil {
		body = e.Body
	}
	if _, err := tx.Exec(`INSERT INTO recall_event (batch, seq, kind, actor, at, body) VALUES (?, ?, ?, ?, ?, ?)`, int64(id), e.Seq, int64(e.Kind), e.Actor, db.Micros(e.At), body); err != nil || set == "" {
		return err
	}
	_, err := tx.Exec(`UPDATE recall_batch SET `+set+` WHERE id = ?`, append(args, int64(id))...)
	return err
}

// NoteMail notes how the mail to the recipient stands.
func (r *Record) NoteMail(tx *db.Tx, id ID, state, why string) error {
	_, err := tx.Exec(`UPDATE recall_batch SET mail = ?, mail_why = ? WHERE id = ?`, state, why, int64(id))
	return err
}

const batchColumns = `SELECT id, request, account, collection, code, told, due, acknowledged, closed, outcome, suspended, resumed, mail, mail_why FROM recall_batch`

func scanBatch(row scanner) (b Batch, err error) {
	var told, due, acknowledged, closed, suspended, resumed int64
	err = row.Scan(&b.ID, &b.Request, &b.Account, &b.Collection, &b.Code, &told, &due, &acknowledged, &closed, &b.Outcome, &suspended, &resumed, &b.Mail, &b.MailWhy)
	if errors.Is(err, sql.ErrNoRows) {
		return b, None()
	}
	b.Told, b.Due, b.Acknowledged, b.Closed, b.Suspended, b.Resumed = moment(told), moment(due), moment(acknowledged), moment(closed), moment(suspended), moment(resumed)
	return b, err
}

// Get is one; fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Batch, error) {
	return scanBatch(r.d.QueryRow(ctx, batchColumns+` WHERE id = ?`, int64(id)))
}

// Open are the recalls that are not answered, the first due first.
func (r *Record) Open(ctx context.Context) ([]Batch, error) {
	rows, err := r.d.Query(ctx, batchColumns+` WHERE closed = 0 ORDER BY due, id`)
	return list(rows, err, scanBatch)
}

// Of are the recalls of an account, the latest first.
func (r *Record) Of(ctx context.Context, account string) ([]Batch, error) {
	rows, err := r.d.Query(ctx, batchColumns+` WHERE account = ? ORDER BY told DESC, id DESC`, account)
	return list(rows, err, scanBatch)
}

// In are the recalls of collections, or of every one: what is owed first, then the latest.
func (r *Record) In(ctx context.Context, every bool, some []string, limit, offset int) ([]Batch, error) {
	where, args := `1 = 1`, []any{}
	if !every {
		if len(some) == 0 {
			return nil, nil
		}
		where = `collection IN (` + strings.TrimSuffix(strings.Repeat("?,", len(some)), ",") + `)`
		for _, c := range some {
			args = append(args, c)
		}
	}
	rows, err := r.d.Query(ctx, batchColumns+` WHERE `+where+` ORDER BY CASE WHEN closed = 0 THEN 0 ELSE 1 END, told DESC, id DESC LIMIT ? OFFSET ?`, append(args, int64(limit), int64(offset))...)
	return list(rows, err, scanBatch)
}

// Owed is when the oldest answer of a request was due that has not come; zero: none is owed.
func (r *Record) Owed(ctx context.Context, request int64, now time.Time) (time.Time, error) {
	var due int64
	err := r.d.QueryRow(ctx, `SELECT COALESCE(MIN(due), 0) FROM recall_batch WHERE request = ? AND closed = 0 AND due <= ?`, request, db.Micros(now)).Scan(&due)
	return moment(due), err
}

// Events are those of a recall, in order.
func (r *Record) Events(ctx context.Context, id ID) ([]Event, error) {
	rows, err := r.d.Query(ctx, `SELECT seq, kind, actor, at, body FROM recall_event WHERE batch = ? ORDER BY seq`, int64(id))
	return list(rows, err, func(row scanner) (e Event, err error) {
		var at int64
		err = row.Scan(&e.Seq, &e.Kind, &e.Actor, &at, &e.Body)
		e.At = db.Time(at)
		return e, err
	})
}

// Copies counts the recipients of what was given of somebody.
type Copies struct {
	Recipients  int64 `json:"recipients"`   // projects that were given something
	Waiting     int64 `json:"waiting"`      // not told yet
	Told        int64 `json:"told"`         // told, and nothing is overdue
	Overdue     int64 `json:"overdue"`      // told, and the answer is overdue
	Attested    int64 `json:"attested"`     // deleted, excluded or stopped
	NotFeasible int64 `json:"not_feasible"` // attested that nothing of it is feasible
	Waived      int64 `json:"waived"`
}

// CopiesOf counts those of a subject. A project with several recalls of the same subject counts by the one that is the furthest from done.
func (r *Record) CopiesOf(ctx context.Context, id subject.ID, now time.Time) (Copies, error) {
	rows, err := r.d.Query(ctx, `SELECT i.entitlement, i.account, i.batch, COALESCE(b.request, 0), COALESCE(b.closed, 0), COALESCE(b.outcome, ''), COALESCE(b.due, 0) FROM recall_item i LEFT JOIN recall_batch b ON b.id = i.batch WHERE i.subject = ?`, int64(id))
	type one struct {
		by   string
		rank int
	}
	all, err := list(rows, err, func(row scanner) (o one, err error) {
		var entitlement, batch, request, closed, due int64
		var account, outcome string
		err = row.Scan(&entitlement, &account, &batch, &request, &closed, &outcome, &due)
		o.by = "e " + strconv.FormatInt(entitlement, 10)
		if request != 0 {
			o.by = account + " " + strconv.FormatInt(request, 10)
		}
		switch {
		case batch == 0:
			o.rank = 5
		case closed == 0 && due <= db.Micros(now):
			o.rank = 4
		case closed == 0:
			o.rank = 3
		case outcome == "not-feasible":
			o.rank = 2
		case outcome == "waived":
			o.rank = 1
		}
		return o, err
	})
	if err != nil {
		return Copies{}, err
	}
	worst := map[string]int{}
	for _, o := range all {
		worst[o.by] = max(worst[o.by], o.rank)
	}
	c := Copies{Recipients: int64(len(worst))}
	for _, rank := range worst {
		*[]*int64{&c.Attested, &c.Waived, &c.NotFeasible, &c.Told, &c.Overdue, &c.Waiting}[rank]++
	}
	return c, nil
}

type scanner = interface{ Scan(...any) error }

func list[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, db.Fault("read recalls", err)
		}
		all = append(all, x)
	}
	return all, db.Fault("read recalls", rows.Err())
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return db.Time(n)
}
