package portal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	personrecord "github.com/vitrine-imaging/vitrine/internal/record/person"
)

// university is a provider of OpenID Connect, over real HTTP. It checks what a provider has to check, and lies where a test wants it to.
type university struct {
	t      *testing.T
	at     *httptest.Server
	rs, es jose.Signer
	keys   jose.JSONWebKeySet

	mu       sync.Mutex
	subject  string
	claims   map[string]any              // beside the usual ones
	lie      func(claims map[string]any) // before they are signed
	sign     func(claims []byte) string  // nil: RS256
	back     func(q url.Values)          // what people are sent back with
	down     bool
	given    map[string]url.Values // codes, and what was asked for
	tells    bool                  // RFC 9207
	end      bool
	exchange int
}

func newUniversity(t *testing.T) *university {
	t.Helper()
	u := &university{t: t, subject: "s-1", given: map[string]url.Values{}}
	rk, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ek, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	u.keys.Keys = []jose.JSONWebKey{{Key: rk.Public(), KeyID: "r", Algorithm: "RS256", Use: "sig"}, {Key: ek.Public(), KeyID: "e", Algorithm: "ES256", Use: "sig"}}
	u.rs, u.es = signer(t, jose.RS256, rk, "r"), signer(t, jose.ES256, ek, "e")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		said := map[string]any{"issuer": u.at.URL, "authorization_endpoint": u.at.URL + "/authorize", "token_endpoint": u.at.URL + "/token", "jwks_uri": u.at.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "none"}, "authorization_response_iss_parameter_supported": u.tells}
		if u.end {
			said["end_session_endpoint"] = u.at.URL + "/logout"
		}
		reply(w, said)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { reply(w, u.keys) })
	mux.HandleFunc("GET /authorize", u.authorize)
	mux.HandleFunc("POST /token", u.token)
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, _ *http.Request) { reply(w, "out") })
	u.at = httptest.NewServer(mux)
	t.Cleanup(u.at.Close)
	return u
}

func signer(t *testing.T, alg jose.SignatureAlgorithm, key any, id string) jose.Signer {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

const clientID, clientSecret = "vitrine-node", "the secret of the client"

// authorize knows who is in front of the browser and sends them back at once.
func (u *university) authorize(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := r.URL.Query()
	if q.Get("client_id") != clientID || q.Get("response_type") != "code" || !strings.HasPrefix(q.Get("scope"), "openid") || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || !strings.HasSuffix(q.Get("redirect_uri"), signin.ProviderBack) {
		u.t.Errorf("asked for with %v", q)
	}
	code := rand.Text()
	u.given[code] = q
	to := url.Values{"code": {code}, "state": {q.Get("state")}}
	if u.tells {
		to.Set("iss", u.at.URL)
	}
	if u.back != nil {
		u.back(to)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+to.Encode(), http.StatusFound)
}

func (u *university) token(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.exchange++
	q, ok := u.given[r.PostFormValue("code")]
	delete(u.given, r.PostFormValue("code"))
	id, secret, _ := r.BasicAuth()
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if unescaped, err := url.QueryUnescape(secret); err != nil || !ok || id != clientID || unescaped != clientSecret || base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		reply(w, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": u.at.URL, "sub": u.subject, "aud": clientID, "iat": now, "exp": now + 300, "nonce": q.Get("nonce"), "name": "Imogen Fairweather", "email": "imogen@example.org"}
	maps.Copy(claims, u.claims)
	if u.lie != nil {
		u.lie(claims)
	}
	b, err := json.Marshal(claims)
	if err != nil {
		u.t.Error(err)
	}
	sign := u.sign
	if sign == nil {
		sign = u.signed(u.rs)
	}
	reply(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": sign(b)})
}

func (u *university) signed(s jose.Signer) func([]byte) string {
	return func(b []byte) string {
		o, err := s.Sign(b)
		if err != nil {
			u.t.Error(err)
			return ""
		}
		text, err := o.CompactSerialize()
		if err != nil {
			u.t.Error(err)
		}
		return text
	}
}

func (u *university) set(do func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	do()
}

// enrolled runs a node whose people a university vouches for.
func enrolled(t *testing.T, database string, u *university, roles ...string) (*node.Node, string) {
	t.Helper()
	p := &signin.Provider{Issuer: u.at.URL, ClientID: clientID, Secret: clientSecret, Name: "Example University", Organisation: personrecord.Organisation{Name: "Example University", Kind: "academic", Country: "GB"}}
	for _, text := range roles {
		r, err := signin.ParseRoleFor(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Roles = append(p.Roles, r)
	}
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0", OIDC: p})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	return n, "http://" + n.HTTPAddr()
}

// eachDatabase runs a test for a node on either database; an empty address is the node's own SQLite.
func eachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "") })
	t.Run("postgresql", func(t *testing.T) { test(t, dbtest.PostgresURL(t)) })
}

