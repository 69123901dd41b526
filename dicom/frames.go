package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
)

// maxFragments bounds the index that a scan of fragment headers makes: eight bytes each.
const maxFragments = 1 << 22

// maxTable bounds a basic offset table, in bytes.
const maxTable = 64 << 20

// Frames finds the frames of an image in its pixel data, reading no more of it than it must: of native pixels nothing, of encapsulated ones the offset
// table and the headers of the fragments of the frame asked for, or, where the table is missing or wrong, the headers of all fragments, once.
//
//	f, err := dicom.NewFrames(d, value, size)
//	frame, err := f.Open(0)
//	io.Copy(w, frame)
//
// It decodes nothing. It is for one goroutine.
type Frames struct {
	value io.ReaderAt
	size  int64
	count int

	// native
	bits int64 // of one frame; 0: encapsulated

	// encapsulated
	stream  bool // the whole value is one stream, as video is
	marked  func([]byte) bool
	first   int64 // where the first fragment begins: after the basic offset table
	table   offsetTable
	scanned []int64 // where each frame begins, and the end; nil: not scanned yet
	failed  error   // of the scan
	lengths []byte  // Extended Offset Table Lengths
}

// offsetTable gives the offset of a frame from the first fragment; its entries are as encoded.
type offsetTable struct {
	raw  []byte
	wide bool // 64 bits (PS3.3 C.7.6.3.1.8), else 32 (PS3.5 A.4)
}

func (t offsetTable) at(k int) uint64 {
	if t.wide {
		return binary.LittleEndian.Uint64(t.raw[8*k:])
	}
	return uint64(binary.LittleEndian.Uint32(t.raw[4*k:]))
}

// Frame is the bytes of one frame as they are stored: native pixels, or a code stream without the headers of its fragments.
type Frame struct {
	Size int64 // bytes
	r    io.Reader
}

func (f *Frame) Read(p []byte) (int, error) { return f.r.Read(p) }

// Seek sets where the next Read begins. Frames that begin within a byte cannot be sought in.
func (f *Frame) Seek(offset int64, whence int) (int64, error) {
	s, ok := f.r.(io.Seeker)
	if !ok {
		return 0, frameError(TagPixelData, ErrMalformed, "a frame that begins within a byte is read from its beginning")
	}
	return s.Seek(offset, whence)
}

// PixelData is the entry of the pixel data: (7FE0,0010), or float or double float pixel data (PS3.3 C.7.6.24, C.7.6.25); -1 if there is none.
func (d *Dataset) PixelData() int {
	for _, t := range []Tag{TagPixelData, TagFloatPixelData, TagDoubleFloatPixelData} {
		if i := d.Find(t); i >= 0 {
			return i
		}
	}
	return -1
}

// NewFrames prepares to read the frames of d, whose pixel data is value: size bytes, of an encapsulated one the fragments with their headers, as
// [Bulk] counts them.
func NewFrames(d *Dataset, value io.ReaderAt, size int64) (*Frames, error) {
	i := d.PixelData()
	if i < 0 {
		return nil, frameError(TagPixelData, ErrMalformed, "there is none")
	}
	e := d.At(i)
	f := &Frames{value: value, size: size, count: 1}
	if d.Has(TagNumberOfFrames) && d.String(TagNumberOfFrames) != "" {
		n, ok := d.Int(TagNumberOfFrames)
		if !ok || n < 1 || n > math.MaxInt32 {
			return nil, frameError(TagNumberOfFrames, ErrMalformed, "not a number of frames")
		}
		f.count = int(n)
	}
	if e.IsEncapsulated() {
		return f, f.encapsulated(d)
	}
	return f, f.native(d, e.Tag)
}

func frameError(tag Tag, kind error, reason string) error {
	return &Error{Op: "find frame", Path: tag.String(), Offset: -1, Reason: reason, Kind: kind}
}

// Count is the number of frames; of video, which has no frames of its own, 1.
func (f *Frames) Count() int { return f.count }

// Encapsulated reports whether frames are code streams.
func (f *Frames) Encapsulated() bool { return f.bits == 0 }

