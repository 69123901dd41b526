package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// met lets everybody be known well, as of the university.
func (w *world) met() {
	w.People = func(context.Context, string) (Known, error) {
		return Known{Person: judge.Person{Assurance: judge.Medium, Affiliated: w.at.Add(-day), Trained: w.at.Add(1000 * day), Kind: datause.NonProfit, Countries: []string{"GB"}}, Name: "University of the North", ROR: "https://ror.org/05a28rw58"}, nil
	}
}

var firstRelease = ReleaseFacts{Collection: "breast", Dataset: "breast-ct", Version: "1.0.0", State: judge.Published}

// given is what the judge says of somebody who downloads an image of a person who agreed to everything.
func (w *world) given(name string, at ReleaseFacts) (judge.Answer, []record.ID) {
	w.t.Helper()
	f, of, err := w.Facts(w.t.Context(), w.by[name].Actor, judge.Download, at)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(of) != len(f.Grants) {
		w.t.Fatalf("%d grants of %d entitlements", len(f.Grants), len(of))
	}
	s := consent.Stand(consent.Facts{Events: []consent.Event{{At: w.at.Add(-day), Grants: []consent.Use{consent.Research, consent.Sharing, consent.Abroad, consent.Training}}}, Bases: []consent.Basis{{Kind: consent.ByConsent}}, Country: "GB", Now: w.at})
	return judge.Decide(f, &s, judge.Entry{}), of
}

// refusals are the rules that keep an answer from being permit.
func refusals(a judge.Answer) string {
	var out []string
	for _, r := range a.Reasons {
		if r.Verdict != datause.Permit {
			out = append(out, r.Rule+" "+r.Verdict.String())
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

// From nothing to an image, and back: what stands in the way is told, one after the other, and what is taken back counts at once.
func TestFactsFromRequestToRevocation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		expect := func(step, want string) {
			t.Helper()
			if a, _ := w.given("applicant", firstRelease); refusals(a) != want || (want == "") != (a.Verdict == datause.Permit) {
				t.Errorf("%s: %v by %q, want %q", step, a.Verdict, refusals(a), want)
			}
		}
		expect("nobody is known", "R0 deny, R3 review, R5 deny")
		w.met()
		expect("nothing was asked for", "R3 review, R5 deny")
		v := w.ask("applicant", form(), "breast")
		w.act("custodian", v, Act{Do: "approve", Terms: w.terms(200)})
		expect("there is no agreement", "R3 review, R5 deny")
		a := w.sign(v, w.paper())
		expect("it is not accepted", "R6 deny")
		if a, err := w.Agreement(ctx, w.by["applicant"], id(t, a.ID)); err != nil || !a.MayAccept {
			t.Fatalf("%+v, %v", a, err)
		}
		for _, name := range []string{"custodian", "other", "token", "nobody"} {
			if _, err := w.Accept(ctx, w.by[name], id(t, a.ID)); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s accepts: %v", name, err)
			}
		}
		expect("others accept", "R6 deny")
		for range 2 {
			if a, err := w.Accept(ctx, w.by["applicant"], id(t, a.ID)); err != nil || a.MayAccept || len(a.Accepted) != 1 || !a.Accepted[0].Own {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		expect("all is done", "")
		if a, err := w.Agreement(ctx, w.by["custodian"], id(t, a.ID)); err != nil || a.MayAccept || len(a.Accepted) != 1 || a.Accepted[0].Name != "applicant" || a.Accepted[0].Own {
			t.Errorf("%+v, %v", a, err)
		}
		answer, of := w.given("applicant", firstRelease)
		mine, err := w.MyEntitlements(ctx, w.by["applicant"])
		if err != nil || len(of) != 1 || len(mine) != 1 || of[0].String() != mine[0].ID || answer.Grant != 0 || !slices.Contains(answer.Duties, "MARKERCONDITIONS name us") {
			t.Errorf("%v of %v, %+v, %v", answer, of, mine, err)
		}
		if a, _ := w.given("other", firstRelease); refusals(a) != "R3 review, R5 deny" {
			t.Errorf("another: %q", refusals(a))
		}

		// What the release, or what is owed, says.
		for name, other := range map[string]func(r *ReleaseFacts){
			"R1 deny": func(r *ReleaseFacts) { r.State = judge.Tombstoned }, "R5 deny": func(r *ReleaseFacts) { r.Collection, r.Dataset = "lung", "lung-ct" },
			"R2 DS deny": func(r *ReleaseFacts) {
				r.Policies = []datause.Policy{{Alternatives: []datause.Alternative{{Permission: "DS", Diseases: []string{"ICD-10 C34"}}}}}
			},
		} {
			at := firstRelease
			other(&at)
			if a, _ := w.given("applicant", at); !strings.Contains(refusals(a), name) {
				t.Errorf("%q, want %q", refusals(a), name)
			}
		}
		late := w.at.Add(-40 * day)
		w.Overdue = func(_ context.Context, request record.ID) (time.Time, error) {
			if request != id(t, v.ID) {
				return time.Time{}, errors.New("another request is asked about")
			}
			return late, nil
		}
		expect("a report is late", "R7 review")
		late = w.at.Add(-100 * day)
		expect("very late", "R7 deny")
		late = time.Time{}
		expect("it came", "")

		// Another agreement's organisation, and one's own that is no longer the same.
		known := w.People
		w.People = func(ctx context.Context, a string) (Known, error) {
			k, err := known(ctx, a)
			k.Name, k.ROR = "University of the South", ""
			return k, err
		}
		expect("they have moved", "R6 deny")
		w.People = func(ctx context.Context, a string) (Known, error) {
			k, err := known(ctx, a)
			k.ROR = ""
			return k, err
		}
		expect("by name alone", "")
		w.met()

		// What ends, ends at once.
		if _, err := w.ActOnEntitlement(ctx, w.by["steward"], of[0], EntitlementAct{Do: "suspend", Text: "something is odd"}); err != nil {
			t.Fatal(err)
		}
		expect("suspended", "R5 deny")
		if _, err := w.ActOnEntitlement(ctx, w.by["custodian"], of[0], EntitlementAct{Do: "resume"}); err != nil {
			t.Fatal(err)
		}
		expect("resumed", "")
		disable := func(no bool) {
			t.Helper()
			if err := w.DB.Write(ctx, func(tx *db.Tx) error { return w.Identity.SetDisabled(tx, w.by["applicant"].Actor, no) }); err != nil {
				t.Fatal(err)
			}
		}
		disable(true)
		expect("shut out", "R0 deny")
		disable(false)
		at := w.at
		w.at = mine[0].Expires.Add(-time.Microsecond)
		expect("the last moment", "")
		w.at = mine[0].Expires
		expect("the end", "R5 deny")
		w.at = at
		if _, err := w.ActOnAgreement(ctx, w.by["custodian"], id(t, a.ID), AgreementAct{Do: "terminate", Text: "it was broken"}); err != nil {
			t.Fatal(err)
		}
		expect("terminated", "R5 deny, R6 deny")
		if _, err := w.Accept(ctx, w.by["applicant"], id(t, a.ID)); !fault.Is(err, fault.Conflict) {
			t.Errorf("a terminated agreement is accepted: %v", err)
		}
	})
}

// Counts and previews need no grant, and what they do need is told all the same.
func TestFactsOfPreviews(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		f, of, err := w.Facts(t.Context(), w.by["applicant"].Actor, judge.Preview, firstRelease)
		if err != nil || len(of) != 0 || len(f.Grants) != 0 || !f.Person.Active || len(f.Policies) != 1 || f.Custodian == "" {
			t.Errorf("%+v, %v", f, err)
		}
		f, _, err = w.Facts(t.Context(), "person-0000000000000000", judge.Preview, ReleaseFacts{Collection: "bare", Dataset: "bare-1", Version: "1.0.0"})
		if err != nil || f.Person.Active || f.Policies != nil || f.Service != "" {
			t.Errorf("%+v, %v", f, err)
		}
	})
}

