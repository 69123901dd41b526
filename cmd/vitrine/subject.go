package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
)

type subjectCmd struct {
	Withdraw    subjectWithdrawCmd    `cmd:"" help:"Carry out that a person withdraws."`
	Withdrawals subjectWithdrawalsCmd `cmd:"" help:"List who has withdrawn from use."`
	Certificate subjectCertificateCmd `cmd:"" help:"Write a signed certificate of what was done when somebody withdrew."`
	Erase       subjectEraseCmd       `cmd:"" help:"Destroy the key of somebody who has withdrawn, before the hold is over."`
}

type subjectWithdrawCmd struct {
	consentFlags
	whomFlags
	Scope string `required:"" enum:"contact,collection,use" placeholder:"contact|collection|use" help:"contact: they are not asked again. collection: nothing more of theirs is taken. use: nothing of theirs is used any more."`
	At    string `placeholder:"DAY" help:"When they said so; without it, now."`
}

func (c *subjectWithdrawCmd) Help() string {
	return `From use: when the command ends, nothing of the subject is served any more, by any door; what is being read of it at the moment ends. It is never taken back. The subject's key is destroyed after 30
days (vitrine subject erase does it sooner), and what is left in packs, mirrors and backups can be read by nobody. Works while the node runs; a node beside it feels it within a second.

A person of whom there is no image yet can withdraw too, by the identifier that the site knows them by: nothing of theirs is taken then.`
}

// Run withdraws.
func (c *subjectWithdrawCmd) Run(ctx context.Context, s *streams) error {
	at, err := dayOf("--at", c.At)
	if err != nil {
		return err
	}
	w, err := c.whom(s)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(o consentOffice) error {
		out, err := o.Record(ctx, w, consent.Said{At: at, Withdrawal: judge.Scope(c.Scope)})
		if err != nil {
			return err
		}
		return s.outcome(out)
	})
}

type subjectWithdrawalsCmd struct{ consentFlags }

// Run lists.
func (c *subjectWithdrawalsCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		all, err := o.Withdrawals(ctx)
		if err != nil {
			return err
		}
		t := &table{head: []string{"WITHDRAWAL", "SUBJECT", "WITHDRAWN", "STUDIES", "INSTANCES", "KEY"}, none: "Nobody has withdrawn from use."}
		for _, w := range all {
			key := "destroyed after " + w.EraseAfter.Format(time.DateOnly)
			if w.Erased != nil {
				key = "destroyed " + w.Erased.Format(time.DateOnly)
			}
			t.add(w.ID, w.Pseudonym, w.At.Format(time.DateOnly), fmt.Sprint(w.Studies), fmt.Sprint(w.Instances), key)
		}
		return s.list(all, t)
	})
}

type subjectCertificateCmd struct {
	consentFlags
	Withdrawal string `arg:"" help:"Its number, as withdrawals shows it."`
	Out        string `required:"" placeholder:"DIR" help:"Folder for the certificate, its signature and the public key."`
}

// Run writes the certificate.
func (c *subjectCertificateCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		v, err := o.Certify(ctx, c.Withdrawal)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(c.Out, 0o700); err != nil {
			return usage("%w", err)
		}
		for name, text := range map[string]string{"certificate.json": v.Document, "certificate.sig": v.Signature, "public-key.txt": v.PublicKey + "\n"} {
			if err := os.WriteFile(filepath.Join(c.Out, name), []byte(text), 0o600); err != nil {
				return usage("%w", err)
			}
		}
		s.say("Written to %s: certificate.json, certificate.sig, public-key.txt.", c.Out)
		return nil
	})
}

type subjectEraseCmd struct {
	consentFlags
	Withdrawal string `arg:"" help:"Its number, as withdrawals shows it."`
}

// Run erases.
func (c *subjectEraseCmd) Run(ctx context.Context, s *streams) error {
	return c.with(ctx, s, func(o consentOffice) error {
		if err := o.EraseNow(ctx, c.Withdrawal); err != nil {
			return err
		}
		s.say("The key is destroyed: nobody can read what is left of this subject.")
		return nil
	})
}
