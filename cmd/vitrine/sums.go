package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sums is the file SHA256SUMS of a folder of fetched images, in the form that sha256sum writes and checks. A file is complete if it is in it and has that digest.
type sums struct {
	dir  string
	mu   sync.Mutex
	file *os.File
	all  map[string]string // path with slashes: hexadecimal digest
}

const sumsName = "SHA256SUMS"

func openSums(dir string) (*sums, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", ".vitrine-*.part"))
	if err != nil {
		return nil, err
	}
	for _, p := range left { // of a run that was killed
		os.Remove(p)
	}
	s := &sums{dir: dir, all: map[string]string{}}
	if s.file, err = os.OpenFile(filepath.Join(dir, sumsName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(s.file)
	if err != nil {
		s.file.Close()
		return nil, err
	}
	sc := bufio.NewScanner(bytes.NewReader(b))
	for sc.Scan() {
		digest, name, ok := strings.Cut(sc.Text(), "  ")
		if ok && len(digest) == 64 {
			s.all[name] = digest
		}
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		if _, err := s.file.WriteString("\n"); err != nil {
			s.file.Close()
			return nil, err
		}
	}
	return s, sc.Err()
}

// unchanged reports whether the file is there, whole, as it was fetched.
func (s *sums) unchanged(path string) bool {
	s.mu.Lock()
	want, ok := s.all[filepath.ToSlash(path)]
	s.mu.Unlock()
	if !ok {
		return false
	}
	got, err := fileDigest(filepath.Join(s.dir, path))
	return err == nil && got == want
}

func (s *sums) add(path string, digest [32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, sum := filepath.ToSlash(path), hex.EncodeToString(digest[:])
	s.all[name] = sum
	_, err := s.file.WriteString(sum + "  " + name + "\n")
	return err
}

// close writes the file anew, each name once and in order.
func (s *sums) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.file.Close(); err != nil {
		return err
	}
	return writeFile(filepath.Join(s.dir, sumsName), 0o644, func(w io.Writer) error {
		for _, name := range slices.Sorted(maps.Keys(s.all)) {
			if _, err := io.WriteString(w, s.all[name]+"  "+name+"\n"); err != nil {
				return err
			}
		}
		return nil
	})
}
