package consent

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Basis is a legal basis that a collection has, or had.
type Basis struct {
	ID         int64
	Collection collection.ID
	judge.Basis
	// CameBefore: it covers those alone of whom something came before; zero: everybody.
	CameBefore time.Time
	Actor      string
	Created    time.Time
	Ended      time.Time // somebody has ended it; zero: nobody
	EndedBy    string
}

// Covers reports whether it is in force for who first came at a time.
func (b *Basis) Covers(came time.Time) bool {
	return b.Ended.IsZero() && (b.CameBefore.IsZero() || !came.IsZero() && came.Before(b.CameBefore))
}

// AddBasis adds a basis.
func (r *Record) AddBasis(tx *db.Tx, b Basis) (int64, error) {
	id, err := ident.New()
	if err != nil {
		return 0, err
	}
	attested := int64(0)
	if b.Attested {
		attested = 1
	}
	_, err = tx.Exec(`INSERT INTO consent_basis (id, collection, kind, reference, begins, ends, came_before, opt_out, attested, actor, created, ended, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')`,
		id, string(b.Collection), string(b.Kind), b.Reference, micros(b.From), micros(b.Until), micros(b.CameBefore), string(b.OptOut), attested, b.Actor, db.Micros(time.Now()))
	return id, err
}

// EndBasis ends a basis of a collection; a fault.NotFound if it has none of this number that is in force.
func (r *Record) EndBasis(tx *db.Tx, c collection.ID, id int64, actor string) error {
	res, err := tx.Exec(`UPDATE consent_basis SET ended = ?, ended_by = ? WHERE id = ? AND collection = ? AND ended = 0`, db.Micros(time.Now()), actor, id, string(c))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fault.New(fault.NotFound, "end a legal basis", "collection "+string(c), "it has no such basis that is in force")
}

// Bases lists the legal bases of a collection, ended ones too, with the latest check of the national data opt-out.
func (r *Record) Bases(ctx context.Context, c collection.ID) ([]Basis, error) {
	last, err := r.LastCheck(ctx, c)
	if err != nil {
		return nil, err
	}
	rows, err := r.d.Query(ctx, `SELECT id, collection, kind, reference, begins, ends, came_before, opt_out, attested, actor, created, ended, ended_by FROM consent_basis WHERE collection = ? ORDER BY created, id`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Basis
	for rows.Next() {
		var b Basis
		var from, until, before, attested, created, ended int64
		if err := rows.Scan(&b.ID, &b.Collection, &b.Kind, &b.Reference, &from, &until, &before, &b.OptOut, &attested, &b.Actor, &created, &ended, &b.EndedBy); err != nil {
			return nil, db.Fault("list legal bases", err)
		}
		b.From, b.Until, b.CameBefore, b.Created, b.Ended = moment(from), moment(until), moment(before), db.Time(created), moment(ended)
		b.Attested, b.OptOutChecked = attested != 0, last.Checked
		all = append(all, b)
	}
	return all, db.Fault("list legal bases", rows.Err())
}

// Withdrawal is that of a subject from use: nothing of it is served any more, and after a while nothing can be read any more.
type Withdrawal struct {
	ID         int64
	Collection collection.ID
	Subject    subject.ID
	Scope      judge.Scope
	Actor      string
	Created    time.Time
	EraseAfter time.Time // when the subject's key is to be destroyed
	Erased     time.Time // when it was; zero: it is not yet
	Studies    int64
	Instances  int64
}

// AddWithdrawal adds one. A subject withdraws from use once.
func (r *Record) AddWithdrawal(tx *db.Tx, w Withdrawal) (int64, error) {
	id, err := ident.New()
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO withdrawal (id, collection, subject, scope, actor, created, erase_after, erased, studies, instances) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
		id, string(w.Collection), int64(w.Subject), string(w.Scope), w.Actor, db.Micros(w.Created), micros(w.EraseAfter), w.Studies, w.Instances)
	return id, err
}

// SetErased notes that the subject's key is destroyed.
func (r *Record) SetErased(tx *db.Tx, id int64, at time.Time) error {
	_, err := tx.Exec(`UPDATE withdrawal SET erased = ? WHERE id = ? AND erased = 0`, db.Micros(at), id)
	return err
}

// Hasten has the subject's key destroyed at a moment that is earlier than the one that was set.
func (r *Record) Hasten(tx *db.Tx, id int64, at time.Time) error {
	_, err := tx.Exec(`UPDATE withdrawal SET erase_after = ? WHERE id = ? AND erase_after > ?`, db.Micros(at), id, db.Micros(at))
	return err
}

const withdrawalColumns = `SELECT id, collection, subject, scope, actor, created, erase_after, erased, studies, instances FROM withdrawal`

func scanWithdrawal(row interface{ Scan(...any) error }) (Withdrawal, error) {
	var w Withdrawal
	var created, after, erased int64
	err := row.Scan(&w.ID, &w.Collection, &w.Subject, &w.Scope, &w.Actor, &created, &after, &erased, &w.Studies, &w.Instances)
	w.Created, w.EraseAfter, w.Erased = moment(created), moment(after), moment(erased)
	return w, err
}

// Withdrawal is one; fault.NotFound if there is none.
func (r *Record) Withdrawal(ctx context.Context, id int64) (Withdrawal, error) {
	return foundWithdrawal(scanWithdrawal(r.d.QueryRow(ctx, withdrawalColumns+` WHERE id = ?`, id)))
}

// WithdrawalOf is that of a subject; fault.NotFound if they have not withdrawn.
func (r *Record) WithdrawalOf(ctx context.Context, id subject.ID) (Withdrawal, error) {
	return foundWithdrawal(scanWithdrawal(r.d.QueryRow(ctx, withdrawalColumns+` WHERE subject = ? ORDER BY id LIMIT 1`, int64(id))))
}

func foundWithdrawal(w Withdrawal, err error) (Withdrawal, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return w, fault.New(fault.NotFound, "find withdrawal", "", "there is no such withdrawal")
	}
	return w, err
}

// Withdrawals lists those of a collection, the latest first; at most limit.
func (r *Record) Withdrawals(ctx context.Context, c collection.ID, limit int) ([]Withdrawal, error) {
	rows, err := r.d.Query(ctx, withdrawalColumns+` WHERE collection = ? ORDER BY created DESC, id DESC LIMIT ?`, string(c), int64(limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Withdrawal
	for rows.Next() {
		w, err := scanWithdrawal(rows)
		if err != nil {
			return nil, db.Fault("list withdrawals", err)
		}
		all = append(all, w)
	}
	return all, db.Fault("list withdrawals", rows.Err())
}
