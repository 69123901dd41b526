package portal

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// site is the door behind a front, as the node assembles it.
func site(t *testing.T, p Parts) http.Handler {
	t.Helper()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	d, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	d.Register(mux)
	return (&web.Front{Identify: func(context.Context, string) (web.Caller, error) {
		return web.Caller{}, fault.New(fault.Denied, "recognise caller", "", "nobody")
	}, Log: p.Log, Show: d.Show}).Handler(mux)
}

func get(h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml")
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A problem is a page for a browser, and problem details for a program.
func TestProblemsArePages(t *testing.T) {
	h := site(t, Parts{})
	w := get(h, "/help/nosuch")
	if w.Code != 404 || !strings.Contains(w.Body.String(), "There is no help of this name.") {
		t.Errorf("%d %.500s", w.Code, w.Body)
	}
	w = get(h, "/nosuch", func(r *http.Request) { r.Header.Set("Accept", "*/*") })
	if w.Code != 404 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Header())
	}
	if strings.Contains(get(h, "/patient-name-in-path").Body.String(), `>/patient-name-in-path`) {
		t.Error("the page repeats a path as text")
	}
}

func TestTheme(t *testing.T) {
	h := site(t, Parts{})
	if b := get(h, "/help").Body.String(); strings.Contains(b, "data-theme=") {
		t.Error("a theme without a choice")
	}
	if b := get(h, "/help?theme=dark").Body.String(); !strings.Contains(b, `data-theme="dark"`) {
		t.Error("?theme=dark is not followed")
	}
	for back, want := range map[string]string{"/help?a=b": "/help?a=b", "https://elsewhere.example/": "/", "//elsewhere.example": "/", `/\elsewhere.example`: "/", "": "/"} {
		r := httptest.NewRequest("POST", "/theme", strings.NewReader("back="+back))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); w.Code != 303 || got != want {
			t.Errorf("back to %q: %d %q, want %q", back, w.Code, got, want)
		}
		if c := w.Result().Cookies(); len(c) != 1 || c[0].Value != "dark" {
			t.Errorf("cookies %v", c)
		}
	}
}

func TestStatic(t *testing.T) {
	h := site(t, Parts{})
	page := get(h, "/help").Body.String()
	m := regexp.MustCompile(`/static/vitrine\.css\?v=[0-9a-f]+`).FindString(page)
	if m == "" {
		t.Fatal("the page has no style sheet")
	}
	w := get(h, m, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
	if w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	again := get(h, m, func(r *http.Request) {
		r.Header.Set("Accept-Encoding", "gzip")
		r.Header.Set("If-None-Match", w.Header().Get("Etag"))
	})
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("again: %d, %d bytes", again.Code, again.Body.Len())
	}
	if w := get(h, "/static/../page.go"); w.Code == 200 {
		t.Error("a file outside is served")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0–9", 9: "0–9", 10: "10", 1230: "1,230", 1234567: "1,234,567"} {
		if got := string(people(n)); !strings.Contains(got, want) {
			t.Errorf("people(%d) = %q, want %q", n, got, want)
		}
	}
	if people(0) != people(9) {
		t.Error("nobody and nine people look different")
	}
	for n, want := range map[int64]string{1: "1 bytes", 999: "999 bytes", 1500: "1.5 kB", 999_600: "1.0 MB", 5_000_000_000: "5.0 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

// The viewer's files lie compressed in an archive: what a browser unpacks must be what was packed.
func TestViewerFiles(t *testing.T) {
	v, err := openViewer()
	if err != nil {
		t.Fatal(err)
	}
	if v.main == "" {
		t.Skip("built without the viewer: make web")
	}
	d, err := New(Parts{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	d.Register(mux)
	for _, name := range []string{v.main, "app.bundle.css", "LICENSE"} {
		plain := get(mux, "/viewer/"+name)
		zipped := get(mux, "/viewer/"+name, func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") })
		if plain.Code != 200 || zipped.Code != 200 {
			t.Fatalf("%s: %d, %d", name, plain.Code, zipped.Code)
		}
		if zipped.Header().Get("Content-Encoding") != "gzip" {
			continue
		}
		r, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(b, plain.Body.Bytes()) {
			t.Errorf("%s: %v, %d bytes of %d", name, err, len(b), plain.Body.Len())
		}
	}
	if w := get(mux, "/viewer/app-config.js?collection=trial-1"); !strings.Contains(w.Body.String(), `"qidoRoot":"/collections/trial-1/dicomweb"`) || !strings.Contains(w.Body.String(), `"vitrine-mammography"`) {
		t.Errorf("%s", w.Body)
	}
	tag := get(mux, "/viewer/"+v.main).Header().Get("ETag")
	if w := get(mux, "/viewer/"+v.main, func(r *http.Request) { r.Header.Set("If-None-Match", tag) }); tag == "" || w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("asked again for what it has: %d, %d bytes, ETag %q", w.Code, w.Body.Len(), tag)
	}
	if w := get(mux, `/viewer/app-config.js?collection=%22;alert(1)//`); strings.Contains(w.Body.String(), "alert") {
		t.Error("a query gets into the script")
	}
	if w := get(mux, "/viewer/viewer"); w.Code != http.StatusSeeOther {
		t.Errorf("nobody is signed in: %d", w.Code)
	}
}

// Each task of the help has its picture, of a known size, with words for whoever does not see it.
func TestHelpHasPictures(t *testing.T) {
	h := site(t, Parts{})
	img := regexp.MustCompile(`<img src="(/static/help/[a-z]+\.webp\?v=[0-9a-f]+)" alt="[^"]{20,}" width="[1-9]\d+" height="[1-9]\d+">`)
	for _, topic := range topics {
		m := img.FindStringSubmatch(get(h, "/help/"+topic.Key).Body.String())
		if m == nil || topic.Caption == "" {
			t.Errorf("%s has no picture with its words", topic.Key)
			continue
		}
		w := get(h, m[1])
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/webp" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() > 60_000 {
			t.Errorf("%s: %d %v, %d bytes", topic.Key, w.Code, w.Header(), w.Body.Len())
		}
	}
}
