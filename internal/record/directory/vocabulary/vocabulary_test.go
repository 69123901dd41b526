package vocabulary

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
	"golang.org/x/text/encoding/charmap"
	"pgregory.net/rapid"
)

func TestParseCode(t *testing.T) {
	for _, c := range []struct {
		system System
		in     string
		want   string // empty: refused
	}{
		{ICD10, "C50", "C50"}, {ICD10, "c504", "C50.4"}, {ICD10, " C50.4 ", "C50.4"}, {ICD10, "C61.X", "C61"}, {ICD10, "C50.41", "C50.41"}, {ICD10,
			"C15-C26", "C15-C26"},
		{ICD10, "C26-C15", ""}, {ICD10, "C5", ""}, {ICD10, "C50.", "C50"}, {ICD10, "C50.411", ""}, {ICD10, "50.4", ""}, {ICD10, "", ""}, {ICD10,
			"C50;DROP", ""}, {ICD10, "Ç50", ""},
		{Topography, "C50.4", "C50.4"}, {Topography, "C81", "C81"}, {Topography, "D05", ""}, {Topography, "C95", ""}, {Topography, "C15-C26", ""},
		{Morphology, "8500/3", "8500/3"}, {Morphology, "M8500/3", "8500/3"}, {Morphology, "m-8500/3", "8500/3"}, {Morphology, "8500", ""},
		{Morphology, "8500/4", ""},
		{Morphology, "7500/3", ""}, {Morphology, "850-854", "850-854"}, {Morphology, "905", "905"}, {Morphology, "854-850", ""},
		{SNOMED, "254837009", "254837009"}, {SNOMED, "254837008", ""}, {SNOMED, "1", ""}, {SNOMED, "025483700", ""}, {SNOMED, "2548370090000000000", ""},
		{Group, "bowel-cancer", "bowel-cancer"}, {Group, "no-such", ""}, {"ICD-11", "2C61", ""}, {"", "C50", ""},
	} {
		got, err := ParseCode(c.system, c.in)
		if got.Value != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s %q: %q, %v; want %q", c.system, c.in, got.Value, err, c.want)
		}
	}
}

// Every row of the tables is a well-formed code of its system, and ends at the root.
func TestEveryDiseaseIsWellFormed(t *testing.T) {
	for _, c := range diseaseOrder {
		if got, err := ParseCode(c.System, c.Value); err != nil || got != c {
			t.Errorf("%s: %s, %v", c, got, err)
		}
		root := Code{Group, "tumour"}
		if c != root && !Is(c, root) {
			t.Errorf("%s is not below the root", c)
		}
		if slices.Contains(Ancestors(c), c) {
			t.Errorf("%s is above itself", c)
		}
		if Label(c) == "" || LayLabel(c) == "" {
			t.Errorf("%s has no name", c)
		}
	}
}

// ICD-10 has these categories in C00-D48; those between are not in use (C28, C29, C35, C36, C42, C59, C87, C89, C98, C99, D08 among them).
func TestEveryCategoryOfICD10(t *testing.T) {
	unused := []string{"C27", "C28", "C29", "C35", "C36", "C42", "C59", "C87", "C89", "C98", "C99", "D08"}
	for _, letter := range []string{"C", "D"} {
		for n := range 100 {
			v := letter + fmt.Sprintf("%02d", n)
			if letter == "D" && n > 48 {
				break
			}
			d := diseases[Code{ICD10, v}]
			if (d == nil) != slices.Contains(unused, v) {
				t.Errorf("%s: in the table: %v", v, d != nil)
			}
			if d != nil && !slices.ContainsFunc(d.ancestors, func(p Code) bool { return p.System == ICD10 && strings.Contains(p.Value, "-") }) {
				t.Errorf("%s is in no block", v)
			}
		}
	}
}

