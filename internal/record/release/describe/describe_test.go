package describe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/piprate/json-gold/ld"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/release/describe"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

var published = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func number(n int64) directory.Number { return directory.Number{Value: n, Known: true} }

var withheld = directory.Number{Withheld: true, Below: 10}

// minimal is the least that a release can say.
func minimal() *describe.Release {
	return &describe.Release{Dataset: "lungs", Version: "1.0.0", Title: "Lungs", Abstract: "CT of lungs.", URL: "https://example.org/releases/lungs/1.0.0",
		Publisher: directory.Organisation{Name: "University of Aldermoor"}, Creators: []describe.Contributor{{Name: "University of Aldermoor"}},
		Access: describe.Access{Level: describe.Controlled}, Issued: published, Root: strings.Repeat("ab", 32), State: describe.Published}
}

// full says all that a release can say.
func full() *describe.Release {
	custodian := directory.Organisation{Name: "University of Aldermoor", ROR: "https://ror.org/012345678", URL: "https://example.org"}
	use := directorytest.Full().Entry.DataUse
	use.Alternatives[0].Modifiers = append(use.Alternatives[0].Modifiers, directory.Modifier{Code: "AI_TRAIN"})
	r := minimal()
	r.Version, r.Title, r.Description = "2.1.0", "Lungs of Aldermoor", "CT of the lungs.\n\nIn two paragraphs."
	r.Keywords = []string{"lung cancer", "screening", "lung cancer"}
	r.DOI, r.ConceptDOI = "10.5072/vitrine.lungs.2", "10.5072/vitrine.lungs"
	r.Collection = describe.Collection{ID: "aldermoor", Title: "Imaging of Aldermoor", URL: "https://example.org/directory/aldermoor", DOI: "10.5072/aldermoor"}
	r.Publisher, r.Contact = custodian, directory.Contact{Name: "Imaging desk", Email: "imaging@example.org", URL: "https://example.org/ask"}
	r.Creators = []describe.Contributor{
		{Given: "Ada", Family: "Ashdown", ORCID: "0000-0002-1825-0097", Affiliation: custodian, Roles: []string{"conceptualization", "data-curation"}},
		{Name: "Aldermoor Lung Group", ROR: "https://ror.org/087654321"},
	}
	r.Contributors = []describe.Contributor{{Given: "Ben", Family: "Birch", Type: "DataCurator", Affiliation: custodian}, {Name: "Aldermoor Computing", Type: "HostingInstitution"}}
	r.Funding = directorytest.Full().Entry.Funding
	r.Publications = []directory.Publication{{DOI: "10.5072/about", Title: "About it"}, {DOI: "10.5072/using", Uses: true}}
	r.License = describe.License{Name: "Creative Commons Attribution 4.0", URL: "https://creativecommons.org/licenses/by/4.0/", SPDX: "CC-BY-4.0"}
	r.DataUse, r.Access = use, describe.Access{Level: describe.Controlled, Terms: "https://example.org/conditions", Note: "A committee meets each month."}
	r.Changed, r.ConsentCutoff = published.AddDate(0, 1, 0), published.AddDate(0, 0, -3)
	r.PolicyHash = strings.Repeat("cd", 32)
	r.Deidentification = describe.Deidentification{Profile: "research", Version: "4", Statement: "Identity was taken out by PS3.15 Annex E.", At: published.AddDate(0, 0, -1)}
	r.Risk = "The smallest group has 11 people."
	r.Counts = describe.Counts{People: number(4130), Studies: number(5120), Series: number(9990), Instances: number(1234560), Bytes: 1 << 40,
		Modalities: []directory.Count{{Term: "CT", Number: number(4110)}, {Term: "PT", Number: withheld}},
		Sexes:      []directory.Count{{Term: "female", Number: number(2000)}, {Term: "male", Number: withheld}},
		Ages:       []directory.Count{{Term: "40-44", Number: number(70)}}}
	r.Splits = []describe.Split{{Name: describe.SplitTrain, People: number(3000), Instances: number(900000)}, {Name: describe.SplitValidation, People: withheld},
		{Name: describe.SplitTest, People: number(600)}}
	r.Previous = &describe.Version{Version: "2.0.0", DOI: "10.5072/vitrine.lungs.1", URL: "https://example.org/releases/lungs/2.0.0"}
	r.Files = []describe.File{
		{Kind: describe.Manifest, Path: "manifest.jsonl", URL: "https://example.org/releases/lungs/2.1.0/manifest.jsonl", Format: describe.ManifestType, Description: "Objects with their digests",
			SHA256: strings.Repeat("01", 32), Size: 4711},
		{Kind: describe.InstancesCSV, Path: "metadata/instances.csv", Format: "text/csv", SHA256: strings.Repeat("02", 32), Size: 5000},
		{Kind: describe.InstancesParquet, Path: "metadata/instances.parquet", URL: "https://example.org/i.parquet", Format: "application/vnd.apache.parquet", SHA256: strings.Repeat("03", 32), Size: 6000},
		{Kind: describe.SeriesCSV, Path: "metadata/series table.csv", Format: "text/csv", SHA256: strings.Repeat("04", 32)},
	}
	return r
}

