package pack

import (
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
)

// Record is what Append keeps. Its bytes are only read, and not after Append has returned.
type Record struct {
	KeyID keys.ID
	Key   keys.Key
	Meta  []byte   // what the catalogue needs to make its rows again
	Head  []byte   // the object but for bulk values
	Bulk  [][]byte // the bulk values, one after the other
	Chunk int      // plaintext of a chunk; 0 is DefaultChunk, 16 KiB suits tiles
	Tag   any      // given back in Committed

	// BulkSum is the SHA-256 of Bulk, where the caller has it already; nil otherwise.
	BulkSum *[sha256.Size]byte

	sums *Sums
}

// Sum computes the digests of the sections and remembers them, so that a caller who compares them before Append pays once. The record's bytes must
// not change after it.
func (r *Record) Sum() *Sums {
	if r.sums != nil {
		return r.sums
	}
	s := new(Sums)
	s[Meta], s[Head] = sha256.Sum256(r.Meta), sha256.Sum256(r.Head)
	if r.BulkSum != nil {
		s[Bulk] = *r.BulkSum
	} else if len(r.Bulk) == 1 {
		s[Bulk] = sha256.Sum256(r.Bulk[0])
	} else {
		h := sha256.New()
		for _, b := range r.Bulk {
			h.Write(b)
		}
		h.Sum(s[Bulk][:0])
	}
	r.sums = s
	return s
}

func (r *Record) lengths() [3]int64 {
	n := [3]int64{int64(len(r.Meta)), int64(len(r.Head))}
	for _, b := range r.Bulk {
		n[Bulk] += int64(len(b))
	}
	return n
}

// encrypt makes the whole record, padded, with everything but its place.
func (r *Record) encrypt(h *Header) (*buffer, *cryptor, error) {
	rand.Read(h.salt[:])
	c, err := newCryptor(&r.Key, h.KeyID, &h.salt)
	if err != nil {
		return nil, nil, err
	}
	size := int(h.Size())
	out := getBuffer(size)
	b := out.b[:size]
	var l label
	at := headerSize
	at += c.sealSection(b[at:], &l, h, Meta, r.Meta)
	at += c.sealSection(b[at:], &l, h, Head, r.Head)
	at += c.sealSection(b[at:], &l, h, Bulk, r.Bulk...)
	clear(b[at:])
	h.crc = crc32.Checksum(b[headerSize:at], castagnoli)
	h.root = c.root(r.Sum())
	h.encode(b)
	return out, c, nil
}

// sealSection encrypts the parts of a section as if they were one, and gives the bytes written.
func (c *cryptor) sealSection(dst []byte, l *label, h *Header, s Section, parts ...[]byte) int {
	left := h.Lengths[s]
	at := 0
	var part []byte
	for index := int64(0); left > 0; index++ {
		n := int(min(left, int64(h.Chunk)))
		left -= int64(n)
		for len(part) == 0 {
			part, parts = parts[0], parts[1:]
		}
		l.set(s, index, left == 0, h.Large, h.Chunk)
		if len(part) >= n {
			c.aead.Seal(dst[at:at], l.nonce[:], part[:n], l.data[:])
			part = part[n:]
		} else { // the chunk spans parts: gather it where it goes, encrypt in place
			for got := 0; got < n; {
				if len(part) == 0 {
					part, parts = parts[0], parts[1:]
					continue
				}
				k := copy(dst[at+got:at+n], part)
				got, part = got+k, part[k:]
			}
			c.aead.Seal(dst[at:at], l.nonce[:], dst[at:at+n], l.data[:])
		}
		at += n + tagSize
	}
	return at
}
