package access

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

func write(t testing.TB, d *db.DB, do func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func number(t testing.TB) ID {
	t.Helper()
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func begin(t testing.TB, d *db.DB, r *Record, applicant string, items ...Item) ID {
	t.Helper()
	id := number(t)
	write(t, d, func(tx *db.Tx) error {
		return r.Add(tx, Request{ID: id, Applicant: applicant, Key: [16]byte{7}, Draft: []byte{1}, Created: noon}, items)
	})
	return id
}

// allowed is every move once more, written by hand to be read: from, by what, to. Whatever is not here is refused.
const allowed = `
draft      submitted   submitted
draft      withdrawn   withdrawn
submitted  taken       in_review
submitted  asked_back  clarify
submitted  approved    approved
submitted  rejected    rejected
submitted  withdrawn   withdrawn
in_review  asked_back  clarify
in_review  approved    approved
in_review  rejected    rejected
in_review  withdrawn   withdrawn
clarify    answered    in_review
clarify    rejected    rejected
clarify    withdrawn   withdrawn
expired    rejected    rejected
expired    withdrawn   withdrawn
approved   closed      closed
`

func TestEveryStateAndEvent(t *testing.T) {
	want := map[[2]string]string{}
	for _, l := range strings.Split(strings.TrimSpace(allowed), "\n") {
		f := strings.Fields(l)
		want[[2]string{f[0], f[1]}] = f[2]
	}
	seen := 0
	for _, s := range States() {
		for k := Begun; k <= Vote; k++ {
			i := Item{State: s, Since: noon, Submitted: noon}
			at := noon.Add(time.Hour)
			if s == Expired {
				i.State, at = Clarify, noon.Add(Patience)
			}
			got, err := i.After(Event{Kind: k, At: at})
			to, ok := want[[2]string{s.String(), k.String()}]
			switch {
			case ok && (err != nil || got.State.String() != to):
				t.Errorf("%v, %v: %v, %v; want %v", s, k, got.State, err, to)
			case !ok && !fault.Is(err, fault.Conflict):
				t.Errorf("%v, %v leads to %v: %v", s, k, got.State, err)
			case !ok && got != i:
				t.Errorf("%v, %v: a refused move changes the item", s, k)
			}
			if ok {
				seen++
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d moves were tried", seen, len(want))
	}
	before := Item{State: Clarify, Since: noon}
	if s := before.At(noon.Add(Patience - time.Microsecond)); s != Clarify {
		t.Error("it expires too early: ", s)
	}
	if s := before.At(noon.Add(Patience)); s != Expired {
		t.Error("it does not expire: ", s)
	}
}

// Whatever happens, the items are what the events say, the clocks add up, and a refused event leaves nothing.
func TestItemsAreWhatTheEventsSay(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		rapid.Check(t, func(rt *rapid.T) {
			id := begin(t, d, r, "person-1", Item{Collection: "breast", Versions: "*"}, Item{Collection: "lung", Versions: "*"})
			at, seq := noon, int64(2)
			for range rapid.IntRange(1, 12).Draw(rt, "events") {
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(rt, "later"))).Truncate(time.Microsecond)
				e := Event{Seq: seq, Item: int64(rapid.IntRange(0, 2).Draw(rt, "item")), Kind: Kind(rapid.IntRange(2, 11).Draw(rt, "kind")), Actor: "person-1", At: at, Verdict: datause.Review}
				if e.Item == 0 {
					e.Kind = HandedIn
				}
				if rapid.IntRange(0, 9).Draw(rt, "late") == 0 {
					e.Seq--
				}
				err := d.Write(t.Context(), func(tx *db.Tx) error { return r.Append(tx, id, e) })
				switch {
				case err == nil && e.Seq != seq:
					rt.Fatal("an event took a number that was taken")
				case err == nil:
					seq++
				case !fault.Is(err, fault.Conflict):
					rt.Fatal(err)
				}
			}
			items, err := r.Items(t.Context(), id)
			if err != nil {
				rt.Fatal(err)
			}
			events, err := r.Events(t.Context(), id)
			if err != nil || int64(len(events)) != seq-1 {
				rt.Fatalf("%d events, %v; want %d", len(events), err, seq-1)
			}
			for _, stored := range items {
				i := Item{Request: id, N: stored.N, Collection: stored.Collection, Versions: "*", State: Draft, Since: noon}
				for _, e := range events {
					if e.Item == i.N {
						e.Verdict = datause.Review
						if i, err = i.After(e); err != nil {
							rt.Fatal(err)
						}
					}
				}
				if i != stored {
					rt.Fatalf("stored %+v\nevents %+v", stored, i)
				}
				if c, a := i.Waited(at); !i.Submitted.IsZero() && i.State.Turn() != Nobody && c+a != at.Sub(i.Submitted) {
					rt.Fatalf("waited %v and %v of %v", c, a, at.Sub(i.Submitted))
				}
			}
		})
	})
}

