package portal_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

var registrar = admin.Caller{Actor: "registrar", Grants: []policy.Grant{{Role: policy.Operator, Collection: "*"}}}

// shelf runs a node with a directory and no images.
type shelf struct {
	t    *testing.T
	n    *node.Node
	base string
	link string
}

func openShelf(t *testing.T, database string) *shelf {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, n)
	// The node counts its people when it starts. What a test publishes has to come after that.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); ; {
		if _, err := n.Directory.Counts.Last(t.Context()); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("nobody was counted within a minute")
		}
	}
	var out bytes.Buffer
	if err := n.Welcome(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(strings.TrimSpace(strings.TrimPrefix(out.String(), "open ")))
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{t, n, "http://" + n.HTTPAddr(), u.Query().Get("t")}
}

// run lets a node serve until the test ends.
func run(t testing.TB, n *node.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
}

func eachShelf(t *testing.T, test func(s *shelf)) {
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			address := ""
			if database == "postgresql" {
				address = dbtest.PostgresURL(t)
			}
			test(openShelf(t, address))
		})
	}
}

// draft saves an entry and gives its revision.
func (s *shelf) draft(id, title string, change func(e *directory.Entry)) int64 {
	s.t.Helper()
	e := directorytest.Minimal()
	e.Title = title
	if change != nil {
		change(&e)
	}
	rev, err := s.n.Directory.Save(s.t.Context(), registrar, directory.ID(id), e, 0, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return rev
}

func (s *shelf) publish(id, title string, change func(e *directory.Entry)) {
	s.t.Helper()
	rev := s.draft(id, title, change)
	if err := s.n.Directory.Publish(s.t.Context(), registrar, directory.ID(id), rev); err != nil {
		s.t.Fatal(err)
	}
}

// fill puts four collections on the shelf, one of them counted, one a draft, one retired.
func (s *shelf) fill() {
	icd := func(code string) []vocabulary.Code { return []vocabulary.Code{{System: vocabulary.ICD10, Value: code}} }
	age := func(low, high int) func(e *directory.Entry) {
		return func(e *directory.Entry) { e.AgeMin, e.AgeMax, e.AgeBands = &low, &high, nil }
	}
	s.publish("north", "Mammograms of the north", func(e *directory.Entry) {
		e.Holding, e.Collection, e.Declared, e.Conditions, e.Modalities, e.Sexes = directory.Here, "default", nil, icd("C50"), []string{"MG"}, []string{"female"}
		age(47, 73)(e)
	})
	s.publish("gullet", "Trial of chemoradiotherapy", func(e *directory.Entry) {
		e.Conditions, e.Modalities, e.Declared = icd("C15"), []string{"CT", "PT"}, &directory.Declared{People: 1237, Studies: 2469, AsOf: "2026-01-01"}
		age(18, 90)(e)
	})
	s.publish("few", "A rare thing", func(e *directory.Entry) {
		e.Conditions, e.Modalities, e.Declared = icd("C74"), []string{"MR"}, &directory.Declared{People: 7, Studies: 8, AsOf: "2026-01-01"}
		age(0, 17)(e)
	})
	s.draft("hidden", "Quagga registry", func(e *directory.Entry) { e.Abstract = "Of the quagga, not yet for anybody." })
	s.publish("gone", "Dodo archive", func(e *directory.Entry) { e.Abstract = "Of the dodo, once." })
	if err := s.n.Directory.Retire(s.t.Context(), registrar, "gone"); err != nil {
		s.t.Fatal(err)
	}
	tally := directory.NewTally()
	for i := range 43 {
		sex := "female"
		if i < 4 {
			sex = "male"
		}
		tally.Add(directory.Counted{Subject: subject.ID(i + 1), Sex: sex, AgeBand: "55-59", Diseases: []string{"breast-cancer"}, Modalities: []string{"MG"}, Timepoints: []string{"visit-1"},
			Years: []string{"2019"}, Studies: 1, Images: 4, Available: true})
	}
	s.count("default", tally)
}

// count publishes numbers, whatever the node itself has counted today.
func (s *shelf) count(c collection.ID, tally *directory.Tally) {
	s.t.Helper()
	now := time.Now().UTC().Add(time.Minute)
	err := s.n.Stores.DB.Write(s.t.Context(), func(tx *db.Tx) error {
		if _, err := s.n.Directory.Counts.Renew(tx, c, tally, now); err != nil {
			return err
		}
		return s.n.Directory.Counts.Note(tx, directory.Snapshot{Taken: now, Day: now.Format(time.DateOnly), Actor: "test"})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) signIn() *visitor {
	s.t.Helper()
	v := visit(s.t, s.base)
	if code, _, at := v.do("POST", "/signin/link", url.Values{"t": {s.link}, "next": {"/help"}}); code != 200 || at != "/help" {
		s.t.Fatalf("signing in led to %s with %d", at, code)
	}
	return v
}

// plain is a page without its elements, as it is read.
func plain(body string) string {
	body = regexp.MustCompile(`(?s)<(script|svg)\b.*?</(script|svg)>`).ReplaceAllString(body, "")
	body = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
	return strings.Join(strings.Fields(strings.NewReplacer("&#39;", "'", "&amp;", "&", "&#43;", "+").Replace(body)), " ")
}

func TestDirectoryFindsAndShows(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		if _, body, _ := visit(s.t, s.base).do("GET", "/", nil); !strings.Contains(plain(body), "No collection is published yet") {
			s.t.Errorf("an empty directory: %.300s", plain(body))
		}
		s.fill()
		v := visit(s.t, s.base)
		for _, c := range []struct {
			path       string
			has, hasNo []string
		}{
			{"/", []string{"Mammograms of the north", "Trial of chemoradiotherapy", "A rare thing", "3 collections, about 1,280 people", "1,240 people", "40 people", "2,470 studies", "0–9 people", "Where they are held", "Counts as of"},
				[]string{"1,237", "1237", "2,469", "43", "39 people", "4 people"}},
			{"/?view=table", []string{"Mammograms of the north", "1,240"}, []string{"1237", "43"}},
			{"/?q=mamograms+of+women", []string{"Mammograms of the north", "mamograms was taken for"}, []string{"Trial of"}},
			{"/?q=gullet+cancer", []string{"Trial of chemoradiotherapy", "gullet cancer : Cancer of the oesophagus (C15)"}, []string{"Mammograms of"}},
			{"/?sex=female&age=50-60", []string{"Mammograms of the north", "Female", "Age 50 to 60", "Clear"}, nil},
			{"/?modality=MG&disease=ICD-10%3AC15", []string{"0 collections", "Nothing fits all of it", "Almost", "Without Mammography", "Trial of chemoradiotherapy"}, nil},
			{"/?q=elephant", []string{"Nothing fits all of it"}, []string{"Mammograms of"}},
			{"/?size=1&page=2&sort=title", []string{"Page 2 of 3", "Previous", "Next", "Mammograms of"}, []string{"Trial of chem"}},
			{"/compare?id=north&id=gullet", []string{"Side by side", "Mammograms of the north", "Trial of chemoradiotherapy", "Modalities , differs", "female: 40"}, []string{"male: 4 ", "1237"}},
			{"/compare?id=north&id=gullet&only=differences", []string{"Modalities , differs"}, []string{"Jurisdiction"}},
			{"/compare", []string{"Choose collections"}, nil},
		} {
			code, body, _ := v.do("GET", c.path, nil)
			text := plain(body)
			if code != 200 {
				s.t.Errorf("%s: %d", c.path, code)
			}
			for _, w := range c.has {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
					s.t.Errorf("%s does not say %q: %.1500s", c.path, w, text)
				}
			}
			for _, w := range c.hasNo {
				if regexp.MustCompile(`\b` + regexp.QuoteMeta(w)).MatchString(text) {
					s.t.Errorf("%s says %q", c.path, w)
				}
			}
		}
	})
}

