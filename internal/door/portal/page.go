package portal

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	ui "github.com/vitrine-imaging/vitrine/web"
)

// policyOfContent is what a browser may load for a page: the node's own files, and nothing from anywhere else. No script and no style stands in a page.
const policyOfContent = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'; frame-src 'self'"

// page is what a page's function gives back.
type page struct {
	file    string // of the template, without .html
	title   string
	about   string // description for search engines; a page that has one is indexed
	section string // the path of the navigation's entry that it belongs to
	help    string // the help topic that belongs to it
	bare    bool   // for somebody who came to do one thing: without navigation, and nobody is asked to sign in
	counted string // the day of its numbers of people
	zip     bool   // sent compressed: it is long, and holds no secret that its length could tell
	data    any
	status  int    // 0: 200
	to      string // not empty: go there instead (303)
}

// view is what a template sees.
type view struct {
	Title       string
	Description string
	Public      bool
	Bare        bool
	Theme       string // light, dark, or empty: the system's
	Path        string
	Help        string
	Ask         string // where a question about this page is asked; empty: nowhere
	Nav         []entry
	Who         *person
	Notice      *notice
	Node        string
	CountsDate  string
	Register    bool // there is a register of uses
	Withdraw    bool // there is a page of how to withdraw
	Datasets    bool // there are datasets
	Page        any
}

// entry is one of the navigation.
type entry struct {
	Name, Path string
	Here       bool
	Waiting    int64 // how many wait there for the reader
}

// person is who is signed in.
type person struct{ Name, Initials string }

// notice is said once, at the top of the page that follows an act.
type notice struct{ Kind, Text string }

// pages are the templates, each with the layout. One is read when it is first drawn: all of them take 15 MB, of which a node that draws none has no use.
type pages struct {
	by map[string]func() (*template.Template, error)
}

func parse(f *files) (*pages, error) {
	all := ui.Templates()
	base := sync.OnceValues(func() (*template.Template, error) {
		t, err := template.New("layout").Funcs(functions(f)).ParseFS(all, "layout.html")
		if err != nil {
			return nil, err
		}
		if parts, _ := fs.Glob(all, "parts/*.html"); len(parts) > 0 {
			return t.ParseFS(all, "parts/*.html")
		}
		return t, nil
	})
	names, err := fs.Glob(all, "*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{by: map[string]func() (*template.Template, error){}}
	for _, name := range names {
		if name == "layout.html" {
			continue
		}
		p.by[strings.TrimSuffix(path.Base(name), ".html")] = sync.OnceValues(func() (*template.Template, error) {
			t, err := base()
			if err == nil {
				t, err = t.Clone()
			}
			if err != nil {
				return nil, err
			}
			return t.ParseFS(all, name)
		})
	}
	return p, nil
}

// page makes a handler of a page's function. A page is drawn whole before its first byte is sent: what fails in a template is a problem, not half a page. A form is read
// before the function is asked.
func (d *Door) page(do func(*request) (*page, error)) http.HandlerFunc {
	return d.reading(func(r *request) (*page, error) {
		if err := r.form(); err != nil {
			return nil, err
		}
		return do(r)
	})
}

// maxForm bounds the body of a form in which somebody writes: four bytes a character, each of them escaped.
const maxForm = 64 << 10

// form reads a form of a page: it is short, and in memory alone. A form with files would be written to temporary files, whoever sends it, and is none of a page's.
func (r *request) form() error { return r.formWithin(maxForm) }

func (r *request) formWithin(most int64) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), "/"); strings.EqualFold(strings.TrimSpace(kind), "multipart") {
		return web.Refuse(http.StatusUnsupportedMediaType, "read form", "it is not sent as a form of this page", "Send it from the page.")
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fault.New(fault.TooLarge, "read form", "", "the form is larger than "+size(most))
		}
		return fault.New(fault.Invalid, "read form", "", "it cannot be read")
	}
	return nil
}

// reading is page for a function that reads the body by itself, within bounds of its own.
func (d *Door) reading(do func(*request) (*page, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := &request{Request: r, caller: web.CallerOf(r), w: w}
		p, err := do(req)
		if err == nil && p == nil {
			return // it has answered by itself
		}
		if err == nil && p.to != "" {
			http.Redirect(w, r, p.to, http.StatusSeeOther)
			return
		}
		var b bytes.Buffer
		if err == nil {
			err = d.draw(&b, req, p)
		}
		if err != nil {
			d.problem(w, req, err)
			return
		}
		if p.zip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			b = compressed(w, b)
		}
		send(w, r, p.status, b.Bytes())
	}
}

func compressed(w http.ResponseWriter, b bytes.Buffer) bytes.Buffer {
	var z bytes.Buffer
	g, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed) // a level that exists
	_, _ = g.Write(b.Bytes())                       // a buffer takes everything
	_ = g.Close()
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Add("Vary", "Accept-Encoding")
	return z
}

