package dimse_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// commitment asks for a transaction of UIDs.
func commitment(t testing.TB, transaction string, uids ...string) *network.ActionRequest {
	t.Helper()
	b := dicom.NewBuilder(dicom.ImplicitVRLittleEndian)
	b.String(dicom.TagTransactionUID, transaction)
	var items []func(*dicom.Builder)
	for _, u := range uids {
		class := ctClass
		if v, ok := strings.CutPrefix(u, "MR "); ok {
			class, u = mrClass, v
		}
		items = append(items, func(item *dicom.Builder) {
			item.String(dicom.TagReferencedSOPClassUID, class)
			item.String(dicom.TagReferencedSOPInstanceUID, u)
		})
	}
	b.Sequence(dicom.TagReferencedSOPSequence, items...)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return &network.ActionRequest{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: network.StorageCommitmentInstanceUID, ActionTypeID: 1, TransferSyntaxUID: implicitLE, Information: d.Bytes()}
}

// told is a report as text: the event, the transaction, what is kept, what is not and why.
func told(t testing.TB, r *network.EventReport) string {
	t.Helper()
	ts, _ := dicom.LookupTransferSyntax(r.TransferSyntaxUID)
	d, err := dicom.ParseDataset(r.Information, ts, dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := []string{string('0' + byte(r.EventTypeID)), d.UID(dicom.TagTransactionUID)}
	for _, tag := range []dicom.Tag{dicom.TagReferencedSOPSequence, dicom.TagFailedSOPSequence} {
		if i := d.Find(tag); i >= 0 {
			for item := range d.Children(i) {
				v := d.StringIn(item, dicom.TagReferencedSOPInstanceUID)
				if k := d.FindIn(item, dicom.TagFailureReason); k >= 0 {
					v += map[int64]string{0x112: "-absent", 0x119: "-class"}[d.Ints(k)[0]]
				}
				s = append(s, v)
			}
		}
	}
	return strings.Join(s, " ")
}

// A peer is told of what it stored itself, by its own UIDs though others are kept: on the same association, or on one to its registered address, tried until it is taken.
func TestStorageCommitment(t *testing.T) {
	each(t, func(x *rig) { testCommitment(x) })
}

func testCommitment(x *rig) {
	reports := make(chan string, 4)
	var refuse = true
	s := &network.Server{
		Accept: func(context.Context, *network.AssociateRequest) (network.Decision, error) {
			return network.Decision{Roles: func(*network.ProposedContext) (bool, bool) { return false, true }, Negotiate: func(p *network.ProposedContext) (string, network.ContextResult) {
				return p.TransferSyntaxes[0], network.ContextAccepted
			}}, nil
		},
		Event: func(_ context.Context, a *network.Association, r *network.EventReport) network.Status {
			if refuse {
				refuse = false
				return network.Status{Code: network.StatusProcessingFailure}
			}
			reports <- told(x, r) + " from " + a.CallingAE()
			return network.Status{}
		},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		x.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	x.Cleanup(func() { cancel(); <-ended })
	x.peer("MODALITY", l.Addr().(*net.TCPAddr).Port, identity.MayStore, "*")
	x.peer("NEIGHBOUR", 1, identity.MayStore, "*")
	dial := func(calling string) *network.Association {
		return x.dial(calling, "VITRINE", implicitLE, func(o *network.DialOptions) {
			o.Contexts = []network.Proposal{{AbstractSyntax: network.StorageCommitmentUID, TransferSyntaxes: []string{implicitLE}}, {AbstractSyntax: ctClass, TransferSyntaxes: []string{explicitLE}}}
		})
	}
	a := dial("MODALITY")
	in := image(x, dicom.ExplicitVRLittleEndian, "A", "1.2.840.1.1", "1.2.840.1.1.1", "1.2.840.1.1.1.1")
	if st, err := a.Store(x.Context(), in); err != nil || !st.Done() {
		x.Fatal(st, err)
	}
	ask := func(a *network.Association, r *network.ActionRequest) uint16 {
		x.Helper()
		st, err := a.Action(x.Context(), r)
		if err != nil {
			x.Fatal(err)
		}
		return st.Code
	}
	here := func(a *network.Association) (s string) {
		x.Helper()
		if err := a.AwaitReport(x.Context(), func(r *network.EventReport) network.Status { s = told(x, r); return network.Status{} }); err != nil {
			x.Fatal(err)
		}
		return s
	}
	if code := ask(a, commitment(x, "1.9.1", in.SOPInstanceUID)); code != 0 {
		x.Fatalf("%04X", code)
	}
	if got := here(a); got != "1 1.9.1 "+in.SOPInstanceUID {
		x.Errorf("told: %s", got)
	}
	ask(a, commitment(x, "1.9.2", in.SOPInstanceUID, "1.2.840.9", "MR "+in.SOPInstanceUID))
	if got := here(a); got != "2 1.9.2 "+in.SOPInstanceUID+" 1.2.840.9-absent "+in.SOPInstanceUID+"-class" {
		x.Errorf("told: %s", got)
	}
	// What another stored is not told of.
	b := dial("NEIGHBOUR")
	ask(b, commitment(x, "1.9.3", in.SOPInstanceUID))
	if got := here(b); got != "2 1.9.3 "+in.SOPInstanceUID+"-absent" {
		x.Errorf("told a neighbour: %s", got)
	}
	for _, r := range []*network.ActionRequest{{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: "1.2", ActionTypeID: 1, TransferSyntaxUID: implicitLE},
		{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: network.StorageCommitmentInstanceUID, ActionTypeID: 2, TransferSyntaxUID: implicitLE},
		{SOPClassUID: network.StorageCommitmentUID, SOPInstanceUID: network.StorageCommitmentInstanceUID, ActionTypeID: 1, TransferSyntaxUID: implicitLE, Information: []byte("no data set.")}} {
		if code := ask(b, r); code == 0 {
			x.Errorf("%+v was taken", r)
		}
	}
	// Who leaves is called, again if need be.
	ask(a, commitment(x, "1.9.4", in.SOPInstanceUID))
	if err := a.Release(x.Context()); err != nil {
		x.Fatal(err)
	}
	select {
	case got := <-reports:
		if got != "1 1.9.4 "+in.SOPInstanceUID+" from VITRINE" {
			x.Errorf("called: %s", got)
		}
	case <-time.After(20 * time.Second):
		x.Fatal("nobody called")
	}
	// Who is not registered is not agreed with, though a demonstration takes what it stores.
	c := dial("NOBODY")
	if _, ok := c.ContextOf(network.StorageCommitmentUID); ok {
		x.Error("a stranger was agreed with")
	}
	// Nothing that waits names an instance in clear.
	rows, err := x.n.Stores.DB.Query(x.Context(), `SELECT payload FROM job`)
	if err != nil {
		x.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p []byte
		if err := rows.Scan(&p); err != nil {
			x.Fatal(err)
		}
		if strings.Contains(string(p), in.SOPInstanceUID) {
			x.Error("a job names an instance")
		}
	}
}
