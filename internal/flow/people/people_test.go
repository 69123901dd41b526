package people

import (
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
)

type world struct {
	*Desk
	t  *testing.T
	at time.Time
	by map[string]admin.Caller
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		w := &world{t: t, at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC), by: map[string]admin.Caller{}}
		p := Parts{DB: d, Now: func() time.Time { return w.at }}
		var err error
		if p.Audit, err = audit.Open(ctx, d); err != nil {
			t.Fatal(err)
		}
		if p.Identity, err = identity.OpenRecord(ctx, d); err != nil {
			t.Fatal(err)
		}
		if p.Persons, err = person.OpenRecord(ctx, d); err != nil {
			t.Fatal(err)
		}
		w.Desk = New(p)
		for name, grants := range map[string][]policy.Grant{"ann": nil, "custodian": {{Role: policy.Custodian, Collection: "breast"}}, "steward": {{Role: policy.Steward, Collection: "lung"}}, "admin": {{Role: policy.Admin, Collection: policy.AllCollections}},
			"researcher": {{Role: policy.Researcher, Collection: policy.AllCollections}}} {
			err := d.Write(ctx, func(tx *db.Tx) error {
				a, err := p.Identity.CreateAccount(tx, identity.Account{Name: name, Grants: grants})
				w.by[name] = admin.Caller{Actor: a.ID, Grants: grants}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		w.by["operator"], w.by["nobody"], w.by["token"] = admin.Operator("root"), admin.Caller{}, admin.Caller{Actor: "token-1", Grants: []policy.Grant{{Role: policy.Researcher, Collection: "breast"}}}
		test(t, w)
	}, db.Durable)
}

var north = Stated{ORCID: "0000-0002-1825-0097", Organisation: "University of the North", ROR: "https://ror.org/05a28rw58", Kind: "academic", Country: "GB"}

func (w *world) known(name string) judge.Person {
	w.t.Helper()
	k, err := w.Known(w.t.Context(), w.by[name].Actor)
	if err != nil {
		w.t.Fatal(err)
	}
	return k.Person
}