func TestHierarchy(t *testing.T) {
	for _, c := range []struct {
		code, broader string
		is            bool
	}{
		{"ICD-10 C50.4", "ICD-10 C50", true}, {"ICD-10 C50.4", "group breast-cancer", true}, {"ICD-10 C50.41", "group breast-cancer", true},
		{"ICD-O-3-M 8500/3", "ICD-O-3-M 850-854", true}, {"ICD-O-3-M 8503/2", "ICD-O-3-M 850-854", true}, {"ICD-O-3-M 8500/2", "group breast-cancer", false},
		{"SNOMED-CT 254626006", "group lung-cancer", true}, {"ICD-10 C91.0", "group blood-cancer", true}, {"ICD-10 C91.0", "group all", true},
		{"ICD-10 C81", "group blood-cancer", true}, {"ICD-10 C18", "group bowel-cancer", true}, {"ICD-10 C18", "ICD-10 C15-C26", true}, {"ICD-10 D12",
			"group cancer", false},
		{"ICD-10 C50", "ICD-10 C50.4", false}, {"ICD-O-3-T C34.1", "group lung-cancer", true}, {"ICD-10 Z99", "group tumour", false},
		{"BodySite 71854001", "BodySite 818981001", true},
	} {
		if got := Is(code(c.code), code(c.broader)); got != c.is {
			t.Errorf("%s is a %s: %v", c.code, c.broader, got)
		}
	}
	down := Descendants(code("group bowel-cancer"))
	for _, want := range []string{"ICD-10 C18", "ICD-10 C19", "ICD-10 C20", "ICD-O-3-T C18", "SNOMED-CT 363406005", "SNOMED-CT 363351006", "group colon-cancer"} {
		if !slices.Contains(down, code(want)) {
			t.Errorf("bowel cancer lacks %s", want)
		}
	}
	if got := LayLabel(code("ICD-10 C50.4")); got != "breast cancer" {
		t.Errorf("%q", got)
	}
	if got := Label(code("ICD-10 C50.4")); got != "Cancer of the breast (C50.4)" {
		t.Errorf("%q", got)
	}
	if got := Label(code("Modality PT")); got != "Positron Emission Tomography" {
		t.Errorf("%q", got)
	}
}

func code(s string) Code {
	system, v, _ := strings.Cut(s, " ")
	return Code{System(system), v}
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"bowel cancer":                    "bowel cancer=group bowel-cancer",
		"Breast Cancer, young women; PET": "Breast Cancer=group breast-cancer / young=AgeRange young-adult / women=Sex female / PET=Modality PT",
		"blood cancer in children":        "blood cancer=group blood-cancer / in= / children=AgeRange child",
		"womb":                            "womb=group womb-cancer,BodySite 35039007",
		"brest cancer mamogram":           "brest cancer~breast cancer=group breast-cancer / mamogram~mammogram=Modality MG",
		"lymfoma":                         "lymfoma=group lymphoma",
		"leukemia":                        "leukemia=group leukaemia",
		"esophageal tumors of the neck":   "esophageal=BodySite 32849002 / tumors=group tumour / of= / the= / neck=BodySite 45048000",
		"C50.4 8500/3 254837009":          "C50.4=ICD-10 C50.4 / 8500/3=ICD-O-3-M 8500/3 / 254837009=SNOMED-CT 254837009",
		"ALL all":                         "ALL=group all / all=",
		"US us":                           "US=Modality US / us=",
		"H&E slides":                      "H&E=Stain he / slides=Modality SM,Domain pathology",
		"non-small-cell lung cancer CT":   "non-small-cell lung cancer=group nsclc / CT=Modality CT",
		"cancer of the neck of the womb":  "cancer of the neck of the womb=group cervical-cancer",
		"xyzzy 12345":                     "xyzzy= / 12345=",
		"":                                "",
	} {
		var got []string
		for _, p := range Expand(text) {
			var codes []string
			for _, c := range p.Concepts {
				codes = append(codes, c.String())
			}
			meant := ""
			if p.Meant != "" {
				meant = "~" + p.Meant
			}
			got = append(got, p.Text+meant+"="+strings.Join(codes, ","))
		}
		if g := strings.Join(got, " / "); g != want {
			t.Errorf("%q:\n got %s\nwant %s", text, g, want)
		}
	}
}

