package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
)

// source is a buffered reader that can skip: by seeking, where what lies below can.
type source struct {
	r    io.Reader
	seek io.Seeker // nil if r cannot seek
	buf  []byte
	a, b int // unread: buf[a:b]
	err  error
}

func newSource(r io.Reader) *source {
	s := &source{r: r, buf: make([]byte, 32<<10)}
	s.seek, _ = r.(io.Seeker)
	return s
}

func (s *source) Read(p []byte) (int, error) {
	if s.a < s.b {
		n := copy(p, s.buf[s.a:s.b])
		s.a += n
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	if len(p) >= len(s.buf) {
		n, err := s.r.Read(p)
		s.err = err
		if n > 0 {
			err = nil
		}
		return n, err
	}
	n, err := s.r.Read(s.buf)
	s.a, s.b, s.err = 0, n, err
	if n == 0 {
		return 0, err
	}
	n = copy(p, s.buf[:n])
	s.a = n
	return n, nil
}

// skip moves n bytes on. Past the end it says io.ErrUnexpectedEOF.
func (s *source) skip(n int64) error {
	k := min(n, int64(s.b-s.a))
	s.a += int(k)
	n -= k
	if n == 0 {
		return nil
	}
	if s.seek != nil && s.err == nil && n > int64(len(s.buf)) {
		// One byte less, then a read: seeking past the end would not be noticed.
		if _, err := s.seek.Seek(n-1, io.SeekCurrent); err != nil {
			return err
		}
		n = 1
	}
	m, err := io.CopyN(io.Discard, onlyReader{s}, n)
	if errors.Is(err, io.EOF) && m < n {
		return io.ErrUnexpectedEOF
	}
	return err
}

type onlyReader struct{ io.Reader }

// Reader reads a data set from a stream, as large as it may be: everything but bulk values is kept and indexed, and bulk values pass by.
//
//	rd, err := dicom.NewFileReader(r, dicom.Limits{})
//	for {
//		v, err := rd.Next()
//		if err == io.EOF {
//			break
//		}
//		io.Copy(w, v) // or not: Next skips what is left
//	}
//	d := rd.Dataset()
type Reader struct {
	p        parser
	ts       *TransferSyntax
	meta     *Dataset
	preamble []byte
	base     int64 // where the data set begins in the file
	cur      *bulkReader
	err      error
}

// NewReader reads a bare data set in the given transfer syntax, as C-STORE carries it.
func NewReader(r io.Reader, ts *TransferSyntax, lim Limits) *Reader {
	lim = lim.withDefaults()
	if ts.Deflated {
		r = newInflater(r, lim)
	}
	return &Reader{ts: ts, p: parser{src: newSource(r), lim: lim, ordered: true}}
}

// NewFileReader reads a file: preamble and file meta information (PS3.10 7.1), either of which may be missing, then the data set. Without a
// transfer syntax in the meta information, the encoding is told from the first element.
func NewFileReader(r io.Reader, lim Limits) (*Reader, error) {
	lim = lim.withDefaults()
	src := newSource(r)
	preamble, meta, ts, n, err := readPrefix(src, lim)
	if err != nil {
		return nil, err
	}
	rd := &Reader{ts: ts, meta: meta, preamble: preamble, base: n}
	if ts.Deflated {
		src = newSource(newInflater(src, lim))
	}
	rd.p = parser{src: src, lim: lim, ordered: true}
	return rd, nil
}

// Syntax is the transfer syntax of the data set.
func (r *Reader) Syntax() *TransferSyntax { return r.ts }

// Meta is the file meta information; nil if there was none.
func (r *Reader) Meta() *Dataset { return r.meta }

// Preamble is the preamble's 128 bytes; nil if there was none.
func (r *Reader) Preamble() []byte { return r.preamble }

// Value is a bulk value that passes by. Read gives its bytes; those of an encapsulated value are its fragments with their headers.
type Value struct {
	Element // its header; the length is as written
	r       *bulkReader
}

func (v *Value) Read(p []byte) (int, error) { return v.r.Read(p) }

// Next reads on to the next bulk value, skipping what is left of the one before; io.EOF says that the data set has ended well.
func (r *Reader) Next() (*Value, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.cur != nil {
		if err := r.cur.skip(); err != nil {
			r.err = unwrapSource(err)
			return nil, r.err
		}
		r.cur = nil
	}
	b, err := r.p.top(r.ts.encoding())
	if err != nil {
		r.err = unwrapSource(err)
		return nil, r.err
	}
	r.cur = b
	return &Value{Element: r.p.elems[b.elem], r: b}, nil
}

// Dataset is the index of what has been read so far; it is whole once Next has said io.EOF.
func (r *Reader) Dataset() *Dataset { return r.p.dataset(r.ts) }

func unwrapSource(err error) error {
	if s, ok := errors.AsType[errSource](err); ok {
		return s.err
	}
	return err
}

// bulkReader reads the bulk value of an element from the parser's source. At its end it closes the element.
type bulkReader struct {
	p         *parser
	elem      int
	bulk      int
	left      int64 // bytes left of the value, or of the current fragment
	fragments bool
	pending   []byte // the rest of a fragment's header
	head      [8]byte
	n         int64
	done      bool
	err       error
}

func (b *bulkReader) fail(kind error, reason string) error {
	b.err = b.p.fail(int32(b.elem), 0, kind, reason)
	return b.err
}

func (b *bulkReader) Read(q []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.done {
		return 0, io.EOF
	}
	if len(q) == 0 {
		return 0, nil
	}
	if len(b.pending) > 0 {
		n := copy(q, b.pending)
		b.pending = b.pending[n:]
		b.n += int64(n)
		return n, nil
	}
	if ok, err := b.advance(); !ok {
		return 0, err
	}
	if len(b.pending) > 0 {
		return b.Read(q)
	}
	if int64(len(q)) > b.left {
		q = q[:b.left]
	}
	n, err := b.p.src.Read(q)
	b.left -= int64(n)
	b.n += int64(n)
	if err != nil && n == 0 {
		return 0, b.sourceError(err)
	}
	return n, nil
}

func (b *bulkReader) sourceError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.fail(ErrTruncated, "the value")
	}
	b.err = err
	return err
}

