package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// qr is a node that answers queries; peers may be sent what they ask for.
func qr(t testing.TB, query func(ctx context.Context, a *Association, op *Operation) Outcome, store func(context.Context, *Association, *StoreRequest) Status) *node {
	return start(t, &Server{Query: query, Store: store, Accept: func(context.Context, *AssociateRequest) (Decision, error) {
		return Decision{
			Roles: func(p *ProposedContext) (bool, bool) { return true, true },
			Negotiate: func(p *ProposedContext) (string, ContextResult) {
				if p.AbstractSyntax == mrImage {
					return "", ContextAbstractSyntaxNotAccepted
				}
				return p.TransferSyntaxes[0], ContextAccepted
			},
		}, nil
	}})
}

func qrOptions() DialOptions {
	o := options(Proposal{StudyRootFindUID, []string{implicitLE}}, Proposal{StudyRootMoveUID, []string{implicitLE}}, Proposal{StudyRootGetUID, []string{explicitLE}},
		Proposal{ctImage, []string{explicitLE}}, Proposal{VerificationUID, []string{implicitLE}})
	o.Roles = []Role{{ctImage, false, true}}
	return o
}

func find(identifier string) *Query {
	return &Query{SOPClassUID: StudyRootFindUID, TransferSyntaxUID: implicitLE, Identifier: []byte(identifier)}
}

// Matches stream; the last word is the final status; the association goes on.
func TestFind(t *testing.T) {
	n := qr(t, func(_ context.Context, _ *Association, op *Operation) Outcome {
		if !op.IsFind() || op.SOPClassUID != StudyRootFindUID || op.TransferSyntaxUID != implicitLE || op.Priority != 1 {
			return Outcome{Status: Status{Code: StatusProcessingFailure}}
		}
		if string(op.Identifier) == "panic!" {
			panic("what was asked")
		}
		for i := range 300 {
			code := uint16(StatusPending)
			if i%2 == 1 {
				code = StatusPendingUnsupported
			}
			if err := op.Match(code, fmt.Appendf(nil, "%s%04d", op.Identifier, i)); err != nil {
				return Outcome{Status: Status{Code: StatusProcessingFailure}}
			}
		}
		return Outcome{}
	}, nil)
	a := dial(t, n, qrOptions())
	for range 3 {
		var got []string
		q := find("asked ")
		q.Priority = 1
		done, err := a.Find(t.Context(), q, func(st Status, id []byte) bool {
			if (st.Code == StatusPendingUnsupported) != (len(got)%2 == 1) || !st.Pending() {
				t.Errorf("match %d: %v", len(got), st)
			}
			got = append(got, string(id))
			return true
		})
		if err != nil || !done.Status.Success() || len(got) != 300 || got[299] != "asked 0299" {
			t.Fatalf("%v %v: %d matches", done, err, len(got))
		}
	}
	if done, err := a.Find(t.Context(), &Query{SOPClassUID: StudyRootFindUID, TransferSyntaxUID: implicitLE, Priority: 1, Identifier: []byte("panic!")}, nil); err != nil || done.Status.Code != StatusProcessingFailure {
		t.Errorf("panic: %v %v", done, err)
	}
	if st, err := a.Echo(t.Context()); err != nil || !st.Success() {
		t.Errorf("echo: %v %v", st, err)
	}
	if s := a.Stats(); s.Queries != 3 || s.Matches != 900 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := a.Find(t.Context(), &Query{SOPClassUID: PatientRootFindUID, TransferSyntaxUID: implicitLE}, nil); !errors.Is(err, ErrNoContext) {
		t.Errorf("a class that was not agreed on: %v", err)
	}
}

