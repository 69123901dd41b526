package network

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	inBuffer     = 16 << 10        // bytes read ahead; a small message is one read of the connection
	maxCommand   = 64 << 10        // longest command set taken; those of DIMSE are a few hundred bytes
	maxEmpty     = 64              // empty fragments of one message that are put up with
	pdvHeader    = 6               // length, context, control (PS3.8 9.3.5.1)
	dataHeader   = 6 + pdvHeader   // of a P-DATA-TF with one PDV
	farewellTime = 2 * time.Second // to write an A-ABORT
	goodbye      = 5 * time.Second // to wait for the peer to close, at most
)

// Bits of a message control header (PS3.8 E.2).
const (
	controlCommand = 1
	controlLast    = 2
)

var errHalted = errors.New("dicom/network: not watched any more")

var errReleaseRQ = errors.New("dicom/network: the peer asks for release")

// wire is one end of a connection: it cuts the stream into PDUs and PDVs and holds the peer to its pace. One goroutine reads; only kill and drain are called
// from others.
//
// The hot path is payload: bytes go from the connection straight into the caller's buffer, and the header that follows them is fetched by the same read.
type wire struct {
	nc   net.Conn
	in   []byte // in[r:w] is read and not consumed
	r, w int
	out  []byte // for composing PDUs

	maxPDU  uint32 // longest P-DATA-TF taken, as announced
	pduLeft uint32 // bytes of the current P-DATA-TF behind the current PDV
	pdvLeft uint32 // bytes of the current PDV not yet consumed
	pdvID   byte
	control byte

	readTimeout, writeTimeout time.Duration
	minRate                   int64 // bytes a second that a message has to reach, readTimeout granted

	armed     time.Time     // read deadline as last set; zero if unknown
	armedOut  time.Time     // write deadline
	waited    time.Duration // spent waiting for bytes of this message
	ofMessage int64         // bytes of this message
	received  int64         // bytes of the connection
	sent      int64

	mu       sync.Mutex
	idle     bool // between messages
	watching bool // for what comes while an operation is answered
	halted   bool // no longer
	draining bool // to be stopped when idle
	killed   bool // to be stopped now
}

// arm sets the read deadline to timeout from now; a deadline that is nearly that is left as it is.
func (c *wire) arm(now time.Time, timeout time.Duration) error {
	want := now.Add(timeout)
	if d := want.Sub(c.armed); !c.armed.IsZero() && d >= 0 && d < timeout/8 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return ErrStopped
	}
	c.armed = want
	return c.nc.SetReadDeadline(want)
}

// kill stops the connection: whatever waits on it returns at once and finds ErrStopped.
func (c *wire) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	_ = c.nc.SetDeadline(time.Unix(1, 0))
}

// drain stops the connection when its current message is done.
func (c *wire) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.idle {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *wire) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.killed
}

// read is a read of the connection within a message.
func (c *wire) read(p []byte) (int, error) {
	start := time.Now()
	if err := c.arm(start, c.readTimeout); err != nil {
		return 0, err
	}
	n, err := c.nc.Read(p)
	if n == 0 {
		return 0, c.readError(err)
	}
	c.waited += time.Since(start)
	c.ofMessage += int64(n)
	c.received += int64(n)
	if c.minRate > 0 && c.waited > c.readTimeout && c.waited-c.readTimeout > time.Duration(c.ofMessage/c.minRate)*time.Second {
		return 0, &AbortError{Source: AbortByUser, Why: "reading", Err: ErrTooSlow}
	}
	return n, nil
}

func (c *wire) readError(err error) error {
	switch {
	case c.stopped():
		return ErrStopped
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return ErrPeerClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &AbortError{Source: AbortByUser, Why: "nothing came within the time allowed", Err: os.ErrDeadlineExceeded}
	case err == nil:
		return io.ErrNoProgress
	}
	return &AbortError{Source: AbortByUser, Reason: abortNone, Why: "reading", Err: err}
}

// await waits for the first byte of the next message, however long the peer is silent within timeout.
func (c *wire) await(timeout time.Duration) error {
	c.waited, c.ofMessage = 0, int64(c.w-c.r)
	c.mu.Lock()
	if c.killed || c.draining {
		c.mu.Unlock()
		return ErrStopped
	}
	if c.w > c.r || c.pduLeft > 0 {
		c.mu.Unlock()
		return nil
	}
	c.idle = true
	want := time.Now().Add(timeout)
	if d := want.Sub(c.armed); c.armed.IsZero() || d < 0 || d > timeout/8 {
		c.armed = want
		_ = c.nc.SetReadDeadline(want)
	}
	c.mu.Unlock()
	n, err := c.nc.Read(c.in)
	c.mu.Lock()
	c.idle = false
	draining := c.draining
	c.mu.Unlock()
	if draining {
		c.armed = time.Time{} // drain may have replaced it
	}
	c.r, c.w = 0, n
	c.received += int64(n)
	c.ofMessage = int64(n)
	if n == 0 {
		if draining {
			return ErrStopped
		}
		return c.readError(err)
	}
	return nil
}