// nasty has in every text what hurts.
func nasty() *describe.Release {
	r := full()
	const hurts = `</script><script>alert("x")</script> & 'quotes' \ "` + "\u2028{}[]: # - *a !b %c @d `e` \U0001F600 тест"
	r.Title, r.Publisher.Name, r.Collection.Title, r.License.Name, r.Risk = hurts, hurts, hurts, hurts, hurts
	r.Abstract = "=cmd|' /C calc'!A0\n\t- " + hurts + "\n---\n...\n"
	r.Description, r.Deidentification.Statement, r.Access.Note = r.Abstract+".", r.Abstract, hurts
	r.Keywords = []string{hurts, "yes", "null", "~", "1.0", "2026-01-01"}
	r.Creators[0].Given, r.Creators[0].Family, r.Creators[1].Name, r.Contributors[1].Name = hurts, hurts, "no", hurts
	r.Creators[0].Affiliation = directory.Organisation{Name: hurts}
	r.Funding[0].Title, r.Funding[0].Number = hurts, hurts
	r.Publications[0].DOI = "10.1002/(sici)1097-0258(19980815/30)17:15/16%2B#x?y"
	r.Files[3].Path = "metadata/a 'series' & #1.csv"
	r.DataUse.Note = hurts
	return r
}

func tombstoned() *describe.Release {
	r := full()
	r.State = describe.Tombstoned
	r.Tombstone = describe.Tombstone{Code: "deidentification-defect", Reason: "Faces could be seen.", At: published.AddDate(1, 0, 0),
		ReplacedBy: &describe.Version{Version: "2.2.0", DOI: "10.5072/vitrine.lungs.3"}}
	return r
}

func reserved() *describe.Release {
	r := full()
	r.Reserved, r.DataUse, r.License = true, directory.DataUse{Alternatives: []directory.Use{{Permission: "HMB", Modifiers: []directory.Modifier{{Code: "AI_TRAIN"}}}}}, describe.License{}
	r.State, r.Next = describe.Superseded, &describe.Version{Version: "3.0.0", URL: "https://example.org/releases/lungs/3.0.0"}
	return r
}

// releases are those that every description is tried with.
func releases() map[string]*describe.Release {
	return map[string]*describe.Release{"minimal": minimal(), "full": full(), "nasty": nasty(), "tombstoned": tombstoned(), "reserved": reserved()}
}

type writer = func(io.Writer, *describe.Release) error

// writers are the descriptions, which know no entries.
func writers() map[string]writer {
	return map[string]writer{"Croissant": describe.WriteCroissant, "RO-Crate": describe.WriteROCrate, "DataCite": describe.WriteDataCite, "schema.org": describe.WriteSchemaOrg,
		"CFF": describe.WriteCitation, "DataCite request": func(w io.Writer, r *describe.Release) error {
			return describe.WriteDataCiteRequest(w, r, "10.5072", describe.EventPublish)
		}}
}

