package deid

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func ownProfile(t testing.TB, text string) *Profile {
	t.Helper()
	p, err := ParseProfile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func trialProfile(t testing.TB) *Profile {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "profiles", "trial.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return ownProfile(t, string(b))
}

// The made-up trial's file passes its own tests, and says of itself what it is.
func TestTrialProfile(t *testing.T) {
	p := trialProfile(t)
	results := p.Test()
	if len(results) != 9 {
		t.Errorf("%d tests", len(results))
	}
	for _, r := range results {
		if !r.Passed {
			t.Errorf("line %d, %s: %+v", r.Line, r.Name, r.Problems)
		}
	}
	if p.Base() != "research" || p.Options != research&^RetainDeviceIdentity || !slices.Equal(p.Changed(), []string{"without retain-device-identity"}) {
		t.Errorf("%s, %v, %v", p.Base(), p.Options.Names(), p.Changed())
	}
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, nil)
	r, err := Clean(ds, p, testKeys, nil)
	if err != nil || r.Outcome != Cleaned {
		t.Fatal(r, err)
	}
	out, err := r.Rendered.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	method := out.Strings(out.Find(dicom.TagDeidentificationMethod))
	want := []string{"Vitrine lantern-trial 2", "rules sha256:" + p.Digest()[:32], "on research " + Version, "without retain-device-identity", "PS3.15 2024e with 2025b"}
	if !slices.Equal(method, want) {
		t.Errorf("the method says %q", method)
	}
	if !slices.Contains(r.Rules, RuleCount{"age", 1}) || !slices.Contains(r.Rules, RuleCount{"device", 1}) {
		t.Errorf("the rules that decided: %v", r.Rules)
	}
	if value(out, dicom.TagPatientAge) != "060Y" || value(out, dicom.TagDeviceSerialNumber) != "66042" {
		t.Error("a rule did not decide")
	}
	if found := p.Matcher(r.Lexicon).Recheck(out); len(found) > 0 {
		t.Errorf("the second look: %v", found)
	}
	// The same file gives the same bytes; a file that says something else says so.
	again, _ := Clean(ds, trialProfile(t), testKeys, nil)
	if !bytes.Equal(again.Rendered.Head, r.Rendered.Head) {
		t.Error("the same profile gives other bytes")
	}
	for _, text := range p.Rules() {
		if text.Does == "" || text.Reason == "" || text.Which == "" && text.When == "" {
			t.Errorf("a rule is not told: %+v", text)
		}
	}
}

// A test of a file fails where the profile does something else, and says so with the test's own values.
func TestProfileTestsFail(t *testing.T) {
	p := ownProfile(t, `
name: wrong
version: 1
rules:
  - {id: drop, reason: none, match: {keyword: KVP}, action: remove}
tests:
  - {name: value, given: {ProtocolName: chest of Quartzian}, expect: {ProtocolName: chest of Quartzian}}
  - {name: kept, given: {KVP: 120}, kept: KVP}
  - {name: removed, given: {Rows: 4}, removed: Rows}
  - {name: emptied, given: {Rows: 4}, emptied: Rows}
  - {name: changed, given: {Rows: 4}, changed: Rows}
  - {name: held, given: {Rows: 4}, held: true}
  - {name: not held, given: {BurnedInAnnotation: "YES", Rows: 4}, kept: Rows}
  - {name: another code, given: {BurnedInAnnotation: "YES"}, held: video}
  - {name: items, given: {RequestAttributesSequence: [{RequestedProcedureID: A}]}, expect: {RequestAttributesSequence: [{}, {}]}}
  - {name: good, given: {Rows: 4, KVP: 100}, removed: KVP, kept: Rows}
`)
	for _, r := range p.Test() {
		if r.Passed != (r.Name == "good") {
			t.Errorf("%s: passed %t, %+v", r.Name, r.Passed, r.Problems)
		}
		for _, d := range r.Problems {
			if d.Want == "" || d.Got == "" {
				t.Errorf("%s: the difference is not told: %+v", r.Name, d)
			}
		}
	}
	first := p.Test()[0].Problems[0]
	if first != (Problem{"ProtocolName", `"chest of Quartzian"`, `"chest"`}) {
		t.Errorf("%+v", first)
	}
}

