package drs_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/internal/base/datacite"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

var keeper = admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Steward, Collection: "*"}, {Role: policy.Custodian, Collection: "*"}, {Role: policy.Admin, Collection: "*"}}}

// world is a node with a release that one account may have, and a server in the place of DataCite.
type world struct {
	*testing.T
	n        *node.Node
	base     string
	token    string // of who is entitled
	stranger string
	registry *registry
}

// registry is what DataCite knows.
type registry struct {
	mu     sync.Mutex
	down   bool
	dois   map[string]string // their states
	bodies []map[string]any
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	doi := strings.TrimPrefix(q.URL.Path, "/dois/")
	if q.Method == http.MethodDelete {
		delete(r.dois, doi)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var v struct {
		Data struct {
			ID, Type   string
			Attributes map[string]any
		}
	}
	if err := json.NewDecoder(q.Body).Decode(&v); err != nil || q.Method != http.MethodPut || v.Data.ID != doi || v.Data.Type != "dois" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	state := r.dois[doi]
	if state == "" {
		state = "draft"
	}
	switch v.Data.Attributes["event"] {
	case "publish":
		state = "findable"
	case "register", "hide":
		state = "registered"
	}
	r.dois[doi] = state
	r.bodies = append(r.bodies, v.Data.Attributes)
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"id": doi, "type": "dois", "attributes": map[string]any{"state": state}}})
}

func (r *registry) state(doi string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dois[doi]
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, registry: &registry{dois: map[string]string{}}}
	s := httptest.NewServer(w.registry)
	t.Cleanup(s.Close)
	var err error
	w.n, err = node.New(t.Context(), node.Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0", PublicURL: "https://images.example.org", Log: slog.New(slog.DiscardHandler),
		DataCite: &datacite.Config{URL: s.URL, Prefix: "10.12345", Account: "NORTH.VITRINE", Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	var entitled string
	w.n.Releases.Facts = func(_ context.Context, account string, want access.Capability, of flow.ReleaseFacts) (access.Facts, []int64, error) {
		now := time.Now()
		f := access.Facts{Now: now, Read: now, Want: want,
			Person: access.Person{Active: true, Assurance: access.High, Affiliated: now, Trained: now.Add(time.Hour), TermsAgreed: true, Organisation: "north", Kind: datause.NonProfit, Countries: []string{"GB"}},
			Release: access.Release{Collection: string(of.Collection), Dataset: of.Dataset, Version: of.Version, State: of.State, Successor: of.Successor, Embargo: of.Embargo, Custodian: "keeper", Assurance: access.Low, Service: access.Downloaded,
				Policies: []datause.Policy{{Alternatives: []datause.Alternative{{Permission: "GRU"}}}}, Vocabulary: directory.Diseases{}}}
		if account == entitled {
			f.Grants = []access.Grant{{Project: "7", Purpose: datause.Purpose{Kind: datause.Health, Organisation: datause.NonProfit, Countries: []string{"GB"}, Download: true},
				Entitlement: access.Entitlement{State: access.Active, Collection: string(of.Collection), Versions: "*", Capability: access.Download, NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Hour)},
				Agreement:   access.Agreement{State: access.Executed, Organisations: []string{"north"}, Effective: now.Add(-time.Hour), Expires: now.Add(time.Hour), Accepted: true}, Duties: access.Duties{Checked: true}}}
		}
		return f, []int64{42}, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.base = "http://" + w.n.HTTPAddr()
	for _, to := range []*string{&w.token, &w.stranger} {
		secret, err := identity.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		err = w.n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			a, err := w.n.Stores.Identity.CreateToken(tx, secret, identity.Token{Name: "a program", Role: policy.Researcher, Collection: "default"})
			if *to = secret.Reveal(); to == &w.token {
				entitled = a.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	dep, err := w.n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "test")
	if err != nil {
		t.Fatal(err)
	}
	for s := range sample.Studies(1) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dep.Receive(t.Context(), custody.Incoming{Data: custody.FromReader(bytes.NewReader(in.File()))}); err != nil {
			t.Fatal(err)
		}
	}
	dep.End()
	if err := w.n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until("admitted", func() bool {
		c, err := w.n.Stores.Catalogue.Intake(t.Context(), collection.Default)
		return err == nil && c.Received > 0 && c.Pending == 0
	})
	if _, err := w.n.Consent.AddBasis(t.Context(), keeper, collection.Default, consent.Basis{Basis: judge.Basis{Kind: judge.Anonymised}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.n.Releases.Create(t.Context(), keeper, collection.Default, "north", flow.About{Title: "North", Abstract: "Everything.", Creators: []flow.Creator{{Name: "University of the North"}}}); err != nil {
		t.Fatal(err)
	}
	return w
}

// until waits for what happens in the background.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-late:
			w.Fatalf("not %s within 30 seconds", what)
		}
	}
}

