package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// variable is a part of a path that stands for something.
var variable = regexp.MustCompile(`\{\w+\}`)

type rig struct {
	t      testing.TB
	n      *node.Node
	tokens map[string]string
}

func start(t testing.TB, database string) *rig {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	return &rig{t, n, map[string]string{}}
}

func each(t *testing.T, test func(t *testing.T, x *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, "")) })
	t.Run("postgresql", func(t *testing.T) { test(t, start(t, dbtest.PostgresURL(t))) })
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.t.Helper()
	if err := x.n.Stores.DB.Write(x.t.Context(), fn); err != nil {
		x.t.Fatal(err)
	}
}

func (x *rig) token(role policy.Role, c string) string {
	x.t.Helper()
	if role == policy.Anonymous {
		return ""
	}
	k := role.String() + "@" + c
	if x.tokens[k] == "" {
		s, err := identity.NewSecret()
		if err != nil {
			x.t.Fatal(err)
		}
		x.write(func(tx *db.Tx) error {
			_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: k, Role: role, Collection: c})
			return err
		})
		x.tokens[k] = s.Reveal()
	}
	return x.tokens[k]
}

func (x *rig) do(method, path, token, kind, body string) (int, []byte, http.Header) {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), method, "http://"+x.n.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	return resp.StatusCode, b, resp.Header
}

