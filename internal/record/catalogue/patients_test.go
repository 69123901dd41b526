package catalogue

import (
	"fmt"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Studies of a Patient ID are one patient of their collection; what is counted is what the caller sees.
func TestPatients(t *testing.T) {
	each(t, func(f *fixture) {
		id, other := f.deposit("breast"), f.deposit("lung")
		a := StudyAttributes{PatientID: "VX-1", PatientName: "Müller^Anna", Sex: "F", BirthDate: "19600101"}
		f.put(id, 1, "CT", a)
		f.put(id, 2, "MR", a)
		f.put(id, 3, "MR", StudyAttributes{PatientID: "VX-2", PatientName: "Yamada^Tarou=山田^太郎"})
		f.put(other, 4, "MR", a, func(e *Entry) { e.Collection = "lung" })
		second := f.entry(id, 2, 7, 1, "another series")
		second.StudyAttributes = a
		f.add(second)
		find := func(scopes []policy.Scope, conditions ...string) (s string) {
			q := f.query(Patients, scopes, conditions...)
			found, more, err := f.r.SearchPatients(f.Context(), q, true)
			if err != nil || more {
				f.Fatalf("%v %v", err, more)
			}
			for _, p := range found {
				s += fmt.Sprintf("%s/%s/%s:%d,%d,%d ", p.Collection, p.PatientID, p.Sex, p.Studies, p.Series, p.Instances)
			}
			return s
		}
		all := "breast/VX-1/F:2,3,3 breast/VX-2/:1,1,1 lung/VX-1/F:1,1,1 "
		for _, c := range []struct {
			conditions []string
			want       string
		}{
			{nil, all}, {[]string{"PatientID", "*"}, all}, {[]string{"PatientID", "VX-2"}, "breast/VX-2/:1,1,1 "}, {[]string{"PatientID", "VX-1\\VX-2"}, all},
			{[]string{"PatientName", "山田*"}, "breast/VX-2/:1,1,1 "}, {[]string{"PatientName", "MULLER^ANNA", "PatientSex", "F"}, "breast/VX-1/F:2,3,3 lung/VX-1/F:1,1,1 "},
			{[]string{"PatientBirthDate", "19590101-19601231", "PatientID", "VX-?"}, "breast/VX-1/F:2,3,3 lung/VX-1/F:1,1,1 "}, {[]string{"PatientID", "VX-3"}, ""},
		} {
			if got := find(see(received), c.conditions...); got != c.want {
				f.Errorf("%v: %s, want %s", c.conditions, got, c.want)
			}
		}
		if got := find([]policy.Scope{{Collection: "lung", States: []policy.State{received}}}); got != "lung/VX-1/F:1,1,1 " {
			f.Errorf("one collection: %s", got)
		}
		if got := find(see(released)); got != "" {
			f.Errorf("nothing is released: %s", got)
		}
		q := f.query(Patients, see(received))
		if ok, err := q.Match("ModalitiesInStudy", "CT"); ok || err != nil {
			f.Errorf("an attribute of a study: %v %v", ok, err)
		}
		q.Limit = 2
		if found, more, err := f.r.SearchPatients(f.Context(), q, false); err != nil || !more || len(found) != 2 || found[0].Series != 0 {
			f.Errorf("a page: %d %v %v", len(found), more, err)
		}
		q.Offset = 2
		if found, more, err := f.r.SearchPatients(f.Context(), q, false); err != nil || more || len(found) != 1 || found[0].Collection != "lung" {
			f.Errorf("the next page: %d %v %v", len(found), more, err)
		}
	})
}
