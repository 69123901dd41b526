package dicom

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// FromJSON reads one data set in the DICOM JSON model (PS3.18 F), an object or an array of one, into explicit VR little endian. bulk fetches what a
// BulkDataURI names; nil refuses them. Text is encoded as UTF-8: (0008,0005) becomes ISO_IR 192 where it stands, and is added if the text
// needs it. Group lengths and group 0002, which belongs to a file, are left out. A tag that stands twice, a value outside its VR and an unknown VR
// are errors; limits bound the JSON text (HeadBytes), each bulk value (BulkBytes), the depth and the number of elements.
func FromJSON(r io.Reader, lim Limits, bulk func(uri string) ([]byte, error)) (*Dataset, error) {
	var one *Dataset
	err := EachJSON(r, lim, bulk, func(d *Dataset) error {
		if one != nil {
			return &Error{Op: "json", Offset: -1, Reason: "more than one data set", Kind: ErrMalformed}
		}
		one = d
		return nil
	})
	if err == nil && one == nil {
		err = &Error{Op: "json", Offset: -1, Reason: "no data set", Kind: ErrMalformed}
	}
	if err != nil {
		return nil, err
	}
	return one, nil
}

// EachJSON reads an array of data sets, or a single one, and calls f with each; see [FromJSON]. The limits are those of the whole text.
func EachJSON(r io.Reader, lim Limits, bulk func(uri string) ([]byte, error), f func(*Dataset) error) error {
	lim = lim.withDefaults()
	in := &io.LimitedReader{R: r, N: int64(lim.HeadBytes) + 1}
	p := &jsonReader{modelReader: modelReader{op: "json", in: in, lim: lim, bulk: bulk}, dec: json.NewDecoder(in)}
	p.dec.UseNumber()
	p.offset = p.dec.InputOffset
	t, err := p.token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		if err := p.dataset(f); err != nil {
			return err
		}
	case json.Delim('['):
		for p.dec.More() {
			if t, err = p.token(); err != nil {
				return err
			}
			if t != json.Delim('{') {
				return p.fail(ErrMalformed, "a data set is an object")
			}
			if err := p.dataset(f); err != nil {
				return err
			}
		}
		if _, err := p.token(); err != nil {
			return err
		}
	default:
		return p.fail(ErrMalformed, "a data set is an object")
	}
	if _, err := p.dec.Token(); err != io.EOF {
		return p.fail(ErrMalformed, "something follows the data set")
	}
	return nil
}

type jsonReader struct {
	modelReader
	dec *json.Decoder
}

// modelReader is what the readers of a data set's JSON and XML share.
type modelReader struct {
	op       string
	in       *io.LimitedReader
	offset   func() int64 // in the text
	lim      Limits
	bulk     func(uri string) ([]byte, error)
	path     []Tag
	elements int
	live     int  // values held of the elements that are being read
	bytes    int  // encoded so far
	upper    bool // the data set holds text that is not ASCII
}

func (p *modelReader) fail(kind error, reason string) error {
	if p.in.N <= 0 {
		kind, reason = ErrTooLarge, "the text is longer than the limit"
	}
	var path []string
	for _, t := range p.path {
		path = append(path, t.String())
	}
	return &Error{Op: p.op, Path: strings.Join(path, "."), Offset: p.offset(), Reason: reason, Kind: kind}
}

func (p *jsonReader) token() (json.Token, error) {
	t, err := p.dec.Token()
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, p.fail(ErrTruncated, "the text ends within the data set")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) { // its message repeats a part of the text
		return nil, p.fail(ErrMalformed, "the text is not JSON")
	}
	return nil, err
}

func (p *jsonReader) dataset(f func(*Dataset) error) error {
	p.upper, p.bytes = false, 0
	elems, err := p.object(0)
	if err != nil {
		return err
	}
	d, err := p.finish(elems)
	if err != nil {
		return err
	}
	return f(d)
}

// finish is the data set of the elements that were read.
func (p *modelReader) finish(elems []builtElement) (*Dataset, error) {
	if p.upper && !slices.ContainsFunc(elems, func(e builtElement) bool { return e.tag == TagSpecificCharacterSet }) {
		elems = append(elems, utf8Element())
	}
	b, err := p.join(elems)
	if err != nil {
		return nil, err
	}
	lim := p.lim
	lim.Depth = min(lim.Depth+1, 120)
	lim.HeadBytes = max(lim.HeadBytes, len(b))
	return ParseDataset(b, ExplicitVRLittleEndian, lim)
}

