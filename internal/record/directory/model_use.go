package directory

import (
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// Match answers whether a purpose is what the data may be used for. Its diseases are codes as [vocabulary.Code.String] writes them.
func (d *DataUse) Match(p datause.Purpose) datause.Answer {
	return datause.Match(p, d.Policy(), Diseases{})
}

// Policy is the same as judges take it.
func (d *DataUse) Policy() datause.Policy {
	policy := datause.Policy{Restrictions: d.Restrictions}
	for _, u := range d.Alternatives {
		a := datause.Alternative{Permission: u.Permission}
		for _, c := range u.Diseases {
			a.Diseases = append(a.Diseases, c.String())
		}
		for _, m := range u.Modifiers {
			a.Modifiers = append(a.Modifiers, datause.Modifier(m))
		}
		policy.Alternatives = append(policy.Alternatives, a)
	}
	return policy
}

// Diseases are those of the vocabulary: a [datause.Vocabulary].
type Diseases struct{}

func codeOf(s string) vocabulary.Code {
	system, value, _ := strings.Cut(s, " ")
	return vocabulary.Code{System: vocabulary.System(system), Value: value}
}

// Is tells whether a disease is a kind of another.
func (Diseases) Is(d, broader string) bool { return vocabulary.Is(codeOf(d), codeOf(broader)) }

// Name is a disease in plain words, with its code.
func (Diseases) Name(d string) string {
	c := codeOf(d)
	if c.System == vocabulary.Group {
		return vocabulary.LayLabel(c)
	}
	if l := vocabulary.LayLabel(c); l != "" && l != c.Value && l != d {
		return l + " (" + c.Value + ")"
	}
	return d
}
