package network

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"
)

// raw is a peer that says what it likes.
type raw struct {
	t *testing.T
	net.Conn
}

func open(t *testing.T, n *node) *raw {
	t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{t, c}
}

// pdu reads one PDU.
func (r *raw) pdu() []byte {
	r.t.Helper()
	h := make([]byte, 6)
	if _, err := io.ReadFull(r, h); err != nil {
		r.t.Fatalf("no PDU: %v", err)
	}
	b := append(h, make([]byte, binary.BigEndian.Uint32(h[2:]))...)
	if _, err := io.ReadFull(r, b[6:]); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func request(t testing.TB, o DialOptions) *associate {
	rq, err := o.request()
	if err != nil {
		t.Fatal(err)
	}
	return rq
}

func established(t *testing.T, n *node) *raw {
	t.Helper()
	r := open(t, n)
	if _, err := r.Write(request(t, options()).appendTo(nil, false)); err != nil {
		t.Fatal(err)
	}
	if p := r.pdu(); p[0] != pduAssociateAC {
		t.Fatalf("answer: % x", p[:10])
	}
	return r
}

// pdata is a P-DATA-TF of PDVs.
func pdata(pdvs ...[]byte) []byte {
	all := bytes.Join(pdvs, nil)
	return append(binary.BigEndian.AppendUint32([]byte{pduData, 0}, uint32(len(all))), all...)
}

func pdv(id, control byte, p []byte) []byte {
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(p)+2)), id, control), p...)
}

func set(c command) []byte { return c.appendTo(nil) }

var (
	echoRQ    = set(command{field: cmdEcho, messageID: 1, class: VerificationUID, dataSetType: noDataSet})
	storeRQ   = set(command{field: cmdStore, messageID: 2, class: ctImage, uid: "1.2.3", dataSetType: 0})
	releaseRQ = []byte{pduReleaseRQ, 0, 0, 0, 0, 4, 0, 0, 0, 0}
)

const echoID, storeID = 1, 3 // of options()

