package backup

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Sealed files, as docs/formats/backup.md has them.

const (
	sealMagic = "VITRSEA1"
	saltSize  = 32
	chunkSize = 64 << 10
	tagSize   = 16
	purpose   = "backup" // of the node's secret
)

func cipherOf(key keys.Key, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, key[:], salt, "vitrine backup 1", 32)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "prepare sealing", "", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "prepare sealing", "", err)
	}
	return cipher.NewGCM(block)
}

// nonce of a chunk never repeats under a file's key.
func nonce(chunk uint64, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n[3:11], chunk)
	if last {
		n[11] = 1
	}
	return n
}

// sealer encrypts what is written to it. Close writes the last chunk.
type sealer struct {
	to    io.Writer
	aead  cipher.AEAD
	name  []byte
	buf   []byte
	chunk uint64
}

func newSealer(to io.Writer, key keys.Key, name string) (*sealer, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	aead, err := cipherOf(key, salt)
	if err != nil {
		return nil, err
	}
	if _, err := to.Write(append([]byte(sealMagic), salt...)); err != nil {
		return nil, err
	}
	return &sealer{to: to, aead: aead, name: []byte(name), buf: make([]byte, 0, chunkSize+tagSize)}, nil
}

func (s *sealer) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if len(s.buf) == chunkSize { // more comes, so it is not the last
			if err := s.flush(false); err != nil {
				return n, err
			}
		}
		k := min(len(b), chunkSize-len(s.buf))
		s.buf = append(s.buf, b[:k]...)
		b = b[k:]
		n += k
	}
	return n, nil
}

func (s *sealer) flush(last bool) error {
	out := s.aead.Seal(s.buf[:0], nonce(s.chunk, last), s.buf, s.name)
	s.chunk++
	_, err := s.to.Write(out)
	s.buf = s.buf[:0]
	return err
}

func (s *sealer) Close() error { return s.flush(true) }

// errSealed is a sealed file that is not what was written.
func errSealed(name string) error {
	return fault.New(fault.Corrupt, "open sealed file", name, "it was changed or cut off, or was sealed with another node's keys")
}

// opener decrypts a sealed file. It gives nothing that did not prove genuine, and the end of the file when the last chunk did.
type opener struct {
	from  *bufio.Reader
	aead  cipher.AEAD
	name  string
	buf   []byte
	rest  []byte
	chunk uint64
	ended bool
}

// newOpener finds, among the keys, the one that the file was sealed with. fault.Corrupt: there is none.
func newOpener(from io.Reader, all []keys.Key, name string) (*opener, error) {
	o := &opener{from: bufio.NewReaderSize(from, 2*(chunkSize+tagSize)), name: name, buf: make([]byte, chunkSize+tagSize)}
	head := make([]byte, len(sealMagic)+saltSize)
	if _, err := io.ReadFull(o.from, head); err != nil {
		return nil, ended(err, name)
	}
	if !bytes.HasPrefix(head, []byte(sealMagic)) {
		return nil, errSealed(name)
	}
	first, err := o.from.Peek(chunkSize + tagSize + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ended(err, name)
	}
	last := len(first) <= chunkSize+tagSize
	first = first[:min(len(first), chunkSize+tagSize)]
	for _, k := range all {
		if o.aead, err = cipherOf(k, head[len(sealMagic):]); err != nil {
			return nil, err
		}
		if _, err := o.aead.Open(nil, nonce(0, last), first, []byte(name)); err == nil {
			return o, nil
		}
	}
	return nil, errSealed(name)
}

func ended(err error, name string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errSealed(name)
	}
	return err
}

func (o *opener) Read(b []byte) (int, error) {
	for len(o.rest) == 0 {
		if o.ended {
			return 0, io.EOF
		}
		n, err := io.ReadFull(o.from, o.buf)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, ended(err, o.name)
		}
		_, err = o.from.Peek(1)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		o.ended = errors.Is(err, io.EOF)
		plain, err := o.aead.Open(o.buf[:0], nonce(o.chunk, o.ended), o.buf[:n], []byte(o.name))
		if err != nil {
			return 0, errSealed(o.name)
		}
		o.chunk++
		o.rest = plain
	}
	n := copy(b, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}
