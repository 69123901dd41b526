// Package clinical takes tables of clinical data into a collection: each row joined to its subject, passed through the gate that images pass, and kept as codes,
// numbers and dates.
//
// It promises: a patient's own identifier is turned into the subject at once, by the collection's keys, and is in no table, log or answer; dates are shifted by
// the weeks that the subject's images are; what holds an identifier of the subject, or anything that is not of its column's form, is refused with row and
// column, never the value; the same table again changes nothing. Policy decides inside the call, and the audit log has the import.
//
// It gives what is known of a subject to who may see images of the subject, and to nobody else ([Desk.Of]).
//
// It keeps no free text. Columns that it does not know are dropped, and reported.
package clinical

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Desk is where tables are handed in.
type Desk struct {
	DB          *db.DB
	Ring        *keys.Ring
	Audit       *audit.Log
	Collections *collection.Record
	Subjects    *subject.Record
	Catalogue   *catalogue.Record
	Clinical    *clinical.Record
}

// Report is what became of a table. It holds nothing identifiable.
type Report struct {
	Collection string             `json:"collection"`
	Rows       int                `json:"rows"`
	Refused    int                `json:"refused"`  // rows of which nothing was kept
	Subjects   int                `json:"subjects"` // whom the others are of
	Changed    int                `json:"changed"`  // of these, those of whom something new is known
	New        int                `json:"new"`      // of these, those of whom there is no image yet
	Dates      string             `json:"dates"`    // DatesShifted, DatesKept or DatesDropped
	Problems   []clinical.Problem `json:"problems"` // the first thousand
	Dropped    []clinical.Dropped `json:"dropped"`  // columns that were not read
}

// What became of dates.
const (
	DatesShifted = "shifted" // back by the weeks of each subject's images
	DatesKept    = "kept"    // the collection keeps what is deposited as it is, or they were shifted before
	DatesDropped = "dropped" // the collection's profile keeps no dates
)

// Options of an import.
type Options struct {
	Shifted bool // dates are those of the cleaned images already
}

// batch is how many subjects are saved in one transaction.
const batch = 200

// Import reads a table in CSV into a collection.
func (d *Desk) Import(ctx context.Context, who admin.Caller, id collection.ID, table io.Reader, o Options) (*Report, error) {
	const attempt = "import clinical rows"
	object := "collection " + string(id)
	if err := d.allowed(ctx, who, id); err != nil {
		return nil, err
	}
	col, err := d.Collections.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if col.State != collection.Open {
		return nil, fault.New(fault.Denied, attempt, object, "the collection is closed")
	}
	profile, err := d.Collections.Cleaning(ctx, col)
	if err != nil {
		return nil, err
	}
	root, err := d.Ring.Collection(ctx, string(id))
	if err != nil {
		return nil, err
	}
	t, err := clinical.Read(table)
	if err != nil {
		return nil, err
	}
	im := &importing{Desk: d, col: id, profile: profile, keys: deid.NewKeys(root), table: t, report: &Report{Collection: string(id), Dates: DatesShifted}}
	switch {
	case profile.AsDeposited || o.Shifted:
		im.report.Dates = DatesKept
	case profile.Options&deid.RetainModifiedDates == 0:
		im.report.Dates = DatesDropped
	}
	kept := map[subject.ID]*known{}
	var order []*known
	for _, p := range t.People {
		k, problem, err := im.person(ctx, p)
		if err != nil {
			return nil, err
		}
		if problem != nil {
			for _, row := range p.Rows {
				problem.Row = row
				t.Refuse(*problem)
			}
			continue
		}
		if kept[k.id] != nil { // one person under two spellings
			for _, row := range p.Rows {
				t.Refuse(clinical.Problem{Row: row, Column: column(p), Code: clinical.CodeContradiction, Text: "an earlier row names the same subject in another way"})
			}
			continue
		}
		kept[k.id] = k
		order = append(order, k)
	}
	if err := im.save(ctx, who, order); err != nil {
		return nil, err
	}
	r := im.report
	r.Rows, r.Refused, r.Subjects, r.Problems, r.Dropped = t.Rows, t.Refused, len(order), t.Problems, t.Dropped
	return r, d.DB.Sync()
}

