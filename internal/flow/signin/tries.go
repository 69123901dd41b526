package signin

import (
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// tries slows down who fails to get in again and again from one address: after a few failures each further one doubles the wait, up to a bound. It is kept in
// memory alone: what is presented without an account to count for has 60 bits and more (codes, links, keys), so this spares the node work rather than the
// secrets their discovery. The six digits of an app are counted by account, in the database.
type tries struct {
	mu  sync.Mutex
	by  map[string]*failures
	now func() time.Time // nil: time.Now
}

type failures struct {
	n     int
	until time.Time
	last  time.Time
}

const (
	freeTries   = 5
	firstWait   = time.Second
	longestWait = 15 * time.Minute
	forgetAfter = time.Hour
	maxFrom     = 10_000
)

func (t *tries) clock() time.Time {
	if t.now != nil {
		return t.now()
	}
	return time.Now()
}

// allow reports, as a fault.Denied, an address that has to wait.
func (t *tries) allow(from string) error {
	from = identity.Network(from)
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.by[from]; f != nil && t.clock().Before(f.until) {
		return fault.New(fault.Denied, "sign in", "", "it failed too often from your address; wait a while, "+f.until.Sub(t.clock()).Round(time.Second).String()+", and try again")
	}
	return nil
}

func (t *tries) failed(from string) {
	from = identity.Network(from)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock()
	if t.by == nil {
		t.by = map[string]*failures{}
	}
	if len(t.by) >= maxFrom {
		for k, f := range t.by {
			if now.Sub(f.last) > forgetAfter {
				delete(t.by, k)
			}
		}
		if len(t.by) >= maxFrom {
			clear(t.by)
		}
	}
	f := t.by[from]
	if f == nil || now.Sub(f.last) > forgetAfter {
		f = &failures{}
		t.by[from] = f
	}
	f.n++
	f.last = now
	if over := f.n - freeTries; over >= 0 {
		f.until = now.Add(min(firstWait<<min(over, 20), longestWait))
	}
}
