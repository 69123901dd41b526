package portal

import (
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/access"
	"github.com/vitrine-imaging/vitrine/internal/flow/ask"
)

// endless is the body of a form with a file that does not end until so many bytes were read.
type endless struct{ head, left int }

const formHead = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	if e.head < len(formHead) {
		n = copy(p, formHead[e.head:])
		e.head += n
	}
	for i := n; i < len(p); i++ {
		p[i] = 'a'
	}
	e.left -= len(p)
	return len(p), nil
}

// Nobody fills the disk or the memory with a form: whoever it is, a form is small, and nothing of it is written to a temporary file.
func TestFormsAreBounded(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	h := site(t, Parts{Ask: &ask.Desk{}, Access: &access.Desk{}})
	mux := web.NewMux()
	d, err := New(Parts{Ask: &ask.Desk{}, Access: &access.Desk{}})
	if err != nil {
		t.Fatal(err)
	}
	d.Register(mux)
	n := 0
	for _, pattern := range mux.Patterns() {
		path, ok := strings.CutPrefix(pattern, "POST ")
		if !ok || strings.Contains(path, "/passkey") { // which read JSON, within bounds of their own
			continue
		}
		n++
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		for _, kind := range []string{"multipart/form-data; boundary=x", "application/x-www-form-urlencoded"} {
			body := &endless{left: 48 << 20}
			r := httptest.NewRequest("POST", path, body)
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if read := 48<<20 - body.left; read > 8<<20 {
				t.Errorf("%s, %s: %d bytes of it were read, %d", pattern, kind, read, w.Code)
			}
			if w.Code < 300 || w.Code >= 500 {
				t.Errorf("%s, %s: %d", pattern, kind, w.Code)
			}
		}
		if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
			t.Fatalf("%s: %d temporary files, %v", pattern, len(left), err)
		}
	}
	if n < 20 {
		t.Fatalf("%d forms: the test looks at the wrong thing", n)
	}
}
