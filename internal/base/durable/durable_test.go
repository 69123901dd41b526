package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path+".new", []byte("what a power cut left behind"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second, longer", "3"} {
		if err := Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	// What cannot be put in its place leaves nothing behind.
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "folder"), []byte("x"), 0o600); err == nil {
		t.Error("a file took a folder's place")
	}
	if _, err := os.Stat(filepath.Join(dir, "folder.new")); err == nil {
		t.Error("something is left behind")
	}
	if err := Write(filepath.Join(dir, "absent", "x"), nil, 0o600); err == nil {
		t.Error("there is no such folder")
	}
}
