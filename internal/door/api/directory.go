package api

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

func (d *Door) directoryRoutes() []route {
	return []route{
		{method: "GET", path: "/api/search", public: true, name: "searchDirectory",
			text: "Search the directory: a page of published collections, with every facet's counts and what was understood of the text. Numbers of people are published ones.", gives: "Found",
			query: searchParameters(), do: d.search},
		{method: "GET", path: "/api/directory", name: "listEntries", text: "The newest revisions of all directory entries that the caller may write.", gives: "DirectoryEntry", list: true, do: d.entries},
		{method: "POST", path: "/api/directory/import", name: "importEntries",
			text: "Read descriptions of collections and store them as entries. With draft=true nothing is stored: the answer says what would be, and what was not understood.", gives: "Import",
			query: []string{"format", "draft", "update", "publish", "note", "id", "collection"}, sends: []string{"text/csv", "application/json", "application/ld+json"}, do: d.importEntries},
		{method: "POST", path: "/api/directory/counts", name: "countPeople", text: "Count people now, by the same rules as every night.", gives: "Counting", do: d.countPeople},
		{method: "GET", path: "/api/collections/{collection}/risk", name: "measureRisk",
			text:  "How far the people of a collection are alike in what is told of them (k-anonymity), who is singled out by which fields, and which coarser fields would mend it.",
			gives: "Risk", query: []string{"k"}, do: d.risk},
		{method: "GET", path: "/api/directory/{entry}", public: true, name: "getEntry", text: "A directory entry: its newest revision for who may write it, what is published for everybody else.", gives: "DirectoryEntry",
			query: []string{"draft"}, do: d.entry},
		{method: "PUT", path: "/api/directory/{entry}", name: "putEntry", text: "Store a revision of an entry, and publish it if it says so.", takes: "NewRevision", gives: "DirectoryEntry", do: d.putEntry},
		{method: "GET", path: "/api/directory/{entry}/export", public: true, name: "exportEntry", text: "A published entry as hdruk, cruk, dcat, miabis, schema.org or csv.", query: []string{"format"}, file: d.exportEntry,
			media: "application/json"},
		{method: "GET", path: "/api/directory/{entry}/use", public: true, name: "matchUse",
			text:  "Whether what somebody wants to do is what a collection's data may be used for, by which rules, and what would help. It is a question: nothing is kept of it and nothing granted.",
			query: directoryflow.PurposeParameters(), gives: "Use", do: d.mayUse},
		{method: "PUT", path: "/api/directory/{entry}/publication", name: "publishEntry", text: "Show a revision to everybody.", takes: "Publication", gives: "DirectoryEntry", do: d.publishEntry},
		{method: "DELETE", path: "/api/directory/{entry}/publication", name: "retireEntry", text: "Take an entry out of the directory. Its revisions stay.", do: d.retireEntry},
	}
}

func (d *Door) risk(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	k, err := r.number("k", 5)
	if err != nil {
		return nil, err
	}
	return d.Directory.Risk(r.Context(), r.who, id, int(min(k, directoryflow.MostAlike+1)))
}

func (r *request) entry() (directory.ID, error) {
	id, err := directory.ParseID(r.PathValue("entry"))
	if err != nil {
		return "", fault.New(fault.NotFound, "find directory entry", "", "there is no such entry")
	}
	return id, nil
}

