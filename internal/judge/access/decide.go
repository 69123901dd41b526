package access

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// A Pass is the answer to a request, but for the subject. The zero value permits nothing.
type Pass struct {
	options []option
	share   bool // what is asked for serves no purpose yet: the subject is asked whether the images may be shared at all
	inside  bool // whoever asks belongs to the organisation that collected
	now     time.Time
	until   time.Time
}

// An option is the answer by one grant.
type option struct {
	answer  datause.Answer
	purpose datause.Purpose // with what is known of who asks
	grant   int
}

// say adds a rule's part.
func (o *option) say(rule string, v datause.Verdict, text, remedy string) {
	o.add(datause.Reason{Rule: rule, Verdict: v, Text: text, Remedy: remedy})
}

func (o *option) add(r datause.Reason) {
	o.answer.Reasons = append(o.answer.Reasons, helped(r))
	o.answer.Verdict = min(o.answer.Verdict, r.Verdict)
}

// helped says so where nothing would help.
func helped(r datause.Reason) datause.Reason {
	if r.Remedy == "" {
		switch r.Verdict {
		case datause.Deny:
			r.Remedy = "Nothing that you can do would help."
		case datause.Review:
			r.Remedy = "A person looks at it."
		}
	}
	return r
}

func (o *option) deny(rule, text, remedy string)   { o.say(rule, datause.Deny, text, remedy) }
func (o *option) review(rule, text, remedy string) { o.say(rule, datause.Review, text, remedy) }
func (o *option) permit(rule, text string)         { o.say(rule, datause.Permit, text, "") }

// Enter answers by every rule that does not depend on the subject.
func Enter(f Facts) Pass {
	p := Pass{now: f.Now, inside: f.Custodian != "" && f.Custodian == f.Person.Organisation}
	p.mark(f.Read.Add(fresh + 1))
	common := option{answer: datause.Answer{Verdict: datause.Permit, Reasons: make([]datause.Reason, 0, 12)}, grant: -1}
	switch {
	case f.Now.IsZero() || f.Read.IsZero() || f.Read.After(f.Now):
		common.review("R5", "It is not known of when the facts are.", "Ask again.")
	case f.Now.Sub(f.Read) > fresh:
		common.review("R5", "What is known of this permission is older than a minute, and it may have been taken back since.", "Ask again: it is looked up anew.")
	}
	if f.Want < Count || f.Want > Download {
		common.review("R5", "It is not known what is asked for.", "Ask for a count, a preview, to view, to analyse or to download.")
	}
	p.person(&f, &common)
	p.release(&f, &common)
	if f.Want.Level() != Entitled {
		p.share = true
		p.options = []option{common}
		return p
	}
	p.service(&f, &common)
	if len(f.Grants) == 0 {
		common.deny("R5", "You are not entitled to this.", "Ask for access.")
		p.options = []option{common}
		return p
	}
	p.options = make([]option, 0, len(f.Grants))
	for i := range f.Grants {
		g, o := &f.Grants[i], common
		if i < len(f.Grants)-1 { // the last may have the slice
			o.answer.Reasons = append(make([]datause.Reason, 0, 12), common.answer.Reasons...)
		}
		o.grant, o.purpose = i, of(&f, g.Purpose)
		p.use(&f, g, &o)
		p.entitlement(&f, g, &o)
		p.agreement(&f, g, &o)
		p.owed(&f, g, &o)
		p.options = append(p.options, o)
	}
	return p
}

// mark notes that time may change the answer then.
func (p *Pass) mark(t time.Time) {
	if t.After(p.now) && (p.until.IsZero() || t.Before(p.until)) {
		p.until = t
	}
}

// Until is when the facts have to be read anew: they are a minute old, or something begins or ends. From then on the pass permits nothing.
func (p *Pass) Until() time.Time { return p.until }

// of is a purpose with what is known of who asks, and for what: a company's people do not work for a charity by saying so.
func of(f *Facts, p datause.Purpose) datause.Purpose {
	switch {
	case f.Person.Kind == datause.ForProfit:
		p.Organisation = datause.ForProfit
	case f.Person.Kind != datause.NonProfit && p.Organisation == datause.NonProfit:
		p.Organisation = "" // nobody knows
	}
	if len(f.Person.Countries) == 0 {
		p.Countries = nil
	} else {
		for _, c := range f.Person.Countries {
			if !slices.ContainsFunc(p.Countries, func(o string) bool { return strings.EqualFold(c, o) }) {
				p.Countries = append(slices.Clip(p.Countries), c)
			}
		}
	}
	p.Download = p.Download || f.Want >= Download
	return p
}

