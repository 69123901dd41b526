package portal

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerDatasets(mux web.Routes) {
	mux.HandleFunc("GET /datasets", d.page(d.datasets))
	mux.HandleFunc("GET /datasets/{dataset}", d.page(d.dataset))
	mux.HandleFunc("POST /datasets/{dataset}", d.page(d.freezeDataset))
	mux.HandleFunc("GET /datasets/{dataset}/edit", d.page(d.editDataset))
	mux.HandleFunc("POST /datasets/{dataset}/edit", d.page(d.changeDataset))
	mux.HandleFunc("GET /datasets/{dataset}/{version}", d.page(d.release))
	mux.HandleFunc("POST /datasets/{dataset}/{version}", d.page(d.actOnRelease))
	mux.HandleFunc("GET /collections/{collection}/dataset", d.page(d.newDataset))
	mux.HandleFunc("POST /collections/{collection}/dataset", d.page(d.createDataset))
}

// makesReleases reports whether the reader makes releases of a collection.
func (r *request) makesReleases(c string) bool {
	return policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.MakeRelease, Collection: c}).Allow
}

// datasetLine is a dataset in a list.
type datasetLine struct {
	release.DatasetView
	Latest *release.ReleaseView // that is given; nil: none is
	Draft  *release.ReleaseView
}

// datasetsOf are the datasets of a collection that the reader may see.
func (d *Door) datasetsOf(r *request, c string) (lines []datasetLine, err error) {
	if d.Releases == nil || c == "" {
		return nil, nil
	}
	all, err := d.Releases.Datasets(r.Context(), r.admin(), collection.ID(c))
	for _, v := range all {
		lines = append(lines, lineOf(v))
	}
	return lines, err
}

func lineOf(v release.DatasetView) datasetLine {
	l := datasetLine{DatasetView: v}
	for i := range v.Releases {
		switch x := &v.Releases[i]; {
		case x.State == "draft" && l.Draft == nil:
			l.Draft = x
		case (x.State == "published" || x.State == "amended") && l.Latest == nil:
			l.Latest = x
		}
	}
	return l
}

type datasetsPage struct {
	Datasets []datasetLine
	Of       string // of which collection alone
	MayMake  []string
}

func (d *Door) datasets(r *request) (*page, error) {
	var c collection.ID
	if s := r.URL.Query().Get("of"); s != "" {
		var err error
		if c, err = collection.ParseID(s); err != nil {
			return nil, fault.New(fault.NotFound, "list datasets", "", "there is no such collection")
		}
	}
	all, err := d.Releases.Datasets(r.Context(), r.admin(), c)
	if err != nil {
		return nil, err
	}
	p := datasetsPage{Of: string(c)}
	for _, v := range all {
		p.Datasets = append(p.Datasets, lineOf(v))
	}
	if !r.caller.Anonymous() {
		mine, err := d.mine(r)
		if err != nil {
			return nil, err
		}
		for _, x := range mine {
			if r.makesReleases(string(x.ID)) && (c == "" || c == x.ID) {
				p.MayMake = append(p.MayMake, string(x.ID))
			}
		}
	}
	return &page{file: "datasets", title: "Datasets", about: "Versions of images for research: what is in each, how to cite it and how to get it.", section: "/", help: "get", data: p}, nil
}

// collectionOf is what a page of a dataset says of the collection that it is made of.
type collectionOf struct {
	Title, Address string
	Ask            string // where data are asked for; empty: nowhere
	Condition      string
}

func (d *Door) collectionOf(r *request, id string) (v collectionOf, err error) {
	v.Title = id
	e, err := d.Directory.OfCollection(r.Context(), r.admin(), collection.ID(id))
	switch {
	case err == nil:
		v.Title, v.Address = e.Stored.Entry.Title, "/directory/"+string(e.ID)
		a := accessOf(&e.Stored.Entry, v.Address)
		if v.Condition = a.Condition; d.Access != nil && e.Stored.Entry.Access.Service != "open" {
			v.Ask = a.Ask
		}
	case !fault.Is(err, fault.NotFound):
		return v, err
	}
	if v.Address == "" && r.caller.Knows(id) {
		v.Address = "/collections/" + id
	}
	return v, nil
}

type datasetPage struct {
	datasetLine
	Address, Command string
	Of               collectionOf
	Cohort           []fact
	Citation         string // CITATION.cff
	Formats          []exportLink
	// To who makes releases.
	Makes    bool
	Compared *release.Comparison
	Running  *freezingView
	Error    string
	Written  url.Values
}

// freezingView is a version that is being frozen.
type freezingView struct {
	Objects int64
	Since   time.Time
}

