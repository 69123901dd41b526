package dicom

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// Value is the encoded value of entry i, which must not be changed; nil if it is elided. Of a sequence or an encapsulated value it is everything
// within, without the delimiter.
func (d *Dataset) Value(i int) []byte {
	e := &d.elems[i]
	if e.flags&flagElided != 0 {
		return nil
	}
	return d.buf[e.ValueStart:e.ValueEnd:e.ValueEnd]
}

// Raw is the whole encoded entry: header, value, delimiter.
func (d *Dataset) Raw(i int) []byte {
	e := &d.elems[i]
	return d.buf[e.Start:e.End:e.End]
}

// VR is the value representation by which the value of entry i is to be read: as written, or the dictionary's where it was written as UN
// (PS3.5 6.2.2, Note 2).
func (d *Dataset) VR(i int) VR {
	e := &d.elems[i]
	if e.VR != VRUN && e.VR.Known() {
		return e.VR
	}
	if e.IsSequence() {
		return VRSQ
	}
	if !e.Tag.IsPrivate() {
		if x, ok := LookupTag(e.Tag); ok {
			return x.VR
		}
		return VRUN
	}
	if e.Tag.IsPrivateCreator() {
		return VRLO
	}
	if c := d.Creator(i); c != "" {
		if x, ok := LookupPrivate(c, e.Tag); ok {
			return x.VR
		}
	}
	return VRUN
}

// Charsets are the character sets in force at entry i: the item's own, or those of what encloses it (PS3.5 7.5.3).
func (d *Dataset) Charsets(i int) *CharacterSets {
	for p := d.elems[i].Parent; p != Root; p = d.elems[p].Parent {
		if d.elems[p].IsItem() {
			if cs := d.ownCharsets(int(p)); cs != nil {
				return cs
			}
		}
	}
	return d.cs
}

func (d *Dataset) ownCharsets(parent int) *CharacterSets {
	i := d.FindIn(parent, TagSpecificCharacterSet)
	if i < 0 {
		return nil
	}
	values := strings.Split(string(d.Value(i)), `\`)
	for k := range values {
		values[k] = trimPadding(values[k])
	}
	cs, _ := ParseCharacterSets(values) // what is not known decodes as it can; the bytes stay
	return cs
}

// Text is the value of entry i decoded to UTF-8, its trailing padding trimmed, not split; empty if it is not text.
func (d *Dataset) Text(i int) string {
	vr := d.VR(i)
	if !vr.IsText() {
		return ""
	}
	b := d.Value(i)
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	if !vr.Charset() || isASCII(b) && !hasEscape(b) {
		return string(b)
	}
	return d.Charsets(i).Decode(b, vr)
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func hasEscape(b []byte) bool {
	for _, c := range b {
		if c == 0x1B {
			return true
		}
	}
	return false
}

// Strings are the values of entry i decoded to UTF-8, split at backslashes where its VR allows several values, padding trimmed.
func (d *Dataset) Strings(i int) []string {
	text := d.Text(i)
	if text == "" {
		return nil
	}
	vr := d.VR(i)
	if vr.SingleValued() {
		return []string{text}
	}
	values := strings.Split(text, `\`)
	for k, v := range values {
		values[k] = trimPadding(v)
	}
	return values
}

// String is the first value of the top-level element with this tag; empty if it is absent or not text.
func (d *Dataset) String(tag Tag) string { return d.StringIn(Root, tag) }

// StringIn is the first value of the element with this tag directly within parent.
func (d *Dataset) StringIn(parent int, tag Tag) string {
	i := d.FindIn(parent, tag)
	if i < 0 {
		return ""
	}
	text := d.Text(i)
	if !d.VR(i).SingleValued() {
		text, _, _ = strings.Cut(text, `\`)
	}
	return trimPadding(text)
}

// ValidUID reports a string of the form of a UID (PS3.5 9.1): up to 64 digits and full stops. Leading zeros in a component pass, because real files have them.
func ValidUID(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '.' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// UID is the first value of the top-level UI element with this tag, its padding trimmed.
func (d *Dataset) UID(tag Tag) string {
	i := d.Find(tag)
	if i < 0 {
		return ""
	}
	s, _, _ := strings.Cut(string(d.Value(i)), `\`)
	return trimPadding(s)
}

// Int is the first number of the top-level element with this tag, binary or text (IS, DS with an integral value).
func (d *Dataset) Int(tag Tag) (int64, bool) {
	i := d.Find(tag)
	if i < 0 {
		return 0, false
	}
	n := d.Ints(i)
	if len(n) == 0 {
		return 0, false
	}
	return n[0], true
}

// Ints are the integers of entry i; of text, those values that are integers.
func (d *Dataset) Ints(i int) []int64 {
	e := &d.elems[i]
	b := d.Value(i)
	vr := d.VR(i)
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian() {
		order = binary.BigEndian
	}
	var out []int64
	switch vr {
	case VRUS, VROW:
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, int64(order.Uint16(b)))
		}
	case VRSS:
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, int64(int16(order.Uint16(b))))
		}
	case VRUL, VROL:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, int64(order.Uint32(b)))
		}
	case VRAT:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, int64(order.Uint16(b))<<16|int64(order.Uint16(b[2:])))
		}
	case VRSL:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, int64(int32(order.Uint32(b))))
		}
	case VRSV, VRUV, VROV:
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, int64(order.Uint64(b)))
		}
	case VROB:
		for _, c := range b {
			out = append(out, int64(c))
		}
	case VRIS, VRDS:
		for _, s := range d.Strings(i) {
			if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
				out = append(out, n)
			} else if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
				out = append(out, int64(f))
			}
		}
	}
	return out
}

// Floats are the numbers of entry i, of whatever VR.
func (d *Dataset) Floats(i int) []float64 {
	e := &d.elems[i]
	b := d.Value(i)
	var order binary.ByteOrder = binary.LittleEndian
	if e.BigEndian() {
		order = binary.BigEndian
	}
	var out []float64
	switch d.VR(i) {
	case VRFL, VROF:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, float64(math.Float32frombits(order.Uint32(b))))
		}
	case VRFD, VROD:
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, math.Float64frombits(order.Uint64(b)))
		}
	case VRDS, VRIS:
		for _, s := range d.Strings(i) {
			if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
				out = append(out, f)
			}
		}
	default:
		for _, n := range d.Ints(i) {
			out = append(out, float64(n))
		}
	}
	return out
}
