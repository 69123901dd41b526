package dicom

import "encoding/binary"

// Plain says how [Dataset.Explicit] departs from the data set that it encodes.
type Plain struct {
	Omit   map[int]bool     // entries that are left out
	Set    map[Tag]SetValue // top-level elements that get another value, or are added
	Pixels int64            // bytes that the pixel data has instead of its fragments; they come as the bulk value of its entry
}

// SetValue is an encoded value in little endian.
type SetValue struct {
	VR  VR
	Raw []byte
}

// Explicit encodes the data set in explicit VR little endian, from whichever transfer syntax it has: with the VRs that [AppendJSON] writes, sequences of undefined length,
// without group lengths (PS3.5 7.2). Bulk values stay apart; where the data set is big endian, whoever fills them in has to turn their words. Encapsulated values
// other than the pixel data that p replaces are an error.
func (d *Dataset) Explicit(p Plain) (*Rendered, error) {
	w := explicitWriter{jsonWriter: jsonWriter{d: d}, p: p, pixels: d.PixelData()}
	if n, ok := d.Int(TagPixelRepresentation); ok {
		w.signed = n == 1
	}
	w.out = make([]byte, 0, len(d.buf)+len(d.elems)*4+256)
	if err := w.elements(Root); err != nil {
		return nil, err
	}
	return &Rendered{Syntax: ExplicitVRLittleEndian, Head: w.out, Bulk: w.bulk}, nil
}

type explicitWriter struct {
	jsonWriter
	p      Plain
	pixels int
	out    []byte
	bulk   []BulkRef
}

func (w *explicitWriter) elements(parent int) error {
	sets := w.sets(parent)
	for i := range w.d.Children(parent) {
		e := &w.d.elems[i]
		if e.Tag.IsGroupLength() || w.p.Omit[i] {
			continue
		}
		for len(sets) > 0 && sets[0] <= e.Tag {
			if err := w.set(sets[0]); err != nil {
				return err
			}
			sets = sets[1:]
		}
		if _, replaced := w.p.Set[e.Tag]; replaced && parent == Root {
			continue
		}
		if err := w.entry(i); err != nil {
			return err
		}
	}
	for _, t := range sets {
		if err := w.set(t); err != nil {
			return err
		}
	}
	return nil
}

func (w *explicitWriter) set(t Tag) (err error) {
	v := w.p.Set[t]
	w.out, err = appendElement(w.out, ExplicitVRLittleEndian.encoding(), t, v.VR, padded(v.Raw, v.VR))
	return err
}

// sets are the tags to be set, ascending.
func (w *explicitWriter) sets(parent int) []Tag {
	if parent != Root {
		return nil
	}
	tags := make([]Tag, 0, len(w.p.Set))
	for t := range w.p.Set {
		k := len(tags)
		tags = append(tags, t)
		for ; k > 0 && tags[k-1] > t; k-- {
			tags[k] = tags[k-1]
		}
		tags[k] = t
	}
	return tags
}

func (w *explicitWriter) header(t Tag, vr VR, length uint32) {
	le := binary.LittleEndian
	w.out = le.AppendUint16(le.AppendUint16(w.out, t.Group()), t.Element())
	w.out = append(w.out, byte(vr>>8), byte(vr), 0, 0)
	w.out = le.AppendUint32(w.out, length)
}

func (w *explicitWriter) entry(i int) error {
	e := &w.d.elems[i]
	vr := w.vr(e)
	switch {
	case vr == VRSQ:
		return w.sequence(i)
	case i == w.pixels && e.IsEncapsulated():
		if w.p.Pixels >= UndefinedLength {
			return &Error{Op: "encode", Path: w.d.Path(i), Offset: -1, Reason: "the pixels do not fit a length of 32 bits", Kind: ErrTooLarge}
		}
		if n, _ := w.d.Int(TagBitsAllocated); n > 8 {
			vr = VROW
		}
		w.header(e.Tag, vr, uint32(w.p.Pixels))
		w.bulk = append(w.bulk, BulkRef{At: len(w.out), Elem: i, Len: w.p.Pixels})
		return nil
	case e.IsEncapsulated():
		return &Error{Op: "encode", Path: w.d.Path(i), Offset: -1, Reason: "an encapsulated value", Kind: ErrMalformed}
	case e.flags&flagBulk != 0:
		b, _ := w.d.BulkOf(i)
		if !vr.LongLength() {
			vr = VRUN
		}
		if b.Len >= UndefinedLength {
			return &Error{Op: "encode", Path: w.d.Path(i), Offset: -1, Reason: "the value does not fit a length of 32 bits", Kind: ErrTooLarge}
		}
		w.header(e.Tag, vr, uint32(b.Len))
		w.bulk = append(w.bulk, BulkRef{At: len(w.out), Elem: i, Len: b.Len})
		return nil
	}
	raw := w.d.Value(i)
	if size := vr.WordSize(); e.BigEndian() && size > 1 {
		raw = swapped(raw, size)
	}
	if raw = padded(raw, vr); len(raw) > 0xFFFF && !vr.LongLength() {
		vr = VRUN // PS3.5 6.2.2
	}
	var err error
	w.out, err = appendElement(w.out, ExplicitVRLittleEndian.encoding(), e.Tag, vr, raw)
	return err
}

func (w *explicitWriter) sequence(i int) error {
	w.header(w.d.elems[i].Tag, VRSQ, UndefinedLength)
	if w.d.elems[i].IsSequence() {
		for j := range w.d.Children(i) {
			if !w.d.elems[j].IsItem() || w.p.Omit[j] {
				continue
			}
			w.out = append(w.out, 0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF)
			if err := w.elements(j); err != nil {
				return err
			}
			w.out = append(w.out, 0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0)
		}
	}
	w.out = append(w.out, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
	return nil
}
