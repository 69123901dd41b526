package network

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Proposal is a presentation context to propose: an abstract syntax (a SOP class) and the transfer syntaxes it could come in, of which the acceptor picks
// one. To send instances as they are, propose one context for each pair of SOP class and transfer syntax among them.
type Proposal struct {
	AbstractSyntax   string
	TransferSyntaxes []string
}

// DialOptions say what association to ask for.
type DialOptions struct {
	CallingAE, CalledAE string // 1 to 16 characters
	Contexts            []Proposal
	TLS                 *tls.Config           // nil: no TLS
	Roles               []Role                // PS3.7 D.3.3.4
	Extended            []ExtendedNegotiation // PS3.7 D.3.3.5
	UserIdentity        *UserIdentity         // PS3.7 D.3.3.7
	MaxPDU              uint32                // longest P-DATA-TF taken; 0 is DefaultMaxPDU
	ConnectTimeout      time.Duration         // for the connection and TLS; 0 is DefaultARTIM
	AssociateTimeout    time.Duration         // for the answer to the request, and to a release; 0 is DefaultARTIM
	ResponseTimeout     time.Duration         // for the answer to a message; 0 is ten minutes: an archive may have to make room first
	ReadTimeout         time.Duration         // without a byte inside a message
	WriteTimeout        time.Duration         // for each run of up to 64 PDUs
}

const defaultResponse = 10 * time.Minute

// Dial opens an association. An error may be a *Rejection (the peer said no) or an *AbortError. That contexts were refused is no error: see Contexts.
func Dial(ctx context.Context, addr string, o DialOptions) (*Association, error) {
	rq, err := o.request()
	if err != nil {
		return nil, err
	}
	connect, cancel := context.WithTimeout(ctx, or(o.ConnectTimeout, DefaultARTIM))
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(connect, "tcp", addr)
	if err != nil {
		return nil, err
	}
	noDelay(nc)
	var state *tls.ConnectionState
	if o.TLS != nil {
		cfg := o.TLS
		if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
			cfg = cfg.Clone()
			cfg.ServerName, _, _ = net.SplitHostPort(addr)
		}
		t := tls.Client(nc, cfg)
		if err := t.HandshakeContext(connect); err != nil {
			nc.Close()
			return nil, err
		}
		s := t.ConnectionState()
		nc, state = t, &s
	}
	wait := or(o.AssociateTimeout, DefaultARTIM)
	w := newWire(nc, rq.MaxPDU, or(o.ReadTimeout, DefaultReadTimeout), or(o.WriteTimeout, DefaultWriteTimeout), 0)
	a := &Association{
		w: w, requestor: true, calling: o.CallingAE, called: o.CalledAE, local: nc.LocalAddr(), remote: nc.RemoteAddr(), tls: state, artim: wait,
		started: time.Now(), answer: or(o.ResponseTimeout, defaultResponse),
	}
	stop := w.whileContext(ctx)
	err = a.ask(rq, wait)
	if !stop() && err == nil {
		err = ErrStopped
	}
	if err != nil {
		w.end(err, time.Second)
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return nil, err
	}
	return a, nil
}

