package endtoend

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

var le = binary.LittleEndian

// mutants are files that somebody broke: n of them, made of the given ones, and those that were thought of one by one. The seed decides everything.
func mutants(t testing.TB, seed uint64, n int, from []*image) []*image {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 500))
	var all []*image
	ways := []func(*rand.Rand, []byte, *dicom.Dataset) []byte{flip, cut, lengthField, twice, swapVR, absurd, noise, join}
	for k := 0; len(all) < n; k++ {
		i := from[rnd.IntN(len(from))]
		d, err := dicom.ParseDataset(i.data, explicit(i.syntax), dicom.Limits{})
		if err != nil {
			continue
		}
		b := bytes.Clone(i.data)
		for range 1 + rnd.IntN(3) {
			b = ways[rnd.IntN(len(ways))](rnd, b, d)
		}
		if len(b)%2 == 1 {
			b = append(b, 0)
		}
		all = append(all, i.with(fmt.Sprintf("mutant %d of %s", k, i.name), b))
	}
	return append(all, thought(t)...)
}

func explicit(uid string) *dicom.TransferSyntax {
	ts, _ := dicom.LookupTransferSyntax(uid)
	return ts
}

// with is the image with another data set, in a file and for a message.
func (i *image) with(name string, data []byte) *image {
	j := *i
	j.name, j.data = name, data
	j.file = append(bytes.Clone(i.file[:len(i.file)-len(i.data)]), data...)
	return &j
}

func flip(rnd *rand.Rand, b []byte, _ *dicom.Dataset) []byte {
	for range 1 + rnd.IntN(20) {
		if len(b) > 0 {
			b[rnd.IntN(min(len(b), 4000))] ^= 1 << rnd.IntN(8) // where the header is
		}
	}
	return b
}

func cut(rnd *rand.Rand, b []byte, _ *dicom.Dataset) []byte { return b[:rnd.IntN(len(b)+1)] }

// lengthField puts a length that lies into an element.
func lengthField(rnd *rand.Rand, b []byte, d *dicom.Dataset) []byte {
	e := d.At(rnd.IntN(d.Len()))
	v := [...]uint32{0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, e.Length + 1, e.Length + 2, e.Length - 2, uint32(rnd.Uint64())}[rnd.IntN(10)]
	at := int(e.ValueStart)
	if at < 4 || at > len(b) {
		return b
	}
	if e.VR.LongLength() || !d.Syntax().Explicit {
		le.PutUint32(b[at-4:], v)
	} else {
		le.PutUint16(b[at-2:], uint16(v))
	}
	return b
}

func twice(rnd *rand.Rand, b []byte, d *dicom.Dataset) []byte {
	e := d.At(rnd.IntN(d.Len()))
	if int(e.End) > len(b) || e.End-e.Start > 1<<20 {
		return b
	}
	return bytes.Join([][]byte{b[:e.End], b[e.Start:e.End], b[e.End:]}, nil)
}

func swapVR(rnd *rand.Rand, b []byte, d *dicom.Dataset) []byte {
	at := int(d.At(rnd.IntN(d.Len())).Start) + 4
	if d.Syntax().Explicit && at+2 <= len(b) {
		copy(b[at:], [...]string{"SQ", "UN", "OB", "PN", "US", "FD", "AT", "UT", "ZZ", "\x00\x00"}[rnd.IntN(10)])
	}
	return b
}

// absurd says that the image is of another size, or cut otherwise, than it is.
func absurd(rnd *rand.Rand, b []byte, d *dicom.Dataset) []byte {
	for _, tag := range []dicom.Tag{dicom.TagRows, dicom.TagColumns, dicom.TagBitsAllocated, dicom.TagSamplesPerPixel} {
		if i := d.Find(tag); i >= 0 && rnd.IntN(2) == 0 {
			if e := d.At(i); int(e.ValueEnd) <= len(b) && e.ValueEnd-e.ValueStart == 2 {
				le.PutUint16(b[e.ValueStart:], uint16([...]int{0, 1, 0xFFFF, 0x8000}[rnd.IntN(4)]))
			}
		}
	}
	return b
}

