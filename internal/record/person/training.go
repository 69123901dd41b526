package person

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Evidence is by what a training is known. The numbers are stored.
type Evidence int64

// The kinds of evidence.
const (
	ByCourse Evidence = 1 // the node's own course was passed
	BySight  Evidence = 2 // somebody has seen its certificate
)

func (e Evidence) String() string {
	if e == BySight {
		return "certificate seen"
	}
	return "course"
}

// Training is one that somebody has completed.
type Training struct {
	Account   string
	Name      string
	Completed time.Time
	Expires   time.Time // not at this moment any more
	Evidence  Evidence
	SeenBy    string // an account; of the course empty
}

// AddTraining notes a training. The same one of the same moment is noted once.
func (r *Record) AddTraining(tx *db.Tx, t Training) error {
	t.Name = strings.Join(strings.Fields(t.Name), " ")
	switch {
	case t.Name == "" || utf8.RuneCountInString(t.Name) > 200 || !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, unicode.IsControl):
		return fault.New(fault.Invalid, "note training", "", "its name is 1 to 200 characters long")
	case t.Completed.IsZero() || !t.Completed.Before(t.Expires):
		return fault.New(fault.Invalid, "note training", "", "it ends after it was completed")
	}
	_, err := tx.Exec(`INSERT INTO person_training (account, name, completed, expires, evidence, seen_by) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, name, completed) DO NOTHING`,
		t.Account, t.Name, db.Micros(t.Completed), db.Micros(t.Expires), int64(t.Evidence), t.SeenBy)
	return err
}

// Trainings are somebody's, the one that lasts longest first.
func (r *Record) Trainings(ctx context.Context, account string) ([]Training, error) {
	rows, err := r.d.Query(ctx, `SELECT account, name, completed, expires, evidence, seen_by FROM person_training WHERE account = ? ORDER BY expires DESC, completed DESC, name`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Training
	for rows.Next() {
		var t Training
		var completed, expires int64
		if err := rows.Scan(&t.Account, &t.Name, &completed, &expires, &t.Evidence, &t.SeenBy); err != nil {
			return nil, db.Fault("list trainings", err)
		}
		t.Completed, t.Expires = moment(completed), moment(expires)
		all = append(all, t)
	}
	return all, db.Fault("list trainings", rows.Err())
}

// Sitting is an examination that somebody has begun.
type Sitting struct {
	Asked  []int     // the questions, by their numbers; none: nothing is begun
	Begun  time.Time // zero: nothing is
	Failed time.Time // when they failed last; zero: never
}

// Sitting is somebody's.
func (r *Record) Sitting(ctx context.Context, account string) (Sitting, error) {
	return sitting(r.d.QueryRow(ctx, sittingColumns, account))
}

const sittingColumns = `SELECT asked, begun, failed FROM person_sitting WHERE account = ?`

func sitting(row interface{ Scan(...any) error }) (s Sitting, err error) {
	var asked string
	var begun, failed int64
	err = row.Scan(&asked, &begun, &failed)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, db.Fault("read examination", err)
	}
	for n := range strings.SplitSeq(asked, " ") {
		if n == "" {
			continue
		}
		i, err := strconv.Atoi(n)
		if err != nil {
			return s, fault.New(fault.Corrupt, "read examination", "", "its questions are no numbers")
		}
		s.Asked = append(s.Asked, i)
	}
	s.Begun, s.Failed = moment(begun), moment(failed)
	return s, nil
}

// Sit changes somebody's sitting, as do has it; what do returns an error for stays as it is.
func (r *Record) Sit(tx *db.Tx, account string, do func(Sitting) (Sitting, error)) error {
	if err := tx.Lock("person " + account); err != nil {
		return err
	}
	s, err := sitting(tx.QueryRow(sittingColumns, account))
	if err != nil {
		return err
	}
	if s, err = do(s); err != nil {
		return err
	}
	var asked []string
	for _, n := range s.Asked {
		asked = append(asked, strconv.Itoa(n))
	}
	_, err = tx.Exec(`INSERT INTO person_sitting (account, asked, begun, failed) VALUES (?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET asked = excluded.asked, begun = excluded.begun, failed = excluded.failed`,
		account, strings.Join(asked, " "), micros(s.Begun), micros(s.Failed))
	return err
}
