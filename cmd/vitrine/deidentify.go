package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/vitrine-imaging/vitrine/cmd/vitrine/internal/offline"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
)

type deidentifyCmd struct {
	Src     []string `arg:"" name:"src" help:"DICOM files, or folders of them."`
	Out     string   `required:"" placeholder:"DIR" help:"Folder for the cleaned files, outside the sources."`
	Profile string   `default:"research" placeholder:"NAME|FILE" help:"Profile of de-identification: research, basic, public or as-deposited; one of the first three with options, as in basic+clean-descriptors; or a YAML file of a collection's own rules. Default: ${default}."`
	Key     string   `placeholder:"FILE" help:"Key from which pseudonyms, UIDs and dates follow; made if the file does not exist. The same key gives the same output. Without it, a key is drawn for this run alone."`
	Report  string   `placeholder:"FILE" help:"Write what became of each input as JSON; it holds nothing identifiable."`
	Map     string   `placeholder:"FILE" help:"Write which output came of which input as TSV. CONFIDENTIAL: it leads back to the patients."`
	Jobs    int      `short:"j" placeholder:"N" help:"Files to work on at a time; as many as there are processors unless given."`
}

func (c *deidentifyCmd) Help() string {
	return `Images are cleaned by the profile, by the tables of PS3.15 Annex E, and a gate then searches the result for every identifier that any file of the same patient
revealed. What may carry text in its pixels (ultrasound, screenshots, documents ...), or cannot be proven clean, is held: not written, and listed with its reason.

Exit code 3 says that some inputs were held or refused.`
}

// Run cleans the sources.
func (c *deidentifyCmd) Run(ctx context.Context, cli *CLI, s *streams) error {
	profile, err := profileNamed(c.Profile)
	if err != nil {
		return err
	}
	if c.Jobs < 0 {
		return usage("--jobs: it is at least 1")
	}
	for _, src := range c.Src {
		fi, err := os.Stat(src)
		if err != nil {
			return usage("%w", err)
		}
		if fi.IsDir() && within(c.Out, src) {
			return usage("--out %s lies in the source %s: cleaned and original files would mix; choose a folder elsewhere", c.Out, src)
		}
		if c.Out == src {
			return usage("--out is one of the sources")
		}
	}
	if c.Map != "" && within(c.Map, c.Out) {
		return usage("--map lies in --out: whoever gets the cleaned files would get the names of the patients with them; write it elsewhere")
	}
	if err := targets(c.Out, c.Report, c.Map); err != nil {
		return err
	}
	if c.Key == "" && !profile.AsDeposited {
		if there, err := os.ReadDir(c.Out); err == nil && len(there) > 0 {
			return usage("--out %s is not empty, and without --key this run would give the same patients other pseudonyms than those there: give the key of that run, or an empty folder", c.Out)
		}
	}
	files, err := inputs(c.Src)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usage("there is no file in %s", strings.Join(c.Src, ", "))
	}
	var root [32]byte
	switch {
	case c.Key != "":
		var made bool
		if root, made, err = offline.LoadKey(c.Key); err != nil {
			return usage("--key: %w", err)
		}
		if made && !cli.Quiet {
			s.say("A new key was made in %s. Keep it, apart from the output: with it, later files of the same patients get the same pseudonyms.", c.Key)
		}
	default:
		root = offline.NewKey()
		if !cli.Quiet && !profile.AsDeposited {
			s.say("No --key: pseudonyms are for this run alone, and another run will give others.")
		}
	}
	job := &offline.Job{Out: c.Out, Profile: profile, Root: root, Workers: c.Jobs}
	for _, f := range files {
		job.Inputs = append(job.Inputs, offline.Input{Path: f.path, Why: f.why})
	}
	bar := &progress{}
	job.Pass = func(name string, n int) {
		bar.done()
		bar = s.progress(cli, name, int64(n), unitFiles)
	}
	job.Done = func() { bar.add(1) }
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // what lives is small, and each file leaves as much garbage as its header is long: an eighth of the time
	}
	report, runErr := job.Run(ctx)
	bar.done()
	if report == nil {
		return runErr
	}
	if c.Report != "" {
		err := writeFile(c.Report, 0o644, func(w io.Writer) error { return encodeReport(w, report) })
		if err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if c.Map != "" {
		if err := writeFile(c.Map, 0o600, func(w io.Writer) error { return writeMap(w, files, report) }); err != nil {
			return fmt.Errorf("--map: %w", err)
		}
	}
	if s.json {
		if err := encodeReport(s.out, report); err != nil {
			return err
		}
	} else {
		c.summary(cli, s, report)
	}
	if runErr != nil {
		return runErr
	}
	for _, it := range report.Items {
		if it.Outcome != deid.Cleaned {
			return partial
		}
	}
	return nil
}

