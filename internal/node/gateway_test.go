package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	forwardflow "github.com/vitrine-imaging/vitrine/internal/flow/forward"
	"github.com/vitrine-imaging/vitrine/internal/flow/gateway"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/plant"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// tap passes connections on to an address, and keeps all that goes over them. While it is cut, nothing gets through.
type tap struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
	up    bytes.Buffer // what the gateway says
	down  bytes.Buffer
	limit int // bytes up after which a connection is broken off; 0: none
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{l: l, to: to, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() { l.Close(); p.sever(true) })
	return p
}

func (p *tap) url() string { return "http://" + p.l.Addr().String() }

func (p *tap) serve() {
	for {
		a, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		cut, to := p.cut, p.to
		p.mu.Unlock()
		b, err := net.Dial("tcp", to)
		if cut || err != nil {
			a.Close()
			if err == nil {
				b.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns[a], p.conns[b] = true, true
		p.mu.Unlock()
		go p.pass(a, b, &p.up, true)
		go p.pass(b, a, &p.down, false)
	}
}

func (p *tap) pass(from, to net.Conn, keep *bytes.Buffer, up bool) {
	defer from.Close()
	defer to.Close()
	buf, sent := make([]byte, 32<<10), 0
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		keep.Write(buf[:n])
		sent += n
		stop := p.cut || up && p.limit > 0 && sent > p.limit
		p.mu.Unlock()
		if stop || err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// sever cuts the line, or mends it.
func (p *tap) sever(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	if cut {
		for c := range p.conns {
			c.Close()
		}
		p.conns = map[net.Conn]bool{}
	}
}

// said is all that went over it.
func (p *tap) said() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(bytes.Clone(p.up.Bytes()), p.down.Bytes()...)
}

// running is a node that a test ends itself.
type running struct {
	*Node
	cancel context.CancelFunc
	done   chan error
}

func launch(t *testing.T, cfg Config) *running {
	t.Helper()
	cfg.Demo, cfg.DICOM, cfg.HTTP = true, "127.0.0.1:0", "127.0.0.1:0"
	n, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{n, cancel, make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		t.Errorf("the node did not end well: %v", err)
	}
}

// ward are a node, a tap on the line to it, and what a gateway to it is made of.
type pair struct {
	t    *testing.T
	node *running
	gate *running
	tap  *tap
	cfg  Config // of the gateway
	ncfg Config // of the node
}

func newPair(t *testing.T, cfg Config, secret string) *pair {
	t.Helper()
	cfg.Data = t.TempDir()
	x := &pair{t: t, ncfg: cfg, node: launch(t, cfg)}
	x.tap = newTap(t, x.node.HTTPAddr())
	dir := t.TempDir()
	x.cfg = Config{Data: filepath.Join(dir, "gate"), Gateway: &gateway.Config{Node: x.tap.url(), Collection: collection.Default, TokenFile: filepath.Join(dir, "token"), Secret: secret, AETitle: "VITRINE"}}
	x.token(map[string]policy.Role{custody.SecretNode: policy.Gateway, custody.SecretSite: policy.SiteGateway}[secret])
	x.gate = launch(t, x.cfg)
	return x
}

// token gives the gateway a new token.
func (x *pair) token(role policy.Role) {
	x.t.Helper()
	if err := os.WriteFile(x.cfg.Gateway.TokenFile, []byte(token(x.t, x.node.Node, role, "default")+"\n"), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

// found is how many instances the node finds for its steward.
func (x *pair) found() int {
	x.t.Helper()
	code, b := ask(x.t, x.node.Node, "/collections/default/dicomweb/instances", token(x.t, x.node.Node, policy.Steward, "default"))
	if code == 204 {
		return 0
	}
	var all []any
	if err := json.Unmarshal(b, &all); err != nil || code != 200 {
		x.t.Fatal(code, err)
	}
	return len(all)
}

// What a hospital's modality sends to the gateway is found at the node, called as the node itself would call it, and the node has seen nobody.
func TestGateway(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		secrets := []string{custody.SecretNode, custody.SecretSite}
		if cfg.Database != "" {
			secrets = secrets[:1] // one database is one node's
		}
		for _, secret := range secrets {
			t.Run(secret, func(t *testing.T) {
				x := newPair(t, cfg, secret)
				storeOne(t, x.gate.Node, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagInstitutionName, "Krakenhaus") }))
				eventually(t, "the node finds it", func() bool { return x.found() == 1 })
				eventually(t, "the gateway knows", func() bool {
					s, err := x.gate.Forward.Standing(t.Context())
					return err == nil && s.Studies == 0 && s.Outcomes["kept"] == 1
				})
				rows := located(t, x.node.Node, "default")
				sub, err := x.node.Stores.Subjects.Latest(t.Context(), "default", 10)
				if err != nil || len(sub) != 1 || len(rows) != 1 {
					t.Fatal(len(rows), len(sub), err)
				}
				// The same image sent to the node itself has the same name there, if the secret is the node's.
				storeOne(t, x.node.Node, ct(t, "1.2.4", "1.2.4.1.1", func(*dicom.Builder) {}))
				sub, err = x.node.Stores.Subjects.Latest(t.Context(), "default", 10)
				if want := map[string]int{custody.SecretNode: 1, custody.SecretSite: 2}[secret]; err != nil || len(sub) != want {
					t.Errorf("%d subjects, want %d: %v", len(sub), want, err)
				}
				said := x.tap.said()
				if len(said) < 1000 {
					t.Fatalf("%d bytes went over the line", len(said))
				}
				for _, s := range []string{"Winterbourne", "WINTERBOURNE", "4471", "1.2.3.1", "Krakenhaus", "SENDER"} {
					if bytes.Contains(said, []byte(s)) {
						t.Errorf("%d bytes that identify went over the line", len(s))
					}
				}
				// A gateway's folder is no node's.
				x.gate.end(t)
				plain := x.cfg
				plain.Gateway, plain.Demo = nil, true
				if n, err := New(t.Context(), plain); !fault.Is(err, fault.Conflict) {
					t.Errorf("a gateway's folder opens as a node's: %v", err)
					if err == nil {
						n.close()
					}
				}
			})
		}
	})
}