// What is wrong with a file is said by its line; nothing that is not understood is passed over.
func TestProfileFileRefused(t *testing.T) {
	head := "name: mine\nversion: 1\n"
	rule := func(s string) string {
		return head + "rules:\n  - id: a\n    reason: b\n" + s
	}
	deep := head + "title: " + strings.Repeat("[", 60) + strings.Repeat("]", 60)
	bomb := head + "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]"
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {"", "not YAML"},
		"a list":              {"- a", "line 1"},
		"two files":           {head + "---\nname: x", "one profile"},
		"no name":             {"version: 1", "needs name"},
		"bad name":            {"name: Mine One\nversion: 1", "line 1: a name is"},
		"a named one's name":  {"name: research\nversion: 1", "line 1"},
		"bad version":         {"name: mine\nversion: \"1 of 2\"", "line 2"},
		"unknown key":         {head + "rulse: []", `line 3: the profile has no "rulse"`},
		"double key":          {head + "name: other", "line 3"},
		"unknown base":        {head + "base: nonesuch", "line 3"},
		"as-deposited":        {head + "base: as-deposited", "line 3: as-deposited"},
		"contradiction":       {head + "options: {add: retain-full-dates}", "contradict"},
		"unknown option":      {head + "options: {add: [retain-all]}", `no option "retain-all"`},
		"anchor":              {head + "title: &x a", "line 3: anchors"},
		"alias":               {"name: &x mine\nversion: *x", "anchors"},
		"bomb":                {bomb, "anchors"},
		"merge":               {head + "options: {<<: {add: retain-uids}}", "line 3"},
		"tag":                 {head + "title: !!binary aGk=", "tags"},
		"deep":                {deep, "too deep"},
		"huge":                {head + "title: " + strings.Repeat("x", MaxProfileSize), "256 KiB"},
		"many":                {head + "rules: [" + strings.Repeat("{},", 300) + "]", "at most 200 rules"},
		"not UTF-8":           {head + "title: \xff", "UTF-8"},
		"no action":           {rule("    match: {keyword: KVP}"), "line 4: a rule needs action"},
		"unknown action":      {rule("    match: {keyword: KVP}\n    action: kepp"), `line 7: there is no action "kepp"`},
		"unknown keyword":     {rule("    match: {keyword: KVPP}\n    action: keep"), "line 6"},
		"no selector":         {rule("    match: {}\n    action: hold"), "match is empty"},
		"object and keep":     {rule("    match: {modality: CT}\n    action: keep"), "chooses no element"},
		"a name kept":         {rule("    match: {keyword: OperatorsName}\n    action: keep"), "line 4: the rule a cannot keep (0008,1070) OperatorsName: the name of a person"},
		"the patient's name":  {rule("    match: {keyword: PatientName}\n    action: remove"), "pseudonym"},
		"the identifier":      {rule("    match: {tag: \"(0010,0020)\"}\n    action: replace\n    value: X"), "pseudonym"},
		"a UID kept":          {rule("    match: {keyword: FrameOfReferenceUID}\n    action: keep"), "UID"},
		"a UID removed":       {rule("    match: {keyword: StudyInstanceUID}\n    action: remove"), "nothing without it"},
		"pixels":              {rule("    match: {keyword: PixelData}\n    action: remove"), "not an element"},
		"overlay":             {rule("    match: {tag: \"(6000,3000)\"}\n    action: keep"), "not an element"},
		"a date kept":         {rule("    match: {keyword: StudyDate}\n    action: keep"), "true date"},
		"birth date shifted":  {rule("    match: {keyword: PatientBirthDate}\n    action: shift"), "birth date"},
		"birth year":          {rule("    match: {keyword: PatientBirthDate}\n    action: generalise\n    date: year"), "birth date"},
		"a device's date":     {rule("    match: {keyword: DateOfLastCalibration}\n    action: shift"), "tells by how much"},
		"shift and full":      {head + "base: basic+retain-full-dates\nrules: [{id: a, reason: b, match: {vr: DA}, action: shift}]", "line 4: the rule a shifts"},
		"text shifted":        {rule("    match: {keyword: ProtocolName}\n    action: shift"), "only dates"},
		"a blob kept":         {rule("    match: {private: {creator: A, element: \"(0029,xx10)\", vr: OB}}\n    action: keep"), "nothing can tell"},
		"private by tag":      {rule("    match: {tag: \"(0029,1010)\"}\n    action: keep"), "with its creator"},
		"private without VR":  {rule("    match: {private: {creator: A B C, element: \"(0029,xx10)\"}}\n    action: keep"), "give its vr"},
		"unknown element":     {rule("    match: {tag: \"(0018,FFF1)\"}\n    action: keep"), "no element"},
		"value of a number":   {rule("    match: {keyword: KVP}\n    action: replace\n    value: many"), "no number"},
		"value too long":      {rule("    match: {keyword: StationName}\n    action: replace\n    value: aaaaaaaaaaaaaaaaaaaaaaaaaaa"), "16 characters"},
		"value beyond":        {rule("    match: {keyword: KVP}\n    action: remove\n    value: 1"), "does not go with"},
		"no value":            {rule("    match: {keyword: StationName}\n    action: replace"), "needs a value"},
		"no way":              {rule("    match: {keyword: PatientAge}\n    action: generalise"), "needs one of"},
		"wrong way":           {rule("    match: {keyword: PatientAge}\n    action: generalise\n    round: 5"), "takes bands"},
		"over too high":       {rule("    match: {keyword: PatientAge}\n    action: generalise\n    over: 95"), "up to 89"},
		"a number as a word":  {head + "vocabulary: [\"4821\"]", "a number by itself"},
		"letters beyond":      {head + "vocabulary: [Größe]", "ASCII"},
		"SOP class":           {rule("    match: {sop-class: Picture Storage, keyword: KVP}\n    action: keep"), "no SOP class"},
		"VR that is none":     {rule("    match: {vr: XX}\n    action: remove"), "no value representation"},
		"every object":        {rule("    match: {manufacturer: []}\n    action: hold"), "list is empty"},
		"range backwards":     {rule("    match: {range: \"(0020,0000)-(0018,0000)\"}\n    action: remove"), "a range"},
		"double id":           {rule("    match: {keyword: KVP}\n    action: keep\n  - {id: a, reason: c, match: {keyword: KVP}, action: keep}"), "another rule's"},
		"nothing expected":    {head + "tests: [{name: a, given: {KVP: 1}}]", "expects nothing"},
		"unknown in a test":   {head + "tests: [{name: a, given: {KVPP: 1}, held: true}]", "neither a keyword"},
		"text in a number":    {head + "tests: [{name: a, given: {Rows: many}, held: true}]", "numbers"},
		"value of a sequence": {head + "tests: [{name: a, given: {RequestAttributesSequence: 1}, held: true}]", "a list of items"},
		"file meta in a test": {head + "tests: [{name: a, given: {\"(0002,0010)\": 1}, held: true}]", "no element of a data set"},
	} {
		start := time.Now()
		_, err := ParseProfile([]byte(c.text))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if time.Since(start) > 5*time.Second {
			t.Errorf("%s took %v", name, time.Since(start))
		}
	}
}

