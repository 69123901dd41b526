package reidentification

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

//go:embed migrations_requests
var requestMigrations embed.FS

// State is how a request stands. The numbers are stored.
type State int64

// The states.
const (
	Asked     State = 1
	Consented State = 2
	Declined  State = 3
	Seen      State = 4
)

// How long a request waits for consent, and how long after consent the answer may be seen.
const (
	AskedFor     = 7 * 24 * time.Hour
	ConsentedFor = 24 * time.Hour
)

// Request is that somebody asks who a subject is.
type Request struct {
	ID         int64
	Collection collection.ID
	Subject    subject.ID
	Asker      string // an account
	Sealed     []byte // why, encrypted
	Asked      time.Time
	State      State
	Decider    string    // another account; empty: nobody yet
	Decided    time.Time // zero: nobody yet
	Seen       time.Time // zero: not yet
}

// Ends is until when the request may go on: be consented to, or its answer be seen. Zero: it has ended.
func (r Request) Ends() time.Time {
	switch r.State {
	case Asked:
		return r.Asked.Add(AskedFor)
	case Consented:
		return r.Decided.Add(ConsentedFor)
	}
	return time.Time{}
}

// Open reports a request that may go on at that moment.
func (r Request) Open(now time.Time) bool { return now.Before(r.Ends()) }

// Requests is the open record.
type Requests struct{ d *db.DB }

// OpenRequests brings the tables up to date.
func OpenRequests(ctx context.Context, d *db.DB) (*Requests, error) {
	files, err := fs.Sub(requestMigrations, "migrations_requests")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "reidentification_request", files); err != nil {
		return nil, err
	}
	return &Requests{d}, nil
}

// NewRequest is the number of a request that is to be made.
func NewRequest() (int64, error) { return ident.New() }

// Ask keeps a request. One person asks about one subject once at a time.
func (q *Requests) Ask(tx *db.Tx, r Request) error {
	if err := tx.Lock("reidentification of subject " + strconv.FormatInt(int64(r.Subject), 10)); err != nil {
		return err
	}
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM reidentification_request WHERE subject = ? AND asker = ? AND (state = ? AND asked > ? OR state = ? AND decided > ?)`, int64(r.Subject), r.Asker,
		int64(Asked), db.Micros(r.Asked.Add(-AskedFor)), int64(Consented), db.Micros(r.Asked.Add(-ConsentedFor))).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, "ask who a subject is", "", "you have asked already")
	}
	_, err = tx.Exec(`INSERT INTO reidentification_request (id, collection, subject, asker, reason, asked, state, decider, decided, seen) VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, 0)`,
		r.ID, string(r.Collection), int64(r.Subject), r.Asker, r.Sealed, db.Micros(r.Asked), int64(Asked))
	return err
}

// Decide consents to a request that waits, or declines it.
func (q *Requests) Decide(tx *db.Tx, id int64, decider string, to State, now time.Time) error {
	return q.move(tx, `UPDATE reidentification_request SET state = ?, decider = ?, decided = ? WHERE id = ? AND state = ? AND asked > ? AND asker <> ?`,
		int64(to), decider, db.Micros(now), id, int64(Asked), db.Micros(now.Add(-AskedFor)), decider)
}

// See uses a consent up.
func (q *Requests) See(tx *db.Tx, id int64, asker string, now time.Time) error {
	return q.move(tx, `UPDATE reidentification_request SET state = ?, seen = ? WHERE id = ? AND state = ? AND decided > ? AND asker = ? AND decider <> asker AND decider <> ''`,
		int64(Seen), db.Micros(now), id, int64(Consented), db.Micros(now.Add(-ConsentedFor)), asker)
}

func (q *Requests) move(tx *db.Tx, query string, args ...any) error {
	res, err := tx.Exec(query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.Conflict, "decide on a request", "", "it has ended, or was decided meanwhile")
}

const columns = `SELECT id, collection, subject, asker, reason, asked, state, decider, decided, seen FROM reidentification_request`

func scan(row interface{ Scan(...any) error }) (r Request, err error) {
	var asked, decided, seen int64
	if err = row.Scan(&r.ID, &r.Collection, &r.Subject, &r.Asker, &r.Sealed, &asked, &r.State, &r.Decider, &decided, &seen); err != nil {
		return r, err
	}
	r.Asked = db.Time(asked)
	if decided != 0 {
		r.Decided = db.Time(decided)
	}
	if seen != 0 {
		r.Seen = db.Time(seen)
	}
	return r, nil
}

// Get is the request of that number; fault.NotFound if there is none.
func (q *Requests) Get(ctx context.Context, id int64) (Request, error) {
	r, err := scan(q.d.QueryRow(ctx, columns+` WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "find request", "", "there is no such request")
	}
	return r, err
}

// Since lists the requests of a collection, or of all where none is named, that were made after a moment, the newest first; at most limit.
func (q *Requests) Since(ctx context.Context, c collection.ID, after time.Time, limit int) ([]Request, error) {
	rows, err := q.d.Query(ctx, columns+` WHERE (collection = ? OR ? = '') AND asked > ? ORDER BY asked DESC LIMIT ?`, string(c), string(c), db.Micros(after), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Request
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list requests", err)
		}
		all = append(all, r)
	}
	return all, db.Fault("list requests", rows.Err())
}
