package custody

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/dicom"
	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/pack"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/judge/deid"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// Parts are what custody works with.
type Parts struct {
	DB          *db.DB
	Ring        *keys.Ring
	Packs       *pack.Store // opened with [Custody.Committed]
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Collections *collection.Record
	Subjects    *subject.Record
	Catalogue   *catalogue.Record
	Log         *slog.Logger
	// Quiet is how long a study waits for more of itself before it is admitted, where its deposit does not end.
	Quiet time.Duration
}

// Custody is the open spine. It is safe for use by many goroutines.
type Custody struct {
	db          *db.DB
	ring        *keys.Ring
	audit       *audit.Log
	jobs        *jobs.Queue
	collections *collection.Record
	subjects    *subject.Record
	catalogue   *catalogue.Record
	packs       *pack.Store
	log         *slog.Logger
	quiet       time.Duration
	limits      dicom.Limits

	people *people
	budget *semaphore.Weighted
	review *semaphore.Weighted
	pool   sync.Pool
	chunks sync.Pool

	wards     sync.Map // collection.ID -> *ward
	queue     queue
	claims    claims
	admission chan struct{}
	stopped   chan struct{}
}

// New makes the spine. Replay comes next, then Run and RunAdmission; then it receives.
func New(p Parts) *Custody {
	c := &Custody{db: p.DB, ring: p.Ring, packs: p.Packs, audit: p.Audit, jobs: p.Jobs, collections: p.Collections, subjects: p.Subjects, catalogue: p.Catalogue, log: p.Log,
		quiet: p.Quiet, people: newPeople(), budget: semaphore.NewWeighted(memoryBudget), review: semaphore.NewWeighted(reviewBudget), stopped: make(chan struct{}), admission: make(chan struct{}, 1)}
	c.limits = dicom.Limits{HeadBytes: 64 << 20, Elements: 1_000_000}
	c.pool.New = func() any { b := make([]byte, 0, 64<<10); return &b }
	c.chunks.New = func() any { b := make([]byte, 256<<10); return &b }
	c.queue.init()
	c.claims.init()
	return c
}

// buffer is a pooled buffer for an instance.
func (c *Custody) buffer() []byte { return (*c.pool.Get().(*[]byte))[:0] }

func (c *Custody) release(b []byte) {
	if cap(b) <= smallBytes {
		c.pool.Put(&b)
	}
}

func (c *Custody) chunk() *[]byte         { return c.chunks.Get().(*[]byte) }
func (c *Custody) releaseChunk(b *[]byte) { c.chunks.Put(b) }

// ward is a collection as custody needs it: its row, its profile and its keys.
type ward struct {
	row     collection.Collection
	profile *deid.Profile
	keys    *deid.Keys
}

// ward reads the collection and, once, its key. A collection's profile is fixed when it is made.
func (c *Custody) ward(ctx context.Context, id collection.ID) (*ward, error) {
	row, err := c.collections.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if w, ok := c.wards.Load(id); ok {
		if w := w.(*ward); w.row == row {
			return w, nil
		}
	}
	profile, err := deid.Lookup(row.Profile)
	if err != nil {
		return nil, err
	}
	root, err := c.ring.Collection(ctx, string(id))
	if err != nil {
		return nil, err
	}
	w := &ward{row: row, profile: profile, keys: deid.NewKeys(root)}
	c.wards.Store(id, w)
	return w, nil
}

// Deposit is what one association, request or transfer brings. It is safe for use by many goroutines.
type Deposit struct {
	ID catalogue.DepositID

	c     *Custody
	ward  *ward
	actor string

	ordinal atomic.Int64
	met     sync.Map // studies and series that something came of
}

// Begin opens a deposit into a collection. actor names who deposits, without identifying a person: a token's or a peer's.
func (c *Custody) Begin(ctx context.Context, id collection.ID, door Door, actor string) (*Deposit, error) {
	w, err := c.ward(ctx, id)
	if err != nil {
		return nil, err
	}
	if w.row.State != collection.Open {
		return nil, fault.New(fault.Denied, "begin deposit", "collection "+string(id), "the collection is closed")
	}
	d := &Deposit{c: c, ward: w, actor: actor}
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		d.ID, err = c.catalogue.StartDeposit(tx, id, string(door), actor)
		return err
	})
	return d, err
}

