// Package collection is the record of collections: what each is called, by which profile it is cleaned, and how it is reached.
//
// It is a record of its own because subjects, the catalogue and identity all point at collections, and none of them owns them.
//
// It promises: an id and a called AE title belong to one collection; a collection that keeps its images as deposited carries the name of whoever
// attested that they are de-identified already; a fresh node has the collection "default", called VITRINE. Whoever changes something passes the
// transaction in which the audit entry is written too. Reads by id and by AE title may be a second old.
//
// It keeps the files of profiles, does not know what they do, and does not decide who may change them.
package collection

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/recent"
)

//go:embed migrations
var migrations embed.FS

// AsDeposited is the profile that changes nothing; it asks for an attestation.
const AsDeposited = "as-deposited"

// The collection of a fresh node.
const (
	Default        ID      = "default"
	DefaultAETitle AETitle = "VITRINE"
	DefaultProfile         = "research"
)

// ID names a collection in addresses, tables and grants.
type ID string

// ParseID accepts 1 to 63 lower-case letters, digits and hyphens that begin and end with a letter or digit.
func ParseID(s string) (ID, error) {
	ok := len(s) >= 1 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] == '-' || s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z'
	}
	if !ok {
		return "", fault.New(fault.Invalid, "read collection id", "", "an id is 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit")
	}
	return ID(s), nil
}

// AETitle is the name of a DICOM application, without the spaces that pad it (PS3.5 6.2, AE; PS3.8 9.3.2).
type AETitle string

// ParseAETitle trims the padding and accepts 1 to 16 printable ASCII characters but the backslash.
func ParseAETitle(s string) (AETitle, error) {
	s = strings.Trim(s, " \x00")
	ok := len(s) >= 1 && len(s) <= 16
	for i := 0; ok && i < len(s); i++ {
		ok = s[i] >= ' ' && s[i] <= '~' && s[i] != '\\'
	}
	if !ok {
		return "", fault.New(fault.Invalid, "read AE title", "", "an AE title is 1 to 16 printable ASCII characters without a backslash")
	}
	return AETitle(s), nil
}

// State is whether a collection takes deposits. The numbers are stored.
type State int64

// The states.
const (
	Open   State = 1
	Closed State = 2
)

func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Collection is one row.
type Collection struct {
	ID             ID
	Title          string
	Profile        string  // its name
	ProfileVersion string  // of the profile's rules, as the caller counts them
	ProfileDigest  string  // SHA-256 of the file of its own rules, in hexadecimal digits; empty: it has none
	AETitle        AETitle // called AE title; empty: not reached by DICOM
	Protocol       string  // name; may be empty
	State          State
	AttestedBy     string    // who attested that what is deposited is de-identified already: an actor's id
	Attested       time.Time // zero: nobody
	Created        time.Time

	NoReidentification bool // who its subjects are is not kept: nobody can be told. It never changes

	NoAutomaticAcceptance bool // what is held for what its pixels may show waits for a person, whatever a reading of them finds
}

