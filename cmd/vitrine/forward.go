package main

import (
	"context"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

type forwardCmd struct {
	Start     forwardStartCmd     `cmd:"" help:"Send a copy of what a collection releases, or admits, until the application has it."`
	List      forwardListCmd      `cmd:"" help:"List what is forwarded, and how that stands."`
	Withdrawn forwardWithdrawnCmd `cmd:"" help:"List what applications have and is out of sight here by now, or note that they were told."`
	Stop      forwardStopCmd      `cmd:"" help:"Forward a collection no more; what the application has it keeps."`
}

type forwardStartCmd struct {
	adminFlags
	AET        string `arg:"" name:"aet" help:"The application's AE title, as it is registered."`
	Collection string `required:"" placeholder:"ID" help:"The collection."`
	Admitted   bool   `help:"Send what is admitted, before it is released."`
}

func (c *forwardStartCmd) Help() string {
	return `What the collection has already is sent too. An application that does not answer, or does not take something, is tried again for as long as it takes: after a minute, then later and later, up to an hour. Objects go as they are kept: de-identified, in their transfer syntax, or, where the application does not take it, uncompressed. What is withdrawn here later stays there: vitrine peer forward withdrawn lists it.`
}

// Run begins to forward.
func (c *forwardStartCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	v := admin.ForwardView{Peer: c.AET, Collection: c.Collection, What: "released"}
	if c.Admitted {
		v.What = "admitted"
	}
	made, err := o.Forward(ctx, v)
	if err != nil {
		return err
	}
	return s.list(made, forwardTable([]admin.ForwardView{made}))
}

type forwardWithdrawnCmd struct {
	adminFlags
	Told       string `placeholder:"AET" help:"Note that whoever keeps this application has been told of what is listed for it, and print what was noted."`
	Collection string `placeholder:"ID" help:"Of --told: the collection."`
}

func (c *forwardWithdrawnCmd) Help() string {
	return `DICOM has no message by which an archive could be told to remove something: whoever keeps it has to be asked. What is held, restricted or withdrawn here after it was sent stands in this list, with the UIDs that the archive knows (--output json names every instance), until you say that they were told. --told prints what it notes: compare it with what you have told them of, for something may have been withdrawn since. The status page says so, too. At most 10,000 instances are listed, or noted, at a time.`
}

// Run lists, or notes.
func (c *forwardWithdrawnCmd) Run(ctx context.Context, s *streams) error {
	if (c.Told == "") != (c.Collection == "") {
		return usage("--told and --collection go together")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	t := &table{head: []string{"APPLICATION", "COLLECTION", "STUDY", "INSTANCES"}, none: "No application has what is out of sight here."}
	var all []admin.GoneView
	if c.Told == "" {
		all, err = o.Gone(ctx)
	} else {
		all, err = o.ToldPeer(ctx, c.Told, c.Collection)
		t.none = "There was nothing to tell."
	}
	if err != nil {
		return err
	}
	for _, g := range all {
		t.add(g.Peer, g.Collection, g.Study, strconv.Itoa(len(g.Instances)))
	}
	return s.list(all, t)
}

type forwardListCmd struct{ adminFlags }

// Run lists what is forwarded.
func (c *forwardListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Forwards(ctx)
	if err != nil {
		return err
	}
	return s.list(all, forwardTable(all))
}

func forwardTable(all []admin.ForwardView) *table {
	t := &table{head: []string{"AE TITLE", "COLLECTION", "WHAT", "SENT", "STUDIES WAITING", "LAST TRIED", "FAILURES", "REASON"}, none: "Nothing is forwarded."}
	for _, f := range all {
		t.add(f.Peer, f.Collection, f.What, strconv.FormatInt(f.Sent, 10), strconv.FormatInt(f.Waiting, 10), minute(f.Tried), strconv.FormatInt(f.Failures, 10), f.Reason)
	}
	return t
}

type forwardStopCmd struct {
	adminFlags
	AET        string `arg:"" name:"aet" help:"The application's AE title."`
	Collection string `required:"" placeholder:"ID" help:"The collection."`
}

// Run ends it.
func (c *forwardStopCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.EndForward(ctx, c.AET, c.Collection); err != nil {
		return err
	}
	if !cli.Quiet {
		s.say("Nothing more of %s is sent to %s.", c.Collection, c.AET)
	}
	return nil
}
