package notice

import (
	"bytes"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func TestNotices(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		r, err := OpenRecord(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		write := func(do func(tx *db.Tx) error) {
			t.Helper()
			if err := d.Write(t.Context(), do); err != nil {
				t.Fatal(err)
			}
		}
		of := func() Notice {
			t.Helper()
			n, err := r.Of(t.Context(), "person-1")
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if _, err := r.Of(t.Context(), "person-1"); !fault.Is(err, fault.NotFound) {
			t.Errorf("%v", err)
		}
		write(func(tx *db.Tx) error { return r.Put(tx, "person-1", []byte("sealed")) })
		n := of()
		if !bytes.Equal(n.Sealed, []byte("sealed")) || !n.Told.IsZero() || n.Held != 0 || n.Mail != "" {
			t.Errorf("%+v", n)
		}
		// Of two processes that look at the same moment, one tells.
		tell := func(n Notice, held int64) (told bool) {
			write(func(tx *db.Tx) (err error) {
				told, err = r.Tell(tx, n, held, time.Now())
				return err
			})
			return told
		}
		if !tell(n, 5) || tell(n, 5) {
			t.Error("told twice, or not at all")
		}
		write(func(tx *db.Tx) error { return r.NoteMail(tx, "person-1", "failed", "550") })
		if n = of(); n.Held != 5 || n.Mail != "failed" || n.MailWhy != "550" || n.Told.IsZero() || n.Mailed.IsZero() {
			t.Errorf("%+v", n)
		}
		for held, want := range map[int64]int64{9: 5, 3: 3} {
			write(func(tx *db.Tx) error { return r.Seen(tx, "person-1", held) })
			if n := of(); n.Held > want && held < n.Held {
				t.Errorf("after %d: %+v", held, n)
			}
		}
		if n := of(); n.Held != 3 {
			t.Errorf("%+v", n)
		}
		// Another address begins anew with mails, and keeps when somebody was told.
		write(func(tx *db.Tx) error { return r.Put(tx, "person-1", []byte("other")) })
		if n := of(); n.Mail != "" || n.Told.IsZero() || !bytes.Equal(n.Sealed, []byte("other")) {
			t.Errorf("%+v", n)
		}
		if all, err := r.All(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%v %v", all, err)
		}
		write(func(tx *db.Tx) error { return r.Remove(tx, "person-1") })
		if tell(n, 9) {
			t.Error("told though no notices are wanted any more")
		}
		if all, err := r.All(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("%v %v", all, err)
		}
	})
}
