package directory_test

import (
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	flow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/clinical"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func TestRisk(t *testing.T) {
	each(t, func(t *testing.T, d *flow.Desk) {
		people(t, d, 0, 12, 9) // nine women, three men, all of 57 years with the same diagnosis
		steward := as(policy.Steward, "default")
		r, err := d.Risk(t.Context(), steward, collection.Default, 3)
		if err != nil || r.People != 12 || r.Smallest != 3 || r.Below != 0 || r.Mend != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		// One of the women is told of more: she stands alone by her age, and by her stage.
		err = d.DB.Write(t.Context(), func(tx *db.Tx) error {
			run, err := d.Clinical.Begin(tx, collection.Default, "token-1")
			if err != nil {
				return err
			}
			age := 58
			_, err = d.Clinical.Save(tx, collection.Default, subject.ID(1), clinical.Facts{Age: &age, Stage: "IIIA"}, clinical.Columns{Age: true, Stage: true}, run)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if r, err = d.Risk(t.Context(), steward, collection.Default, 3); err != nil || r.Smallest != 1 || r.Alone != 1 || r.Below != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		var by []string
		for _, tell := range r.Tells {
			if len(tell.Fields) == 1 && tell.People == 1 {
				by = append(by, tell.Fields[0])
			}
		}
		if !slices.Equal(by, []string{"age", "stage"}) {
			t.Errorf("she is singled out by %v", by)
		}
		if r.Mend == nil || r.Mend.Below != 0 || len(r.Mend.Steps) != 2 || r.Mend.Steps[0].Then != "in bands of five years" || r.Mend.Steps[1].Then != "left out" {
			t.Errorf("%+v", r.Mend)
		}
		for who, want := range map[policy.Role]fault.Kind{policy.Researcher: fault.Denied, policy.Depositor: fault.Denied} {
			if _, err := d.Risk(t.Context(), as(who, "default"), collection.Default, 3); !fault.Is(err, want) {
				t.Errorf("%v: %v", who, err)
			}
		}
		if _, err := d.Risk(t.Context(), steward, collection.Default, 1); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, err := d.Risk(t.Context(), as(policy.Steward, "*"), "nowhere", 3); err == nil {
			t.Error("a collection that is not there was measured")
		}
	})
}