// What a lay person types finds what a clinic coded.
func TestLayWordsFindCodes(t *testing.T) {
	for text, coded := range map[string]string{
		"bowel cancer": "ICD-10 C18.7", "womb cancer": "ICD-10 C54.1", "blood cancer": "ICD-10 C92.0", "brain tumour": "SNOMED-CT 393563007",
		"skin cancer":   "ICD-10 C43",
		"throat cancer": "ICD-10 C10", "breast cancer": "ICD-O-3-M 8520/3", "gullet cancer": "ICD-10 C15", "voice box cancer": "ICD-10 C32",
		"lung cancer":  "SNOMED-CT 254632001",
		"liver cancer": "ICD-10 C22.0", "bone cancer": "ICD-O-3-M 9180/3", "childhood cancer": "ICD-O-3-M 8960/3", "moles": "ICD-10 D22",
		"fibroids":               "ICD-10 D25.1",
		"cancer that has spread": "ICD-10 C78.7", "lymph gland cancer": "ICD-10 C83.3", "bone marrow cancer": "ICD-10 C90.0", "cancer": "SNOMED-CT 254837009",
	} {
		found := false
		for _, p := range Expand(text) {
			for _, c := range p.Concepts {
				found = found || Is(code(coded), c)
			}
		}
		if !found {
			t.Errorf("%q does not find %s: %v", text, coded, Expand(text))
		}
	}
}

func TestWords(t *testing.T) {
	if got := Words("bowel c", 5); !slices.Equal(got, []string{"bowel cancer"}) {
		t.Errorf("%q", got)
	}
	if got := Words("", 5); got != nil {
		t.Errorf("%q", got)
	}
	if got := Words("c", 3); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		list       *List
		text, want string
	}{
		{Sex, "FEMALE", "female"}, {Sex, "women", "female"}, {Modality, "mammogram", "MG"}, {Modality, "PT", "PT"}, {AccessCondition,
			"Open to applicants", "open-to-applicants"},
		{Setting, "Cohort, study, trial", "study"}, {DataUseModifier, "DUO:0000046", "NCU"}, {DeliveryLeadTime, "2-6 months", "2-6-months"},
		{BodySite, "womb", "35039007"}, {Sex, "", ""},
		{Sex, "teapot", ""}, {Frequency, "ANNUAL_2", "biannual"},
	} {
		got, ok := c.list.Find(c.text)
		if got.ID != c.want || ok != (c.want != "") {
			t.Errorf("%s %q: %q", c.list.Name, c.text, got.ID)
		}
	}
}

// No two terms of a list have the same identifier, and each bears a label.
func TestListsAreWhole(t *testing.T) {
	for name, l := range lists {
		if len(l.by) != len(l.Terms) || len(l.Terms) == 0 {
			t.Errorf("%s: %d terms, %d identifiers", name, len(l.Terms), len(l.by))
		}
		for _, term := range l.Terms {
			if term.Label == "" || term.ID == "" {
				t.Errorf("%s: %q has no label", name, term.ID)
			}
			for k := range term.refs {
				if !slices.Contains([]string{"tdcc", "value", "hdr", "req", "miabis", "id", "eu", "group", "low", "high", "display", "temperature",
					"extraction", "domain", "derived", "snomed", "area", "in",
					"takes"}, k) {
					t.Errorf("%s: %s says %q", name, term.ID, k)
				}
			}
		}
	}
	for _, term := range BodySite.Terms {
		if _, err := ParseCode(SNOMED, term.ID); err != nil {
			t.Errorf("%s: %v", term.ID, err)
		}
		if up := term.Ref("in"); up != "" && !BodySite.Has(up) {
			t.Errorf("%s lies in %s, which is no site", term.ID, up)
		}
	}
}

// CID 29 of PS3.16, all of it.
func TestModalitiesOfCID29(t *testing.T) {
	for code := range strings.FieldsSeq(`AR BDUS BI BMD CFM CR CT DG DMS DX ECG EEG EMG EOG EPS ES GM HD IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS
		PA POS PT PX RESP RF RG RTIMAGE SM SRF TG US VA XA XC`) {
		if !Modality.Has(code) {
			t.Errorf("%s is missing", code)
		}
	}
}

