package codec

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Masked is a frame with boxes painted over, in the transfer syntax that it had.
type Masked struct {
	Bytes []byte            // of an encapsulated frame an even number
	Boxes []image.Rectangle // what was painted, in columns and rows, Max exclusive: at least what was asked for
}

// Mask is the stored frame with boxes painted over in the given stored sample values, one for each component, in the image's Photometric Interpretation (see
// [Black]). frame itself stays as it is.
//
// Everything outside Masked.Boxes is what it was. Of native pixels every other byte is the same. What was compressed without loss is decoded, painted and compressed
// again, and is given out only if decoding that gives every sample as it was painted. In a JPEG code stream with loss only the blocks that a box touches
// are changed, and the coefficients of all others are the same: Boxes are grown to these blocks, and where colours have fewer samples than luminance by the pixel
// around them that decoders mix colour into.
//
// A frame of single bits begins with a byte, as [dicom.Frames] gives it; of several native ones, whoever puts it back has to shift it.
//
// A box that lies wholly outside the image is an error: something is amiss with whoever asks. Where boxes cannot be painted so, it is [*Unsupported], and the image is to
// be held. Other errors are those of [Pool.Decode], and one if what was made does not decode to what it should.
func (p *Pool) Mask(ctx context.Context, syntax *dicom.TransferSyntax, of Image, frame []byte, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	if err := of.Check(); err != nil {
		return Masked{}, err
	}
	whole := image.Rect(0, 0, of.Columns, of.Rows)
	clipped := make([]image.Rectangle, 0, len(boxes))
	for _, box := range boxes {
		box = box.Intersect(whole)
		if box.Empty() {
			return Masked{}, errors.New("a box to be masked lies outside the image")
		}
		clipped = append(clipped, box)
	}
	for _, v := range fill[:of.Samples] {
		if v>>of.Stored != 0 && !(of.Signed && int32(v) < 0 && int64(int32(v)) >= -1<<(of.Stored-1)) {
			return Masked{}, errors.New("the value to mask with has more bits than a sample")
		}
	}
	if len(clipped) == 0 {
		b := bytes.Clone(frame)
		if syntax.Encapsulated {
			b = even(b)
		}
		return Masked{Bytes: b}, nil
	}
	switch {
	case !syntax.Encapsulated:
		return maskNative(of, bytes.Clone(frame), syntax.BigEndian, clipped, fill)
	case syntax.UID == rleUID:
		return maskRLE(syntax, of, frame, clipped, fill)
	case syntax.UID == deflatedUID:
		return maskDeflated(of, frame, clipped, fill)
	}
	if m := methodOf(syntax.UID); m != 0 {
		return p.maskCode(ctx, m, syntax, of, frame, clipped, fill)
	}
	return Masked{}, &Unsupported{"masking pixels stored as " + syntax.Name}
}

// Black is the darkest value of each stored sample of an image: zero, or the least of signed samples, or the greatest if zero is white; in YBR also the colours' middle. Of
// PALETTE COLOR it is the first index, whatever its colour: who masks one has to look it up.
func Black(of Image) [4]uint32 {
	middle := uint32(1) << (max(of.Stored, 1) - 1)
	least, greatest := uint32(0), middle-1+middle
	if of.Signed && of.Samples == 1 {
		least, greatest = middle, middle-1
	}
	switch of.Photometric {
	case "MONOCHROME1":
		return [4]uint32{greatest}
	case "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422":
		return [4]uint32{0, middle, middle}
	case "PALETTE COLOR":
		return [4]uint32{}
	}
	if of.Samples == 3 {
		return [4]uint32{}
	}
	return [4]uint32{least}
}

// word is a sample as it is stored: in the bits below High Bit, and those above it as a signed number wants them.
func (m *Image) word(v uint32) uint32 {
	v &= uint32(1<<m.Stored - 1)
	if m.Signed && v>>(m.Stored-1) != 0 {
		v |= ^uint32(0) << (m.Stored - 1)
	}
	return v << (m.HighBit + 1 - m.Stored)
}

// paint paints boxes into pixels that are not compressed, every bit of their words.
func paint(of Image, pixels []byte, bigEndian bool, boxes []image.Rectangle, fill [4]uint32) {
	size := max(1, of.Allocated/8)
	var words [3][4]byte
	for c := range of.Samples {
		w := of.word(fill[c])
		for k := range size {
			if bigEndian {
				words[c][size-1-k] = byte(w >> (8 * k))
			} else {
				words[c][k] = byte(w >> (8 * k))
			}
		}
	}
	for _, box := range boxes {
		for y := box.Min.Y; y < box.Max.Y; y++ {
			at := y * of.Columns
			switch {
			case of.Allocated == 1:
				for i := at + box.Min.X; i < at+box.Max.X; i++ {
					pixels[i/8] = pixels[i/8]&^(1<<(i%8)) | byte(fill[0]&1)<<(i%8)
				}
			case of.Planar && of.Samples > 1:
				for c := range of.Samples {
					plane := pixels[c*of.Rows*of.Columns*size:]
					for i := at + box.Min.X; i < at+box.Max.X; i++ {
						copy(plane[i*size:], words[c][:size])
					}
				}
			default:
				i := (at + box.Min.X) * of.Samples * size
				for range box.Dx() {
					for c := range of.Samples {
						i += copy(pixels[i:], words[c][:size])
					}
				}
			}
		}
	}
}

