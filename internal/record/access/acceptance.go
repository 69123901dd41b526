package access

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Acceptance says that somebody has accepted an agreement by name.
type Acceptance struct {
	Account string
	At      time.Time
}

// Accept notes that somebody accepts an executed agreement; a fault.Conflict where it is not in force any more. The first time counts.
func (r *Record) Accept(tx *db.Tx, id ID, account string, at time.Time) error {
	if err := tx.Lock("access agreement " + id.String()); err != nil {
		return err
	}
	a, err := scanAgreement(tx.QueryRow(agreementColumns+` WHERE id = ?`, int64(id)))
	if err != nil {
		return gone(err, "agreement")
	}
	if s := a.At(at); s != Executed {
		return fault.New(fault.Conflict, "accept agreement", "agreement "+id.String(), "it is "+s.String()+": what is signed by all and in date can be accepted")
	}
	_, err = tx.Exec(`INSERT INTO access_acceptance (agreement, account, accepted) VALUES (?, ?, ?) ON CONFLICT (agreement, account) DO NOTHING`, int64(id), account, db.Micros(at))
	return err
}

// Accepted is when somebody accepted an agreement; zero: they have not.
func (r *Record) Accepted(ctx context.Context, id ID, account string) (time.Time, error) {
	var at int64
	err := r.d.QueryRow(ctx, `SELECT accepted FROM access_acceptance WHERE agreement = ? AND account = ?`, int64(id), account).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return moment(at), db.Fault("read agreement", err)
}

// Acceptances are those of an agreement, in order.
func (r *Record) Acceptances(ctx context.Context, id ID) ([]Acceptance, error) {
	return rows(ctx, r, "read agreement", func(row interface{ Scan(...any) error }) (a Acceptance, err error) {
		var at int64
		err = row.Scan(&a.Account, &at)
		a.At = moment(at)
		return a, err
	}, `SELECT account, accepted FROM access_acceptance WHERE agreement = ? ORDER BY accepted, account`, int64(id))
}
