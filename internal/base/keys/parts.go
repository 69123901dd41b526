package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

const partVersion = 1

// Parts encrypts the parts of one whole, such as a request or a thread of questions, by a key of its own, each to its place: AES-256-GCM. A sealed part is a byte that
// says the version, a random nonce of 12 bytes, and the ciphertext with its tag of 16.
type Parts struct {
	aead  cipher.AEAD
	whole string
}

// NewParts makes the sealing of a whole, whose key it is. The purpose and the identifier are bound to each part.
func NewParts(own Key, purpose, id string) Parts {
	key := own.Derive(purpose)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return Parts{aead, purpose + " " + id}
}

func (p Parts) about(part string) []byte { return []byte(p.whole + " " + part) }

// Seal encrypts a text, for the part that is named.
func (p Parts) Seal(part string, text []byte) []byte {
	n := p.aead.NonceSize()
	out := make([]byte, 1+n, 1+n+len(text)+p.aead.Overhead())
	out[0] = partVersion
	rand.Read(out[1:])
	return p.aead.Seal(out, out[1:], text, p.about(part))
}

// Open decrypts what Seal gave for the part. A fault.Corrupt if it was changed, or is of another part or whole.
func (p Parts) Open(part string, sealed []byte) ([]byte, error) {
	n := p.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != partVersion {
		return nil, p.corrupt("a part has another form than a sealed one")
	}
	b, err := p.aead.Open(nil, sealed[1:1+n], sealed[1+n:], p.about(part))
	if err != nil {
		return nil, p.corrupt("a part was changed, or is of something else")
	}
	return b, nil
}

// SealJSON seals a value.
func (p Parts) SealJSON(part string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "seal part", p.whole, err)
	}
	return p.Seal(part, b), nil
}

// OpenJSON opens one; nothing sealed is nothing read.
func (p Parts) OpenJSON(part string, sealed []byte, v any) error {
	if sealed == nil {
		return nil
	}
	b, err := p.Open(part, sealed)
	if err != nil {
		return err
	}
	if json.Unmarshal(b, v) != nil {
		return p.corrupt("a part has another form")
	}
	return nil
}

func (p Parts) corrupt(why string) error {
	return fault.New(fault.Corrupt, "open part", p.whole, why)
}
