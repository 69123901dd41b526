package portal

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
)

type requestPage struct {
	access.View
	Address      string
	Purpose      []string // in words
	Diseases     string
	Countries    string
	Months       string
	Kind         string // of the organisation
	Items        []requestItem
	Capabilities []capabilityChoice
	From, Until  string // proposed, as dates
	MaxText      int
	Several      bool
	MayPaper     bool // the reader may give an agreement
	PaperNow     bool // and it is what comes next
	Error        string
	ErrorAt      string // of which form
	Written      url.Values
	Today        string
}

// requestItem is an item with what the reader may do to it.
type requestItem struct {
	access.ItemView
	Refused bool // by the terms of now: nothing can be approved
	Changed bool // refused when it was handed in: who approves says why
	Steps   []stepView
	Decide  bool
	Take    bool
	Answer  bool
	Asked   string // what the custodian wants to know
	Edit    bool
	Leave   bool // withdraw
	Close   bool
	Refuse  bool // reject alone: what was asked was not answered
}

type capabilityChoice struct {
	Name, Label string
	On          bool
}

var capabilityWords = map[string]string{"count": "count people who fit", "preview": "preview: a few pictures, small", "view": "view images here", "analyse": "analyse where the data are", "download": "download a copy"}

func (d *Door) request(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	return d.requestWith(r, "", nil)
}

