package release

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/delivery"
	"github.com/vitrine-imaging/vitrine/internal/judge/access"
	"github.com/vitrine-imaging/vitrine/internal/judge/consent"
	"github.com/vitrine-imaging/vitrine/internal/judge/datause"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/release"
	"github.com/vitrine-imaging/vitrine/internal/record/subject"
)

// ErrGone is the failure of an object that was in a release and is served no more: its person has withdrawn, the release was taken back, or the object was found to be wanting.
var ErrGone = errors.New("release: the object is gone")

// passFor is how long what was decided on an account is taken for true: a revocation is felt within it.
const passFor = 2 * time.Second

// passes keeps what was decided on accounts a moment ago.
type passes struct {
	mu sync.Mutex
	by map[passKey]*pass
}

type passKey struct {
	account string
	release int64
	want    access.Capability
}

type pass struct {
	access.Pass
	entitlements []int64
	until        time.Time
}

func (p *passes) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.by)
}

// enter decides what does not depend on the subject.
func (d *Desk) enter(ctx context.Context, who admin.Caller, x *release.Release, want access.Capability) (*pass, error) {
	if d.Facts == nil || who.Actor == "" {
		return nil, release.NoRelease()
	}
	now := time.Now()
	k := passKey{account(who), x.ID, want}
	d.passes.mu.Lock()
	p := d.passes.by[k]
	d.passes.mu.Unlock()
	if p != nil && now.Before(p.until) {
		return p, nil
	}
	f, err := factsOf(x)
	if err != nil {
		return nil, err
	}
	of := ReleaseFacts{Collection: x.Collection, Dataset: x.Dataset, Version: x.Version, State: access.State(x.State.String()), Successor: x.Next, Embargo: x.Embargo}
	if f.About.DataUse != nil {
		of.Policies = []datause.Policy{f.About.DataUse.Policy()}
	}
	facts, entitlements, err := d.Facts(ctx, account(who), want, of)
	if err != nil {
		return nil, err
	}
	p = &pass{Pass: access.Enter(facts), entitlements: entitlements, until: now.Add(passFor)}
	if u := p.Pass.Until(); !u.IsZero() && u.Before(p.until) {
		p.until = u
	}
	if p.Answer().Verdict != datause.Permit {
		return p, nil // a no is never kept: what was allowed a moment ago is had at once
	}
	d.passes.mu.Lock()
	defer d.passes.mu.Unlock()
	if d.passes.by == nil || len(d.passes.by) > 10_000 {
		d.passes.by = map[passKey]*pass{}
	}
	d.passes.by[k] = p
	return p, nil
}

// May answers whether an account may do something with a release as a whole, with the reasons of every rule that spoke.
func (d *Desk) May(ctx context.Context, who admin.Caller, dataset, version string, want access.Capability) (access.Answer, error) {
	x, _, err := d.get(ctx, who, dataset, version)
	if err != nil {
		return access.Answer{}, err
	}
	p, err := d.enter(ctx, who, &x, want)
	if err != nil {
		return access.Answer{}, err
	}
	return p.Answer(), nil
}

// listable decides whether the objects of a release may be listed to somebody who does not make it: to those who may view them.
func (d *Desk) listable(ctx context.Context, who admin.Caller, x *release.Release) error {
	p, err := d.enter(ctx, who, x, access.View)
	if err != nil {
		return err
	}
	return refused(p.Answer().Answer, "list the objects of a release", "release "+x.Name())
}

// refused is nil where an answer permits, and says the reasons where it does not.
func refused(a datause.Answer, attempt, object string) error {
	if a.Verdict == datause.Permit {
		return nil
	}
	var why []string
	for _, r := range a.Reasons {
		if r.Verdict == datause.Permit {
			continue
		}
		t := r.Text
		if r.Remedy != "" {
			t += " " + r.Remedy
		}
		why = append(why, r.Rule+": "+t)
	}
	if len(why) == 0 {
		why = []string{"no rule permits it"}
	}
	return fault.New(fault.Denied, attempt, object, strings.Join(why, " "))
}

// Object is an object of a release, open for who may have it.
type Object struct {
	release.Entry
	Of   release.Release
	open *delivery.Object
}

