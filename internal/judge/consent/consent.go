// Package consent answers what a person's own words and a collection's legal bases permit to be done with that person's images. It is pure: no database, no clock.
//
// It promises: what a person has refused or withdrawn is refused on every basis; what nobody knows goes to a person ([datause.Review]), never through; a further refusal, a withdrawal, an
// end or an opt-out never permits more; time alone changes nothing before [Standing.Until].
//
//	s := consent.Stand(consent.Facts{Events: events, Bases: bases, Country: "GB", Now: now})
//	s.Share().Verdict      // whether the images may be in a release at all
//	s.Answer(purpose)      // whether they may serve a purpose of somebody elsewhere, with reasons by R3 (the person) and R4 (the basis)
//	s.Words()              // "what may I do with these?"
//
// It does not judge the purpose against the collection's policy (datause), nor who asks (access).
package consent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// Use is what a clause of a form of consent speaks of.
type Use string

// The uses.
const (
	Research   Use = "research"
	Sharing    Use = "sharing"       // with people outside the organisation that collected
	Commercial Use = "commercial"    // by companies, or for profit
	Training   Use = "ai-training"   // models are trained
	Generative Use = "ai-generative" // models that make images are trained
	Genetic    Use = "genetic"       // genes are studied
	Abroad     Use = "abroad"        // outside the country where the person was asked
	Linkage    Use = "linkage"       // joined with other data about the person
	Contact    Use = "contact"       // the person is asked again
)

const uses = 9

var allUses = [uses]Use{Research, Sharing, Commercial, Training, Generative, Genetic, Abroad, Linkage, Contact}

// Uses lists them, in the order in which they are told.
func Uses() []Use { return allUses[:] }

// at is a use's place among all; -1: there is no such use.
func (u Use) at() int { return slices.Index(allUses[:], u) }

// Scope is how far a withdrawal goes. What is none of these counts as the widest.
type Scope string

// The scopes.
const (
	NoWithdrawal   Scope = "none"       // or nothing
	FromContact    Scope = "contact"    // the person is not asked again
	FromCollection Scope = "collection" // nothing more is collected; what is there may be used
	FromUse        Scope = "use"        // nothing is collected, and nothing may be used any more
)

// An Event is what a person said once, or somebody for them: a form signed, an answer changed, a withdrawal. Events are only ever added.
type Event struct {
	// At is when it was said. What is granted at a time that nobody knows does not count; what is refused or withdrawn then holds against everything else.
	At time.Time
	// Grants and Denies are what the form's clauses and the person's own answers come to. What is in both is denied.
	Grants, Denies []Use
	Withdrawal     Scope
	Expires        time.Time // from then on what it grants is granted no more; zero: no end. What it refuses has no end
}

// Kind is what makes the use of images lawful where they are told in confidence.
type Kind string

// The kinds.
const (
	ByConsent  Kind = "consent"    // the person's own
	Section251 Kind = "s251"       // support under section 251 of the NHS Act 2006, on the advice of the Confidentiality Advisory Group
	Anonymised Kind = "anonymised" // nobody can tell who it is
	Public     Kind = "public"     // published before by whoever was entitled to
)

// OptOut is whether the national data opt-out of England concerns a basis. The empty one is that it does.
type OptOut string

// What it may be.
const (
	OptOutApplies   OptOut = "applies"
	OptOutWaived    OptOut = "waived"    // the Confidentiality Advisory Group has said that it need not be applied
	OptOutElsewhere OptOut = "elsewhere" // the data come from no provider in England
)

// checkLasts is how old the check of the national data opt-out may be.
const checkLasts = 7 * 24 * time.Hour

// A Basis is one on which a collection's images are kept and used, in [From, Until). Of several any one will do.
type Basis struct {
	Kind        Kind
	From, Until time.Time // zero: open; support under section 251 has an end
	Reference   string    // of s251: of the Confidentiality Advisory Group, as "20/CAG/0001"

	OptOut        OptOut    // of s251
	OptOutChecked time.Time // of s251: when the last batch came back

	Attested bool // of anonymised: somebody has signed that the profile makes it so
}

// Facts are what a standing is made of.
type Facts struct {
	Events   []Event // in the order of their recording
	Bases    []Basis // the collection's, or those under which this person's images came
	OptedOut bool    // the last check found the person among those who have opted out
	Country  string  // where they were asked: ISO 3166-1 alpha-2
	Now      time.Time
}

