package proof

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

func signer(t *testing.T, seed byte) *audit.Signer {
	t.Helper()
	s, err := audit.NewSigner(keys.Key{seed})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func statement(t *testing.T) (*Statement, []byte) {
	t.Helper()
	p, err := deid.Lookup("public")
	if err != nil {
		t.Fatal(err)
	}
	s := &Statement{Format: StatementFormat, Collection: Subject{"breast", "Brüste & Lungen <2024>"}, Moment: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), Software: "1.2", Now: Profile{Judged: deid.ParseJudged(p.Judged())},
		Profiles: []Profile{{deid.ParseJudged(p.Judged()), 7}}, Standing: []Standing{{"admitted", 1 << 50, 3}}, Decisions: []Decided{{"node", "accepted", 2}}, Risk: &Risk{People: 3, Fields: []string{"sex"}},
		Pixels: Pixels{Readers: []string{}}, Limits: Limits}
	b, err := s.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

// What was signed is proven with the public key alone; one byte of the document, the note or the key that is other proves nothing.
func TestStatementIsProven(t *testing.T) {
	want, text := statement(t)
	s := signer(t, 1)
	note, err := s.Attest(StatementFormat, text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(text, note, s.Public())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, err := Verify(bad, note, s.Public()); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("byte %d is another: %v", i, err)
		}
	}
	for _, bad := range [][]byte{nil, text[:len(text)-1], append(bytes.Clone(text), '\n'), append(bytes.Clone(text), ' ')} {
		if _, err := Verify(bad, note, s.Public()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%d bytes of %d: %v", len(bad), len(text), err)
		}
	}
	body := strings.LastIndex(note, " ")
	for i := body + 1; i < len(note)-3; i++ { // of the last character some bits are padding
		bad := []byte(note)
		if bad[i]++; bad[i] == '=' || bad[i] == note[i] {
			continue
		}
		if _, err := Verify(text, string(bad), s.Public()); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("byte %d of the note is another: %v", i, err)
		}
	}
	if _, err := Verify(text, note, signer(t, 2).Public()); !fault.Is(err, fault.Corrupt) {
		t.Errorf("by another node's key: %v", err)
	}
	if _, err := Verify(text, note, "vitrine-audit+0+x"); !fault.Is(err, fault.Invalid) {
		t.Errorf("by no key: %v", err)
	}
	other, err := s.Attest("vitrine-something 1", text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(text, other, s.Public()); !fault.Is(err, fault.Corrupt) {
		t.Errorf("signed as something else: %v", err)
	}
	if _, err := s.Attest("vitrine-audit", text); err == nil {
		t.Error("a document can be signed as a checkpoint of the log")
	}
}

// A statement is read as RFC 8785 has it and as this version has it, or not at all.
func TestStatementIsCanonical(t *testing.T) {
	_, text := statement(t)
	if bytes.ContainsAny(text, "\n\t") || !bytes.HasPrefix(text, []byte(`{"collection":{"id":"breast","title":"Brüste & Lungen <2024>"},"decisions":[`)) {
		t.Errorf("%.200s", text)
	}
	for name, bad := range map[string]string{
		"spaces":          strings.Replace(string(text), ":", ": ", 1),
		"another version": strings.Replace(string(text), StatementFormat, "vitrine-statement 2", 1),
		"another field":   `{"aa":1,` + string(text[1:]),
		"no JSON":         "x",
		"keys unordered":  strings.Replace(string(text), `{"id":"breast","title":"Brüste & Lungen <2024>"}`, `{"title":"Brüste & Lungen <2024>","id":"breast"}`, 1),
	} {
		if _, err := Read([]byte(bad)); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a code is called never depends on an object, and every code has words.
func TestWords(t *testing.T) {
	for _, code := range []string{"gate", "echo", "photograph", "not-dicom", "refused-by-steward", "empty-report", "conflict", "study-of-another-subject", "profile-rule", "uncatalogued"} {
		if w := Words(code); w == "" || strings.Contains(w, code) && strings.Contains(code, "-") {
			t.Errorf("%s: %q", code, w)
		}
	}
}
