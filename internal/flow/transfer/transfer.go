// Package transfer sends objects to other DICOM applications: on the association of a C-GET, or on associations of its own to registered peers, for C-MOVE and for
// forwarding.
//
// It promises: objects go out in the transfer syntax that they are kept in, or, if that is not taken, in a native one: rewritten if they are native, else decoded, where that can be done; none goes out cut, and
// none is compressed. A peer that is registered with a certificate is sent nothing but over TLS, to who shows that certificate. Package delivery decides on every object, when it is sent.
package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// natives are the transfer syntaxes that a native object is offered in, the first the most widely taken.
var natives = []string{dicom.ExplicitVRLittleEndianUID, dicom.ImplicitVRLittleEndianUID, dicom.DeflatedExplicitVRLittleEndianUID, dicom.ExplicitVRBigEndianUID}

// decodes are the transfer syntaxes that an object goes out in that has been decoded.
var decodes = natives[:2]

// Syntaxes are those in which an object that is kept in one may go out, best first.
func Syntaxes(kept string) []string {
	ts, ok := dicom.LookupTransferSyntax(kept)
	if ok && ts.Encapsulated {
		return append([]string{kept}, decodes...)
	}
	if !ok || !slices.Contains(natives, kept) {
		return []string{kept}
	}
	all := []string{kept}
	for _, n := range natives {
		if n != kept {
			all = append(all, n)
		}
	}
	return all
}

// Lane is an association on which objects go out: of a C-GET, or of one's own.
type Lane interface {
	// Takes is a presentation context for a SOP class in one of the syntaxes.
	Takes(class string, syntaxes []string) (network.Context, bool)
	Store(ctx context.Context, in *network.Instance) (network.Status, error)
}

// Originator is who asked for a C-MOVE (PS3.7 9.1.1.1.7, 9.1.1.1.8).
type Originator struct {
	AETitle   string
	MessageID uint16
}

// Send sends one open object. network.ErrNoContext says that the peer does not take it in any syntax that it can have, [*render.Unsupported] or [*render.Broken] that it takes none but what the object would
// have to be decoded for, which cannot be done; the lane goes on then. lost says that it does not.
func (s *Sender) Send(ctx context.Context, lane Lane, o *delivery.Object, by Originator) (st network.Status, lost bool, err error) {
	pc, ok := lane.Takes(o.SOPClass, Syntaxes(o.Syntax().UID))
	if !ok {
		return st, false, network.ErrNoContext
	}
	ts, ok := dicom.LookupTransferSyntax(pc.TransferSyntax)
	if !ok {
		return st, false, network.ErrNoContext
	}
	if ts.UID != o.Syntax().UID && o.Syntax().Encapsulated {
		return s.decoded(ctx, lane, o, by, ts)
	}
	if n, err := o.DataSize(); err != nil || n > 0 && n%2 == 1 && !ts.Deflated && ts.UID == o.Syntax().UID {
		return st, false, errors.Join(err, network.ErrOddLength) // it was kept as it came, and receivers abort over it
	}
	r, err := o.Reader(ts)
	if err != nil {
		return st, false, err
	}
	return store(ctx, lane, o, by, ts, r)
}

func store(ctx context.Context, lane Lane, o *delivery.Object, by Originator, ts *dicom.TransferSyntax, r io.ReadCloser) (st network.Status, lost bool, err error) {
	defer r.Close()
	st, err = lane.Store(ctx, &network.Instance{SOPClassUID: o.SOPClass, SOPInstanceUID: string(o.SOP), TransferSyntaxUID: ts.UID, Reader: r, MoveOriginatorAE: by.AETitle, MoveOriginatorMessageID: by.MessageID})
	return st, err != nil && !errors.Is(err, network.ErrNoContext), err
}

// decoded sends an object with its pixels uncompressed.
func (s *Sender) decoded(ctx context.Context, lane Lane, o *delivery.Object, by Originator, ts *dicom.TransferSyntax) (st network.Status, lost bool, err error) {
	p, err := s.Delivery.Plain(ctx, o)
	if err != nil {
		return st, false, err
	}
	r, err := p.Reader(ctx, ts)
	if err != nil {
		return st, false, err
	}
	return store(ctx, lane, o, by, ts, r)
}

