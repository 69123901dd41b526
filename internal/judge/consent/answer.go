package consent

import (
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// A need is a use that something comes to.
type need struct {
	use  Use
	open string // why it is not known whether it comes to that; empty: it does
}

// Share answers whether the person's images may be in a release at all, whose purpose nobody knows yet: for research, and for people elsewhere.
func (s *Standing) Share() datause.Answer { return s.ask([]need{{use: Research}, {use: Sharing}}) }

// Collect answers whether more of the person may be taken in.
func (s *Standing) Collect() datause.Answer {
	if s.stopped && !s.withdrawn {
		return one(datause.Reason{Rule: "R3", Verdict: datause.Deny, Text: "This person does not want more to be collected. They alone can change it."})
	}
	return s.ask([]need{{use: Research}})
}

// May answers for one use alone: research, and the use. Whether somebody may be asked again does not depend on research.
func (s *Standing) May(u Use) datause.Answer {
	switch {
	case u.at() < 0:
		return one(datause.Reason{Rule: "R3", Verdict: datause.Review, Text: "This is a use that this program does not know.", Remedy: "Ask whoever is responsible for the data."})
	case u == Research || u == Contact:
		return s.ask([]need{{use: u}})
	}
	return s.ask([]need{{use: Research}, {use: u}})
}

// Answer answers whether the person's images may serve a purpose of somebody outside the organisation that collected them.
func (s *Standing) Answer(p datause.Purpose) datause.Answer { return s.purpose(p, false) }

// Inside answers whether they may serve a purpose of that organisation's own people.
func (s *Standing) Inside(p datause.Purpose) datause.Answer { return s.purpose(p, true) }

func (s *Standing) purpose(p datause.Purpose, inside bool) datause.Answer {
	needs := make([]need, 0, uses)
	switch p.Kind {
	case datause.Care:
		needs = append(needs, need{Research, "People were asked about research, and care of patients is none."})
	case datause.General, datause.Health, datause.Disease, datause.Ancestry:
		needs = append(needs, need{use: Research})
	default:
		needs = append(needs, need{Research, "It is not said what the work is for."})
	}
	known := needs[0].open == "" || p.Kind == datause.Care
	if !inside || p.Onward {
		needs = append(needs, need{use: Sharing})
	}
	switch {
	case p.Commercial || p.Organisation == datause.ForProfit:
		needs = append(needs, need{use: Commercial})
	case p.Organisation != datause.NonProfit:
		needs = append(needs, need{Commercial, "It is not said whether a company asks."})
	}
	if p.Training || p.Generative {
		needs = append(needs, need{use: Training})
	}
	if p.Generative {
		needs = append(needs, need{use: Generative})
	}
	if p.Genetic {
		needs = append(needs, need{use: Genetic})
	}
	if p.Relink {
		needs = append(needs, need{use: Linkage})
	}
	elsewhere := func(c string) bool { return !strings.EqualFold(c, s.country) }
	switch {
	case s.country == "":
		needs = append(needs, need{Abroad, "It is not recorded in which country people were asked."})
	case len(p.Countries) == 0:
		needs = append(needs, need{Abroad, "It is not said in which country the work is."})
	case slices.ContainsFunc(p.Countries, elsewhere):
		needs = append(needs, need{use: Abroad})
	}
	a := s.ask(needs)
	if !known && a.Verdict == datause.Permit { // on a basis that does not ask the person
		a.Verdict = datause.Review
		a.Reasons = append(a.Reasons, datause.Reason{Rule: "R3", Verdict: datause.Review, Text: needs[0].open, Remedy: "Say it."})
		a = sorted(a)
	}
	return a
}

// ask answers for what something needs.
func (s *Standing) ask(needs []need) datause.Answer {
	if s.withdrawn {
		return one(datause.Reason{Rule: "R3", Verdict: datause.Deny, Text: "This person has withdrawn, and nothing of theirs may be used any more. They alone can change it."})
	}
	said := datause.Answer{Verdict: datause.Permit}
	say := func(to *datause.Answer, r datause.Reason) {
		to.Reasons = append(to.Reasons, r)
		to.Verdict = min(to.Verdict, r.Verdict)
	}
	for _, n := range needs {
		if s.said[n.use.at()] == Refused {
			say(&said, n.fails("This person does not permit "+words[n.use].of+".", words[n.use].instead))
		}
	}
	if s.strange {
		say(&said, datause.Reason{Rule: "R3", Verdict: datause.Review, Text: "This person has refused something that this program does not know.", Remedy: "Ask whoever is responsible for the data what it is."})
	}
	if said.Verdict == datause.Deny {
		return sorted(said)
	}
	if len(s.bases) == 0 {
		say(&said, datause.Reason{Rule: "R4", Verdict: datause.Review, Text: "Nobody has written down yet on what basis these images may be used.", Remedy: "Ask whoever is responsible for the data."})
		return sorted(said)
	}
	var best datause.Answer
	var refused []datause.Reason
	for i := range s.bases {
		by := s.under(&s.bases[i], needs)
		if by.Verdict == datause.Deny {
			for _, r := range by.Reasons {
				if r.Verdict == datause.Deny && !slices.Contains(refused, r) {
					refused = append(refused, r)
				}
			}
		}
		if i == 0 || by.Verdict > best.Verdict {
			best = by
		}
	}
	if best.Verdict == datause.Deny {
		return datause.Answer{Verdict: datause.Deny, Reasons: refused}
	}
	best.Reasons = append(best.Reasons, said.Reasons...)
	best.Verdict = min(best.Verdict, said.Verdict)
	return sorted(best)
}

// under answers on one basis for what is not refused.
func (s *Standing) under(b *basis, needs []need) datause.Answer {
	out := datause.Answer{Verdict: b.reason.Verdict, Reasons: append(make([]datause.Reason, 0, 1+len(needs)), b.reason)}
	say := func(r datause.Reason) {
		out.Reasons = append(out.Reasons, r)
		out.Verdict = min(out.Verdict, r.Verdict)
	}
	consented := true
	for _, n := range needs {
		state, w := s.said[n.use.at()], words[n.use]
		consented = consented && state == Granted && (n.use != Research || n.open == "")
		// Whoever was not asked can be studied on another basis, and never be written to.
		if b.kind != ByConsent && n.use != Contact {
			continue
		}
		switch {
		case n.use == Research && n.open != "":
			say(datause.Reason{Rule: "R3", Verdict: datause.Review, Text: n.open, Remedy: "Say what the work is for, or ask whoever is responsible for the data."})
		case state == Granted:
			say(datause.Reason{Rule: "R3", Verdict: datause.Permit, Text: w.granted})
		case state == Lapsed:
			say(n.fails("This person permitted "+w.of+" for a time, which is over.", "They can be asked anew, where they permit to be asked."))
		case state == Unsaid && n.open != "":
			say(datause.Reason{Rule: "R3", Verdict: datause.Review, Text: n.open + " Nobody has recorded whether this person permits " + w.of + ".", Remedy: "Say it."})
		case state == Unsaid:
			say(datause.Reason{Rule: "R3", Verdict: datause.Review, Text: "Nobody has recorded whether this person permits " + w.of + ".", Remedy: "Whoever is responsible for the data looks at the form that was signed."})
		}
	}
	if b.optOut && s.optedOut && !consented {
		say(datause.Reason{Rule: "R4", Verdict: datause.Deny, Text: "This person has opted out of the use of their confidential data, and has not consented to this.", Remedy: "Their own consent would permit it."})
	}
	return out
}

// fails refuses what is needed, and has a person look where it may not be.
func (n need) fails(text, remedy string) datause.Reason {
	if n.open != "" {
		return datause.Reason{Rule: "R3", Verdict: datause.Review, Text: n.open + " " + text, Remedy: "Say it, or ask whoever is responsible for the data."}
	}
	return datause.Reason{Rule: "R3", Verdict: datause.Deny, Text: text, Remedy: remedy}
}

func one(r datause.Reason) datause.Answer {
	return datause.Answer{Verdict: r.Verdict, Reasons: []datause.Reason{r}}
}
