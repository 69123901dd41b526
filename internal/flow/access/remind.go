package access

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
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	record "github.com/vitrine-imaging/vitrine/internal/record/access"
)

const (
	mailKind = "access"
	jobLook  = "look for requests that wait"

	every   = time.Hour          // how often it is looked
	patient = 7 * 24 * time.Hour // how long something waits before somebody is reminded
)

// Schedule asks for the first look.
func (d *Desk) Schedule(ctx context.Context) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error { return d.Jobs.Add(tx, jobLook, "all", nil, d.Now().Add(every)) })
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

// Reminds reports whether this node sends mails.
func (d *Desk) Reminds() bool { return d.Mail != nil }

// Reminder is the caller's wish, with its address; a fault.NotFound if they have none.
func (d *Desk) Reminder(ctx context.Context, who admin.Caller) (record.Reminder, string, error) {
	n, err := d.Access.Reminder(ctx, who.Actor)
	if err != nil {
		return n, "", err
	}
	to, err := d.address(n)
	return n, to, err
}

func (d *Desk) address(n record.Reminder) (to string, err error) {
	b, err := d.addresses.Open(n.Sealed, "reminders of "+n.Account)
	if err == nil {
		err = json.Unmarshal(b, &to)
	}
	return to, err
}

// Remind notes that the caller, a person with an account, wants to be reminded at an address; an empty one ends it, and forgets the address.
func (d *Desk) Remind(ctx context.Context, who admin.Caller, to string) error {
	if err := d.allowed(ctx, who, policy.ApplyForAccess, "", true, "reminders"); err != nil {
		return err
	}
	action := "end reminders of requests"
	do := func(tx *db.Tx) error { return d.Access.RemoveReminder(tx, who.Actor) }
	if to = strings.TrimSpace(to); to != "" {
		if d.Mail == nil {
			return fault.New(fault.Invalid, "ask for reminders", "", "this node sends no mail")
		}
		to, err := mail.ParseAddress(to)
		if err != nil {
			return err
		}
		b, err := json.Marshal(to)
		if err != nil {
			return fault.Wrap(fault.Internal, "ask for reminders", "", err)
		}
		action = "ask for reminders of requests"
		do = func(tx *db.Tx) error {
			return d.Access.PutReminder(tx, who.Actor, d.addresses.Seal(b, "reminders of "+who.Actor), d.now())
		}
	}
	return d.change(ctx, []audit.Entry{{Actor: who.Actor, Action: action, Object: "account " + who.Actor}}, do)
}

// Look grants what was approved and has its agreement by now, and reminds whom something waits for.
func (d *Desk) Look(ctx context.Context) error {
	approved, err := d.Access.Waiting(ctx, record.Approved)
	if err != nil {
		return err
	}
	if err := d.settle(ctx, "node", approved...); err != nil {
		return err
	}
	if d.Mail == nil {
		return nil
	}
	wishes, err := d.Access.Reminders(ctx)
	if err != nil || len(wishes) == 0 {
		return err
	}
	now := d.now()
	waiting, err := d.Access.Waiting(ctx, record.Submitted, record.InReview, record.Clarify)
	if err != nil {
		return err
	}
	ending, err := d.Access.Ending(ctx, now, now.Add(30*24*time.Hour))
	if err != nil {
		return err
	}
	applicants := map[record.ID]string{}
	for _, i := range waiting {
		if applicants[i.Request] == "" {
			q, err := d.Access.Get(ctx, i.Request)
			if err != nil {
				return err
			}
			applicants[i.Request] = q.Applicant
		}
	}
	for _, n := range wishes {
		a, err := d.Identity.Account(ctx, n.Account)
		if fault.Is(err, fault.NotFound) || err == nil && !a.Disabled.IsZero() {
			continue
		}
		if err != nil {
			return err
		}
		var about []string
		for _, i := range waiting {
			if now.Sub(i.Since) < patient {
				continue
			}
			mine := applicants[i.Request] == n.Account
			concerns := i.At(now) == record.Clarify && mine
			if i.At(now).Turn() == record.Custodian && !mine {
				concerns = policy.Decide(policy.Facts{Grants: a.Grants, Action: policy.DecideRequest, Collection: string(i.Collection), Person: true}).Allow
			}
			if concerns {
				about = append(about, fmt.Sprintf("request %v %d waits %d", i.Request, i.N, i.Since.UnixMicro()))
			}
		}
		for _, e := range ending {
			if e.Account != n.Account || e.At(now) != "active" {
				continue
			}
			left := "30"
			if !e.Expires.After(now.Add(patient)) {
				left = "7"
			}
			about = append(about, "entitlement "+e.ID.String()+" "+left)
		}
		if err := d.remind(ctx, n, about, now); err != nil {
			return err
		}
	}
	return nil
}

// remind sends one mail for all that somebody was not reminded of yet.
func (d *Desk) remind(ctx context.Context, n record.Reminder, about []string, now time.Time) error {
	if len(about) == 0 {
		return nil
	}
	to, err := d.address(n)
	if err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		anew := false
		for _, a := range about {
			told, err := d.Access.Remind(tx, n.Account, a, now)
			if err != nil {
				return err
			}
			anew = anew || told
		}
		if !anew {
			return nil
		}
		return d.Mail.Add(tx, mailing.About{Kind: mailKind, ID: n.Account}, letter(to, d.Mail.Base))
	})
}

// Wanted reports whether somebody still wants to be reminded.
func (d *Desk) Wanted(ctx context.Context, account string) (bool, error) {
	_, err := d.Access.Reminder(ctx, account)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// Noted writes how the mail stands.
func (d *Desk) Noted(tx *db.Tx, account string, s mailing.State, why string) error {
	return d.Access.NoteMail(tx, account, string(s), why, d.now())
}

// letter says that something waits, and where; what it is, they see when they have signed in.
func letter(to, base string) mail.Message {
	const subject = "Something waits for you"
	const end = "You asked for this on the page Requests, where you can end it too."
	return mail.Message{To: to, Subject: subject, Text: "A request to use data, or what came of one, waits for you. See what it is, signed in:\n\n" + base + "/requests\n\n" + end + "\n",
		HTML: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>` + subject + `</title></head><body><p>A request to use data, or what came of one, waits for you.</p><p><a href="` + html.EscapeString(base) +
			`/requests">See what it is</a>, signed in.</p><p>` + end + "</p></body></html>\n"}
}
