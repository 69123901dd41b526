package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	ui "github.com/vitrine-imaging/vitrine/web"
)

// files are what browsers load beside pages: one style sheet, the bundle, the icon, the pictures of the help. They are few and small, and lie in memory, compressed once; viewers
// are served elsewhere. An address carries the content's digest, so browsers may keep a file for ever.
type files struct {
	by    map[string]*file
	built bool // the bundle is there
}

type file struct {
	kind    string
	digest  string
	plain   []byte
	zipped  []byte // gzip; nil where it saves nothing
	version string // of the digest, for addresses
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#168270" stroke-width="1.8" stroke-linejoin="round">` +
	`<path d="M3 8 9.500 4.500H21V16l-6.500 3.500H3z" fill="#168270" fill-opacity=".15"/><path d="M3 8h11.500v11.500M14.500 8 21 4.500"/></svg>`

func gather() (*files, error) {
	f := &files{by: map[string]*file{}}
	sheets, err := fs.Glob(ui.Styles(), "*.css")
	if err != nil {
		return nil, err
	}
	sort.Strings(sheets)
	var css bytes.Buffer
	for _, name := range sheets {
		b, err := fs.ReadFile(ui.Styles(), name)
		if err != nil {
			return nil, err
		}
		css.Write(b)
	}
	f.add("vitrine.css", css.Bytes())
	f.add("icon.svg", []byte(icon))
	shots, err := fs.Glob(ui.Help(), "*.webp")
	if err != nil {
		return nil, err
	}
	for _, name := range shots {
		b, err := fs.ReadFile(ui.Help(), name)
		if err != nil {
			return nil, err
		}
		f.add("help/"+name, b)
	}
	err = fs.WalkDir(ui.Bundle(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name == "README.md" || path.Ext(name) == ".zip" {
			return err
		}
		b, err := fs.ReadFile(ui.Bundle(), name)
		if err == nil {
			f.add(name, b)
		}
		return err
	})
	f.built = f.by["main.js"] != nil
	return f, err
}

func (f *files) add(name string, b []byte) {
	sum := sha256.Sum256(b)
	x := &file{kind: mime.TypeByExtension(path.Ext(name)), plain: b, digest: hex.EncodeToString(sum[:16])}
	x.version = x.digest[:10]
	if x.kind == "" {
		x.kind = "application/octet-stream"
	}
	switch path.Ext(name) {
	case ".woff2", ".webp", ".png", ".jpg": // compressed already
	default:
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // a level that exists
		_, _ = w.Write(b)                                     // a buffer takes everything
		_ = w.Close()
		if z.Len() < len(b)*9/10 {
			x.zipped = z.Bytes()
		}
	}
	f.by[name] = x
}

// address is where a file is loaded from.
func (f *files) address(name string) string {
	if x := f.by[name]; x != nil {
		return "/static/" + name + "?v=" + x.version
	}
	return "/static/" + name
}

func (f *files) serve(w http.ResponseWriter, r *http.Request) {
	x := f.by[r.PathValue("file")]
	if x == nil {
		web.Fail(w, r, fault.New(fault.NotFound, "load file", "", "there is no such file"))
		return
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Type", x.kind)
	h.Set("Vary", "Accept-Encoding")
	tag := `"` + x.digest + `"`
	h.Set("Cache-Control", "public, no-cache")
	if r.URL.Query().Get("v") == x.version || strings.HasPrefix(r.PathValue("file"), "chunk-") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := x.plain
	if x.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		body, tag = x.zipped, `"`+x.digest+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.Copy(w, bytes.NewReader(body)) // whoever does not read it has gone
}
