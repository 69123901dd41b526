package dicom

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendXML appends the data set as a document of the Native DICOM Model (PS3.19 A.1), in UTF-8, as [AppendJSON] writes the JSON model: without group lengths,
// (0008,0005) reading ISO_IR 192, the same VRs, and BulkData with an address for what is bulk. Private elements name their creator, and their tags have the block 00 then
// (PS3.19 Table A.1.5-2). Characters that XML has no way to write become U+FFFD.
//
// It fails only for an elided value that has no address; dst is then returned as it came.
func AppendXML(dst []byte, d *Dataset, opts JSONOptions) ([]byte, error) {
	if opts.InlineLimit <= 0 {
		opts.InlineLimit = 1024
	}
	w := xmlWriter{jsonWriter{d: d, opts: opts}}
	if n, ok := d.Int(TagPixelRepresentation); ok {
		w.signed = n == 1
	}
	out := append(dst, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">`...)
	out, err := w.object(out, &jsonScope{item: Root, cs: d.cs, known: true})
	if err != nil {
		return dst, err
	}
	return append(out, "</NativeDicomModel>"...), nil
}

type xmlWriter struct{ jsonWriter }

func (w *xmlWriter) object(dst []byte, s *jsonScope) ([]byte, error) {
	seen := map[Tag]bool{}
	creators := w.creators(s.item)
	var err error
	for i := range w.d.Children(s.item) {
		e := &w.d.elems[i]
		if e.Tag.IsGroupLength() || e.IsItem() || seen[e.Tag] || s.item == Root && w.opts.Only != nil && !w.opts.Only(e.Tag) {
			continue
		}
		seen[e.Tag] = true
		if dst, err = w.element(dst, i, s, creators); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// creator reserves a block; alone says that no other block of the group is its own too, so that its name tells the block.
type creator struct {
	name  string
	alone bool
}

// creators finds them in one pass: an item may have any number of private elements.
func (w *xmlWriter) creators(item int) map[Tag]creator {
	all := map[Tag]creator{}
	count := map[string]int{}
	key := func(t Tag, name string) string { return string([]byte{byte(t >> 24), byte(t >> 16)}) + name }
	for i := range w.d.Children(item) {
		t := w.d.elems[i].Tag
		if _, twice := all[t]; !twice && t.IsPrivateCreator() {
			name := strings.Trim(string(w.d.Value(i)), " \x00")
			all[t] = creator{name: name}
			count[key(t, name)]++
		}
	}
	for t, c := range all {
		c.alone = count[key(t, c.name)] == 1
		all[t] = c
	}
	return all
}

func (w *xmlWriter) element(dst []byte, i int, s *jsonScope, creators map[Tag]creator) ([]byte, error) {
	e := &w.d.elems[i]
	vr := w.vr(e)
	tag, owner := e.Tag, creator{}
	if c, ok := tag.CreatorTag(); ok {
		if owner = creators[c]; owner.name != "" && owner.alone {
			tag &^= 0xFF00
		}
	}
	dst = append(dst, `<DicomAttribute tag="`...)
	dst = appendHex(dst, uint32(tag))
	dst = append(dst, `" vr="`...)
	dst = append(dst, byte(vr>>8), byte(vr), '"')
	if k, ok := LookupTag(e.Tag); ok && k.Keyword != "" && !tag.IsPrivate() {
		dst = append(dst, ` keyword="`...)
		dst = append(append(dst, k.Keyword...), '"')
	}
	if owner.name != "" {
		dst = append(dst, ` privateCreator="`...)
		dst = append(appendXMLText(dst, w.charsets(s).Decode([]byte(owner.name), VRLO)), '"')
	}
	mark := len(dst)
	dst = append(dst, '>')
	var err error
	switch {
	case vr == VRSQ:
		dst, err = w.sequence(dst, i, s)
	case e.Tag == TagSpecificCharacterSet:
		dst = append(dst, `<Value number="1">ISO_IR 192</Value>`...)
	case e.ValueEnd == e.ValueStart && e.flags&flagElided == 0:
	case w.d.IsBulk(i) || e.IsEncapsulated() || isBytes(vr) && int(e.ValueEnd-e.ValueStart) > w.opts.InlineLimit:
		dst, err = w.large(dst, i, vr)
	case vr.IsText():
		dst = w.text(dst, i, vr, s)
	default:
		dst = w.binary(dst, i, vr)
	}
	if len(dst) == mark+1 {
		return append(dst[:mark], "/>"...), err
	}
	return append(dst, "</DicomAttribute>"...), err
}

func (w *xmlWriter) sequence(dst []byte, i int, s *jsonScope) ([]byte, error) {
	if !w.d.elems[i].IsSequence() {
		return dst, nil
	}
	n := 0
	var err error
	for j := range w.d.Children(i) {
		if !w.d.elems[j].IsItem() {
			continue
		}
		n++
		dst = append(appendNumbered(dst, "Item", n), '>')
		if dst, err = w.object(dst, &jsonScope{up: s, item: j}); err != nil {
			return dst, err
		}
		dst = append(dst, "</Item>"...)
	}
	return dst, nil
}

func (w *xmlWriter) large(dst []byte, i int, vr VR) ([]byte, error) {
	if w.opts.BulkURI != nil {
		if uri, ok := w.opts.BulkURI(i); ok {
			dst = append(dst, `<BulkData uri="`...)
			return append(appendXMLText(dst, uri), `"/>`...), nil
		}
	}
	e := &w.d.elems[i]
	switch {
	case e.flags&flagElided != 0:
		if b, _ := w.d.BulkOf(i); b.Len == 0 {
			return dst, nil
		}
		return dst, &Error{Op: "xml", Path: w.d.Path(i), Offset: -1, Reason: "the value lies apart and has no address", Kind: ErrMalformed}
	case e.IsEncapsulated():
		return appendXMLBytes(dst, w.d.Value(i)), nil
	}
	return w.binary(dst, i, vr), nil
}

func (w *xmlWriter) text(dst []byte, i int, vr VR, s *jsonScope) []byte {
	b := trimPad(w.d.Value(i), false)
	if len(b) == 0 {
		return dst
	}
	if vr.Charset() && (!isASCII(b) || hasEscape(b)) {
		b = []byte(w.charsets(s).Decode(b, vr))
	}
	for n, more := 1, true; more; n++ {
		v := b
		if vr.SingleValued() {
			more = false
			if vr == VRUR {
				v = trimPad(v, true)
			}
		} else {
			v, b, more = cutByte(b, '\\')
			v = trimPad(v, true)
		}
		switch {
		case len(v) == 0 && vr == VRPN:
			dst = append(appendNumbered(dst, "PersonName", n), "/>"...)
		case len(v) == 0:
			dst = append(appendNumbered(dst, "Value", n), "/>"...)
		case vr == VRPN:
			dst = appendXMLName(append(appendNumbered(dst, "PersonName", n), '>'), v)
			dst = append(dst, "</PersonName>"...)
		default:
			dst = appendXMLText(append(appendNumbered(dst, "Value", n), '>'), v)
			dst = append(dst, "</Value>"...)
		}
	}
	return dst
}

var (
	nameGroups     = [...]string{"Alphabetic", "Ideographic", "Phonetic"}
	nameComponents = [...]string{"FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"}
)

// appendXMLName writes a person's name by its groups and components. What stands behind the fifth component, which PS3.5 6.2 does not know, stays with it.
func appendXMLName(dst, v []byte) []byte {
	for _, group := range nameGroups {
		g, rest, more := cutByte(v, '=')
		if g = trimPad(g, true); len(g) > 0 {
			dst = append(append(append(dst, '<'), group...), '>')
			for k, name := range nameComponents {
				c, left, further := cutByte(g, '^')
				if k == len(nameComponents)-1 {
					c, further = g, false
				}
				if len(c) > 0 {
					dst = append(append(append(dst, '<'), name...), '>')
					dst = appendXMLText(dst, c)
					dst = append(append(append(dst, "</"...), name...), '>')
				}
				if !further {
					break
				}
				g = left
			}
			dst = append(append(append(dst, "</"...), group...), '>')
		}
		if !more {
			break
		}
		v = rest
	}
	return dst
}

// binary writes numbers as numbers, anything else as Base64 in little endian.
func (w *xmlWriter) binary(dst []byte, i int, vr VR) []byte {
	b := w.d.Value(i)
	e := &w.d.elems[i]
	size := vr.WordSize()
	if isBytes(vr) {
		if e.BigEndian() && size > 1 {
			b = swapped(b, size)
		}
		return appendXMLBytes(dst, b)
	}
	if vr == VRAT { // two words a value
		size = 4
	}
	if len(b)%size != 0 { // no whole number of values: nobody can tell what it says
		return dst
	}
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian() {
		order = binary.BigEndian
	}
	for n := 1; len(b) >= size; n++ {
		dst = append(appendNumbered(dst, "Value", n), '>')
		switch vr {
		case VRUS:
			dst = strconv.AppendUint(dst, uint64(order.Uint16(b)), 10)
		case VRSS:
			dst = strconv.AppendInt(dst, int64(int16(order.Uint16(b))), 10)
		case VRUL:
			dst = strconv.AppendUint(dst, uint64(order.Uint32(b)), 10)
		case VRSL:
			dst = strconv.AppendInt(dst, int64(int32(order.Uint32(b))), 10)
		case VRAT:
			dst = appendHex(dst, uint32(order.Uint16(b))<<16|uint32(order.Uint16(b[2:])))
		case VRFL:
			dst = appendXMLFloat(dst, float64(math.Float32frombits(order.Uint32(b))), 32)
		case VRFD:
			dst = appendXMLFloat(dst, math.Float64frombits(order.Uint64(b)), 64)
		case VRUV:
			dst = strconv.AppendUint(dst, order.Uint64(b), 10)
		case VRSV:
			dst = strconv.AppendInt(dst, int64(order.Uint64(b)), 10)
		}
		dst = append(dst, "</Value>"...)
		b = b[size:]
	}
	return dst
}

// appendXMLFloat writes a number as XML Schema does.
func appendXMLFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsInf(v, 1):
		return append(dst, "INF"...)
	case math.IsInf(v, -1):
		return append(dst, "-INF"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits) // NaN is NaN
}

func appendNumbered(dst []byte, name string, n int) []byte {
	dst = append(append(append(dst, '<'), name...), ` number="`...)
	return append(strconv.AppendInt(dst, int64(n), 10), '"')
}

func appendXMLBytes(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	dst = append(dst, "<InlineBinary>"...)
	return append(base64.StdEncoding.AppendEncode(dst, b), "</InlineBinary>"...)
}

// appendXMLText appends text for an element or an attribute. Line ends and tabs are written by number: readers would make others of them.
func appendXMLText[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '<':
				dst = append(dst, "&lt;"...)
			case c == '>':
				dst = append(dst, "&gt;"...)
			case c == '&':
				dst = append(dst, "&amp;"...)
			case c == '"':
				dst = append(dst, "&quot;"...)
			case c == '\t' || c == '\n' || c == '\r':
				dst = append(strconv.AppendUint(append(dst, "&#"...), uint64(c), 10), ';')
			case c < ' ':
				dst = append(dst, unreadable...)
			default:
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, n := decodeRune(s[i:])
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			dst = append(dst, unreadable...)
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}
