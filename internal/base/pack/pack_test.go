package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"go.uber.org/goleak"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PACK_TEST_CRASH_DIR"); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// s3 is a bucket on a server in this process.
func s3Bucket(t testing.TB) *blob.Bucket {
	t.Helper()
	server := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	client := s3.New(s3.Options{
		Region: "eu-test-1", BaseEndpoint: aws.String(server.URL), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), HTTPClient: server.Client(),
	})
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("packs")}); err != nil {
		t.Fatal(err)
	}
	b, err := s3blob.OpenBucket(t.Context(), client, "packs", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return b
}

func openAt(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// each runs the conformance suite's tests on every kind of store. settle makes what was appended go where that kind keeps it.
func each(t *testing.T, test func(t *testing.T, s *Store, settle func())) {
	for name, o := range map[string]func(t *testing.T) Options{
		"local":  func(*testing.T) Options { return Options{} },
		"mirror": func(t *testing.T) Options { return Options{Bucket: s3Bucket(t)} },
		"tier":   func(t *testing.T) Options { return Options{Bucket: s3Bucket(t), Mode: Tier} },
	} {
		t.Run(name, func(t *testing.T) {
			opts := o(t)
			s := openAt(t, t.TempDir(), opts)
			test(t, s, func() {
				t.Helper()
				if err := s.Seal(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Shipped(t.Context()); err != nil {
					t.Fatal(err)
				}
				packs, err := s.Packs(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]Where{"local": Local, "mirror": Local | InBucket, "tier": InBucket}[name]
				for _, p := range packs {
					if p.Where != want || !p.Sealed {
						t.Errorf("a pack is in %b (sealed %v), not %b", p.Where, p.Sealed, want)
					}
				}
			})
		})
	}
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(b)
	return b
}

func record(seed uint64, meta, head, bulk int) *Record {
	r := &Record{KeyID: keys.ID{1, byte(seed)}, Key: keys.Key{7, byte(seed)}, Meta: noise(meta, 3*seed), Head: noise(head, 3*seed+1), Tag: seed}
	b := noise(bulk, 3*seed+2)
	// In uneven parts, some of them empty.
	for len(b) > 0 {
		n := min(len(b), 1+int(seed*7919)%70000)
		r.Bulk = append(r.Bulk, b[:n], nil)
		b = b[n:]
	}
	return r
}

func readBack(s *Store, ref Ref, r *Record) error {
	o, err := s.Open(context.Background(), ref, r.Key)
	if err != nil {
		return err
	}
	defer o.Close()
	if o.KeyID != r.KeyID {
		return errors.New("another key's name")
	}
	meta, err := o.Meta()
	if err != nil {
		return err
	}
	head, err := o.Head()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if _, err := o.WriteBulk(&out, 0, o.BulkSize()); err != nil {
		return err
	}
	if !bytes.Equal(meta, r.Meta) || !bytes.Equal(head, r.Head) || !bytes.Equal(out.Bytes(), bytes.Join(r.Bulk, nil)) {
		return errors.New("other bytes came back")
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, s *Store, settle func()) {
		var refs []Ref
		var records []*Record
		c := DefaultChunk
		for i, n := range [][3]int{
			{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {100, 3000, 8000}, {c - 1, c, c + 1}, {c, c + 1, c - 1}, {2*c + 1, 2 * c, 3*c - 1},
			{200, 5000, 527 << 10}, {10, 10, 5 << 20}, {100, 4000, 20 << 20},
		} {
			r := record(uint64(i), n[0], n[1], n[2])
			ref, err := s.Append(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			refs, records = append(refs, ref), append(records, r)
			if err := readBack(s, ref, r); err != nil {
				t.Errorf("%v before settling: %v", n, err)
			}
		}
		settle()
		for i, r := range records {
			if err := readBack(s, refs[i], r); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
			if err := s.Verify(t.Context(), refs[i], r.Key); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
			if err := s.Verify(t.Context(), refs[i], keys.Key{99}); !fault.Is(err, fault.Corrupt) {
				t.Errorf("record %d under another key: %v", i, err)
			}
		}
		packs, err := s.Packs(t.Context())
		if err != nil || len(packs) != 2 {
			t.Fatalf("%d packs, %v", len(packs), err)
		}
		seen := map[Ref]bool{}
		for _, p := range packs {
			if n, err := s.Check(t.Context(), p.ID); err != nil || n == 0 {
				t.Errorf("check: %d, %v", n, err)
			}
			var sequence uint64
			err := s.Scan(t.Context(), p.ID, 0, func(h Header) (bool, error) {
				if h.Sequence != sequence {
					t.Errorf("sequence %d, not %d", h.Sequence, sequence)
				}
				sequence++
				seen[h.Ref] = true
				return true, nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		for _, ref := range refs {
			if !seen[ref] {
				t.Errorf("scanning missed %v", ref)
			}
		}
	})
}

func TestReadAnywhere(t *testing.T) {
	each(t, func(t *testing.T, s *Store, settle func()) {
		var refs []Ref
		var rs []*Record
		for i, n := range []int{10_000, 700_001} {
			r := record(uint64(i), 50, 60, n)
			r.Chunk = 16 << 10
			ref, err := s.Append(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			refs, rs = append(refs, ref), append(rs, r)
		}
		settle()
		rapid.Check(t, func(t *rapid.T) {
			i := rapid.IntRange(0, 1).Draw(t, "record")
			want := bytes.Join(rs[i].Bulk, nil)
			o, err := s.Open(context.Background(), refs[i], rs[i].Key)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			off := rapid.IntRange(0, len(want)+5).Draw(t, "offset")
			p := make([]byte, rapid.IntRange(0, 400_000).Draw(t, "length"))
			n, err := o.Bulk().ReadAt(p, int64(off))
			rest := want[min(off, len(want)):]
			if n != min(len(p), len(rest)) || !bytes.Equal(p[:n], rest[:n]) {
				t.Fatalf("%d of %d bytes at %d, or other ones (%v)", n, len(p), off, err)
			}
			if (n < len(p)) != errors.Is(err, io.EOF) && !(n == 0 && off >= len(want)) {
				t.Fatalf("%d of %d bytes: %v", n, len(p), err)
			}
			if !allZero(p[n:]) {
				t.Fatal("bytes beyond those promised were written")
			}
			var out bytes.Buffer
			if _, err := o.WriteBulk(&out, int64(min(off, len(want))), int64(len(rest[:n]))); err != nil || !bytes.Equal(out.Bytes(), rest[:n]) {
				t.Fatalf("as a stream: %v", err)
			}
		})
	})
}

func TestRandomRecordsRoundTrip(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{PackSize: 1 << 20})
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(4000, 4200), rapid.IntRange(0, 200_000))
		r := record(rapid.Uint64Range(0, 200).Draw(t, "seed"), size.Draw(t, "meta"), size.Draw(t, "head"), size.Draw(t, "bulk"))
		r.Chunk = 4096 << rapid.IntRange(0, 8).Draw(t, "chunk")
		ref, err := s.Append(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if err := readBack(s, ref, r); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(context.Background(), ref, r.Key); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStream(t *testing.T) {
	each(t, func(t *testing.T, s *Store, settle func()) {
		c := DefaultChunk
		type kept struct {
			ref Ref
			r   *Record
		}
		var all []kept
		for i, n := range []int{0, 1, c - 1, c, c + 1, 3 * c, streamBuffer, 3<<20 + 17} {
			r := record(uint64(i), 2000*i, c*(i%3), n)
			st, err := s.Stream(t.Context(), r.KeyID, r.Key)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range r.Bulk {
				if _, err := st.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			ref, err := st.Commit(t.Context(), r.Meta, r.Head, nil)
			if err != nil {
				t.Fatal(err)
			}
			if st.Sums() != *r.Sum() {
				t.Error("the stream's digests are others")
			}
			st.Abort() // does nothing
			all = append(all, kept{ref, r})
		}
		settle()
		for i, k := range all {
			if err := readBack(s, k.ref, k.r); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
			if err := s.Verify(t.Context(), k.ref, k.r.Key); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
			if n, err := s.Check(t.Context(), k.ref.Pack); n != 1 || err != nil {
				t.Errorf("stream %d: check %d, %v", i, n, err)
			}
		}
	})
}

func TestAbortedStreamLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	st, err := s.Stream(t.Context(), keys.ID{1}, keys.Key{2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(noise(3<<20, 1)); err != nil {
		t.Fatal(err)
	}
	// Killed now, the process leaves a file without a salt: recovery removes it.
	name := st.header.Ref.Pack.String() + ".large"
	b, err := os.ReadFile(filepath.Join(dir, "packs", name))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, st.header.salt[:8]) {
		t.Error("the salt is on disk before the commit")
	}
	other := t.TempDir()
	os.MkdirAll(filepath.Join(other, "packs"), 0o700)
	os.WriteFile(filepath.Join(other, "packs", name), b, 0o600)
	openAt(t, other, Options{})
	if err := st.Abort(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, other} {
		if left, _ := os.ReadDir(filepath.Join(d, "packs")); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
	}
	if _, err := st.Write([]byte{1}); err == nil {
		t.Error("it writes after its end")
	}
}

func TestCommittedIsToldInOrder(t *testing.T) {
	var mu sync.Mutex
	var told []Committed
	s := openAt(t, t.TempDir(), Options{PackSize: 300 << 10, Committed: func(c []Committed) {
		if !mu.TryLock() {
			t.Error("told twice at once")
			return
		}
		defer mu.Unlock()
		told = append(told, c...)
	}})
	var wg sync.WaitGroup
	var refs sync.Map
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				r := record(uint64(w), 10, 100*i, 3000)
				r.Tag = fmt.Sprint(w, i)
				ref, err := s.Append(context.Background(), r)
				if err != nil {
					t.Error(err)
				}
				refs.Store(ref, r.Tag)
			}
		})
	}
	wg.Wait()
	next := map[ID]int64{}
	for _, c := range told {
		if want := next[c.Ref.Pack]; want != 0 && want != c.Ref.Offset {
			t.Fatalf("out of order: %d, not %d", c.Ref.Offset, want)
		}
		next[c.Ref.Pack] = c.Ref.Offset + c.Header.Size()
		if tag, ok := refs.Load(c.Ref); !ok || tag != c.Tag {
			t.Fatal("told of what nobody got, or with another tag")
		}
	}
	if len(told) != 320 || len(next) < 2 {
		t.Errorf("told of %d records in %d packs", len(told), len(next))
	}
}

func TestAppendAll(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	var rs []*Record
	for i := range 700 {
		rs = append(rs, record(uint64(i), 10, 20, i))
	}
	rs = append(rs, record(1000, 1, 1, 17<<20), record(1001, 1, 1, 9<<20), record(1002, 1, 1, 9<<20))
	refs, err := s.AppendAll(t.Context(), rs)
	if err != nil || len(refs) != len(rs) {
		t.Fatal(len(refs), err)
	}
	for i, r := range rs {
		if err := readBack(s, refs[i], r); err != nil {
			t.Fatal(i, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	r := record(1, 10, 10, 10)
	r.Chunk = 5000
	if _, err := s.Append(t.Context(), r); !fault.Is(err, fault.Invalid) {
		t.Errorf("chunk size: %v", err)
	}
	r.Chunk = 0
	ref, err := s.Append(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ref  Ref
		kind fault.Kind
	}{
		"no pack":    {Ref{ID{1}, block}, fault.NotFound},
		"odd place":  {Ref{ref.Pack, ref.Offset + 8}, fault.Invalid},
		"the header": {Ref{ref.Pack, 0}, fault.Invalid},
		"behind":     {Ref{ref.Pack, ref.Offset + block}, fault.NotFound},
	} {
		if _, err := s.Open(t.Context(), c.ref, r.Key); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Stream(ctx, r.KeyID, r.Key); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	st, err := s.Stream(t.Context(), r.KeyID, r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(t.Context(), nil, nil, nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("commit after close: %v", err)
	}
	if _, err := s.Append(t.Context(), r); !fault.Is(err, fault.Unavailable) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := s.Open(t.Context(), ref, r.Key); !fault.Is(err, fault.Unavailable) {
		t.Errorf("open after close: %v", err)
	}
	if err := s.Seal(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("seal after close: %v", err)
	}
}

func TestRefText(t *testing.T) {
	ref := Ref{ID{0xab, 1}, 3 * block}
	if got, err := ParseRef(ref.String()); err != nil || got != ref {
		t.Errorf("%v %v", got, err)
	}
	id := ref.Pack.String()
	for _, s := range []string{"", id, id + ":", id + ":0", id + ":4097", id + ":-4096", id + ":+8192", id + ":08192", strings.ToUpper(id) + ":8192", "x:8192"} {
		if _, err := ParseRef(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestNothingIsInClear(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	marker := []byte("PATIENT-NAME-MARKER")
	r := &Record{KeyID: keys.ID{1}, Key: keys.Key(sha256.Sum256([]byte("a key without runs of zeros"))), Meta: marker, Head: bytes.Repeat(marker, 900), Bulk: [][]byte{marker, bytes.Repeat(marker, 40_000)}}
	if _, err := s.Append(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	st, _ := s.Stream(t.Context(), r.KeyID, r.Key)
	st.Write(bytes.Repeat(marker, 200_000))
	if _, err := st.Commit(t.Context(), marker, marker, nil); err != nil {
		t.Fatal(err)
	}
	s.Seal(t.Context())
	sum := r.Sum().Digest()
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		fi, _ := e.Info()
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil || bytes.Contains(b, marker[:8]) {
				t.Errorf("clear bytes, or %v", err)
			}
			for _, plain := range [][]byte{sum[:], r.Sum()[Head][:], r.Key[:]} {
				if bytes.Contains(b, plain) {
					t.Error("a plain digest or a key")
				}
			}
		}
		if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; path != dir && fi.Mode().Perm() != want {
			t.Errorf("mode %v", fi.Mode())
		}
		return nil
	})
}

func TestSumIsWhatTheFormatSays(t *testing.T) {
	r := record(5, 10, 20, 100_000)
	m, h, b := sha256.Sum256(r.Meta), sha256.Sum256(r.Head), sha256.Sum256(bytes.Join(r.Bulk, nil))
	if want := sha256.Sum256(append(append(m[:], h[:]...), b[:]...)); r.Sum().Digest() != want {
		t.Error("another digest")
	}
}

func TestLargeMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes hundreds of megabytes")
	}
	s := openAt(t, t.TempDir(), Options{})
	st, err := s.Stream(t.Context(), keys.ID{1}, keys.Key{2})
	if err != nil {
		t.Fatal(err)
	}
	piece := noise(1<<20, 1)
	want := sha256.New()
	for range 400 {
		if _, err := st.Write(piece); err != nil {
			t.Fatal(err)
		}
		want.Write(piece)
	}
	held := cap(st.buf.b) + cap(st.plain.b)
	if held > 8<<20 {
		t.Errorf("a stream holds %d bytes", held)
	}
	ref, err := st.Commit(t.Context(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), ref, keys.Key{2})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	got := sha256.New()
	if _, err := o.WriteBulk(got, 0, o.BulkSize()); err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("other bytes came back", err)
	}
}

// A file goes only where its copy still is: what was removed from the bucket behind the store's back is copied again first.
func TestNoLastCopyGoes(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{Bucket: s3Bucket(t), Mode: Tier, KeepLocal: 400 << 10})
	r := record(1, 10, 10, 180<<10)
	var refs []Ref
	keep := func() {
		t.Helper()
		ref, err := s.Append(t.Context(), r)
		if err == nil {
			err = s.Seal(t.Context())
		}
		if err == nil {
			err = s.Shipped(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(len(refs)-10) * time.Hour)
		os.Chtimes(filepath.Join(dir, "packs", ref.Pack.String()+".pack"), at, at)
		refs = append(refs, ref)
	}
	keep()
	if err := s.opts.Bucket.Delete(t.Context(), s.bucket.key(refs[0].Pack)); err != nil {
		t.Fatal(err)
	}
	keep()
	keep()
	if _, err := os.Stat(filepath.Join(dir, "packs", refs[0].Pack.String()+".pack")); !os.IsNotExist(err) {
		t.Errorf("the oldest file has not gone: %v", err)
	}
	for i, ref := range refs {
		if err := readBack(s, ref, r); err != nil {
			t.Errorf("pack %d: %v", i, err)
		}
	}
}

func TestOldestLocalPacksGoFirst(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{Bucket: s3Bucket(t), Mode: Tier, KeepLocal: 400 << 10})
	var refs []Ref
	r := record(1, 10, 10, 180<<10)
	for i := range 4 {
		ref, err := s.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
		if err := s.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i-10) * time.Hour)
		os.Chtimes(filepath.Join(dir, "packs", ref.Pack.String()+".pack"), at, at)
	}
	o, err := s.Open(t.Context(), refs[0], r.Key) // while its file goes
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := s.Shipped(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, ref := range refs {
		_, err := os.Stat(filepath.Join(dir, "packs", ref.Pack.String()+".pack"))
		if (err == nil) != (i >= 2) {
			t.Errorf("pack %d: %v", i, err)
		}
		if err := readBack(s, ref, r); err != nil {
			t.Errorf("pack %d: %v", i, err)
		}
	}
	if _, err := o.WriteBulk(io.Discard, 0, o.BulkSize()); err != nil {
		t.Errorf("an open object: %v", err)
	}
	// A store that knows nothing but the bucket reads all of it.
	b := s.opts.Bucket
	fresh := openAt(t, t.TempDir(), Options{Bucket: b, Mode: Mirror})
	for i, ref := range refs {
		if err := readBack(fresh, ref, r); err != nil {
			t.Errorf("pack %d from the bucket alone: %v", i, err)
		}
	}
}
