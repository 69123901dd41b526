package deid

import "bytes"

// BulkScanner searches bulk values as they stream by: marker segments, fragments, whatever is there. It keeps what it needs over the bounds of
// writes. It is for one goroutine.
//
// In the entropy-coded part of a compressed image bytes are as good as random, and five letters in either case turn up by chance once in some ten
// gigabytes for each term. There a term counts from seven bytes on, or within readable text; in headers, comments and documents every term does.
type BulkScanner struct {
	m       *Matcher
	hit     bool
	entropy bool // after a start of scan or of tile data, before the next start of image
	buf     []byte
	carried int // bytes of buf that were there before
}

// NewBulkScanner begins a scan.
func (m *Matcher) NewBulkScanner() *BulkScanner { return &BulkScanner{m: m} }

// Hit reports whether an identifier was found.
func (s *BulkScanner) Hit() bool { return s.hit }

const (
	entropySize = 7  // bytes of a term that count in entropy-coded data
	readableRun = 16 // printable bytes in a row that are text, not chance
	uidRun      = 20 // digits and points in a row that are a UID
	uidDots     = 4
	scanSize    = 32 << 10
)

// Write searches p. It never fails.
func (s *BulkScanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !s.hit {
		k := min(len(p), scanSize)
		s.buf = append(s.buf[:s.carried], p[:k]...)
		s.scan()
		// What a term, with the text around it, may have begun in.
		keep := min(len(s.buf), 2*s.m.longest+4*uidRun)
		copy(s.buf, s.buf[len(s.buf)-keep:])
		s.carried = keep
		p = p[k:]
	}
	return n, nil
}

// scan searches what has been added to the buffer, and what was carried over together with it.
func (s *BulkScanner) scan() {
	b, m := s.buf, s.m
	mark := max(s.carried-1, 0) // a marker may lie across the bound
	i, state := 0, uint32(0)
	for {
		var p int32
		i, p, state = m.find(b, i, state)
		if p < 0 {
			break
		}
		pat := &m.pattern[p]
		start := pat.begin(b, i)
		switch {
		case pat.kind == TermDate:
			continue
		case pat.size >= entropySize && i > s.carried, readable(b, start, i):
			s.hit = true
			return
		case i > s.carried:
			mark = s.markers(mark, start)
			if !s.entropy {
				s.hit = true
				return
			}
		}
	}
	s.markers(mark, len(b))
	for i := uidRun - 1; i < len(b); i += uidRun {
		if !uidByte(b[i]) {
			continue
		}
		lo, hi := i, i
		for lo > 0 && uidByte(b[lo-1]) {
			lo--
		}
		for hi < len(b) && uidByte(b[hi]) {
			hi++
		}
		if hi-lo >= uidRun && bytes.Count(b[lo:hi], []byte{'.'}) >= uidDots {
			s.hit = true
			return
		}
	}
}

// markers follows the markers of JPEG, JPEG-LS and JPEG 2000 within [from,to), and returns where to go on.
func (s *BulkScanner) markers(from, to int) int {
	for from+1 < to {
		k := bytes.IndexByte(s.buf[from:to-1], 0xFF)
		if k < 0 {
			return max(from, to-1)
		}
		from += k + 1
		switch c := s.buf[from]; {
		case c == 0xDA, c == 0x93: // SOS; SOD
			s.entropy = true
		case c == 0xD8, c == 0x4F, c == 0x51, c == 0xFE, c >= 0xE0 && c <= 0xEF: // SOI; SOC, SIZ; COM, APPn
			s.entropy = false
		}
	}
	return from
}

// readable reports printable text of some length around [start,end).
func readable(b []byte, start, end int) bool {
	for start > 0 && printable(b[start-1]) {
		start--
	}
	for end < len(b) && printable(b[end]) {
		end++
	}
	return end-start >= readableRun
}

func printable(c byte) bool { return c >= 0x20 && c < 0x7F }

// Reason is what a hit means for the object.
func (s *BulkScanner) Reason(where string) Reason {
	return Reason{CodeGate, where, "an identifier of the subject, or an original UID, stands in the bulk value"}
}
