package codec

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Strip removes what can carry text from a frame's code stream, without decoding it: comments and application data, thumbnails, boxes of a JP2 file that are not of its
// image, what lies between segments and after the end. Of application data stay JFIF's and Adobe's headers, and HP's for JPEG-LS, cut to the fields that decoding needs. The samples that it decodes to stay the same. Native pixels are given back as they are: see [ClearUnused].
//
// The result has an even number of bytes, and shares memory with frame or not. What is no code stream, or has no end, is [*Broken]; one with segments that
// nobody knows is [*Unsupported], as are video and JPEG XL. Bytes that an entropy coder would skip, within the code of a scan, tile or RLE segment, are not seen.
func Strip(syntax *dicom.TransferSyntax, frame []byte) ([]byte, error) {
	var out []byte
	var err error
	switch m := methodOf(syntax.UID); {
	case !syntax.Encapsulated:
		return frame, nil
	case syntax.UID == rleUID:
		out, err = stripRLE(frame)
	case syntax.UID == deflatedUID:
		out, err = stripDeflated(frame)
	case m == methodJPEG || m == methodJPEGLS:
		out, err = stripJPEG(m, frame)
	case m == methodJPEG2000 || m == methodHTJ2K:
		out, err = stripJP2(m, frame)
	default:
		return nil, &Unsupported{"removing text from pixels stored as " + syntax.Name}
	}
	if err != nil {
		return nil, err
	}
	return even(out), nil
}

func stripJPEG(m method, frame []byte) ([]byte, error) {
	all, err := segmentsOf(m, frame)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(frame))
	out = append(out, 0xff, markerSOI)
	for i := range all {
		s, ok, err := all[i].needed(m == methodJPEGLS)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if !s.exact() {
			return nil, &Broken{m.String(), "a segment is longer or shorter than what it says"}
		}
		out = s.append(out)
	}
	return append(out, 0xff, markerEOI), nil
}

// exact reports whether a segment that is needed has no byte that it does not tell.
func (s *segment) exact() bool {
	n := len(s.data)
	switch s.marker {
	case markerSOF0, markerSOF1, markerSOF2, markerSOF3, markerSOF55:
		return n >= 6 && n == 6+3*int(s.data[5])
	case markerSOS:
		return n >= 4 && n == 4+2*int(s.data[0])
	case markerDNL:
		return n == 2
	case markerDRI: // JPEG-LS may have more rows (ISO/IEC 14495-1 C.2.5)
		return n >= 2 && n <= 4
	case markerLSE: // presets alone: tables that samples are looked up in are not supported
		return n == 11 && s.data[0] == 1
	case markerDHT:
		return readHuffman(s.data, new([2][4]*huffman))
	case markerDQT:
		for d := s.data; len(d) > 0; d = d[65+64*int(d[0]>>4):] {
			if d[0]>>4 > 1 || len(d) < 65+64*int(d[0]>>4) {
				return false
			}
		}
	}
	return true
}

// Markers of JPEG 2000 (ISO/IEC 15444-1 table A.2, ISO/IEC 15444-15).
const (
	markerSOC = 0x4f
	markerTLM = 0x55
	markerJ2C = 0x64 // COM
	markerSOT = 0x90
	markerSOD = 0x93
)

// knownJ2K reports whether a marker segment of a JPEG 2000 header is one of numbers alone.
func knownJ2K(marker byte) bool {
	return marker >= 0x50 && marker <= 0x53 || marker >= markerTLM && marker <= 0x59 || marker >= 0x5c && marker <= 0x61 || marker == 0x63
}

