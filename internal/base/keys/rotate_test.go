package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// contents is everything that a ring keeps, to be held against what is there after a change of the master key.
type contents struct {
	subjects map[ID]Key
	trial    Key
	sealed   Key
	derived  Key
	wrapped  []byte
}

const aboutApp = "one-time codes of account a"

func fill(t *testing.T, r *Ring, n int) contents {
	t.Helper()
	c := contents{subjects: map[ID]Key{}, sealed: Key{7}, derived: r.Root().Derive("audit checkpoints")}
	for range n {
		id, key, err := r.New(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.subjects[id] = key
	}
	var err error
	if c.trial, err = r.Collection(t.Context(), "trial"); err != nil {
		t.Fatal(err)
	}
	c.wrapped = r.Root().Wrap(c.sealed, aboutApp)
	return c
}

// whole reports what a ring lacks of the contents.
func (c contents) whole(ctx context.Context, r *Ring) error {
	for id, key := range c.subjects {
		if got, err := r.Get(ctx, id); err != nil || got != key {
			return fmt.Errorf("a subject's key is another: %w", err)
		}
	}
	if got, err := r.Collection(ctx, "trial"); err != nil || got != c.trial {
		return fmt.Errorf("the collection's key is another: %w", err)
	}
	if got, err := r.Root().Unwrap(c.wrapped, aboutApp); err != nil || got != c.sealed {
		return fmt.Errorf("what was wrapped for another room cannot be read: %w", err)
	}
	for _, k := range append(r.Root().Earlier("audit checkpoints"), r.Root().Derive("audit checkpoints")) {
		if k == c.derived {
			return nil
		}
	}
	return fmt.Errorf("what was derived cannot be derived again")
}

func TestRotate(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		ctx := t.Context()
		d := dbtest.Open(t, address, db.Durable, db.SecureDelete)
		dir := t.TempDir()
		from := Place{File: filepath.Join(dir, "master.key")}
		first, err := from.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Unlock(ctx, d, from)
		if err != nil {
			t.Fatal(err)
		}
		kept := fill(t, r, 1200) // over a page
		var some ID
		for some = range kept.subjects {
			break
		}
		before := hexOf(t, r, some)

		c, err := Rotate(ctx, d, from, from)
		if err != nil || c.Resumed || c.Old != first.Fingerprint() || c.New == c.Old {
			t.Fatalf("%+v %v", c, err)
		}
		again, err := Unlock(ctx, d, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := kept.whole(ctx, again); err != nil {
			t.Error(err)
		}
		if again.Root().Derive("audit checkpoints") == kept.derived {
			t.Error("whoever has the old key could derive what is derived now")
		}
		if old, err := (Place{File: c.Kept}).Load(ctx); err != nil || old.Fingerprint() != c.Old {
			t.Errorf("the old key is not kept: %v", err)
		} else if _, err := OpenRing(ctx, d, old); !fault.Is(err, fault.Denied) {
			t.Errorf("the old key opens the ring still: %v", err)
		}
		if after := hexOf(t, again, some); after == before {
			t.Error("a key is wrapped as before")
		}
		if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
			raw, _ := hex.DecodeString(before)
			for _, suffix := range []string{"", "-wal"} {
				if b, _ := os.ReadFile(path + suffix); bytes.Contains(b, raw) {
					t.Errorf("what the old key wrapped is still in the file%s", suffix)
				}
			}
		}

		// A process that did not hear of it writes nothing by the old key, and says why it cannot go on.
		if _, _, err := r.New(ctx); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "start it again") {
			t.Errorf("a key by the old master: %v", err)
		}
		if _, err := r.Collection(ctx, "another"); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a collection's key by the old master: %v", err)
		}
		r.forget(aboutSubject(some))
		if _, err := r.Get(ctx, some); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a key of the new master: %v", err)
		}
		if err := r.rewrap(ctx, first); !fault.Is(err, fault.Unavailable) {
			t.Errorf("another change by the old master: %v", err)
		}

		// To another file, and to one that exists.
		to := Place{File: filepath.Join(dir, "other.key")}
		if _, err := Rotate(ctx, d, from, Place{File: c.Kept}); !fault.Is(err, fault.Conflict) {
			t.Errorf("over an existing file: %v", err)
		}
		c2, err := Rotate(ctx, d, from, to)
		if err != nil || c2.Old != c.New {
			t.Fatalf("%+v %v", c2, err)
		}
		if _, err := os.Stat(from.File); !os.IsNotExist(err) {
			t.Error("the place that was given up holds a key")
		}
		last, err := Unlock(ctx, d, to)
		if err != nil {
			t.Fatal(err)
		}
		if err := kept.whole(ctx, last); err != nil {
			t.Error(err)
		}
		s, err := last.State(ctx)
		if err != nil || len(s.Masters) != 3 || s.Masters[0].Fingerprint != c2.New || !s.Masters[0].Until.IsZero() || s.Masters[1].Fingerprint != c.New || s.Masters[2].Fingerprint != c.Old ||
			s.Masters[0].Since.IsZero() || s.Masters[1].Until.IsZero() || s.Generations != 3 || s.Subjects != 1200 || s.Collections != 1 {
			t.Errorf("%+v %v", s, err)
		}
	})
}

// What root changes, the node reads as before.
func TestChangedKeyKeepsItsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it takes root")
	}
	ctx := t.Context()
	d := dbtest.SQLite(t, db.Durable, db.SecureDelete)
	p := Place{File: filepath.Join(t.TempDir(), "master.key")}
	if _, err := p.Create(ctx); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(p.File, 12345, 12346); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p.File, 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := Unlock(ctx, d, p); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(ctx, d, p, p); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(p.File)
	if err != nil {
		t.Fatal(err)
	}
	if s := fi.Sys().(*syscall.Stat_t); s.Uid != 12345 || s.Gid != 12346 || fi.Mode().Perm() != 0o440 {
		t.Errorf("owner %d:%d, mode %v", s.Uid, s.Gid, fi.Mode())
	}
}

