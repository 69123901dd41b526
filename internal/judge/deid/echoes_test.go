package deid

import (
	"slices"
	"strings"
	"testing"
)

func TestEchoesOfAText(t *testing.T) {
	l, err := (*Lexicon)(nil).With(Term{TermName, "Winterbourne^Ada"}, Term{TermIdentifier, "9434765919"}, Term{TermBirthDate, "19460214"}, Term{TermPerson, "Obermayer^Jörg"})
	if err != nil {
		t.Fatal(err)
	}
	const text = "Mrs ADA Winterbourne (born 14/02/1946, NHS 943 476 5919) saw Dr Obermayer.\nİ Jörg, again: winterbourne2 and a CT of the chest."
	var got []string
	for _, s := range l.Echoes(text) {
		got = append(got, text[s.From:s.To])
	}
	for _, want := range []string{"ADA Winterbourne", "14/02/1946", "943 476 5919", "Obermayer", "Jörg"} {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.Contains(g, want) || strings.Contains(want, g) && len(g) > 3 }) {
			t.Errorf("%q is not found in %q", want, got)
		}
	}
	for _, never := range []string{"chest", "CT", "born", "again"} {
		if slices.Contains(got, never) {
			t.Errorf("%q is nobody's", never)
		}
	}
	if len((*Lexicon)(nil).Echoes(text)) != 0 {
		t.Error("nobody has no echoes")
	}
}
