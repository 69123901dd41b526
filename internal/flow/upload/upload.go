// Package upload takes files that come in pieces over bad lines, and hands them to custody when they are whole.
//
// It promises: an upload that is finished is on stable storage in a pack, or refused with its reason, as at every other door; pieces that were answered are found
// again after a crash; until then they lie encrypted under a key of their own, and that key goes with the fate. Nobody but who began an upload goes on with it, and policy is
// asked when it begins, with every piece and when it ends. What is not gone on with is removed after a while.
//
// Files of one batch are one deposit. A file is known by its ordinal in the batch: what its sender calls it never comes here.
package upload

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/spool"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/custody"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// Caller is who asks.
type Caller struct {
	Actor  string // what the audit log calls them
	Grants []policy.Grant
	// Visit is which of those who hold a link this is: Actor is the link then, and several people may hold it. Empty: no link is held.
	Visit string
}

// owner is whose what is sent is.
func (c Caller) owner() string {
	if c.Visit == "" {
		return c.Actor
	}
	return c.Actor + " " + c.Visit
}

// link is the link that is held; empty: none.
func (c Caller) link() string {
	if c.Visit == "" {
		return ""
	}
	return c.Actor
}

func (c Caller) action() policy.Action {
	if c.Visit == "" {
		return policy.Deposit
	}
	return policy.DepositByLink
}

func (c Caller) knows(id collection.ID) bool {
	for _, g := range c.Grants {
		if g.Collection == policy.AllCollections || g.Collection == string(id) {
			return true
		}
	}
	return false
}

// Limits bound what may come. Zero values are the defaults.
type Limits struct {
	File    int64         // bytes of one file; default 16 GiB
	Bytes   int64         // of what one person has arriving; default 64 GiB
	Uploads int64         // that one person has arriving; default 2,000
	Wait    time.Duration // how long pieces wait for the next; default 3 days
	Told    time.Duration // how long a fate is told; default 7 days
	// Unpacked is how many bytes an archive may hold; default 64 GiB. Blown is how many may come of however few, as empty masks do; default 1 GiB.
	Unpacked, Blown int64
	Quiet           time.Duration // after which a batch of which nothing comes is taken to have ended; default 15 minutes
}

// MaxOrdinal bounds the files of a batch.
const MaxOrdinal = 1_000_000

func (l *Limits) fill() {
	l.File, l.Bytes, l.Uploads = cmp.Or(l.File, 16<<30), cmp.Or(l.Bytes, 64<<30), cmp.Or(l.Uploads, 2000)
	l.Unpacked, l.Blown = cmp.Or(l.Unpacked, 64<<30), cmp.Or(l.Blown, 1<<30)
	l.Wait, l.Told, l.Quiet = cmp.Or(l.Wait, 72*time.Hour), cmp.Or(l.Told, 7*24*time.Hour), cmp.Or(l.Quiet, 15*time.Minute)
}

// Parts are what the flow works with.
type Parts struct {
	DB        *db.DB
	Audit     *audit.Log
	Jobs      *jobs.Queue
	Root      *keys.Root
	Spool     *spool.Store
	Uploads   *upload.Record
	Catalogue *catalogue.Record
	Custody   *custody.Custody
	Log       *slog.Logger
	Limits    Limits
}

// Flow is safe for use by many goroutines.
type Flow struct {
	Parts
	seal []cipher.AEAD // the first seals; the others open what was sealed before the master key was changed

	labels    keys.Key
	unpacking chan struct{} // archives at a time

	mu       sync.Mutex
	arriving map[string]*piece
	deposits map[catalogue.DepositID]*custody.Deposit
}

// New makes the flow.
func New(p Parts) (*Flow, error) {
	p.Limits.fill()
	const purpose = "upload spool"
	var seal []cipher.AEAD
	for _, key := range append([]keys.Key{p.Root.Derive(purpose)}, p.Root.Earlier(purpose)...) {
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "open uploads", "", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, "open uploads", "", err)
		}
		seal = append(seal, aead)
	}
	return &Flow{Parts: p, seal: seal, labels: p.Root.Derive("upload labels"), unpacking: make(chan struct{}, 2), arriving: map[string]*piece{}, deposits: map[catalogue.DepositID]*custody.Deposit{}}, nil
}

