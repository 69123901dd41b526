package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
)

type collectionsCmd struct {
	Create collectionCreateCmd `cmd:"" help:"Create a collection."`
	List   collectionListCmd   `cmd:"" help:"List the collections."`
	Show   collectionShowCmd   `cmd:"" help:"Show a collection and where its deposits stand."`
	Set    collectionSetCmd    `cmd:"" help:"Change a collection's settings."`

	Profile collectionProfileCmd `cmd:"" help:"Show the profiles that a collection has had, or put another one in force."`
	Risk    collectionRiskCmd    `cmd:"" help:"Measure how far its people are alike in what is told of them, and what would make them so."`
}

type collectionCreateCmd struct {
	adminFlags
	ID       string `arg:"" help:"Lower-case letters, digits and hyphens; it is part of addresses."`
	Title    string `placeholder:"TEXT" help:"What people call it."`
	Profile  string `default:"research" placeholder:"NAME" help:"Profile of de-identification: research, basic, public or as-deposited; one of the first three with options, as in basic+clean-descriptors. Default: ${default}."`
	AET      string `name:"aet" placeholder:"AET" help:"Called AE title that reaches it by DICOM."`
	Protocol string `placeholder:"NAME" help:"Imaging protocol that its deposits are checked against."`
	Unlinked bool   `name:"no-reidentification" help:"Do not keep who its subjects are: nobody can be told, whatever the reason. It cannot be changed later."`
}

func (c *collectionCreateCmd) Help() string {
	return `With --profile as-deposited nothing is changed, and creating the collection is your attestation that what is deposited is de-identified already; the audit log keeps it
under your name.`
}

// Run creates a collection.
func (c *collectionCreateCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	made, err := o.CreateCollection(ctx, admin.CollectionView{ID: c.ID, Title: c.Title, Profile: c.Profile, AETitle: c.AET, Protocol: c.Protocol, NoReidentification: c.Unlinked})
	if err != nil {
		return err
	}
	if made.AttestedBy != "" && !cli.Quiet {
		s.say("The audit log now holds the attestation of %s that what is deposited into %s is de-identified already.", made.AttestedBy, made.ID)
	}
	return s.list(made, collectionTable([]admin.CollectionView{made}))
}

type collectionSetCmd struct {
	adminFlags
	ID         string  `arg:"" help:"The collection."`
	Title      *string `placeholder:"TEXT" help:"What people call it."`
	AET        *string `name:"aet" placeholder:"AET" help:"Called AE title that reaches it by DICOM; empty: none does."`
	Deposits   *string `placeholder:"open|closed" help:"Whether it takes deposits."`
	Acceptance *string `placeholder:"automatic|person" help:"Who accepts images in whose pixels text may be: the node, where it can paint over what it finds, or a person always."`
}

func (c *collectionSetCmd) Help() string {
	return `With --acceptance person the node reads the pixels of what it holds as ever and notes what it finds, and accepts nothing in its own name: a steward decides on each. What was accepted before
stays.`
}

