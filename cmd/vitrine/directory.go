package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

type directoryCmd struct {
	Import  directoryImportCmd  `cmd:"" help:"Read descriptions of collections: CSV, DCAT as JSON-LD, HDR UK or CRUK JSON, or our own JSON."`
	Export  directoryExportCmd  `cmd:"" help:"Print a published entry as HDR UK, CRUK, DCAT, MIABIS, schema.org or CSV."`
	List    directoryListCmd    `cmd:"" help:"List the entries that you may write, with what they still lack."`
	Use     directoryUseCmd     `cmd:"" help:"Ask whether what you want to do is what a collection may be used for."`
	Publish directoryPublishCmd `cmd:"" help:"Show an entry to everybody."`
	Retire  directoryRetireCmd  `cmd:"" help:"Take an entry out of the directory."`
	Count   directoryCountCmd   `cmd:"" help:"Count people now, instead of in the night."`
}

type directoryImportCmd struct {
	adminFlags
	Source     string `arg:"" name:"file" help:"The descriptions; - reads standard input."`
	Format     string `placeholder:"NAME" help:"csv, dcat, hdruk, cruk or json. Default: from the file's name and what stands in it."`
	ID         string `name:"id" placeholder:"ID" help:"Of a single description: the id of the entry. Default: from its name."`
	Collection string `placeholder:"ID" help:"Of a single description: the collection of this node that it describes."`
	Note       string `placeholder:"TEXT" help:"Kept with the revision."`
	Update     bool   `help:"An entry that is there already gets another revision, if the file says something new."`
	Publish    bool   `help:"Show what lacks nothing to everybody at once."`
	DryRun     bool   `name:"dry-run" help:"Store nothing: say what would be, and what was not understood."`
}

func (c *directoryImportCmd) Help() string {
	return `Every description becomes an entry of the directory, which only those who write it see before it is published. What was not understood, cut or left out of a description is listed.
Our own JSON is one entry of docs/formats/directory.md, {"id": ..., "entry": ...}, or an array of these.

Exit code 3 says that some descriptions were not stored, or not published: each is listed with its reason.`
}