// standing is how the gateway's line stands.
func (x *pair) standing() forwardflow.Standing {
	x.t.Helper()
	s, err := x.gate.Forward.Standing(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// states counts the node's instances by where they stand.
func (x *pair) states() map[policy.State]int {
	x.t.Helper()
	n := map[policy.State]int{}
	for _, rows := range located(x.t, x.node.Node, "default") {
		for _, l := range rows {
			n[l.State]++
		}
	}
	return n
}

// What comes while the node is away, while the line breaks, and before the gateway ends, is there afterwards, once.
func TestGatewayWaitsForItsNode(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretNode)
	x.tap.sever(true)
	for _, sop := range []string{"1.2.3.1.1", "1.2.3.1.2", "1.2.3.1.3"} {
		storeOne(t, x.gate.Node, ct(t, "1.2.3", sop, func(*dicom.Builder) {}))
	}
	eventually(t, "the gateway says why nothing gets through", func() bool {
		s := x.standing()
		return s.Failure == "unreachable" && s.Waiting == 3 && s.Studies == 1 && !s.Oldest.IsZero() && !s.Failing.IsZero()
	})
	code, b := ask(t, x.gate.Node, "/metrics", "")
	for _, want := range []string{"vitrine_gateway_waiting_instances 3", "vitrine_gateway_waiting_studies 1", `vitrine_gateway_failing{why="unreachable"} 1`} {
		if code != 200 || !bytes.Contains(b, []byte(want)) {
			t.Errorf("metrics: %d, without %s", code, want)
		}
	}
	code, b = ask(t, x.gate.Node, "/api/gateway", token(t, x.gate.Node, policy.Steward, "default"))
	var told status.Gateway
	if err := json.Unmarshal(b, &told); err != nil || code != 200 || told.Instances != 3 || told.Failure != "unreachable" || told.Oldest == nil || told.Secret != "node" {
		t.Errorf("%d %s %v", code, b, err)
	}
	if code, b := ask(t, x.gate.Node, "/api/status", token(t, x.gate.Node, policy.Admin, "*")); code != 200 || !bytes.Contains(b, []byte("3 objects wait to be sent")) || !bytes.Contains(b, []byte("The node does not answer")) {
		t.Errorf("status: %d %s", code, b)
	}
	x.gate.end(t)
	x.gate = launch(t, x.cfg) // without the node
	if s := x.standing(); s.Waiting != 3 {
		t.Errorf("%d wait after a restart", s.Waiting)
	}
	storeOne(t, x.gate.Node, ct(t, "1.2.9", "1.2.9.1.1", func(*dicom.Builder) {}))

	// The line is back, and breaks off in the middle of what is sent.
	x.tap.mu.Lock()
	x.tap.limit = 1500
	x.tap.mu.Unlock()
	x.tap.sever(false)
	x.gate.Forward.Again()
	eventually(t, "something is broken off", func() bool { x.tap.mu.Lock(); defer x.tap.mu.Unlock(); return x.tap.up.Len() > 1500 })
	x.tap.mu.Lock()
	x.tap.limit = 0
	x.tap.mu.Unlock()
	x.gate.Forward.Again()
	eventually(t, "the node has all of it", func() bool { x.gate.Forward.Again(); return x.found() == 4 && x.standing().Studies == 0 })

	// A token that opens nothing any more; then another.
	if err := os.WriteFile(x.cfg.Gateway.TokenFile, []byte("nothing-that-opens-anything"), 0o600); err != nil {
		t.Fatal(err)
	}
	storeOne(t, x.gate.Node, ct(t, "1.2.3", "1.2.3.1.4", func(*dicom.Builder) {}))
	eventually(t, "the gateway says that its token is not taken", func() bool { return x.standing().Failure == "token" })
	x.token(policy.Depositor) // who gives things as they are, and not cleaned
	eventually(t, "the gateway says that its token does not permit it", func() bool { x.gate.Forward.Again(); return x.standing().Failure == "denied" })
	x.token(policy.SiteGateway)
	x.gate.Forward.Again()
	eventually(t, "the node has it too", func() bool { x.gate.Forward.Again(); return x.found() == 5 && x.standing().Studies == 0 })
	if n := x.states(); n[policy.Held]+n[policy.Conflict] != 0 {
		t.Errorf("%v", n)
	}
	if s := x.standing(); s.Failure != "" || !s.Failing.IsZero() || s.Succeeded.IsZero() {
		t.Errorf("%+v", s)
	}
}

// What is learnt of a subject after something of it was sent is searched for in what was sent; where it is found, the node holds that too.
func TestWhatIsFoundAfterwardsIsTakenBack(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretNode)
	storeOne(t, x.gate.Node, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagDeviceSerialNumber, "QX778120") }))
	eventually(t, "the node has admitted it", func() bool { return x.states()[policy.Admitted] == 1 })
	storeOne(t, x.gate.Node, ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
	eventually(t, "the node holds the first and has the second", func() bool {
		x.gate.Forward.Again()
		n := x.states()
		return n[policy.Held] == 1 && n[policy.Admitted] == 1
	})
	held, err := x.node.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10)
	if err != nil || len(held) != 1 || len(held[0].Reasons) != 1 || held[0].Reasons[0].Code != custody.CodeRecalled {
		t.Fatal(held, err)
	}
	eventually(t, "nothing waits to be told", func() bool { return x.standing().Recalls == 0 })
}

