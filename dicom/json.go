package dicom

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// JSONOptions say how [AppendJSON] writes.
type JSONOptions struct {
	// BulkURI gives the address of the value of entry i. It is asked for every bulk value, every encapsulated one, and every one of bytes (OB, OW,
	// OF, OD, OL, OV, UN) longer than InlineLimit. Without an address the value is written inline, which fails for one that is elided.
	BulkURI func(i int) (uri string, ok bool)
	// InlineLimit is the longest value of bytes that is written inline without asking; 0 means 1024.
	InlineLimit int
	// Only, where it is given, picks the top-level elements that are written.
	Only func(Tag) bool
}

// AppendJSON appends the data set in the DICOM JSON model (PS3.18 F): one object, without group lengths, its text in UTF-8, so that (0008,0005)
// reads ISO_IR 192 wherever it stands. What is no valid value of its VR is still written so that the result is valid JSON: a DS that is no number
// as a string (PS3.18 F.2.3), NaN and infinities as the strings NaN, Infinity and -Infinity, integers beyond 2^53 as strings, bytes that are no text
// as U+FFFD. Of elements that share a tag the first is written. Private elements that were written as UN stay UN; standard ones get the
// dictionary's VR (PS3.5 6.2.2).
//
// It fails only for an elided value that has no address; dst is then returned as it came.
func AppendJSON(dst []byte, d *Dataset, opts JSONOptions) ([]byte, error) {
	if opts.InlineLimit <= 0 {
		opts.InlineLimit = 1024
	}
	w := jsonWriter{d: d, opts: opts}
	if n, ok := d.Int(TagPixelRepresentation); ok {
		w.signed = n == 1
	}
	out, err := w.object(dst, &jsonScope{item: Root, cs: d.cs, known: true})
	if err != nil {
		return dst, err
	}
	return out, nil
}

type jsonWriter struct {
	d      *Dataset
	opts   JSONOptions
	signed bool // pixels are, and so is what implicit VR leaves open between US and SS (PS3.5 A.1, PS3.3 C.7.6.3)
}

// jsonScope is the data set or an item with the character sets in force there, which are looked up when the first text asks.
type jsonScope struct {
	up    *jsonScope
	item  int
	cs    *CharacterSets
	known bool
}

func (w *jsonWriter) charsets(s *jsonScope) *CharacterSets {
	if !s.known {
		s.known = true
		if s.cs = w.d.ownCharsets(s.item); s.cs == nil {
			s.cs = w.charsets(s.up)
		}
	}
	return s.cs
}

