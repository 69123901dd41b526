// Package custody is the spine: it takes what a door hands it through the gates and answers for it from then on.
//
// It promises: an instance that [Deposit.Receive] took is on stable storage, encrypted under its subject's key, cleaned by its collection's profile or
// held with its reason; the same bytes again change nothing; other bytes under a known SOP Instance UID are held as a conflict; what was refused left
// nothing behind. What was acknowledged before a crash is in the catalogue after the next start, because it is replayed from the packs.
//
// The way of an image: Receive parses, identifies the subject, cleans (package deid), seals (package pack: one group-committed append), and only then
// returns. The catalogue follows in batches: rows, audit and admission jobs in one transaction (commit.go). Admission happens a study at a time when its
// deposit has ended or fallen quiet (admit.go).
//
// It authenticates nobody: doors and policy have done that.
package custody

import (
	"errors"
	"io"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Data is the bytes of an instance, pulled from whoever sends them.
type Data interface {
	io.Reader
	// ReadAll appends to buf until the end (whole) or until buf holds max bytes; after that Read goes on.
	ReadAll(buf []byte, max int) (b []byte, whole bool, err error)
}

// FromReader makes Data of a reader.
func FromReader(r io.Reader) Data { return &readerData{r} }

type readerData struct{ io.Reader }

// errBrokeOff is io.ErrUnexpectedEOF of whoever sends, by another name: a parser takes that for the end of what there is, and would find a data set whole that was cut behind one of its values.
var errBrokeOff = errors.New("its sender broke off")

func (d *readerData) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errBrokeOff
	}
	return n, err
}

func (d *readerData) ReadAll(buf []byte, limit int) ([]byte, bool, error) {
	for len(buf) < limit {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(max(2*cap(buf), 64<<10), limit))
			copy(grown, buf)
			buf = grown
		}
		n, err := d.Read(buf[len(buf):min(cap(buf), limit)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, true, nil
		}
		if err != nil {
			return buf, false, err
		}
	}
	return buf, false, nil
}

// Incoming is one instance at a door.
type Incoming struct {
	// Syntax is the transfer syntax of a bare data set, as DIMSE carries it; nil if Data is a Part 10 file.
	Syntax *dicom.TransferSyntax
	// SOPClassUID and SOPInstanceUID are what the message around the data set says; a data set that says otherwise is refused. Empty if there is none.
	SOPClassUID    string
	SOPInstanceUID string
	// StudyUID is the study that the sender says everything belongs to (PS3.18 10.5.1.1); a data set of another is refused. Empty if it does not say.
	StudyUID string
	// Ordinal is its place among what the deposit brings, from 1, by which its sender is told of it later; 0: the next one, as they are handed over.
	Ordinal int64
	Data    Data
	// Given is what a gateway says that has cleaned it; nil: it comes as it is.
	Given *Given
}

// Outcome is what became of an instance that was taken.
type Outcome uint8

// The outcomes. What is refused is an error instead.
const (
	Kept      Outcome = iota + 1 // cleaned, on its way to the catalogue
	Held                         // kept, and waits for a worker or a person; also if the same bytes were here before and wait still
	Duplicate                    // the same bytes were here before, and are not held; nothing changed
	Conflict                     // other bytes under a known SOP Instance UID; held
)

func (o Outcome) String() string {
	return [...]string{"refused", "kept", "held", "duplicate", "conflict"}[o]
}

// Reason says why something is held or refused. It holds no value of the data set.
type Reason struct {
	Code  string `json:"code"`
	Where string `json:"where,omitempty"` // tag path or region
	Text  string `json:"text"`
}

// Within writes the reason in at most so many bytes: of a long place the innermost tag, none where even that leaves no room for the words.
func (r Reason) Within(limit int) string {
	where := r.Where
	if len(where)+2+len(r.Text) > limit {
		where = where[strings.LastIndexByte(where, '.')+1:]
	}
	if where == "" || len(where)+2+len(r.Text) > limit {
		return r.Text[:min(len(r.Text), limit)]
	}
	return where + ": " + r.Text
}

// Receipt is the answer for one instance. The UIDs are the sender's own: they go back to the sender and nowhere else.
type Receipt struct {
	SOPClassUID    string
	SOPInstanceUID string
	StudyUID       string
	Outcome        Outcome
	Reasons        []Reason
}

// Refusal is the error for an instance that is not kept: its kind is fault.Invalid, fault.TooLarge or fault.Unavailable. The sender's UIDs are given where
// they could be read, for the answer alone.
type Refusal struct {
	SOPClassUID    string
	SOPInstanceUID string
	Reason         Reason
	Err            error // a fault
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Door names how a deposit came.
type Door string

// The doors.
const (
	DoorDIMSE  Door = "dimse"
	DoorSTOW   Door = "stow"
	DoorUpload Door = "upload"
	DoorSFTP   Door = "sftp"
	// DoorGateway is that of what was cleaned elsewhere.
	DoorGateway Door = "gateway"
	DoorPull    Door = "pull"
	DoorFolder  Door = "folder"
)
