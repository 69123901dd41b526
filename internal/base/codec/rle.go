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

// packRLE is the opposite of unpackRLE; ok is false if the code does not fit its header's offsets.
func packRLE(of Image, pixels []byte) (code []byte, ok bool) {
	word := max(1, of.Allocated/8)
	n, columns := of.Rows*of.Columns, of.Columns
	if of.Allocated == 1 { // rows do not begin with a byte
		n = (n + 7) / 8
		columns = n
	}
	segments := word * of.Samples
	code = make([]byte, 64, 64+len(pixels)/2)
	binary.LittleEndian.PutUint32(code, uint32(segments))
	row := make([]byte, columns)
	for s := range segments {
		if int64(len(code)) > 1<<32-1 {
			return nil, false
		}
		binary.LittleEndian.PutUint32(code[4+4*s:], uint32(len(code)))
		from := pixels[(s/word)*n*word+word-1-s%word:]
		for at := 0; at < n; at += columns { // each row by itself (PS3.5 G.3.1)
			for x := range row {
				row[x] = from[(at+x)*word]
			}
			code = packBits(code, row)
		}
		code = even(code)
	}
	return code, true
}

// packBits appends runs of three and more as such, and what lies between them as it is.
func packBits(code, b []byte) []byte {
	plain := 0 // where what is to be copied begins
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && n < 128 && b[i+n] == b[i] {
			n++
		}
		if n >= 3 || n == 2 && plain == i {
			code = packPlain(code, b[plain:i])
			code = append(code, byte(1-n), b[i])
			plain = i + n
		}
		i += n
	}
	return packPlain(code, b[plain:])
}

func packPlain(code, b []byte) []byte {
	for len(b) > 0 {
		n := min(len(b), 128)
		code = append(code, byte(n-1))
		code = append(code, b[:n]...)
		b = b[n:]
	}
	return code
}
