// Package attempts slows down who shows something wrong again and again from one address: after a few failures each further one doubles the wait, up to a bound.
//
// It is kept in memory alone, by each process of a node. What is presented without an account to count for has 60 bits and more (codes, links, keys), so this spares the
// node work rather than the secrets their discovery. What is short enough to be guessed has to be counted elsewhere, in the database.
package attempts

import (
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// Counter counts failures by address; see [identity.Network]. The zero value is ready, and safe for use by many goroutines.
type Counter struct {
	mu  sync.Mutex
	by  map[string]*failures
	now func() time.Time // nil: time.Now
}

type failures struct {
	n     int
	until time.Time
	last  time.Time
}

// Free is how many failures cost no wait.
const Free = 5

const (
	firstWait   = time.Second
	longestWait = 15 * time.Minute
	forgetAfter = time.Hour
	maxFrom     = 10_000
)

func (c *Counter) clock() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// Wait is how long an address has to wait yet; zero: not at all.
func (c *Counter) Wait(from string) time.Duration {
	from = identity.Network(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.by[from]; f != nil {
		return max(f.until.Sub(c.clock()), 0)
	}
	return 0
}

// Failed counts a failure.
func (c *Counter) Failed(from string) {
	from = identity.Network(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	if c.by == nil {
		c.by = map[string]*failures{}
	}
	if len(c.by) >= maxFrom {
		for k, f := range c.by {
			if now.Sub(f.last) > forgetAfter {
				delete(c.by, k)
			}
		}
		if len(c.by) >= maxFrom {
			clear(c.by)
		}
	}
	f := c.by[from]
	if f == nil || now.Sub(f.last) > forgetAfter {
		f = &failures{}
		c.by[from] = f
	}
	f.n++
	f.last = now
	if over := f.n - Free; over >= 0 {
		f.until = now.Add(min(firstWait<<min(over, 20), longestWait))
	}
}
