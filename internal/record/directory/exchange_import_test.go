package directory_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// noted reports whether a note speaks of the place.
func noted(d directory.Imported, path string) bool {
	for _, n := range d.Notes {
		if strings.HasPrefix(n.Path, path) {
			return true
		}
	}
	return false
}

// What is exported and read again says the same, as far as the schema has room for it.
func TestHDRUKRoundTrip(t *testing.T) {
	full := listed(directorytest.Full())
	full.Counts.People = directory.Number{Value: 4130, Known: true}
	doc, err := directory.CRUK(site, full)
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.ReadHDRUK(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	e, want := d.Entry, full.Entry
	type said struct {
		Title, Acronym, Abstract, Description, DOI, Custodian, ROR, Email, Start, End, Frequency, FollowUp, Service, Cost, Rights, LeadTime,
		Controller, Processor, Credit, Lead, Contrast string
		Keywords, Purposes, Settings, Standards, Formats, Jurisdiction []string
		AgeMin, AgeMax                                                 int
		Publications                                                   []directory.Publication
		Linkable                                                       []directory.Link
		Grant                                                          string
	}
	of := func(e directory.Entry) said {
		s := said{e.Title, e.Acronym, e.Abstract, e.Description, e.DOI, e.Custodian.Name, e.Custodian.ROR, e.Contact.Email, e.Start, e.End,
			e.Frequency, e.FollowUp, e.Access.Service, e.Access.Cost,
			e.Access.Rights, e.Access.LeadTime, e.Access.Controller, e.Access.Processor, e.Credit, e.Lead.Name, e.Contrast, e.Keywords, e.Purposes,
			e.Settings, e.Standards, e.Formats,
			e.Access.Jurisdiction, *e.AgeMin, *e.AgeMax, nil, e.Linkable, e.Funding[0].Number}
		for _, p := range e.Publications {
			s.Publications = append(s.Publications, directory.Publication{DOI: p.DOI, Uses: p.Uses})
		}
		return s
	}
	a, b := of(want), of(e)
	a.Start += "-01" // the schema has days only
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	if e.Holding != directory.Elsewhere || e.Origin != "https://imaging.example.org/directory/"+string(full.ID) || e.Declared == nil || e.Declared.People != 4130 {
		t.Errorf("%s %s %+v", e.Holding, e.Origin, e.Declared)
	}
	if len(e.Modalities) < 3 || len(e.Conditions) == 0 {
		t.Errorf("%v %v", e.Modalities, e.Conditions)
	}
	for _, path := range []string{"accessibility.usage", "observations", "demographicFrequency.age"} {
		if !noted(d, path) {
			t.Errorf("nothing is said of %s: %v", path, d.Notes)
		}
	}
	if len(e.DataUse.Alternatives) > 0 {
		t.Errorf("a use was made of restrictions that were not understood: %+v", e.DataUse)
	}
}

func TestTheSchemasOwnExamples(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "schemas", "hdruk")
	for name, check := range map[string]func(t *testing.T, d directory.Imported){
		"HDRUK-4.0.0": func(t *testing.T, d directory.Imported) {
			if !strings.HasPrefix(d.Entry.Title, "North West London") || d.Entry.Declared.People != 1000 || len(d.Entry.Conditions) != 1 || len(d.Entry.Publications) != 2 {
				t.Errorf("%+v", d.Entry)
			}
		},
		"CRUK-1.0.0": func(t *testing.T, d directory.Imported) {
			if len(d.Entry.Funding) != 1 || d.Entry.Funding[0].Number != "ABC123" || fmt.Sprint(d.Entry.Modalities) != "[MG]" || len(d.Entry.Conditions) == 0 {
				t.Errorf("%+v", d.Entry)
			}
			if u := d.Entry.DataUse.Alternatives; len(u) != 1 || u[0].Permission != "GRU" || u[0].Modifiers[0].Code != "RTN" {
				t.Errorf("%+v", u)
			}
		},
		"HDRUK-3.0.0": func(t *testing.T, d directory.Imported) {
			if d.Entry.Title == "" || len(d.Notes) == 0 {
				t.Errorf("%+v", d)
			}
		},
	} {
		d, err := directory.ReadHDRUK(bytes.NewReader(read(t, filepath.Join(dir, name+".example.json"))))
		if err != nil {
			t.Fatal(name, err)
		}
		if ps := d.Entry.Problems(); len(ps) > 0 {
			t.Errorf("%s: %v", name, ps)
		}
		check(t, d)
	}
}

