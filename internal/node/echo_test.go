package node

import (
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const ctClass = "1.2.840.10008.5.1.4.1.1.2"

// ct builds a small CT of a study and instance.
func ct(t *testing.T, study, sop string, more func(b *dicom.Builder)) *network.Instance {
	t.Helper()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, ctClass)
	b.String(dicom.TagSOPInstanceUID, sop)
	b.String(dicom.TagStudyInstanceUID, study)
	b.String(dicom.TagSeriesInstanceUID, study+".1")
	b.String(dicom.TagModality, "CT")
	b.String(dicom.TagPatientID, "H-4471 882")
	b.String(dicom.TagPatientName, "Winterbourne^Ada")
	b.String(dicom.TagStudyDate, "20240105")
	b.String(dicom.TagImageType, "ORIGINAL", "PRIMARY", "AXIAL")
	b.Ints(dicom.TagRows, 2)
	b.Ints(dicom.TagColumns, 2)
	b.Ints(dicom.TagBitsAllocated, 16)
	b.Raw(dicom.TagPixelData, dicom.VROW, make([]byte, 8))
	more(b)
	d, err := b.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	return &network.Instance{SOPClassUID: ctClass, SOPInstanceUID: sop, TransferSyntaxUID: dicom.ExplicitVRLittleEndianUID, Bytes: d.Bytes()}
}

func storeOne(t *testing.T, n *Node, in *network.Instance) {
	t.Helper()
	a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "VITRINE",
		Contexts: []network.Proposal{{AbstractSyntax: in.SOPClassUID, TransferSyntaxes: []string{in.TransferSyntaxUID}}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := a.Store(t.Context(), in)
	if err != nil || !st.Done() {
		t.Fatal(st, st.Comment, err)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func states(t *testing.T, n *Node) map[policy.State]int {
	t.Helper()
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	m := map[policy.State]int{}
	for _, l := range all {
		m[l.State]++
	}
	return m
}

// What a later instance reveals takes an earlier one out of sight, admitted or released.
func TestWholePatientEcho(t *testing.T) {
	for name, release := range map[string]bool{"admitted": false, "released": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, cfg Config) {
				n := start(t, cfg)
				storeOne(t, n, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagDeviceSerialNumber, "QX778120") }))
				eventually(t, "the study is admitted", func() bool { return states(t, n)[policy.Admitted] == 1 })
				if release {
					all, err := n.Stores.Catalogue.All(t.Context(), 0, 1)
					if err != nil {
						t.Fatal(err)
					}
					err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
						_, err := n.Stores.Catalogue.Release(tx, collection.Default, all[0].Study, "test")
						return err
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				storeOne(t, n, ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
				eventually(t, "the first instance is held", func() bool { return states(t, n)[policy.Held] == 1 })
				held, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10)
				if err != nil || len(held) != 1 {
					t.Fatal(held, err)
				}
				if r := held[0].Reasons; len(r) == 0 || r[0].Code != "echo" || r[0].Where != "(0018,1000)" {
					t.Errorf("held for %v", r)
				}
			})
		})
	}
}

// An instance that was admitted when nothing at all was known of its subject is searched too.
func TestEchoOfTheFirstLesson(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		n := start(t, cfg)
		nobody := func(in *network.Instance) *network.Instance { // without name and date
			d, err := dicom.ParseDataset(in.Bytes, dicom.ExplicitVRLittleEndian, dicom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			e := d.Edit()
			for _, tag := range []dicom.Tag{dicom.TagPatientName, dicom.TagStudyDate} {
				e.Remove(d.Find(tag))
			}
			e.SetValue(d.Find(dicom.TagPatientID), nil)
			r, err := e.Render()
			if err != nil {
				t.Fatal(err)
			}
			in.Bytes = append(r.Head[:len(r.Head):len(r.Head)], make([]byte, 8)...)
			return in
		}
		storeOne(t, n, nobody(ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagDeviceSerialNumber, "QX778120") })))
		eventually(t, "the study is admitted", func() bool { return states(t, n)[policy.Admitted] == 1 })
		storeOne(t, n, nobody(ct(t, "1.2.3", "1.2.3.1.2", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") })))
		eventually(t, "the first instance is held", func() bool { return states(t, n)[policy.Held] == 1 })
	})
}

// The same bytes again change nothing; others under the same UID are held; both whether the first is in the catalogue already or not.
func TestAgainAndConflict(t *testing.T) { each(t, testAgainAndConflict) }

func testAgainAndConflict(t *testing.T, cfg Config) {
	n := start(t, cfg)
	first := ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {})
	other := ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.Raw(dicom.TagPixelData, dicom.VROW, []byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	for _, in := range []*network.Instance{first, first, other, other, first} {
		storeOne(t, n, in)
	}
	c, err := n.Stores.Catalogue.Intake(t.Context(), collection.Default)
	if err != nil {
		t.Fatal(err)
	}
	if c.Held != 1 || c.Pending+c.Catalogued != 1 || c.Duplicate != 3 {
		t.Errorf("%+v", c)
	}
	held, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10)
	if err != nil || len(held) != 1 || held[0].State != policy.Conflict || held[0].Reasons[len(held[0].Reasons)-1].Code != catalogue.CodeConflict {
		t.Errorf("%v %v", held, err)
	}
}
