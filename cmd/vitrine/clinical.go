package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type clinicalCmd struct {
	Import clinicalImportCmd `cmd:"" help:"Read a CSV of sex, age, diagnoses, stage and dates into a collection."`
}

type clinicalImportCmd struct {
	nodeFlags
	keyFlags
	Table      string `arg:"" name:"file" help:"The table; - reads standard input."`
	Collection string `required:"" placeholder:"ID" help:"The collection."`
	Shifted    bool   `help:"Dates are those of the cleaned images already, and are not shifted again."`
}

func (c *clinicalImportCmd) Help() string {
	return `A row of headings, then a row for each subject or visit. One column says whose the row is: "subject", the collection's pseudonym, or "patient_id", the patient's own
identifier, which becomes the pseudonym at once and is not kept. Read are besides: sex, age with age_date or birth_date (of which the age alone is kept), diagnosis, icd10,
topography, morphology, snomed, stage, tnm (or t, n, m), diagnosis_date, visit, visit_date. Other columns are dropped, and listed.

Dates are shifted as those of the subject's images. What a later table does not speak of stays as it was. Works while the node runs.

Exit code 3 says that some rows were refused: each is listed with its row, column and reason.`
}

// Run imports a table.
func (c *clinicalImportCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	cfg := c.config()
	c.keyFlags.into(&cfg)
	if err := there(cfg); err != nil {
		return err
	}
	id, err := collection.ParseID(c.Collection)
	if err != nil {
		return usage("--collection: %w", err)
	}
	in := s.in
	if c.Table != "-" {
		f, err := os.Open(c.Table)
		if err != nil {
			return usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	st, err := node.OpenStores(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer st.Close()
	desk, err := st.Clinical(ctx)
	if err != nil {
		return err
	}
	r, err := desk.Import(ctx, operator(), id, in, clinical.Options{Shifted: c.Shifted})
	if err != nil {
		return err
	}
	if s.json {
		err = s.value(r)
	} else {
		err = c.print(cli, s, r)
	}
	if err == nil && r.Refused > 0 {
		return partial
	}
	return err
}

func (c *clinicalImportCmd) print(cli *CLI, s *streams, r *clinical.Report) error {
	fmt.Fprintf(s.out, "%s: %d refused; %s, %d with something new; dates %s\n", count(r.Rows, "row"), r.Refused, count(r.Subjects, "subject"), r.Changed, r.Dates)
	if r.New > 0 && !cli.Quiet {
		s.say("Of %s there is no image yet.", count(r.New, "subject"))
	}
	for _, d := range r.Dropped {
		if !cli.Quiet {
			s.say("Column %d %swas dropped: it is none that is read.", d.Number, quoted(d.Name))
		}
	}
	t := &table{head: []string{"ROW", "COLUMN", "CODE", "WHY"}}
	for _, p := range r.Problems {
		t.add(strconv.Itoa(p.Row), p.Column, p.Code, p.Text)
	}
	if len(t.rows) == 0 {
		return nil
	}
	return s.print(t)
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return "(" + cell(name) + ") "
}
