package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func master(t testing.TB) *Master {
	t.Helper()
	m, err := CreateMaster(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMasterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	m, err := CreateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", fi.Mode())
	}
	again, err := LoadMaster(path)
	if err != nil || again.derive("a") != m.derive("a") {
		t.Errorf("loaded another key (%v)", err)
	}
	if m.derive("a") == m.derive("b") || m.derive("a") == m.key {
		t.Error("purposes share a key")
	}
	if _, err := CreateMaster(path); !fault.Is(err, fault.Conflict) {
		t.Errorf("overwriting: %v", err)
	}
	os.Chmod(path, 0o644)
	if _, err := LoadMaster(path); !fault.Is(err, fault.Denied) {
		t.Errorf("readable by others: %v", err)
	}
	os.Chmod(path, 0o440)
	if _, err := LoadMaster(path); err != nil {
		t.Errorf("a mounted secret: %v", err)
	}
	if _, err := LoadMaster(path + "x"); !fault.Is(err, fault.NotFound) {
		t.Errorf("absent: %v", err)
	}
}

func FuzzParseMaster(f *testing.F) {
	good := masterVersion + "\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	f.Add(good)
	f.Add(masterVersion + "\r\n  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n\n")
	f.Add(strings.TrimSuffix(good, "Hh8=\n"))
	f.Add("vitrine-master-key-2\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMaster("key", text)
		if (m == nil) == (err == nil) {
			t.Fatal("neither a key nor an error, or both")
		}
		if err != nil && len(text) > 60 && strings.Contains(err.Error(), text[21:60]) {
			t.Fatal("the error shows the file")
		}
	})
}

func TestWrap(t *testing.T) {
	m, other := master(t), master(t)
	rapid.Check(t, func(t *rapid.T) {
		key := Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		about := rapid.String().Draw(t, "about")
		w := m.wrap(key, about)
		if bytes.Contains(w, key[:8]) {
			t.Fatal("in clear")
		}
		if got, err := m.unwrap(w, about); err != nil || got != key {
			t.Fatalf("unwrap: %v", err)
		}
		if _, err := m.unwrap(w, about+"x"); err == nil {
			t.Fatal("unwrapped as another's")
		}
		if _, err := other.unwrap(w, about); err == nil {
			t.Fatal("unwrapped by another master key")
		}
		bit := rapid.IntRange(0, len(w)*8-1).Draw(t, "bit")
		w[bit/8] ^= 1 << (bit % 8)
		if _, err := m.unwrap(w, about); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("changed: %v", err)
		}
		if _, err := m.unwrap(w[:rapid.IntRange(0, len(w)-1).Draw(t, "length")], about); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("cut: %v", err)
		}
	})
}

func TestKeysDoNotPrint(t *testing.T) {
	key := Key(bytes.Repeat([]byte("K"), 32))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%v %+v %#v %s %x %d %q", key, &key, key, key, key, key, struct{ K Key }{key})
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "key", key)
	if j, err := json.Marshal(key); err == nil {
		t.Errorf("JSON gives %s", j)
	}
	for _, s := range []string{"KKKK", "4b4b", "75 75", "S0tL"} {
		if strings.Contains(b.String(), s) {
			t.Errorf("it printed: %s", b.String())
		}
	}
}

func TestParseID(t *testing.T) {
	id := ID{1, 2, 0xff}
	if got, err := ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v %v", got, err)
	}
	for _, s := range []string{"", "xx", strings.Repeat("z", 32), strings.Repeat("A", 32), strings.Repeat("0", 33), strings.Repeat("0", 34)} {
		if _, err := ParseID(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func eachRing(t *testing.T, test func(t *testing.T, address string, m *Master, open func(*Master) (*Ring, error))) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		test(t, address, master(t), func(m *Master) (*Ring, error) {
			return OpenRing(t.Context(), dbtest.Open(t, address, db.Durable, db.SecureDelete), m)
		})
	})
}

