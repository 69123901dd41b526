package dicom

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
)

// Edit collects changes to a data set and renders it with them. Nothing but what is edited changes: the lengths that enclose an edit follow, and
// so do retired group lengths (PS3.5 7.2); every other byte is copied. An Edit is for one goroutine.
type Edit struct {
	d       *Dataset
	ops     []editOp // by entry; nil until the first edit
	inserts []insertion
	values  []replacement
	err     error
}

type editOp struct {
	kind  opKind
	dirty bool  // something within changes
	value int32 // index into values
}

type opKind uint8

const (
	opKeep opKind = iota
	opRemove
	opReplace
)

type replacement struct {
	vr  VR
	raw []byte
}

type insertion struct {
	parent int32
	tag    Tag
	vr     VR
	raw    []byte
	seq    int
}

// BulkRef is where a bulk value belongs in a head that was rendered without it.
type BulkRef struct {
	At   int   // offset in the head
	Elem int   // index of the element in the data set that was rendered
	Len  int64 // bytes
}

// Rendered is a data set as encoded bytes. Head has everything but bulk values; Bulk says where those belong, in order.
type Rendered struct {
	Syntax *TransferSyntax
	Head   []byte
	Bulk   []BulkRef
}

// Edit begins an edit.
func (d *Dataset) Edit() *Edit { return &Edit{d: d} }

// Render is the data set without a change.
func (d *Dataset) Render() *Rendered {
	r, err := d.Edit().Render()
	if err != nil { // lengths that were read are lengths that can be written
		panic(err)
	}
	return r
}

func (e *Edit) op(i int) *editOp {
	if e.ops == nil {
		e.ops = make([]editOp, len(e.d.elems))
	}
	return &e.ops[i]
}

// taint marks what encloses entry i.
func (e *Edit) taint(parent int32) {
	for p := parent; p != Root; p = e.d.elems[p].Parent {
		o := e.op(int(p))
		if o.dirty {
			return
		}
		o.dirty = true
	}
}

// Remove takes entry i, an element or a whole item, out.
func (e *Edit) Remove(i int) {
	e.op(i).kind = opRemove
	e.taint(e.d.elems[i].Parent)
}

// Removed reports whether entry i is taken out, itself or within what encloses it.
func (e *Edit) Removed(i int) bool {
	for p := int32(i); p != Root && e.ops != nil; p = e.d.elems[p].Parent {
		if e.ops[p].kind == opRemove {
			return true
		}
	}
	return false
}

// Edited reports whether anything has been edited.
func (e *Edit) Edited() bool { return e.ops != nil || len(e.inserts) > 0 }

// SetValue gives the element at entry i another value, encoded; it is padded to an even length. The value of an element that is bulk becomes part
// of the head.
func (e *Edit) SetValue(i int, raw []byte) { e.SetElement(i, e.d.elems[i].VR, raw) }

// SetElement gives the element at entry i another VR and value. In implicit VR the VR decides the padding alone.
func (e *Edit) SetElement(i int, vr VR, raw []byte) {
	o := e.op(i)
	o.kind = opReplace
	o.value = int32(len(e.values))
	e.values = append(e.values, replacement{vr, padded(raw, vr)})
	e.taint(e.d.elems[i].Parent)
}

// SetText gives the element at entry i a text value, encoded in the character sets in force there.
func (e *Edit) SetText(i int, s string) error {
	b := []byte(s)
	if vr := e.d.VR(i); vr.Charset() && !isASCII(b) {
		var err error
		if b, err = e.d.Charsets(i).Encode(s); err != nil {
			return &Error{Op: "edit", Path: e.d.Path(i), Offset: -1, Reason: "the text does not fit its character sets", Kind: ErrMalformed}
		}
	}
	e.SetValue(i, b)
	return nil
}

// Insert adds an element directly within parent (an item, or Root), where its tag belongs in order. An element that has the tag already is
// replaced. The value is encoded as the data set is; of a sequence, it is its items ([ItemWriter.Bytes]).
func (e *Edit) Insert(parent int, tag Tag, vr VR, raw []byte) {
	if i := e.d.FindIn(parent, tag); i >= 0 {
		e.SetElement(i, vr, raw)
		return
	}
	for k := range e.inserts {
		if x := &e.inserts[k]; int(x.parent) == parent && x.tag == tag {
			x.vr, x.raw = vr, padded(raw, vr)
			return
		}
	}
	e.inserts = append(e.inserts, insertion{int32(parent), tag, vr, padded(raw, vr), len(e.inserts)})
	if parent != Root {
		e.op(parent).dirty = true
		e.taint(e.d.elems[parent].Parent)
	}
}

func padded(raw []byte, vr VR) []byte {
	if len(raw)%2 == 0 {
		return raw
	}
	return append(raw[:len(raw):len(raw)], vr.Pad())
}

// renderer writes the edited data set; runs of untouched bytes are copied at once.
type renderer struct {
	e    *Edit
	d    *Dataset
	out  []byte
	bulk []BulkRef
	from uint32 // start of the pending run of untouched bytes
	to   uint32
}

