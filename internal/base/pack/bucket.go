package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"sort"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// bucket copies sealed packs to an object store, and reads them from there. It keeps no state of its own: what is to be done follows from the
// listings.
type bucket struct {
	s      *Store
	to     *blob.Bucket
	second bool // it is the mirror: it has what the folder and the first bucket have

	wake chan struct{} // something was sealed

	mu       sync.Mutex
	verified map[ID]bool   // read back and found equal, by this process
	round    uint64        // counts begun rounds
	settled  uint64        // the last round after which nothing was left to copy
	changed  chan struct{} // closed and renewed with either
	there    map[ID]int64  // as last listed, and what was copied since; nil: not listed yet
	wanted   map[ID]int64  // as last listed: what the first bucket has, where this is the mirror
	failing  time.Time     // since when copying fails; zero: it does not
}

const prefix = "packs/"

func newBucket(s *Store, to *blob.Bucket) *bucket {
	return &bucket{s: s, to: to, wake: make(chan struct{}, 1), verified: map[ID]bool{}, changed: make(chan struct{})}
}

// A store that takes a connection and says nothing is as good as none: nobody waits for it without end. Variables for tests.
var (
	silence  = 20 * time.Second // of who is to answer, or goes on with an answer
	slowest  = int64(128 << 10) // bytes a second, below which sending a pack is given up
	listing  = 2 * time.Minute  // for a list
	errQuiet = errors.New("the bucket does not answer")
)

// waiting ends a context when nothing has happened for so long.
type waiting struct {
	timer *time.Timer
	end   context.CancelCauseFunc
}

func waitFor(ctx context.Context, long time.Duration) (context.Context, *waiting) {
	ctx, end := context.WithCancelCause(ctx)
	return ctx, &waiting{time.AfterFunc(long, func() { end(errQuiet) }), end}
}

func (w *waiting) stop() {
	w.timer.Stop()
	w.end(nil)
}

// patient is a body whose reads do not wait without end.
type patient struct {
	io.ReadCloser
	ctx context.Context
	w   *waiting
}

func (p *patient) Read(b []byte) (int, error) {
	p.w.timer.Reset(silence)
	n, err := p.ReadCloser.Read(b)
	p.w.timer.Stop()
	if err != nil && err != io.EOF && context.Cause(p.ctx) == errQuiet {
		err = errQuiet
	}
	return n, err
}

func (p *patient) Close() error {
	defer p.w.stop()
	return p.ReadCloser.Close()
}

// open begins to read an object, n bytes from off; n negative: to its end.
func (b *bucket) open(ctx context.Context, attempt string, id ID, off, n int64) (io.ReadCloser, error) {
	ctx, w := waitFor(ctx, silence)
	body, err := b.to.NewRangeReader(ctx, b.key(id), off, n, nil)
	w.timer.Stop()
	if err != nil {
		defer w.stop()
		return nil, bucketFault(ctx, attempt, id.String(), err)
	}
	return &patient{body, ctx, w}, nil
}

func (b *bucket) key(id ID) string { return prefix + id.String() + ".pack" }

func (b *bucket) notify() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run copies what is sealed, now and whenever something is sealed, until the context ends.
func (b *bucket) run(ctx context.Context) {
	first := b.s.opts.Retry
	if first <= 0 {
		first = time.Second
	}
	pause := first
	for {
		b.mu.Lock()
		b.round++
		round := b.round
		b.mu.Unlock()
		err := b.ship(ctx)
		if ctx.Err() != nil {
			return
		}
		b.mu.Lock()
		if err == nil {
			b.failing = time.Time{}
		} else if b.failing.IsZero() {
			b.failing = time.Now()
		}
		b.mu.Unlock()
		if err == nil {
			b.mu.Lock()
			b.settled = round
			close(b.changed)
			b.changed = make(chan struct{})
			b.mu.Unlock()
			pause = first
			select {
			case <-ctx.Done():
				return
			case <-b.wake:
			}
			continue
		}
		b.s.log.Warn("sealed packs are not in the "+b.String()+" yet", "again", pause.String(), "error", err)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, time.Minute)
	}
}

func (b *bucket) String() string {
	if b.second {
		return "mirror"
	}
	return "bucket"
}

