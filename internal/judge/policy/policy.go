// Package policy decides who may do what. It is pure: no database, no clock, no import of Vitrine's own. A caller gathers facts, Decide answers with
// a Decision whose reasons are sentences for people.
//
// It promises: what no rule permits is denied; taking a grant away never permits more; Decide and Scopes say the same, because both read the one list
// of rules in rules.go. That list is also the table in docs/policy.md, which a test keeps current.
//
//	d := policy.Decide(policy.Facts{
//		Grants:     []policy.Grant{{Role: policy.Researcher, Collection: "breast"}},
//		Action:     policy.ReadPixels,
//		Collection: "breast",
//		State:      policy.Admitted,
//	})
//	// d.Allow is false; d.Reasons: "researcher: pixels and bulk data are for released; this is admitted"
//
// It does not authenticate, does not write the audit log and does not hide that a thing exists: a door answers "not found" where a caller may not
// know of an object.
package policy

import "strings"

// AllCollections in a grant stands for every collection, and for the node as a whole.
const AllCollections = "*"

// Role is what a person, a machine or a peer has been made.
type Role uint8

// The roles. Anonymous is whoever shows nothing. Operator is whoever runs a command on the node's own data folder: the operating system has let them in.
// A gateway cleans inside a hospital what it gives to one collection; a site gateway does so with a secret of its own. The peer roles are the four permissions of a DICOM peer,
// and the two ways of being sent copies by a forwarding rule.
// LinkHolder is somebody outside, without an account, whom a steward has sent a link: it gives, and nothing else.
const (
	Anonymous Role = iota
	Depositor
	Researcher
	Physicist
	Custodian
	Committee
	Funder
	Steward
	Admin
	Gateway
	SiteGateway
	Operator
	PeerStore
	PeerFind
	PeerMove
	PeerGet
	LinkHolder
	PeerSentReleased
	PeerSentAdmitted
	roleCount
)

var roleNames = [roleCount]string{"anonymous", "depositor", "researcher", "physicist", "custodian", "committee", "funder", "steward", "admin", "gateway", "site-gateway",
	"operator", "peer that may store", "peer that may find", "peer that may move", "peer that may get", "holder of a link",
	"peer that is sent what is released", "peer that is sent what is admitted"}

func (r Role) String() string {
	if r >= roleCount {
		return "unknown"
	}
	return roleNames[r]
}

// Roles lists every role, in the order of the table.
func Roles() []Role {
	all := make([]Role, roleCount)
	for i := range all {
		all[i] = Role(i)
	}
	return all
}

// ParseRole reads the roles that a person may have: depositor, researcher, physicist, custodian, committee, funder, steward, admin.
func ParseRole(s string) (Role, bool) { return parseRole(s, Admin) }

// ParseTokenRole reads the roles that a token may carry: those of people, gateway and site-gateway.
func ParseTokenRole(s string) (Role, bool) { return parseRole(s, SiteGateway) }

func parseRole(s string, last Role) (Role, bool) {
	for r := Depositor; r <= last; r++ {
		if roleNames[r] == s {
			return r, true
		}
	}
	return Anonymous, false
}

// ForOneCollection reports the roles that are given for one collection and never for all.
func (r Role) ForOneCollection() bool { return r == Gateway || r == SiteGateway }

// State is where an object stands. The numbers are stored by the catalogue: they never change their meaning.
type State uint8

// The states. NoState belongs to actions that concern no object.
const (
	NoState   State = 0
	Received  State = 1 // in quarantine: acknowledged, not yet admitted
	Admitted  State = 2 // passed admission, not released
	Held      State = 3 // waits for a worker or a steward
	Conflict  State = 4 // other bytes under a known SOP Instance UID; held
	Released  State = 5 // part of a release
	Withdrawn State = 6 // seen by nobody

	Restricted State = 7 // kept for the collection's stewards alone: what is in it was not cleaned, its header was
)

var stateNames = [...]string{"-", "received", "admitted", "held", "conflict", "released", "withdrawn", "restricted"}

func (s State) String() string {
	if int(s) >= len(stateNames) {
		return "unknown"
	}
	return stateNames[s]
}

