package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

type heldCmd struct {
	List     heldListCmd     `cmd:"" help:"List what is held, and why."`
	Alike    heldAlikeCmd    `cmd:"" help:"List what is held by what is alike, most first, or show one such pool."`
	Accept   heldAcceptCmd   `cmd:"" help:"Say of held items that nothing in them identifies anybody: they are cleaned, and admitted with their studies."`
	Restrict heldRestrictCmd `cmd:"" help:"Keep held items for the collection's stewards alone."`
	Refuse   heldRefuseCmd   `cmd:"" help:"Refuse held items for good."`
}

// heldFlags name what is held where. There is no --data: who runs commands on a node's own folder is its operator, who sees why things are held and decides on none of
// them; and an acceptance is written by the process that the deposits go through.
type heldFlags struct {
	serverFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
	Reason     string `placeholder:"CODE" help:"What is held for this reason, such as burned-in-text."`
	Alike      string `placeholder:"ADDRESS" help:"What is alike: an address that held alike gives, or how that begins."`
}

const whyServer = `It asks the running node, with a steward's token. There is no --data: who runs commands on a node's own folder is its operator, who decides nothing about what is held;
and what is accepted is cleaned and written by the process that receives deposits, so that nothing learned meanwhile of the same patient is missed.`

type heldListCmd struct {
	heldFlags
	Deposit    string `placeholder:"NUMBER" help:"What came with this deposit."`
	Subject    string `placeholder:"PSEUDONYM" help:"What is held of this subject."`
	Restricted bool   `help:"What is kept restricted, instead of what waits."`
}

func (c *heldListCmd) Help() string { return whyServer }

// all lists everything that is held for the reason.
func (f *heldFlags) all(ctx context.Context, c *client.Client, deposit, subject, state string) ([]review.ItemView, error) {
	const page = 1000
	if f.Alike != "" {
		var err error
		if f.Alike, err = wholeLayout(ctx, c, f.Collection, f.Alike); err != nil {
			return nil, err
		}
	}
	var all []review.ItemView
	q := url.Values{"limit": {strconv.Itoa(page)}}
	for k, v := range map[string]string{"reason": f.Reason, "layout": f.Alike, "deposit": deposit, "subject": subject, "state": state} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for {
		var items []review.ItemView
		if err := c.JSON(ctx, http.MethodGet, q, nil, &items, "api", "collections", f.Collection, "held"); err != nil {
			return nil, err
		}
		all = append(all, items...)
		if len(items) < page {
			return all, nil
		}
		q.Set("after", items[len(items)-1].ID)
	}
}

// Run lists.
func (c *heldListCmd) Run(ctx context.Context, s *streams) error {
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	state := ""
	if c.Restricted {
		state = "restricted"
	}
	all, err := c.all(ctx, cl, c.Deposit, c.Subject, state)
	if err != nil {
		return err
	}
	if s.json {
		if all == nil {
			all = []review.ItemView{}
		}
		return s.value(all)
	}
	if len(all) == 0 {
		s.say("Nothing is held in %s.", c.Collection)
		return nil
	}
	t := &table{head: []string{"ITEM", "KIND", "SUBJECT", "DEPOSIT", "NUMBER", "REASON", "CAN BE ACCEPTED"}}
	for _, i := range all {
		can := "no"
		if i.Acceptable {
			can = "yes"
		}
		t.rows = append(t.rows, []string{i.ID, strings.TrimSuffix(i.Kind, " Storage"), i.Subject, i.Deposit, strconv.FormatInt(i.Item, 10), codes(i.Reasons), can})
	}
	s.print(t)
	return nil
}

func codes(reasons []catalogue.Reason) string {
	var out []string
	for _, r := range reasons {
		code := r.Code
		if r.Where != "" {
			code += " " + r.Where
		}
		out = append(out, code)
	}
	return strings.Join(out, ", ")
}

type heldAcceptCmd struct {
	heldFlags
	Items []string `arg:"" optional:"" name:"item" help:"Items, as list gives them; without any, all that --reason or --alike names."`
	Note  string   `placeholder:"TEXT" help:"One line for the audit log that names nobody."`
	Paint bool     `help:"Have what looks like text in the pixels painted over."`
	Box   []string `sep:"none" placeholder:"FRAMES:X,Y,W,H" help:"With --paint: a box to paint over as well, in every item: first column and row, from 0, width and height, in pixels as they are stored. FRAMES is 3, 1-40 or 2-, counted from 1; without it, all. May be repeated."`
	Only  bool     `help:"With --box: paint nothing else. You have looked at every frame, and answer for what the node takes for text besides."`
}

