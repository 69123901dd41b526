package watch_test

import (
	"archive/zip"
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/watch"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

func file(t *testing.T, seed uint64) []byte {
	t.Helper()
	for s := range sample.Studies(seed) {
		in, err := s.Instance(0)
		if err != nil {
			t.Fatal(err)
		}
		return in.File()
	}
	return nil
}

func put(t *testing.T, b []byte, path ...string) string {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func gone(p string) bool { _, err := os.Lstat(p); return err != nil }

func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(20 * time.Second); !so(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}

// What is put into the folder is taken when it is still, and removed; what is refused is moved aside; what is not whole, hidden or a link is left alone. No name is logged.
func TestWatch(t *testing.T) {
	var log buffer
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Demo: true, DICOM: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- n.Run(ctx) }()
	dir := t.TempDir()
	f := &watch.Folder{Path: dir, Collection: collection.Default, Every: 10 * time.Millisecond, Still: 50 * time.Millisecond, Quiet: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)), Custody: n.Custody,
		Take: func(ctx context.Context, dep *custody.Deposit, f *watch.File) (string, []catalogue.Reason, error) {
			return n.Uploads.Take(ctx, dep, f)
		}}
	inner, stop := context.WithCancel(context.Background())
	go func() { done <- f.Run(inner) }()
	defer func() {
		stop()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	for i, name := range []string{"a", "Holloway^Jane"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(file(t, uint64(i+3)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	one, two, three := put(t, file(t, 1), dir, "Holloway.dcm"), put(t, file(t, 2), dir, "Holloway Jane", "IM2"), put(t, zipped.Bytes(), dir, "disc.zip")
	bad := put(t, []byte("Holloway, Jane: please call"), dir, "Holloway Jane", "note.txt")
	part, hidden := put(t, file(t, 1), dir, "IM9.part"), put(t, file(t, 1), dir, ".hidden", "IM8")
	outside := put(t, file(t, 5), t.TempDir(), "outside")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	until(t, "taken", func() bool { return gone(one) && gone(two) && gone(three) && gone(bad) })
	if gone(part) || gone(hidden) || gone(outside) || gone(link) {
		t.Error("what is not to be taken was")
	}
	if gone(filepath.Join(dir, watch.Refused, "Holloway Jane", "note.txt")) {
		t.Error("what was refused is nowhere")
	}
	again := put(t, []byte("another"), dir, "Holloway Jane", "note.txt")
	until(t, "moved aside beside the first", func() bool {
		all, err := os.ReadDir(filepath.Join(dir, watch.Refused, "Holloway Jane"))
		return err == nil && len(all) == 2 && gone(again)
	})
	until(t, "the deposits end", func() bool {
		all, err := n.Stores.Catalogue.Deposits(t.Context(), collection.Default, "", 0, 10)
		if err != nil || len(all) == 0 {
			return false
		}
		total, refused := int64(0), int64(0)
		for _, d := range all {
			if d.Ended.IsZero() || d.Door != "folder" {
				return false
			}
			total, refused = total+d.Counts.Received, refused+d.Counts.Refused
		}
		return total == 4+2 && refused == 2
	})
	if strings.Contains(log.text(), "Holloway") || strings.Contains(log.text(), dir) {
		t.Errorf("the log has a name: %s", log.text())
	}
}

func TestCheck(t *testing.T) {
	if err := watch.Check(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is watched")
	}
	if err := watch.Check(put(t, nil, t.TempDir(), "file")); err == nil {
		t.Error("a file is watched")
	}
	if err := watch.Check(t.TempDir()); err != nil {
		t.Error(err)
	}
}
