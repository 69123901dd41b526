package proof

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

func TestSums(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		add := func(all ...Object) error {
			return d.Write(t.Context(), func(tx *db.Tx) error { return r.Add(tx, all...) })
		}
		const done = `{"n":1,"kept":3,"e":"0010:0010dt"}`
		one := Object{Deposit: 7, Collection: "breast", Subject: 1, Way: Arrived, Kind: "1.2.840.10008.5.1.4.1.1.2", Judged: "research 2", Bytes: 100, Done: done, Searched: 50, Readable: true, Frames: 1}
		two := one
		two.Subject, two.Codes, two.Held, two.Done, two.Searched = 2, []string{"gate", "gate", "face"}, true, "", 0
		three := one
		three.Way, three.Painted, three.Boxes, three.Area, three.Reader, three.Readable = ByNode, true, 2, 40, "burnin 1", false
		three.At = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
		four := three
		four.At = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
		elsewhere := one
		elsewhere.Deposit, elsewhere.Collection = 8, "lung"
		for _, err := range []error{add(), add(one, one), add(two, elsewhere), add(three), add(four)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.OfDeposit(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := deid.DecodeDone(done)
		twice := func() *deid.Done { x := &deid.Done{}; x.Add(name, 2); return x }
		want := []*Work{
			{Deposit: 7, Way: Arrived, Kind: one.Kind, Judged: one.Judged, Objects: 3, Bytes: 300, Cleaned: 2, Held: 1, Searched: 100, Readable: 3, Frames: 3,
				Reasons: map[string]int64{"gate": 1, "face": 1}, Done: twice()},
			{Deposit: 7, Way: ByNode, Kind: one.Kind, Judged: one.Judged, Reader: "burnin 1", Objects: 2, Bytes: 200, Cleaned: 2, Searched: 100, Frames: 2, Painted: 2, Boxes: 4, Area: 80,
				First: four.At, Last: three.At, Reasons: map[string]int64{}, Done: twice()},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if n, err := r.Subjects(t.Context(), 7); err != nil || n != 2 {
			t.Error(n, err)
		}
		sums, err := r.OfCollection(t.Context(), "breast")
		if err != nil || len(sums) != 2 || sums[0].Objects != 3 || sums[1].Area != 80 || sums[0].Held != 1 {
			t.Error(sums, err)
		}
		bad := one
		bad.Done = `{"e":"?"}`
		if err := add(bad); !fault.Is(err, fault.Corrupt) {
			t.Error(err)
		}
	})
}
