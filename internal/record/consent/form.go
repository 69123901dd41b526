package consent

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Form is a version of a form of consent.
type Form struct {
	Collection collection.ID `json:"-"`
	Name       string        `json:"name"`    // 1 to 64: letters, digits, dots, hyphens
	Version    string        `json:"version"` // likewise
	Title      string        `json:"title"`
	Policy     string        `json:"policy,omitempty"` // URI that FHIR calls policy.uri; empty: vitrine:form:NAME:VERSION
	Clauses    []Clause      `json:"clauses"`
	ValidFrom  time.Time     `json:"valid_from,omitzero"`  // signed before, it counts as what it is all the same; a warning is given
	ValidUntil time.Time     `json:"valid_until,omitzero"` // likewise
	Actor      string        `json:"recorded_by,omitempty"`
	Created    time.Time     `json:"recorded,omitzero"`
}

// Clause is a sentence that people say yes or no to.
type Clause struct {
	ID     string      `json:"id"`
	Text   string      `json:"text"`
	Grants []judge.Use `json:"grants,omitempty"` // by who says yes; who says no denies them
	Denies []judge.Use `json:"denies,omitempty"` // by who says yes
	// Always: there is no box to tick, whoever signs has said yes.
	Always bool `json:"always,omitempty"`
}

const (
	maxClauses = 100
	maxText    = 2000
)

// FormName names a version of a form, as NAME:VERSION.
func (f *Form) FormName() string { return f.Name + ":" + f.Version }

// URI is what FHIR names the form by.
func (f *Form) URI() string {
	if f.Policy != "" {
		return f.Policy
	}
	return "urn:vitrine:consent-form:" + string(f.Collection) + ":" + f.Name + ":" + f.Version
}

// Problem says what is wrong with a form; empty: nothing.
func (f *Form) Problem() string {
	switch {
	case !name(f.Name):
		return "its name is 1 to 64 letters, digits, dots and hyphens"
	case !name(f.Version):
		return "its version is 1 to 64 letters, digits, dots and hyphens"
	case strings.TrimSpace(f.Title) == "" || utf8.RuneCountInString(f.Title) > 200:
		return "its title has 1 to 200 characters"
	case len(f.Policy) > 500 || strings.ContainsFunc(f.Policy, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '<' }):
		return "its policy is a URI of at most 500 characters"
	case len(f.Clauses) == 0 || len(f.Clauses) > maxClauses:
		return fmt.Sprintf("it has 1 to %d clauses", maxClauses)
	case !f.ValidUntil.IsZero() && !f.ValidFrom.Before(f.ValidUntil):
		return "it is valid until a day before it is valid from"
	}
	seen := map[string]bool{}
	for _, c := range f.Clauses {
		switch {
		case !name(c.ID):
			return "the identifier of each clause is 1 to 64 letters, digits, dots and hyphens"
		case seen[c.ID]:
			return "two clauses have the identifier " + c.ID
		case strings.TrimSpace(c.Text) == "" || utf8.RuneCountInString(c.Text) > maxText:
			return fmt.Sprintf("clause %s has a text of 1 to %d characters", c.ID, maxText)
		case len(c.Grants)+len(c.Denies) == 0:
			return "clause " + c.ID + " grants nothing and denies nothing"
		}
		seen[c.ID] = true
		for _, u := range slices.Concat(c.Grants, c.Denies) {
			if _, ok := judge.ParseUse(string(u)); !ok {
				return "clause " + c.ID + " speaks of " + quote(string(u)) + ", which is none of: " + list()
			}
		}
	}
	return ""
}

func quote(s string) string {
	if len(s) > 40 || !name(s) {
		return "something else"
	}
	return s
}

func list() string {
	var all []string
	for _, u := range judge.Uses() {
		all = append(all, string(u))
	}
	return strings.Join(all, ", ")
}

func name(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	})
}

