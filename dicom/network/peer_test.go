package network

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// acceptor runs one scripted acceptor and returns its address. What the requestor says last is on the channel when it has closed.
func acceptor(t *testing.T, play func(r *raw)) (addr string, rest chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rest = make(chan []byte, 1)
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			rest <- nil
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		play(&raw{t, c})
		b, _ := io.ReadAll(c)
		rest <- b
	}()
	return l.Addr().String(), rest
}

// answer is an A-ASSOCIATE-AC to options().
func answer(change func(ac *associate)) []byte {
	ac := &associate{version: 1, application: applicationContextUID, answers: []answeredContext{{echoID, 0, implicitLE}, {storeID, 0, explicitLE}}}
	ac.MaxPDU, ac.ImplementationClassUID = 16<<10, "1.2.3"
	if change != nil {
		change(ac)
	}
	return ac.appendTo(nil, true)
}

func abortPDU(source, reason byte) []byte {
	return []byte{pduAbort, 0, 0, 0, 0, 4, 0, 0, source, reason}
}

// An acceptor that breaks the protocol while the association is being opened is told so.
func TestDialMeetsViolations(t *testing.T) {
	invalid := abortPDU(AbortByProvider, AbortInvalidParameter)
	for _, c := range []struct {
		name       string
		send, want []byte
	}{
		{"context that was not proposed", answer(func(ac *associate) { ac.answers[1].id = 9 }), invalid},
		{"even context", answer(func(ac *associate) { ac.answers[1].id = 2 }), invalid},
		{"context twice", answer(func(ac *associate) { ac.answers[1].id = echoID }), invalid},
		{"syntax that was not proposed", answer(func(ac *associate) { ac.answers[1].syntax = implicitLE }), invalid},
		{"no application context", answer(func(ac *associate) { ac.application = "" }), invalid},
		{"tiny PDUs", answer(func(ac *associate) { ac.MaxPDU = 8 }), invalid},
		{"4 GiB", []byte{pduAssociateAC, 0, 0xFF, 0xFF, 0xFF, 0xFF}, invalid},
		{"long rejection", []byte{pduAssociateRJ, 0, 0, 0, 0, 5, 0, 1, 1, 1, 1}, invalid},
		{"request", []byte{pduAssociateRQ, 0, 0, 0, 1, 0}, abortPDU(AbortByProvider, AbortUnexpectedPDU)},
		{"release", releaseRQ, abortPDU(AbortByProvider, AbortUnexpectedPDU)},
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), abortPDU(AbortByProvider, AbortUnrecognizedPDU)},
	} {
		addr, rest := acceptor(t, func(r *raw) { r.pdu(); _, _ = r.Write(c.send) })
		_, err := Dial(t.Context(), addr, options())
		if a, ok := errors.AsType[*AbortError](err); !ok || a.ByPeer {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := <-rest; !bytes.Equal(got, c.want) {
			t.Errorf("%s: said % x, want % x", c.name, got, c.want)
		}
	}
	addr, rest := acceptor(t, func(r *raw) { r.pdu(); _, _ = r.Write(abortPDU(2, 1)) })
	_, err := Dial(t.Context(), addr, options())
	if a, ok := errors.AsType[*AbortError](err); !ok || !a.ByPeer || a.Source != 2 || a.Reason != 1 {
		t.Errorf("abort: %v", err)
	}
	if got := <-rest; len(got) != 0 {
		t.Errorf("an abort was answered: % x", got)
	}
}

// What an acceptor may answer to a message, and what not.
func TestExchangeMeetsViolations(t *testing.T) {
	rsp := func(f func(c *command)) []byte {
		c := command{field: cmdEcho | cmdResponse, respondedTo: 1, dataSetType: noDataSet, class: VerificationUID}
		f(&c)
		return pdata(pdv(echoID, 3, set(c)))
	}
	user := abortPDU(AbortByUser, 0)
	for _, c := range []struct {
		name       string
		send, want []byte
		good       bool
	}{
		{"success", rsp(func(*command) {}), user, true}, // the test's own Abort
		{"a data set with it", append(rsp(func(c *command) { c.dataSetType = 1 }), pdata(pdv(echoID, 2, []byte{1, 2}))...), user, true},
		{"another message's", rsp(func(c *command) { c.respondedTo = 2 }), user, false},
		{"another command's", rsp(func(c *command) { c.field = cmdStore | cmdResponse }), user, false},
		{"a request", rsp(func(c *command) { c.field = cmdEcho }), user, false},
		{"in another context", pdata(pdv(storeID, 3, set(command{field: cmdEcho | cmdResponse, respondedTo: 1, dataSetType: noDataSet}))), user, false},
		{"in a context not agreed", pdata(pdv(9, 3, echoRQ)), abortPDU(AbortByProvider, AbortInvalidParameter), false},
		{"4 GiB", []byte{pduData, 0, 0xFF, 0xFF, 0xFF, 0xFF}, abortPDU(AbortByProvider, AbortInvalidParameter), false},
		{"release instead", releaseRQ, []byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0}, false},
	} {
		addr, rest := acceptor(t, func(r *raw) {
			r.pdu()
			_, _ = r.Write(answer(nil))
			r.pdu()
			_, _ = r.Write(c.send)
		})
		a, err := Dial(t.Context(), addr, options())
		if err != nil {
			t.Fatal(err)
		}
		st, err := a.Echo(t.Context())
		if good := err == nil && st.Success(); good != c.good {
			t.Errorf("%s: %v, %v", c.name, st, err)
		}
		if again, err2 := a.Echo(canceled(t)); err2 == nil || err != nil && !errors.Is(err2, err) {
			t.Errorf("%s, afterwards: %v, %v", c.name, again, err2)
		}
		a.Abort()
		if got := <-rest; !bytes.Equal(got, c.want) {
			t.Errorf("%s: said % x, want % x", c.name, got, c.want)
		}
	}
}

// An acceptor that stops reading in the middle of a data set and aborts is understood, though its end of the connection is gone.
func TestAbortWhileSending(t *testing.T) {
	addr, rest := acceptor(t, func(r *raw) {
		r.pdu()
		_, _ = r.Write(answer(nil))
		r.pdu()
		_, _ = r.Write(abortPDU(0, 0))
	})
	a, err := Dial(t.Context(), addr, options())
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: make([]byte, 1<<20)})
	if ae, ok := errors.AsType[*AbortError](err); !ok || !ae.ByPeer {
		t.Errorf("store: %v", err)
	}
	<-rest
}

// Both sides ask for release at once (PS3.8 9.2, Sta9), while data is still under way.
func TestReleaseCollision(t *testing.T) {
	rp := []byte{pduReleaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0}
	addr, rest := acceptor(t, func(r *raw) {
		r.pdu()
		_, _ = r.Write(answer(nil))
		if p := r.pdu(); !bytes.Equal(p, releaseRQ) {
			t.Errorf("% x", p)
		}
		_, _ = r.Write(append(pdata(pdv(echoID, 3, echoRQ)), releaseRQ...))
		if p := r.pdu(); !bytes.Equal(p, rp) {
			t.Errorf("% x", p)
		}
		_, _ = r.Write(rp)
	})
	a, err := Dial(t.Context(), addr, options())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if got := <-rest; len(got) != 0 {
		t.Errorf("said % x", got)
	}
}
