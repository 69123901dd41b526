package dicom

import (
	"iter"
	"sort"
	"strings"
)

// The four tables are made from published sources, named where gendict reads them.
//
//go:generate go run ./internal/gendict -out . -edition $DICOM_EDITION -uid-edition $DICOM_UID_EDITION -dict $DICOM_DICT -dic $DICOM_DIC -names $DICOM_NAMES -uids $DICOM_UIDS -private $DICOM_PRIVATE -private-dic $DICOM_PRIVATE_DIC -private-rows $DICOM_PRIVATE_ROWS

// Entry is what the data dictionary says of an element (PS3.6 6, 7, 8; PS3.7 E). It is shared: do not change it.
type Entry struct {
	Tag     Tag    // of a repeating element the first of its range: (6000,3000) for every (60xx,3000)
	VR      VR     // the first of VRs; 0 for the delimiters of group FFFE, which have none
	VRs     []VR   // as listed; more than one where the standard leaves a choice, US or SS, OB or OW
	VM      string // value multiplicity: 1, 1-n, 2-2n
	Keyword string
	Name    string
	Retired bool
}

var (
	groupLength    = &Entry{Tag: 0, VR: VRUL, VRs: []VR{VRUL}, VM: "1", Keyword: "GenericGroupLength", Name: "Generic Group Length", Retired: true}
	privateCreator = &Entry{Tag: 0x00090010, VR: VRLO, VRs: []VR{VRLO}, VM: "1", Keyword: "PrivateCreator", Name: "Private Creator"}
)

// LookupTag is what the dictionary says of t. Repeating elements (50xx, 60xx, 7Fxx, (0020,31xx) and their like) are found under each of their tags,
// group lengths are UL (PS3.5 7.2), elements that reserve a private block are LO (PS3.5 7.8.1). Other private elements are not found:
// LookupPrivate knows some.
//
// It neither allocates nor builds anything: parsing implicit VR asks for every element.
func LookupTag(t Tag) (*Entry, bool) {
	if e := standardEntry(t); e != nil {
		return e, true
	}
	return lookupRange(t)
}

func standardEntry(t Tag) *Entry {
	slot := uint32(t) * dictMultiplier >> dictShift
	for {
		n := dictHash[slot]
		if n == 0 {
			return nil
		}
		if e := &dictEntries[n-1]; e.Tag == t {
			return e
		}
		slot = (slot + 1) & uint32(len(dictHash)-1)
	}
}

// lookupRange finds what the table holds under another tag (PS3.5 7.6) or not at all.
func lookupRange(t Tag) (*Entry, bool) {
	var first Tag
	switch g := t.Group(); {
	case t.Element() == 0:
		return groupLength, true
	case g&1 != 0:
		return privateCreator, t.IsPrivateCreator()
	case g>>8 == 0x50, g>>8 == 0x60, g>>8 == 0x7F:
		first = t & 0xFF00FFFF
	case g == 0x0020 && t.Element()>>8 == 0x31:
		first = t & 0xFFFFFF00
	case g == 0x0028 && (t.Element()>>8 == 0x04 || t.Element()>>8 == 0x08):
		first = t&0xFFFFFF0F | 0x10
	case g == 0x1000:
		first = t&0xFFFF000F | 0x10
	case g == 0x1010:
		first = TagZonalMap
	default:
		return nil, false
	}
	e := standardEntry(first)
	return e, e != nil
}

// LookupKeyword is the element of a keyword, PatientID; the case counts.
func LookupKeyword(keyword string) (*Entry, bool) {
	n := sort.Search(len(dictByKeyword), func(i int) bool { return dictEntries[dictByKeyword[i]].Keyword >= keyword })
	if n == len(dictByKeyword) {
		return nil, false
	}
	e := &dictEntries[dictByKeyword[n]]
	return e, e.Keyword == keyword
}

// Keyword is the keyword of a tag, or its numbers where it has none.
func (t Tag) Keyword() string {
	if e, ok := LookupTag(t); ok {
		return e.Keyword
	}
	return t.String()
}

// PrivateEntry is what makers, or people who read their files, have published of a private element. It helps reading implicit VR; it is no promise
// that an element holds what its name says.
type PrivateEntry struct {
	Creator string // the value of the private creator element
	Group   uint16 // for the creators that use 50xx, 60xx or 70xx like repeating groups, the first odd one
	Low     byte   // low byte of the element: ee of (gggg,xxee)
	VR      VR
	VM      string
	Name    string // may be empty
}

type privateSpan struct {
	creator    string
	start, end uint16
}

// LookupPrivate is what is known of the private element t in a block reserved by creator; the block's number in t does not count.
func LookupPrivate(creator string, t Tag) (*PrivateEntry, bool) {
	if _, ok := t.CreatorTag(); !ok {
		return nil, false
	}
	creator = strings.Trim(creator, " \x00")
	n := sort.Search(len(privateCreators), func(i int) bool { return privateCreators[i].creator >= creator })
	if n == len(privateCreators) || privateCreators[n].creator != creator {
		return nil, false
	}
	span := privateEntries[privateCreators[n].start:privateCreators[n].end]
	if e := privateIn(span, t.Group(), byte(t)); e != nil {
		return e, true
	}
	if high := t.Group() >> 8; high == 0x50 || high == 0x60 || high == 0x70 {
		e := privateIn(span, high<<8|1, byte(t))
		return e, e != nil
	}
	return nil, false
}

func privateIn(span []PrivateEntry, group uint16, low byte) *PrivateEntry {
	key := uint32(group)<<8 | uint32(low)
	n := sort.Search(len(span), func(i int) bool { return uint32(span[i].Group)<<8|uint32(span[i].Low) >= key })
	if n < len(span) && span[n].Group == group && span[n].Low == low {
		return &span[n]
	}
	return nil
}

// UIDNamed is the UID that PS3.6 A gives a name to: "CT Image Storage" or, as toolkits write it, "CTImageStorage". Case does not count.
func UIDNamed(name string) (string, bool) {
	fold := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'A' && r <= 'Z':
				return r | 0x20
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return r
			}
			return -1
		}, s)
	}
	want := fold(name)
	for _, u := range uidNames {
		if want != "" && fold(u[1]) == want {
			return u[0], true
		}
	}
	return "", false
}

// UIDName is the name that PS3.6 A gives a UID: of a SOP class, a transfer syntax, a well-known frame of reference and so on.
func UIDName(uid string) (string, bool) {
	n := sort.Search(len(uidNames), func(i int) bool { return uidNames[i][0] >= uid })
	if n == len(uidNames) || uidNames[n][0] != uid {
		return "", false
	}
	return uidNames[n][1], true
}

// Entries are the elements that the dictionary has, in the order of their tags; of a repeating element the first.
func Entries() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := range dictEntries {
			if !yield(&dictEntries[i]) {
				return
			}
		}
	}
}
