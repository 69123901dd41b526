//go:build unix

package burnin

import (
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The metric is processor time a megapixel, which other work on the machine does not change.
func BenchmarkLook(b *testing.B) {
	for _, s := range unseen {
		for _, deep := range []bool{false, true} {
			name := s.Name
			if deep {
				name += " of 12 bit"
			}
			b.Run(name, func(b *testing.B) {
				r := plant.NewRand(3)
				c := s.Draw(r, 1024, 1024)
				if deep && len(c.Planes) == 3 {
					b.Skip("colour is of 8 bit")
				}
				a, f := c.Frame(r, deep)
				start := cpu()
				for b.Loop() {
					if _, err := Look(a, f, Hints{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((cpu()-start).Milliseconds())/float64(b.N)/(1<<20)*1e6, "cpu-ms/megapixel")
			})
		}
	}
}

func BenchmarkQuick(b *testing.B) {
	r := plant.NewRand(3)
	a, f := pelvis(r, 512, 512).Frame(r, true)
	start := cpu()
	for b.Loop() {
		Quick(a, f)
	}
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(b.N)/1000, "cpu-ms/slice")
}