// What a custodian judges at the approval holds while the policy is the same, and what nobody can settle stays open.
func TestApprovalSettlesWhatItSaw(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.met()
		ethical := directory.DataUse{Alternatives: []directory.Use{{Permission: "HMB", Modifiers: []directory.Modifier{{Code: "IRB"}}}}}
		policy := func(u directory.DataUse) {
			t.Helper()
			err := w.DB.Write(t.Context(), func(tx *db.Tx) error {
				e, err := w.Entries.Get(t.Context(), "breast")
				if err != nil {
					return err
				}
				e.Entry.DataUse = u
				n, err := w.Entries.Save(tx, "breast", e.Entry, e.Revision, "someone", "")
				if err != nil {
					return err
				}
				return w.Entries.Publish(tx, "breast", n, "someone")
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		policy(ethical)
		f := form()
		f.Purpose["ethics"] = "yes"
		v := w.ask("applicant", f, "breast")
		terms := w.terms(200)
		terms.Settled, terms.Policies = []string{"RS", "NCU"}, "made up"
		v = w.act("custodian", v, Act{Do: "approve", Terms: terms})
		if got := v.Items[0].Terms; !slices.Equal(got.Settled, []string{"IRB"}) || len(got.Open) != 0 || got.Policies != judge.Fingerprint([]datause.Policy{ethical.Policy()}) {
			t.Fatalf("%+v", got)
		}
		a := w.sign(v, w.paper())
		if _, err := w.Accept(t.Context(), w.by["applicant"], id(t, a.ID)); err != nil {
			t.Fatal(err)
		}
		if a, _ := w.given("applicant", firstRelease); a.Verdict != datause.Permit {
			t.Errorf("%q", refusals(a))
		}
		narrow := ethical
		narrow.Alternatives = []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}}, Modifiers: ethical.Alternatives[0].Modifiers}}
		policy(narrow)
		if a, _ := w.given("applicant", firstRelease); refusals(a) != "R2 IRB review" {
			t.Errorf("the policy was changed: %q", refusals(a))
		}

		// The dataset's own policy is judged with the collection's.
		own := []datause.Policy{{Alternatives: []datause.Alternative{{Permission: "HMB", Modifiers: []datause.Modifier{{Code: "NCU"}}}}}}
		w.Policies = func(_ context.Context, _ collection.ID, dataset string) ([]datause.Policy, error) {
			if dataset != "breast-ct" {
				return nil, errors.New("another dataset is asked about")
			}
			return own, nil
		}
		ask := func(f Form) View {
			t.Helper()
			v, err := w.Draft(t.Context(), w.by["other"], NewRequest{For: []Wanted{{Collection: "breast", Dataset: "breast-ct"}}, Form: f, Submit: true})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		sold := form()
		sold.Purpose["ethics"], sold.Purpose["commercial"] = "yes", "yes"
		w.refused(fault.Invalid, "custodian", ask(sold), Act{Do: "approve", Terms: w.terms(100)})
		v = w.act("custodian", ask(f), Act{Do: "approve", Terms: w.terms(100)})
		if got := v.Items[0].Terms; got.Policies != judge.Fingerprint(append([]datause.Policy{narrow.Policy()}, own...)) {
			t.Errorf("%+v", got)
		}

		// Nobody has written down what these may be used for: no approval settles that.
		if settled, open := judgedBy(weighed(datause.Purpose{Kind: datause.Health}, nil)); len(settled) != 0 || !slices.Equal(open, []string{"policy"}) {
			t.Errorf("%v, %v", settled, open)
		}
	})
}

