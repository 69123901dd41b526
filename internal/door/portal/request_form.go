package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

func (d *Door) registerAccess(mux web.Routes) {
	mux.HandleFunc("GET /directory/{entry}/request", d.page(d.newRequest))
	mux.HandleFunc("POST /directory/{entry}/request", d.longPage(d.beginRequest))
	mux.HandleFunc("GET /requests", d.page(d.requests))
	mux.HandleFunc("POST /requests", d.page(d.remind))
	mux.HandleFunc("GET /requests/{request}", d.page(d.request))
	mux.HandleFunc("POST /requests/{request}", d.page(d.actOnRequest))
	mux.HandleFunc("GET /requests/{request}/edit", d.page(d.editRequest))
	mux.HandleFunc("POST /requests/{request}/edit", d.longPage(d.writeRequest))
	mux.HandleFunc("POST /requests/{request}/agreement", d.reading(d.addAgreement))
	mux.HandleFunc("GET /agreements/{agreement}/document", d.agreementDocument)
	mux.HandleFunc("POST /agreements/{agreement}", d.page(d.actOnAgreement))
	mux.HandleFunc("POST /entitlements/{entitlement}", d.page(d.actOnEntitlement))
	mux.HandleFunc("GET /register", d.page(d.register))
}

// longPage is page for a form of several long texts.
func (d *Door) longPage(do func(*request) (*page, error)) http.HandlerFunc {
	return d.reading(func(r *request) (*page, error) {
		if err := r.formWithin(6 * maxForm); err != nil {
			return nil, err
		}
		return do(r)
	})
}

// withRequests adds the way to requests to the navigation of who has signed in, with how many wait for them.
func (d *Door) withRequests(r *request, nav []entry, here string) []entry {
	if d.Access == nil || r.caller.Anonymous() {
		return nav
	}
	e := entry{Name: "Requests", Path: "/requests", Here: here == "/requests"}
	var err error
	if e.Waiting, err = d.Access.Waiting(r.Context(), r.admin()); err != nil {
		d.Log.Error("waiting requests could not be counted", "error", err)
	}
	if d.Recalls != nil {
		owed, err := d.Recalls.Owed(r.Context(), r.admin())
		if err != nil {
			d.Log.Error("recalls could not be counted", "error", err)
		}
		e.Waiting += int64(owed)
	}
	return append(nav, e)
}

// requestForm is the form of a request, new or begun.
type requestForm struct {
	Action     string
	Crumb      string // the address above
	CrumbName  string
	Title      string // of what is asked for
	Form       access.Form
	Members    string // one to a line
	Kinds      []choice
	Work       []choice
	Handling   []choice
	Promises   []choice
	Claims     []choice
	OrgKinds   [][2]string
	Orphan     bool
	Asked      string // what the custodian asks: the form is changed in answer
	Error      string
	Matches    []titledMatch
	May        []mayView
	Question   string // where a question is asked instead
	MaxTitle   int
	MaxSummary int
	MaxText    int
	Begun      bool
}

// titledMatch is the computed match with one collection's terms.
type titledMatch struct {
	Title  string
	Answer *datause.Answer
	Why    string // there is none
}

// formOf reads the form of a request.
func formOf(q url.Values) access.Form {
	f := access.Form{Title: q.Get("title"), Summary: q.Get("summary"), Aims: q.Get("aims"), Benefit: q.Get("benefit"), Funding: q.Get("funding"), Outputs: q.Get("outputs"), Place: q.Get("place"), Evidence: q.Get("evidence"), Named: q.Get("named") == "yes",
		Organisation: access.Organisation{Name: q.Get("organisation-name"), ROR: q.Get("ror"), Kind: q.Get("kind")}, Purpose: purposeOf(q)}
	for l := range strings.Lines(q.Get("members")) {
		name, orcid, _ := strings.Cut(strings.TrimSpace(l), ",")
		if name = strings.TrimSpace(name); name != "" {
			f.Members = append(f.Members, access.Member{Name: name, ORCID: strings.TrimSpace(orcid)})
		}
	}
	return f
}

// purposeOf reads the parameters of a purpose.
func purposeOf(q url.Values) map[string]string {
	p := map[string]string{}
	for _, name := range directoryflow.PurposeParameters() {
		if v := strings.TrimSpace(q.Get(name)); v != "" && name != "organisation" {
			p[name] = v
		}
	}
	return p
}

// fill makes the parts of the form.
func (p *requestForm) fill(f access.Form) {
	ticked := func(all []choice) (out []choice) {
		for _, c := range all {
			c.On = f.Purpose[c.Name] == "yes"
			out = append(out, c)
		}
		return out
	}
	p.Form, p.Work, p.Handling, p.Promises, p.Claims = f, ticked(useWork), ticked(useHandling), ticked(usePromises), ticked(useClaims)
	p.Kinds = nil
	for _, k := range useKinds {
		k.On = k.Name == f.Purpose["for"]
		p.Kinds = append(p.Kinds, k)
	}
	var members []string
	for _, m := range f.Members {
		members = append(members, strings.TrimSuffix(m.Name+", "+m.ORCID, ", "))
	}
	p.Members = strings.Join(members, "\n")
	p.OrgKinds, p.MaxTitle, p.MaxSummary, p.MaxText = access.OrganisationKinds, access.MaxTitle, access.MaxSummary, access.MaxText
}

// matched compares the form with the terms of a collection.
func (d *Door) matched(r *request, title string, c collection.ID, f access.Form) (titledMatch, error) {
	m := titledMatch{Title: title}
	if f.Purpose["for"] == "" {
		m.Why = "Say what it is for, and it stands here whether that fits."
		return m, nil
	}
	a, err := d.Access.Match(r.Context(), r.admin(), c, f)
	if correctable(err) {
		pr, _ := web.ProblemOf(err)
		m.Why = pr.Detail
		return m, nil
	}
	m.Answer = &a
	return m, err
}

