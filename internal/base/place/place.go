// Package place keeps files in a folder or in a bucket, by the same names: where backups lie.
//
//	p, err := place.Open(ctx, "/mnt/backup")          // or "s3://bucket?region=..."
//	put, err := p.Put(ctx, "packs/"+id, r)            // whole and read back, or not there
//	r, err := p.Get(ctx, "packs/"+id)
//
// What it promises: a file that is listed is whole; what Put returned for is on stable storage and has been read back and found equal. Files are never changed: a
// name that is put again is replaced at once. What it does not do: it does not encrypt, and it knows nothing of what it holds.
package place

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/vitrine-imaging/vitrine/internal/base/durable"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Place is an open folder or bucket. It is safe for use by many goroutines.
type Place struct {
	dir    string       // of a folder
	bucket *blob.Bucket // nil: a folder
	name   string       // for people, and to tell places apart
}

// Entry is a file that is there.
type Entry struct {
	Name string
	Size int64
}

// Sum is what was put.
type Sum struct {
	Size   int64
	SHA256 [32]byte
}

// IsURL reports whether an address names a bucket.
func IsURL(address string) bool { return strings.Contains(address, "://") }

// Open opens a folder, made if it is absent and may be, or the bucket of a URL as gocloud.dev/blob takes it.
func Open(ctx context.Context, address string) (*Place, error) {
	const attempt = "open place"
	if address == "" {
		return nil, fault.New(fault.Invalid, attempt, "", "no folder and no bucket is named")
	}
	if IsURL(address) {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fault.New(fault.Invalid, attempt, "", "its address cannot be read") // the cause would quote it
		}
		b, err := blob.OpenBucket(ctx, address)
		if err != nil {
			return nil, fault.New(fault.Unavailable, attempt, u.Scheme, "its address is not one, or it does not answer")
		}
		return &Place{bucket: b, name: u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/") + "?prefix=" + u.Query().Get("prefix")}, nil
	}
	dir, err := filepath.Abs(address)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, attempt, "", causeOf(err))
	}
	return &Place{dir: dir, name: "file://" + dir + "?prefix="}, nil
}

// Same reports whether two places are one, as far as their addresses tell.
func (p *Place) Same(q *Place) bool { return p.name == q.name }

// Folder is where a folder lies; empty for a bucket.
func (p *Place) Folder() string { return p.dir }

// Close closes the bucket.
func (p *Place) Close() error {
	if p.bucket == nil {
		return nil
	}
	return p.bucket.Close()
}

var valid = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

func check(attempt, name string) error {
	if !valid.MatchString(name) {
		return fault.New(fault.Invalid, attempt, "", "that is no name of a file")
	}
	return nil
}

func bucketFault(attempt, name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fault.Wrap(fault.NotFound, attempt, name, err)
	}
	return fault.Wrap(fault.Unavailable, attempt, name, err)
}

// causeOf is an error of the file system without its path.
func causeOf(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err
	}
	return err
}

func fileFault(attempt, name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.NotFound, attempt, name, causeOf(err))
	}
	return fault.Wrap(fault.Unavailable, attempt, name, causeOf(err))
}

// unfinished begins the names of files that are being written.
const unfinished = ".unfinished-"

// Put writes a file to its end, and reads it back. An error of r's is given as it is, and nothing is there then.
func (p *Place) Put(ctx context.Context, name string, r io.Reader) (Sum, error) {
	const attempt = "write to the place"
	if err := check(attempt, name); err != nil {
		return Sum{}, err
	}
	sum := sha256.New()
	in := &heeding{ctx: ctx, r: io.TeeReader(r, sum)}
	var n int64
	var err error
	if p.bucket == nil {
		n, err = p.putFile(name, in)
	} else {
		n, err = p.putObject(ctx, name, in)
	}
	if err != nil {
		if in.err != nil {
			return Sum{}, in.err
		}
		return Sum{}, err
	}
	put := Sum{n, [32]byte(sum.Sum(nil))}
	back, err := p.Sum(ctx, name)
	if err == nil && back != put {
		err = fault.New(fault.Corrupt, "read back from the place", name, "what is there differs from what was written")
	}
	if fault.Is(err, fault.Corrupt) {
		return Sum{}, errors.Join(err, p.Remove(ctx, name))
	}
	return put, err
}

