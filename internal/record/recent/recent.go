// Package recent keeps answers that were just given, so that a burst of the same question (a token with each of a thousand requests, an AE title with
// each association) asks the database once. An answer is kept for a second at most, so a revocation made anywhere is felt within that second. "No" is
// never kept: what was just created or allowed is found at once.
package recent

import (
	"sync"
	"time"
)

const (
	keepFor = time.Second
	maxKept = 4096
)

// Cache keeps answers by key. The zero value is ready.
type Cache[K comparable, V any] struct {
	mu   sync.Mutex
	kept map[K]answer[V]
}

type answer[V any] struct {
	value V
	until time.Time
}

// Get gives the kept answer, or asks and keeps what it is told. An error is passed on and not kept.
func (c *Cache[K, V]) Get(key K, ask func() (V, error)) (V, error) {
	asked := time.Now()
	c.mu.Lock()
	a, ok := c.kept[key]
	c.mu.Unlock()
	if ok && asked.Before(a.until) {
		return a.value, nil
	}
	v, err := ask()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[K]answer[V]{}
	}
	if len(c.kept) >= maxKept {
		for k, a := range c.kept {
			if !asked.Before(a.until) {
				delete(c.kept, k)
			}
		}
		if len(c.kept) >= maxKept {
			clear(c.kept)
		}
	}
	// Counted from before the question was asked: the answer may be as old as that.
	c.kept[key] = answer[V]{v, asked.Add(keepFor)}
	return v, nil
}

// Forget drops what is kept for the key: whoever changed it here sees the change at once.
func (c *Cache[K, V]) Forget(key K) {
	c.mu.Lock()
	delete(c.kept, key)
	c.mu.Unlock()
}