// advance makes sure that there is something left to read; false at the end of the value.
func (b *bulkReader) advance() (bool, error) {
	if b.left > 0 {
		return true, nil
	}
	if !b.fragments {
		return false, b.finish()
	}
	if _, err := io.ReadFull(b.p.src, b.head[:]); err != nil {
		return false, b.sourceError(err)
	}
	tag := Tag(binary.LittleEndian.Uint16(b.head[:]))<<16 | Tag(binary.LittleEndian.Uint16(b.head[2:]))
	length := binary.LittleEndian.Uint32(b.head[4:])
	switch {
	case tag == sequenceDelimTag:
		b.p.buf = append(b.p.buf, b.head[:]...)
		return false, b.finish()
	case tag != itemTag || length == UndefinedLength:
		return false, b.fail(ErrMalformed, "something other than a fragment")
	}
	if b.n+int64(length) > b.p.lim.BulkBytes {
		return false, b.fail(ErrTooLarge, "the value's length")
	}
	b.pending, b.left = b.head[:], int64(length)
	return true, nil
}

func (b *bulkReader) finish() error {
	b.done = true
	p := b.p
	p.bulks[b.bulk].Len = b.n
	p.shift += b.n
	delimiter := 0
	if b.fragments {
		delimiter = 8
	}
	p.finish(b.elem, delimiter)
	return io.EOF
}

// skip goes to the end of the value, by seeking where it can.
func (b *bulkReader) skip() error {
	if b.err != nil {
		return b.err
	}
	for !b.done {
		b.n += int64(len(b.pending))
		b.pending = nil
		ok, err := b.advance()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !ok {
			continue
		}
		b.n += int64(len(b.pending)) + b.left
		b.pending = nil
		if err := b.p.src.skip(b.left); err != nil {
			return b.sourceError(err)
		}
		b.left = 0
	}
	return nil
}

