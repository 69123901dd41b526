package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

type auditCmd struct {
	List       auditListCmd       `cmd:"" help:"List what was done and decided."`
	Verify     auditVerifyCmd     `cmd:"" help:"Prove that nothing in the log was changed or taken out."`
	Prove      auditProveCmd      `cmd:"" help:"Show, to who does not trust this node, that an entry stood in the log."`
	Check      auditCheckCmd      `cmd:"" help:"Check such evidence, without a node."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Sign the log as it is now; kept elsewhere, the note proves later what it said today."`
}

type auditListCmd struct {
	adminFlags
	Collection string `placeholder:"ID" help:"Of this collection alone."`
	Last       int    `default:"50" placeholder:"N" help:"The last so many; 0 for all. Default: ${default}."`
	From       int64  `default:"-1" placeholder:"SEQ" help:"From this number on, in place of the last."`
}

const auditPage = 1000

// Run lists entries.
func (c *auditListCmd) Run(ctx context.Context, s *streams) error {
	if c.Last < 0 {
		return usage("--last is 0 or more")
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	size, err := o.AuditSize(ctx)
	if err != nil {
		return err
	}
	from := int64(0)
	switch {
	case c.From >= 0:
		from = c.From
	case c.Last > 0 && c.Collection == "":
		from = max(0, size-int64(c.Last))
	}
	all := []admin.Entry{}
	for from < size {
		page, err := o.Entries(ctx, c.Collection, from, auditPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if e.Seq < size {
				all = append(all, e)
			}
		}
		if c.Last > 0 && c.From < 0 && len(all) > c.Last {
			all = append(all[:0], all[len(all)-c.Last:]...)
		}
		from = page[len(page)-1].Seq + 1
	}
	t := &table{head: []string{"SEQ", "TIME", "WHO", "WHAT", "ON", "COLLECTION", "OUTCOME"}, none: "The log has no such entry."}
	for _, e := range all {
		t.add(strconv.FormatInt(e.Seq, 10), e.Time.Local().Format(time.DateTime), e.Actor, e.Action, e.Object, e.Collection, e.Outcome)
	}
	return s.list(all, t)
}

type auditVerifyCmd struct {
	nodeFlags
	keyFlags
}

// Run verifies the log.
func (c *auditVerifyCmd) Run(ctx context.Context, s *streams) error {
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
	n, signatures, err := r.VerifyAudit(ctx, cfg, operator())
	if fault.Is(err, fault.Corrupt) {
		if s.json {
			if err := s.value(map[string]any{"ok": false, "entries": n, "why": err.Error()}); err != nil {
				return err
			}
		}
		return &exit{exitFailed, err}
	}
	if err != nil {
		return err
	}
	if s.json {
		return s.value(map[string]any{"ok": true, "entries": n, "signatures": signatures})
	}
	fmt.Fprintf(s.out, "%s: each is what was logged, and none is missing\n", count(int(n), "entry"))
	if !signatures {
		s.say("The master key is not at hand, so signatures of checkpoints were not compared; --key FILE compares them too.")
	}
	return nil
}

type auditProveCmd struct {
	nodeFlags
	keyFlags
	Seq int64  `arg:"" help:"The entry's number, as list shows it."`
	Out string `required:"" placeholder:"FILE" help:"Where to write the evidence."`
}

func (c *auditProveCmd) Help() string {
	return `The evidence has the entry as it was hashed, the way of hashes to the root of the log (RFC 6962), and the signed checkpoint of that root. Whoever has it and the node's public key can check it anywhere, by vitrine audit
check or by a program of their own (docs/formats/audit.md). It tells of no other entry.`
}

// Run proves an entry.
func (c *auditProveCmd) Run(ctx context.Context, s *streams) error {
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
	e, err := r.Evidence(ctx, cfg, operator(), c.Seq)
	if err != nil {
		return err
	}
	err = writeFile(c.Out, 0o644, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	})
	if err == nil {
		s.say("Written to %s. The public key is %s", c.Out, e.PublicKey)
	}
	return err
}

type auditCheckCmd struct {
	File      string `arg:"" name:"file" help:"The evidence."`
	PublicKey string `name:"public-key" placeholder:"KEY" help:"The node's public key, as you have it from elsewhere; without it, the one that the evidence names, which proves that it fits together and not who signed it."`
}

// Run checks evidence.
func (c *auditCheckCmd) Run(_ context.Context, s *streams) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return usage("%w", err)
	}
	p, err := admin.CheckEvidence(b, c.PublicKey)
	if err != nil {
		return &exit{exitFailed, err}
	}
	if s.json {
		return s.value(map[string]any{"seq": p.Seq, "time": p.At.UTC(), "actor": p.Actor, "action": p.Action, "object": p.Object, "collection": p.Collection, "outcome": p.Outcome, "key_given": c.PublicKey != ""})
	}
	t := &table{head: []string{"SEQ", "TIME", "WHO", "WHAT", "ON", "COLLECTION", "OUTCOME"}}
	t.add(strconv.FormatInt(p.Seq, 10), p.At.UTC().Format(time.DateTime), p.Actor, p.Action, p.Object, p.Collection, p.Outcome)
	if c.PublicKey == "" {
		s.say("By the key that the evidence names itself: compare it with the node's, as you have it from elsewhere.")
	}
	return s.print(t)
}

type auditCheckpointCmd struct {
	adminFlags
	keyFlags
	Out string `placeholder:"FILE" help:"Write the note here in place of standard output."`
}

// Run signs a checkpoint.
func (c *auditCheckpointCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	signed, err := o.Checkpoint(ctx, c.keyFlags)
	if err != nil {
		return err
	}
	if c.Out != "" {
		return writeFile(c.Out, 0o644, func(w io.Writer) error {
			_, err := io.WriteString(w, signed)
			return err
		})
	}
	if s.json {
		return s.value(map[string]any{"note": signed})
	}
	fmt.Fprint(s.out, strings.TrimRight(signed, "\n")+"\n")
	return nil
}
