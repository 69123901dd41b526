package dicomweb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
)

const (
	maxPreamble   = 64 << 10 // bytes before the first boundary
	maxPartHeader = 8 << 10  // bytes of a part's header
	multipartBuf  = 256 << 10
)

// multipartReader reads a multipart body (RFC 2046 5.1) as it comes, a part after the other, with one buffer and no file. It is strict: lines end with
// CR LF, a part ends with a boundary and the body with the closing one; anything else is an error of the body, which stays.
type multipartReader struct {
	r       io.Reader
	buf     []byte
	a, b    int // unread: buf[a:b]
	err     error
	delim   []byte // CR LF, two hyphens, boundary
	begun   bool
	ended   bool
	current *part
}

// part is one part of a multipart body.
type part struct {
	m      *multipartReader
	header textproto.MIMEHeader
	done   bool
}

func broken(reason string) error {
	return web.Refuse(http.StatusBadRequest, "read multipart body", reason, "Send parts of PS3.18 8.6.1.2.1: CR LF, two hyphens, the boundary, CR LF, headers, an empty line, the part; two more hyphens after the last boundary.")
}

// newMultipartReader reads a body whose boundary is given in the parameters of its Content-Type.
func newMultipartReader(r io.Reader, boundary string) (*multipartReader, error) {
	if !validBoundary(boundary) {
		return nil, broken("the Content-Type has no boundary, or one that is none")
	}
	return &multipartReader{r: r, buf: make([]byte, multipartBuf), delim: []byte("\r\n--" + boundary)}, nil
}

// validBoundary follows RFC 2046 5.1.1.
func validBoundary(s string) bool {
	if s == "" || len(s) > 70 || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("'()+_,-./:=? ", c) >= 0) {
			return false
		}
	}
	return true
}

// fill reads more behind what is unread. It returns the error of the body, io.ErrUnexpectedEOF at its end.
func (m *multipartReader) fill() error {
	if m.err != nil {
		return m.err
	}
	if m.a > 0 && (m.a == m.b || len(m.buf)-m.b < len(m.buf)/2) {
		m.b = copy(m.buf, m.buf[m.a:m.b])
		m.a = 0
	}
	if m.b == len(m.buf) {
		return m.fail(broken("a line or header is too long"))
	}
	for range 100 {
		n, err := m.r.Read(m.buf[m.b:])
		m.b += n
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			m.err = err
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return m.fail(err)
		}
	}
	return m.fail(io.ErrNoProgress)
}

func (m *multipartReader) fail(err error) error {
	m.err, m.a, m.b = err, 0, 0
	return err
}

// Next skips what is left of the part before and gives the next one; io.EOF after the closing boundary.
func (m *multipartReader) Next() (*part, error) {
	if m.ended {
		return nil, io.EOF
	}
	if !m.begun {
		if err := m.preamble(); err != nil {
			return nil, err
		}
	} else if _, err := io.Copy(io.Discard, m.current); err != nil {
		return nil, err
	}
	last, err := m.boundaryEnd()
	if err != nil {
		return nil, err
	}
	if last {
		m.ended = true
		return nil, io.EOF // what follows is the epilogue, to be ignored (RFC 2046 5.1.1)
	}
	h, err := m.partHeader()
	if err != nil {
		return nil, err
	}
	m.current = &part{m: m, header: h}
	return m.current, nil
}

// preamble goes behind the first boundary.
func (m *multipartReader) preamble() error {
	m.begun = true
	for skipped := 0; ; {
		// The first boundary may stand at the very beginning.
		if skipped == 0 && m.b-m.a >= len(m.delim)-2 && bytes.HasPrefix(m.buf[m.a:m.b], m.delim[2:]) {
			m.a += len(m.delim) - 2
			return nil
		}
		if i := bytes.Index(m.buf[m.a:m.b], m.delim); i >= 0 && skipped+i <= maxPreamble {
			m.a += i + len(m.delim)
			return nil
		}
		if n := m.b - m.a - len(m.delim); n > 0 {
			m.a += n
			if skipped += n; skipped > maxPreamble {
				return m.fail(broken("the boundary of the Content-Type does not occur"))
			}
		}
		if err := m.fill(); errors.Is(err, io.ErrUnexpectedEOF) {
			return m.fail(broken("the boundary of the Content-Type does not occur"))
		} else if err != nil {
			return err
		}
	}
}

