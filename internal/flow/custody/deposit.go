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
	"github.com/vitrine-imaging/vitrine/internal/record/proof"
	"github.com/vitrine-imaging/vitrine/internal/record/reidentification"
	"github.com/vitrine-imaging/vitrine/internal/record/ruling"
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
	Gate        *subject.Gate
	Catalogue   *catalogue.Record
	Proof       *proof.Record
	Rulings     *ruling.Record
	Identities  *reidentification.Vault // nil: who subjects are is not kept
	Log         *slog.Logger
	// Quiet is how long a study waits for more of itself before it is admitted, where its deposit does not end.
	Quiet time.Duration
	// Admitted is told of each study that is admitted, in the transaction that admits it; may be nil.
	Admitted func(tx *db.Tx, d catalogue.Due) error
	// Reader is what reads pixels here, with its version; empty: nothing does.
	Reader string
	// ReadPixels says that somebody reads the pixels of what comes ([Custody.Completed]): a study waits for it.
	ReadPixels bool
}

// Custody is the open spine. It is safe for use by many goroutines.
type Custody struct {
	db          *db.DB
	ring        *keys.Ring
	identities  *reidentification.Vault
	audit       *audit.Log
	jobs        *jobs.Queue
	collections *collection.Record
	subjects    *subject.Record
	gate        *subject.Gate
	catalogue   *catalogue.Record
	proof       *proof.Record
	rulings     *ruling.Record
	packs       *pack.Store
	log         *slog.Logger
	quiet       time.Duration
	limits      dicom.Limits
	readPixels  bool
	reader      string
	admitted    func(tx *db.Tx, d catalogue.Due) error

	people *people
	budget *semaphore.Weighted
	review *semaphore.Weighted
	pool   sync.Pool
	chunks sync.Pool

	wards     sync.Map // collection.ID -> *ward
	queue     queue
	claims    claims
	admission chan struct{}
	looked    atomic.Int64 // how long it took, in nanoseconds, to look for what is due
	completed chan struct{}
	received  atomic.Int64 // when something was received last, as nanoseconds since 1970
	stopped   chan struct{}
}

// New makes the spine. Replay comes next, then Run and RunAdmission; then it receives.
func New(p Parts) *Custody {
	c := &Custody{db: p.DB, ring: p.Ring, identities: p.Identities, packs: p.Packs, audit: p.Audit, jobs: p.Jobs, collections: p.Collections, subjects: p.Subjects, gate: p.Gate, catalogue: p.Catalogue, proof: p.Proof, rulings: p.Rulings, log: p.Log,
		quiet: p.Quiet, people: newPeople(), budget: semaphore.NewWeighted(memoryBudget), review: semaphore.NewWeighted(reviewBudget), stopped: make(chan struct{}), admission: make(chan struct{}, 1),
		completed: make(chan struct{}, 1), readPixels: p.ReadPixels, reader: p.Reader, admitted: p.Admitted}
	c.limits = dicom.Limits{HeadBytes: headBytes, Elements: 1_000_000}
	c.pool.New = func() any { b := make([]byte, 0, 64<<10); return &b }
	c.chunks.New = func() any { b := make([]byte, 256<<10); return &b }
	c.queue.init()
	c.claims.init()
	return c
}

// buffer is a pooled buffer for an instance.
func (c *Custody) buffer() []byte { return (*c.pool.Get().(*[]byte))[:0] }

func (c *Custody) release(b []byte) {
	if b != nil && cap(b) <= smallBytes {
		c.pool.Put(&b)
	}
}

func (c *Custody) chunk() *[]byte         { return c.chunks.Get().(*[]byte) }
func (c *Custody) releaseChunk(b *[]byte) { c.chunks.Put(b) }

// ward is a collection as custody needs it: its row, its profile and its keys, and what identifies in it whoever a subject is.
type ward struct {
	row     collection.Collection
	profile *deid.Profile
	keys    *deid.Keys
	judged  string // what records say of the profile
	common  *deid.Lexicon
	said    ruling.Number // of the last decision that is in common; 0: there is none
}

// ward reads the collection and, once, its key. Whoever has a ward works by the profile that was in force then, to the end of the deposit.
func (c *Custody) ward(ctx context.Context, id collection.ID) (*ward, error) {
	row, err := c.collections.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	decided, err := c.rulings.InForce(ctx, id)
	if err != nil {
		return nil, err
	}
	said := lastSaid(decided)
	if w, ok := c.wards.Load(id); ok {
		if w := w.(*ward); w.row == row && w.said == said {
			return w, nil
		}
	}
	profile, err := c.collections.Cleaning(ctx, row)
	if err != nil {
		return nil, err
	}
	root, err := c.ring.Collection(ctx, string(id))
	if err != nil {
		return nil, err
	}
	w := &ward{row: row, profile: profile, keys: deid.NewKeys(root), judged: profile.Judged(), said: said}
	if w.common, err = common(root, id, decided); err != nil {
		return nil, err
	}
	c.wards.Store(id, w)
	return w, nil
}