func (d *Desk) allowed(ctx context.Context, who admin.Caller, id collection.ID) error {
	decision := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ImportClinical, Collection: string(id)})
	if decision.Allow {
		return nil
	}
	object, in := "collection "+string(id), string(id)
	if _, err := d.Collections.Get(ctx, id); err != nil {
		object, in = "a collection that is not there", ""
	}
	if who.Actor != "" {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ImportClinical.String(), Object: object, Collection: in, Outcome: "denied"})
			return err
		})
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Denied, policy.ImportClinical.String(), object, strings.Join(decision.Reasons, "; "))
}

type importing struct {
	*Desk
	col     collection.ID
	profile *deid.Profile
	keys    *deid.Keys
	table   *clinical.Table
	report  *Report
}

// known is a subject with what the table says of it, as it may be stored.
type known struct {
	id    subject.ID
	facts clinical.Facts
}

func column(p *clinical.Person) string {
	if p.Original {
		return "patient_id"
	}
	return "subject"
}

// person finds whom a row is of, and judges what is said.
func (im *importing) person(ctx context.Context, p *clinical.Person) (*known, *clinical.Problem, error) {
	refuse := func(code, text string) (*known, *clinical.Problem, error) {
		return nil, &clinical.Problem{Column: column(p), Code: code, Text: text}, nil
	}
	s, err := im.subject(ctx, p)
	switch {
	case fault.Is(err, fault.NotFound):
		return refuse(clinical.CodeSubject, "the collection has no subject of this pseudonym")
	case fault.Is(err, fault.Invalid):
		return refuse(clinical.CodeSubject, "the identifier names nobody")
	case err != nil:
		return nil, nil, err
	case s.IsWithdrawn():
		return refuse(clinical.CodeSubject, "the subject has been withdrawn from this collection")
	}
	key, err := im.Ring.Get(ctx, keys.ID(s.Key))
	if err != nil {
		return nil, nil, err
	}
	lexicon, err := custody.OpenLexicon(key, &s)
	if err != nil {
		return nil, nil, err
	}
	age(p)
	f, ok := im.clean(s.Link, p.Facts)
	if !ok {
		return refuse(clinical.CodeForm, "a date lies too far back to be shifted")
	}
	if im.profile.AsDeposited {
		return &known{s.ID, f}, nil, nil // what looks identifiable is a finding there, not a reason to refuse
	}
	if c := found(deid.NewMatcher(lexicon), &f); c != "" {
		return nil, &clinical.Problem{Column: c, Code: clinical.CodeIdentifier, Text: "the cell holds an identifier of the subject"}, nil
	}
	return &known{s.ID, f}, nil, nil
}

// subject is whom the row is of; made, where the patient's own identifier is given and there is nothing of the patient yet.
func (im *importing) subject(ctx context.Context, p *clinical.Person) (subject.Subject, error) {
	if !p.Original {
		name, err := subject.ParsePseudonym(p.Identifier)
		if err != nil {
			return subject.Subject{}, err
		}
		s, err := im.Subjects.ByPseudonym(ctx, im.col, name)
		if !im.profile.AsDeposited || !fault.Is(err, fault.NotFound) {
			return s, err
		}
		// Images that are kept as they came have the depositor's own pseudonym for a Patient ID.
	}
	who, ok := deid.IdentityOf(p.Identifier, p.Issuer)
	if !ok {
		return subject.Subject{}, fault.New(fault.Invalid, "find subject", "", "the identifier names nobody")
	}
	link := subject.Link(who.Link(im.keys))
	s, err := im.Subjects.Find(ctx, im.col, link)
	if !fault.Is(err, fault.NotFound) || !p.Original {
		return s, err
	}
	return im.add(ctx, p, link)
}

// add makes a subject whose images are still to come, and teaches its lexicon what the table calls it.
func (im *importing) add(ctx context.Context, p *clinical.Person, link subject.Link) (subject.Subject, error) {
	terms := []deid.Term{{Kind: deid.TermIdentifier, Text: p.Identifier}}
	if len(p.Birth) == 8 {
		terms = append(terms, deid.Term{Kind: deid.TermBirthDate, Text: p.Birth})
	}
	lexicon, err := (*deid.Lexicon)(nil).With(terms...)
	if err != nil {
		return subject.Subject{}, fault.New(fault.Invalid, "find subject", "", "the identifier names nobody")
	}
	keyID, key, err := im.Ring.New(ctx)
	if err != nil {
		return subject.Subject{}, err
	}
	var s subject.Subject
	var made bool
	err = im.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if s, made, err = im.Subjects.Ensure(tx, im.col, link, subject.Pseudonym(im.keys.Pseudonym(link)), subject.KeyID(keyID)); err != nil || !made {
			return err
		}
		s.Lexicon = custody.SealLexicon(key, s.ID, lexicon)
		s.LexiconVersion, err = im.Subjects.SetLexicon(tx, s.ID, s.LexiconVersion, s.Lexicon)
		return err
	})
	switch {
	case err != nil:
		return s, err // the key stays: nobody can say whether the row is there
	case made:
		im.report.New++
	default:
		if err := im.Ring.Destroy(ctx, keyID); err != nil {
			return s, err
		}
	}
	return s, nil
}

