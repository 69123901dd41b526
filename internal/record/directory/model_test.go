package directory_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

func TestMadeEntriesAreWellFormed(t *testing.T) {
	made := directorytest.Make(1, 2000)
	if diff := cmp.Diff(made[:50], directorytest.Make(1, 50)); diff != "" {
		t.Error("the same seed gives other entries:", diff)
	}
	entries := []directory.Entry{directorytest.Minimal(), directorytest.Full().Entry}
	for _, m := range made {
		entries = append(entries, m.Entry)
	}
	titles := map[string]bool{}
	for i, e := range entries {
		if ps := append(e.Problems(), e.Missing()...); len(ps) > 0 {
			t.Fatalf("entry %d: %v", i, ps)
		}
		titles[e.Title] = true
	}
	if len(titles) < 1500 {
		t.Errorf("only %d different titles", len(titles))
	}
}

// Full speaks of every field, so that whoever adds one sees it in the tests of exports.
func TestFullFillsEveryField(t *testing.T) {
	e := directorytest.Full().Entry
	v := reflect.ValueOf(e)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() && !slices.Contains([]string{"Collection", "Peer"}, name) {
			t.Errorf("%s is empty", name)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		path string // of the one problem that is wanted; empty: none
		text string // within it
		edit func(e *directory.Entry)
	}{
		{"", "", func(e *directory.Entry) {}},
		{"holding", "here, elsewhere, peer", func(e *directory.Entry) { e.Holding = "there" }},
		{"collection", "lower-case", func(e *directory.Entry) { e.Collection = "A B" }},
		{"title", "too many", func(e *directory.Entry) { e.Title = strings.Repeat("ä", 151) }},
		{"", "", func(e *directory.Entry) { e.Title = strings.Repeat("ä", 150) }},
		{"title", "one line", func(e *directory.Entry) { e.Title = "a\nb" }},
		{"title", "one line", func(e *directory.Entry) { e.Title = "evil\u202etxt" }},
		{"title", "one line", func(e *directory.Entry) { e.Title = "a\xffb" }},
		{"title", "space", func(e *directory.Entry) { e.Title = " CT" }},
		{"abstract", "too few", func(e *directory.Entry) { e.Abstract = "four" }},
		{"abstract", "at most 255", func(e *directory.Entry) { e.Abstract = strings.Repeat("a", 256) }},
		{"description", "printable", func(e *directory.Entry) { e.Description = "a\x00b" }},
		{"", "", func(e *directory.Entry) { e.Description = "one\n\ntwo\tthree" }},
		{"doi", "10.1234/abc", func(e *directory.Entry) { e.DOI = "https://doi.org/10.1234/abc" }},
		{"url", "address", func(e *directory.Entry) { e.URL = "javascript:alert(1)" }},
		{"url", "address", func(e *directory.Entry) { e.URL = "https://user:secret@example.org" }},
		{"url", "address", func(e *directory.Entry) { e.URL = `https://example.org/"onclick=` }},
		{"language", "ISO 639-1", func(e *directory.Entry) { e.Language = "eng" }},
		{"custodian.ror", "ROR", func(e *directory.Entry) { e.Custodian.ROR = "ror.org/x" }},
		{"custodian.country", "ISO 3166-1", func(e *directory.Entry) { e.Custodian.Country = "UK " }},
		{"custodian.kind", "nhs", func(e *directory.Entry) { e.Custodian.Kind = "hospital" }},
		{"contact.email", "e-mail", func(e *directory.Entry) { e.Contact.Email = "nobody" }},
		{"contact.email", "e-mail", func(e *directory.Entry) { e.Contact.Email = "A <a@example.org>" }},
		{"networks[0].name", "filled in", func(e *directory.Entry) { e.Networks = []directory.Network{{}} }},
		{"modalities[1]", "Computed Tomography is CT", func(e *directory.Entry) { e.Modalities = []string{"MR", "ct scan"} }},
		{"modalities[1]", "twice", func(e *directory.Entry) { e.Modalities = []string{"MR", "MR"} }},
		{"sexes[0]", "male, female", func(e *directory.Entry) { e.Sexes = []string{"zz"} }},
		{"conditions[0].code", "ICD-10 code", func(e *directory.Entry) { e.Conditions = code("ICD-10", "breast") }},
		{"conditions[0].code", "usual form is C50.4", func(e *directory.Entry) { e.Conditions = code("ICD-10", "c504") }},
		{"conditions[0].code", "system", func(e *directory.Entry) { e.Conditions = code("ICD-11", "2C61") }},
		{"conditions[0].code", "system", func(e *directory.Entry) { e.Conditions = code("group", "bowel-cancer") }},
		{"conditions[0].code", "checks the others", func(e *directory.Entry) { e.Conditions = code("SNOMED-CT", "254837008") }},
		{"", "", func(e *directory.Entry) { e.Conditions = code("ICD-10", "Z12.3") }},
		{"ageMax", "younger", func(e *directory.Entry) { e.AgeMin, e.AgeMax = num(60), num(20) }},
		{"ageMin", "0 to 120", func(e *directory.Entry) { e.AgeMin = num(-1) }},
		{"magnifications[0]", "between 1 and 200", func(e *directory.Entry) { e.Magnifications = []float64{0} }},
		{"sampleSets[0].donors", "DonorCount", func(e *directory.Entry) {
			e.SampleSets = []directory.SampleSet{{Sex: "male", AgeBand: "adult", Donors: "17"}}
		}},
		{"declared.people", "cannot be right", func(e *directory.Entry) { e.Declared = &directory.Declared{People: -1} }},
		{"declared", "counted", func(e *directory.Entry) { e.Holding, e.Declared = directory.Here, &directory.Declared{People: 10} }},
		{"start", "YYYY", func(e *directory.Entry) { e.Start = "1/2/2020" }},
		{"start", "YYYY", func(e *directory.Entry) { e.Start = "2020-13" }},
		{"end", "before the start", func(e *directory.Entry) { e.Start, e.End = "2020-05", "2019" }},
		{"", "", func(e *directory.Entry) { e.Start, e.End = "2020-05", "2020" }},
		{"timepoints[0].week", "within a life", func(e *directory.Entry) { e.Timepoints = []directory.Timepoint{{Name: "x", Week: num(9999)}} }},
		{"publications[0].doi", "filled in", func(e *directory.Entry) { e.Publications = []directory.Publication{{Title: "x"}} }},
		{"access.jurisdiction[0]", "GB", func(e *directory.Entry) { e.Access.Jurisdiction = []string{"Britain"} }},
		{"dataUse.alternatives[0].diseases", "needs the diseases", func(e *directory.Entry) { e.DataUse.Alternatives = []directory.Use{{Permission: "DS"}} }},
		{"dataUse.alternatives[0].diseases", "only disease specific", func(e *directory.Entry) { e.DataUse.Alternatives[0].Diseases = code("ICD-10", "C34") }},
		{"dataUse.alternatives[0].modifiers[0].values", "which countries",
			func(e *directory.Entry) { e.DataUse.Alternatives[0].Modifiers = []directory.Modifier{{Code: "GS"}} }},
		{"dataUse.alternatives[0].modifiers[0].values[0]", "months", func(e *directory.Entry) {
			e.DataUse.Alternatives[0].Modifiers = []directory.Modifier{{Code: "TS", Values: []string{"a year"}}}
		}},
		{"dataUse.alternatives[0].modifiers[0].values", "no values", func(e *directory.Entry) {
			e.DataUse.Alternatives[0].Modifiers = []directory.Modifier{{Code: "NCU", Values: []string{"x"}}}
		}},
		{"ethics[0].expires", "YYYY-MM-DD", func(e *directory.Entry) { e.Ethics = []directory.Ethics{{Expires: "2020"}} }},
		{"lead.orcid", "ORCID", func(e *directory.Entry) { e.Lead = directory.Person{Name: "Dr X", ORCID: "0000-0002-1825-0098"} }},
		{"funding[0].end", "before the start", func(e *directory.Entry) {
			e.Funding = []directory.Grant{{Funder: "A charity", Start: "2020-01-01", End: "2019-01-01"}}
		}},
		{"keywords", "at most 100", func(e *directory.Entry) {
			for i := range 101 {
				e.Keywords = append(e.Keywords, fmt.Sprint("word ", i))
			}
		}},
	} {
		e := directorytest.Minimal()
		c.edit(&e)
		ps := e.Problems()
		switch {
		case c.path == "" && len(ps) > 0:
			t.Errorf("%v", ps)
		case c.path != "" && (len(ps) != 1 || ps[0].Path != c.path || !strings.Contains(ps[0].Text, c.text)):
			t.Errorf("want %s (%s), got %v", c.path, c.text, ps)
		}
	}
}

