package policy

import "strings"

// stateSet is a set of states, a bit each.
type stateSet uint8

func in(states ...State) stateSet {
	var s stateSet
	for _, st := range states {
		s |= 1 << st
	}
	return s
}

func (s stateSet) has(st State) bool { return st < 8 && s&(1<<st) != 0 }

func (s stateSet) list() []State {
	var l []State
	for _, st := range States() {
		if s.has(st) {
			l = append(l, st)
		}
	}
	return l
}

func (s stateSet) first() State {
	if l := s.list(); len(l) > 0 {
		return l[0]
	}
	return NoState
}

func (s stateSet) String() string {
	l := s.list()
	names := make([]string, len(l))
	for i, st := range l {
		names[i] = st.String()
	}
	return strings.Join(names, " or ")
}

// linkNeed is what an association must prove for a rule of peers.
type linkNeed uint8

const (
	linkAny    linkNeed = iota
	linkKnown           // the registered address, or loopback
	linkProven          // the registered address and the client certificate, or loopback
	linkDemo            // loopback and --demo
)

var linkText = [...]string{"", "from its registered address, or this machine", "from its registered address with its client certificate, or this machine", "from this machine, with --demo"}

// A rule permits. There are no rules that deny: what none permits is denied.
type rule struct {
	action    Action
	roles     []Role
	states    stateSet // for actions on objects
	own       bool     // only what came with the caller's own deposit; only the caller's own request
	person    bool     // only people who have signed in
	another   bool     // only another's request
	consented bool     // only with another person's consent
	node      bool     // may concern the node as a whole, then with a grant for all collections
	link      linkNeed
	terms     []string
	because   string
}

var (
	viewTerms   = []string{TermNoStore, TermAudit}
	reviewTerms = []string{TermNoStore, TermAuditEach}
	actTerms    = []string{TermAuditEach}
)

// deciding is what a steward may still decide on.
var deciding = in(Held, Conflict, Restricted)

// unreleased is what a steward works on. Withdrawn is in no rule.
var unreleased = in(Received, Admitted, Held, Conflict)

