package identity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// people makes accounts, and gives a way to change the record that fails the test where it fails.
func people(t *testing.T, d *db.DB, r *Record, names ...string) (all []Account, write func(fn func(tx *db.Tx) error)) {
	t.Helper()
	write = func(fn func(tx *db.Tx) error) {
		t.Helper()
		if err := d.Write(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		write(func(tx *db.Tx) error {
			a, err := r.CreateAccount(tx, Account{Name: name, Grants: []policy.Grant{{Role: policy.Researcher, Collection: "breast"}}})
			all = append(all, a)
			return err
		})
	}
	return all, write
}

// Issuer and subject together are one person's: the same subject of another issuer is somebody else.
func TestForeign(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		who, write := people(t, d, r, "Imogen", "Ada")
		const north, south = "https://id.north.example", "https://id.south.example"
		add := func(issuer, subject, account string) error {
			return d.Write(ctx, func(tx *db.Tx) error {
				return r.AddForeign(tx, Foreign{Issuer: issuer, Subject: subject, Account: account})
			})
		}
		if _, err := r.AccountOfForeign(ctx, north, "248289761001"); !fault.Is(err, fault.NotFound) {
			t.Error("before:", err)
		}
		for _, f := range []Foreign{{Issuer: north, Subject: "248289761001", Account: who[0].ID}, {Issuer: south, Subject: "248289761001", Account: who[1].ID}, {Issuer: south, Subject: "imogen", Account: who[0].ID}} {
			if err := add(f.Issuer, f.Subject, f.Account); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range who { // not the other's, and not one's own twice
			if err := add(north, "248289761001", a.ID); !fault.Is(err, fault.Conflict) {
				t.Errorf("linked twice: %v", err)
			}
		}
		long := strings.Repeat("x", 256)
		for name, f := range map[string][2]string{"no issuer": {"", "x"}, "no subject": {north, ""}, "long issuer": {long, "x"}, "long subject": {north, long}} {
			if err := add(f[0], f[1], who[0].ID); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, c := range []struct {
			issuer, subject string
			want            *Account
		}{{north, "248289761001", &who[0]}, {south, "248289761001", &who[1]}, {south, "imogen", &who[0]}, {north, "imogen", nil}, {south, "Imogen", nil}, {south, "imogen ", nil}, {north + "/", "248289761001", nil}} {
			got, err := r.AccountOfForeign(ctx, c.issuer, c.subject)
			if c.want == nil {
				if !fault.Is(err, fault.NotFound) {
					t.Errorf("%s of %s: %v", c.subject, c.issuer, err)
				}
			} else if diff := cmp.Diff(*c.want, got); err != nil || diff != "" {
				t.Errorf("%s of %s: %v %s", c.subject, c.issuer, err, diff)
			}
		}
		write(func(tx *db.Tx) error { return r.UseForeign(tx, south, "imogen") })
		of, err := r.ForeignOf(ctx, who[0].ID)
		if err != nil || len(of) != 2 {
			t.Fatal(of, err)
		}
		for _, f := range of {
			if used := f.Subject == "imogen"; f.Account != who[0].ID || f.Created.IsZero() || f.Used.IsZero() == used {
				t.Errorf("%+v", f)
			}
		}
		remove := func(account, issuer, subject string) error {
			return d.Write(ctx, func(tx *db.Tx) error { return r.RemoveForeign(tx, account, issuer, subject) })
		}
		if err := remove(who[1].ID, north, "248289761001"); !fault.Is(err, fault.NotFound) {
			t.Errorf("another's is removed: %v", err)
		}
		if err := remove(who[0].ID, north, "248289761001"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.AccountOfForeign(ctx, north, "248289761001"); !fault.Is(err, fault.NotFound) {
			t.Error("after:", err)
		}
		if got, err := r.AccountOfForeign(ctx, south, "248289761001"); err != nil || got.ID != who[1].ID {
			t.Error("the same subject of another issuer went with it:", err)
		}
		if err := add(north, "248289761001", who[1].ID); err != nil {
			t.Error("what is free again:", err)
		}
	})
}

// Each way is counted for its own account; what has ended, or lay idle too long, is none.
func TestWays(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		if all, err := r.Ways(ctx); err != nil || len(all) != 0 {
			t.Fatal(all, err)
		}
		who, write := people(t, d, r, "Imogen", "Ada", "Nobody yet")
		imogen, ada := who[0].ID, who[1].ID
		secret := func() Secret {
			s, err := NewSecret()
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		soon, later := db.Time(db.Micros(time.Now().Add(time.Hour))), db.Time(db.Micros(time.Now().Add(2*time.Hour)))
		idle := secret()
		write(func(tx *db.Tx) error {
			for _, fn := range []func() error{
				func() error { return r.AddPasskey(tx, Passkey{ID: []byte{1}, Account: imogen, Name: "Laptop"}) },
				func() error { return r.AddPasskey(tx, Passkey{ID: []byte{2}, Account: imogen, Name: "Key"}) },
				func() error { return r.SetAuthenticator(tx, imogen, Authenticator{Wrapped: []byte{1}}, nil) },
				func() error { return r.SetAuthenticator(tx, imogen, Authenticator{Wrapped: []byte{2}}, nil) }, // takes the place of the first
				func() error { return r.AddForeign(tx, Foreign{Issuer: "i", Subject: "s", Account: imogen}) },
				func() error {
					return r.StartSession(tx, secret(), Session{Account: imogen, Way: "passkey", Ends: soon})
				},
				func() error {
					return r.StartSession(tx, secret(), Session{Account: imogen, Way: "passkey", Ends: later})
				},
				func() error { return r.StartSession(tx, idle, Session{Account: ada, Way: "link", Ends: later}) },
				func() error {
					return r.StartSession(tx, secret(), Session{Account: ada, Way: "link", Ends: time.Now().Add(-time.Second)})
				},
				func() error { return r.AddLink(tx, secret(), ada, soon) },
				func() error { return r.AddLink(tx, secret(), ada, later) },
				func() error { return r.AddLink(tx, secret(), imogen, time.Now().Add(-time.Second)) },
			} {
				if err := fn(); err != nil {
					return err
				}
			}
			sum := idle.digest()
			_, err := tx.Exec(`UPDATE session SET used = ? WHERE hash = ?`, db.Micros(time.Now().Add(-IdleFor-time.Second)), sum[:])
			return err
		})
		got, err := r.Ways(ctx)
		want := map[string]Ways{imogen: {Passkeys: 2, Apps: 1, Foreign: 1, Sessions: 2}, ada: {Invited: later}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for id, any := range map[string]bool{imogen: true, ada: false, who[2].ID: false} {
			if got[id].Any() != any {
				t.Errorf("%+v can come back: %v", got[id], !any)
			}
		}
	})
}
