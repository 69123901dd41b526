package offline

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Whatever is planted in an object, cleaning it makes no error that was not there before.
func TestPlantedValidity(t *testing.T) {
	validator := testdata.NewValidator(t)
	options := plant.Options{Seed: 21, Subjects: 6, Encoders: plant.Installed()}
	if testdata.Soak() {
		options.Subjects = 20
	}
	set, err := plant.Generate(options)
	if err != nil {
		t.Fatal(err)
	}
	in := t.TempDir()
	if err := set.Write(in); err != nil {
		t.Fatal(err)
	}
	before := map[string]map[string]bool{}
	for _, name := range []string{"research", "basic", "public"} {
		t.Run(name, func(t *testing.T) {
			p, err := deid.Lookup(name)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			job := &Job{Out: out, Profile: p, Root: [32]byte{12}}
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
			cleaned, valid := 0, 0
			for i, f := range set.Files {
				fate := o.Fates[i]
				if fate.Outcome != plant.Cleaned || f.Syntax == "" || f.Exempt != "" {
					continue
				}
				cleaned++
				if before[f.Name] == nil {
					before[f.Name] = validator.Errors(filepath.Join(in, filepath.FromSlash(f.Name)))
				}
				right := true
				for e := range validator.Errors(filepath.Join(out, fate.Path)) {
					if !before[f.Name][e] {
						right = false
						t.Errorf("%s: %s", f, e)
					}
				}
				if right {
					valid++
				}
			}
			t.Logf("%d of %d have no new error", valid, cleaned)
			if cleaned == 0 {
				t.Error("nothing was cleaned")
			}
		})
	}
}
