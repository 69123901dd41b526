package access

import (
	"context"
	"encoding/json"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Capability is how far a use goes; each includes those before. The numbers are stored.
type Capability = access.Capability

// The capabilities.
const (
	Count    = access.Count
	Preview  = access.Preview
	View     = access.View
	Analyse  = access.Analyse
	Download = access.Download
)

// Capabilities lists them, the least first.
func Capabilities() []Capability { return []Capability{Count, Preview, View, Analyse, Download} }

// ParseCapability reads a name.
func ParseCapability(s string) (Capability, error) {
	for _, c := range Capabilities() {
		if c.String() == s {
			return c, nil
		}
	}
	return 0, fault.New(fault.Invalid, "read capability", "", "a capability is count, preview, view, analyse or download")
}

// Standing is the stored state of an entitlement. The numbers are stored.
type Standing int64

// The standings.
const (
	Active    Standing = 1
	Suspended Standing = 2
	Revoked   Standing = 3
)

// Change is what happened to an entitlement. The numbers are stored.
type Change int64

// The changes.
const (
	Granted   Change = 1
	Suspend   Change = 2
	Resume    Change = 3
	Revoke    Change = 4
	lastEvent        = Revoke
)

var changeNames = [...]string{"", "granted", "suspended", "resumed", "revoked"}

func (c Change) String() string {
	if c < Granted || c > lastEvent {
		return "unknown"
	}
	return changeNames[c]
}

var changes = map[Standing]map[Change]Standing{
	Active:    {Suspend: Suspended, Revoke: Revoked},
	Suspended: {Resume: Active, Revoke: Revoked},
}

// Public is what the register of uses says of an entitlement.
type Public struct {
	Organisation string `json:"organisation"`
	ROR          string `json:"ror,omitempty"`
	Title        string `json:"title"`
	Summary      string `json:"summary"`
	Name         string `json:"name,omitempty"` // of the applicant, who wanted it there
}

// Entitlement is one permission.
type Entitlement struct {
	ID         ID
	Account    string
	Collection collection.ID
	Dataset    string // empty: every dataset of the collection
	Versions   string
	Capability Capability
	Request    ID
	Item       int64
	Agreement  ID
	NotBefore  time.Time // from the first second on
	Expires    time.Time // and not at this one any more
	Standing   Standing
	Changed    time.Time
	Conditions []byte // sealed; nil: none
	Public     Public

	// Of its agreement, as it is now.
	AgreementState   AgreementState
	AgreementFrom    time.Time
	AgreementExpires time.Time
}

// At says how it is at a moment: active, waiting (for its period or its agreement's), suspended, revoked or expired.
func (e Entitlement) At(now time.Time) string {
	switch {
	case e.Standing == Revoked || e.AgreementState != Executed:
		return "revoked"
	case !now.Before(e.Expires) || !now.Before(e.AgreementExpires):
		return "expired"
	case e.Standing == Suspended:
		return "suspended"
	case e.Standing == Active && !now.Before(e.NotBefore) && !now.Before(e.AgreementFrom):
		return "active"
	}
	return "waiting"
}

// Covers reports whether it is for a dataset at a version; an empty dataset is the whole collection.
func (e Entitlement) Covers(c collection.ID, dataset, version string) bool {
	if e.Collection != c {
		return false
	}
	if e.Dataset != "" && e.Dataset != dataset {
		return false
	}
	return access.Covers(e.Versions, version)
}

// Grant adds an entitlement; a fault.Conflict where its item has one for that time, or had one that was revoked. That its item is approved and its agreement executed is looked at here too: whoever calls may have looked too long ago.
func (r *Record) Grant(tx *db.Tx, e Entitlement, by string, at time.Time) error {
	if err := r.Lock(tx, e.Request); err != nil {
		return err
	}
	var before int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM access_entitlement WHERE request = ? AND item = ? AND (state = 3 OR exp > ?)`, int64(e.Request), e.Item, db.Micros(e.NotBefore)).Scan(&before); err != nil {
		return err
	}
	if before > 0 {
		return fault.New(fault.Conflict, "grant entitlement", "request "+e.Request.String(), "it has one for that time, or had one that was revoked")
	}
	i, err := scanItem(tx.QueryRow(itemColumns+` WHERE request = ? AND n = ?`, int64(e.Request), e.Item))
	if err != nil {
		return gone(err, "request")
	}
	a, err := scanAgreement(tx.QueryRow(agreementColumns+` WHERE id = ?`, int64(e.Agreement)))
	if err != nil {
		return gone(err, "agreement")
	}
	if i.State != Approved || a.At(at) != Executed || i.Collection != e.Collection || a.Collection != e.Collection || e.NotBefore.Before(a.Effective) || e.Expires.After(a.Expires) || !e.NotBefore.Before(e.Expires) {
		return fault.New(fault.Conflict, "grant entitlement", "request "+e.Request.String(), "it is not approved, or its agreement is not executed for that time")
	}
	public, err := json.Marshal(e.Public)
	if err != nil {
		return fault.Wrap(fault.Internal, "grant entitlement", "", err)
	}
	_, err = tx.Exec(`INSERT INTO access_entitlement (id, account, collection, dataset, versions, capability, request, item, agreement, nbf, exp, state, changed, conditions, public) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		int64(e.ID), e.Account, string(e.Collection), e.Dataset, e.Versions, int64(e.Capability), int64(e.Request), e.Item, int64(e.Agreement), db.Micros(e.NotBefore), db.Micros(e.Expires), int64(Active), db.Micros(at), blob(e.Conditions), string(public))
	if err != nil {
		return err
	}
	return insertChange(tx, e.ID, History{Seq: 1, Kind: Granted, Actor: by, At: at})
}

