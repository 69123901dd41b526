package offline

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/base/durable"
)

// folder is the output folder. Files are written under a temporary name, a batch of them is brought to stable storage at once, and only then do they get their
// names: whatever has its name is whole, even after a power cut. One batch is on its way to the disk while the next is written.
type folder struct {
	root string

	mu      sync.Mutex
	pending batch
	bytes   int64
	failed  error           // why a batch could not be committed
	names   map[string]bool // those that are committed

	batches chan batch // for the one who commits them
	done    chan struct{}
}

type batch []pending

type pending struct {
	temp, name string
	file       *os.File // open until it is on stable storage, so that no error of writing it is lost
}

// A batch is committed when it has so many files or bytes. Its files are synced beside each other: a file system then records them together.
const (
	batchFiles = 256
	batchBytes = 1 << 30
	syncers    = 32
)

var errDiffers = errors.New("the file is there already, and differs")

const tempPrefix = ".vitrine-"

func openFolder(root string) (*folder, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	f := &folder{root: root, names: map[string]bool{}, batches: make(chan batch), done: make(chan struct{})}
	// What a run that was killed left behind.
	left, err := filepath.Glob(filepath.Join(root, tempPrefix+"*.tmp"))
	if err != nil {
		return nil, err
	}
	for _, p := range left {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	go func() {
		defer close(f.done)
		for b := range f.batches {
			f.mu.Lock()
			failed := f.failed
			f.mu.Unlock()
			if failed == nil {
				failed = f.keep(b)
			}
			for _, p := range b {
				p.file.Close()
				if failed != nil {
					os.Remove(p.temp) // unless it has its name
				}
			}
			f.mu.Lock()
			f.failed = failed
			f.mu.Unlock()
		}
	}()
	return f, nil
}

// write makes a file by calling fill, through the buffer. If the same file is there already, nothing is done.
func (f *folder) write(name string, w *bufio.Writer, fill func(io.Writer) error) (err error) {
	path := filepath.Join(f.root, filepath.FromSlash(name))
	if fi, err := os.Lstat(path); err == nil {
		if !fi.Mode().IsRegular() {
			return errDiffers
		}
		same, err := sameAs(path, fill)
		if err != nil {
			return err
		}
		if !same {
			return errDiffers
		}
		f.mu.Lock()
		f.names[name] = true
		f.mu.Unlock()
		return nil
	}
	var random [8]byte
	rand.Read(random[:])
	temp := filepath.Join(f.root, tempPrefix+hex.EncodeToString(random[:])+".tmp")
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			out.Close()
			os.Remove(temp)
		}
	}()
	w.Reset(onlyWriter{out}) // what is read goes straight into its buffer
	if err = fill(w); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	size, err := out.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	writeBack(out)
	f.mu.Lock()
	f.pending = append(f.pending, pending{temp, name, out})
	f.bytes += size
	failed := f.failed
	var full batch
	if len(f.pending) >= batchFiles || f.bytes >= batchBytes {
		full, f.pending, f.bytes = f.pending, nil, 0
	}
	f.mu.Unlock()
	if full != nil {
		f.batches <- full
	}
	return failed // of others; it is among what is pending all the same
}

// commit brings all that is written to stable storage, under its names, and ends the folder: nothing is written any more.
func (f *folder) commit() error {
	f.mu.Lock()
	last := f.pending
	f.pending = nil
	f.mu.Unlock()
	f.batches <- last
	close(f.batches)
	<-f.done
	return f.failed
}

// keep commits a batch.
func (f *folder) keep(b batch) error {
	var (
		wg    sync.WaitGroup
		errs  = make([]error, len(b))
		slots = make(chan struct{}, syncers)
	)
	for i, p := range b {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = p.file.Sync()
			<-slots
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the output cannot be brought to stable storage: %w", withoutPath(err))
	}
	dirs := map[string]bool{}
	for _, p := range b {
		path := filepath.Join(f.root, filepath.FromSlash(p.name))
		dir := filepath.Dir(path)
		if !dirs[dir] {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return withoutPath(err)
			}
			for d := dir; !dirs[d]; d = filepath.Dir(d) {
				dirs[d] = true
				if d == filepath.Clean(f.root) {
					break
				}
			}
		}
		if err := os.Rename(p.temp, path); err != nil {
			return withoutPath(err)
		}
		f.mu.Lock()
		f.names[p.name] = true
		f.mu.Unlock()
	}
	for dir := range dirs {
		if err := durable.Folder(dir); err != nil {
			return withoutPath(err)
		}
	}
	return nil
}

// onlyWriter hides that a file can read from others: it would do so by 32 kB.
type onlyWriter struct{ io.Writer }

func (f *folder) committed(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[name]
}