// Reason says in a word why an instance could not be sent, for comments; empty if it is for another reason than the forms that it can have.
func Reason(err error) string {
	if errors.Is(err, network.ErrNoContext) {
		return "no transfer syntax is taken"
	}
	if e, ok := errors.AsType[*render.Unsupported](err); ok {
		return "not decoded: " + e.Reason
	}
	if _, ok := errors.AsType[*render.Broken](err); ok {
		return "not decoded: damaged pixels"
	}
	return ""
}

// own is a lane of one's own.
type own struct{ a *network.Association }

func (l own) Takes(class string, syntaxes []string) (network.Context, bool) {
	for _, ts := range syntaxes {
		if c, ok := l.a.Context(class, ts); ok && c.SCU {
			return c, true
		}
	}
	return network.Context{}, false
}

func (l own) Store(ctx context.Context, in *network.Instance) (network.Status, error) {
	return l.a.Store(ctx, in)
}

// Sender opens associations to registered peers.
type Sender struct {
	Delivery *delivery.Delivery
	TLS      *tls.Config // with the node's own certificate; nil: it has none
	// Patience is how long a peer may take for an answer; 0: two minutes. An archive may say nothing while it sends a study.
	Patience time.Duration
}

// Dial opens an association to a peer, to which it calls itself calling. A peer that does not answer, or is another, is a fault.Unavailable.
func (s *Sender) Dial(ctx context.Context, to identity.Peer, calling string, contexts []network.Proposal, roles ...network.Role) (*network.Association, error) {
	o := network.DialOptions{CallingAE: calling, CalledAE: string(to.AETitle), Contexts: contexts, Roles: roles, ConnectTimeout: 10 * time.Second, AssociateTimeout: 20 * time.Second, ResponseTimeout: cmp.Or(s.Patience, 2*time.Minute)}
	if to.Certificate != nil {
		o.TLS = pinned(s.TLS, *to.Certificate)
	}
	a, err := network.Dial(ctx, net.JoinHostPort(to.Host, strconv.Itoa(to.Port)), o)
	if err != nil && o.TLS != nil && refused(err) {
		err = errors.Join(errRefused, err)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "call peer", "peer "+string(to.AETitle), err)
	}
	return a, nil
}

// pinned accepts the one certificate, whatever it says of itself: the register is what it is compared with, as it is when the peer calls.
func pinned(own *tls.Config, want identity.Digest) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // VerifyConnection compares the certificate itself
	if own != nil {
		c.Certificates = own.Certificates
	}
	c.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.PeerCertificates) == 0 || sha256.Sum256(st.PeerCertificates[0].Raw) != want {
			return errOtherCertificate
		}
		if now := time.Now(); now.After(st.PeerCertificates[0].NotAfter) || now.Before(st.PeerCertificates[0].NotBefore) {
			return errExpiredCertificate
		}
		return nil
	}
	return c
}

var (
	errOtherCertificate   = errors.New("the peer shows another certificate than the registered one")
	errExpiredCertificate = errors.New("the peer's certificate is not valid now")
	errRefused            = errors.New("the peer ends TLS as one does that does not take our certificate")
)

// refused reports whether TLS ended by an alert of the peer, or by the end of the line before anything was answered: TLS 1.3 refuses a client's certificate behind the handshake, and the alert may be lost with
// the line.
func refused(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		return true
	}
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Codes of why a peer cannot be sent to.
const (
	reasonNoAnswer           = "peer-does-not-answer"
	reasonOtherCertificate   = "peer-shows-another-certificate"
	reasonExpiredCertificate = "peer-certificate-not-valid-now"
	reasonNoTLS              = "peer-speaks-no-tls"
	reasonRefusesCertificate = "peer-refuses-our-certificate"
	reasonRejected           = "peer-rejects-association"
)

