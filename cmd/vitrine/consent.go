package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
)

type consentCmd struct {
	Record  consentRecordCmd  `cmd:"" help:"Write down what a person has agreed to or refused."`
	Import  consentImportCmd  `cmd:"" help:"Read a CSV of what people have agreed to, refused and withdrawn."`
	Show    consentShowCmd    `cmd:"" help:"Show what holds of one person, and what they said."`
	Summary consentSummaryCmd `cmd:"" help:"Say what may be done with the images of a collection."`
	Form    consentFormCmd    `cmd:"" help:"Add and list the forms that people sign."`
	Basis   consentBasisCmd   `cmd:"" help:"Record, list and end the legal bases of a collection."`
	OptOuts consentOptOutsCmd `cmd:"" name:"opt-outs" help:"Record a check of the national data opt-out."`
}

// whomFlags name a person. What identifies them is read, and never an argument: other users of a machine can see command lines.
type whomFlags struct {
	Subject string `placeholder:"PSEUDONYM" help:"Whom it is about, by the collection's pseudonym."`
	Patient bool   `help:"Whom it is about is asked for, or read from standard input: the identifier that the site knows them by."`
	Issuer  string `placeholder:"TEXT" help:"With --patient: Issuer of Patient ID, where images name one."`
}

func (f *whomFlags) whom(s *streams) (w consent.Whom, err error) {
	switch {
	case (f.Subject == "") == !f.Patient:
		return w, usage("say whom: --subject PSEUDONYM, or --patient to be asked for the identifier")
	case f.Patient:
		w.Issuer = f.Issuer
		w.Patient, err = s.ask(bufio.NewReader(s.in), "Patient's identifier: ")
		return w, err
	}
	return consent.Whom{Pseudonym: f.Subject}, nil
}

// dayOf reads a day, or a moment; nothing is no time.
func dayOf(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usage("%s: write the day, as 2026-03-31", flag)
}

func uses(flag string, all []string) (out []judge.Use, err error) {
	for _, s := range all {
		u, ok := judge.ParseUse(s)
		if !ok {
			var names []string
			for _, u := range judge.Uses() {
				names = append(names, string(u))
			}
			return nil, usage("%s: there is no use %q; there are %s", flag, s, strings.Join(names, ", "))
		}
		out = append(out, u)
	}
	return out, nil
}

type consentRecordCmd struct {
	consentFlags
	whomFlags
	At      string   `placeholder:"DAY" help:"When it was said, such as 2026-03-31; without it, now."`
	Form    string   `placeholder:"NAME:VERSION" help:"The form that was signed."`
	Yes     []string `placeholder:"CLAUSE" help:"Clauses of the form that were answered with yes."`
	No      []string `placeholder:"CLAUSE" help:"Clauses that were answered with no."`
	Grant   []string `placeholder:"USE" help:"What is granted beside the form: research, sharing, commercial, ai-training, ai-generative, genetic, abroad, linkage, contact."`
	Deny    []string `placeholder:"USE" help:"What is refused beside the form."`
	Expires string   `placeholder:"DAY" help:"When what is granted ends."`
}

// Run records.
func (c *consentRecordCmd) Run(ctx context.Context, s *streams) error {
	var said consent.Said
	var err error
	if said.At, err = dayOf("--at", c.At); err != nil {
		return err
	}
	if said.Expires, err = dayOf("--expires", c.Expires); err != nil {
		return err
	}
	if c.Form != "" {
		var ok bool
		if said.Form, said.Version, ok = strings.Cut(c.Form, ":"); !ok {
			return usage("--form: name it with its version, as NAME:VERSION")
		}
	}
	said.Answers = map[string]bool{}
	for _, id := range c.No {
		said.Answers[id] = false
	}
	for _, id := range c.Yes {
		if _, twice := said.Answers[id]; twice {
			return usage("clause %s is answered with yes and with no", id)
		}
		said.Answers[id] = true
	}
	if said.Grants, err = uses("--grant", c.Grant); err != nil {
		return err
	}
	if said.Denies, err = uses("--deny", c.Deny); err != nil {
		return err
	}
	w, err := c.whom(s)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(o consentOffice) error {
		out, err := o.Record(ctx, w, said)
		if err != nil {
			return err
		}
		return s.outcome(out)
	})
}

