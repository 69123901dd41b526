package review_test

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Documents are kept for stewards, many at once; nobody else learns of them, and what no word keeps stays held.
func TestKeepingRestricted(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada := steward("breast")
		d.deposit("breast", "Winterbourne", document, burned, elsewhere)
		all, err := d.List(t.Context(), ada, "breast", review.Query{})
		if err != nil || len(all) != 3 {
			t.Fatal(all, err)
		}
		for i, want := range []bool{true, true, false} {
			if all[i].Restrictable != want {
				t.Errorf("item %d: restrictable is %v", i, all[i].Restrictable)
			}
		}
		if _, err := d.Restrict(t.Context(), ada, "breast", ids(all), "a letter to Winterbourne"); !fault.Is(err, fault.Invalid) {
			t.Error("a note that names the patient was taken:", err)
		}
		for _, role := range policy.Roles() {
			who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
			if _, err := d.Restrict(t.Context(), who, "breast", ids(all), ""); role != policy.Steward && err == nil {
				t.Errorf("%s restricts", role)
			} else if role == policy.Steward && err != nil {
				t.Error(err)
			}
			if role == policy.Steward {
				break // it is done
			}
		}
		again, err := d.Restrict(t.Context(), ada, "breast", ids(all), "")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []review.Outcome{review.Restricted, review.Restricted, review.Held} {
			if again[i].Outcome != want {
				t.Errorf("item %d: %s", i, again[i].Outcome)
			}
		}
		if left, err := d.List(t.Context(), ada, "breast", review.Query{}); err != nil || len(left) != 1 || left[0].ID != all[2].ID {
			t.Errorf("%+v %v", left, err)
		}
		kept, err := d.List(t.Context(), ada, "breast", review.Query{Kept: true})
		if err != nil || len(kept) != 2 || kept[0].State != policy.Restricted || kept[0].Acceptable || !kept[1].Acceptable || kept[0].Restrictable {
			t.Errorf("%+v %v", kept, err)
		}
		if n, err := d.Waiting(t.Context(), ada); err != nil || n != 1 {
			t.Errorf("%d wait, %v", n, err)
		}
		for _, role := range policy.Roles() {
			who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
			_, err := d.Item(t.Context(), who, kept[0].ID)
			if sees := role == policy.Steward || role == policy.Operator; (err == nil) != sees {
				t.Errorf("%s sees it: %v", role, err)
			}
		}
		// The image is accepted by the same checks, the document not; both can be refused.
		out, err := d.Accept(t.Context(), ada, "breast", ids(kept), "nothing but a ruler")
		if err != nil || out[0].Outcome != review.Held || out[0].Why[0].Code != "document" || out[1].Outcome != review.Accepted {
			t.Errorf("%+v %v", out, err)
		}
		if out, err = d.Refuse(t.Context(), ada, "breast", ids(kept), ""); err != nil || out[0].Outcome != review.Refused || out[1].Outcome != review.Gone {
			t.Errorf("%+v %v", out, err)
		}
	})
}
