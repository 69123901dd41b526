// Package spool keeps what comes in pieces until it is whole, encrypted: the first bytes of an upload lie here while its sender has a bad line.
//
//	s, err := spool.Open(folder)
//	f, err := s.Create(id, key)              // on stable storage before it returns
//	n, err := f.Append(ctx, body, nil)       // what came before an error stays
//	err = f.Sync()                           // now f.Size() may be told to whoever sends
//	f, err = s.Load(id, key)                 // after a restart: the same bytes, to the last whole piece
//	r, err := f.Random()                     // reads them, from any place
//	err = s.Remove(id)
//
// What it promises: nothing is written in clear; what was synced is found again after a crash, and nothing that was not sent; a file that was changed ends
// before the change and never gives other bytes; a full disk costs what came last and nothing before it. The format is in docs/formats/spool.md.
//
// What it does not do: it keeps no key, no size and no owner. The caller does, and what the caller forgets nobody can read.
package spool

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// ErrFull is the cause of a failure for want of space. What was appended before stays.
var ErrFull = errors.New("no space is left")

const (
	magic      = "VTRSPL1\n"
	chunk      = 256 << 10 // plaintext of a record, at most
	nonceSize  = 12
	tagSize    = 16
	recordHead = 4 + nonceSize
	syncEvery  = 64 << 20 // so that the disk works while bytes come
)

// ID names a file. It is random and says nothing.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != s {
		return id, fault.New(fault.Invalid, "read identifier", "", "it is not 32 hexadecimal digits in lower case")
	}
	return ID(b), nil
}

// Store is a folder of such files. It is safe for use by many goroutines; a folder belongs to one process.
type Store struct {
	dir    string
	chunks sync.Pool
}

// Open makes the folder if it is not there.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, "open spool", "", causeOf(err))
	}
	s := &Store{dir: dir}
	s.chunks.New = func() any { b := make([]byte, recordHead+chunk+tagSize); return &b }
	return s, nil
}

// causeOf keeps a path out of an error.
func causeOf(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return ErrFull
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func (s *Store) path(id ID) string { return filepath.Join(s.dir, id.String()) }

// Room is how many bytes the folder's disk can take.
func (s *Store) Room() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, 0, fault.Wrap(fault.Unavailable, "measure spool", "", err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}

// List names the files that are there.
func (s *Store) List() ([]ID, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "list spool", "", causeOf(err))
	}
	var all []ID
	for _, e := range entries {
		if id, err := ParseID(e.Name()); err == nil {
			all = append(all, id)
		}
	}
	return all, nil
}

// Remove takes a file away. One that is not there is none the less gone.
func (s *Store) Remove(id ID) error {
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Unavailable, "remove from spool", id.String(), causeOf(err))
	}
	return nil
}

// File is one of them: what has come of an upload. One goroutine appends at a time; [File.Size] may be asked by any.
type File struct {
	s    *Store
	id   ID
	aead cipher.AEAD

	mu     sync.Mutex
	size   int64 // of the plaintext
	end    int64 // of the file, after its last whole record
	sum    hash.Hash
	synced int64 // of the file
	named  bool  // its name is on stable storage
	broken error // the disk did not take something: what was not synced by then is gone
}

// fdatasync is the system's; tests put one that fails in its place.
var fdatasync = unix.Fdatasync

// sync makes the file reach stable storage. A system that could not write something says so once, and calls it written from then on: so what is not known to be there is taken
// off, and the file is to be loaded anew.
func (f *File) sync(w *os.File) error {
	err := fdatasync(int(w.Fd()))
	if err == nil {
		f.synced = f.end
		return nil
	}
	f.broken = fault.New(fault.Unavailable, "sync spool", f.id.String(), "the disk did not take what was written")
	if f.synced > 0 {
		_ = w.Truncate(f.synced) // where that fails too, nothing more can be done here
	}
	return f.broken
}

func (s *Store) file(id ID, key keys.Key) (*File, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "open spool", id.String(), err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block) // a chunk that is written again after a crash meets another nonce
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "open spool", id.String(), err)
	}
	return &File{s: s, id: id, aead: aead, sum: sha256.New()}, nil
}

// Create makes an empty file under a key that nothing else is encrypted under.
func (s *Store) Create(id ID, key keys.Key) (*File, error) {
	const attempt = "create in spool"
	f, err := s.file(id, key)
	if err != nil {
		return nil, err
	}
	w, err := os.OpenFile(s.path(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	defer w.Close()
	if _, err := w.WriteString(magic); err != nil {
		_ = os.Remove(s.path(id)) // what remains is found by List
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	f.end = int64(len(magic))
	return f, nil
}

// aad binds a record to its place among the bytes. Its file it is bound to by the key.
func aad(offset int64) []byte {
	return binary.LittleEndian.AppendUint64([]byte("vitrine spool 1"), uint64(offset))
}

// Load opens a file that was written before, and reads all of it: what is torn at its end was never synced, and is cut off.
func (s *Store) Load(ctx context.Context, id ID, key keys.Key) (*File, error) {
	const attempt = "load from spool"
	f, err := s.file(id, key)
	if err != nil {
		return nil, err
	}
	w, err := os.OpenFile(s.path(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, attempt, id.String(), "there is no such file")
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	defer w.Close()
	st, err := w.Stat()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(w, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	f.end = int64(len(magic))
	if string(head) != magic {
		if st.Size() > f.end {
			return nil, fault.New(fault.Corrupt, attempt, id.String(), "it is no file of a spool")
		}
		// It was made a moment before the crash.
		if _, err := w.WriteAt([]byte(magic), 0); err != nil {
			return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
		}
	}
	r := &reader{f: w, at: f.end, file: f}
	defer r.release()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before := r.at
		b, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, errTorn) {
			r.at = before
			break
		}
		if err != nil {
			return nil, err
		}
		f.sum.Write(b)
	}
	f.size, f.end = r.offset, r.at
	if err := w.Truncate(f.end); err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, id.String(), causeOf(err))
	}
	return f, nil
}

// Size is how many bytes have been appended.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Sum is the SHA-256 of what has been appended.
func (f *File) Sum() [32]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return [32]byte(f.sum.Sum(nil))
}

