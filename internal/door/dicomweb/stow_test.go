package dicomweb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// shelf is a custody of which every instance is a word, told by its first letter what becomes of it.
type shelf struct {
	mu    sync.Mutex
	took  []string
	into  collection.ID
	study string
	ended int
	bytes int64
}

func (s *shelf) begin(_ context.Context, id collection.ID, _ string) (Deposit, error) {
	s.into = id
	return s, nil
}

func (s *shelf) End() { s.ended++ }

func (s *shelf) Receive(_ context.Context, in custody.Incoming) (custody.Receipt, error) {
	b, whole, err := in.Data.ReadAll(make([]byte, 0, 100), 1<<20)
	n := int64(len(b))
	if err == nil && !whole {
		var rest int64
		rest, err = io.Copy(io.Discard, in.Data)
		n += rest
	}
	if err != nil {
		return custody.Receipt{}, fault.Wrap(fault.Unavailable, "receive instance", "", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.study = in.StudyUID
	s.bytes += n
	word := string(b[:min(len(b), 20)])
	refuse := func(kind fault.Kind, sop, code string) (custody.Receipt, error) {
		return custody.Receipt{}, &custody.Refusal{SOPInstanceUID: sop, SOPClassUID: "1.2", Reason: custody.Reason{Code: code, Where: "(0008,0018)", Text: "it is so"}, Err: fault.New(kind, "receive", "", "it is so")}
	}
	switch {
	case word == "":
		return refuse(fault.Invalid, "", "not-dicom")
	case word[0] == 'x':
		return refuse(fault.Invalid, "1.2.3", "truncated")
	case word[0] == 's':
		return refuse(fault.Invalid, "1.2.3", "unknown-transfer-syntax")
	case word[0] == 'm':
		return refuse(fault.Invalid, "1.2.3", "study-mismatch")
	case word[0] == 'f':
		return refuse(fault.Unavailable, "", "unavailable")
	case word[0] == 'd':
		return refuse(fault.Denied, "1.2.3", "denied")
	case word[0] == 'p':
		panic("as asked")
	}
	s.took = append(s.took, word)
	r := custody.Receipt{SOPClassUID: "1.2", SOPInstanceUID: "2.25." + fmt.Sprint(len(s.took)), Outcome: custody.Kept}
	switch word[0] {
	case 'h':
		r.Outcome = custody.Held
	case 'c':
		r.Outcome = custody.Conflict
	}
	return r, nil
}

func grant(role policy.Role, c string) web.Caller {
	return web.Caller{Actor: "token", Grants: []policy.Grant{{Role: role, Collection: c}}}
}

func serveStow(t testing.TB, s *shelf, c web.Caller) http.Handler {
	d := New(Parts{Begin: s.begin, Log: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	d.Register(mux)
	f := &web.Front{Identify: func(context.Context, string) (web.Caller, error) { return c, nil }, Log: slog.New(slog.DiscardHandler)}
	return f.Handler(mux)
}

func multi(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString("--b\r\nContent-Type: application/dicom\r\n\r\n" + w + "\r\n")
	}
	b.WriteString("--b--")
	return b.String()
}

const multiType = `multipart/related; type="application/dicom"; boundary=b`

func TestStore(t *testing.T) {
	depositor := grant(policy.Depositor, "breast")
	for _, c := range []struct {
		name, path, contentType, body string
		caller                        web.Caller
		status                        int
		kept, failed, other           int
		reasons                       string
	}{
		{"one", "/collections/breast/dicomweb/studies", multiType, multi("a"), depositor, 200, 1, 0, 0, ""},
		{"type without quotes", "/collections/breast/dicomweb/studies", "multipart/related; type=application/dicom; boundary=b", multi("a"), depositor, 200, 1, 0, 0, ""},
		{"alone", "/collections/breast/dicomweb/studies", "application/dicom", "a", depositor, 200, 1, 0, 0, ""},
		{"where the token is for", "/dicomweb/studies", multiType, multi("a"), depositor, 200, 1, 0, 0, ""},
		{"to the node's first", "/dicomweb/studies", multiType, multi("a"), grant(policy.Depositor, "*"), 200, 1, 0, 0, ""},
		{"held is kept", "/dicomweb/studies", multiType, multi("a", "h", "c"), depositor, 200, 3, 0, 0, "0 45072 45073"},
		{"some", "/dicomweb/studies", multiType, multi("a", "x"), depositor, 202, 1, 1, 0, "0 49152"},
		{"none", "/dicomweb/studies", multiType, multi("x", "s", "m", "d"), depositor, 409, 0, 4, 0, "49152 49442 43264 292"},
		{"unnamed", "/dicomweb/studies", multiType, multi("", "a"), depositor, 202, 1, 0, 1, "0 49152"},
		{"full", "/dicomweb/studies", multiType, multi("f"), depositor, 503, 0, 0, 1, "42752"},
		{"a panic costs one", "/dicomweb/studies", multiType, multi("p", "a"), depositor, 202, 1, 0, 1, "0 272"},
		{"cut after one", "/dicomweb/studies", multiType, multi("a", "bbb")[:75], depositor, 202, 1, 0, 1, "0 272"},
		{"cut in the first", "/dicomweb/studies", multiType, multi("a")[:45], depositor, 400, 0, 0, 0, ""},
		{"no part", "/dicomweb/studies", multiType, "--b--", depositor, 400, 0, 0, 0, ""},
		{"no body", "/dicomweb/studies", multiType, "", depositor, 400, 0, 0, 0, ""},
		{"no boundary", "/dicomweb/studies", `multipart/related; type="application/dicom"`, multi("a"), depositor, 400, 0, 0, 0, ""},
		{"another boundary", "/dicomweb/studies", `multipart/related; type="application/dicom"; boundary=c`, multi("a"), depositor, 400, 0, 0, 0, ""},
		{"no type", "/dicomweb/studies", "", multi("a"), depositor, 415, 0, 0, 0, ""},
		{"image", "/dicomweb/studies", `multipart/related; type="image/jpeg"; boundary=b`, multi("a"), depositor, 415, 0, 0, 0, ""},
		{"form", "/dicomweb/studies", `multipart/form-data; boundary=b`, multi("a"), depositor, 415, 0, 0, 0, ""},
		{"one part of another type", "/dicomweb/studies", multiType, strings.Replace(multi("a", "b"), "application/dicom", "image/png", 1), depositor, 202, 1, 0, 1, "0 49152"},
		{"bad study", "/dicomweb/studies/" + strings.Repeat("1", 65), multiType, multi("a"), depositor, 400, 0, 0, 0, ""},
		{"anonymous", "/dicomweb/studies", multiType, multi("a"), web.Caller{}, 401, 0, 0, 0, ""},
		{"a reader", "/collections/breast/dicomweb/studies", multiType, multi("a"), grant(policy.Researcher, "breast"), 403, 0, 0, 0, ""},
		{"a stranger", "/collections/lung/dicomweb/studies", multiType, multi("a"), depositor, 404, 0, 0, 0, ""},
		{"a reader, anywhere", "/dicomweb/studies", multiType, multi("a"), grant(policy.Researcher, "breast"), 403, 0, 0, 0, ""},
		{"no collection's name", "/collections/A_B/dicomweb/studies", multiType, multi("a"), grant(policy.Depositor, "*"), 404, 0, 0, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &shelf{}
			r := httptest.NewRequest("POST", c.path, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.contentType)
			r.Header.Set("Authorization", "Bearer x")
			w := httptest.NewRecorder()
			serveStow(t, s, c.caller).ServeHTTP(w, r)
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if c.kept+c.failed+c.other == 0 {
				if len(s.took) != 0 {
					t.Errorf("something was kept: %q", s.took)
				}
				if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("answered as %q", got)
				}
				return
			}
			var m map[string]struct {
				Value []map[string]struct{ Value []any }
			}
			if err := json.Unmarshal(bytes.ReplaceAll(w.Body.Bytes(), []byte(`"vr":"CS","Value":["ISO_IR 192"]`), []byte(`"vr":"CS"`)), &m); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			kept, failed, other := m["00081199"].Value, m["00081198"].Value, m["0008119A"].Value
			if len(kept) != c.kept || len(failed) != c.failed || len(other) != c.other {
				t.Fatalf("%d kept, %d failed, %d others: %s", len(kept), len(failed), len(other), w.Body)
			}
			var reasons []string
			for _, it := range kept {
				n := any(0)
				if v := it["00081196"].Value; len(v) > 0 {
					n = v[0]
				}
				if it["00081155"].Value[0] == "" {
					t.Error("an instance without its UID")
				}
				reasons = append(reasons, fmt.Sprint(n))
			}
			for _, it := range append(failed, other...) {
				reasons = append(reasons, fmt.Sprint(it["00081197"].Value[0]))
			}
			if got := strings.Join(reasons, " "); c.reasons != "" && got != c.reasons {
				t.Errorf("reasons %s, want %s", got, c.reasons)
			}
			if s.ended != 1 {
				t.Errorf("the deposit was ended %d times", s.ended)
			}
		})
	}
}

// The study of the path goes along, to be compared.
func TestStoreIntoStudy(t *testing.T) {
	s := &shelf{}
	r := httptest.NewRequest("POST", "/dicomweb/studies/1.2.3", strings.NewReader(multi("a")))
	r.Header.Set("Content-Type", multiType)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	serveStow(t, s, grant(policy.Depositor, "breast")).ServeHTTP(w, r)
	if s.study != "1.2.3" || w.Code != 200 {
		t.Fatalf("study %q, status %d", s.study, w.Code)
	}
}

// endless is a part of n bytes.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.n)
	clear(p[:n])
	e.n -= n
	return int(n), nil
}

// A body of gigabytes passes in the memory of a buffer.
func TestStoreStreams(t *testing.T) {
	s := &shelf{}
	server := httptest.NewServer(serveStow(t, s, grant(policy.Depositor, "breast")))
	defer server.Close()
	const size = 2 << 30
	body := io.MultiReader(strings.NewReader("--b\r\nContent-Type: application/dicom\r\n\r\n"), &endless{size}, strings.NewReader("\r\n--b--"))
	r, err := http.NewRequest("POST", server.URL+"/dicomweb/studies", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", multiType)
	r.Header.Set("Authorization", "Bearer x")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	runtime.ReadMemStats(&after)
	if resp.StatusCode != 200 || s.bytes != size {
		t.Fatalf("status %d, %d bytes", resp.StatusCode, s.bytes)
	}
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 64<<20 {
		t.Errorf("%d MB were allocated on the way", grown>>20)
	}
}
