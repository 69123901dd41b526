package consent_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	if s == "?" {
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

func parseEvents(t *testing.T, s string) (all []consent.Event) {
	t.Helper()
	for one := range strings.SplitSeq(s, ";") {
		w := strings.Fields(one)
		if len(w) == 0 {
			continue
		}
		e := consent.Event{At: parseTime(t, w[0])}
		verb := ""
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
				e.Expires = parseTime(t, x)
			default:
				t.Fatalf("%q says nothing", one)
			}
		}
		all = append(all, e)
	}
	return all
}

func parseBases(t *testing.T, s string, f *consent.Facts) {
	t.Helper()
	for one := range strings.SplitSeq(s, ",") {
		switch one = strings.TrimSpace(one); one {
		case "":
			continue
		case "opted out":
			f.OptedOut = true
			continue
		case "nobody knows where":
			f.Country = ""
			continue
		}
		w := strings.Fields(one)
		b := consent.Basis{Kind: consent.Kind(w[0])}
		for i := 1; i < len(w); i++ {
			switch w[i] {
			case "from":
				i++
				b.From = parseTime(t, w[i])
			case "until":
				i++
				b.Until = parseTime(t, w[i])
			case "checked":
				i++
				b.OptOutChecked = parseTime(t, w[i])
			case "waived", "elsewhere":
				b.OptOut = consent.OptOut(w[i])
			case "attested":
				b.Attested = true
			default:
				b.Reference = w[i]
			}
		}
		f.Bases = append(f.Bases, b)
	}
}

// asked answers for the third part of a line.
func asked(t *testing.T, s *consent.Standing, line string) datause.Answer {
	t.Helper()
	switch line = strings.TrimSpace(line); line {
	case "share":
		return s.Share()
	case "collect":
		return s.Collect()
	case "ask again":
		return s.May(consent.Contact)
	}
	p := datause.Purpose{Organisation: datause.NonProfit, Countries: []string{"GB"}}
	inside := false
	w := strings.Fields(line)
	for i := 0; i < len(w); i++ {
		switch w[i] {
		case "general", "health", "disease", "ancestry", "care":
			p.Kind = datause.Kind(w[i])
		case "nothing":
		case "inside":
			inside = true
		case "onward":
			p.Onward = true
		case "company":
			p.Organisation = datause.ForProfit
		case "whoever":
			p.Organisation = ""
		case "for-profit-use":
			p.Commercial = true
		case "methods":
			p.Methods = true
		case "training":
			p.Training = true
		case "generative":
			p.Generative = true
		case "genetic":
			p.Genetic = true
		case "relink":
			p.Relink = true
		case "in":
			i++
			if p.Countries = strings.Split(w[i], ","); w[i] == "anywhere" {
				p.Countries = nil
			}
		default:
			t.Fatalf("%q: %q says nothing", line, w[i])
		}
	}
	if inside {
		return s.Inside(p)
	}
	return s.Answer(p)
}

// The table of testdata/decisions.txt, which is meant to be read by people who are no programmers.
func TestDecisions(t *testing.T) {
	b, err := os.ReadFile("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, line := range strings.Split(string(b), "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part := strings.Split(line, "|")
		if len(part) != 5 {
			t.Fatalf("line %d has %d parts", i+1, len(part))
		}
		n++
		f := consent.Facts{Events: parseEvents(t, part[0]), Country: "GB", Now: noon}
		parseBases(t, part[1], &f)
		s := consent.Stand(f)
		got := asked(t, &s, part[2])
		var rules []string
		for _, r := range got.Reasons {
			if r.Verdict == got.Verdict && r.Verdict != datause.Permit {
				rules = append(rules, r.Rule)
			}
		}
		slices.Sort(rules)
		if rules = slices.Compact(rules); got.Verdict.String() != strings.TrimSpace(part[3]) || !slices.Equal(rules, strings.Fields(part[4])) {
			t.Errorf("line %d: %s\nis %v by %v: %+v", i+1, line, got.Verdict, rules, got.Reasons)
		}
	}
	if n < 140 {
		t.Errorf("%d decisions are told", n)
	}
}

