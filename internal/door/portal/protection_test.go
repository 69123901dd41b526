package portal_test

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// watched looks at everything that a visitor is answered.
func watched(v *visitor) *visitor {
	v.client.Transport = &watch{v.client.Transport, v.t}
	return v
}

type watch struct {
	http.RoundTripper
	t *testing.T
}

func (w *watch) CloseIdleConnections() { w.RoundTripper.(*http.Transport).CloseIdleConnections() }

func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode/100 == 3 {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	for _, wrong := range unprotected(resp, b) {
		w.t.Errorf("%s %s, %d: %s", r.Method, r.URL.Path, resp.StatusCode, wrong)
	}
	return resp, nil
}

// unprotected says what of an answer could do harm in a browser, or would not work there.
func unprotected(resp *http.Response, body []byte) (wrong []string) {
	header := func(name, want string) {
		if got := resp.Header.Get(name); got != want {
			wrong = append(wrong, name+" is "+got+", not "+want)
		}
	}
	header("X-Content-Type-Options", "nosniff")
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case kind == "text/css" && fetched.Match(body):
		return append(wrong, "the style sheet loads from elsewhere")
	case kind != "text/html":
		return wrong
	}
	header("Referrer-Policy", "same-origin")
	header("Cross-Origin-Opener-Policy", "same-origin")
	header("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
	header("Cache-Control", "private, no-store")
	viewer := strings.HasPrefix(resp.Request.URL.Path, "/viewer/") && resp.StatusCode == http.StatusOK
	wrong = append(wrong, loose(resp.Header.Values("Content-Security-Policy"), viewer)...)
	doc, err := html.ParseWithOptions(bytes.NewReader(body), html.ParseOptionEnableScripting(false))
	if err != nil {
		return append(wrong, err.Error())
	}
	if !bytes.Contains(body, []byte("</html>")) {
		wrong = append(wrong, "half a page")
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			wrong = append(wrong, improper(n, resp.Request.URL)...)
		}
	}
	return wrong
}

var fetched = regexp.MustCompile(`(?i)(?:url\(|@import)\s*["']?\s*(?:https?:)?//`)

// loose says what a content policy allows beyond what pages need. The viewer is other people's work, and sets styles from script.
func loose(policies []string, viewer bool) (wrong []string) {
	if len(policies) != 1 {
		return []string{"it has no content policy, or several"}
	}
	has := map[string]string{}
	for d := range strings.SplitSeq(policies[0], ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(d), " ")
		has[name] = sources
	}
	want := map[string]string{"default-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'self'", "script-src": "'self'", "style-src": "'self'", "form-action": "'self'"}
	if viewer {
		want["script-src"], want["style-src"], want["form-action"] = "'self' 'wasm-unsafe-eval' blob:", "'self' 'unsafe-inline'", "'none'"
	}
	for name, sources := range want {
		if has[name] != sources {
			wrong = append(wrong, "the content policy has "+name+" "+has[name]+", not "+sources)
		}
	}
	for name, sources := range has {
		for s := range strings.FieldsSeq(sources) {
			if want[name] == "" && !slices.Contains([]string{"'self'", "'none'", "data:", "blob:"}, s) {
				wrong = append(wrong, "the content policy allows "+s+" in "+name)
			}
		}
	}
	return wrong
}

// loading are the attributes whose address a browser fetches, or sends to, without asking.
var loading = []string{"src", "srcset", "imagesrcset", "poster", "data", "action", "formaction", "background", "ping", "manifest", "xlink:href", "cite", "longdesc"}

// improper says what of an element the content policy forbids, and what it would have from elsewhere.
func improper(n *html.Node, at *url.URL) (wrong []string) {
	attribute := map[string]string{}
	for _, a := range n.Attr {
		name := a.Key
		if a.Namespace != "" {
			name = a.Namespace + ":" + a.Key
		}
		attribute[name] = a.Val
		address, err := at.Parse(strings.TrimSpace(a.Val))
		loads := slices.Contains(loading, name) || name == "href" && n.Data != "a" && n.Data != "area"
		switch {
		case name == "style" || name == "srcdoc" || strings.HasPrefix(name, "on"):
			wrong = append(wrong, "<"+n.Data+"> has the attribute "+name)
		case !loads && name != "href":
		case err != nil:
			wrong = append(wrong, "<"+n.Data+"> has no address in "+name)
		case address.Scheme == "data" && n.Data == "img", address.Scheme == "mailto" && !loads:
		case address.Scheme != "http" && address.Scheme != "https":
			wrong = append(wrong, "<"+n.Data+"> leads to "+address.Scheme+":")
		case loads && address.Host != at.Host || strings.HasSuffix(name, "srcset") && strings.Contains(a.Val, "//"):
			wrong = append(wrong, "<"+n.Data+"> loads from "+address.Host)
		}
	}
	_, loaded := attribute["src"]
	switch n.Data {
	case "style", "base", "object", "embed", "applet":
		wrong = append(wrong, "it has <"+n.Data+">")
	case "meta":
		if attribute["http-equiv"] != "" {
			wrong = append(wrong, "it has <meta http-equiv>")
		}
	case "script":
		if kind := attribute["type"]; !loaded && kind != "application/ld+json" || loaded && n.FirstChild != nil {
			wrong = append(wrong, "a script stands in the page")
		}
	}
	return wrong
}