func (c *heldAcceptCmd) Help() string {
	return `Accepting is your word that you have looked, and that nothing in the pictures tells who anybody is. It sets aside what looking can answer; the header is cleaned by every rule all the same,
and what does not pass stays held: then the exit code is 3, and the table says why.

` + whyServer
}

// Run accepts.
func (c *heldAcceptCmd) Run(ctx context.Context, s *streams) error {
	if len(c.Box) > 0 && !c.Paint || c.Only && len(c.Box) == 0 {
		return usage("--box goes with --paint, and --only with --box")
	}
	if !c.Paint {
		return c.decide(ctx, s, "accept", c.Items, c.Note, nil)
	}
	more := map[string]any{}
	if len(c.Box) > 0 {
		boxes := make([]catalogue.FoundBox, len(c.Box))
		for i, text := range c.Box {
			var err error
			if boxes[i], err = custody.ParseBox(text); err != nil {
				return usage("a box is written X,Y,W,H, or FRAME:X,Y,W,H, or FIRST-LAST:X,Y,W,H, in whole numbers")
			}
		}
		more["boxes"], more["only"] = boxes, c.Only
	}
	return c.decide(ctx, s, "paint", c.Items, c.Note, more)
}

type heldRestrictCmd struct {
	heldFlags
	Items []string `arg:"" optional:"" name:"item" help:"Items, as list gives them; without any, all that --reason or --alike names."`
	Note  string   `placeholder:"TEXT" help:"One line for the audit log that names nobody."`
}

func (c *heldRestrictCmd) Help() string {
	return `What is kept restricted belongs to the collection, and its stewards alone open it: no search finds it, and no release has it. Its header is cleaned by the profile; what is in it (a
document, a video, raw data) stays as it came, encrypted, and is erased with its subject. It can be refused later, or accepted by the same checks as what is held.

` + whyServer
}

// Run restricts.
func (c *heldRestrictCmd) Run(ctx context.Context, s *streams) error {
	return c.decide(ctx, s, "restrict", c.Items, c.Note, nil)
}

type heldRefuseCmd struct {
	heldFlags
	Items []string `arg:"" optional:"" name:"item" help:"Items, as list gives them; without any, all that --reason or --alike names."`
	Note  string   `placeholder:"TEXT" help:"One line that names nobody: the audit log keeps it, and the depositor reads it."`
}

func (c *heldRefuseCmd) Help() string {
	return `What is refused is seen by nobody any more. Its depositor reads why, and the same bytes are refused when they come again.

` + whyServer
}

// Run refuses.
func (c *heldRefuseCmd) Run(ctx context.Context, s *streams) error {
	return c.decide(ctx, s, "refuse", c.Items, c.Note, nil)
}

// decide says of items what verb does; more goes into the question besides.
func (f *heldFlags) decide(ctx context.Context, s *streams, verb string, items []string, note string, more map[string]any) error {
	if (len(items) == 0) == (f.Reason == "" && f.Alike == "") {
		return usage("name items, or a reason with --reason or what is alike with --alike, and not both")
	}
	cl, err := f.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	if len(items) == 0 {
		all, err := f.all(ctx, cl, "", "", "")
		if err != nil {
			return err
		}
		for _, i := range all {
			items = append(items, i.ID)
		}
		if len(items) == 0 {
			s.say("Nothing such is held in %s.", f.Collection)
			return nil
		}
	}
	var out []review.DecidedView
	for len(items) > 0 {
		n := min(len(items), 500)
		var part []review.DecidedView
		body := map[string]any{"items": items[:n], "note": note}
		maps.Copy(body, more)
		if err := cl.JSON(ctx, http.MethodPost, nil, body, &part, "api", "collections", f.Collection, "held", verb); err != nil {
			if len(out) > 0 {
				s.say("Decided before that: %s.", count(len(out), "item"))
			}
			return err
		}
		out, items = append(out, part...), items[n:]
	}
	done := 0
	for _, d := range out {
		if decided(d.Outcome) {
			done++
		}
	}
	if s.json {
		if err := s.value(out); err != nil {
			return err
		}
	} else {
		what := "accepted"
		switch verb {
		case "refuse":
			what = "refused"
		case "restrict":
			what = "kept restricted"
		}
		fmt.Fprintf(s.out, "%s %s in %s\n", count(done, "item"), what, f.Collection)
		t := &table{head: []string{"ITEM", "OUTCOME", "WHY"}}
		for _, d := range out {
			if !decided(d.Outcome) {
				t.rows = append(t.rows, []string{d.ID, string(d.Outcome), codes(d.Left)})
			}
		}
		if len(t.rows) > 0 {
			s.print(t)
		}
	}
	if done < len(out) {
		return partial
	}
	return nil
}

func decided(o review.Outcome) bool {
	return o == review.Accepted || o == review.Restricted || o == review.Refused
}
