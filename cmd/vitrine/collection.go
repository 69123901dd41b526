package main

import (
	"context"
	"fmt"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"strconv"
)

type collectionsCmd struct {
	Create collectionCreateCmd `cmd:"" help:"Create a collection."`
	List   collectionListCmd   `cmd:"" help:"List the collections."`
	Show   collectionShowCmd   `cmd:"" help:"Show a collection and where its deposits stand."`
}

type collectionCreateCmd struct {
	adminFlags
	ID       string `arg:"" help:"Lower-case letters, digits and hyphens; it is part of addresses."`
	Title    string `placeholder:"TEXT" help:"What people call it."`
	Profile  string `default:"research" placeholder:"NAME" help:"Profile of de-identification: research, basic, public or as-deposited; one of the first three with options, as in basic+clean-descriptors. Default: ${default}."`
	AET      string `name:"aet" placeholder:"AET" help:"Called AE title that reaches it by DICOM."`
	Protocol string `placeholder:"NAME" help:"Imaging protocol that its deposits are checked against."`
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
	made, err := o.CreateCollection(ctx, admin.CollectionView{ID: c.ID, Title: c.Title, Profile: c.Profile, AETitle: c.AET, Protocol: c.Protocol})
	if err != nil {
		return err
	}
	if made.AttestedBy != "" && !cli.Quiet {
		s.say("The audit log now holds the attestation of %s that what is deposited into %s is de-identified already.", made.AttestedBy, made.ID)
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
	rows := [][2]string{{"id", v.ID}, {"title", v.Title}, {"profile", v.Profile + ", version " + v.ProfileVersion}, {"AE title", v.AETitle}, {"protocol", v.Protocol}, {"state", v.State},
		{"created", day(v.Created)}}
	if v.AttestedBy != "" {
		rows = append(rows, [2]string{"attested", "by " + v.AttestedBy + ", " + day(v.Attested)})
	}
	if n := v.Intake; n != nil {
		for _, r := range []struct {
			name string
			n    int64
		}{{"received", n.Received}, {"  pending", n.Pending}, {"  catalogued", n.Catalogued}, {"  held", n.Held}, {"  refused", n.Refused}} {
			rows = append(rows, [2]string{r.name, strconv.FormatInt(r.n, 10)})
		}
	}
	for _, r := range rows {
		fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
	}
	return nil
}