// maskNative paints into the frame's own bytes. What lies behind the pixels, padding, stays.
func maskNative(of Image, frame []byte, bigEndian bool, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	size := of.size()
	if of.halved(frame) {
		if !of.canHalve() {
			return Masked{}, &Unsupported{"YBR_FULL_422 by plane, of other than 8 bits, or of an odd number of columns"}
		}
		size = size / 3 * 2
		if len(frame) < size {
			return Masked{}, tooFew(frame, size)
		}
		grown := make([]image.Rectangle, 0, len(boxes))
		for _, box := range boxes { // two pixels share their colour
			box.Min.X, box.Max.X = box.Min.X&^1, (box.Max.X+1)&^1
			grown = append(grown, box)
			for y := box.Min.Y; y < box.Max.Y; y++ {
				row := frame[(y*of.Columns+box.Min.X)*2 : (y*of.Columns+box.Max.X)*2]
				for ; len(row) > 0; row = row[4:] {
					row[0], row[1], row[2], row[3] = byte(fill[0]), byte(fill[0]), byte(fill[1]), byte(fill[2])
				}
			}
		}
		return Masked{frame, grown}, nil
	}
	if len(frame) < size {
		return Masked{}, tooFew(frame, size)
	}
	paint(of, frame, bigEndian, boxes, fill)
	return Masked{frame, boxes}, nil
}

func maskRLE(syntax *dicom.TransferSyntax, of Image, frame []byte, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	f, err := Decode(syntax, of, frame)
	if err != nil {
		return Masked{}, err
	}
	paint(f.Image, f.Pixels, false, boxes, fill)
	code, ok := packRLE(f.Image, f.Pixels)
	if !ok {
		return Masked{}, &Unsupported{"RLE of this size"}
	}
	again, err := unpackRLE(code, of)
	if err != nil || !bytes.Equal(again, f.Pixels) {
		return Masked{}, unequal("RLE")
	}
	return Masked{code, boxes}, nil
}

// maskDeflated masks a native frame that is deflated by itself (PS3.5 A.4.13).
func maskDeflated(of Image, frame []byte, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	pixels, err := inflate(of, frame)
	if err != nil {
		return Masked{}, err
	}
	m, err := maskNative(of, pixels, false, boxes, fill)
	if err != nil {
		return Masked{}, err
	}
	var code bytes.Buffer
	w, err := flate.NewWriter(&code, flate.DefaultCompression)
	if err != nil {
		return Masked{}, err
	}
	if _, err := w.Write(m.Bytes); err != nil {
		return Masked{}, err
	}
	if err := w.Close(); err != nil {
		return Masked{}, err
	}
	again, err := inflate(of, code.Bytes())
	if err != nil || !bytes.Equal(again, m.Bytes) {
		return Masked{}, unequal("deflate")
	}
	return Masked{even(code.Bytes()), m.Boxes}, nil
}

// inflate gives the pixels of a deflated frame and no byte more.
func inflate(of Image, frame []byte) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(frame)), int64(of.size())))
	if err != nil {
		return nil, &Broken{"deflate", "its code cannot be read"}
	}
	return b, nil
}

// even pads what goes into a fragment.
func even(b []byte) []byte {
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	return b
}

// unequal is the error of an encoder that made something else than it was to: a fault of this package, and the frame must not be used.
func unequal(codec string) error {
	return fmt.Errorf("%s: the masked frame does not decode to what it should", codec)
}

// maskCode masks a code stream.
func (p *Pool) maskCode(ctx context.Context, m method, syntax *dicom.TransferSyntax, of Image, frame []byte, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	head, ok := headerOf(m, frame)
	if !ok {
		return Masked{}, &Broken{m.String(), "its code stream has no header that can be read"}
	}
	if err := head.fit(m, of); err != nil {
		return Masked{}, err
	}
	fill = head.fill(m, of, fill)
	before, err := p.Decode(ctx, syntax, of, bytes.Clone(frame))
	if err != nil {
		return Masked{}, err
	}
	if m == methodJPEG && head.process != markerSOF3 {
		return p.maskDCT(ctx, syntax, of, &before, frame, boxes, fill)
	}
	encode, err := p.exactly(ctx, m, &head, frame)
	if err != nil {
		return Masked{}, err
	}
	// The samples are those of the code stream, whatever the image says of them.
	before.interleave()
	samples := before.Image
	if samples.Allocated > 1 {
		samples.Stored, samples.HighBit, samples.Signed = head.precision, head.precision-1, head.signed
	}
	paint(samples, before.Pixels, false, boxes, fill)
	code, err := encode(&before)
	if err != nil {
		return Masked{}, err
	}
	after, err := p.Decode(ctx, syntax, of, bytes.Clone(code))
	if err != nil {
		return Masked{}, err
	}
	after.interleave()
	again, ok := headerOf(m, code)
	again.planar = head.planar
	if !ok || again != head || after.Image != before.Image || !bytes.Equal(after.Pixels, before.Pixels) {
		return Masked{}, unequal(m.String())
	}
	return Masked{even(code), boxes}, nil
}

