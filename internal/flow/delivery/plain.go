package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
	"github.com/vitrine-imaging/vitrine/internal/record/object"
)

// encapsulatedUncompressedUID is the transfer syntax whose fragments are native frames (PS3.5 A.4.11).
const encapsulatedUncompressedUID = "1.2.840.10008.1.2.1.98"

// Decoded reads the frames of an object as uncompressed samples, one at a time. It is for one goroutine.
type Decoded struct {
	d      *Delivery
	o      *Object
	frames *dicom.Frames
	image  codec.Image // what the samples of every frame are
	first  []byte      // the first frame, already decoded
	size   int64       // bytes of a frame
	rgb    bool        // colours that are in another form than the object says become RGB
}

// Decoded opens the code streams of an object to be decoded, and decodes the first. What cannot be decoded is [*render.Unsupported] or [*render.Broken].
func (d *Delivery) Decoded(ctx context.Context, o *Object) (*Decoded, error) {
	return d.decoded(ctx, o, false)
}

func (d *Delivery) decoded(ctx context.Context, o *Object, rgb bool) (*Decoded, error) {
	data, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	a, err := render.DescriptionOf(data)
	if err != nil {
		return nil, err
	}
	x := &Decoded{d: d, o: o, image: a.Image(), rgb: rgb}
	if x.frames, err = o.Frames(nil); err != nil {
		return nil, err
	}
	var of codec.Image
	if x.first, of, err = x.decode(ctx, 1); err != nil {
		return nil, err
	}
	x.image.Photometric = of.Photometric
	if x.size = int64(len(x.first)); x.size == 0 || int64(x.frames.Count()) > (math.MaxUint32-1)/x.size {
		return nil, &render.Unsupported{Reason: "pixels that do not fit a length of 32 bits"}
	}
	if a.Allocated == 1 && x.frames.Count() > 1 && a.Rows*a.Columns%8 != 0 {
		return nil, &render.Unsupported{Reason: "frames of one bit that end within a byte"}
	}
	return x, nil
}

// Count is the number of frames, FrameSize the number of bytes of each.
func (x *Decoded) Count() int       { return x.frames.Count() }
func (x *Decoded) FrameSize() int64 { return x.size }

// Photometric is the Photometric Interpretation of the samples, which is another than the object's where the codec has undone it.
func (x *Decoded) Photometric() string { return x.image.Photometric }

// Frame decodes frame k, counted from 1: words in little endian, samples in the Planar Configuration that the object states.
func (x *Decoded) Frame(ctx context.Context, k int) ([]byte, error) {
	if k < 1 || k > x.Count() {
		_, err := Frame(x.frames, k)
		return nil, err
	}
	if k == 1 {
		return x.first, nil
	}
	b, of, err := x.decode(ctx, k)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != x.size || of.Photometric != x.image.Photometric {
		return nil, &render.Broken{Reason: "its frames are not all of one form"}
	}
	return b, nil
}

func (x *Decoded) decode(ctx context.Context, k int) ([]byte, codec.Image, error) {
	of := x.image
	frame, err := Frame(x.frames, k)
	if err != nil {
		return nil, of, err
	}
	if frame.Size > maxCodeStream {
		return nil, of, &render.Unsupported{Reason: "a frame of this size"}
	}
	if err := drawing.Acquire(ctx, 1); err != nil {
		return nil, of, err
	}
	defer drawing.Release(1)
	b := make([]byte, frame.Size)
	if _, err := io.ReadFull(frame, b); err != nil {
		return nil, of, fault.Wrap(fault.Corrupt, "decode frame", "", err)
	}
	data, err := x.o.Dataset()
	if err != nil {
		return nil, of, err
	}
	a, err := render.DescriptionOf(data)
	if err != nil {
		return nil, of, err
	}
	syntax, said := x.o.Syntax(), a.Photometric
	switch {
	case syntax.UID == encapsulatedUncompressedUID:
		f, err := codec.Decode(dicom.ExplicitVRLittleEndian, a.Image(), b)
		if err != nil {
			return nil, of, err
		}
		b, a.Planar, a.Photometric = f.Pixels, f.Planar, f.Photometric
	case x.d.Decode != nil:
		if b, err = x.d.Decode(ctx, syntax, &a, b); err != nil {
			return nil, of, err
		}
	default:
		f, err := codec.Decode(syntax, a.Image(), b)
		if err != nil {
			return nil, of, err
		}
		b, a.Planar, a.Photometric = f.Pixels, f.Planar, f.Photometric
	}
	// Ultrasound, for one, may be YBR_FULL_422 and RGB, but not YBR_FULL (PS3.3 C.8.5.6.1.2).
	if x.rgb && a.Photometric == "YBR_FULL" && said != a.Photometric && a.Samples == 3 && a.Allocated == 8 {
		if a.Planar {
			b, a.Planar = replaned(b, 3, 1, false), false
		}
		render.RGB(b)
		a.Photometric = "RGB"
	}
	if a.Samples > 1 && a.Planar != of.Planar {
		b = replaned(b, a.Samples, a.Allocated/8, of.Planar)
	}
	of.Photometric = a.Photometric
	return b, of, nil
}