// json asks and reads the answer; it fails the test where the status is another.
func (x *rig) json(method, path, token, body string, want int, into any) {
	x.t.Helper()
	kind := ""
	if body != "" {
		kind = "application/json"
	}
	code, b, h := x.do(method, path, token, kind, body)
	if code != want {
		x.t.Fatalf("%s %s: status %d, want %d: %s", method, path, code, want, b)
	}
	if want >= 400 {
		var p struct{ Title, Detail, Advice string }
		if h.Get("Content-Type") != "application/problem+json" || json.Unmarshal(b, &p) != nil || p.Title == "" || p.Detail == "" || p.Advice == "" {
			x.t.Errorf("%s %s: no problem details: %s", method, path, b)
		}
		return
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			x.t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
}

// Every route, every role, in its own collection and in another: as docs/policy.md has it.
func TestWhoMayAskWhat(t *testing.T) {
	all := []policy.Role{policy.Anonymous, policy.Depositor, policy.Researcher, policy.Physicist, policy.Custodian, policy.Committee, policy.Funder, policy.Steward, policy.Admin, policy.Gateway, policy.SiteGateway}
	node := func(roles ...policy.Role) func(policy.Role, string) bool { // with a grant for all collections
		return func(r policy.Role, at string) bool { return at == policy.AllCollections && slices.Contains(roles, r) }
	}
	in := func(roles ...policy.Role) func(policy.Role, string) bool { // with a grant for the collection
		return func(r policy.Role, at string) bool { return at != "other" && slices.Contains(roles, r) }
	}
	known := func(r policy.Role, _ string) bool { return r != policy.Anonymous }
	confirmers := func(r policy.Role, _ string) bool {
		return r == policy.Custodian || r == policy.Steward || r == policy.Admin
	}
	never := func(policy.Role, string) bool { return false }
	writers := []policy.Role{policy.Custodian, policy.Steward, policy.Admin}
	entry := directorytest.Minimal()
	entry.Holding, entry.Collection = directory.Here, "default"
	document, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	described := string(document)
	routes := []struct {
		method, path, body string
		may                func(role policy.Role, at string) bool
		ok                 int
		public             bool
	}{
		{"GET", "/healthz", "", nil, 200, true},
		{"GET", "/readyz", "", nil, 200, true},
		{"GET", "/metrics", "", nil, 200, true},
		{"GET", "/api/openapi.json", "", nil, 200, true},
		{"GET", "/api/collections", "", nil, 200, true},
		{"GET", "/api/collections/default", "", nil, 200, true},
		{"GET", "/api/collections/default/intake", "", in(policy.Depositor, policy.Physicist, policy.Custodian, policy.Steward, policy.Admin), 200, false},
		{"GET", "/api/deposits?collection=default", "", in(policy.Depositor, policy.Steward), 200, false},
		{"GET", "/api/held?collection=default", "", in(policy.Steward), 200, false},
		{"GET", "/api/held/1", "", in(policy.Steward), 404, false},
		{"GET", "/api/collections/default/held", "", in(policy.Steward), 200, false},
		{"GET", "/api/collections/default/risk?k=3", "", in(policy.Steward, policy.Admin), 200, false},
		{"GET", "/api/deposits/1/report", "", known, 404, false},
		{"POST", "/api/collections/default/statements", "", in(policy.Steward, policy.Admin), 201, false},
		{"GET", "/api/collections/default/pulls", "", in(policy.Steward, policy.Admin), 200, false},
		{"POST", "/api/collections/default/pulls", `{"peer": "NOWHERE", "accessions": ["1"]}`, in(policy.Steward, policy.Admin), 400, false},
		{"GET", "/api/collections/default/pulls/pull-1", "", in(policy.Steward, policy.Admin), 404, false},
		{"PATCH", "/api/collections/default/pulls/pull-1", `{"state": "paused"}`, in(policy.Steward, policy.Admin), 404, false},
		{"GET", "/api/collections/default/pulls/pull-1/fates", "", in(policy.Steward, policy.Admin), 404, false},
		{"POST", "/api/tickets", `{"days": 1}`, never, 201, false},
		{"GET", "/api/datasets", "", nil, 200, true},
		{"POST", "/api/datasets", `{"id": "made-%d", "collection": "default", "about": {"title": "T", "abstract": "A."}}`, in(policy.Steward, policy.Custodian), 201, false},
		{"GET", "/api/datasets/none", "", nil, 404, true},
		{"PUT", "/api/datasets/none", `{"title": "T", "abstract": "A."}`, known, 404, false},
		{"GET", "/api/datasets/none/comparison", "", known, 404, false},
		{"POST", "/api/datasets/none/releases", `{}`, known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0", "", nil, 404, true},
		{"POST", "/api/datasets/none/releases/1.0.0/publication", "", known, 404, false},
		{"DELETE", "/api/datasets/none/releases/1.0.0", "", known, 404, false},
		{"POST", "/api/datasets/none/releases/1.0.0/tombstone", `{"code": "error", "reason": "x"}`, known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/decision", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/croissant", "", nil, 404, true},
		{"GET", "/api/datasets/none/releases/1.0.0/ro-crate", "", nil, 404, true},
		{"GET", "/api/datasets/none/releases/1.0.0/datacite", "", nil, 404, true},
		{"GET", "/api/datasets/none/releases/1.0.0/schema.org", "", nil, 404, true},
		{"GET", "/api/datasets/none/releases/1.0.0/citation.cff", "", nil, 404, true},
		{"GET", "/api/datasets/none/releases/1.0.0/manifest", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/instances.csv", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/instances.parquet", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/series.csv", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/series.parquet", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/tcia", "", known, 404, false},
		{"GET", "/api/datasets/none/releases/1.0.0/s5cmd", "", known, 404, false},
		{"GET", "/api/collections/default/consent", "", in(policy.Depositor, policy.Steward, policy.Custodian), 200, false},
		{"POST", "/api/collections/default/consent", `{"whom": {"patient": "N0NE"}, "grants": ["research"]}`, in(policy.Depositor, policy.Steward), 201, false},
		{"POST", "/api/collections/default/consent", `{"whom": {"patient": "N0NE-2"}, "withdrawal": "collection"}`, in(policy.Depositor, policy.Steward), 201, false},
		{"POST", "/api/collections/default/consent/person", `{"patient": "N0NE"}`, in(policy.Depositor, policy.Steward, policy.Custodian), 201, false},
		{"POST", "/api/collections/default/consent/person", `{"pseudonym": "N0NE"}`, in(policy.Steward, policy.Custodian), 404, false},
		{"POST", "/api/collections/default/consent/table", "patient_id,date,grants", in(policy.Depositor, policy.Steward), 201, false},
		{"GET", "/api/collections/default/consent/forms", "", nil, 200, true},
		{"POST", "/api/collections/default/consent/forms", `{"name": "main", "version": "1", "title": "Main", "clauses": [{"id": "a", "text": "A.", "grants": ["research"]}]}`, in(policy.Steward, policy.Custodian), 201, false},
		{"GET", "/api/collections/default/consent/bases", "", in(policy.Steward, policy.Custodian), 200, false},
		{"POST", "/api/collections/default/consent/bases", `{"kind": "consent"}`, in(policy.Steward, policy.Custodian), 201, false},
		{"DELETE", "/api/collections/default/consent/bases/1", "", in(policy.Steward, policy.Custodian), 404, false},
		{"POST", "/api/collections/default/consent/opt-outs", "0NE", in(policy.Steward, policy.Custodian), 201, false},
		{"GET", "/api/collections/default/withdrawals", "", in(policy.Steward, policy.Custodian), 200, false},
		{"POST", "/api/collections/default/withdrawals/1/certificate", "", in(policy.Depositor, policy.Steward), 404, false},
		{"POST", "/api/collections/default/withdrawals/1/erase", "", in(policy.Steward), 404, false},
		{"GET", "/api/collections/default/links", "", in(policy.Steward, policy.Admin), 200, false},
		{"POST", "/api/collections/default/links", `{"label": "a disc", "for": "someone@example.org"}`, in(policy.Steward, policy.Admin), 201, false},
		{"DELETE", "/api/collections/default/links/link-0123456789abcdef", "", in(policy.Steward, policy.Admin), 404, false},
		{"GET", "/api/collections/default/profiles", "", in(policy.Steward, policy.Admin), 200, false},
		{"GET", "/api/gateway", "", func(r policy.Role, at string) bool {
			return (r == policy.Steward) || r == policy.Admin && at == policy.AllCollections
		}, 404, false},
		{"GET", "/api/collections/default/gateway", "", in(policy.Gateway, policy.SiteGateway), 200, false},
		{"POST", "/api/collections/default/gateway/secret", "", in(policy.Gateway), 201, false},
		{"PUT", "/api/collections/default/profile", "{}", in(policy.Steward, policy.Admin), 415, false},
		{"POST", "/api/collections/default/held/accept", `{"items": ["1"]}`, in(policy.Steward), 201, false},
		{"POST", "/api/collections/default/held/paint", `{"items": ["1"]}`, in(policy.Steward), 503, false},
		{"POST", "/api/collections/default/held/restrict", `{"items": ["1"]}`, in(policy.Steward), 201, false},
		{"POST", "/api/collections/default/held/refuse", `{"items": ["1"]}`, in(policy.Steward), 201, false},
		{"GET", "/api/collections/default/held/alike", "", in(policy.Steward), 200, false},
		{"GET", "/api/collections/default/held/alike/1", "", in(policy.Steward), 404, false},
		{"GET", "/api/collections/default/rulings", "", in(policy.Steward), 200, false},
		{"POST", "/api/collections/default/rulings", `{"layout": "1", "action": "refuse"}`, in(policy.Steward), 404, false},
		{"POST", "/api/collections/default/rulings/99/end", `{}`, in(policy.Steward), 404, false},
		{"GET", "/api/collections/default/rulings/99/text", "", in(policy.Steward), 404, false},
		{"POST", "/api/collections/default/rulings/identifier", `{"text": "x"}`, in(policy.Steward), 400, false},
		{"GET", "/api/collections/default/texts", "", in(policy.Steward), 200, false},
		{"POST", "/api/collections/default/texts", `{}`, in(policy.Steward), 201, false},
		{"POST", "/api/collections/default/releases", "{}", in(policy.Steward), 201, false},
		{"PATCH", "/api/collections/default", `{"no_automatic_acceptance": true}`, in(policy.Steward, policy.Admin), 200, false},
		{"POST", "/api/collections", `{"id":"made-%d"}`, node(policy.Steward, policy.Admin), 201, false},
		{"GET", "/api/tokens", "", node(policy.Admin), 200, false},
		{"POST", "/api/tokens", `{"name":"n","role":"researcher","collection":"default"}`, node(policy.Admin), 201, false},
		{"DELETE", "/api/tokens/token-0000000000000000", "", node(policy.Admin), 404, false},
		{"POST", "/api/ssh-keys", `{"collection":"default","name":"n","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%06d"}`, node(policy.Admin), 201, false},
		{"GET", "/api/peers", "", node(policy.Admin), 200, false},
		{"POST", "/api/peers", `{"aet":"PEER%d","host":"127.0.0.1","port":104,"may":"store","collection":"default"}`, node(policy.Admin), 201, false},
		{"PUT", "/api/peers/NOBODY/limits", `{"associations": 2}`, node(policy.Admin), 404, false},
		{"DELETE", "/api/peers/NOBODY", "", node(policy.Admin), 404, false},
		{"GET", "/api/forwards", "", node(policy.Admin), 200, false},
		{"POST", "/api/forwards", `{"aet":"NOBODY","collection":"default"}`, node(policy.Admin), 404, false},
		{"GET", "/api/forwards/withdrawn", "", node(policy.Admin), 200, false},
		{"POST", "/api/forwards/default/NOBODY/told", "", node(policy.Admin), 404, false},
		{"DELETE", "/api/forwards/default/NOBODY", "", node(policy.Admin), 404, false},
		{"GET", "/api/people", "", node(policy.Admin), 200, false},
		{"POST", "/api/people", `{"name":"n","roles":[{"role":"researcher","collection":"default"}],"by":"code"}`, node(policy.Admin), 201, false},
		{"GET", "/api/people/person-0000000000000000", "", node(policy.Admin), 404, false},
		{"PATCH", "/api/people/person-0000000000000000", `{"disabled":true}`, node(policy.Admin), 404, false},
		{"POST", "/api/people/person-0000000000000000/links", "", node(policy.Admin), 404, false},
		{"POST", "/api/people/person-0000000000000000/codes", "", node(policy.Admin), 404, false},
		{"GET", "/api/person", "", never, 200, false}, // of a token there is none
		{"PUT", "/api/person", `{"organisation":"x"}`, never, 200, false},
		{"GET", "/api/people/due", "", confirmers, 200, false},
		{"GET", "/api/people/person-0000000000000000/affiliation", "", confirmers, 404, false},
		{"POST", "/api/people/person-0000000000000000/affiliation", `{"organisation":"x"}`, confirmers, 404, false},
		{"GET", "/api/audit", "", node(policy.Custodian, policy.Steward, policy.Admin), 200, false},
		{"GET", "/api/search?q=x&sex=female", "", nil, 200, true},
		{"GET", "/api/directory", "", func(r policy.Role, _ string) bool { return r != policy.Anonymous }, 200, false},
		{"POST", "/api/directory/import?format=json&draft=true", described, func(r policy.Role, _ string) bool { return slices.Contains(writers, r) }, 201, false},
		{"PUT", "/api/directory/north", `{"entry":` + described + `}`, in(writers...), 200, false},
		{"GET", "/api/directory/north", "", nil, 0, true},
		{"PUT", "/api/directory/north/publication", "{}", in(writers...), 200, false},
		{"GET", "/api/directory/north/export?format=hdruk", "", nil, 0, true},
		{"GET", "/api/directory/north/use?for=health&organisation=non-profit", "", nil, 0, true},
		{"DELETE", "/api/directory/north/publication", "", in(writers...), 204, false},
		{"POST", "/api/directory/counts", "", node(policy.Admin), 201, false},
		{"GET", "/api/status", "", func(r policy.Role, _ string) bool { return r == policy.Steward || r == policy.Admin }, 200, false},
		{"GET", "/api/identity", "", known, 200, false}, // of a token there is none
		{"POST", "/api/identity", `{"collection":"default","subject":"P-1","reason":"a token asks with a reason that has more than ten words"}`, never, 201, false},
		{"GET", "/api/identity/1", "", known, 404, false},
		{"POST", "/api/identity/1/decision", `{"consent":true}`, known, 404, false},
		{"POST", "/api/identity/1/sight", "", known, 404, false},
		{"GET", "/api/requests", "", known, 200, false},
		{"POST", "/api/requests", `{"for":[{"collection":"default"}],"form":{"title":"A token asks"}}`, never, 201, false},
		{"GET", "/api/requests/1", "", known, 404, false},
		{"PUT", "/api/requests/1", `{"title":"x"}`, known, 404, false},
		{"DELETE", "/api/requests/1", "", known, 404, false},
		{"POST", "/api/requests/1/acts", `{"do":"approve"}`, known, 404, false},
		{"POST", "/api/requests/1/agreements", `{}`, known, 404, false},
		{"GET", "/api/agreements", "", known, 200, false},
		{"GET", "/api/agreements/1", "", known, 404, false},
		{"GET", "/api/agreements/1/document", "", known, 404, false},
		{"POST", "/api/agreements/1/acts", `{"do":"execute"}`, known, 404, false},
		{"POST", "/api/agreements/1/accept", "", known, 404, false},
		{"GET", "/api/entitlements", "", known, 200, false},
		{"GET", "/api/entitlements/1", "", known, 404, false},
		{"POST", "/api/entitlements/1/acts", `{"do":"revoke","text":"x"}`, known, 404, false},
		{"GET", "/api/recalls", "", known, 200, false},
		{"GET", "/api/recalls/mine", "", known, 200, false}, // of a token there is none
		{"GET", "/api/recalls/1", "", known, 404, false},
		{"GET", "/api/recalls/1/objects", "", known, 404, false},
		{"GET", "/api/recalls/1/attestation", "", known, 404, false},
		{"POST", "/api/recalls/1/acts", `{"do":"waive","text":"x"}`, known, 404, false},
		{"GET", "/api/register", "", nil, 200, true},
		{"GET", "/api/collections/default/lead-time", "", nil, 200, true},
		{"POST", "/api/audit/checkpoints", "", node(policy.Custodian, policy.Steward, policy.Admin), 201, false},
	}
	each(t, func(t *testing.T, x *rig) {
		x.write(func(tx *db.Tx) error {
			return x.n.Stores.Collections.Create(tx, collection.Collection{ID: "other", Title: "Other", Profile: "research", ProfileVersion: "1"})
		})
		var api struct{ Paths map[string]map[string]any }
		x.json("GET", "/api/openapi.json", "", "", 200, &api)
		covered := map[string]bool{}
		for _, r := range routes {
			p, _, _ := strings.Cut(r.path, "?")
			for _, v := range []string{"default", "link-0123456789abcdef", "pull-1", "token-0000000000000000", "person-0000000000000000", "NOBODY", "1.0.0", "1", "99", "north", "none"} {
				p = strings.ReplaceAll(p, "/"+v, "/{}")
			}
			covered[r.method+" "+p] = true
		}
		for p, ops := range api.Paths {
			for m := range ops {
				key := variable.ReplaceAllString(p, "{}")
				if k := strings.ToUpper(m) + " " + key; !covered[k] && k != "GET /api/deposits/{}" {
					t.Errorf("%s is described and not in this table", k)
				}
			}
		}
		n := 0
		for _, role := range all {
			for _, at := range []string{"default", policy.AllCollections, "other"} {
				if role.ForOneCollection() && at == policy.AllCollections {
					continue // no token is such
				}
				for _, r := range routes {
					n++
					body, kind := r.body, ""
					if strings.Contains(body, "%") {
						body = fmt.Sprintf(body, n)
					}
					if body != "" {
						kind = "application/json"
					}
					code, b, h := x.do(r.method, r.path, x.token(role, at), kind, body)
					what := fmt.Sprintf("%s@%s: %s %s: %d %.200s", role, at, r.method, r.path, code, b)
					switch {
					case r.public || role != policy.Anonymous && r.may(role, at):
						if r.ok != 0 && code != r.ok || code == 401 || code == 403 {
							t.Errorf("%s, want %d", what, r.ok)
						}
					case role == policy.Anonymous:
						if code != 401 || h.Get("WWW-Authenticate") == "" {
							t.Errorf("%s, want 401", what)
						}
					case code != 403 && code != 404:
						t.Errorf("%s, want a refusal", what)
					}
					if code >= 400 && h.Get("Content-Type") != "application/problem+json" {
						t.Errorf("%s: no problem details", what)
					}
				}
			}
		}
	})
}

// until asks again and again, for what happens behind an answer.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

type intake struct{ Received, Pending, Catalogued, Held, Refused int64 }

// A deposit's way over HTTP alone: collection, tokens, deposit, fate, release, and what each may see of it.
func TestManagedOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		admin := x.token(policy.Admin, policy.AllCollections)
		var c struct {
			ID, Profile, State string
			AttestedBy         string `json:"attested_by"`
		}
		x.json("POST", "/api/collections", admin, `{"id":"breast","title":"Breast","profile":"as-deposited","aet":"BREAST"}`, 201, &c)
		if c.ID != "breast" || c.Profile != "as-deposited" || c.State != "open" || c.AttestedBy == "" {
			t.Errorf("made as %+v", c)
		}
		var seen map[string]any
		x.json("GET", "/api/collections/breast", "", "", 200, &seen)
		if len(seen) != 2 || seen["title"] != "Breast" {
			t.Errorf("anonymous sees %v", seen)
		}
		secret := func(role string) string {
			var k struct{ Token, ID string }
			x.json("POST", "/api/tokens", admin, `{"name":"t","role":"`+role+`","collection":"breast"}`, 201, &k)
			if k.Token == "" || k.ID == "" {
				t.Fatal("no token")
			}
			return k.Token
		}
		depositor, second, steward, researcher := secret("depositor"), secret("depositor"), secret("steward"), secret("researcher")
		body := "--b\r\nContent-Type: application/dicom\r\n\r\n" + string(oneSample(t)) + "\r\n--b\r\nContent-Type: application/dicom\r\n\r\nnothing\r\n--b--"
		code, b, _ := x.do("POST", "/collections/breast/dicomweb/studies", depositor, `multipart/related; type="application/dicom"; boundary=b`, body)
		if code != 202 {
			t.Fatalf("status %d: %s", code, b)
		}
		var n intake
		until(t, "admission", func() bool {
			x.json("GET", "/api/collections/breast/intake", depositor, "", 200, &n)
			return n.Pending == 0 && n.Received == 2
		})
		if n != (intake{2, 0, 1, 0, 1}) {
			t.Errorf("%+v", n)
		}
		type deposit struct {
			ID, Door string
			Counts   intake
			Items    []struct {
				Item    int64
				Outcome string
				Reasons []struct{ Code string }
			}
		}
		var mine, others []deposit
		x.json("GET", "/api/deposits?collection=breast", depositor, "", 200, &mine)
		x.json("GET", "/api/deposits?collection=breast", second, "", 200, &others)
		if len(mine) != 1 || len(others) != 0 {
			t.Fatalf("%d of one's own, %d of another's", len(mine), len(others))
		}
		var fate deposit
		x.json("GET", "/api/deposits/"+mine[0].ID, depositor, "", 200, &fate)
		if len(fate.Items) != 1 || fate.Items[0].Outcome != "refused" || fate.Items[0].Item != 2 || fate.Items[0].Reasons[0].Code != "not-dicom" {
			t.Errorf("%+v", fate)
		}
		x.json("GET", "/api/deposits/"+mine[0].ID, steward, "", 200, &fate)
		for _, other := range []string{second, researcher, x.token(policy.Steward, "default")} {
			x.json("GET", "/api/deposits/"+mine[0].ID, other, "", 404, nil)
		}
		x.json("GET", "/api/deposits/nonsense", depositor, "", 404, nil)
		x.json("GET", "/api/deposits?collection=breast&limit=many", depositor, "", 400, nil)

		find := func() int {
			_, b, _ := x.do("GET", "/dicomweb/studies", researcher, "", "")
			var rows []any
			if err := json.Unmarshal(b, &rows); err != nil {
				t.Fatal(err)
			}
			return len(rows)
		}
		if find() != 0 {
			t.Error("a researcher finds what is not released")
		}
		var p struct{ Studies, Instances int64 }
		x.json("POST", "/api/collections/breast/releases", steward, `{}`, 201, &p)
		if p.Studies != 1 || p.Instances != 1 || find() != 1 {
			t.Errorf("released: %+v, found: %d", p, find())
		}
		x.json("POST", "/api/collections/breast/releases", steward, `{"study":"1.2.3"}`, 404, nil)

		var tokens []struct{ ID, Role, Token string }
		x.json("GET", "/api/tokens", admin, "", 200, &tokens)
		for _, k := range tokens {
			if k.Token != "" {
				t.Error("a secret is shown again")
			}
			if k.Role == "researcher" {
				x.json("DELETE", "/api/tokens/"+k.ID, admin, "", 204, nil)
			}
		}
		until(t, "revocation", func() bool {
			code, _, _ := x.do("GET", "/dicomweb/studies", researcher, "", "")
			return code == 401
		})
		x.json("POST", "/api/peers", admin, `{"aet":"CT1","host":"127.0.0.1","port":104,"may":"store,find","collection":"breast","certificate":"`+strings.Repeat("ab", 32)+`"}`, 201, nil)
		var peers []struct{ AET, May, Certificate string }
		x.json("GET", "/api/peers", admin, "", 200, &peers)
		if len(peers) != 1 || peers[0].May != "store,find" || peers[0].Certificate != strings.Repeat("ab", 32) {
			t.Errorf("%+v", peers)
		}
		var limited struct{ Associations, Transfers, Queries int }
		x.json("PUT", "/api/peers/CT1/limits", admin, `{"associations": 2, "queries": 50}`, 200, &limited)
		if limited.Associations != 2 || limited.Transfers != 0 || limited.Queries != 50 {
			t.Errorf("%+v", limited)
		}
		x.json("PUT", "/api/peers/CT1/limits", admin, `{"associations": -1}`, 400, nil)
		x.json("DELETE", "/api/peers/CT1", admin, "", 204, nil)
		var log struct {
			Size    int64
			Entries []struct{ Actor, Action string }
		}
		x.json("GET", "/api/audit?limit=500", admin, "", 200, &log)
		for _, want := range []string{"create collection", "create token", "deposit", "publish", "revoke token", "add peer", "remove peer"} {
			if !slices.ContainsFunc(log.Entries, func(e struct{ Actor, Action string }) bool { return e.Action == want }) {
				t.Errorf("the audit log does not tell of: %s", want)
			}
		}
		var note struct{ Note string }
		x.json("POST", "/api/audit/checkpoints", admin, "", 201, &note)
		if !strings.HasPrefix(note.Note, "vitrine") {
			t.Errorf("no signed note: %.40q", note.Note)
		}
	})
}

