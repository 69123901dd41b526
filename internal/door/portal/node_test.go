package portal_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// visitor is a browser at a running node.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

func visit(t *testing.T, base string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t, base, &http.Client{Jar: jar, Transport: &http.Transport{}}}
	t.Cleanup(v.client.CloseIdleConnections)
	return v
}

func (v *visitor) do(method, path string, form url.Values, header ...string) (int, string, string) {
	v.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Request.URL.Path
}

// samples are a few instances of each kind of study; they are drawn once, which takes longer than a node takes to start.
var samples = sync.OnceValues(func() ([][]byte, error) {
	var files [][]byte
	kinds := map[string]bool{}
	for s := range sample.Studies(1) {
		if kinds[s.Kind] {
			continue
		}
		kinds[s.Kind] = true
		for _, i := range slices.Compact([]int{0, min(1, s.Len()-1), s.Len() - 1}) { // the last belongs to another series, where there are two
			in, err := s.Instance(i)
			if err != nil {
				return nil, err
			}
			files = append(files, in.File())
		}
	}
	return files, nil
})

// start runs a demonstration with a few images and gives its address and the link of its steward.
func start(t *testing.T, database string) (n *node.Node, base, link string) {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0", Documents: documentReader(t), Video: videoWorker(t)})
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
	dep, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "test")
	if err != nil {
		t.Fatal(err)
	}
	files, err := samples()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, err := dep.Receive(t.Context(), custody.Incoming{Data: custody.FromReader(bytes.NewReader(f))}); err != nil {
			t.Fatal(err)
		}
	}
	dep.End()
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		c, err := n.Stores.Catalogue.Intake(t.Context(), collection.Default)
		if err != nil {
			t.Fatal(err)
		}
		if c.Received > 0 && c.Pending == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not admitted within 30 seconds")
		}
	}
	var out bytes.Buffer
	if err := n.Welcome(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(out.String(), "open ")))
	if err != nil || u.Query().Get("t") == "" {
		t.Fatalf("%v %s", err, out.String())
	}
	return n, "http://" + n.HTTPAddr(), u.Query().Get("t")
}

func each(t *testing.T, test func(t *testing.T, n *node.Node, base, link string)) {
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			address := ""
			if database == "postgresql" {
				address = dbtest.PostgresURL(t)
			}
			n, base, link := start(t, address)
			test(t, n, base, link)
		})
	}
}

var links = regexp.MustCompile(`(?:href|src|action)="(/[^"#]*)`)

// Whoever signs in sees every page, every link of every page leads somewhere, and nothing of it is there for who has not signed in.
func TestEveryPageAndLink(t *testing.T) {
	each(t, func(t *testing.T, _ *node.Node, base, link string) {
		v := visit(t, base)
		if code, _, at := v.do("POST", "/signin/link", url.Values{"t": {link}, "next": {"/collections/default"}}); code != 200 || at != "/collections/default" {
			t.Fatalf("signing in led to %s with %d", at, code)
		}
		if code, _, _ := visit(t, base).do("POST", "/signin/link", url.Values{"t": {link}}); code != 403 {
			t.Errorf("the link works twice: %d", code)
		}
		seen, todo := map[string]bool{}, []string{"/", "/held", "/deposits", "/people", "/audit", "/account", "/collections"}
		pages, pictures := 0, 0
		for len(todo) > 0 {
			path := strings.ReplaceAll(todo[0], "&amp;", "&")
			todo = todo[1:]
			if seen[path] || strings.HasPrefix(path, "/viewer/") || path == "/signout" || path == "/theme" || strings.Contains(path, "/publish") || strings.HasPrefix(path, "/people/") || strings.HasSuffix(path, "/end") || strings.HasSuffix(path, "/remove") || path == "/audit/check" ||
				strings.HasSuffix(path, "/consent/form") || strings.HasSuffix(path, "/consent/table") || strings.HasSuffix(path, "/consent/opt-outs") { // these take files, and are no pages
				continue
			}
			seen[path] = true
			code, body, _ := v.do("GET", path, nil)
			if code != 200 {
				t.Errorf("%s: %d %.200s", path, code, body)
				continue
			}
			if strings.Contains(path, "/dicomweb/") {
				pictures++
				continue
			}
			pages++
			for _, m := range links.FindAllStringSubmatch(body, -1) {
				todo = append(todo, m[1])
			}
		}
		if pages < 20 || pictures < 5 {
			t.Errorf("only %d pages and %d pictures were found", pages, pictures)
		}
		stranger := visit(t, base)
		for path := range seen {
			public := path == "/" || strings.HasPrefix(path, "/?") || strings.HasPrefix(path, "/directory") || strings.HasPrefix(path, "/compare") || strings.HasPrefix(path, "/help") || strings.HasPrefix(path, "/ask") || strings.HasPrefix(path, "/register") || strings.HasPrefix(path, "/datasets") || path == "/withdraw" || strings.HasPrefix(path, "/api/register") || path == "/status" || strings.HasPrefix(path, "/static/") || strings.HasPrefix(path, "/api/openapi") || strings.HasPrefix(path, "/signin")
			code, body, at := stranger.do("GET", path, nil)
			if !public && code == 200 && at != "/signin" {
				t.Errorf("%s is shown to strangers: %.200s", path, body)
			}
		}
		t.Logf("%d pages, %d pictures", pages, pictures)
	})
}

// A form of the node's own is taken, and none of a session that has ended.
func TestFormsAndEnded(t *testing.T) {
	n, base, link := start(t, "")
	v := visit(t, base)
	v.do("POST", "/signin/link", url.Values{"t": {link}})
	if code, _, at := v.do("POST", "/collections", url.Values{"id": {"mine"}, "profile": {"research"}, "title": {"Mine"}}); code != 200 || at != "/collections/mine" {
		t.Errorf("a form of its own: %d at %s", code, at)
	}
	if code, body, _ := v.do("POST", "/collections", url.Values{"id": {"No Such"}}); code != 422 || !strings.Contains(body, "An id is 1 to 63") {
		t.Errorf("a wrong name: %d", code)
	}
	if code, body, _ := v.do("POST", "/people", url.Values{"name": {"Imogen"}, "role": {"researcher"}, "collection": {"mine"}}); code != 200 || !strings.Contains(body, "/signin/link?t=") {
		t.Errorf("an invitation: %d", code)
	}
	all, err := n.Stores.Identity.Accounts(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %d accounts", err, len(all))
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return n.Stores.Identity.SetDisabled(tx, all[0].ID, true) })
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(5 * time.Second); ; {
		if _, _, at := v.do("GET", "/audit", nil); at == "/signin" {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("who is disabled is still in after 5 seconds")
		}
	}
	if _, _, at := v.do("POST", "/signout", url.Values{}); at == "/audit" {
		t.Error(at)
	}
}