// watch waits for the first byte of what comes while an operation is answered, without a limit of time: a peer that is being answered has nothing to say.
// errHalted says that halt was called; nothing is lost then.
func (c *wire) watch() error {
	c.waited, c.ofMessage = 0, int64(c.w-c.r)
	c.mu.Lock()
	switch {
	case c.killed:
		c.mu.Unlock()
		return ErrStopped
	case c.halted:
		c.mu.Unlock()
		return errHalted
	case c.w > c.r || c.pduLeft > 0:
		c.mu.Unlock()
		return nil
	}
	c.watching = true
	c.armed = time.Time{}
	_ = c.nc.SetReadDeadline(time.Time{})
	c.mu.Unlock()
	n, err := c.nc.Read(c.in)
	c.mu.Lock()
	c.watching = false
	halted, killed := c.halted, c.killed
	c.mu.Unlock()
	c.r, c.w = 0, n
	c.received += int64(n)
	c.ofMessage = int64(n)
	switch {
	case n > 0:
		return nil
	case killed:
		return ErrStopped
	case halted && errors.Is(err, os.ErrDeadlineExceeded):
		return errHalted
	}
	return c.readError(err)
}

// halt ends watch, now or when it is called next; resume takes that back.
func (c *wire) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halted = true
	if c.watching {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *wire) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.halted = false
	c.armed = time.Time{}
}

// need makes in[r:] at least n bytes long; n is small.
func (c *wire) need(n int) error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	} else if len(c.in)-c.r < n {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	for c.w-c.r < n {
		m, err := c.read(c.in[c.w:])
		if err != nil {
			return err
		}
		c.w += m
	}
	return nil
}

// header reads the header of a PDU.
func (c *wire) header() (typ byte, n uint32, err error) {
	if err := c.need(6); err != nil {
		return 0, 0, err
	}
	h := c.in[c.r:]
	c.r += 6
	return h[0], binary.BigEndian.Uint32(h[2:]), nil
}

// controlPDU reads what an association control PDU other than an A-ASSOCIATE carries, and makes an error of the PDU.
func (c *wire) controlPDU(typ byte, n uint32) error {
	switch typ {
	case pduReleaseRQ, pduAbort:
		if n != 4 {
			return violation(AbortInvalidParameter, "a PDU of a fixed length has another")
		}
		if err := c.need(4); err != nil {
			return err
		}
		p := c.in[c.r:]
		c.r += 4
		if typ == pduReleaseRQ {
			return errReleaseRQ
		}
		return &AbortError{ByPeer: true, Source: p[2], Reason: p[3]}
	case pduAssociateRQ, pduAssociateAC, pduAssociateRJ, pduReleaseRP, pduData:
		return violation(AbortUnexpectedPDU, "a PDU came that has no place there")
	}
	return violation(AbortUnrecognizedPDU, "a PDU of an unknown type came")
}

// nextPDV reads the header of the next PDV. A release comes back as errReleaseRQ, an abort as an AbortError by the peer.
func (c *wire) nextPDV() error {
	if c.pduLeft == 0 {
		typ, n, err := c.header()
		if err != nil {
			return err
		}
		if typ != pduData {
			return c.controlPDU(typ, n)
		}
		if n > c.maxPDU {
			return violation(AbortInvalidParameter, "a P-DATA-TF is longer than announced")
		}
		if n < pdvHeader {
			return violation(AbortInvalidParameter, "a P-DATA-TF holds no PDV")
		}
		c.pduLeft = n
	}
	if c.pduLeft < pdvHeader {
		return violation(AbortInvalidParameter, "a P-DATA-TF ends inside a PDV's header")
	}
	if err := c.need(pdvHeader); err != nil {
		return err
	}
	h := c.in[c.r:]
	n := binary.BigEndian.Uint32(h)
	if n < 2 || n > c.pduLeft-4 {
		return violation(AbortInvalidParameter, "a PDV does not fit its P-DATA-TF")
	}
	c.pdvID, c.control = h[4], h[5]
	c.r += pdvHeader
	c.pduLeft -= 4 + n
	c.pdvLeft = n - 2
	return nil
}

// within makes an error of nextPDV one of the middle of a message, where release has no place.
func within(err error) error {
	if err == errReleaseRQ {
		return violation(AbortUnexpectedPDU, "the peer asks for release inside a message")
	}
	return err
}

