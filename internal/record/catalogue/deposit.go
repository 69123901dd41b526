package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

// Deposit is one delivery: an association, a request, an upload.
type Deposit struct {
	ID         DepositID
	Collection collection.ID
	Door       string // "dimse", "dicomweb", ...
	Actor      string // the id of a token, or an AE title
	Started    time.Time
	Ended      time.Time // zero: it is running
	Counts     Counts
	Withdrawn  int64 // counted nowhere else
}

// Counts says where objects stand. Received is the sum of Pending, Catalogued, Held, Restricted and Refused; duplicates are counted beside it, and what is withdrawn
// nowhere.
type Counts struct {
	Received   int64 `json:"received"`
	Pending    int64 `json:"pending"`    // acknowledged, not yet admitted
	Catalogued int64 `json:"catalogued"` // admitted or released
	Held       int64 `json:"held"`       // conflicts among them
	Refused    int64 `json:"refused"`
	Restricted int64 `json:"restricted,omitempty"` // kept for stewards alone
	Duplicate  int64 `json:"-"`                    // the same bytes again
	Released   int64 `json:"-"`                    // of those catalogued
}

func counts(t tally, refused, duplicate int64) Counts {
	c := Counts{Pending: t[received], Catalogued: t[admitted] + t[released], Held: t[held] + t[conflict], Refused: refused, Restricted: t[restricted], Duplicate: duplicate, Released: t[released]}
	c.Received = c.Pending + c.Catalogued + c.Held + c.Restricted + c.Refused
	return c
}

// DepositsChanged is signalled, within the process, by the commit of a transaction that changed a deposit or where its objects stand.
const DepositsChanged = "deposits"

// StartDeposit notes that a deposit begins. It is written before anything of it is acknowledged.
func (r *Record) StartDeposit(tx *db.Tx, c collection.ID, door, actor string) (DepositID, error) {
	id, err := ident.New()
	if err != nil {
		return 0, err
	}
	return DepositID(id), insertDeposit(tx, DepositID(id), c, door, actor, db.Micros(time.Now()), 0)
}

