package consent

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
)

// Limits of a table.
const (
	maxTable   = 64 << 20
	maxColumns = 200
	maxCell    = 2 << 10
	maxListed  = 1000 // problems that are listed; the others are counted
	batch      = 200  // events in a transaction
)

// Report is what became of a table. It holds nothing identifiable.
type Report struct {
	Rows      int       `json:"rows"`
	Recorded  int       `json:"recorded"`
	Known     int       `json:"known"`     // the same had been recorded before
	Refused   int       `json:"refused"`   // rows of which nothing was recorded
	Withdrawn int       `json:"withdrawn"` // people taken out of sight by this table
	Without   int       `json:"without"`   // rows of people of whom there is nothing yet
	Problems  []Problem `json:"problems"`  // the first thousand
}

// Problem says why a row was refused: where, and a sentence. Never a value.
type Problem struct {
	Row    int    `json:"row"` // as a spreadsheet counts: the headings are row 1
	Column string `json:"column,omitempty"`
	Text   string `json:"text"`
}

func (r *Report) refuse(row int, column, text string) {
	r.Refused++
	if len(r.Problems) < maxListed {
		r.Problems = append(r.Problems, Problem{row, column, text})
	}
}

// reserved are the headings that are no clause's.
var reserved = []string{"subject", "patient_id", "issuer", "date", "form", "version", "grants", "denies", "withdrawal", "expires"}

// Import records a table in CSV: a row of headings, then a row for each thing that a person said. A column says whom the row is of: subject (the collection's pseudonym) or patient_id, with issuer
// where there is one. Others are date, form and version; grants and denies (uses, separated by blanks); withdrawal; expires. Any other column is a clause of the form, answered yes or no, or left empty.
// Rows are taken in their order; one that is refused keeps no other from being recorded.
func (d *Desk) Import(ctx context.Context, who admin.Caller, id collection.ID, table io.Reader) (*Report, error) {
	const attempt = "import consent"
	if err := d.allowed(ctx, who, policy.RecordConsent, id); err != nil {
		return nil, err
	}
	bad := func(why string) error { return fault.New(fault.Invalid, attempt, "", why) }
	bounded := &io.LimitedReader{R: table, N: maxTable + 1}
	in := csv.NewReader(bufio.NewReader(bounded))
	in.FieldsPerRecord, in.ReuseRecord = -1, true
	head, err := in.Read()
	if err != nil {
		return nil, bad("it has no row of headings")
	}
	if len(head) > maxColumns {
		return nil, bad("it has more than 200 columns")
	}
	forms, err := d.Consent.Forms(ctx, id)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(head))
	for i, h := range head {
		names[i] = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")))
		if !slices.Contains(reserved, names[i]) {
			names[i] = strings.TrimSpace(strings.TrimPrefix(h, "\ufeff")) // identifiers of clauses keep their case
			// What is headed otherwise is nobody's answer: it would be dropped without a word, and its heading may be anything.
			if names[i] != "" && !slices.ContainsFunc(forms, func(f consent.Form) bool {
				return slices.ContainsFunc(f.Clauses, func(c consent.Clause) bool { return c.ID == names[i] })
			}) {
				return nil, bad(fmt.Sprintf("the heading of column %d is none that is read, and no clause of a form of this collection", i+1))
			}
		}
	}
	at := map[string]int{}
	for i, n := range names {
		if _, twice := at[n]; twice && n != "" {
			return nil, bad("two columns have the same heading")
		}
		at[n] = i
	}
	_, bySubject := at["subject"]
	_, byPatient := at["patient_id"]
	if bySubject == byPatient {
		return nil, bad("one column says whom a row is of: subject or patient_id")
	}
	mayWithdraw := false // it is asked when the first row withdraws: who does not may import all the same
	r := &Report{Problems: []Problem{}}
	var waiting []one
	flush := func() error {
		all, err := d.take(ctx, who, waiting)
		for i, o := range all {
			switch {
			case o.Recorded:
				r.Recorded++
			default:
				r.Known++
			}
			if o.Out {
				r.Withdrawn++
			}
			if waiting[i].subject.ID == 0 {
				r.Without++
			}
		}
		waiting = nil
		return err
	}
	for n := 2; ; n++ {
		cells, err := in.Read()
		if bounded.N <= 0 {
			return r, errors.Join(flush(), fault.New(fault.TooLarge, attempt, "", "it is larger than 64 MiB: part it. Its first rows have been recorded, and are not again"))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if _, ok := errors.AsType[*csv.ParseError](err); err != nil && !ok {
			return r, errors.Join(flush(), fault.New(fault.Unavailable, attempt, "", "it could not be read to its end; what was read has been recorded, and the same table again changes nothing"))
		}
		r.Rows++
		if err != nil {
			r.refuse(n, "", "it is no row of a table in CSV")
			continue
		}
		if slices.IndexFunc(cells, func(c string) bool { return strings.TrimSpace(c) != "" }) < 0 {
			r.Rows--
			continue
		}
		cell := func(name string) string {
			if i, ok := at[name]; ok && i < len(cells) {
				return strings.TrimSpace(cells[i])
			}
			return ""
		}
		said, whom, column, why := row(names, cells, cell)
		if why != "" {
			r.refuse(n, column, why)
			continue
		}
		if actionOf(said) == policy.Withdraw && !mayWithdraw {
			if err := d.allowed(ctx, who, policy.Withdraw, id); err != nil {
				return r, errors.Join(flush(), err)
			}
			mayWithdraw = true
		}
		f, err := d.find(ctx, id, whom)
		if kind := refusable(err); kind != "" {
			r.refuse(n, "", kind)
			continue
		} else if err != nil {
			return r, err
		}
		e, err := d.event(ctx, id, said, consent.Table, who.Actor)
		if kind := refusable(err); kind != "" {
			r.refuse(n, "", kind)
			continue
		} else if err != nil {
			return r, err
		}
		// One person twice in a batch would be made twice: what is there of them by then is looked up anew.
		if slices.ContainsFunc(waiting, func(o one) bool { return o.link == f.link }) || len(waiting) >= batch {
			if err := flush(); err != nil {
				return r, err
			}
			if f, err = d.find(ctx, id, whom); err != nil {
				return r, err
			}
		}
		waiting = append(waiting, one{found: f, event: e})
	}
	return r, flush()
}

