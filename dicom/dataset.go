package dicom

import (
	"iter"
	"strconv"
	"strings"
)

// UndefinedLength is the length of a sequence, item or encapsulated value that ends with a delimiter (PS3.5 7.5).
const UndefinedLength = 0xFFFFFFFF

// Tags of items and delimiters (PS3.5 7.5).
const (
	itemTag          Tag = 0xFFFEE000
	itemDelimiterTag Tag = 0xFFFEE00D
	sequenceDelimTag Tag = 0xFFFEE0DD
)

// Root is the parent of top-level elements.
const Root = -1

type elementFlags uint8

const (
	flagImplicit     elementFlags = 1 << iota // encoded without a VR
	flagBigEndian                             // encoded big endian
	flagSequence                              // the value is a sequence of items that are entries of the index
	flagEncapsulated                          // the value is a sequence of fragments (PS3.5 A.4), not indexed one by one
	flagBulk                                  // the value is bulk
	flagElided                                // the value is bulk and does not lie in the buffer
	flagItem                                  // an item of a sequence
)

// Element is one entry of the index. Offsets count bytes in the data set's buffer: the element's header is [Start,ValueStart), its value
// [ValueStart,ValueEnd), and a delimiter, if its length is undefined, [ValueEnd,End). A value that is elided is empty here.
type Element struct {
	Tag        Tag
	VR         VR // as written; in implicit VR the dictionary's, or UN
	flags      elementFlags
	Depth      uint8  // 0 at the top level; a sequence's items and their elements are one and two deeper
	Length     uint32 // as written
	Start      uint32
	ValueStart uint32
	ValueEnd   uint32
	End        uint32
	Parent     int32 // index of the enclosing sequence or item; Root at the top level
	Next       int32 // index after the last entry within this one
}

// IsSequence reports whether the element's value is a sequence of items, whatever its VR says: PS3.5 6.2.2 lets UN hide one.
func (e *Element) IsSequence() bool { return e.flags&flagSequence != 0 }

// IsItem reports an item of a sequence.
func (e *Element) IsItem() bool { return e.flags&flagItem != 0 }

// IsEncapsulated reports a value that is a sequence of fragments (PS3.5 A.4).
func (e *Element) IsEncapsulated() bool { return e.flags&flagEncapsulated != 0 }

// BigEndian reports how the numbers of the element's value are ordered.
func (e *Element) BigEndian() bool { return e.flags&flagBigEndian != 0 }

// Implicit reports an element that is encoded without its VR.
func (e *Element) Implicit() bool { return e.flags&flagImplicit != 0 }

// Bulk is a large value at the top level, which may lie apart from the buffer.
type Bulk struct {
	Elem   int   // index of its element
	Offset int64 // where the value begins in the data set as it was read
	Len    int64 // bytes; of an encapsulated value, its fragments with their headers, without the delimiter
	Inline bool  // the value lies in the buffer
}

// Dataset is an index over encoded bytes. Entries stand in the order of the bytes, each before what lies within it. It does not change; see
// [Dataset.Edit]. It may be read by many goroutines.
type Dataset struct {
	ts      *TransferSyntax
	buf     []byte
	elems   []Element
	bulks   []Bulk
	ordered bool // top-level tags ascend strictly
	trailer int  // bytes after the last element, all zero
	cs      *CharacterSets
}

// Syntax is the transfer syntax that the data set is encoded in.
func (d *Dataset) Syntax() *TransferSyntax { return d.ts }

// Bytes are the encoded bytes, without what is elided. They must not be changed.
func (d *Dataset) Bytes() []byte { return d.buf }

// Len is the number of entries, items included.
func (d *Dataset) Len() int { return len(d.elems) }

// At is the entry i.
func (d *Dataset) At(i int) *Element { return &d.elems[i] }

// Bulks are the bulk values in order.
func (d *Dataset) Bulks() []Bulk { return d.bulks }

// IsBulk reports whether the value of entry i is bulk.
func (d *Dataset) IsBulk(i int) bool { return d.elems[i].flags&flagBulk != 0 }

