package headcount_test

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/headcount"
)

func TestTell(t *testing.T) {
	for _, c := range []struct {
		n, told int64
		words   string
	}{
		{-1, 0, "fewer than 10"}, {0, 0, "fewer than 10"}, {1, 0, "fewer than 10"}, {9, 0, "fewer than 10"}, {10, 10, "10"}, {14, 10, "10"}, {15, 20, "20"}, {24, 20, "20"}, {25, 30, "30"},
		{1_234_567, 1_234_570, "1234570"},
	} {
		if got := headcount.Tell(c.n); got != c.told || headcount.Words(got) != c.words {
			t.Errorf("%d is told as %d, %q", c.n, got, headcount.Words(got))
		}
	}
}

// What is told stands for just the numbers that are told so, and for five at least.
func TestSpan(t *testing.T) {
	for n := range int64(2000) {
		low, high := headcount.Span(headcount.Tell(n))
		if n < low || n > high || high-low < 4 {
			t.Fatalf("%d is told as something from %d to %d", n, low, high)
		}
		for m := low; m <= high; m++ {
			if headcount.Tell(m) != headcount.Tell(n) {
				t.Fatalf("%d and %d lie in one span and are told apart", n, m)
			}
		}
		if headcount.Tell(high+1) == headcount.Tell(n) {
			t.Fatalf("%d is told as %d is, outside its span", high+1, n)
		}
	}
}
