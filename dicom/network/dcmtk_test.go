package network

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// realFile is a file of the shared folder, with what its file meta information says of it (PS3.10 7.1).
type realFile struct {
	path           string
	class, uid, ts string
	dataSet        []byte
	ordinal        int
	digest         [32]byte
}

// realFiles are the files that have preamble and complete file meta information. Its own few lines read them, so that what is under test stands alone.
func realFiles(t testing.TB) []realFile {
	dir := filepath.Join(testdata.Shared(t), "data", "dicom")
	var files []realFile
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if f, ok := split(b); ok {
			f.path, f.ordinal, f.digest = path, len(files), sha256.Sum256(f.dataSet)
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files of the shared folder have file meta information", len(files))
	}
	return files
}

func split(b []byte) (f realFile, ok bool) {
	if len(b) < 132 || string(b[128:132]) != "DICM" {
		return f, false
	}
	b = b[132:]
	for len(b) >= 8 && b[0] == 2 && b[1] == 0 {
		element, head, n := binary.LittleEndian.Uint16(b[2:]), 8, int(binary.LittleEndian.Uint16(b[6:]))
		if string(b[4:6]) == "OB" {
			if len(b) < 12 {
				return f, false
			}
			head, n = 12, int(binary.LittleEndian.Uint32(b[8:]))
		}
		if head+n > len(b) {
			return f, false
		}
		v := strings.TrimRight(string(b[head:head+n]), "\x00 ")
		switch element {
		case 0x0002:
			f.class = v
		case 0x0003:
			f.uid = v
		case 0x0010:
			f.ts = v
		}
		b = b[head+n:]
	}
	f.dataSet = b
	return f, f.class != "" && f.uid != "" && f.ts != "" && len(b) > 0
}