func TestHDRUKIsUnderstoodCarefully(t *testing.T) {
	d, err := directory.ReadHDRUK(strings.NewReader(`{"identifier":"x","summary":{"title":" A  title\u202e\n","abstract":"` + strings.Repeat("word ", 99) + `",
		"keywords":"breast cancer,something","dataCustodian":{"name":"A place","contactPoint":["nonsense"]},"populationSize":-1,"doiName":"https://doi.org/10.1234/x"},
		"accessibility":{"access":{"jurisdiction":["GB","Britain"]},"usage":{"dataUseLimitation":["General research use","Geographical restrictions"]}},
		"provenance":{"origin":{"datasetType":[{"name":"Imaging types","subTypes":["CT","CT","Others"]},{"name":"Politics","subTypes":["Voting"]}]},"temporal":{"startDate":"soon","endDate":"CONTINUOUS"}},
		"somethingNew":{"deep":{"value":7}}}`))
	if err != nil {
		t.Fatal(err)
	}
	e := d.Entry
	if e.Title != "A title" || e.DOI != "10.1234/x" || e.Status != "in-progress" || e.Start != "" || e.Declared != nil || fmt.Sprint(e.Modalities) != "[CT]" || fmt.Sprint(e.Domains) != "[radiology]" {
		t.Errorf("%+v", e)
	}
	if len([]rune(e.Abstract)) > 255 || !strings.HasPrefix(e.Description,
		"word word") || e.Contact.Email != "" || fmt.Sprint(e.Access.Jurisdiction) != "[GB]" || fmt.Sprint(e.Conditions) != "[ICD-10 C50]" {
		t.Errorf("%+v", e)
	}
	if len(e.DataUse.Alternatives) != 0 {
		t.Error("a geographical limit was lost")
	}
	for _, path := range []string{"entry.abstract", "entry.contact.email", "entry.access.jurisdiction[1]", "entry.start", "somethingNew.deep.value",
		"accessibility.usage", "summary.keywords",
		"provenance.origin.datasetType"} {
		if !noted(d, path) {
			t.Errorf("nothing is said of %s: %v", path, d.Notes)
		}
	}
	if d.ID != "a-title" {
		t.Errorf("%q", d.ID)
	}
}

func TestDCATRoundTrip(t *testing.T) {
	all := exported()
	var b bytes.Buffer
	if err := directory.WriteDCAT(&b, site, entries(all, nil)); err != nil {
		t.Fatal(err)
	}
	drafts, err := directory.ReadDCAT(&b)
	if err != nil || len(drafts) != len(all) {
		t.Fatal(len(drafts), err)
	}
	by := map[string]directory.Entry{}
	for _, d := range drafts {
		if ps := d.Entry.Problems(); len(ps) > 0 {
			t.Errorf("%v", ps)
		}
		by[d.Entry.Origin] = d.Entry
	}
	for _, l := range all[5:] {
		got, want := by["https://imaging.example.org/directory/"+string(l.ID)], l.Entry
		type said struct {
			Title, Custodian, Email, URL, DOI, Start, End, Frequency string
			Sites, Modalities, Domains, Spatial                      []string
			Conditions                                               []vocabulary.Code
		}
		of := func(e directory.Entry) said {
			return said{e.Title, e.Custodian.Name, e.Contact.Email, e.URL, e.DOI, e.Start, e.End, e.Frequency, e.BodySites, e.Modalities, nil,
				e.Spatial, e.Conditions}
		}
		if diff := cmp.Diff(of(want), of(got)); diff != "" {
			t.Fatalf("%s: %s", l.ID, diff)
		}
	}
}

