package recall

import (
	"context"
	"errors"
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
	"github.com/vitrine-imaging/vitrine/internal/record/access"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/recall"
)

const (
	mailKind = "recall"
	jobLook  = "look for recalls"

	day   = 24 * time.Hour
	every = time.Hour // how often it is looked

	// DueAfter is how long a recipient has to answer.
	DueAfter     = 30 * day
	tellAfter    = 30 * day // overdue: custodians are told
	suspendAfter = 90 * day // overdue: the project uses nothing any more

	lateReceipts = 14 * day // how long the ledger is looked at again
)

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

// week is when the week of a moment began: Monday, 00:00 UTC.
func week(t time.Time) time.Time {
	t = t.UTC().Truncate(day)
	return t.AddDate(0, 0, -(int(t.Weekday())+6)%7)
}

// Look gathers what is to be told by now, and does what the calendar asks for. It can be done again after any failure.
func (d *Desk) Look(ctx context.Context) error {
	if err := d.late(ctx); err != nil {
		return err
	}
	if err := d.gather(ctx); err != nil {
		return err
	}
	open, err := d.Recalls.Open(ctx)
	if err != nil {
		return err
	}
	var failed []error // one that cannot be told keeps nobody else from it
	for _, b := range open {
		failed = append(failed, d.step(ctx, b))
	}
	return errors.Join(failed...)
}

// late calls back what came into the ledger after the withdrawal had read it: what was being given at that moment.
func (d *Desk) late(ctx context.Context) error {
	causes, err := d.Recalls.Causes(ctx, d.now().Add(-lateReceipts))
	if err != nil {
		return err
	}
	for _, c := range causes {
		if err := d.DB.Write(ctx, func(tx *db.Tx) error { return d.call(tx, c) }); err != nil {
			return err
		}
	}
	return nil
}

// project is who is told together.
type project struct {
	request    int64
	account    string
	collection collection.ID
	code       string
}

// gather makes recalls of what waits: of withdrawals once their week is over, of releases at once. No notice of a release as a whole tells of one person.
func (d *Desk) gather(ctx context.Context) error {
	waiting, err := d.Recalls.Waiting(ctx)
	if err != nil {
		return err
	}
	now := d.now()
	begun := week(now)
	of := map[project][]recall.Item{}
	var order []project
	requests := map[int64]int64{}
	for _, i := range waiting {
		x, err := d.whole(ctx, i)
		if err != nil {
			return err
		}
		if !x && !i.Since.Before(begun) {
			continue
		}
		request, ok := requests[i.Entitlement]
		if !ok && i.Entitlement != 0 {
			e, err := d.Access.Access.Entitlement(ctx, access.ID(i.Entitlement))
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			request = int64(e.Request)
			requests[i.Entitlement] = request
		}
		p := project{request, i.Account, i.Collection, i.Code}
		if of[p] == nil {
			order = append(order, p)
		}
		of[p] = append(of[p], i)
	}
	for _, p := range order {
		b := recall.Batch{Request: p.request, Account: p.account, Collection: p.collection, Code: p.code, Told: now, Due: now.Add(DueAfter)}
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			if err := d.Recalls.Gather(tx, &b, of[p]); err != nil {
				return err
			}
			if err := d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "recall", Object: object(b), Collection: string(b.Collection), Outcome: "told"}); err != nil {
				return err
			}
			return d.write(ctx, tx, b, b.Account)
		})
		if fault.Is(err, fault.Conflict) {
			continue // another process gathers
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole reports an item of a release that was taken back as a whole.
func (d *Desk) whole(ctx context.Context, i recall.Item) (bool, error) {
	if i.Code != recall.Withdrawal {
		return true, nil
	}
	x, err := d.Releases.ByID(ctx, i.Release)
	return err == nil && x.Withdrawn == x.Entries && len(x.Tombstone) > 0, err
}

// step does what the calendar asks for of a recall. What was missed is noted, and told once.
func (d *Desk) step(ctx context.Context, b recall.Batch) error {
	now := d.now()
	var due []recall.Kind
	for _, s := range []struct {
		at   time.Time
		kind recall.Kind
	}{{b.Due.Add(-7 * day), recall.Reminded7}, {b.Due.Add(-day), recall.Reminded1}, {b.Due, recall.Overdue}, {b.Due.Add(tellAfter), recall.CustodianTold}} {
		if !now.Before(s.at) {
			due = append(due, s.kind)
		}
	}
	if len(due) > 0 {
		err := d.DB.Write(ctx, func(tx *db.Tx) error {
			told, custodians := false, false
			for _, k := range due {
				noted, err := d.Recalls.Note(tx, b.ID, recall.Event{Kind: k, Actor: "node", At: now}, nil)
				if err != nil {
					return err
				}
				told, custodians = told || noted, custodians || noted && k == recall.CustodianTold
			}
			if custodians {
				if err := d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "recall", Object: object(b), Collection: string(b.Collection), Outcome: "30 days overdue"}); err != nil {
					return err
				}
				if err := d.custodians(ctx, tx, b); err != nil {
					return err
				}
			}
			if !told {
				return nil
			}
			return d.write(ctx, tx, b, b.Account)
		})
		if err != nil {
			return err
		}
	}
	if now.Before(b.Due.Add(suspendAfter)) || !b.Suspended.IsZero() || b.Request == 0 {
		return nil
	}
	also := func(tx *db.Tx) error {
		noted, err := d.Recalls.Note(tx, b.ID, recall.Event{Kind: recall.Suspended, Actor: "node", At: now}, nil)
		if err != nil || !noted {
			return err
		}
		if err := d.Audit.Append(tx, audit.Entry{Actor: "node", Action: "recall", Object: object(b), Collection: string(b.Collection), Outcome: "90 days overdue: the project's entitlements are suspended"}); err != nil {
			return err
		}
		if err := d.custodians(ctx, tx, b); err != nil {
			return err
		}
		return d.write(ctx, tx, b, b.Account)
	}
	_, err := d.Access.SuspendProject(ctx, access.ID(b.Request), "An answer to a recall was due on "+b.Due.Format(time.DateOnly)+" and has not come.", also)
	if fault.Is(err, fault.Conflict) { // somebody changes an entitlement at this moment: the next look does it
		return nil
	}
	return err
}

