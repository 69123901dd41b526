package deid

import (
	"sort"
	"sync"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Action is what the Basic Profile does to an element (PS3.15 Table E.1-1a). Compound actions leave the choice to the type that the element has in
// the object's IOD.
type Action uint8

// The actions of Table E.1-1a.
const (
	ActionX   Action = iota + 1 // remove
	ActionZ                     // empty, or a dummy
	ActionD                     // a dummy of the same VR
	ActionU                     // another UID, the same everywhere
	ActionK                     // keep
	ActionXZ                    // X, Z if type 2
	ActionXD                    // X, D if type 1
	ActionZD                    // Z, D if type 1
	ActionXZD                   // X, Z if type 2, D if type 1
	ActionXZU                   // X or Z, or other UIDs within
)

var actionNames = [...]string{"", "X", "Z", "D", "U", "K", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}

func (a Action) String() string { return actionNames[a] }

// Option is one of the options of PS3.15 E.3, or several.
type Option uint16

// The options of PS3.15 E.3.
const (
	RetainSafePrivate Option = 1 << iota
	RetainUIDs
	RetainDeviceIdentity
	RetainInstitution
	RetainPatientCharacteristics
	RetainFullDates
	RetainModifiedDates
	CleanDescriptors
	CleanStructuredContent
	CleanGraphics
	CleanPixelData
	CleanVisualFeatures
)

// methodCode is a code of PS3.16 CID 7050.
type methodCode struct {
	option  Option // 0: the Basic Profile itself
	code    string
	meaning string
}

var methodCodes = [...]methodCode{
	{0, "113100", "Basic Application Confidentiality Profile"},
	{CleanPixelData, "113101", "Clean Pixel Data Option"},
	{CleanVisualFeatures, "113102", "Clean Recognizable Visual Features Option"},
	{CleanGraphics, "113103", "Clean Graphics Option"},
	{CleanStructuredContent, "113104", "Clean Structured Content Option"},
	{CleanDescriptors, "113105", "Clean Descriptors Option"},
	{RetainFullDates, "113106", "Retain Longitudinal Temporal Information Full Dates Option"},
	{RetainModifiedDates, "113107", "Retain Longitudinal Temporal Information Modified Dates Option"},
	{RetainPatientCharacteristics, "113108", "Retain Patient Characteristics Option"},
	{RetainDeviceIdentity, "113109", "Retain Device Identity Option"},
	{RetainUIDs, "113110", "Retain UIDs Option"},
	{RetainSafePrivate, "113111", "Retain Safe Private Option"},
	{RetainInstitution, "113112", "Retain Institution Identity Option"},
}

// Row is a row of PS3.15 Table E.1-1: the Basic Profile's action, and the options that keep or clean the element instead.
type Row struct {
	Tag   dicom.Tag
	Basic Action
	Keep  Option
	Clean Option
	Later bool // added by the later edition
}

// Edition is the edition of PS3.15 that the row was transcribed from.
func (r Row) Edition() string {
	if r.Later {
		return laterEdition
	}
	return baseEdition
}

var (
	// Curves (50xx,xxxx) and overlays (60xx,3000), (60xx,4000). An overlay without its data or comments is nothing, so the rule is the group's.
	curveRow   = Row{Basic: ActionX, Clean: CleanGraphics}
	overlayRow = Row{Basic: ActionX, Clean: CleanGraphics}
	// (gggg,eeee) where gggg is odd.
	privateRowOfTable = Row{Basic: ActionX, Clean: RetainSafePrivate}
)

// LookupRow is the row of Table E.1-1 that speaks of t; false if none does.
func LookupRow(t dicom.Tag) (Row, bool) {
	var r Row
	switch {
	case t.IsPrivate():
		r = privateRowOfTable
	case t.Group()>>8 == 0x50:
		r = curveRow
	case t.Group()>>8 == 0x60:
		r = overlayRow
	default:
		i := sort.Search(len(tableRows), func(i int) bool { return tableRows[i].Tag >= t })
		if i == len(tableRows) || tableRows[i].Tag != t {
			return Row{}, false
		}
		return tableRows[i], true
	}
	r.Tag = t
	return r, true
}

// privateElement is a private element known to be safe, by the creator of its block; the block's number does not count (PS3.5 7.8.1).
type privateElement struct {
	creator string
	group   uint16
	low     uint8
	vr      dicom.VR
}

// safeOf are a creator's safe elements by group and low byte.
var safeByCreator = sync.OnceValue(func() map[string]map[uint32]dicom.VR {
	m := map[string]map[uint32]dicom.VR{}
	for _, e := range safePrivate {
		in := m[e.creator]
		if in == nil {
			in = map[uint32]dicom.VR{}
			m[e.creator] = in
		}
		in[uint32(e.group)<<8|uint32(e.low)] = e.vr
	}
	return m
})

// safePrivateVR is the VR of a safe private element; false if the element is not known to be safe.
func safePrivateVR(creator []byte, t dicom.Tag) (dicom.VR, bool) {
	vr, ok := safeByCreator()[string(creator)][uint32(t.Group())<<8|uint32(t&0xFF)]
	return vr, ok
}
