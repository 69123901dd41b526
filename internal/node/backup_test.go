package node

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/backup"
	consentflow "github.com/vitrine-imaging/vitrine/internal/flow/consent"
	"github.com/vitrine-imaging/vitrine/internal/flow/verify"
	judge "github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

var keeper = admin.Operator("test")

// elsewhere are two places apart.
func elsewhere(t *testing.T) Places {
	t.Helper()
	return Places{To: filepath.Join(t.TempDir(), "backups"), Keys: filepath.Join(t.TempDir(), "keys")}
}

func backUp(t *testing.T, cfg Config, at Places) *backup.Report {
	t.Helper()
	r, err := BackUp(t.Context(), cfg, at, keeper, backup.Retention{}, Watch{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// several stores instances of some studies, each of a person of its own.
func several(t *testing.T, n *Node, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		study := fmt.Sprintf("1.2.3.%d", i)
		storeOne(t, n, ct(t, study, study+".1.1", func(b *dicom.Builder) { b.String(dicom.TagPatientID, fmt.Sprintf("P-%d", i)) }))
	}
}

// contents are the bytes of every object, by its row.
func contents(t *testing.T, n *Node) map[string]string {
	t.Helper()
	all, err := n.Stores.Catalogue.All(t.Context(), 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, l := range all {
		m[l.ID.String()+" "+string(l.SOP)] = string(read(t, n, l))
	}
	return m
}

func sameContents(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("an object is not what it was: %d bytes, %d were stored", len(got[k]), len(v))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d objects, there were %d", len(got), len(want))
	}
}

// restored is a backup restored beside nothing, with the master key of a demonstration's folder.
func restored(t *testing.T, from Config, at Places, name, database string) (Config, *Restored, error) {
	t.Helper()
	cfg := Config{Data: filepath.Join(t.TempDir(), "node"), Key: from.KeyPlace().File, Database: database}
	r, err := Restore(t.Context(), cfg, at, name, keeper, Watch{})
	return cfg, r, err
}

func check(t *testing.T, n *Node) *verify.Report {
	t.Helper()
	parts, err := n.Stores.Verify()
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Run(t.Context(), parts, keeper)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) > 0 {
		t.Errorf("verify: %+v", r.Differences)
	}
	return r
}

// What was stored before a backup is there again, byte for byte, in a folder or a bucket, from either database into either; the second backup copies what is new alone.
func TestBackUpAndRestore(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Demo = t.TempDir(), true
		n, stop := run(t, cfg)
		attest(t, n)
		several(t, n, 0, 6)
		at := elsewhere(t)
		if cfg.Database != "" {
			at = Places{To: "file://" + t.TempDir() + "?no_tmp_dir=true", Keys: "file://" + t.TempDir() + "?no_tmp_dir=true"}
		}
		first := backUp(t, cfg, at)
		if first.Objects != 6 || first.Packs == 0 || first.Copied == 0 || len(first.Missing)+len(first.Damaged) > 0 {
			t.Errorf("the first: %+v", first)
		}
		early := contents(t, n)
		if again := backUp(t, cfg, at); again.Copied != 0 || again.Objects != 6 {
			t.Errorf("with nothing new: %+v", again)
		}
		several(t, n, 6, 8)
		if cfg.Tier { // packs that are in the node's bucket alone
			if err := n.Stores.Packs.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := n.Stores.Packs.Shipped(t.Context()); err != nil {
				t.Fatal(err)
			}
			several(t, n, 8, 10)
		}
		last := backUp(t, cfg, at)
		late := contents(t, n)
		if last.Objects != int64(len(late)) || last.Copied == 0 || last.Kept != 3 {
			t.Errorf("the last: %+v, %d objects", last, len(late))
		}
		list, err := ListBackups(t.Context(), cfg, at, keeper)
		if err != nil || len(list) != 3 || list[0].Backup != last.Backup || list[2].Objects != 6 {
			t.Errorf("listed: %+v, %v", list, err)
		}
		stop()
		for _, into := range []string{"sqlite", "postgresql"} {
			for name, want := range map[string]map[string]string{first.Backup: early, "": late} {
				database := ""
				if into == "postgresql" {
					database = dbtest.PostgresURL(t)
				}
				there, r, err := restored(t, cfg, at, name, database)
				if err != nil {
					t.Fatal(err)
				}
				if r.Manifest.Total() != int64(len(want)) || r.Erased != 0 {
					t.Errorf("restored: %d objects, %d erased", r.Manifest.Total(), r.Erased)
				}
				m, end := run(t, there)
				sameContents(t, contents(t, m), want)
				if got := check(t, m); got.Objects != int64(len(want)) {
					t.Errorf("verified: %+v", got)
				}
				several(t, m, 50, 51) // it takes what comes
				end()
			}
		}
	})
}

