package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// input is a file that was named, or found in a folder that was.
type input struct {
	path string
	size int64
	mod  int64  // when it was changed, nanoseconds
	why  string // not empty: it cannot be read, and this is why; names no path
}

// inputs lists the files of the sources, folders in the order of their names. What is found but cannot be read is listed with its reason, for nothing is passed
// over in silence. A symbolic link is followed where it is named itself, not where it is found: it may lead anywhere, or around in a circle.
func inputs(sources []string) ([]input, error) {
	var all []input
	seen := map[string]bool{}
	for _, src := range sources {
		if _, err := os.Stat(src); err != nil {
			return nil, usage("%w", err) // what the caller typed
		}
		real, err := filepath.EvalSymlinks(src)
		if err != nil {
			return nil, usage("%w", err)
		}
		err = filepath.WalkDir(real, func(path string, e fs.DirEntry, err error) error {
			if seen[path] && err == nil {
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if err != nil {
				all = append(all, input{path: path, why: cause(err)})
				return nil
			}
			if e.IsDir() {
				return nil
			}
			seen[path] = true
			in := input{path: path}
			fi, err := e.Info()
			switch {
			case err != nil:
				in.why = cause(err)
			case fi.Mode()&fs.ModeSymlink != 0:
				in.why = "it is a symbolic link; name the file that it points to"
			case !fi.Mode().IsRegular():
				in.why = "it is no regular file"
			default:
				in.size, in.mod = fi.Size(), fi.ModTime().UnixNano()
			}
			all = append(all, in)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// images are the files of a disc that are images (PS3.10 7.1), and how many others there are: the index (PS3.10 8), programs, notes. What cannot be read is not
// passed over.
func images(files []input) (kept []input, aside int) {
	for _, f := range files {
		if f.why == "" && !image(f.path) {
			aside++
			continue
		}
		kept = append(kept, f)
	}
	return kept, aside
}

// mediaDirectory is the SOP class of a DICOMDIR.
const mediaDirectory = "1.2.840.10008.1.3.10"

func image(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true // it is told of when it is sent
	}
	defer f.Close()
	head := make([]byte, 1024)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	head = head[:n]
	return n >= 132 && string(head[128:132]) == "DICM" && !bytes.Contains(head, []byte(mediaDirectory))
}

// cause is an error of the file system without the path that it names.
func cause(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err.Error()
	}
	if se, ok := errors.AsType[*os.SyscallError](err); ok {
		return se.Err.Error()
	}
	return "it cannot be read"
}

// within reports whether path lies in folder or is it; both may not exist yet.
func within(path, folder string) bool {
	p, f := resolved(path), resolved(folder)
	if p == f {
		return true
	}
	rel, err := filepath.Rel(f, p)
	return err == nil && filepath.IsLocal(rel)
}

// resolved is the absolute path without symbolic links, as far as it exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	rest := ""
	for p := abs; ; {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		up := filepath.Dir(p)
		if up == p {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
		p = up
	}
}