func (d *Door) draw(b *bytes.Buffer, r *request, p *page) error {
	read := d.pages.by[p.file]
	if read == nil {
		return fmt.Errorf("there is no template %q", p.file)
	}
	t, err := read()
	if err != nil {
		return err
	}
	v := view{
		Title: p.title, Description: p.about, Public: p.about != "", Bare: p.bare, Theme: themeOf(r.Request), Path: r.back(), Help: path.Join("/help", p.help),
		Nav: d.withIdentity(r, d.withQuestions(r, d.withRequests(r, navigation(r.caller, p.section), p.section), p.section), p.section), Who: d.whoIs(r), Node: d.Name, Page: p.data, Notice: takeNotice(r), CountsDate: p.counted, Register: d.Access != nil, Datasets: d.Releases != nil, Withdraw: d.Consent != nil,
	}
	if d.Ask != nil {
		v.Ask = askAddress(r.Request)
	}
	d.news(r, v.Nav)
	d.waiting(r, v.Nav)
	return t.ExecuteTemplate(b, "layout", v)
}

// problem answers with a page that says what went wrong: who is not signed in is asked to.
func (d *Door) problem(w http.ResponseWriter, r *request, err error) {
	pr, more := web.ProblemTo(r.Request, err)
	if pr.Status >= 500 {
		d.Log.Error("a page could not be drawn", "route", r.Pattern, "error", err)
	}
	if pr.Status == http.StatusUnauthorized && r.Method == http.MethodGet && r.caller.Anonymous() {
		http.Redirect(w, r.Request, "/signin?"+"next="+template.URLQueryEscaper(r.back()), http.StatusSeeOther)
		return
	}
	d.Show(w, r.Request, pr, more)
}

// problemTitles say in plain words what the standard names of statuses (RFC 9110 section 15) say to programs.
var problemTitles = map[int]string{
	http.StatusBadRequest:            "This was not understood",
	http.StatusUnauthorized:          "Sign in first",
	http.StatusForbidden:             "You may not do this",
	http.StatusNotFound:              "Nothing is here",
	http.StatusMethodNotAllowed:      "Nothing is here",
	http.StatusConflict:              "Something else is there already",
	http.StatusGone:                  "This is gone",
	http.StatusRequestEntityTooLarge: "This is too large",
	http.StatusUnprocessableEntity:   "This was not understood",
	http.StatusTooManyRequests:       "That was too often",
	http.StatusInternalServerError:   "Something went wrong",
	http.StatusServiceUnavailable:    "Not at this moment",
	http.StatusInsufficientStorage:   "There is no room left",
}

// Show answers with a problem as a page.
func (d *Door) Show(w http.ResponseWriter, r *http.Request, pr web.Problem, more http.Header) {
	type shown struct {
		web.Problem
		SignIn bool
	}
	for k, v := range more {
		w.Header()[k] = v
	}
	var b bytes.Buffer
	caller := web.CallerOf(r)
	if title, ok := problemTitles[pr.Status]; ok {
		pr.Title = title
	}
	if pr.Status == http.StatusNotFound {
		pr.Advice = "Check the address. What belongs to a collection is shown to who has a role in it"
		if caller.Anonymous() {
			pr.Advice += ": if you have one, sign in."
		} else {
			pr.Advice += ": its stewards give one."
		}
	}
	p := &page{file: "problem", title: pr.Title, data: shown{pr, pr.Status == http.StatusUnauthorized || pr.Status == http.StatusNotFound || pr.Status == http.StatusForbidden}}
	if err := d.draw(&b, &request{Request: r, caller: caller, w: w}, p); err != nil {
		d.Log.Error("the page of a problem could not be drawn", "error", err)
		http.Error(w, pr.Title+". "+pr.Detail, pr.Status)
		return
	}
	send(w, r, pr.Status, b.Bytes())
}

func send(w http.ResponseWriter, r *http.Request, status int, b []byte) {
	if status == 0 {
		status = http.StatusOK
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "private, no-store")
	h.Add("Vary", "Cookie")
	secure(h)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}

// secure sets what keeps a page to itself.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policyOfContent)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
}

func themeOf(r *http.Request) string {
	choice := r.URL.Query().Get("theme")
	if choice == "" {
		if c, err := r.Cookie("theme"); err == nil {
			choice = c.Value
		}
	}
	if choice != "light" && choice != "dark" {
		return ""
	}
	return choice
}

// sections are the navigation's entries and who sees them.
var sections = []struct {
	name, path string
	roles      []policy.Role // empty: everybody
}{
	{"Directory", "/", nil},
	{"Deposits", "/deposits", []policy.Role{policy.Depositor, policy.Steward, policy.Admin, policy.Physicist}},
	{"Held", "/held", []policy.Role{policy.Steward}},
	{"Collections", "/collections", []policy.Role{policy.Steward, policy.Custodian, policy.Admin}},
	{"People", "/people", []policy.Role{policy.Admin}},
	{"Audit", "/audit", []policy.Role{policy.Steward, policy.Admin}},
	{"Status", "/status", []policy.Role{policy.Steward, policy.Admin}},
}

