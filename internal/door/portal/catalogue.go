package portal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

// registerCatalogue adds what programs read of the directory. All of it is public, the same for everybody, and changes only when something is published:
// an answer carries a tag of what is published now, and is not made again for who has it.
func (d *Door) registerCatalogue(mux web.Routes) {
	mux.HandleFunc("GET /directory.jsonld", d.published("application/ld+json", func(r *http.Request, w io.Writer) error {
		return d.Directory.ExportAll(r.Context(), admin.Caller{}, w, directoryflow.DCAT, d.site(r))
	}))
	mux.HandleFunc("GET /directory.csv", d.published("text/csv; charset=utf-8", func(r *http.Request, w io.Writer) error {
		return d.Directory.ExportAll(r.Context(), admin.Caller{}, w, directoryflow.CSV, d.site(r))
	}))
	mux.HandleFunc("GET /sitemap.xml", d.published("application/xml; charset=utf-8", d.siteMap))
	mux.HandleFunc("GET /robots.txt", robots)
}

// site is this directory as it is told to others.
func (d *Door) site(r *http.Request) directory.Site {
	return directory.Site{Base: web.Base(r), Name: "Directory of cancer research images, " + d.Name, About: "Collections of cancer research images: what is in them, who keeps them, and how to ask for access.",
		Publisher: directory.Organisation{Name: d.Name}}
}

// published answers with what is made of published entries, or says that it has not changed.
func (d *Door) published(kind string, write func(*http.Request, io.Writer) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state, err := d.Directory.State(r.Context(), admin.Caller{})
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		// Addresses stand in the answer, so it is another one under another name of the node.
		sum := sha256.Sum256([]byte(r.URL.Path + "\n" + web.Base(r) + "\n" + d.Name + "\n" + state))
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h := w.Header()
		h.Set("ETag", tag)
		h.Set("Cache-Control", "public, max-age=300")
		secure(h)
		if matchesTag(r.Header.Get("If-None-Match"), tag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		h.Set("Content-Type", kind)
		if r.Method == http.MethodHead {
			return
		}
		// Whole before its first byte is sent: a catalogue that breaks off would be taken for a short one.
		var b bytes.Buffer
		if err := write(r, &b); err != nil {
			for _, name := range []string{"ETag", "Cache-Control", "Content-Type"} {
				h.Del(name)
			}
			web.Fail(w, r, err)
			return
		}
		_, _ = w.Write(b.Bytes()) // whoever does not read it has gone
	}
}

// matchesTag reports that one of the tags of a request is the answer's (RFC 9110, 13.1.2).
func matchesTag(header, tag string) bool {
	for t := range strings.SplitSeq(header, ",") {
		if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
			return true
		}
	}
	return false
}

// maxSiteMap is how many addresses a site map may have (sitemaps.org).
const maxSiteMap = 50_000

func (d *Door) siteMap(r *http.Request, w io.Writer) error {
	type place struct {
		Loc     string `xml:"loc"`
		LastMod string `xml:"lastmod,omitempty"`
	}
	type set struct {
		XMLName xml.Name `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		URL     []place  `xml:"url"`
	}
	base := web.Base(r)
	all := set{URL: []place{{Loc: base + "/"}}}
	err := d.Directory.Published(r.Context(), admin.Caller{}, func(s directory.Stored) error {
		if len(all.URL) < maxSiteMap {
			all.URL = append(all.URL, place{base + "/directory/" + url.PathEscape(string(s.ID)), s.StateAt.UTC().Format(time.DateOnly)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	return xml.NewEncoder(w).Encode(all)
}

// robots lets search engines into the directory and its entries, and not into the endless number of its answers.
func robots(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=3600")
	secure(h)
	_, _ = io.WriteString(w, "User-agent: *\nAllow: /$\nAllow: /?page=\nAllow: /directory/\nAllow: /help\nAllow: /static/\nDisallow: /?\nDisallow: /api/\nDisallow: /collections/\nDisallow: /compare\n"+
		"Disallow: /searches\nDisallow: /signin\nDisallow: /viewer/\nSitemap: "+web.Base(r)+"/sitemap.xml\n")
}