// What is not published is not there for anybody, in no form.
func TestDirectoryHidesDrafts(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		s.fill()
		for _, v := range []*visitor{visit(s.t, s.base), s.signIn()} {
			for _, path := range []string{"/", "/?view=table", "/?size=100&sort=newest", "/?q=quagga", "/?q=dodo", "/?q=quaga+registry", "/compare?id=north&id=hidden&id=gone", "/directory.jsonld", "/directory.csv", "/sitemap.xml", "/searches"} {
				code, body, _ := v.do("GET", path, nil)
				low := strings.ToLower(body)
				for _, w := range []string{"quagga", "dodo", "/directory/hidden", "/directory/gone"} {
					if n := strings.Count(low, w); n > 0 && !(strings.Contains(path, w) && n == strings.Count(low, "q="+w)+strings.Count(low, `value="`+w)+strings.Count(low, "<title>"+w)) {
						s.t.Errorf("%s (%d) tells of %q", path, code, w)
					}
				}
			}
			// Nobody puts aside or compares what is not published.
			v.do("POST", "/shortlist", url.Values{"id": {"hidden"}})
			if _, body, _ := v.do("GET", "/", nil); strings.Contains(body, "Quagga") {
				s.t.Error("a draft is on the shortlist")
			}
		}
	})
}