// inflater inflates a deflated data set (PS3.5 A.5) within bounds.
type inflater struct {
	in  countingReader
	z   io.ReadCloser
	out int64
	lim Limits
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func newInflater(r io.Reader, lim Limits) *inflater {
	f := &inflater{in: countingReader{r: r}, lim: lim}
	f.z = flate.NewReader(&f.in)
	return f
}

func (f *inflater) Read(p []byte) (int, error) {
	n, err := f.z.Read(p)
	f.out += int64(n)
	if f.out > f.lim.Inflated && f.out/f.lim.InflateRatio > f.in.n {
		return n, &Error{Op: "inflate", Offset: -1, Reason: "it grows beyond all proportion", Kind: ErrTooLarge}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if _, corrupt := errors.AsType[flate.CorruptInputError](err); corrupt {
			err = &Error{Op: "inflate", Offset: f.in.n, Kind: ErrMalformed}
		} else if errors.Is(err, io.ErrUnexpectedEOF) {
			err = &Error{Op: "inflate", Offset: f.in.n, Kind: ErrTruncated}
		}
	}
	return n, err
}

// readPrefix reads what comes before the data set. n is the number of bytes read.
func readPrefix(src *source, lim Limits) (preamble []byte, meta *Dataset, ts *TransferSyntax, n int64, err error) {
	lim.HeadBytes = min(lim.HeadBytes, 1<<20) // meta information is small
	p := parser{src: src, lim: lim, ordered: true}
	ok, err := p.need(132)
	if err != nil {
		return nil, nil, nil, 0, unwrapSource(err)
	}
	if ok && string(p.buf[128:132]) == "DICM" {
		preamble = bytes.Clone(p.buf[:128])
		n = 132
		p.buf = p.buf[132:]
	} else if len(p.buf) >= 4 && string(p.buf[:4]) == "DICM" { // the preamble left out, its mark kept
		n = 4
		p.buf = p.buf[4:]
	}
	if len(p.buf) == 0 {
		if ok, err := p.need(1); err != nil {
			return nil, nil, nil, 0, unwrapSource(err)
		} else if !ok {
			return nil, nil, nil, 0, &Error{Op: "parse", Offset: n, Reason: "there is no data set", Kind: ErrNotDICOM}
		}
	}
	enc := encoding{explicit: true}
	metaEnd := 0
	for {
		ok, err := p.need(8)
		if err != nil {
			return nil, nil, nil, 0, unwrapSource(err)
		}
		if !ok || p.u16(p.pos, false) != 2 {
			break
		}
		if p.pos == 0 && !(isUpper(p.buf[4]) && isUpper(p.buf[5])) {
			enc.explicit = false // against PS3.10 7.1, yet met
		}
		h, _, err := p.readHeader(enc, Root)
		if err != nil {
			return nil, nil, nil, 0, unwrapSource(err)
		}
		if h.length > 1<<20 {
			return nil, nil, nil, 0, p.fail(Root, h.tag, ErrTooLarge, "the value's length")
		}
		if _, err := p.element(h, enc, Root, 0, -1); err != nil {
			return nil, nil, nil, 0, unwrapSource(err)
		}
		metaEnd = p.pos
	}
	rest := p.buf[metaEnd:]
	if metaEnd > 0 {
		mts := ExplicitVRLittleEndian
		if !enc.explicit {
			mts = ImplicitVRLittleEndian
		}
		p.buf = bytes.Clone(p.buf[:metaEnd])
		meta = p.dataset(mts)
		n += int64(metaEnd)
	}
	// What was read beyond goes back in front of the source.
	if len(rest) > 0 {
		src.unread(rest)
	}
	if meta != nil {
		if uid := meta.UID(TagTransferSyntaxUID); uid != "" {
			known, ok := LookupTransferSyntax(uid)
			if !ok {
				return nil, nil, nil, 0, &Error{Op: "parse", Path: "(0002,0010)", Offset: n, Kind: ErrUnknownSyntax}
			}
			return preamble, meta, known, n, nil
		}
	}
	ts, ok = guessSyntax(rest)
	if !ok && preamble == nil && meta == nil {
		return nil, nil, nil, 0, &Error{Op: "parse", Offset: 0, Reason: "neither a Part 10 file nor a data set", Kind: ErrNotDICOM}
	}
	return preamble, meta, ts, n, nil
}

// unread puts bytes back in front of what is unread.
func (s *source) unread(b []byte) {
	joined := make([]byte, 0, max(len(s.buf), len(b)+s.b-s.a))
	joined = append(append(joined, b...), s.buf[s.a:s.b]...)
	s.a, s.b = 0, len(joined)
	s.buf = joined[:cap(joined)]
}

// guessSyntax tells the encoding from the first element's header; false if the bytes cannot be a data set.
func guessSyntax(b []byte) (*TransferSyntax, bool) {
	if len(b) < 8 {
		return ImplicitVRLittleEndian, false
	}
	// Other files begin with letters as well: the first element has to be one of the dictionary.
	little, big := binary.LittleEndian.Uint16(b), binary.BigEndian.Uint16(b)
	_, isLittle := LookupTag(NewTag(little, binary.LittleEndian.Uint16(b[2:])))
	_, isBig := LookupTag(NewTag(big, binary.BigEndian.Uint16(b[2:])))
	vr := VR(b[4])<<8 | VR(b[5])
	switch {
	case vr.Known() && big < little:
		return ExplicitVRBigEndian, isBig && big > 2
	case vr.Known():
		return ExplicitVRLittleEndian, isLittle && little > 2
	}
	return ImplicitVRLittleEndian, isLittle && little > 2 && binary.LittleEndian.Uint32(b[4:]) < 1<<24
}

// Inflate is the inflated bytes of a deflated data set (PS3.5 A.5), within the limits.
func Inflate(b []byte, lim Limits) ([]byte, error) {
	return io.ReadAll(newInflater(bytes.NewReader(b), lim.withDefaults()))
}
