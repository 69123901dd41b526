package deid

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Deed is what was done to an element.
type Deed byte

// The deeds, by the letters that docs/formats/report.md gives them.
const (
	Removed  Deed = 'x' // taken out, with all that lay within
	Emptied  Deed = 'z' // left without a value
	Replaced Deed = 'd' // given a dummy, a pseudonym, a code or a coarser number
	Altered  Deed = 'c' // lost part of its text, or of a vendor's block
	Remapped Deed = 'u' // given another UID
	Shifted  Deed = 's' // given an earlier date, or a time without fractions
	Added    Deed = 'a' // a marker of the de-identification
	KeptSafe Deed = 'k' // a private element that is known to be safe, left as it was
)

var deedWords = map[Deed]string{Removed: "removed", Emptied: "emptied", Replaced: "replaced", Altered: "cleaned", Remapped: "remapped", Shifted: "shifted", Added: "added", KeptSafe: "kept"}

func (d Deed) String() string { return deedWords[d] }

// Source is what a deed was decided by.
type Source byte

// The sources, by the letters that docs/formats/report.md gives them.
const (
	ByTable     Source = 't' // a row of PS3.15 Table E.1-1
	ByVR        Source = 'v' // the dictionary: the table has no row
	ByContent   Source = 'c' // the rules for structured content and graphics
	ByPrivate   Source = 'p' // a private element that is not known to be safe
	BySafe      Source = 'f' // a private element that is
	ByBlob      Source = 'b' // a vendor's block, written anew
	ByOwn       Source = 'o' // a rule of the collection's own
	ByNobody    Source = 'n' // neither table nor dictionary knows the element
	ByEncoding  Source = 'w' // the encoding does not agree with the dictionary
	ByStructure Source = 'l' // group lengths, and groups that have no place in a data set
	ByMarker    Source = 'm' // what says that the object was de-identified
	ByGate      Source = 'g' // what the gate or the echo found, in what a person accepted
)

// sources is every source, in the order of reports.
var sources = []Source{ByTable, ByVR, ByContent, ByPrivate, BySafe, ByBlob, ByOwn, ByNobody, ByEncoding, ByStructure, ByMarker, ByGate}

// Line says what was done to an element, wherever it stands, and by what.
type Line struct {
	// Tag is the element, without what a sender chooses: of a private one without the number of its block, of a range the first of it. 0: elements that are not named,
	// because no table knows them.
	Tag     dicom.Tag
	Creator string // of a private element, if it is one that a table or a rule names
	Deed    Deed
	By      Source
	Rule    string // of the collection's own
}

func compareLines(a, b Line) int {
	switch {
	case a.Tag != b.Tag:
		return cmp.Compare(a.Tag, b.Tag)
	case a.Creator != b.Creator:
		return strings.Compare(a.Creator, b.Creator)
	case a.Deed != b.Deed:
		return cmp.Compare(a.Deed, b.Deed)
	case a.By != b.By:
		return cmp.Compare(a.By, b.By)
	}
	return strings.Compare(a.Rule, b.Rule)
}

// LineCount says how often: how many elements, in how many objects.
type LineCount struct {
	Line
	Elements, Objects int64
}

// Done is what was done to the elements of cleaned objects. It has no value of any of them, and no tag or name that a sender made up.
type Done struct {
	Objects  int64 // that were cleaned
	Kept     int64 // elements that stay as they were
	Concepts int64 // content items that were taken out whole, or have a dummy for a value
	Lines    []LineCount
	Rules    []RuleCount // elements that each of the collection's own rules decided on, also where they stay
}

// Actions sums what was done by the kind of deed.
func (d *Done) Actions() Actions {
	a := Actions{Kept: int(d.Kept), Concepts: int(d.Concepts)}
	for _, l := range d.Lines {
		n := int(l.Elements)
		switch l.Deed {
		case Removed:
			a.Removed += n
		case Emptied:
			a.Emptied += n
		case Replaced:
			a.Replaced += n
		case Altered:
			a.Cleaned += n
		case Remapped:
			a.Remapped += n
		case Shifted:
			a.Shifted += n
		case Added:
			a.Added += n
		}
	}
	return a
}

// Add counts what else was done.
func (a *Actions) Add(lines []Line) {
	for _, l := range lines {
		switch l.Deed {
		case Emptied:
			a.Emptied++
		case Replaced:
			a.Replaced++
		case Altered:
			a.Cleaned++
		}
	}
}