// Whatever stands in an address, there is an answer, it is whole, and nothing of the address becomes part of the page but as text.
func TestDirectoryTakesAnyAddress(t *testing.T) {
	s := openShelf(t, "")
	s.fill()
	s.publish("sly", `Sly </script><script>alert(1)</script> & "quoted" <b>`, func(e *directory.Entry) {
		e.Custodian.Name = `"><img src=x onerror=alert(2)>`
		e.Scanners = []string{"<svg/onload=alert(3)>"}
	})
	v := visit(t, s.base)
	many := strings.Repeat("&x=1", 3000)
	for name, q := range map[string]string{
		"sly":           "",
		"a script":      "q=" + url.QueryEscape(`"><script>alert(1)</script>`),
		"an attribute":  "q=" + url.QueryEscape(`" onfocus=alert(1) x="`),
		"long":          "q=" + strings.Repeat("breast+", 40),
		"too long":      "q=" + strings.Repeat("a", 5000),
		"odd UTF-8":     "q=%ff%fe%c0%af",
		"a zero":        "q=%00",
		"marks":         "q=" + url.QueryEscape(strings.Repeat("é́́́", 20)),
		"right to left": "q=" + url.QueryEscape("\u202eسرطان الثدي"),
		"operators":     "q=" + url.QueryEscape(`"" OR NEAR(a b) AND * ^ : - ( ' & | ! <->`),
		"SQL":           "q=" + url.QueryEscape(`'; DROP TABLE directory_entry; --`),
		"many":          "q=lung" + many,
		"many values":   strings.TrimPrefix(strings.Repeat("&modality=X", 2000), "&"),
		"many kinds":    "disease=" + strings.Repeat("ICD-10:C50&disease=", 60) + "ICD-10:C1",
		"a value":       "custodian=" + url.QueryEscape(`"><script>alert(1)</script>`),
		"a range":       "age=99-1",
		"half a range":  "age=-",
		"a big range":   "age=0-99999999999999999999",
		"negative":      "age=-5--1",
		"far":           "page=99999999999999999999",
		"page":          "page=1000",
		"size":          "size=1000000",
		"sort":          "sort=rowid;",
		"disease":       "disease=nothing",
		"broken":        "q=%zz&%",
		"semicolons":    "q=a;b;c",
		"ends":          "age-from=70&age-to=50",
		"wrong ends":    "age-from=x&year-to=%00",
		"view":          "view=" + url.QueryEscape(`"><script>`),
		"everything":    "q=breast&sex=female&modality=MG&age=40-74&year=2010-2020&sort=people&view=table&size=5",
	} {
		code, body, _ := v.do("GET", "/?"+q, nil)
		if code != 200 && code != 400 && code != 422 {
			t.Errorf("%s: %d", name, code)
		}
		if !strings.Contains(body, "</html>") {
			t.Errorf("%s: half a page", name)
		}
		page := regexp.MustCompile(`(?s)<script type="application/ld\+json">.*?</script>|<script type="module"[^>]*></script>`).ReplaceAllString(body, "")
		for _, bad := range []string{"<script", "<img src=x", "<svg/onload", `" onfocus=`, "onerror=alert(2)>\""} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
	}
	for _, path := range []string{"/compare?id=" + strings.Repeat("north&id=", 500) + "north", "/compare?id=no+such", "/compare?id=%00", "/compare?id=a&id=b&id=c&id=d&id=e&id=f&id=g&id=h", "/searches/x/seen"} {
		if code, body, _ := v.do("GET", path, nil); code >= 500 || code == 200 && !strings.Contains(body, "</html>") {
			t.Errorf("%.40s: %d", path, code)
		}
	}
}

