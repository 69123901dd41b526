package access

import (
	"context"
	"fmt"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// State is where an item stands. The numbers are stored, but for Expired.
type State int64

// The states.
const (
	Draft     State = 1
	Submitted State = 2
	Clarify   State = 3
	InReview  State = 4
	Approved  State = 5
	Rejected  State = 6
	Withdrawn State = 7
	Expired   State = 8 // computed: the applicant was asked something and has not answered
	Closed    State = 9
)

var stateNames = map[State]string{Draft: "draft", Submitted: "submitted", Clarify: "clarify", InReview: "in_review", Approved: "approved", Rejected: "rejected", Withdrawn: "withdrawn", Expired: "expired", Closed: "closed"}

func (s State) String() string {
	if n, ok := stateNames[s]; ok {
		return n
	}
	return "unknown"
}

// States lists them.
func States() []State {
	return []State{Draft, Submitted, Clarify, InReview, Approved, Rejected, Withdrawn, Expired, Closed}
}

// Turn is whose turn it is.
type Turn int

// The turns.
const (
	Nobody Turn = iota
	Custodian
	Applicant
)

// Turn says whose it is in a state.
func (s State) Turn() Turn {
	switch s {
	case Submitted, InReview:
		return Custodian
	case Draft, Clarify:
		return Applicant
	}
	return Nobody
}

// Kind is what happened. The numbers are stored.
type Kind int64

// The kinds of events.
const (
	Begun    Kind = 1
	HandedIn Kind = 2 // the form, for every item
	Submit   Kind = 3
	Take     Kind = 4
	AskBack  Kind = 5
	Answer   Kind = 6
	Approve  Kind = 7
	Reject   Kind = 8
	Withdraw Kind = 9
	Close    Kind = 10
	Vote     Kind = 11 // of a member of a committee; there are none yet
)

var kindNames = map[Kind]string{Begun: "begun", HandedIn: "handed_in", Submit: "submitted", Take: "taken", AskBack: "asked_back", Answer: "answered", Approve: "approved", Reject: "rejected", Withdraw: "withdrawn", Close: "closed", Vote: "voted"}

func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return "unknown"
}

// moves are the ways that an item goes.
var moves = map[State]map[Kind]State{
	Draft:     {Submit: Submitted, Withdraw: Withdrawn},
	Submitted: {Take: InReview, AskBack: Clarify, Approve: Approved, Reject: Rejected, Withdraw: Withdrawn},
	InReview:  {AskBack: Clarify, Approve: Approved, Reject: Rejected, Withdraw: Withdrawn},
	Clarify:   {Answer: InReview, Reject: Rejected, Withdraw: Withdrawn},
	Expired:   {Reject: Rejected, Withdraw: Withdrawn},
	Approved:  {Close: Closed},
}

// Patience is how long an applicant may take to answer.
const Patience = 180 * 24 * time.Hour

// Request is one without its items and events.
type Request struct {
	ID        ID
	Applicant string
	Key       [16]byte
	Draft     []byte // sealed; nil: nothing was written since it was handed in
	Created   time.Time
	Changed   time.Time
}

// Item is a collection, or a dataset of one, that a request is for.
type Item struct {
	Request    ID
	N          int64
	Collection collection.ID
	Dataset    string // empty: every dataset of the collection
	Versions   string
	Committee  string // empty: the collection's custodians
	State      State  // as it is stored: At says how it is
	Verdict    datause.Verdict
	Matched    bool // there is a verdict
	Since      time.Time
	Submitted  time.Time
	Decided    time.Time

	CustodianTime time.Duration // up to Since
	ApplicantTime time.Duration
}

// At is the state at a moment.
func (i Item) At(now time.Time) State {
	if i.State == Clarify && !now.Before(i.Since.Add(Patience)) {
		return Expired
	}
	return i.State
}

