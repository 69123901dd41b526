package network

import (
	"context"
	"errors"
)

// The Storage Commitment Push Model (PS3.4 J.3).
const (
	StorageCommitmentUID         = "1.2.840.10008.1.20.1"
	StorageCommitmentInstanceUID = "1.2.840.10008.1.20.1.1" // the well-known SOP instance
)

// ActionRequest is an N-ACTION (PS3.7 10.1.4).
type ActionRequest struct {
	SOPClassUID, SOPInstanceUID string
	ActionTypeID                uint16
	TransferSyntaxUID           string // of Information
	Information                 []byte // the encoded data set; nil: none
}

// EventReport is an N-EVENT-REPORT (PS3.7 10.1.1).
type EventReport struct {
	SOPClassUID, SOPInstanceUID string
	EventTypeID                 uint16
	TransferSyntaxUID           string
	Information                 []byte
}

// Report is an N-EVENT-REPORT that a Server sends on the association of the N-ACTION that asked for it, behind its answer. Done, which is needed, is told once: with
// nil when the peer has taken it, else with why not; the association may have ended before.
type Report struct {
	EventReport
	Done func(err error)
}

// errReportRefused is a report that the peer answered with another status than success or warning.
var errReportRefused = errors.New("dicom/network: the peer does not take the event report")

// Action sends an N-ACTION in a context of its SOP class and transfer syntax. Errors are those of [Association.Store].
func (a *Association) Action(ctx context.Context, r *ActionRequest) (Status, error) {
	return a.normalized(ctx, &command{field: cmdAction, class: r.SOPClassUID, uid: r.SOPInstanceUID, typeID: r.ActionTypeID}, r.TransferSyntaxUID, r.Information)
}

// Report sends an N-EVENT-REPORT likewise: this side is then SCP of the class ([DialOptions].Roles).
func (a *Association) Report(ctx context.Context, r *EventReport) (Status, error) {
	return a.normalized(ctx, &command{field: cmdEvent, class: r.SOPClassUID, uid: r.SOPInstanceUID, typeID: r.EventTypeID}, r.TransferSyntaxUID, r.Information)
}

func (a *Association) normalized(ctx context.Context, c *command, syntax string, information []byte) (Status, error) {
	pc, ok := a.Context(c.class, syntax)
	if !ok {
		return Status{}, ErrNoContext
	}
	if len(information)&1 == 1 {
		return Status{}, ErrOddLength
	}
	c.dataSetType = noDataSet
	var in *Instance
	if information != nil {
		c.dataSetType, in = 1, &Instance{Bytes: information}
	}
	return a.exchange(ctx, &pc, c, in, false)
}

// AwaitReport waits for one N-EVENT-REPORT of the acceptor and answers it with what take says.
func (a *Association) AwaitReport(ctx context.Context, take func(*EventReport) Status) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dead != nil {
		return a.dead
	}
	stop := a.w.whileContext(ctx)
	defer stop()
	err := a.w.await(a.answer)
	var c *command
	var id byte
	if err == nil {
		c, id, err = a.next()
	}
	if err == nil && c.field != cmdEvent {
		err = misuse("the peer sends something that is no event report")
	}
	var r *EventReport
	if err == nil {
		r, err = a.event(id, c)
	}
	if err == nil {
		err = a.w.respond(id, &command{field: cmdEvent | cmdResponse, respondedTo: c.messageID, dataSetType: noDataSet, class: c.class, uid: c.uid, typeID: c.typeID, status: take(r)}, a.peerMax)
	}
	if err != nil {
		a.fail(err)
	}
	a.tally()
	return err
}

// event reads the data set of an N-EVENT-REPORT.
func (a *Association) event(id byte, c *command) (*EventReport, error) {
	r := &EventReport{SOPClassUID: c.class, SOPInstanceUID: c.uid, EventTypeID: c.typeID, TransferSyntaxUID: a.byID[id].TransferSyntax}
	if !c.hasDataSet() {
		return r, nil
	}
	data := &DataReader{c: a.w, id: id}
	b, whole, err := data.ReadAll([]byte{}, maxIdentifier)
	if err == nil && !whole {
		err = misuse("the data set of an event report is too long")
	}
	r.Information = b
	a.stats.dataSet.Add(data.n)
	return r, err
}

// action serves an N-ACTION, and sends the report that its handler wants sent at once.
func (s *Server) action(ctx context.Context, a *Association, pc *Context, c *command, data *DataReader) error {
	var status Status
	var report *Report
	req := &ActionRequest{SOPClassUID: c.class, SOPInstanceUID: c.uid, ActionTypeID: c.typeID, TransferSyntaxUID: pc.TransferSyntax}
	whole := true
	if data != nil {
		var err error
		if req.Information, whole, err = data.ReadAll([]byte{}, maxIdentifier); err != nil {
			return err
		}
		a.stats.dataSet.Add(data.n)
	}
	if err := s.discard(data); err != nil {
		return err
	}
	switch {
	case c.class != pc.AbstractSyntax || !pc.SCU:
		status = Status{Code: StatusNoSuchClass}
	case !whole:
		status = Status{Code: StatusResourceLimitation, Comment: "the data set is too long"}
	default:
		func() {
			defer s.recover(a, &status)
			status, report = s.Action(ctx, a, req)
		}()
	}
	if !status.Done() {
		a.stats.failed.Add(1)
	}
	err := a.w.respond(pc.ID, &command{field: cmdAction | cmdResponse, respondedTo: c.messageID, dataSetType: noDataSet, class: c.class, uid: c.uid, typeID: c.typeID, status: status}, a.peerMax)
	if report == nil {
		return err
	}
	if err != nil {
		report.Done(err)
		return err
	}
	if a.messageID++; a.messageID == 0 {
		a.messageID = 1
	}
	if a.reports == nil {
		a.reports = map[uint16]func(error){}
	}
	a.reports[a.messageID] = report.Done
	event := &command{field: cmdEvent, messageID: a.messageID, class: report.SOPClassUID, uid: report.SOPInstanceUID, typeID: report.EventTypeID, dataSetType: 1}
	return a.send(pc.ID, event, &Instance{Bytes: report.Information}, false)
}

// reported takes the answer to a report; false if there was none to answer.
func (a *Association) reported(c *command) bool {
	done, ok := a.reports[c.respondedTo]
	if !ok || c.field != cmdEvent|cmdResponse {
		return false
	}
	delete(a.reports, c.respondedTo)
	if c.status.Done() {
		done(nil)
	} else {
		done(errReportRefused)
	}
	return true
}

// unreported says of the reports without an answer that they have none.
func (a *Association) unreported(err error) {
	if err == nil {
		err = ErrReleased
	}
	for id, done := range a.reports {
		delete(a.reports, id)
		done(err)
	}
}
