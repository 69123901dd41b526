package subject

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/db/dbtest"
	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// beside is another process: a record of its own on the same database.
func beside(t *testing.T, d *db.DB) *Record {
	t.Helper()
	r, err := OpenRecord(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func withdraw(t *testing.T, d *db.DB, r *Record, id ID) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := r.Withdraw(tx, id); return err }); err != nil {
		t.Fatal(err)
	}
}

func TestGateEndsWhatIsBeingRead(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *Record) {
		s, _, err := ensure(d, r, "breast", Link{1}, "P-1", KeyID{1})
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := ensure(d, r, "breast", Link{2}, "P-2", KeyID{2})
		if err != nil {
			t.Fatal(err)
		}
		g := r.NewGate()
		var heard []ID
		g.Heard(func(s Subject) { heard = append(heard, s.ID) })
		var cuts atomic.Int32
		cut := WithCut(t.Context(), func() { cuts.Add(1) })
		_, first, err := g.Enter(cut, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := g.Enter(t.Context(), s.ID) // without a way to be cut off: it asks
		if err != nil {
			t.Fatal(err)
		}
		_, theirs, err := g.Enter(cut, other.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*Pass{first, second, theirs} {
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
		}
		withdraw(t, d, r, s.ID)
		g.Shut(s)
		g.Shut(s) // whoever is told twice cuts once
		for _, p := range []*Pass{first, second} {
			if err := p.Check(); !fault.Is(err, fault.NotFound) {
				t.Errorf("a reading goes on: %v", err)
			}
			p.Leave()
			p.Leave()
		}
		if err := theirs.Check(); err != nil || cuts.Load() != 1 {
			t.Errorf("another's reading: %v; %d cuts", err, cuts.Load())
		}
		theirs.Leave()
		if _, _, err := g.Enter(t.Context(), s.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("entered after: %v", err)
		}
		if len(heard) == 0 || heard[0] != s.ID || len(g.inside) != 0 {
			t.Errorf("heard %v, inside %d", heard, len(g.inside))
		}
	})
}

// A row that was asked for before the withdrawal, and whose answer comes after it, lets nobody in.
func TestGateDoesNotBelieveWhatWasReadBefore(t *testing.T) {
	d := dbtest.SQLite(t)
	r := beside(t, d)
	s, _, err := ensure(d, r, "breast", Link{1}, "P-1", KeyID{1})
	if err != nil {
		t.Fatal(err)
	}
	g := r.NewGate()
	withdraw(t, d, r, s.ID)
	g.Shut(s)
	if _, err := g.rows.Get(s.ID, func() (Subject, error) { return s, nil }); err != nil { // the late answer
		t.Fatal(err)
	}
	if _, _, err := g.Enter(t.Context(), s.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("entered: %v", err)
	}
}

// What another process withdraws ends here, and by the same database only.
func TestGateHearsOfOtherProcesses(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, here *Record) {
		there := beside(t, d)
		var passes []*Pass
		var all []Subject
		g := here.NewGate()
		cut := make(chan ID, 300)
		for i := range 250 { // more than are asked for at once
			s, _, err := ensure(d, here, "breast", Link{byte(i), 1}, Pseudonym("P-"+Link{byte(i)}.String()[:6]), KeyID{byte(i)})
			if err != nil {
				t.Fatal(err)
			}
			_, p, err := g.Enter(WithCut(t.Context(), func() { cut <- s.ID }), s.ID)
			if err != nil {
				t.Fatal(err)
			}
			passes, all = append(passes, p), append(all, s)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		withdraw(t, d, there, all[3].ID)
		withdraw(t, d, there, all[249].ID)
		got := map[ID]bool{<-cut: true, <-cut: true}
		stop()
		wg.Wait()
		if !got[all[3].ID] || !got[all[249].ID] || len(cut) != 0 {
			t.Errorf("cut off: %v and %d more", got, len(cut))
		}
		for i, p := range passes {
			if gone := p.Check() != nil; gone != (i == 3 || i == 249) {
				t.Errorf("pass %d: gone %v", i, gone)
			}
			p.Leave()
		}
		if _, _, err := g.Enter(t.Context(), all[3].ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("entered: %v", err)
		}
	})
}

// A database that does not answer ends every reading: nobody can say who has withdrawn. When it answers again, reading goes on.
func TestGateShutsWithoutADatabase(t *testing.T) {
	d := dbtest.SQLite(t)
	r := beside(t, d)
	s, _, err := ensure(d, r, "breast", Link{1}, "P-1", KeyID{1})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		g := r.NewGate()
		cut := false
		_, p, err := g.Enter(WithCut(t.Context(), func() { cut = true }), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		broken := errors.New("the database is away")
		g.ask = func(context.Context, []ID) ([]Subject, error) { return nil, broken }
		ctx, stop := context.WithCancel(t.Context())
		go g.Run(ctx)
		time.Sleep(Beat + time.Millisecond)
		stop()
		synctest.Wait()
		if err := p.Check(); err == nil || !cut {
			t.Errorf("it is read on: %v, cut %v", err, cut)
		}
		p.Leave()
		if _, again, err := g.Enter(t.Context(), s.ID); err != nil || again.Check() != nil {
			t.Errorf("it is shut for good: %v", err)
		} else {
			again.Leave()
		}
	})
}
