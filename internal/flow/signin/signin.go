// Package signin lets people in: by passkey (W3C Web Authentication); by a link or a code that works once; by a one-time code of an app (RFC 6238) after one of
// these, or in a browser that is known; by a provider of OpenID Connect. It keeps their sessions and their account's
// keys.
//
// It promises: every way in and every failure to get in is in the audit log, without a word of what was presented; a ceremony, like a link or a code, is used up
// by its first use, and whoever begins one and never ends it leaves nothing; a session begins with a secret that nobody saw before; no answer tells whether an
// account exists; what could be guessed is counted, and locked, by account; who is disabled is out within a second, everywhere. It asks policy before it changes
// anything of other people.
//
// No password is kept here. docs/decisions/0004-sign-in.md says why these ways and no others.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	vouching "github.com/vitrine-imaging/vitrine/internal/record/person"
)

// How long what begins here lasts.
const (
	SessionFor  = 12 * time.Hour
	InviteFor   = 7 * 24 * time.Hour
	ceremonyFor = 5 * time.Minute
)

// Parts are what the flow works with.
type Parts struct {
	DB       *db.DB
	Audit    *audit.Log
	Identity *identity.Record
	// Persons keeps what the provider says of people beside their names; nil: nothing is kept.
	Persons *vouching.Record
	// Exists reports a collection that grants may be given for; a fault.Invalid if there is none.
	Exists func(ctx context.Context, collection string) error
	// Provider vouches for people; nil: nobody does.
	Provider *Provider
	// Mail sends sign-in links; nil: they are shown to who makes them, to be handed over.
	Mail *mailing.Queue
	// Root seals the secrets of apps, and what is between two steps. Without it people are administered, and nobody signs in.
	Root *keys.Root
}

// Flow is safe for use by many goroutines.
type Flow struct {
	Parts
	tries    tries
	sealer   *sealer
	provider *provider
	now      func() time.Time // nil: time.Now
}

// New makes the flow.
func New(p Parts) *Flow {
	f := &Flow{Parts: p, sealer: newSealer(p.Root), provider: newProvider(p.Provider)}
	if p.Mail != nil {
		p.Mail.Own(mailKind, f)
	}
	return f
}

// nobody is whom the audit log names where who came is not known.
const nobody = "nobody known"

func (f *Flow) write(ctx context.Context, do func(tx *db.Tx) error) error {
	if err := f.DB.Write(ctx, do); err != nil {
		return err
	}
	return f.DB.Sync()
}

// failed writes down that somebody did not get in.
func (f *Flow) failed(ctx context.Context, actor, way string, err error) error {
	if !fault.Is(err, fault.Denied) {
		return err
	}
	werr := f.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := f.Audit.Once(tx, audit.Entry{Actor: actor, Action: "sign in by " + way, Object: "the portal", Outcome: "denied"})
		return err
	})
	return errors.Join(err, werr)
}

// begin starts a session for an account that has proven itself.
func (f *Flow) begin(tx *db.Tx, account, way string) (identity.Secret, error) {
	secret, err := identity.NewSecret()
	if err != nil {
		return secret, err
	}
	if err := f.Identity.StartSession(tx, secret, identity.Session{Account: account, Way: way, Ends: time.Now().Add(SessionFor)}); err != nil {
		return secret, err
	}
	return secret, f.Audit.Append(tx, audit.Entry{Actor: account, Action: "sign in by " + way, Object: "the portal", Outcome: "done"})
}

// able is the account, if it may sign in.
func (f *Flow) able(ctx context.Context, id string) (identity.Account, error) {
	a, err := f.Identity.Account(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !a.Disabled.IsZero() {
		return a, fault.New(fault.Denied, "sign in", "", "this account cannot sign in; ask the node's administrator")
	}
	return a, err
}

// Session is whose session this is.
func (f *Flow) Session(ctx context.Context, secret string) (identity.Session, identity.Account, error) {
	return f.Identity.SessionBySecret(ctx, secret)
}

// End ends a session. Who has none changes nothing, and leaves nothing in the audit log.
func (f *Flow) End(ctx context.Context, who admin.Caller, secret string) error {
	if who.Actor == "" {
		return nil
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.EndSession(tx, secret); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "sign out", Object: "the portal", Outcome: "done"})
	})
}

// EndOthers ends every other session of the caller.
func (f *Flow) EndOthers(ctx context.Context, who admin.Caller, here identity.Digest) error {
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.EndSessions(tx, who.Actor, here); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "end other sessions", Object: "account " + who.Actor, Outcome: "done"})
	})
}

