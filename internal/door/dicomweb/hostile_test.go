package dicomweb_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

// peak is the most that the heap held while fn ran, above what it held before.
func peak(fn func()) int64 {
	// What is garbage already should not count.
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := int64(m.HeapInuse)
	var most atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), int64(m.HeapInuse)))
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return most.Load() - before
}

// nested is a data set with sequences in sequences.
func nested(depth int) []byte {
	le := binary.LittleEndian
	b := []byte{}
	for range depth {
		b = append(le.AppendUint16(le.AppendUint16(b, 0x0040), 0xA730), 'S', 'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF)
		b = append(b, 0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF)
	}
	return b
}

// withTail puts encoded elements behind a small image's data set.
func withTail(t testing.TB, sop string, tail []byte) []byte {
	t.Helper()
	return append(image(t, "H", "1.2.6", "1.2.6.1", sop, nil), tail...)
}

// element encodes a header in explicit VR little endian whose length is a claim.
func element(group, number uint16, vr string, length uint32) []byte {
	le := binary.LittleEndian
	b := append(le.AppendUint16(le.AppendUint16(nil, group), number), vr...)
	return le.AppendUint32(append(b, 0, 0), length)
}

// bomb is a file whose deflated data set grows a thousandfold.
func bomb(t testing.TB, size int64) []byte {
	t.Helper()
	m, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.6.9", TransferSyntaxUID: dicom.DeflatedExplicitVRLittleEndianUID, ImplementationClassUID: "2.25.1"})
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(append(append(make([]byte, 128), "DICM"...), m.Bytes()...))
	z, err := flate.NewWriter(out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	f, err := dicom.Parse(image(t, "H", "1.2.6", "1.2.6.1", "1.2.6.9", nil), dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	z.Write(f.DatasetBytes())
	z.Write(element(0x7FE1, 0x1010, "UN", uint32(size)))
	zeros := make([]byte, 1<<20)
	for n := int64(0); n < size; n += int64(len(zeros)) {
		z.Write(zeros)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Hostile bodies are refused each with its reason, nothing of them stays, and the node still answers.
func TestHostileInstances(t *testing.T) {
	x := start(t, "")
	depositor := x.token(policy.Depositor, kept)
	post := func(b []byte) answer { return x.post("/collections/"+kept+"/dicomweb/studies", depositor, b) }
	good := image(t, "H", "1.2.6", "1.2.6.1", "1.2.6.1.1", nil)
	for _, c := range []struct {
		name   string
		body   []byte
		reason int
	}{
		{"not DICOM", []byte("<html>this is no image</html>"), 0xC000},
		{"empty", nil, 0xC000},
		{"a preamble alone", good[:132], 0xC000},
		{"truncated in the header", good[:300], 0xC000},
		{"truncated in the pixels", good[:len(good)-5], 0xC000},
		{"2,000 sequences deep", withTail(t, "1.2.6.1.2", nested(2000)), 0xA700},
		{"a length of 4 GiB", withTail(t, "1.2.6.1.3", element(0x7FE1, 0x1010, "OB", 0xFFFFFFFE)), 0xC000},
		{"an item of 4 GiB", withTail(t, "1.2.6.1.4", append(element(0x7FE1, 0x1010, "SQ", 0xFFFFFFFF), 0xFE, 0xFF, 0x00, 0xE0, 0xFE, 0xFF, 0xFF, 0xFF)), 0xC000},
		{"a deflate bomb", bomb(t, 400<<20), 0xA700},
		{"unknown transfer syntax", bytes.Replace(good, []byte("1.2.840.10008.1.2.1\x00"), []byte("1.2.840.10008.9.9.9\x00"), 1), 0xC122},
		{"no SOP Instance UID", bytes.Replace(good, []byte("\x08\x00\x18\x00UI"), []byte("\x08\x00\x19\x00UI"), 1), 0xA900},
		{"no UID in SOP Instance UID", bytes.ReplaceAll(good, []byte("1.2.6.1.1"), []byte("../../etc")), 0x0117},
		{"an element twice", withTail(t, "1.2.6.1.5", image(t, "H", "1.2.6", "1.2.6.1", "1.2.6.1.5", nil)[400:]), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a answer
			grown := peak(func() { a = post(c.body) })
			if a.code != 409 {
				t.Fatalf("status %d: %.300s", a.code, a.body)
			}
			if c.reason != 0 && !strings.Contains(string(a.body), fmt.Sprintf(`"00081197":{"vr":"US","Value":[%d]}`, c.reason)) {
				t.Errorf("another reason than %04X: %s", c.reason, a.body)
			}
			if !strings.Contains(string(a.body), `"00000902"`) {
				t.Errorf("no words: %s", a.body)
			}
			if grown > 300<<20 {
				t.Errorf("it took %d MB", grown>>20)
			}
		})
	}
	if n := x.intake(kept); n.Catalogued+n.Pending+n.Held != 0 {
		t.Errorf("something of it stayed: %+v", n)
	}
	if a := post(good); a.code != 200 {
		t.Errorf("the node does not answer any more: %d", a.code)
	}
}

// Mutated files, hundreds of them: each is kept, held or refused, and what is kept can be read.
func TestMutatedInstances(t *testing.T) {
	x := start(t, "")
	depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
	r := rand.New(rand.NewPCG(1, 2))
	var files []realFile
	for _, f := range realFiles(t) {
		if f.file != nil && len(f.bytes) < 300_000 {
			files = append(files, f)
		}
	}
	n, codes := 500, map[int]int{}
	if testing.Short() {
		n = 100
	}
	grown := peak(func() {
		for k := range n {
			b := bytes.Clone(files[r.IntN(len(files))].bytes)
			for range 1 + r.IntN(8) {
				if len(b) < 400 {
					break
				}
				switch at := r.IntN(len(b)); r.IntN(4) {
				case 0:
					b[at] ^= byte(1 << r.IntN(8))
				case 1:
					b = b[:max(at, 200)]
				case 2:
					for i := at; i < min(at+4, len(b)); i++ {
						b[i] = 0xFF
					}
				case 3:
					b = append(b[:at:at], b[min(at+r.IntN(64), len(b)):]...)
				}
			}
			a := x.post("/collections/"+kept+"/dicomweb/studies", depositor, b)
			codes[a.code]++
			if a.code != 200 && a.code != 409 || a.err != nil {
				t.Errorf("mutation %d: status %d, %v: %.300s", k, a.code, a.err, a.body)
			}
		}
	})
	t.Logf("%d mutated files: %v, %+v, %d MB", n, codes, x.intake(kept), grown>>20)
	if grown > 300<<20 {
		t.Errorf("they took %d MB", grown>>20)
	}
	rows := x.get("/dicomweb/instances", steward, "*/*").rows(t)
	for _, row := range rows {
		at := strings.TrimPrefix(row.text(dicom.TagRetrieveURL), x.url(""))
		for _, p := range []string{"", "/metadata"} {
			if a := x.get(at+p, steward, "*/*"); a.code != 200 || a.err != nil {
				t.Errorf("what was kept answers %d: %.200s", a.code, a.body)
			}
		}
	}
}

// Broken requests: a clear answer, or none where nobody listens, and nothing stays.
func TestHostileRequests(t *testing.T) {
	x := start(t, "")
	depositor := x.token(policy.Depositor, kept)
	good := string(image(t, "H", "1.2.6", "1.2.6.1", "1.2.6.1.1", nil))
	part := "--b\r\nContent-Type: application/dicom\r\n\r\n"
	path := "/collections/" + kept + "/dicomweb/studies"
	multi := map[string]string{"Content-Type": `multipart/related; type="application/dicom"; boundary=b`}
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		code   int
	}{
		{"no boundary", map[string]string{"Content-Type": `multipart/related; type="application/dicom"`}, part + good, 400},
		{"a boundary that does not come", multi, good, 400},
		{"cut in a part", multi, part + good, 400},
		{"cut in a part's header", multi, part[:20], 400},
		{"a header without end", multi, "--b\r\nX: " + strings.Repeat("x", 1<<20), 400},
		{"JSON", map[string]string{"Content-Type": "application/dicom+json"}, "[]", 415},
		{"encoded", map[string]string{"Content-Type": "application/dicom", "Content-Encoding": "gzip"}, good, 415},
		{"an answer that nobody has", map[string]string{"Content-Type": "application/dicom", "Accept": "text/html"}, good, 406},
	} {
		t.Run(c.name, func(t *testing.T) {
			x.do("POST", path, depositor, c.header, strings.NewReader(c.body)).problem(t, c.code)
		})
	}
	t.Run("a line that breaks", func(t *testing.T) {
		conn, err := net.Dial("tcp", x.n.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n%s", path, depositor, len(good), good[:len(good)-10])
		conn.Close()
	})
	t.Run("a chunk that breaks", func(t *testing.T) {
		conn, err := net.Dial("tcp", x.n.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/dicom\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nnonsense\r\n", path, depositor, len(good), good)
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) {
			t.Errorf("%v: %.100s", err, answer)
		}
	})
	if n := x.intake(kept); n.Catalogued+n.Pending+n.Held != 0 {
		t.Errorf("something of it stayed: %+v", n)
	}
}

// film writes a Part 10 file of many frames, as large as asked, without holding it.
func film(t testing.TB, frames int, sop string) (head []byte, pixels int64) {
	t.Helper()
	const rows, columns = 512, 512
	pixels = int64(frames) * rows * columns * 2
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, "1.2.840.10008.5.1.4.1.1.2.1")
	b.String(dicom.TagSOPInstanceUID, sop)
	b.String(dicom.TagStudyInstanceUID, "1.2.7")
	b.String(dicom.TagSeriesInstanceUID, "1.2.7.1")
	b.String(dicom.TagPatientID, "FILM")
	b.String(dicom.TagModality, "CT")
	b.Ints(dicom.TagNumberOfFrames, frames)
	b.Ints(dicom.TagSamplesPerPixel, 1)
	b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	b.Ints(dicom.TagRows, rows)
	b.Ints(dicom.TagColumns, columns)
	b.Ints(dicom.TagBitsAllocated, 16)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	head = append(part10(t, d), element(0x7FE0, 0x0010, "OW", uint32(pixels))...)
	return head, pixels
}

// noise gives n bytes that do not compress and can be made again.
type noise struct {
	r    *rand.ChaCha8
	left int64
	sum  hash.Hash
}

func newNoise(n int64) *noise { return &noise{rand.NewChaCha8([32]byte{7}), n, sha256.New()} }

func (s *noise) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.left)]
	s.r.Read(p)
	s.sum.Write(p)
	s.left -= int64(len(p))
	return len(p), nil
}