// person is R0.
func (p *Pass) person(f *Facts, o *option) {
	who := &f.Person
	ok := o.answer.Verdict
	if !who.Active {
		o.deny("R0", "This account is not active.", "Whoever runs this node can activate it.")
	}
	if f.Want.Level() == Accepted && !who.TermsAgreed {
		o.deny("R0", "The terms of previews have not been agreed to.", "Read them, and agree.")
	}
	if f.Want.Level() != Entitled {
		return
	}
	wanted := f.Release.Assurance
	if wanted == "" {
		wanted = Low
	}
	switch have, need := who.Assurance.rank(), wanted.rank(); {
	case need == 0:
		o.review("R0", "How sure it has to be who you are is told in words that this program does not know.", "Ask whoever is responsible for the data.")
	case have == 0:
		o.deny("R0", "It is not known how sure it is who you are.", "Sign in with your institution's account or a passkey.")
	case have < need:
		o.deny("R0", "It is not sure enough who you are ("+string(who.Assurance)+", and "+string(wanted)+" is wanted).", "Sign in in a stronger way, or have your identity checked.")
	}
	until := who.Affiliated.AddDate(1, 0, 0)
	p.mark(until.Add(1))
	switch {
	case who.Affiliated.IsZero():
		o.deny("R0", "It has not been checked that you belong to your organisation.", "Have it confirmed.")
	case who.Affiliated.After(f.Now):
		o.review("R0", "The check that you belong to your organisation is dated later than now.", "Have it confirmed anew.")
	case f.Now.After(until):
		o.deny("R0", "It was checked more than 12 months ago that you belong to your organisation.", "Have it confirmed anew.")
	}
	p.mark(who.Trained)
	switch {
	case who.Trained.IsZero():
		o.deny("R0", "You have no training in handling these data.", "Take the course.")
	case !f.Now.Before(who.Trained):
		o.deny("R0", "Your training in handling these data has run out.", "Take the course again.")
	}
	if o.answer.Verdict == ok && ok == datause.Permit {
		o.permit("R0", "You are known, and your training is in date.")
	}
}