// replaned turns samples that lie pixel by pixel into planes, or back.
func replaned(b []byte, samples, word int, planes bool) []byte {
	n := len(b) / (samples * word)
	out := make([]byte, n*samples*word)
	for s := range samples {
		for i := range n {
			apart, together := (s*n+i)*word, (i*samples+s)*word
			if planes {
				copy(out[apart:apart+word], b[together:])
			} else {
				copy(out[together:together+word], b[apart:])
			}
		}
	}
	return out
}

// Plain is an object in Explicit VR Little Endian, its pixels uncompressed: what PS3.18 8.7.3.2 takes for the form that everybody reads. It is for one goroutine.
type Plain struct {
	o       *Object
	head    *dicom.Rendered
	meta    []byte
	decoded *Decoded // nil: the pixels are native already
	pixels  []byte   // all that is decoded, where that was done before
}

// Plain makes a plain form of an object. What cannot be made so is [*render.Unsupported] or [*render.Broken], told before anything is written: a frame behind
// the first that cannot be decoded is told by [Plain.WriteFile] alone.
func (d *Delivery) Plain(ctx context.Context, o *Object) (*Plain, error) {
	data, err := o.Dataset()
	if err != nil {
		return nil, err
	}
	p := &Plain{o: o}
	form := dicom.Plain{Omit: map[int]bool{}, Set: map[dicom.Tag]dicom.SetValue{}}
	pixels := data.PixelData()
	switch {
	case pixels >= 0 && data.At(pixels).IsEncapsulated():
		if p.decoded, err = d.decoded(ctx, o, true); err != nil {
			return nil, err
		}
		form.Pixels = p.decoded.size * int64(p.decoded.Count())
		form.Pixels += form.Pixels % 2
		form.Set[dicom.TagPhotometricInterpretation] = dicom.SetValue{VR: dicom.VRCS, Raw: []byte(p.decoded.Photometric())}
		if p.decoded.image.Samples > 1 && !data.Has(dicom.TagPlanarConfiguration) {
			form.Set[dicom.TagPlanarConfiguration] = dicom.SetValue{VR: dicom.VRUS, Raw: []byte{0, 0}}
		}
		for _, t := range []dicom.Tag{dicom.TagExtendedOffsetTable, dicom.TagExtendedOffsetTableLengths} {
			if i := data.Find(t); i >= 0 {
				form.Omit[i] = true
			}
		}
	case data.Has(dicom.TagPixelDataProviderURL):
		return nil, &render.Unsupported{Reason: "pixels that lie elsewhere"}
	}
	for i := range data.Len() {
		if e := data.At(i); e.IsEncapsulated() && i != pixels {
			form.Omit[enclosing(data, i)] = true // an icon that is compressed
		}
	}
	if p.head, err = data.Explicit(form); err != nil {
		if e, ok := errors.AsType[*dicom.Error](err); ok {
			return nil, &render.Unsupported{Reason: e.Reason}
		}
		return nil, err
	}
	class, sop, err := o.names()
	if err != nil {
		return nil, err
	}
	m, err := deid.Meta(class, sop, dicom.ExplicitVRLittleEndian)
	if err != nil {
		return nil, err
	}
	p.meta = m.Bytes()
	return p, nil
}

// enclosing is the top-level element around an entry.
func enclosing(d *dicom.Dataset, i int) int {
	for d.At(i).Parent != dicom.Root {
		i = int(d.At(i).Parent)
	}
	return i
}