// Close lets go of it.
func (o *Object) Close() {
	if o.open != nil {
		o.open.Close()
	}
}

// Delivered is the object as it is kept.
func (o *Object) Delivered() *delivery.Object { return o.open }

// Find says what an object is, to who may have it: nothing of it is opened, nothing is noted.
func (d *Desk) Find(ctx context.Context, who admin.Caller, drs string, want access.Capability) (*Object, error) {
	o, _, _, err := d.find(ctx, who, drs, want)
	return o, err
}

func notThere(attempt string) error {
	return fault.New(fault.NotFound, attempt, "", "there is no such object that you may see")
}

// find is an object, the entitlement by which it may be had, and its row.
func (d *Desk) find(ctx context.Context, who admin.Caller, drs string, want access.Capability) (*Object, int64, subject.Subject, error) {
	const attempt = "retrieve an object of a release"
	var nobody subject.Subject
	if who.Actor == "" {
		return nil, 0, nobody, notThere(attempt)
	}
	all, err := d.Releases.ByDRS(ctx, drs)
	if err != nil {
		return nil, 0, nobody, err
	}
	failed := notThere(attempt)
	for _, e := range all {
		x, err := d.Releases.ByID(ctx, e.Release)
		if err != nil {
			return nil, 0, nobody, err
		}
		if x.State == release.Draft {
			continue
		}
		p, err := d.enter(ctx, who, &x, want)
		if err != nil {
			return nil, 0, nobody, err
		}
		if e.Entry.Withdrawn {
			failed = ErrGone // to whoever knows its name: that it is gone is what they have to learn
			continue
		}
		s, err := d.Subjects.Get(ctx, e.Subject)
		if err != nil {
			return nil, 0, nobody, err
		}
		if s.IsWithdrawn() {
			failed = ErrGone
			continue
		}
		now := time.Now()
		st, err := d.said.Get(s.ID, func() (consent.Standing, error) { return d.Standing(ctx, s, now) })
		if err != nil {
			return nil, 0, nobody, err
		}
		a := p.Subject(now, &st, access.Entry{})
		if err := refused(a.Answer, attempt, "release "+x.Name()); err != nil {
			if !errors.Is(failed, ErrGone) {
				failed = err
			}
			continue
		}
		by := int64(0)
		if a.Grant >= 0 && a.Grant < len(p.entitlements) {
			by = p.entitlements[a.Grant]
		}
		return &Object{Entry: e, Of: x}, by, s, nil
	}
	return nil, 0, nobody, failed
}

// Open opens an object of a release for who may have it. Before it returns, the ledger has it and the audit log, so that whoever was given something of a person is found when they withdraw. Withdrawn or taken back, it is
// [ErrGone].
func (d *Desk) Open(ctx context.Context, who admin.Caller, drs string, want access.Capability) (*Object, error) {
	o, by, s, err := d.find(ctx, who, drs, want)
	if err != nil {
		return nil, err
	}
	l, err := d.Catalogue.Instance(ctx, o.Instance)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, ErrGone
	case err != nil:
		return nil, err
	case l.Ref != o.Ref: // it was cleaned more tightly since: what was frozen is given no more
		return nil, ErrGone
	case l.State != policy.Admitted && l.State != policy.Released:
		return nil, ErrGone
	}
	if err := d.note(ctx, who, o, by, s); err != nil {
		return nil, err
	}
	if o.open, err = d.Delivery.OpenLocated(ctx, l); fault.Is(err, fault.NotFound) {
		return nil, ErrGone
	}
	return o, err
}

// ledger gathers what was given until it is written.
type ledger struct {
	mu      sync.Mutex
	known   map[ledgerKey]int64 // the hour in which it was written
	pending map[ledgerKey]release.Receipt
}

type ledgerKey struct {
	entitlement, release int64
	subject              subject.ID
}