// Record is the open record.
type Record struct {
	d    *db.DB
	byID recent.Cache[ID, Collection]
	byAE recent.Cache[AETitle, Collection]

	profiles sync.Map // *deid.Profile by collection and digest
}

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "collection", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// EnsureDefault makes the collection of a fresh node: where no collection exists. It reports whether it did.
func (r *Record) EnsureDefault(tx *db.Tx, profileVersion string) (bool, error) {
	if err := tx.Lock("collection default"); err != nil {
		return false, err
	}
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM collection`).Scan(&n); err != nil || n > 0 {
		return false, err
	}
	err := r.Create(tx, Collection{ID: Default, Title: "Default collection", Profile: DefaultProfile, ProfileVersion: profileVersion, AETitle: DefaultAETitle})
	return err == nil, err
}

// Create adds a collection. State and Created are set here; so is Attested, where AttestedBy is given.
func (r *Record) Create(tx *db.Tx, c Collection) error {
	attempt, on := "create collection", "collection "+string(c.ID)
	c.Created, c.State = time.Now(), Open
	if err := c.check(attempt); err != nil {
		return err
	}
	if err := r.free(tx, attempt, c); err != nil {
		return err
	}
	var taken int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM collection WHERE id = ?`, string(c.ID)).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return fault.New(fault.Conflict, attempt, on, "the id is taken")
	}
	_, err := tx.Exec(`INSERT INTO collection (id, title, profile, profile_version, ae_title, protocol, state, attested_by, attested, created, no_reidentification, no_automatic_acceptance)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(c.ID), c.Title, c.Profile, c.ProfileVersion, nullable(c.AETitle), c.Protocol, int64(c.State), c.AttestedBy,
		attested(c), db.Micros(c.Created), one(c.NoReidentification), one(c.NoAutomaticAcceptance))
	return err
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Update replaces the title, AE title, protocol, state, attestation and way of acceptance of a collection. Its profile is changed by [Record.PutProfile] alone.
func (r *Record) Update(tx *db.Tx, c Collection) error {
	attempt, on := "change collection", "collection "+string(c.ID)
	if err := c.check(attempt); err != nil {
		return err
	}
	if err := r.free(tx, attempt, c); err != nil {
		return err
	}
	res, err := tx.Exec(`UPDATE collection SET title = ?, ae_title = ?, protocol = ?, state = ?, attested_by = ?, attested = ?, no_automatic_acceptance = ? WHERE id = ?`,
		c.Title, nullable(c.AETitle), c.Protocol, int64(c.State), c.AttestedBy, attested(c), one(c.NoAutomaticAcceptance), string(c.ID))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.NotFound, attempt, on, "there is no such collection"))
	}
	return nil
}

func (c *Collection) check(attempt string) error {
	on := "collection " + string(c.ID)
	if _, err := ParseID(string(c.ID)); err != nil {
		return err
	}
	if c.AETitle != "" {
		if ae, err := ParseAETitle(string(c.AETitle)); err != nil {
			return err
		} else if ae != c.AETitle {
			return fault.New(fault.Invalid, attempt, on, "the AE title is padded")
		}
	}
	switch {
	case len(c.Title) > 200 || !printable(c.Title):
		return fault.New(fault.Invalid, attempt, on, "a title is at most 200 bytes of printable text")
	case c.Profile == "" || len(c.Profile) > 300 || len(c.ProfileVersion) > 100 || len(c.Protocol) > 100:
		return fault.New(fault.Invalid, attempt, on, "the name of a profile is at most 300 bytes and needed, those of its version and of a protocol at most 100")
	case c.State != Open && c.State != Closed:
		return fault.New(fault.Invalid, attempt, on, "a collection is open or closed")
	case c.Profile == AsDeposited && c.AttestedBy == "":
		return fault.New(fault.Invalid, attempt, on, "the profile as-deposited takes the attestation of a steward or administrator that the data is de-identified already")
	}
	return nil
}

// free says so, where the AE title is another collection's. Two that come at the same moment are told apart by the unique column.
func (r *Record) free(tx *db.Tx, attempt string, c Collection) error {
	if c.AETitle == "" {
		return nil
	}
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM collection WHERE ae_title = ? AND id <> ?`, string(c.AETitle), string(c.ID)).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, attempt, "AE title "+string(c.AETitle), "it calls another collection")
	}
	return nil
}

func attested(c Collection) int64 {
	switch {
	case c.AttestedBy == "":
		return 0
	case c.Attested.IsZero():
		return db.Micros(time.Now())
	}
	return db.Micros(c.Attested)
}

func nullable(ae AETitle) any {
	if ae == "" {
		return nil
	}
	return string(ae)
}

func printable(s string) bool {
	return strings.ToValidUTF8(s, "\x00") == s && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

const columns = `SELECT id, title, profile, profile_version, profile_digest, COALESCE(ae_title, ''), protocol, state, attested_by, attested, created, no_reidentification, no_automatic_acceptance FROM collection`

func scan(row interface{ Scan(...any) error }) (Collection, error) {
	var c Collection
	var at, created, no, person int64
	err := row.Scan(&c.ID, &c.Title, &c.Profile, &c.ProfileVersion, &c.ProfileDigest, &c.AETitle, &c.Protocol, &c.State, &c.AttestedBy, &at, &created, &no, &person)
	if at != 0 {
		c.Attested = db.Time(at)
	}
	c.Created, c.NoReidentification, c.NoAutomaticAcceptance = db.Time(created), no != 0, person != 0
	return c, err
}

// Get is the collection of that id; fault.NotFound if there is none.
func (r *Record) Get(ctx context.Context, id ID) (Collection, error) {
	return r.byID.Get(id, func() (Collection, error) {
		return found(scan(r.d.QueryRow(ctx, columns+` WHERE id = ?`, string(id))))
	})
}

// Forget drops what is kept in memory of a collection and of an AE title: whoever changed it here sees the change at once.
func (r *Record) Forget(id ID, titles ...AETitle) {
	r.byID.Forget(id)
	for _, ae := range titles {
		r.byAE.Forget(ae)
	}
}

// ByAETitle is the collection that is called by the title; fault.NotFound if there is none.
func (r *Record) ByAETitle(ctx context.Context, ae AETitle) (Collection, error) {
	return r.byAE.Get(ae, func() (Collection, error) {
		return found(scan(r.d.QueryRow(ctx, columns+` WHERE ae_title = ?`, string(ae))))
	})
}

func found(c Collection, err error) (Collection, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return c, fault.New(fault.NotFound, "find collection", "", "there is no such collection")
	}
	return c, err
}

// List is every collection, by id.
func (r *Record) List(ctx context.Context) ([]Collection, error) {
	rows, err := r.d.Query(ctx, columns+` ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Collection
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list collections", err)
		}
		all = append(all, c)
	}
	return all, db.Fault("list collections", rows.Err())
}
