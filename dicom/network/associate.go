package network

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
)

// Types of PDU (PS3.8 9.3.1).
const (
	pduAssociateRQ = 0x01
	pduAssociateAC = 0x02
	pduAssociateRJ = 0x03
	pduData        = 0x04
	pduReleaseRQ   = 0x05
	pduReleaseRP   = 0x06
	pduAbort       = 0x07
)

// Types of item (PS3.8 9.3.2, PS3.7 D.3.3).
const (
	itemApplication    = 0x10
	itemContextRQ      = 0x20
	itemContextAC      = 0x21
	itemAbstract       = 0x30
	itemTransfer       = 0x40
	itemUserInfo       = 0x50
	itemMaxLength      = 0x51
	itemClassUID       = 0x52
	itemAsync          = 0x53
	itemRole           = 0x54
	itemVersion        = 0x55
	itemExtended       = 0x56
	itemCommonExtended = 0x57
	itemIdentityRQ     = 0x58
	itemIdentityAC     = 0x59
)

const (
	applicationContextUID = "1.2.840.10008.3.1.1.1" // PS3.7 A.2.1
	associateFixed        = 68                      // bytes of an A-ASSOCIATE-RQ or -AC before its items, without the PDU header
	maxAssociateLength    = 256 << 10
	maxContexts           = 128  // the odd numbers of a byte (PS3.8 9.3.2.2)
	maxSyntaxes           = 256  // transfer syntaxes of one context that are looked at; the standard has about 60
	maxUserItems          = 1024 // items of user information
)

// ContextResult is the answer to a proposed presentation context (PS3.8 Table 9-18).
type ContextResult byte

// The answers.
const (
	ContextAccepted                  ContextResult = 0
	ContextUserRejection             ContextResult = 1
	ContextNoReason                  ContextResult = 2
	ContextAbstractSyntaxNotAccepted ContextResult = 3
	ContextTransferSyntaxNotAccepted ContextResult = 4
)

// ProposedContext is one presentation context of a request: what would be sent, and in which encodings, in the requestor's order.
type ProposedContext struct {
	ID               byte
	AbstractSyntax   string
	TransferSyntaxes []string
	SCU, SCP         bool // the roles that the requestor would have: SCU alone where it did not say (PS3.7 D.3.3.4)
}

// Role is the proposal of a requestor to take the roles of user and provider of a SOP class (PS3.7 D.3.3.4).
type Role struct {
	SOPClassUID string
	SCU, SCP    bool
}

// ExtendedNegotiation is service-class information as it came (PS3.7 D.3.3.5).
type ExtendedNegotiation struct {
	SOPClassUID string
	Information []byte
}

// CommonExtendedNegotiation places a SOP class in a service class and relates it to general ones (PS3.7 D.3.3.6).
type CommonExtendedNegotiation struct {
	SOPClassUID, ServiceClassUID string
	RelatedGeneral               []string
}

// UserIdentity is who the requestor says it is (PS3.7 D.3.3.7): a claim, not yet checked by anybody.
type UserIdentity struct {
	Type              byte // 1 user name, 2 user name and passcode, 3 Kerberos, 4 SAML, 5 JWT
	ResponseRequested bool
	Primary           []byte
	Secondary         []byte // the passcode, for type 2
}

// AssociateRequest is what a peer asks for when it opens an association (PS3.8 9.3.2, PS3.7 D.3.3). AE titles in it prove nothing.
type AssociateRequest struct {
	CallingAE, CalledAE    string
	LocalAddr, RemoteAddr  net.Addr
	TLS                    *tls.ConnectionState // nil without TLS; PeerCertificates holds the peer's
	Contexts               []ProposedContext
	MaxPDU                 uint32 // longest P-DATA-TF the requestor takes; 0 is without limit
	ImplementationClassUID string
	ImplementationVersion  string
	AsyncInvoked           uint16 // 1, 1 where no window was proposed; this package answers with none, which is 1, 1
	AsyncPerformed         uint16
	Roles                  []Role
	Extended               []ExtendedNegotiation
	CommonExtended         []CommonExtendedNegotiation
	UserIdentity           *UserIdentity
}

