// Package internal_test holds the whole tree to its rules: who may import what, and that a restore knows every table.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

const module = "github.com/vitrine-imaging/vitrine"

// A rule forbids imports. Packages are given as paths below the module's root ("internal/door/..." is the folder and all below it), or as whole
// import paths of the standard library and of other modules.
type rule struct {
	in     []string // the packages that it holds for
	not    []string // what they may not import
	except []string // of these, what they may all the same
	why    string
}

// floors from the top down. A package imports from its own floor and from those below.
var floors = []string{"cmd", "internal/node", "internal/door", "internal/flow", "internal/record", "internal/judge", "internal/base", "dicom"}

var rules = slices.Concat(upward(), apart(), []rule{
	{
		in:     []string{"dicom/..."},
		not:    []string{"..."},
		except: []string{"dicom/..."},
		why:    "data sets and associations are a public library: they import nothing of ours",
	},
	{
		in:  []string{"dicom"},
		not: []string{"dicom/network/...", "net/...", "database/sql/...", "os/exec"},
		why: "a data set is read and edited without a network",
	},
	{
		in:  []string{"internal/door/..."},
		not: []string{"internal/base/...", "database/sql/..."},
		why: "a door translates and authenticates, nothing else: what it stores or reads goes through flow and record, where the digest, the decision and the audit are",
	},
	{
		in:     []string{"internal/judge/policy/..."},
		not:    []string{"...", "database/sql/...", "net/...", "os/...", "log/..."},
		except: []string{"internal/judge/policy/...", "net/netip"},
		why:    "a decision is a function of facts: whoever reads it must see all that it depends on, and every case must be testable in a table",
	},
	{
		in:  []string{"internal/judge/..."},
		not: []string{"internal/base/db/...", "internal/base/pack/...", "internal/base/audit/...", "internal/base/jobs/...", "database/sql/...", "net/http/...", "dicom/network/..."},
		why: "the hardest code has to be the easiest to test: no database, no store, no network",
	},
	{
		in:  []string{"internal/flow/federation/..."},
		not: []string{"internal/record/catalogue/...", "internal/record/subject/...", "internal/record/identity/..."},
		why: "what peers tell is written to the directory, and never back into what this node holds itself",
	},
	{
		in:  []string{"internal/base/..."},
		not: []string{"dicom/..."},
		why: "the base keeps bytes and rows: it must work the same for slides, documents and what comes after DICOM",
	},
	{
		in:  []string{"internal/fault/..."},
		not: []string{"..."},
		why: "every floor names its failures with it",
	},
	{
		in:  []string{"internal/client/..."},
		not: []string{"internal/node/...", "internal/door/...", "internal/flow/...", "internal/record/...", "internal/base/..."},
		why: "a client speaks to a node over the network, as everybody else's clients do",
	},
	{
		in:     []string{"internal/sample/..."},
		not:    []string{"..."},
		except: []string{"internal/sample/...", "dicom"},
		why:    "sample data must not depend on the code that it tests, but for the encoding itself",
	},
	{
		in:     []string{"internal/plant/..."},
		not:    []string{"..."},
		except: []string{"internal/plant/...", "dicom"},
		why:    "what scores de-identification must not share the code that it scores, but for the encoding itself",
	},
	{
		in:  []string{"dicom/...", "internal/base/...", "internal/judge/...", "internal/record/...", "internal/flow/...", "internal/door/...", "internal/node"},
		not: []string{"internal/sample/...", "internal/plant/..."},
		why: "a node never makes up patients: only the command line and tests do",
	},
	{
		in:  []string{"cmd/..."},
		not: []string{"database/sql/...", "internal/base/pack/...", "internal/base/jobs/...", "internal/base/audit/..."},
		why: "main assembles: a command that reads or writes a node's data goes through internal/node, or it would pass by the gate and the audit",
	},
	{
		in:  []string{"..."},
		not: []string{"C"},
		why: "one static binary, CGO_ENABLED=0: it runs in any hospital's container, and a C parser never reads a stranger's file in the archive's memory",
	},
	{
		in:  []string{"..."},
		not: []string{"math/rand"},
		why: "math/rand/v2 for samples and jitter; crypto/rand for everything that has to be unguessable",
	},
	{
		in:  []string{"internal/base/keys/...", "internal/judge/...", "internal/record/..."},
		not: []string{"math/rand/v2"},
		why: "a pseudonym, a key or a shift of dates that can be guessed names the patient",
	},
	{
		in:  []string{"..."},
		not: []string{"log"},
		why: "log/slog: structured, with fields that can be checked for identifiers",
	},
	{
		in:  []string{"..."},
		not: []string{"github.com/jackc/pgx/v5/...", "modernc.org/sqlite/...", "github.com/pressly/goose/v3/..."},
		why: "one SQL text for two engines: which of them it is, only internal/base/db knows",
	},
	{
		in:  []string{"..."},
		not: []string{"internal/testdata", "testing"},
		why: "test support does not belong into the binary",
	},
})

// allowed are the packages that a rule of "..." leaves out, and for what.
var allowed = map[string][]string{
	"github.com/jackc/pgx/v5":     {"internal/base/db"},
	"modernc.org/sqlite":          {"internal/base/db"},
	"github.com/pressly/goose/v3": {"internal/base/db"},
	"dicom":                       {"internal/base/codec"}, // pixels have no meaning without their transfer syntax
	"testing":                     {"internal/testdata", "internal/base/db/dbtest", "internal/base/mail/mailtest", "internal/testdata/fhirtest"},
	"internal/testdata":           {"internal/base/db/dbtest", "internal/testdata/fhirtest"},
}

