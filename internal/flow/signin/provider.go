package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	vouching "github.com/vitrine-imaging/vitrine/internal/record/person"
)

// Provider is who vouches for people by OpenID Connect. A node has one at most.
type Provider struct {
	Issuer   string // https://..., or http:// on this machine
	ClientID string
	Secret   string // empty: a public client, which PKCE protects alone
	Name     string // what people call it; empty: the issuer's host
	Scopes   []string
	Claim    string // whose values Roles are given for; empty: groups
	Roles    []RoleFor
	// Organisation is that whose people the provider signs in, and nobody else: whoever comes by it belongs to that. Empty: it says nothing of it.
	Organisation vouching.Organisation
}

// RoleFor gives a role to whom the provider counts among some.
type RoleFor struct {
	Value string
	Grant policy.Grant
}

// ParseRoleFor reads GROUP=ROLE, or GROUP=ROLE@COLLECTION.
func ParseRoleFor(s string) (RoleFor, error) {
	refused := fault.New(fault.Invalid, "read role of a group", "", "it is GROUP=ROLE, or GROUP=ROLE@COLLECTION, with a role such as researcher")
	i := strings.LastIndex(s, "=")
	if i < 1 {
		return RoleFor{}, refused
	}
	name, in, ok := strings.Cut(s[i+1:], "@")
	if !ok {
		in = policy.AllCollections
	}
	role, known := policy.ParseRole(name)
	if !known || in == "" {
		return RoleFor{}, refused
	}
	return RoleFor{s[:i], policy.Grant{Role: role, Collection: in}}, nil
}

// Check refuses a provider that cannot be one. It asks nobody: a provider that is down does not keep a node from starting.
func (p *Provider) Check() error {
	const attempt = "set up OpenID Connect"
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fault.New(fault.Invalid, attempt, "", "the issuer is an address, https://, without a query")
	}
	if u.Scheme != "https" {
		a, err := netip.ParseAddr(u.Hostname())
		if u.Scheme != "http" || u.Hostname() != "localhost" && (err != nil || !a.IsLoopback()) {
			return fault.New(fault.Invalid, attempt, "", "the issuer is reached over https:// alone, unless it is on this machine")
		}
	}
	if p.ClientID == "" {
		return fault.New(fault.Invalid, attempt, "", "the client's id, by which the provider knows this node, is missing")
	}
	if p.Name == "" {
		p.Name = u.Hostname()
	}
	if err := p.Organisation.Check(); err != nil {
		return err
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"profile"}
	}
	if !slices.Contains(p.Scopes, oidc.ScopeOpenID) {
		p.Scopes = append([]string{oidc.ScopeOpenID}, p.Scopes...)
	}
	if p.Claim == "" {
		p.Claim = "groups"
	}
	return nil
}

const (
	// what a provider says of itself holds so long, and a failure to say it so short.
	foundFor   = time.Hour
	failedFor  = 5 * time.Second
	answerFor  = 10 * time.Second
	maxSaid    = 1 << 20
	viaFor     = 10 * time.Minute
	wayForeign = "OpenID Connect"
)

// provider is a Provider with what it says of itself, asked for when it is needed first.
type provider struct {
	Provider
	client *http.Client

	mu    sync.Mutex
	found *found
	until time.Time
	err   error
}

type found struct {
	verify *oidc.IDTokenVerifier
	at     oauth2.Endpoint
	end    string // where to sign out; empty: nowhere
	tells  bool   // it names itself when it sends people back (RFC 9207)
}

func newProvider(p *Provider) *provider {
	if p == nil {
		return nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &provider{Provider: *p, client: &http.Client{Timeout: answerFor, Transport: bounded{t}}}
}

// bounded reads no more of an answer than a provider has to say.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxSaid), resp.Body}
	}
	return resp, err
}

func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(context.WithValue(ctx, oauth2.HTTPClient, p.client), p.client)
}

