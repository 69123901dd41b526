package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Server accepts associations and serves C-ECHO, C-STORE, C-FIND, C-MOVE and C-GET on them, and lets peers cancel. Its fields are set before Serve and not changed after.
type Server struct {
	// Accept decides on each association before any presentation context is answered. An error refuses it: with the codes of a *Rejection, otherwise
	// permanently and without a reason. It is required, and called by many goroutines.
	Accept func(ctx context.Context, req *AssociateRequest) (Decision, error)

	// Store takes one instance. Success means that the instance is as safe as the server promises: the sender may delete its own. What the handler does not
	// read is read away. A panic is answered with StatusProcessingFailure. Nil refuses every C-STORE. ctx ends with the association or the server.
	Store func(ctx context.Context, a *Association, req *StoreRequest) Status

	// Query answers C-FIND, C-MOVE and C-GET, which op tells apart; nil refuses them. It gives the final answer; what precedes it, it gives op. ctx ends with the
	// association, with the server, and with ErrCanceled as its cause when the peer cancels. A panic is answered with StatusProcessingFailure.
	Query func(ctx context.Context, a *Association, op *Operation) Outcome

	// Action answers N-ACTION; nil refuses it. Where it gives a report too, that goes out behind the answer.
	Action func(ctx context.Context, a *Association, req *ActionRequest) (Status, *Report)

	// Event answers N-EVENT-REPORT, from a requestor that is SCP of its SOP class; nil refuses it.
	Event func(ctx context.Context, a *Association, r *EventReport) Status

	// Echo answers C-ECHO; nil is success.
	Echo func(ctx context.Context, a *Association) Status

	// OnAssociationEnd is told the end of every association that had been accepted, once for each: err is nil after a release.
	OnAssociationEnd func(a *Association, err error)

	// OnRefused is told of every connection that did not become an association, with the reason: a *Rejection, ErrTooManyPending, or what was wrong.
	OnRefused func(remote net.Addr, err error)

	// OnPanic is told of a handler's panic. The value may quote what the handler was working on: it is not for a log.
	OnPanic func(a *Association, value any, stack []byte)

	TLS *tls.Config // nil: no TLS. Whether clients need certificates is ClientAuth's to say.

	MaxAssociations int           // at a time; further ones are rejected as transient, "local limit exceeded"
	MaxPending      int           // connections beside those, on which an association is being asked for or has ended; further ones are closed
	PerAddress      int           // of MaxAssociations for one remote address (of IPv6, for 64 bits); 0: a quarter, but all of fewer than 16
	PendingEach     int           // of MaxPending, likewise
	MaxPDU          uint32        // longest P-DATA-TF taken: announced, and not exceeded by a byte; 1 KiB to 8 MiB
	ARTIM           time.Duration // from the connection to the whole A-ASSOCIATE-RQ, TLS included; and for the peer to close at the end (at most 5 s)
	IdleTimeout     time.Duration // between messages
	ReadTimeout     time.Duration // without a byte inside a message
	WriteTimeout    time.Duration
	MinRate         int64 // bytes a second that a message has to reach when it has been waited for longer than ReadTimeout
	MaxDiscard      int64 // bytes of a data set that are read away for a handler; beyond, the association is aborted

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]bool
	wires     map[*wire]bool
	places    places
	serving   sync.WaitGroup
}

// StoreRequest is one C-STORE (PS3.7 9.1.1). UIDs in it are the sender's.
type StoreRequest struct {
	SOPClassUID             string
	AbstractSyntaxUID       string // of the presentation context: another than SOPClassUID only if that would have been accepted as well
	SOPInstanceUID          string
	TransferSyntaxUID       string // of Data
	ContextID               byte
	MessageID               uint16
	Priority                uint16 // 0 medium, 1 high, 2 low
	MoveOriginatorAE        string // who asked for this by C-MOVE, if anybody did
	MoveOriginatorMessageID uint16
	Data                    *DataReader
}

// Serve takes connections of a listener until Shutdown, or until ctx ends; the latter aborts every association. It returns when the listener is closed and
// every association of it has ended: nil after Shutdown, ctx's error, or the listener's. A server may serve several listeners.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if s.Accept == nil {
		return errors.New("dicom/network: a Server needs Accept: who may open an association is not for this package to say")
	}
	if s.MaxPDU != 0 && (s.MaxPDU < minPDU || s.MaxPDU > maxPDU) {
		return fmt.Errorf("dicom/network: a Server's MaxPDU is from %d to %d", minPDU, maxPDU)
	}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrServerClosed
	}
	if s.listeners == nil {
		s.listeners, s.wires = map[net.Listener]bool{}, map[*wire]bool{}
	}
	s.listeners[l] = true
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var group sync.WaitGroup
	var delay time.Duration
	var failed error
	for {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			group.Go(func() { s.connection(ctx, nc) })
			continue
		}
		s.mu.Lock()
		closing := s.closing
		s.mu.Unlock()
		if closing {
			break
		}
		if ctx.Err() != nil {
			failed = context.Cause(ctx)
			break
		}
		// Out of descriptors and the like: the listener lives, so wait and try again, as net/http does.
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Temporary() { //nolint:staticcheck // no other sign is given
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			}
			continue
		}
		failed = err
		cancel() // what runs is not left without a server
		break
	}
	group.Wait()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	return failed
}

