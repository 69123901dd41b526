package upload_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
)

// spooled are the files that lie in pieces.
func (x *rig) spooled() []string {
	x.t.Helper()
	all, err := filepath.Glob(filepath.Join(x.cfg.Data, "spool", "*"))
	if err != nil {
		x.t.Fatal(err)
	}
	return all
}

func TestUpload(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		f := file(t, 1)
		b := x.batch("ann")
		at := x.create("ann", b, 1, f, "filename", "ROWAN_1951.dcm")
		a := x.do("ann", "HEAD", at, nil, nil)
		if a.code != 200 || a.offset() != 0 || a.header.Get("Upload-Length") != strconv.Itoa(len(f)) || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Upload-Metadata") != "" {
			t.Errorf("%d %v", a.code, a.header)
		}
		if when, err := http.ParseTime(a.header.Get("Upload-Expires")); err != nil || time.Until(when) < 71*time.Hour {
			t.Errorf("Upload-Expires %q", a.header.Get("Upload-Expires"))
		}
		half := int64(len(f) / 2)
		if a := x.patch("ann", at, 0, bytes.NewReader(f[:half])); a.code != 204 || a.offset() != half {
			t.Fatalf("%d %v %s", a.code, a.header, a.body)
		}
		for _, offset := range []int64{0, half - 1, half + 1, int64(len(f))} {
			if a := x.patch("ann", at, offset, bytes.NewReader(f[half:])); a.code != 409 && a.code != 413 {
				t.Errorf("from a wrong offset: %d", a.code)
			}
		}
		if a := x.do("ann", "HEAD", at, nil, nil); a.offset() != half {
			t.Errorf("%d bytes after requests from a wrong offset, want %d", a.offset(), half)
		}
		a = x.patch("ann", at, half, bytes.NewReader(f[half:]))
		if a.code != 204 || a.offset() != int64(len(f)) || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Fatalf("%d %v %s", a.code, a.header, a.body)
		}
		if left := x.spooled(); len(left) != 0 {
			t.Errorf("pieces are left: %v", left)
		}
		if a := x.do("ann", "HEAD", at, nil, nil); a.code != 200 || a.offset() != int64(len(f)) || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Errorf("%d %v", a.code, a.header)
		}
		if a := x.patch("ann", at, int64(len(f)), nil); a.code != 204 {
			t.Errorf("nothing more: %d", a.code)
		}
		if a := x.do("ann", "DELETE", at, nil, nil); a.code != 409 {
			t.Errorf("taking back what is in custody: %d", a.code)
		}
		// In one request, and the same bytes again.
		a = x.do("ann", "POST", "/upload", headers{"Upload-Length": strconv.Itoa(len(f)), "Upload-Metadata": meta("batch", b, "ordinal", "2", "sha256", sum(f)),
			"Content-Type": "application/offset+octet-stream"}, bytes.NewReader(f))
		if a.code != 201 || a.header.Get("Vitrine-Outcome") != "duplicate" || a.offset() != int64(len(f)) {
			t.Errorf("%d %v %s", a.code, a.header, a.body)
		}
		x.wantStored(f)
		l := x.list("ann", b)
		if l.Ended || len(l.Files) != 2 || l.Files[0].Fate != "kept" || l.Files[1].Fate != "duplicate" {
			t.Errorf("%+v", l)
		}
		if a := x.do("ann", "POST", "/upload/batches/"+b+"/end", nil, nil); a.code != 204 {
			t.Errorf("%d %s", a.code, a.body)
		}
		id, err := catalogue.ParseDepositID(b)
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the deposit ends", func() bool {
			d, err := x.n.Stores.Catalogue.Deposit(t.Context(), id)
			return err == nil && !d.Ended.IsZero() && d.Door == "upload" && d.Counts.Received == 1 && d.Counts.Duplicate == 1
		})
	})
}

