package directory_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

var site = directory.Site{Base: "https://imaging.example.org", Name: "Imaging of Aldermoor", About: "What images of people with cancer there are.",
	Publisher: directory.Organisation{Name: "University of Aldermoor", ROR: "https://ror.org/012345678", URL: "https://example.org"}}

func listed(m directorytest.Made) directory.Listed {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return directory.Listed{Stored: directory.Stored{ID: m.ID, Entry: m.Entry, Revision: 3, At: at, Issued: at.AddDate(-1, 0, 0),
		State: directory.Published}, Counts: m.Counts}
}

// exported are the entries that every export is tried with: made up ones, the least and the most that an entry can say, and one full of what hurts.
func exported() []directory.Listed {
	nasty := directorytest.Full()
	nasty.ID = "nasty"
	nasty.Entry.Title = `</script><script>alert("x")</script> & 'quotes' \ "`
	nasty.Entry.Description = "=cmd|' /C calc'!A0\n\tтест 测试 \U0001F600"
	nasty.Entry.Spatial = []string{"Here, there", "Elsewhere"}
	longest := directorytest.Full()
	longest.ID = directory.ID(strings.Repeat("l", 63))
	for field, n := range map[*string]int{&longest.Entry.Title: 150, &longest.Entry.Abstract: 255, &longest.Entry.Description: 10_000, &longest.Entry.Custodian.Name: 150,
		&longest.Entry.Keywords[0]: 80, &longest.Entry.Aliases[0]: 150, &longest.Entry.Credit: 1000, &longest.Entry.Access.Rights: 5000, &longest.Entry.Access.Controller: 500,
		&longest.Entry.Lead.Name: 150, &longest.Entry.Funding[0].Title: 150, &longest.Entry.Funding[0].Scope: 500, &longest.Entry.Funding[0].Number: 100,
		&longest.Entry.Linkable[0].PID: 150, &longest.Entry.Networks[0].Name: 150, &longest.Entry.Acronym: 1, &longest.Entry.Access.How: 1} {
		*field = strings.Repeat("ü", n)
	}
	longest.Entry.Custodian.ROR, longest.Entry.Custodian.ODS = "", ""
	longest.Entry.Funding[0].Reference = "https://example.org/" + strings.Repeat("r", 900)
	minimal := directorytest.Made{ID: "minimal", Entry: directorytest.Minimal()}
	never := listed(minimal)
	never.Issued = time.Time{}
	all := []directory.Listed{listed(minimal), never, listed(directorytest.Full()), listed(nasty), listed(longest)}
	for _, l := range all {
		if ps := l.Entry.Problems(); len(ps) > 0 {
			panic(ps[0].String())
		}
	}
	for _, m := range directorytest.Make(11, 400) {
		all = append(all, listed(m))
	}
	return all
}

func TestExportsValidateAgainstTheSchemas(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "schemas", "hdruk")
	for name, export := range map[string]func(directory.Site, directory.Listed) ([]byte, error){"HDRUK-4.0.0": directory.HDRUK, "CRUK-1.0.0": directory.CRUK} {
		t.Run(name, func(t *testing.T) {
			schema := compile(t, filepath.Join(dir, name+".schema.json"))
			// The schema is able to refuse: it takes its own example, and not the example without a title.
			example := decode(t, read(t, filepath.Join(dir, name+".example.json")))
			if err := schema.Validate(example); err != nil {
				t.Fatal("its own example:", err)
			}
			delete(example.(map[string]any)["summary"].(map[string]any), "title")
			if schema.Validate(example) == nil {
				t.Fatal("the schema takes everything")
			}
			for _, s := range []directory.Site{site, {}} {
				for _, l := range exported() {
					doc, err := export(s, l)
					if err != nil {
						t.Fatal(err)
					}
					if err := schema.Validate(decode(t, doc)); err != nil {
						t.Fatalf("%s: %v\n%s", l.ID, err, doc)
					}
				}
			}
		})
	}
}

