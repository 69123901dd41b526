package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	peopleflow "github.com/vitrine-imaging/vitrine/internal/flow/people"
)

type userShowCmd struct{ oneUser }

// Run shows.
func (c *userShowCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.Known(ctx, c.ID)
	if err != nil {
		return err
	}
	return s.person(v)
}

// person prints what is known of somebody.
func (s *streams) person(v peopleflow.View) error {
	if s.json {
		return s.value(v)
	}
	orcid, confirmed := v.ORCID, ""
	if orcid != "" {
		orcid += " (" + map[string]string{"stated": "stated", "provider": "from their institution"}[v.ORCIDBy] + ")"
	}
	if v.Confirmed != nil {
		confirmed = v.Confirmed.UTC().Format(time.DateOnly) + " by " + v.ConfirmedBy + ", for 12 months"
	}
	for _, r := range [][2]string{{"account", v.ID}, {"name", v.Name}, {"orcid", orcid}, {"organisation", v.Organisation}, {"ror", v.ROR}, {"kind", v.Kind}, {"country", v.Country}, {"confirmed", confirmed}, {"assurance", v.Assurance}} {
		if r[1] != "" {
			fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
		}
	}
	for _, t := range v.Trainings {
		by := t.Evidence
		if t.SeenBy != "" {
			by += " by " + t.SeenBy
		}
		fmt.Fprintf(s.out, "%-13s %s, completed %s, until %s; %s\n", "training", cell(t.Name), t.Completed.UTC().Format(time.DateOnly), lastDay(t.Expires), cell(by))
	}
	for _, m := range v.Missing {
		fmt.Fprintf(s.out, "%-13s %s\n", "missing", m)
	}
	return nil
}

type userDescribeCmd struct {
	personFlags
	ORCID        string `name:"orcid" placeholder:"ID" help:"Your ORCID iD."`
	Organisation string `required:"" placeholder:"NAME" help:"Where you work."`
	ROR          string `name:"ror" placeholder:"URL" help:"Its ROR identifier."`
	Kind         string `required:"" placeholder:"KIND" help:"Its kind: academic, nhs, charity, funder, commercial, cro, government or other."`
	Country      string `required:"" placeholder:"GB" help:"Its country (ISO 3166-1)."`
}

// Run says it.
func (c *userDescribeCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v peopleflow.View
		if err := n.JSON(ctx, http.MethodPut, nil, peopleflow.Stated{ORCID: c.ORCID, Organisation: c.Organisation, ROR: c.ROR, Kind: c.Kind, Country: c.Country}, &v, "api", "person"); err != nil {
			return err
		}
		return s.person(v)
	})
}

type userConfirmCmd struct {
	oneUser
	Organisation string `placeholder:"NAME" help:"The organisation to which they belong, as they name it."`
	Training     string `placeholder:"NAME" help:"A training whose certificate you have seen."`
	Completed    string `placeholder:"DAY" help:"When it was completed, as 2026-11-28."`
	Expires      string `placeholder:"DAY" help:"The last day on which it holds. Default: a year after it was completed."`
}

// Run confirms.
func (c *userConfirmCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.Confirm(ctx, c.ID, peopleflow.Seen{Organisation: c.Organisation, Training: c.Training, Completed: c.Completed, Expires: c.Expires})
	if err != nil {
		return err
	}
	return s.person(v)
}

type userDueCmd struct{ adminFlags }

// Run lists.
func (c *userDueCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Due(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "NAME", "ORGANISATION", "COUNTRY", "CONFIRMED"}, none: "Nobody has to be confirmed."}
	for _, v := range all {
		confirmed := "never"
		if v.Confirmed != nil {
			confirmed = v.Confirmed.UTC().Format(time.DateOnly)
		}
		t.add(v.ID, v.Name, v.Organisation, v.Country, confirmed)
	}
	return s.list(all, t)
}

// What is known of people, on the node's own folder.

func (l *local) Known(ctx context.Context, id string) (peopleflow.View, error) {
	return l.records.Who().Person(ctx, l.who, id)
}

func (l *local) Confirm(ctx context.Context, id string, s peopleflow.Seen) (peopleflow.View, error) {
	return l.records.Who().Confirm(ctx, l.who, id, s)
}

func (l *local) Due(ctx context.Context) ([]peopleflow.View, error) {
	return l.records.Who().Due(ctx, l.who)
}

// The same over the API.

func (r *remote) Known(ctx context.Context, id string) (v peopleflow.View, err error) {
	return v, r.c.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "people", id, "affiliation")
}

func (r *remote) Confirm(ctx context.Context, id string, s peopleflow.Seen) (v peopleflow.View, err error) {
	return v, r.c.JSON(ctx, http.MethodPost, nil, s, &v, "api", "people", id, "affiliation")
}

func (r *remote) Due(ctx context.Context) (all []peopleflow.View, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "people", "due")
}
