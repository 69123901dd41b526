package codec

import "encoding/binary"

// ClearUnused clears the bits of native pixels that belong to no sample: above High Bit, and below Bits Stored. Old images keep overlays there (PS3.5 8.1.2), and
// whatever a device left. Every sample keeps its value. Above High Bit an unsigned sample has zeros; of signed ones everything is left if all of them have zeros there, or all
// repeat their sign, and otherwise all are made to repeat it. It gives the number of words that were changed. pixels are words in the given byte order; of what is no image (see
// [Image.Check]) nothing is changed.
func ClearUnused(of Image, pixels []byte, bigEndian bool) (changed int) {
	if of.Check() != nil || of.Allocated == 1 || of.Stored == of.Allocated {
		return 0
	}
	size := of.Allocated / 8
	get := func(b []byte) uint32 { return uint32(b[0]) }
	put := func(b []byte, v uint32) { b[0] = byte(v) }
	var order binary.ByteOrder = binary.LittleEndian
	if bigEndian {
		order = binary.BigEndian
	}
	switch size {
	case 2:
		get = func(b []byte) uint32 { return uint32(order.Uint16(b)) }
		put = func(b []byte, v uint32) { order.PutUint16(b, uint16(v)) }
	case 4:
		get, put = order.Uint32, order.PutUint32
	}
	all := uint32(1<<of.Allocated - 1)
	above := all &^ uint32(1<<(of.HighBit+1)-1)
	below := uint32(1<<(of.HighBit+1-of.Stored) - 1)
	sign := uint32(1) << of.HighBit
	each := func(fn func(b []byte)) {
		for b := pixels; len(b) >= size; b = b[size:] {
			fn(b)
		}
	}
	extend := false // signs are to be repeated
	if of.Signed && above != 0 {
		zeros, signs := true, true
		each(func(b []byte) {
			v := get(b)
			zeros = zeros && v&above == 0
			signs = signs && v&above == above*(v>>of.HighBit&1)
		})
		extend = !zeros && !signs
		if !extend {
			above = 0
		}
	}
	each(func(b []byte) {
		v := get(b)
		w := v &^ (above | below)
		if extend && v&sign != 0 {
			w |= above
		}
		if w != v {
			put(b, w)
			changed++
		}
	})
	return changed
}