// Causes of a failure that a door tells apart.
var (
	ErrFull     = spool.ErrFull
	ErrChecksum = errors.New("another digest")
)

// Wish is what somebody wants to send.
type Wish struct {
	Batch      catalogue.DepositID // 0: the file is a batch of its own
	Collection collection.ID       // of a file that is a batch of its own; empty: the only one that the caller may deposit into
	Ordinal    int64               // of the file in its batch, from 1
	Size       int64               // [Unknown]: it ends when [Flow.Close] says so
	Sum        *[32]byte           // SHA-256 of the whole, if it is known
	Label      string              // what its sender will ask for it by in [Flow.Resume]; kept as a keyed hash alone. Empty: by its identifier
	Given      *custody.Given      // what a gateway says that has cleaned it
}

// Unknown is the size of what says its end when it comes to it.
const Unknown = -1

// State is how an upload stands.
type State struct {
	upload.Upload
	Offset int64 // how many bytes are there
}

// secret is what is sealed of an upload.
type secret struct {
	Key   []byte         `json:"key"`
	Sum   []byte         `json:"sum,omitempty"`
	Solo  bool           `json:"solo,omitempty"` // its batch ends with it
	Open  bool           `json:"open,omitempty"` // how large it becomes is not known: the row's size is what has come
	Name  []byte         `json:"name,omitempty"` // keyed hash of its label
	Given *custody.Given `json:"given,omitempty"`
}

// piece is an upload that this process works on. Whoever works on it holds turn.
type piece struct {
	turn   chan struct{}
	known  bool // the others are set
	row    upload.Upload
	file   *spool.File
	secret secret
	stable bool      // its row is on stable storage
	until  time.Time // what its row says
}

const attempt = "upload"

// decide asks policy. To who has no role in a collection, it is not there.
func decide(who Caller, id collection.ID) error {
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: who.action(), Collection: string(id)})
	switch {
	case dec.Allow || cleansFor(who, id):
		return nil
	case !who.knows(id):
		return fault.New(fault.NotFound, attempt, "", "there is no such collection")
	}
	return fault.New(fault.Denied, attempt, "collection "+string(id), strings.Join(dec.Reasons, "; "))
}

// cleansFor reports a gateway of the collection: what it gives it has cleaned, and custody proves it.
func cleansFor(who Caller, id collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.DepositCleaned, Collection: string(id)}).Allow
}

// only is the collection that a caller deposits into who names none.
func only(who Caller) (collection.ID, error) {
	var id collection.ID
	for _, g := range who.Grants {
		if !policy.Decide(policy.Facts{Grants: []policy.Grant{g}, Action: who.action(), Collection: g.Collection}).Allow {
			continue
		}
		c := collection.ID(g.Collection)
		if g.Collection == policy.AllCollections {
			c = collection.Default
		}
		if id != "" && id != c {
			return "", fault.New(fault.Invalid, attempt, "", "you may deposit into several collections, and none is named")
		}
		id = c
	}
	if id == "" {
		return "", fault.New(fault.Denied, attempt, "", "there is no collection that you may deposit into")
	}
	return id, nil
}

// Begin begins a batch, which is a deposit.
func (f *Flow) Begin(ctx context.Context, who Caller, id collection.ID) (upload.Batch, error) {
	return f.BeginBy(ctx, custody.DoorUpload, who, id)
}

// BeginCleaned begins a batch of what was cleaned elsewhere. Who may give objects only as they are is refused: nothing of it would be taken.
func (f *Flow) BeginCleaned(ctx context.Context, who Caller, id collection.ID) (upload.Batch, error) {
	switch {
	case cleansFor(who, id):
		return f.BeginBy(ctx, custody.DoorGateway, who, id)
	case !who.knows(id):
		return upload.Batch{}, fault.New(fault.NotFound, attempt, "", "there is no such collection")
	}
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.DepositCleaned, Collection: string(id)})
	return upload.Batch{}, fault.New(fault.Denied, attempt, "collection "+string(id), strings.Join(dec.Reasons, "; "))
}

