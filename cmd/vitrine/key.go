package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

type keyCmd struct {
	Show   keyShowCmd   `cmd:"" help:"Show which master key is in use, where it is kept and since when; never the key."`
	Rotate keyRotateCmd `cmd:"" help:"Make a new master key and wrap everything by it; into a key service, or out of one, if wanted."`
}

type keyShowCmd struct {
	nodeFlags
	keyFlags
}

type masterView struct {
	Fingerprint string     `json:"fingerprint"`
	Since       *time.Time `json:"since,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
}

type keyView struct {
	masterView
	Kept        string       `json:"kept"`
	Earlier     []masterView `json:"earlier"`
	Generations int64        `json:"generations"`
	Subjects    int64        `json:"subject_keys"`
	Collections int64        `json:"collection_keys"`
	Destroyed   int64        `json:"destroyed_keys"`
}

func viewMaster(k keys.Known) masterView {
	v := masterView{Fingerprint: k.Fingerprint}
	if !k.Since.IsZero() {
		v.Since = &k.Since
	}
	if !k.Until.IsZero() {
		v.Until = &k.Until
	}
	return v
}

// Run shows the key.
func (c *keyShowCmd) Run(ctx context.Context, s *streams) error {
	cfg := c.config()
	c.keyFlags.into(&cfg)
	if err := there(cfg); err != nil {
		return err
	}
	r, err := node.OpenRecords(ctx, cfg)
	if err != nil {
		return err
	}
	defer r.Close()
	state, err := r.KeyState(ctx, cfg, operator())
	if err != nil {
		return err
	}
	v := keyView{masterView: viewMaster(state.Masters[0]), Kept: cfg.KeyPlace().String(), Earlier: []masterView{}, Generations: state.Generations, Subjects: state.Subjects,
		Collections: state.Collections, Destroyed: state.Destroyed}
	for _, k := range state.Masters[1:] {
		v.Earlier = append(v.Earlier, viewMaster(k))
	}
	if s.json {
		return s.value(v)
	}
	since := "not known"
	if v.Since != nil {
		since = day(v.Since)
	}
	for _, row := range [][2]string{{"fingerprint", v.Fingerprint}, {"kept", v.Kept}, {"made", since}, {"wraps", "keys: " + strconv.FormatInt(v.Subjects, 10) + " of subjects, " +
		strconv.FormatInt(v.Collections, 10) + " of collections"}, {"destroyed", strconv.FormatInt(v.Destroyed, 10)}} {
		fmt.Fprintf(s.out, "%-13s %s\n", row[0], cell(row[1]))
	}
	for _, k := range v.Earlier {
		line := k.Fingerprint
		if k.Until != nil {
			line += ", until " + day(k.Until)
		}
		fmt.Fprintf(s.out, "%-13s %s\n", "earlier", line)
	}
	return nil
}

type keyRotateCmd struct {
	nodeFlags
	keyFlags
	To       string `placeholder:"FILE" help:"Where the new key goes: a file, or the address of a key service. Default: where the old one is."`
	ToSealed string `placeholder:"FILE" help:"With the address of a key service: the file of what it has sealed. Default: DIR.sealed-key beside the data folder."`
}

func (c *keyRotateCmd) Help() string {
	return `No node may serve from the data folder meanwhile, nor from another one on the same database. Every key is wrapped anew in one transaction; images are not touched.
Whatever interrupts it, the same command again goes on from there, and a node that is started finds its keys.

The old key is kept beside its place, as FILE.old-FINGERPRINT: backups of the key database made until now can be read with it alone. Remove it when they are gone.`
}

// Run changes the key.
func (c *keyRotateCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	cfg := c.config()
	c.keyFlags.into(&cfg)
	if err := there(cfg); err != nil {
		return err
	}
	to := cfg.KeyPlace()
	if c.To != "" || c.ToSealed != "" {
		target := cfg
		target.Key, target.Sealed = c.To, c.ToSealed
		if c.To == "" {
			target.Key = cfg.Key
		}
		to = target.KeyPlace()
	}
	if to.Keeper == "" && within(to.File, cfg.Data) && to != cfg.KeyPlace() {
		return usage("the master key %s would lie in the data folder: whoever gets a copy of the folder could read everything. Give --to a file elsewhere", to.File)
	}
	done, err := node.ChangeKey(ctx, cfg, to, operator())
	if err != nil {
		return err
	}
	if s.json {
		return s.value(map[string]any{"fingerprint": done.New, "before": done.Old, "kept": to.String(), "old_key": done.Kept, "resumed": done.Resumed})
	}
	what := "The master key is a new one"
	if done.Resumed {
		what = "A change that had been interrupted is complete; the master key"
	}
	fmt.Fprintf(s.out, "%s: %s, %s\n", what, done.New, to)
	if cli.Quiet {
		return nil
	}
	s.say("Copy it to a safe place that is not the backup of the data.")
	if done.Kept != "" {
		s.say("The old key is now %s. Backups of the key database made until now need it; remove it when they are gone.", done.Kept)
	}
	return nil
}