// EndDeposit notes that nothing more comes of a deposit: its studies need not be waited for.
func (r *Record) EndDeposit(tx *db.Tx, id DepositID) error {
	tx.Signal(DepositsChanged)
	if _, err := tx.Exec(`UPDATE deposit SET ended = ? WHERE id = ? AND ended = 0`, db.Micros(time.Now()), int64(id)); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM study_open WHERE deposit = ?`, int64(id))
	return err
}

// ReopenDeposit notes that more comes of a deposit that had ended.
func (r *Record) ReopenDeposit(tx *db.Tx, id DepositID) error {
	tx.Signal(DepositsChanged)
	_, err := tx.Exec(`UPDATE deposit SET ended = 0 WHERE id = ?`, int64(id))
	return err
}

// EndStaleDeposits ends what began before a moment and was never ended, because a process died. It returns how many there were.
func (r *Record) EndStaleDeposits(tx *db.Tx, startedBefore time.Time) (int64, error) {
	if _, err := tx.Exec(`DELETE FROM study_open WHERE deposit IN (SELECT id FROM deposit WHERE ended = 0 AND started < ?)`, db.Micros(startedBefore)); err != nil {
		return 0, err
	}
	res, err := tx.Exec(`UPDATE deposit SET ended = ? WHERE ended = 0 AND started < ?`, db.Micros(time.Now()), db.Micros(startedBefore))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func insertDeposit(tx *db.Tx, id DepositID, c collection.ID, door, actor string, started, ended int64) error {
	tx.Signal(DepositsChanged)
	_, err := tx.Exec(`INSERT INTO deposit (id, collection, door, actor, started, ended, `+tallyColumns+`, refused, duplicate)
		VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)`, int64(id), string(c), door, clean(actor), started, ended)
	return err
}

func countDeposit(tx *db.Tx, id DepositID, t tally, refused, duplicate int64) error {
	tx.Signal(DepositsChanged)
	_, err := tx.Exec(`UPDATE deposit SET received = received + ?, admitted = admitted + ?, conflict = conflict + ?, held = held + ?, released = released + ?,
		withdrawn = withdrawn + ?, restricted = restricted + ?, refused = refused + ?, duplicate = duplicate + ? WHERE id = ?`, append(t.args(), refused, duplicate, int64(id))...)
	return err
}

func countIntake(tx *db.Tx, c collection.ID, t tally, refused, duplicate int64) error {
	if t[held] > 0 || t[conflict] > 0 {
		tx.Signal(SignalHeld)
	}
	_, err := tx.Exec(`INSERT INTO intake (collection, `+tallyColumns+`, refused, duplicate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (collection) DO UPDATE SET received = intake.received + excluded.received, admitted = intake.admitted + excluded.admitted,
		conflict = intake.conflict + excluded.conflict, held = intake.held + excluded.held, released = intake.released + excluded.released,
		withdrawn = intake.withdrawn + excluded.withdrawn, restricted = intake.restricted + excluded.restricted, refused = intake.refused + excluded.refused, duplicate = intake.duplicate + excluded.duplicate`,
		append(append([]any{string(c)}, t.args()...), refused, duplicate)...)
	return err
}

// RefuseItem notes an item of a deposit that was not kept, and why.
func (r *Record) RefuseItem(tx *db.Tx, id DepositID, ordinal int64, why Reason) error {
	var c collection.ID
	err := tx.QueryRow(`SELECT collection FROM deposit WHERE id = ?`, int64(id)).Scan(&c)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "note a refusal", "deposit "+id.String(), "there is no such deposit")
	}
	if err != nil {
		return err
	}
	if err := lock(tx, c); err != nil {
		return err
	}
	return refuse(tx, c, id, ordinal, why, nil, tally{})
}

// refuse counts a refusal, and with it what changes in the tally because a held object is refused, of which the digest is kept.
func refuse(tx *db.Tx, c collection.ID, id DepositID, ordinal int64, why Reason, digest []byte, t tally) error {
	row, err := ident.New()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO refusal (id, deposit, ordinal, code, place, reason, refused, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		row, int64(id), ordinal, clean(why.Code), clean(why.Where), clean(why.Text), db.Micros(time.Now()), digest); err != nil {
		return err
	}
	if err := countDeposit(tx, id, t, 1, 0); err != nil {
		return err
	}
	return countIntake(tx, c, t, 1, 0)
}

// Intake says where the objects of a collection stand. What waits in memory to be catalogued, the caller adds to Pending and Received.
func (r *Record) Intake(ctx context.Context, c collection.ID) (Counts, error) {
	var t tally
	var refused, duplicate int64
	err := r.d.QueryRow(ctx, `SELECT `+tallyColumns+`, refused, duplicate FROM intake WHERE collection = ?`, string(c)).Scan(append(t.dest(), &refused, &duplicate)...)
	if errors.Is(err, sql.ErrNoRows) {
		return Counts{}, nil
	}
	return counts(t, refused, duplicate), err
}

const depositColumns = `SELECT id, collection, door, actor, started, ended, ` + tallyColumns + `, refused, duplicate FROM deposit`

func scanDeposit(row interface{ Scan(...any) error }) (Deposit, error) {
	var d Deposit
	var t tally
	var started, ended, refused, duplicate int64
	if err := row.Scan(append(append([]any{&d.ID, &d.Collection, &d.Door, &d.Actor, &started, &ended}, t.dest()...), &refused, &duplicate)...); err != nil {
		return d, err
	}
	d.Started = db.Time(started)
	if ended != 0 {
		d.Ended = db.Time(ended)
	}
	d.Counts, d.Withdrawn = counts(t, refused, duplicate), t[withdrawn]
	return d, nil
}

// Deposit is one deposit and where its objects stand now; fault.NotFound if there is none.
func (r *Record) Deposit(ctx context.Context, id DepositID) (Deposit, error) {
	d, err := scanDeposit(r.d.QueryRow(ctx, depositColumns+` WHERE id = ?`, int64(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return d, fault.New(fault.NotFound, "find deposit", "", "there is no such deposit")
	}
	return d, err
}

// Deposits lists deposits of a collection before one (0: from the latest on), latest first; of an actor alone, where one is given.
func (r *Record) Deposits(ctx context.Context, c collection.ID, actor string, before DepositID, limit int) ([]Deposit, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	query, args := depositColumns+` WHERE collection = ? AND id < ?`, []any{string(c), int64(before)}
	if actor != "" {
		query, args = query+` AND actor = ?`, append(args, actor)
	}
	var all []Deposit
	err := forRows(r.reader(ctx), query+` ORDER BY id DESC LIMIT ?`, append(args, bounded(limit)), func(rows *sql.Rows) error {
		d, err := scanDeposit(rows)
		all = append(all, d)
		return err
	})
	return all, err
}

// ReceivedSince counts what came with the deposits that began since a moment, by the hour of their beginning, in hours since 1970.
func (r *Record) ReceivedSince(ctx context.Context, since time.Time) (map[int64]int64, error) {
	by := map[int64]int64{}
	first := ident.At(since) // rows are numbered by time
	err := forRows(r.reader(ctx), `SELECT started, received + admitted + held + conflict + released + restricted + refused FROM deposit WHERE id >= ? AND started >= ?`,
		[]any{first, db.Micros(since)}, func(rows *sql.Rows) error {
			var started, n int64
			err := rows.Scan(&started, &n)
			by[started/3_600_000_000] += n
			return err
		})
	return by, err
}

// Refusal is an item of a deposit that was not kept.
type Refusal struct {
	Ordinal int64
	Reason  Reason
	Refused time.Time
}

// Refusals lists what was refused of a deposit, by ordinal, after the ordinal given.
func (r *Record) Refusals(ctx context.Context, id DepositID, after int64, limit int) ([]Refusal, error) {
	var all []Refusal
	err := forRows(r.reader(ctx), `SELECT ordinal, code, place, reason, refused FROM refusal WHERE deposit = ? AND ordinal > ? ORDER BY ordinal, id LIMIT ?`,
		[]any{int64(id), after, bounded(limit)}, func(rows *sql.Rows) error {
			var f Refusal
			var at int64
			err := rows.Scan(&f.Ordinal, &f.Reason.Code, &f.Reason.Where, &f.Reason.Text, &at)
			f.Refused = db.Time(at)
			all = append(all, f)
			return err
		})
	return all, err
}

// DepositStudy is a study of which a deposit brought something, and where that stands now.
type DepositStudy struct {
	Collection collection.ID
	UID        StudyUID
	Counts     Counts // without what was refused
}

// maxDepositScan bounds how many instances are looked at for the studies of a deposit.
const maxDepositScan = 200_000

// DepositStudies lists the studies that a deposit brought something of, in the order in which they began to come. There is no index of deposits: numbers of rows grow with time, so it is
// enough to look at those that were made while the deposit ran. Of a very long one, studies at the end may be missing.
func (r *Record) DepositStudies(ctx context.Context, d Deposit, limit int) ([]DepositStudy, error) {
	until := time.Now().Add(time.Minute)
	if !d.Ended.IsZero() {
		until = d.Ended.Add(time.Minute) // what was acknowledged last is catalogued a moment later
	}
	var all []DepositStudy
	at := map[string]int{}
	err := forRows(r.reader(ctx), `SELECT s.collection, s.uid, x.state, COUNT(*) FROM (SELECT id, series, deposit, state FROM instance WHERE id >= ? AND id < ? ORDER BY id LIMIT ?) x
		JOIN series e ON e.id = x.series JOIN study s ON s.id = e.study WHERE x.deposit = ? GROUP BY s.id, s.collection, s.uid, x.state ORDER BY s.id, x.state`,
		[]any{ident.At(d.Started.Add(-time.Minute)), ident.At(until), int64(maxDepositScan), int64(d.ID)}, func(rows *sql.Rows) error {
			var x DepositStudy
			var state, n int64
			if err := rows.Scan(&x.Collection, &x.UID, &state, &n); err != nil {
				return err
			}
			k, ok := at[string(x.UID)]
			if !ok {
				if len(all) >= limit {
					return nil
				}
				k = len(all)
				at[string(x.UID)] = k
				all = append(all, x)
			}
			var t tally
			t[State(state)] = n
			c := counts(t, 0, 0)
			sum := &all[k].Counts
			sum.Received, sum.Pending, sum.Catalogued, sum.Held, sum.Released = sum.Received+c.Received, sum.Pending+c.Pending, sum.Catalogued+c.Catalogued, sum.Held+c.Held, sum.Released+c.Released
			sum.Restricted += c.Restricted
			return nil
		})
	return all, err
}

// SetCheckpoint notes that everything in the pack before an offset is in the catalogue. It belongs into the transaction of the AddBatch that makes it so.
func (r *Record) SetCheckpoint(tx *db.Tx, pack PackID, upTo int64) error {
	_, err := tx.Exec(`INSERT INTO checkpoint (pack, upto) VALUES (?, ?) ON CONFLICT (pack) DO UPDATE SET upto = excluded.upto WHERE checkpoint.upto < excluded.upto`, pack[:], upTo)
	return err
}

// Checkpoint is the offset in the pack from which on it has to be replayed; 0 for a pack that is not known.
func (r *Record) Checkpoint(ctx context.Context, pack PackID) (int64, error) {
	var upTo int64
	err := r.d.QueryRow(ctx, `SELECT upto FROM checkpoint WHERE pack = ?`, pack[:]).Scan(&upTo)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return upTo, err
}

// reader is the pool with a context.
func (r *Record) reader(ctx context.Context) querier {
	return func(query string, args ...any) (*sql.Rows, error) { return r.d.Query(ctx, query, args...) }
}

// MaxLimit bounds every list.
const MaxLimit = 10000

func bounded(limit int) int64 {
	if limit <= 0 || limit > MaxLimit {
		return MaxLimit
	}
	return int64(limit)
}