// outcome prints what came of something that was recorded.
func (s *streams) outcome(o consent.Outcome) error {
	if s.json {
		return s.value(o)
	}
	switch {
	case o.Out:
		fmt.Fprintf(s.out, "withdrawn from use: %s, %s taken out of sight; the key is destroyed after %s (withdrawal %s)\n", count(int(o.Studies), "study"), count(int(o.Instances), "instance"),
			o.EraseAfter.Format(time.DateOnly), o.Withdrawal)
	case o.Recorded:
		fmt.Fprintln(s.out, "recorded")
	default:
		fmt.Fprintln(s.out, "known already: nothing was changed")
	}
	if o.Pseudonym != "" {
		fmt.Fprintf(s.out, "subject %s\n", o.Pseudonym)
	} else {
		s.say("There is no image of this person yet.")
	}
	for _, w := range o.Words {
		fmt.Fprintln(s.out, w)
	}
	return nil
}

type consentImportCmd struct {
	consentFlags
	Table string `arg:"" name:"file" help:"The table; - reads standard input."`
}

func (c *consentImportCmd) Help() string {
	return `A row of headings, then a row for each thing that a person said. One column says whom it is of: "subject", the collection's pseudonym, or "patient_id" (and "issuer"), the identifier that the
site knows them by, which becomes a keyed hash at once and is not kept. "date" is when it was said. "form" and "version" name the form; any other column is a clause of it, answered yes or no, or left
empty. "grants" and "denies" name uses beside the form, "withdrawal" is contact, collection or use, "expires" a day. Of people of whom there is no image yet it is kept all the same.

The same table again changes nothing. A withdrawal from use is carried out as its row is read. Works while the node runs.

Exit code 3 says that some rows were refused: each is listed with its row, column and reason.`
}

// Run imports.
func (c *consentImportCmd) Run(ctx context.Context, s *streams) error {
	in := s.in
	if c.Table != "-" {
		f, err := os.Open(c.Table)
		if err != nil {
			return usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	return c.with(ctx, s, func(o consentOffice) error {
		r, err := o.Import(ctx, in)
		if err != nil {
			return err
		}
		if s.json {
			err = s.value(r)
		} else {
			fmt.Fprintf(s.out, "%s: %d recorded, %d known already, %d refused; %s taken out of sight\n", count(r.Rows, "row"), r.Recorded, r.Known, r.Refused, count(r.Withdrawn, "person"))
			if r.Without > 0 {
				s.say("Of people of whom there is no image yet: %s.", count(r.Without, "row"))
			}
			t := &table{head: []string{"ROW", "COLUMN", "WHY"}}
			for _, p := range r.Problems {
				t.add(strconv.Itoa(p.Row), p.Column, p.Text)
			}
			if len(t.rows) > 0 {
				err = s.print(t)
			}
		}
		if err == nil && r.Refused > 0 {
			return partial
		}
		return err
	})
}

type consentShowCmd struct {
	consentFlags
	whomFlags
}

// Run shows a person.
func (c *consentShowCmd) Run(ctx context.Context, s *streams) error {
	w, err := c.whom(s)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(o consentOffice) error {
		p, err := o.Person(ctx, w)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(p)
		}
		if p.Pseudonym != "" {
			fmt.Fprintf(s.out, "subject %s\n", p.Pseudonym)
		}
		for _, w := range p.Words {
			fmt.Fprintln(s.out, w)
		}
		t := &table{head: []string{"SAID", "FORM", "GRANTS", "DENIES", "WITHDRAWAL", "RECORDED", "BY"}}
		for _, e := range p.Events {
			form := e.Form
			if form != "" {
				form += ":" + e.Version
			}
			at := ""
			if e.At != nil {
				at = e.At.Format(time.DateOnly)
			}
			t.add(at, form, joined(e.Grants), joined(e.Denies), string(e.Withdrawal), e.Recorded.Format(time.DateOnly), e.By)
		}
		if len(t.rows) == 0 {
			return nil
		}
		return s.print(t)
	})
}

