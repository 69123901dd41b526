package node

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// Who an image is of is kept as it came, of small images and of those that do not fit in memory, before they are acknowledged; and in a collection without
// re-identification not at all. What cannot be kept is not acknowledged.
func TestWhoSubjectsAreIsKept(t *testing.T) {
	var small [][]byte
	for s := range sample.Studies(1) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		if small = append(small, in.File()); len(small) == 3 {
			break
		}
	}
	var large bytes.Buffer
	if _, err := sample.Large(&large, 1, sample.LargeFrames(40<<20)); err != nil {
		t.Fatal(err)
	}
	files := append(small, large.Bytes())
	want := map[reidentification.Identity]bool{}
	for _, b := range files {
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		value := func(tag dicom.Tag) string { return strings.TrimSpace(f.Data.String(tag)) }
		want[reidentification.Identity{PatientID: value(dicom.TagPatientID), Issuer: value(dicom.TagIssuerOfPatientID), Name: value(dicom.TagPatientName), BirthDate: value(dicom.TagPatientBirthDate)}] = true
	}
	for _, database := range []string{"sqlite", "postgresql"} {
		t.Run(database, func(t *testing.T) {
			cfg := Config{}
			if database == "postgresql" {
				cfg.Database = dbtest.PostgresURL(t)
			}
			n := start(t, cfg)
			ctx := t.Context()
			err := n.Stores.DB.Write(ctx, func(tx *db.Tx) error {
				return n.Stores.Collections.Create(tx, collection.Collection{ID: "unlinked", Profile: "research", ProfileVersion: "1", NoReidentification: true})
			})
			if err != nil {
				t.Fatal(err)
			}
			give := func(ctx context.Context, c collection.ID, b []byte) error {
				dep, err := n.Custody.Begin(t.Context(), c, custody.DoorSTOW, "test")
				if err != nil {
					t.Fatal(err)
				}
				defer dep.End()
				_, err = dep.Receive(ctx, custody.Incoming{Data: custody.FromReader(bytes.NewReader(b))})
				return err
			}
			for _, c := range []collection.ID{"default", "unlinked"} {
				for range 2 { // the second time the same
					for _, b := range files {
						if err := give(ctx, c, b); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if err := n.Custody.Barrier(ctx); err != nil {
				t.Fatal(err)
			}
			got := map[reidentification.Identity]bool{}
			kept, err := n.Stores.Subjects.Latest(ctx, "default", 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range kept {
				all, err := n.Stores.Identities.Of(ctx, "default", s.ID, s.Key)
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range all {
					if got[one] {
						t.Error("an identity is kept twice, or of two subjects")
					}
					got[one] = true
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d identities are kept, of %d", len(got), len(want))
			}
			for one := range want {
				if !got[one] {
					t.Error("an identity is not kept as it came")
				}
			}
			unlinked, err := n.Stores.Subjects.Latest(ctx, "unlinked", 100)
			if err != nil || len(unlinked) != len(kept) {
				t.Fatal(len(unlinked), err)
			}
			for _, s := range unlinked {
				if _, err := n.Stores.Identities.Of(ctx, "unlinked", s.ID, s.Key); !fault.Is(err, fault.NotFound) {
					t.Errorf("it is kept where it was not to be: %v", err)
				}
			}

			// Without its table nothing new is taken.
			d := n.Stores.DB
			if n.Stores.whoDB != nil {
				d = n.Stores.whoDB
			}
			if err := d.Write(ctx, func(tx *db.Tx) error { _, err := tx.Exec(`DROP TABLE reidentification`); return err }); err != nil {
				t.Fatal(err)
			}
			for s := range sample.Studies(7) {
				in, err := s.Instance(0)
				if err != nil {
					t.Fatal(err)
				}
				if err := give(ctx, "default", in.File()); err == nil {
					t.Error("it was acknowledged, and who it is of is lost")
				}
				if err := give(ctx, "unlinked", in.File()); err != nil {
					t.Errorf("where nothing is to be kept: %v", err)
				}
				break
			}
		})
	}
}
