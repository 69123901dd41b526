package portal

import (
	"net/url"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
)

func (d *Door) registerProvider(mux web.Routes) {
	mux.HandleFunc("GET /signin/provider", d.page(d.toProvider))
	mux.HandleFunc("POST /signin/provider", d.page(d.inviteToProvider))
	mux.HandleFunc("GET "+signin.ProviderBack, d.page(d.fromProvider))
	mux.HandleFunc("GET /signedout", d.page(d.signedOut))
	mux.HandleFunc("POST /account/provider", d.page(d.linkProvider))
	mux.HandleFunc("POST /account/provider/remove", d.page(d.unlinkProvider))
}

const (
	providerCookie = "vitrine-provider"  // what the browser keeps while somebody is with the provider
	outCookie      = "vitrine-signedout" // where to sign out beside
)

// leave keeps the ceremony with the browser and gives the provider's address.
func (d *Door) leaveFor(r *request, e signin.Errand) (string, error) {
	address, ceremony, err := d.SignIn.BeginProvider(r.Context(), from(r.Request), origin(r.Request), e)
	if err == nil {
		setSecret(r.w, r.Request, providerCookie, ceremony, 10*time.Minute)
	}
	return address, err
}

// toProvider sends somebody to whom the provider is to vouch for.
func (d *Door) toProvider(r *request) (*page, error) {
	next := after(r.URL.Query().Get("next"))
	if !r.caller.Anonymous() {
		return &page{to: next}, nil
	}
	address, err := d.leaveFor(r, signin.Errand{Next: next})
	if err != nil {
		return d.notIn(r, next, err)
	}
	return &page{to: address}, nil
}

type leavePage struct{ Name, Address, For string }

// leave shows where the next step leads. A form of ours may not be answered by sending the browser elsewhere (form-action), so it is a link to press.
func (d *Door) leavePage(r *request, e signin.Errand, what string) (*page, error) {
	address, err := d.leaveFor(r, e)
	if err != nil {
		return nil, err
	}
	return &page{file: "leave", title: "Sign in", help: "signin", data: leavePage{d.SignIn.ProviderName(), address, what}}, nil
}

// inviteToProvider lets whom the provider vouches for take up an invitation.
func (d *Door) inviteToProvider(r *request) (*page, error) {
	return d.leavePage(r, signin.Errand{Next: after(r.PostFormValue("next")), Link: r.PostFormValue("t")}, "sign in and take up your invitation")
}

func (d *Door) linkProvider(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.leavePage(r, signin.Errand{Next: "/account", Own: r.caller.Actor}, "link it to your account here")
}

func (d *Door) unlinkProvider(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if err := d.SignIn.Unlink(r.Context(), r.admin(), r.PostFormValue("issuer"), r.PostFormValue("subject")); err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/account"}, nil
}

// fromProvider takes somebody who comes back.
func (d *Door) fromProvider(r *request) (*page, error) {
	ceremony := secretOf(r.Request, providerCookie)
	setSecret(r.w, r.Request, providerCookie, "", 0)
	came, err := d.SignIn.FinishProvider(r.Context(), from(r.Request), origin(r.Request), ceremony, r.URL.Query(), r.admin())
	if err != nil {
		return d.notIn(r, "/", err)
	}
	if came.Linked {
		r.leave(noticeSaved)
		return &page{to: after(came.Next)}, nil
	}
	d.enter(r.w, r.Request, came.Session)
	next := after(came.Next)
	if _, a, err := d.SignIn.Session(r.Context(), came.Session.Reveal()); err == nil && a.Pending() {
		next = "/account" // which says who can give a role
	}
	return &page{to: next}, nil
}

// notIn is the page for who did not get in: in words, with the other ways.
func (d *Door) notIn(r *request, next string, err error) (*page, error) {
	kind := fault.KindOf(err)
	if kind != fault.Denied && kind != fault.Unavailable && kind != fault.Conflict {
		return nil, err
	}
	pr, _ := web.ProblemOf(err)
	if !r.caller.Anonymous() {
		return nil, web.Refuse(pr.Status, "link identity", pr.Detail, "Go back to your account's page and try again.")
	}
	p := d.signInWith(r, signInPage{Next: next, Error: pr.Detail})
	p.status = pr.Status
	return p, nil
}

type outPage struct{ Name, Address string }

// signedOut says that somebody has signed out here, and where they have not.
func (d *Door) signedOut(r *request) (*page, error) {
	address := ""
	if v := secretOf(r.Request, outCookie); v != "" {
		setSecret(r.w, r.Request, outCookie, "", 0)
		if b, err := url.QueryUnescape(v); err == nil {
			address = b
		}
	}
	return &page{file: "signedout", title: "Signed out", data: outPage{d.SignIn.ProviderName(), address}}, nil
}
