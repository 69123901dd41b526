package sample

import (
	"embed"
	"os"
	"path/filepath"
)

// What the directory says of the cohorts, and of a collection whose images lie elsewhere.
//
//go:embed entries/*.json
var entries embed.FS

// WriteEntries writes the descriptions of collections below dir, as `vitrine directory import` reads them.
func WriteEntries(dir string) error {
	all, err := entries.ReadDir("entries")
	if err != nil {
		return err
	}
	to := filepath.Join(dir, "entries")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range all {
		b, err := entries.ReadFile("entries/" + f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
