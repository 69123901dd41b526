package delivery

import (
	"context"
	"io"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
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

// List finds the instances of places that a peer asks for by an action, without opening them, in order and each once, at most limit and one more. Each is
// decided on again by [Delivery.Give].
func (d *Delivery) List(ctx context.Context, p Peer, at []Place, want policy.Action, limit int) ([]catalogue.Located, error) {
	scopes := policy.Scopes(p.Grants, want, p.Link)
	var all []catalogue.Located
	seen := map[catalogue.InstanceID]bool{}
	for _, a := range at {
		for l, err := range d.Catalogue.Locate(ctx, catalogue.Where{Scopes: scopes, Collection: p.Collection, Study: a.Study, Series: a.Series, SOP: a.SOP}) {
			if err != nil {
				return nil, err
			}
			if seen[l.ID] {
				continue
			}
			seen[l.ID] = true
			if all = append(all, l); len(all) > limit {
				return all, nil
			}
		}
	}
	return all, nil
}

// StudiesOf are the studies of a collection with a Patient ID, and of these UIDs if any are given, among those that the peer may have by an action; at most limit and one more.
func (d *Delivery) StudiesOf(ctx context.Context, p Peer, patient string, uids []string, want policy.Action, limit int) (found []Place, err error) {
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection, q.Limit = p.Collection, limit+1
	q.Scopes = within(policy.Scopes(p.Grants, want, p.Link), p.Collection)
	q.MatchPatientID(patient)
	if len(uids) > 0 {
		if _, err := q.Match("StudyInstanceUID", strings.Join(uids, `\`)); err != nil {
			return nil, err
		}
	}
	studies, _, err := d.Catalogue.SearchStudies(ctx, q)
	for _, s := range studies {
		found = append(found, Place{Collection: p.Collection, Study: s.UID})
	}
	return found, err
}

// Give opens one of the instances that [Delivery.List] found, as it stands now.
func (d *Delivery) Give(ctx context.Context, p Peer, id catalogue.InstanceID, want policy.Action) (*Object, error) {
	l, err := d.Catalogue.Instance(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	if l.Collection != p.Collection || l.State == policy.Held || l.State == policy.Conflict || l.State == policy.Restricted {
		return nil, notFound() // what was not proven clean does not slip into a transfer
	}
	return d.open(ctx, p.Caller, p.Link, l, want)
}

// Reader gives the object's data set in the transfer syntax that it is kept in, or, if both are native, in another. It has to be closed, before the object is.
func (o *Object) Reader(ts *dicom.TransferSyntax) (io.ReadCloser, error) {
	return o.instance.Reader(ts)
}

// DataSize is the number of bytes of the data set as it is kept; -1 where it is not known before.
func (o *Object) DataSize() (int64, error) { return o.instance.Size() }