func joined(uses []judge.Use) string {
	all := make([]string, len(uses))
	for i, u := range uses {
		all[i] = string(u)
	}
	return strings.Join(all, " ")
}

type consentSummaryCmd struct{ consentFlags }

// Run sums a collection up.
func (c *consentSummaryCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		v, err := o.Summary(ctx)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(v)
		}
		for _, w := range v.Words {
			fmt.Fprintln(s.out, w)
		}
		if len(v.Bases) == 0 {
			s.say("No legal basis is recorded: what nobody has consented to waits for a person. See vitrine consent basis add --help.")
		}
		return nil
	})
}

type consentFormCmd struct {
	Add  consentFormAddCmd  `cmd:"" help:"Add a version of a form, from a file of JSON."`
	List consentFormListCmd `cmd:"" help:"List the forms of a collection with their versions."`
}

type consentFormAddCmd struct {
	consentFlags
	File string `arg:"" name:"file" help:"The form; - reads standard input."`
}

func (c *consentFormAddCmd) Help() string {
	return `{"name": "main", "version": "2.1", "title": "Consent to imaging research", "clauses": [
  {"id": "research", "text": "My images may be used for research.", "grants": ["research"], "always": true},
  {"id": "share", "text": "They may be given to researchers elsewhere.", "grants": ["sharing"]},
  {"id": "companies", "text": "No company may use them.", "denies": ["commercial"]}]}

Who answers a clause with yes grants its grants and denies its denies; who answers with no denies its grants. "always" has no box: whoever signs has agreed. Uses are research, sharing, commercial, ai-training,
ai-generative, genetic, abroad, linkage, contact. What a version says never changes: a new text is a new version.`
}

// Run adds a form.
func (c *consentFormAddCmd) Run(ctx context.Context, s *streams) error {
	in := s.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	dec := json.NewDecoder(io.LimitReader(in, 1<<20))
	dec.DisallowUnknownFields()
	var form record.Form
	if err := dec.Decode(&form); err != nil {
		return usage("the form is not the JSON that is wanted: %w", err)
	}
	return c.with(ctx, s, func(o consentOffice) error {
		added, err := o.AddForm(ctx, form)
		switch {
		case err != nil:
			return err
		case s.json:
			return s.value(map[string]bool{"added": added})
		case added:
			fmt.Fprintf(s.out, "form %s added\n", form.FormName())
		default:
			fmt.Fprintf(s.out, "form %s is there already, the same\n", form.FormName())
		}
		return nil
	})
}

type consentFormListCmd struct{ consentFlags }

// Run lists forms.
func (c *consentFormListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		all, err := o.Forms(ctx)
		if err != nil {
			return err
		}
		t := &table{head: []string{"FORM", "TITLE", "CLAUSES", "RECORDED"}, none: "The collection has no form."}
		for _, f := range all {
			t.add(f.FormName(), f.Title, strconv.Itoa(len(f.Clauses)), f.Created.Format(time.DateOnly))
		}
		return s.list(all, t)
	})
}

type consentBasisCmd struct {
	Add  consentBasisAddCmd  `cmd:"" help:"Record a legal basis."`
	List consentBasisListCmd `cmd:"" help:"List the legal bases that a collection has and had."`
	End  consentBasisEndCmd  `cmd:"" help:"End a legal basis: from then on it permits nothing."`
}