func accounts(t *testing.T, n *node.Node) []identity.Account {
	t.Helper()
	all, err := n.Stores.Identity.Accounts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Whom the provider vouches for is known by issuer and subject: at first without any role, later again as the same.
func TestProviderLetsIn(t *testing.T) { eachDatabase(t, providerLetsIn) }

func providerLetsIn(t *testing.T, database string) {
	u := newUniversity(t)
	n, base := enrolled(t, database, u)
	v := visit(t, base)
	if _, body, _ := v.do("GET", "/signin?next=/help", nil); !strings.Contains(body, "Continue with Example University") || !strings.Contains(body, "/signin/provider?next=%2fhelp") {
		t.Error("the provider is not offered")
	}
	status, body, at := v.do("GET", "/signin/provider?next=/help", nil)
	if status != 200 || at != "/account" || !strings.Contains(body, "nobody has given you a role yet") || !strings.Contains(body, "Imogen Fairweather") {
		t.Fatalf("%d at %s %.500s", status, at, body)
	}
	all := accounts(t, n)
	if len(all) != 1 || len(all[0].Grants) != 0 || !all[0].Pending() {
		t.Fatalf("%+v", all)
	}
	for _, path := range []string{"/people", "/audit", "/held"} {
		if status, _, _ := v.do("GET", path, nil); status == 200 {
			t.Errorf("who has no role sees %s", path)
		}
	}
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	if err := n.SignIn.Grant(t.Context(), boss, all[0].ID, []policy.Grant{{Role: policy.Researcher, Collection: "default"}}); err != nil {
		t.Fatal(err)
	}
	// The address and the name changed, and who signs now by another key: the same person.
	u.set(func() {
		u.claims, u.sign = map[string]any{"name": "I. F.", "email": "other@example.org"}, u.signed(u.es)
	})
	w := visit(t, base)
	if status, _, at := w.do("GET", "/signin/provider?next=/help/find", nil); status != 200 || at != "/help/find" {
		t.Errorf("%d at %s", status, at)
	}
	if all := accounts(t, n); len(all) != 1 || all[0].Name != "Imogen Fairweather" || all[0].Seen.IsZero() {
		t.Errorf("%+v", all)
	}
	// What it says beside the name is kept, and what it says no more is not.
	known := func() personrecord.Person {
		t.Helper()
		p, err := n.Stores.Persons.Get(t.Context(), all[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := known(); p.Organisation.Name != "Example University" || p.ConfirmedBy != personrecord.ByProvider || time.Since(p.Confirmed) > time.Hour || p.Vouched != personrecord.None || p.ORCID != "" {
		t.Errorf("%+v", p)
	}
	for _, c := range []struct {
		claims map[string]any
		want   personrecord.Assurance
	}{{map[string]any{"eduperson_assurance": []string{"https://refeds.org/assurance", "https://refeds.org/assurance/IAP/high", "https://refeds.org/assurance/IAP/medium"}, "orcid": "https://orcid.org/0000-0002-1825-0097"}, personrecord.High},
		{map[string]any{"eduperson_assurance": "https://refeds.org/assurance/IAP/medium", "orcid": "0000-0002-1825-0098"}, personrecord.Medium}, {map[string]any{"acr": "https://refeds.org/profile/mfa"}, personrecord.Medium},
		{map[string]any{"eduperson_assurance": []any{"https://refeds.org/assurance/IAP/low", 7}, "acr": "https://refeds.org/profile/sfa"}, personrecord.None}} {
		u.set(func() { u.claims = c.claims })
		visit(t, base).do("GET", "/signin/provider", nil)
		if p := known(); p.Vouched != c.want || p.ORCID != "0000-0002-1825-0097" || p.ORCIDBy != personrecord.Provider {
			t.Errorf("%v: %+v", c.claims, p)
		}
	}
	// Another person with the same address is another person.
	u.set(func() { u.subject = "s-2" })
	visit(t, base).do("GET", "/signin/provider", nil)
	if all := accounts(t, n); len(all) != 2 {
		t.Errorf("%d accounts", len(all))
	}
	if err := n.SignIn.Disable(t.Context(), boss, all[0].ID, true); err != nil {
		t.Fatal(err)
	}
	u.set(func() { u.subject = "s-1" })
	if status, body, _ := visit(t, base).do("GET", "/signin/provider", nil); status != 403 || !strings.Contains(body, "this account cannot sign in") && !strings.Contains(body, "This account cannot sign in") {
		t.Errorf("who is disabled: %d %.300s", status, body)
	}
	if !strings.Contains(strings.Join(entries(t, n), "\n"), "sign in by OpenID Connect") {
		t.Error("the audit log does not say how")
	}
	for _, e := range entries(t, n) {
		for _, secret := range []string{"Imogen", "example.org", "s-1"} {
			if strings.Contains(e, secret) {
				t.Errorf("the audit log says %q", e)
			}
		}
	}
}

func entries(t *testing.T, n *node.Node) []string {
	t.Helper()
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	all, err := n.Stores.Desk().Entries(t.Context(), boss, "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range all {
		out = append(out, e.Actor+" "+e.Action+" "+e.Object+" "+e.Outcome)
	}
	return out
}

// What the provider did not say, or said of somebody or for somebody else, or long ago, lets nobody in and makes no account.
func TestProviderLies(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lie   func(u *university) func(map[string]any)
		sign  func(u *university) func([]byte) string
		back  func(u *university) func(url.Values)
		tells bool
		says  string
	}{
		"another nonce":    {lie: func(*university) func(map[string]any) { return func(c map[string]any) { c["nonce"] = "x" } }},
		"no nonce":         {lie: func(*university) func(map[string]any) { return func(c map[string]any) { delete(c, "nonce") } }},
		"another audience": {lie: func(*university) func(map[string]any) { return func(c map[string]any) { c["aud"] = "another" } }},
		"for several": {lie: func(*university) func(map[string]any) {
			return func(c map[string]any) { c["aud"] = []string{clientID, "another"} }
		}},
		"for another's use": {lie: func(*university) func(map[string]any) { return func(c map[string]any) { c["azp"] = "another" } }},
		"expired": {lie: func(*university) func(map[string]any) {
			return func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }
		}},
		"another issuer": {lie: func(*university) func(map[string]any) {
			return func(c map[string]any) { c["iss"] = "https://other.example" }
		}},
		"nobody": {lie: func(*university) func(map[string]any) { return func(c map[string]any) { c["sub"] = "" } }},
		"an endless subject": {lie: func(*university) func(map[string]any) {
			return func(c map[string]any) { c["sub"] = strings.Repeat("s", 300) }
		}},
		"algorithm none": {sign: func(*university) func([]byte) string { return unsigned }},
		"another's key":  {sign: func(u *university) func([]byte) string { return u.signed(signer(u.t, jose.RS256, other, "r")) }},
		"the secret as key": {sign: func(u *university) func([]byte) string {
			return u.signed(signer(u.t, jose.HS256, []byte(clientSecret+strings.Repeat(" ", 32)), "r"))
		}},
		"no token": {sign: func(*university) func([]byte) string { return func([]byte) string { return "" } }},
		"a changed token": {sign: func(u *university) func([]byte) string {
			return func(b []byte) string { return changed(u.signed(u.rs)(b)) }
		}},
		"another state":  {back: func(*university) func(url.Values) { return func(q url.Values) { q.Set("state", "x") } }},
		"no state":       {back: func(*university) func(url.Values) { return func(q url.Values) { q.Del("state") } }},
		"a made-up code": {back: func(*university) func(url.Values) { return func(q url.Values) { q.Set("code", "x") } }},
		"mixed up": {back: func(*university) func(url.Values) {
			return func(q url.Values) { q.Set("iss", "https://other.example") }
		}},
		"issuer not named": {tells: true, back: func(*university) func(url.Values) { return func(q url.Values) { q.Del("iss") } }},
		"denied": {back: func(*university) func(url.Values) {
			return func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }
		}, says: "did not let you in, or you went back"},
		"refused with script": {back: func(*university) func(url.Values) {
			return func(q url.Values) { q.Set("error", "<script>alert(1)</script>") }
		}, says: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUniversity(t)
			n, base := enrolled(t, "", u)
			u.tells = c.tells
			if c.lie != nil {
				u.lie = c.lie(u)
			}
			if c.sign != nil {
				u.sign = c.sign(u)
			}
			if c.back != nil {
				u.back = c.back(u)
			}
			v := visit(t, base)
			status, body, at := v.do("GET", "/signin/provider", nil)
			if status != 403 || at != signin.ProviderBack || !strings.Contains(body, `role="alert"`) || !strings.Contains(body, c.says) || strings.Contains(body, "alert(1)") {
				t.Errorf("%d at %s %.300s", status, at, body)
			}
			if all := accounts(t, n); len(all) != 0 {
				t.Errorf("%d accounts were made", len(all))
			}
			if _, _, at := v.do("GET", "/account", nil); at != "/signin" {
				t.Errorf("somebody is signed in at %s", at)
			}
		})
	}
}

