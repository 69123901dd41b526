package datacite

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func TestNew(t *testing.T) {
	good := Config{URL: "https://api.test.datacite.org/", Prefix: "10.12345", Account: "NORTH.VITRINE", Password: "secret:with colon"}
	if c, err := New(good); err != nil || c.Name("abc") != "10.12345/abc" {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"in clear to another machine": func(c *Config) { c.URL = "http://api.datacite.org" },
		"no address":                  func(c *Config) { c.URL = "api.datacite.org" },
		"another scheme":              func(c *Config) { c.URL = "ftp://127.0.0.1" },
		"a password in the address":   func(c *Config) { c.URL = "https://a:b@api.datacite.org" },
		"a prefix that is none":       func(c *Config) { c.Prefix = "doi:10.12345" },
		"a prefix with a suffix":      func(c *Config) { c.Prefix = "10.12345/x" },
		"no account":                  func(c *Config) { c.Account = "" },
		"no password":                 func(c *Config) { c.Password = "" },
	} {
		c := good
		if change(&c); true {
			if _, err := New(c); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func TestPutAndDelete(t *testing.T) {
	var answer func(w http.ResponseWriter, r *http.Request)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it was followed to %s", r.URL) }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, word, ok := r.BasicAuth(); !ok || name != "NORTH.VITRINE" || word != "secret" || r.URL.Path != "/dois/10.12345/abc" {
			t.Errorf("%s by %s", r.URL.Path, name)
		}
		answer(w, r)
	}))
	defer s.Close()
	c, err := New(Config{URL: s.URL, Prefix: "10.12345", Account: "NORTH.VITRINE", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	answer = func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPut || r.Header.Get("Content-Type") != "application/vnd.api+json" || string(b) != `{"data":{}}` {
			t.Errorf("%s %s", r.Method, b)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"id": "10.12345/ABC", "attributes": map[string]any{"state": "findable"}}})
	}
	if state, err := c.Put(t.Context(), "10.12345/abc", []byte(`{"data":{}}`)); err != nil || state != "findable" {
		t.Error(state, err)
	}
	for code, kind := range map[int]fault.Kind{401: fault.Denied, 403: fault.Denied, 404: fault.NotFound, 422: fault.Invalid, 429: fault.Unavailable, 500: fault.Unavailable, 503: fault.Unavailable} {
		answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the secret of somebody", code) }
		if _, err := c.Put(t.Context(), "10.12345/abc", nil); !fault.Is(err, kind) || strings.Contains(err.Error(), "somebody") {
			t.Errorf("%d: %v", code, err)
		}
	}
	answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }
	if _, err := c.Put(t.Context(), "10.12345/abc", nil); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	for _, body := range []string{``, `{}`, `<html>`, `{"data":{"id":"10.12345/another","attributes":{"state":"draft"}}}`, `{"data":{"id":"10.12345/abc","attributes":{}}}`} {
		answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
		if _, err := c.Put(t.Context(), "10.12345/abc", nil); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%q: %v", body, err)
		}
	}
	for code, ok := range map[int]bool{204: true, 404: true, 405: false, 500: false} {
		answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodDelete {
				t.Error(r.Method)
			}
			w.WriteHeader(code)
		}
		if err := c.Delete(t.Context(), "10.12345/abc"); (err == nil) != ok {
			t.Errorf("%d: %v", code, err)
		}
	}
	s.Close()
	if _, err := c.Put(t.Context(), "10.12345/abc", nil); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}
