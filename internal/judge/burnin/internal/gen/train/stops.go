package main

import (
	"math"
	"slices"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// stops measures anew when the forest of cells may stop asking: of the cells of text that it takes for likely when it asks all trees, at most the part lost leaves it early, most of them in the
// first trees, where stopping saves most. What it does not take for likely at last may leave whenever it falls as low.
func stops(p []*plant.Plan, seed uint64, n int, f *find.Forest, lost float64) []float32 {
	trees := f.Trees()
	s := each(p, seed, n, func(r *plant.Rand, c *plant.Canvas, views []find.Grey) *set {
		s := &set{width: trees}
		if len(c.Lines) == 0 {
			return s
		}
		var v [find.Features]float32
		sums := make([]float32, trees)
		for _, g := range views {
			for level := range find.Levels {
				m := find.Measure(g)
				if m == nil {
					break
				}
				g = g.Half()
				for y := range m.H {
					for x := range m.W {
						// One of three is enough: they lie close.
						if !r.Chance(0.33) || what(c, level, x, y) != 1 || !m.Worth(x, y) {
							continue
						}
						m.Describe(x, y, &v)
						if f.Sums(v[:], sums); sums[trees-1] > find.Likely {
							s.add(sums, true, 1)
						}
					}
				}
			}
		}
		return s
	})
	rows := make([]int, len(s.truth))
	for i := range rows {
		rows[i] = i
	}
	stop := make([]float32, trees)
	left := 0
	for t := range stop {
		stop[t] = float32(math.Inf(-1))
		may := int(lost*math.Sqrt(float64(t+1)/float64(trees))*float64(len(s.truth))) - left
		if t < 4 || len(rows) == 0 {
			continue
		}
		sums := make([]float32, len(rows))
		for i, k := range rows {
			sums[i] = s.value[k*trees+t]
		}
		slices.Sort(sums)
		stop[t] = min(find.Likely, sums[min(max(may, 0), len(sums)-1)])
		before := len(rows)
		rows = slices.DeleteFunc(rows, func(k int) bool { return s.value[k*trees+t] < stop[t] })
		left += before - len(rows)
	}
	return stop
}