// unlisted are what no page links to, or what is no page.
var unlisted = map[string]string{
	"GET /recalls/{recall}":                 "in TestRecallsInThePortal, as its recipient sees it, watched too",
	"GET /recalls/{recall}/objects":         "in TestRecallsInThePortal",
	"GET /recalls/{recall}/attestation":     "in TestRecallsInThePortal",
	"GET /deposits/events":                  "a stream",
	"GET /deposits/{deposit}/events":        "a stream",
	"GET /signin/app":                       "TestCodeThenApp watches it: between the two halves of signing in",
	"GET /signin/provider":                  "leads elsewhere, where the node has a provider",
	"GET " + signin.ProviderBack:            "only with what a provider sends",
	"GET /shortlist":                        "leads to the comparison",
	"GET /collections/{collection}/profile": "leads to the settings",
	"GET /held/{item}/painted":              "a picture of what was drawn, at a node that reads pixels: TestBoxes (internal/endtoend) watches it",
	"GET /held/{item}/film":                 "a picture of frames of a video: TestAStewardSeesAVideo asks for it",
}

// Every page of a full node, as its steward and as nobody see it, needs nothing that its content policy forbids, and nothing from elsewhere. So do the pages
// that forms lead to, and those of what went wrong.
func TestPagesKeepTheirPolicy(t *testing.T) {
	n, base, link := start(t, "")
	steward, stranger := watched(visit(t, base)), watched(visit(t, base))
	steward.do("POST", "/signin/link", url.Values{"t": {link}})
	letter := furnish(t, n, steward, stranger)
	someone, err := n.Stores.Subjects.Latest(t.Context(), "default", 1)
	if err != nil || len(someone) == 0 {
		t.Fatal(err)
	}
	form := "/collections/default/subjects/" + url.PathEscape(string(someone[0].Pseudonym)) + "/identity"
	steward.do("POST", form, url.Values{"reason": {"a few words"}})
	if _, _, at := steward.do("POST", form, url.Values{"reason": {"A finding by chance has to reach the doctor of this person"}}); !strings.HasPrefix(at, "/identity/") {
		t.Errorf("a request led to %s", at)
	}

	routes := http.NewServeMux()
	for _, p := range n.Routes() {
		routes.Handle(p, http.NotFoundHandler())
	}
	route := func(method, path string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, pattern := routes.Handler(r)
		return pattern
	}
	const each = 12 // addresses of one route: more of them are more of the same
	crawl := func(v *visitor) (shown, asked map[string]int) {
		shown, asked = map[string]int{}, map[string]int{}
		seen := map[string]bool{}
		todo := []string{"/", "/held", "/deposits", "/people", "/audit", "/account", "/account/app", "/account/work", "/training", "/training/exam", "/people/due", "/collections", "/entries", "/questions", "/requests", "/recalls", "/register", "/datasets", "/identity", "/searches", "/status", "/compare", "/compare?id=north&id=away",
			"/send", "/signin", "/signin/link?t=none", "/signedout", letter, "/viewer/viewer", "/viewer/app-config.js", "/robots.txt", "/sitemap.xml", "/directory.csv", "/directory.jsonld", "/directory/words?q=breast",
			"/directory/template.csv", "/audit/entries.csv", "/audit/checkpoint.txt", "/directory/north/picture", "/metrics", "/nothing/here", "/help/nosuch", "/directory/nowhere", "/held/1"}
		for len(todo) > 0 {
			path := todo[0]
			todo = todo[1:]
			pattern := route("GET", path)
			if seen[path] || asked[pattern] >= each || strings.HasPrefix(path, "/signin/provider") {
				continue
			}
			seen[path] = true
			asked[pattern]++
			code, body, at := v.do("GET", path, nil)
			if code == http.StatusOK {
				shown[route("GET", at)]++
			}
			for _, m := range links.FindAllStringSubmatch(body, -1) {
				todo = append(todo, html.UnescapeString(m[1]))
			}
		}
		return shown, asked
	}
	mine, asked := crawl(steward)
	public, _ := crawl(stranger)
	program := regexp.MustCompile(`^GET (/api/|/fhir/|/ga4gh/|/upload/|/collections/\{collection\}/dicomweb/|/dicomweb/|/healthz|/readyz)`)
	pages := 0
	for _, p := range n.Routes() {
		if strings.HasPrefix(p, "GET ") && !program.MatchString(p) {
			pages++
			if why := unlisted[p]; why == "" && mine[p]+public[p] == 0 {
				t.Errorf("%s was not seen: asked %d times. Let the node have one, or say in the test why not.", p, asked[p])
			} else if why != "" && p != "GET /shortlist" && mine[p]+public[p] > 0 {
				t.Errorf("%s is seen, though it is %s", p, why)
			}
		}
	}
	for p := range unlisted {
		if !slices.Contains(n.Routes(), p) {
			t.Errorf("%s is no route any more", p)
		}
	}
	if pages < 50 || len(public) < 20 {
		t.Errorf("only %d routes of pages, and %d that everybody sees", pages, len(public))
	}
	t.Logf("%d routes of pages; seen: %d as steward, %d as nobody", pages, len(mine), len(public))
}

