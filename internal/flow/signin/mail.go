package signin

import (
	"bytes"
	"context"
	"html/template"
	"net/url"
	text "text/template"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const mailKind = "sign-in"

// Mails reports whether this node sends sign-in links by mail.
func (f *Flow) Mails() bool { return f.Mail != nil }

// MailLink makes a link that signs somebody in once, and sends it to an address, which is kept for as long as the mail waits and no longer. The link is shown to nobody else.
func (f *Flow) MailLink(ctx context.Context, who admin.Caller, account, to string, lasts time.Duration) error {
	if err := f.allowed(ctx, who); err != nil {
		return err
	}
	if f.Mail == nil {
		return fault.New(fault.Invalid, "mail sign-in link", "", "this node sends no mail: make a link, and hand it over yourself")
	}
	to, err := mail.ParseAddress(to)
	if err != nil {
		return err
	}
	if err := f.reachable(ctx, account); err != nil {
		return err
	}
	a, err := f.Identity.Account(ctx, account)
	if err != nil {
		return err
	}
	link, err := identity.NewSecret()
	if err != nil {
		return err
	}
	m, err := letter(a.Name, to, f.Mail.Base+"/signin/link?t="+url.QueryEscape(link.Reveal()), time.Now().Add(lasts))
	if err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.AddLink(tx, link, account, time.Now().Add(lasts)); err != nil {
			return err
		}
		if err := f.Mail.Add(tx, mailing.About{Kind: mailKind, ID: account}, m); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "mail sign-in link", Object: "account " + account, Outcome: "done"})
	})
}

// Wanted reports whether somebody may still sign in.
func (f *Flow) Wanted(ctx context.Context, account string) (bool, error) {
	_, err := f.able(ctx, account)
	if fault.Is(err, fault.Denied) {
		return false, nil
	}
	return err == nil, err
}

// Noted writes into the audit log that a mail did not reach somebody: who sent it looks there, and at whether they have signed in.
func (f *Flow) Noted(tx *db.Tx, account string, s mailing.State, why string) error {
	if s != mailing.Failed {
		return nil
	}
	return f.Audit.Append(tx, audit.Entry{Actor: "node", Action: "mail sign-in link", Object: "account " + account + ": " + why, Outcome: "failed"})
}

func letter(name, to, address string, until time.Time) (mail.Message, error) {
	v := struct{ Name, Address, Until string }{name, address, until.UTC().Format("Monday 2 January 2006, 15:04") + " UTC"}
	var plain, rich bytes.Buffer
	if err := textLetter.Execute(&plain, v); err != nil {
		return mail.Message{}, fault.Wrap(fault.Internal, "write mail", "", err)
	}
	if err := htmlLetter.Execute(&rich, v); err != nil {
		return mail.Message{}, fault.Wrap(fault.Internal, "write mail", "", err)
	}
	return mail.Message{To: to, Subject: "Sign in to Vitrine", Text: plain.String(), HTML: rich.String()}, nil
}

var textLetter = text.Must(text.New("letter").Parse(`{{.Name}}, this link signs you in to Vitrine, once, until {{.Until}}:

{{.Address}}

Then add a passkey on your account's page, so that you can come back without a link. It is for you alone: pass it on to nobody.
If you did not expect this, tell whoever looks after the node.
`))

var htmlLetter = template.Must(template.New("letter").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in to Vitrine</title></head><body>
<p>{{.Name}}, this link signs you in to Vitrine, once, until <b>{{.Until}}</b>:</p>
<p><a href="{{.Address}}">Sign in</a></p>
<p>Then add a passkey on your account's page, so that you can come back without a link. It is for you alone: pass it on to nobody.</p>
<p>If it does not open, copy this into the address bar:<br>{{.Address}}</p>
<p>If you did not expect this, tell whoever looks after the node.</p>
</body></html>
`))