// fill is the value to paint with as the code stream has its samples, whose colours may be others than the image says.
func (s *stream) fill(m method, of Image, fill [4]uint32) [4]uint32 {
	most := uint32(1<<s.precision - 1)
	for c, v := range fill {
		v &= uint32(1<<of.Stored - 1)
		if of.Signed && v>>(of.Stored-1) != 0 {
			v |= ^uint32(0) << (of.Stored - 1)
		}
		if of.Signed {
			fill[c] = v & most
		} else {
			fill[c] = min(v, most)
		}
	}
	if of.Samples != 3 {
		return fill
	}
	top, middle := float64(uint32(1)<<s.precision-1), float64(uint32(1)<<(s.precision-1))
	a, b, c := float64(fill[0]), float64(fill[1]), float64(fill[2])
	round := func(v float64) uint32 { return uint32(math.Round(min(max(v, 0), top))) }
	said, is := strings.HasPrefix(of.Photometric, "YBR_FULL") || strings.HasPrefix(of.Photometric, "YBR_PARTIAL"), s.photometric(m, of) == "YBR_FULL"
	switch { // PS3.3 C.7.6.3.1.2
	case said && !is:
		b, c = b-middle, c-middle
		return [4]uint32{round(a + 1.402*c), round(a - 0.344136*b - 0.714136*c), round(a + 1.772*b)}
	case !said && is:
		return [4]uint32{round(0.299*a + 0.587*b + 0.114*c), round(middle - 0.168736*a - 0.331264*b + 0.5*c), round(middle + 0.5*a - 0.418688*b - 0.081312*c)}
	}
	return fill
}

// maskDCT masks JPEG with loss.
func (p *Pool) maskDCT(ctx context.Context, syntax *dicom.TransferSyntax, of Image, before *Frame, frame []byte, boxes []image.Rectangle, fill [4]uint32) (Masked, error) {
	inTime, cancel := context.WithTimeout(ctx, p.o.Frame)
	defer cancel()
	code, f, blocks, err := recode(inTime.Done(), frame, boxes, fill)
	if err == nil && !painted(inTime.Done(), frame, code, boxes, fill) {
		err = unequal("JPEG")
	}
	switch {
	case ctx.Err() != nil:
		return Masked{}, ctx.Err()
	case inTime.Err() != nil:
		return Masked{}, &Unsupported{errLate.Error()}
	case err != nil:
		return Masked{}, err
	}
	after, err := p.Decode(ctx, syntax, of, bytes.Clone(code))
	if err != nil {
		return Masked{}, err
	}
	// A decoder that smooths colours mixes those of a block into the pixels beside it, and theirs into its own: half as many pixels as a sample is over.
	rx, ry := f.wide/16, f.high/16
	grown := make([]image.Rectangle, 0, len(blocks))
	for _, b := range blocks {
		grown = append(grown, image.Rect(b.Min.X-rx, b.Min.Y-ry, b.Max.X+rx, b.Max.Y+ry).Intersect(image.Rect(0, 0, of.Columns, of.Rows)))
	}
	for _, b := range blocks { // what is inside shows one value
		b = image.Rectangle{b.Min.Add(image.Pt(rx, ry)), b.Max.Sub(image.Pt(rx, ry))}
		for c := range f.components {
			q := &f.components[c]
			if !after.shows(b, c, int64(f.shown(q, f.flat(q, fill[c])))) {
				return Masked{}, unequal("JPEG")
			}
		}
	}
	if !sameOutside(before, &after, grown) {
		return Masked{}, unequal("JPEG")
	}
	return Masked{even(code), grown}, nil
}

// sameOutside reports whether two frames of one description have the same samples outside boxes, which it paints over in both.
func sameOutside(a, b *Frame, boxes []image.Rectangle) bool {
	if a.Image != b.Image || len(a.Pixels) != len(b.Pixels) {
		return false
	}
	paint(a.Image, a.Pixels, false, boxes, [4]uint32{})
	paint(b.Image, b.Pixels, false, boxes, [4]uint32{})
	return bytes.Equal(a.Pixels, b.Pixels)
}

// shows reports whether each sample of a component within a box is the given one, or next to it.
func (f *Frame) shows(box image.Rectangle, c int, value int64) bool {
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if d := f.raw(y*f.Columns+x, c) - value; d < -1 || d > 1 {
				return false
			}
		}
	}
	return true
}

// raw is the word of a sample.
func (f *Frame) raw(i, c int) int64 {
	at := i*f.Samples + c
	if f.Planar {
		at = c*f.Rows*f.Columns + i
	}
	switch f.Allocated {
	case 1:
		return int64(f.Pixels[i/8] >> (i % 8) & 1)
	case 8:
		return int64(f.Pixels[at])
	case 16:
		return int64(binary.LittleEndian.Uint16(f.Pixels[2*at:]))
	}
	return int64(binary.LittleEndian.Uint32(f.Pixels[4*at:]))
}