func TestListsAndCounts(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		a := begin(t, d, r, "person-1", Item{Collection: "breast", Versions: "*"})
		b := begin(t, d, r, "person-2", Item{Collection: "breast", Versions: "1.x", Dataset: "screening"}, Item{Collection: "lung", Versions: "*"})
		count := func(w Wards, but string, want int64) {
			t.Helper()
			if n, err := r.CountWaiting(ctx, w, but); err != nil || n != want {
				t.Errorf("%+v: %d, %v; want %d", w, n, err, want)
			}
		}
		count(Wards{Every: true}, "", 0) // drafts wait for nobody
		if all, err := r.In(ctx, Wards{Every: true}, 10, 0); err != nil || len(all) != 0 {
			t.Errorf("others see drafts: %v, %v", all, err)
		}
		write(t, d, func(tx *db.Tx) error {
			return r.Append(tx, b, Event{Seq: 2, Kind: HandedIn, At: noon, Body: []byte{4}}, Event{Seq: 3, Item: 1, Kind: Submit, At: noon, Verdict: datause.Permit}, Event{Seq: 4, Item: 2, Kind: Submit, At: noon, Verdict: datause.Deny})
		})
		count(Wards{Every: true}, "", 2)
		count(Wards{Every: true}, "person-2", 0)
		count(Wards{Some: []string{"lung"}}, "", 1)
		count(Wards{}, "", 0)
		if all, err := r.In(ctx, Wards{Some: []string{"lung"}}, 10, 0); err != nil || len(all) != 1 || all[0].Verdict != datause.Deny || !all[0].Matched || all[0].Request != b {
			t.Errorf("%+v, %v", all, err)
		}
		write(t, d, func(tx *db.Tx) error {
			return r.Append(tx, b, Event{Seq: 5, Item: 1, Kind: AskBack, At: noon.Add(time.Hour)})
		})
		for _, c := range []struct {
			who  string
			at   time.Time
			want int64
		}{{"person-2", noon.Add(2 * time.Hour), 1}, {"person-1", noon.Add(2 * time.Hour), 0}, {"", noon, 0}, {"person-2", noon.Add(time.Hour + Patience), 0}} {
			if n, err := r.CountAsked(ctx, c.who, c.at); err != nil || n != c.want {
				t.Errorf("%+v: %d, %v", c, n, err)
			}
		}
		if all, err := r.Of(ctx, "person-2", 10, 0); err != nil || len(all) != 1 || all[0].ID != b || !all[0].Changed.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v, %v", all, err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.Discard(tx, b) }); !fault.Is(err, fault.Conflict) {
			t.Errorf("what was handed in is discarded: %v", err)
		}
		write(t, d, func(tx *db.Tx) error { return r.Discard(tx, a) })
		if _, err := r.Get(ctx, a); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestVersions(t *testing.T) {
	for s, ok := range map[string]bool{"": true, "*": true, "1.x": true, "1.2.x": true, "1.2.0": true, "x": false, "1": false, "1.2": false, "x.1.2": false, "1.x.2": false, "01.2.3": false, "1.2.3.4": false, "1..2": false, "-1.2.3": false} {
		if _, err := ParseVersions(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func agreement(t testing.TB, d *db.DB, r *Record, request ID, from, until time.Time) ID {
	t.Helper()
	id := number(t)
	write(t, d, func(tx *db.Tx) error {
		return r.AddAgreement(tx, Agreement{ID: id, Request: request, Collection: "breast", Scope: ForProject, Terms: []byte{1}, Effective: from, Expires: until, Size: 3, UploadedBy: "person-1", Uploaded: noon}, []byte{9})
	})
	return id
}

// What the database answers about a moment is what the entitlement itself says of it; and none is there without approval and an executed agreement that covers its time.
func TestEffective(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		day := 24 * time.Hour
		rapid.Check(t, func(rt *rapid.T) {
			who := "person-" + number(t).String()
			q := begin(t, d, r, who, Item{Collection: "breast", Versions: "*"})
			approve := rapid.IntRange(0, 3).Draw(rt, "approved") > 0
			events := []Event{{Seq: 2, Item: 1, Kind: Submit, At: noon}}
			if approve {
				events = append(events, Event{Seq: 3, Item: 1, Kind: Approve, At: noon})
			}
			write(t, d, func(tx *db.Tx) error { return r.Append(tx, q, events...) })
			moment := func(name string) time.Time {
				return noon.Add(time.Duration(rapid.IntRange(-3, 8).Draw(rt, name)) * day)
			}
			from, until := moment("effective"), moment("expires")
			a := agreement(t, d, r, q, from, until)
			execute := rapid.IntRange(0, 3).Draw(rt, "executed") > 0
			if execute {
				write(t, d, func(tx *db.Tx) error { return r.MoveAgreement(tx, a, Executed, "person-9", noon, []byte{2}) })
			}
			e := Entitlement{ID: number(t), Account: who, Collection: "breast", Versions: "*", Capability: View, Request: q, Item: 1, Agreement: a, NotBefore: moment("nbf"), Expires: moment("exp")}
			err := d.Write(ctx, func(tx *db.Tx) error { return r.Grant(tx, e, "person-9", noon) })
			may := approve && execute && noon.Before(until) && !e.NotBefore.Before(from) && !e.Expires.After(until) && e.NotBefore.Before(e.Expires)
			if (err == nil) != may || err != nil && !fault.Is(err, fault.Conflict) {
				rt.Fatalf("granted %v, may %v: %v", err == nil, may, err)
			}
			if err == nil {
				for n, k := range rapid.SliceOfN(rapid.SampledFrom([]Change{Suspend, Resume, Revoke}), 0, 3).Draw(rt, "changes") {
					if d.Write(ctx, func(tx *db.Tx) error {
						return r.Alter(tx, e.ID, History{Seq: int64(n + 2), Kind: k, Actor: "person-9", At: noon})
					}) != nil {
						break
					}
				}
				if rapid.IntRange(0, 4).Draw(rt, "terminate") == 0 {
					write(t, d, func(tx *db.Tx) error {
						return r.MoveAgreement(tx, a, AgreementTerminated, "person-9", noon, []byte{2})
					})
				}
			}
			for _, base := range []time.Time{noon, e.NotBefore, e.Expires, from, until} {
				for _, now := range []time.Time{base.Add(-time.Microsecond), base, base.Add(time.Second)} {
					got, err := r.Effective(ctx, who, "breast", now)
					if err != nil {
						rt.Fatal(err)
					}
					want := false
					if may {
						stored, err := r.Entitlement(ctx, e.ID)
						if err != nil {
							rt.Fatal(err)
						}
						want = stored.At(now) == "active"
						if want && (now.Before(e.NotBefore) || !now.Before(e.Expires)) {
							rt.Fatal("active outside its period")
						}
					}
					if (len(got) == 1) != want {
						rt.Fatalf("at %v: %d, want %v", now, len(got), want)
					}
				}
			}
		})
	})
}

func TestAgreementMoves(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		all := []AgreementState{AgreementDraft, AwaitingSign, Executed, AgreementExpired, AgreementTerminated}
		ok := map[[2]AgreementState]bool{{AwaitingSign, Executed}: true, {AwaitingSign, AgreementDraft}: true, {AwaitingSign, AgreementTerminated}: true, {Executed, AgreementTerminated}: true}
		q := begin(t, d, r, "person-1", Item{Collection: "breast", Versions: "*"})
		for _, from := range all {
			for _, to := range all {
				until := noon.Add(time.Hour)
				id := agreement(t, d, r, q, noon, until)
				at := noon
				switch from {
				case AwaitingSign:
				case AgreementExpired:
					write(t, d, func(tx *db.Tx) error { return r.MoveAgreement(tx, id, Executed, "c", noon, []byte{1}) })
					at = until
				default:
					write(t, d, func(tx *db.Tx) error { return r.MoveAgreement(tx, id, from, "c", noon, []byte{1}) })
				}
				err := d.Write(t.Context(), func(tx *db.Tx) error { return r.MoveAgreement(tx, id, to, "c", at, []byte{2}) })
				if (err == nil) != ok[[2]AgreementState{from, to}] || err != nil && !fault.Is(err, fault.Conflict) {
					t.Errorf("%v to %v: %v", from, to, err)
				}
			}
		}
		n, err := r.AwaitingIn(t.Context(), Wards{Some: []string{"breast"}})
		if list, e := r.AgreementsIn(t.Context(), Wards{Every: true}, 100, 0); err != nil || e != nil || n == 0 || len(list) != len(all)*len(all) || list[0].State != AwaitingSign {
			t.Errorf("%d wait of %d: %v, %v", n, len(list), err, e)
		}
	})
}

