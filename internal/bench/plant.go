//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/plant"
)

const plantSeed = 20

// A cleaner takes a set of planted identities through a tool: what it wrote lies below out, and each file has a fate.
type cleaner struct {
	name    string
	needs   string
	version []string // the command that tells it
	clean   func(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error)
}

func (b *bench) cleaners() []cleaner {
	modify := []string{"dcmodify", "-q", "-nb", "-imt", "-m", "(0010,0010)=ANON", "-m", "(0010,0020)=ANON", "-ep"}
	dumb := []string{"gdcmanon", "--dumb", "--replace", "10,10=ANON", "--replace", "10,20=ANON"}
	for _, tag := range []string{"0010,0030", "0010,1000", "0010,1001", "0010,1040", "0010,2154", "0010,21B0", "0010,4000", "0008,0050", "0008,0080", "0008,0081", "0008,0090", "0008,1048", "0008,1050", "0008,1060", "0008,1070"} {
		modify = append(modify, "-ea", "("+tag+")")
		dumb = append(dumb, "--remove", strings.ToLower(tag))
	}
	all := []cleaner{
		{name: "vitrine", needs: b.vitrine, version: []string{b.vitrine, "--version"}, clean: b.plantVitrine},
		{name: "copy", needs: "cp", clean: func(_ context.Context, set *plant.Set, _, out string) (*plant.Output, error) { return set.Copy(out) }},
		{name: "orthanc", needs: "Orthanc", version: []string{program("Orthanc"), "--version"}, clean: b.plantOrthanc},
		{name: "gdcmanon", needs: "gdcmanon", version: []string{"gdcmanon", "--version"}, clean: b.plantBasic},
		{name: "gdcmanon --dumb", needs: "gdcmanon", clean: func(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error) {
			return each(ctx, set, in, out, func(from, to string) []string { return append(slices.Clone(dumb), "-i", from, "-o", to) })
		}},
		{name: "dcmodify", needs: "dcmodify", version: []string{"dcmodify", "--version"}, clean: func(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error) {
			return each(ctx, set, in, out, func(from, to string) []string {
				b, err := os.ReadFile(from)
				if err != nil || os.WriteFile(to, b, 0o644) != nil {
					return []string{"false"}
				}
				return append(slices.Clone(modify), to)
			})
		}},
	}
	return slices.DeleteFunc(all, func(c cleaner) bool { return b.leftOut(c.name) })
}

// identities scores what each tool leaves of planted identities. It is not a matter of time: one round.
func (b *bench) identities(ctx context.Context) error {
	set, err := plant.Generate(plant.Options{Seed: plantSeed, Subjects: b.scaled(10, 3), Encoders: plant.Installed()})
	if err != nil {
		return err
	}
	b.report.title(fmt.Sprintf("planted identities, %d files of %d subjects, seed %d", len(set.Files), set.Subjects, set.Seed))
	for _, a := range set.Absent {
		fmt.Println("  not made: " + a)
	}
	in := filepath.Join(b.dir, "planted")
	defer os.RemoveAll(in)
	if err := set.Write(in); err != nil {
		return err
	}
	v := &validator{dir: in, of: map[string]map[string]bool{}}
	var scores []*plant.Score
	for _, c := range b.cleaners() {
		if program(c.needs) == "" {
			fmt.Printf("  skipped: %s is not installed\n", c.name)
			continue
		}
		out := filepath.Join(b.dir, "planted-out")
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		began := time.Now()
		o, err := c.clean(ctx, set, in, out)
		took := time.Since(began)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r, err := set.Score(o)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.Contender, r.Seconds = c.name, took.Seconds()
		if len(c.version) > 0 {
			said, _ := exec.CommandContext(ctx, c.version[0], c.version[1:]...).CombinedOutput()
			line, _, _ := strings.Cut(string(said), "\n")
			r.Version = strings.Trim(line, "$ ")
		}
		if r.Validity, err = v.rate(ctx, set, o); err != nil {
			return err
		}
		scores = append(scores, r)
		r.Failures = nil // tens of thousands, of some
		line, err := json.Marshal(map[string]any{"test": "planted identities", "score": r})
		if err != nil {
			return err
		}
		if _, err := b.report.lines.Write(append(line, '\n')); err != nil {
			return err
		}
		if err := os.RemoveAll(out); err != nil {
			return err
		}
	}
	tableOfScores(os.Stdout, scores)
	return nil
}

