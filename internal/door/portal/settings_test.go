package portal_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
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

// A profile of the collection's own is put by file: its tests are run first, versions are told, and what cannot be is said in the form.
func TestSettingsProfile(t *testing.T) {
	each(t, func(t *testing.T, n *node.Node, base, link string) {
		v := visit(t, base)
		v.do("POST", "/signin/link", url.Values{"t": {link}})
		put := func(text string) (int, string) {
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			w, err := m.CreateFormFile("file", "profile.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(text)); err != nil || m.Close() != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequest("POST", base+"/collections/default/profile", &b)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", m.FormDataContentType())
			r.Header.Set("Origin", base)
			resp, err := v.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var out bytes.Buffer
			if _, err := out.ReadFrom(resp.Body); err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, out.String()
		}
		rule := func(version, tests string) string {
			return "name: lantern\nversion: " + version + "\nrules:\n  - {id: age, reason: Agreed <with> all, match: {keyword: PatientAge}, action: generalise, bands: 10}\ntests:\n" + tests
		}
		good := rule("1", "  - {name: bands, given: {PatientAge: 067Y}, expect: {PatientAge: 060Y}}\n")
		if code, body := put("name: lantern\nversion: 1\nrulse: []\n"); code != 422 || !strings.Contains(body, "ine 3: the profile has no") {
			t.Errorf("%d, a file that cannot be read", code)
		}
		if code, body := put(rule("1", "  - {name: wrong, given: {PatientAge: 067Y}, kept: PatientAge}\n")); code != 422 || !strings.Contains(body, "1 of its 1 tests fail") {
			t.Errorf("%d, a test that fails", code)
		}
		if code, body := put(rule("1", "")); code != 422 || !strings.Contains(body, "tests") {
			t.Errorf("%d, no tests", code)
		}
		code, body := put(good)
		if code != 200 && code != 303 {
			t.Fatalf("%d %s", code, body)
		}
		_, body, _ = v.do("GET", "/collections/default/settings", nil)
		for _, want := range []string{"Cleaned by lantern", "Agreed &lt;with&gt; all", "in force", "<td>research ", "ages in bands of 10 years"} {
			if !strings.Contains(body, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		if code, body := put(strings.Replace(good, "bands: 10", "bands: 5", 1)); code != 422 || !strings.Contains(body, "fail") {
			t.Errorf("%d, a test that the change breaks", code)
		}
		if code, body := put(strings.Replace(good, "Agreed", "Promised", 1)); code != 422 || !strings.Contains(body, "raise the version") {
			t.Errorf("%d, another content under one version", code)
		}
		c, err := n.Stores.Collections.List(t.Context())
		if err != nil || c[0].Profile != "lantern" || c[0].ProfileVersion != "1" || len(c[0].ProfileDigest) != 64 {
			t.Errorf("%+v, %v", c, err)
		}
	})
}
