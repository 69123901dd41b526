// Package softkey is an authenticator in software, with one passkey, for tests: it answers what a browser would be asked (W3C Web Authentication).
package softkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"

	"github.com/fxamacker/cbor/v2"
)

// Device is an authenticator. Party and Origin are what the browser knows of the page.
type Device struct {
	Party, Origin string
	Count         uint32 // of uses
	User          []byte // whose passkey it is

	key *ecdsa.PrivateKey
	id  []byte
}

// Text is how bytes are written in options and answers.
func Text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (d *Device) data(flags byte, more []byte) []byte {
	rp := sha256.Sum256([]byte(d.Party))
	b := append(rp[:], flags)
	b = binary.BigEndian.AppendUint32(b, d.Count)
	return append(b, more...)
}

func client(kind, challenge, origin string) ([]byte, error) {
	return json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false})
}

// Create answers navigator.credentials.create; options are the node's, as they are or as JSON of them.
func (d *Device) Create(options any) (string, error) {
	var o struct {
		PublicKey struct {
			Challenge string
			User      struct{ ID string }
		}
	}
	err := read(options, &o)
	if err != nil {
		return "", err
	}
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return "", err
	}
	d.id = make([]byte, 16)
	rand.Read(d.id)
	if d.User, err = base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID); err != nil {
		return "", err
	}
	point, err := d.key.PublicKey.Bytes()
	if err != nil {
		return "", err
	}
	cose, err := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		return "", err
	}
	more := make([]byte, 16)
	more = binary.BigEndian.AppendUint16(more, uint16(len(d.id)))
	more = append(append(more, d.id...), cose...)
	att, err := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": d.data(0x45, more)})
	if err != nil {
		return "", err
	}
	c, err := client("webauthn.create", o.PublicKey.Challenge, d.Origin)
	if err != nil {
		return "", err
	}
	return d.answer(map[string]any{"attestationObject": Text(att), "clientDataJSON": Text(c)})
}

// Get answers navigator.credentials.get.
func (d *Device) Get(options any) (string, error) {
	var o struct{ PublicKey struct{ Challenge string } }
	if err := read(options, &o); err != nil {
		return "", err
	}
	d.Count++
	data := d.data(0x05, nil)
	c, err := client("webauthn.get", o.PublicKey.Challenge, d.Origin)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(c)
	digest := sha256.Sum256(append(append([]byte{}, data...), sum[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		return "", err
	}
	return d.answer(map[string]any{"authenticatorData": Text(data), "clientDataJSON": Text(c), "signature": Text(sig), "userHandle": Text(d.User)})
}

func (d *Device) answer(response map[string]any) (string, error) {
	out, err := json.Marshal(map[string]any{"id": Text(d.id), "rawId": Text(d.id), "type": "public-key", "response": response})
	return string(out), err
}

func read(options, into any) error {
	b, ok := options.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(options); err != nil {
			return err
		}
	}
	return json.Unmarshal(b, into)
}