// stripJP2 strips a code stream, and the boxes around it if there are any.
func stripJP2(m method, b []byte) ([]byte, error) {
	if codestream(b) != nil && len(b) > 4 && b[0] == 0xff {
		return stripJ2K(m, b)
	}
	broken := &Broken{m.String(), "its boxes cannot be read"}
	var out []byte
	seen := map[string]bool{}
	for len(b) >= 8 {
		kind, body, n := boxOf(b)
		if n == 0 {
			return nil, broken
		}
		b = b[n:]
		var err error
		switch kind {
		case "jP  ":
			if string(body) != "\r\n\x87\n" {
				return nil, broken
			}
		case "ftyp":
			if len(body) < 8 || !slices.Contains([]string{"jp2 ", "jpx ", "jph "}, string(body[:4])) {
				return nil, broken
			}
			body = append(append(bytes.Clone(body[:4]), 0, 0, 0, 0), body[:4]...)
		case "jp2h":
			body, err = stripHeader(body)
		case "jp2c":
			body, err = stripJ2K(m, body)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		if seen[kind] {
			return nil, broken
		}
		seen[kind] = true
		out = appendBox(out, kind, body)
		if kind == "jp2c" {
			if !seen["jP  "] || !seen["ftyp"] || !seen["jp2h"] {
				return nil, broken
			}
			return out, nil
		}
	}
	return nil, broken
}

// boxOf is the box at the beginning of b (ISO/IEC 15444-1 I.4), and how long it is; 0: there is none.
func boxOf(b []byte) (kind string, body []byte, n int) {
	if len(b) < 8 {
		return "", nil, 0
	}
	size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
	switch {
	case size == 1 && len(b) >= 16:
		size, head = binary.BigEndian.Uint64(b[8:]), 16
	case size == 0:
		size = uint64(len(b))
	}
	if size < head || size > uint64(len(b)) {
		return "", nil, 0
	}
	return string(b[4:8]), b[head:size], int(size)
}

func appendBox(b []byte, kind string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(body)))
	b = append(b, kind...)
	return append(b, body...)
}

// stripHeader keeps of a JP2 header what says how samples are to be read. Of a colour profile it says no more than grey or RGB: DICOM has an attribute for profiles.
func stripHeader(b []byte) ([]byte, error) {
	broken := &Broken{"JPEG 2000", "its boxes cannot be read"}
	var out []byte
	colours, components := false, 0
	for len(b) > 0 {
		kind, body, n := boxOf(b)
		if n == 0 {
			return nil, broken
		}
		b = b[n:]
		switch kind {
		case "ihdr":
			if len(body) != 14 {
				return nil, broken
			}
			components = int(binary.BigEndian.Uint16(body[8:]))
		case "bpcc":
			if len(body) != components {
				return nil, broken
			}
		case "colr":
			if colours {
				continue
			}
			colours = true
			if len(body) < 3 || components == 0 {
				return nil, broken
			}
			if body[0] != 1 || len(body) != 7 {
				body = []byte{1, 0, 0, 0, 0, 0, 16}
				if components == 1 {
					body[6] = 17
				}
			}
		case "cdef":
			if len(body) < 2 || len(body) != 2+6*int(binary.BigEndian.Uint16(body)) {
				return nil, broken
			}
		case "pclr", "cmap":
			return nil, &Unsupported{"JPEG 2000 with a palette of its own"}
		default:
			continue
		}
		out = appendBox(out, kind, body)
	}
	return out, nil
}

