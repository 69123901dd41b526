package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
)

type agreementsCmd struct {
	Add       agreementAddCmd       `cmd:"" help:"Give the signed agreement of a request."`
	List      agreementListCmd      `cmd:"" help:"List the agreements of your requests and of your collections."`
	Show      agreementShowCmd      `cmd:"" help:"Show an agreement, with what a program can tell of it."`
	Get       agreementGetCmd       `cmd:"" help:"Fetch the signed document."`
	Accept    agreementAcceptCmd    `cmd:"" help:"Accept an agreement by name; without that nothing is given to you."`
	Execute   agreementExecuteCmd   `cmd:"" help:"Say that parties and dates are right: what was approved begins."`
	Return    agreementReturnCmd    `cmd:"" help:"Send an agreement back."`
	Terminate agreementTerminateCmd `cmd:"" help:"End an agreement, with what was permitted under it."`
}

type agreementAddCmd struct {
	personFlags
	Request      string   `arg:"" help:"The request's number."`
	Document     string   `arg:"" type:"existingfile" help:"The signed document, a PDF of 8 MB at most; kept encrypted."`
	Collection   string   `placeholder:"ID" help:"Whose agreement it is, where the request is for several collections."`
	Organisation string   `required:"" placeholder:"NAME" help:"The organisation that it binds."`
	ROR          string   `name:"ror" placeholder:"URL" help:"Its ROR identifier."`
	Party        []string `required:"" sep:"none" placeholder:"TEXT" help:"Who signed, and for whom. May be given more than once."`
	Effective    string   `required:"" placeholder:"DAY" help:"The first day on which it is in force, as 2027-01-01."`
	Expires      string   `required:"" placeholder:"DAY" help:"The last day on which it is."`
	Wide         bool     `help:"It covers every request of the organisation for the collection, not this one alone."`
	Commercial   bool     `help:"It covers use for profit."`
	Template     string   `placeholder:"NAME" help:"The template that it follows, with its version."`
	Deviations   string   `placeholder:"TEXT" help:"Where it differs from the template."`
}

// Run gives it.
func (c *agreementAddCmd) Run(ctx context.Context, s *streams) error {
	n := access.NewAgreement{Paper: access.Paper{Collection: c.Collection, Scope: "project", Template: c.Template, Organisation: c.Organisation, ROR: c.ROR, Parties: c.Party, Deviations: c.Deviations, Commercial: c.Commercial}}
	if c.Wide {
		n.Scope = "organisation"
	}
	var err error
	if n.Effective, err = startOf("--effective", c.Effective); err != nil {
		return err
	}
	if n.Expires, err = endOf("--expires", c.Expires); err != nil {
		return err
	}
	if at, err := os.Stat(c.Document); err != nil || at.Size() > access.MaxDocument {
		return usage("the document cannot be read, or is larger than 8 MB")
	}
	if n.Document, err = os.ReadFile(c.Document); err != nil {
		return usage("the document: %w", err)
	}
	return c.as(ctx, s, func(node *client.Client) error {
		var v access.AgreementView
		if err := node.JSON(ctx, http.MethodPost, nil, n, &v, "api", "requests", c.Request, "agreements"); err != nil {
			return err
		}
		return s.agreement(v)
	})
}

// agreement prints one.
func (s *streams) agreement(v access.AgreementView) error {
	if s.json {
		return s.value(v)
	}
	for _, r := range [][2]string{{"agreement", v.ID}, {"request", v.Request}, {"collection", v.Collection}, {"state", v.State}, {"scope", v.Scope}, {"organisation", v.Organisation}, {"parties", strings.Join(v.Parties, "; ")}, {"template", v.Template},
		{"differs", v.Deviations}, {"in force", v.Effective.UTC().Format(time.DateOnly) + " to " + lastDay(v.Expires)}, {"sha256", v.SHA256}, {"given by", v.UploadedBy}, {"checked by", v.CheckedBy}, {"note", v.Note}} {
		if r[1] != "" {
			fmt.Fprintf(s.out, "%-13s %s\n", r[0], cell(r[1]))
		}
	}
	for _, a := range v.Accepted {
		fmt.Fprintf(s.out, "%-13s %s, %s\n", "accepted by", cell(a.Name), a.At.UTC().Format(time.DateOnly))
	}
	if v.MayAccept {
		fmt.Fprintf(s.out, "%-13s %s\n", "next", "read it, and accept it: vitrine agreement accept "+v.ID)
	}
	for _, c := range v.Checks {
		sign := "ok"
		if !c.OK {
			sign = "WRONG"
		}
		fmt.Fprintf(s.out, "%-13s %s\n", sign, cell(c.Text))
	}
	return nil
}

type agreementListCmd struct{ whoFlags }

// Run lists.
func (c *agreementListCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		all := []access.AgreementView{}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "agreements"); err != nil {
			return err
		}
		t := &table{head: []string{"AGREEMENT", "REQUEST", "COLLECTION", "ORGANISATION", "SCOPE", "STATE", "FROM", "UNTIL"}, none: "There is no agreement that is yours to see."}
		for _, v := range all {
			t.add(v.ID, v.Request, v.Collection, v.Organisation, v.Scope, v.State, v.Effective.UTC().Format(time.DateOnly), lastDay(v.Expires))
		}
		return s.list(all, t)
	})
}

type agreementShowCmd struct {
	whoFlags
	Agreement string `arg:"" help:"The agreement's number."`
}

// Run shows.
func (c *agreementShowCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v access.AgreementView
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "agreements", c.Agreement); err != nil {
			return err
		}
		return s.agreement(v)
	})
}

