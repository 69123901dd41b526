// Package dimse is the DICOM door: it translates associations (PS3.7, PS3.8), C-STOREs into deposits, C-FINDs into searches, C-GETs and C-MOVEs into
// deliveries, and what comes of them into statuses.
//
// The called AE title chooses the collection. Who calls is decided by the register of peers, their address and, where one is registered, their
// certificate; a calling AE title alone proves nothing. Anybody may C-ECHO. What a peer is told and given, package delivery decides, object by object.
package dimse

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// Codes of a rejection (PS3.8 Table 9-21).
const (
	rejectedPermanent  = 1
	rejectedTransient  = 2
	sourceUser         = 1
	sourcePresentation = 3
	reasonCalledAE     = 7 // of the user: called AE title not recognized
	reasonCongestion   = 1 // of the presentation service: temporary congestion
)

// Door serves DICOM associations.
type Door struct {
	Custody     *custody.Custody
	Delivery    *delivery.Delivery
	Sender      *transfer.Sender // sends to other peers
	Commit      *transfer.Committer
	Collections *collection.Record
	Identity    *identity.Record
	Log         *slog.Logger
	// Demo takes C-STORE from unknown applications on this machine.
	Demo bool
	// TLS is what associations are secured with; nil: not at all.
	TLS *tls.Config
	// Observe is told of every C-STORE: its status code, the bytes of its data set, and how long it took. It may be nil.
	Observe func(status uint16, bytes int64, took time.Duration)
	// ObserveEnd is told of every association that has ended, and ObserveRefused, by a code of the reason, of every connection that became none. Either may be nil.
	ObserveEnd     func()
	ObserveRefused func(reason string)

	Limits Limits // of each registered peer

	refusals refusals
	shares   shares
}

// maxAssociations is how many associations there are at a time, and how many connections without one beside them; one address gets a quarter of each.
const maxAssociations = 256

// session is what an association was accepted as.
type session struct {
	peer       delivery.Peer
	registered identity.Peer // as which it was accepted; the zero value: none
	called     string        // AE title
	agreed     negotiated
	may        map[policy.Action]bool // what was decided when the association began; what leaves is decided anew

	mu      sync.Mutex
	deposit *custody.Deposit
}

// Server is the network server that hands its associations to the door.
func (d *Door) Server() *network.Server {
	return &network.Server{
		Accept:           d.accept,
		Store:            d.store,
		Query:            d.query,
		Action:           d.action,
		OnAssociationEnd: d.ended,
		OnRefused: func(_ net.Addr, err error) {
			d.refusals.log(d.Log, err)
			if d.ObserveRefused != nil {
				reason, _ := reasonOf(err)
				d.ObserveRefused(reason)
			}
		},
		OnPanic: func(_ *network.Association, _ any, stack []byte) {
			d.Log.Error("a message panicked", "stack", string(stack))
		},
		TLS:             d.TLS,
		MaxAssociations: maxAssociations,
		MaxPending:      maxAssociations,
	}
}

// accept decides what an association may do (PS3.8 9.3.2, 9.3.4).
func (d *Door) accept(ctx context.Context, req *network.AssociateRequest) (network.Decision, error) {
	unknownCalled := &network.Rejection{Result: rejectedPermanent, Source: sourceUser, Reason: reasonCalledAE}
	called, err := collection.ParseAETitle(req.CalledAE)
	if err != nil {
		return network.Decision{}, unknownCalled
	}
	col, err := d.Collections.ByAETitle(ctx, called)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return network.Decision{}, unknownCalled
		}
		d.Log.Error("an association could not be decided", "error", err)
		return network.Decision{}, &network.Rejection{Result: rejectedTransient, Source: sourcePresentation, Reason: reasonCongestion}
	}
	registered, link, doubt, err := d.caller(ctx, req)
	if err != nil { // without the register nobody can be told who may what: come again, rather than be told that nothing is taken
		d.Log.Error("an association could not be decided", "error", err)
		return network.Decision{}, &network.Rejection{Result: rejectedTransient, Source: sourcePresentation, Reason: reasonCongestion}
	}
	actor, grants := "unknown peer", []policy.Grant(nil)
	if registered.AETitle != "" {
		actor, grants = "peer "+string(registered.AETitle), registered.Grants()
	}
	sess := &session{registered: registered, peer: delivery.Peer{Caller: delivery.Caller{Actor: actor, Grants: grants}, Link: link, Collection: col.ID}, called: string(called), may: map[policy.Action]bool{}}
	for _, a := range []policy.Action{policy.StoreAsPeer, policy.FindAsPeer, policy.MoveAsPeer, policy.GetAsPeer} {
		sess.may[a] = permitted(grants, a, col.ID, link)
	}
	if !slices.ContainsFunc(req.Contexts, func(p network.ProposedContext) bool {
		return p.AbstractSyntax != network.VerificationUID && sess.serves(p.AbstractSyntax)
	}) && wantsMore(req) {
		d.Log.Info("association may do nothing of what it asks for", "collection", string(col.ID), "reason", doubt)
	}
	if registered.AETitle != "" && !d.shares.enter(ctx, registered.AETitle, d.Limits.of(registered)) {
		return network.Decision{}, &network.Rejection{Result: network.RejectTransient, Source: network.RejectByPresentation, Reason: network.RejectLimit}
	}
	out := network.Decision{Negotiate: sess.negotiate, Roles: sess.roles, Value: sess}
	out.Extended, sess.agreed = extended(req)
	return out, nil
}