// release is R1, but for the entry.
func (p *Pass) release(f *Facts, o *option) {
	switch f.State {
	case Published, Amended:
	case Superseded:
		remedy := "Use a later version."
		if f.Successor != "" {
			remedy = "Use version " + f.Successor + "."
		}
		o.deny("R1", "A later version has taken this one's place.", remedy)
	case Tombstoned:
		o.deny("R1", "This release was taken back.", "")
	case Draft:
		o.deny("R1", "This release is not published yet.", "Wait until it is.")
	default:
		o.review("R1", "It is not known how this release stands.", "Ask whoever is responsible for the data.")
	}
	p.mark(f.Embargo)
	if f.Now.Before(f.Embargo) {
		o.deny("R1", "Nothing of this release is given before "+day(f.Embargo)+".", "Ask again then.")
	}
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// service is R8.
func (p *Pass) service(f *Facts, o *option) {
	switch f.Service {
	case Open, Downloaded:
	case Secure:
		if f.Want >= Download {
			o.deny("R8", "These data stay in a secure environment.", "Ask to analyse them there.")
		}
	case Federated:
		o.deny("R8", "These data are not given: questions go to them, and numbers come back.", "Ask for counts.")
	default:
		o.review("R8", "It is not known in which way these data are given.", "Ask whoever is responsible for the data.")
	}
	if len(f.Regions) == 0 {
		return
	}
	if len(f.Person.Countries) == 0 {
		o.review("R8", "These data may be in some countries only ("+strings.Join(f.Regions, ", ")+"), and it is not known where you are.", "Say where you are, and where the data will be.")
	}
	for _, c := range f.Person.Countries {
		if !slices.ContainsFunc(f.Regions, func(r string) bool { return strings.EqualFold(c, r) }) {
			o.deny("R8", "These data may be in some countries only ("+strings.Join(f.Regions, ", ")+"), and "+strings.ToUpper(c)+" is none of them.", "Ask from one of these countries, and keep the data there.")
			return
		}
	}
}

// use is R2: each of the policies, and the conditions of the entitlement.
func (p *Pass) use(f *Facts, g *Grant, o *option) {
	if len(f.Policies) == 0 {
		o.review("R2 policy", "Nobody has written down yet what these data may be used for.", "Ask whoever is responsible for them.")
	}
	settled := len(g.Settled.Rules) > 0 && g.Settled.Policies == Fingerprint(f.Policies)
	limit := 0
	take := func(a datause.Answer, settled bool) {
		for _, r := range a.Reasons {
			if settled && g.Settled.lifts(r) {
				r = datause.Reason{Rule: r.Rule, Verdict: datause.Permit, Text: "The custodian has looked at this: " + r.Text}
			}
			if r.Rule = "R2 " + r.Rule; r.Verdict != datause.Permit || !slices.Contains(o.answer.Reasons, r) {
				o.add(r)
			}
		}
		for _, d := range a.Duties {
			if !slices.Contains(o.answer.Duties, d) {
				o.answer.Duties = append(o.answer.Duties, d)
			}
		}
		if a.Months > 0 && (limit == 0 || a.Months < limit) {
			limit = a.Months
		}
	}
	for _, policy := range f.Policies {
		if !settled || len(policy.Alternatives) < 2 {
			take(datause.Match(o.purpose, policy, f.Vocabulary), settled)
			continue
		}
		take(f.nearest(o.purpose, policy, &g.Settled), true)
	}
	e := &g.Entitlement
	if len(e.Conditions) > 0 {
		// Whatever the policy permits, within the conditions: that one may train is the policy's to say.
		all := append([]datause.Modifier{{Code: "AI_TRAIN"}}, e.Conditions...)
		a := datause.Match(o.purpose, datause.Policy{Alternatives: []datause.Alternative{{Permission: "NRES", Modifiers: all}}}, f.Vocabulary)
		a.Reasons = slices.DeleteFunc(a.Reasons, func(r datause.Reason) bool {
			return r.Rule == "AI_TRAIN" || r.Rule == "NRES" && r.Verdict == datause.Permit
		})
		take(a, false)
	}
	o.answer.Duties = append(o.answer.Duties, e.Duties...)
	if o.answer.Months = limit; limit > 0 && !e.NotBefore.IsZero() {
		end := e.NotBefore.AddDate(0, limit, 0)
		if p.mark(end); !f.Now.Before(end) {
			o.deny("R2 TS", "Use was permitted for "+number(limit, "month")+", which are over.", "Ask for access anew.")
		}
	}
}

// nearest is the answer of the alternative that permits most when what is settled is lifted.
func (f *Facts) nearest(purpose datause.Purpose, policy datause.Policy, settled *Settled) datause.Answer {
	whole := datause.Match(purpose, policy, f.Vocabulary)
	most := datause.Deny
	for i := range policy.Alternatives {
		a := datause.Match(purpose, datause.Policy{Alternatives: policy.Alternatives[i : i+1], Restrictions: policy.Restrictions}, f.Vocabulary)
		v := datause.Permit
		for _, r := range a.Reasons {
			if !settled.lifts(r) {
				v = min(v, r.Verdict)
			}
		}
		if v > most {
			whole, most = a, v
		}
	}
	return whole
}

// entitlement is R5.
func (p *Pass) entitlement(f *Facts, g *Grant, o *option) {
	e := &g.Entitlement
	ok := true
	no := func(text, remedy string) {
		ok = false
		o.deny("R5", text, remedy)
	}
	switch e.State {
	case Active:
	case Suspended:
		no("Your entitlement is suspended.", "Ask the custodian what is missing.")
	case Revoked:
		no("Your entitlement was revoked.", "Ask the custodian why; you can ask for access anew.")
	case Expired:
		no("Your entitlement has ended.", "Ask for access anew.")
	default:
		ok = false
		o.review("R5", "It is not known how your entitlement stands.", "Ask the custodian.")
	}
	if e.Collection != f.Collection || e.Dataset != "" && e.Dataset != f.Dataset || f.Collection == "" {
		no("Your entitlement is for other data.", "Ask for access to these.")
	} else if !Covers(e.Versions, f.Version) {
		no("Your entitlement is for other versions ("+e.Versions+") than this one.", "Use one of those, or ask for access to this one.")
	}
	if e.Capability < f.Want {
		no("You may "+verbs(e.Capability)+", and no more.", "Ask to be entitled to "+verbs(f.Want)+".")
	}
	p.mark(e.NotBefore)
	p.mark(e.Expires)
	switch {
	case e.NotBefore.IsZero() || e.Expires.IsZero():
		ok = false
		o.review("R5", "Your entitlement has no beginning or no end.", "Ask the custodian to set it.")
	case f.Now.Before(e.NotBefore):
		no("Your entitlement begins on "+day(e.NotBefore)+".", "Ask again then.")
	case !f.Now.Before(e.Expires):
		no("Your entitlement ended on "+day(e.Expires)+".", "Ask for access anew.")
	}
	if ok {
		o.permit("R5", "You are entitled to "+verbs(f.Want)+" until "+day(e.Expires)+".")
	}
}

func verbs(c Capability) string {
	switch c {
	case Count:
		return "see counts"
	case Preview:
		return "see previews"
	case View:
		return "view the images"
	case Analyse:
		return "analyse the images in a secure environment"
	case Download:
		return "download the images"
	}
	return "do nothing"
}

// agreement is R6.
func (p *Pass) agreement(f *Facts, g *Grant, o *option) {
	a := &g.Agreement
	ok := true
	no := func(text, remedy string) {
		ok = false
		o.deny("R6", text, remedy)
	}
	unsure := func(text, remedy string) {
		ok = false
		o.review("R6", text, remedy)
	}
	switch a.State {
	case Executed:
	case "draft", "negotiation", "awaiting_sign":
		no("The agreement is not signed by everybody yet.", "Sign it, and have it checked.")
	case "expired", "terminated":
		no("The agreement has ended.", "Sign a new one.")
	case "":
		no("There is no signed agreement.", "Sign one.")
	default:
		unsure("It is not known how the agreement stands.", "Ask the custodian.")
	}
	if f.Person.Organisation == "" || !slices.Contains(a.Organisations, f.Person.Organisation) {
		no("The agreement does not bind your organisation.", "Your organisation can sign it too.")
	}
	if a.Project != "" && a.Project != g.Project {
		no("The agreement is for another project.", "Sign one for this project, or one of your whole organisation.")
	}
	if !a.Commercial {
		switch {
		case o.purpose.Commercial || o.purpose.Organisation == datause.ForProfit:
			no("The agreement covers neither companies nor use for profit.", "Sign one that does.")
		case o.purpose.Organisation != datause.NonProfit:
			unsure("The agreement covers no companies, and it is not known what kind of organisation yours is.", "Say what kind it is.")
		}
	}
	p.mark(a.Effective)
	p.mark(a.Expires)
	switch {
	case a.Effective.IsZero() || a.Expires.IsZero():
		unsure("The agreement has no beginning or no end.", "Ask the custodian to record it.")
	case f.Now.Before(a.Effective):
		no("The agreement is in force from "+day(a.Effective)+" on.", "Ask again then.")
	case !f.Now.Before(a.Expires):
		no("The agreement ended on "+day(a.Expires)+".", "Sign a new one.")
	}
	if !a.Accepted {
		no("You have not accepted the agreement yourself.", "Read it, and accept it.")
	}
	if ok {
		o.permit("R6", "An agreement is signed, and you have accepted it.")
	}
}

// owed is R7.
func (p *Pass) owed(f *Facts, g *Grant, o *option) {
	d := &g.Duties
	if !d.Checked {
		o.review("R7", "It is not known whether the project owes reports, or answers to recalls.", "Ask the custodian.")
		return
	}
	if d.Overdue.IsZero() {
		return
	}
	p.mark(d.Overdue)
	p.mark(d.Overdue.Add(grace))
	p.mark(d.Overdue.Add(stop))
	switch late := f.Now.Sub(d.Overdue); {
	case late < 0:
	case late < grace:
		o.permit("R7", "A report or an answer to a recall was due on "+day(d.Overdue)+": give it before "+day(d.Overdue.Add(grace))+".")
	case late < stop:
		o.review("R7", "A report or an answer to a recall is overdue for more than 30 days.", "Give it, or tell the custodian why it is late.")
	default:
		o.deny("R7", "A report or an answer to a recall is overdue for more than 90 days.", "Give it.")
	}
}

func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}

