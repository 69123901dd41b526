package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/judge/policy"
	"github.com/vitrine-imaging/vitrine/internal/node"
)

var outside = regexp.MustCompile(`/send#(vitrine-link_[\w-]{43})`)

// A steward makes links for people outside, sees each once, and ends them; whom they are for is for stewards alone; who has another role makes none.
func TestLinks(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		steward := visit(t, base)
		steward.do("POST", "/signin/link", url.Values{"t": {link}})
		const at = "/collections/default/links"
		code, body, _ := steward.do("POST", at, url.Values{"do": {"make"}, "label": {"The disc of May"}, "for": {"imogen.rowan@example.org"}, "days": {"30"}, "gb": {"5"}, "files": {"7"}})
		secret := outside.FindStringSubmatch(body)
		if code != 200 || secret == nil || !strings.Contains(body, "shown only now") || !strings.Contains(body, "The disc of May") || !strings.Contains(body, "imogen.rowan@example.org") || !strings.Contains(body, "of 5.0 GB") {
			t.Fatalf("%d %s", code, body)
		}
		if _, body, _ := steward.do("GET", at, nil); strings.Contains(body, secret[1]) || !strings.Contains(body, "The disc of May") {
			t.Errorf("the list: %s", body)
		}
		for _, wrong := range []url.Values{{"for": {"nobody"}}, {"days": {"91"}}, {"days": {"0"}}, {"gb": {"much"}}, {"files": {"-1"}}, {"gb": {"9999999"}}} {
			wrong.Set("do", "make")
			if code, body, _ := steward.do("POST", at, wrong); code != 422 || !strings.Contains(body, `role="alert"`) || outside.MatchString(body) {
				t.Errorf("%v: %d", wrong, code)
			}
		}
		stranger := visit(t, base)
		if code, body, _ := stranger.do("GET", "/send", nil); code != 200 || !strings.Contains(body, `data-island="send"`) || strings.Contains(body, "Sign in") {
			t.Errorf("%d %s", code, body)
		}
		// An administrator of the collection makes links too, and does not read whom others are for. A depositor does neither.
		manager := visit(t, base)
		manager.do("POST", "/signin/link", url.Values{"t": {invited(t, n, policy.Admin, "default")}})
		code, body, _ = manager.do("GET", at, nil)
		if code != 200 || strings.Contains(body, "imogen") || strings.Contains(body, "The disc") || !strings.Contains(body, "link-") {
			t.Errorf("an administrator: %d %s", code, body)
		}
		depositor := visit(t, base)
		depositor.do("POST", "/signin/link", url.Values{"t": {invited(t, n, policy.Depositor, "default")}})
		for _, form := range []url.Values{nil, {"do": {"make"}}, {"do": {"end"}, "link": {"link-0123456789abcdef"}}} {
			method := "POST"
			if form == nil {
				method = "GET"
			}
			if code, body, _ := depositor.do(method, at, form); code != 403 || strings.Contains(body, "The disc") {
				t.Errorf("a depositor, %v: %d", form, code)
			}
		}
		if _, body, _ := depositor.do("GET", "/collections/default", nil); strings.Contains(body, at) {
			t.Error("a depositor is led to the links")
		}
		id := regexp.MustCompile(`link-[0-9a-f]{16}`).FindString(body)
		if id == "" {
			_, body, _ = steward.do("GET", at, nil)
			id = regexp.MustCompile(`link-[0-9a-f]{16}`).FindString(body)
		}
		code, body, to := steward.do("POST", at, url.Values{"do": {"end"}, "link": {id}})
		if code != 200 || to != at || !strings.Contains(body, "The link was ended") {
			t.Errorf("%d %s %s", code, to, body)
		}
		if code, _, _ := steward.do("POST", at, url.Values{"do": {"end"}, "link": {id}}); code != 404 {
			t.Errorf("ended twice: %d", code)
		}
		if code, body, _ := stranger.do("GET", "/upload/links/mine", nil, "Accept", "application/json", "Vitrine-Link", secret[1], "Vitrine-Visit", "a-visit-of-somebody-1"); code != 410 || !strings.Contains(body, "link-ended") {
			t.Errorf("%d %s", code, body)
		}
	})
}

// invited is the link of somebody who is given a role.
func invited(t *testing.T, n *node.Node, role policy.Role, in string) string {
	t.Helper()
	_, l, err := n.SignIn.Invite(t.Context(), admin.Operator("root"), "Somebody", []policy.Grant{{Role: role, Collection: in}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return l.Reveal()
}
