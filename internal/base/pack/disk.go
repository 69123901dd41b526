package pack

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is the folder of a store. Tests put one in its place that fails on demand.
type disk interface {
	// create makes a file that nobody else opened, locked, for writing past the page cache where the file system allows it.
	create(name string) (file, error)
	// claim opens an existing file for writing if nobody holds its lock; otherwise it gives nil.
	claim(name string) (file, error)
	open(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	sync() error
	list() ([]fs.DirEntry, error)
}

type file interface {
	io.ReaderAt
	io.Closer
	writeAt(bufs [][]byte, off int64) error // lengths, offset and memory are multiples of a block
	sync() error
	truncate(n int64) error
	size() (int64, error)
}

type folder string

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) create(name string) (file, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(d.path(name), flags|unix.O_DIRECT, 0o600)
	if errors.Is(err, unix.EINVAL) { // the file system has none
		f, err = os.OpenFile(d.path(name), flags, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return &diskFile{f}, nil
}

func (d folder) claim(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // its writer sealed it meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	// Its writer may have renamed it between opening and locking.
	mine, err := f.Stat()
	if err == nil {
		var now fs.FileInfo
		if now, err = os.Stat(d.path(name)); err == nil && os.SameFile(mine, now) {
			return &diskFile{f}, nil
		}
	}
	f.Close()
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

func (d folder) open(name string) (file, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	return &diskFile{f}, nil
}

func (d folder) rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d folder) remove(name string) error     { return os.Remove(d.path(name)) }
func (d folder) list() ([]fs.DirEntry, error) { return os.ReadDir(string(d)) }

func (d folder) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type diskFile struct{ f *os.File }

func (f *diskFile) ReadAt(b []byte, off int64) (int, error) { return f.f.ReadAt(b, off) }
func (f *diskFile) Close() error                            { return f.f.Close() }
func (f *diskFile) truncate(n int64) error                  { return f.f.Truncate(n) }

func (f *diskFile) size() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// maxVectors is the kernel's IOV_MAX.
const maxVectors = 1024

func (f *diskFile) writeAt(bufs [][]byte, off int64) error {
	fd := int(f.f.Fd())
	for len(bufs) > 0 {
		n, err := unix.Pwritev(fd, bufs[:min(len(bufs), maxVectors)], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EINVAL) && f.buffered() {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		off += int64(n)
		for n > 0 {
			if n < len(bufs[0]) {
				bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
				break
			}
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
	}
	return nil
}

// buffered turns O_DIRECT off, for file systems that take the flag and refuse the write; it says whether that changed anything.
func (f *diskFile) buffered() bool {
	fd := f.f.Fd()
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil || flags&unix.O_DIRECT == 0 {
		return false
	}
	_, err = unix.FcntlInt(fd, unix.F_SETFL, flags&^unix.O_DIRECT)
	return err == nil
}

func (f *diskFile) sync() error {
	for {
		if err := unix.Fdatasync(int(f.f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
