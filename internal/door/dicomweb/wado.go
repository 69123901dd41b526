package dicomweb

import (
	"archive/zip"
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

// outBuffer is read at a time from the packs: a quarter of a megabyte reads best.
const outBuffer = 256 << 10

var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(io.Discard, outBuffer) }}

// buffered gives a buffer before w. Whatever is written to it before it is full can still become a problem instead.
func buffered(w io.Writer) *bufio.Writer {
	b := writers.Get().(*bufio.Writer)
	b.Reset(w)
	return b
}

func release(b *bufio.Writer) {
	b.Reset(io.Discard)
	writers.Put(b)
}

// objects answers retrievals of a study, a series or an instance (PS3.18 10.4.1.1.1).
func (d *Door) objects(w http.ResponseWriter, r *http.Request) {
	caller, at, err := asked(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	f, plainly, err := objectForm(r, at.SOP != "")
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	var out sink
	buf := buffered(w)
	defer release(buf)
	for o, err := range d.Delivery.Objects(r.Context(), caller, at, policy.ReadPixels) {
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		var file part10
		plain, err := plainly(o.Syntax())
		if err == nil {
			file, err = d.fileOf(r, o, plain)
		}
		if err == nil && out == nil {
			out, err = d.sink(f, w, r, buf, at, file)
		}
		if err == nil && r.Method != http.MethodHead {
			err = out.add(file, o, d.address(r, o))
		}
		o.Close()
		if err != nil {
			web.Fail(w, r, err)
			return
		}
		if r.Method == http.MethodHead {
			return
		}
	}
	if err := out.end(); err != nil {
		web.Fail(w, r, err)
		return
	}
	if err := buf.Flush(); err != nil {
		web.Fail(w, r, err)
	}
}

// part10 is an object as a file.
type part10 struct {
	syntax string
	size   func() (int64, error) // -1: not known before
	write  func(w io.Writer) error
}

// fileOf is the file that an object goes out as: as it is kept, or plain.
func (d *Door) fileOf(r *http.Request, o *delivery.Object, plain bool) (part10, error) {
	if !plain {
		return part10{o.Syntax().UID, o.FileSize, o.WriteFile}, nil
	}
	p, err := d.Delivery.Plain(r.Context(), o)
	if err != nil {
		return part10{}, undecoded("retrieve objects", err)
	}
	return part10{dicom.ExplicitVRLittleEndianUID, func() (int64, error) { return p.FileSize(), nil }, func(w io.Writer) error { return p.WriteFile(r.Context(), w) }}, nil
}

// undecoded tells that what is asked for uncompressed cannot be decoded here.
func undecoded(attempt string, err error) error {
	var reason string
	if e, ok := errors.AsType[*render.Unsupported](err); ok {
		reason = "this node does not decode " + e.Reason
	} else if e, ok := errors.AsType[*render.Broken](err); ok {
		reason = "its pixels cannot be decoded: " + e.Error()
	} else {
		return err
	}
	return notAcceptable(attempt, reason, "Ask for it as it is kept, with transfer-syntax=*.")
}

// sink is one of the forms in which objects go out.
type sink interface {
	add(f part10, o *delivery.Object, at string) error
	end() error
}

func (d *Door) sink(f form, w http.ResponseWriter, r *http.Request, buf *bufio.Writer, at delivery.Place, first part10) (sink, error) {
	h := w.Header()
	private(h)
	h.Set("Vary", "Accept")
	switch f {
	case formZip:
		h.Set("Content-Type", "application/zip")
		h.Set("Content-Disposition", `attachment; filename="images.zip"`)
		return &zipSink{z: zip.NewWriter(buf)}, nil
	case formFile:
		h.Set("Content-Type", "application/dicom; transfer-syntax="+first.syntax)
		h.Set("Content-Disposition", `attachment; filename="`+string(at.SOP)+`.dcm"`)
		return newFileSink(w, r, buf, first)
	}
	m := newMultipartWriter(buf)
	h.Set("Content-Type", m.contentType("application/dicom"))
	return &partSink{m}, nil
}

// fileSink writes the one object alone.
type fileSink struct {
	w      http.ResponseWriter
	buf    *bufio.Writer
	digest bool
}

func newFileSink(w http.ResponseWriter, r *http.Request, buf *bufio.Writer, f part10) (sink, error) {
	s := &fileSink{w: w, buf: buf, digest: wantsDigest(r)}
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	switch {
	case s.digest:
		w.Header().Set("Trailer", "Repr-Digest")
	case size >= 0:
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	return s, nil
}

func (s *fileSink) add(f part10, _ *delivery.Object, _ string) error {
	if !s.digest {
		return f.write(s.buf)
	}
	sum := sha256.New()
	if err := f.write(io.MultiWriter(s.buf, sum)); err != nil {
		return err
	}
	s.w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum.Sum(nil))+":") // RFC 9530 3
	return nil
}