// Waited is how long the item has waited for each, up to now.
func (i Item) Waited(now time.Time) (custodian, applicant time.Duration) {
	custodian, applicant = i.CustodianTime, i.ApplicantTime
	if !i.Submitted.IsZero() && now.After(i.Since) {
		switch i.State.Turn() {
		case Custodian:
			custodian += now.Sub(i.Since)
		case Applicant:
			applicant += now.Sub(i.Since)
		}
	}
	return custodian, applicant
}

// Event is one of a request.
type Event struct {
	Seq   int64
	Item  int64 // 0: the request as a whole
	Kind  Kind
	Actor string
	At    time.Time
	Body  []byte // sealed; may be nil

	Verdict datause.Verdict // of Submit and Answer: what the computed match says; it is stored in the item
}

// After is the item after an event of it; a fault.Conflict where its state does not allow that.
func (i Item) After(e Event) (Item, error) {
	now := i.At(e.At)
	next, ok := moves[now][e.Kind]
	if !ok {
		return i, fault.New(fault.Conflict, "change request", fmt.Sprintf("request %v, item %d", i.Request, i.N), "it is "+now.String()+" by now; look at it again")
	}
	if next.Turn() != i.State.Turn() {
		i.CustodianTime, i.ApplicantTime = i.Waited(e.At)
		i.Since = e.At
	}
	i.State = next
	switch e.Kind {
	case Submit:
		i.Submitted, i.Verdict, i.Matched = e.At, e.Verdict, true
	case Answer:
		i.Verdict, i.Matched = e.Verdict, true
	case Approve, Reject:
		i.Decided = e.At
	}
	return i, nil
}

// Add begins a request with its items.
func (r *Record) Add(tx *db.Tx, q Request, items []Item) error {
	at := db.Micros(q.Created)
	if _, err := tx.Exec(`INSERT INTO access_request (id, applicant, key_id, draft, created, changed) VALUES (?, ?, ?, ?, ?, ?)`, int64(q.ID), q.Applicant, q.Key[:], blob(q.Draft), at, at); err != nil {
		return err
	}
	for n, i := range items {
		if _, err := tx.Exec(`INSERT INTO access_item (request, n, collection, dataset, versions, committee, state, verdict, since, submitted, decided, custodian_time, applicant_time) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 0, 0, 0, 0)`,
			int64(q.ID), int64(n+1), string(i.Collection), i.Dataset, i.Versions, i.Committee, int64(Draft), at); err != nil {
			return err
		}
	}
	return insertEvent(tx, q.ID, Event{Seq: 1, Kind: Begun, Actor: q.Applicant, At: q.Created})
}

func insertEvent(tx *db.Tx, id ID, e Event) error {
	_, err := tx.Exec(`INSERT INTO access_event (request, seq, item, kind, actor, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)`, int64(id), e.Seq, e.Item, int64(e.Kind), e.Actor, db.Micros(e.At), blob(e.Body))
	return err
}

// Write keeps what is being written.
func (r *Record) Write(tx *db.Tx, id ID, draft []byte, at time.Time) error {
	_, err := tx.Exec(`UPDATE access_request SET draft = ?, changed = ? WHERE id = ?`, blob(draft), db.Micros(at), int64(id))
	return err
}

