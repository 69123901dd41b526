package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ctImage    = "1.2.840.10008.5.1.4.1.1.2"
	mrImage    = "1.2.840.10008.5.1.4.1.1.4"
	explicitLE = dicom.ExplicitVRLittleEndianUID
	implicitLE = dicom.ImplicitVRLittleEndianUID
)

func acceptAll(context.Context, *AssociateRequest) (Decision, error) { return Decision{}, nil }

// node is a server under test.
type node struct {
	*Server
	addr   string
	ended  chan error   // of associations
	failed atomic.Int64 // messages
	mu     sync.Mutex
	turns  []error // refused
}

func start(t testing.TB, s *Server) *node {
	t.Helper()
	n := &node{Server: s, ended: make(chan error, 1000)}
	if s.Accept == nil {
		s.Accept = acceptAll
	}
	s.OnAssociationEnd = func(a *Association, err error) {
		n.failed.Add(a.Stats().Failed)
		n.ended <- err
	}
	s.OnRefused = func(_ net.Addr, err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.turns = append(n.turns, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
	return n
}

func options(contexts ...Proposal) DialOptions {
	if len(contexts) == 0 {
		contexts = []Proposal{{VerificationUID, []string{implicitLE}}, {ctImage, []string{explicitLE}}}
	}
	return DialOptions{CallingAE: "SENDER", CalledAE: "NODE", Contexts: contexts}
}

func dial(t testing.TB, n *node, o DialOptions) *Association {
	t.Helper()
	a, err := Dial(t.Context(), n.addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Abort)
	return a
}

// payload is n bytes that do not repeat with any period in use.
func payload(n int) []byte {
	b := make([]byte, n)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// collect is a Store handler that keeps data sets by SOP Instance UID.
type collect struct {
	mu  sync.Mutex
	got map[string][]byte
	req map[string]StoreRequest
}

func (c *collect) store(_ context.Context, _ *Association, r *StoreRequest) Status {
	b, whole, err := r.Data.ReadAll(nil, 1<<30)
	if err != nil || !whole {
		return Status{Code: StatusOutOfResources}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.got == nil {
		c.got, c.req = map[string][]byte{}, map[string]StoreRequest{}
	}
	c.got[r.SOPInstanceUID], c.req[r.SOPInstanceUID] = b, *r
	return Status{}
}

// take is what arrived under a UID.
func (c *collect) take(uid string) ([]byte, StoreRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got[uid], c.req[uid]
}

func TestEchoStoreRelease(t *testing.T) {
	var c collect
	n := start(t, &Server{Store: c.store})
	a := dial(t, n, options())
	ctx := t.Context()
	if st, err := a.Echo(ctx); err != nil || !st.Success() {
		t.Fatalf("echo: %v, %v", st, err)
	}
	sizes := []int{0, 2, 100, inBuffer - 12, inBuffer, DefaultMaxPDU - 6, DefaultMaxPDU - 4, DefaultMaxPDU, 527_000, 3 << 20}
	for i, size := range sizes {
		want := payload(size)
		uid := "1.2.3." + string(rune('0'+i))
		in := &Instance{SOPClassUID: ctImage, SOPInstanceUID: uid, TransferSyntaxUID: explicitLE, Bytes: want, Priority: 2, MoveOriginatorAE: "MOVER", MoveOriginatorMessageID: 7}
		if i%2 == 1 {
			in.Bytes, in.Reader = nil, bytes.NewReader(want)
		}
		st, err := a.Store(ctx, in)
		if err != nil || !st.Success() {
			t.Fatalf("%d bytes: %v, %v", size, st, err)
		}
		got, r := c.take(uid)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived changed (%d)", size, len(got))
		}
		if r.SOPClassUID != ctImage || r.TransferSyntaxUID != explicitLE || r.Priority != 2 || r.MoveOriginatorAE != "MOVER" || r.MoveOriginatorMessageID != 7 {
			t.Errorf("request: %+v", r)
		}
	}
	if err := a.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-n.ended; err != nil {
		t.Errorf("the server's end: %v", err)
	}
	if s := a.Stats(); s.Stored != int64(len(sizes)) || s.Echoes != 1 {
		t.Errorf("stats: %+v", s)
	}
	if _, err := a.Echo(ctx); !errors.Is(err, ErrReleased) {
		t.Errorf("after release: %v", err)
	}
}

// Every way of reading gives the same bytes, whatever the fragmentation.
func TestReadInPieces(t *testing.T) {
	want := payload(300_002)
	var got []byte
	n := start(t, &Server{Store: func(_ context.Context, _ *Association, r *StoreRequest) Status {
		got = nil
		b, whole, err := r.Data.ReadAll(make([]byte, 0, 1000), 1000)
		if whole || err != nil || len(b) != 1000 {
			t.Errorf("first 1000: %d, %v, %v", len(b), whole, err)
		}
		got = append(got, b...)
		small := make([]byte, 333)
		for range 10 {
			m, _ := r.Data.Read(small)
			got = append(got, small[:m]...)
		}
		large := make([]byte, 40_000)
		m, _ := r.Data.Read(large)
		got = append(got, large[:m]...)
		got, whole, err = r.Data.ReadAll(got, 1<<20)
		if !whole || err != nil {
			t.Errorf("rest: %v, %v", whole, err)
		}
		if _, err := r.Data.Read(small); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		return Status{}
	}, MaxPDU: 70_000})
	for _, o := range []func(*Association){func(*Association) {}, func(a *Association) { a.peerMax = 512 }, func(a *Association) { a.peerMax = 17 }} {
		a := dial(t, n, options())
		o(a)
		if st, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: want}); err != nil || !st.Success() {
			t.Fatalf("%v, %v", st, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("PDUs of %d: %d bytes arrived changed", a.peerMax, len(got))
		}
	}
}

func TestUnreadIsDiscarded(t *testing.T) {
	var late *DataReader
	n := start(t, &Server{MaxDiscard: 1 << 20, Store: func(_ context.Context, _ *Association, r *StoreRequest) Status {
		late = r.Data
		switch r.SOPInstanceUID {
		case "1.1":
			panic("a handler's defect")
		case "1.2":
			return Status{Code: StatusOutOfResources, Comment: "full\\é", ErrorID: 3, Offending: []dicom.Tag{0x00100020}}
		}
		return Status{Code: StatusCoerced}
	}})
	panics := 0
	n.OnPanic = func(_ *Association, v any, stack []byte) {
		if v != "a handler's defect" || len(stack) == 0 {
			t.Errorf("panic: %v", v)
		}
		panics++
	}
	a := dial(t, n, options())
	send := func(uid string, size int) (Status, error) {
		return a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: uid, TransferSyntaxUID: explicitLE, Bytes: make([]byte, size)})
	}
	if st, err := send("1.1", 500_000); err != nil || st.Code != StatusProcessingFailure || panics != 1 {
		t.Fatalf("panic: %v, %v", st, err)
	}
	st, err := send("1.2", 500_000)
	if err != nil || st.Code != StatusOutOfResources || st.Comment != "full??" || st.ErrorID != 3 || len(st.Offending) != 1 || st.Offending[0] != 0x00100020 {
		t.Fatalf("failure: %+v, %v", st, err)
	}
	if st, err := send("1.3", 10); err != nil || !st.Warning() || !st.Done() {
		t.Fatalf("warning: %v, %v", st, err)
	}
	if s := a.Stats(); s.Stored != 1 || s.Failed != 2 {
		t.Errorf("stats: %+v", s)
	}
	_, err = send("1.4", 64<<20)
	if err == nil {
		t.Error("a data set beyond MaxDiscard was read away")
	}
	if err := <-n.ended; err == nil {
		t.Error("the association ended in order")
	}
	if _, err := late.Read(make([]byte, 1)); err == nil || late.BytesRead() == 0 {
		t.Errorf("a reader outlives its handler: %v", err)
	}
}