// heeding reads until its context ends, and keeps the error of the reader apart.
type heeding struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (h *heeding) Read(b []byte) (int, error) {
	err := h.ctx.Err()
	n := 0
	if err == nil {
		n, err = h.r.Read(b)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		h.err = err
	}
	return n, err
}

func (p *Place) putObject(ctx context.Context, name string, r io.Reader) (int64, error) {
	const attempt = "write to the place"
	// Given up, the object never appears: the writer is closed after its context has ended.
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	w, err := p.bucket.NewWriter(ctx, name, &blob.WriterOptions{ContentType: "application/octet-stream", DisableContentTypeDetection: true, BufferSize: 8 << 20, MaxConcurrency: 2})
	if err != nil {
		return 0, bucketFault(attempt, name, err)
	}
	n, err := io.Copy(struct{ io.Writer }{w}, r)
	if err != nil {
		giveUp()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return n, bucketFault(attempt, name, err)
}

func (p *Place) putFile(name string, r io.Reader) (n int64, err error) {
	const attempt = "write to the place"
	path := p.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return 0, fileFault(attempt, name, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return 0, fileFault(attempt, name, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if n, err = io.Copy(f, r); err != nil {
		return 0, fileFault(attempt, name, err)
	}
	if err = f.Sync(); err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	// The folder, and those that were made for it.
	for dir := filepath.Dir(path); err == nil; dir = filepath.Dir(dir) {
		err = durable.Folder(dir)
		if dir == p.dir {
			break
		}
	}
	return n, fileFault(attempt, name, err)
}

func (p *Place) path(name string) string { return filepath.Join(p.dir, filepath.FromSlash(name)) }

// Get reads a file. fault.NotFound: there is none of that name.
func (p *Place) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	const attempt = "read from the place"
	if err := check(attempt, name); err != nil {
		return nil, err
	}
	if p.bucket == nil {
		f, err := os.Open(p.path(name))
		if err != nil {
			return nil, fileFault(attempt, name, err)
		}
		return f, nil
	}
	r, err := p.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, bucketFault(attempt, name, err)
	}
	return r, nil
}

// Sum reads a file to its end and says what it is.
func (p *Place) Sum(ctx context.Context, name string) (Sum, error) {
	r, err := p.Get(ctx, name)
	if err != nil {
		return Sum{}, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, &heeding{ctx: ctx, r: r})
	if err != nil {
		if ctx.Err() != nil {
			return Sum{}, ctx.Err()
		}
		return Sum{}, fault.Wrap(fault.Unavailable, "read from the place", name, causeOf(err))
	}
	return Sum{n, [32]byte(h.Sum(nil))}, nil
}

// List gives the files whose names begin with a prefix, in the order of their names.
func (p *Place) List(ctx context.Context, prefix string) ([]Entry, error) {
	const attempt = "list the place"
	var all []Entry
	if p.bucket != nil {
		it := p.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			o, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, bucketFault(attempt, "", err)
			}
			if !o.IsDir {
				all = append(all, Entry{o.Key, o.Size})
			}
		}
		sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
		return all, nil
	}
	top := p.dir
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		top = p.path(prefix[:i])
	}
	err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the folder is not made yet, or a file has been removed since
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(p.dir, path)
		name := filepath.ToSlash(rel)
		if err != nil || !e.Type().IsRegular() || !strings.HasPrefix(name, prefix) || !valid.MatchString(name) {
			return err
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			all = append(all, Entry{name, fi.Size()})
		}
		return err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, fileFault(attempt, "", err)
}

// Remove removes a file; one that is not there is removed already. Folders that are empty then go too.
func (p *Place) Remove(ctx context.Context, name string) error {
	const attempt = "remove from the place"
	if err := check(attempt, name); err != nil {
		return err
	}
	var err error
	if p.bucket != nil {
		err = bucketFault(attempt, name, p.bucket.Delete(ctx, name))
	} else {
		path := p.path(name)
		err = fileFault(attempt, name, os.Remove(path))
		for dir := filepath.Dir(path); err == nil && dir != p.dir && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// Tidy removes what writers that were killed have left half written in a folder. Nobody may be writing meanwhile. Buckets show nothing half written.
func (p *Place) Tidy() error {
	if p.bucket != nil {
		return nil
	}
	err := filepath.WalkDir(p.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), unfinished) {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return fileFault("tidy the place", "", err)
}
