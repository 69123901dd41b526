package network

import (
	"io"
	"slices"
)

// DataReader reads the data set of a message, as it comes, from the connection: no goroutine, no spool, no copy kept. What it gives are the bytes that the
// sender gave, in the transfer syntax of the presentation context, without preamble or file meta information. It works until its handler returns.
type DataReader struct {
	c      *wire
	id     byte
	last   bool // the current PDV is the last
	closed bool
	empty  int
	n      int64
	err    error // io.EOF at the end
}

// advance makes the current PDV one with bytes left; io.EOF at the end of the data set.
func (d *DataReader) advance() error {
	if d.closed {
		return ErrReaderClosed
	}
	if d.err != nil {
		return d.err
	}
	for d.c.pdvLeft == 0 {
		if d.last {
			d.err = io.EOF
			return io.EOF
		}
		if err := d.c.nextPDV(); err != nil {
			d.err = within(err)
			return d.err
		}
		switch {
		case d.c.control&controlCommand != 0:
			d.err = violation(AbortUnexpectedParameter, "a command came inside a data set")
		case d.c.pdvID != d.id:
			d.err = violation(AbortUnexpectedParameter, "the presentation context changes inside a message")
		}
		d.last = d.c.control&controlLast != 0
		if d.c.pdvLeft == 0 && !d.last {
			if d.empty++; d.empty > maxEmpty {
				d.err = violation(AbortInvalidParameter, "a data set comes in too many empty pieces")
			}
		}
		if d.err != nil {
			return d.err
		}
	}
	return nil
}

// consumed takes n bytes of payload off the current PDV.
func (d *DataReader) consumed(n int) {
	d.c.pdvLeft -= uint32(n)
	d.n += int64(n)
}

// buffered copies what has been read ahead of the current PDV into p.
func (d *DataReader) buffered(p []byte) int {
	n := min(int(d.c.pdvLeft), d.c.w-d.c.r, len(p))
	copy(p[:n], d.c.in[d.c.r:])
	d.c.r += n
	d.consumed(n)
	return n
}

// Read implements io.Reader. An error other than io.EOF ends the association: the handler may return any status, it will not be sent.
func (d *DataReader) Read(p []byte) (int, error) {
	if err := d.advance(); err != nil || len(p) == 0 {
		return 0, err
	}
	if d.c.r == d.c.w {
		if len(p) >= inBuffer/2 {
			n, err := d.c.read(p[:min(len(p), int(d.c.pdvLeft))])
			if err != nil {
				d.err = err
				return 0, err
			}
			d.consumed(n)
			return n, nil
		}
		if err := d.c.need(1); err != nil {
			d.err = err
			return 0, err
		}
	}
	return d.buffered(p), nil
}

// ReadAll appends the rest of the data set to buf, up to a length of max bytes in all, and returns it. whole tells that the data set ended there; if not,
// Read and ReadAll go on where it stopped. A buffer with enough room (a little more than the data set) is not replaced, and the bytes arrive in it without
// any copy in between; one without grows as the bytes come, never more than one PDU ahead of
// them, whatever a peer announces.
func (d *DataReader) ReadAll(buf []byte, max int) (b []byte, whole bool, err error) {
	c := d.c
	for {
		if err := d.advance(); err == io.EOF {
			return buf, true, nil
		} else if err != nil {
			return buf, false, err
		}
		n := min(int(c.pdvLeft), max-len(buf))
		if n <= 0 {
			return buf, false, nil
		}
		if c.w > c.r {
			buf = grow(buf, min(n, c.w-c.r), max)
			m := d.buffered(buf[len(buf):][:min(n, c.w-c.r)])
			buf = buf[:len(buf)+m]
			continue
		}
		// The header of the next PDV, or of the next PDU with it, comes with the payload where there is one to come.
		extra := 0
		if n == int(c.pdvLeft) && !d.last {
			extra = dataHeader
			if c.pduLeft > 0 {
				extra = pdvHeader
			}
		}
		buf = grow(buf, n+extra, max+dataHeader)
		at := buf[len(buf) : len(buf)+n+extra]
		for got := 0; got < n; {
			m, err := c.read(at[got:])
			if err != nil {
				d.consumed(got)
				d.err = err
				return buf[:len(buf)+got], false, err
			}
			if got += m; got > n {
				c.r, c.w = 0, copy(c.in, at[n:got])
				got = n
			}
		}
		buf = buf[:len(buf)+n]
		d.consumed(n)
	}
}

// grow makes room for n more bytes, doubling, and not beyond max as long as that is enough.
func grow(b []byte, n, max int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	want := len(b) + n
	if double := 2 * cap(b); double > want {
		want = min(double, max)
	}
	if want < len(b)+n {
		want = len(b) + n
	}
	return slices.Grow(b, want-len(b))
}

// BytesRead is how many bytes of the data set have been read so far.
func (d *DataReader) BytesRead() int64 { return d.n }

// discard reads the rest away, at most limit bytes of it.
func (d *DataReader) discard(limit int64) error {
	for {
		if err := d.advance(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := d.c.need(1); err != nil {
			return err
		}
		n := min(int(d.c.pdvLeft), d.c.w-d.c.r)
		d.c.r += n
		d.consumed(n)
		if limit -= int64(n); limit < 0 {
			return &AbortError{Source: AbortByUser, Why: "more was sent of a data set than is read away"}
		}
	}
}