func tableOfScores(w io.Writer, scores []*plant.Score) {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tremoved %\tbytes left\tin pixels %\tretained %\tUIDs %\tsubjects %\tdates %\timages cleaned %\tfor pixels\tcleaned\theld\tmissing\tunreadable\tvalid %\t")
	for _, r := range scores {
		valid := "-"
		if r.Validity != nil {
			valid = fmt.Sprintf("%.1f", r.Validity.Percent())
		}
		fmt.Fprintf(t, "%s\t%.2f\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.Contender, r.Removal.Percent(), r.Bytes, r.Burned.Percent(), r.Retained.Percent(), r.Graph.Percent(),
			r.Subject.Percent(), r.Intervals.Percent(), r.Images.Percent(), r.PixelHeld, r.Cleaned, r.Held, r.Missing, r.Broken, valid)
	}
	t.Flush()
	for _, r := range scores {
		if r.Removal.Right == r.Removal.Of {
			continue
		}
		var left []string
		for _, s := range plant.Sites() {
			if x := r.Sites[s.ID]; x.Right < x.Of {
				left = append(left, fmt.Sprintf("%s %d/%d", s.ID, x.Of-x.Right, x.Of))
			}
		}
		fmt.Printf("  %s left of %d places: %s\n", r.Contender, len(left), strings.Join(left[:min(len(left), 20)], ", "))
	}
}

func (b *bench) plantVitrine(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error) {
	report := out + ".json"
	defer os.Remove(report)
	said, err := exec.CommandContext(ctx, b.vitrine, "deidentify", in, "--out", out, "--profile", "research", "--report", report, "--quiet").CombinedOutput()
	if ee, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || ee.ExitCode() != 3) {
		return nil, fmt.Errorf("%w: %s", err, said[max(0, len(said)-600):])
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	o, err := set.ReadReport(out, text)
	if err == nil {
		o.Said = append(o.Said, said...)
	}
	return o, err
}

// each runs a tool on one file at a time. Where it fails, with a word, its output counts as held; what it leaves out without one is missing.
func each(ctx context.Context, set *plant.Set, in, out string, args func(from, to string) []string) (*plant.Output, error) {
	o := &plant.Output{Dir: out}
	for i, f := range set.Files {
		// The name of the output is for whoever calls the tool to choose: none that tells.
		name := fmt.Sprintf("%06d.dcm", i+1)
		from, to := filepath.Join(in, filepath.FromSlash(f.Name)), filepath.Join(out, name)
		a := args(from, to)
		err := exec.CommandContext(ctx, a[0], a[1:]...).Run()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		fate := plant.Fate{Outcome: plant.Cleaned, Path: name}
		if err != nil {
			fate = plant.Fate{Outcome: plant.Held, Why: []string{"it failed"}}
		} else if _, err := os.Stat(to); err != nil {
			fate = plant.Fate{Outcome: plant.Missing}
		}
		o.Fates = append(o.Fates, fate)
	}
	return o, nil
}

// plantBasic is gdcmanon's own Basic Application Level Confidentiality Profile, which encrypts the originals for whoever has the key.
func (b *bench) plantBasic(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error) {
	cert := filepath.Join(b.dir, "cert.pem")
	said, err := exec.CommandContext(ctx, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench", "-keyout", filepath.Join(b.dir, "key.pem"), "-out", cert).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("openssl: %w: %s", err, said)
	}
	return each(ctx, set, in, out, func(from, to string) []string { return []string{"gdcmanon", "-e", "-c", cert, "-i", from, "-o", to} })
}