func (s *fileSink) end() error { return nil }

// wantsDigest reads Want-Repr-Digest (RFC 9530 4): sha-256 with a preference other than 0.
func wantsDigest(r *http.Request) bool {
	for _, v := range r.Header.Values("Want-Repr-Digest") {
		for item := range strings.SplitSeq(v, ",") {
			name, preference, _ := strings.Cut(strings.TrimSpace(item), "=")
			if strings.EqualFold(name, "sha-256") && preference != "0" {
				return true
			}
		}
	}
	return false
}

// partSink writes a part for each object (PS3.18 8.6.1.2.1).
type partSink struct{ m *multipartWriter }

func (s *partSink) add(f part10, _ *delivery.Object, at string) error {
	s.m.part("application/dicom; transfer-syntax="+f.syntax, at)
	return f.write(s.m.w)
}

func (s *partSink) end() error { return s.m.end() }

// address is where this very object is retrieved from: in its own collection, whatever root it was asked for at.
func (d *Door) address(r *http.Request, o *delivery.Object) string {
	return d.rootOf(r, o.Collection) + "/studies/" + string(o.Study) + "/series/" + string(o.Series) + "/instances/" + string(o.SOP)
}

// zipSink writes an archive with a folder for each series. Images are stored as they are: compressed ones would not shrink.
type zipSink struct{ z *zip.Writer }

func (s *zipSink) add(f part10, o *delivery.Object, _ string) error {
	entry, err := s.z.CreateHeader(&zip.FileHeader{Name: string(o.Series) + "/" + string(o.SOP) + ".dcm", Method: zip.Store})
	if err != nil {
		return err
	}
	return f.write(entry)
}

func (s *zipSink) end() error { return s.z.Close() }

// multipartWriter writes multipart/related (RFC 2387). Errors stay in the buffered writer until its next use.
type multipartWriter struct {
	w        *bufio.Writer
	boundary string
	parts    int
}

func newMultipartWriter(w *bufio.Writer) *multipartWriter {
	var b [16]byte
	rand.Read(b[:]) // it does not fail
	return &multipartWriter{w: w, boundary: "vitrine-" + hex.EncodeToString(b[:])}
}

func (m *multipartWriter) contentType(inner string) string {
	return `multipart/related; type="` + inner + `"; boundary=` + m.boundary
}

func (m *multipartWriter) part(contentType, location string) {
	end := "\r\n"
	if m.parts == 0 {
		end = ""
	}
	m.parts++
	if location != "" {
		location = "\r\nContent-Location: " + location
	}
	_, _ = m.w.WriteString(end + "--" + m.boundary + "\r\nContent-Type: " + contentType + location + "\r\n\r\n")
}

func (m *multipartWriter) end() error {
	_, err := m.w.WriteString("\r\n--" + m.boundary + "--\r\n")
	return err
}

// metadata answers the metadata of a study, a series or an instance as DICOM JSON or XML (PS3.18 10.4.1.1.2).
func (d *Door) metadata(w http.ResponseWriter, r *http.Request) {
	caller, at, err := asked(r)
	var as modelForm
	if err == nil {
		as, err = modelAs(r, "retrieve metadata", at.SOP != "")
	}
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	buf := buffered(w)
	defer release(buf)
	out := newModelWriter(w, buf, as)
	var text []byte
	for o, err := range d.Delivery.Objects(r.Context(), caller, at, policy.ReadMetadata) {
		if err == nil {
			text, err = appendMetadata(text[:0], o, d.address(r, o), as)
			if err == nil {
				err = out.add(text, d.address(r, o)+"/metadata")
			}
			o.Close()
		}
		if err != nil {
			web.Fail(w, r, err)
			return
		}
	}
	if err := out.end(); err != nil {
		web.Fail(w, r, err)
	}
}

