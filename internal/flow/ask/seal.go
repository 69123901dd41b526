package ask

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"strconv"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/question"
)

const sealVersion = 1

// sealer encrypts the parts of a thread, each to its place (docs/formats/question.md).
type sealer struct {
	aead cipher.AEAD
	id   question.ID
}

func newSealer(thread keys.Key, id question.ID) sealer {
	key := thread.Derive("question")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return sealer{aead, id}
}

func (s sealer) about(part string) []byte { return []byte("question " + s.id.String() + " " + part) }

func (s sealer) seal(part string, text []byte) []byte {
	n := s.aead.NonceSize()
	out := make([]byte, 1+n, 1+n+len(text)+s.aead.Overhead())
	out[0] = sealVersion
	rand.Read(out[1:])
	return s.aead.Seal(out, out[1:], text, s.about(part))
}

func (s sealer) open(part string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < 1+n || sealed[0] != sealVersion {
		return nil, fault.New(fault.Corrupt, "read question", "question "+s.id.String(), "a part has another form than a sealed one")
	}
	b, err := s.aead.Open(nil, sealed[1:1+n], sealed[1+n:], s.about(part))
	if err != nil {
		return nil, fault.New(fault.Corrupt, "read question", "question "+s.id.String(), "a part was changed, or is of another thread")
	}
	return b, nil
}

func message(seq int64) string { return "message " + strconv.FormatInt(seq, 10) }

func number(n int) string { return strconv.Itoa(n) }

// headOf is what the sealed head of a thread says.
type headOf struct {
	About   string `json:"about"`
	Subject string `json:"subject"`
}