func TestWrongUse(t *testing.T) {
	n := start(t, &Server{Store: (&collect{}).store})
	a := dial(t, n, options())
	ctx := t.Context()
	if _, err := a.Store(ctx, &Instance{SOPClassUID: mrImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: []byte{1}}); !errors.Is(err, ErrNoContext) {
		t.Errorf("no context: %v", err)
	}
	if _, err := a.Store(ctx, &Instance{SOPClassUID: ctImage, TransferSyntaxUID: explicitLE, Bytes: []byte{1}}); err == nil {
		t.Error("no instance UID")
	}
	if _, err := a.Store(ctx, &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: []byte{1}}); !errors.Is(err, ErrOddLength) {
		t.Errorf("odd length: %v", err)
	}
	var many []Proposal
	for _, c := range StorageClasses()[:129] {
		many = append(many, Proposal{c.UID, []string{implicitLE}})
	}
	if _, err := Dial(ctx, n.addr, options(many...)); !errors.Is(err, ErrTooManyContexts) {
		t.Errorf("129 contexts: %v", err)
	}
	if err := (&Server{}).Serve(ctx, nopListener{}); err == nil {
		t.Error("a server without Accept served")
	}
	cause := errors.New("enough")
	stopped, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if _, err := a.Echo(stopped); !errors.Is(err, cause) {
		t.Errorf("ended context: %v", err)
	}
	if st, err := a.Echo(ctx); err != nil || !st.Success() {
		t.Errorf("after it: %v, %v", st, err)
	}
	if _, err := a.Store(ctx, &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Reader: badReader{cause}}); !errors.Is(err, cause) {
		t.Errorf("failing source: %v", err)
	}
	if ae, ok := errors.AsType[*AbortError](<-n.ended); !ok || !ae.ByPeer {
		t.Error("a source that fails does not abort")
	}
}