// Shutdown stops the server gracefully: it takes no more associations, lets each message that is being received be answered, and then aborts its association
// (an acceptor that asks for release is something that few senders expect). It returns when everything has ended. If ctx ends first, what is left is
// aborted at once and ctx's error returned; handlers that do not heed their own context may still be running then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	for w := range s.wires {
		w.drain()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for w := range s.wires {
		w.kill()
	}
	s.mu.Unlock()
	return context.Cause(ctx)
}

// Associations is how many associations are established now.
func (s *Server) Associations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.established
}

// connection serves one connection from beginning to end.
func (s *Server) connection(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	noDelay(nc)
	artim := or(s.ARTIM, DefaultARTIM)
	started := time.Now()
	_ = nc.SetDeadline(started.Add(artim))
	w := newWire(nc, or(s.MaxPDU, DefaultMaxPDU), or(s.ReadTimeout, DefaultReadTimeout), or(s.WriteTimeout, DefaultWriteTimeout), or(s.MinRate, DefaultMinRate))
	remote := nc.RemoteAddr()
	from := neighbourhood(remote)

	s.mu.Lock()
	pending := or(s.MaxPending, DefaultPending)
	if s.closing {
		s.mu.Unlock()
		s.refused(remote, ErrServerClosed)
		return
	}
	if !s.places.arrive(from, pending, share(s.PendingEach, pending)) {
		s.mu.Unlock()
		s.refused(remote, ErrTooManyPending)
		return
	}
	s.wires[w] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.wires, w)
		s.places.leave(from)
		s.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer w.whileContext(ctx)()

	a := &Association{w: w, local: nc.LocalAddr(), remote: remote, artim: artim, started: started}
	err := s.establish(ctx, a)
	if err != nil {
		w.end(err, artim)
		s.refused(remote, err)
		return
	}
	err = s.serve(ctx, a)
	a.unreported(err)
	s.leave(from)
	wait := w.farewell(err)
	a.tally()
	if s.OnAssociationEnd != nil {
		s.OnAssociationEnd(a, err)
	}
	if wait {
		w.linger(artim)
	}
}

func (s *Server) refused(remote net.Addr, err error) {
	if s.OnRefused != nil {
		s.OnRefused(remote, err)
	}
}

// enter takes one of the places for associations.
func (s *Server) enter(from netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := or(s.MaxAssociations, DefaultAssociations)
	return !s.closing && s.places.establish(from, most, share(s.PerAddress, most))
}

func (s *Server) leave(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places.end(from)
}

// establish brings a connection from Sta2 to Sta6 (PS3.8 9.2). A nil error means that a place is taken and the A-ASSOCIATE-AC is sent.
func (s *Server) establish(ctx context.Context, a *Association) error {
	w := a.w
	if s.TLS != nil {
		t := tls.Server(w.nc, s.TLS)
		// ARTIM's deadline is on the connection; ctx ends it through kill.
		if err := t.HandshakeContext(ctx); err != nil {
			return &AbortError{Reason: abortNone, Why: "TLS handshake", Err: err}
		}
		w.mu.Lock()
		w.nc = t
		w.mu.Unlock()
	}
	if t, ok := w.nc.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return &AbortError{Reason: abortNone, Why: "TLS handshake", Err: err}
		}
		state := t.ConnectionState()
		a.tls = &state
	}
	// One deadline for all that precedes the association: the wire must not move it. And until the request is there, a shutdown need not wait for it.
	readTimeout := w.readTimeout
	w.readTimeout = 1 << 62
	w.armed = time.Now().Add(w.readTimeout)
	w.mu.Lock()
	if w.killed || w.draining {
		w.mu.Unlock()
		return ErrStopped
	}
	_ = w.nc.SetReadDeadline(a.started.Add(a.artim))
	w.idle = true
	w.mu.Unlock()
	rq, err := readAssociateRQ(w)
	w.mu.Lock()
	w.idle = false
	stop := w.draining || w.killed
	w.mu.Unlock()
	w.readTimeout, w.armed = readTimeout, time.Time{}
	if stop {
		return ErrStopped
	}
	if err != nil {
		return err
	}
	if err := s.admit(ctx, a, rq); err != nil {
		if r, ok := errors.AsType[*Rejection](err); ok {
			if err := w.write([]byte{pduAssociateRJ, 0, 0, 0, 0, 4, 0, r.Result, r.Source, r.Reason}); err != nil {
				return err
			}
		}
		return err
	}
	return nil
}

