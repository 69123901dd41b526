package ruling

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

func each(t *testing.T, test func(t *testing.T, d *db.DB, r *Record)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		test(t, d, r)
	})
}

// add makes a decision and says what came of it.
func add(t *testing.T, d *db.DB, r *Record, x Ruling) (Number, error) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
		if x.Number, err = r.Next(tx, x.Collection); err != nil {
			return err
		}
		return r.Add(tx, &x)
	})
	r.Forget(x.Collection)
	return x.Number, err
}

func TestNumbersForceAndEnd(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		inForce := func(c collection.ID, want string) {
			t.Helper()
			list, err := r.InForce(t.Context(), c)
			got := ""
			for _, x := range list {
				got += fmt.Sprintf("%d %s %s;", x.Number, x.Subject, x.Action)
			}
			if err != nil || got != want {
				t.Errorf("in force in %s: %q, %v; want %q", c, got, err, want)
			}
		}
		boxes := []catalogue.FoundBox{{First: 1, Last: 2, Box: [4]int{0, 1, 2, 3}}}
		first := Ruling{Collection: "breast", Subject: Layout, Likeness: "aa", Action: Paint, Boxes: boxes, About: About{Class: "US", Codes: []string{"burned-in-text"}, Rows: 3, Columns: 4}, Note: "n", Actor: "ada"}
		for i, c := range []struct {
			x    Ruling
			want Number
			kind fault.Kind
		}{
			{first, 1, 0},
			{first, 0, fault.Conflict},
			{Ruling{Collection: "lung", Subject: Layout, Likeness: "aa", Action: Refuse}, 1, 0},
			{Ruling{Collection: "breast", Subject: Kind, Likeness: "bb", Action: Refuse}, 2, 0},
			{Ruling{Collection: "breast", Subject: Identifier, Sealed: []byte{1, 2}}, 3, 0},
			{Ruling{Collection: "breast", Subject: Identifier, Sealed: []byte{3}}, 4, 0},
			{Ruling{Collection: "breast", Subject: Identifier}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: Identifier, Sealed: []byte{3}, Action: Accept}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: Kind, Likeness: "cc", Action: Paint, Boxes: boxes}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: Kind, Likeness: "cc", Action: "keep"}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: Kind, Action: Accept}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: "other", Likeness: "cc", Action: Accept}, 0, fault.Invalid},
			{Ruling{Collection: "breast", Subject: Layout, Likeness: "cc", Action: Accept, Boxes: make([]catalogue.FoundBox, maxBoxes+1)}, 0, fault.Invalid},
		} {
			n, err := add(t, d, r, c.x)
			if c.want == 0 && (err == nil || fault.KindOf(err) != c.kind) || c.want > 0 && (err != nil || n != c.want) {
				t.Errorf("%d: %d, %v", i, n, err)
			}
		}
		inForce("breast", "1 layout paint;2 kind refuse;3 identifier ;4 identifier ;")
		inForce("lung", "1 layout refuse;")
		inForce("none", "")
		end := func(n Number) error {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return r.End(tx, "breast", n, "bob", "no more") })
			r.Forget("breast")
			return err
		}
		if err := end(1); err != nil {
			t.Fatal(err)
		}
		for _, n := range []Number{1, 9, 0} {
			if err := end(n); !fault.Is(err, fault.NotFound) {
				t.Errorf("%d is ended: %v", n, err)
			}
		}
		for n, want := range map[Number]bool{1: true, 2: false, 9: false} {
			write := func(tx *db.Tx) error {
				if is, err := r.HasEnded(tx, "breast", n); err != nil || is != want {
					t.Errorf("%d has ended: %v, %v", n, is, err)
				}
				return nil
			}
			if err := d.Write(t.Context(), write); err != nil {
				t.Fatal(err)
			}
		}
		inForce("breast", "2 kind refuse;3 identifier ;4 identifier ;")
		if n, err := add(t, d, r, first); n != 5 || err != nil {
			t.Errorf("made again: %d, %v", n, err)
		}
		x, err := r.Get(t.Context(), "breast", 1)
		if err != nil || x.InForce() || x.EndedBy != "bob" || x.EndNote != "no more" || x.Made.IsZero() || fmt.Sprint(x.Boxes) != fmt.Sprint(boxes) || fmt.Sprint(x.About) != fmt.Sprint(first.About) || x.Note != "n" || x.Actor != "ada" {
			t.Errorf("%+v, %v", x, err)
		}
		if x, err := r.Get(t.Context(), "breast", 3); err != nil || !bytes.Equal(x.Sealed, []byte{1, 2}) || !x.InForce() {
			t.Errorf("%+v, %v", x, err)
		}
		if _, err := r.Get(t.Context(), "lung", 2); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		if list, err := r.List(t.Context(), "breast"); err != nil || len(list) != 5 || list[0].Number != 5 || list[4].Number != 1 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
