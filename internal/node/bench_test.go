package node

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// BenchmarkIngest is the hot path whole: association, cleaning, gate, pack, answer; the catalogue follows.
func BenchmarkIngest(b *testing.B) {
	for _, size := range []string{"8kB", "527kB"} {
		for _, called := range []string{"VITRINE", "KEPT"} {
			b.Run(fmt.Sprintf("%s/%s", size, called), func(b *testing.B) {
				set := sample.SmallSet(1)
				if size == "527kB" {
					set = sample.FullSet(1)
				}
				var all []*sample.Instance
				for in, err := range set.Instances(8) {
					if err != nil {
						b.Fatal(err)
					}
					all = append(all, in)
				}
				b.ResetTimer()
				var took time.Duration
				var cpu time.Duration
				count := 0
				for range b.N {
					b.StopTimer()
					n := start(b, Config{Data: b.TempDir()})
					attest(b, n)
					b.StartTimer()
					began, before := time.Now(), used()
					var wg sync.WaitGroup
					for k := range 4 {
						wg.Go(func() {
							a, err := network.Dial(b.Context(), n.DICOMAddr(), network.DialOptions{CallingAE: "BENCH", CalledAE: called, Contexts: []network.Proposal{
								{AbstractSyntax: all[0].SOPClassUID, TransferSyntaxes: []string{all[0].Syntax().UID}},
								{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.4", TransferSyntaxes: []string{all[0].Syntax().UID}}}})
							if err != nil {
								b.Error(err)
								return
							}
							for i := k; i < len(all); i += 4 {
								in := all[i/4+k*len(all)/4]
								st, err := a.Store(b.Context(), &network.Instance{SOPClassUID: in.SOPClassUID, SOPInstanceUID: in.SOPInstanceUID, TransferSyntaxUID: in.Syntax().UID, Bytes: in.Data()})
								if err != nil || !st.Done() {
									b.Error(st, err)
									return
								}
							}
							if err := a.Release(b.Context()); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
					took += time.Since(began)
					if err := n.Custody.Barrier(b.Context()); err != nil {
						b.Error(err)
					}
					cpu += used() - before
					count += len(all)
				}
				b.ReportMetric(float64(count)/took.Seconds(), "instances/s")
				b.ReportMetric(float64(cpu.Microseconds())/float64(count), "cpu-us/instance")
			})
		}
	}
}

func used() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
