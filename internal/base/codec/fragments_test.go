package codec

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// Frames lie behind a table of where they begin, an odd one padded; one frame alone, and frames that are too many to wait, lie behind an empty table.
func TestFragments(t *testing.T) {
	write := func(frames ...[]byte) []byte {
		var out bytes.Buffer
		f := NewFragments(&out, len(frames))
		for _, b := range frames {
			if err := f.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	item := func(b []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0x00, 0xE0}, uint32(len(b))), b...)
	}
	backing := []byte("abcX")
	got := write(backing[:3], []byte("de"))
	want := bytes.Join([][]byte{item([]byte{0, 0, 0, 0, 12, 0, 0, 0}), item([]byte("abc\x00")), item([]byte("de"))}, nil)
	if !bytes.Equal(got, want) || backing[3] != 'X' {
		t.Errorf("two frames are %q", got)
	}
	if got := write([]byte("abcd")); !bytes.Equal(got, append(item(nil), item([]byte("abcd"))...)) {
		t.Errorf("one frame is %q", got)
	}
	large := make([]byte, tabled/2+2)
	if got := write(large, large, []byte("ef")); !bytes.Equal(got[:8], item(nil)) || !bytes.Equal(got[len(got)-10:], item([]byte("ef"))) || len(got) != 8+2*(8+len(large))+10 {
		t.Errorf("%d bytes of frames that are too many to wait", len(got))
	}
}
