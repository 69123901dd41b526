package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	pullflow "github.com/vitrine-imaging/vitrine/internal/flow/pull"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/forwarding"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/pull"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

const ctClass = "1.2.840.10008.5.1.4.1.1.2"

// slice is a small CT image; more may change it. Its Patient ID is P and the study's number.
func slice(t testing.TB, ts *dicom.TransferSyntax, study, image int, more ...func(*dicom.Builder)) *instance {
	t.Helper()
	i := &instance{class: ctClass, syntax: ts.UID, study: fmt.Sprintf("2.25.8%04d", study), image: fmt.Sprintf("P%04d", study)}
	i.series, i.sop = i.study+".1", fmt.Sprintf("%s.1.%d", i.study, image)
	i.name = i.sop
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
	for tag, v := range map[dicom.Tag]string{dicom.TagSOPClassUID: i.class, dicom.TagSOPInstanceUID: i.sop, dicom.TagStudyInstanceUID: i.study, dicom.TagSeriesInstanceUID: i.series,
		dicom.TagPatientID: i.image, dicom.TagPatientName: "Ångström^Test", dicom.TagStudyDate: "20240102", dicom.TagStudyTime: "101112", dicom.TagAccessionNumber: fmt.Sprintf("ACC%04d", study), dicom.TagModality: "CT",
		dicom.TagManufacturer: "Maker", dicom.TagPhotometricInterpretation: "MONOCHROME2", dicom.TagStudyDescription: "Chest", dicom.TagImageType: `ORIGINAL\PRIMARY\AXIAL`} {
		b.String(tag, strings.Split(v, `\`)...)
	}
	for tag, v := range map[dicom.Tag]int{dicom.TagInstanceNumber: image, dicom.TagSeriesNumber: 1, dicom.TagSamplesPerPixel: 1, dicom.TagRows: 4, dicom.TagColumns: 4, dicom.TagBitsAllocated: 16, dicom.TagBitsStored: 16, dicom.TagHighBit: 15,
		dicom.TagPixelRepresentation: 0} {
		b.Ints(tag, v)
	}
	b.Raw(dicom.TagPixelData, dicom.VROW, []byte("0123456789abcdef0123456789ABCDEF"))
	for _, f := range more {
		f(b)
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	i.data = d.Bytes()
	return i
}

// rle makes its pixels a frame by RLE (PS3.5 G.2).
func rle(t testing.TB, study, image int) *instance {
	ts, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.5")
	frame := make([]byte, 64)
	frame[0], frame[4], frame[8] = 2, 64, 64+18
	for _, plane := range []string{"aBcDeFgHiJkLmNoP", "0123456789ABCDEF"} {
		frame = append(append(append(frame, 15), plane...), 0)
	}
	return slice(t, ts, study, image, func(b *dicom.Builder) { b.Fragments(dicom.TagPixelData, nil, frame) })
}

// pulling makes a second collection, which is cleaned, and into which images are pulled.
func (x *rig) pulling() {
	x.Helper()
	x.write(func(tx *db.Tx) error {
		return x.n.Stores.Collections.Create(tx, collection.Collection{ID: "pulled", Title: "Pulled", Profile: "research", ProfileVersion: "1", AETitle: "PULLED"})
	})
}

// pull has the collection collect from an archive, and waits until it has ended.
func (x *rig) pull(w pullflow.Wish) pullflow.View {
	x.Helper()
	who := admin.Caller{Actor: "ada", Grants: []policy.Grant{{Role: policy.Steward, Collection: "pulled"}}}
	v, err := x.n.Pulls.Make(x.Context(), who, "pulled", w)
	if err != nil {
		x.Fatal(err)
	}
	id, err := pull.ParseID(v.ID)
	if err != nil {
		x.Fatal(err)
	}
	x.until("pulled", func() bool {
		if v, err = x.n.Pulls.See(x.Context(), who, "pulled", id); err != nil {
			x.Fatal(err)
		}
		return v.State == "ended" || v.Why != "" || v.Studies.Failed+v.Studies.Partial > 0
	})
	return v
}

// send stores instances in the collection, as SENDER.
func (x *rig) send(all ...*instance) {
	x.Helper()
	a, err := network.Dial(x.Context(), x.n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "KEPT", Contexts: contexts(all)})
	if err != nil {
		x.Fatal(err)
	}
	for _, i := range all {
		if st, err := a.Store(x.Context(), i.sent()); err != nil || !st.Success() {
			x.Fatalf("%s: %v %v", i.name, st, err)
		}
	}
	if err := a.Release(x.Context()); err != nil {
		x.Fatal(err)
	}
	x.admitted(int64(len(all)))
}

// archived has a forwarding rule deliver images to an archive that keeps what it is given, and asks for them back by every way. It knows the node as KEPT and as PULLED.
func archived(t *testing.T, x *rig, title string, port int, compressed bool) (sent []*instance) {
	x.peer("SENDER", 104, identity.MayStore)
	x.pulling()
	le := dicom.ExplicitVRLittleEndian
	sent = []*instance{slice(t, le, 1, 1), slice(t, dicom.ImplicitVRLittleEndian, 1, 2), rle(t, 1, 3), slice(t, le, 2, 1), slice(t, le, 3, 1)}
	x.send(sent...)
	x.publish()
	k := forwarding.Key{Peer: collection.AETitle(title), Collection: kept}
	if _, err := x.n.Stores.Desk().Forward(t.Context(), admin.Operator("test"), k, policy.Released); err != nil {
		t.Fatal(err)
	}
	x.until("forwarded", func() bool {
		r, err := x.n.Stores.Forwarding.Rule(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if r.Reason != "" {
			t.Fatalf("forwarding: %s", r.Reason)
		}
		return r.Sent == int64(len(sent)) && r.Waiting == 0
	})
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	dial := func(class string, more ...func(*network.DialOptions)) *network.Association {
		t.Helper()
		o := network.DialOptions{CallingAE: "KEPT", CalledAE: title, Contexts: []network.Proposal{{AbstractSyntax: class, TransferSyntaxes: []string{implicitLE}}}}
		for _, f := range more {
			f(&o)
		}
		a, err := network.Dial(t.Context(), at, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Release(t.Context()) })
		return a
	}
	for _, c := range []struct {
		class string
		keys  []string
		want  int
	}{
		{network.PatientRootFindUID, []string{"QueryRetrieveLevel=PATIENT", "PatientID=P*", "PatientName"}, 3},
		{network.StudyRootFindUID, []string{"QueryRetrieveLevel=STUDY", "StudyDate=20240101-20240103", "StudyInstanceUID"}, 3},
		{network.StudyRootFindUID, []string{"QueryRetrieveLevel=SERIES", "StudyInstanceUID=" + sent[0].study, "SeriesInstanceUID"}, 1},
		{network.StudyRootFindUID, []string{"QueryRetrieveLevel=IMAGE", "StudyInstanceUID=" + sent[0].study, "SeriesInstanceUID=" + sent[0].series, "SOPInstanceUID"}, 3},
	} {
		n := 0
		done, err := dial(c.class).Find(t.Context(), &network.Query{SOPClassUID: c.class, TransferSyntaxUID: implicitLE, Identifier: identifier(t, c.keys...)}, func(network.Status, []byte) bool { n++; return true })
		if err != nil || !done.Status.Success() || n != c.want {
			t.Errorf("C-FIND %v: %d matches, %+v %v", c.keys, n, done, err)
		}
	}
	got := &receiver{has: map[string]*instance{}}
	a := dial(network.StudyRootGetUID, func(o *network.DialOptions) {
		o.Contexts = append(o.Contexts, contexts(sent)...)
		o.Roles = []network.Role{{SOPClassUID: ctClass, SCP: true}}
	})
	done, err := a.Get(t.Context(), &network.Query{SOPClassUID: network.StudyRootGetUID, TransferSyntaxUID: implicitLE, Identifier: identifier(t, "QueryRetrieveLevel=STUDY", "StudyInstanceUID="+sent[0].study)}, got.take, nil)
	if err != nil || done.Status.Code != 0 || len(got.has) != 3 {
		t.Errorf("C-GET: %+v %v, %d came", done, err, len(got.has))
	}
	for sop, g := range got.has {
		if ts, _ := dicom.LookupTransferSyntax(g.syntax); ts.Encapsulated != (compressed && sop == sent[2].sop) {
			t.Errorf("C-GET: %s came in %s", sop, g.syntax)
		}
	}
	if v := x.pull(pullflow.Wish{Peer: collection.AETitle(title), Way: pull.Move, Accessions: []string{"ACC0001", "NONE"}}); v.Studies.Done != 1 || v.Came != 3 || v.Requests.Nothing != 1 {
		t.Errorf("pulled by C-MOVE: %+v", v)
	}
	if v := x.pull(pullflow.Wish{Peer: collection.AETitle(title), Way: pull.Get, Patients: []string{"P0002"}}); v.Studies.Done != 1 || v.Came != 1 {
		t.Errorf("pulled by C-GET: %+v", v)
	}
	if err := x.n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if in, err := x.n.Stores.Catalogue.Intake(t.Context(), "pulled"); err != nil || in.Received != 4 {
		t.Errorf("pulled: %+v %v", in, err)
	}
	return sent
}

// DCMTK's archive takes what a rule forwards, and gives it back by C-FIND, C-GET and C-MOVE.
func TestDCMTKAsArchive(t *testing.T) {
	t.Parallel()
	testdata.Program(t, "dcmqrscp")
	dir, port := t.TempDir(), freePort(t)
	x := start(t)
	conf := filepath.Join(dir, "dcmqrscp.cfg")
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(conf, fmt.Appendf(nil, "NetworkTCPPort = %d\nMaxPDUSize = 131072\nMaxAssociations = 16\nHostTable BEGIN\nkept = (KEPT, 127.0.0.1, %s)\npulled = (PULLED, 127.0.0.1, %s)\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nDCMQRSCP %s RW (200, 1024mb) ANY\nAETable END\n", port, x.port(), x.port(), filepath.Join(dir, "db")), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	background(t, port, "dcmqrscp", "-c", conf)
	x.peer("DCMQRSCP", port, identity.MayStore)
	archived(t, x, "DCMQRSCP", port, false) // it takes no compressed object, and gets it decoded
}