// Run imports descriptions.
func (c *directoryImportCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	in := s.in
	if c.Source != "-" {
		f, err := os.Open(c.Source)
		if err != nil {
			return usage("%w", err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, directory.MaxImport+1))
	if err != nil {
		return err
	}
	what := directoryflow.Source{Format: directoryflow.Format(c.Format), ID: directory.ID(c.ID), Collection: c.Collection}
	if what.Format == "" {
		what.Format = directoryflow.Guess(filepath.Ext(c.Source), raw)
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	r, err := o.ImportEntries(ctx, what, raw, directoryflow.Taking{Note: c.Note, Update: c.Update, Publish: c.Publish}, c.DryRun)
	if err != nil {
		return err
	}
	if s.json {
		err = s.value(r)
	} else {
		err = c.print(cli, s, r)
	}
	for _, t := range r.Taken {
		if err == nil && t.Problem != "" {
			return partial
		}
	}
	return err
}

func (c *directoryImportCmd) print(cli *CLI, s *streams, r directoryflow.Outcome) error {
	t := &table{head: []string{"ENTRY", "TITLE", "STANDS", "SAYS"}, none: "The file describes no collection."}
	for i, d := range r.Drafts {
		stands := "not stored"
		if i < len(r.Taken) {
			x := r.Taken[i]
			switch {
			case x.Published:
				stands = "published, revision " + strconv.FormatInt(x.Revision, 10)
			case x.Revision > 0:
				stands = "draft, revision " + strconv.FormatInt(x.Revision, 10)
			}
		}
		t.add(string(d.ID), d.Entry.Title, stands, strconv.Itoa(d.Entry.Completeness().Score)+" of 100")
	}
	if err := s.list(r, t); err != nil || cli.Quiet {
		return err
	}
	for i, d := range r.Drafts {
		for _, n := range d.Notes {
			s.say("%s: %s", cell(string(d.ID)), cell(n.String()))
		}
		if i < len(r.Taken) && r.Taken[i].Problem != "" {
			s.say("%s: %s", cell(string(d.ID)), cell(r.Taken[i].Problem))
		}
	}
	return nil
}

type directoryExportCmd struct {
	adminFlags
	ID     string `arg:"" help:"The entry."`
	Format string `default:"hdruk" enum:"hdruk,cruk,dcat,miabis,schema.org,csv" help:"One of ${enum}."`
}

// Run prints an entry.
func (c *directoryExportCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	b, err := o.ExportEntry(ctx, c.ID, directoryflow.Format(c.Format))
	if err != nil {
		return err
	}
	_, err = s.out.Write(b)
	return err
}

type directoryUseCmd struct {
	adminFlags
	ID            string   `arg:"" help:"The entry."`
	For           string   `required:"" enum:"disease,health,general,ancestry,care" help:"What it is for: research into particular diseases, into health, any research, the origins of populations, or the care of patients (${enum})."`
	Disease       []string `sep:"none" placeholder:"CODE" help:"A disease that is studied: C50, ICD-O-3-M 8500/3, breast cancer. May be repeated."`
	Organisation  string   `enum:",non-profit,for-profit" default:"" placeholder:"KIND" help:"Of whoever asks: non-profit or for-profit."`
	Country       []string `placeholder:"CC" help:"Where they are, and where the data will be: GB. May be repeated."`
	Months        int      `placeholder:"N" help:"For how long."`
	Training      bool     `help:"Artificial intelligence is trained with it."`
	Generative    bool     `help:"Models that make images are trained with it."`
	Methods       bool     `help:"Its aim is a method or a program."`
	Genetic       bool     `help:"Genes are studied."`
	Animals       bool     `help:"Animals are worked with."`
	Commercial    bool     `help:"What comes of it is sold, or serves what is sold."`
	Download      bool     `help:"Data are taken away."`
	Relink        bool     `help:"Data are joined with others about people."`
	Onward        bool     `help:"Data are given to others."`
	Reidentify    bool     `help:"People are to be found out."`
	Publish       bool     `help:"What is found will be published."`
	GiveBack      bool     `help:"What is made from it will be given back."`
	Ethics        bool     `help:"An ethics committee has agreed."`
	Collaboration bool     `help:"The people who made the data work with you."`
	Approved      bool     `help:"You, your institution and your project were approved for these data."`
}

func (c *directoryUseCmd) Help() string {
	return `The answer is permit, review (a person has to decide) or deny, with the rules by which, and what would help. It is a question: nothing is kept of it, and nothing is granted by it.

Exit code 0 says permit; 3 says review or deny.`
}

// Run asks.
func (c *directoryUseCmd) Run(ctx context.Context, s *streams) error {
	q := url.Values{"for": {c.For}, "disease": c.Disease, "country": c.Country}
	if c.Organisation != "" {
		q.Set("organisation", c.Organisation)
	}
	if c.Months != 0 {
		q.Set("months", strconv.Itoa(c.Months))
	}
	for name, yes := range map[string]bool{"training": c.Training, "generative": c.Generative, "methods": c.Methods, "genetic": c.Genetic, "animals": c.Animals, "commercial": c.Commercial, "download": c.Download,
		"relink": c.Relink, "onward": c.Onward, "reidentify": c.Reidentify, "publish": c.Publish, "give-back": c.GiveBack, "ethics": c.Ethics, "collaboration": c.Collaboration, "approved": c.Approved} {
		if yes {
			q.Set(name, "yes")
		}
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	u, err := o.MayUse(ctx, c.ID, q)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ANSWER", "RULE", "WHY", "WHAT WOULD HELP"}}
	for _, r := range u.Reasons {
		t.add(r.Verdict.String(), cell(r.Rule), cell(r.Text), cell(r.Remedy))
	}
	if !s.json {
		fmt.Fprintf(s.out, "%s: %s\n\n", cell(u.Title), u.Verdict)
	}
	if err := s.list(u, t); err != nil {
		return err
	}
	if !s.json && len(u.Duties) > 0 {
		fmt.Fprintln(s.out, "\nWhat you would have to do, and to leave:")
		for _, d := range u.Duties {
			fmt.Fprintf(s.out, "  %s\n", cell(d))
		}
	}
	if u.Verdict != datause.Permit {
		return partial
	}
	return nil
}

type directoryListCmd struct{ adminFlags }

// Run lists entries.
func (c *directoryListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.DirectoryEntries(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ENTRY", "TITLE", "IMAGES", "STANDS", "SAYS", "STILL NEEDED"}, none: "There is no entry that you may write."}
	for _, e := range all {
		images := cmp.Or(e.Entry.Collection, string(e.Entry.Holding))
		stands := e.State
		if e.State == directory.Published.String() && e.Latest > e.Published {
			stands = "published, with a later draft"
		}
		var needed []string
		for _, g := range e.Completeness.Gaps {
			if g.Needed {
				needed = append(needed, g.Path)
			}
		}
		t.add(string(e.ID), e.Entry.Title, images, stands, fmt.Sprintf("%d of 100", e.Completeness.Score), strings.Join(needed, ", "))
	}
	return s.list(all, t)
}

type directoryPublishCmd struct {
	adminFlags
	ID       string `arg:"" help:"The entry."`
	Revision int64  `placeholder:"N" help:"Which revision; the newest unless given."`
}

// Run publishes an entry.
func (c *directoryPublishCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v, err := o.PublishEntry(ctx, c.ID, c.Revision)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(v)
	}
	if !cli.Quiet {
		s.say("Everybody sees revision %d of %s now.", v.Published, v.ID)
	}
	return nil
}

type directoryRetireCmd struct {
	adminFlags
	ID string `arg:"" help:"The entry."`
}

// Run retires an entry.
func (c *directoryRetireCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.RetireEntry(ctx, c.ID); err != nil {
		return err
	}
	if !cli.Quiet {
		s.say("%s is out of the directory. Its revisions stay, and it can be published again.", cell(c.ID))
	}
	return nil
}

type directoryCountCmd struct{ adminFlags }

func (c *directoryCountCmd) Help() string {
	return `What is published follows the same rules as every night: a collection's numbers are new if ten people or more have come, gone or changed since they were published last;
fewer than ten and none look the same, and other numbers are rounded to ten.`
}

// Run counts people.
func (c *directoryCountCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	n, err := o.CountPeople(ctx)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(n)
	}
	fmt.Fprintf(s.out, "People of %s counted, %d with new numbers\n", count(int(n.Collections), "collection"), n.Renewed)
	return nil
}