func compile(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", decode(t, read(t, file))); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(t *testing.T, doc []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Each number of an export is one of those that were given as published: what a custodian declared, and what was withheld, is nowhere.
func TestExportsSayPublishedNumbersOnly(t *testing.T) {
	full := directorytest.Full()
	full.Entry.Declared = &directory.Declared{People: 3141592, Studies: 2718281, Images: 1618033, AsOf: "2026-01-01"}
	l := listed(full)
	l.Counts = directory.Counts{AsOf: "2026-02-03", People: directory.Number{Value: 4130, Known: true}, Studies: directory.Number{Withheld: true, Below: 10},
		Sexes: []directory.Count{{Term: "female", Number: directory.Number{Withheld: true, Below: 10}}, {Term: "male",
			Number: directory.Number{Value: 4120, Known: true}}},
		Ages: []directory.Count{{Term: "40-44", Number: directory.Number{Value: 4110, Known: true}}, {Term: "45-49",
			Number: directory.Number{Withheld: true, Below: 10}}},
		Conditions: []directory.ConditionCount{{Condition: vocabulary.Code{System: "ICD-10", Value: "C34"}, Number: directory.Number{Withheld: true, Below: 10}}},
	}
	for name, export := range exports() {
		doc, err := export(site, l)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"3141592", "2718281", "1618033"} {
			if bytes.Contains(doc, []byte(n)) {
				t.Errorf("%s says %s", name, n)
			}
		}
		if name != "DCAT" && !bytes.Contains(doc, []byte("4130")) {
			t.Errorf("%s does not say how many people", name)
		}
	}
	var hdr struct {
		Summary              struct{ PopulationSize int64 }
		Observations         []struct{ MeasuredValue int64 }
		DemographicFrequency struct{ Age, Disease []struct{ Count int64 } }
	}
	doc, _ := directory.HDRUK(site, l)
	if err := json.Unmarshal(doc, &hdr); err != nil {
		t.Fatal(err)
	}
	if len(hdr.Observations) != 2 || len(hdr.DemographicFrequency.Age) != 1 || len(hdr.DemographicFrequency.Disease) != 0 {
		t.Errorf("withheld numbers take a place: %+v", hdr)
	}
	l.Counts.People = directory.Number{Withheld: true, Below: 10}
	doc, _ = directory.HDRUK(site, l)
	if err := json.Unmarshal(doc, &hdr); err != nil || hdr.Summary.PopulationSize != -1 {
		t.Errorf("a withheld number is told as %d, %v", hdr.Summary.PopulationSize, err)
	}
	if e := l.Entry.Public(); e.Declared != nil || l.Entry.Declared == nil {
		t.Error("the public entry bears declared numbers, or has taken them from the other")
	}
}

func exports() map[string]func(directory.Site, directory.Listed) ([]byte, error) {
	return map[string]func(directory.Site, directory.Listed) ([]byte, error){"HDR UK": directory.HDRUK, "CRUK": directory.CRUK,
		"DCAT": directory.DCAT, "schema.org": directory.SchemaOrg,
		"MIABIS": directory.MIABIS}
}

// No text of an entry ends the script of a page that an export is written into, and the same entry gives the same bytes.
func TestExportsAreSafeAndSteady(t *testing.T) {
	for _, l := range exported()[:5] {
		for name, export := range exports() {
			doc, err := export(site, l)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.ContainsAny(doc, "<>") || !json.Valid(doc) {
				t.Errorf("%s of %s can end a script, or is no JSON", name, l.ID)
			}
			if again, _ := export(site, l); !bytes.Equal(doc, again) {
				t.Errorf("%s of %s differs from itself", name, l.ID)
			}
		}
	}
}

func TestCRUKGrants(t *testing.T) {
	doc, err := directory.CRUK(site, listed(directorytest.Full()))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ProjectGrants []struct{ GrantNumber, ProjectGrantName, LeadResearcher string }
		Summary       struct{ LeadResearcher string }
	}
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	// The second grant of the entry names a funder only.
	if len(got.ProjectGrants) != 1 || got.ProjectGrants[0].GrantNumber != "X00001" || got.Summary.LeadResearcher != "Dr Ashdown" {
		t.Errorf("%+v", got)
	}
}

