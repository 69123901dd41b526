package endtoend

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The portal is tried by a browser: web/e2e drives Chromium, and says line by line what it has seen. A line that begins with "not ok" fails the test.

// inBrowser runs a script of web/e2e, and gives it what a busy machine takes.
func inBrowser(t *testing.T, script string, args ...string) {
	t.Helper()
	node := testdata.Program(t, "node")
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		chromium = testdata.Program(t, "chromium")
	}
	web := filepath.Join(testdata.Root(t), "web")
	for what, file := range map[string]string{"the portal's bundle (make web)": "dist/main.js", "the viewer (make web)": "dist/ohif.zip", "Playwright (npm ci in web)": "node_modules/playwright-core/package.json",
		"axe (npm ci in web)": "node_modules/axe-core/axe.min.js"} {
		_, err := os.Stat(filepath.Join(web, file))
		testdata.Require(t, what, err == nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 12*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, node, append([]string{filepath.Join(web, "e2e", script)}, args...)...)
	c.Env = append(os.Environ(), "CHROMIUM="+chromium)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser goes with it
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "not ok") {
			t.Error(lines.Text())
		} else {
			t.Log(lines.Text())
		}
	}
	if err := c.Wait(); err != nil && !t.Failed() {
		t.Error(err)
	}
}

// localhost is the address that a person uses: passkeys want a name.
func (n *served) localhost() string {
	return "http://" + strings.Replace(n.http, "127.0.0.1", "localhost", 1)
}

// firstLink is the link of the first administrator.
func (n *served) firstLink() string {
	n.t.Helper()
	b, err := os.ReadFile(filepath.Join(n.setup.data, "first-sign-in"))
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// write writes instances of studies below dir: the n-th ones, or all.
func write(t *testing.T, dir string, studies []*sample.Study, nth ...int) {
	t.Helper()
	for _, s := range studies {
		if len(nth) == 0 {
			for i := range s.Len() {
				writeOne(t, dir, s, i)
			}
		}
		for _, i := range nth {
			writeOne(t, dir, s, i)
		}
	}
}

func writeOne(t *testing.T, dir string, s *sample.Study, i int) {
	t.Helper()
	in, err := s.Instance(i)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.FromSlash(in.Name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, in.File(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A new person comes, sends a folder and sees it arrive; a steward looks at what is held, publishes, and describes the collection; a researcher finds it and sees it: all with the keyboard.
func TestStory(t *testing.T) {
	n := serve(t, setup{})
	folder := n.fill(t, "tyndale") // what the steward writes of LANTERN is a part of the story
	inBrowser(t, "story.mjs", "--origin", n.localhost(), "--link", n.firstLink(), "--folder", folder, "--out", filepath.Join(testdata.Root(t), "build", "story"))
	n.verify()
}

// Somebody without an account sends a folder by a link, with a break in the middle, and is told what became of each file.
func TestOutside(t *testing.T) {
	n := serve(t, setup{})
	n.admin("collection", "create", "north", "--title", "Scans of the north")
	folder := monday(t, t.TempDir())
	inBrowser(t, "outside.mjs", "--origin", n.localhost(), "--link", n.firstLink(), "--collection", "north", "--folder", folder, "--out", filepath.Join(testdata.Root(t), "build", "outside"))
	b, err := os.ReadFile(n.logged)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "vitrine-link_") {
		t.Error("the log holds a link")
	}
}

// fill makes the trial of the demonstration, with a slice or two of each study and its clinical table, published; the directory's entries that are named; and gives the
// folder of a person who is not in it yet: a CT, an ultrasound image whose pixels are read, and a photograph that waits for a steward.
func (n *served) fill(t *testing.T, entries ...string) (folder string) {
	t.Helper()
	dir := t.TempDir()
	cohorts := sample.Cohorts(1)
	lantern := cohorts[0]
	for _, p := range lantern.People[:60] {
		write(t, filepath.Join(dir, "lantern"), p.Studies[:1], 0, p.Studies[0].Len()-1)
	}
	n.admin("collection", "create", "lantern", "--title", "LANTERN", "--aet", "LANTERN")
	if r := command(t, []string{"VITRINE_TOKEN=" + n.tokens["steward"]}, "deposit", filepath.Join(dir, "lantern"), "--collection", "lantern", "--server", "http://"+n.http); r.code != 0 {
		t.Fatalf("deposit: exit code %d: %s", r.code, r.err)
	}
	table, err := lantern.Clinical()
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(string(table), "\n")
	known := map[string]bool{"patient_id": true}
	for _, p := range lantern.People[:60] {
		known[p.MRN] = true
	}
	var some strings.Builder
	for _, row := range rows {
		if id, _, _ := strings.Cut(row, ","); known[id] {
			some.WriteString(row)
		}
	}
	csv := filepath.Join(dir, "clinical.csv")
	if err := os.WriteFile(csv, []byte(some.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	n.admin("clinical", "import", csv, "--collection", "lantern")
	n.settled("lantern", 120)
	n.admin("release", "publish", "--collection", "lantern")
	if err := sample.WriteEntries(dir); err != nil {
		t.Fatal(err)
	}
	for _, id := range entries {
		n.admin("directory", "import", filepath.Join(dir, "entries", id+".json"), "--id", id, "--publish")
	}
	n.admin("directory", "count")
	return monday(t, dir)
}

// monday writes the folder of a person: a CT, an ultrasound image without a name, and a photograph.
func monday(t *testing.T, dir string) string {
	t.Helper()
	folder := filepath.Join(dir, "Monday's scans")
	for s := range sample.Studies(1) {
		if s.Kind == "CT" {
			write(t, folder, []*sample.Study{s})
			break
		}
	}
	write(t, folder, sample.Cohorts(1)[1].People[1].Studies[1:]) // an ultrasound image without a name, and a photograph
	if err := os.WriteFile(filepath.Join(folder, "Thumbs.db"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// Every page that links lead to, as anybody and as somebody who may do everything: an administrator alone does not see what is held.
func TestPages(t *testing.T) {
	if os.Getenv("VITRINE_SOAK") == "" {
		t.Skip("the long form alone: VITRINE_SOAK=1")
	}
	n := serve(t, setup{})
	n.fill(t, "lantern", "tyndale")
	link := strings.TrimSpace(string(n.admin("user", "add", "Quentin Marlowe", "--role", "admin,steward,depositor,researcher", "--public-url", n.localhost())))
	inBrowser(t, "pages.mjs", "--origin", n.localhost(), "--link", link, "--out", filepath.Join(testdata.Root(t), "build", "pages"))
}