// Deposit is what one association, request or transfer brings. It is safe for use by many goroutines.
type Deposit struct {
	ID catalogue.DepositID

	c     *Custody
	ward  *ward
	actor string
	given bool // by a gateway: what it brings was cleaned elsewhere

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
	if door == DoorGateway && w.profile.AsDeposited {
		return nil, fault.New(fault.Denied, "begin deposit", "collection "+string(id), "the collection keeps what it is given as it is: there is nothing for a gateway to clean")
	}
	d := &Deposit{c: c, ward: w, actor: actor, given: door == DoorGateway}
	err = c.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		d.ID, err = c.catalogue.StartDeposit(tx, id, string(door), actor)
		return err
	})
	return d, err
}

// Resume opens a deposit again that ended, or whose process did: more of it has come. It goes on by the profile that is in force now, not by the one it began with: who has put
// a stricter one since means what comes from then on, and an interrupted transfer may be resumed days later. Each object says by which it was cleaned.
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
	d := &Deposit{ID: id, c: c, ward: w, actor: row.Actor, given: Door(row.Door) == DoorGateway}
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

// claim is one SOP Instance UID of which something is on its way. Whose bytes are durable first has it: in that order the catalogue gets them.
type claim struct {
	users   int // tickets that are not settled
	durable bool
	digest  [32]byte // of what became durable first
	answer  Receipt  // what its sender is told
}

// ticket is an instance that is on its way.
type ticket struct {
	c        *claims
	key      claimKey
	on       *claim
	digest   [32]byte
	answer   Receipt // what its sender is to be told, unless it turns out to be a conflict
	conflict bool    // other bytes became durable before it did
	done     bool
}

func (c *claims) init() { c.by = map[claimKey]*claim{} }

// claim says that an instance comes. It has to be settled. What is known is asked for afterwards, so that nothing that came before is overlooked.
func (c *Custody) claim(w *ward, sop string, digest [32]byte) *ticket {
	t := &ticket{c: &c.claims, key: claimKey{w.row.ID, sop}, digest: digest}
	c.claims.mu.Lock()
	defer c.claims.mu.Unlock()
	if t.on = c.claims.by[t.key]; t.on == nil {
		t.on = &claim{}
		c.claims.by[t.key] = t.on
	}
	t.on.users++
	return t
}

// durable says that the instance is on stable storage.
func (t *ticket) durable() {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if !t.on.durable {
		t.on.durable, t.on.digest, t.on.answer = true, t.digest, t.answer
		return
	}
	t.conflict = t.conflict || t.on.digest != t.digest
}

// conflicts reports that other bytes were faster.
func (t *ticket) conflicts() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	return t.conflict
}

// settled says that the instance is in the catalogue, or never will be. More than once is no more than once.
func (t *ticket) settled() {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.done {
		return
	}
	t.done = true
	if t.on.users--; t.on.users == 0 {
		delete(t.c.by, t.key)
	}
}

// before is what is here of an instance already.
type before struct {
	conflict bool    // other bytes alone, on stable storage
	again    bool    // the same bytes, on stable storage
	refused  bool    // the same bytes, which a steward has refused
	outcome  Outcome // of these: Duplicate, or Held or Conflict if they are held
	reasons  []Reason
}

// known says what is here under the UID of an instance that has its ticket. The catalogue has the last word when two come at once; this saves the space.
func (c *Custody) known(ctx context.Context, w *ward, p *person, sop string, t *ticket) (before, error) {
	digest := t.digest
	c.claims.mu.Lock()
	other := t.on.durable && t.on.digest != digest
	if t.on.durable && !other {
		defer c.claims.mu.Unlock()
		b := before{again: true, outcome: t.on.answer.Outcome, reasons: t.on.answer.Reasons}
		if b.outcome == Kept {
			b.outcome = Duplicate
		}
		return b, nil
	}
	c.claims.mu.Unlock()
	// One of another subject that was new too is not found here; the catalogue finds it, and holds this one.
	if p.seen.first(sop) {
		return before{conflict: other}, nil
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
	b := before{conflict: k.Conflict || other && !k.Again, again: k.Again, refused: k.Refused, outcome: Duplicate}
	switch k.State {
	case policy.Held, policy.Restricted: // its sender learns that it is kept, and not admitted
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