// Others confirm where somebody works, for a year; nobody themselves.
func TestAffiliation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for _, name := range []string{"token", "nobody", "operator"} {
			if _, err := w.State(ctx, w.by[name], north); !fault.Is(err, fault.Denied) {
				t.Errorf("%s has an account: %v", name, err)
			}
		}
		ann := w.by["ann"].Actor
		v, err := w.Own(ctx, w.by["ann"])
		if err != nil || v.Assurance != "low" || len(v.Missing) != 3 {
			t.Fatalf("%+v, %v", v, err)
		}
		if v, err = w.State(ctx, w.by["ann"], north); err != nil || v.ORCIDBy != "stated" || v.Confirmed != nil || v.Stated != north {
			t.Fatalf("%+v, %v", v, err)
		}
		if k := w.known("ann"); !k.Affiliated.IsZero() || k.Kind != datause.NonProfit || len(k.Countries) != 1 || k.Countries[0] != "GB" {
			t.Errorf("%+v", k)
		}
		seen := Seen{Organisation: "university of the North"}
		for _, name := range []string{"ann", "researcher", "token", "nobody"} {
			if _, err := w.Confirm(ctx, w.by[name], ann, seen); !fault.Is(err, fault.Denied) {
				t.Errorf("%s confirms: %v", name, err)
			}
			if _, err := w.Due(ctx, w.by[name]); !fault.Is(err, fault.Denied) {
				t.Errorf("%s sees who is due: %v", name, err)
			}
			if _, err := w.Person(ctx, w.by[name], w.by["steward"].Actor); !fault.Is(err, fault.Denied) {
				t.Errorf("%s sees another: %v", name, err)
			}
		}
		if all, err := w.Due(ctx, w.by["steward"]); err != nil || len(all) != 1 || all[0].ID != ann {
			t.Errorf("%+v, %v", all, err)
		}
		if _, err := w.Confirm(ctx, w.by["custodian"], ann, Seen{Organisation: "University of the South"}); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if _, err := w.Confirm(ctx, w.by["custodian"], "person-0000000000000000", seen); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		for _, name := range []string{"custodian", "steward", "admin", "operator"} {
			if v, err = w.Confirm(ctx, w.by[name], ann, seen); err != nil || v.Confirmed == nil || !v.Confirmed.Equal(w.at) || v.ConfirmedBy == "" {
				t.Errorf("%s: %+v, %v", name, v, err)
			}
		}
		confirmed := w.at
		if k := w.known("ann"); !k.Affiliated.Equal(confirmed) {
			t.Errorf("%+v", k)
		}
		for at, want := range map[time.Time]int{confirmed: 0, confirmed.AddDate(1, 0, 0).Add(-soon): 0, confirmed.AddDate(1, 0, 0).Add(-soon + time.Hour): 1, confirmed.AddDate(2, 0, 0): 1} {
			w.at = at
			if all, err := w.Due(ctx, w.by["admin"]); err != nil || len(all) != want {
				t.Errorf("%v: %+v, %v", at, all, err)
			}
		}
		w.at = confirmed
		moved := north
		moved.Organisation, moved.ROR, moved.Kind = "South Ltd", "", "commercial"
		if v, err = w.State(ctx, w.by["ann"], moved); err != nil || v.Confirmed != nil {
			t.Errorf("%+v, %v", v, err)
		}
		if k := w.known("ann"); !k.Affiliated.IsZero() || k.Kind != datause.ForProfit {
			t.Errorf("%+v", k)
		}
		if _, err := w.State(ctx, w.by["custodian"], north); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Confirm(ctx, w.by["custodian"], w.by["custodian"].Actor, seen); !fault.Is(err, fault.Denied) {
			t.Errorf("a custodian confirms themselves: %v", err)
		}
		if err := w.DB.Write(ctx, func(tx *db.Tx) error { return w.Identity.SetDisabled(tx, ann, true) }); err != nil {
			t.Fatal(err)
		}
		if all, err := w.Due(ctx, w.by["admin"]); err != nil || len(all) != 1 || all[0].Name != "custodian" {
			t.Errorf("who is shut out is due: %+v, %v", all, err)
		}
		entries, err := w.Audit.Entries(ctx, audit.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if s := e.Action + e.Object; strings.Contains(s, "North") || strings.Contains(s, "0000-0002") {
				t.Errorf("the log says what was written: %s", s)
			}
		}
	})
}

// How sure it is who somebody is follows from how they can prove it, and from what their institution said not too long ago.
func TestAssurance(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann := w.by["ann"].Actor
		write := func(do func(tx *db.Tx) error) {
			t.Helper()
			if err := w.DB.Write(t.Context(), do); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(step string, want judge.Assurance) {
			t.Helper()
			if k := w.known("ann"); k.Assurance != want {
				t.Errorf("%s: %s, want %s", step, k.Assurance, want)
			}
		}
		expect("a link", judge.Low)
		write(func(tx *db.Tx) error { return w.Persons.Vouched(tx, ann, person.Vouch{}, w.at) })
		expect("a provider that says nothing", judge.Low)
		write(func(tx *db.Tx) error {
			return w.Identity.AddPasskey(tx, identity.Passkey{ID: []byte("k"), Account: ann, Name: "k", Credential: "{}"})
		})
		expect("a passkey", judge.Medium)
		write(func(tx *db.Tx) error {
			return w.Persons.Vouched(tx, ann, person.Vouch{Assurance: person.High}, w.at)
		})
		expect("an institution that has seen a passport", judge.High)
		at := w.at
		w.at = at.AddDate(1, 0, 0)
		expect("a year ago", judge.Medium)
		w.at = at
		write(func(tx *db.Tx) error { return w.Identity.RemovePasskey(tx, ann, []byte("k")) })
		write(func(tx *db.Tx) error {
			return w.Persons.Vouched(tx, ann, person.Vouch{Assurance: person.Medium}, w.at)
		})
		expect("medium", judge.Medium)
		write(func(tx *db.Tx) error { return w.Persons.Vouched(tx, ann, person.Vouch{}, w.at) })
		expect("taken back", judge.Low)
	})
}

