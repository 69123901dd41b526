package offline

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/base/durable"
)

// A key file holds the 32 bytes from which pseudonyms, UIDs and shifts of dates follow: as text in the form that CreateKey writes, or as the bare bytes.
const (
	keyVersion    = "vitrine-deidentify-key-1"
	masterVersion = "vitrine-master-key-"
)

// LoadKey reads a key file. Where there is none, it makes one and says so.
func LoadKey(path string) (root [32]byte, created bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = createKey(path)
		return root, err == nil, err
	}
	if err != nil {
		return root, false, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return root, false, err
	}
	if fi.Mode().Perm()&0o037 != 0 {
		return root, false, fmt.Errorf("%s can be read by others (mode %04o); whoever has it can try out whose images they are: chmod 600", path, fi.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return root, false, err
	}
	if len(b) == len(root) {
		return [32]byte(b), false, nil
	}
	version, rest, _ := strings.Cut(string(b), "\n")
	version = strings.TrimSuffix(version, "\r")
	if strings.HasPrefix(version, masterVersion) {
		return root, false, fmt.Errorf("%s is the master key of a node; de-identification takes a key of its own, which is made where the file does not exist", path)
	}
	k, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(rest))
	if version != keyVersion || err != nil || len(k) != len(root) {
		return root, false, fmt.Errorf("%s is no key: a key is 32 bytes, or the line %q and 32 bytes in base64", path, keyVersion)
	}
	return [32]byte(k), false, nil
}

// NewKey draws a key.
func NewKey() (root [32]byte) {
	rand.Read(root[:])
	return root
}

func createKey(path string) (root [32]byte, err error) {
	root = NewKey()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return root, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(path)
		}
	}()
	if _, err = f.WriteString(keyVersion + "\n" + base64.StdEncoding.EncodeToString(root[:]) + "\n"); err != nil {
		return root, err
	}
	if err = f.Sync(); err != nil {
		return root, err
	}
	if err = f.Close(); err != nil {
		return root, err
	}
	return root, durable.Folder(filepath.Dir(path))
}
