package consent_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	record "github.com/vitrine-imaging/vitrine/internal/record/consent"
	"github.com/vitrine-imaging/vitrine/internal/testdata/fhirtest"
)

const uses = `{"coding":[{"system":"urn:vitrine:consent-use","code":"`

func code(use string) string { return uses + use + `"}]}` }

func nested(kind string, more string, use ...string) string {
	var all []string
	for _, u := range use {
		all = append(all, code(u))
	}
	return `{"type":"` + kind + `","code":[` + strings.Join(all, ",") + `]` + more + `}`
}

func TestFHIRIsRead(t *testing.T) {
	each(t, func(s *story) {
		if _, err := s.d.AddForm(s.Context(), steward, collection.Default, record.Form{Name: "main", Version: "1.0", Title: "Consent", Policy: "https://site.example/forms/main", Clauses: []record.Clause{{ID: "a", Text: "I agree.", Grants: []judge.Use{judge.Research}}}}); err != nil {
			s.Fatal(err)
		}
		for name, c := range map[string]struct {
			status, more   string
			grants, denies string
			withdrawal     judge.Scope
			form           string
		}{
			"permits and denies":        {status: "active", more: `,"provision":{"provision":[` + nested("permit", "", "research", "sharing") + `,` + nested("deny", "", "commercial") + `]}`, grants: "research sharing", denies: "commercial"},
			"by purpose":                {status: "active", more: `,"provision":{"type":"permit","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HRESCH"}]}`, grants: "research"},
			"with a form":               {status: "active", more: `,"policy":[{"uri":"https://site.example/forms/main"},{"uri":"https://law.example/act"}],"provision":{"provision":[` + nested("permit", "", "research") + `]}`, grants: "research", form: "main"},
			"rejected":                  {status: "rejected", denies: "research"},
			"inactive":                  {status: "inactive", withdrawal: judge.FromUse},
			"inactive, from collection": {status: "inactive", more: `,"extension":[{"url":"urn:vitrine:consent-withdrawal","valueCode":"collection"}]`, withdrawal: judge.FromCollection},
			// A rule that denies, with exceptions: what is no exception is denied.
			"denied but for research": {status: "active", more: `,"provision":{"type":"deny","provision":[` + nested("permit", "", "research") + `]}`, grants: "research", denies: "abroad ai-generative ai-training commercial genetic linkage sharing"},
			"denied":                  {status: "active", more: `,"provision":{"type":"deny"}`, denies: "abroad ai-generative ai-training commercial genetic linkage research sharing"},
			// A rule that permits, with exceptions, permits nothing that is not named: nobody was asked about it here.
			"permitted but for companies": {status: "active", more: `,"provision":{"type":"permit","provision":[` + nested("deny", "", "commercial") + `]}`, denies: "commercial"},
			"in both":                     {status: "active", more: `,"provision":{"provision":[` + nested("permit", "", "research", "genetic") + `,` + nested("deny", "", "genetic") + `]}`, grants: "genetic research", denies: "genetic"},
		} {
			patient := "MRN-" + strings.ReplaceAll(name, " ", "-")
			o, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, resource(patient, "2026-03-01", c.status, c.more))
			if err != nil || !o.Recorded {
				s.Errorf("%s: %+v, %v", name, o, err)
				continue
			}
			p, err := s.d.Person(s.Context(), steward, collection.Default, flow.Whom{Patient: patient})
			if err != nil {
				s.Fatal(err)
			}
			e := p.Events[0]
			if words(e.Grants) != c.grants || words(e.Denies) != c.denies || c.withdrawal != "" && e.Withdrawal != c.withdrawal || e.Form != c.form || e.Way != record.FHIR {
				s.Errorf("%s: %+v", name, e)
			}
			if again, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, resource(patient, "2026-03-01", c.status, c.more)); err != nil || again.Recorded {
				s.Errorf("%s, again: %+v, %v", name, again, err)
			}
		}
	})
}

