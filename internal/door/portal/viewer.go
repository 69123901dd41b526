package portal

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	ui "github.com/vitrine-imaging/vitrine/web"
)

// viewerPolicy is the content policy of the viewer, which is other people's work: it sets styles from script, compiles WebAssembly, and starts workers from
// blobs. It loads nothing from elsewhere either.
const viewerPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; " +
	"connect-src 'self' data: blob:; worker-src 'self' blob:; manifest-src 'self'; media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// decoderPolicy is that of the worker that decodes pixels: the glue of its WebAssembly makes functions of text. It has no document, and reaches this node alone.
const decoderPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; connect-src 'self'"

// decoder is the comment that web/internal/viewerpack gives that worker's script in the archive.
const decoder = "decoder"

// viewer serves OHIF out of the archive that web/internal/viewerpack makes. Its files stay compressed: a browser gets them as they lie there.
type viewer struct {
	files   map[string]*zip.File
	main    string // the script that starts it
	hanging []byte // what is added to its configuration
}

func openViewer() (*viewer, error) {
	v := &viewer{files: map[string]*zip.File{}}
	var err error
	if v.hanging, err = fs.ReadFile(ui.Viewer(), "hanging.js"); err != nil {
		return nil, err
	}
	f, err := ui.Bundle().Open("ohif.zip")
	if err != nil {
		return v, nil //nolint:nilerr // built without it: pages say so
	}
	// Read where it lies in the binary, not copied into memory.
	at, ok := f.(io.ReaderAt)
	info, err := f.Stat()
	if err != nil || !ok {
		return nil, errors.Join(err, errors.New("the viewer's archive cannot be read in place"))
	}
	z, err := zip.NewReader(at, info.Size())
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		v.files[f.Name] = f
		if strings.HasPrefix(f.Name, "app.bundle.") && path.Ext(f.Name) == ".js" {
			v.main = f.Name
		}
	}
	return v, nil
}

func (d *Door) registerViewer(mux web.Routes) {
	mux.HandleFunc("GET /viewer/{file...}", d.serveViewer)
}

// modes are the pages of the viewer, as its router knows them.
var modes = map[string]bool{"viewer": true, "segmentation": true, "tmtv": true, "": true}

var digested = regexp.MustCompile(`[.-][0-9a-f]{16}\.|^[0-9a-f]{16}\.`)

func (d *Door) serveViewer(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	switch {
	case modes[name]:
		d.viewerPage(w, r)
		return
	case name == "app-config.js":
		d.viewerConfig(w, r)
		return
	}
	f := d.viewer.files[name]
	if f == nil {
		web.Fail(w, r, fault.New(fault.NotFound, "load viewer", "", "the viewer has no such file"))
		return
	}
	h := w.Header()
	kind := mime.TypeByExtension(path.Ext(name))
	if path.Ext(name) == ".wasm" {
		kind = "application/wasm"
	}
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", viewerPolicy) // workers have the policy of their own file
	if f.Comment == decoder {
		h.Set("Content-Security-Policy", decoderPolicy)
	}
	h.Set("Vary", "Accept-Encoding")
	// A name holds the digest of what its makers built, and some of that is mended here: so what is kept is asked for again after a day, and by its own digest.
	h.Set("Cache-Control", "public, max-age=3600")
	if digested.MatchString(name) {
		h.Set("Cache-Control", "public, max-age=86400")
	}
	tag := fmt.Sprintf(`"%08x-%x"`, f.CRC32, f.UncompressedSize64)
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if f.Method == zip.Deflate && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		d.gzipped(w, f)
		return
	}
	x, err := f.Open()
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	defer x.Close()
	h.Set("Content-Length", strconv.FormatUint(f.UncompressedSize64, 10))
	_, _ = io.Copy(w, x) // whoever does not read it has gone
}

