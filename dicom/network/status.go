package network

import (
	"fmt"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Codes of a DIMSE status: PS3.7 C for those of every service, PS3.4 B.2.3 for those of C-STORE.
const (
	StatusSuccess               = 0x0000
	StatusProcessingFailure     = 0x0110
	StatusDuplicateInstance     = 0x0111
	StatusInvalidInstance       = 0x0117
	StatusSOPClassNotSupported  = 0x0122
	StatusNotAuthorized         = 0x0124
	StatusUnrecognizedOperation = 0x0211
	StatusMistypedArgument      = 0x0212
	StatusResourceLimitation    = 0x0213
	StatusOutOfResources        = 0xA700
	StatusDataSetMismatch       = 0xA900
	StatusCoerced               = 0xB000
	StatusElementsDiscarded     = 0xB006
	StatusMismatchWarning       = 0xB007
	StatusCannotUnderstand      = 0xC000

	// Of C-FIND, C-MOVE and C-GET (PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4).
	StatusPending            = 0xFF00
	StatusPendingUnsupported = 0xFF01 // some optional keys are not supported for matching
	StatusCancel             = 0xFE00
	StatusUnknownDestination = 0xA801
	StatusCannotCountMatches = 0xA701
	StatusCannotPerform      = 0xA702
	StatusSubOperations      = 0xB000 // complete, some of them failed
	StatusClassMismatch      = 0xA900 // the identifier does not match the SOP class

	// Of the DIMSE-N services (PS3.7 C).
	StatusNoSuchClass     = 0x0118
	StatusNoSuchInstance  = 0x0112
	StatusNoSuchAction    = 0x0123
	StatusNoSuchEvent     = 0x0113
	StatusInvalidArgument = 0x0115
)

// Status is the outcome of one operation, as its response carries it (PS3.7 C). The zero value is success.
//
// Comment reaches the peer, and often its log or screen: it never holds an identifier of a patient. It is cut to the 64 characters of an LO, and what is not
// printable ASCII, or is a backslash, becomes a question mark.
type Status struct {
	Code      uint16
	Comment   string      // (0000,0902) Error Comment
	Offending []dicom.Tag // (0000,0901) Offending Element; at most 32 are sent
	ErrorID   uint16      // (0000,0903) Error ID; 0 is not sent
}

// Success reports whether the operation was done without reserve.
func (s Status) Success() bool { return s.Code == StatusSuccess }

// Warning reports whether it was done with reserve (PS3.7 C.4).
func (s Status) Warning() bool {
	return s.Code == 0x0001 || s.Code == 0x0107 || s.Code == 0x0116 || s.Code&0xF000 == 0xB000
}

// Pending reports that more responses follow (PS3.7 C.4).
func (s Status) Pending() bool { return s.Code == StatusPending || s.Code == StatusPendingUnsupported }

// Done reports success or warning: for C-STORE, that the peer has taken the instance.
func (s Status) Done() bool { return s.Success() || s.Warning() }

// String is the code alone. The comment is the peer's text and may say anything; it is not repeated where it might end up in a log.
func (s Status) String() string { return fmt.Sprintf("%04XH", s.Code) }

// MaxComment is how much of a comment is sent: the characters of an LO (PS3.5 6.2).
const MaxComment = 64

const maxOffending = 32

// comment makes s an LO of the default character repertoire.
func comment(s string) string {
	b := make([]byte, 0, MaxComment)
	for _, r := range s {
		if len(b) == MaxComment {
			break
		}
		if r < ' ' || r > '~' || r == '\\' {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}