// Every table that a node has is in a backup, or is left out by name.
func TestBackUpHasEveryTable(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Demo = t.TempDir(), true
		cfg.HTTP = "127.0.0.1:0"
		n := start(t, cfg)
		several(t, n, 0, 1)
		at := elsewhere(t)
		backUp(t, cfg, at)
		_, r, err := restored(t, cfg, at, "", "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range []backup.File{r.Manifest.Files["records"], r.Manifest.Files["identities"], r.Manifest.Keys} {
			for name := range f.Rows {
				got = append(got, name)
			}
		}
		sort.Strings(got)
		var want []string
		for _, d := range []*db.DB{n.Stores.DB, n.Stores.whoDB, n.Stores.ringDB} {
			if d == nil {
				continue
			}
			w, err := d.WriteTables(t.Context(), &bytes.Buffer{}, db.Export{})
			if err != nil {
				t.Fatal(err)
			}
			for name := range w.Rows {
				if !slices.Contains([]string{"upload", "upload_batch", "session", "sign_in_link", "sign_in_code", "directory_text", "directory_text_state", "node", "node_claim", "node_wanted"}, name) {
					want = append(want, name)
				}
			}
		}
		sort.Strings(want)
		if !slices.Equal(got, want) {
			t.Errorf("backed up: %q\nthere are: %q", got, want)
		}
	})
}

// A backup in which a byte is not what it was, or that lacks a file, or has no keys, becomes no node; the folder is left as it was, or such that no node starts on it.
func TestDamagedBackupsAreRefused(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Demo: true}
	n, stop := run(t, cfg)
	several(t, n, 0, 3)
	if err := n.Stores.Packs.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	several(t, n, 3, 5)
	at := elsewhere(t)
	earlier := elsewhere(t)
	backUp(t, cfg, earlier)
	r := backUp(t, cfg, at)
	stop()
	files := func(dir string) (all []string) {
		_ = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				all = append(all, p)
			}
			return err
		})
		return all
	}
	changed := 0
	for _, path := range slices.Concat(files(at.To), files(at.Keys)) {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"flipped": func() error {
				b := bytes.Clone(whole)
				b[len(b)/2] ^= 4
				return os.WriteFile(path, b, 0o600)
			},
			"cut off": func() error { return os.Truncate(path, int64(len(whole)/2)) },
			"removed": func() error { return os.Remove(path) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			there, _, err := restored(t, cfg, at, "", "")
			kind := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
			if err == nil {
				t.Errorf("%s, %s: it was restored", kind, name)
			} else if !fault.Is(err, fault.Corrupt) && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Denied) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			if _, err := OpenRecords(t.Context(), there); err == nil && backup.Unfinished(there.Data) {
				t.Errorf("%s, %s: a node opens it", kind, name)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			changed++
		}
	}
	if changed < 15 {
		t.Errorf("only %d changes were tried", changed)
	}
	for name, c := range map[string]struct {
		at   Places
		says string
	}{
		"no keys":          {Places{at.To, t.TempDir()}, "there are no keys in that place"},
		"keys too old":     {Places{at.To, earlier.Keys}, "earlier"},
		"no backup":        {Places{t.TempDir(), at.Keys}, "no whole backup"},
		"one place":        {Places{at.To, at.To}, "apart"},
		"one in the other": {Places{at.To, filepath.Join(at.To, "keys")}, "apart"},
	} {
		there, _, err := restored(t, cfg, c.at, "", "")
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(there.Data); !os.IsNotExist(err) {
			t.Errorf("%s: the folder is there", name)
		}
	}
	// The wrong master key, and none.
	for _, key := range []string{filepath.Join(t.TempDir(), "other.key"), filepath.Join(t.TempDir(), "none.key")} {
		if strings.HasSuffix(key, "other.key") {
			if _, err := keys.CreateMaster(key); err != nil {
				t.Fatal(err)
			}
		}
		dir := filepath.Join(t.TempDir(), "node")
		if _, err := Restore(t.Context(), Config{Data: dir, Key: key}, at, "", keeper, Watch{}); !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
			t.Errorf("with another key: %v", err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Error("the folder is there")
		}
	}
	// A folder and a database with something in them.
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), Config{Data: full, Key: cfg.KeyPlace().File}, at, "", keeper, Watch{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("into a folder that is not empty: %v", err)
	}
	used := dbtest.PostgresURL(t)
	if _, _, err := restored(t, cfg, at, "", used); err != nil {
		t.Fatal(err)
	}
	if _, _, err := restored(t, cfg, at, "", used); !fault.Is(err, fault.Invalid) {
		t.Errorf("into a database that is not empty: %v", err)
	}
	// Everything is as it was: it is restored.
	if _, got, err := restored(t, cfg, at, r.Backup, ""); err != nil || got.Manifest.Total() != 5 {
		t.Errorf("put back: %v", err)
	}
}