func upward() []rule {
	var rs []rule
	for i, floor := range floors {
		if i == 0 {
			continue
		}
		r := rule{in: []string{floor + "/..."}, why: "imports go down only: a floor knows nothing of who stands on it"}
		for _, above := range floors[:i] {
			r.not = append(r.not, above+"/...")
		}
		rs = append(rs, r)
	}
	return rs
}

// apart keeps the doors from each other.
func apart() []rule {
	var rs []rule
	for _, door := range []string{"dimse", "dicomweb", "sftp", "upload", "api", "portal", "ga4gh", "fhir", "tiles"} {
		own := "internal/door/" + door + "/..."
		rs = append(rs, rule{
			in:     []string{own},
			not:    []string{"internal/door/..."},
			except: []string{own, "internal/door/web/..."},
			why:    "doors stand beside each other: what two of them need belongs to the floor below, or to internal/door/web if it is HTTP and nothing else",
		})
	}
	return append(rs, rule{
		in:     []string{"internal/door/web/..."},
		not:    []string{"internal/door/...", "internal/flow/...", "internal/record/..."},
		except: []string{"internal/door/web/..."},
		why:    "what the HTTP doors share is about HTTP: requests, answers, limits",
	})
}

// matches reports whether the package fits the pattern; "..." alone means every package of this module.
func matches(pattern, pkg string, ours bool) bool {
	if pattern == "..." {
		return ours
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pkg == pattern
}

func matchesAny(patterns []string, pkg string, ours bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg, ours) })
}

// forbidden says why the package may not import the other; "" if it may. Packages of this module are given below its root.
func forbidden(from, to string, ours bool) string {
	for prefix, who := range allowed {
		if matches(prefix+"/...", to, ours) && matchesAny(who, from, true) {
			return ""
		}
	}
	for _, r := range rules {
		if matchesAny(r.in, from, true) && matchesAny(r.not, to, ours) && !matchesAny(r.except, to, ours) {
			return r.why
		}
	}
	return ""
}

// sources calls fn for each Go file of the module with its package's folder below the root.
func sources(t *testing.T, fn func(pkg, file string)) {
	t.Helper()
	root := testdata.Root(t)
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if n := e.Name(); p != root && (strings.HasPrefix(n, ".") || n == "node_modules" || n == "bin" || n == "build" || n == "demo-data") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		fn(path.Dir(rel), rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestForbiddenImports(t *testing.T) {
	root := testdata.Root(t)
	seen := 0
	sources(t, func(pkg, file string) {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(pkg, "/internal/gen") {
			return // tests may reach across floors; generators of tables are no part of the binary
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		for _, spec := range f.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			below, ours := strings.CutPrefix(to, module+"/")
			if why := forbidden(pkg, below, ours); why != "" {
				t.Errorf("%s imports %s: %s", file, below, why)
			}
		}
	})
	if seen == 0 {
		t.Fatal("no Go file was found")
	}
}

// The list itself is tried: what it is there for must be refused, and what everybody does must pass.
func TestRulesRefuse(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ours     bool
		refused  bool
	}{
		{"dicom", "internal/fault", true, true},
		{"dicom", "bytes", false, false},
		{"dicom", "dicom/network", true, true},
		{"dicom/network", "dicom", true, false},
		{"dicom/network", "internal/base/db", true, true},
		{"dicom/network", "net", false, false},
		{"internal/base/db", "internal/record/subject", true, true},
		{"internal/base/db", "github.com/jackc/pgx/v5/stdlib", false, false},
		{"internal/base/keys", "internal/base/db", true, false},
		{"internal/base/pack", "dicom", true, true},
		{"internal/base/codec", "dicom", true, false},
		{"internal/record/catalogue", "modernc.org/sqlite", false, true},
		{"internal/record/catalogue", "internal/base/db", true, false},
		{"internal/record/catalogue", "internal/flow/custody", true, true},
		{"internal/door/dicomweb", "internal/base/pack", true, true},
		{"internal/door/dicomweb", "internal/door/api", true, true},
		{"internal/door/dicomweb", "internal/flow/custody", true, false},
		{"internal/flow/custody", "internal/door/dimse", true, true},
		{"internal/judge/policy", "internal/fault", true, true},
		{"internal/judge/policy", "slices", false, false},
		{"internal/judge/deid", "dicom", true, false},
		{"internal/judge/deid", "internal/base/db", true, true},
		{"internal/judge/deid", "math/rand/v2", false, true},
		{"internal/sample", "math/rand/v2", false, false},
		{"internal/node", "internal/testdata", true, true},
		{"internal/base/db/dbtest", "testing", false, false},
		{"internal/base/db", "testing", false, true},
		{"cmd/vitrine", "internal/sample", true, false},
		{"cmd/vitrine", "internal/base/pack", true, true},
		{"internal/node", "internal/base/pack", true, false},
		{"internal/node", "C", false, true},
	} {
		if got := forbidden(c.from, c.to, c.ours) != ""; got != c.refused {
			t.Errorf("%s imports %s: refused %v, want %v", c.from, c.to, got, c.refused)
		}
	}
}

// A name that could hold anything soon does.
func TestPackageNames(t *testing.T) {
	vague := []string{"util", "utils", "common", "types", "helpers", "helper", "misc", "shared"}
	told := map[string]bool{}
	sources(t, func(pkg, _ string) {
		for _, part := range strings.Split(pkg, "/") {
			if slices.Contains(vague, part) && !told[pkg] {
				told[pkg] = true
				t.Errorf("%s: name a package after what it holds", pkg)
			}
		}
	})
}
