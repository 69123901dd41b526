package pack

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/semaphore"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Options of a store. The zero value keeps packs in the folder alone.
type Options struct {
	// Committed is told of every record, in order of its pack and never twice at once, when it is on stable storage and before its Append or Commit
	// returns. It should be quick: the next group waits.
	Committed func([]Committed)

	Bucket    *blob.Bucket  // where sealed packs go; nil: nowhere. The caller closes it after the store
	Mode      Mode          // what becomes of the local file then
	Mirror    *blob.Bucket  // a second place for sealed packs, read where the others lack or damage one; nil: none. The caller closes it after the store
	SealAfter time.Duration // of Mirror, or of Ask: a pack that has taken records for so long is sealed, so that it is copied; 0: an hour
	KeepLocal int64         // of Tier: bytes of sealed packs that stay beside the bucket's, newest first
	Retry     time.Duration // first pause after a failed copy; doubles up to a minute. 0: one second

	// Ask says that others write to the bucket too, each in a folder of its own: a pack that is in neither place may be one that another process has open. It is asked to
	// be sealed, and waited for. Packs of this process are sealed after SealAfter then, as with a Mirror. Nil: nobody else writes.
	Ask     func(context.Context, ID) error
	AskWait time.Duration // how long a pack is waited for; 0: five seconds

	PackSize int64 // where a pack is sealed; 0: 256 MiB
	InFlight int64 // bound on the bytes of records being encrypted and written; 0: 128 MiB
	Logger   *slog.Logger

	disk disk // tests
}

// Mode is what a bucket is to a store.
type Mode int

// The modes.
const (
	Mirror Mode = iota // sealed packs are in both places
	Tier               // sealed packs move to the bucket
	Read               // packs are read from the bucket and from the mirror, and nothing is written there
)

// Committed is a record that is on stable storage, with the tag it came with.
type Committed struct {
	Ref    Ref
	Header Header
	Tag    any
}

const (
	defaultPackSize = 256 << 20
	defaultInFlight = 128 << 20
	// maxRecord is the largest record that is encrypted in memory; a larger one gets a pack of its own.
	maxRecord = 16 << 20
	// A group is bounded so that nobody waits for ever for those who came after.
	groupBytes   = 16 << 20
	groupRecords = 512
	// Small groups are bound by the sync, and a sync that need not record newly allocated space is much faster. So after a small group, zeros are
	// written ahead, together with it, once a megabyte.
	smallGroup = 256 << 10
	ahead      = 1 << 20
)

// Store is a folder of packs and, with a bucket, its copy. It is safe for use by many goroutines. Several processes may use one folder, each with its own open
// pack, which is locked: opening a store recovers those of dead processes alone. But a scan of a living process's open pack goes as far as its file, which
// may be beyond what is synced; so what a scan finds is only as durable as it has to be where the folder has one writer, as a node sees to.
type Store struct {
	opts   Options
	disk   disk
	log    *slog.Logger
	bucket *bucket // nil without
	mirror *bucket // nil without

	fellBack atomic.Int64 // how often something was read elsewhere than where it should be
	told     sync.Map     // ID -> true: packs of which that was said
	away     sync.Map     // ID -> time.Time: packs that were waited for in vain, and until when they are not waited for again
	files    handles
	flight   *semaphore.Weighted

	mu      sync.Mutex // guards queue, leading, closed
	queue   []*pending
	leading bool
	closed  bool

	telling sync.Mutex // held while Committed runs

	// These belong to the leader.
	active    *active
	group     []*pending
	vectors   [][]byte
	committed []Committed
	abandoned []*active

	durable  sync.Map  // ID -> *atomic.Int64: how far open packs of this store may be read
	pendings sync.Pool // *pending, none of another store: their channels belong to who opened it
	stop     context.CancelFunc
	wait     sync.WaitGroup
}

// pending is an Append that waits for its group, or a task that the leader does between groups.
type pending struct {
	buf    *buffer
	size   int64
	header Header
	mac    [32]byte
	tag    any
	task   func() error

	err  error
	lead bool // it woke to lead
	wake chan struct{}
}

func (s *Store) pending() *pending {
	if p, ok := s.pendings.Get().(*pending); ok {
		return p
	}
	return &pending{wake: make(chan struct{}, 1)}
}

func (s *Store) free(p *pending) {
	*p = pending{wake: p.wake}
	s.pendings.Put(p)
}

// active is a pack that takes records.
type active struct {
	id       ID
	f        file
	end      *atomic.Int64 // after the last durable record
	prepared int64         // zeros are written up to here
	records  uint64
	headers  hash.Hash
	began    time.Time
}

