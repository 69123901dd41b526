package datause_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// icd is a small part of ICD-10.
type icd struct{}

func (icd) Name(d string) string { return d }

func (icd) Is(d, broader string) bool {
	switch {
	case d == broader, strings.HasPrefix(d, broader+"."):
		return true
	}
	return broader == "ICD-10 C00-C97" && strings.HasPrefix(d, "ICD-10 C")
}

// argument parts "GS(GB,FR)".
func argument(s string) (name string, values []string) {
	name, rest, ok := strings.Cut(s, "(")
	if ok {
		values = strings.Split(strings.TrimSuffix(rest, ")"), ",")
	}
	return name, values
}

// words parts at blanks that are not in brackets.
func words(s string) (out []string) {
	depth, from := 0, 0
	for i := range len(s) + 1 {
		switch {
		case i == len(s) || s[i] == ' ' && depth == 0:
			if w := s[from:i]; w != "" {
				out = append(out, w)
			}
			from = i + 1
		case s[i] == '(':
			depth++
		case s[i] == ')':
			depth--
		}
	}
	return out
}

func parsePolicy(s string) (p datause.Policy) {
	s, but, _ := strings.Cut(s, " but ")
	p.Restrictions = words(but)
	for a := range strings.SplitSeq(s, " or ") {
		all := words(a)
		if len(all) == 0 {
			continue
		}
		var x datause.Alternative
		x.Permission, x.Diseases = argument(all[0])
		for _, w := range all[1:] {
			name, values := argument(w)
			x.Modifiers = append(x.Modifiers, datause.Modifier{Code: name, Values: values})
		}
		p.Alternatives = append(p.Alternatives, x)
	}
	return p
}

func parsePurpose(t *testing.T, s string) (p datause.Purpose) {
	t.Helper()
	all := words(s)
	for i := 0; i < len(all); i++ {
		switch w := all[i]; w {
		case "general", "health", "ancestry", "care":
			p.Kind = datause.Kind(w)
		case "disease":
			p.Kind = datause.Disease
			for i+2 < len(all) && (all[i+1] == "ICD-10" || strings.HasSuffix(all[i+1], ",ICD-10")) { // "ICD-10 C50,ICD-10 C34"
				code := all[i+2]
				for {
					one, more, found := strings.Cut(code, ",")
					p.Diseases = append(p.Diseases, "ICD-10 "+one)
					if !found || more != "ICD-10" || i+3 >= len(all) {
						break
					}
					i++
					code = all[i+2]
				}
				i += 2
			}
		case "charity":
			p.Organisation = datause.NonProfit
		case "company":
			p.Organisation = datause.ForProfit
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
		case "animals":
			p.Animals = true
		case "in":
			i++
			p.Countries = strings.Split(all[i], ",")
		case "ethics-claimed", "ethics-on-file":
			p.Ethics = datause.Standing(strings.TrimPrefix(w, "ethics-"))
		case "collaboration-claimed", "collaboration-on-file":
			p.Collaboration = datause.Standing(strings.TrimPrefix(w, "collaboration-"))
		case "approved-claimed", "approved-on-file":
			p.Approved = datause.Standing(strings.TrimPrefix(w, "approved-"))
		case "publish":
			p.Publish = true
		case "give-back":
			p.GiveBack = true
		case "download":
			p.Download = true
		case "relink":
			p.Relink = true
		case "reidentify":
			p.Reidentify = true
		case "onward":
			p.Onward = true
		default:
			n, ok := strings.CutPrefix(w, "months-")
			m, err := strconv.Atoi(n)
			if !ok || err != nil {
				t.Fatalf("%q: %q says nothing", s, w)
			}
			p.Months = m
		}
	}
	return p
}

// The table of testdata/decisions.txt, which is meant to be read by people who are no programmers.
func TestDecisions(t *testing.T) {
	b, err := os.ReadFile("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	n, codes := 0, map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part := strings.Split(line, "|")
		if len(part) != 4 {
			t.Fatalf("line %d has %d parts", i+1, len(part))
		}
		n++
		policy := parsePolicy(strings.TrimSuffix(part[0], " "))
		for _, a := range policy.Alternatives {
			for _, m := range a.Modifiers {
				codes[m.Code] = true
			}
		}
		got := datause.Match(parsePurpose(t, part[1]), policy, icd{})
		var rules []string
		for _, r := range got.Reasons {
			if r.Text == "" || r.Rule == "" {
				t.Errorf("line %d: a reason without a rule or a sentence: %+v", i+1, r)
			}
			if r.Verdict == got.Verdict && r.Verdict != datause.Permit {
				rules = append(rules, r.Rule)
			}
		}
		slices.Sort(rules)
		if rules = slices.Compact(rules); got.Verdict.String() != strings.TrimSpace(part[2]) || !slices.Equal(rules, strings.Fields(part[3])) {
			t.Errorf("line %d: %s\nis %v by %v", i+1, line, got.Verdict, rules)
		}
	}
	if n < 150 {
		t.Errorf("%d decisions are told", n)
	}
	for _, c := range datause.Codes() {
		if !codes[c] {
			t.Errorf("no decision tells of %s", c)
		}
	}
}

// dice makes policies and purposes of every kind.
type dice struct{ *rand.Rand }

func (d dice) bool() bool { return d.IntN(3) == 0 }

