package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL, "0123456789abcdef", Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestWhereATokenGoes(t *testing.T) {
	for _, c := range []struct {
		server, token string
		plain, ok     bool
	}{
		{"https://node.example.org", "t", false, true},
		{"https://node.example.org/vitrine/", "t", false, true},
		{"http://127.0.0.1:8080", "t", false, true},
		{"http://[::1]:8080", "t", false, true},
		{"http://localhost", "t", false, true},
		{"http://node.example.org", "", false, true},
		{"http://node.example.org", "t", false, false},
		{"http://node.example.org", "t", true, true},
		{"http://127.0.0.1.example.org", "t", false, false},
		{"https://user:pass@node.example.org", "t", false, false},
		{"https://node.example.org?x=1", "t", false, false},
		{"node.example.org", "t", false, false},
		{"file:///etc/passwd", "t", false, false},
	} {
		if _, err := New(c.server, c.token, Options{PlainHTTP: c.plain}); (err == nil) != c.ok {
			t.Errorf("%s with token %q: %v", c.server, c.token, err)
		}
	}
}

func TestNoRedirectElsewhere(t *testing.T) {
	var asked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Store(true) }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	err := c.Search(t.Context(), Query{Level: Study}, func(Attributes) error { return nil })
	if err == nil || asked.Load() {
		t.Fatalf("the token went elsewhere: %v", err)
	}
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func TestInstanceIsComparedWithItsDigest(t *testing.T) {
	file := bytes.Repeat([]byte("0123456789"), 100_000)
	ref := Ref{"1.2", "1.2.3", "1.2.3.4"}
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		verified bool
		fails    error
	}{
		"header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom")
			w.Header().Set("Repr-Digest", "sha-512=:AAAA:, "+digestOf(file))
			w.Write(file)
		}, true, nil},
		"trailer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom")
			w.Header().Set("Trailer", "Repr-Digest")
			w.Write(file)
			w.Header().Set("Repr-Digest", digestOf(file))
		}, true, nil},
		"none": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom")
			w.Write(file)
		}, false, nil},
		"another": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom")
			w.Header().Set("Repr-Digest", digestOf([]byte("other")))
			w.Write(file)
		}, false, ErrDigest},
		"multipart": {func(w http.ResponseWriter, _ *http.Request) {
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			p, _ := m.CreatePart(map[string][]string{"Content-Type": {"application/dicom"}})
			p.Write(file)
			m.Close()
			w.Header().Set("Content-Type", `multipart/related; type="application/dicom"; boundary=`+m.Boundary())
			w.Header().Set("Repr-Digest", digestOf(b.Bytes()))
			w.Write(b.Bytes())
		}, true, nil},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/dicom")
			w.Header().Set("Content-Length", fmt.Sprint(len(file)))
			w.Write(file[:1000])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, false, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Want-Repr-Digest") == "" || r.Header.Get("Authorization") != "Bearer 0123456789abcdef" {
					t.Error("the request lacks its fields")
				}
				if r.URL.Path != "/collections/breast/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4" {
					t.Errorf("path %s", r.URL.Path)
				}
				c.answer(w, r)
			})
			var got bytes.Buffer
			rec, err := client.Instance(t.Context(), "breast", ref, &got, nil)
			if !errors.Is(err, c.fails) || err == nil && c.fails != nil {
				t.Fatalf("error %v, want %v", err, c.fails)
			}
			if err != nil {
				if !Temporary(err) {
					t.Error("another attempt would be worth it")
				}
				return
			}
			if rec.Verified != c.verified || !bytes.Equal(got.Bytes(), file) || rec.SHA256 != sha256.Sum256(file) || rec.Size != int64(len(file)) {
				t.Errorf("verified %v, %d bytes", rec.Verified, got.Len())
			}
		})
	}
}