// Search engines index the directory and none of its filtered answers, and read what it holds as data.
func TestDirectoryForSearchEngines(t *testing.T) {
	s := openShelf(t, "")
	s.fill()
	v := visit(t, s.base)
	_, body, _ := v.do("GET", "/", nil)
	if strings.Contains(body, "noindex") || !strings.Contains(body, `<link rel="canonical" href="`+s.base+`/">`) {
		t.Error("the directory is not for search engines")
	}
	m := regexp.MustCompile(`(?s)<script type="application/ld\+json">(.*?)</script>`).FindStringSubmatch(body)
	var catalogue struct {
		Type    string `json:"@type"`
		Dataset []struct{ Name, URL string }
	}
	if m == nil || json.Unmarshal([]byte(m[1]), &catalogue) != nil || catalogue.Type != "DataCatalog" || len(catalogue.Dataset) != 3 || !strings.HasPrefix(catalogue.Dataset[0].URL, s.base+"/directory/") {
		t.Errorf("%v", m)
	}
	for path, canonical := range map[string]string{"/?q=north": "/?q=north", "/?sex=female&view=table&sort=title&size=5": "/?sex=female"} {
		_, body, _ := v.do("GET", path, nil)
		if !strings.Contains(body, "noindex") || !strings.Contains(body, `<link rel="canonical" href="`+s.base+canonical+`">`) || strings.Contains(body, "DataCatalog") {
			t.Errorf("%s is indexed", path)
		}
	}
	// A form without script sends what is empty, and the ends of a range apart: the answer has the short address.
	for sent, want := range map[string]string{
		"/?q=&sort=&age-from=&age-to=&year-from=&year-to=":        "/",
		"/?q=north&sort=&age-from=50&age-to=":                     "/?age=50-120&q=north",
		"/?q=&age-from=70&age-to=50&sex=female&view=table":        "/?age=50-70&sex=female&view=table",
		"/?year-from=&year-to=2015&q=&disease=ICD-10%3AC50&size=": "/?disease=ICD-10%3AC50&year=1900-2015",
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.base+sent, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Transport{}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); resp.StatusCode != 303 || got != want {
			t.Errorf("%s leads to %q with %d, want %q", sent, got, resp.StatusCode, want)
		}
	}
}

func TestCatalogueForPrograms(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		s.fill()
		ask := func(method, path, tag string) (*http.Response, []byte) {
			r, err := http.NewRequestWithContext(s.t.Context(), method, s.base+path, nil)
			if err != nil {
				s.t.Fatal(err)
			}
			if tag != "" {
				r.Header.Set("If-None-Match", tag)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				s.t.Fatal(err)
			}
			defer resp.Body.Close()
			var b bytes.Buffer
			if _, err := b.ReadFrom(resp.Body); err != nil {
				s.t.Fatal(err)
			}
			return resp, b.Bytes()
		}
		tags := map[string]string{}
		for path, kind := range map[string]string{"/directory.jsonld": "application/ld+json", "/directory.csv": "text/csv; charset=utf-8", "/sitemap.xml": "application/xml; charset=utf-8"} {
			resp, b := ask("GET", path, "")
			tag := resp.Header.Get("ETag")
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind || tag == "" || !strings.HasPrefix(resp.Header.Get("Cache-Control"), "public") {
				s.t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
			}
			for _, id := range []string{"north", "gullet", "few"} {
				if path != "/directory.csv" && !strings.Contains(string(b), s.base+"/directory/"+id) {
					s.t.Errorf("%s lacks %s", path, id)
				}
			}
			switch path {
			case "/directory.jsonld":
				if !json.Valid(b) {
					s.t.Error("no JSON")
				}
			case "/directory.csv":
				if rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll(); err != nil || len(rows) != 4 {
					s.t.Errorf("%d rows, %v", len(rows), err)
				}
			case "/sitemap.xml":
				var m struct {
					URL []struct {
						Loc string `xml:"loc"`
					} `xml:"url"`
				}
				if err := xml.Unmarshal(b, &m); err != nil || len(m.URL) != 4 {
					s.t.Errorf("%+v, %v", m, err)
				}
			}
			for _, n := range []string{"1237", "2469", ">43<", ": 43,"} {
				if strings.Contains(string(b), n) {
					s.t.Errorf("%s says %s", path, n)
				}
			}
			if again, b := ask("GET", path, `"other", W/`+tag); again.StatusCode != 304 || len(b) != 0 || again.Header.Get("ETag") != tag {
				s.t.Errorf("%s again: %d", path, again.StatusCode)
			}
			if head, b := ask("HEAD", path, ""); head.StatusCode != 200 || len(b) != 0 || head.Header.Get("ETag") != tag {
				s.t.Errorf("%s: HEAD %d", path, head.StatusCode)
			}
			tags[path] = tag
		}
		s.publish("latest", "Something new", nil)
		for path, tag := range tags {
			if resp, b := ask("GET", path, tag); resp.StatusCode != 200 || resp.Header.Get("ETag") == tag || !strings.Contains(string(b), map[bool]string{true: "Something new", false: "/directory/latest"}[path == "/directory.csv"]) {
				s.t.Errorf("%s is old: %d", path, resp.StatusCode)
			}
		}
		if resp, b := ask("GET", "/robots.txt", ""); resp.StatusCode != 200 || !strings.Contains(string(b), "Sitemap: "+s.base+"/sitemap.xml") || !strings.Contains(string(b), "Disallow: /?") {
			s.t.Errorf("%s", b)
		}
	})
}

