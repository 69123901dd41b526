package sftp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const (
	maxOpen    = 64      // files of one session at a time
	maxNames   = 200_000 // that one session may put, or make
	maxWaiting = 8 << 20 // bytes of a file that have come before what lies ahead of them
)

// drop is one session: what it knows of names it knows for itself, and forgets.
type drop struct {
	*visitor
	ctx context.Context

	mu      sync.Mutex
	batch   catalogue.DepositID
	who     upload.Caller
	into    collection.ID
	ordinal int64
	open    int
	files   map[string]int64 // that were taken, and their sizes: senders look whether all of it has come
	coming  map[string]*file
	folders map[string]bool
}

var errTooMany = errors.New("too many files at a time, or in one session: go on in another")

// say gives an error to a client: what SFTP has a number for, by it.
func say(err error) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.Denied), fault.Is(err, fault.NotFound):
		return sftp.ErrSSHFxPermissionDenied
	}
	if refusal, ok := errors.AsType[*custody.Refusal](err); ok {
		return errors.New(refusal.Reason.Within(200))
	}
	if errors.Is(err, upload.ErrFull) {
		return errors.New("there is no room for it now; send it again later")
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Reason != "" {
		if f.Kind == fault.Unavailable {
			return errors.New(f.Reason + "; send it again later")
		}
		return errors.New(f.Reason)
	}
	return errors.New("it cannot be taken now; send it again later")
}

// begin opens the deposit when the first file comes.
func (s *drop) begin() (ordinal int64, err error) {
	who, id, err := s.caller(s.ctx)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxOpen || len(s.files) >= maxNames {
		return 0, errTooMany
	}
	if s.batch == 0 {
		b, err := s.door.Uploads.BeginBy(s.ctx, custody.DoorSFTP, who, id)
		if err != nil {
			return 0, err
		}
		s.batch = b.ID
	}
	s.who, s.into = who, id
	s.ordinal++
	s.open++
	return s.ordinal, nil
}

// end says that nothing more comes.
func (s *drop) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == 0 {
		return
	}
	if err := s.door.Uploads.End(context.WithoutCancel(s.ctx), s.who, s.batch); err != nil && !fault.Is(err, fault.Denied) && !fault.Is(err, fault.NotFound) {
		s.door.Log.Error("a deposit by SFTP could not be ended; it ends by itself when it has been quiet", "error", err)
	}
}

// Filewrite begins a file, or goes on with one.
func (s *drop) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	ordinal, err := s.begin()
	if errors.Is(err, errTooMany) {
		return nil, err
	}
	if err != nil {
		return nil, say(err)
	}
	f, err := s.file(r, ordinal)
	if err != nil {
		s.closed()
		return nil, say(err)
	}
	return f, nil
}

func (s *drop) closed() {
	s.mu.Lock()
	s.open--
	s.mu.Unlock()
}

func (s *drop) file(r *sftp.Request, ordinal int64) (*file, error) {
	flow := s.door.Uploads
	before, err := flow.Resume(s.ctx, s.who, s.into, r.Filepath)
	switch flags := r.Pflags(); {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Conflict) && (flags.Trunc || flags.Excl):
	case err != nil:
		return nil, err
	case flags.Trunc || flags.Excl:
		if err := flow.Remove(s.ctx, s.who, before.ID); err != nil {
			return nil, err
		}
	default:
		return s.going(r.Filepath, before), nil
	}
	st, err := flow.Create(s.ctx, s.who, upload.Wish{Batch: s.batch, Ordinal: ordinal, Size: upload.Unknown, Label: r.Filepath})
	if err != nil {
		return nil, err
	}
	return s.going(r.Filepath, st), nil
}

// going starts to put a file's bytes away.
func (s *drop) going(name string, st upload.State) *file {
	f := &file{s: s, name: name, id: st.ID, next: st.Offset, waiting: map[int64][]byte{}, done: make(chan struct{})}
	f.room.L = &f.mu
	s.mu.Lock()
	f.who = s.who
	s.coming[name] = f
	s.mu.Unlock()
	r, w := io.Pipe()
	f.w = w
	go func() {
		defer close(f.done)
		_, f.kept = s.door.Uploads.Append(s.ctx, f.who, st.ID, st.Offset, r, nil)
		r.CloseWithError(errors.New("no more is taken")) // who writes on learns it
	}()
	return f
}

// file is one that is being put. Its bytes may come out of order, as clients have several messages under way and the server several hands.
type file struct {
	s    *drop
	who  upload.Caller // as the key was found when it was begun
	name string
	id   string
	w    *io.PipeWriter
	done chan struct{}
	kept error // of putting bytes away; set when done is closed

	mu      sync.Mutex
	room    sync.Cond
	next    int64
	waiting map[int64][]byte
	held    int64 // bytes of waiting
	writing bool
	broken  error
}