// BeginBy is Begin of another door.
func (f *Flow) BeginBy(ctx context.Context, door custody.Door, who Caller, id collection.ID) (upload.Batch, error) {
	if id == "" {
		var err error
		if id, err = only(who); err != nil {
			return upload.Batch{}, err
		}
	}
	if _, err := collection.ParseID(string(id)); err != nil {
		return upload.Batch{}, fault.New(fault.NotFound, attempt, "", "there is no such collection")
	}
	if err := decide(who, id); err != nil {
		return upload.Batch{}, err
	}
	if door == custody.DoorUpload && cleansFor(who, id) {
		door = custody.DoorGateway
	}
	if link := who.link(); link != "" {
		if err := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Uploads.ReserveBatch(tx, link) }); err != nil {
			return upload.Batch{}, err
		}
	}
	dep, err := f.Custody.Begin(ctx, id, door, who.Actor)
	if err != nil {
		return upload.Batch{}, err
	}
	b := upload.Batch{ID: dep.ID, Collection: id, Actor: who.owner()}
	if err := f.DB.Write(ctx, func(tx *db.Tx) error { return f.Uploads.Begin(tx, b) }); err != nil {
		dep.End()
		return b, err
	}
	f.mu.Lock()
	f.deposits[b.ID] = dep
	f.mu.Unlock()
	return b, f.DB.Sync()
}

// Batch is one of the caller's own batches, with its uploads by ordinal, after the one given.
func (f *Flow) Batch(ctx context.Context, who Caller, id catalogue.DepositID, after int64, limit int) (upload.Batch, []upload.Upload, error) {
	b, err := f.own(ctx, who, id)
	if err != nil {
		return b, nil, err
	}
	all, err := f.Uploads.Uploads(ctx, id, after, limit)
	return b, all, err
}

// own is a batch of the caller's own.
func (f *Flow) own(ctx context.Context, who Caller, id catalogue.DepositID) (upload.Batch, error) {
	b, err := f.Uploads.Batch(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (who.Actor == "" || b.Actor != who.owner()) {
		return upload.Batch{}, fault.New(fault.NotFound, attempt, "", "there is no such batch of yours")
	}
	if err != nil {
		return b, err
	}
	return b, decide(who, b.Collection)
}

// End says that nothing more of a batch comes. If more comes all the same, it has not ended.
func (f *Flow) End(ctx context.Context, who Caller, id catalogue.DepositID) error {
	b, err := f.own(ctx, who, id)
	if err != nil {
		return err
	}
	return f.end(ctx, b.ID)
}

func (f *Flow) end(ctx context.Context, id catalogue.DepositID) error {
	f.mu.Lock()
	dep := f.deposits[id]
	delete(f.deposits, id)
	f.mu.Unlock()
	if dep != nil {
		dep.End()
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if dep == nil {
			if err := f.Catalogue.EndDeposit(tx, id); err != nil {
				return err
			}
		}
		return f.Uploads.End(tx, id)
	})
}

// deposit is the open deposit of a batch.
func (f *Flow) deposit(ctx context.Context, id catalogue.DepositID) (*custody.Deposit, error) {
	f.mu.Lock()
	dep := f.deposits[id]
	f.mu.Unlock()
	if dep != nil {
		return dep, nil
	}
	dep, err := f.Custody.Resume(ctx, id)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if other := f.deposits[id]; other != nil {
		return other, nil
	}
	f.deposits[id] = dep
	return dep, nil
}

func (f *Flow) unseal(row upload.Upload) (text []byte, err error) {
	for _, a := range f.seal {
		if text, err = a.Open(nil, nil, row.Sealed, []byte("upload "+row.ID)); err == nil {
			return text, nil
		}
	}
	return nil, err
}

