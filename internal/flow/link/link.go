// Package link lets stewards invite people outside to send into a collection: by a link, without an account.
//
// It promises: a link gives, and shows nothing of anybody; its secret is in the answer to who makes it, or sealed in the mail to whom it is for, and otherwise nowhere: what is
// kept is a digest under a key that comes from the master key. Whom it is for is encrypted, told to stewards alone, and forgotten some time after the link has ended. An
// end is felt by the next piece that is sent. Whoever guesses is slowed down by their address. Policy is asked in each call, and each act is in the audit log.
//
// docs/decisions/0010-links.md says why links are as they are; docs/formats/link.md what is kept.
package link

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/attempts"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	uploadflow "github.com/vitrine-imaging/vitrine/internal/flow/upload"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

// What a link lasts and takes, unless its maker says otherwise, and at most.
const (
	DefaultFor   = 14 * 24 * time.Hour
	LongestFor   = 90 * 24 * time.Hour
	DefaultBytes = 100e9
	DefaultFiles = 100_000
	MaxFiles     = 1_000_000
	MaxBytes     = 1 << 50
	maxLabel     = 200
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Audit       *audit.Log
	Root        *keys.Root
	Links       *upload.Record
	Collections *collection.Record
	Identity    *identity.Record
	// Mail sends links; nil: this node has no mail server, and links are handed over by who makes them.
	Mail *mailing.Queue
	// Node is what the node is called in a mail.
	Node string
}

// Desk is safe for use by many goroutines.
type Desk struct {
	Parts
	seal  *keys.Sealer
	tries attempts.Counter
}

// New makes the desk.
func New(p Parts) (*Desk, error) {
	s, err := keys.NewSealer(p.Root, "upload links")
	if err != nil {
		return nil, err
	}
	d := &Desk{Parts: p, seal: s}
	if p.Mail != nil {
		p.Mail.Own(mailKind, d)
	}
	return d, nil
}

// holder is what is sealed of a link.
type holder struct {
	Label string `json:"label,omitempty"`
	For   string `json:"for,omitempty"`
}

// Wish is a link that somebody wants to make.
type Wish struct {
	Label string        // for stewards' eyes; may be empty
	For   string        // the e-mail address of whom it is for; may be empty
	Lasts time.Duration // 0: DefaultFor
	Bytes int64         // 0: DefaultBytes
	Files int64         // 0: DefaultFiles
	Mail  bool          // send it to For
}

func (w *Wish) check() error {
	bad := func(reason string) error { return fault.New(fault.Invalid, "make link", "", reason) }
	w.Label, w.For = strings.TrimSpace(w.Label), strings.TrimSpace(w.For)
	w.Lasts, w.Bytes, w.Files = cmp.Or(w.Lasts, DefaultFor), cmp.Or(w.Bytes, int64(DefaultBytes)), cmp.Or(w.Files, int64(DefaultFiles))
	switch {
	case len(w.Label) > maxLabel || !utf8.ValidString(w.Label) || strings.ContainsFunc(w.Label, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return bad("a label is at most 200 bytes of printable text")
	case w.Lasts < time.Minute || w.Lasts > LongestFor:
		return bad("a link lasts 90 days at most")
	case w.Bytes < 1 || w.Bytes > MaxBytes:
		return bad("a quota is 1 byte at least, and 1 PiB at most")
	case w.Files < 1 || w.Files > MaxFiles:
		return bad("a quota is 1 file at least, and 1,000,000 at most")
	case w.Mail && w.For == "":
		return bad("say whose address the link is sent to")
	}
	if w.For == "" {
		return nil
	}
	_, err := mail.ParseAddress(w.For)
	return err
}

// Link is a link as who manages them sees it.
type Link struct {
	upload.Link
	Label   string // for stewards
	For     string // for stewards
	Known   bool   // Label and For may be told to who asks
	ByName  string // what people call who made it
	Address string // the link itself; in the answer to Make alone
	State   string // StateOpen and others
}

// The states of a link.
const (
	StateOpen    = "in force"
	StateFull    = "used up"
	StateExpired = "expired"
	StateRevoked = "ended"
)

func stateOf(l upload.Link, now time.Time) string {
	switch {
	case !l.Revoked.IsZero():
		return StateRevoked
	case !now.Before(l.Expires):
		return StateExpired
	case l.Full():
		return StateFull
	}
	return StateOpen
}

// allowed asks policy. A denial is logged, once an hour. To who has no role in a collection, it is not there.
func (d *Desk) allowed(ctx context.Context, who admin.Caller, id collection.ID) error {
	dec := policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.ManageLinks, Collection: string(id)})
	if !dec.Allow {
		if _, err := d.Collections.Get(ctx, id); err != nil {
			return fault.New(fault.Denied, policy.ManageLinks.String(), "", strings.Join(dec.Reasons, "; "))
		}
		err := fault.New(fault.Denied, policy.ManageLinks.String(), "collection "+string(id), strings.Join(dec.Reasons, "; "))
		if who.Actor == "" {
			return err
		}
		werr := d.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := d.Audit.Once(tx, audit.Entry{Actor: who.Actor, Action: policy.ManageLinks.String(), Object: "collection " + string(id), Collection: string(id), Outcome: "denied"})
			return err
		})
		return errors.Join(err, werr)
	}
	_, err := d.Collections.Get(ctx, id)
	return err
}

