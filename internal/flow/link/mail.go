package link

import (
	"bytes"
	"context"
	"html/template"
	"strings"
	text "text/template"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/mailing"
	"github.com/vitrine-imaging/vitrine/internal/record/collection"
	"github.com/vitrine-imaging/vitrine/internal/record/upload"
)

const mailKind = "link"

// Wanted reports whether a link is still worth sending.
func (d *Desk) Wanted(ctx context.Context, id string) (bool, error) {
	l, err := d.Links.Link(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && stateOf(l, time.Now()) == StateOpen, err
}

// Noted writes how the mail with a link stands.
func (d *Desk) Noted(tx *db.Tx, id string, s mailing.State, why string) error {
	return d.Links.NoteMail(tx, id, upload.MailState(s), why)
}

// letter invites somebody. It names nobody but who invites.
func (d *Desk) letter(ctx context.Context, l upload.Link, c collection.Collection, to, address string) (mail.Message, error) {
	title := c.Title
	if title == "" {
		title = string(c.ID)
	}
	v := struct{ Inviter, Title, Node, Address, Until, Size string }{d.inviter(ctx, l), title, d.Node, address, l.Expires.UTC().Format("Monday 2 January 2006, 15:04") + " UTC", size(l.Quota.Bytes)}
	var plain, rich bytes.Buffer
	if err := textLetter.Execute(&plain, v); err != nil {
		return mail.Message{}, fault.Wrap(fault.Internal, "write mail", "", err)
	}
	if err := htmlLetter.Execute(&rich, v); err != nil {
		return mail.Message{}, fault.Wrap(fault.Internal, "write mail", "", err)
	}
	return mail.Message{To: to, Subject: "Send images to " + strings.Map(oneLine, title), Text: plain.String(), HTML: rich.String()}, nil
}

func oneLine(c rune) rune {
	if c < ' ' || c == 0x7f {
		return ' '
	}
	return c
}

var textLetter = text.Must(text.New("letter").Parse(`{{if .Inviter}}{{.Inviter}} invites you{{else}}You are invited{{end}} to send medical images to the collection
"{{.Title}}" at {{.Node}}.

Open this link in a browser, on the device that has the images:

{{.Address}}

There, choose files, a whole folder or a zip archive. You need no account. You may close the page and go on later, from the same browser.
What identifies a person is taken out of the images before anything is kept.

The link works until {{.Until}}, as often as you like, for {{.Size}} in all.
Whoever has it can send by it, and can see nothing that is kept. Pass it on to those alone who are to send for you.

From a command line:
vitrine deposit FOLDER --link '{{.Address}}'

If you did not expect this, do nothing: without you, nothing is sent. Please never answer with images or names of patients by mail.
`))

var htmlLetter = template.Must(template.New("letter").Parse(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Send images to {{.Title}}</title></head><body>
<p>{{if .Inviter}}{{.Inviter}} invites you{{else}}You are invited{{end}} to send medical images to the collection <b>{{.Title}}</b> at {{.Node}}.</p>
<p>Open this link in a browser, on the device that has the images:</p>
<p><a href="{{.Address}}">Send images</a></p>
<p>There, choose files, a whole folder or a zip archive. You need no account. You may close the page and go on later, from the same browser. What identifies a person is taken out of the images before anything is kept.</p>
<p>The link works until <b>{{.Until}}</b>, as often as you like, for {{.Size}} in all. Whoever has it can send by it, and can see nothing that is kept. Pass it on to those alone who are to send for you.</p>
<p>If the link does not open, copy this into the address bar:<br>{{.Address}}</p>
<p>If you did not expect this, do nothing: without you, nothing is sent. Please never answer with images or names of patients by mail.</p>
</body></html>
`))
