package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/base/datacite"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/base/tesseract"
	"github.com/vitrine-imaging/vitrine/internal/base/traces"
	"github.com/vitrine-imaging/vitrine/internal/door/dimse"
	"github.com/vitrine-imaging/vitrine/internal/door/sftp"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	accessflow "github.com/vitrine-imaging/vitrine/internal/flow/access"
	askflow "github.com/vitrine-imaging/vitrine/internal/flow/ask"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	directoryflow "github.com/vitrine-imaging/vitrine/internal/flow/directory"
	forwardflow "github.com/vitrine-imaging/vitrine/internal/flow/forward"
	"github.com/vitrine-imaging/vitrine/internal/flow/gateway"
	linkflow "github.com/vitrine-imaging/vitrine/internal/flow/link"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	noticeflow "github.com/vitrine-imaging/vitrine/internal/flow/notice"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	recallflow "github.com/vitrine-imaging/vitrine/internal/flow/recall"
	releaseflow "github.com/vitrine-imaging/vitrine/internal/flow/release"
	"github.com/vitrine-imaging/vitrine/internal/flow/review"
	"github.com/vitrine-imaging/vitrine/internal/flow/signin"
	"github.com/vitrine-imaging/vitrine/internal/flow/status"
	"github.com/vitrine-imaging/vitrine/internal/flow/transfer"
	uploadflow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/flow/watch"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/nodes"
)

const (
	// quiet is how long a study waits for more of itself when its deposit does not end.
	quiet = 20 * time.Second
	// drain is how long what runs may take when the node is stopped.
	drain = 30 * time.Second
	// headroom counts as in use though nothing touches it, so that garbage is not collected anew at every few images while little else is in use.
	headroom = 40 << 20
	// memory is what the garbage collector aims to stay under; see docs/guides for sizing.
	memory = 384<<20 + headroom
)

// Node is a running node.
type Node struct {
	Stores    *Stores
	Custody   *custody.Custody
	Directory *directoryflow.Desk
	SignIn    *signin.Flow // nil: HTTP is off
	Uploads   *uploadflow.Flow
	Links     *linkflow.Desk   // of people outside
	Mail      *mailing.Queue   // nil: no mail is sent
	Notices   *noticeflow.Desk // nil: nobody is told by mail
	Access    *accessflow.Desk // where data are asked for
	Recalls   *recallflow.Desk // where copies are called back
	Pulls     *pullflow.Desk
	Questions *askflow.Desk
	Status    *status.Desk
	Delivery  *delivery.Delivery
	Review    *review.Flow
	Consent   *consentflow.Desk
	Releases  *releaseflow.Desk
	Gateway   *gateway.Gateway  // nil: it is none
	Forward   *forwardflow.Flow // nil: nothing is sent on

	cfg      Config
	headroom []byte

	associations atomic.Pointer[network.Server] // once it runs
	traces       *traces.Traces                 // nil: nobody wants them

	secure *tls.Config // nil: without TLS
	place  web.Place
	folder hold
	id     nodes.ID // among those that share the database; empty: it is alone
	http   net.Listener
	dicom  net.Listener
	ssh    net.Listener
	queue  *jobs.Queue
	runner *jobs.Runner
	// forwards does the jobs that send to other archives: they take as long as those do, and keep no other job waiting.
	forwards *jobs.Runner
	watches  []*watch.Folder
	pulling  *jobs.Runner // likewise of what is asked of other archives
	dimse    *dimse.Door
	sftp     *sftp.Door
	web      *http.Server
	routes   []string
	codecs   *codec.Pool       // nil: no code streams are drawn
	second   *tesseract.Reader // nil: the detector reads pixels alone
}

