package access_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// icd is a small part of ICD-10.
type icd struct{}

func (icd) Name(d string) string { return d }

func (icd) Is(d, broader string) bool {
	return d == broader || strings.HasPrefix(d, broader+".") || broader == "ICD-10 C00-C97" && strings.HasPrefix(d, "ICD-10 C")
}

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func date(t *testing.T, s string) time.Time {
	t.Helper()
	if s == "never" {
		return time.Time{}
	}
	layout := time.DateOnly
	if strings.Contains(s, "T") {
		layout = "2006-01-02T15:04:05"
	}
	at, err := time.Parse(layout, s)
	if err != nil {
		t.Fatalf("%q is no date", s)
	}
	return at
}

// argument parts "GS(GB,FR)".
func argument(s string) (name string, values []string) {
	name, rest, ok := strings.Cut(s, "(")
	if ok {
		values = strings.Split(strings.TrimSuffix(rest, ")"), ",")
	}
	return name, values
}

func modifier(s string) (m datause.Modifier) {
	m.Code, m.Values = argument(s)
	return m
}

func parsePolicies(s string) (all []datause.Policy) {
	for one := range strings.SplitSeq(strings.TrimSpace(s), " and also ") {
		if one == "none at all" {
			return nil
		}
		one, but, _ := strings.Cut(one, " but ")
		p := datause.Policy{Restrictions: strings.Fields(but)}
		for a := range strings.SplitSeq(one, " or ") {
			w := strings.Fields(strings.ReplaceAll(a, "ICD-10 ", "ICD-10_"))
			if len(w) == 0 {
				continue
			}
			var x datause.Alternative
			x.Permission, x.Diseases = argument(w[0])
			for i, d := range x.Diseases {
				x.Diseases[i] = strings.ReplaceAll(d, "_", " ")
			}
			for _, m := range w[1:] {
				x.Modifiers = append(x.Modifiers, modifier(m))
			}
			p.Alternatives = append(p.Alternatives, x)
		}
		all = append(all, p)
	}
	return all
}

func parsePurpose(t *testing.T, s string) datause.Purpose {
	t.Helper()
	p := datause.Purpose{Organisation: datause.NonProfit}
	w := strings.Fields(s)
	for i := 0; i < len(w); i++ {
		switch w[i] {
		case "general", "health", "disease", "ancestry", "care":
			p.Kind = datause.Kind(w[i])
		case "ICD-10":
			i++
			p.Diseases = append(p.Diseases, "ICD-10 "+w[i])
		case "charity":
		case "for-profit-use":
			p.Commercial = true
		case "methods":
			p.Methods = true
		case "training":
			p.Training = true
		case "generative":
			p.Training, p.Generative = true, true
		case "genetic":
			p.Genetic = true
		case "relink":
			p.Relink = true
		case "publish":
			p.Publish = true
		case "ethics-on-file":
			p.Ethics = datause.OnFile
		case "in":
			i++
			p.Countries = strings.Split(w[i], ",")
		default:
			t.Fatalf("%q: %q says nothing", s, w[i])
		}
	}
	return p
}

func parseEvents(t *testing.T, s string) (all []consent.Event) {
	t.Helper()
	if s = strings.TrimSpace(s); s == "as usual" {
		s = "2024-01-10 grants research sharing"
	}
	for one := range strings.SplitSeq(s, ";") {
		w := strings.Fields(one)
		if len(w) == 0 {
			continue
		}
		e, verb := consent.Event{At: date(t, w[0])}, ""
		for _, x := range w[1:] {
			switch {
			case slices.Contains([]string{"grants", "denies", "withdraws", "until"}, x):
				verb = x
			case verb == "grants":
				e.Grants = append(e.Grants, consent.Use(x))
			case verb == "denies":
				e.Denies = append(e.Denies, consent.Use(x))
			case verb == "withdraws":
				e.Withdrawal = consent.Scope(x)
			case verb == "until":
				e.Expires = date(t, x)
			}
		}
		all = append(all, e)
	}
	return all
}

// A request is all that a line of the table says.
type request struct {
	facts   access.Facts
	subject consent.Facts
	entry   access.Entry
	later   time.Duration // between entering and asking for the object
}

