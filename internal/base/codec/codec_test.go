package codec

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// The worker is this test binary, started again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "codec-worker":
			if err := Work(context.Background(), os.Stdin, os.Stdout, os.Args[2]); err != nil {
				os.Exit(1)
			}
			os.Exit(0)
		case "codec-sleeper": // says hello, and then never answers
			os.Stdout.WriteString(hello)
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		case "codec-liar": // answers every request with more than was asked for
			os.Stdout.WriteString(hello)
			var q request
			for {
				if _, err := q.read(os.Stdin); err != nil {
					os.Exit(0)
				}
				_, _ = io.CopyN(io.Discard, os.Stdin, int64(q.size))
				os.Stdout.Write(appendReply(nil, outcomeDone, q.decoded()+1))
			}
		case "codec-copier": // gives samples of zeros, and for code the last that it was given
			os.Stdout.WriteString(hello)
			var q request
			var code []byte
			for {
				if _, err := q.read(os.Stdin); err != nil {
					os.Exit(0)
				}
				given := make([]byte, q.size)
				_, _ = io.ReadFull(os.Stdin, given)
				if q.encode {
					given = code
				} else {
					code, given = given, make([]byte, q.decoded())
				}
				os.Stdout.Write(append(appendReply(nil, outcomeDone, len(given)), given...))
			}
		case "codec-crasher":
			os.Stdout.WriteString(hello)
			var q request
			_, _ = q.read(os.Stdin)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

func command(t testing.TB, verb string) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Compiling takes seconds, so the folder outlives the tests, as go's own cache does.
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	return []string{exe, verb, filepath.Join(cache, "vitrine-codec")}
}

func poolOf(t testing.TB, o Options) *Pool {
	t.Helper()
	p := NewPool(o)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func testPool(t testing.TB) *Pool { return poolOf(t, Options{Command: command(t, "codec-worker")}) }

func TestPinned(t *testing.T) {
	sum := sha256.Sum256(decoders)
	if hex.EncodeToString(sum[:]) != decodersSHA256 {
		t.Error("the decoders are not those that were examined")
	}
}

func grey(bits int) Image {
	return Image{Rows: 2, Columns: 2, Samples: 1, Allocated: bits, Stored: bits, HighBit: bits - 1, Photometric: "MONOCHROME2"}
}

func TestNative(t *testing.T) {
	colour := func(photometric string, planar bool) Image {
		return Image{Rows: 1, Columns: 2, Samples: 3, Allocated: 8, Stored: 8, HighBit: 7, Photometric: photometric, Planar: planar}
	}
	for name, c := range map[string]struct {
		syntax      *dicom.TransferSyntax
		of          Image
		frame, want []byte
		photometric string
	}{
		"bits":       {dicom.ExplicitVRLittleEndian, grey(1), []byte{0x0a, 0}, []byte{0x0a}, "MONOCHROME2"},
		"bytes":      {dicom.ExplicitVRBigEndian, grey(8), []byte{1, 2, 3, 4, 0}, []byte{1, 2, 3, 4}, "MONOCHROME2"},
		"words":      {dicom.ExplicitVRLittleEndian, grey(16), []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{1, 2, 3, 4, 5, 6, 7, 8}, "MONOCHROME2"},
		"big words":  {dicom.ExplicitVRBigEndian, grey(16), []byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte{2, 1, 4, 3, 6, 5, 8, 7}, "MONOCHROME2"},
		"big double": {dicom.ExplicitVRBigEndian, grey(32), []byte{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2}, []byte{4, 3, 2, 1, 8, 7, 6, 5, 1, 0, 0, 0, 2, 0, 0, 0}, "MONOCHROME2"},
		"planes":     {dicom.ExplicitVRLittleEndian, colour("RGB", true), []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6}, "RGB"},
		"halved":     {dicom.ExplicitVRLittleEndian, colour("YBR_FULL_422", false), []byte{1, 2, 3, 4}, []byte{1, 3, 4, 2, 3, 4}, "YBR_FULL"},
		"not halved": {dicom.ExplicitVRLittleEndian, colour("YBR_FULL_422", false), []byte{1, 2, 3, 4, 5, 6}, []byte{1, 2, 3, 4, 5, 6}, "YBR_FULL"},
	} {
		got, err := Decode(c.syntax, c.of, slices.Clone(c.frame))
		if err != nil || !bytes.Equal(got.Pixels, c.want) || got.Photometric != c.photometric {
			t.Errorf("%s: %v %v %s", name, err, got.Pixels, got.Photometric)
		}
		if _, err := Decode(c.syntax, c.of, c.frame[:len(c.want)/2]); err == nil {
			t.Errorf("%s: too few bytes are taken", name)
		}
	}
	for _, m := range []Image{{}, {Rows: 65535, Columns: 65535, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7}, {Rows: 1, Columns: 1, Samples: 4, Allocated: 8, Stored: 8, HighBit: 7},
		{Rows: 1, Columns: 1, Samples: 1, Allocated: 8, Stored: 9, HighBit: 8}, {Rows: 1, Columns: 1, Samples: 1, Allocated: 64, Stored: 64, HighBit: 63}} {
		if _, err := Decode(dicom.ExplicitVRLittleEndian, m, make([]byte, 8)); err == nil {
			t.Errorf("%+v is decoded", m)
		}
	}
}