// What a peer may not do, once the association stands, and the A-ABORT for it (PS3.8 9.2, AA-8; Table 9-26).
func TestViolations(t *testing.T) {
	var c collect
	n := start(t, &Server{Store: c.store, MaxPDU: 16 << 10})
	many := func(p []byte, times int) []byte { return bytes.Repeat(p, times) }
	for _, c := range []struct {
		name           string
		send           []byte
		source, reason byte
	}{
		{"unknown PDU", []byte{0x47, 0x45, 0, 0, 0, 4, 0, 0, 0, 0}, AbortByProvider, AbortUnrecognizedPDU},
		{"second request", []byte{pduAssociateRQ, 0, 0, 0, 1, 0}, AbortByProvider, AbortUnexpectedPDU},
		{"release answer", []byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0}, AbortByProvider, AbortUnexpectedPDU},
		{"PDU of 4 GiB", []byte{pduData, 0, 0xFF, 0xFF, 0xFF, 0xFF}, AbortByProvider, AbortInvalidParameter},
		{"PDU one byte too long", []byte{pduData, 0, 0, 0, 0x40, 1}, AbortByProvider, AbortInvalidParameter},
		{"PDU without PDV", []byte{pduData, 0, 0, 0, 0, 0}, AbortByProvider, AbortInvalidParameter},
		{"PDV cut off", append([]byte{pduData, 0, 0, 0, 0, 5}, 0, 0, 0, 1, 1), AbortByProvider, AbortInvalidParameter},
		{"PDV overruns PDU", append([]byte{pduData, 0, 0, 0, 0, 8}, 0, 0, 0, 5, 1, 3, 0, 0), AbortByProvider, AbortInvalidParameter},
		{"PDV of 4 GiB", append([]byte{pduData, 0, 0, 0, 0, 8}, 0xFF, 0xFF, 0xFF, 0xFF, 1, 3, 0, 0), AbortByProvider, AbortInvalidParameter},
		{"PDV without header", append([]byte{pduData, 0, 0, 0, 0, 8}, 0, 0, 0, 1, 1, 3, 0, 0), AbortByProvider, AbortInvalidParameter},
		{"bytes behind the PDV", pdata(pdv(storeID, 1, storeRQ[:20]), []byte{0, 0, 0}), AbortByProvider, AbortInvalidParameter},
		{"release of a wrong length", []byte{pduReleaseRQ, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0}, AbortByProvider, AbortInvalidParameter},
		{"data set first", pdata(pdv(storeID, 2, []byte{1, 2})), AbortByProvider, AbortUnexpectedParameter},
		{"context not accepted", pdata(pdv(77, 3, echoRQ)), AbortByProvider, AbortInvalidParameter},
		{"even context", pdata(pdv(2, 3, echoRQ)), AbortByProvider, AbortInvalidParameter},
		{"context changes in the command", pdata(pdv(echoID, 1, echoRQ[:20]), pdv(storeID, 3, echoRQ[20:])), AbortByProvider, AbortUnexpectedParameter},
		{"context changes in the data set", pdata(pdv(storeID, 3, storeRQ), pdv(storeID, 0, []byte{1, 2}), pdv(echoID, 2, []byte{1, 2})), AbortByProvider, AbortUnexpectedParameter},
		{"command in the data set", pdata(pdv(storeID, 3, storeRQ), pdv(storeID, 0, []byte{1, 2}), pdv(storeID, 3, echoRQ)), AbortByProvider, AbortUnexpectedParameter},
		{"data set in the command", pdata(pdv(storeID, 1, storeRQ[:20]), pdv(storeID, 2, []byte{1, 2})), AbortByProvider, AbortUnexpectedParameter},
		{"release in the command", append(pdata(pdv(storeID, 1, storeRQ[:20])), releaseRQ...), AbortByProvider, AbortUnexpectedPDU},
		{"release before the data set", append(pdata(pdv(storeID, 3, storeRQ)), releaseRQ...), AbortByProvider, AbortUnexpectedPDU},
		{"release in the data set", append(pdata(pdv(storeID, 3, storeRQ), pdv(storeID, 0, []byte{1, 2})), releaseRQ...), AbortByProvider, AbortUnexpectedPDU},
		{"endless command", many(pdata(pdv(echoID, 1, make([]byte, 8<<10))), 9), AbortByUser, 0},
		{"endless command of nothing", many(pdata(pdv(echoID, 1, nil)), 200), AbortByUser, 0},
		{"endless data set of nothing", append(pdata(pdv(storeID, 3, storeRQ)), many(pdata(pdv(storeID, 0, nil)), 200)...), AbortByProvider, AbortInvalidParameter},
		{"garbled command", pdata(pdv(echoID, 3, echoRQ[:30])), AbortByUser, 0},
		{"empty command", pdata(pdv(echoID, 3, nil)), AbortByUser, 0},
		{"response", pdata(pdv(echoID, 3, set(command{field: cmdEcho | cmdResponse, dataSetType: noDataSet}))), AbortByUser, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := established(t, n)
			if _, err := r.Write(c.send); err != nil {
				t.Fatal(err)
			}
			p := r.pdu()
			if want := []byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, c.source, c.reason}; !bytes.Equal(p, want) {
				t.Errorf("answer % x, want % x", p, want)
			}
			if _, err := r.Read(p); err != io.EOF {
				t.Errorf("after the abort: %v", err)
			}
			if a, ok := errors.AsType[*AbortError](<-n.ended); !ok || a.ByPeer || a.Source != c.source || a.Reason != c.reason {
				t.Errorf("the server's own account: %v", a)
			}
		})
	}
	if len(c.got) != 0 {
		t.Error("something was taken as stored")
	}
}