func utf8Element() builtElement {
	raw, _ := appendElement(nil, ExplicitVRLittleEndian.encoding(), TagSpecificCharacterSet, VRCS, []byte("ISO_IR 192"))
	return builtElement{TagSpecificCharacterSet, raw}
}

func (p *modelReader) join(elems []builtElement) ([]byte, error) {
	slices.SortFunc(elems, func(a, b builtElement) int { return cmp.Compare(a.tag, b.tag) })
	n := 0
	for i, e := range elems {
		if i > 0 && elems[i-1].tag == e.tag {
			p.path = append(p.path, e.tag)
			return nil, p.fail(ErrMalformed, "the element stands twice")
		}
		n += len(e.raw)
	}
	out := make([]byte, 0, n)
	for _, e := range elems {
		out = append(out, e.raw...)
	}
	return out, nil
}

// object reads the members of a data set or an item, whose brace is read.
func (p *jsonReader) object(depth int) ([]builtElement, error) {
	var elems []builtElement
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if elems, err = p.member(elems, key, depth); err != nil {
			return nil, err
		}
	}
	_, err := p.token()
	return elems, err
}

func (p *jsonReader) member(elems []builtElement, key string, depth int) ([]builtElement, error) {
	n, err := strconv.ParseUint(key, 16, 32)
	if err != nil || len(key) != 8 {
		return nil, p.fail(ErrMalformed, "a member is not named by the eight digits of a tag")
	}
	tag := Tag(n)
	p.path = append(p.path, tag)
	if p.elements++; p.elements > p.lim.Elements {
		return nil, p.fail(ErrTooLarge, "too many elements")
	}
	raw, err := p.element(tag, depth)
	if err != nil {
		return nil, err
	}
	p.path = p.path[:len(p.path)-1]
	if tag.IsGroupLength() || tag.Group() == 2 {
		return elems, nil
	}
	return append(elems, builtElement{tag, raw}), nil
}

// jsonValue is a value whose VR may not be known yet: members have no order.
type jsonValue struct {
	kind jsonKind
	text string // of a string or number; of a person's name, its groups joined; of an item, its encoded elements
}

type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonString
	jsonNumber
	jsonName
	jsonItem
	jsonEmpty // an object without members: an item or a name
)

func (p *jsonReader) element(tag Tag, depth int) ([]byte, error) {
	if t, err := p.token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, p.fail(ErrMalformed, "an element is an object")
	}
	var (
		vr     VR
		values []jsonValue
		raw    []byte
		has    [4]bool // vr, Value, InlineBinary, BulkDataURI
	)
	for p.dec.More() {
		t, err := p.token()
		if err != nil {
			return nil, err
		}
		which := slices.Index([]string{"vr", "Value", "InlineBinary", "BulkDataURI"}, t.(string))
		if which < 0 {
			return nil, p.fail(ErrMalformed, "an element has vr, Value, InlineBinary or BulkDataURI and nothing else")
		}
		if has[which] {
			return nil, p.fail(ErrMalformed, "a member of the element stands twice")
		}
		has[which] = true
		if which == 1 {
			if values, err = p.values(depth); err != nil {
				return nil, err
			}
			continue
		}
		if t, err = p.token(); err != nil {
			return nil, err
		}
		s, ok := t.(string)
		if !ok {
			return nil, p.fail(ErrMalformed, "a member that has to be a string is none")
		}
		switch which {
		case 0:
			if vr, ok = ParseVR(s); !ok {
				return nil, p.fail(ErrMalformed, "no VR of the standard")
			}
		case 2:
			if raw, err = base64.StdEncoding.DecodeString(s); err != nil {
				return nil, p.fail(ErrMalformed, "InlineBinary is not Base64")
			}
		case 3:
			if raw, err = p.fetch(s); err != nil {
				return nil, err
			}
		}
	}
	if _, err := p.token(); err != nil {
		return nil, err
	}
	if !has[0] { // required, but what the dictionary knows can be read without
		e, ok := LookupTag(tag)
		if !ok || e.VR == 0 {
			return nil, p.fail(ErrMalformed, "no vr")
		}
		vr = e.VR
	}
	if tag.Group() == 0xFFFE {
		return nil, p.fail(ErrMalformed, "a delimiter is no element")
	}
	if has[1] && (has[2] || has[3]) || has[2] && has[3] {
		return nil, p.fail(ErrMalformed, "more than one of Value, InlineBinary and BulkDataURI")
	}
	if (has[2] || has[3]) && vr == VRSQ {
		return nil, p.fail(ErrMalformed, "a sequence has items")
	}
	return p.built(tag, vr, values, raw, has[1], has[3])
}

