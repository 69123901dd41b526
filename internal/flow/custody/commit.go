package custody

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

const (
	// maxWaiting is how many events may wait for the catalogue before doors are told to come back later.
	maxWaiting = 50_000
	// maxBatch is how many events one transaction takes.
	maxBatch = 500
	// A transaction costs as much as some dozens of rows. So a batch gathers until it has enough, or for a moment, or until somebody asks.
	enough = 200
	gather = 40 * time.Millisecond
)

// event is something that the catalogue has to learn.
type event struct {
	kind    eventKind
	deposit *Deposit
	entry   *entry
	reason  Reason
	ordinal int64
	where   pack.Committed
	// unmarked leaves the pack's checkpoint where it is: something before this record could not be read, and is looked for again at the next start, or is catalogued later.
	unmarked bool
}

type eventKind uint8

const (
	eventEntry eventKind = iota
	eventRefused
	eventDuplicate
	eventEnd
)

// queue holds events in the order in which their records became durable.
type queue struct {
	mu    sync.Mutex
	items []event
	added uint64 // ever
	done  uint64
	wake  chan struct{} // there is something
	ready chan struct{} // there is enough, or somebody waits for it
	moved chan struct{} // closed and replaced when done moves, or failed does
	// failed counts the attempts since the catalogue last took something.
	failed int
}

// patience is after how many attempts nobody is kept waiting for the catalogue any longer: one may fail for a moment's reason.
const patience = 2

func (q *queue) init() {
	q.wake = make(chan struct{}, 1)
	q.ready = make(chan struct{}, 1)
	q.moved = make(chan struct{})
}

func (q *queue) add(events ...event) {
	q.mu.Lock()
	q.items = append(q.items, events...)
	q.added += uint64(len(events))
	n := len(q.items)
	q.mu.Unlock()
	signal(q.wake)
	if n >= enough {
		signal(q.ready)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// peek is the next batch, which stays until drop.
func (q *queue) peek() []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.items[:min(len(q.items), maxBatch)]
}

func (q *queue) drop(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.items[:n])
	q.items = q.items[n:]
	if len(q.items) == 0 {
		q.items = nil
	}
	q.done += uint64(n)
	q.failed = 0
	close(q.moved)
	q.moved = make(chan struct{})
}

// fail notes that the catalogue did not take a batch.
func (q *queue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed++
	close(q.moved)
	q.moved = make(chan struct{})
}

func (c *Custody) waiting() int {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return len(c.queue.items)
}

