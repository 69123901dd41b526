package pack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// streamBuffer is how much of a stream is encrypted before it is written.
const streamBuffer = 1 << 20

// Stream takes the bulk of one record of any length, in a pack of its own, with a little over a megabyte of memory. Until Commit returns, nobody can
// decipher what was written: salt and key are in this process's memory alone.
type Stream struct {
	s      *Store
	f      file
	header Header
	c      *cryptor
	label  label

	buf   *buffer // encrypted bytes, to be written at off
	n     int
	off   int64
	plain *buffer // the last chunk so far: it is encrypted when it is known whether more follow
	np    int
	index int64
	bulk  hash.Hash
	sums  Sums
	crc   uint32
	err   error // of the first failure
	done  bool
}

// Stream begins a record of unknown length. It is ended by Commit or Abort.
func (s *Store) Stream(ctx context.Context, id keys.ID, key keys.Key) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.stream(ctx, id, key, 0)
}

func (s *Store) stream(_ context.Context, id keys.ID, key keys.Key, chunk int) (*Stream, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	if chunk == 0 {
		chunk = DefaultChunk
	}
	st := &Stream{s: s, header: Header{KeyID: id, Chunk: chunk, Large: true}, off: 2 * block, bulk: sha256.New()}
	rand.Read(st.header.salt[:])
	c, err := newCryptor(&key, id, &st.header.salt)
	if err != nil {
		return nil, err
	}
	st.c = c
	pack, f, err := s.newFile(kindLarge, ".large")
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "create pack", "", err)
	}
	st.f = f
	st.header.Ref = Ref{pack, block}
	st.buf = getBuffer(streamBuffer + maxChunk + block)
	st.plain = getBuffer(chunk)
	return st, nil
}

// Write adds to the bulk.
func (st *Stream) Write(p []byte) (int, error) {
	if st.done {
		return 0, fault.New(fault.Internal, "write stream", "", "it has ended")
	}
	if st.err != nil {
		return 0, st.err
	}
	total := len(p)
	if st.header.Lengths[Bulk]+int64(total) > maxSection {
		return 0, fault.New(fault.TooLarge, "write stream", "", "the bulk exceeds 2^48 bytes")
	}
	st.header.Lengths[Bulk] += int64(total)
	st.bulk.Write(p)
	chunk := st.header.Chunk
	for len(p) > 0 {
		if st.np == chunk { // more follows, so it is not the last
			if err := st.seal(Bulk, st.plain.b[:st.np], false); err != nil {
				return 0, err
			}
			st.np = 0
		}
		if st.np == 0 && len(p) > chunk {
			if err := st.seal(Bulk, p[:chunk], false); err != nil {
				return 0, err
			}
			p = p[chunk:]
			continue
		}
		n := copy(st.plain.b[st.np:chunk], p)
		st.np += n
		p = p[n:]
	}
	return total, nil
}

// Move begins another record with the bulk that came so far, and ends this one without keeping it: whose it is was not known before. What this one was encrypted under need
// be known to nobody. through sees the bulk as it passes; it may be nil.
func (st *Stream) Move(ctx context.Context, id keys.ID, key keys.Key, through io.Writer) (*Stream, error) {
	defer st.Abort() // whatever cannot be removed now is nobody's, and removed at the next start
	if st.done {
		return nil, fault.New(fault.Internal, "move stream", "", "it has ended")
	}
	if st.err != nil {
		return nil, st.err
	}
	to, err := st.s.stream(ctx, id, key, st.header.Chunk)
	if err != nil {
		return nil, err
	}
	var w io.Writer = to
	if through != nil {
		w = io.MultiWriter(to, through)
	}
	if err := st.again(ctx, w); err != nil {
		return nil, errors.Join(err, to.Abort())
	}
	return to, nil
}

// again writes the bulk that came so far.
func (st *Stream) again(ctx context.Context, w io.Writer) error {
	name := st.header.Ref.Pack.String()
	unavailable := func(err error) error { return fault.Wrap(fault.Unavailable, "move stream", name, err) }
	f, err := st.s.disk.open(name + ".large")
	if err != nil {
		return unavailable(err)
	}
	defer f.Close()
	written := io.NewSectionReader(f, 2*block, st.off-2*block)
	r := io.MultiReader(bufio.NewReaderSize(written, streamBuffer), bytes.NewReader(st.buf.b[:st.n]))
	b := make([]byte, st.header.Chunk+tagSize)
	for i := range st.index {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return unavailable(err)
		}
		st.label.set(Bulk, i, false, true, st.header.Chunk)
		plain, err := st.c.aead.Open(b[:0], st.label.nonce[:], b, st.label.data[:])
		if err != nil {
			return fault.New(fault.Corrupt, "move stream", name, "what was written is not there any more")
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
	}
	clear(b)
	_, err = w.Write(st.plain.b[:st.np])
	return err
}

