package portal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// What goes with each of several alternatives is said once, after them; what goes with one stands beside it.
func TestCommonTermsAreSaidOnce(t *testing.T) {
	mod := func(codes ...string) (all []directory.Modifier) {
		for _, c := range codes {
			code, values, _ := strings.Cut(c, "=")
			m := directory.Modifier{Code: code}
			if values != "" {
				m.Values = strings.Split(values, ";")
			}
			all = append(all, m)
		}
		return all
	}
	disease := []vocabulary.Code{{System: vocabulary.ICD10, Value: "C81"}}
	for _, c := range []struct {
		name string
		use  []directory.Use
		want string
	}{
		{"one alternative", []directory.Use{{Permission: "HMB", Modifiers: mod("NO_REID", "PUB")}}, "You may use it for; You must publish; Artificial intelligence; You must not try"},
		{"a term of both", []directory.Use{{Permission: "HMB", Modifiers: mod("AI_TRAIN", "NO_REID", "PUB")}, {Permission: "DS", Diseases: disease, Modifiers: mod("COL", "NO_REID")}},
			"You may use it for; You may train artificial intelligence; You must publish; Or, instead, for; You work together; In any case, you must not try"},
		{"two of three", []directory.Use{{Permission: "HMB", Modifiers: mod("NO_REID")}, {Permission: "DS", Diseases: disease}, {Permission: "GRU", Modifiers: mod("NO_REID")}},
			"You may use it for; You must not try; Or, instead, for; Or, instead, for; You must not try; Artificial intelligence"},
		{"the same with other values", []directory.Use{{Permission: "HMB", Modifiers: mod("GS=GB")}, {Permission: "GRU", Modifiers: mod("GS=GB;IE")}},
			"You may use it for; Only in; Or, instead, for; Only in; Artificial intelligence"},
		{"twice in one, and in none else", []directory.Use{{Permission: "HMB", Modifiers: mod("PUB", "PUB")}, {Permission: "GRU"}},
			"You may use it for; You must publish; You must publish; Or, instead, for; Artificial intelligence"},
	} {
		may, codes := useOf(&directory.DataUse{Alternatives: c.use})
		var got []string
		for _, m := range may {
			got = append(got, m.Strong)
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s: %s", c.name, s)
		}
		seen := map[string]bool{}
		for _, chip := range codes {
			if seen[chip.Code] {
				t.Errorf("%s: the code %s stands twice", c.name, chip.Code)
			}
			seen[chip.Code] = true
		}
		if len(codes) < len(c.use) {
			t.Error(fmt.Sprint(c.name, codes))
		}
	}
}