func TestShortlistAndSavedSearches(t *testing.T) {
	eachShelf(t, func(s *shelf) {
		s.fill()
		stranger := visit(s.t, s.base)
		for _, c := range []struct {
			path string
			form url.Values
		}{{"/shortlist", url.Values{"id": {"north"}}}, {"/searches", url.Values{"name": {"x"}, "query": {"q=north"}}}, {"/searches/1/delete", url.Values{}}} {
			if code, _, _ := stranger.do("POST", c.path, c.form); code != 401 && code != 403 {
				s.t.Errorf("a stranger at %s: %d", c.path, code)
			}
		}
		v := s.signIn()
		if code, _, at := v.do("POST", "/shortlist", url.Values{"id": {"north", "gullet"}, "back": {"//elsewhere.example/"}}); code != 200 || at != "/" {
			s.t.Errorf("%d at %s", code, at)
		}
		_, body, _ := v.do("GET", "/", nil)
		if strings.Count(body, `class="it"`) != 2 || !strings.Contains(body, `value="north" form="tray" data-title="Mammograms of the north" checked`) {
			s.t.Error("the shortlist is not on the page")
		}
		if code, _, _ := v.do("POST", "/shortlist", url.Values{"shown": {"north"}}, "Accept", "application/json"); code != 204 {
			s.t.Errorf("the page's script gets %d", code)
		}
		if _, body, at := v.do("GET", "/shortlist", nil); at != "/compare" || strings.Contains(body, "Mammograms") || !strings.Contains(body, "chemoradiotherapy") {
			s.t.Errorf("the shortlist leads to %s", at)
		}
		if code, _, _ := v.do("POST", "/shortlist", url.Values{"id": {"Doe^John"}}); code < 400 || code >= 500 {
			s.t.Errorf("no id: %d", code)
		}

		if code, body, at := v.do("POST", "/searches", url.Values{"name": {`Scans <b>`}, "alert": {"yes"}, "query": {"modality=CT&age=20-70"}}); code != 200 || at != "/searches" ||
			!strings.Contains(body, "Scans &lt;b&gt;") || !strings.Contains(plain(body), "nothing new") || !strings.Contains(plain(body), "Age 20 to 70") {
			s.t.Fatalf("%d at %s: %s", code, at, plain(body))
		}
		for _, wrong := range []url.Values{{"name": {""}, "query": {"q=x"}}, {"name": {"x"}, "query": {"age=9-1"}}, {"name": {"x"}, "query": {"%zz"}}, {"name": {strings.Repeat("x", 1000)}, "query": {"q=x"}}} {
			if code, _, _ := v.do("POST", "/searches", wrong); code != 422 && code != 400 {
				s.t.Errorf("%v is kept: %d", wrong, code)
			}
		}
		s.publish("lungs", "Lungs of the south", func(e *directory.Entry) {
			low, high := 40, 80
			e.Modalities, e.AgeMin, e.AgeMax = []string{"CT"}, &low, &high
		})
		if err := s.n.Directory.Handlers()["count people"](s.t.Context(), "all", nil); err != nil {
			s.t.Fatal(err)
		}
		_, body, _ = v.do("GET", "/help", nil)
		if !regexp.MustCompile(`<a href="/"[^>]*>Directory<span class="n"[^>]*>1</span>`).MatchString(body) {
			s.t.Error("the navigation does not tell of what is new")
		}
		_, body, _ = v.do("GET", "/searches", nil)
		if !strings.Contains(plain(body), "1 new") || !strings.Contains(body, `href="/directory/lungs"`) {
			s.t.Errorf("%s", plain(body))
		}
		id := regexp.MustCompile(`/searches/(\d+)/seen`).FindStringSubmatch(body)
		if id == nil {
			s.t.Fatal("it cannot be marked as seen")
		}
		if code, body, _ := v.do("POST", "/searches/"+id[1]+"/seen", url.Values{}); code != 200 || !strings.Contains(plain(body), "nothing new") {
			s.t.Errorf("%d %s", code, plain(body))
		}
		if code, _, _ := v.do("POST", "/searches/999/seen", url.Values{}); code != 404 {
			s.t.Errorf("another's: %d", code)
		}
		if code, body, _ := v.do("POST", "/searches/"+id[1]+"/delete", url.Values{}); code != 200 || !strings.Contains(plain(body), "You keep no search yet") {
			s.t.Errorf("%d %s", code, plain(body))
		}
	})
}
