package render

import (
	"encoding/binary"
	"math"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// table is a lookup table (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5): what is below or above it gets its first or last entry.
type table struct {
	first  int64
	top    uint16 // the largest value that an entry can have
	values []uint16
}

func (t *table) at(v int64) uint16 {
	return t.values[min(max(v-t.first, 0), int64(len(t.values)-1))]
}

// descriptor are the number of entries, the first value mapped and the bits of an entry.
func descriptor(d *dicom.Dataset, i int, signed bool) (n int, first int64, bits int, ok bool) {
	desc := d.Ints(i)
	if len(desc) != 3 {
		return 0, 0, 0, false
	}
	n, bits = int(desc[0]&0xffff), int(desc[2])
	if n == 0 {
		n = 1 << 16
	}
	// The value representation says whether the first value has a sign; in implicit VR only the pixels can.
	if first = desc[1] & 0xffff; signed {
		first = int64(int16(first))
	}
	return n, first, bits, bits >= 1 && bits <= 16
}

// readLUT reads the first table of a sequence; nil if there is none.
func readLUT(d *dicom.Dataset, parent int, sequence dicom.Tag, signed bool) (*table, error) {
	s := d.FindIn(parent, sequence)
	if s < 0 {
		return nil, nil
	}
	item := nth(d, s, 0)
	if item < 0 {
		return nil, nil
	}
	broken := &Broken{Reason: "its lookup table does not describe itself"}
	i, j := d.FindIn(item, dicom.TagLUTDescriptor), d.FindIn(item, dicom.TagLUTData)
	if i < 0 || j < 0 {
		return nil, broken
	}
	n, first, bits, ok := descriptor(d, i, signed)
	if !ok {
		return nil, broken
	}
	t := &table{first: first}
	if t.values, ok = entries(d, j, n, bits); !ok {
		return nil, broken
	}
	t.top = topOf(t.values, bits)
	return t, nil
}

// topOf is the largest value that entries of so many bits can have. Some writers call them of 16 bits whatever they hold; then it is that of the bits they use.
func topOf(values []uint16, bits int) uint16 {
	most := uint16(0)
	for _, v := range values {
		most = max(most, v)
	}
	top := uint16(1<<bits - 1)
	if bits < 16 {
		return max(top, most)
	}
	for top>>1 >= most && top > 255 {
		top >>= 1
	}
	return top
}

// entries are the values of a table: words, or bytes where entries of up to eight bits are packed so.
func entries(d *dicom.Dataset, j, n, bits int) ([]uint16, bool) {
	v := d.Value(j)
	if len(v) >= 2*n {
		return wordsOf(d, j, 2*n), true
	}
	if bits > 8 || len(v) < n {
		return nil, false
	}
	out := make([]uint16, n)
	for i, b := range v[:n] {
		out[i] = uint16(b)
	}
	return out, true
}

func wordsOf(d *dicom.Dataset, j, length int) []uint16 {
	v := d.Value(j)[:length]
	var order binary.ByteOrder = binary.LittleEndian
	if d.At(j).BigEndian() {
		order = binary.BigEndian
	}
	out := make([]uint16, len(v)/2)
	for i := range out {
		out[i] = order.Uint16(v[2*i:])
	}
	return out
}

// readPalette reads the three tables of PALETTE COLOR, plain or segmented.
func (a *Attributes) readPalette(d *dicom.Dataset) error {
	broken := &Broken{Reason: "its palette does not describe itself"}
	a.palette = &[3]table{}
	for k, t := range [3][3]dicom.Tag{
		{dicom.TagRedPaletteColorLookupTableDescriptor, dicom.TagRedPaletteColorLookupTableData, dicom.TagSegmentedRedPaletteColorLookupTableData},
		{dicom.TagGreenPaletteColorLookupTableDescriptor, dicom.TagGreenPaletteColorLookupTableData, dicom.TagSegmentedGreenPaletteColorLookupTableData},
		{dicom.TagBluePaletteColorLookupTableDescriptor, dicom.TagBluePaletteColorLookupTableData, dicom.TagSegmentedBluePaletteColorLookupTableData},
	} {
		i := d.Find(t[0])
		if i < 0 {
			return broken
		}
		n, first, bits, ok := descriptor(d, i, a.Signed)
		if !ok {
			return broken
		}
		tab := table{first: first}
		if j := d.Find(t[1]); j >= 0 {
			tab.values, ok = entries(d, j, n, bits)
		} else if j = d.Find(t[2]); j >= 0 {
			tab.values, ok = segmented(d, j, n, bits)
		} else {
			ok = false
		}
		if !ok {
			return broken
		}
		tab.top = 1<<bits - 1
		a.palette[k] = tab
	}
	// Entries that are called of 16 bits, and of which none has more than eight, are bytes.
	small := true
	for _, t := range a.palette {
		small = small && topOf(t.values, 16) == 255
	}
	for k := range a.palette {
		if small && a.palette[k].top > 255 {
			a.palette[k].top = 255
		}
	}
	return nil
}

// Kinds of segments (PS3.3 C.7.9.2.1).
const (
	discreteSegment = iota
	linearSegment
	indirectSegment
)

// segmented expands a palette that is told in segments (PS3.3 C.7.9.2): entries one by one, straight lines to an entry, and segments that were there before. Its
// numbers are of the entries' size, 8 or 16 bits.
func segmented(d *dicom.Dataset, j, n, bits int) ([]uint16, bool) {
	var code []uint16
	if v := d.Value(j); bits > 8 {
		code = wordsOf(d, j, len(v)&^1)
	} else {
		for _, b := range v {
			code = append(code, uint16(b))
		}
	}
	s := segments{code: code, word: 1, n: n}
	if bits > 8 {
		s.word = 2
	}
	for at := 0; at < len(code) && len(s.out) < n; {
		next, ok := s.expand(at, true)
		if !ok {
			return nil, false
		}
		at = next
	}
	return s.out, len(s.out) == n
}

type segments struct {
	code []uint16
	word int // bytes of a number
	n    int
	out  []uint16
}

// expand appends what the segment at a place stands for, and gives the place behind it. An indirect segment must not lead to another.
func (s *segments) expand(at int, indirect bool) (int, bool) {
	c := s.code[at:]
	if len(c) < 2 {
		return 0, false
	}
	length := int(c[1])
	switch c[0] {
	case discreteSegment:
		if len(c) < 2+length || len(s.out)+length > s.n {
			return 0, false
		}
		s.out = append(s.out, c[2:2+length]...)
		return at + 2 + length, true
	case linearSegment:
		if len(c) < 3 || len(s.out)+length > s.n || len(s.out) == 0 {
			return 0, false
		}
		from, to := float64(s.out[len(s.out)-1]), float64(c[2])
		for i := 1; i <= length; i++ {
			s.out = append(s.out, uint16(math.Round(from+(to-from)*float64(i)/float64(length))))
		}
		return at + 3, true
	case indirectSegment:
		// The place is in bytes, its lower half first: two words, or four bytes.
		size := 4 / s.word
		if !indirect || len(c) < 2+size {
			return 0, false
		}
		place := 0
		for i := range size {
			place |= int(c[2+i]) << (8 * s.word * i)
		}
		place /= s.word
		for range length {
			if place >= len(s.code) {
				return 0, false
			}
			next, ok := s.expand(place, false)
			if !ok {
				return 0, false
			}
			place = next
		}
		return at + 2 + size, true
	}
	return 0, false
}