// Others write JSON-LD in other ways: a graph, whole addresses, nodes that are only named, a context elsewhere.
func TestDCATOfOthers(t *testing.T) {
	for name, doc := range map[string]string{
		"graph": `{"@context":{"dcat":"http://www.w3.org/ns/dcat#","dct":"http://purl.org/dc/terms/","foaf":"http://xmlns.com/foaf/0.1/"},"@graph":[
			{"@id":"http://x/org","@type":"foaf:Agent","foaf:name":"A place"},
			{"@id":"http://x/1","@type":["dcat:Dataset","http://x/Other"],"dct:title":[{"@value":"Bilder","@language":"de"},{"@value":"Pictures","@language":"en"}],"dct:description":"Some pictures.",
			"dct:publisher":{"@id":"http://x/org"},"dcat:keyword":["MRI","knee"]}]}`,
		"whole": `[{"@id":"http://x/1","@type":["http://www.w3.org/ns/dcat#Dataset"],"http://purl.org/dc/terms/title":[{"@value":"Pictures"}],
			"http://purl.org/dc/terms/description":[{"@value":"Some pictures."}],"http://purl.org/dc/terms/publisher":[{"http://xmlns.com/foaf/0.1/name":[{"@value":"A place"}]}],
			"http://www.w3.org/ns/dcat#keyword":[{"@value":"MRI"},{"@value":"knee"}]}]`,
		"elsewhere": `{"@context":"https://example.org/never-fetched.jsonld","@id":"http://x/1","@type":"Dataset","title":"Pictures","description":"Some pictures.","publisher":{"foaf:name":"A place"},
			"keyword":["MRI","knee"]}`,
	} {
		drafts, err := directory.ReadDCAT(strings.NewReader(doc))
		if err != nil || len(drafts) != 1 {
			t.Errorf("%s: %d, %v", name, len(drafts), err)
			continue
		}
		e := drafts[0].Entry
		if e.Title != "Pictures" || e.Abstract != "Some pictures." || e.Custodian.Name != "A place" || fmt.Sprint(e.Modalities) != "[MR]" || fmt.Sprint(e.Keywords) != "[knee]" || e.Origin != "http://x/1" {
			t.Errorf("%s: %+v", name, e)
		}
		if noted(drafts[0], "@context") != (name == "elsewhere") {
			t.Errorf("%s: %v", name, drafts[0].Notes)
		}
	}
}

func TestCSVRoundTrip(t *testing.T) {
	all := exported()
	for i := range all { // a table has room for one grant, use and approval, and no semicolons in lists
		e := &all[i].Entry
		all[i].Counts.People, all[i].Counts.Studies, all[i].Counts.AsOf = directory.Number{}, directory.Number{}, ""
		e.Declared, e.Funding, e.DataUse.Alternatives = nil, e.Funding[:min(1, len(e.Funding))], e.DataUse.Alternatives[:1]
	}
	var b bytes.Buffer
	if err := directory.WriteCSV(&b, entries(all, nil)); err != nil {
		t.Fatal(err)
	}
	table := b.String()
	drafts, err := directory.ReadCSV(strings.NewReader(table))
	if err != nil || len(drafts) != len(all) {
		t.Fatal(len(drafts), err)
	}
	for i, d := range drafts {
		if len(d.Notes) > 0 {
			t.Fatalf("%s: %v", all[i].ID, d.Notes)
		}
	}
	// Written again it is the same table: nothing that it has room for was lost.
	for i := range drafts {
		all[i].Entry = drafts[i].Entry
	}
	b.Reset()
	if err := directory.WriteCSV(&b, entries(all, nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(table, "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Error(diff)
	}
	if e := drafts[2].Entry; e.Title != all[2].Entry.Title || len(e.Conditions) != 6 || len(e.DataUse.Alternatives[0].Modifiers) != len(vocabulary.DataUseModifier.Terms) {
		t.Errorf("%+v", e)
	}
	// Nothing that a spreadsheet would run.
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("%.40q is a formula", cell)
			}
		}
	}
}

// The template, as it is handed out, is an entry that may be published.
func TestTemplate(t *testing.T) {
	var b bytes.Buffer
	if err := directory.WriteTemplate(&b); err != nil {
		t.Fatal(err)
	}
	drafts, err := directory.ReadCSV(&b)
	if err != nil || len(drafts) != 1 {
		t.Fatal(len(drafts), err)
	}
	d := drafts[0]
	if ps := append(d.Entry.Missing(), d.Entry.Problems()...); len(ps) > 0 || len(d.Notes) > 0 {
		t.Errorf("%v, %v", ps, d.Notes)
	}
	if d.Entry.Declared.People != 1200 || d.ID != "alder-lung" || d.Entry.Completeness().Score < 75 {
		t.Errorf("%+v, %d", d, d.Entry.Completeness().Score)
	}
	for _, c := range directory.Columns() {
		if c[0] == "" || c[1] == "" {
			t.Errorf("%q is not explained", c[0])
		}
	}
}

