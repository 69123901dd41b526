package dimse_test

import (
	"errors"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/door/dimse"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// One peer's associations, transfers and pace are bounded, and another's do not suffer.
func TestLimitsOfAPeer(t *testing.T) {
	x := start(t, "", func(c *node.Config) { c.PeerLimits = dimse.Limits{Associations: 2, Transfers: 1, Queries: 10} })
	x.archive()
	x.publish(kept)
	x.peer("OTHERPEER", 104, identity.MayFind, "*")
	a, b := x.dial("ALL", "KEPT", implicitLE, getRoles([]string{ctClass, mrClass}, explicitLE)), x.dial("ALL", "KEPT", implicitLE, getRoles([]string{ctClass, mrClass}, explicitLE))
	o := network.DialOptions{CallingAE: "ALL", CalledAE: "KEPT", Contexts: []network.Proposal{{AbstractSyntax: network.StudyRootFindUID, TransferSyntaxes: []string{implicitLE}}}}
	_, err := network.Dial(t.Context(), x.n.DICOMAddr(), o)
	if r, ok := errors.AsType[*network.Rejection](err); !ok || r.Result != network.RejectTransient || r.Reason != network.RejectLimit {
		t.Errorf("a third association: %v", err)
	}
	x.dial("OTHERPEER", "KEPT", implicitLE)
	q := func() *network.Query {
		return &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: implicitLE, Identifier: identifier(t, implicitLE, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1")}
	}
	tried := false
	done, err := a.Get(t.Context(), q(), func(*network.StoreRequest) network.Status {
		if !tried { // while this one runs
			tried = true
			done, err := b.Get(t.Context(), q(), func(*network.StoreRequest) network.Status { return network.Status{} }, nil)
			if err != nil || done.Status.Code != network.StatusCannotPerform {
				t.Errorf("a second transfer: %+v %v", done, err)
			}
		}
		return network.Status{}
	}, nil)
	if err != nil || !done.Status.Success() || !tried {
		t.Fatalf("%+v %v", done, err)
	}
	if done, err := b.Get(t.Context(), q(), func(*network.StoreRequest) network.Status { return network.Status{} }, nil); err != nil || !done.Status.Success() {
		t.Errorf("afterwards: %+v %v", done, err)
	}
	began := time.Now()
	for range 25 { // 20 at once, the others at their pace
		x.find(b, network.StudyRootFindUID, implicitLE, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1")
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("25 queries took %v", took)
	}
	// Limits of its own go before the node's, from the next association on.
	if _, err := x.n.Stores.Desk().LimitPeer(t.Context(), admin.Operator("test"), "ALL", identity.PeerLimits{Associations: 3, Queries: 100_000}); err != nil {
		t.Fatal(err)
	}
	x.until("one more is let in", func() bool {
		c, err := network.Dial(t.Context(), x.n.DICOMAddr(), o)
		if err == nil {
			t.Cleanup(func() { c.Abort() })
		}
		return err == nil
	})
	if _, err := network.Dial(t.Context(), x.n.DICOMAddr(), o); err == nil {
		t.Error("a fourth association")
	}
	began = time.Now()
	for range 25 {
		x.find(b, network.StudyRootFindUID, implicitLE, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=1.2.1")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("25 queries took %v at the pace of its own", took)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.until("let in again", func() bool {
		c, err := network.Dial(t.Context(), x.n.DICOMAddr(), o)
		if err == nil {
			err = c.Release(t.Context())
		}
		return err == nil
	})
}