// Of objects in which identities are planted everywhere, nothing that identifies goes over the line or into the node's folder.
func TestGatewayTellsNobody(t *testing.T) {
	set, err := plant.Generate(plant.Options{Seed: 91, Subjects: 2})
	if err != nil {
		t.Fatal(err)
	}
	x := newPair(t, Config{}, custody.SecretNode)
	words := map[string]bool{}
	sent := 0
	for _, f := range set.Files {
		file, err := dicom.Parse(f.Bytes, dicom.Limits{})
		if err != nil {
			continue
		}
		class, sop, syntax := file.Data.UID(dicom.TagSOPClassUID), file.Data.UID(dicom.TagSOPInstanceUID), file.Syntax().UID
		if class == "" || sop == "" {
			continue
		}
		a, err := network.Dial(t.Context(), x.gate.DICOMAddr(), network.DialOptions{CallingAE: "KRAKENMODALITY", CalledAE: "VITRINE",
			Contexts: []network.Proposal{{AbstractSyntax: class, TransferSyntaxes: []string{syntax}}}})
		if err != nil {
			t.Fatal(err)
		}
		_, serr := a.Store(t.Context(), &network.Instance{SOPClassUID: class, SOPInstanceUID: sop, TransferSyntaxUID: syntax, Bytes: file.DatasetBytes()})
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if serr != nil {
			continue // nobody can send it so
		}
		sent++
		for _, it := range f.Planted {
			if !it.Word && len(it.Text) >= 6 && strings.Trim(it.Text, "0123456789.") != "" {
				words[strings.ToUpper(it.Text)] = true
			}
		}
		for _, u := range f.UIDs {
			words[u.Want] = true
		}
	}
	words["KRAKENMODALITY"] = true
	if err := x.gate.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is clean is at the node", func() bool {
		s := x.standing()
		n := s.Outcomes["kept"]
		admitted := 0
		for _, rows := range located(t, x.gate.Node, "default") {
			for _, l := range rows {
				if l.State == policy.Received {
					return false
				}
				if l.State == policy.Admitted {
					admitted++
				}
			}
		}
		return s.Studies == 0 && int(n) == admitted && n > 20
	})
	s := x.standing()
	if len(s.Outcomes) != 1 {
		t.Errorf("at the node: %v", s.Outcomes)
	}
	t.Logf("%d sent to the gateway, %v at the node, %d held at the site, %d words", sent, s.Outcomes, states(t, x.gate.Node)[policy.Held], len(words))
	look := func(where string, b []byte) {
		up := bytes.ToUpper(b)
		for w := range words {
			if bytes.Contains(up, []byte(w)) {
				t.Errorf("%d characters that identify are in %s", len(w), where)
			}
		}
	}
	look("what went over the line", x.tap.said())
	x.node.end(t)
	err = filepath.WalkDir(x.ncfg.Data, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil {
			look("the node's "+filepath.Ext(p)+" file", b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// And the search finds what is there.
	var all []byte
	for _, f := range set.Files {
		all = append(all, f.Bytes...)
	}
	up, found := bytes.ToUpper(all), 0
	for w := range words {
		if bytes.Contains(up, []byte(w)) {
			found++
		}
	}
	if found < len(words)/2 {
		t.Errorf("of %d words %d are in the files", len(words), found)
	}
}

// A large object goes on where it was when the line broke, and when the gateway ended.
func TestGatewayGoesOnInTheMiddle(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretNode)
	x.tap.mu.Lock()
	x.tap.limit = 9 << 20
	x.tap.mu.Unlock()
	const size = 24 << 20
	storeOne(t, x.gate.Node, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) {
		b.Ints(dicom.TagRows, 3072)
		b.Ints(dicom.TagColumns, 4096)
		b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, size))
	}))
	broken := func() bool { x.tap.mu.Lock(); defer x.tap.mu.Unlock(); return x.tap.up.Len() > 8<<20 }
	eventually(t, "it is broken off", func() bool { return broken() && x.standing().Failure != "" })
	x.gate.end(t)
	x.tap.mu.Lock()
	x.tap.limit = 0
	before := x.tap.up.Len()
	x.tap.mu.Unlock()
	x.gate = launch(t, x.cfg)
	eventually(t, "the node has it", func() bool { x.gate.Forward.Again(); return x.found() == 1 })
	x.tap.mu.Lock()
	again := x.tap.up.Len() - before
	x.tap.mu.Unlock()
	if again > size-(4<<20) {
		t.Errorf("%d of %d bytes were sent after the restart", again, size)
	}
	eventually(t, "nothing waits", func() bool { s := x.standing(); return s.Studies == 0 && s.Outcomes["kept"] == 1 })
}