// refusable is why a row is refused; empty: the error is none of the row's.
func refusable(err error) string {
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) {
		return ""
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Reason
	}
	return "it cannot be recorded"
}

// row reads one row.
func row(names, cells []string, cell func(string) string) (said Said, whom Whom, column, why string) {
	if len(cells) > len(names) {
		return said, whom, "", "it has more cells than there are headings"
	}
	for i, c := range cells {
		if len(c) > maxCell || !utf8.ValidString(c) {
			return said, whom, names[i], "a cell is too long, or not in UTF-8"
		}
	}
	whom = Whom{Pseudonym: cell("subject"), Patient: cell("patient_id"), Issuer: cell("issuer")}
	var ok bool
	if said.At, ok = dateOf(cell("date")); !ok || said.At.IsZero() {
		return said, whom, "date", "write the day on which it was said, as 2024-03-31"
	}
	if said.Expires, ok = dateOf(cell("expires")); !ok {
		return said, whom, "expires", "write the day, as 2024-03-31"
	}
	said.Form, said.Version = cell("form"), cell("version")
	for _, side := range []struct {
		name string
		to   *[]judge.Use
	}{{"grants", &said.Grants}, {"denies", &said.Denies}} {
		for w := range strings.FieldsFuncSeq(cell(side.name), func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
			u, ok := judge.ParseUse(w)
			if !ok {
				return said, whom, side.name, "it names a use that is none of those that are known"
			}
			*side.to = append(*side.to, u)
		}
	}
	switch w := judge.Scope(strings.ToLower(cell("withdrawal"))); w {
	case "", judge.NoWithdrawal, judge.FromContact, judge.FromCollection, judge.FromUse:
		said.Withdrawal = w
	default:
		return said, whom, "withdrawal", "write contact, collection or use, or leave it empty"
	}
	for i, n := range names {
		if n == "" || slices.Contains(reserved, n) || i >= len(cells) {
			continue
		}
		var yes bool
		switch strings.ToLower(strings.TrimSpace(cells[i])) {
		case "":
			continue
		case "yes", "y", "true", "1":
			yes = true
		case "no", "n", "false", "0":
		default:
			return said, whom, n, "an answer is yes or no, or empty"
		}
		if said.Answers == nil {
			said.Answers = map[string]bool{}
		}
		said.Answers[n] = yes
	}
	return said, whom, "", ""
}

// dateOf reads a day, or a moment; nothing is no time.
func dateOf(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	for _, form := range []string{time.DateOnly, "20060102", time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
