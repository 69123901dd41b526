package network

import (
	"context"
	"errors"
	"sync"
)

// Query/Retrieve SOP classes (PS3.4 C.6).
const (
	PatientRootFindUID = "1.2.840.10008.5.1.4.1.2.1.1"
	PatientRootMoveUID = "1.2.840.10008.5.1.4.1.2.1.2"
	PatientRootGetUID  = "1.2.840.10008.5.1.4.1.2.1.3"
	StudyRootFindUID   = "1.2.840.10008.5.1.4.1.2.2.1"
	StudyRootMoveUID   = "1.2.840.10008.5.1.4.1.2.2.2"
	StudyRootGetUID    = "1.2.840.10008.5.1.4.1.2.2.3"
)

// SubOperations counts the C-STOREs of a C-MOVE or C-GET (PS3.7 9.1.3.1.7). Each number goes to at most 65,535, as its element does.
type SubOperations struct{ Remaining, Completed, Failed, Warnings uint16 }

func (s *SubOperations) count(element int) *uint16 {
	switch element {
	case tagRemaining:
		return &s.Remaining
	case tagCompleted:
		return &s.Completed
	case tagFailed:
		return &s.Failed
	}
	return &s.Warnings
}

// Outcome is the final answer to an operation.
type Outcome struct {
	Status     Status
	Sub        *SubOperations // C-MOVE and C-GET
	Identifier []byte         // with the Failed SOP Instance UID List, in the operation's transfer syntax; nil: none
}

// maxIdentifier is the longest identifier of a query that is taken: a list of some thousands of UIDs.
const maxIdentifier = 1 << 20

// Operation is a C-FIND, C-MOVE or C-GET that is being answered (PS3.7 9.1.2 to 9.1.4). Its methods are for one goroutine and work until the handler returns.
type Operation struct {
	SOPClassUID       string
	TransferSyntaxUID string // of identifiers, in both directions
	MessageID         uint16
	Priority          uint16
	MoveDestination   string // C-MOVE: the AE title that is to receive
	Identifier        []byte // the data set of the request, encoded

	kind    uint16
	a       *Association
	id      byte
	waiting int // bytes of matches at the beginning of the wire's buffer, not yet sent
	cancel  context.CancelCauseFunc
	mu      sync.Mutex
	failed  error // why the association ends
	stopped bool  // the peer has canceled
	closed  bool
}

// IsFind, IsMove and IsGet tell what it is.
func (o *Operation) IsFind() bool { return o.kind == cmdFind }

// IsMove reports a C-MOVE.
func (o *Operation) IsMove() bool { return o.kind == cmdMove }

// IsGet reports a C-GET.
func (o *Operation) IsGet() bool { return o.kind == cmdGet }

// Canceled reports whether the peer has asked to stop. The answer is then StatusCancel.
func (o *Operation) Canceled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stopped
}

// state is what keeps the operation from going on.
func (o *Operation) state() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return ErrReaderClosed
	case o.failed != nil:
		return o.failed
	case o.stopped:
		return ErrCanceled
	}
	return nil
}

func (o *Operation) fail(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
	o.cancel(err)
	return err
}

func (o *Operation) canceled() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = true
	o.cancel(ErrCanceled)
}

// matchBuffer is how many bytes of matches wait for those that follow: a system call for each would cost more than finding it.
const matchBuffer = 32 << 10

// Match answers a C-FIND with one match: status is StatusPending, or StatusPendingUnsupported. ErrCanceled says that the peer wants no more. Some matches go out
// together, with the final answer at the latest.
func (o *Operation) Match(status uint16, identifier []byte) error {
	if err := o.state(); err != nil {
		return err
	}
	o.a.stats.matches.Add(1)
	return o.respond(&command{status: Status{Code: status}}, identifier)
}