func TestCSVInWords(t *testing.T) {
	drafts, err := directory.ReadCSV(strings.NewReader("\ufeffTitle;Modalities;Conditions;Sexes;People;Teapot;Data use;Data use conditions;Body-sites\r\n" +
		"Mammograms;\"mammogram; PET scan; x-ray vision\";\"breast cancer; C504; cancer; 8500/3\";women;\"1,200\";x;Health or medical or biomedical research;NCU;womb\r\n" +
		";;;;;;;;\r\n" +
		"Other;CT;;;many;;GRU;\"NCU; MADE_UP\";\r\n"))
	if err != nil || len(drafts) != 2 {
		t.Fatal(len(drafts), err)
	}
	e := drafts[0].Entry
	if fmt.Sprint(e.Modalities, e.Conditions, e.Sexes, e.BodySites, e.Domains,
		e.Declared.People) != "[MG PT] [ICD-10 C50 ICD-10 C50.4 ICD-O-3-M 8500/3] [female] [35039007] [radiology] 1200" {
		t.Errorf("%+v", e)
	}
	if u := e.DataUse.Alternatives; len(u) != 1 || u[0].Permission != "HMB" || u[0].Modifiers[0].Code != "NCU" {
		t.Errorf("%+v", u)
	}
	for _, path := range []string{"row 1", "row 2, modalities", "row 2, conditions"} {
		if !noted(drafts[0], path) {
			t.Errorf("nothing is said of %s: %v", path, drafts[0].Notes)
		}
	}
	// A condition that is not known leaves no use behind that would allow more.
	if e := drafts[1].Entry; len(e.DataUse.Alternatives) > 0 || !noted(drafts[1], "row 4, data_use_conditions") || !noted(drafts[1], "row 4, people") {
		t.Errorf("%+v, %v", e.DataUse, drafts[1].Notes)
	}
}

func TestImportsRefuse(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 50) + "1" + strings.Repeat("}", 50)
	huge := strings.Repeat(" ", directory.MaxImport+1)
	readers := map[string]func(string) error{
		"HDR UK": func(s string) error { _, err := directory.ReadHDRUK(strings.NewReader(s)); return err },
		"DCAT":   func(s string) error { _, err := directory.ReadDCAT(strings.NewReader(s)); return err },
		"CSV":    func(s string) error { _, err := directory.ReadCSV(strings.NewReader(s)); return err },
	}
	for _, c := range []struct {
		reader, doc string
		kind        fault.Kind
	}{
		{"HDR UK", "", fault.Invalid}, {"HDR UK", "[]", fault.Invalid}, {"HDR UK", "{}", fault.Invalid}, {"HDR UK", `{"summary":7}`, fault.Invalid},
		{"HDR UK", deep, fault.TooLarge},
		{"HDR UK", huge, fault.TooLarge}, {"DCAT", "{}", fault.Invalid}, {"DCAT", `{"@context":{"@vocab":7}}`, fault.Invalid}, {"DCAT", deep,
			fault.TooLarge}, {"DCAT", huge, fault.TooLarge},
		{"DCAT", `{"@graph":[` + strings.Repeat(`{"@context":{"a":"http://x/"}},`, 101) + `{}]}`, fault.TooLarge},
		{"DCAT", `{"@context":[` + strings.Repeat(`{},`, 101) + `{}]}`, fault.TooLarge},
		{"DCAT", `{"@context":{"a":{"@id":"b"},"b":{"@id":"a"}},"a":1}`, fault.Invalid}, {"CSV", "", fault.Invalid}, {"CSV", "a,b\n1,2\n",
			fault.Invalid}, {"CSV", "title\n\"x", fault.Invalid},
		{"CSV", huge, fault.TooLarge}, {"CSV", "title\n" + strings.Repeat("x\n", directory.MaxDrafts+1), fault.TooLarge},
	} {
		if err := readers[c.reader](c.doc); !fault.Is(err, c.kind) {
			t.Errorf("%s %.40q: %v", c.reader, c.doc, err)
		}
	}
}

