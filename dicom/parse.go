package dicom

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
)

// bulkThreshold is the size from which a binary value at the top level is bulk.
const bulkThreshold = 1 << 20

// encoding is how elements lie in the bytes; it changes within UN (PS3.5 6.2.2).
type encoding struct {
	explicit bool
	big      bool
}

func (e encoding) flags() elementFlags {
	var f elementFlags
	if !e.explicit {
		f |= flagImplicit
	}
	if e.big {
		f |= flagBigEndian
	}
	return f
}

// parser builds an index. Without a source all bytes are in buf; with one, buf grows by what is needed and bulk values are left out of it.
type parser struct {
	src      *source
	buf      []byte
	pos      int
	shift    int64 // bytes of the data set that were elided before pos
	lim      Limits
	elems    []Element
	bulks    []Bulk
	elided   []BulkRef // bulk values known to be left out of buf (ParseHead)
	creators []creatorMemo
	ordered  bool
	lastTag  Tag
	trailer  int
	signed   bool // Pixel Representation is 1
}

type creatorMemo struct {
	parent int32
	tag    Tag
	name   string
}

func (p *parser) u16(at int, big bool) uint16 {
	if big {
		return binary.BigEndian.Uint16(p.buf[at:])
	}
	return binary.LittleEndian.Uint16(p.buf[at:])
}

func (p *parser) u32(at int, big bool) uint32 {
	if big {
		return binary.BigEndian.Uint32(p.buf[at:])
	}
	return binary.LittleEndian.Uint32(p.buf[at:])
}

func (p *parser) fail(parent int32, tag Tag, kind error, reason string) error {
	d := Dataset{elems: p.elems, buf: p.buf}
	path, told := "", true
	for i := parent; i >= 0 && int(i) < len(p.elems); i = p.elems[i].Parent {
		told = told && d.tells(int(p.elems[i].Parent), p.elems[i].Tag)
	}
	if parent >= 0 && int(parent) < len(p.elems) && told {
		path = d.Path(int(parent))
	}
	if tag != 0 && told && d.tells(int(parent), tag) {
		if path != "" {
			path += "."
		}
		path += tag.String()
	}
	return &Error{Op: "parse", Path: path, Offset: int64(p.pos) + p.shift, Reason: reason, Kind: kind}
}

// tells reports whether a tag may be told in an error: bytes that are read as an element because something before them was wrong may be letters of a
// name, and no error repeats a value. Known tags are told, and private ones whose creator stands before them.
func (d *Dataset) tells(parent int, tag Tag) bool {
	if _, ok := LookupTag(tag); ok || tag.Group() == 0xFFFE {
		return true
	}
	c, ok := tag.CreatorTag()
	if !ok {
		return false
	}
	for i := range d.elems {
		if d.elems[i].Tag == c && int(d.elems[i].Parent) == parent {
			return true
		}
	}
	return false
}

// errSource carries a failure of the source itself, which is not the data set's fault.
type errSource struct{ err error }

func (e errSource) Error() string { return e.err.Error() }
func (e errSource) Unwrap() error { return e.err }

// need makes n bytes from pos available; false at the end of the bytes.
func (p *parser) need(n int) (bool, error) {
	if len(p.buf)-p.pos >= n {
		return true, nil
	}
	if p.src == nil {
		return false, nil
	}
	if n > p.lim.HeadBytes-p.pos {
		return false, p.fail(Root, 0, ErrTooLarge, "the header")
	}
	want := p.pos + n - len(p.buf)
	for want > 0 { // grow as bytes arrive, never by what a length claims
		step := min(want, 1<<20)
		at := len(p.buf)
		if cap(p.buf)-at < step {
			size := max(min(2*cap(p.buf), p.lim.HeadBytes), at+step, 16<<10)
			if p.lim.Grow != nil && size > 4<<20 {
				if err := p.lim.Grow(size); err != nil {
					return false, errSource{err}
				}
			}
			grown := make([]byte, at, size)
			copy(grown, p.buf)
			p.buf = grown
		}
		m, err := io.ReadFull(p.src, p.buf[at:at+step])
		p.buf = p.buf[:at+m]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		if err != nil {
			return false, errSource{err}
		}
		want -= m
	}
	return true, nil
}