// Progress says how far a C-MOVE or C-GET is.
func (o *Operation) Progress(s SubOperations) error {
	if err := o.state(); err != nil {
		return err
	}
	return o.respond(&command{status: Status{Code: StatusPending}, sub: &s}, nil)
}

func (o *Operation) respond(rsp *command, identifier []byte) error {
	rsp.field, rsp.respondedTo, rsp.class, rsp.dataSetType = o.kind|cmdResponse, o.MessageID, o.SOPClassUID, noDataSet
	if identifier != nil {
		rsp.dataSetType = 1
	}
	w := o.a.w
	var room [512]byte
	w.out = appendData(w.out[:o.waiting], o.id, controlCommand, rsp.appendTo(room[:0]), o.a.peerMax)
	if identifier != nil {
		w.out = appendData(w.out, o.id, 0, identifier, o.a.peerMax)
		o.a.stats.dataSet.Add(int64(len(identifier)))
	}
	if o.kind == cmdFind && rsp.status.Pending() && len(w.out) < matchBuffer {
		o.waiting = len(w.out)
		return nil
	}
	o.waiting = 0
	if err := w.write(w.out); err != nil {
		return o.fail(err)
	}
	return nil
}

// Accepts is a presentation context of this association in which instances of a SOP class may be sent to the peer of a C-GET, in one of the transfer
// syntaxes, the first that there is; false if there is none, or the peer is no SCP of the class.
func (o *Operation) Accepts(sopClassUID string, syntaxes ...string) (Context, bool) {
	for _, ts := range syntaxes {
		for _, c := range o.a.contexts {
			if c.AbstractSyntax == sopClassUID && c.TransferSyntax == ts && c.SCP {
				return c, true
			}
		}
	}
	return Context{}, false
}

// Store sends one instance by C-STORE on the association of a C-GET (PS3.7 9.1.4.2), and waits for its answer. ErrNoContext says that the peer does not take
// that class in that syntax, and ErrOddLength that nobody would; nothing is sent then. After any other error the association ends.
func (o *Operation) Store(in *Instance) (Status, error) {
	if err := o.state(); err != nil {
		return Status{}, err
	}
	if o.kind != cmdGet {
		return Status{}, errors.New("dicom/network: instances go out on the association of a C-GET alone")
	}
	pc, ok := o.Accepts(in.SOPClassUID, in.TransferSyntaxUID)
	if !ok {
		return Status{}, ErrNoContext
	}
	c, pad, err := in.command(&pc)
	if err != nil {
		return Status{}, err
	}
	a := o.a
	if a.messageID++; a.messageID == 0 {
		a.messageID = 1
	}
	c.messageID = a.messageID
	if err := a.send(pc.ID, c, in, pad); err != nil {
		return Status{}, o.fail(err)
	}
	for {
		if err := a.w.await(defaultResponse); err != nil {
			return Status{}, o.fail(err)
		}
		rsp, id, err := a.next()
		switch {
		case err != nil:
			return Status{}, o.fail(err)
		case rsp.field == cmdCancel:
			if err := o.noteCancel(id, rsp); err != nil {
				return Status{}, o.fail(err)
			}
			continue
		case rsp.field != cmdStore|cmdResponse || rsp.respondedTo != c.messageID || id != pc.ID || rsp.hasDataSet():
			return Status{}, o.fail(misuse("the peer answers something that was not asked"))
		}
		if rsp.status.Done() {
			a.stats.given.Add(1)
		}
		return rsp.status, nil
	}
}

// next reads a command set. A release is an error.
func (a *Association) next() (*command, byte, error) {
	set, id, err := a.w.command(a.commands[:0], a.agreed)
	a.commands = set
	if err == errReleaseRQ {
		return nil, 0, misuse("the peer asks for release before an operation has ended")
	}
	if err != nil {
		return nil, 0, err
	}
	c := &command{}
	if err := parseCommand(set, c); err != nil {
		return nil, 0, &AbortError{Source: AbortByUser, Why: "reading a command set", Err: err}
	}
	return c, id, nil
}

