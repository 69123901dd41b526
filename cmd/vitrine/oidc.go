package main

import (
	"io"
	"os"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
)

// oidcFlags say who vouches for people by OpenID Connect.
type oidcFlags struct {
	Issuer string   `name:"oidc-issuer" placeholder:"URL" help:"Let people sign in by this provider of OpenID Connect."`
	Client string   `name:"oidc-client-id" placeholder:"ID" help:"What the provider calls this node."`
	Secret string   `name:"oidc-client-secret-file" placeholder:"FILE" help:"File with what this node proves that with; without it, the client is a public one."`
	Name   string   `name:"oidc-name" placeholder:"TEXT" help:"What people call the provider. Default: its host."`
	Scope  []string `name:"oidc-scope" placeholder:"SCOPE" help:"Beside openid, what is asked for. Default: profile. May be given more than once."`
	Claim  string   `name:"oidc-claim" placeholder:"NAME" help:"The claim that --oidc-role looks at. Default: groups."`
	Works  string   `name:"oidc-organisation" placeholder:"NAME" help:"The organisation whose people the provider signs in, and nobody else: each sign-in confirms that somebody belongs to it."`
	ROR    string   `name:"oidc-ror" placeholder:"URL" help:"Its ROR identifier."`
	Kind   string   `name:"oidc-kind" placeholder:"KIND" help:"Its kind: academic, nhs, charity, funder, commercial, cro, government or other."`
	In     string   `name:"oidc-country" placeholder:"GB" help:"Its country (ISO 3166-1)."`
	Role   []string `name:"oidc-role" sep:"none" placeholder:"GROUP=ROLE@COLLECTION" help:"Give a role, in one collection or without @COLLECTION in all, to whom the provider counts among a group, and take it from others. May be given more than once."`
}

// provider is who the flags name; nil if they name nobody.
func (f *oidcFlags) provider(s *streams) (*signin.Provider, error) {
	if f.Issuer == "" {
		if f.Client != "" || f.Secret != "" || len(f.Role) > 0 {
			return nil, usage("--oidc-issuer is missing")
		}
		return nil, nil
	}
	p := &signin.Provider{Issuer: f.Issuer, ClientID: f.Client, Name: f.Name, Scopes: f.Scope, Claim: f.Claim}
	p.Organisation = person.Organisation{Name: f.Works, ROR: f.ROR, Kind: f.Kind, Country: f.In}
	for _, text := range f.Role {
		r, err := signin.ParseRoleFor(text)
		if err != nil {
			return nil, usage("--oidc-role: %w", err)
		}
		p.Roles = append(p.Roles, r)
	}
	if f.Secret != "" {
		in, err := os.Open(f.Secret)
		if err != nil {
			return nil, usage("--oidc-client-secret-file: %w", err)
		}
		defer in.Close()
		if fi, err := in.Stat(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o007 != 0 {
			s.say("Warning: others on this machine can read %s (mode %04o).", f.Secret, fi.Mode().Perm())
		}
		b, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return nil, usage("--oidc-client-secret-file: %w", err)
		}
		if p.Secret = strings.TrimSpace(string(b)); p.Secret == "" {
			return nil, usage("--oidc-client-secret-file: %s is empty", f.Secret)
		}
	}
	return p, nil
}
