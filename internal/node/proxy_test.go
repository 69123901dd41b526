package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/flow/signin/softkey"
)

const public = "https://images.example.com"

// behind runs a node behind a proxy that ends TLS and calls the node by its inner address. The browser's address is what the header Client says.
func behind(t *testing.T, cfg Config) (*Node, *http.Client) {
	t.Helper()
	cfg.Demo, cfg.PublicURL, cfg.HTTP = true, public, "127.0.0.1:0"
	n := start(t, cfg)
	inner, err := url.Parse(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(inner)
		p.Out.Header.Set("X-Forwarded-For", p.In.Header.Get("Client"))
	}})
	t.Cleanup(proxy.Close)
	pool := proxy.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", proxy.Listener.Addr().String())
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return n, &http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func post(t *testing.T, c *http.Client, path, kind, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, public+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

const form = "application/x-www-form-urlencoded"

// Behind a proxy that ends TLS, links, cookies, passkeys and the protection of forms go by the public address.
func TestBehindProxy(t *testing.T) {
	n, c := behind(t, Config{})
	var out bytes.Buffer
	if err := n.Welcome(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	link, ok := strings.CutPrefix(strings.TrimSpace(out.String()), "open "+public+"/signin/link?")
	if !ok {
		t.Fatalf("the link is %s", out.String())
	}
	for _, from := range []string{"https://elsewhere.example", n.URL() + "0", "http://images.example.com.evil.example"} {
		if resp, _ := post(t, c, "/signin/link", form, link, "Origin", from); resp.StatusCode != http.StatusForbidden {
			t.Errorf("a form of %s: %d", from, resp.StatusCode)
		}
	}
	// A browser that tells only the origin: the node's own Host is another.
	resp, body := post(t, c, "/signin/link", form, link, "Origin", public)
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %.300s", resp.StatusCode, body)
	}
	found := false
	for _, k := range resp.Cookies() {
		if k.Value != "" && k.Name == "__Host-vitrine" {
			found = k.Secure && k.HttpOnly && k.Path == "/" && k.Domain == "" && k.SameSite == http.SameSiteLaxMode
		}
	}
	if !found || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("cookies %v, %v", resp.Cookies(), resp.Header)
	}

	dev := &softkey.Device{Party: "images.example.com", Origin: public}
	resp, body = post(t, c, "/account/passkeys/begin", "application/json", "", "Sec-Fetch-Site", "same-origin")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	answer, err := dev.Create([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if resp, body = post(t, c, "/account/passkeys/finish?name=Laptop", "application/json", answer); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	post(t, c, "/signout", form, "")
	for _, try := range []struct {
		origin string
		status int
	}{{"http://images.example.com", http.StatusForbidden}, {n.URL(), http.StatusForbidden}, {public, http.StatusOK}} {
		_, body = post(t, c, "/signin/passkey/begin", "application/json", "")
		if !strings.Contains(body, `"rpId":"images.example.com"`) {
			t.Fatal(body)
		}
		dev.Origin = try.origin
		if answer, err = dev.Get([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if resp, body = post(t, c, "/signin/passkey/finish", "application/json", answer); resp.StatusCode != try.status {
			t.Errorf("a passkey at %s: %d %s", try.origin, resp.StatusCode, body)
		}
	}
}

// Who guesses behind a trusted proxy waits by themselves; behind one that nobody named, the proxy is who guesses.
func TestGuessesBehindProxy(t *testing.T) {
	for name, trusted := range map[string][]string{"trusted": {"127.0.0.0/8"}, "not named": nil} {
		t.Run(name, func(t *testing.T) {
			_, c := behind(t, Config{Proxies: trusted})
			for range 5 {
				post(t, c, "/signin/code", form, "code=0000-0000-0000", "Client", "198.51.100.1")
			}
			_, one := post(t, c, "/signin/code", form, "code=0000-0000-0000", "Client", "198.51.100.1", "Accept", "text/html")
			_, other := post(t, c, "/signin/code", form, "code=0000-0000-0000", "Client", "198.51.100.2", "Accept", "text/html")
			if !strings.Contains(one, "too often") || strings.Contains(other, "too often") == (trusted != nil) {
				t.Errorf("waits: %v, %v", strings.Contains(one, "too often"), strings.Contains(other, "too often"))
			}
		})
	}
}

// A wrong public address is a mistake in the configuration.
func TestWrongPublicURL(t *testing.T) {
	for _, cfg := range []Config{{PublicURL: "images.example.com"}, {PublicURL: "https://images.example.com/vitrine"}, {Proxies: []string{"my-proxy"}}} {
		cfg.Data, cfg.Demo, cfg.HTTP = t.TempDir(), true, "127.0.0.1:0"
		if n, err := New(t.Context(), cfg); err == nil {
			_ = n.close()
			t.Errorf("%+v is taken", cfg)
		}
	}
}
