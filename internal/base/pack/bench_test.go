package pack

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/keys"
)

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec)*1e6 + float64(u.Utime.Usec+u.Stime.Usec)
}

func benchRecord(size int) *Record {
	return &Record{KeyID: keys.ID{1}, Key: keys.Key{2}, Meta: noise(600, 1), Head: noise(3000, 2), Bulk: [][]byte{noise(size-3600, 3)}}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ size, writers int }{{8 << 10, 1}, {8 << 10, 4}, {8 << 10, 16}, {527_000, 1}, {527_000, 4}} {
		b.Run(fmt.Sprintf("%d_bytes/%d_writers", c.size, c.writers), func(b *testing.B) {
			s := openAt(b, b.TempDir(), Options{})
			b.SetBytes(int64(c.size))
			var n atomic.Int64
			done := make(chan error, c.writers)
			before := cpu()
			b.ResetTimer()
			for range c.writers {
				go func() {
					r := benchRecord(c.size)
					for n.Add(1) <= int64(b.N) {
						r.sums = nil
						if _, err := s.Append(context.Background(), r); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range c.writers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric((cpu()-before)/float64(b.N), "cpu-us/record")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkEncrypt(b *testing.B) {
	for _, size := range []int{8 << 10, 527_000} {
		b.Run(fmt.Sprintf("%d_bytes", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			r := benchRecord(size)
			for b.Loop() {
				r.sums = nil
				h := Header{KeyID: r.KeyID, Lengths: r.lengths(), Chunk: DefaultChunk}
				buf, _, err := r.encrypt(&h)
				if err != nil {
					b.Fatal(err)
				}
				buf.free()
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s := openAt(b, b.TempDir(), Options{})
	var refs []Ref
	r := benchRecord(527_000)
	for range 100 {
		ref, err := s.Append(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		refs = append(refs, ref)
	}
	b.Run("open_and_head", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			o, err := s.Open(b.Context(), refs[i%len(refs)], r.Key)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := o.Head(); err != nil {
				b.Fatal(err)
			}
			o.Close()
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.SetBytes(527_000)
		for i := 0; b.Loop(); i++ {
			o, err := s.Open(b.Context(), refs[i%len(refs)], r.Key)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := o.Head(); err != nil {
				b.Fatal(err)
			}
			if _, err := o.WriteBulk(io.Discard, 0, o.BulkSize()); err != nil {
				b.Fatal(err)
			}
			o.Close()
		}
	})
	b.Run("tile_of_16_KiB", func(b *testing.B) {
		o, err := s.Open(b.Context(), refs[0], r.Key)
		if err != nil {
			b.Fatal(err)
		}
		defer o.Close()
		p := make([]byte, 16<<10)
		for b.Loop() {
			if _, err := o.Bulk().ReadAt(p, 100_000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stream_write", func(b *testing.B) {
		st, err := s.Stream(b.Context(), r.KeyID, r.Key)
		if err != nil {
			b.Fatal(err)
		}
		defer st.Abort()
		p := noise(256<<10, 1)
		b.SetBytes(int64(len(p)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := st.Write(p); err != nil {
				b.Fatal(err)
			}
		}
	})
}