// Add adds what was done to other objects, so many times. It is for sums: what [Subject.Clean] says was done to one object others may share.
func (d *Done) Add(o *Done, times int64) {
	d.Objects += times * o.Objects
	d.Kept += times * o.Kept
	d.Concepts += times * o.Concepts
	sum := make([]LineCount, 0, max(len(d.Lines), len(o.Lines)))
	i := 0
	for _, l := range o.Lines {
		for i < len(d.Lines) && compareLines(d.Lines[i].Line, l.Line) < 0 {
			sum = append(sum, d.Lines[i])
			i++
		}
		l.Elements, l.Objects = times*l.Elements, times*l.Objects
		if i < len(d.Lines) && d.Lines[i].Line == l.Line {
			l.Elements, l.Objects = l.Elements+d.Lines[i].Elements, l.Objects+d.Lines[i].Objects
			i++
		}
		sum = append(sum, l)
	}
	d.Lines = append(sum, d.Lines[i:]...)
	for _, r := range o.Rules {
		at, found := slices.BinarySearchFunc(d.Rules, r.ID, func(x RuleCount, id string) int { return strings.Compare(x.ID, id) })
		if !found {
			d.Rules = slices.Insert(d.Rules, at, RuleCount{ID: r.ID})
		}
		d.Rules[at].Elements += int(times) * r.Elements
	}
}

// doneText is how a Done is stored: docs/formats/report.md.
type doneText struct {
	Objects  int64       `json:"n"`
	Kept     int64       `json:"kept,omitempty"`
	Concepts int64       `json:"concepts,omitempty"`
	Lines    string      `json:"e,omitempty"`
	Creators []string    `json:"creators,omitempty"`
	Rules    []RuleCount `json:"rules,omitempty"`
}

// Encode writes what was done: equal counts are equal bytes.
func (d *Done) Encode() string {
	var t doneText
	b := make([]byte, 0, 8*len(d.Lines)+64)
	group := -1
	for _, l := range d.Lines {
		if g := int(l.Tag.Group()); g != group {
			if group >= 0 {
				b = append(b, ';')
			}
			b = append(appendHex(b, uint16(g)), ':')
			group = g
		} else {
			b = append(b, ' ')
		}
		b = append(appendHex(b, l.Tag.Element()), byte(l.Deed), byte(l.By))
		if l.Rule != "" {
			b = strconv.AppendInt(b, int64(slices.IndexFunc(d.Rules, func(r RuleCount) bool { return r.ID == l.Rule })), 10)
		}
		if l.Creator != "" {
			at := slices.Index(t.Creators, l.Creator)
			if at < 0 {
				at, t.Creators = len(t.Creators), append(t.Creators, l.Creator)
			}
			b = strconv.AppendInt(append(b, '@'), int64(at), 10)
		}
		if l.Elements != d.Objects {
			b = strconv.AppendInt(append(b, '*'), l.Elements, 10)
		}
		if l.Objects != d.Objects {
			b = strconv.AppendInt(append(b, '/'), l.Objects, 10)
		}
	}
	// By hand, since every object that comes is written: lines hold nothing that JSON would escape.
	out := strconv.AppendInt(append(make([]byte, 0, len(b)+96), `{"n":`...), d.Objects, 10)
	if d.Kept != 0 {
		out = strconv.AppendInt(append(out, `,"kept":`...), d.Kept, 10)
	}
	if d.Concepts != 0 {
		out = strconv.AppendInt(append(out, `,"concepts":`...), d.Concepts, 10)
	}
	if len(b) > 0 {
		out = append(append(append(out, `,"e":"`...), b...), '"')
	}
	rest := struct {
		Creators []string    `json:"creators,omitempty"`
		Rules    []RuleCount `json:"rules,omitempty"`
	}{t.Creators, d.Rules}
	if len(rest.Creators)+len(rest.Rules) > 0 {
		more, err := json.Marshal(&rest)
		if err != nil {
			panic(err) // numbers and text
		}
		return string(append(append(out, ','), more[1:]...))
	}
	return string(append(out, '}'))
}

func appendHex(b []byte, n uint16) []byte {
	const digits = "0123456789abcdef"
	return append(b, digits[n>>12], digits[n>>8&15], digits[n>>4&15], digits[n&15])
}