// targets reports what could not be written to, before the work rather than after it.
func targets(out string, files ...string) error {
	if fi, err := os.Stat(out); out != "" && err == nil && !fi.IsDir() {
		return usage("--out %s is a file; it has to be a folder", out)
	}
	for _, f := range files {
		if f == "" {
			continue
		}
		fi, err := os.Stat(filepath.Dir(f))
		if err != nil {
			return usage("%s cannot be written: %w", f, err)
		}
		if !fi.IsDir() {
			return usage("%s cannot be written: %s is no folder", f, filepath.Dir(f))
		}
	}
	return nil
}

func encodeReport(w io.Writer, r *deid.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// summary is the report for people: how many, and why not all.
func (c *deidentifyCmd) summary(cli *CLI, s *streams, r *deid.Report) {
	counts := map[deid.Outcome]int{}
	var why reasonTable
	for _, it := range r.Items {
		counts[it.Outcome]++
		if it.Outcome == deid.Cleaned {
			continue
		}
		seen := map[string]bool{}
		for _, reason := range it.Reasons {
			if !seen[reason.Code] {
				why.add(string(it.Outcome), reason.Code, reason.Text, it.Item)
			}
			seen[reason.Code] = true
		}
	}
	fmt.Fprintf(s.out, "%s: %d cleaned, %d held, %d refused\n", count(len(r.Items), "file"), counts[deid.Cleaned], counts[deid.Held], counts[deid.Refused])
	if r.Digest != "" && !cli.Quiet {
		s.say("By %s %s, file %s.", r.Profile, r.Version, r.Digest[:12])
	}
	why.print(s)
	if counts[deid.Held]+counts[deid.Refused] > 0 && c.Report == "" && !cli.Quiet {
		s.say("Nothing was written for what is held or refused. --report FILE lists every item, --map FILE which file it is.")
	}
}

// writeMap writes the confidential link: item, input, its SHA-256, output.
func writeMap(w io.Writer, files []input, r *deid.Report) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "item\tinput\tsha256\toutput\n")
	for i, f := range files {
		sum, err := fileDigest(f.path)
		if err != nil {
			sum = ""
		}
		path, err := filepath.Abs(f.path)
		if err != nil {
			path = f.path
		}
		out := ""
		if o := r.Items[i].Output; o != nil {
			out = *o
		}
		fmt.Fprintf(b, "%d\t%s\t%s\t%s\n", i+1, tsv(path), sum, out)
	}
	return b.Flush()
}

// tsv is a cell of a table with tabs: a file name may hold what parts cells.
func tsv(s string) string {
	return strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`).Replace(s)
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, f, make([]byte, 256<<10)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile replaces a file by what fill writes, or leaves it as it is.
func writeFile(path string, mode os.FileMode, fill func(io.Writer) error) (err error) {
	if path == "-" {
		return errors.New("give a file; --output json prints to standard output")
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".vitrine-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	b := bufio.NewWriter(f)
	if err = fill(b); err != nil {
		return err
	}
	if err = b.Flush(); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