// native computes the size of a frame (PS3.5 8.1.1, 8.2).
func (f *Frames) native(d *Dataset, tag Tag) error {
	number := func(t Tag, fallback int64) (int64, error) {
		n, ok := d.Int(t)
		if !ok {
			n = fallback
		}
		if n < 1 || n > math.MaxUint16 {
			return 0, frameError(t, ErrMalformed, "missing or out of range")
		}
		return n, nil
	}
	rows, err := number(TagRows, 0)
	if err != nil {
		return err
	}
	columns, err := number(TagColumns, 0)
	if err != nil {
		return err
	}
	samples, err := number(TagSamplesPerPixel, 1)
	if err != nil {
		return err
	}
	allocated := int64(32)
	switch tag {
	case TagDoubleFloatPixelData:
		allocated = 64
	case TagPixelData:
		if allocated, err = number(TagBitsAllocated, 0); err != nil {
			return err
		}
	}
	if samples > 255 || allocated > 64 {
		return frameError(TagBitsAllocated, ErrMalformed, "missing or out of range")
	}
	f.bits = rows * columns * samples * allocated
	if samples == 3 {
		// Subsampled colour without compression has fewer samples than it says (PS3.3 C.7.6.3.1.2); some writers say so and store them all.
		fewer := f.bits
		switch d.String(TagPhotometricInterpretation) {
		case "YBR_FULL_422", "YBR_PARTIAL_422":
			fewer = f.bits / 3 * 2
		case "YBR_PARTIAL_420":
			fewer = f.bits / 2
		}
		if !f.holds(f.bits) {
			f.bits = fewer
		}
	}
	if !f.holds(f.bits) {
		return frameError(tag, ErrTruncated, "it is shorter than its rows, columns and frames take")
	}
	return nil
}

// holds reports whether the value has room for all frames of n bits.
func (f *Frames) holds(n int64) bool {
	hi, lo := bits.Mul64(uint64(n), uint64(f.count))
	return hi == 0 && lo <= math.MaxInt64-7 && (int64(lo)+7)/8 <= f.size
}

// encapsulated reads the offset tables.
func (f *Frames) encapsulated(d *Dataset) error {
	f.stream, f.marked = codeStreams(d.Syntax().UID)
	tag, length, err := f.item(0)
	if err != nil {
		return err
	}
	if tag != itemTag {
		return frameError(TagPixelData, ErrMalformed, "it does not begin with a basic offset table")
	}
	f.first = 8 + length
	if f.stream || f.count == 1 {
		f.count = 1
		return nil
	}
	if i, k := d.Find(TagExtendedOffsetTable), d.Find(TagExtendedOffsetTableLengths); i >= 0 && k >= 0 {
		offsets, lengths := d.Value(i), d.Value(k)
		if len(offsets) == 8*f.count && len(lengths) == 8*f.count {
			f.table, f.lengths = offsetTable{offsets, true}, lengths
		}
	}
	if f.table.raw == nil && length == 4*int64(f.count) && length <= maxTable {
		raw := make([]byte, length)
		if err := readFull(f.value, raw, 8); err != nil {
			return err
		}
		f.table = offsetTable{raw, false}
	}
	if f.table.raw != nil && !f.table.plausible(f.count, uint64(f.size-f.first)) {
		f.table = offsetTable{}
	}
	return nil
}

// plausible reports whether the table begins with 0, ascends and stays within room.
func (t offsetTable) plausible(n int, room uint64) bool {
	last := t.at(0)
	if last != 0 || room == 0 {
		return false
	}
	for k := 1; k < n; k++ {
		v := t.at(k)
		if v <= last || v >= room {
			return false
		}
		last = v
	}
	return true
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = frameError(TagPixelData, ErrTruncated, "its fragments")
	}
	return err
}

// item reads the header of the item at off. The item lies within the value.
func (f *Frames) item(off int64) (Tag, int64, error) {
	var h [8]byte
	if off < 0 || off > f.size-8 {
		return 0, 0, frameError(TagPixelData, ErrTruncated, "its fragments")
	}
	if err := readFull(f.value, h[:], off); err != nil {
		return 0, 0, err
	}
	tag := NewTag(binary.LittleEndian.Uint16(h[:]), binary.LittleEndian.Uint16(h[2:]))
	length := int64(binary.LittleEndian.Uint32(h[4:]))
	if tag == itemTag && length > f.size-off-8 {
		return 0, 0, frameError(TagPixelData, ErrTruncated, "a fragment")
	}
	return tag, length, nil
}

// fragment is the length of the fragment at off.
func (f *Frames) fragment(off int64) (int64, error) {
	tag, length, err := f.item(off)
	if err == nil && tag != itemTag {
		err = frameError(TagPixelData, ErrMalformed, "something other than a fragment")
	}
	return length, err
}

