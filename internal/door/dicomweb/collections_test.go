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

		// At the root of all collections a UID means what the first collection by id has, of what the caller may have; never a mixture, and never a held object
		// before one that is not.
		const at = "/dicomweb/studies/1.2.3"
		const sop = "/series/1.2.3.1/instances/1.2.3.1.1"
		leads := func(caller, want, other, in string) {
			t.Helper()
			for _, path := range []string{at, at + "/series/1.2.3.1", at + sop} {
				a := x.get(path, caller, `multipart/related; type="application/dicom"`)
				if a.code != 200 || !bytes.Contains(a.body, []byte(want)) || bytes.Contains(a.body, []byte(other)) {
					t.Errorf("%s does not lead to %s alone: %d", path, want, a.code)
				}
				if !bytes.Contains(a.body, []byte("Content-Location: "+x.url("/collections/"+in+at+sop)+"\r\n")) {
					t.Errorf("%s does not say that it is in %s", path, in)
				}
				m := x.get(path+"/metadata", caller, "*/*")
				if m.code != 200 || !bytes.Contains(m.body, []byte(want)) || bytes.Contains(m.body, []byte(other)) {
					t.Errorf("%s/metadata does not lead to %s alone: %d", path, want, m.code)
				}
				if !bytes.Contains(m.body, []byte(x.url("/collections/"+in+at+sop+"/bulkdata/"))) {
					t.Errorf("%s/metadata does not lead to bulk data in %s", path, in)
				}
			}
		}
		leads(steward, "first", "second", kept)
		leads(x.token(policy.Steward, "other"), "second", "first", "other")
		x.write(func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE instance SET state = 3 WHERE collection = ?`, kept)
			return err
		})
		leads(steward, "second", "first", "other")
	})
}