// The first rule that can decide does; a range passes by what it cannot take.
func TestRuleOrder(t *testing.T) {
	p := ownProfile(t, `
name: order
version: 1
rules:
  - {id: first, reason: a, match: {keyword: KVP}, action: remove}
  - {id: second, reason: a, match: {keyword: [KVP, Exposure]}, action: keep}
  - {id: all, reason: a, match: {range: "(0008,0000)-(0040,FFFF)"}, action: keep}
  - {id: names, reason: a, match: {vr: PN}, action: empty}
  - {id: mr, reason: a, match: {keyword: ExposureTime, modality: M*, sop-class: MRImageStorage}, action: remove}
`)
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.String(dicom.TagKVP, "120")
		b.String(dicom.TagExposure, "40")
		b.String(dicom.TagExposureTime, "40")
		b.String(dicom.TagOperatorsName, "TANAKA^YUKI")
		b.String(dicom.TagPatientAddress, "14 Wexcombe Lane")
	})
	r, err := Clean(ds, p, testKeys, nil)
	if err != nil || r.Outcome != Cleaned {
		t.Fatal(r, err)
	}
	out, _ := r.Rendered.Dataset()
	for tag, want := range map[dicom.Tag]string{dicom.TagKVP: "absent", dicom.TagExposure: "40", dicom.TagExposureTime: "40", dicom.TagOperatorsName: "",
		dicom.TagReferringPhysicianName: "", dicom.TagAccessionNumber: "", dicom.TagPatientBirthDate: ""} {
		if got := value(out, tag); got != want {
			t.Errorf("%s is %q", tag.Keyword(), got)
		}
	}
	if strings.HasPrefix(value(out, dicom.TagStudyInstanceUID), studyUID) || value(out, dicom.TagStudyDate) == "20190312" {
		t.Error("keep over a range kept a UID or a true date")
	}
	x, err := p.Explain("ExposureTime")
	if err != nil || len(x.Cases) != 1 || x.Cases[0].By != "rule all of order 1" {
		t.Errorf("%+v, %v", x, err)
	}
}