// What DCAT-AP 3 makes mandatory: of a catalogue title, description and publisher; of a data set title and description; of a distribution the access URL;
// of an agent its name; of what has a range in an authority table of the EU a term of that table.
func TestDCATMandatoryProperties(t *testing.T) {
	all := exported()
	var b bytes.Buffer
	if err := directory.WriteDCAT(&b, site, entries(all, nil)); err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b.Bytes(), &c); err != nil {
		t.Fatal(err)
	}
	literal := func(o map[string]any, key string) {
		t.Helper()
		if v, ok := o[key].(map[string]any); !ok || v["@value"] == "" || v["@value"] == nil || v["@language"] != "en" {
			t.Errorf("%v has no %s", o["@id"], key)
		}
	}
	agent := func(o map[string]any) {
		t.Helper()
		if a, ok := o["dct:publisher"].(map[string]any); !ok || a["@type"] != "foaf:Agent" || a["foaf:name"] == "" {
			t.Errorf("%v has no publisher with a name", o["@id"])
		}
	}
	if c["@type"] != "dcat:Catalog" {
		t.Errorf("%v", c["@type"])
	}
	literal(c, "dct:title")
	literal(c, "dct:description")
	agent(c)
	sets := c["dcat:dataset"].([]any)
	if len(sets) != len(all) {
		t.Fatalf("%d of %d", len(sets), len(all))
	}
	context := c["@context"].(map[string]any)
	for _, s := range sets {
		d := s.(map[string]any)
		if d["@type"] != "dcat:Dataset" || !strings.HasPrefix(d["@id"].(string), "https://imaging.example.org/directory/") {
			t.Errorf("%v is a %v", d["@id"], d["@type"])
		}
		literal(d, "dct:title")
		literal(d, "dct:description")
		agent(d)
		for _, dist := range d["dcat:distribution"].([]any) {
			if u, ok := dist.(map[string]any)["dcat:accessURL"].(map[string]any); !ok || u["@id"] == "" {
				t.Errorf("%v has a distribution without an address", d["@id"])
			}
		}
		for key, table := range map[string]string{"dct:accessRights": "access-right/", "dct:accrualPeriodicity": "frequency/", "dct:language": "language/"} {
			if v, ok := d[key].(map[string]any); ok && !strings.HasPrefix(v["@id"].(string), "http://publications.europa.eu/resource/authority/"+table) {
				t.Errorf("%v: %s is %v", d["@id"], key, v)
			}
		}
		if p, ok := d["dcat:contactPoint"].(map[string]any); !ok || p["@type"] != "vcard:Kind" || p["vcard:fn"] == "" {
			t.Errorf("%v has nobody to ask", d["@id"])
		}
		prefixes(t, context, d)
	}
	// An error on the way is the writer's answer.
	broken := errors.New("broken")
	if err := directory.WriteDCAT(&b, site, entries(all[:2], broken)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if err := directory.WriteDCAT(&full{}, site, entries(all, nil)); err == nil {
		t.Error("a full disk went unseen")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

func entries(all []directory.Listed, end error) iter.Seq2[directory.Listed, error] {
	return func(yield func(directory.Listed, error) bool) {
		for _, l := range all {
			if !yield(l, nil) {
				return
			}
		}
		if end != nil {
			yield(directory.Listed{}, end)
		}
	}
}

// prefixes checks that each prefix that is used is one of the context.
func prefixes(t *testing.T, context map[string]any, v any) {
	t.Helper()
	switch x := v.(type) {
	case map[string]any:
		for k, inner := range x {
			if p, _, ok := strings.Cut(k, ":"); ok && context[p] == nil || !ok && !strings.HasPrefix(k, "@") {
				t.Errorf("%s has no meaning in the context", k)
			}
			prefixes(t, context, inner)
		}
	case []any:
		for _, inner := range x {
			prefixes(t, context, inner)
		}
	}
}

// The attributes of MIABIS Core 3 that are mandatory of a collection, and values of its lists alone.
func TestMIABIS(t *testing.T) {
	allowed := map[string][]string{
		"sex": {"Male", "Female", "Unknown", "Undifferentiated", "Not applicable"},
		"datasetType": {"Lifestyle dataset", "Environmental dataset", "Physiological dataset", "Biochemical dataset", "Clinical dataset",
			"Psychological dataset", "Genomic dataset", "Proteomic dataset", "Metabolomic dataset", "Body (Radiological) image", "Whole slide image",
			"Photo image", "Genealogical records", "Other"},
		"sampleType": {"Blood", "Buffy coat", "Cancer cell lines", "Digital sample", "DNA", "Entire body organ", "Faeces",
			"Embryo or fetal tissue", "Immortalized cell lines", "Isolated microbes", "Other body fluid", "Plasma", "Primary cells",
			"Post-mortem tissue", "RNA", "Saliva", "Serum", "Specimen from environment or food", "Swab", "Tissue (Frozen)", "Tissue (FFPE)", "Urine", "Other"},
		"storageTemperature": {"RT (Room temperature)", "2 °C to 10°C", "-18 °C to -35 °C", "-60 °C to -85 °C", "<-135 °C",
			"Liquid nitrogen vapor-phase", "Liquid nitrogen liquid-phase", "Other"},
		"sampleCollectionSetting": {"Routine health care setting", "Clinical trial", "Research study", "Public health/population based study",
			"Museum and/or archeological collection", "Environment", "Unknown", "Other"},
		"collectionDesign": {"Case-control", "Cross-sectional", "Longitudinal cohort", "Twin-study", "Quality control study",
			"Population-based cohort", "Disease-specific cohort", "Birth cohort", "Microbial collection", "Reference collection",
			"Rare disease collection", "Other"},
		"useAndAccessConditions": {"Commercial use", "Collaboration", "Specific research use", "Genetic data use", "Outside EU access", "Xenograft",
			"Other animal work", "Other"},
		"inclusionCriteria": {"Health status", "Hospital patient", "Use of medication", "Gravidity", "Age group", "Familial status", "Sex",
			"Country of residence", "Ethnic origin", "Population representative sampling", "Lifestyle/Exposure", "Other"},
	}
	for _, l := range exported() {
		doc, err := directory.MIABIS(site, l)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Collection map[string]any
			Biobank    map[string]any
		}
		if err := json.Unmarshal(doc, &got); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"id", "name", "contactInformation", "description", "sex", "datasetType", "sampleType"} {
			if v := got.Collection[key]; v == nil || v == "" {
				t.Errorf("%s has no %s", l.ID, key)
			}
		}
		for key, values := range allowed {
			list, _ := got.Collection[key].([]any)
			seen := map[any]bool{}
			for _, v := range list {
				if !slices.Contains(values, v.(string)) || seen[v] && key != "sampleCollectionSetting" {
					t.Errorf("%s: %s is %v", l.ID, key, v)
				}
				seen[v] = true
			}
		}
		if s := fmt.Sprint(got.Collection["collectionStatus"]); !slices.Contains([]string{"Active", "Ended", "Other"}, s) {
			t.Errorf("%s: %s", l.ID, s)
		}
	}
}

