package network

import (
	"slices"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Negotiator answers one proposed presentation context: with one of its transfer syntaxes and ContextAccepted, or with the reason why not.
type Negotiator func(p *ProposedContext) (transferSyntax string, result ContextResult)

// StoragePolicy answers presentation contexts as an archive does that keeps what it is given: Verification and every storage SOP class of the standard are
// accepted, each with the first transfer syntax of the sender's list that can be read, so that things arrive as the sender has them.
type StoragePolicy struct {
	Private  bool                                // accept also abstract syntaxes outside the standard's root, 1.2.840.10008
	Readable func(transferSyntaxUID string) bool // nil: those that dicom.LookupTransferSyntax knows
}

// Negotiate is a Negotiator.
func (s StoragePolicy) Negotiate(p *ProposedContext) (string, ContextResult) {
	_, known := storageClassByUID[p.AbstractSyntax]
	if !known && p.AbstractSyntax != VerificationUID && !(s.Private && isPrivateUID(p.AbstractSyntax)) {
		return "", ContextAbstractSyntaxNotAccepted
	}
	for _, ts := range p.TransferSyntaxes {
		if s.Readable != nil {
			if s.Readable(ts) {
				return ts, ContextAccepted
			}
		} else if _, ok := dicom.LookupTransferSyntax(ts); ok {
			return ts, ContextAccepted
		}
	}
	return "", ContextTransferSyntaxNotAccepted
}

func isPrivateUID(uid string) bool {
	return uid != "" && uid != "1.2.840.10008" && !strings.HasPrefix(uid, "1.2.840.10008.")
}

// Decision is how an association is accepted.
type Decision struct {
	Negotiate Negotiator // nil: StoragePolicy{}.Negotiate

	// Roles says which of the roles that the requestor proposes for a SOP class it may take (PS3.7 D.3.3.4); with neither the context is refused. It may give a
	// role that was not proposed: that counts for nothing. Nil: SCU, if that is proposed, and never SCP.
	Roles func(p *ProposedContext) (scu, scp bool)

	Value    any                   // kept with the association, for its handlers
	Extended []ExtendedNegotiation // the answers to service-class information that was proposed (PS3.7 D.3.3.5); others are left out

	// IdentityResponse answers a user identity whose sender asked for a response (PS3.7 D.3.3.7). Sending one says that the identity was verified, so nil,
	// which sends none, is right unless Accept did that. It is empty but not nil for identities of types 1, 2 and 5.
	IdentityResponse []byte
}

// negotiate answers a request. A Negotiator that answers with what was not proposed is corrected to a refusal.
func negotiate(rq *associate, d *Decision, a *Association, ac *associate) {
	pick := d.Negotiate
	if pick == nil {
		pick = StoragePolicy{}.Negotiate
	}
	a.pick = pick
	roles := d.Roles
	if roles == nil {
		roles = func(*ProposedContext) (bool, bool) { return true, false }
	}
	asked := map[string]Role{}
	for _, r := range rq.Roles {
		asked[r.SOPClassUID] = r
	}
	granted := map[string]Role{}
	for i := range rq.Contexts {
		p := &rq.Contexts[i]
		p.SCU = true // the default (PS3.7 D.3.3.4)
		if r, ok := asked[p.AbstractSyntax]; ok {
			p.SCU, p.SCP = r.SCU, r.SCP
		}
		scu, scp := roles(p)
		role := Role{p.AbstractSyntax, scu && p.SCU, scp && p.SCP}
		answer := answeredContext{id: p.ID}
		if !role.SCU && !role.SCP {
			answer.result = ContextUserRejection
		} else {
			answer.syntax, answer.result = pick(p)
		}
		if answer.result == ContextAccepted && !proposed(p, answer.syntax) {
			answer.result = ContextNoReason
		}
		if answer.result == ContextAccepted {
			a.agree(Context{ID: p.ID, AbstractSyntax: p.AbstractSyntax, TransferSyntax: answer.syntax, SCU: role.SCU, SCP: role.SCP})
			granted[p.AbstractSyntax] = role
		} else {
			answer.syntax = dicom.ImplicitVRLittleEndianUID // has to be there and means nothing (PS3.8 9.3.3.2)
		}
		ac.answers = append(ac.answers, answer)
	}
	for _, r := range rq.Roles {
		if role, ok := granted[r.SOPClassUID]; ok { // once, and only where it was asked for
			ac.Roles = append(ac.Roles, role)
			delete(granted, r.SOPClassUID)
		}
	}
	for _, e := range d.Extended {
		asked := slices.ContainsFunc(rq.Extended, func(x ExtendedNegotiation) bool { return x.SOPClassUID == e.SOPClassUID })
		agreed := slices.ContainsFunc(a.contexts, func(c Context) bool { return c.AbstractSyntax == e.SOPClassUID })
		if asked && agreed && validUID(e.SOPClassUID) && len(e.Information) <= 1<<10 {
			ac.Extended = append(ac.Extended, e)
		}
	}
	if id := rq.UserIdentity; id != nil && id.ResponseRequested {
		ac.identityAnswer = d.IdentityResponse
	}
}

// wouldAgree reports whether a context of that class and transfer syntax would have been accepted. Senders put an instance into the context of another class
// when file meta information and data set contradict each other (DCMTK's dcmsend does); what is allowed is still the negotiator's to say.
func (a *Association) wouldAgree(class, ts string) bool {
	if class == "" || class == VerificationUID {
		return false
	}
	got, result := a.pick(&ProposedContext{AbstractSyntax: class, TransferSyntaxes: []string{ts}, SCU: true})
	return result == ContextAccepted && got == ts
}

func proposed(p *ProposedContext, ts string) bool {
	for _, s := range p.TransferSyntaxes {
		if s == ts {
			return true
		}
	}
	return false
}
