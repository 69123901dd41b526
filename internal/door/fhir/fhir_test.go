package fhir_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata/fhirtest"
)

type rig struct {
	*testing.T
	n      *node.Node
	tokens map[string]string
}

func start(t *testing.T) *rig {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	x := &rig{t, n, map[string]string{}}
	x.write(func(tx *db.Tx) error {
		return n.Stores.Collections.Create(tx, collection.Collection{ID: "other", Title: "Other", Profile: "research", ProfileVersion: "1"})
	})
	return x
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.Helper()
	if err := x.n.Stores.DB.Write(x.Context(), fn); err != nil {
		x.Fatal(err)
	}
}

func (x *rig) token(role policy.Role, c string) string {
	x.Helper()
	if role == policy.Anonymous {
		return ""
	}
	k := role.String() + "@" + c
	if x.tokens[k] == "" {
		s, err := identity.NewSecret()
		if err != nil {
			x.Fatal(err)
		}
		x.write(func(tx *db.Tx) error {
			_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: k, Role: role, Collection: c})
			return err
		})
		x.tokens[k] = s.Reveal()
	}
	return x.tokens[k]
}

func (x *rig) do(method, path, token, body string, header ...string) (int, []byte, http.Header) {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), method, "http://"+x.n.HTTPAddr()+path, strings.NewReader(body))
	if err != nil {
		x.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		x.Fatal(err)
	}
	return resp.StatusCode, b, resp.Header
}

func of(patient, system, date string) string {
	return `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"research"}]},"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],
	"patient":{"identifier":{"system":"` + system + `","value":"` + patient + `"}},"dateTime":"` + date + `","provision":{"provision":[{"type":"permit","code":[{"coding":[{"system":"urn:vitrine:consent-use","code":"research"}]}]}]}}`
}

const site = "https://site.example/mrn"

// A hospital's system records a consent, reads it, and has the person withdraw; every answer is R4, and none names the patient.
func TestConsentOverFHIR(t *testing.T) {
	schema := fhirtest.Open(t)
	x := start(t)
	steward := x.token(policy.Steward, "default")
	ask := func(method, path, body string, want int) ([]byte, http.Header) {
		t.Helper()
		code, b, h := x.do(method, path, steward, body)
		if code != want || !strings.HasPrefix(h.Get("Content-Type"), "application/fhir+json") || h.Get("Cache-Control") != "private, no-store" {
			t.Fatalf("%s %s: status %d, want %d: %v %s", method, path, code, want, h, b)
		}
		if err := schema.Validate(b); err != nil {
			t.Errorf("%s %s: %v\n%s", method, path, err, b)
		}
		if strings.Contains(string(b), "MRN-7701") {
			t.Errorf("%s %s names the patient: %s", method, path, b)
		}
		return b, h
	}
	ask("GET", "/fhir/R4/metadata", "", 200)
	b, h := ask("POST", "/fhir/R4/Consent?collection=default", of("MRN-7701", site, "2026-03-01"), 201)
	at, ok := strings.CutPrefix(h.Get("Location"), "http://"+x.n.HTTPAddr())
	if !ok || strings.Contains(at, "MRN") {
		t.Fatalf("Location is %s", h.Get("Location"))
	}
	same, _ := ask("GET", at, "", 200)
	if string(same) != string(b) || !strings.Contains(string(b), "of whom there is nothing") {
		t.Errorf("recorded %s\nread %s", b, same)
	}
	if _, h := ask("POST", "/fhir/R4/Consent?collection=default", of("MRN-7701", site, "2026-03-01"), 200); !strings.HasSuffix(h.Get("Location"), at) {
		t.Errorf("the same again is at %s", h.Get("Location"))
	}
	gone := strings.Replace(of("MRN-7701", site, "2026-03-02"), `"active"`, `"inactive"`, 1)
	b, _ = ask("POST", "/fhir/R4/Consent?collection=default", gone, 201)
	var c struct {
		ID      string
		Status  string
		Patient struct {
			Identifier struct{ System, Value string }
		}
	}
	if err := json.Unmarshal(b, &c); err != nil || c.Status != "inactive" || c.Patient.Identifier.System != "urn:vitrine:subject:default" || c.Patient.Identifier.Value == "" {
		t.Fatalf("%s, %v", b, err)
	}
	patient := c.Patient.Identifier.Value
	for _, q := range []string{"patient=" + patient, "patient:identifier=urn:vitrine:subject:default%7C" + patient, "patient=" + patient + "&_format=json"} {
		b, _ := ask("GET", "/fhir/R4/Consent?collection=default&"+q, "", 200)
		var bundle struct {
			Type  string
			Total int
			Entry []struct{ FullURL string }
		}
		if err := json.Unmarshal(b, &bundle); err != nil || bundle.Type != "searchset" || bundle.Total != 2 || len(bundle.Entry) != 2 || !strings.HasSuffix(bundle.Entry[1].FullURL, "/fhir/R4/Consent/"+c.ID) {
			t.Errorf("%s: %s, %v", q, b, err)
		}
	}
	for path, want := range map[string]int{"/fhir/R4/Consent?collection=default&patient=NOBODY": 404, "/fhir/R4/Consent/1?collection=default": 404, "/fhir/R4/Consent/x?collection=default": 404, "/fhir/R4/Consent?collection=default": 400,
		"/fhir/R4/Consent?patient=" + patient: 400, "/fhir/R4/Consent?collection=default&patient=" + patient + "&date=2020": 400, "/fhir/R4/Consent?collection=default&collection=other&patient=" + patient: 400,
		"/fhir/R4/Consent?collection=default&patient:identifier=https://site.example/mrn%7CX": 400} {
		ask("GET", path, "", want)
	}
	for name, body := range map[string]string{"an extra limit": strings.Replace(of("MRN-7701", site, "2026-03-01"), `"type":"permit"`, `"type":"permit","securityLabel":[{"code":"V"}]`, 1), "another collection's": of("QQQQ", "urn:vitrine:subject:other", "2026-03-01"),
		"no JSON": "<Consent/>"} {
		if b, _ := ask("POST", "/fhir/R4/Consent?collection=default", body, 400); !strings.Contains(string(b), "OperationOutcome") {
			t.Errorf("%s: %s", name, b)
		}
	}
	ask("POST", "/fhir/R4/Consent?collection=default", strings.Repeat(" ", 1<<20+1), 413)
}