// party is this node as browsers know it: by the address of its pages.
func party(origin string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return nil, fault.New(fault.Invalid, "sign in", "", "the address of the page is not known")
	}
	w, err := webauthn.New(&webauthn.Config{RPID: u.Hostname(), RPDisplayName: "Vitrine", RPOrigins: []string{origin}})
	if err != nil {
		return nil, fault.New(fault.Invalid, "sign in", "", "passkeys work under a name, such as localhost, and not under this address")
	}
	return w, nil
}

// user is an account as package webauthn wants it.
type user struct {
	identity.Account
	keys []webauthn.Credential
}

func (u *user) WebAuthnID() []byte                         { return []byte(u.ID) }
func (u *user) WebAuthnName() string                       { return u.Name }
func (u *user) WebAuthnDisplayName() string                { return u.Name }
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.keys }

func (f *Flow) user(ctx context.Context, id string) (*user, error) {
	a, err := f.able(ctx, id)
	if err != nil {
		return nil, err
	}
	all, err := f.Identity.Passkeys(ctx, id)
	if err != nil {
		return nil, err
	}
	u := &user{Account: a}
	for _, p := range all {
		var c webauthn.Credential
		if err := json.Unmarshal([]byte(p.Credential), &c); err != nil {
			return nil, fault.New(fault.Corrupt, "read passkey", "account "+id, "it cannot be read")
		}
		u.keys = append(u.keys, c)
	}
	return u, nil
}

// open keeps a ceremony until its second half.
func (f *Flow) open(ctx context.Context, account string, state *webauthn.SessionData) (identity.Secret, error) {
	b, err := json.Marshal(state)
	if err != nil {
		return identity.Secret{}, err
	}
	secret, err := identity.NewSecret()
	if err != nil {
		return secret, err
	}
	return secret, f.DB.Write(ctx, func(tx *db.Tx) error {
		return f.Identity.AddCeremony(tx, secret, account, string(b), time.Now().Add(ceremonyFor))
	})
}

// close takes a ceremony up again, for the last time.
func (f *Flow) close(ctx context.Context, presented string) (account string, state webauthn.SessionData, err error) {
	var text string
	if err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		account, text, err = f.Identity.TakeCeremony(tx, presented)
		return err
	}); err != nil {
		return "", state, err
	}
	return account, state, json.Unmarshal([]byte(text), &state)
}

// BeginPasskey asks a browser for a passkey, whoever's it is. The answer is the options for navigator.credentials.get, and the ceremony, which the browser keeps:
// who begins and never ends leaves nothing here.
func (f *Flow) BeginPasskey(_ context.Context, from, origin string) (options *protocol.CredentialAssertion, ceremony string, err error) {
	if err := f.tries.allow(from); err != nil {
		return nil, "", err
	}
	w, err := party(origin)
	if err != nil {
		return nil, "", err
	}
	options, state, err := w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, "", err
	}
	ceremony, err = f.sealer.seal("passkey", state, ceremonyFor)
	return options, ceremony, err
}

const maxAnswer = 64 << 10

// FinishPasskey takes the browser's answer and begins a session.
func (f *Flow) FinishPasskey(ctx context.Context, from, origin, ceremony string, answer io.Reader) (identity.Secret, error) {
	const way = "passkey"
	var none identity.Secret
	if err := f.tries.allow(from); err != nil {
		return none, err
	}
	denied := fault.New(fault.Denied, "sign in", "", "this passkey is not known here, or did not prove itself")
	fail := func(actor string, err error) (identity.Secret, error) {
		f.tries.failed(from)
		return none, f.failed(ctx, actor, way, err)
	}
	var state webauthn.SessionData
	ends, err := f.sealer.open("passkey", ceremony, &state)
	if err != nil {
		return fail(nobody, err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBody(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return fail(nobody, denied)
	}
	w, err := party(origin)
	if err != nil {
		return none, err
	}
	var u *user
	var inner error
	_, key, err := w.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		u, inner = f.user(ctx, string(handle))
		if inner != nil {
			return nil, inner
		}
		return u, nil
	}, state, parsed)
	switch {
	case inner != nil && !fault.Is(inner, fault.Denied):
		return none, inner
	case err != nil && u != nil:
		return fail(u.ID, denied)
	case err != nil:
		return fail(nobody, denied)
	case key.Authenticator.CloneWarning:
		return fail(u.ID, fault.New(fault.Denied, "sign in", "", "this passkey was used in another place too, as a copy would be; remove it and make a new one"))
	}
	var session identity.Secret
	err = f.write(ctx, func(tx *db.Tx) error {
		b, err := json.Marshal(key)
		if err != nil {
			return err
		}
		// An answer that was right is taken once. One that is wrong stays wrong, however often it comes.
		if err := f.Identity.UseOnce(tx, ceremony, ends); err != nil {
			return err
		}
		if err := f.Identity.UsePasskey(tx, key.ID, string(b)); err != nil {
			return err
		}
		session, err = f.begin(tx, u.ID, way)
		return err
	})
	if err != nil {
		return fail(u.ID, err)
	}
	return session, nil
}

