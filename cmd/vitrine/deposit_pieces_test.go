package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// halfway is a node that loses the line in the middle of a file, once.
type halfway struct {
	t      *testing.T
	file   []byte
	got    []byte
	from   []int64 // where pieces began
	visits map[string]bool
	cut    bool
	begun  int
}

const halfwayID = "0123456789abcdef0123456789abcdef"

func (h *halfway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.visits[r.Header.Get("Vitrine-Visit")] = true
	if !strings.HasPrefix(r.Header.Get("Vitrine-Link"), "vitrine-link_") || r.Header.Get("Authorization") != "" || r.URL.RawQuery != "" && !strings.HasPrefix(r.URL.RawQuery, "after=") {
		h.t.Errorf("%s %s shows %v", r.Method, r.URL, r.Header)
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + r.URL.Path {
	case "GET /upload/links/mine":
		fmt.Fprint(w, `{"id":"link-0123456789abcdef","collection":"Breast","left_bytes":1000000000,"left_files":10}`)
	case "POST /upload/batches":
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"batch":"77"}`)
	case "POST /upload":
		h.begun++
		if m := r.Header.Get("Upload-Metadata"); !strings.Contains(m, "ordinal "+base64.StdEncoding.EncodeToString([]byte("1"))) || !strings.Contains(m, "sha256 ") || r.Header.Get("Upload-Length") != strconv.Itoa(len(h.file)) {
			h.t.Errorf("announced as %v", r.Header)
		}
		w.Header().Set("Location", "/upload/"+halfwayID)
		w.WriteHeader(http.StatusCreated)
	case "HEAD /upload/" + halfwayID:
		w.Header().Set("Upload-Offset", strconv.Itoa(len(h.got)))
	case "PATCH /upload/" + halfwayID:
		at, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
		if err != nil || at != int64(len(h.got)) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		h.from = append(h.from, at)
		if !h.cut {
			h.cut = true
			half := make([]byte, len(h.file)/2)
			if _, err := io.ReadFull(r.Body, half); err != nil {
				h.t.Error(err)
			}
			h.got = half
			panic(http.ErrAbortHandler)
		}
		rest, err := io.ReadAll(r.Body)
		if err != nil {
			h.t.Error(err)
		}
		h.got = append(h.got, rest...)
		w.Header().Set("Upload-Offset", strconv.Itoa(len(h.got)))
		w.Header().Set("Vitrine-Outcome", "kept")
		w.WriteHeader(http.StatusNoContent)
	case "POST /upload/batches/77/end":
		w.WriteHeader(http.StatusNoContent)
	default:
		h.t.Errorf("%s %s", r.Method, r.URL.Path)
	}
}

// A file that was half sent when the line broke is gone on with by the next run, from where the node has it; no name of a file and no link stays in the clear.
func TestHalfAFile(t *testing.T) {
	var file []byte
	for s := range sample.Studies(1) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		file = in.File()
		break
	}
	path := filepath.Join(t.TempDir(), "ROWAN_IMOGEN.dcm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	h := &halfway{t: t, file: file, visits: map[string]bool{}}
	s := httptest.NewServer(h)
	defer s.Close()
	const secret = "vitrine-link_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	t.Setenv("VITRINE_LINK", s.URL+"/send#"+secret)
	deposit := func() (int, string) {
		var out, err bytes.Buffer
		code := run([]string{"deposit", path, "--patience", "0s"}, strings.NewReader(""), &out, &err)
		return code, out.String() + err.String()
	}
	if code, said := deposit(); code != 1 || !strings.Contains(said, "run the command again to go on") || strings.Contains(said, secret) {
		t.Fatalf("%d %s", code, said)
	}
	code, said := deposit()
	if code != 0 || !strings.Contains(said, "1 file: 1 kept") {
		t.Fatalf("%d %s", code, said)
	}
	if !bytes.Equal(h.got, file) || len(h.from) != 2 || h.from[0] != 0 || h.from[1] != int64(len(file)/2) || h.begun != 1 {
		t.Errorf("pieces from %v, announced %d times, %d of %d bytes", h.from, h.begun, len(h.got), len(file))
	}
	if len(h.visits) != 1 {
		t.Errorf("%d visits, for the runs of one person", len(h.visits))
	}
	if code, said := deposit(); code != 0 || len(h.from) != 2 || !strings.Contains(said, "acknowledged in an earlier run") {
		t.Errorf("once more: %d %s", code, said)
	}
	err := filepath.WalkDir(state, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, []byte("ROWAN")) || bytes.Contains(b, []byte(secret[13:])) {
			t.Errorf("%s says what was sent, or by which link", filepath.Base(p))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