// Create begins an upload.
func (f *Flow) Create(ctx context.Context, who Caller, w Wish) (_ State, failed error) {
	open := w.Size == Unknown
	if open && who.link() != "" {
		return State{}, fault.New(fault.Invalid, attempt, "", "by a link the size is announced: its quota is counted by it")
	}
	if open {
		w.Size = 0
	}
	if w.Size < 0 || who.link() == "" && w.Size > f.Limits.File { // of a link its quota alone is the bound
		return State{}, fault.New(fault.TooLarge, attempt, "", "the file is larger than is taken here")
	}
	// It lies there twice for a moment: here, and in its pack.
	free, total, err := f.Spool.Room()
	if err != nil {
		return State{}, err
	}
	if free-2*w.Size < min(total/50, 1<<30) {
		return State{}, fault.Wrap(fault.Unavailable, attempt, "", ErrFull)
	}
	solo := w.Batch == 0
	if solo {
		b, err := f.Begin(ctx, who, w.Collection)
		if err != nil {
			return State{}, err
		}
		w.Batch, w.Ordinal = b.ID, 1
		defer func() {
			if failed != nil {
				_ = f.end(context.WithoutCancel(ctx), w.Batch) // nothing comes of it; what cannot be ended now falls quiet
			}
		}()
	} else if _, err := f.own(ctx, who, w.Batch); err != nil {
		return State{}, err
	}
	if w.Ordinal < 1 || w.Ordinal > MaxOrdinal {
		return State{}, fault.New(fault.Invalid, attempt, "", "the number of the file in its batch is missing, or none")
	}
	var id spool.ID
	rand.Read(id[:])
	var key keys.Key
	rand.Read(key[:])
	p := &piece{turn: make(chan struct{}, 1), known: true, secret: secret{Key: key[:], Solo: solo, Open: open, Given: w.Given, Name: f.named(who, w.Label)}, until: time.Now().Add(f.wait(who.link()))}
	if w.Sum != nil {
		p.secret.Sum = w.Sum[:]
	}
	p.row = upload.Upload{ID: id.String(), Batch: w.Batch, Ordinal: w.Ordinal, Actor: who.owner(), Link: who.link(), Size: w.Size, Expires: p.until}
	if p.row.Sealed, err = f.sealed(p); err != nil {
		return State{}, err
	}
	f.mu.Lock()
	f.arriving[p.row.ID] = p // before its file is there, which otherwise is nobody's
	f.mu.Unlock()
	if p.file, err = f.Spool.Create(id, key); err != nil {
		f.forget(p.row.ID)
		return State{}, err
	}
	var replaced string
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if replaced, err = f.Uploads.Add(tx, p.row, upload.Quota{Uploads: f.Limits.Uploads, Bytes: f.Limits.Bytes}); err != nil {
			return err
		}
		return f.Uploads.Touch(tx, w.Batch)
	})
	if err != nil {
		f.forget(p.row.ID)
		return State{}, errors.Join(err, f.Spool.Remove(id))
	}
	if replaced != "" {
		f.forget(replaced)
		if old, err := spool.ParseID(replaced); err == nil {
			if err := f.Spool.Remove(old); err != nil {
				f.Log.Error("pieces of an upload could not be removed", "error", err)
			}
		}
	}
	return State{Upload: p.row}, nil
}

func (f *Flow) sealed(p *piece) ([]byte, error) {
	text, err := json.Marshal(p.secret)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, attempt, "", err)
	}
	return f.seal[0].Seal(nil, nil, text, []byte("upload "+p.row.ID)), nil
}

func (f *Flow) forget(id string) {
	f.mu.Lock()
	delete(f.arriving, id)
	f.mu.Unlock()
}

// hold waits for the turn to work on an upload. What is returned has its row, and, if it is arriving, its file.
func (f *Flow) hold(ctx context.Context, who Caller, id string) (*piece, func(), error) {
	return f.take(ctx, who, id, true)
}

