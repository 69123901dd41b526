package signin

import (
	"cmp"
	"context"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// In is how far somebody has come in: a session, or half of the way, where the account's app has to follow.
type In struct {
	Session identity.Secret
	Half    string // not empty: what [Flow.ByApp] takes for the first half
}

const halfFor = 10 * time.Minute

// half is the first half of the way in.
type half struct {
	Account string `json:"a"`
	Way     string `json:"w"`
}

// ByLink signs in by a link that works once. from is the address that it came from, to slow down who guesses.
func (f *Flow) ByLink(ctx context.Context, from, presented string) (In, error) {
	return f.byOnce(ctx, from, "link", func(tx *db.Tx) (string, error) { return f.Identity.TakeLink(tx, presented) })
}

// ByCode signs in by a code that an administrator has read out.
func (f *Flow) ByCode(ctx context.Context, from, presented string) (In, error) {
	return f.byOnce(ctx, from, "code", func(tx *db.Tx) (string, error) { return f.Identity.TakeCode(tx, presented) })
}

func (f *Flow) byOnce(ctx context.Context, from, way string, take func(tx *db.Tx) (string, error)) (in In, err error) {
	if err := f.tries.allow(from); err != nil {
		return in, err
	}
	var account string
	err = f.write(ctx, func(tx *db.Tx) (err error) {
		if account, err = take(tx); err != nil {
			return err
		}
		if _, err = f.able(ctx, account); err != nil {
			return err
		}
		switch _, err = f.Identity.Authenticator(ctx, account); {
		case err == nil: // whoever has an app is asked for it
			in.Half, err = f.sealer.seal("half", half{account, way}, halfFor)
			return err
		case fault.Is(err, fault.NotFound):
			in.Session, err = f.begin(tx, account, way)
		}
		return err
	})
	if err != nil {
		f.tries.failed(from)
		return In{}, f.failed(ctx, cmp.Or(account, nobody), way, err)
	}
	return in, nil
}

// CodeFor is how long a code that is read out works.
const CodeFor = 15 * time.Minute

// Code makes a code that signs somebody in once, to be read out to them. It takes the place of one made before.
func (f *Flow) Code(ctx context.Context, who admin.Caller, account string) (code identity.Code, err error) {
	if err := f.allowed(ctx, who); err != nil {
		return code, err
	}
	if err := f.reachable(ctx, account); err != nil {
		return code, err
	}
	if code, err = identity.NewCode(); err != nil {
		return code, err
	}
	return code, f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.AddCode(tx, code, account, time.Now().Add(CodeFor)); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make sign-in code", Object: "account " + account, Outcome: "done"})
	})
}

// reachable refuses a link or a code for somebody whom it would not let in.
func (f *Flow) reachable(ctx context.Context, account string) error {
	a, err := f.Identity.Account(ctx, account)
	if err == nil && !a.Disabled.IsZero() {
		err = fault.New(fault.Conflict, "make sign-in link", "account "+account, "the account is disabled: enable it first")
	}
	return err
}
