package spool

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// What is read from any place are the bytes that were appended, whatever pieces they came in.
func TestRandom(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(ID{1}, keys.Key{2})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all []byte
	for range 200 {
		piece := make([]byte, 1+r.IntN(3000))
		for i := range piece {
			piece[i] = byte(r.Uint32())
		}
		if len(all)%7 == 0 {
			piece = append(piece, make([]byte, chunk+17)...)
		}
		if _, err := f.Append(t.Context(), bytes.NewReader(piece), nil); err != nil {
			t.Fatal(err)
		}
		all = append(all, piece...)
	}
	x, err := f.Random()
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := f.Append(t.Context(), bytes.NewReader([]byte("later")), nil); err != nil { // is not seen
		t.Fatal(err)
	}
	if x.Size() != int64(len(all)) {
		t.Fatalf("%d bytes, want %d", x.Size(), len(all))
	}
	for range 500 {
		off := r.IntN(len(all))
		p := make([]byte, min(1+r.IntN(2000), len(all)-off))
		if n, err := x.ReadAt(p, int64(off)); err != nil || n != len(p) || !bytes.Equal(p, all[off:off+len(p)]) {
			t.Fatalf("at %d: %d of %d bytes, %v, or others", off, n, len(p), err)
		}
	}
	if err := iotest.TestReader(io.NewSectionReader(x, 0, x.Size()), all); err != nil {
		t.Error(err)
	}
	if _, err := x.ReadAt(make([]byte, 1), -1); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}
