package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
)

type heldAlikeCmd struct {
	serverFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
	Layout     string `arg:"" optional:"" help:"One of them: its address, as the list gives it, or how that begins."`
}

func (c *heldAlikeCmd) Help() string {
	return `What is held for the same reasons, of one class and make of device and in pictures of one form, stands together. Look at some of it in the portal, then decide on all of it
(held accept --alike), or once for all (ruling make).

` + whyServer
}

// Run lists what is alike, or shows one pool.
func (c *heldAlikeCmd) Run(ctx context.Context, s *streams) error {
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	if c.Layout != "" {
		layout, err := wholeLayout(ctx, cl, c.Collection, c.Layout)
		if err != nil {
			return err
		}
		var p review.PoolView
		if err := cl.JSON(ctx, http.MethodGet, nil, nil, &p, "api", "collections", c.Collection, "held", "alike", layout); err != nil {
			return err
		}
		return showPool(s, &p)
	}
	all, err := pools(ctx, cl, c.Collection)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(all)
	}
	if len(all) == 0 {
		s.say("Nothing is held in %s that was looked at for what is alike.", c.Collection)
		return nil
	}
	t := &table{head: []string{"ALIKE", "ITEMS", "SUBJECTS", "SINCE", "KIND", "DEVICE", "PIXELS", "REASON", "ONCE FOR ALL"}}
	for i := range all {
		p := &all[i]
		t.add(p.Layout, strconv.FormatInt(p.Items, 10), strconv.FormatInt(p.Subjects, 10), p.Oldest.Format("2006-01-02"), strings.TrimSuffix(p.Class, " Storage"), p.Device, pixels(p.Columns, p.Rows), codes(p.Reasons), actions(p.Actions))
	}
	s.print(t)
	return nil
}

func showPool(s *streams, p *review.PoolView) error {
	if s.json {
		return s.value(p)
	}
	fmt.Fprintf(s.out, "%s of %s, since %s\n%s %s %s\nheld for %s\nonce for all: %s", count(int(p.Items), "item"), count(int(p.Subjects), "subject"), p.Oldest.Format("2006-01-02"),
		strings.TrimSuffix(p.Class, " Storage"), p.Device, pixels(p.Columns, p.Rows), codes(p.Reasons), actions(p.Actions))
	if p.NeedsBoxes {
		fmt.Fprint(s.out, " (accept with --box alone)")
	}
	fmt.Fprintf(s.out, "\nof its kind, of whatever form: %s\n", count(int(p.OfKind), "item"))
	if len(p.Found) == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\ntext was found in %d of %s, in:\n", p.Read, count(p.Looked, "item"))
	t := &table{head: []string{"BOX", "ITEMS"}}
	for _, f := range p.Found {
		t.add(fmt.Sprintf("%d,%d,%d,%d", f.Box[0], f.Box[1], f.Box[2]-f.Box[0], f.Box[3]-f.Box[1]), strconv.Itoa(f.Items))
	}
	s.print(t)
	return nil
}

func pixels(columns, rows int64) string {
	if columns == 0 || rows == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", columns, rows)
}

func actions(all []ruling.Action) string {
	out := make([]string, len(all))
	for i, a := range all {
		out[i] = string(a)
	}
	return strings.Join(out, ", ")
}

func pools(ctx context.Context, cl *client.Client, collection string) (all []review.PoolView, err error) {
	err = cl.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections", collection, "held", "alike")
	return all, err
}