// Over TLS the gateway speaks to who has a certificate that it trusts, and to nobody else; and it says so.
func TestGatewayTrustsOneCertificate(t *testing.T) {
	dir := t.TempDir()
	_, cert, key := certificate(t, dir, "server")
	_, other, _ := certificate(t, dir, "other")
	n := launch(t, Config{Data: filepath.Join(dir, "node"), TLSCert: cert, TLSKey: key})
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token(t, n.Node, policy.Gateway, "default")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Data: filepath.Join(dir, "gate"), Gateway: &gateway.Config{Node: n.URL(), Collection: "default", TokenFile: file, Secret: custody.SecretNode, AETitle: "VITRINE", CA: other}}
	cfg.Demo, cfg.DICOM = true, "127.0.0.1:0"
	if g, err := New(t.Context(), cfg); err == nil {
		g.close()
		t.Fatal("a gateway takes its secret from whoever answers")
	}
	cfg.Gateway.CA = cert
	gate := launch(t, cfg)
	storeOne(t, gate.Node, ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {}))
	eventually(t, "the node has it", func() bool { return states(t, n.Node)[policy.Admitted] == 1 })
	gate.end(t)
	cfg.Gateway.CA = other
	gate = launch(t, cfg)
	storeOne(t, gate.Node, ct(t, "1.2.3", "1.2.3.1.2", func(*dicom.Builder) {}))
	eventually(t, "the gateway says that it does not trust the node", func() bool {
		s, err := gate.Forward.Standing(t.Context())
		return err == nil && s.Failure == "certificate"
	})
	if states(t, n.Node)[policy.Admitted] != 1 {
		t.Error("the node has got more")
	}
}