func TestSchemaOrg(t *testing.T) {
	for _, l := range exported() {
		doc, err := directory.SchemaOrg(site, l)
		if err != nil {
			t.Fatal(err)
		}
		var d map[string]any
		if err := json.Unmarshal(doc, &d); err != nil {
			t.Fatal(err)
		}
		if n := len([]rune(d["description"].(string))); d["@type"] != "Dataset" || d["name"] != l.Entry.Title || n > 5000 || d["url"] != "https://imaging.example.org/directory/"+string(l.ID) {
			t.Errorf("%s: %v, %d characters", l.ID, d["@type"], n)
		}
	}
	var d struct{ Keywords []string }
	doc, _ := directory.SchemaOrg(site, listed(directorytest.Made{ID: "x", Entry: directorytest.Minimal()}))
	if err := json.Unmarshal(doc, &d); err != nil || !slices.Contains(d.Keywords, "lung cancer") || !slices.Contains(d.Keywords, "CT scan") {
		t.Errorf("no plain words for search engines: %q, %v", d.Keywords, err)
	}
}

func BenchmarkWriteDCAT(b *testing.B) {
	made := directorytest.Make(1, 1000)
	all := make([]directory.Listed, len(made))
	for i, m := range made {
		all[i] = listed(m)
	}
	for b.Loop() {
		var buf bytes.Buffer
		if err := directory.WriteDCAT(&buf, site, entries(all, nil)); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(buf.Len()/len(all)), "bytes/entry")
	}
}
