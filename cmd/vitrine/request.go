package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
)

type requestsCmd struct {
	Template requestTemplateCmd `cmd:"" help:"Print a form to fill in."`
	Submit   requestSubmitCmd   `cmd:"" help:"Ask to use data, with a form; or hand in what was begun."`
	Write    requestWriteCmd    `cmd:"" help:"Change the form of a request that was not handed in, or about which something was asked."`
	List     requestListCmd     `cmd:"" help:"List what you ask for, and what others ask for in your collections."`
	Show     requestShowCmd     `cmd:"" help:"Show a request, with what happened to it."`
	Answer   requestAnswerCmd   `cmd:"" help:"Answer what the custodian asks."`
	Decide   requestDecideCmd   `cmd:"" help:"Take into review, ask back, approve or reject what another asks for."`
	Withdraw requestWithdrawCmd `cmd:"" help:"Withdraw a request."`
	Close    requestCloseCmd    `cmd:"" help:"Say that the work is over: what was permitted ends."`
	Discard  requestDiscardCmd  `cmd:"" help:"Delete a request that was not handed in."`
	Register requestRegisterCmd `cmd:"" help:"List what data are and were used for: the public register."`
}

func (c *requestsCmd) Help() string {
	return `Who asks and who decides are people who sign in: a token is not taken, but to list and to show. The node asks for a code that works once, as an administrator makes with "vitrine user code" and the
page People, and for the digits of an authenticator app where the account has one. The session ends with the command. Nobody decides on their own request.`
}

// whoFlags say who asks: a token where there is one, else a person who signs in.
type whoFlags struct{ serverFlags }

func (f *whoFlags) as(ctx context.Context, s *streams, do func(*client.Client) error) error {
	if f.Token == "" && f.TokenFile == "" {
		p := personFlags{Server: f.Server}
		return p.as(ctx, s, do)
	}
	c, err := f.client(1)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// template is the form that a person fills in.
const template = `# A request to use data. title, summary and organisation are published in the register of uses once you may use the data.
title: ""          # of the project, at most 150 characters
summary: ""        # what you do and why, for somebody who is no researcher
aims: ""           # what you want to find out
benefit: ""        # what good it does to the public
funding: ""
outputs: ""        # what will come of it
organisation:
  name: ""
  ror: ""          # https://ror.org/..., where it has one
  kind: academic   # academic, nhs, charity, funder, commercial, cro
members: []        # - {name: Imogen Fairweather, orcid: 0000-0002-1825-0097}
purpose:           # as of "vitrine directory use"
  for: disease     # disease, health, general, ancestry, care
  disease: C50     # several with semicolons
  country: GB      # where you and the data will be
  months: 12
  # training, generative, methods, genetic, animals, commercial, download, relink, onward, reidentify, publish, give-back, ethics, collaboration, approved: "yes"
place: ""          # where the data will be, and who looks after it
evidence: ""       # references of approvals, with their dates
named: false       # the register may give your name
`

type requestTemplateCmd struct{}

// Run prints it.
func (c *requestTemplateCmd) Run(s *streams) error {
	_, err := io.WriteString(s.out, template)
	return err
}

// readForm reads a form from a file in YAML or JSON; "-" is standard input.
func (s *streams) readForm(path string) (f access.Form, err error) {
	var b []byte
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(s.in, 1<<20))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return f, usage("the form: %w", err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(b, &v); err != nil {
		return f, usage("the form is neither YAML nor JSON")
	}
	if p, ok := v["purpose"].(map[string]any); ok {
		for k, x := range p {
			switch x := x.(type) {
			case nil:
				delete(p, k)
			case bool:
				p[k] = map[bool]string{true: "yes", false: "no"}[x]
			default:
				p[k] = fmt.Sprint(x)
			}
		}
	}
	j, err := json.Marshal(v)
	if err != nil {
		return f, usage("the form has another form than the template")
	}
	d := json.NewDecoder(bytes.NewReader(j))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, usage("the form has another form than the template: %w", err)
	}
	return f, nil
}

// endOf reads a day, and gives the moment after it.
func endOf(flag, text string) (time.Time, error) {
	t, err := startOf(flag, text)
	return t.AddDate(0, 0, 1), err
}

func startOf(flag, text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, usage("%s is a day, as 2027-03-31", flag)
	}
	return t, nil
}

// lastDay is the last day on which something holds that ends at a moment.
func lastDay(end time.Time) string { return end.Add(-time.Second).UTC().Format(time.DateOnly) }

type requestSubmitCmd struct {
	personFlags
	Form  string   `arg:"" help:"A file with the form, in YAML or JSON; - is standard input, after the code. Or the number of a request that was begun."`
	For   []string `placeholder:"COLLECTION[/DATASET[@VERSIONS]]" help:"What it is for: a collection, or a dataset of one. May be given more than once."`
	Draft bool     `help:"Begin it, and do not hand it in yet."`
}

