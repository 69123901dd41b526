package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

type profilesCmd struct {
	List    profileListCmd    `cmd:"" help:"List the profiles, and the options of PS3.15 E.3."`
	Show    profileShowCmd    `cmd:"" help:"Show what a profile does, in words."`
	Explain profileExplainCmd `cmd:"" help:"Say what happens to an element, by which row or rule, and why."`
	Check   profileCheckCmd   `cmd:"" help:"Check that a profile's file can be used."`
	Test    profileTestCmd    `cmd:"" help:"Run the tests that a profile's file has."`
	Diff    profileDiffCmd    `cmd:"" help:"Say what two profiles do otherwise than each other."`
}

// profileNamed is the profile that --profile names: a name, or the path of a file.
func profileNamed(name string) (*deid.Profile, error) {
	p, err := deid.Lookup(name)
	if err == nil {
		return p, nil
	}
	f, ok := errors.AsType[*fault.Error](err)
	if ok && f.Kind == fault.Invalid {
		return nil, usage("--profile: %s", f.Reason)
	}
	if looksLikeFile(name) {
		return profileFile(name)
	}
	if ok {
		return nil, usage("--profile: there is no profile %q; %s", name, f.Reason)
	}
	return nil, err
}

// looksLikeFile reports what nobody calls a profile.
func looksLikeFile(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml" || strings.ContainsRune(name, os.PathSeparator)
}

// readProfileFile reads the bytes of a profile's file.
func readProfileFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usage("%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, deid.MaxProfileSize+1))
	if err != nil {
		return nil, usage("%w", err)
	}
	return b, nil
}

func profileFile(path string) (*deid.Profile, error) {
	b, err := readProfileFile(path)
	if err != nil {
		return nil, err
	}
	p, err := deid.ParseProfile(b)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return nil, usage("%s cannot be used:\n%s", path, f.Reason)
	}
	return p, err
}

type profileListCmd struct{}

// profileView is a profile as `profile show` prints it.
type profileView struct {
	Name       string            `json:"name"`
	Version    string            `json:"version"`
	Title      string            `json:"title"`
	Base       string            `json:"base,omitempty"`
	Changed    []string          `json:"changed,omitempty"`
	Table      string            `json:"table"`
	Options    []deid.OptionView `json:"options"`
	Vocabulary []string          `json:"vocabulary,omitempty"`
	Rules      []deid.RuleView   `json:"rules,omitempty"`
	Limits     []string          `json:"limits,omitempty"`
	Tests      int               `json:"tests,omitempty"`
	Digest     string            `json:"digest,omitempty"`
}

func viewProfile(p *deid.Profile) profileView {
	v := profileView{Name: p.Name, Version: p.Version, Title: p.Title, Table: deid.TableEdition, Options: p.Options.Describe(), Vocabulary: p.Vocabulary(), Rules: p.Rules(),
		Changed: p.Changed(), Tests: p.Cases(), Digest: p.Digest()}
	if b := p.Base(); b != p.Name {
		v.Base = b
	}
	if p.Own() {
		v.Limits = deid.Limits()
	}
	return v
}

// Run lists the profiles and options.
func (c *profileListCmd) Run(s *streams) error {
	var all []profileView
	t := &table{head: []string{"PROFILE", "VERSION", "WHAT"}}
	for _, name := range deid.Profiles() {
		p, err := deid.Lookup(name)
		if err != nil {
			return err
		}
		all = append(all, viewProfile(p))
		t.add(p.Name, p.Version, p.Title)
	}
	options := &table{head: []string{"OPTION", "CLAUSE", "WHAT"}}
	var every deid.Option
	for _, name := range deid.Options() {
		o, _ := deid.ParseOption(name)
		every |= o
	}
	for _, o := range every.Describe() {
		options.add(o.Name, o.Clause, o.Words)
	}
	if s.json {
		return s.value(struct {
			Table    string            `json:"table"`
			Profiles []profileView     `json:"profiles"`
			Options  []deid.OptionView `json:"options"`
		}{deid.TableEdition, all, every.Describe()})
	}
	if err := s.print(t); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nOptions join research, basic and public by plus signs, as in basic+clean-descriptors:\n")
	if err := s.print(options); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nBy Table E.1-1 of %s.\n", deid.TableEdition)
	return nil
}

type profileShowCmd struct {
	Profile string `arg:"" help:"Name, or file."`
}

// Run shows a profile.
func (c *profileShowCmd) Run(s *streams) error {
	p, err := profileNamed(c.Profile)
	if err != nil {
		return err
	}
	v := viewProfile(p)
	if s.json {
		return s.value(v)
	}
	fmt.Fprintf(s.out, "%s %s: %s\n", v.Name, v.Version, cell(v.Title))
	if v.Base != "" {
		fmt.Fprintf(s.out, "On %s%s.\n", v.Base, strings.TrimSuffix(", "+strings.Join(v.Changed, ", "), ", "))
	}
	if v.Digest != "" {
		fmt.Fprintf(s.out, "File sha256:%s, %s.\n", v.Digest, count(v.Tests, "test"))
	}
	fmt.Fprintf(s.out, "By Table E.1-1 of %s.\n", v.Table)
	if len(v.Options) > 0 {
		fmt.Fprint(s.out, "\nOptions\n")
		for _, o := range v.Options {
			fmt.Fprintf(s.out, "  %s (%s): %s\n", o.Name, o.Clause, o.Words)
		}
	}
	if len(v.Vocabulary) > 0 {
		fmt.Fprintf(s.out, "\nWords that all text may keep besides\n  %s\n", cell(strings.Join(v.Vocabulary, ", ")))
	}
	if len(v.Rules) > 0 {
		fmt.Fprint(s.out, "\nRules, the first that can decide does\n")
		for _, r := range v.Rules {
			which := r.Which
			if which == "" {
				which = "the object"
			}
			if r.When != "" {
				which += ", where " + r.When
			}
			fmt.Fprintf(s.out, "  %s: %s: %s.\n    %s\n", r.ID, which, r.Does, r.Reason)
		}
	}
	if len(v.Limits) > 0 {
		fmt.Fprint(s.out, "\nWhat no rule loosens\n")
		for _, l := range v.Limits {
			fmt.Fprintf(s.out, "  %s\n", l)
		}
	}
	return nil
}