func (d *Door) dataset(r *request) (*page, error) { return d.datasetWith(r, nil) }

// datasetWith draws a dataset, with what is wrong with the form by which it is frozen.
func (d *Door) datasetWith(r *request, failure error) (*page, error) {
	v, err := d.Releases.Dataset(r.Context(), r.admin(), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	p := &datasetPage{datasetLine: lineOf(v), Address: "/datasets/" + v.ID, Cohort: cohortWords(&v.About), Makes: r.makesReleases(v.Collection), Written: url.Values{}}
	if p.Of, err = d.collectionOf(r, v.Collection); err != nil {
		return nil, err
	}
	if p.Latest != nil {
		p.Command = "vitrine get " + v.ID + "@latest --to DIR --server " + web.Base(r.Request) + " --sign-in"
		p.Citation = d.described(r, p.Latest, release.CitationCFF)
		p.Formats = formatsOf(p.Latest, p.Makes)
	}
	out := &page{file: "dataset", title: v.About.Title, section: "/", help: "get", data: p}
	if p.Latest != nil {
		out.about = v.About.Abstract
	}
	if !p.Makes {
		return out, nil
	}
	if f := d.freezings.of(v.ID); f != nil {
		if err, over := f.outcome(); !over {
			p.Running = &freezingView{f.objects.Load(), f.began}
			r.w.Header().Set("Refresh", "2") // the page looks again by itself, without script
		} else if failure == nil && f.actor == r.caller.Actor {
			failure, p.Written = err, f.form
		}
	}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		if p.Error = pr.Detail; r.Method == http.MethodPost {
			out.status, p.Written = http.StatusUnprocessableEntity, r.PostForm
			if fault.Is(failure, fault.Conflict) {
				out.status = http.StatusConflict
			}
		}
	}
	if p.Running == nil && p.Draft == nil {
		if p.Compared, err = d.Releases.Compare(r.Context(), r.admin(), v.ID); fault.Is(err, fault.Conflict) {
			if pr, _ := web.ProblemOf(err); p.Error == "" {
				p.Error = pr.Detail
			}
			err = nil
		}
	}
	return out, err
}

// described is a description as text; empty where the release cannot be described so.
func (d *Door) described(r *request, v *release.ReleaseView, as release.Format) string {
	var b bytes.Buffer
	if err := d.Releases.Describe(r.Context(), r.admin(), v.Dataset, v.Version, as, web.Base(r.Request), &b); err != nil {
		d.Log.Warn("a release could not be described", "release", v.Name, "as", string(as), "error", err)
		return ""
	}
	return b.String()
}

var formatWords = []struct {
	format    release.Format
	name, For string
}{
	{release.Croissant, "Croissant 1.1", "for programs that learn from data"},
	{release.ROCrate, "RO-Crate 1.2", "for archives"},
	{release.DataCite, "DataCite", "for the DOI"},
	{release.SchemaOrg, "schema.org", "for search engines"},
	{release.CitationCFF, "CITATION.cff", "for whoever cites"},
	{release.Manifest, "Manifest", "every object with its SHA-256, and the proof"},
	{release.InstancesCSV, "Instances, CSV", "a row for each object"},
	{release.InstancesParquet, "Instances, Parquet", "the same"},
	{release.SeriesCSV, "Series, CSV", "a row for each series"},
	{release.SeriesParquet, "Series, Parquet", "the same"},
	{release.TCIA, "NBIA manifest", "for the NBIA Data Retriever"},
}

// formatsOf are the descriptions of a release; those that list objects only for who may have them.
func formatsOf(v *release.ReleaseView, listed bool) (all []exportLink) {
	for _, f := range formatWords {
		if f.format.ForEntitled() && (!listed || v.State == "tombstoned") {
			continue
		}
		all = append(all, exportLink{"/api/datasets/" + v.Dataset + "/releases/" + v.Version + "/" + string(f.format), f.name, f.For})
	}
	return all
}

