package identity

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

func create(d *db.DB, r *Record, secret Secret, t Token) (out Token, err error) {
	err = d.Write(context.Background(), func(tx *db.Tx) (err error) { out, err = r.CreateToken(tx, secret, t); return err })
	return out, err
}

func TestSecrets(t *testing.T) {
	a, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := NewSecret()
	if a == b || len(a.Reveal()) < 43 {
		t.Error("secrets are not random")
	}
	for _, s := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", Token{}) + fmt.Sprintf("%#v %v %s", a, a, a)} {
		if strings.Contains(s, a.Reveal()) {
			t.Error("a secret prints itself")
		}
	}
	for s, ok := range map[string]bool{"0123456789abcdef": true, "0123456789abcdef\n": true, "0123456789abcdef\r\n": true, "0123456789abcde": false, "0123456789 abcdef": false,
		"0123456789abcdef\n0123456789abcdef": false, strings.Repeat("x", 512): true, strings.Repeat("x", 513): false, "0123456789abcdefé": false} {
		if _, err := ParseSecret(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTokenIsRecognisedUntilRevoked(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		secret, err := NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.TokenBySecret(ctx, secret.Reveal()); !fault.Is(err, fault.Denied) {
			t.Fatal("an unknown token:", err)
		}
		made, err := create(d, r, secret, Token{Name: "scanner room 4", Role: policy.Depositor, Collection: "breast"})
		if err != nil {
			t.Fatal(err)
		}
		// It was denied a moment ago, and that is not remembered.
		got, err := r.TokenBySecret(ctx, secret.Reveal())
		if diff := cmp.Diff(made, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		if got.Grant() != (policy.Grant{Role: policy.Depositor, Collection: "breast"}) {
			t.Error(got.Grant())
		}
		var n int64
		if err := d.QueryRow(ctx, `SELECT COUNT(*) FROM token WHERE hash = ?`, []byte(secret.Reveal())).Scan(&n); err != nil || n != 0 {
			t.Error("the secret itself is stored", err)
		}
		if _, err := create(d, r, secret, Token{Name: "again", Role: policy.Admin, Collection: "*"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("the same secret twice: %v", err)
		}
		if all, err := r.Tokens(ctx); err != nil || len(all) != 1 || all[0] != got {
			t.Error(all, err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.RevokeToken(tx, made.ID) }); err != nil {
			t.Fatal(err)
		}
		r.tokens.Forget(secret.digest()) // what another process sees when its second is over
		if _, err := r.TokenBySecret(ctx, secret.Reveal()); !fault.Is(err, fault.Denied) {
			t.Error("a revoked token:", err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.RevokeToken(tx, made.ID) }); !fault.Is(err, fault.NotFound) {
			t.Error("revoked twice:", err)
		}
		if all, err := r.Tokens(ctx); err != nil || len(all) != 0 {
			t.Error(all, err)
		}
	})
}

func TestTokenExpiresWhileItIsKept(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		secret, _ := NewSecret()
		tok, err := create(d, r, secret, Token{Name: "short", Role: policy.Researcher, Collection: "*", Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.TokenBySecret(t.Context(), secret.Reveal()); err != nil {
			t.Fatal(err)
		}
		if tok.valid(tok.Expires) || !tok.valid(tok.Expires.Add(-1)) {
			t.Error("the moment of expiry")
		}
		kept := tok
		kept.Expires = time.Now().Add(-time.Second)
		r.tokens.Forget(secret.digest())
		r.tokens.Get(secret.digest(), func() (Token, error) { return kept, nil })
		if _, err := r.TokenBySecret(t.Context(), secret.Reveal()); !fault.Is(err, fault.Denied) {
			t.Error("an expired token that is kept:", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE token SET expires = ?`, db.Micros(time.Now().Add(-time.Second)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		r.tokens.Forget(secret.digest())
		if _, err := r.TokenBySecret(t.Context(), secret.Reveal()); !fault.Is(err, fault.Denied) {
			t.Error("an expired token:", err)
		}
	})
}

func TestTokensThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		for name, tok := range map[string]Token{
			"no name":         {Role: policy.Admin, Collection: "*"},
			"control in name": {Name: "a\nb", Role: policy.Admin, Collection: "*"},
			"anonymous":       {Name: "a", Role: policy.Anonymous, Collection: "*"},
			"operator":        {Name: "a", Role: policy.Operator, Collection: "*"},
			"peer":            {Name: "a", Role: policy.PeerGet, Collection: "*"},
			"no collection":   {Name: "a", Role: policy.Admin},
			"bad collection":  {Name: "a", Role: policy.Admin, Collection: "A B"},
			"expired":         {Name: "a", Role: policy.Admin, Collection: "*", Expires: time.Now()},
		} {
			secret, _ := NewSecret()
			if _, err := create(d, r, secret, tok); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := create(d, r, Secret{}, Token{Name: "a", Role: policy.Admin, Collection: "*"}); !fault.Is(err, fault.Invalid) {
			t.Error("no secret:", err)
		}
	})
}

func wireString(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func pubLine(t *testing.T) (line string, wire []byte) {
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	wire = append(wireString([]byte("ssh-ed25519")), wireString(pub)...)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(wire) + " someone@example.org\n", wire
}

func TestSSHKeys(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		line, wire := pubLine(t)
		key, err := ParsePublicKey("# a comment\n\n" + line)
		if err != nil {
			t.Fatal(err)
		}
		var k SSHKey
		add := func() error {
			return d.Write(ctx, func(tx *db.Tx) (err error) { k, err = r.AddSSHKey(tx, "breast", "uploader", key); return err })
		}
		if _, err := r.SSHKeyFor(ctx, "breast", wire); !fault.Is(err, fault.Denied) {
			t.Error("before:", err)
		}
		if err := add(); err != nil {
			t.Fatal(err)
		}
		first := k
		got, err := r.SSHKeyFor(ctx, "breast", wire)
		if diff := cmp.Diff(first, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for _, user := range []string{"lung", "", "*", "Breast"} {
			if _, err := r.SSHKeyFor(ctx, user, wire); !fault.Is(err, fault.Denied) {
				t.Errorf("user %q: %v", user, err)
			}
		}
		if err := add(); !fault.Is(err, fault.Conflict) {
			t.Error("twice:", err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.RevokeSSHKey(tx, first.ID) }); err != nil {
			t.Fatal(err)
		}
		r.keys.Forget(keyAt{"breast", first.Digest})
		if _, err := r.SSHKeyFor(ctx, "breast", wire); !fault.Is(err, fault.Denied) {
			t.Error("revoked:", err)
		}
		if err := add(); err != nil {
			t.Error("registered again:", err)
		}
		if got, err := r.SSHKeyFor(ctx, "breast", wire); err != nil || got.ID == first.ID {
			t.Error(got, err)
		}
		if all, err := r.SSHKeys(ctx); err != nil || len(all) != 1 {
			t.Error(all, err)
		}
	})
}

func TestPublicKeysThatAreRefused(t *testing.T) {
	line, wire := pubLine(t)
	b64 := base64.StdEncoding.EncodeToString
	rsa := func(bits int) string {
		return b64(append(append(wireString([]byte("ssh-rsa")), wireString([]byte{1, 0, 1})...), wireString(append([]byte{0}, []byte(strings.Repeat("\xff", bits/8))...))...))
	}
	if _, err := ParsePublicKey("ssh-rsa " + rsa(2048)); err != nil {
		t.Error(err)
	}
	for name, s := range map[string]string{
		"nothing": "", "two keys": line + line, "private": "-----BEGIN OPENSSH PRIVATE KEY-----", "other algorithm": "ssh-dss " + b64(wire), "mismatch": "ssh-rsa " + b64(wire),
		"cut": "ssh-ed25519 " + b64(wire[:len(wire)-1]), "length": "ssh-ed25519 " + b64([]byte{0xff, 0xff, 0xff, 0xff, 1}), "not base64": "ssh-ed25519 !!!!", "RSA 1024": "ssh-rsa " + rsa(1024),
	} {
		if _, err := ParsePublicKey(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f comment")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParsePublicKey(s); err == nil && (k.Algorithm == "" || len(k.wire) < 8) {
			t.Error("an empty key")
		}
	})
}

func TestPeers(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		add := func(p Peer) (out Peer, err error) {
			err = d.Write(ctx, func(tx *db.Tx) (err error) { out, err = r.AddPeer(tx, p); return err })
			return out, err
		}
		if _, err := r.Peer(ctx, "CT1"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		cert := Digest{7}
		made, err := add(Peer{AETitle: "CT1", Host: "ct1.example.org", Port: 104, May: MayStore | MayGet, Collection: "breast", Certificate: &cert})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Peer(ctx, "CT1")
		if diff := cmp.Diff(made, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		want := []policy.Grant{{Role: policy.PeerStore, Collection: "breast"}, {Role: policy.PeerGet, Collection: "breast"}}
		if diff := cmp.Diff(want, got.Grants()); diff != "" {
			t.Error(diff)
		}
		if _, err := add(Peer{AETitle: "CT1", Host: "::1", Port: 104, May: MayStore, Collection: "*"}); !fault.Is(err, fault.Conflict) {
			t.Error("twice:", err)
		}
		if p, err := add(Peer{AETitle: "MR 2", Host: "::1", Port: 11112, May: MayFind, Collection: "*"}); err != nil || p.Certificate != nil {
			t.Error(p, err)
		}
		if all, err := r.Peers(ctx); err != nil || len(all) != 2 || all[0].AETitle != "CT1" {
			t.Error(all, err)
		}
		for name, p := range map[string]Peer{
			"title": {AETitle: "CT1 ", Host: "a", Port: 1, May: MayGet, Collection: "*"},
			"host":  {AETitle: "X", Host: "a b", Port: 1, May: MayGet, Collection: "*"},
			"port":  {AETitle: "X", Host: "a", Port: 70000, May: MayGet, Collection: "*"},
			"may":   {AETitle: "X", Host: "a", Port: 1, Collection: "*"},
			"where": {AETitle: "X", Host: "a", Port: 1, May: MayGet},
		} {
			if _, err := add(p); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.RemovePeer(tx, "CT1") }); err != nil {
			t.Fatal(err)
		}
		r.peers.Forget("CT1")
		if _, err := r.Peer(ctx, "CT1"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestMay(t *testing.T) {
	for s, want := range map[string]May{"store": MayStore, "store,find,move,get": 15, "get, store": MayGet | MayStore, "": 0, "all": 0, "store,": 0} {
		m, err := ParseMay(s)
		if m != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v, %v", s, m, err)
		}
	}
	if s := (MayGet | MayStore).String(); s != "store,get" {
		t.Error(s)
	}
}

// A session ends at its time, when it is idle for too long, and when the clock has been set back: how long it was idle cannot be told then.
func TestSessionIsInForce(t *testing.T) {
	used := time.Now()
	s := Session{Used: used, Ends: used.Add(12 * time.Hour)}
	for after, want := range map[time.Duration]bool{0: true, -time.Minute: true, IdleFor - time.Second: true, IdleFor: false, 13 * time.Hour: false, -time.Hour: false, -72 * time.Hour: false} {
		if got := s.valid(used.Add(after)); got != want {
			t.Errorf("%v after its last use it is in force: %v", after, got)
		}
	}
}
