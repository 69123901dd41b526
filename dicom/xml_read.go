package dicom

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// FromXML reads one data set of the Native DICOM Model (PS3.19 A.1) into explicit VR little endian; bulk and limits are those of [FromJSON], and so is what becomes of
// text, group lengths and group 0002. Private elements that name their creator lie in its block, which is made where there is none. Document types and entities of the
// text's own are errors.
func FromXML(r io.Reader, lim Limits, bulk func(uri string) ([]byte, error)) (*Dataset, error) {
	lim = lim.withDefaults()
	in := &io.LimitedReader{R: r, N: int64(lim.HeadBytes) + 1}
	p := &xmlReader{modelReader: modelReader{op: "xml", in: in, lim: lim, bulk: bulk}, dec: xml.NewDecoder(&tagLimit{r: in})}
	p.dec.CharsetReader = func(charset string, r io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "us-ascii") {
			return r, nil
		}
		return nil, p.fail(ErrMalformed, "the text is not UTF-8")
	}
	p.offset = p.dec.InputOffset
	start, err := p.next()
	if err != nil {
		return nil, err
	}
	if start == nil || start.Name.Local != "NativeDicomModel" {
		return nil, p.fail(ErrMalformed, "the text is no NativeDicomModel")
	}
	elems, err := p.object(0)
	if err != nil {
		return nil, err
	}
	for {
		t, err := p.dec.Token()
		if err == io.EOF {
			break
		}
		switch t := t.(type) {
		case xml.Comment, xml.ProcInst:
			continue
		case xml.CharData:
			if strings.TrimSpace(string(t)) == "" {
				continue
			}
		}
		return nil, p.fail(ErrMalformed, "something follows the data set")
	}
	return p.finish(elems)
}

// maxEquals bounds the signs of equality between two signs of a tag's beginning, and so the attributes of a tag: a decoder holds all of them at once.
const maxEquals = 64 << 10

// tagLimit reads XML and ends where a tag has attributes without end.
type tagLimit struct {
	r io.Reader
	n int
}

func (l *tagLimit) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for _, c := range p[:n] {
		switch c {
		case '<': // stands in no attribute (XML 1.0 2.3)
			l.n = 0
		case '=':
			if l.n++; l.n > maxEquals {
				return 0, &Error{Op: "xml", Offset: -1, Reason: "a tag with too many attributes", Kind: ErrTooLarge}
			}
		}
	}
	return n, err
}

type xmlReader struct {
	modelReader
	dec   *xml.Decoder
	chars strings.Builder // between the tags that next passed
}

// next is the next start tag, or nil at an end tag; p.chars is the text before it.
func (p *xmlReader) next() (*xml.StartElement, error) {
	p.chars.Reset()
	for {
		t, err := p.dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, p.fail(ErrTruncated, "the text ends within the data set")
			}
			if own, ok := errors.AsType[*Error](err); ok {
				return nil, own
			}
			syntax, ok := errors.AsType[*xml.SyntaxError](err)
			if ok && syntax.Msg == "unexpected EOF" {
				return nil, p.fail(ErrTruncated, "the text ends within the data set")
			}
			if ok || p.in.N <= 0 { // its message repeats a part of the text
				return nil, p.fail(ErrMalformed, "the text is not XML")
			}
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return &t, nil
		case xml.EndElement:
			return nil, nil
		case xml.CharData:
			p.chars.Write(t)
		case xml.Directive:
			return nil, p.fail(ErrMalformed, "the text has a document type")
		}
	}
}

func attributeOf(e *xml.StartElement, name string) (string, bool) {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value, true
		}
	}
	return "", false
}

// private is an element whose place its creator tells.
type private struct {
	at      int // in the elements of the data set or item
	creator string
}