func TestMeasure(t *testing.T) {
	one := func(custodian, applicant int) Item {
		day := 24 * time.Hour
		return Item{Submitted: noon, Decided: noon.Add(time.Duration(custodian+applicant) * day), CustodianTime: time.Duration(custodian) * day, ApplicantTime: time.Duration(applicant) * day}
	}
	few := []Item{one(1, 0), one(2, 0), one(3, 0), one(4, 0)}
	if l := Measure(few); l.Enough || l.N != 4 || l.Median != 0 || l.P90 != 0 {
		t.Errorf("of four: %+v", l)
	}
	// 10, 12, 14, 16, 18, 20, 22, 24, 26, 60 days, of which the applicant had 2 each, and 40 of the last.
	var all []Item
	for n := range 9 {
		all = append(all, one(8+2*n, 2))
	}
	all = append(all, one(20, 40))
	if l := Measure(all); l.N != 10 || l.Median != 19 || l.P90 != 26 || l.Custodian != 17 || l.Applicant != 2 {
		t.Errorf("%+v", l)
	}
	if l := Measure(append(few, one(5, 0))); !l.Enough || l.Median != 3 || l.P90 != 5 {
		t.Errorf("of five: %+v", l)
	}
}

func TestRemindedOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		remind := func(want bool) {
			t.Helper()
			write(t, d, func(tx *db.Tx) error {
				told, err := r.Remind(tx, "person-1", "entitlement 5 30", noon)
				if err == nil && told != want {
					t.Errorf("told %v", told)
				}
				return err
			})
		}
		remind(false)
		write(t, d, func(tx *db.Tx) error { return r.PutReminder(tx, "person-1", []byte{1}, noon) })
		remind(true)
		remind(false)
		if n, err := r.Reminder(t.Context(), "person-1"); err != nil || n.Mail != "queued" || !n.Mailed.Equal(noon) {
			t.Errorf("%+v, %v", n, err)
		}
		write(t, d, func(tx *db.Tx) error { return r.RemoveReminder(tx, "person-1") })
		if _, err := r.Reminder(t.Context(), "person-1"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