// stripJ2K copies a code stream without its comments, in the main header and in those of tile-parts, whose lengths are mended.
func stripJ2K(m method, b []byte) ([]byte, error) {
	broken := &Broken{m.String(), "its code stream cannot be read"}
	if len(b) < 4 || b[0] != 0xff || b[1] != markerSOC {
		return nil, broken
	}
	out := make([]byte, 0, len(b))
	out = append(out, 0xff, markerSOC)
	var tables []int // where the tables of tile-part lengths lie in out
	var parts []int  // lengths of the tile-parts
	mended := false
	i := 2
	// header copies segments up to the given marker.
	header := func(end byte, main bool) error {
		for {
			if i+2 > len(b) || b[i] != 0xff {
				return broken
			}
			marker := b[i+1]
			if marker == end {
				return nil
			}
			if i+4 > len(b) {
				return broken
			}
			n := int(binary.BigEndian.Uint16(b[i+2:]))
			if n < 2 || i+2+n > len(b) {
				return broken
			}
			switch {
			case marker == markerJ2C:
				mended = mended || !main
			case !knownJ2K(marker):
				return &Unsupported{m.String() + " with a segment that is not known"}
			default:
				if marker == markerTLM {
					tables = append(tables, len(out))
				}
				out = append(out, b[i:i+2+n]...)
			}
			i += 2 + n
		}
	}
	if err := header(markerSOT, true); err != nil {
		return nil, err
	}
	for {
		if i+2 > len(b) || b[i] != 0xff {
			return nil, broken
		}
		if b[i+1] == markerEOI {
			break
		}
		if i+12 > len(b) || b[i+1] != markerSOT || binary.BigEndian.Uint16(b[i+2:]) != 10 {
			return nil, broken
		}
		from, at := i, len(out)
		size := int64(binary.BigEndian.Uint32(b[i+6:]))
		out = append(out, b[i:i+12]...)
		i += 12
		if err := header(markerSOD, false); err != nil {
			return nil, err
		}
		end := int64(from) + size
		if size == 0 { // the last: up to the end
			end = int64(lastEOC(b))
		}
		if end < int64(i+2) || end > int64(len(b)) {
			return nil, broken
		}
		out = append(out, b[i:end]...)
		i = int(end)
		parts = append(parts, len(out)-at)
		if size != 0 {
			binary.BigEndian.PutUint32(out[at+6:], uint32(len(out)-at))
		}
	}
	if mended && len(tables) > 0 && !mendTables(out, tables, parts) {
		return nil, &Unsupported{m.String() + " with lengths of tile-parts that cannot be mended"}
	}
	return append(out, 0xff, markerEOI), nil
}

// lastEOC is where the last end of a code stream is; -1: there is none.
func lastEOC(b []byte) int { return bytes.LastIndex(b, []byte{0xff, markerEOI}) }

// mendTables writes the lengths of tile-parts into their tables (ISO/IEC 15444-1 A.7.1).
func mendTables(out []byte, tables, parts []int) bool {
	slices.SortStableFunc(tables, func(x, y int) int { return cmp.Compare(out[x+4], out[y+4]) })
	for _, at := range tables {
		n := int(binary.BigEndian.Uint16(out[at+2:])) + 2
		if n < 6 {
			return false
		}
		index, size := int(out[at+5]>>4&3), 2
		if out[at+5]&0x40 != 0 {
			size = 4
		}
		entries := out[at+6 : at+n]
		if index == 3 || len(entries)%(index+size) != 0 {
			return false
		}
		for ; len(entries) > 0; entries = entries[index+size:] {
			if len(parts) == 0 || size == 2 && parts[0] > 1<<16-1 {
				return false
			}
			if size == 2 {
				binary.BigEndian.PutUint16(entries[index:], uint16(parts[0]))
			} else {
				binary.BigEndian.PutUint32(entries[index:], uint32(parts[0]))
			}
			parts = parts[1:]
		}
	}
	return len(parts) == 0
}

// stripRLE copies the segments, without what is between them or behind what the header says.
func stripRLE(b []byte) ([]byte, error) {
	if len(b) < 64 {
		return nil, &Broken{"RLE", "its header is cut short"}
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n < 1 || n > 15 {
		return nil, &Broken{"RLE", "it has no segments, or too many"}
	}
	out := make([]byte, 64, len(b))
	binary.LittleEndian.PutUint32(out, uint32(n))
	for s := range int(n) {
		from, to := int64(binary.LittleEndian.Uint32(b[4+4*s:])), int64(len(b))
		if s+1 < int(n) {
			to = int64(binary.LittleEndian.Uint32(b[8+4*s:]))
		}
		if from < 64 || from > to || to > int64(len(b)) {
			return nil, &Broken{"RLE", "its segments lie outside it, or in another order"}
		}
		binary.LittleEndian.PutUint32(out[4+4*s:], uint32(len(out)))
		out = even(append(out, b[from:to]...))
	}
	return out, nil
}

// stripDeflated cuts what follows the stream.
func stripDeflated(b []byte) ([]byte, error) {
	r := bytes.NewReader(b) // from which no more is read than the stream has
	const most = 4 * 3 * MaxPixels
	n, err := io.CopyN(io.Discard, flate.NewReader(r), most+1)
	if err != io.EOF || n > most {
		return nil, &Broken{"deflate", "its code cannot be read"}
	}
	return bytes.Clone(b[:len(b)-r.Len()]), nil
}