func written(t *testing.T, write writer, r *describe.Release) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decoded(t *testing.T, doc []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return v
}

func compile(t *testing.T, file string, formats ...*jsonschema.Format) *jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, f := range formats {
		c.RegisterFormat(f)
	}
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDataCiteValidatesAgainstItsSchema(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "schemas", "datacite")
	schema := compile(t, filepath.Join(dir, "datacite-v4.5.json"), jsonFormats()...)
	// The schema is able to refuse: it takes its own example, and not the example without creators.
	raw, err := os.ReadFile(filepath.Join(dir, "examples-4.5", "datacite-v4.5-full-example.json"))
	if err != nil {
		t.Fatal(err)
	}
	example := decoded(t, raw)
	if err := schema.Validate(example); err != nil {
		t.Fatal("its own example:", err)
	}
	delete(example, "creators")
	if schema.Validate(example) == nil {
		t.Fatal("the schema takes everything")
	}
	for name, r := range releases() {
		doc := written(t, describe.WriteDataCite, r)
		if err := schema.Validate(decoded(t, doc)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, doc)
		}
		request := decoded(t, written(t, writers()["DataCite request"], r))
		data := request["data"].(map[string]any)
		if err := schema.Validate(data["attributes"]); err != nil || data["type"] != "dois" {
			t.Errorf("%s, request: %v", name, err)
		}
		if attributes := data["attributes"].(map[string]any); r.DOI == "" && (attributes["prefix"] != "10.5072" || data["id"] != nil) || r.DOI != "" && data["id"] != r.DOI {
			t.Errorf("%s: the request names %v below %v", name, data["id"], attributes["prefix"])
		}
	}
}

// jsonFormats are the kinds of date that DataCite's schema names and JSON Schema does not.
func jsonFormats() []*jsonschema.Format {
	layout := func(name string, layouts ...string) *jsonschema.Format {
		return &jsonschema.Format{Name: name, Validate: func(v any) error {
			s, ok := v.(string)
			if !ok {
				return nil
			}
			parts := strings.Split(s, "/")
			if strings.HasSuffix(name, "-range") != (len(parts) == 2) {
				return errors.New("no range, or one too many")
			}
			for _, p := range parts {
				if !slices.ContainsFunc(layouts, func(l string) bool { _, err := time.Parse(l, p); return err == nil }) && p != "" {
					return errors.New("no date of this form")
				}
			}
			return nil
		}}
	}
	year, month, date, clock := "2006", "2006-01", "2006-01-02", []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05"}
	return []*jsonschema.Format{layout("year", year), layout("yearmonth", month), layout("datetime", clock...), layout("year-range", year),
		layout("yearmonth-range", month), layout("date-range", date), layout("datetime-range", clock...)}
}

func TestDataCiteSaysWhatBecameOfARelease(t *testing.T) {
	dates := func(r *describe.Release) (out []string) {
		for _, d := range decoded(t, written(t, describe.WriteDataCite, r))["dates"].([]any) {
			out = append(out, fmt.Sprint(d.(map[string]any)["dateType"], " ", d.(map[string]any)["date"]))
		}
		return out
	}
	related := func(r *describe.Release) (out []string) {
		list, _ := decoded(t, written(t, describe.WriteDataCite, r))["relatedIdentifiers"].([]any)
		for _, d := range list {
			out = append(out, fmt.Sprint(d.(map[string]any)["relationType"], " ", d.(map[string]any)["relatedIdentifier"]))
		}
		return out
	}
	if got := strings.Join(dates(tombstoned()), ", "); got != "Issued 2026-03-04, Updated 2026-04-04, Other 2026-03-01, Withdrawn 2027-03-04" {
		t.Error(got)
	}
	if got := strings.Join(dates(minimal()), ", "); got != "Issued 2026-03-04" {
		t.Error(got)
	}
	if got := strings.Join(related(tombstoned()), "\n"); got != `IsNewVersionOf 10.5072/vitrine.lungs.1
Obsoletes 10.5072/vitrine.lungs.1
IsObsoletedBy 10.5072/vitrine.lungs.3
IsVersionOf 10.5072/vitrine.lungs
IsPartOf 10.5072/aldermoor
IsDescribedBy 10.5072/about` {
		t.Error(got)
	}
	if got := related(reserved()); !slices.Contains(got, "IsObsoletedBy https://example.org/releases/lungs/3.0.0") {
		t.Error(got)
	}
}