// plantOrthanc uploads all, has each patient anonymized as Orthanc does it by default, and fetches what came of it.
func (b *bench) plantOrthanc(ctx context.Context, set *plant.Set, in, out string) (*plant.Output, error) {
	o := &plant.Output{Dir: out, Fates: make([]plant.Fate, len(set.Files))}
	err := b.on(ctx, contender{name: "orthanc", start: b.orthanc}, false, func(s *server) error {
		root := strings.TrimSuffix(s.web, "/dicom-web")
		call := func(method, path string, body []byte) ([]byte, int, error) {
			q, err := http.NewRequestWithContext(ctx, method, root+path, bytes.NewReader(body))
			if err != nil {
				return nil, 0, err
			}
			a, err := s.http.Do(q)
			if err != nil {
				return nil, 0, err
			}
			defer a.Body.Close()
			text, err := io.ReadAll(a.Body)
			return text, a.StatusCode, err
		}
		of := map[string]int{}
		var patients []string
		for i, f := range set.Files {
			text, code, err := call("POST", "/instances", f.Bytes)
			if err != nil {
				return err
			}
			var stored struct{ ID, ParentPatient string }
			if code != http.StatusOK || json.Unmarshal(text, &stored) != nil || stored.ID == "" {
				o.Fates[i] = plant.Fate{Outcome: plant.Held, Why: []string{"it was not taken"}}
				continue
			}
			of[stored.ID] = i
			if !slices.Contains(patients, stored.ParentPatient) {
				patients = append(patients, stored.ParentPatient)
			}
		}
		for _, p := range patients {
			text, code, err := call("POST", "/patients/"+p+"/anonymize", []byte(`{"Synchronous":true}`))
			if err != nil {
				return err
			}
			var made struct{ ID string }
			if code != http.StatusOK || json.Unmarshal(text, &made) != nil {
				continue // what it was of is missing
			}
			text, _, err = call("GET", "/patients/"+made.ID+"/instances", nil)
			if err != nil {
				return err
			}
			var instances []struct{ ID string }
			if err := json.Unmarshal(text, &instances); err != nil {
				return err
			}
			for _, in := range instances {
				from, _, err := call("GET", "/instances/"+in.ID+"/metadata/AnonymizedFrom", nil)
				if err != nil {
					return err
				}
				i, ok := of[strings.TrimSpace(string(from))]
				if !ok {
					continue
				}
				file, code, err := call("GET", "/instances/"+in.ID+"/file", nil)
				if err != nil {
					return err
				}
				if code != http.StatusOK {
					continue
				}
				name := in.ID + ".dcm"
				if err := os.WriteFile(filepath.Join(out, name), file, 0o644); err != nil {
					return err
				}
				o.Fates[i] = plant.Fate{Outcome: plant.Cleaned, Path: name}
			}
		}
		return nil
	})
	return o, err
}

// A validator asks dicom3tools what is wrong with a file that was right before.
type validator struct {
	dir string
	of  map[string]map[string]bool // of an input
}

var valueShown = regexp.MustCompile(`<[^>]*>|= .*$|\d{6,}|[0-9.]{12,}`)

func (v *validator) errors(ctx context.Context, path string) map[string]bool {
	said, _ := exec.CommandContext(ctx, "dciodvfy", path).CombinedOutput() // it fails where there are errors
	out := map[string]bool{}
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "Error") {
			out[valueShown.ReplaceAllString(strings.TrimSpace(line), "")] = true
		}
	}
	return out
}

// rate counts the cleaned files without an error that the input had not; nil where the program is absent.
func (v *validator) rate(ctx context.Context, set *plant.Set, o *plant.Output) (*plant.Rate, error) {
	if program("dciodvfy") == "" {
		return nil, nil
	}
	r := &plant.Rate{}
	for i, f := range set.Files {
		if o.Fates[i].Outcome != plant.Cleaned || f.Syntax == "" || f.Exempt != "" {
			continue
		}
		if v.of[f.Name] == nil {
			v.of[f.Name] = v.errors(ctx, filepath.Join(v.dir, filepath.FromSlash(f.Name)))
		}
		right := true
		for e := range v.errors(ctx, filepath.Join(o.Dir, o.Fates[i].Path)) {
			right = right && v.of[f.Name][e]
		}
		r.Of++
		if right {
			r.Right++
		}
	}
	return r, ctx.Err()
}
