package portal

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (d *Door) registerSignIn(mux *http.ServeMux) {
	mux.HandleFunc("GET /signin", d.page(d.signIn))
	mux.HandleFunc("GET /signin/link", d.page(d.showLink))
	mux.HandleFunc("POST /signin/link", d.page(d.takeLink))
	mux.HandleFunc("POST /signin/passkey/begin", d.beginPasskey)
	mux.HandleFunc("POST /signin/passkey/finish", d.finishPasskey)
	mux.HandleFunc("POST /signout", d.page(d.signOut))
	mux.HandleFunc("GET /account", d.page(d.account))
	mux.HandleFunc("POST /account/sessions/end", d.page(d.endSessions))
	mux.HandleFunc("POST /account/passkeys/begin", d.beginRegistration)
	mux.HandleFunc("POST /account/passkeys/finish", d.finishRegistration)
	mux.HandleFunc("POST /account/passkeys/remove", d.page(d.removePasskey))
	mux.HandleFunc("GET /people", d.page(d.people))
	mux.HandleFunc("POST /people", d.page(d.invite))
	mux.HandleFunc("POST /people/{account}", d.page(d.changePerson))
}

// cookie is the name of the session's cookie; under TLS the browser sees to it that no other host sets it (RFC 6265bis 4.1.3.2).
func cookie(r *http.Request, name string) string {
	if r.TLS != nil {
		return "__Host-" + name
	}
	return name
}

const (
	sessionCookie  = "vitrine"
	ceremonyCookie = "vitrine-ceremony"
)

func setSecret(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration) {
	c := &http.Cookie{Name: cookie(r, name), Value: value, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode, MaxAge: int(lasts.Seconds())}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func secretOf(r *http.Request, name string) string {
	c, err := r.Cookie(cookie(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}

// Session recognises who has signed in; for [web.Front].
func (d *Door) Session(r *http.Request) (web.Caller, error) {
	secret := secretOf(r, sessionCookie)
	if secret == "" {
		return web.Caller{}, nil
	}
	_, a, err := d.SignIn.Session(r.Context(), secret)
	if fault.Is(err, fault.Denied) {
		return web.Caller{}, nil
	}
	return web.Caller{Actor: a.ID, Grants: a.Grants}, err
}

// origin is the address of this node as the browser sees it.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// from is the address that a request came from, without its port.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// after is where to go once somebody has signed in.
func after(next string) string {
	if !local(next) || strings.HasPrefix(next, "/signin") {
		return "/"
	}
	return next
}

type signInPage struct{ Next string }

func (d *Door) signIn(r *request) (*page, error) {
	next := after(r.URL.Query().Get("next"))
	if !r.caller.Anonymous() {
		return &page{to: next}, nil
	}
	return &page{file: "signin", title: "Sign in", data: signInPage{next}}, nil
}

type linkPage struct{ Token, Next string }

// showLink asks before a link is used up: programs that look at links before people do must not.
func (d *Door) showLink(r *request) (*page, error) {
	return &page{file: "link", title: "Sign in", data: linkPage{r.URL.Query().Get("t"), after(r.URL.Query().Get("next"))}}, nil
}

func (d *Door) takeLink(r *request) (*page, error) {
	session, err := d.SignIn.ByLink(r.Context(), from(r.Request), r.PostFormValue("t"))
	if err != nil {
		return nil, err
	}
	d.enter(r.w, r.Request, session)
	return &page{to: after(r.PostFormValue("next"))}, nil
}

func (d *Door) enter(w http.ResponseWriter, r *http.Request, session identity.Secret) {
	setSecret(w, r, sessionCookie, session.Reveal(), signin.SessionFor)
	setSecret(w, r, ceremonyCookie, "", 0)
}

func (d *Door) signOut(r *request) (*page, error) {
	if err := d.SignIn.End(r.Context(), r.admin(), secretOf(r.Request, sessionCookie)); err != nil {
		return nil, err
	}
	setSecret(r.w, r.Request, sessionCookie, "", 0)
	r.w.Header().Set("Clear-Site-Data", `"cache"`)
	return &page{to: "/"}, nil
}

// answer writes JSON for a script of a page.
func answer(w http.ResponseWriter, r *http.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(b) // whoever does not read it has gone
}

func (d *Door) beginPasskey(w http.ResponseWriter, r *http.Request) {
	options, ceremony, err := d.SignIn.BeginPasskey(r.Context(), origin(r))
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	setSecret(w, r, ceremonyCookie, ceremony.Reveal(), 5*time.Minute)
	answer(w, r, options)
}

func (d *Door) finishPasskey(w http.ResponseWriter, r *http.Request) {
	session, err := d.SignIn.FinishPasskey(r.Context(), from(r), origin(r), secretOf(r, ceremonyCookie), r.Body)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	d.enter(w, r, session)
	answer(w, r, map[string]string{"to": after(r.URL.Query().Get("next"))})
}

type accountPage struct {
	signin.Own
	Secure bool // passkeys can be made here
}

func (d *Door) account(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	own, err := d.SignIn.Own(r.Context(), r.admin())
	if fault.Is(err, fault.NotFound) {
		err = fault.New(fault.NotFound, "show account", "", "whoever comes with a token has no account")
	}
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(origin(r.Request))
	named := err == nil && net.ParseIP(u.Hostname()) == nil
	return &page{file: "account", title: "Your account", section: "/account", data: accountPage{own, named && (r.TLS != nil || u.Hostname() == "localhost")}}, nil
}

func (d *Door) endSessions(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	s, _, err := d.SignIn.Session(r.Context(), secretOf(r.Request, sessionCookie))
	if err != nil {
		return nil, err
	}
	if err := d.SignIn.EndOthers(r.Context(), r.admin(), s.Hash); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}

func (d *Door) beginRegistration(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	req := &request{Request: r, caller: caller, w: w}
	options, ceremony, err := d.SignIn.BeginRegistration(r.Context(), req.admin(), origin(r))
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	setSecret(w, r, ceremonyCookie, ceremony.Reveal(), 5*time.Minute)
	answer(w, r, options)
}

func (d *Door) finishRegistration(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	req := &request{Request: r, caller: caller, w: w}
	if err := d.SignIn.FinishRegistration(r.Context(), req.admin(), origin(r), secretOf(r, ceremonyCookie), r.URL.Query().Get("name"), r.Body); err != nil {
		web.Fail(w, r, err)
		return
	}
	setSecret(w, r, ceremonyCookie, "", 0)
	answer(w, r, map[string]string{"to": "/account"})
}

func (d *Door) removePasskey(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := base64.RawURLEncoding.DecodeString(r.PostFormValue("passkey"))
	if err != nil {
		return nil, fault.New(fault.NotFound, "remove passkey", "", "there is no such passkey")
	}
	if err := d.SignIn.RemovePasskey(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}

type peoplePage struct {
	People      []identity.Account
	Collections []string
	Roles       []policy.Role
	Link        string // made a moment ago; shown once
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
	default:
		return nil, fault.New(fault.Invalid, "change account", "", "the form does not say what to do")
	}
	r.leave(noticeSaved)
	return &page{to: "/people"}, nil
}
