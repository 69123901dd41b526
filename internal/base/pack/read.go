package pack

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

const (
	firstRead = 16 << 10  // what Open reads: header, meta and mostly head
	window    = 256 << 10 // how much is read at once after that
	maxFiles  = 128       // packs kept open for reading
)

// source is where a pack's bytes come from: a local file or the bucket.
type source interface {
	// readAt reads up to len(b) bytes, fewer at the end of the pack.
	readAt(ctx context.Context, b []byte, off int64) (int, error)
	// stream reads n bytes in order.
	stream(ctx context.Context, off, n int64) (io.ReadCloser, error)
	size(ctx context.Context) (int64, error)
	release()
}

// handles keeps the files that are read from open, the least recently used going first.
type handles struct {
	open   func(ID) (file, error)
	mu     sync.Mutex
	byID   map[ID]*list.Element
	order  list.List // of *handle
	closed bool
}

type handle struct {
	from  *handles
	id    ID
	f     file
	users int
	gone  bool // no longer in byID: the last user closes it
}

func (c *handles) acquire(id ID) (*handle, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.New(fault.Unavailable, "open pack", id.String(), "the store is closed")
	}
	if e, ok := c.byID[id]; ok {
		c.order.MoveToFront(e)
		h := e.Value.(*handle)
		h.users++
		return h, nil
	}
	f, err := c.open(id)
	if err != nil {
		return nil, err
	}
	h := &handle{from: c, id: id, f: f, users: 1}
	if c.byID == nil {
		c.byID = map[ID]*list.Element{}
	}
	c.byID[id] = c.order.PushFront(h)
	for c.order.Len() > maxFiles {
		c.evict(c.order.Back())
	}
	return h, nil
}

func (c *handles) evict(e *list.Element) {
	h := c.order.Remove(e).(*handle)
	delete(c.byID, h.id)
	h.gone = true
	if h.users == 0 {
		h.f.Close()
	}
}

// drop forgets a pack whose file is removed; those who read it go on.
func (c *handles) drop(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byID[id]; ok {
		c.evict(e)
	}
}

func (c *handles) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.order.Len() > 0 {
		c.evict(c.order.Back())
	}
}

func (h *handle) release() {
	h.from.mu.Lock()
	defer h.from.mu.Unlock()
	h.users--
	if h.gone && h.users == 0 {
		h.f.Close()
	}
}

func (h *handle) readAt(_ context.Context, b []byte, off int64) (int, error) {
	n, err := h.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (h *handle) stream(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(h.f, off, n)), nil
}

func (h *handle) size(context.Context) (int64, error) { return h.f.size() }

// openLocal opens a pack's file under whichever name it has; a pack is renamed once, when it is sealed.
func (s *Store) openLocal(id ID) (file, error) {
	name := id.String()
	var err error
	for _, state := range []string{".pack", ".open", ".large", ".pack"} {
		var f file
		if f, err = s.disk.open(name + state); err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, err
}

// level says where a source is: the further, the later it is asked.
type level int

const (
	levelFolder level = iota
	levelBucket
	levelMirror
	levelNone
)

// source finds a pack: here, else in the bucket, else in the mirror.
func (s *Store) source(ctx context.Context, id ID) (source, error) {
	src, _, err := s.sourceFrom(ctx, id, levelFolder)
	return src, err
}

// sourceFrom finds a pack at a level or beyond it. That a pack is not in a bucket shows when it is read.
func (s *Store) sourceFrom(ctx context.Context, id ID, from level) (source, level, error) {
	missing := fault.New(fault.NotFound, "open pack", id.String(), "there is no such pack")
	if from <= levelFolder {
		h, err := s.files.acquire(id)
		if err == nil {
			return h, levelFolder, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			missing = err
			if fault.KindOf(err) != fault.Unavailable {
				missing = fault.Wrap(fault.Unavailable, "open pack", id.String(), err)
			}
			if s.mirror == nil {
				return nil, levelNone, missing
			}
		}
	}
	if from <= levelBucket && s.bucket != nil {
		src, err := s.bucket.source(ctx, id)
		if err == nil && (s.mirror == nil || s.bucket.has(ctx, id)) {
			return src, levelBucket, nil
		}
	}
	if from <= levelMirror && s.mirror != nil {
		src, err := s.mirror.source(ctx, id)
		if err == nil && s.mirror.has(ctx, id) {
			s.noteFallback(id)
			return src, levelMirror, nil
		}
	}
	return nil, levelNone, missing
}

// noteFallback counts that something was not where it should be, and says so once for each pack.
func (s *Store) noteFallback(id ID) {
	s.fellBack.Add(1)
	if _, said := s.told.LoadOrStore(id, true); !said {
		s.log.Error("a pack is missing or damaged, and is read from the mirror; put the mirror's copy in its place", "pack", id.String())
	}
}

// elsewhere reports whether another copy may have what could not be read.
func elsewhere(err error) bool {
	return fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unavailable)
}

