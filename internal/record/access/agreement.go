package access

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Scope is what an agreement covers. The numbers are stored.
type Scope int64

// The scopes.
const (
	ForProject      Scope = 1 // one request
	ForOrganisation Scope = 2 // every request of the organisation for the collection
)

func (s Scope) String() string {
	if s == ForOrganisation {
		return "organisation"
	}
	return "project"
}

// AgreementState is where an agreement stands. The numbers are stored, but for AgreementExpired.
type AgreementState int64

// The states.
const (
	AgreementDraft      AgreementState = 1 // sent back
	AwaitingSign        AgreementState = 3 // waits for the custodian, who checks it
	Executed            AgreementState = 4
	AgreementExpired    AgreementState = 5 // computed
	AgreementTerminated AgreementState = 6
)

var agreementNames = map[AgreementState]string{AgreementDraft: "draft", AwaitingSign: "awaiting_sign", Executed: "executed", AgreementExpired: "expired", AgreementTerminated: "terminated"}

func (s AgreementState) String() string {
	if n, ok := agreementNames[s]; ok {
		return n
	}
	return "unknown"
}

// agreementMoves are the ways that an agreement goes.
var agreementMoves = map[AgreementState][]AgreementState{
	AwaitingSign: {Executed, AgreementDraft, AgreementTerminated},
	Executed:     {AgreementTerminated},
}

// Agreement is one signed document, without its bytes.
type Agreement struct {
	ID         ID
	Request    ID // under which it came
	Collection collection.ID
	Scope      Scope
	Template   string // and its version; empty: a text of one's own
	Terms      []byte // sealed
	Commercial bool
	Effective  time.Time // in force from the first second on
	Expires    time.Time // and not at this one any more
	State      AgreementState
	Digest     [sha256.Size]byte
	Size       int64
	UploadedBy string
	Uploaded   time.Time
	CheckedBy  string
	Checked    time.Time
}

// At is the state at a moment.
func (a Agreement) At(now time.Time) AgreementState {
	if a.State == Executed && !now.Before(a.Expires) {
		return AgreementExpired
	}
	return a.State
}

// InForce reports an executed agreement within its dates.
func (a Agreement) InForce(now time.Time) bool {
	return a.State == Executed && !now.Before(a.Effective) && now.Before(a.Expires)
}

// AddAgreement keeps a document, sealed, which waits to be checked.
func (r *Record) AddAgreement(tx *db.Tx, a Agreement, document []byte) error {
	_, err := tx.Exec(`INSERT INTO access_agreement (id, request, collection, scope, template, terms, commercial, effective, expires, state, digest, size, uploaded_by, uploaded, checked_by, checked)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0)`, int64(a.ID), int64(a.Request), string(a.Collection), int64(a.Scope), a.Template, a.Terms, truth(a.Commercial), db.Micros(a.Effective), db.Micros(a.Expires),
		int64(AwaitingSign), a.Digest[:], a.Size, a.UploadedBy, db.Micros(a.Uploaded))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO access_document (agreement, body) VALUES (?, ?)`, int64(a.ID), document)
	return err
}

// MoveAgreement brings an agreement into a state, with the terms as they are sealed then; a fault.Conflict where it does not go that way any more.
func (r *Record) MoveAgreement(tx *db.Tx, id ID, to AgreementState, by string, at time.Time, terms []byte) error {
	if err := tx.Lock("access agreement " + id.String()); err != nil {
		return err
	}
	a, err := scanAgreement(tx.QueryRow(agreementColumns+` WHERE id = ?`, int64(id)))
	if err != nil {
		return gone(err, "agreement")
	}
	for _, next := range agreementMoves[a.At(at)] {
		if next == to {
			_, err := tx.Exec(`UPDATE access_agreement SET state = ?, checked_by = ?, checked = ?, terms = ? WHERE id = ?`, int64(to), by, db.Micros(at), terms, int64(id))
			return err
		}
	}
	return fault.New(fault.Conflict, "change agreement", "agreement "+id.String(), "it is "+a.At(at).String()+" by now; look at it again")
}

const agreementColumns = `SELECT id, request, collection, scope, template, terms, commercial, effective, expires, state, digest, size, uploaded_by, uploaded, checked_by, checked FROM access_agreement`

func scanAgreement(row interface{ Scan(...any) error }) (a Agreement, err error) {
	var digest []byte
	var commercial, effective, expires, uploaded, checked int64
	if err := row.Scan(&a.ID, &a.Request, &a.Collection, &a.Scope, &a.Template, &a.Terms, &commercial, &effective, &expires, &a.State, &digest, &a.Size, &a.UploadedBy, &uploaded, &a.CheckedBy, &checked); err != nil {
		return a, err
	}
	if copy(a.Digest[:], digest) != len(a.Digest) {
		return a, fault.New(fault.Corrupt, "read agreement", "agreement "+a.ID.String(), "its digest has another length")
	}
	a.Commercial, a.Effective, a.Expires, a.Uploaded, a.Checked = commercial == 1, db.Time(effective), db.Time(expires), db.Time(uploaded), moment(checked)
	return a, nil
}

// Agreement is one; a fault.NotFound if there is none.
func (r *Record) Agreement(ctx context.Context, id ID) (Agreement, error) {
	a, err := scanAgreement(r.d.QueryRow(ctx, agreementColumns+` WHERE id = ?`, int64(id)))
	return a, gone(err, "agreement")
}

// Document is the sealed document of an agreement.
func (r *Record) Document(ctx context.Context, id ID) (sealed []byte, err error) {
	err = r.d.QueryRow(ctx, `SELECT body FROM access_document WHERE agreement = ?`, int64(id)).Scan(&sealed)
	return sealed, gone(err, "agreement")
}

// AgreementsOf are those that came under a request, in order.
func (r *Record) AgreementsOf(ctx context.Context, request ID) ([]Agreement, error) {
	return rows(ctx, r, "list agreements", scanAgreement, agreementColumns+` WHERE request = ? ORDER BY uploaded, id`, int64(request))
}

// AgreementsIn are those of collections, what waits to be checked first.
func (r *Record) AgreementsIn(ctx context.Context, w Wards, limit, offset int) ([]Agreement, error) {
	where, args := w.where("collection")
	return rows(ctx, r, "list agreements", scanAgreement, agreementColumns+` WHERE `+where+` ORDER BY CASE WHEN state = 3 THEN 0 ELSE 1 END, uploaded DESC, id LIMIT ? OFFSET ?`, append(args, int64(limit), int64(offset))...)
}

// WideIn are the executed agreements of organisations for a collection.
func (r *Record) WideIn(ctx context.Context, c collection.ID) ([]Agreement, error) {
	return rows(ctx, r, "list agreements", scanAgreement, agreementColumns+` WHERE collection = ? AND scope = ? AND state = ? ORDER BY expires DESC, id`, string(c), int64(ForOrganisation), int64(Executed))
}

// AwaitingIn counts the agreements of collections that wait to be checked.
func (r *Record) AwaitingIn(ctx context.Context, w Wards) (n int64, err error) {
	if w.None() {
		return 0, nil
	}
	where, args := w.where("collection")
	err = r.d.QueryRow(ctx, `SELECT COUNT(*) FROM access_agreement WHERE state = 3 AND `+where, args...).Scan(&n)
	return n, err
}
