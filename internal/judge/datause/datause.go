// Package datause answers whether what somebody wants to do with data is what the data may be used for: a purpose against a policy of the Data Use Ontology (GA4GH DUO 2021-02-23) and the terms
// that it lacks. It is pure: no database, no clock.
//
// It promises: what no alternative of the policy permits is refused, and what the policy or the purpose leaves open goes to a person ([Review]), never through; a further restriction never permits
// more; every answer says by which rule, why, and what would help.
//
//	a := datause.Match(datause.Purpose{Kind: datause.Disease, Diseases: []string{"ICD-10 C50"}, Countries: []string{"GB"}}, policy, vocabulary)
//	// a.Verdict is datause.Permit, Review or Deny; a.Reasons are sentences for people
//
// What a purpose says is what somebody says of it. It does not know whether that is true: agreements, entitlements and people decide.
package datause

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is what a piece of work is for.
type Kind string

// The kinds.
const (
	General  Kind = "general"  // research of any kind, into health or not
	Health   Kind = "health"   // research into health and disease
	Disease  Kind = "disease"  // research into the diseases that are named
	Ancestry Kind = "ancestry" // research into the origins of populations
	Care     Kind = "care"     // care of patients
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Disease, Health, General, Ancestry, Care} }

// Standing is how sure something is that a policy asks for.
type Standing string

// The standings. The empty one is None.
const (
	None    Standing = ""
	Claimed Standing = "claimed" // says who asks
	OnFile  Standing = "on-file" // a person has seen the evidence
)

// Organisation is what kind of organisation somebody works for. The empty one is not said.
type Organisation string

// The kinds of organisations.
const (
	NonProfit Organisation = "non-profit" // universities, hospitals, charities, funders
	ForProfit Organisation = "for-profit" // companies
)

// A Purpose is what somebody wants to do. The zero value asks for nothing that a policy could permit.
type Purpose struct {
	Kind     Kind
	Diseases []string // as the vocabulary knows them; where the kind is Disease

	Methods    bool // its aim is a method or a program, rather than a finding about health
	Training   bool // models are trained with it
	Generative bool // models that make images are trained with it
	Genetic    bool // genes are studied
	Animals    bool // animals are used: DNA or tissue of people in them

	Organisation Organisation // that of whoever asks
	Commercial   bool         // what comes of it is to be sold, or serves what is sold

	Countries []string // ISO 3166-1 alpha-2: where the organisations are, and where the data will be

	Ethics        Standing // approval by an ethics committee, in date
	Collaboration Standing // with the people who made the data
	Approved      Standing // the people, the institution and the project were approved by name

	Publish  bool // what is found is published
	GiveBack bool // what is made from it is given back
	Months   int  // for how long; 0: not said

	Download   bool // data leave the environment of their keeper
	Relink     bool // they are joined with other data about people
	Reidentify bool // somebody wants to know who a person is
	Onward     bool // they are given to others
}

// A Policy is what data may be used for: any of its alternatives, within all of its restrictions.
type Policy struct {
	Alternatives []Alternative
	Restrictions []string // what consent does not cover (TDCC ConsentRestriction): commercial, dna, animal, outside-eu, xenograft
}

// An Alternative is one permission with its modifiers, all of which have to hold.
type Alternative struct {
	Permission string   // NRES, GRU, HMB, DS, POA, CC
	Diseases   []string // of DS
	Modifiers  []Modifier
}

// A Modifier is a condition of DUO (NCU, IRB, ...) or of ours (AI_TRAIN, TRE_ONLY, ...), with what it takes.
type Modifier struct {
	Code   string
	Values []string // countries of GS, months of TS, a date of MOR, words of RS
}

// Verdict is an answer. The zero value refuses.
type Verdict uint8

// The verdicts, in the order of what they permit.
const (
	Deny Verdict = iota
	Review
	Permit
)

var verdictNames = [...]string{"deny", "review", "permit"}

func (v Verdict) String() string { return verdictNames[min(v, Permit)] }

// MarshalText writes its name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads a name; what it does not know refuses.
func (v *Verdict) UnmarshalText(b []byte) error {
	*v = Verdict(max(0, slices.Index(verdictNames[:], string(b))))
	return nil
}

