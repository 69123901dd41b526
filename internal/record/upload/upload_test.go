package upload

import (
	"context"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

func open(t *testing.T, d *db.DB) (*Record, func(do func(tx *db.Tx) error) error) {
	t.Helper()
	r, err := OpenRecord(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r, func(do func(tx *db.Tx) error) error { return d.Write(context.Background(), do) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestUploads(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, write := open(t, d)
		q := Quota{Uploads: 2, Bytes: 1000}
		soon := time.Now().Add(time.Hour)
		must(t, write(func(tx *db.Tx) error { return r.Begin(tx, Batch{ID: 7, Collection: "breast", Actor: "ann"}) }))
		add := func(id string, ordinal, size int64, actor string) (replaced string, err error) {
			err = write(func(tx *db.Tx) error {
				replaced, err = r.Add(tx, Upload{ID: id, Batch: 7, Ordinal: ordinal, Actor: actor, Size: size, Sealed: []byte{1, 2}, Expires: soon}, q)
				return err
			})
			return replaced, err
		}
		if _, err := add("a", 1, 400, "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := add("b", 2, 601, "ann"); !fault.Is(err, fault.TooLarge) {
			t.Errorf("over the quota of bytes: %v", err)
		}
		if _, err := add("b", 2, 600, "ann"); err != nil {
			t.Fatal(err)
		}
		if _, err := add("c", 3, 0, "ann"); !fault.Is(err, fault.TooLarge) {
			t.Errorf("over the quota of uploads: %v", err)
		}
		if _, err := add("d", 4, 1000, "ben"); err != nil {
			t.Errorf("another's quota: %v", err)
		}
		// The same number again takes the place of what was arriving.
		if replaced, err := add("e", 1, 300, "ann"); err != nil || replaced != "a" {
			t.Errorf("%q, %v", replaced, err)
		}
		if _, err := r.Upload(t.Context(), "a"); !fault.Is(err, fault.NotFound) {
			t.Errorf("the one before: %v", err)
		}
		must(t, write(func(tx *db.Tx) error {
			return r.Settle(tx, "e", "held", []catalogue.Reason{{Code: "burned-in", Where: "region 1", Text: "it may carry text"}}, soon)
		}))
		u, err := r.Upload(t.Context(), "e")
		if err != nil || u.Fate != "held" || len(u.Reasons) != 1 || u.Reasons[0].Where != "region 1" || len(u.Sealed) != 0 || u.Size != 300 || u.Batch != 7 {
			t.Errorf("%+v, %v", u, err)
		}
		if _, err := add("f", 1, 1, "ann"); !fault.Is(err, fault.Conflict) {
			t.Errorf("again after its fate: %v", err)
		}
		all, err := r.Uploads(t.Context(), 7, 1, 10)
		if err != nil || len(all) != 2 || all[0].ID != "b" || all[1].ID != "d" {
			t.Errorf("%+v, %v", all, err)
		}
		must(t, write(func(tx *db.Tx) error { return r.Extend(tx, "b", time.Now().Add(-time.Hour)) }))
		gone, err := r.Expired(t.Context(), time.Now(), 10)
		if err != nil || len(gone) != 1 || gone[0].ID != "b" {
			t.Errorf("%+v, %v", gone, err)
		}
		must(t, write(func(tx *db.Tx) error { return r.Remove(tx, "b") }))
		if _, err := r.Upload(t.Context(), "b"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestBatches(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, write := open(t, d)
		must(t, write(func(tx *db.Tx) error { return r.Begin(tx, Batch{ID: 7, Collection: "breast", Actor: "ann"}) }))
		b, err := r.Batch(t.Context(), 7)
		if err != nil || b.Collection != "breast" || b.Actor != "ann" || !b.Ended.IsZero() || time.Since(b.Touched) > time.Minute {
			t.Errorf("%+v, %v", b, err)
		}
		if quiet, err := r.Quiet(t.Context(), time.Now().Add(-time.Minute), 10); err != nil || len(quiet) != 0 {
			t.Errorf("%v, %v", quiet, err)
		}
		if quiet, err := r.Quiet(t.Context(), time.Now().Add(time.Minute), 10); err != nil || len(quiet) != 1 {
			t.Errorf("%v, %v", quiet, err)
		}
		must(t, write(func(tx *db.Tx) error { return r.End(tx, 7) }))
		if b, err := r.Batch(t.Context(), 7); err != nil || b.Ended.IsZero() {
			t.Errorf("%+v, %v", b, err)
		}
		if quiet, err := r.Quiet(t.Context(), time.Now().Add(time.Minute), 10); err != nil || len(quiet) != 0 {
			t.Errorf("%v, %v", quiet, err)
		}
		must(t, write(func(tx *db.Tx) error { return r.Touch(tx, 7) }))
		if b, err := r.Batch(t.Context(), 7); err != nil || !b.Ended.IsZero() {
			t.Errorf("more comes: %+v, %v", b, err)
		}
		must(t, write(func(tx *db.Tx) error { return r.End(tx, 7) }))
		must(t, write(func(tx *db.Tx) error { return r.RemoveEmpty(tx, time.Now().Add(time.Minute)) }))
		if _, err := r.Batch(t.Context(), 7); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}