// State is what a person's words say of one use.
type State uint8

// The states.
const (
	Unsaid State = iota // nobody has recorded anything
	Granted
	Refused
	Lapsed // it was granted, and the grant has ended, or was taken away by a withdrawal since
)

var stateNames = [...]string{"unsaid", "granted", "refused", "lapsed"}

func (s State) String() string { return stateNames[min(int(s), len(stateNames)-1)] }

// A Standing is what holds of one person at one time. The zero value knows nothing, and so permits nothing.
type Standing struct {
	said    [uses]State
	by      [uses]int32 // the event that decided, counted from one; 0: none
	bases   []basis
	country string
	until   time.Time

	withdrawn bool // from use
	stopped   bool // from collection; whoever has withdrawn from use has from collection too
	strange   bool // something is refused that this program does not know
	optedOut  bool
}

// A basis as it holds at the time of the standing.
type basis struct {
	kind   Kind
	reason datause.Reason
	optOut bool // the national data opt-out is applied
}

// Stand works out what holds of a person.
//
// Of each use the latest event that speaks of it decides: latest by when it was said, and of those said at one time the one recorded last. A grant that has ended leaves the use lapsed, or
// refused if it was refused before. A withdrawal from use takes away everything said until then, in whatever order it was recorded, and holds until the person consents anew: by an event that
// was said later, on another day where the withdrawal says the day alone, grants research, and is in force. What was granted before has lapsed. FHIR R4 leaves open how several Consent resources go together; this is the reading that never
// takes silence, or what somebody recorded late, for a new consent.
func Stand(f Facts) Standing {
	s := Standing{country: f.Country, optedOut: f.OptedOut, bases: make([]basis, 0, len(f.Bases))}
	mark := func(t time.Time) { // something may change then
		if t.After(f.Now) && (s.until.IsZero() || t.Before(s.until)) {
			s.until = t
		}
	}
	order := make([]int32, len(f.Events))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return f.Events[a].when().Compare(f.Events[b].when()) })

	var withdrawn, stopped, renewed time.Time // the last of each; renewed: the first new consent after the last withdrawal
	out, stop, anew := false, false, false
	for _, i := range order {
		e := &f.Events[i]
		mark(e.At)
		mark(e.Expires)
		switch e.Withdrawal {
		case NoWithdrawal, "", FromContact:
		case FromCollection:
			stop, stopped = true, later(stopped, e.reach())
		default:
			out, withdrawn, anew = true, later(withdrawn, e.reach()), false
			stop, stopped = true, later(stopped, e.reach())
		}
		if !e.grants(Research, f.Now) || e.Withdrawal.fromUse() {
			continue
		}
		if stop && e.At.After(stopped) && e.Withdrawal != FromCollection {
			stop = false
		}
		if out && !anew && e.At.After(withdrawn) {
			anew, renewed = true, e.At
		}
	}
	s.withdrawn = out && !anew
	s.stopped = stop

	for _, i := range order {
		e := &f.Events[i]
		for k, u := range allUses {
			switch {
			case e.denies(u):
				s.said[k], s.by[k] = Refused, i+1
			case !slices.Contains(e.Grants, u) || e.At.IsZero() || e.At.After(f.Now):
			case out && (!anew || e.At.Before(renewed)), e.over(f.Now):
				if s.said[k] != Refused {
					s.said[k], s.by[k] = Lapsed, i+1
				}
			default:
				s.said[k], s.by[k] = Granted, i+1
			}
		}
		s.strange = s.strange || slices.ContainsFunc(e.Denies, func(u Use) bool { return u.at() < 0 })
	}

	for i := range f.Bases {
		b := &f.Bases[i]
		mark(b.From)
		mark(b.Until)
		if b.Kind == Section251 {
			mark(b.OptOutChecked)
			mark(b.OptOutChecked.Add(checkLasts + 1))
		}
		s.bases = append(s.bases, basis{b.Kind, b.holds(f.Now), b.Kind == Section251 && b.applies()})
	}
	return s
}

// when is when an event was said, for its place among the others: a refusal of which nobody knows it comes last.
func (e *Event) when() time.Time {
	if e.At.IsZero() {
		return endless
	}
	return e.At
}

