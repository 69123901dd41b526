package access

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const day = 24 * time.Hour

// world is a desk with people around it.
type world struct {
	*Desk
	t     *testing.T
	at    time.Time
	by    map[string]admin.Caller
	log   bytes.Buffer
	mails []mail.Message
}

// Send takes every mail.
func (w *world) Send(_ context.Context, m mail.Message) error {
	w.mails = append(w.mails, m)
	return nil
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		w := &world{t: t, at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), by: map[string]admin.Caller{}}
		p := Parts{DB: d, Now: func() time.Time { return w.at }, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
		var err error
		check := func() {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		p.Audit, err = audit.Open(ctx, d)
		check()
		p.Jobs, err = jobs.Open(ctx, d)
		check()
		p.Collections, err = collection.OpenRecord(ctx, d)
		check()
		p.Identity, err = identity.OpenRecord(ctx, d)
		check()
		p.Entries, err = directory.OpenRecord(ctx, d)
		check()
		p.Access, err = record.OpenRecord(ctx, d)
		check()
		master, err2 := keys.CreateMaster(filepath.Join(t.TempDir(), "master.key"))
		err = err2
		check()
		p.Ring, err = keys.OpenRing(ctx, d, master)
		check()
		p.Mail, err = mailing.New(mailing.Parts{DB: d, Jobs: p.Jobs, Root: p.Ring.Root(), Sender: w, Log: p.Log, Base: "https://images.example.org"})
		check()
		w.Desk, err = New(p)
		check()
		err = d.Write(ctx, func(tx *db.Tx) error {
			for _, c := range []collection.Collection{{ID: "breast", Title: "Breast", Profile: "research"}, {ID: "lung", Title: "Lung", Profile: "research"}, {ID: "shut", Profile: "research"}, {ID: "bare", Profile: "research"}} {
				if err := p.Collections.Create(tx, c); err != nil {
					return err
				}
			}
			return nil
		})
		check()
		breast := directory.DataUse{Alternatives: []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}}, Modifiers: []directory.Modifier{{Code: "TS", Values: []string{"24"}}}}}}
		w.describe("breast", "open-to-applicants", breast)
		w.describe("lung", "open-to-applicants", directory.DataUse{Alternatives: []directory.Use{{Permission: "HMB", Modifiers: []directory.Modifier{{Code: "NCU"}}}}})
		w.describe("shut", "closed", breast)
		for name, grants := range map[string][]policy.Grant{
			"applicant": {}, "other": {},
			"custodian": {{Role: policy.Custodian, Collection: "breast"}}, "second": {{Role: policy.Custodian, Collection: "breast"}, {Role: policy.Custodian, Collection: "lung"}},
			"elsewhere": {{Role: policy.Custodian, Collection: "lung"}}, "steward": {{Role: policy.Steward, Collection: "breast"}}, "admin": {{Role: policy.Admin, Collection: policy.AllCollections}},
			"researcher": {{Role: policy.Researcher, Collection: "breast"}},
		} {
			var a identity.Account
			err = d.Write(ctx, func(tx *db.Tx) (err error) {
				a, err = p.Identity.CreateAccount(tx, identity.Account{Name: name, Grants: grants})
				return err
			})
			check()
			w.by[name] = admin.Caller{Actor: a.ID, Grants: grants}
		}
		w.by["token"] = admin.Caller{Actor: "token-1", Grants: []policy.Grant{{Role: policy.Custodian, Collection: "breast"}}}
		w.by["operator"] = admin.Operator("root")
		w.by["nobody"] = admin.Caller{}
		test(t, w)
	}, db.Durable, db.SecureDelete)
}