// take is hold, or, without waiting, a fault.Conflict where somebody else has the turn.
func (f *Flow) take(ctx context.Context, who Caller, id string, wait bool) (*piece, func(), error) {
	missing := fault.New(fault.NotFound, attempt, "", "there is no such upload of yours; begin it anew")
	sid, err := spool.ParseID(id)
	if err != nil || who.Actor == "" {
		return nil, nil, missing
	}
	for {
		f.mu.Lock()
		p := f.arriving[id]
		if p == nil {
			p = &piece{turn: make(chan struct{}, 1)}
			f.arriving[id] = p
		}
		f.mu.Unlock()
		select {
		case p.turn <- struct{}{}:
		default:
			if !wait {
				return nil, nil, fault.New(fault.Conflict, attempt, "", "it is being sent at this moment, in another session")
			}
			select {
			case p.turn <- struct{}{}:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		}
		release := func() { <-p.turn }
		f.mu.Lock()
		current := f.arriving[id] == p
		f.mu.Unlock()
		if !current { // forgotten meanwhile: there may be another by now, and one works on an upload
			release()
			continue
		}
		err := f.know(ctx, who, p, sid)
		if err != nil || p.row.Fate != "" {
			f.forget(id) // there is nothing to keep in memory
		}
		if err == nil && p.row.Actor != who.owner() || fault.Is(err, fault.NotFound) {
			err = missing
		}
		if err != nil {
			release()
			return nil, nil, err
		}
		return p, release, nil
	}
}

// know reads what this process does not know of an upload: after a restart, all of its pieces.
func (f *Flow) know(ctx context.Context, who Caller, p *piece, id spool.ID) error {
	if p.known {
		return nil
	}
	row, err := f.Uploads.Upload(ctx, id.String())
	if err != nil {
		return err
	}
	if row.Actor != who.owner() {
		return fault.New(fault.NotFound, attempt, "", "it is another's")
	}
	p.row, p.until = row, row.Expires
	if row.Fate == "" {
		text, err := f.unseal(row)
		if err != nil || json.Unmarshal(text, &p.secret) != nil || len(p.secret.Key) != len(keys.Key{}) {
			return fault.New(fault.Corrupt, attempt, "", "what opens its pieces cannot be read")
		}
		if p.file, err = f.Spool.Load(ctx, id, keys.Key(p.secret.Key)); err != nil {
			return err
		}
		if p.secret.Open {
			p.row.Size = p.file.Size()
		}
		if p.file.Size() > p.row.Size {
			return fault.New(fault.Corrupt, attempt, "", "more of it is there than was announced")
		}
		if err := p.file.Sync(); err != nil { // what is told of it holds
			return err
		}
	}
	p.known = true
	return nil
}

// Find says how an upload stands. One that is whole and could not be handed over is handed over now.
func (f *Flow) Find(ctx context.Context, who Caller, id string) (State, error) {
	p, release, err := f.hold(ctx, who, id)
	if err != nil {
		return State{}, err
	}
	defer release()
	if p.row.Fate == "" && !p.secret.Open && p.file.Size() == p.row.Size {
		if err := f.finish(ctx, who, p); err != nil {
			return State{}, err
		}
	}
	return p.state()
}

func (p *piece) state() (State, error) {
	s := State{Upload: p.row, Offset: p.row.Size}
	switch p.row.Fate {
	case "":
		s.Offset = p.file.Size()
	case fateRefused:
		return s, refused(p.row.Reasons)
	}
	return s, nil
}

// Append takes the next bytes of an upload, and says how many were kept; they are on stable storage then, or the upload is whole and [Flow.Finish] is next. With
// check, which is asked when the last has come, those of this call are kept only if it gives nil.
func (f *Flow) Append(ctx context.Context, who Caller, id string, offset int64, r io.Reader, check func() error) (int64, error) {
	p, release, err := f.hold(ctx, who, id)
	if err != nil {
		return 0, err
	}
	defer release()
	if p.row.Fate != "" || offset != p.file.Size() {
		return 0, fault.New(fault.Conflict, attempt, "", "another number of bytes is there than the request goes on from")
	}
	b, err := f.Uploads.Batch(ctx, p.row.Batch)
	if err != nil {
		return 0, err
	}
	if err := decide(who, b.Collection); err != nil {
		return 0, err
	}
	rest := p.row.Size - offset
	if p.secret.Open {
		rest = f.Limits.File - offset
	}
	body := io.LimitReader(f.while(ctx, p.row.Link, r), rest)
	n, err := p.file.Append(ctx, body, func(size int64) error {
		if size == offset+rest {
			if more, _ := r.Read(make([]byte, 1)); more > 0 {
				return fault.New(fault.TooLarge, attempt, "", "the request brings more bytes than were announced")
			}
		}
		if check != nil {
			return check()
		}
		return nil
	})
	if fault.Is(err, fault.Unavailable) && !errors.Is(err, ErrFull) {
		f.forget(id) // what is there is read anew
		return 0, err
	}
	if p.secret.Open {
		p.row.Size = p.file.Size()
	}
	if p.secret.Open || p.file.Size() < p.row.Size {
		if serr := p.file.Sync(); serr != nil {
			f.forget(id)
			return 0, serr
		}
		if serr := f.keep(ctx, p); serr != nil {
			return 0, serr
		}
	}
	return n, err
}

// keep makes the row of an upload stable, and notes from time to time that it goes on.
func (f *Flow) keep(ctx context.Context, p *piece) error {
	ctx = context.WithoutCancel(ctx)
	if until := time.Now().Add(f.wait(p.row.Link)); until.Sub(p.until) > f.Limits.Quiet/4 || p.secret.Open {
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			if err := f.Uploads.Extend(tx, p.row.ID, until); err != nil {
				return err
			}
			if p.secret.Open {
				if err := f.Uploads.Grow(tx, p.row, upload.Quota{Uploads: f.Limits.Uploads, Bytes: f.Limits.Bytes}); err != nil {
					return err
				}
			}
			return f.Uploads.Touch(tx, p.row.Batch)
		})
		if err != nil {
			return err
		}
		p.until, p.row.Expires = until, until
	}
	if p.stable {
		return nil
	}
	if err := f.DB.Sync(); err != nil {
		return err
	}
	p.stable = true
	return nil
}

