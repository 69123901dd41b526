package codec

import (
	"bytes"
	"encoding/binary"
)

// Markers of JPEG and JPEG-LS (ISO/IEC 10918-1 table B.1, ISO/IEC 14495-1 table C.1).
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerSOF3  = 0xc3 // lossless
	markerDHT   = 0xc4
	markerRST0  = 0xd0
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDNL   = 0xdc
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP8  = 0xe8
	markerAPP14 = 0xee
	markerSOF55 = 0xf7 // JPEG-LS
	markerLSE   = 0xf8 // JPEG-LS
	markerCOM   = 0xfe
)

// segment is a marker segment, and of a scan's also its code, restart markers within it.
type segment struct {
	marker byte
	data   []byte // without marker and length
	code   []byte // of SOS
}

func (s *segment) append(b []byte) []byte {
	b = append(b, 0xff, s.marker)
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.data)+2))
	b = append(b, s.data...)
	return append(b, s.code...)
}

// segmentsOf takes a JPEG or JPEG-LS code stream apart; SOI and EOI are not among the segments, nor is what comes after EOI. Nothing is copied.
func segmentsOf(m method, b []byte) ([]segment, error) {
	broken := func(why string) ([]segment, error) { return nil, &Broken{m.String(), why} }
	if len(b) < 2 || b[0] != 0xff || b[1] != markerSOI {
		return broken("its code stream has no beginning")
	}
	var all []segment
	for i := 2; ; {
		if i+2 > len(b) {
			return broken("its code stream has no end")
		}
		if b[i] != 0xff {
			return broken("there is something between its segments")
		}
		marker := b[i+1]
		switch {
		case marker == 0xff: // fill
			i++
			continue
		case marker == markerEOI:
			return all, nil
		case marker < markerSOF0 || marker >= markerRST0 && marker <= markerSOI:
			return broken("a marker is where none may be")
		}
		if i+4 > len(b) {
			return broken("its code stream has no end")
		}
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		if n < 2 || i+2+n > len(b) {
			return broken("a segment is cut short")
		}
		s := segment{marker: marker, data: b[i+4 : i+2+n]}
		i += 2 + n
		if marker == markerSOS {
			n := codeLength(b[i:], m == methodJPEGLS)
			s.code = b[i : i+n]
			i += n
		}
		all = append(all, s)
	}
}

// codeLength is how far the code of a scan goes: up to a marker that does not belong to it.
func codeLength(b []byte, ls bool) int {
	for i := 0; ; i++ {
		k := bytes.IndexByte(b[i:], 0xff)
		if k < 0 || i+k+1 >= len(b) {
			return len(b)
		}
		i += k
		switch next := b[i+1]; {
		case next >= markerRST0 && next < markerRST0+8:
			i++
		case ls && next < 0x80, !ls && next == 0: // stuffed
			i++
		default:
			return i
		}
	}
}

// needed gives a segment as decoding needs it, without what may be text; ok is false if it is not needed at all.
func (s *segment) needed(ls bool) (out segment, ok bool, err error) {
	name := methodJPEG
	if ls {
		name = methodJPEGLS
	}
	switch {
	case s.marker == markerSOS, s.marker == markerDNL, s.marker == markerDRI, s.marker == markerDHT && !ls, s.marker == markerDQT && !ls,
		s.marker >= markerSOF0 && s.marker <= markerSOF3 && !ls, s.marker == markerSOF55 && ls, s.marker == markerLSE && ls:
		return *s, true, nil
	case s.marker == markerAPP0 && bytes.HasPrefix(s.data, []byte("JFIF\x00")) && len(s.data) >= 14:
		data := bytes.Clone(s.data[:14])
		data[12], data[13] = 0, 0 // no thumbnail
		return segment{marker: s.marker, data: data}, true, nil
	case s.marker == markerAPP14 && bytes.HasPrefix(s.data, []byte("Adobe")) && len(s.data) >= 12:
		return segment{marker: s.marker, data: s.data[:12]}, true, nil
	case s.marker == markerAPP8 && ls && bytes.HasPrefix(s.data, []byte("mrfx")) && len(s.data) == 5: // a colour transformation of HP's
		return *s, true, nil
	case s.marker >= markerAPP0 && s.marker < markerAPP0+16, s.marker == markerCOM:
		return segment{}, false, nil
	}
	return segment{}, false, &Unsupported{name.String() + " with a segment that is not known"}
}
