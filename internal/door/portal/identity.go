package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
)

func (d *Door) registerIdentity(mux web.Routes) {
	mux.HandleFunc("GET /collections/{collection}/subjects/{subject}/identity", d.page(d.askIdentity))
	mux.HandleFunc("POST /collections/{collection}/subjects/{subject}/identity", d.page(d.takeIdentity))
	mux.HandleFunc("GET /identity", d.page(d.identities))
	mux.HandleFunc("GET /identity/{request}", d.page(d.identity))
	mux.HandleFunc("POST /identity/{request}", d.page(d.changeIdentity))
}

func identityAddress(c collection.ID, pseudonym string) string {
	return "/collections/" + string(c) + "/subjects/" + url.PathEscape(pseudonym) + "/identity"
}

// withIdentity adds the way to requests that wait for the reader to the navigation; where none does, it is not there.
func (d *Door) withIdentity(r *request, nav []entry, here string) []entry {
	if d.Reidentify == nil || r.caller.Anonymous() {
		return nav
	}
	n, err := d.Reidentify.Waiting(r.Context(), r.admin())
	if err != nil {
		d.Log.Error("requests to be told who a subject is could not be counted", "error", err)
	}
	if n == 0 && here != "/identity" {
		return nav
	}
	return append(nav, entry{Name: "Who subjects are", Path: "/identity", Here: here == "/identity", Waiting: n})
}

type askIdentityPage struct {
	Collection collection.ID
	Pseudonym  string
	Action     string
	Reason     string
	Error      string
	MinWords   int
	MaxText    int
	Days       int
	Hours      int
}

func (d *Door) askIdentity(r *request) (*page, error) { return d.askIdentityWith(r, nil) }

// askIdentityWith draws the form, with what was written and what is wrong with it. The subject has to be one that the caller sees.
func (d *Door) askIdentityWith(r *request, failure error) (*page, error) {
	shown, err := d.subject(r)
	if err != nil {
		return nil, err
	}
	s := shown.data.(subjectPage)
	if s.Identity == "" {
		return nil, fault.New(fault.NotFound, "ask who a subject is", "", "there is no such page for you")
	}
	p := askIdentityPage{Collection: s.Collection, Pseudonym: s.Pseudonym, Action: s.Identity, Reason: r.PostFormValue("reason"), MinWords: reidentify.MinWords, MaxText: reidentify.MaxText,
		Days: int(reidentification.AskedFor.Hours() / 24), Hours: int(reidentification.ConsentedFor.Hours())}
	out := &page{file: "identityask", title: "Ask who a subject is", section: "/identity", help: "collections"}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, out.status = pr.Detail, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
}

func (d *Door) takeIdentity(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	c, err := collection.ParseID(r.PathValue("collection"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "ask who a subject is", "", "there is no such collection")
	}
	i, err := d.Reidentify.Ask(r.Context(), r.admin(), c, r.PathValue("subject"), r.PostFormValue("reason"))
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.Conflict) {
		return d.askIdentityWith(r, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: requestAddress(i.ID)}, nil
}

func requestAddress(id int64) string { return "/identity/" + strconv.FormatInt(id, 10) }

type identitiesPage struct {
	Waiting, Others []identityRow
}

// identityRow is a request in a list, and on its own page.
type identityRow struct {
	reidentify.Item
	Address string
	Subject string // the address of its subject
	Stands  string
	Warn    bool
}

func (d *Door) row(i reidentify.Item) identityRow {
	row := identityRow{Item: i, Address: requestAddress(i.ID), Subject: "/collections/" + string(i.Collection) + "/subjects/" + url.PathEscape(string(i.Pseudonym))}
	open := i.MayDecide || i.MaySee
	switch i.State {
	case reidentification.Asked:
		row.Stands, row.Warn = "waits for consent", true
	case reidentification.Consented:
		row.Stands, row.Warn = "consented to, not seen yet", i.MaySee
	case reidentification.Declined:
		row.Stands = "declined"
	case reidentification.Seen:
		row.Stands = "seen"
	}
	if i.Reason == "" {
		row.Stands, row.Warn = "the subject has been erased", false
	} else if ends := i.Ends(); !open && !ends.IsZero() && ends.Before(d.Reidentify.Clock()) {
		row.Stands, row.Warn = "ran out", false
	}
	return row
}

func (d *Door) identities(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	waiting, others, err := d.Reidentify.List(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	var p identitiesPage
	for _, i := range waiting {
		p.Waiting = append(p.Waiting, d.row(i))
	}
	for _, i := range others {
		p.Others = append(p.Others, d.row(i))
	}
	return &page{file: "identities", title: "Who subjects are", section: "/identity", help: "collections", data: p}, nil
}

type identityPage struct {
	identityRow
	Answer []shownIdentity // once
	Hours  int
}

// requested is the number in the address.
func requested(r *request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("request"), 10, 64)
	if err != nil {
		return 0, fault.New(fault.NotFound, "find request", "", "there is no such request")
	}
	return id, nil
}

func (d *Door) identity(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := requested(r)
	if err != nil {
		return nil, err
	}
	i, err := d.Reidentify.Request(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	return d.identityOf(i, nil), nil
}

// shownIdentity is an identity with its name and birth date as people write them, beside what the images said.
type shownIdentity struct {
	reidentification.Identity
	Called, Born string
}

// personName is a name as PS3.5 6.2 writes it (family^given^middle^prefix^suffix, component groups parted by =), with commas between its parts.
func personName(pn string) string {
	var groups []string
	for group := range strings.SplitSeq(pn, "=") {
		f := strings.Split(group, "^")
		if len(f) > 2 { // middle names belong to the given ones
			f = append([]string{f[0], strings.TrimSpace(f[1] + " " + f[2])}, f[3:]...)
		}
		f = slices.DeleteFunc(f, func(s string) bool { return strings.TrimSpace(s) == "" })
		if len(f) > 0 {
			groups = append(groups, strings.Join(f, ", "))
		}
	}
	return strings.Join(groups, " / ")
}

func shownIdentities(all []reidentification.Identity) []shownIdentity {
	var out []shownIdentity
	for _, i := range all {
		s := shownIdentity{Identity: i, Called: personName(i.Name), Born: i.BirthDate}
		if t, err := time.Parse("20060102", i.BirthDate); err == nil {
			s.Born = t.Format(time.DateOnly)
		}
		out = append(out, s)
	}
	return out
}

func (d *Door) identityOf(i reidentify.Item, answer []reidentification.Identity) *page {
	return &page{file: "identity", title: "Who a subject is", section: "/identity", help: "collections",
		data: identityPage{d.row(i), shownIdentities(answer), int(reidentification.ConsentedFor.Hours())}}
}

func (d *Door) changeIdentity(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := requested(r)
	if err != nil {
		return nil, err
	}
	// Whose the request is not, is told that there is none.
	if _, err := d.Reidentify.Request(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	switch r.PostFormValue("do") {
	case "consent":
		err = d.Reidentify.Decide(r.Context(), r.admin(), id, true)
	case "decline":
		err = d.Reidentify.Decide(r.Context(), r.admin(), id, false)
	case "see":
		// The answer is of this request alone: there is no address at which it could be had again.
		i, all, err := d.Reidentify.See(r.Context(), r.admin(), id)
		if err != nil {
			return nil, err
		}
		return d.identityOf(i, all), nil
	default:
		err = fault.New(fault.Invalid, "decide on a request", "", "the form does not say what to do")
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: requestAddress(id)}, nil
}