// BeginRegistration asks the caller's browser to make a passkey.
func (f *Flow) BeginRegistration(ctx context.Context, who admin.Caller, origin string) (options *protocol.CredentialCreation, ceremony identity.Secret, err error) {
	w, err := party(origin)
	if err != nil {
		return nil, ceremony, err
	}
	u, err := f.user(ctx, who.Actor)
	if err != nil {
		return nil, ceremony, err
	}
	options, state, err := w.BeginRegistration(u,
		webauthn.WithAuthenticatorSelection(protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired}),
		webauthn.WithConveyancePreference(protocol.PreferNoAttestation), webauthn.WithExclusions(webauthn.Credentials(u.keys).CredentialDescriptors()))
	if err != nil {
		return nil, ceremony, err
	}
	ceremony, err = f.open(ctx, u.ID, state)
	return options, ceremony, err
}

// FinishRegistration keeps the passkey that the browser made, under the name that its owner gives it.
func (f *Flow) FinishRegistration(ctx context.Context, who admin.Caller, origin, ceremony, name string, answer io.Reader) error {
	account, state, err := f.close(ctx, ceremony)
	if err != nil {
		return err
	}
	refused := fault.New(fault.Invalid, "add passkey", "", "the browser's answer is not one to what was asked")
	if account != who.Actor {
		return refused
	}
	parsed, err := protocol.ParseCredentialCreationResponseBody(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return refused
	}
	w, err := party(origin)
	if err != nil {
		return err
	}
	u, err := f.user(ctx, account)
	if err != nil {
		return err
	}
	key, err := w.CreateCredential(u, state, parsed)
	if err != nil {
		return refused
	}
	b, err := json.Marshal(key)
	if err != nil {
		return err
	}
	if name = strings.TrimSpace(name); name == "" {
		name = "Passkey"
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.AddPasskey(tx, identity.Passkey{ID: key.ID, Account: account, Name: name, Credential: string(b)}); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: account, Action: "add passkey", Object: "account " + account, Outcome: "done"})
	})
}

// RemovePasskey takes one of the caller's passkeys away.
func (f *Flow) RemovePasskey(ctx context.Context, who admin.Caller, id []byte) error {
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.RemovePasskey(tx, who.Actor, id); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "remove passkey", Object: "account " + who.Actor, Outcome: "done"})
	})
}

// Stranded reports a session whose owner could not come back once signed out. A demonstration's steward needs not to.
func (f *Flow) Stranded(ctx context.Context, session string) bool {
	_, a, err := f.Session(ctx, session)
	if err != nil || a.Issuer != identity.Local {
		return false
	}
	o, err := f.own(ctx, a.ID)
	return err == nil && !o.Back()
}

// Own is what the caller sees of their account.
type Own struct {
	identity.Account
	Passkeys []identity.Passkey
	App      *identity.Authenticator // nil: none
	Recovery int                     // recovery codes that are left
	Browsers int                     // that are known
	Foreign  []identity.Foreign
	Sessions []identity.Session
}

// Back reports whether they can come back once signed out, without an administrator.
func (o Own) Back() bool { return len(o.Passkeys) > 0 || o.App != nil || len(o.Foreign) > 0 }

// Own is the caller's account; a fault.NotFound for who came by a token, which has none.
func (f *Flow) Own(ctx context.Context, who admin.Caller) (o Own, err error) {
	return f.own(ctx, who.Actor)
}

func (f *Flow) own(ctx context.Context, id string) (o Own, err error) {
	if o.Account, err = f.Identity.Account(ctx, id); err != nil {
		return o, err
	}
	if o.Passkeys, err = f.Identity.Passkeys(ctx, id); err != nil {
		return o, err
	}
	switch app, err := f.Identity.Authenticator(ctx, id); {
	case err == nil:
		o.App = &app
	case !fault.Is(err, fault.NotFound):
		return o, err
	}
	if o.Recovery, err = f.Identity.RecoveryCodes(ctx, id); err != nil {
		return o, err
	}
	if o.Browsers, err = f.Identity.Browsers(ctx, id); err != nil {
		return o, err
	}
	if o.Foreign, err = f.Identity.ForeignOf(ctx, id); err != nil {
		return o, err
	}
	o.Sessions, err = f.Identity.Sessions(ctx, id)
	return o, err
}