// The node ends in the middle of files, twice; what was answered is there after it, and the files come out whole.
func TestResumeAfterRestart(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		one, two := file(t, 1), file(t, 2)
		b := x.batch("ann")
		first, second := x.create("ann", b, 1, one), x.create("ann", b, 2, two)
		third := int64(len(one) / 3)
		x.patch("ann", first, 0, bytes.NewReader(one[:third]))
		x.again()
		if a := x.do("ann", "HEAD", first, nil, nil); a.offset() != third {
			t.Fatalf("%d %d bytes after a restart, want %d", a.code, a.offset(), third)
		}
		if a := x.patch("ann", first, third, bytes.NewReader(one[third:2*third])); a.code != 204 {
			t.Fatalf("%d %s", a.code, a.body)
		}
		x.again()
		if a := x.patch("ann", first, 2*third, bytes.NewReader(one[2*third:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Fatalf("%d %v %s", a.code, a.header, a.body)
		}
		if a := x.patch("ann", second, 0, bytes.NewReader(two)); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
			t.Fatalf("%d %v %s", a.code, a.header, a.body)
		}
		x.wantStored(one, two)
		if left := x.spooled(); len(left) != 0 {
			t.Errorf("pieces are left: %v", left)
		}
	})
}

// A sender's line breaks in the middle of a request: what came is there, and the next request takes its place though the first still hangs.
func TestBrokenLineAndConcurrentRequests(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := file(t, 1)
	at := x.create("ann", x.batch("ann"), 1, f)
	r, w := io.Pipe()
	ended := make(chan answer, 1)
	go func() {
		a, _ := x.try("ann", "PATCH", at, headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}, r)
		ended <- a
	}()
	if _, err := w.Write(f[:100_000]); err != nil {
		t.Fatal(err)
	}
	a := x.do("ann", "HEAD", at, nil, nil) // while the other waits for more
	if a.code != 200 || a.offset() < 0 || a.offset() > 100_000 {
		t.Fatalf("%d %d", a.code, a.offset())
	}
	w.CloseWithError(io.ErrClosedPipe)
	if a := <-ended; a.code == 204 {
		t.Error("the request that was interrupted succeeded")
	}
	// Many at once from the same offset: one of them counts, and the bytes are right.
	from := x.do("ann", "HEAD", at, nil, nil).offset()
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			_, _ = x.try("ann", "PATCH", at, headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(from, 10)}, bytes.NewReader(f[from:from+50_000]))
		})
	}
	all.Wait()
	from = x.do("ann", "HEAD", at, nil, nil).offset()
	if a := x.patch("ann", at, from, bytes.NewReader(f[from:])); a.code != 204 || a.header.Get("Vitrine-Outcome") != "kept" {
		t.Fatalf("%d %v %s", a.code, a.header, a.body)
	}
	x.wantStored(f)
}