// A Reason is one rule's part in an answer.
type Reason struct {
	Rule    string  `json:"rule"` // the code of the permission, modifier or restriction; "policy" where the policy itself lacks something
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`             // a sentence
	Remedy  string  `json:"remedy,omitempty"` // what would help; empty where nothing would
}

// An Answer is whether a purpose fits a policy.
type Answer struct {
	Verdict Verdict `json:"verdict"`
	// Reasons are those of the alternative that permits most; where all refuse, why each does. What refuses comes first, then what a person has to look at.
	Reasons []Reason `json:"reasons"`
	// Duties are what whoever uses the data has to do and to leave, where it is not refused.
	Duties []string `json:"duties,omitempty"`
	// Months is for how long use is permitted at most; 0: no limit is set.
	Months int `json:"months,omitempty"`
}

// A Vocabulary knows diseases by the names that purposes and policies give them.
type Vocabulary interface {
	Is(disease, broader string) bool // that one is a kind of the other, or the same
	Name(disease string) string      // in plain words
}

// Match answers whether a purpose fits a policy.
func Match(p Purpose, policy Policy, v Vocabulary) Answer {
	if len(policy.Alternatives) == 0 {
		return Answer{Verdict: Review, Reasons: []Reason{{"policy", Review, "Nobody has written down yet what these data may be used for.", "Ask whoever is responsible for them."}}}
	}
	common := restricted(p, policy.Restrictions)
	var best Answer
	var refused []Reason
	for i, a := range policy.Alternatives {
		one := alternative(p, a, v)
		one.Reasons = append(one.Reasons, common.Reasons...)
		one.Verdict = min(one.Verdict, common.Verdict)
		if one.Verdict == Deny {
			for _, r := range one.Reasons {
				if r.Verdict == Deny && !slices.Contains(refused, r) {
					refused = append(refused, r)
				}
			}
		}
		if i == 0 || one.Verdict > best.Verdict {
			best = one
		}
	}
	if best.Verdict == Deny {
		return Answer{Verdict: Deny, Reasons: refused}
	}
	slices.SortStableFunc(best.Reasons, func(a, b Reason) int { return int(a.Verdict) - int(b.Verdict) })
	return best
}

// alternative answers for one permission with its modifiers.
func alternative(p Purpose, a Alternative, v Vocabulary) Answer {
	out := Answer{Verdict: Permit}
	say := func(r Reason) {
		out.Reasons = append(out.Reasons, r)
		out.Verdict = min(out.Verdict, r.Verdict)
	}
	say(permission(p, a, v))
	training := false
	for _, m := range a.Modifiers {
		training = training || m.Code == "AI_TRAIN"
		rule, ok := modifiers[m.Code]
		if !ok {
			say(Reason{m.Code, Review, "There is a condition that this program does not know: " + m.Code + ".", "Ask whoever is responsible for the data."})
			continue
		}
		r, duty := rule(p, a, m, v)
		if r.Text != "" {
			r.Rule = m.Code
			say(r)
		}
		if duty != "" && !slices.Contains(out.Duties, duty) {
			out.Duties = append(out.Duties, duty)
		}
		if n, err := strconv.Atoi(first(m.Values)); m.Code == "TS" && err == nil && (out.Months == 0 || n < out.Months) {
			out.Months = n
		}
	}
	if (p.Training || p.Generative) && !training {
		say(Reason{"AI_TRAIN", Review, "The policy does not speak of training artificial intelligence.", "Ask whoever is responsible for the data."})
	}
	if p.Reidentify && !slices.ContainsFunc(a.Modifiers, func(m Modifier) bool { return m.Code == "NO_REID" }) {
		say(Reason{"NO_REID", Review, "You want to find out who people are, and the policy does not speak of it.", "Leave it, or ask for a re-identification under two people's authority."})
	}
	return out
}

// permission answers for the permission itself: DUO's tree of what is research into what.
func permission(p Purpose, a Alternative, v Vocabulary) Reason {
	no := func(text, remedy string) Reason { return Reason{a.Permission, Deny, text, remedy} }
	yes := func(text string) Reason { return Reason{a.Permission, Permit, text, ""} }
	unsure := func(text, remedy string) Reason { return Reason{a.Permission, Review, text, remedy} }
	if !slices.Contains(Kinds(), p.Kind) {
		return unsure("You have not said what you want to do.", "Say what the work is for.")
	}
	if p.Kind == Disease && len(p.Diseases) == 0 {
		return unsure("You have not said which diseases you study.", "Name the diseases.")
	}
	switch a.Permission {
	case "NRES":
		return yes("Anything is permitted.")
	case "GRU":
		if p.Kind == Care {
			return unsure("The data may be used for research, and care of patients is none.", "Ask whoever is responsible for the data.")
		}
		return yes("Any research is permitted.")
	case "HMB":
		switch p.Kind {
		case Health, Disease:
			return yes("Research into health and disease is permitted.")
		case General:
			return no("Only research into health and disease is permitted, and yours may be anything.", "Narrow your question to health.")
		case Ancestry:
			return no("Only research into health and disease is permitted: not into the origins of populations.", "")
		}
		return no("Only research is permitted, and care of patients is none.", "")
	case "DS":
		if p.Kind != Disease {
			return no("Only research into diseases that are named is permitted.", "Narrow your question to these diseases, and name them.")
		}
		for _, d := range p.Diseases {
			if within(d, a.Diseases, v) {
				continue
			}
			var names, narrower []string
			for _, of := range a.Diseases {
				names = append(names, v.Name(of))
				if v.Is(of, d) {
					narrower = append(narrower, v.Name(of))
				}
			}
			if len(narrower) > 0 {
				return no("Research into "+v.Name(d)+" is more than what is permitted.", "Study "+strings.Join(narrower, ", ")+" alone, and name it so.")
			}
			return no("Research into "+v.Name(d)+" is not permitted: only into "+strings.Join(names, ", ")+".", "Leave it out, or ask for other data.")
		}
		return yes("Research into these diseases is permitted.")
	case "POA":
		if p.Kind == Ancestry {
			return yes("Research into the origins of populations is permitted.")
		}
		return no("Only research into the origins of populations is permitted.", "")
	case "CC":
		if p.Kind == Care {
			return yes("Care of patients is permitted.")
		}
		return no("Only care of patients is permitted: no research.", "")
	}
	return unsure("There is a permission that this program does not know: "+a.Permission+".", "Ask whoever is responsible for the data.")
}

func within(d string, of []string, v Vocabulary) bool {
	return slices.ContainsFunc(of, func(b string) bool { return v.Is(d, b) })
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// A modifierRule gives a reason, whose empty text says nothing, and a duty.
type modifierRule func(p Purpose, a Alternative, m Modifier, v Vocabulary) (Reason, string)

func deny(text, remedy string) (Reason, string) {
	return Reason{Verdict: Deny, Text: text, Remedy: remedy}, ""
}
func review(text, remedy string) (Reason, string) {
	return Reason{Verdict: Review, Text: text, Remedy: remedy}, ""
}
func holds(text string) (Reason, string) { return Reason{Verdict: Permit, Text: text}, "" }
func duty(text string) (Reason, string)  { return Reason{}, text }

// forbids is a modifier that forbids one thing, and is a duty for everybody else.
func forbids(asked func(Purpose) bool, text, remedy, otherwise string) modifierRule {
	return func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		if asked(p) {
			return deny(text, remedy)
		}
		return duty(otherwise)
	}
}

// needs is a modifier that asks for something that a person has to have seen.
func needs(of func(Purpose) Standing, none, noneRemedy, claimed, seen string) modifierRule {
	return func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		switch of(p) {
		case OnFile:
			return holds(seen)
		case Claimed:
			return review(claimed, "")
		}
		return review(none, noneRemedy)
	}
}

// nonProfit asks for an organisation without profit.
func nonProfit(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
	switch p.Organisation {
	case NonProfit:
		return Reason{}, ""
	case ForProfit:
		return deny("Only organisations without profit may use the data.", "Ask for data that companies may use.")
	}
	return review("Only organisations without profit may use the data.", "Say what kind of organisation yours is.")
}

// modifiers are the rules, by code: DUO's, and ours.
var modifiers = map[string]modifierRule{
	"RS": func(_ Purpose, _ Alternative, m Modifier, _ Vocabulary) (Reason, string) {
		return review("Only some kinds of research are permitted: "+strings.Join(m.Values, "; ")+".", "A person decides whether yours is one of them.")
	},
	"NMDS": func(p Purpose, a Alternative, _ Modifier, v Vocabulary) (Reason, string) {
		if !p.Methods && !p.Training && !p.Generative {
			return duty("Do not use the data to develop methods alone.")
		}
		if a.Permission == "DS" && p.Kind == Disease && len(p.Diseases) > 0 && !slices.ContainsFunc(p.Diseases, func(d string) bool { return !within(d, a.Diseases, v) }) {
			return review("Developing methods is permitted for the diseases that are named alone.", "A person decides whether yours are developed for these.")
		}
		return deny("Developing methods is not permitted.", "Ask a question about health that the method serves, or ask for other data.")
	},
	"GSO": func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		if p.Genetic {
			return holds("Genes are studied.")
		}
		return deny("Only studies of genes are permitted: images alone are none.", "")
	},
	"NPUNCU": func(p Purpose, a Alternative, m Modifier, v Vocabulary) (Reason, string) {
		if p.Commercial {
			return deny("The data may not be used for profit.", "Ask for data that may be.")
		}
		if r, _ := nonProfit(p, a, m, v); r.Text != "" {
			return r, ""
		}
		return duty("Do not use the data for profit.")
	},
	"NPU": nonProfit,
	"NCU": forbids(func(p Purpose) bool { return p.Commercial }, "The data may not be used for profit.", "Ask for data that may be.", "Do not use the data for profit."),
	"PUB": func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		if !p.Publish {
			return deny("What is found has to be published.", "Say that you will publish it.")
		}
		return duty("Publish what you find.")
	},
	"COL": needs(func(p Purpose) Standing { return p.Collaboration }, "You have to work together with the people who made the data.", "Write to them first.",
		"You have to work together with the people who made the data: a person asks them.", "The people who made the data work with you."),
	"IRB": needs(func(p Purpose) Standing { return p.Ethics }, "Your study needs the opinion of an ethics committee.", "Get one, and attach it.",
		"Your study needs the opinion of an ethics committee: a person looks at it.", "An ethics committee has agreed."),
	"GS": func(p Purpose, _ Alternative, m Modifier, _ Vocabulary) (Reason, string) {
		if len(p.Countries) == 0 {
			return review("The data may be used in some countries only: "+strings.Join(m.Values, ", ")+".", "Say where you are, and where the data will be.")
		}
		for _, c := range p.Countries {
			if !slices.ContainsFunc(m.Values, func(v string) bool { return strings.EqualFold(c, v) }) {
				return deny("The data may be used in some countries only ("+strings.Join(m.Values, ", ")+"), and "+strings.ToUpper(c)+" is none of them.", "Keep the data, and whoever sees them, in these countries.")
			}
		}
		return duty("Keep the data, and whoever sees them, in " + strings.Join(m.Values, ", ") + ".")
	},
	"MOR": func(_ Purpose, _ Alternative, m Modifier, _ Vocabulary) (Reason, string) {
		return duty("Publish nothing before " + first(m.Values) + ".")
	},
	"TS": func(p Purpose, _ Alternative, m Modifier, _ Vocabulary) (Reason, string) {
		n, err := strconv.Atoi(first(m.Values))
		switch {
		case err != nil || n <= 0:
			return review("Use is limited in time, and the policy does not say to what.", "Ask whoever is responsible for the data.")
		case p.Months > n:
			return deny(fmt.Sprintf("Use is permitted for %d months, and you ask for %d.", n, p.Months), fmt.Sprintf("Ask for %d months; you can ask again later.", n))
		}
		return duty(fmt.Sprintf("Delete the data after %d months.", n))
	},
	"US": needs(func(p Purpose) Standing { return p.Approved }, "Only people who were approved by name may use the data.", "Ask to be.", "Only people who were approved by name may use the data: a person looks.",
		"The people were approved by name."),
	"PS": needs(func(p Purpose) Standing { return p.Approved }, "Only a project that was approved may use the data.", "Ask for yours to be.", "Only a project that was approved may use the data: a person looks.",
		"The project was approved."),
	"IS": needs(func(p Purpose) Standing { return p.Approved }, "Only institutions that were approved may use the data.", "Ask for yours to be.", "Only institutions that were approved may use the data: a person looks.",
		"The institution was approved."),
	"RTN": func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		if !p.GiveBack {
			return deny("What is made from the data has to be given back.", "Say that you will give it back.")
		}
		return duty("Give back what you make from the data.")
	},
	"NPOA": forbids(func(p Purpose) bool { return p.Kind == Ancestry || p.Kind == General }, "Research into the origins of populations is not permitted, nor such as could be.", "Narrow your question to health.",
		"Do not study the origins of populations."),
	"AI_TRAIN": func(p Purpose, _ Alternative, _ Modifier, _ Vocabulary) (Reason, string) {
		if p.Training || p.Generative {
			return holds("Training artificial intelligence is permitted.")
		}
		return Reason{}, ""
	},
	"AI_GENERATIVE": forbids(func(p Purpose) bool { return p.Generative }, "No models that make images may be trained.", "Train models that read images, or ask for other data.", "Train no models that make images."),
	"NO_REID":       forbids(func(p Purpose) bool { return p.Reidentify }, "Nobody may try to find out who the people are.", "", "Do not try to find out who anyone is."),
	"NO_RELINK":     forbids(func(p Purpose) bool { return p.Relink }, "The data may not be joined with other data about people.", "Leave the other data out.", "Do not join the data with other data about people."),
	"TRE_ONLY":      forbids(func(p Purpose) bool { return p.Download }, "The data stay in a secure environment and cannot be downloaded.", "Ask to work in that environment.", "Work in the secure environment; download nothing."),
	"NO_ONWARD":     forbids(func(p Purpose) bool { return p.Onward }, "The data may not be given to others.", "Those others can ask themselves.", "Do not pass the data on."),
}

// Codes are the modifiers that there is a rule for, in order.
func Codes() []string {
	var all []string
	for c := range modifiers {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// restricted answers for what people's consent does not cover, whatever else is permitted.
func restricted(p Purpose, restrictions []string) Answer {
	out := Answer{Verdict: Permit}
	say := func(v Verdict, rule, text, remedy string) {
		out.Reasons = append(out.Reasons, Reason{rule, v, text, remedy})
		out.Verdict = min(out.Verdict, v)
	}
	for _, r := range restrictions {
		switch r {
		case "commercial":
			switch {
			case p.Organisation == ForProfit || p.Commercial:
				say(Deny, r, "People's consent does not cover companies, nor use for profit.", "Ask for data that companies may use.")
			case p.Organisation != NonProfit:
				say(Review, r, "People's consent does not cover companies.", "Say what kind of organisation yours is.")
			}
		case "dna":
			if p.Genetic {
				say(Deny, r, "People's consent does not cover work on their DNA.", "Leave genes out.")
			}
		case "animal", "xenograft":
			if p.Animals {
				say(Deny, r, "People's consent does not cover work with animals.", "Leave animals out.")
			}
		case "outside-eu":
			if len(p.Countries) == 0 {
				say(Review, r, "There are limits outside the European Union.", "Say where you are, and where the data will be.")
			} else if slices.ContainsFunc(p.Countries, func(c string) bool { return !slices.Contains(europeanUnion, strings.ToUpper(c)) }) {
				say(Review, r, "There are limits outside the European Union.", "A person looks at them.")
			}
		default:
			say(Review, r, "There is a limit of consent that this program does not know: "+r+".", "Ask whoever is responsible for the data.")
		}
	}
	return out
}

// europeanUnion is its member states, ISO 3166-1 alpha-2.
var europeanUnion = strings.Fields("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK")