// age works out the age from the birth, which is not kept, at the diagnosis or else at the first visit.
func age(p *clinical.Person) {
	f := &p.Facts
	at := f.AgeAt
	if at == "" {
		at = f.Diagnosed
	}
	for _, v := range f.Visits {
		if f.Diagnosed == "" && f.AgeAt == "" && v.Date != "" && (at == "" || v.Date < at) {
			at = v.Date
		}
	}
	if f.Age != nil || p.Birth == "" || at == "" {
		if f.Age != nil && f.AgeAt == "" {
			f.AgeAt = at
		}
		return
	}
	years := number(at[:4]) - number(p.Birth[:4])
	if len(p.Birth) == 8 && at[4:] < p.Birth[4:] {
		years--
	}
	if years >= 0 && years <= 130 {
		years = min(years, clinical.MaxAge)
		f.Age, f.AgeAt = &years, at
	}
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the table's reader has checked that they are digits
	return n
}

// clean brings facts into the form that they are stored in, by the collection's profile.
func (im *importing) clean(link subject.Link, f clinical.Facts) (clinical.Facts, bool) {
	ok := true
	date := func(s string) string {
		if s == "" || im.report.Dates == DatesDropped {
			return ""
		}
		if im.report.Dates == DatesShifted {
			var done bool
			if s, done = im.keys.ShiftDate(link, s); !done {
				ok = false
				return ""
			}
		}
		t, err := time.Parse("20060102", s)
		ok = ok && err == nil
		return t.Format(time.DateOnly)
	}
	f.AgeAt, f.Diagnosed = date(f.AgeAt), date(f.Diagnosed)
	visits := make([]clinical.Visit, 0, len(f.Visits))
	for _, v := range f.Visits {
		if v.Date = date(v.Date); v != (clinical.Visit{}) {
			visits = append(visits, v)
		}
	}
	f.Visits = visits
	if im.profile.Generalise && f.Age != nil {
		n := *f.Age - *f.Age%5
		f.Age = &n
	}
	return f, ok
}

// found is the column in which an identifier of the subject stands; empty: in none. Dates are not looked at: they are shifted.
func found(m *deid.Matcher, f *clinical.Facts) string {
	for _, c := range f.Diagnoses {
		if m.InText(c.Value) {
			return "diagnosis"
		}
	}
	for _, v := range f.Visits {
		if m.InText(v.Name) {
			return "visit"
		}
	}
	if m.InText(f.TNM) {
		return "tnm"
	}
	return ""
}

func (im *importing) save(ctx context.Context, who admin.Caller, all []*known) error {
	run := clinical.Import{Collection: im.col, Actor: who.Actor, Rows: int64(im.table.Rows), Refused: int64(im.table.Refused), Subjects: int64(len(all))}
	err := im.DB.Write(ctx, func(tx *db.Tx) (err error) {
		run.ID, err = im.Clinical.Begin(tx, im.col, who.Actor)
		return err
	})
	if err != nil {
		return err
	}
	for len(all) > 0 {
		n := min(len(all), batch)
		var changed int
		err := im.DB.Write(ctx, func(tx *db.Tx) error {
			changed = 0
			for _, k := range all[:n] {
				new, err := im.Clinical.Save(tx, im.col, k.id, k.facts, im.table.Has, run.ID)
				if err != nil {
					return err
				}
				if new {
					changed++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		im.report.Changed += changed
		all = all[n:]
	}
	run.Changed = int64(im.report.Changed)
	return im.DB.Write(ctx, func(tx *db.Tx) error {
		if err := im.Clinical.End(tx, run); err != nil {
			return err
		}
		return im.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: policy.ImportClinical.String(), Collection: string(im.col), Outcome: "done",
			Object: fmt.Sprintf("clinical import %d: %d rows, %d refused, %d subjects, %d changed", run.ID, run.Rows, run.Refused, run.Subjects, run.Changed)})
	})
}
