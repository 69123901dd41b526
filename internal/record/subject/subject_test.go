package subject

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
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

func ensure(d *db.DB, r *Record, c collection.ID, link Link, p Pseudonym, key KeyID) (s Subject, made bool, err error) {
	err = d.Write(context.Background(), func(tx *db.Tx) (err error) {
		s, made, err = r.Ensure(tx, c, link, p, key)
		return err
	})
	return s, made, err
}

func TestParse(t *testing.T) {
	for s, ok := range map[string]bool{"P-0001": true, "VX 7": true, "": false, " a": false, "a ": false, "a\\b": false, "a*": false, "a?": false, "DOE^JANE": false,
		"a=b": false, "é": false, "a\x00": false, "a/b": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false} {
		if _, err := ParsePseudonym(s); (err == nil) != ok {
			t.Errorf("pseudonym %q: %v", s, err)
		}
	}
	l, err := ParseLink(strings.Repeat("0f", 32))
	if err != nil || l.String() != strings.Repeat("0f", 32) {
		t.Error(l, err)
	}
	for _, s := range []string{"", "0f", strings.Repeat("0g", 32), strings.Repeat("0f", 33)} {
		if _, err := ParseLink(s); err == nil {
			t.Errorf("link %q is read", s)
		}
	}
}

// Many deposits of one person at the same moment make one subject.
func TestOneSubjectWhoeverComesFirst(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		var wg sync.WaitGroup
		got := make([]Subject, 8)
		made := make([]bool, len(got))
		for i := range got {
			wg.Go(func() {
				var err error
				got[i], made[i], err = ensure(d, r, "breast", Link{1}, "P-1", KeyID{byte(i), 1})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		makers := 0
		for i, s := range got {
			if s.ID != got[0].ID || s.Key != got[0].Key || s.Pseudonym != "P-1" {
				t.Errorf("%+v is not %+v", s, got[0])
			}
			if made[i] {
				makers++
				if s.Key != (KeyID{byte(i), 1}) {
					t.Error("who made the subject did not give the key")
				}
			}
		}
		if makers != 1 {
			t.Errorf("%d made it", makers)
		}
	})
}

func TestCollectionsAreApart(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		a, _, err := ensure(d, r, "breast", Link{1}, "P-1", KeyID{1})
		if err != nil {
			t.Fatal(err)
		}
		b, made, err := ensure(d, r, "lung", Link{1}, "P-1", KeyID{2})
		if err != nil || !made || a.ID == b.ID {
			t.Errorf("%+v, %v, %v", b, made, err)
		}
		if _, _, err := ensure(d, r, "breast", Link{2}, "P-1", KeyID{3}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a pseudonym of another: %v", err)
		}
		if _, _, err := ensure(d, r, "breast", Link{2}, "DOE^JANE", KeyID{3}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a name for a pseudonym: %v", err)
		}
		ctx := t.Context()
		for _, find := range []func() (Subject, error){
			func() (Subject, error) { return r.Find(ctx, "lung", Link{1}) },
			func() (Subject, error) { return r.ByPseudonym(ctx, "lung", "P-1") },
			func() (Subject, error) { return r.Get(ctx, b.ID) },
		} {
			if s, err := find(); err != nil || s.ID != b.ID || s.Key != (KeyID{2}) || s.Collection != "lung" {
				t.Errorf("%+v, %v", s, err)
			}
		}
		if _, err := r.Find(ctx, "lung", Link{9}); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

func TestLexiconAndWithdrawal(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		s, _, err := ensure(d, r, "breast", Link{1}, "P-1", KeyID{1})
		if err != nil || s.LexiconVersion != 0 || s.Lexicon != nil {
			t.Fatal(s, err)
		}
		set := func(read int64, text string) (v int64, err error) {
			err = d.Write(t.Context(), func(tx *db.Tx) (err error) { v, err = r.SetLexicon(tx, s.ID, read, []byte(text)); return err })
			return v, err
		}
		if v, err := set(0, "sealed one"); err != nil || v != 1 {
			t.Fatal(v, err)
		}
		if _, err := set(0, "sealed lost"); !fault.Is(err, fault.Conflict) {
			t.Errorf("an old version: %v", err)
		}
		if v, err := set(1, "sealed two"); err != nil || v != 2 {
			t.Fatal(v, err)
		}
		got, err := r.Get(t.Context(), s.ID)
		if err != nil || got.LexiconVersion != 2 || !bytes.Equal(got.Lexicon, []byte("sealed two")) {
			t.Errorf("%+v, %v", got, err)
		}
		for i := range 2 {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				did, err := r.Withdraw(tx, s.ID)
				if did != (i == 0) {
					t.Errorf("withdrawal %d did it: %v", i, did)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err = r.Get(t.Context(), s.ID)
		if err != nil || !got.IsWithdrawn() || got.Lexicon != nil {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := set(2, "sealed late"); !fault.Is(err, fault.Denied) {
			t.Errorf("after withdrawal: %v", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := r.Withdraw(tx, 5); return err }); !fault.Is(err, fault.NotFound) {
			t.Errorf("withdraw nobody: %v", err)
		}
	})
}
