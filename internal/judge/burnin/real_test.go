package burnin

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/codec"
	"github.com/vitrine-imaging/vitrine/internal/judge/render"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "codec-worker" {
		if codec.Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if decoders.pool != nil {
		decoders.pool.Close()
		os.RemoveAll(decoders.dir)
	}
	os.Exit(code)
}

var decoders struct {
	sync.Once
	pool *codec.Pool
	dir  string
}

func pool(t testing.TB) *codec.Pool {
	decoders.Do(func() {
		dir, err := os.MkdirTemp("", "burnin")
		if err != nil {
			t.Fatal(err)
		}
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		decoders.dir, decoders.pool = dir, codec.NewPool(codec.Options{Command: []string{exe, "codec-worker", dir}, Workers: 1})
	})
	return decoders.pool
}

// opened is the data set and a decoded frame of a file; ok is false if it has no picture that can be decoded.
func opened(t testing.TB, b []byte, k int) (d *dicom.Dataset, a render.Attributes, f codec.Frame, frames int, ok bool) {
	file, err := dicom.Parse(b, dicom.Limits{})
	if err != nil {
		return nil, a, f, 0, false
	}
	d = file.Data
	i := d.PixelData()
	if i < 0 {
		return d, a, f, 0, false
	}
	v := d.Value(i)
	if d.IsBulk(i) {
		if v, err = io.ReadAll(file.Bulk(i)); err != nil {
			return d, a, f, 0, false
		}
	}
	fr, err := dicom.NewFrames(d, bytes.NewReader(v), int64(len(v)))
	if err != nil || fr.Count() <= k {
		return d, a, f, 0, false
	}
	one, err := fr.Open(k)
	if err != nil {
		return d, a, f, 0, false
	}
	data, err := io.ReadAll(one)
	if err != nil {
		return d, a, f, 0, false
	}
	if a, err = render.AttributesOfFrame(d, k); err != nil {
		return d, a, f, 0, false
	}
	if f, err = codec.Decode(file.Syntax(), a.Image(), bytes.Clone(data)); err != nil {
		if f, err = pool(t).Decode(context.Background(), file.Syntax(), a.Image(), bytes.Clone(data)); err != nil {
			return d, a, f, 0, false
		}
	}
	return d, a, f, fr.Count(), true
}

// images calls fn for each file below a folder.
func images(t testing.TB, dir string, fn func(name string, b []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if fi, err := e.Info(); err != nil || fi.Size() > 64<<20 {
			return err
		}
		b, err := os.ReadFile(p)
		if err == nil && len(b) > 132 && string(b[128:132]) == "DICM" {
			rel, _ := filepath.Rel(dir, p)
			fn(rel, b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