// kept checks what every import promises: its entries may be stored as they are, and its notes are bounded.
func kept(t *testing.T, drafts ...directory.Imported) {
	for _, d := range drafts {
		if ps := d.Entry.Problems(); len(ps) > 0 {
			t.Fatalf("not fit to be stored: %v", ps)
		}
		if len(d.Notes) > 200 {
			t.Fatalf("%d notes", len(d.Notes))
		}
		if _, err := directory.ParseID(string(d.ID)); err != nil {
			t.Fatalf("%q is no id", d.ID)
		}
	}
}

func FuzzReadHDRUK(f *testing.F) {
	doc, _ := directory.CRUK(site, listed(directorytest.Full()))
	f.Add(doc)
	f.Add([]byte(`{"summary":{"title":["x"],"keywords":[null,7,{}]},"coverage":{"typicalAgeRangeMin":1e300}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if d, err := directory.ReadHDRUK(bytes.NewReader(doc)); err == nil {
			kept(t, d)
		}
	})
}

func FuzzReadDCAT(f *testing.F) {
	doc, _ := directory.DCAT(site, listed(directorytest.Full()))
	f.Add(doc)
	f.Add([]byte(`{"@context":{"a":"http://www.w3.org/ns/dcat#"},"@graph":[{"@type":"a:Dataset","@id":"_:x","@reverse":{}}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if drafts, err := directory.ReadDCAT(bytes.NewReader(doc)); err == nil {
			kept(t, drafts...)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	var b bytes.Buffer
	_ = directory.WriteTemplate(&b)
	f.Add(b.Bytes())
	f.Add([]byte("title;doi\n'=x;\"y\n\""))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if drafts, err := directory.ReadCSV(bytes.NewReader(doc)); err == nil {
			kept(t, drafts...)
		}
	})
}

// The guide explains the table as it is.
func TestTheGuideNamesEachColumn(t *testing.T) {
	guide := string(read(t, filepath.Join(testdata.Root(t), "docs", "guides", "directory.md")))
	for _, c := range directory.Columns() {
		if !strings.Contains(guide, "| `"+c[0]+"` | "+c[1]+" |\n") {
			t.Errorf("%s is missing, or explained otherwise", c[0])
		}
	}
}

// Our own form is read as it is meant, or refused.
func TestOurOwnJSON(t *testing.T) {
	full := directorytest.Full()
	one, err := json.Marshal(full.Entry)
	if err != nil {
		t.Fatal(err)
	}
	named := `{"id": "given", "entry": ` + string(one) + `}`
	for _, c := range []struct {
		text string
		ids  []directory.ID
	}{
		{string(one), []directory.ID{directory.ID(strings.ToLower(full.Entry.Acronym))}},
		{named, []directory.ID{"given"}},
		{"[" + named + "," + string(one) + "]", []directory.ID{"given", directory.ID(strings.ToLower(full.Entry.Acronym))}},
		{" [ ] ", nil},
	} {
		got, err := directory.ReadJSON(strings.NewReader(c.text))
		if err != nil || len(got) != len(c.ids) {
			t.Fatalf("%.40s: %d, %v", c.text, len(got), err)
		}
		for i, d := range got {
			if d.ID != c.ids[i] || !reflect.DeepEqual(d.Entry, full.Entry) {
				t.Errorf("%.40s: %s %+v", c.text, d.ID, d.Entry)
			}
		}
	}
	for _, text := range []string{"", "7", `"x"`, "[7]", "[[]]", `{"holding": "here", "patient": "x"}`, `{"entry": {}, "by": "me"}`, `{"id": 7, "entry": {}}`, "[" + strings.Repeat("{},", directory.MaxDrafts) + "{}]",
		string(one) + string(one), strings.Repeat("[", 100_000)} {
		if got, err := directory.ReadJSON(strings.NewReader(text)); err == nil {
			t.Errorf("%.40s is read: %+v", text, got)
		} else if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge || len(err.Error()) > 300 {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}
