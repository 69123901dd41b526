package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/door/web"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
)

const (
	// heartbeat is shorter than what the front gives a write, and than what proxies give a silent connection.
	heartbeat = 10 * time.Second
	// streamFor is how long a stream lasts before the browser asks again, and shows anew who it is.
	streamFor = 10 * time.Minute
	// streamsEach and streamsAll bound how many are open: of one person, and of the process.
	streamsEach = 8
	streamsAll  = 512
	// itemsTold bounds the items that a stream tells of.
	itemsTold = 1000
)

// streams counts the open streams.
type streams struct {
	mu  sync.Mutex
	of  map[string]int
	all int
}

func (s *streams) enter(actor string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsAll || s.of[actor] >= streamsEach {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.of[actor]++
	s.all++
	return true
}

func (s *streams) leave(actor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[actor]--; s.of[actor] == 0 {
		delete(s.of, actor)
	}
}

// Drain ends the streams, which else would outlast a node that is to end.
func (d *Door) Drain() { d.drain() }

// stream is an answer of server-sent events, which begins with the first.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController

	mu    sync.Mutex
	begun bool
}

func (s *stream) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no") // a proxy that gathers would make it late
		h.Set("X-Content-Type-Options", "nosniff")
		text = "retry: 2000\n\n" + text
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *stream) send(event string, data any) error {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // texts and numbers
	}
	return s.write("event: " + event + "\ndata: " + string(b) + "\n\n")
}

// beat keeps the stream open while nothing changes; gone is told of who does not listen any more.
func (s *stream) beat(ctx context.Context, gone func()) {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if s.write(": here\n\n") != nil {
				gone()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// errSettled ends a stream of which nothing more is to come.
var errSettled = errors.New("nothing more comes")

// events answers with a stream for as long as watch goes on. It is told who the caller is by then: a session may end, and a role be taken, while the stream is open.
func (d *Door) events(w http.ResponseWriter, r *http.Request, watch func(ctx context.Context, s *stream, who func() (delivery.Caller, error)) error) {
	caller, err := web.Known(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}
	if !d.streams.enter(caller.Actor) {
		web.Fail(w, r, &web.Error{Status: http.StatusTooManyRequests, Attempt: "follow deposits", Reason: "too many pages of yours follow deposits at once",
			Advice: "Close some of them, or load the page again to see how things stand.", Header: http.Header{"Retry-After": {"30"}}})
		return
	}
	defer d.streams.leave(caller.Actor)
	ctx, cancel := context.WithTimeout(r.Context(), streamFor)
	defer context.AfterFunc(d.draining, cancel)()
	who := func() (delivery.Caller, error) {
		now, err := web.Again(r)
		if err == nil && now.Actor != caller.Actor {
			err = fault.New(fault.Denied, "follow deposits", "", "the session has ended")
		}
		return delivery.Caller(now), err
	}
	s := &stream{w: w, control: http.NewResponseController(w)}
	var beats sync.WaitGroup
	beats.Go(func() { s.beat(ctx, cancel) })
	err = watch(ctx, s, who)
	cancel()
	beats.Wait() // nobody writes any more
	if err != nil && !s.begun && r.Context().Err() == nil {
		web.Fail(w, r, err)
	}
}

// depositEvent is where a deposit stands.
type depositEvent struct {
	Deposit string `json:"deposit"`
	catalogue.Counts
	Published int64 `json:"published"`
	Duplicate int64 `json:"duplicate"`
	Running   bool  `json:"running"`
}

func eventOf(x catalogue.Deposit) depositEvent {
	return depositEvent{Deposit: x.ID.String(), Counts: x.Counts, Published: x.Counts.Released, Duplicate: x.Counts.Duplicate, Running: x.Ended.IsZero()}
}

// itemEvent is an item that was not simply kept, by its number in the deposit.
type itemEvent struct {
	Ordinal int64           `json:"ordinal"`
	Fate    string          `json:"fate"` // held, conflict, refused, released from being held: kept
	Reasons []advisedReason `json:"reasons,omitempty"`
}

type advisedReason struct {
	custody.Reason
	Advice string `json:"advice,omitempty"`
}

// depositEvents tells of one deposit: "deposit" for its counts, "item" for each item that is held or refused, and for one that is no longer; "settled" when nothing more is to come.
func (d *Door) depositEvents(w http.ResponseWriter, r *http.Request) {
	d.events(w, r, func(ctx context.Context, s *stream, who func() (delivery.Caller, error)) error {
		id, err := catalogue.ParseDepositID(r.PathValue("deposit"))
		if err != nil {
			return fault.New(fault.NotFound, "follow deposit", "", "there is no such deposit of yours")
		}
		told := map[int64]string{}
		err = d.Delivery.Watch(ctx, who, id, func(f delivery.Fate) error {
			if err := s.send("deposit", eventOf(f.Deposit)); err != nil {
				return err
			}
			here := map[int64]bool{}
			for _, i := range f.Items {
				e := itemEvent{Ordinal: i.Ordinal, Fate: "refused"}
				if i.ID != 0 {
					e.Fate = i.State.String()
				}
				here[e.Ordinal] = true
				for _, x := range i.Reasons {
					e.Reasons = append(e.Reasons, advisedReason{custody.Reason(x), custody.Reason(x).Advice()})
				}
				key := e.Fate + fmt.Sprint(i.Reasons)
				if told[e.Ordinal] == key || len(told) >= itemsTold {
					continue
				}
				told[e.Ordinal] = key
				if err := s.send("item", e); err != nil {
					return err
				}
			}
			for ordinal := range told {
				if !here[ordinal] {
					delete(told, ordinal)
					if err := s.send("item", itemEvent{Ordinal: ordinal, Fate: "kept"}); err != nil {
						return err
					}
				}
			}
			if !f.Ended.IsZero() && f.Counts.Pending == 0 {
				if err := s.send("settled", struct{}{}); err != nil {
					return err
				}
				return errSettled
			}
			return nil
		})
		if errors.Is(err, errSettled) {
			return nil
		}
		return err
	})
}

// allEvents tells of the latest deposits of the caller's collections: "deposits" with those that changed.
func (d *Door) allEvents(w http.ResponseWriter, r *http.Request) {
	d.events(w, r, func(ctx context.Context, s *stream, who func() (delivery.Caller, error)) error {
		all, err := d.mine(&request{Request: r, caller: web.CallerOf(r), w: w})
		if err != nil {
			return err
		}
		ids := make([]collection.ID, len(all))
		for i, c := range all {
			ids[i] = c.ID
		}
		return d.Delivery.WatchAll(ctx, who, ids, pageOfDeposits, func(changed []catalogue.Deposit) error {
			out := make([]depositEvent, len(changed))
			for i, x := range changed {
				out[i] = eventOf(x)
			}
			return s.send("deposits", out)
		})
	})
}