func segments(parts ...[]byte) []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b, uint32(len(parts)))
	for i, p := range parts {
		binary.LittleEndian.PutUint32(b[4+4*i:], uint32(len(b)))
		b = append(b, p...)
	}
	return b
}

// A few kilobytes that say they are gigabytes are not given memory.
func TestBombs(t *testing.T) {
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 300 {
		w.Write(zeros)
	}
	w.Close()
	of := Image{Rows: 8192, Columns: 16384, Samples: 3, Allocated: 32, Stored: 32, HighBit: 31, Photometric: "RGB"}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Decode(&dicom.TransferSyntax{UID: deflatedUID, Encapsulated: true}, of, bomb.Bytes())
	runtime.ReadMemStats(&after)
	if _, ok := errors.AsType[*Unsupported](err); !ok {
		t.Errorf("%v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
		t.Errorf("%d bytes of code take %d of memory", bomb.Len(), took)
	}
}

func TestRLE(t *testing.T) {
	rle, _ := dicom.LookupTransferSyntax(rleUID)
	whole := segments([]byte{0xfd, 1}, []byte{1, 2, 3, 0xff, 4})
	got, err := Decode(rle, grey(16), whole)
	if want := []byte{2, 1, 3, 1, 4, 1, 4, 1}; err != nil || !bytes.Equal(got.Pixels, want) {
		t.Errorf("%v %v, want %v", err, got.Pixels, want)
	}
	for i := range whole {
		if _, err := Decode(rle, grey(16), whole[:i]); err == nil {
			t.Errorf("cut at %d it is taken", i)
		}
	}
	if got, err := Decode(rle, grey(1), segments([]byte{0, 0x0b})); err != nil || !bytes.Equal(got.Pixels, []byte{0x0b}) {
		t.Errorf("single bits: %v %v", err, got.Pixels)
	}
	huge := Image{Rows: 10000, Columns: 10000, Samples: 1, Allocated: 8, Stored: 8, HighBit: 7}
	if _, err := Decode(rle, huge, segments([]byte{0, 1})); err == nil {
		t.Error("a hundred million pixels come out of a byte")
	}
}

func FuzzRLE(f *testing.F) {
	f.Add(segments([]byte{0xfd, 1}, []byte{1, 2, 3, 0xff, 4}), uint8(16), uint8(1))
	f.Add(segments([]byte{0, 1}), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, allocated, samples uint8) {
		of := grey(int(allocated))
		of.Samples = int(samples)
		rle, _ := dicom.LookupTransferSyntax(rleUID)
		if got, err := Decode(rle, of, b); err == nil && len(got.Pixels) != of.size() {
			t.Error("another length")
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0xff, 0xd8, 0xff, 0xf7, 0, 11, 8, 0, 2, 0, 2, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0}, uint8(methodJPEGLS))
	f.Add([]byte("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x08jp2c"), uint8(methodJPEG2000))
	f.Fuzz(func(t *testing.T, b []byte, m uint8) {
		if m := method(m); m >= methodJPEG && m <= methodHTJ2K {
			if s, ok := headerOf(m, b); ok && s.fit(m, grey(16)) == nil && (s.rows != 2 || s.columns != 2 || s.samples != 1) {
				t.Error("another image fits")
			}
		}
	})
}

// jpegls is a JPEG-LS code stream of two by two pixels of the given value, near enough: one that a decoder accepts or refuses, and a header that fits.
func jpegls() []byte {
	return []byte{0xff, 0xd8, 0xff, 0xf7, 0, 11, 8, 0, 2, 0, 2, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd9}
}

// What a worker does must never reach further than its frame.
func TestWorkersFail(t *testing.T) {
	ls, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.80")
	for verb, reason := range map[string]string{
		"codec-sleeper": "JPEG-LS: decoding it takes longer than a frame may take",
		"codec-liar":    "JPEG-LS: its code stream ends the decoder",
		"codec-crasher": "JPEG-LS: its code stream ends the decoder",
	} {
		p := poolOf(t, Options{Command: command(t, verb), Frame: 100 * time.Millisecond})
		for range 2 {
			_, err := p.Decode(t.Context(), ls, grey(8), jpegls())
			if b, ok := errors.AsType[*Broken](err); !ok || b.Error() != reason {
				t.Errorf("%s: %v", verb, err)
			}
		}
		if len(p.all) != 0 {
			t.Errorf("%s: a worker is left", verb)
		}
	}
	for _, c := range [][]string{nil, {"/nowhere/at/all"}, {command(t, "")[0], "-test.run=^$"}} {
		_, err := poolOf(t, Options{Command: c}).Decode(t.Context(), ls, grey(8), jpegls())
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("without a worker: %v", err)
		}
	}
	p := testPool(t)
	p.Close()
	if _, err := p.Decode(t.Context(), ls, grey(8), jpegls()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("closed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := testPool(t).Decode(ctx, ls, grey(8), jpegls()); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

// Workers are let go, and others started.
func TestIdleWorkersEnd(t *testing.T) {
	ls, _ := dicom.LookupTransferSyntax("1.2.840.10008.1.2.4.80")
	p := poolOf(t, Options{Command: command(t, "codec-worker"), Idle: time.Millisecond})
	for range 2 {
		if _, err := p.Decode(t.Context(), ls, grey(8), jpegls()); err != nil && !errors.As(err, new(*Broken)) {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			p.mu.Lock()
			n := len(p.all)
			p.mu.Unlock()
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("an idle worker stays")
			}
		}
	}
}

// streams are real code streams, one of each kind, from the folders given.
func streams(t testing.TB, folder ...string) []sample {
	root := filepath.Join(append([]string{testdata.Shared(t), "data", "dicom"}, folder...)...)
	var all []sample
	seen := map[string]bool{}
	_ = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := dicom.Open(path, dicom.Limits{})
		if err != nil {
			return nil //nolint:nilerr // no data set
		}
		defer f.Close()
		if methodOf(f.Syntax().UID) == 0 || seen[f.Syntax().UID] {
			return nil
		}
		frames, err := framesOf(f)
		if err != nil || len(frames[0]) < 1000 || len(frames[0]) > 1<<20 {
			return nil //nolint:nilerr // not of use
		}
		seen[f.Syntax().UID] = true
		all = append(all, sample{f.Syntax(), imageOf(f.Data), frames[0]})
		return nil
	})
	return all
}

