// Package testdata finds what tests need from outside the repository: the folder of real files beside it, and programs that a machine may lack.
// What is absent skips the test, saying its name; with VITRINE_REQUIRE=all in the environment it fails it instead.
package testdata

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Shared is the folder ../shared beside the module's root. It lies outside the repository, so its absence is a skip even where everything else
// is required.
func Shared(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(Root(t)), "shared")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the folder of real files, ../shared, is absent")
	}
	return dir
}

// Root is the module's root.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

// Require skips the test, naming what is missing, unless ok; it fails it where VITRINE_REQUIRE=all.
func Require(t testing.TB, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("VITRINE_REQUIRE") == "all" {
		t.Fatalf("%s is required and absent", what)
	}
	t.Skipf("%s is absent", what)
}

// Program is the path of an executable, found on the PATH or in the given folders.
func Program(t testing.TB, name string, folders ...string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range folders {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); err == nil && fi.Mode()&0o111 != 0 {
			return p
		}
	}
	Require(t, name, false)
	return ""
}

// Soak reports whether a test's longer form is asked for, as `make soak` does.
func Soak() bool { return os.Getenv("VITRINE_SOAK") != "" }

// Validator is dciodvfy of dicom3tools.
type Validator struct{ program string }

// NewValidator finds it, or ends the test as [Program] does.
func NewValidator(t testing.TB) Validator {
	t.Helper()
	return Validator{Program(t, "dciodvfy")}
}

var valueShown = regexp.MustCompile(`<[0-9][^>]*>|UID [0-9.]+|\d{6,}|[0-9.]{12,}`)

// Errors are the kinds of errors that it sees in a file, without values.
func (v Validator) Errors(path string) map[string]bool {
	said, _ := exec.Command(v.program, path).CombinedOutput() // its status says nothing that its output does not
	out := map[string]bool{}
	for line := range strings.Lines(string(said)) {
		if strings.HasPrefix(line, "Error") {
			out[valueShown.ReplaceAllString(strings.TrimSpace(line), "")] = true
		}
	}
	return out
}
