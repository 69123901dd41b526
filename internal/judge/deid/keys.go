package deid

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/big"
	"strings"
	"sync"
)

// Keys are a collection's secrets, one for each use, derived from one root by HKDF (RFC 5869). Without them neither a UID, a pseudonym nor a date
// leads back to what it was; with them any guess can be tried, so their holder is to be trusted. They may be used by many goroutines.
type Keys struct {
	uid, pseudonym, shift, link, code *keyed
}

// NewKeys derives the keys of a collection from its root.
func NewKeys(root [32]byte) *Keys {
	derive := func(use string) *keyed {
		k, err := hkdf.Key(sha256.New, root[:], nil, "vitrine de-identification "+use+" 1", 32)
		if err != nil {
			panic(err) // 32 bytes of SHA-256 are always to be had
		}
		return &keyed{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, k) }}}
	}
	return &Keys{uid: derive("uid"), pseudonym: derive("pseudonym"), shift: derive("shift"), link: derive("link"), code: derive("code")}
}

type keyed struct{ pool sync.Pool }

func (k *keyed) sum(b []byte) (out [32]byte) {
	h := k.pool.Get().(hash.Hash)
	h.Reset()
	h.Write(b)
	h.Sum(out[:0])
	k.pool.Put(h)
	return out
}

// standardRoot begins the UIDs that the standard itself assigns: SOP classes, transfer syntaxes, coding schemes, well-known frames of reference.
const standardRoot = "1.2.840.10008."

func trimmedUID(b []byte) []byte { return bytes.Trim(b, " \x00") }

// UID is the UID that stands for an original one throughout the collection: 2.25. and 128 bits of its HMAC in decimal (PS3.5 B.2). Padding does not
// count; UIDs of the standard stay; an empty one stays empty.
func (k *Keys) UID(original string) string { return string(k.appendUID(nil, []byte(original))) }

func (k *Keys) appendUID(dst, original []byte) []byte {
	original = trimmedUID(original)
	if len(original) == 0 || bytes.HasPrefix(original, []byte(standardRoot)) {
		return append(dst, original...)
	}
	sum := k.uid.sum(original)
	dst = append(dst, "2.25."...)
	return new(big.Int).SetBytes(sum[:16]).Append(dst, 10)
}

// letters are the 28 signs of a pseudonym: none that is mistaken for another, no vowels that make words.
const letters = "23456789BCDFGHJKLMNPQRSTVWXZ"

// opaque writes n signs of a digest in groups of four.
func opaque(sum [32]byte, n int) string {
	var b strings.Builder
	v := new(big.Int).SetBytes(sum[:])
	base, m := big.NewInt(int64(len(letters))), new(big.Int)
	for i := range n {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		v.DivMod(v, base, m)
		b.WriteByte(letters[m.Int64()])
	}
	return b.String()
}

// Pseudonym is the subject's name in the collection: twelve signs, 57 bits, without vowels so that no word appears.
func (k *Keys) Pseudonym(link [32]byte) string { return opaque(k.pseudonym.sum(link[:]), 12) }

// Weeks is by how many whole weeks the subject's dates go back: 52 to 520.
func (k *Keys) Weeks(link [32]byte) int {
	sum := k.shift.sum(link[:])
	return 52 + int(binary.BigEndian.Uint64(sum[:8])%(520-52+1))
}

// Code stands for an identifier that other objects refer to, of a slide or a specimen.
func (k *Keys) Code(original string) string {
	return opaque(k.code.sum([]byte(foldIdentifier(original))), 8)
}

// number is a number of nine digits that stands for an identifier.
func (k *Keys) number(original string) uint32 {
	sum := k.code.sum([]byte("number " + foldIdentifier(original)))
	return 100_000_000 + uint32(binary.BigEndian.Uint64(sum[:8])%900_000_000)
}
