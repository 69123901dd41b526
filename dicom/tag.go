package dicom

import (
	"fmt"
	"strconv"
)

// Tag identifies an element: group in the upper 16 bits, element in the lower (PS3.5 7.1).
type Tag uint32

// NewTag is the tag (group,element).
func NewTag(group, element uint16) Tag { return Tag(group)<<16 | Tag(element) }

// Group is the group number.
func (t Tag) Group() uint16 { return uint16(t >> 16) }

// Element is the element number.
func (t Tag) Element() uint16 { return uint16(t) }

// IsPrivate reports an odd group (PS3.5 7.8).
func (t Tag) IsPrivate() bool { return t&0x10000 != 0 }

// IsPrivateCreator reports an element that reserves a private block: (gggg,0010-00FF) with gggg odd (PS3.5 7.8.1).
func (t Tag) IsPrivateCreator() bool {
	return t.IsPrivate() && t.Element() >= 0x10 && t.Element() <= 0xFF
}

// IsGroupLength reports (gggg,0000), retired outside group 0002 (PS3.5 7.2).
func (t Tag) IsGroupLength() bool { return t.Element() == 0 }

// CreatorTag is the private creator that reserves t's block, and whether t lies in a block.
func (t Tag) CreatorTag() (Tag, bool) {
	if !t.IsPrivate() || t.Element() < 0x1000 {
		return 0, false
	}
	return t&^0xFFFF | Tag(t.Element()>>8), true
}

// String is the tag as the standard writes it: (0010,0020).
func (t Tag) String() string {
	b := [11]byte{0: '(', 5: ',', 10: ')'}
	hex4(b[1:], t.Group())
	hex4(b[6:], t.Element())
	return string(b[:])
}

// Hex is the tag as DICOM JSON and DICOMweb write it: 00100020 (PS3.18 F.2.2).
func (t Tag) Hex() string {
	var b [8]byte
	hex4(b[:], t.Group())
	hex4(b[4:], t.Element())
	return string(b[:])
}

func hex4(b []byte, v uint16) {
	const digits = "0123456789ABCDEF"
	b[0], b[1], b[2], b[3] = digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15]
}

// ParseTag reads 00100020, (0010,0020), 0010,0020 or a keyword of the dictionary.
func ParseTag(s string) (Tag, error) {
	h := s
	if len(h) == 11 && h[0] == '(' && h[10] == ')' {
		h = h[1:10]
	}
	if len(h) == 9 && h[4] == ',' {
		h = h[:4] + h[5:]
	}
	if len(h) == 8 {
		if v, err := strconv.ParseUint(h, 16, 32); err == nil {
			return Tag(v), nil
		}
	}
	if e, ok := LookupKeyword(s); ok {
		return e.Tag, nil
	}
	return 0, fmt.Errorf("dicom: neither a tag (00100020) nor a keyword of the dictionary (PatientID)")
}