func TestRing(t *testing.T) {
	eachRing(t, func(t *testing.T, address string, m *Master, open func(*Master) (*Ring, error)) {
		ctx := t.Context()
		r, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		id, key, err := r.New(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, err := second.Get(ctx, id); err != nil || got != key {
				t.Errorf("another process: %v", err)
			}
		}
		if _, err := open(master(t)); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "not the master key") {
			t.Errorf("wrong master: %v", err)
		}
		if _, err := r.Get(ctx, ID{9}); !fault.Is(err, fault.NotFound) {
			t.Errorf("unknown: %v", err)
		}
		if err := r.Destroy(ctx, ID{9}); !fault.Is(err, fault.NotFound) {
			t.Errorf("destroy unknown: %v", err)
		}

		wrapped := hexOf(t, r, id)
		if err := r.Destroy(ctx, id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Get(ctx, id); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "destroyed") {
			t.Errorf("after destruction: %v", err)
		}
		if err := r.Destroy(ctx, id); err != nil {
			t.Errorf("again: %v", err)
		}
		if at, gone, err := r.Destroyed(ctx, id); !gone || err != nil || time.Since(at) > time.Minute {
			t.Errorf("tombstone: %v %v %v", at, gone, err)
		}
		// The other process hears of it once its memory has faded.
		second.now = func() time.Time { return time.Now().Add(Remembered + time.Second) }
		if _, err := second.Get(ctx, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("other process after destruction: %v", err)
		}
		if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
			raw, _ := hex.DecodeString(wrapped)
			for _, suffix := range []string{"", "-wal"} {
				b, err := os.ReadFile(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(b, raw) {
					t.Errorf("the wrapped key is still in the file%s", suffix)
				}
			}
		}
	})
}

// A suspended key is there and given to nobody; rotation wraps it anew, and it can still be destroyed.
func TestSuspend(t *testing.T) {
	eachRing(t, func(t *testing.T, _ string, m *Master, open func(*Master) (*Ring, error)) {
		ctx := t.Context()
		r, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		other, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		id, _, err := r.New(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stays, _, err := r.New(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Get(ctx, id); err != nil { // it remembers it
			t.Fatal(err)
		}
		wrapped := hexOf(t, r, id)
		for range 2 {
			if err := r.Suspend(ctx, id); err != nil {
				t.Error(err)
			}
			if _, err := r.Get(ctx, id); !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "suspended") {
				t.Errorf("a suspended key is given: %v", err)
			}
		}
		other.now = func() time.Time { return time.Now().Add(Remembered + time.Second) }
		if _, err := other.Get(ctx, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("another process gives it: %v", err)
		}
		if hexOf(t, r, id) != wrapped {
			t.Error("it was changed")
		}
		if _, err := r.Get(ctx, stays); err != nil {
			t.Errorf("another key: %v", err)
		}
		if err := r.Suspend(ctx, ID{9}); !fault.Is(err, fault.NotFound) {
			t.Errorf("suspend unknown: %v", err)
		}
		if _, err := r.Marked(ctx, ID{9}); !fault.Is(err, fault.NotFound) {
			t.Errorf("unknown: %v", err)
		}
		known, err := r.Known(ctx)
		if err != nil || len(known) != 2 || known[id].Suspended.IsZero() || !known[id].Destroyed.IsZero() || known[stays].Gone() {
			t.Errorf("%+v, %v", known, err)
		}
		if err := r.Destroy(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := r.Suspend(ctx, id); err != nil {
			t.Errorf("suspend what is destroyed: %v", err)
		}
		if m, err := r.Marked(ctx, id); err != nil || m.Destroyed.IsZero() || !m.Suspended.IsZero() {
			t.Errorf("%+v, %v", m, err)
		}
		if known, err := r.Known(ctx); err != nil || known[id].Destroyed.IsZero() || !known[id].Suspended.IsZero() {
			t.Errorf("%+v, %v", known, err)
		}
	})
}

func hexOf(t *testing.T, r *Ring, id ID) string {
	t.Helper()
	var b []byte
	if err := r.d.QueryRow(t.Context(), `SELECT wrapped FROM subject_key WHERE id = ?`, id.String()).Scan(&b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

func TestKeyOfAnotherSubjectIsRefused(t *testing.T) {
	eachRing(t, func(t *testing.T, _ string, m *Master, open func(*Master) (*Ring, error)) {
		r, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		a, _, _ := r.New(t.Context())
		b, _, _ := r.New(t.Context())
		err = r.d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE subject_key SET wrapped = (SELECT wrapped FROM subject_key WHERE id = ?) WHERE id = ?`, a.String(), b.String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.forget(aboutSubject(b))
		if _, err := r.Get(t.Context(), b); !fault.Is(err, fault.Corrupt) {
			t.Errorf("swapped: %v", err)
		}
		err = r.d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM key_check`); return err })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := open(m); !fault.Is(err, fault.Corrupt) {
			t.Errorf("without its check value: %v", err)
		}
	})
}

func TestCollectionKeyIsOne(t *testing.T) {
	eachRing(t, func(t *testing.T, _ string, m *Master, open func(*Master) (*Ring, error)) {
		var mu sync.Mutex
		seen := map[Key]int{}
		var wg sync.WaitGroup
		for range 3 {
			r, err := open(m)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				wg.Go(func() {
					k, err := r.Collection(t.Context(), "trial")
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					seen[k]++
					mu.Unlock()
				})
			}
		}
		wg.Wait()
		if len(seen) != 1 {
			t.Errorf("%d keys of one collection", len(seen))
		}
	})
}