func (w *jsonWriter) object(dst []byte, s *jsonScope) ([]byte, error) {
	dst = append(dst, '{')
	var (
		last  = Tag(0)
		first = true
		seen  map[Tag]struct{} // only once tags do not ascend
		err   error
	)
	i, end := w.d.childRange(s.item)
	start := i
	for ; i < end; i = int(w.d.elems[i].Next) {
		e := &w.d.elems[i]
		if e.Tag.IsGroupLength() || e.IsItem() {
			continue
		}
		if s.item == Root && w.opts.Only != nil && !w.opts.Only(e.Tag) {
			continue
		}
		if !first && e.Tag <= last || seen != nil {
			if seen == nil {
				seen = map[Tag]struct{}{}
				for j := start; j < i; j = int(w.d.elems[j].Next) {
					seen[w.d.elems[j].Tag] = struct{}{}
				}
			}
			if _, twice := seen[e.Tag]; twice {
				continue
			}
			seen[e.Tag] = struct{}{}
		}
		if !first {
			dst = append(dst, ',')
		}
		first, last = false, e.Tag
		if dst, err = w.element(dst, i, s); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// vr is the VR to write, which is one that PS3.5 lists.
func (w *jsonWriter) vr(e *Element) VR {
	switch {
	case e.IsSequence():
		return VRSQ
	case e.Tag == TagSpecificCharacterSet:
		return VRCS
	case e.VR == VRSQ: // a sequence of nothing, or what could not be read as one
		if e.ValueEnd > e.ValueStart {
			return VRUN
		}
		return VRSQ
	case e.VR == VROB && e.Implicit() && !e.IsEncapsulated():
		if x, ok := LookupTag(e.Tag); ok && slices.Contains(x.VRs, VROW) {
			return VROW // PS3.5 A.1: where there is a choice, implicit VR means words
		}
		return VROB
	case e.VR == VRUS && e.Implicit() && w.signed:
		if x, ok := LookupTag(e.Tag); ok && slices.Contains(x.VRs, VRSS) {
			return VRSS
		}
		return VRUS
	case e.VR != VRUN && e.VR.Known():
		return e.VR
	case e.IsEncapsulated():
		return VROB
	case e.Tag.IsPrivateCreator():
		return VRLO
	case e.Tag.IsPrivate():
		return VRUN
	}
	if x, ok := LookupTag(e.Tag); ok && x.VR != VRSQ && len(x.VRs) == 1 {
		return x.VR
	}
	return VRUN
}

func (w *jsonWriter) element(dst []byte, i int, s *jsonScope) ([]byte, error) {
	e := &w.d.elems[i]
	vr := w.vr(e)
	dst = append(dst, '"')
	dst = appendHex(dst, uint32(e.Tag))
	dst = append(dst, `":{"vr":"`...)
	dst = append(dst, byte(vr>>8), byte(vr), '"')
	var err error
	switch {
	case vr == VRSQ:
		dst, err = w.sequence(dst, i, s)
	case e.Tag == TagSpecificCharacterSet:
		dst = append(dst, `,"Value":["ISO_IR 192"]`...)
	case e.ValueEnd == e.ValueStart && e.flags&flagElided == 0:
	case w.d.IsBulk(i) || e.IsEncapsulated() || isBytes(vr) && int(e.ValueEnd-e.ValueStart) > w.opts.InlineLimit:
		dst, err = w.large(dst, i, vr)
	case vr.IsText():
		dst = w.text(dst, i, vr, s)
	default:
		dst = w.binary(dst, i, vr)
	}
	return append(dst, '}'), err
}

func (w *jsonWriter) sequence(dst []byte, i int, s *jsonScope) ([]byte, error) {
	j, end := w.d.childRange(i)
	if !w.d.elems[i].IsSequence() || j >= end {
		return dst, nil
	}
	dst = append(dst, `,"Value":[`...)
	first := true
	var err error
	for ; j < end; j = int(w.d.elems[j].Next) {
		if !w.d.elems[j].IsItem() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if dst, err = w.object(dst, &jsonScope{up: s, item: j}); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (w *jsonWriter) large(dst []byte, i int, vr VR) ([]byte, error) {
	if w.opts.BulkURI != nil {
		if uri, ok := w.opts.BulkURI(i); ok {
			dst = append(dst, `,"BulkDataURI":"`...)
			dst = appendJSONString(dst, uri)
			return append(dst, '"'), nil
		}
	}
	e := &w.d.elems[i]
	switch {
	case e.flags&flagElided != 0:
		b, _ := w.d.BulkOf(i)
		if b.Len == 0 {
			return dst, nil
		}
		return dst, &Error{Op: "json", Path: w.d.Path(i), Offset: -1, Reason: "the value lies apart and has no address", Kind: ErrMalformed}
	case e.IsEncapsulated():
		return appendInline(dst, w.d.Value(i)), nil
	}
	return w.binary(dst, i, vr), nil
}

// text writes what was read as characters.
func (w *jsonWriter) text(dst []byte, i int, vr VR, s *jsonScope) []byte {
	b := trimPad(w.d.Value(i), false)
	if len(b) == 0 {
		return dst
	}
	if vr.Charset() && (!isASCII(b) || hasEscape(b)) {
		b = []byte(w.charsets(s).Decode(b, vr))
	}
	dst = append(dst, `,"Value":[`...)
	if vr.SingleValued() {
		if vr == VRUR {
			b = trimPad(b, true)
		}
		dst = append(dst, '"')
		dst = appendJSONString(dst, b)
		return append(dst, '"', ']')
	}
	for n := 0; ; n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
		v, rest, more := cutByte(b, '\\')
		v = trimPad(v, true)
		switch {
		case len(v) == 0:
			dst = append(dst, "null"...)
		case vr == VRPN:
			dst = appendJSONName(dst, v)
		case vr == VRDS || vr == VRIS:
			dst = appendJSONDecimal(dst, v, vr)
		default:
			dst = append(dst, '"')
			dst = appendJSONString(dst, v)
			dst = append(dst, '"')
		}
		if !more {
			return append(dst, ']')
		}
		b = rest
	}
}

// appendJSONName writes a person's name by its groups (PS3.18 F.2.2).
func appendJSONName(dst, v []byte) []byte {
	dst = append(dst, '{')
	begun := false
	for _, key := range [...]string{"Alphabetic", "Ideographic", "Phonetic"} {
		group, rest, more := cutByte(v, '=')
		if group = trimPad(group, true); len(group) > 0 {
			if begun {
				dst = append(dst, ',')
			}
			begun = true
			dst = append(dst, '"')
			dst = append(dst, key...)
			dst = append(dst, '"', ':', '"')
			dst = appendJSONString(dst, group)
			dst = append(dst, '"')
		}
		if !more {
			break
		}
		v = rest
	}
	return append(dst, '}')
}

// appendJSONDecimal writes the number with the digits it has, as JSON spells numbers (RFC 8259 6); what is no number, or one that readers would
// round or overflow, as a string.
func appendJSONDecimal(dst, v []byte, vr VR) []byte {
	mark := len(dst)
	p := v
	if p[0] == '+' || p[0] == '-' {
		if p[0] == '-' {
			dst = append(dst, '-')
		}
		p = p[1:]
	}
	whole := digits(p)
	p = p[whole:]
	lead := v[len(v)-len(p)-whole : len(v)-len(p)]
	for len(lead) > 1 && lead[0] == '0' {
		lead = lead[1:]
	}
	if whole == 0 {
		lead = []byte("0")
	}
	dst = append(dst, lead...)
	ok := whole > 0
	if vr == VRIS {
		ok = ok && len(p) == 0 && len(lead) <= 15
	} else {
		if len(p) > 0 && p[0] == '.' {
			n := digits(p[1:])
			ok = ok || n > 0
			if n > 0 {
				dst = append(dst, p[:n+1]...)
			}
			p = p[n+1:]
		}
		if ok && len(p) > 0 && (p[0] == 'e' || p[0] == 'E') {
			q := p[1:]
			if len(q) > 0 && (q[0] == '+' || q[0] == '-') {
				q = q[1:]
			}
			n := digits(q)
			dst = append(dst, p...)
			ok = n > 0 && n == len(q) && n <= 3
			p = nil
		}
		ok = ok && len(p) == 0
		if ok && (len(v) > 300 || hasExponent(dst[mark:])) {
			_, err := strconv.ParseFloat(string(dst[mark:]), 64)
			ok = err == nil
		}
	}
	if ok {
		return dst
	}
	dst = append(dst[:mark], '"')
	dst = appendJSONString(dst, v)
	return append(dst, '"')
}

func hasExponent(b []byte) bool {
	for _, c := range b {
		if c == 'e' || c == 'E' {
			return true
		}
	}
	return false
}

func digits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// binary writes numbers as numbers, anything else as Base64 in little endian (PS3.18 F.2.7).
func (w *jsonWriter) binary(dst []byte, i int, vr VR) []byte {
	b := w.d.Value(i)
	e := &w.d.elems[i]
	if len(b) == 0 {
		return dst
	}
	size := vr.WordSize()
	if vr == VRAT { // two words a value
		size = 4
	}
	if isBytes(vr) {
		if e.BigEndian() && size > 1 {
			b = swapped(b, size)
		}
		return appendInline(dst, b)
	}
	if len(b)%size != 0 { // no whole number of values: nobody can tell what it says
		return dst
	}
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian() {
		order = binary.BigEndian
	}
	dst = append(dst, `,"Value":[`...)
	for n := 0; len(b) >= size; n++ {
		if n > 0 {
			dst = append(dst, ',')
		}
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
			dst = append(dst, '"')
			dst = appendHex(dst, uint32(order.Uint16(b))<<16|uint32(order.Uint16(b[2:])))
			dst = append(dst, '"')
		case VRFL:
			dst = appendJSONFloat(dst, float64(math.Float32frombits(order.Uint32(b))), 32)
		case VRFD:
			dst = appendJSONFloat(dst, math.Float64frombits(order.Uint64(b)), 64)
		case VRUV:
			v := order.Uint64(b)
			dst = quotedIf(dst, v > 1<<53, func(dst []byte) []byte { return strconv.AppendUint(dst, v, 10) })
		case VRSV:
			v := int64(order.Uint64(b))
			dst = quotedIf(dst, v > 1<<53 || v < -1<<53, func(dst []byte) []byte { return strconv.AppendInt(dst, v, 10) })
		}
		b = b[size:]
	}
	return append(dst, ']')
}

// isBytes reports the VRs whose values are written in Base64, not as numbers.
func isBytes(vr VR) bool {
	switch vr {
	case VROB, VROW, VROF, VROD, VROL, VROV, VRUN:
		return true
	}
	return false
}

func quotedIf(dst []byte, quote bool, number func([]byte) []byte) []byte {
	if !quote {
		return number(dst)
	}
	return append(number(append(dst, '"')), '"')
}

func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

func appendInline(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	dst = append(dst, `,"InlineBinary":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// swapped is b with the bytes of each word in reverse; a rest shorter than a word stays.
func swapped(b []byte, size int) []byte {
	out := append([]byte(nil), b...)
	for w := out; len(w) >= size; w = w[size:] {
		for l, r := 0, size-1; l < r; l, r = l+1, r-1 {
			w[l], w[r] = w[r], w[l]
		}
	}
	return out
}

func appendHex(dst []byte, v uint32) []byte {
	var b [8]byte
	hex4(b[:], uint16(v>>16))
	hex4(b[4:], uint16(v))
	return append(dst, b[:]...)
}

func trimPad(b []byte, leading bool) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == 0) {
		b = b[:len(b)-1]
	}
	for leading && len(b) > 0 && (b[0] == ' ' || b[0] == 0) {
		b = b[1:]
	}
	return b
}

func cutByte(b []byte, c byte) (before, after []byte, found bool) {
	for i := range b {
		if b[i] == c {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

// appendJSONString appends the inside of a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7F {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				const hex = "0123456789abcdef"
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := decodeRune(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, unreadable...)
			i++
			start = i
			continue
		}
		if r == 0x2028 || r == 0x2029 { // line ends to JavaScript
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, '0'+byte(r&15))
			i += n
			start = i
			continue
		}
		i += n
	}
	return append(dst, s[start:]...)
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}