// usual is what holds where a line says nothing else.
func usual() request {
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	return request{
		facts: access.Facts{Now: noon, Want: access.Download,
			Person: access.Person{Active: true, Assurance: access.Medium, Affiliated: from, Trained: to, TermsAgreed: true, Organisation: "university", Kind: datause.NonProfit, Countries: []string{"GB"}},
			Release: access.Release{Collection: "breast", Dataset: "breast-ct", Version: "1.0.0", State: access.Published, Custodian: "hospital", Service: access.Downloaded, Vocabulary: icd{},
				Policies: []datause.Policy{{Alternatives: []datause.Alternative{{Permission: "GRU"}}}}},
			Grants: []access.Grant{{Project: "P1", Purpose: datause.Purpose{Kind: datause.Health, Organisation: datause.NonProfit},
				Entitlement: access.Entitlement{State: access.Active, Collection: "breast", Dataset: "breast-ct", Versions: "*", Capability: access.Download, NotBefore: from, Expires: to},
				Agreement:   access.Agreement{State: access.Executed, Organisations: []string{"university"}, Effective: from, Expires: to, Accepted: true}, Duties: access.Duties{Checked: true}}}},
		subject: consent.Facts{Events: []consent.Event{{At: time.Date(2024, 1, 10, 0, 0, 0, 0, time.UTC), Grants: []consent.Use{consent.Research, consent.Sharing}}},
			Bases: []consent.Basis{{Kind: consent.ByConsent}}, Country: "GB"},
	}
}

func parseBases(t *testing.T, s string, f *consent.Facts) {
	t.Helper()
	f.Bases = nil
	for one := range strings.SplitSeq(s, ",") {
		w := strings.Fields(one)
		switch w[0] {
		case "none":
			continue
		case "opted":
			f.OptedOut = true
			continue
		}
		b := consent.Basis{Kind: consent.Kind(w[0])}
		for i := 1; i < len(w); i++ {
			switch w[i] {
			case "until":
				i++
				b.Until = date(t, w[i])
			case "checked":
				i++
				b.OptOutChecked = date(t, w[i])
			case "waived":
				b.OptOut = consent.OptOutWaived
			case "attested":
				b.Attested = true
			default:
				b.Reference = w[i]
			}
		}
		f.Bases = append(f.Bases, b)
	}
}

var capabilities = map[string]access.Capability{"a count": access.Count, "a preview": access.Preview, "to view": access.View, "to analyse": access.Analyse, "to download": access.Download, "something": 0,
	"count": access.Count, "preview": access.Preview, "view": access.View, "analyse": access.Analyse}

