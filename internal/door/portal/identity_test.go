package portal_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
	"github.com/vitrine-imaging/vitrine/internal/record/identity"
)

// One steward asks on a subject's page, another consents, and the first is shown once who it is; nobody else learns that there was a request.
func TestWhoASubjectIs(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		people := map[string]*visitor{}
		for name, role := range map[string]policy.Role{"asks": policy.Steward, "consents": policy.Steward, "researcher": policy.Researcher} {
			_, l, err := n.SignIn.Invite(t.Context(), admin.Operator("root"), name, []policy.Grant{{Role: role, Collection: "default"}}, time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			people[name] = visit(t, base)
			people[name].do("POST", "/signin/link", url.Values{"t": {l.Reveal()}})
		}
		all, err := n.Stores.Subjects.Latest(t.Context(), "default", 100)
		if err != nil || len(all) == 0 {
			t.Fatal(err)
		}
		var at, pseudonym string
		var secret []string
		for _, s := range all {
			page := "/collections/default/subjects/" + url.PathEscape(string(s.Pseudonym))
			who, err := n.Stores.Identities.Of(t.Context(), "default", s.ID, s.Key)
			if err != nil {
				t.Fatal(err)
			}
			if code, _, _ := people["asks"].do("GET", page, nil); code == 200 && len(who) > 0 && who[0].PatientID != "" {
				at, pseudonym, secret = page, string(s.Pseudonym), []string{who[0].PatientID, who[0].Name, who[0].BirthDate}
			}
		}
		if at == "" || secret[1] == "" || secret[2] == "" {
			t.Fatal("no subject of the sample has an identity")
		}
		tells := func(body string) bool {
			for _, s := range secret {
				if strings.Contains(body, s) {
					return true
				}
			}
			return false
		}
		code, body, _ := people["asks"].do("GET", at, nil)
		form := at + "/identity"
		if code != 200 || !strings.Contains(body, `href="`+form+`"`) || tells(body) {
			t.Errorf("the subject's page does not lead to the form: %d", code)
		}
		if _, body, _ := people["researcher"].do("GET", at, nil); strings.Contains(body, form) {
			t.Error("a researcher is led to the form")
		}
		if code, body, _ := people["asks"].do("GET", form, nil); code != 200 || !strings.Contains(body, "Another steward") {
			t.Errorf("%d %s", code, body)
		}
		const why = "An incidental finding has to reach the doctor of this person very soon"
		for name, want := range map[string]int{"researcher": 403} {
			if code, _, _ := people[name].do("POST", form, url.Values{"reason": {why}}); code != want {
				t.Errorf("%s asks: %d", name, code)
			}
		}
		if code, _, _ := visit(t, base).do("POST", form, url.Values{"reason": {why}}); code != 401 {
			t.Errorf("a stranger asks: %d", code)
		}
		if code, body, _ := people["asks"].do("POST", form, url.Values{"reason": {"too few <words>"}}); code != 422 || !strings.Contains(body, "at least 10 words") || !strings.Contains(body, "too few &lt;words&gt;") {
			t.Errorf("without a reason: %d", code)
		}
		code, body, request := people["asks"].do("POST", form, url.Values{"reason": {why}})
		if code != 200 || !regexp.MustCompile(`^/identity/\d+$`).MatchString(request) || !strings.Contains(body, why) || tells(body) {
			t.Fatalf("%d at %s", code, request)
		}
		if strings.Contains(body, `value="see"`) || strings.Contains(body, `value="consent"`) {
			t.Error("whoever asks may consent, or see before")
		}
		for _, do := range []string{"see", "consent"} {
			if code, body, _ := people["asks"].do("POST", request, url.Values{"do": {do}}); code != 403 || tells(body) {
				t.Errorf("%s: %d", do, code)
			}
		}
		// A token with the same role takes no part.
		tok, s, err := n.Stores.Desk().CreateToken(t.Context(), admin.Operator("root"), identity.Token{Name: "robot", Role: policy.Steward, Collection: "default"}, nil)
		if err != nil {
			t.Fatal(err, tok)
		}
		robot := visit(t, base)
		for path, want := range map[string]int{form: 403, request: 404} {
			if code, body, _ := robot.do("POST", path, url.Values{"do": {"consent"}, "reason": {why}}, "Authorization", "Bearer "+s.Reveal()); code != want || tells(body) {
				t.Errorf("a token at %s: %d", path, code)
			}
		}
		for _, path := range []string{request, "/identity"} {
			if _, body, _ := people["researcher"].do("GET", path, nil); strings.Contains(body, pseudonym) || strings.Contains(body, why) {
				t.Errorf("%s is shown to a researcher", path)
			}
			if _, _, to := visit(t, base).do("GET", path, nil); to != "/signin" {
				t.Errorf("%s is shown to a stranger", path)
			}
		}
		if _, body, _ := people["consents"].do("GET", "/collections", nil); !strings.Contains(body, `href="/identity"`) {
			t.Error("the navigation does not lead whoever may consent to the request")
		}
		if code, body, _ := people["consents"].do("GET", "/identity", nil); code != 200 || !strings.Contains(body, request) {
			t.Errorf("the request does not wait: %d", code)
		}
		if code, body, _ := people["consents"].do("POST", request, url.Values{"do": {"consent"}}); code != 200 || tells(body) {
			t.Errorf("%d", code)
		}
		if code, body, _ := people["consents"].do("POST", request, url.Values{"do": {"see"}}); code != 403 || tells(body) {
			t.Errorf("whoever consents sees: %d", code)
		}
		code, body, _ = people["asks"].do("GET", request, nil)
		if code != 200 || !strings.Contains(body, `value="see"`) || tells(body) {
			t.Errorf("%d", code)
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", base+request, strings.NewReader("do=see"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := people["asks"].client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%d %q", res.StatusCode, res.Header.Get("Cache-Control"))
		}
		for _, s := range secret {
			if !strings.Contains(string(b), strings.ReplaceAll(s, "'", "&#39;")) {
				t.Error("the answer lacks a part of the identity")
			}
		}
		if code, body, _ := people["asks"].do("POST", request, url.Values{"do": {"see"}}); code != 403 || tells(body) {
			t.Errorf("again: %d", code)
		}
		for _, path := range []string{request, "/identity"} {
			if code, body, _ := people["asks"].do("GET", path, nil); code != 200 || tells(body) {
				t.Errorf("%s tells it: %d", path, code)
			}
		}
		log, err := n.Stores.Desk().Entries(t.Context(), admin.Operator("root"), "default", 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		done := 0
		for _, e := range log {
			if line := e.Actor + e.Action + e.Object + e.Outcome; tells(line) || strings.Contains(line, "incidental") {
				t.Error("the audit log tells it")
			} else if strings.Contains(line, "subject isrequest") && e.Outcome == "done" || e.Outcome == "consented" {
				done++
			}
		}
		if done != 3 {
			t.Errorf("%d of the three steps are in the audit log", done)
		}
	})
}