// requestWith draws a request, with what is wrong with one of its forms.
func (d *Door) requestWith(r *request, at string, failure error) (*page, error) {
	id, err := r.requestID()
	if err != nil {
		return nil, err
	}
	v, err := d.Access.Request(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p := &requestPage{View: v, Address: "/requests/" + v.ID, MaxText: access.MaxText, Several: len(v.Items) > 1, Today: now.UTC().Format(time.DateOnly), Written: url.Values{}}
	f := v.Form
	for _, k := range useKinds {
		if k.Name == f.Purpose["for"] {
			p.Purpose = append(p.Purpose, k.Label)
		}
	}
	for _, all := range [][]choice{useWork, useHandling, usePromises, useClaims} {
		for _, c := range all {
			if f.Purpose[c.Name] == "yes" {
				p.Purpose = append(p.Purpose, c.Label)
			}
		}
	}
	p.Diseases, p.Countries, p.Months = f.Purpose["disease"], f.Purpose["country"], f.Purpose["months"]
	for _, k := range access.OrganisationKinds {
		if k[0] == f.Organisation.Kind {
			p.Kind = k[1]
		}
	}
	months, err := strconv.Atoi(p.Months)
	if err != nil || months < 1 || months > 120 {
		months = 12
	}
	p.Until = now.UTC().AddDate(0, months, -1).Format(time.DateOnly)
	most := record.Analyse
	if f.Purpose["download"] == "yes" {
		most = record.Download
	}
	for _, c := range record.Capabilities() {
		if c <= most {
			p.Capabilities = append(p.Capabilities, capabilityChoice{c.String(), capabilityWords[c.String()], c == most})
		}
	}
	for _, i := range v.Items {
		x := requestItem{ItemView: i, Refused: i.Now != nil && i.Now.Verdict == datause.Deny, Changed: i.Match != nil && i.Match.Verdict == datause.Deny}
		if i.Now != nil {
			x.Match = i.Now // what counts is what the terms say now
		}
		custodian := i.MayDecide
		switch i.State {
		case "draft":
			x.Edit = v.Own
		case "submitted", "in_review":
			x.Decide, x.Take, x.Leave = custodian, custodian && i.State == "submitted", v.Own
		case "clarify":
			x.Answer, x.Edit, x.Leave, x.Refuse = v.Own, v.Own, v.Own, custodian
			for _, e := range v.Events {
				if e.Item == i.Item && e.What == record.AskBack.String() {
					x.Asked = e.Text
				}
			}
		case "expired":
			x.Leave, x.Refuse = v.Own, custodian
		case "approved":
			x.Close = v.Own || custodian
		}
		x.Steps = stepsOfRequest(v, i)
		p.Items = append(p.Items, x)
		if slices.Contains([]string{"submitted", "in_review", "clarify", "approved"}, i.State) && (v.Own || custodian) {
			p.MayPaper = true
			p.PaperNow = p.PaperNow || v.Own && i.State == "approved" && len(v.Agreements) == 0
		}
	}
	out := &page{file: "request", title: f.Title, section: "/requests", help: "requests"}
	if !v.Own {
		out.help = "decide"
	}
	if f.Title == "" {
		out.title = "A request without a title yet"
	}
	if failure != nil {
		pr, _ := web.ProblemOf(failure)
		p.Error, p.ErrorAt, out.status = pr.Detail, at, http.StatusUnprocessableEntity
		if r.PostForm != nil {
			p.Written = r.PostForm
		}
		if fault.Is(failure, fault.Conflict) {
			out.status = http.StatusConflict
		}
	}
	out.data = p
	return out, nil
}

// stepsOfRequest is the way of an item, from the form to the data.
func stepsOfRequest(v access.View, i access.ItemView) []stepView {
	done := 0
	switch i.State {
	case "draft":
	case "submitted", "in_review", "clarify", "expired":
		done = 1
	case "approved", "closed":
		done = 2
		for _, a := range v.Agreements {
			if a.Collection == i.Collection && a.State == "executed" {
				done = 3
			}
		}
		for _, e := range v.Entitlements {
			if e.Item == i.Item {
				done = 4
			}
		}
	default:
		return nil // it goes no further
	}
	out := []stepView{{"Form", "handed in", ""}, {"Decision", "by the custodian", ""}, {"Agreement", "signed and checked", ""}, {"Data", "for a time", ""}}
	for n := range out {
		switch {
		case n < done:
			out[n].Class = "on"
		case n == done:
			out[n].Class = "now"
		}
	}
	return out
}

// correctableHere is a failure that is said beside the form that was sent.
func correctableHere(err error) bool { return correctable(err) || fault.Is(err, fault.Conflict) }

func (d *Door) actOnRequest(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.requestID()
	if err != nil {
		return nil, err
	}
	f := r.PostForm
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(f.Get(name), 10, 64) // nothing is 0
		return n
	}
	a := access.Act{Do: f.Get("do"), Item: number("item"), Seen: number("seen"), Text: f.Get("text")}
	at := a.Do + " " + f.Get("item")
	if a.Do == "approve" {
		a.Terms = &access.Terms{Capability: f.Get("capability"), Conditions: f.Get("conditions"), Override: f.Get("override"), Text: f.Get("text")}
		var until, from time.Time
		if until, err = dayOf(f.Get("until"), "the last day"); err == nil && f.Get("from") != "" {
			if from, err = dayOf(f.Get("from"), "the first day"); err == nil {
				a.Terms.From = &from
			}
		}
		until = until.AddDate(0, 0, 1)
		a.Terms.Until = &until
	}
	if err == nil {
		_, err = d.Access.Act(r.Context(), r.admin(), id, a)
	}
	if correctableHere(err) {
		return d.requestWith(r, at, err)
	}
	if err != nil {
		return nil, err
	}
	notice, ok := map[string]int{"submit": noticeHandedIn, "approve": noticeApproved, "reject": noticeDecided, "ask": noticeAskedBack, "answer": noticeAnswered, "withdraw": noticeWithdrawn}[a.Do]
	if !ok {
		notice = noticeSaved
	}
	r.leave(notice)
	return &page{to: "/requests/" + id.String()}, nil
}

func dayOf(s, what string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, strings.TrimSpace(s))
	if err != nil {
		return t, fault.New(fault.Invalid, "read form", "", what+" is no date")
	}
	return t, nil
}

// parts reads the fields and the one file of a form from the stream, in memory alone and bounded.
func (r *request) parts(most int64) (fields url.Values, file []byte, err error) {
	const attempt = "read form"
	r.Body = http.MaxBytesReader(r.w, r.Body, most+2*maxForm)
	refuse := web.Refuse(http.StatusBadRequest, attempt, "the form breaks off, or is longer than it may be", "Choose a smaller file.")
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, nil, web.Refuse(http.StatusUnsupportedMediaType, attempt, "it is not sent as a form with a file", "Send it from the page.")
	}
	fields = url.Values{}
	for range 24 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, file, nil
		}
		if err != nil {
			return nil, nil, refuse
		}
		limit := int64(maxForm)
		if part.FileName() != "" {
			limit = most + 1
		}
		b, err := io.ReadAll(io.LimitReader(part, limit))
		if err != nil {
			return nil, nil, refuse
		}
		if part.FormName() == "document" {
			file = b
		} else {
			fields.Add(part.FormName(), string(b))
		}
	}
	return nil, nil, refuse
}

