package network

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/vitrine-imaging/vitrine/dicom"
)

// Command fields (PS3.7 E.1-1). A response has the highest bit set.
const (
	cmdStore    = 0x0001
	cmdGet      = 0x0010
	cmdFind     = 0x0020
	cmdMove     = 0x0021
	cmdEcho     = 0x0030
	cmdEvent    = 0x0100
	cmdAction   = 0x0130
	cmdCancel   = 0x0FFF
	cmdResponse = 0x8000
)

// noDataSet is the Command Data Set Type of a message without a data set; every other value announces one (PS3.7 E.1-1).
const noDataSet = 0x0101

// Elements of a command set (PS3.7 E.1-1).
const (
	tagGroupLength     = 0x0000
	tagAffectedClass   = 0x0002
	tagRequestedClass  = 0x0003
	tagCommandField    = 0x0100
	tagMessageID       = 0x0110
	tagRespondedTo     = 0x0120
	tagDestination     = 0x0600
	tagPriority        = 0x0700
	tagDataSetType     = 0x0800
	tagStatus          = 0x0900
	tagOffending       = 0x0901
	tagErrorComment    = 0x0902
	tagErrorID         = 0x0903
	tagAffectedUID     = 0x1000
	tagRequestedUID    = 0x1001
	tagEventType       = 0x1002
	tagActionType      = 0x1008
	tagRemaining       = 0x1020
	tagCompleted       = 0x1021
	tagFailed          = 0x1022
	tagWarnings        = 0x1023
	tagMoveOriginator  = 0x1030
	tagMoveOriginateID = 0x1031
)

// command is a command set: implicit VR little endian, group 0000 alone, in ascending order (PS3.7 6.3.1).
type command struct {
	field       uint16
	messageID   uint16
	respondedTo uint16
	priority    uint16
	dataSetType uint16
	moveID      uint16
	moveAE      string
	class, uid  string // Affected SOP Class and Instance UID; of an N-ACTION-RQ the Requested ones
	destination string // C-MOVE-RQ
	typeID      uint16 // Event or Action Type ID; 0: none
	sub         *SubOperations
	status      Status
}

// requests reports a command that names its instance as Requested and not as Affected (PS3.7 10.3).
func (c *command) requests() bool { return c.field == cmdAction }

// prioritized reports a command with a Priority.
func (c *command) prioritized() bool {
	return c.field == cmdStore || c.field == cmdFind || c.field == cmdMove || c.field == cmdGet
}

func (c *command) hasDataSet() bool { return c.dataSetType != noDataSet }
func (c *command) isResponse() bool { return c.field&cmdResponse != 0 }

var (
	errCommandTruncated = errors.New("the command set ends inside an element")
	errCommandGroup     = errors.New("the command set holds an element of another group than 0000")
	errCommandOrder     = errors.New("the command set's elements are not in ascending order")
	errCommandLength    = errors.New("an element of the command set has a length that its meaning forbids")
	errCommandMissing   = errors.New("the command set lacks a required element")
)

// parseCommand reads a command set. The group length is not relied upon: the length of what came is the bound. Elements it has no use for are passed over.
func parseCommand(b []byte, c *command) error {
	*c = command{}
	var seen struct{ field, typ, id, to, status bool }
	last := -1
	for len(b) > 0 {
		if len(b) < 8 {
			return errCommandTruncated
		}
		group, element := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		n := binary.LittleEndian.Uint32(b[4:])
		b = b[8:]
		if group != 0 {
			return errCommandGroup
		}
		if element <= last {
			return errCommandOrder
		}
		last = element
		if uint64(n) > uint64(len(b)) {
			return errCommandTruncated
		}
		v := b[:n]
		b = b[n:]
		var err error
		switch element {
		case tagGroupLength:
			if len(v) != 4 {
				err = errCommandLength
			}
		case tagAffectedClass, tagRequestedClass:
			c.class, err = uidValue(v)
		case tagAffectedUID, tagRequestedUID:
			c.uid, err = uidValue(v)
		case tagEventType, tagActionType:
			if len(v) > 0 { // optional in responses
				c.typeID, err = usValue(v)
			}
		case tagDestination:
			if c.destination = title(v); len(c.destination) > 16 {
				err = errCommandLength
			}
		case tagRemaining, tagCompleted, tagFailed, tagWarnings:
			if len(v) == 0 {
				break
			}
			if c.sub == nil {
				c.sub = &SubOperations{}
			}
			*c.sub.count(element), err = usValue(v)
		case tagCommandField:
			c.field, err = usValue(v)
			seen.field = true
		case tagMessageID:
			c.messageID, err = usValue(v)
			seen.id = true
		case tagRespondedTo:
			c.respondedTo, err = usValue(v)
			seen.to = true
		case tagPriority:
			c.priority, err = usValue(v)
		case tagDataSetType:
			c.dataSetType, err = usValue(v)
			seen.typ = true
		case tagStatus:
			c.status.Code, err = usValue(v)
			seen.status = true
		case tagErrorID:
			if len(v) > 0 {
				c.status.ErrorID, err = usValue(v)
			}
		case tagErrorComment:
			c.status.Comment = comment(strings.Trim(string(v[:min(len(v), 256)]), " \x00"))
		case tagOffending:
			for len(v) >= 4 && len(c.status.Offending) < maxOffending {
				c.status.Offending = append(c.status.Offending, dicom.NewTag(binary.LittleEndian.Uint16(v), binary.LittleEndian.Uint16(v[2:])))
				v = v[4:]
			}
		case tagMoveOriginator:
			if c.moveAE = title(v); len(c.moveAE) > 16 {
				err = errCommandLength
			}
		case tagMoveOriginateID:
			if len(v) > 0 {
				c.moveID, err = usValue(v)
			}
		}
		if err != nil {
			return err
		}
	}
	switch {
	case !seen.field || !seen.typ:
		return errCommandMissing
	case c.isResponse() && (!seen.status || !seen.to):
		return errCommandMissing
	case c.field == cmdCancel && !seen.to:
		return errCommandMissing
	case !c.isResponse() && c.field != cmdCancel && !seen.id:
		return errCommandMissing
	}
	return nil
}