// apply changes what the fourth part of a line says.
func (r *request) apply(t *testing.T, s string) {
	t.Helper()
	f := &r.facts
	read := false
	for one := range strings.SplitSeq(s, ";") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		g := &access.Grant{}
		if n := len(f.Grants); n > 0 {
			g = &f.Grants[n-1]
		}
		who, rel, e, a := &f.Person, &f.Release, &g.Entitlement, &g.Agreement
		cut := func(prefix string, do func(string)) bool {
			rest, ok := strings.CutPrefix(one, prefix)
			if ok {
				do(rest)
			}
			return ok
		}
		dates := func(from, to *time.Time) func(string) {
			return func(s string) {
				x, y, _ := strings.Cut(s, " to ")
				*from, *to = date(t, x), date(t, y)
			}
		}
		known := true
		switch one {
		case "account not active":
			who.Active = false
		case "terms not agreed to":
			who.TermsAgreed = false
		case "works for a company":
			who.Organisation, who.Kind, a.Organisations = "company", datause.ForProfit, []string{"company"}
		case "works for somebody":
			who.Organisation, who.Kind, a.Organisations = "somebody", "", []string{"somebody"}
		case "works for the hospital":
			who.Organisation, a.Organisations = "hospital", []string{"hospital"}
		case "in nowhere known":
			who.Countries = nil
		case "object withdrawn":
			r.entry.Withdrawn = true
		case "no entitlement":
			f.Grants = nil
			continue
		case "no agreement":
			*a = access.Agreement{Organisations: a.Organisations, Effective: a.Effective, Expires: a.Expires, Accepted: true}
		case "and another like the first", "and another":
			f.Grants = append(f.Grants, usual().facts.Grants[0])
			f.Grants[len(f.Grants)-1].Purpose = g.Purpose
		case "agreement covers profit":
			a.Commercial = true
		case "agreement not accepted":
			a.Accepted = false
		case "agreement binds nobody":
			a.Organisations = nil
		case "nobody knows what is owed":
			g.Duties = access.Duties{}
		case "consent was read before it ended":
			r.subject.Events[0].Expires = noon.Add(-time.Minute)
			r.subject.Now = noon.Add(-time.Hour)
		default:
			known = false
		}
		switch {
		case known:
		case cut("now ", func(s string) { f.Now = date(t, s) }):
		case cut("read ", func(s string) { f.Read, read = date(t, s), true }):
		case cut("asked again after ", func(s string) {
			n, err := strconv.Atoi(strings.TrimSuffix(s, " seconds"))
			if err != nil {
				t.Fatal(err)
			}
			r.later = time.Duration(n) * time.Second
		}):
		case cut("wants ", func(s string) {
			w, ok := capabilities[s]
			if !ok {
				t.Fatalf("%q says nothing", one)
			}
			f.Want = w
		}):
		case cut("in ", func(s string) { who.Countries = strings.Split(s, ",") }):
		case cut("assurance ", func(s string) { who.Assurance = access.Assurance(s) }):
		case cut("policy wants ", func(s string) { rel.Assurance = access.Assurance(s) }):
		case cut("confirmed ", func(s string) { who.Affiliated = date(t, s) }):
		case cut("trained until ", func(s string) { who.Trained = date(t, s) }):
		case cut("release ", func(s string) { rel.State = access.State(s) }):
		case cut("version ", func(s string) { rel.Version = s }):
		case cut("embargo until ", func(s string) { rel.Embargo = date(t, s) }):
		case cut("service ", func(s string) { rel.Service = access.Service(s) }):
		case cut("regions ", func(s string) { rel.Regions = strings.Split(s, ",") }):
		case cut("basis ", func(s string) { parseBases(t, s, &r.subject) }):
		case cut("settled ", func(s string) {
			s, other := strings.CutSuffix(s, " of another policy")
			g.Settled = access.Settled{Rules: strings.Fields(s), Policies: access.Fingerprint(rel.Policies)}
			if other {
				g.Settled.Policies = access.Fingerprint(parsePolicies("NRES"))
			}
		}):
		case cut("entitlement ", func(s string) { e.State = access.EntitlementState(s) }):
		case cut("entitled from ", dates(&e.NotBefore, &e.Expires)):
		case cut("entitled in ", func(s string) {
			e.Collection, e.Dataset, _ = strings.Cut(s, "/")
			e.Dataset = strings.TrimSuffix(e.Dataset, "*")
		}):
		case cut("entitled to ", func(s string) {
			if c, ok := capabilities[s]; ok {
				e.Capability = c
				return
			}
			e.Versions = s
		}):
		case cut("condition ", func(s string) { e.Conditions = append(e.Conditions, modifier(s)) }):
		case cut("agreement from ", dates(&a.Effective, &a.Expires)):
		case cut("agreement binds ", func(s string) { a.Organisations = []string{s} }):
		case cut("agreement for ", func(s string) { a.Project = s }):
		case cut("agreement ", func(s string) { a.State = access.AgreementState(s) }):
		case cut("owes since ", func(s string) { g.Duties.Overdue = date(t, s) }):
		default:
			t.Fatalf("%q says nothing", one)
		}
	}
	if !read {
		f.Read = f.Now
	}
	if r.subject.Now.IsZero() {
		r.subject.Now = f.Now
	}
}

func (r *request) decide() access.Answer {
	s := consent.Stand(r.subject)
	if r.later == 0 {
		return access.Decide(r.facts, &s, r.entry)
	}
	p := access.Enter(r.facts)
	return p.Subject(r.facts.Now.Add(r.later), &s, r.entry)
}

// table is testdata/decisions.txt, line by line.
func table(t *testing.T, each func(line string, r request, verdict, rules string)) {
	t.Helper()
	b, err := os.ReadFile("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part := strings.Split(line, "|")
		if len(part) != 6 {
			t.Fatalf("line %d has %d parts", i+1, len(part))
		}
		r := usual()
		r.facts.Policies = parsePolicies(part[0])
		r.facts.Grants[0].Purpose = parsePurpose(t, part[1])
		r.subject.Events = parseEvents(t, part[2])
		r.apply(t, part[3])
		each("line "+strconv.Itoa(i+1)+": "+line, r, strings.TrimSpace(part[4]), strings.TrimSpace(part[5]))
	}
}

// deciding are the rules of the reasons that make the answer what it is, as the table writes them.
func deciding(a access.Answer) string {
	var rules []string
	for _, r := range a.Reasons {
		if r.Verdict == a.Verdict && r.Verdict != datause.Permit && !slices.Contains(rules, r.Rule) {
			rules = append(rules, r.Rule)
		}
	}
	slices.Sort(rules)
	return strings.Join(rules, " ")
}