// Finish hands a whole upload to custody, and says what became of it. A refusal is the error.
func (f *Flow) Finish(ctx context.Context, who Caller, id string) (State, error) {
	p, release, err := f.hold(ctx, who, id)
	if err != nil {
		return State{}, err
	}
	defer release()
	if p.row.Fate == "" {
		if err := f.finish(ctx, who, p); err != nil {
			return State{}, err
		}
	}
	return p.state()
}

// Close says that no more comes of an upload of unknown size, and hands it to custody as [Flow.Finish] does.
func (f *Flow) Close(ctx context.Context, who Caller, id string) (State, error) {
	p, release, err := f.hold(ctx, who, id)
	if err != nil {
		return State{}, err
	}
	defer release()
	if p.row.Fate == "" {
		open := p.secret.Open
		if open {
			p.row.Size, p.secret.Open = p.file.Size(), false // a crash from here on leaves it open, and so does the row: nobody was answered
		}
		if err := f.finish(ctx, who, p); err != nil {
			p.secret.Open = open
			return State{}, err
		}
	}
	return p.state()
}

// named is the keyed hash of a label.
func (f *Flow) named(who Caller, label string) []byte {
	if label == "" {
		return nil
	}
	m := hmac.New(sha256.New, f.labels[:])
	m.Write([]byte(who.owner() + "\x00" + label))
	return m.Sum(nil)
}

// Resume finds an upload of unknown size that is arriving under a label: a fault.NotFound if none is, a fault.Conflict if its bytes come at this moment.
func (f *Flow) Resume(ctx context.Context, who Caller, id collection.ID, label string) (State, error) {
	want := f.named(who, label)
	all, err := f.Uploads.Arriving(ctx, who.owner(), f.Limits.Uploads)
	if err != nil {
		return State{}, err
	}
	for i := len(all) - 1; i >= 0 && want != nil; i-- { // the latest
		text, err := f.unseal(all[i])
		var s secret
		if err != nil || json.Unmarshal(text, &s) != nil || !s.Open || !hmac.Equal(s.Name, want) {
			continue
		}
		b, err := f.own(ctx, who, all[i].Batch)
		if err != nil || b.Collection != id {
			continue
		}
		p, release, err := f.take(ctx, who, all[i].ID, false)
		if err != nil {
			return State{}, err
		}
		defer release()
		return p.state()
	}
	return State{}, fault.New(fault.NotFound, attempt, "", "nothing of that name is arriving")
}