// gzipped sends an entry as a member of gzip (RFC 1952): the same compressed bytes between another head and tail.
func (d *Door) gzipped(w http.ResponseWriter, f *zip.File) {
	raw, err := f.OpenRaw()
	if err != nil {
		panic(err) // the archive was opened from memory
	}
	head := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255}
	tail := binary.LittleEndian.AppendUint32(nil, f.CRC32)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(f.UncompressedSize64))
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Length", strconv.FormatUint(f.CompressedSize64+uint64(len(head)+len(tail)), 10))
	_, _ = io.Copy(w, io.MultiReader(bytes.NewReader(head), raw, bytes.NewReader(tail))) // whoever does not read it has gone
}

var viewerHTML = template.Must(template.New("viewer").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Viewer - Vitrine</title><meta name="robots" content="noindex">
<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/viewer/app.bundle.css">
<script src="/viewer/app-config.js{{with .Collection}}?collection={{.}}{{end}}"></script>
<script defer src="/viewer/{{.Main}}?v={{.Version}}"></script></head>
<body><noscript>The viewer needs script. The study's page shows each picture without it.</noscript><div id="root"></div></body></html>
`))

func (d *Door) viewerPage(w http.ResponseWriter, r *http.Request) {
	if _, err := web.Known(r); err != nil {
		d.problem(w, &request{Request: r, caller: web.CallerOf(r), w: w}, err)
		return
	}
	if d.viewer.main == "" {
		web.Fail(w, r, web.Refuse(http.StatusNotImplemented, "open viewer", "this node was built without the viewer", "Build it with npm at hand: make web build. The study's page shows each picture without it."))
		return
	}
	c, err := collection.ParseID(r.URL.Query().Get("collection"))
	if err != nil {
		c = ""
	}
	var b bytes.Buffer
	version := strconv.FormatUint(uint64(d.viewer.files[d.viewer.main].CRC32), 16)
	if err := viewerHTML.Execute(&b, struct{ Main, Version, Collection string }{d.viewer.main, version, string(c)}); err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "private, no-store")
	secure(h)
	h.Set("Content-Security-Policy", viewerPolicy)
	_, _ = w.Write(b.Bytes()) // whoever does not read it has gone
}

// viewerConfig tells the viewer where its images are: in this node, and of one collection if the page names it.
func (d *Door) viewerConfig(w http.ResponseWriter, r *http.Request) {
	root := "/dicomweb"
	if c, err := collection.ParseID(r.URL.Query().Get("collection")); err == nil {
		root = "/collections/" + string(c) + "/dicomweb"
	}
	config := map[string]any{
		"routerBasename": "/viewer", "extensions": []any{}, "modes": []string{}, "showStudyList": false, "maxNumberOfWebWorkers": 3,
		"showWarningMessageForCrossOrigin": false, "showCPUFallbackMessage": false, "strictZSpacingForVolumeViewport": true,
		"customizationService": map[string]any{"ohif.tours": map[string]any{"$set": []string{}}}, "investigationalUseDialog": map[string]any{"option": "never"}, "defaultDataSourceName": "vitrine",
		"dataSources": []any{map[string]any{
			"namespace": "@ohif/extension-default.dataSourcesModule.dicomweb", "sourceName": "vitrine",
			"configuration": map[string]any{
				"friendlyName": "Vitrine", "name": "vitrine", "qidoRoot": root, "wadoRoot": root, "wadoUriRoot": root, "qidoSupportsIncludeField": true,
				"imageRendering": "wadors", "thumbnailRendering": "thumbnail", "enableStudyLazyLoad": true, "supportsFuzzyMatching": true, "supportsWildcard": true,
				"supportsReject": false, "dicomUploadEnabled": false, "omitQuotationForMultipartRequest": true, "bulkDataURI": map[string]any{"enabled": true},
			},
		}},
	}
	b, err := json.Marshal(config)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	_, _ = w.Write(slices.Concat([]byte("window.PUBLIC_URL=\"/viewer/\";window.browserImportFunction=n=>import(n);window.config="), b, []byte(";\n"), d.viewer.hanging)) // whoever does not read it has gone
}
