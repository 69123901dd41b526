package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

type pullsCmd struct {
	Add    pullAddCmd    `cmd:"" help:"Collect images from a registered archive: a list, or whatever is new every day."`
	List   pullListCmd   `cmd:"" help:"List what is collected for a collection, and how each stands."`
	Show   pullShowCmd   `cmd:"" help:"Say how one stands, and what became of each request."`
	Pause  pullPauseCmd  `cmd:"" help:"Have one wait."`
	Resume pullResumeCmd `cmd:"" help:"Have one go on, and ask again for what failed."`
	End    pullEndCmd    `cmd:"" help:"End one: what it asks for is forgotten, what became of it stays."`
}

// pullFlags say which collection.
type pullFlags struct {
	adminFlags
	keyFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
}

type pullAddCmd struct {
	pullFlags
	From       string   `required:"" placeholder:"AET" help:"The archive, by the AE title it is registered with as a peer."`
	Label      string   `placeholder:"TEXT" help:"For people; kept encrypted."`
	Accessions string   `placeholder:"FILE" help:"Accession numbers, one a line; - is standard input."`
	Patients   string   `placeholder:"FILE" help:"Patient IDs, likewise."`
	Studies    string   `placeholder:"FILE" help:"Study Instance UIDs, likewise."`
	Standing   bool     `help:"Whatever the archive has that is like --modality and --described, day after day."`
	Since      string   `placeholder:"YYYYMMDD" help:"First day of a standing one; without it, today."`
	Modality   []string `placeholder:"MG" help:"Of these modalities alone. May be given more than once, or with commas."`
	Described  string   `placeholder:"PATTERN" help:"Whose study description is like this, with * and ?."`
	Priors     int      `placeholder:"YEARS" help:"And what the same patients had in so many years before."`
	By         string   `enum:"move,get" default:"move" help:"By C-MOVE the archive sends to the collection's AE title, which it has to know; by C-GET images come on the line that asks. Default: ${default}."`
	Rate       int64    `placeholder:"N" help:"Studies an hour, at most."`
	Hours      string   `placeholder:"WHEN" help:"When it may run, by the node's clock: 22:00-06:00, or '22:00-06:00 mon-fri'."`
}

func (c *pullAddCmd) Help() string {
	return `The archive is registered first: vitrine peer add PACS --host H --port N --may store. Requests lie encrypted until each has its fate, and are told of by their number in your list.`
}

// readList reads one value a line.
func readList(path string, in io.Reader) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	var all []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if l := strings.TrimSpace(lines.Text()); l != "" {
			all = append(all, l)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, usage("the list cannot be read: %w", err)
	}
	if len(all) == 0 {
		return nil, usage("the list has no line")
	}
	return all, nil
}

// Run makes a pull.
func (c *pullAddCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	n := pullflow.NewPull{Label: c.Label, Peer: c.From, Way: c.By, Rate: c.Rate, Hours: c.Hours, Standing: c.Standing, From: c.Since, Modalities: c.Modality, Described: c.Described, Priors: c.Priors}
	var err error
	for path, to := range map[string]*[]string{c.Accessions: &n.Accessions, c.Patients: &n.Patients, c.Studies: &n.Studies} {
		if path == "" {
			continue
		}
		if *to, err = readList(path, os.Stdin); err != nil {
			return err
		}
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.MakePull(ctx, c.keyFlags, c.Collection, n)
	if err != nil {
		return err
	}
	if !cli.Quiet && !s.json {
		s.say("It begins, or waits for its hours; vitrine pull show %s --collection %s says what became of each request.", v.ID, v.Collection)
	}
	return s.list(v, pullTable([]pullflow.View{v}))
}

func pullTable(all []pullflow.View) *table {
	t := &table{head: []string{"ID", "FROM", "KIND", "STATE", "REQUESTS", "NOTHING", "STUDIES", "CAME", "FAILED", "IMAGES", "LABEL"}, none: "Nothing is collected."}
	for _, v := range all {
		state := v.State
		if v.Why != "" {
			state += ": " + v.Why
		}
		n := func(i int64) string { return strconv.FormatInt(i, 10) }
		t.add(v.ID, v.Peer, v.Kind, state, n(v.Requests.All), n(v.Requests.Nothing), n(v.Studies.All), n(v.Studies.Done), n(v.Studies.Failed+v.Studies.Partial), n(v.Came), v.Label)
	}
	return t
}

type pullListCmd struct{ pullFlags }

// Run lists pulls.
func (c *pullListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Pulls(ctx, c.keyFlags, c.Collection)
	if err != nil {
		return err
	}
	return s.list(all, pullTable(all))
}

type pullShowCmd struct {
	pullFlags
	ID string `arg:"" help:"The pull."`
}

// shown is a pull with its fates.
type shown struct {
	pullflow.View
	Fates []pullflow.Fate `json:"fates"`
}

// Run shows a pull.
func (c *pullShowCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.Pull(ctx, c.keyFlags, c.Collection, c.ID)
	if err != nil {
		return err
	}
	x := shown{View: v, Fates: []pullflow.Fate{}}
	for after := int64(0); v.Kind == string(pull.List) || after == 0; {
		some, err := o.PullFates(ctx, c.keyFlags, c.Collection, c.ID, after)
		if err != nil {
			return err
		}
		x.Fates = append(x.Fates, some...)
		if len(some) < pullflow.MaxFates {
			break
		}
		after = some[len(some)-1].Request
	}
	t := &table{head: []string{"REQUEST", "FATE", "STUDIES", "IMAGES", "FAILED", "WHAT TO DO"}, none: "Nothing has a fate yet."}
	for _, f := range x.Fates {
		number := "-"
		if f.Request > 0 {
			number = strconv.FormatInt(f.Request, 10)
		}
		t.add(number, f.FateText(), strconv.FormatInt(f.Studies, 10), strconv.FormatInt(f.Came, 10), strconv.FormatInt(f.Failed, 10), f.Advice)
	}
	if v.Advice != "" {
		s.say("%s", v.Advice)
	}
	return s.list(x, t)
}

type pullPauseCmd struct {
	pullFlags
	ID string `arg:"" help:"The pull."`
}

// Run pauses a pull.
func (c *pullPauseCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.ID, pull.Paused)
}