// States lists the states of objects.
func States() []State {
	return []State{Received, Admitted, Held, Conflict, Released, Withdrawn, Restricted}
}

// ParseState reads a state's name.
func ParseState(s string) (State, bool) {
	for _, st := range States() {
		if st.String() == s {
			return st, true
		}
	}
	return NoState, false
}

// Action is what is asked for. Every route, command and DIMSE service maps to one.
type Action uint8

// The actions.
const (
	Echo             Action = iota // C-ECHO, health
	SeeDirectory                   // the public directory of collections
	Deposit                        // give objects to a collection
	DepositByLink                  // give objects to a collection by a link, within its quota
	Search                         // learn that objects exist, with their query attributes
	ReadMetadata                   // every element but bulk data
	ReadPixels                     // pixel and other bulk data, whole objects, frames, renderings
	SeeIntake                      // a collection's intake counts
	SeeFate                        // what became of what one deposited
	SeeHeld                        // what is held, and for which reasons
	DecideHeld                     // accept, keep restricted or refuse what is held
	Publish                        // make an admitted study part of a release
	PickPicture                    // show a picture of an object to the public, as one of the few that stand for a collection
	SeeMontage                     // a picture that was picked so
	CreateCollection               // a new collection, with its attestation where the profile wants one
	ManageCollection               // a collection's title, addresses, profile
	ManageLinks                    // links by which people outside give objects to a collection
	SeeLinkHolder                  // whom such a link was made for
	ManagePulls                    // what is collected for a collection from other archives
	ManageTokens                   // tokens and SSH keys
	ManagePeers                    // DICOM peers
	ManageUsers                    // people
	ReadAudit                      // the audit log
	Verify                         // re-hash every stored object and the audit log
	BackUp                         // copy everything, encrypted, to another place; prove that it can be restored from there
	ImportClinical                 // give tables of clinical data to a collection
	SeeClinical                    // what is known of a subject beside its images, where an object of it is in the state
	EditEntry                      // write what the directory says of a collection, and see its drafts
	PublishEntry                   // show what the directory says of a collection to the public, or take it back
	PublishCounts                  // count people anew for the directory
	Ask                            // ask a question about a page, and read what is answered to it
	AnswerQuestions                // read and answer what is asked about a collection
	AnswerForNode                  // read and answer what is asked about the node as a whole
	SeeStatus                      // how the node's parts are
	ManageKeys                     // the master key: where it lies, and a new one in its place
	AskIdentity                    // ask who a subject is
	DecideIdentity                 // consent to such a request, or decline it
	SeeIdentity                    // see who the subject of a request is, once
	DepositCleaned                 // give objects to a collection that were cleaned by its profile elsewhere
	EquipGateway                   // learn by what a gateway has to clean
	TakeSecret                     // take a collection's secret to where its objects are cleaned
	Recall                         // have held what was given cleaned, and in which something was found afterwards
	ApplyForAccess                 // ask to use data, and see what becomes of it
	SeeRequests                    // see what others ask for, with their agreements and entitlements
	DecideRequest                  // ask back, approve or reject what somebody asks for
	CheckAgreement                 // find a signed agreement right, send it back, end it
	EndEntitlement                 // suspend or revoke what somebody was permitted
	ConfirmPerson                  // say that somebody belongs to their organisation, or has a training
	StoreAsPeer                    // C-STORE
	FindAsPeer                     // C-FIND
	MoveAsPeer                     // C-MOVE
	GetAsPeer                      // C-GET
	Forward                        // send a copy to another archive, by a rule
	RecordConsent                  // write down what a person has agreed to or refused
	Withdraw                       // write down that a person has withdrawn, and have it carried out
	SeeConsent                     // see what people have agreed to, refused and withdrawn
	ManageBases                    // forms of consent, legal bases, checks of the national data opt-out
	MakeRelease                    // make datasets and their releases, publish them and take them back
	SeeRecalls                     // see which copies were called back from whom, and what they answered
	AnswerRecall                   // say what was done with copies that are called back
	WaiveRecall                    // let an answer to a recall go, and permit use again after one
	EraseNow                       // have the key of somebody who has withdrawn destroyed before the hold is over
	actionCount
)

