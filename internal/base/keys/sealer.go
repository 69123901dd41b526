package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Sealer encrypts small values of one purpose by keys that come from the root: AES-256-GCM with a random nonce before the ciphertext. What was sealed before the master key
// was changed is opened as well.
type Sealer struct {
	all  []cipher.AEAD
	keys []Key
}

// NewSealer makes the sealer of a purpose.
func NewSealer(r *Root, purpose string) (*Sealer, error) {
	s := &Sealer{}
	for _, key := range append([]Key{r.Derive(purpose)}, r.Earlier(purpose)...) {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "make sealer", "", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "make sealer", "", err)
		}
		s.all, s.keys = append(s.all, aead), append(s.keys, key.Derive("digest"))
	}
	return s, nil
}

// Seal encrypts a text; about says what it is and must be the same at Open.
func (s *Sealer) Seal(text []byte, about string) []byte {
	return s.all[0].Seal(nil, nil, text, []byte(about))
}

// Open decrypts what Seal gave.
func (s *Sealer) Open(sealed []byte, about string) (text []byte, err error) {
	for _, a := range s.all {
		if text, err = a.Open(nil, nil, sealed, []byte(about)); err == nil {
			return text, nil
		}
	}
	return nil, fault.New(fault.Corrupt, "open what is sealed", "", "it was changed, or is of something else")
}

// Digests are the keyed digests of a secret (HMAC-SHA-256), the first by the key of now, the others by earlier ones. Without the key none can be compared with a guess.
func (s *Sealer) Digests(secret string) [][sha256.Size]byte {
	out := make([][sha256.Size]byte, len(s.keys))
	for i, k := range s.keys {
		h := hmac.New(sha256.New, k[:])
		h.Write([]byte(secret))
		h.Sum(out[i][:0])
	}
	return out
}