type sample struct {
	syntax *dicom.TransferSyntax
	of     Image
	frame  []byte
}

// Code streams that were changed or cut are refused or decode to a frame of the image's size, and the pool still answers: with what it answered before.
func TestMutants(t *testing.T) {
	pool := poolOf(t, Options{Command: command(t, "codec-worker"), Frame: 2 * time.Second})
	r := rand.New(rand.NewPCG(1, 2))
	refused, made := 0, 0
	for _, s := range streams(t) {
		whole, err := pool.Decode(t.Context(), s.syntax, s.of, slices.Clone(s.frame))
		if err != nil {
			continue
		}
		n := 24
		if testdata.Soak() {
			n = 400
		}
		for k := range n {
			b := slices.Clone(s.frame)
			switch k % 4 {
			case 0:
				b = b[:r.IntN(len(b))]
			case 1: // in the header
				b[r.IntN(min(len(b), 200))] = byte(r.Uint32())
			case 2:
				for range 1 + r.IntN(8) {
					b[r.IntN(len(b))] ^= 1 << r.IntN(8)
				}
			case 3:
				from := r.IntN(len(b))
				copy(b[from:], b[r.IntN(len(b)):])
			}
			got, err := pool.Decode(t.Context(), s.syntax, s.of, b)
			switch {
			case err == nil && len(got.Pixels) == s.of.size():
				made++
			case errors.As(err, new(*Broken)) || errors.As(err, new(*Unsupported)):
				refused++
			default:
				t.Errorf("%s: %v, %d bytes", s.syntax.Name, err, len(got.Pixels))
			}
		}
		again, err := pool.Decode(t.Context(), s.syntax, s.of, slices.Clone(s.frame))
		for k := 0; k < 5 && err != nil; k++ { // a busy machine may need longer than a frame may take here
			again, err = pool.Decode(t.Context(), s.syntax, s.of, slices.Clone(s.frame))
		}
		if err != nil || !bytes.Equal(again.Pixels, whole.Pixels) {
			t.Errorf("%s: after its mutants it is decoded otherwise: %v", s.syntax.Name, err)
		}
	}
	t.Logf("%d mutants refused, %d decoded to something", refused, made)
}

