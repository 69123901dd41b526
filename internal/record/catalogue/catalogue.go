// Package catalogue is the record of what is kept: deposits, studies, series and instances, where each lies in the packs, in which state it is, and
// everything that QIDO-RS and WADO-RS ask (PS3.18 10.6, 10.4). docs/formats/catalogue.md says what each table means.
//
// It promises:
//   - Adding is idempotent: a batch that is replayed after a crash changes nothing.
//   - The same bytes again are harmless; other bytes under a known SOP Instance UID become a conflict, never a replacement.
//   - What a caller may not see is not read: the scopes that policy gives are part of every search's SQL.
//   - Text of an object that is held is not in any table, because it was not proven clean: a study or series shows the attributes of objects that
//     passed the gate alone.
//   - Counts are right in the transaction that changes them.
//   - The same study UID in two collections is two studies.
//
// Whoever changes something passes the transaction in which the audit entry is written too.
//
// It does not read packs, does not decide who may see what, and computes no count that is fit for publication: small numbers are shown as they are.
package catalogue

import (
	"context"
	"embed"
	"io/fs"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
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
	if err := d.Migrate(ctx, "catalogue", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// State is policy's: what is stored is what is judged.
type State = policy.State

// UIDs as they are kept: cleaned, or attested. The kinds cannot be taken for one another.
type (
	StudyUID  string
	SeriesUID string
	SOPUID    string
)

// ParseUID accepts 1 to 64 letters, digits, dots and hyphens. The standard allows digits and dots alone (PS3.5 9.1); collections that keep what is
// deposited as it is meet others.
func ParseUID[U StudyUID | SeriesUID | SOPUID](s string) (U, error) {
	s = strings.TrimRight(s, " \x00")
	ok := len(s) >= 1 && len(s) <= 64
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	if !ok {
		return "", fault.New(fault.Invalid, "read UID", "", "a UID is 1 to 64 digits and dots")
	}
	return U(s), nil
}

// The numbers of rows.
type (
	StudyID    int64
	SeriesID   int64
	InstanceID int64
	DepositID  int64
)

func (id DepositID) String() string  { return strconv.FormatInt(int64(id), 10) }
func (id InstanceID) String() string { return strconv.FormatInt(int64(id), 10) }

// ParseDepositID reads what DepositID.String wrote.
func ParseDepositID(s string) (DepositID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.Invalid, "read deposit id", "", "it is not a number of a deposit")
	}
	return DepositID(n), nil
}

// PackID names a pack.
type PackID [16]byte

// Ref is where a record lies.
type Ref struct {
	Pack   PackID
	Offset int64
}

// Reason says why an object is held or refused: a code for machines, a place (tag path or region), and a sentence. Never a value.
type Reason struct {
	Code  string `json:"code"`
	Where string `json:"where,omitempty"`
	Text  string `json:"text,omitempty"`
}

// tally counts objects by state.
type tally [8]int64

const (
	received  = policy.Received
	admitted  = policy.Admitted
	held      = policy.Held
	conflict  = policy.Conflict
	released  = policy.Released
	withdrawn = policy.Withdrawn

	restricted = policy.Restricted
)

// tallyColumns are the counting columns of study, series, deposit and intake, in the order of the states.
const tallyColumns = `received, admitted, conflict, held, released, withdrawn, restricted`

func (t *tally) args() []any {
	return []any{t[received], t[admitted], t[conflict], t[held], t[released], t[withdrawn], t[restricted]}
}

func (t *tally) dest() []any {
	return []any{&t[received], &t[admitted], &t[conflict], &t[held], &t[released], &t[withdrawn], &t[restricted]}
}

// visible reports a state in which an object is found by searches at all, if policy agrees.
func visible(s State) bool { return s == received || s == admitted || s == released }

// lock makes the writers of a collection follow one another, so that what is read before writing stays true.
func lock(tx *db.Tx, c collection.ID) error { return tx.Lock("catalogue " + string(c)) }

// Lock makes a transaction of another record follow the writers of a collection: what it reads of who has withdrawn stays true until it ends.
func Lock(tx *db.Tx, c collection.ID) error { return lock(tx, c) }