func (d *Door) mayUse(r *request) (any, error) {
	id, err := r.entry()
	if err != nil {
		return nil, err
	}
	p, err := directoryflow.ReadPurpose(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return d.Directory.MayUse(r.Context(), r.who, id, p)
}

// truth reads a yes or no of the query.
func (r *request) truth(name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	yes, err := strconv.ParseBool(v)
	if err != nil {
		return false, web.Refuse(http.StatusBadRequest, "read query", "the parameter "+name+" is neither true nor false", "Give one of the two, or leave it out.")
	}
	return yes, nil
}

func (d *Door) countPeople(r *request) (any, error) {
	n, err := d.Directory.Count(r.Context(), r.who)
	return directoryflow.ViewCounting(n), err
}

func (d *Door) entries(r *request) (any, error) {
	all, err := d.Directory.Drafts(r.Context(), r.who)
	views := make([]directoryflow.EntryView, len(all))
	for i, s := range all {
		views[i] = directoryflow.ViewStored(s)
	}
	return views, err
}

// newest is the newest revision for who may write the entry, else what is published.
func (d *Door) newest(r *request, id directory.ID) (directoryflow.View, error) {
	v, err := d.Directory.Draft(r.Context(), r.who, id)
	if fault.Is(err, fault.NotFound) {
		return d.Directory.Entry(r.Context(), r.who, id)
	}
	return v, err
}

func (d *Door) entry(r *request) (any, error) {
	id, err := r.entry()
	if err != nil {
		return nil, err
	}
	draft, err := r.truth("draft")
	if err != nil {
		return nil, err
	}
	var v directoryflow.View
	if draft || r.URL.Query().Get("draft") == "" {
		v, err = d.newest(r, id)
	} else {
		v, err = d.Directory.Entry(r.Context(), r.who, id)
	}
	if err != nil {
		return nil, err
	}
	return directoryflow.ViewEntry(v), nil
}

func (d *Door) putEntry(r *request) (any, error) {
	id, err := r.entry()
	if err != nil {
		return nil, err
	}
	var body directoryflow.NewRevision
	if err := r.bodyOf(&body, directory.MaxDocument); err != nil {
		return nil, err
	}
	v, err := d.Directory.Put(r.Context(), r.who, id, body)
	if err != nil {
		return nil, err
	}
	return directoryflow.ViewEntry(v), nil
}

func (d *Door) publishEntry(r *request) (any, error) {
	id, err := r.entry()
	if err != nil {
		return nil, err
	}
	var body struct {
		Revision int64 `json:"revision"`
	}
	if err := r.body(&body); err != nil {
		return nil, err
	}
	v, err := d.Directory.PublishNewest(r.Context(), r.who, id, body.Revision)
	if err != nil {
		return nil, err
	}
	return directoryflow.ViewEntry(v), nil
}

func (d *Door) retireEntry(r *request) (any, error) {
	id, err := r.entry()
	if err != nil {
		return nil, err
	}
	return nil, d.Directory.Retire(r.Context(), r.who, id)
}

func (d *Door) importEntries(r *request) (any, error) {
	q := r.URL.Query()
	how, what := directoryflow.Taking{Note: q.Get("note")}, directoryflow.Source{Format: directoryflow.Format(q.Get("format")), ID: directory.ID(q.Get("id")), Collection: q.Get("collection")}
	draft, err := r.truth("draft")
	if err == nil {
		how.Update, err = r.truth("update")
	}
	if err == nil {
		how.Publish, err = r.truth("publish")
	}
	if err != nil {
		return nil, err
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "text/csv" && mt != "application/json" && mt != "application/ld+json" {
		return nil, web.Refuse(http.StatusUnsupportedMediaType, "import descriptions", "the body is not a table or JSON", "Send text/csv, application/json or application/ld+json, and say so in Content-Type.")
	}
	return d.Directory.ReadAndImport(r.Context(), r.who, what, io.LimitReader(r.Body, directory.MaxImport+1), how, draft)
}

// exportEntry gives a published entry as a file.
func (d *Door) exportEntry(w http.ResponseWriter, r *http.Request) {
	id, err := directory.ParseID(r.PathValue("entry"))
	var b []byte
	format := directoryflow.Format(r.URL.Query().Get("format"))
	if err == nil {
		base := web.Base(r)
		b, err = d.Directory.Export(r.Context(), admin.Caller(web.CallerOf(r)), id, format, directory.Site{Base: base, Name: cmp.Or(d.Name, base)})
	} else {
		err = fault.New(fault.NotFound, "find directory entry", "", "there is no such entry")
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", format.MediaType())
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}