// rules is the whole policy. Order is the order of the table.
var rules = []rule{
	{action: Echo, roles: []Role{Anonymous}, because: "anybody may ask whether the node answers"},
	{action: SeeDirectory, roles: []Role{Anonymous}, because: "the directory is public"},

	{action: Deposit, roles: []Role{Depositor, Steward}, terms: actTerms, because: "may give objects to this collection"},
	// An action of its own: what a link opens is bounded by its quota, which no other door counts.
	{action: DepositByLink, roles: []Role{LinkHolder}, terms: actTerms, because: "may give objects to this collection, and see what became of each as it arrived"},

	{action: Search, roles: []Role{Researcher}, states: in(Released), terms: viewTerms, because: "finds what is released"},
	{action: Search, roles: []Role{Physicist}, states: in(Admitted, Released), terms: viewTerms, because: "finds what is admitted, to judge its quality"},
	{action: Search, roles: []Role{Steward}, states: in(Received, Admitted, Released), terms: viewTerms, because: "finds everything in the collection that is not held"},

	{action: ReadMetadata, roles: []Role{Researcher}, states: in(Released), terms: viewTerms, because: "reads what is released"},
	{action: ReadMetadata, roles: []Role{Physicist}, states: in(Admitted, Released), terms: viewTerms, because: "reads what is admitted, to judge its quality"},
	{action: ReadMetadata, roles: []Role{Steward}, states: in(Received, Admitted, Released), terms: viewTerms, because: "reads everything in the collection"},
	{action: ReadMetadata, roles: []Role{Steward}, states: deciding, terms: reviewTerms, because: "reviews what is held, and opens what is kept restricted"},

	{action: ReadPixels, roles: []Role{Researcher}, states: in(Released), terms: viewTerms, because: "reads what is released"},
	{action: ReadPixels, roles: []Role{Physicist}, states: in(Admitted, Released), terms: viewTerms, because: "reads what is admitted, to judge its quality"},
	{action: ReadPixels, roles: []Role{Steward}, states: in(Received, Admitted, Released), terms: viewTerms, because: "reads everything in the collection"},
	{action: ReadPixels, roles: []Role{Steward}, states: deciding, terms: reviewTerms, because: "reviews what is held, and opens what is kept restricted"},

	{action: SeeIntake, roles: []Role{Depositor, Physicist, Custodian, Steward, Admin, Operator}, because: "sees how many objects came and where they stand"},

	{action: SeeFate, roles: []Role{Depositor}, states: unreleased | in(Released, Restricted), own: true, because: "sees what became of its own deposits, not the images"},
	{action: SeeFate, roles: []Role{Steward}, states: unreleased | in(Released, Restricted), because: "sees what became of every deposit"},

	{action: SeeHeld, roles: []Role{Depositor}, states: deciding, own: true, because: "sees why its own deposits are held, or kept restricted"},
	{action: SeeHeld, roles: []Role{Steward, Operator}, states: deciding, because: "sees what is held or kept restricted, and why"},

	{action: DecideHeld, roles: []Role{Steward}, states: deciding, terms: actTerms, because: "decides on what is held, and anew on what is kept restricted"},

	{action: Publish, roles: []Role{Steward, Operator}, states: in(Admitted), terms: actTerms, because: "releases what is admitted"},

	{action: PickPicture, roles: []Role{Steward}, states: in(Released), terms: actTerms, because: "may show a few pictures of what is released to everybody"},
	// That it was picked is a fact of the record, which is asked before this: a picture that nobody picked is never brought here.
	{action: SeeMontage, roles: []Role{Anonymous}, states: in(Released), terms: []string{TermNoStore}, because: "a steward picked it for everybody to see"},

	{action: CreateCollection, roles: []Role{Steward, Admin, Operator}, node: true, terms: actTerms, because: "may make collections, and attest where a profile wants it"},
	{action: ManageCollection, roles: []Role{Steward, Admin, Operator}, node: true, terms: actTerms, because: "manages the collection"},
	{action: ManageLinks, roles: []Role{Steward, Admin, Operator}, terms: actTerms, because: "may invite people outside to give objects to the collection"},
	{action: SeeLinkHolder, roles: []Role{Steward}, because: "knows whom the collection has invited"},
	{action: ManagePulls, roles: []Role{Steward, Admin, Operator}, terms: actTerms, because: "has images collected for the collection from registered archives"},
	{action: ManageTokens, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "manages tokens and SSH keys"},
	{action: ManagePeers, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "manages peers"},
	{action: ManageUsers, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "manages people"},
	{action: ReadAudit, roles: []Role{Custodian, Steward, Admin, Operator}, node: true, because: "reads the audit log"},
	{action: Verify, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "checks that everything stored is what was stored"},
	{action: BackUp, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "copies what is stored, encrypted as it is, and proves that it can be restored"},

	{action: RecordConsent, roles: []Role{Depositor, Steward, Operator}, terms: actTerms, because: "may write down what people of the collection have agreed to or refused"},
	{action: Withdraw, roles: []Role{Depositor, Steward, Operator}, terms: actTerms, because: "carries out that a person withdraws: whoever hears of it may"},
	{action: SeeConsent, roles: []Role{Custodian, Steward, Operator}, terms: reviewTerms, because: "sees what people of the collection have agreed to, by their pseudonyms"},
	{action: ManageBases, roles: []Role{Custodian, Steward, Operator}, terms: actTerms, because: "answers for the basis on which the collection's images are used"},
	{action: MakeRelease, roles: []Role{Custodian, Steward, Operator}, terms: actTerms, because: "makes releases of the collection's objects, and answers for them"},
	{action: SeeRecalls, roles: []Role{Custodian, Steward, Admin}, terms: viewTerms, because: "sees which copies of the collection's data were called back, and what became of them"},
	{action: AnswerRecall, roles: []Role{Anonymous}, person: true, own: true, node: true, terms: actTerms, because: "says what was done with the copies that were given to them"},
	{action: WaiveRecall, roles: []Role{Custodian, Steward}, person: true, another: true, terms: actTerms, because: "answers for the collection, and for letting an answer go"},
	{action: EraseNow, roles: []Role{Steward, Operator}, terms: actTerms, because: "may destroy at once what is to be destroyed"},

	{action: ImportClinical, roles: []Role{Depositor, Steward, Operator}, terms: actTerms, because: "may give clinical data to this collection"},
	{action: SeeClinical, roles: []Role{Researcher}, states: in(Released), terms: viewTerms, because: "sees what is known of subjects of whom something is released"},
	{action: SeeClinical, roles: []Role{Steward}, states: in(Received, Admitted, Released), terms: viewTerms, because: "sees what is known of the collection's subjects"},
	{action: EditEntry, roles: []Role{Custodian, Steward, Admin, Operator}, node: true, terms: actTerms, because: "writes what the directory says of the collection"},
	{action: PublishEntry, roles: []Role{Custodian, Steward, Admin, Operator}, node: true, terms: actTerms, because: "decides what the directory shows of the collection"},
	{action: PublishCounts, roles: []Role{Admin, Operator}, node: true, terms: actTerms, because: "has people counted anew, by the same rules as every day"},
	{action: Ask, roles: []Role{Anonymous}, node: true, terms: actTerms, because: "anybody may ask, and read what was answered to them"},
	{action: AnswerQuestions, roles: []Role{Steward}, terms: actTerms, because: "answers for the collection"},
	{action: AnswerForNode, roles: []Role{Admin}, node: true, terms: actTerms, because: "answers for the node"},
	{action: SeeStatus, roles: []Role{Steward, Admin, Operator}, node: true, because: "sees whether the node's parts are well"},
	{action: ManageKeys, roles: []Role{Operator}, node: true, terms: actTerms, because: "changes the master key, with the data folder and the key at hand"},

	{action: AskIdentity, roles: []Role{Steward}, person: true, terms: reviewTerms, because: "may ask who a subject is, with a reason"},
	{action: DecideIdentity, roles: []Role{Steward, Admin}, person: true, another: true, terms: reviewTerms, because: "decides on another person's request"},
	{action: SeeIdentity, roles: []Role{Steward}, person: true, own: true, consented: true, terms: reviewTerms, because: "sees once who the subject is, since another person consented"},

	{action: DepositCleaned, roles: []Role{Gateway, SiteGateway}, terms: actTerms, because: "may give objects to this collection that it has cleaned"},
	{action: EquipGateway, roles: []Role{Gateway, SiteGateway}, because: "cleans for this collection"},
	{action: TakeSecret, roles: []Role{Gateway}, terms: reviewTerms, because: "names the subjects of this collection as the node does"},
	{action: Recall, roles: []Role{Gateway, SiteGateway}, terms: actTerms, because: "has held what it gave, since it knows more by now"},

	{action: ApplyForAccess, roles: []Role{Anonymous}, person: true, node: true, terms: actTerms, because: "anybody who has signed in may ask to use data"},
	{action: SeeRequests, roles: []Role{Custodian, Steward, Admin}, terms: viewTerms, because: "sees what is asked for of the collection"},
	// A steward prepares data and sees who asks for them; whether somebody may use them is the custodian's to say.
	{action: DecideRequest, roles: []Role{Custodian}, person: true, another: true, terms: actTerms, because: "decides who may use the collection's data"},
	{action: CheckAgreement, roles: []Role{Custodian}, person: true, another: true, terms: actTerms, because: "says whether an agreement was signed by whom it names, for the dates that it has"},
	// Taking away needs no more than seeing it: who finds that something is wrong does not look for a custodian first.
	{action: EndEntitlement, roles: []Role{Custodian, Steward, Admin}, terms: actTerms, because: "ends what was permitted, for a while or for good"},
	{action: ConfirmPerson, roles: []Role{Custodian, Steward, Admin, Operator}, another: true, terms: actTerms, because: "says whether somebody works where they say they do"},

	{action: StoreAsPeer, roles: []Role{PeerStore}, link: linkKnown, terms: actTerms, because: "may give objects to this collection"},
	{action: StoreAsPeer, roles: []Role{Anonymous}, link: linkDemo, terms: actTerms, because: "a demonstration takes what this machine sends"},
	{action: FindAsPeer, roles: []Role{PeerFind}, states: in(Released), link: linkProven, terms: viewTerms, because: "finds what is released"},
	{action: MoveAsPeer, roles: []Role{PeerMove}, states: in(Released), link: linkProven, terms: viewTerms, because: "moves what is released to a registered peer"},
	{action: GetAsPeer, roles: []Role{PeerGet}, states: in(Released), link: linkProven, terms: viewTerms, because: "gets what is released"},

	// That there is a rule is an administrator's decision: ManagePeers.
	{action: Forward, roles: []Role{PeerSentReleased}, states: in(Released), terms: []string{TermAudit}, because: "is sent a copy of what is released"},
	{action: Forward, roles: []Role{PeerSentAdmitted}, states: in(Admitted, Released), terms: []string{TermAudit}, because: "is sent a copy of what is admitted and released"},
}

