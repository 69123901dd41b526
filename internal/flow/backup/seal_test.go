package backup

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

func seal(t testing.TB, key keys.Key, name string, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	s, err := newSealer(&out, key, name)
	if err != nil {
		t.Fatal(err)
	}
	// In pieces of odd lengths, as compression gives them.
	for b := text; len(b) > 0; {
		n := min(len(b), 40_001)
		if _, err := s.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(sealed []byte, name string, all ...keys.Key) ([]byte, error) {
	o, err := newOpener(bytes.NewReader(sealed), all, name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(o)
}

// What was sealed opens under its key and its name, whichever key is tried first; whatever is done to it, it does not open, or what came before is a beginning of it.
func TestSealedFiles(t *testing.T) {
	key, other := keys.Key{1}, keys.Key{2}
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3 * chunkSize, 3*chunkSize + 77} {
		text := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		sealed := seal(t, key, "a/b", text)
		if got, err := unseal(sealed, "a/b", other, key); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if bytes.Contains(sealed, []byte("abcdefg")) {
			t.Error("it lies in clear")
		}
		for what, bad := range map[string]func() ([]byte, error){
			"another key":  func() ([]byte, error) { return unseal(sealed, "a/b", other) },
			"another name": func() ([]byte, error) { return unseal(sealed, "a/c", key) },
			"cut off":      func() ([]byte, error) { return unseal(sealed[:len(sealed)-1], "a/b", key) },
			"longer":       func() ([]byte, error) { return unseal(append(bytes.Clone(sealed), 0), "a/b", key) },
		} {
			if _, err := bad(); !fault.Is(err, fault.Corrupt) {
				t.Errorf("%d bytes, %s: %v", size, what, err)
			}
		}
		// Cut where a chunk ends.
		if size > chunkSize {
			if _, err := unseal(sealed[:len(sealMagic)+saltSize+chunkSize+tagSize], "a/b", key); !fault.Is(err, fault.Corrupt) {
				t.Errorf("%d bytes, cut at a chunk's end: %v", size, err)
			}
		}
	}
	text := bytes.Repeat([]byte("0123456789"), 20_000)
	sealed := seal(t, key, "a/b", text)
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Clone(sealed)
		b[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] ^= byte(rapid.IntRange(1, 255).Draw(rt, "by"))
		got, err := unseal(b, "a/b", key)
		if !fault.Is(err, fault.Corrupt) || !bytes.HasPrefix(text, got) {
			rt.Fatalf("a byte changed: %v", err)
		}
	})
}

func TestNamesGrow(t *testing.T) {
	now := time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC)
	a := newName(now, nil)
	if a != "20310203T040506.000007Z" || !nameForm.MatchString(a) {
		t.Error(a)
	}
	// The clock went back.
	if b := newName(now.Add(-time.Hour), []string{a}); b <= a || !nameForm.MatchString(b) {
		t.Error(b)
	}
}

func FuzzOpenSealed(f *testing.F) {
	f.Add([]byte(sealMagic))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = unseal(b, "a", keys.Key{}) })
}