// Unreached is the code of why an association could not be opened.
func Unreached(err error) string {
	if errors.Is(err, errOtherCertificate) {
		return reasonOtherCertificate
	}
	if errors.Is(err, errExpiredCertificate) {
		return reasonExpiredCertificate
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return reasonNoTLS
	}
	if errors.Is(err, errRefused) {
		return reasonRefusesCertificate
	}
	if _, ok := errors.AsType[*network.Rejection](err); ok {
		return reasonRejected
	}
	return reasonNoAnswer
}

// maxContexts of one association (PS3.8 9.3.2.2).
const maxContexts = 128

// run is what fits one association: instances, and the presentation contexts that they need.
type run struct {
	items    []catalogue.Located
	contexts []network.Proposal
}

// runs divides instances among associations, in order.
func runs(all []catalogue.Located) []run {
	var out []run
	var now run
	have := map[[2]string]bool{}
	for _, l := range all {
		var more []network.Proposal
		for _, ts := range Syntaxes(l.TransferSyntax) {
			if k := [2]string{l.SOPClass, ts}; !have[k] {
				more = append(more, network.Proposal{AbstractSyntax: l.SOPClass, TransferSyntaxes: []string{ts}})
			}
		}
		if len(now.contexts)+len(more) > maxContexts {
			out, now = append(out, now), run{}
			clear(have)
			more = nil
			for _, ts := range Syntaxes(l.TransferSyntax) {
				more = append(more, network.Proposal{AbstractSyntax: l.SOPClass, TransferSyntaxes: []string{ts}})
			}
		}
		for _, m := range more {
			have[[2]string{m.AbstractSyntax, m.TransferSyntaxes[0]}] = true
		}
		now.contexts, now.items = append(now.contexts, more...), append(now.items, l)
	}
	if len(now.items) > 0 {
		out = append(out, now)
	}
	return out
}

// Batch is what is to be sent to a peer, for whom, and who is told.
type Batch struct {
	To      identity.Peer
	Calling string // the AE title that the node calls itself
	For     delivery.Peer
	Want    policy.Action
	Items   []catalogue.Located
	By      Originator
	// Sent is told of each instance, with what the peer answered or why it was not sent; false ends the batch.
	Sent func(l catalogue.Located, st network.Status, err error) (more bool)
	// Before, which may be nil, is asked before each; false ends the batch.
	Before func() bool
}

// Move sends a batch. An error is of an association that could not be opened, or broke: what Sent was not told of was not sent.
func (s *Sender) Move(ctx context.Context, b Batch) error {
	for _, r := range runs(b.Items) {
		more, err := s.run(ctx, &b, &r)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *Sender) run(ctx context.Context, b *Batch, r *run) (more bool, err error) {
	a, err := s.Dial(ctx, b.To, b.Calling, r.contexts)
	if err != nil {
		return false, err
	}
	defer func() {
		if ctx.Err() != nil {
			a.Abort()
		} else {
			_ = a.Release(ctx) // of one that has ended, it says that again
		}
	}()
	if len(r.items) == 0 {
		return true, nil
	}
	for i, l := range r.items {
		if b.Before != nil && !b.Before() || ctx.Err() != nil {
			return false, nil
		}
		o, err := s.Delivery.Give(ctx, b.For, l.ID, b.Want)
		var st network.Status
		lost := false
		if err == nil {
			st, lost, err = s.Send(ctx, own{a}, o, b.By)
			o.Close()
		}
		if lost && ctx.Err() != nil {
			return false, nil
		}
		more := b.Sent(l, st, err)
		if lost && more && fault.Is(err, fault.Corrupt) { // what broke off is this object's fault: the others go on another association
			return s.run(ctx, b, &run{items: r.items[i+1:], contexts: r.contexts})
		}
		if lost {
			return false, fault.Wrap(fault.Unavailable, "send to peer", "peer "+string(b.To.AETitle), err)
		}
		if !more {
			return false, nil
		}
	}
	return true, nil
}
