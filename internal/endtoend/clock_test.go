package endtoend

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// stepping is vitrine built with another time.Now: it adds the seconds that the file of VITRINE_TEST_CLOCK holds, read every 10 ms. What time.Sleep, timers and time.Since go by stays as it is, as when the
// clock of a machine is set.
func stepping(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	b, err := os.ReadFile(source)
	if err != nil {
		t.Skipf("the standard library's source is missing: %v", err)
	}
	const head = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(b), head) != 1 {
		t.Fatal("time.Now is another than it was: write this test anew")
	}
	dir := t.TempDir()
	changed, added := filepath.Join(dir, "time.go"), filepath.Join(dir, "step.go")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(changed, strings.Replace(string(b), head, head+"\tsec += step.Load()\n", 1))
	write(added, `package time

import (
	"sync/atomic"
	"syscall"
)

var step atomic.Int64

func init() {
	name, ok := syscall.Getenv("VITRINE_TEST_CLOCK")
	if !ok {
		return
	}
	take := func() {
		fd, err := open(name)
		if err != nil {
			return
		}
		defer closefd(fd)
		var b [32]byte
		n, _ := read(fd, b[:])
		var v, sign int64 = 0, 1
		for _, c := range b[:max(n, 0)] {
			if c == '-' {
				sign = -1
			} else if c >= '0' && c <= '9' {
				v = 10*v + int64(c-'0')
			}
		}
		step.Store(sign * v)
	}
	take()
	go func() {
		for {
			Sleep(10 * Millisecond)
			take()
		}
	}()
}
`)
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed, filepath.Join(filepath.Dir(source), "step.go"): added}})
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(dir, "overlay.json"), string(overlay))
	out := filepath.Join(dir, "vitrine")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", out, "./cmd/vitrine")
	build.Dir = testdata.Root(t)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, said)
	}
	return out
}

// When the clock of its machine is set, forwards or back, by hours or by years, a node goes on: every door takes, what is in the making becomes visible, the audit log stays whole, nothing that was acknowledged is lost.
func TestClockIsSet(t *testing.T) {
	if !testdata.Soak() {
		t.Skip("builds everything anew: make soak")
	}
	program := stepping(t)
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { clockIsSet(t, program, engine == "postgresql") })
	}
}

func clockIsSet(t *testing.T, program string, postgres bool) {
	clock := filepath.Join(t.TempDir(), "clock")
	set := func(by time.Duration) {
		next := clock + ".new"
		if err := os.WriteFile(next, []byte(strconv.FormatInt(int64(by/time.Second), 10)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, clock); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	n := serve(t, setup{database: database(t, postgres), program: program, env: []string{"VITRINE_TEST_CLOCK=" + clock}})
	shows := func(by time.Duration) {
		t.Helper()
		eventually(t, 10*time.Second, func() error {
			var s struct{ At time.Time }
			a := n.get("/api/status", "admin", "application/json")
			if err := json.Unmarshal(a.body, &s); err != nil || a.code != 200 {
				return fmt.Errorf("status %d, %w: %.200s", a.code, err, a.body)
			}
			if off := s.At.Sub(time.Now().Add(by)); off.Abs() > time.Minute {
				return fmt.Errorf("the node's clock is off by %v", off)
			}
			return nil
		})
	}
	shows(0)
	before := n.look()
	book := newLedger()
	d := n.send(t, book, 700, false, "C-STORE", "STOW-RS", "upload", "SFTP")
	set6, cleaned := sample.SmallSet(701), 0
	const day = 24 * time.Hour
	// Each from the true time: ahead, back to before it was started, years ahead, the beginning of the epoch, and right again.
	for _, by := range []time.Duration{0, 3 * time.Hour, -6 * time.Hour, 400 * day, -400 * day, 9000 * day, time.Duration(-time.Now().Unix()) * time.Second, 0} {
		// Halfway through something.
		at, a := n.upload(kept, 1000, "")
		if a.code != 201 {
			t.Fatalf("upload: status %d %s", a.code, a.body)
		}
		set(by)
		shows(by)
		if a := n.patch(at, 0, strings.NewReader(strings.Repeat("x", 1000))); a.code == 500 || a.err != nil {
			t.Errorf("%v: an upload that had begun: status %d, %v: %s", by, a.code, a.err, a.body)
		}
		d.more(time.Minute, 3, 0)
		for range 2 {
			in, err := set6.Instance(cleaned)
			if err != nil {
				t.Fatal(err)
			}
			if a := n.stow(research, generated("", in)); a.code != 200 {
				t.Fatalf("%v: STOW-RS: status %d, %v %.300s", by, a.code, a.err, a.body)
			}
			cleaned++
		}
		if c := n.settled(research, cleaned); c.Catalogued != cleaned {
			t.Errorf("%v: %+v of %d that came to be cleaned", by, c, cleaned)
		}
		if a := n.do("POST", "/api/collections/"+research+"/releases", "steward", map[string]string{"Content-Type": "application/json"}, strings.NewReader("{}")); a.code/100 != 2 {
			t.Errorf("%v: release: status %d %s", by, a.code, a.body)
		}
		if a := n.get("/collections/"+research+"/dicomweb/series?limit=1", "researcher", "application/dicom+json"); a.code != 200 {
			t.Errorf("%v: QIDO-RS: status %d %s", by, a.code, a.body)
		}
		n.unharmed()
	}
	d.end()
	acked, _ := book.count()
	n.received(kept, acked)
	n.unharmed()
	n.client.CloseIdleConnections()
	eventually(t, 2*time.Minute, func() error {
		if s := n.look(); s.goroutines > before.goroutines+60 {
			return fmt.Errorf("%v goroutines, %v before", s.goroutines, before.goroutines)
		}
		return nil
	})
	if spent := n.look().cpu; spent > 10*time.Minute {
		t.Errorf("it spent %v of CPU", spent)
	}
	n.silent()
	// It is ended and started with a clock that is wrong, and right again.
	n.stop()
	set(-30 * day)
	n.start()
	n.unharmed()
	n.stop()
	set(0)
	n.start()
	n.unharmed()
	n.stop()
	n.admin("audit", "verify")
	n.allThere(book)
}
