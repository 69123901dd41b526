package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// start runs a demonstration node on loopback until the test ends.
func start(t testing.TB, cfg Config) *Node {
	t.Helper()
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	cfg.Demo, cfg.DICOM = true, "127.0.0.1:0"
	n, err := New(t.Context(), cfg)
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
	return n
}

// attest makes a collection that keeps what it is given.
func attest(t testing.TB, n *Node) collection.Collection {
	t.Helper()
	c := collection.Collection{ID: "kept", Title: "Kept", Profile: "as-deposited", ProfileVersion: "1", AETitle: "KEPT", AttestedBy: "test"}
	if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error { return n.Stores.Collections.Create(tx, c) }); err != nil {
		t.Fatal(err)
	}
	return c
}

// realFiles are the DICOM files beside the repository.
func realFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(testdata.Shared(t), "data", "dicom"), func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sent is one file as it was sent.
type sent struct {
	data   []byte // its data set
	syntax string
	class  string
	sop    string
	status network.Status
}

// send gives every readable file to a collection by C-STORE, each on its own association.
func send(t *testing.T, n *Node, called string, files []string) []sent {
	t.Helper()
	var all []sent
	for _, p := range files {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(b, dicom.Limits{})
		if err != nil {
			continue
		}
		s := sent{data: f.DatasetBytes(), syntax: f.Syntax().UID, class: f.Data.UID(dicom.TagSOPClassUID), sop: f.Data.UID(dicom.TagSOPInstanceUID)}
		if s.class == "" || s.sop == "" {
			continue
		}
		a, err := network.Dial(t.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: called,
			Contexts: []network.Proposal{{AbstractSyntax: s.class, TransferSyntaxes: []string{s.syntax}}}})
		if err != nil {
			t.Fatal(err)
		}
		var stored error
		s.status, stored = a.Store(t.Context(), &network.Instance{SOPClassUID: s.class, SOPInstanceUID: s.sop, TransferSyntaxUID: s.syntax, Bytes: s.data})
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if errors.Is(stored, network.ErrOddLength) {
			continue // nobody can send it so
		}
		if stored != nil {
			t.Fatal(stored)
		}
		if f.Syntax().Deflated && len(s.data)%2 == 1 {
			s.data = append(s.data[:len(s.data):len(s.data)], 0) // PS3.5 A.5
		}
		all = append(all, s)
	}
	if err := n.Custody.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	return all
}

// located gives the rows of a collection by SOP Instance UID.
func located(t *testing.T, n *Node, c collection.ID) map[string][]catalogue.Located {
	t.Helper()
	m := map[string][]catalogue.Located{}
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Collection == c {
			m[string(l.SOP)] = append(m[string(l.SOP)], l)
		}
	}
	return m
}

func read(t *testing.T, n *Node, l catalogue.Located) []byte {
	t.Helper()
	sub, err := n.Stores.Subjects.Get(t.Context(), l.Subject)
	if err != nil {
		t.Fatal(err)
	}
	key, err := n.Stores.Ring.Get(t.Context(), keys.ID(sub.Key))
	if err != nil {
		t.Fatal(err)
	}
	x, err := object.Open(t.Context(), n.Stores.Packs, pack.Ref{Pack: pack.ID(l.Ref.Pack), Offset: l.Ref.Offset}, key)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var b bytes.Buffer
	if err := x.WriteDataset(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is attested to be clean comes back to the byte, whatever it is.
func TestAsDepositedComesBackByteIdentical(t *testing.T) {
	n := start(t, Config{})
	c := attest(t, n)
	all := send(t, n, "KEPT", realFiles(t))
	rows := located(t, n, c.ID)
	known := map[string]bool{}
	kept := 0
	for _, s := range all {
		if !s.status.Done() {
			t.Logf("refused %s: %s %s", s.class, s.status, s.status.Comment)
			continue
		}
		found := false
		for _, l := range rows[s.sop] {
			found = found || l.TransferSyntax == s.syntax && bytes.Equal(read(t, n, l), s.data)
		}
		if !found {
			t.Errorf("an instance of %s in %s is not here as it was sent (%d rows)", s.class, s.syntax, len(rows[s.sop]))
		}
		known[s.sop] = true
		kept++
	}
	if kept < 160 {
		t.Errorf("only %d of %d were taken", kept, len(all))
	}
	t.Logf("%d sent, %d taken, %d SOP instances", len(all), kept, len(known))
}

// In a collection that cleans, each is catalogued or held with a reason, and nothing identifying is found in what is catalogued.
func TestResearchCleansOrHolds(t *testing.T) {
	each(t, testResearch)
}

// each runs a test on a node with SQLite and local packs, and on one with PostgreSQL and a bucket as tier.
func each(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("sqlite", func(t *testing.T) { test(t, Config{}) })
	t.Run("postgresql and bucket", func(t *testing.T) {
		test(t, Config{Database: dbtest.PostgresURL(t), Bucket: "file://" + t.TempDir() + "?no_tmp_dir=true", Tier: true})
	})
}

func testResearch(t *testing.T, cfg Config) {
	n := start(t, cfg)
	all := send(t, n, "VITRINE", realFiles(t))
	counts, err := n.Stores.Catalogue.Intake(t.Context(), collection.Default)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for _, s := range all {
		if s.status.Done() {
			taken++
		}
	}
	t.Logf("%d sent, %d taken: %+v", len(all), taken, counts)
	if counts.Received+counts.Duplicate != int64(len(all)) {
		t.Errorf("%d were sent, %d are accounted for", len(all), counts.Received+counts.Duplicate)
	}
	reasons := map[string]int{}
	for _, rows := range located(t, n, collection.Default) {
		for _, l := range rows {
			if l.State == policy.Held || l.State == policy.Conflict {
				if len(l.Reasons) == 0 {
					t.Error("an instance is held without a reason")
				}
				for _, r := range l.Reasons {
					reasons[r.Code]++
				}
				continue
			}
			b := read(t, n, l)
			ts, _ := dicom.LookupTransferSyntax(l.TransferSyntax)
			d, err := readAll(b, ts)
			if err != nil {
				t.Fatal(err)
			}
			if id := d.String(dicom.TagPatientID); id == "" || strings.Contains(id, "^") {
				t.Error("a cleaned instance has no pseudonym")
			}
			if d.String(dicom.TagPatientIdentityRemoved) != "YES" {
				t.Error("a cleaned instance is not marked as such")
			}
		}
	}
	t.Logf("held for: %v", reasons)
}

func readAll(b []byte, ts *dicom.TransferSyntax) (*dicom.Dataset, error) {
	rd := dicom.NewReader(bytes.NewReader(b), ts, dicom.Limits{})
	for {
		if _, err := rd.Next(); err == io.EOF {
			return rd.Dataset(), nil
		} else if err != nil {
			return nil, err
		}
	}
}
