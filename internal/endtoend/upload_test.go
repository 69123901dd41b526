package endtoend

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

func (n *served) tus(method, path string, header map[string]string, body io.Reader) answer {
	n.t.Helper()
	h := map[string]string{"Tus-Resumable": "1.0.0"}
	for k, v := range header {
		h[k] = v
	}
	return n.do(method, path, "depositor", h, body)
}

// upload begins an upload of so many bytes.
func (n *served) upload(collection string, size int64, more string) (at string, a answer) {
	n.t.Helper()
	a = n.tus("POST", "/upload", map[string]string{"Upload-Length": strconv.FormatInt(size, 10), "Upload-Metadata": "collection " + base64of(collection) + more}, nil)
	return a.header.Get("Location"), a
}

func base64of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// used is how many bytes a file system holds.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

func (n *served) offset(at string) int64 {
	n.t.Helper()
	a := n.tus("HEAD", at, nil, nil)
	if a.code != 200 {
		n.t.Fatalf("status %d: %s", a.code, a.body)
	}
	k, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return k
}

func (n *served) patch(at string, offset int64, body io.Reader) answer {
	n.t.Helper()
	return n.tus("PATCH", at, map[string]string{"Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(offset, 10)}, body)
}

// slowly gives bytes with pauses, so that something can happen between them.
type slowly struct {
	r     io.Reader
	pause time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.r.Read(p[:min(len(p), 256<<10)])
}

// A file is sent while the node is killed again and again: what was answered is there, the sender goes on from what it is told, and what comes out is what went in.
func TestKilledWhileUploading(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			n := serve(t, setup{database: database(t, engine == "postgresql")})
			rnd := rand.New(rand.NewPCG(3, 9))
			var file bytes.Buffer
			if _, err := sample.Large(&file, 5, sample.LargeFrames(40<<20)); err != nil {
				t.Fatal(err)
			}
			whole := file.Bytes()
			at, a := n.upload(kept, int64(len(whole)), "")
			if a.code != 201 {
				t.Fatalf("status %d: %s", a.code, a.body)
			}
			told := int64(0)
			for round := range 3 {
				// A piece that is answered, and one that is cut off.
				piece := int64(1<<20 + rnd.IntN(3<<20))
				if a := n.patch(at, told, bytes.NewReader(whole[told:told+piece])); a.code != 204 {
					t.Fatalf("round %d: status %d: %s", round, a.code, a.body)
				}
				told += piece
				ended := make(chan answer, 1)
				go func() { ended <- n.patch(at, told, &slowly{bytes.NewReader(whole[told:]), 20 * time.Millisecond}) }()
				time.Sleep(time.Duration(100+rnd.IntN(400)) * time.Millisecond) // the moment is what this is about
				n.kill()
				if a := <-ended; a.code == 204 {
					t.Fatalf("round %d: a whole file was answered by a node that was killed", round)
				}
				n.start()
				got := n.offset(at)
				if got < told || got >= int64(len(whole)) {
					t.Fatalf("round %d: %d bytes are there, %d were answered", round, got, told)
				}
				told = got
			}
			if a := n.patch(at, told, bytes.NewReader(whole[told:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
				t.Fatalf("status %d %v: %s", a.code, a.header, a.body)
			}
			n.unharmed()
			n.stop()
			i := read("large", whole)
			want := i.fingerprint()
			count := 0
			n.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
				count++
				if fingerprint(string(l.SOP), syntax, data) != want {
					t.Error("other bytes came out than went in")
				}
			})
			if count != 1 {
				t.Errorf("%d files are there", count)
			}
			if left, _ := filepath.Glob(filepath.Join(n.setup.data, "spool", "*")); len(left) != 0 {
				t.Errorf("pieces are left: %v", left)
			}
			n.verify()
		})
	}
}