// permitted reports whether the peer may do something in the collection, to some objects at least.
func permitted(grants []policy.Grant, action policy.Action, in collection.ID, link policy.Link) bool {
	if !action.OnObjects() {
		return policy.Decide(policy.Facts{Grants: grants, Action: action, Collection: string(in), Link: link}).Allow
	}
	return slices.ContainsFunc(policy.Scopes(grants, action, link), func(s policy.Scope) bool { return s.Collection == policy.AllCollections || s.Collection == string(in) })
}

// queryClasses are the SOP classes of query and retrieval, with what takes leave for each.
var queryClasses = map[string]policy.Action{
	network.PatientRootFindUID: policy.FindAsPeer, network.StudyRootFindUID: policy.FindAsPeer,
	network.PatientRootMoveUID: policy.MoveAsPeer, network.StudyRootMoveUID: policy.MoveAsPeer,
	network.PatientRootGetUID: policy.GetAsPeer, network.StudyRootGetUID: policy.GetAsPeer,
}

// commits reports the SOP class of storage commitment, whose requests are those of a peer that may store.
func commits(class string) bool { return class == network.StorageCommitmentUID }

// serves reports whether anything of a SOP class is served to this caller.
func (s *session) serves(class string) bool {
	if class == network.VerificationUID {
		return true
	}
	if action, ok := queryClasses[class]; ok {
		return s.may[action]
	}
	if commits(class) {
		return s.may[policy.StoreAsPeer] && s.registered.AETitle != ""
	}
	return s.may[policy.StoreAsPeer] || s.may[policy.GetAsPeer]
}

// roles says in which roles a peer is served: whoever may store sends instances, whoever may get takes them (PS3.7 D.3.3.4).
func (s *session) roles(p *network.ProposedContext) (scu, scp bool) {
	if _, ok := queryClasses[p.AbstractSyntax]; ok || p.AbstractSyntax == network.VerificationUID || commits(p.AbstractSyntax) {
		return s.serves(p.AbstractSyntax), false
	}
	return s.may[policy.StoreAsPeer], s.may[policy.GetAsPeer]
}

// negotiate answers a presentation context. What a caller may not do is the user's to refuse, since the service is not what is missing; [session.roles] does that.
func (s *session) negotiate(p *network.ProposedContext) (string, network.ContextResult) {
	if _, ok := queryClasses[p.AbstractSyntax]; !ok && !commits(p.AbstractSyntax) {
		return network.StoragePolicy{Private: true}.Negotiate(p)
	}
	for _, ts := range p.TransferSyntaxes {
		if ts == dicom.ExplicitVRLittleEndianUID || ts == dicom.ImplicitVRLittleEndianUID || ts == dicom.ExplicitVRBigEndianUID {
			return ts, network.ContextAccepted
		}
	}
	return "", network.ContextTransferSyntaxNotAccepted
}

// negotiated is what was agreed on beyond what every C-FIND has (PS3.4 C.5.1.1).
type negotiated struct{ combined, fuzzy bool }

