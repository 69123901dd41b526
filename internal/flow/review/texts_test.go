package review_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// Every text that a collection shows is listed once, what no vocabulary has first; nothing of the people in it, and nothing that is held.
func TestTexts(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		ada, ctx := steward("breast"), t.Context()
		model := func(s string) func(*dicom.Builder) {
			return func(b *dicom.Builder) {
				b.String(dicom.TagManufacturerModelName, s)
				b.String(dicom.TagSeriesDescription, "CHEST")
				b.String(dicom.TagSoftwareVersions, "syngo CT VB20A\\X 7")
			}
		}
		d.deposit("breast", "Winterbourne", model("Biograph 128"), model("Biograph 128"), burned)
		d.deposit("breast", "Ashgrove", model("Biograph 64"))
		d.settled("[admitted admitted held admitted]")
		for _, role := range policy.Roles() {
			who := review.Caller{Actor: "x", Grants: []policy.Grant{{Role: role, Collection: "breast"}}}
			if _, err := d.Texts(ctx, who, "breast", false); (err == nil) != (role == policy.Steward) {
				t.Errorf("%s: %v", role, err)
			}
		}
		var s review.Survey
		until(t, "a survey", func() bool {
			var err error
			if s, err = d.Texts(ctx, ada, "breast", false); err != nil {
				t.Fatal(err)
			}
			return !s.Running
		})
		if s.Failed || s.Full || s.Objects != 3 || s.Ended.IsZero() {
			t.Fatalf("%+v", s)
		}
		objects := map[string]int64{}
		plain := false
		for _, x := range s.Texts {
			objects[x.Element+" "+x.Value] = x.Objects
			if plain && !x.Plain {
				t.Errorf("%+v stands behind what is plain", x)
			}
			plain = x.Plain
			if x.Study() == "" || x.First == 0 || x.Name == "" {
				t.Errorf("%+v", x)
			}
		}
		for text, want := range map[string]int64{"(0008,1090) Biograph 128": 2, "(0008,1090) Biograph 64": 1, "(0008,103E) CHEST": 3, "(0008,0060) CT": 3} {
			if objects[text] != want {
				t.Errorf("%s: %d, not %d", text, objects[text], want)
			}
		}
		all := strings.ToLower(fmt.Sprint(objects))
		for _, no := range []string{"winterbourne", "ashgrove", "(0010,0010)", "(0010,0020)", "burned", "(0012,0063)"} {
			if strings.Contains(all, no) {
				t.Errorf("%s is among %s", no, all)
			}
		}
		d.deposit("breast", "Holloway-Carr", model("Biograph 64"))
		d.settled("[admitted admitted held admitted admitted]")
		if s, err := d.Texts(ctx, ada, "breast", false); err != nil || s.Objects != 3 {
			t.Errorf("gathered again unasked: %+v %v", s, err)
		}
		if s, err := d.Texts(ctx, ada, "breast", true); err != nil || !s.Running {
			t.Errorf("%+v %v", s, err)
		}
		until(t, "another survey", func() bool {
			s, err := d.Texts(ctx, ada, "breast", false)
			return err == nil && s.Objects == 4 && !s.Running
		})
	})
}