// Whatever a file says, what passes has no identifier of the planted person, and what is not the rules' affair is as ever.
func TestNoRuleLeaks(t *testing.T) {
	tags := []string{"ProtocolName", "StudyDescription", "PatientComments", "InstitutionName", "AccessionNumber", "PatientAddress", "OperatorsName", "StationName", "KVP",
		"PatientAge", "StudyDate", "PatientBirthDate", "PatientBirthTime", "SOPInstanceUID", "FrameOfReferenceUID", "RequestAttributesSequence", "PatientName", "PatientID", "Manufacturer",
		"DeviceSerialNumber", "StudyID", "StudyTime", "ImageType", "OtherPatientIDs", "PatientTelephoneNumbers", "ClinicalTrialSubjectID", "IssuerOfPatientID"}
	files, passed := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		base := rapid.SampledFrom([]string{"research", "basic", "public", "basic+retain-full-dates", "research+retain-uids", "basic+retain-institution-identity"}).Draw(rt, "base")
		fmt.Fprintf(&b, "name: drawn\nversion: 1\nbase: %s\nvocabulary: [%s]\nrules:\n", base,
			rapid.SampledFrom([]string{"lantern", "holloway", "obermayer, brennan, infirmary", "margaret holloway"}).Draw(rt, "words"))
		for i := range rapid.IntRange(1, 6).Draw(rt, "rules") {
			which := rapid.SampledFrom([]string{"keyword", "range", "vr", "vr", "private"}).Draw(rt, "which")
			match := ""
			switch which {
			case "keyword":
				match = "keyword: " + rapid.SampledFrom(tags).Draw(rt, "tag")
			case "range":
				match = `range: "(` + rapid.SampledFrom([]string{"0008,0000)-(0008,FFFF", "0010,0000)-(0010,FFFF", "0000,0000)-(FFFF,FFFF", "0018,0000)-(0040,FFFF"}).Draw(rt, "range") + `)"`
			case "vr":
				match = "vr: [" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"PN", "LO", "SH", "LT", "ST", "DA", "TM", "UI", "AS", "DS", "IS", "CS", "SQ", "OB", "UN"}), 1, 4).Draw(rt, "vrs"), ", ") + "]"
			case "private":
				match = `private: {creator: LUX MR 1, element: "(0019,xx0` + rapid.SampledFrom([]string{"C", "D", "E"}).Draw(rt, "element") + `)", vr: ` +
					rapid.SampledFrom([]string{"LO", "IS", "DA", "PN", "UI", "OB", "SH", "LT", "US"}).Draw(rt, "vr") + "}"
			}
			if rapid.Bool().Draw(rt, "scanner") {
				match += ", modality: CT, manufacturer: SIE*"
			}
			action := rapid.SampledFrom([]string{"keep", "keep", "clean", "shift", "code", "empty", "remove", "hold", "replace\n    value: \"20190312\"", "replace\n    value: HOLLOWAY",
				"generalise\n    bands: 3", "generalise\n    date: year\n    time: hour", "generalise\n    round: 0.5", "keep\n    words: [holloway, margaret]"}).Draw(rt, "action")
			fmt.Fprintf(&b, "  - id: r%d\n    reason: drawn\n    match: {%s}\n    action: %s\n", i, match, action)
		}
		p, err := ParseProfile([]byte(b.String()))
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				rt.Fatal(err)
			}
			return
		}
		files++
		ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
			b.String(dicom.TagProtocolName, "Chest of Margaret Holloway "+mrn)
			b.String(dicom.TagPatientComments, "seen by Dr Obermayer at ST BRENNAN INFIRMARY, born "+birth)
			b.String(dicom.TagOperatorsName, doctor+"^KLAUS")
			b.String(dicom.TagOtherPatientIDs, mrn)
			b.Raw(0x00190010, dicom.VRLO, []byte("LUX MR 1"))
			b.Raw(0x0019100C, dicom.VRLO, []byte("HOLLOWAY"))
			b.Raw(0x0019100D, dicom.VRDA, []byte(birth))
			b.Raw(0x0019100E, dicom.VRUN, []byte(mrn+" "))
			b.Sequence(dicom.TagRequestAttributesSequence, func(b *dicom.Builder) {
				b.String(dicom.TagRequestedProcedureID, acc)
				b.String(dicom.TagScheduledProcedureStepDescription, "CT chest, Mrs Holloway")
			})
		})
		s := NewSubject(p, testKeys, Identify(ds), nil)
		r, err := s.Clean(ds)
		if err != nil {
			rt.Fatal(err)
		}
		if r.Outcome == Held {
			if r, err = s.CleanAnswered(ds, Seen); err != nil {
				rt.Fatal(err)
			}
		}
		if r.Outcome != Cleaned {
			return
		}
		passed++
		out, err := r.Rendered.Dataset()
		if err != nil {
			rt.Fatal(err)
		}
		upper := bytes.ToUpper(r.Rendered.Head)
		for _, secret := range []string{family, given, mrn, doctor, acc} {
			if bytes.Contains(upper, []byte(secret)) {
				rt.Fatalf("an identifier of %d characters passes by\n%s", len(secret), b.String())
			}
		}
		if p.Options&RetainInstitution == 0 && !strings.Contains(b.String(), "keyword: InstitutionName") && bytes.Contains(upper, []byte("BRENNAN")) {
			rt.Fatalf("the institution passes by\n%s", b.String())
		}
		// The birth date may stand only as a shifted date by chance: in an element of dates whose value was another.
		for i := range out.Len() {
			el := out.At(i)
			if el.IsItem() || el.IsSequence() {
				continue
			}
			if v := string(out.Value(i)); strings.Contains(v, birth) || p.shifts() && out.VR(i) == dicom.VRDA && el.Tag == dicom.TagStudyDate && v == "20190312" && !strings.Contains(b.String(), `value: "20190312"`) {
				rt.Fatalf("%s has a true date by\n%s", el.Tag, b.String())
			}
		}
		if p.Options&RetainUIDs == 0 && bytes.Contains(r.Rendered.Head, []byte(studyUID)) || value(out, dicom.TagPatientName) != s.Pseudonym() || value(out, dicom.TagPatientID) != s.Pseudonym() {
			rt.Fatalf("a UID or the pseudonym is otherwise by\n%s", b.String())
		}
	})
	t.Logf("%d files were read, %d objects passed", files, passed)
	if files < 5 || passed < 3 {
		t.Errorf("%d files were read, %d objects passed: the test tests nothing", files, passed)
	}
}

