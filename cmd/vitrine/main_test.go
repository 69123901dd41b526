package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// The scripts run the test binary itself as vitrine: real processes, real signals, real sockets.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vitrine": main})
}

func TestScripts(t *testing.T) { scripts(t, "") }

// The stories of a node once more, on PostgreSQL.
func TestScriptsOnPostgreSQL(t *testing.T) {
	dbtest.PostgresURL(t) // skips the test where there is none
	scripts(t, "PostgreSQL", "testdata/script/story.txtar", "testdata/script/resume.txtar", "testdata/script/admin.txtar", "testdata/script/key.txtar", "testdata/script/reidentify.txtar")
}

func scripts(t *testing.T, engine string, files ...string) {
	collection := filepath.Join(t.TempDir(), "sample")
	if _, err := sample.Write(collection, 1); err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{}
	names := map[string]bool{} // of people, as they stand in file names
	for s := range sample.Studies(1) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(collection, filepath.FromSlash(in.Name))
		names[strings.Split(filepath.ToSlash(in.Name), "/")[0]] = true
		if _, ok := folders[s.Kind]; !ok {
			folders[s.Kind] = filepath.Dir(filepath.Dir(path))
			if s.Kind == "US" || s.Kind == "DOC" {
				folders[s.Kind] = path
			}
		}
	}
	for _, s := range sample.Cohorts(1)[1].People[1].Studies {
		if s.Kind != "XC" {
			continue
		}
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		folders["XC"] = filepath.Join(collection, "photograph.dcm")
		names[strings.Split(filepath.ToSlash(in.Name), "/")[0]] = true
		if err := os.WriteFile(folders["XC"], in.File(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir := "testdata/script"
	if len(files) > 0 {
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SAMPLE", collection)
			e.Setenv("CT", folders["CT"])
			e.Setenv("MG", folders["MG"])
			e.Setenv("US", folders["US"])
			e.Setenv("PETCT", folders["PET/CT"])
			e.Setenv("XC", folders["XC"])
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", filepath.Join(e.WorkDir, "state"))
			for _, v := range os.Environ() { // of whoever runs the tests
				if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "VITRINE_") {
					e.Setenv(name, "")
				}
			}
			if engine != "" {
				e.Setenv("VITRINE_DATABASE", dbtest.PostgresURL(t))
			}
			e.Values["names"] = names
			e.Values["nodes"] = map[string]*running{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"node":     startNode,
			"end":      stopNode,
			"crash":    crashNode,
			"exitcode": exitCode,
			"settled":  settled,
			"until":    until,
			"nonames":  noNames,
			"damage":   damage,
			"jsonhas":  jsonHas,
			"sametree": sameTree,
			"linkname": linkName,
		},
	})
}

// running is a node that a script has started.
type running struct {
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan error
}

// startNode runs `vitrine serve` with the arguments, waits for its line, and sets $NAME_http, $NAME_dicom; VITRINE_SERVER is the last node's address.
//
//	node NAME --data DIR ...
func startNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: node NAME FLAG...")
	}
	self, err := exec.LookPath("vitrine")
	if err != nil {
		self = filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "vitrine")
	}
	cmd := exec.Command(self, append([]string{"serve", "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, k := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR", "VITRINE_DATABASE", "VITRINE_KEY"} {
		cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
	}
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(args[0] + ".log"))
	ts.Check(err)
	cmd.Stderr = log
	ts.Check(cmd.Start())
	log.Close()
	r := &running{cmd: cmd, out: &bytes.Buffer{}, done: make(chan error, 1)}
	line := make(chan string, 1)
	go func() {
		b := bufio.NewReader(stdout)
		first, _ := b.ReadString('\n')
		line <- first
		io.Copy(r.out, b)
		r.done <- cmd.Wait()
	}()
	ts.Value("nodes").(map[string]*running)[args[0]] = r
	ts.Defer(func() {
		if r.cmd.ProcessState == nil {
			r.cmd.Process.Kill()
		}
	})
	var ready string
	select {
	case ready = <-line:
	case <-time.After(60 * time.Second):
		ts.Fatalf("the node did not become ready")
	}
	fields := strings.Fields(ready)
	if len(fields) < 2 || fields[0] != "ready" {
		b, _ := os.ReadFile(ts.MkAbs(args[0] + ".log"))
		ts.Fatalf("the node said %q; its log:\n%s", ready, b)
	}
	for _, f := range fields[1:] {
		k, v, _ := strings.Cut(f, "=")
		ts.Setenv(args[0]+"_"+k, v)
		if k == "http" {
			ts.Setenv("VITRINE_SERVER", v)
		}
	}
}

func started(ts *testscript.TestScript, args []string) *running {
	if len(args) != 1 {
		ts.Fatalf("which node?")
	}
	r := ts.Value("nodes").(map[string]*running)[args[0]]
	if r == nil {
		ts.Fatalf("there is no node %s", args[0])
	}
	return r
}

// stopNode asks a node to end, and expects that it drains and exits 0, having printed one line alone, or a demonstration's link too. It is called end: stop is testscript's own, and ends the script.
func stopNode(ts *testscript.TestScript, neg bool, args []string) {
	r := started(ts, args)
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-r.done:
		ts.Check(err)
	case <-time.After(60 * time.Second):
		ts.Fatalf("the node did not end")
	}
	if out := r.out.String(); out != "" && !strings.HasPrefix(out, "open http") { // a demonstration's link
		ts.Fatalf("the node printed more than one line: %s", out)
	}
}

