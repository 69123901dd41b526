package portal_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Everybody may ask whether their work fits: the page answers by the published entry, keeps what was filled in, and takes what it does not know for no answer.
func TestMayUse(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, _ string) {
		e := north()
		e.DataUse = directory.DataUse{Alternatives: []directory.Use{{Permission: "DS", Diseases: []vocabulary.Code{{System: vocabulary.ICD10, Value: "C50"}},
			Modifiers: []directory.Modifier{{Code: "NCU"}, {Code: "AI_TRAIN"}, {Code: "TS", Values: []string{"24"}}}}}}
		register(t, n, "north", e, true)
		later := e
		later.DataUse = directory.DataUse{Alternatives: []directory.Use{{Permission: "NRES"}}}
		if _, err := n.Directory.Save(t.Context(), operator, "north", later, 1, ""); err != nil {
			t.Fatal(err)
		}
		v := visit(t, base)
		_, form, _ := v.do("GET", "/directory/north/use", nil)
		if strings.Contains(form, "The answer") || !strings.Contains(form, `name="for"`) || !strings.Contains(form, `name="organisation"`) {
			t.Errorf("the form: %.300s", form)
		}
		known := directoryflow.PurposeParameters()
		for _, part := range strings.Split(form, ` name="`)[1:] {
			if name, _, _ := strings.Cut(part, `"`); name != "viewport" && name != "theme" && name != "back" && !slices.Contains(known, name) && strings.Contains(part[:min(len(part), 40)], "value=") {
				t.Errorf("the form asks for %s, which nothing reads", name)
			}
		}
		for q, want := range map[string][]string{
			"for=disease&disease=C50.4&organisation=non-profit&training=yes&months=12": {"200", "Yes, as far as you have said", "Do not use the data for profit", "Delete the data after 24 months", `value="C50.4"`},
			"for=disease&disease=breast+cancer&organisation=for-profit&commercial=yes": {"200", "<b>No.</b>", "is more than what is permitted", "(C50) alone", "may not be used for profit", ">NCU<"},
			"for=general&organisation=non-profit":                                      {"200", "<b>No.</b>", "Narrow your question to these diseases"},
			"for=disease&organisation=non-profit":                                      {"200", "A person has to decide", "Name the diseases"},
			"for=disease&disease=flurb&organisation=non-profit":                        {"422", "not known here", `value="flurb"`},
			"for=disease&disease=C50&training=perhaps":                                 {"422", "neither yes nor no"},
			"for=disease&disease=C50&fun=yes":                                          {"422", "Nothing is known of one of its parameters"},
			"for=disease&disease=" + url.QueryEscape(`"><script>alert(1)</script>`):    {"422", "&lt;script&gt;"},
			"for=ancestry&organisation=non-profit&ethics=on-file":                      {"422"},
		} {
			code, body, _ := v.do("GET", "/directory/north/use?"+q, nil)
			if got := map[int]string{200: "200", 422: "422"}[code]; got != want[0] {
				t.Errorf("%s: %d", q, code)
			}
			for _, s := range want[1:] {
				if !strings.Contains(body, s) {
					t.Errorf("%s: nothing of %q", q, s)
				}
			}
			if strings.Contains(body, "<script>alert") {
				t.Error("what was filled in is run")
			}
		}
		if code, _, _ := v.do("GET", "/directory/nowhere/use?for=health", nil); code != 404 {
			t.Errorf("an entry that is not there: %d", code)
		}
	})
}
