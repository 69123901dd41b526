package person_test

import (
	"context"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	north = person.Organisation{Name: "University of the North", ROR: "https://ror.org/05a28rw58", Kind: "academic", Country: "GB"}
	south = person.Organisation{Name: "South Ltd", Kind: "commercial", Country: "FR"}
)

func each(t *testing.T, test func(t *testing.T, r *person.Record, write func(func(tx *db.Tx) error) error)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := person.OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, r, func(do func(tx *db.Tx) error) error { return d.Write(context.WithoutCancel(t.Context()), do) })
	})
}

func TestPerson(t *testing.T) {
	each(t, func(t *testing.T, r *person.Record, write func(func(tx *db.Tx) error) error) {
		get := func() person.Person {
			t.Helper()
			p, err := r.Get(t.Context(), "person-1")
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		state := func(orcid string, o person.Organisation) error {
			return write(func(tx *db.Tx) error { return r.State(tx, "person-1", orcid, o, noon) })
		}
		if p := get(); p != (person.Person{Account: "person-1"}) {
			t.Errorf("%+v", p)
		}
		for name, o := range map[string]person.Organisation{"no name": {Kind: "academic", Country: "GB"}, "no kind": {Name: "x", Country: "GB"}, "odd kind": {Name: "x", Kind: "shop", Country: "GB"}, "no country": {Name: "x", Kind: "nhs"},
			"odd country": {Name: "x", Kind: "nhs", Country: "England"}, "odd ROR": {Name: "x", Kind: "nhs", Country: "GB", ROR: "https://ror.org/05a28rw59"}, "control": {Name: "x\x00y", Kind: "nhs", Country: "GB"}} {
			if err := state("", o); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := state("0000-0002-1825-0098", north); !fault.Is(err, fault.Invalid) {
			t.Errorf("a wrong check digit is taken: %v", err)
		}
		written := north
		written.Name, written.ROR, written.Country = " University  of the North", "ror.org/05A28RW58", "gb"
		if err := state("https://orcid.org/0000-0002-1694-233x", written); err != nil {
			t.Fatal(err)
		}
		if p := get(); p.ORCID != "0000-0002-1694-233X" || p.ORCIDBy != person.Stated || p.Organisation != north || !p.Confirmed.IsZero() || !p.Changed.Equal(noon) {
			t.Errorf("%+v", p)
		}
		confirm := func(o person.Organisation) error {
			return write(func(tx *db.Tx) error { return r.Confirm(tx, "person-1", o, "person-2", noon) })
		}
		if err := confirm(south); !fault.Is(err, fault.Conflict) {
			t.Errorf("another organisation is confirmed: %v", err)
		}
		if err := write(func(tx *db.Tx) error { return r.Confirm(tx, "person-9", north, "person-2", noon) }); !fault.Is(err, fault.Invalid) {
			t.Errorf("who works nowhere is confirmed: %v", err)
		}
		if err := confirm(north); err != nil {
			t.Fatal(err)
		}
		if p := get(); !p.Confirmed.Equal(noon) || p.ConfirmedBy != "person-2" {
			t.Errorf("%+v", p)
		}
		for at, want := range map[time.Time]int{noon: 0, noon.Add(time.Second): 1} {
			if all, err := r.Due(t.Context(), at); err != nil || len(all) != want {
				t.Errorf("%v: %+v, %v", at, all, err)
			}
		}
		if err := state("0000-0002-1825-0097", north); err != nil || get().Confirmed.IsZero() {
			t.Errorf("another ORCID iD ends the confirmation: %v", err)
		}
		if err := state("", south); err != nil {
			t.Fatal(err)
		}
		if p := get(); !p.Confirmed.IsZero() || p.ConfirmedBy != "" || p.ORCID != "" || p.ORCIDBy != person.Unknown {
			t.Errorf("the confirmation of another organisation stays: %+v", p)
		}
		if all, err := r.Due(t.Context(), noon); err != nil || len(all) != 1 || all[0].Organisation != south {
			t.Errorf("%+v, %v", all, err)
		}

		// What the provider says.
		vouch := func(v person.Vouch) {
			t.Helper()
			if err := write(func(tx *db.Tx) error { return r.Vouched(tx, "person-1", v, noon) }); err != nil {
				t.Fatal(err)
			}
		}
		vouch(person.Vouch{ORCID: "0000-0002-1825-0098"})
		if p := get(); p.ORCID != "" || p.Organisation != south || !p.Confirmed.IsZero() || p.Vouched != person.None {
			t.Errorf("%+v", p)
		}
		vouch(person.Vouch{ORCID: "0000-0002-1825-0097", Organisation: north, Assurance: person.High})
		if p := get(); p.ORCID != "0000-0002-1825-0097" || p.ORCIDBy != person.Provider || p.Organisation != north || !p.Confirmed.Equal(noon) || p.ConfirmedBy != person.ByProvider || p.Vouched != person.High || !p.VouchedAt.Equal(noon) {
			t.Errorf("%+v", p)
		}
		if err := state("0000-0002-1694-233X", north); !fault.Is(err, fault.Invalid) {
			t.Errorf("the provider's ORCID iD is overwritten: %v", err)
		}
		vouch(person.Vouch{})
		if p := get(); p.Vouched != person.None {
			t.Errorf("what it does not say any more stays: %+v", p)
		}
	})
}

func TestTrainingsAndSittings(t *testing.T) {
	each(t, func(t *testing.T, r *person.Record, write func(func(tx *db.Tx) error) error) {
		first := person.Training{Account: "person-1", Name: "Good practice", Completed: noon, Expires: noon.AddDate(1, 0, 0), Evidence: person.BySight, SeenBy: "person-2"}
		for name, bad := range map[string]func(x *person.Training){"no name": func(x *person.Training) { x.Name = " " }, "no time": func(x *person.Training) { x.Expires = x.Completed }, "never": func(x *person.Training) { x.Completed = time.Time{} }} {
			x := first
			bad(&x)
			if err := write(func(tx *db.Tx) error { return r.AddTraining(tx, x) }); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		longer := first
		longer.Name, longer.Expires, longer.Evidence, longer.SeenBy = "The course", noon.AddDate(2, 0, 0), person.ByCourse, ""
		for _, x := range []person.Training{first, first, longer} {
			if err := write(func(tx *db.Tx) error { return r.AddTraining(tx, x) }); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := r.Trainings(t.Context(), "person-1"); err != nil || len(all) != 2 || all[0] != longer || all[1] != first {
			t.Errorf("%+v, %v", all, err)
		}
		if all, err := r.Trainings(t.Context(), "person-2"); err != nil || len(all) != 0 {
			t.Errorf("%+v, %v", all, err)
		}
		if s, err := r.Sitting(t.Context(), "person-1"); err != nil || len(s.Asked) != 0 || !s.Begun.IsZero() {
			t.Errorf("%+v, %v", s, err)
		}
		sit := func(to person.Sitting, fail error) error {
			return write(func(tx *db.Tx) error {
				return r.Sit(tx, "person-1", func(person.Sitting) (person.Sitting, error) { return to, fail })
			})
		}
		if err := sit(person.Sitting{Asked: []int{3, 0, 12}, Begun: noon}, nil); err != nil {
			t.Fatal(err)
		}
		if err := sit(person.Sitting{}, fault.New(fault.Conflict, "x", "", "x")); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if s, err := r.Sitting(t.Context(), "person-1"); err != nil || len(s.Asked) != 3 || s.Asked[2] != 12 || !s.Begun.Equal(noon) || !s.Failed.IsZero() {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
