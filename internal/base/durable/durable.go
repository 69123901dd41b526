// Package durable brings names and small files to stable storage: after a power cut they are there, and whole.
package durable

import (
	"os"
	"path/filepath"
)

// Folder syncs a folder: the names that were made in it, changed or removed.
func Folder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Write puts a file in a place, or in that of another, at once and for good. It is for one writer of a path.
func Write(path string, b []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		os.Remove(path + ".new")
		return err
	}
	return Folder(filepath.Dir(path))
}
