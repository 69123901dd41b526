package collection

import (
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

const profileText = `name: lantern
version: 1
rules:
  - {id: age, reason: Größe und Alter, match: {keyword: PatientAge}, action: generalise, bands: 10}
`

func parsed(t *testing.T, text string) *deid.Profile {
	t.Helper()
	p, err := deid.ParseProfile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Profiles are added as versions that do not change; the last is in force; each is read again from its file.
func TestProfiles(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		if err := d.Write(ctx, func(tx *db.Tx) error {
			return r.Create(tx, Collection{ID: "lung", Profile: "research", ProfileVersion: "1"})
		}); err != nil {
			t.Fatal(err)
		}
		put := func(text string) (v ProfileVersion, err error) {
			p, file := (*deid.Profile)(nil), text
			if strings.Contains(text, ":") {
				p = parsed(t, text)
			} else if p, err = deid.Lookup(text); err == nil {
				file = ""
			}
			if err != nil {
				t.Fatal(err)
			}
			err = d.Write(ctx, func(tx *db.Tx) (err error) { v, err = r.PutProfile(tx, "lung", p, file, "token-1"); return err })
			r.Forget("lung")
			return v, err
		}
		cleaning := func() *deid.Profile {
			c, err := r.Get(ctx, "lung")
			if err != nil {
				t.Fatal(err)
			}
			p, err := r.Cleaning(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if all, err := r.ProfileVersions(ctx, "lung"); err != nil || len(all) != 1 || all[0].Profile != "research" || all[0].Actor != "" || cleaning().Name != "research" {
			t.Errorf("before: %+v, %v", all, err)
		}
		v, err := put(profileText)
		if err != nil || v.Number != 2 || v.Digest == "" {
			t.Fatalf("%+v, %v", v, err)
		}
		if p := cleaning(); p.Name != "lantern" || len(p.Rules()) != 1 || p.Rules()[0].Reason != "Größe und Alter" || p != cleaning() {
			t.Error("another profile is in force, or it is read anew each time")
		}
		for name, text := range map[string]string{"the same again": profileText, "other content": profileText + "vocabulary: [lantern]\n"} {
			if _, err := put(text); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := put(strings.Replace(profileText, "version: 1", "version: 2", 1)); err != nil {
			t.Error(err)
		}
		if _, err := put("basic+clean-descriptors"); err != nil || cleaning().Name != "basic+clean-descriptors" {
			t.Error(err)
		}
		if _, err := put(profileText); err != nil || cleaning().Version != "1" { // back to one that was in force
			t.Error(err)
		}
		all, err := r.ProfileVersions(ctx, "lung")
		if err != nil || len(all) != 5 || all[1].Text != profileText || all[4].Digest != all[1].Digest || all[3].Text != "" {
			t.Errorf("%+v, %v", all, err)
		}
		// A change of the title leaves the profile alone.
		c, _ := r.Get(ctx, "lung")
		c.Title, c.Profile, c.ProfileDigest = "Lung", "research", ""
		if err := d.Write(ctx, func(tx *db.Tx) error { return r.Update(tx, c) }); err != nil {
			t.Fatal(err)
		}
		if r.Forget("lung"); cleaning().Name != "lantern" {
			t.Error("a change of the title changed the profile")
		}
		// A file that is not what it was stops deposits, and is never passed by.
		if err := d.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE collection_profile SET file = ? WHERE collection = ?`, strings.Replace(profileText, "10", "20", 1), "lung")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		other, err := OpenRecord(ctx, d)
		if err != nil {
			t.Fatal(err)
		}
		c, _ = other.Get(ctx, "lung")
		if _, err := other.Cleaning(ctx, c); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a file with another digest: %v", err)
		}
		c.ID = "nonesuch"
		if _, err := other.Cleaning(ctx, c); !fault.Is(err, fault.Corrupt) {
			t.Errorf("no file: %v", err)
		}
	})
}

// Two that put a profile at once get two numbers.
func TestProfilesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		ctx := t.Context()
		if err := d.Write(ctx, func(tx *db.Tx) error {
			return r.Create(tx, Collection{ID: "lung", Profile: "research", ProfileVersion: "1"})
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, name := range []string{"basic", "public", "basic+retain-uids"} {
			p, err := deid.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := d.Write(ctx, func(tx *db.Tx) error { _, err := r.PutProfile(tx, "lung", p, "", "token-1"); return err }); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		all, err := r.ProfileVersions(ctx, "lung")
		if err != nil || len(all) != 4 || all[3].Number != 4 {
			t.Errorf("%+v, %v", all, err)
		}
	})
}
