package video

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// maxIndex bounds the index of an MPEG-4 file, in bytes.
const maxIndex = 64 << 20

// box is a box of the file (ISO/IEC 14496-12 4.2).
type box struct {
	kind     string
	at, size int64 // with its head
	head     int64
}

// boxes lists those of v[from:to].
func boxes(v io.ReaderAt, from, to int64) ([]box, error) {
	var all []box
	for at := from; at+8 <= to; {
		var h [16]byte
		if n, err := v.ReadAt(h[:min(16, to-at)], at); err != nil && !(errors.Is(err, io.EOF) && n >= 8) {
			return nil, err
		}
		b := box{kind: string(h[4:8]), at: at, size: int64(binary.BigEndian.Uint32(h[:])), head: 8}
		switch b.size {
		case 0:
			b.size = to - at
		case 1:
			if at+16 > to {
				return nil, &Broken{"its boxes contradict each other"}
			}
			big := binary.BigEndian.Uint64(h[8:])
			if big > uint64(to-at) {
				return nil, &Broken{"its boxes contradict each other"}
			}
			b.size, b.head = int64(big), 16
		}
		if b.size < b.head || b.size > to-at {
			if len(all) > 0 && b.kind == "mdat" { // it was cut short
				b.size = to - at
			} else {
				return nil, &Broken{"its boxes contradict each other"}
			}
		}
		if all = append(all, b); len(all) > 100_000 {
			return nil, &Broken{"it has more boxes than are read"}
		}
		at += b.size
	}
	return all, nil
}

// inOrder is an MPEG-4 file with its index first, whose places are mended: so it can be read through a pipe, though recorders write the index at the end.
func inOrder(v io.ReaderAt, size int64) (io.Reader, error) {
	all, err := boxes(v, 0, size)
	if err != nil {
		return nil, err
	}
	index, data := -1, -1
	for k, b := range all {
		switch b.kind {
		case "moov":
			index = k
		case "mdat":
			if data < 0 {
				data = k
			}
		}
	}
	whole := io.NewSectionReader(v, 0, size)
	if index < 0 || data < 0 || index < data {
		return whole, nil
	}
	m := all[index]
	if m.size > maxIndex {
		return nil, &Broken{"its index is larger than is read"}
	}
	moov := make([]byte, m.size)
	if _, err := v.ReadAt(moov, m.at); err != nil {
		return nil, err
	}
	// What lies between the first data and the index moves back by the size of the index.
	first := all[data].at
	if err := shift(moov, m.head, m.size, first, m.at, m.size, 0); err != nil {
		return nil, err
	}
	return io.MultiReader(io.NewSectionReader(v, 0, first), bytes.NewReader(moov), io.NewSectionReader(v, first, m.at-first), io.NewSectionReader(v, m.at+m.size, size-m.at-m.size)), nil
}

// shift adds by to the places in moov[from:to] that lie in [low, high).
func shift(moov []byte, from, to, low, high, by int64, depth int) error {
	if depth > 8 {
		return &Broken{"its boxes lie within each other too deep"}
	}
	all, err := boxes(bytes.NewReader(moov[:to]), from, to)
	if err != nil {
		return err
	}
	for _, b := range all {
		body := moov[b.at+b.head : b.at+b.size]
		switch b.kind {
		case "trak", "mdia", "minf", "stbl":
			if err := shift(moov, b.at+b.head, b.at+b.size, low, high, by, depth+1); err != nil {
				return err
			}
		case "stco", "co64": // ISO/IEC 14496-12 8.7.5
			wide := 4
			if b.kind == "co64" {
				wide = 8
			}
			if len(body) < 8 {
				return &Broken{"its index contradicts itself"}
			}
			n := int64(binary.BigEndian.Uint32(body[4:]))
			if n*int64(wide) > int64(len(body)-8) {
				return &Broken{"its index contradicts itself"}
			}
			for k := range n {
				p := body[8+k*int64(wide):]
				if wide == 8 {
					if at := int64(binary.BigEndian.Uint64(p)); at >= low && at < high {
						binary.BigEndian.PutUint64(p, uint64(at+by))
					}
				} else if at := int64(binary.BigEndian.Uint32(p)); at >= low && at < high {
					if at+by > 1<<32-1 {
						return &Broken{"its index is at the end, and places would not fit into it"}
					}
					binary.BigEndian.PutUint32(p, uint32(at+by))
				}
			}
		}
	}
	return nil
}
