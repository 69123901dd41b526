package attempts

import (
	"fmt"
	"testing"
	"time"
)

// Whoever has one address of IPv6 has 2^64 of them: they are counted as one.
func TestOfANetwork(t *testing.T) {
	c := &Counter{}
	for i := range Free {
		c.Failed(fmt.Sprintf("2001:db8:0:1::%d", i))
		c.Failed(fmt.Sprintf("192.0.2.%d", i))
	}
	if c.Wait("2001:db8:0:1:ffff::1") == 0 {
		t.Error("another address of the network need not wait")
	}
	for _, other := range []string{"2001:db8:0:2::1", "192.0.2.1", "::ffff:192.0.2.2", "", "no address"} {
		if w := c.Wait(other); w != 0 {
			t.Errorf("%q waits %v", other, w)
		}
	}
}

// An address that fails again and again waits longer each time; others do not.
func TestWaits(t *testing.T) {
	now := time.Now()
	c := &Counter{now: func() time.Time { return now }}
	for range Free {
		if w := c.Wait("a"); w != 0 {
			t.Fatal(w)
		}
		c.Failed("a")
	}
	if c.Wait("a") == 0 {
		t.Error("after the free ones there is no wait")
	}
	if w := c.Wait("b"); w != 0 {
		t.Error(w)
	}
	var waits []time.Duration
	for range 20 {
		start := now
		for c.Wait("a") > 0 {
			now = now.Add(time.Second)
		}
		waits = append(waits, now.Sub(start))
		c.Failed("a")
	}
	if waits[3] <= waits[1] || waits[19] > longestWait+time.Second {
		t.Errorf("waits %v", waits)
	}
	now = now.Add(2 * forgetAfter)
	if w := c.Wait("a"); w != 0 {
		t.Error(w)
	}
}