// History is one change of an entitlement.
type History struct {
	Seq   int64
	Kind  Change
	Actor string
	At    time.Time
	Body  []byte // sealed; nil: nothing
}

func insertChange(tx *db.Tx, id ID, h History) error {
	_, err := tx.Exec(`INSERT INTO access_entitlement_event (entitlement, seq, kind, actor, at, body) VALUES (?, ?, ?, ?, ?, ?)`, int64(id), h.Seq, int64(h.Kind), h.Actor, db.Micros(h.At), blob(h.Body))
	return err
}

// NextChange is the number of the change that comes next: why is sealed to it.
func (r *Record) NextChange(ctx context.Context, id ID) (n int64, err error) {
	err = r.d.QueryRow(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM access_entitlement_event WHERE entitlement = ?`, int64(id)).Scan(&n)
	return n, err
}

// Alter suspends, resumes or revokes; a fault.Conflict where it cannot any more.
func (r *Record) Alter(tx *db.Tx, id ID, h History) error {
	if err := tx.Lock("access entitlement " + id.String()); err != nil {
		return err
	}
	var state Standing
	var next int64
	if err := tx.QueryRow(`SELECT state FROM access_entitlement WHERE id = ?`, int64(id)).Scan(&state); err != nil {
		return gone(err, "entitlement")
	}
	if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM access_entitlement_event WHERE entitlement = ?`, int64(id)).Scan(&next); err != nil {
		return err
	}
	to, ok := changes[state][h.Kind]
	if !ok || next != h.Seq {
		return fault.New(fault.Conflict, "change entitlement", "entitlement "+id.String(), "it was changed meanwhile; look at it again")
	}
	if _, err := tx.Exec(`UPDATE access_entitlement SET state = ?, changed = ? WHERE id = ?`, int64(to), db.Micros(h.At), int64(id)); err != nil {
		return err
	}
	return insertChange(tx, id, h)
}

// History is every change of an entitlement, in order.
func (r *Record) History(ctx context.Context, id ID) ([]History, error) {
	return rows(ctx, r, "read entitlement", func(row interface{ Scan(...any) error }) (h History, err error) {
		var at int64
		err = row.Scan(&h.Seq, &h.Kind, &h.Actor, &at, &h.Body)
		h.At = db.Time(at)
		return h, err
	}, `SELECT seq, kind, actor, at, body FROM access_entitlement_event WHERE entitlement = ? ORDER BY seq`, int64(id))
}

const entitlementColumns = `SELECT e.id, e.account, e.collection, e.dataset, e.versions, e.capability, e.request, e.item, e.agreement, e.nbf, e.exp, e.state, e.changed, e.conditions, e.public, a.state, a.effective, a.expires
	FROM access_entitlement e JOIN access_agreement a ON a.id = e.agreement`

