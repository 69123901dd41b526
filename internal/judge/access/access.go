// Package access answers, at the moment when something is asked for, whether somebody may have it: rules R0 to R8, of the person, the release, the policy of data use, the subject's consent, the
// entitlement, the agreement, what is overdue, and the way of access. It is pure: no database, no clock.
//
// It promises: what is permitted is permitted by every rule; what is not known goes to a person (datause.Review), never through; a further restriction never permits more; after a
// subject's withdrawal nothing of theirs is permitted; every refusal says by which rule, why, and what would help; facts that are older than a minute permit nothing, nor does a pass.
//
//	pass := access.Enter(access.Facts{...})            // once for a request: all that does not depend on the subject
//	answer := pass.Subject(now, &standing, access.Entry{})  // for each object: R1 of the entry, R3, R4
//	// answer.Verdict, answer.Reasons (rule, sentence, remedy), answer.Duties, answer.Grant
//
// Numbers of people (R9) are told by package headcount, and checked against each other by whoever publishes them (docs/decisions/0003-small-numbers.md).
//
// It does not know whether the facts are true, writes no log, and does not hide that a thing exists.
package access

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

// Capability is how far a use goes; each includes those before. The numbers are stored.
type Capability int64

// The capabilities.
const (
	Count    Capability = 1 + iota // numbers of people
	Preview                        // small pictures
	View                           // pixels, in a viewer
	Analyse                        // pixels, in a secure environment
	Download                       // pixels, taken away
)

var capabilityNames = [...]string{"", "count", "preview", "view", "analyse", "download"}

func (c Capability) String() string {
	if c < Count || c > Download {
		return "unknown"
	}
	return capabilityNames[c]
}

// Level is who sees a kind of thing.
type Level uint8

// The levels.
const (
	Everybody  Level = iota // what is said of a collection, with rounded numbers
	Registered              // counts
	Accepted                // previews: whoever has clicked through the terms
	Entitled                // the rest: R0 to R8
)

// Level is who may have something of that capability.
func (c Capability) Level() Level {
	switch c {
	case Count:
		return Registered
	case Preview:
		return Accepted
	}
	return Entitled
}

// Assurance is how sure it is who somebody is. The empty one is unknown.
type Assurance string

// The assurances.
const (
	Low    Assurance = "low"
	Medium Assurance = "med"
	High   Assurance = "high"
)

// rank orders assurances; 0: unknown.
func (a Assurance) rank() int { return 1 + slices.Index([]Assurance{Low, Medium, High}, a) }

// Person is whoever asks (R0).
type Person struct {
	Active      bool
	Assurance   Assurance
	Affiliated  time.Time // when their organisation was last asked whether they belong to it
	Trained     time.Time // until when their training is in date
	TermsAgreed bool      // they have clicked through the terms of previews

	Organisation string               // its identifier, as agreements name it
	Kind         datause.Organisation // of the organisation
	Countries    []string             // ISO 3166-1 alpha-2: where they are, and where what they get is sent or worked on
}

// State is where a release stands.
type State string

// The states.
const (
	Draft      State = "draft"
	Published  State = "published"
	Amended    State = "amended" // entries were withdrawn from it
	Superseded State = "superseded"
	Tombstoned State = "tombstoned"
)

// Service is the way of access to a release.
type Service string

// The services.
const (
	Secure     Service = "tre" // in a trusted research environment
	Downloaded Service = "download"
	Federated  Service = "federated" // questions go to the data, and numbers come back
	Open       Service = "open"
)

// Release is what is asked for (R1, R8).
type Release struct {
	Collection, Dataset, Version string

	State      State
	Successor  string    // the version that takes its place, if one does
	Embargo    time.Time // nothing is given before; zero: none
	Custodian  string    // the organisation that collected
	Assurance  Assurance // that the policy wants of people at least; empty: low
	Service    Service
	Regions    []string         // countries in which it may be; none: everywhere
	Policies   []datause.Policy // the collection's, and the dataset's own, which can only narrow it: each has to permit
	Vocabulary datause.Vocabulary
}

// Grant is one decision in somebody's favour, with all that it stands on. Of several any one will do.
type Grant struct {
	Project     string // the request that it came of
	Purpose     datause.Purpose
	Settled     Settled
	Entitlement Entitlement
	Agreement   Agreement
	Duties      Duties
}

