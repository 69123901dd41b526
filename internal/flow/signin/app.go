package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/base/keys"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

const (
	setupFor  = 15 * time.Minute
	KnownFor  = 90 * 24 * time.Hour // how long a browser stays known, from its last use
	MaxTries  = 10                  // wrong one-time codes in a row, after which an account takes none any more
	recoveryN = 10
	period    = 30 // seconds that a code is shown for (RFC 6238 5.2)
	appBytes  = 20 // of the secret: as long as HMAC-SHA-1's output (RFC 4226 4, R6)
)

// Setup is what an app needs to be told to show codes for an account.
type Setup struct {
	Address string // otpauth://, for a QR code
	Secret  string // the same to be typed, in groups of four
	Pending string // brought back with the first code
}

// pending is an app that has not shown yet that it has the secret.
type pending struct {
	Account string `json:"a"`
	Wrapped []byte `json:"w"`
}

func appName(account string) string { return "one-time codes of account " + account }

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// appSecret opens the secret of an app. What is wrapped is a key; the app has its first 20 bytes.
func (f *Flow) appSecret(account string, wrapped []byte) (string, error) {
	if f.Root == nil {
		return "", fault.New(fault.Unavailable, "sign in by one-time code", "", "this process has no key to read one-time codes with")
	}
	key, err := f.Root.Unwrap(wrapped, appName(account))
	if err != nil {
		return "", err
	}
	return base32Text.EncodeToString(key[:appBytes]), nil
}

// BeginApp draws a secret for the caller's app. Nothing is kept of it until the app has shown a code. node is what the app is to call this node.
func (f *Flow) BeginApp(ctx context.Context, who admin.Caller, node string) (s Setup, err error) {
	a, err := f.able(ctx, who.Actor)
	if err != nil {
		return s, err
	}
	if f.Root == nil {
		return s, fault.New(fault.Unavailable, "set up one-time codes", "", "this process has no key to keep them with")
	}
	var key keys.Key
	if _, err := rand.Read(key[:]); err != nil {
		return s, fault.Wrap(fault.Unavailable, "set up one-time codes", "", err)
	}
	wrapped := f.Root.Wrap(key, appName(a.ID))
	if s.Pending, err = f.sealer.seal("app", pending{a.ID, wrapped}, setupFor); err != nil {
		return s, err
	}
	return f.setup(a, node, wrapped, s.Pending)
}

// AgainApp is the setup that is waiting for its first code.
func (f *Flow) AgainApp(ctx context.Context, who admin.Caller, node, waiting string) (s Setup, err error) {
	a, err := f.able(ctx, who.Actor)
	if err != nil {
		return s, err
	}
	var p pending
	if _, err := f.sealer.open("app", waiting, &p); err != nil || p.Account != a.ID {
		return s, tooLate
	}
	return f.setup(a, node, p.Wrapped, waiting)
}

func (f *Flow) setup(a identity.Account, node string, wrapped []byte, waiting string) (Setup, error) {
	secret, err := f.appSecret(a.ID, wrapped)
	if err != nil {
		return Setup{}, err
	}
	var groups []string
	for i := 0; i < len(secret); i += 4 {
		groups = append(groups, secret[i:min(i+4, len(secret))])
	}
	q := url.Values{"secret": {secret}, "issuer": {node}}
	// Apps know the label's parts by a colon; spaces have to be %20.
	address := "otpauth://totp/" + url.PathEscape(strings.ReplaceAll(node, ":", " ")) + ":" + url.PathEscape(a.Name) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
	return Setup{Address: address, Secret: strings.Join(groups, " "), Pending: waiting}, nil
}

// step finds the step of the clock, of those about now, that a code belongs to.
func step(secret, code string, now time.Time) (int64, bool) {
	at := now.Unix() / period
	found, ok := int64(0), false
	for _, s := range []int64{at - 1, at, at + 1} { // one to either side: clocks differ, and typing takes time (RFC 6238 5.2)
		want, err := hotp.GenerateCodeCustom(secret, uint64(s), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			found, ok = s, true
		}
	}
	return found, ok
}

// digits takes out of a code what people put between its digits.
func digits(code string) string {
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' || c == '\u00a0' {
			return -1
		}
		return c
	}, strings.TrimSpace(code))
}

