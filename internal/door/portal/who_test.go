package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var radio = regexp.MustCompile(`name="(q\d+)" value="`)

// Somebody says where they work; only others confirm it; and the course is read and its questions are answered by whoever has an account.
func TestWhereSomebodyWorks(t *testing.T) {
	_, base, link := start(t, "")
	steward := visit(t, base)
	steward.do("POST", "/signin/link", url.Values{"t": {link}})
	if code, _, at := visit(t, base).do("GET", "/account/work", nil); code == 200 && !strings.HasPrefix(at, "/signin") {
		t.Errorf("everybody sees an account: %d at %s", code, at)
	}
	form := url.Values{"organisation": {"University of the <North>"}, "kind": {"academic"}, "country": {"gb"}, "orcid": {"0000-0002-1825-0098"}}
	if code, body, _ := steward.do("POST", "/account/work", form); code != 422 || !strings.Contains(body, "ORCID iD is sixteen digits") || !strings.Contains(body, "University of the &lt;North&gt;") {
		t.Errorf("%d %.500s", code, body)
	}
	form.Set("orcid", "0000-0002-1825-0097")
	if code, body, at := steward.do("POST", "/account/work", form); code != 200 || at != "/account/work" || !strings.Contains(body, "Not confirmed") || !strings.Contains(body, "Take the course") {
		t.Errorf("%d at %s %.500s", code, at, body)
	}
	_, body, _ := steward.do("GET", "/people/due", nil)
	if !strings.Contains(body, "University of the &lt;North&gt;") || !strings.Contains(body, "Another has to") {
		t.Errorf("%.500s", body)
	}
	me := regexp.MustCompile(`person-[0-9a-f]{16}`).FindString(func() string { _, b, _ := steward.do("GET", "/account", nil); return b }())
	if code, _, _ := steward.do("POST", "/people/due", url.Values{"account": {me}, "organisation": {"University of the <North>"}}); code != 403 {
		t.Errorf("a steward confirms themselves: %d", code)
	}
	for _, p := range []string{"/training", "/training/people", "/training/incidents"} {
		if code, _, _ := steward.do("GET", p, nil); code != 200 {
			t.Errorf("%s: %d", p, code)
		}
	}
	if code, _, _ := steward.do("GET", "/training/nothing", nil); code != 404 {
		t.Errorf("a page that is not there: %d", code)
	}
	code, body, at := steward.do("POST", "/training/exam", url.Values{"do": {"begin"}})
	asked := map[string]bool{}
	for _, m := range radio.FindAllStringSubmatch(body, -1) {
		asked[m[1]] = true
	}
	if code != 200 || at != "/training/exam" || len(asked) != 10 {
		t.Fatalf("%d at %s: %d questions", code, at, len(asked))
	}
	answers := url.Values{"do": {"finish"}}
	for q := range asked {
		answers.Set(q, "none of these")
	}
	if code, body, _ := steward.do("POST", "/training/exam", answers); code != 200 || !strings.Contains(body, "0 of 10 are right") {
		t.Errorf("%d %.300s", code, body)
	}
	if _, body, _ := steward.do("GET", "/training/exam", nil); !strings.Contains(body, "You can try again from") {
		t.Error("it says not when to try again")
	}
	if code, _, _ := steward.do("POST", "/training/exam", url.Values{"do": {"begin"}}); code != 409 {
		t.Errorf("at once again: %d", code)
	}
}
