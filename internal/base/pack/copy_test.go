package pack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func raw(t *testing.T, s *Store, id ID, from, to int64) []byte {
	t.Helper()
	r, err := s.Raw(t.Context(), id, from, to-from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != to-from {
		t.Fatalf("%d bytes of %d", len(b), to-from)
	}
	return b
}

// What another process copies from a pack that is being written, piece after piece, is a pack that is recovered with every record that was acknowledged before.
func TestCopyOfAPackThatIsWritten(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	other := openAt(t, t.TempDir(), Options{}) // stands for another process: it knows nothing of the durable end
	other.disk = s.disk
	var mu sync.Mutex
	acknowledged := map[Ref]uint64{}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := uint64(1); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			ref, err := s.Append(t.Context(), record(i, 100, 2000, int(i%7)*5000))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			acknowledged[ref] = i
			mu.Unlock()
		}
	}()
	defer func() { <-ended }()
	defer close(stop)
	var id ID
	for id == (ID{}) {
		mu.Lock()
		for ref := range acknowledged {
			id = ref.Pack
		}
		mu.Unlock()
	}
	var copied bytes.Buffer
	end := int64(0)
	var want map[Ref]uint64
	for range 40 {
		mu.Lock()
		want = map[Ref]uint64{}
		for ref, i := range acknowledged {
			want[ref] = i
		}
		mu.Unlock()
		x, err := other.Extent(t.Context(), id, end)
		if err != nil {
			t.Fatal(err)
		}
		if x.Damaged || x.Sealed {
			t.Fatalf("the pack is said to be %+v", x)
		}
		copied.Write(raw(t, other, id, end, x.End))
		end = x.End
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "packs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "packs", FileName(id, false)), copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	restored := openAt(t, dir, Options{})
	for ref, i := range want {
		if ref.Pack == id {
			if err := restored.Verify(t.Context(), ref, record(i, 0, 0, 0).Key); err != nil {
				t.Errorf("record %d of %d: %v", i, len(want), err)
			}
		}
	}
}

func TestExtent(t *testing.T) {
	each(t, func(t *testing.T, s *Store, settle func()) {
		var id ID
		for i := range uint64(5) {
			ref, err := s.Append(t.Context(), record(i, 10, 5000, 9000))
			if err != nil {
				t.Fatal(err)
			}
			id = ref.Pack
		}
		x, err := s.Extent(t.Context(), id, 0)
		if err != nil || x.Sealed || x.Records != 5 || x.Damaged {
			t.Fatalf("open: %+v, %v", x, err)
		}
		settle()
		y, err := s.Extent(t.Context(), id, 0)
		if err != nil || !y.Sealed || y.Records != 5 || y.Damaged || y.End != x.End+block {
			t.Fatalf("sealed: %+v, %v", y, err)
		}
		if b := raw(t, s, id, 0, y.End); int64(len(b)) != y.End {
			t.Error("it does not come whole")
		}
	})
}

func TestExtentOfDamage(t *testing.T) {
	for _, sealed := range []bool{true, false} {
		dir := t.TempDir()
		s := openAt(t, dir, Options{})
		var refs []Ref
		for i := range uint64(5) {
			ref, err := s.Append(t.Context(), record(i, 10, 5000, 9000))
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, ref)
		}
		if sealed {
			if err := s.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(dir, "packs", FileName(refs[0].Pack, sealed))
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{1, 2, 3}, refs[1].Offset+1000); err != nil {
			t.Fatal(err)
		}
		f.Close()
		x, err := s.Extent(t.Context(), refs[0].Pack, 0)
		if err != nil || !x.Damaged || x.End <= refs[4].Offset {
			t.Errorf("sealed %v: %+v, %v: everything behind the damage has to be copied too", sealed, x, err)
		}
	}
}