// cohortWords say in words who belongs to a dataset.
func cohortWords(a *release.About) (all []fact) {
	c := &a.Cohort
	add := func(name string, values ...string) {
		if v := strings.Join(values, ", "); v != "" {
			all = append(all, fact{name, v})
		}
	}
	add("Kinds of image", c.Modalities...)
	for _, k := range slices.Sorted(maps.Keys(c.Studies)) {
		if from, to, ok := strings.Cut(c.Studies[k], "-"); k == "StudyDate" && ok {
			switch {
			case from == "":
				add("Studies", "until "+dicomDay(to))
			case to == "":
				add("Studies", "since "+dicomDay(from))
			default:
				add("Studies", dicomDay(from)+" to "+dicomDay(to))
			}
			continue
		}
		add(k, c.Studies[k])
	}
	add("SOP classes", c.SOPClasses...)
	for _, s := range c.Sexes {
		if w := map[string]string{"F": "women", "M": "men", "O": "people of another sex"}[s]; w != "" {
			add("People", w)
		} else {
			add("Sex", s)
		}
	}
	switch {
	case c.AgeMin != nil && c.AgeMax != nil:
		add("Age", strconv.Itoa(*c.AgeMin)+" to "+strconv.Itoa(*c.AgeMax))
	case c.AgeMin != nil:
		add("Age", strconv.Itoa(*c.AgeMin)+" and more")
	case c.AgeMax != nil:
		add("Age", "at most "+strconv.Itoa(*c.AgeMax))
	}
	add("Diagnoses", c.Diagnoses...)
	add("Stages", c.Stages...)
	if s := a.Splits; s != (release.Splits{}) {
		add("Parts", strconv.Itoa(s.Train)+" % train, "+strconv.Itoa(s.Validation)+" % validation, "+strconv.Itoa(s.Test)+" % test, by person")
	}
	return all
}

func dicomDay(s string) string { return date(dicomDate(s)) }

// freezings are the versions that are being frozen by this process, and how the last of each dataset ended.
type freezings struct {
	mu sync.Mutex
	by map[string]*freezing
}

type freezing struct {
	objects atomic.Int64
	actor   string
	began   time.Time
	form    url.Values
	done    chan struct{}
	err     error // once done is closed
}

// outcome is how it ended, if it has.
func (f *freezing) outcome() (err error, over bool) { //nolint:revive // the failure is what it is about
	select {
	case <-f.done:
		return f.err, true
	default:
		return nil, false
	}
}

func (f *freezings) of(dataset string) *freezing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.by[dataset]
}

// begin notes a freezing, unless one of the dataset runs.
func (f *freezings) begin(dataset string, x *freezing) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if was := f.by[dataset]; was != nil {
		if _, over := was.outcome(); !over {
			return false
		}
	}
	if f.by == nil {
		f.by = map[string]*freezing{}
	}
	f.by[dataset] = x
	return true
}

// soon is how long the answer waits for a freezing to end: most refusals come at once, and small datasets are done.
const soon = 3 * time.Second

// freezeDataset freezes the next version. It goes on when the browser has gone; the page of the dataset says how far it is.
func (d *Door) freezeDataset(r *request) (*page, error) {
	const attempt = "freeze release"
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	v, err := d.Releases.Dataset(r.Context(), r.admin(), r.PathValue("dataset"))
	if err != nil {
		return nil, err
	}
	how := release.Freezing{Version: strings.TrimSpace(r.PostFormValue("version")), Accept: r.PostFormValue("accept")}
	if s := r.PostFormValue("embargo"); s != "" {
		if how.Embargo, err = dayOf(s, "the last day of the embargo"); err != nil {
			return d.datasetWith(r, err)
		}
		how.Embargo = how.Embargo.AddDate(0, 0, 1)
	}
	if !r.makesReleases(v.Collection) { // it is asked again within, where the refusal is written to the log
		_, err := d.Releases.Freeze(r.Context(), r.admin(), v.ID, how)
		return nil, err
	}
	f := &freezing{actor: r.caller.Actor, began: time.Now(), form: r.PostForm, done: make(chan struct{})}
	if !d.freezings.begin(v.ID, f) {
		return d.datasetWith(r, fault.New(fault.Conflict, attempt, "dataset "+v.ID, "a version is being frozen already"))
	}
	how.Told = f.objects.Store
	ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
	end := context.AfterFunc(d.draining, stop)
	who := r.admin()
	go func() {
		defer close(f.done)
		defer stop()
		defer end()
		_, f.err = d.Releases.Freeze(ctx, who, v.ID, how)
		if f.err != nil && !correctableHere(f.err) {
			d.Log.Error("a release could not be frozen", "dataset", v.ID, "error", f.err)
		}
	}()
	wait := time.NewTimer(soon)
	defer wait.Stop()
	select {
	case <-f.done:
	case <-wait.C:
		return &page{to: "/datasets/" + v.ID}, nil
	case <-r.Context().Done():
		return &page{to: "/datasets/" + v.ID}, nil
	}
	if correctableHere(f.err) {
		return d.datasetWith(r, f.err)
	}
	if f.err != nil {
		return nil, f.err
	}
	r.leave(noticeFrozen)
	return &page{to: "/datasets/" + v.ID}, nil
}
