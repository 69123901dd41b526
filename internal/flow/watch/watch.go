// Package watch takes what programs that know nothing else put into a folder: scanners' exports, scripts, old software.
//
// It promises: a file is taken when it has not changed for a while, and removed when it is on stable storage, cleaned or held; what is refused is moved aside, to lie where a
// person finds it. What cannot be kept now stays and is tried again. A file is never followed out of its folder.
//
// It cannot keep the promise that nothing identifiable is ever on a disk in clear: the files are there before they come to it, under names that somebody chose. Removing them
// takes their names away, not the blocks of the disk. Who needs that promise sends by DICOM, HTTP or SFTP.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

// Refused is the folder, within the one that is watched, that what is refused is moved to.
const Refused = "refused"

// Folder is one that is watched.
type Folder struct {
	Path       string
	Collection collection.ID
	Every      time.Duration // how often it is looked at; default 5 s
	Still      time.Duration // how long a file has not to change; default 10 s
	Quiet      time.Duration // after which a deposit ends of which nothing more comes; default a minute
	Log        *slog.Logger
	Custody    *custody.Custody
	Take       func(ctx context.Context, dep *custody.Deposit, file *File) (fate string, reasons []catalogue.Reason, err error)
}

// File is an open file of a folder.
type File struct {
	*os.File
	size int64
}

// Size is what it had when it was opened.
func (f *File) Size() int64 { return f.size }

// seen is how a file stood when it was last looked at.
type seen struct {
	size  int64
	mod   time.Time
	since time.Time
}

// Check says whether a folder can be watched: it is there, and files can be taken out of it.
func Check(path string) error {
	const attempt = "watch folder"
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return fault.New(fault.Invalid, attempt, "", "a folder that is to be watched is not there")
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return fault.New(fault.Invalid, attempt, "", "a folder that is to be watched cannot be read and written: what is taken is removed from it")
	}
	return nil
}

// Run watches until ctx ends.
func (f *Folder) Run(ctx context.Context) error {
	for _, d := range []struct {
		of *time.Duration
		to time.Duration
	}{{&f.Every, 5 * time.Second}, {&f.Still, 10 * time.Second}, {&f.Quiet, time.Minute}} {
		if *d.of <= 0 {
			*d.of = d.to
		}
	}
	w := &watching{Folder: f, files: map[string]seen{}}
	defer w.end()
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

type watching struct {
	*Folder
	files map[string]seen
	dep   *custody.Deposit
	last  time.Time // when something was taken
	told  string    // the trouble that was logged last
}

// trouble logs what keeps the folder from being taken, once.
func (w *watching) trouble(text string, err error) {
	if w.told == text {
		return
	}
	w.told = text
	if text != "" {
		w.Log.Warn(text, "collection", string(w.Collection), "error", err)
	}
}

// look goes through the folder once.
func (w *watching) look(ctx context.Context) {
	now := time.Now()
	there := map[string]seen{}
	well := true
	err := filepath.WalkDir(w.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return ctx.Err() // what cannot be read now is looked at again
		}
		name := e.Name()
		if e.IsDir() {
			if path != w.Path && (strings.HasPrefix(name, ".") || path == filepath.Join(w.Path, Refused)) {
				return fs.SkipDir
			}
			return nil
		}
		if !e.Type().IsRegular() || unfinished(name) {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil
		}
		s, known := w.files[path]
		if !known || s.size != info.Size() || !s.mod.Equal(info.ModTime()) {
			s = seen{info.Size(), info.ModTime(), now}
		}
		there[path] = s
		if well && now.Sub(s.since) >= w.Still {
			if w.take(ctx, path) {
				delete(there, path)
			} else {
				well = false // nothing can be kept now: the others wait as well
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		w.trouble("a watched folder cannot be read", causeOf(err))
	}
	w.files = there
	if w.dep != nil && now.Sub(w.last) > w.Quiet {
		w.end()
	}
}

// unfinished reports the names that programs give to files which are not whole.
func unfinished(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".part", ".filepart", ".tmp", ".crdownload", ".partial":
		return true
	}
	return strings.HasPrefix(name, ".")
}

func (w *watching) end() {
	if w.dep != nil {
		w.dep.End()
		w.dep = nil
	}
}

// take gives one file to custody; false if it cannot be kept now.
func (w *watching) take(ctx context.Context, path string) bool {
	f, err := open(path)
	if err != nil {
		w.trouble("a file of a watched folder cannot be read", causeOf(err))
		return true // the others may be
	}
	defer f.Close()
	if w.dep == nil {
		if w.dep, err = w.Custody.Begin(ctx, w.Collection, custody.DoorFolder, "folder"); err != nil {
			w.trouble("what lies in a watched folder cannot be taken now", err)
			return false
		}
	}
	fate, reasons, err := w.Take(ctx, w.dep, f)
	if err != nil {
		if ctx.Err() == nil {
			w.trouble("what lies in a watched folder cannot be kept now", err)
		}
		return false
	}
	w.last = time.Now()
	w.trouble("", nil)
	if now, err := os.Lstat(path); err != nil || now.Size() != f.size { // somebody goes on writing it: what is there now is another file
		return true
	}
	if fate != "refused" {
		err = os.Remove(path)
	} else {
		code := ""
		if len(reasons) > 0 {
			code = reasons[0].Code
		}
		w.Log.Info("a file of a watched folder was refused and moved aside", "collection", string(w.Collection), "code", code)
		err = w.aside(path)
	}
	if err != nil {
		w.trouble("a file of a watched folder was taken and cannot be removed: it will be taken again and again, which does no harm", causeOf(err))
	}
	return true
}

// aside moves what was refused to where a person finds it, without writing over another.
func (w *watching) aside(path string) error {
	to := filepath.Join(w.Path, Refused)
	rel, err := filepath.Rel(w.Path, path)
	if err != nil {
		return err
	}
	to = filepath.Join(to, rel)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		to += "." + time.Now().UTC().Format("20060102T150405.000000")
	}
	return os.Rename(path, to)
}

// open opens a regular file, and nothing that a link or a pipe of its name would lead to.
func open(path string) (*File, error) {
	fd, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	st, err := fd.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(errors.New("it is no regular file"), err, fd.Close())
	}
	return &File{fd, st.Size()}, nil
}

// causeOf keeps a path out of an error: it may name a patient.
func causeOf(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return l.Err
	}
	return errors.New("it cannot be read or moved")
}
