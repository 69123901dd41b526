// Package drs gives objects of releases by the Data Repository Service of GA4GH, version 1.5.0 (ga4gh.github.io/data-repository-service-schemas), to those who are entitled to them.
//
// It promises: every answer about an object is decided on by flow/release; an object that is gone answers 410; what is served can be taken up where it broke off (RFC 9110 14), and is what its checksum says; nobody on the way
// may keep it.
//
// Passports (POST of an object) are not taken: an entitlement is the node's own.
package drs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
)

// Parts are what the door works with.
type Parts struct {
	Releases *release.Desk
	Name     string // what the node is called
	Version  string // of the program
	Log      *slog.Logger
}

// Door is safe for use by many goroutines.
type Door struct{ Parts }

// New makes the door.
func New(p Parts) *Door { return &Door{p} }

const root = "/ga4gh/drs/v1"

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	mux.HandleFunc("GET "+root+"/service-info", d.info)
	mux.HandleFunc("OPTIONS "+root+"/objects/{object}", d.options)
	mux.HandleFunc("GET "+root+"/objects/{object}", d.object)
	mux.HandleFunc("GET "+root+"/objects/{object}/access/{access}", d.access)
	mux.HandleFunc("GET "+root+"/objects/{object}/file", d.file)
}

func answer(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // every answer is made of plain fields
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // whoever does not read it has gone
}

// fail answers as DRS has it: {"status_code", "msg"}.
func (d *Door) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, release.ErrGone) {
		answer(w, http.StatusGone, map[string]any{"status_code": http.StatusGone, "msg": "This object is served no more: its person has withdrawn, or what held it was taken back. Delete what you have of it; a later version of the release lacks it."})
		return
	}
	p, more := web.ProblemTo(r, err)
	for k, v := range more {
		w.Header()[k] = v
	}
	msg := p.Detail
	if p.Advice != "" {
		msg += " " + p.Advice
	}
	answer(w, p.Status, map[string]any{"status_code": p.Status, "msg": msg})
}

// info is the service's description (GA4GH service-info 1.0.0).
func (d *Door) info(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, map[string]any{"id": "vitrine.drs", "name": d.Name + ": objects of releases", "type": map[string]string{"group": "org.ga4gh", "artifact": "drs", "version": "1.5.0"},
		"organization": map[string]string{"name": d.Name, "url": web.Base(r)}, "version": d.Version, "drs": map[string]any{"maxBulkRequestLength": 1}, "maxBulkRequestLength": 1})
}

// options says which credential to send (DRS 1.5.0, OptionsObject).
func (d *Door) options(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, OPTIONS")
	answer(w, http.StatusOK, map[string]any{"drs_object_id": r.PathValue("object"), "supported_types": []string{"BearerAuth"}, "bearer_auth_issuers": []string{web.Base(r)}})
}

func (d *Door) object(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	o, err := d.Releases.Find(r.Context(), admin.Caller(caller), r.PathValue("object"), access.Download)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	base := web.Base(r)
	host := base[strings.Index(base, "://")+3:]
	created := o.Of.Published
	if created.IsZero() {
		created = o.Of.Frozen
	}
	answer(w, http.StatusOK, map[string]any{"id": o.DRS, "self_uri": "drs://" + host + "/" + o.DRS, "size": o.Size, "created_time": created.UTC().Format(time.RFC3339), "version": o.Of.Version, "mime_type": o.Format,
		"name": o.Path[strings.LastIndexByte(o.Path, '/')+1:], "description": "An object of the release " + o.Of.Name() + ".",
		"checksums":      []map[string]string{{"type": "sha-256", "checksum": o.SHA256}},
		"access_methods": []map[string]any{{"type": "https", "access_id": "file", "authorizations": map[string]any{"supported_types": []string{"BearerAuth"}, "bearer_auth_issuers": []string{base}}}}})
}

// access gives an address that opens the object for a while without a token.
func (d *Door) access(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err == nil && r.PathValue("access") != "file" {
		err = fault.New(fault.NotFound, "find access method", "", "the object has no access of that name: its access_methods list them")
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	o, err := d.Releases.Find(r.Context(), admin.Caller(caller), r.PathValue("object"), access.Download)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"url": web.Base(r) + root + "/objects/" + o.DRS + "/file?" + d.Releases.Sign(admin.Caller(caller), o.DRS)})
}

// file gives the object's bytes: to a token, or by a signed address. It can be taken up at any byte.
func (d *Door) file(w http.ResponseWriter, r *http.Request) {
	id, q := r.PathValue("object"), r.URL.Query()
	var who admin.Caller
	if sig := q.Get("sig"); sig != "" {
		var err error
		if who, err = d.Releases.Signed(id, q.Get("for"), q.Get("until"), sig); err != nil {
			d.fail(w, r, err)
			return
		}
	} else {
		caller, err := web.Known(r)
		if err != nil {
			d.fail(w, r, err)
			return
		}
		who = admin.Caller(caller)
	}
	o, err := d.Releases.Open(r.Context(), who, id, access.Download)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	defer o.Close()
	from, err := begin(r, o.Size, `"`+o.SHA256+`"`)
	h := w.Header()
	h.Set("Cache-Control", "private, no-store")
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+o.SHA256+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(o.Size, 10))
		d.fail(w, r, err)
		return
	}
	h.Set("Content-Type", o.Format)
	h.Set("Content-Disposition", `attachment; filename="`+o.DRS+`.dcm"`)
	h.Set("Content-Length", strconv.FormatInt(o.Size-from, 10))
	code := http.StatusOK
	if from > 0 {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, o.Size-1, o.Size))
		code = http.StatusPartialContent
	}
	w.WriteHeader(code)
	if err := o.Delivered().WriteFile(&rest{w, from}); err != nil {
		web.Fail(w, r, err) // what has begun is cut, never short
	}
}

// begin is where an answer begins: a range from a byte to the end is what taking up a download needs (RFC 9110 14.2). A range of another form is answered whole, as a server may.
func begin(r *http.Request, size int64, tag string) (int64, error) {
	s, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ok || r.Header.Get("If-Range") != "" && r.Header.Get("If-Range") != tag {
		return 0, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(s), "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || err != nil || n < 0 || last != "" && last != strconv.FormatInt(size-1, 10) {
		return 0, nil
	}
	if n >= size {
		return 0, web.Refuse(http.StatusRequestedRangeNotSatisfiable, "read range", "the object ends before that", "Compare its size: perhaps you have it whole.")
	}
	return n, nil
}

// rest drops so many bytes of what is written first.
type rest struct {
	w    io.Writer
	drop int64
}

func (r *rest) Write(p []byte) (int, error) {
	n := int(min(r.drop, int64(len(p))))
	if r.drop -= int64(n); n == len(p) {
		return n, nil
	}
	m, err := r.w.Write(p[n:])
	return n + m, err
}
