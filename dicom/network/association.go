package network

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds and times that hold where a Server or a Dial leaves them at zero.
const (
	DefaultMaxPDU       = 256 << 10
	DefaultARTIM        = 30 * time.Second
	DefaultIdleTimeout  = 5 * time.Minute
	DefaultReadTimeout  = 60 * time.Second
	DefaultWriteTimeout = 60 * time.Second
	DefaultMinRate      = 1 << 10
	DefaultMaxDiscard   = 256 << 20
	DefaultAssociations = 64
	DefaultPending      = 64
)

const (
	minPDU     = 1 << 10 // shortest P-DATA-TF that this side announces
	maxPDU     = 8 << 20 // longest
	sendPDU    = 1 << 20 // longest P-DATA-TF sent, however much the peer takes
	peerMinPDU = 16      // a peer that takes less cannot be answered sensibly
)

// Context is a presentation context that both sides agreed on.
type Context struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax string
	SCU, SCP       bool // the roles of the requestor: it sends requests, or takes them, or both (PS3.7 D.3.3.4)
}

// Stats are the counts of one association.
type Stats struct {
	Started       time.Time // when the connection was made
	Echoes        int64     // C-ECHO answered with success
	Stored        int64     // C-STORE answered with success or warning
	Queries       int64     // C-FIND, C-MOVE and C-GET answered with success, warning or Cancel
	Matches       int64     // answers to C-FIND
	Sent          int64     // instances sent by C-GET
	Failed        int64     // messages answered with any other status
	DataSetBytes  int64     // bytes of data sets, received or sent
	BytesReceived int64     // of the connection, inside TLS where there is TLS
	BytesSent     int64
}

// Association is one association, on the side that requested it (Dial) or on the side that accepted it (Server).
type Association struct {
	w         *wire
	requestor bool
	calling   string
	called    string
	local     net.Addr
	remote    net.Addr
	tls       *tls.ConnectionState
	peerMax   int
	class     string
	version   string
	request   *AssociateRequest // of the peer; nil on the requestor's side
	value     any
	contexts  []Context
	byID      [256]*Context
	pick      Negotiator // the acceptor's side
	commands  []byte     // buffer of command sets
	artim     time.Duration
	started   time.Time
	stats     struct{ echoes, stored, queries, matches, given, failed, dataSet, received, sent atomic.Int64 }

	reports map[uint16]func(error) // N-EVENT-REPORTs without an answer yet, by Message ID; the acceptor's side

	// the requestor's side
	mu        sync.Mutex
	dead      error
	messageID uint16
	answer    time.Duration
	extended  []ExtendedNegotiation
	headers   []byte
	slices    net.Buffers
	chunk     []byte
}

// CallingAE is the title that the requestor gave itself. It proves nothing.
func (a *Association) CallingAE() string { return a.calling }

// CalledAE is the title that the requestor gave the acceptor.
func (a *Association) CalledAE() string { return a.called }

// RemoteAddr is the peer's address.
func (a *Association) RemoteAddr() net.Addr { return a.remote }

// TLS is the state of TLS, with the peer's certificates; nil without TLS.
func (a *Association) TLS() *tls.ConnectionState { return a.tls }

// Request is what the peer asked for; nil on the requestor's side.
func (a *Association) Request() *AssociateRequest { return a.request }

// Value is what Accept attached to the association.
func (a *Association) Value() any { return a.value }

// PeerImplementation is how the peer's software names itself; both may be empty.
func (a *Association) PeerImplementation() (classUID, version string) { return a.class, a.version }

// PeerMaxPDU is the longest P-DATA-TF that is sent to the peer.
func (a *Association) PeerMaxPDU() int { return a.peerMax }

// Contexts are the agreed presentation contexts, in the requestor's order.
func (a *Association) Contexts() []Context { return append([]Context(nil), a.contexts...) }

// Context is the first agreed presentation context of an abstract and a transfer syntax.
func (a *Association) Context(abstract, transfer string) (Context, bool) {
	for _, c := range a.contexts {
		if c.AbstractSyntax == abstract && c.TransferSyntax == transfer {
			return c, true
		}
	}
	return Context{}, false
}

// Extended is the acceptor's answer to the service-class information proposed for a SOP class; nil if there is none, and on the acceptor's side.
func (a *Association) Extended(sopClassUID string) []byte {
	for _, e := range a.extended {
		if e.SOPClassUID == sopClassUID {
			return e.Information
		}
	}
	return nil
}

// Stats are the counts so far.
func (a *Association) Stats() Stats {
	s := &a.stats
	return Stats{
		Started: a.started, Echoes: s.echoes.Load(), Stored: s.stored.Load(), Queries: s.queries.Load(), Matches: s.matches.Load(), Sent: s.given.Load(),
		Failed: s.failed.Load(), DataSetBytes: s.dataSet.Load(),
		BytesReceived: s.received.Load(), BytesSent: s.sent.Load(),
	}
}

// Abort ends the association at once with an A-ABORT. Operations under way return an error; it does not wait for them. A handler may call it.
func (a *Association) Abort() {
	a.w.kill()
	if !a.requestor {
		return // the goroutine that serves the association sends the A-ABORT
	}
	if !a.mu.TryLock() { // an operation is under way: it ends by its connection's, or when its source gives something
		go func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.fail(ErrStopped)
		}()
		return
	}
	defer a.mu.Unlock()
	a.fail(ErrStopped)
}

func (a *Association) agreed(id byte) bool { return a.byID[id] != nil }

func (a *Association) agree(c Context) {
	a.contexts = append(a.contexts, c)
	own := c
	a.byID[c.ID] = &own
}

// tally publishes the wire's counts, which only its own goroutine may read.
func (a *Association) tally() {
	a.stats.received.Store(a.w.received)
	a.stats.sent.Store(a.w.sent)
}

// peerLimit is the longest P-DATA-TF for a peer that announced max.
func peerLimit(max uint32) (int, error) {
	switch {
	case max == 0 || max > sendPDU:
		return sendPDU, nil
	case max < peerMinPDU:
		return 0, violation(AbortInvalidParameter, "the peer's longest PDU holds no message")
	}
	return int(max), nil
}

func newWire(nc net.Conn, maxPDU uint32, read, write time.Duration, rate int64) *wire {
	return &wire{nc: nc, in: make([]byte, inBuffer), maxPDU: maxPDU, readTimeout: read, writeTimeout: write, minRate: rate}
}

// whileContext stops the connection if ctx ends before the returned function is called.
func (c *wire) whileContext(ctx context.Context) (stop func() bool) {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, c.kill)
}

func noDelay(nc net.Conn) {
	if t, ok := nc.(interface{ SetNoDelay(bool) error }); ok {
		_ = t.SetNoDelay(true) // Nagle's algorithm costs 40 ms a message beside delayed acknowledgements
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