// The table of testdata/decisions.txt, which is meant to be read by people who are no programmers.
func TestDecisions(t *testing.T) {
	n, rules := 0, map[string]bool{}
	table(t, func(line string, r request, verdict, by string) {
		n++
		a := r.decide()
		if got := deciding(a); a.Verdict.String() != verdict || got != by {
			t.Errorf("%s\nis %v by %s: %+v", line, a.Verdict, got, a.Reasons)
		}
		for _, rule := range strings.Fields(by) {
			rules[verdict+" "+rule] = true
		}
	})
	if n < 200 {
		t.Errorf("%d decisions are told", n)
	}
	for _, rule := range []string{"R0", "R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"} {
		for _, verdict := range []string{"deny", "review"} {
			if !rules[verdict+" "+rule] {
				t.Errorf("no decision is %s by %s", verdict, rule)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		versions, version string
		want              bool
	}{
		{"*", "1.0.0", true}, {"*", "", true}, {"1.0.0", "1.0.0", true}, {"", "", false}, {"1.x", "", false}, {"1.x", "1.0", false}, {"1.x", "1.2.3", true}, {"1.x", "10.2.3", false}, {"1.2.x", "1.2.30", true},
		{"1.2.x", "1.20.3", false}, {"1.2.3.x", "1.2.3", false}, {".x", "1.2.3", false}, {"x", "1.2.3", false}, {"1.x", "1.2.0-rc.1", false}, {"1.x", "1.2.0-rc", false}, {"*", "1.2.0-rc.1", true},
		{"1.2.0-rc.1", "1.2.0-rc.1", true}, {"1.0.0", "1.0.1", false}, {"1.2.0", "", false},
	} {
		if got := access.Covers(c.versions, c.version); got != c.want {
			t.Errorf("%q covers %q: %v", c.versions, c.version, got)
		}
	}
}

// Policies that differ in anything have other fingerprints.
func TestFingerprint(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{"none at all", "", "GRU", "GRU and also GRU", "GRU or GRU", "GRU IRB", "GRU but IRB", "GRU IRB COL", "GRU or IRB", "DS(ICD-10 C50)", "GRU DS", "GRU TS(6)", "GRU TS(6,7)", "GRU TS(67)", "GRU RS(a)", "GRU RS(b)"} {
		f := access.Fingerprint(parsePolicies(s))
		if was, ok := seen[f]; ok {
			t.Errorf("%q and %q are one", s, was)
		}
		seen[f] = s
		if f != access.Fingerprint(parsePolicies(s)) {
			t.Errorf("%q is two", s)
		}
	}
}

func TestLevels(t *testing.T) {
	for c, want := range map[access.Capability]access.Level{access.Count: access.Registered, access.Preview: access.Accepted, access.View: access.Entitled, access.Analyse: access.Entitled, access.Download: access.Entitled,
		0: access.Entitled, 6: access.Entitled} {
		if got := c.Level(); got != want {
			t.Errorf("%v is for %v", c, got)
		}
	}
}

// What is agreed to is told: duties, the months, which grant.
func TestPermission(t *testing.T) {
	r := usual()
	r.facts.Policies = parsePolicies("GRU TS(12) NO_ONWARD")
	r.facts.Grants[0].Entitlement.Duties = []string{"Cite the hospital."}
	r.facts.Grants[0].Entitlement.Conditions = []datause.Modifier{{Code: "NO_ONWARD"}, {Code: "TS", Values: []string{"6"}}}
	r.apply(t, "now 2026-02-01; and another; entitlement revoked")
	a := r.decide()
	if a.Verdict != datause.Permit || a.Grant != 0 || a.Months != 6 || !slices.Equal(a.Duties, []string{"Delete the data after 12 months.", "Do not pass the data on.", "Delete the data after 6 months.", "Cite the hospital."}) {
		t.Errorf("%+v", a)
	}
	for _, reason := range a.Reasons {
		if reason.Verdict != datause.Permit {
			t.Errorf("permitted, and %+v", reason)
		}
	}
	r.facts.Grants = nil
	if a = r.decide(); a.Verdict != datause.Deny || a.Grant != -1 || len(a.Duties) != 0 {
		t.Errorf("%+v", a)
	}
	var none access.Pass
	s := consent.Stand(r.subject)
	if a := none.Subject(noon, &s, access.Entry{}); a.Verdict != datause.Review || none.Answer().Verdict != datause.Review {
		t.Errorf("a pass that nobody made: %+v", a)
	}
}
