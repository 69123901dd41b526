package portal

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
)

func (d *Door) registerConsent(mux web.Routes) {
	mux.HandleFunc("GET /withdraw", d.page(d.howToWithdraw))
	mux.HandleFunc("GET /collections/{collection}/consent", d.page(d.consent))
	mux.HandleFunc("POST /collections/{collection}/consent", d.page(d.changeConsent))
	mux.HandleFunc("POST /collections/{collection}/consent/table", d.reading(d.importConsent))
	mux.HandleFunc("POST /collections/{collection}/consent/form", d.reading(d.addConsentForm))
	mux.HandleFunc("POST /collections/{collection}/consent/opt-outs", d.reading(d.takeOptOuts))
	mux.HandleFunc("POST /collections/{collection}/consent/certificate", d.reading(d.certificate))
	mux.HandleFunc("GET /collections/{collection}/consent/record", d.page(d.recordPage))
	mux.HandleFunc("POST /collections/{collection}/consent/record", d.page(d.recordSaid))
	mux.HandleFunc("GET /collections/{collection}/consent/withdraw", d.page(d.withdrawPage))
	mux.HandleFunc("POST /collections/{collection}/consent/withdraw", d.page(d.withdraw))
}

// howToWithdraw tells patients, in public, how they withdraw and what happens then.
func (d *Door) howToWithdraw(*request) (*page, error) {
	return &page{file: "withdraw", title: "Withdraw from research", help: "consent", about: "How to have images of you taken out of research: whom to tell, what happens then, how fast, and what cannot be undone.",
		data: int(consent.Hold / (24 * time.Hour))}, nil
}

// consentMay is what the caller does with consent in a collection.
type consentMay struct{ Record, Withdraw, See, Bases, Erase bool }

func (m consentMay) any() bool { return m.Record || m.See || m.Bases || m.Withdraw }

func (r *request) mayConsent(id collection.ID) consentMay {
	return consentMay{r.may(policy.RecordConsent, id), r.may(policy.Withdraw, id), r.may(policy.SeeConsent, id), r.may(policy.ManageBases, id), r.may(policy.EraseNow, id)}
}

// aboutConsent is what the pages of a collection's consent have in common.
type aboutConsent struct {
	ID    collection.ID
	Title string
	At    string // the address of the main page
	May   consentMay
	Error string
}

func (d *Door) aboutConsent(r *request) (a aboutConsent, err error) {
	if err := r.signedIn(); err != nil {
		return a, err
	}
	id, err := r.collectionID()
	if err != nil {
		return a, err
	}
	a = aboutConsent{ID: id, At: "/collections/" + string(id) + "/consent", May: r.mayConsent(id)}
	if !a.May.any() {
		return a, fault.New(fault.NotFound, "show consent", "", "there is no such page for you")
	}
	c, err := d.Desk.Collection(r.Context(), r.admin(), id)
	if err != nil {
		return a, err
	}
	a.Title = cmp.Or(c.Title, string(id))
	return a, nil
}

// said turns what the reader can mend into a sentence on the page; other errors stay errors.
func (a *aboutConsent) said(err error) error {
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.TooLarge) {
		return err
	}
	p, _ := web.ProblemOf(err)
	a.Error = p.Detail
	return nil
}

type consentPage struct {
	aboutConsent
	Sum         *consent.SummaryView
	Rows        []useRow
	Bases       []basisRow
	Forms       []record.Form
	Withdrawals []withdrawalRow
	Report      *consent.Report // of a table that was imported a moment ago
	Checked     int64           // people of a check that was recorded a moment ago, and one
	Today       string
}

type useRow struct {
	Label string
	judge.Numbers
}

type basisRow struct {
	consent.BasisView
	Kind    string
	Running bool
}

type withdrawalRow struct {
	consent.WithdrawalView
	Gone bool
}

var basisNames = map[judge.Kind]string{judge.ByConsent: "Consent", judge.Section251: "Section 251", judge.Anonymised: "Anonymised", judge.Public: "Public"}

func (d *Door) consent(r *request) (*page, error) { return d.consentWith(r, consentPage{}) }

