package signin

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/flow/attempts"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// phone is an app that shows codes.
type phone struct {
	t      *testing.T
	secret string
	now    *time.Time
}

func (p phone) code() string {
	c, err := hotp.GenerateCodeCustom(p.secret, uint64(p.now.Unix()/30), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// member invites somebody who sets an app up; next lets the app's next code come.
func member(t *testing.T, f *Flow) (me admin.Caller, p phone, recovery []identity.Code, next func()) {
	t.Helper()
	now := time.Unix(2_000_000_000, 0)
	f.now = func() time.Time { return now }
	a, _, err := f.Invite(t.Context(), boss, "Imogen Fairweather", []policy.Grant{{Role: policy.Researcher, Collection: "trial"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	me = admin.Caller{Actor: a.ID, Grants: a.Grants}
	s, err := f.BeginApp(t.Context(), me, "Vitrine")
	if err != nil {
		t.Fatal(err)
	}
	p = phone{t, strings.ReplaceAll(s.Secret, " ", ""), &now}
	if _, err := f.ConfirmApp(t.Context(), me, s.Pending, "000000"); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a wrong first code: %v", err)
	}
	_, err = f.ConfirmApp(t.Context(), admin.Caller{Actor: "person-other"}, s.Pending, p.code())
	denied(t, "another's setup", err)
	if recovery, err = f.ConfirmApp(t.Context(), me, s.Pending, p.code()); err != nil || len(recovery) != 10 {
		t.Fatalf("%v, %d recovery codes", err, len(recovery))
	}
	return me, p, recovery, func() { now = now.Add(30 * time.Second) }
}

func (f *Flow) half(t *testing.T, account string) string {
	t.Helper()
	code, err := f.Code(t.Context(), boss, account)
	if err != nil {
		t.Fatal(err)
	}
	in, err := f.ByCode(t.Context(), "h", code.Reveal())
	if err != nil || in.Half == "" || in.Session.Reveal() != "" {
		t.Fatalf("%v, a session without the app: %v", err, in.Session.Reveal() != "")
	}
	return in.Half
}

// A code that is read out signs in once, however it is written, until another is made or its time is over.
func TestByCode(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		a, first, err := f.InviteByCode(ctx, boss, "Imogen", nil)
		if err != nil {
			t.Fatal(err)
		}
		second, err := f.Code(ctx, boss, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.ByCode(ctx, "1", first.Reveal())
		denied(t, "a code after another was made", err)
		in, err := f.ByCode(ctx, "2", strings.ToLower(strings.ReplaceAll(second.Reveal(), "-", " "))+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if _, who, err := f.Session(ctx, in.Session.Reveal()); err != nil || who.ID != a.ID || who.Seen.IsZero() {
			t.Errorf("%v %+v", err, who)
		}
		_, err = f.ByCode(ctx, "3", second.Reveal())
		denied(t, "a code used twice", err)
		late, err := f.Code(ctx, boss, a.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE sign_in_code SET ends = 1`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, err = f.ByCode(ctx, "4", late.Reveal())
		denied(t, "a code after its time", err)
		_, err = f.Code(ctx, admin.Caller{Actor: a.ID}, a.ID)
		denied(t, "a code by who manages nobody", err)
		// What is not there and what is wrong look the same.
		_, err1 := f.ByCode(ctx, "5", "0000-0000-0000")
		_, err2 := f.ByCode(ctx, "6", "nonsense")
		_, err3 := f.ByCode(ctx, "7", second.Reveal())
		if err1 == nil || err1.Error() != err2.Error() || err1.Error() != err3.Error() {
			t.Errorf("they differ: %v, %v, %v", err1, err2, err3)
		}
		for range attempts.Free {
			if _, err := f.ByCode(ctx, "8", "0000-0000-0000"); err == nil {
				t.Error("a code that nobody made lets in")
			}
		}
		if _, err = f.ByCode(ctx, "8", "0000-0000-0000"); err == nil || !strings.Contains(err.Error(), "too often") {
			t.Errorf("an address may guess on: %v", err)
		}
		if _, _, err := f.BeginPasskey(ctx, "8", here); !fault.Is(err, fault.Denied) {
			t.Errorf("and begin ceremonies: %v", err)
		}
	})
}

// With an app, a link or a code is half of the way; a known browser and the app are the whole of it.
func TestByApp(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		me, p, recovery, next := member(t, f)
		half := f.half(t, me.Actor)
		_, _, err := f.ByApp(ctx, "a", App{Half: half, Code: p.code()})
		denied(t, "the code that set the app up, again", err)
		next()
		session, browser, err := f.ByApp(ctx, "a", App{Half: half, Code: " " + p.code()[:3] + " " + p.code()[3:], Keep: true})
		if err != nil || browser.Reveal() == "" {
			t.Fatal(err)
		}
		if s, who, err := f.Session(ctx, session.Reveal()); err != nil || who.ID != me.Actor || s.Way != "one-time code" {
			t.Errorf("%v %+v", err, s)
		}
		used := p.code()
		next()
		_, _, err = f.ByApp(ctx, "a", App{Half: half, Code: p.code()})
		denied(t, "half of the way used twice", err)
		next()
		if !f.KnownBrowser(ctx, browser.Reveal()) || f.KnownBrowser(ctx, session.Reveal()) {
			t.Error("which browser is known is not known")
		}
		_, _, err = f.ByApp(ctx, "a", App{Browser: browser.Reveal(), Code: used})
		denied(t, "a code of the past", err)
		if _, _, err = f.ByApp(ctx, "b", App{Browser: browser.Reveal(), Code: p.code()}); err != nil {
			t.Error(err)
		}
		_, _, err = f.ByApp(ctx, "b", App{Browser: browser.Reveal(), Code: p.code()})
		denied(t, "a code twice", err)
		_, _, err = f.ByApp(ctx, "c", App{Browser: session.Reveal(), Code: p.code()})
		denied(t, "an unknown browser", err)
		_, _, err = f.ByApp(ctx, "c", App{Half: half[:len(half)-2] + "xx", Code: p.code()})
		denied(t, "a half that was changed", err)

		if _, _, err = f.ByApp(ctx, "d", App{Browser: browser.Reveal(), Code: strings.ToLower(recovery[3].Reveal())}); err != nil {
			t.Error(err)
		}
		_, _, err = f.ByApp(ctx, "d", App{Browser: browser.Reveal(), Code: recovery[3].Reveal()})
		denied(t, "a recovery code used twice", err)
		if o, err := f.Own(ctx, me); err != nil || o.App == nil || o.Recovery != 9 || o.Browsers != 1 {
			t.Errorf("%v %+v", err, o)
		}
		if err := f.ForgetBrowsers(ctx, me); err != nil {
			t.Fatal(err)
		}
		next()
		_, _, err = f.ByApp(ctx, "e", App{Browser: browser.Reveal(), Code: p.code()})
		denied(t, "a browser that was forgotten", err)

		denied(t, "another's app", f.RemoveApp(ctx, admin.Caller{Actor: "person-x"}, me.Actor))
		if err := f.RemoveApp(ctx, boss, me.Actor); err != nil {
			t.Fatal(err)
		}
		code, err := f.Code(ctx, boss, me.Actor)
		if err != nil {
			t.Fatal(err)
		}
		if in, err := f.ByCode(ctx, "f", code.Reveal()); err != nil || in.Half != "" {
			t.Errorf("without an app a code is the whole way: %v", err)
		}
	})
}

// The secret of an app is nowhere in clear.
func TestAppSecretIsSealed(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		me, p, _, _ := member(t, f)
		a, err := f.Identity.Authenticator(t.Context(), me.Actor)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base32Text.DecodeString(p.secret)
		if err != nil || len(raw) != appBytes {
			t.Fatal(err, len(raw))
		}
		if strings.Contains(string(a.Wrapped), string(raw)) {
			t.Error("the row holds the secret")
		}
		if _, err := f.appSecret("person-other", a.Wrapped); err == nil {
			t.Error("a secret can be moved to another account")
		}
	})
}

// Wrong codes lock the app's codes after so many, for good: across restarts, for who tries in parallel, and until an administrator lifts it.
func TestLock(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		me, p, recovery, next := member(t, f)
		half := f.half(t, me.Actor)
		var wait sync.WaitGroup
		for i := range 3 * MaxTries {
			wait.Go(func() {
				_, _, err := f.ByApp(ctx, string(rune('A'+i)), App{Half: half, Code: "no"})
				denied(t, "a wrong code", err)
			})
		}
		wait.Wait()
		again := New(f.Parts) // as after a restart
		again.now = f.now
		next()
		for _, code := range []string{p.code(), recovery[0].Reveal()} {
			_, _, err := again.ByApp(ctx, "z"+code, App{Half: half, Code: code})
			if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "locked") {
				t.Errorf("the right code of a locked account: %v", err)
			}
		}
		o, err := f.Person(ctx, boss, me.Actor)
		if err != nil || o.Locked.IsZero() {
			t.Fatalf("%v, the lock is not seen", err)
		}
		all, err := f.Audit.Entries(ctx, audit.Filter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		locks := 0
		for _, e := range all {
			if e.Action == "lock one-time codes" {
				locks++
			}
			if strings.Contains(e.Action+e.Object+e.Outcome, p.code()) || strings.Contains(e.Object, recovery[0].Reveal()) {
				t.Error("the audit log has a code")
			}
		}
		if locks != 1 {
			t.Errorf("%d locks in the audit log", locks)
		}
		denied(t, "lifting one's own lock", f.Unlock(ctx, me, me.Actor))
		if err := f.Unlock(ctx, boss, me.Actor); err != nil {
			t.Fatal(err)
		}
		if _, _, err := again.ByApp(ctx, "y", App{Half: half, Code: p.code()}); err != nil {
			t.Errorf("after the lock was lifted: %v", err)
		}
		// Somebody who is right now and then is never locked out by what was wrong before.
		for range MaxTries - 1 {
			_, _, _ = again.ByApp(ctx, "x", App{Half: f.half(t, me.Actor), Code: "no"})
			again.tries = tries{}
			f.tries = tries{}
		}
		next()
		if _, _, err := again.ByApp(ctx, "x", App{Half: f.half(t, me.Actor), Code: p.code()}); err != nil {
			t.Error(err)
		}
		if o, err := f.Person(ctx, boss, me.Actor); err != nil || !o.Locked.IsZero() {
			t.Errorf("%v, locked", err)
		}
	})
}

// Whoever begins and never ends leaves nothing.
func TestBeginningLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		for range 50 {
			if _, _, err := f.BeginPasskey(t.Context(), "a", here); err != nil {
				t.Fatal(err)
			}
		}
		var n int
		if err := f.DB.QueryRow(t.Context(), `SELECT COUNT(*) FROM ceremony`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d ceremonies, %v", n, err)
		}
	})
}

// Nobody takes the last administrator away, not even themselves, but whoever has the node's own machine.
func TestLastAdministrator(t *testing.T) {
	each(t, func(t *testing.T, f *Flow) {
		ctx := t.Context()
		all := []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}
		one, _, err := f.Invite(ctx, boss, "One", all, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Grant(ctx, admin.Caller{Actor: one.ID, Grants: all}, one.ID, nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("the last administrator is none any more: %v", err)
		}
		if err := f.Disable(ctx, boss, one.ID, true); !fault.Is(err, fault.Conflict) {
			t.Errorf("the last administrator is disabled: %v", err)
		}
		if err := f.Disable(ctx, admin.Operator("root"), one.ID, true); err != nil {
			t.Error(err)
		}
	})
}