// Unusual, and right.
func TestTolerated(t *testing.T) {
	var c collect
	n := start(t, &Server{Store: c.store})
	r := established(t, n)
	send := append(pdata(pdv(storeID, 1, storeRQ[:1]), pdv(storeID, 1, nil)), pdata(pdv(storeID, 3, storeRQ[1:]), pdv(storeID, 0, nil), pdv(storeID, 0, []byte{1, 2, 3}))...)
	send = append(send, pdata(pdv(storeID, 2, nil), pdv(echoID, 3, echoRQ))...) // the next message in the same PDU
	for _, b := range send {
		if _, err := r.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	for i, field := range []uint16{cmdStore, cmdEcho} {
		p := r.pdu()
		var rsp command
		if err := parseCommand(p[12:], &rsp); err != nil || rsp.field != field|cmdResponse || rsp.status.Code != 0 {
			t.Errorf("answer %d: %+v, %v", i, rsp, err)
		}
		if field == cmdStore && (rsp.respondedTo != 2 || rsp.class != ctImage || rsp.uid != "1.2.3" || rsp.hasDataSet()) {
			t.Errorf("C-STORE-RSP: %+v", rsp)
		}
	}
	other := set(command{field: cmdStore, messageID: 3, class: mrImage, uid: "1.2.4", dataSetType: 0})
	if _, err := r.Write(append(pdata(pdv(storeID, 3, other)), pdata(pdv(storeID, 2, []byte{4}))...)); err != nil {
		t.Fatal(err)
	}
	r.pdu()
	if b, q := c.take("1.2.4"); len(b) != 1 || q.SOPClassUID != mrImage || q.AbstractSyntaxUID != ctImage {
		t.Errorf("a class that would have been accepted: %+v", q)
	}
	if b, _ := c.take("1.2.3"); !bytes.Equal(b, []byte{1, 2, 3}) {
		t.Errorf("stored % x", b)
	}
	if _, err := r.Write(releaseRQ); err != nil {
		t.Fatal(err)
	}
	if p := r.pdu(); p[0] != pduReleaseRP {
		t.Errorf("% x", p)
	}
	r.Close()
	if err := <-n.ended; err != nil {
		t.Error(err)
	}
}

// What is not served, or not well asked, is answered with a status and the association goes on.
func TestRefusedMessages(t *testing.T) {
	n := start(t, &Server{Store: func(context.Context, *Association, *StoreRequest) Status {
		t.Error("the handler was called")
		return Status{}
	}})
	r := established(t, n)
	data := []byte{1, 2, 3, 4}
	for _, c := range []struct {
		name   string
		id     byte
		c      command
		status uint16
	}{
		{"C-FIND", storeID, command{field: cmdFind, class: ctImage}, StatusUnrecognizedOperation},
		{"C-MOVE", storeID, command{field: cmdMove, class: ctImage}, StatusUnrecognizedOperation},
		{"C-GET", storeID, command{field: cmdGet, class: ctImage}, StatusUnrecognizedOperation},
		{"N-CREATE", storeID, command{field: 0x0140, class: ctImage}, StatusUnrecognizedOperation},
		{"C-ECHO with a data set", echoID, command{field: cmdEcho, class: VerificationUID}, StatusMistypedArgument},
		{"C-ECHO in another context", storeID, command{field: cmdEcho, class: VerificationUID, dataSetType: noDataSet}, StatusSOPClassNotSupported},
		{"C-STORE without a data set", storeID, command{field: cmdStore, class: ctImage, uid: "1.2", dataSetType: noDataSet}, StatusMistypedArgument},
		{"C-STORE of another class", storeID, command{field: cmdStore, class: "1.2.840.10008.5.1.4.1.2.2.1", uid: "1.2"}, StatusSOPClassNotSupported},
		{"C-STORE of no class", storeID, command{field: cmdStore, uid: "1.2"}, StatusSOPClassNotSupported},
		{"C-STORE without an instance", storeID, command{field: cmdStore, class: ctImage}, StatusInvalidInstance},
		{"C-STORE of Verification", echoID, command{field: cmdStore, class: VerificationUID, uid: "1.2"}, StatusUnrecognizedOperation},
	} {
		c.c.messageID = 9
		send := pdata(pdv(c.id, 3, set(c.c)))
		if c.c.hasDataSet() {
			send = append(send, pdata(pdv(c.id, 0, data), pdv(c.id, 2, data))...)
		}
		if _, err := r.Write(append(send, pdata(pdv(storeID, 3, set(command{field: cmdCancel, respondedTo: 9, dataSetType: noDataSet})))...)); err != nil {
			t.Fatal(err)
		}
		var rsp command
		if err := parseCommand(r.pdu()[12:], &rsp); err != nil || rsp.field != c.c.field|cmdResponse || rsp.respondedTo != 9 || rsp.status.Code != c.status {
			t.Errorf("%s: %+v, %v", c.name, rsp, err)
		}
	}
}

// What comes before an association, and what is said to it (PS3.8 Table 9-10, Sta2: AA-1, AE-6).
func TestBadRequests(t *testing.T) {
	n := start(t, &Server{})
	good := request(t, options()).appendTo(nil, false)
	change := func(f func(rq *associate)) []byte {
		rq := request(t, options())
		f(rq)
		return rq.appendTo(nil, false)
	}
	abort := []byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, AbortByUser, 0}
	reject := func(result, source, reason byte) []byte {
		return []byte{pduAssociateRJ, 0, 0, 0, 0, 4, 0, result, source, reason}
	}
	long := append([]byte(nil), good...)
	binary.BigEndian.PutUint32(long[2:], maxAssociateLength+1)
	cut := append([]byte(nil), good...)
	binary.BigEndian.PutUint32(cut[2:], uint32(len(cut)-16))
	for _, c := range []struct {
		name       string
		send, want []byte
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), abort},
		{"data", pdata(pdv(1, 3, echoRQ)), abort},
		{"release", releaseRQ, abort},
		{"4 GiB", []byte{pduAssociateRQ, 0, 0xFF, 0xFF, 0xFF, 0xFF}, abort},
		{"too long", long, abort},
		{"too short", []byte{pduAssociateRQ, 0, 0, 0, 0, 2, 0, 1}, abort},
		{"items cut off", cut[:len(cut)-10], abort},
		{"even context", change(func(rq *associate) { rq.Contexts[0].ID = 2 }), abort},
		{"repeated context", change(func(rq *associate) { rq.Contexts[0].ID = rq.Contexts[1].ID }), abort},
		{"no abstract syntax", change(func(rq *associate) { rq.Contexts[0].AbstractSyntax = "" }), abort},
		{"UID with spaces in it", change(func(rq *associate) { rq.Contexts[0].AbstractSyntax = "1.2 .3" }), abort},
		{"tiny PDUs", change(func(rq *associate) { rq.MaxPDU = 7 }), []byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, AbortByProvider, AbortInvalidParameter}},
		{"version 2", change(func(rq *associate) { rq.version = 2 }), reject(RejectPermanent, RejectByACSE, RejectProtocolVersion)},
		{"other application", change(func(rq *associate) { rq.application = "1.2.3" }), reject(RejectPermanent, RejectByUser, RejectApplicationContext)},
		{"no called title", change(func(rq *associate) { rq.called = [16]byte{} }), reject(RejectPermanent, RejectByUser, RejectCalledAE)},
		{"control characters", change(func(rq *associate) { rq.calling[3] = '\n' }), reject(RejectPermanent, RejectByUser, RejectCallingAE)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t, n)
			if _, err := r.Write(c.send); err != nil {
				t.Fatal(err)
			}
			if got := r.pdu(); !bytes.Equal(got, c.want) {
				t.Errorf("answer % x, want % x", got, c.want)
			}
			if m, err := r.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after it: %d, %v", m, err)
			}
		})
	}
	if len(n.ended) != 0 {
		t.Error("something became an association")
	}
}