// DecodeDone reads what [Done.Encode] wrote; a fault Corrupt if it is something else.
func DecodeDone(s string) (*Done, error) {
	bad := fault.New(fault.Corrupt, "read what was done", "", "it is not as docs/formats/report.md has it")
	var t doneText
	if err := json.Unmarshal([]byte(s), &t); err != nil {
		return nil, bad
	}
	d := &Done{Objects: t.Objects, Kept: t.Kept, Concepts: t.Concepts, Rules: t.Rules}
	if t.Lines == "" {
		return d, nil
	}
	for part := range strings.SplitSeq(t.Lines, ";") {
		g, rest, ok := strings.Cut(part, ":")
		group, err := strconv.ParseUint(g, 16, 16)
		if !ok || err != nil || len(g) != 4 {
			return nil, bad
		}
		for word := range strings.SplitSeq(rest, " ") {
			l, ok := d.parseLine(uint16(group), word, t.Creators)
			if !ok {
				return nil, bad
			}
			d.Lines = append(d.Lines, l)
		}
	}
	return d, nil
}

func (d *Done) parseLine(group uint16, word string, creators []string) (LineCount, bool) {
	l := LineCount{Elements: d.Objects, Objects: d.Objects}
	if len(word) < 6 {
		return l, false
	}
	element, err := strconv.ParseUint(word[:4], 16, 16)
	l.Tag, l.Deed, l.By = dicom.NewTag(group, uint16(element)), Deed(word[4]), Source(word[5])
	if err != nil || deedWords[l.Deed] == "" || !slices.Contains(sources, l.By) {
		return l, false
	}
	rest := word[6:]
	number := func() (int64, bool) {
		n := 0
		for n < len(rest) && digit(rest[n]) {
			n++
		}
		v, err := strconv.ParseInt(rest[:n], 10, 64)
		rest = rest[n:]
		return v, err == nil
	}
	if l.By == ByOwn {
		at, ok := number()
		if !ok || at >= int64(len(d.Rules)) {
			return l, false
		}
		l.Rule = d.Rules[at].ID
	}
	for rest != "" {
		what := rest[0]
		rest = rest[1:]
		n, ok := number()
		if !ok {
			return l, false
		}
		switch what {
		case '@':
			if n >= int64(len(creators)) {
				return l, false
			}
			l.Creator = creators[n]
		case '*':
			l.Elements = n
		case '/':
			l.Objects = n
		default:
			return l, false
		}
	}
	return l, true
}

// did notes what is done to entry i; didBy, by what, where its rule does not tell.
func (c *pass) did(i int, deed Deed) { c.didBy(i, deed, 0) }

func (c *pass) didBy(i int, deed Deed, by Source) {
	a := &c.res.Actions
	switch deed {
	case Removed:
		a.Removed++
	case Emptied:
		a.Emptied++
	case Replaced:
		a.Replaced++
	case Altered:
		a.Cleaned++
	case Remapped:
		a.Remapped++
	case Shifted:
		a.Shifted++
	case KeptSafe:
		a.Kept++
	}
	l := c.line(i, deed)
	if by != 0 {
		l.By = by
	}
	c.work.did = append(c.work.did, l)
}

// line names entry i without anything that a sender chose.
func (c *pass) line(i int, deed Deed) Line {
	el, r := c.ds.At(i), &c.work.rules[i]
	l := Line{Deed: deed, By: ByContent}
	if el.IsItem() {
		if el.Parent >= 0 {
			l.Tag = c.ds.At(int(el.Parent)).Tag // dropped items are those of sequences of the standard
		}
		return l
	}
	t := el.Tag
	if r.own != 0 {
		l.By, l.Rule = ByOwn, c.profile.own.rules[r.own-1].ID
	}
	switch {
	case t.IsGroupLength(), t.Group() <= 2:
		l.By = ByStructure
	case t.IsPrivateCreator():
		l.By, l.Creator = ByPrivate, c.named(i)
	case t.IsPrivate():
		b := c.blockOf(i)
		if b == nil || b.name == "" {
			if l.By != ByOwn {
				l.By = ByPrivate
			}
			return l
		}
		l.Creator = b.name
		if l.By == ByOwn {
			l.Tag = plainPrivate(t)
			return l
		}
		l.By = ByPrivate
		at := uint32(t.Group())<<8 | uint32(t&0xFF)
		_, safe := b.safe[at]
		_, blob := blobFilters[blobKey{b.name, t.Group(), uint8(t)}]
		switch {
		case blob:
			l.By, l.Tag = ByBlob, plainPrivate(t)
		case safe:
			l.By, l.Tag = BySafe, plainPrivate(t)
		}
	default:
		e, ok := dicom.LookupTag(t)
		if !ok {
			l.By = ByNobody
			return l
		}
		l.Tag = e.Tag
		if g := t.Group() >> 8; g == 0x50 || g == 0x60 {
			l.Tag = dicom.NewTag(g<<8, t.Element())
			if _, ok := dicom.LookupTag(l.Tag); !ok {
				l.Tag = 0
			}
		}
		switch {
		case l.By == ByOwn:
		case r.content:
		default:
			l.By = ByVR
			inTable := r.table
			if r.vr == 0 { // a rule that was not made of the element
				_, inTable = LookupRow(t)
			}
			if inTable {
				l.By = ByTable
			}
		}
	}
	return l
}