// A site's secret stays at the site, and a folder keeps the collection and the secret that it began with.
func TestGatewayKeepsItsSecret(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretSite)
	here, err := x.gate.Stores.Ring.Collection(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	there, err := x.node.Stores.Ring.Collection(t.Context(), "default")
	if err != nil || here == there {
		t.Fatal("one secret for both", err)
	}
	for _, key := range []string{string(here[:]), string(there[:])} {
		if bytes.Contains(x.tap.said(), []byte(base64.StdEncoding.EncodeToString([]byte(key)))) {
			t.Error("a secret went over the line")
		}
	}
	x.gate.end(t)
	for name, change := range map[string]func(*gateway.Config){
		"another secret":     func(c *gateway.Config) { c.Secret = custody.SecretNode },
		"another collection": func(c *gateway.Config) { c.Collection = "other" },
	} {
		cfg := x.cfg
		g := *cfg.Gateway
		change(&g)
		cfg.Gateway, cfg.Demo, cfg.DICOM = &g, true, "127.0.0.1:0"
		if n, err := New(t.Context(), cfg); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				n.close()
			}
		}
	}
	// A site's token does not take the node's.
	x2 := x.cfg
	g := *x2.Gateway
	g.Secret = custody.SecretNode
	x2.Gateway, x2.Data, x2.Demo, x2.DICOM = &g, t.TempDir(), true, "127.0.0.1:0"
	if n, err := New(t.Context(), x2); err == nil {
		n.close()
		t.Error("a site's gateway took the node's secret")
	}
}