// answeredContext is a presentation context of an A-ASSOCIATE-AC.
type answeredContext struct {
	id     byte
	result ContextResult
	syntax string
}

// associate is an A-ASSOCIATE-RQ or -AC.
type associate struct {
	version         uint16
	application     string
	called, calling [16]byte
	reserved        [32]byte          // comes back as it was sent (PS3.8 9.3.3)
	answers         []answeredContext // -AC
	identityAnswer  []byte            // -AC; nil if absent
	AssociateRequest
}

var (
	errAssociateShort   = errors.New("an A-ASSOCIATE PDU ends too early")
	errItemLength       = errors.New("an item of an A-ASSOCIATE PDU has a length that does not fit")
	errContextID        = errors.New("a presentation context has an even or a repeated number")
	errContextItems     = errors.New("a presentation context does not have exactly one abstract syntax")
	errUserItems        = errors.New("an A-ASSOCIATE PDU has too many items of user information")
	errRepeatedItem     = errors.New("an A-ASSOCIATE PDU repeats an item that may occur once")
	errApplicationGone  = errors.New("an A-ASSOCIATE PDU lacks its application context")
	errSyntaxesExceeded = errors.New("a presentation context has too many transfer syntaxes")
)

// item splits off the first item: its type and value, and what follows.
func item(b []byte) (typ byte, value, rest []byte, err error) {
	if len(b) < 4 {
		return 0, nil, nil, errItemLength
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b)-4 {
		return 0, nil, nil, errItemLength
	}
	return b[0], b[4 : 4+n], b[4+n:], nil
}

// parse reads the variable field of an A-ASSOCIATE-RQ, or of an -AC if ac. Nothing of b is kept. Items of unknown types are passed over (PS3.8 9.3.1).
func (a *associate) parse(b []byte, ac bool) error {
	if len(b) < associateFixed {
		return errAssociateShort
	}
	a.version = binary.BigEndian.Uint16(b)
	copy(a.called[:], b[4:20])
	copy(a.calling[:], b[20:36])
	copy(a.reserved[:], b[36:68])
	a.CalledAE, a.CallingAE = title(a.called[:]), title(a.calling[:])
	a.AsyncInvoked, a.AsyncPerformed = 1, 1
	b = b[associateFixed:]
	var seen [256]bool
	for len(b) > 0 {
		typ, v, rest, err := item(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case typ == itemApplication:
			if a.application != "" {
				return errRepeatedItem
			}
			if a.application, err = uidValue(v); err == nil && a.application == "" {
				err = errApplicationGone
			}
		case typ == itemContextRQ && !ac:
			err = a.parseProposed(v, &seen)
		case typ == itemContextAC && ac:
			err = a.parseAnswered(v, &seen)
		case typ == itemUserInfo:
			if seen[0] { // no context has the number 0
				return errRepeatedItem
			}
			seen[0] = true
			err = a.parseUser(v, ac)
		}
		if err != nil {
			return err
		}
	}
	if a.application == "" {
		return errApplicationGone
	}
	return nil
}

func claim(id byte, seen *[256]bool) error {
	if id&1 == 0 || seen[id] {
		return errContextID
	}
	seen[id] = true
	return nil
}

func (a *associate) parseProposed(v []byte, seen *[256]bool) error {
	if len(v) < 4 {
		return errItemLength
	}
	c := ProposedContext{ID: v[0]}
	if err := claim(c.ID, seen); err != nil {
		return err
	}
	for v = v[4:]; len(v) > 0; {
		typ, uid, rest, err := item(v)
		if err != nil {
			return err
		}
		v = rest
		if typ != itemAbstract && typ != itemTransfer {
			continue
		}
		s, err := uidValue(uid)
		if err != nil {
			return err
		}
		switch {
		case typ == itemTransfer && len(c.TransferSyntaxes) == maxSyntaxes:
			return errSyntaxesExceeded
		case typ == itemTransfer:
			c.TransferSyntaxes = append(c.TransferSyntaxes, s)
		case c.AbstractSyntax != "" || s == "":
			return errContextItems
		default:
			c.AbstractSyntax = s
		}
	}
	if c.AbstractSyntax == "" {
		return errContextItems
	}
	a.Contexts = append(a.Contexts, c)
	return nil
}