// furnish gives the node something of everything that a page can show, and the address of a visitor's question.
func furnish(t *testing.T, n *node.Node, steward, stranger *visitor) string {
	t.Helper()
	register(t, n, "north", north(), true)
	later := north()
	later.Title = "Mammograms of the north and the isles"
	if _, err := n.Directory.Save(t.Context(), operator, "north", later, 1, "with the isles"); err != nil {
		t.Fatal(err)
	}
	away := directorytest.Full().Entry
	register(t, n, "away", away, true)
	register(t, n, "hidden", directorytest.Minimal(), false)
	asked := askable()
	asked.Collection, asked.Title = "asked", "What is asked for"
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		return n.Stores.Collections.Create(tx, collection.Collection{ID: "asked", Title: "Asked", Profile: "research", ProfileVersion: "1"})
	}); err != nil {
		t.Fatal(err)
	}
	register(t, n, "asked", asked, true)
	hold(t, n, "1.2.3.1.1")
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	picture := url.Values{}
	for _, l := range all {
		if l.Rows > 0 && l.State == policy.Admitted {
			picture = url.Values{"study": {string(l.Study)}, "series": {string(l.Series)}, "instance": {string(l.SOP)}, "frame": {"1"}, "modality": {"MG"}, "view": {"mlo"}, "looked": {"yes"}}
		}
	}
	const home = "/collections/" + string(collection.Default)
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Identity.AddPeer(tx, identity.Peer{AETitle: "PACS", Host: "127.0.0.1", Port: 1, May: identity.MayStore, Collection: policy.AllCollections})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []struct {
		path string
		form url.Values
		want int
	}{
		{"/collections", url.Values{"id": {"second"}, "profile": {"research"}}, 200},
		{home + "/publish", url.Values{}, 200},
		{home + "/links", url.Values{"do": {"make"}, "label": {"A disc"}, "for": {"imogen@example.org"}}, 200},
		{home + "/links", url.Values{"do": {"make"}, "for": {"nobody"}}, 422},
		{home + "/pulls", url.Values{"what": {"accessions"}, "peer": {"PACS"}, "way": {"move"}, "list": {"A1\nA2"}}, 200},
		{home + "/pulls", url.Values{"what": {"accessions"}, "peer": {"PACS"}, "way": {"move"}, "list": {"*"}}, 422},
		{home + "/pictures", picture, 200},
		{home + "/texts", url.Values{"do": {"identifies"}, "text": {"Larkspur Ward"}, "note": {"a ward"}}, 200},
		{home + "/settings", url.Values{"do": {"token"}, "name": {"Ward 7"}, "role": {"depositor"}}, 200},
		{home + "/consent", url.Values{"do": {"basis"}, "kind": {"s251"}, "reference": {"20/CAG/0001"}, "until": {"2999-01-01"}}, 200},
		{home + "/consent", url.Values{"do": {"basis"}, "kind": {"s251"}}, 422},
		{home + "/consent/record", url.Values{"patient": {"MRN-1"}, "date": {"2026-03-01"}, "use.research": {"yes"}, "use.genetic": {"no"}}, 200},
		{home + "/consent/record", url.Values{"patient": {"MRN-1"}, "use.research": {"yes"}}, 422},
		{home + "/consent/withdraw", url.Values{"patient": {"MRN-2"}, "scope": {"use"}}, 200},
		{home + "/consent/withdraw", url.Values{"patient": {"MRN-2"}, "scope": {"use"}, "do": {"withdraw"}}, 200},
		{home + "/consent/withdraw", url.Values{"scope": {"use"}}, 422},
		{"/people", url.Values{"name": {"Imogen"}, "role": {"researcher"}, "collection": {"default"}}, 200},
		{"/searches", url.Values{"name": {"Scans"}, "query": {"modality=CT"}}, 200},
		{"/shortlist", url.Values{"id": {"north", "away"}}, 200},
		{"/audit/check", url.Values{}, 200},
		{"/directory/new", url.Values{}, 422},
		{"/collections", url.Values{"id": {"No Such"}}, 422},
		{"/account/app", url.Values{"code": {"000000"}}, 0},
		{"/account/work", url.Values{"organisation": {"University of the North"}, "kind": {"academic"}, "country": {"GB"}}, 200},
		{"/account/work", url.Values{"organisation": {"University of the North"}, "kind": {"academic"}, "country": {"GB"}, "orcid": {"0000-0002-1825-0098"}}, 422},
		{"/training/exam", url.Values{"do": {"begin"}}, 200},
		{home + "/dataset", with(aboutSet(), "title", ""), 422},
		{home + "/dataset", aboutSet(), 200},
		{"/datasets/north-set", accepted(), 409},
		{"/directory/asked/request", with(asking(), "do", "save"), 200},
		{"/directory/asked/request", with(asking(), "do", "check", "for", ""), 200},
		{"/directory/asked/request", with(asking(), "do", "submit", "aims", ""), 422},
	} {
		if code, body, _ := steward.do("POST", a.path, a.form); a.want != 0 && code != a.want {
			t.Errorf("POST %s: %d %.300s", a.path, code, body)
		}
	}
	permitAll(t, n)
	for _, then := range []string{"publish", "none"} {
		steward.frozen("/datasets/north-set")
		steward.do("POST", "/datasets/north-set/1.0.0", url.Values{"do": {then}})
	}
	_, body, at := steward.do("POST", "/directory/asked/request", with(asking(), "do", "submit"))
	if !strings.HasPrefix(at, "/requests/") {
		t.Fatalf("a request led to %s: %.300s", at, body)
	}
	if code, body := steward.give(at+"/agreement", map[string]string{"organisation": "University of the North", "parties": "The Provost", "effective": "2026-01-01", "expires": "2199-01-01"}, signed); code != 200 {
		t.Errorf("an agreement: %d %.300s", code, body)
	}
	_, body, _ = stranger.do("POST", "/ask", url.Values{"about": {home}, "subject": {"Follow-up"}, "text": {"Is there any?"}, "contact": {"imogen@example.org"}})
	letter := regexp.MustCompile(`/questions/link\?t=[\w-]{43}`).FindString(body)
	if letter == "" {
		t.Fatalf("a visitor cannot ask: %.500s", body)
	}
	return letter
}

