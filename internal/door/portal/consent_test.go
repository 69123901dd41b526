package portal_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// A depositor records what a person said and withdraws them: what will happen is said before, and done when it was confirmed. The identifier that the site knows them by is in no page that comes back.
func TestWithdrawOnAPage(t *testing.T) {
	n, base, link := start(t, "")
	steward := visit(t, base)
	steward.do("POST", "/signin/link", url.Values{"t": {link}})
	robot := visit(t, base)
	bearer := map[policy.Role]string{}
	for _, role := range []policy.Role{policy.Depositor, policy.Custodian, policy.Researcher} {
		s, err := identity.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Stores.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := n.Stores.Identity.CreateToken(tx, s, identity.Token{Name: role.String(), Role: role, Collection: "default"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		bearer[role] = "Bearer " + s.Reveal()
	}
	as := func(role policy.Role, method, path string, form url.Values) (int, string) {
		t.Helper()
		code, body, at := robot.do(method, path, form, "Authorization", bearer[role])
		if strings.Contains(body+at, "MRN-551903") {
			t.Errorf("%s %s gives the identifier back", method, path)
		}
		return code, body
	}
	const main = "/collections/default/consent"
	for _, c := range []struct {
		role policy.Role
		path string
		want int
	}{{policy.Depositor, main, 200}, {policy.Depositor, main + "/record", 200}, {policy.Depositor, main + "/withdraw", 200}, {policy.Custodian, main, 200}, {policy.Custodian, main + "/record", 404}, {policy.Custodian, main + "/withdraw", 404},
		{policy.Researcher, main, 404}, {policy.Researcher, main + "/record", 404}} {
		if code, body := as(c.role, "GET", c.path, nil); code != c.want {
			t.Errorf("%v %s: %d %.300s", c.role, c.path, code, body)
		}
	}
	if code, body := as(policy.Depositor, "GET", main, nil); code != 200 || strings.Contains(body, "Who has withdrawn") || strings.Contains(body, "Add a basis") {
		t.Errorf("a depositor sees who has withdrawn, or adds bases: %d", code)
	}
	// What is wrong is said, and the identifier has to be written again.
	if code, body := as(policy.Depositor, "POST", main+"/record", url.Values{"patient": {"MRN-551903"}, "use.research": {"yes"}}); code != 422 || !strings.Contains(body, "which day") {
		t.Errorf("%d %.300s", code, body)
	}
	if code, body := as(policy.Depositor, "POST", main+"/record", url.Values{"patient": {"MRN-551903"}, "date": {"2026-03-01"}, "use.research": {"yes"}, "use.genetic": {"no"}}); code != 200 || !strings.Contains(body, "no image of this person yet") {
		t.Errorf("%d %.300s", code, body)
	}
	whom := url.Values{"patient": {"MRN-551903"}, "scope": {"use"}}
	code, body := as(policy.Depositor, "POST", main+"/withdraw", whom)
	if code != 200 || !strings.Contains(body, "It is never taken back") || !strings.Contains(body, "once more") {
		t.Errorf("%d %.300s", code, body)
	}
	if all, err := n.Consent.Consent.Withdrawals(t.Context(), "default", 10); err != nil || len(all) != 0 {
		t.Fatalf("it was done before it was confirmed: %v, %v", all, err)
	}
	whom.Set("do", "withdraw")
	if code, body := as(policy.Depositor, "POST", main+"/withdraw", whom); code != 200 || !strings.Contains(body, "is served any more") {
		t.Errorf("%d %.300s", code, body)
	}
	all, err := n.Consent.Consent.Withdrawals(t.Context(), "default", 10)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	// Once more: it is said that it was done.
	whom.Del("do")
	if code, body := as(policy.Depositor, "POST", main+"/withdraw", whom); code != 200 || !strings.Contains(body, "withdrawn from use before") {
		t.Errorf("%d %.300s", code, body)
	}
	_, body, _ = steward.do("GET", main, nil)
	if !strings.Contains(body, "suspended") || !strings.Contains(body, "Erase now") {
		t.Error("a steward does not see who has withdrawn")
	}
	w := url.Values{"withdrawal": {between(body, `name="withdrawal" value="`, `"`)}}
	code, body, _ = steward.do("POST", main+"/certificate", w)
	if code != 200 || !strings.HasPrefix(body, "PK") || !strings.Contains(body, "certificate.json") {
		t.Errorf("the certificate: %d %.100q", code, body)
	}
	w.Set("do", "erase")
	if code, _, _ := steward.do("POST", main, w); code != 422 {
		t.Errorf("erased without being sure: %d", code)
	}
	w.Set("sure", "yes")
	if code, body, _ := steward.do("POST", main, w); code != 200 || !strings.Contains(body, "destroyed") || strings.Contains(body, "Erase now") {
		t.Errorf("%d %.300s", code, body)
	}
	if code, body := as(policy.Researcher, "GET", "/withdraw", nil); code != http.StatusOK || !strings.Contains(body, "After 30 days") {
		t.Errorf("%d %.300s", code, body)
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}
