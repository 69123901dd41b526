package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

type reportCmd struct {
	adminFlags
	Deposit    string `arg:"" optional:"" help:"The deposit, by its number."`
	Collection string `placeholder:"ID" help:"In place of a number: the latest deposit into this collection."`
}

func (c *reportCmd) Help() string {
	return `What came, by what it was judged, what was done to which elements, what was held or refused and why, what was painted and searched: in counts, without a value, a UID, a file name or a
date of a patient. With --server it is for who deposited and for stewards. --output json prints the whole report; docs/formats/report.md describes it.`
}

// Run prints the report.
func (c *reportCmd) Run(ctx context.Context, s *streams) error {
	if (c.Deposit == "") == (c.Collection == "") {
		return usage("name a deposit by its number, or --collection for the latest one there")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Deposit == "" {
		if c.Deposit, err = o.LatestDeposit(ctx, c.Collection); err != nil {
			return err
		}
	}
	r, err := o.Report(ctx, c.Deposit)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(r)
	}
	return c.print(s, r)
}

func (c *reportCmd) print(s *streams, r *proof.Report) error {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "%-13s %s\n", name, cell(fmt.Sprintf(format, args...)))
	}
	line("deposit", "%s into %s by %s, %s", r.Deposit, r.Collection, r.Door, r.Started.Local().Format(time.DateTime))
	line("came", "%s (%s) of %s", count(int(r.Came.Objects), "object"), bytesText(r.Came.Bytes), people(int(r.Came.Subjects)))
	line("on arrival", "%d passed, %d held, %d refused, %d here before", r.Outcomes.Passed, r.Outcomes.Held, r.Outcomes.Refused, r.Outcomes.Duplicates)
	for _, a := range r.Outcomes.Accepted {
		line("accepted", "%d by %s", a.Objects, a.By)
	}
	if r.Outcomes.RefusedBySteward > 0 {
		line("refused", "%d by a steward", r.Outcomes.RefusedBySteward)
	}
	line("now", "%d being checked, %d admitted, %d released, %d held, %d withdrawn", r.Outcomes.NowPending, r.Outcomes.NowAdmitted, r.Outcomes.NowReleased, r.Outcomes.NowHeld, r.Outcomes.NowOutOfSight)
	for _, p := range r.Profiles {
		codes := make([]string, len(p.Options))
		for i, o := range p.Options {
			codes[i] = o.Code
		}
		line("profile", "%s %s on %s %s: %s; %s", p.Profile, p.Version, p.Base, p.Rules, strings.Join(codes, " "), p.Table)
	}
	a := r.Done.Actions
	line("elements", "%d removed, %d emptied, %d replaced, %d cleaned, %d remapped, %d shifted, %d added, %d kept", a.Removed, a.Emptied, a.Replaced, a.Cleaned, a.Remapped, a.Shifted, a.Added, a.Kept)
	line("pixels", "%d of %s to be read, %d unread; %d painted over in %s", r.Pixels.ToRead, count(int(r.Came.Objects), "object"), r.Pixels.Unread, r.Pixels.Painted, boxes(r.Pixels.Boxes))
	line("searched", "%s on arrival, found in %d; again in %s", bytesText(r.Gate.Bytes), r.Gate.Found, count(int(r.Gate.Echoed), "object"))
	var why reasonList
	why.add("held", r.Why.Held)
	why.add("refused", r.Why.Refused)
	why.add("waiting", r.Why.Waiting)
	why.add("finding", r.Why.Findings)
	if len(why.rows) > 0 {
		fmt.Fprintln(s.out)
		if err := s.print(&table{head: []string{"WHAT", "OBJECTS", "REASON", "CODE"}, rows: why.rows}); err != nil {
			return err
		}
	}
	if len(r.Done.Elements) > 0 {
		fmt.Fprintln(s.out)
		return s.print(elements(r.Done))
	}
	return nil
}

type reasonList struct{ rows [][]string }

func (l *reasonList) add(what string, all []proof.Reason) {
	for _, r := range all {
		l.rows = append(l.rows, []string{what, strconv.FormatInt(r.Objects, 10), r.Text, r.Code})
	}
}

// elements is a table of what was done to elements.
func elements(d deid.Told) *table {
	t := &table{head: []string{"ELEMENT", "NAME", "DONE", "BY", "ELEMENTS", "OBJECTS"}}
	for _, e := range d.Elements {
		by := e.By
		if e.Row != "" {
			by += ", " + e.Row
		}
		if e.Rule != "" {
			by += ": " + e.Rule
		}
		t.add(strings.TrimSpace(e.Element+" "+e.Creator), e.Name, e.Action, by, strconv.FormatInt(e.Elements, 10), strconv.FormatInt(e.Objects, 10))
	}
	return t
}

type statementCmd struct {
	Sign   statementSignCmd   `cmd:"" help:"Say how a collection was de-identified, as it is now, signed by the node."`
	Verify statementVerifyCmd `cmd:"" help:"Prove that a statement is what a node has signed, to the byte; without the node."`
	Show   statementShowCmd   `cmd:"" help:"Show what a statement says, without looking at its signature."`
}

