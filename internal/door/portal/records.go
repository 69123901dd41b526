package portal

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func (d *Door) registerRecords(mux web.Routes) {
	mux.HandleFunc("GET /audit", d.page(d.audit))
	mux.HandleFunc("POST /audit/check", d.page(d.checkAudit))
	mux.HandleFunc("GET /audit/entries.csv", d.auditTable)
	mux.HandleFunc("GET /audit/checkpoint.txt", d.checkpoint)
}

// logged is an entry of the audit log in words.
type logged struct {
	admin.Entry
	Did    string
	Who    string
	Ruling string // the address of the standing decision that it is about, or that was carried out
}

type auditPage struct {
	Entries []logged // latest first
	Size    int64
	Older   string
	Newer   string
	Cut     bool // looking stopped before the end
	Table   string

	Filter      auditFilter
	Filtered    bool
	Collections []collection.Collection
	Actions     []chosen
	Outcomes    []string

	Check    *status.Check
	MayCheck bool
	Wrong    string // what of the filter could not be read
}

// chosen is an action with its words.
type chosen struct{ Action, Words string }

// auditFilter is what was asked for, as it was written.
type auditFilter struct{ Collection, Who, What, Outcome, Since, Until string }

// theNode stands in the filter for entries of no collection: no collection can be called so.
const theNode = "-"

const pageOfAudit = 100

