package portal

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	record "github.com/vitrine-imaging/vitrine/internal/record/notice"
)

func (d *Door) registerAccount(mux web.Routes) {
	mux.HandleFunc("GET /account", d.page(d.account))
	mux.HandleFunc("POST /account/sessions/end", d.page(d.endSessions))
	mux.HandleFunc("POST /account/passkeys/begin", d.beginRegistration)
	mux.HandleFunc("POST /account/passkeys/finish", d.finishRegistration)
	mux.HandleFunc("POST /account/passkeys/remove", d.page(d.removePasskey))
	mux.HandleFunc("GET /account/app", d.page(d.setUpApp))
	mux.HandleFunc("POST /account/app", d.page(d.confirmApp))
	mux.HandleFunc("POST /account/app/remove", d.page(d.removeApp))
	mux.HandleFunc("POST /account/app/recovery", d.page(d.newRecovery))
	mux.HandleFunc("POST /account/browsers/forget", d.page(d.forgetBrowsers))
	if d.Notices != nil {
		mux.HandleFunc("POST /account/notices", d.page(d.wantNotices))
	}
}

// heldNotices is what the account page says of mails about what is held; nil: the caller cannot have any.
type heldNotices struct {
	record.Notice
	To    string // empty: none are wanted
	Error string
}

func (d *Door) noticesOf(r *request) (*heldNotices, error) {
	if d.Notices == nil {
		return nil, nil
	}
	n, to, err := d.Notices.Own(r.Context(), r.admin())
	if fault.Is(err, fault.NotFound) {
		if may, err := d.Notices.Offered(r.Context(), r.admin()); err != nil || !may {
			return nil, err
		}
		return &heldNotices{}, nil
	}
	return &heldNotices{Notice: n, To: to}, err
}

// wantNotices asks to be told by mail that something is held, or ends it.
func (d *Door) wantNotices(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	to := r.PostForm.Get("to")
	if r.PostForm.Get("do") == "end" {
		to = ""
	}
	switch err := d.Notices.Want(r.Context(), r.admin(), to); {
	case fault.Is(err, fault.Invalid):
		pr, _ := web.ProblemOf(err)
		return d.accountWith(r, pr.Detail)
	case err != nil:
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}

type accountPage struct {
	signin.Own
	Secure bool // passkeys can be made here
	Here   identity.Digest
	// Provider is who could vouch for the caller too; empty: nobody, or it does already.
	Provider, ProviderName string
	Notices                *heldNotices
}

func (d *Door) account(r *request) (*page, error) { return d.accountWith(r, "") }

// accountWith is the page with what is wrong with an address for notices.
func (d *Door) accountWith(r *request, wrong string) (*page, error) {
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
	p := accountPage{Own: own, Secure: named && (u.Scheme == "https" || u.Hostname() == "localhost")}
	if s, _, err := d.SignIn.Session(r.Context(), secretOf(r.Request, sessionCookie)); err == nil {
		p.Here = s.Hash
	}
	p.ProviderName, p.Provider = d.SignIn.ProviderName(), d.SignIn.ProviderName()
	for _, f := range own.Foreign {
		if f.Issuer == d.SignIn.Issuer() {
			p.Provider = ""
		}
	}
	out := &page{file: "account", title: "Your account", section: "/account", help: "signin"}
	if p.Notices, err = d.noticesOf(r); err != nil {
		return nil, err
	}
	if p.Notices != nil && wrong != "" {
		p.Notices.Error, out.status = wrong, http.StatusUnprocessableEntity
	}
	out.data = p
	return out, nil
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

type appPage struct {
	signin.Setup
	Error string
	Again bool // the account has an app, which this one will replace
}

// called is what an app is to call this node.
func (d *Door) called(r *request) string {
	u, err := url.Parse(origin(r.Request))
	if err != nil || u.Hostname() == "localhost" {
		return "Vitrine"
	}
	return "Vitrine " + u.Hostname()
}

func (d *Door) setUpApp(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	own, err := d.SignIn.Own(r.Context(), r.admin())
	if err != nil {
		return nil, err
	}
	s, err := d.SignIn.BeginApp(r.Context(), r.admin(), d.called(r))
	return &page{file: "app", title: "Set up an authenticator app", section: "/account", help: "signin", data: appPage{Setup: s, Again: own.App != nil}}, err
}

type recoveryPage struct {
	Codes []string // shown once
	Fresh bool     // with a new app
	Known bool     // the browser was made known too
}

func (d *Door) confirmApp(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	waiting := r.PostFormValue("pending")
	codes, err := d.SignIn.ConfirmApp(r.Context(), r.admin(), waiting, r.PostFormValue("code"))
	if fault.Is(err, fault.Invalid) {
		pr, _ := web.ProblemOf(err)
		s, err := d.SignIn.AgainApp(r.Context(), r.admin(), d.called(r), waiting)
		return &page{file: "app", title: "Set up an authenticator app", section: "/account", help: "signin", data: appPage{Setup: s, Error: pr.Detail}, status: http.StatusUnprocessableEntity}, err
	}
	if err != nil {
		return nil, err
	}
	p := recoveryPage{Codes: revealed(codes), Fresh: true}
	if r.PostFormValue("keep") != "" {
		browser, err := d.SignIn.KnowBrowser(r.Context(), r.admin())
		if err != nil {
			return nil, err
		}
		setSecret(r.w, r.Request, browserCookie, browser.Reveal(), signin.KnownFor)
		p.Known = true
	}
	return &page{file: "recovery", title: "Recovery codes", section: "/account", help: "signin", data: p}, nil
}

func revealed(codes []identity.Code) []string {
	out := make([]string, len(codes))
	for i, c := range codes {
		out[i] = c.Reveal()
	}
	return out
}

func (d *Door) newRecovery(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	codes, err := d.SignIn.NewRecoveryCodes(r.Context(), r.admin())
	return &page{file: "recovery", title: "Recovery codes", section: "/account", help: "signin", data: recoveryPage{Codes: revealed(codes)}}, err
}

func (d *Door) removeApp(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if err := d.SignIn.RemoveApp(r.Context(), r.admin(), r.caller.Actor); err != nil {
		return nil, err
	}
	setSecret(r.w, r.Request, browserCookie, "", 0)
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}

func (d *Door) forgetBrowsers(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if err := d.SignIn.ForgetBrowsers(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	setSecret(r.w, r.Request, browserCookie, "", 0)
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}
