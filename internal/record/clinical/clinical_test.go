package clinical

import (
	"context"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory/vocabulary"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

func TestVersions(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		age := 61
		save := func(id subject.ID, f Facts, has Columns) (changed bool) {
			t.Helper()
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				run, err := r.Begin(tx, "breast", "token-1")
				if err != nil {
					return err
				}
				changed, err = r.Save(tx, "breast", id, f, has, run)
				if err != nil {
					return err
				}
				return r.End(tx, Import{ID: run, Rows: 1, Subjects: 1})
			})
			if err != nil {
				t.Fatal(err)
			}
			return changed
		}
		all := Columns{Sex: true, Age: true, Diagnoses: true, Visits: true}
		c50 := vocabulary.Code{System: vocabulary.ICD10, Value: "C50.4"}
		first := Facts{Sex: "female", Age: &age, Diagnoses: []vocabulary.Code{c50, c50}, Visits: []Visit{{"week 12", "2019-06-01"}, {"baseline", "2019-03-01"}}}
		if !save(7, first, all) {
			t.Error("nothing was new")
		}
		again := first
		again.Visits = []Visit{{"baseline", "2019-03-01"}, {"week 12", "2019-06-01"}}
		if save(7, again, all) {
			t.Error("the same in another order is another version")
		}
		if !save(7, Facts{Stage: "2"}, Columns{Stage: true}) {
			t.Error("a stage is nothing new")
		}
		f, version, err := r.Get(t.Context(), 7)
		if err != nil || version != 2 || f.Sex != "female" || f.Stage != "2" || *f.Age != 61 || len(f.Diagnoses) != 1 || f.Visits[0].Name != "baseline" {
			t.Errorf("%+v, version %d, %v", f, version, err)
		}
		if was, err := r.Version(t.Context(), 7, 1); err != nil || was.Stage != "" || was.Sex != "female" {
			t.Errorf("%+v, %v", was, err)
		}
		save(9, Facts{Sex: "male"}, all)
		var seen []subject.ID
		if err := r.Each(t.Context(), "breast", func(id subject.ID, f Facts) error { seen = append(seen, id); return nil }); err != nil || len(seen) != 2 || seen[0] != 7 {
			t.Error(seen, err)
		}
		imports, err := r.Imports(t.Context(), "breast", 10)
		if err != nil || len(imports) != 4 || imports[0].Actor != "token-1" || imports[0].Rows != 1 {
			t.Errorf("%+v, %v", imports, err)
		}
		var gone int64
		if err := d.Write(t.Context(), func(tx *db.Tx) (err error) { gone, err = r.Erase(tx, 7); return err }); err != nil || gone != 2 {
			t.Error(gone, err)
		}
		if _, _, err := r.Get(t.Context(), 7); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
