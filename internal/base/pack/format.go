package pack

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math/bits"
	"strconv"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Everything in this file is written down in docs/formats/pack.md.

const (
	block       = 4096 // records, file header and seal begin at multiples of it; what O_DIRECT asks for
	headerSize  = 256
	tagSize     = 16
	headerMAC   = 220 // where the authenticator begins
	headerCRC   = 252
	version     = 1
	maxSection  = 1 << 48
	minChunk    = 4 << 10
	maxChunk    = 1 << 20
	flagLarge   = 1
	kindMany    = 0
	kindLarge   = 1
	magicFile   = "VITRPACK"
	magicRecord = "VITRRECD"
	magicSeal   = "VITRSEAL"

	// DefaultChunk is the plaintext of a chunk where a Record asks for nothing else.
	DefaultChunk = 32 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ID names a pack.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == 2*len(id) && s == strings.ToLower(s) {
		if _, err := hex.Decode(id[:], []byte(s)); err == nil {
			return id, nil
		}
	}
	return ID{}, fault.New(fault.Invalid, "parse pack identifier", "", "it is not 32 hexadecimal digits in lower case")
}

// Ref is where a record is.
type Ref struct {
	Pack   ID
	Offset int64
}

func (r Ref) String() string { return r.Pack.String() + ":" + strconv.FormatInt(r.Offset, 10) }

// ParseRef reads what String wrote.
func ParseRef(s string) (Ref, error) {
	id, off, ok := strings.Cut(s, ":")
	if ok {
		pack, err := ParseID(id)
		if err != nil {
			return Ref{}, err
		}
		n, err := strconv.ParseInt(off, 10, 64)
		if err == nil && n >= block && n%block == 0 && strconv.FormatInt(n, 10) == off {
			return Ref{pack, n}, nil
		}
	}
	return Ref{}, fault.New(fault.Invalid, "parse place of a record", "", "it is not a pack, a colon and a multiple of 4096")
}

// Section is a part of a record.
type Section int

// The sections.
const (
	Meta Section = iota
	Head
	Bulk
)

func (s Section) String() string { return [...]string{"meta", "head", "bulk"}[s] }

// Header is the clear part of a record.
type Header struct {
	Ref      Ref
	Sequence uint64  // in the pack, from 0
	Group    uint64  // sequence of the first record synced together with this one
	KeyID    keys.ID // whose key
	Lengths  [3]int64
	Chunk    int
	Large    bool

	salt [32]byte
	root [32]byte
	mac  [32]byte
	crc  uint32 // of the body
}

// stored is what a section takes in the file.
func stored(n int64, chunk int) int64 {
	return n + tagSize*((n+int64(chunk)-1)/int64(chunk))
}

func roundUp(n int64) int64 { return (n + block - 1) &^ (block - 1) }

// bodyStart is the offset of the body from the record's beginning.
func (h *Header) bodyStart() int64 {
	if h.Large {
		return block
	}
	return headerSize
}

// bodySize is the length of the body without padding.
func (h *Header) bodySize() (n int64) {
	for _, l := range h.Lengths {
		n += stored(l, h.Chunk)
	}
	return n
}

// Size is what the record takes in its pack: the next one begins at Ref.Offset + Size.
func (h *Header) Size() int64 { return roundUp(h.bodyStart() + h.bodySize()) }

// sectionStart is the offset of a section from the record's beginning.
func (h *Header) sectionStart(s Section) int64 {
	at := h.bodyStart()
	order := [...]Section{Meta, Head, Bulk}
	if h.Large {
		order = [...]Section{Bulk, Meta, Head}
	}
	for _, o := range order {
		if o == s {
			break
		}
		at += stored(h.Lengths[o], h.Chunk)
	}
	return at
}

func validChunk(n int) bool { return n >= minChunk && n <= maxChunk && bits.OnesCount(uint(n)) == 1 }

// encode writes the header but for its authenticator and checksum.
func (h *Header) encode(b []byte) {
	b = b[:headerSize]
	clear(b)
	copy(b, magicRecord)
	le := binary.LittleEndian
	le.PutUint16(b[8:], version)
	if h.Large {
		le.PutUint16(b[10:], flagLarge)
	}
	le.PutUint32(b[12:], uint32(h.Chunk))
	copy(b[16:], h.Ref.Pack[:])
	le.PutUint64(b[32:], uint64(h.Ref.Offset))
	le.PutUint64(b[40:], h.Sequence)
	le.PutUint64(b[48:], h.Group)
	copy(b[56:], h.KeyID[:])
	copy(b[72:], h.salt[:])
	for i, l := range h.Lengths {
		le.PutUint64(b[104+8*i:], uint64(l))
	}
	le.PutUint32(b[128:], h.crc)
	copy(b[136:], h.root[:])
}

