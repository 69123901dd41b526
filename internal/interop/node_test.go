package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// TestMain is also the program that decodes code streams.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "codec-worker" {
		if codec.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	explicitLE = dicom.ExplicitVRLittleEndianUID
	implicitLE = dicom.ImplicitVRLittleEndianUID
	kept       = "kept"
)

// rig is a running node with the collection KEPT, which keeps what it is given, and no demonstration: who may do what is registered.
type rig struct {
	testing.TB
	n *node.Node
}

func start(t testing.TB, change ...func(*node.Config)) *rig {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	dir := t.TempDir()
	cfg := node.Config{Data: filepath.Join(dir, "node"), Key: filepath.Join(dir, "master.key"), HTTP: "127.0.0.1:0", DICOM: "127.0.0.1:0", ForwardPause: 10 * time.Millisecond,
		Decoder: []string{exe, "codec-worker", filepath.Join(cache, "vitrine-codec")}}
	for _, f := range change {
		f(&cfg)
	}
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	x := &rig{t, n}
	x.write(func(tx *db.Tx) error {
		return n.Stores.Collections.Create(tx, collection.Collection{ID: kept, Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AETitle: "KEPT", AttestedBy: "test"})
	})
	return x
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.Helper()
	if err := x.n.Stores.DB.Write(x.Context(), fn); err != nil {
		x.Fatal(err)
	}
}

// peer registers an application of this machine.
func (x *rig) peer(aet string, port int, may identity.May, change ...func(*identity.Peer)) {
	x.Helper()
	p := identity.Peer{AETitle: collection.AETitle(aet), Host: "127.0.0.1", Port: port, May: may, Collection: policy.AllCollections}
	for _, f := range change {
		f(&p)
	}
	x.write(func(tx *db.Tx) error { _, err := x.n.Stores.Identity.AddPeer(tx, p); return err })
}

func (x *rig) port() string {
	_, port, err := net.SplitHostPort(x.n.DICOMAddr())
	if err != nil {
		x.Fatal(err)
	}
	return port
}

// token is the secret of a token of a role in the collection.
func (x *rig) token(role policy.Role) string {
	x.Helper()
	s, err := identity.NewSecret()
	if err != nil {
		x.Fatal(err)
	}
	x.write(func(tx *db.Tx) error {
		_, err := x.n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: role.String(), Role: role, Collection: kept})
		return err
	})
	return s.Reveal()
}

// get asks over HTTP.
func (x *rig) get(path, token, accept string) (code int, body []byte) {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), http.MethodGet, "http://"+x.n.HTTPAddr()+path, nil)
	if err != nil {
		x.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		x.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		x.Fatal(err)
	}
	return resp.StatusCode, body
}

func (x *rig) until(what string, ok func() bool) {
	x.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.Fatalf("%s: not within a minute", what)
		}
	}
}

// admitted waits until so many instances of the collection are, and nothing of it waits.
func (x *rig) admitted(n int64) {
	x.Helper()
	if err := x.n.Custody.Barrier(x.Context()); err != nil {
		x.Fatal(err)
	}
	x.until(fmt.Sprintf("%d instances admitted", n), func() bool {
		in, err := x.n.Stores.Catalogue.Intake(x.Context(), kept)
		if err != nil {
			x.Fatal(err)
		}
		return in.Pending == 0 && in.Catalogued >= n
	})
}

func (x *rig) publish() {
	x.Helper()
	if _, err := x.n.Stores.Desk().Publish(x.Context(), admin.Operator("test"), kept, ""); err != nil {
		x.Fatal(err)
	}
}

// instance is one object as its sender has it.
type instance struct {
	name                             string // for failures
	class, sop, study, series, image string // image: Patient ID
	syntax                           string
	data                             []byte
}

func (i *instance) sent() *network.Instance {
	return &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data}
}

// file is the instance as a Part 10 file.
func (i *instance) file(t testing.TB) []byte {
	t.Helper()
	m, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, ImplementationClassUID: "1.2.3.4"})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(make([]byte, 128), []byte("DICM"), m.Bytes(), i.data)
}

