package codec

import (
	"context"
	"encoding/binary"
)

// exactly gives an encoder that writes samples as exactly as the code stream that they came from has them, or says why there is none. Samples are by pixel.
func (p *Pool) exactly(ctx context.Context, m method, head *stream, frame []byte) (func(f *Frame) ([]byte, error), error) {
	switch m {
	case methodJPEG:
		o, err := readLossless(frame)
		if err != nil {
			return nil, err
		}
		return func(f *Frame) ([]byte, error) { return o.encode(f), nil }, nil
	case methodJPEGLS:
		if err := exactLS(frame); err != nil {
			return nil, err
		}
		return func(f *Frame) ([]byte, error) {
			q := requestOf(m, head, f)
			code, err := p.encode(ctx, q, f.words(int(q.word)))
			if err != nil {
				return nil, err
			}
			return stripJPEG(m, code)
		}, nil
	}
	order, err := reversible(m, codestream(frame))
	if err != nil {
		return nil, err
	}
	return func(f *Frame) ([]byte, error) {
		q := requestOf(m, head, f)
		q.order = order
		samples := f.words(int(q.word))
		// The encoder of HTJ2K takes bytes or words, and colours of bytes only, which it transforms.
		wide := m == methodHTJ2K && (q.precision != 8 || q.signed)
		switch {
		case m == methodHTJ2K && f.Samples == 3 && (wide || !head.transformed):
			return nil, &Unsupported{"masking HTJ2K colours of other than 8 bits, or not transformed"}
		case wide:
			samples = level(f.words(2), head)
			q.word, q.precision, q.signed, q.size = 2, 16, true, uint32(len(samples))
		}
		code, err := p.encode(ctx, q, samples)
		if err != nil {
			return nil, err
		}
		if wide {
			setPrecision(code, head)
		}
		return stripJ2K(m, code)
	}, nil
}

// requestOf is the request to encode a frame's samples.
func requestOf(m method, head *stream, f *Frame) *request {
	q := &request{method: m, word: 1, signed: head.signed, samples: uint8(f.Samples), rows: uint16(f.Rows), columns: uint16(f.Columns), precision: uint8(head.precision), transform: head.transformed}
	if head.precision > 8 {
		q.word = 2
	}
	return q
}

// words are the samples of a frame in words of one or two bytes.
func (f *Frame) words(size int) []byte {
	n := f.Rows * f.Columns * f.Samples
	switch {
	case f.Allocated == 8*size:
		return f.Pixels
	case size == 2:
		b := f.Pixels
		if f.Allocated == 1 {
			b = f.words(1)
		}
		return widen(b[:n], f.Signed)
	}
	out := make([]byte, n)
	for i := range out {
		if f.Allocated == 1 {
			out[i] = f.Pixels[i/8] >> (i % 8) & 1
		} else {
			out[i] = f.Pixels[2*i]
		}
	}
	return out
}

// level makes unsigned words signed ones about the middle, as JPEG 2000 does by itself (ISO/IEC 15444-1 G.1).
func level(words []byte, head *stream) []byte {
	if head.signed {
		return words
	}
	out := make([]byte, len(words))
	middle := uint16(1) << (head.precision - 1)
	for i := 0; i < len(words); i += 2 {
		binary.LittleEndian.PutUint16(out[i:], binary.LittleEndian.Uint16(words[i:])-middle)
	}
	return out
}

// setPrecision writes into SIZ what the samples are that were levelled and encoded as signed words. The bit planes that are coded are another header's (QCD): more of
// them than samples need are all zeros, which costs nothing.
func setPrecision(code []byte, head *stream) {
	if len(code) > 42 {
		code[42] = byte(head.precision-1) | flag(head.signed)<<7
	}
}

// exactLS says what in a JPEG-LS code stream loses something, or is not supported (ISO/IEC 14495-1 C.2.3).
func exactLS(frame []byte) error {
	all, err := segmentsOf(methodJPEGLS, frame)
	if err != nil {
		return err
	}
	scans := 0
	for i := range all {
		s := &all[i]
		n := len(s.data)
		switch {
		case s.marker == markerLSE && !s.exact():
			return &Unsupported{"JPEG-LS whose samples are looked up in a table"}
		case s.marker != markerSOS:
		case n < 4 || n != 4+2*int(s.data[0]):
			return &Broken{methodJPEGLS.String(), "the header of a scan cannot be read"}
		case s.data[n-3] != 0:
			return &Unsupported{"masking JPEG-LS with loss"}
		case s.data[n-1] != 0:
			return &Unsupported{"JPEG-LS with a point transform, which loses bits"}
		default:
			scans++
		}
	}
	if scans == 0 {
		return &Broken{methodJPEGLS.String(), "its code stream has no scan"}
	}
	return nil
}

// reversible says what in a JPEG 2000 code stream loses something: a transformation of other than integers, in any of its headers (ISO/IEC 15444-1 A.6.1, A.6.2). It
// gives the order of its packets.
func reversible(m method, b []byte) (order uint8, err error) {
	broken := &Broken{m.String(), "its code stream cannot be read"}
	styles := 0
	err = headersJ2K(m, b, func(marker byte, d []byte) error {
		const markerCOD, markerCOC = 0x52, 0x53
		switch marker {
		case markerCOD:
			if len(d) < 10 || d[1] > 4 {
				return broken
			}
			if styles == 0 {
				order = d[1]
			}
			styles++
			d = d[9:]
		case markerCOC: // the component is named in one byte: there are no more than four
			if len(d) < 7 {
				return broken
			}
			d = d[6:]
		default:
			return nil
		}
		if d[0] != 1 {
			return &Unsupported{"masking " + m.String() + " with loss"}
		}
		return nil
	})
	if err == nil && styles == 0 {
		err = broken
	}
	return order, err
}

// headersJ2K calls fn for the segments of the main header and of those of tile-parts.
func headersJ2K(m method, b []byte, fn func(marker byte, data []byte) error) error {
	broken := &Broken{m.String(), "its code stream cannot be read"}
	if len(b) < 4 || b[0] != 0xff || b[1] != markerSOC {
		return broken
	}
	end := 0 // of the tile-part
	for i := 2; ; {
		if i+2 > len(b) || b[i] != 0xff {
			return broken
		}
		marker := b[i+1]
		if marker == markerEOI {
			return nil
		}
		if marker == markerSOD {
			if end < i+2 || end > len(b) {
				return broken
			}
			i = end
			continue
		}
		if i+4 > len(b) {
			return broken
		}
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		if n < 2 || i+2+n > len(b) {
			return broken
		}
		d := b[i+4 : i+2+n]
		if marker == markerSOT {
			if len(d) != 8 {
				return broken
			}
			size := int64(binary.BigEndian.Uint32(d[2:]))
			switch {
			case size == 0: // the last: up to the end
				end = lastEOC(b)
			case int64(i)+size > int64(len(b)):
				return broken
			default:
				end = i + int(size)
			}
		} else if err := fn(marker, d); err != nil {
			return err
		}
		i += 2 + n
	}
}