func (w *world) freeze() flow.ReleaseView {
	w.Helper()
	v, err := w.n.Releases.Freeze(w.Context(), keeper, "north", flow.Freezing{Accept: "Researchers agree not to find out who anybody is"})
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) published() flow.ReleaseView {
	w.Helper()
	v := w.freeze()
	if _, err := w.n.Releases.Publish(w.Context(), keeper, "north", v.Version); err != nil {
		w.Fatal(err)
	}
	return v
}

// first is an object of a release.
func (w *world) first(version string) release.Entry {
	w.Helper()
	x, err := w.n.Releases.Releases.Get(w.Context(), "north", version)
	if err != nil {
		w.Fatal(err)
	}
	for e, err := range w.n.Releases.Releases.Entries(w.Context(), x.ID) {
		if err != nil {
			w.Fatal(err)
		}
		return e
	}
	w.Fatal("the release is empty")
	return release.Entry{}
}

type answer struct {
	code   int
	header http.Header
	body   []byte
	cut    bool
}

func (w *world) ask(method, path, token string, header ...string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.base+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b, err != nil}
}

const root = "/ga4gh/drs/v1"

// schema is one of DRS 1.5.0, as its specification has it.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	dir := filepath.Join(testdata.Shared(t), "schemas", "drs", "openapi", "components", "schemas")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(files{})
	s, err := c.Compile("file://" + filepath.ToSlash(filepath.Join(dir, name+".yaml")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type files struct{}

func (files) Load(address string) (any, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" {
		return nil, errors.New("another scheme")
	}
	b, err := os.ReadFile(filepath.FromSlash(u.Path))
	if err != nil {
		return nil, err
	}
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		return nil, err
	}
	b, err = json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

func holds(t *testing.T, name string, body []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t, name).Validate(v); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func TestObjects(t *testing.T) {
	w := start(t)
	v := w.published()
	e := w.first(v.Version)
	object := root + "/objects/" + e.DRS
	if a := w.ask("GET", root+"/service-info", ""); a.code != 200 || !strings.Contains(string(a.body), `"artifact":"drs"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
	t.Run("options", func(t *testing.T) {
		a := w.ask("OPTIONS", object, "")
		if a.code != 200 || !strings.Contains(string(a.body), "BearerAuth") {
			t.Errorf("%d %s", a.code, a.body)
		}
		holds(t, "Authorizations", a.body)
		// Whether there is such an object is told to nobody by that.
		if b := w.ask("OPTIONS", root+"/objects/"+strings.Repeat("0", 32), ""); b.code != a.code || len(b.body) != len(a.body) {
			t.Errorf("%d %s", b.code, b.body)
		}
	})
	t.Run("who is told", func(t *testing.T) {
		for _, c := range []struct {
			path, token string
			want        int
		}{
			{object, "", 401}, {object, "nobody's", 401}, {object, w.stranger, 403}, {object, w.token, 200},
			{object + "/access/file", "", 401}, {object + "/access/file", w.stranger, 403}, {object + "/access/other", w.token, 404}, {object + "/access/file", w.token, 200},
			{object + "/file", "", 401}, {object + "/file", w.stranger, 403}, {object + "/file", w.token, 200},
			{root + "/objects/" + strings.Repeat("0", 32), w.token, 404}, {root + "/objects/" + strings.Repeat("0", 32), w.stranger, 404},
		} {
			a := w.ask("GET", c.path, c.token)
			if a.code != c.want || c.token != "nobody's" && a.header.Get("Cache-Control") != "private, no-store" {
				t.Errorf("%s: %d %.200s, want %d", c.path, a.code, a.body, c.want)
			}
			if a.code >= 400 {
				holds(t, "Error", a.body)
				if a.code == 401 && !strings.Contains(a.header.Get("WWW-Authenticate"), "Bearer") {
					t.Error("it does not say which credential it wants")
				}
			}
		}
	})
	t.Run("object", func(t *testing.T) {
		a := w.ask("GET", object, w.token)
		holds(t, "DrsObject", a.body)
		var o struct {
			ID        string
			Size      int64
			SelfURI   string `json:"self_uri"`
			Checksums []struct{ Type, Checksum string }
		}
		if err := json.Unmarshal(a.body, &o); err != nil || o.ID != e.DRS || o.Size != e.Size || len(o.Checksums) != 1 || o.Checksums[0].Checksum != e.SHA256 || !strings.HasSuffix(o.SelfURI, "/"+e.DRS) || !strings.HasPrefix(o.SelfURI, "drs://") {
			t.Errorf("%s", a.body)
		}
		if strings.Contains(string(a.body), e.Entry.Subject) {
			t.Error("it tells the pseudonym")
		}
	})
	var whole []byte
	t.Run("bytes and ranges", func(t *testing.T) {
		a := w.ask("GET", object+"/file", w.token)
		if sum := sha256.Sum256(a.body); hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(a.body)) != e.Size || a.header.Get("Accept-Ranges") != "bytes" {
			t.Fatalf("%d bytes that are not those that were frozen", len(a.body))
		}
		whole = a.body
		tag, size := a.header.Get("ETag"), len(whole)
		for _, c := range []struct {
			header []string
			code   int
			from   int
		}{
			{[]string{"Range", "bytes=0-"}, 200, 0},
			{[]string{"Range", "bytes=1-"}, 206, 1},
			{[]string{"Range", "bytes=130-"}, 206, 130},
			{[]string{"Range", "bytes=700-", "If-Range", tag}, 206, 700},
			{[]string{"Range", "bytes=700-", "If-Range", `"another"`}, 200, 0},
			{[]string{"Range", "bytes=-5"}, 200, 0},
			{[]string{"Range", "bytes=1-2,4-5"}, 200, 0},
			{[]string{"Range", "rows=1-"}, 200, 0},
		} {
			a := w.ask("GET", object+"/file", w.token, c.header...)
			if a.code != c.code || a.cut || !bytes.Equal(a.body, whole[c.from:]) {
				t.Errorf("%v: %d with %d of %d bytes", c.header, a.code, len(a.body), size)
			}
		}
		last := w.ask("GET", object+"/file", w.token, "Range", "bytes="+num(size-1)+"-")
		if last.code != 206 || len(last.body) != 1 || last.header.Get("Content-Range") != "bytes "+num(size-1)+"-"+num(size-1)+"/"+num(size) {
			t.Errorf("%d %s", last.code, last.header.Get("Content-Range"))
		}
		if a := w.ask("GET", object+"/file", w.token, "Range", "bytes="+num(size)+"-"); a.code != 416 || a.header.Get("Content-Range") != "bytes */"+num(size) {
			t.Errorf("%d %s", a.code, a.header.Get("Content-Range"))
		}
	})
	t.Run("signed addresses", func(t *testing.T) {
		a := w.ask("GET", object+"/access/file", w.token)
		holds(t, "AccessURL", a.body)
		var v struct{ URL string }
		if err := json.Unmarshal(a.body, &v); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(v.URL)
		if err != nil {
			t.Fatal(err)
		}
		signed := u.Path + "?" + u.RawQuery
		if a := w.ask("GET", signed, ""); a.code != 200 || !bytes.Equal(a.body, whole) {
			t.Errorf("%d %.200s", a.code, a.body)
		}
		if a := w.ask("GET", signed, w.stranger, "Range", "bytes=9-"); a.code != 206 || !bytes.Equal(a.body, whole[9:]) {
			t.Errorf("%d", a.code)
		}
		var another string
		x, _ := w.n.Releases.Releases.Get(t.Context(), "north", "1.0.0")
		for e2, err := range w.n.Releases.Releases.Entries(t.Context(), x.ID) {
			if err == nil && e2.DRS != e.DRS {
				another = e2.DRS
			}
		}
		change := func(k, v string) string {
			q := u.Query()
			q.Set(k, v)
			return u.Path + "?" + q.Encode()
		}
		sig := u.Query().Get("sig")
		flipped := "A" + sig[1:]
		if sig[0] == 'A' {
			flipped = "B" + sig[1:]
		}
		for what, path := range map[string]string{"of another object": strings.Replace(signed, e.DRS, another, 1), "forged": change("sig", flipped), "no signature that could be": change("sig", "%%"), "for longer": change("until", "99999999999"), "over": change("until", "1"),
			"no time": change("until", "soon"), "for another": change("for", "b3BlcmF0b3I"), "for nobody": change("for", "")} {
			if a := w.ask("GET", path, ""); a.code != 403 && a.code != 401 || bytes.Contains(a.body, whole[:200]) {
				t.Errorf("%s: %d", what, a.code)
			}
		}
		// An address that the node did sign, and whose time is over.
		mac := func(until string) string {
			k := w.n.Stores.Ring.Root().Derive("signed addresses 1")
			h := hmac.New(sha256.New, k[:])
			who, err := base64.RawURLEncoding.DecodeString(u.Query().Get("for"))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{e.DRS, string(who), until} {
				h.Write(append([]byte(s), 0))
			}
			return object + "/file?" + url.Values{"for": {u.Query().Get("for")}, "until": {until}, "sig": {base64.RawURLEncoding.EncodeToString(h.Sum(nil))}}.Encode()
		}
		now := time.Now().Unix()
		if a := w.ask("GET", mac(num(int(now)+60)), ""); a.code != 200 {
			t.Errorf("the test signs otherwise than the node: %d", a.code)
		}
		if a := w.ask("GET", mac(num(int(now)-1)), ""); a.code != 403 {
			t.Errorf("an address whose time is over: %d", a.code)
		}
		over := w.n.Releases.Sign(admin.Caller{Actor: "token-0000000000000000"}, e.DRS) // of who may not have it
		if a := w.ask("GET", object+"/file?"+over, ""); a.code != 403 {
			t.Errorf("an address that was signed for who may not have it: %d", a.code)
		}
	})
	t.Run("gone", func(t *testing.T) {
		if _, err := w.n.Releases.Bury(t.Context(), keeper, "north", v.Version, "error", "A mistake was made"); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{object, object + "/access/file", object + "/file"} {
			a := w.ask("GET", path, w.token)
			if a.code != 410 {
				t.Errorf("%s: %d %.200s", path, a.code, a.body)
			}
			holds(t, "Error", a.body)
		}
	})
	t.Run("draft", func(t *testing.T) {
		draft := w.freeze()
		if a := w.ask("GET", root+"/objects/"+w.first(draft.Version).DRS, w.token); a.code == 200 {
			t.Error("an object of a draft is given")
		}
	})
}

func num(n int) string { return string(mustJSON(n)) }

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// A draft's DOI is reserved, what is published is found, what was taken back is found no more, and what was discarded is forgotten; a registry that does not answer holds nothing up.
func TestDOIs(t *testing.T) {
	w := start(t)
	get := func(version string) flow.ReleaseView {
		v, err := w.n.Releases.Release(t.Context(), keeper, "north", version)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := w.freeze()
	w.until("reserved", func() bool { return get(first.Version).DOI != "" })
	doi := get(first.Version).DOI
	if !regexp.MustCompile(`^10\.12345/[0-9a-v]{13}$`).MatchString(doi) || w.registry.state(doi) != "draft" || get(first.Version).Registered {
		t.Errorf("%s is %s", doi, w.registry.state(doi))
	}
	if err := w.n.Releases.Discard(t.Context(), keeper, "north", first.Version); err != nil {
		t.Fatal(err)
	}
	w.until("forgotten", func() bool { return w.registry.state(doi) == "" })
	first = w.published()
	w.until("registered", func() bool { return get(first.Version).Registered })
	doi = get(first.Version).DOI
	second := w.published()
	w.until("registered", func() bool { return get(second.Version).Registered })
	last := func(doi string) (all map[string]any) {
		w.registry.mu.Lock()
		defer w.registry.mu.Unlock()
		for _, b := range w.registry.bodies {
			if b["doi"] == doi {
				all = b
			}
		}
		return all
	}
	w.until("told what took its place", func() bool { return strings.Contains(string(mustJSON(last(doi))), "IsPreviousVersionOf") })
	if _, err := w.n.Releases.Bury(t.Context(), keeper, "north", second.Version, "error", "A mistake was made"); err != nil {
		t.Fatal(err)
	}
	gone := get(second.Version).DOI
	w.until("hidden", func() bool { return w.registry.state(gone) == "registered" })
	if b := last(gone); b["event"] != "hide" || !strings.Contains(string(mustJSON(b)), "Withdrawn") || !strings.HasPrefix(b["url"].(string), "https://images.example.org/datasets/north/") {
		t.Errorf("%s", mustJSON(b))
	}
	if !get(second.Version).Registered {
		t.Error("the DOI of what was taken back resolves no more")
	}
	w.registry.mu.Lock()
	w.registry.down = true
	w.registry.mu.Unlock()
	third := w.published()
	if v := get(third.Version); v.State != "published" || v.DOI != "" {
		t.Errorf("%+v", v)
	}
	t.Run("schema", func(t *testing.T) {
		dir := filepath.Join(testdata.Shared(t), "schemas", "datacite")
		c := jsonschema.NewCompiler()
		c.UseLoader(files{})
		s, err := c.Compile("file://" + filepath.ToSlash(filepath.Join(dir, "datacite-v4.5.json")))
		if err != nil {
			t.Fatal(err)
		}
		w.registry.mu.Lock()
		defer w.registry.mu.Unlock()
		for _, b := range w.registry.bodies {
			delete(b, "event") // the API's own
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(mustJSON(b)))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); err != nil {
				t.Errorf("%v", err)
			}
		}
		if len(w.registry.bodies) < 5 {
			t.Errorf("only %d were told", len(w.registry.bodies))
		}
	})
}