// Every vocabulary of the register and every value in it, with its text, its place in the order and what hangs on it.
func TestVocabulariesOfTheRegister(t *testing.T) {
	dir := filepath.Join(testdata.Shared(t), "schemas", "tdcc")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	names := map[string]string{"AssociatedDataProcurementTimeframe": "AssociatedDataTimeframe", "AssociatedDataTypeGroup": "AssociatedDataType",
		"AnnualStatisticGroup": "AnnualStatistic"}
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		l := Named(name)
		if n := names[name]; n != "" {
			l = Named(n)
		}
		if l == nil {
			t.Errorf("the register's %s is no list here", name)
			continue
		}
		var rows []map[string]any
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &rows); err != nil {
			t.Fatal(name, err)
		}
		values := 0
		for _, row := range rows {
			below, group := []map[string]any{row}, ""
			for _, k := range []string{"associatedDataTypes", "annualStatistics"} {
				if inner, ok := row[k].([]any); ok {
					below, group = nil, row["value"].(string)
					for _, r := range inner {
						below = append(below, r.(map[string]any))
					}
				}
			}
			for _, r := range below {
				values++
				check(t, l, r, group)
			}
		}
		tdcc := 0
		for _, term := range l.Terms {
			if term.Ref("tdcc") != "" {
				tdcc++
			}
		}
		if values != tdcc {
			t.Errorf("%s: %d values in the register, %d here", name, values, tdcc)
		}
		seen += values
	}
	t.Logf("%d vocabularies, %d values", len(files), seen)
}

func check(t *testing.T, l *List, r map[string]any, group string) {
	t.Helper()
	id, value := fmt.Sprint(r["id"]), repaired(r["value"].(string))
	i := slices.IndexFunc(l.Terms, func(term Term) bool { return term.Ref("tdcc") == id })
	if i < 0 {
		t.Errorf("%s: value %s of the register is missing", l.Name, id)
		return
	}
	term := l.Terms[i]
	if term.Label != value && term.Ref("value") != value {
		t.Errorf("%s %s: %q, the register says %q", l.Name, id, term.Label, value)
	}
	if group != "" && term.Ref("group") != group {
		t.Errorf("%s %s: group %q, the register says %q", l.Name, id, term.Ref("group"), group)
	}
	if inner, ok := r["materialTypeGroups"].([]any); ok {
		for _, g := range inner {
			if v := g.(map[string]any)["value"].(string); !strings.Contains(term.Ref("group"), v) {
				t.Errorf("%s %s: not in group %q", l.Name, id, v)
			}
		}
	}
	if inner, ok := r["extractionProcedures"].([]any); ok {
		for _, g := range inner {
			if v := g.(map[string]any)["id"].(string); !strings.Contains(term.Ref("extraction"), v) {
				t.Errorf("%s %s: without extraction %s", l.Name, id, v)
			}
		}
	}
	if at, ok := r["storageTemperature"].(map[string]any); ok && term.Ref("temperature") != at["value"] {
		t.Errorf("%s %s: temperature %q", l.Name, id, term.Ref("temperature"))
	}
	for key, bound := range map[string]int{"lowerBound": 0, "upperBound": 1} {
		text, _ := r[key].(string)
		low, high, ok := term.Bounds()
		got := []int64{low, high}[bound]
		switch want, err := months(text); {
		case text == "" && ok && got != -1 && bound == 1, text != "" && (!ok || err != nil || got != want):
			t.Errorf("%s %s: %s %q is %d here", l.Name, id, key, text, got)
		}
	}
}

// months reads the register's bounds: whole numbers, or P2Y, P1M, -P1Y.
func months(s string) (int64, error) {
	body, period := strings.CutPrefix(strings.TrimPrefix(s, "-"), "P")
	if !period {
		return strconv.ParseInt(s, 10, 64)
	}
	n, err := strconv.ParseInt(strings.TrimRight(body, "YMD"), 10, 64)
	if strings.HasSuffix(body, "Y") {
		n *= 12
	}
	if s[0] == '-' {
		n = -n
	}
	return n, err
}

// repaired undoes what the register's file had done to it: UTF-8 taken for Windows-1252.
func repaired(s string) string {
	if raw, err := charmap.Windows1252.NewEncoder().String(s); err == nil && strings.ToValidUTF8(raw, "") == raw && raw != s {
		s = raw
	}
	return strings.TrimSpace(s)
}

