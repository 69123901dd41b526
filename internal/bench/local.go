//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// A tool cleans the files of one folder into another, or in place.
type tool struct {
	name    string
	needs   string // program
	inPlace bool
	args    func(in, out string) []string
}

// What the peers change is what each can with reasonable effort: eight elements, where Vitrine applies all of PS3.15 Annex E and searches the result.
// cp is the floor.
func (b *bench) tools() []tool {
	vitrine := func(name, path string) tool {
		return tool{name: name, needs: path, args: func(in, out string) []string {
			return []string{path, "deidentify", in, "--out", out, "--report", out + ".json", "--quiet"}
		}}
	}
	all := []tool{vitrine("vitrine", b.vitrine)}
	for _, also := range strings.FieldsFunc(b.also, func(r rune) bool { return r == ',' }) {
		name, path, _ := strings.Cut(also, "=")
		all = append(all, vitrine(name, path))
	}
	for _, t := range []tool{
		{name: "gdcmanon", needs: "gdcmanon", args: func(in, out string) []string {
			args := []string{"gdcmanon", "--dumb", "--recursive", "--continue", "--empty", "10,10", "--empty", "10,20"}
			for _, tag := range []string{"10,30", "10,1040", "8,80", "8,90", "8,1050", "10,21b0"} {
				args = append(args, "--remove", tag)
			}
			return append(args, "-i", in, "-o", out)
		}},
		{name: "dcmodify", needs: "dcmodify", inPlace: true, args: func(_, out string) []string {
			args := "dcmodify -q -nb -m '(0010,0010)=ANON' -m '(0010,0020)=ANON'"
			for _, tag := range []string{"0010,0030", "0010,1040", "0008,0080", "0008,0090", "0008,1050", "0010,21B0"} {
				args += " -ea '(" + tag + ")'"
			}
			return []string{"sh", "-c", `find "$0" -name '*.dcm' -print0 | xargs -0 -n 200 ` + args, out}
		}},
		{name: "cp", needs: "cp", args: func(in, out string) []string { return []string{"cp", "-r", in + "/.", out} }},
	} {
		if !b.leftOut(t.name) {
			all = append(all, t)
		}
	}
	return all
}

func (b *bench) deidentify(ctx context.Context) error {
	studies := b.scaled(20, 1)
	n := studies * sample.PerStudy
	in, out := filepath.Join(b.dir, "in"), filepath.Join(b.dir, "out")
	defer os.RemoveAll(in)
	if err := sample.FullSet(fullSeed).Write(in, studies); err != nil {
		return err
	}
	b.report.title(fmt.Sprintf("%s, %d files of 527 kB", deidentifyFull, n))
	for round := range b.rounds {
		for _, t := range b.tools() {
			if program(t.needs) == "" {
				if round == 0 {
					fmt.Printf("  skipped: %s is not installed\n", t.name)
				}
				continue
			}
			l, err := b.clean(ctx, t, in, out, n, round)
			if err := errors.Join(err, os.RemoveAll(out)); err != nil {
				return err
			}
			if err := b.report.add(l); err != nil {
				return err
			}
		}
	}
	b.report.table(deidentifyFull)
	return nil
}

func (b *bench) clean(ctx context.Context, t tool, in, out string, n, round int) (measurement, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return measurement{}, err
	}
	if t.inPlace {
		if err := exec.CommandContext(ctx, "cp", "-r", in+"/.", out).Run(); err != nil {
			return measurement{}, err
		}
	}
	syscall.Sync()
	args := t.args(in, out)
	said := &strings.Builder{}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	m := begin(0)
	largest, err := watched(cmd)
	r := m.end()
	if err != nil {
		text := said.String()
		return measurement{}, fmt.Errorf("%s: %w: %s", t.name, err, text[max(0, len(text)-600):])
	}
	r.server, r.peakMB = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), largest
	r.foreign = max(0, r.foreign-share(r.server, r.took))
	wrote, size, err := written(out)
	if err != nil {
		return measurement{}, err
	}
	l := line(deidentifyFull, t.name, round, &tally{ops: wrote, bytes: size}, r, r.took)
	if wrote != n {
		l.Note = fmt.Sprintf("%d of %d files", wrote, n)
	}
	return l, nil
}

// watched runs a program and looks now and then at its memory. The kernel's own account at its end would not do: a process begins with the peak of the
// one that started it.
func watched(cmd *exec.Cmd) (largest float64, err error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	seen := make(chan float64)
	go func() {
		var top float64
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for {
			top = max(top, familyPeak(cmd.Process.Pid))
			select {
			case <-ended:
				seen <- top
				return
			case <-every.C:
			}
		}
	}()
	err = cmd.Wait()
	close(ended)
	return <-seen, err
}

// written counts files and their bytes.
func written(dir string) (n int, size int64, err error) {
	err = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n++
			size += info.Size()
		}
		return err
	})
	return n, size, err
}

// limits are those of the machine: nobody who keeps what he acknowledges can be faster.
func (b *bench) limits(ctx context.Context) error {
	n := b.scaled(600, 40)
	instance, err := made(sample.FullSet(fullSeed), min(n, 100))
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "limits")
	b.report.title(fmt.Sprintf("limits of the machine, %d times 527 kB", n))
	for round := range b.rounds {
		for _, x := range []struct {
			test string
			work func(io.Writer, []byte, int) error
			one  bool // one file, synced at its end
		}{
			{test: "one file, one fdatasync", one: true, work: func(f io.Writer, p []byte, _ int) error { _, err := f.Write(p); return err }},
			{test: "a file and an fsync each", work: func(_ io.Writer, p []byte, i int) error { return durable(filepath.Join(dir, fmt.Sprint(i)), p) }},
			{test: "SHA-256, one processor", work: func(_ io.Writer, p []byte, _ int) error { sha256.Sum256(p); return nil }},
		} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			syscall.Sync()
			t := &tally{}
			m := begin(0)
			err := func() error {
				f, err := os.Create(filepath.Join(dir, "one"))
				if err != nil {
					return err
				}
				defer f.Close()
				for i := range n {
					if err := ctx.Err(); err != nil {
						return err
					}
					in, _ := instance(i % 100)
					began := time.Now()
					if err := x.work(f, in.File(), i); err != nil {
						return err
					}
					t.done(1, int64(len(in.File())), time.Since(began))
				}
				if x.one {
					return syscall.Fdatasync(int(f.Fd()))
				}
				return nil
			}()
			r := m.end()
			r.server = ownTime() - m.own
			if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
				return err
			}
			if err := b.report.add(line(x.test, "limit", round, t, r, r.took)); err != nil {
				return err
			}
		}
	}
	for _, test := range []string{"one file, one fdatasync", "a file and an fsync each", "SHA-256, one processor"} {
		b.report.table(test)
	}
	return nil
}

func durable(name string, p []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(p); err != nil {
		return err
	}
	return f.Sync()
}
