package dimse

import (
	"context"
	"errors"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// maxTransfer is how many instances one C-MOVE or C-GET may be for: its counts have 16 bits (PS3.7 9.1.3.1.7).
const maxTransfer = 65_535

// retrieve answers a C-MOVE or C-GET (PS3.4 C.4.2, C.4.3).
func (d *Door) retrieve(ctx context.Context, s *session, op *network.Operation) network.Outcome {
	x, refused := readIdentifier(op)
	if refused != nil {
		return network.Outcome{Status: *refused}
	}
	t := &retrieval{op: op}
	var to identity.Peer
	if op.IsMove() {
		var ok bool
		if to, ok = d.destination(ctx, s, op.MoveDestination); !ok {
			return network.Outcome{Status: network.Status{Code: network.StatusUnknownDestination, Comment: "no such destination is registered for this collection"}}
		}
	}
	want := queryClasses[op.SOPClassUID]
	places, refused, err := d.places(ctx, s, x, patientRoot[op.SOPClassUID], want)
	if err != nil {
		return d.unable(ctx, err)
	}
	if refused != nil {
		return network.Outcome{Status: *refused}
	}
	items, err := d.Delivery.List(ctx, s.peer, places, want, maxTransfer)
	if err != nil {
		return d.unable(ctx, err)
	}
	if len(items) > maxTransfer {
		return network.Outcome{Status: network.Status{Code: network.StatusCannotCountMatches, Comment: "there are more than 65,535 instances: ask for less at a time"}}
	}
	t.left = len(items)
	may := func() bool { return d.still(ctx, s, want) }
	if op.IsMove() {
		receiver := s.peer
		receiver.Actor += " to " + string(to.AETitle) // the log says who got it
		err = d.Sender.Move(ctx, transfer.Batch{To: to, Calling: s.called, For: receiver, Want: want, Items: items, By: transfer.Originator{AETitle: string(s.registered.AETitle), MessageID: op.MessageID},
			Sent: t.sent, Before: may})
	} else {
		err = d.give(ctx, s, op, items, t, may)
	}
	switch {
	case op.Canceled():
		return network.Outcome{Status: network.Status{Code: network.StatusCancel}, Sub: t.counts()}
	case err != nil && ctx.Err() == nil && !errors.Is(err, network.ErrCanceled):
		why := ""
		if fault.Is(err, fault.Unavailable) && op.IsMove() {
			why = transfer.Unreached(err)
			if t.why == "" {
				t.why = why
			}
		}
		d.Log.Warn("instances could not be sent", "kind", fault.KindOf(err).String(), "reason", why, "left", t.left)
	}
	for _, l := range items[len(items)-t.left:] { // of which nothing was said
		t.failed(l)
	}
	return t.outcome()
}

// give sends on the association of a C-GET.
func (d *Door) give(ctx context.Context, s *session, op *network.Operation, items []catalogue.Located, t *retrieval, may func() bool) error {
	for _, l := range items {
		if op.Canceled() || !may() {
			return nil
		}
		var st network.Status
		lost := false
		o, err := d.Delivery.Give(ctx, s.peer, l.ID, policy.GetAsPeer)
		if err == nil {
			st, lost, err = d.Sender.Send(ctx, lane{op}, o, transfer.Originator{})
			o.Close()
		}
		if lost {
			return err
		}
		if !t.sent(l, st, err) {
			return nil
		}
	}
	return nil
}

// lane is the association of a C-GET.
type lane struct{ op *network.Operation }

func (l lane) Takes(class string, syntaxes []string) (network.Context, bool) {
	return l.op.Accepts(class, syntaxes...)
}

func (l lane) Store(_ context.Context, in *network.Instance) (network.Status, error) {
	return l.op.Store(in)
}

// destination is a registered peer of the collection.
func (d *Door) destination(ctx context.Context, s *session, title string) (identity.Peer, bool) {
	ae, err := collection.ParseAETitle(title)
	if err != nil {
		return identity.Peer{}, false
	}
	p, err := d.Identity.Peer(ctx, ae)
	if err != nil {
		if !fault.Is(err, fault.NotFound) {
			d.Log.Error("the register of peers does not answer", "error", err)
		}
		return identity.Peer{}, false
	}
	return p, p.Collection == policy.AllCollections || p.Collection == string(s.peer.Collection)
}

// places are what the unique keys of a retrieval name: at its own level one or a list, and no patterns (PS3.4 C.4.2.1.4, C.4.3.1.3).
func (d *Door) places(ctx context.Context, s *session, x *identifier, root bool, want policy.Action) ([]delivery.Place, *network.Status, error) {
	own := levels[x.at].unique
	values := x.unique[own]
	if len(values) == 0 || x.at == 0 && len(values) > 1 || own != dicom.TagPatientID && strings.ContainsAny(strings.Join(values, ""), "*?") {
		return nil, mistake(network.StatusClassMismatch, "the unique key of the level is missing, or cannot be retrieved by", own), nil
	}
	var at []delivery.Place
	if root {
		var err error
		at, err = d.Delivery.StudiesOf(ctx, s.peer, x.unique[dicom.TagPatientID][0], x.unique[dicom.TagStudyInstanceUID], want, catalogue.MaxLimit-1)
		if err != nil || x.at <= 1 {
			return at, nil, err
		}
	} else {
		for _, v := range x.unique[dicom.TagStudyInstanceUID] {
			if uid, err := catalogue.ParseUID[catalogue.StudyUID](v); err == nil { // what is no UID names nothing
				at = append(at, delivery.Place{Study: uid})
			}
		}
	}
	narrow := func(t dicom.Tag, set func(p *delivery.Place, v string) error) {
		var out []delivery.Place
		for _, p := range at {
			for _, v := range x.unique[t] {
				q := p
				if set(&q, v) == nil {
					out = append(out, q)
				}
			}
		}
		at = out
	}
	if x.at >= 2 {
		narrow(dicom.TagSeriesInstanceUID, func(p *delivery.Place, v string) (err error) {
			p.Series, err = catalogue.ParseUID[catalogue.SeriesUID](v)
			return err
		})
	}
	if x.at == 3 {
		narrow(dicom.TagSOPInstanceUID, func(p *delivery.Place, v string) (err error) {
			p.SOP, err = catalogue.ParseUID[catalogue.SOPUID](v)
			return err
		})
	}
	return at, nil, nil
}

// retrieval counts sub-operations.
type retrieval struct {
	op                    *network.Operation
	left                  int
	done, refused, warned int
	list                  []string // SOP Instance UIDs of those that failed
	why                   string   // the first reason of the node's own why one did
}

// sent counts one instance and tells how far it is; false where nobody wants more.
func (t *retrieval) sent(l catalogue.Located, st network.Status, err error) bool {
	switch {
	case err != nil:
		if t.why == "" {
			t.why = transfer.Reason(err)
		}
		t.failed(l)
	case st.Success():
		t.left, t.done = t.left-1, t.done+1
	case st.Warning():
		t.left, t.warned = t.left-1, t.warned+1
	default:
		t.failed(l)
	}
	return t.op.Progress(*t.counts()) == nil
}

func (t *retrieval) failed(l catalogue.Located) {
	t.left, t.refused = t.left-1, t.refused+1
	t.list = append(t.list, string(l.SOP))
}

func (t *retrieval) counts() *network.SubOperations {
	return &network.SubOperations{Remaining: uint16(t.left), Completed: uint16(t.done), Failed: uint16(t.refused), Warnings: uint16(t.warned)}
}

// comment says what failed and, where it is known, why the first did.
func (t *retrieval) comment(what string) string {
	if t.why != "" {
		what += ": " + t.why
	}
	return what[:min(len(what), network.MaxComment)]
}

// outcome is the final answer: success, a warning where some failed, a failure where all did (PS3.4 Tables C.4-2, C.4-3).
func (t *retrieval) outcome() network.Outcome {
	out := network.Outcome{Sub: t.counts()}
	switch {
	case t.refused == 0 && t.warned == 0:
		return out
	case t.done == 0 && t.warned == 0:
		out.Status = network.Status{Code: network.StatusCannotPerform, Comment: t.comment("none could be sent")}
	default:
		out.Status = network.Status{Code: network.StatusSubOperations, Comment: t.comment("some could not be sent")}
	}
	ts, ok := dicom.LookupTransferSyntax(t.op.TransferSyntaxUID)
	if !ok || len(t.list) == 0 {
		return out
	}
	// A list in explicit VR has at most 65,534 bytes: what does not fit is left out (its number is told).
	n, size := 0, -1
	for ; n < len(t.list) && size+1+len(t.list[n]) <= 65_534; n++ {
		size += 1 + len(t.list[n])
	}
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagFailedSOPInstanceUIDList, t.list[:n]...)
	if d, err := b.Dataset(); err == nil {
		out.Identifier = d.Bytes()
	}
	return out
}
