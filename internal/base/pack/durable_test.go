package pack

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
)

// watched is a folder that knows which bytes a power cut would take: those written since their file was last synced, and names since the folder was.
type watched struct {
	folder
	mu      sync.Mutex
	dirty   map[*watchedFile]bool
	names   bool
	headers int // record headers written over a body that was not synced
}

type watchedFile struct {
	file
	d *watched
}

func (d *watched) create(name string) (file, error) {
	f, err := d.folder.create(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = true
	return &watchedFile{f, d}, nil
}

func (d *watched) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = true
	return d.folder.rename(from, to)
}

func (d *watched) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = false
	return d.folder.sync()
}

func (f *watchedFile) writeAt(bufs [][]byte, off int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off == block && f.d.dirty[f] {
		f.d.headers++
	}
	f.d.dirty[f] = true
	return f.file.writeAt(bufs, off)
}

func (f *watchedFile) sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.dirty, f)
	return f.file.sync()
}

func (f *watchedFile) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	delete(f.d.dirty, f)
	return f.file.Close()
}

func (d *watched) settled(t *testing.T, when string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.dirty) != 0 || d.names {
		t.Errorf("%s: %d files are not synced, or the folder is not (%v)", when, len(d.dirty), d.names)
	}
}

func TestNothingIsAcknowledgedBeforeItsSync(t *testing.T) {
	dir := t.TempDir()
	d := &watched{folder: folder(filepath.Join(dir, "packs")), dirty: map[*watchedFile]bool{}}
	openAt(t, dir, Options{}) // makes the folder
	s := openAt(t, dir, Options{disk: d, PackSize: 300 << 10, Committed: func([]Committed) { d.settled(t, "told") }})
	for i := range 60 {
		if _, err := s.Append(context.Background(), record(uint64(i), 10, 2000, 1000*i)); err != nil {
			t.Fatal(err)
		}
		d.settled(t, "appended")
		if i%20 != 0 {
			continue
		}
		st, err := s.Stream(t.Context(), keys.ID{1}, keys.Key{2})
		if err != nil {
			t.Fatal(err)
		}
		st.Write(noise(100_000*i, 1))
		if _, err := st.Commit(t.Context(), []byte("meta"), nil, nil); err != nil {
			t.Fatal(err)
		}
		d.settled(t, "committed")
	}
	if d.headers != 0 {
		t.Errorf("%d headers were written before their bodies were synced", d.headers)
	}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.settled(t, "sealed")
}