// readAssociateRQ reads the first PDU. Whatever is wrong with it is answered with an A-ABORT of the service user (PS3.8 Table 9-10, Sta2, AA-1).
func readAssociateRQ(w *wire) (*associate, error) {
	typ, n, err := w.header()
	if err != nil {
		return nil, err
	}
	if typ == pduAbort {
		return nil, &AbortError{ByPeer: true}
	}
	if typ != pduAssociateRQ {
		return nil, misuse("the first PDU is not an A-ASSOCIATE-RQ")
	}
	if n > maxAssociateLength {
		return nil, misuse("the A-ASSOCIATE-RQ is too long")
	}
	b, err := w.whole(int(n))
	if err != nil {
		return nil, err
	}
	rq := &associate{}
	if err := rq.parse(b, false); err != nil {
		return nil, &AbortError{Source: AbortByUser, Why: "reading the A-ASSOCIATE-RQ", Err: err}
	}
	return rq, nil
}

// admit decides, takes a place and sends the A-ASSOCIATE-AC.
func (s *Server) admit(ctx context.Context, a *Association, rq *associate) (err error) {
	w := a.w
	switch {
	case rq.version&1 == 0: // PS3.8 9.3.2: only bit 0 is looked at
		return &Rejection{RejectPermanent, RejectByACSE, RejectProtocolVersion}
	case rq.application != applicationContextUID:
		return &Rejection{RejectPermanent, RejectByUser, RejectApplicationContext}
	}
	if _, ok := padTitle(rq.CalledAE); !ok {
		return &Rejection{RejectPermanent, RejectByUser, RejectCalledAE}
	}
	if _, ok := padTitle(rq.CallingAE); !ok {
		return &Rejection{RejectPermanent, RejectByUser, RejectCallingAE}
	}
	if a.peerMax, err = peerLimit(rq.MaxPDU); err != nil {
		return err
	}
	from := neighbourhood(a.remote)
	if !s.enter(from) {
		return &Rejection{RejectTransient, RejectByPresentation, RejectLimit}
	}
	defer func() {
		if err != nil {
			s.leave(from)
		}
	}()
	rq.LocalAddr, rq.RemoteAddr, rq.TLS = a.local, a.remote, a.tls
	a.request = &rq.AssociateRequest
	a.calling, a.called, a.class, a.version = rq.CallingAE, rq.CalledAE, rq.ImplementationClassUID, rq.ImplementationVersion
	decision, err := s.callAccept(ctx, a)
	if err != nil {
		if r, ok := errors.AsType[*Rejection](err); ok {
			return r
		}
		return &Rejection{RejectPermanent, RejectByUser, RejectNoReason}
	}
	a.value = decision.Value
	ac := &associate{version: 1, application: applicationContextUID, called: rq.called, calling: rq.calling, reserved: rq.reserved}
	ac.MaxPDU, ac.ImplementationClassUID, ac.ImplementationVersion = w.maxPDU, dicom.ImplementationClassUID, dicom.ImplementationVersion
	negotiate(rq, &decision, a, ac)
	return w.write(ac.appendTo(nil, true))
}

func (s *Server) callAccept(ctx context.Context, a *Association) (d Decision, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(a, v)
			err = &Rejection{RejectTransient, RejectByUser, RejectNoReason}
		}
	}()
	return s.Accept(ctx, a.request)
}

func (s *Server) panicked(a *Association, v any) {
	if s.OnPanic != nil {
		s.OnPanic(a, v, debug.Stack())
	}
}

// serve answers messages until the association ends; nil is a release.
func (s *Server) serve(ctx context.Context, a *Association) error {
	w := a.w
	idle := or(s.IdleTimeout, DefaultIdleTimeout)
	var c command
	for {
		if err := w.await(idle); err != nil {
			return err
		}
		set, id, err := w.command(a.commands[:0], a.agreed)
		a.commands = set
		if err == errReleaseRQ {
			return w.write([]byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0})
		}
		if err != nil {
			return err
		}
		if err := parseCommand(set, &c); err != nil {
			return &AbortError{Source: AbortByUser, Why: "reading a command set", Err: err}
		}
		if err := s.message(ctx, a, id, &c); err != nil {
			return err
		}
		a.tally()
	}
}

