package clinical

import (
	"context"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Of is what is known of a subject beside its images, by the Patient ID that its images carry. There has to be a study of the subject that policy lets the caller see clinical facts of;
// where there is none, or nothing is known, the answer is the same fault.NotFound. The log notes it once an hour.
func (d *Desk) Of(ctx context.Context, who admin.Caller, id collection.ID, patient string) (clinical.Facts, error) {
	missing := fault.New(fault.NotFound, policy.SeeClinical.String(), "", "nothing is known of this subject that you may see")
	q := catalogue.NewQuery(catalogue.Studies)
	q.Collection, q.Scopes, q.Limit = id, policy.Scopes(who.Grants, policy.SeeClinical, policy.Link{}), 1
	if len(q.Scopes) == 0 {
		return clinical.Facts{}, missing
	}
	if ok, err := q.Match("PatientID", patient); err != nil || !ok || !catalogue.Literal(patient) {
		return clinical.Facts{}, missing
	}
	found, _, err := d.Catalogue.SearchStudies(ctx, q)
	if err != nil {
		return clinical.Facts{}, err
	}
	if len(found) == 0 {
		return clinical.Facts{}, missing
	}
	s, err := d.Subjects.Get(ctx, found[0].Subject)
	if err != nil {
		return clinical.Facts{}, err
	}
	if s.IsWithdrawn() || s.Collection != id {
		return clinical.Facts{}, missing
	}
	f, _, err := d.Clinical.Get(ctx, s.ID)
	if fault.Is(err, fault.NotFound) {
		return clinical.Facts{}, missing
	}
	if err != nil {
		return clinical.Facts{}, err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.SeeClinical.String(), Object: "subject " + strconv.FormatInt(int64(s.ID), 10), Collection: string(id), Outcome: "allowed"})
		return err
	})
	if err != nil {
		return clinical.Facts{}, err // what cannot be noted is not told
	}
	return f, nil
}
