package endtoend

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/sample"
)

// Of different bytes that come under one SOP Instance UID at once, one is kept, and the senders of all others are told of the conflict.
func TestConflictsAtOnce(t *testing.T) {
	n := serve(t, setup{})
	const rounds, senders = 30, 4
	for round := range rounds {
		in, err := sample.SmallSet(51).Instance(round)
		if err != nil {
			t.Fatal(err)
		}
		base := generated("", in)
		var wg sync.WaitGroup
		var mu sync.Mutex
		told := map[int]int{}
		for k := range senders {
			data := bytes.Clone(base.data)
			data[len(data)-1-k] ^= 0x11 // in its pixels
			i := base.with(fmt.Sprint(k), data)
			wg.Go(func() {
				a := n.stow(kept, i)
				mu.Lock()
				defer mu.Unlock()
				if a.code != 200 || len(a.kept) != 1 {
					t.Errorf("status %d, %v", a.code, a.err)
				}
				told[a.kept[i.sop]]++
			})
		}
		wg.Wait()
		if told[0] != 1 || told[0xB011] != senders-1 {
			t.Errorf("round %d: of %d senders %d were told that theirs is kept, %d of a conflict", round, senders, told[0], told[0xB011])
		}
	}
	if c := n.settled(kept, rounds*senders); c.Catalogued != rounds || c.Held != rounds*(senders-1) {
		t.Errorf("%+v", c)
	}
}
