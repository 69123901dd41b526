package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/client"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
)

// consentOffice is where people's wishes are handed in, from near or from afar.
type consentOffice interface {
	Record(ctx context.Context, w consent.Whom, said consent.Said) (consent.Outcome, error)
	Person(ctx context.Context, w consent.Whom) (*consent.PersonView, error)
	Import(ctx context.Context, table io.Reader) (*consent.Report, error)
	Summary(ctx context.Context) (*consent.SummaryView, error)
	Forms(ctx context.Context) ([]record.Form, error)
	AddForm(ctx context.Context, f record.Form) (bool, error)
	Bases(ctx context.Context) ([]consent.BasisView, error)
	AddBasis(ctx context.Context, b record.Basis) (string, error)
	EndBasis(ctx context.Context, id string) error
	OptOuts(ctx context.Context, checked time.Time, issuer string, list io.Reader) (int64, error)
	Withdrawals(ctx context.Context) ([]consent.WithdrawalView, error)
	Certify(ctx context.Context, id string) (*consent.Signed, error)
	EraseNow(ctx context.Context, id string) error
}

// consentFlags say of which collection of which node.
type consentFlags struct {
	adminFlags
	keyFlags
	Collection string `required:"" placeholder:"ID" help:"The collection."`
}

// with opens the office, and closes it when do has ended.
func (f *consentFlags) with(ctx context.Context, s *streams, do func(consentOffice) error) (err error) {
	id, err := collection.ParseID(f.Collection)
	if err != nil {
		return usage("--collection: %w", err)
	}
	o, err := f.open(ctx, s)
	if err != nil {
		return err
	}
	if r, ok := o.(*remote); ok {
		defer r.Close()
		return do(&farConsent{r.c, string(id)})
	}
	if err := o.Close(); err != nil {
		return err
	}
	cfg := f.config()
	f.keyFlags.into(&cfg)
	st, err := node.OpenStores(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	desk, err := st.ConsentDesk(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return do(&nearConsent{desk, operator(), id})
}

// nearConsent is a node's own folder.
type nearConsent struct {
	desk *consent.Desk
	who  admin.Caller
	id   collection.ID
}

func (n *nearConsent) Record(ctx context.Context, w consent.Whom, said consent.Said) (consent.Outcome, error) {
	return n.desk.Record(ctx, n.who, n.id, w, said)
}
func (n *nearConsent) Person(ctx context.Context, w consent.Whom) (*consent.PersonView, error) {
	return n.desk.Person(ctx, n.who, n.id, w)
}
func (n *nearConsent) Import(ctx context.Context, table io.Reader) (*consent.Report, error) {
	return n.desk.Import(ctx, n.who, n.id, table)
}
func (n *nearConsent) Summary(ctx context.Context) (*consent.SummaryView, error) {
	return n.desk.Summary(ctx, n.who, n.id)
}
func (n *nearConsent) Forms(ctx context.Context) ([]record.Form, error) {
	return n.desk.Forms(ctx, n.who, n.id)
}
func (n *nearConsent) AddForm(ctx context.Context, f record.Form) (bool, error) {
	return n.desk.AddForm(ctx, n.who, n.id, f)
}
func (n *nearConsent) Bases(ctx context.Context) ([]consent.BasisView, error) {
	return n.desk.Bases(ctx, n.who, n.id)
}
func (n *nearConsent) AddBasis(ctx context.Context, b record.Basis) (string, error) {
	return n.desk.AddBasis(ctx, n.who, n.id, b)
}
func (n *nearConsent) EndBasis(ctx context.Context, id string) error {
	k, err := numberOf(id)
	if err != nil {
		return err
	}
	return n.desk.EndBasis(ctx, n.who, n.id, k)
}
func (n *nearConsent) OptOuts(ctx context.Context, checked time.Time, issuer string, list io.Reader) (int64, error) {
	lines, end := linesOf(list)
	return n.desk.OptOuts(ctx, n.who, n.id, checked, issuer, lines, end)
}
func (n *nearConsent) Withdrawals(ctx context.Context) ([]consent.WithdrawalView, error) {
	return n.desk.Withdrawals(ctx, n.who, n.id)
}
func (n *nearConsent) Certify(ctx context.Context, id string) (*consent.Signed, error) {
	k, err := numberOf(id)
	if err != nil {
		return nil, err
	}
	_, signed, err := n.desk.Certify(ctx, n.who, n.id, k)
	return signed, err
}
func (n *nearConsent) EraseNow(ctx context.Context, id string) error {
	k, err := numberOf(id)
	if err != nil {
		return err
	}
	return n.desk.EraseNow(ctx, n.who, n.id, k)
}

// linesOf gives the lines of a text, and says at its end whether it was read to the end.
func linesOf(r io.Reader) (iter.Seq[string], func() error) {
	lines := bufio.NewScanner(r)
	return func(yield func(string) bool) {
		for lines.Scan() && yield(lines.Text()) {
		}
	}, lines.Err
}

// farConsent is a node's API.
type farConsent struct {
	c  *client.Client
	id string
}

func (f *farConsent) path(more ...string) []string {
	return append([]string{"api", "collections", f.id}, more...)
}

func (f *farConsent) Record(ctx context.Context, w consent.Whom, said consent.Said) (o consent.Outcome, err error) {
	body := map[string]any{"whom": whomBody(w)}
	for name, t := range map[string]time.Time{"at": said.At, "expires": said.Expires} {
		if !t.IsZero() {
			body[name] = t
		}
	}
	if said.Form != "" {
		body["form"], body["version"], body["answers"] = said.Form, said.Version, said.Answers
	}
	for name, uses := range map[string][]judge.Use{"grants": said.Grants, "denies": said.Denies} {
		if len(uses) > 0 {
			body[name] = uses
		}
	}
	if said.Withdrawal != "" {
		body["withdrawal"] = said.Withdrawal
	}
	err = f.c.JSON(ctx, http.MethodPost, nil, body, &o, f.path("consent")...)
	return o, err
}

func whomBody(w consent.Whom) map[string]string {
	b := map[string]string{}
	for k, v := range map[string]string{"pseudonym": w.Pseudonym, "patient": w.Patient, "issuer": w.Issuer} {
		if v != "" {
			b[k] = v
		}
	}
	return b
}

func (f *farConsent) Person(ctx context.Context, w consent.Whom) (*consent.PersonView, error) {
	v := &consent.PersonView{}
	return v, f.c.JSON(ctx, http.MethodPost, nil, whomBody(w), v, f.path("consent", "person")...)
}
func (f *farConsent) Import(ctx context.Context, table io.Reader) (*consent.Report, error) {
	r := &consent.Report{}
	return r, f.c.Body(ctx, http.MethodPost, nil, "text/csv", table, r, f.path("consent", "table")...)
}
func (f *farConsent) Summary(ctx context.Context) (*consent.SummaryView, error) {
	v := &consent.SummaryView{}
	return v, f.c.JSON(ctx, http.MethodGet, nil, nil, v, f.path("consent")...)
}
func (f *farConsent) Forms(ctx context.Context) ([]record.Form, error) {
	var all []record.Form
	err := f.c.JSON(ctx, http.MethodGet, nil, nil, &all, f.path("consent", "forms")...)
	return all, err
}
func (f *farConsent) AddForm(ctx context.Context, form record.Form) (bool, error) {
	var v struct {
		Added bool `json:"added"`
	}
	err := f.c.JSON(ctx, http.MethodPost, nil, form, &v, f.path("consent", "forms")...)
	return v.Added, err
}
func (f *farConsent) Bases(ctx context.Context) ([]consent.BasisView, error) {
	var all []consent.BasisView
	err := f.c.JSON(ctx, http.MethodGet, nil, nil, &all, f.path("consent", "bases")...)
	return all, err
}
func (f *farConsent) AddBasis(ctx context.Context, b record.Basis) (string, error) {
	body := map[string]any{"kind": b.Kind}
	if b.Reference != "" {
		body["reference"] = b.Reference
	}
	if b.OptOut != "" {
		body["opt_out"] = b.OptOut
	}
	for name, t := range map[string]time.Time{"from": b.From, "until": b.Until, "came_before": b.CameBefore} {
		if !t.IsZero() {
			body[name] = t
		}
	}
	var v struct {
		ID string `json:"id"`
	}
	err := f.c.JSON(ctx, http.MethodPost, nil, body, &v, f.path("consent", "bases")...)
	return v.ID, err
}
func (f *farConsent) EndBasis(ctx context.Context, id string) error {
	return f.c.JSON(ctx, http.MethodDelete, nil, nil, nil, f.path("consent", "bases", id)...)
}
func (f *farConsent) OptOuts(ctx context.Context, checked time.Time, issuer string, list io.Reader) (int64, error) {
	q := url.Values{}
	if !checked.IsZero() {
		q.Set("checked", checked.UTC().Format(time.RFC3339))
	}
	if issuer != "" {
		q.Set("issuer", issuer)
	}
	var v struct {
		People int64 `json:"people"`
	}
	err := f.c.Body(ctx, http.MethodPost, q, "text/plain", list, &v, f.path("consent", "opt-outs")...)
	return v.People, err
}
func (f *farConsent) Withdrawals(ctx context.Context) ([]consent.WithdrawalView, error) {
	var all []consent.WithdrawalView
	err := f.c.JSON(ctx, http.MethodGet, nil, nil, &all, f.path("withdrawals")...)
	return all, err
}
func (f *farConsent) Certify(ctx context.Context, id string) (*consent.Signed, error) {
	v := &consent.Signed{}
	return v, f.c.JSON(ctx, http.MethodPost, nil, nil, v, f.path("withdrawals", id, "certificate")...)
}
func (f *farConsent) EraseNow(ctx context.Context, id string) error {
	return f.c.JSON(ctx, http.MethodPost, nil, nil, nil, f.path("withdrawals", id, "erase")...)
}