// A source that breaks off is not sent as if it were whole, whatever its error is; and who aborts meanwhile does not wait for it.
func TestSourceBreaksOff(t *testing.T) {
	stored := make(chan int, 1)
	n := start(t, &Server{Store: func(_ context.Context, _ *Association, r *StoreRequest) Status {
		if b, err := io.ReadAll(r.Data); err == nil {
			stored <- len(b)
		}
		return Status{}
	}})
	for _, cause := range []error{io.ErrUnexpectedEOF, errors.New("enough")} {
		for _, size := range []int{2, 5000, 500_000} {
			a := dial(t, n, options())
			source := io.MultiReader(bytes.NewReader(make([]byte, size)), badReader{cause})
			if st, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Reader: source}); !errors.Is(err, cause) {
				t.Errorf("%d bytes and then %v: %v, %v", size, cause, st, err)
			}
			<-n.ended
		}
	}
	a := dial(t, n, options())
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Reader: pr})
		done <- err
	}()
	if _, err := pw.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	a.Abort() // while the source says nothing
	pw.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-done; err == nil {
		t.Error("it was stored")
	}
	<-n.ended
	select {
	case size := <-stored:
		t.Errorf("%d bytes came as if they were whole", size)
	default:
	}
}

type badReader struct{ err error }

func (b badReader) Read([]byte) (int, error) { return 0, b.err }

type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }

func TestNegotiation(t *testing.T) {
	var seen *AssociateRequest
	n := start(t, &Server{MaxPDU: 32 << 10, Accept: func(_ context.Context, r *AssociateRequest) (Decision, error) {
		seen = r
		return Decision{Value: 42, IdentityResponse: []byte{}}, nil
	}})
	a := dial(t, n, DialOptions{
		CallingAE: "A B", CalledAE: "SIXTEEN_CHARS_16", MaxPDU: 64 << 10,
		Contexts: []Proposal{
			{ctImage, []string{"1.2.3.4", "1.2.840.10008.1.2.4.90", implicitLE}}, // the first known one
			{ctImage, []string{"1.2.3.4"}},
			{"1.2.840.10008.5.1.4.1.2.2.1", []string{implicitLE}}, // a query: not served
			{"1.2.3.4.5", []string{implicitLE}},                   // private
			{mrImage, []string{implicitLE}},                       // wanted as provider only
		},
		Roles:        []Role{{ctImage, true, true}, {mrImage, false, true}},
		UserIdentity: &UserIdentity{Type: 2, ResponseRequested: true, Primary: []byte("u"), Secondary: []byte("p")},
	})
	if got := a.Contexts(); len(got) != 1 || got[0] != (Context{ID: 1, AbstractSyntax: ctImage, TransferSyntax: "1.2.840.10008.1.2.4.90", SCU: true}) {
		t.Errorf("contexts: %+v", got)
	}
	if a.PeerMaxPDU() != 32<<10 {
		t.Errorf("peer's longest PDU: %d", a.PeerMaxPDU())
	}
	if uid, v := a.PeerImplementation(); uid != dicom.ImplementationClassUID || v != dicom.ImplementationVersion {
		t.Errorf("implementation: %q %q", uid, v)
	}
	if seen.CallingAE != "A B" || seen.CalledAE != "SIXTEEN_CHARS_16" || len(seen.Contexts) != 5 || seen.MaxPDU != 64<<10 || len(seen.Roles) != 2 ||
		seen.ImplementationClassUID != dicom.ImplementationClassUID || seen.RemoteAddr == nil || seen.TLS != nil ||
		seen.UserIdentity == nil || string(seen.UserIdentity.Primary) != "u" || string(seen.UserIdentity.Secondary) != "p" {
		t.Errorf("request: %+v", seen)
	}
	for uid, want := range map[string]ContextResult{"1.2.3.4.5": ContextAccepted, "1.2.840.10008.5.1.4.1.2.2.1": ContextAbstractSyntaxNotAccepted} {
		if _, got := (StoragePolicy{Private: true}).Negotiate(&ProposedContext{AbstractSyntax: uid, TransferSyntaxes: []string{implicitLE}}); got != want {
			t.Errorf("%s: %d", uid, got)
		}
	}
}

