package spool

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sort"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Random reads the file from any place, to where it ended when it was opened. It is safe for use by many goroutines, one of which reads at a time.
type Random struct {
	mu     sync.Mutex
	r      *reader
	size   int64
	starts []place // of every so manieth record
	now    []byte  // plaintext of the record that was read last
	from   int64   // where it begins
}

// place is where a record lies.
type place struct{ at, offset int64 }

// marked is how many records lie between two that are remembered: of a file of 16 GiB in full records, 4,096 are.
const marked = 16

// Random opens the file for reading from any place.
func (f *File) Random() (*Random, error) {
	const attempt = "read spool"
	f.mu.Lock()
	size := f.size
	f.mu.Unlock()
	w, err := os.Open(f.s.path(f.id))
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(err))
	}
	x := &Random{r: &reader{f: w, at: int64(len(magic)), file: f}, size: size}
	head := make([]byte, 4)
	p := place{at: int64(len(magic))}
	for n := 0; p.offset < size; n++ {
		if n%marked == 0 {
			x.starts = append(x.starts, p)
		}
		if _, err := w.ReadAt(head, p.at); err != nil {
			return nil, errors.Join(fault.Wrap(fault.Unavailable, attempt, f.id.String(), causeOf(err)), w.Close())
		}
		plain := int64(binary.LittleEndian.Uint32(head))
		if plain == 0 || plain > chunk {
			return nil, errors.Join(fault.New(fault.Corrupt, attempt, f.id.String(), "a piece of it is not what was written"), w.Close())
		}
		p.at += recordHead + plain + tagSize
		p.offset += plain
	}
	return x, nil
}

// Size is how many bytes can be read.
func (x *Random) Size() int64 { return x.size }

// ReadAt is io.ReaderAt's.
func (x *Random) ReadAt(p []byte, off int64) (n int, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if off < 0 {
		return 0, fault.New(fault.Invalid, "read spool", "", "a negative place")
	}
	for n < len(p) {
		if off >= x.size {
			return n, io.EOF
		}
		if err := x.reach(off); err != nil {
			return n, err
		}
		k := copy(p[n:], x.now[off-x.from:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// reach reads the record that holds a place.
func (x *Random) reach(off int64) error {
	if x.now != nil && off >= x.from && off < x.from+int64(len(x.now)) {
		return nil
	}
	i := sort.Search(len(x.starts), func(i int) bool { return x.starts[i].offset > off }) - 1
	if x.now == nil || off < x.r.offset || x.starts[i].offset > x.r.offset { // else the next ones are nearer
		x.r.at, x.r.offset = x.starts[i].at, x.starts[i].offset
	}
	for {
		from := x.r.offset
		b, err := x.r.next()
		if errors.Is(err, errTorn) || errors.Is(err, io.EOF) {
			err = fault.New(fault.Corrupt, "read spool", x.r.file.id.String(), "a piece of it is not what was written")
		}
		if err != nil {
			x.now = nil
			return err
		}
		if x.r.offset > off {
			x.now, x.from = b, from
			return nil
		}
	}
}

// Close ends reading.
func (x *Random) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.now = nil
	return x.r.Close()
}
