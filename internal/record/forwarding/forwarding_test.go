package forwarding

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

func TestForwarding(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		write := func(fn func(tx *db.Tx) error) error { return d.Write(t.Context(), fn) }
		must := func(fn func(tx *db.Tx) error) {
			t.Helper()
			if err := write(fn); err != nil {
				t.Fatal(err)
			}
		}
		a, b := Key{"PACS", "breast"}, Key{"A/B", "breast"}
		must(func(tx *db.Tx) error {
			_, err := r.Add(tx, a, policy.Released)
			if err == nil {
				_, err = r.Add(tx, b, policy.Admitted)
			}
			return err
		})
		if err := write(func(tx *db.Tx) error { _, err := r.Add(tx, a, policy.Admitted); return err }); !fault.Is(err, fault.Conflict) {
			t.Errorf("twice: %v", err)
		}
		if err := write(func(tx *db.Tx) error { _, err := r.Add(tx, Key{"X", "y"}, policy.Held); return err }); !fault.Is(err, fault.Invalid) {
			t.Errorf("what is held: %v", err)
		}
		if k, err := ParseKey(b.String()); err != nil || k != b {
			t.Errorf("%v %v", k, err)
		}
		note := func(c string, study catalogue.StudyUID, s policy.State) (n int) {
			t.Helper()
			must(func(tx *db.Tx) error {
				keys, err := r.Note(tx, a.Collection, study, s)
				n = len(keys)
				return err
			})
			return n
		}
		if n := note("breast", "1.2", policy.Admitted); n != 1 {
			t.Errorf("admitted: %d rules", n)
		}
		if n := note("breast", "1.2", policy.Released); n != 2 {
			t.Errorf("released: %d rules", n)
		}
		next, err := r.Next(t.Context(), b, "", 10)
		if err != nil || len(next) != 1 || next[0] != (Wanted{"1.2", 2}) {
			t.Fatalf("%v %v", next, err)
		}
		ids := []catalogue.InstanceID{1, 2, 3}
		must(func(tx *db.Tx) error { return r.Deliver(tx, b, ids[:2]) })
		must(func(tx *db.Tx) error { return r.Deliver(tx, b, ids[:2]) })
		if done, err := r.Delivered(t.Context(), b, ids); err != nil || len(done) != 2 || done[3] {
			t.Errorf("%v %v", done, err)
		}
		// More came meanwhile: it stays noted.
		note("breast", "1.2", policy.Released)
		must(func(tx *db.Tx) error { return r.Settle(tx, b, next[0], 0) })
		must(func(tx *db.Tx) error { return r.Tried(tx, b, "peer-does-not-answer") })
		rule, err := r.Rule(t.Context(), b)
		if err != nil || rule.Waiting != 1 || rule.Sent != 2 || rule.Failures != 1 || rule.Reason == "" || rule.Tried.IsZero() {
			t.Errorf("%+v %v", rule, err)
		}
		must(func(tx *db.Tx) error { return r.Settle(tx, b, Wanted{"1.2", 3}, 0) })
		must(func(tx *db.Tx) error { return r.Tried(tx, b, "") })
		if rule, err := r.Rule(t.Context(), b); err != nil || rule.Waiting != 0 || rule.Failures != 0 {
			t.Errorf("%+v %v", rule, err)
		}
		must(func(tx *db.Tx) error { return r.Remove(tx, b) })
		if all, err := r.Rules(t.Context()); err != nil || len(all) != 1 || all[0].Key != a || all[0].Waiting != 1 {
			t.Errorf("%+v %v", all, err)
		}
		// Of a rule that has gone nothing is delivered.
		must(func(tx *db.Tx) error { return r.Deliver(tx, b, ids) })
		if done, err := r.Delivered(t.Context(), b, ids); err != nil || len(done) != 0 {
			t.Errorf("%v %v", done, err)
		}
	})
}
