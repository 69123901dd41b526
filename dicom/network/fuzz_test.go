package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/dicom"
)

func drawUID(t *rapid.T, name string) string {
	return rapid.StringMatching(`1\.[1-9][0-9.]{0,60}[0-9]`).Draw(t, name)
}

func drawUIDs(t *rapid.T, name string, most int) []string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string { return drawUID(t, "uid") }), 1, most).Draw(t, name)
}

// What is written is what is read.
func TestAssociateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &associate{version: 1, application: applicationContextUID}
		a.CalledAE = rapid.StringMatching(`[!-Z]([ -Z]{0,14}[!-Z])?`).Draw(t, "called")
		a.CallingAE = rapid.StringMatching(`[!-Z]([ -Z]{0,14}[!-Z])?`).Draw(t, "calling")
		a.called, _ = padTitle(a.CalledAE)
		a.calling, _ = padTitle(a.CallingAE)
		a.reserved[31] = rapid.Byte().Draw(t, "reserved")
		a.MaxPDU = rapid.Uint32().Draw(t, "max")
		a.ImplementationClassUID = drawUID(t, "class")
		a.ImplementationVersion = rapid.StringMatching(`[A-Z0-9_]{0,16}`).Draw(t, "version")
		a.AsyncInvoked, a.AsyncPerformed = 1, 1
		n := rapid.IntRange(0, 128).Draw(t, "contexts")
		ac := rapid.Bool().Draw(t, "ac")
		for i := range n {
			id := byte(2*i + 1)
			if ac {
				a.answers = append(a.answers, answeredContext{id, ContextResult(rapid.IntRange(0, 4).Draw(t, "result")), drawUID(t, "syntax")})
			} else {
				a.Contexts = append(a.Contexts, ProposedContext{ID: id, AbstractSyntax: drawUID(t, "abstract"), TransferSyntaxes: drawUIDs(t, "transfer", 3)})
			}
		}
		for _, uid := range drawUIDs(t, "roles", 3) {
			a.Roles = append(a.Roles, Role{uid, rapid.Bool().Draw(t, "scu"), rapid.Bool().Draw(t, "scp")})
			a.Extended = append(a.Extended, ExtendedNegotiation{uid, rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "information")})
		}
		if ac {
			a.identityAnswer = rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "answer")
		} else {
			a.UserIdentity = &UserIdentity{2, true, rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "primary"), rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "secondary")}
		}
		b := a.appendTo(nil, ac)
		got := &associate{}
		if err := got.parse(b[6:], ac); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, a) {
			t.Fatalf("read\n%+v\nwrote\n%+v", got, a)
		}
	})
}

func TestCommandRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := command{
			field: rapid.SampledFrom([]uint16{cmdStore, cmdEcho, cmdFind, cmdMove, cmdGet, cmdAction, cmdEvent, cmdStore | cmdResponse, cmdEcho | cmdResponse,
				cmdFind | cmdResponse, cmdMove | cmdResponse, cmdGet | cmdResponse, cmdAction | cmdResponse, cmdEvent | cmdResponse}).Draw(t, "field"),
			class: drawUID(t, "class"), uid: drawUID(t, "uid"), dataSetType: rapid.SampledFrom([]uint16{0, 1, noDataSet}).Draw(t, "type"),
		}
		if c.isResponse() {
			c.respondedTo = rapid.Uint16().Draw(t, "to")
			c.status.Code = rapid.Uint16().Draw(t, "code")
			c.status.ErrorID = rapid.Uint16().Draw(t, "error")
			c.status.Comment = rapid.StringMatching(`([!-Z]([ -Z]{0,62}[!-Z])?)?`).Draw(t, "comment")
		} else {
			c.messageID = rapid.Uint16().Draw(t, "id")
		}
		if c.field == cmdStore {
			c.priority, c.moveAE, c.moveID = rapid.Uint16Range(0, 2).Draw(t, "priority"), "MOVER", rapid.Uint16().Draw(t, "move")
		}
		if c.field == cmdFind || c.field == cmdMove || c.field == cmdGet {
			c.priority = rapid.Uint16Range(0, 2).Draw(t, "priority")
		}
		switch c.field &^ cmdResponse {
		case cmdMove:
			if c.isResponse() {
				c.status.Code = StatusPending
				c.sub = &SubOperations{rapid.Uint16().Draw(t, "remaining"), rapid.Uint16().Draw(t, "completed"), rapid.Uint16().Draw(t, "failed"), rapid.Uint16().Draw(t, "warnings")}
			} else {
				c.destination = rapid.StringMatching(`[!-Z]([ -Z]{0,14}[!-Z])?`).Draw(t, "destination")
			}
		case cmdAction, cmdEvent:
			c.typeID = rapid.Uint16().Draw(t, "type id")
		}
		b := c.appendTo(nil)
		var got command
		if err := parseCommand(b, &got); err != nil || !reflect.DeepEqual(got, c) {
			t.Fatalf("%v\nread  %+v\nwrote %+v", err, got, c)
		}
		if n := int(b[8]) | int(b[9])<<8; n != len(b)-12 {
			t.Fatalf("group length %d of %d", n, len(b))
		}
	})
}