// request is the A-ASSOCIATE-RQ of the options.
func (o *DialOptions) request() (*associate, error) {
	if len(o.Contexts) > maxContexts {
		return nil, fmt.Errorf("%w: %d are asked for", ErrTooManyContexts, len(o.Contexts))
	}
	if len(o.Contexts) == 0 {
		return nil, errors.New("dicom/network: an association needs a presentation context")
	}
	rq := &associate{version: 1, application: applicationContextUID}
	var ok, ok2 bool
	if rq.called, ok = padTitle(o.CalledAE); ok {
		rq.calling, ok2 = padTitle(o.CallingAE)
	}
	if !ok || !ok2 {
		return nil, errors.New("dicom/network: an AE title has 1 to 16 characters of ASCII and no backslash (PS3.5 6.2)")
	}
	rq.MaxPDU = or(o.MaxPDU, DefaultMaxPDU)
	if rq.MaxPDU < minPDU || rq.MaxPDU > maxPDU {
		return nil, fmt.Errorf("dicom/network: MaxPDU is from %d to %d", minPDU, maxPDU)
	}
	for i, p := range o.Contexts {
		if !validUID(p.AbstractSyntax) || len(p.TransferSyntaxes) == 0 || len(p.TransferSyntaxes) > maxSyntaxes {
			return nil, fmt.Errorf("dicom/network: presentation context %d needs an abstract syntax and 1 to %d transfer syntaxes", i+1, maxSyntaxes)
		}
		for _, ts := range p.TransferSyntaxes {
			if !validUID(ts) {
				return nil, fmt.Errorf("dicom/network: presentation context %d has a transfer syntax that is not a UID", i+1)
			}
		}
		rq.Contexts = append(rq.Contexts, ProposedContext{ID: byte(2*i + 1), AbstractSyntax: p.AbstractSyntax, TransferSyntaxes: p.TransferSyntaxes})
	}
	for _, r := range o.Roles {
		if !validUID(r.SOPClassUID) {
			return nil, errors.New("dicom/network: a role needs the UID of a SOP class")
		}
	}
	for _, e := range o.Extended {
		if !validUID(e.SOPClassUID) || len(e.Information) > 1<<10 {
			return nil, errors.New("dicom/network: extended negotiation needs the UID of a SOP class, and at most 1,024 bytes")
		}
	}
	rq.Roles, rq.Extended = o.Roles, o.Extended
	rq.ImplementationClassUID, rq.ImplementationVersion = dicom.ImplementationClassUID, dicom.ImplementationVersion
	if id := o.UserIdentity; id != nil {
		if len(id.Primary) > 32<<10 || len(id.Secondary) > 16<<10 { // the item and the list around it have 16-bit lengths
			return nil, errors.New("dicom/network: the user identity is too long for an association request")
		}
		rq.UserIdentity = id
	}
	if n := len(rq.appendTo(nil, false)); n > maxAssociateLength {
		return nil, fmt.Errorf("dicom/network: the association request has %d bytes, more than %d", n, maxAssociateLength)
	}
	return rq, nil
}

func validUID(s string) bool {
	u, err := uidValue([]byte(s))
	return err == nil && u == s && s != ""
}

// ask sends the request and reads the answer (PS3.8 9.2, Sta5).
func (a *Association) ask(rq *associate, wait time.Duration) error {
	w := a.w
	if err := w.write(rq.appendTo(nil, false)); err != nil {
		return err
	}
	if err := w.await(wait); err != nil {
		return err
	}
	typ, n, err := w.header()
	if err != nil {
		return err
	}
	switch typ {
	case pduAssociateAC:
	case pduAssociateRJ:
		if n != 4 {
			return violation(AbortInvalidParameter, "an A-ASSOCIATE-RJ of a wrong length")
		}
		if err := w.need(4); err != nil {
			return err
		}
		p := w.in[w.r:]
		return &Rejection{p[1], p[2], p[3]}
	default:
		if err := w.controlPDU(typ, n); err != errReleaseRQ {
			return err
		}
		return violation(AbortUnexpectedPDU, "the peer asks for release before the association stands")
	}
	if n > maxAssociateLength {
		return violation(AbortInvalidParameter, "the A-ASSOCIATE-AC is too long")
	}
	b, err := w.whole(int(n))
	if err != nil {
		return err
	}
	ac := &associate{}
	if err := ac.parse(b, true); err != nil {
		return &AbortError{Source: AbortByProvider, Reason: AbortInvalidParameter, Why: "reading the A-ASSOCIATE-AC", Err: err}
	}
	if a.peerMax, err = peerLimit(ac.MaxPDU); err != nil {
		return err
	}
	a.class, a.version = ac.ImplementationClassUID, ac.ImplementationVersion
	a.extended = ac.Extended
	for _, c := range ac.answers {
		i := int(c.id) / 2
		if i >= len(rq.Contexts) {
			return violation(AbortInvalidParameter, "the peer answers a presentation context that was not proposed")
		}
		if c.result != ContextAccepted {
			continue
		}
		p := &rq.Contexts[i]
		if !proposed(p, c.syntax) {
			return violation(AbortInvalidParameter, "the peer picks a transfer syntax that was not proposed")
		}
		pc := Context{ID: c.id, AbstractSyntax: p.AbstractSyntax, TransferSyntax: c.syntax, SCU: true}
		for _, r := range ac.Roles { // what was not proposed is not granted either
			if i := slices.IndexFunc(rq.Roles, func(q Role) bool { return q.SOPClassUID == r.SOPClassUID }); i >= 0 && r.SOPClassUID == pc.AbstractSyntax {
				pc.SCU, pc.SCP = r.SCU && rq.Roles[i].SCU, r.SCP && rq.Roles[i].SCP
			}
		}
		a.agree(pc)
	}
	return nil
}