func (r *renderer) flush() {
	r.out = append(r.out, r.d.buf[r.from:r.to]...)
	r.from = r.to
}

// keep adds [a,b) to the pending run.
func (r *renderer) keep(a, b uint32) {
	if a != r.to {
		r.flush()
		r.from = a
	}
	r.to = b
}

// Render encodes the data set with the edits.
func (e *Edit) Render() (*Rendered, error) { return e.AppendRender(nil) }

// AppendRender is Render into a buffer that is reused.
func (e *Edit) AppendRender(dst []byte) (*Rendered, error) {
	if e.err != nil {
		return nil, e.err
	}
	slices.SortStableFunc(e.inserts, func(a, b insertion) int {
		if a.parent != b.parent {
			return int(a.parent) - int(b.parent)
		}
		if a.tag != b.tag {
			if a.tag < b.tag {
				return -1
			}
			return 1
		}
		return a.seq - b.seq
	})
	r := renderer{e: e, d: e.d, out: dst[:0]}
	if r.out == nil {
		inline := 0
		for _, b := range e.d.bulks {
			if b.Inline {
				inline += int(b.Len)
			}
		}
		r.out = make([]byte, 0, len(e.d.buf)-inline+256)
	}
	if err := r.children(Root); err != nil {
		return nil, err
	}
	r.keep(uint32(len(e.d.buf)-e.d.trailer), uint32(len(e.d.buf)))
	r.flush()
	return &Rendered{Syntax: e.d.ts, Head: r.out, Bulk: r.bulk}, nil
}

func (e *Edit) insertsOf(parent int) []insertion {
	lo, _ := slices.BinarySearchFunc(e.inserts, int32(parent), func(x insertion, p int32) int { return int(x.parent) - int(p) })
	hi := lo
	for hi < len(e.inserts) && int(e.inserts[hi].parent) == parent {
		hi++
	}
	return e.inserts[lo:hi]
}

