// Package dicomweb is the door for DICOMweb (PS3.18): QIDO-RS finds, WADO-RS gives out, STOW-RS takes in. Each service stands at /dicomweb for all that
// the caller may see, and at /collections/{id}/dicomweb for one collection. docs/conformance.md says what is supported, to the parameter.
//
// It promises: bodies pass as streams with bounded memory, in both directions; what goes out is what is kept, unless the plain form of it is asked for; an answer that
// fails on its way is cut, never short; every instance of a deposit gets its own answer, with the sender's UIDs; answers are not stored by anybody on
// the way (Cache-Control: private, no-store).
//
// It decides nothing about who may see what: package delivery does, object by object. It keeps nothing: package custody does.
package dicomweb

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Parts are what the door works with.
type Parts struct {
	Delivery *delivery.Delivery
	// Begin opens a deposit into a collection; actor names who deposits.
	Begin func(ctx context.Context, id collection.ID, actor string) (Deposit, error)
	Log   *slog.Logger
	// Base is the address that the node is reached at, without a path: "https://images.example.org". Empty: what each request was sent to.
	Base string
}

// Door is safe for use by many goroutines.
type Door struct {
	Parts
	parts   *semaphore.Weighted
	models  *semaphore.Weighted
	buffers sync.Pool
}

// New makes the door.
func New(p Parts) *Door {
	d := &Door{Parts: p, parts: newPartMemory(), models: semaphore.NewWeighted(modelsAtOnce)}
	d.buffers.New = func() any { b := make([]byte, 0, 64<<10); return &b }
	return d
}

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	for _, at := range []string{"/dicomweb", "/collections/{collection}/dicomweb"} {
		for pattern, h := range map[string]http.HandlerFunc{
			"GET /studies":                                                                        d.searchStudies,
			"GET /studies/{study}/series":                                                         d.searchSeries,
			"GET /series":                                                                         d.searchSeries,
			"GET /studies/{study}/instances":                                                      d.searchInstances,
			"GET /studies/{study}/series/{series}/instances":                                      d.searchInstances,
			"GET /instances":                                                                      d.searchInstances,
			"GET /studies/{study}":                                                                d.objects,
			"GET /studies/{study}/series/{series}":                                                d.objects,
			"GET /studies/{study}/series/{series}/instances/{instance}":                           d.objects,
			"GET /studies/{study}/metadata":                                                       d.metadata,
			"GET /studies/{study}/series/{series}/metadata":                                       d.metadata,
			"GET /studies/{study}/series/{series}/instances/{instance}/metadata":                  d.metadata,
			"GET /studies/{study}/series/{series}/instances/{instance}/frames/{frames}":           d.frames,
			"GET /studies/{study}/series/{series}/instances/{instance}/bulkdata/{element...}":     d.bulk,
			"GET /studies/{study}/bulkdata":                                                       d.bulkData,
			"GET /studies/{study}/pixeldata":                                                      d.pixelData,
			"GET /studies/{study}/series/{series}/bulkdata":                                       d.bulkData,
			"GET /studies/{study}/series/{series}/pixeldata":                                      d.pixelData,
			"GET /studies/{study}/series/{series}/instances/{instance}/bulkdata":                  d.bulkData,
			"GET /studies/{study}/series/{series}/instances/{instance}/pixeldata":                 d.pixelData,
			"GET /studies/{study}/thumbnail":                                                      d.thumbnail,
			"GET /studies/{study}/rendered":                                                       d.rendered,
			"GET /studies/{study}/series/{series}/thumbnail":                                      d.thumbnail,
			"GET /studies/{study}/series/{series}/rendered":                                       d.rendered,
			"GET /studies/{study}/series/{series}/instances/{instance}/thumbnail":                 d.thumbnail,
			"GET /studies/{study}/series/{series}/instances/{instance}/rendered":                  d.rendered,
			"GET /studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered":  d.rendered,
			"GET /studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail": d.thumbnail,
			"POST /studies":         d.store,
			"POST /studies/{study}": d.store,
		} {
			method, path := pattern[:4], pattern[4:]
			if pattern[3] != ' ' {
				method, path = pattern[:5], pattern[5:]
			}
			mux.HandleFunc(method+at+path, h)
		}
	}
}

// rootOf is the address of the service for one collection: the same study may lie in several, and what is found must lead to itself.
func (d *Door) rootOf(r *http.Request, c collection.ID) string {
	return d.base(r) + "/collections/" + string(c) + "/dicomweb"
}

func (d *Door) base(r *http.Request) string {
	base := d.Base
	if base == "" {
		base = "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
	}
	return base
}

// place reads what a path names.
func place(r *http.Request) (delivery.Place, error) {
	var p delivery.Place
	var err error
	if c := r.PathValue("collection"); c != "" {
		if p.Collection, err = collection.ParseID(c); err != nil {
			return p, fault.New(fault.NotFound, "find collection", "", "there is no such collection")
		}
	}
	read := func(name string, set func(string) error) {
		if v := r.PathValue(name); v != "" && err == nil {
			err = set(v)
		}
	}
	read("study", func(v string) (e error) { p.Study, e = catalogue.ParseUID[catalogue.StudyUID](v); return })
	read("series", func(v string) (e error) { p.Series, e = catalogue.ParseUID[catalogue.SeriesUID](v); return })
	read("instance", func(v string) (e error) { p.SOP, e = catalogue.ParseUID[catalogue.SOPUID](v); return })
	return p, err
}

func uid(s string) (string, error) {
	u, err := catalogue.ParseUID[catalogue.StudyUID](s)
	return string(u), err
}

// asked is who asks and for what; an anonymous caller gets no further.
func asked(r *http.Request) (delivery.Caller, delivery.Place, error) {
	caller, err := web.Known(r)
	if err != nil {
		return delivery.Caller{}, delivery.Place{}, err
	}
	p, err := place(r)
	return delivery.Caller(caller), p, err
}

// private marks an answer that nobody on the way may keep: a withdrawal has to reach the last byte.
func private(h http.Header) {
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