// describe publishes an entry of a collection.
func (w *world) describe(c string, condition string, use directory.DataUse) {
	w.t.Helper()
	e := directorytest.Minimal()
	e.Holding, e.Collection, e.DataUse, e.Access.Condition, e.Title = directory.Here, c, use, condition, "Images of "+c
	err := w.DB.Write(w.t.Context(), func(tx *db.Tx) error {
		n, err := w.Entries.Save(tx, directory.ID(c), e, 0, "someone", "")
		if err != nil {
			return err
		}
		return w.Entries.Publish(tx, directory.ID(c), n, "someone")
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func form() Form {
	return Form{Title: "Density and outcome", Summary: "MARKERSUMMARY We want to know whether dense breasts on images tell how a cancer goes on.", Aims: "MARKERAIMS", Benefit: "Better screening", Funding: "MARKERFUNDING", Outputs: "A paper",
		Organisation: Organisation{Name: "University of the North", ROR: "https://ror.org/05a28rw58", Kind: "academic"}, Members: []Member{{Name: "MARKERMEMBER", ORCID: "0000-0002-1825-0097"}},
		Purpose: map[string]string{"for": "disease", "disease": "C50", "country": "GB", "months": "12", "download": "yes"}, Place: "A server in Leeds", Evidence: "REC 26/NW/0001"}
}

// pdf is a document as somebody would scan it.
func pdf(of string) []byte { return []byte("%PDF-1.7\n" + of + "\n%%EOF\n") }

func (w *world) paper() Paper {
	return Paper{Organisation: "University of the North", ROR: "https://ror.org/05a28rw58", Parties: []string{"MARKERSIGNED for the university", "The custodian"}, Effective: w.at.Add(-day), Expires: w.at.Add(300 * day)}
}

func id(t *testing.T, s string) record.ID {
	t.Helper()
	n, err := record.ParseID("request", s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ask hands in a request for collections.
func (w *world) ask(name string, f Form, collections ...string) View {
	w.t.Helper()
	var all []Wanted
	for _, c := range collections {
		all = append(all, Wanted{Collection: c})
	}
	v, err := w.Draft(w.t.Context(), w.by[name], NewRequest{For: all, Form: f, Submit: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) terms(days int) *Terms {
	until := w.at.Add(time.Duration(days) * day)
	return &Terms{Capability: "download", Until: &until, Conditions: "MARKERCONDITIONS name us"}
}

func (w *world) act(name string, v View, a Act) View {
	w.t.Helper()
	out, err := w.Act(w.t.Context(), w.by[name], id(w.t, v.ID), a)
	if err != nil {
		w.t.Fatalf("%s: %s: %v", name, a.Do, err)
	}
	return out
}

func (w *world) refused(kind fault.Kind, name string, v View, a Act) {
	w.t.Helper()
	if _, err := w.Act(w.t.Context(), w.by[name], id(w.t, v.ID), a); !fault.Is(err, kind) {
		w.t.Errorf("%s: %s: %v, want %v", name, a.Do, err, kind)
	}
}

// sign gives and executes an agreement.
func (w *world) sign(v View, p Paper) AgreementView {
	w.t.Helper()
	a, err := w.AddAgreement(w.t.Context(), w.by["applicant"], id(w.t, v.ID), p, pdf("MARKERDOCUMENT"))
	if err != nil {
		w.t.Fatal(err)
	}
	a, err = w.ActOnAgreement(w.t.Context(), w.by["custodian"], id(w.t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) effective(c collection.ID, at time.Time) []record.Entitlement {
	w.t.Helper()
	all, err := w.Effective(w.t.Context(), w.by["applicant"].Actor, c, "", at)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// From the form to the last second of use.
func TestFromRequestToTheLastSecond(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		draft := form()
		draft.Aims = ""
		v, err := w.Draft(ctx, w.by["applicant"], NewRequest{For: []Wanted{{Collection: "breast"}}, Form: draft})
		if err != nil || v.Items[0].State != "draft" || v.Items[0].Match == nil || v.Items[0].Match.Verdict != datause.Permit || !v.Unsent {
			t.Fatalf("%+v, %v", v, err)
		}
		if _, err := w.Request(ctx, w.by["custodian"], id(t, v.ID)); !fault.Is(err, fault.NotFound) {
			t.Errorf("a custodian sees a draft: %v", err)
		}
		w.refused(fault.Invalid, "applicant", v, Act{Do: "submit"}) // it lacks what is to be found out
		if _, err := w.Write(ctx, w.by["other"], id(t, v.ID), form()); !fault.Is(err, fault.NotFound) {
			t.Errorf("another writes it: %v", err)
		}
		if _, err := w.Write(ctx, w.by["applicant"], id(t, v.ID), form()); err != nil {
			t.Fatal(err)
		}
		v = w.act("applicant", v, Act{Do: "submit"})
		if i := v.Items[0]; i.State != "submitted" || i.Turn != "custodian" || v.Unsent || v.Form.Aims == "" {
			t.Errorf("%+v", i)
		}
		if n, err := w.Waiting(ctx, w.by["custodian"]); err != nil || n != 1 {
			t.Error(n, err)
		}
		w.at = w.at.Add(3 * day)
		list, err := w.ToDecide(ctx, w.by["custodian"], 10, 0)
		if err != nil || len(list) != 1 || list[0].Project != "Density and outcome" || list[0].CustodianDays != 3 || list[0].Match == nil || list[0].Match.Verdict != datause.Permit || !list[0].MayDecide {
			t.Fatalf("%+v, %v", list, err)
		}
		v = w.act("custodian", v, Act{Do: "take"})
		v = w.act("custodian", v, Act{Do: "ask", Text: "MARKERASKED Where is Leeds?"})
		if _, err := w.Write(ctx, w.by["applicant"], id(t, v.ID), func() Form { f := form(); f.Place = "In Yorkshire"; return f }()); err != nil {
			t.Fatal(err)
		}
		if seen, err := w.Request(ctx, w.by["custodian"], id(t, v.ID)); err != nil || seen.Form.Place != "A server in Leeds" {
			t.Errorf("what is being written is seen: %q, %v", seen.Form.Place, err)
		}
		if n, err := w.Waiting(ctx, w.by["applicant"]); err != nil || n != 1 {
			t.Error(n, err)
		}
		w.at = w.at.Add(2 * day)
		w.refused(fault.Invalid, "applicant", v, Act{Do: "answer"})
		v = w.act("applicant", v, Act{Do: "answer", Text: "In Yorkshire"})
		if i := v.Items[0]; i.State != "in_review" || i.CustodianDays != 3 || i.ApplicantDays != 2 || v.Form.Place != "In Yorkshire" {
			t.Errorf("%+v", i)
		}
		for name, kind := range map[string]fault.Kind{"applicant": fault.Denied, "steward": fault.Denied, "admin": fault.Denied, "token": fault.Denied, "elsewhere": fault.NotFound, "researcher": fault.NotFound, "operator": fault.NotFound, "nobody": fault.NotFound, "other": fault.NotFound} {
			w.refused(kind, name, v, Act{Do: "approve", Terms: w.terms(200)})
		}
		w.refused(fault.Invalid, "custodian", v, Act{Do: "approve"})
		w.refused(fault.Invalid, "custodian", v, Act{Do: "approve", Terms: w.terms(900)}) // the data may be used for 24 months
		v = w.act("custodian", v, Act{Do: "approve", Terms: w.terms(200)})
		if v.Items[0].State != "approved" || len(v.Entitlements) != 0 || len(w.effective("breast", w.at)) != 0 {
			t.Fatalf("without an agreement: %+v", v.Entitlements)
		}
		w.sign(v, w.paper())
		v, err = w.Request(ctx, w.by["applicant"], id(t, v.ID))
		if err != nil || len(v.Entitlements) != 1 {
			t.Fatalf("%+v, %v", v.Entitlements, err)
		}
		e := v.Entitlements[0]
		if e.State != "active" || e.Capability != "download" || !e.Expires.Equal(w.at.Add(200*day)) || e.Conditions != "MARKERCONDITIONS name us" || !strings.Contains(v.Items[0].Next, "accept it by name") {
			t.Errorf("%+v %q", e, v.Items[0].Next)
		}
		if _, err := w.Accept(ctx, w.by["applicant"], id(t, e.Agreement)); err != nil {
			t.Fatal(err)
		}
		if v, err := w.Request(ctx, w.by["applicant"], id(t, v.ID)); err != nil || v.Items[0].Next != "You may use the data." {
			t.Errorf("%+v, %v", v.Items, err)
		}
		for at, want := range map[time.Time]int{w.at.Add(-time.Second): 0, w.at: 1, e.Expires.Add(-time.Second): 1, e.Expires: 0, e.Expires.Add(time.Second): 0} {
			if all := w.effective("breast", at); len(all) != want || want == 1 && all[0].Capability != record.Download {
				t.Errorf("at %v: %+v", at, all)
			}
		}
		if all := w.effective("lung", w.at); len(all) != 0 {
			t.Errorf("of another collection: %+v", all)
		}
		if all, err := w.Effective(ctx, w.by["other"].Actor, "breast", "", w.at); err != nil || len(all) != 0 {
			t.Errorf("of another: %+v, %v", all, err)
		}
		w.at = e.Expires
		if v, err = w.Request(ctx, w.by["applicant"], id(t, v.ID)); err != nil || v.Entitlements[0].State != "expired" || v.Items[0].Next != "The use is over." {
			t.Errorf("%+v, %v", v.Entitlements, err)
		}
	})
}

func TestAgainstTheMatch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		f := form()
		f.Purpose["disease"] = "C34"
		v := w.ask("applicant", f, "breast")
		if m := v.Items[0].Match; m == nil || m.Verdict != datause.Deny {
			t.Fatalf("%+v", m)
		}
		short, why := w.terms(100), w.terms(100)
		short.Override, why.Override = "because I can", "The committee agreed in March that controls are needed"
		for _, terms := range []*Terms{w.terms(100), short, why} { // whatever the reason: nothing would be given
			w.refused(fault.Invalid, "custodian", v, Act{Do: "approve", Terms: terms})
		}

		// What was permitted when it was handed in is not by now.
		again := w.ask("other", form(), "breast")
		w.permit("breast", "CC")
		w.refused(fault.Invalid, "custodian", again, Act{Do: "approve", Terms: why})
		w.permit("breast", "NRES") // and the other way around: why it was changed is written down
		for _, terms := range []*Terms{w.terms(100), short} {
			w.refused(fault.Invalid, "custodian", v, Act{Do: "approve", Terms: terms})
		}
		v = w.act("custodian", v, Act{Do: "approve", Terms: why})
		if v.Items[0].Terms == nil || v.Items[0].Terms.Override == "" {
			t.Error("the reason is not kept")
		}
		if !slices.ContainsFunc(w.said(), func(s string) bool { return strings.Contains(s, "approve against the match") }) {
			t.Error("the log does not say so")
		}
		w.act("custodian", again, Act{Do: "approve", Terms: w.terms(100)})

		view := form()
		delete(view.Purpose, "download")
		third := w.ask("applicant", view, "lung")
		w.refused(fault.Invalid, "elsewhere", third, Act{Do: "approve", Terms: w.terms(100)}) // a copy was not asked for
		terms := w.terms(100)
		terms.Capability = "view"
		w.act("elsewhere", third, Act{Do: "approve", Terms: terms})
	})
}

// permit changes what a collection's data may be used for.
func (w *world) permit(c directory.ID, permission string) {
	w.t.Helper()
	err := w.DB.Write(w.t.Context(), func(tx *db.Tx) error {
		e, err := w.Entries.Get(w.t.Context(), c)
		if err != nil {
			return err
		}
		e.Entry.DataUse.Alternatives[0].Permission, e.Entry.DataUse.Alternatives[0].Diseases = permission, nil
		n, err := w.Entries.Save(tx, c, e.Entry, e.Revision, "someone", "")
		if err != nil {
			return err
		}
		return w.Entries.Publish(tx, c, n, "someone")
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// said is what the audit log says.
func (w *world) said() (all []string) {
	w.t.Helper()
	entries, err := w.Audit.Entries(w.t.Context(), audit.Filter{Limit: 10_000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s: %s %s in %s: %s", e.Actor, e.Action, e.Object, e.Collection, e.Outcome))
	}
	return all
}

// Nobody decides on their own request, whatever else they are: neither on the request nor on its agreement, nor may they lift a suspension.
func TestNobodyDecidesOnTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		v := w.ask("custodian", form(), "breast")
		for _, do := range []string{"take", "ask", "approve", "reject"} {
			w.refused(fault.Denied, "custodian", v, Act{Do: do, Text: "to myself", Terms: w.terms(100)})
		}
		v = w.act("second", v, Act{Do: "approve", Terms: w.terms(100)})
		a, err := w.AddAgreement(ctx, w.by["custodian"], id(t, v.ID), w.paper(), pdf("x"))
		if err != nil || a.MayCheck {
			t.Fatalf("%+v, %v", a, err)
		}
		for _, do := range []string{"execute", "return", "terminate"} {
			if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, a.ID), AgreementAct{Do: do, Parties: true, Dates: true, Text: "mine"}); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v", do, err)
			}
		}
		if _, err := w.ActOnAgreement(ctx, w.by["second"], id(t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); err != nil {
			t.Fatal(err)
		}
		all, err := w.MyEntitlements(ctx, w.by["custodian"])
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		change := func(name, do string) error {
			_, err := w.ActOnEntitlement(ctx, w.by[name], id(t, all[0].ID), EntitlementAct{Do: do, Text: "MARKERWHY something is odd"})
			return err
		}
		if err := change("applicant", "suspend"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		for _, step := range []struct {
			name, do string
			want     fault.Kind
			ok       bool
		}{{"steward", "suspend", 0, true}, {"custodian", "resume", fault.Denied, false}, {"steward", "resume", fault.Denied, false}, {"second", "suspend", fault.Conflict, false}, {"second", "resume", 0, true}, {"admin", "revoke", 0, true},
			{"second", "resume", fault.Conflict, false}, {"second", "suspend", fault.Conflict, false}} {
			if err := change(step.name, step.do); step.ok != (err == nil) || err != nil && !fault.Is(err, step.want) {
				t.Errorf("%s, %s: %v", step.name, step.do, err)
			}
		}
	})
}

func TestTwoCustodiansAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 5 {
			v := w.ask("applicant", form(), "breast")
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for n, name := range []string{"custodian", "second"} {
				a := Act{Do: "approve", Terms: w.terms(100)}
				if n == 1 {
					a = Act{Do: "reject", Text: "no"}
				}
				wg.Go(func() { _, errs[n] = w.Act(t.Context(), w.by[name], id(t, v.ID), a) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !fault.Is(err, fault.Conflict) {
					t.Errorf("the other is told %v", err)
				}
			}
			if won != 1 {
				t.Errorf("%d of two decided: %v", won, errs)
			}
		}
		// Who looked before something happened decides on what is not so any more.
		v := w.ask("applicant", form(), "breast")
		seen := v.Seq
		w.act("second", v, Act{Do: "take"})
		w.refused(fault.Conflict, "custodian", v, Act{Do: "approve", Terms: w.terms(100), Seen: seen})
		w.act("custodian", v, Act{Do: "approve", Terms: w.terms(100), Seen: seen + 1})
		// Approving and executing at once give one entitlement.
		for range 5 {
			v := w.ask("applicant", form(), "breast")
			a, err := w.AddAgreement(t.Context(), w.by["applicant"], id(t, v.ID), w.paper(), pdf(v.ID))
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := w.Act(t.Context(), w.by["custodian"], id(t, v.ID), Act{Do: "approve", Terms: w.terms(100)}); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				if _, err := w.ActOnAgreement(t.Context(), w.by["second"], id(t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if all, err := w.Access.EntitlementsBy(t.Context(), id(t, v.ID)); err != nil || len(all) != 1 {
				t.Errorf("%d entitlements, %v", len(all), err)
			}
		}
	})
}

func TestAgreements(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		v := w.ask("applicant", form(), "breast")
		add := func(name string, document []byte, change func(*Paper)) (AgreementView, error) {
			p := w.paper()
			if change != nil {
				change(&p)
			}
			return w.AddAgreement(ctx, w.by[name], id(t, v.ID), p, document)
		}
		for name, c := range map[string]struct {
			document []byte
			change   func(*Paper)
			kind     fault.Kind
		}{
			"nothing":             {nil, nil, fault.Invalid},
			"a web page":          {[]byte("<html>%PDF-1.7</html>%%EOF"), nil, fault.Invalid},
			"a picture":           {[]byte("\x89PNG\r\n\x1a\n%%EOF"), nil, fault.Invalid},
			"half a PDF":          {[]byte("%PDF-1.7\nhalf"), nil, fault.Invalid},
			"too large":           {append(pdf("x"), bytes.Repeat([]byte{' '}, MaxDocument)...), nil, fault.TooLarge},
			"dates turned around": {pdf("x"), func(p *Paper) { p.Effective, p.Expires = p.Expires, p.Effective }, fault.Invalid},
			"over":                {pdf("x"), func(p *Paper) { p.Effective, p.Expires = w.at.Add(-2*day), w.at }, fault.Invalid},
			"no dates":            {pdf("x"), func(p *Paper) { p.Expires = time.Time{} }, fault.Invalid},
			"no parties":          {pdf("x"), func(p *Paper) { p.Parties = []string{" "} }, fault.Invalid},
			"no organisation":     {pdf("x"), func(p *Paper) { p.Organisation = "" }, fault.Invalid},
			"no ROR":              {pdf("x"), func(p *Paper) { p.ROR = "https://ror.org/05a28rw59" }, fault.Invalid},
			"another scope":       {pdf("x"), func(p *Paper) { p.Scope = "world" }, fault.Invalid},
			"another collection":  {pdf("x"), func(p *Paper) { p.Collection = "lung" }, fault.Invalid},
			"an NHS number":       {pdf("x"), func(p *Paper) { p.Parties = []string{"943 476 5919"} }, fault.Invalid},
		} {
			if _, err := add("applicant", c.document, c.change); !fault.Is(err, c.kind) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"other", "elsewhere", "nobody", "researcher"} {
			if _, err := add(name, pdf("x"), nil); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := add("steward", pdf("x"), nil); !fault.Is(err, fault.Denied) {
			t.Errorf("a steward: %v", err)
		}
		v = w.act("custodian", v, Act{Do: "approve", Terms: w.terms(200)})
		execute := func(a AgreementView, kind fault.Kind) {
			t.Helper()
			if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); !fault.Is(err, kind) {
				t.Errorf("%v, want %v", err, kind)
			}
			if all := w.effective("breast", w.at); len(all) != 0 {
				t.Fatal("there is an entitlement")
			}
		}
		wrong, err := add("applicant", pdf("wrong"), func(p *Paper) { p.Organisation, p.ROR = "University of the South", "" })
		if err != nil || covers(wrong.Checks) {
			t.Fatalf("%+v, %v", wrong, err)
		}
		execute(wrong, fault.Invalid)
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, wrong.ID), AgreementAct{Do: "return"}); !fault.Is(err, fault.Invalid) {
			t.Errorf("sent back without a word: %v", err)
		}
		if a, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, wrong.ID), AgreementAct{Do: "return", Text: "It names the South"}); err != nil || a.State != "draft" || a.Note != "It names the South" {
			t.Errorf("%+v, %v", a, err)
		}
		execute(wrong, fault.Conflict)
		good, err := add("custodian", pdf("good"), nil)
		if err != nil || !covers(good.Checks) || good.SHA256 == "" {
			t.Fatalf("%+v, %v", good, err)
		}
		if _, err := add("applicant", pdf("good"), nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("the same twice: %v", err)
		}
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, good.ID), AgreementAct{Do: "execute", Dates: true}); !fault.Is(err, fault.Invalid) {
			t.Errorf("without having looked at the parties: %v", err)
		}
		if b, err := w.Document(ctx, w.by["second"], id(t, good.ID)); err != nil || !bytes.Equal(b, pdf("good")) {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := w.Document(ctx, w.by["other"], id(t, good.ID)); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, good.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); err != nil {
			t.Fatal(err)
		}
		if all := w.effective("breast", w.at); len(all) != 1 {
			t.Fatal("there is no entitlement")
		}
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, good.ID), AgreementAct{Do: "terminate", Text: "It was broken"}); err != nil {
			t.Fatal(err)
		}
		if all := w.effective("breast", w.at); len(all) != 0 {
			t.Error("the entitlement outlives its agreement")
		}

		// A company needs an agreement that covers profit.
		f := form()
		f.Organisation = Organisation{Name: "North Imaging Ltd", Kind: "commercial"}
		v = w.ask("applicant", f, "breast")
		v = w.act("custodian", v, Act{Do: "approve", Terms: w.terms(100)})
		company := func(p *Paper) { p.Organisation, p.ROR = "north imaging  LTD", "" }
		narrow, err := add("applicant", pdf("narrow"), company)
		if err != nil {
			t.Fatal(err)
		}
		execute(narrow, fault.Invalid)
	})
}

