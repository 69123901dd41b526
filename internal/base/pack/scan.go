package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"sort"
	"strings"

	"github.com/vitrine-imaging/vitrine/internal/fault"
)

// Damage is an invalid place within a pack that cannot be its torn end: what was acknowledged is lost there. Reading goes on at Next.
type Damage struct {
	Pack   ID
	Offset int64
	Next   int64 // the next valid record, or 0
}

func (d *Damage) Error() string {
	return fmt.Sprintf("scan pack %s: no valid record at offset %d, although there was one", d.Pack, d.Offset)
}

// Unwrap gives the damage its kind.
func (d *Damage) Unwrap() error {
	return fault.New(fault.Corrupt, "scan pack", d.Pack.String(), "a record is damaged")
}

// scanner walks the record headers of a pack.
type scanner struct {
	ctx    context.Context
	src    source
	id     ID
	limit  int64 // records end here at the latest
	sealed bool
	at     int64
	seq    uint64 // of the next record
	known  bool   // seq is

	buf   *buffer
	from  int64 // where buf was read
	have  int
	ahead int // how much to read at once
}

func newScanner(ctx context.Context, src source, id ID, from, limit int64, sealed bool) *scanner {
	sc := &scanner{ctx: ctx, src: src, id: id, at: from, limit: limit, sealed: sealed, known: from == block, ahead: window}
	sc.buf = getBuffer(window)
	return sc
}

func (sc *scanner) close() { sc.buf.free() }

// raw gives n bytes at off, or fewer at the limit. They are valid until the next call.
func (sc *scanner) raw(off int64, n int) ([]byte, error) {
	if off >= sc.from && off+int64(n) <= sc.from+int64(sc.have) {
		return sc.buf.b[off-sc.from:][:n], nil
	}
	want := int(min(int64(sc.ahead), sc.limit-off))
	if want <= 0 {
		return nil, nil
	}
	got, err := sc.src.readAt(sc.ctx, sc.buf.b[:want], off)
	if err != nil {
		sc.have = 0
		return nil, readFault("scan pack", Ref{sc.id, off}, err)
	}
	sc.from, sc.have = off, got
	return sc.buf.b[:min(n, got)], nil
}

// header gives the valid record header at off, if there is one.
func (sc *scanner) header(off int64) (Header, []byte, bool, error) {
	raw, err := sc.raw(off, headerSize)
	if err != nil {
		return Header{}, nil, false, err
	}
	h, err := parseHeader(raw)
	if err != nil || h.Ref != (Ref{sc.id, off}) {
		return h, raw, false, nil
	}
	return h, raw, true, nil
}

// next gives the next record, io.EOF at the end of the pack, or a *Damage; after that it goes on behind it.
func (sc *scanner) next() (Header, []byte, error) {
	if sc.at >= sc.limit {
		return Header{}, nil, io.EOF
	}
	h, raw, ok, err := sc.header(sc.at)
	if err != nil {
		return h, nil, err
	}
	if ok && sc.at+h.Size() <= sc.limit && (!sc.known || h.Sequence == sc.seq) {
		// Big records follow one another at distances larger than what is read at once; small ones come many at a time.
		if h.Size() > window/4 {
			sc.ahead = block
		} else {
			sc.ahead = window
		}
		sc.at += h.Size()
		sc.seq, sc.known = h.Sequence+1, true
		return h, raw, nil
	}
	d := &Damage{Pack: sc.id, Offset: sc.at}
	sc.ahead = window
	for off := sc.at + block; off < sc.limit; off += block {
		h, _, ok, err := sc.header(off)
		if err != nil {
			return h, nil, err
		}
		if !ok || sc.known && h.Sequence < sc.seq {
			continue
		}
		// A record of the same group may have reached the disk before the one that is missing. One of a later group may not.
		if sc.sealed || sc.known && h.Group > sc.seq {
			d.Next = off
			sc.at, sc.seq, sc.known = off, h.Sequence, true
			return Header{}, nil, d
		}
	}
	sc.at = sc.limit
	if sc.sealed {
		return Header{}, nil, d
	}
	return Header{}, nil, io.EOF
}

// extent says how far the records of a pack may go, and reads its seal.
func (s *Store) extent(ctx context.Context, id ID, src source) (limit int64, sl *seal, err error) {
	if end, ok := s.durable.Load(id); ok {
		return end.(interface{ Load() int64 }).Load(), nil, nil
	}
	size, err := src.size(ctx)
	if err != nil {
		return 0, nil, err
	}
	b := getBuffer(block)
	defer b.free()
	n, err := src.readAt(ctx, b.b[:block], 0)
	if err != nil {
		return 0, nil, readFault("read pack", Ref{id, 0}, err)
	}
	fh, err := parseFileHeader(b.b[:n])
	if err == nil && fh.id != id {
		err = fault.New(fault.Corrupt, "read pack", id.String(), "its header names another pack")
	}
	if err != nil {
		return 0, nil, fault.Wrap(fault.Corrupt, "read pack", id.String(), err)
	}
	if size >= 2*block && size%block == 0 {
		if n, err = src.readAt(ctx, b.b[:block], size-block); err != nil {
			return 0, nil, readFault("read pack", Ref{id, size - block}, err)
		}
		if got, err := parseSeal(b.b[:n]); err == nil && got.id == id && got.end == size-block {
			return got.end, &got, nil
		}
	}
	return size, nil, nil
}

