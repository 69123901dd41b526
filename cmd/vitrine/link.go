package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

type linksCmd struct {
	Create linkCreateCmd `cmd:"" help:"Make a link by which somebody outside sends into a collection, without an account."`
	List   linkListCmd   `cmd:"" help:"List the links of a collection."`
	Revoke linkRevokeCmd `cmd:"" help:"End a link for good; what has come by it stays."`
}

type linkCreateCmd struct {
	adminFlags
	keyFlags
	Collection string `required:"" placeholder:"ID" help:"The collection it sends into."`
	Label      string `placeholder:"TEXT" help:"For stewards' eyes; kept encrypted."`
	For        string `placeholder:"ADDRESS" help:"The e-mail address of whom it is for; kept encrypted, and shown to stewards alone."`
	Days       int64  `default:"14" placeholder:"N" help:"It ends after so many days, 90 at most. Default: ${default}."`
	Quota      string `default:"100GB" placeholder:"SIZE" help:"So much may be sent by it in all, as 500MB or 2TB. Default: ${default}."`
	Files      int64  `default:"100000" placeholder:"N" help:"So many files in all. Default: ${default}."`
	Mail       bool   `help:"With --server: have the node send it to --for, in place of printing it."`
	PublicURL  string `name:"public-url" placeholder:"URL" help:"With --data: where people reach the node, for the link that is printed."`
}

func (c *linkCreateCmd) Help() string {
	return `The link is printed alone on standard output, once: it is not kept, and cannot be shown again. Give it to whom it is for over a way that you trust. They open it in a browser, or run
vitrine deposit FOLDER --link 'LINK'.`
}

// Run makes a link.
func (c *linkCreateCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	bytes, err := parseSize(c.Quota)
	if err != nil {
		return usage("--quota: %w", err)
	}
	n := link.NewLink{Label: c.Label, For: c.For, Days: c.Days, Bytes: bytes, Files: c.Files, Mail: c.Mail}
	if c.Days < 1 {
		return usage("--days is 1 to 90")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if _, near := o.(*local); near && c.PublicURL == "" {
		return usage("with --data the node's address is not known here: say where people reach it, --public-url https://HOST")
	} else if near && c.Mail {
		return usage("--mail is the node's to do: use --server")
	}
	l, err := o.MakeLink(ctx, c.keyFlags, c.PublicURL, c.Collection, n)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(l)
	}
	if l.Link != "" {
		fmt.Fprintln(s.out, l.Link)
	}
	if !cli.Quiet {
		if l.Link == "" {
			s.say("%s into %s is on its way by mail; `vitrine link list` says whether the mail server has taken it.", l.ID, l.Collection)
		} else {
			s.say("%s into %s works until %s. It is shown this once; `vitrine link revoke %s --collection %s` ends it.", l.ID, l.Collection, minute(&l.Expires), l.ID, l.Collection)
		}
	}
	return nil
}

// parseSize reads a number of bytes, as 500MB or 2TB.
func parseSize(text string) (int64, error) {
	t := strings.ToUpper(strings.TrimSpace(text))
	unit := int64(1)
	for _, u := range []struct {
		name string
		is   int64
	}{{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(t, u.name); ok {
			t, unit = strings.TrimSpace(rest), u.is
			break
		}
	}
	var n float64
	var more string
	if k, err := fmt.Sscanf(t+" .", "%f %s", &n, &more); err != nil || k != 2 || more != "." || n <= 0 || n*float64(unit) > 1e15 {
		return 0, fmt.Errorf("%q is no size such as 500MB or 2TB", text)
	}
	return int64(n * float64(unit)), nil
}

type linkListCmd struct {
	adminFlags
	keyFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
}

// Run lists links.
func (c *linkListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Links(ctx, c.keyFlags, c.Collection)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "STATE", "UNTIL", "FILES", "BYTES", "LAST USED", "MAIL", "LABEL", "FOR", "MADE BY"}, none: "There is no link."}
	for _, l := range all {
		mail := l.Mail
		if l.MailWhy != "" {
			mail += ": " + l.MailWhy
		}
		t.add(l.ID, l.State, minute(&l.Expires), fmt.Sprintf("%d of %d", l.UsedFiles, l.QuotaFiles), fmt.Sprintf("%d of %d", l.UsedBytes, l.QuotaBytes), minute(l.LastUsed), mail, l.Label, l.For, l.MadeBy)
	}
	return s.list(all, t)
}

type linkRevokeCmd struct {
	adminFlags
	keyFlags
	Collection string   `required:"" placeholder:"ID" help:"The collection."`
	ID         []string `arg:"" help:"The id, as in the list; not the link itself."`
}

// Run ends links.
func (c *linkRevokeCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	for _, id := range c.ID {
		if err := o.EndLink(ctx, c.keyFlags, c.Collection, id); err != nil {
			return err
		}
		if !cli.Quiet {
			s.say("%s opens nothing any more.", id)
		}
	}
	return nil
}

func (l *local) links(ctx context.Context, key keyFlags, id string, use func(*link.Desk, collection.ID) error) error {
	c, err := collection.ParseID(id)
	if err != nil {
		return err
	}
	cfg := l.cfg
	key.into(&cfg)
	return l.records.Links(ctx, cfg, func(d *link.Desk) error { return use(d, c) })
}

func (l *local) MakeLink(ctx context.Context, key keyFlags, base, id string, n link.NewLink) (v link.View, err error) {
	base, err = node.ParsePublicURL(base)
	if err != nil {
		return v, err
	}
	w, err := n.Wish()
	if err != nil {
		return v, err
	}
	err = l.links(ctx, key, id, func(d *link.Desk, c collection.ID) error {
		made, err := d.Make(ctx, l.who, base, c, w)
		v = link.ViewOf(made)
		return err
	})
	return v, err
}

func (l *local) Links(ctx context.Context, key keyFlags, id string) (views []link.View, err error) {
	views = []link.View{}
	err = l.links(ctx, key, id, func(d *link.Desk, c collection.ID) error {
		all, err := d.List(ctx, l.who, c)
		for _, x := range all {
			views = append(views, link.ViewOf(x))
		}
		return err
	})
	return views, err
}

func (l *local) EndLink(ctx context.Context, key keyFlags, id, of string) error {
	return l.links(ctx, key, id, func(d *link.Desk, c collection.ID) error { return d.Revoke(ctx, l.who, c, of) })
}

func (r *remote) MakeLink(ctx context.Context, _ keyFlags, _, id string, n link.NewLink) (v link.View, err error) {
	return v, r.c.JSON(ctx, http.MethodPost, nil, n, &v, "api", "collections", id, "links")
}

func (r *remote) Links(ctx context.Context, _ keyFlags, id string) (all []link.View, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections", id, "links")
}

func (r *remote) EndLink(ctx context.Context, _ keyFlags, id, of string) error {
	return r.c.JSON(ctx, http.MethodDelete, nil, nil, nil, "api", "collections", id, "links", of)
}
