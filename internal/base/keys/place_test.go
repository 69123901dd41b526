package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "gocloud.dev/secrets/awskms"
	_ "gocloud.dev/secrets/localsecrets"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// service is a key service on loopback: it hands out numbers for what it is given, so that a sealed key is worth nothing without it.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	vault  map[string][]byte
	status int // in place of an answer
}

const marker = "s.marker-of-the-token"

func (s *service) store(b []byte) string {
	name := fmt.Sprintf("sealed-%d", len(s.vault))
	s.vault[name] = b
	return name
}

// vaultService speaks the transit engine's HTTP API; kmsService the JSON 1.1 protocol of AWS KMS.
func vaultService(t *testing.T) *service {
	s := &service{vault: map[string][]byte{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var in struct{ Plaintext, Ciphertext string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if r.Header.Get("X-Vault-Token") != marker || s.status == 403 {
			http.Error(w, `{"errors":["permission denied for `+marker+`"]}`, http.StatusForbidden)
			return
		}
		if s.status != 0 {
			http.Error(w, `{"errors":["`+marker+`"]}`, s.status)
			return
		}
		switch r.URL.Path {
		case "/v1/keys/transit/encrypt/vitrine":
			b, err := base64.StdEncoding.DecodeString(in.Plaintext)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"data":{"ciphertext":"vault:v1:%s"}}`, s.store(b))
		case "/v1/keys/transit/decrypt/vitrine":
			b, ok := s.vault[strings.TrimPrefix(in.Ciphertext, "vault:v1:")]
			if !ok {
				http.Error(w, `{"errors":["cipher: message authentication failed"]}`, 400)
				return
			}
			fmt.Fprintf(w, `{"data":{"plaintext":"%s"}}`, base64.StdEncoding.EncodeToString(b))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("VAULT_ADDR", s.URL)
	t.Setenv("VAULT_TOKEN", marker)
	return s
}

func kmsService(t *testing.T) *service {
	s := &service{vault: map[string][]byte{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var in struct {
			KeyId, EncryptionAlgorithm string
			Plaintext, CiphertextBlob  []byte
		}
		b, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(b, &in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		refuse := func(kind string) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"__type":"%s","message":"about %s"}`, kind, marker)
		}
		if s.status == 403 {
			refuse("AccessDeniedException")
			return
		}
		if !strings.Contains(r.Header.Get("Authorization"), "AKIATEST") {
			t.Error("it is not signed")
		}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			fmt.Fprintf(w, `{"KeyId":"%s","CiphertextBlob":"%s"}`, in.KeyId, base64.StdEncoding.EncodeToString([]byte(s.store(in.Plaintext))))
		case "TrentService.Decrypt":
			b, ok := s.vault[string(in.CiphertextBlob)]
			if !ok {
				refuse("InvalidCiphertextException")
				return
			}
			fmt.Fprintf(w, `{"KeyId":"%s","Plaintext":"%s"}`, in.KeyId, base64.StdEncoding.EncodeToString(b))
		default:
			t.Errorf("asked for %q", r.Header.Get("X-Amz-Target"))
		}
	}))
	t.Cleanup(s.Close)
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": marker, "AWS_REGION": "eu-west-2", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		t.Setenv(k, v)
	}
	return s
}

const keeperKey = "c21hbGwgc2l0ZXMgbWF5IHVzZSBvbmUgb2YgdGhlc2U="

func eachKeeper(t *testing.T, test func(t *testing.T, p Place, s *service)) {
	t.Run("hashivault", func(t *testing.T) {
		s := vaultService(t)
		test(t, Place{filepath.Join(t.TempDir(), "sealed"), "hashivault://vitrine?engine=keys/transit"}, s)
	})
	t.Run("awskms", func(t *testing.T) {
		s := kmsService(t)
		test(t, Place{filepath.Join(t.TempDir(), "sealed"), "awskms://alias/vitrine?region=eu-west-2&endpoint=" + s.URL}, s)
	})
	t.Run("base64key", func(t *testing.T) {
		test(t, Place{filepath.Join(t.TempDir(), "sealed"), "base64key://" + keeperKey}, nil)
	})
}

