package deid

import (
	"fmt"
	"slices"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Told is what was done to elements, for people: the form that reports of a deposit and of [Report] share.
type Told struct {
	Objects  int64         `json:"objects"` // that were cleaned
	Actions  Actions       `json:"actions"`
	Elements []ToldElement `json:"elements"`
	Rules    []RuleCount   `json:"rules,omitempty"` // of the collection's own
}

// ToldElement says what was done to an element, and by what.
type ToldElement struct {
	Element  string `json:"element,omitempty"` // of a private one with xx for its block; empty: elements that no table knows, of which none is named
	Creator  string `json:"creator,omitempty"`
	Keyword  string `json:"keyword,omitempty"`
	Name     string `json:"name"`
	Action   string `json:"action"` // removed, emptied, replaced, cleaned, remapped, shifted, added, kept
	By       string `json:"by"`
	Row      string `json:"row,omitempty"` // action code of Table E.1-1
	Rule     string `json:"rule,omitempty"`
	Elements int64  `json:"elements"`
	Objects  int64  `json:"objects"`
}

// bySource says in words what decided.
var bySource = map[Source]string{
	ByTable: "PS3.15 Table E.1-1", ByVR: "the dictionary", ByContent: "structured content and graphics", ByPrivate: "private, not known to be safe", BySafe: "known to be safe",
	ByBlob: "a vendor's block of parameters", ByOwn: "a rule of the collection's own", ByNobody: "in no table", ByEncoding: "encoded as something else than it is", ByStructure: "PS3.5 7.2, PS3.10 7.1",
	ByMarker: "PS3.15 E.1.1", ByGate: "found by the gate, and accepted without it",
}

// Tell puts what was done into words.
func (d *Done) Tell() Told {
	t := Told{Objects: d.Objects, Actions: d.Actions(), Elements: make([]ToldElement, 0, len(d.Lines)), Rules: d.Rules}
	lines := d.Lines
	if n := slices.IndexFunc(lines, func(l LineCount) bool { return l.Tag != 0 }); n > 0 {
		lines = append(slices.Clone(lines[n:]), lines[:n]...) // what is not named comes last
	}
	for _, l := range lines {
		e := ToldElement{Creator: l.Creator, Action: l.Deed.String(), By: bySource[l.By], Rule: l.Rule, Elements: l.Elements, Objects: l.Objects}
		switch {
		case l.Tag == 0:
			e.Name = unnamed[l.By]
			if l.Creator != "" {
				e.Name = "other private elements"
			}
		case l.Tag.IsPrivate():
			e.Element, e.Name = fmt.Sprintf("(%04X,xx%02X)", l.Tag.Group(), uint8(l.Tag)), "private element"
			if p, ok := dicom.LookupPrivate(l.Creator, dicom.NewTag(l.Tag.Group(), 0x1000|uint16(uint8(l.Tag)))); ok && p.Name != "" {
				e.Name = p.Name
			}
		default:
			e.Element = l.Tag.String()
			if entry, ok := dicom.LookupTag(l.Tag); ok {
				e.Keyword, e.Name = entry.Keyword, entry.Name
			}
			if l.By == ByTable {
				if row, ok := LookupRow(l.Tag); ok {
					e.Row = row.Basic.String()
				}
			}
		}
		t.Elements = append(t.Elements, e)
	}
	return t
}

// unnamed is what elements are called that are not named.
var unnamed = map[Source]string{ByGate: "elements that no table knows", ByPrivate: "private elements of makers that no table knows", ByNobody: "elements that neither table nor dictionary knows", ByStructure: "group lengths and misplaced groups",
	ByOwn: "private elements", BySafe: "private elements"}