func FuzzAssociateRQ(f *testing.F) {
	f.Add(request(f, options()).appendTo(nil, false)[6:])
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &associate{}
		if a.parse(b, false) != nil {
			return
		}
		if len(a.Contexts) > maxContexts {
			t.Errorf("%d contexts", len(a.Contexts))
		}
		// Whatever was asked for, what is answered can be read.
		as, ac := &Association{}, &associate{version: 1, application: applicationContextUID, called: a.called, calling: a.calling}
		ac.ImplementationClassUID = dicom.ImplementationClassUID
		negotiate(a, &Decision{Negotiate: StoragePolicy{Private: true}.Negotiate, IdentityResponse: []byte{}}, as, ac)
		back := &associate{}
		if err := back.parse(ac.appendTo(nil, true)[6:], true); err != nil {
			t.Errorf("the answer: %v", err)
		}
		if len(back.answers) != len(a.Contexts) {
			t.Errorf("%d answers to %d contexts", len(back.answers), len(a.Contexts))
		}
	})
}

func FuzzAssociateAC(f *testing.F) {
	ac := &associate{version: 1, application: applicationContextUID, answers: []answeredContext{{1, 0, implicitLE}, {3, 4, implicitLE}}, identityAnswer: []byte{}}
	ac.Roles = []Role{{ctImage, true, false}}
	f.Add(ac.appendTo(nil, true)[6:])
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &associate{}
		if a.parse(b, true) == nil && len(a.answers) > maxContexts {
			t.Errorf("%d contexts", len(a.answers))
		}
	})
}

func FuzzCommand(f *testing.F) {
	f.Add(echoRQ)
	f.Add(storeRQ)
	f.Add(set(command{field: cmdStore | cmdResponse, status: Status{Code: 0xA700, Comment: "x", ErrorID: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c command
		if parseCommand(b, &c) != nil {
			return
		}
		if len(c.class) > maxUID || len(c.uid) > maxUID || len(c.moveAE) > 16 || len(c.status.Comment) > MaxComment || len(c.status.Offending) > maxOffending {
			t.Errorf("%+v", c)
		}
		var again command
		if c.field == cmdCancel || c.class == "" && c.uid == "" {
			return
		}
		if err := parseCommand(c.appendTo(nil), &again); err != nil || again.class != c.class || again.uid != c.uid || again.field != c.field {
			t.Errorf("%v: %+v", err, again)
		}
	})
}

// script is a connection whose peer has said everything in advance. It comes in reads of at most step bytes.
type script struct {
	net.Conn
	in   []byte
	step int
	out  bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.in)
	s.in = s.in[n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error)    { return s.out.Write(p) }
func (*script) SetDeadline(time.Time) error      { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }
func (*script) Close() error                     { return nil }

// Whatever a peer sends once the association stands: the server comes to an end, its memory stays in bounds, and reading in one way gives what reading in
// another gives, however the bytes are cut.
func FuzzMessages(f *testing.F) {
	f.Add(bytes.Join([][]byte{pdata(pdv(echoID, 3, echoRQ)), pdata(pdv(storeID, 3, storeRQ), pdv(storeID, 0, []byte{1, 2})), pdata(pdv(storeID, 2, []byte{3, 4, 5})), releaseRQ}, nil), byte(3))
	f.Add(append(pdata(pdv(storeID, 1, storeRQ[:9])), pdata(pdv(storeID, 3, storeRQ[9:]), pdv(storeID, 0, nil), pdv(storeID, 2, nil))...), byte(200))
	f.Fuzz(func(t *testing.T, in []byte, step byte) {
		const longest = 2048
		serve := func(step int, read func(d *DataReader) ([]byte, error)) (all, out []byte, err error) {
			conn := &script{in: in, step: step}
			s := &Server{}
			s.Store = func(_ context.Context, _ *Association, r *StoreRequest) Status {
				b, err := read(r.Data)
				if all = append(all, b...); err != nil {
					return Status{Code: StatusProcessingFailure}
				}
				return Status{}
			}
			a := &Association{w: newWire(conn, longest, time.Second, time.Second, 0), peerMax: longest}
			a.pick = StoragePolicy{}.Negotiate
			a.agree(Context{ID: echoID, AbstractSyntax: VerificationUID, TransferSyntax: implicitLE, SCU: true})
			a.agree(Context{ID: storeID, AbstractSyntax: ctImage, TransferSyntax: explicitLE, SCU: true})
			err = s.serve(t.Context(), a)
			a.w.farewell(err)
			if cap(a.commands) > 2*maxCommand || len(a.w.in) != inBuffer {
				t.Errorf("buffers of %d and %d bytes", cap(a.commands), len(a.w.in))
			}
			return all, conn.out.Bytes(), err
		}
		one, out1, err1 := serve(int(step)+1, func(d *DataReader) ([]byte, error) {
			b, _, err := d.ReadAll(nil, 1<<30)
			if cap(b) > 2*(len(in)+longest)+64 {
				t.Errorf("%d bytes of room for a peer that sent %d", cap(b), len(in))
			}
			return b, err
		})
		two, out2, err2 := serve(1<<20, func(d *DataReader) ([]byte, error) { return io.ReadAll(d) })
		if !bytes.Equal(one, two) || !bytes.Equal(out1, out2) {
			t.Errorf("two ways of reading differ: %d and %d bytes, errors %v and %v", len(one), len(two), err1, err2)
		}
		if err1 != nil && !errors.Is(err1, ErrPeerClosed) {
			if _, ok := errors.AsType[*AbortError](err1); !ok {
				t.Errorf("an end that is neither release, abort nor loss: %v", err1)
			}
		}
	})
}
