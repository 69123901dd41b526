package network

import (
	"context"
	"errors"
)

// Query is a C-FIND, C-MOVE or C-GET to ask for.
type Query struct {
	SOPClassUID       string // PatientRootFindUID and so on
	TransferSyntaxUID string // of Identifier, and of the identifiers that come back: of an accepted context of the class
	Priority          uint16
	MoveDestination   string // C-MOVE: the AE title that is to receive
	Identifier        []byte // the encoded data set
}

// Done is how a query ended.
type Done struct {
	Status     Status
	Sub        SubOperations
	Identifier []byte // with the Failed SOP Instance UID List; nil: none came
}

// ContextOf is the first agreed presentation context of an abstract syntax, whatever its transfer syntax.
func (a *Association) ContextOf(abstract string) (Context, bool) {
	for _, c := range a.contexts {
		if c.AbstractSyntax == abstract {
			return c, true
		}
	}
	return Context{}, false
}

// Find asks by C-FIND and gives each match, with its status StatusPending or StatusPendingUnsupported, to found. When that says false, the query is cancelled,
// and what is under way is passed over. Errors are those of [Association.Store].
func (a *Association) Find(ctx context.Context, q *Query, found func(status Status, identifier []byte) (more bool)) (Done, error) {
	return a.query(ctx, q, cmdFind, func(rsp *command, identifier []byte) bool { return found(rsp.status, identifier) }, nil)
}

// Move asks another AE to send what matches to MoveDestination. progress, which may be nil, is told how far it is; when it says false, the rest is cancelled.
func (a *Association) Move(ctx context.Context, q *Query, progress func(SubOperations) (more bool)) (Done, error) {
	if _, ok := padTitle(q.MoveDestination); !ok {
		return Done{}, errors.New("dicom/network: C-MOVE needs the AE title that is to receive")
	}
	return a.query(ctx, q, cmdMove, told(progress), nil)
}

// Get asks for what matches on this association. Each instance is given to store, whose status is the answer; what it does not read is read away. The
// association has to have contexts for the SOP classes of what comes, with this side as SCP ([DialOptions].Roles). progress is as with [Association.Move].
func (a *Association) Get(ctx context.Context, q *Query, store func(*StoreRequest) Status, progress func(SubOperations) (more bool)) (Done, error) {
	if store == nil {
		return Done{}, errors.New("dicom/network: C-GET needs somebody who takes what comes")
	}
	return a.query(ctx, q, cmdGet, told(progress), store)
}

func told(progress func(SubOperations) bool) func(*command, []byte) bool {
	return func(rsp *command, _ []byte) bool { return progress == nil || rsp.sub == nil || progress(*rsp.sub) }
}

// query asks and takes answers until the last.
func (a *Association) query(ctx context.Context, q *Query, field uint16, pending func(*command, []byte) bool, store func(*StoreRequest) Status) (Done, error) {
	if !a.requestor {
		return Done{}, ErrNotRequestor
	}
	pc, ok := a.Context(q.SOPClassUID, q.TransferSyntaxUID)
	if !ok {
		return Done{}, ErrNoContext
	}
	if len(q.Identifier)&1 == 1 {
		return Done{}, ErrOddLength
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead != nil {
		return Done{}, a.dead
	}
	if ctx.Err() != nil {
		return Done{}, context.Cause(ctx)
	}
	stop := a.w.whileContext(ctx)
	if a.messageID++; a.messageID == 0 {
		a.messageID = 1
	}
	c := command{field: field, messageID: a.messageID, class: q.SOPClassUID, priority: q.Priority, destination: q.MoveDestination, dataSetType: 1}
	identifier := q.Identifier
	if identifier == nil {
		identifier = []byte{}
	}
	err := a.send(pc.ID, &c, &Instance{Bytes: identifier}, false)
	var done Done
	if err == nil {
		done, err = a.answers(&pc, &c, pending, store)
	} else if ae, ok := errors.AsType[*AbortError](err); ok && ae.Reason == abortNone {
		err = a.lastWords(err)
	}
	if !stop() && err == nil {
		a.fail(ErrStopped)
		a.tally()
		return done, nil
	}
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		a.fail(err)
	}
	a.tally()
	return done, err
}

func (a *Association) answers(pc *Context, c *command, pending func(*command, []byte) bool, store func(*StoreRequest) Status) (Done, error) {
	canceled := false
	for {
		if err := a.w.await(a.answer); err != nil {
			return Done{}, err
		}
		m, id, err := a.next()
		if err != nil {
			return Done{}, err
		}
		if m.field == cmdStore && store != nil {
			if err := a.take(id, m, store); err != nil {
				return Done{}, err
			}
			continue
		}
		if m.field != c.field|cmdResponse || m.respondedTo != c.messageID || id != pc.ID {
			return Done{}, misuse("the peer answers something that was not asked")
		}
		var identifier []byte
		if m.hasDataSet() {
			data := DataReader{c: a.w, id: id}
			var whole bool
			if identifier, whole, err = data.ReadAll([]byte{}, maxIdentifier); err != nil {
				return Done{}, err
			}
			if !whole {
				return Done{}, misuse("the identifier of an answer is too long")
			}
			a.stats.dataSet.Add(data.n)
		}
		if !m.status.Pending() {
			done := Done{Status: m.status, Identifier: identifier}
			if m.sub != nil {
				done.Sub = *m.sub
			}
			if done.Status.Done() || done.Status.Code == StatusCancel {
				a.stats.queries.Add(1)
			} else {
				a.stats.failed.Add(1)
			}
			return done, nil
		}
		if canceled {
			continue
		}
		if c.field == cmdFind {
			a.stats.matches.Add(1)
		}
		if !pending(m, identifier) {
			canceled = true
			if err := a.w.respond(pc.ID, &command{field: cmdCancel, respondedTo: c.messageID, dataSetType: noDataSet}, a.peerMax); err != nil {
				return Done{}, err
			}
		}
	}
}

// take answers a C-STORE of a C-GET.
func (a *Association) take(id byte, m *command, store func(*StoreRequest) Status) error {
	pc := a.byID[id]
	var status Status
	var data *DataReader
	if m.hasDataSet() {
		data = &DataReader{c: a.w, id: id}
	}
	switch {
	case !pc.SCP || m.class != pc.AbstractSyntax:
		status = Status{Code: StatusSOPClassNotSupported, Comment: "SOP class is not that of the presentation context"}
	case data == nil:
		status = Status{Code: StatusMistypedArgument, Comment: "C-STORE needs a data set"}
	case m.uid == "":
		status = Status{Code: StatusInvalidInstance, Comment: "C-STORE needs a SOP Instance UID"}
	default:
		status = store(&StoreRequest{
			SOPClassUID: m.class, AbstractSyntaxUID: pc.AbstractSyntax, SOPInstanceUID: m.uid, TransferSyntaxUID: pc.TransferSyntax, ContextID: pc.ID, MessageID: m.messageID,
			Priority: m.priority, MoveOriginatorAE: m.moveAE, MoveOriginatorMessageID: m.moveID, Data: data,
		})
	}
	if data != nil {
		if err := data.discard(1 << 40); err != nil {
			return err
		}
		data.closed = true
		a.stats.dataSet.Add(data.n)
	}
	if status.Done() {
		a.stats.stored.Add(1)
	} else {
		a.stats.failed.Add(1)
	}
	rsp := command{field: m.field | cmdResponse, respondedTo: m.messageID, dataSetType: noDataSet, class: m.class, uid: m.uid, status: status}
	return a.w.respond(id, &rsp, a.peerMax)
}