// Table is the policy as Markdown tables, made from the rules: docs/policy.md holds exactly this.
func Table() string {
	var b strings.Builder
	b.WriteString("## Actions on objects\n\nA cell names the states in which a role may act. An empty cell is a refusal. *own* means: on what came with the caller's own deposit.\n\n")
	table(&b, true)
	b.WriteString("\n## Other actions\n\nA grant for one collection covers that collection. *all* means: a grant for all collections covers the node as a whole too. *in person* means: a person who has signed in, never a token or a command.\n\n")
	table(&b, false)
	b.WriteString("\n## What a peer's association must show\n\n| service | who | condition |\n| --- | --- | --- |\n")
	for i := range rules {
		if r := &rules[i]; r.action.AsPeer() {
			for _, role := range r.roles {
				who := role.String()
				if role == Anonymous {
					who = "unknown AE title"
				}
				b.WriteString("| " + r.action.String() + " | " + who + " | " + linkText[r.link] + " |\n")
			}
		}
	}
	b.WriteString("\n## What goes with a permission\n\n| action | role | terms |\n| --- | --- | --- |\n")
	for i := range rules {
		r := &rules[i]
		if len(r.terms) == 0 {
			continue
		}
		names := make([]string, len(r.roles))
		for j, role := range r.roles {
			names[j] = role.String()
		}
		what := r.action.String()
		if r.states != 0 {
			what += " (" + r.states.String() + ")"
		}
		b.WriteString("| " + what + " | " + strings.Join(names, ", ") + " | " + strings.Join(r.terms, "; ") + " |\n")
	}
	return b.String()
}