// built is an element as it is encoded: of values, if it has any, else of bytes, which may be bulk.
func (p *modelReader) built(tag Tag, vr VR, values []jsonValue, raw []byte, valued, bulk bool) ([]byte, error) {
	p.live -= len(values)
	if valued {
		var reason string
		if raw, reason = p.encode(vr, values); reason != "" {
			return nil, p.fail(ErrMalformed, reason)
		}
	}
	if tag == TagSpecificCharacterSet {
		vr, raw = VRCS, []byte("ISO_IR 192")
	}
	if p.bytes += len(raw); p.bytes > p.lim.HeadBytes*2 && !bulk {
		return nil, p.fail(ErrTooLarge, "too many bytes")
	}
	if len(raw) > math.MaxUint16-1 && !vr.LongLength() {
		vr = VRUN // PS3.5 6.2.2 allows it where the length does not fit
	}
	out, err := appendElement(nil, ExplicitVRLittleEndian.encoding(), tag, vr, padded(raw, vr))
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (p *modelReader) fetch(uri string) ([]byte, error) {
	if p.bulk == nil {
		return nil, p.fail(ErrMalformed, "a BulkDataURI cannot be followed here")
	}
	raw, err := p.bulk(uri)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > p.lim.BulkBytes {
		return nil, p.fail(ErrTooLarge, "a bulk value is longer than the limit")
	}
	return raw, nil
}

func (p *jsonReader) values(depth int) ([]jsonValue, error) {
	t, err := p.token()
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, p.fail(ErrMalformed, "Value is an array")
	}
	var values []jsonValue
	for p.dec.More() {
		if t, err = p.token(); err != nil {
			return nil, err
		}
		if p.live++; p.live > 2*p.lim.Elements {
			return nil, p.fail(ErrTooLarge, "too many values")
		}
		var v jsonValue
		switch t := t.(type) {
		case nil:
		case string:
			v = jsonValue{kind: jsonString, text: t}
		case json.Number:
			v = jsonValue{kind: jsonNumber, text: t.String()}
		case json.Delim:
			if t != '{' {
				return nil, p.fail(ErrMalformed, "a value is a string, a number or an object")
			}
			if v, err = p.objectValue(depth); err != nil {
				return nil, err
			}
		default:
			return nil, p.fail(ErrMalformed, "a value is a string, a number or an object")
		}
		values = append(values, v)
	}
	_, err = p.token()
	return values, err
}

// objectValue reads an item or a person's name, which its first member tells apart.
func (p *jsonReader) objectValue(depth int) (jsonValue, error) {
	if !p.dec.More() {
		_, err := p.token()
		return jsonValue{kind: jsonEmpty}, err
	}
	var (
		elems  []builtElement
		groups [3]string
		name   bool
	)
	for n := 0; p.dec.More(); n++ {
		t, err := p.token()
		if err != nil {
			return jsonValue{}, err
		}
		key := t.(string)
		g := slices.Index([]string{"Alphabetic", "Ideographic", "Phonetic"}, key)
		if n == 0 {
			name = g >= 0
		}
		switch {
		case name && g < 0:
			return jsonValue{}, p.fail(ErrMalformed, "a name has Alphabetic, Ideographic and Phonetic and nothing else")
		case name:
			if t, err = p.token(); err != nil {
				return jsonValue{}, err
			}
			s, ok := t.(string)
			if !ok && t != nil || strings.Contains(s, "=") {
				return jsonValue{}, p.fail(ErrMalformed, "a group of a name is a string without delimiter")
			}
			groups[g] = s
		default:
			if depth+1 > p.lim.Depth {
				return jsonValue{}, p.fail(ErrDepth, "")
			}
			if elems, err = p.member(elems, key, depth+1); err != nil {
				return jsonValue{}, err
			}
		}
	}
	if _, err := p.token(); err != nil {
		return jsonValue{}, err
	}
	if name {
		return jsonValue{kind: jsonName, text: strings.TrimRight(strings.Join(groups[:], "="), "=")}, nil
	}
	b, err := p.join(elems)
	return jsonValue{kind: jsonItem, text: string(b)}, err
}

