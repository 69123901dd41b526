package reading

import (
	"testing"
	"time"
)

// What fails again and again is tried ever more seldom, but never given up.
func TestPause(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var p pause
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
		if p = p.longer(now); p.until.Sub(now) != want*time.Second {
			t.Errorf("after failure %d it waits %v, want %v", i+1, p.until.Sub(now), want*time.Second)
		}
	}
}