func usValue(v []byte) (uint16, error) {
	if len(v) != 2 {
		return 0, errCommandLength
	}
	return binary.LittleEndian.Uint16(v), nil
}

// maxUID is the longest UID (PS3.5 9.1).
const maxUID = 64

// uidValue reads a UID without its padding; a space pads it where the sender is wrong (PS3.5 6.2 says NUL), and many are.
func uidValue(v []byte) (string, error) {
	for len(v) > 0 && (v[len(v)-1] == 0 || v[len(v)-1] == ' ') {
		v = v[:len(v)-1]
	}
	if len(v) > maxUID {
		return "", errCommandLength
	}
	for _, c := range v {
		if c <= ' ' || c > '~' {
			return "", errCommandLength
		}
	}
	return string(v), nil
}

// title reads an AE title: leading and trailing spaces mean nothing (PS3.5 6.2); some senders pad with NUL.
func title(v []byte) string { return strings.Trim(string(v), " \x00") }

// appendTo appends the command set, group length first (PS3.7 6.3.1).
func (c *command) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0)
	class, uid := uint16(tagAffectedClass), uint16(tagAffectedUID)
	if c.requests() {
		class, uid = tagRequestedClass, tagRequestedUID
	}
	if c.class != "" {
		b = appendText(b, class, c.class, 0)
	}
	b = appendUS(b, tagCommandField, c.field)
	if c.isResponse() || c.field == cmdCancel {
		b = appendUS(b, tagRespondedTo, c.respondedTo)
	} else {
		b = appendUS(b, tagMessageID, c.messageID)
	}
	if c.field == cmdMove {
		b = appendText(b, tagDestination, c.destination, ' ')
	}
	if c.prioritized() {
		b = appendUS(b, tagPriority, c.priority)
	}
	b = appendUS(b, tagDataSetType, c.dataSetType)
	if c.isResponse() {
		b = appendUS(b, tagStatus, c.status.Code)
		if off := c.status.Offending; len(off) > 0 {
			off = off[:min(len(off), maxOffending)]
			b = appendHeader(b, tagOffending, 4*len(off))
			for _, t := range off {
				b = binary.LittleEndian.AppendUint16(b, t.Group())
				b = binary.LittleEndian.AppendUint16(b, t.Element())
			}
		}
		if c.status.Comment != "" {
			b = appendText(b, tagErrorComment, comment(c.status.Comment), ' ')
		}
		if c.status.ErrorID != 0 {
			b = appendUS(b, tagErrorID, c.status.ErrorID)
		}
	}
	if c.uid != "" {
		b = appendText(b, uid, c.uid, 0)
	}
	if c.typeID != 0 {
		element := uint16(tagActionType)
		if c.field&^cmdResponse == cmdEvent {
			element = tagEventType
		}
		b = appendUS(b, element, c.typeID)
	}
	if c.sub != nil {
		// How many remain is said while some do (PS3.7 9.3.3.2, 9.3.4.2): of Pending and of Cancel.
		if c.status.Pending() || c.status.Code == StatusCancel {
			b = appendUS(b, tagRemaining, c.sub.Remaining)
		}
		b = appendUS(b, tagCompleted, c.sub.Completed)
		b = appendUS(b, tagFailed, c.sub.Failed)
		b = appendUS(b, tagWarnings, c.sub.Warnings)
	}
	if c.moveAE != "" {
		b = appendText(b, tagMoveOriginator, c.moveAE, ' ')
		b = appendUS(b, tagMoveOriginateID, c.moveID)
	}
	binary.LittleEndian.PutUint32(b[start+8:], uint32(len(b)-start-12))
	return b
}

func appendHeader(b []byte, element uint16, n int) []byte {
	b = append(b, 0, 0, byte(element), byte(element>>8))
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

func appendUS(b []byte, element, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(appendHeader(b, element, 2), v)
}

func appendText(b []byte, element uint16, v string, pad byte) []byte {
	b = append(appendHeader(b, element, len(v)+len(v)&1), v...)
	if len(v)&1 == 1 {
		b = append(b, pad)
	}
	return b
}
