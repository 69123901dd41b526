package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// built is the binary, made once for the run of the tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// vitrine is the path of vitrine, as `make build` makes it.
func vitrine(t testing.TB) string {
	t.Helper()
	root := testdata.Root(t)
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "vitrine-endtoend-"); built.err != nil {
			return
		}
		build := exec.Command("go", "build", "-o", filepath.Join(built.dir, "vitrine"), "./cmd/vitrine")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("build vitrine: %v", built.err)
	}
	return filepath.Join(built.dir, "vitrine")
}

// ran is what a command did.
type ran struct {
	code     int
	out, err []byte
}

// command runs vitrine to its end. env is added to an environment that holds nothing of the caller's own settings.
func command(t testing.TB, env []string, args ...string) ran {
	t.Helper()
	c := exec.CommandContext(t.Context(), vitrine(t), args...)
	c.Env = append(environment(), env...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	r := ran{out: out.Bytes(), err: errs.Bytes()}
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		r.code = e.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

// environment is what a process of the product gets: enough to run, and nothing that configures it.
func environment() []string {
	env := []string{"LC_ALL=C.UTF-8", "TZ=UTC"}
	for _, k := range []string{"PATH", "HOME"} {
		env = append(env, k+"="+os.Getenv(k))
	}
	return env
}
