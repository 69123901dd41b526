package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

type tokensCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a token, or register an SSH key."`
	List   tokenListCmd   `cmd:"" help:"List tokens and SSH keys in force."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a token or an SSH key for good."`
}

type tokenCreateCmd struct {
	adminFlags
	Name       string        `required:"" placeholder:"TEXT" help:"What people call whoever bears it."`
	Role       string        `placeholder:"ROLE" help:"depositor, researcher, physicist, custodian, committee, funder, steward, admin, gateway or site-gateway."`
	Collection string        `placeholder:"ID" help:"In this collection alone; without it, in all of them."`
	Expires    time.Duration `placeholder:"DURATION" help:"After this time it opens nothing, such as 720h; without it, never."`
	Secret     string        `placeholder:"FILE" help:"Use the token in this file in place of a new one; - reads standard input."`
	SSHKey     string        `name:"ssh-key" placeholder:"FILE.pub" help:"Register this public key for SFTP instead; the SFTP user's name is the collection's id, and the role is depositor."`
}

func (c *tokenCreateCmd) Help() string {
	return `The token is printed alone on standard output, once: it is not kept, and cannot be shown again.`
}

// Run makes a token.
func (c *tokenCreateCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	if c.SSHKey != "" {
		return c.sshKey(ctx, cli, s)
	}
	if c.Role == "" {
		return usage("--role is missing: depositor, researcher, physicist, custodian, committee, funder, steward, admin, gateway or site-gateway")
	}
	if _, ok := policy.ParseTokenRole(c.Role); !ok {
		return usage("--role: there is no role %q; the roles are depositor, researcher, physicist, custodian, committee, funder, steward, admin, gateway and site-gateway", c.Role)
	}
	n := admin.NewToken{Name: c.Name, Role: c.Role, Collection: c.Collection}
	if role, _ := policy.ParseTokenRole(c.Role); role.ForOneCollection() && (c.Collection == "" || c.Collection == policy.AllCollections) {
		return usage("--collection is missing: a gateway's token is for one collection")
	}
	if n.Collection == "" {
		n.Collection = policy.AllCollections
	}
	if c.Expires < 0 {
		return usage("--expires lies in the past")
	}
	if c.Expires > 0 {
		t := time.Now().Add(c.Expires)
		n.Expires = &t
	}
	if c.Secret != "" {
		var err error
		if n.Secret, err = c.readSecret(s); err != nil {
			return usage("--secret: %w", err)
		}
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	t, err := o.CreateToken(ctx, n)
	if err != nil {
		return err
	}
	if s.json {
		return s.value(t)
	}
	fmt.Fprintln(s.out, t.Secret)
	if !cli.Quiet {
		s.say("%s %q: %s in %s. The token is shown this once; `vitrine token revoke %s` ends it.", t.ID, t.Name, t.Role, collectionName(t.Collection), t.ID)
	}
	return nil
}

func (c *tokenCreateCmd) readSecret(s *streams) (string, error) {
	in := s.in
	if c.Secret != "-" {
		f, err := os.Open(c.Secret)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if fi, err := f.Stat(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o077 != 0 {
			s.say("Warning: others on this machine can read %s (mode %04o).", c.Secret, fi.Mode().Perm())
		}
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 4096))
	return string(b), err
}

func (c *tokenCreateCmd) sshKey(ctx context.Context, cli *CLI, s *streams) error {
	if c.Role != "" && c.Role != policy.Depositor.String() {
		return usage("--ssh-key is for depositors: SFTP gives, and lists and fetches nothing")
	}
	if c.Collection == "" {
		return usage("--ssh-key needs --collection ID: it is the SFTP user's name")
	}
	b, err := os.ReadFile(c.SSHKey)
	if err != nil {
		return usage("--ssh-key: %w", err)
	}
	if bytes.Contains(b, []byte("PRIVATE KEY-----")) {
		return usage("--ssh-key: %s is a private key, which belongs to its owner alone; give the public one, usually %s.pub", c.SSHKey, c.SSHKey)
	}
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	k, err := o.AddSSHKey(ctx, c.Collection, c.Name, string(b))
	if err != nil {
		return err
	}
	if s.json {
		return s.value(k)
	}
	fmt.Fprintln(s.out, k.ID)
	return nil
}

func collectionName(c string) string {
	if c == policy.AllCollections {
		return "all collections"
	}
	return c
}

type tokenListCmd struct{ adminFlags }

// Run lists tokens.
func (c *tokenListCmd) Run(ctx context.Context, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	all, err := o.Tokens(ctx)
	if err != nil {
		return err
	}
	t := &table{head: []string{"ID", "KIND", "NAME", "ROLE", "COLLECTION", "CREATED", "EXPIRES"}, none: "There is no token."}
	for _, k := range all {
		expires := "never"
		if k.Expires != nil {
			expires = minute(k.Expires)
		}
		t.add(k.ID, k.Kind, k.Name, k.Role, collectionName(k.Collection), day(k.Created), expires)
	}
	return s.list(all, t)
}

type tokenRevokeCmd struct {
	adminFlags
	ID []string `arg:"" help:"The id, as in the list; not the token itself."`
}

// Run revokes tokens.
func (c *tokenRevokeCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	o, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	defer o.Close()
	for _, id := range c.ID {
		if err := o.RevokeToken(ctx, id); err != nil {
			return err
		}
		if !cli.Quiet {
			s.say("%s opens nothing any more.", id)
		}
	}
	return nil
}

func day(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(time.DateOnly)
}

func minute(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}
