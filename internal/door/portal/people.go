package portal

import (
	"net/http"
	"net/url"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (d *Door) registerPeople(mux *http.ServeMux) {
	mux.HandleFunc("GET /people", d.page(d.people))
	mux.HandleFunc("POST /people", d.page(d.invite))
	mux.HandleFunc("POST /people/{account}", d.page(d.changePerson))
}

type peoplePage struct {
	People      []signin.Person
	Collections []string
	Roles       []policy.Role
	Link        string // made a moment ago; shown once
	Code        string // likewise
	For         string
	Error       string
}

// personRoles are what a person can be given.
var personRoles = []policy.Role{policy.Depositor, policy.Researcher, policy.Physicist, policy.Custodian, policy.Steward, policy.Committee, policy.Funder, policy.Admin}

func (d *Door) people(r *request) (*page, error) { return d.peopleWith(r, peoplePage{}) }

func (d *Door) peopleWith(r *request, p peoplePage) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	var err error
	if p.People, err = d.SignIn.People(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	all, err := d.Desk.ListCollections(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		p.Collections = append(p.Collections, string(c.ID))
	}
	p.Roles = personRoles
	out := &page{file: "people", title: "People", section: "/people", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// grantsOf reads the grants of a form: fields role and collection, as often as there are.
func grantsOf(r *request) ([]policy.Grant, error) {
	if err := r.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "read form", "", "it cannot be read")
	}
	roles, cols := r.PostForm["role"], r.PostForm["collection"]
	var out []policy.Grant
	for i, name := range roles {
		if name == "" {
			continue
		}
		role, ok := policy.ParseRole(name)
		if !ok || i >= len(cols) {
			return nil, fault.New(fault.Invalid, "give grants", "", "there is no such role")
		}
		out = append(out, policy.Grant{Role: role, Collection: cols[i]})
	}
	return out, nil
}

func (d *Door) linkOf(r *request, s identity.Secret) string {
	return origin(r.Request) + "/signin/link?t=" + url.QueryEscape(s.Reveal())
}

func (d *Door) invite(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	grants, err := grantsOf(r)
	if err == nil {
		var a identity.Account
		var link identity.Secret
		if a, link, err = d.SignIn.Invite(r.Context(), r.admin(), r.PostFormValue("name"), grants, signin.InviteFor); err == nil {
			return d.peopleWith(r, peoplePage{Link: d.linkOf(r, link), For: a.Name})
		}
	}
	if !fault.Is(err, fault.Invalid) {
		return nil, err
	}
	pr, _ := web.ProblemOf(err)
	return d.peopleWith(r, peoplePage{Error: pr.Detail})
}

func (d *Door) changePerson(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id := r.PathValue("account")
	switch r.PostFormValue("do") {
	case "grants":
		grants, err := grantsOf(r)
		if err != nil {
			return nil, err
		}
		if err := d.SignIn.Grant(r.Context(), r.admin(), id, grants); err != nil {
			return nil, err
		}
	case "disable", "enable":
		if err := d.SignIn.Disable(r.Context(), r.admin(), id, r.PostFormValue("do") == "disable"); err != nil {
			return nil, err
		}
	case "link":
		link, err := d.SignIn.Link(r.Context(), r.admin(), id, signin.InviteFor)
		if err != nil {
			return nil, err
		}
		return d.peopleWith(r, peoplePage{Link: d.linkOf(r, link), For: "the account"})
	case "code":
		code, err := d.SignIn.Code(r.Context(), r.admin(), id)
		if err != nil {
			return nil, err
		}
		return d.peopleWith(r, peoplePage{Code: code.Reveal(), For: "the account"})
	case "unlock":
		if err := d.SignIn.Unlock(r.Context(), r.admin(), id); err != nil {
			return nil, err
		}
	default:
		return nil, fault.New(fault.Invalid, "change account", "", "the form does not say what to do")
	}
	r.leave(noticeSaved)
	return &page{to: "/people"}, nil
}