func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testdata.Program(t, name), args...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func hostPort(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// storescp runs DCMTK's receiver, which keeps the data sets bit by bit as they come, and stops it at the end of the test.
func storescp(t *testing.T, dir string, args ...string) (addr string) {
	t.Helper()
	program := testdata.Program(t, "storescp")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port := hostPort(t, addr)
	l.Close()
	cmd := exec.Command(program, append(append([]string{"+B", "-F", "+xa", "-pm", "+uf", "-pdu", "131072", "-od", dir}, args...), port)...)
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("storescp does not listen: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// digests are the SHA-256 of what storescp wrote, sorted.
func digests(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%x", sha256.Sum256(b)))
	}
	sort.Strings(all)
	return all
}

// tally keeps the digest of everything stored, and in which transfer syntax it came.
type tally struct {
	mu       sync.Mutex
	digests  []string
	syntaxes map[string]int
	contexts int
}

func (k *tally) store(_ context.Context, a *Association, r *StoreRequest) Status {
	b, whole, err := r.Data.ReadAll(make([]byte, 0, 600_000), 1<<30)
	if err != nil || !whole {
		return Status{Code: StatusOutOfResources}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.digests = append(k.digests, fmt.Sprintf("%x", sha256.Sum256(b)))
	if k.syntaxes == nil {
		k.syntaxes = map[string]int{}
	}
	k.syntaxes[r.TransferSyntaxUID]++
	k.contexts = max(k.contexts, len(a.Contexts()))
	return Status{}
}

func (k *tally) sorted() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	sort.Strings(k.digests)
	return k.digests
}

// missing counts the digests of a that b has not, or not as often.
func missing(a, b []string) (n int) {
	count := map[string]int{}
	for _, d := range b {
		count[d]++
	}
	for _, d := range a {
		if count[d]--; count[d] < 0 {
			n++
		}
	}
	return n
}

func same(a, b []string) bool {
	return strings.Join(a, " ") == strings.Join(b, " ")
}

// pairs are the pairs of SOP class and transfer syntax of files, filled up with further SOP classes.
func pairs(files []realFile, fill int) []Proposal {
	seen := map[string]bool{}
	var all []Proposal
	add := func(class, ts string) {
		if !seen[class+" "+ts] {
			seen[class+" "+ts] = true
			all = append(all, Proposal{class, []string{ts}})
		}
	}
	for _, f := range files {
		add(f.class, f.ts)
	}
	for _, c := range StorageClasses() {
		if len(all) >= fill {
			break
		}
		add(c.UID, explicitLE)
	}
	return all
}

// profile writes an association negotiation profile for DCMTK.
func profile(t *testing.T, contexts []Proposal) string {
	t.Helper()
	var b bytes.Buffer
	index := map[string]int{}
	fmt.Fprintln(&b, "[[TransferSyntaxes]]")
	for _, p := range contexts {
		if ts := p.TransferSyntaxes[0]; index[ts] == 0 {
			index[ts] = len(index) + 1
			fmt.Fprintf(&b, "[TS%d]\nTransferSyntax1 = %s\n", index[ts], ts)
		}
	}
	fmt.Fprintln(&b, "[[PresentationContexts]]\n[ALL]")
	for i, p := range contexts {
		fmt.Fprintf(&b, "PresentationContext%d = %s\\TS%d\n", i+1, p.AbstractSyntax, index[p.TransferSyntaxes[0]])
	}
	fmt.Fprintln(&b, "[[Profiles]]\n[ALL]\nPresentationContexts = ALL")
	path := filepath.Join(t.TempDir(), "profile.cfg")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEchoscu(t *testing.T) {
	n := start(t, &Server{})
	host, port := hostPort(t, n.addr)
	if out, err := run(t, "echoscu", "--repeat", "3", "-pts", "4", "-ppc", "100", host, port); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := <-n.ended; err != nil {
		t.Error(err)
	}
	if out, err := run(t, "echoscu", "--abort", host, port); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if a, ok := errors.AsType[*AbortError](<-n.ended); !ok || !a.ByPeer {
		t.Error("the peer's abort was not seen")
	}
}

// Everything that storescu can send arrives here as it arrives at DCMTK's own receiver: on one association with more than 55 presentation contexts. There is
// more here, for storescp does not take retired JPEG processes.
func TestStorescu(t *testing.T) {
	files := realFiles(t)
	args := []string{"-nh", "-xf", profile(t, pairs(files, 110)), "ALL"}
	compareWithStorescp(t, "storescu", args, files, 100)
}

func TestDcmsend(t *testing.T) {
	compareWithStorescp(t, "dcmsend", []string{"-nh", "-dn"}, realFiles(t), 0)
}

func compareWithStorescp(t *testing.T, program string, args []string, files []realFile, contexts int) {
	dir := t.TempDir()
	theirs := storescp(t, dir)
	var k tally
	n := start(t, &Server{Store: k.store})
	for _, addr := range []string{theirs, n.addr} {
		host, port := hostPort(t, addr)
		all := append(append([]string(nil), args...), host, port)
		for _, f := range files {
			all = append(all, f.path)
		}
		// Some of the files are broken on purpose, so the exit status says little.
		if out, _ := run(t, program, all...); strings.Contains(out, "Rejected") || strings.Contains(out, "Aborted") {
			t.Errorf("the association failed: %d bytes of output", len(out))
		}
	}
	want, got := digests(t, dir), k.sorted()
	if err := <-n.ended; err != nil {
		t.Error(err)
	}
	// The one difference wanted: where a file has a wrong value representation, dcmsend asks to store an instance of "SOP class 31".
	if m := missing(want, got); len(want) < 140 || m != int(n.failed.Load()) || m > 4 {
		t.Errorf("storescp has %d data sets, this server %d; %d are missing, %d were refused", len(want), len(got), m, n.failed.Load())
	}
	if k.contexts < contexts {
		t.Errorf("%d presentation contexts", k.contexts)
	}
	t.Logf("%d of %d files, %d transfer syntaxes, %d contexts", len(got), len(files), len(k.syntaxes), k.contexts)
}

// Every file goes from Dial to storescp in its own transfer syntax and arrives byte for byte.
func TestStoreToStorescp(t *testing.T) {
	files := realFiles(t)
	dir := t.TempDir()
	addr := storescp(t, dir)
	a, err := Dial(t.Context(), addr, options(pairs(files, 0)...))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Abort()
	var want []string
	syntaxes := map[string]bool{}
	for i, f := range files {
		in := &Instance{SOPClassUID: f.class, SOPInstanceUID: f.uid, TransferSyntaxUID: f.ts, Bytes: f.dataSet}
		ts, _ := dicom.LookupTransferSyntax(f.ts)
		if odd := len(f.dataSet)&1 == 1; odd && ts.Deflated {
			f.digest = sha256.Sum256(append(f.dataSet[:len(f.dataSet):len(f.dataSet)], 0))
		} else if odd { // a broken file
			if _, err := a.Store(t.Context(), in); !errors.Is(err, ErrOddLength) && !errors.Is(err, ErrNoContext) {
				t.Errorf("file %d: %v", f.ordinal, err)
			}
			continue
		}
		if i%2 == 1 {
			in.Bytes, in.Reader = nil, bytes.NewReader(f.dataSet)
		}
		st, err := a.Store(t.Context(), in)
		if errors.Is(err, ErrNoContext) {
			continue // a transfer syntax that this DCMTK does not know
		}
		if err != nil {
			t.Fatalf("file %d: %v", f.ordinal, err)
		}
		if st.Done() {
			want = append(want, fmt.Sprintf("%x", f.digest))
			syntaxes[f.ts] = true
		}
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	sort.Strings(want)
	if got := digests(t, dir); len(want) < 140 || !same(want, got) {
		t.Errorf("%d data sets were sent, %d or others arrived", len(want), len(got))
	}
	t.Logf("%d of %d files, %d transfer syntaxes", len(want), len(files), len(syntaxes))
}

// authority makes certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.key, a.cert = a.issue("authority", nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) issue(name string, parent *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: parent == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature,
	}
	signer := a.key
	if parent == nil {
		tmpl.KeyUsage |= x509.KeyUsageCertSign
		tmpl.ExtKeyUsage = nil
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(a.path(name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return key, cert
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// pair issues a certificate and returns it for crypto/tls.
func (a *authority) pair(name string) tls.Certificate {
	a.issue(name, a.cert)
	c, err := tls.LoadX509KeyPair(a.path(name+".crt"), a.path(name+".key"))
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	var c collect
	var mu sync.Mutex
	var peers []string
	n := start(t, &Server{
		Store: c.store,
		TLS:   &tls.Config{Certificates: []tls.Certificate{ca.pair("server")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, MinVersion: tls.VersionTLS12},
		Accept: func(_ context.Context, r *AssociateRequest) (Decision, error) {
			mu.Lock()
			defer mu.Unlock()
			peers = append(peers, r.TLS.PeerCertificates[0].Subject.CommonName)
			return Decision{}, nil
		},
	})
	o := options()
	o.TLS = &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.pair("sender")}}
	a := dial(t, n, o)
	want := payload(1 << 20)
	if st, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: want}); err != nil || !st.Success() {
		t.Fatalf("%v, %v", st, err)
	}
	if got, _ := c.take("1.2"); !bytes.Equal(got, want) {
		t.Error("arrived changed")
	}
	if a.TLS() == nil || a.TLS().PeerCertificates[0].Subject.CommonName != "server" {
		t.Error("no state of TLS")
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	// Without a certificate the server must not let anybody in, nor without TLS.
	o.TLS = &tls.Config{RootCAs: ca.pool}
	if _, err := Dial(t.Context(), n.addr, o); err == nil {
		t.Error("a client without a certificate was let in")
	}
	if _, err := Dial(t.Context(), n.addr, options()); err == nil {
		t.Error("a client without TLS was let in")
	}
	host, port := hostPort(t, n.addr)
	ca.pair("dcmtk")
	security := []string{"+tls", ca.path("dcmtk.key"), ca.path("dcmtk.crt"), "+cf", ca.path("authority.crt")}
	if out, err := run(t, "echoscu", append(security, host, port)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if peers[len(peers)-1] != "dcmtk" || peers[0] != "sender" || len(peers) != 2 {
		t.Errorf("peers: %v", peers)
	}
	// The other way, to a DCMTK that wants a certificate.
	dir := t.TempDir()
	o.TLS = &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.pair("sender2")}}
	addr := storescp(t, dir, security...)
	b, err := Dial(t.Context(), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Abort()
	file := []byte("\x08\x00\x18\x00UI\x04\x001.2\x00")
	if st, err := b.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: file}); err != nil || !st.Done() {
		t.Fatalf("%v, %v", st, err)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got := digests(t, dir); len(got) != 1 || got[0] != fmt.Sprintf("%x", sha256.Sum256(file)) {
		t.Errorf("%d arrived", len(got))
	}
}