func words(all []judge.Use) string {
	var out []string
	for _, u := range all {
		out = append(out, string(u))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What limits, qualifies or contradicts is refused whole: a limit that nobody keeps must not look kept.
func TestFHIRIsRefused(t *testing.T) {
	each(t, func(s *story) {
		in := func(provision string) []byte {
			return resource("MRN-0001", "2026-03-01", "active", `,"provision":`+provision)
		}
		of := func(more string) []byte {
			return resource("MRN-0001", "2026-03-01", "active", `,"provision":{"provision":[`+nested("permit", "", "research")+`]}`+more)
		}
		one := nested("permit", "", "research")
		for name, b := range map[string][]byte{
			"an actor":                     in(`{"actor":[{"role":{"text":"x"},"reference":{"display":"x"}}],"provision":[` + one + `]}`),
			"an actor of a nested one":     in(`{"provision":[` + nested("permit", `,"actor":[{"role":{"text":"x"}}]`, "research") + `]}`),
			"dataPeriod":                   in(`{"provision":[` + nested("permit", `,"dataPeriod":{"end":"2020"}`, "research") + `]}`),
			"securityLabel":                in(`{"securityLabel":[{"code":"V"}],"provision":[` + one + `]}`),
			"class":                        in(`{"provision":[` + nested("permit", `,"class":[{"code":"x"}]`, "research") + `]}`),
			"data":                         in(`{"provision":[` + nested("permit", `,"data":[{"meaning":"instance"}]`, "research") + `]}`),
			"a period of one":              in(`{"provision":[` + nested("permit", `,"period":{"end":"2030-01-01"}`, "research") + `]}`),
			"a beginning to come":          in(`{"period":{"start":"2027-01-01"},"provision":[` + one + `]}`),
			"nested thrice":                in(`{"provision":[{"type":"permit","code":[` + code("research") + `],"provision":[` + nested("deny", "", "genetic") + `]}]}`),
			"an unknown use":               in(`{"provision":[` + nested("permit", "", "anything") + `]}`),
			"an unknown system":            in(`{"provision":[{"type":"permit","code":[{"coding":[{"system":"urn:else","code":"research"}]}]}]}`),
			"an unknown purpose":           in(`{"provision":[{"type":"permit","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HMARKT"}]}]}`),
			"neither":                      in(`{"provision":[{"code":[` + code("research") + `]}]}`),
			"permits everything":           in(`{"type":"permit"}`),
			"a provision twice":            in(`{"provision":[` + one + `],"provision":[]}`),
			"a provision in other letters": of(`,"Provision":{"provision":[]}`),
			"an unknown element":           of(`,"except":[]`),
			"a modifier":                   of(`,"modifierExtension":[{"url":"urn:x","valueBoolean":true}]`),
			"a modifier within":            in(`{"provision":[` + nested("permit", `,"modifierExtension":[]`, "research") + `]}`),
			"an extension of a value":      of(`,"_status":{"extension":[]}`),
			"other rules":                  of(`,"implicitRules":"urn:x"`),
			"an extension":                 of(`,"extension":[{"url":"urn:x"}]`),
			"a withdrawal that is none":    of(`,"extension":[{"url":"urn:vitrine:consent-withdrawal","valueCode":"everything"}]`),
			"not verified":                 of(`,"verification":[{"verified":false}]`),
			"a form that is not there":     of(`,"policy":[{"uri":"urn:vitrine:consent-form:default:main:9"}]`),
			"entered in error":             resource("MRN-0001", "2026-03-01", "entered-in-error", ""),
			"a draft":                      resource("MRN-0001", "2026-03-01", "draft", ""),
			"another status":               resource("MRN-0001", "2026-03-01", "agreed", ""),
			"says nothing":                 resource("MRN-0001", "2026-03-01", "active", ""),
			"no date":                      resource("MRN-0001", "", "rejected", ""),
			"half a date":                  resource("MRN-0001", "2026-03", "rejected", ""),
			"nobody":                       resource("", "2026-03-01", "rejected", ""),
			"another collection's":         bytes.Replace(resource("QQQQ-QQQQ-QQQQ", "2026-03-01", "rejected", ""), []byte("https://site.example/mrn"), []byte("urn:vitrine:subject:lung"), 1),
			"another scope":                bytes.Replace(of(""), []byte(`"research"}]},`), []byte(`"patient-privacy"}]},`), 1),
			"another resource":             bytes.Replace(of(""), []byte(`"Consent"`), []byte(`"Patient"`), 1),
			"no JSON":                      []byte(`<Consent xmlns="http://hl7.org/fhir"/>`),
			"a list":                       []byte(`[]`),
			"two":                          append(of(""), of("")...),
			"nested without end":           in(strings.Repeat(`{"provision":[`, 5000)),
			"nothing":                      nil,
		} {
			o, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, b)
			if !fault.Is(err, fault.Invalid) || o.Recorded || strings.Contains(err.Error(), "MRN") || strings.Contains(err.Error(), "QQQQ") {
				s.Errorf("%s: %+v, %v", name, o, err)
			}
		}
		if _, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, append(of(""), make([]byte, 1<<20)...)); !fault.Is(err, fault.TooLarge) {
			s.Errorf("more than 1 MiB: %v", err)
		}
	})
}

// What is written validates against R4, and says the same when it is read again.
func TestFHIRIsWritten(t *testing.T) {
	schema := fhirtest.Open(t)
	each(t, func(s *story) {
		if _, err := s.d.AddForm(s.Context(), steward, collection.Default, record.Form{Name: "main", Version: "1.0", Title: "Consent", Clauses: []record.Clause{{ID: "a", Text: "I agree.", Grants: []judge.Use{judge.Research, judge.Sharing}},
			{ID: "b", Text: "Companies may.", Grants: []judge.Use{judge.Commercial}}}}); err != nil {
			s.Fatal(err)
		}
		x := s.deposit("MRN-0001")
		w := flow.Whom{Patient: "MRN-0001"}
		s.record(w, flow.Said{At: day(2026, 3, 1), Form: "main", Version: "1.0", Answers: map[string]bool{"a": true, "b": false}, Expires: day(2031, 3, 1)})
		s.record(w, flow.Said{At: day(2026, 3, 2), Denies: []judge.Use{judge.Genetic}})
		s.record(w, flow.Said{At: day(2026, 3, 3), Withdrawal: judge.FromContact})
		s.record(w, flow.Said{At: day(2026, 3, 4), Withdrawal: judge.FromUse})
		all, err := s.d.FHIR(s.Context(), steward, collection.Default, string(x.Pseudonym))
		if err != nil || len(all) != 4 {
			s.Fatalf("%+v, %v", all, err)
		}
		for i, e := range all {
			one, err := json.Marshal(e)
			if err != nil {
				s.Fatal(err)
			}
			if err := schema.Validate(one); err != nil {
				s.Errorf("%d: %v\n%s", i, err, one)
			}
			if bytes.Contains(one, []byte("MRN-0001")) {
				s.Error("it names the patient")
			}
			// The same event: nothing is added.
			if o, _, err := s.d.RecordFHIR(s.Context(), steward, collection.Default, one); err != nil || o.Recorded {
				s.Errorf("%d, read again: %+v, %v\n%s", i, o, err, one)
			}
		}
	})
}
