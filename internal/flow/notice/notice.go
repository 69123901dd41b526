// Package notice tells stewards by mail that something is held in their collections: those who have asked for it, at most once a day, and only when there is more than they
// were told of.
//
// It promises: a notice holds numbers and titles of collections, nothing of a patient and nothing that is held; who may decide is asked of policy when the notice is written, not when it was
// asked for; the address is encrypted, is told to its owner alone, and is forgotten when they want no notices any more.
package notice

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/jobs"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/catalogue"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
	record "github.com/vitrine-imaging/vitrine/internal/record/notice"
)

const (
	mailKind = "held"
	jobLook  = "look for what is held"

	every = time.Hour      // how often it is looked
	apart = 24 * time.Hour // of two notices to one person
)

// Parts are what the desk works with.
type Parts struct {
	DB          *db.DB
	Audit       *audit.Log
	Jobs        *jobs.Queue
	Root        *keys.Root
	Notices     *record.Record
	Collections *collection.Record
	Catalogue   *catalogue.Record
	Identity    *identity.Record
	Mail        *mailing.Queue
}

// Desk is safe for use by many goroutines.
type Desk struct {
	Parts
	seal *keys.Sealer
	now  func() time.Time
}

// New makes the desk.
func New(p Parts) (*Desk, error) {
	s, err := keys.NewSealer(p.Root, "notices")
	if err != nil {
		return nil, err
	}
	d := &Desk{Parts: p, seal: s, now: time.Now}
	p.Mail.Own(mailKind, d)
	return d, nil
}

// Schedule asks for the first look.
func (d *Desk) Schedule(ctx context.Context) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, jobLook, "all", nil, d.now().Add(every)) })
}

// Handlers are the jobs that are done here.
func (d *Desk) Handlers() map[string]jobs.Handler {
	return map[string]jobs.Handler{jobLook: func(ctx context.Context, _ string, _ []byte) error {
		if err := d.Look(ctx); err != nil {
			return err
		}
		return d.Schedule(ctx)
	}}
}

func decides(grants []policy.Grant, c collection.ID) bool {
	return policy.Decide(policy.Facts{Grants: grants, Action: policy.DecideHeld, Collection: string(c), State: policy.Held}).Allow
}

// Offered reports whether somebody decides on what is held anywhere, and so may ask to be told.
func (d *Desk) Offered(ctx context.Context, who admin.Caller) (bool, error) {
	all, err := d.Collections.List(ctx)
	for _, c := range all {
		if decides(who.Grants, c.ID) {
			return true, err
		}
	}
	return false, err
}

// Own is the caller's wish, with its address; a fault.NotFound if they have none.
func (d *Desk) Own(ctx context.Context, who admin.Caller) (record.Notice, string, error) {
	n, err := d.Notices.Of(ctx, who.Actor)
	if err != nil {
		return n, "", err
	}
	to, err := d.address(n)
	return n, to, err
}

func (d *Desk) address(n record.Notice) (string, error) {
	text, err := d.seal.Open(n.Sealed, "notices of "+n.Account)
	var to string
	if err == nil {
		err = json.Unmarshal(text, &to)
	}
	return to, err
}

// Want notes that the caller, a person with an account, wants to be told at an address; an empty one ends it, and forgets the address.
func (d *Desk) Want(ctx context.Context, who admin.Caller, to string) error {
	if _, err := d.Identity.Account(ctx, who.Actor); err != nil {
		return err
	}
	action := "end notices of what is held"
	do := func(tx *db.Tx) error { return d.Notices.Remove(tx, who.Actor) }
	if to = strings.TrimSpace(to); to != "" {
		switch may, err := d.Offered(ctx, who); {
		case err != nil:
			return err
		case !may:
			return fault.New(fault.Denied, "ask for notices", "", "notices of what is held are for who decides on it")
		}
		to, err := mail.ParseAddress(to)
		if err != nil {
			return err
		}
		text, err := json.Marshal(to)
		if err != nil {
			return fault.Wrap(fault.Internal, "ask for notices", "", err)
		}
		action = "ask for notices of what is held"
		do = func(tx *db.Tx) error {
			return d.Notices.Put(tx, who.Actor, d.seal.Seal(text, "notices of "+who.Actor))
		}
	}
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: action, Object: "account " + who.Actor, Outcome: "done"})
	})
	if err != nil {
		return err
	}
	return d.DB.Sync()
}

// waiting is what is held in a collection.
type waiting struct {
	title string
	held  int64
}

// Look tells those of whom more waits than they were told of.
func (d *Desk) Look(ctx context.Context) error {
	all, err := d.Notices.All(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	collections, err := d.Collections.List(ctx)
	if err != nil {
		return err
	}
	held := map[collection.ID]int64{}
	for _, c := range collections {
		n, err := d.Catalogue.Intake(ctx, c.ID)
		if err != nil {
			return err
		}
		held[c.ID] = n.Held
	}
	for _, n := range all {
		a, err := d.Identity.Account(ctx, n.Account)
		if fault.Is(err, fault.NotFound) || err == nil && !a.Disabled.IsZero() {
			continue
		}
		if err != nil {
			return err
		}
		var list []waiting
		total := int64(0)
		for _, c := range collections {
			if k := held[c.ID]; k > 0 && decides(a.Grants, c.ID) {
				title := c.Title
				if title == "" {
					title = string(c.ID)
				}
				list = append(list, waiting{title, k})
				total += k
			}
		}
		if err := d.tell(ctx, n, list, total); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) tell(ctx context.Context, n record.Notice, list []waiting, total int64) error {
	now := d.now()
	if total <= n.Held || !n.Told.IsZero() && now.Sub(n.Told) < apart {
		return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Notices.Seen(tx, n.Account, total) })
	}
	to, err := d.address(n)
	if err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		told, err := d.Notices.Tell(tx, n, total, now)
		if err != nil || !told {
			return err
		}
		return d.Mail.Add(tx, mailing.About{Kind: mailKind, ID: n.Account}, letter(to, d.Mail.Base, list, total))
	})
}

// Wanted reports whether somebody still wants to be told.
func (d *Desk) Wanted(ctx context.Context, account string) (bool, error) {
	_, err := d.Notices.Of(ctx, account)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// Noted writes how the mail stands.
func (d *Desk) Noted(tx *db.Tx, account string, s mailing.State, why string) error {
	return d.Notices.NoteMail(tx, account, string(s), why)
}

// letter says how much is held and where; what it is, its stewards see when they have signed in.
func letter(to, base string, list []waiting, total int64) mail.Message {
	images := func(n int64) string {
		if n == 1 {
			return "1 image"
		}
		return fmt.Sprintf("%d images", n)
	}
	subject := images(total) + " held for a decision"
	var plain, rich strings.Builder
	for _, w := range list {
		fmt.Fprintf(&plain, "  %s: %s\n", w.title, images(w.held))
		fmt.Fprintf(&rich, "<li>%s: %s</li>", html.EscapeString(w.title), images(w.held))
	}
	const end = "You asked for this on your account's page, where you can end it too. At most one comes a day, and none while nothing is added."
	return mail.Message{To: to, Subject: subject, Text: images(total) + " in collections that you look after wait for a decision:\n\n" + plain.String() + "\nDecide here, signed in:\n" + base + "/held\n\n" + end + "\n",
		HTML: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>` + subject + `</title></head><body><p>` + images(total) + ` in collections that you look after wait for a decision:</p><ul>` + rich.String() +
			`</ul><p><a href="` + html.EscapeString(base) + `/held">Decide on them</a>, signed in.</p><p>` + end + "</p></body></html>\n"}
}
