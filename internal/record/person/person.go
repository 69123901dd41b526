// Package person is the record of who people are beside their accounts: ORCID iD, organisation and when it was last confirmed that they belong to it, how sure it is who they are, and what training they have.
//
// It promises: who changes their organisation has to be confirmed anew; what a provider said of an ORCID iD is not overwritten by what its owner states; identifiers are well formed, with their check digits.
// Whoever changes something passes the transaction in which the audit entry is written too. docs/formats/person.md says what each column means.
//
// It does not decide who may confirm, and does not know whether what was stated is true.
package person

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
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
	if err := d.Migrate(ctx, "person", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Said is who says something of a person. The numbers are stored.
type Said int64

// Who says it.
const (
	Unknown  Said = 0
	Stated   Said = 1 // they themselves
	Provider Said = 2 // who vouches for them at sign-in
)

func (s Said) String() string {
	switch s {
	case Stated:
		return "stated"
	case Provider:
		return "provider"
	}
	return ""
}

// Assurance is how sure a provider is who somebody is. The numbers are stored.
type Assurance int64

// The assurances.
const (
	None   Assurance = 0 // nothing was said of it
	Medium Assurance = 2
	High   Assurance = 3
)

// ByProvider is in Person.ConfirmedBy where the sign-in at their institution did it.
const ByProvider = "provider"

// Kinds are those of organisations, as in a request and in the directory.
var Kinds = []string{"academic", "nhs", "charity", "funder", "commercial", "cro", "government", "other"}

// Organisation is where somebody works.
type Organisation struct {
	Name    string
	ROR     string // https://ror.org/...; empty: not said
	Kind    string // of Kinds
	Country string // ISO 3166-1 alpha-2
}

// Check says what is wrong with it. An empty one is none.
func (o *Organisation) Check() error {
	refuse := func(why string) error { return fault.New(fault.Invalid, "describe organisation", "", why) }
	o.Name, o.Country = strings.Join(strings.Fields(o.Name), " "), strings.ToUpper(strings.TrimSpace(o.Country))
	if *o == (Organisation{}) {
		return nil
	}
	switch {
	case o.Name == "" || utf8.RuneCountInString(o.Name) > 200 || !utf8.ValidString(o.Name) || strings.ContainsFunc(o.Name, unicode.IsControl):
		return refuse("its name is 1 to 200 characters long")
	case !slices.Contains(Kinds, o.Kind):
		return refuse("its kind is one of " + strings.Join(Kinds, ", "))
	case len(o.Country) != 2 || o.Country[0] < 'A' || o.Country[0] > 'Z' || o.Country[1] < 'A' || o.Country[1] > 'Z':
		return refuse("its country is two letters, such as GB (ISO 3166-1)")
	}
	if o.ROR = strings.TrimSpace(o.ROR); o.ROR != "" {
		id, ok := ParseROR(o.ROR)
		if !ok {
			return refuse("that is no ROR identifier: look the organisation up on ror.org, or leave it empty")
		}
		o.ROR = id
	}
	return nil
}

// ParseROR reads https://ror.org/05a28rw58: a zero, six characters of Crockford's base 32, and two digits that check them (ISO/IEC 7064, MOD 97-10).
func ParseROR(s string) (string, bool) {
	id := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "https://"), "http://"), "ror.org/"), "/"))
	if len(id) != 9 || id[0] != '0' {
		return "", false
	}
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	n := 0
	for _, c := range id[:7] {
		v := strings.IndexRune(alphabet, c)
		if v < 0 {
			return "", false
		}
		n = n*32 + v
	}
	check, err := strconv.Atoi(id[7:])
	return "https://ror.org/" + id, err == nil && check == 98-n*100%97
}

// ParseORCID reads 0000-0002-1825-0097, with or without https://orcid.org/ before it: the last character checks the others (ISO/IEC 7064, MOD 11-2).
func ParseORCID(s string) (string, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	s = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "HTTPS://"), "HTTP://"), "ORCID.ORG/")
	if len(s) != 19 || s[4] != '-' || s[9] != '-' || s[14] != '-' {
		return "", false
	}
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 16 {
		return "", false
	}
	total := 0
	for _, c := range digits[:15] {
		if c < '0' || c > '9' {
			return "", false
		}
		total = (total + int(c-'0')) * 2
	}
	return s, digits[15] == "0123456789X"[(12-total%11)%11]
}

// Person is what is known of the owner of an account.
type Person struct {
	Account string
	ORCID   string
	ORCIDBy Said
	Organisation
	Confirmed   time.Time // when it was last confirmed that they belong to it; zero: never
	ConfirmedBy string    // an account, or ByProvider
	Vouched     Assurance // what their provider said, at the sign-in of
	VouchedAt   time.Time
	Changed     time.Time
}

const columns = `SELECT account, orcid, orcid_by, organisation, ror, kind, country, confirmed, confirmed_by, vouched, vouched_at, changed FROM person`

