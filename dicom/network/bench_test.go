package network

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStore sends instances over 1 and 4 associations of the loopback to a handler that reads each into a buffer of a pool. Client and server are one
// process: cpu-us/op is that of both sides.
func BenchmarkStore(b *testing.B) {
	for _, size := range []int{527_000, 8_300} {
		for _, associations := range []int{1, 4} {
			b.Run(fmt.Sprintf("%dkB/%d", size/1000, associations), func(b *testing.B) { benchStore(b, size, associations, 0) })
		}
	}
	b.Run("527kB/4/PDU16K", func(b *testing.B) { benchStore(b, 527_000, 4, 16<<10) })
	b.Run("527kB/4/PDU128K", func(b *testing.B) { benchStore(b, 527_000, 4, 128<<10) })
	b.Run("527kB/4/PDU1M", func(b *testing.B) { benchStore(b, 527_000, 4, 1<<20) })
}

func benchStore(b *testing.B, size, associations int, pdu uint32) {
	pool := sync.Pool{New: func() any { p := make([]byte, 0, 600_000); return &p }}
	n := start(b, &Server{MaxPDU: pdu, Store: func(_ context.Context, _ *Association, r *StoreRequest) Status {
		p := pool.Get().(*[]byte)
		defer pool.Put(p)
		got, whole, err := r.Data.ReadAll((*p)[:0], 1<<30)
		*p = got
		if err != nil || !whole || len(got) != size {
			return Status{Code: StatusOutOfResources}
		}
		return Status{}
	}})
	in := Instance{SOPClassUID: ctImage, SOPInstanceUID: "1.2.3.4.5.6.7.8", TransferSyntaxUID: explicitLE, Bytes: payload(size)}
	all := make([]*Association, associations)
	for i := range all {
		all[i] = dial(b, n, options())
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	var group sync.WaitGroup
	for i, a := range all {
		group.Go(func() {
			in := in
			for k := i; k < b.N; k += associations {
				if st, err := a.Store(context.Background(), &in); err != nil || !st.Success() {
					b.Errorf("%v, %v", st, err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
	for _, a := range all {
		_ = a.Release(context.Background())
	}
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