var zeros = sync.OnceValue(func() []byte {
	b := getBuffer(ahead) // kept for ever
	clear(b.b)
	return b.b[:ahead]
})

// OpenStore opens the packs in dir, creating the folder if it is absent. Packs that a process left open when it died are recovered and sealed first.
func OpenStore(ctx context.Context, dir string, opts Options) (*Store, error) {
	if opts.PackSize == 0 {
		opts.PackSize = defaultPackSize
	}
	if opts.InFlight == 0 {
		opts.InFlight = defaultInFlight
	}
	opts.InFlight = max(opts.InFlight, 2*maxRecord)
	if opts.SealAfter <= 0 {
		opts.SealAfter = time.Hour
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{opts: opts, disk: opts.disk, log: opts.Logger, flight: semaphore.NewWeighted(opts.InFlight)}
	if s.disk == nil {
		packs := filepath.Join(dir, "packs")
		if err := os.MkdirAll(packs, 0o700); err != nil {
			return nil, fault.Wrap(fault.Unavailable, "open packs", "", err)
		}
		s.disk = folder(packs)
	}
	s.files.open = s.openLocal
	if err := s.recover(); err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if opts.Bucket != nil {
		s.bucket = newBucket(s, opts.Bucket)
	}
	if opts.Mirror != nil {
		s.mirror = newBucket(s, opts.Mirror)
		s.mirror.second = true
	}
	if opts.Mode != Read {
		for _, b := range []*bucket{s.bucket, s.mirror} {
			if b != nil {
				s.wait.Go(func() { b.run(ctx) })
			}
		}
		if s.mirror != nil || opts.Ask != nil {
			s.wait.Go(func() { s.sealOld(ctx) })
		}
	}
	return s, nil
}

// Append encrypts a record and keeps it. When it returns without an error the record is on stable storage and Committed has been told. The context is
// heeded until the record is queued for writing.
func (s *Store) Append(ctx context.Context, r *Record) (Ref, error) {
	refs, err := s.AppendAll(ctx, []*Record{r})
	if err != nil {
		return Ref{}, err
	}
	return refs[0], nil
}

// AppendAll keeps several records with one wait. It stops at the first that fails; those before it may have been kept.
func (s *Store) AppendAll(ctx context.Context, records []*Record) ([]Ref, error) {
	refs := make([]Ref, 0, len(records))
	for len(records) > 0 {
		n, err := s.appendSome(ctx, records, &refs)
		if err != nil {
			return refs, err
		}
		records = records[n:]
	}
	return refs, nil
}

// appendSome appends as many records as one group may have, at least one.
func (s *Store) appendSome(ctx context.Context, records []*Record, refs *[]Ref) (int, error) {
	var total int64
	n := 0
	headers := make([]Header, 0, 1)
	for _, r := range records {
		h := Header{KeyID: r.KeyID, Lengths: r.lengths(), Chunk: r.Chunk}
		if h.Chunk == 0 {
			h.Chunk = DefaultChunk
		}
		if !validChunk(h.Chunk) {
			return 0, fault.New(fault.Invalid, "append record", "", "its chunk size is not a power of two from 4096 to 1048576")
		}
		if h.Size() > maxRecord {
			if n > 0 {
				break
			}
			ref, err := s.appendLarge(ctx, r)
			if err == nil {
				*refs = append(*refs, ref)
			}
			return 1, err
		}
		if n > 0 && (total+h.Size() > groupBytes || n == groupRecords) {
			break
		}
		total += h.Size()
		headers = append(headers, h)
		n++
	}
	if err := s.flight.Acquire(ctx, total); err != nil {
		return 0, err
	}
	defer s.flight.Release(total)
	batch := make([]*pending, 0, n)
	defer func() {
		for _, p := range batch {
			p.buf.free()
			s.free(p)
		}
	}()
	for i, r := range records[:n] {
		buf, c, err := r.encrypt(&headers[i])
		if err != nil {
			return 0, err
		}
		p := s.pending()
		p.buf, p.size, p.header, p.mac, p.tag = buf, headers[i].Size(), headers[i], c.mac, r.Tag
		batch = append(batch, p)
	}
	if err := s.submit(batch); err != nil {
		return 0, err
	}
	for _, p := range batch {
		if p.err != nil {
			return 0, p.err
		}
		*refs = append(*refs, p.header.Ref)
	}
	return n, nil
}

func (s *Store) appendLarge(ctx context.Context, r *Record) (Ref, error) {
	st, err := s.stream(ctx, r.KeyID, r.Key, r.Chunk)
	if err != nil {
		return Ref{}, err
	}
	for _, b := range r.Bulk {
		if _, err := st.Write(b); err != nil {
			st.Abort()
			return Ref{}, err
		}
		if err := ctx.Err(); err != nil {
			st.Abort()
			return Ref{}, err
		}
	}
	return st.Commit(ctx, r.Meta, r.Head, r.Tag)
}

var errClosed = fault.New(fault.Unavailable, "append record", "", "the store is closed")

// do runs a task between groups, with nothing being written.
func (s *Store) do(task func() error) error {
	p := s.pending()
	defer s.free(p)
	p.task = task
	if err := s.submit([]*pending{p}); err != nil {
		return err
	}
	return p.err
}

// submit queues what belongs together and returns when all of it is done. Whoever comes while nobody leads, leads: it writes all that waits, its own
// first, and hands the lead to the first of those who came meanwhile.
func (s *Store) submit(batch []*pending) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	s.enqueue(batch)
	return nil
}