func TestMediaTypes(t *testing.T) {
	x := start(t)
	steward := x.token(policy.Steward, "default")
	for accept, want := range map[string]int{"application/fhir+json": 200, "application/fhir+json; fhirVersion=4.0": 200, "application/json": 200, "*/*": 200, "application/fhir+xml, application/fhir+json;q=0.5": 200, "application/fhir+xml": 406,
		"application/fhir+json; fhirVersion=3.0": 406, "application/fhir+json;q=0": 406} {
		if code, b, _ := x.do("GET", "/fhir/R4/metadata", "", "", "Accept", accept); code != want {
			t.Errorf("%s: %d %s", accept, code, b)
		}
	}
	for format, want := range map[string]int{"json": 200, "application/fhir%2Bjson": 200, "application/fhir+json": 200, "xml": 406} {
		if code, b, _ := x.do("GET", "/fhir/R4/metadata?_format="+format, "", ""); code != want {
			t.Errorf("_format=%s: %d %s", format, code, b)
		}
	}
	if code, b, _ := x.do("POST", "/fhir/R4/Consent?collection=default", steward, of("A1", site, "2026-03-01"), "Content-Type", "application/fhir+xml"); code != 415 || !strings.Contains(string(b), "OperationOutcome") {
		t.Errorf("%d %s", code, b)
	}
}

// Every route, every role, in its own collection and in another: as docs/policy.md has it.
func TestWhoMayAskWhat(t *testing.T) {
	x := start(t)
	records, sees := []policy.Role{policy.Depositor, policy.Steward}, []policy.Role{policy.Custodian, policy.Steward}
	for _, role := range []policy.Role{policy.Anonymous, policy.Depositor, policy.Researcher, policy.Physicist, policy.Custodian, policy.Committee, policy.Funder, policy.Steward, policy.Admin} {
		for _, at := range []string{"default", policy.AllCollections, "other"} {
			if role.ForOneCollection() && at == policy.AllCollections {
				continue
			}
			for _, c := range []struct {
				method, path, body string
				may                []policy.Role
				ok                 int
			}{{"POST", "/fhir/R4/Consent?collection=default", of("MRN-7702", site, "2026-03-01"), records, 0}, {"GET", "/fhir/R4/Consent?collection=default&patient=NOBODY", "", sees, 404}, {"GET", "/fhir/R4/Consent/1?collection=default", "", sees, 404},
				{"POST", "/fhir/R4/Consent?collection=nowhere", of("MRN-7702", site, "2026-03-01"), nil, 0}} {
				code, b, h := x.do(c.method, c.path, x.token(role, at), c.body)
				what := role.String() + "@" + at + " " + c.method + " " + c.path
				switch may := at != "other" && slices.Contains(c.may, role); {
				case role == policy.Anonymous && (code != 401 || h.Get("WWW-Authenticate") == ""), may && c.ok == 0 && code/100 != 2, may && c.ok != 0 && code != c.ok,
					role != policy.Anonymous && !may && code != 403 && !(strings.Contains(c.path, "nowhere") && code == 404):
					t.Errorf("%s: %d %s", what, code, b)
				}
				if !strings.HasPrefix(h.Get("Content-Type"), "application/fhir+json") {
					t.Errorf("%s: %s", what, h.Get("Content-Type"))
				}
			}
		}
	}
	for _, role := range []policy.Role{policy.Anonymous, policy.Researcher} {
		if code, b, _ := x.do("GET", "/fhir/R4/metadata", x.token(role, "other"), ""); code != 200 {
			t.Errorf("%v: %d %s", role, code, b)
		}
	}
}