// reach is until when a withdrawal takes away what was said. One that is dated by its day alone takes the whole of that day: nobody knows what was said first.
func (e *Event) reach() time.Time {
	t := e.when().UTC()
	if t.Before(endless) && t.Equal(t.Truncate(24*time.Hour)) {
		t = t.Add(24*time.Hour - 1)
	}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

var endless = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

func (s Scope) fromUse() bool {
	return s != NoWithdrawal && s != "" && s != FromContact && s != FromCollection
}

func (e *Event) over(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

func (e *Event) denies(u Use) bool {
	return slices.Contains(e.Denies, u) || u == Contact && e.Withdrawal == FromContact
}

// grants reports that the event grants a use, now.
func (e *Event) grants(u Use, now time.Time) bool {
	return slices.Contains(e.Grants, u) && !e.denies(u) && !e.At.IsZero() && !e.At.After(now) && !e.over(now)
}

func (b *Basis) applies() bool { return b.OptOut != OptOutWaived && b.OptOut != OptOutElsewhere }

// holds says whether the basis is one at the time, whoever the person is (R4).
func (b *Basis) holds(now time.Time) datause.Reason {
	say := func(v datause.Verdict, text, remedy string) datause.Reason {
		return datause.Reason{Rule: "R4", Verdict: v, Text: text, Remedy: remedy}
	}
	name, known := kindWords[b.Kind]
	if !known {
		return say(datause.Review, "The images are kept on a basis that this program does not know.", "Ask whoever is responsible for the data.")
	}
	switch {
	case now.IsZero():
		return say(datause.Review, "Nobody says what time it is.", "Ask whoever runs this node.")
	case now.Before(b.From):
		return say(datause.Deny, "The images may be used from "+day(b.From)+" on ("+name+").", "Ask again then.")
	case !b.Until.IsZero() && !now.Before(b.Until):
		return say(datause.Deny, "The basis on which the images were used ended on "+day(b.Until)+" ("+name+").", "Whoever is responsible for the data can have it renewed.")
	}
	switch b.Kind {
	case Section251:
		switch {
		case b.applies() && b.OptOutChecked.IsZero():
			return say(datause.Deny, "The national data opt-out has not been checked.", "Check it, and record the answer.")
		case b.applies() && now.Sub(b.OptOutChecked) > checkLasts:
			return say(datause.Deny, "The national data opt-out was checked more than 7 days ago.", "Check it again, and record the answer.")
		case strings.TrimSpace(b.Reference) == "":
			return say(datause.Review, "Support under section 251 is claimed, and its reference is not recorded.", "Whoever is responsible for the data records it.")
		case b.Until.IsZero():
			return say(datause.Review, "Support under section 251 ("+b.Reference+") has an end, and it is not recorded.", "Whoever is responsible for the data records it.")
		case b.applies() && b.OptOutChecked.After(now):
			return say(datause.Review, "The check of the national data opt-out is dated later than now.", "Whoever is responsible for the data corrects it.")
		}
		return say(datause.Permit, "Use is supported under section 251 ("+b.Reference+").", "")
	case Anonymised:
		if !b.Attested {
			return say(datause.Review, "Nobody has signed yet that the images are anonymised.", "Whoever is responsible for the data attests the profile.")
		}
		return say(datause.Permit, "The images are anonymised.", "")
	case Public:
		return say(datause.Permit, "The images are public.", "")
	}
	return say(datause.Permit, "The images are used with people's consent.", "")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Said is what the person's words say of a use, and which event decided, as its index; -1 where none did.
func (s *Standing) Said(u Use) (State, int) {
	k := u.at()
	if k < 0 {
		return Unsaid, -1
	}
	return s.said[k], int(s.by[k]) - 1
}

// Withdrawn is how far the person has withdrawn.
func (s *Standing) Withdrawn() Scope {
	contact, _ := s.Said(Contact)
	switch {
	case s.withdrawn:
		return FromUse
	case s.stopped:
		return FromCollection
	case contact == Refused:
		return FromContact
	}
	return NoWithdrawal
}

// Until is when time alone may change the standing: an end, a beginning, a check that grows old. Before then it is as it is, unless something is recorded. Zero: never.
func (s *Standing) Until() time.Time { return s.until }

// sorted puts what refuses first, then what a person has to look at.
func sorted(a datause.Answer) datause.Answer {
	slices.SortStableFunc(a.Reasons, func(x, y datause.Reason) int { return cmp.Compare(x.Verdict, y.Verdict) })
	return a
}
