package ask

import (
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// act is what is limited.
type act int

const (
	asks act = iota
	replies
)

// How much may be written within an hour. Everybody together is bounded too where nobody has signed in: a flood from many addresses fills no disk.
const (
	window         = time.Hour
	asksOfAddress  = 5
	saysOfAddress  = 30
	asksOfPerson   = 20
	saysOfPerson   = 60
	asksOfVisitors = 60
	maxRemembered  = 10_000
)

// limits remembers, in memory alone, how often somebody wrote in the last hour.
type limits struct {
	mu  sync.Mutex
	by  map[who][]time.Time
	now func() time.Time // nil: time.Now
}

type who struct {
	name string
	act  act
}

const everybody = "all visitors"

// take notes an act, or refuses it as a fault.Denied.
func (l *limits) take(c admin.Caller, from string, a act) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.now != nil {
		now = l.now()
	}
	if l.by == nil {
		l.by = map[who][]time.Time{}
	}
	if len(l.by) >= maxRemembered {
		for k, v := range l.by {
			if now.Sub(v[len(v)-1]) >= window {
				delete(l.by, k)
			}
		}
		if len(l.by) >= maxRemembered {
			return fault.New(fault.Denied, "ask", "", "too much is being asked at the moment; try again in an hour")
		}
	}
	type bound struct {
		who  who
		most int
	}
	var all []bound
	switch {
	case c.Actor != "" && a == asks:
		all = []bound{{who{"person " + c.Actor, a}, asksOfPerson}}
	case c.Actor != "":
		all = []bound{{who{"person " + c.Actor, a}, saysOfPerson}}
	case a == asks:
		all = []bound{{who{"address " + identity.Network(from), a}, asksOfAddress}, {who{everybody, a}, asksOfVisitors}}
	default:
		all = []bound{{who{"address " + identity.Network(from), a}, saysOfAddress}}
	}
	for _, b := range all {
		recent := l.by[b.who]
		for len(recent) > 0 && now.Sub(recent[0]) >= window {
			recent = recent[1:]
		}
		if len(recent) >= b.most {
			wait := recent[0].Add(window).Sub(now).Round(time.Minute)
			return fault.New(fault.Denied, "ask", "", "more was written from where you are than is taken within an hour; try again in "+max(wait, time.Minute).String())
		}
		if len(recent) == 0 {
			delete(l.by, b.who)
		} else {
			l.by[b.who] = recent
		}
	}
	for _, b := range all {
		l.by[b.who] = append(l.by[b.who], now)
	}
	return nil
}