// Whoever cancels is heard while matches stream, and the association goes on. Without C-CANCEL being read this test does not end.
func TestCancel(t *testing.T) {
	var heard atomic.Int64
	n := qr(t, func(ctx context.Context, _ *Association, op *Operation) Outcome {
		for {
			err := op.Match(StatusPending, []byte("match."))
			if errors.Is(err, ErrCanceled) {
				break
			}
			if err != nil {
				return Outcome{Status: Status{Code: StatusProcessingFailure}}
			}
		}
		if op.Canceled() && errors.Is(context.Cause(ctx), ErrCanceled) {
			heard.Add(1)
		}
		return Outcome{Status: Status{Code: StatusCancel}}
	}, nil)
	a := dial(t, n, qrOptions())
	for i := range 3 {
		seen := 0
		done, err := a.Find(t.Context(), find(""), func(Status, []byte) bool { seen++; return seen < 5 })
		if err != nil || done.Status.Code != StatusCancel || seen != 5 {
			t.Fatalf("%d: %v %v after %d", i, done, err, seen)
		}
	}
	if heard.Load() != 3 {
		t.Errorf("heard %d times", heard.Load())
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A handler that waits hears of a cancellation, and of a peer that has gone.
func TestHandlerHears(t *testing.T) {
	ended := make(chan error, 2)
	began := make(chan bool, 2)
	n := qr(t, func(ctx context.Context, _ *Association, op *Operation) Outcome {
		began <- true
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return Outcome{Status: Status{Code: StatusCancel}, Sub: &SubOperations{Remaining: 7}}
	}, nil)
	r := open(t, n)
	_, _ = r.Write(request(t, qrOptions()).appendTo(nil, false))
	r.pdu()
	rq := command{field: cmdMove, messageID: 7, class: StudyRootMoveUID, destination: "THERE"}
	_, _ = r.Write(pdata(pdv(3, 3, set(rq)), pdv(3, 2, []byte("ab"))))
	<-began
	_, _ = r.Write(pdata(pdv(3, 3, set(command{field: cmdCancel, respondedTo: 8, dataSetType: noDataSet})))) // of something else
	_, _ = r.Write(pdata(pdv(3, 3, set(command{field: cmdCancel, respondedTo: 7, dataSetType: noDataSet}))))
	if err := <-ended; !errors.Is(err, ErrCanceled) {
		t.Errorf("canceled: %v", err)
	}
	var rsp command
	if err := parseCommand(r.pdu()[12:], &rsp); err != nil || rsp.status.Code != StatusCancel || rsp.sub == nil || rsp.sub.Remaining != 7 {
		t.Errorf("%v %+v", err, rsp)
	}
	_, _ = r.Write(pdata(pdv(3, 3, set(rq)), pdv(3, 2, []byte("ab"))))
	<-began
	r.Close()
	if err := <-ended; !errors.Is(err, ErrPeerClosed) {
		t.Errorf("gone: %v", err)
	}
	if err := <-n.ended; !errors.Is(err, ErrPeerClosed) {
		t.Errorf("the association: %v", err)
	}
}

// What a peer may not do while its query is answered.
func TestOperationMeetsViolations(t *testing.T) {
	user := abortPDU(AbortByUser, 0)
	findRQ := set(command{field: cmdFind, messageID: 1, class: StudyRootFindUID})
	for _, c := range []struct {
		name       string
		send, want []byte
	}{
		{"another query", pdata(pdv(1, 3, findRQ)), user},
		{"an echo", pdata(pdv(9, 3, set(command{field: cmdEcho, messageID: 2, class: VerificationUID, dataSetType: noDataSet}))), user},
		{"release", releaseRQ, user},
		{"a data set", pdata(pdv(1, 2, []byte("ab"))), abortPDU(AbortByProvider, AbortUnexpectedParameter)},
		{"4 GiB", []byte{pduData, 0, 0xFF, 0xFF, 0xFF, 0xFF}, abortPDU(AbortByProvider, AbortInvalidParameter)},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), abortPDU(AbortByProvider, AbortUnrecognizedPDU)},
	} {
		began := make(chan bool, 1)
		n := qr(t, func(ctx context.Context, _ *Association, op *Operation) Outcome {
			began <- true
			<-ctx.Done()
			return Outcome{}
		}, nil)
		r := open(t, n)
		_, _ = r.Write(request(t, qrOptions()).appendTo(nil, false))
		r.pdu()
		_, _ = r.Write(pdata(pdv(1, 3, findRQ), pdv(1, 2, []byte("ab"))))
		<-began
		_, _ = r.Write(c.send)
		if got := r.pdu(); !bytes.Equal(got, c.want) {
			t.Errorf("%s: % x, want % x", c.name, got, c.want)
		}
		if err := <-n.ended; err == nil {
			t.Errorf("%s: ended well", c.name)
		}
	}
}