// Resolve is what answers to the clauses come to. A clause that is not answered says nothing, unless it needs no answer; an answer to a clause that the form does not have is a fault.Invalid.
func (f *Form) Resolve(answers map[string]bool) (grants, denies []judge.Use, err error) {
	known := map[string]bool{}
	for _, c := range f.Clauses {
		known[c.ID] = true
		yes, said := answers[c.ID]
		switch {
		case c.Always && said && !yes:
			return nil, nil, fault.New(fault.Invalid, "read consent", "form "+f.FormName(), "clause "+c.ID+" cannot be answered with no: who signs the form has agreed to it")
		case c.Always || said && yes:
			grants, denies = append(grants, c.Grants...), append(denies, c.Denies...)
		case said:
			denies = append(denies, c.Grants...)
		}
	}
	for id := range answers {
		if !known[id] {
			return nil, nil, fault.New(fault.Invalid, "read consent", "form "+f.FormName(), "the form has no clause "+quote(id))
		}
	}
	grants = slices.DeleteFunc(grants, func(u judge.Use) bool { return slices.Contains(denies, u) })
	return grants, denies, nil
}

// AddForm adds a version of a form. The same again changes nothing; another text under the same version is a fault.Conflict.
func (r *Record) AddForm(tx *db.Tx, f Form) (bool, error) {
	const attempt = "add a form of consent"
	if why := f.Problem(); why != "" {
		return false, fault.New(fault.Invalid, attempt, "", why)
	}
	clauses, err := json.Marshal(f.Clauses)
	if err != nil {
		return false, fault.Wrap(fault.Internal, attempt, "", err)
	}
	res, err := tx.Exec(`INSERT INTO consent_form (collection, name, version, title, policy, clauses, valid_from, valid_until, actor, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(f.Collection), f.Name, f.Version, f.Title, f.Policy, string(clauses), micros(f.ValidFrom), micros(f.ValidUntil), f.Actor, db.Micros(time.Now()))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	was, err := scanForm(tx.QueryRow(formColumns+` WHERE collection = ? AND name = ? AND version = ?`, string(f.Collection), f.Name, f.Version))
	if err != nil {
		return false, err
	}
	old, err := json.Marshal(was.Clauses)
	if err != nil {
		return false, fault.Wrap(fault.Internal, attempt, "", err)
	}
	if string(old) != string(clauses) || was.Title != f.Title || was.Policy != f.Policy || micros(was.ValidFrom) != micros(f.ValidFrom) || micros(was.ValidUntil) != micros(f.ValidUntil) {
		return false, fault.New(fault.Conflict, attempt, "form "+f.FormName(), "this version has another text already; people have signed what it said: give the new text a new version")
	}
	return false, nil
}

const formColumns = `SELECT collection, name, version, title, policy, clauses, valid_from, valid_until, actor, created FROM consent_form`

func scanForm(row interface{ Scan(...any) error }) (Form, error) {
	var f Form
	var clauses string
	var from, until, created int64
	if err := row.Scan(&f.Collection, &f.Name, &f.Version, &f.Title, &f.Policy, &clauses, &from, &until, &f.Actor, &created); err != nil {
		return f, err
	}
	if json.Unmarshal([]byte(clauses), &f.Clauses) != nil {
		return f, fault.New(fault.Corrupt, "read a form of consent", "form "+f.FormName(), "its clauses cannot be read")
	}
	f.ValidFrom, f.ValidUntil, f.Created = moment(from), moment(until), db.Time(created)
	return f, nil
}

// Form is a version of a form; fault.NotFound if there is none.
func (r *Record) Form(ctx context.Context, c collection.ID, name, version string) (Form, error) {
	f, err := scanForm(r.d.QueryRow(ctx, formColumns+` WHERE collection = ? AND name = ? AND version = ?`, string(c), name, version))
	if errors.Is(err, sql.ErrNoRows) {
		return f, fault.New(fault.NotFound, "find a form of consent", "", "the collection has no such form")
	}
	return f, err
}

// Forms lists the forms of a collection with all their versions, by name, the latest first.
func (r *Record) Forms(ctx context.Context, c collection.ID) ([]Form, error) {
	rows, err := r.d.Query(ctx, formColumns+` WHERE collection = ? ORDER BY name, created DESC`, string(c))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Form
	for rows.Next() {
		f, err := scanForm(rows)
		if err != nil {
			return nil, db.Fault("list forms of consent", err)
		}
		all = append(all, f)
	}
	return all, db.Fault("list forms of consent", rows.Err())
}
