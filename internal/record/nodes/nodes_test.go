package nodes

import (
	"slices"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func open(t *testing.T, d *db.DB) *Record {
	t.Helper()
	r, err := OpenRecord(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhoMayEnter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, ctx := open(t, d), t.Context()
		for _, x := range []struct {
			id    ID
			place string
			want  fault.Kind
		}{
			{"a", "", 0},              // alone
			{"a", "", 0},              // again, after it was killed
			{"b", "", fault.Invalid},  // beside it, and nothing is shared
			{"b", "s", fault.Invalid}, // or by one of them alone
			{"a", "s", 0},
			{"b", "s", 0},
			{"c", "t", fault.Invalid},
			{"c", "", fault.Invalid},
			{"a", "t", fault.Invalid},
		} {
			if err := r.Enter(ctx, x.id, x.place); (err == nil) != (x.want == 0) || err != nil && fault.KindOf(err) != x.want {
				t.Errorf("%s with %q: %v", x.id, x.place, err)
			}
		}
		// Who has ended, or was not seen for long, keeps nobody out.
		if err := r.Leave(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE node SET seen = ? WHERE id = 'b'`, db.Micros(time.Now().Add(-Gone-time.Second)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.Enter(ctx, "c", ""); err != nil {
			t.Error(err)
		}
	})
}

func TestClaims(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, ctx := open(t, d), t.Context()
		for i, x := range []struct {
			id   ID
			long time.Duration
			want bool
		}{{"a", time.Minute, true}, {"b", time.Minute, false}, {"a", -time.Second, true}, {"b", time.Minute, true}, {"a", time.Minute, false}} {
			if mine, err := r.Claim(ctx, x.id, "work", x.long); err != nil || mine != x.want {
				t.Errorf("%d: %s: %v %v", i, x.id, mine, err)
			}
		}
		if err := r.Leave(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		if mine, err := r.Claim(ctx, "a", "work", -time.Second); err != nil || !mine {
			t.Error("what a node claimed that has left is not free", err)
		}
		if err := r.Seen(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		var n int64
		if err := d.QueryRow(ctx, `SELECT COUNT(*) FROM node_claim`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d claims that have run out are there still, %v", n, err)
		}
	})
}

func TestWantedPacks(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, ctx := open(t, d), t.Context()
		one, two := Pack{1}, Pack{2}
		for _, p := range []Pack{one, two, one} {
			if err := r.Want(ctx, p); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Met(ctx, two); err != nil {
			t.Fatal(err)
		}
		if all, err := r.Wanted(ctx); err != nil || !slices.Equal(all, []Pack{one}) {
			t.Error(all, err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE node_wanted SET asked = ?`, db.Micros(time.Now().Add(-2*forgotten)))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := r.Seen(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if all, err := r.Wanted(ctx); err != nil || len(all) > 0 {
			t.Error(all, err)
		}
	})
}
