// Package codec turns a frame of a DICOM image, as it is stored, into samples, and into one with boxes painted over.
//
// Native and deflated pixels and RLE are read here, by [Decode]. JPEG, JPEG-LS, JPEG 2000 and HTJ2K are decoded by a [Pool]: by WebAssembly in a child
// process that is killed when it takes too long or too much memory ([Work] is that process). docs/decisions/0002-pixels.md says why, and what it costs.
//
// It promises: a frame may be anything, and makes an error at worst, of that frame alone; what comes out is of the size that the image says, or an error; a
// code stream of another size, depth or number of components than the image is not decoded; nothing of one frame is ever seen in another.
//
// [Pool.Mask] paints boxes of a frame over in the transfer syntax that it has, [Strip] removes from a code stream what can carry text, and [ClearUnused] what is left in
// bits that no sample has. docs/decisions/0006-masking.md says how, and what is not masked.
//
// Decoding is for looking at images, not for diagnosis.
package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Image is how an image describes its samples (PS3.3 C.7.6.3).
type Image struct {
	Rows, Columns, Samples     int
	Allocated, Stored, HighBit int  // bits
	Signed                     bool // Pixel Representation 1
	Planar                     bool // Planar Configuration 1
	Photometric                string
}

// Frame is one decoded frame: Samples values for each pixel, row by row, or plane by plane if Planar; words of Allocated bits in little endian, or eight
// pixels in a byte, the first in its lowest bit, of one bit. Its Photometric is what the samples are now: of YBR_FULL_422 each pixel has its own colours,
// and what a codec has undone is RGB.
type Frame struct {
	Image
	Pixels []byte
}

// Unsupported is a frame that may be whole, and that this package does not decode.
type Unsupported struct{ Reason string }

func (e *Unsupported) Error() string { return e.Reason }

// Broken is a frame that contradicts itself or its image.
type Broken struct {
	Codec  string // "JPEG 2000"; empty: none
	Reason string
}

func (e *Broken) Error() string {
	if e.Codec == "" {
		return e.Reason
	}
	return e.Codec + ": " + e.Reason
}

// MaxPixels bounds one frame: the largest detector of a mammograph has 30 million.
const MaxPixels = 128 << 20

// maxDecoded bounds the bytes of a decoded frame: a code stream of a few kilobytes may make any number of them.
const maxDecoded = 256 << 20

// Check says what in the description cannot be, or is not supported.
func (m *Image) Check() error {
	switch {
	case m.Rows < 1 || m.Columns < 1 || m.Rows > 1<<16-1 || m.Columns > 1<<16-1:
		return &Broken{Reason: "it does not say how many rows and columns it has"}
	case m.Rows*m.Columns > MaxPixels:
		return &Unsupported{"a frame of this size"}
	case m.Samples != 1 && m.Samples != 3:
		return &Unsupported{"pixels of other than one or three samples"}
	case m.Allocated != 1 && m.Allocated != 8 && m.Allocated != 16 && m.Allocated != 32 || m.Allocated == 1 && m.Samples != 1:
		return &Unsupported{"pixels of other than 1, 8, 16 or 32 bits"}
	case m.Stored < 1 || m.Stored > m.Allocated || m.HighBit < m.Stored-1 || m.HighBit >= m.Allocated:
		return &Broken{Reason: "bits allocated, bits stored and high bit do not go together"}
	case m.size() > maxDecoded:
		return &Unsupported{"a frame of this size"}
	}
	return nil
}

// size is the number of bytes of the decoded frame.
func (m *Image) size() int {
	if m.Allocated == 1 {
		return (m.Rows*m.Columns + 7) / 8
	}
	return m.Rows * m.Columns * m.Samples * (m.Allocated / 8)
}

const (
	rleUID      = "1.2.840.10008.1.2.5"
	deflatedUID = "1.2.840.10008.1.2.8.1"
)

// Decode decodes what needs no child process: native pixels, in the byte order of the transfer syntax, deflated frames, and RLE. The frame's bytes may be
// changed, and may become part of the result. Errors are [*Unsupported] and [*Broken].
func Decode(syntax *dicom.TransferSyntax, of Image, frame []byte) (Frame, error) {
	if err := of.Check(); err != nil {
		return Frame{}, err
	}
	switch {
	case !syntax.Encapsulated:
		return native(of, frame, syntax.BigEndian)
	case syntax.UID == rleUID:
		pixels, err := unpackRLE(frame, of)
		of.Planar = of.Samples > 1
		if of.Photometric == "YBR_FULL_422" { // RLE stores every sample
			of.Photometric = "YBR_FULL"
		}
		return Frame{of, pixels}, err
	case syntax.UID == deflatedUID: // a native frame, deflated by itself
		b, err := inflate(of, frame)
		if err != nil {
			return Frame{}, err
		}
		return native(of, b, false)
	}
	return Frame{}, &Unsupported{"pixels stored as " + syntax.Name}
}

// halved reports whether two pixels share their colour. Some writers say so and store every sample.
func (m *Image) halved(pixels []byte) bool {
	return m.Photometric == "YBR_FULL_422" && m.Samples == 3 && len(pixels) < m.size()
}

func (m *Image) canHalve() bool { return m.Allocated == 8 && m.Columns%2 == 0 && !m.Planar }

func tooFew(pixels []byte, size int) error {
	return &Broken{Reason: fmt.Sprintf("its pixels are fewer than its rows and columns say: %d bytes instead of %d", len(pixels), size)}
}

func native(of Image, b []byte, bigEndian bool) (Frame, error) {
	size := of.size()
	halved := of.halved(b)
	if halved {
		if !of.canHalve() {
			return Frame{}, &Unsupported{"YBR_FULL_422 by plane, of other than 8 bits, or of an odd number of columns"}
		}
		size = size / 3 * 2
	}
	if len(b) < size {
		return Frame{}, tooFew(b, size)
	}
	b = b[:size]
	if bigEndian {
		switch of.Allocated {
		case 16:
			for i := 0; i+1 < len(b); i += 2 {
				b[i], b[i+1] = b[i+1], b[i]
			}
		case 32:
			for i := 0; i+3 < len(b); i += 4 {
				binary.LittleEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
			}
		}
	}
	if halved { // two luminances, then the colour of both (PS3.3 C.7.6.3.1.2)
		whole := make([]byte, 0, size/2*3)
		for i := 0; i+3 < len(b); i += 4 {
			whole = append(whole, b[i], b[i+2], b[i+3], b[i+1], b[i+2], b[i+3])
		}
		b = whole
	}
	if of.Photometric == "YBR_FULL_422" {
		of.Photometric = "YBR_FULL"
	}
	return Frame{of, b}, nil
}
