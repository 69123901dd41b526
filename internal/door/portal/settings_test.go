package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/node"
)

// A collection's settings are changed by who manages it; a token is shown once; what cannot be is said in the form.
func TestSettings(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		const at = "/collections/default/settings"
		code, body, _ := v.do("GET", at, nil)
		if code != 200 || !strings.Contains(body, "moved by whole weeks") || !strings.Contains(body, "Demo Steward") || !strings.Contains(body, `value="VITRINE"`) {
			t.Errorf("%d %s", code, body)
		}
		if code, body, to := v.do("POST", at, url.Values{"do": {"save"}, "title": {" Lung  <trial> "}, "aet": {"LUNG"}}); code != 200 || to != at || !strings.Contains(body, "Lung &lt;trial&gt;") {
			t.Errorf("%d %s", code, to)
		}
		c, err := n.Stores.Collections.List(t.Context())
		if err != nil || c[0].Title != "Lung <trial>" || c[0].AETitle != "LUNG" || c[0].State.String() != "closed" || c[0].Profile != "research" {
			t.Errorf("%+v, %v", c, err)
		}
		v.do("POST", "/collections", url.Values{"id": {"other"}, "profile": {"basic"}, "aet": {"OTHER"}})
		if code, body, _ := v.do("POST", at, url.Values{"do": {"save"}, "aet": {"OTHER"}, "open": {"yes"}}); code != 422 || !strings.Contains(body, "It calls another collection") {
			t.Errorf("another collection's AE title: %d", code)
		}
		code, body, _ = v.do("POST", at, url.Values{"do": {"token"}, "name": {"Ward 7"}, "role": {"depositor"}})
		secret := regexp.MustCompile(`vitrine_[\w-]{43}`).FindString(body)
		if code != 200 || secret == "" {
			t.Fatalf("%d %s", code, body)
		}
		_, body, _ = v.do("GET", at, nil)
		id := regexp.MustCompile(`token-[0-9a-f]{16}`).FindString(body)
		if strings.Contains(body, secret) || id == "" {
			t.Error("the token is shown again, or not listed")
		}
		if code, _, _ := v.do("POST", at, url.Values{"do": {"revoke"}, "token": {id}}); code != 200 {
			t.Errorf("%d", code)
		}
		if _, body, _ := v.do("GET", at, nil); strings.Contains(body, id) {
			t.Error("an ended token is listed")
		}
		if code, _, _ := v.do("POST", at, url.Values{"do": {"token"}, "name": {"x"}, "role": {"operator"}}); code != 422 {
			t.Errorf("a role that nobody can be given: %d", code)
		}
		stranger := visit(t, base)
		if _, _, to := stranger.do("GET", at, nil); to != "/signin" {
			t.Error(to)
		}
		if code, _, _ := stranger.do("POST", at, url.Values{"do": {"save"}}); code != 401 {
			t.Errorf("%d", code)
		}
	})
}
