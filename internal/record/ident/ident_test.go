package ident

import (
	"slices"
	"sync"
	"testing"
)

func TestNumbersGrowAndDiffer(t *testing.T) {
	var wg sync.WaitGroup
	got := make([][]int64, 4)
	for i := range got {
		wg.Go(func() {
			for range 10000 {
				n, err := New()
				if err != nil || n <= 0 {
					t.Error(n, err)
					return
				}
				got[i] = append(got[i], n)
			}
			if !slices.IsSorted(got[i]) {
				t.Error("numbers do not grow")
			}
		})
	}
	wg.Wait()
	all := slices.Concat(got...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 40000 {
		t.Errorf("%d different numbers of 40000", n)
	}
}