// What is written for another item of the same request after an approval does not change what was approved.
func TestPurposeIsTheApprovedOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.met()
		v := w.ask("applicant", form(), "breast", "lung")
		v = w.act("custodian", v, Act{Do: "approve", Item: 1, Terms: w.terms(200)})
		p := w.paper()
		p.Collection = "breast"
		a := w.sign(v, p)
		if _, err := w.Accept(t.Context(), w.by["applicant"], id(t, a.ID)); err != nil {
			t.Fatal(err)
		}
		w.act("elsewhere", v, Act{Do: "ask", Item: 2, Text: "Which cancer?"})
		f := form()
		f.Purpose["disease"] = "C34"
		if _, err := w.Write(t.Context(), w.by["applicant"], id(t, v.ID), f); err != nil {
			t.Fatal(err)
		}
		w.act("applicant", v, Act{Do: "answer", Item: 2, Text: "Of the lung"})
		facts, _, err := w.Facts(t.Context(), w.by["applicant"].Actor, judge.Download, firstRelease)
		if err != nil || len(facts.Grants) != 1 || !slices.Equal(facts.Grants[0].Purpose.Diseases, []string{"ICD-10 C50"}) || !slices.Equal(facts.Grants[0].Purpose.Countries, []string{"GB"}) {
			t.Errorf("%+v, %v", facts.Grants, err)
		}
	})
}

// Under an organisation's agreement each who is permitted something accepts for themselves, and reads it first.
func TestEachAcceptsForThemselves(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		w.met()
		v := w.ask("applicant", form(), "breast")
		w.act("custodian", v, Act{Do: "approve", Terms: w.terms(200)})
		p := w.paper()
		p.Scope = "organisation"
		a := w.sign(v, p)
		if _, err := w.Document(ctx, w.by["other"], id(t, a.ID)); !fault.Is(err, fault.NotFound) {
			t.Errorf("it binds them to nothing yet: %v", err)
		}
		u := w.ask("other", form(), "breast")
		w.act("custodian", u, Act{Do: "approve", Terms: w.terms(200)})
		if _, err := w.Accept(ctx, w.by["applicant"], id(t, a.ID)); err != nil {
			t.Fatal(err)
		}
		if x, _ := w.given("other", firstRelease); refusals(x) != "R6 deny" {
			t.Errorf("another has accepted: %q", refusals(x))
		}
		if _, err := w.Document(ctx, w.by["other"], id(t, a.ID)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Accept(ctx, w.by["other"], id(t, a.ID)); err != nil {
			t.Fatal(err)
		}
		if x, _ := w.given("other", firstRelease); x.Verdict != datause.Permit {
			t.Errorf("%q", refusals(x))
		}
	})
}