// What is wrong with a body is told without repeating it.
func TestBadBodies(t *testing.T) {
	x := start(t, "")
	admin := x.token(policy.Admin, policy.AllCollections)
	const secret = "Geheimnis-Geheimnis"
	for _, c := range []struct {
		path, kind, body string
		code             int
	}{
		{"/api/tokens", "text/plain", "{}", 415},
		{"/api/tokens", "", "{}", 415},
		{"/api/tokens", "application/json", "", 400},
		{"/api/tokens", "application/json", "{", 400},
		{"/api/tokens", "application/json", `{"nme":"` + secret + `"}`, 400},
		{"/api/tokens", "application/json", `{"name":["` + secret + `"]}`, 400},
		{"/api/tokens", "application/json", `{"name":"n","role":"` + secret + `","collection":"*"}`, 400},
		{"/api/tokens", "application/json", `{"name":"n","role":"admin","collection":"*"} {}`, 400},
		{"/api/tokens", "application/json", `{"name":"n","role":"admin","collection":"*","secret":"short"}`, 400},
		{"/api/tokens", "application/json", `{"name":"` + strings.Repeat("n", 70_000) + `"}`, 413},
		{"/api/peers", "application/json", `{"aet":"X","host":"h","port":104,"may":"everything","collection":"*"}`, 400},
		{"/api/peers", "application/json", `{"aet":"X","host":"h","port":104,"may":"store","collection":"*","certificate":"xyz"}`, 400},
		{"/api/collections", "application/json", `{"id":"No Good"}`, 400},
		{"/api/collections", "application/json", `{"id":"good","profile":"none"}`, 400},
		{"/api/collections", "application/json", `{"id":"default"}`, 409},
	} {
		code, b, h := x.do("POST", c.path, admin, c.kind, c.body)
		if code != c.code || h.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.60s: status %d, want %d: %s", c.path, c.body, code, c.code, b)
		}
		if strings.Contains(string(b), secret) {
			t.Errorf("the answer repeats the body: %s", b)
		}
	}
}