var wild = regexp.MustCompile(`\{[^}]*\}`)

// What a page of another site makes a browser send is refused on every route that could change something, before anything is done.
func TestForged(t *testing.T) {
	n, base, link := start(t, "")
	v := visit(t, base)
	v.do("POST", "/signin/link", url.Values{"t": {link}})
	before, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	changing := 0
	for _, p := range n.Routes() {
		method, path, ok := strings.Cut(p, " ")
		if !ok {
			method, path = "POST", p // a route for every method
		}
		if method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions {
			continue
		}
		changing++
		path = wild.ReplaceAllString(strings.ReplaceAll(path, "{collection}", string(collection.Default)), "1")
		for _, sign := range [][]string{
			{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://elsewhere.example"}, {"Origin", "null"}, {"Origin", base + ".elsewhere.example"},
			{"Sec-Fetch-Site", "cross-site", "Content-Type", "application/json", "Accept", "application/json"},
		} {
			if code, body, _ := v.do(method, path, url.Values{"id": {"forged"}, "profile": {"research"}}, sign...); code != http.StatusForbidden || !strings.Contains(body, "from a page of another site") {
				t.Errorf("%s with %v: %d %.200s", p, sign, code, body)
			}
		}
	}
	if changing < 60 {
		t.Errorf("only %d routes change something", changing)
	}
	if code, _, at := v.do("GET", "/account", nil); code != 200 || at != "/account" {
		t.Errorf("the session has ended: %d at %s", code, at)
	}
	if after := said(t, n); len(after) != len(before) {
		t.Errorf("something was done: %+v", after[len(before):])
	}
	// The same from a page of the node's own is taken.
	for _, sign := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Origin", base}} {
		if code, body, _ := v.do("POST", "/account/sessions/end", url.Values{}, sign...); code == 403 || strings.Contains(body, "another site") {
			t.Errorf("a form of its own, with %v: %d", sign, code)
		}
	}
	t.Logf("%d routes", changing)
}
