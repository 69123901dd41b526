package plant

import (
	"os"
	"path/filepath"
)

// Write writes the files below a folder, which has a name of somebody itself (L86 asks whether it comes back).
func (s *Set) Write(dir string) error {
	for _, f := range s.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Bytes, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Copy is the control: everything as it came, under its own name, is what it calls clean.
func (s *Set) Copy(dir string) (*Output, error) {
	o := &Output{Dir: dir}
	for _, f := range s.Files {
		o.Fates = append(o.Fates, Fate{Outcome: Cleaned, Path: f.Name})
	}
	return o, s.Write(dir)
}
