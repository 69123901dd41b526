package access_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

var (
	policies = []string{"GRU", "GRU", "HMB", "NRES", "DS(ICD-10 C50)", "GRU IRB", "GRU IRB or DS(ICD-10 C50) COL", "GRU AI_TRAIN", "GRU TRE_ONLY", "GRU NPU", "GRU TS(6)", "GRU TS(12)", "GRU GS(GB)", "GRU and also HMB", "GRU but commercial",
		"HMB RS(x) or HMB IRB", "none at all", "GRU ABC"}
	purposes = []string{"health", "health", "health", "disease ICD-10 C50", "general", "health training", "health for-profit-use", "care", "", "health in FR", "health ethics-on-file"}
	said     = []string{"as usual", "as usual", "2024-01-10 grants research sharing commercial ai-training abroad", "2024-01-10 grants research sharing commercial ai-training abroad", "2024-01-10 grants research",
		"2024-01-10 grants research sharing until 2026-07-01T12:00:30", "2024-01-10 grants research sharing; 2026-06-30 withdraws use", "2024-01-10 grants research sharing denies commercial", ""}
	// changes are what else may be so: better or worse than usual.
	changes = []string{"wants to view", "wants to analyse", "wants a preview", "wants a count", "account not active", "assurance low", "assurance high", "policy wants high", "policy wants med", "confirmed 2025-07-01T12:00:30", "trained until 2026-07-01T12:00:10",
		"release amended", "release superseded", "release unheard-of", "embargo until 2026-07-01T12:00:20", "object withdrawn", "service open", "service tre", "service varies", "regions GB", "in FR", "in GB,FR", "in nowhere known",
		"works for a company", "works for somebody", "works for the hospital", "agreement covers profit", "agreement covers profit", "agreement draft", "agreement not accepted", "agreement for P2", "agreement from 2026-01-01 to 2026-07-01T12:00:40",
		"entitlement suspended", "entitled to view", "entitled to analyse", "entitled to 1.x", "entitled to 2.x", "entitled in breast/*", "entitled from 2026-01-01 to 2026-07-01T12:00:05", "entitled from 2026-07-01T12:00:05 to 2027-01-01",
		"condition TRE_ONLY", "condition NO_ONWARD", "condition TS(7)", "owes since 2026-06-20", "owes since 2026-06-01T12:00:30", "owes since 2026-05-01", "settled IRB", "settled IRB COL", "settled AI_TRAIN", "read 2026-07-01T11:59:30", "and another", "and another like the first", "basis anonymised attested",
		"basis s251 20/CAG/0001 until 2027-01-01 checked 2026-06-24T12:00:30", "basis consent, public", "terms not agreed to"}
)

type dice struct{ *rand.Rand }

func (d dice) of(list []string) string { return list[d.IntN(len(list))] }

func (d dice) request(t *testing.T) request {
	r := usual()
	r.facts.Policies = parsePolicies(d.of(policies))
	r.facts.Grants[0].Purpose = parsePurpose(t, d.of(purposes))
	r.subject.Events = parseEvents(t, d.of(said))
	var all []string
	for range d.IntN(5) {
		all = append(all, d.of(changes))
	}
	r.apply(t, strings.Join(all, ";"))
	return r
}

// clone is a request that can be changed by itself.
func (r request) clone() request {
	r.facts.Policies = slices.Clone(r.facts.Policies)
	for i, p := range r.facts.Policies {
		p.Alternatives = slices.Clone(p.Alternatives)
		for j := range p.Alternatives {
			p.Alternatives[j].Modifiers = slices.Clone(p.Alternatives[j].Modifiers)
		}
		r.facts.Policies[i] = p
	}
	r.facts.Grants = slices.Clone(r.facts.Grants)
	for i := range r.facts.Grants {
		r.facts.Grants[i].Entitlement.Conditions = slices.Clone(r.facts.Grants[i].Entitlement.Conditions)
	}
	r.subject.Events, r.subject.Bases = slices.Clone(r.subject.Events), slices.Clone(r.subject.Bases)
	return r
}

