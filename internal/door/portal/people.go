package portal

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (d *Door) registerPeople(mux web.Routes) {
	mux.HandleFunc("GET /people", d.page(d.people))
	mux.HandleFunc("POST /people", d.page(d.invite))
	mux.HandleFunc("GET /people/{account}", d.page(d.person))
	mux.HandleFunc("POST /people/{account}", d.page(d.changePerson))
}

type peoplePage struct {
	People      []signin.Person // that are shown
	All         int
	Views       []peopleView
	View        string
	Query       string
	Pending     int
	Collections []string
	Roles       []policy.Role
	Name, Error string // of an invitation that could not be made
	Mails       bool   // this node sends mails
}

// peopleView is a part of the list.
type peopleView struct {
	Key, Name string
	Count     int
	has       func(signin.Person) bool
}

func peopleViews() []peopleView {
	return []peopleView{
		{Key: "", Name: "All", has: func(signin.Person) bool { return true }},
		{Key: "waiting", Name: "Without a role", has: func(p signin.Person) bool { return p.Pending() }},
		{Key: "invited", Name: "Invited", has: func(p signin.Person) bool { return p.Seen.IsZero() && p.Disabled.IsZero() }},
		{Key: "locked", Name: "Locked", has: func(p signin.Person) bool { return !p.Locked.IsZero() }},
		{Key: "disabled", Name: "Disabled", has: func(p signin.Person) bool { return !p.Disabled.IsZero() }},
	}
}

// personRoles are what a person can be given.
var personRoles = []policy.Role{policy.Depositor, policy.Researcher, policy.Physicist, policy.Custodian, policy.Steward, policy.Committee, policy.Funder, policy.Admin}

func (d *Door) people(r *request) (*page, error) { return d.peopleWith(r, peoplePage{}) }

