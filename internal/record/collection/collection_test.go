package collection

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

func TestParseID(t *testing.T) {
	for s, ok := range map[string]bool{"default": true, "a": true, "9": true, "breast-2026": true, strings.Repeat("a", 63): true, "": false, "-a": false, "a-": false,
		"A": false, "a_b": false, "a b": false, "é": false, strings.Repeat("a", 64): false, "a/b": false, "..": false, "*": false, "a'b": false, "a\x00": false} {
		if _, err := ParseID(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseAETitle(t *testing.T) {
	for s, want := range map[string]string{"VITRINE": "VITRINE", "  CT 1  ": "CT 1", "STORE\x00\x00": "STORE", "lower": "lower", "": "", "      ": "",
		"SEVENTEEN_LETTERS": "", "SIXTEEN_LETTERS_": "SIXTEEN_LETTERS_", "A\\B": "", "A\nB": "", "É": "", " SIXTEEN_LETTERS_ ": "SIXTEEN_LETTERS_"} {
		got, err := ParseAETitle(s)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestAFreshNodeHasTheDefaultCollection(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		var wg sync.WaitGroup
		made := make([]bool, 4)
		for i := range made {
			wg.Go(func() {
				if err := d.Write(t.Context(), func(tx *db.Tx) (err error) { made[i], err = r.EnsureDefault(tx, "1"); return err }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for _, m := range made {
			if m {
				n++
			}
		}
		if n != 1 {
			t.Errorf("made %d times", n)
		}
		c, err := r.ByAETitle(t.Context(), "VITRINE")
		if err != nil || c.ID != Default || c.Profile != "research" || c.State != Open {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

func TestCreateChangeAndFind(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := context.Background()
		write := func(fn func(tx *db.Tx) error) error { return d.Write(ctx, fn) }
		create := func(c Collection) error { return write(func(tx *db.Tx) error { return r.Create(tx, c) }) }
		if _, err := r.Get(ctx, "breast"); !fault.Is(err, fault.NotFound) {
			t.Errorf("before it exists: %v", err)
		}
		breast := Collection{ID: "breast", Title: "Brust – Größe", Profile: "research", ProfileVersion: "1", AETitle: "BREAST", Protocol: "mammo", NoAutomaticAcceptance: true}
		if err := create(breast); err != nil {
			t.Fatal(err)
		}
		got, err := r.Get(ctx, "breast")
		if err != nil {
			t.Fatal(err)
		}
		breast.State = Open
		if diff := cmp.Diff(breast, got, cmpopts.IgnoreFields(Collection{}, "Created")); diff != "" {
			t.Error(diff)
		}
		if time.Since(got.Created) > time.Minute {
			t.Errorf("created %v", got.Created)
		}
		for name, c := range map[string]Collection{
			"same id":         {ID: "breast", Profile: "basic"},
			"same AE title":   {ID: "lung", Profile: "basic", AETitle: "BREAST"},
			"no attestation":  {ID: "lung", Profile: AsDeposited},
			"no profile":      {ID: "lung"},
			"bad id":          {ID: "Lung", Profile: "basic"},
			"padded AE title": {ID: "lung", Profile: "basic", AETitle: "LUNG "},
			"control":         {ID: "lung", Profile: "basic", Title: "a\nb"},
		} {
			if err := create(c); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Neither of two collections is called, and that is no conflict.
		if err := create(Collection{ID: "raw", Profile: AsDeposited, AttestedBy: "token-1"}); err != nil {
			t.Fatal(err)
		}
		if err := create(Collection{ID: "other", Profile: "basic"}); err != nil {
			t.Fatal(err)
		}
		raw, err := r.Get(ctx, "raw")
		if err != nil || raw.AttestedBy != "token-1" || raw.Attested.IsZero() {
			t.Errorf("%+v, %v", raw, err)
		}
		raw.AETitle, raw.State, raw.Title, raw.NoAutomaticAcceptance = "RAW", Closed, "Raw", true
		if err := write(func(tx *db.Tx) error { return r.Update(tx, raw) }); err != nil {
			t.Fatal(err)
		}
		got, err = r.ByAETitle(ctx, "RAW")
		if diff := cmp.Diff(raw, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		raw.AETitle = "BREAST"
		if err := write(func(tx *db.Tx) error { return r.Update(tx, raw) }); !fault.Is(err, fault.Conflict) {
			t.Errorf("another's AE title: %v", err)
		}
		if err := write(func(tx *db.Tx) error { return r.Update(tx, Collection{ID: "no", Profile: "basic", State: Open}) }); !fault.Is(err, fault.NotFound) {
			t.Errorf("change what is not: %v", err)
		}
		all, err := r.List(ctx)
		if err != nil || len(all) != 3 || all[0].ID != "breast" || all[2].ID != "raw" {
			t.Errorf("%v, %v", all, err)
		}
	})
}