func TestChecksums(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := file(t, 1)
	b := x.batch("ann")
	at := x.create("ann", b, 1, f)
	part := f[:70_000]
	one, two := sha1.Sum(part), sha256.Sum256(part)
	for _, c := range []struct {
		header string
		code   int
	}{
		{"sha256 " + base64.StdEncoding.EncodeToString(one[:]), 400},
		{"md5 " + base64.StdEncoding.EncodeToString(one[:16]), 400},
		{"sha1 !", 400},
		{"sha1 " + base64.StdEncoding.EncodeToString(two[:20]), 460},
		{"sha256 " + base64.StdEncoding.EncodeToString(make([]byte, 32)), 460},
		{"sha1 " + base64.StdEncoding.EncodeToString(one[:]), 204},
	} {
		if a := x.patch("ann", at, 0, bytes.NewReader(part), "Upload-Checksum", c.header); a.code != c.code {
			t.Errorf("%s: %d %s", c.header, a.code, a.body)
		}
		want := int64(0)
		if c.code == 204 {
			want = int64(len(part))
		}
		if a := x.do("ann", "HEAD", at, nil, nil); a.offset() != want {
			t.Errorf("%s: %d bytes are there, want %d", c.header, a.offset(), want)
		}
	}
	two = sha256.Sum256(f[70_000:80_000])
	if a := x.patch("ann", at, 70_000, bytes.NewReader(f[70_000:80_000]), "Upload-Checksum", "sha256 "+base64.StdEncoding.EncodeToString(two[:])); a.code != 204 || a.offset() != 80_000 {
		t.Errorf("%d %s", a.code, a.body)
	}
	// Of the whole: what came is not what its sender has, so nothing of it is kept and it can be sent anew.
	damaged := bytes.Clone(f)
	damaged[len(f)-1000] ^= 1
	if a := x.patch("ann", at, 80_000, bytes.NewReader(damaged[80_000:])); a.code != 460 || !strings.Contains(a.body, "digests differ") {
		t.Errorf("%d %s", a.code, a.body)
	}
	if a := x.do("ann", "HEAD", at, nil, nil); a.code != 404 {
		t.Errorf("%d", a.code)
	}
	if left := x.spooled(); len(left) != 0 {
		t.Errorf("pieces are left: %v", left)
	}
	x.wantStored()
	at = x.create("ann", b, 1, f)
	if a := x.patch("ann", at, 0, bytes.NewReader(f)); a.code != 204 {
		t.Errorf("%d %s", a.code, a.body)
	}
	x.wantStored(f)
}

// What is no image is refused with its reason, in the answer and in the batch.
func TestRefused(t *testing.T) {
	x := start(t, "", upload.Limits{})
	b := x.batch("ann")
	for k, c := range []struct {
		body []byte
		code string
	}{
		{[]byte("PK\x03\x04" + strings.Repeat("an archive ", 100)), "archive-damaged"},
		{[]byte("HELLO"), "not-dicom"},
		{nil, ""},
		{file(t, 1)[:5000], "truncated"},
	} {
		at := ""
		var a answer
		if len(c.body) > 0 {
			at = x.create("ann", b, k+1, c.body)
			a = x.patch("ann", at, 0, bytes.NewReader(c.body))
		} else {
			a = x.do("ann", "POST", "/upload", headers{"Upload-Length": "0", "Upload-Metadata": meta("batch", b, "ordinal", strconv.Itoa(k+1))}, nil)
		}
		var p struct{ Detail, Advice, Code string }
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.code != 422 || c.code != "" && p.Code != c.code || p.Detail == "" || p.Advice == "" || a.header.Get("Content-Type") != "application/problem+json" ||
			a.header.Get("Tus-Resumable") != "1.0.0" {
			t.Errorf("%d: %d %v %s", k, a.code, a.header, a.body)
		}
		if at != "" {
			if a := x.do("ann", "HEAD", at, nil, nil); a.code != 422 {
				t.Errorf("asking again: %d", a.code)
			}
		}
	}
	l := x.list("ann", b)
	if len(l.Files) != 4 {
		t.Fatalf("%+v", l)
	}
	for _, f := range l.Files {
		if f.Fate != "refused" || len(f.Reasons) != 1 {
			t.Errorf("%+v", f)
		}
	}
	if left := x.spooled(); len(left) != 0 {
		t.Errorf("pieces are left: %v", left)
	}
}