// noteCancel takes a C-CANCEL-RQ. One for another message is for what has been answered already.
func (o *Operation) noteCancel(id byte, c *command) error {
	if c.hasDataSet() { // against PS3.7 9.3.2.3, and harmless
		data := DataReader{c: o.a.w, id: id}
		if err := data.discard(maxIdentifier); err != nil {
			return err
		}
	}
	if c.respondedTo == o.MessageID {
		o.canceled()
	}
	return nil
}

// listen takes what comes while the operation is answered: C-CANCEL, or the association's end.
func (o *Operation) listen() {
	a := o.a
	for {
		err := a.w.watch()
		if err == errHalted {
			return
		}
		var c *command
		var id byte
		if err == nil {
			c, id, err = a.next()
		}
		if err == nil && c.field != cmdCancel {
			err = misuse("a message came while another was being answered, though no asynchronous window was agreed on")
		}
		if err == nil {
			err = o.noteCancel(id, c)
		}
		if err != nil {
			_ = o.fail(err)
			return
		}
	}
}

// query serves a C-FIND, C-MOVE or C-GET.
func (s *Server) query(ctx context.Context, a *Association, pc *Context, c *command, data *DataReader) error {
	out, op, err := s.operate(ctx, a, pc, c, data)
	if err != nil {
		return err
	}
	switch {
	case out.Status.Done() || out.Status.Code == StatusCancel:
		a.stats.queries.Add(1)
	default:
		a.stats.failed.Add(1)
	}
	if out.Status.Pending() {
		out.Status = Status{Code: StatusProcessingFailure} // it would not be the end
	}
	return op.respond(&command{status: out.Status, sub: out.Sub}, out.Identifier)
}

func (s *Server) operate(ctx context.Context, a *Association, pc *Context, c *command, data *DataReader) (out Outcome, op *Operation, err error) {
	op = &Operation{SOPClassUID: c.class, TransferSyntaxUID: pc.TransferSyntax, MessageID: c.messageID, Priority: c.priority, MoveDestination: c.destination,
		kind: c.field, a: a, id: pc.ID}
	refuse := func(code uint16, why string) (Outcome, *Operation, error) {
		return Outcome{Status: Status{Code: code, Comment: why}}, op, s.discard(data)
	}
	ctx, op.cancel = context.WithCancelCause(ctx)
	defer op.cancel(nil)
	switch {
	case c.class != pc.AbstractSyntax:
		return refuse(StatusSOPClassNotSupported, "SOP class is not that of the presentation context")
	case !pc.SCU:
		return refuse(StatusSOPClassNotSupported, "the requestor is no SCU of this SOP class here")
	case data == nil:
		return refuse(StatusMistypedArgument, "an identifier is needed")
	case c.field == cmdMove && c.destination == "":
		return refuse(StatusUnknownDestination, "no move destination is named")
	}
	identifier, whole, err := data.ReadAll(nil, maxIdentifier)
	if err != nil {
		return Outcome{}, op, err
	}
	if !whole {
		return refuse(StatusOutOfResources, "the identifier is too long")
	}
	op.Identifier = identifier
	a.stats.dataSet.Add(data.n)
	if err := s.discard(data); err != nil {
		return Outcome{}, op, err
	}
	var listening sync.WaitGroup
	if op.kind != cmdGet { // whose answers are read where they are waited for
		listening.Go(op.listen)
	}
	out = s.callQuery(ctx, a, op)
	a.w.halt()
	listening.Wait()
	a.w.resume()
	op.mu.Lock()
	defer op.mu.Unlock()
	op.closed = true
	return out, op, op.failed
}

func (s *Server) callQuery(ctx context.Context, a *Association, op *Operation) (out Outcome) {
	defer s.recover(a, &out.Status)
	return s.Query(ctx, a, op)
}