// dice makes people and purposes of every kind. Times are few, so that they meet often.
type dice struct{ *rand.Rand }

func (d dice) bool() bool { return d.IntN(3) == 0 }

func (d dice) time() time.Time {
	if d.IntN(12) == 0 {
		return time.Time{}
	}
	return noon.Add(time.Duration(d.IntN(9)-6) * 24 * time.Hour)
}

func (d dice) uses() (out []consent.Use) {
	for _, u := range append(consent.Uses(), "unheard-of") {
		if n := 4; u == "unheard-of" && d.IntN(8) == 0 || u != "unheard-of" && d.IntN(n) == 0 {
			out = append(out, u)
		}
	}
	return out
}

func (d dice) event() consent.Event {
	e := consent.Event{At: d.time()}
	if d.IntN(4) > 0 {
		e.Grants = append(d.uses(), consent.Research, consent.Sharing)
	}
	if d.bool() {
		e.Denies = d.uses()
	}
	if d.IntN(4) == 0 {
		e.Withdrawal = []consent.Scope{consent.NoWithdrawal, consent.FromContact, consent.FromCollection, consent.FromUse, "unheard-of"}[d.IntN(5)]
	}
	if d.IntN(4) == 0 {
		e.Expires = d.time()
	}
	return e
}

func (d dice) basis() consent.Basis {
	b := consent.Basis{Kind: []consent.Kind{consent.ByConsent, consent.ByConsent, consent.Section251, consent.Anonymised, consent.Public, "unheard-of"}[d.IntN(6)],
		OptOut: []consent.OptOut{"", consent.OptOutApplies, consent.OptOutWaived, consent.OptOutElsewhere}[d.IntN(4)], OptOutChecked: d.time().Add(-3 * 24 * time.Hour), Attested: !d.bool()}
	if d.bool() {
		b.From = d.time()
	}
	if !d.bool() {
		b.Until = noon.Add(time.Duration(d.IntN(4)) * 24 * time.Hour)
	}
	if !d.bool() {
		b.Reference = "20/CAG/0001"
	}
	return b
}

func (d dice) facts() consent.Facts {
	f := consent.Facts{OptedOut: d.bool(), Country: []string{"GB", "FR", ""}[d.IntN(3)], Now: noon}
	for range d.IntN(5) {
		f.Events = append(f.Events, d.event())
	}
	for range d.IntN(3) {
		f.Bases = append(f.Bases, d.basis())
	}
	return f
}

func (d dice) purpose() datause.Purpose {
	p := datause.Purpose{Kind: append(datause.Kinds(), "")[d.IntN(6)], Training: d.bool(), Generative: d.bool(), Genetic: d.bool(), Relink: d.bool(), Onward: d.bool(),
		Organisation: []datause.Organisation{"", datause.NonProfit, datause.ForProfit}[d.IntN(3)], Commercial: d.bool()}
	for _, c := range []string{"GB", "FR"} {
		if d.bool() {
			p.Countries = append(p.Countries, c)
		}
	}
	return p
}

// answers are all that a standing says: of a purpose, and of everything else.
func answers(s *consent.Standing, p datause.Purpose) []datause.Answer {
	all := []datause.Answer{s.Answer(p), s.Inside(p), s.Share(), s.Collect()}
	for _, u := range consent.Uses() {
		all = append(all, s.May(u))
	}
	return all
}

func clone(f consent.Facts) consent.Facts {
	f.Events, f.Bases = slices.Clone(f.Events), slices.Clone(f.Bases)
	for i := range f.Events {
		f.Events[i].Grants, f.Events[i].Denies = slices.Clone(f.Events[i].Grants), slices.Clone(f.Events[i].Denies)
	}
	return f
}

