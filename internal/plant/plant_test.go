package plant

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func few(t testing.TB, seed uint64, subjects int) *Set {
	t.Helper()
	s, err := Generate(Options{Seed: seed, Subjects: subjects, Encoders: Installed()})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Absent {
		t.Log("not made: " + a)
	}
	return s
}

// Who copies files has removed nothing, and kept everything.
func TestCopyScoresNothing(t *testing.T) {
	s := few(t, 7, 6)
	o, err := s.Copy(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Score(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files: removal %v, retained %v", r.Files, r.Removal, r.Retained)
	if r.Removal.Right != 0 || r.Burned.Right != 0 || r.Subject.Right != 0 || r.Graph.Right != 0 || r.Intervals.Right != 0 {
		t.Errorf("a copy has removed something: %v, pixels %v, subjects %v, UIDs %v, dates %v", r.Removal, r.Burned, r.Subject, r.Graph, r.Intervals)
	}
	if r.Retained.Percent() < 100 || r.Missing+r.Broken+r.Held > 0 || r.Bytes == 0 {
		t.Errorf("a copy has lost something: %v retained", r.Retained)
	}
	for _, f := range r.Failures {
		if f.What == "retained" || f.What == "file" {
			t.Errorf("%+v", f)
		}
	}
}

// The same seed gives the same bytes, another one other names.
func TestSeed(t *testing.T) {
	a, b, c := few(t, 7, 2), few(t, 7, 2), few(t, 8, 2)
	for i := range a.Files {
		if a.Files[i].Name != b.Files[i].Name || !bytes.Equal(a.Files[i].Bytes, b.Files[i].Bytes) {
			t.Fatalf("%s is another the second time", a.Files[i])
		}
	}
	if bytes.Equal(a.Files[0].Bytes, c.Files[0].Bytes) {
		t.Error("the seed changes nothing")
	}
}

// Every place of the table is planted, whatever the seed, and every kind of object is there.
func TestEveryPlaceIsPlanted(t *testing.T) {
	s := few(t, 11, 30)
	planted, seen := map[string]int{}, map[string]int{}
	for _, f := range s.Files {
		seen[f.Kind]++
		for _, it := range f.Planted {
			planted[it.Site]++
		}
		for _, g := range f.Glyphs {
			planted[g.Site]++
		}
		if f.Syntax != "" {
			if _, err := dicom.Parse(f.Bytes, dicom.DefaultLimits); err != nil {
				t.Errorf("%s does not parse: %v", f, err)
			}
		}
	}
	ids := map[string]bool{}
	for _, site := range Sites() {
		if ids[site.ID] {
			t.Errorf("%s is there twice", site.ID)
		}
		ids[site.ID] = true
		switch n := planted[site.ID]; {
		case n == 0 && !site.Other:
			t.Errorf("%s (%s) is planted nowhere", site.ID, site.What)
		case n > 0 && site.Other:
			t.Errorf("%s is planted, though nothing is looked for there", site.ID)
		}
	}
	for id := range planted {
		if !ids[id] {
			t.Errorf("%s is planted and not in the table", id)
		}
	}
	for _, k := range kinds {
		if k.encoder != "" && Installed().of(k.encoder) == nil {
			continue
		}
		if seen[k.name] != 30 {
			t.Errorf("%d of %s for 30 subjects", seen[k.name], k.name)
		}
	}
	own := 0
	for id := range ids {
		if strings.HasPrefix(id, "X") {
			own++
		}
	}
	if own < 25 {
		t.Errorf("%d places of our own finding", own)
	}
	t.Logf("%d files, %d places", len(s.Files), len(ids))
}

// The published places where tools fail are all among ours.
func TestPublishedSites(t *testing.T) {
	b, err := os.Open(filepath.Join(testdata.Shared(t), "deid", "leak_sites.csv"))
	if err != nil {
		t.Skip(err)
	}
	defer b.Close()
	rows, err := csv.NewReader(b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range Sites() {
		have[s.ID] = true
	}
	for _, row := range rows[1:] {
		if !have[row[0]] {
			t.Errorf("%s is not among the places", row[0])
		}
	}
}
