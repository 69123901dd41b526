package custody

import (
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Of few subjects everything is remembered, of more no more than what is dear to find; the others are forgotten.
func TestOnlyAFewAreAwake(t *testing.T) {
	profile, err := deid.Lookup("research")
	if err != nil {
		t.Fatal(err)
	}
	keys := deid.NewKeys([32]byte{1})
	c := newPeople()
	key := func(k int) peopleKey { return peopleKey{link: subject.Link{byte(k), byte(k >> 8)}} }
	meet := func(k int) *peopleEntry {
		x := c.entry(key(k))
		if !x.ready {
			x.p, x.ready = &person{clean: deid.NewSubject(profile, keys, deid.Identity{}, nil)}, true
		}
		return x
	}
	first, second := meet(0), meet(1)
	first.p.seen.uids, second.p.seen.uids = map[string]struct{}{}, map[string]struct{}{}
	for k := range maxAwake {
		meet(0)
		meet(100 + k)
	}
	if first.p.seen.uids == nil || second.p.seen.uids != nil || c.awake.Len() != maxAwake || c.order.Len() != maxAwake+2 {
		t.Errorf("of %d subjects %d are awake; the one that comes all the time rests: %v, the one that came once: %v", c.order.Len(), c.awake.Len(), first.p.seen.uids == nil, second.p.seen.uids == nil)
	}
	if meet(1) != second || c.awake.Len() != maxAwake {
		t.Error("a subject that rested is another")
	}
	for k := range 2 * maxPeople {
		meet(1000 + k)
	}
	c.forget(key(1000 + 2*maxPeople - 1))
	if c.order.Len() != maxPeople-1 || len(c.by) != maxPeople-1 || c.awake.Len() != maxAwake-1 {
		t.Errorf("%d subjects are kept, %d are awake", c.order.Len(), c.awake.Len())
	}
}
