package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

type releasesCmd struct {
	Create   releaseCreateCmd   `cmd:"" help:"Make a dataset of a collection, to be released version by version."`
	List     releaseListCmd     `cmd:"" help:"List datasets with their versions."`
	Compare  releaseCompareCmd  `cmd:"" help:"Say how a dataset's cohort stands to its last version."`
	Freeze   releaseFreezeCmd   `cmd:"" help:"Make the next version of a dataset: a draft."`
	Show     releaseShowCmd     `cmd:"" help:"Show a version, or describe it for others."`
	Publish  releasePublishCmd  `cmd:"" help:"Publish a version of a dataset; or make admitted studies visible to researchers of their collection."`
	Discard  releaseDiscardCmd  `cmd:"" help:"Forget a draft."`
	TakeBack releaseTakeBackCmd `cmd:"" name:"take-back" help:"Take a version back as a whole; its page stays and says why."`
}

type releasePublishCmd struct {
	releaseFlags
	Collection string   `placeholder:"ID" help:"Of studies: the collection."`
	Study      []string `arg:"" optional:"" name:"study" help:"DATASET@VERSION of a draft; or UIDs of studies, as find lists them; without any, all admitted studies of the collection."`
}

// Run publishes.
func (c *releasePublishCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	for _, uid := range c.Study {
		if uid == "" {
			return usage("a study's UID is empty; name studies, or none at all for the whole collection")
		}
	}
	if slices.ContainsFunc(c.Study, func(n string) bool { return strings.Contains(n, "@") }) {
		return publishReleases(ctx, &c.releaseFlags, s, c.Study, cli.Quiet)
	}
	if c.Collection == "" {
		return usage("--collection is missing; or name a version of a dataset, as DATASET@1.0.0")
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