// 200 MB go in and out again, whole and frame by frame, in the memory of buffers.
func TestLargeObjects(t *testing.T) {
	x := start(t, "")
	depositor, steward := x.token(policy.Depositor, kept), x.token(policy.Steward, kept)
	head, pixels := film(t, 400, "1.2.7.1.1")
	src := newNoise(pixels)
	body := io.MultiReader(strings.NewReader("--b\r\nContent-Type: application/dicom\r\n\r\n"), bytes.NewReader(head), src, strings.NewReader("\r\n--b--\r\n"))
	in := peak(func() {
		a := x.do("POST", "/collections/"+kept+"/dicomweb/studies", depositor, map[string]string{"Content-Type": `multipart/related; type="application/dicom"; boundary=b`}, body)
		if a.code != 200 {
			t.Fatalf("status %d: %s", a.code, a.body)
		}
	})
	x.intake(kept)
	at := "/dicomweb/studies/1.2.7/series/1.2.7.1/instances/1.2.7.1.1"
	read := func(path, accept string) (n int64, sum string) {
		r, err := http.NewRequest("GET", x.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		r.Header.Set("Authorization", "Bearer "+steward)
		resp, err := x.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			b, _ := io.ReadAll(resp.Body)
			t.Fatalf("status %d: %s", resp.StatusCode, b)
		}
		h := sha256.New()
		n, err = io.Copy(h, resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return n, hex.EncodeToString(h.Sum(nil))
	}
	want := hex.EncodeToString(src.sum.Sum(nil))
	out := peak(func() {
		if n, sum := read(at+"/bulkdata/7FE00010", "application/octet-stream"); n != pixels || sum != want {
			t.Errorf("%d bytes came back, and they are others", n)
		}
		for _, accept := range []string{"application/dicom", "application/zip", `multipart/related; type="application/dicom"`} {
			if n, _ := read(at, accept); n < pixels+300 || n > pixels+5000 {
				t.Errorf("as %s: %d bytes", accept, n)
			}
		}
		list := make([]string, 400)
		for k := range list {
			list[k] = fmt.Sprint(k + 1)
		}
		if n, _ := read(at+"/frames/"+strings.Join(list, ","), "*/*"); n < pixels {
			t.Errorf("frames of %d bytes", n)
		}
	})
	t.Logf("%d MB; heap grew by %d MB on the way in, %d MB on the way out", pixels>>20, in>>20, out>>20)
	if in > 64<<20 || out > 64<<20 {
		t.Error("more than 64 MB")
	}
}

// Whoever stops reading is noticed, and what was read for them is let go.
func TestReaderGoesAway(t *testing.T) {
	x := start(t, "")
	head, pixels := film(t, 100, "1.2.7.1.2")
	body := io.MultiReader(bytes.NewReader(head), newNoise(pixels))
	if a := x.do("POST", "/collections/"+kept+"/dicomweb/studies", x.token(policy.Depositor, kept), map[string]string{"Content-Type": "application/dicom"}, body); a.code != 200 {
		t.Fatalf("status %d: %s", a.code, a.body)
	}
	x.intake(kept)
	before := runtime.NumGoroutine()
	for range 20 {
		conn, err := net.Dial("tcp", x.n.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /dicomweb/studies/1.2.7 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", x.token(policy.Steward, kept))
		if _, err := io.ReadFull(conn, make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	until(t, "requests end with their readers", func() bool { return runtime.NumGoroutine() <= before+5 })
}