// realInstances are real files, so many of each transfer syntax and at most of a size, each as an instance of its own with other UIDs: of several encodings of one image none is a conflict.
func realInstances(t testing.TB, each, size int) []*instance {
	t.Helper()
	root := filepath.Join(testdata.Shared(t), "data", "dicom")
	count := map[string]int{}
	var all []*instance
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if fi, err := d.Info(); err != nil || fi.Size() > int64(size) {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil || f.Data.UID(dicom.TagSOPClassUID) == "" || f.Data.PixelData() < 0 {
			return nil // broken on purpose, or no image
		}
		if count[f.Syntax().UID] >= each {
			return nil
		}
		rel, _ := filepath.Rel(root, p)
		if i := renamed(t, f, len(all)+1); len(i.data)%2 == 0 || f.Syntax().Deflated { // an odd length travels by no C-STORE
			count[i.syntax]++
			i.name = rel
			all = append(all, i)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// renamed is a file's data set with UIDs and a Patient ID of its own.
func renamed(t testing.TB, f *dicom.File, n int) *instance {
	t.Helper()
	i := &instance{class: f.Data.UID(dicom.TagSOPClassUID), syntax: f.Syntax().UID, study: fmt.Sprintf("2.25.7%04d", n), image: fmt.Sprintf("P%04d", n)}
	i.series, i.sop = i.study+".1", i.study+".1.1"
	e := f.Data.Edit()
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPInstanceUID: i.sop, dicom.TagStudyInstanceUID: i.study, dicom.TagSeriesInstanceUID: i.series, dicom.TagPatientID: i.image} {
		at := f.Data.Find(tag)
		if at < 0 {
			e.Insert(dicom.Root, tag, dicom.VRUI, append([]byte(v), make([]byte, len(v)%2)...))
		} else if err := e.SetText(at, v); err != nil {
			t.Fatal(err)
		}
	}
	r, err := e.Render()
	if err != nil {
		t.Fatal(err)
	}
	m, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, ImplementationClassUID: "1.2.3.4"})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := dicom.WriteFile(&b, m, r, func(x dicom.BulkRef) (io.Reader, error) { return f.Bulk(x.Elem), nil }); err != nil {
		t.Fatal(err)
	}
	back, err := dicom.Parse(b.Bytes(), dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	i.data = back.DatasetBytes()
	return i
}

// contexts propose every class and syntax of instances, each pair in a context of its own.
func contexts(all []*instance) (out []network.Proposal) {
	seen := map[[2]string]bool{}
	for _, i := range all {
		if k := [2]string{i.class, i.syntax}; !seen[k] {
			seen[k] = true
			out = append(out, network.Proposal{AbstractSyntax: i.class, TransferSyntaxes: []string{i.syntax}})
		}
	}
	return out
}

// receiver is a receiver of the test's own.
type receiver struct {
	port int

	mu  sync.Mutex
	has map[string]*instance // by SOP Instance UID
}

func (r *receiver) of(sop string) *instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.has[sop]
}

func (r *receiver) take(req *network.StoreRequest) network.Status {
	b, whole, err := req.Data.ReadAll(nil, 1<<30)
	if err != nil || !whole {
		return network.Status{Code: network.StatusOutOfResources}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.has[req.SOPInstanceUID] = &instance{class: req.SOPClassUID, sop: req.SOPInstanceUID, syntax: req.TransferSyntaxUID, data: b}
	return network.Status{}
}

// receive starts one that takes some transfer syntaxes; none named: all.
func receive(t testing.TB, takes ...string) *receiver {
	t.Helper()
	r := &receiver{has: map[string]*instance{}}
	s := &network.Server{
		Accept: func(context.Context, *network.AssociateRequest) (network.Decision, error) {
			return network.Decision{Negotiate: network.StoragePolicy{Readable: func(ts string) bool { return len(takes) == 0 || slices.Contains(takes, ts) }}.Negotiate}, nil
		},
		Store: func(_ context.Context, _ *network.Association, req *network.StoreRequest) network.Status {
			return r.take(req)
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.port = l.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// identifier builds one of "Keyword=value" or "Keyword", in implicit VR.
func identifier(t testing.TB, keys ...string) []byte {
	t.Helper()
	b := dicom.NewBuilder(dicom.ImplicitVRLittleEndian)
	for _, k := range keys {
		name, value, _ := strings.Cut(k, "=")
		e, ok := dicom.LookupKeyword(name)
		if !ok {
			t.Fatalf("no attribute %s", name)
		}
		if value == "" {
			b.Empty(e.Tag)
		} else {
			b.Text(e.Tag, e.VR, strings.Split(value, `\`)...)
		}
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d.Bytes()
}

// freePort is a port that was free a moment ago, for programs that cannot be given one.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run runs a program to its end and gives what it says.
func run(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testdata.Program(t, name), args...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// background runs a program that listens on a port, until the test ends.
func background(t testing.TB, port int, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(testdata.Program(t, name, "/usr/sbin"), args...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said: %.4000s", name, said.String())
		}
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("%s ended", name)
		case <-deadline:
			t.Fatalf("%s does not listen", name)
		}
	}
}
