package plant

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// implicitItem is a sequence's value in implicit VR: an item with one text.
func implicitItem(tag dicom.Tag, v string) []byte {
	if len(v)%2 == 1 {
		v += " "
	}
	return implicitWrap(append(implicitHead(tag, len(v)), v...))
}

// implicitNest is the same with a private sequence that holds the items.
func implicitNest(tag dicom.Tag, items []byte) []byte {
	return implicitWrap(append(implicitHead(tag, len(items)), items...))
}

func implicitHead(tag dicom.Tag, n int) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag.Group())
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

func implicitWrap(elements []byte) []byte {
	return append(binary.LittleEndian.AppendUint32([]byte{0xFE, 0xFF, 0, 0xE0}, uint32(len(elements))), elements...)
}

// privateItems is a sequence's value with one item, in the file's own encoding.
func (m *maker) privateItems(fill func(obj)) []byte {
	raw, err := m.o.Items(func(b *dicom.Builder) { fill(obj{b, m}) })
	if err != nil && m.err == nil {
		m.err = err
	}
	return raw
}

func wide(s string, big bool) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			out = binary.BigEndian.AppendUint16(out, u)
		} else {
			out = binary.LittleEndian.AppendUint16(out, u)
		}
	}
	return out
}

func reversed(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

func fullWidth(digits string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '０'
		}
		return r
	}, digits)
}

func digits(s string) string {
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s), "0")
}