func (a *associate) parseAnswered(v []byte, seen *[256]bool) error {
	if len(v) < 4 {
		return errItemLength
	}
	c := answeredContext{id: v[0], result: ContextResult(v[2])}
	if err := claim(c.id, seen); err != nil {
		return err
	}
	for v = v[4:]; len(v) > 0; {
		typ, uid, rest, err := item(v)
		if err != nil {
			return err
		}
		v = rest
		if typ != itemTransfer {
			continue
		}
		s, err := uidValue(uid)
		if err != nil && c.result == ContextAccepted { // not significant in a refusal (PS3.8 9.3.3.2)
			return err
		}
		c.syntax = s
	}
	a.answers = append(a.answers, c)
	return nil
}

func (a *associate) parseUser(b []byte, ac bool) error {
	for n := 0; len(b) > 0; n++ {
		typ, v, rest, err := item(b)
		if err != nil {
			return err
		}
		if n == maxUserItems {
			return errUserItems
		}
		b = rest
		switch typ {
		case itemMaxLength:
			if len(v) != 4 {
				return errItemLength
			}
			a.MaxPDU = binary.BigEndian.Uint32(v)
		case itemClassUID:
			a.ImplementationClassUID, err = uidValue(v)
		case itemVersion:
			a.ImplementationVersion = title(v[:min(len(v), 16)])
		case itemAsync:
			if len(v) != 4 {
				return errItemLength
			}
			a.AsyncInvoked, a.AsyncPerformed = binary.BigEndian.Uint16(v), binary.BigEndian.Uint16(v[2:])
		case itemRole:
			var r Role
			if r.SOPClassUID, v, err = counted(v); err == nil {
				if len(v) != 2 {
					return errItemLength
				}
				r.SCU, r.SCP = v[0] == 1, v[1] == 1
				a.Roles = append(a.Roles, r)
			}
		case itemExtended:
			var e ExtendedNegotiation
			if e.SOPClassUID, v, err = counted(v); err == nil {
				e.Information = append([]byte(nil), v...)
				a.Extended = append(a.Extended, e)
			}
		case itemCommonExtended:
			err = a.parseCommonExtended(v)
		case itemIdentityRQ:
			if ac {
				continue
			}
			if a.UserIdentity != nil {
				return errRepeatedItem
			}
			err = a.parseIdentity(v)
		case itemIdentityAC:
			if !ac {
				continue
			}
			if len(v) < 2 || int(binary.BigEndian.Uint16(v)) != len(v)-2 {
				return errItemLength
			}
			a.identityAnswer = append([]byte{}, v[2:]...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// counted splits off a UID that its length precedes.
func counted(v []byte) (uid string, rest []byte, err error) {
	field, rest, err := countedBytes(v)
	if err != nil {
		return "", nil, err
	}
	uid, err = uidValue(field)
	return uid, rest, err
}

func countedBytes(v []byte) (field, rest []byte, err error) {
	if len(v) < 2 {
		return nil, nil, errItemLength
	}
	n := int(binary.BigEndian.Uint16(v))
	if n > len(v)-2 {
		return nil, nil, errItemLength
	}
	return v[2 : 2+n], v[2+n:], nil
}

func (a *associate) parseCommonExtended(v []byte) (err error) {
	var e CommonExtendedNegotiation
	if e.SOPClassUID, v, err = counted(v); err != nil {
		return err
	}
	if e.ServiceClassUID, v, err = counted(v); err != nil {
		return err
	}
	related, _, err := countedBytes(v) // what follows is reserved
	for err == nil && len(related) > 0 {
		var uid string
		if uid, related, err = counted(related); err == nil {
			e.RelatedGeneral = append(e.RelatedGeneral, uid)
		}
	}
	if err == nil {
		a.CommonExtended = append(a.CommonExtended, e)
	}
	return err
}

func (a *associate) parseIdentity(v []byte) error {
	if len(v) < 2 {
		return errItemLength
	}
	id := &UserIdentity{Type: v[0], ResponseRequested: v[1] == 1}
	primary, rest, err := countedBytes(v[2:])
	if err != nil {
		return err
	}
	secondary, _, err := countedBytes(rest)
	if err != nil {
		return err
	}
	id.Primary, id.Secondary = append([]byte(nil), primary...), append([]byte(nil), secondary...)
	a.UserIdentity = id
	return nil
}

// appendTo appends the whole PDU. UIDs and identities are short by construction: Dial and Server check them.
func (a *associate) appendTo(b []byte, ac bool) []byte {
	typ, contextType := byte(pduAssociateRQ), byte(itemContextRQ)
	if ac {
		typ, contextType = pduAssociateAC, itemContextAC
	}
	start := len(b)
	b = append(b, typ, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, a.version)
	b = append(b, 0, 0)
	b = append(b, a.called[:]...)
	b = append(b, a.calling[:]...)
	b = append(b, a.reserved[:]...)
	b = appendItem(b, itemApplication, a.application)
	for _, c := range a.Contexts {
		if ac {
			break
		}
		at := len(b)
		b = append(b, contextType, 0, 0, 0, c.ID, 0, 0, 0)
		b = appendItem(b, itemAbstract, c.AbstractSyntax)
		for _, ts := range c.TransferSyntaxes {
			b = appendItem(b, itemTransfer, ts)
		}
		closeItem(b, at)
	}
	for _, c := range a.answers {
		at := len(b)
		b = append(b, contextType, 0, 0, 0, c.id, 0, byte(c.result), 0)
		b = appendItem(b, itemTransfer, c.syntax)
		closeItem(b, at)
	}
	at := len(b)
	b = append(b, itemUserInfo, 0, 0, 0)
	b = append(b, itemMaxLength, 0, 0, 4)
	b = binary.BigEndian.AppendUint32(b, a.MaxPDU)
	b = appendItem(b, itemClassUID, a.ImplementationClassUID)
	for _, r := range a.Roles {
		b = append(b, itemRole, 0, 0, byte(len(r.SOPClassUID)+4), 0, byte(len(r.SOPClassUID)))
		b = append(b, r.SOPClassUID...)
		b = append(b, flag(r.SCU), flag(r.SCP))
	}
	if a.ImplementationVersion != "" {
		b = appendItem(b, itemVersion, a.ImplementationVersion)
	}
	for _, e := range a.Extended {
		s := len(b)
		b = append(b, itemExtended, 0, 0, 0, 0, byte(len(e.SOPClassUID)))
		b = append(append(b, e.SOPClassUID...), e.Information...)
		closeItem(b, s)
	}
	if id := a.UserIdentity; id != nil && !ac {
		s := len(b)
		b = append(b, itemIdentityRQ, 0, 0, 0, id.Type, flag(id.ResponseRequested))
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(id.Primary))), id.Primary...)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(id.Secondary))), id.Secondary...)
		closeItem(b, s)
	}
	if a.identityAnswer != nil && ac {
		s := len(b)
		b = append(b, itemIdentityAC, 0, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(a.identityAnswer))), a.identityAnswer...)
		closeItem(b, s)
	}
	closeItem(b, at)
	binary.BigEndian.PutUint32(b[start+2:], uint32(len(b)-start-6))
	return b
}

func appendItem(b []byte, typ byte, v string) []byte {
	b = append(b, typ, 0)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
}

// closeItem sets the length of the item that began at at and ends with b.
func closeItem(b []byte, at int) { binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at-4)) }

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// padTitle is an AE title as it lies in an A-ASSOCIATE PDU.
func padTitle(s string) (t [16]byte, ok bool) {
	if len(s) > 16 || len(s) == 0 {
		return t, false
	}
	for i := range t {
		t[i] = ' '
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return t, false
		}
	}
	copy(t[:], s)
	return t, true
}