func scan(row interface{ Scan(...any) error }) (p Person, err error) {
	var confirmed, vouched, changed int64
	err = row.Scan(&p.Account, &p.ORCID, &p.ORCIDBy, &p.Organisation.Name, &p.ROR, &p.Kind, &p.Country, &confirmed, &p.ConfirmedBy, &p.Vouched, &vouched, &changed)
	p.Confirmed, p.VouchedAt, p.Changed = moment(confirmed), moment(vouched), moment(changed)
	return p, err
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// Get is what is known of somebody; of whom nothing is, the account alone.
func (r *Record) Get(ctx context.Context, account string) (Person, error) {
	p, err := scan(r.d.QueryRow(ctx, columns+` WHERE account = ?`, account))
	if errors.Is(err, sql.ErrNoRows) {
		return Person{Account: account}, nil
	}
	return p, db.Fault("read person", err)
}

func get(tx *db.Tx, account string) (Person, error) {
	if err := tx.Lock("person " + account); err != nil {
		return Person{}, err
	}
	p, err := scan(tx.QueryRow(columns+` WHERE account = ?`, account))
	if errors.Is(err, sql.ErrNoRows) {
		return Person{Account: account}, nil
	}
	return p, db.Fault("read person", err)
}

func put(tx *db.Tx, p Person) error {
	_, err := tx.Exec(`INSERT INTO person (account, orcid, orcid_by, organisation, ror, kind, country, confirmed, confirmed_by, vouched, vouched_at, changed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account) DO UPDATE SET orcid = excluded.orcid, orcid_by = excluded.orcid_by, organisation = excluded.organisation, ror = excluded.ror, kind = excluded.kind, country = excluded.country, confirmed = excluded.confirmed,
		confirmed_by = excluded.confirmed_by, vouched = excluded.vouched, vouched_at = excluded.vouched_at, changed = excluded.changed`,
		p.Account, p.ORCID, int64(p.ORCIDBy), p.Organisation.Name, p.ROR, p.Kind, p.Country, micros(p.Confirmed), p.ConfirmedBy, int64(p.Vouched), micros(p.VouchedAt), micros(p.Changed))
	return err
}

// State keeps what somebody says of themselves. An ORCID iD that their provider gave stays; where the organisation is another than before, whoever confirmed that they belong to it has confirmed nothing any more.
func (r *Record) State(tx *db.Tx, account, orcid string, o Organisation, at time.Time) error {
	p, err := get(tx, account)
	if err != nil {
		return err
	}
	if orcid = strings.TrimSpace(orcid); orcid != "" {
		id, ok := ParseORCID(orcid)
		if !ok {
			return fault.New(fault.Invalid, "describe person", "", "an ORCID iD is sixteen digits as 0000-0002-1825-0097, of which the last checks the others; this one is not right")
		}
		orcid = id
	}
	if orcid != p.ORCID {
		if p.ORCIDBy == Provider {
			return fault.New(fault.Invalid, "describe person", "", "your institution gave this ORCID iD at your sign-in: have it changed there")
		}
		if p.ORCID, p.ORCIDBy = orcid, Stated; orcid == "" {
			p.ORCIDBy = Unknown
		}
	}
	if err := o.Check(); err != nil {
		return err
	}
	if o != p.Organisation {
		p.Organisation, p.Confirmed, p.ConfirmedBy = o, time.Time{}, ""
	}
	p.Changed = at
	return put(tx, p)
}

// Vouch is what a provider says of somebody at a sign-in.
type Vouch struct {
	ORCID        string       // empty, or not right: it says nothing of it
	Organisation Organisation // empty: it does not say that they belong to one
	Assurance    Assurance
}

// Vouched keeps what a provider said at a sign-in: who has an organisation by it belongs to that, from now on for a year.
func (r *Record) Vouched(tx *db.Tx, account string, v Vouch, at time.Time) error {
	p, err := get(tx, account)
	if err != nil {
		return err
	}
	if id, ok := ParseORCID(v.ORCID); ok {
		p.ORCID, p.ORCIDBy = id, Provider
	}
	if v.Organisation != (Organisation{}) {
		p.Organisation, p.Confirmed, p.ConfirmedBy = v.Organisation, at, ByProvider
	}
	p.Vouched, p.VouchedAt, p.Changed = v.Assurance, at, at
	return put(tx, p)
}

// Confirm notes that somebody belongs to the organisation that the caller has looked at; a fault.Conflict where it is another by now.
func (r *Record) Confirm(tx *db.Tx, account string, seen Organisation, by string, at time.Time) error {
	p, err := get(tx, account)
	if err != nil {
		return err
	}
	if p.Organisation == (Organisation{}) {
		return fault.New(fault.Invalid, "confirm affiliation", "account "+account, "they have not said where they work")
	}
	if p.Organisation != seen {
		return fault.New(fault.Conflict, "confirm affiliation", "account "+account, "they work elsewhere by now; look at it again")
	}
	p.Confirmed, p.ConfirmedBy, p.Changed = at, by, at
	return put(tx, p)
}

// Due are those who have an organisation that was not confirmed since a moment, the longest ago first; who never was comes before them.
func (r *Record) Due(ctx context.Context, since time.Time) ([]Person, error) {
	rows, err := r.d.Query(ctx, columns+` WHERE organisation <> '' AND confirmed < ? ORDER BY confirmed, changed, account`, db.Micros(since))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Person
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, db.Fault("list people", err)
		}
		all = append(all, p)
	}
	return all, db.Fault("list people", rows.Err())
}
