package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// forget removes the catalogue of a node that has ended.
func forget(t *testing.T, dir string) {
	t.Helper()
	for _, f := range []string{"catalogue.db", "catalogue.db-wal", "catalogue.db-shm"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// Damage in what is not catalogued yet does not keep a node from starting, and nothing that can be read is lost by it; a good copy of the pack in its place is replayed.
func TestReplayGoesOnBehindDamage(t *testing.T) {
	const header, body = 7, 200 // places in a record: its header, its description
	for name, c := range map[string]struct {
		hurt func(pack []byte, at []int64) []byte // the places of the records
		left int
	}{
		"a header":                {func(b []byte, at []int64) []byte { b[at[1]+header] ^= 1; return b }, 4},
		"a description":           {func(b []byte, at []int64) []byte { b[at[1]+body] ^= 1; return b }, 4},
		"the first and the last":  {func(b []byte, at []int64) []byte { b[at[0]+header] ^= 1; b[at[4]+header] ^= 1; return b }, 3},
		"two beside one another":  {func(b []byte, at []int64) []byte { b[at[2]+header] ^= 1; b[at[3]+body] ^= 1; return b }, 3},
		"the seal":                {func(b []byte, at []int64) []byte { b[len(b)-4096] ^= 1; return b }, 5},
		"the header of the pack":  {func(b []byte, at []int64) []byte { b[3] ^= 1; return b }, 5},
		"the end, which is gone":  {func(b []byte, at []int64) []byte { return b[:at[4]+4096] }, 4},
		"everything but a record": {func(b []byte, at []int64) []byte { clear(b[:at[2]]); clear(b[at[3]:]); return b }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			n, stop := run(t, Config{Data: dir})
			for k := range 5 {
				storeOne(t, n, ct(t, "1.2.3", fmt.Sprintf("1.2.3.1.%d", k+1), func(b *dicom.Builder) {
					b.String(dicom.TagBurnedInAnnotation, "YES")
					b.Raw(dicom.TagPixelData, dicom.VROW, bytes.Repeat([]byte{byte(k), 1}, 6000))
				}))
			}
			rows, _ := remember(t, n)
			stop()
			packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
			if err != nil || len(packs) != 1 {
				t.Fatal(packs, err)
			}
			good, err := os.ReadFile(packs[0])
			if err != nil {
				t.Fatal(err)
			}
			var at []int64
			for _, l := range rows {
				at = append(at, l.Ref.Offset)
			}
			slices.Sort(at)
			forget(t, dir)
			if err := os.WriteFile(packs[0], c.hurt(bytes.Clone(good), at), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cfg := Config{Data: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
			for start := range 2 {
				log.Reset()
				n, stop = run(t, cfg)
				if is, _ := remember(t, n); len(is) != c.left-start { // one is refused after the first start
					t.Errorf("start %d: %d of 5 are there, want %d", start, len(is), c.left-start)
				}
				if start == 0 {
					refuseOne(t, n)
				}
				differences := verified(t, n)
				stop()
				if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "damaged") {
					t.Errorf("start %d: the log says nothing of it: %s", start, &log)
				}
				if len(differences) == 0 {
					t.Errorf("start %d: verification finds nothing", start)
				}
			}
			if err := os.WriteFile(packs[0], good, 0o600); err != nil {
				t.Fatal(err)
			}
			log.Reset()
			n, stop = run(t, cfg)
			if is, _ := remember(t, n); len(is) != 4 { // all but the one that was refused
				t.Errorf("with a good copy %d are there, want 4", len(is))
			}
			if d := verified(t, n); len(d) > 0 {
				t.Errorf("with a good copy: %v", d)
			}
			noted := 0
			entries, err := n.Stores.Audit.Entries(t.Context(), audit.Filter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.Action == "replay" && strings.HasPrefix(e.Outcome, "damaged") {
					noted++
				}
			}
			if noted != 2 {
				t.Errorf("%d audit entries, want one of each start with the damage", noted)
			}
			stop()
			if strings.Contains(log.String(), "level=ERROR") {
				t.Error(log.String())
			}
			log.Reset()
			_, stop = run(t, cfg)
			stop()
			if strings.Contains(log.String(), "replayed") {
				t.Error("the pack is not known to be catalogued")
			}
		})
	}
}

// refuseOne refuses one held instance.
func refuseOne(t *testing.T, n *Node) {
	t.Helper()
	held, err := n.Stores.Catalogue.Waiting(t.Context(), collection.Default, 0, 0, 1)
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
}

func verified(t *testing.T, n *Node) []verify.Difference {
	t.Helper()
	parts, err := n.Stores.Verify()
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Run(t.Context(), parts, admin.Caller{Actor: "test", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Differences
}

// What a person has to mend first stops the node: records of a collection that the catalogue does not have.
func TestReplayWithoutItsCollectionStops(t *testing.T) {
	dir := t.TempDir()
	n, stop := run(t, Config{Data: dir})
	attest(t, n)
	storeSoon(t, n, "KEPT", ct(t, "1.2.3", "1.2.3.1.1", func(*dicom.Builder) {}))
	stop()
	forget(t, dir)
	_, err := New(t.Context(), Config{Data: dir, Demo: true, DICOM: "127.0.0.1:0"})
	if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "restore the catalogue") {
		t.Errorf("started with %v", err)
	}
}
