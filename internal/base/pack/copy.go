package pack

import (
	"context"
	"errors"
	"io"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Extent is how far a pack goes at a moment.
type Extent struct {
	ID      ID
	End     int64 // bytes from the first to the end of the last whole record; of a sealed pack, its length with the seal
	Records int64 // those that were looked at
	Sealed  bool
	Damaged bool // a record does not have its checksum, or cannot be found
}

// tries is how often a pack that is being written is looked at before what looks damaged is taken for it: reading does not wait for writing.
const tries = 4

// Extent looks at a pack from an offset at which a record begins (0: from the first), and compares each record with its checksum. Of a pack that is being written, in this process or
// in another, it is what is whole: the bytes before End never change again.
func (s *Store) Extent(ctx context.Context, id ID, from int64) (x Extent, err error) {
	for range tries {
		if x, err = s.extentOnce(ctx, id, max(from, block)); err != nil || !x.Damaged || x.Sealed {
			return x, err
		}
	}
	return x, nil
}

func (s *Store) extentOnce(ctx context.Context, id ID, from int64) (Extent, error) {
	x := Extent{ID: id, End: from}
	src, err := s.source(ctx, id)
	if err != nil {
		return x, err
	}
	defer src.release()
	limit, sl, err := s.extent(ctx, id, src)
	if err != nil && !fault.Is(err, fault.Corrupt) {
		return x, err
	}
	if err != nil || sl == nil && s.finished(id) {
		if _, open := s.durable.Load(id); err != nil || !open {
			// Sealed by its name, and without a valid header or seal: copied as it is.
			size, err := src.size(ctx)
			return Extent{ID: id, End: size, Sealed: true, Damaged: true}, readFault("read pack", Ref{id, 0}, err)
		}
	}
	if sl != nil {
		n, err := s.Check(ctx, id)
		x.Sealed, x.End, x.Records = true, limit+block, int64(n)
		if fault.Is(err, fault.Corrupt) {
			x.Damaged, err = true, nil
		}
		return x, err
	}
	sc := newScanner(ctx, src, id, from, limit, false)
	defer sc.close()
	var torn *Header // the first whose body is not there
	before := x
	for {
		if err := ctx.Err(); err != nil {
			return x, err
		}
		h, _, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if _, ok := errors.AsType[*Damage](err); ok {
			x.Damaged = true
			continue
		}
		if err != nil {
			return x, err
		}
		if torn != nil && h.Group > torn.Sequence {
			// A later group is proof that this one was whole once.
			x.Damaged, torn = true, nil
		}
		ok, err := bodyMatches(ctx, src, &h)
		if err != nil {
			return x, err
		}
		if !ok && torn == nil {
			torn, before = &h, x
		}
		x.End = h.Ref.Offset + h.Size()
		x.Records++
	}
	if torn != nil { // the last group is being written, or was not acknowledged
		before.Damaged = before.Damaged || x.Damaged
		return before, nil
	}
	return x, nil
}

// Raw reads n bytes of a pack as they are stored.
func (s *Store) Raw(ctx context.Context, id ID, off, n int64) (io.ReadCloser, error) {
	src, err := s.source(ctx, id)
	if err != nil {
		return nil, err
	}
	r, err := src.stream(ctx, off, n)
	if err != nil {
		src.release()
		return nil, readFault("read pack", Ref{id, off}, err)
	}
	return &rawReader{r, src}, nil
}

type rawReader struct {
	io.ReadCloser
	src source
}

// Close gives the pack back.
func (r *rawReader) Close() error {
	err := r.ReadCloser.Close()
	r.src.release()
	return err
}

// FileName is the name of a pack's file in the folder of a store: sealed, or such that it is recovered and sealed when the store is opened.
func FileName(id ID, sealed bool) string {
	if sealed {
		return id.String() + ".pack"
	}
	return id.String() + ".open"
}
