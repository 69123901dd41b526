package dicom

import (
	"errors"
	"fmt"
	"strings"
)

// What can be wrong with encoded bytes; every [Error] of this package wraps one of them.
var (
	ErrNotDICOM      = errors.New("not DICOM")
	ErrTruncated     = errors.New("the bytes end too early")
	ErrMalformed     = errors.New("malformed")
	ErrTooLarge      = errors.New("over a limit")
	ErrDepth         = errors.New("nested too deep")
	ErrUnknownSyntax = errors.New("unknown transfer syntax")
)

// Error says what could not be read or written, where, and why. It holds no value of the data set.
type Error struct {
	Op     string // "parse", "edit"
	Path   string // tag path: "(0040,0275)[0].(0008,0050)"; empty outside any element
	Offset int64  // in the data set or file; -1 if it has none
	Reason string
	Kind   error // one of the package's Err variables
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("dicom: ")
	b.WriteString(e.Op)
	if e.Path != "" {
		b.WriteString(" at ")
		b.WriteString(e.Path)
	}
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (byte %d)", e.Offset)
	}
	b.WriteString(": ")
	b.WriteString(e.Kind.Error())
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Kind }
