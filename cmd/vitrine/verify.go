package main

import (
	"context"
	"fmt"

	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

type verifyCmd struct {
	nodeFlags
	keyFlags
	storeFlags
}

func (c *verifyCmd) Help() string {
	return `Works while the node runs. With --store and --mirror, as the node has them, what lies there is compared too. Exit code 1 says that something differs; the report names packs and record numbers, and nothing of a patient.`
}

// Run verifies a node.
func (c *verifyCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	cfg := c.config()
	c.keyFlags.into(&cfg)
	c.storeFlags.into(&cfg)
	cfg.ReadOnly = true
	if err := there(cfg); err != nil {
		return err
	}
	st, err := node.OpenStores(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer st.Close()
	parts, err := st.Verify()
	if err != nil {
		return err
	}
	bar := &progress{}
	parts.Step = func(name string, n int64) {
		bar.done()
		bar = s.progress(cli, name, n, unitFiles)
	}
	parts.Done = func() { bar.add(1) }
	report, err := verify.Run(ctx, parts, operator())
	bar.done()
	if err != nil {
		return err
	}
	if s.json {
		err = s.value(report)
	} else {
		err = c.print(s, report)
	}
	if err == nil && len(report.Differences) > 0 {
		return failed
	}
	return err
}

func (c *verifyCmd) print(s *streams, r *verify.Report) error {
	fmt.Fprintf(s.out, "%s (%s) in %s, %s of the audit log", count(int(r.Objects), "object"), bytesText(r.Bytes), count(int(r.Packs), "pack"), count(int(r.Audit), "entry"))
	if r.Mirrored > 0 {
		fmt.Fprintf(s.out, ", %s in the mirror", count(int(r.Mirrored), "pack"))
	}
	if r.Erased > 0 {
		fmt.Fprintf(s.out, ", %d erased", r.Erased)
	}
	if len(r.Differences) == 0 {
		fmt.Fprintln(s.out, ": everything is as it was stored")
		return nil
	}
	fmt.Fprintf(s.out, ": %s\n", count(len(r.Differences), "difference"))
	t := &table{head: []string{"WHAT", "WHERE", "WHY"}}
	for _, d := range r.Differences {
		t.add(d.What, d.Where, d.Why)
	}
	return s.print(t)
}
