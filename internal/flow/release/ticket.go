package release

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
)

// A ticket lets a program fetch in the name of a person for a while: a download takes longer than a session, and a token is nobody's. It opens releases and nothing else, and only what the person may have at that moment: what
// they were entitled to is asked anew each time. It is kept nowhere.

// TicketPrefix begins every ticket.
const TicketPrefix = "vitrine-get_"

// ticketActor begins what the callers of tickets are called, so that no other desk takes them for the person.
const ticketActor = "ticket of "

// MaxTicket is how many days a ticket lasts at most.
const MaxTicket = 30

// Ticket makes a ticket for a person who has signed in.
func (d *Desk) Ticket(ctx context.Context, who admin.Caller, days int) (text string, until time.Time, err error) {
	const attempt = "make a ticket"
	if days < 1 || days > MaxTicket {
		return "", until, fault.New(fault.Invalid, attempt, "", "a ticket lasts 1 to 30 days")
	}
	person := false
	if d.Person != nil && who.Actor != "" {
		if person, err = d.Person(ctx, who.Actor); err != nil {
			return "", until, err
		}
	}
	if !person {
		return "", until, fault.New(fault.Denied, attempt, "", "it is for a person who has signed in, never for a token or a command")
	}
	until = time.Now().Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		return d.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: attempt, Object: "releases", Outcome: "until " + until.UTC().Format(time.RFC3339)})
	})
	if err != nil {
		return "", until, err
	}
	body := who.Actor + "\n" + strconv.FormatInt(until.Unix(), 10)
	sum := d.ticketSum(body)
	return TicketPrefix + base64.RawURLEncoding.EncodeToString(append(sum[:16:16], body...)), until, nil
}

func (d *Desk) ticketSum(body string) []byte {
	key := d.Ring.Root().Derive("tickets 1")
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(body))
	return h.Sum(nil)
}

// Holder is who bears a ticket; a fault.Denied where it is none, or is over.
func (d *Desk) Holder(text string) (admin.Caller, error) {
	bad := fault.New(fault.Denied, "open by a ticket", "", "it is none of this node, or its time is over: make a new one")
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, TicketPrefix))
	if err != nil || len(b) < 17 || !strings.HasPrefix(text, TicketPrefix) || !hmac.Equal(b[:16], d.ticketSum(string(b[16:]))[:16]) {
		return admin.Caller{}, bad
	}
	account, until, ok := strings.Cut(string(b[16:]), "\n")
	end, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || !time.Now().Before(time.Unix(end, 0)) {
		return admin.Caller{}, bad
	}
	return admin.Caller{Actor: ticketActor + account}, nil
}

// account is whose entitlements a caller has.
func account(who admin.Caller) string { return strings.TrimPrefix(who.Actor, ticketActor) }
