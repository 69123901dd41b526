package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/directory"
)

func TestPictures(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		r, err := directory.OpenPictures(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		pick := func(p directory.Picture) (n int64, err error) {
			err = d.Write(ctx, func(tx *db.Tx) error { n, err = r.Pick(tx, p); return err })
			return n, err
		}
		change := func(do func(tx *db.Tx) error) error { return d.Write(ctx, do) }
		names := func() string {
			all, err := r.Of(ctx, "north")
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, p := range all {
				out = append(out, fmt.Sprint(p.N))
			}
			return strings.Join(out, " ")
		}
		p := directory.Picture{Collection: "north", Instance: 7, Frame: 1, Modality: "MG", View: "mlo", Window: "40,400,linear", By: "ada"}
		for i := range directory.MaxPictures {
			p.Frame = int64(i + 1)
			if n, err := pick(p); err != nil || n != int64(i+1) {
				t.Fatal(n, err)
			}
		}
		if _, err := pick(p); !fault.Is(err, fault.Conflict) {
			t.Errorf("the same again: %v", err)
		}
		p.Frame = 9
		if _, err := pick(p); !fault.Is(err, fault.Invalid) {
			t.Errorf("a ninth: %v", err)
		}
		other := p
		other.Collection = "south"
		if n, err := pick(other); err != nil || n != 1 {
			t.Errorf("another collection: %d, %v", n, err)
		}
		for _, step := range []struct {
			do   func(tx *db.Tx) error
			want string
		}{
			{func(tx *db.Tx) error { return r.Move(tx, "north", 3, -1) }, "1 3 2 4 5 6 7 8"},
			{func(tx *db.Tx) error { return r.Move(tx, "north", 1, -1) }, "1 3 2 4 5 6 7 8"},
			{func(tx *db.Tx) error { return r.Move(tx, "north", 7, 1) }, "1 3 2 4 5 6 8 7"},
			{func(tx *db.Tx) error { return r.Remove(tx, "north", 8) }, "1 3 2 4 5 6 7"},
			{func(tx *db.Tx) error { return r.Remove(tx, "north", 2) }, "1 3 4 5 6 7"},
			{func(tx *db.Tx) error { return r.Describe(tx, "north", 1, "detail") }, "1 3 4 5 6 7"},
		} {
			if err := change(step.do); err != nil || names() != step.want {
				t.Errorf("%s, want %s: %v", names(), step.want, err)
			}
		}
		if n, err := pick(p); err != nil || names() != fmt.Sprintf("1 3 4 5 6 7 %d", n) {
			t.Errorf("%s: %v", names(), err)
		}
		all, err := r.Of(ctx, "north")
		if err != nil || all[0].View != "detail" || all[0].Caption() != "Mammogram, detail" || all[0].By != "ada" || all[0].Window != "40,400,linear" || all[0].At.IsZero() {
			t.Errorf("%+v, %v", all[0], err)
		}
		for what, do := range map[string]func(tx *db.Tx) error{
			"no such one moved":     func(tx *db.Tx) error { return r.Move(tx, "north", 99, 1) },
			"no such one removed":   func(tx *db.Tx) error { return r.Remove(tx, "north", 99) },
			"no such one described": func(tx *db.Tx) error { return r.Describe(tx, "nowhere", 1, "axial") },
		} {
			if err := change(do); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for what, wrong := range map[string]func(p *directory.Picture){
			"words of one's own": func(p *directory.Picture) { p.View = "Mrs Smith's left breast" },
			"no frame":           func(p *directory.Picture) { p.Frame = 0 },
			"a window of words":  func(p *directory.Picture) { p.Window = "40,400,Mrs Smith" },
			"a window of nothing": func(p *directory.Picture) {
				p.Window = "40,NaN,linear"
			},
		} {
			bad := p
			bad.Frame = 12
			bad.Collection = "south"
			wrong(&bad)
			if _, err := pick(bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := change(func(tx *db.Tx) error { return r.Describe(tx, "north", 1, "free words") }); !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
}