func (d dice) purpose() datause.Purpose {
	standing := func() datause.Standing {
		return []datause.Standing{datause.None, datause.Claimed, datause.OnFile}[d.IntN(3)]
	}
	p := datause.Purpose{Kind: append(datause.Kinds(), "")[d.IntN(6)], Methods: d.bool(), Training: d.bool(), Generative: d.bool(), Genetic: d.bool(), Animals: d.bool(),
		Organisation: []datause.Organisation{"", datause.NonProfit, datause.ForProfit}[d.IntN(3)], Commercial: d.bool(), Ethics: standing(), Collaboration: standing(), Approved: standing(),
		Publish: d.bool(), GiveBack: d.bool(), Months: d.IntN(40), Download: d.bool(), Relink: d.bool(), Reidentify: d.bool(), Onward: d.bool()}
	for _, c := range []string{"ICD-10 C50", "ICD-10 C50.4", "ICD-10 C34", "ICD-10 F32"} {
		if d.bool() {
			p.Diseases = append(p.Diseases, c)
		}
	}
	for _, c := range []string{"GB", "FR", "US"} {
		if d.bool() {
			p.Countries = append(p.Countries, c)
		}
	}
	return p
}

var restrictions = []string{"commercial", "dna", "animal", "outside-eu", "xenograft", "unheard-of"}

func (d dice) modifier() datause.Modifier {
	codes := append(datause.Codes(), "UNHEARD_OF")
	m := datause.Modifier{Code: codes[d.IntN(len(codes))]}
	switch m.Code {
	case "GS":
		m.Values = [][]string{{"GB"}, {"GB", "FR"}, nil}[d.IntN(3)]
	case "TS":
		m.Values = [][]string{{"12"}, {"36"}, {"x"}, nil}[d.IntN(4)]
	}
	return m
}

func (d dice) policy() (p datause.Policy) {
	for range d.IntN(4) {
		a := datause.Alternative{Permission: []string{"NRES", "GRU", "HMB", "DS", "POA", "CC", "XX"}[d.IntN(7)]}
		if a.Permission == "DS" {
			a.Diseases = []string{"ICD-10 C50", "ICD-10 C00-C97"}[:1+d.IntN(2)]
		}
		for range d.IntN(5) {
			a.Modifiers = append(a.Modifiers, d.modifier())
		}
		p.Alternatives = append(p.Alternatives, a)
	}
	for range d.IntN(3) {
		p.Restrictions = append(p.Restrictions, restrictions[d.IntN(len(restrictions))])
	}
	return p
}

// A further condition, a further restriction, or an alternative less never permits more. AI_TRAIN is the one modifier that permits something.
func TestRestrictionsNeverPermitMore(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 11))}
	for range 100_000 {
		p, q := d.purpose(), d.policy()
		before := datause.Match(p, q, icd{}).Verdict
		narrow := datause.Policy{Restrictions: slices.Clone(q.Restrictions)}
		for _, a := range q.Alternatives {
			a.Modifiers = slices.Clone(a.Modifiers)
			narrow.Alternatives = append(narrow.Alternatives, a)
		}
		var what string
		switch n := len(narrow.Alternatives); {
		case n > 0 && d.bool():
			m := d.modifier()
			if m.Code == "AI_TRAIN" {
				continue
			}
			for i := range narrow.Alternatives {
				a := &narrow.Alternatives[i]
				a.Modifiers = slices.Insert(a.Modifiers, d.IntN(len(a.Modifiers)+1), m)
			}
			what = "modifier " + m.Code
		case n > 1 && d.bool():
			i := d.IntN(n)
			narrow.Alternatives = slices.Delete(narrow.Alternatives, i, i+1)
			what = "an alternative less"
		default:
			r := restrictions[d.IntN(len(restrictions))]
			narrow.Restrictions = append(narrow.Restrictions, r)
			what = "restriction " + r
		}
		if after := datause.Match(p, narrow, icd{}).Verdict; after > before {
			t.Fatalf("%s: %v, before %v\n%+v\n%+v", what, after, before, p, q)
		}
	}
}

// What nobody knows never permits: an unknown permission, modifier or restriction, and a purpose that says nothing.
func TestUnknownNeverPermits(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(3, 5))}
	for range 50_000 {
		p, q := d.purpose(), d.policy()
		if v := datause.Match(datause.Purpose{}, q, icd{}).Verdict; v == datause.Permit {
			t.Fatalf("nothing is asked, and permitted: %+v", q)
		}
		for i := range q.Alternatives {
			if a := &q.Alternatives[i]; d.bool() {
				a.Permission = "YY"
			} else {
				a.Modifiers = append(a.Modifiers, datause.Modifier{Code: "YY"})
			}
		}
		if v := datause.Match(p, q, icd{}).Verdict; v == datause.Permit {
			t.Fatalf("permitted: %+v\n%+v", p, q)
		}
	}
	if v := (datause.Answer{}).Verdict; v != datause.Deny {
		t.Error("an answer that nobody gave does not refuse")
	}
}

// Every refusal says why; and what refuses or waits comes before what permits.
func TestReasons(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	for range 50_000 {
		p, q := d.purpose(), d.policy()
		a := datause.Match(p, q, icd{})
		if len(a.Reasons) == 0 {
			t.Fatalf("no reason: %+v\n%+v", p, q)
		}
		if a.Verdict != a.Reasons[0].Verdict {
			t.Fatalf("%v, and the first reason says %v\n%+v\n%+v", a.Verdict, a.Reasons[0], p, q)
		}
		if a.Verdict == datause.Deny && len(a.Duties) > 0 {
			t.Fatalf("what is refused has duties: %+v", a)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	var ps []datause.Purpose
	var qs []datause.Policy
	for range 1000 {
		ps, qs = append(ps, d.purpose()), append(qs, d.policy())
	}
	for i := 0; b.Loop(); i++ {
		datause.Match(ps[i%1000], qs[i%997], icd{})
	}
}