// Nobody but who began it goes on with an upload, or learns of it; and a page of another site sends nothing.
func TestWhoMay(t *testing.T) {
	each(t, upload.Limits{}, func(t *testing.T, x *rig) {
		f := file(t, 1)
		b := x.batch("ann")
		at := x.create("ann", b, 1, f)
		x.patch("ann", at, 0, bytes.NewReader(f[:1000]))
		for who, code := range map[string]int{"": 401, "ben": 404, "cat": 404, "eve": 404} {
			for _, a := range []answer{
				x.do(who, "HEAD", at, nil, nil), x.do(who, "DELETE", at, nil, nil), x.patch(who, at, 1000, bytes.NewReader(f[1000:])),
				x.do(who, "GET", "/upload/batches/"+b, nil, nil), x.do(who, "POST", "/upload/batches/"+b+"/end", nil, nil),
				x.do(who, "POST", "/upload", headers{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "2")}, nil),
			} {
				if a.code != code {
					t.Errorf("%q: %d %s", who, a.code, a.body)
				}
			}
		}
		for who, code := range map[string]int{"": 401, "cat": 404, "eve": 403} {
			if a := x.do(who, "POST", "/upload/batches", nil, strings.NewReader(`{"collection":"kept"}`)); a.code != code {
				t.Errorf("%q begins a batch: %d %s", who, a.code, a.body)
			}
			if a := x.do(who, "POST", "/upload", headers{"Upload-Length": "10", "Upload-Metadata": meta("collection", kept)}, nil); a.code != code {
				t.Errorf("%q begins an upload: %d %s", who, a.code, a.body)
			}
		}
		if a := x.do("", "POST", "/upload", headers{"Upload-Length": "10", "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, nil); a.code != 403 {
			t.Errorf("from another site's page: %d", a.code)
		}
		if a := x.do("", "OPTIONS", "/upload", headers{"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}, nil); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("another site's page is let in: %v", a.header)
		}
		if a := x.do("ann", "HEAD", at, nil, nil); a.offset() != 1000 {
			t.Errorf("%d bytes after all this", a.offset())
		}
		// A collection that was closed meanwhile takes nothing more: neither does it forget.
		if a := x.do("ann", "DELETE", at, nil, nil); a.code != 204 {
			t.Errorf("%d %s", a.code, a.body)
		}
		if a := x.do("ann", "HEAD", at, nil, nil); a.code != 404 || len(x.spooled()) != 0 {
			t.Errorf("%d %v", a.code, x.spooled())
		}
	})
}

// Whatever stands in headers, it is answered with a problem and changes nothing.
func TestHostile(t *testing.T) {
	x := start(t, "", upload.Limits{File: 1 << 20})
	b := x.batch("ann")
	ok := meta("batch", b, "ordinal", "1")
	for k, h := range []headers{
		{"Upload-Length": "10", "Tus-Resumable": "", "Upload-Metadata": ok},
		{"Upload-Length": "10", "Tus-Resumable": "0.2", "Upload-Metadata": ok},
		{"Upload-Metadata": ok},
		{"Upload-Length": "-1", "Upload-Metadata": ok},
		{"Upload-Length": "99999999999999999999999", "Upload-Metadata": ok},
		{"Upload-Length": "9223372036854775807", "Upload-Metadata": ok},
		{"Upload-Length": strconv.Itoa(1<<20 + 1), "Upload-Metadata": ok},
		{"Upload-Defer-Length": "1", "Upload-Metadata": ok},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b)},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "0")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "1000001")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "ROWAN")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", "ROWAN", "ordinal", "1")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", "-5", "ordinal", "1")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", "77", "ordinal", "1")},
		{"Upload-Length": "10", "Upload-Metadata": meta("collection", "ROWAN^1951")},
		{"Upload-Length": "10", "Upload-Metadata": meta("collection", "../../etc")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "1", "sha256", "ROWAN")},
		{"Upload-Length": "10", "Upload-Metadata": meta("batch", b, "ordinal", "1", "sha256", strings.Repeat("zz", 32))},
		{"Upload-Length": "10", "Upload-Concat": "final;/upload/a /upload/b", "Upload-Metadata": meta("batch", b, "ordinal", "77777777")},
	} {
		a := x.do("ann", "POST", "/upload", h, nil)
		if a.code < 400 || a.code >= 500 || a.header.Get("Content-Type") != "application/problem+json" || strings.Contains(a.body, "ROWAN") || strings.Contains(fmt.Sprint(a.header), "ROWAN") {
			t.Errorf("%d: %d %v %s", k, a.code, a.header, a.body)
		}
	}
	for _, body := range []string{"", "[]", "{", `{"collection":5}`, strings.Repeat(" ", 8<<10) + "{}", `{"collection":"ROWAN 1951"}`} {
		if a := x.do("ann", "POST", "/upload/batches", nil, strings.NewReader(body)); a.code < 400 || a.code >= 500 || strings.Contains(a.body, "ROWAN") {
			t.Errorf("%.20q: %d %s", body, a.code, a.body)
		}
	}
	for _, path := range []string{"/upload/ROWAN", "/upload/..%2f..%2fetc", "/upload/" + strings.Repeat("0", 32), "/upload/" + strings.Repeat("A", 32)} {
		for _, method := range []string{"HEAD", "PATCH", "DELETE"} {
			h := headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
			if a := x.do("ann", method, path, h, nil); a.code != 404 {
				t.Errorf("%s %s: %d", method, path, a.code)
			}
		}
	}
	f := make([]byte, 1000)
	rand.Read(f)
	at := x.create("ann", b, 1, f)
	for k, h := range []headers{
		{"Content-Type": "text/plain", "Upload-Offset": "0"},
		{"Content-Type": "application/offset+octet-stream"},
		{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "-1"},
		{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "1e3"},
		{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Tus-Resumable": "2.0.0"},
		{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0", "Upload-Length": "5"},
	} {
		if a := x.do("ann", "PATCH", at, h, bytes.NewReader(f)); a.code < 400 || a.code >= 500 {
			t.Errorf("%d: %d %s", k, a.code, a.body)
		}
	}
	// More than was announced, with and without saying so before.
	if a := x.patch("ann", at, 0, bytes.NewReader(append(f[:1000:1000], 1))); a.code != 413 {
		t.Errorf("over-long: %d %s", a.code, a.body)
	}
	if a := x.patch("ann", at, 0, io.MultiReader(bytes.NewReader(f), strings.NewReader("more"))); a.code != 413 {
		t.Errorf("over-long, chunked: %d %s", a.code, a.body)
	}
	if a := x.do("ann", "HEAD", at, nil, nil); a.offset() != 0 {
		t.Errorf("%d bytes after requests that were refused", a.offset())
	}
	if a := x.do("ann", "OPTIONS", "/upload", nil, nil); a.code >= 300 || a.header.Get("Tus-Version") != "1.0.0" || a.header.Get("Tus-Max-Size") != strconv.Itoa(1<<20) ||
		a.header.Get("Tus-Extension") != "creation,creation-with-upload,termination,expiration,checksum" || !strings.Contains(a.header.Get("Tus-Checksum-Algorithm"), "sha1") {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := x.do("ann", "POST", "/upload", headers{"X-HTTP-Method-Override": "DELETE", "Upload-Length": "5", "Upload-Metadata": meta("batch", b, "ordinal", "9")}, nil); a.code != 201 {
		t.Errorf("another method in a header: %d %s", a.code, a.body)
	}
}

func TestQuota(t *testing.T) {
	each(t, upload.Limits{Bytes: 5000, Uploads: 3}, func(t *testing.T, x *rig) {
		b, f := x.batch("ann"), make([]byte, 2000)
		first := x.create("ann", b, 1, f)
		x.create("ann", b, 2, f)
		try := func(ordinal, size string) int {
			return x.do("ann", "POST", "/upload", headers{"Upload-Length": size, "Upload-Metadata": meta("batch", b, "ordinal", ordinal)}, nil).code
		}
		if code := try("3", "1001"); code != 413 {
			t.Errorf("over the quota of bytes: %d", code)
		}
		if code := try("3", "1000"); code != 201 {
			t.Errorf("within it: %d", code)
		}
		if code := try("4", "0"); code != 413 {
			t.Errorf("over the quota of uploads: %d", code)
		}
		if n := len(x.spooled()); n != 3 {
			t.Errorf("%d files lie in pieces, want 3", n)
		}
		if a := x.do("ann", "DELETE", first, nil, nil); a.code != 204 {
			t.Errorf("%d", a.code)
		}
		if code := try("4", "1500"); code != 201 {
			t.Errorf("after one was taken back: %d", code)
		}
		// The same number again takes the place of what was there.
		if code := try("4", "1400"); code != 201 || len(x.spooled()) != 3 {
			t.Errorf("the same again: %d, %d in pieces", code, len(x.spooled()))
		}
	})
}

// What nobody goes on with is removed, batches that fall quiet end, and pieces of nobody go.
func TestExpiry(t *testing.T) {
	each(t, upload.Limits{Wait: 50 * time.Millisecond, Quiet: 30 * time.Millisecond}, func(t *testing.T, x *rig) {
		f := file(t, 1)
		b := x.batch("ann")
		at := x.create("ann", b, 1, f)
		stray := filepath.Join(x.cfg.Data, "spool", strings.Repeat("ab", 16))
		if err := os.WriteFile(stray, []byte("left behind"), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, "removed", func() bool {
			if err := x.n.Uploads.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			return x.do("ann", "HEAD", at, nil, nil).code == 404 && len(x.spooled()) == 0
		})
		until(t, "ended", func() bool {
			if err := x.n.Uploads.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			return x.list("ann", b).Ended
		})
		// Who comes back later goes on in the same batch.
		at = x.create("ann", b, 1, f)
		if x.list("ann", b).Ended {
			t.Error("a batch of which more comes has ended")
		}
		if a := x.patch("ann", at, 0, bytes.NewReader(f)); a.code != 204 {
			t.Errorf("%d %s", a.code, a.body)
		}
		x.wantStored(f)
	})
}

// Pieces that arrive while the time of their upload runs out are not swept away from under their sender: what is answered is there.
func TestSweepLeavesWhatArrives(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := make([]byte, 1<<20)
	at := x.create("ann", x.batch("ann"), 1, f)
	r, w := io.Pipe()
	ended := make(chan answer, 1)
	go func() {
		a, _ := x.try("ann", "PATCH", at, headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}, r)
		ended <- a
	}()
	const n = 600_000
	if _, err := w.Write(f[:n]); err != nil {
		t.Fatal(err)
	}
	id := path.Base(at)
	until(t, "being written", func() bool {
		st, err := os.Stat(filepath.Join(x.cfg.Data, "spool", id))
		return err == nil && st.Size() > 256<<10
	})
	past := func() {
		if err := x.n.Uploads.DB.Write(t.Context(), func(tx *db.Tx) error { return x.n.Uploads.Uploads.Extend(tx, id, time.Now().Add(-time.Hour)) }); err != nil {
			t.Fatal(err)
		}
	}
	past()
	if err := x.n.Uploads.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if a := <-ended; a.code != 204 || a.offset() != n {
		t.Fatalf("%d %d %s", a.code, a.offset(), a.body)
	}
	if a := x.do("ann", "HEAD", at, nil, nil); a.code != 200 || a.offset() != n {
		t.Errorf("what was answered is gone: %d %d", a.code, a.offset())
	}
	past()
	if err := x.n.Uploads.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := x.do("ann", "HEAD", at, nil, nil); a.code != 404 || len(x.spooled()) != 0 {
		t.Errorf("what nobody goes on with stays: %d", a.code)
	}
}

// The sweep runs by itself.
func TestSweepIsScheduled(t *testing.T) {
	x := start(t, "", upload.Limits{Wait: 10 * time.Millisecond, Quiet: 10 * time.Millisecond})
	x.create("ann", x.batch("ann"), 1, make([]byte, 100))
	until(t, "removed", func() bool { return len(x.spooled()) == 0 })
}

// A file without a batch is a deposit of its own.
func TestSolo(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := file(t, 1)
	a := x.do("ann", "POST", "/upload", headers{"Upload-Length": strconv.Itoa(len(f)), "Content-Type": "application/offset+octet-stream"}, bytes.NewReader(f))
	if a.code != 201 || a.header.Get("Vitrine-Outcome") != "kept" {
		t.Fatalf("%d %v %s", a.code, a.header, a.body)
	}
	x.wantStored(f)
	until(t, "ended", func() bool {
		all, err := x.n.Stores.Catalogue.Deposits(t.Context(), kept, "", 0, 10)
		return err == nil && len(all) == 1 && !all[0].Ended.IsZero()
	})
}

// A file of its own that is not taken leaves no deposit that waits for it.
func TestSoloThatIsNotTaken(t *testing.T) {
	x := start(t, "", upload.Limits{Uploads: 1})
	x.create("ann", x.batch("ann"), 1, make([]byte, 100))
	if a := x.do("ann", "POST", "/upload", headers{"Upload-Length": "100"}, nil); a.code != 413 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	until(t, "ended", func() bool {
		all, err := x.n.Stores.Catalogue.Deposits(t.Context(), kept, "", 0, 10)
		return err == nil && len(all) == 2 && !all[0].Ended.IsZero() && all[1].Ended.IsZero()
	})
}

// While a file is half here, nothing of it lies in clear below the data folder, nor does its name.
func TestNothingInClear(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := file(t, 1)
	copy(f[len(f)/2:], "ZZTEST^ROWAN")
	copy(f[20_000:], "ZZTEST^ROWAN")
	at := x.create("ann", x.batch("ann"), 1, f, "filename", "ZZTEST^ROWAN.dcm", "relativePath", "ZZTEST^ROWAN/1.dcm")
	if a := x.patch("ann", at, 0, bytes.NewReader(f[:len(f)*2/3])); a.code != 204 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	clear := func(moment string) {
		seen := 0
		err := filepath.WalkDir(x.cfg.Data, func(p string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(p)
			seen += len(b)
			for _, s := range []string{"ZZTEST^ROWAN", base64.StdEncoding.EncodeToString([]byte("ZZTEST^ROWAN"))[:15], string(f[10_000:10_024]), sum(f)} {
				if bytes.Contains(b, []byte(s)) || strings.Contains(p, s) {
					t.Errorf("%s: %s holds something in clear", moment, filepath.Base(p))
				}
			}
			return err
		})
		if err != nil || seen < len(f)/2 {
			t.Errorf("%s: %d bytes were searched, %v", moment, seen, err)
		}
	}
	clear("while it runs")
	x.stop()
	clear("after it ended")
	x.run()
	if a := x.do("ann", "HEAD", at, nil, nil); a.offset() != int64(len(f)*2/3) {
		t.Errorf("%d bytes are there", a.offset())
	}
}

// A node that ends does not wait for who sends slowly: what has come is kept.
func TestDrain(t *testing.T) {
	x := start(t, "", upload.Limits{})
	f := file(t, 1)
	at := x.create("ann", x.batch("ann"), 1, f)
	r, w := io.Pipe()
	ended := make(chan answer, 1)
	go func() {
		a, _ := x.try("ann", "PATCH", at, headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}, r)
		ended <- a
	}()
	if _, err := w.Write(f[:60_000]); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	x.stop()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v to end", took)
	}
	w.Close()
	if a := <-ended; a.code != 0 && a.code != 503 {
		t.Errorf("%d %s", a.code, a.body)
	}
	x.run()
	a := x.do("ann", "HEAD", at, nil, nil)
	if a.code != 200 || a.offset() < 0 || a.offset() > 60_000 {
		t.Fatalf("%d %d", a.code, a.offset())
	}
	if a := x.patch("ann", at, a.offset(), bytes.NewReader(f[a.offset():])); a.code != 204 {
		t.Errorf("%d %s", a.code, a.body)
	}
	x.wantStored(f)
}