// ConfirmApp takes the first code of a new app: from then on the app belongs to the account, in place of one it had. The recovery codes are shown this once.
func (f *Flow) ConfirmApp(ctx context.Context, who admin.Caller, waiting, code string) ([]identity.Code, error) {
	a, err := f.able(ctx, who.Actor)
	if err != nil {
		return nil, err
	}
	var p pending
	if _, err := f.sealer.open("app", waiting, &p); err != nil || p.Account != a.ID {
		return nil, tooLate
	}
	secret, err := f.appSecret(a.ID, p.Wrapped)
	if err != nil {
		return nil, err
	}
	at, ok := step(secret, digits(code), f.clock())
	if !ok {
		return nil, fault.New(fault.Invalid, "set up one-time codes", "", "that is not the code that the app shows now; the clocks of both devices have to be right")
	}
	codes, err := newCodes()
	if err != nil {
		return nil, err
	}
	return codes, f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.SetAuthenticator(tx, a.ID, identity.Authenticator{Wrapped: p.Wrapped, Step: at}, codes); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: a.ID, Action: "add authenticator app", Object: "account " + a.ID, Outcome: "done"})
	})
}

func newCodes() ([]identity.Code, error) {
	codes := make([]identity.Code, recoveryN)
	for i := range codes {
		var err error
		if codes[i], err = identity.NewCode(); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// NewRecoveryCodes makes the caller's recovery codes anew; the old ones open nothing any more.
func (f *Flow) NewRecoveryCodes(ctx context.Context, who admin.Caller) ([]identity.Code, error) {
	if _, err := f.Identity.Authenticator(ctx, who.Actor); err != nil {
		return nil, err
	}
	codes, err := newCodes()
	if err != nil {
		return nil, err
	}
	return codes, f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.SetRecoveryCodes(tx, who.Actor, codes); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "make recovery codes", Object: "account " + who.Actor, Outcome: "done"})
	})
}

// RemoveApp takes an app from its account: the caller's own, or, by who manages people, another's who has lost it.
func (f *Flow) RemoveApp(ctx context.Context, who admin.Caller, account string) error {
	if account != who.Actor {
		if err := f.allowed(ctx, who); err != nil {
			return err
		}
	}
	if _, err := f.Identity.Authenticator(ctx, account); err != nil {
		return err
	}
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.RemoveAuthenticator(tx, account); err != nil {
			return err
		}
		if err := f.Identity.Unlock(tx, account); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "remove authenticator app", Object: "account " + account, Outcome: "done"})
	})
}

// KnownBrowser reports whether a browser's secret is of one that is known: then the app's code alone is asked for.
func (f *Flow) KnownBrowser(ctx context.Context, browser string) bool {
	if browser == "" {
		return false
	}
	_, err := f.Identity.AccountOfBrowser(ctx, browser)
	return err == nil
}

// App is what somebody brings for the second half of the way in.
type App struct {
	Half    string // of a link or a code; or empty, and
	Browser string // the secret of a known browser
	Code    string // six digits of the app, or a recovery code
	Keep    bool   // let the browser be known from now on
}