// A ring from before there was a root: what was derived from its master key then is derived still.
func TestRingWithoutRoot(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, address string) {
		ctx := t.Context()
		d := dbtest.Open(t, address, db.Durable, db.SecureDelete)
		place := Place{File: filepath.Join(t.TempDir(), "master.key")}
		m, err := place.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		r, err := OpenRing(ctx, d, m)
		if err != nil {
			t.Fatal(err)
		}
		kept := fill(t, r, 2)
		if r.Root().Derive("x") == m.derive("x") {
			t.Error("the root of a new ring is its master key")
		}
		err = d.Write(ctx, func(tx *db.Tx) error {
			for _, table := range []string{"root_key", "master_key"} {
				if _, err := tx.Exec(`DELETE FROM ` + table); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		kept.wrapped, kept.derived = m.wrap(kept.sealed, aboutApp), m.derive("audit checkpoints")
		for i := range 2 {
			r, err := Unlock(ctx, d, place)
			if err != nil {
				t.Fatal(err)
			}
			if err := kept.whole(ctx, r); err != nil {
				t.Errorf("after %d changes: %v", i, err)
			}
			if s, err := r.State(ctx); err != nil || len(s.Masters) != 1+i || s.Masters[i].Since.IsZero() {
				t.Errorf("%+v %v", s, err)
			}
			if i == 0 {
				if _, err := Rotate(ctx, d, place, place); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

const (
	killAt   = "VITRINE_TEST_KILL_AT"
	killDB   = "VITRINE_TEST_KILL_DB"
	killFrom = "VITRINE_TEST_KILL_FROM"
	killTo   = "VITRINE_TEST_KILL_TO"
)

// TestKilledChange is the process that the next test kills.
func TestKilledChange(t *testing.T) {
	step := os.Getenv(killAt)
	if step == "" {
		t.Skip("it is run by TestRotateKilled, in a process of its own")
	}
	d := dbtest.Open(t, os.Getenv(killDB), db.Durable, db.SecureDelete)
	after = func(at string) {
		if at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	_, err := Rotate(t.Context(), d, Place{File: os.Getenv(killFrom)}, Place{File: os.Getenv(killTo)})
	t.Fatal("it went by the step: ", err)
}

// Killed at any step, all keys are wrapped by one key that lies in its place or beside it; the same command again goes on, and so does a node that starts.
func TestRotateKilled(t *testing.T) {
	for _, same := range []bool{true, false} {
		for _, step := range []string{"begin", "made", "in the middle", "committed", "wrapped", "settled"} {
			if same && step == "settled" {
				continue
			}
			t.Run(fmt.Sprintf("%s, same place %v", step, same), func(t *testing.T) {
				dbtest.EachURL(t, func(t *testing.T, address string) {
					ctx := t.Context()
					dir := t.TempDir()
					from := Place{File: filepath.Join(dir, "master.key")}
					to := from
					if !same {
						to.File = filepath.Join(dir, "next place.key")
					}
					if _, err := from.Create(ctx); err != nil {
						t.Fatal(err)
					}
					d := dbtest.Open(t, address, db.Durable, db.SecureDelete)
					r, err := Unlock(ctx, d, from)
					if err != nil {
						t.Fatal(err)
					}
					kept := fill(t, r, 20)
					old := r.master.Fingerprint()

					cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChange$")
					cmd.Env = append(os.Environ(), killAt+"="+step, killDB+"="+address, killFrom+"="+from.File, killTo+"="+to.File)
					out, err := cmd.CombinedOutput()
					if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
						t.Fatalf("it was not killed: %v\n%s", err, out)
					}

					// A node that starts with the one place or the other finds everything. A copy of the folder, so that the command finds it as it was.
					took := step != "begin" && step != "made" && step != "in the middle"
					place := from
					if took {
						place = to
					}
					other := t.TempDir()
					if err := os.CopyFS(other, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					for _, e := range []string{"master.key", "master.key.next", "next place.key", "next place.key.next"} {
						_ = os.Chmod(filepath.Join(other, e), 0o600)
					}
					started, err := Unlock(ctx, d, Place{File: filepath.Join(other, filepath.Base(place.File))})
					if err != nil {
						t.Fatal(err)
					}
					if err := kept.whole(ctx, started); err != nil {
						t.Error(err)
					}
					if took == (started.master.Fingerprint() == old) {
						t.Error("it is the other key")
					}

					c, err := Rotate(ctx, d, from, to)
					if err != nil || c.Resumed != took {
						t.Fatalf("%+v %v", c, err)
					}
					r, err = Unlock(ctx, d, to)
					if err != nil {
						t.Fatal(err)
					}
					if err := kept.whole(ctx, r); err != nil {
						t.Error(err)
					}
					if s, err := r.State(ctx); err != nil || len(s.Masters) != 2 || s.Masters[0].Fingerprint != c.New || s.Masters[1].Fingerprint != old {
						t.Errorf("%+v %v", s, err)
					}
					if k, err := (Place{File: from.Retired(old)}).Load(ctx); err != nil || k.Fingerprint() != old {
						t.Errorf("the old key is not kept: %v", err)
					}
					names, _ := filepath.Glob(filepath.Join(dir, "*"))
					if len(names) != 2 {
						t.Errorf("left behind: %v", names)
					}
				})
			})
		}
	}
}