// A tightening is a restriction more. It reports whether it was one.
type tightening struct {
	name string
	do   func(d dice, r *request) bool
}

func codes(d dice) datause.Modifier {
	for {
		all := append(datause.Codes(), "UNHEARD_OF")
		m := datause.Modifier{Code: all[d.IntN(len(all))], Values: []string{"7"}}
		if m.Code != "AI_TRAIN" { // the one that permits something
			return m
		}
	}
}

// grants changes each grant.
func grants(do func(d dice, g *access.Grant) bool) func(dice, *request) bool {
	return func(d dice, r *request) bool {
		changed := false
		for i := range r.facts.Grants {
			changed = do(d, &r.facts.Grants[i]) || changed
		}
		return changed
	}
}

// sooner brings an end or beginning closer; later the other way.
func sooner(d dice, at *time.Time) bool {
	if at.IsZero() {
		return false
	}
	*at = at.AddDate(0, -d.IntN(14), 0)
	return true
}

var tightenings = []tightening{
	{"the account is not active", func(_ dice, r *request) bool { r.facts.Person.Active = false; return true }},
	{"terms are not agreed to", func(_ dice, r *request) bool { r.facts.Person.TermsAgreed = false; return true }},
	{"it is less sure who it is", func(_ dice, r *request) bool { r.facts.Person.Assurance = access.Low; return true }},
	{"more assurance is wanted", func(_ dice, r *request) bool { r.facts.Release.Assurance = access.High; return true }},
	{"confirmed earlier", func(d dice, r *request) bool { return sooner(d, &r.facts.Person.Affiliated) }},
	{"trained for less long", func(d dice, r *request) bool { return sooner(d, &r.facts.Person.Trained) }},
	{"in one country more", func(_ dice, r *request) bool {
		if len(r.facts.Person.Countries) == 0 {
			return false
		}
		r.facts.Person.Countries = append(slices.Clone(r.facts.Person.Countries), "US")
		return true
	}},
	{"works for a company", func(_ dice, r *request) bool {
		r.facts.Person.Kind = datause.ForProfit
		return true
	}},
	{"not of the organisation that collected", func(_ dice, r *request) bool { r.facts.Custodian = "another"; return true }},
	{"taken back", func(_ dice, r *request) bool { r.facts.State = access.Tombstoned; return true }},
	{"superseded", func(_ dice, r *request) bool { r.facts.State = access.Superseded; return true }},
	{"under embargo", func(d dice, r *request) bool { r.facts.Embargo = r.facts.Embargo.AddDate(3000, 0, 0); return true }},
	{"stays in a secure environment", func(_ dice, r *request) bool {
		if s := r.facts.Service; s != access.Downloaded && s != access.Open {
			return false
		}
		r.facts.Service = access.Secure
		return true
	}},
	{"in some countries only", func(_ dice, r *request) bool {
		if len(r.facts.Regions) > 0 {
			return false
		}
		r.facts.Regions = []string{"FR"}
		return true
	}},
	{"a policy more", func(d dice, r *request) bool {
		if len(r.facts.Policies) == 0 {
			return false
		}
		r.facts.Policies = append(r.facts.Policies, parsePolicies(d.of(policies[:15]))...)
		return true
	}},
	{"a condition more of a policy", func(d dice, r *request) bool {
		m := codes(d)
		for _, p := range r.facts.Policies {
			for j := range p.Alternatives {
				p.Alternatives[j].Modifiers = append(p.Alternatives[j].Modifiers, m)
			}
		}
		return len(r.facts.Policies) > 0
	}},
	{"a condition more of the entitlement", grants(func(d dice, g *access.Grant) bool {
		g.Entitlement.Conditions = append(g.Entitlement.Conditions, codes(d))
		return true
	})},
	{"less is settled", grants(func(_ dice, g *access.Grant) bool { g.Settled = access.Settled{}; return true })},
	{"entitled to less", grants(func(_ dice, g *access.Grant) bool {
		g.Entitlement.Capability = max(0, g.Entitlement.Capability-1)
		return true
	})},
	{"entitled for less long", grants(func(d dice, g *access.Grant) bool { return sooner(d, &g.Entitlement.Expires) })},
	{"entitled to other versions", grants(func(_ dice, g *access.Grant) bool {
		g.Entitlement.Versions = "1.1.x"
		return true
	})},
	{"revoked", grants(func(_ dice, g *access.Grant) bool { g.Entitlement.State = access.Revoked; return true })},
	{"no profit in the agreement", grants(func(_ dice, g *access.Grant) bool { g.Agreement.Commercial = false; return true })},
	{"an agreement for less long", grants(func(d dice, g *access.Grant) bool { return sooner(d, &g.Agreement.Expires) })},
	{"not accepted", grants(func(_ dice, g *access.Grant) bool { g.Agreement.Accepted = false; return true })},
	{"binds nobody", grants(func(_ dice, g *access.Grant) bool { g.Agreement.Organisations = nil; return true })},
	{"overdue for longer", grants(func(d dice, g *access.Grant) bool {
		if g.Duties.Overdue.IsZero() {
			g.Duties.Overdue = noon.AddDate(0, -d.IntN(4), 0)
			return true
		}
		return sooner(d, &g.Duties.Overdue)
	})},
	{"a grant less", func(_ dice, r *request) bool {
		if len(r.facts.Grants) == 0 {
			return false
		}
		r.facts.Grants = r.facts.Grants[:len(r.facts.Grants)-1]
		return true
	}},
	{"read longer ago", func(d dice, r *request) bool {
		r.facts.Read = r.facts.Read.Add(-time.Duration(d.IntN(100)) * time.Second)
		return true
	}},
	{"asked for later by the same pass", func(d dice, r *request) bool { r.later = time.Duration(d.IntN(100)) * time.Second; return true }},
	{"the object is withdrawn", func(_ dice, r *request) bool { r.entry.Withdrawn = true; return true }},
	{"the person refuses something", func(d dice, r *request) bool {
		r.subject.Events = append(r.subject.Events, consent.Event{At: noon.AddDate(-1, 0, 0), Denies: []consent.Use{consent.Uses()[d.IntN(len(consent.Uses()))]}})
		return true
	}},
	{"the person withdraws", func(_ dice, r *request) bool {
		r.subject.Events = append(r.subject.Events, consent.Event{At: noon.AddDate(-1, 0, 0), Withdrawal: consent.FromUse})
		return true
	}},
	{"the person opts out", func(_ dice, r *request) bool { r.subject.OptedOut = true; return true }},
}