// enqueue is submit's second half; it is called with the lock held and releases it.
func (s *Store) enqueue(batch []*pending) {
	s.queue = append(s.queue, batch...)
	led := s.leading
	s.leading = true
	s.mu.Unlock()
	waiting := batch
	if !led {
		s.lead()
	}
	for len(waiting) > 0 {
		p := waiting[0]
		<-p.wake
		if p.lead {
			p.lead = false
			s.lead()
			continue // its own result comes by another wake
		}
		waiting = waiting[1:]
	}
}

// lead commits one group and passes the lead on.
func (s *Store) lead() {
	s.mu.Lock()
	n, bytes := 0, int64(0)
	for n < len(s.queue) && n < groupRecords && (n == 0 || bytes+s.queue[n].size <= groupBytes) {
		bytes += s.queue[n].size
		n++
	}
	s.group = append(s.group[:0], s.queue[:n]...)
	rest := copy(s.queue, s.queue[n:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	s.mu.Unlock()

	group := s.group
	for i := 0; i < len(group); {
		if group[i].task != nil {
			group[i].err = group[i].task()
			i++
			continue
		}
		j := i
		for j < len(group) && group[j].task == nil {
			j++
		}
		if err := s.write(group[i:j]); err != nil {
			for _, p := range group[i:j] {
				p.err = err
			}
		}
		i = j
	}
	// After the hand-over group belongs to the next leader, so those to wake are copied.
	var few [32]*pending
	wake := append(few[:0], group...)
	clear(s.group)

	s.mu.Lock()
	var next *pending
	if len(s.queue) > 0 {
		next = s.queue[0]
	} else {
		s.leading = false
	}
	s.mu.Unlock()
	if next != nil {
		next.lead = true
		next.wake <- struct{}{}
	}
	for _, p := range wake {
		p.wake <- struct{}{}
	}
}

// write places the records at the end of the active pack, writes and syncs them, and tells of them. On an error none of them is there.
func (s *Store) write(group []*pending) error {
	var size int64
	for _, p := range group {
		size += p.size
	}
	if a := s.active; a != nil && a.records > 0 && a.end.Load()+size > s.opts.PackSize {
		_ = s.sealActive() // a failure concerns that pack, not these records
	}
	if s.active == nil {
		a, err := s.newActive()
		if err != nil {
			return fault.Wrap(fault.Unavailable, "create pack", "", err)
		}
		s.active = a
	}
	a := s.active
	off := a.end.Load()
	at := off
	s.vectors = s.vectors[:0]
	for i, p := range group {
		h := &p.header
		h.Ref, h.Sequence, h.Group = Ref{a.id, at}, a.records+uint64(i), a.records
		b := p.buf.b[:p.size]
		place(b, h.Ref, h.Sequence, h.Group, &p.mac)
		copy(h.mac[:], b[headerMAC:])
		s.vectors = append(s.vectors, b)
		at += p.size
	}
	end := at
	if size <= smallGroup && at > a.prepared {
		s.vectors = append(s.vectors, zeros())
		at += ahead
	}
	err := a.f.writeAt(s.vectors, off)
	if err == nil {
		err = a.f.sync()
	}
	clear(s.vectors)
	if err != nil {
		s.abandon(err)
		return fault.Wrap(fault.Unavailable, "write pack", a.id.String(), err)
	}
	a.prepared = max(a.prepared, at)
	for _, p := range group {
		a.headers.Write(p.buf.b[:headerSize])
	}
	a.records += uint64(len(group))
	a.end.Store(end)
	if s.opts.Committed != nil {
		s.committed = s.committed[:0]
		for _, p := range group {
			s.committed = append(s.committed, Committed{p.header.Ref, p.header, p.tag})
		}
		s.tell(s.committed)
		clear(s.committed)
	}
	return nil
}

func (s *Store) tell(c []Committed) {
	if s.opts.Committed == nil {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.opts.Committed(c)
}

// newFile makes a locked file with a pack header, under its first name.
func (s *Store) newFile(kind uint32, state string) (id ID, _ file, err error) {
	rand.Read(id[:])
	name := id.String()
	// Locked before it gets the name under which recovery looks for it: nobody else can take it for abandoned.
	f, err := s.disk.create(name + ".new")
	if err != nil {
		return id, nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = s.disk.remove(name + ".new")
			_ = s.disk.remove(name + state)
		}
	}()
	head := getBuffer(block)
	defer head.free()
	encodeFileHeader(head.b, id, kind, time.Now().UnixMicro())
	if err = f.writeAt([][]byte{head.b[:block]}, 0); err != nil {
		return id, nil, err
	}
	if err = f.sync(); err != nil {
		return id, nil, err
	}
	if err = s.disk.rename(name+".new", name+state); err != nil {
		return id, nil, err
	}
	if err = s.disk.sync(); err != nil {
		return id, nil, err
	}
	return id, f, nil
}

func (s *Store) newActive() (*active, error) {
	id, f, err := s.newFile(kindMany, ".open")
	if err != nil {
		return nil, err
	}
	a := &active{id: id, f: f, end: new(atomic.Int64), prepared: block, headers: sha256.New(), began: time.Now()}
	a.end.Store(block)
	s.durable.Store(id, a.end)
	return a, nil
}

// abandon gives the active pack up after a failed write or sync. What was acknowledged stays readable; the file is recovered at the next opening of
// the store. The unacknowledged end is cut off if the disk still lets us.
func (s *Store) abandon(why error) {
	a := s.active
	s.active = nil
	s.abandoned = append(s.abandoned, a)
	s.log.Error("pack given up after a failed write", "pack", a.id.String(), "records", a.records, "error", why)
	if a.f.truncate(a.end.Load()) == nil {
		_ = a.f.sync()
	}
}

// sealActive seals the active pack, or removes it when it is empty. The leader calls it.
func (s *Store) sealActive() error {
	a := s.active
	if a == nil {
		return nil
	}
	s.active = nil
	end := a.end.Load()
	if a.records == 0 {
		a.f.Close()
		s.durable.Delete(a.id)
		return fault.Wrap(fault.Unavailable, "remove empty pack", a.id.String(), s.disk.remove(a.id.String()+".open"))
	}
	sl := seal{id: a.id, end: end, records: a.records}
	a.headers.Sum(sl.headers[:0])
	if err := s.seal(a.f, &sl, ".open"); err != nil {
		s.abandoned = append(s.abandoned, a)
		s.log.Error("pack not sealed; it will be when the store is opened again", "pack", a.id.String(), "error", err)
		return fault.Wrap(fault.Unavailable, "seal pack", a.id.String(), err)
	}
	a.f.Close()
	s.durable.Delete(a.id)
	s.sealed()
	return nil
}

// seal writes the seal of a pack, cuts it there, and gives it its last name.
func (s *Store) seal(f file, sl *seal, state string) error {
	b := getBuffer(block)
	defer b.free()
	sl.encode(b.b)
	if err := f.writeAt([][]byte{b.b[:block]}, sl.end); err != nil {
		return err
	}
	if err := f.truncate(sl.end + block); err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return err
	}
	name := sl.id.String()
	if err := s.disk.rename(name+state, name+".pack"); err != nil {
		return err
	}
	return s.disk.sync()
}

// sealed wakes whoever copies sealed packs.
func (s *Store) sealed() {
	for _, b := range []*bucket{s.bucket, s.mirror} {
		if b != nil {
			b.notify()
		}
	}
}

// sealOld seals the active pack in time, where few records come: what is not sealed is not copied.
func (s *Store) sealOld(ctx context.Context) {
	tick := time.NewTicker(max(s.opts.SealAfter/16, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = s.do(func() error { // a failure concerns that pack, and is logged
			if a := s.active; a != nil && a.records > 0 && time.Since(a.began) >= s.opts.SealAfter {
				return s.sealActive()
			}
			return nil
		})
	}
}

// Seal closes the active pack, so that it can be copied. Without one it does nothing.
func (s *Store) Seal(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.do(s.sealActive)
}

// Close writes what waits, seals the active pack, and ends what runs in the background. Streams are committed or aborted before it. A copy that is
// under way is given up; it starts anew when the store is opened again.
func (s *Store) Close() error {
	p := s.pending()
	defer s.free(p)
	p.task = s.sealActive
	batch := []*pending{p}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true // so the task is the last in the queue
	s.enqueue(batch)
	err := p.err
	s.stop()
	s.wait.Wait()
	for _, a := range s.abandoned {
		a.f.Close()
	}
	s.files.close()
	return err
}