// While a file is half there, nothing planted in it lies anywhere in clear: as it runs, after a crash, and after the sender has taken it back.
func TestHalfUploadedLeaksNothing(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) {
			n := serve(t, setup{database: database(t, engine == "postgresql")})
			p := plant(t, "Q7Z4H8")
			s := newSearch([]planted{p})
			nothing := newSearch(nil)
			file := p.image.file
			name := ",filename " + base64of(p.markers[0].Text+".dcm") + ",relativePath " + base64of(p.markers[1].Text+"/"+p.markers[0].Text)
			at, a := n.upload(research, int64(len(file)), name)
			if a.code != 201 {
				t.Fatalf("status %d: %s", a.code, a.body)
			}
			var answers bytes.Buffer
			hear := func(a answer) { fmt.Fprintln(&answers, a.code, a.header, string(a.body)) }
			hear(a)
			hear(n.patch(at, 0, bytes.NewReader(file[:len(file)-2000])))
			hear(n.patch(at, 5, bytes.NewReader(file)))
			hear(n.tus("HEAD", at, nil, nil))
			hear(n.tus("POST", "/upload", map[string]string{"Upload-Length": "5", "Upload-Metadata": "collection " + base64of(p.markers[2].Text)}, nil))
			hear(n.tus("PATCH", "/upload/"+p.markers[3].Text, map[string]string{"Content-Type": "application/offset+octet-stream", "Upload-Offset": p.markers[4].Text}, nil))
			for what, b := range broken(file) {
				at, a := n.upload(research, int64(len(b)), name)
				if a.code != 201 {
					t.Fatalf("%s: status %d: %s", what, a.code, a.body)
				}
				a = n.patch(at, 0, bytes.NewReader(b))
				if a.code != 422 {
					t.Errorf("%s: status %d: %s", what, a.code, a.body)
				}
				hear(a)
			}
			for _, moment := range []string{"half uploaded", "after SIGKILL", "taken back"} {
				switch moment {
				case "after SIGKILL":
					n.kill()
				case "taken back":
					n.start()
					if got := n.offset(at); got != int64(len(file)-2000) {
						t.Errorf("%d bytes are there", got)
					}
					if a := n.tus("DELETE", at, nil, nil); a.code != 204 {
						t.Errorf("status %d: %s", a.code, a.body)
					}
				}
				for _, dir := range []string{n.setup.data, n.tmp} {
					n.searchFolder(s, nothing, dir, moment)
				}
			}
			for _, log := range []string{n.logged, n.said} {
				if f := s.in(readFile(t, log)); len(f) > 0 {
					t.Errorf("%s holds %q", filepath.Base(log), f)
				}
			}
			if f := s.in(answers.Bytes()); len(f) > 0 {
				t.Errorf("answers hold %q", f)
			}
			if n.setup.database != "" {
				if f := s.in(dump(t, n.setup.database)); len(f) > 0 {
					t.Errorf("PostgreSQL holds %q", f)
				}
			}
		})
	}
}

// On a full disk a sender is told so with 507, keeps what was answered, and goes on when there is room.
func TestUploadToFullDisk(t *testing.T) {
	dir, resize := small(t, 48)
	n := serve(t, setup{data: filepath.Join(dir, "data")})
	var file bytes.Buffer
	if _, err := sample.Large(&file, 6, sample.LargeFrames(12<<20)); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	if _, a := n.upload(kept, 200<<20, ""); a.code != http.StatusInsufficientStorage {
		t.Errorf("more than there is room for: status %d: %s", a.code, a.body)
	}
	at, a := n.upload(kept, int64(len(whole)), "")
	if a.code != 201 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	piece := int64(2 << 20)
	if a := n.patch(at, 0, bytes.NewReader(whole[:piece])); a.code != 204 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	resize(int((used(t, dir) + 4<<20) >> 20)) // so that it does not fit any more
	a = n.patch(at, piece, bytes.NewReader(whole[piece:]))
	if a.code != http.StatusInsufficientStorage {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	got := n.offset(at)
	if got < piece || got >= int64(len(whole)) {
		t.Fatalf("%d bytes are there, %d were answered", got, piece)
	}
	n.kill()
	resize(64)
	n.start()
	if again := n.offset(at); again != got {
		t.Errorf("%d bytes are there after a crash, %d before", again, got)
	}
	if a := n.patch(at, got, bytes.NewReader(whole[got:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
		t.Fatalf("status %d %v: %s", a.code, a.header, a.body)
	}
	n.unharmed()
}

// A file larger than memory comes in pieces, with a restart between them, in bounded memory.
func TestUploadLargerThanMemory(t *testing.T) {
	size := int64(300 << 20)
	if testdata.Soak() {
		size = 5 << 30
	}
	n := serve(t, setup{})
	length, err := sample.Large(io.Discard, 9, sample.LargeFrames(size))
	if err != nil {
		t.Fatal(err)
	}
	at, a := n.upload(kept, length, "")
	if a.code != 201 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	begun := time.Now()
	body := largeFile(9, size)
	if a := n.patch(at, 0, io.LimitReader(body, length/2)); a.code != 204 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	first := n.peak()
	n.stop()
	n.start()
	if got := n.offset(at); got != length/2 {
		t.Fatalf("%d bytes are there of %d", got, length/2)
	}
	if a := n.patch(at, length/2, body); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
		t.Fatalf("status %d %v: %s", a.code, a.header, a.body)
	}
	peak := max(first, n.peak())
	t.Logf("%d MiB in %v, peak memory %d MiB", length>>20, time.Since(begun).Round(time.Millisecond), peak>>20)
	if peak > 256<<20 {
		t.Errorf("it took %d MiB of memory", peak>>20)
	}
}
