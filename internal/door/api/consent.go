package api

import (
	"bufio"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
)

// consentRoutes are those about what people agree to, refuse and withdraw.
func (d *Door) consentRoutes() []route {
	return []route{
		{method: "GET", path: "/api/collections/{collection}/consent", name: "getConsent", text: "What may be done with the images of a collection: how many people permit what, in rounded numbers, and its legal bases.",
			gives: "ConsentSummary", do: d.consentOf},
		{method: "POST", path: "/api/collections/{collection}/consent", name: "recordConsent",
			text:  "Write down what a person said: answers to a form's clauses, uses by name, a withdrawal. A withdrawal from use takes everything of theirs out of sight before this answers, and destroys their key after 30 days.",
			takes: "NewConsent", gives: "ConsentOutcome", do: d.recordConsent},
		{method: "POST", path: "/api/collections/{collection}/consent/person", name: "findConsent", text: "What holds of one person, and what they said. Whom is in the body, so that no address names anybody.", takes: "Whom", gives: "ConsentPerson", do: d.consentPerson},
		{method: "POST", path: "/api/collections/{collection}/consent/table", name: "importConsent", text: "Record a table in CSV: docs/formats/consent.md.", gives: "ConsentReport", sends: []string{"text/csv"}, do: d.importConsent},
		{method: "GET", path: "/api/collections/{collection}/consent/forms", public: true, name: "listConsentForms", text: "The forms that people are asked to sign, with every version.", gives: "ConsentForm", list: true, do: d.consentForms},
		{method: "POST", path: "/api/collections/{collection}/consent/forms", name: "addConsentForm", text: "Add a version of a form. What a version says never changes.", takes: "ConsentForm", gives: "FormAdded", do: d.addConsentForm},
		{method: "GET", path: "/api/collections/{collection}/consent/bases", name: "listBases", text: "The legal bases that a collection has and had.", gives: "Basis", list: true, do: d.bases},
		{method: "POST", path: "/api/collections/{collection}/consent/bases", name: "addBasis", text: "Record a legal basis. That images are anonymised, or public, is the caller's attestation.", takes: "NewBasis", gives: "NewNumber", do: d.addBasis},
		{method: "DELETE", path: "/api/collections/{collection}/consent/bases/{basis}", name: "endBasis", text: "End a legal basis: from then on it permits nothing.", do: d.endBasis},
		{method: "POST", path: "/api/collections/{collection}/consent/opt-outs", name: "recordOptOuts",
			text:  "Record a check of the national data opt-out: who has opted out, an identifier a line as the site knows them, and when the list came back. It takes the place of the list before.",
			gives: "OptOutCheck", sends: []string{"text/plain"}, query: []string{"checked", "issuer"}, do: d.recordOptOuts},
		{method: "GET", path: "/api/collections/{collection}/withdrawals", name: "listWithdrawals", text: "Who has withdrawn from use, by pseudonym, the latest first; at most 1,000.", gives: "Withdrawal", list: true, do: d.withdrawals},
		{method: "POST", path: "/api/collections/{collection}/withdrawals/{withdrawal}/certificate", name: "certifyWithdrawal", text: "Say what was done when somebody withdrew, signed.", gives: "SignedDocument", do: d.certifyWithdrawal},
		{method: "POST", path: "/api/collections/{collection}/withdrawals/{withdrawal}/erase", name: "eraseNow", text: "Destroy the key of somebody who has withdrawn before the hold is over.", do: d.eraseNow},
	}
}

func (d *Door) consentOf(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Consent.Summary(r.Context(), r.who, id)
}

// whom is a person as a body names them.
type whom struct {
	Pseudonym string `json:"pseudonym"`
	Patient   string `json:"patient"`
	Issuer    string `json:"issuer"`
}

