package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
)

var (
	codeShown   = regexp.MustCompile(`>([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})<`)
	secretShown = regexp.MustCompile(`>((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})<`)
	pendingAt   = regexp.MustCompile(`name="pending" value="([^"]+)"`)
)

func shown(t *testing.T, what *regexp.Regexp, body string) string {
	t.Helper()
	m := what.FindStringSubmatch(body)
	if m == nil {
		t.Fatalf("the page does not show %s: %.2000s", what, body)
	}
	return m[1]
}

// Somebody without a passkey comes by a code that is read out, sets an app up, and comes back with its digits, without a line of script.
func TestCodeThenApp(t *testing.T) {
	n, base, _ := start(t, "")
	boss := admin.Caller{Actor: "operator", Grants: []policy.Grant{{Role: policy.Admin, Collection: policy.AllCollections}}}
	a, code, err := n.SignIn.InviteByCode(t.Context(), boss, "Imogen Fairweather", []policy.Grant{{Role: policy.Researcher, Collection: "default"}})
	if err != nil {
		t.Fatal(err)
	}
	v := watched(visit(t, base))
	if status, body, at := v.do("POST", "/signin/code", url.Values{"code": {"0000-0000-0000"}, "next": {"/help"}}); status != 403 || at != "/signin/code" || !strings.Contains(body, "not known, was used already, or has expired") || !strings.Contains(body, `value="/help"`) {
		t.Errorf("a wrong code: %d at %s: %.300s", status, at, body)
	}
	status, body, at := v.do("POST", "/signin/code", url.Values{"code": {strings.ToLower(code.Reveal())}})
	if status != 200 || at != "/account" || !strings.Contains(body, "you cannot come back once you are signed out") {
		t.Fatalf("a code: %d at %s: %.300s", status, at, body)
	}
	if status, _, _ := visit(t, base).do("POST", "/signin/code", url.Values{"code": {code.Reveal()}}); status != 403 {
		t.Errorf("a code twice: %d", status)
	}
	_, body, _ = v.do("GET", "/account/app", nil)
	secret, pending := strings.ReplaceAll(shown(t, secretShown, body), " ", ""), shown(t, pendingAt, body)
	if !strings.Contains(body, `<svg class="qr"`) {
		t.Error("there is no QR code")
	}
	status, body, _ = v.do("POST", "/account/app", url.Values{"pending": {pending}, "code": {"000000"}})
	if status != 422 || strings.ReplaceAll(shown(t, secretShown, body), " ", "") != secret {
		t.Errorf("a wrong first code: %d", status)
	}
	digits := func(steps int) string {
		c, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	status, body, _ = v.do("POST", "/account/app", url.Values{"pending": {pending}, "code": {digits(-1)}, "keep": {"1"}})
	recovery := codeShown.FindAllStringSubmatch(body, -1)
	if status != 200 || len(recovery) != 10 {
		t.Fatalf("%d, %d recovery codes", status, len(recovery))
	}
	if _, body, _ := v.do("GET", "/account", nil); strings.Contains(body, recovery[0][1]) || !strings.Contains(body, "10 recovery codes") || !strings.Contains(body, "1 known browser") {
		t.Error("the account does not show its app, or shows a recovery code again")
	}
	v.do("POST", "/signout", url.Values{})
	if _, body, _ := v.do("GET", "/signin", nil); !strings.Contains(body, "With your authenticator app") {
		t.Fatal("a known browser is not offered the app")
	}
	if _, body, _ := visit(t, base).do("GET", "/signin", nil); strings.Contains(body, "With your authenticator app") {
		t.Fatal("an unknown browser is offered the app")
	}
	if status, _, _ := v.do("POST", "/signin/app", url.Values{"code": {"000000"}}); status != 403 {
		t.Errorf("wrong digits: %d", status)
	}
	if status, body, at := v.do("POST", "/signin/app", url.Values{"code": {digits(0)}, "next": {"/collections/default"}}); status != 200 || at != "/collections/default" {
		t.Errorf("digits in a known browser: %d at %s %.300s", status, at, body)
	}

	// Another browser needs a code or a link, and then the app.
	w := visit(t, base)
	if status, _, _ := w.do("POST", "/signin/app", url.Values{"code": {digits(1)}}); status != 403 {
		t.Errorf("the app alone: %d", status)
	}
	again, err := n.SignIn.Link(t.Context(), boss, a.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, body, at := w.do("POST", "/signin/link", url.Values{"t": {again.Reveal()}}); at != "/signin/app" || !strings.Contains(body, "One more step") {
		t.Fatalf("a link led to %s", at)
	}
	if _, _, at := w.do("GET", "/account", nil); at != "/signin" {
		t.Errorf("half of the way in opens %s", at)
	}
	if status, _, at := w.do("POST", "/signin/app", url.Values{"half": {"1"}, "code": {recovery[4][1]}}); status != 200 || at != "/" {
		t.Errorf("a recovery code: %d at %s", status, at)
	}
	if _, body, _ := w.do("GET", "/account", nil); !strings.Contains(body, "9 recovery codes") {
		t.Error("a recovery code is not used up")
	}
}
