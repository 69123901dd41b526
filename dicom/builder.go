package dicom

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Builder encodes a new data set. Elements may be added in any order and are written in the order of their tags; one that is added again replaces
// the former. The first error is kept for [Builder.Dataset].
//
//	b := dicom.NewBuilder(dicom.ExplicitVRLittleEndian)
//	b.String(dicom.TagModality, "CT")
//	b.Sequence(dicom.TagViewCodeSequence, func(item *dicom.Builder) {
//		item.String(dicom.TagCodeValue, "399162004")
//	})
//	d, err := b.Dataset()
type Builder struct {
	ts    *TransferSyntax
	cs    *CharacterSets
	elems []builtElement
	at    map[Tag]int // where each tag stands in elems
	err   *error      // shared with the builders of items
}

type builtElement struct {
	tag Tag
	raw []byte // the whole encoded element
}

// NewBuilder begins a data set in a transfer syntax. A deflated one is built inflated.
func NewBuilder(ts *TransferSyntax) *Builder { return &Builder{ts: ts, err: new(error)} }

func (b *Builder) fail(tag Tag, reason string) {
	if *b.err == nil {
		*b.err = &Error{Op: "build", Path: tag.String(), Offset: -1, Reason: reason, Kind: ErrMalformed}
	}
}

// Raw adds an element with an encoded value, which is padded to an even length.
func (b *Builder) Raw(tag Tag, vr VR, raw []byte) {
	enc, err := appendElement(nil, b.ts.encoding(), tag, vr, padded(raw, vr))
	if err != nil && *b.err == nil {
		*b.err = err
	}
	b.add(tag, enc)
}

func (b *Builder) add(tag Tag, raw []byte) {
	if i, ok := b.at[tag]; ok {
		b.elems[i].raw = raw
		return
	}
	if b.at == nil {
		b.at = map[Tag]int{}
	}
	b.at[tag] = len(b.elems)
	b.elems = append(b.elems, builtElement{tag, raw})
}

func (b *Builder) vrOf(tag Tag) VR {
	if tag.IsPrivateCreator() {
		return VRLO
	}
	if e, ok := LookupTag(tag); ok {
		return e.VR
	}
	b.fail(tag, "the dictionary does not know it: give its VR")
	return VRUN
}

// String adds a text element of the dictionary, its values joined by backslashes and encoded by (0008,0005) if that was added before.
func (b *Builder) String(tag Tag, values ...string) { b.Text(tag, b.vrOf(tag), values...) }

