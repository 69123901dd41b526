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
	t.Log(r)
	for _, short := range r.Short(false) {
		t.Error(short)
	}
}
