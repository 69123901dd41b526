package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
)

func (d *Door) registerPulls(mux web.Routes) {
	mux.HandleFunc("GET /collections/{collection}/pulls", d.page(d.pulls))
	mux.HandleFunc("POST /collections/{collection}/pulls", d.page(d.makePull))
	mux.HandleFunc("GET /collections/{collection}/pulls/{pull}", d.page(d.onePull))
	mux.HandleFunc("POST /collections/{collection}/pulls/{pull}", d.page(d.changePull))
}

type pullsPage struct {
	ID       collection.ID
	Title    string
	Pulls    []pullflow.View
	Archives []string
	Form     url.Values // of a pull that could not be made
	Error    string
	AETitle  string
}

func (d *Door) pulls(r *request) (*page, error) { return d.pullsWith(r, pullsPage{}) }

// collected is the collection of the path, for who may have images collected for it.
func (d *Door) collected(r *request) (collection.ID, collection.Collection, error) {
	if err := r.signedIn(); err != nil {
		return "", collection.Collection{}, err
	}
	id, err := r.collectionID()
	if err != nil {
		return "", collection.Collection{}, err
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	return id, c, err
}

func (d *Door) pullsWith(r *request, p pullsPage) (*page, error) {
	id, c, err := d.collected(r)
	if err != nil {
		return nil, err
	}
	if p.Pulls, err = d.Pulls.List(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	if p.Archives, err = d.Pulls.Archives(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	p.ID, p.Title, p.AETitle = id, cmp.Or(c.Title, string(id)), string(c.AETitle)
	out := &page{file: "pulls", title: "Collected for " + p.Title, section: "/collections", help: "send", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// makePull makes a pull of what the form says.
func (d *Door) makePull(r *request) (*page, error) {
	id, _, err := d.collected(r)
	if err != nil {
		return nil, err
	}
	f := r.PostForm
	n := pullflow.NewPull{Label: f.Get("label"), Peer: f.Get("peer"), Way: f.Get("way"), Hours: strings.TrimSpace(f.Get("hours")), Described: strings.TrimSpace(f.Get("described")),
		Modalities: strings.FieldsFunc(f.Get("modalities"), func(c rune) bool { return c == ',' || c == ' ' || c == ';' }), From: strings.ReplaceAll(f.Get("from"), "-", "")}
	for field, to := range map[string]*int64{"rate": &n.Rate} {
		if v := strings.TrimSpace(f.Get(field)); v != "" && err == nil {
			if *to, err = strconv.ParseInt(v, 10, 64); err != nil {
				err = fault.New(fault.Invalid, "pull images", "", "studies an hour are a whole number")
			}
		}
	}
	if v := strings.TrimSpace(f.Get("priors")); v != "" && err == nil {
		if n.Priors, err = strconv.Atoi(v); err != nil {
			err = fault.New(fault.Invalid, "pull images", "", "years are a whole number")
		}
	}
	list := listed(f.Get("list"))
	switch f.Get("what") {
	case "accessions":
		n.Accessions = list
	case "patients":
		n.Patients = list
	case "studies":
		n.Studies = list
	case "standing":
		n.Standing = true
	}
	if !n.Standing {
		n.From = ""
	}
	var w pullflow.Wish
	if err == nil {
		w, err = n.Wish()
	}
	var v pullflow.View
	if err == nil {
		v, err = d.Pulls.Make(r.Context(), r.admin(), id, w)
	}
	if fault.Is(err, fault.Invalid) {
		pr, _ := web.ProblemOf(err)
		return d.pullsWith(r, pullsPage{Form: f, Error: pr.Detail})
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticePulling)
	return &page{to: "/collections/" + string(id) + "/pulls/" + v.ID}, nil
}

// listed are the lines of a list that was pasted, without those that are empty.
func listed(s string) []string {
	var all []string
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}

type pullPage struct {
	ID    collection.ID
	Title string
	View  pullflow.View
	Fates []pullflow.Fate
	Next  string // address of the next page; empty: this is the last
}

const fatesPerPage = 200

func (d *Door) onePull(r *request) (*page, error) {
	id, c, err := d.collected(r)
	if err != nil {
		return nil, err
	}
	of, err := pull.ParseID(r.PathValue("pull"))
	if err != nil {
		return nil, err
	}
	p := pullPage{ID: id, Title: cmp.Or(c.Title, string(id))}
	if p.View, err = d.Pulls.See(r.Context(), r.admin(), id, of); err != nil {
		return nil, err
	}
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // whatever is no number begins at the beginning
	if p.Fates, err = d.Pulls.Fates(r.Context(), r.admin(), id, of, max(after, 0), fatesPerPage); err != nil {
		return nil, err
	}
	if n := len(p.Fates); n == fatesPerPage {
		last := p.Fates[n-1].Number
		if p.View.Kind == string(pull.List) {
			last = p.Fates[n-1].Request
		}
		p.Next = r.URL.Path + "?after=" + strconv.FormatInt(last, 10)
	}
	return &page{file: "pull", title: cmp.Or(p.View.Label, "A pull from "+p.View.Peer), section: "/collections", help: "send", data: p}, nil
}

// changePull pauses a pull, has it go on, or ends it.
func (d *Door) changePull(r *request) (*page, error) {
	id, _, err := d.collected(r)
	if err != nil {
		return nil, err
	}
	of, err := pull.ParseID(r.PathValue("pull"))
	if err != nil {
		return nil, err
	}
	if _, err := d.Pulls.Change(r.Context(), r.admin(), id, of, pull.State(r.PostForm.Get("state"))); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/collections/" + string(id) + "/pulls/" + of.String()}, nil
}
