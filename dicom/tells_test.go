package dicom

import (
	"errors"
	"testing"
)

// Letters of a name that are read as an element, because a length before them was wrong, are not told as its tag.
func TestErrorTellsNoLettersAsTag(t *testing.T) {
	for name, c := range map[string]struct {
		b    string
		path string
	}{
		"letters":               {"\x10\x00\x20\x00LO\x02\x0012SMITHSONIAN^A", ""},
		"letters in an item":    {"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xffSMITHSONIAN^ADA!", "(0040,0275)[0]"},
		"a known tag":           {"\x10\x00\x20\x00LO\x02\x0012\x10\x00\x30\x00DA\x08\x001957", "(0010,0030)"},
		"a private tag, owned":  {"\x09\x00\x10\x00LO\x04\x00ACME\x09\x00\x01\x10LO\x08\x001957", "(0009,1001)"},
		"a private tag, nobody": {"\x09\x00\x01\x10LO\x08\x001957", ""},
	} {
		_, err := ParseDataset([]byte(c.b), ExplicitVRLittleEndian, Limits{})
		e, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%s: %v", name, err)
		}
		if e.Path != c.path {
			t.Errorf("%s: told at %q, want %q", name, e.Path, c.path)
		}
	}
}