// named is the private creator at entry i, if a table, a reader of blobs or a rule of the collection's own names it; empty for any other, whose text may be anything.
func (c *pass) named(i int) string {
	if c.ds.At(i).IsSequence() {
		return ""
	}
	creator := string(bytes.Trim(c.ds.Value(i), " \x00"))
	if safeByCreator()[creator] != nil || hasBlobs([]byte(creator)) {
		return creator
	}
	if c.work.variant != nil && c.work.variant.private[creator] != nil {
		return creator
	}
	return ""
}

// plainPrivate is a private tag without the number of its block (PS3.5 7.8.1).
func plainPrivate(t dicom.Tag) dicom.Tag { return dicom.NewTag(t.Group(), uint16(t&0xFF)) }

// marked notes what is added.
func (c *pass) marked(t dicom.Tag) {
	c.res.Actions.Added++
	c.work.did = append(c.work.did, Line{Tag: t, Deed: Added, By: ByMarker})
}

// doings is what was done to one object, in the order of its entries, and its sum.
type doings struct {
	did  []Line
	done *Done
	text string // [Done.Encode]
}

// maxDoings is how many of a subject are remembered: objects of a series have the same done to them, mostly, and a few series come side by side.
const maxDoings = 4

// maxDoing is how many deeds the longest that is remembered has: that of a slice, not that of an object with thousands of frames.
const maxDoing = 512

// done sums what was done to the object, and writes it.
func (c *pass) done() (*Done, string) {
	rules := c.ruleCounts()
	slices.SortFunc(rules, func(a, b RuleCount) int { return strings.Compare(a.ID, b.ID) })
	a := &c.res.Actions
	for k := range c.doings {
		if m := &c.doings[k]; m.done != nil && m.done.Kept == int64(a.Kept) && m.done.Concepts == int64(a.Concepts) && slices.Equal(m.did, c.work.did) && slices.Equal(m.done.Rules, rules) {
			return m.done, m.text
		}
	}
	d := c.sum(rules)
	text := d.Encode()
	if len(c.work.did) <= maxDoing {
		c.doings[c.oldest] = doings{slices.Clone(c.work.did), d, text}
		c.oldest = (c.oldest + 1) % maxDoings
	}
	return d, text
}

func (c *pass) sum(rules []RuleCount) *Done {
	did := c.work.did
	// By tag first, as numbers: lines of one tag are few, and mostly equal.
	order := c.work.order[:0]
	for i, l := range did {
		order = append(order, uint64(l.Tag)<<32|uint64(i))
	}
	slices.Sort(order)
	c.work.order = order
	d := &Done{Objects: 1, Kept: int64(c.res.Actions.Kept), Concepts: int64(c.res.Actions.Concepts), Rules: rules, Lines: make([]LineCount, 0, len(did))}
	first := 0 // of the lines of this tag
	for k, o := range order {
		l := did[uint32(o)]
		if k > 0 && order[k-1]>>32 != o>>32 {
			first = len(d.Lines)
		}
		at, found := slices.BinarySearchFunc(d.Lines[first:], l, func(have LineCount, want Line) int { return compareLines(have.Line, want) })
		if found {
			d.Lines[first+at].Elements++
			continue
		}
		d.Lines = slices.Insert(d.Lines, first+at, LineCount{l, 1, 1})
	}
	return d
}
