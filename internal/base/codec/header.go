package codec

import (
	"bytes"
	"encoding/binary"
)

// method is a decoder of the WebAssembly module.
type method uint8

const (
	methodJPEG method = iota + 1
	methodJPEGLS
	methodJPEG2000
	methodHTJ2K
)

var methodNames = [...]string{methodJPEG: "JPEG", methodJPEGLS: "JPEG-LS", methodJPEG2000: "JPEG 2000", methodHTJ2K: "HTJ2K"}

func (m method) String() string { return methodNames[m] }

// methodOf is the decoder of a transfer syntax; zero if there is none.
func methodOf(uid string) method {
	const jpeg = "1.2.840.10008.1.2.4."
	switch uid {
	case jpeg + "50", jpeg + "51", jpeg + "53", jpeg + "55", jpeg + "57", jpeg + "70":
		return methodJPEG
	case jpeg + "80", jpeg + "81":
		return methodJPEGLS
	case jpeg + "90", jpeg + "91":
		return methodJPEG2000
	case jpeg + "201", jpeg + "202", jpeg + "203":
		return methodHTJ2K
	}
	return 0
}

// stream is what a code stream says of itself.
type stream struct {
	rows, columns, samples, precision int
	signed                            bool
	planar                            bool // the decoder gives plane after plane
	subsampled                        bool // a component has fewer rows or columns than another
	transformed                       bool // a colour transformation that the decoder undoes
	adobe                             int  // the colour transformation that an Adobe marker names; -1: none
	letters                           bool // the components are named R, G, B
	process                           byte // the marker of a JPEG frame header
}

// headerOf reads the frame header of a code stream; it reports whether there is one that can be read.
func headerOf(m method, b []byte) (stream, bool) {
	switch m {
	case methodJPEG2000:
		return headerJ2K(b)
	case methodHTJ2K:
		// OpenJPH makes a picture of what is there, so that the end has to be.
		s, ok := headerJ2K(b)
		return s, ok && bytes.HasSuffix(bytes.TrimRight(b, "\x00"), []byte{0xff, 0xd9})
	}
	return headerJPEG(b, m == methodJPEGLS)
}

// headerJPEG reads the markers up to the first scan (ISO/IEC 10918-1 B.2, ISO/IEC 14495-1 C.2).
func headerJPEG(b []byte, ls bool) (stream, bool) {
	s := stream{adobe: -1}
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return s, false
	}
	framed := false
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			return s, false
		}
		marker := b[i+1]
		if marker == 0xff { // fill
			i++
			continue
		}
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		if n < 2 || i+2+n > len(b) {
			return s, false
		}
		seg := b[i+4 : i+2+n]
		switch {
		case ls && marker == 0xf7, !ls && marker >= 0xc0 && marker <= 0xc3:
			if framed || len(seg) < 6 || len(seg) < 6+3*int(seg[5]) || seg[5] == 0 {
				return s, false
			}
			framed = true
			s.process = marker
			s.precision, s.rows, s.columns, s.samples = int(seg[0]), int(binary.BigEndian.Uint16(seg[1:])), int(binary.BigEndian.Uint16(seg[3:])), int(seg[5])
			for k := range s.samples {
				s.subsampled = s.subsampled || seg[6+3*k+1] != seg[6+1]
			}
			s.letters = s.samples == 3 && seg[6] == 'R' && seg[9] == 'G' && seg[12] == 'B'
		case marker >= 0xc5 && marker <= 0xcf && marker != 0xc8 && marker != 0xcc:
			return s, false // hierarchical or arithmetic
		case marker == 0xee && len(seg) >= 12 && bytes.HasPrefix(seg, []byte("Adobe")):
			s.adobe = int(seg[11])
		case marker == 0xda:
			if ls {
				if !framed || len(seg) < 3 || len(seg) != 4+2*int(seg[0]) {
					return s, false
				}
				s.planar = s.samples > 1 && seg[len(seg)-2] == 0 // components one after the other
			}
			return s, framed
		}
		i += 2 + n
	}
	return s, false
}

