package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
)

func TestSearch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l := open(t, d)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range 25 {
				e := Entry{Actor: fmt.Sprintf("token %d", i%2), Action: "deposit", Object: fmt.Sprintf("deposit %d", i), Collection: "breast", Outcome: "done"}
				if i%5 == 0 {
					e.Action, e.Collection, e.Outcome = "verify", "", "denied"
				}
				if err := l.Append(tx, e); err != nil {
					return err
				}
				if _, err := tx.Exec(`UPDATE audit SET at = ? WHERE seq = ?`, db.Micros(time.Unix(int64(1000+i), 0)), int64(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			s       Search
			want    string
			reached int64
			more    bool
		}{
			{Search{Limit: 3}, "[24 23 22]", 22, true},
			{Search{Limit: 3, Before: 2}, "[1 0]", 0, false},
			{Search{Limit: 3, Before: 22}, "[21 20 19]", 19, true},
			{Search{Limit: 3, After: 22}, "[24 23 22]", 25, false},
			{Search{Limit: 3, After: 10}, "[12 11 10]", 13, true},
			{Search{Action: "verify"}, "[20 15 10 5 0]", 0, false},
			{Search{Action: "verify", Limit: 2}, "[20 15]", 15, true},
			{Search{Action: "verify", Limit: 2, After: 6}, "[15 10]", 16, true},
			{Search{Outcome: "denied", Actor: "token 1"}, "[15 5]", 0, false},
			{Search{Node: true, Limit: 1}, "[20]", 20, true},
			{Search{Collection: "breast", Object: "deposit 7"}, "[7]", 0, false},
			{Search{Collection: "lung"}, "[]", 0, false},
			{Search{Since: time.Unix(1020, 0), Until: time.Unix(1022, 0)}, "[21 20]", 20, false},
			{Search{Since: time.Unix(9999, 0)}, "[]", 25, false},
			{Search{Until: time.Unix(1, 0)}, "[]", 0, false},
			{Search{Action: "verify' OR '1'='1"}, "[]", 0, false},
		} {
			f, err := l.Search(t.Context(), c.s)
			got := []int64{}
			for _, e := range f.Entries {
				got = append(got, e.Seq)
			}
			if err != nil || fmt.Sprint(got) != c.want || f.Reached != c.reached || f.More != c.more {
				t.Errorf("%+v: %v reached %d more %v, %v; want %s", c.s, got, f.Reached, f.More, err, c.want)
			}
		}
		if a, err := l.Actions(t.Context(), 3); err != nil || fmt.Sprint(a) != "[deposit]" {
			t.Error(a, err)
		}
		if e, ok, err := l.Latest(t.Context(), "verify", 100); err != nil || !ok || e.Seq != 20 {
			t.Error(e, ok, err)
		}
		if _, ok, err := l.Latest(t.Context(), "verify", 3); err != nil || ok {
			t.Error("it looked further back than it should", err)
		}
		if _, ok, err := l.LastSigned(t.Context()); err != nil || ok {
			t.Error(ok, err)
		}
		note, err := l.Checkpoint(t.Context(), signer(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		if s, ok, err := l.LastSigned(t.Context()); err != nil || !ok || s.Note != note || s.Size != 25 {
			t.Error(s, ok, err)
		}
	})
}