// BulkOf is the bulk value of entry i.
func (d *Dataset) BulkOf(i int) (Bulk, bool) {
	if d.IsBulk(i) {
		for _, b := range d.bulks {
			if b.Elem == i {
				return b, true
			}
		}
	}
	return Bulk{}, false
}

// Ordered reports whether top-level tags ascend, each once (PS3.5 7.1).
func (d *Dataset) Ordered() bool { return d.ordered }

// Children yields the entries directly within parent: the elements of the data set (Root) or of an item, the items of a sequence.
func (d *Dataset) Children(parent int) iter.Seq[int] {
	return func(yield func(int) bool) {
		i, end := d.childRange(parent)
		for i < end {
			if !yield(i) {
				return
			}
			i = int(d.elems[i].Next)
		}
	}
}

func (d *Dataset) childRange(parent int) (first, end int) {
	if parent == Root {
		return 0, len(d.elems)
	}
	return parent + 1, int(d.elems[parent].Next)
}

// Find is the index of the first top-level element with this tag; -1 if there is none.
func (d *Dataset) Find(tag Tag) int { return d.FindIn(Root, tag) }

// FindIn is the index of the first element with this tag directly within parent (an item, or Root); -1 if there is none.
func (d *Dataset) FindIn(parent int, tag Tag) int {
	i, end := d.childRange(parent)
	sorted := parent == Root && d.ordered
	for i < end {
		e := &d.elems[i]
		if e.Tag == tag {
			return i
		}
		if sorted && e.Tag > tag {
			return -1
		}
		i = int(e.Next)
	}
	return -1
}

// Has reports whether there is a top-level element with this tag.
func (d *Dataset) Has(tag Tag) bool { return d.Find(tag) >= 0 }

// Duplicate is the index of an element whose tag was there before within the same parent, anywhere in the data set; -1 if there is none.
func (d *Dataset) Duplicate() int {
	var last []Tag // the greatest tag so far of each depth's open parent
	var seen map[int64]bool
	for i := range d.elems {
		e := &d.elems[i]
		depth := int(e.Depth)
		if e.IsItem() {
			last = last[:min(len(last), depth+1)]
			continue
		}
		if len(last) <= depth {
			last = append(last, make([]Tag, depth+1-len(last))...)
			last[depth] = e.Tag
			continue
		}
		last = last[:depth+1]
		if e.Tag > last[depth] || last[depth] == 0 {
			last[depth] = e.Tag
			continue
		}
		// Out of order: this parent is searched once in full.
		key := int64(e.Parent)
		if seen[key] {
			continue
		}
		if seen == nil {
			seen = map[int64]bool{}
		}
		seen[key] = true
		tags := map[Tag]bool{}
		for j := range d.Children(int(e.Parent)) {
			if tags[d.elems[j].Tag] {
				return j
			}
			tags[d.elems[j].Tag] = true
		}
	}
	return -1
}

// Path says where entry i stands: (0040,0275)[0].(0008,0050).
func (d *Dataset) Path(i int) string {
	var parts []string
	for i != Root {
		e := &d.elems[i]
		if e.IsItem() {
			n := 0
			for j := range d.Children(int(e.Parent)) {
				if j == i {
					break
				}
				n++
			}
			parts = append(parts, "["+strconv.Itoa(n)+"].")
		} else {
			parts = append(parts, e.Tag.String())
		}
		i = int(e.Parent)
	}
	var b strings.Builder
	for k := len(parts) - 1; k >= 0; k-- {
		b.WriteString(parts[k])
	}
	return strings.TrimSuffix(b.String(), ".")
}

// Creator is the private creator that reserves the block of entry i (PS3.5 7.8.1); empty if the element is not private or its block is not reserved.
func (d *Dataset) Creator(i int) string {
	e := &d.elems[i]
	c, ok := e.Tag.CreatorTag()
	if !ok {
		return ""
	}
	j := d.FindIn(int(e.Parent), c)
	if j < 0 {
		return ""
	}
	return trimPadding(string(d.Value(j)))
}
