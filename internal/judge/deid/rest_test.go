package deid

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A subject that has rested cleans as before, and has forgotten no identifier.
func TestRest(t *testing.T) {
	p, err := Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	ds := sampleCT(t, dicom.ExplicitVRLittleEndian, func(b *dicom.Builder) {
		b.String(dicom.TagPatientName, "Zelazny^Anastasia")
		b.String(dicom.TagStudyDescription, "CHEST of Zelazny")
	})
	s := NewSubject(p, testKeys, Identify(ds), nil)
	cleaned := func() []byte {
		t.Helper()
		r, err := s.Clean(ds)
		if err != nil || r.Outcome != Cleaned {
			t.Fatalf("%v, %v", r, err)
		}
		out, err := r.Rendered.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(out.Bytes())
	}
	before, terms := cleaned(), s.Lexicon().Len()
	if len(s.memo) == 0 || terms == 0 {
		t.Fatalf("%d values are remembered, %d identifiers known", len(s.memo), terms)
	}
	s.Rest()
	if len(s.memo)+len(s.uids)+len(s.seen) > 0 || s.matcher != nil || s.work.did != nil {
		t.Error("it has not let go")
	}
	if after := cleaned(); !bytes.Equal(after, before) || s.Lexicon().Len() != terms {
		t.Errorf("it cleans otherwise than before, with %d identifiers where it had %d", s.Lexicon().Len(), terms)
	}
}