// note writes that something of a subject is given by an entitlement: the first time in an hour at once, with the audit entry; what more is given of the same is counted, and written by [Desk.Run].
func (d *Desk) note(ctx context.Context, who admin.Caller, o *Object, by int64, s subject.Subject) error {
	k := ledgerKey{by, o.Release, s.ID}
	hour := time.Now().Unix() / 3600
	g := release.Receipt{Entitlement: by, Release: o.Release, Subject: s.ID, Account: account(who), Objects: 1, Bytes: o.Size}
	d.ledger.mu.Lock()
	known := d.ledger.known[k] == hour
	if known {
		was := d.ledger.pending[k]
		g.Objects, g.Bytes = was.Objects+1, was.Bytes+o.Size
		d.ledger.pending[k] = g
	}
	d.ledger.mu.Unlock()
	if known {
		return nil
	}
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := d.Releases.Give(tx, g); err != nil {
			return err
		}
		_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: "give of a release", Object: fmt.Sprintf("subject %d of release %s", int64(s.ID), o.Of.Name()), Collection: string(o.Of.Collection),
			Outcome: "by entitlement " + strconv.FormatInt(by, 10)})
		return err
	})
	if err != nil {
		return err
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	if d.ledger.known == nil || len(d.ledger.known) > 200_000 {
		d.ledger.known = map[ledgerKey]int64{}
	}
	if d.ledger.pending == nil {
		d.ledger.pending = map[ledgerKey]release.Receipt{}
	}
	d.ledger.known[k] = hour
	return nil
}

// writeDown writes what was counted.
func (d *Desk) writeDown(ctx context.Context) error {
	d.ledger.mu.Lock()
	all := d.ledger.pending
	d.ledger.pending = map[ledgerKey]release.Receipt{}
	d.ledger.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, g := range all {
			if err := d.Releases.Give(tx, g); err != nil {
				return err
			}
		}
		return nil
	})
}

// brokenOff is how old what was written of a freezing has to be to be forgotten, where no release came of it: longer than any takes.
const brokenOff = 48 * time.Hour

// Run writes the ledger until ctx ends, and once more then. It begins by forgetting what freezings left that broke off.
func (d *Desk) Run(ctx context.Context) error {
	if err := d.DB.Write(ctx, func(tx *db.Tx) error { return d.Releases.Sweep(tx, time.Now().Add(-brokenOff)) }); err != nil && ctx.Err() == nil {
		d.Log.Error("what freezings left that broke off could not be forgotten", "error", err)
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for done := false; ; {
		if err := d.writeDown(context.WithoutCancel(ctx)); err != nil {
			d.Log.Error("the ledger of what was given could not be written", "error", err)
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			done = true
		}
	}
}

// signedFor is how long a signed address opens its object: as long as a visa at most.
const signedFor = 15 * time.Minute

// Sign makes what goes behind an object's address so that it opens without a token: for programs that cannot send one. It is for whoever it was made for: what they may have is asked again when it is used.
func (d *Desk) Sign(who admin.Caller, drs string) string {
	until := strconv.FormatInt(time.Now().Add(signedFor).Unix(), 10)
	whose := base64.RawURLEncoding.EncodeToString([]byte(account(who)))
	return "for=" + whose + "&until=" + until + "&sig=" + base64.RawURLEncoding.EncodeToString(d.signature(drs, account(who), until))
}

func (d *Desk) signature(drs, account, until string) []byte {
	key := d.Ring.Root().Derive("signed addresses 1")
	h := hmac.New(sha256.New, key[:])
	for _, s := range []string{drs, account, until} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}

// Signed is whom a signed address was made for; a fault.Denied where it is none, or is over.
func (d *Desk) Signed(drs, whose, until, sig string) (admin.Caller, error) {
	bad := fault.New(fault.Denied, "open a signed address", "", "it is none of this node, or its time is over: ask for a new one")
	account, err := base64.RawURLEncoding.DecodeString(whose)
	if err != nil {
		return admin.Caller{}, bad
	}
	given, err := base64.RawURLEncoding.DecodeString(sig)
	end, err2 := strconv.ParseInt(until, 10, 64)
	if err != nil || err2 != nil || !time.Now().Before(time.Unix(end, 0)) || !hmac.Equal(given, d.signature(drs, string(account), until)) {
		return admin.Caller{}, bad
	}
	return admin.Caller{Actor: string(account)}, nil
}