var actionNames = [actionCount]string{"echo", "see the directory", "deposit", "deposit by a link", "search", "read metadata", "read pixels and bulk data", "see intake counts",
	"see the fate of own deposits", "see what is held and why", "decide on what is held", "publish a release", "pick a picture for the public", "see a picked picture", "create a collection", "manage a collection", "manage links for people outside", "see whom a link is for", "manage pulls", "manage tokens",
	"manage peers", "manage users", "read the audit log", "verify", "back up", "import clinical rows", "see clinical facts", "edit a directory entry", "publish a directory entry", "publish counts", "ask a question", "answer questions", "answer questions on the node", "see the status", "change the master key", "ask who a subject is", "decide on who asks", "see who a subject is", "hand in what was cleaned elsewhere", "see what a gateway cleans by", "take a collection's secret", "take back what was cleaned elsewhere", "ask for access to data", "see requests for access", "decide on requests for access", "check agreements", "suspend or revoke an entitlement", "confirm who people are", "C-STORE", "C-FIND", "C-MOVE", "C-GET", "forward",
	"record consent", "record a withdrawal", "see consent", "manage legal bases", "make releases", "see recalls", "answer a recall", "waive a recall", "erase before the hold is over"}

func (a Action) String() string {
	if a >= actionCount {
		return "unknown"
	}
	return actionNames[a]
}

// Actions lists every action, in the order of the table: the doors' own tests walk it.
func Actions() []Action {
	all := make([]Action, actionCount)
	for i := range all {
		all[i] = Action(i)
	}
	return all
}

// OnObjects reports whether the action concerns objects, and so depends on their state.
func (a Action) OnObjects() bool {
	switch a {
	case Search, ReadMetadata, ReadPixels, SeeFate, SeeHeld, DecideHeld, Publish, PickPicture, SeeMontage, SeeClinical, FindAsPeer, MoveAsPeer, GetAsPeer, Forward:
		return true
	}
	return false
}

// AsPeer reports whether the action comes over an association.
func (a Action) AsPeer() bool { return a >= StoreAsPeer && a <= GetAsPeer }

// Grant gives a role in one collection, or in all.
type Grant struct {
	Role       Role
	Collection string // a collection's id, or AllCollections
}

func (g Grant) covers(collection string) bool {
	return g.Collection == AllCollections || (collection != "" && g.Collection == collection)
}

// Link is what is known of an association, beside the AE title, which proves nothing.
type Link struct {
	Loopback    bool // it comes from this machine
	Address     bool // it comes from the registered address of the peer whose grants are given
	Certificate bool // it presented that peer's client certificate
	Demo        bool // the node runs with --demo
}

// Facts are what Decide looks at.
type Facts struct {
	Grants     []Grant // none: anonymous
	Action     Action
	Collection string // the collection concerned; empty: the node as a whole
	State      State  // of the object concerned; NoState where the action concerns none
	Own        bool   // the object came with the caller's own deposit; the request is the caller's own
	Person     bool   // the caller is a person with an account who has signed in, no token, machine or command
	Consented  bool   // another person has consented to the request
	Link       Link   // for actions of a peer
}

// Decision is the answer.
type Decision struct {
	Allow   bool
	Reasons []string // sentences: which rule permits, or what is missing. No identifier of a patient
	Terms   []string // what a caller must do who acts on a permission: TermNoStore, TermAudit, TermAuditEach
}

// The terms.
const (
	TermNoStore   = "answer with Cache-Control: private, no-store"
	TermAudit     = "record the decision, once per person, object and hour"
	TermAuditEach = "record every single act"
)

// Decide answers whether the facts permit the action. What no rule permits is denied.
func Decide(f Facts) Decision {
	if f.Action >= actionCount {
		return Decision{Reasons: []string{"there is no such action"}}
	}
	if f.Action.OnObjects() == (f.State == NoState) {
		return Decision{Reasons: []string{f.Action.String() + ": asked without the state of an object, or with one that does not belong"}}
	}
	var near []string
	for i := range rules {
		r := &rules[i]
		if r.action != f.Action {
			continue
		}
		for _, role := range r.roles {
			if !held(f.Grants, role, f.Collection) {
				continue
			}
			if why := r.missing(role, &f); why != "" {
				near = append(near, why)
				continue
			}
			return Decision{Allow: true, Reasons: []string{role.String() + ": " + r.because}, Terms: r.terms}
		}
	}
	if len(near) == 0 {
		near = []string{lacking(&f)}
	}
	return Decision{Reasons: near}
}

