package keys

import (
	"bytes"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// A part opens in its own place alone: not as another part, of another whole, for another purpose, by another key, nor when a bit of it was changed.
func TestParts(t *testing.T) {
	p := NewParts(Key{1}, "access", "7")
	sealed := p.Seal("head", []byte("imogen"))
	if bytes.Contains(sealed, []byte("imogen")) || bytes.Equal(sealed, p.Seal("head", []byte("imogen"))) || len(sealed) != 1+12+6+16 {
		t.Errorf("%x", sealed)
	}
	if text, err := p.Open("head", sealed); err != nil || string(text) != "imogen" {
		t.Errorf("%q, %v", text, err)
	}
	for name, q := range map[string]Parts{"of another whole": NewParts(Key{1}, "access", "8"), "for another purpose": NewParts(Key{1}, "question", "7"), "by another key": NewParts(Key{2}, "access", "7")} {
		if _, err := q.Open("head", sealed); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Open("contact", sealed); !fault.Is(err, fault.Corrupt) {
		t.Errorf("as another part: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := p.Open("head", changed); !fault.Is(err, fault.Corrupt) {
			t.Errorf("changed at %d: %v", i, err)
		}
		if _, err := p.Open("head", sealed[:i]); !fault.Is(err, fault.Corrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	value, err := p.SealJSON("draft", map[string]int{"n": 3})
	var got map[string]int
	if err != nil || p.OpenJSON("draft", value, &got) != nil || got["n"] != 3 {
		t.Errorf("%v, %v", got, err)
	}
	got = nil
	if err := p.OpenJSON("draft", nil, &got); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	if err := p.OpenJSON("head", sealed, &got); !fault.Is(err, fault.Corrupt) {
		t.Errorf("no JSON: %v", err)
	}
}