// wholeLayout is the address that begins so.
func wholeLayout(ctx context.Context, cl *client.Client, collection, begins string) (string, error) {
	all, err := pools(ctx, cl, collection)
	if err != nil {
		return "", err
	}
	var found []string
	for _, p := range all {
		if strings.HasPrefix(p.Layout, strings.ToLower(begins)) {
			found = append(found, p.Layout)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("nothing is held in %s whose address begins with %s; `vitrine held alike` lists what there is", collection, begins)
	case 1:
		return found[0], nil
	}
	return "", usage("%d addresses begin with %s: write more of it", len(found), begins)
}

type rulingsCmd struct {
	List     rulingListCmd     `cmd:"" help:"List the standing decisions of a collection, those too that have ended."`
	Make     rulingMakeCmd     `cmd:"" help:"Decide once for all that is held and alike, and for whatever comes that is like it."`
	Identify rulingIdentifyCmd `cmd:"" help:"Say of a text that it identifies wherever it stands in a collection."`
	Texts    rulingTextsCmd    `cmd:"" help:"List every text that the objects of a collection show, each once."`
	End      rulingEndCmd      `cmd:"" help:"End a standing decision."`
}

type rulingFlags struct {
	serverFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
}

type rulingListCmd struct{ rulingFlags }

func (c *rulingListCmd) Help() string { return whyServer }

// Run lists.
func (c *rulingListCmd) Run(ctx context.Context, s *streams) error {
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	var all []review.RulingView
	if err := cl.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections", c.Collection, "rulings"); err != nil {
		return err
	}
	if s.json {
		return s.value(all)
	}
	if len(all) == 0 {
		s.say("There is no standing decision in %s.", c.Collection)
		return nil
	}
	t := &table{head: []string{"NUMBER", "ABOUT", "KIND", "DEVICE", "PIXELS", "ACTION", "BOXES", "IN SIGHT", "MADE", "BY", "ENDED", "NOTE"}}
	for i := range all {
		x := &all[i]
		kind, ended := strings.TrimSuffix(x.Class, " Storage"), ""
		if x.Subject == ruling.Identifier {
			kind = "a text that identifies"
		}
		if x.Ended != nil {
			ended = x.Ended.Format("2006-01-02")
		}
		t.add(x.Number.String(), string(x.Subject), kind, x.Device, pixels(x.Columns, x.Rows), string(x.Action), strconv.Itoa(len(x.Boxes)), strconv.FormatInt(x.InSight, 10), x.Made.Format("2006-01-02"), x.Actor, ended, x.Note)
	}
	s.print(t)
	return nil
}

type rulingMakeCmd struct {
	rulingFlags
	Layout string   `arg:"" help:"What it is about: an address that held alike gives, or how that begins."`
	Action string   `required:"" enum:"accept,paint,restrict,refuse" placeholder:"ACTION" help:"What is done with it: ${enum}."`
	Whole  bool     `help:"Of the whole kind, of whatever form the pictures are."`
	Box    []string `sep:"none" placeholder:"FRAMES:X,Y,W,H" help:"First column and row, from 0, width and height; FRAMES as of held accept, without it all. With paint: painted over too. With accept: what looks like text in it is nobody's. Repeat for more."`
	Note   string   `placeholder:"TEXT" help:"One line that names nobody: the audit log keeps it."`
}

func (c *rulingMakeCmd) Help() string {
	return `Nobody looks at what comes later. The node carries the decision out, item by item, in your name; each item passes the collection's profile and the search for what is known of its patient,
and stays held where it does not. It holds until somebody ends it. Pictures that may show text are accepted only where all that looks like text lies in a box of the decision.

` + whyServer
}

// Run makes a decision.
func (c *rulingMakeCmd) Run(ctx context.Context, s *streams) error {
	boxes := make([]catalogue.FoundBox, len(c.Box))
	for i, text := range c.Box {
		var err error
		if boxes[i], err = custody.ParseBox(text); err != nil {
			return usage("a box is written X,Y,W,H, or FRAME:X,Y,W,H, or FIRST-LAST:X,Y,W,H, in whole numbers")
		}
	}
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	layout, err := wholeLayout(ctx, cl, c.Collection, c.Layout)
	if err != nil {
		return err
	}
	var made review.RulingView
	body := map[string]any{"layout": layout, "action": c.Action, "whole": c.Whole, "boxes": boxes, "note": c.Note}
	if err := cl.JSON(ctx, http.MethodPost, nil, body, &made, "api", "collections", c.Collection, "rulings"); err != nil {
		return err
	}
	if s.json {
		return s.value(made)
	}
	fmt.Fprintf(s.out, "standing decision %d in %s: %s\n", made.Number, c.Collection, made.Action)
	return nil
}

