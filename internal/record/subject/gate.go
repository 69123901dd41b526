package subject

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/record/recent"
)

// Beat is how often a gate asks what other processes have withdrawn of what is being read here.
const Beat = 500 * time.Millisecond

// Gate ends the reading of what is a subject's at the moment that the subject is withdrawn: in the process that withdraws at once, in others of the same database within
// [Beat] of their asking. The zero value is not ready; see [Record.NewGate]. It is safe for use by many goroutines.
type Gate struct {
	record *Record
	ask    func(context.Context, []ID) ([]Subject, error) // which of them are withdrawn
	rows   recent.Cache[ID, Subject]

	mu     sync.Mutex
	inside map[ID]*inside
	shut   map[ID]struct{} // who was withdrawn since the process began: what was read of a row before is not believed
	heard  []func(Subject)
}

type inside struct {
	gone   atomic.Bool
	passes map[*Pass]struct{} // guarded by Gate.mu
}

// Pass lets through who reads something of a subject. It is for as many goroutines as read.
type Pass struct {
	gate *Gate
	id   ID
	in   *inside
	cut  func() // nil: whoever reads asks
	once sync.Once
}

type cutKey struct{}

// WithCut gives those who enter a gate on behalf of a context a way to be cut off: f ends the connection that they answer on, with what it has not sent yet. It is called at most once a pass, from any
// goroutine. Without it a reader is told at its next question, and what lies in the buffers of a slow connection is still sent.
func WithCut(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, cutKey{}, f)
}

// NewGate makes a gate. Every reader of a process goes through the same one.
func (r *Record) NewGate() *Gate {
	return &Gate{record: r, ask: r.withdrawnOf, inside: map[ID]*inside{}, shut: map[ID]struct{}{}}
}

// Heard has a function told of each subject that is withdrawn while the process runs, as far as the gate learns of it. It is called before the gate is used.
func (g *Gate) Heard(f func(Subject)) { g.heard = append(g.heard, f) }

// Enter gives the subject, and a pass that has to be left; a fault.NotFound if it is withdrawn, or none.
func (g *Gate) Enter(ctx context.Context, id ID) (Subject, *Pass, error) {
	// The pass is held before the row is looked at: a withdrawal finds the one or the other.
	g.mu.Lock()
	if _, ok := g.shut[id]; ok {
		g.mu.Unlock()
		return Subject{}, nil, gone()
	}
	in := g.inside[id]
	if in == nil {
		in = &inside{passes: map[*Pass]struct{}{}}
		g.inside[id] = in
	}
	p := &Pass{gate: g, id: id, in: in}
	p.cut, _ = ctx.Value(cutKey{}).(func())
	in.passes[p] = struct{}{}
	g.mu.Unlock()
	s, err := g.rows.Get(id, func() (Subject, error) { return g.record.Get(ctx, id) })
	if err == nil && (s.IsWithdrawn() || in.gone.Load()) {
		err = gone()
	}
	if err != nil {
		p.Leave()
		return Subject{}, nil, err
	}
	return s, p, nil
}

func gone() error {
	return fault.New(fault.NotFound, "retrieve objects", "", "there is nothing of this kind that you may see")
}

// Get is the subject as it was a second ago at most: for who asks again and again whether one is withdrawn or closed.
func (g *Gate) Get(ctx context.Context, id ID) (Subject, error) {
	return g.rows.Get(id, func() (Subject, error) { return g.record.Get(ctx, id) })
}

// Changed has a change that was made here felt at once by [Gate.Get].
func (g *Gate) Changed(id ID) { g.rows.Forget(id) }

// Check is a fault.NotFound once the subject has been withdrawn. It costs no more than reading a word: ask before every piece that leaves.
func (p *Pass) Check() error {
	if p.in.gone.Load() {
		return gone()
	}
	return nil
}

// Leave ends the pass.
func (p *Pass) Leave() {
	p.once.Do(func() {
		p.gate.mu.Lock()
		defer p.gate.mu.Unlock()
		if delete(p.in.passes, p); len(p.in.passes) == 0 && p.gate.inside[p.id] == p.in {
			delete(p.gate.inside, p.id)
		}
	})
}

// Shut ends every reading of a subject in this process, and lets nobody in any more. Whoever withdraws one calls it when the transaction has been committed.
func (g *Gate) Shut(s Subject) {
	g.mu.Lock()
	g.shut[s.ID] = struct{}{} // for good: a withdrawal is never taken back
	cuts := g.end(g.inside[s.ID])
	g.mu.Unlock()
	for _, cut := range cuts {
		cut()
	}
	g.rows.Forget(s.ID)
	for _, f := range g.heard {
		f(s)
	}
}

// end marks those inside, and gives what cuts them off. Gate.mu is held.
func (g *Gate) end(in *inside) (cuts []func()) {
	if in == nil || in.gone.Swap(true) {
		return nil
	}
	for p := range in.passes {
		if p.cut != nil {
			cuts = append(cuts, p.cut)
		}
	}
	return cuts
}

// Run ends readings of what other processes withdraw, until ctx ends.
func (g *Gate) Run(ctx context.Context) error {
	tick := time.NewTicker(Beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if err := g.look(ctx); err != nil && ctx.Err() == nil {
			// Nobody can say that they were not withdrawn: what is being read ends, and may be asked for again.
			var cuts []func()
			g.mu.Lock()
			for _, in := range g.inside {
				cuts = append(cuts, g.end(in)...)
			}
			clear(g.inside)
			g.mu.Unlock()
			for _, cut := range cuts {
				cut()
			}
		}
	}
}

// look asks for those that are being read.
func (g *Gate) look(ctx context.Context) error {
	g.mu.Lock()
	ids := make([]ID, 0, len(g.inside))
	for id, in := range g.inside {
		if !in.gone.Load() {
			ids = append(ids, id)
		}
	}
	g.mu.Unlock()
	const atOnce = 200
	for len(ids) > 0 {
		n := min(len(ids), atOnce)
		all, err := g.ask(ctx, ids[:n])
		if err != nil {
			return err
		}
		for _, s := range all {
			g.Shut(s)
		}
		ids = ids[n:]
	}
	return nil
}