// Metrics tell of routes, never of what was asked for.
func TestMetricsAreSilent(t *testing.T) {
	x := start(t, "")
	x.do("GET", "/dicomweb/studies/1.2.3.4.5.6.7?PatientName=Geheimnis", x.token(policy.Steward, policy.AllCollections), "", "")
	x.do("GET", "/Geheimnis/1.2.3.4.5.6.7", "", "", "")
	code, b, _ := x.do("GET", "/metrics", "", "", "")
	if code != 200 || !strings.Contains(string(b), `vitrine_http_requests_total{route="GET /dicomweb/studies/{study}",status="404"} 1`) || !strings.Contains(string(b), `route="none"`) {
		t.Errorf("status %d: %.2000s", code, b)
	}
	if strings.Contains(string(b), "Geheimnis") || strings.Contains(string(b), "1.2.3.4.5.6.7") {
		t.Error("the metrics tell what was asked for")
	}
}

// oneSample is a file that the project's own generator makes.
func oneSample(t testing.TB) []byte {
	t.Helper()
	in, err := sample.SmallSet(1).Instance(0)
	if err != nil {
		t.Fatal(err)
	}
	return in.File()
}

// What the API takes of an entry is what it gives; a program that works with a revision that is no longer the newest hears of it.
func TestEntries(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		steward, researcher := x.token(policy.Steward, "default"), x.token(policy.Researcher, "default")
		entry := directorytest.Full().Entry
		entry.Holding, entry.Collection, entry.Declared = directory.Here, "default", nil
		put := func(base int, title string) string {
			entry.Title = title
			b, err := json.Marshal(map[string]any{"entry": entry, "base": base, "note": "by a program"})
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		var got struct {
			State               string
			Revision, Published int64
			Entry               directory.Entry
		}
		x.json("PUT", "/api/directory/north", steward, put(0, "First"), 200, &got)
		if got.State != "draft" || got.Revision != 1 || !reflect.DeepEqual(got.Entry, entry) {
			t.Errorf("%+v", got)
		}
		x.json("PUT", "/api/directory/north", steward, put(0, "Second"), 409, nil)
		x.json("PUT", "/api/directory/north", steward, put(1, "Second"), 200, nil)
		x.json("PUT", "/api/directory/north", steward, put(1, "Third"), 409, nil)
		x.json("PUT", "/api/directory/north", steward, `{"entry":{"holding":"here","titel":"x"}}`, 400, nil)
		x.json("PUT", "/api/directory/No_Id", steward, put(0, "First"), 404, nil)
		x.json("GET", "/api/directory/north", researcher, "", 404, nil)
		x.json("GET", "/api/directory/north", "", "", 404, nil)
		x.json("PUT", "/api/directory/north/publication", steward, `{"revision":1}`, 200, nil)
		x.json("GET", "/api/directory/north", "", "", 200, &got)
		if got.Entry.Title != "First" || got.Published != 1 {
			t.Errorf("%+v", got)
		}
		x.json("GET", "/api/directory/north", steward, "", 200, &got)
		if got.Entry.Title != "Second" {
			t.Errorf("who writes it sees %q", got.Entry.Title)
		}
		var found struct {
			Total, Page, Size int
			Hits              []struct{ Entry directory.Entry }
			Facets            []struct {
				Facet  string
				Values []struct {
					Value       string
					Collections int
				}
			}
		}
		x.json("GET", "/api/search?q=First&size=5", "", "", 200, &found)
		if found.Total != 1 || found.Page != 1 || found.Size != 5 || len(found.Hits) != 1 || found.Hits[0].Entry.Title != "First" || len(found.Facets) != len(directory.Facets) || found.Facets[0].Facet != "disease" ||
			len(found.Facets[0].Values) == 0 || found.Facets[0].Values[0].Collections != 1 {
			t.Errorf("%+v", found)
		}
		x.json("GET", "/api/search?q=Second", steward, "", 200, &found)
		if found.Total != 0 || found.Hits == nil {
			t.Errorf("a draft is found: %+v", found)
		}
		for _, wrong := range []string{"age=9-1", "page=0", "q=%00", "disease=C50", "size=101"} {
			x.json("GET", "/api/search?"+wrong, "", "", 400, nil)
		}
		code, b, h := x.do("GET", "/api/directory/north/export?format=dcat", "", "", "")
		if code != 200 || h.Get("Content-Type") != "application/ld+json" || !strings.Contains(string(b), "http://"+x.n.HTTPAddr()+"/directory/north") {
			t.Errorf("%d %s %.300s", code, h.Get("Content-Type"), b)
		}
		if code, b, _ := x.do("POST", "/api/directory/import?format=csv", steward, "text/csv", "title,modalities\n"+strings.Repeat("x", directory.MaxImport)); code != 413 {
			t.Errorf("a table without end: %d %.200s", code, b)
		}
		if code, b, _ := x.do("POST", "/api/directory/import?format=dcat", steward, "application/ld+json", strings.Repeat("[", 100_000)); code != 413 {
			t.Errorf("JSON without end: %d %.200s", code, b)
		}
		if code, b, _ := x.do("POST", "/api/directory/import?format=turtle", steward, "application/json", "{}"); code != 400 {
			t.Errorf("a format that is not read: %d %.200s", code, b)
		}
	})
}