// Append takes what r gives until its end or its first error, and says how many bytes were kept: an error of r's own is passed on, and what came before it stays. With
// check, which is asked at the end with the size of the file by then, all of this call's bytes are taken back when it fails. A caller who promises the bytes to somebody calls Sync first.
func (f *File) Append(ctx context.Context, r io.Reader, check func(size int64) error) (int64, error) {
	const attempt = "append to spool"
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return 0, f.broken
	}
	w, err := os.OpenFile(f.s.path(f.id), os.O_WRONLY, 0)
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(err))
	}
	defer w.Close()
	mark, err := f.mark()
	if err != nil {
		return 0, err
	}
	buf := f.s.chunks.Get().(*[]byte)
	defer f.s.chunks.Put(buf)
	b := (*buf)[:chunk]
	var ended error
	for ended == nil {
		n, rerr := io.ReadFull(r, b)
		if rerr != nil {
			ended = rerr
		}
		if n > 0 {
			if err := f.write(w, b[:n]); err != nil {
				if f.broken != nil {
					return 0, err
				}
				// The record is not whole, so it is none.
				_ = w.Truncate(f.end) // where that fails too, loading finds the torn end
				return f.size - mark.size, fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(err))
			}
		}
		if ended == nil {
			ended = ctx.Err()
		}
	}
	if check != nil {
		err := check(f.size)
		if err != nil {
			if terr := w.Truncate(mark.end); terr != nil {
				err = fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(terr))
			}
			f.size, f.end, f.sum, f.synced = mark.size, mark.end, mark.sum, min(f.synced, mark.end)
			return 0, err
		}
	}
	if errors.Is(ended, io.EOF) || errors.Is(ended, io.ErrUnexpectedEOF) {
		ended = nil
	}
	return f.size - mark.size, ended
}

type mark struct {
	size, end int64
	sum       hash.Hash
}

// mark remembers where the file stands, to come back to it.
func (f *File) mark() (mark, error) {
	sum, err := f.sum.(hash.Cloner).Clone()
	if err != nil {
		return mark{}, fault.Wrap(fault.Internal, "append to spool", "", err)
	}
	return mark{f.size, f.end, sum}, nil
}

// write seals n bytes that lie in b, and appends the record.
func (f *File) write(w *os.File, b []byte) error {
	out := f.s.chunks.Get().(*[]byte)
	defer f.s.chunks.Put(out)
	rec := f.aead.Seal((*out)[:4], nil, b, aad(f.size)) // the nonce goes in front
	binary.LittleEndian.PutUint32(rec, uint32(len(b)))
	if _, err := w.WriteAt(rec, f.end); err != nil {
		return err
	}
	f.sum.Write(b)
	f.size += int64(len(b))
	f.end += int64(len(rec))
	if f.end-f.synced >= syncEvery {
		return f.sync(w)
	}
	return nil
}

// Sync makes what was appended reach stable storage, and the file's name with it.
func (f *File) Sync() error {
	const attempt = "sync spool"
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if f.synced == f.end && f.named {
		return nil
	}
	w, err := os.OpenFile(f.s.path(f.id), os.O_WRONLY, 0)
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(err))
	}
	defer w.Close()
	if err := f.sync(w); err != nil {
		return err
	}
	if !f.named {
		if err := f.s.syncFolder(); err != nil {
			return err
		}
		f.named = true
	}
	return nil
}

func (s *Store) syncFolder() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return fault.Wrap(fault.Unavailable, "sync spool", "", causeOf(err))
	}
	defer d.Close()
	return fault.Wrap(fault.Unavailable, "sync spool", "", causeOf(d.Sync()))
}

// errTorn is a record that is not there whole, or is not what was written.
var errTorn = errors.New("torn")

// reader reads records one after the other.
type reader struct {
	f      *os.File
	file   *File
	at     int64   // in the file
	offset int64   // in the plaintext
	buf    *[]byte // of the record
}

// next is the plaintext of the next record, until the next call.
func (r *reader) next() ([]byte, error) {
	if r.buf == nil {
		r.buf = r.file.s.chunks.Get().(*[]byte)
	}
	b := *r.buf
	n, err := r.f.ReadAt(b[:recordHead], r.at)
	if n == 0 && errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if n < recordHead {
		return nil, r.torn(err)
	}
	plain := int(binary.LittleEndian.Uint32(b))
	if plain == 0 || plain > chunk {
		return nil, errTorn
	}
	size := recordHead + plain + tagSize
	if n, err = r.f.ReadAt(b[recordHead:size], r.at+recordHead); n < size-recordHead {
		return nil, r.torn(err)
	}
	out, err := r.file.aead.Open(b[4:4], nil, b[4:size], aad(r.offset))
	if err != nil {
		return nil, errTorn
	}
	r.at += int64(size)
	r.offset += int64(plain)
	return out, nil
}

func (r *reader) torn(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errTorn
	}
	return fault.Wrap(fault.Unavailable, "read spool", r.file.id.String(), causeOf(err))
}

func (r *reader) release() {
	if r.buf != nil {
		r.file.s.chunks.Put(r.buf)
		r.buf = nil
	}
}

func (r *reader) Close() error {
	r.release()
	return r.f.Close()
}
