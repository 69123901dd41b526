package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

func (d *Door) registerSignIn(mux web.Routes) {
	mux.HandleFunc("GET /signin", d.page(d.signIn))
	mux.HandleFunc("GET /signin/link", d.page(d.showLink))
	mux.HandleFunc("POST /signin/link", d.page(d.takeLink))
	mux.HandleFunc("POST /signin/code", d.page(d.takeCode))
	mux.HandleFunc("GET /signin/app", d.page(d.showHalf))
	mux.HandleFunc("POST /signin/app", d.page(d.takeApp))
	mux.HandleFunc("POST /signin/passkey/begin", d.beginPasskey)
	mux.HandleFunc("POST /signin/passkey/finish", d.finishPasskey)
	mux.HandleFunc("POST /signout", d.page(d.signOut))
	d.registerProvider(mux)
	d.registerAccount(mux)
	d.registerPeople(mux)
}

// cookie is the name of the session's cookie; under TLS the browser sees to it that no other host sets it (RFC 6265bis 4.1.3.2).
func cookie(r *http.Request, name string) string {
	if web.Secure(r) {
		return "__Host-" + name
	}
	return name
}

const (
	sessionCookie  = "vitrine"
	ceremonyCookie = "vitrine-ceremony"
	halfCookie     = "vitrine-half"    // the first half of the way in, where an app has to follow
	browserCookie  = "vitrine-browser" // the secret of a known browser
)

func setSecret(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration) {
	c := &http.Cookie{Name: cookie(r, name), Value: value, Path: "/", HttpOnly: true, Secure: web.Secure(r), SameSite: http.SameSiteLaxMode, MaxAge: int(lasts.Seconds())}
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
func origin(r *http.Request) string { return web.Base(r) }

// from is the address that a request came from, without its port.
func from(r *http.Request) string { return web.From(r) }

// after is where to go once somebody has signed in.
func after(next string) string {
	if !local(next) || strings.HasPrefix(next, "/signin") {
		return "/"
	}
	return next
}

type signInPage struct {
	Next     string
	Known    bool   // the browser is: the app's code alone is asked for
	Provider string // what people call who vouches for them; empty: nobody does
	Error    string // of the code, or of the app's
}

func (d *Door) signIn(r *request) (*page, error) {
	next := after(r.URL.Query().Get("next"))
	if !r.caller.Anonymous() {
		return &page{to: next}, nil
	}
	return d.signInWith(r, signInPage{Next: next}), nil
}

func (d *Door) signInWith(r *request, p signInPage) *page {
	p.Known = d.SignIn.KnownBrowser(r.Context(), secretOf(r.Request, browserCookie))
	p.Provider = d.SignIn.ProviderName()
	out := &page{file: "signin", title: "Sign in", help: "signin", data: p}
	if p.Error != "" {
		out.status = http.StatusForbidden
	}
	return out
}

// said is what a form says of its own failure: a denial, or what was wrong with what was written. Other failures are pages of their own.
func said(err error) (string, error) {
	if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Invalid) {
		return "", err
	}
	pr, _ := web.ProblemOf(err)
	return pr.Detail, nil
}

type linkPage struct{ Token, Next, Provider string }

// showLink asks before a link is used up: programs that look at links before people do must not.
func (d *Door) showLink(r *request) (*page, error) {
	return &page{file: "link", title: "Sign in", data: linkPage{r.URL.Query().Get("t"), after(r.URL.Query().Get("next")), d.SignIn.ProviderName()}}, nil
}

func (d *Door) takeLink(r *request) (*page, error) {
	in, err := d.SignIn.ByLink(r.Context(), from(r.Request), r.PostFormValue("t"))
	if err != nil {
		return d.notIn(r, after(r.PostFormValue("next")), err)
	}
	return d.cameIn(r, in)
}

func (d *Door) takeCode(r *request) (*page, error) {
	in, err := d.SignIn.ByCode(r.Context(), from(r.Request), r.PostFormValue("code"))
	if err != nil {
		text, err := said(err)
		if err != nil {
			return nil, err
		}
		return d.signInWith(r, signInPage{Next: after(r.PostFormValue("next")), Error: text}), nil
	}
	return d.cameIn(r, in)
}

// cameIn goes on after a link or a code: to where somebody wanted to go, or to the second half of the way in.
func (d *Door) cameIn(r *request, in signin.In) (*page, error) {
	next := after(r.PostFormValue("next"))
	if in.Half != "" {
		setSecret(r.w, r.Request, halfCookie, in.Half, 10*time.Minute)
		return &page{to: "/signin/app?next=" + url.QueryEscape(next)}, nil
	}
	d.enter(r.w, r.Request, in.Session)
	if next == "/" && d.SignIn.Stranded(r.Context(), in.Session.Reveal()) {
		next = "/account" // where a passkey can be added, without which they could not come back
	}
	return &page{to: next}, nil
}

// showHalf asks for the app's code after a link or a code.
func (d *Door) showHalf(r *request) (*page, error) {
	next := after(r.URL.Query().Get("next"))
	switch {
	case !r.caller.Anonymous():
		return &page{to: next}, nil
	case secretOf(r.Request, halfCookie) == "":
		return &page{to: "/signin?next=" + url.QueryEscape(next)}, nil
	}
	return &page{file: "second", title: "Sign in", help: "signin", data: signInPage{Next: next}}, nil
}

// takeApp takes a code of the app: after the first half, or in a known browser.
func (d *Door) takeApp(r *request) (*page, error) {
	next := after(r.PostFormValue("next"))
	x := signin.App{Half: secretOf(r.Request, halfCookie), Browser: secretOf(r.Request, browserCookie), Code: r.PostFormValue("code"), Keep: r.PostFormValue("keep") != ""}
	second := r.PostFormValue("half") != ""
	if !second {
		x.Half = ""
	}
	session, browser, err := d.SignIn.ByApp(r.Context(), from(r.Request), x)
	if err != nil {
		text, err := said(err)
		if err != nil {
			return nil, err
		}
		p := signInPage{Next: next, Error: text}
		if !second {
			return d.signInWith(r, p), nil
		}
		return &page{file: "second", title: "Sign in", help: "signin", data: p, status: http.StatusForbidden}, nil
	}
	d.enter(r.w, r.Request, session)
	setSecret(r.w, r.Request, halfCookie, "", 0)
	if browser.Reveal() != "" {
		setSecret(r.w, r.Request, browserCookie, browser.Reveal(), signin.KnownFor)
	}
	return &page{to: next}, nil
}

func (d *Door) enter(w http.ResponseWriter, r *http.Request, session identity.Secret) {
	setSecret(w, r, sessionCookie, session.Reveal(), signin.SessionFor)
	setSecret(w, r, ceremonyCookie, "", 0)
}

func (d *Door) signOut(r *request) (*page, error) {
	to, elsewhere := "/", d.SignIn.SignedOutAt(r.Context(), secretOf(r.Request, sessionCookie), origin(r.Request))
	if err := d.SignIn.End(r.Context(), r.admin(), secretOf(r.Request, sessionCookie)); err != nil {
		return nil, err
	}
	setSecret(r.w, r.Request, sessionCookie, "", 0)
	r.w.Header().Set("Clear-Site-Data", `"cache"`)
	if elsewhere != "" {
		setSecret(r.w, r.Request, outCookie, url.QueryEscape(elsewhere), time.Minute)
		to = "/signedout"
	}
	return &page{to: to}, nil
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
	options, ceremony, err := d.SignIn.BeginPasskey(r.Context(), from(r), origin(r))
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	setSecret(w, r, ceremonyCookie, ceremony, 5*time.Minute)
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
