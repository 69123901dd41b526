package render

import "encoding/binary"

// unpackRLE undoes RLE (PS3.5 Annex G): a header of segments, each a byte of a sample of all pixels, the most significant first, packed by PackBits. The
// result has its samples plane by plane, words in little endian.
func unpackRLE(b []byte, a Attributes) ([]byte, error) {
	broken := &Broken{"its run-length code cannot be read"}
	if a.Allocated%8 != 0 {
		return nil, &Unsupported{"run-length code of single bits"}
	}
	word := a.Allocated / 8
	want := word * a.Samples
	if len(b) < 64 || int(binary.LittleEndian.Uint32(b)) != want {
		return nil, broken
	}
	n := a.Rows * a.Columns
	out := make([]byte, n*want)
	for s := range want {
		from := int(binary.LittleEndian.Uint32(b[4+4*s:]))
		to := len(b)
		if s+1 < want {
			to = int(binary.LittleEndian.Uint32(b[8+4*s:]))
		}
		if from < 64 || from > to || to > len(b) {
			return nil, broken
		}
		// Segment s is byte s%word of sample s/word, counted from the most significant.
		base, step := (s/word)*n*word+word-1-s%word, word
		at := 0
		put := func(v byte) bool {
			if at == n {
				return false
			}
			out[base+at*step] = v
			at++
			return true
		}
		seg := b[from:to]
		for i := 0; i < len(seg) && at < n; {
			c := int(int8(seg[i]))
			i++
			switch {
			case c >= 0:
				if i+c+1 > len(seg) {
					return nil, broken
				}
				for _, v := range seg[i : i+c+1] {
					put(v)
				}
				i += c + 1
			case c > -128:
				if i == len(seg) {
					return nil, broken
				}
				for range 1 - c {
					put(seg[i])
				}
				i++
			}
		}
		if at < n {
			return nil, broken
		}
	}
	return out, nil
}
