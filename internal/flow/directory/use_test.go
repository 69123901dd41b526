package directory_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// What a form, a query or a command says becomes a purpose; what is mistyped is no "no".
func TestReadPurpose(t *testing.T) {
	read := func(q string) (datause.Purpose, error) {
		t.Helper()
		v, err := url.ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		return directoryflow.ReadPurpose(v)
	}
	p, err := read("for=disease&disease=C50&disease=breast+cancer%3BM8500/3&disease=254837009&organisation=for-profit&country=gb,fr&country=US&months=24&generative=yes&download=yes&ethics=yes&approved=claimed&relink=no")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ICD-10 C50", "group breast-cancer", "ICD-O-3-M 8500/3", "SNOMED-CT 254837009"}; !slices.Equal(p.Diseases, want) {
		t.Errorf("diseases %v, want %v", p.Diseases, want)
	}
	if !slices.Equal(p.Countries, []string{"GB", "FR", "US"}) || p.Kind != datause.Disease || p.Organisation != datause.ForProfit || p.Months != 24 || !p.Generative || !p.Training || !p.Download || p.Relink ||
		p.Ethics != datause.Claimed || p.Approved != datause.Claimed || p.Collaboration != datause.None {
		t.Errorf("%+v", p)
	}
	for _, q := range []string{"for=fun", "organisation=ours", "disease=flurb", "country=United+Kingdom", "months=0", "months=x", "training=perhaps", "ethics=on-file", "approved=on-file", "trainings=yes", "training=no&training=yes", "organisation=non-profit&organisation=for-profit", "disease=" + many()} {
		if _, err := read(q); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", q[:min(len(q), 40)], err)
		}
	}
}

// many is more diseases than one may name.
func many() string {
	var all []string
	for i := range 40 {
		all = append(all, "C"+string(rune('1'+i/10))+string(rune('0'+i%10)))
	}
	return strings.Join(all, "%3B")
}

// The vocabulary's hierarchy counts, whatever system a disease is named in.
func TestUseOfDiseases(t *testing.T) {
	breast := directory.DataUse{Alternatives: []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.Group, Value: "breast-cancer"}}}}}
	for d, want := range map[string]datause.Verdict{
		"group breast-cancer": datause.Permit, "ICD-10 C50": datause.Permit, "ICD-10 C50.4": datause.Permit, "SNOMED-CT 254837009": datause.Permit, "ICD-O-3-T C50.4": datause.Permit,
		"group cancer": datause.Deny, "ICD-10 C34": datause.Deny, "ICD-10 C00-D48": datause.Deny, "group lung-cancer": datause.Deny, "": datause.Deny,
	} {
		a := breast.Match(datause.Purpose{Kind: datause.Disease, Diseases: []string{d}, Organisation: datause.NonProfit})
		if a.Verdict != want {
			t.Errorf("%s: %v, want %v: %+v", d, a.Verdict, want, a.Reasons)
		}
	}
	a := breast.Match(datause.Purpose{Kind: datause.Disease, Diseases: []string{"group cancer"}})
	if r := a.Reasons[0]; !strings.Contains(r.Text, "cancer is more than what is permitted") || !strings.Contains(r.Remedy, "breast cancer alone") {
		t.Errorf("what is too broad is told: %+v", r)
	}
	if a := (&directory.DataUse{}).Match(datause.Purpose{Kind: datause.Health}); a.Verdict != datause.Review {
		t.Errorf("a collection that says nothing: %v", a.Verdict)
	}
}

// Every term that an entry may hold has a rule.
func TestEveryTermHasARule(t *testing.T) {
	codes := datause.Codes()
	for _, m := range vocabulary.DataUseModifier.Terms {
		if !slices.Contains(codes, m.ID) {
			t.Errorf("no rule for the modifier %s", m.ID)
		}
	}
	p := datause.Purpose{Kind: datause.Health, Organisation: datause.NonProfit, Countries: []string{"FR"}}
	for _, r := range vocabulary.ConsentRestriction.Terms {
		d := directory.DataUse{Alternatives: []directory.Use{{Permission: "GRU"}}, Restrictions: []string{r.ID}}
		if a := d.Match(p); a.Verdict != datause.Permit {
			t.Errorf("no rule for the restriction %s: %+v", r.ID, a)
		}
	}
	for _, r := range vocabulary.DataUsePermission.Terms {
		d := directory.DataUse{Alternatives: []directory.Use{{Permission: r.ID}}}
		if a := d.Match(p); strings.Contains(a.Reasons[0].Text, "does not know") {
			t.Errorf("no rule for the permission %s", r.ID)
		}
	}
}