// sit answers an examination with some right answers.
func (w *world) sit(name string, right int) Result {
	w.t.Helper()
	e, err := w.BeginExam(w.t.Context(), w.by[name])
	if err != nil || len(e.Questions) != examined {
		w.t.Fatalf("%+v, %v", e, err)
	}
	answers := map[int]string{}
	for i, q := range e.Questions {
		of := pool[q.Number]
		answers[q.Number] = of.Answers[of.right]
		if i >= right {
			answers[q.Number] = of.Answers[(of.right+1)%len(of.Answers)]
		}
	}
	r, err := w.FinishExam(w.t.Context(), w.by[name], answers)
	if err != nil || r.Right != right {
		w.t.Fatalf("%+v, %v", r, err)
	}
	return r
}

func TestExamination(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		for _, name := range []string{"token", "nobody", "operator"} {
			if _, err := w.BeginExam(ctx, w.by[name]); !fault.Is(err, fault.Denied) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.FinishExam(ctx, w.by["ann"], nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("nothing was asked: %v", err)
		}
		if r := w.sit("ann", enough-1); r.Passed || r.Again == nil || !w.known("ann").Trained.IsZero() {
			t.Errorf("%+v", r)
		}
		if _, err := w.BeginExam(ctx, w.by["ann"]); !fault.Is(err, fault.Conflict) {
			t.Errorf("at once again: %v", err)
		}
		w.at = w.at.Add(pause)
		first, err := w.BeginExam(ctx, w.by["ann"])
		if err != nil {
			t.Fatal(err)
		}
		again, err := w.Exam(ctx, w.by["ann"])
		if err != nil || len(again.Questions) != examined {
			t.Fatal(err)
		}
		for i, q := range first.Questions { // the same questions, their answers in the same order
			if o := again.Questions[i]; o.Number != q.Number || strings.Join(o.Answers, "|") != strings.Join(q.Answers, "|") {
				t.Errorf("%+v, before %+v", o, q)
			}
		}
		w.at = w.at.Add(answerTime)
		if _, err := w.FinishExam(ctx, w.by["ann"], nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("too late: %v", err)
		}
		r := w.sit("ann", enough)
		want := w.at.AddDate(1, 0, 0)
		if !r.Passed || r.Expires == nil || !r.Expires.Equal(want) || !w.known("ann").Trained.Equal(want) {
			t.Errorf("%+v", r)
		}
		if _, err := w.FinishExam(ctx, w.by["ann"], nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		if !w.known("steward").Trained.IsZero() {
			t.Error("another is trained")
		}
	})
}

// A training elsewhere counts when somebody has seen its certificate.
func TestTrainingElsewhere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ann := w.by["ann"].Actor
		for name, s := range map[string]Seen{"nothing": {}, "no day": {Training: "GCP"}, "tomorrow": {Training: "GCP", Completed: "2026-03-03"}, "backwards": {Training: "GCP", Completed: "2026-03-01", Expires: "2026-02-01"},
			"for ever": {Training: "GCP", Completed: "2026-03-01", Expires: "2036-03-01"}} {
			if _, err := w.Confirm(t.Context(), w.by["steward"], ann, s); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		v, err := w.Confirm(t.Context(), w.by["steward"], ann, Seen{Training: "GCP", Completed: "2026-03-01", Expires: "2027-02-28"})
		if err != nil || len(v.Trainings) != 1 || v.Trainings[0].SeenBy != "steward" || !v.Trainings[0].Current {
			t.Fatalf("%+v, %v", v, err)
		}
		if got := w.known("ann").Trained; !got.Equal(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)) {
			t.Error(got)
		}
	})
}