// Next is the number of the event that comes next: bodies are sealed to it.
func (r *Record) Next(ctx context.Context, id ID) (n int64, err error) {
	err = r.d.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM access_event WHERE request = ?`, int64(id)).Scan(&n)
	return n, err
}

// Append adds events, whose numbers follow each other from [Record.Next] on, and moves their items. It is a fault.Conflict where another event took the number meanwhile, or an item does not move so.
func (r *Record) Append(tx *db.Tx, id ID, events ...Event) error {
	if err := r.Lock(tx, id); err != nil {
		return err
	}
	var next int64
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM access_event WHERE request = ?`, int64(id)).Scan(&next); err != nil {
		return err
	}
	for k, e := range events {
		if e.Seq != next+int64(k) {
			return Moved(id)
		}
		if e.Item != 0 {
			i, err := scanItem(tx.QueryRow(itemColumns+` WHERE request = ? AND n = ?`, int64(id), e.Item))
			if err != nil {
				return gone(err, "request")
			}
			if i, err = i.After(e); err != nil {
				return err
			}
			verdict := int64(0)
			if i.Matched {
				verdict = int64(i.Verdict) + 1
			}
			if _, err := tx.Exec(`UPDATE access_item SET state = ?, verdict = ?, since = ?, submitted = ?, decided = ?, custodian_time = ?, applicant_time = ? WHERE request = ? AND n = ?`, int64(i.State), verdict,
				micros(i.Since), micros(i.Submitted), micros(i.Decided), i.CustodianTime.Microseconds(), i.ApplicantTime.Microseconds(), int64(id), e.Item); err != nil {
				return err
			}
		}
		if err := insertEvent(tx, id, e); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE access_request SET changed = ? WHERE id = ?`, db.Micros(e.At), int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// Lock lets one transaction at a time change a request, its agreements and its entitlements.
func (r *Record) Lock(tx *db.Tx, id ID) error { return tx.Lock("access request " + id.String()) }

// Moved says that something happened to a request since it was looked at.
func Moved(id ID) error {
	return fault.New(fault.Conflict, "change request", "request "+id.String(), "something happened to it meanwhile: look at it again before you decide")
}

// Discard deletes a request of which nothing was handed in. Its key is for the caller to destroy.
func (r *Record) Discard(tx *db.Tx, id ID) error {
	if err := r.Lock(tx, id); err != nil {
		return err
	}
	var others int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_event WHERE request = ? AND kind <> ?`, int64(id), int64(Begun)).Scan(&others); err != nil {
		return err
	}
	if others > 0 {
		return fault.New(fault.Conflict, "discard request", "request "+id.String(), "it was handed in: withdraw it")
	}
	for _, q := range []string{`DELETE FROM access_event WHERE request = ?`, `DELETE FROM access_item WHERE request = ?`, `DELETE FROM access_request WHERE id = ?`} {
		if _, err := tx.Exec(q, int64(id)); err != nil {
			return err
		}
	}
	return nil
}

const (
	requestColumns = `SELECT id, applicant, key_id, draft, created, changed FROM access_request`
	itemColumns    = `SELECT request, n, collection, dataset, versions, committee, state, verdict, since, submitted, decided, custodian_time, applicant_time FROM access_item`
)

func scanRequest(row interface{ Scan(...any) error }) (q Request, err error) {
	var key []byte
	var created, changed int64
	if err := row.Scan(&q.ID, &q.Applicant, &key, &q.Draft, &created, &changed); err != nil {
		return q, err
	}
	if copy(q.Key[:], key) != len(q.Key) {
		return q, fault.New(fault.Corrupt, "read request", "request "+q.ID.String(), "its key reference has another length")
	}
	q.Created, q.Changed = db.Time(created), db.Time(changed)
	return q, nil
}

func scanItem(row interface{ Scan(...any) error }) (i Item, err error) {
	var verdict, since, submitted, decided, custodian, applicant int64
	err = row.Scan(&i.Request, &i.N, &i.Collection, &i.Dataset, &i.Versions, &i.Committee, &i.State, &verdict, &since, &submitted, &decided, &custodian, &applicant)
	if verdict > 0 {
		i.Matched, i.Verdict = true, datause.Verdict(verdict-1)
	}
	i.Since, i.Submitted, i.Decided = moment(since), moment(submitted), moment(decided)
	i.CustodianTime, i.ApplicantTime = time.Duration(custodian)*time.Microsecond, time.Duration(applicant)*time.Microsecond
	return i, err
}

// Get is one request; a fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Request, error) {
	q, err := scanRequest(r.d.QueryRow(ctx, requestColumns+` WHERE id = ?`, int64(id)))
	return q, gone(err, "request")
}