func TestCitationValidatesAgainstItsSchema(t *testing.T) {
	schema := compile(t, filepath.Join(testdata.Shared(t), "schemas", "cff", "schema-1.2.0.json"))
	for name, r := range releases() {
		doc := written(t, describe.WriteCitation, r)
		var v map[string]any
		if err := yaml.Unmarshal(doc, &v); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, doc)
		}
		if v["title"] != r.Title || v["type"] != "dataset" || v["version"] != r.Version {
			t.Errorf("%s: %v", name, v["title"])
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(decoded(t, again)); err != nil {
			t.Errorf("%s: %v\n%s", name, err, doc)
		}
		delete(v, "authors")
		if schema.Validate(v) == nil {
			t.Fatal("the schema takes everything")
		}
	}
}

// expanded is the document by JSON-LD 1.1: what has no meaning in the context is dropped from it.
func expanded(t *testing.T, doc map[string]any, loader ld.DocumentLoader) []any {
	t.Helper()
	o := ld.NewJsonLdOptions("https://example.org/crate/")
	o.DocumentLoader, o.ProcessingMode = loader, ld.JsonLd_1_1
	v, err := ld.NewJsonLdProcessor().Expand(doc, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// offline knows one context.
type offline struct {
	address string
	context any
}

func (o offline) LoadDocument(u string) (*ld.RemoteDocument, error) {
	if u != o.address {
		return nil, errors.New("no document but the context: " + u)
	}
	return &ld.RemoteDocument{DocumentURL: u, Document: o.context}, nil
}

// walk calls fn with each node of an expanded document.
func walk(v any, fn func(map[string]any)) {
	switch x := v.(type) {
	case []any:
		for _, inner := range x {
			walk(inner, fn)
		}
	case map[string]any:
		if x["@type"] != "@json" {
			fn(x)
			for _, inner := range x {
				walk(inner, fn)
			}
		}
	}
}

// What Croissant 1.1 requires of a data set, of a file, a set of files, a record set and a field; its terms have to be those of its vocabulary.
func TestCroissant(t *testing.T) {
	vocabularyFile, err := os.ReadFile(filepath.Join(testdata.Shared(t), "schemas", "croissant", "croissant.ttl"))
	if err != nil {
		t.Fatal(err)
	}
	const cr, sc = "http://mlcommons.org/croissant/", "https://schema.org/"
	for name, r := range releases() {
		doc := decoded(t, written(t, describe.WriteCroissant, r))
		for _, key := range []string{"@context", "@type", "conformsTo", "description", "license", "name", "url", "creator", "datePublished", "distribution"} {
			if doc[key] == nil || doc[key] == "" {
				t.Errorf("%s has no %s", name, key)
			}
		}
		if doc["conformsTo"].([]any)[0] != cr+"1.1" {
			t.Errorf("%s conforms to %v", name, doc["conformsTo"])
		}
		kinds := map[string]int{}
		ids := map[string]bool{}
		fields := map[string]bool{}
		var sources, refs []string
		walk(expanded(t, doc, offline{}), func(n map[string]any) {
			for key := range n {
				if term, ok := strings.CutPrefix(key, cr); ok && !strings.HasPrefix(term, "RAI/") && !bytes.Contains(vocabularyFile, []byte("croissant:"+term+" a rdf:")) {
					t.Errorf("%s: %s is not in the vocabulary", name, term)
				}
			}
			types, _ := n["@type"].([]any)
			if len(types) == 0 {
				return
			}
			kind := strings.TrimPrefix(types[0].(string), cr)
			kinds[kind]++
			need := map[string][]string{"FileObject": {sc + "name", sc + "contentUrl", sc + "encodingFormat", sc + "sha256"},
				"FileSet": {sc + "name", cr + "containedIn", cr + "includes", sc + "encodingFormat"}, "RecordSet": {sc + "name", cr + "field", cr + "key"},
				"Field": {sc + "name", cr + "dataType"}}[kind]
			for _, key := range need {
				if n[key] == nil {
					t.Errorf("%s: %v has no %s", name, n["@id"], key)
				}
			}
			if id, ok := n["@id"].(string); ok && need != nil {
				if ids[id] {
					t.Errorf("%s: %s comes twice", name, id)
				}
				ids[id] = true
				fields[id] = kind == "Field"
			}
			for _, key := range []string{"fileObject", "key"} {
				list, _ := n[cr+key].([]any)
				for _, v := range list {
					refs = append(refs, v.(map[string]any)["@id"].(string))
				}
			}
			if list, _ := n[cr+"references"].([]any); len(list) > 0 {
				to, _ := list[0].(map[string]any)[cr+"field"].([]any)
				refs = append(refs, to[0].(map[string]any)["@id"].(string))
			}
			if kind == "Field" && n[cr+"source"] == nil && n[cr+"data"] == nil {
				sources = append(sources, n["@id"].(string))
			}
		})
		for _, id := range refs {
			if !ids[id] {
				t.Errorf("%s: nothing is called %s", name, id)
			}
		}
		for _, id := range sources {
			if !strings.Contains(id, "/splits/") {
				t.Errorf("%s: %s comes from nowhere", name, id)
			}
		}
		wantSets, wantFiles := 0, 0
		if name != "minimal" && name != "tombstoned" {
			wantSets, wantFiles = 3, 4
		}
		if kinds["RecordSet"] != wantSets || kinds["FileObject"] != wantFiles || wantSets > 0 && (kinds["Field"] != len(describe.InstanceColumns())+len(describe.SeriesColumns())+2 || kinds["FileSet"] != 1) {
			t.Errorf("%s has %v", name, kinds)
		}
	}
}

// An RO-Crate 1.2: a descriptor that is about the root, the properties that its root needs, a flat graph in which every reference inside the crate is found, and no
// term without a meaning in its context.
func TestROCrate(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdata.Shared(t), "schemas", "ro-crate", "context-1.2.jsonld"))
	if err != nil {
		t.Fatal(err)
	}
	const address = "https://w3id.org/ro/crate/1.2/context"
	context := decoded(t, raw)
	defined := context["@context"].(map[string]any)
	for name, r := range releases() {
		doc := decoded(t, written(t, describe.WriteROCrate, r))
		own := doc["@context"].([]any)[1].(map[string]any)
		if doc["@context"].([]any)[0] != address {
			t.Fatalf("%s: %v", name, doc["@context"])
		}
		byID := map[string]map[string]any{}
		for _, n := range doc["@graph"].([]any) {
			e := n.(map[string]any)
			id, _ := e["@id"].(string)
			if id == "" || byID[id] != nil || e["@type"] == nil {
				t.Errorf("%s: %q has no identifier or type of its own", name, id)
			}
			byID[id] = e
			for key := range e {
				if !strings.HasPrefix(key, "@") && defined[key] == nil && own[key] == nil {
					t.Errorf("%s: %s has no meaning", name, key)
				}
			}
		}
		d := byID["ro-crate-metadata.json"]
		if d == nil || d["@type"] != "CreativeWork" || d["about"].(map[string]any)["@id"] != "./" || d["conformsTo"].(map[string]any)["@id"] != "https://w3id.org/ro/crate/1.2" {
			t.Errorf("%s: the descriptor is %v", name, d)
		}
		root := byID["./"]
		for _, key := range []string{"name", "description", "datePublished", "license", "author", "publisher", "identifier"} {
			if root[key] == nil || root[key] == "" {
				t.Errorf("%s: the root has no %s", name, key)
			}
		}
		for id, e := range byID {
			for key, v := range e {
				list, ok := v.([]any)
				if !ok {
					list = []any{v}
				}
				for _, item := range list {
					o, ok := item.(map[string]any)
					if !ok {
						continue
					}
					to, _ := o["@id"].(string)
					if len(o) != 1 {
						t.Errorf("%s: %s of %s is not flat", name, key, id)
					}
					if byID[to] == nil && !strings.HasPrefix(to, "https://w3id.org/ro/crate/") && to != "http://schema.org/CompletedActionStatus" {
						t.Errorf("%s: %s of %s refers to %s, which is not there", name, key, id, to)
					}
				}
			}
		}
		gone := name == "tombstoned"
		if (root["hasPart"] == nil) != gone || (byID["#withdrawal"] != nil) != gone || root["creativeWorkStatus"] == "Withdrawn" != gone {
			t.Errorf("%s: parts %v, withdrawal %v", name, root["hasPart"], byID["#withdrawal"])
		}
		if nodes := expanded(t, doc, offline{address, context}); len(nodes) < 2 {
			t.Errorf("%s: %d nodes", name, len(nodes))
		}
	}
	if d := decoded(t, written(t, describe.WriteROCrate, full())); !strings.Contains(fmt.Sprint(d), "metadata/series%20table.csv") {
		t.Error("a path with a space is no relative reference")
	}
}