// Run changes a collection.
func (c *collectionSetCmd) Run(ctx context.Context, s *streams) error {
	v := admin.CollectionChange{Title: c.Title, AETitle: c.AET, State: c.Deposits}
	if c.Acceptance != nil {
		switch *c.Acceptance {
		case "automatic":
			v.NoAutomaticAcceptance = new(false)
		case "person":
			v.NoAutomaticAcceptance = new(true)
		default:
			return usage("--acceptance is automatic or person")
		}
	}
	if v == (admin.CollectionChange{}) {
		return usage("say what to change")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	made, err := o.ChangeCollection(ctx, c.ID, v)
	if err != nil {
		return err
	}
	return s.list(made, collectionTable([]admin.CollectionView{made}))
}

type collectionListCmd struct{ adminFlags }

// Run lists the collections.
func (c *collectionListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Collections(ctx)
	if err != nil {
		return err
	}
	return s.list(all, collectionTable(all))
}

func collectionTable(all []admin.CollectionView) *table {
	t := &table{head: []string{"ID", "TITLE", "PROFILE", "AE TITLE", "PROTOCOL", "STATE", "CREATED"}}
	for _, c := range all {
		t.add(c.ID, c.Title, c.Profile, c.AETitle, c.Protocol, c.State, day(c.Created))
	}
	return t
}

type collectionShowCmd struct {
	adminFlags
	ID string `arg:"" help:"The collection."`
}

// Run shows a collection.
func (c *collectionShowCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.Collection(ctx, c.ID)
	if err != nil {
		return fmt.Errorf("collection %s: %w", cell(c.ID), err)
	}
	if s.json {
		return s.value(v)
	}
	profile := v.Profile + ", version " + v.ProfileVersion
	if v.ProfileDigest != "" {
		profile += ", file " + v.ProfileDigest[:min(12, len(v.ProfileDigest))]
	}
	rows := [][2]string{{"id", v.ID}, {"title", v.Title}, {"profile", profile}, {"AE title", v.AETitle}, {"protocol", v.Protocol}, {"state", v.State},
		{"acceptance", acceptance(v.NoAutomaticAcceptance)}, {"created", day(v.Created)}}
	if v.AttestedBy != "" {
		rows = append(rows, [2]string{"attested", "by " + v.AttestedBy + ", " + day(v.Attested)})
	}
	if n := v.Intake; n != nil {
		for _, r := range []struct {
			name string
			n    int64
		}{{"received", n.Received}, {"  pending", n.Pending}, {"  catalogued", n.Catalogued}, {"  held", n.Held}, {"  restricted", n.Restricted}, {"  refused", n.Refused}} {
			if r.name == "  restricted" && r.n == 0 {
				continue
			}
			rows = append(rows, [2]string{r.name, strconv.FormatInt(r.n, 10)})
		}
	}
	for _, r := range rows {
		fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
	}
	return nil
}

func acceptance(person bool) string {
	if person {
		return "by a person"
	}
	return "automatic"
}

type collectionRiskCmd struct {
	adminFlags
	ID string `arg:"" help:"The collection."`
	K  int    `name:"k" default:"5" placeholder:"N" help:"How many people should be alike at least. Default: ${default}."`
}

func (c *collectionRiskCmd) Help() string {
	return `Somebody who knows a few things of a person (sex, age, diagnosis, stage, when and on which device they were examined) may find them in a collection. People of whom the same is told hide among each
other: k-anonymity is how many they are at least. Each person counts once, by what is admitted or released and by the clinical facts that were imported.

With people in smaller classes than --k the exit code is 3, so that a script can ask before it publishes.`
}

// Run measures.
func (c *collectionRiskCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	r, err := o.Risk(ctx, c.ID, c.K)
	if err != nil {
		return err
	}
	if s.json {
		if err := s.value(r); err != nil {
			return err
		}
	} else {
		c.tell(s, r)
	}
	if r.Below > 0 {
		return partial
	}
	return nil
}

func (c *collectionRiskCmd) tell(s *streams, r *risk.Report) {
	c.alike(s, r)
	if f := r.Faces; f != nil && f.Could+f.None > 0 {
		fmt.Fprintf(s.out, "\nSeries that could show a face: %d of %d (found %d, cannot be told %d, not looked at %d).\n", f.Could, f.Could+f.None, f.Found, f.Unsure, f.Unknown)
	}
}

func (c *collectionRiskCmd) alike(s *streams, r *risk.Report) {
	switch {
	case r.People == 0:
		fmt.Fprintf(s.out, "Nobody counts in %s yet: nothing is admitted.\n", c.ID)
		return
	case r.Below == 0:
		fmt.Fprintf(s.out, "Of each of the %s in %s the same is told as of %d others or more.\n", people(r.People), c.ID, r.Smallest-1)
		return
	}
	fmt.Fprintf(s.out, "%s in %s; of %d of them the same is told as of fewer than %d others, and %d stand alone.\n", people(r.People), c.ID, r.Below, r.Wanted-1, r.Alone)
	if len(r.Tells) > 0 {
		t := &table{head: []string{"SINGLED OUT BY", "PEOPLE"}}
		for _, one := range r.Tells[:min(len(r.Tells), 10)] {
			t.add(strings.Join(one.Fields, ", "), strconv.Itoa(one.People))
		}
		fmt.Fprintln(s.out)
		s.print(t)
	}
	if m := r.Mend; m != nil && len(m.Steps) > 0 {
		t := &table{head: []string{"TELL MORE COARSELY", "NOW", "THEN"}}
		for _, step := range m.Steps {
			t.add(step.Field, step.Now, step.Then)
		}
		fmt.Fprintln(s.out)
		s.print(t)
		if m.Below > 0 {
			fmt.Fprintf(s.out, "Even then %s would have to be left out.\n", people(m.Below))
		} else {
			fmt.Fprintf(s.out, "Then the smallest class has %s.\n", people(m.Smallest))
		}
	}
	if m := r.Spare; m != nil {
		fmt.Fprintf(s.out, "\nOr, with %s left out:\n", people(m.Below))
		t := &table{head: []string{"TELL MORE COARSELY", "NOW", "THEN"}}
		for _, step := range m.Steps {
			t.add(step.Field, step.Now, step.Then)
		}
		s.print(t)
	}
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return strconv.Itoa(n) + " people"
}

type collectionProfileCmd struct {
	adminFlags
	ID  string `arg:"" help:"The collection."`
	Put string `arg:"" optional:"" name:"file" help:"File of the collection's own rules, or the name of a profile. Without it, the profiles that it has had are listed."`
}

func (c *collectionProfileCmd) Help() string {
	return `A file's tests are run first, and it has to have some; one that fails refuses it. What comes from now on is cleaned by the new profile; deposits that have begun, and what
is there already, stay with the one that they were cleaned by, which each object names. A version that was in force is never changed: raise the file's version instead.`
}

// Run lists profiles, or puts one in force.
func (c *collectionProfileCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	var text []byte
	if c.Put != "" {
		p, err := profileNamed(c.Put)
		if err != nil {
			return err
		}
		text = []byte(p.Name)
		if p.Own() {
			if text, err = readProfileFile(c.Put); err != nil {
				return err
			}
		}
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if c.Put == "" {
		all, err := o.Profiles(ctx, c.ID)
		if err != nil {
			return err
		}
		return s.list(all, profileTable(all))
	}
	v, err := o.PutProfile(ctx, c.ID, text)
	if err != nil {
		return err
	}
	if !cli.Quiet {
		s.say("What comes into %s from now on is cleaned by %s %s. What is there stays as it was cleaned.", c.ID, v.Profile, v.Version)
	}
	return s.list(v, profileTable([]admin.ProfileView{v}))
}

func profileTable(all []admin.ProfileView) *table {
	t := &table{head: []string{"NUMBER", "PROFILE", "VERSION", "FILE", "SINCE", "BY", ""}}
	for _, v := range all {
		now := ""
		if v.Current {
			now = "in force"
		}
		t.add(strconv.FormatInt(v.Number, 10), v.Profile, v.Version, v.Digest[:min(12, len(v.Digest))], day(v.Since), v.By, now)
	}
	return t
}
