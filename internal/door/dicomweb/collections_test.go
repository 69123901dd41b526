package dicomweb_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// A study that lies in two collections is found twice, and each finding leads to its own bytes.
func TestOneStudyInTwoCollections(t *testing.T) {
	each(t, func(t *testing.T, x *rig) {
		x.write(func(tx *db.Tx) error {
			return x.n.Stores.Collections.Create(tx, collection.Collection{ID: "other", Title: "Other", Profile: "as-deposited", ProfileVersion: "1", AttestedBy: "test"})
		})
		named := func(description string) []byte {
			return image(t, "P1", "1.2.3", "1.2.3.1", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagStudyDescription, description) })
		}
		x.deposit(kept, named("first"))
		x.deposit("other", named("second"))
		steward := x.token(policy.Steward, policy.AllCollections)
		for _, level := range []string{"studies", "series", "instances"} {
			found := map[string]bool{}
			for _, row := range x.get("/dicomweb/"+level+"?includefield=StudyDescription", steward, "*/*").rows(t) {
				at := strings.TrimPrefix(row.text(dicom.TagRetrieveURL), x.url(""))
				a := x.get(at, steward, `multipart/related; type="application/dicom"`)
				if a.code != 200 {
					t.Fatalf("%s: %s answers %d", level, at, a.code)
				}
				want := row.text(dicom.TagStudyDescription)
				if !bytes.Contains(a.body, []byte(want)) {
					t.Errorf("%s: %s leads to another object than that of %q", level, at, want)
				}
				found[want] = true
			}
			if len(found) != 2 {
				t.Errorf("%s: found %v", level, found)
			}
		}
	})
}