type profileExplainCmd struct {
	Element string `arg:"" placeholder:"ELEMENT" help:"Keyword, tag as (0018,1030), or private element as (0019,xx0C,\"CREATOR\")."`
	Profile string `default:"research" placeholder:"NAME|FILE" help:"Profile to explain it by. Default: ${default}."`
}

// Run explains an element.
func (c *profileExplainCmd) Run(s *streams) error {
	p, err := profileNamed(c.Profile)
	if err != nil {
		return err
	}
	x, err := p.Explain(c.Element)
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return usage("%s", f.Reason)
	}
	if err != nil {
		return err
	}
	if s.json {
		return s.value(x)
	}
	name := strings.Join(strings.Fields(strings.Join([]string{x.Element, x.Creator, x.VR, x.Name}, " ")), " ")
	if x.Retired {
		name += " (retired)"
	}
	fmt.Fprintf(s.out, "%s under %s %s\n", name, x.Profile, x.Version)
	if r := x.Row; r != nil {
		line := "  " + r.Edition + ": Basic Profile " + r.Basic
		for _, part := range []struct {
			code string
			of   []string
		}{{"K", r.Keep}, {"C", r.Clean}} {
			if len(part.of) > 0 {
				line += "; " + part.code + " with " + strings.Join(part.of, ", ")
			}
		}
		fmt.Fprintln(s.out, line)
	} else {
		fmt.Fprintf(s.out, "  Table E.1-1 (%s) has no row for it\n", deid.TableEdition)
	}
	for _, k := range x.Cases {
		when := ""
		switch {
		case k.When != "":
			when = "where " + k.When + ": "
		case len(x.Cases) > 1:
			when = "elsewhere: "
		}
		fmt.Fprintf(s.out, "%s%s\n  by %s\n  %s\n", when, k.Fate, k.By, k.Why)
	}
	return nil
}

type profileCheckCmd struct {
	File string `arg:"" help:"The profile's file."`
}

// Run checks a file.
func (c *profileCheckCmd) Run(cli *CLI, s *streams) error {
	p, err := profileFile(c.File)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(viewProfile(p))
	}
	fmt.Fprintf(s.out, "%s %s can be used: %s on %s, %s\n", p.Name, p.Version, count(len(p.Rules()), "rule"), p.Base(), count(p.Cases(), "test"))
	if p.Cases() == 0 && !cli.Quiet {
		s.say("It has no tests. A test says of made-up elements what has to come of them.")
	}
	return nil
}

type profileTestCmd struct {
	File string `arg:"" help:"The profile's file."`
}

func (c *profileTestCmd) Help() string {
	return `Each test of the file is an object of made-up elements, which is cleaned by the profile without a node or a network. Exit code 1 says that something else came of one
than it expects.`
}

// Run runs a file's tests.
func (c *profileTestCmd) Run(_ context.Context, cli *CLI, s *streams) error {
	p, err := profileFile(c.File)
	if err != nil {
		return err
	}
	results := p.Test()
	bad := 0
	for _, r := range results {
		if !r.Passed {
			bad++
		}
	}
	if s.json {
		err = s.value(results)
	} else {
		printCases(s.out, results)
		fmt.Fprintf(s.out, "%s %s: %s, %d failed\n", p.Name, p.Version, count(len(results), "test"), bad)
	}
	if len(results) == 0 && !cli.Quiet {
		s.say("%s has no tests.", c.File)
	}
	if err == nil && bad > 0 {
		return failed
	}
	return err
}

// printCases says what differs from what tests expect. The values are the tests' own.
func printCases(w io.Writer, results []deid.CaseResult) {
	for _, r := range results {
		if r.Passed {
			continue
		}
		fmt.Fprintf(w, "FAIL line %d: %s\n", r.Line, cell(r.Name))
		for _, d := range r.Problems {
			what := d.Element
			if what == "" {
				what = "the object"
			}
			fmt.Fprintf(w, "  %s\n    wanted %s\n    got    %s\n", cell(what), cell(d.Want), cell(d.Got))
		}
	}
}

type profileDiffCmd struct {
	One   string `arg:"" help:"Name, or file."`
	Other string `arg:"" help:"Name, or file."`
}

// difference is an element that two profiles treat otherwise.
type difference struct {
	Element string `json:"element"`
	Name    string `json:"name"`
	One     string `json:"one"`
	Other   string `json:"other"`
}

// Run compares two profiles element by element.
func (c *profileDiffCmd) Run(s *streams) error {
	a, err := profileNamed(c.One)
	if err != nil {
		return err
	}
	b, err := profileNamed(c.Other)
	if err != nil {
		return err
	}
	all := []difference{}
	t := &table{head: []string{"ELEMENT", "NAME", strings.ToUpper(a.Name), strings.ToUpper(b.Name)}, none: "They do the same to every element that the dictionary has."}
	for d := range deid.Differences(a, b) {
		all = append(all, difference(d))
		t.add(d.Element, d.Name, d.One, d.Other)
	}
	return s.list(all, t)
}