// Settled are conditions of data use that only a person can judge, and that the custodian has judged in the applicant's favour. It lifts what is open, and nothing that is refused, nothing that the applicant
// has left unsaid, and nothing that this program does not know.
type Settled struct {
	Rules    []string // of Judged
	Policies string   // the Fingerprint of what the custodian saw: of other policies nothing is settled
}

// judged are the conditions of data use that can be settled.
var judged = []string{"AI_TRAIN", "COL", "IRB", "IS", "NMDS", "PS", "RS", "US", "outside-eu"}

// Judged lists them by their codes.
func Judged() []string { return slices.Clone(judged) }

// lifts reports that a reason is open, and settled.
func (s *Settled) lifts(r datause.Reason) bool {
	return r.Verdict == datause.Review && slices.Contains(s.Rules, r.Rule) && slices.Contains(judged, r.Rule)
}

// EntitlementState is where an entitlement stands.
type EntitlementState string

// The states of an entitlement.
const (
	Active    EntitlementState = "active"
	Suspended EntitlementState = "suspended"
	Revoked   EntitlementState = "revoked"
	Expired   EntitlementState = "expired"
)

// Entitlement is what somebody may have, from when to when (R5).
type Entitlement struct {
	State              EntitlementState
	Collection         string
	Dataset            string // empty: every one of the collection
	Versions           string // "*", "1.x", "1.2.x" or "1.2.0"
	Capability         Capability
	NotBefore, Expires time.Time          // [NotBefore, Expires)
	Conditions         []datause.Modifier // beyond the policy's: TRE_ONLY, GS, TS ...
	Duties             []string           // conditions in words
}

// AgreementState is where an agreement stands.
type AgreementState string

// Executed is the state of an agreement that is signed by all and checked.
const Executed AgreementState = "executed"

// Agreement is the signed text under which something is given (R6).
type Agreement struct {
	State              AgreementState
	Organisations      []string  // that it binds
	Project            string    // empty: every one of these organisations
	Commercial         bool      // it covers companies, and use for profit
	Effective, Expires time.Time // [Effective, Expires)
	Accepted           bool      // this person has accepted it by name
}

// Duties are what a project owes (R7).
type Duties struct {
	Checked bool      // somebody has looked
	Overdue time.Time // the day on which the oldest report or answer to a recall was due that has not come; zero: none
}

// How long something may be overdue.
const (
	grace = 30 * 24 * time.Hour
	stop  = 90 * 24 * time.Hour
)

// fresh is how old facts may be. A licence that says "active" and was written earlier lags behind a revocation.
const fresh = time.Minute

// Facts are all that does not depend on the subject.
type Facts struct {
	Now    time.Time
	Read   time.Time // when the facts were read where they are kept; of a token, a licence or a cache: when that was made
	Want   Capability
	Person Person
	Release
	Grants []Grant
}

// Entry is one object of the release.
type Entry struct {
	Withdrawn bool // from the release
}

// Answer is whether something may be had.
type Answer struct {
	datause.Answer     // each reason's rule is R0 ... R8; of R2 with the code of the condition: "R2 NCU"
	Grant          int // by which grant, or which comes nearest; -1: it needs none
}

// Decide answers for one object of one subject. Whoever asks for many objects enters once.
func Decide(f Facts, s *consent.Standing, e Entry) Answer {
	p := Enter(f)
	return p.Subject(f.Now, s, e)
}

// Covers reports whether a range of versions, "*", "1.x", "1.2.x" or "1.2.0", has a version. A preliminary version ("1.2.0-rc.1") is in no range but "*".
func Covers(versions, version string) bool {
	if versions == "*" || versions == version && version != "" {
		return true
	}
	prefix, ok := strings.CutSuffix(versions, ".x")
	have, want := strings.Split(version, "."), strings.Split(prefix, ".")
	if !ok || prefix == "" || len(have) != 3 || len(want) > 2 {
		return false
	}
	for _, n := range have {
		if _, err := strconv.ParseUint(n, 10, 32); err != nil {
			return false
		}
	}
	return slices.Equal(want, have[:len(want)])
}
