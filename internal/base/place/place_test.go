package place

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	_ "gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func each(t *testing.T, test func(t *testing.T, p *Place)) {
	open := func(t *testing.T, address string) *Place {
		p, err := Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, make := range map[string]func(t *testing.T) *Place{
		"folder":           func(t *testing.T) *Place { return open(t, filepath.Join(t.TempDir(), "a", "b")) },
		"bucket in memory": func(*testing.T) *Place { return &Place{bucket: memblob.OpenBucket(nil), name: "mem"} },
		"bucket of files":  func(t *testing.T) *Place { return open(t, "file://"+t.TempDir()+"?no_tmp_dir=true&metadata=skip") },
		"S3": func(t *testing.T) *Place {
			server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
			t.Cleanup(server.Close)
			client := s3.New(s3.Options{Region: "eu-test-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true,
				Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), HTTPClient: server.Client()})
			if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("backups")}); err != nil {
				t.Fatal(err)
			}
			b, err := s3blob.OpenBucket(t.Context(), client, "backups", nil)
			if err != nil {
				t.Fatal(err)
			}
			return &Place{bucket: b, name: "s3"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := make(t)
			defer p.Close()
			test(t, p)
		})
	}
}

func get(t *testing.T, p *Place, name string) string {
	t.Helper()
	r, err := p.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPlaces(t *testing.T) {
	each(t, func(t *testing.T, p *Place) {
		ctx := t.Context()
		big := bytes.Repeat([]byte("0123456789abcdef"), 700_000)
		for name, b := range map[string][]byte{"packs/one.pack": big, "packs/two.pack": []byte("two"), "parts/x/0-1": {}, "top": []byte("t")} {
			s, err := p.Put(ctx, name, bytes.NewReader(b))
			if err != nil || s.Size != int64(len(b)) {
				t.Fatal(name, s.Size, err)
			}
			if again, err := p.Sum(ctx, name); err != nil || again != s {
				t.Error(name, err)
			}
		}
		if get(t, p, "packs/one.pack") != string(big) {
			t.Error("it is not what was put")
		}
		if _, err := p.Put(ctx, "packs/two.pack", strings.NewReader("other")); err != nil || get(t, p, "packs/two.pack") != "other" {
			t.Error("it is not replaced", err)
		}
		list := func(prefix string) (names string) {
			all, err := p.List(ctx, prefix)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				names += e.Name + " "
			}
			return names
		}
		if got := list("packs/"); got != "packs/one.pack packs/two.pack " {
			t.Error(got)
		}
		if got := list("nothing/"); got != "" {
			t.Error(got)
		}
		for range 2 {
			if err := p.Remove(ctx, "parts/x/0-1"); err != nil {
				t.Error(err)
			}
		}
		if _, err := p.Get(ctx, "parts/x/0-1"); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		// What breaks off is not there, and what was there stays.
		broken := errors.New("broken")
		if _, err := p.Put(ctx, "packs/two.pack", io.MultiReader(strings.NewReader("half"), failing{broken})); !errors.Is(err, broken) {
			t.Error(err)
		}
		if get(t, p, "packs/two.pack") != "other" {
			t.Error("half of a file took the place of a whole one")
		}
		stopped, stop := context.WithCancel(ctx)
		stop()
		if _, err := p.Put(stopped, "packs/three.pack", strings.NewReader("x")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if got := list("packs/"); got != "packs/one.pack packs/two.pack " {
			t.Error(got)
		}
		for _, bad := range []string{"", "/x", "../x", "a/../b", "a//b", ".x", "a/.unfinished-1", `a\b`, "a b"} {
			if _, err := p.Put(ctx, bad, strings.NewReader("x")); !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestTidy(t *testing.T) {
	p, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.Folder(), "packs"), 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(p.Folder(), "packs", unfinished+"1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := p.List(t.Context(), "packs/"); err != nil || len(all) != 0 {
		t.Error("what is half written is listed", err)
	}
	if err := p.Tidy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("it is there")
	}
}

func TestSamePlace(t *testing.T) {
	dir := t.TempDir()
	open := func(address string) *Place {
		p, err := Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	if !open(dir).Same(open(dir+"/")) || open(dir).Same(open(t.TempDir())) || !open(dir).Same(open("file://"+dir)) {
		t.Error("places are told apart wrongly")
	}
	for _, bad := range []string{"", "nothing://x", "s3://%zz"} {
		if _, err := Open(t.Context(), bad); err == nil {
			t.Errorf("%q is a place", bad)
		}
	}
}
