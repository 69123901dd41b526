package node

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// A folder is one node's: a second one is refused, with the packs linked from elsewhere too, until the first has ended.
func TestOneNodeServesFromAFolder(t *testing.T) {
	dir := t.TempDir()
	_, stop := run(t, Config{Data: dir})
	refused := func(cfg Config) {
		t.Helper()
		cfg.Demo, cfg.DICOM = true, "127.0.0.1:0"
		n, err := New(t.Context(), cfg)
		if err == nil {
			_ = n.close()
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "another node serves from it") {
			t.Errorf("a second node got %v", err)
		}
	}
	refused(Config{Data: dir})
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	refused(Config{Data: link})
	other := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "packs"), filepath.Join(other, "packs")); err != nil {
		t.Fatal(err)
	}
	refused(Config{Data: other})
	// Commands on the same folder go on working.
	s, err := OpenStores(t.Context(), Config{Data: dir, Demo: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stop()
	_, stop = run(t, Config{Data: dir})
	stop()
}

// Nodes with folders of their own share a database and a bucket.
func TestNodesShareADatabase(t *testing.T) {
	cfg := Config{Database: dbtest.PostgresURL(t), Bucket: "file://" + t.TempDir() + "?no_tmp_dir=true", Key: filepath.Join(t.TempDir(), "key")}
	for range 2 {
		cfg.Data = t.TempDir()
		_, stop := run(t, cfg)
		defer stop()
	}
}

// The lock is the process's: when it is killed, the next node starts.
func TestAKilledNodeLocksNothing(t *testing.T) {
	dir := t.TempDir()
	if os.Getenv("VITRINE_TEST_LOCK") != "" { // the child
		h, err := lockFolder(os.Getenv("VITRINE_TEST_LOCK"))
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent is
		h.release()
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAKilledNodeLocksNothing$")
	c.Env = append(os.Environ(), "VITRINE_TEST_LOCK="+dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if _, err := lockFolder(dir); !fault.Is(err, fault.Invalid) {
		t.Errorf("beside a living process: %v", err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	h, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	h.release()
}