// An image's own word about its size is not what a code stream of another decodes to.
func TestStreamsOfOtherImages(t *testing.T) {
	pool := testPool(t)
	for _, s := range streams(t) {
		for name, change := range map[string]func(*Image){
			"rows": func(m *Image) { m.Rows++ }, "columns": func(m *Image) { m.Columns-- }, "samples": func(m *Image) { m.Samples = 4 - m.Samples },
		} {
			of := s.of
			change(&of)
			if _, err := pool.Decode(t.Context(), s.syntax, of, slices.Clone(s.frame)); err == nil {
				t.Errorf("%s: an image of other %s is decoded", s.syntax.Name, name)
			}
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	pool := testPool(t)
	var wg sync.WaitGroup
	for _, s := range streams(t) {
		want, err := pool.Decode(t.Context(), s.syntax, s.of, slices.Clone(s.frame))
		if err != nil {
			continue
		}
		for range 3 {
			wg.Go(func() {
				got, err := pool.Decode(t.Context(), s.syntax, s.of, slices.Clone(s.frame))
				if err != nil || !bytes.Equal(got.Pixels, want.Pixels) {
					t.Errorf("%s: %v", s.syntax.Name, err)
				}
			})
		}
	}
	wg.Wait()
	if len(pool.all) > pool.o.Workers {
		t.Error("more workers than allowed")
	}
}

func BenchmarkDecode(b *testing.B) {
	pool := testPool(b)
	for _, s := range streams(b, "ct-one-image-20-encodings") { // 512x512 of 16 bits
		b.Run(s.syntax.UID, func(b *testing.B) {
			for b.Loop() {
				if _, err := pool.Decode(b.Context(), s.syntax, s.of, slices.Clone(s.frame)); err != nil {
					b.Skip(err)
				}
			}
		})
	}
}