// modelWriter writes data sets one after the other as an array, as parts, or the one alone. Its header is set when the first comes.
type modelWriter struct {
	as    modelForm
	h     http.Header
	buf   *bufio.Writer
	parts *multipartWriter
	n     int
}

func newModelWriter(w http.ResponseWriter, buf *bufio.Writer, as modelForm) *modelWriter {
	return &modelWriter{as: as, h: w.Header(), buf: buf}
}

func (m *modelWriter) begin() {
	private(m.h)
	m.h.Set("Vary", "Accept")
	switch m.as {
	case modelJSON:
		m.h.Set("Content-Type", "application/dicom+json")
	case modelXML:
		m.h.Set("Content-Type", "application/dicom+xml")
	case modelParts:
		m.parts = newMultipartWriter(m.buf)
		m.h.Set("Content-Type", m.parts.contentType("application/dicom+xml"))
	}
}

// add writes one data set; location, where it has one, is its own address.
func (m *modelWriter) add(text []byte, location string) error {
	if m.n++; m.n == 1 {
		m.begin()
	}
	switch {
	case m.as == modelParts:
		m.parts.part("application/dicom+xml", location)
	case m.as == modelJSON && m.n == 1:
		_ = m.buf.WriteByte('[') // errors stay in the buffered writer
	case m.as == modelJSON:
		_ = m.buf.WriteByte(',')
	}
	_, err := m.buf.Write(text)
	return err
}

func (m *modelWriter) end() error {
	if m.n == 0 {
		m.begin()
	}
	var err error
	switch {
	case m.as == modelParts:
		err = m.parts.end()
	case m.as == modelJSON && m.n == 0:
		_, err = m.buf.WriteString("[]")
	case m.as == modelJSON:
		err = m.buf.WriteByte(']')
	}
	if err != nil {
		return err
	}
	return m.buf.Flush()
}

// appendMetadata appends an object's data set in the DICOM JSON or XML model, with addresses for what is bulk.
func appendMetadata(dst []byte, o *delivery.Object, at string, as modelForm) ([]byte, error) {
	data, err := o.Dataset()
	if err != nil {
		return dst, err
	}
	opts := dicom.JSONOptions{BulkURI: func(i int) (string, bool) {
		return at + "/bulkdata/" + elementPath(data, i), true
	}}
	if as == modelJSON {
		return dicom.AppendJSON(dst, data, opts)
	}
	return dicom.AppendXML(dst, data, opts)
}

// elementPath is an element's place as a path: 00400555/1/0040A30A is an element in the first item of a sequence.
func elementPath(d *dicom.Dataset, i int) string {
	var parts []string
	for i != dicom.Root {
		e := d.At(i)
		if e.IsItem() {
			n := 1
			for j := range d.Children(int(e.Parent)) {
				if j == i {
					break
				}
				n++
			}
			parts = append(parts, strconv.Itoa(n))
		} else {
			parts = append(parts, e.Tag.Hex())
		}
		i = int(e.Parent)
	}
	var b strings.Builder
	for k := len(parts) - 1; k >= 0; k-- {
		b.WriteString(parts[k])
		if k > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// elementAt finds what elementPath wrote; -1 if there is none.
func elementAt(d *dicom.Dataset, path string) int {
	at := dicom.Root
	for part := range strings.SplitSeq(path, "/") {
		if at != dicom.Root && d.At(at).IsSequence() {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 {
				return -1
			}
			next := -1
			for j := range d.Children(at) {
				if n--; n == 0 {
					next = j
					break
				}
			}
			if next < 0 {
				return -1
			}
			at = next
			continue
		}
		if at != dicom.Root && !d.At(at).IsItem() || len(part) != 8 {
			return -1
		}
		b, err := hex.DecodeString(part)
		if err != nil {
			return -1
		}
		if at = d.FindIn(at, dicom.Tag(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))); at < 0 {
			return -1
		}
	}
	if at == dicom.Root || d.At(at).IsItem() || d.At(at).IsSequence() {
		return -1
	}
	return at
}