// askedEntry is the published entry that the path names, with the collection of this node that it describes.
func (d *Door) askedEntry(r *request) (directory.ID, directoryflow.View, access.Target, error) {
	id, v, err := d.publishedEntry(r)
	if err != nil {
		return id, v, access.Target{}, err
	}
	if v.Stored.Entry.Holding != directory.Here {
		return id, v, access.Target{}, fault.New(fault.NotFound, "ask for access", "", "the collection is kept elsewhere, and asked for there")
	}
	t, err := d.Access.Target(r.Context(), collection.ID(v.Stored.Entry.Collection))
	if err == nil && t.Closed != "" {
		err = fault.New(fault.Conflict, "ask for access", "", t.Closed)
	}
	return id, v, t, err
}

func (d *Door) newRequest(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.newRequestWith(r, access.Form{Purpose: purposeOf(r.URL.Query())}, nil)
}

func (d *Door) newRequestWith(r *request, f access.Form, failure error) (*page, error) {
	id, v, t, err := d.askedEntry(r)
	if err != nil {
		return nil, err
	}
	address := "/directory/" + string(id)
	p := &requestForm{Action: address + "/request", Crumb: address, CrumbName: v.Stored.Entry.Title, Title: v.Stored.Entry.Title, Orphan: t.Orphan, Question: "/ask?about=" + address}
	p.fill(f)
	p.May, _ = useOf(&v.Stored.Entry.DataUse)
	m, err := d.matched(r, p.Title, t.Collection, f)
	if err != nil {
		return nil, err
	}
	p.Matches = []titledMatch{m}
	return formPage(p, "Ask to use "+p.Title, failure), nil
}

func formPage(p *requestForm, title string, failure error) *page {
	out := &page{file: "requestform", title: title, section: "/requests", help: "requests", data: p}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
	}
	return out
}

func (d *Door) beginRequest(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	f := formOf(r.PostForm)
	do := r.PostFormValue("do")
	if do == "check" {
		return d.newRequestWith(r, f, nil)
	}
	_, _, t, err := d.askedEntry(r)
	if err != nil {
		return nil, err
	}
	v, err := d.Access.Draft(r.Context(), r.admin(), access.NewRequest{For: []access.Wanted{{Collection: string(t.Collection)}}, Form: f, Submit: do == "submit"})
	if correctable(err) {
		return d.newRequestWith(r, f, err)
	}
	if err != nil {
		return nil, err
	}
	if do == "submit" {
		r.leave(noticeHandedIn)
		return &page{to: "/requests/" + v.ID}, nil
	}
	r.leave(noticeSaved)
	return &page{to: "/requests/" + v.ID + "/edit"}, nil
}

// requestID is the request that the path names.
func (r *request) requestID() (record.ID, error) {
	return record.ParseID("request", r.PathValue("request"))
}

func (d *Door) editRequest(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.editRequestWith(r, nil, nil)
}

// editRequestWith draws the form of a request that was begun, as it is stored or as it was written now.
func (d *Door) editRequestWith(r *request, written *access.Form, failure error) (*page, error) {
	id, err := r.requestID()
	if err != nil {
		return nil, err
	}
	v, err := d.Access.Request(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	if !v.Own {
		return nil, fault.New(fault.NotFound, "write request", "", "there is no such request of yours")
	}
	if !slices.ContainsFunc(v.Items, func(i access.ItemView) bool { return i.Turn == "applicant" }) {
		return &page{to: "/requests/" + v.ID}, nil
	}
	p := &requestForm{Action: "/requests/" + v.ID + "/edit", Crumb: "/requests", CrumbName: "Requests", Begun: true}
	f := v.Form
	if written != nil {
		f = *written
	}
	p.fill(f)
	var titles []string
	for _, i := range v.Items {
		titles = append(titles, i.Title)
		m, err := d.matched(r, i.Title, collection.ID(i.Collection), f)
		if err != nil {
			return nil, err
		}
		p.Matches = append(p.Matches, m)
		p.Orphan = p.Orphan || i.Orphan
		if i.State == record.Clarify.String() {
			for _, e := range slices.Backward(v.Events) {
				if e.Item == i.Item && e.What == record.AskBack.String() {
					p.Asked = cmp.Or(p.Asked, e.Text)
				}
			}
		}
	}
	p.Title = strings.Join(titles, ", ")
	return formPage(p, "Your request", failure), nil
}

func (d *Door) writeRequest(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.requestID()
	if err != nil {
		return nil, err
	}
	f := formOf(r.PostForm)
	do := r.PostFormValue("do")
	switch do {
	case "check":
		return d.editRequestWith(r, &f, nil)
	case "discard":
		if err := d.Access.Discard(r.Context(), r.admin(), id); err != nil {
			return nil, err
		}
		r.leave(noticeDiscarded)
		return &page{to: "/requests"}, nil
	}
	_, err = d.Access.Write(r.Context(), r.admin(), id, f)
	if err == nil && do == "submit" {
		if _, err = d.Access.Act(r.Context(), r.admin(), id, access.Act{Do: "submit"}); err == nil {
			r.leave(noticeHandedIn)
			return &page{to: "/requests/" + id.String()}, nil
		}
	}
	if correctable(err) {
		return d.editRequestWith(r, &f, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	if do == "back" {
		return &page{to: "/requests/" + id.String()}, nil
	}
	return &page{to: "/requests/" + id.String() + "/edit"}, nil
}
