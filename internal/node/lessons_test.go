package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Instances of one subject of which each teaches something new are replayed together.
func TestReplayOfSeveralLessons(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	storeOne(t, n, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
	storeOne(t, n, ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "ZK313377") }))
	stop()
	for _, f := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	n, stop = run(t, Config{Data: dir})
	defer stop()
	intake(t, n, collection.Default, 2)
}

// More identifiers than a lexicon holds are a reason to hold what brings them, and no reason to catalogue nothing more.
func TestFullLexiconStopsNothing(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	for k := range 3 {
		storeSoon(t, n, "VITRINE", ct(t, "1.2.3", fmt.Sprintf("1.2.3.1.%d", k+1), func(b *dicom.Builder) {
			many := make([]string, 2000)
			for i := range many {
				many[i] = fmt.Sprintf("QX%d-%d", k+1, 100000+i)
			}
			b.String(dicom.TagOtherPatientIDs, many...)
		}))
	}
	intake(t, n, collection.Default, 3)
	stop()
	n, stop = run(t, Config{Data: dir})
	defer stop()
	intake(t, n, collection.Default, 3)
}

// Text that PostgreSQL would not take as JSON is left out of what searches return; the instance is catalogued.
func TestNULInText(t *testing.T) {
	for name, text := range map[string]string{"NUL": "AC\x00ME", "spelt": `AC\u0000ME`} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, cfg Config) {
				n := start(t, cfg)
				c := attest(t, n)
				storeSoon(t, n, "KEPT", ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) { b.String(dicom.TagPatientComments, text) }))
				intake(t, n, c.ID, 1)
			})
		})
	}
}

// What an instance taught that was not kept is taught again by whoever brings it again.
func TestLessonOfWhatWasNotKept(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		n := start(t, cfg)
		storeOne(t, n, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) {}))
		in := ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") })
		d, err := n.Custody.Begin(t.Context(), collection.Default, custody.DoorSTOW, "test")
		if err != nil {
			t.Fatal(err)
		}
		defer d.End()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.Receive(gone, custody.Incoming{Syntax: dicom.ExplicitVRLittleEndian, Data: custody.FromReader(bytes.NewReader(in.Bytes))}); err == nil {
			t.Fatal("it was kept for somebody who had gone")
		}
		storeOne(t, n, in)
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 10)
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		s, err := n.Stores.Subjects.Get(t.Context(), all[1].Subject)
		if err != nil || s.LexiconVersion != 2 {
			t.Errorf("the stored lexicon is of version %d (%v)", s.LexiconVersion, err)
		}
	})
}

// What was refused stays refused when the node starts again.
func TestRefusedStaysRefused(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	storeOne(t, n, ct(t, "1.2.5", "1.2.5.1.1", func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }))
	held, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	err = n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
		_, err := n.Stores.Catalogue.Refuse(tx, held[0].ID, catalogue.Reason{Code: "test", Text: "refused"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	n, stop = run(t, Config{Data: dir})
	defer stop()
	if held, err = n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 10); err != nil || len(held) != 0 {
		t.Errorf("it is back: %v %v", held, err)
	}
}

// A key ring that is older than the packs is no erasure: what was acknowledged is not passed over.
func TestKeysOlderThanPacks(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	storeOne(t, n, ct(t, "1.2.3", "1.2.3.1.1", func(b *dicom.Builder) {}))
	stop()
	for _, f := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm", "keys.db", "keys.db-wal", "keys.db-shm"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if _, err := New(t.Context(), Config{Data: dir, Demo: true, DICOM: "127.0.0.1:0"}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("started with %v", err)
	}
}

// storeSoon stores an instance that the catalogue has to take within seconds.
func storeSoon(t *testing.T, n *Node, called string, in *network.Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	a, err := network.Dial(ctx, n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: called,
		Contexts: []network.Proposal{{AbstractSyntax: in.SOPClassUID, TransferSyntaxes: []string{in.TransferSyntaxUID}}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := a.Store(ctx, in)
	if err != nil || !st.Done() {
		t.Fatal(st, st.Comment, err)
	}
	if err := a.Release(ctx); err != nil {
		t.Fatal(err)
	}
	if err := n.Custody.Barrier(ctx); err != nil {
		t.Fatal("the catalogue does not take it: ", err)
	}
}

// intake compares how many instances a collection has received.
func intake(t *testing.T, n *Node, id collection.ID, want int64) {
	t.Helper()
	c, err := n.Stores.Catalogue.Intake(t.Context(), id)
	if err != nil || c.Received != want {
		t.Errorf("%+v %v, want %d", c, err, want)
	}
}