func (d *Door) addAgreement(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := r.requestID()
	if err != nil {
		return nil, err
	}
	// Who may not see the request gives nothing: a large body is not read for them.
	if _, err := d.Access.Request(r.Context(), r.admin(), id); err != nil {
		return nil, err
	}
	f, document, err := r.parts(access.MaxDocument)
	if err != nil {
		return nil, err
	}
	r.PostForm = f
	n := access.Paper{Collection: f.Get("collection"), Scope: f.Get("scope"), Template: f.Get("template"), Organisation: f.Get("organisation"), ROR: f.Get("ror"), Parties: strings.Split(strings.ReplaceAll(f.Get("parties"), "\r\n", "\n"), "\n"),
		Deviations: f.Get("deviations"), Commercial: f.Get("commercial") == "yes"}
	if n.Effective, err = dayOf(f.Get("effective"), "the first day"); err == nil {
		n.Expires, err = dayOf(f.Get("expires"), "the last day")
		n.Expires = n.Expires.AddDate(0, 0, 1)
	}
	if err == nil {
		_, err = d.Access.AddAgreement(r.Context(), r.admin(), id, n, document)
	}
	if correctableHere(err) {
		return d.requestWith(r, "agreement", err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeAgreement)
	return &page{to: "/requests/" + id.String()}, nil
}

// agreementDocument gives a signed document to be kept, never to be shown within a page of the node.
func (d *Door) agreementDocument(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, caller: web.CallerOf(r), w: w}
	err := q.signedIn()
	var id record.ID
	if err == nil {
		id, err = record.ParseID("agreement", r.PathValue("agreement"))
	}
	var b []byte
	if err == nil {
		b, err = d.Access.Document(r.Context(), q.admin(), id)
	}
	if err != nil {
		d.problem(w, q, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Disposition", `attachment; filename="agreement-`+id.String()+`.pdf"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // whoever does not read it has gone
	}
}

func (d *Door) actOnAgreement(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := record.ParseID("agreement", r.PathValue("agreement"))
	if err != nil {
		return nil, err
	}
	f := r.PostForm
	v, err := d.Access.Agreement(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	if f.Get("do") == "accept" {
		_, err = d.Access.Accept(r.Context(), r.admin(), id)
	} else {
		_, err = d.Access.ActOnAgreement(r.Context(), r.admin(), id, access.AgreementAct{Do: f.Get("do"), Parties: f.Get("parties") == "yes", Dates: f.Get("dates") == "yes", Text: f.Get("text")})
	}
	at := v.Request
	if f.Get("request") != "" { // an organisation's agreement is accepted where it is used
		at = f.Get("request")
	}
	if correctableHere(err) {
		r.SetPathValue("request", at)
		return d.requestWith(r, "agreement "+v.ID, err)
	}
	if err != nil {
		return nil, err
	}
	notice := noticeSaved
	switch f.Get("do") {
	case "execute":
		notice = noticeExecuted
	case "accept":
		notice = noticeAccepted
	}
	r.leave(notice)
	to, err := record.ParseID("request", at)
	if err != nil {
		return nil, err
	}
	return &page{to: "/requests/" + to.String()}, nil
}

func (d *Door) actOnEntitlement(r *request) (*page, error) {
	if err := r.signedIn(); err != nil {
		return nil, err
	}
	id, err := record.ParseID("entitlement", r.PathValue("entitlement"))
	if err != nil {
		return nil, err
	}
	v, err := d.Access.Entitlement(r.Context(), r.admin(), id)
	if err != nil {
		return nil, err
	}
	_, err = d.Access.ActOnEntitlement(r.Context(), r.admin(), id, access.EntitlementAct{Do: r.PostFormValue("do"), Text: r.PostFormValue("text")})
	if correctableHere(err) {
		r.SetPathValue("request", v.Request)
		return d.requestWith(r, "entitlement "+v.ID, err)
	}
	if err != nil {
		return nil, err
	}
	r.leave(noticeSaved)
	return &page{to: "/requests/" + v.Request}, nil
}