// Who has the same name but for letters that an identifier has not got is somebody else; who is named twice is one.
func TestROCrateKeepsPeopleApart(t *testing.T) {
	r := full()
	r.Creators = []describe.Contributor{{Given: "Анна", Family: "Серова"}, {Given: "Инна", Family: "Белова"}, {Name: "Группа", ROR: ""}, {Name: "Ветвь1"}, r.Creators[0]}
	r.Contributors = append(r.Contributors, r.Creators[4])
	r.Contributors[2].Type = "ProjectLeader"
	d := decoded(t, written(t, describe.WriteROCrate, r))
	names := map[string]any{}
	for _, n := range d["@graph"].([]any) {
		e := n.(map[string]any)
		if name, ok := e["name"].(string); ok && (e["@type"] == "Person" || e["@type"] == "Organization") {
			if _, twice := names[name]; twice {
				t.Errorf("%s comes twice", name)
			}
			names[name] = e["jobTitle"]
		}
	}
	for _, want := range []string{"Анна Серова", "Инна Белова", "Группа", "Ветвь1"} {
		if _, ok := names[want]; !ok {
			t.Errorf("%s is missing", want)
		}
	}
	if got := fmt.Sprint(names["Ada Ashdown"]); got != "[Conceptualization Data curation ProjectLeader]" {
		t.Error(got)
	}
}