// Instance is one instance to send.
type Instance struct {
	SOPClassUID, SOPInstanceUID string
	TransferSyntaxUID           string // of the data set; Store never converts
	Priority                    uint16 // 0 medium, 1 high, 2 low
	MoveOriginatorAE            string // set when a C-MOVE asked for it
	MoveOriginatorMessageID     uint16

	// The encoded data set, without preamble and file meta information: one of the two. Its length is even, as that of every data set is (PS3.5 7.1.1);
	// some receivers abort an association over an odd one. Only one that is deflated is padded here (PS3.5 A.5).
	Bytes  []byte
	Reader io.Reader
}

// Store sends one instance by C-STORE, in an accepted context of its SOP class and transfer syntax, and waits for the answer, which is the Status. Without such
// a context (ErrNoContext), with a data set of odd length in Bytes (ErrOddLength), with a field that makes no sense, or with a context that has ended already,
// nothing is sent and the association goes on. After any other error it has ended, and what became of the instance is not known. ctx's end aborts the
// association. Calls wait for one another: no asynchronous window is negotiated (PS3.7 D.3.3.3).
func (a *Association) Store(ctx context.Context, in *Instance) (Status, error) {
	pc, ok := a.Context(in.SOPClassUID, in.TransferSyntaxUID)
	if !ok || !pc.SCU {
		return Status{}, ErrNoContext
	}
	c, deflated, err := in.command(&pc)
	if err != nil {
		return Status{}, err
	}
	st, err := a.exchange(ctx, &pc, c, in, deflated)
	switch {
	case err != nil:
	case st.Done():
		a.stats.stored.Add(1)
	default:
		a.stats.failed.Add(1)
	}
	return st, err
}

// command is the C-STORE-RQ of an instance; pad says that an odd length is mended.
func (in *Instance) command(pc *Context) (c *command, pad bool, err error) {
	if !validUID(in.SOPInstanceUID) {
		return nil, false, errors.New("dicom/network: C-STORE needs a SOP Instance UID")
	}
	if (in.Bytes == nil) == (in.Reader == nil) {
		return nil, false, errors.New("dicom/network: C-STORE needs its data set as bytes or as a reader")
	}
	if ts, ok := dicom.LookupTransferSyntax(pc.TransferSyntax); ok {
		pad = ts.Deflated
	}
	if len(in.Bytes)&1 == 1 && !pad {
		return nil, false, ErrOddLength
	}
	if in.MoveOriginatorAE != "" {
		if _, ok := padTitle(in.MoveOriginatorAE); !ok {
			return nil, false, errors.New("dicom/network: the move originator is not an AE title")
		}
	}
	return &command{
		field: cmdStore, class: in.SOPClassUID, uid: in.SOPInstanceUID, priority: in.Priority, dataSetType: 1,
		moveAE: in.MoveOriginatorAE, moveID: in.MoveOriginatorMessageID,
	}, pad, nil
}

// Echo sends C-ECHO; ErrNoContext without a context of Verification.
func (a *Association) Echo(ctx context.Context) (Status, error) {
	for i := range a.contexts {
		if a.contexts[i].AbstractSyntax == VerificationUID {
			st, err := a.exchange(ctx, &a.contexts[i], &command{field: cmdEcho, class: VerificationUID, dataSetType: noDataSet}, nil, false)
			if err == nil && st.Done() {
				a.stats.echoes.Add(1)
			}
			return st, err
		}
	}
	return Status{}, ErrNoContext
}

