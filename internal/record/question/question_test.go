package question

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
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

func write(t *testing.T, d *db.DB, do func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), do); err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, d *db.DB, r *Record, ward, asker string, link *Link) ID {
	t.Helper()
	id, err := NewID()
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, func(tx *db.Tx) error {
		return r.Add(tx, Question{ID: id, Ward: ward, Asker: asker, Key: [16]byte{7}, Head: []byte{1, 2}}, Message{Seq: 1, Actor: asker, Text: []byte{3}}, link)
	})
	return id
}

func TestLinkOpensUntilItIsEnded(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		link, other := NewLink(), NewLink()
		id := add(t, d, r, "breast", "", &link)
		add(t, d, r, "breast", "", &other)
		for _, wrong := range []string{"", "x", link.Reveal() + "x", strings.ToLower(link.Reveal()), NewLink().Reveal(), strings.Repeat("%", 43)} {
			if _, err := r.ByLink(t.Context(), wrong); !fault.Is(err, fault.NotFound) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		q, err := r.ByLink(t.Context(), link.Reveal())
		if err != nil || q.ID != id || q.Turn != ToAnswer || q.LinkEnds.Before(time.Now().Add(LinkFor-time.Hour)) || q.Contact != nil {
			t.Fatalf("%+v, %v", q, err)
		}
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE question SET link_ends = ? WHERE id = ?`, db.Micros(time.Now().Add(-time.Minute)), int64(id))
			return err
		})
		if _, err := r.ByLink(t.Context(), link.Reveal()); !fault.Is(err, fault.NotFound) {
			t.Errorf("past its time: %v", err)
		}
		write(t, d, func(tx *db.Tx) error { return r.EndLink(tx, id) })
		write(t, d, func(tx *db.Tx) error {
			return r.Reply(tx, id, Message{Seq: 2, Answer: true, Actor: "a", Text: []byte{1}})
		})
		if q, err := r.Get(t.Context(), id); err != nil || !q.LinkEnds.IsZero() {
			t.Errorf("a reply brings an ended link back: %+v, %v", q, err)
		}
		if s := fmt.Sprintf("%v %+v %#v", link, link, link); strings.Contains(s, link.Reveal()) {
			t.Error("a link prints itself")
		}
	})
}

func TestTurnsAndCounts(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		a := add(t, d, r, "breast", "person-1", nil)
		b := add(t, d, r, "lung", "person-1", nil)
		n := add(t, d, r, Node, "person-2", nil)
		count := func(w Wards, want int64) {
			t.Helper()
			got, since, err := r.Waiting(ctx, w)
			if err != nil || got != want || (want > 0) != !since.IsZero() {
				t.Errorf("%+v: %d since %v, %v; want %d", w, got, since, err, want)
			}
		}
		list := func(w Wards, want ...ID) {
			t.Helper()
			all, err := r.In(ctx, w, 10, 0)
			var got []ID
			for _, q := range all {
				got = append(got, q.ID)
				if !w.Has(q.Ward) {
					t.Errorf("%+v does not have %q", w, q.Ward)
				}
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%+v: %v, %v; want %v", w, got, err, want)
			}
		}
		count(Wards{}, 0)
		count(Wards{Some: []string{"breast"}}, 1)
		count(Wards{Some: []string{"breast", "lung"}, Node: true}, 3)
		count(Wards{Every: true}, 2)
		count(Wards{Node: true}, 1)
		list(Wards{})
		list(Wards{Some: []string{"lung"}}, b)
		list(Wards{Every: true, Node: true}, a, b, n)
		write(t, d, func(tx *db.Tx) error {
			return r.Reply(tx, a, Message{Seq: 2, Answer: true, Actor: "person-3", Text: []byte{9}})
		})
		list(Wards{Every: true}, b, a)
		count(Wards{Every: true}, 1)
		if n, err := r.Unseen(ctx, "person-1"); err != nil || n != 1 {
			t.Error(n, err)
		}
		write(t, d, func(tx *db.Tx) error { return r.See(tx, a) })
		if n, err := r.Unseen(ctx, "person-1"); err != nil || n != 0 {
			t.Error(n, err)
		}
		err := d.Write(ctx, func(tx *db.Tx) error { return r.Reply(tx, a, Message{Seq: 2, Text: []byte{9}}) })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("the same number twice: %v", err)
		}
		write(t, d, func(tx *db.Tx) error { return r.SetClosed(tx, b, true) })
		count(Wards{Every: true}, 0)
		write(t, d, func(tx *db.Tx) error { return r.Reply(tx, b, Message{Seq: 2, Actor: "person-1", Text: []byte{9}}) })
		count(Wards{Every: true}, 1) // who writes opens it again
		if all, err := r.Of(ctx, "person-1", 10, 0); err != nil || len(all) != 2 || all[0].ID != b {
			t.Errorf("%v, %v", all, err)
		}
		if all, err := r.Of(ctx, "", 10, 0); err != nil || len(all) != 0 {
			t.Errorf("visitors share a list: %v, %v", all, err)
		}
		m, err := r.Messages(ctx, a)
		if err != nil || len(m) != 2 || m[0].Answer || !m[1].Answer || m[1].Actor != "person-3" {
			t.Errorf("%+v, %v", m, err)
		}
		write(t, d, func(tx *db.Tx) error { return r.Erase(tx, a) })
		if m, err := r.Messages(ctx, a); err != nil || len(m) != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.Erase(tx, a) }); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