// seal encrypts a chunk behind what waits to be written.
func (st *Stream) seal(s Section, plain []byte, last bool) error {
	st.label.set(s, st.index, last, true, st.header.Chunk)
	st.index++
	st.c.aead.Seal(st.buf.b[st.n:st.n], st.label.nonce[:], plain, st.label.data[:])
	st.n += len(plain) + tagSize
	if st.n < streamBuffer {
		return nil
	}
	whole := st.n &^ (block - 1)
	if err := st.write(whole); err != nil {
		return err
	}
	st.n = copy(st.buf.b, st.buf.b[whole:st.n])
	return nil
}

func (st *Stream) write(n int) error {
	st.crc = crc32.Update(st.crc, castagnoli, st.buf.b[:n])
	if err := st.f.writeAt([][]byte{st.buf.b[:n]}, st.off); err != nil {
		st.err = fault.Wrap(fault.Unavailable, "write pack", st.header.Ref.Pack.String(), err)
		return st.err
	}
	st.off += int64(n)
	return nil
}

// section encrypts a whole section.
func (st *Stream) section(s Section, b []byte) error {
	st.header.Lengths[s] = int64(len(b))
	st.sums[s] = sha256.Sum256(b)
	st.index = 0
	for len(b) > 0 {
		n := min(len(b), st.header.Chunk)
		if err := st.seal(s, b[:n], n == len(b)); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Commit ends the record. When it returns without an error the record is on stable storage and Committed has been told; after an error it is gone.
func (st *Stream) Commit(ctx context.Context, meta, head []byte, tag any) (Ref, error) {
	if st.done {
		return Ref{}, fault.New(fault.Internal, "commit stream", "", "it has ended")
	}
	err := st.err
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = st.finish(meta, head)
	}
	if err != nil {
		st.Abort()
		return Ref{}, err
	}
	st.s.tell([]Committed{{st.header.Ref, st.header, tag}})
	st.s.sealed()
	st.end()
	return st.header.Ref, nil
}

// Sums are the digests of the sections, after Commit.
func (st *Stream) Sums() Sums { return st.sums }

func (st *Stream) finish(meta, head []byte) error {
	if st.np > 0 {
		if err := st.seal(Bulk, st.plain.b[:st.np], true); err != nil {
			return err
		}
	}
	st.bulk.Sum(st.sums[Bulk][:0])
	if err := st.section(Meta, meta); err != nil {
		return err
	}
	if err := st.section(Head, head); err != nil {
		return err
	}
	if n := int(roundUp(int64(st.n))); n > 0 {
		// The checksum ends with the body; the padding does not belong to it.
		st.crc = crc32.Update(st.crc, castagnoli, st.buf.b[:st.n])
		clear(st.buf.b[st.n:n])
		crc := st.crc
		if err := st.write(n); err != nil {
			return err
		}
		st.crc = crc
	}
	unavailable := func(err error) error {
		return fault.Wrap(fault.Unavailable, "commit stream", st.header.Ref.Pack.String(), err)
	}
	// The body first: once there is a valid header, everything under it is there.
	if err := st.f.sync(); err != nil {
		return unavailable(err)
	}
	st.s.mu.Lock()
	closed := st.s.closed
	st.s.mu.Unlock()
	if closed {
		return errClosed
	}
	h := &st.header
	h.crc, h.root = st.crc, st.c.root(&st.sums)
	b := st.buf.b[:block]
	h.encode(b)
	finish(b, &st.c.mac)
	clear(b[headerSize:])
	copy(h.mac[:], b[headerMAC:])
	if err := st.f.writeAt([][]byte{b}, block); err != nil {
		return unavailable(err)
	}
	sl := seal{id: h.Ref.Pack, end: block + h.Size(), records: 1, headers: sha256.Sum256(b[:headerSize])}
	return unavailable(st.s.seal(st.f, &sl, ".large"))
}

// Abort ends the record without keeping it. After Commit it does nothing.
func (st *Stream) Abort() error {
	if st.done {
		return nil
	}
	name := st.header.Ref.Pack.String()
	err := st.s.disk.remove(name + ".large")
	if err != nil {
		if st.s.disk.remove(name+".pack") == nil { // it was renamed, and the folder's sync failed
			err = nil
		}
	}
	st.end()
	return fault.Wrap(fault.Unavailable, "abort stream", name, err)
}

func (st *Stream) end() {
	st.done = true
	st.f.Close()
	st.buf.free()
	clear(st.plain.b)
	st.plain.free()
	st.buf, st.plain = nil, nil
	st.c = nil
}
