// Package portal is the door for people: pages in a browser.
//
// It promises: a page asks the same flows that the other doors ask, so a person sees what a token of the same roles would get, and policy decides; every
// page has an address that can be sent, works without script where it can, and answers what went wrong as a page that says what happened and what to do;
// nothing is loaded from anywhere but the node (see [policyOfContent]); images and what is derived from them are not stored by browsers.
//
// One file a page. Templates and styles lie in the folder web at the module's root.
package portal

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/ask"
	"github.com/vitrine-imaging/vitrine/internal/flow/clinical"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/flow/link"
	noticeflow "github.com/vitrine-imaging/vitrine/internal/flow/notice"
	peopleflow "github.com/vitrine-imaging/vitrine/internal/flow/people"
	"github.com/vitrine-imaging/vitrine/internal/flow/proof"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/flow/recall"
	"github.com/vitrine-imaging/vitrine/internal/flow/reidentify"
	"github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
)

// Parts are what the door works with.
type Parts struct {
	Desk     *admin.Desk
	Clinical *clinical.Desk // nil: nothing is known beside images
	Delivery *delivery.Delivery
	Review   *review.Flow
	Ask      *ask.Desk // nil: nobody can be asked
	// Access is where data are asked for and permitted; nil: they are not.
	Access *access.Desk
	// Recalls is where copies are called back; nil: they are not.
	Recalls *recall.Desk
	// Reidentify tells two people together who a subject is; nil: nobody is told.
	Reidentify *reidentify.Desk
	Status     *status.Desk // nil: nobody is told
	SignIn     *signin.Flow
	// Who says who people are beside their accounts, and has the course.
	Who *peopleflow.Desk
	// Consent is where people's wishes are handed in; nil: there are no pages for it.
	Consent *consent.Desk
	// Links are those of people outside; nil: nobody has one.
	Links *link.Desk
	// Notices tells stewards by mail that something is held; nil: nobody is told so.
	Notices *noticeflow.Desk
	// Pulls collects from other archives; nil: there are no pages of it.
	Pulls *pullflow.Desk
	// Proof says what was done to what came; nil: nobody is told.
	Proof *proof.Desk
	// Releases is where versions of datasets are made; nil: there are none.
	Releases *release.Desk
	// Directory is what is found and published.
	Directory *directoryflow.Desk
	// DICOM is the address that DICOM is reached at; empty: it is not.
	DICOM string
	// Name is what the node is called in the footer of every page.
	Name string
	Log  *slog.Logger
}

// Door is safe for use by many goroutines.
type Door struct {
	Parts
	pages  *pages
	files  *files
	viewer *viewer

	drawn     drawn
	freezings freezings
	streams   streams
	draining  context.Context // ends when the node does
	drain     context.CancelFunc
}

// New makes the door. An error is in what is part of the program.
func New(p Parts) (*Door, error) {
	f, err := gather()
	if err != nil {
		return nil, err
	}
	t, err := parse(f)
	if err != nil {
		return nil, err
	}
	v, err := openViewer()
	if err != nil {
		return nil, err
	}
	d := &Door{Parts: p, pages: t, files: f, viewer: v}
	d.draining, d.drain = context.WithCancel(context.Background())
	return d, nil
}

// Register adds the door's routes, which expect a [web.Front] before them.
func (d *Door) Register(mux web.Routes) {
	mux.HandleFunc("GET /static/{file...}", d.files.serve)
	mux.HandleFunc("POST /theme", d.page(setTheme))
	d.registerDirectory(mux)
	d.registerEntries(mux)
	d.registerCollections(mux)
	d.registerHeld(mux)
	d.registerAlike(mux)
	d.registerRulings(mux)
	d.registerSettings(mux)
	d.registerRisk(mux)
	if d.Proof != nil {
		d.registerProof(mux)
	}
	d.registerStudies(mux)
	d.registerDeposits(mux)
	if d.Links != nil {
		d.registerLinks(mux)
	}
	if d.Pulls != nil {
		d.registerPulls(mux)
	}
	d.registerRecords(mux)
	d.registerSignIn(mux)
	if d.Who != nil {
		d.registerWho(mux)
	}
	d.registerViewer(mux)
	d.registerHelp(mux)
	if d.Ask != nil {
		d.registerAsk(mux)
	}
	if d.Access != nil {
		d.registerAccess(mux)
	}
	if d.Releases != nil {
		d.registerDatasets(mux)
	}
	if d.Recalls != nil {
		d.registerRecalls(mux)
	}
	if d.Status != nil {
		d.registerStatus(mux)
	}
	if d.Reidentify != nil {
		d.registerIdentity(mux)
	}
	if d.Consent != nil {
		d.registerConsent(mux)
	}
}

// request is a request for a page, with its caller.
type request struct {
	*http.Request
	caller web.Caller
	w      http.ResponseWriter
}

func (r *request) admin() admin.Caller       { return admin.Caller(r.caller) }
func (r *request) delivery() delivery.Caller { return delivery.Caller(r.caller) }
func (r *request) review() review.Caller     { return review.Caller(r.caller) }

// signedIn is the failure to answer with where a page is not for everybody.
func (r *request) signedIn() error {
	_, err := web.Known(r.Request)
	return err
}

// back is the address of this page, to return to after signing in.
func (r *request) back() string { return r.URL.RequestURI() }

// offset is how many of a list were shown before.
func (r *request) offset() int {
	n, err := strconv.Atoi(r.URL.Query().Get("from"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// withOffset is the address of this page further down its list.
func (r *request) withOffset(n int) string {
	q := r.URL.Query()
	q.Set("from", strconv.Itoa(n))
	return r.URL.Path + "?" + q.Encode()
}

// local reports an address on this node that may be gone to: a path, and nothing that a browser takes for another host.
func local(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(u.Path, "//") && !strings.Contains(address, `\`)
}

// setTheme keeps the reader's choice of light or dark. It is a cookie, because the page is drawn before any script could ask.
func setTheme(r *request) (*page, error) {
	theme := "dark"
	if c, err := r.Cookie("theme"); err == nil && c.Value == "dark" {
		theme = "light"
	}
	http.SetCookie(r.w, &http.Cookie{Name: "theme", Value: theme, Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()), SameSite: http.SameSiteLaxMode})
	to := r.PostFormValue("back")
	if !local(to) {
		to = "/"
	}
	return &page{to: to}, nil
}