// crashNode kills a node without warning.
func crashNode(ts *testscript.TestScript, neg bool, args []string) {
	r := started(ts, args)
	ts.Check(r.cmd.Process.Kill())
	<-r.done
}

// exitCode runs a command and expects an exit code.
//
//	exitcode 3 vitrine deposit ...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		got = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, expected %d", got, want)
	}
}

// until runs a command again and again until its output matches: for what a node does by itself a moment later. What the pattern has in parentheses is $found.
//
//	until PATTERN COMMAND ARGUMENT...
func until(ts *testscript.TestScript, neg bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		if ts.Exec(args[1], args[2:]...) != nil {
			continue
		}
		if m := want.FindStringSubmatch(ts.ReadFile("stdout")); m != nil {
			if len(m) > 1 {
				ts.Setenv("found", m[1])
			}
			return
		}
	}
	ts.Fatalf("never: %s", args[0])
}

// settled waits until nothing of a collection waits to be admitted.
//
//	settled DIR COLLECTION
func settled(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); {
		cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "vitrine"), "collection", "show", args[1], "--data", ts.MkAbs(args[0]), "--output", "json")
		cmd.Env = append(os.Environ(), "VITRINE_DATABASE="+ts.Getenv("VITRINE_DATABASE"))
		b, err := cmd.Output()
		ts.Check(err)
		var v admin.CollectionView
		ts.Check(json.Unmarshal(b, &v))
		if v.Intake.Received > 0 && v.Intake.Pending == 0 {
			return
		}
	}
	ts.Fatalf("deposits are still pending after a minute")
}

// noNames expects that no file in a folder, and no file's name, holds the name or number of a person of the sample.
func noNames(ts *testscript.TestScript, neg bool, args []string) {
	var needles [][]byte
	for n := range ts.Value("names").(map[string]bool) {
		for p := range strings.SplitSeq(n, "_") {
			if len(p) >= 5 {
				needles = append(needles, bytes.ToUpper([]byte(p)))
			}
		}
	}
	if len(needles) == 0 {
		ts.Fatalf("there is no name to look for")
	}
	for _, root := range args {
		err := filepath.WalkDir(ts.MkAbs(root), func(p string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			b := []byte(e.Name())
			if !e.IsDir() {
				c, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				b = append(b, c...)
			}
			b = bytes.ToUpper(b)
			for _, n := range needles {
				if bytes.Contains(b, n) {
					return fmt.Errorf("%s holds a name", e.Name())
				}
			}
			return nil
		})
		ts.Check(err)
	}
}

// damage flips a bit in the middle of the largest file in a folder.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	var largest string
	var size int64
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(p string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if fi, err := e.Info(); err == nil && fi.Size() > size {
				largest, size = p, fi.Size()
			}
		}
		return err
	})
	ts.Check(err)
	f, err := os.OpenFile(largest, os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, size/2)
	ts.Check(err)
	b[0] ^= 4
	_, err = f.WriteAt(b, size/2)
	ts.Check(err)
}

// jsonHas looks into the last command's JSON: jsonhas .counts.kept 24
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	src := ts.ReadFile("stdout")
	if len(args) == 3 {
		src = ts.ReadFile(args[2])
	}
	ts.Check(json.Unmarshal([]byte(src), &v))
	for k := range strings.SplitSeq(strings.TrimPrefix(args[0], "."), ".") {
		switch c := v.(type) {
		case map[string]any:
			v = c[k]
		case []any:
			if k == "length" {
				v = float64(len(c))
				continue
			}
			i, err := strconv.Atoi(k)
			ts.Check(err)
			if i >= len(c) {
				ts.Fatalf("there is no element %d", i)
			}
			v = c[i]
		default:
			ts.Fatalf("there is no %s", args[0])
		}
	}
	if got := fmt.Sprint(v); (got == args[1]) == neg {
		ts.Fatalf("%s is %s", args[0], got)
	}
}

// sameTree expects the same files with the same bytes in two folders.
func sameTree(ts *testscript.TestScript, neg bool, args []string) {
	read := func(root string) map[string]string {
		m := map[string]string{}
		root = ts.MkAbs(root)
		ts.Check(filepath.WalkDir(root, func(p string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			sum, err := fileDigest(p)
			rel, _ := filepath.Rel(root, p)
			m[rel] = sum
			return err
		}))
		return m
	}
	a, b := read(args[0]), read(args[1])
	same := len(a) == len(b) && len(a) > 0
	for k, v := range a {
		same = same && b[k] == v
	}
	if same == neg {
		ts.Fatalf("the same: %v (%d and %d files)", same, len(a), len(b))
	}
}

// linkName sets a variable to the first word of the last command's output that has a prefix.
//
//	linkname VARIABLE PREFIX
func linkName(ts *testscript.TestScript, neg bool, args []string) {
	for _, w := range strings.Fields(ts.ReadFile("stdout")) {
		if strings.HasPrefix(w, args[1]) {
			ts.Setenv(args[0], w)
			return
		}
	}
	ts.Fatalf("no word begins with %q", args[1])
}