func (d *Door) consentWith(r *request, p consentPage) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	a.Error = p.Error
	p.aboutConsent, p.Today = a, time.Now().UTC().Format(time.DateOnly)
	if p.Sum, err = d.Consent.Summary(r.Context(), r.admin(), p.ID); err != nil {
		return nil, err
	}
	if len(p.Sum.Words) > 2 { // else there are too few people to tell more of them
		for _, n := range p.Sum.Uses {
			p.Rows = append(p.Rows, useRow{n.Use.Label(), n})
		}
	}
	for _, b := range p.Sum.Bases {
		p.Bases = append(p.Bases, basisRow{b, cmp.Or(basisNames[b.Kind], string(b.Kind)), b.Ended == nil})
	}
	if p.Forms, err = d.Consent.Forms(r.Context(), r.admin(), p.ID); err != nil {
		return nil, err
	}
	if p.May.See {
		all, err := d.Consent.Withdrawals(r.Context(), r.admin(), p.ID)
		if err != nil {
			return nil, err
		}
		for _, w := range all {
			p.Withdrawals = append(p.Withdrawals, withdrawalRow{w, w.Erased != nil})
		}
	}
	out := &page{file: "consent", title: "Consent in " + p.Title, section: "/collections", help: "consent", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// after goes back to the main page, or shows it with what is wrong.
func (d *Door) after(r *request, a aboutConsent, err error) (*page, error) {
	if err == nil {
		r.leave(noticeSaved)
		return &page{to: a.At}, nil
	}
	if err := a.said(err); err != nil {
		return nil, err
	}
	return d.consentWith(r, consentPage{aboutConsent: a})
}

func dayField(form url.Values, name string) (time.Time, error) {
	s := strings.TrimSpace(form.Get(name))
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fault.New(fault.Invalid, "read form", "", "a day is written as 2026-03-31")
	}
	return t, nil
}

// changeConsent adds and ends legal bases, and has a key destroyed.
func (d *Door) changeConsent(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	number := func(name string) int64 { n, _ := strconv.ParseInt(r.PostForm.Get(name), 10, 64); return n }
	switch r.PostForm.Get("do") {
	case "basis":
		b := record.Basis{Basis: judge.Basis{Kind: judge.Kind(r.PostForm.Get("kind")), Reference: r.PostForm.Get("reference")}}
		if b.Kind == judge.Section251 {
			b.OptOut = judge.OptOut(r.PostForm.Get("opt_out"))
		}
		for name, to := range map[string]*time.Time{"from": &b.From, "until": &b.Until, "before": &b.CameBefore} {
			if *to, err = dayField(r.PostForm, name); err != nil {
				return d.after(r, a, err)
			}
		}
		if (b.Kind == judge.Anonymised || b.Kind == judge.Public) && r.PostForm.Get("attest") != "yes" {
			return d.after(r, a, fault.New(fault.Invalid, "record a legal basis", "", "that images are anonymised, or public, somebody attests: tick the box if it is so"))
		}
		_, err = d.Consent.AddBasis(r.Context(), r.admin(), a.ID, b)
	case "end":
		err = d.Consent.EndBasis(r.Context(), r.admin(), a.ID, number("basis"))
	case "erase":
		if r.PostForm.Get("sure") != "yes" {
			return d.after(r, a, fault.New(fault.Invalid, "erase", "", "tick the box: it can never be taken back"))
		}
		err = d.Consent.EraseNow(r.Context(), r.admin(), a.ID, number("withdrawal"))
	default:
		err = fault.New(fault.Invalid, "change consent", "", "the form does not say what to do")
	}
	return d.after(r, a, err)
}

const (
	maxFormFile  = 1 << 20
	maxTableFile = 8 << 20
)

// file reads a form with one file; a file that is too large is none.
func (r *request) file(most int64) (url.Values, []byte, error) {
	f, b, err := r.parts(most)
	if err == nil && int64(len(b)) > most {
		err = fault.New(fault.TooLarge, "read form", "", "the file is larger than "+size(most))
	}
	return f, b, err
}

func (d *Door) importConsent(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	_, table, err := r.file(maxTableFile)
	if err != nil {
		return d.after(r, a, err)
	}
	if len(table) == 0 {
		return d.after(r, a, fault.New(fault.Invalid, "import consent", "", "no table was chosen"))
	}
	report, err := d.Consent.Import(r.Context(), r.admin(), a.ID, bytes.NewReader(table))
	if err != nil {
		return d.after(r, a, err)
	}
	return d.consentWith(r, consentPage{Report: report})
}

func (d *Door) addConsentForm(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	fields, text, err := r.file(maxFormFile)
	if err != nil {
		return d.after(r, a, err)
	}
	if len(text) == 0 {
		text = []byte(fields.Get("text"))
	}
	var f record.Form
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return d.after(r, a, fault.New(fault.Invalid, "add a form of consent", "", "it is not the JSON of a form: look at the example beside it"))
	}
	_, err = d.Consent.AddForm(r.Context(), r.admin(), a.ID, f)
	return d.after(r, a, err)
}