func (d *Door) peopleWith(r *request, p peoplePage) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	all, err := d.SignIn.People(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	p.View, p.Query, p.All, p.Views = r.URL.Query().Get("show"), strings.TrimSpace(r.URL.Query().Get("q")), len(all), peopleViews()
	here := &p.Views[0]
	for i := range p.Views {
		v := &p.Views[i]
		for _, a := range all {
			if v.has(a) {
				v.Count++
			}
		}
		if v.Key == p.View {
			here = v
		}
	}
	p.View, p.Pending = here.Key, p.Views[1].Count
	q := strings.ToLower(p.Query)
	for _, a := range all {
		if here.has(a) && (q == "" || strings.Contains(strings.ToLower(a.Name), q) || a.ID == q) {
			p.People = append(p.People, a)
		}
	}
	if p.Collections, err = d.collectionNames(r); err != nil {
		return nil, err
	}
	p.Roles, p.Mails = personRoles, d.SignIn.Mails()
	out := &page{file: "people", title: "People", section: "/people", help: "people", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

func (d *Door) collectionNames(r *request) (names []string, err error) {
	all, err := d.Desk.ListCollections(r.Context(), r.admin())
	for _, c := range all {
		names = append(names, string(c.ID))
	}
	return names, err
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
	name := r.PostFormValue("name")
	grants, err := grantsOf(r)
	if err == nil {
		var p personPage
		if r.PostFormValue("by") == "code" {
			var code identity.Code
			if p.Account, code, err = d.SignIn.InviteByCode(r.Context(), r.admin(), name, grants); err == nil {
				p.Code = code.Reveal()
			}
		} else {
			var link identity.Secret
			if p.Account, link, err = d.SignIn.Invite(r.Context(), r.admin(), name, grants, signin.InviteFor); err == nil {
				p.Link = d.linkOf(r, link)
			}
			if to := strings.TrimSpace(r.PostFormValue("mail")); err == nil && to != "" && d.SignIn.Mails() {
				p.Link = "" // it goes by mail, another one
				if merr := d.SignIn.MailLink(r.Context(), r.admin(), p.ID, to, signin.InviteFor); fault.Is(merr, fault.Invalid) {
					pr, _ := web.ProblemOf(merr)
					p.Error = pr.Detail // they are invited; the address is to be mended
				} else if err = merr; err == nil {
					p.Mailed = true
				}
			}
		}
		if err == nil {
			return d.personWith(r, p.ID, p)
		}
	}
	if !fault.Is(err, fault.Invalid) {
		return nil, err
	}
	pr, _ := web.ProblemOf(err)
	return d.peopleWith(r, peoplePage{Error: pr.Detail, Name: name})
}

type personPage struct {
	signin.Own
	Self        bool
	Pending     bool
	Link        string // made a moment ago; shown once
	Code        string // likewise
	Sign        string // the page where a code is written
	Mails       bool   // this node sends mails
	Mailed      bool   // a link is on its way
	Collections []string
	Roles       []policy.Role
	Error       string
}

func (d *Door) person(r *request) (*page, error) {
	return d.personWith(r, r.PathValue("account"), personPage{})
}

func (d *Door) personWith(r *request, id string, p personPage) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	var err error
	if p.Own, err = d.SignIn.Person(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	if p.Collections, err = d.collectionNames(r); err != nil {
		return nil, err
	}
	p.Roles, p.Self, p.Pending, p.Sign = personRoles, id == r.caller.Actor, p.Account.Pending(), origin(r.Request)+"/signin"
	p.Mails = d.SignIn.Mails()
	out := &page{file: "person", title: p.Account.Name, section: "/people", help: "people", data: p}
	if p.Error != "" {
		out.status = http.StatusConflict
	}
	return out, nil
}

func (d *Door) changePerson(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id := r.PathValue("account")
	shown, err := d.change(r, id)
	if fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid) {
		pr, _ := web.ProblemOf(err)
		return d.personWith(r, id, personPage{Error: pr.Detail})
	}
	if err != nil {
		return nil, err
	}
	if shown != nil {
		return d.personWith(r, id, *shown)
	}
	r.leave(noticeSaved)
	return &page{to: "/people/" + url.PathEscape(id)}, nil
}

// change does what a form asks; what it made is shown once.
func (d *Door) change(r *request, id string) (*personPage, error) {
	ctx, who := r.Context(), r.admin()
	switch r.PostFormValue("do") {
	case "grants":
		grants, err := grantsOf(r)
		if err != nil {
			return nil, err
		}
		return nil, d.SignIn.Grant(ctx, who, id, grants)
	case "disable", "enable":
		return nil, d.SignIn.Disable(ctx, who, id, r.PostFormValue("do") == "disable")
	case "link":
		link, err := d.SignIn.Link(ctx, who, id, signin.InviteFor)
		if err != nil {
			return nil, err
		}
		return &personPage{Link: d.linkOf(r, link)}, nil
	case "mail":
		if err := d.SignIn.MailLink(ctx, who, id, r.PostFormValue("mail"), signin.InviteFor); err != nil {
			return nil, err
		}
		return &personPage{Mailed: true}, nil
	case "code":
		code, err := d.SignIn.Code(ctx, who, id)
		if err != nil {
			return nil, err
		}
		return &personPage{Code: code.Reveal()}, nil
	case "unlock":
		return nil, d.SignIn.Unlock(ctx, who, id)
	case "end":
		return nil, d.SignIn.EndSessionsOf(ctx, who, id)
	case "app":
		return nil, d.SignIn.RemoveApp(ctx, who, id)
	case "passkey":
		key, err := base64.RawURLEncoding.DecodeString(r.PostFormValue("passkey"))
		if err != nil {
			return nil, fault.New(fault.NotFound, "remove passkey", "", "there is no such passkey")
		}
		return nil, d.SignIn.RemovePasskeyOf(ctx, who, id, key)
	}
	return nil, fault.New(fault.Invalid, "change account", "", "the form does not say what to do")
}
