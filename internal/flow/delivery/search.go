package delivery

import (
	"context"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// permit sets the scopes of a query to what the caller may find, and notes the search.
func (d *Delivery) permit(ctx context.Context, caller Caller, q *catalogue.Query) error {
	return d.permitAs(ctx, caller, policy.Search, policy.Link{}, q)
}

func (d *Delivery) permitAs(ctx context.Context, caller Caller, as policy.Action, link policy.Link, q *catalogue.Query) error {
	if q.Collection != "" {
		const attempt, why = "search", "there is no such collection"
		if !caller.knows(q.Collection) {
			return fault.New(fault.NotFound, attempt, "", why)
		}
		// What is not there can be named after anything, a patient too, and the audit log would keep it.
		if _, err := d.Collections.Get(ctx, q.Collection); fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, attempt, "", why)
		} else if err != nil {
			return err
		}
	}
	q.Scopes = within(policy.Scopes(caller.Grants, as, link), q.Collection)
	return d.tellSearch(ctx, caller, as, q.Scopes)
}

// within narrows scopes to a collection, if one is named.
func within(scopes []policy.Scope, id collection.ID) []policy.Scope {
	if id == "" {
		return scopes
	}
	var out []policy.Scope
	for _, s := range scopes {
		if s.Collection == policy.AllCollections || s.Collection == string(id) {
			out = append(out, policy.Scope{Collection: string(id), States: s.States})
		}
	}
	return out
}

// SearchStudies finds the studies that match and that the caller may know of; more says that the limit cut the answer.
func (d *Delivery) SearchStudies(ctx context.Context, caller Caller, q *catalogue.Query) (found []*catalogue.Study, more bool, err error) {
	if err := d.permit(ctx, caller, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchStudies(ctx, q)
}

// TallyStudies counts the studies that match and that the caller may know of, and in which modalities they are.
func (d *Delivery) TallyStudies(ctx context.Context, caller Caller, q *catalogue.Query) (catalogue.StudyTally, error) {
	if err := d.permit(ctx, caller, q); err != nil {
		return catalogue.StudyTally{}, err
	}
	return d.Catalogue.TallyStudies(ctx, q)
}

// SearchSeries finds series likewise.
func (d *Delivery) SearchSeries(ctx context.Context, caller Caller, q *catalogue.Query) (found []*catalogue.SeriesResult, more bool, err error) {
	if err := d.permit(ctx, caller, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchSeries(ctx, q)
}

// SearchInstances finds instances likewise.
func (d *Delivery) SearchInstances(ctx context.Context, caller Caller, q *catalogue.Query) (found []*catalogue.InstanceResult, more bool, err error) {
	if err := d.permit(ctx, caller, q); err != nil {
		return nil, false, err
	}
	return d.Catalogue.SearchInstances(ctx, q)
}