// finish adds authenticator and checksum to an encoded header whose place is known.
func finish(b []byte, mac *[32]byte) {
	sum := authenticate(mac, "head", b[:headerMAC])
	copy(b[headerMAC:], sum[:])
	binary.LittleEndian.PutUint32(b[headerCRC:], crc32.Checksum(b[:headerCRC], castagnoli))
}

// place sets where an encoded record will be and finishes its header.
func place(b []byte, at Ref, sequence, group uint64, mac *[32]byte) {
	le := binary.LittleEndian
	copy(b[16:], at.Pack[:])
	le.PutUint64(b[32:], uint64(at.Offset))
	le.PutUint64(b[40:], sequence)
	le.PutUint64(b[48:], group)
	finish(b, mac)
}

func invalidHeader(why string) error { return fault.New(fault.Corrupt, "parse record header", "", why) }

// parseHeader reads a header and checks all that can be checked without its place and without a key.
func parseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < headerSize {
		return h, invalidHeader("it is cut off")
	}
	b = b[:headerSize]
	le := binary.LittleEndian
	if string(b[:8]) != magicRecord {
		return h, invalidHeader("no record begins here")
	}
	if le.Uint32(b[headerCRC:]) != crc32.Checksum(b[:headerCRC], castagnoli) {
		return h, invalidHeader("its checksum differs")
	}
	if v := le.Uint16(b[8:]); v != version {
		return h, invalidHeader("its version is " + strconv.Itoa(int(v)) + ", this program knows 1")
	}
	flags := le.Uint16(b[10:])
	if flags&^flagLarge != 0 || le.Uint32(b[132:]) != 0 || !allZero(b[168:headerMAC]) {
		return h, invalidHeader("a reserved byte is set")
	}
	h.Large = flags&flagLarge != 0
	h.Chunk = int(le.Uint32(b[12:]))
	if !validChunk(h.Chunk) {
		return h, invalidHeader("its chunk size is out of range")
	}
	copy(h.Ref.Pack[:], b[16:])
	off := le.Uint64(b[32:])
	if off < block || off > maxSection || off%block != 0 || h.Large && off != block {
		return h, invalidHeader("its offset is out of range")
	}
	h.Ref.Offset = int64(off)
	h.Sequence, h.Group = le.Uint64(b[40:]), le.Uint64(b[48:])
	if h.Group > h.Sequence || h.Large && h.Sequence != 0 {
		return h, invalidHeader("its sequence is out of range")
	}
	copy(h.KeyID[:], b[56:])
	copy(h.salt[:], b[72:])
	for i := range h.Lengths {
		n := le.Uint64(b[104+8*i:])
		if n > maxSection {
			return h, invalidHeader("a length is out of range")
		}
		h.Lengths[i] = int64(n)
	}
	h.crc = le.Uint32(b[128:])
	copy(h.root[:], b[136:])
	copy(h.mac[:], b[headerMAC:])
	return h, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func encodeFileHeader(b []byte, id ID, kind uint32, created int64) {
	b = b[:block]
	clear(b)
	copy(b, magicFile)
	le := binary.LittleEndian
	le.PutUint32(b[8:], version)
	le.PutUint32(b[12:], kind)
	copy(b[16:], id[:])
	le.PutUint64(b[32:], uint64(created))
	le.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
}

type fileHeader struct {
	id      ID
	kind    uint32
	created int64
}

func parseFileHeader(b []byte) (h fileHeader, err error) {
	bad := func(why string) (fileHeader, error) {
		return fileHeader{}, fault.New(fault.Corrupt, "parse pack header", "", why)
	}
	le := binary.LittleEndian
	switch {
	case len(b) < block:
		return bad("it is cut off")
	case string(b[:8]) != magicFile:
		return bad("this is not a pack")
	case le.Uint32(b[252:]) != crc32.Checksum(b[:252], castagnoli):
		return bad("its checksum differs")
	case le.Uint32(b[8:]) != version:
		return bad("this program knows version 1 only")
	case le.Uint32(b[12:]) > kindLarge, !allZero(b[40:252]), !allZero(b[256:block]):
		return bad("a reserved byte is set")
	}
	copy(h.id[:], b[16:])
	h.kind, h.created = le.Uint32(b[12:]), int64(le.Uint64(b[32:]))
	return h, nil
}

