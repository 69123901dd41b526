package catalogue

import (
	"fmt"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// A person is counted once, whatever the number of studies, and by what is admitted or released alone.
func TestEachPerson(t *testing.T) {
	each(t, func(f *fixture) {
		id := f.deposit("breast")
		of := func(e Entry, who subject.ID, modality, age string) Entry {
			e.Subject, e.SeriesAttributes.Modality = who, modality
			if age != "" {
				e.StudyAttributes.JSON = `{"00101010":{"vr":"AS","Value":["` + age + `"]},"00101020":{"vr":"DS","Value":[1.7]}}`
			}
			return e
		}
		f.add(of(f.entry(id, 1, 1, 1, "a"), 7, "MG", "057Y"), of(f.entry(id, 1, 1, 2, "b"), 7, "MG", "057Y"), of(f.entry(id, 1, 2, 1, "c"), 7, "US", ""),
			of(f.entry(id, 2, 1, 1, "d"), 7, "MR", ""), of(f.entry(id, 3, 1, 1, "e"), 9, "CT", "001M"), heldEntry(of(f.entry(id, 4, 1, 1, "f"), 11, "CT", "")),
			of(f.entry(id, 6, 1, 1, "h"), 15, "CT", ""))
		f.admitAll()
		f.write(func(tx *db.Tx) error { _, err := f.r.Release(tx, "breast", "1.2.1", "token-1"); return err })
		f.write(func(tx *db.Tx) error { _, err := f.r.Withdraw(tx, "breast", 15); return err })
		f.add(of(f.entry(id, 5, 1, 1, "g"), 13, "CT", "")) // only received
		got := ""
		err := f.r.EachPerson(t.Context(), "breast", func(p *Person) error {
			got += fmt.Sprintf("%d %s", p.Subject, p.Sex)
			for _, s := range p.Studies {
				got += fmt.Sprintf(" [%s %s %v %d %v]", s.Date, s.Age, s.Modalities, s.Instances, s.Released)
			}
			got += "\n"
			return nil
		})
		want := "7 F [20200101 057Y [MG US] 3 true] [20200102  [MR] 1 false]\n9 F [20200103 001M [CT] 1 false]\n"
		if err != nil || got != want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, want)
		}
		if err := f.r.EachPerson(t.Context(), "lung", func(*Person) error { t.Error("somebody of another collection"); return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestAgeIn(t *testing.T) {
	for text, age := range map[string]string{"": "", `{"00101010":{"vr":"AS"},"00101020":{"vr":"DS","Value":["057Y"]}}`: "", `{"00101010":{"vr":"AS","Value":["057Y"]}}`: "057Y",
		`{"00101010":{"vr":"AS","Value":["57"]}}`: "", `{"00101010":`: ""} {
		if got := ageIn(text); got != age {
			t.Errorf("%s: %q", text, got)
		}
	}
}
