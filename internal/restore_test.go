package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// Whatever makes tables is known to the restoring of backups: without it no backup of a node that has them can be restored.
func TestRestoreMakesEveryTable(t *testing.T) {
	root := testdata.Root(t)
	text, err := os.ReadFile(filepath.Join(root, "internal/flow/backup/restore.go"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	sources(t, func(pkg, file string) {
		if strings.HasSuffix(file, "_test.go") || pkg == "internal/base/db" || strings.HasPrefix(pkg, "internal/base/db/") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, 0)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Migrate" || len(call.Args) != 3 {
					return true
				}
				seen++
				if name := path.Base(pkg) + "." + fn.Name.Name + "("; !strings.Contains(string(text), name) {
					t.Errorf("makeTables in internal/flow/backup/restore.go does not call %s...): a backup of its tables could not be restored", name)
				}
				return true
			})
		}
	})
	if seen < 15 {
		t.Errorf("only %d rooms were found", seen)
	}
}
