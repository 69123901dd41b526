package codec

import "math/bits"

// huffman is a table of Huffman codes of JPEG (ISO/IEC 10918-1 Annex C): how many codes there are of each length, and their symbols in the order of their codes.
type huffman struct {
	counts  [16]uint8
	symbols []byte

	fast   [1 << fastBits]uint16 // length and symbol of short codes; 0: longer, or none
	most   [16]int32             // the greatest code of each length; -1: none
	first  [16]int32             // where the symbols of a length begin, less the length's first code
	code   [256]uint16           // of a symbol
	length [256]uint8            // of its code; 0: it has none
}

const fastBits = 9

// newHuffman makes the table; nil if there cannot be such.
func newHuffman(counts [16]uint8, symbols []byte) *huffman {
	h := &huffman{counts: counts, symbols: symbols}
	code, k := 0, 0
	for n := range 16 {
		h.most[n], h.first[n] = -1, int32(k-code)
		for range counts[n] {
			if k >= len(symbols) || code >= 1<<(n+1) {
				return nil
			}
			s := symbols[k]
			if h.length[s] != 0 {
				return nil // twice
			}
			h.code[s], h.length[s] = uint16(code), uint8(n+1)
			h.most[n] = int32(code)
			if n < fastBits {
				shift := fastBits - 1 - n
				for i := range 1 << shift {
					h.fast[code<<shift+i] = uint16(n+1)<<8 | uint16(s)
				}
			}
			code++
			k++
		}
		code <<= 1
	}
	if k != len(symbols) {
		return nil
	}
	return h
}

// optimal is a table for symbols that come so often (ISO/IEC 10918-1 K.2): codes of at most 16 bits, none of ones alone.
func optimal(often *[256]int) *huffman {
	var freq [257]int
	copy(freq[:], often[:])
	freq[256] = 1 // takes the code of ones alone
	var size [257]int
	var others [257]int
	for i := range others {
		others[i] = -1
	}
	for {
		a, b := -1, -1
		for i, f := range freq {
			switch {
			case f == 0:
			case a < 0 || f <= freq[a]:
				a, b = i, a
			case b < 0 || f <= freq[b]:
				b = i
			}
		}
		if b < 0 {
			break
		}
		freq[a] += freq[b]
		freq[b] = 0
		for size[a]++; others[a] >= 0; size[a]++ {
			a = others[a]
		}
		others[a] = b
		for size[b]++; others[b] >= 0; size[b]++ {
			b = others[b]
		}
	}
	var n [258]int
	for _, s := range size {
		n[s]++
	}
	n[0] = 0
	for i := len(n) - 1; i > 16; i-- {
		for n[i] > 0 {
			j := i - 2
			for n[j] == 0 {
				j--
			}
			n[i] -= 2
			n[i-1]++
			n[j+1] += 2
			n[j]--
		}
	}
	last := 16
	for n[last] == 0 {
		last--
	}
	n[last]-- // the code of ones alone
	var counts [16]uint8
	for i := range counts {
		counts[i] = uint8(n[i+1])
	}
	var symbols []byte
	for s := 1; s < 257; s++ {
		for i, v := range size[:256] {
			if v == s {
				symbols = append(symbols, byte(i))
			}
		}
	}
	return newHuffman(counts, symbols)
}

// append writes the table as the payload of a DHT segment.
func (h *huffman) append(b []byte, class, slot byte) []byte {
	b = append(b, class<<4|slot)
	b = append(b, h.counts[:]...)
	return append(b, h.symbols...)
}

// same reports whether both give every symbol the same code.
func (h *huffman) same(o *huffman) bool {
	return h == o || h != nil && o != nil && h.counts == o.counts && string(h.symbols) == string(o.symbols)
}

// readHuffman reads a DHT segment into tables by class and slot.
func readHuffman(data []byte, tables *[2][4]*huffman) bool {
	for len(data) > 0 {
		if len(data) < 17 || data[0]>>4 > 1 || data[0]&15 > 3 {
			return false
		}
		var counts [16]uint8
		n := 0
		for i := range counts {
			counts[i] = data[1+i]
			n += int(counts[i])
		}
		if n > 256 || len(data) < 17+n {
			return false
		}
		h := newHuffman(counts, data[17:17+n])
		if h == nil {
			return false
		}
		tables[data[0]>>4][data[0]&15] = h
		data = data[17+n:]
	}
	return true
}

// bitReader reads the code between two markers. What is read beyond its end are zeros, and over is set.
type bitReader struct {
	b    []byte // what is left, with stuffed bytes
	acc  uint64 // the next bits, the first in its highest
	n    int    // how many
	over bool
}

func (r *bitReader) fill() {
	for r.n <= 56 {
		if len(r.b) == 0 {
			return
		}
		v := r.b[0]
		if v == 0xff { // and a zero
			if len(r.b) < 2 {
				r.b = nil
				return
			}
			r.b = r.b[2:]
		} else {
			r.b = r.b[1:]
		}
		r.acc |= uint64(v) << (56 - r.n)
		r.n += 8
	}
}

// bits reads up to 16.
func (r *bitReader) bits(n int) uint32 {
	if r.n < n {
		r.fill()
		if r.n < n {
			r.over = true
			r.n = n
		}
	}
	v := uint32(r.acc >> (64 - n))
	r.acc <<= n
	r.n -= n
	return v
}

// symbol reads a code; ok is false if there is none.
func (r *bitReader) symbol(h *huffman) (s byte, ok bool) {
	if r.n < 16 {
		r.fill()
	}
	if f := h.fast[r.acc>>(64-fastBits)]; f != 0 {
		n := int(f >> 8)
		if r.n < n {
			r.over = true
			return 0, false
		}
		r.acc <<= n
		r.n -= n
		return byte(f), true
	}
	for n := fastBits; n < 16; n++ {
		if code := int32(r.acc >> (63 - n)); code <= h.most[n] {
			if r.n < n+1 {
				break
			}
			r.acc <<= n + 1
			r.n -= n + 1
			return h.symbols[h.first[n]+code], true
		}
	}
	r.over = r.n < 16
	return 0, false
}

// extended reads a value of n bits (ISO/IEC 10918-1 F.2.2.1).
func (r *bitReader) extended(n int) int {
	if n == 0 {
		return 0
	}
	v := int(r.bits(n))
	if v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v
}

// category is the number of bits that a value has (ISO/IEC 10918-1 F.1.2.1).
func category(v int) int {
	if v < 0 {
		v = -v
	}
	return bits.Len(uint(v))
}

// bitWriter writes code, stuffing bytes.
type bitWriter struct {
	b   []byte
	acc uint64 // what is not written yet, in its lowest bits
	n   int
}

// put writes the lowest n bits, at most 32.
func (w *bitWriter) put(v uint32, n int) {
	w.acc = w.acc<<n | uint64(v)&(1<<n-1)
	w.n += n
	for w.n >= 8 {
		w.n -= 8
		v := byte(w.acc >> w.n)
		w.b = append(w.b, v)
		if v == 0xff {
			w.b = append(w.b, 0)
		}
	}
}

// value writes the bits that follow a category.
func (w *bitWriter) value(v, n int) {
	if v < 0 {
		v--
	}
	w.put(uint32(v), n)
}

// end fills the last byte with ones.
func (w *bitWriter) end() {
	if w.n > 0 {
		w.put(1<<(8-w.n)-1, 8-w.n)
	}
}
