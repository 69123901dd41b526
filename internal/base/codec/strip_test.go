package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

const secret = "DOE^JANE 1961-03-05"

// planted are versions of a code stream with text in every place where a decoder does not look.
func planted(m method, b []byte) map[string][]byte {
	insert := func(at int, what ...byte) []byte { return slices.Insert(bytes.Clone(b), at, what...) }
	seg := func(marker byte, text string) []byte {
		return (&segment{marker: marker, data: []byte(text)}).append(nil)
	}
	out := map[string][]byte{"behind the end": append(bytes.Clone(b), secret...)}
	switch m {
	case methodJPEG:
		out["JFXX"] = insert(2, seg(markerAPP0, "JFXX\x00\x10"+secret)...)
		out["Exif"] = insert(2, seg(0xe1, "Exif\x00\x00"+secret)...)
		out["thumbnail"] = insert(2, seg(markerAPP0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x02\x02"+secret)...)
		fallthrough
	case methodJPEGLS:
		out["comment"] = insert(2, seg(markerCOM, secret)...)
		out["APP7 after fill"] = insert(2, append([]byte{0xff, 0xff}, seg(0xe7, secret)...)...)
		out["SPIFF"] = insert(2, seg(markerAPP8, "SPIFF\x00"+secret)...)
		out["before the end"] = insert(bytes.LastIndex(b, []byte{0xff, markerEOI}), seg(markerCOM, secret)...)
	case methodJPEG2000, methodHTJ2K:
		code := codestream(b)
		at := len(b) - len(code) + 4 + int(binary.BigEndian.Uint16(code[4:]))
		comment := (&segment{marker: markerJ2C, data: []byte("\x00\x01" + secret)}).append(nil)
		if len(code) == len(b) {
			out["main header"] = insert(at, comment...)
			tile := bytes.Index(b, []byte{0xff, markerSOT, 0, 10})
			v := insert(tile+12, comment...)
			if n := binary.BigEndian.Uint32(v[tile+6:]); n != 0 {
				binary.BigEndian.PutUint32(v[tile+6:], n+uint32(len(comment)))
			}
			out["tile-part header"] = v
			var boxes []byte
			boxes = appendBox(boxes, "jP  ", []byte("\r\n\x87\n"))
			boxes = appendBox(boxes, "ftyp", []byte("jp2 \x00\x00\x00\x00jp2 "+secret+"\x00"))
			boxes = appendBox(boxes, "xml ", []byte(secret))
			s, _ := headerJ2K(b)
			ihdr := binary.BigEndian.AppendUint32(nil, uint32(s.rows))
			ihdr = binary.BigEndian.AppendUint32(ihdr, uint32(s.columns))
			ihdr = binary.BigEndian.AppendUint16(ihdr, uint16(s.samples))
			ihdr = append(ihdr, byte(s.precision-1), 7, 0, 0)
			header := appendBox(nil, "ihdr", ihdr)
			header = appendBox(header, "colr", append([]byte{2, 0, 0}, secret...))
			header = appendBox(header, "res ", []byte(secret))
			boxes = appendBox(boxes, "jp2h", header)
			boxes = appendBox(boxes, "uuid", []byte(secret))
			boxes = appendBox(boxes, "jp2c", bytes.TrimRight(b, "\x00"))
			if m == methodJPEG2000 {
				out["boxes"] = appendBox(boxes, "uuid", []byte(secret))
			}
		}
	}
	return out
}

// Wherever text is put in a real code stream, it is gone, and the samples are the same.
func TestStrip(t *testing.T) {
	pool := testPool(t)
	seen := map[string]int{}
	for _, s := range streams(t) {
		m := methodOf(s.syntax.UID)
		want, err := pool.Decode(t.Context(), s.syntax, s.of, bytes.Clone(s.frame))
		if err != nil {
			continue
		}
		all := planted(m, s.frame)
		all["nothing"] = s.frame
		for where, b := range all {
			name := fmt.Sprintf("%s, %s", s.syntax.Name, where)
			got, err := Strip(s.syntax, bytes.Clone(b))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if bytes.Contains(got, []byte("JANE")) || len(got)%2 != 0 {
				t.Errorf("%s: it is left", name)
			}
			again, err := Strip(s.syntax, bytes.Clone(got))
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("%s: another result the second time: %v", name, err)
			}
			f, err := pool.Decode(t.Context(), s.syntax, s.of, bytes.Clone(got))
			if err != nil || !bytes.Equal(f.Pixels, want.Pixels) || f.Image != want.Image {
				t.Errorf("%s: it is decoded otherwise: %v", name, err)
			}
			seen[m.String()]++
		}
	}
	if len(seen) != 4 {
		t.Errorf("only %v were tried", seen)
	}
	t.Logf("%v", seen)
}

// Every real frame can be stripped and decodes to the same.
func TestStripRealFiles(t *testing.T) {
	root := filepath.Join(testdata.Shared(t), "data")
	pool := testPool(t)
	n, without := 0, 0
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := dicom.Open(path, dicom.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no data set
		}
		defer f.Close()
		if !f.Syntax().Encapsulated {
			return nil
		}
		frames, _ := framesOf(f)
		for _, b := range frames[:min(len(frames), 3)] {
			want, err := pool.Decode(t.Context(), f.Syntax(), imageOf(f.Data), bytes.Clone(b))
			if err != nil {
				break
			}
			got, err := Strip(f.Syntax(), bytes.Clone(b))
			if err != nil {
				t.Errorf("%s: %v", path, err)
				break
			}
			again, err := pool.Decode(t.Context(), f.Syntax(), imageOf(f.Data), bytes.Clone(got))
			if err != nil || !bytes.Equal(again.Pixels, want.Pixels) || again.Image != want.Image {
				t.Errorf("%s: it is decoded otherwise: %v", path, err)
			}
			n++
			if len(got) < len(b)-1 {
				without++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 60 || without < 10 {
		t.Errorf("of %d frames something was removed from %d", n, without)
	}
	t.Logf("of %d frames something was removed from %d", n, without)
}

func TestStripPlain(t *testing.T) {
	rle, _ := dicom.LookupTransferSyntax(rleUID)
	deflated, _ := dicom.LookupTransferSyntax(deflatedUID)
	whole := segments([]byte{0xfd, 1}, []byte{1, 2, 3, 0xff, 4})
	hidden := slices.Insert(bytes.Clone(whole), 64, []byte(secret)...)
	binary.LittleEndian.PutUint32(hidden[4:], uint32(64+len(secret)))
	binary.LittleEndian.PutUint32(hidden[8:], uint32(66+len(secret)))
	copy(hidden[12:], secret)
	got, err := Strip(rle, hidden)
	if err != nil || !bytes.Equal(got, even(whole)) {
		t.Errorf("RLE: %v % x", err, got)
	}
	b := deflate(t, make([]byte, 100))
	if got, err := Strip(deflated, append(bytes.Clone(b), secret...)); err != nil || !bytes.Equal(got[:len(b)-1], b[:len(b)-1]) || bytes.Contains(got, []byte("JANE")) {
		t.Errorf("deflated: %v", err)
	}
	for _, uid := range []string{"1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.110"} {
		syntax, _ := dicom.LookupTransferSyntax(uid)
		if _, err := Strip(syntax, []byte(secret)); err == nil {
			t.Errorf("%s is stripped", syntax.Name)
		}
	}
	// Without an end there is no telling what belongs to the picture.
	r := rand.New(rand.NewPCG(17, 18))
	jpeg, _ := dicom.LookupTransferSyntax(jpegSyntaxes[0xc0])
	frame := pictures()[0].draw(r)
	if _, err := Strip(jpeg, append(frame[:len(frame)-2], secret...)); err == nil {
		t.Error("a code stream without an end is stripped")
	}
}

// Tables of tile-part lengths say what the tile-parts are without their comments.
func TestStripTileParts(t *testing.T) {
	part := func(index byte, data string, text string) []byte {
		b := []byte{0xff, markerSOT, 0, 10, 0, index, 0, 0, 0, 0, 0, 1}
		if text != "" {
			b = (&segment{marker: markerJ2C, data: []byte("\x00\x01" + text)}).append(b)
		}
		b = append(b, 0xff, markerSOD)
		b = append(b, data...)
		binary.BigEndian.PutUint32(b[6:], uint32(len(b)))
		return b
	}
	make2 := func(text string) []byte {
		b := []byte{0xff, markerSOC}
		x, y := part(0, "abc", text), part(1, "defgh", text)
		b = (&segment{marker: markerTLM, data: []byte{0, 0x40, 0, 0, 0, byte(len(x)), 0, 0, 0, byte(len(y))}}).append(b)
		b = append(append(b, x...), y...)
		return append(b, 0xff, markerEOI)
	}
	got, err := stripJ2K(methodHTJ2K, make2(secret))
	if err != nil || !bytes.Equal(got, make2("")) {
		t.Errorf("%v\n% x\n% x", err, got, make2(""))
	}
}

// What is stripped is not longer than it was, and stripping it again changes nothing.
func FuzzStrip(f *testing.F) {
	r := rand.New(rand.NewPCG(19, 20))
	f.Add(pictures()[4].draw(r), uint8(0))
	f.Add(jpegls(), uint8(1))
	f.Add([]byte("\xff\x4f\xff\x64\x00\x05\x00\x01x\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x10\x00\x01\xff\x93ab\xff\xd9"), uint8(2))
	f.Add([]byte("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x08jp2c"), uint8(2))
	f.Add(segments([]byte{0xfd, 1}, []byte{1, 2, 3, 0xff, 4}), uint8(3))
	f.Add(stored([]byte{1, 2, 3}), uint8(4))
	var syntaxes []*dicom.TransferSyntax
	for _, uid := range []string{jpegSyntaxes[0xc0], "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", rleUID, deflatedUID} {
		s, _ := dicom.LookupTransferSyntax(uid)
		syntaxes = append(syntaxes, s)
	}
	f.Fuzz(func(t *testing.T, b []byte, k uint8) {
		syntax := syntaxes[int(k)%len(syntaxes)]
		// Whoever masks reads the same headers.
		_, _ = readLossless(b)
		_ = exactLS(b)
		_, _ = reversible(methodJPEG2000, codestream(b))
		got, err := Strip(syntax, bytes.Clone(b))
		if err != nil {
			return
		}
		if len(got) > len(b)+32 {
			t.Errorf("%d bytes become %d", len(b), len(got))
		}
		again, err := Strip(syntax, bytes.Clone(got))
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("another result the second time: %v", err)
		}
	})
}
