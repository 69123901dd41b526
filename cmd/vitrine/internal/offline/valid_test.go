package offline

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

var valueShown = regexp.MustCompile(`<[0-9][^>]*>|UID [0-9.]+|\d{6,}|[0-9.]{12,}`)

// mistakes are the kinds of errors that dciodvfy sees in a file, without values.
func mistakes(program, path string) map[string]bool {
	said, _ := exec.Command(program, path).CombinedOutput() // its status says nothing that its output does not
	out := map[string]bool{}
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "Error") {
			out[valueShown.ReplaceAllString(strings.TrimSpace(line), "")] = true
		}
	}
	return out
}

// Whatever is planted in an object, cleaning it makes no error that was not there before.
func TestPlantedValidity(t *testing.T) {
	program := testdata.Program(t, "dciodvfy")
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
					before[f.Name] = mistakes(program, filepath.Join(in, filepath.FromSlash(f.Name)))
				}
				right := true
				for e := range mistakes(program, filepath.Join(out, fate.Path)) {
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
