package dimse

import (
	"context"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// query answers C-FIND, C-MOVE and C-GET.
func (d *Door) query(ctx context.Context, a *network.Association, op *network.Operation) network.Outcome {
	s, ok := a.Value().(*session)
	if ok {
		ok = d.still(ctx, s, queryClasses[op.SOPClassUID])
	}
	if !ok {
		return network.Outcome{Status: network.Status{Code: network.StatusNotAuthorized, Comment: "this application may not do that here"}}
	}
	if action := queryClasses[op.SOPClassUID]; op.IsFind() != (action == policy.FindAsPeer) || op.IsMove() != (action == policy.MoveAsPeer) {
		return network.Outcome{Status: network.Status{Code: network.StatusSOPClassNotSupported, Comment: "this SOP class has another operation"}}
	}
	if err := d.shares.query(ctx, s.registered.AETitle); err != nil {
		return d.unable(ctx, err)
	}
	// What was acknowledged before is found.
	if err := d.Custody.Barrier(ctx); err != nil {
		return d.unable(ctx, err)
	}
	if op.IsFind() {
		return d.find(ctx, s, op)
	}
	done, ok := d.shares.transfer(s.registered.AETitle, d.Limits.of(s.registered))
	if !ok {
		return network.Outcome{Status: network.Status{Code: network.StatusCannotPerform, Comment: "too many transfers of this application run: wait for one"}}
	}
	defer done()
	return d.retrieve(ctx, s, op)
}

// still reports whether the peer may do something now: an association lasts, and the register may say something else meanwhile.
func (d *Door) still(ctx context.Context, s *session, action policy.Action) bool {
	if !s.may[action] || s.registered.AETitle == "" {
		return false
	}
	now, err := d.Identity.Peer(ctx, s.registered.AETitle)
	return err == nil && samePeer(now, s.registered)
}

// samePeer reports whether two registrations of an AE title give the same to the same.
func samePeer(a, b identity.Peer) bool {
	same := (a.Certificate == nil) == (b.Certificate == nil) && (a.Certificate == nil || *a.Certificate == *b.Certificate)
	return same && a.Host == b.Host && a.May == b.May && a.Collection == b.Collection
}

// unable is the answer to what failed on this side.
func (d *Door) unable(ctx context.Context, err error) network.Outcome {
	if ctx.Err() != nil {
		return canceled()
	}
	st := network.Status{Code: network.StatusCannotUnderstand, Comment: "it cannot be done"}
	switch fault.KindOf(err) {
	case fault.NotFound: // the collection has gone
		st = network.Status{}
	case fault.Denied:
		st = network.Status{Code: network.StatusNotAuthorized}
	case fault.Unavailable:
		st = network.Status{Code: network.StatusOutOfResources, Comment: "not now; ask again later"}
	default:
		d.Log.Error("a query could not be answered", "error", err)
	}
	return network.Outcome{Status: st}
}

func canceled() network.Outcome {
	return network.Outcome{Status: network.Status{Code: network.StatusCancel}}
}

// find answers a C-FIND (PS3.4 C.4.1): one search of the catalogue, whose result streams out.
func (d *Door) find(ctx context.Context, s *session, op *network.Operation) network.Outcome {
	q, refused := parseQuestion(op, s.agreed)
	if refused != nil {
		return network.Outcome{Status: *refused}
	}
	matches, more, err := d.matches(ctx, s, q)
	if err != nil {
		return d.unable(ctx, err)
	}
	ts, _ := dicom.LookupTransferSyntax(op.TransferSyntaxUID)
	a := newAnswers(ts, q, patientRoot[op.SOPClassUID], s.called)
	code := uint16(network.StatusPending)
	if q.unsupported {
		code = network.StatusPendingUnsupported
	}
	for m := range matches {
		b, err := a.encode(&m)
		if err == nil {
			err = op.Match(code, b)
		}
		if err != nil {
			return d.unable(ctx, err)
		}
	}
	if more {
		return network.Outcome{Status: network.Status{Code: network.StatusOutOfResources, Comment: "there are more matches than are answered: narrow the query"}}
	}
	return network.Outcome{}
}

// matches asks the catalogue.
func (d *Door) matches(ctx context.Context, s *session, q *question) (all func(yield func(match) bool), more bool, err error) {
	switch levels[q.at].level {
	case catalogue.Patients:
		found, more, err := d.Delivery.FindPatients(ctx, s.peer, q.query, contains(q.fields, dicom.TagNumberOfPatientRelatedSeries))
		return each(found, func(x *catalogue.Patient) match { return match{patient: x} }), more, err
	case catalogue.Studies:
		found, more, err := d.Delivery.FindStudies(ctx, s.peer, q.query)
		return each(found, func(x *catalogue.Study) match { return match{study: x} }), more, err
	case catalogue.Series:
		found, more, err := d.Delivery.FindSeries(ctx, s.peer, q.query)
		return each(found, func(x *catalogue.SeriesResult) match { return match{study: x.Study, series: x} }), more, err
	}
	found, more, err := d.Delivery.FindInstances(ctx, s.peer, q.query)
	return each(found, func(x *catalogue.InstanceResult) match {
		return match{study: x.Series.Study, series: x.Series, instance: x}
	}), more, err
}

func each[T any](found []T, of func(T) match) func(yield func(match) bool) {
	return func(yield func(match) bool) {
		for _, x := range found {
			if !yield(of(x)) {
				return
			}
		}
	}
}