func noise(rnd *rand.Rand, b []byte, _ *dicom.Dataset) []byte {
	if len(b) == 0 {
		return b
	}
	at := rnd.IntN(len(b))
	for i := at; i < min(at+64, len(b)); i++ {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// join puts one half behind the other.
func join(rnd *rand.Rand, b []byte, _ *dicom.Dataset) []byte {
	if len(b) < 2 {
		return b
	}
	at := rnd.IntN(len(b))
	return append(bytes.Clone(b[at:]), b[:at]...)
}

// thought are files that attack something in particular.
func thought(t testing.TB) []*image {
	t.Helper()
	in, err := sample.SmallSet(900).Instance(3)
	if err != nil {
		t.Fatal(err)
	}
	base := generated("", in)
	head := base.data[:bytes.Index(base.data, []byte{0xE0, 0x7F, 0x10, 0, 'O', 'W'})]
	explicitElement := func(tag uint32, vr string, length uint32, value []byte) []byte {
		b := le.AppendUint16(le.AppendUint16(nil, uint16(tag>>16)), uint16(tag))
		b = append(b, vr[0], vr[1], 0, 0)
		return append(le.AppendUint32(b, length), value...)
	}
	item := func(length uint32) []byte { return le.AppendUint32([]byte{0xFE, 0xFF, 0, 0xE0}, length) }
	nested := func(depth int) []byte { // undefined lengths all the way down, and ended properly
		var b []byte
		for range depth {
			b = append(b, explicitElement(0x0040A730, "SQ", 0xFFFFFFFF, item(0xFFFFFFFF))...)
		}
		for range depth {
			b = append(b, 0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0)
		}
		return b
	}
	defined := func(depth int) []byte {
		var b []byte
		for range depth {
			b = append(item(uint32(len(b))), b...)
			b = explicitElement(0x0040A730, "SQ", uint32(len(b)), b)
		}
		return b
	}
	plain := func(name string, more ...[]byte) *image {
		return base.with(name, bytes.Join(append([][]byte{head}, more...), nil))
	}
	pixel := func(length uint32, value ...byte) []byte { return explicitElement(0x7FE00010, "OB", length, value) }
	tiny := bytes.Repeat(append(item(8), explicitElement(0x00080100, "UT", 0, nil)[:8]...), 300_000)
	all := []*image{
		plain("2,000 sequences deep", nested(2000)), plain("2,000 sequences deep, their lengths defined", defined(2000)), plain("60,000 sequences deep", nested(60_000)),
		plain("2,000 sequences deep and cut", nested(2000)[:2000*15]),
		plain("pixels of 4 GiB that are not there", pixel(0xFFFFFFFE, 1, 2, 3, 4)), plain("a text of 4 GiB", explicitElement(0x4FFE0001, "UT", 0xFFFFFFFE, []byte("some"))),
		plain("pixels without an end", pixel(0xFFFFFFFF, item(0xFFFFFFFE)...)), plain("fragments without an end", pixel(0xFFFFFFFF, append(item(0), item(4)...)...)),
		plain("a fragment that is no item", pixel(0xFFFFFFFF, 0x10, 0, 0x10, 0, 4, 0, 0, 0, 1, 2, 3, 4)), plain("300,000 items", explicitElement(0x0040A730, "SQ", uint32(len(tiny)), tiny)),
		plain("items that say they are longer than their sequence", explicitElement(0x0040A730, "SQ", 8, item(0x7FFFFFFE))),
		plain("an odd length", explicitElement(0x00104000, "UT", 3, []byte("abc")), []byte{0}), plain("an ending that nothing began", []byte{0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0}),
		plain("a file of its own inside", explicitElement(0x7FE00010, "OB", uint32(len(base.file)), base.file)), base.with("nothing", []byte{}), base.with("zeros", make([]byte, 100_000)),
	}
	// Deflate bombs: a gigabyte of zeros as padding, and one of elements.
	bomb := func(name string, unit []byte, total int) *image {
		var z bytes.Buffer
		w, err := flate.NewWriter(&z, 9)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(head)
		for n := 0; n < total; n += len(unit) {
			_, _ = w.Write(unit)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		data := z.Bytes()
		if len(data)%2 == 1 {
			data = append(data, 0)
		}
		meta, err := dicom.NewMeta(dicom.MetaInfo{SOPClassUID: base.class, SOPInstanceUID: base.sop, TransferSyntaxUID: deflated, ImplementationClassUID: "2.25.1"})
		if err != nil {
			t.Fatal(err)
		}
		file := append(append(append(make([]byte, 128), "DICM"...), meta.Bytes()...), data...)
		j := *base
		j.name, j.file, j.data, j.syntax = name, file, data, deflated
		return &j
	}
	gigabyte := 256 << 20
	return append(all, bomb("a deflate bomb of pixels", append(pixel(0xFFFFFFF0), make([]byte, 1<<20)...), gigabyte), bomb("a deflate bomb of zeros", make([]byte, 1<<20), gigabyte),
		bomb("a deflate bomb of elements", bytes.Repeat(explicitElement(0x4FFE0001, "UT", 4, []byte("some")), 50_000), gigabyte))
}