// Answer is what holds whoever the subject is.
func (p *Pass) Answer() Answer {
	return p.best(func(*option) datause.Answer { return datause.Answer{Verdict: datause.Permit} })
}

// Subject answers for an object of a subject, at a time since the pass was made.
func (p *Pass) Subject(now time.Time, s *consent.Standing, e Entry) Answer {
	return p.best(func(o *option) datause.Answer {
		var a datause.Answer
		switch {
		case p.share:
			a = s.Share()
		case p.inside:
			a = s.Inside(o.purpose)
		default:
			a = s.Answer(o.purpose)
		}
		say := func(r datause.Reason) {
			a.Reasons = append(a.Reasons, r)
			a.Verdict = min(a.Verdict, r.Verdict)
		}
		if e.Withdrawn {
			say(datause.Reason{Rule: "R1", Verdict: datause.Deny, Text: "This object was withdrawn from the release."})
		}
		if over(p.until, now) || now.Before(p.now) {
			say(datause.Reason{Rule: "R5", Verdict: datause.Review, Text: "What is known of this permission is of another time, and it may have been taken back since.", Remedy: "Ask again: it is looked up anew."})
		}
		if over(s.Until(), now) {
			say(datause.Reason{Rule: "R3", Verdict: datause.Review, Text: "What is known of this person's consent is of another time.", Remedy: "Ask again: it is looked up anew."})
		}
		return a
	})
}