// Open reads frame k, counted from 0.
func (f *Frames) Open(k int) (*Frame, error) {
	if k < 0 || k >= f.count {
		return nil, frameError(TagPixelData, ErrMalformed, "there is no frame of this number")
	}
	if f.bits > 0 {
		return f.openNative(k), nil
	}
	if f.count == 1 {
		return f.join(f.first, f.size)
	}
	begin, end, found := int64(0), int64(0), false
	if f.table.raw != nil && f.scanned == nil {
		var sure bool
		if begin, end, found, sure = f.fromTable(k); sure {
			return f.join(begin, end)
		}
	}
	// The table is missing or wrong: what the fragments themselves say counts, if they say anything.
	if f.scanned == nil && f.failed == nil {
		f.scanned, f.failed = f.scan()
	}
	switch {
	case f.failed == nil:
		return f.join(f.scanned[k], f.scanned[k+1])
	case found:
		return f.join(begin, end)
	}
	return nil, f.failed
}

func (f *Frames) openNative(k int) *Frame {
	from := int64(k) * f.bits
	size := (f.bits + 7) / 8
	if from%8 == 0 && f.bits%8 == 0 {
		return &Frame{Size: size, r: io.NewSectionReader(f.value, from/8, size)}
	}
	last := (from+f.bits+7)/8 - from/8
	return &Frame{Size: size, r: &bitReader{src: io.NewSectionReader(f.value, from/8, last), shift: uint(from % 8), left: f.bits}}
}

// fromTable is the range of fragments that the table gives to frame k. It is found if fragments follow one another from its begin to its end; it is
// sure if a code stream begins there too.
func (f *Frames) fromTable(k int) (begin, end int64, found, sure bool) {
	begin, end = f.first+int64(f.table.at(k)), f.size
	if k+1 < f.count {
		end = f.first + int64(f.table.at(k+1))
	}
	off := begin
	for n := 0; off < end; n++ {
		length, err := f.fragment(off)
		if err != nil {
			return 0, 0, false, false
		}
		if f.lengths != nil {
			// One fragment a frame, padded by at most a byte (PS3.3 C.7.6.3.1.8).
			want := binary.LittleEndian.Uint64(f.lengths[8*k:])
			if n > 0 || want > uint64(length) || uint64(length)-want > 1 {
				return 0, 0, false, false
			}
		}
		if n == 0 {
			sure = f.marked == nil || f.begins(off+8, length)
		}
		off += 8 + length
	}
	return begin, end, off == end, sure && off == end
}

// begins reports whether a code stream begins at off.
func (f *Frames) begins(off, length int64) bool {
	var b [12]byte
	p := b[:min(int64(len(b)), length)]
	return readFull(f.value, p, off) == nil && f.marked(p)
}

// scan reads the header of every fragment and tells where frames begin: each fragment is one where there are as many, else those that begin with the
// mark of a code stream.
func (f *Frames) scan() ([]int64, error) {
	var starts, marks []int64
	n := 0
	for off := f.first; off < f.size; n++ {
		length, err := f.fragment(off)
		if err != nil {
			return nil, err
		}
		if n == maxFragments {
			return nil, frameError(TagPixelData, ErrTooLarge, "the number of fragments")
		}
		if length > 0 { // an empty fragment is no frame, and belongs to the one before
			starts = append(starts, off)
		}
		off += 8 + length
	}
	if len(starts) > f.count && f.marked != nil {
		for _, off := range starts {
			length, err := f.fragment(off)
			if err != nil {
				return nil, err
			}
			if f.begins(off+8, length) {
				marks = append(marks, off)
			}
		}
		starts = marks
	}
	if len(starts) != f.count || starts[0] != f.firstFilled() {
		return nil, frameError(TagPixelData, ErrMalformed, "its fragments do not tell where its frames begin")
	}
	return append(starts, f.size), nil
}

// firstFilled is where the first fragment that is not empty begins.
func (f *Frames) firstFilled() int64 {
	off := f.first
	for off < f.size {
		length, err := f.fragment(off)
		if err != nil || length > 0 {
			break
		}
		off += 8
	}
	return off
}

// join reads the fragments in [begin, end) as one.
func (f *Frames) join(begin, end int64) (*Frame, error) {
	var size int64
	for off := begin; off < end; {
		length, err := f.fragment(off)
		if err != nil {
			return nil, err
		}
		size += length
		off += 8 + length
	}
	return &Frame{Size: size, r: &fragmentReader{f: f, size: size, off: begin, begin: begin, end: end}}, nil
}