// New opens everything: listeners, stores, spine. What was acknowledged and not catalogued when the node last ended is catalogued before it returns.
func New(ctx context.Context, cfg Config) (_ *Node, err error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if debug.SetMemoryLimit(-1) > 1<<50 { // unless GOMEMLIMIT says otherwise
		debug.SetMemoryLimit(memory)
	}
	n := &Node{cfg: cfg, headroom: make([]byte, headroom)}
	if len(cfg.Decoder) > 0 {
		n.codecs = codec.NewPool(codec.Options{Command: cfg.Decoder})
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if err := n.settle(); err != nil {
		return nil, err
	}
	if n.traces, err = traces.Open(ctx, cfg.Traces, cfg.Version, cfg.Log); err != nil {
		return nil, err
	}
	if err := n.openSecond(ctx); err != nil {
		return nil, err
	}
	if err := n.listen(); err != nil { // first of all: a wrong address or certificate leaves nothing behind
		return nil, err
	}
	if n.folder, err = lockFolder(cfg.Data); err != nil {
		return nil, err
	}
	var spine *custody.Custody
	n.Stores, err = OpenStores(ctx, cfg, func(done []pack.Committed) { spine.Committed(done) })
	if err != nil {
		return nil, err
	}
	s := n.Stores
	if err := n.enter(ctx); err != nil {
		return nil, err
	}
	n.queue = s.Queue
	if err := n.openGateway(ctx); err != nil {
		return nil, err
	}
	spine = custody.New(custody.Parts{DB: s.DB, Ring: s.Ring, Packs: s.Packs, Audit: s.Audit, Jobs: n.queue, Collections: s.Collections, Subjects: s.Subjects, Gate: s.Gate, Catalogue: s.Catalogue,
		Proof: s.Proof, Rulings: s.Rulings, Identities: s.Identities, Log: cfg.Log, Quiet: quiet, ReadPixels: n.reads(),
		Reader: n.readers(), Admitted: n.admitted()})
	n.Custody = spine
	if n.Gateway != nil {
		n.openForward()
	}
	if err := spine.Replay(ctx); err != nil {
		return nil, err
	}
	switch held, err := spine.HoldUnread(ctx); {
	case err != nil:
		return nil, err
	case held > 0:
		cfg.Log.Warn("this node reads no pixels: what was to be read is held for its stewards", "instances", held)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := s.Catalogue.EndStaleDeposits(tx, time.Now().Add(-24*time.Hour))
		return err
	})
	if err != nil {
		return nil, err
	}
	if n.Directory, err = s.Directory(ctx, n.queue); err != nil {
		return nil, err
	}
	if err := n.Directory.Schedule(ctx); err != nil {
		return nil, err
	}
	if err := n.openUploads(ctx); err != nil {
		return nil, err
	}
	if err := n.openAccess(ctx); err != nil {
		return nil, err
	}
	if err := n.openStatus(ctx); err != nil {
		return nil, err
	}
	n.openReview()
	if n.Consent, err = s.ConsentDesk(ctx, cfg.Log); err != nil {
		return nil, err
	}
	sign, err := signer(s.Ring.Root())
	if err != nil {
		return nil, err
	}
	if n.Releases, err = s.Releases(ctx, cfg.Version, sign, n.Consent, n.Directory, n.Delivery, cfg.Log); err != nil {
		return nil, err
	}
	n.Releases.Facts, n.Releases.Person = n.entitled, n.person
	if cfg.DataCite != nil && !cfg.still {
		c, err := datacite.New(*cfg.DataCite)
		if err != nil {
			return nil, err
		}
		n.Releases.DOIs = &releaseflow.Registrar{Client: c, Base: strings.TrimRight(cfg.PublicURL, "/")}
	}
	if err := n.openRecalls(ctx, sign); err != nil {
		return nil, err
	}
	if err := n.openPulls(ctx); err != nil {
		return nil, err
	}
	if err := n.openWatches(ctx); err != nil {
		return nil, err
	}
	n.runner = jobs.NewRunner(n.queue, n.tracedJobs(n.jobs()), jobs.Options{Log: cfg.Log})
	n.forwards = jobs.NewRunner(n.queue, n.tracedJobs(n.outward()), jobs.Options{Workers: 4, Log: cfg.Log})
	if n.dicom != nil {
		n.dimse = &dimse.Door{Custody: spine, Delivery: n.Delivery, Sender: n.sender(), Commit: n.committer(), Limits: cfg.PeerLimits, Collections: s.Collections, Identity: s.Identity, Log: cfg.Log, Demo: cfg.Demo}
		if n.secure != nil {
			// The handshake proves that the peer has the key of its certificate; which certificate is a peer's, the register says.
			n.dimse.TLS = n.secure.Clone()
			n.dimse.TLS.ClientAuth = tls.RequestClientCert
		}
	}
	if n.ssh != nil {
		if err := n.openSFTP(); err != nil {
			return nil, err
		}
	}
	if n.http != nil {
		if n.web, err = n.website(); err != nil {
			return nil, err
		}
		n.web.TLSConfig = n.secure
	}
	return n, nil
}