type consentBasisAddCmd struct {
	consentFlags
	Kind       string `arg:"" enum:"consent,s251,anonymised,public" help:"consent, s251 (section 251 of the NHS Act 2006), anonymised or public. Of the last two it is your attestation."`
	Reference  string `placeholder:"TEXT" help:"Of s251: the reference of the Confidentiality Advisory Group, as 20/CAG/0001."`
	From       string `placeholder:"DAY" help:"From when it holds."`
	Until      string `placeholder:"DAY" help:"Until when; of s251 it has to be said."`
	CameBefore string `name:"came-before" placeholder:"DAY" help:"It covers those alone of whom something came before this day: for what is historic."`
	OptOut     string `name:"opt-out" placeholder:"applies|waived|elsewhere" help:"Of s251: whether the national data opt-out applies (it does unless said otherwise), is waived, or the data come from no provider in England."`
}

// Run records a basis.
func (c *consentBasisAddCmd) Run(ctx context.Context, s *streams) error {
	b := record.Basis{Basis: judge.Basis{Kind: judge.Kind(c.Kind), Reference: c.Reference, OptOut: judge.OptOut(c.OptOut)}}
	var err error
	if b.From, err = dayOf("--from", c.From); err != nil {
		return err
	}
	if b.Until, err = dayOf("--until", c.Until); err != nil {
		return err
	}
	if b.CameBefore, err = dayOf("--came-before", c.CameBefore); err != nil {
		return err
	}
	return c.with(ctx, s, func(o consentOffice) error {
		id, err := o.AddBasis(ctx, b)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(map[string]string{"id": id})
		}
		fmt.Fprintf(s.out, "basis %s recorded\n", id)
		return nil
	})
}

type consentBasisListCmd struct{ consentFlags }

// Run lists bases.
func (c *consentBasisListCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		all, err := o.Bases(ctx)
		if err != nil {
			return err
		}
		t := &table{head: []string{"BASIS", "KIND", "REFERENCE", "FROM", "UNTIL", "CAME BEFORE", "OPT-OUT", "CHECKED", "ENDED"}, none: "No legal basis is recorded."}
		date := func(at *time.Time) string {
			if at == nil {
				return ""
			}
			return at.Format(time.DateOnly)
		}
		for _, b := range all {
			t.add(b.ID, string(b.Kind), b.Reference, date(b.From), date(b.Until), date(b.CameBefore), string(b.OptOut), date(b.Checked), date(b.Ended))
		}
		return s.list(all, t)
	})
}

type consentBasisEndCmd struct {
	consentFlags
	Basis string `arg:"" help:"Its number, as list shows it."`
}

// Run ends a basis.
func (c *consentBasisEndCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		if err := o.EndBasis(ctx, c.Basis); err != nil {
			return err
		}
		s.say("Ended.")
		return nil
	})
}

type consentOptOutsCmd struct {
	consentFlags
	List    string `arg:"" name:"file" help:"Who has opted out, an identifier a line as the site knows them; - reads standard input. An empty list is one, too."`
	Checked string `placeholder:"DAY" help:"When the list came back; without it, now."`
	Issuer  string `placeholder:"TEXT" help:"Issuer of Patient ID, where images name one."`
}

func (c *consentOptOutsCmd) Help() string {
	return `The national data opt-out of England concerns what is used under section 251 without consent, where it is not waived. Send the identifiers of the collection's patients to the check (MESH), and give
the node what comes back as to be removed. It holds for seven days: later, nothing is given out under that basis until it is checked again. The list takes the place of the one before; kept are keyed hashes.`
}

// Run records a check.
func (c *consentOptOutsCmd) Run(ctx context.Context, s *streams) error {
	at, err := dayOf("--checked", c.Checked)
	if err != nil {
		return err
	}
	in := s.in
	if c.List != "-" {
		f, err := os.Open(c.List)
		if err != nil {
			return usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	return c.with(ctx, s, func(o consentOffice) error {
		n, err := o.OptOuts(ctx, at, c.Issuer, in)
		if err != nil {
			return err
		}
		if s.json {
			return s.value(map[string]int64{"people": n})
		}
		fmt.Fprintf(s.out, "checked: %s have opted out\n", count(int(n), "person"))
		return nil
	})
}

// numberOf reads a number as lists show it.
func numberOf(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return 0, usage("%q is no number as the list shows it", s)
	}
	return n, nil
}