// The node's profile is changed while the gateway is away: what was cleaned by the old one is proven by the new one, or held with the place.
func TestProfileChangesMeanwhile(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretNode)
	x.tap.sever(true)
	storeOne(t, x.gate.Node, ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {}))
	storeOne(t, x.gate.Node, ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagPatientAge, "067Y") }))
	eventually(t, "both wait", func() bool { return x.standing().Waiting == 2 })
	const file = "name: lantern\nversion: 1\nrules:\n  - {id: age, reason: bands, match: {keyword: PatientAge}, action: generalise, bands: 10}\ntests:\n  - name: bands\n    given: {PatientAge: 067Y}\n    expect: {PatientAge: 060Y}\n"
	if _, err := x.node.Stores.Desk().PutProfile(t.Context(), admin.Caller{Actor: "test", Grants: []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}}}, "default", []byte(file)); err != nil {
		t.Fatal(err)
	}
	x.tap.sever(false)
	x.gate.Forward.Again()
	eventually(t, "one passes and one is held", func() bool { n := x.states(); return n[policy.Admitted] == 1 && n[policy.Held] == 1 })
	held, err := x.node.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10)
	if err != nil || len(held) != 1 || held[0].Reasons[0].Code != deid.CodeUnproven || held[0].Reasons[0].Where != dicom.TagPatientAge.String() {
		t.Fatal(held, err)
	}
	// A steward who accepts it has it cleaned by the profile in force; its name stays.
	if why, err := x.node.Custody.Accept(t.Context(), held[0], custody.Reviewer{Actor: "test"}); err != nil || len(why) > 0 {
		t.Fatal(why, err)
	}
	eventually(t, "both are admitted", func() bool { return x.states()[policy.Admitted] == 2 })
	f, err := dicom.Parse(append(append(make([]byte, 128), "DICM"...), metaOf(t, x, held[0])...), dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if age := f.Data.String(dicom.TagPatientAge); age != "060Y" {
		t.Errorf("an age in bands: %q", age)
	}
	// What comes from now on is cleaned by it at the gateway.
	if err := x.gate.Gateway.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	storeOne(t, x.gate.Node, ct(t, "1.2.5", "1.2.5.1.1", func(b *dicom.Builder) { b.String(dicom.TagPatientAge, "067Y") }))
	eventually(t, "it passes", func() bool { return x.states()[policy.Admitted] == 3 })
}

// A node cannot have a gateway let out what leads back to somebody: the site has to allow it.
func TestGatewayLetsOutWhatItsSiteAllows(t *testing.T) {
	x := newPair(t, Config{}, custody.SecretNode)
	steward := admin.Caller{Actor: "test", Grants: []policy.Grant{{Role: policy.Steward, Collection: policy.AllCollections}}}
	put := func(profile string) {
		t.Helper()
		if _, err := x.node.Stores.Desk().PutProfile(t.Context(), steward, "default", []byte(profile)); err != nil {
			t.Fatal(err)
		}
	}
	for _, profile := range []string{"research+retain-uids", "basic+retain-full-dates", "research+retain-institution-identity", "name: lantern\nversion: 1\nbase: research+retain-uids\nrules:\n  - {id: age, reason: bands, match: {keyword: PatientAge}, action: generalise, bands: 10}\ntests:\n  - name: bands\n    given: {PatientAge: 067Y}\n    expect: {PatientAge: 060Y}\n"} {
		put(profile)
		if err := x.gate.Gateway.Refresh(t.Context()); !fault.Is(err, fault.Denied) {
			t.Errorf("%.30s: %v", profile, err)
		}
		c, err := x.gate.Stores.Collections.Get(t.Context(), "default")
		if err != nil || c.Profile != "research" {
			t.Errorf("%.30s: %s is in force, %v", profile, c.Profile, err)
		}
	}
	x.gate.end(t)
	fresh := x.cfg
	fresh.Data, fresh.Demo, fresh.DICOM = t.TempDir(), true, "127.0.0.1:0"
	if n, err := New(t.Context(), fresh); !fault.Is(err, fault.Denied) {
		t.Errorf("the first time: %v", err)
		if err == nil {
			n.close()
		}
	}
	put("research+retain-uids")
	g := *x.cfg.Gateway
	g.Allow = deid.RetainUIDs
	x.cfg.Gateway = &g
	x.gate = launch(t, x.cfg)
	if c, err := x.gate.Stores.Collections.Get(t.Context(), "default"); err != nil || c.Profile != "research+retain-uids" {
		t.Errorf("allowed: %s, %v", c.Profile, err)
	}
}

// metaOf is what stands behind DICM in the file of an instance that the node keeps.
func metaOf(t *testing.T, x *pair, l catalogue.Located) []byte {
	t.Helper()
	now, err := x.node.Stores.Catalogue.Instance(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	m, err := deid.Meta(now.SOPClass, string(now.SOP), dicom.ExplicitVRLittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(m.Bytes()), read(t, x.node.Node, now)...)
}
