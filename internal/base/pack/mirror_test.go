package pack

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// mirrored runs a test on every kind of store with a mirror beside it.
func mirrored(t *testing.T, test func(t *testing.T, s *Store, dir string, mirror *blob.Bucket)) {
	for name, o := range map[string]func(t *testing.T) Options{
		"folder":            func(*testing.T) Options { return Options{} },
		"folder and bucket": func(t *testing.T) Options { return Options{Bucket: s3Bucket(t)} },
		"tier":              func(t *testing.T) Options { return Options{Bucket: s3Bucket(t), Mode: Tier} },
	} {
		t.Run(name, func(t *testing.T) {
			opts, dir := o(t), t.TempDir()
			opts.Mirror = memblob.OpenBucket(nil)
			t.Cleanup(func() { opts.Mirror.Close() })
			s := openAt(t, dir, opts)
			test(t, s, dir, opts.Mirror)
		})
	}
}

func settle(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shipped(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// readsWhole wants an object to come as it was kept, by every way of reading.
func readsWhole(t *testing.T, s *Store, ref Ref, r *Record) {
	t.Helper()
	o, err := s.Open(t.Context(), ref, r.Key)
	if err != nil {
		t.Error("open: ", err)
		return
	}
	defer o.Close()
	bulk := bytes.Join(r.Bulk, nil)
	if b, err := o.Meta(); err != nil || !bytes.Equal(b, r.Meta) {
		t.Error("meta: ", err)
	}
	if b, err := o.Head(); err != nil || !bytes.Equal(b, r.Head) {
		t.Error("head: ", err)
	}
	got := make([]byte, len(bulk))
	if n, err := o.Bulk().ReadAt(got, 0); n != len(bulk) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, bulk) {
		t.Errorf("bulk: %d of %d bytes, %v", n, len(bulk), err)
	}
	var w bytes.Buffer
	if n, err := o.WriteBulk(&w, 1, int64(len(bulk))-1); err != nil || n != int64(len(bulk))-1 || !bytes.Equal(w.Bytes(), bulk[1:]) {
		t.Errorf("written: %d bytes, %v", n, err)
	}
	if err := s.Verify(t.Context(), ref, r.Key); err != nil {
		t.Error("verify: ", err)
	}
}

// What the first store lacks or damages is read from the mirror.
func TestMirror(t *testing.T) {
	mirrored(t, func(t *testing.T, s *Store, dir string, mirror *blob.Bucket) {
		var refs []Ref
		var records []*Record
		for i := range uint64(6) {
			r := record(i+1, 300, 3000, 200_000)
			ref, err := s.Append(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			refs, records = append(refs, ref), append(records, r)
			if i == 2 {
				settle(t, s)
			}
		}
		settle(t, s)
		all, err := s.Packs(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		for _, p := range all {
			if p.Where&InMirror == 0 {
				t.Error("a pack is not in the mirror")
			}
			if err := s.CheckMirror(t.Context(), p.ID); err != nil {
				t.Error(err)
			}
		}
		if l, ok, err := s.MirrorLag(); err != nil || !ok || l.Packs != 2 || l.Behind != 0 {
			t.Errorf("%+v %v %v", l, ok, err)
		}
		if s.FellBack() != 0 {
			t.Error("something was read from the mirror that need not be")
		}
		for i := range refs {
			readsWhole(t, s, refs[i], records[i])
		}
		if s.FellBack() != 0 {
			t.Error("something was read from the mirror that need not be")
		}
		// The first pack is lost, the second damaged: in each place where there is a copy.
		name := func(id ID) string { return filepath.Join(dir, "packs", FileName(id, true)) }
		lost, hurt := refs[0].Pack, refs[3].Pack
		s.files.drop(lost)
		if err := os.Remove(name(lost)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		damage := func(b []byte) {
			for i := 3; i < 6; i++ {
				at := refs[i].Offset
				b[at+[]int64{10, 900, 120_000}[i-3]] ^= 1 // its header, what is read first, its bulk
			}
		}
		if b, err := os.ReadFile(name(hurt)); err == nil {
			damage(b)
			if err := os.WriteFile(name(hurt), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s.bucket != nil {
			key := s.bucket.key(hurt)
			b, err := s.bucket.to.ReadAll(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			damage(b)
			if err := s.bucket.to.WriteAll(t.Context(), key, b, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.bucket.to.Delete(t.Context(), s.bucket.key(lost)); err != nil {
				t.Fatal(err)
			}
			s.bucket.there = nil
		}
		for i := range refs {
			readsWhole(t, s, refs[i], records[i])
		}
		if s.FellBack() == 0 {
			t.Error("nobody counts what is read from the mirror")
		}
		n := 0
		if err := s.Scan(t.Context(), lost, 0, func(Header) (bool, error) { n++; return true, nil }); err != nil || n != 3 {
			t.Errorf("%d records of a lost pack, %v", n, err)
		}
		if x, err := s.Extent(t.Context(), lost, 0); err != nil || !x.Sealed || x.Records != 3 {
			t.Errorf("%+v %v", x, err)
		}
		if _, err := s.Check(t.Context(), hurt); !fault.Is(err, fault.Corrupt) {
			t.Errorf("the damage is hidden: %v", err)
		}
		// Damage in the mirror is found too, and with both damaged nothing is given out.
		b, err := mirror.ReadAll(t.Context(), s.mirror.key(hurt))
		if err != nil {
			t.Fatal(err)
		}
		damage(b)
		if err := mirror.WriteAll(t.Context(), s.mirror.key(hurt), b, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.CheckMirror(t.Context(), hurt); !fault.Is(err, fault.Corrupt) {
			t.Errorf("damage in the mirror: %v", err)
		}
		for i := 3; i < 6; i++ {
			if err := s.Verify(t.Context(), refs[i], records[i].Key); !fault.Is(err, fault.Corrupt) {
				t.Errorf("record %d, damaged everywhere: %v", i, err)
			}
		}
		if err := s.CheckMirror(t.Context(), ID{9}); !fault.Is(err, fault.NotFound) {
			t.Errorf("a pack that the mirror has not: %v", err)
		}
	})
}

// A mirror that does not answer keeps nothing from going on, and gets everything when it does.
func TestMirrorThatFails(t *testing.T) {
	var down atomic.Bool
	inner := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "down", http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := s3.New(s3.Options{Region: "eu-test-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), HTTPClient: server.Client()})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("mirror")}); err != nil {
		t.Fatal(err)
	}
	mirror, err := s3blob.OpenBucket(t.Context(), client, "mirror", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { mirror.Close(); server.Client().CloseIdleConnections() }()
	down.Store(true)
	s := openAt(t, t.TempDir(), Options{Mirror: mirror, Retry: time.Millisecond})
	r := record(1, 10, 10, 5000)
	ref, err := s.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	readsWhole(t, s, ref, r)
	if all, err := s.Packs(t.Context()); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
	for {
		if l, ok, err := s.MirrorLag(); err != nil {
			t.Fatal(err)
		} else if ok && !l.Failing.IsZero() {
			if l.Behind != 1 || l.Bytes == 0 || l.Since.IsZero() {
				t.Errorf("%+v", l)
			}
			break
		}
	}
	down.Store(false)
	if err := s.Shipped(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, _, err := s.MirrorLag(); err != nil || l.Behind != 0 || !l.Failing.IsZero() {
		t.Errorf("%+v %v", l, err)
	}
	if err := s.CheckMirror(t.Context(), ref.Pack); err != nil {
		t.Error(err)
	}
}

// Where little comes, a pack does not wait to be full before it is copied.
func TestOldPacksAreSealedForTheMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mirror := memblob.OpenBucket(nil)
		defer mirror.Close()
		s, err := OpenStore(t.Context(), t.TempDir(), Options{Mirror: mirror, SealAfter: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ref, err := s.Append(t.Context(), record(1, 10, 10, 5000))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if ok, _ := mirror.Exists(t.Context(), s.mirror.key(ref.Pack)); ok {
			t.Error("it was sealed early")
		}
		time.Sleep(45 * time.Minute)
		synctest.Wait()
		if ok, err := mirror.Exists(t.Context(), s.mirror.key(ref.Pack)); !ok || err != nil {
			t.Error("it is not in the mirror", err)
		}
	})
}
