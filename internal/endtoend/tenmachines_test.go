package endtoend

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	identities "github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The same deposit, key and profile give the same files, to the byte and by name, on ten machines: each of them has another number of processors, other instructions, another clock, language and
// temporary folder, and got the files under other names and in another order.
func TestTenMachines(t *testing.T) {
	subjects := 1
	if testdata.Soak() {
		subjects = 10
	}
	set, err := identities.Generate(identities.Options{Seed: 4711, Subjects: subjects, Encoders: identities.Installed()})
	if err != nil {
		t.Fatal(err)
	}
	deposit := t.TempDir()
	if err := set.Write(deposit); err != nil {
		t.Fatal(err)
	}
	paths := set.Paths(deposit)
	key := filepath.Join(t.TempDir(), "key")
	machines := []struct{ env, args []string }{
		{},
		{env: []string{"GOMAXPROCS=1"}, args: []string{"--jobs", "1"}},
		{env: []string{"GOMAXPROCS=7"}, args: []string{"--jobs", "7"}},
		{env: []string{"GODEBUG=cpu.avx2=off"}},
		{env: []string{"GODEBUG=cpu.all=off"}},
		{env: []string{"TZ=Pacific/Kiritimati"}},
		{env: []string{"TZ=America/Los_Angeles", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8"}},
		{env: []string{"GOGC=5"}, args: []string{"--jobs", "3"}},
		{env: []string{"LANG=ja_JP.SJIS", "LC_ALL=ja_JP.SJIS", "TMPDIR=" + t.TempDir()}},
		{env: []string{"HOME=" + t.TempDir(), "USER=somebody", "HOSTNAME=elsewhere"}, args: []string{"--jobs", "16"}},
	}
	var first map[string][sha256.Size]byte
	var fates map[string]int
	for i, m := range machines {
		folder, out, report := t.TempDir(), filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "report.json")
		r := rand.New(rand.NewPCG(1, uint64(i)))
		for k, n := range r.Perm(len(paths)) {
			to := filepath.Join(folder, fmt.Sprintf("%02d", k%7), fmt.Sprintf("%d-%05d", i, k))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(paths[n], to); err != nil {
				t.Fatal(err)
			}
		}
		ran := command(t, m.env, append([]string{"deidentify", folder, "--out", out, "--key", key, "--report", report, "--quiet"}, m.args...)...)
		if ran.code != 0 && ran.code != 3 { // 3: some are held
			t.Fatalf("machine %d: exit code %d\n%s", i, ran.code, ran.err)
		}
		files, of := digests(t, out), fatesOf(t, report)
		if i == 0 {
			if first, fates = files, of; len(first) < 20*subjects {
				t.Fatalf("only %d files came out", len(first))
			}
			continue
		}
		if a, b := fmt.Sprint(of), fmt.Sprint(fates); a != b {
			t.Errorf("machine %d reports %s, the first %s", i, a, b)
		}
		for name, d := range files {
			if first[name] != d {
				t.Errorf("machine %d wrote another %s", i, name)
			}
		}
		if len(files) != len(first) {
			t.Errorf("machine %d wrote %d files, the first %d", i, len(files), len(first))
		}
	}
	t.Logf("%d files of %d subjects, the same on %d machines", len(first), subjects, len(machines))
}

// digests are those of the files in a folder, by path.
func digests(t *testing.T, folder string) map[string][sha256.Size]byte {
	t.Helper()
	all := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(folder, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, p)
		all[name] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fatesOf is how many inputs a report of deidentify gives each outcome with its reasons.
func fatesOf(t *testing.T, report string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Items []struct {
			Outcome string
			Reasons []struct{ Code, Where string }
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, i := range r.Items {
		all[fmt.Sprint(i.Outcome, i.Reasons)]++
	}
	return all
}