func TestStoreStreamsEachPartAndReadsTheAnswer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || params["type"] != "application/dicom" || r.ContentLength <= 0 {
			t.Errorf("content type %v, length %d", err, r.ContentLength)
		}
		m := multipart.NewReader(r.Body, params["boundary"])
		for _, want := range []string{"first", "", "third"} {
			p, err := m.NextRawPart()
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := io.ReadAll(p); err != nil || string(b) != want {
				t.Errorf("part %q, %v", b, err)
			}
		}
		if _, err := m.NextRawPart(); err != io.EOF {
			t.Errorf("after the last part: %v", err)
		}
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.1"]}},{"00081155":{"vr":"UI","Value":["1.2"]},"00081196":{"vr":"US","Value":[45072]},"00000902":{"vr":"LO","Value":["why"]}}]},
			"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.3"]},"00081197":{"vr":"US","Value":[49152]}}]}}`)
	})
	parts := make([]Part, 0, 3)
	for _, s := range []string{"first", "", "third"} {
		parts = append(parts, Part{int64(len(s)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }})
	}
	sent := 0
	a, err := c.Store(t.Context(), "", parts, func(n int) { sent += n })
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Kept) != 2 || a.Kept[1].Reason != WarningHeld || a.Kept[1].Text != "why" || len(a.Failed) != 1 || a.Failed[0].SOPInstanceUID != "1.3" || a.Failed[0].Reason != 0xC000 || sent < 10 {
		t.Errorf("%+v, %d bytes", a, sent)
	}
}

func TestAFileThatShrinksIsNotPadded(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	_, err := c.Store(t.Context(), "", []Part{{10, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("short")), nil }}}, nil)
	if !errors.Is(err, ErrChanged) || Temporary(err) {
		t.Fatalf("error %v", err)
	}
}

func TestSearchReadsEveryPage(t *testing.T) {
	const all = 1203
	for _, per := range []int{page, 100} { // a server may give less at a time than asked for
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var limit, offset int
			fmt.Sscan(r.URL.Query().Get("limit"), &limit)
			fmt.Sscan(r.URL.Query().Get("offset"), &offset)
			n := min(limit, per, all-offset)
			if n <= 0 {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			if offset+n < all {
				w.Header().Set("Warning", `299 node "there are more"`)
			}
			fmt.Fprint(w, "[")
			for i := range n {
				if i > 0 {
					fmt.Fprint(w, ",")
				}
				fmt.Fprintf(w, `{"00100020":{"vr":"LO","Value":["%d"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]},"00200011":{"vr":"IS","Value":[%d]}}`, offset+i, i)
			}
			fmt.Fprint(w, "]")
		})
		n := 0
		err := c.Search(t.Context(), Query{Level: Study, Match: url.Values{"Modality": {"CT"}}}, func(a Attributes) error {
			if a.String(dicom.TagPatientID) != fmt.Sprint(n) || a.String(dicom.TagPatientName) != "A^B" || a.Int(dicom.TagSeriesNumber) != n%per {
				t.Fatalf("result %d is %v", n, a)
			}
			n++
			return nil
		})
		if err != nil || n != all {
			t.Errorf("%d of %d results: %v", n, all, err)
		}
		n = 0
		if err := c.Search(t.Context(), Query{Level: Study, Limit: 7}, func(Attributes) error { n++; return nil }); err != nil || n != 7 {
			t.Errorf("limit: %d, %v", n, err)
		}
	}
}

func TestProblemsSayWhatToDo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"title":"Busy","detail":"Too much waits.","status":200}`)
	})
	err := c.JSON(t.Context(), "GET", nil, nil, nil, "api", "x")
	p, ok := errors.AsType[*Problem](err)
	if !ok || p.Status != 503 || p.After != 3*time.Second || !strings.Contains(err.Error(), "Too much waits.") || !Temporary(err) {
		t.Fatalf("%v", err)
	}
}

func TestRetry(t *testing.T) {
	busy := &Problem{Status: 503}
	for _, c := range []struct {
		name  string
		p     Patience
		fails int
		err   error
		calls int
		ok    bool
	}{
		{"until it works", Patience{For: time.Minute, First: time.Nanosecond, Longest: time.Nanosecond}, 5, busy, 6, true},
		{"without patience", Patience{}, 5, busy, 1, false},
		{"never for what stays wrong", Patience{For: time.Minute}, 5, &Problem{Status: 403}, 1, false},
		{"never once cancelled", Patience{For: time.Minute}, 5, context.Canceled, 1, false},
	} {
		calls := 0
		err := Retry(t.Context(), c.p, func() error {
			if calls++; calls <= c.fails {
				return c.err
			}
			return nil
		})
		if calls != c.calls || (err == nil) != c.ok {
			t.Errorf("%s: %d calls, %v", c.name, calls, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.1"]}}]}}`), "sha-256=:AAAA:")
	f.Add([]byte(`[{"00081199":{"vr":"SQ","Value":[null]}}]`), "sha-256=:"+strings.Repeat("A", 43)+"=:;x=1")
	f.Fuzz(func(t *testing.T, b []byte, digest string) {
		if s, ok := parseStored(b); ok && len(s.Kept)+len(s.Failed)+len(s.Unnamed) == 0 {
			t.Error("an answer about nothing")
		}
		if d, ok := reprDigest(digest); ok && len(d) != sha256.Size {
			t.Error("a digest of another length")
		}
	})
}