func code(system, v string) []vocabulary.Code {
	return []vocabulary.Code{{System: vocabulary.System(system), Value: v}}
}

func num(n int) *int { return &n }

// An entry full of nonsense brings a bounded list of problems, not a flood.
func TestProblemsAreBounded(t *testing.T) {
	e := directorytest.Minimal()
	for range 100_000 {
		e.Conditions = append(e.Conditions, vocabulary.Code{System: "x"})
	}
	if n := len(e.Problems()); n != 300 {
		t.Errorf("%d problems", n)
	}
}

func TestMissing(t *testing.T) {
	var none directory.Entry
	paths := map[string]bool{}
	for _, p := range none.Missing() {
		paths[p.Path] = true
	}
	for _, want := range []string{"title", "abstract", "custodian.name", "contact", "status", "types", "domains", "modalities", "bodySites",
		"conditions", "sexes", "access.condition",
		"access.service", "access.jurisdiction", "access.controller", "access.legalBasis", "dataUse.alternatives"} {
		if !paths[want] {
			t.Errorf("%s is not needed", want)
		}
	}
	e := directorytest.Minimal()
	e.Holding = directory.Here
	if ps := e.Missing(); len(ps) != 1 || ps[0].Path != "collection" {
		t.Errorf("held here, of no collection: %v", ps)
	}
	e = directorytest.Minimal()
	e.Types, e.Conditions, e.BodySites, e.Sexes = []string{"quality-control"}, nil, nil, nil
	if ps := e.Missing(); len(ps) != 0 {
		t.Errorf("a phantom has no disease, site or sex: %v", ps)
	}
}