// boundaryEnd reads the rest of a boundary's line; last says that it was the closing one.
func (m *multipartReader) boundaryEnd() (last bool, err error) {
	for {
		rest := m.buf[m.a:m.b]
		if len(rest) >= 2 {
			if rest[0] == '-' && rest[1] == '-' {
				m.a += 2
				return true, nil
			}
			// Transport padding (RFC 2046 5.1.1), then the line's end.
			line := bytes.TrimLeft(rest, " \t")
			if len(line) >= 2 {
				if line[0] != '\r' || line[1] != '\n' {
					return false, m.fail(broken("a boundary is followed by something else than the end of its line"))
				}
				m.a += len(rest) - len(line) + 2
				return false, nil
			}
		}
		if err := m.fill(); err != nil {
			return false, err
		}
	}
}

// partHeader reads the header of a part and the empty line behind it.
func (m *multipartReader) partHeader() (textproto.MIMEHeader, error) {
	h := textproto.MIMEHeader{}
	size := 0
	for {
		i := bytes.Index(m.buf[m.a:m.b], []byte("\r\n"))
		if i < 0 {
			if m.b-m.a > maxPartHeader {
				return nil, m.fail(broken("the header of a part is too long"))
			}
			if err := m.fill(); err != nil {
				return nil, err
			}
			continue
		}
		line := m.buf[m.a : m.a+i]
		m.a += i + 2
		if len(line) == 0 {
			// The empty line's CR LF may be that of a boundary: a part without bytes.
			m.a -= 2
			if m.isBoundary() {
				return h, nil
			}
			if m.err != nil && m.b == 0 {
				return nil, m.err
			}
			m.a += 2
			return h, nil
		}
		if size += len(line) + 2; size > maxPartHeader {
			return nil, m.fail(broken("the header of a part is too long"))
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return nil, m.fail(broken("a line in the header of a part is no header"))
		}
		h.Add(textproto.CanonicalMIMEHeaderKey(string(name)), string(bytes.TrimSpace(value)))
	}
}

// isBoundary reports whether a boundary begins at m.a, reading as much as that takes.
func (m *multipartReader) isBoundary() bool {
	for m.b-m.a < len(m.delim) {
		if !bytes.HasPrefix(m.delim, m.buf[m.a:m.b]) {
			return false
		}
		if m.fill() != nil {
			return false
		}
	}
	return bytes.HasPrefix(m.buf[m.a:m.b], m.delim)
}

// Read gives the bytes of the part; io.EOF at its boundary, io.ErrUnexpectedEOF where the body ends before that.
func (p *part) Read(out []byte) (int, error) {
	m := p.m
	if p.done {
		return 0, io.EOF
	}
	if len(out) == 0 {
		return 0, nil
	}
	for {
		rest := m.buf[m.a:m.b]
		if i := bytes.Index(rest, m.delim); i >= 0 {
			n := copy(out, rest[:i])
			m.a += n
			if n == i {
				m.a += len(m.delim)
				p.done = true
				if n == 0 {
					return 0, io.EOF
				}
			}
			return n, nil
		}
		// What could be the beginning of a boundary waits for more.
		if n := len(rest) - len(m.delim) + 1; n > 0 {
			n = copy(out, rest[:n])
			m.a += n
			return n, nil
		}
		if n := len(rest) - suffixOf(rest, m.delim); n > 0 {
			n = copy(out, rest[:n])
			m.a += n
			return n, nil
		}
		if err := m.fill(); err != nil {
			return 0, err
		}
	}
}

// suffixOf is the length of the longest end of b that begins the delimiter.
func suffixOf(b, delim []byte) int {
	for n := min(len(b), len(delim)-1); n > 0; n-- {
		if bytes.HasPrefix(delim, b[len(b)-n:]) {
			return n
		}
	}
	return 0
}

// mediaType is the media type of the part; empty if it does not say.
func (p *part) mediaType() (string, error) {
	v := p.header.Get("Content-Type")
	if v == "" {
		return "", nil
	}
	t, _, err := mime.ParseMediaType(v)
	if err != nil {
		return "", fmt.Errorf("the part's Content-Type cannot be read")
	}
	return t, nil
}