func TestMemoryIsBoundedAndDropsWhatWasDestroyedMeanwhile(t *testing.T) {
	r := &Ring{now: time.Now, memory: map[string]remembered{}}
	_, epoch, _ := r.recall("")
	for i := range maxRemembered + 10 {
		r.remember(fmt.Sprint(i), Key{}, epoch)
	}
	if len(r.memory) != maxRemembered {
		t.Errorf("remembers %d", len(r.memory))
	}
	r.forget("a")
	r.remember("a", Key{}, epoch) // read before the destruction
	if _, _, ok := r.recall("a"); ok {
		t.Error("a key outlived its destruction in memory")
	}
}

func TestRingWantsDurability(t *testing.T) {
	for _, opts := range [][]db.Option{{}, {db.Durable}, {db.SecureDelete}} {
		if _, err := OpenRing(t.Context(), dbtest.SQLite(t, opts...), master(t)); !fault.Is(err, fault.Invalid) {
			t.Errorf("opened: %v", err)
		}
	}
}

// A collection's key that was made elsewhere is taken once, by a ring that has none of it, and never exchanged.
func TestAdopt(t *testing.T) {
	eachRing(t, func(t *testing.T, address string, m *Master, open func(*Master) (*Ring, error)) {
		r, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		key := Key{1, 2, 3}
		for range 2 {
			if err := r.Adopt(t.Context(), "breast", key); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Adopt(t.Context(), "breast", Key{4}); !fault.Is(err, fault.Conflict) {
			t.Errorf("another: %v", err)
		}
		again, err := open(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.Collection(t.Context(), "breast"); err != nil || got != key {
			t.Errorf("another key is kept: %v", err)
		}
		own, err := again.Collection(t.Context(), "lung")
		if err != nil || own == key {
			t.Fatal(err)
		}
		if err := again.Adopt(t.Context(), "lung", key); !fault.Is(err, fault.Conflict) {
			t.Errorf("over one that was made here: %v", err)
		}
		var stored []byte
		if err := r.d.QueryRow(t.Context(), `SELECT wrapped FROM collection_key WHERE id = ?`, "breast").Scan(&stored); err != nil || bytes.Contains(stored, key[:]) {
			t.Errorf("it lies in clear: %v", err)
		}
	})
}