// Shipped returns when every pack that was sealed before the call is in the bucket and in the mirror and, in a Tier, what exceeds KeepLocal is gone from the folder.
// Without either it returns at once.
func (s *Store) Shipped(ctx context.Context) error {
	if s.opts.Mode == Read {
		return nil
	}
	for _, b := range []*bucket{s.bucket, s.mirror} {
		if b != nil {
			if err := b.shipped(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bucket) shipped(ctx context.Context) error {
	b.mu.Lock()
	want := b.round + 1 // a round that begins after now
	b.mu.Unlock()
	b.notify()
	for {
		b.mu.Lock()
		done, changed := b.settled >= want, b.changed
		b.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// ship copies each sealed pack that the bucket lacks, oldest first, then lets local files go. One that fails does not keep the others back.
func (b *bucket) ship(ctx context.Context) error {
	local, err := b.sealed()
	if err != nil {
		return err
	}
	if b.second && b.s.bucket != nil {
		if local, err = b.withFirst(ctx, local); err != nil {
			return err
		}
	}
	remote, err := b.sizes(ctx, local)
	if err != nil {
		return err
	}
	var errs []error
	var kept int64
	for _, p := range local {
		if size, ok := remote[p.id]; !ok || size != p.size {
			if err := b.copy(ctx, p.id); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				errs = append(errs, err)
			}
		}
		kept += p.size
	}
	if b.s.opts.Mode != Tier || b.second {
		return errors.Join(errs...)
	}
	for _, p := range local {
		if kept <= b.s.opts.KeepLocal {
			break
		}
		// What another run copied is compared by this one before the last local copy goes.
		b.mu.Lock()
		ok := b.verified[p.id]
		b.mu.Unlock()
		if !ok {
			if err := b.compare(ctx, p.id); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				errs = append(errs, err)
				continue
			}
		}
		if err := b.stillThere(ctx, p); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := b.s.disk.remove(p.id.String() + ".pack"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fault.Wrap(fault.Unavailable, "remove local pack", p.id.String(), err))
			continue
		}
		b.s.files.drop(p.id)
		b.mu.Lock()
		delete(b.verified, p.id)
		b.mu.Unlock()
		kept -= p.size
	}
	return errors.Join(errs...)
}

// stillThere asks for a pack whose file is about to go: its copy may have been removed since it was compared. If so, it is copied again.
func (b *bucket) stillThere(ctx context.Context, p sealedPack) error {
	size, err := (&remote{b: b, id: p.id}).size(ctx)
	if err == nil && size == p.size {
		return nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	b.s.opts.Logger.Warn("a pack that had been copied is gone from the bucket, or is another; it is copied again", "pack", p.id.String())
	b.mu.Lock()
	delete(b.there, p.id)
	delete(b.verified, p.id)
	b.mu.Unlock()
	return b.copy(ctx, p.id)
}

// fewPacks is how many packs are asked for one by one; of more, the bucket is listed.
const fewPacks = 100

// sizes are those of packs as they are in the bucket. A large bucket is not listed for each pack that is sealed: that would be a thousandth of a request for each pack that was ever
// kept, for each that comes. What this process has listed or copied it knows; what became of that behind its back, the next start shows.
func (b *bucket) sizes(ctx context.Context, packs []sealedPack) (map[ID]int64, error) {
	if b.second { // it has to have what others have put into the first
		return b.list(ctx)
	}
	out := map[ID]int64{}
	var unknown []ID
	b.mu.Lock()
	if b.there == nil {
		b.there = map[ID]int64{}
	}
	for _, p := range packs {
		if size, ok := b.there[p.id]; ok {
			out[p.id] = size
		} else {
			unknown = append(unknown, p.id)
		}
	}
	b.mu.Unlock()
	if len(unknown) > fewPacks {
		return b.list(ctx)
	}
	for _, id := range unknown {
		size, err := (&remote{b: b, id: id}).size(ctx)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[id] = size
		b.mu.Lock()
		b.there[id] = size
		b.mu.Unlock()
	}
	return out, nil
}

// withFirst adds what is in the first bucket and no longer here.
func (b *bucket) withFirst(ctx context.Context, local []sealedPack) ([]sealedPack, error) {
	first, err := b.s.bucket.list(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.wanted = maps.Clone(first)
	b.mu.Unlock()
	for _, p := range local {
		delete(first, p.id)
	}
	for id, size := range first {
		local = append(local, sealedPack{id: id, size: size})
	}
	return local, nil
}

// Lag is how far a copy of the packs is behind.
type Lag struct {
	Packs   int       // that are there
	Behind  int       // sealed packs that are not there yet
	Bytes   int64     // of these
	Since   time.Time // since when the oldest of them is sealed; zero: not known, or none
	Failing time.Time // since when copying fails; zero: it does not
}

// MirrorLag is how far the mirror is behind, as last seen; false without a mirror, or before it was seen.
func (s *Store) MirrorLag() (l Lag, ok bool, err error) {
	b := s.mirror
	if b == nil {
		return l, false, nil
	}
	local, err := b.sealed()
	if err != nil {
		return l, false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l.Packs, l.Failing = len(b.there), b.failing
	behind := func(id ID, size int64, at time.Time) {
		if got, ok := b.there[id]; ok && got == size {
			return
		}
		l.Behind++
		l.Bytes += size
		if !at.IsZero() && (l.Since.IsZero() || at.Before(l.Since)) {
			l.Since = at
		}
	}
	here := map[ID]bool{}
	for _, p := range local {
		here[p.id] = true
		behind(p.id, p.size, p.mtime)
	}
	for id, size := range b.wanted {
		if !here[id] {
			behind(id, size, time.Time{})
		}
	}
	return l, b.there != nil || !b.failing.IsZero(), nil
}

// FellBack is how often something had to be read elsewhere than where it should have been whole.
func (s *Store) FellBack() int64 { return s.fellBack.Load() }

type sealedPack struct {
	id    ID
	size  int64
	mtime time.Time
}

// sealed lists the sealed packs in the folder, oldest first.
func (b *bucket) sealed() ([]sealedPack, error) {
	entries, err := b.s.disk.list()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "list packs", "", err)
	}
	var out []sealedPack
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".pack")
		if !ok {
			continue
		}
		id, err := ParseID(name)
		if err != nil {
			continue
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // another process of the same folder moved it
			continue
		}
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "list packs", "", err)
		}
		out = append(out, sealedPack{id, fi.Size(), fi.ModTime()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].mtime.Before(out[j].mtime) })
	return out, nil
}