type rulingEndCmd struct {
	rulingFlags
	Number int64  `arg:"" help:"Its number, as list gives it."`
	Note   string `placeholder:"TEXT" help:"Why: one line that names nobody."`
}

func (c *rulingEndCmd) Help() string {
	return `What it accepted is held again, published or not, and waits for a person. What it refused stays refused; what it painted over stays so.

` + whyServer
}

// Run ends one.
func (c *rulingEndCmd) Run(ctx context.Context, s *streams) error {
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.JSON(ctx, http.MethodPost, nil, map[string]string{"note": c.Note}, nil, "api", "collections", c.Collection, "rulings", strconv.FormatInt(c.Number, 10), "end"); err != nil {
		return err
	}
	s.say("Standing decision %d in %s has ended.", c.Number, c.Collection)
	return nil
}

type rulingIdentifyCmd struct {
	rulingFlags
	Name bool   `help:"It is somebody's name: its parts identify too, however they are spelt."`
	Note string `placeholder:"TEXT" help:"Why: one line without the text, that names nobody."`
}

func (c *rulingIdentifyCmd) Help() string {
	return `The text is read from standard input, one line, so that it stands in no list of commands. It is looked for in all that is in sight and in whatever comes: what has it is held, and loses it when it is
accepted.

` + whyServer
}

// Run makes the decision.
func (c *rulingIdentifyCmd) Run(ctx context.Context, s *streams) error {
	text, err := s.ask(bufio.NewReader(s.in), "Text that identifies: ")
	if err != nil {
		return err
	}
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	var made review.RulingView
	if err := cl.JSON(ctx, http.MethodPost, nil, map[string]any{"text": text, "name": c.Name, "note": c.Note}, &made, "api", "collections", c.Collection, "rulings", "identifier"); err != nil {
		return err
	}
	if s.json {
		return s.value(made)
	}
	fmt.Fprintf(s.out, "standing decision %d in %s: a text that identifies\n", made.Number, c.Collection)
	return nil
}

type rulingTextsCmd struct {
	rulingFlags
	All   bool `help:"Those too whose every word is of the vocabulary, or what makers call their products."`
	Again bool `help:"Gather them again, though that was done before."`
}

func (c *rulingTextsCmd) Help() string {
	return `What somebody looks through who wants to be sure of what a collection shows. The node gathers the texts from every object that is admitted or released, which takes a while.

` + whyServer
}

// Run lists.
func (c *rulingTextsCmd) Run(ctx context.Context, s *streams) error {
	cl, err := c.client(1)
	if err != nil {
		return err
	}
	defer cl.Close()
	var got review.Survey
	method := http.MethodGet
	if c.Again {
		method = http.MethodPost
	}
	for {
		if err := cl.JSON(ctx, method, nil, nil, &got, "api", "collections", c.Collection, "texts"); err != nil {
			return err
		}
		if !got.Running {
			break
		}
		method = http.MethodGet
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if got.Failed {
		return errors.New("the node could not gather them all; its log says why")
	}
	if s.json {
		return s.value(got)
	}
	t := &table{head: []string{"TEXT", "ELEMENT", "NAME", "OBJECTS"}}
	listed := 0
	for _, x := range got.Texts {
		if x.Plain && !c.All {
			continue
		}
		listed++
		t.add(x.Value, x.Element, x.Name, strconv.FormatInt(x.Objects, 10))
	}
	if listed > 0 {
		s.print(t)
	}
	s.say("%s of %s listed, of %s.", count(listed, "text"), strconv.Itoa(len(got.Texts)), count(int(got.Objects), "object"))
	return nil
}