// message serves one message whose command has been read.
func (s *Server) message(ctx context.Context, a *Association, id byte, c *command) error {
	pc := a.byID[id]
	var status Status
	var data *DataReader
	if c.hasDataSet() {
		data = &DataReader{c: a.w, id: id}
	}
	switch {
	case c.isResponse() && a.reported(c):
		return s.discard(data)
	case c.isResponse():
		return misuse("a response came to what was not asked")
	case c.field == cmdCancel:
		// What it cancels has been answered meanwhile. It has no response (PS3.7 9.3.2.3).
		return s.discard(data)
	case c.field == cmdEcho:
		status = s.echo(ctx, a, pc, c)
	case c.field == cmdStore:
		status = s.store(ctx, a, pc, c, data)
	case (c.field == cmdFind || c.field == cmdMove || c.field == cmdGet) && s.Query != nil:
		return s.query(ctx, a, pc, c, data)
	case c.field == cmdAction && s.Action != nil:
		return s.action(ctx, a, pc, c, data)
	case c.field == cmdEvent && s.Event != nil && pc.SCP && c.class == pc.AbstractSyntax:
		r, err := a.event(id, c)
		if err != nil {
			return err
		}
		status = s.event(ctx, a, r)
		data = nil // it has been read
	default:
		status = Status{Code: StatusUnrecognizedOperation}
	}
	if err := s.discard(data); err != nil {
		return err
	}
	if data != nil {
		a.stats.dataSet.Add(data.n)
	}
	switch {
	case !status.Done():
		a.stats.failed.Add(1)
	case c.field == cmdStore:
		a.stats.stored.Add(1)
	default:
		a.stats.echoes.Add(1)
	}
	rsp := command{field: c.field | cmdResponse, respondedTo: c.messageID, dataSetType: noDataSet, class: c.class, uid: c.uid, status: status}
	return a.w.respond(id, &rsp, a.peerMax)
}

// respond sends a command set without a data set.
func (c *wire) respond(id byte, cmd *command, peerMax int) error {
	var room [512]byte
	set := cmd.appendTo(room[:0])
	c.out = appendData(c.out[:0], id, controlCommand, set, peerMax)
	return c.write(c.out)
}

// discard reads away what is left of a data set, and closes its reader.
func (s *Server) discard(data *DataReader) error {
	if data == nil {
		return nil
	}
	err := data.discard(or(s.MaxDiscard, DefaultMaxDiscard))
	data.closed = true
	return err
}

func (s *Server) echo(ctx context.Context, a *Association, pc *Context, c *command) (status Status) {
	if pc.AbstractSyntax != VerificationUID {
		return Status{Code: StatusSOPClassNotSupported, Comment: "C-ECHO outside a context of Verification"}
	}
	if c.hasDataSet() {
		return Status{Code: StatusMistypedArgument, Comment: "C-ECHO has no data set"}
	}
	defer s.recover(a, &status)
	if s.Echo != nil {
		return s.Echo(ctx, a)
	}
	return Status{}
}

func (s *Server) event(ctx context.Context, a *Association, r *EventReport) (status Status) {
	defer s.recover(a, &status)
	return s.Event(ctx, a, r)
}

func (s *Server) store(ctx context.Context, a *Association, pc *Context, c *command, data *DataReader) (status Status) {
	switch {
	case s.Store == nil, pc.AbstractSyntax == VerificationUID:
		return Status{Code: StatusUnrecognizedOperation}
	case !pc.SCU:
		return Status{Code: StatusSOPClassNotSupported, Comment: "the requestor is no SCU of this SOP class here"}
	case data == nil:
		return Status{Code: StatusMistypedArgument, Comment: "C-STORE needs a data set"}
	case c.class != pc.AbstractSyntax && !a.wouldAgree(c.class, pc.TransferSyntax):
		return Status{Code: StatusSOPClassNotSupported, Comment: "SOP class is not that of the presentation context"}
	case c.uid == "":
		return Status{Code: StatusInvalidInstance, Comment: "C-STORE needs a SOP Instance UID"}
	}
	defer s.recover(a, &status)
	return s.Store(ctx, a, &StoreRequest{
		SOPClassUID: c.class, AbstractSyntaxUID: pc.AbstractSyntax, SOPInstanceUID: c.uid, TransferSyntaxUID: pc.TransferSyntax, ContextID: pc.ID, MessageID: c.messageID,
		Priority: c.priority, MoveOriginatorAE: c.moveAE, MoveOriginatorMessageID: c.moveID, Data: data,
	})
}

// recover turns a handler's panic into a status: one instance is not stored, and nothing else suffers.
func (s *Server) recover(a *Association, status *Status) {
	if v := recover(); v != nil {
		s.panicked(a, v)
		*status = Status{Code: StatusProcessingFailure}
	}
}