type pullResumeCmd struct {
	pullFlags
	ID string `arg:"" help:"The pull."`
}

// Run has a pull go on.
func (c *pullResumeCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.ID, pull.Active)
}

type pullEndCmd struct {
	pullFlags
	ID string `arg:"" help:"The pull."`
}

// Run ends a pull.
func (c *pullEndCmd) Run(ctx context.Context, s *streams) error {
	return c.change(ctx, s, c.ID, pull.Ended)
}

func (c *pullFlags) change(ctx context.Context, s *streams, id string, to pull.State) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.ChangePull(ctx, c.keyFlags, c.Collection, id, to)
	if err != nil {
		return err
	}
	return s.list(v, pullTable([]pullflow.View{v}))
}

func (l *local) pulls(ctx context.Context, key keyFlags, id string, use func(*pullflow.Desk, collection.ID) error) error {
	c, err := collection.ParseID(id)
	if err != nil {
		return err
	}
	cfg := l.cfg
	key.into(&cfg)
	return l.records.Pulls(ctx, cfg, func(d *pullflow.Desk) error { return use(d, c) })
}

func (l *local) MakePull(ctx context.Context, key keyFlags, id string, n pullflow.NewPull) (v pullflow.View, err error) {
	w, err := n.Wish()
	if err != nil {
		return v, err
	}
	err = l.pulls(ctx, key, id, func(d *pullflow.Desk, c collection.ID) error { v, err = d.Make(ctx, l.who, c, w); return err })
	return v, err
}

func (l *local) Pulls(ctx context.Context, key keyFlags, id string) (all []pullflow.View, err error) {
	err = l.pulls(ctx, key, id, func(d *pullflow.Desk, c collection.ID) error { all, err = d.List(ctx, l.who, c); return err })
	return all, err
}

func (l *local) Pull(ctx context.Context, key keyFlags, id, of string) (v pullflow.View, err error) {
	n, err := pull.ParseID(of)
	if err != nil {
		return v, err
	}
	err = l.pulls(ctx, key, id, func(d *pullflow.Desk, c collection.ID) error { v, err = d.See(ctx, l.who, c, n); return err })
	return v, err
}

func (l *local) PullFates(ctx context.Context, key keyFlags, id, of string, after int64) (all []pullflow.Fate, err error) {
	n, err := pull.ParseID(of)
	if err != nil {
		return nil, err
	}
	err = l.pulls(ctx, key, id, func(d *pullflow.Desk, c collection.ID) error {
		all, err = d.Fates(ctx, l.who, c, n, after, pullflow.MaxFates)
		return err
	})
	return all, err
}

func (l *local) ChangePull(ctx context.Context, key keyFlags, id, of string, to pull.State) (v pullflow.View, err error) {
	n, err := pull.ParseID(of)
	if err != nil {
		return v, err
	}
	err = l.pulls(ctx, key, id, func(d *pullflow.Desk, c collection.ID) error { v, err = d.Change(ctx, l.who, c, n, to); return err })
	return v, err
}

func (r *remote) MakePull(ctx context.Context, _ keyFlags, id string, n pullflow.NewPull) (v pullflow.View, err error) {
	return v, r.c.JSON(ctx, http.MethodPost, nil, n, &v, "api", "collections", id, "pulls")
}

func (r *remote) Pulls(ctx context.Context, _ keyFlags, id string) (all []pullflow.View, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, nil, nil, &all, "api", "collections", id, "pulls")
}

func (r *remote) Pull(ctx context.Context, _ keyFlags, id, of string) (v pullflow.View, err error) {
	return v, r.c.JSON(ctx, http.MethodGet, nil, nil, &v, "api", "collections", id, "pulls", of)
}

func (r *remote) PullFates(ctx context.Context, _ keyFlags, id, of string, after int64) (all []pullflow.Fate, err error) {
	return all, r.c.JSON(ctx, http.MethodGet, map[string][]string{"after": {strconv.FormatInt(after, 10)}}, nil, &all, "api", "collections", id, "pulls", of, "fates")
}

func (r *remote) ChangePull(ctx context.Context, _ keyFlags, id, of string, to pull.State) (v pullflow.View, err error) {
	return v, r.c.JSON(ctx, http.MethodPatch, nil, map[string]string{"state": string(to)}, &v, "api", "collections", id, "pulls", of)
}
