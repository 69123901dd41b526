package deid

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// A row of clinical data has to find the subject that images of the same person made.
func TestIdentityOfIsTheImages(t *testing.T) {
	keys := NewKeys([32]byte{1})
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagPatientID, "RX-00417")
	ds, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	for text, same := range map[string]bool{"RX-00417": true, "rx00417": true, " RX 00417": true, "RX-00418": false} {
		id, ok := IdentityOf(text, "")
		if !ok || (id.Link(keys) == Identify(ds).Link(keys)) != same {
			t.Errorf("%q: %v, want the same %v", text, ok, same)
		}
	}
	for _, none := range []string{"", "000", "anonymous", " - "} {
		if _, ok := IdentityOf(none, ""); ok {
			t.Errorf("%q identifies somebody", none)
		}
	}
}

func TestInText(t *testing.T) {
	l, err := (*Lexicon)(nil).With(Term{TermName, "Obermayer^Anneliese"}, Term{TermIdentifier, "RX-00417"}, Term{TermIdentifier, "48213"}, Term{TermBirthDate, "19570322"})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMatcher(l)
	for text, hit := range map[string]bool{"C50.4": false, "2019-03-22": false, "obermayer": true, "C50.4 (Obermayer)": true, "rx00417": true, "x RX-00417": true, "1957-03-22": true,
		"48213": true, "1948213": false, "0048213": true, "254837009": false} {
		if m.InText(text) != hit {
			t.Errorf("%q: %v", text, !hit)
		}
	}
}

func TestHasNHSNumber(t *testing.T) {
	for text, is := range map[string]bool{"9434765919": true, "943 476 5919": true, "943-476-5919": true, "id 9434765919.": true, "9434765918": false, "94347659190": false,
		"19434765919": false, "A9434765919": false, "254837009": false, "": false, "12": false, "C50.4 9434765919": true} {
		if HasNHSNumber(text) != is {
			t.Errorf("%q: %v", text, !is)
		}
	}
}

func TestPlainText(t *testing.T) {
	for text, plain := range map[string]bool{"chest": true, "Obermayer": false, "22/03/1957": false, "T2 axial": true} {
		if PlainText(text) != plain {
			t.Errorf("%q: %v", text, !plain)
		}
	}
}