func TestSchemaOrg(t *testing.T) {
	for name, r := range releases() {
		d := decoded(t, written(t, describe.WriteSchemaOrg, r))
		if d["@type"] != "Dataset" || d["name"] != r.Title || d["url"] != r.URL || len([]rune(d["description"].(string))) > 5000 {
			t.Errorf("%s: %v", name, d["name"])
		}
		if reserved := name == "reserved"; reserved && strings.Contains(fmt.Sprint(d), r.DOI) {
			t.Errorf("%s tells a DOI that nobody can follow", name)
		}
	}
}

// A withheld number is told nowhere, neither as a number nor as none.
func TestWithheldNumbersAreNotTold(t *testing.T) {
	r := full()
	r.Counts.People = directory.Number{Value: 3141592, Withheld: true, Below: 10, Known: true}
	r.Splits[0].People = directory.Number{Value: 2718281, Withheld: true, Known: true}
	for name, write := range writers() {
		doc := written(t, write, r)
		if bytes.Contains(doc, []byte("3141592")) || bytes.Contains(doc, []byte("2718281")) {
			t.Errorf("%s tells a number that is withheld", name)
		}
	}
	doc := decoded(t, written(t, describe.WriteSchemaOrg, r))
	for _, m := range doc["variableMeasured"].([]any) {
		if n := m.(map[string]any)["name"]; n == "Number of people" || n == "Number of people, Male" || n == "Number of people, split validation" {
			t.Errorf("%v is told", n)
		}
	}
}