// A further refusal, a withdrawal, an end, an opt-out or a basis less never permits more, whenever it was said and recorded.
func TestRestrictionsNeverPermitMore(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(7, 11))}
	changed := map[string]int{}
	for range 60_000 {
		f, p := d.facts(), d.purpose()
		narrow := clone(f)
		var what string
		e := d.IntN(len(f.Events) + 1)
		insert := func(x consent.Event) { narrow.Events = slices.Insert(narrow.Events, e, x) }
		switch n := d.IntN(9); {
		case n == 0:
			insert(consent.Event{At: d.time(), Denies: append(d.uses(), consent.Uses()[d.IntN(len(consent.Uses()))])})
			what = "a refusal"
		case n == 1:
			insert(consent.Event{At: d.time(), Withdrawal: []consent.Scope{consent.FromContact, consent.FromCollection, consent.FromUse}[d.IntN(3)]})
			what = "a withdrawal"
		case n == 2 && e < len(f.Events):
			narrow.Events[e].Denies = append(narrow.Events[e].Denies, consent.Uses()[d.IntN(len(consent.Uses()))])
			what = "an answer refused"
		case n == 3 && e < len(f.Events) && f.Events[e].Withdrawal == "":
			narrow.Events[e].Withdrawal = []consent.Scope{consent.FromContact, consent.FromCollection, consent.FromUse}[d.IntN(3)]
			what = "an event that withdraws too"
		case n == 4 && e < len(f.Events) && f.Events[e].Expires.IsZero():
			narrow.Events[e].Expires = d.time()
			what = "an end"
		case n == 5:
			narrow.OptedOut = true
			what = "an opt-out"
		case n == 6 && len(f.Bases) > 1:
			narrow.Bases = narrow.Bases[1:]
			what = "a basis less"
		case n == 7 && len(f.Bases) > 0:
			b := &narrow.Bases[0]
			b.Reference, b.Attested, b.OptOut = "", false, ""
			what = "a basis that is worth less"
		case n == 8 && e < len(f.Events) && len(f.Events[e].Grants) > 0:
			at := f.Events[e]
			if at.Withdrawal != "" {
				continue
			}
			narrow.Events[e].Grants = slices.DeleteFunc(narrow.Events[e].Grants, func(u consent.Use) bool { return u != consent.Research && d.bool() })
			what = "fewer grants"
			if slices.ContainsFunc(f.Events, func(x consent.Event) bool { return !x.Expires.IsZero() || len(x.Denies) > 0 }) {
				continue // a lapsed grant may stand for more than none, and less than one that goes on
			}
		default:
			continue
		}
		before, after := consent.Stand(f), consent.Stand(narrow)
		was, is := answers(&before, p), answers(&after, p)
		for i := range was {
			if is[i].Verdict > was[i].Verdict {
				t.Fatalf("%s: %v, before %v (%d)\n%+v\n%+v\n%+v", what, is[i].Verdict, was[i].Verdict, i, p, f, narrow)
			}
			if is[i].Verdict < was[i].Verdict {
				changed[what]++
			}
		}
	}
	for _, what := range []string{"a refusal", "a withdrawal", "an answer refused", "an event that withdraws too", "an end", "an opt-out", "a basis less", "a basis that is worth less", "fewer grants"} {
		if changed[what] < 20 {
			t.Errorf("%s has changed %d answers", what, changed[what])
		}
	}
}

