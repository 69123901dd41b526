package network

import (
	"context"
	"errors"
	"testing"
)

// A report comes behind the answer to its N-ACTION, or its handler is told that it did not arrive; and it goes on an association of the other side.
func TestActionAndReport(t *testing.T) {
	done := make(chan error, 4)
	got := make(chan *EventReport, 1)
	n := start(t, &Server{
		Accept: func(context.Context, *AssociateRequest) (Decision, error) {
			return Decision{Roles: func(*ProposedContext) (bool, bool) { return true, true }, Negotiate: func(p *ProposedContext) (string, ContextResult) { return p.TransferSyntaxes[0], ContextAccepted }}, nil
		},
		Action: func(_ context.Context, _ *Association, r *ActionRequest) (Status, *Report) {
			if r.ActionTypeID != 1 || r.SOPInstanceUID != StorageCommitmentInstanceUID || string(r.Information) != "ask!" {
				return Status{Code: StatusNoSuchAction}, nil
			}
			return Status{}, &Report{EventReport{SOPClassUID: r.SOPClassUID, SOPInstanceUID: r.SOPInstanceUID, EventTypeID: 2, Information: []byte("told")}, func(err error) { done <- err }}
		},
		Event: func(_ context.Context, _ *Association, r *EventReport) Status { got <- r; return Status{} },
	})
	ask := &ActionRequest{SOPClassUID: StorageCommitmentUID, SOPInstanceUID: StorageCommitmentInstanceUID, ActionTypeID: 1, TransferSyntaxUID: implicitLE, Information: []byte("ask!")}
	contexts := options(Proposal{StorageCommitmentUID, []string{implicitLE}}, Proposal{VerificationUID, []string{implicitLE}})
	a := dial(t, n, contexts)
	if st, err := a.Action(t.Context(), ask); err != nil || !st.Success() {
		t.Fatal(st, err)
	}
	err := a.AwaitReport(t.Context(), func(r *EventReport) Status {
		if r.EventTypeID != 2 || string(r.Information) != "told" || r.SOPInstanceUID != StorageCommitmentInstanceUID {
			t.Errorf("%+v", r)
		}
		return Status{}
	})
	if err != nil || <-done != nil {
		t.Error(err)
	}
	if st, err := a.Echo(t.Context()); err != nil || !st.Success() {
		t.Errorf("echo: %v %v", st, err)
	}
	// Refused, and unanswered.
	if _, err := a.Action(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	if err := a.AwaitReport(t.Context(), func(*EventReport) Status { return Status{Code: StatusProcessingFailure} }); err != nil || !errors.Is(<-done, errReportRefused) {
		t.Error(err)
	}
	if st, err := a.Action(t.Context(), &ActionRequest{SOPClassUID: StorageCommitmentUID, SOPInstanceUID: "1.2", ActionTypeID: 7, TransferSyntaxUID: implicitLE}); err != nil || st.Code != StatusNoSuchAction {
		t.Errorf("%v %v", st, err)
	}
	if _, err := a.Action(t.Context(), ask); err != nil {
		t.Fatal(err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a report that nobody took was taken")
	}
	contexts.Roles = []Role{{StorageCommitmentUID, false, true}}
	b := dial(t, n, contexts)
	if st, err := b.Report(t.Context(), &EventReport{SOPClassUID: StorageCommitmentUID, SOPInstanceUID: StorageCommitmentInstanceUID, EventTypeID: 1, TransferSyntaxUID: implicitLE, Information: []byte("told")}); err != nil || !st.Success() {
		t.Fatal(st, err)
	}
	if r := <-got; string(r.Information) != "told" || r.EventTypeID != 1 {
		t.Errorf("%+v", r)
	}
	if st, err := b.Action(t.Context(), ask); err != nil || st.Code != StatusNoSuchClass {
		t.Errorf("an SCP asks: %v %v", st, err)
	}
}