// The same release gives the same bytes, and none of them end a script.
func TestDescriptionsAreSteadyAndSafe(t *testing.T) {
	for name, write := range writers() {
		for kind, r := range releases() {
			doc := written(t, write, r)
			if again := written(t, write, releases()[kind]); !bytes.Equal(doc, again) {
				t.Errorf("%s of %s differs from itself", name, kind)
			}
			if name != "CFF" && bytes.ContainsAny(doc, "<>\u2028") {
				t.Errorf("%s of %s can end a script", name, kind)
			}
			if !bytes.Contains(doc, []byte(r.Version)) {
				t.Errorf("%s of %s does not name its version", name, kind)
			}
		}
	}
}

func TestTombstonesSayWhyAndListNothing(t *testing.T) {
	r := tombstoned()
	for name, write := range writers() {
		doc := written(t, write, r)
		if !bytes.Contains(doc, []byte("Faces could be seen.")) || !bytes.Contains(doc, []byte("2027-03-04")) {
			t.Errorf("%s does not say why or when", name)
		}
		if bytes.Contains(doc, []byte("instances.parquet")) || bytes.Contains(doc, []byte(strings.Repeat("03", 32))) {
			t.Errorf("%s lists files that are gone", name)
		}
	}
	for name, write := range listings() {
		var b bytes.Buffer
		if err := write(&b, r, listOf(some(3))); fault.KindOf(err) != fault.Conflict || b.Len() > 0 {
			t.Errorf("%s of a tombstoned release: %v, %d bytes", name, err, b.Len())
		}
	}
}