// encode is the value of an element; a reason if its VR does not hold it.
func (p *modelReader) encode(vr VR, values []jsonValue) (raw []byte, reason string) {
	switch {
	case vr == VRSQ:
		for _, v := range values {
			if v.kind != jsonItem && v.kind != jsonEmpty && v.kind != jsonNull {
				return nil, "an item is an object"
			}
			raw = append(raw, 0xFE, 0xFF, 0x00, 0xE0)
			raw = binary.LittleEndian.AppendUint32(raw, uint32(len(v.text)))
			raw = append(raw, v.text...)
		}
		return raw, ""
	case vr.IsText():
		return p.encodeText(vr, values)
	}
	for _, v := range values {
		if v.kind == jsonNull {
			continue
		}
		if v.kind != jsonNumber && v.kind != jsonString {
			return nil, "the value is no number"
		}
		var ok bool
		if raw, ok = appendJSONNumber(raw, vr, v.text); !ok {
			return nil, "the value is no number of its VR"
		}
	}
	return raw, ""
}

func (p *modelReader) encodeText(vr VR, values []jsonValue) (raw []byte, reason string) {
	if len(values) > 1 && vr.SingleValued() {
		return nil, "its VR has one value"
	}
	for i, v := range values {
		if i > 0 {
			raw = append(raw, '\\')
		}
		s := v.text
		switch v.kind {
		case jsonNull:
		case jsonEmpty, jsonName:
			if vr != VRPN {
				return nil, "only a name is an object"
			}
		case jsonItem:
			return nil, "its VR has no items"
		case jsonNumber:
			if vr != VRDS && vr != VRIS {
				return nil, "its VR holds text, not numbers"
			}
			var ok bool
			if s, ok = decimal(vr, s); !ok {
				return nil, "the value is no number of its VR"
			}
		}
		if !vr.SingleValued() && strings.Contains(s, `\`) {
			return nil, "a value holds the delimiter of values"
		}
		raw = append(raw, s...)
	}
	if vr.Charset() && !isASCII(raw) { // in other VRs such text is wrong, and stays as it is
		p.upper = true
	}
	return raw, ""
}

// decimal spells a JSON number as IS or DS (PS3.5 6.2).
func decimal(vr VR, s string) (string, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", false
	}
	if vr == VRIS {
		if strings.ContainsAny(s, ".eE") {
			if f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
				return "", false
			}
			return strconv.FormatInt(int64(f), 10), true
		}
		return s, len(s) <= 16
	}
	if len(s) > 16 {
		return FormatDS(f), true
	}
	return s, true
}

func appendJSONNumber(raw []byte, vr VR, s string) ([]byte, bool) {
	le := binary.LittleEndian
	bits := 8 * vr.WordSize()
	switch vr {
	case VRFL, VRFD:
		f, err := strconv.ParseFloat(s, bits)
		if err != nil {
			return raw, false
		}
		if vr == VRFL {
			return le.AppendUint32(raw, math.Float32bits(float32(f))), true
		}
		return le.AppendUint64(raw, math.Float64bits(f)), true
	case VRAT:
		v, err := strconv.ParseUint(s, 16, 32)
		if err != nil || len(s) != 8 {
			return raw, false
		}
		return le.AppendUint16(le.AppendUint16(raw, uint16(v>>16)), uint16(v)), true
	}
	var v uint64
	switch vr {
	case VRUS, VRUL, VRUV:
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			f, ok := integral(s)
			if n = uint64(f); !ok || f < 0 || bits < 64 && n>>bits != 0 {
				return raw, false
			}
		}
		v = n
	case VRSS, VRSL, VRSV:
		n, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			var ok bool
			if n, ok = integral(s); !ok || n<<(64-bits)>>(64-bits) != n {
				return raw, false
			}
		}
		v = uint64(n)
	default: // bytes are InlineBinary
		return raw, false
	}
	switch bits {
	case 16:
		return le.AppendUint16(raw, uint16(v)), true
	case 32:
		return le.AppendUint32(raw, uint32(v)), true
	}
	return le.AppendUint64(raw, v), true
}

// integral reads 1.0 and 1e3, which JSON does not tell from 1 and 1000.
func integral(s string) (int64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}