// extended answers the service-class information of C-FIND: combined matching of dates and times, and fuzzy matching of names, where they are asked for. Relational
// queries and the adjustment of time zones are not served.
func extended(req *network.AssociateRequest) (answers []network.ExtendedNegotiation, n negotiated) {
	for _, e := range req.Extended {
		if queryClasses[e.SOPClassUID] != policy.FindAsPeer {
			continue
		}
		in := append(slices.Clone(e.Information), 0, 0, 0)
		out := []byte{0, in[1] & 1, in[2] & 1, 0}
		n.combined, n.fuzzy = n.combined || out[1] == 1, n.fuzzy || out[2] == 1
		answers = append(answers, network.ExtendedNegotiation{SOPClassUID: e.SOPClassUID, Information: out[:max(1, min(len(e.Information), 4))]})
	}
	return answers, n
}

// wantsMore reports whether something beside Verification is proposed.
func wantsMore(req *network.AssociateRequest) bool {
	return slices.ContainsFunc(req.Contexts, func(c network.ProposedContext) bool { return c.AbstractSyntax != network.VerificationUID })
}

// caller is who opens an association: the registered peer if it is that peer as far as can be told, what is known of the connection, and, for the log, what
// the peer is not allowed for if it is not. A title that is not registered is text of the sender's choosing: it is not repeated.
func (d *Door) caller(ctx context.Context, req *network.AssociateRequest) (peer identity.Peer, link policy.Link, doubt string, err error) {
	from := address(req.RemoteAddr)
	link = policy.Link{Loopback: from.IsLoopback(), Demo: d.Demo}
	ae, err := collection.ParseAETitle(req.CallingAE)
	if err != nil {
		return identity.Peer{}, link, "unknown-calling-ae-title", nil
	}
	peer, err = d.Identity.Peer(ctx, ae)
	if err != nil {
		if !fault.Is(err, fault.NotFound) {
			return identity.Peer{}, link, "", err
		}
		return identity.Peer{}, link, "unknown-calling-ae-title", nil
	}
	link.Address = d.calledFrom(ctx, peer, from)
	if peer.Certificate != nil {
		if doubt := d.shown(ctx, peer, req.TLS); doubt != "" { // a peer that has a certificate and does not show it is not that peer
			return identity.Peer{}, policy.Link{Loopback: link.Loopback, Demo: link.Demo}, doubt, nil
		}
		link.Certificate = true
	}
	doubt = "not-granted"
	if !link.Address && !link.Loopback {
		doubt = "not-the-registered-address"
	}
	return peer, link, doubt, nil
}

// shown compares the certificate of a connection with a peer's; empty: it is that one, and valid now. What it says of its holder counts for nothing, what it says of its time does.
func (d *Door) shown(ctx context.Context, peer identity.Peer, state *tls.ConnectionState) (doubt string) {
	if state == nil {
		return "no-tls"
	}
	if len(state.PeerCertificates) == 0 {
		return "no-certificate"
	}
	c := state.PeerCertificates[0]
	if sum := identity.Digest(sha256.Sum256(c.Raw)); sum != *peer.Certificate {
		all, err := d.Identity.Peers(ctx)
		if err == nil && slices.ContainsFunc(all, func(p identity.Peer) bool { return p.Certificate != nil && *p.Certificate == sum }) {
			return "certificate-of-another-peer"
		}
		return "not-the-registered-certificate"
	}
	switch now := time.Now(); {
	case now.After(c.NotAfter):
		return "certificate-expired"
	case now.Before(c.NotBefore):
		return "certificate-not-yet-valid"
	}
	return ""
}