// Instances come on the association of a C-GET, and only where this side said that it takes them.
func TestGet(t *testing.T) {
	big := payload(700_000)
	n := qr(t, func(_ context.Context, _ *Association, op *Operation) Outcome {
		if !op.IsGet() {
			return Outcome{Status: Status{Code: StatusProcessingFailure}}
		}
		s := SubOperations{Remaining: 3}
		for i, class := range []string{ctImage, mrImage, ctImage} {
			st, err := op.Store(&Instance{SOPClassUID: class, SOPInstanceUID: fmt.Sprint("1.2.", i), TransferSyntaxUID: explicitLE, Bytes: big})
			if errors.Is(err, ErrCanceled) {
				return Outcome{Status: Status{Code: StatusCancel}, Sub: &s}
			}
			s.Remaining--
			switch {
			case errors.Is(err, ErrNoContext):
				s.Failed++
			case err != nil:
				return Outcome{Status: Status{Code: StatusProcessingFailure}}
			case st.Success():
				s.Completed++
			case st.Warning():
				s.Warnings++
			default:
				s.Failed++
			}
			if err := op.Progress(s); err != nil && !errors.Is(err, ErrCanceled) {
				return Outcome{Status: Status{Code: StatusProcessingFailure}}
			}
		}
		if op.Canceled() {
			return Outcome{Status: Status{Code: StatusCancel}, Sub: &s}
		}
		return Outcome{Status: Status{Code: StatusSubOperations}, Sub: &s, Identifier: []byte("failed")}
	}, func(context.Context, *Association, *StoreRequest) Status { return Status{} })
	a := dial(t, n, qrOptions())
	if c, ok := a.ContextOf(ctImage); !ok || c.SCU || !c.SCP {
		t.Fatalf("roles: %+v", c)
	}
	q := &Query{SOPClassUID: StudyRootGetUID, TransferSyntaxUID: explicitLE, Identifier: []byte("ab")}
	got, said := 0, 0
	done, err := a.Get(t.Context(), q, func(r *StoreRequest) Status {
		b, whole, err := r.Data.ReadAll(nil, 1<<20)
		if err != nil || !whole || !bytes.Equal(b, big) {
			t.Errorf("%s: %d bytes, %v", r.SOPInstanceUID, len(b), err)
		}
		got++
		if got == 2 {
			return Status{Code: StatusElementsDiscarded}
		}
		return Status{}
	}, func(SubOperations) bool { said++; return true })
	want := SubOperations{Completed: 1, Failed: 1, Warnings: 1}
	if err != nil || done.Status.Code != StatusSubOperations || done.Sub != want || string(done.Identifier) != "failed" || got != 2 || said != 3 {
		t.Errorf("%+v %v: %d came, %d times told", done, err, got, said)
	}
	// What is not read is read away, and cancelling is heard between instances.
	done, err = a.Get(t.Context(), q, func(*StoreRequest) Status { return Status{} }, func(SubOperations) bool { return false })
	if err != nil || done.Status.Code != StatusCancel {
		t.Errorf("canceled: %+v %v", done, err)
	}
	// A requestor that takes a class does not send it.
	if _, err := a.Store(t.Context(), &Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: big}); !errors.Is(err, ErrNoContext) {
		t.Errorf("stored as SCP: %v", err)
	}
	if st, err := a.Echo(t.Context()); err != nil || !st.Success() {
		t.Errorf("echo: %v %v", st, err)
	}
}

