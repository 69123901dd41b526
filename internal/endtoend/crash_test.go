package endtoend

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/dicom/network"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/sample"
	"github.com/vitrine-imaging/vitrine/internal/testdata"
)

// ledger is what senders know of what they sent.
type ledger struct {
	mu    sync.Mutex
	acked map[string]bool // by fingerprint, for what is kept as deposited; by SOP Instance UID of the sender's, for what is cleaned
	sent  map[string]bool // and never answered
}

func newLedger() *ledger { return &ledger{acked: map[string]bool{}, sent: map[string]bool{}} }

func (l *ledger) note(key string, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if acknowledged {
		delete(l.sent, key)
		l.acked[key] = true
	} else {
		l.sent[key] = true
	}
}

func (l *ledger) count() (acked, open int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), len(l.sent)
}

// Whatever was acknowledged before a SIGKILL is there after it, unchanged; what was not is there whole or not at all.
func TestKilledWhileReceiving(t *testing.T) {
	rounds := 5
	if testdata.Soak() {
		rounds = 50
	}
	for _, engine := range []string{"sqlite", "postgresql"} {
		t.Run(engine, func(t *testing.T) { killed(t, rounds, engine == "postgresql") })
	}
}

func killed(t *testing.T, rounds int, postgres bool) {
	n := serve(t, setup{database: database(t, postgres)})
	rnd := rand.New(rand.NewPCG(20, uint64(rounds)))
	books := map[collection.ID]*ledger{research: newLedger(), kept: newLedger()}
	small, full, other := sample.SmallSet(77), sample.FullSet(77), sample.SmallSet(78)
	next := map[*sample.Set]int{}
	var mu sync.Mutex
	took := func(s *sample.Set) (*image, error) {
		mu.Lock()
		i := next[s]
		next[s]++
		mu.Unlock()
		in, err := s.Instance(i)
		if err != nil {
			return nil, err
		}
		return generated("", in), nil
	}
	for round := range rounds {
		first := make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		for _, sender := range []struct {
			to     collection.ID
			called string
			set    *sample.Set
		}{{research, "VITRINE", small}, {research, "VITRINE", full}, {kept, "KEPT", small}, {kept, "KEPT", full}} {
			wg.Go(func() {
				book := books[sender.to]
				var a *network.Association
				for {
					i, err := took(sender.set)
					if err != nil {
						t.Error(err)
						return
					}
					if a == nil {
						if a, err = n.dial(t.Context(), sender.called, []*image{i}); err != nil {
							return // killed before it began
						}
					}
					key := i.sop
					if sender.to == kept {
						key = i.fingerprint()
					}
					book.note(key, false)
					st, err := a.Store(t.Context(), &network.Instance{SOPClassUID: i.class, SOPInstanceUID: i.sop, TransferSyntaxUID: i.syntax, Bytes: i.data})
					if err != nil {
						return
					}
					if !st.Done() {
						t.Errorf("round %d: C-STORE: %v %s", round, st, st.Comment)
						return
					}
					book.note(key, true)
					once.Do(func() { close(first) })
				}
			})
		}
		for _, door := range []string{"STOW-RS", "upload"} { // beside them, by other doors
			wg.Go(func() {
				book := books[kept]
				for {
					i, err := took(other)
					if err != nil {
						t.Error(err)
						return
					}
					book.note(i.fingerprint(), false)
					err = n.by(t.Context(), door, i, nil)
					if r, ok := errors.AsType[refused](err); ok {
						t.Errorf("round %d: %s: %v", round, door, r)
					}
					if err != nil {
						return
					}
					book.note(i.fingerprint(), true)
				}
			})
		}
		select {
		case <-first:
		case <-time.After(time.Minute):
			t.Fatalf("round %d: nothing was acknowledged in a minute", round)
		}
		// The moment is what this is about; there is nothing to wait for.
		after := time.Duration(rnd.IntN(1200)) * time.Millisecond
		time.Sleep(after)
		n.kill()
		wg.Wait()
		if round%2 == 1 { // and again while it comes back
			n.start()
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
			n.kill()
		}
		n.start()
		for c, book := range books {
			acked, open := book.count()
			got := n.intake(string(c))
			if there := got.Received - got.Refused; there < acked || there > acked+open || got.Refused > 0 {
				t.Errorf("round %d, killed %v after the first answer: %s holds %+v; %d were acknowledged, %d were on their way", round, after, c, got, acked, open)
			}
		}
	}
	// Sealed packs and the active one are read as they are after the last crash, and again after a clean end.
	n.verify()
	n.unharmed()
	n.stop()
	there := map[string]bool{}
	n.stored(kept, func(l catalogue.Located, syntax string, data []byte) {
		key := fingerprint(string(l.SOP), syntax, data)
		if !books[kept].acked[key] && !books[kept].sent[key] {
			t.Errorf("object %s is nothing that was sent", l.ID)
		}
		if there[key] {
			t.Errorf("object %s is there twice", l.ID)
		}
		there[key] = true
	})
	lost := 0
	for key := range books[kept].acked {
		if !there[key] {
			lost++
		}
	}
	cleaned := 0
	n.stored(research, func(l catalogue.Located, syntax string, data []byte) {
		cleaned++
		if i := bytes.Index(data, []byte("Bench")); i >= 0 {
			t.Errorf("object %s is not clean", l.ID)
		}
	})
	acked, open := books[research].count()
	if lost > 0 || cleaned < acked || cleaned > acked+open {
		t.Errorf("%d acknowledged instances of %s are gone; %s holds %d, acknowledged %d, on their way %d", lost, kept, research, cleaned, acked, open)
	}
	objects := n.verify()
	ackedKept, openKept := books[kept].count()
	t.Logf("%d rounds: acknowledged %d and %d, unanswered %d and %d, %d objects verified", rounds, acked, ackedKept, open, openKept, objects)
	if objects != cleaned+len(there) {
		t.Errorf("verify read %d objects, there are %d", objects, cleaned+len(there))
	}
}
