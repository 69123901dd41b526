package main

import (
	"context"
	"fmt"
)

type releasesCmd struct {
	Publish releasePublishCmd `cmd:"" help:"Make admitted studies visible to researchers of their collection."`
}

type releasePublishCmd struct {
	adminFlags
	Collection string   `required:"" placeholder:"ID" help:"The collection."`
	Study      []string `arg:"" optional:"" name:"study" help:"UIDs of studies, as find lists them; without any, all admitted studies of the collection."`
}

// Run publishes.
func (c *releasePublishCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	for _, uid := range c.Study {
		if uid == "" {
			return usage("a study's UID is empty; name studies, or none at all for the whole collection")
		}
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	studies := c.Study
	if len(studies) == 0 {
		studies = []string{""}
	}
	total, err := o.Publish(ctx, c.Collection, studies[0])
	for _, st := range studies[1:] {
		if err != nil {
			break
		}
		n, e := o.Publish(ctx, c.Collection, st)
		total.Studies += n.Studies
		total.Instances += n.Instances
		err = e
	}
	if err != nil {
		if total.Studies > 0 {
			s.say("Published before that: %s.", count(int(total.Studies), "study"))
		}
		return err
	}
	if s.json {
		return s.value(total)
	}
	fmt.Fprintf(s.out, "%s, %s published in %s\n", count(int(total.Studies), "study"), count(int(total.Instances), "instance"), c.Collection)
	if total.Waiting > 0 && !cli.Quiet {
		s.say("%s are not admitted yet: a study is, when its deposit has ended or fallen quiet. Run this again then.", count(int(total.Waiting), "instance"))
	}
	return nil
}