// Of lists what somebody asks for, the latest first.
func (r *Record) Of(ctx context.Context, applicant string, limit, offset int) ([]Request, error) {
	if applicant == "" {
		return nil, nil
	}
	return rows(ctx, r, "list requests", scanRequest, requestColumns+` WHERE applicant = ? ORDER BY changed DESC, id LIMIT ? OFFSET ?`, applicant, int64(limit), int64(offset))
}

// Items are those of a request.
func (r *Record) Items(ctx context.Context, id ID) ([]Item, error) {
	return rows(ctx, r, "read request", scanItem, itemColumns+` WHERE request = ? ORDER BY n`, int64(id))
}

// In lists the items of collections that were handed in: those that wait for a custodian first, the longest waiting at the top; then the others, the latest first.
func (r *Record) In(ctx context.Context, w Wards, limit, offset int) ([]Item, error) {
	where, args := w.where("collection")
	args = append(args, int64(limit), int64(offset))
	return rows(ctx, r, "list requests", scanItem, itemColumns+` WHERE `+where+` AND submitted > 0 ORDER BY CASE WHEN state IN (2, 4) THEN 0 ELSE 1 END, CASE WHEN state IN (2, 4) THEN since ELSE -since END, request, n LIMIT ? OFFSET ?`, args...)
}

// Waiting lists every item that is in one of the states.
func (r *Record) Waiting(ctx context.Context, states ...State) (all []Item, err error) {
	for _, s := range states {
		some, err := rows(ctx, r, "list requests", scanItem, itemColumns+` WHERE state = ? ORDER BY since, request, n`, int64(s))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// ApprovedIn lists the approved items of a collection.
func (r *Record) ApprovedIn(ctx context.Context, c collection.ID) ([]Item, error) {
	return rows(ctx, r, "list requests", scanItem, itemColumns+` WHERE collection = ? AND state = ? ORDER BY request, n`, string(c), int64(Approved))
}

// CountWaiting counts the items of collections that wait for a custodian, but those that somebody asks for themselves.
func (r *Record) CountWaiting(ctx context.Context, w Wards, but string) (n int64, err error) {
	if w.None() {
		return 0, nil
	}
	where, args := w.where("i.collection")
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM access_item i JOIN access_request q ON q.id = i.request WHERE i.state IN (2, 4) AND `+where+` AND q.applicant <> ?`, append(args, but)...).Scan(&n)
	return n, err
}

// CountAsked counts the items of which somebody was asked something.
func (r *Record) CountAsked(ctx context.Context, applicant string, now time.Time) (n int64, err error) {
	if applicant == "" {
		return 0, nil
	}
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM access_item i JOIN access_request q ON q.id = i.request WHERE i.state = ? AND i.since > ? AND q.applicant = ?`, int64(Clarify), db.Micros(now.Add(-Patience)), applicant).Scan(&n)
	return n, err
}

// Events are those of a request, in order. Their Verdict is not read back.
func (r *Record) Events(ctx context.Context, id ID) ([]Event, error) {
	return rows(ctx, r, "read request", func(row interface{ Scan(...any) error }) (e Event, err error) {
		var at int64
		err = row.Scan(&e.Seq, &e.Item, &e.Kind, &e.Actor, &at, &e.Body)
		e.At = db.Time(at)
		return e, err
	}, `SELECT seq, item, kind, actor, at, body FROM access_event WHERE request = ? ORDER BY seq`, int64(id))
}

// Decided are the items of a collection that were decided since a moment.
func (r *Record) Decided(ctx context.Context, c collection.ID, since time.Time) ([]Item, error) {
	return rows(ctx, r, "list requests", scanItem, itemColumns+` WHERE collection = ? AND decided >= ? AND submitted > 0 ORDER BY decided`, string(c), db.Micros(since))
}