func TestRejection(t *testing.T) {
	var answer error
	n := start(t, &Server{MaxAssociations: 1, Accept: func(context.Context, *AssociateRequest) (Decision, error) {
		if answer == errPanic {
			panic(answer)
		}
		return Decision{}, answer
	}})
	for _, c := range []struct {
		answer error
		want   Rejection
	}{
		{&Rejection{RejectPermanent, RejectByUser, RejectCalledAE}, Rejection{RejectPermanent, RejectByUser, RejectCalledAE}},
		{errors.New("no"), Rejection{RejectPermanent, RejectByUser, RejectNoReason}},
		{errPanic, Rejection{RejectTransient, RejectByUser, RejectNoReason}},
	} {
		answer = c.answer
		_, err := Dial(t.Context(), n.addr, options())
		if r, ok := errors.AsType[*Rejection](err); !ok || *r != c.want {
			t.Errorf("%v: %v", c.answer, err)
		}
	}
	answer = nil
	first := dial(t, n, options())
	_, err := Dial(t.Context(), n.addr, options())
	if r, ok := errors.AsType[*Rejection](err); !ok || *r != (Rejection{RejectTransient, RejectByPresentation, RejectLimit}) {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-n.ended
	dial(t, n, options())
}

var errPanic = errors.New("panic")

// A shutdown lets the message under way be answered, and ends what is idle.
func TestShutdown(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	n := start(t, &Server{Store: func(ctx context.Context, _ *Association, r *StoreRequest) Status {
		close(entered)
		<-proceed
		_, _, err := r.Data.ReadAll(nil, 1<<20)
		if err != nil {
			t.Errorf("reading while closing: %v", err)
		}
		return Status{}
	}})
	idle, busy := dial(t, n, options()), dial(t, n, options())
	fresh, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	type outcome struct {
		st  Status
		err error
	}
	stored := make(chan outcome, 1)
	go func() {
		st, err := busy.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: make([]byte, 600_000)})
		stored <- outcome{st, err}
	}()
	<-entered
	down := make(chan error, 1)
	go func() { down <- n.Shutdown(t.Context()) }()
	if err := <-n.ended; !errors.Is(err, ErrStopped) { // the idle one
		t.Errorf("idle: %v", err)
	}
	if _, err := idle.Echo(t.Context()); err == nil {
		t.Error("the idle association lives")
	}
	if _, err := Dial(t.Context(), n.addr, options()); err == nil {
		t.Error("an association was opened while closing")
	}
	close(proceed)
	if o := <-stored; o.err != nil || !o.st.Success() {
		t.Errorf("the message under way: %v, %v", o.st, o.err)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := busy.Echo(t.Context()); err == nil {
		t.Error("the busy association lives on")
	}
	if err := n.Serve(t.Context(), nopListener{}); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// A shutdown whose time is up aborts what runs.
func TestShutdownForced(t *testing.T) {
	entered := make(chan struct{})
	n := start(t, &Server{Store: func(ctx context.Context, _ *Association, r *StoreRequest) Status {
		close(entered)
		_, err := io.Copy(io.Discard, r.Data) // the sender stalls
		if !errors.Is(err, ErrStopped) {
			t.Errorf("read: %v", err)
		}
		return Status{}
	}})
	a := dial(t, n, options())
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Reader: pr})
		done <- err
	}()
	if _, err := pw.Write(make([]byte, 600_000)); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := n.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if err := <-n.ended; !errors.Is(err, ErrStopped) {
		t.Errorf("end: %v", err)
	}
	pw.Close()
	if ae, ok := errors.AsType[*AbortError](<-done); !ok || !ae.ByPeer {
		t.Error("the sender has not met an A-ABORT")
	}
}

// A context that ends aborts the operation.
func TestContextEnds(t *testing.T) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	n := start(t, &Server{Echo: func(context.Context, *Association) Status {
		close(entered)
		<-proceed
		return Status{}
	}})
	a := dial(t, n, options())
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := a.Echo(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("echo: %v", err)
	}
	close(proceed)
	if err := <-n.ended; err == nil {
		t.Error("no abort reached the server")
	}
	if _, err := a.Echo(t.Context()); err == nil {
		t.Error("the association lives")
	}
}

// A reader that a handler keeps gives nothing more, even where the data set had not been read.
func TestReaderCloses(t *testing.T) {
	kept := make(chan *DataReader, 1)
	n := start(t, &Server{Store: func(_ context.Context, _ *Association, r *StoreRequest) Status {
		kept <- r.Data
		return Status{}
	}})
	a := dial(t, n, options())
	if _, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: make([]byte, 100)}); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-n.ended
	if _, err := (<-kept).Read(make([]byte, 1)); !errors.Is(err, ErrReaderClosed) {
		t.Errorf("read: %v", err)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
