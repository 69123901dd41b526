package main

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/find"
	"github.com/vitrine-imaging/vitrine/internal/judge/burnin/internal/plant"
)

// A set is rows of features with what they are.
type set struct {
	width  int
	value  []float32 // row by row
	truth  []bool
	weight []float32
}

func (s *set) add(v []float32, truth bool, weight float32) {
	s.value, s.truth, s.weight = append(s.value, v...), append(s.truth, truth), append(s.weight, weight)
}

func (s *set) append(o *set) {
	s.value, s.truth, s.weight = append(s.value, o.value...), append(s.truth, o.truth...), append(s.weight, o.weight...)
}

const bins = 64

// boost makes a forest of trees of a depth by gradient boosting with second derivatives.
func boost(s *set, trees, depth int, rate float64, seed uint64) *find.Forest {
	n, width := len(s.truth), s.width
	r := plant.NewRand(seed)
	// Columns of bins: rows of a column lie together.
	cuts, code := make([][]float32, width), make([][]uint8, width)
	var wg sync.WaitGroup
	gate := make(chan struct{}, runtime.GOMAXPROCS(0))
	for k := range width {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			var probe []float32
			for i := 0; i < n; i += 1 + n/20000 {
				probe = append(probe, s.value[i*width+k])
			}
			slices.Sort(probe)
			for b := 1; b < bins; b++ {
				c := probe[b*(len(probe)-1)/bins]
				if len(cuts[k]) == 0 || c > cuts[k][len(cuts[k])-1] {
					cuts[k] = append(cuts[k], c)
				}
			}
			code[k] = make([]uint8, n)
			for i := range n {
				v := s.value[i*width+k]
				at, _ := slices.BinarySearch(cuts[k], v) // the first cut that is not below v
				code[k][i] = uint8(at)
			}
		})
	}
	wg.Wait()
	f := &find.Forest{Depth: depth}
	var pos, all float64
	for i, t := range s.truth {
		all += float64(s.weight[i])
		if t {
			pos += float64(s.weight[i])
		}
	}
	f.Base = float32(math.Log(pos / (all - pos)))
	score, g, h, node := make([]float32, n), make([]float32, n), make([]float32, n), make([]uint8, n)
	for i := range score {
		score[i] = f.Base
	}
	inner := 1<<depth - 1
	var rows []int32 // that a tree sees: 45 % of them
	for range trees {
		rows = rows[:0]
		for i := range n {
			p := float32(1 / (1 + math.Exp(-float64(score[i]))))
			y := float32(0)
			if s.truth[i] {
				y = 1
			}
			w := s.weight[i]
			g[i], h[i] = w*(p-y), w*p*(1-p)
			if r.Chance(0.45) {
				rows = append(rows, int32(i))
			}
			node[i] = 0
		}
		feature, split := make([]uint8, inner), make([]float32, inner)
		bin := make([]uint8, inner)
		var columns []int
		for k := range width {
			if r.Chance(0.5) {
				columns = append(columns, k)
			}
		}
		type best struct {
			gain float64
			k    int
			b    uint8
		}
		for level := range depth {
			nodes := 1 << level
			found := make([][]best, width)
			for _, k := range columns {
				wg.Go(func() {
					gate <- struct{}{}
					defer func() { <-gate }()
					sums := make([][bins][2]float32, nodes)
					c := code[k]
					for _, i := range rows {
						t := &sums[node[i]][c[i]]
						t[0] += g[i]
						t[1] += h[i]
					}
					found[k] = make([]best, nodes)
					for q := range nodes {
						var G, H, a, b float64
						for _, t := range sums[q] {
							G, H = G+float64(t[0]), H+float64(t[1])
						}
						top := best{gain: 1e-6, k: -1}
						for x := range len(cuts[k]) {
							a, b = a+float64(sums[q][x][0]), b+float64(sums[q][x][1])
							if b < 3 || H-b < 3 {
								continue
							}
							if gain := a*a/(b+2) + (G-a)*(G-a)/(H-b+2) - G*G/(H+2); gain > top.gain {
								top = best{gain, k, uint8(x)}
							}
						}
						found[k][q] = top
					}
				})
			}
			wg.Wait()
			for q := range nodes {
				top := best{k: -1}
				for _, k := range columns {
					if b := found[k][q]; b.k >= 0 && b.gain > top.gain {
						top = b
					}
				}
				at := nodes - 1 + q
				if top.k < 0 {
					feature[at], bin[at], split[at] = uint8(columns[0]), 255, float32(math.Inf(1))
					continue
				}
				feature[at], bin[at], split[at] = uint8(top.k), top.b, cuts[top.k][top.b]
			}
			for i := range n {
				at := nodes - 1 + int(node[i])
				node[i] *= 2
				if bin[at] != 255 && code[feature[at]][i] > bin[at] {
					node[i]++
				}
			}
		}
		leaf := make([]float32, 1<<depth)
		G, H := make([]float64, 1<<depth), make([]float64, 1<<depth)
		for _, i := range rows {
			G[node[i]], H[node[i]] = G[node[i]]+float64(g[i]), H[node[i]]+float64(h[i])
		}
		for q := range leaf {
			leaf[q] = float32(-rate * G[q] / (H[q] + 2))
		}
		for i := range n {
			score[i] += leaf[node[i]]
		}
		f.Feature, f.Split, f.Leaf = append(f.Feature, feature...), append(f.Split, split...), append(f.Leaf, leaf...)
	}
	return f
}
