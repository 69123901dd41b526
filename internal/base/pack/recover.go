package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// newFileAge is how old a pack without a record must be before it counts as left over: its maker locks it right after creating it.
const newFileAge = 10 * time.Minute

// fileSource reads a file that is being recovered.
type fileSource struct{ f file }

func (s fileSource) readAt(_ context.Context, b []byte, off int64) (int, error) {
	n, err := s.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (s fileSource) stream(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.f, off, n)), nil
}

func (s fileSource) size(context.Context) (int64, error) { return s.f.size() }
func (s fileSource) release()                            {}

// recover seals what processes left open when they died, and removes what never became a record. Packs of running processes are locked and left
// alone. A pack that cannot be made sense of is reported and left as it is: nothing that may hold acknowledged records is ever removed.
func (s *Store) recover() error {
	entries, err := s.disk.list()
	if err != nil {
		return fault.Wrap(fault.Unavailable, "open packs", "", err)
	}
	for _, e := range entries {
		name, state, _ := strings.Cut(e.Name(), ".")
		id, err := ParseID(name)
		if err != nil {
			continue
		}
		switch state {
		case "new":
			fi, err := e.Info()
			if err != nil || time.Since(fi.ModTime()) < newFileAge {
				continue
			}
		case "open", "large":
		default:
			continue
		}
		f, err := s.disk.claim(e.Name())
		if err != nil {
			return fault.Wrap(fault.Unavailable, "recover pack", name, err)
		}
		if f == nil {
			continue
		}
		switch state {
		case "new":
			err = s.disk.remove(e.Name())
		case "open":
			err = s.recoverOpen(f, id)
		case "large":
			err = s.recoverLarge(f, id)
		}
		f.Close()
		if fault.Is(err, fault.Corrupt) {
			s.log.Error("pack cannot be recovered and is left as it is", "pack", name, "error", err)
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Unavailable, "recover pack", name, err)
		}
	}
	return nil
}

func readFileHeader(f file, id ID, kind uint32) error {
	b := getBuffer(block)
	defer b.free()
	n, err := f.ReadAt(b.b[:block], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := parseFileHeader(b.b[:n])
	if err != nil {
		return err
	}
	if h.id != id || h.kind != kind {
		return fault.New(fault.Corrupt, "read pack", id.String(), "its header is another pack's")
	}
	return nil
}

func (s *Store) recoverOpen(f file, id ID) error {
	if err := readFileHeader(f, id, kindMany); err != nil {
		return err
	}
	size, err := f.size()
	if err != nil {
		return err
	}
	ctx, src := context.Background(), fileSource{f}
	sc := newScanner(ctx, src, id, block, size, false)
	defer sc.close()
	sum := headersSum{whole: sha256.New()}
	end := int64(block)
	for {
		h, raw, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if _, ok := errors.AsType[*Damage](err); ok {
			s.log.Error("acknowledged records are damaged", "pack", id.String(), "error", err)
			continue
		}
		if err != nil {
			return err
		}
		sum.add(h, raw)
		end = h.Ref.Offset + h.Size()
	}
	// Earlier groups were synced before the last was written. Of the last one, headers may have reached the disk without their bodies.
	whole := 0
	for i := range sum.group {
		ok, err := bodyMatches(ctx, src, &sum.group[i])
		if err != nil {
			return err
		}
		if !ok {
			end = sum.group[i].Ref.Offset
			break
		}
		whole++
	}
	sum.keep(whole)
	s.log.Info("pack recovered", "pack", id.String(), "records", sum.records, "bytes", end, "cut", size-end)
	if sum.records == 0 {
		return s.disk.remove(id.String() + ".open")
	}
	sl := seal{id: id, end: end, records: sum.records}
	sum.whole.Sum(sl.headers[:0])
	return s.seal(f, &sl, ".open")
}

func (s *Store) recoverLarge(f file, id ID) error {
	name := id.String() + ".large"
	if err := readFileHeader(f, id, kindLarge); err != nil {
		return err
	}
	b := getBuffer(headerSize)
	defer b.free()
	n, err := f.ReadAt(b.b[:headerSize], block)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := parseHeader(b.b[:n])
	if err != nil || h.Ref != (Ref{id, block}) || !h.Large {
		return s.disk.remove(name) // its salt was never written: nobody can decipher it
	}
	ok, err := bodyMatches(context.Background(), fileSource{f}, &h)
	if err != nil {
		return err
	}
	if !ok {
		return s.disk.remove(name)
	}
	sl := seal{id: id, end: block + h.Size(), records: 1, headers: sha256.Sum256(b.b[:headerSize])}
	return s.seal(f, &sl, ".large")
}