type seal struct {
	id      ID
	end     int64 // offset of the seal
	records uint64
	headers [32]byte
}

func (s *seal) encode(b []byte) {
	b = b[:block]
	clear(b)
	copy(b, magicSeal)
	le := binary.LittleEndian
	le.PutUint32(b[8:], version)
	copy(b[16:], s.id[:])
	le.PutUint64(b[32:], uint64(s.end))
	le.PutUint64(b[40:], s.records)
	copy(b[48:], s.headers[:])
	le.PutUint32(b[252:], crc32.Checksum(b[:252], castagnoli))
}

func parseSeal(b []byte) (s seal, err error) {
	bad := func(why string) (seal, error) { return seal{}, fault.New(fault.Corrupt, "parse seal", "", why) }
	le := binary.LittleEndian
	switch {
	case len(b) < block:
		return bad("it is cut off")
	case string(b[:8]) != magicSeal:
		return bad("there is none")
	case le.Uint32(b[252:]) != crc32.Checksum(b[:252], castagnoli):
		return bad("its checksum differs")
	case le.Uint32(b[8:]) != version:
		return bad("this program knows version 1 only")
	case le.Uint32(b[12:]) != 0, !allZero(b[80:252]), !allZero(b[256:block]):
		return bad("a reserved byte is set")
	}
	copy(s.id[:], b[16:])
	s.end, s.records = int64(le.Uint64(b[32:])), le.Uint64(b[40:])
	copy(s.headers[:], b[48:])
	return s, nil
}

// cryptor encrypts and decrypts the chunks of one record.
type cryptor struct {
	aead cipher.AEAD
	mac  [32]byte
}

func newCryptor(key *keys.Key, id keys.ID, salt *[32]byte) (*cryptor, error) {
	prk, err := hkdf.Extract(sha256.New, key[:], salt[:])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "derive key of a record", "", err)
	}
	both, err := hkdf.Expand(sha256.New, prk, "vitrine pack 1"+string(id[:]), 64)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "derive key of a record", "", err)
	}
	b, err := aes.NewCipher(both[:32])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "derive key of a record", "", err)
	}
	aead, err := cipher.NewGCM(b)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "derive key of a record", "", err)
	}
	c := &cryptor{aead: aead}
	copy(c.mac[:], both[32:])
	return c, nil
}

// label is the nonce and the additional data of a chunk.
type label struct {
	nonce [12]byte
	data  [16]byte
}

func (l *label) set(s Section, index int64, last, large bool, chunk int) {
	*l = label{}
	l.nonce[0] = byte(s)
	binary.LittleEndian.PutUint64(l.nonce[4:], uint64(index))
	copy(l.data[:], "VPC1")
	l.data[4] = byte(s)
	if last {
		l.data[5] = 1
	}
	if large {
		l.data[6] = flagLarge
	}
	binary.LittleEndian.PutUint32(l.data[8:], uint32(chunk))
}

func authenticate(mac *[32]byte, what string, b []byte) (sum [32]byte) {
	h := hmac.New(sha256.New, mac[:])
	h.Write([]byte(what))
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// check compares the header's authenticator. The raw bytes are not kept: encoding what was parsed gives them again.
func (c *cryptor) check(h *Header) bool {
	var b [headerSize]byte
	h.encode(b[:])
	sum := authenticate(&c.mac, "head", b[:headerMAC])
	return hmac.Equal(sum[:], h.mac[:])
}

// Sums are the SHA-256 of a record's sections.
type Sums [3][sha256.Size]byte

// Digest is the one over all sections, of which the header holds the keyed form.
func (s *Sums) Digest() [sha256.Size]byte {
	return sha256.Sum256(bytes.Join([][]byte{s[Meta][:], s[Head][:], s[Bulk][:]}, nil))
}

func (c *cryptor) root(s *Sums) [32]byte {
	d := s.Digest()
	return authenticate(&c.mac, "root", d[:])
}
