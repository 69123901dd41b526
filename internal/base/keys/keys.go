// Package keys holds the keys that everything kept is encrypted under: one random key for each subject, wrapped by a master key that lies elsewhere.
//
//	d, err := db.Open(ctx, "sqlite:/srv/vitrine/keys.db", db.Durable, db.SecureDelete)
//	ring, err := keys.Unlock(ctx, d, keys.Place{File: "/etc/vitrine/master.key"})
//	id, key, err := ring.New(ctx)       // durable before it returns
//	err = ring.Destroy(ctx, id)         // what was encrypted under it is gone, mirrors and copies included
//
// What it promises: a key that was handed out is on stable storage; a key that was destroyed is given to nobody, in this process at once, in other
// processes of the same database within [Remembered]; the wrong master key is refused when the ring is opened, before anything is written with it.
// Keys never print: not by fmt, not by slog, not as JSON. The master key can be changed ([Rotate]), and lie sealed by a key service ([Place]).
//
// What it does not do: it cannot reach copies of the key database. Backups of it are kept apart and no longer than the period in which an erasure must
// be complete. It does not defend against who holds the master key and the database. The format of both is in docs/formats/keys.md.
package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/durable"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// ID is the random name of a subject's key. It says nothing about the subject and stays when the key is gone.
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) || s != strings.ToLower(s) {
		return ID{}, fault.New(fault.Invalid, "parse key identifier", "", "it is not 32 hexadecimal digits in lower case")
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fault.New(fault.Invalid, "parse key identifier", "", "it is not 32 hexadecimal digits in lower case")
	}
	return id, nil
}

// Key is 256 secret bits.
type Key [32]byte

const hidden = "[key]"

func (Key) String() string               { return hidden }
func (Key) GoString() string             { return hidden }
func (Key) Format(s fmt.State, _ rune)   { io.WriteString(s, hidden) }
func (Key) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Key) MarshalText() ([]byte, error) { return nil, errors.New("a key is not written as text") }

// Derive makes a key for one purpose: HKDF-SHA256 (RFC 5869) without salt. Purposes are constants of the program.
func (k Key) Derive(purpose string) Key {
	b, err := hkdf.Key(sha256.New, k[:], nil, purpose, len(k))
	if err != nil {
		panic("keys: " + err.Error()) // only a length over 255 hashes fails
	}
	return Key(b)
}

// Master is the key that wraps the others. It never touches stored data itself.
type Master struct {
	key  Key
	seal cipher.AEAD
}

const masterVersion = "vitrine-master-key-1"

func newMaster(key Key) (*Master, error) {
	wrap := key.Derive("vitrine wrap 1")
	block, err := aes.NewCipher(wrap[:])
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "prepare master key", "", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "prepare master key", "", err)
	}
	return &Master{key: key, seal: aead}, nil
}

// Fingerprint names a master key and says nothing of it: 16 hexadecimal digits.
func (m *Master) Fingerprint() string {
	k := m.derive("fingerprint")
	return hex.EncodeToString(k[:8])
}

func freshMaster() (*Master, error) {
	var key Key
	rand.Read(key[:])
	return newMaster(key)
}

func (m *Master) text() string {
	return masterVersion + "\n" + base64.StdEncoding.EncodeToString(m.key[:]) + "\n"
}

// CreateMaster makes a new master key in a new file, readable by its owner alone and on stable storage before it returns. An existing file is never
// overwritten.
func CreateMaster(path string) (*Master, error) {
	m, err := freshMaster()
	if err != nil {
		return nil, err
	}
	return m, writeNew(path, m.text())
}

// writeNew writes a new file with what a key is kept in.
func writeNew(path, text string) (err error) {
	const attempt = "create master key"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, attempt, "", "the file exists; what it holds may be the only copy of a key")
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, "", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path)
		}
	}()
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = durable.Folder(filepath.Dir(path))
	}
	return fault.Wrap(fault.Unavailable, attempt, "", err)
}

// LoadMaster reads a master key. A file that others may read, or the group may write, is refused.
func LoadMaster(path string) (*Master, error) {
	text, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	return parseMaster(path, text)
}

func readKeyFile(path string) (string, error) {
	const attempt = "load master key"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Wrap(fault.NotFound, attempt, path, err)
	}
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, attempt, path, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, attempt, path, err)
	}
	if fi.Mode().Perm()&0o037 != 0 {
		return "", fault.New(fault.Denied, attempt, path, fmt.Sprintf("its permissions are %04o; it must be closed to others (chmod 600)", fi.Mode().Perm()))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, attempt, path, err)
	}
	return string(b), nil
}

// maxKeyFile bounds a file of a key: a service's ciphertext of 100 bytes takes less than a kilobyte.
const maxKeyFile = 16 << 10

func parseMaster(path, text string) (*Master, error) {
	const attempt = "load master key"
	version, rest, ok := strings.Cut(text, "\n")
	if !ok || strings.TrimSuffix(version, "\r") != masterVersion {
		return nil, fault.New(fault.Invalid, attempt, path, `the first line is not "`+masterVersion+`"`)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(rest))
	if err != nil || len(b) != len(Key{}) {
		return nil, fault.New(fault.Invalid, attempt, path, "the second line is not 32 bytes in base64") // the cause would quote it
	}
	return newMaster(Key(b))
}

func (m *Master) derive(purpose string) Key { return m.key.Derive("vitrine derive 1 " + purpose) }

const wrapVersion = 1

// wrap encrypts a key; about says what it is the key of and must be the same at unwrap.
func (m *Master) wrap(key Key, about string) []byte {
	// Nonces are random: 2^32 keys stay below the bound of NIST SP 800-38D 8.3.
	out := make([]byte, 1+m.seal.NonceSize(), 1+m.seal.NonceSize()+len(key)+m.seal.Overhead())
	out[0] = wrapVersion
	rand.Read(out[1:])
	return m.seal.Seal(out, out[1:], key[:], []byte(about))
}

// unwrap decrypts what wrap gave.
func (m *Master) unwrap(wrapped []byte, about string) (Key, error) {
	const attempt = "unwrap key"
	n := m.seal.NonceSize()
	if len(wrapped) != 1+n+len(Key{})+m.seal.Overhead() || wrapped[0] != wrapVersion {
		return Key{}, fault.New(fault.Corrupt, attempt, "", "it has another length or version than a wrapped key")
	}
	b, err := m.seal.Open(nil, wrapped[1:1+n], wrapped[1+n:], []byte(about))
	if err != nil {
		return Key{}, fault.New(fault.Corrupt, attempt, "", "it was changed, belongs to something else, or was wrapped by another master key")
	}
	return Key(b), nil
}