// search reads the filter of an address.
func auditSearch(q url.Values) (f auditFilter, s admin.AuditSearch, wrong string) {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f = auditFilter{get("collection"), get("who"), get("what"), get("outcome"), get("since"), get("until")}
	s = admin.AuditSearch{Actor: f.Who, Action: f.What, Outcome: f.Outcome, Limit: pageOfAudit}
	if f.Collection == theNode {
		s.Node = true
	} else {
		s.Collection = f.Collection
	}
	day := func(text string) (t time.Time) {
		if text == "" {
			return t
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			wrong = "A day is written as 2026-11-27."
		}
		return t
	}
	s.Since, s.Until = day(f.Since), day(f.Until)
	if !s.Until.IsZero() {
		s.Until = s.Until.AddDate(0, 0, 1) // the whole day
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	s.Before, s.After = number("before"), number("after")
	return f, s, wrong
}

// address is the page of the log with this filter, and at a place.
func (f auditFilter) address(path, name string, n int64) string {
	q := url.Values{}
	for _, v := range []struct{ name, value string }{{"collection", f.Collection}, {"who", f.Who}, {"what", f.What}, {"outcome", f.Outcome}, {"since", f.Since}, {"until", f.Until}} {
		if v.value != "" {
			q.Set(v.name, v.value)
		}
	}
	if name != "" {
		q.Set(name, strconv.FormatInt(n, 10))
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// audit shows the log, a page at a time from its end.
func (d *Door) audit(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	ctx, who := r.Context(), r.admin()
	p := auditPage{Outcomes: []string{"done", "allowed", "denied"}}
	var err error
	if p.Size, err = d.Desk.AuditSize(ctx, who); err != nil {
		return nil, err
	}
	var s admin.AuditSearch
	p.Filter, s, p.Wrong = auditSearch(r.URL.Query())
	p.Filtered = p.Filter != auditFilter{}
	found, err := d.Desk.SearchAudit(ctx, who, s)
	if err != nil {
		return nil, err
	}
	for _, e := range found.Entries {
		p.Entries = append(p.Entries, logged{e, did(e.Action), d.whoDid(r, e.Actor), ruledBy(r, e)})
	}
	if s.After > 0 {
		if found.More {
			p.Newer = p.Filter.address("/audit", "after", found.Reached)
		}
		p.Older = p.Filter.address("/audit", "before", s.After)
	} else {
		if found.More {
			p.Older = p.Filter.address("/audit", "before", found.Reached)
			p.Cut = len(found.Entries) < pageOfAudit
		}
		if s.Before > 0 && s.Before < p.Size {
			p.Newer = p.Filter.address("/audit", "after", s.Before)
		}
	}
	p.Table = p.Filter.address("/audit/entries.csv", "", 0)
	if p.Collections, err = d.Desk.ListCollections(ctx, who); err != nil {
		return nil, err
	}
	actions, err := d.Desk.AuditActions(ctx, who)
	if err != nil {
		return nil, err
	}
	if p.Filter.What != "" && !slices.Contains(actions, p.Filter.What) {
		actions = append(actions, p.Filter.What)
	}
	for _, a := range actions {
		p.Actions = append(p.Actions, chosen{a, did(a)})
	}
	slices.SortFunc(p.Actions, func(a, b chosen) int { return strings.Compare(a.Words, b.Words) })
	if o := p.Filter.Outcome; o != "" && !slices.Contains(p.Outcomes, o) {
		p.Outcomes = append(p.Outcomes, o)
	}
	if d.Status != nil {
		c, err := d.Status.Checked(ctx, who)
		if err != nil {
			return nil, err
		}
		p.Check, p.MayCheck = &c, status.MayCheck(who)
	}
	return &page{file: "audit", title: "Audit", section: "/audit", help: "audit", data: p}, nil
}

// whoDid is what a person reads of an actor: the log knows no names.
func (d *Door) whoDid(r *request, actor string) string {
	switch actor {
	case r.caller.Actor:
		return "you"
	case "node":
		return "the node"
	}
	return actor
}

// ruledBy is the address of the standing decision that an entry is about.
func ruledBy(r *request, e admin.Entry) string {
	if e.Collection == "" {
		return ""
	}
	if n, ok := strings.CutPrefix(e.Object, "decision "); ok {
		return r.rulingAddress(collection.ID(e.Collection), n)
	}
	if _, n, ok := strings.Cut(e.Outcome, ": "+review.ByRuling); ok {
		return r.rulingAddress(collection.ID(e.Collection), n)
	}
	return ""
}

// words are what people say of actions. What is not here is said as the log says it.
var words = map[string]string{
	"search":                        "searched",
	"read metadata":                 "read what images say",
	"read pixels and bulk data":     "looked at images",
	"deposit":                       "gave images",
	"admit":                         "admitted a study",
	"publish":                       "published a study",
	"publish a release":             "published a release",
	"create collection":             "made a collection",
	"change collection":             "changed a collection",
	"create token":                  "made a token",
	"revoke token":                  "ended a token",
	"register SSH key":              "registered an SSH key",
	"add peer":                      "registered a sender",
	"remove peer":                   "removed a sender",
	"read the audit log":            "read this log",
	"verify":                        "re-hashed everything stored",
	"verify the audit log":          "recomputed this log",
	"sign in by link":               "signed in by a link",
	"sign in by passkey":            "signed in by a passkey",
	"sign in by code":               "signed in by a code",
	"sign out":                      "signed out",
	"end other sessions":            "ended other sessions",
	"make sign-in link":             "made a sign-in link",
	"pick a picture for the public": "picked a picture for the public",
	"import clinical rows":          "imported clinical data",
	"edit a directory entry":        "wrote a directory entry",
	"publish a directory entry":     "published a directory entry",
	"retire a directory entry":      "took an entry from the directory",
	"publish counts":                "had people counted anew",
	"see what is held and why":      "saw what is held",
	"decide on what is held":        "decided on what is held",
	"make standing decision":        "decided once for all",
	"end standing decision":         "ended a standing decision",
	"see the fate of own deposits":  "saw what became of a deposit",
	"see intake counts":             "saw what came",
	"see the status":                "saw the status",
	"manage a collection":           "managed a collection",
	"manage tokens":                 "managed tokens",
	"manage peers":                  "managed senders",
	"manage users":                  "managed people",
	"ask a question":                "asked a question",
	"answer a question":             "answered a question",
	"read a question":               "read a question",
	"reply to an answer":            "wrote to a question again",
	"close a question":              "closed a question",
	"reopen a question":             "opened a question again",
	"erase a question":              "erased a question",
	"end a private link":            "ended a private link",
}

func did(action string) string {
	if w := words[action]; w != "" {
		return w
	}
	return action
}

// checkAudit asks for the log to be recomputed.
func (d *Door) checkAudit(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	if d.Status == nil {
		return nil, fault.New(fault.NotFound, "verify the audit log", "", "this node does not do so by its portal")
	}
	if err := d.Status.CheckLog(r.Context(), r.admin()); err != nil {
		return nil, err
	}
	r.leave(noticeChecking)
	return &page{to: "/audit"}, nil
}

// mostOfTable bounds a table that is downloaded.
const mostOfTable = 10_000

// auditTable gives the entries of a filter as CSV, the latest first.
func (d *Door) auditTable(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	_, s, _ := auditSearch(r.URL.Query())
	s.Limit, s.After = mostOfTable, 0
	found, err := d.Desk.SearchAudit(r.Context(), admin.Caller(caller), s)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="audit.csv"`)
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	out := csv.NewWriter(w)
	_ = out.Write([]string{"number", "time", "who", "action", "on", "collection", "outcome"})
	for _, e := range found.Entries {
		_ = out.Write([]string{strconv.FormatInt(e.Seq, 10), e.Time.Format(time.RFC3339), cell(e.Actor), cell(e.Action), cell(e.Object), cell(e.Collection), cell(e.Outcome)})
	}
	out.Flush() // whoever does not read it has gone
}

// cell keeps a table's program from taking a text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// checkpoint gives the signed note of the log, to be kept elsewhere.
func (d *Door) checkpoint(w http.ResponseWriter, r *http.Request) {
	caller, err := web.Known(r)
	if err == nil && d.Status == nil {
		err = fault.New(fault.NotFound, "get checkpoint", "", "this node signs none")
	}
	var c status.Check
	if err == nil {
		c, err = d.Status.Checked(r.Context(), admin.Caller(caller))
	}
	if err == nil && c.Signed.Note == "" {
		err = fault.New(fault.NotFound, "get checkpoint", "", "nothing was signed yet")
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="audit-checkpoint-`+strconv.FormatInt(c.Signed.Size, 10)+`.txt"`)
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(c.Signed.Note)) // whoever does not read it has gone
}