// exchange sends one message and reads its response.
func (a *Association) exchange(ctx context.Context, pc *Context, c *command, in *Instance, pad bool) (Status, error) {
	if !a.requestor {
		return Status{}, ErrNotRequestor
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead != nil {
		return Status{}, a.dead
	}
	if err := ctx.Err(); err != nil { // nothing is sent: the association stays
		return Status{}, context.Cause(ctx)
	}
	stop := a.w.whileContext(ctx)
	if a.messageID++; a.messageID == 0 {
		a.messageID = 1
	}
	c.messageID = a.messageID
	err := a.send(pc.ID, c, in, pad)
	var st Status
	if err == nil {
		st, err = a.response(pc.ID, c)
	} else if ae, ok := errors.AsType[*AbortError](err); ok && ae.Reason == abortNone {
		err = a.lastWords(err)
	}
	stopped := !stop()
	if stopped && err == nil {
		// The answer arrived as ctx ended: it holds, and the association is gone.
		a.fail(ErrStopped)
		a.tally()
		return st, nil
	}
	if err != nil {
		if stopped && ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		a.fail(err)
	}
	a.tally()
	return st, err
}

// fail ends the association with the first error it meets. a.mu is held.
func (a *Association) fail(err error) {
	if a.dead == nil {
		a.dead = err
		a.w.end(err, time.Second)
	}
}

// lastWords looks for the A-ABORT that a peer may have sent before its end of the connection broke a write.
func (a *Association) lastWords(err error) error {
	a.w.readTimeout, a.w.armed = time.Second, time.Time{}
	for range 4 {
		e := a.w.nextPDV()
		if ae, ok := errors.AsType[*AbortError](e); ok && ae.ByPeer {
			return ae
		}
		if e != nil {
			break
		}
		if int(a.w.pdvLeft) > a.w.w-a.w.r {
			break
		}
		a.w.r += int(a.w.pdvLeft)
		a.w.pdvLeft = 0
	}
	return err
}

const batch = 64 // PDUs in one write

// send writes a command and its data set, the command together with the data's beginning. A deflated data set of odd length is padded (PS3.5 A.5).
func (a *Association) send(id byte, c *command, in *Instance, pad bool) error {
	w := a.w
	var room [512]byte
	set := c.appendTo(room[:0])
	w.out = appendData(w.out[:0], id, controlCommand, set, a.peerMax)
	switch {
	case in == nil:
		return w.write(w.out)
	case in.Bytes != nil && len(in.Bytes)&1 == 0:
		return a.sendBytes(id, in.Bytes)
	case in.Bytes != nil:
		return a.sendReader(id, bytes.NewReader(in.Bytes), pad)
	}
	return a.sendReader(id, in.Reader, pad)
}

// fragment is the longest payload of one PDV, even (PS3.8 D.1).
func (a *Association) fragment() int { return (a.peerMax - pdvHeader) &^ 1 }

// sendBytes writes w.out and then b in fragments, without copying b.
func (a *Association) sendBytes(id byte, b []byte) error {
	size := a.fragment()
	if a.headers == nil {
		a.headers = make([]byte, 0, batch*dataHeader)
		a.slices = make(net.Buffers, 0, 2*batch+1)
	}
	run := append(a.slices[:0], a.w.out)
	heads := a.headers[:0]
	for first := true; first || len(b) > 0; first = false {
		n := min(size, len(b))
		last := byte(0)
		if n == len(b) {
			last = controlLast
		}
		heads = appendDataHeader(heads, id, last, n)
		run = append(run, heads[len(heads)-dataHeader:])
		if n > 0 {
			run = append(run, b[:n])
		}
		b = b[n:]
		a.stats.dataSet.Add(int64(n))
		if len(b) == 0 || len(heads)+dataHeader > cap(heads) {
			if err := a.w.writeRun(run); err != nil {
				return err
			}
			run, heads = a.slices[:0], a.headers[:0]
		}
	}
	return nil
}

// writeRun writes several buffers with one system call where the connection can.
func (c *wire) writeRun(run net.Buffers) error {
	if _, ok := c.nc.(*tls.Conn); ok { // one record for the small ones instead of one each
		for len(run) > 0 {
			var small []byte
			for len(run) > 0 && len(run[0]) <= 1<<10 {
				small = append(small, run[0]...)
				run = run[1:]
			}
			if len(run) > 0 {
				n := min(len(run[0]), 8<<10)
				small = append(small, run[0][:n]...)
				run[0] = run[0][n:]
			}
			if err := c.write(small); err != nil {
				return err
			}
			if len(run) > 0 {
				if err := c.write(run[0]); err != nil {
					return err
				}
				run = run[1:]
			}
		}
		return nil
	}
	if err := c.armWrite(); err != nil {
		return err
	}
	n, err := run.WriteTo(c.nc)
	c.sent += n
	return c.writeError(err)
}

// sendReader writes w.out and then what r gives in fragments. One byte is read ahead, to know the last fragment when it is sent.
func (a *Association) sendReader(id byte, r io.Reader, pad bool) error {
	size := a.fragment()
	const room = dataHeader
	head := len(a.w.out)
	if need := head + room + size + 1; cap(a.chunk) < need {
		a.chunk = make([]byte, need)
	}
	b := append(a.chunk[:0], a.w.out...)
	var ahead [1]byte
	have := 0 // bytes carried over: 0 or 1
	for {
		at := len(b) + room
		b = b[:at+size+1]
		copy(b[at:], ahead[:have])
		n, err := fill(r, b[at+have:])
		n += have
		if err != nil && err != io.EOF {
			return fmt.Errorf("dicom/network: reading the data set to send: %w", err)
		}
		last := byte(0)
		if err != nil {
			last = controlLast
			if n&1 == 1 && !pad {
				return ErrOddLength
			}
			if n&1 == 1 {
				b[at+n] = 0
				n++
			}
		} else {
			n--
			ahead[0], have = b[at+n], 1
		}
		appendDataHeader(b[at-room:at-room], id, last, n)
		if err := a.w.write(b[:at+n]); err != nil {
			return err
		}
		a.stats.dataSet.Add(int64(n))
		if last != 0 {
			return nil
		}
		b = b[:0]
	}
}

// fill reads until b is full or r ends. Its error is io.EOF where r ended as it should, and r's own otherwise: io.ReadFull's io.ErrUnexpectedEOF could be that of a
// source that broke off, whose beginning would then be sent as if it were the whole.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = r.Read(b[n:])
		n += k
	}
	if n == len(b) {
		err = nil
	}
	return n, err
}

