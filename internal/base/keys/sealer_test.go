package keys

import (
	"bytes"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// What was sealed before the master key was changed is opened after it, and a secret is found by the digest of then; of another purpose, about something else, or changed, it is not.
func TestSealer(t *testing.T) {
	sealer := func(purpose string, newest Key, earlier ...Key) *Sealer {
		t.Helper()
		r, err := NewRoot(newest, earlier...)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSealer(r, purpose)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before, after := sealer("links", Key{1}), sealer("links", Key{2}, Key{1})
	sealed := before.Seal([]byte("imogen"), "link-1")
	if bytes.Contains(sealed, []byte("imogen")) || bytes.Equal(sealed, before.Seal([]byte("imogen"), "link-1")) {
		t.Error("it is in clear, or the same each time")
	}
	for _, s := range []*Sealer{before, after} {
		if text, err := s.Open(sealed, "link-1"); err != nil || string(text) != "imogen" {
			t.Errorf("%q %v", text, err)
		}
	}
	later := after.Seal([]byte("imogen"), "link-1")
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for what, try := range map[string]func() ([]byte, error){
		"by the key of before": func() ([]byte, error) { return before.Open(later, "link-1") }, "about another": func() ([]byte, error) { return after.Open(sealed, "link-2") },
		"changed": func() ([]byte, error) { return after.Open(changed, "link-1") }, "of another purpose": func() ([]byte, error) { return sealer("mail", Key{1}).Open(sealed, "link-1") },
		"nothing": func() ([]byte, error) { return after.Open(nil, "link-1") },
	} {
		if text, err := try(); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %q %v", what, text, err)
		}
	}
	d := before.Digests("secret")[0]
	if all := after.Digests("secret"); len(all) != 2 || all[0] == d || !slices.Contains(all, d) {
		t.Error("a secret is not found by the digest of before")
	}
	if before.Digests("secrets")[0] == d || sealer("mail", Key{1}).Digests("secret")[0] == d {
		t.Error("another secret, or another purpose, has the same digest")
	}
}
