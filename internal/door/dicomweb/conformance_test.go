package dicomweb

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The conformance statement names what is matched and in which media types answers come, no more and no less.
func TestConformanceStatement(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(testdata.Root(t), "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## 4 DICOMweb")
	section, _, _ = strings.Cut(section, "\n## 5 ")
	row := func(begins string) []string {
		for line := range strings.Lines(section) {
			if rest, ok := strings.CutPrefix(line, "| "+begins+" | "); ok {
				return strings.Split(strings.TrimSuffix(strings.TrimSpace(rest), " |"), ", ")
			}
		}
		t.Fatalf("no row begins with %q", begins)
		return nil
	}
	var above []string
	for _, c := range []struct {
		begins string
		level  catalogue.Level
	}{{"study", catalogue.Studies}, {"series, beside these", catalogue.Series}, {"instance, beside these", catalogue.Instances}} {
		all := catalogue.Matchable(c.level)
		own := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return slices.Contains(above, k) })
		above = all
		got := row(c.begins)
		slices.Sort(got)
		slices.Sort(own)
		if !slices.Equal(got, own) {
			t.Errorf("%s:\nstatement %s\ncode      %s", c.begins, strings.Join(got, ", "), strings.Join(own, ", "))
		}
		for _, k := range own {
			first, _, _ := strings.Cut(k, ".")
			if e, ok := dicom.LookupKeyword(first); !ok {
				t.Errorf("%s is no keyword of the dictionary", k)
			} else if study, series := custody.Describes(e.Tag); study && c.level != catalogue.Studies || series && c.level != catalogue.Series {
				t.Errorf("%s is kept at another level", k)
			}
		}
	}
	media := slices.Clone(pictureMedia)
	for _, ts := range dicom.TransferSyntaxes() {
		if m := pixelMedia(ts.UID); m != "" {
			media = append(media, m)
		}
	}
	for _, m := range append(media, octets, "application/dicom", "application/zip", "application/dicom+json", "application/pdf", `type="application/dicom+xml"`) {
		if !strings.Contains(section, m) {
			t.Errorf("the statement does not name %s", m)
		}
	}
}
