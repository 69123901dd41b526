package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

type backupCmd struct {
	Make  backupMakeCmd  `cmd:"" default:"withargs" help:"Copy what a node keeps to another place, while it runs; only what is new."`
	List  backupListCmd  `cmd:"" help:"List the backups of a place."`
	Prune backupPruneCmd `cmd:"" help:"Remove backups that were kept long enough, and what no backup needs."`
	Drill backupDrillCmd `cmd:"" help:"Prove that a backup can be restored: restore it to a temporary folder, start a node there, compare everything, remove it."`
}

// backupFlags say what is backed up, and where to.
type backupFlags struct {
	nodeFlags
	keyFlags
	Store  string `placeholder:"URL" help:"The node's bucket, where packs that are no longer on this machine are read from."`
	Mirror string `name:"mirror" placeholder:"URL" help:"The node's mirror, where packs are read from that are nowhere else."`
	To     string `placeholder:"PLACE" help:"Where backups lie: a folder, or a bucket such as s3://BUCKET?region=..."`
	Keys   string `placeholder:"PLACE" help:"Where the keys lie, apart from the backups: another folder, or another bucket with other rights."`
}

type keepFlags struct {
	KeepLast int           `placeholder:"N" default:"0" help:"Keep so many backups, the newest; without it all are kept."`
	Erase    time.Duration `name:"erase-within" placeholder:"TIME" default:"720h" help:"Within what time an erasure has to reach the backups of the keys: older ones go. Default: ${default}, 30 days."`
}

func (f *backupFlags) settings() (node.Config, node.Places, error) {
	cfg := f.config()
	f.keyFlags.into(&cfg)
	cfg.Bucket, cfg.Mirror, cfg.Version = f.Store, f.Mirror, versionText()
	if cfg.Data == "" {
		return cfg, node.Places{}, usage("say where the node's data is: --data DIR")
	}
	if err := there(cfg); err != nil {
		return cfg, node.Places{}, err
	}
	if f.To == "" || f.Keys == "" {
		return cfg, node.Places{}, usage("name two places: --to PLACE for what is kept, --keys PLACE for its keys")
	}
	return cfg, node.Places{To: f.To, Keys: f.Keys}, nil
}

func (k *keepFlags) retention() (backup.Retention, error) {
	if k.KeepLast < 0 || k.Erase <= 0 {
		return backup.Retention{}, usage("--keep-last is a number of backups, and --erase-within a time such as 720h")
	}
	return backup.Retention{Last: k.KeepLast, Erase: k.Erase}, nil
}

// watch shows progress; the function ends the last bar.
func watch(cli *CLI, s *streams) (node.Watch, func()) {
	bar := &progress{}
	return node.Watch{
		Step: func(name string, n int64) {
			bar.done()
			bar = s.progress(cli, name, n, unitFiles)
		},
		Done: func() { bar.add(1) },
	}, func() { bar.done() }
}

type backupMakeCmd struct {
	backupFlags
	keepFlags
}

func (c *backupMakeCmd) Help() string {
	return `Works while the node runs. Packs are copied once, what is not encrypted in the data folder is encrypted on its way, and the keys, wrapped by the master key, go to a place of their own.
The master key is not in a backup: keep copies of it elsewhere.

A backup that was cut off is none; the same command again uses what it has copied. Exit code 3: the backup is whole, but packs were damaged or missing already; the report names them.`
}

// Run makes a backup.
func (c *backupMakeCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	cfg, at, err := c.settings()
	if err != nil {
		return err
	}
	keep, err := c.retention()
	if err != nil {
		return err
	}
	w, end := watch(cli, s)
	r, err := node.BackUp(ctx, cfg, at, operator(), keep, w)
	end()
	if err != nil {
		return err
	}
	if s.json {
		err = s.value(r)
	} else {
		fmt.Fprintf(s.out, "backup %s: %s in %s (%s), %s copied; %s kept", r.Backup, count(int(r.Objects), "object"), count(r.Packs, "pack"), bytesText(r.Bytes), bytesText(r.Copied), count(r.Kept, "backup"))
		if r.Removed > 0 {
			fmt.Fprintf(s.out, ", %d removed", r.Removed)
		}
		fmt.Fprintln(s.out)
		for _, id := range r.Missing {
			fmt.Fprintf(s.out, "missing: pack %s, to which the catalogue refers, is neither here nor in the bucket\n", id)
		}
		for _, id := range r.Damaged {
			fmt.Fprintf(s.out, "damaged: pack %s\n", id)
		}
	}
	if err == nil && len(r.Missing)+len(r.Damaged) > 0 {
		return partial
	}
	return err
}

type backupListCmd struct {
	backupFlags
}

// Run lists backups.
func (c *backupListCmd) Run(ctx context.Context, s *streams) error {
	cfg, at, err := c.settings()
	if err != nil {
		return err
	}
	all, err := node.ListBackups(ctx, cfg, at, operator())
	if err != nil {
		return err
	}
	t := &table{head: []string{"BACKUP", "OBJECTS", "PACKS", "BYTES", "REMARK"}, none: "There is no backup in that place."}
	for _, b := range all {
		remark := b.Why
		if b.Missing+b.Damaged > 0 {
			remark = fmt.Sprintf("packs missing: %d, damaged: %d", b.Missing, b.Damaged)
		}
		t.add(b.Backup, strconv.FormatInt(b.Objects, 10), strconv.Itoa(b.Packs), bytesText(b.Bytes), remark)
	}
	return s.list(all, t)
}

