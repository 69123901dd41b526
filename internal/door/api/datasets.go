package api

import (
	"net/http"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// datasetRoutes are those about datasets and their releases.
func (d *Door) datasetRoutes() []route {
	all := []route{
		{method: "POST", path: "/api/tickets", name: "makeTicket", text: "Make a ticket by which a program fetches releases in your name for so many days: a bearer token that opens what you are entitled to at that moment, and nothing else. It is in this answer alone.",
			takes: "NewTicket", gives: "Ticket", do: d.makeTicket},
		{method: "GET", path: "/api/datasets", public: true, name: "listDatasets", text: "Datasets with their releases: those that were published, and to who makes releases of a collection its drafts.", gives: "Dataset", list: true, query: []string{"of"}, do: d.datasets},
		{method: "POST", path: "/api/datasets", name: "createDataset", text: "Make a dataset: a collection's objects that its cohort describes, to be released version by version.", takes: "NewDataset", gives: "Dataset", do: d.createDataset},
		{method: "GET", path: "/api/datasets/{dataset}", public: true, name: "getDataset", text: "One dataset.", gives: "Dataset", do: d.dataset},
		{method: "PUT", path: "/api/datasets/{dataset}", name: "changeDataset", text: "Write what is said of a dataset anew. Versions that were frozen keep what was said then.", takes: "AboutDataset", gives: "Dataset", do: d.changeDataset},
		{method: "GET", path: "/api/datasets/{dataset}/comparison", name: "compareDataset", text: "How the cohort stands to the last version: who came, who is gone, who is left out and why.", gives: "Comparison", do: d.compareDataset},
		{method: "POST", path: "/api/datasets/{dataset}/releases", name: "freezeRelease", text: "Freeze the next version: read and hash everything that the cohort holds now and that consent and legal bases permit. It is a draft until it is published.",
			takes: "Freezing", gives: "Release", do: d.freeze},
		{method: "GET", path: "/api/datasets/{dataset}/releases/{version}", public: true, name: "getRelease", text: "One version; latest is the one in force.", gives: "Release", do: d.release},
		{method: "POST", path: "/api/datasets/{dataset}/releases/{version}/publication", name: "publishRelease", text: "Publish a draft: those who are entitled may have it, and the version before it is superseded.", gives: "Release", do: d.publishRelease},
		{method: "DELETE", path: "/api/datasets/{dataset}/releases/{version}", name: "discardDraft", text: "Forget a draft. What was published is taken back, not forgotten.", do: d.discardDraft},
		{method: "POST", path: "/api/datasets/{dataset}/releases/{version}/tombstone", name: "takeBackRelease", text: "Take a version back as a whole. Its page stays and says why.", takes: "NewTombstone", gives: "Release", do: d.takeBack},
		{method: "GET", path: "/api/datasets/{dataset}/releases/{version}/decision", name: "mayUseRelease", text: "Whether you may view, analyse or download a version, with the reason of every rule (docs/access.md).", gives: "Decision", query: []string{"want"}, do: d.mayUseRelease},
	}
	for f, media := range release.Formats() {
		text := "What the version is, for others: " + string(f) + "."
		if f.ForEntitled() {
			text = "The objects of the version: " + string(f) + ". To those who may view them."
		}
		all = append(all, route{method: "GET", path: "/api/datasets/{dataset}/releases/{version}/" + string(f), public: !f.ForEntitled(), name: "describe " + string(f), text: text, media: media, file: d.describe(f, media)})
	}
	return all
}

func (d *Door) makeTicket(r *request) (any, error) {
	var v struct {
		Days int `json:"days"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	text, until, err := d.Releases.Ticket(r.Context(), r.who, v.Days)
	return map[string]any{"ticket": text, "until": until}, err
}

func (d *Door) datasets(r *request) (any, error) {
	var c collection.ID
	if s := r.URL.Query().Get("of"); s != "" {
		var err error
		if c, err = collection.ParseID(s); err != nil {
			return nil, err
		}
	}
	return d.Releases.Datasets(r.Context(), r.who, c)
}

func (d *Door) createDataset(r *request) (any, error) {
	var v struct {
		ID         string        `json:"id"`
		Collection string        `json:"collection"`
		About      release.About `json:"about"`
	}
	if err := r.bodyOf(&v, 1<<20); err != nil {
		return nil, err
	}
	c, err := collection.ParseID(v.Collection)
	if err != nil {
		return nil, err
	}
	return d.Releases.Create(r.Context(), r.who, c, v.ID, v.About)
}

func (d *Door) dataset(r *request) (any, error) {
	return d.Releases.Dataset(r.Context(), r.who, r.PathValue("dataset"))
}

func (d *Door) changeDataset(r *request) (any, error) {
	var a release.About
	if err := r.bodyOf(&a, 1<<20); err != nil {
		return nil, err
	}
	return d.Releases.Change(r.Context(), r.who, r.PathValue("dataset"), a)
}

func (d *Door) compareDataset(r *request) (any, error) {
	return d.Releases.Compare(r.Context(), r.who, r.PathValue("dataset"))
}

func (d *Door) freeze(r *request) (any, error) {
	var v struct {
		Version string    `json:"version"`
		Accept  string    `json:"accept_risk"`
		Embargo time.Time `json:"embargo"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	return d.Releases.Freeze(r.Context(), r.who, r.PathValue("dataset"), release.Freezing{Version: v.Version, Accept: v.Accept, Embargo: v.Embargo})
}

func (d *Door) release(r *request) (any, error) {
	return d.Releases.Release(r.Context(), r.who, r.PathValue("dataset"), r.PathValue("version"))
}

func (d *Door) publishRelease(r *request) (any, error) {
	return d.Releases.Publish(r.Context(), r.who, r.PathValue("dataset"), r.PathValue("version"))
}

func (d *Door) discardDraft(r *request) (any, error) {
	return nil, d.Releases.Discard(r.Context(), r.who, r.PathValue("dataset"), r.PathValue("version"))
}

func (d *Door) takeBack(r *request) (any, error) {
	var v struct {
		Code   string `json:"code"`
		Reason string `json:"reason"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	return d.Releases.Bury(r.Context(), r.who, r.PathValue("dataset"), r.PathValue("version"), v.Code, v.Reason)
}

// wants are capabilities by their names.
var wants = map[string]access.Capability{"": access.Download, "view": access.View, "analyse": access.Analyse, "download": access.Download}

func (d *Door) mayUseRelease(r *request) (any, error) {
	want, ok := wants[r.URL.Query().Get("want")]
	if !ok {
		return nil, web.Refuse(http.StatusBadRequest, "read query", "the parameter want is none of view, analyse and download", "Give one of them.")
	}
	a, err := d.Releases.May(r.Context(), r.who, r.PathValue("dataset"), r.PathValue("version"), want)
	return a.Answer, err
}

// describe answers with a description.
func (d *Door) describe(f release.Format, media string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller := web.CallerOf(r)
		if f.ForEntitled() {
			var err error
			if caller, err = web.Known(r); err != nil {
				web.Fail(w, r, err)
				return
			}
		}
		out := &lazy{w: w, media: media}
		err := d.Releases.Describe(r.Context(), admin.Caller(caller), r.PathValue("dataset"), r.PathValue("version"), f, web.Base(r), out)
		if err == nil && !out.begun {
			err = fault.New(fault.Internal, "describe release", "", "nothing was written")
		}
		if err != nil {
			web.Fail(w, r, err)
		}
	}
}

// lazy sets the headers of an answer when its first byte is written: before that it may still become a failure.
type lazy struct {
	w     http.ResponseWriter
	media string
	begun bool
}

func (l *lazy) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		h := l.w.Header()
		h.Set("Content-Type", l.media)
		h.Set("Cache-Control", "private, no-store")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	return l.w.Write(p)
}
