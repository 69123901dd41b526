package spool

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func fresh(t *testing.T) (*Store, ID, keys.Key) {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "spool"))
	if err != nil {
		t.Fatal(err)
	}
	var id ID
	var key keys.Key
	rand.Read(id[:])
	rand.Read(key[:])
	return s, id, key
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func create(t *testing.T, s *Store, id ID, key keys.Key) *File {
	t.Helper()
	f, err := s.Create(id, key)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func load(t *testing.T, s *Store, id ID, key keys.Key) *File {
	t.Helper()
	f, err := s.Load(t.Context(), id, key)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t *testing.T, f *File) []byte {
	t.Helper()
	b, err := all(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// all reads a file to its end, or to where it cannot be read.
func all(f *File) ([]byte, error) {
	r, err := f.Random()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return b, errors.Join(err, r.Close())
}

// Whatever the pieces, and however often the process ends between them, the bytes that come out are those that went in.
func TestPieces(t *testing.T) {
	s, _, _ := fresh(t)
	rapid.Check(t, func(r *rapid.T) {
		var id ID
		var key keys.Key
		rand.Read(id[:])
		rand.Read(key[:])
		f, err := s.Create(id, key)
		if err != nil {
			r.Fatal(err)
		}
		var want []byte
		for range rapid.IntRange(0, 6).Draw(r, "pieces") {
			piece := noise(rapid.SampledFrom([]int{0, 1, 1000, chunk - 1, chunk, chunk + 1, 3*chunk + 17}).Draw(r, "size"))
			n, err := f.Append(context.Background(), bytes.NewReader(piece), nil)
			if err != nil || n != int64(len(piece)) {
				r.Fatalf("%d, %v", n, err)
			}
			want = append(want, piece...)
			if rapid.Bool().Draw(r, "again") {
				if f, err = s.Load(context.Background(), id, key); err != nil {
					r.Fatal(err)
				}
			}
		}
		got, err := all(f)
		if err != nil || !bytes.Equal(got, want) || f.Size() != int64(len(want)) || f.Sum() != sha256.Sum256(want) {
			r.Fatalf("%d bytes of %d came back, size %d, %v", len(got), len(want), f.Size(), err)
		}
		if err := s.Remove(id); err != nil {
			r.Fatal(err)
		}
	})
	if left, err := s.List(); err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

// A file that was cut or changed anywhere gives a beginning of what was written, and nothing else; what is appended then goes on from there.
func TestTornAndChanged(t *testing.T) {
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	want := noise(3*chunk + 999)
	for _, part := range [][]byte{want[:1000], want[1000:]} {
		if _, err := f.Append(t.Context(), bytes.NewReader(part), nil); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(s.path(id))
	if err != nil {
		t.Fatal(err)
	}
	rnd := mrand.New(mrand.NewPCG(1, 2))
	for k := range 60 {
		b := bytes.Clone(whole)
		at := len(magic) + rnd.IntN(len(b)-len(magic))
		if k%2 == 0 {
			b = b[:at]
		} else {
			b[at] ^= 1 << rnd.IntN(8)
		}
		if err := os.WriteFile(s.path(id), b, 0o600); err != nil {
			t.Fatal(err)
		}
		f := load(t, s, id, key)
		got := content(t, f)
		if len(got) == len(want) || !bytes.HasPrefix(want, got) {
			t.Fatalf("cut or changed at %d: %d bytes came back, and no beginning", at, len(got))
		}
		if _, err := f.Append(t.Context(), bytes.NewReader(want[len(got):]), nil); err != nil {
			t.Fatal(err)
		}
		if got := content(t, load(t, s, id, key)); !bytes.Equal(got, want) {
			t.Fatalf("cut or changed at %d: what was sent again is not what came back", at)
		}
	}
	// Records of another place, or another file, do not pass.
	swapped := bytes.Clone(whole)
	size := recordHead + chunk + tagSize
	first := len(magic) + recordHead + 1000 + tagSize
	copy(swapped[first:], whole[first+size:first+2*size])
	if err := os.WriteFile(s.path(id), swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := content(t, load(t, s, id, key)); len(got) != 1000 {
		t.Errorf("%d bytes came of records that changed places", len(got))
	}
	if err := os.WriteFile(s.path(id), []byte("something else altogether"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), id, key); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a file of another kind: %v", err)
	}
	var other keys.Key
	if err := os.WriteFile(s.path(id), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Load(t.Context(), id, other); err == nil && f.Size() != 0 {
		t.Errorf("%d bytes were read with another key", f.Size())
	}
}

// A change after the file was opened is noticed where it lies.
func TestChangedMeanwhile(t *testing.T) {
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	if _, err := f.Append(t.Context(), bytes.NewReader(noise(2*chunk)), nil); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path(id))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(s.path(id), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := all(f); len(got) != chunk || !fault.Is(err, fault.Corrupt) {
		t.Errorf("%d bytes, then %v", len(got), err)
	}
}

// What came before the sender's line broke stays; what fails its check is taken back, and nothing before it.
func TestBrokenLineAndFailedCheck(t *testing.T) {
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	want := noise(chunk + 5000)
	broken := errors.New("the line broke")
	if n, err := f.Append(t.Context(), io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken)), nil); n != int64(len(want)) || !errors.Is(err, broken) {
		t.Fatalf("%d, %v", n, err)
	}
	wrong := errors.New("another digest")
	if n, err := f.Append(t.Context(), bytes.NewReader(noise(2*chunk)), func(int64) error { return wrong }); n != 0 || !errors.Is(err, wrong) {
		t.Fatalf("%d, %v", n, err)
	}
	if got := content(t, f); !bytes.Equal(got, want) || f.Sum() != sha256.Sum256(want) {
		t.Error("what was there before the check is not there as it was")
	}
	more := noise(100)
	if _, err := f.Append(t.Context(), bytes.NewReader(more), func(int64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := content(t, load(t, s, id, key)); !bytes.Equal(got, append(want, more...)) {
		t.Error("what came after the check is not there")
	}
}

// A full disk is told as that, and costs nothing that was there.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("/dev/full is absent")
	}
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	want := noise(5000)
	if _, err := f.Append(t.Context(), bytes.NewReader(want), nil); err != nil {
		t.Fatal(err)
	}
	aside := s.path(id) + ".aside"
	if err := errors.Join(os.Rename(s.path(id), aside), os.Symlink("/dev/full", s.path(id))); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Append(t.Context(), bytes.NewReader(noise(5000)), nil); n != 0 || !errors.Is(err, ErrFull) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.Rename(aside, s.path(id)); err != nil {
		t.Fatal(err)
	}
	more := noise(700)
	if _, err := f.Append(t.Context(), bytes.NewReader(more), nil); err != nil {
		t.Fatal(err)
	}
	if got := content(t, load(t, s, id, key)); !bytes.Equal(got, append(want, more...)) || f.Sum() != sha256.Sum256(got) {
		t.Error("what was there before the disk was full is not there as it was")
	}
}

// Nothing lies there in clear, nor does a name say anything.
// A disk that fails to write says so once, and then as if nothing had been: what it lost is never told of as being there.
func TestDiskThatForgets(t *testing.T) {
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	one, two := noise(300_000), noise(400_000)
	appendAll := func(b []byte) error {
		_, err := f.Append(t.Context(), bytes.NewReader(b), nil)
		return err
	}
	if err := errors.Join(appendAll(one), f.Sync(), appendAll(two)); err != nil {
		t.Fatal(err)
	}
	system := fdatasync
	t.Cleanup(func() { fdatasync = system })
	fdatasync = func(int) error { return unix.EIO }
	if err := f.Sync(); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	fdatasync = system
	if err := f.Sync(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("what was lost is said to be there: %v", err)
	}
	if err := appendAll(two); !fault.Is(err, fault.Unavailable) {
		t.Errorf("it goes on behind what was lost: %v", err)
	}
	f = load(t, s, id, key)
	if err := f.Sync(); err != nil || !bytes.Equal(content(t, f), one) {
		t.Errorf("%d bytes are there, %v", f.Size(), err)
	}
	if err := errors.Join(appendAll(two), f.Sync()); err != nil || !bytes.Equal(content(t, f), append(one, two...)) {
		t.Errorf("%d bytes, %v", f.Size(), err)
	}
}

func TestNothingInClear(t *testing.T) {
	s, id, key := fresh(t)
	f := create(t, s, id, key)
	if _, err := f.Append(t.Context(), strings.NewReader(strings.Repeat("ZZTEST^ROWAN 1951-03-14 ", 40_000)), nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(s.path(id))
	if err != nil || len(b) < 900_000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if bytes.Contains(b, []byte("ROWAN")) || bytes.Contains(b, []byte("1951")) {
		t.Error("the spool holds what was sent in clear")
	}
	if st, err := os.Stat(s.path(id)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	piece := noise(64 << 20)
	var key keys.Key
	b.SetBytes(int64(len(piece)))
	for b.Loop() {
		var id ID
		rand.Read(id[:])
		f, err := s.Create(id, key)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Append(b.Context(), bytes.NewReader(piece), nil); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		_ = s.Remove(id)
	}
}