// A peer that stalls, wherever it does, loses its place.
func TestStalling(t *testing.T) {
	short := 50 * time.Millisecond
	n := start(t, &Server{ARTIM: short})
	abort := []byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, AbortByUser, 0}
	for name, send := range map[string][]byte{
		"nothing at all": {},
		"half a header":  {pduAssociateRQ, 0, 0},
		"half a request": request(t, options()).appendTo(nil, false)[:90],
		"slow by a byte": nil,
	} {
		r := open(t, n)
		if send == nil { // each byte well within time, the whole not
			stop := make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, b := range request(t, options()).appendTo(nil, false) {
					if _, err := r.Write([]byte{b}); err != nil {
						return
					}
					select {
					case <-stop:
						return
					case <-time.After(short / 10):
					}
				}
			}()
			if got := r.pdu(); !bytes.Equal(got, abort) {
				t.Errorf("%s: % x", name, got)
			}
			close(stop)
			<-done
			continue
		}
		if _, err := r.Write(send); err != nil {
			t.Fatal(err)
		}
		if got := r.pdu(); !bytes.Equal(got, abort) {
			t.Errorf("%s: % x", name, got)
		}
	}
	n = start(t, &Server{Store: (&collect{}).store, IdleTimeout: short, ReadTimeout: short})
	for name, send := range map[string][]byte{
		"idle":            {},
		"half a PDU":      {pduData, 0, 0},
		"half a command":  pdata(pdv(storeID, 1, storeRQ[:20])),
		"no data set":     pdata(pdv(storeID, 3, storeRQ)),
		"half a data set": append(pdata(pdv(storeID, 3, storeRQ)), pdata(pdv(storeID, 2, make([]byte, 20_000)))[:10_000]...),
	} {
		r := established(t, n)
		if _, err := r.Write(send); err != nil {
			t.Fatal(err)
		}
		if got := r.pdu(); !bytes.Equal(got, abort) {
			t.Errorf("%s: % x", name, got)
		}
		if err := <-n.ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// drip is a connection on which a byte comes at each read, each after pause on its clock.
type drip struct {
	net.Conn
	b []byte
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	p[0] = d.b[0]
	d.b = d.b[1:]
	return 1, nil
}
func (d *drip) SetReadDeadline(time.Time) error { return nil }

// A rate has to be reached when a message has been waited for longer than the time for one read.
func TestMinimumRate(t *testing.T) {
	w := newWire(&drip{b: make([]byte, 100)}, DefaultMaxPDU, time.Second, time.Second, 10)
	w.waited = 4 * time.Second // 3 s beyond the grace: 30 bytes are due
	w.ofMessage = 20
	if err := w.need(5); !errors.Is(err, ErrTooSlow) {
		t.Errorf("25 bytes in 3 s at a rate of 10: %v", err)
	}
	w.ofMessage = 40
	if err := w.need(8); err != nil {
		t.Errorf("45 bytes: %v", err)
	}
}

// Connections that never ask for an association cannot pile up beyond MaxPending.
func TestPending(t *testing.T) {
	n := start(t, &Server{MaxAssociations: 1, MaxPending: 2})
	for range 3 {
		open(t, n)
	}
	var refused bool
	for range 20 { // the three are taken in some moment; then a fourth is closed
		r := open(t, n)
		_ = r.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := r.Read(make([]byte, 1)); err == io.EOF || (err != nil && !errors.Is(err, os.ErrDeadlineExceeded)) {
			refused = true
			break
		}
	}
	if !refused {
		t.Error("connections pile up")
	}
}

// from is a listener whose connections say where they come from.
type from struct {
	net.Listener
	addresses chan net.Addr
}

type placed struct {
	net.Conn
	addr net.Addr
}

func (c placed) RemoteAddr() net.Addr { return c.addr }
func (c placed) CloseWrite() error    { return c.Conn.(*net.TCPConn).CloseWrite() }

func (l from) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return placed{c, <-l.addresses}, nil
}