type statementSignCmd struct {
	adminFlags
	keyFlags
	Collection string `arg:"" help:"The collection."`
	Out        string `required:"" placeholder:"FILE" help:"Where to write it; the signature goes beside it, with .sig behind its name."`
}

func (c *statementSignCmd) Help() string {
	return `It counts what came, by which profiles it was judged, who decided on what was held (by role), what was painted and searched, and how far people are alike; and says what it cannot say. It names
nobody. Numbers of people are true ones: look at small ones before you give it away. Whoever verifies it needs the node's public key, which is printed, from you by another way.`
}

// Run signs.
func (c *statementSignCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	if err := targets("", c.Out); err != nil {
		return err
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	signed, err := o.SignStatement(ctx, c.keyFlags, c.Collection)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{c.Out: signed.Statement, c.Out + ".sig": signed.Signature} {
		if err := writeFile(name, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	if s.json {
		return s.value(map[string]string{"public_key": signed.PublicKey})
	}
	fmt.Fprintln(s.out, signed.PublicKey)
	return nil
}

type statementVerifyCmd struct {
	File      string `arg:"" help:"The statement."`
	PublicKey string `required:"" name:"public-key" placeholder:"KEY" help:"The node's public key, or a file that holds it."`
	Signature string `placeholder:"FILE" help:"Its signature; FILE.sig beside the statement unless given."`
}

// Run verifies.
func (c *statementVerifyCmd) Run(s *streams) error {
	text, err := readSmall(c.File)
	if err != nil {
		return err
	}
	name := c.Signature
	if name == "" {
		name = c.File + ".sig"
	}
	sig, err := readSmall(name)
	if err != nil {
		return err
	}
	key := c.PublicKey
	if b, err := readSmall(key); err == nil {
		key = string(b)
	}
	st, err := proof.Verify(text, string(sig), strings.TrimSpace(key))
	switch {
	case fault.Is(err, fault.Invalid):
		return usage("--public-key: %w", err)
	case err != nil:
		return &exit{exitFailed, err}
	}
	if s.json {
		return s.value(map[string]any{"ok": true, "collection": st.Collection.ID, "moment": st.Moment})
	}
	fmt.Fprintf(s.out, "The node of this key said so of %s at %s, and not a byte has changed.\n", st.Collection.ID, st.Moment.Format(time.RFC3339))
	return nil
}

const maxStatement = 4 << 20

// readSmall reads a file that is no larger than a statement may be.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usage("%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStatement+1))
	if err == nil && len(b) > maxStatement {
		err = errors.New(name + " is larger than a statement")
	}
	return b, err
}

type statementShowCmd struct {
	File string `arg:"" help:"The statement."`
}

// Run shows what it says.
func (c *statementShowCmd) Run(s *streams) error {
	text, err := readSmall(c.File)
	if err != nil {
		return err
	}
	st, err := proof.Read(text)
	if err != nil {
		return &exit{exitFailed, err}
	}
	if s.json {
		return s.value(st)
	}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(s.out, "%-13s %s\n", name, cell(fmt.Sprintf(format, args...)))
	}
	line("collection", "%s (%s)", st.Collection.ID, st.Collection.Title)
	line("moment", "%s, by Vitrine %s", st.Moment.Format(time.RFC3339), st.Software)
	for _, p := range st.Profiles {
		codes := make([]string, len(p.Options))
		for i, o := range p.Options {
			codes[i] = o.Code
		}
		line("profile", "%s %s on %s %s: %s; %s; %s", p.Profile, p.Version, p.Base, p.Rules, strings.Join(codes, " "), p.Table, count(int(p.Objects), "object"))
	}
	line("came", "%d, %d passed, %d held, %d refused, %d here before", st.Objects.Came, st.Objects.Passed, st.Objects.Held, st.Objects.Refused, st.Objects.Duplicates)
	for _, d := range st.Decisions {
		line("decided", "%d %s by %s", d.Objects, d.Outcome, d.By)
	}
	for _, x := range st.Standing {
		if x.Objects > 0 {
			line(x.State, "%s of %s", count(int(x.Objects), "object"), people(int(x.Subjects)))
		}
	}
	line("pixels", "%d to be read, %d unread, %d painted over; %s", st.Pixels.ToRead, st.Pixels.Unread, st.Pixels.Painted, st.Detector)
	line("searched", "%s on arrival, %s again at admission", bytesText(st.Gate.Bytes), count(int(st.Gate.Echoed), "object"))
	if r := st.Risk; r != nil {
		line("alike", "of %s, %d in classes of fewer than %d, %d alone", people(r.People), r.Below, r.Wanted, r.Alone)
	}
	for _, l := range st.Limits {
		line("limit", "%s", l)
	}
	return nil
}

func noDeposit(collection string) error {
	return fmt.Errorf("there is no deposit of yours into %s", collection)
}

func boxes(n int64) string {
	if n == 1 {
		return "1 box"
	}
	return strconv.FormatInt(n, 10) + " boxes"
}