type fragmentReader struct {
	f          *Frames
	size, at   int64 // of the code stream
	off        int64 // of the next byte, or of the next header
	left       int64 // of the current fragment
	begin, end int64
}

func (r *fragmentReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, frameError(TagPixelData, ErrMalformed, "a place before its beginning")
	}
	r.at, r.off, r.left = 0, r.begin, 0
	for r.at < offset && r.off < r.end {
		length, err := r.f.fragment(r.off)
		if err != nil {
			return 0, err
		}
		r.off += 8
		skipped := min(length, offset-r.at)
		r.off, r.left, r.at = r.off+skipped, length-skipped, r.at+skipped
	}
	r.at = offset
	return offset, nil
}

func (r *fragmentReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		if r.off >= r.end {
			return 0, io.EOF
		}
		length, err := r.f.fragment(r.off)
		if err != nil {
			return 0, err
		}
		r.off += 8
		r.left = length
	}
	p = p[:min(int64(len(p)), r.left)]
	n, err := r.f.value.ReadAt(p, r.off)
	r.off += int64(n)
	r.at += int64(n)
	r.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = frameError(TagPixelData, ErrTruncated, "a fragment")
	}
	return 0, err
}

// bitReader moves a frame that begins within a byte to the beginning of one: pixels of one bit follow each other without a gap between frames
// (PS3.5 8.1.1), the first in the least significant bit. Bits after the frame are 0.
type bitReader struct {
	src   io.Reader
	shift uint
	left  int64 // bits
	carry byte  // the byte of which the upper bits are still to come
	begun bool
	buf   [4096]byte
}

func (r *bitReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.shift != 0 && !r.begun {
		if _, err := io.ReadFull(r.src, r.buf[:1]); err != nil {
			return 0, shortBits(err)
		}
		r.carry, r.begun = r.buf[0], true
	}
	want := min(int64(len(p)), int64(len(r.buf)), (r.left+7)/8)
	n, err := io.ReadFull(r.src, r.buf[:want])
	// The last byte of the frame may lie whole in what is carried.
	if int64(n) < want && !(r.shift != 0 && int64(n) == want-1 && r.left-8*int64(n) <= int64(8-r.shift)) {
		return 0, shortBits(err)
	}
	clear(r.buf[n:want])
	for i := range want {
		b := r.buf[i]
		if r.shift != 0 {
			b, r.carry = r.carry>>r.shift|b<<(8-r.shift), b
		}
		if r.left < 8 {
			b &= 1<<uint(r.left) - 1
		}
		r.left -= 8
		p[i] = b
	}
	return int(want), nil
}

func shortBits(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return frameError(TagPixelData, ErrTruncated, "a frame")
	}
	return err
}

// codeStreams says how encapsulated pixels of a transfer syntax are told apart: stream where all fragments are one (video, PS3.5 8.2.5 to 8.2.8), and
// what a frame begins with; nil where a frame is one fragment (RLE, PS3.5 A.4.2) or nothing is known.
func codeStreams(uid string) (stream bool, marked func([]byte) bool) {
	switch uid {
	case "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93",
		"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203":
		return false, func(b []byte) bool { // SOC and SIZ (ISO 15444-1 A.4.1), or the box that some put around
			return bytes.HasPrefix(b, []byte{0xFF, 0x4F, 0xFF, 0x51}) || bytes.HasPrefix(b, []byte{0, 0, 0, 12, 'j', 'P', ' ', ' '})
		}
	case "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112":
		return false, func(b []byte) bool { // ISO 18181-2: bare, or in its container
			return bytes.HasPrefix(b, []byte{0xFF, 0x0A}) || bytes.HasPrefix(b, []byte{0, 0, 0, 12, 'J', 'X', 'L', ' '})
		}
	case "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98":
		return false, nil
	}
	if len(uid) > 22 && uid[:22] == "1.2.840.10008.1.2.4.10" && uid[22] >= '0' && uid[22] <= '8' {
		return true, nil
	}
	if len(uid) == 22 && uid[:20] == "1.2.840.10008.1.2.4." {
		return false, func(b []byte) bool { return bytes.HasPrefix(b, []byte{0xFF, 0xD8}) } // SOI (ISO 10918-1 B.2.1)
	}
	return false, nil
}