func scanEntitlement(row interface{ Scan(...any) error }) (e Entitlement, err error) {
	var nbf, exp, changed, from, until int64
	var public string
	if err := row.Scan(&e.ID, &e.Account, &e.Collection, &e.Dataset, &e.Versions, &e.Capability, &e.Request, &e.Item, &e.Agreement, &nbf, &exp, &e.Standing, &changed, &e.Conditions, &public, &e.AgreementState, &from, &until); err != nil {
		return e, err
	}
	e.NotBefore, e.Expires, e.Changed, e.AgreementFrom, e.AgreementExpires = db.Time(nbf), db.Time(exp), db.Time(changed), db.Time(from), db.Time(until)
	if err := json.Unmarshal([]byte(public), &e.Public); err != nil {
		return e, fault.New(fault.Corrupt, "read entitlement", "entitlement "+e.ID.String(), "what it says in public has another form")
	}
	return e, nil
}

// Entitlement is one; a fault.NotFound if there is none.
func (r *Record) Entitlement(ctx context.Context, id ID) (Entitlement, error) {
	e, err := scanEntitlement(r.d.QueryRow(ctx, entitlementColumns+` WHERE e.id = ?`, int64(id)))
	return e, gone(err, "entitlement")
}

// EntitlementsOf are those that somebody has or had, the latest first.
func (r *Record) EntitlementsOf(ctx context.Context, account string) ([]Entitlement, error) {
	return rows(ctx, r, "list entitlements", scanEntitlement, entitlementColumns+` WHERE e.account = ? ORDER BY e.nbf DESC, e.id DESC`, account)
}

// EntitlementsBy are those that came of a request.
func (r *Record) EntitlementsBy(ctx context.Context, request ID) ([]Entitlement, error) {
	return rows(ctx, r, "list entitlements", scanEntitlement, entitlementColumns+` WHERE e.request = ? ORDER BY e.item, e.nbf, e.id`, int64(request))
}

// EntitlementsUnder are those that stand on an agreement.
func (r *Record) EntitlementsUnder(ctx context.Context, agreement ID) ([]Entitlement, error) {
	return rows(ctx, r, "list entitlements", scanEntitlement, entitlementColumns+` WHERE e.agreement = ? ORDER BY e.id`, int64(agreement))
}

// EntitlementsIn are those of collections, the latest first.
func (r *Record) EntitlementsIn(ctx context.Context, w Wards, limit, offset int) ([]Entitlement, error) {
	where, args := w.where("e.collection")
	return rows(ctx, r, "list entitlements", scanEntitlement, entitlementColumns+` WHERE `+where+` ORDER BY e.nbf DESC, e.id DESC LIMIT ? OFFSET ?`, append(args, int64(limit), int64(offset))...)
}

// Effective are the entitlements of an account for a collection that hold at a moment, those that permit most first.
func (r *Record) Effective(ctx context.Context, account string, c collection.ID, now time.Time) ([]Entitlement, error) {
	at := db.Micros(now)
	return rows(ctx, r, "find entitlement", scanEntitlement, entitlementColumns+` WHERE e.account = ? AND e.collection = ? AND e.state = 1 AND e.nbf <= ? AND e.exp > ? AND a.state = 4 AND a.effective <= ? AND a.expires > ? ORDER BY e.capability DESC, e.exp DESC, e.id`,
		account, string(c), at, at, at, at)
}

// Ending are the active entitlements that end after now and by a moment.
func (r *Record) Ending(ctx context.Context, now, by time.Time) ([]Entitlement, error) {
	return rows(ctx, r, "list entitlements", scanEntitlement, entitlementColumns+` WHERE e.state = 1 AND a.state = 4 AND e.exp > ? AND e.exp <= ? ORDER BY e.exp, e.id`, db.Micros(now), db.Micros(by))
}

// BegunBy are the entitlements that began by a moment and were not revoked before they did: what the register tells of. The latest first.
func (r *Record) BegunBy(ctx context.Context, c collection.ID, now time.Time, limit, offset int) ([]Entitlement, error) {
	where, args := ``, []any{db.Micros(now)}
	if c != "" {
		where, args = ` AND e.collection = ?`, append(args, string(c))
	}
	return rows(ctx, r, "list uses", scanEntitlement, entitlementColumns+` WHERE e.nbf <= ? AND NOT (e.state = 3 AND e.changed <= e.nbf)`+where+` ORDER BY e.nbf DESC, e.id DESC LIMIT ? OFFSET ?`, append(args, int64(limit), int64(offset))...)
}
