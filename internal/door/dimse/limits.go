package dimse

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// Limits bound what one registered peer takes of the node at a time, wherever it calls from, unless limits of its own are registered. Zero values are the defaults.
type Limits struct {
	Associations int     // further ones are rejected as transient, "local limit exceeded"; default 32
	Transfers    int     // C-MOVE and C-GET that run at a time; further ones are refused (A702); default 4
	Queries      float64 // C-FIND, C-MOVE and C-GET a second, after a burst of twice as many; further ones wait; default 1,000
}

func (l Limits) settled() Limits {
	if l.Associations <= 0 {
		l.Associations = 32
	}
	if l.Transfers <= 0 {
		l.Transfers = 4
	}
	if l.Queries <= 0 {
		l.Queries = 1000
	}
	return l
}

// of are the limits of one peer: its own, and the node's where it has none.
func (l Limits) of(p identity.Peer) Limits {
	l = l.settled()
	if n := p.Limits.Associations; n > 0 {
		l.Associations = n
	}
	if n := p.Limits.Transfers; n > 0 {
		l.Transfers = n
	}
	if n := p.Limits.Queries; n > 0 {
		l.Queries = float64(n)
	}
	return l
}

// shares count what each peer takes.
type shares struct {
	mu sync.Mutex
	by map[collection.AETitle]*share
}

type share struct {
	associations, transfers int
	queries                 *rate.Limiter
}

// enter takes a place for an association until ctx ends; false if the peer has all of its places.
func (s *shares) enter(ctx context.Context, peer collection.AETitle, l Limits) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[collection.AETitle]*share{}
	}
	x := s.by[peer]
	burst := max(1, int(2*l.Queries))
	switch {
	case x == nil:
		x = &share{queries: rate.NewLimiter(rate.Limit(l.Queries), burst)}
		s.by[peer] = x
	case x.queries.Limit() != rate.Limit(l.Queries): // it was set anew
		x.queries.SetLimit(rate.Limit(l.Queries))
		x.queries.SetBurst(burst)
	}
	if x.associations >= l.Associations {
		return false
	}
	x.associations++
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if x.associations--; x.associations == 0 {
			delete(s.by, peer)
		}
	})
	return true
}

// query waits until the peer may ask.
func (s *shares) query(ctx context.Context, peer collection.AETitle) error {
	s.mu.Lock()
	x := s.by[peer]
	s.mu.Unlock()
	if x == nil {
		return nil // its association has ended
	}
	return x.queries.Wait(ctx)
}

// transfer takes one of the peer's places for a C-MOVE or C-GET; false if it has all of them.
func (s *shares) transfer(peer collection.AETitle, l Limits) (done func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.by[peer]
	if x == nil || x.transfers >= l.Transfers {
		return nil, false
	}
	x.transfers++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		x.transfers--
	}, true
}