// FileSize is the number of bytes that WriteFile writes.
func (p *Plain) FileSize() int64 {
	n := preamble + 4 + int64(len(p.meta)) + int64(len(p.head.Head))
	for _, b := range p.head.Bulk {
		n += b.Len
	}
	return n
}

// WriteFile writes a Part 10 file. Where it fails, what was written is not whole.
func (p *Plain) WriteFile(ctx context.Context, w io.Writer) error {
	head := make([]byte, preamble, preamble+4+len(p.meta))
	if _, err := w.Write(append(append(head, "DICM"...), p.meta...)); err != nil {
		return err
	}
	data, err := p.o.Dataset()
	if err != nil {
		return err
	}
	_, err = p.head.WriteTo(w, func(b dicom.BulkRef) (io.Reader, error) { return p.bulk(ctx, data, b) })
	return err
}

// bulk reads a bulk value in little endian.
func (p *Plain) bulk(ctx context.Context, data *dicom.Dataset, b dicom.BulkRef) (io.Reader, error) {
	if p.decoded != nil && data.At(b.Elem).IsEncapsulated() {
		if p.pixels != nil {
			return bytes.NewReader(p.pixels), nil
		}
		return &decodedReader{ctx: ctx, x: p.decoded, left: b.Len}, nil
	}
	v, err := p.o.Value(b.Elem)
	if word := data.VR(b.Elem).WordSize(); err == nil && data.At(b.Elem).BigEndian() && word > 1 {
		return io.NewSectionReader(Swapped(v, v.Size(), word), 0, v.Size()), nil
	}
	return v, err
}

// maxAhead is how many bytes of frames are decoded before the first of them goes out on an association.
const maxAhead = 16 << 20

// Reader gives the data set alone, in Explicit or Implicit VR Little Endian. It has to be closed, before the object is. Frames of up to 16 MiB in all are decoded before it returns, so that one that
// cannot be is told in time; of more, such a frame is an error of the reader, a fault.Corrupt.
func (p *Plain) Reader(ctx context.Context, ts *dicom.TransferSyntax) (io.ReadCloser, error) {
	if ts.UID != dicom.ExplicitVRLittleEndianUID && ts.UID != dicom.ImplicitVRLittleEndianUID {
		return nil, dicom.ErrEncapsulated
	}
	data, err := p.o.Dataset()
	if err != nil {
		return nil, err
	}
	if p.decoded != nil && p.pixels == nil {
		if n := p.decoded.size * int64(p.decoded.Count()); n <= maxAhead {
			if p.pixels, err = io.ReadAll(&decodedReader{ctx: ctx, x: p.decoded, left: n + n%2}); err != nil {
				return nil, err
			}
		}
	}
	head, values := p.head, p.head.Bulk
	if ts.UID == dicom.ImplicitVRLittleEndianUID {
		explicit, err := p.head.Dataset()
		if err != nil {
			return nil, err
		}
		if head, err = explicit.Transcode(ts); err != nil {
			return nil, err
		}
	}
	if head.Size()%2 == 1 {
		return nil, &render.Unsupported{Reason: "a value of odd length"}
	}
	return object.Piped(func(w io.Writer) error {
		k := 0 // bulk values come in one order, whatever is around them
		_, err := head.WriteTo(w, func(dicom.BulkRef) (io.Reader, error) {
			k++
			return p.bulk(ctx, data, values[k-1])
		})
		if _, ok := errors.AsType[*render.Broken](err); ok {
			err = fault.Wrap(fault.Corrupt, "decode frames", "", err)
		}
		return err
	}), nil
}

// All reads every frame, one behind the other.
func (x *Decoded) All(ctx context.Context) io.Reader {
	return &decodedReader{ctx: ctx, x: x, left: x.size * int64(x.Count())}
}

// decodedReader reads frames one behind the other, and a byte more where that makes their number even.
type decodedReader struct {
	ctx  context.Context
	x    *Decoded
	k    int
	rest bytes.Reader
	left int64
}

func (r *decodedReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.rest.Len() == 0 {
		b := []byte{0}
		if r.k < r.x.Count() {
			r.k++
			var err error
			if b, err = r.x.Frame(r.ctx, r.k); err != nil {
				return 0, err
			}
		}
		r.rest.Reset(b)
	}
	n, err := r.rest.Read(p)
	r.left -= int64(n)
	return n, err
}
