package portal_test

import (
	"bytes"
	"context"
	"io"
	"mime/quotedprintable"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/mail"
	"github.com/vitrine-imaging/vitrine/internal/base/mail/mailtest"
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

// Where the node has a mail server, links for people outside and sign-in links go by mail, and are shown to nobody.
func TestMailedFromThePortal(t *testing.T) {
	srv := mailtest.Start(t, nil)
	n, err := node.New(t.Context(), node.Config{Data: t.TempDir(), Demo: true, HTTP: "127.0.0.1:0", PublicURL: "http://images.example.org",
		Mail: &mail.Config{Host: srv.Host, Port: srv.Port, Security: mail.None, From: "Vitrine <images@example.org>"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the node did not end well: %v", err)
		}
	})
	base := "http://" + n.HTTPAddr()
	steward := visit(t, base)
	var out bytes.Buffer
	if err := n.Welcome(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(strings.TrimSpace(out.String()), "?t=")
	steward.do("POST", "/signin/link", url.Values{"t": {token}})
	// mailed waits for the next mail and gives its text.
	seen := 0
	mailed := func(to string) string {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(20 * time.Second); ; {
			if all := srv.Mails(); len(all) > seen {
				m := all[seen]
				seen++
				text, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(m.Text)))
				if len(text) == 0 || m.To != to {
					t.Fatalf("to %s: %v", m.To, err)
				}
				return string(text)
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatal("no mail within 20 seconds")
			}
		}
	}
	code, body, _ := steward.do("POST", "/collections/default/links", url.Values{"do": {"make"}, "for": {"imogen@example.org"}, "mail": {"yes"}})
	if code != 200 || outside.MatchString(body) || !strings.Contains(body, "on its way to imogen@example.org") {
		t.Fatalf("%d %s", code, body)
	}
	if text := mailed("imogen@example.org"); !outside.MatchString(text) || !strings.Contains(text, "http://images.example.org/send#") {
		t.Errorf("%s", text)
	}
	signs := regexp.MustCompile(`http://images\.example\.org/signin/link\?t=(vitrine_[\w-]{43})`)
	code, body, _ = steward.do("POST", "/people", url.Values{"name": {"Rosa"}, "role": {"researcher"}, "collection": {"default"}, "by": {"link"}, "mail": {"rosa@example.org"}})
	if code != 200 || strings.Contains(body, "/signin/link?t=") || strings.Contains(body, "rosa@example.org") || !strings.Contains(body, "on its way to Rosa") {
		t.Fatalf("%d %s", code, body)
	}
	first := signs.FindStringSubmatch(mailed("rosa@example.org"))
	id := regexp.MustCompile(`/people/(person-[0-9a-f]{16})`).FindStringSubmatch(body)
	if first == nil || id == nil {
		t.Fatalf("%v %v", first, id)
	}
	if code, body, _ := steward.do("POST", "/people/"+id[1], url.Values{"do": {"mail"}, "mail": {"nobody"}}); code != 409 || !strings.Contains(body, "no e-mail address") {
		t.Errorf("%d %s", code, body)
	}
	code, body, _ = steward.do("POST", "/people/"+id[1], url.Values{"do": {"mail"}, "mail": {"rosa@example.org"}})
	second := signs.FindStringSubmatch(mailed("rosa@example.org"))
	if code != 200 || second == nil || second[1] == first[1] {
		t.Fatalf("%d %s", code, body)
	}
	rosa := visit(t, base)
	if _, body, at := rosa.do("POST", "/signin/link", url.Values{"t": {second[1]}}); at == "/signin/link" || !strings.Contains(body, "Rosa") {
		t.Errorf("the mailed link leads to %s", at)
	}
	if code, _, _ := rosa.do("POST", "/people/"+id[1], url.Values{"do": {"mail"}, "mail": {"eve@example.org"}}); code != 403 {
		t.Errorf("a researcher mails a link: %d", code)
	}
	// Who decides on what is held may ask to be told of it by mail; nobody else.
	if _, body, _ := steward.do("GET", "/account", nil); !strings.Contains(body, "Mail about what is held") {
		t.Errorf("a steward is not offered notices: %s", body)
	}
	if _, body, _ := rosa.do("GET", "/account", nil); strings.Contains(body, "Mail about what is held") {
		t.Error("a researcher is offered notices")
	}
	if code, _, _ := rosa.do("POST", "/account/notices", url.Values{"to": {"rosa@example.org"}}); code != 403 {
		t.Errorf("a researcher asks for notices: %d", code)
	}
	if code, body, _ := steward.do("POST", "/account/notices", url.Values{"to": {"nobody"}}); code != 422 || !strings.Contains(body, "no e-mail address") {
		t.Errorf("%d %s", code, body)
	}
	if code, body, at := steward.do("POST", "/account/notices", url.Values{"to": {"stuart@example.org"}}); code != 200 || at != "/account" || !strings.Contains(body, "stuart@example.org") {
		t.Errorf("%d %s", code, body)
	}
	if err := n.Notices.Look(t.Context()); err != nil || len(srv.Mails()) != seen {
		t.Errorf("a notice though nothing is held: %v", err)
	}
	hold(t, n, "1.2.3.4.5")
	for range 3 { // once, however often it is looked
		if err := n.Notices.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if text := mailed("stuart@example.org"); !strings.Contains(text, "Default collection: 1 image") || !strings.Contains(text, "http://images.example.org/held") {
		t.Errorf("%s", text)
	}
	hold(t, n, "1.2.3.4.6")
	if err := n.Notices.Look(t.Context()); err != nil || len(srv.Mails()) != seen {
		t.Errorf("two notices in a day: %v", err)
	}
	if code, body, _ := steward.do("POST", "/account/notices", url.Values{"do": {"end"}}); code != 200 || strings.Contains(body, "stuart@example.org") {
		t.Errorf("%d %s", code, body)
	}
}