// finished says whether a pack's name promises a seal.
func (s *Store) finished(id ID) bool {
	for _, state := range []string{".open", ".large"} {
		if f, err := s.disk.open(id.String() + state); err == nil {
			f.Close()
			return false
		}
	}
	return true
}

// Scan calls fn with the clear header of each record from an offset on (0: from the first), in order, until fn gives false or an error. The pack of a
// running writer ends at its last complete record, without an error. A *Damage says that acknowledged records are lost, and where to go on.
func (s *Store) Scan(ctx context.Context, id ID, from int64, fn func(Header) (bool, error)) error {
	return s.scan(ctx, id, max(from, block), nil, func(h Header, _ source) (bool, error) { return fn(h) })
}

// Salvage is Scan for whoever wants all that is left: damage is told to damaged, each place once, and it goes on with the next record that can be read, in a pack without
// its header or its seal too. Where it was told of damage, a record's body may be gone as well; reading it says so. Its error is what stopped it: fn's, or
// that the pack could not be read.
func (s *Store) Salvage(ctx context.Context, id ID, from int64, damaged func(error), fn func(Header) (bool, error)) error {
	return s.scan(ctx, id, max(from, block), damaged, func(h Header, _ source) (bool, error) { return fn(h) })
}

// scan stops at the first damage if damaged is nil.
func (s *Store) scan(ctx context.Context, id ID, from int64, damaged func(error), fn func(Header, source) (bool, error)) error {
	if from%block != 0 {
		return fault.New(fault.Invalid, "scan pack", id.String(), "no record begins at that offset")
	}
	finished := s.finished(id) // before its extent is read: it may be sealed meanwhile, never unsealed
	src, err := s.source(ctx, id)
	if err != nil {
		return err
	}
	defer src.release()
	hurt := false
	tell := func(err error) error {
		if damaged == nil || !fault.Is(err, fault.Corrupt) {
			return err
		}
		hurt = true
		damaged(err)
		return nil
	}
	limit, sl, err := s.extent(ctx, id, src)
	_, open := s.durable.Load(id)
	if err == nil && sl == nil && finished && !open {
		err = fault.New(fault.Corrupt, "scan pack", id.String(), "its seal is missing or damaged")
	}
	if err != nil {
		if err := tell(err); err != nil {
			return err
		}
		// Every record names itself, so that they are found without header and seal.
		if limit, err = src.size(ctx); err != nil {
			return readFault("scan pack", Ref{id, 0}, err)
		}
	}
	// In a pack that is sealed, or of which nobody knows, whatever is no record is damage. One that is being written may end in a torn record.
	sc := newScanner(ctx, src, id, from, limit, sl != nil || hurt)
	defer sc.close()
	sum, n := sha256.New(), uint64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, raw, err := sc.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if d, ok := errors.AsType[*Damage](err); ok && hurt && sl == nil && d.Next == 0 {
			break // the seal's place, or what is left of it
		}
		if err != nil {
			if err := tell(err); err != nil {
				return err
			}
			continue
		}
		sum.Write(raw)
		n++
		if more, err := fn(h, src); err != nil || !more {
			return err
		}
	}
	if sl != nil && !hurt && from == block && (n != sl.records || [32]byte(sum.Sum(nil)) != sl.headers) {
		return tell(fault.New(fault.Corrupt, "scan pack", id.String(), "its records are not those that it was sealed with"))
	}
	return nil
}

// Check reads a whole pack and compares everything with its checksums, for which it needs no key: records of erased subjects too. It gives the number
// of records.
func (s *Store) Check(ctx context.Context, id ID) (int, error) {
	n := 0
	err := s.scan(ctx, id, block, nil, func(h Header, src source) (bool, error) {
		ok, err := bodyMatches(ctx, src, &h)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, fault.New(fault.Corrupt, "check pack", h.Ref.String(), "the record's checksum differs")
		}
		n++
		return true, nil
	})
	return n, err
}

// CheckMirror is Check of the mirror's copy of a pack, and compares it with the pack's own seal, where that can be read. fault.NotFound: the mirror has none.
func (s *Store) CheckMirror(ctx context.Context, id ID) error {
	const attempt = "check pack in the mirror"
	if s.mirror == nil {
		return fault.New(fault.NotFound, attempt, id.String(), "there is no mirror")
	}
	only := &Store{opts: s.opts, disk: nowhere{}, log: slog.New(slog.DiscardHandler), mirror: s.mirror}
	only.files.open = only.openLocal
	n, err := only.Check(ctx, id)
	if err != nil {
		return err
	}
	var seals [2]*seal
	for i, of := range []*Store{s, only} {
		src, err := of.source(ctx, id)
		if err != nil {
			return err
		}
		_, seals[i], err = of.extent(ctx, id, src)
		src.release()
		if err != nil && !fault.Is(err, fault.Corrupt) {
			return err
		}
	}
	if seals[1] == nil || seals[1].records != uint64(n) || seals[0] != nil && *seals[0] != *seals[1] {
		return fault.New(fault.Corrupt, attempt, id.String(), "the copy is another pack's, or of another length")
	}
	return nil
}

