// Package fhirtest validates resources against the schema of FHIR R4 that lies beside the repository; tests skip where it is absent.
package fhirtest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Schema is that of every resource of R4.
type Schema struct{ s *jsonschema.Schema }

// Open reads the schema, and sees that it is able to refuse.
func Open(t *testing.T) *Schema {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testdata.Shared(t), "schemas", "fhir-r4", "fhir.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	// It names two types without defining them.
	definitions := doc.(map[string]any)["definitions"].(map[string]any)
	definitions["integer64"] = map[string]any{"type": "number"}
	definitions["Resource"] = map[string]any{"$ref": "#/definitions/ResourceList"}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("fhir.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("fhir.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &Schema{schema}
	if s.Validate([]byte(`{"resourceType":"Consent","status":"active","scope":{},"category":[],"unknown":1}`)) == nil {
		t.Fatal("the schema takes everything")
	}
	return s
}

// Validate says what of a resource is not R4.
func (s *Schema) Validate(resource []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(resource))
	if err != nil {
		return err
	}
	return s.s.Validate(v)
}
