package dimse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// rig is a running node with a collection that keeps what it is given, KEPT, and registered peers.
type rig struct {
	testing.TB
	n *node.Node
}

const kept = "kept"

func start(t testing.TB, database string, change ...func(*node.Config)) *rig {
	t.Helper()
	cfg := node.Config{Data: t.TempDir(), Database: database, Demo: true, DICOM: "127.0.0.1:0", ForwardPause: 10 * time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	n, err := node.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	x := &rig{t, n}
	x.write(func(tx *db.Tx) error {
		for _, c := range []collection.Collection{{ID: kept, Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AETitle: "KEPT", AttestedBy: "test"}, {ID: "other", Title: "Other", Profile: "as-deposited", ProfileVersion: "1", AETitle: "OTHER", AttestedBy: "test"}} {
			if err := n.Stores.Collections.Create(tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	x.peer("ALL", 104, identity.MayFind|identity.MayMove|identity.MayGet, "*")
	return x
}

func each(t *testing.T, test func(x *rig)) {
	t.Run("sqlite", func(t *testing.T) { test(start(t, "")) })
	t.Run("postgresql", func(t *testing.T) { test(start(t, dbtest.PostgresURL(t))) })
}

func (x *rig) write(fn func(tx *db.Tx) error) {
	x.Helper()
	if err := x.n.Stores.DB.Write(x.Context(), fn); err != nil {
		x.Fatal(err)
	}
}

// peer registers an application of this machine.
func (x *rig) peer(aet string, port int, may identity.May, in string) {
	x.Helper()
	x.write(func(tx *db.Tx) error {
		_, err := x.n.Stores.Identity.AddPeer(tx, identity.Peer{AETitle: collection.AETitle(aet), Host: "127.0.0.1", Port: port, May: may, Collection: in})
		return err
	})
}

// image is a small object; more may change it.
func image(t testing.TB, ts *dicom.TransferSyntax, patient, study, series, sop string, more ...func(*dicom.Builder)) *network.Instance {
	t.Helper()
	b := dicom.NewBuilder(ts)
	b.String(dicom.TagSpecificCharacterSet, "ISO_IR 192")
	b.String(dicom.TagSOPClassUID, ctClass)
	b.String(dicom.TagSOPInstanceUID, sop)
	b.String(dicom.TagStudyInstanceUID, study)
	b.String(dicom.TagSeriesInstanceUID, series)
	b.String(dicom.TagPatientID, patient)
	b.String(dicom.TagPatientName, patient+"^Test")
	b.String(dicom.TagStudyDate, "20240102")
	b.String(dicom.TagStudyTime, "101112")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagManufacturer, "Maker")
	b.Ints(dicom.TagInstanceNumber, 1)
	b.Ints(dicom.TagSamplesPerPixel, 1)
	b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	b.Ints(dicom.TagRows, 4)
	b.Ints(dicom.TagColumns, 4)
	b.Ints(dicom.TagBitsAllocated, 16)
	b.Ints(dicom.TagBitsStored, 16)
	b.Ints(dicom.TagHighBit, 15)
	b.Ints(dicom.TagPixelRepresentation, 0)
	b.Raw(dicom.TagPixelData, dicom.VROW, []byte("0123456789abcdef0123456789ABCDEF"))
	for _, f := range more {
		f(b)
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return &network.Instance{SOPClassUID: d.UID(dicom.TagSOPClassUID), SOPInstanceUID: sop, TransferSyntaxUID: ts.UID, Bytes: d.Bytes()}
}

const (
	ctClass    = "1.2.840.10008.5.1.4.1.1.2"
	mrClass    = "1.2.840.10008.5.1.4.1.1.4"
	explicitLE = dicom.ExplicitVRLittleEndianUID
	implicitLE = dicom.ImplicitVRLittleEndianUID
)

// deposit stores instances in a collection and waits until they are admitted; publish releases them.
func (x *rig) deposit(called string, all ...*network.Instance) {
	x.Helper()
	o := network.DialOptions{CallingAE: "SENDER", CalledAE: called}
	seen := map[[2]string]bool{}
	for _, in := range all {
		k := [2]string{in.SOPClassUID, in.TransferSyntaxUID}
		if !seen[k] {
			o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: k[0], TransferSyntaxes: k[1:]})
		}
		seen[k] = true
	}
	a, err := network.Dial(x.Context(), x.n.DICOMAddr(), o)
	if err != nil {
		x.Fatal(err)
	}
	for _, in := range all {
		if st, err := a.Store(x.Context(), in); err != nil || !st.Success() {
			x.Fatalf("store: %v %v", st, err)
		}
	}
	if err := a.Release(x.Context()); err != nil {
		x.Fatal(err)
	}
	if err := x.n.Custody.Barrier(x.Context()); err != nil {
		x.Fatal(err)
	}
	x.until("admitted", func() bool {
		n, err := x.n.Stores.Catalogue.Intake(x.Context(), collection.ID(strings.ToLower(called)))
		if err != nil {
			x.Fatal(err)
		}
		return n.Pending == 0 && n.Catalogued > 0
	})
}

func (x *rig) publish(c collection.ID) {
	x.Helper()
	if _, err := x.n.Stores.Desk().Publish(x.Context(), admin.Operator("test"), c, ""); err != nil {
		x.Fatal(err)
	}
}

func (x *rig) until(what string, ok func() bool) {
	x.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); ; {
		if ok() {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			x.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

var queryClasses = []string{network.PatientRootFindUID, network.StudyRootFindUID, network.PatientRootMoveUID, network.StudyRootMoveUID, network.PatientRootGetUID, network.StudyRootGetUID}

// dial opens an association for queries, in a transfer syntax; change may propose more.
func (x *rig) dial(calling, called, syntax string, change ...func(*network.DialOptions)) *network.Association {
	x.Helper()
	o := network.DialOptions{CallingAE: calling, CalledAE: called}
	for _, c := range queryClasses {
		o.Contexts = append(o.Contexts, network.Proposal{AbstractSyntax: c, TransferSyntaxes: []string{syntax}})
	}
	for _, f := range change {
		f(&o)
	}
	a, err := network.Dial(x.Context(), x.n.DICOMAddr(), o)
	if err != nil {
		x.Fatal(err)
	}
	x.Cleanup(func() { _ = a.Release(context.Background()) })
	return a
}

// identifier builds one of "Keyword=value" or "Keyword"; with a character set first, where it is given so.
func identifier(t testing.TB, syntax string, keys ...string) []byte {
	t.Helper()
	ts, _ := dicom.LookupTransferSyntax(syntax)
	b := dicom.NewBuilder(ts)
	var steps []func(*dicom.Builder)
	for _, k := range keys {
		name, value, _ := strings.Cut(k, "=")
		if member, ok := strings.CutPrefix(name, "RequestAttributesSequence."); ok {
			steps = append(steps, func(item *dicom.Builder) { set(t, item, member, value) })
			continue
		}
		set(t, b, name, value)
	}
	if steps != nil {
		b.Sequence(dicom.TagRequestAttributesSequence, func(item *dicom.Builder) {
			for _, f := range steps {
				f(item)
			}
		})
	}
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return d.Bytes()
}

func set(t testing.TB, b *dicom.Builder, name, value string) {
	t.Helper()
	e, ok := dicom.LookupKeyword(name)
	if !ok {
		t.Fatalf("no attribute %s", name)
	}
	switch {
	case value == "" && e.VR == dicom.VRSQ:
		b.Sequence(e.Tag)
	case value == "":
		b.Empty(e.Tag)
	case e.VR == dicom.VRUS:
		var n int
		_, _ = fmt.Sscan(value, &n)
		b.Ints(e.Tag, n)
	default:
		b.Text(e.Tag, e.VR, strings.Split(value, `\`)...)
	}
}

// found is what came of a C-FIND.
type found struct {
	status  network.Status
	pending uint16
	rows    []*dicom.Dataset
}

func (f *found) column(t dicom.Tag) string {
	var s []string
	for _, d := range f.rows {
		i := d.Find(t)
		if i < 0 {
			s = append(s, "-")
			continue
		}
		s = append(s, strings.Join(d.Strings(i), `\`))
	}
	return strings.Join(s, " ")
}

func (x *rig) find(a *network.Association, class, syntax string, keys ...string) *found {
	x.Helper()
	ts, _ := dicom.LookupTransferSyntax(syntax)
	f := &found{}
	done, err := a.Find(x.Context(), &network.Query{SOPClassUID: class, TransferSyntaxUID: syntax, Identifier: identifier(x, syntax, keys...)}, func(st network.Status, b []byte) bool {
		d, err := dicom.ParseDataset(b, ts, dicom.Limits{})
		if err != nil {
			x.Fatal(err)
		}
		f.rows, f.pending = append(f.rows, d), st.Code
		return true
	})
	if err != nil {
		x.Fatalf("%v: %v", keys, err)
	}
	f.status = done.Status
	return f
}
