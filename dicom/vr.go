package dicom

// VR is a value representation (PS3.5 6.2), its two characters packed as they lie in a data set.
type VR uint16

// The value representations of PS3.5 Table 6.2-1.
const (
	VRAE VR = 'A'<<8 | 'E'
	VRAS VR = 'A'<<8 | 'S'
	VRAT VR = 'A'<<8 | 'T'
	VRCS VR = 'C'<<8 | 'S'
	VRDA VR = 'D'<<8 | 'A'
	VRDS VR = 'D'<<8 | 'S'
	VRDT VR = 'D'<<8 | 'T'
	VRFD VR = 'F'<<8 | 'D'
	VRFL VR = 'F'<<8 | 'L'
	VRIS VR = 'I'<<8 | 'S'
	VRLO VR = 'L'<<8 | 'O'
	VRLT VR = 'L'<<8 | 'T'
	VROB VR = 'O'<<8 | 'B'
	VROD VR = 'O'<<8 | 'D'
	VROF VR = 'O'<<8 | 'F'
	VROL VR = 'O'<<8 | 'L'
	VROV VR = 'O'<<8 | 'V'
	VROW VR = 'O'<<8 | 'W'
	VRPN VR = 'P'<<8 | 'N'
	VRSH VR = 'S'<<8 | 'H'
	VRSL VR = 'S'<<8 | 'L'
	VRSQ VR = 'S'<<8 | 'Q'
	VRSS VR = 'S'<<8 | 'S'
	VRST VR = 'S'<<8 | 'T'
	VRSV VR = 'S'<<8 | 'V'
	VRTM VR = 'T'<<8 | 'M'
	VRUC VR = 'U'<<8 | 'C'
	VRUI VR = 'U'<<8 | 'I'
	VRUL VR = 'U'<<8 | 'L'
	VRUN VR = 'U'<<8 | 'N'
	VRUR VR = 'U'<<8 | 'R'
	VRUS VR = 'U'<<8 | 'S'
	VRUT VR = 'U'<<8 | 'T'
	VRUV VR = 'U'<<8 | 'V'
)

type vrFacts uint8

const (
	vrKnown    vrFacts = 1 << iota
	vrLong             // two reserved bytes and a 32-bit length in explicit VR (PS3.5 7.1.2)
	vrText             // characters
	vrCharset          // characters of the Specific Character Set (PS3.5 6.1.2.3)
	vrWhole            // a backslash is an ordinary character: one value (PS3.5 6.4)
	vrBinary           // numbers or bytes
	vrNullPads         // padded with 00 rather than a space (PS3.5 6.2)
)

// facts are kept in a switch, which the compiler turns into a search without memory traffic: the parser asks for every element.
func (v VR) facts() vrFacts {
	switch v {
	case VRAE, VRAS, VRCS, VRDA, VRDS, VRDT, VRIS, VRTM:
		return vrKnown | vrText
	case VRUI:
		return vrKnown | vrText | vrNullPads
	case VRLO, VRPN, VRSH:
		return vrKnown | vrText | vrCharset
	case VRLT, VRST:
		return vrKnown | vrText | vrCharset | vrWhole
	case VRUC:
		return vrKnown | vrText | vrCharset | vrLong
	case VRUT:
		return vrKnown | vrText | vrCharset | vrLong | vrWhole
	case VRUR:
		return vrKnown | vrText | vrLong | vrWhole
	case VRAT, VRFD, VRFL, VRSL, VRSS, VRUL, VRUS:
		return vrKnown | vrBinary | vrNullPads
	case VROB, VROD, VROF, VROL, VROV, VROW, VRUN, VRSV, VRUV:
		return vrKnown | vrBinary | vrLong | vrNullPads
	case VRSQ:
		return vrKnown | vrLong
	}
	return 0
}

// Known reports whether v stands in PS3.5 Table 6.2-1.
func (v VR) Known() bool { return v.facts()&vrKnown != 0 }

// LongLength reports whether explicit VR encodes v with a 32-bit length (PS3.5 7.1.2).
func (v VR) LongLength() bool { return v.facts()&vrLong != 0 }

// IsText reports whether values of v are characters.
func (v VR) IsText() bool { return v.facts()&vrText != 0 }

// IsBinary reports whether values of v are numbers or bytes.
func (v VR) IsBinary() bool { return v.facts()&vrBinary != 0 }

// Charset reports whether (0008,0005) Specific Character Set applies to values of v (PS3.5 6.1.2.3).
func (v VR) Charset() bool { return v.facts()&vrCharset != 0 }

// SingleValued reports whether a backslash in v is an ordinary character (PS3.5 6.4).
func (v VR) SingleValued() bool { return v.facts()&vrWhole != 0 }

// Pad is the byte that makes a value of v even (PS3.5 6.2).
func (v VR) Pad() byte {
	if v.facts()&vrNullPads != 0 {
		return 0
	}
	return ' '
}

// WordSize is the size in bytes of the numbers in a value of v, whose order follows the transfer syntax; 1 where there are none.
func (v VR) WordSize() int {
	switch v {
	case VRAT, VROW, VRSS, VRUS:
		return 2
	case VRFL, VROF, VROL, VRSL, VRUL:
		return 4
	case VRFD, VROD, VROV, VRSV, VRUV:
		return 8
	}
	return 1
}

func (v VR) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

// ParseVR reads the two characters of a value representation; false if PS3.5 has no such one.
func ParseVR(s string) (VR, bool) {
	if len(s) != 2 {
		return 0, false
	}
	v := VR(s[0])<<8 | VR(s[1])
	return v, v.Known()
}
