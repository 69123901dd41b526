// Package access is the record of who asks to use data: requests with their items and events, the signed agreements, and the entitlements that come of both.
//
// It promises: what happened to a request is an append-only list of events, and where its items stand is what the events say; an item moves as the table of moves
// has it and in no other way, and of two who move it at once one is told that it has moved; an entitlement holds while its state, its period and its agreement
// all say so, computed at the moment that it is asked of. Whoever changes something passes the transaction in which the audit entry is written too.
// docs/formats/access.md says what each column means.
//
// It cannot read what was written: texts come and go sealed. It does not decide who may see or change what.
package access

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/ident"
)

//go:embed migrations
var migrations embed.FS

// ID is the number of a request, an agreement or an entitlement.
type ID int64

func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// NewID is a number that was not given before: texts are sealed to it before they are stored.
func NewID() (ID, error) {
	n, err := ident.New()
	return ID(n), err
}

// ParseID reads a number of a thing, as "request".
func ParseID(what, s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, none(what)
	}
	return ID(n), nil
}

func none(what string) error {
	return fault.New(fault.NotFound, "find "+what, "", "there is no such "+what+", or it is not yours to see")
}

// Record is the open record.
type Record struct{ d *db.DB }

// OpenRecord brings the tables up to date.
func OpenRecord(ctx context.Context, d *db.DB) (*Record, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "access", files); err != nil {
		return nil, err
	}
	return &Record{d: d}, nil
}

// Wards are the collections whose requests somebody sees: every one, some, or none.
type Wards struct {
	Every bool
	Some  []string
}

// None reports that there are none.
func (w Wards) None() bool { return !w.Every && len(w.Some) == 0 }

// Has reports whether a collection is among them.
func (w Wards) Has(c string) bool {
	for _, s := range w.Some {
		if s == c {
			return true
		}
	}
	return w.Every
}

// where is the condition on a column of collections.
func (w Wards) where(column string) (string, []any) {
	if w.Every {
		return "1 = 1", nil
	}
	if len(w.Some) == 0 {
		return "1 = 0", nil
	}
	var args []any
	for _, s := range w.Some {
		args = append(args, s)
	}
	return column + " IN (" + strings.TrimSuffix(strings.Repeat("?,", len(w.Some)), ",") + ")", args
}

// Any version of a dataset.
const AnyVersion = "*"

// ParseVersions reads a range of versions: "*", "1.x", "1.2.x" or "1.2.0".
func ParseVersions(s string) (string, error) {
	if s == "" || s == AnyVersion {
		return AnyVersion, nil
	}
	parts := strings.Split(s, ".")
	ok := len(parts) == 3 || len(parts) == 2 && parts[1] == "x"
	for i, p := range parts {
		ok = ok && (whole(p) || p == "x" && i == len(parts)-1 && i > 0)
	}
	if !ok {
		return "", fault.New(fault.Invalid, "read versions", "", `versions are "*", "1.x", "1.2.x" or one as "1.2.0"`)
	}
	return s, nil
}

func whole(s string) bool {
	if s == "" || len(s) > 9 || len(s) > 1 && s[0] == '0' {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
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

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// blob is nil as SQL's NULL.
func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func gone(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return none(what)
	}
	return err
}

// rows reads every row of a query.
func rows[T any](ctx context.Context, r *Record, attempt string, scan func(interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	all, err := r.d.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	var out []T
	for all.Next() {
		v, err := scan(all)
		if err != nil {
			return nil, db.Fault(attempt, err)
		}
		out = append(out, v)
	}
	return out, db.Fault(attempt, all.Err())
}