// table writes role by action.
func table(b *strings.Builder, objects bool) {
	var actions []Action
	for _, a := range Actions() {
		if a.OnObjects() == objects {
			actions = append(actions, a)
		}
	}
	b.WriteString("| action |")
	for _, r := range Roles() {
		b.WriteString(" " + r.String() + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", int(roleCount)) + "\n")
	for _, a := range actions {
		b.WriteString("| " + a.String() + " |")
		for _, role := range Roles() {
			b.WriteString(" " + cell(a, role) + " |")
		}
		b.WriteString("\n")
	}
}

func cell(a Action, role Role) string {
	var parts []string
	for i := range rules {
		r := &rules[i]
		if r.action != a {
			continue
		}
		for _, have := range r.roles {
			if have != role {
				continue
			}
			text := "yes"
			if r.states != 0 {
				names := make([]string, 0, 6)
				for _, st := range r.states.list() {
					names = append(names, st.String())
				}
				text = strings.Join(names, ", ")
			}
			switch {
			case r.consented:
				text = "own request, with another person's consent"
			case r.another:
				text = "another's request"
			case r.own:
				text = "own: " + text
			}
			if r.person {
				text += ", in person"
			}
			if r.node {
				text += ", all"
			}
			if r.link == linkDemo {
				text = "with --demo"
			}
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}
