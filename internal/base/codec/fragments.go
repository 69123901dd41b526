package codec

import (
	"encoding/binary"
	"io"
)

// Fragments writes frames of encapsulated pixel data, one fragment each (PS3.5 A.4), behind a basic offset table where there are several and all of them together are small
// enough to wait for it; behind an empty one otherwise, which is as valid. It does not write the delimiter at the end.
type Fragments struct {
	w       io.Writer
	frames  int
	held    [][]byte // that wait for the table
	waiting int64    // bytes of them
	begun   bool     // the table has been written
}

// tabled is the most that is held back to write a table before it, in bytes.
const tabled = 32 << 20

// NewFragments writes so many frames to w.
func NewFragments(w io.Writer, frames int) *Fragments { return &Fragments{w: w, frames: frames} }

// Add writes the next frame, or holds it back: its bytes are not changed, and must not be until Close. One of an odd number is padded.
func (f *Fragments) Add(frame []byte) error {
	frame = even(frame[:len(frame):len(frame)])
	if !f.begun && f.frames > 1 {
		f.held, f.waiting = append(f.held, frame), f.waiting+int64(len(frame))
		if f.waiting <= tabled {
			return nil
		}
		return f.begin(nil)
	}
	if !f.begun {
		if err := f.begin(nil); err != nil {
			return err
		}
	}
	return f.item(frame)
}

// Close writes what waits, with the table of where it begins.
func (f *Fragments) Close() error {
	if f.begun {
		return nil
	}
	sizes := make([]uint32, len(f.held))
	for i, b := range f.held {
		sizes[i] = uint32(len(b))
	}
	return f.begin(offsetTable(sizes))
}

func (f *Fragments) begin(table []byte) error {
	f.begun = true
	if err := f.item(table); err != nil {
		return err
	}
	for _, b := range f.held {
		if err := f.item(b); err != nil {
			return err
		}
	}
	f.held = nil
	return nil
}

func (f *Fragments) item(b []byte) error {
	if _, err := f.w.Write(appendItem(nil, len(b))); err != nil {
		return err
	}
	_, err := f.w.Write(b)
	return err
}

// itemHead is the length of an item's head.
const itemHead = 8

// appendItem appends the head of an item of n bytes.
func appendItem(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(append(b, 0xFE, 0xFF, 0x00, 0xE0), uint32(n))
}

// offsetTable is a basic offset table of fragments of these sizes; empty for one, and where an offset does not fit it.
func offsetTable(sizes []uint32) []byte {
	if len(sizes) < 2 {
		return nil
	}
	var b []byte
	at := uint64(0)
	for _, n := range sizes {
		if at >= 1<<32 {
			return nil
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += itemHead + uint64(n)
	}
	return b
}
