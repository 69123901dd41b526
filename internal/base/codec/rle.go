package codec

import "encoding/binary"

// unpackRLE undoes RLE (PS3.5 Annex G): a header of segments, each a byte of a sample of all pixels, the most significant first, packed by PackBits. The
// result has its samples plane by plane, words in little endian. Of single bits the one segment holds eight pixels in a byte.
func unpackRLE(b []byte, of Image) ([]byte, error) {
	broken := func(why string) ([]byte, error) { return nil, &Broken{"RLE", why} }
	word := max(1, of.Allocated/8)
	segments, n := word*of.Samples, of.Rows*of.Columns
	if of.Allocated == 1 {
		n = (n + 7) / 8
	}
	if len(b) < 64 {
		return broken("its header is cut short")
	}
	if int64(binary.LittleEndian.Uint32(b)) != int64(segments) {
		return broken("it has another number of segments than its samples have bytes")
	}
	// A byte of code makes at most 64 of pixels: what cannot hold the image is not given memory.
	if len(b)*64 < n*segments {
		return broken("its code is shorter than its pixels can be")
	}
	out := make([]byte, n*segments)
	for s := range segments {
		from, to := int64(binary.LittleEndian.Uint32(b[4+4*s:])), int64(len(b))
		if s+1 < segments {
			to = int64(binary.LittleEndian.Uint32(b[8+4*s:]))
		}
		if from < 64 || from > to || to > int64(len(b)) {
			return broken("its segments lie outside it, or in another order")
		}
		// Segment s is byte s%word of sample s/word, counted from the most significant.
		if !unpackBits(out[(s/word)*n*word+word-1-s%word:], n, word, b[from:to]) {
			return broken("a segment ends before its pixels do")
		}
	}
	return out, nil
}

// unpackBits writes n bytes, each step after the other. What a last run has too many is dropped, as other readers do.
func unpackBits(out []byte, n, step int, code []byte) bool {
	at := 0
	for i := 0; i < len(code) && at < n; {
		c := int(int8(code[i]))
		i++
		switch {
		case c >= 0:
			if i+c+1 > len(code) {
				return false
			}
			for _, v := range code[i : i+min(c+1, n-at)] {
				out[at*step] = v
				at++
			}
			i += c + 1
		case c > -128:
			if i == len(code) {
				return false
			}
			for range min(1-c, n-at) {
				out[at*step] = code[i]
				at++
			}
			i++
		}
	}
	return at == n
}
