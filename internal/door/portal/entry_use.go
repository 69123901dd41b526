package portal

import (
	"cmp"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/record/directory"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
)

// mayView is a sentence of what data may be used for, with the sign before it: ok, warn or bad.
type mayView struct{ Sign, Strong, Rest string }

// codeChip is a code of the Data Use Ontology, or of ours where it has none.
type codeChip struct {
	Code, Name, ID string
	Main           bool
}

// useSentence is a condition in plain words. %s is what it takes.
type useSentence struct{ sign, strong, rest string }

// useWords are the modifiers of DUO and our own as one reads them aloud.
var useWords = map[string]useSentence{
	"AI_TRAIN":      {"ok", "You may train artificial intelligence", "with it, and test it."},
	"RS":            {"warn", "Only for:", "%s."},
	"NMDS":          {"bad", "Not for", "developing methods alone: there has to be a question about health."},
	"GSO":           {"warn", "Only for", "studies of genes."},
	"NPUNCU":        {"bad", "Not for profit:", "only organisations without profit, and only without profit."},
	"NPU":           {"bad", "Not for companies:", "only organisations without profit may use it."},
	"NCU":           {"bad", "Not for profit:", "whoever uses it may not earn with it."},
	"PUB":           {"warn", "You must publish", "what you find."},
	"COL":           {"warn", "You work together", "with the people who made it."},
	"IRB":           {"warn", "You need an ethics opinion", "for your study."},
	"GS":            {"warn", "Only in", "%s."},
	"MOR":           {"warn", "You must wait:", "nothing may be published before %s."},
	"TS":            {"warn", "Use ends", "after %s months; then it is deleted."},
	"US":            {"warn", "Only for people", "who were approved by name."},
	"PS":            {"warn", "Only for the project", "that was approved; a new question is a new request."},
	"IS":            {"warn", "Only for institutions", "that were approved."},
	"RTN":           {"warn", "You give back", "what you make from it: contours, labels, measures."},
	"NPOA":          {"bad", "Not for research", "into the origins of populations."},
	"AI_GENERATIVE": {"bad", "No models that make images", "may be trained with it."},
	"NO_REID":       {"bad", "You must not try", "to find out who anyone is."},
	"NO_RELINK":     {"bad", "You must not join it", "with other data about people."},
	"TRE_ONLY":      {"warn", "It stays where it is:", "you work in a secure environment, nothing is downloaded."},
	"NO_ONWARD":     {"bad", "You must not pass it on", "to anybody."},
}

// restrictionWords are TDCC's restrictions of consent.
var restrictionWords = map[string]useSentence{
	"commercial": {"bad", "Not for companies:", "people's consent does not cover them."},
	"dna":        {"bad", "No work on DNA", "of the people."},
	"animal":     {"bad", "No other work", "with animals."},
	"outside-eu": {"warn", "Outside the European Union", "there are limits: ask first."},
	"xenograft":  {"bad", "No transplanting", "of samples into animals."},
}

// useOf says in plain words what data may be used for, what is needed and what is not allowed, and gives the codes that say the same to machines.
func useOf(u *directory.DataUse) (may []mayView, codes []codeChip) {
	common, seen, ai := commonTo(u), map[string]bool{}, false
	var always []mayView // what goes with each of several alternatives
	for i, a := range u.Alternatives {
		t, _ := vocabulary.DataUsePermission.Get(a.Permission)
		codes = chipOnce(codes, a.Permission, t, true)
		lead := "You may use it for"
		if i > 0 {
			lead = "Or, instead, for"
		}
		what := t.Lay + "."
		if a.Permission == "DS" {
			var names []string
			for _, c := range a.Diseases {
				names = append(names, vocabulary.LayLabel(c))
			}
			what = "research into " + strings.Join(names, ", ") + "."
		}
		may = append(may, mayView{"ok", lead, what})
		for _, m := range a.Modifiers {
			t, _ := vocabulary.DataUseModifier.Get(m.Code)
			codes = chipOnce(codes, m.Code, t, false)
			ai = ai || m.Code == "AI_TRAIN"
			key := keyOf(m)
			if common[key] && i > 0 || len(u.Alternatives) == 1 && seen[key] {
				continue
			}
			seen[key] = true
			if sentence := sentenceOf(m.Code, m.Values, t); common[key] {
				always = append(always, sentence)
			} else {
				may = append(may, sentence)
			}
		}
	}
	if len(always) > 0 {
		always[0].Strong = "In any case, " + lowerFirst(always[0].Strong)
		may = append(may, inOrder(always)...)
	}
	for _, id := range u.Restrictions {
		if s, ok := restrictionWords[id]; ok {
			may = append(may, mayView{s.sign, s.strong, s.rest})
		}
	}
	if len(u.Alternatives) > 0 && !ai {
		may = append(may, mayView{"warn", "Artificial intelligence", "is not spoken of: ask before you train models with it."})
	}
	if len(u.Alternatives) == 1 {
		may = inOrder(may)
	}
	return may, codes
}