// Whatever somebody types, the words come back in order, and every concept exists.
func TestExpandKeepsTheWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-zA-Z0-9é&./-]{1,12} ?){0,12}`).Draw(t, "text")
		var back []string
		for _, p := range Expand(text) {
			back = append(back, p.Text)
			for _, c := range p.Concepts {
				if Label(c) == "" {
					t.Fatalf("%s has no label", c)
				}
			}
		}
		if got := strings.Join(back, " "); got != strings.Join(strings.Fields(text), " ") {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"bowel cancer", "C50.4", "Ünïcode ﬁ", "8500/3", strings.Repeat("womb ", 300), "a\x00b\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := len(Expand(s)); n > maxWords {
			t.Fatalf("%d phrases", n)
		}
		for _, system := range append(Systems, Group, "") {
			if c, err := ParseCode(system, s); err == nil {
				if again, err := ParseCode(system, c.Value); err != nil || again != c {
					t.Fatalf("%s became %s, %v", c, again, err)
				}
				Label(c)
				Ancestors(c)
			}
		}
	})
}

func BenchmarkExpand(b *testing.B) {
	for b.Loop() {
		Expand("colorectel cancer in women with PET scans from the nineties")
	}
}

// Every term of the Data Use Ontology but its two roots.
func TestTheDataUseOntology(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdata.Shared(t), "schemas", "duo", "duo.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(raw))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, row := range rows[1:] {
		if row[1] == "" {
			continue
		}
		seen++
		term, ok := DataUsePermission.Get(row[1])
		if !ok {
			term, ok = DataUseModifier.Get(row[1])
		}
		if !ok || term.Ref("id") != row[0] || !strings.EqualFold(term.Label, row[2]) {
			t.Errorf("%s %s: %q (%s)", row[0], row[1], term.Label, term.Ref("id"))
		}
	}
	if seen != 23 {
		t.Errorf("%d terms", seen)
	}
}

// Every value of HDR UK's enumerations, and none that the schema would refuse.
func TestTheValuesOfHDRUK(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdata.Shared(t), "schemas", "hdruk", "HDRUK-4.0.0.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct{ Enum []any } `json:"$defs"`
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lists []*List
		ref   string
		all   bool // the list has each value
	}{
		"PurposeV2": {[]*List{Purpose}, "hdr", true}, "SettingV2": {[]*List{Setting}, "hdr", true}, "Ternary": {[]*List{Ternary}, "hdr", true},
		"PeriodicityV2": {[]*List{Frequency}, "hdr", true}, "FollowupV2": {[]*List{FollowUp}, "hdr", true}, "StandardisedDataModelsEnum": {[]*List{DataModel}, "hdr", true},
		"AccessService": {[]*List{AccessService}, "hdr", true}, "DeliveryLeadTimeV2": {[]*List{DeliveryLeadTime}, "hdr", true}, "AgeEnum": {[]*List{AgeBin}, "hdr", true},
		"DataUseLimitationV2": {[]*List{DataUsePermission, DataUseModifier}, "hdr", false}, "DataUseRequirementsV2": {[]*List{DataUseModifier}, "req", true},
		"MaterialTypeCategoriesV2": {[]*List{MaterialType}, "hdr", false}, "ImagingTypesSubTypes": {[]*List{Modality}, "hdr", true},
		"ImagingAreaOfTheBodySubTypes": {[]*List{BodySite}, "area", true},
	} {
		values := schema.Defs[name].Enum
		if len(values) == 0 {
			t.Errorf("the schema has no %s", name)
		}
		var ours []string
		for _, l := range c.lists {
			for _, term := range l.Terms {
				if r := term.Ref(c.ref); r != "" {
					ours = append(ours, r)
					if !slices.Contains(values, any(r)) {
						t.Errorf("%s: %s says %q, which the schema refuses", l.Name, term.ID, r)
					}
				}
			}
		}
		for _, v := range values {
			if s, ok := v.(string); ok && c.all && !slices.Contains(ours, s) {
				t.Errorf("%s: nothing here is %q", name, s)
			}
		}
	}
}