// Text adds a text element with its VR.
func (b *Builder) Text(tag Tag, vr VR, values ...string) {
	if !vr.IsText() {
		b.fail(tag, "its VR is not text")
		return
	}
	s := strings.Join(values, `\`)
	raw := []byte(s)
	if tag == TagSpecificCharacterSet {
		b.cs, _ = ParseCharacterSets(values)
	}
	if vr.Charset() && !isASCII(raw) {
		var err error
		if raw, err = b.cs.Encode(s); err != nil {
			b.fail(tag, "the text does not fit the character set")
		}
	}
	b.Raw(tag, vr, raw)
}

// Empty adds an element of the dictionary without a value (type 2).
func (b *Builder) Empty(tags ...Tag) {
	for _, t := range tags {
		b.Raw(t, b.vrOf(t), nil)
	}
}

func (b *Builder) order() binary.AppendByteOrder {
	if b.ts.BigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Ints adds integers in the VR that the dictionary gives.
func (b *Builder) Ints(tag Tag, values ...int) { b.Integers(tag, b.vrOf(tag), values...) }

// Integers adds integers in a VR: IS, DS, US, SS, UL, SL, UV, SV, AT, OB or OW.
func (b *Builder) Integers(tag Tag, vr VR, values ...int) {
	o := b.order()
	var raw []byte
	switch vr {
	case VRIS, VRDS:
		s := make([]string, len(values))
		for i, v := range values {
			s[i] = strconv.Itoa(v)
		}
		raw = []byte(strings.Join(s, `\`))
	default:
		for _, v := range values {
			switch vr {
			case VRUS, VRSS, VROW:
				raw = o.AppendUint16(raw, uint16(v))
			case VRUL, VRSL:
				raw = o.AppendUint32(raw, uint32(v))
			case VRUV, VRSV:
				raw = o.AppendUint64(raw, uint64(v))
			case VRAT:
				raw = o.AppendUint16(o.AppendUint16(raw, uint16(v>>16)), uint16(v))
			case VROB:
				raw = append(raw, byte(v))
			default:
				b.fail(tag, "its VR does not hold integers")
			}
		}
	}
	b.Raw(tag, vr, raw)
}

// Floats adds numbers in the VR that the dictionary gives.
func (b *Builder) Floats(tag Tag, values ...float64) { b.Numbers(tag, b.vrOf(tag), values...) }

// Numbers adds numbers in a VR: DS (rounded to its 16 characters), FL, FD, OF or OD.
func (b *Builder) Numbers(tag Tag, vr VR, values ...float64) {
	o := b.order()
	var raw []byte
	for i, v := range values {
		switch vr {
		case VRDS:
			if i > 0 {
				raw = append(raw, '\\')
			}
			raw = append(raw, FormatDS(v)...)
		case VRFL, VROF:
			raw = o.AppendUint32(raw, math.Float32bits(float32(v)))
		case VRFD, VROD:
			raw = o.AppendUint64(raw, math.Float64bits(v))
		default:
			b.fail(tag, "its VR does not hold real numbers")
		}
	}
	b.Raw(tag, vr, raw)
}

// FormatDS writes a decimal string of at most 16 characters (PS3.5 6.2).
func FormatDS(v float64) string {
	for prec := 17; prec > 0; prec-- {
		if s := strconv.FormatFloat(v, 'g', prec, 64); len(s) <= 16 {
			if p := strconv.FormatFloat(v, 'f', -1, 64); len(p) <= 16 {
				return p
			}
			return s
		}
	}
	return "0"
}

// Sequence adds a sequence of defined length with an item for each function.
func (b *Builder) Sequence(tag Tag, items ...func(item *Builder)) {
	var raw []byte
	for _, fill := range items {
		raw = b.appendItem(raw, fill)
	}
	b.Raw(tag, VRSQ, raw)
}

// Items encodes items as the value of a sequence, for [Edit.Insert] and [Edit.SetElement].
func (b *Builder) Items(items ...func(item *Builder)) ([]byte, error) {
	var raw []byte
	for _, fill := range items {
		raw = b.appendItem(raw, fill)
	}
	return raw, *b.err
}

func (b *Builder) appendItem(raw []byte, fill func(*Builder)) []byte {
	item := &Builder{ts: b.ts, cs: b.cs, err: b.err}
	fill(item)
	body := item.bytes()
	o := b.order()
	raw = o.AppendUint16(o.AppendUint16(raw, 0xFFFE), 0xE000)
	raw = o.AppendUint32(raw, uint32(len(body)))
	return append(raw, body...)
}

// Fragments adds encapsulated pixel data (PS3.5 A.4): a basic offset table, if one is given even if empty, then the fragments.
func (b *Builder) Fragments(tag Tag, offsets []uint32, fragments ...[]byte) {
	le := binary.LittleEndian
	raw := []byte{byte(tag >> 16), byte(tag >> 24), byte(tag), byte(tag >> 8), 'O', 'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	raw = append(raw, 0xFE, 0xFF, 0x00, 0xE0)
	raw = le.AppendUint32(raw, uint32(4*len(offsets)))
	for _, x := range offsets {
		raw = le.AppendUint32(raw, x)
	}
	for _, f := range fragments {
		raw = append(raw, 0xFE, 0xFF, 0x00, 0xE0)
		raw = le.AppendUint32(raw, uint32(len(f)+len(f)%2))
		raw = append(raw, f...)
		if len(f)%2 == 1 {
			raw = append(raw, 0)
		}
	}
	b.add(tag, append(raw, 0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0))
}

func (b *Builder) bytes() []byte {
	sorted := slices.SortedFunc(slices.Values(b.elems), func(x, y builtElement) int { return cmp.Compare(x.tag, y.tag) })
	n := 0
	for _, e := range sorted {
		n += len(e.raw)
	}
	out := make([]byte, 0, n)
	for _, e := range sorted {
		out = append(out, e.raw...)
	}
	return out
}

// Dataset is what was built.
func (b *Builder) Dataset() (*Dataset, error) {
	if *b.err != nil {
		return nil, *b.err
	}
	return ParseDataset(b.bytes(), b.ts, Limits{Depth: 120})
}