// command reads a command set into buf, which it may grow, and says in which context it came. A nil error means that a whole command set is there.
func (c *wire) command(buf []byte, accepted func(id byte) bool) ([]byte, byte, error) {
	var id byte
	for n := 0; ; n++ {
		if err := c.nextPDV(); err != nil {
			if n > 0 {
				err = within(err)
			}
			return buf, 0, err
		}
		switch {
		case c.control&controlCommand == 0:
			return buf, 0, violation(AbortUnexpectedParameter, "a data set came without its command")
		case n > 0 && c.pdvID != id:
			return buf, 0, violation(AbortUnexpectedParameter, "the presentation context changes inside a message")
		case n == 0 && !accepted(c.pdvID):
			return buf, 0, violation(AbortInvalidParameter, "a message came in a presentation context that was not accepted")
		case len(buf)+int(c.pdvLeft) > maxCommand:
			return buf, 0, misuse("a command set is too long")
		case n > maxEmpty && len(buf) < n/2:
			return buf, 0, misuse("a command set comes in too many pieces")
		}
		id = c.pdvID
		for c.pdvLeft > 0 {
			if err := c.need(1); err != nil {
				return buf, 0, err
			}
			m := min(int(c.pdvLeft), c.w-c.r)
			buf = append(buf, c.in[c.r:c.r+m]...)
			c.r += m
			c.pdvLeft -= uint32(m)
		}
		if c.control&controlLast != 0 {
			return buf, id, nil
		}
	}
}

// armWrite sets the write deadline.
func (c *wire) armWrite() error {
	now := time.Now()
	want := now.Add(c.writeTimeout)
	if d := want.Sub(c.armedOut); !c.armedOut.IsZero() && d >= 0 && d < c.writeTimeout/8 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return ErrStopped
	}
	c.armedOut = want
	return c.nc.SetWriteDeadline(want)
}

func (c *wire) write(p []byte) error {
	if err := c.armWrite(); err != nil {
		return err
	}
	n, err := c.nc.Write(p)
	c.sent += int64(n)
	return c.writeError(err)
}

func (c *wire) writeError(err error) error {
	if err == nil {
		return nil
	}
	if c.stopped() {
		return ErrStopped
	}
	return &AbortError{Source: AbortByUser, Reason: abortNone, Why: "writing", Err: err}
}

// appendData appends p as the fragments of a command set or data set, in P-DATA-TFs that a peer of the given maximum takes (PS3.8 D.1).
func appendData(b []byte, id, control byte, p []byte, peerMax int) []byte {
	for {
		n := min(len(p), (peerMax-pdvHeader)&^1) // an even length (PS3.8 D.1)
		last := byte(0)
		if n == len(p) {
			last = controlLast
		}
		b = appendDataHeader(b, id, control|last, n)
		b = append(b, p[:n]...)
		if p = p[n:]; len(p) == 0 {
			return b
		}
	}
}

// appendDataHeader appends the header of a P-DATA-TF with one PDV of n bytes.
func appendDataHeader(b []byte, id, control byte, n int) []byte {
	b = append(b, pduData, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(n+pdvHeader))
	b = binary.BigEndian.AppendUint32(b, uint32(n+2))
	return append(b, id, control)
}

// end tells the peer how the association ends on this side, waits a moment for it to close, and closes.
func (c *wire) end(err error, artim time.Duration) {
	if c.farewell(err) {
		c.linger(artim)
	}
	c.nc.Close()
}

// farewell sends the A-ABORT that err calls for, if any; false if there is nobody any more to wait for.
func (c *wire) farewell(err error) bool {
	a, aborted := errors.AsType[*AbortError](err)
	_, rejected := errors.AsType[*Rejection](err)
	pdu := [10]byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, AbortByUser, 0}
	switch {
	case err == nil || rejected: // the last word has been said
		return true
	case aborted && (a.ByPeer || a.Reason == abortNone), errors.Is(err, ErrPeerClosed):
		return false
	case aborted:
		pdu[8], pdu[9] = a.Source, a.Reason
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(farewellTime))
	n, err := c.nc.Write(pdu[:])
	c.sent += int64(n)
	return err == nil
}

// linger closes the sending half and reads away what still comes, until the peer closes too. A plain close while unread bytes are waiting would reset the
// connection and could destroy the last PDU on its way (PS3.8 9.2, Sta13).
func (c *wire) linger(artim time.Duration) {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	wait := min(artim, goodbye)
	c.mu.Lock()
	if c.killed || c.draining { // whoever stops the server waits for this
		wait = min(wait, goodbye/20)
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	c.mu.Unlock()
	for n := 0; n < 64<<20; {
		m, err := c.nc.Read(c.in)
		if err != nil {
			return
		}
		n += m
	}
}

// whole reads the rest of a PDU of n bytes, which grows as the bytes come: a length alone allocates nothing.
func (c *wire) whole(n int) ([]byte, error) {
	var b []byte
	for len(b) < n {
		if err := c.need(1); err != nil {
			return nil, err
		}
		m := min(n-len(b), c.w-c.r)
		b = append(b, c.in[c.r:c.r+m]...)
		c.r += m
	}
	return b, nil
}