// One address takes its share: its silent connections, and its associations, leave room for those of others.
func TestOneAddressShutsNobodyOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addresses := make(chan net.Addr, 1)
	refused := make(chan error, 100)
	s := &Server{MaxAssociations: 20, MaxPending: 20, Accept: acceptAll, OnRefused: func(_ net.Addr, err error) { refused <- err }}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, from{l, addresses}) }()
	defer func() {
		cancel()
		<-done
	}()
	connect := func(ip string) net.Conn {
		t.Helper()
		addresses <- net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 40000))
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(ip string) error {
		t.Helper()
		addresses <- net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 40000))
		a, err := Dial(t.Context(), l.Addr().String(), options())
		if err == nil {
			t.Cleanup(a.Abort)
		}
		return err
	}
	// A flood of connections that say nothing: five, a quarter of the twenty, stay open; the others are closed. So for networks of IPv6.
	for _, flood := range [][]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::2"}} {
		for k := range 30 {
			connect(flood[k%2])
		}
		for range 25 {
			if err := <-refused; !errors.Is(err, ErrTooManyPending) {
				t.Errorf("refused with %v", err)
			}
		}
	}
	// Somebody else gets in, up to five times; then that address has had its share, and a third one gets in.
	for _, ip := range []string{"192.0.2.2", "2001:db8:0:1::1"} {
		for k := range 5 {
			if err := ask(ip); err != nil {
				t.Errorf("association %d from %s: %v", k, ip, err)
			}
		}
		r, ok := errors.AsType[*Rejection](ask(ip))
		if !ok || *r != (Rejection{RejectTransient, RejectByPresentation, RejectLimit}) {
			t.Errorf("a sixth association: %v", r)
		}
	}
	if len(s.places.by) == 0 {
		t.Error("nothing is counted")
	}
}

// Places that were given back are free, whatever way a connection went.
func TestPlacesAreGivenBack(t *testing.T) {
	n := start(t, &Server{MaxAssociations: 1, MaxPending: 3})
	for k := range 12 {
		r := open(t, n)
		switch k % 3 {
		case 0: // goes without a word
		case 1:
			_, _ = r.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			r.pdu()
		case 2:
			_, _ = r.Write(request(t, options()).appendTo(nil, false))
			if p := r.pdu(); p[0] != pduAssociateAC {
				t.Fatalf("association %d: % x", k, p)
			}
		}
		r.Close()
		if k%3 == 2 {
			<-n.ended
		}
		for n.taken() != 0 { // the server learns of the end in its own time; the test's own time ends it if not
			runtime.Gosched()
		}
	}
}

func (n *node) taken() int {
	n.Server.mu.Lock()
	defer n.Server.mu.Unlock()
	return len(n.places.by) + n.places.pending + n.places.established
}