// object reads the elements of a data set or an item up to its end tag.
func (p *xmlReader) object(depth int) ([]builtElement, error) {
	var elems []builtElement
	var owned []private
	for {
		start, err := p.next()
		if err != nil {
			return nil, err
		}
		if start == nil {
			return p.settle(elems, owned)
		}
		if start.Name.Local != "DicomAttribute" {
			return nil, p.fail(ErrMalformed, "a data set has elements of DicomAttribute and nothing else")
		}
		hex, _ := attributeOf(start, "tag")
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil || len(hex) != 8 {
			return nil, p.fail(ErrMalformed, "an element has no tag of eight digits")
		}
		tag := Tag(n)
		p.path = append(p.path, tag)
		if p.elements++; p.elements > p.lim.Elements {
			return nil, p.fail(ErrTooLarge, "too many elements")
		}
		creator, _ := attributeOf(start, "privateCreator")
		creator = strings.Trim(creator, " ")
		if creator != "" && (!tag.IsPrivate() || len(creator) > 64) {
			return nil, p.fail(ErrMalformed, "a creator of what is not private, or one that is too long")
		}
		raw, err := p.element(start, tag, depth)
		if err != nil {
			return nil, err
		}
		p.path = p.path[:len(p.path)-1]
		if tag.IsGroupLength() && creator == "" || tag.Group() == 2 {
			continue
		}
		if creator != "" {
			owned = append(owned, private{len(elems), creator})
		}
		elems = append(elems, builtElement{tag, raw})
	}
}

// settle gives private elements their blocks (PS3.5 7.8.1).
func (p *xmlReader) settle(elems []builtElement, owned []private) ([]builtElement, error) {
	if len(owned) == 0 {
		return elems, nil
	}
	type block struct {
		group   uint16
		creator string
	}
	blocks := map[block]Tag{}
	taken := map[Tag]string{}
	mine := map[int]bool{}
	for _, o := range owned {
		mine[o.at] = true
	}
	for i, e := range elems {
		if mine[i] || !e.tag.IsPrivateCreator() {
			continue
		}
		k := block{e.tag.Group(), strings.Trim(string(e.raw[8:]), " \x00")}
		taken[e.tag] = k.creator
		if _, twice := blocks[k]; !twice {
			blocks[k] = e.tag
		}
	}
	for _, o := range owned {
		e := &elems[o.at]
		k := block{e.tag.Group(), o.creator}
		if c, _ := e.tag.CreatorTag(); taken[c] == o.creator { // it lies there already
			continue
		}
		c, ok := blocks[k]
		if !ok {
			c = NewTag(k.group, e.tag.Element()>>8)
			for n := uint16(0x10); c.Element() < 0x10 || taken[c] != ""; n++ {
				if n > 0xFF {
					return nil, p.fail(ErrMalformed, "more creators than a group has blocks")
				}
				c = NewTag(k.group, n)
			}
			raw, err := appendElement(nil, ExplicitVRLittleEndian.encoding(), c, VRLO, padded([]byte(o.creator), VRLO))
			if err != nil {
				return nil, err
			}
			p.upper = p.upper || !isASCII([]byte(o.creator))
			blocks[k], taken[c] = c, o.creator
			elems = append(elems, builtElement{c, raw})
			e = &elems[o.at]
		}
		e.tag = NewTag(k.group, c.Element()<<8|e.tag.Element()&0xFF)
		e.raw[2], e.raw[3] = byte(e.tag.Element()), byte(e.tag.Element()>>8)
	}
	return elems, nil
}

func (p *xmlReader) element(start *xml.StartElement, tag Tag, depth int) ([]byte, error) {
	var vr VR
	if s, ok := attributeOf(start, "vr"); ok {
		if vr, ok = ParseVR(s); !ok {
			return nil, p.fail(ErrMalformed, "no VR of the standard")
		}
	} else if e, known := LookupTag(tag); known && e.VR != 0 {
		vr = e.VR
	} else {
		return nil, p.fail(ErrMalformed, "no vr")
	}
	if tag.Group() == 0xFFFE {
		return nil, p.fail(ErrMalformed, "a delimiter is no element")
	}
	var (
		values []jsonValue
		raw    []byte
		what   string // of its children
	)
	for {
		child, err := p.next()
		if err != nil {
			return nil, err
		}
		if strings.TrimSpace(p.chars.String()) != "" {
			return nil, p.fail(ErrMalformed, "text that is in no value")
		}
		if child == nil {
			return p.built(tag, vr, values, raw, values != nil, what == "BulkData")
		}
		name := child.Name.Local
		if what != "" && (what != name || name == "InlineBinary" || name == "BulkData") {
			return nil, p.fail(ErrMalformed, "values of several kinds in one element")
		}
		if what = name; (name == "Item") != (vr == VRSQ) {
			return nil, p.fail(ErrMalformed, "an item in what is no sequence, or a value in one")
		}
		switch name {
		case "Value", "PersonName", "Item":
			v, err := p.value(child, name, depth)
			if err != nil {
				return nil, err
			}
			if values, err = p.place(values, child, v); err != nil {
				return nil, err
			}
		case "InlineBinary":
			text, err := p.text()
			if err != nil {
				return nil, err
			}
			if raw, err = base64.StdEncoding.DecodeString(strings.Map(unspaced, text)); err != nil {
				return nil, p.fail(ErrMalformed, "InlineBinary is not Base64")
			}
		case "BulkData":
			uri, ok := attributeOf(child, "uri")
			if !ok {
				uri, ok = attributeOf(child, "uuid")
			}
			if _, err := p.text(); err != nil {
				return nil, err
			}
			if !ok {
				return nil, p.fail(ErrMalformed, "BulkData has no address")
			}
			if raw, err = p.fetch(uri); err != nil {
				return nil, err
			}
		default:
			return nil, p.fail(ErrMalformed, "an element has Value, PersonName, Item, InlineBinary or BulkData and nothing else")
		}
	}
}

