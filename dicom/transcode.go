package dicom

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// ErrEncapsulated is a data set whose pixels would have to be coded or decoded to come into another transfer syntax.
var ErrEncapsulated = errors.New("dicom: one of the transfer syntaxes encapsulates pixel data")

// Transcode writes the data set in another transfer syntax, where both are native: implicit or explicit VR, little or big endian; of a deflated one, its inflated
// bytes. Values stay what they are, in the order of the bytes that the syntax has. Sequences and items get undefined lengths, and retired group lengths go. What has no VR in explicit VR
// is UN; so is a value too long for the length of its VR (PS3.5 6.2.2). Bulk values lie apart: give each through [Dataset.BulkIn]. It fails with
// [ErrEncapsulated] for other syntaxes.
func (d *Dataset) Transcode(ts *TransferSyntax) (*Rendered, error) {
	if d.ts.Encapsulated || ts.Encapsulated {
		return nil, ErrEncapsulated
	}
	t := transcoder{d: d, enc: ts.encoding(), out: make([]byte, 0, len(d.buf)+len(d.buf)/4+64)}
	if err := t.children(Root); err != nil {
		return nil, err
	}
	return &Rendered{Syntax: ts, Head: t.out, Bulk: t.bulk}, nil
}

// BulkIn gives the bulk value of entry i, which r reads as it is kept, in the order of the bytes of another native transfer syntax.
func (d *Dataset) BulkIn(ts *TransferSyntax, i int, r io.Reader) io.Reader {
	word := d.elems[i].VR.WordSize()
	if word < 2 || d.elems[i].BigEndian() == ts.BigEndian {
		return r
	}
	return &swapper{r: r, word: word}
}

type transcoder struct {
	d    *Dataset
	enc  encoding
	out  []byte
	bulk []BulkRef
}

func (t *transcoder) order() binary.AppendByteOrder {
	if t.enc.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// mark appends an item or a delimiter.
func (t *transcoder) mark(tag Tag, length uint32) {
	o := t.order()
	t.out = o.AppendUint32(o.AppendUint16(o.AppendUint16(t.out, tag.Group()), tag.Element()), length)
}

func (t *transcoder) children(parent int) error {
	for i := range t.d.Children(parent) {
		if err := t.entry(i); err != nil {
			return err
		}
	}
	return nil
}

func (t *transcoder) entry(i int) error {
	e := &t.d.elems[i]
	switch {
	case e.IsItem():
		t.mark(itemTag, UndefinedLength)
		if err := t.children(i); err != nil {
			return err
		}
		t.mark(itemDelimiterTag, 0)
		return nil
	case e.IsEncapsulated():
		return ErrEncapsulated
	case e.Tag.Element() == 0: // its length would have to follow; retired (PS3.5 7.2)
		return nil
	case e.IsSequence():
		t.header(e.Tag, VRSQ, UndefinedLength)
		if err := t.children(i); err != nil {
			return err
		}
		t.mark(sequenceDelimTag, 0)
		return nil
	}
	vr := e.VR
	if !vr.Known() || vr == VRUN && e.Implicit() {
		vr = t.d.VR(i)
	}
	if vr == VRSQ { // it is none
		vr = VRUN
	}
	if b, ok := t.d.BulkOf(i); ok {
		if b.Len >= UndefinedLength || t.enc.explicit && !vr.LongLength() && b.Len > math.MaxUint16 {
			vr = VRUN
		}
		if b.Len >= UndefinedLength || b.Len%2 == 1 {
			return &Error{Op: "transcode", Path: t.d.Path(i), Offset: -1, Reason: "the value has a length that cannot be written", Kind: ErrMalformed}
		}
		t.header(e.Tag, vr, uint32(b.Len))
		t.bulk = append(t.bulk, BulkRef{At: len(t.out), Elem: i, Len: b.Len})
		return nil
	}
	v := t.d.Value(i)
	if t.enc.explicit && !vr.LongLength() && len(v)+len(v)%2 > math.MaxUint16 {
		vr = VRUN
	}
	t.header(e.Tag, vr, uint32(len(v)+len(v)%2))
	at := len(t.out)
	t.out = append(t.out, v...)
	if word := vr.WordSize(); word > 1 && e.BigEndian() != t.enc.big {
		swap(t.out[at:], word)
	}
	if len(v)%2 == 1 {
		t.out = append(t.out, vr.Pad())
	}
	return nil
}

func (t *transcoder) header(tag Tag, vr VR, length uint32) {
	o := t.order()
	t.out = o.AppendUint16(o.AppendUint16(t.out, tag.Group()), tag.Element())
	switch {
	case !t.enc.explicit:
		t.out = o.AppendUint32(t.out, length)
	case vr.LongLength():
		t.out = append(t.out, byte(vr>>8), byte(vr), 0, 0)
		t.out = o.AppendUint32(t.out, length)
	default:
		t.out = append(t.out, byte(vr>>8), byte(vr))
		t.out = o.AppendUint16(t.out, uint16(length))
	}
}

// swap turns the bytes of each word around; what is left over at the end stays.
func swap(b []byte, word int) {
	for ; len(b) >= word; b = b[word:] {
		for i, k := 0, word-1; i < k; i, k = i+1, k-1 {
			b[i], b[k] = b[k], b[i]
		}
	}
}

// swapper is swap for a stream.
type swapper struct {
	r    io.Reader
	word int
	have []byte // turned around and not yet given
	buf  [32 << 10]byte
	err  error
}

func (s *swapper) Read(p []byte) (int, error) {
	if len(s.have) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		n, err := io.ReadFull(s.r, s.buf[:])
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		s.err, s.have = err, s.buf[:n]
		swap(s.have, s.word)
		if n == 0 {
			return 0, s.err
		}
	}
	n := copy(p, s.have)
	s.have = s.have[n:]
	return n, nil
}
