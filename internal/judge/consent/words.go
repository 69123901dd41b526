package consent

import (
	"math"
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
)

// wording is how a use is spoken of.
type wording struct {
	label   string // of a column or a box
	of      string // after "permits"
	granted string // a sentence
	instead string // what would help where it is refused
}

var words = map[Use]wording{
	Research: {"Research", "research", "This person permits research.", "Nothing but another answer of theirs would help: leave this person out."},
	Sharing: {"Sharing with others", "giving the images to people outside the organisation that collected them", "This person permits giving the images to others.",
		"Work inside the organisation that collected the images, or leave this person out."},
	Commercial: {"Companies and profit", "use by companies or for profit", "This person permits use by companies and for profit.", "Leave this person out, or have the work done without profit."},
	Training:   {"Training artificial intelligence", "training artificial intelligence", "This person permits training artificial intelligence.", "Leave this person out of the training."},
	Generative: {"Models that make images", "training models that make images", "This person permits training models that make images.", "Train models that read images, or leave this person out."},
	Genetic:    {"Studying genes", "studying their genes", "This person permits studying their genes.", "Leave genes out, or this person."},
	Abroad:     {"Use in other countries", "use in other countries", "This person permits use in other countries.", "Keep the images, and whoever sees them, in the country where people were asked; or leave this person out."},
	Linkage:    {"Joining with other data", "joining with other data about them", "This person permits joining with other data about them.", "Leave the other data out, or this person."},
	Contact:    {"Being asked again", "being asked again", "This person permits being asked again.", "Nothing but another answer of theirs would help: do not write to them."},
}

// Label names a use, for a column or a box.
func (u Use) Label() string { return words[u].label }

// Words name a use in a sentence, after "permits".
func (u Use) Words() string { return words[u].of }

var kindWords = map[Kind]string{ByConsent: "consent", Section251: "section 251", Anonymised: "anonymised", Public: "public"}

// Words answer what may be done with the person's images, in sentences.
func (s *Standing) Words() []string {
	if s.withdrawn {
		return []string{"This person has withdrawn. Nothing of theirs may be used any more."}
	}
	var named [3][]string
	for _, u := range allUses {
		v := s.May(u).Verdict
		named[v] = append(named[v], words[u].of)
	}
	var out []string
	for _, l := range []struct {
		v     datause.Verdict
		words string
	}{{datause.Permit, "Permitted: "}, {datause.Review, "Not known, so that a person has to decide: "}, {datause.Deny, "Not permitted: "}} {
		if len(named[l.v]) > 0 {
			out = append(out, l.words+strings.Join(named[l.v], "; ")+".")
		}
	}
	if s.stopped {
		out = append(out, "Nothing more of this person is collected.")
	}
	for _, r := range s.ask([]need{{use: Research}}).Reasons {
		if r.Rule == "R4" {
			out = append(out, r.Text)
		}
	}
	return out
}

// A Tally counts people by what may be done with their images. The zero value has none.
type Tally struct {
	people, withdrawn int64
	by                [uses][datause.Permit + 1]int64
}

// Add counts one more person.
func (t *Tally) Add(s *Standing) {
	t.people++
	if s.withdrawn {
		t.withdrawn++
		return
	}
	for k, u := range allUses {
		t.by[k][s.ask([]need{{use: u}}).Verdict]++
	}
}

// Summary is what is told of many people: numbers as headcount.Tell gives them, 0 for none and for fewer than ten.
type Summary struct {
	People    int64     `json:"people"`
	Withdrawn int64     `json:"withdrawn"` // from use; they count in no use
	Uses      []Numbers `json:"uses,omitempty"`
	// Withheld: nothing but the number of people is told.
	Withheld bool `json:"withheld,omitempty"`
}

// Numbers are how many people permit a use, each use looked at alone: whoever permits one may have refused another.
type Numbers struct {
	Use     Use   `json:"use"`
	Permit  int64 `json:"permit"`
	Unknown int64 `json:"unknown"` // a person has to decide
	Refuse  int64 `json:"refuse"`
	// Withheld: none of the three is told, because with the rest they would tell of a few people.
	Withheld bool `json:"withheld,omitempty"`
}

// apart is the number of people from which each use is withheld by itself. Of fewer people the very choice of what is withheld would tell.
const apart = 50

// Summary tells the numbers. A use is withheld where a small one of its numbers could be taken from the others and the number of people; of fewer than fifty people then nothing else is told either.
func (t *Tally) Summary() Summary {
	out := Summary{People: headcount.Tell(t.people), Withdrawn: headcount.Tell(t.withdrawn)}
	for k, u := range allUses {
		n := &t.by[k]
		out.Uses = append(out.Uses, Numbers{Use: u, Permit: headcount.Tell(n[datause.Permit]), Unknown: headcount.Tell(n[datause.Review]), Refuse: headcount.Tell(n[datause.Deny])})
		if out.safe() {
			continue
		}
		if out.Uses[k] = (Numbers{Use: u, Withheld: true}); out.People < apart {
			return Summary{People: out.People, Withheld: true}
		}
	}
	return out
}

// safe reports that each number that looks small may be 0, and may be 9 (docs/decisions/0003-small-numbers.md). Each person has withdrawn, or is in exactly one number of each use: so every use
// bounds the number of those who have not, and given that number the uses are free of each other. It looks at what is told alone, so that being withheld says no more than that does.
func (s *Summary) safe() bool {
	const nine = headcount.Few - 1
	var low, most int64 = 0, math.MaxInt64        // who has not withdrawn, by the uses
	var zero, all int64 = math.MaxInt64, 0        // how many they are at most if a small number is 0, and at least if one is 9
	people, everybody := headcount.Span(s.People) // who there is
	gone, left := headcount.Span(s.Withdrawn)     // who has withdrawn
	for _, u := range s.Uses {
		if u.Withheld {
			continue
		}
		var l, h int64
		small := false
		for _, n := range []int64{u.Permit, u.Unknown, u.Refuse} {
			x, y := headcount.Span(n)
			l, h = l+x, h+y
			small = small || n < headcount.Few
		}
		low, most = max(low, l), min(most, h)
		if small {
			zero, all = min(zero, h-nine), max(all, l+nine)
		}
	}
	if s.Withdrawn < headcount.Few && (max(low, people) > min(most, everybody) || max(low, people-nine) > min(most, everybody-nine)) {
		return false // nobody has withdrawn, or nine have
	}
	low, most = max(low, people-left), min(most, everybody-gone)
	return low <= min(zero, most) && max(low, all) <= most
}

// Words answer what may be done with these people's images, in sentences.
func (s *Summary) Words() []string {
	out := []string{"There are " + headcount.Words(s.People) + " people."}
	if s.People < headcount.Few {
		return out
	}
	if s.Withheld {
		return append(out, "They are too few to tell what they permit.")
	}
	out = append(out, "Of these, "+headcount.Words(s.Withdrawn)+" have withdrawn: nothing of theirs may be used.")
	for _, u := range s.Uses {
		if u.Withheld {
			out = append(out, words[u.Use].label+": not told, because it would tell of a few people.")
			continue
		}
		out = append(out, words[u.Use].label+": "+headcount.Words(u.Permit)+" permit it, "+headcount.Words(u.Unknown)+" have to be looked at by a person, "+headcount.Words(u.Refuse)+" do not permit it.")
	}
	return out
}

// ParseUse reads a use's name.
func ParseUse(name string) (Use, bool) {
	u := Use(strings.ToLower(strings.TrimSpace(name)))
	return u, slices.Contains(allUses[:], u)
}