// An agreement of an organisation covers its later requests, and a later agreement carries a use on to the end that was approved.
func TestOrganisationWideAndRenewed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		v := w.ask("applicant", form(), "breast")
		p := w.paper()
		p.Scope, p.Expires = "organisation", w.at.Add(50*day)
		w.sign(v, p)
		later := w.ask("other", form(), "breast")
		later = w.act("custodian", later, Act{Do: "approve", Terms: w.terms(120)})
		if len(later.Entitlements) != 1 || !later.Entitlements[0].Expires.Equal(p.Expires) {
			t.Fatalf("%+v", later.Entitlements)
		}
		// Whom it binds under another request reads it, and accepts it, where they use it.
		if v, err := w.Request(ctx, w.by["other"], id(t, later.ID)); err != nil || len(v.Agreements) != 1 || v.Agreements[0].Request == later.ID || !v.Agreements[0].MayAccept || v.Agreements[0].MayCheck || !strings.Contains(v.Items[0].Next, "accept it by name") {
			t.Errorf("%+v, %v", v.Agreements, err)
		}
		south := form()
		south.Organisation = Organisation{Name: "University of the South", Kind: "academic"}
		if v := w.act("custodian", w.ask("other", south, "breast"), Act{Do: "approve", Terms: w.terms(120)}); len(v.Entitlements) != 0 {
			t.Errorf("it covers another organisation: %+v", v.Entitlements)
		}
		w.at = w.at.Add(40 * day)
		renewed := w.paper()
		a, err := w.AddAgreement(ctx, w.by["other"], id(t, later.ID), renewed, pdf("renewed"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); err != nil {
			t.Fatal(err)
		}
		all, err := w.Access.EntitlementsBy(ctx, id(t, later.ID))
		if err != nil || len(all) != 2 || !all[1].NotBefore.Equal(p.Expires) || !all[1].Expires.Equal(*later.Items[0].Terms.Until) {
			t.Fatalf("%+v, %v", all, err)
		}
		for n := range 80 {
			at := w.at.Add(time.Duration(n) * day)
			if got, err := w.Effective(ctx, w.by["other"].Actor, "breast", "", at); err != nil || len(got) != 1 {
				t.Fatalf("on day %d: %d, %v", n, len(got), err)
			}
		}
		// What was revoked does not come back.
		if _, err := w.ActOnEntitlement(ctx, w.by["custodian"], id(t, all[1].ID.String()), EntitlementAct{Do: "revoke", Text: "over"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Look(ctx); err != nil {
			t.Fatal(err)
		}
		if again, err := w.Access.EntitlementsBy(ctx, id(t, later.ID)); err != nil || len(again) != 2 {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// Whatever people do, in whatever order: who may use data was approved by another, under an executed agreement in date.
func TestNoEntitlementWithoutBoth(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		names := []string{"applicant", "custodian", "second", "steward", "admin", "token", "other", "elsewhere"}
		rapid.Check(t, func(rt *rapid.T) {
			from := w.at
			v, err := w.Draft(ctx, w.by["applicant"], NewRequest{For: []Wanted{{Collection: "breast"}}, Form: form()})
			if err != nil {
				rt.Fatal(err)
			}
			n := id(t, v.ID)
			defer func() { // drafts are bounded
				_, _ = w.Act(ctx, w.by["applicant"], n, Act{Do: "withdraw"})
			}()
			var papers []string
			for range rapid.IntRange(1, 14).Draw(rt, "steps") {
				w.at = w.at.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "days")) * day)
				who := w.by[rapid.SampledFrom(names).Draw(rt, "who")]
				switch rapid.IntRange(0, 3).Draw(rt, "what") {
				case 0, 1:
					_, _ = w.Act(ctx, who, n, Act{Do: rapid.SampledFrom([]string{"submit", "take", "ask", "answer", "approve", "approve", "reject", "close"}).Draw(rt, "do"), Text: "a word", Terms: w.terms(rapid.IntRange(-1, 60).Draw(rt, "for"))})
				case 2:
					p := w.paper()
					p.Effective, p.Expires = w.at.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "effective"))*day), w.at.Add(time.Duration(rapid.IntRange(-5, 60).Draw(rt, "expires"))*day)
					if a, err := w.AddAgreement(ctx, who, n, p, pdf(fmt.Sprint(len(papers)))); err == nil {
						papers = append(papers, a.ID)
					}
				case 3:
					if len(papers) > 0 {
						_, _ = w.ActOnAgreement(ctx, who, id(t, rapid.SampledFrom(papers).Draw(rt, "paper")), AgreementAct{Do: rapid.SampledFrom([]string{"execute", "execute", "return", "terminate"}).Draw(rt, "paper"), Parties: true, Dates: true, Text: "a word"})
					}
				}
			}
			events, err := w.Access.Events(ctx, n)
			if err != nil {
				rt.Fatal(err)
			}
			approved := slices.IndexFunc(events, func(e record.Event) bool { return e.Kind == record.Approve })
			if approved >= 0 && !slices.Contains([]string{w.by["custodian"].Actor, w.by["second"].Actor}, events[approved].Actor) {
				rt.Fatal("approved by ", events[approved].Actor)
			}
			for at := from; at.Before(w.at.Add(90 * day)); at = at.Add(7 * day) {
				for _, e := range w.effective("breast", at) {
					if e.Request != n {
						continue
					}
					a, err := w.Access.Agreement(ctx, e.Agreement)
					if err != nil || !a.InForce(at) || approved < 0 || at.Before(events[approved].At) {
						rt.Fatalf("at %v: %+v, %v", at, a, err)
					}
				}
			}
		})
	})
}

func TestFormsThatAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(*NewRequest){
			"a closed collection":  func(n *NewRequest) { n.For[0].Collection = "shut" },
			"no such collection":   func(n *NewRequest) { n.For[0].Collection = "nowhere" },
			"nothing":              func(n *NewRequest) { n.For = nil },
			"the same twice":       func(n *NewRequest) { n.For = append(n.For, n.For[0]) },
			"versions of nothing":  func(n *NewRequest) { n.For[0].Versions = "1.x" },
			"odd versions":         func(n *NewRequest) { n.For[0].Dataset, n.For[0].Versions = "screening", "newest" },
			"an NHS number":        func(n *NewRequest) { n.Form.Summary += " 943 476 5919" },
			"a wrong ROR":          func(n *NewRequest) { n.Form.Organisation.ROR = "https://ror.org/05a28rw59" },
			"a wrong ORCID iD":     func(n *NewRequest) { n.Form.Members[0].ORCID = "0000-0002-1825-0098" },
			"a mistyped purpose":   func(n *NewRequest) { n.Form.Purpose["trainning"] = "yes" },
			"a kind of its own":    func(n *NewRequest) { n.Form.Purpose["organisation"] = "non-profit" },
			"an odd kind":          func(n *NewRequest) { n.Form.Organisation.Kind = "club" },
			"too long a title":     func(n *NewRequest) { n.Form.Title = strings.Repeat("x", MaxTitle+1) },
			"no country":           func(n *NewRequest) { delete(n.Form.Purpose, "country") },
			"no summary":           func(n *NewRequest) { n.Form.Summary = " " },
			"control characters":   func(n *NewRequest) { n.Form.Aims = "a\x00b" },
			"a dataset with space": func(n *NewRequest) { n.For[0].Dataset = "a b" },
		} {
			n := NewRequest{For: []Wanted{{Collection: "breast"}}, Form: form(), Submit: true}
			change(&n)
			if _, err := w.Draft(t.Context(), w.by["applicant"], n); err == nil || fault.Is(err, fault.Internal) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"token", "operator", "nobody"} {
			if _, err := w.Draft(t.Context(), w.by[name], NewRequest{For: []Wanted{{Collection: "breast"}}, Form: form()}); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Without a description of the collection a person decides.
		if v := w.ask("applicant", form(), "bare"); v.Items[0].Match.Verdict != datause.Review || !v.Items[0].Orphan || !strings.Contains(v.Items[0].Next, "no custodian") {
			t.Errorf("%+v", v.Items[0])
		}
		// Each custodian sees and decides their own part alone.
		two := w.ask("applicant", form(), "breast", "lung")
		if seen, err := w.Request(t.Context(), w.by["custodian"], id(t, two.ID)); err != nil || len(seen.Items) != 1 || seen.Items[0].Collection != "breast" {
			t.Errorf("%+v, %v", seen.Items, err)
		}
		w.refused(fault.Invalid, "second", two, Act{Do: "reject", Text: "which?"})
		two = w.act("elsewhere", two, Act{Do: "reject", Text: "not here"})
		if mine, err := w.Request(t.Context(), w.by["applicant"], id(t, two.ID)); err != nil || mine.Items[0].State != "submitted" || mine.Items[1].State != "rejected" {
			t.Errorf("%+v, %v", mine.Items, err)
		}
	})
}

func TestRegisterAndLeadTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		nobody := w.by["nobody"]
		v := w.act("custodian", w.ask("applicant", form(), "breast"), Act{Do: "approve", Terms: w.terms(100)})
		w.sign(v, w.paper())
		f := form()
		f.Named = true
		w.at = w.at.Add(day)
		named := w.act("custodian", w.ask("other", f, "breast"), Act{Do: "approve", Terms: func() *Terms { x := w.terms(100); from := w.at.Add(10 * day); x.From = &from; return x }()})
		a, err := w.AddAgreement(ctx, w.by["other"], id(t, named.ID), w.paper(), pdf("named"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, a.ID), AgreementAct{Do: "execute", Parties: true, Dates: true}); err != nil {
			t.Fatal(err)
		}
		all, err := w.Register(ctx, nobody, "", 10, 0)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err) // the other has not begun
		}
		if u := all[0]; u.Organisation != "University of the North" || u.Project != "Density and outcome" || u.Name != "" || u.Title != "Images of breast" || !u.Current || u.Capability != "download" || !strings.HasPrefix(u.Summary, "MARKERSUMMARY") {
			t.Errorf("%+v", u)
		}
		w.at = w.at.Add(10 * day)
		if all, err = w.Register(ctx, nobody, "breast", 10, 0); err != nil || len(all) != 2 || all[0].Name != "other" {
			t.Fatalf("%+v, %v", all, err)
		}
		if none, err := w.Register(ctx, nobody, "lung", 10, 0); err != nil || len(none) != 0 {
			t.Errorf("%+v, %v", none, err)
		}
		w.act("applicant", v, Act{Do: "close"})
		if all, err = w.Register(ctx, nobody, "", 10, 0); err != nil || len(all) != 2 || all[1].Current || !all[1].Until.Equal(w.at) {
			t.Errorf("what has ended: %+v, %v", all, err)
		}
		if len(w.effective("breast", w.at)) != 0 {
			t.Error("the work is over and the use is not")
		}
		if l, err := w.LeadTime(ctx, nobody, "breast"); err != nil || l.Enough || l.N != 2 || l.Median != 0 {
			t.Errorf("%+v, %v", l, err)
		}
		for n := range 3 {
			v := w.ask("applicant", form(), "breast")
			w.at = w.at.Add(time.Duration(n+1) * day)
			w.act("custodian", v, Act{Do: "reject", Text: "no"})
		}
		if l, err := w.LeadTime(ctx, nobody, "breast"); err != nil || !l.Enough || l.N != 5 || l.Median != 1 || l.P90 != 3 {
			t.Errorf("%+v, %v", l, err)
		}
		w.at = w.at.Add(2*366*day + time.Second)
		if l, err := w.LeadTime(ctx, nobody, "breast"); err != nil || l.N != 0 {
			t.Errorf("after two years: %+v, %v", l, err)
		}
	})
}

