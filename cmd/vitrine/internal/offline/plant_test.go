package offline

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// What is planted in every kind of object is gone, and what research needs is there: the bars that the project has set itself. Text that is burned into
// images which no header tells of is not among them: pixels are read at a node alone.
func TestPlantedIdentities(t *testing.T) {
	options := plant.Options{Seed: 20, Subjects: 20, Thin: 2, Encoders: plant.Installed()} // names of every script
	if testdata.Soak() {
		options.Subjects, options.Thin = 30, 1
	}
	set, err := plant.Generate(options)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range set.Absent {
		t.Log("not made: " + a)
	}
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	if err := set.Write(in); err != nil {
		t.Fatal(err)
	}
	p, err := deid.Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	job := &Job{Out: out, Profile: p, Root: [32]byte{11}}
	for _, path := range set.Paths(in) {
		job.Inputs = append(job.Inputs, Input{Path: path})
	}
	report, err := job.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	o, err := set.ReadReport(out, said)
	if err != nil {
		t.Fatal(err)
	}
	r, err := set.Score(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files: %d cleaned, %d held; removal %v, %d identifying bytes; retained %v; UIDs %v, subjects %v, dates %v; images cleaned %v and %d held for their pixels; in pixels %v",
		r.Files, r.Cleaned, r.Held, r.Removal, r.Bytes, r.Retained, r.Graph, r.Subject, r.Intervals, r.Images, r.PixelHeld, r.Burned)
	for _, f := range r.Failures {
		if f.What != "pixels" {
			t.Errorf("%s %s of %s %s %s", f.What, f.Site, f.File, f.Path, f.Form)
		}
	}
	if r.Retained.Percent() < 99.9 || r.Graph.Percent() < 100 || r.Subject.Percent() < 100 || r.Intervals.Percent() < 100 || r.Claims.Percent() < 100 {
		t.Errorf("%v retained, UIDs %v, subjects %v, dates %v, claims %v", r.Retained, r.Graph, r.Subject, r.Intervals, r.Claims)
	}
	if r.Images.Percent() < 97 || r.Images.Of == 0 {
		t.Errorf("of images %v were cleaned", r.Images)
	}
	if r.Missing+r.Broken > 0 {
		t.Errorf("%d files are missing without a word, %d cannot be read", r.Missing, r.Broken)
	}
	if r.Removal.Right < r.Removal.Of || r.Bytes > 0 {
		t.Errorf("%d planted identities of %d are left, %d bytes", r.Removal.Of-r.Removal.Right, r.Removal.Of, r.Bytes)
	}
}