// header is an element's header as read.
type header struct {
	tag    Tag
	vr     VR
	length uint32
	size   int // bytes of the header
}

// readHeader reads the header at pos. ok is false where the bytes end before it.
func (p *parser) readHeader(enc encoding, parent int32) (h header, ok bool, err error) {
	ok, err = p.need(8)
	if !ok || err != nil {
		return h, false, err
	}
	at := p.pos
	h.tag = Tag(p.u16(at, enc.big))<<16 | Tag(p.u16(at+2, enc.big))
	if !enc.explicit || h.tag.Group() == 0xFFFE {
		h.length, h.size = p.u32(at+4, enc.big), 8
		h.vr = VRUN
		return h, true, nil
	}
	h.vr = VR(p.buf[at+4])<<8 | VR(p.buf[at+5])
	switch {
	case h.vr.LongLength(), !h.vr.Known() && isUpper(p.buf[at+4]) && isUpper(p.buf[at+5]):
		// A VR of a later edition has the long form (PS3.5 6.2, Note).
		if ok, err = p.need(12); err != nil {
			return h, false, err
		} else if !ok {
			return h, true, p.fail(parent, h.tag, ErrTruncated, "the element's header")
		}
		h.length, h.size = p.u32(at+8, enc.big), 12
	case h.vr.Known():
		h.length, h.size = uint32(p.u16(at+6, enc.big)), 8
	case p.buf[at+4] == 0 && p.buf[at+5] == 0, h.vr == '?'<<8|'?', h.vr == ' '<<8|' ', h.vr == '-'<<8|'-':
		// Placeholders that some writers leave where they do not know the VR; the short form is what they write.
		h.length, h.size = uint32(p.u16(at+6, enc.big)), 8
	default:
		return h, true, p.fail(parent, h.tag, ErrMalformed, "no value representation where one is expected")
	}
	return h, true, nil
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

// add appends an entry for the header at pos and moves to its value.
func (p *parser) add(h header, enc encoding, parent int32, depth int) (int, error) {
	if len(p.elems) >= p.lim.Elements {
		return 0, p.fail(parent, h.tag, ErrTooLarge, "the number of elements")
	}
	i := len(p.elems)
	if i == cap(p.elems) {
		grown := make([]Element, i, max(192, 2*i))
		copy(grown, p.elems)
		p.elems = grown
	}
	p.elems = append(p.elems, Element{Tag: h.tag, VR: h.vr, flags: enc.flags(), Depth: uint8(depth), Length: h.length,
		Start: uint32(p.pos), ValueStart: uint32(p.pos + h.size), Parent: parent})
	p.pos += h.size
	return i, nil
}

// finish closes entry i, whose value ends at pos, with a delimiter of n bytes (0 or 8).
func (p *parser) finish(i, delimiter int) {
	e := &p.elems[i]
	e.ValueEnd = uint32(p.pos)
	p.pos += delimiter
	e.End = uint32(p.pos)
	e.Next = int32(len(p.elems))
}

// element parses one element. end bounds it (-1: the end of the bytes). At the top level of a streamed data set it returns the reader of a bulk
// value, which has to be read to its end before the parser goes on.
func (p *parser) element(h header, enc encoding, parent int32, depth, end int) (*bulkReader, error) {
	if h.tag.Group() == 0xFFFE {
		return nil, p.fail(parent, h.tag, ErrMalformed, "an item or delimiter outside a sequence")
	}
	if !enc.explicit {
		h.vr = p.implicitVR(h.tag, parent)
	}
	i, err := p.add(h, enc, parent, depth)
	if err != nil {
		return nil, err
	}
	if h.tag.IsPrivate() && h.tag.IsPrivateCreator() {
		defer p.remember(i)
	}
	if h.length == UndefinedLength {
		return p.undefined(i, h, enc, depth, end)
	}
	if end >= 0 && int64(h.length) > int64(end-p.pos) {
		p.pos -= h.size
		return nil, p.fail(parent, h.tag, ErrMalformed, "the value is longer than what encloses it")
	}
	if p.isBulk(i, h, depth) {
		return p.bulk(i, int64(h.length))
	}
	if h.vr == VRSQ {
		p.elems[i].flags |= flagSequence
		if h.length > 0 {
			if p.src == nil && int64(h.length) > int64(len(p.buf)-p.pos) {
				return nil, p.fail(parent, h.tag, ErrTruncated, "the sequence")
			}
			if int64(h.length) > int64(p.lim.HeadBytes-p.pos) {
				return nil, p.fail(parent, h.tag, ErrTooLarge, "the sequence's length")
			}
			if err := p.items(i, enc, depth, p.pos+int(h.length)); err != nil {
				return nil, err
			}
		}
		p.finish(i, 0)
		return nil, nil
	}
	if int64(h.length) > int64(p.lim.HeadBytes-p.pos) && p.src != nil {
		p.pos -= h.size
		return nil, p.fail(parent, h.tag, ErrTooLarge, "the value's length")
	}
	ok, err := p.need(int(h.length))
	if err != nil {
		return nil, err
	}
	if !ok {
		p.pos -= h.size
		return nil, p.fail(parent, h.tag, ErrTruncated, "the value")
	}
	if h.vr == VRUN && h.length >= 8 && binary.LittleEndian.Uint32(p.buf[p.pos:]) == 0xE000FFFE && p.hiddenSequence(i, int(h.length), depth) {
		return nil, nil
	}
	if h.tag == TagPixelRepresentation && depth == 0 && h.length >= 2 {
		p.signed = p.u16(p.pos, enc.big) == 1
	}
	p.pos += int(h.length)
	p.finish(i, 0)
	return nil, nil
}

// undefined parses a value of undefined length: a sequence, a sequence in UN, or fragments.
func (p *parser) undefined(i int, h header, enc encoding, depth, end int) (*bulkReader, error) {
	switch {
	case h.vr == VRSQ, h.vr == VRUN && !enc.explicit:
		if h.vr == VRUN && depth == 0 && isPixelTag(h.tag) {
			break
		}
		p.elems[i].flags |= flagSequence
		if err := p.items(i, enc, depth, -1); err != nil {
			return nil, err
		}
		p.finish(i, 8)
		return nil, nil
	case h.vr == VRUN:
		// PS3.5 6.2.2: a sequence in UN is encoded in implicit VR little endian. Some writers keep their explicit VR; it can be told from
		// the first element of the first item.
		p.elems[i].flags |= flagSequence
		inner := encoding{}
		if ok, err := p.need(8 + 6); err != nil {
			return nil, err
		} else if ok && binary.LittleEndian.Uint32(p.buf[p.pos:]) == 0xE000FFFE {
			if vr := VR(p.buf[p.pos+12])<<8 | VR(p.buf[p.pos+13]); vr.Known() {
				inner.explicit = true
			}
		}
		if err := p.items(i, inner, depth, -1); err != nil {
			return nil, err
		}
		p.finish(i, 8)
		return nil, nil
	case h.vr == VROB, h.vr == VROW, !enc.explicit:
	default:
		return nil, p.fail(p.elems[i].Parent, h.tag, ErrMalformed, "an undefined length is for sequences and encapsulated pixels alone")
	}
	p.elems[i].flags |= flagEncapsulated
	if p.isBulk(i, h, depth) {
		return p.bulk(i, -1)
	}
	n, err := p.fragments(i, end)
	if err != nil {
		return nil, err
	}
	p.pos += n
	p.finish(i, 8)
	return nil, nil
}

// fragments measures the fragments at pos, without the delimiter that ends them.
func (p *parser) fragments(i, end int) (int, error) {
	start := p.pos
	defer func() { p.pos = start }()
	for {
		ok, err := p.need(8)
		if err != nil {
			return 0, err
		}
		if !ok || end >= 0 && p.pos+8 > end {
			return 0, p.fail(int32(i), 0, ErrTruncated, "the fragments have no delimiter")
		}
		tag := Tag(binary.LittleEndian.Uint16(p.buf[p.pos:]))<<16 | Tag(binary.LittleEndian.Uint16(p.buf[p.pos+2:]))
		length := binary.LittleEndian.Uint32(p.buf[p.pos+4:])
		switch {
		case tag == sequenceDelimTag:
			return p.pos - start, nil
		case tag != itemTag || length == UndefinedLength:
			return 0, p.fail(int32(i), 0, ErrMalformed, "something other than a fragment")
		}
		if int64(length) > int64(p.lim.HeadBytes-p.pos-8) && p.src != nil {
			return 0, p.fail(int32(i), 0, ErrTooLarge, "a fragment's length")
		}
		if ok, err = p.need(8 + int(length)); err != nil {
			return 0, err
		} else if !ok {
			return 0, p.fail(int32(i), 0, ErrTruncated, "a fragment")
		}
		p.pos += 8 + int(length)
	}
}

// items parses the items of sequence i up to end, or to the delimiter (-1), which is left to the caller.
func (p *parser) items(i int, enc encoding, depth, end int) error {
	if depth+2 > p.lim.Depth*2 {
		return p.fail(int32(i), 0, ErrDepth, "")
	}
	for end < 0 || p.pos < end {
		ok, err := p.need(8)
		if err != nil {
			return err
		}
		if !ok || end >= 0 && p.pos+8 > end {
			return p.fail(int32(i), 0, ErrTruncated, "the sequence ends within an item's header")
		}
		tag := Tag(p.u16(p.pos, enc.big))<<16 | Tag(p.u16(p.pos+2, enc.big))
		length := p.u32(p.pos+4, enc.big)
		if tag == sequenceDelimTag {
			if end < 0 {
				return nil
			}
			return p.fail(int32(i), 0, ErrMalformed, "a delimiter in a sequence of defined length")
		}
		if tag != itemTag {
			return p.fail(int32(i), 0, ErrMalformed, "something other than an item")
		}
		k, err := p.add(header{tag: tag, vr: VRUN, length: length, size: 8}, enc, int32(i), depth+1)
		if err != nil {
			return err
		}
		p.elems[k].flags |= flagItem
		if err := p.item(k, enc, depth+2, length, end); err != nil {
			return err
		}
	}
	return nil
}

// item parses the elements of item k.
func (p *parser) item(k int, enc encoding, depth int, length uint32, outer int) error {
	end := -1
	if length != UndefinedLength {
		if outer >= 0 && int64(length) > int64(outer-p.pos) {
			return p.fail(int32(k), 0, ErrMalformed, "the item is longer than its sequence")
		}
		if int64(length) > int64(p.lim.HeadBytes-p.pos) && p.src != nil {
			return p.fail(int32(k), 0, ErrTooLarge, "the item's length")
		}
		if p.src == nil && int64(length) > int64(len(p.buf)-p.pos) {
			return p.fail(int32(k), 0, ErrTruncated, "the item")
		}
		end = p.pos + int(length)
	}
	bound := end
	if bound < 0 {
		bound = outer
	}
	for end < 0 || p.pos < end {
		h, ok, err := p.readHeader(enc, int32(k))
		if err != nil {
			return err
		}
		if !ok || bound >= 0 && p.pos+h.size > bound {
			return p.fail(int32(k), 0, ErrTruncated, "the item ends within an element's header")
		}
		if h.tag == itemDelimiterTag && end < 0 {
			p.finish(k, 8)
			return nil
		}
		if _, err := p.element(h, enc, int32(k), depth, bound); err != nil {
			return err
		}
	}
	p.finish(k, 0)
	return nil
}

// hiddenSequence tries to read the defined-length UN value at pos as a sequence; if it is none, nothing has happened.
func (p *parser) hiddenSequence(i, length, depth int) bool {
	pos, count := p.pos, len(p.elems)
	src, buf := p.src, p.buf
	p.src, p.buf = nil, p.buf[:p.pos+length]
	inner := encoding{}
	if length >= 14 {
		if vr := VR(p.buf[pos+12])<<8 | VR(p.buf[pos+13]); vr.Known() {
			inner.explicit = true
		}
	}
	p.elems[i].flags |= flagSequence
	err := p.items(i, inner, depth, pos+length)
	p.src, p.buf = src, buf
	if err != nil {
		p.pos, p.elems = pos, p.elems[:count]
		p.elems[i].flags &^= flagSequence
		for len(p.creators) > 0 && int(p.creators[len(p.creators)-1].parent) >= count {
			p.creators = p.creators[:len(p.creators)-1]
		}
		return false
	}
	p.finish(i, 0)
	return true
}

func isPixelTag(t Tag) bool { return t == 0x7FE00008 || t == 0x7FE00009 || t == 0x7FE00010 }

// isBulk decides by tag, VR and length alone, so that a stream and a buffer agree.
func (p *parser) isBulk(i int, h header, depth int) bool {
	if depth != 0 {
		return false
	}
	if isPixelTag(h.tag) {
		return h.length > 0
	}
	if h.length == UndefinedLength {
		return p.elems[i].flags&flagEncapsulated != 0
	}
	if h.length < bulkThreshold {
		return false
	}
	switch h.vr {
	case VROB, VROD, VROF, VROL, VROV, VROW, VRUN:
		return true
	}
	return false
}

// bulk indexes a bulk value of n bytes, or of fragments (-1). Where it streams, it returns the value's reader.
func (p *parser) bulk(i int, n int64) (*bulkReader, error) {
	e := &p.elems[i]
	if n > p.lim.BulkBytes {
		return nil, p.fail(e.Parent, e.Tag, ErrTooLarge, "the value's length")
	}
	e.flags |= flagBulk
	b := Bulk{Elem: i, Offset: int64(p.pos) + p.shift, Len: n}
	if len(p.elided) > 0 && p.elided[0].At == p.pos {
		e.flags |= flagElided
		b.Len = p.elided[0].Len
		p.elided = p.elided[1:]
		p.shift += b.Len
		p.bulks = append(p.bulks, b)
		return nil, p.endElided(i)
	}
	if p.src != nil {
		e.flags |= flagElided
		p.bulks = append(p.bulks, b)
		p.finish(i, 0) // for who looks at the index before the value has passed
		return &bulkReader{p: p, elem: i, bulk: len(p.bulks) - 1, left: n, fragments: n < 0}, nil
	}
	b.Inline = true
	if n < 0 {
		m, err := p.fragments(i, -1)
		if err != nil {
			return nil, err
		}
		b.Len = int64(m)
	} else if n > int64(len(p.buf)-p.pos) {
		return nil, p.fail(e.Parent, e.Tag, ErrTruncated, "the value")
	}
	p.bulks = append(p.bulks, b)
	p.pos += int(b.Len)
	delimiter := 0
	if n < 0 {
		delimiter = 8
	}
	p.finish(i, delimiter)
	return nil, nil
}

// endElided closes an elided element, whose delimiter, if any, lies at pos.
func (p *parser) endElided(i int) error {
	delimiter := 0
	if p.elems[i].Length == UndefinedLength {
		delimiter = 8
		if ok, err := p.need(8); err != nil {
			return err
		} else if !ok {
			return p.fail(int32(i), 0, ErrTruncated, "the fragments have no delimiter")
		}
	}
	p.finish(i, delimiter)
	return nil
}

// implicitVR is the VR that the dictionary gives (PS3.5 A.1).
func (p *parser) implicitVR(t Tag, parent int32) VR {
	if !t.IsPrivate() {
		if t == TagPixelData {
			return VROW // PS3.5 A.1 a
		}
		e, ok := LookupTag(t)
		switch {
		case !ok:
			return VRUN
		case p.signed && e.VR == VRUS && slices.Contains(e.VRs, VRSS):
			return VRSS // as Pixel Representation says (PS3.3 C.7.6.3.1)
		}
		return e.VR
	}
	if t.IsGroupLength() {
		return VRUL
	}
	if t.IsPrivateCreator() {
		return VRLO
	}
	c, ok := t.CreatorTag()
	if !ok {
		return VRUN
	}
	for k := len(p.creators) - 1; k >= 0; k-- {
		if m := &p.creators[k]; m.parent == parent && m.tag == c {
			if e, ok := LookupPrivate(m.name, t); ok {
				return e.VR
			}
			break
		}
	}
	return VRUN
}

// remember keeps the private creator in entry i for the elements that follow.
func (p *parser) remember(i int) {
	e := &p.elems[i]
	if e.flags&flagImplicit == 0 || e.flags&flagBulk != 0 || e.ValueEnd-e.ValueStart > 256 {
		return
	}
	for len(p.creators) > 0 && p.creators[len(p.creators)-1].parent > e.Parent {
		p.creators = p.creators[:len(p.creators)-1] // of an item that is closed
	}
	p.creators = append(p.creators, creatorMemo{e.Parent, e.Tag, trimPadding(string(p.buf[e.ValueStart:e.ValueEnd]))})
}

// top parses top-level elements to the end of the bytes, or to a bulk value that streams.
func (p *parser) top(enc encoding) (*bulkReader, error) {
	for {
		h, ok, err := p.readHeader(enc, Root)
		if ok && err != nil && h.tag == 0 || !ok && err == nil || ok && h.tag == 0 && h.length == 0 {
			done, zerr := p.zeroTail()
			if zerr != nil {
				return nil, zerr
			}
			if done {
				return nil, io.EOF
			}
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, p.fail(Root, 0, ErrTruncated, "an element's header")
		}
		if h.tag <= p.lastTag && len(p.elems) > 0 {
			p.ordered = false
		}
		p.lastTag = max(p.lastTag, h.tag)
		b, err := p.element(h, enc, Root, 0, -1)
		if b != nil || err != nil {
			return b, err
		}
	}
}

// zeroTail reports whether nothing but zeros follows: padding that some writers leave after the last element.
func (p *parser) zeroTail() (bool, error) {
	start := p.pos
	for n := 1; ; n++ {
		ok, err := p.need(n)
		if err != nil {
			return false, err
		}
		if !ok {
			p.trailer = len(p.buf) - start
			return true, nil
		}
		if p.buf[start+n-1] != 0 {
			return false, nil
		}
	}
}

func (p *parser) dataset(ts *TransferSyntax) *Dataset {
	d := &Dataset{ts: ts, buf: p.buf, elems: p.elems, bulks: p.bulks, ordered: p.ordered, trailer: p.trailer}
	d.cs = d.ownCharsets(Root)
	return d
}

func (ts *TransferSyntax) encoding() encoding {
	return encoding{explicit: ts.Explicit, big: ts.BigEndian}
}

// ParseDataset indexes a data set whose bytes are all in b, which it keeps and must not be changed. A deflated data set has to be inflated
// before ([Parse] does so).
func ParseDataset(b []byte, ts *TransferSyntax, lim Limits) (*Dataset, error) {
	return parseBuffer(b, ts, nil, lim)
}

// ParseHead indexes a data set whose bulk values were left out of head, as [Edit.Render] leaves them.
func ParseHead(head []byte, bulk []BulkRef, ts *TransferSyntax, lim Limits) (*Dataset, error) {
	return parseBuffer(head, ts, bulk, lim)
}

func parseBuffer(b []byte, ts *TransferSyntax, elided []BulkRef, lim Limits) (*Dataset, error) {
	if uint64(len(b)) >= UndefinedLength {
		return nil, &Error{Op: "parse", Offset: -1, Reason: "4 GiB and more have to be streamed", Kind: ErrTooLarge}
	}
	p := parser{buf: b, lim: lim.withDefaults(), ordered: true, elided: elided}
	if _, err := p.top(ts.encoding()); !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p.dataset(ts), nil
}

func trimPadding(s string) string { return strings.Trim(s, " \x00") }