// ByApp signs in by a one-time code of the account's app, after a link, a code, or in a browser that is known. browser is the secret of one that is known now.
//
// Only who has brought the first half can spend an account's tries, so nobody locks out somebody else by guessing.
func (f *Flow) ByApp(ctx context.Context, from string, x App) (session, browser identity.Secret, err error) {
	const way = "one-time code"
	var none identity.Secret
	if err := f.tries.allow(from); err != nil {
		return none, none, err
	}
	account, ends, err := f.firstHalf(ctx, x)
	if err != nil {
		f.tries.failed(from)
		return none, none, f.failed(ctx, nobody, way, err)
	}
	fail := func(err error) (identity.Secret, identity.Secret, error) {
		f.tries.failed(from)
		return none, none, f.failed(ctx, account, way, err)
	}
	if _, err := f.able(ctx, account); err != nil {
		return fail(err)
	}
	app, err := f.Identity.Authenticator(ctx, account)
	if err != nil {
		return fail(cmp.Or(deniedIf(err), err))
	}
	secret, err := f.appSecret(account, app.Wrapped)
	if err != nil {
		return none, none, err
	}
	var wrong error
	err = f.write(ctx, func(tx *db.Tx) error {
		tries, err := f.Identity.CountTry(tx, account)
		if err != nil {
			return err
		}
		taken, err := f.takeAppCode(tx, account, secret, x.Code)
		if err != nil {
			return err
		}
		if !taken {
			wrong = fault.New(fault.Denied, "sign in by one-time code", "", "that is not the code that the app shows now, or it was used already; wait for the next one and try again")
			if tries < MaxTries {
				return nil
			}
			if err := f.Identity.Lock(tx, account); err != nil {
				return err
			}
			return f.Audit.Append(tx, audit.Entry{Actor: account, Action: "lock one-time codes", Object: "account " + account, Outcome: "done"})
		}
		if err := f.Identity.Unlock(tx, account); err != nil {
			return err
		}
		if x.Half != "" {
			if err := f.Identity.UseOnce(tx, x.Half, ends); err != nil {
				return err
			}
		}
		if session, err = f.begin(tx, account, way); err != nil {
			return err
		}
		until := time.Now().Add(KnownFor)
		switch {
		case x.Half == "":
			return f.Identity.KeepBrowser(tx, x.Browser, until)
		case x.Keep:
			if browser, err = identity.NewSecret(); err != nil {
				return err
			}
			return f.Identity.AddBrowser(tx, browser, account, until)
		}
		return nil
	})
	if err = errors.Join(err, wrong); err != nil {
		return fail(err)
	}
	return session, browser, nil
}

// deniedIf says of an account without an app what is said of a wrong first half.
func deniedIf(err error) error {
	if fault.Is(err, fault.NotFound) {
		return tooLate
	}
	return nil
}

// firstHalf is whose the first half is, and until when it holds.
func (f *Flow) firstHalf(ctx context.Context, x App) (account string, ends time.Time, err error) {
	if x.Half == "" {
		account, err = f.Identity.AccountOfBrowser(ctx, x.Browser)
		return account, ends, err
	}
	var h half
	ends, err = f.sealer.open("half", x.Half, &h)
	return h.Account, ends, err
}

// takeAppCode takes a code of the app, or a recovery code.
func (f *Flow) takeAppCode(tx *db.Tx, account, secret, presented string) (taken bool, err error) {
	if at, ok := step(secret, digits(presented), f.clock()); ok {
		return f.Identity.UseAuthenticator(tx, account, at)
	}
	code, err := identity.ParseCode(presented)
	if err != nil {
		return false, nil //nolint:nilerr // a wrong code, like any other
	}
	if taken, err = f.Identity.TakeRecoveryCode(tx, account, code); err != nil || !taken {
		return taken, err
	}
	return true, f.Audit.Append(tx, audit.Entry{Actor: account, Action: "use recovery code", Object: "account " + account, Outcome: "done"})
}

// KnowBrowser lets the caller's browser be known, so that the app's codes sign in there.
func (f *Flow) KnowBrowser(ctx context.Context, who admin.Caller) (browser identity.Secret, err error) {
	if _, err := f.Identity.Authenticator(ctx, who.Actor); err != nil {
		return browser, err
	}
	if browser, err = identity.NewSecret(); err != nil {
		return browser, err
	}
	return browser, f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.AddBrowser(tx, browser, who.Actor, time.Now().Add(KnownFor)); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "let a browser be known", Object: "account " + who.Actor, Outcome: "done"})
	})
}

// ForgetBrowsers lets none of the caller's browsers be known any more.
func (f *Flow) ForgetBrowsers(ctx context.Context, who admin.Caller) error {
	return f.write(ctx, func(tx *db.Tx) error {
		if err := f.Identity.ForgetBrowsers(tx, who.Actor); err != nil {
			return err
		}
		return f.Audit.Append(tx, audit.Entry{Actor: who.Actor, Action: "forget browsers", Object: "account " + who.Actor, Outcome: "done"})
	})
}

func (f *Flow) clock() time.Time {
	if f.now != nil {
		return f.now()
	}
	return time.Now()
}