func (d *Door) recordConsent(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Whom       whom            `json:"whom"`
		At         time.Time       `json:"at"`
		Form       string          `json:"form"`
		Version    string          `json:"version"`
		Answers    map[string]bool `json:"answers"`
		Grants     []judge.Use     `json:"grants"`
		Denies     []judge.Use     `json:"denies"`
		Withdrawal judge.Scope     `json:"withdrawal"`
		Expires    time.Time       `json:"expires"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	return d.Consent.Record(r.Context(), r.who, id, consent.Whom(v.Whom), consent.Said{At: v.At, Form: v.Form, Version: v.Version, Answers: v.Answers, Grants: v.Grants, Denies: v.Denies, Withdrawal: v.Withdrawal, Expires: v.Expires})
}

func (d *Door) consentPerson(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v whom
	if err := r.body(&v); err != nil {
		return nil, err
	}
	return d.Consent.Person(r.Context(), r.who, id, consent.Whom(v))
}

// maxConsentTable bounds what the flow bounds too.
const maxConsentTable = 65 << 20

func (d *Door) importConsent(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Consent.Import(r.Context(), r.who, id, http.MaxBytesReader(nil, r.Body, maxConsentTable))
}

func (d *Door) consentForms(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	all, err := d.Consent.Forms(r.Context(), r.who, id)
	if all == nil {
		all = []record.Form{}
	}
	return all, err
}

func (d *Door) addConsentForm(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var f record.Form
	if err := r.bodyOf(&f, 1<<20); err != nil {
		return nil, err
	}
	added, err := d.Consent.AddForm(r.Context(), r.who, id, f)
	return map[string]bool{"added": added}, err
}

func (d *Door) bases(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Consent.Bases(r.Context(), r.who, id)
}

func (d *Door) addBasis(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var v struct {
		Kind       judge.Kind   `json:"kind"`
		Reference  string       `json:"reference"`
		From       time.Time    `json:"from"`
		Until      time.Time    `json:"until"`
		CameBefore time.Time    `json:"came_before"`
		OptOut     judge.OptOut `json:"opt_out"`
	}
	if err := r.body(&v); err != nil {
		return nil, err
	}
	n, err := d.Consent.AddBasis(r.Context(), r.who, id, record.Basis{Basis: judge.Basis{Kind: v.Kind, Reference: v.Reference, From: v.From, Until: v.Until, OptOut: v.OptOut}, CameBefore: v.CameBefore})
	return map[string]string{"id": n}, err
}

// numbered reads a number of the path.
func (r *request) numbered(name, what string) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		return 0, fault.New(fault.NotFound, "find "+what, "", "there is no such "+what)
	}
	return n, nil
}

func (d *Door) endBasis(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	n, err := r.numbered("basis", "legal basis")
	if err != nil {
		return nil, err
	}
	return nil, d.Consent.EndBasis(r.Context(), r.who, id, n)
}

func (d *Door) recordOptOuts(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	var checked time.Time
	if s := r.URL.Query().Get("checked"); s != "" {
		if checked, err = time.Parse(time.RFC3339, s); err != nil {
			return nil, web.Refuse(http.StatusBadRequest, "read query", "the parameter checked is no moment", "Write it as 2026-03-31T09:00:00Z.")
		}
	}
	lines := bufio.NewScanner(http.MaxBytesReader(nil, r.Body, maxConsentTable))
	n, err := d.Consent.OptOuts(r.Context(), r.who, id, checked, r.URL.Query().Get("issuer"), func(yield func(string) bool) {
		for lines.Scan() && yield(lines.Text()) {
		}
	}, lines.Err)
	return map[string]int64{"people": n}, err
}

func (d *Door) withdrawals(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	return d.Consent.Withdrawals(r.Context(), r.who, id)
}

func (d *Door) certifyWithdrawal(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	n, err := r.numbered("withdrawal", "withdrawal")
	if err != nil {
		return nil, err
	}
	_, signed, err := d.Consent.Certify(r.Context(), r.who, id, n)
	return signed, err
}

func (d *Door) eraseNow(r *request) (any, error) {
	id, err := r.collection()
	if err != nil {
		return nil, err
	}
	n, err := r.numbered("withdrawal", "withdrawal")
	if err != nil {
		return nil, err
	}
	return nil, d.Consent.EraseNow(r.Context(), r.who, id, n)
}
