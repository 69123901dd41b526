package describe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// duoTerms is where the terms of the Data Use Ontology have their addresses.
const duoTerms = "http://purl.obolibrary.org/obo/"

// term is a term of data use: of the Data Use Ontology, or of our own.
type term struct {
	code   string   // "HMB", "AI_TRAIN"
	label  string   // "Health or medical or biomedical research"
	lay    string   // in plain words
	duo    string   // "DUO:0000006"; empty: it is our own
	values []string // what it takes: diseases of DS, countries of GS ...
}

func termOf(l *vocabulary.List, code string, values []string) term {
	t, _ := l.Get(code)
	return term{code: code, label: t.Label, lay: t.Lay, duo: t.Ref("id"), values: values}
}

// address is the term's, where it has one.
func (t *term) address() string {
	if t.duo == "" {
		return ""
	}
	return duoTerms + strings.Replace(t.duo, ":", "_", 1)
}

// text is the term in words, with its values.
func (t *term) text() string {
	if len(t.values) == 0 {
		return t.label
	}
	return t.label + ": " + strings.Join(t.values, ", ")
}

// alternative is one of the ways in which the data may be used: the permission first, then each condition.
func alternative(u directory.Use) []term {
	var diseases []string
	for _, d := range u.Diseases {
		diseases = append(diseases, vocabulary.Label(d)+" ("+d.String()+")")
	}
	out := []term{termOf(vocabulary.DataUsePermission, u.Permission, diseases)}
	for _, m := range u.Modifiers {
		out = append(out, termOf(vocabulary.DataUseModifier, m.Code, m.Values))
	}
	return out
}

// widening are the modifiers that allow something. All others forbid or ask for something.
var widening = []string{"AI_TRAIN"}

// flat is the data use for readers that know a list of terms and no alternatives. Whoever keeps to all of its conditions keeps to those of whichever alternative
// permits the purpose: it has every permission, every condition, and of what widens only what all alternatives allow.
func flat(u *directory.DataUse) []term {
	var permissions, conditions []term
	count := map[string]int{}
	for _, a := range u.Alternatives {
		in := map[string]bool{}
		for i, t := range alternative(a) {
			list := &conditions
			if i == 0 {
				list = &permissions
			}
			same := func(o term) bool { return o.code == t.code && slices.Equal(o.values, t.values) }
			if !slices.ContainsFunc(*list, same) {
				*list = append(*list, t)
			}
			if i > 0 && !in[t.code] {
				in[t.code] = true
				count[t.code]++
			}
		}
	}
	conditions = slices.DeleteFunc(conditions, func(t term) bool { return slices.Contains(widening, t.code) && count[t.code] < len(u.Alternatives) })
	return slices.Concat(permissions, conditions)
}

// useText is the data use in words: alternatives joined by "or", each with its conditions.
func useText(u *directory.DataUse) string {
	var out []string
	for _, a := range u.Alternatives {
		var words []string
		for _, t := range alternative(a) {
			words = append(words, t.text())
		}
		out = append(out, strings.Join(words, "; "))
	}
	s := strings.Join(out, "; or: ")
	if u.Note != "" {
		s = strings.TrimLeft(s+". "+u.Note, ". ")
	}
	return s
}

// definedTerm is a term as schema.org writes one.
func definedTerm(t term) object {
	o := object{"@type": "DefinedTerm", "name": t.text()}
	filled(o, "description", t.lay)
	if a := t.address(); a != "" {
		o["@id"], o["url"], o["termCode"], o["inDefinedTermSet"] = a, a, strings.Replace(t.duo, ":", "_", 1), duoTerms+"duo.owl"
		if len(t.values) > 0 {
			delete(o, "@id") // with its values it is not the term alone
		}
	} else {
		o["termCode"] = t.code
	}
	return o
}

// offers are the alternatives as policies of ODRL: what one may do, under all of its constraints.
func offers(u *directory.DataUse) []object {
	var out []object
	for i, a := range u.Alternatives {
		terms := alternative(a)
		var constraints []object
		for _, d := range a.Diseases {
			constraints = append(constraints, object{"@type": "odrl:Constraint", "name": "Disease: " + vocabulary.Label(d), "odrl:leftOperand": ref(duoTerms + "DUO_0000010"),
				"odrl:operator": ref("odrl:isA"), "odrl:rightOperand": d.String()})
		}
		for _, t := range terms[1:] {
			c := object{"@type": "odrl:Constraint", "name": t.text(), "odrl:operator": ref("odrl:eq"), "odrl:rightOperand": t.code}
			if t.duo != "" {
				c["odrl:rightOperand"] = ref(t.address())
			}
			constraints = append(constraints, c)
		}
		p := object{"@type": "odrl:Permission", "odrl:action": object{"@id": terms[0].address(), "name": terms[0].label}}
		filled(p, "odrl:constraint", constraints)
		o := object{"@type": []string{"CreativeWork", "odrl:Offer"}, "name": "What the data may be used for", "odrl:permission": p}
		if len(u.Alternatives) > 1 {
			o["name"] = "What the data may be used for: alternative " + strconv.Itoa(i+1)
		}
		out = append(out, o)
	}
	return out
}

// usage is what schema.org's usageInfo says: the flat list of terms, then each alternative as a policy.
func (r *Release) usage() []object {
	var out []object
	for _, t := range flat(&r.DataUse) {
		out = append(out, definedTerm(t))
	}
	return append(out, offers(&r.DataUse)...)
}