// A restriction more never permits more, whatever else is so; and each of them is tried where it refuses what was permitted.
func TestRestrictionsNeverPermitMore(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 11))}
	refused, permitted := map[string]int{}, 0
	for range 60_000 {
		r := d.request(t)
		before := r.decide()
		if before.Verdict == datause.Permit {
			permitted++
		}
		narrow := r.clone()
		x := tightenings[d.IntN(len(tightenings))]
		if !x.do(d, &narrow) {
			continue
		}
		after := narrow.decide()
		if after.Verdict > before.Verdict {
			t.Fatalf("%s: %v, before %v\n%+v\n%+v\n%+v", x.name, after, before, r, narrow, before.Reasons)
		}
		if after.Verdict < before.Verdict {
			refused[x.name]++
		}
	}
	if permitted < 3000 {
		t.Errorf("%d requests of 60,000 are permitted: the dice try nothing", permitted)
	}
	for _, x := range tightenings {
		if refused[x.name] == 0 {
			t.Errorf("that %s has changed nothing", x.name)
		}
	}
}

// After a withdrawal from use nothing permits, for nobody and by no way; and every fact that is missing or unknown keeps what was permitted from being permitted.
func TestWithdrawnAndUnknownNeverPermit(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(3, 5))}
	entitled := func(do func(*request)) func(*request) bool {
		return func(r *request) bool { do(r); return r.facts.Want.Level() == access.Entitled }
	}
	each := func(do func(*access.Grant)) func(*request) bool {
		return entitled(func(r *request) {
			for i := range r.facts.Grants {
				do(&r.facts.Grants[i])
			}
		})
	}
	all := func(do func(*request)) func(*request) bool { return func(r *request) bool { do(r); return true } }
	unknown := map[string]func(*request) bool{
		"the time":                 all(func(r *request) { r.facts.Now = time.Time{} }),
		"when it was read":         all(func(r *request) { r.facts.Read = time.Time{} }),
		"what is wanted":           all(func(r *request) { r.facts.Want = 0 }),
		"a wanted thing":           all(func(r *request) { r.facts.Want = 6 }),
		"the release's state":      all(func(r *request) { r.facts.State = "unheard-of" }),
		"the release":              all(func(r *request) { r.facts.Release = access.Release{Vocabulary: icd{}} }),
		"the person":               all(func(r *request) { r.facts.Person = access.Person{} }),
		"the assurance":            entitled(func(r *request) { r.facts.Person.Assurance = "unheard-of" }),
		"the wanted assurance":     entitled(func(r *request) { r.facts.Release.Assurance = "unheard-of" }),
		"the service":              entitled(func(r *request) { r.facts.Service = "" }),
		"the policies":             entitled(func(r *request) { r.facts.Policies = nil }),
		"a policy":                 entitled(func(r *request) { r.facts.Policies = append(r.facts.Policies, datause.Policy{}) }),
		"a term of a policy":       entitled(func(r *request) { r.facts.Policies = append(r.facts.Policies, parsePolicies("GRU ABC")...) }),
		"the purpose":              each(func(g *access.Grant) { g.Purpose = datause.Purpose{} }),
		"the entitlement":          each(func(g *access.Grant) { g.Entitlement = access.Entitlement{} }),
		"the entitlement's state":  each(func(g *access.Grant) { g.Entitlement.State = "unheard-of" }),
		"the entitlement's end":    each(func(g *access.Grant) { g.Entitlement.Expires = time.Time{} }),
		"a condition":              each(func(g *access.Grant) { g.Entitlement.Conditions = []datause.Modifier{{Code: "UNHEARD_OF"}} }),
		"the versions":             each(func(g *access.Grant) { g.Entitlement.Versions = "" }),
		"the agreement":            each(func(g *access.Grant) { g.Agreement = access.Agreement{} }),
		"the agreement's state":    each(func(g *access.Grant) { g.Agreement.State = "unheard-of" }),
		"the agreement's end":      each(func(g *access.Grant) { g.Agreement.Expires = time.Time{} }),
		"what is owed":             each(func(g *access.Grant) { g.Duties = access.Duties{} }),
		"the basis":                all(func(r *request) { r.subject.Bases = nil }),
		"what the person has said": all(func(r *request) { r.subject.Events, r.subject.Bases = nil, []consent.Basis{{Kind: consent.ByConsent}} }),
	}
	changed := map[string]int{}
	for range 20_000 {
		r := d.request(t)
		permits := r.decide().Verdict == datause.Permit
		if permits && d.IntN(4) == 0 {
			for name, do := range unknown {
				u := r.clone()
				if !do(&u) {
					continue
				}
				if changed[name]++; u.decide().Verdict == datause.Permit {
					t.Fatalf("%s is not known, and permitted: %+v", name, u)
				}
			}
		}
		w := r.clone()
		w.subject.Events = slices.Insert(w.subject.Events, d.IntN(len(w.subject.Events)+1), consent.Event{At: noon, Withdrawal: consent.FromUse})
		s := consent.Stand(w.subject)
		for _, c := range []access.Capability{access.Count, access.Preview, access.View, access.Analyse, access.Download} {
			w.facts.Want = c
			p := access.Enter(w.facts)
			if a := p.Subject(w.facts.Now, &s, access.Entry{}); a.Verdict != datause.Deny {
				t.Fatalf("withdrawn, and %v: %+v", a, w)
			}
		}
	}
	for name := range unknown {
		if changed[name] < 50 {
			t.Errorf("%s was not known %d times", name, changed[name])
		}
	}
}