// WriteAt takes bytes for a place. What lies before what was taken already is refused: nothing that was answered changes.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.broken == nil && f.writing && off == f.next { // cannot be: the place is being written
		f.room.Wait()
	}
	switch {
	case f.broken != nil:
		return 0, f.broken
	case off < f.next || f.waiting[off] != nil:
		return 0, f.breaks(errors.New("what has been sent cannot be written over; begin the file anew"))
	case f.held+int64(len(p)) > maxWaiting:
		return 0, f.breaks(errors.New("the file has a gap: send it from its beginning to its end"))
	}
	f.waiting[off] = append([]byte(nil), p...)
	f.held += int64(len(p))
	if f.writing { // whoever writes takes this with it; but not more than can be put away
		for f.writing && f.broken == nil && f.held > maxWaiting/2 {
			f.room.Wait()
		}
		return len(p), f.broken
	}
	f.writing = true
	for f.broken == nil {
		b := f.waiting[f.next]
		if b == nil {
			break
		}
		delete(f.waiting, f.next)
		f.mu.Unlock()
		_, err := f.w.Write(b)
		f.mu.Lock()
		f.held -= int64(len(b))
		f.next += int64(len(b))
		f.room.Broadcast()
		if err != nil {
			<-f.done
			if f.kept != nil {
				err = say(f.kept)
			}
			_ = f.breaks(err)
		}
	}
	f.writing = false
	f.room.Broadcast()
	return len(p), f.broken
}

func (f *file) breaks(err error) error {
	if f.broken == nil {
		f.broken = err
		f.room.Broadcast()
	}
	return f.broken
}

// TransferError says that the connection ended before the file did.
func (f *file) TransferError(error) {
	f.mu.Lock()
	_ = f.breaks(errors.New("the connection has ended"))
	f.mu.Unlock()
}

// Close hands the file to custody. Its answer is that it is kept, or why it is not.
func (f *file) Close() error {
	defer f.s.closed()
	defer func() {
		f.s.mu.Lock()
		if f.s.coming[f.name] == f {
			delete(f.s.coming, f.name)
		}
		f.s.mu.Unlock()
	}()
	f.mu.Lock()
	for f.writing {
		f.room.Wait()
	}
	if f.broken == nil && len(f.waiting) > 0 {
		_ = f.breaks(errors.New("the file has a gap: send it from its beginning to its end"))
	}
	broken, size := f.broken, f.next
	f.waiting = nil
	f.mu.Unlock()
	f.w.Close()
	<-f.done
	flow := f.s.door.Uploads
	if broken == nil && f.kept != nil {
		broken = say(f.kept)
	}
	if fault.Is(f.kept, fault.TooLarge) { // everything else that has come of it can be gone on with
		if err := flow.Remove(context.WithoutCancel(f.s.ctx), f.who, f.id); err != nil {
			f.s.door.Log.Error("pieces of a file that is too large could not be removed", "error", err)
		}
	}
	if broken != nil {
		return broken
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.s.ctx), finishIn)
	defer cancel()
	if _, err := flow.Close(ctx, f.who, f.id); err != nil {
		return say(err)
	}
	f.s.mu.Lock()
	f.s.files[f.name] = size
	f.s.mu.Unlock()
	return nil
}

// Fileread gives nothing back.
func (s *drop) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return nil, sftp.ErrSSHFxPermissionDenied
}

// Filecmd makes folders that nobody sees, and lets senders name a file as they like once it has come.
func (s *drop) Filecmd(r *sftp.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case "Setstat": // times and modes say nothing here
		return nil
	case "Mkdir":
		if len(s.folders) >= maxNames {
			return errTooMany
		}
		s.folders[r.Filepath] = true
		return nil
	case "Rename", "PosixRename":
		size, ok := s.files[r.Filepath]
		if !ok {
			return fs.ErrNotExist
		}
		delete(s.files, r.Filepath)
		s.files[r.Target] = size
		return nil
	case "Remove", "Rmdir": // what has come stays
		return sftp.ErrSSHFxPermissionDenied
	}
	return sftp.ErrSSHFxOpUnsupported
}

// Filelist says of a name what its own sender knows; folders are empty.
func (s *drop) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	s.mu.Lock()
	folder := s.folders[r.Filepath]
	size, taken := s.files[r.Filepath]
	coming := s.coming[r.Filepath]
	s.mu.Unlock()
	if coming != nil {
		coming.mu.Lock()
		size, taken = coming.next, true
		coming.mu.Unlock()
	}
	switch {
	case r.Method == "List" && folder:
		return entries{}, nil
	case r.Method == "List":
		return nil, fs.ErrNotExist
	case r.Method != "Stat" && r.Method != "Lstat":
		return nil, sftp.ErrSSHFxOpUnsupported
	case folder:
		return entries{entry{name: path.Base(r.Filepath), folder: true}}, nil
	case taken:
		return entries{entry{name: path.Base(r.Filepath), size: size}}, nil
	}
	who, id, err := s.caller(s.ctx)
	if err != nil {
		return nil, say(err)
	}
	st, err := s.door.Uploads.Resume(s.ctx, who, id, r.Filepath)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, say(err)
	}
	return entries{entry{name: path.Base(r.Filepath), size: st.Offset}}, nil
}

type entries []entry

func (e entries) ListAt(to []fs.FileInfo, off int64) (int, error) {
	n := 0
	for ; n < len(to) && off+int64(n) < int64(len(e)); n++ {
		to[n] = e[off+int64(n)]
	}
	if off+int64(n) >= int64(len(e)) {
		return n, io.EOF
	}
	return n, nil
}

// entry is what is told of a file or folder.
type entry struct {
	name   string
	size   int64
	folder bool
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) ModTime() time.Time { return time.Time{}.AddDate(1969, 0, 0) } // 1970
func (e entry) IsDir() bool        { return e.folder }
func (e entry) Sys() any           { return nil }

func (e entry) Mode() fs.FileMode {
	if e.folder {
		return fs.ModeDir | 0o300
	}
	return 0o200
}