// Object is an open record. Its methods may be called at the same time, but for Close, which comes last.
type Object struct {
	Header
	ctx   context.Context
	s     *Store
	c     *cryptor
	first *buffer // the first bytes of the record
	nf    int
	begun level // where these were read

	mu   sync.Mutex // guards what follows
	src  source
	at   level
	used []source // that were given up, and may be read from still
}

// source is where the object is read from now.
func (o *Object) source() (source, level) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.src, o.at
}

// another is a copy beyond the level at which one failed.
func (o *Object) another(failed level, pack ID) (source, level, bool) {
	if o.s.mirror == nil {
		return nil, levelNone, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.at <= failed {
		src, at, err := o.s.sourceFrom(o.ctx, pack, failed+1)
		if err != nil {
			return nil, levelNone, false
		}
		o.used = append(o.used, o.src)
		o.src, o.at = src, at
	}
	return o.src, o.at, true
}

// Open opens the record at ref with its subject's key. It reads no more than the first 16 KiB; the context serves all reads of the Object. A fault.Unavailable may be one of
// a pack that another process has not sealed yet (Options.Ask).
func (s *Store) Open(ctx context.Context, ref Ref, key keys.Key) (*Object, error) {
	o, err := s.openHere(ctx, ref, key)
	if err == nil || s.opts.Ask == nil || !fault.Is(err, fault.NotFound) {
		return o, err
	}
	if _, own := s.durable.Load(ref.Pack); own {
		return nil, err
	}
	if err := s.await(ctx, ref.Pack); err != nil {
		return nil, err
	}
	return s.openHere(ctx, ref, key)
}

func (s *Store) openHere(ctx context.Context, ref Ref, key keys.Key) (*Object, error) {
	if ref.Offset < block || ref.Offset%block != 0 {
		return nil, fault.New(fault.Invalid, "open record", ref.String(), "no record begins there")
	}
	if end, ok := s.durable.Load(ref.Pack); ok && ref.Offset >= end.(interface{ Load() int64 }).Load() {
		return nil, fault.New(fault.NotFound, "open record", ref.String(), "no record is there")
	}
	src, at, err := s.sourceFrom(ctx, ref.Pack, levelFolder)
	if err != nil {
		return nil, err
	}
	o := &Object{ctx: ctx, s: s, src: src, at: at, first: getBuffer(firstRead)}
	err = o.open(ref, &key, src, at)
	for failed := at; err != nil && elsewhere(err); {
		src, at, ok := o.another(failed, ref.Pack)
		if !ok {
			break
		}
		if o.open(ref, &key, src, at) == nil {
			err = nil
		}
		failed = at
	}
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Object) open(ref Ref, key *keys.Key, src source, at level) error {
	o.begun = at
	n, err := src.readAt(o.ctx, o.first.b[:firstRead], ref.Offset)
	if err != nil {
		return readFault("open record", ref, err)
	}
	o.nf = n
	h, err := parseHeader(o.first.b[:n])
	if err != nil {
		return fault.Wrap(fault.Corrupt, "open record", ref.String(), err)
	}
	if h.Ref != ref {
		return fault.New(fault.Corrupt, "open record", ref.String(), "what is there was written elsewhere")
	}
	if o.c, err = newCryptor(key, h.KeyID, &h.salt); err != nil {
		return err
	}
	if !o.c.check(&h) {
		return fault.New(fault.Corrupt, "open record", ref.String(), "its header was changed, or the key is another")
	}
	o.Header = h
	return nil
}

func readFault(attempt string, ref Ref, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(fault.Unavailable, attempt, ref.String(), err)
}

// Close gives back what the Object holds.
func (o *Object) Close() error {
	if o.src != nil {
		o.src.release()
		o.src = nil
	}
	for _, src := range o.used {
		src.release()
	}
	o.used = nil
	if o.first != nil {
		o.first.free()
		o.first = nil
	}
	o.c = nil
	return nil
}

// Meta is the first section.
func (o *Object) Meta() ([]byte, error) { return o.section(Meta) }

// Head is the second section.
func (o *Object) Head() ([]byte, error) { return o.section(Head) }

// BulkSize is the length of the third section.
func (o *Object) BulkSize() int64 { return o.Lengths[Bulk] }

// Bulk reads the third section anywhere.
func (o *Object) Bulk() io.ReaderAt { return bulk{o} }

type bulk struct{ o *Object }

func (b bulk) ReadAt(p []byte, off int64) (int, error) { return b.o.readAt(Bulk, p, off) }

func (o *Object) section(s Section) ([]byte, error) {
	b := make([]byte, o.Lengths[s])
	if len(b) == 0 {
		return b, nil
	}
	n, err := o.readAt(s, b, 0)
	if n == len(b) {
		return b, nil
	}
	return nil, err
}

func (o *Object) damaged(s Section) error {
	return fault.New(fault.Corrupt, "read record", o.Ref.String(), "a chunk of its "+s.String()+" is not what was written")
}

// cipherSize is what k chunks from the first take in the file.
func (o *Object) cipherSize(s Section, first, k int64) int64 {
	c := int64(o.Chunk)
	return min((first+k)*c, o.Lengths[s]) - first*c + k*tagSize
}

// readAt is io.ReaderAt over a section. Only bytes of chunks that proved genuine get into p.
func (o *Object) readAt(s Section, p []byte, off int64) (int, error) {
	src, at := o.source()
	done, err := o.readFrom(src, at, s, p, off)
	for failed := at; err != nil && elsewhere(err); {
		src, at, ok := o.another(failed, o.Ref.Pack)
		if !ok {
			break
		}
		n, again := o.readFrom(src, at, s, p[done:], off+int64(done))
		done += n
		if again == nil || !elsewhere(again) {
			err = again
		}
		failed = at
	}
	return done, err
}

func (o *Object) readFrom(src source, from level, s Section, p []byte, off int64) (int, error) {
	length := o.Lengths[s]
	if off < 0 {
		return 0, fault.New(fault.Invalid, "read record", o.Ref.String(), "the position is negative")
	}
	if off >= length {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), length-off))
	if want == 0 {
		return 0, nil
	}
	c := int64(o.Chunk)
	base := o.sectionStart(s)
	var l label
	var buf *buffer
	defer func() {
		if buf != nil {
			buf.free()
		}
	}()
	done := 0
	for done < want {
		first := (off + int64(done)) / c
		k := min((off+int64(want)-1)/c-first+1, max(1, window/c))
		at, size := base+first*(c+tagSize), o.cipherSize(s, first, k)
		var ct []byte
		shared := from == o.begun && at+size <= int64(o.nf)
		if shared {
			ct = o.first.b[at : at+size]
		} else {
			if buf == nil {
				buf = getBuffer(int(size))
			}
			ct = buf.b[:size]
			n, err := src.readAt(o.ctx, ct, o.Ref.Offset+at)
			if err != nil {
				return done, readFault("read record", o.Ref, err)
			}
			if int64(n) < size {
				return done, fault.New(fault.Corrupt, "read record", o.Ref.String(), "the pack ends within it")
			}
		}
		for i := first; i < first+k; i++ {
			n := int(min(c, length-i*c))
			l.set(s, i, int64(n)+i*c == length, o.Large, o.Chunk)
			skip := int(off + int64(done) - i*c)
			take := min(n-skip, want-done)
			part := ct[:n+tagSize]
			ct = ct[n+tagSize:]
			if skip == 0 && take == n {
				if _, err := o.c.aead.Open(p[done:done:done+n], l.nonce[:], part, l.data[:]); err != nil {
					return done, o.damaged(s)
				}
			} else {
				dst := part[:0] // in place
				var scratch *buffer
				if shared { // others read it too
					scratch = getBuffer(n)
					dst = scratch.b[:0]
				}
				plain, err := o.c.aead.Open(dst, l.nonce[:], part, l.data[:])
				if err == nil {
					copy(p[done:done+take], plain[skip:])
				}
				if scratch != nil {
					scratch.free()
				}
				if err != nil {
					return done, o.damaged(s)
				}
			}
			done += take
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// WriteBulk writes n bytes of the bulk from off to w, in order, with one request where the pack is in a bucket. Nothing is written that did not prove
// genuine.
func (o *Object) WriteBulk(w io.Writer, off, n int64) (int64, error) {
	return o.write(w, Bulk, off, n)
}

// takeError is an error of who takes what is read.
type takeError struct{ error }

func (o *Object) write(w io.Writer, s Section, off, n int64) (written int64, err error) {
	src, at := o.source()
	written, err = o.writeFrom(src, w, s, off, n)
	for failed := at; err != nil && elsewhere(err); {
		if _, ok := errors.AsType[takeError](err); ok {
			break
		}
		src, at, ok := o.another(failed, o.Ref.Pack)
		if !ok {
			break
		}
		// What was written proved genuine: the other copy goes on behind it.
		m, again := o.writeFrom(src, w, s, off+written, n-written)
		written += m
		if _, taken := errors.AsType[takeError](again); again == nil || taken || !elsewhere(again) {
			err = again
		}
		failed = at
	}
	if t, ok := errors.AsType[takeError](err); ok {
		err = t.error
	}
	return written, err
}

func (o *Object) writeFrom(src source, w io.Writer, s Section, off, n int64) (written int64, err error) {
	length := o.Lengths[s]
	if off < 0 || n < 0 || off > length || n > length-off {
		return 0, fault.New(fault.Invalid, "read record", o.Ref.String(), "the range lies outside of it")
	}
	if n == 0 {
		return 0, nil
	}
	c := int64(o.Chunk)
	first, last := off/c, (off+n-1)/c
	at := o.Ref.Offset + o.sectionStart(s) + first*(c+tagSize)
	r, err := src.stream(o.ctx, at, o.cipherSize(s, first, last-first+1))
	if err != nil {
		return 0, readFault("read record", o.Ref, err)
	}
	defer r.Close()
	per := max(1, window/c)
	buf := getBuffer(int(per * (c + tagSize)))
	defer buf.free()
	var l label
	for i := first; i <= last; {
		k := min(per, last-i+1)
		ct := buf.b[:o.cipherSize(s, i, k)]
		if _, err := io.ReadFull(r, ct); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return written, fault.New(fault.Corrupt, "read record", o.Ref.String(), "the pack ends within it")
			}
			return written, readFault("read record", o.Ref, err)
		}
		// Plain chunks close up to one another in place, so that w gets them at once.
		plain := 0
		for at := 0; at < len(ct); i++ {
			m := int(min(c, length-i*c))
			l.set(s, i, int64(m)+i*c == length, o.Large, o.Chunk)
			part := ct[at : at+m+tagSize]
			if _, err := o.c.aead.Open(part[:0], l.nonce[:], part, l.data[:]); err != nil {
				return written, o.damaged(s)
			}
			if plain != at {
				copy(ct[plain:], part[:m])
			}
			plain += m
			at += m + tagSize
		}
		out := ct[:plain]
		if skip := off + written - (i-k)*c; skip > 0 {
			out = out[skip:]
		}
		out = out[:min(int64(len(out)), n-written)]
		m, err := w.Write(out)
		written += int64(m)
		if err != nil {
			return written, takeError{err}
		}
	}
	return written, nil
}

// Verify reads a record whole and compares it with its digest.
func (s *Store) Verify(ctx context.Context, ref Ref, key keys.Key) error {
	o, err := s.Open(ctx, ref, key)
	if err != nil {
		return err
	}
	defer o.Close()
	var sums Sums
	for sec := range sums {
		h := sha256.New()
		if _, err := o.write(h, Section(sec), 0, o.Lengths[sec]); err != nil {
			return err
		}
		h.Sum(sums[sec][:0])
	}
	root := o.c.root(&sums)
	if !hmac.Equal(root[:], o.root[:]) {
		return fault.New(fault.Corrupt, "verify record", ref.String(), "its digest differs")
	}
	return nil
}