// Who was erased after a backup stays erased when that backup is restored, for the newest keys serve.
func TestErasureReachesBackups(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Demo = t.TempDir(), true
		n, stop := run(t, cfg)
		several(t, n, 0, 3)
		at := elsewhere(t)
		old := backUp(t, cfg, at)
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		gone := all[1]
		s, err := n.Stores.Subjects.Get(t.Context(), gone.Subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Stores.Ring.Destroy(t.Context(), keys.ID(s.Key)); err != nil {
			t.Fatal(err)
		}
		backUp(t, cfg, at)
		stop()
		there, r, err := restored(t, cfg, at, old.Backup, "")
		if err != nil || r.Erased != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		m, end := run(t, there)
		defer end()
		if got := check(t, m); got.Objects != 2 || got.Erased != 1 {
			t.Errorf("verified: %+v", got)
		}
		now, err := m.Stores.Catalogue.All(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range now {
			if (l.State == policy.Withdrawn) != (l.Subject == gone.Subject) {
				t.Errorf("object %s is %v", l.ID, l.State)
			}
		}
		var s2 subject.Subject
		if s2, err = m.Stores.Subjects.Get(t.Context(), gone.Subject); err != nil || !s2.IsWithdrawn() {
			t.Errorf("the subject is not withdrawn: %v", err)
		}
	})
}