// Every answer has reasons, by a rule, in sentences; what does not permit says what would help, or that nothing would. What decides comes first.
func TestReasons(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	look := func(r request) {
		a := r.decide()
		if len(a.Reasons) == 0 || a.Reasons[0].Verdict != a.Verdict {
			t.Fatalf("%+v", a)
		}
		for _, x := range a.Reasons {
			rule, code, _ := strings.Cut(x.Rule, " ")
			if len(rule) != 2 || rule < "R0" || rule > "R8" || (rule == "R2") != (code != "") || !strings.HasSuffix(x.Text, ".") {
				t.Fatalf("a reason: %+v", x)
			}
			if (x.Verdict == datause.Permit) != (x.Remedy == "") || x.Remedy != "" && !strings.HasSuffix(x.Remedy, ".") {
				t.Fatalf("what helps: %+v", x)
			}
		}
		if a.Verdict == datause.Deny && len(a.Duties) > 0 {
			t.Fatalf("what is refused has duties: %+v", a)
		}
	}
	table(t, func(_ string, r request, _, _ string) { look(r) })
	for range 20_000 {
		look(d.request(t))
	}
}

// A pass never permits what facts of that moment would not; nor does the order of grants say anything.
func TestPassLagsBehindNothing(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(4, 8))}
	lapsed, still := 0, 0
	for range 30_000 {
		r := d.request(t)
		r.subject.Now = r.facts.Now
		s := consent.Stand(r.subject)
		p := access.Enter(r.facts)
		at := r.facts.Now.Add(time.Duration(d.IntN(70)) * time.Second)
		kept := p.Subject(at, &s, r.entry)
		anew := r.clone()
		anew.facts.Now, anew.facts.Read, anew.subject.Now = at, at, at
		slices.Reverse(anew.facts.Grants)
		fresh := anew.decide()
		if kept.Verdict > fresh.Verdict && kept.Verdict == datause.Permit {
			t.Fatalf("%v is permitted by the pass, and not anew:\n%+v\n%+v", at, fresh, r)
		}
		switch {
		case kept.Verdict == datause.Permit:
			still++
		case p.Subject(r.facts.Now, &s, r.entry).Verdict == datause.Permit:
			lapsed++
		}
		if a, b := p.Answer().Verdict, p.Subject(r.facts.Now, &s, r.entry).Verdict; b > a {
			t.Fatalf("%v, and %v of a subject", a, b)
		}
		back := r.clone()
		slices.Reverse(back.facts.Grants)
		if a, b := r.decide(), back.decide(); a.Verdict != b.Verdict {
			t.Fatalf("%v and %v in the other order", a, b)
		}
	}
	if lapsed < 100 || still < 1000 {
		t.Errorf("%d passes lapse, %d permit", lapsed, still)
	}
}

func requests(b *testing.B) (out []request) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	t := &testing.T{}
	for range 997 {
		out = append(out, d.request(t))
	}
	return out
}

// The whole decision, of facts as they are read for each object, the standing with it.
func BenchmarkDecide(b *testing.B) {
	all := requests(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &all[i%len(all)]
		s := consent.Stand(r.subject)
		access.Decide(r.facts, &s, r.entry)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// A request that is permitted, whole.
func BenchmarkDecidePermitted(b *testing.B) {
	r := usual()
	r.apply(&testing.T{}, "")
	s := consent.Stand(r.subject)
	b.ReportAllocs()
	for b.Loop() {
		if access.Decide(r.facts, &s, r.entry).Verdict != datause.Permit {
			b.Fatal("refused")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// The objects of a release, each of another subject, by one pass.
func BenchmarkSubject(b *testing.B) {
	all := requests(b)
	r := usual()
	r.apply(&testing.T{}, "")
	p := access.Enter(r.facts)
	var subjects []consent.Standing
	for i := range all {
		subjects = append(subjects, consent.Stand(all[i].subject))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Subject(noon, &subjects[i%len(subjects)], access.Entry{})
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}