// What nobody knows never permits; after a withdrawal nothing does.
func TestUnknownAndWithdrawnNeverPermit(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(3, 5))}
	never := func(what string, f consent.Facts, p datause.Purpose, from int) {
		t.Helper()
		s := consent.Stand(f)
		for i, a := range answers(&s, p)[from:] {
			if a.Verdict == datause.Permit {
				t.Fatalf("%s: permitted (%d)\n%+v\n%+v", what, i, f, p)
			}
		}
	}
	permits := 0
	for range 20_000 {
		f, p := d.facts(), d.purpose()
		s := consent.Stand(f)
		if s.Answer(p).Verdict == datause.Permit {
			permits++
		}
		if a := s.Answer(datause.Purpose{}); a.Verdict == datause.Permit {
			t.Fatalf("nothing is asked, and permitted: %+v", f)
		}
		g := clone(f)
		g.Bases = nil
		never("no basis", g, p, 0)
		g = clone(f)
		g.Now = time.Time{}
		never("no time", g, p, 0)
		g = clone(f)
		for i := range g.Bases {
			g.Bases[i].Kind = "unheard-of"
		}
		never("an unknown basis", g, p, 0)
		g = clone(f)
		g.Events = append(g.Events, consent.Event{At: d.time(), Denies: []consent.Use{"unheard-of"}})
		never("an unknown refusal", g, p, 0)
		g = clone(f)
		g.Events = nil
		g.Bases = []consent.Basis{{Kind: consent.ByConsent}}
		never("nothing said", g, p, 0)

		// Whatever was said until then, in whatever order it was recorded.
		g = clone(f)
		at := noon.Add(-time.Duration(d.IntN(3)) * 24 * time.Hour)
		g.Events = slices.DeleteFunc(g.Events, func(e consent.Event) bool { return e.At.After(at) })
		g.Events = slices.Insert(g.Events, d.IntN(len(g.Events)+1), consent.Event{At: at, Withdrawal: consent.FromUse})
		never("a withdrawal", g, p, 0)
		w := consent.Stand(g)
		for _, a := range answers(&w, p) {
			if a.Verdict != datause.Deny {
				t.Fatalf("withdrawn, and %v: %+v", a.Verdict, g)
			}
		}
		if w.Withdrawn() != consent.FromUse {
			t.Fatalf("withdrawn, and %v: %+v", w.Withdrawn(), g)
		}
	}
	if permits < 200 {
		t.Errorf("%d of 20,000 are permitted: the dice try nothing", permits)
	}
	var nobody consent.Standing
	for _, a := range answers(&nobody, datause.Purpose{Kind: datause.Health}) {
		if a.Verdict == datause.Permit {
			t.Errorf("a standing that nobody made permits: %+v", a)
		}
	}
}

// Of events said at different times the order of recording says nothing; nor does it of one recorded twice, nor the order of bases.
func TestOrderOfRecording(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(9, 2))}
	for range 20_000 {
		f, p := d.facts(), d.purpose()
		for i := range f.Events {
			f.Events[i].At = noon.Add(-time.Duration(i*i+d.IntN(2*i+1)) * time.Hour)
		}
		g := clone(f)
		d.Shuffle(len(g.Events), func(i, j int) { g.Events[i], g.Events[j] = g.Events[j], g.Events[i] })
		d.Shuffle(len(g.Bases), func(i, j int) { g.Bases[i], g.Bases[j] = g.Bases[j], g.Bases[i] })
		if len(g.Events) > 0 {
			g.Events = append(g.Events, g.Events[0])
		}
		one, two := consent.Stand(f), consent.Stand(g)
		a, b := answers(&one, p), answers(&two, p)
		for i := range a {
			if a[i].Verdict != b[i].Verdict {
				t.Fatalf("%v and %v (%d)\n%+v\n%+v", a[i], b[i], i, f, g)
			}
		}
	}
}

// Until the time that a standing names, time changes nothing; and there it often does.
func TestUntil(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(4, 8))}
	changes := 0
	for range 20_000 {
		f, p := d.facts(), d.purpose()
		now := consent.Stand(f)
		later := f
		until := now.Until()
		if until.IsZero() {
			until = noon.AddDate(100, 0, 0)
		}
		later.Now = until.Add(-1)
		same := consent.Stand(later)
		later.Now = until
		then := consent.Stand(later)
		a, b, c := answers(&now, p), answers(&same, p), answers(&then, p)
		for i := range a {
			if a[i].Verdict != b[i].Verdict {
				t.Fatalf("%v, and %v before %v (%d)\n%+v", a[i], b[i], until, i, f)
			}
			if a[i].Verdict != c[i].Verdict {
				changes++
			}
		}
	}
	if changes < 400 {
		t.Errorf("%d answers change in time", changes)
	}
}