// settle reads how the world reaches the node, and who vouches for people.
func (n *Node) settle() (err error) {
	if n.cfg.PublicURL != "" {
		if n.place.Public, err = web.ParsePublic(n.cfg.PublicURL); err != nil {
			return err
		}
	}
	if n.cfg.OIDC != nil {
		if err := n.cfg.OIDC.Check(); err != nil {
			return err
		}
	}
	n.place.Proxies, err = web.ParseProxies(n.cfg.Proxies)
	return err
}

// listen reads the certificate and takes the addresses. Nobody is answered before [Node.Run].
func (n *Node) listen() (err error) {
	cfg := &n.cfg
	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return fault.New(fault.Invalid, "load TLS certificate", "", "certificate and key cannot be read, or do not belong together")
		}
		n.secure = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	for _, l := range []struct {
		name, address string
		to            *net.Listener
	}{{"DICOM", cfg.DICOM, &n.dicom}, {"HTTP", cfg.HTTP, &n.http}, {"SFTP", cfg.SFTP, &n.ssh}} {
		if l.address == "" {
			continue
		}
		if *l.to, err = net.Listen("tcp", l.address); err != nil {
			*l.to = nil
			if l.to == &n.ssh && cfg.SFTPOptional && errors.Is(err, syscall.EADDRINUSE) {
				cfg.Log.Warn("SFTP is off: its usual address is taken. Say --sftp HOST:PORT for another, or --sftp off.", "address", l.address)
				continue
			}
			return fault.Wrap(fault.Invalid, "listen for "+l.name, "", err)
		}
		if a := (*l.to).Addr(); n.secure == nil && l.to != &n.ssh && !loopback(a) {
			cfg.Log.Warn(l.name+" is open to other machines without TLS: what goes over it can be read and changed on the way. Give --tls-cert and --tls-key, or listen on 127.0.0.1 behind what speaks TLS.",
				"address", a.String())
		}
	}
	return nil
}

func loopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// HTTPAddr is the address that HTTP is reached at; empty if it does not listen.
func (n *Node) HTTPAddr() string { return addr(n.http) }

// URL is the address that HTTP is reached at; empty if it is not.
func (n *Node) URL() string {
	switch {
	case n.http == nil:
		return ""
	case n.cfg.TLSCert != "":
		return "https://" + addr(n.http)
	}
	return "http://" + addr(n.http)
}

// DICOMAddr is the address that DICOM is reached at; empty if it does not listen.
func (n *Node) DICOMAddr() string { return addr(n.dicom) }

// SFTPAddr is the address that SFTP is reached at; empty if it does not listen.
func (n *Node) SFTPAddr() string { return addr(n.ssh) }

// addr is an address to connect to: of a listener on every address of the machine, the one that the machine itself can use.
func addr(l net.Listener) string {
	if l == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(l.Addr().String())
	if err == nil && ap.Addr().IsUnspecified() { // "[::]" takes IPv4 too
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
	}
	return l.Addr().String()
}

