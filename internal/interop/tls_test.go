package interop

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
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// paper is a self-signed certificate, in memory and as files.
type paper struct {
	tls.Certificate
	crt, key string
}

func (p *paper) digest() *identity.Digest {
	d := identity.Digest(sha256.Sum256(p.Certificate.Certificate[0]))
	return &d
}

// issue makes one that is valid for some hours around now.
func issue(t testing.TB, dir, name string, from, to time.Duration) *paper {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := &paper{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
	for f, b := range map[string]*pem.Block{p.crt: {Type: "CERTIFICATE", Bytes: der}, p.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(f, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take is what was written since the last time.
func (l *buffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.b.String()
	l.b.Reset()
	return s
}

// secured starts a node with a certificate, whose log is kept.
func secured(t *testing.T, dir string) (*rig, *paper, *buffer) {
	own, log := issue(t, dir, "node", -time.Hour, time.Hour), &buffer{}
	return start(t, func(c *node.Config) {
		c.TLSCert, c.TLSKey, c.HTTP = own.crt, own.key, ""
		c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}), own, log
}

func with(p *paper) func(*identity.Peer) {
	return func(x *identity.Peer) { x.Certificate = p.digest() }
}

// Who is registered with a certificate is served, by every service, with that certificate while it is valid, and by none without; the log says why not, and names nobody.
func TestWhoShowsWhichCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, own, log := secured(t, dir)
	right, other := issue(t, dir, "right", -time.Hour, time.Hour), issue(t, dir, "other", -time.Hour, time.Hour)
	expired, future, neighbours := issue(t, dir, "expired", -2*time.Hour, -time.Hour), issue(t, dir, "future", time.Hour, 2*time.Hour), issue(t, dir, "neighbours", -time.Hour, time.Hour)
	const all = identity.MayStore | identity.MayFind | identity.MayMove | identity.MayGet
	there := receive(t)
	x.peer("PINNED", there.port, all, with(right))
	x.peer("EXPIRED", there.port, all, with(expired))
	x.peer("FUTURE", there.port, all, with(future))
	x.peer("NEIGHBOUR", there.port, all, with(neighbours))
	x.peer("FINDER", there.port, identity.MayFind, with(other))
	x.peer("RECEIVER", there.port, identity.MayStore)
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(own.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	in := slice(t, dicom.ExplicitVRLittleEndian, 1, 1)
	classes := []string{network.StudyRootFindUID, network.StudyRootMoveUID, network.StudyRootGetUID, network.StorageCommitmentUID, in.class}
	for _, c := range []struct {
		name, calling string
		shows         *paper
		plain         bool
		served        []string
		reason        string
	}{
		{"its certificate", "PINNED", right, false, classes, ""},
		{"another", "PINNED", other, false, nil, "certificate-of-another-peer"},
		{"one that nobody knows", "PINNED", own, false, nil, "not-the-registered-certificate"},
		{"none", "PINNED", nil, false, nil, "no-certificate"},
		{"its own, expired", "EXPIRED", expired, false, nil, "certificate-expired"},
		{"its own, of tomorrow", "FUTURE", future, false, nil, "certificate-not-yet-valid"},
		{"another AE title's", "NEIGHBOUR", right, false, nil, "certificate-of-another-peer"},
		{"its certificate, by a title that nobody has", "NOBODY", right, false, nil, "unknown-calling-ae-title"},
		{"its certificate, and asks for what it may not", "FINDER", other, false, []string{network.StudyRootFindUID}, ""},
	} {
		log.take()
		o := network.DialOptions{CallingAE: c.calling, CalledAE: "KEPT", TLS: &tls.Config{RootCAs: roots}, Roles: []network.Role{{SOPClassUID: in.class, SCU: true}}}
		if c.shows != nil {
			o.TLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.shows.Certificate, nil }
		}
		for _, class := range classes {
			o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: class, TransferSyntaxes: []string{explicitLE}})
		}
		a, err := network.Dial(t.Context(), x.n.DICOMAddr(), o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, class := range classes {
			_, got := a.ContextOf(class)
			want := false
			for _, s := range c.served {
				want = want || s == class
			}
			if got != want {
				t.Errorf("%s: %s is served: %v", c.name, class, got)
			}
		}
		if len(c.served) == len(classes) {
			x.asks(a, in)
		}
		_ = a.Release(t.Context())
		said := ""
		x.until("logged", func() bool { said += log.take(); return strings.Contains(said, "association ended") })
		if c.reason == "" && strings.Contains(said, "may do nothing") || c.reason != "" && !strings.Contains(said, "reason="+c.reason+"\n") || strings.Contains(said, c.calling) {
			t.Errorf("%s: the log says %s", c.name, said)
		}
	}
	// Without TLS there is nobody to talk to.
	if _, err := network.Dial(t.Context(), x.n.DICOMAddr(), network.DialOptions{CallingAE: "PINNED", CalledAE: "KEPT", Contexts: []network.Proposal{{AbstractSyntax: network.VerificationUID, TransferSyntaxes: []string{implicitLE}}}}); err == nil {
		t.Error("a caller without TLS was let in")
	}
	// DCMTK shows its certificate, or does not.
	for _, p := range []string{"findscu", "storescu"} {
		testdata.Program(t, p)
	}
	file := filepath.Join(dir, "image.dcm")
	if err := os.WriteFile(file, slice(t, dicom.ExplicitVRLittleEndian, 2, 1).file(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for program, more := range map[string][]string{"findscu": {"-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + in.study, "127.0.0.1", x.port()}, "storescu": {"127.0.0.1", x.port(), file}} {
		for shows, may := range map[*paper]bool{right: true, other: false} {
			out, err := run(t, program, append([]string{"+tls", shows.key, shows.crt, "+cf", own.crt, "-aet", "PINNED", "-aec", "KEPT"}, more...)...)
			if refused := err != nil || strings.Contains(out, "No Acceptable Presentation Contexts"); refused == may {
				t.Errorf("%s, may: %v: %v\n%s", program, may, err, out)
			}
		}
	}
}

// asks uses every service once.
func (x *rig) asks(a *network.Association, in *instance) {
	x.Helper()
	if st, err := a.Store(x.Context(), in.sent()); err != nil || !st.Success() {
		x.Errorf("C-STORE: %v %v", st, err)
	}
	ts := dicom.ExplicitVRLittleEndian
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagTransactionUID, "2.25.1")
	b.Sequence(dicom.TagReferencedSOPSequence, func(item *dicom.Builder) {
		item.String(dicom.TagReferencedSOPClassUID, in.class)
		item.String(dicom.TagReferencedSOPInstanceUID, in.sop)
	})
	d, err := b.Dataset()
	if err != nil {
		x.Fatal(err)
	}
	st, err := a.Action(x.Context(), &network.ActionRequest{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: network.StorageCommitmentInstanceUID, ActionTypeID: 1, TransferSyntaxUID: explicitLE, Information: d.Bytes()})
	if err != nil || !st.Success() {
		x.Errorf("N-ACTION: %v %v", st, err)
	}
	if err := a.AwaitReport(x.Context(), func(r *network.EventReport) network.Status {
		if r.EventTypeID != 1 {
			x.Errorf("committed to with event %d", r.EventTypeID)
		}
		return network.Status{}
	}); err != nil {
		x.Error(err)
	}
	q := dicom.NewBuilder(ts)
	q.String(dicom.TagQueryRetrieveLevel, "STUDY")
	q.String(dicom.TagStudyInstanceUID, in.study)
	if d, err = q.Dataset(); err != nil {
		x.Fatal(err)
	}
	if done, err := a.Find(x.Context(), &network.Query{SOPClassUID: network.StudyRootFindUID, TransferSyntaxUID: explicitLE, Identifier: d.Bytes()}, func(network.Status, []byte) bool { return true }); err != nil || !done.Status.Success() {
		x.Errorf("C-FIND: %+v %v", done, err)
	}
	if done, err := a.Move(x.Context(), &network.Query{SOPClassUID: network.StudyRootMoveUID, TransferSyntaxUID: explicitLE, Identifier: d.Bytes(), MoveDestination: "RECEIVER"}, nil); err != nil || !done.Status.Success() {
		x.Errorf("C-MOVE: %+v %v", done, err)
	}
	if done, err := a.Get(x.Context(), &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: explicitLE, Identifier: d.Bytes()}, func(*network.StoreRequest) network.Status { return network.Status{} }, nil); err != nil || !done.Status.Success() {
		x.Errorf("C-GET: %+v %v", done, err)
	}
}

// A peer that is registered with a certificate is called over TLS, has to show it while it is valid, and is shown the node's; else nothing goes to it, by a rule, C-MOVE or a pull, and the status, the answer and
// the log say why.
func TestCallsWhoShowsItsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x, own, log := secured(t, dir)
	x.pulling()
	client := issue(t, dir, "sender", -time.Hour, time.Hour)
	x.peer("SENDER", 104, identity.MayStore|identity.MayMove, with(client))
	right, other, expired := issue(t, dir, "right", -time.Hour, time.Hour), issue(t, dir, "other", -time.Hour, time.Hour), issue(t, dir, "expired", -2*time.Hour, -time.Hour)
	in := slice(t, dicom.ExplicitVRLittleEndian, 1, 1)
	dial := func(class string) *network.Association {
		t.Helper()
		a, err := network.Dial(t.Context(), x.n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "KEPT", TLS: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{client.Certificate}}, //nolint:gosec // of the test
			Contexts: []network.Proposal{{AbstractSyntax: class, TransferSyntaxes: []string{explicitLE}}}})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := dial(in.class)
	if st, err := a.Store(t.Context(), in.sent()); err != nil || !st.Success() {
		t.Fatal(st, err)
	}
	_ = a.Release(t.Context())
	x.admitted(1)
	x.publish()
	strangers, ours := x509.NewCertPool(), x509.NewCertPool()
	leaf, err := x509.ParseCertificate(own.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	ours.AddCert(leaf)
	var mu sync.Mutex
	shown := map[string]string{}
	for _, c := range []struct {
		title      string
		shows      *paper // nil: it speaks no TLS
		takes      *x509.CertPool
		registered *paper
		reason     string
	}{
		{"RIGHT", right, ours, right, ""},
		{"ANOTHER", other, nil, right, "peer-shows-another-certificate"},
		{"STALE", expired, nil, expired, "peer-certificate-not-valid-now"},
		{"PLAIN", nil, nil, right, "peer-speaks-no-tls"},
		{"PICKY", right, strangers, right, "peer-refuses-our-certificate"},
	} {
		s := &network.Server{Accept: func(_ context.Context, r *network.AssociateRequest) (network.Decision, error) {
			if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
				mu.Lock()
				shown[c.title] = r.TLS.PeerCertificates[0].Subject.CommonName
				mu.Unlock()
			}
			return network.Decision{}, nil
		}, Store: func(_ context.Context, _ *network.Association, r *network.StoreRequest) network.Status {
			_, _, _ = r.Data.ReadAll(nil, 1<<20)
			return network.Status{}
		}}
		if c.shows != nil {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{c.shows.Certificate}, MinVersion: tls.VersionTLS12}
			if c.takes != nil {
				s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, c.takes
			}
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, l) }()
		t.Cleanup(func() { cancel(); <-done })
		x.peer(c.title, l.Addr().(*net.TCPAddr).Port, identity.MayStore, with(c.registered))
		log.take()
		// By C-MOVE.
		m := dial(network.StudyRootMoveUID)
		b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
		b.String(dicom.TagQueryRetrieveLevel, "STUDY")
		b.String(dicom.TagStudyInstanceUID, in.study)
		d, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		moved, err := m.Move(t.Context(), &network.Query{SOPClassUID: network.StudyRootMoveUID, TransferSyntaxUID: explicitLE, MoveDestination: c.title, Identifier: d.Bytes()}, nil)
		_ = m.Release(t.Context())
		if err != nil || (c.reason == "") != moved.Status.Success() || !strings.Contains(moved.Status.Comment, c.reason) {
			t.Errorf("C-MOVE to %s: %+v %v", c.title, moved, err)
		}
		if said := log.take(); c.reason != "" && !strings.Contains(said, "reason="+c.reason) || strings.Contains(said, in.image) || strings.Contains(said, in.study) {
			t.Errorf("C-MOVE to %s: the log says %s", c.title, said)
		}
		// By a rule.
		k := forwarding.Key{Peer: collection.AETitle(c.title), Collection: kept}
		if _, err := x.n.Stores.Desk().Forward(t.Context(), admin.Operator("test"), k, policy.Released); err != nil {
			t.Fatal(err)
		}
		var r forwarding.Rule
		x.until("a rule has tried", func() bool {
			if r, err = x.n.Stores.Forwarding.Rule(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			return r.Sent == 1 || r.Reason != ""
		})
		if r.Reason != c.reason {
			t.Errorf("a rule to %s: %+v", c.title, r)
		}
		// By a pull.
		if c.reason != "" {
			if v := x.pull(pullflow.Wish{Peer: collection.AETitle(c.title), Way: pull.Get, Studies: []string{in.study}}); v.Why != "certificate" || v.Advice == "" {
				t.Errorf("a pull from %s: %+v", c.title, v)
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if shown["RIGHT"] != "node" || len(shown) != 1 {
		t.Errorf("shown: %v", shown)
	}
	// DCMTK, which wants a certificate of its caller.
	testdata.Program(t, "storescp")
	port := freePort(t)
	got := t.TempDir()
	background(t, port, "storescp", "-od", got, "+xa", "+tls", right.key, right.crt, "+cf", own.crt, strconv.Itoa(port))
	x.peer("STORESCP", port, identity.MayStore, with(right))
	k := forwarding.Key{Peer: "STORESCP", Collection: kept}
	if _, err := x.n.Stores.Desk().Forward(t.Context(), admin.Operator("test"), k, policy.Released); err != nil {
		t.Fatal(err)
	}
	x.until("sent to DCMTK", func() bool { r, err := x.n.Stores.Forwarding.Rule(t.Context(), k); return err == nil && r.Sent == 1 })
}