// list gives the packs in the bucket and their sizes.
func (b *bucket) list(ctx context.Context) (map[ID]int64, error) {
	ctx, w := waitFor(ctx, listing)
	defer w.stop()
	out := map[ID]int64{}
	it := b.to.List(&blob.ListOptions{Prefix: prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			b.mu.Lock()
			b.there = maps.Clone(out)
			b.mu.Unlock()
			return out, nil
		}
		if err != nil {
			return nil, bucketFault(ctx, "list bucket", "", err)
		}
		if name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), ".pack"); ok {
			if id, err := ParseID(name); err == nil {
				out[id] = o.Size
			}
		}
	}
}

// bucketFault gives an error of the object store its kind. Its text names buckets, keys and hosts, all of which are the operator's own.
func bucketFault(ctx context.Context, attempt, object string, err error) error {
	if errors.Is(err, errQuiet) || context.Cause(ctx) == errQuiet {
		return fault.New(fault.Unavailable, attempt, object, errQuiet.Error())
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	kind := fault.Unavailable
	if gcerrors.Code(err) == gcerrors.NotFound {
		kind = fault.NotFound
	}
	f := &fault.Error{Kind: kind, Attempt: attempt, Object: object, Err: err}
	if kind == fault.Unavailable {
		f.Reason = "the bucket cannot be asked now"
	}
	return f
}

// copy uploads a pack, reads it back, and compares.
func (b *bucket) copy(ctx context.Context, id ID) error {
	const attempt = "copy pack to bucket"
	from, size, err := b.original(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, attempt, id.String(), err)
	}
	defer from.Close()
	// Given up, the object never appears: the writer is closed after its context has ended.
	uploading, limit := waitFor(ctx, listing+time.Duration(size/slowest)*time.Second)
	defer limit.stop()
	giveUp := limit.stop
	w, err := b.to.NewWriter(uploading, b.key(id), &blob.WriterOptions{
		ContentType: "application/octet-stream", DisableContentTypeDetection: true, BufferSize: 8 << 20, MaxConcurrency: 2,
	})
	if err != nil {
		return bucketFault(uploading, attempt, id.String(), err)
	}
	sum := sha256.New()
	buf := getBuffer(1 << 20)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, sum)}, struct{ io.Reader }{from}, buf.b)
	buf.free()
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		giveUp()
	}
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return bucketFault(uploading, attempt, id.String(), err)
	}
	err = b.match(ctx, id, size, [32]byte(sum.Sum(nil)))
	if fault.Is(err, fault.Corrupt) { // what was just written from the file differs from it: away with it, so that it is written again
		if derr := b.to.Delete(ctx, b.key(id)); derr != nil {
			return bucketFault(ctx, attempt, id.String(), derr)
		}
	}
	return err
}