func navigation(c web.Caller, here string) []entry {
	var out []entry
	for _, s := range sections {
		if len(s.roles) == 0 || hasRole(c, s.roles) {
			out = append(out, entry{Name: s.name, Path: s.path, Here: s.path == here})
		}
	}
	return out
}

func hasRole(c web.Caller, roles []policy.Role) bool {
	for _, g := range c.Grants {
		for _, r := range roles {
			if g.Role == r {
				return true
			}
		}
	}
	return false
}

func (d *Door) whoIs(r *request) *person {
	if r.caller.Anonymous() {
		return nil
	}
	name := ""
	if d.SignIn != nil {
		if _, a, err := d.SignIn.Session(r.Context(), secretOf(r.Request, sessionCookie)); err == nil && a.ID == r.caller.Actor {
			name = a.Name
		}
	}
	if name == "" {
		name = r.caller.Actor
	}
	return &person{Name: name, Initials: initials(name)}
}

// initials are the first letters of a name's first two words.
func initials(name string) string {
	var out []rune
	for _, word := range strings.Fields(name) {
		if len(out) < 2 {
			out = append(out, []rune(strings.ToUpper(word))[0])
		}
	}
	return string(out)
}

// noticeCookie carries what is said on the next page; it holds the number of a sentence, never words of a request.
const noticeCookie = "notice"

// leave says something on the page that comes next.
func (r *request) leave(n int) {
	http.SetCookie(r.w, &http.Cookie{Name: noticeCookie, Value: strconv.Itoa(n), Path: "/", MaxAge: 60, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

func takeNotice(r *request) *notice {
	c, err := r.Cookie(noticeCookie)
	if err != nil {
		return nil
	}
	http.SetCookie(r.w, &http.Cookie{Name: noticeCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	n, err := strconv.Atoi(c.Value)
	if err != nil || n < 0 || n >= len(notices) {
		return nil
	}
	return &notices[n]
}

// notices are the sentences that may be said once. The numbers hold for a minute at a time, so they may change with the program.
var notices = []notice{
	noticeSaved:       {"ok", "Saved."},
	noticePublished:   {"ok", "Published. Researchers of the collection can see it now."},
	noticeAsked:       {"ok", "Your question was sent. The answer will appear here; no mail is sent, so come back and look."},
	noticeChecking:    {"ok", "The log is being recomputed. What comes of it will stand here, and in the log itself."},
	noticeLinkEnded:   {"ok", "The link was ended. It opens nothing any more."},
	noticeSearch:      {"ok", "Saved. With an alert, what is new of it is shown here and beside Directory at the top of every page; no mail is sent."},
	noticePicked:      {"ok", "The picture stands for the collection now."},
	noticeShown:       {"ok", "Published. Everybody can see it now."},
	noticeRuled:       {"ok", "Decided once for all. What is held and alike is worked on now; what comes later follows by itself."},
	noticeIdentifies:  {"ok", "It identifies from now on. What has it is being held, and loses it when it is accepted."},
	noticeRulingEnded: {"ok", "Ended. What it accepted is being held again, and waits for a person."},
	noticePulling:     {"ok", "It begins, or waits for its hours. What becomes of each request stands below."},
	noticeHandedIn:    {"ok", "Handed in. What happens next stands here."},
	noticeDiscarded:   {"ok", "Deleted, with the key that it was encrypted under."},
	noticeApproved:    {"ok", "Approved. The use begins once a signed agreement was checked."},
	noticeDecided:     {"ok", "Decided. Who asked sees it here."},
	noticeAskedBack:   {"ok", "Asked. It waits for the applicant now."},
	noticeAnswered:    {"ok", "Answered. It waits for the custodian now."},
	noticeWithdrawn:   {"ok", "Withdrawn."},
	noticeAgreement:   {"ok", "The document is kept, encrypted. The custodian checks it."},
	noticeExecuted:    {"ok", "Executed. What was approved may be used now, for its time, by who accepts the agreement by name."},
	noticeAccepted:    {"ok", "Accepted. You may use the data now, as it was approved."},
	noticeFrozen:      {"ok", "Frozen, as a draft. Look at it, and publish or discard it."},
	noticeReleased:    {"ok", "Published. Those who are entitled to it may have it now."},
	noticeTakenBack:   {"ok", "Taken back. Nothing of it is given any more; its page stays."},
	noticeRetired:     {"ok", "Taken out of the directory. Its revisions stay, and it can be published again."},
}

const (
	noticeSaved = iota
	noticePublished
	noticeAsked
	noticeLinkEnded
	noticeChecking
	noticeSearch
	noticePicked
	noticeShown
	noticeRetired
	noticeRuled
	noticeRulingEnded
	noticeIdentifies
	noticePulling
	noticeHandedIn
	noticeDiscarded
	noticeApproved
	noticeDecided
	noticeAskedBack
	noticeAnswered
	noticeWithdrawn
	noticeAgreement
	noticeExecuted
	noticeAccepted
	noticeFrozen
	noticeReleased
	noticeTakenBack
)