type agreementGetCmd struct {
	whoFlags
	Agreement string `arg:"" help:"The agreement's number."`
	To        string `required:"" placeholder:"FILE" help:"Where to write it; not over a file that is there."`
}

// Run fetches.
func (c *agreementGetCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		b, err := n.File(ctx, nil, "api", "agreements", c.Agreement, "document")
		if err != nil {
			return err
		}
		f, err := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return usage("--to: %w", err)
		}
		if _, err = f.Write(b); err != nil {
			f.Close()
			return err
		}
		return f.Close()
	})
}

type agreementAcceptCmd struct {
	personFlags
	Agreement string `arg:"" help:"The agreement's number."`
}

// Run accepts.
func (c *agreementAcceptCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v access.AgreementView
		if err := n.JSON(ctx, http.MethodPost, nil, nil, &v, "api", "agreements", c.Agreement, "accept"); err != nil {
			return err
		}
		return s.agreement(v)
	})
}

func (f *personFlags) actOnAgreement(ctx context.Context, s *streams, id string, a access.AgreementAct) error {
	return f.as(ctx, s, func(n *client.Client) error {
		var v access.AgreementView
		if err := n.JSON(ctx, http.MethodPost, nil, a, &v, "api", "agreements", id, "acts"); err != nil {
			return err
		}
		return s.agreement(v)
	})
}

type agreementExecuteCmd struct {
	personFlags
	Agreement string `arg:"" help:"The agreement's number."`
	Parties   bool   `name:"parties-are-right" help:"You have looked at who signed."`
	Dates     bool   `name:"dates-are-right" help:"You have looked at the dates."`
}

// Run executes.
func (c *agreementExecuteCmd) Run(ctx context.Context, s *streams) error {
	return c.actOnAgreement(ctx, s, c.Agreement, access.AgreementAct{Do: "execute", Parties: c.Parties, Dates: c.Dates})
}

type agreementReturnCmd struct {
	personFlags
	Agreement string `arg:"" help:"The agreement's number."`
	Reason    string `required:"" placeholder:"TEXT" help:"What is not right; kept encrypted, for who gave it."`
}

// Run sends it back.
func (c *agreementReturnCmd) Run(ctx context.Context, s *streams) error {
	return c.actOnAgreement(ctx, s, c.Agreement, access.AgreementAct{Do: "return", Text: c.Reason})
}

type agreementTerminateCmd struct {
	personFlags
	Agreement string `arg:"" help:"The agreement's number."`
	Reason    string `required:"" placeholder:"TEXT" help:"Why; kept encrypted."`
}

// Run ends it.
func (c *agreementTerminateCmd) Run(ctx context.Context, s *streams) error {
	return c.actOnAgreement(ctx, s, c.Agreement, access.AgreementAct{Do: "terminate", Text: c.Reason})
}

type entitlementsCmd struct {
	List    entitlementListCmd    `cmd:"" help:"List what you may use, and what others may in your collections."`
	Suspend entitlementSuspendCmd `cmd:"" help:"Stop a use for a while."`
	Resume  entitlementResumeCmd  `cmd:"" help:"Permit a suspended use again; for a custodian who signs in."`
	Revoke  entitlementRevokeCmd  `cmd:"" help:"End a use for good."`
}

type entitlementListCmd struct{ whoFlags }

// Run lists.
func (c *entitlementListCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		all := []access.EntitlementView{}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "entitlements"); err != nil {
			return err
		}
		t := &table{head: []string{"ENTITLEMENT", "REQUEST", "DATA", "WHO", "TO", "FROM", "UNTIL", "STATE"}, none: "There is no entitlement that is yours to see."}
		for _, v := range all {
			who := v.Grantee
			if v.Own {
				who = "you"
			}
			t.add(v.ID, v.Request, askedFor(v.Collection, v.Dataset, v.Versions), who, v.Capability, v.NotBefore.UTC().Format(time.DateOnly), lastDay(v.Expires), v.State)
		}
		return s.list(all, t)
	})
}

func (f *whoFlags) change(ctx context.Context, s *streams, id string, a access.EntitlementAct) error {
	return f.as(ctx, s, func(n *client.Client) error {
		var v access.EntitlementView
		if err := n.JSON(ctx, http.MethodPost, nil, a, &v, "api", "entitlements", id, "acts"); err != nil {
			return err
		}
		if s.json {
			return s.value(v)
		}
		s.say("entitlement %s is %s", v.ID, v.State)
		return nil
	})
}

type entitlementSuspendCmd struct {
	whoFlags
	Entitlement string `arg:"" help:"The entitlement's number."`
	Reason      string `required:"" placeholder:"TEXT" help:"Why; kept encrypted, for its owner."`
}

// Run suspends.
func (c *entitlementSuspendCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.Entitlement, access.EntitlementAct{Do: "suspend", Text: c.Reason})
}

type entitlementResumeCmd struct {
	whoFlags
	Entitlement string `arg:"" help:"The entitlement's number."`
	Reason      string `placeholder:"TEXT" help:"Why; kept encrypted, for its owner."`
}

// Run resumes.
func (c *entitlementResumeCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.Entitlement, access.EntitlementAct{Do: "resume", Text: c.Reason})
}

type entitlementRevokeCmd struct {
	whoFlags
	Entitlement string `arg:"" help:"The entitlement's number."`
	Reason      string `required:"" placeholder:"TEXT" help:"Why; kept encrypted, for its owner."`
}

// Run revokes.
func (c *entitlementRevokeCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.Entitlement, access.EntitlementAct{Do: "revoke", Text: c.Reason})
}