// nowhere is a folder without packs.
type nowhere struct{ disk }

func (nowhere) open(string) (file, error) { return nil, fs.ErrNotExist }

// bodyMatches compares a body with its checksum and its padding with zeros.
func bodyMatches(ctx context.Context, src source, h *Header) (bool, error) {
	left := h.bodySize()
	pad := h.Size() - h.bodyStart() - left
	r, err := src.stream(ctx, h.Ref.Offset+h.bodyStart(), left+pad)
	if err != nil {
		return false, readFault("check record", h.Ref, err)
	}
	defer r.Close()
	buf := getBuffer(window)
	defer buf.free()
	var crc uint32
	for left > 0 {
		b := buf.b[:min(window, left)]
		if _, err := io.ReadFull(r, b); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return false, nil
			}
			return false, readFault("check record", h.Ref, err)
		}
		crc = crc32.Update(crc, castagnoli, b)
		left -= int64(len(b))
	}
	if _, err := io.ReadFull(r, buf.b[:pad]); err != nil {
		return false, nil
	}
	return crc == h.crc && allZero(buf.b[:pad]), nil
}

// Where says where a pack lies.
type Where int

// The places.
const (
	Local Where = 1 << iota
	InBucket
	InMirror
)

// PackInfo is a pack that the store can read.
type PackInfo struct {
	ID     ID
	Size   int64
	Sealed bool
	Where  Where
}

// Packs lists the packs in the folder and in the bucket, those of other processes included.
func (s *Store) Packs(ctx context.Context) ([]PackInfo, error) {
	found := map[ID]*PackInfo{}
	local, err := s.localPacks()
	if err != nil {
		return nil, err
	}
	for _, p := range local {
		found[p.ID] = &p
	}
	if s.bucket != nil {
		remote, err := s.bucket.list(ctx)
		if err != nil {
			return nil, err
		}
		for id, size := range remote {
			if p, ok := found[id]; ok {
				p.Where |= InBucket
			} else {
				found[id] = &PackInfo{ID: id, Size: size, Sealed: true, Where: InBucket}
			}
		}
	}
	if s.mirror != nil {
		second, err := s.mirror.list(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			// It is there for when the others fail, and keeps nothing from going on when it does.
			s.log.Warn("the mirror cannot be listed", "error", err)
		}
		for id, size := range second {
			if p, ok := found[id]; ok {
				p.Where |= InMirror
			} else {
				found[id] = &PackInfo{ID: id, Size: size, Sealed: true, Where: InMirror}
			}
		}
	}
	out := make([]PackInfo, 0, len(found))
	for _, p := range found {
		out = append(out, *p)
	}
	sort.Slice(out, func(i, j int) bool { return string(out[i].ID[:]) < string(out[j].ID[:]) })
	return out, nil
}

// localPacks lists the folder. Packs into which a large record is still being streamed are left out: they hold nothing yet.
func (s *Store) localPacks() ([]PackInfo, error) {
	entries, err := s.disk.list()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "list packs", "", err)
	}
	var out []PackInfo
	for _, e := range entries {
		name, state, _ := strings.Cut(e.Name(), ".")
		id, err := ParseID(name)
		if err != nil || state != "pack" && state != "open" {
			continue
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // renamed or moved to the bucket since
			if f, err := s.openLocal(id); err == nil {
				n, err := f.size()
				f.Close()
				if err == nil {
					out = append(out, PackInfo{ID: id, Size: n, Sealed: true, Where: Local})
				}
			}
			continue
		}
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "list packs", "", err)
		}
		size := fi.Size()
		if end, ok := s.durable.Load(id); ok {
			size = end.(interface{ Load() int64 }).Load()
		}
		out = append(out, PackInfo{ID: id, Size: size, Sealed: state == "pack", Where: Local})
	}
	return out, nil
}

// headersSum hashes the headers of groups that are known to be whole, and keeps those of the last one apart.
type headersSum struct {
	whole   hash.Hash
	records uint64
	group   []Header
	raw     []byte
}

func (g *headersSum) add(h Header, raw []byte) {
	if len(g.group) > 0 && h.Group != g.group[0].Group {
		g.keep(len(g.group))
	}
	g.group = append(g.group, h)
	g.raw = append(g.raw, raw...)
}

// keep takes the first n records of the last group and forgets the others.
func (g *headersSum) keep(n int) {
	g.whole.Write(g.raw[:n*headerSize])
	g.records += uint64(n)
	g.group, g.raw = g.group[:0], g.raw[:0]
}