func unspaced(r rune) rune {
	switch r {
	case ' ', '\t', '\r', '\n':
		return -1
	}
	return r
}

// place puts a value where its number says, counted from 1; numbers ascend, and those that are missing are empty values.
func (p *xmlReader) place(values []jsonValue, e *xml.StartElement, v jsonValue) ([]jsonValue, error) {
	n := len(values) + 1
	if s, ok := attributeOf(e, "number"); ok {
		k, err := strconv.ParseUint(strings.TrimSpace(s), 10, 31)
		if err != nil || int(k) < n {
			return nil, p.fail(ErrMalformed, "the numbers of values do not ascend")
		}
		n = int(k)
	}
	if p.live += n - len(values); p.live > 2*p.lim.Elements {
		return nil, p.fail(ErrTooLarge, "too many values")
	}
	for len(values) < n-1 {
		values = append(values, jsonValue{})
	}
	return append(values, v), nil
}

func (p *xmlReader) value(e *xml.StartElement, name string, depth int) (jsonValue, error) {
	switch name {
	case "Item":
		if depth+1 > p.lim.Depth {
			return jsonValue{}, p.fail(ErrDepth, "")
		}
		elems, err := p.object(depth + 1)
		if err != nil {
			return jsonValue{}, err
		}
		b, err := p.join(elems)
		return jsonValue{kind: jsonItem, text: string(b)}, err
	case "PersonName":
		return p.name()
	}
	s, err := p.text()
	if s == "" {
		return jsonValue{}, err
	}
	return jsonValue{kind: jsonString, text: s}, err
}

// text is the text of an element without children, whose start tag is read.
func (p *xmlReader) text() (string, error) {
	child, err := p.next()
	if err != nil {
		return "", err
	}
	if child != nil {
		return "", p.fail(ErrMalformed, "an element where text is wanted")
	}
	return p.chars.String(), nil
}

// name reads the groups and components of a person's name.
func (p *xmlReader) name() (jsonValue, error) {
	var groups [len(nameGroups)]string
	for {
		group, err := p.next()
		if err != nil {
			return jsonValue{}, err
		}
		if group == nil {
			return jsonValue{kind: jsonName, text: strings.TrimRight(strings.Join(groups[:], "="), "=")}, nil
		}
		g := slices.Index(nameGroups[:], group.Name.Local)
		if g < 0 || groups[g] != "" {
			return jsonValue{}, p.fail(ErrMalformed, "a name has each of Alphabetic, Ideographic and Phonetic once and nothing else")
		}
		var components [len(nameComponents)]string
		for {
			c, err := p.next()
			if err != nil {
				return jsonValue{}, err
			}
			if c == nil {
				break
			}
			k := slices.Index(nameComponents[:], c.Name.Local)
			if k < 0 || components[k] != "" {
				return jsonValue{}, p.fail(ErrMalformed, "a group of a name has each of its components once and nothing else")
			}
			s, err := p.text()
			if err != nil {
				return jsonValue{}, err
			}
			if strings.ContainsAny(s, `=\`) || k < len(nameComponents)-1 && strings.Contains(s, "^") {
				return jsonValue{}, p.fail(ErrMalformed, "a component of a name holds a delimiter")
			}
			components[k] = s
		}
		groups[g] = strings.TrimRight(strings.Join(components[:], "^"), "^")
	}
}