// Run serves until ctx ends, then drains: doors close, what was received is catalogued, stores close. It returns nil after a clean end.
func (n *Node) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the doors
	defer stop()
	var behind sync.WaitGroup
	errs := make(chan error, 8)
	report := func(what string, err error) {
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, network.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.Canceled) {
			n.cfg.Log.Error(what+" ended", "error", err)
			errs <- err
		}
	}
	spine, stopSpine := context.WithCancel(inner)
	defer stopSpine()
	catalogued := make(chan struct{})
	go func() { defer close(catalogued); report("catalogue", n.Custody.Run(spine)) }()
	behind.Go(deid.Prepare)
	behind.Go(func() { report("admission", n.Custody.RunAdmission(inner)) })
	behind.Go(func() { report("withdrawals", n.Stores.Gate.Run(inner)) })
	behind.Go(func() { report("releases", n.Releases.Run(inner)) })
	if n.reads() {
		pixels := n.reading()
		behind.Go(func() { report("reading", pixels.Run(inner)) })
	}
	if n.Gateway != nil {
		behind.Go(func() { report("gateway", n.Gateway.Run(inner)) })
		behind.Go(func() { report("forwarding", n.Forward.Run(inner)) })
	}
	behind.Go(func() { report("review", n.Review.Run(inner)) })
	behind.Go(func() { report("jobs", n.runner.Run(inner)) })
	behind.Go(func() { report("forwarding", n.forwards.Run(inner)) })
	pulls, stopPulls := context.WithCancel(inner) // what they bring is catalogued: they end before the catalogue does
	pulled := make(chan struct{})
	go func() { defer close(pulled); report("pulls", n.pulling.Run(pulls)) }()
	behind.Go(func() { report("audit", n.checkpoints(inner)) })
	behind.Go(func() { report("other nodes", n.besideOthers(inner)) })

	var doors sync.WaitGroup
	for _, w := range n.watches {
		doors.Go(func() { report("a watched folder", w.Run(pulls)) })
	}
	server := n.dimseServer()
	if server != nil {
		doors.Go(func() { report("DICOM", server.Serve(inner, n.dicom)) })
	}
	if n.sftp != nil {
		doors.Go(func() { report("SFTP", n.sftp.Serve(inner, n.ssh)) })
	}
	if n.web != nil {
		doors.Go(func() {
			if n.cfg.TLSCert != "" {
				report("HTTP", n.web.ServeTLS(n.http, "", ""))
			} else {
				report("HTTP", n.web.Serve(n.http))
			}
		})
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-errs:
	}
	stopPulls() // before the door closes that their images come by
	until, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if server != nil {
		doors.Go(func() { _ = server.Shutdown(until) })
	}
	if n.sftp != nil {
		n.ssh.Close()
		doors.Go(func() { n.sftp.Shutdown(until) })
	}
	if n.web != nil {
		doors.Go(func() {
			if err := n.web.Shutdown(until); err != nil {
				_ = n.web.Close()
			}
		})
	}
	doors.Wait()
	<-pulled
	stopSpine()
	<-catalogued
	stop()
	behind.Wait()
	return errors.Join(failed, n.close())
}

// checkpoints signs the audit log: at the start, every hour and at the end.
func (n *Node) checkpoints(ctx context.Context) error {
	sign, err := signer(n.Stores.Ring.Root())
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for done := false; ; {
		if _, err := n.Stores.Audit.Checkpoint(context.WithoutCancel(ctx), sign); err != nil {
			n.cfg.Log.Error("the audit log could not be signed", "error", err)
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
	}
}

// sender calls other applications, with the node's own certificate where there is one.
func (n *Node) sender() *transfer.Sender {
	return &transfer.Sender{Delivery: n.Delivery, TLS: n.secure}
}

// committer brings reports of storage commitment.
func (n *Node) committer() *transfer.Committer {
	s := n.Stores
	return &transfer.Committer{Sender: n.sender(), DB: s.DB, Jobs: n.queue, Identity: s.Identity, Keys: transfer.CommitKeys(s.Ring.Root()), Log: n.cfg.Log, Pause: n.cfg.ForwardPause}
}

// outward are the jobs that call other applications.
func (n *Node) outward() map[string]jobs.Handler {
	all := n.forwarder().Handlers()
	maps.Copy(all, n.committer().Handlers())
	return all
}

// forwarder does what forwarding rules say.
func (n *Node) forwarder() *transfer.Forwarder {
	s := n.Stores
	return &transfer.Forwarder{Sender: n.sender(), DB: s.DB, Jobs: n.queue, Rules: s.Forwarding, Identity: s.Identity, Collections: s.Collections, Catalogue: s.Catalogue, Log: n.cfg.Log,
		Pause: n.cfg.ForwardPause}
}

func (n *Node) dimseServer() *network.Server {
	if n.dimse == nil {
		return nil
	}
	s := n.dimse.Server()
	n.associations.Store(s)
	return s
}

func (n *Node) close() error {
	var errs []error
	for _, l := range []net.Listener{n.http, n.dicom, n.ssh} {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if n.Gateway != nil {
		n.Gateway.Close()
	}
	if n.codecs != nil {
		errs = append(errs, n.codecs.Close())
	}
	// What waits for the collector is sent, if it takes it soon.
	soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := n.traces.Close(soon); err != nil {
		n.cfg.Log.Warn("the last traces were not sent", "error", err)
	}
	if n.Stores != nil {
		given, done := context.WithTimeout(context.Background(), drain)
		n.leave(given)
		done()
		errs = append(errs, n.Stores.Close())
	}
	n.folder.release() // when nothing is written there any more
	return errors.Join(errs...)
}