// What a query lacks is told, and costs the association nothing.
func TestQueriesThatLackSomething(t *testing.T) {
	n := qr(t, func(context.Context, *Association, *Operation) Outcome { return Outcome{} }, nil)
	r := open(t, n)
	_, _ = r.Write(request(t, qrOptions()).appendTo(nil, false))
	r.pdu()
	for _, c := range []struct {
		name string
		rq   command
		data []byte
		want uint16
	}{
		{"no identifier", command{field: cmdFind, class: StudyRootFindUID, dataSetType: noDataSet}, nil, StatusMistypedArgument},
		{"another class", command{field: cmdFind, class: PatientRootFindUID}, []byte("ab"), StatusSOPClassNotSupported},
		{"no destination", command{field: cmdMove, class: StudyRootFindUID}, []byte("ab"), StatusUnknownDestination},
		{"a long identifier", command{field: cmdFind, class: StudyRootFindUID}, make([]byte, maxIdentifier+2), StatusOutOfResources},
		{"nothing amiss", command{field: cmdFind, class: StudyRootFindUID}, []byte("ab"), StatusSuccess},
	} {
		c.rq.messageID = 5
		out := appendData(nil, 1, controlCommand, set(c.rq), 100_000)
		if c.data != nil {
			out = appendData(out, 1, 0, c.data, 100_000)
		}
		_, _ = r.Write(out)
		var rsp command
		if err := parseCommand(r.pdu()[12:], &rsp); err != nil || rsp.status.Code != c.want || rsp.field != c.rq.field|cmdResponse || rsp.respondedTo != 5 {
			t.Errorf("%s: %v %+v", c.name, err, rsp)
		}
	}
}

// Whatever a peer says while and after its query: the server comes to an end in bounds.
func FuzzQueries(f *testing.F) {
	findRQ := set(command{field: cmdFind, messageID: 1, class: StudyRootFindUID})
	cancelRQ := pdata(pdv(1, 3, set(command{field: cmdCancel, respondedTo: 1, dataSetType: noDataSet})))
	storeRSP := pdata(pdv(7, 3, set(command{field: cmdStore | cmdResponse, respondedTo: 1, dataSetType: noDataSet})))
	f.Add(bytes.Join([][]byte{pdata(pdv(1, 3, findRQ), pdv(1, 2, []byte("abcd"))), cancelRQ, releaseRQ}, nil), byte(3))
	f.Add(bytes.Join([][]byte{pdata(pdv(5, 3, set(command{field: cmdGet, messageID: 1, class: StudyRootGetUID})), pdv(5, 2, []byte("abcd"))), storeRSP, cancelRQ, storeRSP, releaseRQ}, nil), byte(200))
	f.Add(bytes.Join([][]byte{pdata(pdv(3, 3, set(command{field: cmdMove, messageID: 1, class: StudyRootMoveUID, destination: "THERE"})), pdv(3, 2, nil)), releaseRQ}, nil), byte(9))
	f.Fuzz(func(t *testing.T, in []byte, step byte) {
		conn := &script{in: in, step: int(step) + 1}
		s := &Server{Query: func(_ context.Context, _ *Association, op *Operation) Outcome {
			if len(op.Identifier) > maxIdentifier {
				t.Errorf("an identifier of %d bytes", len(op.Identifier))
			}
			for range 3 {
				if op.IsGet() {
					_, _ = op.Store(&Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2", TransferSyntaxUID: explicitLE, Bytes: []byte("ab")})
				} else {
					_ = op.Match(StatusPending, []byte("ab"))
				}
			}
			return Outcome{Sub: &SubOperations{}}
		}}
		a := &Association{w: newWire(conn, 2048, time.Second, time.Second, 0), peerMax: 2048}
		a.pick = StoragePolicy{}.Negotiate
		for i, class := range []string{StudyRootFindUID, StudyRootMoveUID, StudyRootGetUID, ctImage} {
			a.agree(Context{ID: byte(2*i + 1), AbstractSyntax: class, TransferSyntax: explicitLE, SCU: true, SCP: class == ctImage})
		}
		err := s.serve(t.Context(), a)
		a.w.farewell(err)
		if err != nil && !errors.Is(err, ErrPeerClosed) {
			if _, ok := errors.AsType[*AbortError](err); !ok {
				t.Errorf("an end that is neither release, abort nor loss: %v", err)
			}
		}
	})
}