// Data use has alternatives; a reader of a flat list may not be told that more is allowed than one of them allows.
func TestFlatDataUseIsNoWiderThanItsAlternatives(t *testing.T) {
	r := full()
	r.DataUse = directory.DataUse{Alternatives: []directory.Use{
		{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C34"}}, Modifiers: []directory.Modifier{{Code: "AI_TRAIN"}, {Code: "NO_REID"}}},
		{Permission: "HMB", Modifiers: []directory.Modifier{{Code: "NCU"}}},
	}}
	rights := func() (out []string) {
		for _, o := range decoded(t, written(t, describe.WriteDataCite, r))["rightsList"].([]any) {
			if id, ok := o.(map[string]any)["rightsIdentifier"].(string); ok {
				out = append(out, id)
			}
		}
		return out
	}
	if got := strings.Join(rights(), " "); got != "c_16ec CC-BY-4.0 DUO:0000007 DUO:0000006 NO_REID DUO:0000046" {
		t.Error(got)
	}
	r.DataUse.Alternatives[1].Modifiers = append(r.DataUse.Alternatives[1].Modifiers, directory.Modifier{Code: "AI_TRAIN"})
	if got := rights(); !slices.Contains(got, "AI_TRAIN") {
		t.Error(got)
	}
	var offers []string
	for _, o := range decoded(t, written(t, describe.WriteCroissant, r))["usageInfo"].([]any) {
		if p, ok := o.(map[string]any)["odrl:permission"].(map[string]any); ok {
			list, _ := p["odrl:constraint"].([]any)
			offers = append(offers, fmt.Sprint(p["odrl:action"].(map[string]any)["@id"], " ", len(list)))
		}
	}
	if got := strings.Join(offers, ", "); got != "http://purl.obolibrary.org/obo/DUO_0000007 3, http://purl.obolibrary.org/obo/DUO_0000006 2" {
		t.Error(got)
	}
}

// What cannot be told is refused with the field's name and without its value.
func TestRefusals(t *testing.T) {
	const value = "unspeakable"
	for field, c := range map[string]struct {
		spoil func(r *describe.Release)
		kind  fault.Kind
	}{
		"title":                {func(r *describe.Release) { r.Title = strings.Repeat(value, 100_000) }, fault.TooLarge},
		"description":          {func(r *describe.Release) { r.Description = strings.Repeat("x", 20_001) }, fault.TooLarge},
		"abstract":             {func(r *describe.Release) { r.Abstract = value + "\x00" }, fault.Invalid},
		"keywords[0]":          {func(r *describe.Release) { r.Keywords = []string{value + "\n"} }, fault.Invalid},
		"keywords":             {func(r *describe.Release) { r.Keywords = make([]string, 1001) }, fault.TooLarge},
		"publisher.name":       {func(r *describe.Release) { r.Publisher.Name = value + "\xff" }, fault.Invalid},
		"version":              {func(r *describe.Release) { r.Version = "1.0" }, fault.Invalid},
		"dataset":              {func(r *describe.Release) { r.Dataset = "../" + value }, fault.Invalid},
		"url":                  {func(r *describe.Release) { r.URL = "javascript:" + value }, fault.Invalid},
		"doi":                  {func(r *describe.Release) { r.DOI = "10.5072/" + value + " x" }, fault.Invalid},
		"creators":             {func(r *describe.Release) { r.Creators = nil }, fault.Invalid},
		"creators[0].orcid":    {func(r *describe.Release) { r.Creators = []describe.Contributor{{Name: "A", ORCID: value}} }, fault.Invalid},
		"contributors[0].type": {func(r *describe.Release) { r.Contributors = []describe.Contributor{{Name: "A", Type: value}} }, fault.Invalid},
		"license.spdx":         {func(r *describe.Release) { r.License.SPDX = value }, fault.Invalid},
		"root":                 {func(r *describe.Release) { r.Root = value }, fault.Invalid},
		"issued":               {func(r *describe.Release) { r.Issued = time.Time{} }, fault.Invalid},
		"access.level":         {func(r *describe.Release) { r.Access.Level = value }, fault.Invalid},
		"splits":               {func(r *describe.Release) { r.Splits = []describe.Split{{Name: value}} }, fault.Invalid},
		"state":                {func(r *describe.Release) { r.State = value }, fault.Invalid},
		"tombstone.reason": {func(r *describe.Release) {
			r.State, r.Tombstone.At, r.Tombstone.Code = describe.Tombstoned, published, "legal"
		}, fault.Invalid},
		"tombstone.at":          {func(r *describe.Release) { r.State, r.Tombstone.Reason = describe.Tombstoned, "A reason." }, fault.Invalid},
		"files[0].path":         {func(r *describe.Release) { r.Files = []describe.File{{Path: "../" + value, Format: "text/csv"}} }, fault.Invalid},
		"dataUse[0].permission": {func(r *describe.Release) { r.DataUse.Alternatives = []directory.Use{{Permission: value}} }, fault.Invalid},
	} {
		r := minimal()
		c.spoil(r)
		for name, write := range writers() {
			var b bytes.Buffer
			err := write(&b, r)
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != c.kind || f.Object != field || strings.Contains(err.Error(), value) || len(err.Error()) > 500 || b.Len() > 0 {
				t.Errorf("%s, %s: %v, %d bytes written", name, field, err, b.Len())
			}
		}
	}
	for _, v := range []string{"1.0.0", "0.1.0-rc.1", "1.2.3+build.4"} {
		r := minimal()
		if r.Version = v; r.Check() != nil {
			t.Errorf("%s is a version", v)
		}
	}
}

// broken is a disk that is full after some bytes.
type broken struct{ after int }

func (b *broken) Write(p []byte) (int, error) {
	if b.after -= len(p); b.after < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

func TestAFullDiskIsSeen(t *testing.T) {
	for name, write := range writers() {
		if err := write(&broken{100}, full()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := some(3000)
	root, _, err := describe.Root(listOf(all))
	if err != nil {
		t.Fatal(err)
	}
	r := full()
	r.Root = root
	for name, write := range listings() {
		if err := write(&broken{20}, r, listOf(all)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