// headerJ2K reads the main header (ISO/IEC 15444-1 A.5.1, A.6.1), which a JP2 file may stand around, though DICOM does not allow it.
func headerJ2K(b []byte) (stream, bool) {
	s := stream{adobe: -1}
	b = codestream(b)
	if len(b) < 42 || binary.BigEndian.Uint32(b) != 0xff4fff51 {
		return s, false
	}
	u32 := func(i int) int64 { return int64(binary.BigEndian.Uint32(b[i:])) }
	n := int(binary.BigEndian.Uint16(b[4:]))
	s.samples = int(binary.BigEndian.Uint16(b[40:]))
	if s.samples < 1 || s.samples > 4 || n != 38+3*s.samples || len(b) < 4+n {
		return s, false
	}
	columns, rows := u32(8)-u32(16), u32(12)-u32(20)
	if columns < 1 || rows < 1 || columns >= 1<<16 || rows >= 1<<16 || u32(24) == 0 || u32(28) == 0 {
		return s, false
	}
	s.columns, s.rows = int(columns), int(rows)
	for k := range s.samples {
		c := b[42+3*k:]
		precision, signed := int(c[0]&0x7f)+1, c[0]&0x80 != 0
		if k > 0 && (precision != s.precision || signed != s.signed) {
			return s, false
		}
		s.precision, s.signed = precision, signed
		s.subsampled = s.subsampled || c[1] != 1 || c[2] != 1
	}
	for i := 4 + n; i+4 <= len(b); {
		if b[i] != 0xff || b[i+1] == 0x90 { // the first tile
			break
		}
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		if n < 2 || i+2+n > len(b) {
			return s, false
		}
		if b[i+1] == 0x52 && n >= 12 {
			s.transformed = b[i+8] != 0
			return s, true
		}
		i += 2 + n
	}
	return s, false // without coding style
}

// codestream is the code stream within a JP2 file, or b itself.
func codestream(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte("\x00\x00\x00\x0cjP  \r\n\x87\n")) {
		return b
	}
	for rest := b; len(rest) >= 8; {
		n, head := int64(binary.BigEndian.Uint32(rest)), int64(8)
		kind := string(rest[4:8])
		if n == 1 && len(rest) >= 16 {
			n, head = int64(binary.BigEndian.Uint64(rest[8:])), 16
		}
		if n == 0 {
			n = int64(len(rest))
		}
		if n < head || n > int64(len(rest)) {
			return nil
		}
		if kind == "jp2c" {
			return rest[head:n]
		}
		rest = rest[n:]
	}
	return nil
}

// fit refuses a code stream that is not of the image: decoded all the same, memory of something else would fill what it leaves out.
func (s *stream) fit(m method, of Image) error {
	switch {
	case s.columns != of.Columns || s.rows != of.Rows:
		return &Broken{m.String(), "its code stream is of another size than the image says"}
	case s.samples != of.Samples:
		return &Broken{m.String(), "its code stream has another number of components than the image says"}
	case s.precision > 16 || of.Allocated == 32:
		return &Unsupported{m.String() + " of more than 16 bits"}
	case s.precision < 2 && m == methodJPEGLS, s.precision < 1:
		return &Broken{m.String(), "its code stream has no bits"}
	case s.precision > of.Allocated, s.precision > 8 && of.Allocated == 1:
		return &Broken{m.String(), "its code stream has more bits than the image says"}
	case m != methodJPEG && s.subsampled:
		return &Unsupported{m.String() + " with components of different sizes"}
	case m == methodJPEG2000 && s.samples == 3 && s.precision > 8:
		return &Unsupported{"JPEG 2000 colours of more than 8 bits"}
	case m == methodHTJ2K && s.signed && s.precision <= 8:
		return &Unsupported{"HTJ2K of signed bytes"}
	}
	return nil
}

// photometric is what the samples are once they are decoded. The image's word counts, but where its code stream shows that it cannot be right: RGB is never
// subsampled, and an Adobe marker is written by the encoder itself.
func (s *stream) photometric(m method, of Image) string {
	if of.Samples != 3 {
		return of.Photometric
	}
	switch m {
	case methodJPEG:
		switch {
		case s.adobe == 0 || s.letters:
			return "RGB"
		case s.adobe == 1 || s.subsampled || of.Photometric != "RGB":
			return "YBR_FULL"
		}
		return "RGB"
	case methodJPEG2000, methodHTJ2K:
		if s.transformed || of.Photometric == "YBR_RCT" || of.Photometric == "YBR_ICT" {
			return "RGB"
		}
	}
	if of.Photometric == "YBR_FULL_422" {
		return "YBR_FULL"
	}
	return of.Photometric
}