func TestExplain(t *testing.T) {
	trial := trialProfile(t)
	for _, c := range []struct {
		p                 *Profile
		element, by, fate string
	}{
		{profileNamed(t, "research"), "StudyDescription", "PS3.15 Table E.1-1, 2024e", "cleaned"},
		{profileNamed(t, "basic"), "StudyDescription", "PS3.15 Table E.1-1, 2024e", "removed"},
		{profileNamed(t, "research"), "(0008,1301)", "PS3.15 Table E.1-1, 2025b", "kept; each"},
		{profileNamed(t, "research"), "PatientAge", "a decision of this project", "090Y"},
		{profileNamed(t, "research"), "Manufacturer", "a decision of this project", "keyed code"},
		{profileNamed(t, "research"), "KVP", "the dictionary: DS", "number"},
		{profileNamed(t, "research"), "(0018,FFF1)", "no table", "removed"},
		{profileNamed(t, "research"), "(6000,3000)", "PS3.15 Table E.1-1", "removed"},
		{profileNamed(t, "as-deposited"), "PatientName", "the profile", "as it came"},
		{profileNamed(t, "research"), `(0019,xx0C,"SIEMENS MR HEADER")`, PrivateEdition, "kept"},
		{profileNamed(t, "basic"), `(0019,100C,"SIEMENS MR HEADER")`, "PS3.15 Table E.1-1", "removed"},
		{profileNamed(t, "research"), `(0029,xx20,"SIEMENS CSA HEADER")`, "a decision of this project", "written anew"},
		{profileNamed(t, "research"), `(0029,xx30,"SIEMENS CSA HEADER")`, "PS3.15", "removed"},
		{trial, "StationName", "rule station of lantern-trial 2", "keyed code"},
		{trial, "StudyTime", "rule hours of lantern-trial 2", "hour"},
		{trial, `(0019,xx0C,"LUX MR 1")`, "rule bvalue of lantern-trial 2", "number"},
	} {
		x, err := c.p.Explain(c.element)
		if err != nil {
			t.Errorf("%s: %v", c.element, err)
			continue
		}
		last := x.Cases[len(x.Cases)-1]
		if !strings.HasPrefix(last.By, c.by) || !strings.Contains(last.Fate, c.fate) || last.Why == "" {
			t.Errorf("%s under %s: %+v", c.element, c.p.Name, last)
		}
	}
	x, err := trial.Explain(`(0019,xx0C,"SIEMENS MR HEADER")`)
	if err != nil || len(x.Cases) != 2 || x.Cases[0].When != "modality is MR" || !strings.HasPrefix(x.Cases[1].Fate, "kept") {
		t.Errorf("%+v, %v", x, err)
	}
	for _, bad := range []string{"", "Nonesuch", "(0019,1010)", "(0018,10)", `(0018,xx10,"A")`, `(0019,xx10,"")`} {
		if _, err := trial.Explain(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// Every row of the table can be explained.
	for _, row := range tableRows {
		for _, p := range []*Profile{profileNamed(t, "research"), profileNamed(t, "basic"), trial} {
			x, err := p.Explain(row.Tag.String())
			if err != nil || len(x.Cases) == 0 || x.Cases[0].Why == "" || x.Row == nil {
				t.Fatalf("%s: %+v, %v", row.Tag, x, err)
			}
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		p, s string
		ok   bool
	}{{"*", "", true}, {"A*", "ABC", true}, {"*C", "ABC", true}, {"A*C", "ABBC", true}, {"A*B*C", "AXXBYYC", true}, {"A", "AB", false}, {"", "", true}, {"", "A", false},
		{"A*B", "AC", false}, {"**A**", "XXAYY", true}} {
		if globMatch(c.p, c.s) != c.ok {
			t.Errorf("%q %q", c.p, c.s)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "profiles", "trial.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("name: a1\nversion: 1\nrules: [{id: a, reason: b, match: {vr: LO}, action: keep}]\ntests: [{name: x, given: {KVP: 1}, kept: KVP}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProfile(b)
		if err != nil {
			return
		}
		p.Test()
		p.Rules()
	})
}

func BenchmarkCleanOwn(b *testing.B) {
	text, err := os.ReadFile(filepath.Join("testdata", "profiles", "trial.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	benchmarkClean(b, ownProfile(b, string(text)))
}