func TestKeepers(t *testing.T) {
	eachKeeper(t, func(t *testing.T, p Place, s *service) {
		ctx := t.Context()
		if _, err := p.Load(ctx); !fault.Is(err, fault.NotFound) {
			t.Errorf("before there is one: %v", err)
		}
		m, err := p.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again, err := p.Load(ctx)
		if err != nil || again.key != m.key || again.Fingerprint() != m.Fingerprint() {
			t.Fatalf("another key: %v", err)
		}
		b, err := os.ReadFile(p.File)
		if err != nil {
			t.Fatal(err)
		}
		if fi, _ := os.Stat(p.File); fi.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", fi.Mode())
		}
		for _, secret := range []string{string(m.key[:8]), base64.StdEncoding.EncodeToString(m.key[:])[:16], marker, keeperKey[:16]} {
			if bytes.Contains(b, []byte(secret)) {
				t.Error("the file holds a secret in clear")
			}
		}
		_, scheme, _ := strings.Cut(string(b), "keeper ")
		scheme, _, _ = strings.Cut(scheme, "\n")
		says := fmt.Sprintf("%v %+v %#v %s", p, p, p, p)
		if scheme != p.scheme() || strings.Contains(says, keeperKey[:16]) || strings.Contains(says, "endpoint") {
			t.Errorf("%q, %q", scheme, says)
		}
		if _, err := p.Create(ctx); !fault.Is(err, fault.Conflict) {
			t.Errorf("overwriting: %v", err)
		}

		// Every way in which it may fail says why, and nothing that is secret.
		tells := func(what string, err error, kind fault.Kind) {
			t.Helper()
			if !fault.Is(err, kind) {
				t.Errorf("%s: %v", what, err)
			}
			if err != nil && (strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), keeperKey[:16])) {
				t.Errorf("%s: the error holds a secret: %v", what, err)
			}
		}
		_, err = Place{File: p.File}.Load(ctx)
		tells("without its keeper", err, fault.Invalid)
		_, err = Place{p.File, "elsewhere://" + keeperKey}.Load(ctx)
		tells("by another kind", err, fault.Denied)
		_, err = Place{p.File + "2", "elsewhere://" + keeperKey}.Create(ctx)
		tells("by an unknown kind", err, fault.Invalid)
		_, err = Place{p.File + "2", p.scheme() + "://%zz" + keeperKey}.Create(ctx)
		tells("by no address", err, fault.Invalid)
		line := strings.Split(strings.TrimSpace(string(b)), "\n")
		raw, _ := base64.StdEncoding.DecodeString(line[2])
		raw[len(raw)-1] ^= 0xff
		line[2] = base64.StdEncoding.EncodeToString(raw)
		if err := os.WriteFile(p.File, []byte(strings.Join(line, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = p.Load(ctx)
		if p.scheme() == "base64key" {
			tells("changed", err, fault.Unavailable)
		} else {
			tells("changed", err, fault.Denied)
		}
		if err := os.WriteFile(p.File, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s == nil {
			_, err = Place{p.File, "base64key://" + base64.StdEncoding.EncodeToString(make([]byte, 32))}.Load(ctx)
			tells("by another key", err, fault.Unavailable)
			_, err = Place{p.File + "3", "base64key://"}.Create(ctx)
			tells("by a key that nobody has", err, fault.Invalid)
			return
		}
		s.status = 403
		_, err = p.Load(ctx)
		if p.scheme() == "awskms" { // gocloud.dev does not tell it from other failures
			tells("refused", err, fault.Unavailable)
		} else {
			tells("refused", err, fault.Denied)
		}
		s.status = 0
		s.Close()
		_, err = p.Load(ctx)
		tells("unreachable", err, fault.Unavailable)
	})
}

// What goes to Vault goes to nobody else.
func TestVaultAddress(t *testing.T) {
	s := vaultService(t)
	p := Place{filepath.Join(t.TempDir(), "sealed"), "hashivault://vitrine?engine=keys/transit"}
	for _, address := range []string{"", "http://vault.example.org:8200", "http://10.0.0.7", "ftp://localhost", "https://"} {
		t.Setenv("VAULT_ADDR", address)
		if _, err := p.Create(t.Context()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	t.Setenv("VAULT_ADDR", s.URL)
	for _, key := range []string{"hashivault://", "hashivault://vitrine?engine=", "hashivault://vitrine?engine=../sys", "hashivault://vitrine?other=1", "hashivault://a/../b"} {
		if _, err := (Place{p.File, key}).Create(t.Context()); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(marker+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("VAULT_TOKEN_FILE", token)
	if _, err := p.Create(t.Context()); err != nil {
		t.Error(err)
	}
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("the token went along with a redirection") }))
	defer away.Close()
	turn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, away.URL, http.StatusTemporaryRedirect)
	}))
	defer turn.Close()
	t.Setenv("VAULT_ADDR", turn.URL)
	if _, err := p.Load(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("redirected: %v", err)
	}
}

// A key moves from a file into a keeper, to another keeper in the same file, and back.
func TestRotateThroughKeepers(t *testing.T) {
	eachKeeper(t, func(t *testing.T, p Place, _ *service) {
		ctx := t.Context()
		d := dbtest.SQLite(t, db.Durable, db.SecureDelete)
		file := Place{File: filepath.Join(t.TempDir(), "master.key")}
		if _, err := file.Create(ctx); err != nil {
			t.Fatal(err)
		}
		r, err := Unlock(ctx, d, file)
		if err != nil {
			t.Fatal(err)
		}
		kept := fill(t, r, 3)
		at := file
		for _, to := range []Place{p, p, {p.File, "base64key://" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))}, file} {
			c, err := Rotate(ctx, d, at, to)
			if err != nil || c.Resumed {
				t.Fatalf("%v to %v: %+v %v", at, to, c, err)
			}
			if r, err = Unlock(ctx, d, to); err != nil {
				t.Fatalf("%v: %v", to, err)
			}
			if err := kept.whole(ctx, r); err != nil {
				t.Errorf("%v: %v", to, err)
			}
			at = to
		}
	})
}
