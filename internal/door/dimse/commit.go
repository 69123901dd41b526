package dimse

import (
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// maxReferenced is how many instances one request of storage commitment may name.
const maxReferenced = 10_000

// action answers requests of storage commitment (PS3.4 J.3.2): of what a peer itself has stored in the collection. The report follows on the same association, and on one of the
// node's own where it is not taken there.
func (d *Door) action(ctx context.Context, a *network.Association, req *network.ActionRequest) (network.Status, *network.Report) {
	s, ok := a.Value().(*session)
	if !ok || !d.still(ctx, s, policy.StoreAsPeer) {
		return network.Status{Code: network.StatusNotAuthorized, Comment: "this application may not do that here"}, nil
	}
	switch {
	case req.SOPClassUID != network.StorageCommitmentUID:
		return network.Status{Code: network.StatusNoSuchClass}, nil
	case req.SOPInstanceUID != network.StorageCommitmentInstanceUID:
		return network.Status{Code: network.StatusNoSuchInstance}, nil
	case req.ActionTypeID != 1:
		return network.Status{Code: network.StatusNoSuchAction}, nil
	}
	x, refused := readCommitment(req)
	if refused != nil {
		return *refused, nil
	}
	x.Peer, x.Calling, x.Asked = string(s.registered.AETitle), s.called, time.Now()
	uids := make([]string, len(x.Kept))
	for i, r := range x.Kept {
		uids[i] = r.UID
	}
	have, err := d.Custody.StoredBy(ctx, s.peer.Collection, s.peer.Actor, uids)
	if err != nil {
		d.Log.Error("storage commitment cannot be answered", "error", err)
		return network.Status{Code: network.StatusProcessingFailure, Comment: "not now; ask again later"}, nil
	}
	asked := x.Kept
	x.Kept = nil
	for _, r := range asked {
		switch class, ok := have[r.UID]; {
		case !ok:
			r.Reason = transfer.CommitNoSuchInstance
			x.Failed = append(x.Failed, r)
		case class != r.Class:
			r.Reason = transfer.CommitClassConflict
			x.Failed = append(x.Failed, r)
		default:
			x.Kept = append(x.Kept, r)
		}
	}
	b, err := x.Information(req.TransferSyntaxUID)
	if err != nil {
		return network.Status{Code: network.StatusInvalidArgument}, nil
	}
	done, err := d.Commit.Begin(ctx, x)
	if err != nil {
		d.Log.Error("storage commitment cannot be answered", "error", err)
		return network.Status{Code: network.StatusProcessingFailure, Comment: "not now; ask again later"}, nil
	}
	return network.Status{}, &network.Report{Done: done, EventReport: network.EventReport{SOPClassUID: req.SOPClassUID, SOPInstanceUID: req.SOPInstanceUID, EventTypeID: x.Event(),
		TransferSyntaxUID: req.TransferSyntaxUID, Information: b}}
}

// readCommitment reads a request: what it names stands in Kept.
func readCommitment(req *network.ActionRequest) (*transfer.Commitment, *network.Status) {
	ts, ok := dicom.LookupTransferSyntax(req.TransferSyntaxUID)
	if !ok {
		return nil, mistake(network.StatusInvalidArgument, "unknown transfer syntax")
	}
	data, err := dicom.ParseDataset(req.Information, ts, dicom.Limits{Depth: 8, Elements: 4 * maxReferenced})
	if err != nil {
		return nil, mistake(network.StatusInvalidArgument, "the request cannot be read")
	}
	x := &transfer.Commitment{Transaction: data.UID(dicom.TagTransactionUID)}
	i := data.Find(dicom.TagReferencedSOPSequence)
	if !dicom.ValidUID(x.Transaction) || i < 0 || !data.At(i).IsSequence() {
		return nil, mistake(network.StatusInvalidArgument, "it lacks its Transaction UID or its Referenced SOP Sequence")
	}
	for item := range data.Children(i) {
		r := transfer.Referenced{Class: data.StringIn(item, dicom.TagReferencedSOPClassUID), UID: data.StringIn(item, dicom.TagReferencedSOPInstanceUID)}
		if !dicom.ValidUID(r.Class) || !dicom.ValidUID(r.UID) {
			return nil, mistake(network.StatusInvalidArgument, "an item lacks its UIDs")
		}
		if x.Kept = append(x.Kept, r); len(x.Kept) > maxReferenced {
			return nil, mistake(network.StatusResourceLimitation, "it names more than 10,000 instances")
		}
	}
	return x, nil
}