// Who withdrew after a backup stays out of every sight when that backup is restored before their key was destroyed, and the key is destroyed in time all the same.
func TestWithdrawalReachesBackups(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Demo = t.TempDir(), true
		n, stop := run(t, cfg)
		several(t, n, 0, 3)
		at := elsewhere(t)
		old := backUp(t, cfg, at)
		all, err := n.Stores.Catalogue.All(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		gone := all[1]
		s, err := n.Stores.Subjects.Get(t.Context(), gone.Subject)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := n.Consent.Record(t.Context(), keeper, s.Collection, consentflow.Whom{Pseudonym: string(s.Pseudonym)}, consentflow.Said{Withdrawal: judge.FromUse}); err != nil || !o.Out {
			t.Fatalf("%+v, %v", o, err)
		}
		backUp(t, cfg, at)
		stop()
		there, r, err := restored(t, cfg, at, old.Backup, "")
		if err != nil || r.Erased != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		m, end := run(t, there)
		defer end()
		ctx := t.Context()
		if got, err := m.Stores.Subjects.Get(ctx, s.ID); err != nil || !got.IsWithdrawn() {
			t.Errorf("the subject is not withdrawn: %v", err)
		}
		if _, _, err := m.Stores.Gate.Enter(ctx, s.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("the gate is open: %v", err)
		}
		now, err := m.Stores.Catalogue.All(ctx, 0, 10)
		if err != nil || len(now) != 3 {
			t.Fatal(len(now), err)
		}
		for _, l := range now {
			if (l.State == policy.Withdrawn) != (l.Subject == s.ID) {
				t.Errorf("object %s is %v", l.ID, l.State)
			}
		}
		if _, err := m.Stores.Ring.Get(ctx, keys.ID(s.Key)); !fault.Is(err, fault.NotFound) {
			t.Errorf("its key is given: %v", err)
		}
		// Nothing more of them is taken.
		a, err := network.Dial(ctx, m.DICOMAddr(), network.DialOptions{CallingAE: "SENDER", CalledAE: "VITRINE", Contexts: []network.Proposal{{AbstractSyntax: ctClass, TransferSyntaxes: []string{dicom.ExplicitVRLittleEndianUID}}}})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Abort()
		if st, err := a.Store(ctx, ct(t, "1.2.3.9", "1.2.3.9.1.1", func(b *dicom.Builder) { b.String(dicom.TagPatientID, "P-1") })); err != nil || st.Done() {
			t.Errorf("it is taken: %v, %v", st, err)
		}
		w, err := m.Consent.Consent.WithdrawalOf(ctx, s.ID)
		if err != nil || w.Instances != 1 || !w.Erased.IsZero() {
			t.Fatalf("%+v, %v", w, err)
		}
		later := m.Consent.Parts
		later.Now = func() time.Time { return time.Now().Add(consentflow.Hold + time.Hour) }
		if err := consentflow.New(later).Handlers()["erase a subject"](ctx, fmt.Sprint(w.ID), nil); err != nil {
			t.Fatal(err)
		}
		if mark, err := m.Stores.Ring.Marked(ctx, keys.ID(s.Key)); err != nil || mark.Destroyed.IsZero() {
			t.Errorf("%+v, %v", mark, err)
		}
		if got := check(t, m); got.Objects != 2 || got.Erased != 1 {
			t.Errorf("verified: %+v", got)
		}
	})
}

