package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// sealer keeps what is between two steps of signing in with the browser that takes them, encrypted and with an end. So whoever begins and never ends leaves nothing
// here, however often; and every process of the node understands what another began.
type sealer struct{ aead cipher.AEAD }

func newSealer(m *keys.Root) *sealer {
	if m == nil {
		return nil // people are administered, and nobody signs in
	}
	key := m.Derive("sign-in in two steps")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("signin: " + err.Error()) // of a key with another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("signin: " + err.Error())
	}
	return &sealer{aead}
}

type sealed struct {
	Ends  int64           `json:"e"` // milliseconds since 1970
	Value json.RawMessage `json:"v"`
}

// tooLate says nothing of why: what was changed, and what is past its time, are the same to who presents them.
var tooLate = fault.New(fault.Denied, "sign in", "", "it took too long, or was done already: begin again")

// seal encrypts a value for one purpose and for so long.
func (s *sealer) seal(purpose string, value any, lasts time.Duration) (string, error) {
	if s == nil {
		return "", fault.New(fault.Unavailable, "sign in", "", "this process has no key to sign people in with")
	}
	v, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(sealed{time.Now().Add(lasts).UnixMilli(), v})
	if err != nil {
		return "", err
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(b)+s.aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return "", fault.Wrap(fault.Unavailable, "sign in", "", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, b, []byte(purpose))), nil
}

const maxSealed = 4096 // a cookie's

// open gives the value back, and until when it holds; a fault.Denied if it is not of this node, of another purpose, or past its end.
func (s *sealer) open(purpose, text string, value any) (ends time.Time, err error) {
	if s == nil || len(text) > maxSealed {
		return ends, tooLate
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < s.aead.NonceSize() {
		return ends, tooLate
	}
	b, err = s.aead.Open(nil, b[:s.aead.NonceSize()], b[s.aead.NonceSize():], []byte(purpose))
	if err != nil {
		return ends, tooLate
	}
	var x sealed
	if err := json.Unmarshal(b, &x); err != nil {
		return ends, tooLate
	}
	if ends = time.UnixMilli(x.Ends); !time.Now().Before(ends) {
		return ends, tooLate
	}
	if err := json.Unmarshal(x.Value, value); err != nil {
		return ends, tooLate
	}
	return ends, nil
}