func unsigned(b []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(b) + "."
}

func changed(token string) string {
	parts := strings.Split(token, ".")
	b, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(b), `"sub":"s-1"`, `"sub":"s-9"`, 1)))
	return strings.Join(parts, ".")
}

// An answer is taken once, and by the browser that asked alone.
func TestProviderReplay(t *testing.T) { eachDatabase(t, providerReplay) }

func providerReplay(t *testing.T, database string) {
	u := newUniversity(t)
	_, base := enrolled(t, database, u)
	v := visit(t, base)
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	get := func(v *visitor, address string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		resp, err := v.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	resp := get(v, base+"/signin/provider")
	kept := resp.Cookies()
	back := get(v, get(v, resp.Header.Get("Location")).Request.URL.String()).Header.Get("Location")
	if resp := get(visit(t, base), back); resp.StatusCode != 403 {
		t.Errorf("another browser with that answer: %d", resp.StatusCode)
	}
	if u.exchange != 0 {
		t.Error("a stranger's answer reaches the provider")
	}
	if resp := get(v, back); resp.StatusCode != 303 || resp.Header.Get("Location") != "/account" {
		t.Fatalf("%d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp := get(v, back); resp.StatusCode == 303 && resp.Header.Get("Location") == "/account" {
		t.Error("an answer is taken again")
	}
	// With the cookie as it was before, and a provider that takes its codes twice.
	again := visit(t, base)
	at, _ := url.Parse(base)
	again.client.Jar.SetCookies(at, kept)
	b, _ := url.Parse(back)
	u.set(func() {
		first, err := url.Parse(resp.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		u.given[b.Query().Get("code")] = first.Query()
	})
	again.client.CheckRedirect = v.client.CheckRedirect
	if resp := get(again, back); resp.StatusCode != 403 {
		t.Errorf("an answer with its state again: %d", resp.StatusCode)
	}
}

var goTo = regexp.MustCompile(`<a class="btn pri big" href="(http[^"]+)"`)

// follow presses the link that leads to the provider.
func follow(v *visitor, body string) (int, string, string) {
	v.t.Helper()
	address := html.UnescapeString(shown(v.t, goTo, body))
	r, err := http.NewRequestWithContext(v.t.Context(), "GET", address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		k, err := resp.Body.Read(buf)
		b.Write(buf[:k])
		if err != nil {
			break
		}
	}
	return resp.StatusCode, b.String(), resp.Request.URL.Path
}

// An account takes an identity, keeps it for itself, and gives it up; an invitation can be taken up by one.
func TestProviderLinks(t *testing.T) { eachDatabase(t, providerLinks) }

func providerLinks(t *testing.T, database string) {
	u := newUniversity(t)
	n, base := enrolled(t, database, u)
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	come := func(name string) (*visitor, identity.Account) {
		a, link, err := n.SignIn.Invite(t.Context(), boss, name, []policy.Grant{{Role: policy.Researcher, Collection: "default"}}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link.Reveal()}})
		return v, a
	}
	one, a := come("One")
	_, body, _ := one.do("POST", "/account/provider", url.Values{})
	if status, body, at := follow(one, body); status != 200 || at != "/account" || !strings.Contains(body, "it calls you") {
		t.Fatalf("%d at %s %.500s", status, at, body)
	}
	again := visit(t, base)
	if _, _, at := again.do("GET", "/signin/provider?next=/help", nil); at != "/help" {
		t.Errorf("the linked identity led to %s", at)
	}
	if _, body, _ := again.do("GET", "/account", nil); !strings.Contains(body, a.ID) {
		t.Error("it signs in to another account")
	}
	two, _ := come("Two")
	_, body, _ = two.do("POST", "/account/provider", url.Values{})
	if status, body, _ := follow(two, body); status != 409 || !strings.Contains(body, "has an account here already") {
		t.Errorf("somebody else's identity: %d %.300s", status, body)
	}
	if status, _, _ := two.do("POST", "/account/provider/remove", url.Values{"issuer": {u.at.URL}, "subject": {"s-1"}}); status != 404 {
		t.Errorf("unlinking somebody else's: %d", status)
	}
	if _, body, at := one.do("POST", "/account/provider/remove", url.Values{"issuer": {u.at.URL}, "subject": {"s-1"}}); at != "/account" || strings.Contains(body, "it calls you") {
		t.Errorf("unlinking: at %s", at)
	}
	// Who signs out while the provider still has to answer does not link for whoever comes next.
	_, body, _ = one.do("POST", "/account/provider", url.Values{})
	one.do("POST", "/signout", url.Values{})
	if status, _, _ := follow(one, body); status != 403 {
		t.Errorf("linking for nobody: %d", status)
	}

	b, link, err := n.SignIn.Invite(t.Context(), boss, "Three", []policy.Grant{{Role: policy.Researcher, Collection: "default"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	three := visit(t, base)
	if _, body, _ := three.do("GET", "/signin/link?t="+link.Reveal(), nil); !strings.Contains(body, `formaction="/signin/provider"`) {
		t.Error("an invitation does not offer the provider")
	}
	u.set(func() { u.subject = "s-3" })
	_, body, _ = three.do("POST", "/signin/provider", url.Values{"t": {link.Reveal()}, "next": {"/help"}})
	if strings.Contains(body, link.Reveal()) {
		t.Error("the page shows the link's secret")
	}
	if status, _, at := follow(three, body); status != 200 || at != "/help" {
		t.Errorf("%d at %s", status, at)
	}
	if _, body, _ := three.do("GET", "/account", nil); !strings.Contains(body, b.ID) {
		t.Error("the invitation was not taken up")
	}
	if status, _, _ := visit(t, base).do("POST", "/signin/link", url.Values{"t": {link.Reveal()}}); status != 403 {
		t.Errorf("the invitation works again: %d", status)
	}
}

// Where it cannot be told whether an invited account has an app, the provider's word alone opens nothing.
func TestProviderInDoubt(t *testing.T) { eachDatabase(t, providerInDoubt) }

func providerInDoubt(t *testing.T, database string) {
	u := newUniversity(t)
	n, base := enrolled(t, database, u)
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	_, link, err := n.SignIn.Invite(t.Context(), boss, "One", []policy.Grant{{Role: policy.Researcher, Collection: "default"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`ALTER TABLE authenticator RENAME TO elsewhere`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	v := visit(t, base)
	_, body, _ := v.do("POST", "/signin/provider", url.Values{"t": {link.Reveal()}})
	if status, _, at := follow(v, body); status < 400 {
		t.Errorf("%d at %s", status, at)
	}
	if status, _, at := v.do("GET", "/questions", nil); status == 200 && at == "/questions" {
		t.Error("they are in")
	}
}

// Groups of the provider give and take the roles that stand for them, and touch no others.
func TestProviderGroups(t *testing.T) { eachDatabase(t, providerGroups) }

func providerGroups(t *testing.T, database string) {
	u := newUniversity(t)
	n, base := enrolled(t, database, u, "imaging=researcher@default", "wardens=steward")
	u.claims = map[string]any{"groups": []string{"wardens", "unknown"}}
	visit(t, base).do("GET", "/signin/provider", nil)
	a := accounts(t, n)[0]
	if len(a.Grants) != 1 || a.Grants[0] != (policy.Grant{Role: policy.Steward, Collection: policy.AllCollections}) {
		t.Fatalf("%+v", a.Grants)
	}
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	if err := n.SignIn.Grant(t.Context(), boss, a.ID, append(a.Grants, policy.Grant{Role: policy.Physicist, Collection: "default"})); err != nil {
		t.Fatal(err)
	}
	u.set(func() { u.claims = map[string]any{"groups": "imaging"} })
	visit(t, base).do("GET", "/signin/provider", nil)
	a = accounts(t, n)[0]
	if len(a.Grants) != 2 || a.Grants[0].Role != policy.Physicist || a.Grants[1].Role != policy.Researcher {
		t.Errorf("%+v", a.Grants)
	}
}

// A provider that is down keeps neither the node from starting nor anybody from signing in another way; and is asked again when it is back.
func TestProviderDown(t *testing.T) {
	u := newUniversity(t)
	u.down = true
	_, base := enrolled(t, "", u)
	v := visit(t, base)
	status, body, _ := v.do("GET", "/signin/provider", nil)
	if status != 503 || !strings.Contains(body, "Example University does not answer") || !strings.Contains(body, "Sign in with a passkey") {
		t.Errorf("%d %.300s", status, body)
	}
	u.set(func() { u.down = false })
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); ; {
		if status, _, at := v.do("GET", "/signin/provider", nil); status == 200 && at == "/account" {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it is back, and nobody gets in after 20 seconds")
		}
	}
}

// Who signs out is told that the provider may still know them, and where to change that.
func TestProviderSignOut(t *testing.T) { eachDatabase(t, providerSignOut) }

func providerSignOut(t *testing.T, database string) {
	u := newUniversity(t)
	u.end = true
	_, base := enrolled(t, database, u)
	v := visit(t, base)
	v.do("GET", "/signin/provider", nil)
	_, body, at := v.do("POST", "/signout", url.Values{})
	if at != "/signedout" || !strings.Contains(body, "Sign out of Example University too") || !strings.Contains(body, u.at.URL+"/logout?client_id="+clientID) {
		t.Errorf("at %s %.300s", at, body)
	}
	if _, body, _ := v.do("GET", "/signedout", nil); strings.Contains(body, "/logout") {
		t.Error("it is said twice")
	}
	if _, _, at := v.do("GET", "/account", nil); at != "/signin" {
		t.Errorf("still in: %s", at)
	}
}

// A provider that cannot be one is a mistake in the configuration.
func TestProviderCheck(t *testing.T) {
	for _, p := range []signin.Provider{{}, {Issuer: "https://u.example"}, {Issuer: "http://u.example", ClientID: "x"}, {Issuer: "https://u.example?x=1", ClientID: "x"}, {Issuer: "ftp://localhost", ClientID: "x"},
		{Issuer: "https://u@u.example", ClientID: "x"}, {Issuer: "http://10.0.0.1", ClientID: "x"}} {
		if err := p.Check(); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	for _, p := range []signin.Provider{{Issuer: "https://u.example/realms/x", ClientID: "x"}, {Issuer: "http://127.0.0.1:1", ClientID: "x"}, {Issuer: "http://localhost:1", ClientID: "x"}} {
		if err := p.Check(); err != nil || p.Name == "" {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, s := range []string{"", "=researcher", "g", "g=king", "g=researcher@", "g=anonymous"} {
		if _, err := signin.ParseRoleFor(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if r, err := signin.ParseRoleFor("cn=a=researcher@trial"); err != nil || r.Value != "cn=a" || r.Grant.Collection != "trial" {
		t.Errorf("%+v %v", r, err)
	}
}
