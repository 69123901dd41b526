package portal

import (
	"net/url"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/directorytest"
)

// What an entry says goes through the form and comes back as it was, with what the form does not ask for.
func TestNothingIsLostInTheForm(t *testing.T) {
	all := []directory.Entry{directorytest.Minimal(), directorytest.Full().Entry}
	here := directorytest.Full().Entry
	here.Holding, here.Collection, here.Declared = directory.Here, "default", nil
	all = append(all, here)
	for _, m := range directorytest.Make(5, 300) {
		all = append(all, m.Entry)
	}
	for i, e := range all {
		v := valuesOf(&e)
		sent, err := url.ParseQuery(v.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, problems := readEntry(e, sent)
		if len(problems) > 0 || !reflect.DeepEqual(canonical(got), canonical(e)) {
			t.Fatalf("entry %d: %v\n%s", i, problems, cmp.Diff(e, got))
		}
		if !same(&e, &got) || len(problemsOf(&got)) > 0 {
			t.Fatalf("entry %d: %v %v", i, differences(&e, &got), problemsOf(&got))
		}
		// Onto an empty entry of the same holding, so that nothing comes from where it was.
		bare, problems := readEntry(directory.Entry{Holding: e.Holding, Collection: e.Collection}, sent)
		for _, d := range differences(&e, &bare) {
			t.Fatalf("entry %d: the form does not ask for it: %+v %v", i, d, problems)
		}
	}
}

// canonical has no empty lists beside missing ones.
func canonical(e directory.Entry) map[string]string { return flat(&e) }

// Every problem of a document and every gap leads to an input that is there.
func TestEveryProblemHasItsInput(t *testing.T) {
	full := directorytest.Full().Entry
	f := &entryForm{ID: "x", Entry: full}
	f.view(valuesOf(&full), nil)
	inputs := map[string]bool{}
	var add func(in inputView)
	add = func(in inputView) {
		inputs[in.Path] = true
		for _, row := range in.Rows {
			for _, c := range slices.Concat(row.Inputs, row.More) {
				add(c)
			}
		}
		for _, u := range in.Uses {
			add(u.Permission)
			add(u.Diseases)
			inputs[u.ModifiersFieldName] = true
		}
	}
	for _, p := range f.Parts {
		for _, in := range slices.Concat(p.Inputs, p.More) {
			add(in)
		}
	}
	empty := directory.Entry{Holding: directory.Elsewhere, Conditions: full.Conditions, Domains: []string{"pathology"}, AssociatedData: []directory.AssociatedData{{Type: "x"}}, Funding: []directory.Grant{{Funder: "x"}}}
	for _, g := range empty.Completeness().Gaps {
		if in := inputOf(g.Path); !inputs[in] {
			t.Errorf("the gap %s leads to %s, which is no input", g.Path, in)
		}
	}
	wrong := full
	wrong.Title, wrong.Contact.Email, wrong.Custodian.ROR, wrong.Start = "x", "nobody", "ror", "yesterday"
	wrong.Funding = []directory.Grant{{Funder: "x", Start: "yesterday"}}
	wrong.Keywords = []string{"a"}
	wrong.Publications = []directory.Publication{{DOI: "http://x"}}
	wrong.DataUse.Alternatives = []directory.Use{{Permission: "DS", Modifiers: []directory.Modifier{{Code: "GS", Values: []string{"Britain"}}}}}
	wrong.SampleSets = []directory.SampleSet{{Sex: "women"}}
	wrong.Access.Jurisdiction = []string{"Britain"}
	for in := range problemsOf(&wrong) {
		if !inputs[in] {
			t.Errorf("a problem is told at %s, which is no input", in)
		}
	}
	if n := len(problemsOf(&wrong)); n < 9 {
		t.Errorf("only %d problems", n)
	}
}