// Every answer has reasons, by R3 or R4, in sentences; the first is why; what refuses says what would help, or that only the person can.
func TestReasons(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	for range 20_000 {
		f, p := d.facts(), d.purpose()
		s := consent.Stand(f)
		for i, a := range answers(&s, p) {
			if len(a.Reasons) == 0 || a.Reasons[0].Verdict != a.Verdict {
				t.Fatalf("%v for %+v (%d)", a, f, i)
			}
			for _, r := range a.Reasons {
				if r.Rule != "R3" && r.Rule != "R4" || !strings.HasSuffix(r.Text, ".") || strings.Contains(r.Text, "permits .") {
					t.Fatalf("a reason: %+v", r)
				}
				if r.Verdict != datause.Permit && r.Remedy == "" && !strings.Contains(r.Text, "They alone can change it.") {
					t.Fatalf("nothing is said to help: %+v", r)
				}
			}
		}
	}
}

// Which event decided is known.
func TestSaid(t *testing.T) {
	s := consent.Stand(consent.Facts{Events: parseEvents(t, "2025-01-10 denies ai-training; 2024-01-10 grants research ai-training; 2024-02-01 grants genetic until 2025-01-01"), Now: noon})
	for _, c := range []struct {
		use   consent.Use
		state consent.State
		by    int
	}{{consent.Research, consent.Granted, 1}, {consent.Training, consent.Refused, 0}, {consent.Genetic, consent.Lapsed, 2}, {consent.Abroad, consent.Unsaid, -1}, {"unheard-of", consent.Unsaid, -1}} {
		if state, by := s.Said(c.use); state != c.state || by != c.by {
			t.Errorf("%s: %v by %d, want %v by %d", c.use, state, by, c.state, c.by)
		}
	}
}

func TestWords(t *testing.T) {
	for _, u := range consent.Uses() {
		if u.Label() == "" || u.Words() == "" {
			t.Errorf("%s has no words", u)
		}
		if got, ok := consent.ParseUse(" " + strings.ToUpper(string(u))); !ok || got != u {
			t.Errorf("%s is not read", u)
		}
	}
	f := consent.Facts{Events: parseEvents(t, "2024-01-10 grants research sharing contact denies commercial"), Country: "GB", Now: noon, Bases: []consent.Basis{{Kind: consent.ByConsent}}}
	s := consent.Stand(f)
	got := strings.Join(s.Words(), "\n")
	for _, want := range []string{"Permitted: research; giving the images to people outside the organisation that collected them; being asked again.", "Not known, so that a person has to decide: training artificial",
		"Not permitted: use by companies or for profit.", "with people's consent"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	f.Events = append(f.Events, parseEvents(t, "2025-01-10 withdraws collection")...)
	if s = consent.Stand(f); !strings.Contains(strings.Join(s.Words(), "\n"), "Nothing more of this person is collected.") || s.Withdrawn() != consent.FromCollection {
		t.Errorf("%q", s.Words())
	}
	f.Events = append(f.Events, parseEvents(t, "2025-01-10 withdraws use")...)
	if s = consent.Stand(f); len(s.Words()) != 1 || !strings.Contains(s.Words()[0], "has withdrawn") {
		t.Errorf("%q", s.Words())
	}
}

func BenchmarkStandAndAnswer(b *testing.B) {
	d := dice{rand.New(rand.NewPCG(1, 2))}
	var fs []consent.Facts
	var ps []datause.Purpose
	for range 1000 {
		fs, ps = append(fs, d.facts()), append(ps, d.purpose())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s := consent.Stand(fs[i%1000])
		s.Answer(ps[i%997])
	}
}