// held reports whether a grant gives the role where it is needed. Everybody is anonymous too.
func held(grants []Grant, role Role, collection string) bool {
	if role == Anonymous {
		return true
	}
	for _, g := range grants {
		if g.Role == role && g.covers(collection) {
			return true
		}
	}
	return false
}

// missing says what the facts lack for the rule, or nothing.
func (r *rule) missing(role Role, f *Facts) string {
	switch {
	case f.Collection == "" && !r.node && r.action != Echo && r.action != SeeDirectory:
		return role.String() + ": " + f.Action.String() + " concerns a collection, and none is named"
	case r.person && !f.Person:
		return role.String() + ": " + f.Action.String() + " is for a person who has signed in, never for a token or a command"
	case r.another && f.Own:
		return role.String() + ": nobody decides on their own request"
	case r.own && !f.Own && f.Action == SeeIdentity:
		return role.String() + ": only on one's own request"
	case r.own && !f.Own && f.Action == AnswerRecall:
		return role.String() + ": only who was given the data says what was done with them"
	case r.own && !f.Own:
		return role.String() + ": only for one's own deposits"
	case r.consented && !f.Consented:
		return role.String() + ": another person has to consent"
	case f.Action.OnObjects() && !r.states.has(f.State):
		why := role.String() + ": " + f.Action.String() + " is for " + r.states.String() + "; this is " + f.State.String()
		if f.State == Restricted {
			why += ", which a steward of the collection alone may open: ask them, or wait until one accepts it"
		}
		return why
	}
	switch r.link {
	case linkKnown:
		if !f.Link.Loopback && !f.Link.Address {
			return role.String() + ": not from its registered address"
		}
	case linkProven:
		if !f.Link.Loopback && (!f.Link.Address || !f.Link.Certificate) {
			return role.String() + ": needs its registered address and its client certificate"
		}
	case linkDemo:
		if !f.Link.Loopback || !f.Link.Demo {
			return "an unknown AE title may C-STORE from this machine alone, and with --demo alone"
		}
	}
	return ""
}

// lacking says which roles would do.
func lacking(f *Facts) string {
	var roles []string
	for i := range rules {
		if rules[i].action == f.Action {
			for _, role := range rules[i].roles {
				roles = append(roles, role.String())
			}
		}
	}
	where := "this collection"
	if f.Collection == "" {
		where = "the node as a whole"
	}
	if len(roles) == 0 {
		return "nobody may " + f.Action.String()
	}
	return "to " + f.Action.String() + " takes a grant for " + where + " as " + strings.Join(roles, " or ")
}

// Scope is a part of the archive: objects of a collection (AllCollections: of every one) in certain states.
type Scope struct {
	Collection string
	States     []State
}

// Scopes is Decide turned around for searches: everything on which the grants permit an action on objects. An empty answer is nothing at all. Rules that
// hold for one's own deposits only give no scope: such questions are asked of a deposit, not of a collection.
func Scopes(grants []Grant, action Action, link Link) []Scope {
	if !action.OnObjects() {
		return nil
	}
	var order []string
	sets := map[string]stateSet{}
	for i := range rules {
		r := &rules[i]
		if r.action != action || r.own {
			continue
		}
		for _, role := range r.roles {
			for _, g := range grants {
				if g.Role != role || g.Collection == "" || r.missing(role, &Facts{Action: action, Collection: g.Collection, State: r.states.first(), Link: link}) != "" {
					continue
				}
				if _, ok := sets[g.Collection]; !ok {
					order = append(order, g.Collection)
				}
				sets[g.Collection] |= r.states
			}
		}
	}
	scopes := make([]Scope, 0, len(order))
	for _, c := range order {
		scopes = append(scopes, Scope{Collection: c, States: sets[c].list()})
	}
	return scopes
}