// Resume opens a deposit again that ended, or whose process did: more of it has come.
func (c *Custody) Resume(ctx context.Context, id catalogue.DepositID) (*Deposit, error) {
	row, err := c.catalogue.Deposit(ctx, id)
	if err != nil {
		return nil, err
	}
	w, err := c.ward(ctx, row.Collection)
	if err != nil {
		return nil, err
	}
	if w.row.State != collection.Open {
		return nil, fault.New(fault.Denied, "resume deposit", "collection "+string(row.Collection), "the collection is closed")
	}
	d := &Deposit{ID: id, c: c, ward: w, actor: row.Actor}
	return d, c.db.Write(ctx, func(tx *db.Tx) error { return c.catalogue.ReopenDeposit(tx, id) })
}

func (d *Deposit) collection() string { return string(d.ward.row.ID) }

// End says that nothing more comes: what was touched is admitted at once, not after a quiet while.
func (d *Deposit) End() { d.c.queue.add(event{kind: eventEnd, deposit: d}) }

func (d *Deposit) refused(ordinal int64, r Reason) {
	d.c.queue.add(event{kind: eventRefused, deposit: d, reason: r, ordinal: ordinal})
}

func (d *Deposit) duplicate(ordinal int64) {
	d.c.queue.add(event{kind: eventDuplicate, deposit: d, ordinal: ordinal})
}

// claims remember what is on its way to the catalogue.
type claims struct {
	mu sync.Mutex
	by map[claimKey]*claim
}

type claimKey struct {
	collection collection.ID
	sop        string
}

type claim struct {
	digest  [32]byte
	durable bool
	answer  Receipt // what its sender is told
}

func (c *claims) init() { c.by = map[claimKey]*claim{} }

// claim marks an instance as on its way; the functions say that it has become durable, and that it needs the mark no more. conflict says that another one,
// with other bytes, was marked since known was asked.
func (c *Custody) claim(w *ward, sop string, digest [32]byte, answer Receipt) (durable, settled func(), conflict bool) {
	k := claimKey{w.row.ID, sop}
	mine := &claim{digest: digest, answer: answer}
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	if on := c.claims.by[k]; on != nil {
		return func() {}, func() {}, on.digest != digest
	}
	c.claims.by[k] = mine
	locked := func(do func()) func() {
		return func() {
			c.claims.mu.Lock()
			do()
			c.claims.mu.Unlock()
		}
	}
	return locked(func() { mine.durable = true }), locked(func() { delete(c.claims.by, k) }), false
}

// before is what is here of an instance already.
type before struct {
	conflict bool    // other bytes alone, here or on their way
	again    bool    // the same bytes, on stable storage
	refused  bool    // the same bytes, which a steward has refused
	outcome  Outcome // of these: Duplicate, or Held or Conflict if they are held
	reasons  []Reason
}

// known says what is here, or on its way, under this UID. The catalogue has the last word when two come at once; this saves the space.
func (c *Custody) known(ctx context.Context, w *ward, p *person, sop string, digest [32]byte) (before, error) {
	c.claims.mu.Lock()
	if on := c.claims.by[claimKey{w.row.ID, sop}]; on != nil {
		defer c.claims.mu.Unlock()
		b := before{conflict: on.digest != digest, again: on.digest == digest && on.durable, outcome: on.answer.Outcome, reasons: on.answer.Reasons}
		if b.outcome == Kept {
			b.outcome = Duplicate
		}
		return b, nil
	}
	c.claims.mu.Unlock()
	if p.seen.first(sop) {
		return before{}, nil
	}
	k, err := c.catalogue.Known(ctx, w.row.ID, catalogue.SOPUID(sop), digest)
	if err != nil {
		return before{}, err
	}
	if k.Conflict { // perhaps it was accepted beside what it conflicts with
		if other, err := c.catalogue.Known(ctx, w.row.ID, catalogue.SOPUID(freshUID(w, sop, digest)), digest); err != nil {
			return before{}, err
		} else if other.Again {
			k = other
		}
	}
	b := before{conflict: k.Conflict, again: k.Again, refused: k.Refused, outcome: Duplicate}
	switch k.State {
	case policy.Held:
		b.outcome = Held
	case policy.Conflict:
		b.outcome = Conflict
	}
	if b.outcome != Duplicate || b.refused {
		for _, r := range k.Reasons {
			b.reasons = append(b.reasons, Reason(r))
		}
	}
	return b, nil
}