type backupPruneCmd struct {
	backupFlags
	keepFlags
}

// Run removes old backups.
func (c *backupPruneCmd) Run(ctx context.Context, s *streams) error {
	cfg, at, err := c.settings()
	if err != nil {
		return err
	}
	keep, err := c.retention()
	if err != nil {
		return err
	}
	if keep.Last == 0 {
		return usage("say how many backups are kept: --keep-last N")
	}
	kept, removed, err := node.PruneBackups(ctx, cfg, at, operator(), keep)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(map[string]int{"backups": kept, "removed": removed})
	}
	fmt.Fprintf(s.out, "%s kept, %d removed\n", count(kept, "backup"), removed)
	return nil
}

type backupDrillCmd struct {
	backupFlags
	Backup  string `placeholder:"NAME" help:"Which backup; the newest by default."`
	Scratch string `placeholder:"DIR" help:"Where the temporary folder is made; it takes as much room as the node's data. Default: the system's temporary folder."`
}

func (c *backupDrillCmd) Help() string {
	return `What is restored there is encrypted as it is in the data folder, and removed at the end, also what an earlier drill has left that was killed. The outcome is noted in the node's audit log; the status page
and the metrics say when the last one was. Exit code 1: the backup is not what it should be; the report says why.`
}

// Run makes a drill.
func (c *backupDrillCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	cfg, at, err := c.settings()
	if err != nil {
		return err
	}
	w, end := watch(cli, s)
	d, err := node.Drill(ctx, cfg, at, c.Backup, c.Scratch, operator(), w)
	end()
	if err != nil {
		return err
	}
	if s.json {
		err = s.value(d)
	} else {
		fmt.Fprintf(s.out, "backup %s was restored and started: %s (%s) compared", d.Backup, count(int(d.Compared), "object"), bytesText(d.Bytes))
		if d.Erased > 0 {
			fmt.Fprintf(s.out, ", %d erased", d.Erased)
		}
		if d.Good() {
			fmt.Fprintln(s.out, ": everything is as it was stored")
		} else {
			fmt.Fprintf(s.out, ": %s\n", count(len(d.Differences)+len(d.Why), "difference"))
		}
		for _, why := range d.Why {
			fmt.Fprintln(s.out, why)
		}
		if len(d.Differences) > 0 {
			t := &table{head: []string{"WHAT", "WHERE", "WHY"}}
			for _, x := range d.Differences {
				t.add(x.What, x.Where, x.Why)
			}
			err = s.print(t)
		}
	}
	if err == nil && !d.Good() {
		return failed
	}
	return err
}

type restoreCmd struct {
	keyFlags
	Database string `placeholder:"URL" help:"PostgreSQL in place of SQLite in the folder: an empty database, postgres://..."`
	From     string `placeholder:"PLACE" help:"Where the backup lies."`
	Keys     string `placeholder:"PLACE" help:"Where its keys lie."`
	To       string `placeholder:"DIR" help:"An empty folder, which becomes the node's data folder."`
	Backup   string `placeholder:"NAME" help:"Which backup; the newest by default."`
}

func (c *restoreCmd) Help() string {
	return `Needs the master key: --key, or the file DIR.key beside the folder. The newest keys serve every backup, so that what was erased since stays erased. Interrupted, the same command again goes on; no node starts on a folder that is not whole.

A backup that was made from SQLite can be restored into PostgreSQL, and the other way round.`
}

// Run restores a node.
func (c *restoreCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	if c.From == "" || c.Keys == "" || c.To == "" {
		return usage("say where from and where to: --from PLACE --keys PLACE --to DIR")
	}
	cfg := node.Config{Data: c.To, Database: c.Database, Version: versionText()}
	c.keyFlags.into(&cfg)
	w, end := watch(cli, s)
	r, err := node.Restore(ctx, cfg, node.Places{To: c.From, Keys: c.Keys}, c.Backup, operator(), w)
	end()
	if err != nil {
		return err
	}
	m := r.Manifest
	if s.json {
		err = s.value(map[string]any{"backup": m.Backup, "objects": m.Total(), "packs": len(m.Packs), "pack_bytes": m.Bytes(), "erased_subjects": r.Erased, "missing": m.Missing, "damaged": m.Damaged})
	} else {
		fmt.Fprintf(s.out, "restored backup %s: %s in %s (%s)", m.Backup, count(int(m.Total()), "object"), count(len(m.Packs), "pack"), bytesText(m.Bytes()))
		if r.Erased > 0 {
			fmt.Fprintf(s.out, "; %s withdrawn or erased since the backup", count(r.Erased, "subject"))
		}
		fmt.Fprintln(s.out)
		s.say("What was acknowledged and not yet catalogued then is catalogued at the first start. Verify it: vitrine verify --data %s", c.To)
	}
	if n := len(m.Missing) + len(m.Damaged); err == nil && n > 0 {
		s.say("%s were missing or damaged already when the backup was made.", count(n, "pack"))
		return partial
	}
	return err
}
