package codec

import (
	"bytes"
	"io"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Stripped is the pixel data of an encapsulated image without what carries no picture ([Strip]): a basic offset table, and one fragment a frame (PS3.5 A.4). It is
// made while it is read, a frame at a time.
type Stripped struct {
	Size int64 // bytes of the value: fragments with their headers, without the delimiter

	syntax *dicom.TransferSyntax
	frames *dicom.Frames
	sizes  []uint32 // of the fragments
}

// StripPixels reads every frame and says what the pixel data becomes; nil if [Strip] changes none. Errors are those of Strip, and of finding and reading frames.
func StripPixels(syntax *dicom.TransferSyntax, frames *dicom.Frames) (*Stripped, error) {
	if !frames.Encapsulated() {
		return nil, nil
	}
	s := &Stripped{syntax: syntax, frames: frames}
	changed := false
	for k := range frames.Count() {
		stored, clean, err := s.frame(k)
		if err != nil {
			return nil, err
		}
		changed = changed || !bytes.Equal(stored, clean)
		s.sizes = append(s.sizes, uint32(len(clean)))
		s.Size += itemHead + int64(len(clean))
	}
	if !changed {
		return nil, nil
	}
	s.Size += itemHead + int64(len(offsetTable(s.sizes)))
	return s, nil
}

func (s *Stripped) frame(k int) (stored, clean []byte, err error) {
	f, err := s.frames.Open(k)
	if err != nil {
		return nil, nil, err
	}
	if f.Size > maxCode {
		return nil, nil, &Unsupported{"a frame of this size"}
	}
	stored = make([]byte, f.Size)
	if _, err := io.ReadFull(f, stored); err != nil {
		return nil, nil, err
	}
	clean, err = Strip(s.syntax, stored)
	return stored, clean, err
}

// Reader reads the value from its start.
func (s *Stripped) Reader() io.Reader { return &strippedReader{s: s, next: -1} }

type strippedReader struct {
	s    *Stripped
	next int // frame; -1: the offset table
	buf  []byte
}

func (r *strippedReader) Read(p []byte) (int, error) {
	for len(r.buf) == 0 {
		if r.next == len(r.s.sizes) {
			return 0, io.EOF
		}
		b := offsetTable(r.s.sizes)
		if r.next >= 0 {
			var err error
			if _, b, err = r.s.frame(r.next); err != nil {
				return 0, err
			}
		}
		r.next++
		r.buf = append(appendItem(nil, len(b)), b...)
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}
