package upload_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// kept is a collection that keeps what it is given; other is one that the depositor has no role in.
const (
	kept  = "kept"
	other = "other"
)

// rig is a node that can be ended and started again.
type rig struct {
	t      *testing.T
	cfg    node.Config
	n      *node.Node
	stop   func()
	client *http.Client
	tokens map[string]string
}

func start(t *testing.T, database string, limits upload.Limits) *rig {
	t.Helper()
	x := &rig{t: t, cfg: node.Config{Data: t.TempDir(), Database: database, Demo: true, HTTP: "127.0.0.1:0", Uploads: limits}, client: &http.Client{Transport: &http.Transport{}}, tokens: map[string]string{}}
	x.run()
	t.Cleanup(func() { x.stop() })
	x.write(func(tx *db.Tx) error {
		for _, c := range []collection.ID{kept, other} {
			if err := x.n.Stores.Collections.Create(tx, collection.Collection{ID: c, Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AttestedBy: "test"}); err != nil {
				return err
			}
		}
		for name, g := range map[string]policy.Grant{"ann": {Role: policy.Depositor, Collection: kept}, "ben": {Role: policy.Depositor, Collection: kept},
			"cat": {Role: policy.Depositor, Collection: other}, "eve": {Role: policy.Researcher, Collection: kept}} {
			s, err := identity.NewSecret()
			if err != nil {
				return err
			}
			if _, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: name, Role: g.Role, Collection: g.Collection}); err != nil {
				return err
			}
			x.tokens[name] = s.Reveal()
		}
		return nil
	})
	return x
}

func each(t *testing.T, limits upload.Limits, test func(t *testing.T, x *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, start(t, "", limits)) })
	t.Run("postgresql", func(t *testing.T) { test(t, start(t, dbtest.PostgresURL(t), limits)) })
}

func (x *rig) run() {
	x.t.Helper()
	n, err := node.New(x.t.Context(), x.cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	ended := false
	x.n, x.stop = n, func() {
		if ended {
			return
		}
		ended = true
		x.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("the node did not end well: %v", err)
		}
	}
}

func (x *rig) again() {
	x.t.Helper()
	x.stop()
	x.run()
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.t.Helper()
	if err := x.n.Stores.DB.Write(x.t.Context(), fn); err != nil {
		x.t.Fatal(err)
	}
}

type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) offset() int64 {
	n, err := strconv.ParseInt(a.header.Get("Upload-Offset"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

type headers map[string]string

func (x *rig) do(who, method, path string, h headers, body io.Reader) answer {
	x.t.Helper()
	a, err := x.try(who, method, path, h, body)
	if err != nil {
		x.t.Fatal(err)
	}
	return a
}

func (x *rig) try(who, method, path string, h headers, body io.Reader) (answer, error) {
	r, err := http.NewRequestWithContext(x.t.Context(), method, "http://"+x.n.HTTPAddr()+path, body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	for k, v := range h {
		if v == "" {
			r.Header.Del(k)
			continue
		}
		r.Header.Set(k, v)
	}
	if secret, visit, ok := strings.Cut(x.tokens[who], " "); ok { // a link
		r.Header.Set("Vitrine-Link", secret)
		r.Header.Set("Vitrine-Visit", visit)
	} else if who != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := x.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// meta writes the header Upload-Metadata.
func meta(pairs ...string) string {
	var all []string
	for i := 0; i+1 < len(pairs); i += 2 {
		all = append(all, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(all, ",")
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// batch begins a batch of ann's.
func (x *rig) batch(who string) string {
	x.t.Helper()
	a := x.do(who, "POST", "/upload/batches", headers{"Content-Type": "application/json"}, strings.NewReader(`{"collection":"kept"}`))
	var b struct{ Batch, Upload string }
	if err := json.Unmarshal([]byte(a.body), &b); err != nil || a.code != 201 || b.Batch == "" || b.Upload != "/upload" {
		x.t.Fatalf("%d %s", a.code, a.body)
	}
	return b.Batch
}

// create begins an upload and gives its address.
func (x *rig) create(who, batch string, ordinal int, file []byte, more ...string) string {
	x.t.Helper()
	a := x.do(who, "POST", "/upload", headers{"Upload-Length": strconv.Itoa(len(file)),
		"Upload-Metadata": meta(append([]string{"batch", batch, "ordinal", strconv.Itoa(ordinal), "sha256", sum(file)}, more...)...)}, nil)
	at := a.header.Get("Location")
	if a.code != 201 || !strings.HasPrefix(at, "/upload/") {
		x.t.Fatalf("%d %q %s", a.code, at, a.body)
	}
	return at
}

func (x *rig) patch(who, at string, offset int64, body io.Reader, more ...string) answer {
	x.t.Helper()
	h := headers{"Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.FormatInt(offset, 10)}
	for i := 0; i+1 < len(more); i += 2 {
		h[more[i]] = more[i+1]
	}
	return x.do(who, "PATCH", at, h, body)
}

// file is an image that nobody was ever made of.
func file(t *testing.T, seed uint64) []byte {
	t.Helper()
	for s := range sample.Studies(seed) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		return in.File()
	}
	t.Fatal("no study")
	return nil
}

type listed struct {
	Ended bool
	Files []struct {
		Ordinal int64
		Fate    string
		Reasons []catalogue.Reason
	}
}

func (x *rig) list(who, batch string) (l listed) {
	x.t.Helper()
	a := x.do(who, "GET", "/upload/batches/"+batch, nil, nil)
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.code != 200 {
		x.t.Fatalf("%d %s", a.code, a.body)
	}
	return l
}

// stored is every file that the collection keeps.
func (x *rig) stored(c string) [][]byte {
	x.t.Helper()
	if err := x.n.Custody.Barrier(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	s, err := identity.NewSecret()
	if err != nil {
		x.t.Fatal(err)
	}
	x.write(func(tx *db.Tx) error {
		_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: "reader", Role: policy.Steward, Collection: c})
		return err
	})
	x.tokens["reader"] = s.Reveal()
	var found []map[string]struct{ Value []any }
	a := x.do("reader", "GET", "/collections/"+c+"/dicomweb/instances", headers{"Accept": "application/dicom+json"}, nil)
	if a.code == 204 {
		return nil
	}
	if err := json.Unmarshal([]byte(a.body), &found); err != nil {
		x.t.Fatalf("%d %s", a.code, a.body)
	}
	var all [][]byte
	for _, i := range found {
		at := "/collections/" + c + "/dicomweb/studies/" + i["0020000D"].Value[0].(string) + "/series/" + i["0020000E"].Value[0].(string) + "/instances/" + i["00080018"].Value[0].(string)
		a := x.do("reader", "GET", at, headers{"Accept": "application/dicom;transfer-syntax=*"}, nil)
		if a.code != 200 {
			x.t.Fatalf("%d %.200s", a.code, a.body)
		}
		all = append(all, []byte(a.body))
	}
	return all
}

// pixelsOf is what stays the same of a file whose meta information is written anew.
func pixelsOf(b []byte) []byte { return b[len(b)-len(b)/2:] }

func (x *rig) wantStored(want ...[]byte) {
	x.t.Helper()
	got := x.stored(kept)
	if len(got) != len(want) {
		x.t.Errorf("%d files are kept, want %d", len(got), len(want))
		return
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || bytes.HasSuffix(g, pixelsOf(w))
		}
		if !found {
			x.t.Error("a file did not come back as it was sent")
		}
	}
}

// until waits for something to be so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}
