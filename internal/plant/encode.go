package plant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// An Encode makes a code stream of one monochrome frame of 8 or 16 bits, little endian.
type Encode func(rows, cols, bits int, raw []byte) ([]byte, error)

// An Encoder is one that may be at hand.
type Encoder struct {
	Syntax  string
	Program string // what it needs; empty if nothing
	Encode  Encode // nil if the program is absent
}

// Encoders are those that the kinds of object want.
type Encoders []Encoder

func (e Encoders) of(syntax string) Encode {
	for _, x := range e {
		if x.Syntax == syntax {
			return x.Encode
		}
	}
	return nil
}

// Installed are the encoders of this machine: JPEG baseline and RLE are made here, the others by DCMTK's and GDCM's programs.
func Installed() Encoders {
	out := Encoders{{Syntax: "RLE", Encode: rle}, {Syntax: "JPEG baseline", Encode: baseline}}
	for _, t := range []struct {
		syntax, program string
		args            []string
	}{
		{"JPEG lossless", "dcmcjpeg", []string{"+e1"}},
		{"JPEG-LS", "dcmcjpls", nil},
		{"JPEG 2000", "gdcmconv", []string{"--j2k"}},
	} {
		e := Encoder{Syntax: t.syntax, Program: t.program}
		if path, err := exec.LookPath(t.program); err == nil {
			e.Encode = func(rows, cols, bits int, raw []byte) ([]byte, error) {
				return external(path, t.args, rows, cols, bits, raw)
			}
		}
		out = append(out, e)
	}
	return out
}

// external has a program encode a secondary capture.
func external(program string, args []string, rows, cols, bits int, raw []byte) (_ []byte, err error) {
	dir, err := os.MkdirTemp("", "vitrine-plant-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
	b.String(dicom.TagSOPClassUID, storage+"7")
	for i, t := range []dicom.Tag{dicom.TagSOPInstanceUID, dicom.TagStudyInstanceUID, dicom.TagSeriesInstanceUID} {
		b.String(t, fmt.Sprintf("2.25.%d", i+1))
	}
	b.Ints(dicom.TagSamplesPerPixel, 1)
	b.String(dicom.TagPhotometricInterpretation, "MONOCHROME2")
	b.Ints(dicom.TagRows, rows)
	b.Ints(dicom.TagColumns, cols)
	b.Ints(dicom.TagBitsAllocated, bits)
	b.Ints(dicom.TagBitsStored, bits)
	b.Ints(dicom.TagHighBit, bits-1)
	b.Ints(dicom.TagPixelRepresentation, 0)
	vr := dicom.VROW
	if bits == 8 {
		vr = dicom.VROB
	}
	b.Raw(dicom.TagPixelData, vr, raw)
	d, err := b.Dataset()
	if err != nil {
		return nil, err
	}
	meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: storage + "7", SOPInstanceUID: "2.25.1", TransferSyntaxUID: dicom.ExplicitVRLittleEndianUID, ImplementationClassUID: "2.25.9"})
	if err != nil {
		return nil, err
	}
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	file := append(append(append(make([]byte, 128), "DICM"...), meta.Bytes()...), d.Bytes()...)
	if err := os.WriteFile(in, file, 0o600); err != nil {
		return nil, err
	}
	if said, err := exec.CommandContext(context.Background(), program, append(args, in, out)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, said)
	}
	enc, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	f, err := dicom.Parse(enc, dicom.DefaultLimits)
	if err != nil {
		return nil, err
	}
	i := f.Data.PixelData()
	if i < 0 || !f.Data.IsBulk(i) {
		return nil, errors.New("the encoded file has no pixel data")
	}
	value, err := io.ReadAll(f.Bulk(i))
	if err != nil {
		return nil, err
	}
	return fragments(value), nil
}

// fragments joins the fragments of an encapsulated value behind its offset table (PS3.5 A.4).
func fragments(v []byte) []byte {
	var out []byte
	for n := 0; len(v) >= 8; n++ {
		size := int(binary.LittleEndian.Uint32(v[4:]))
		if v[0] != 0xFE || v[2] != 0x00 || size < 0 || size > len(v)-8 {
			break
		}
		if n > 0 {
			out = append(out, v[8:8+size]...)
		}
		v = v[8+size:]
	}
	return out
}

// baseline is JPEG with loss, of 8 bits.
func baseline(rows, cols, bits int, raw []byte) ([]byte, error) {
	if bits != 8 {
		return nil, errors.New("baseline JPEG has 8 bits")
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, &image.Gray{Pix: raw, Stride: cols, Rect: image.Rect(0, 0, cols, rows)}, &jpeg.Options{Quality: 90})
	return b.Bytes(), err
}

// rle is PS3.5 Annex G without repeats: literal runs alone, a segment for each byte of a sample, the most significant first.
func rle(_, _, bits int, raw []byte) ([]byte, error) {
	head := make([]byte, 64)
	n := bits / 8
	binary.LittleEndian.PutUint32(head, uint32(n))
	out := head
	for s := range n {
		binary.LittleEndian.PutUint32(out[4+4*s:], uint32(len(out)))
		var plane []byte
		for i := n - 1 - s; i < len(raw); i += n {
			plane = append(plane, raw[i])
		}
		for len(plane) > 0 {
			k := min(128, len(plane))
			out = append(append(out, byte(k-1)), plane[:k]...)
			plane = plane[k:]
		}
		if len(out)%2 == 1 {
			out = append(out, 0x80) // no operation
		}
	}
	return out, nil
}

// entropy is what of a code stream is pixels alone: of JPEG and JPEG-LS all behind the first start of scan, of JPEG 2000 behind the first start of data. Fill before
// the end, which differs from writer to writer, does not count.
func entropy(b []byte) []byte {
	b = bytes.TrimRight(b, "\x00")
	switch {
	case bytes.HasPrefix(b, []byte{0xFF, 0xD8}):
		if i := bytes.Index(b, []byte{0xFF, 0xDA}); i >= 0 {
			b = b[i:]
			if k := bytes.LastIndex(b, []byte{0xFF, 0xD9}); k >= 0 {
				b = bytes.TrimRight(b[:k], "\xff")
			}
			return b
		}
	case bytes.HasPrefix(b, []byte{0xFF, 0x4F}):
		if i := bytes.Index(b, []byte{0xFF, 0x93}); i >= 0 {
			return b[i:]
		}
	}
	return b
}

func sum[T string | []byte](b T) [32]byte { return sha256.Sum256([]byte(b)) }
