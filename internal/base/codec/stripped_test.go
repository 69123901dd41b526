package codec

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Comments of every frame are gone, and each frame is found again by the table.
func TestStripPixels(t *testing.T) {
	ts, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.50")
	segment := func(marker byte, payload string) []byte {
		return append([]byte{0xFF, marker, byte((len(payload) + 2) >> 8), byte(len(payload) + 2)}, payload...)
	}
	stream := func(comment string) []byte {
		b := []byte{0xFF, 0xD8}
		if comment != "" {
			b = append(b, segment(0xFE, comment)...)
		}
		b = append(b, segment(0xDB, "\x00"+string(bytes.Repeat([]byte{1}, 64)))...)
		b = append(b, segment(0xC0, "\x08\x00\x08\x00\x08\x01\x01\x11\x00")...)
		b = append(b, segment(0xC4, "\x00"+string(append([]byte{1}, make([]byte, 15)...))+"\x00")...)
		b = append(b, segment(0xC4, "\x10"+string(append([]byte{1}, make([]byte, 15)...))+"\x00")...)
		b = append(b, segment(0xDA, "\x01\x01\x00\x00\x3F\x00")...)
		b = append(b, 0x3F, 0xFF, 0xD9)
		if len(b)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	item := func(b []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0x00, 0xE0}, uint32(len(b))), b...)
	}
	frames := func(value []byte, n int) *dicom.Frames {
		b := dicom.NewBuilder(ts)
		b.Ints(dicom.TagNumberOfFrames, n)
		b.Ints(dicom.TagRows, 8)
		b.Ints(dicom.TagColumns, 8)
		b.Fragments(dicom.TagPixelData, nil, []byte{0, 0})
		ds, err := b.Dataset()
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.NewFrames(ds, bytes.NewReader(value), int64(len(value)))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	value := bytes.Join([][]byte{item(nil), item(stream("HOLLOWAY^JANE")), item(stream("")), item(stream("seen by Holloway"))}, nil)
	s, err := StripPixels(ts, frames(value, 3))
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	got, err := io.ReadAll(s.Reader())
	if err != nil || int64(len(got)) != s.Size {
		t.Fatalf("%d bytes of %d: %v", len(got), s.Size, err)
	}
	if bytes.Contains(bytes.ToUpper(got), []byte("HOLLOWAY")) {
		t.Error("a comment is left")
	}
	again := frames(got, 3)
	for k := range 3 {
		f, err := again.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(b, stream("")) {
			t.Errorf("frame %d is another: %v", k, err)
		}
	}
	if s, err := StripPixels(ts, again); s != nil || err != nil {
		t.Errorf("stripped again it changes: %v, %v", s, err)
	}
}
