package portal_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-imaging/vitrine/internal/node"
)

// A visitor asks from a public page, the steward sees it in the navigation and answers, and the visitor reads the answer by the link, until it is ended.
func TestVisitorAsks(t *testing.T) {
	each(t, func(t *testing.T, _ *node.Node, base, link string) {
		visitor, steward := visit(t, base), visit(t, base)
		steward.do("POST", "/signin/link", url.Values{"t": {link}})
		_, body, _ := visitor.do("GET", "/", nil)
		if !strings.Contains(body, `href="/ask?about=%2F"`) {
			t.Error("the public page has no link to ask")
		}
		code, body, _ := visitor.do("GET", "/ask?about=/collections/default/studies/1", nil)
		if code != 200 || !strings.Contains(body, "The stewards of <b>Default collection</b>") || !strings.Contains(body, `name="contact"`) || !strings.Contains(body, `value="A study of Default collection"`) {
			t.Errorf("%d %s", code, body)
		}
		form := url.Values{"about": {"/collections/default"}, "subject": {"Follow-up"}, "text": {"DOB 01/02/1950 <b>x</b>"}, "contact": {"imogen@example.org"}}
		if code, body, _ := visitor.do("POST", "/ask", form); code != 422 || !strings.Contains(body, "looks like a date of birth") || !strings.Contains(body, "DOB 01/02/1950 &lt;b&gt;x&lt;/b&gt;") || !strings.Contains(body, "imogen@example.org") {
			t.Errorf("what was written is lost, or taken: %d %s", code, body)
		}
		form.Set("text", "Is there any?\n<script>alert(1)</script>")
		code, body, _ = visitor.do("POST", "/ask", form)
		m := regexp.MustCompile(`/questions/link\?t=[\w-]{43}`).FindString(body)
		if code != 200 || m == "" {
			t.Fatalf("%d %s", code, body)
		}
		if _, body, _ := steward.do("GET", "/help", nil); !strings.Contains(body, `aria-label="1 waiting">1`) {
			t.Error("the navigation does not say that a question waits")
		}
		_, body, _ = steward.do("GET", "/questions", nil)
		thread := regexp.MustCompile(`/questions/\d+`).FindString(body)
		if thread == "" || !strings.Contains(body, "A visitor") {
			t.Fatal(body)
		}
		_, body, _ = steward.do("GET", thread, nil)
		if !strings.Contains(body, "imogen@example.org") || strings.Contains(body, "<script>alert") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s", body)
		}
		if code, _, at := steward.do("POST", thread, url.Values{"do": {"reply"}, "text": {"Twelve, each."}}); code != 200 || at != thread {
			t.Errorf("%d %s", code, at)
		}
		code, body, _ = visitor.do("GET", m, nil)
		if code != 200 || !strings.Contains(body, "Twelve, each.") || strings.Contains(body, "imogen@example.org") || strings.Contains(body, "Demo Steward") {
			t.Errorf("%d %s", code, body)
		}
		if strings.Contains(regexp.MustCompile(`(?s)<footer.*</footer>|<a class="asklink.*?</a>`).FindString(body), "t=") {
			t.Error("the secret is in other links of the page")
		}
		token := strings.TrimPrefix(m, "/questions/link?t=")
		if code, body, _ := visitor.do("POST", "/questions/link", url.Values{"t": {token}, "do": {"reply"}, "text": {"Thank you"}}); code != 200 || !strings.Contains(body, "Thank you") {
			t.Errorf("%d", code)
		}
		for _, path := range []string{thread, "/questions"} {
			if _, _, at := visitor.do("GET", path, nil); at != "/signin" {
				t.Errorf("%s is open to visitors: %s", path, at)
			}
		}
		if code, _, _ := visitor.do("POST", thread, url.Values{"do": {"reply"}, "text": {"x"}}); code != 401 {
			t.Errorf("a stranger replies: %d", code)
		}
		if code, _, _ := visitor.do("POST", "/questions/link", url.Values{"t": {token}, "do": {"erase"}}); code != 400 {
			t.Errorf("a visitor erases: %d", code)
		}
		if code, _, _ := steward.do("POST", thread, url.Values{"do": {"end"}}); code != 200 {
			t.Errorf("%d", code)
		}
		if code, _, _ := visitor.do("GET", m, nil); code != 404 {
			t.Errorf("an ended link: %d", code)
		}
		if code, _, at := steward.do("POST", thread, url.Values{"do": {"erase"}}); code != 200 || at != "/questions" {
			t.Errorf("%d %s", code, at)
		}
		if code, _, _ := steward.do("GET", thread, nil); code != 404 {
			t.Errorf("an erased thread: %d", code)
		}
		if code, _, _ := visitor.do("POST", "/ask", url.Values{"text": {strings.Repeat("x", 100_000)}}); code != 413 {
			t.Errorf("a form without bounds: %d", code)
		}
	})
}
