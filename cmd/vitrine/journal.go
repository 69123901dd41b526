package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/client"
)

// journal remembers which files a server has acknowledged, so that a deposit that was interrupted goes on where it ended. It holds no file name in clear, nor
// anything that could be compared with one: files are known by a keyed digest of server, collection, path, size and time of change, and the key does not leave
// the user's own folder.
type journal struct {
	key  [32]byte
	to   string
	made string // when the collection there was made; empty: it cannot be asked
	mu   sync.Mutex
	file *os.File
	done map[string]journalLine
	half map[string]journalLine // files that were begun to be sent in pieces
}

type journalLine struct {
	File    string `json:"file"`
	Made    string `json:"made"`              // the collection
	Outcome string `json:"outcome,omitempty"` // empty: it was begun, as Upload
	Upload  string `json:"upload,omitempty"`
	Batch   string `json:"batch,omitempty"`
	Ordinal int64  `json:"ordinal,omitempty"`
	Code    string `json:"code,omitempty"`
	Text    string `json:"text,omitempty"`
}

// stateFolder is where a program keeps what should outlive it (XDG base directories).
func stateFolder() (string, error) {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "vitrine"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "vitrine"), nil
}

// openJournal opens what is remembered of deposits into a collection of a server.
func openJournal(dir, server, collection string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	j := &journal{to: server + "\x00" + collection, done: map[string]journalLine{}, half: map[string]journalLine{}}
	if err := j.loadKey(filepath.Join(dir, "journal.key")); err != nil {
		return nil, err
	}
	name := hex.EncodeToString(j.sum(j.to))[:24]
	f, err := os.OpenFile(filepath.Join(dir, "deposit-"+name+".jsonl"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j.file = f
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var l journalLine
		if json.Unmarshal(sc.Bytes(), &l) == nil && l.File != "" { // a line that a crash cut short says nothing
			j.keep(l)
		}
	}
	if err := sc.Err(); err != nil {
		f.Close()
		return nil, err
	}
	// The next line must not continue one that was cut short.
	if end, err := f.Seek(0, 2); err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			if _, err := f.WriteString("\n"); err != nil {
				f.Close()
				return nil, err
			}
		}
	}
	return j, nil
}

func (j *journal) loadKey(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(j.key[:])
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(j.key[:])
		return errors.Join(err, f.Close())
	}
	if err != nil {
		return err
	}
	if len(b) != len(j.key) {
		return fmt.Errorf("%s is damaged; remove it, and deposits begin anew", path)
	}
	copy(j.key[:], b)
	return nil
}

func (j *journal) sum(parts ...string) []byte {
	h := hmac.New(sha256.New, j.key[:])
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// id is the name of a file in the journal: another one once the file has changed.
func (j *journal) id(in input) string {
	path, err := filepath.Abs(in.path)
	if err != nil {
		path = in.path
	}
	return hex.EncodeToString(j.sum(j.to, path, fmt.Sprint(in.size), fmt.Sprint(in.mod)))
}

// known is what was acknowledged of a file before. Another node at the same address has other collections, made at other times: what one has acknowledged
// the other has not.
func (j *journal) known(id string) (journalLine, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, ok := j.done[id]
	return l, ok && (j.made == "" || l.Made == j.made)
}

// begun is how the node calls a file of which something was sent before.
func (j *journal) begun(id string) (journalLine, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l, ok := j.half[id]
	return l, ok && (j.made == "" || l.Made == j.made) && client.ValidUpload(l.Upload)
}

func (j *journal) keep(l journalLine) {
	if l.Outcome == "" {
		j.half[l.File] = l
		return
	}
	j.done[l.File] = l
	delete(j.half, l.File)
}

// note writes down that a server has taken files.
func (j *journal) note(lines []journalLine) error {
	var b []byte
	for i := range lines {
		lines[i].Made = j.made
	}
	for _, l := range lines {
		line, err := json.Marshal(l)
		if err != nil {
			return err
		}
		b = append(append(b, line...), '\n')
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range lines {
		j.keep(l)
	}
	_, err := j.file.Write(b)
	return err
}

func (j *journal) close() error { return j.file.Close() }