// What is kept of backups never lacks a pack; a backup that was cut off is none, and what it left is used or removed.
func TestPruneBackups(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Demo: true}
	n, stop := run(t, cfg)
	defer stop()
	at := elsewhere(t)
	var names []string
	for i := range 5 {
		several(t, n, 2*i, 2*i+2)
		if i%2 == 1 {
			if err := n.Stores.Packs.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		names = append(names, backUp(t, cfg, at).Backup)
	}
	// One that was cut off before its manifest.
	cut := filepath.Join(at.To, "backups", "20990101T000000.000000Z")
	if err := os.MkdirAll(cut, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(cut, "records"), filepath.Join(at.To, "packs", strings.Repeat("ab", 16)+".pack")} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, removed, err := PruneBackups(t.Context(), cfg, at, keeper, backup.Retention{Last: 2})
	if err != nil || kept != 2 || removed != 3 {
		t.Fatalf("%d kept, %d removed, %v", kept, removed, err)
	}
	if _, err := os.Stat(cut); !os.IsNotExist(err) {
		t.Error("what was cut off is there")
	}
	for i, name := range names {
		_, r, err := restored(t, cfg, at, name, "")
		if i < 3 != (err != nil) {
			t.Errorf("backup %d: %v", i, err)
		}
		if err == nil && r.Manifest.Total() != int64(2*i+2) {
			t.Errorf("backup %d has %d objects", i, r.Manifest.Total())
		}
	}
	if left, err := os.ReadDir(filepath.Join(at.Keys, "keys")); err != nil || len(left) != 2 {
		t.Errorf("%d files of keys, %v", len(left), err)
	}
	// Keys that are older than an erasure may take go, but for the newest.
	if _, _, err := PruneBackups(t.Context(), cfg, at, keeper, backup.Retention{Last: 2, Erase: time.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(at.Keys, "keys")); err != nil || len(left) != 1 {
		t.Errorf("%d files of keys, %v", len(left), err)
	}
	if _, _, err := restored(t, cfg, at, "", ""); err != nil {
		t.Errorf("with the newest keys: %v", err)
	}
}

// A drill says that a good backup is good, and a bad one bad, leaves nothing behind, and is noted.
func TestDrill(t *testing.T) {
	each(t, func(t *testing.T, cfg Config) {
		cfg.Data, cfg.Demo = t.TempDir(), true
		n := start(t, cfg)
		several(t, n, 0, 4)
		at, scratch := elsewhere(t), t.TempDir()
		backUp(t, cfg, at)
		several(t, n, 4, 5)
		d, err := Drill(t.Context(), cfg, at, "", scratch, keeper, Watch{})
		if err != nil || !d.Good() || d.Compared != 4 || d.Objects != 4 {
			t.Fatalf("%+v, %v", d, err)
		}
		noted := func(outcome string) {
			t.Helper()
			g, ok, err := n.Stores.Audit.Latest(t.Context(), backup.DrillAction, 100)
			if err != nil || !ok || g.Outcome != outcome {
				t.Errorf("noted: %+v, %v, %v", g, ok, err)
			}
		}
		noted("done")
		packs, err := filepath.Glob(filepath.Join(at.To, "p*", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if more, _ := filepath.Glob(filepath.Join(at.To, "packs", "*")); len(more) > 0 {
			packs = append(packs, more...)
		}
		f, err := os.OpenFile(packs[0], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 5000); err != nil {
			t.Fatal(err)
		}
		f.Close()
		bad, err := Drill(t.Context(), cfg, at, "", scratch, keeper, Watch{})
		if err != nil || bad.Good() {
			t.Errorf("%+v, %v", bad, err)
		}
		noted("1 differences")
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("%d folders are left, %v", len(left), err)
		}
	})
}

// A damaged pack is backed up as it is and named; a good copy of an earlier backup is kept.
func TestBackUpOfDamage(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Demo: true}
	n, stop := run(t, cfg)
	several(t, n, 0, 3)
	before, after := elsewhere(t), elsewhere(t)
	stop()
	backUp(t, cfg, before)
	packs, err := filepath.Glob(filepath.Join(cfg.Data, "packs", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	whole, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(whole)
	bad[5000] ^= 1
	if err := os.WriteFile(packs[0], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := backUp(t, cfg, before); len(r.Damaged) != 0 {
		t.Errorf("the good copy is there: %+v", r)
	}
	for range 2 {
		if r := backUp(t, cfg, after); len(r.Damaged) != 1 {
			t.Errorf("it is not named: %+v", r)
		}
	}
	if d, err := Drill(t.Context(), cfg, after, "", t.TempDir(), keeper, Watch{}); err != nil || d.Good() {
		t.Errorf("%+v, %v", d, err)
	}
	if err := os.Remove(packs[0]); err != nil {
		t.Fatal(err)
	}
	lost := elsewhere(t)
	if r := backUp(t, cfg, lost); len(r.Missing) != 1 {
		t.Errorf("a lost pack is not named: %+v", r)
	}
	if r := backUp(t, cfg, before); len(r.Missing) != 0 {
		t.Errorf("it is in the place: %+v", r)
	}
	there, _, err := restored(t, cfg, before, "", "")
	if err != nil {
		t.Fatal(err)
	}
	m, end := run(t, there)
	defer end()
	if got := check(t, m); got.Objects != 3 {
		t.Errorf("verified: %+v", got)
	}
}

func TestBackUpIsLoggedAndAllowed(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Demo: true}
	n, stop := run(t, cfg)
	defer stop()
	at := elsewhere(t)
	r := backUp(t, cfg, at)
	g, ok, err := n.Stores.Audit.Latest(t.Context(), backup.Action, 100)
	if err != nil || !ok || g.Outcome != "done" || g.Object != "backup "+r.Backup {
		t.Errorf("logged: %+v %v %v", g, ok, err)
	}
	if _, err := BackUp(t.Context(), cfg, at, admin.Caller{Actor: "nobody"}, backup.Retention{}, Watch{}); !fault.Is(err, fault.Denied) {
		t.Errorf("nobody may: %v", err)
	}
	if _, err := BackUp(t.Context(), cfg, Places{cfg.Data, at.Keys}, keeper, backup.Retention{}, Watch{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("into the data folder: %v", err)
	}
	// Another node's place is no place for this one.
	other := Config{Data: t.TempDir(), Demo: true}
	_, stopOther := run(t, other)
	defer stopOther()
	if _, err := BackUp(t.Context(), other, at, keeper, backup.Retention{}, Watch{}); !fault.Is(err, fault.Denied) {
		t.Errorf("into another node's place: %v", err)
	}
}
