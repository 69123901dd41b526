package document

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// Work is the child process: it reads one document from in, and answers on out. cache is a folder for compiled code; empty: none.
//
// Whoever starts it kills it when it takes too long. For the case that nobody is left to do so, it also ends itself.
func Work(ctx context.Context, in io.Reader, out io.Writer, cache string) error {
	confine()
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > 4<<10 {
		return errors.New("this is not a request")
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(in, head); err != nil {
		return err
	}
	var q request
	if err := json.Unmarshal(head, &q); err != nil || q.Size < 0 || q.Size > MaxSize {
		return errors.New("this is not a request")
	}
	late := time.AfterFunc(time.Duration(q.Limit)*time.Millisecond+5*time.Second, func() { os.Exit(1) })
	defer late.Stop()
	doc := make([]byte, q.Size)
	if _, err := io.ReadFull(in, doc); err != nil {
		return err
	}
	body, err := answer(ctx, &q, doc, cache, func() error { _, err := out.Write([]byte{begun}); return err })
	kind := answered
	if err != nil {
		b, ok := errors.AsType[*Broken](err)
		if !ok {
			return err
		}
		kind, body = declined, []byte(b.Reason)
	}
	if _, err := out.Write(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(body)))); err != nil {
		return err
	}
	_, err = out.Write(body)
	return err
}

func answer(ctx context.Context, q *request, doc []byte, cache string, begins func() error) ([]byte, error) {
	kind := KindOf(doc)
	var lib *library
	if kind == PDF {
		var err error
		if lib, err = loadPDFium(ctx, cache); err != nil {
			return nil, err
		}
	}
	if err := begins(); err != nil {
		return nil, err
	}
	if q.Page > 0 {
		switch kind {
		case PDF:
			return lib.draw(doc, q.Page, q.Within)
		case JPEG, PNG:
			return drawPicture(doc, q.Page, q.Within)
		}
		return nil, &Broken{whyNoPage}
	}
	c := Contents{Kind: kind}
	var err error
	switch kind {
	case PDF:
		err = c.readPDF(lib, doc)
	case CDA, XML:
		c.readXML(doc)
	case STL:
		c.readSTL(doc)
	case OBJ, MTL:
		c.readOBJ(doc)
	case JPEG, PNG:
		err = c.readPicture(doc)
	case HL7, Text:
		c.passage(Passage{Text: asText(doc)})
	default:
		c.remark(remarkUnknown)
	}
	if err != nil {
		return nil, err
	}
	c.bound()
	return json.Marshal(c)
}

// KindOf tells what a document is by its bytes.
func KindOf(doc []byte) Kind {
	doc = bytes.TrimRight(doc, "\x00")
	head := doc[:min(len(doc), 4096)]
	if i := bytes.Index(head[:min(len(head), 1024)], []byte("%PDF-")); i >= 0 {
		return PDF
	}
	trimmed := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return JPEG
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case bytes.HasPrefix(trimmed, []byte("MSH|")):
		return HL7
	case bytes.HasPrefix(trimmed, []byte("<")), bytes.HasPrefix(head, []byte("\xff\xfe<\x00")), bytes.HasPrefix(head, []byte("\xfe\xff\x00<")):
		if bytes.Contains(head, []byte("ClinicalDocument")) || bytes.Contains(bytes.ReplaceAll(head, []byte{0}, nil), []byte("ClinicalDocument")) {
			return CDA
		}
		return XML
	case binarySTL(doc) > 0 || bytes.HasPrefix(trimmed, []byte("solid")) && bytes.Contains(head, []byte("facet")):
		return STL
	}
	if !isText(head) {
		return Unknown
	}
	return linesOf(head)
}

// linesOf tells Wavefront's two formats from other text, by what their first lines begin with.
func linesOf(head []byte) Kind {
	var vertices, materials, lines int
	for line := range strings.Lines(string(head)) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		lines++
		switch f[0] {
		case "v", "vn", "vt", "f", "o", "g", "mtllib", "usemtl":
			vertices++
		case "newmtl", "Ka", "Kd", "Ks", "Ns", "Ni", "d", "illum", "map_Kd":
			materials++
		}
	}
	switch {
	case lines == 0:
		return Text
	case 2*vertices > lines:
		return OBJ
	case 2*materials > lines:
		return MTL
	}
	return Text
}

// isText reports bytes of which nearly all are text, in UTF-8 or an encoding of single bytes.
func isText(b []byte) bool {
	odd := 0
	for _, c := range b {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' || c == 0x7f {
			odd++
		}
	}
	return len(b) > 0 && odd*100 <= len(b)
}

// asText reads UTF-8, or else an encoding of single bytes in which letters beyond ASCII are Latin ones.
func asText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
		if s.Len() > maxText {
			break
		}
	}
	return s.String()
}

// fact adds what a document says of itself.
func (c *Contents) fact(name, value string) {
	if value = strings.TrimSpace(value); value != "" && len(c.Facts) < maxFacts {
		value, _ = plain(value, maxValue)
		c.Facts = append(c.Facts, Fact{name, value})
	}
}

// passage adds text.
func (c *Contents) passage(p Passage) {
	if len(c.Passages) >= maxPassages {
		c.remark(remarkMore)
		return
	}
	var cut bool
	p.Text, cut = plain(strings.TrimSpace(p.Text), maxPassage)
	p.Cut = p.Cut || cut
	if p.Text != "" {
		c.Passages = append(c.Passages, p)
	}
}

// remark adds a sentence, once.
func (c *Contents) remark(s string) {
	for _, r := range c.Remarks {
		if r == s {
			return
		}
	}
	c.Remarks = append(c.Remarks, s)
}

// What a reader is told.
const (
	remarkUnknown   = "It is of no kind that is read here: nothing of it is shown."
	remarkMore      = "It has more text than is shown here."
	remarkScript    = "It has scripts. They are not run."
	remarkFiles     = "It has other files within it. They are not opened."
	remarkRevised   = "It was changed after it was written: what earlier versions said may still be in it, and is not shown."
	remarkNoText    = "Some of its pages have no text, as scanned ones have: read their pictures."
	remarkForm      = "It has a form: what was filled in is in the pictures of its pages."
	remarkEmbedded  = "Its body is another document, which is not opened."
	remarkTruncated = "It ends in the middle, or breaks the rules of its format: what is shown is what could be read."
	remarkTextures  = "It names files of pictures, which may show a person. They came apart from it."
	remarkComments  = "It has comments or application data beside its picture."
	remarkUnpage    = "Some of its pages could not be read."
)

var remarks = []string{remarkUnknown, remarkMore, remarkScript, remarkFiles, remarkRevised, remarkNoText, remarkForm, remarkEmbedded, remarkTruncated, remarkTextures, remarkComments, remarkUnpage}