// original is a sealed pack in the folder or, for the mirror, in the first bucket. fs.ErrNotExist: it has gone from the folder since.
func (b *bucket) original(ctx context.Context, id ID) (io.ReadCloser, int64, error) {
	f, err := b.s.disk.open(id.String() + ".pack")
	if errors.Is(err, fs.ErrNotExist) && b.second && b.s.bucket != nil {
		src := &remote{b: b.s.bucket, id: id}
		size, err := src.size(ctx)
		if err != nil {
			return nil, 0, err
		}
		r, err := src.stream(ctx, 0, size)
		return r, size, err
	}
	if err != nil {
		return nil, 0, err
	}
	size, err := f.size()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, size), f}, size, nil
}

// compare reads a pack in both places. When they differ nobody can tell here which is right, so both stay.
func (b *bucket) compare(ctx context.Context, id ID) error {
	f, err := b.s.disk.open(id.String() + ".pack")
	if err != nil {
		return fault.Wrap(fault.Unavailable, "compare pack with bucket", id.String(), err)
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		return fault.Wrap(fault.Unavailable, "compare pack with bucket", id.String(), err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, size)); err != nil {
		return fault.Wrap(fault.Unavailable, "compare pack with bucket", id.String(), err)
	}
	return b.match(ctx, id, size, [32]byte(sum.Sum(nil)))
}

// match reads a pack back from the bucket and compares it with a digest.
func (b *bucket) match(ctx context.Context, id ID, size int64, want [32]byte) error {
	const attempt = "read pack back from bucket"
	r, err := b.open(ctx, attempt, id, 0, -1)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return bucketFault(ctx, attempt, id.String(), err)
	}
	if n != size || [32]byte(sum.Sum(nil)) != want {
		return fault.New(fault.Corrupt, attempt, id.String(), "the copy differs from the file")
	}
	b.mu.Lock()
	b.verified[id] = true
	if b.there != nil {
		b.there[id] = size
	}
	b.mu.Unlock()
	return nil
}

// has reports whether a pack is there. What is not known is asked.
func (b *bucket) has(ctx context.Context, id ID) bool {
	b.mu.Lock()
	_, ok := b.there[id]
	b.mu.Unlock()
	if ok {
		return true
	}
	ctx, w := waitFor(ctx, silence)
	defer w.stop()
	ok, err := b.to.Exists(ctx, b.key(id))
	return err == nil && ok
}

func (b *bucket) source(_ context.Context, id ID) (source, error) {
	return &remote{b: b, id: id}, nil
}

// remote reads a pack in the bucket by ranges.
type remote struct {
	b  *bucket
	id ID
}

func (r *remote) release() {}

func (r *remote) size(ctx context.Context) (int64, error) {
	ctx, w := waitFor(ctx, silence)
	defer w.stop()
	a, err := r.b.to.Attributes(ctx, r.b.key(r.id))
	if err != nil {
		return 0, bucketFault(ctx, "read pack", r.id.String(), err)
	}
	return a.Size, nil
}

func (r *remote) readAt(ctx context.Context, b []byte, off int64) (int, error) {
	body, err := r.stream(ctx, off, int64(len(b)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // shorter at the end of the pack; a connection that broke is told apart below
		if size, serr := r.size(ctx); serr != nil {
			err = serr
		} else if off+int64(n) < size && n < len(b) {
			err = fault.New(fault.Unavailable, "read pack", r.id.String(), fmt.Sprintf("the bucket gave %d of %d bytes", n, len(b)))
		}
	}
	if err != nil {
		return n, readFault("read pack", Ref{r.id, off}, err)
	}
	return n, nil
}

func (r *remote) stream(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return r.b.open(ctx, "read pack", r.id, off, n)
}