// calledFrom reports whether the address is the one that the peer is registered with.
func (d *Door) calledFrom(ctx context.Context, peer identity.Peer, from netip.Addr) bool {
	if a, err := netip.ParseAddr(peer.Host); err == nil {
		return a.Unmap() == from
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", peer.Host)
	if err != nil {
		d.Log.Warn("the address of a registered peer cannot be resolved")
		return false
	}
	for _, a := range addrs {
		if a.Unmap() == from {
			return true
		}
	}
	return false
}

func address(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// store takes one instance. Success is said only when it is on stable storage. What is held is kept as well, and so a success; its sender is warned.
func (d *Door) store(ctx context.Context, a *network.Association, req *network.StoreRequest) network.Status {
	begun := time.Now()
	status := d.receive(ctx, a, req)
	if d.Observe != nil {
		d.Observe(status.Code, req.Data.BytesRead(), time.Since(begun))
	}
	return status
}

func (d *Door) receive(ctx context.Context, a *network.Association, req *network.StoreRequest) network.Status {
	s, ok := a.Value().(*session)
	if !ok || !s.may[policy.StoreAsPeer] {
		return network.Status{Code: network.StatusNotAuthorized, Comment: "this application may not store here"}
	}
	syntax, ok := dicom.LookupTransferSyntax(req.TransferSyntaxUID)
	if !ok {
		return network.Status{Code: network.StatusCannotUnderstand, Comment: "unknown transfer syntax"}
	}
	dep, err := s.begin(ctx, d.Custody)
	if err != nil {
		return statusOf(err)
	}
	r, err := dep.Receive(ctx, custody.Incoming{Syntax: syntax, SOPClassUID: req.SOPClassUID, SOPInstanceUID: req.SOPInstanceUID, Data: req.Data})
	if err != nil {
		return statusOf(err)
	}
	return statusOfKept(r)
}

// statusOfKept warns of what is kept and waits for a person, the first time and again: its sender must not take it for one of those that researchers get. C-STORE
// has no warning of its own for that, and senders take one that PS3.4 Table B.2-1 does not list for a failure; so the code is the one that says least, and the
// comment tells.
func statusOfKept(r custody.Receipt) network.Status {
	const held = "held: "
	switch {
	case r.Outcome == custody.Conflict: // whatever else it would be held for
		return network.Status{Code: network.StatusCoerced, Comment: "conflict: other bytes are known under this SOP Instance UID"}
	case r.Outcome == custody.Held && len(r.Reasons) > 0:
		return network.Status{Code: network.StatusCoerced, Comment: held + r.Reasons[0].Within(network.MaxComment-len(held))}
	case r.Outcome == custody.Held:
		return network.Status{Code: network.StatusCoerced, Comment: "held"}
	}
	return network.Status{}
}

func (s *session) begin(ctx context.Context, c *custody.Custody) (*custody.Deposit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deposit == nil {
		dep, err := c.Begin(ctx, s.peer.Collection, custody.DoorDIMSE, s.peer.Actor)
		if err != nil {
			return nil, err
		}
		s.deposit = dep
	}
	return s.deposit, nil
}

func (d *Door) ended(a *network.Association, err error) {
	if d.ObserveEnd != nil {
		d.ObserveEnd()
	}
	if s, ok := a.Value().(*session); ok {
		s.mu.Lock()
		dep := s.deposit
		s.mu.Unlock()
		if dep != nil {
			dep.End()
		}
	}
	st := a.Stats()
	d.Log.Info("association ended", "stored", st.Stored, "queries", st.Queries, "matches", st.Matches, "sent", st.Sent, "failed", st.Failed, "bytes", st.DataSetBytes, "error", err)
}

// statusOf maps a failure to the statuses of C-STORE (PS3.4 Table B.2-1, PS3.7 9.1.1.1.9), as the DICOMweb door maps it to failure reasons: a data set that was read and
// lacks what every SOP class requires, or is another object than its message says, does not match its SOP class; one that cannot be read is not understood.
func statusOf(err error) network.Status {
	refusal, ok := errors.AsType[*custody.Refusal](err)
	if !ok {
		switch fault.KindOf(err) {
		case fault.Denied:
			return network.Status{Code: network.StatusNotAuthorized, Comment: "this collection takes no deposits"}
		default:
			return network.Status{Code: network.StatusOutOfResources, Comment: "it cannot be kept now; send it again later"}
		}
	}
	st := network.Status{Code: network.StatusCannotUnderstand, Comment: refusal.Reason.Within(network.MaxComment)}
	switch {
	case fault.Is(err, fault.Unavailable):
		st.Code = network.StatusOutOfResources
	case fault.Is(err, fault.TooLarge):
		st.Code = network.StatusOutOfResources
	case fault.Is(err, fault.Denied):
		st.Code = network.StatusNotAuthorized
	case refusal.Reason.Code == "invalid-uid" && refusal.Reason.Where == dicom.TagSOPInstanceUID.String():
		st.Code = network.StatusInvalidInstance // PS3.7 C.5.7: it breaks the rules for UIDs
	case slices.Contains([]string{"missing-uid", "invalid-uid", "mismatch"}, refusal.Reason.Code):
		st.Code = network.StatusDataSetMismatch
	}
	return st
}