func over(until, now time.Time) bool { return !until.IsZero() && !now.Before(until) }

// best is the answer of the option that permits most; where all refuse, why each does.
func (p *Pass) best(of func(*option) datause.Answer) Answer {
	if len(p.options) == 0 {
		return Answer{Answer: datause.Answer{Verdict: datause.Review, Reasons: []datause.Reason{{Rule: "R5", Verdict: datause.Review, Text: "It is not known what is asked for.", Remedy: "Ask again."}}}, Grant: -1}
	}
	var best Answer
	var refused []datause.Reason
	for i := range p.options {
		o := &p.options[i]
		more := of(o)
		one := Answer{Answer: datause.Answer{Verdict: min(o.answer.Verdict, more.Verdict), Duties: o.answer.Duties, Months: o.answer.Months}, Grant: o.grant}
		one.Reasons = append(make([]datause.Reason, 0, len(o.answer.Reasons)+len(more.Reasons)), o.answer.Reasons...)
		for _, r := range more.Reasons {
			one.Reasons = append(one.Reasons, helped(r))
		}
		if one.Verdict == datause.Deny && len(p.options) > 1 {
			for _, r := range one.Reasons {
				if r.Verdict == datause.Deny && !slices.Contains(refused, r) {
					refused = append(refused, r)
				}
			}
		}
		if i == 0 || one.Verdict > best.Verdict {
			best = one
		}
	}
	if best.Verdict == datause.Deny {
		best.Duties, best.Months = nil, 0
		if len(p.options) > 1 {
			best.Reasons = refused
		}
	}
	slices.SortStableFunc(best.Reasons, func(a, b datause.Reason) int {
		return cmp.Or(cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Rule, b.Rule))
	})
	return best
}

// Fingerprint is the same for the same policies, and another for others. It is SHA-256 in hexadecimal of the policies written in one way, each value with its length.
func Fingerprint(policies []datause.Policy) string {
	b := make([]byte, 0, 256)
	one := func(s string) {
		b = append(b, strconv.Itoa(len(s))...)
		b = append(append(b, ':'), s...)
	}
	all := func(list []string) {
		b = append(append(b, '['), strconv.Itoa(len(list))...)
		for _, s := range list {
			one(s)
		}
	}
	for _, p := range policies {
		b = append(append(b, 'P'), strconv.Itoa(len(p.Alternatives))...)
		for _, a := range p.Alternatives {
			one(a.Permission)
			all(a.Diseases)
			b = append(append(b, 'M'), strconv.Itoa(len(a.Modifiers))...)
			for _, m := range a.Modifiers {
				one(m.Code)
				all(m.Values)
			}
		}
		all(p.Restrictions)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