// Barrier waits until everything that was acknowledged before it is in the catalogue: a sender finds what it has just sent. Where the catalogue does not take it, because its
// database does not answer, it is unavailable.
func (c *Custody) Barrier(ctx context.Context) error {
	c.queue.mu.Lock()
	want := c.queue.added
	c.queue.mu.Unlock()
	for {
		c.queue.mu.Lock()
		done, failing, moved := c.queue.done >= want, c.queue.failed >= patience, c.queue.moved
		c.queue.mu.Unlock()
		if done {
			return nil
		}
		if failing {
			return fault.New(fault.Unavailable, "ask the catalogue", "", "its database cannot answer now, and waits for what came last")
		}
		signal(c.queue.ready)
		select {
		case <-moved:
		case <-c.stopped:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Committed takes the records that became durable, in order; it is what the packs are opened with.
func (c *Custody) Committed(done []pack.Committed) {
	events := make([]event, len(done))
	for i, d := range done {
		e := d.Tag.(*entry)
		e.durable()
		events[i] = event{kind: eventEntry, deposit: e.deposit, entry: e, where: d}
	}
	c.queue.add(events...)
}

// Run catalogues until ctx ends and the queue is empty, or cannot be emptied.
func (c *Custody) Run(ctx context.Context) error {
	defer close(c.stopped)
	pause := 50 * time.Millisecond
	for {
		batch := c.queue.peek()
		if n := len(batch); n > 0 && n < enough && ctx.Err() == nil {
			t := time.NewTimer(gather)
			select {
			case <-c.queue.ready:
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			batch = c.queue.peek()
		}
		if len(batch) == 0 {
			select {
			case <-c.queue.wake:
				continue
			case <-ctx.Done():
				if c.waiting() == 0 {
					return nil
				}
				continue
			}
		}
		done, err := c.settle(context.WithoutCancel(ctx), batch)
		if done > 0 {
			c.queue.drop(done)
			pause = 50 * time.Millisecond
		}
		if err == nil {
			continue
		}
		c.queue.fail()
		// The records are safe in their packs; the catalogue gets them when it answers again, or from the packs at the next start.
		c.log.Error("the catalogue does not take a batch", "instances", len(batch), "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// settle catalogues a batch, and says how many events of it are done. One instance that the catalogue will not take as it is described does not stop the others:
// it is held, without a description.
func (c *Custody) settle(ctx context.Context, batch []event) (done int, err error) {
	if err = c.catalogueBatch(ctx, batch); err == nil {
		return len(batch), nil
	}
	if fault.Is(err, fault.Unavailable) {
		return 0, err
	}
	for i, ev := range batch {
		err := c.catalogueBatch(ctx, batch[i:i+1])
		switch fault.KindOf(err) {
		case fault.Invalid, fault.TooLarge, fault.Corrupt, fault.Internal:
			if err == nil || ev.kind != eventEntry {
				break
			}
			c.log.Error("an instance is held, because the catalogue does not take it as it is described", "error", err)
			if acc := ev.entry.accepts; acc != nil {
				acc.unfit = err
			} else {
				ev.entry.nameless()
			}
			err = c.catalogueBatch(ctx, batch[i:i+1])
		}
		if err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// catalogueBatch makes the rows, the audit entries and the jobs of a batch in one transaction.
func (c *Custody) catalogueBatch(ctx context.Context, batch []event) error {
	var outcomes []catalogue.Outcome
	var entries []*entry
	err := c.db.Write(ctx, func(tx *db.Tx) error {
		entries = entries[:0]
		rows := make([]catalogue.Entry, 0, len(batch))
		marks := map[pack.ID]int64{}
		for _, ev := range batch {
			if ev.kind != eventEntry {
				continue
			}
			entries = append(entries, ev.entry)
			if ev.entry.accepts == nil {
				row := ev.entry.row
				row.Ref = catalogue.Ref{Pack: catalogue.PackID(ev.where.Ref.Pack), Offset: ev.where.Ref.Offset}
				rows = append(rows, row)
			}
			if !ev.unmarked {
				marks[ev.where.Ref.Pack] = max(marks[ev.where.Ref.Pack], ev.where.Ref.Offset+ev.where.Header.Size())
			}
		}
		var err error
		if outcomes, err = c.catalogue.AddBatch(tx, rows); err != nil {
			return err
		}
		counted := make([]proof.Object, 0, len(rows))
		k := 0
		for _, ev := range batch {
			switch {
			case ev.kind != eventEntry:
			case ev.entry.accepts != nil:
				if err := c.settleAcceptance(tx, ev); err != nil {
					return err
				}
			default:
				if o := outcomes[k]; o.Kind == catalogue.Added || o.Kind == catalogue.Conflicts {
					counted = append(counted, ev.entry.counted(o.State, o.Reasons))
				}
				k++
			}
		}
		if err := c.proof.Add(tx, counted...); err != nil {
			return err
		}
		if err := c.growLexicons(ctx, tx, entries); err != nil {
			return err
		}
		if err := c.note(tx, batch, outcomes); err != nil {
			return err
		}
		for id, upTo := range marks {
			if err := c.catalogue.SetCheckpoint(tx, catalogue.PackID(id), upTo); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ended := false
	for _, e := range entries {
		e.settled()
	}
	for _, ev := range batch {
		ended = ended || ev.kind == eventEnd
	}
	if ended {
		c.AdmitSoon()
		signal(c.completed)
	}
	return nil
}

// tally is what a batch holds of one deposit.
type tally struct {
	deposit    *Deposit
	outcomes   map[catalogue.Kind]int
	held       int
	refused    int
	duplicates int64
	ended      bool
	digests    []byte
}

// note writes what a batch says of each deposit: refusals, duplicates, its end, and one audit entry that seals the digests of its records.
func (c *Custody) note(tx *db.Tx, batch []event, outcomes []catalogue.Outcome) error {
	var order []*tally
	by := map[catalogue.DepositID]*tally{}
	k := 0
	for _, ev := range batch {
		t := by[ev.deposit.ID]
		if t == nil {
			t = &tally{deposit: ev.deposit, outcomes: map[catalogue.Kind]int{}}
			by[ev.deposit.ID] = t
			order = append(order, t)
		}
		switch ev.kind {
		case eventEntry:
			if ev.entry.accepts != nil {
				continue // it is noted by itself
			}
			o := outcomes[k]
			k++
			if o.Kind == catalogue.Replayed {
				continue
			}
			t.outcomes[o.Kind]++
			if o.Kind == catalogue.Added && o.State == policy.Held {
				t.held++
			}
			t.digests = append(t.digests, ev.entry.digest[:]...)
		case eventRefused:
			t.refused++
			if err := c.catalogue.RefuseItem(tx, ev.deposit.ID, ev.ordinal, catalogue.Reason(ev.reason)); err != nil {
				return err
			}
		case eventDuplicate:
			t.duplicates++
		case eventEnd:
			t.ended = true
		}
	}
	var entries []audit.Entry
	for _, t := range order {
		d := t.deposit
		if t.duplicates > 0 {
			if err := c.catalogue.CountDuplicates(tx, d.ward.row.ID, d.ID, t.duplicates); err != nil {
				return err
			}
		}
		if t.ended {
			if err := c.catalogue.EndDeposit(tx, d.ID); err != nil {
				return err
			}
		}
		if len(t.digests) == 0 && t.refused == 0 {
			continue
		}
		entries = append(entries, audit.Entry{Actor: d.actor, Action: "deposit", Object: "deposit " + d.ID.String(), Collection: d.collection(),
			Outcome: fmt.Sprintf("added %d (held %d), conflicts %d, duplicates %d, refused %d", t.outcomes[catalogue.Added], t.held, t.outcomes[catalogue.Conflicts],
				t.outcomes[catalogue.Duplicate], t.refused),
			Sealed: t.digests})
	}
	if len(entries) == 0 {
		return nil
	}
	return c.audit.Append(tx, entries...)
}

// growLexicons adds what instances taught of their subjects to the stored lexicons.
func (c *Custody) growLexicons(ctx context.Context, tx *db.Tx, entries []*entry) error {
	// By the subject, of whom there may be several persons in memory: one write of each lexicon in a transaction.
	taught := map[subject.ID][]deid.Term{}
	var order []*person
	for _, e := range entries {
		if e.terms.Len() == 0 {
			continue
		}
		if _, ok := taught[e.person.id]; !ok {
			order = append(order, e.person)
		}
		taught[e.person.id] = append(taught[e.person.id], e.terms.Terms()...)
	}
	for _, p := range order {
		row, err := c.subjects.Get(ctx, p.id)
		if err != nil {
			return err
		}
		if row.IsWithdrawn() {
			continue
		}
		old, err := openLexicon(p.lexKey, row.ID, row.Lexicon)
		if err != nil {
			return err
		}
		merged, err := old.With(taught[p.id]...)
		if fault.Is(err, fault.TooLarge) { // several processes filled it together; what is acknowledged is catalogued all the same
			c.log.Error("a subject has more identifiers than its lexicon holds", "subject", int64(p.id))
			continue
		}
		if err != nil {
			return err
		}
		if p.clean != nil {
			// What another process learned. What does not fit makes the next instance held.
			if err := p.clean.Learn(merged); err != nil && !fault.Is(err, fault.TooLarge) {
				return err
			}
		}
		if merged.Len() == old.Len() {
			continue
		}
		if _, err := c.subjects.SetLexicon(tx, p.id, row.LexiconVersion, sealLexicon(p.lexKey, row.ID, merged)); err != nil {
			return err
		}
		// What was admitted before was not searched for the new terms; what is not yet will be. Admission waits for this transaction or sees what it wrote.
		if shown, err := c.catalogue.Shown(tx, p.id); err != nil {
			return err
		} else if shown {
			if err := c.jobs.Add(tx, jobEcho, strconv.FormatInt(int64(p.id), 10), nil, time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}
