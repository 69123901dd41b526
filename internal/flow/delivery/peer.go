package delivery

import (
	"context"
	"iter"

	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Peer is another DICOM application whose association was accepted: who it is, what the association has shown, and the collection that its called AE title names,
// outside which it finds nothing.
type Peer struct {
	Caller
	Link       policy.Link
	Collection collection.ID
}

func (d *Delivery) permitPeer(ctx context.Context, p Peer, q *catalogue.Query) error {
	q.Collection = p.Collection
	return d.permitAs(ctx, p.Caller, policy.FindAsPeer, p.Link, q)
}

// FindPatients finds the patients that match and that the peer may know of (C-FIND); their series are counted if that is asked for.
func (d *Delivery) FindPatients(ctx context.Context, p Peer, q *catalogue.Query, series bool) (found []*catalogue.Patient, more bool, err error) {
	if err := d.permitPeer(ctx, p, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchPatients(ctx, q, series)
}

// FindStudies finds studies likewise.
func (d *Delivery) FindStudies(ctx context.Context, p Peer, q *catalogue.Query) (found []*catalogue.Study, more bool, err error) {
	if err := d.permitPeer(ctx, p, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchStudies(ctx, q)
}

// FindSeries finds series likewise.
func (d *Delivery) FindSeries(ctx context.Context, p Peer, q *catalogue.Query) (found []*catalogue.SeriesResult, more bool, err error) {
	if err := d.permitPeer(ctx, p, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchSeries(ctx, q)
}

// FindInstances finds instances likewise.
func (d *Delivery) FindInstances(ctx context.Context, p Peer, q *catalogue.Query) (found []*catalogue.InstanceResult, more bool, err error) {
	if err := d.permitPeer(ctx, p, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchInstances(ctx, q)
}

// Send opens the instances of a place for a peer that asked for them by policy.GetAsPeer or policy.MoveAsPeer, as [Delivery.Objects] does.
func (d *Delivery) Send(ctx context.Context, p Peer, at Place, want policy.Action) iter.Seq2[*Object, error] {
	at.Collection = p.Collection
	return d.objects(ctx, p.Caller, p.Link, at, want)
}
