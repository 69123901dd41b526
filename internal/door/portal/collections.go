package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/risk"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerCollections(mux web.Routes) {
	mux.HandleFunc("GET /collections", d.page(d.collections))
	mux.HandleFunc("POST /collections", d.page(d.createCollection))
	mux.HandleFunc("GET /collections/{collection}", d.page(d.collection))
	mux.HandleFunc("POST /collections/{collection}/publish", d.page(d.publish))
}

// held is a collection in a list, with what is in it.
type held struct {
	collection.Collection
	catalogue.Counts
}

// profile is one that a collection can be cleaned by, and what it does.
type profile struct{ Name, Words string }

type collectionsPage struct {
	Held     []held
	Profiles []profile
	MayAdd   bool
	// MayDescribe says that the caller writes entries of the directory.
	MayDescribe bool
	Form        map[string]string
	Error       string
}

// mine lists the collections that the caller has a role in.
func (d *Door) mine(r *request) ([]collection.Collection, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	all, err := d.Desk.ListCollections(r.Context(), r.admin())
	return slices.DeleteFunc(all, func(c collection.Collection) bool { return !r.caller.Knows(string(c.ID)) }), err
}

func (d *Door) collections(r *request) (*page, error) { return d.collectionsWith(r, nil, "") }

func (d *Door) collectionsWith(r *request, form map[string]string, failure string) (*page, error) {
	all, err := d.mine(r)
	if err != nil {
		return nil, err
	}
	p := collectionsPage{Form: form, Error: failure}
	for _, c := range all {
		h := held{Collection: c}
		if h.Counts, err = d.Desk.Intake(r.Context(), r.admin(), c.ID); err != nil && !fault.Is(err, fault.Denied) {
			return nil, err
		}
		p.Held = append(p.Held, h)
	}
	p.MayDescribe, _ = r.mayWriteSome()
	for _, name := range deid.Profiles() {
		p.Profiles = append(p.Profiles, profile{name, profileWords[name]})
	}
	p.MayAdd = policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: policy.CreateCollection}).Allow
	out := &page{file: "collections", title: "Collections", section: "/collections", help: "publish", data: p}
	if failure != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

func (d *Door) createCollection(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	form := map[string]string{}
	for _, k := range []string{"id", "title", "profile", "aet", "attest"} {
		form[k] = strings.TrimSpace(r.PostFormValue(k))
	}
	again := func(err error) (*page, error) {
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict {
			return nil, err
		}
		pr, _ := web.ProblemOf(err)
		return d.collectionsWith(r, form, pr.Detail)
	}
	c := collection.Collection{Title: form["title"], Profile: form["profile"], NoReidentification: r.PostFormValue("unlinked") != ""}
	var err error
	if c.ID, err = collection.ParseID(form["id"]); err != nil {
		return again(err)
	}
	if form["aet"] != "" {
		if c.AETitle, err = collection.ParseAETitle(form["aet"]); err != nil {
			return again(err)
		}
	}
	if c.Profile == collection.AsDeposited && form["attest"] == "" {
		return d.collectionsWith(r, form, "To keep images as they are deposited, you have to attest that they are de-identified already.")
	}
	if _, err := d.Desk.CreateCollection(r.Context(), r.admin(), c); err != nil {
		return again(err)
	}
	r.leave(noticeSaved)
	return &page{to: "/collections/" + string(c.ID)}, nil
}

type collectionPage struct {
	collection.Collection
	Counts             *catalogue.Counts // nil: not for this caller
	List               studyList
	Studies            []*catalogue.Study
	More               string // the address of the next page
	First              string // the address of the first page; empty: this is it
	Deposits           []catalogue.Deposit
	MayPublish         bool
	MayDeposit         bool
	MayManage          bool
	MayPull, MayInvite bool   // people outside, by links
	Entry              string // the address of its page in the directory; empty: none is published
	// MayDescribe says that the caller writes the collection's entry.
	MayDescribe bool
	MayPick     bool
	Faces       *risk.Faces // nil: not for this caller
	MayDecide   bool        // on what is held
	MayConsent  bool
	Datasets    []datasetLine
	MayRelease  bool
}

const pageOfStudies = 48

func (d *Door) collection(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil || !r.caller.Knows(string(id)) {
		return nil, fault.New(fault.NotFound, "show collection", "", "there is no such collection that you have a role in")
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	p := collectionPage{Collection: c}
	may := func(a policy.Action, s policy.State) bool {
		return policy.Decide(policy.Facts{Grants: r.caller.Grants, Action: a, Collection: string(id), State: s}).Allow
	}
	p.MayPublish, p.MayDeposit = may(policy.Publish, policy.Admitted), may(policy.Deposit, policy.NoState)
	p.MayDescribe = may(policy.EditEntry, policy.NoState)
	p.MayManage = admin.MayManage(r.admin(), id)
	p.MayConsent = d.Consent != nil && r.mayConsent(id).any()
	p.MayInvite = d.Links != nil && r.mayInvite(id)
	p.MayPull = d.Pulls != nil && may(policy.ManagePulls, policy.NoState)
	switch counts, err := d.Desk.Intake(r.Context(), r.admin(), id); {
	case err == nil:
		p.Counts = &counts
	case !fault.Is(err, fault.Denied):
		return nil, err
	}
	if p.MayManage {
		if p.Faces, err = d.Directory.Faces(r.Context(), r.admin(), id); err != nil {
			return nil, err
		}
	}
	if p.List, p.Studies, p.More, err = d.studies(r, id); err != nil {
		return nil, err
	}
	if r.offset() > 0 {
		p.First = r.withOffset(0)
	}
	switch p.Deposits, err = d.Delivery.Deposits(r.Context(), r.delivery(), id, 0, 5); {
	case err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound):
		return nil, err
	}
	p.MayPick, p.MayDecide = r.mayPick(id), may(policy.DecideHeld, policy.Held)
	switch v, err := d.Directory.OfCollection(r.Context(), r.admin(), id); {
	case err == nil:
		p.Entry = "/directory/" + string(v.ID)
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	p.MayRelease = d.Releases != nil && r.makesReleases(string(id))
	if p.Datasets, err = d.datasetsOf(r, string(id)); err != nil {
		return nil, err
	}
	title := c.Title
	if title == "" {
		title = string(c.ID)
	}
	return &page{file: "collection", title: title, section: "/collections", help: "publish", data: p}, nil
}

// publish makes a study, or all that is admitted, visible to the researchers of a collection.
func (d *Door) publish(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "publish", "", "there is no such collection")
	}
	study := catalogue.StudyUID(r.PostFormValue("study"))
	if _, err := d.Desk.Publish(r.Context(), r.admin(), id, study); err != nil {
		return nil, err
	}
	r.leave(noticePublished)
	if study != "" {
		return &page{to: studyAddress(id, study)}, nil
	}
	return &page{to: "/collections/" + string(id)}, nil
}