const fateRefused = "refused"

func refused(reasons []catalogue.Reason) error {
	why := custody.Reason{Code: "refused", Text: "it is not taken"}
	if len(reasons) > 0 {
		why = custody.Reason(reasons[0])
	}
	return &custody.Refusal{Reason: why, Err: fault.New(fault.Invalid, attempt, why.Where, why.Text)}
}

func (f *Flow) finish(ctx context.Context, who Caller, p *piece) error {
	if p.secret.Open || p.file.Size() != p.row.Size {
		return fault.New(fault.Conflict, attempt, "", "it is not whole yet")
	}
	b, err := f.Uploads.Batch(ctx, p.row.Batch)
	if err != nil {
		return err
	}
	if err := decide(who, b.Collection); err != nil {
		return err
	}
	if err := f.inForce(ctx, p.row.Link); err != nil {
		return err
	}
	if sum := p.file.Sum(); len(p.secret.Sum) > 0 && !bytes.Equal(sum[:], p.secret.Sum) {
		if err := f.drop(ctx, p); err != nil {
			return err
		}
		return fault.Wrap(fault.Invalid, attempt, "", ErrChecksum)
	}
	fate, reasons, err := f.hand(ctx, p)
	if err != nil {
		serr := p.file.Sync() // it stays, to be handed over when it can be
		if serr != nil {
			f.forget(p.row.ID) // what is there is read anew
		}
		return errors.Join(err, serr)
	}
	err = f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := f.Uploads.Settle(tx, p.row.ID, fate, reasons, time.Now().Add(f.Limits.Told)); err != nil {
			return err
		}
		return f.Uploads.Touch(tx, p.row.Batch)
	})
	if err != nil {
		return err // the same bytes again are harmless
	}
	p.row.Fate, p.row.Reasons, p.row.Sealed, p.secret.Key = fate, reasons, nil, nil
	f.forget(p.row.ID)
	f.clear(p.row.ID)
	if p.secret.Solo {
		return f.end(context.WithoutCancel(ctx), p.row.Batch)
	}
	return nil
}

// hand gives the whole to custody: a file, or what is in an archive.
func (f *Flow) hand(ctx context.Context, p *piece) (fate string, reasons []catalogue.Reason, err error) {
	x, err := p.file.Random()
	if err != nil {
		return "", nil, err
	}
	defer x.Close()
	dep, err := f.deposit(ctx, p.row.Batch)
	if err != nil {
		return "", nil, err
	}
	return f.give(ctx, dep, custody.Incoming{Ordinal: p.row.Ordinal, Given: p.secret.Given}, x)
}

// Remove takes an upload back. One that has its fate is not undone by it.
func (f *Flow) Remove(ctx context.Context, who Caller, id string) error {
	p, release, err := f.hold(ctx, who, id)
	if err != nil {
		return err
	}
	defer release()
	if p.row.Fate != "" {
		return fault.New(fault.Conflict, attempt, "", "it has come already, and is in custody")
	}
	return f.drop(ctx, p)
}

// drop forgets an upload and its pieces.
func (f *Flow) drop(ctx context.Context, p *piece) error {
	if err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return f.Uploads.Remove(tx, p.row.ID) }); err != nil {
		return err
	}
	f.forget(p.row.ID)
	f.clear(p.row.ID)
	if p.secret.Solo {
		return f.end(context.WithoutCancel(ctx), p.row.Batch)
	}
	return nil
}

// clear removes pieces whose row is gone or settled; what cannot be removed now is removed by the sweep.
func (f *Flow) clear(id string) {
	sid, err := spool.ParseID(id)
	if err == nil {
		err = f.Spool.Remove(sid)
	}
	if err != nil {
		f.Log.Error("pieces of an upload could not be removed", "error", err)
	}
}
