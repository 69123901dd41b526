package delivery

import (
	"context"
	"slices"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// tell writes the decision to the audit log before anything leaves; if it cannot be written, nothing leaves. What is in sight is told by series, once
// an hour for each person: a viewer asks for a series in thousands of requests. What is held is told every time, by instance.
func (d *Delivery) tell(ctx context.Context, caller Caller, want policy.Action, l *catalogue.Located, terms []string) error {
	e := audit.Entry{Actor: caller.Actor, Action: want.String(), Collection: string(l.Collection), Outcome: "allowed"}
	if slices.Contains(terms, policy.TermAuditEach) {
		e.Object = "instance " + l.ID.String()
		return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Audit.Append(tx, e) })
	}
	if !slices.Contains(terms, policy.TermAudit) {
		return nil
	}
	e.Object = "series " + catalogue.InstanceID(l.SeriesID).String()
	return d.once(ctx, e, want)
}

// tellSearch notes that a caller searches a collection, or every one.
func (d *Delivery) tellSearch(ctx context.Context, caller Caller, as policy.Action, scopes []policy.Scope) error {
	for _, s := range scopes {
		e := audit.Entry{Actor: caller.Actor, Action: as.String(), Object: "collection " + s.Collection, Collection: s.Collection, Outcome: "allowed"}
		if s.Collection == policy.AllCollections {
			e.Object, e.Collection = "all collections", ""
		}
		if err := d.once(ctx, e, as); err != nil {
			return err
		}
	}
	return nil
}

// once notes a decision unless it was noted in this hour.
func (d *Delivery) once(ctx context.Context, e audit.Entry, want policy.Action) error {
	k, hour := toldKey{e.Actor, e.Object, want}, hourOf(time.Now())
	if d.told.seen(k, hour) {
		return nil
	}
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, e)
		return err
	})
	if err != nil {
		return err
	}
	d.told.add(k, hour)
	return nil
}