func mayKnow(who admin.Caller, id collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: who.Grants, Action: policy.SeeLinkHolder, Collection: string(id)}).Allow
}

func (d *Desk) write(ctx context.Context, do func(tx *db.Tx) error) error {
	if err := d.DB.Write(ctx, do); err != nil {
		return err
	}
	return d.DB.Sync()
}

// secretPrefix lets scanners of published code recognise a link that should not be there.
const secretPrefix = "vitrine-link_"

// Path is where links lead. The secret follows after "#": browsers keep what stands there to themselves.
const Path = "/send"

// Make makes a link into a collection. base is the address of the node without a slash at the end. The link is in the answer, for the last time; where it is mailed,
// it is not.
func (d *Desk) Make(ctx context.Context, who admin.Caller, base string, id collection.ID, w Wish) (Link, error) {
	if err := d.allowed(ctx, who, id); err != nil {
		return Link{}, err
	}
	if err := w.check(); err != nil {
		return Link{}, err
	}
	if w.Mail && d.Mail == nil {
		return Link{}, fault.New(fault.Invalid, "make link", "", "this node sends no mail: make the link without, and hand it over yourself")
	}
	c, err := d.Collections.Get(ctx, id)
	if err != nil {
		return Link{}, err
	}
	if c.State != collection.Open {
		return Link{}, fault.New(fault.Conflict, "make link", "collection "+string(id), "the collection takes no deposits")
	}
	var random [32 + 8]byte
	rand.Read(random[:])
	secret := secretPrefix + base64.RawURLEncoding.EncodeToString(random[:32])
	now := time.Now()
	l := upload.Link{ID: "link-" + hex.EncodeToString(random[32:]), Collection: id, Maker: who.Actor, Created: db.Time(db.Micros(now)), Expires: db.Time(db.Micros(now.Add(w.Lasts))),
		Quota: upload.Quota{Bytes: w.Bytes, Uploads: w.Files}}
	if w.Mail {
		l.Mail = upload.MailQueued
	}
	if w.Label != "" || w.For != "" {
		text, err := json.Marshal(holder{w.Label, w.For})
		if err != nil {
			return Link{}, fault.Wrap(fault.Internal, "make link", "", err)
		}
		l.Sealed = d.seal.Seal(text, l.ID)
	}
	if l.Sealed == nil {
		l.Sealed = []byte{}
	}
	err = d.write(ctx, func(tx *db.Tx) error {
		if err := d.Links.AddLink(tx, d.seal.Digests(secret)[0], l); err != nil {
			return err
		}
		if w.Mail {
			m, err := d.letter(ctx, l, c, w.For, d.Mail.Base+Path+"#"+secret)
			if err != nil {
				return err
			}
			if err := d.Mail.Add(tx, mailing.About{Kind: mailKind, ID: l.ID}, m); err != nil {
				return err
			}
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make link for somebody outside", Object: l.ID, Collection: string(id), Outcome: "done"})
	})
	if err != nil {
		return Link{}, err
	}
	out := d.show(ctx, who, l)
	if !w.Mail {
		out.Address = base + Path + "#" + secret
	}
	return out, nil
}

// show is a link as the caller may see it.
func (d *Desk) show(ctx context.Context, who admin.Caller, l upload.Link) Link {
	out := Link{Link: l, State: stateOf(l, time.Now()), Known: mayKnow(who, l.Collection), ByName: d.nameOf(ctx, l.Maker)}
	if out.Known && len(l.Sealed) > 0 {
		var h holder
		if text, err := d.seal.Open(l.Sealed, l.ID); err == nil && json.Unmarshal(text, &h) == nil {
			out.Label, out.For = h.Label, h.For
		}
	}
	return out
}

// nameOf is what people call an actor.
func (d *Desk) nameOf(ctx context.Context, actor string) string {
	if a, err := d.Identity.Account(ctx, actor); err == nil {
		return a.Name
	}
	return actor
}

const listed = 500

// List lists the links of a collection, the latest first.
func (d *Desk) List(ctx context.Context, who admin.Caller, id collection.ID) ([]Link, error) {
	if err := d.allowed(ctx, who, id); err != nil {
		return nil, err
	}
	all, err := d.Links.Links(ctx, id, listed)
	if err != nil {
		return nil, err
	}
	out := make([]Link, len(all))
	for i, l := range all {
		out[i] = d.show(ctx, who, l)
	}
	return out, nil
}

// Revoke ends a link. What has come by it stays.
func (d *Desk) Revoke(ctx context.Context, who admin.Caller, id collection.ID, link string) error {
	if err := d.allowed(ctx, who, id); err != nil {
		return err
	}
	if !plain(link) {
		return fault.New(fault.NotFound, "end link", "", "there is no such link, or it was ended already")
	}
	return d.write(ctx, func(tx *db.Tx) error {
		if err := d.Links.RevokeLink(tx, id, link); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "end link for somebody outside", Object: link, Collection: string(id), Outcome: "done"})
	})
}

