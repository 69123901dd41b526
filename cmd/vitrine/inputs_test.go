package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Of a disc the images are left, and what cannot be read.
func TestImages(t *testing.T) {
	dir := t.TempDir()
	part10 := func(class string) []byte {
		return append(append(make([]byte, 128), "DICM\x02\x00\x02\x00UI"+string(rune(len(class)))+"\x00"+class...), make([]byte, 2000)...)
	}
	for name, b := range map[string][]byte{"DICOMDIR": part10("1.2.840.10008.1.3.10"), "IMAGES/IM1": part10("1.2.840.10008.5.1.4.1.1.2\x00"), "IM2": part10("1.2.840.10008.5.1.4.1.1.4\x00")[:300], "AUTORUN.INF": []byte("[autorun]"),
		"VIEWER/VIEWER.EXE": make([]byte, 4000), "EMPTY": nil} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("IM2", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	files, err := inputs([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	kept, aside := images(files)
	var names []string
	for _, f := range kept {
		names = append(names, filepath.Base(f.path))
	}
	if aside != 4 || len(names) != 3 || names[0] != "IM1" && names[0] != "IM2" {
		t.Errorf("%d aside, %q", aside, names)
	}
}
