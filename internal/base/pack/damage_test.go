package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// sample is a folder with one sealed pack of a few records, and one open as a killed process leaves it.
type sample struct {
	dir    string
	sealed ID
	refs   []Ref
	rs     []*Record
	bytes  []byte
}

func newSample(t testing.TB) *sample {
	t.Helper()
	sm := &sample{dir: t.TempDir()}
	s, err := OpenStore(t.Context(), sm.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range [][3]int{{100, 2000, 9000}, {50, 60, 100_000}, {0, 1, 40_000}, {10, 10, 10}} {
		r := record(uint64(i), n[0], n[1], n[2])
		r.Key = keys.Key{5} // the same subject's, so that only the record's own salt keeps them apart
		r.KeyID = keys.ID{5}
		ref, err := s.Append(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		sm.refs, sm.rs = append(sm.refs, ref), append(sm.rs, r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sm.sealed = sm.refs[0].Pack
	if sm.bytes, err = os.ReadFile(sm.path(".pack")); err != nil {
		t.Fatal(err)
	}
	return sm
}

func (sm *sample) path(state string) string {
	return filepath.Join(sm.dir, "packs", sm.sealed.String()+state)
}

// open writes the pack anew and opens a store over it.
func (sm *sample) open(t testing.TB, state string, b []byte) *Store {
	os.Remove(sm.path(".pack"))
	os.Remove(sm.path(".open"))
	if err := os.WriteFile(sm.path(state), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(context.Background(), sm.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	sm := newSample(t)
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(sm.bytes)
		i := rapid.IntRange(0, len(sm.rs)-1).Draw(rt, "record")
		start := int(sm.refs[i].Offset)
		h, err := parseHeader(b[start:])
		if err != nil {
			rt.Fatal(err)
		}
		size := int(headerSize + h.bodySize())
		at := rapid.OneOf(rapid.IntRange(0, headerSize-1), rapid.IntRange(0, size-1)).Draw(rt, "byte")
		b[start+at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		// An attacker can make the checksums anew; a flipped bit of the header's own would only be put right by that.
		if rapid.Bool().Draw(rt, "checksums anew") && (at < headerCRC || at >= headerSize) {
			le := binary.LittleEndian
			if at >= headerSize {
				le.PutUint32(b[start+128:], crc32.Checksum(b[start+headerSize:start+size], castagnoli))
			}
			le.PutUint32(b[start+headerCRC:], crc32.Checksum(b[start:start+headerCRC], castagnoli))
		}
		s := sm.open(t, ".pack", b)
		defer s.Close()
		for j := range sm.rs {
			err := readBack(s, sm.refs[j], sm.rs[j])
			if j != i && err != nil {
				rt.Fatalf("record %d does not read: %v", j, err)
			}
			verr := s.Verify(context.Background(), sm.refs[j], sm.rs[j].Key)
			if j == i && (!fault.Is(err, fault.Corrupt) || !fault.Is(verr, fault.Corrupt)) {
				rt.Fatalf("byte %d of record %d: %v, %v", at, j, err, verr)
			}
		}
		if _, err := s.Check(context.Background(), sm.sealed); !fault.Is(err, fault.Corrupt) {
			rt.Fatalf("check: %v", err)
		}
	})
}

func TestSwappedChunksAreNoticed(t *testing.T) {
	sm := newSample(t)
	h, _ := parseHeader(sm.bytes[sm.refs[1].Offset:])
	chunk := func(r int, s Section, i int) []byte { // whole chunks of the same size
		h, _ := parseHeader(sm.bytes[sm.refs[r].Offset:])
		at := sm.refs[r].Offset + h.sectionStart(s) + int64(i)*(DefaultChunk+tagSize)
		return sm.bytes[at : at+DefaultChunk+tagSize]
	}
	if h.Lengths[Bulk] < 3*DefaultChunk {
		t.Fatal("the sample is too small")
	}
	a, b, c := chunk(1, Bulk, 0), chunk(1, Bulk, 1), chunk(2, Bulk, 0)
	swap := func(x, y []byte) {
		tmp := bytes.Clone(x)
		copy(x, y)
		copy(y, tmp)
	}
	fix := func(r int) { // the checksums, as an attacker would
		start := sm.refs[r].Offset
		h, _ := parseHeader(sm.bytes[start:])
		le := binary.LittleEndian
		le.PutUint32(sm.bytes[start+128:], crc32.Checksum(sm.bytes[start+headerSize:start+headerSize+h.bodySize()], castagnoli))
		le.PutUint32(sm.bytes[start+headerCRC:], crc32.Checksum(sm.bytes[start:start+headerCRC], castagnoli))
	}
	for name, pair := range map[string][2][]byte{"in a section": {a, b}, "between records": {a, c}} {
		swap(pair[0], pair[1])
		fix(1)
		fix(2)
		s := sm.open(t, ".pack", sm.bytes)
		if err := readBack(s, sm.refs[1], sm.rs[1]); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
		swap(pair[0], pair[1])
		fix(1)
		fix(2)
	}
	s := sm.open(t, ".pack", sm.bytes)
	defer s.Close()
	if err := readBack(s, sm.refs[1], sm.rs[1]); err != nil {
		t.Errorf("swapped back: %v", err)
	}
}

// The chunks themselves, without header and checksums: each label opens its own chunk only.
func TestChunkLabels(t *testing.T) {
	salt := [32]byte{1}
	key := keys.Key{3}
	c, err := newCryptor(&key, keys.ID{1}, &salt)
	if err != nil {
		t.Fatal(err)
	}
	type id struct {
		s     Section
		index int64
		last  bool
		large bool
		chunk int
	}
	var all []id
	for _, s := range []Section{Meta, Head, Bulk} {
		for _, i := range []int64{0, 1, 1 << 40} {
			for _, last := range []bool{false, true} {
				for _, large := range []bool{false, true} {
					for _, n := range []int{4096, 32 << 10} {
						all = append(all, id{s, i, last, large, n})
					}
				}
			}
		}
	}
	var l label
	for _, x := range all {
		l.set(x.s, x.index, x.last, x.large, x.chunk)
		ct := c.aead.Seal(nil, l.nonce[:], []byte("chunk"), l.data[:])
		for _, y := range all {
			l.set(y.s, y.index, y.last, y.large, y.chunk)
			if _, err := c.aead.Open(nil, l.nonce[:], ct, l.data[:]); (err == nil) != (x == y) {
				t.Fatalf("%v opens as %v: %v", x, y, err)
			}
		}
	}
}

func TestRecordsElsewhereAreRefused(t *testing.T) {
	sm := newSample(t)
	other := newSample(t)
	b := bytes.Clone(sm.bytes)
	at := sm.refs[3].Offset
	next := at + block

	// Another pack's record at the same place, as a recycled block would hold it.
	copy(b[at:next], other.bytes[other.refs[3].Offset:])
	s := sm.open(t, ".pack", b)
	if err := readBack(s, sm.refs[3], sm.rs[3]); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another pack's: %v", err)
	}
	s.Close()

	// The same with pack and checksum made to fit: the authenticator refuses it.
	copy(b[at+16:], sm.sealed[:])
	binary.LittleEndian.PutUint32(b[at+headerCRC:], crc32.Checksum(b[at:at+headerCRC], castagnoli))
	if _, err := parseHeader(b[at:]); err != nil {
		t.Fatal(err)
	}
	s = sm.open(t, ".pack", b)
	if err := readBack(s, sm.refs[3], sm.rs[3]); !fault.Is(err, fault.Corrupt) {
		t.Errorf("forged: %v", err)
	}
	s.Close()
}

func scanned(s *Store, id ID) (refs []Ref, err error) {
	err = s.Scan(context.Background(), id, 0, func(h Header) (bool, error) {
		refs = append(refs, h.Ref)
		return true, nil
	})
	return refs, err
}

func TestTornAndGarbageTails(t *testing.T) {
	sm := newSample(t)
	other := newSample(t)
	end := len(sm.bytes) - block // without the seal
	last := int(sm.refs[3].Offset)
	rapid.Check(t, func(rt *rapid.T) {
		var b []byte
		want := len(sm.refs)
		switch rapid.SampledFrom([]string{"cut", "garbage", "zeros", "stale", "seal", "header alone"}).Draw(rt, "tail") {
		case "cut":
			n := rapid.IntRange(block, end).Draw(rt, "length")
			b = bytes.Clone(sm.bytes[:n])
			for want > 0 {
				h, _ := parseHeader(sm.bytes[sm.refs[want-1].Offset:])
				if int64(n) >= h.Ref.Offset+h.Size() {
					break
				}
				want--
			}
		case "garbage":
			b = append(bytes.Clone(sm.bytes[:end]), noise(rapid.IntRange(1, 50_000).Draw(rt, "length"), 9)...)
		case "zeros":
			b = append(bytes.Clone(sm.bytes[:end]), make([]byte, rapid.IntRange(1, 2<<20).Draw(rt, "length"))...)
		case "stale": // another pack's records follow
			b = append(bytes.Clone(sm.bytes[:end]), other.bytes[block:]...)
		case "seal": // killed after the seal was written and before the renaming
			b = bytes.Clone(sm.bytes)
		case "header alone": // the header reached the disk, the body did not
			b = bytes.Clone(sm.bytes[:end])
			clear(b[last+headerSize:])
			want--
		}
		s := sm.open(t, ".open", b)
		defer s.Close()
		if _, err := os.Stat(sm.path(".open")); err == nil {
			rt.Fatal("it was not recovered")
		}
		if want == 0 {
			if _, err := os.Stat(sm.path(".pack")); err == nil {
				rt.Fatal("an empty pack stays")
			}
			return
		}
		got, err := scanned(s, sm.sealed)
		if err != nil || len(got) != want {
			rt.Fatalf("%d records, not %d (%v)", len(got), want, err)
		}
		for i := range want {
			if err := readBack(s, sm.refs[i], sm.rs[i]); err != nil {
				rt.Fatal(i, err)
			}
		}
		if n, err := s.Check(context.Background(), sm.sealed); n != want || err != nil {
			rt.Fatal(n, err)
		}
	})
}

func TestDamageInTheMiddleIsToldFromATornTail(t *testing.T) {
	sm := newSample(t)
	for _, state := range []string{".pack", ".open"} {
		b := bytes.Clone(sm.bytes)
		if state == ".open" {
			b = b[:len(b)-block]
		}
		b[sm.refs[1].Offset+5] ^= 1
		s := sm.open(t, state, b)
		got, err := scanned(s, sm.sealed)
		if state == ".pack" {
			d, ok := errors.AsType[*Damage](err)
			if !ok || d.Offset != sm.refs[1].Offset || d.Next != sm.refs[2].Offset || !fault.Is(err, fault.Corrupt) {
				t.Fatalf("%v", err)
			}
			if len(got) != 1 {
				t.Errorf("%d records before it", len(got))
			}
			n := 0
			if err := s.Scan(t.Context(), sm.sealed, d.Next, func(Header) (bool, error) { n++; return true, nil }); err != nil || n != 2 {
				t.Errorf("behind it: %d, %v", n, err)
			}
		} else {
			for i := range sm.refs { // recovery kept what is whole
				if err := readBack(s, sm.refs[i], sm.rs[i]); (err == nil) != (i != 1) {
					t.Errorf("record %d: %v", i, err)
				}
			}
		}
		s.Close()
	}
	// A pack whose seal is gone was not closed by us.
	s := sm.open(t, ".pack", sm.bytes[:len(sm.bytes)-block])
	defer s.Close()
	if _, err := scanned(s, sm.sealed); !fault.Is(err, fault.Corrupt) {
		t.Errorf("without a seal: %v", err)
	}
}

func TestDestroyedKeyMeansUndecipherable(t *testing.T) {
	sm := newSample(t)
	s := sm.open(t, ".pack", sm.bytes)
	defer s.Close()
	// Without the subject's key there is nothing to try but others; the checksums still tell that the bytes are whole.
	if _, err := s.Open(t.Context(), sm.refs[0], keys.Key{}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("%v", err)
	}
	if n, err := s.Check(t.Context(), sm.sealed); n != 4 || err != nil {
		t.Error(n, err)
	}
}

func FuzzParseHeader(f *testing.F) {
	b := make([]byte, headerSize)
	h := Header{Ref: Ref{ID{1}, block}, KeyID: keys.ID{2}, Lengths: [3]int64{1, 2, 3}, Chunk: DefaultChunk}
	h.encode(b)
	finish(b, &[32]byte{3})
	f.Add(bytes.Clone(b), true)
	h.Large, h.Lengths = true, [3]int64{0, 0, maxSection}
	h.encode(b)
	finish(b, &[32]byte{3})
	f.Add(bytes.Clone(b), false)
	f.Add(b[:100], false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= headerSize {
			copy(b, magicRecord)
			binary.LittleEndian.PutUint32(b[headerCRC:], crc32.Checksum(b[:headerCRC], castagnoli))
		}
		h, err := parseHeader(b)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if h.Size() < headerSize || h.Size()%block != 0 || h.sectionStart(Head) < headerSize || h.Ref.Offset+h.Size() < 0 {
			t.Fatalf("sizes do not hold: %+v", h)
		}
		again := make([]byte, headerSize)
		h.encode(again)
		copy(again[headerMAC:], h.mac[:])
		binary.LittleEndian.PutUint32(again[headerCRC:], crc32.Checksum(again[:headerCRC], castagnoli))
		if !bytes.Equal(again, b[:headerSize]) {
			t.Fatal("what was parsed does not encode to what was read")
		}
	})
}

func FuzzParseSeal(f *testing.F) {
	b := make([]byte, block)
	(&seal{id: ID{1}, end: 8192, records: 1}).encode(b)
	f.Add(bytes.Clone(b))
	encodeFileHeader(b, ID{1}, kindLarge, 5)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		again := make([]byte, block)
		if s, err := parseSeal(b); err == nil {
			if s.encode(again); !bytes.Equal(again, b[:block]) {
				t.Fatal("the seal encodes otherwise")
			}
		}
		if h, err := parseFileHeader(b); err == nil {
			if encodeFileHeader(again, h.id, h.kind, h.created); !bytes.Equal(again, b[:block]) {
				t.Fatal("the file header encodes otherwise")
			}
		}
	})
}