func TestReminders(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.at = time.Now().UTC().Truncate(time.Microsecond) // the queue of mails has a clock of its own
		for _, name := range []string{"applicant", "custodian", "steward"} {
			if err := w.Remind(ctx, w.by[name], name+"@example.org"); err != nil {
				t.Fatal(err)
			}
		}
		look := func(want ...string) {
			t.Helper()
			w.mails = nil
			if err := w.Look(ctx); err != nil {
				t.Fatal(err)
			}
			for {
				var kind, key string
				var payload []byte
				if w.DB.QueryRow(ctx, `SELECT kind, key, payload FROM job`).Scan(&kind, &key, &payload) != nil {
					break
				}
				if err := w.Mail.Handlers()[kind](ctx, key, payload); err != nil {
					t.Fatal(err)
				}
				if err := w.DB.Write(ctx, func(tx *db.Tx) error {
					_, err := tx.Exec(`DELETE FROM job WHERE kind = ? AND key = ?`, kind, key)
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, m := range w.mails {
				got = append(got, strings.TrimSuffix(m.To, "@example.org"))
				if strings.Contains(m.Text+m.HTML+m.Subject, "MARKER") || strings.Contains(m.Text, "reast") || !strings.Contains(m.Text, "https://images.example.org/requests") {
					t.Errorf("%+v", m)
				}
			}
			slices.Sort(got)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("reminded %v, want %v", got, want)
			}
		}
		v := w.ask("applicant", form(), "breast")
		w.at = w.at.Add(7*day - time.Second)
		look()
		w.at = w.at.Add(time.Second)
		look("custodian")
		look() // once
		v = w.act("custodian", v, Act{Do: "ask", Text: "Where?"})
		w.at = w.at.Add(8 * day)
		look("applicant")
		v = w.act("applicant", v, Act{Do: "answer", Text: "There"})
		w.at = w.at.Add(8 * day)
		look("custodian") // it waits anew
		v = w.act("custodian", v, Act{Do: "approve", Terms: w.terms(100)})
		w.sign(v, w.paper())
		look()
		w.at = w.at.Add(70*day + time.Minute)
		look("applicant")
		w.at = w.at.Add(10 * day)
		look()
		w.at = w.at.Add(13 * day)
		look("applicant")
		if n, to, err := w.Reminder(ctx, w.by["applicant"]); err != nil || to != "applicant@example.org" || n.Mail != "sent" {
			t.Errorf("%+v, %s, %v", n, to, err)
		}
		if err := w.Remind(ctx, w.by["applicant"], ""); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Reminder(ctx, w.by["applicant"]); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// What people write is in no row, log or audit entry in clear, but for what the register publishes; and a draft that is discarded takes its key along.
func TestNothingInClear(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		v := w.ask("applicant", form(), "breast")
		v = w.act("custodian", v, Act{Do: "ask", Text: "MARKERASKED"})
		v = w.act("applicant", v, Act{Do: "answer", Text: "MARKERANSWER"})
		v = w.act("custodian", v, Act{Do: "approve", Terms: w.terms(100)})
		w.sign(v, w.paper())
		all, err := w.MyEntitlements(ctx, w.by["applicant"])
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		if _, err := w.ActOnEntitlement(ctx, w.by["custodian"], id(t, all[0].ID), EntitlementAct{Do: "suspend", Text: "MARKERWHY"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Remind(ctx, w.by["applicant"], "markeraddress@example.org"); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"access_request", "access_item", "access_event", "access_agreement", "access_acceptance", "access_document", "access_entitlement", "access_entitlement_event", "access_reminder", "access_reminded", "audit"} {
			text := w.dump(table)
			if table == "access_entitlement" {
				text = strings.ReplaceAll(text, "MARKERSUMMARY", "")
			}
			if strings.Contains(strings.ToUpper(text), "MARKER") || strings.Contains(text, "Leeds") || strings.Contains(text, "NW/0001") {
				t.Errorf("in clear in %s", table)
			}
		}
		if s := w.log.String() + strings.Join(w.said(), "\n"); strings.Contains(strings.ToUpper(s), "MARKER") || strings.Contains(s, "Density") {
			t.Errorf("in a log: %s", s)
		}
		draft, err := w.Draft(ctx, w.by["applicant"], NewRequest{For: []Wanted{{Collection: "breast"}}, Form: form()})
		if err != nil {
			t.Fatal(err)
		}
		q, err := w.Access.Get(ctx, id(t, draft.ID))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Discard(ctx, w.by["applicant"], q.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Ring.Get(ctx, keys.ID(q.Key)); !fault.Is(err, fault.NotFound) {
			t.Errorf("its key is there: %v", err)
		}
		if err := w.Discard(ctx, w.by["applicant"], id(t, v.ID)); !fault.Is(err, fault.Conflict) {
			t.Errorf("what was handed in is discarded: %v", err)
		}
	})
}

func (w *world) dump(table string) string {
	w.t.Helper()
	rows, err := w.DB.Query(w.t.Context(), `SELECT * FROM `+table)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var all strings.Builder
	for rows.Next() {
		values := make([]any, len(names))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			w.t.Fatal(err)
		}
		for _, v := range values {
			fmt.Fprintf(&all, "%s ", *v.(*any))
		}
	}
	return all.String()
}

func TestIdentifiers(t *testing.T) {
	for s, ok := range map[string]bool{"https://ror.org/05a28rw58": true, "05a28rw58": true, "ror.org/05A28RW58": true, "https://ror.org/05a28rw59": false, "https://ror.org/15a28rw58": false, "https://ror.org/05a28rw5": false, "https://ror.org/05a28ru58": false, "": false, "https://ror.org/042nb2s44": true, "https://ror.org/054225q67": true} {
		if _, got := parseROR(s); got != ok {
			t.Errorf("%q: %v", s, got)
		}
	}
	for s, ok := range map[string]bool{"0000-0002-1825-0097": true, "0000-0001-5109-3700": true, "0000-0002-1694-233X": true, "0000-0002-1825-0098": false, "0000000218250097": false, "0000-0002-1825-009": false, "000A-0002-1825-0097": false} {
		if got := validORCID(s); got != ok {
			t.Errorf("%q: %v", s, got)
		}
	}
}