// children writes what lies directly within parent.
func (r *renderer) children(parent int) error {
	ins := r.e.insertsOf(parent)
	enc := r.e.innerEncoding(parent)
	i, end := r.d.childRange(parent)
	for i < end {
		el := &r.d.elems[i]
		for len(ins) > 0 && ins[0].tag < el.Tag && !el.IsItem() {
			if err := r.insert(ins[0], enc); err != nil {
				return err
			}
			ins = ins[1:]
		}
		if err := r.entry(i); err != nil {
			return err
		}
		i = int(el.Next)
	}
	for _, x := range ins {
		if err := r.insert(x, enc); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) insert(x insertion, enc encoding) error {
	r.flush()
	var err error
	r.out, err = appendElement(r.out, enc, x.tag, x.vr, x.raw)
	return err
}

func (r *renderer) entry(i int) error {
	el := &r.d.elems[i]
	var o editOp
	if r.e.ops != nil {
		o = r.e.ops[i]
	}
	switch {
	case o.kind == opRemove:
		return nil
	case o.kind == opReplace:
		r.flush()
		x := r.e.values[o.value]
		vr := x.vr
		if !el.Implicit() && !vr.Known() {
			vr = VRUN
		}
		var err error
		r.out, err = appendElement(r.out, encoding{explicit: !el.Implicit(), big: el.BigEndian()}, el.Tag, vr, x.raw)
		return err
	case el.Tag.IsGroupLength() && !el.IsItem() && r.e.ops != nil || el.Tag.IsGroupLength() && len(r.e.inserts) > 0:
		return r.groupLength(i)
	case el.flags&flagBulk != 0:
		r.keep(el.Start, el.ValueStart)
		r.flush()
		b, _ := r.d.BulkOf(i)
		r.bulk = append(r.bulk, BulkRef{At: len(r.out), Elem: i, Len: b.Len})
		r.keep(el.ValueEnd, el.End)
		return nil
	case !o.dirty:
		r.keep(el.Start, el.End)
		return nil
	}
	// A sequence or item with a change within.
	r.keep(el.Start, el.ValueStart)
	r.flush()
	if el.Length != UndefinedLength {
		size, err := r.e.innerSize(i)
		if err != nil {
			return err
		}
		if size >= UndefinedLength {
			return &Error{Op: "edit", Path: r.d.Path(i), Offset: -1, Reason: "the length no longer fits 32 bits", Kind: ErrTooLarge}
		}
		at := len(r.out) - 4
		if !el.IsItem() && !el.Implicit() && !el.VR.LongLength() && el.VR.Known() {
			return &Error{Op: "edit", Path: r.d.Path(i), Offset: -1, Reason: "a sequence in a short VR", Kind: ErrMalformed}
		}
		if el.BigEndian() {
			binary.BigEndian.PutUint32(r.out[at:], uint32(size))
		} else {
			binary.LittleEndian.PutUint32(r.out[at:], uint32(size))
		}
	}
	if err := r.children(i); err != nil {
		return err
	}
	r.keep(el.ValueEnd, el.End)
	return nil
}

// innerEncoding is how elements within parent are encoded.
func (e *Edit) innerEncoding(parent int) encoding {
	if parent == Root {
		return e.d.ts.encoding()
	}
	el := &e.d.elems[parent]
	return encoding{explicit: !el.Implicit(), big: el.BigEndian()}
}

// innerSize is the size of what entry i, a sequence or item, encloses after the edits.
func (e *Edit) innerSize(i int) (int64, error) {
	var n int64
	for _, x := range e.insertsOf(i) {
		n += int64(headerSize(e.innerEncoding(i), x.vr) + len(x.raw))
	}
	for j := range e.d.Children(i) {
		m, err := e.size(j)
		if err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

// size is the size of entry i after the edits, bulk included.
func (e *Edit) size(i int) (int64, error) {
	el := &e.d.elems[i]
	var o editOp
	if e.ops != nil {
		o = e.ops[i]
	}
	switch {
	case o.kind == opRemove:
		return 0, nil
	case o.kind == opReplace:
		x := e.values[o.value]
		vr := x.vr
		if !vr.Known() {
			vr = VRUN
		}
		return int64(headerSize(encoding{explicit: !el.Implicit()}, vr) + len(x.raw)), nil
	case o.dirty:
		n, err := e.innerSize(i)
		return n + int64(el.ValueStart-el.Start) + int64(el.End-el.ValueEnd), err
	}
	n := int64(el.End - el.Start)
	if el.flags&flagElided != 0 {
		b, _ := e.d.BulkOf(i)
		n += b.Len
	}
	return n, nil
}

// groupLength writes a group length moved by as much as its group has grown or shrunk; if it was wrong before, it stays as wrong.
func (r *renderer) groupLength(i int) error {
	el := &r.d.elems[i]
	if el.ValueEnd-el.ValueStart != 4 {
		r.keep(el.Start, el.End)
		return nil
	}
	var delta int64
	group := el.Tag.Group()
	for j := range r.d.Children(int(el.Parent)) {
		x := &r.d.elems[j]
		if x.Tag.Group() != group || j == i {
			continue
		}
		after, err := r.e.size(j)
		if err != nil {
			return err
		}
		before := int64(x.End - x.Start)
		if x.flags&flagElided != 0 {
			b, _ := r.d.BulkOf(j)
			before += b.Len
		}
		delta += after - before
	}
	for _, x := range r.e.insertsOf(int(el.Parent)) {
		if x.tag.Group() == group {
			delta += int64(headerSize(r.e.innerEncoding(int(el.Parent)), x.vr) + len(x.raw))
		}
	}
	if delta == 0 {
		r.keep(el.Start, el.End)
		return nil
	}
	r.keep(el.Start, el.End)
	r.flush()
	var order binary.ByteOrder = binary.LittleEndian
	if el.BigEndian() {
		order = binary.BigEndian
	}
	at := r.out[len(r.out)-4:]
	order.PutUint32(at, uint32(int64(order.Uint32(at))+delta))
	return nil
}

func headerSize(enc encoding, vr VR) int {
	if enc.explicit && vr.LongLength() {
		return 12
	}
	return 8
}

// appendElement encodes an element with a defined length.
func appendElement(dst []byte, enc encoding, tag Tag, vr VR, raw []byte) ([]byte, error) {
	n := len(raw)
	if enc.explicit && !vr.LongLength() && n > math.MaxUint16 || uint64(n) >= UndefinedLength {
		return dst, &Error{Op: "encode", Path: tag.String(), Offset: -1, Reason: "the value does not fit the length of its VR", Kind: ErrTooLarge}
	}
	if enc.big {
		dst = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, tag.Group()), tag.Element())
	} else {
		dst = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(dst, tag.Group()), tag.Element())
	}
	switch {
	case !enc.explicit:
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	case vr.LongLength():
		dst = append(dst, byte(vr>>8), byte(vr), 0, 0)
		if enc.big {
			dst = binary.BigEndian.AppendUint32(dst, uint32(n))
		} else {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		}
	default:
		dst = append(dst, byte(vr>>8), byte(vr))
		if enc.big {
			dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		} else {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
		}
	}
	return append(dst, raw...), nil
}

// Dataset indexes what was rendered; its bulk values are elided.
func (r *Rendered) Dataset() (*Dataset, error) {
	return ParseHead(r.Head, r.Bulk, r.Syntax, Limits{})
}

// Size is the number of bytes that the data set has, bulk included.
func (r *Rendered) Size() int64 {
	n := int64(len(r.Head))
	for _, b := range r.Bulk {
		n += b.Len
	}
	return n
}

// WriteTo writes the data set, asking bulk for the value of each [BulkRef] in turn. A value that is shorter or longer than its reference says is an
// error.
func (r *Rendered) WriteTo(w io.Writer, bulk func(BulkRef) (io.Reader, error)) (int64, error) {
	var n int64
	at := 0
	for _, b := range r.Bulk {
		m, err := w.Write(r.Head[at:b.At])
		n += int64(m)
		if err != nil {
			return n, err
		}
		at = b.At
		src, err := bulk(b)
		if err != nil {
			return n, err
		}
		k, err := io.CopyN(w, src, b.Len)
		n += k
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	m, err := w.Write(r.Head[at:])
	return n + int64(m), err
}