func keyOf(m directory.Modifier) string { return m.Code + "|" + strings.Join(m.Values, "|") }

// commonTo are the conditions that each of several alternatives has: they are said once.
func commonTo(u *directory.DataUse) map[string]bool {
	if len(u.Alternatives) < 2 {
		return nil
	}
	in := map[string]int{}
	for i, a := range u.Alternatives {
		for _, m := range a.Modifiers {
			if key := keyOf(m); in[key] == i { // once of each
				in[key]++
			}
		}
	}
	all := map[string]bool{}
	for key, n := range in {
		all[key] = n == len(u.Alternatives)
	}
	return all
}

// inOrder puts what is allowed first, then what is needed, then what is not allowed.
func inOrder(may []mayView) []mayView {
	out := make([]mayView, 0, len(may))
	for _, sign := range []string{"ok", "warn", "bad"} {
		for _, m := range may {
			if m.Sign == sign {
				out = append(out, m)
			}
		}
	}
	return out
}

func sentenceOf(code string, values []string, t vocabulary.Term) mayView {
	s, ok := useWords[code]
	if !ok {
		return mayView{"warn", t.Label + ":", t.Lay + "."}
	}
	if code == "GS" {
		values = places(values)
	}
	return mayView{s.sign, s.strong, strings.Replace(s.rest, "%s", strings.Join(values, ", "), 1)}
}

func chipOnce(codes []codeChip, code string, t vocabulary.Term, main bool) []codeChip {
	for _, c := range codes {
		if c.Code == code {
			return codes
		}
	}
	return append(codes, codeChip{code, t.Label, cmp.Or(t.Ref("id"), "a term of this directory's own"), main})
}

// accessView is how one gets at a collection.
type accessView struct {
	Condition, Sign string
	Service         string
	LeadTime        string
	Steps           []stepView
	How             []string
	Rights          string // text
	RightsAddress   string
	Cost            []string
	Ask             string // the address of the form to ask by
	Question        string // where a question is asked instead
	Measured        string // how long decisions took; empty: nothing is measured here
	MeasuredOf      string // of how many, and whose time it was
	Register        string // what the data are used for; empty: there is no register of them
	Email, URL      string
	Name            string
}

type stepView struct{ Name, Text, Class string }

func accessOf(e *directory.Entry, address string) accessView {
	a := accessView{Condition: capital(vocabulary.AccessCondition.LayLabel(e.Access.Condition)), Sign: "wait", Service: capital(vocabulary.AccessService.LayLabel(e.Access.Service)),
		How: paragraphsOf(e.Access.How), Cost: paragraphsOf(e.Access.Cost), Email: e.Contact.Email, URL: e.Contact.URL, Name: cmp.Or(e.Contact.Name, e.Custodian.Name)}
	if e.Access.LeadTime != "" && e.Access.LeadTime != "not-applicable" && e.Access.LeadTime != "other" {
		a.LeadTime = vocabulary.DeliveryLeadTime.Label(e.Access.LeadTime)
	}
	if strings.HasPrefix(e.Access.Rights, "https://") && !strings.ContainsAny(e.Access.Rights, " \n") {
		a.RightsAddress = e.Access.Rights
	} else {
		a.Rights = e.Access.Rights
	}
	open := e.Access.Condition != "closed" && e.Access.Condition != "restricted"
	if open {
		a.Ask, a.Question = "/ask?about="+address, "/ask?about="+address
		if e.Holding == directory.Here {
			a.Ask = address + "/request"
		}
		a.Sign = "ok"
	}
	work := stepView{"Download", "by one command, which checks every byte.", ""}
	switch e.Access.Service {
	case "tre":
		work = stepView{"Work in the secure environment", "nothing is taken away but results.", ""}
	case "federated":
		work = stepView{"Send your analysis", "it travels to the data, and only results come back.", ""}
	case "varies":
		work = stepView{"Work with it", "by download or in a secure environment, as the project needs.", ""}
	}
	switch {
	case !open:
	case e.Access.Service == "open":
		work.Class = "now"
		a.Steps = []stepView{work}
	case e.Access.Condition == "collaboration":
		a.Steps = []stepView{{"Write to the people who keep it", "and propose what to do together.", "now"}, {"Agree on a project", "and on who does what.", ""}, {"Sign the agreement", "with the custodian.", ""}, work}
	default:
		first := stepView{"Ask", "with one form, checked against the terms as you write.", "now"}
		if e.Access.Condition == "open-calls" {
			first = stepView{"Wait for a call,", "then ask with one form.", "now"}
		}
		decide := stepView{"The custodian decides", "", ""}
		if a.LeadTime != "" {
			decide.Text = "and all in all it takes " + lowerFirst(a.LeadTime) + ", says the custodian."
		}
		a.Steps = []stepView{first, decide, {"Sign the agreement", "once for the project.", ""}, work}
	}
	return a
}