// response reads the answer to c.
func (a *Association) response(id byte, c *command) (Status, error) {
	w := a.w
	if err := w.await(a.answer); err != nil {
		return Status{}, err
	}
	set, got, err := w.command(a.commands[:0], a.agreed)
	a.commands = set
	if err == errReleaseRQ {
		if err := w.write([]byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0}); err != nil {
			return Status{}, err
		}
		return Status{}, &AbortError{ByPeer: true, Why: "the peer released the association instead of answering", Err: ErrReleased}
	}
	if err != nil {
		return Status{}, err
	}
	var rsp command
	if err := parseCommand(set, &rsp); err != nil {
		return Status{}, &AbortError{Source: AbortByUser, Why: "reading a command set", Err: err}
	}
	if rsp.field != c.field|cmdResponse || rsp.respondedTo != c.messageID || got != id {
		return Status{}, misuse("the peer answers something that was not asked")
	}
	if rsp.hasDataSet() {
		data := DataReader{c: w, id: got}
		if err := data.discard(1 << 20); err != nil {
			return Status{}, err
		}
	}
	return rsp.status, nil
}

// Release ends the association in order (A-RELEASE) and closes the connection. After an error there is nothing left to release, and the error is returned.
func (a *Association) Release(ctx context.Context) error {
	if !a.requestor {
		return ErrNotRequestor
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead != nil {
		if errors.Is(a.dead, ErrReleased) {
			return nil
		}
		return a.dead
	}
	stop := a.w.whileContext(ctx)
	defer stop()
	err := a.release()
	if err == nil {
		a.dead = ErrReleased
		a.w.nc.Close() // Sta6 to Sta1 by AR-3: the requestor closes
	} else {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		a.fail(err)
	}
	a.tally()
	return err
}

// release sends A-RELEASE-RQ and waits for the answer (PS3.8 9.2, Sta7). A collision is answered first: this side is the requestor (Sta9, Sta11).
func (a *Association) release() error {
	w := a.w
	if err := w.write([]byte{pduReleaseRQ, 0, 0, 0, 0, 4, 0, 0, 0, 0}); err != nil {
		return a.lastWords(err)
	}
	w.readTimeout, w.armed = a.artim, time.Time{}
	for skipped := 0; skipped < 16; {
		if err := w.await(a.artim); err != nil {
			return err
		}
		typ, n, err := w.header()
		if err != nil {
			return err
		}
		switch typ {
		case pduReleaseRP:
			if n != 4 {
				return violation(AbortInvalidParameter, "a PDU of a fixed length has another")
			}
			return w.need(4)
		case pduData: // may still come (PS3.8 9.2, AR-6); it answers nothing any more
			if n > w.maxPDU {
				return violation(AbortInvalidParameter, "a P-DATA-TF is longer than announced")
			}
			if _, err := w.whole(int(n)); err != nil {
				return err
			}
			skipped++
		default:
			if err := w.controlPDU(typ, n); err != errReleaseRQ {
				return err
			}
			if err := w.write([]byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0}); err != nil {
				return err
			}
			skipped++
		}
	}
	return violation(AbortUnexpectedPDU, "the peer does not answer a release")
}