// custodians tells those who answer for the collection that a recall needs them.
func (d *Desk) custodians(ctx context.Context, tx *db.Tx, b recall.Batch) error {
	if d.Mail == nil {
		return nil
	}
	all, err := d.Identity.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if !a.Disabled.IsZero() || a.ID == b.Account || !policy.Decide(policy.Facts{Grants: a.Grants, Action: policy.DecideRequest, Collection: string(b.Collection), Person: true}).Allow {
			continue
		}
		if err := d.write(ctx, tx, b, a.ID); err != nil {
			return err
		}
	}
	return nil
}

// write queues a mail to an account that has said where it is reminded.
func (d *Desk) write(ctx context.Context, tx *db.Tx, b recall.Batch, account string) error {
	if d.Mail == nil {
		return nil
	}
	_, to, err := d.Access.Reminder(ctx, admin.Caller{Actor: account})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if account == b.Account {
		if err := d.Recalls.NoteMail(tx, b.ID, "queued", ""); err != nil {
			return err
		}
	}
	return d.Mail.Add(tx, mailing.About{Kind: mailKind, ID: b.ID.String() + " " + account}, letter(to, d.Mail.Base, b.ID))
}

// Wanted reports whether a mail is still to be sent: an answer is still owed, and the address still wanted.
func (d *Desk) Wanted(ctx context.Context, id string) (bool, error) {
	number, account, _ := strings.Cut(id, " ")
	n, err := recall.ParseID(number)
	if err != nil {
		return false, err
	}
	b, err := d.Recalls.Get(ctx, n)
	if err != nil || !b.Open() {
		return false, err
	}
	_, _, err = d.Access.Reminder(ctx, admin.Caller{Actor: account})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// Noted writes how a mail to the recipient stands.
func (d *Desk) Noted(tx *db.Tx, id string, s mailing.State, why string) error {
	number, account, _ := strings.Cut(id, " ")
	n, err := recall.ParseID(number)
	if err != nil {
		return err
	}
	b, err := d.Recalls.Get(tx.Context(), n)
	if err != nil || b.Account != account {
		return err
	}
	return d.Recalls.NoteMail(tx, n, string(s), why)
}

// letter says that something is to be done, and where; what it is, they see when they have signed in.
func letter(to, base string, id recall.ID) mail.Message {
	const subject = "Something is to be done about data that you use"
	const end = "You are told of it at this address because you asked for reminders on the page Requests."
	link := base + "/recalls/" + id.String()
	return mail.Message{To: to, Subject: subject, Text: "Something is to be done about data that was given for a project. See what it is, signed in:\n\n" + link + "\n\n" + end + "\n",
		HTML: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>` + subject + `</title></head><body><p>Something is to be done about data that was given for a project.</p><p><a href="` + html.EscapeString(link) +
			`">See what it is</a>, signed in.</p><p>` + end + "</p></body></html>\n"}
}
