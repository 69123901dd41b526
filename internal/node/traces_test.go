package node

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Spans of requests, C-STOREs and jobs reach the collector, and nothing of a request but its route, nor of an image, nor of the machine.
func TestTraces(t *testing.T) {
	var mu sync.Mutex
	var names []string
	var all strings.Builder
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		var got collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(b, &got) != nil {
			t.Error("the collector cannot read it")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range got.GetResourceSpans() {
			for _, in := range of.GetScopeSpans() {
				for _, s := range in.GetSpans() {
					names = append(names, s.GetName())
				}
			}
		}
		all.WriteString(prototext.Format(&got))
	}))
	defer there.Close()
	n, stop := run(t, Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Traces: there.URL})
	several(t, n, 0, 1)
	ask(t, n, "/api/collections/private-name/intake?secret=word", "")
	ask(t, n, "/secret-address", "")
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		return n.queue.Add(tx, "check audit log", "secret-key", []byte("operator"), time.Now())
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job is done", func() bool {
		_, ok, err := n.Stores.Audit.Latest(t.Context(), "verify the audit log", 1000)
		return err == nil && ok
	})
	stop()
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"C-STORE", "GET /api/collections/{collection}/intake", "none", "job check audit log"} {
		if !slices.Contains(names, want) {
			t.Errorf("no span %q among %q", want, names)
		}
	}
	for _, secret := range []string{"secret", "private-name", "word", "P-0", "1.2.3.0", "127.0.0.1", "host.name", "process."} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("a span says %q", secret)
		}
	}
	if !strings.Contains(all.String(), "service.name") {
		t.Error("nobody knows whose spans these are")
	}
}

// A collector that does not answer keeps nothing waiting, and one that is none is refused.
func TestTracesToNobody(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	said := &notes{}
	n, stop := run(t, Config{Data: t.TempDir(), HTTP: "127.0.0.1:0", Traces: gone.URL, Log: slog.New(slog.NewTextHandler(said, nil))})
	several(t, n, 0, 1)
	if code, _ := ask(t, n, "/readyz", ""); code != http.StatusOK {
		t.Errorf("readyz: %d", code)
	}
	stop()
	if text := said.String(); strings.Count(text, "does not take traces") != 1 || strings.Contains(text, gone.URL) {
		t.Errorf("the log says: %s", text)
	}
	for _, bad := range []string{"ftp://x", "nothing", "http://%zz"} {
		if _, err := New(t.Context(), Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0", Traces: bad}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
