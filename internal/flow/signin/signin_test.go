package signin

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin/softkey"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const here = "http://localhost:8080"

var boss = admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}

func each(t *testing.T, test func(t *testing.T, f *Flow)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := identity.OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		l, err := audit.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		root, err := keys.NewRoot(keys.Key{1})
		if err != nil {
			t.Fatal(err)
		}
		test(t, New(Parts{DB: d, Audit: l, Identity: r, Root: root}))
	})
}

// device is a software authenticator of a browser at one page or another.
type device struct {
	t *testing.T
	softkey.Device
}

func (d *device) create(options any) string {
	d.t.Helper()
	d.Party, d.Origin = "localhost", here
	s, err := d.Create(options)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *device) get(options any, origin string) string {
	d.t.Helper()
	d.Origin = origin
	s, err := d.Get(options)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func denied(t *testing.T, what string, err error) {
	t.Helper()
	if !fault.Is(err, fault.Denied) {
		t.Errorf("%s: %v, want a denial", what, err)
	}
}

// An invited person comes by the link, once; adds a passkey; comes back with it; and is out when they are disabled.
func TestFromInvitationToPasskey(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		grants := []policy.Grant{{Role: policy.Researcher, Collection: "trial"}}
		a, link, err := f.Invite(ctx, boss, "Imogen Fairweather", grants, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		in, err := f.ByLink(ctx, "a", link.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		session := in.Session
		_, err = f.ByLink(ctx, "a", link.Reveal())
		denied(t, "a link used twice", err)
		_, who, err := f.Session(ctx, session.Reveal())
		if err != nil || who.ID != a.ID || len(who.Grants) != 1 || who.Grants[0] != grants[0] {
			t.Fatalf("%v %+v", err, who)
		}
		me := admin.Caller{Actor: who.ID, Grants: who.Grants}

		dev := &device{t: t}
		options, ceremony, err := f.BeginRegistration(ctx, me, here)
		if err != nil {
			t.Fatal(err)
		}
		made := dev.create(options)
		if err := f.FinishRegistration(ctx, me, here, ceremony.Reveal(), "Laptop", strings.NewReader(made)); err != nil {
			t.Fatal(err)
		}
		denied(t, "a registration done twice", f.FinishRegistration(ctx, me, here, ceremony.Reveal(), "Laptop", strings.NewReader(made)))

		login := func(origin string, change func(string) string) (identity.Secret, error) {
			options, ceremony, err := f.BeginPasskey(ctx, "b", here)
			if err != nil {
				t.Fatal(err)
			}
			answer := dev.get(options, origin)
			if change != nil {
				answer = change(answer)
			}
			return f.FinishPasskey(ctx, "b", here, ceremony, strings.NewReader(answer))
		}
		second, err := login(here, nil)
		if err != nil {
			t.Fatal(err)
		}
		if second == session {
			t.Error("a session has the secret of another")
		}
		_, err = login("https://elsewhere.example", nil)
		denied(t, "an answer given to another site", err)
		_, err = login(here, func(s string) string {
			return strings.Replace(s, softkey.Text(dev.User), softkey.Text([]byte("person-nobody")), 1)
		})
		denied(t, "an answer in another's name", err)
		options2, ceremony2, err := f.BeginPasskey(ctx, "b", here)
		if err != nil {
			t.Fatal(err)
		}
		answer := dev.get(options2, here)
		if _, err := f.FinishPasskey(ctx, "b", here, ceremony2, strings.NewReader(answer)); err != nil {
			t.Fatal(err)
		}
		_, err = f.FinishPasskey(ctx, "b", here, ceremony2, strings.NewReader(answer))
		denied(t, "an answer played again", err)
		dev.Count = 0
		_, err = login(here, nil)
		denied(t, "a passkey that was copied", err)

		if err := f.Disable(ctx, boss, a.ID, true); err != nil {
			t.Fatal(err)
		}
		dev.Count = 100
		_, err = login(here, nil)
		denied(t, "a disabled account", err)
		if _, err := f.Link(ctx, boss, a.ID, time.Hour); !fault.Is(err, fault.Conflict) {
			t.Errorf("a link of a disabled account: %v", err)
		}
		if _, err := f.Code(ctx, boss, a.ID); !fault.Is(err, fault.Conflict) {
			t.Errorf("a code of a disabled account: %v", err)
		}
		if all, err := f.Identity.Sessions(ctx, a.ID); err != nil || len(all) != 0 {
			t.Errorf("a disabled account has %d sessions, %v", len(all), err)
		}
		size, err := f.Audit.Size(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.End(ctx, admin.Caller{}, "nothing"); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Audit.Size(ctx); err != nil || n != size {
			t.Errorf("nobody signed out, and the audit log grew from %d to %d, %v", size, n, err)
		}
	})
}

// What is not proven opens nothing, whatever is presented.
func TestNothingOpensTheDoor(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		_, late, err := f.Invite(ctx, boss, "Late", nil, -time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range []string{"", "x", late.Reveal(), strings.Repeat("a", 43)} {
			_, err := f.ByLink(ctx, "c", s)
			denied(t, s, err)
			_, _, err = f.Session(ctx, s)
			denied(t, s, err)
			_, err = f.FinishPasskey(ctx, string(rune('d'+i)), here, s, strings.NewReader(`{}`))
			denied(t, s, err)
		}
		for _, who := range []admin.Caller{{}, {Actor: "person-1", Grants: []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}}}} {
			_, _, err := f.Invite(ctx, who, "A", nil, time.Hour)
			denied(t, "an invitation", err)
			_, err = f.People(ctx, who)
			denied(t, "a list of people", err)
			denied(t, "grants", f.Grant(ctx, who, "person-1", nil))
			denied(t, "disabling", f.Disable(ctx, who, "person-1", true))
		}
	})
}

// The first administrator's link is made until an administrator has a passkey.
func TestFirstAdministrator(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		for range 2 {
			link, made, err := f.FirstAdministrator(ctx, admin.Caller{Actor: "node"}, time.Minute)
			if err != nil || !made {
				t.Fatal(made, err)
			}
			if _, err := f.ByLink(ctx, "a", link.Reveal()); err != nil {
				t.Fatal(err)
			}
		}
		all, err := f.Identity.Accounts(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("%v %d accounts", err, len(all))
		}
		me := admin.Caller{Actor: all[0].ID, Grants: all[0].Grants}
		dev := &device{t: t}
		options, ceremony, err := f.BeginRegistration(ctx, me, here)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.FinishRegistration(ctx, me, here, ceremony.Reveal(), "", strings.NewReader(dev.create(options))); err != nil {
			t.Fatal(err)
		}
		if _, made, err := f.FirstAdministrator(context.WithoutCancel(ctx), admin.Caller{Actor: "node"}, time.Minute); err != nil || made {
			t.Error("another link, though an administrator has a passkey")
		}
	})
}