// Run asks.
func (c *requestSubmitCmd) Run(ctx context.Context, s *streams) error {
	if _, err := strconv.ParseInt(c.Form, 10, 64); err == nil {
		return c.act(ctx, s, c.Form, access.Act{Do: "submit"})
	}
	n := access.NewRequest{Submit: !c.Draft}
	for _, f := range c.For {
		w := access.Wanted{Collection: f}
		if of, rest, ok := strings.Cut(f, "/"); ok {
			w.Collection = of
			w.Dataset, w.Versions, _ = strings.Cut(rest, "@")
		}
		n.For = append(n.For, w)
	}
	if len(n.For) == 0 {
		return usage("say what it is for: --for COLLECTION")
	}
	f, err := s.readForm(c.Form)
	if err != nil {
		return err
	}
	n.Form = f
	return c.as(ctx, s, func(node *client.Client) error {
		var v access.View
		if err := node.JSON(ctx, http.MethodPost, nil, n, &v, "api", "requests"); err != nil {
			return err
		}
		return s.request(v)
	})
}

// act does something to a request, and shows it.
func (f *personFlags) act(ctx context.Context, s *streams, request string, a access.Act) error {
	return f.as(ctx, s, func(n *client.Client) error {
		var v access.View
		if err := n.JSON(ctx, http.MethodPost, nil, a, &v, "api", "requests", request, "acts"); err != nil {
			return err
		}
		return s.request(v)
	})
}

type requestWriteCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
	Form    string `arg:"" help:"A file with the form, in YAML or JSON."`
}

// Run writes.
func (c *requestWriteCmd) Run(ctx context.Context, s *streams) error {
	f, err := s.readForm(c.Form)
	if err != nil {
		return err
	}
	return c.as(ctx, s, func(n *client.Client) error {
		var v access.View
		if err := n.JSON(ctx, http.MethodPut, nil, f, &v, "api", "requests", c.Request); err != nil {
			return err
		}
		return s.request(v)
	})
}

type requestListCmd struct{ whoFlags }

// Run lists.
func (c *requestListCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		all := []access.Heading{}
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "requests"); err != nil {
			return err
		}
		t := &table{head: []string{"REQUEST", "ITEM", "COLLECTION", "PROJECT", "BY", "STATE", "MATCH", "CUSTODIAN", "APPLICANT", "NEXT"}, none: "There is no request that is yours to see."}
		for _, v := range all {
			by, match := v.Applicant, ""
			if v.Own {
				by = "you"
			}
			if v.Match != nil {
				match = v.Match.Verdict.String()
			}
			t.add(v.ID, strconv.FormatInt(v.Item, 10), askedFor(v.Collection, v.Dataset, v.Versions), v.Project, by, v.State, match, dayCount(v.CustodianDays), dayCount(v.ApplicantDays), v.Next)
		}
		return s.list(all, t)
	})
}

func dayCount(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) + " d" }

// askedFor is what an item is for, as --for has it.
func askedFor(collection, dataset, versions string) string {
	if dataset != "" {
		collection += "/" + dataset
		if versions != "*" {
			collection += "@" + versions
		}
	}
	return collection
}

type requestShowCmd struct {
	whoFlags
	Request string `arg:"" help:"The request's number."`
}

// Run shows.
func (c *requestShowCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		var v access.View
		if err := n.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "requests", c.Request); err != nil {
			return err
		}
		return s.request(v)
	})
}

// request prints a request.
func (s *streams) request(v access.View) error {
	if s.json {
		return s.value(v)
	}
	say := func(name, text string) {
		if text != "" {
			fmt.Fprintf(s.out, "%-13s %s\n", name, cell(text))
		}
	}
	say("request", v.ID)
	say("project", v.Form.Title)
	say("summary", v.Form.Summary)
	say("applicant", v.Applicant)
	say("organisation", v.Form.Organisation.Name)
	for _, i := range v.Items {
		say(fmt.Sprintf("item %d", i.Item), askedFor(i.Collection, i.Dataset, i.Versions))
		say("  state", i.State)
		say("  next", i.Next)
		if i.Match != nil {
			say("  match", i.Match.Verdict.String())
			for _, r := range i.Match.Reasons {
				say("    "+r.Rule, strings.TrimSpace(r.Text+" "+r.Remedy))
			}
		}
	}
	for _, e := range v.Events {
		say(e.At.Local().Format(time.DateOnly), strings.TrimSpace(strings.ReplaceAll(e.What, "_", " ")+" by "+e.By+". "+e.Text))
	}
	for _, a := range v.Agreements {
		say("agreement", a.ID+" "+a.State+", "+a.Effective.UTC().Format(time.DateOnly)+" to "+lastDay(a.Expires))
	}
	for _, e := range v.Entitlements {
		say("entitlement", e.ID+" "+e.State+", to "+e.Capability+", "+e.NotBefore.UTC().Format(time.DateOnly)+" to "+lastDay(e.Expires))
	}
	return nil
}

type requestAnswerCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
	Text    string `arg:"" help:"The answer; kept encrypted."`
	Item    int64  `placeholder:"N" help:"About which of what it is for. Default: every one of which something was asked."`
}

// Run answers.
func (c *requestAnswerCmd) Run(ctx context.Context, s *streams) error {
	return c.act(ctx, s, c.Request, access.Act{Do: "answer", Item: c.Item, Text: c.Text})
}

type requestDecideCmd struct {
	personFlags
	Request    string `arg:"" help:"The request's number."`
	Decision   string `arg:"" enum:"take,ask,approve,reject" help:"take, ask, approve or reject."`
	Item       int64  `placeholder:"N" help:"About which of what it is for. Default: the only one that waits for you."`
	Text       string `placeholder:"TEXT" help:"What you ask, why you reject, what you say with an approval; kept encrypted, for who asks."`
	Capability string `placeholder:"NAME" help:"Of approve: how far the use goes: count, preview, view, analyse or download."`
	From       string `placeholder:"DAY" help:"Of approve: the first day, as 2027-01-01. Default: now."`
	Until      string `placeholder:"DAY" help:"Of approve: the last day."`
	Conditions string `placeholder:"TEXT" help:"Of approve: what the use is bound to."`
	Override   string `placeholder:"TEXT" help:"Of approve: why, where the match said when it was handed in that the data may not be used so, and the policy was changed since. Five words at least."`
	Seen       int64  `placeholder:"N" help:"The number of the last event that you looked at (seq): if something happened since, nothing is decided."`
}

// Run decides.
func (c *requestDecideCmd) Run(ctx context.Context, s *streams) error {
	a := access.Act{Do: c.Decision, Item: c.Item, Text: c.Text, Seen: c.Seen}
	if c.Decision == "approve" {
		if c.Capability == "" || c.Until == "" {
			return usage("say how far the use goes and until when: --capability NAME --until DAY")
		}
		until, err := endOf("--until", c.Until)
		if err != nil {
			return err
		}
		a.Terms = &access.Terms{Capability: c.Capability, Until: &until, Conditions: c.Conditions, Override: c.Override}
		if c.From != "" {
			from, err := startOf("--from", c.From)
			if err != nil {
				return err
			}
			a.Terms.From = &from
		}
	}
	return c.act(ctx, s, c.Request, a)
}

type requestWithdrawCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
	Item    int64  `placeholder:"N" help:"Which of what it is for. Default: everything that was not decided."`
}

// Run withdraws.
func (c *requestWithdrawCmd) Run(ctx context.Context, s *streams) error {
	return c.act(ctx, s, c.Request, access.Act{Do: "withdraw", Item: c.Item})
}

type requestCloseCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
	Item    int64  `placeholder:"N" help:"Which of what it is for. Default: everything that was approved."`
}

// Run closes.
func (c *requestCloseCmd) Run(ctx context.Context, s *streams) error {
	return c.act(ctx, s, c.Request, access.Act{Do: "close", Item: c.Item})
}

type requestDiscardCmd struct {
	personFlags
	Request string `arg:"" help:"The request's number."`
}

// Run discards.
func (c *requestDiscardCmd) Run(ctx context.Context, s *streams) error {
	return c.as(ctx, s, func(n *client.Client) error {
		return n.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "requests", c.Request)
	})
}

type requestRegisterCmd struct {
	Server     string `default:"http://127.0.0.1:8080" placeholder:"URL" help:"The node's address. Default: ${default}."`
	Collection string `placeholder:"ID" help:"Of one collection."`
}

// Run lists.
func (c *requestRegisterCmd) Run(ctx context.Context, s *streams) error {
	n, err := client.New(c.Server, "", client.Options{Agent: "vitrine/" + versionText()})
	if err != nil {
		return usage("--server: %w", err)
	}
	defer n.Close()
	var q url.Values
	if c.Collection != "" {
		q = url.Values{"collection": {c.Collection}}
	}
	all := []access.Use{}
	if err := n.JSON(ctx, http.MethodGet, q, nil, &all, "api", "register"); err != nil {
		return err
	}
	t := &table{head: []string{"ORGANISATION", "PROJECT", "DATA", "TO", "FROM", "UNTIL", "NOW"}, none: "Nothing is or was used yet."}
	for _, u := range all {
		now := "over"
		if u.Current {
			now = "in use"
		}
		t.add(u.Organisation, u.Project, askedFor(u.Collection, u.Dataset, u.Versions), u.Capability, u.From.UTC().Format(time.DateOnly), lastDay(u.Until), now)
	}
	return s.list(all, t)
}
