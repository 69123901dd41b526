package node

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// run runs a node until the function it returns is called.
func run(t *testing.T, cfg Config) (*Node, func()) {
	t.Helper()
	cfg.Demo, cfg.DICOM = true, "127.0.0.1:0"
	n, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return n, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A catalogue that is lost whole is made again from the packs: rows, states, subjects and what was learned of them.
func TestPacksMakeTheCatalogueAgain(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	for _, in := range []struct{ study, sop string }{{"1.2.3", "1.2.3.1.1"}, {"1.2.3", "1.2.3.1.2"}, {"1.2.4", "1.2.4.1.1"}} {
		storeOne(t, n, ct(t, in.study, in.sop, func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
	}
	storeOne(t, n, ct(t, "1.2.5", "1.2.5.1.1", func(b *dicom.Builder) { b.String(dicom.TagBurnedInAnnotation, "YES") }))
	was, contents := remember(t, n)
	stop()
	for _, f := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	n, stop = run(t, Config{Data: dir})
	defer stop()
	is, again := remember(t, n)
	if len(is) != 4 || len(was) != 4 {
		t.Fatalf("%d instances became %d", len(was), len(is))
	}
	for sop, l := range was {
		m := is[sop]
		if m.Ref != l.Ref || m.Digest != l.Digest || m.Study != l.Study || m.Lexicon != l.Lexicon || m.InstanceAttributes != l.InstanceAttributes || len(m.Reasons) != len(l.Reasons) {
			t.Errorf("an instance became another: %+v, %+v", l, m)
		}
		if !bytes.Equal(contents[sop], again[sop]) {
			t.Error("its bytes are others")
		}
	}
	// The subject is the same one, and what it taught is known: the same bytes again are duplicates, and no second subject is made.
	storeOne(t, n, ct(t, "1.2.4", "1.2.4.1.1", func(b *dicom.Builder) { b.String(dicom.TagOtherPatientIDs, "QX778120") }))
	c, err := n.Stores.Catalogue.Intake(t.Context(), collection.Default)
	if err != nil || c.Duplicate != 1 {
		t.Errorf("%+v %v", c, err)
	}
}

func remember(t *testing.T, n *Node) (map[catalogue.SOPUID]catalogue.Located, map[catalogue.SOPUID][]byte) {
	t.Helper()
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	rows, contents := map[catalogue.SOPUID]catalogue.Located{}, map[catalogue.SOPUID][]byte{}
	for _, l := range all {
		rows[l.SOP] = l
		contents[l.SOP] = read(t, n, l)
	}
	return rows, contents
}
