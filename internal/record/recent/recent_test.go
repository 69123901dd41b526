package recent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestKeepsAnswersForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache[string, int]
		asked := 0
		ask := func() (int, error) { asked++; return asked, nil }
		get := func(want int) {
			t.Helper()
			if v, err := c.Get("a", ask); err != nil || v != want {
				t.Errorf("got %d, %v; want %d", v, err, want)
			}
		}
		get(1)
		time.Sleep(time.Second - time.Nanosecond)
		get(1)
		time.Sleep(time.Nanosecond)
		get(2)
		c.Forget("a")
		get(3)
	})
}

func TestNeverKeepsNo(t *testing.T) {
	var c Cache[string, int]
	no := errors.New("no")
	if _, err := c.Get("a", func() (int, error) { return 0, no }); err != no {
		t.Fatal(err)
	}
	if v, err := c.Get("a", func() (int, error) { return 7, nil }); err != nil || v != 7 {
		t.Fatal(v, err)
	}
}

// An answer that took long to come is as old as its question.
func TestCountsFromTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Cache[string, int]
		c.Get("a", func() (int, error) { time.Sleep(2 * time.Second); return 1, nil })
		if v, _ := c.Get("a", func() (int, error) { return 2, nil }); v != 2 {
			t.Errorf("an answer older than a second was given")
		}
	})
}

func TestIsBounded(t *testing.T) {
	var c Cache[int, int]
	for i := range 3 * maxKept {
		c.Get(i, func() (int, error) { return i, nil })
		if len(c.kept) > maxKept {
			t.Fatal(len(c.kept))
		}
	}
}