func (d *Door) takeOptOuts(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	fields, list, err := r.file(maxTableFile)
	if err != nil {
		return d.after(r, a, err)
	}
	var checked time.Time
	if s := strings.TrimSpace(fields.Get("checked")); s != "" {
		if checked, err = time.Parse(time.DateOnly, s); err != nil {
			return d.after(r, a, fault.New(fault.Invalid, "read form", "", "a day is written as 2026-03-31"))
		}
	}
	if len(list) == 0 && fields.Get("none") != "yes" {
		return d.after(r, a, fault.New(fault.Invalid, "record a check of the national data opt-out", "", "choose the list, or say that it is empty"))
	}
	n, err := d.Consent.OptOuts(r.Context(), r.admin(), a.ID, checked, "", strings.Lines(string(list)), func() error { return nil })
	if err != nil {
		return d.after(r, a, err)
	}
	return d.consentWith(r, consentPage{Checked: n + 1})
}

// certificate gives a signed certificate, with what proves it, as one file to keep.
func (d *Door) certificate(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	if err := r.form(); err != nil {
		return nil, err
	}
	n, _ := strconv.ParseInt(r.PostForm.Get("withdrawal"), 10, 64)
	_, signed, err := d.Consent.Certify(r.Context(), r.admin(), a.ID, n)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{{"certificate.json", signed.Document}, {"certificate.sig", signed.Signature}, {"public-key.txt", signed.PublicKey + "\n"}} {
		w, err := z.Create(f[0])
		if err == nil {
			_, err = io.WriteString(w, f[1])
		}
		if err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	h := r.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="withdrawal-`+strconv.FormatInt(n, 10)+`.zip"`)
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "private, no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = r.w.Write(b.Bytes()) // whoever does not read it has gone
	return nil, nil
}

// personForm is how a page names a person. The site's identifier is in no page that is sent.
type personForm struct {
	Pseudonym string
	ByPatient bool // it was named by the site's identifier
}

func whomOf(form url.Values) consent.Whom {
	return consent.Whom{Pseudonym: strings.TrimSpace(form.Get("subject")), Patient: strings.TrimSpace(form.Get("patient")), Issuer: strings.TrimSpace(form.Get("issuer"))}
}

type recordPage struct {
	aboutConsent
	personForm
	Forms  []record.Form
	Form   *record.Form
	Chosen string
	Uses   []useRow
	Today  string
	Date   string
	Out    *consent.Outcome
}

func (d *Door) recordPage(r *request) (*page, error) { return d.recordWith(r, recordPage{}) }

func (d *Door) recordWith(r *request, p recordPage) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	if !a.May.Record {
		return nil, fault.New(fault.NotFound, "record consent", "", "there is no such page for you")
	}
	a.Error = p.Error
	p.aboutConsent, p.Today = a, time.Now().UTC().Format(time.DateOnly)
	if p.Forms, err = d.Consent.Forms(r.Context(), r.admin(), p.ID); err != nil {
		return nil, err
	}
	p.Chosen = cmp.Or(p.Chosen, r.URL.Query().Get("form"))
	if k := slices.IndexFunc(p.Forms, func(f record.Form) bool { return f.FormName() == p.Chosen }); k >= 0 {
		p.Form = &p.Forms[k]
	}
	if p.Pseudonym == "" && p.Out == nil {
		p.Pseudonym = r.URL.Query().Get("subject")
	}
	for _, u := range judge.Uses() {
		p.Uses = append(p.Uses, useRow{u.Label(), judge.Numbers{Use: u}})
	}
	out := &page{file: "consentrecord", title: "Record consent in " + p.Title, section: "/collections", help: "consent", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// recordSaid writes down what a person said.
func (d *Door) recordSaid(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	p := recordPage{personForm: personForm{Pseudonym: strings.TrimSpace(r.PostForm.Get("subject"))}, Chosen: r.PostForm.Get("form"), Date: r.PostForm.Get("date")}
	var said consent.Said
	fail := func(err error) (*page, error) {
		if err := a.said(err); err != nil {
			return nil, err
		}
		p.Error = a.Error
		return d.recordWith(r, p)
	}
	if said.At, err = dayField(r.PostForm, "date"); err == nil && said.At.IsZero() {
		err = fault.New(fault.Invalid, "record consent", "", "say on which day it was said")
	}
	if err == nil {
		said.Expires, err = dayField(r.PostForm, "expires")
	}
	if err != nil {
		return fail(err)
	}
	if p.Chosen != "" {
		said.Form, said.Version, _ = strings.Cut(p.Chosen, ":")
		said.Answers = map[string]bool{}
		for name, v := range r.PostForm {
			if id, ok := strings.CutPrefix(name, "clause."); ok && (v[0] == "yes" || v[0] == "no") {
				said.Answers[id] = v[0] == "yes"
			}
		}
	}
	for _, u := range judge.Uses() {
		switch r.PostForm.Get("use." + string(u)) {
		case "yes":
			said.Grants = append(said.Grants, u)
		case "no":
			said.Denies = append(said.Denies, u)
		}
	}
	out, err := d.Consent.Record(r.Context(), r.admin(), a.ID, whomOf(r.PostForm), said)
	if err != nil {
		return fail(err)
	}
	return d.recordWith(r, recordPage{Out: &out, Chosen: p.Chosen})
}

type withdrawPage struct {
	aboutConsent
	personForm
	Scope   judge.Scope
	Date    string
	Today   string
	Days    int // until the key is destroyed
	Confirm bool
	Nothing bool // there is nothing of the person yet
	Gone    bool // they have withdrawn from use before
	Out     *consent.Outcome
}

func (d *Door) withdrawPage(r *request) (*page, error) {
	return d.withdrawWith(r, withdrawPage{Scope: judge.FromUse, personForm: personForm{Pseudonym: r.URL.Query().Get("subject")}})
}

func (d *Door) withdrawWith(r *request, p withdrawPage) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	if !a.May.Withdraw {
		return nil, fault.New(fault.NotFound, "record a withdrawal", "", "there is no such page for you")
	}
	a.Error = p.Error
	p.aboutConsent, p.Days, p.Today = a, int(consent.Hold/(24*time.Hour)), time.Now().UTC().Format(time.DateOnly)
	out := &page{file: "consentwithdraw", title: "Withdraw somebody from " + p.Title, section: "/collections", help: "consent", data: p}
	if p.Error != "" {
		out.status = http.StatusUnprocessableEntity
	}
	return out, nil
}

// withdraw says what would happen, and does it when that has been confirmed.
func (d *Door) withdraw(r *request) (*page, error) {
	a, err := d.aboutConsent(r)
	if err != nil {
		return nil, err
	}
	w := whomOf(r.PostForm)
	p := withdrawPage{personForm: personForm{Pseudonym: w.Pseudonym, ByPatient: w.Patient != ""}, Scope: judge.Scope(r.PostForm.Get("scope")), Date: r.PostForm.Get("date")}
	fail := func(err error) (*page, error) {
		if err := a.said(err); err != nil {
			return nil, err
		}
		p.Error = a.Error
		return d.withdrawWith(r, p)
	}
	if !slices.Contains([]judge.Scope{judge.FromContact, judge.FromCollection, judge.FromUse}, p.Scope) {
		return fail(fault.New(fault.Invalid, "record a withdrawal", "", "say how far it goes"))
	}
	at, err := dayField(r.PostForm, "date")
	if err != nil {
		return fail(err)
	}
	if r.PostForm.Get("do") != "withdraw" {
		// Who it is, as far as the node knows and the caller may see. Whoever may record alone names people as their site does.
		if w.Patient != "" || a.May.See {
			switch v, err := d.Consent.Person(r.Context(), r.admin(), a.ID, w); {
			case err == nil:
				p.Pseudonym, p.Nothing, p.Gone = v.Pseudonym, v.Pseudonym == "", v.Withdrawal != nil
			case fault.Is(err, fault.NotFound) && w.Patient != "" && w.Pseudonym == "":
				p.Nothing = true
			default:
				return fail(err)
			}
		} else if w.Pseudonym == "" {
			return fail(fault.New(fault.Invalid, "record a withdrawal", "", "say who it is: by the pseudonym, or by the identifier that the site knows them by"))
		}
		p.Confirm = true
		return d.withdrawWith(r, p)
	}
	out, err := d.Consent.Record(r.Context(), r.admin(), a.ID, w, consent.Said{At: at, Withdrawal: p.Scope})
	if err != nil {
		p.Confirm, p.Nothing = true, w.Pseudonym == ""
		return fail(err)
	}
	return d.withdrawWith(r, withdrawPage{Out: &out, Scope: p.Scope})
}