func TestCompleteness(t *testing.T) {
	var none directory.Entry
	if c := none.Completeness(); c.Score != 0 {
		t.Errorf("nothing said: %d", c.Score)
	}
	full := directorytest.Full().Entry
	full.Description = strings.Repeat("It is described at length. ", 10)
	full.Funding = full.Funding[:1]
	if c := full.Completeness(); c.Score != 100 || len(c.Gaps) > 0 {
		t.Errorf("everything said: %d, %+v", c.Score, c.Gaps)
	}
	minimal := directorytest.Minimal()
	c := minimal.Completeness()
	if c.Score < 50 || c.Score > 75 {
		t.Errorf("what is needed and no more: %d", c.Score)
	}
	for i, g := range c.Gaps {
		if g.Needed || g.Why == "" || g.What == "" || !strings.HasSuffix(g.Why, ".") {
			t.Errorf("%+v", g)
		}
		if i > 0 && g.Weight > c.Gaps[i-1].Weight {
			t.Errorf("%s comes after what weighs less", g.Path)
		}
	}
	// Whatever is filled in, the score does not fall.
	before := c.Score
	minimal.Keywords = []string{"lung"}
	if after := minimal.Completeness().Score; after <= before {
		t.Errorf("%d, then %d", before, after)
	}
}

func TestDecode(t *testing.T) {
	full := directorytest.Full().Entry
	doc, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	back, err := directory.Decode(bytes.NewReader(doc))
	if diff := cmp.Diff(full, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for doc, kind := range map[string]fault.Kind{
		`{"titel":"x"}`: fault.Invalid, `{"title":7}`: fault.Invalid, `{`: fault.Invalid, ``: fault.Invalid, `{} {}`: fault.Invalid, `[]`: fault.Invalid,
		`{"title":"` + strings.Repeat("a", directory.MaxDocument) + `"}`: fault.TooLarge,
	} {
		if _, err := directory.Decode(strings.NewReader(doc)); !fault.Is(err, kind) {
			t.Errorf("%.30s: %v", doc, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	doc, _ := json.Marshal(directorytest.Full().Entry)
	f.Add(doc)
	f.Add([]byte(`{"conditions":[{"system":"ICD-10","code":"C50"}],"ageMin":-1e9}`))
	f.Fuzz(func(_ *testing.T, doc []byte) {
		if e, err := directory.Decode(bytes.NewReader(doc)); err == nil {
			e.Problems()
			e.Completeness()
		}
	})
}
