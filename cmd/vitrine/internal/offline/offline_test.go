package offline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// files are a few instances of every kind in the sample, beside one that is no DICOM, one that is cut short, the same twice, and two that contradict each other.
func files(t *testing.T) []Input {
	t.Helper()
	dir := t.TempDir()
	var all []Input
	add := func(name string, b []byte) {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all = append(all, Input{Path: p})
	}
	kinds := map[string]bool{}
	for s := range sample.Studies(1) {
		if kinds[s.Kind] || s.Kind == "MG" { // large
			continue
		}
		kinds[s.Kind] = true
		for i := range min(3, s.Len()) {
			in, err := s.Instance(i)
			if err != nil {
				t.Fatal(err)
			}
			add(s.Kind[:2]+string(rune('a'+i)), in.File())
			if s.Kind == "CT" && i == 0 {
				add("twice", in.File())
				add("cut", in.File()[:len(in.File())/2])
			}
			if s.Kind == "CT" && i == 1 {
				other := bytes.Clone(in.File())
				other[len(other)-1] ^= 1
				add("contradicts", other)
			}
		}
	}
	add("text", []byte("Shopping list: milk, bread."))
	return append(all, Input{Path: filepath.Join(dir, "gone")}, Input{Path: "x", Why: "it is a symbolic link"})
}

func clean(ctx context.Context, t testing.TB, in []Input, out string, workers int) *deid.Report {
	p, err := deid.Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&Job{Inputs: in, Out: out, Profile: p, Root: [32]byte{7}, Workers: workers}).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tree(t testing.TB, root string) map[string][32]byte {
	m := map[string][32]byte{}
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		m[rel] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryInputIsAccountedFor(t *testing.T) {
	in := files(t)
	out := filepath.Join(t.TempDir(), "out")
	r := clean(t.Context(), t, in, out, 2)
	want := map[string]string{"cut": "truncated", "text": "not-dicom", "gone": "unreadable-file", "x": "unreadable-file", "CTb": "conflict", "contradicts": "conflict", "USa": "burned-in-text"}
	written := tree(t, out)
	for i, it := range r.Items {
		name := filepath.Base(in[i].Path)
		if it.Item != i+1 {
			t.Errorf("item %d is numbered %d", i+1, it.Item)
		}
		if code := want[name]; code != "" {
			if it.Outcome == deid.Cleaned || it.Output != nil || len(it.Reasons) == 0 || it.Reasons[0].Code != code {
				t.Errorf("%s: %s %v, want %s", name, it.Outcome, it.Reasons, code)
			}
			continue
		}
		if it.Output == nil {
			if it.Outcome == deid.Cleaned || len(it.Reasons) == 0 {
				t.Errorf("%s: %s without an output or a reason", name, it.Outcome)
			}
			continue
		}
		if _, ok := written[*it.Output]; !ok {
			t.Errorf("%s: its output is not there", name)
		}
	}
	if len(written) == 0 {
		t.Error("nothing was written")
	}
}

// The same set of inputs gives the same files, whatever their order and however many work.
func TestOrderDoesNotMatter(t *testing.T) {
	in := files(t)
	want := tree(t, func() string {
		out := filepath.Join(t.TempDir(), "out")
		clean(t.Context(), t, in, out, 1)
		return out
	}())
	rapid.Check(t, func(rt *rapid.T) {
		some := rapid.Permutation(in).Draw(rt, "order")
		out, err := os.MkdirTemp(t.TempDir(), "out")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(out)
		clean(t.Context(), t, some, out, rapid.IntRange(1, 8).Draw(rt, "workers"))
		got := tree(t, out)
		if len(got) != len(want) {
			rt.Fatalf("%d files, want %d", len(got), len(want))
		}
		for k, v := range want {
			if got[k] != v {
				rt.Fatal("a file differs")
			}
		}
	})
}

func TestWhatIsThereIsNotReplaced(t *testing.T) {
	in := files(t)
	out := filepath.Join(t.TempDir(), "out")
	first := clean(t.Context(), t, in, out, 2)
	i := slices.IndexFunc(first.Items, func(it deid.Item) bool { return it.Output != nil && len(it.Reasons) == 0 })
	path := filepath.Join(out, *first.Items[i].Output)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, tempPrefix+"x.tmp"), []byte("left over"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := clean(t.Context(), t, in, out, 2)
	if it := again.Items[i]; it.Outcome != deid.Held || it.Reasons[0].Code != "output-exists" {
		t.Errorf("%s %v", it.Outcome, it.Reasons)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if left, _ := filepath.Glob(filepath.Join(out, tempPrefix+"*")); len(left) > 0 {
		t.Error("temporary files are left")
	}
}

// After an interruption whatever has its name is whole, and the report lists the rest as held.
func TestInterruption(t *testing.T) {
	in := files(t)
	out := filepath.Join(t.TempDir(), "out")
	p, _ := deid.Lookup("research")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	job := &Job{Inputs: in, Out: out, Profile: p, Root: [32]byte{7}, Workers: 1, Done: func() {
		if n++; n == len(in)+2 { // in the second pass
			cancel()
		}
	}}
	r, err := job.Run(ctx)
	if err == nil || r == nil {
		t.Fatalf("%v, %v", r, err)
	}
	held := 0
	for _, it := range r.Items {
		if len(it.Reasons) > 0 && it.Reasons[0].Code == "interrupted" {
			held++
		}
	}
	if held == 0 {
		t.Error("nobody is told that inputs are left")
	}
	partial := tree(t, out)
	clean(t.Context(), t, in, out, 2)
	whole := tree(t, out)
	for k, v := range partial {
		if whole[k] != v {
			t.Error("a file was not whole")
		}
	}
	if len(whole) <= len(partial) {
		t.Error("the second run added nothing")
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	a, made, err := LoadKey(path)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	b, made, err := LoadKey(path)
	if err != nil || made || a != b || a == [32]byte{} {
		t.Error("a key does not come back")
	}
	bare := filepath.Join(dir, "bare")
	if err := os.WriteFile(bare, a[:], 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := LoadKey(bare); err != nil || c != a {
		t.Error("32 bare bytes are a key", err)
	}
	for name, text := range map[string]string{"short": "abc", "master": "vitrine-master-key-1\nAAAA\n", "empty": "", "long": string(a[:]) + "x"} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadKey(p); err == nil {
			t.Errorf("%s passes as a key", name)
		}
	}
	if err := os.Chmod(bare, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadKey(bare); err == nil {
		t.Error("a key that everybody can read passes")
	}
}
