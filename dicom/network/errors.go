package network

import (
	"errors"
	"fmt"
)

// Errors that a caller may want to tell apart.
var (
	ErrServerClosed    = errors.New("dicom/network: the server is closed")
	ErrReleased        = errors.New("dicom/network: the association has been released")
	ErrPeerClosed      = errors.New("dicom/network: the peer closed the connection without releasing the association")
	ErrTooManyContexts = errors.New("dicom/network: more than 128 presentation contexts do not fit one association (PS3.8 9.3.2.2)")
	ErrNoContext       = errors.New("dicom/network: no accepted presentation context for that SOP class and transfer syntax")
	ErrOddLength       = errors.New("dicom/network: a data set has an odd length, which none may have (PS3.5 7.1.1)")
	ErrNotRequestor    = errors.New("dicom/network: only the side that requested the association may do that")
	ErrReaderClosed    = errors.New("dicom/network: the data set was read after its handler had returned")
	ErrTooSlow         = errors.New("dicom/network: the peer sends too slowly")
	ErrTooManyPending  = errors.New("dicom/network: too many connections without an association, of all or of one address; this one was closed")
	ErrCanceled        = errors.New("dicom/network: the peer has canceled the operation (C-CANCEL)")
	ErrStopped         = errors.New("dicom/network: the association was stopped from this side")
)

// Sources of an abort (PS3.8 Table 9-26).
const (
	AbortByUser     = 0
	AbortByProvider = 2
)

// Reasons of an abort by the service provider (PS3.8 Table 9-26).
const (
	AbortNotSpecified               = 0
	AbortUnrecognizedPDU            = 1
	AbortUnexpectedPDU              = 2
	AbortUnrecognizedParameter      = 4
	AbortUnexpectedParameter        = 5
	AbortInvalidParameter           = 6
	abortNone                  byte = 0xFF // close without an A-ABORT: the peer has aborted or is gone
)

// AbortError is the end of an association by A-ABORT.
type AbortError struct {
	ByPeer         bool // the peer sent it; otherwise this side did
	Source, Reason byte // PS3.8 Table 9-26
	Why            string
	Err            error // the cause on this side; may be nil
}

func (e *AbortError) Error() string {
	who := "this side"
	if e.ByPeer {
		who = "the peer"
	}
	s := fmt.Sprintf("dicom/network: association aborted by %s (source %d, reason %d)", who, e.Source, e.Reason)
	if e.Why != "" {
		s += ": " + e.Why
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *AbortError) Unwrap() error { return e.Err }

// violation is a breach of the upper layer protocol: the service provider aborts (PS3.8 9.2.3, AA-8).
func violation(reason byte, why string) error {
	return &AbortError{Source: AbortByProvider, Reason: reason, Why: why}
}

// misuse is a breach of DIMSE, whose machine is the user of the upper layer.
func misuse(why string) error { return &AbortError{Source: AbortByUser, Why: why} }

// Results, sources and reasons of a rejection (PS3.8 Table 9-21).
const (
	RejectPermanent = 1
	RejectTransient = 2

	RejectByUser         = 1
	RejectByACSE         = 2
	RejectByPresentation = 3

	// by the service user
	RejectNoReason           = 1
	RejectApplicationContext = 2
	RejectCallingAE          = 3
	RejectCalledAE           = 7
	// by the service provider, ACSE
	RejectProtocolVersion = 2
	// by the service provider, presentation
	RejectCongestion = 1
	RejectLimit      = 2
)

// Rejection refuses an association (A-ASSOCIATE-RJ). A Server's Accept returns one to choose its codes; Dial returns the one it met.
type Rejection struct {
	Result, Source, Reason byte // PS3.8 Table 9-21
}

func (r *Rejection) Error() string {
	return fmt.Sprintf("dicom/network: association rejected (result %d, source %d, reason %d)", r.Result, r.Source, r.Reason)
}
