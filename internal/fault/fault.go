// Package fault names the few kinds of failure that Vitrine tells apart. Each door maps a kind once to its own protocol: an HTTP status, a DIMSE
// status, an exit code.
//
// A fault says what was attempted, on what, and why it failed. It is made for people and for logs, so it never carries a value taken from a data
// set, a file name, an original UID or an identifier of a patient: callers name tags, ordinals and pseudonymous identifiers only.
package fault

import (
	"errors"
	"strings"
)

// Kind is what went wrong, as far as a caller can act on it.
type Kind int

// The kinds.
const (
	Internal    Kind = iota // not foreseen: a defect here
	Invalid                 // the input breaks a rule of its format
	Denied                  // policy said no
	NotFound                // no such thing, or none that the caller may know of
	Conflict                // it contradicts what is held already
	TooLarge                // over a bound
	Unavailable             // a needed part (disk, database, store) does not answer; try again
	Corrupt                 // stored bytes are not what was stored
)

var kindNames = [...]string{"internal", "invalid", "denied", "not found", "conflict", "too large", "unavailable", "corrupt"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "internal"
	}
	return kindNames[k]
}

// Error is a failure with its kind. Attempt and Object say what was being done and on what; Reason says why it failed.
type Error struct {
	Kind    Kind
	Attempt string // "store instance"
	Object  string // "collection default", "element (0008,0018)"; may be empty
	Reason  string // may be empty when Err says it
	Err     error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Attempt)
	if e.Object != "" {
		b.WriteString(": ")
		b.WriteString(e.Object)
	}
	if e.Reason != "" {
		b.WriteString(": ")
		b.WriteString(e.Reason)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// New makes a fault without a cause.
func New(kind Kind, attempt, object, reason string) error {
	return &Error{Kind: kind, Attempt: attempt, Object: object, Reason: reason}
}

// Wrap makes a fault from a cause; nil stays nil.
func Wrap(kind Kind, attempt, object string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Attempt: attempt, Object: object, Err: err}
}

// KindOf is the kind of the outermost fault in err's chain; Internal if there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is a fault of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
