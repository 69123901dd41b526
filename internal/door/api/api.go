// Package api is the door for administration over HTTP: health, metrics, and the management API under /api, described by /api/openapi.json.
//
// It promises: the description and the routes come from one table, so neither lacks what the other has; a body is read strictly, within 64 KiB; the
// answers are the same that the command line gives with --data, because both ask package admin. Nothing here names a patient: objects are told by their
// ordinals in a deposit.
//
// The table is written by hand. A framework would bring its own reading of requests and telling of errors, for two dozen routes that need neither.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/flow/people"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/flow/recall"
	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Parts are what the door works with.
type Parts struct {
	Desk     *admin.Desk
	Delivery *delivery.Delivery
	// Review decides on what is held; nil: the API has no routes of it.
	Review *review.Flow
	// Directory is the directory of collections; nil: the API has no routes of it.
	Directory *directoryflow.Desk
	Metrics   *Metrics
	Status    *status.Desk // nil: nobody is told
	// Reidentify tells two people together who a subject is; nil: the API has no routes of it.
	Reidentify *reidentify.Desk
	// Access is where data are asked for; nil: the API has no routes of it.
	Access *access.Desk
	// Recalls is where copies are called back; nil: the API has no routes of it.
	Recalls *recall.Desk
	// Releases is where releases are made; nil: the API has no routes of them.
	Releases *release.Desk
	// Consent is where people's wishes are handed in; nil: the API has no routes for it.
	Consent *consent.Desk
	// Links are those by which people outside send; nil: the API has no routes of them.
	Links *link.Desk
	// Pulls collects from other archives; nil: the API has no routes of it.
	Pulls *pullflow.Desk
	// Proof says what was done to what came; nil: the API has no routes of it.
	Proof *proof.Desk
	// Ready says why the node cannot serve now; nil: it can.
	Ready  func(ctx context.Context) error
	People *signin.Flow // nil: nobody signs in here
	Who    *people.Desk // with People
	// Checkpoint signs the audit log as it is now; nil: this node does not sign.
	Checkpoint func(ctx context.Context, who admin.Caller) (string, error)
	// Secret gives a gateway a collection's secret, in base64; nil: the API has no routes for gateways.
	Secret  func(ctx context.Context, who admin.Caller, id collection.ID) (string, error)
	Name    string // what the node is called
	Version string
}

// Door is safe for use by many goroutines.
type Door struct{ Parts }

// New makes the door.
func New(p Parts) *Door { return &Door{p} }

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	mux.HandleFunc("GET /healthz", d.healthz)
	mux.HandleFunc("GET /readyz", d.readyz)
	if d.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(d.Metrics.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	}
	mux.HandleFunc("GET /api/openapi.json", d.openapi)
	for _, r := range d.routes() {
		h := d.handler(r)
		if r.file != nil {
			h = r.file
		}
		mux.HandleFunc(r.method+" "+r.path, h)
	}
}

// healthz says that the process answers.
func (d *Door) healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says that it can do its work.
func (d *Door) readyz(w http.ResponseWriter, r *http.Request) {
	if d.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := d.Ready(ctx); err != nil {
			web.Fail(w, r, fault.New(fault.Unavailable, "serve", "", "a part that the node needs does not answer"))
			return
		}
	}
	plain(w, http.StatusOK, map[string]string{"status": "ready"})
}

func plain(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // every answer is made of plain fields
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)+1))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // whoever does not read it has gone
}

// request is a request with its caller.
type request struct {
	*http.Request
	who   admin.Caller
	given delivery.Caller
}

// handler runs a route: it asks who is there, answers what comes back, and tells what went wrong.
func (d *Door) handler(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller := web.CallerOf(r)
		if !rt.public {
			var err error
			if caller, err = web.Known(r); err != nil {
				web.Fail(w, r, err)
				return
			}
		}
		v, err := rt.do(&request{r, admin.Caller(caller), delivery.Caller(caller)})
		switch {
		case err != nil:
			web.Fail(w, r, err)
		case v == nil:
			w.Header().Set("Cache-Control", "private, no-store")
			w.WriteHeader(http.StatusNoContent)
		case rt.method == http.MethodPost:
			plain(w, http.StatusCreated, v)
		default:
			plain(w, http.StatusOK, v)
		}
	}
}

const maxBody = 64 << 10

// body reads the JSON of a request: one value, no field that is unknown. What is wrong with it is told without repeating it: it may hold a secret.
func (r *request) body(v any) error { return r.bodyOf(v, maxBody) }

// bodyOf is body with another limit.
func (r *request) bodyOf(v any, limit int64) error {
	const attempt = "read request"
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return web.Refuse(http.StatusUnsupportedMediaType, attempt, "the body is not application/json", "Send JSON, and say so in Content-Type.")
	}
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, limit))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("more")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	reason := "the body is not the JSON that this address takes"
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		reason = "the field " + e.Field + " of the body has another type"
	}
	return web.Refuse(http.StatusBadRequest, attempt, reason, "Look at /api/openapi.json for what it takes.")
}

// number reads a number of the query.
func (r *request) number(name string, otherwise int64) (int64, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, web.Refuse(http.StatusBadRequest, "read query", "the parameter "+name+" is no number", "Give a whole number of zero or more.")
	}
	return n, nil
}

const maxPage = 10_000

// limit reads how many to list.
func (r *request) limit() (int, error) {
	n, err := r.number("limit", 1000)
	return int(min(max(n, 1), maxPage)), err
}

// collection reads the collection of the path, or of the query.
func (r *request) collection() (collection.ID, error) {
	v := r.PathValue("collection")
	if v == "" {
		v = r.URL.Query().Get("collection")
	}
	id, err := collection.ParseID(v)
	if err != nil && r.PathValue("collection") != "" {
		return "", fault.New(fault.NotFound, "find collection", "", "there is no such collection")
	}
	return id, err
}