// plain keeps a secret that was given in place of an id out of the audit log.
func plain(id string) bool {
	rest, ok := strings.CutPrefix(id, "link-")
	return ok && len(rest) == 16 && strings.Trim(rest, "0123456789abcdef") == ""
}

// Causes of a refusal to who comes by a link, which a door tells apart.
var (
	ErrUnknown = errors.New("the link is not known here")
	ErrRevoked = errors.New("the link was ended")
	ErrExpired = errors.New("the link has expired")
	ErrWait    = errors.New("it failed too often from this address")
)

// Refusal is why who comes by a link gets no further.
type Refusal struct {
	Cause error         // one of the causes above
	Since time.Time     // of an end
	Wait  time.Duration // of ErrWait
}

func (r *Refusal) Error() string { return "open link: " + r.Cause.Error() }
func (r *Refusal) Unwrap() error { return r.Cause }

// Open is who comes by a link, for package upload. presented is the secret; visit is what the sender's browser or program made up for itself: 16 to 128 characters of base64url
// that nobody else knows. It keeps apart what different people send by one link. from is the address that they came from, to slow down who guesses.
func (d *Desk) Open(ctx context.Context, from, presented, visit string) (uploadflow.Caller, upload.Link, error) {
	l, err := d.find(ctx, from, presented)
	if err != nil {
		return uploadflow.Caller{}, l, err
	}
	if len(visit) < 16 || len(visit) > 128 || strings.Trim(visit, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return uploadflow.Caller{}, l, fault.New(fault.Invalid, "open link", "", "the header that names the visit is missing, or is not 16 to 128 characters of base64url")
	}
	sum := sha256.Sum256([]byte("vitrine visit 1\n" + visit))
	return uploadflow.Caller{Actor: l.ID, Grants: []policy.Grant{{Role: policy.LinkHolder, Collection: string(l.Collection)}}, Visit: hex.EncodeToString(sum[:16])}, l, nil
}

func (d *Desk) find(ctx context.Context, from, presented string) (upload.Link, error) {
	if wait := d.tries.Wait(from); wait > 0 {
		return upload.Link{}, &Refusal{Cause: ErrWait, Wait: wait}
	}
	unknown := func() (upload.Link, error) {
		d.tries.Failed(from)
		return upload.Link{}, &Refusal{Cause: ErrUnknown}
	}
	if !strings.HasPrefix(presented, secretPrefix) || len(presented) > 128 {
		return unknown()
	}
	for _, sum := range d.seal.Digests(presented) {
		l, err := d.Links.LinkByDigest(ctx, sum)
		switch {
		case fault.Is(err, fault.NotFound):
			continue
		case err != nil:
			return l, err
		case !l.Revoked.IsZero():
			return l, &Refusal{Cause: ErrRevoked, Since: l.Revoked}
		case !time.Now().Before(l.Expires):
			return l, &Refusal{Cause: ErrExpired, Since: l.Expires}
		}
		return l, nil
	}
	return unknown()
}

// Told is what whoever holds a link is told of it.
type Told struct {
	ID         string
	Collection string // what people call it
	Inviter    string // what people call who made the link; empty: nobody in person
	Expires    time.Time
	Quota      upload.Quota
	Left       upload.Quota
}

// Tell is what the page of a link says.
func (d *Desk) Tell(ctx context.Context, l upload.Link) (Told, error) {
	c, err := d.Collections.Get(ctx, l.Collection)
	if err != nil {
		return Told{}, err
	}
	t := Told{ID: l.ID, Collection: cmp.Or(c.Title, string(c.ID)), Inviter: d.inviter(ctx, l), Expires: l.Expires, Quota: l.Quota}
	t.Left = upload.Quota{Bytes: max(l.Quota.Bytes-l.Used.Bytes, 0), Uploads: max(l.Quota.Uploads-l.Used.Uploads, 0)}
	return t, nil
}

// inviter is what people call who made a link, if it was a person.
func (d *Desk) inviter(ctx context.Context, l upload.Link) string {
	if name := d.nameOf(ctx, l.Maker); name != l.Maker {
		return name
	}
	return ""
}