// discover asks the provider what it says of itself (OpenID Connect Discovery 4), which names its issuer.
func (p *provider) discover(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.found, p.err
	}
	said, err := oidc.NewProvider(p.context(context.WithoutCancel(ctx)), p.Issuer)
	var more struct {
		End     string   `json:"end_session_endpoint"`
		Tells   bool     `json:"authorization_response_iss_parameter_supported"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err == nil {
		err = said.Claims(&more)
	}
	if err != nil {
		if p.found != nil { // what it said an hour ago will do
			p.until = time.Now().Add(failedFor)
			return p.found, nil
		}
		p.err, p.until = fault.New(fault.Unavailable, "sign in", "", p.Name+" does not answer, or not as a provider of OpenID Connect does; sign in another way, or try again later"), time.Now().Add(failedFor)
		return nil, p.err
	}
	f := &found{verify: said.Verifier(&oidc.Config{ClientID: p.ClientID}), at: said.Endpoint(), tells: more.Tells}
	if u, err := url.Parse(more.End); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
		f.end = more.End
	}
	f.at.AuthStyle = oauth2.AuthStyleInHeader
	if p.Secret == "" || len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		f.at.AuthStyle = oauth2.AuthStyleInParams
	}
	p.found, p.err, p.until = f, nil, time.Now().Add(foundFor)
	return f, nil
}

func (p *provider) config(f *found, base string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: f.at, RedirectURL: base + ProviderBack, Scopes: p.Scopes}
}

// ProviderBack is the path to which the provider sends people back.
const ProviderBack = "/signin/provider/back"

// ProviderName is what people call who vouches for them; empty: nobody does.
func (f *Flow) ProviderName() string {
	if f.provider == nil {
		return ""
	}
	return f.provider.Name
}

// Issuer is whose identities can be linked.
func (f *Flow) Issuer() string {
	if f.provider == nil {
		return ""
	}
	return f.provider.Issuer
}

// Errand is what somebody goes to the provider for.
type Errand struct {
	Next string // where to go afterwards
	Link string // an invitation, to be used up for whom the provider vouches
	Own  string // the account of the caller, to which the identity is to be linked
}

// via is what the browser keeps while somebody is with the provider.
type via struct {
	Errand
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Issuer   string `json:"i"`
}

func (f *Flow) noProvider() error {
	return fault.New(fault.NotFound, "sign in", "", "this node has no provider of OpenID Connect")
}

// BeginProvider says where to send somebody to whom the provider is to vouch for (code flow with PKCE, RFC 7636), and what their browser keeps meanwhile.
func (f *Flow) BeginProvider(ctx context.Context, from, base string, e Errand) (address, ceremony string, err error) {
	if f.provider == nil {
		return "", "", f.noProvider()
	}
	if err := f.tries.allow(from); err != nil {
		return "", "", err
	}
	said, err := f.provider.discover(ctx)
	if err != nil {
		return "", "", err
	}
	v := via{Errand: e, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Issuer: f.provider.Issuer}
	if ceremony, err = f.sealer.seal("provider", v, viaFor); err != nil {
		return "", "", err
	}
	if len(ceremony) > maxSealed-256 {
		return "", "", fault.New(fault.Invalid, "sign in", "", "the address to return to is too long")
	}
	return f.provider.config(said, base).AuthCodeURL(v.State, oidc.Nonce(v.Nonce), oauth2.S256ChallengeOption(v.Verifier)), ceremony, nil
}

// Came is how somebody comes back from the provider.
type Came struct {
	Session identity.Secret // empty where they only linked an identity
	Next    string
	Linked  bool
}

// person is whom the provider vouches for.
type person struct {
	subject, name string
	groups        []string
	vouch         vouching.Vouch
}

// FinishProvider takes what the provider sent somebody back with. who is the caller, who matters where an identity is to be linked.
func (f *Flow) FinishProvider(ctx context.Context, from, base, ceremony string, said url.Values, who admin.Caller) (c Came, err error) {
	if f.provider == nil {
		return c, f.noProvider()
	}
	if err := f.tries.allow(from); err != nil {
		return c, err
	}
	actor := nobody
	fail := func(err error) (Came, error) {
		f.tries.failed(from)
		return Came{}, f.failed(ctx, actor, wayForeign, err)
	}
	var v via
	ends, err := f.sealer.open("provider", ceremony, &v)
	if err != nil {
		return fail(err)
	}
	p, err := f.vouched(ctx, base, v, said)
	if err != nil {
		return fail(err)
	}
	c.Next = v.Next
	account, err := f.Identity.AccountOfForeign(ctx, v.Issuer, p.subject)
	known := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, err
	}
	if known {
		actor = account.ID
	}
	err = f.write(ctx, func(tx *db.Tx) (err error) {
		if err := f.Identity.UseOnce(tx, ceremony, ends); err != nil {
			return err
		}
		switch {
		case v.Own != "":
			if who.Actor != v.Own {
				return fault.New(fault.Denied, "link identity", "", "somebody else is signed in here than when it began: begin again")
			}
			c.Linked = true
			return f.link(tx, known, account.ID, v.Own, p)
		case v.Link != "":
			id, err := f.Identity.TakeLink(tx, v.Link)
			if err != nil {
				return err
			}
			switch _, err := f.Identity.Authenticator(ctx, id); {
			case err == nil:
				return fault.New(fault.Denied, "link identity", "", "this account has an authenticator app: sign in by the link first, then link "+f.provider.Name+" on your account's page")
			case !fault.Is(err, fault.NotFound): // whether it has one is not known: then nobody comes in without it
				return err
			}
			if err := f.link(tx, known, account.ID, id, p); err != nil {
				return err
			}
			account.ID = id
		case !known:
			made, err := f.Identity.CreateAccount(tx, identity.Account{Name: p.name})
			if err != nil {
				return err
			}
			if err := f.Audit.Append(tx, audit.Entry{Actor: made.ID, Action: "create account", Object: "account " + made.ID + ", no role", Outcome: "done"}); err != nil {
				return err
			}
			if err := f.Identity.AddForeign(tx, identity.Foreign{Issuer: v.Issuer, Subject: p.subject, Account: made.ID}); err != nil {
				return err
			}
			account = made
		}
		if known || v.Link != "" { // one that was just made cannot be disabled, and is not seen from outside yet
			if account, err = f.able(ctx, account.ID); err != nil {
				return err
			}
		}
		actor = account.ID
		if err := f.Identity.UseForeign(tx, v.Issuer, p.subject); err != nil {
			return err
		}
		if err := f.mapped(tx, account, p); err != nil {
			return err
		}
		if f.Persons != nil {
			if err := f.Persons.Vouched(tx, account.ID, p.vouch, time.Now()); err != nil {
				return err
			}
		}
		c.Session, err = f.begin(tx, account.ID, wayForeign)
		return err
	})
	if err != nil {
		return fail(err)
	}
	return c, nil
}

// link gives an account an identity, unless it is somebody else's.
func (f *Flow) link(tx *db.Tx, known bool, owner, account string, p person) error {
	if known && owner == account {
		return nil
	}
	if known {
		return fault.New(fault.Conflict, "link identity", "", f.provider.Name+" vouched for somebody who has an account here already: unlink it there first, or go on with that one")
	}
	if err := f.Identity.AddForeign(tx, identity.Foreign{Issuer: f.provider.Issuer, Subject: p.subject, Account: account}); err != nil {
		return err
	}
	return f.Audit.Append(tx, audit.Entry{Actor: account, Action: "link identity", Object: "account " + account, Outcome: "done"})
}

// mapped gives and takes the roles that belong to the provider's groups. Roles that no group stands for are left alone.
func (f *Flow) mapped(tx *db.Tx, a identity.Account, p person) error {
	if len(f.provider.Roles) == 0 {
		return nil
	}
	var want []policy.Grant
	for _, g := range a.Grants {
		if !slices.ContainsFunc(f.provider.Roles, func(r RoleFor) bool { return r.Grant == g }) {
			want = append(want, g)
		}
	}
	for _, r := range f.provider.Roles {
		if slices.Contains(p.groups, r.Value) && !slices.Contains(want, r.Grant) {
			want = append(want, r.Grant)
		}
	}
	if len(want) == len(a.Grants) && !slices.ContainsFunc(want, func(g policy.Grant) bool { return !slices.Contains(a.Grants, g) }) {
		return nil
	}
	if err := f.Identity.SetGrants(tx, a.ID, want); err != nil {
		return err
	}
	return f.Audit.Append(tx, audit.Entry{Actor: "node", Action: "give grants", Object: "account " + a.ID + ", " + grantsText(want) + ", by the provider's groups", Outcome: "done"})
}

// vouched is whom the provider vouches for, once all that it sent is proven to be its own, fresh, and meant for this node and this browser.
func (f *Flow) vouched(ctx context.Context, base string, v via, said url.Values) (p person, err error) {
	denied := func(why string) error { return fault.New(fault.Denied, "sign in", "", why) }
	const strange = "what came back is not an answer to what was asked: begin again"
	if v.Issuer != f.provider.Issuer || subtle.ConstantTimeCompare([]byte(v.State), []byte(said.Get("state"))) != 1 {
		return p, denied(strange)
	}
	at, err := f.provider.discover(ctx)
	if err != nil {
		return p, err
	}
	if iss := said.Get("iss"); iss != "" && iss != v.Issuer || iss == "" && at.tells { // RFC 9207 2.4: an answer of another provider
		return p, denied(strange)
	}
	switch said.Get("error") {
	case "":
	case "access_denied":
		return p, denied(f.provider.Name + " did not let you in, or you went back")
	case "temporarily_unavailable", "server_error":
		return p, fault.New(fault.Unavailable, "sign in", "", f.provider.Name+" cannot sign anybody in now; sign in another way, or try again later")
	default:
		return p, denied(f.provider.Name + " refused, and this node's administrator has to find out why: its client may not be registered rightly there")
	}
	ctx = f.provider.context(ctx)
	tokens, err := f.provider.config(at, base).Exchange(ctx, said.Get("code"), oauth2.VerifierOption(v.Verifier))
	if err != nil {
		if _, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return p, denied(f.provider.Name + " does not know that answer as its own: begin again")
		}
		return p, fault.New(fault.Unavailable, "sign in", "", f.provider.Name+" does not answer; sign in another way, or try again later")
	}
	raw, _ := tokens.Extra("id_token").(string)
	token, err := at.verify.Verify(ctx, raw) // issuer, audience, time, algorithm, signature
	if err != nil {
		return p, denied("what " + f.provider.Name + " says of you could not be proven: begin again")
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(v.Nonce)) != 1 {
		return p, denied(strange)
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return p, denied("what " + f.provider.Name + " says of you cannot be read")
	}
	if azp, _ := claims["azp"].(string); azp != "" && azp != f.provider.ClientID || azp == "" && len(token.Audience) > 1 { // OpenID Connect Core 3.1.3.7
		return p, denied("what " + f.provider.Name + " says of you was meant for somebody else")
	}
	if p.subject = token.Subject; p.subject == "" || len(p.subject) > 255 {
		return p, denied(f.provider.Name + " does not say who you are")
	}
	name, _ := claims["name"].(string)
	if p.name = printable(name); p.name == "" {
		p.name = "Somebody from " + f.provider.Name
	}
	p.groups = texts(claims[f.provider.Claim])
	p.vouch = f.provider.vouch(claims)
	return p, nil
}

// texts are the strings of a claim, which is one or a list.
func texts(claim any) (all []string) {
	switch g := claim.(type) {
	case string:
		return []string{g}
	case []any:
		for _, x := range g {
			if s, ok := x.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// The values of eduPersonAssurance by which a provider says how it has found out who somebody is (REFEDS Assurance Framework 2.0, 3), and that of acr by which it has asked for more than a password (REFEDS MFA Profile 1.2).
const (
	provenHigh   = "https://refeds.org/assurance/IAP/high"
	provenMedium = "https://refeds.org/assurance/IAP/medium"
	moreFactors  = "https://refeds.org/profile/mfa"
)

// vouch is what a provider's claims say of a person beside their name. What it does not say is not assumed.
func (p *provider) vouch(claims map[string]any) vouching.Vouch {
	v := vouching.Vouch{Organisation: p.Organisation}
	for _, name := range []string{"orcid", "eduperson_orcid"} {
		for _, s := range texts(claims[name]) {
			if id, ok := vouching.ParseORCID(s); ok && v.ORCID == "" {
				v.ORCID = id
			}
		}
	}
	said := texts(claims["eduperson_assurance"])
	switch {
	case slices.Contains(said, provenHigh):
		v.Assurance = vouching.High
	case slices.Contains(said, provenMedium), slices.Contains(texts(claims["acr"]), moreFactors):
		v.Assurance = vouching.Medium
	}
	return v
}

// printable is a name as accounts take it.
func printable(name string) string {
	name = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(name, ""), func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\u00a0' }), " ")
	for len(name) > 100 {
		r := []rune(name)
		name = string(r[:len(r)-1])
	}
	return name
}

// Unlink takes an identity from the caller's account.
func (f *Flow) Unlink(ctx context.Context, who admin.Caller, issuer, subject string) error {
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.RemoveForeign(tx, who.Actor, issuer, subject); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "unlink identity", Object: "account " + who.Actor, Outcome: "done"})
	})
}

// SignedOutAt is where somebody whose session the provider began can sign out there too; empty: nowhere.
func (f *Flow) SignedOutAt(ctx context.Context, session, base string) string {
	s, _, err := f.Session(ctx, session)
	if err != nil || s.Way != wayForeign || f.provider == nil {
		return ""
	}
	at, err := f.provider.discover(ctx)
	if err != nil || at.end == "" {
		return ""
	}
	u, err := url.Parse(at.end)
	if err != nil {
		return ""
	}
	q := u.Query()
	q.Set("client_id", f.provider.ClientID)
	q.Set("post_logout_redirect_uri", base+"/")
	u.RawQuery = q.Encode()
	return u.String()
}
