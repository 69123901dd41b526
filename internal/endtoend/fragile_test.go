package endtoend

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// breaking is a file system of its own, ext4 in a file, that turns read-only when it is told that it has an error, as a failing disk does; whoever has files open there
// for writing is refused from then on.
type breaking struct {
	t                  *testing.T
	image, dir, device string
}

func newBreaking(t *testing.T, size int) *breaking {
	t.Helper()
	for _, program := range []string{"mkfs.ext4", "e2fsck", "mount", "umount"} {
		testdata.Program(t, program, "/usr/sbin", "/sbin")
	}
	b := &breaking{t: t, image: filepath.Join(t.TempDir(), "disk"), dir: t.TempDir()}
	if err := os.WriteFile(b.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(b.image, int64(size)<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testdata.Program(t, "mkfs.ext4", "/usr/sbin", "/sbin"), "-q", "-F", b.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v %s", err, out)
	}
	if err := b.mount(); err != nil {
		testdata.Require(t, "the right to mount a file system on a loop device (root)", os.Geteuid() != 0)
		t.Skipf("a file system cannot be mounted on a loop device: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(b.dir, syscall.MNT_DETACH) })
	return b
}

func (b *breaking) mount() error {
	if out, err := exec.Command("mount", "-o", "loop,errors=remount-ro", b.image, b.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, bytes.TrimSpace(out))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == b.dir {
			b.device = filepath.Base(f[0])
			return nil
		}
	}
	return fmt.Errorf("it is not mounted")
}

// breaks has the kernel find an error.
func (b *breaking) breaks() {
	b.t.Helper()
	if err := os.WriteFile("/sys/fs/ext4/"+b.device+"/trigger_fs_error", []byte("1"), 0); err != nil {
		b.t.Skipf("the kernel takes no error of ext4 on demand: %v", err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "probe"), nil, 0o600); err == nil {
		b.t.Fatal("the file system is not read-only")
	}
}

// mended is what an administrator does with such a disk. Nobody may have it open.
func (b *breaking) mended() {
	b.t.Helper()
	eventually(b.t, 20*time.Second, func() error { return syscall.Unmount(b.dir, 0) })
	out, err := exec.Command(testdata.Program(b.t, "e2fsck", "/usr/sbin", "/sbin"), "-fy", b.image).CombinedOutput()
	if code := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &code) || code.ExitCode() > 1) { // 1: it was mended
		b.t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	if err := b.mount(); err != nil {
		b.t.Fatal(err)
	}
}

// When the disk of the data folder turns read-only, everybody is refused by every door and told to come again; when the disk is mended and the
// node started again, nothing that was acknowledged is lost.
func TestDiskTurnsReadOnly(t *testing.T) {
	engines := []bool{false}
	if testdata.Soak() {
		engines = append(engines, true)
	}
	for _, postgres := range engines {
		t.Run(map[bool]string{false: "sqlite", true: "postgresql"}[postgres], func(t *testing.T) {
			disk := newBreaking(t, 96)
			n := serve(t, setup{data: filepath.Join(disk.dir, "data"), database: database(t, postgres)})
			book := newLedger()
			first := generated("", must(sample.FullSet(650).Instance(0)))
			if a := n.stow(kept, first); a.code != 200 {
				t.Fatalf("status %d, %v", a.code, a.err)
			}
			book.note(first.fingerprint(), true)
			if err := n.same(first); err != nil {
				t.Fatal(err)
			}
			d := n.send(t, book, 651, false, "C-STORE", "STOW-RS", "upload", "SFTP")
			d.more(time.Minute, 3, 0)
			disk.breaks()
			d.more(time.Minute, 0, 3)
			d.end()
			if err := n.echo(); err != nil {
				t.Errorf("C-ECHO: %v", err)
			}
			for path, want := range map[string]int{"/healthz": 200, "/": 200} {
				if a := n.get(path, "", "text/html"); a.code != want {
					t.Errorf("%s: status %d, %v: %.300s", path, a.code, a.err, a.body)
				}
			}
			// Where the database is on it, what came last is not catalogued, and who gets what cannot be noted: questions are refused too, and nobody is kept waiting.
			a := n.get(first.place(), "steward", "application/dicom; transfer-syntax=*")
			if refused := a.code == 503 && a.header.Get("Retry-After") != ""; refused == postgres || postgres && a.code != 200 {
				t.Errorf("WADO-RS: status %d, %v", a.code, a.err)
			}
			n.silent()
			// A start is refused with a reason as long as the disk is as it is.
			n.kill()
			r := n.run("serve", "--http", "127.0.0.1:0", "--dicom", "off", "--sftp", "off")
			if r.code == 0 || len(r.err) == 0 || bytes.Contains(r.err, []byte("goroutine")) {
				t.Errorf("on a read-only disk it ended with %d: %s", r.code, r.err)
			}
			t.Logf("a start on it: exit code %d, %s", r.code, bytes.TrimSpace(r.err))
			disk.mended()
			n.start()
			again := n.send(t, book, 655, false, "C-STORE", "STOW-RS", "upload")
			again.more(time.Minute, 2, 0)
			again.end()
			n.unharmed()
			n.stop()
			n.allThere(book)
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// bucket is an object store that fails on demand.
type bucket struct {
	server *httptest.Server
	way    atomic.Pointer[string] // how it fails; "": it does not
	calls  atomic.Int64           // that failed
}

func newBucket(t *testing.T) *bucket {
	store := s3mem.New()
	if err := store.CreateBucket("images"); err != nil {
		t.Fatal(err)
	}
	inner := gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	b := &bucket{}
	b.fails("")
	b.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		way := *b.way.Load()
		if way != "" {
			b.calls.Add(1)
		}
		switch way {
		case "errors":
			w.WriteHeader(http.StatusInternalServerError)
		case "refuses":
			panic(http.ErrAbortHandler)
		case "denies":
			w.WriteHeader(http.StatusForbidden)
		case "hangs":
			<-r.Context().Done()
		default:
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		b.server.CloseClientConnections()
		b.server.Close()
	})
	return b
}

func (b *bucket) fails(way string) { b.way.Store(&way); b.calls.Store(0) }

func (b *bucket) url() string {
	return "s3://images?endpoint=" + b.server.URL + "&use_path_style=true&region=x"
}

// While the bucket is gone, whatever way it goes, images are taken; what lies in it alone is refused for the time being; afterwards everything goes there, and comes back.
func TestBucketGone(t *testing.T) {
	b := newBucket(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "y")
	n := serve(t, setup{store: b.url(), env: []string{"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y"}})
	book := newLedger()
	// Larger than what is worked on in memory, it has a pack of its own, which is sealed at once.
	large := func(seed uint64) *image {
		var w bytes.Buffer
		must(sample.Large(&w, seed, sample.LargeFrames(36<<20)))
		i := read("large", w.Bytes())
		if a := n.stow(kept, i); a.code != 200 {
			t.Fatalf("status %d, %v", a.code, a.err)
		}
		book.note(i.fingerprint(), true)
		return i
	}
	here := func() (packs int) {
		all, err := filepath.Glob(filepath.Join(n.setup.data, "packs", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	moved := func() {
		t.Helper()
		eventually(t, 2*time.Minute, func() error {
			if k := here(); k > 0 {
				return fmt.Errorf("%d sealed packs are still here", k)
			}
			return nil
		})
	}
	first := large(1)
	moved()
	if err := n.same(first); err != nil {
		t.Fatal(err)
	}
	d := n.send(t, book, 660, false, "C-STORE", "upload")
	ways := []string{"errors", "denies"}
	if testdata.Soak() {
		ways = append(ways, "refuses", "hangs") // it is waited for, for a while
	}
	for k, way := range ways {
		b.fails(way)
		d.more(time.Minute, 2, 0) // as if nothing were
		begun := time.Now()
		a := n.get(first.place(), "steward", "application/dicom; transfer-syntax=*")
		if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: what lies there: status %d, %v: %.300s", way, a.code, a.err, a.body)
		}
		t.Logf("the bucket %s: %d after %v: %.200s", way, a.code, time.Since(begun).Round(time.Millisecond), a.body)
		if a := n.get("/dicomweb/studies?limit=1", "steward", "application/dicom+json"); a.code != 200 {
			t.Errorf("%s: QIDO-RS: status %d, %v", way, a.code, a.err)
		}
		if k == 0 {
			large(2) // it has to wait here
			if here() == 0 {
				t.Error("a pack has gone although the bucket takes none")
			}
		}
	}
	b.fails("")
	moved()
	if err := n.same(first); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	d.end()
	for door, c := range d.each {
		if c.refused.Load() > 0 {
			t.Errorf("%s refused %d", door, c.refused.Load())
		}
	}
	n.unharmed()
	n.silent()
	n.stop()
	n.allThere(book)
}
